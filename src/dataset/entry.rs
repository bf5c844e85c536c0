//! What a zone file's line or the feeder says about one subject; the only way into a dataset.

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};

/// One entry: a subject and what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whom it is about.
    pub key: Key<'a>,
    /// An exclusion (`!`): the subject is not listed, whatever a wider entry says.
    pub excluded: bool,
    /// What is answered; of no meaning for an exclusion.
    pub value: EntryValue<'a>,
}

/// The subject of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// An IPv4 prefix; a host is a /32.
    Ip4Net(Ipv4Net),
    /// An IPv4 range, both ends included; `ip4set` only.
    Ip4Range(Ipv4Addr, Ipv4Addr),
    /// An IPv6 prefix.
    Ip6Net(Ipv6Net),
    /// A domain name: labels in wire form without the root, lower case.
    Name(&'a [u8], Scope),
}

/// Which names an entry of a `dnset` covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The name itself (`x`).
    Exact,
    /// All names below it (`*.x`).
    Below,
    /// Both (`.x`).
    Both,
}

/// What is answered: `:A:TXT` and its shorter forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EntryValue<'a> {
    /// The address; `None` takes the default in force.
    pub a: Option<Ipv4Addr>,
    /// The text.
    pub text: EntryText<'a>,
}

/// The text of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EntryText<'a> {
    /// The default in force.
    #[default]
    Default,
    /// None.
    Empty,
    /// This one, templates not yet expanded; longer ones than [`TEXT_LEN_MAX`] are cut.
    Own(&'a [u8]),
}

/// Octets of text kept for an entry: room for four character-strings, far over what rbldnsd keeps (255).
pub const TEXT_LEN_MAX: usize = 1020;

/// One record of a `generic` dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Owner relative to the zone: labels without the root, lower case; empty is the apex.
    pub owner: &'a [u8],
    /// Its TTL, s; `None` takes the zone's default.
    pub ttl: Option<u32>,
    /// Its type and data.
    pub data: RecordData<'a>,
}

/// Type and data of a `generic` record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordData<'a> {
    /// An IPv4 address (RFC 1035 section 3.4.1).
    A(Ipv4Addr),
    /// One text, split into character-strings when it is sent.
    Txt(&'a [u8]),
    /// Preference and host, wire form (RFC 1035 section 3.3.9).
    Mx(u16, &'a [u8]),
}
