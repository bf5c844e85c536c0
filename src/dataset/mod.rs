//! Frozen, searchable data: entries in, ids of values out.
//!
//! | module | what |
//! | --- | --- |
//! | [`entry`] | what a line or the feeder says of one subject |
//! | [`builder`] | entries on their way to a dataset |
//! | [`values`], [`template`] | what is answered, each thing kept once; its templates |
//! | [`hosts`], [`ranges`], [`ranges4`] | addresses to value ids: 16-bit strides, disjoint ranges |
//! | [`layers`] | what is listed, in order |
//! | [`ip4`], [`ip6`] | the address datasets, made of those |
//! | [`names`], [`records`] | names to value ids; `generic` |
//! | [`counts`] | how much of what there is |
//! | [`clients`] | `acl`: client networks to actions |
//! | [`keys`], [`mod@column`] | sorted keys with an index; numbers in the narrowest width |

pub mod builder;
pub mod clients;
pub mod column;
pub mod counts;
pub mod entry;
pub mod hosts;
pub mod ip4;
pub mod ip6;
pub mod keys;
pub mod layers;
pub mod names;
pub mod ranges;
pub mod ranges4;
pub mod records;
pub mod template;
#[cfg(test)]
mod tests;
pub mod values;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

pub use builder::{AddError, Builder};
pub use entry::{Action, Entry, EntryText, EntryValue, Key, Rule, Scope, Treatment};

use crate::sys;
use crate::wire::name::Name;
use clients::{Clients, Decision};
use ip4::{Ip4Set, Ip4Trie};
use ip6::{Ip6Trie, Ip6Tset};
use layers::Layers;
use names::Names;
use records::Records;
use template::Template;
use values::{EXCLUDED, Values};

/// An array as it stays: of its length, and in large pages where it fills some, so that a look-up in a long one waits for no page table.
fn frozen<T>(values: Vec<T>) -> Box<[T]> {
    let values = values.into_boxed_slice();
    sys::advise_large_pages(&values);
    values
}

/// The types of dataset, named as rbldnsd names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses, ranges and prefixes, a value each; octet levels decide.
    Ip4Set,
    /// Single IPv4 addresses, one value for all.
    Ip4Tset,
    /// IPv4 prefixes, the longest wins.
    Ip4Trie,
    /// IPv6 /64s with /128 exceptions, one value for all.
    Ip6Tset,
    /// IPv6 prefixes, the longest wins.
    Ip6Trie,
    /// Domain names and leading wildcards.
    Dnset,
    /// A, TXT and MX records by relative name.
    Generic,
    /// Sections of the above in one set of files.
    Combined,
    /// No list: client networks, and what becomes of their queries.
    Acl,
}

impl Kind {
    /// Every type with its name in settings and command lines.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Ip4Set, "ip4set"),
        (Self::Ip4Tset, "ip4tset"),
        (Self::Ip4Trie, "ip4trie"),
        (Self::Ip6Tset, "ip6tset"),
        (Self::Ip6Trie, "ip6trie"),
        (Self::Dnset, "dnset"),
        (Self::Generic, "generic"),
        (Self::Combined, "combined"),
        (Self::Acl, "acl"),
    ];

    /// Whether its keys are IPv4 addresses.
    pub fn has_ip4(self) -> bool {
        matches!(self, Self::Ip4Set | Self::Ip4Tset | Self::Ip4Trie)
    }

    /// Whether its keys are addresses.
    pub fn has_addresses(self) -> bool {
        self.has_ip4() || matches!(self, Self::Ip6Tset | Self::Ip6Trie)
    }

    /// The name in settings, command lines and metrics.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no dataset type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no dataset type; there are ip4set, ip4tset, ip4trie, ip6tset, ip6trie, dnset, generic, combined and acl"
)]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(kind, _)| *kind)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// What a dataset's special lines say of the whole zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `$SOA`.
    pub soa: Option<Soa>,
    /// `$NS`.
    pub ns: Option<NameServers>,
    /// `$TTL` of all entries, s.
    pub ttl: Option<u32>,
    /// `$TIMESTAMP`: when the data was made, seconds since 1970.
    pub timestamp: Option<i64>,
    /// `$TIMESTAMP`: when it expires, seconds since 1970.
    pub expires: Option<i64>,
    /// `$=` and `$0`–`$9`.
    pub template: Template,
}

/// Start of authority (RFC 1035 section 3.3.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// TTL of the record itself, s; 0 takes the zone's default.
    pub ttl: u32,
    /// Primary name server.
    pub mname: Name,
    /// Mailbox of the person responsible, as a name.
    pub rname: Name,
    /// Serial; 0 takes one from the files' times.
    pub serial: u32,
    /// Refresh, s.
    pub refresh: u32,
    /// Retry, s.
    pub retry: u32,
    /// Expire, s.
    pub expire: u32,
    /// Negative TTL, s (RFC 2308 section 4).
    pub minimum: u32,
}

/// Name servers of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServers {
    /// TTL of the record set, s; 0 takes the zone's default.
    pub ttl: u32,
    /// Their names, none twice.
    pub names: Vec<Name>,
}

/// One frozen dataset.
#[derive(Debug)]
pub struct Dataset {
    /// Its type.
    kind: Kind,
    /// What its special lines say.
    header: Header,
    /// Its entries.
    data: Data,
    /// What they say.
    values: Values,
    /// Entries, as the author of the file would count them.
    entries: u64,
}

/// The entries of a dataset, by type.
#[derive(Debug)]
pub(crate) enum Data {
    /// `ip4set` and `ip4tset`.
    Ip4Set(Ip4Set),
    /// `ip4trie`.
    Ip4Trie(Ip4Trie),
    /// `ip6tset`.
    Ip6Tset(Ip6Tset),
    /// `ip6trie`.
    Ip6Trie(Ip6Trie),
    /// `dnset`.
    Dnset(Names),
    /// `generic`.
    Generic(Records),
    /// `combined`.
    Combined(Vec<Part>),
    /// `acl`.
    Acl(Clients),
}

/// One section of a `combined` dataset.
#[derive(Debug)]
pub struct Part {
    /// Its names below the zone, lower case; the root means the zone itself.
    pub names: Vec<Name>,
    /// Its data.
    pub dataset: Dataset,
}

impl Dataset {
    /// A `combined` dataset of its sections.
    pub fn combined(header: Header, parts: Vec<Part>) -> Self {
        let entries = parts.iter().map(|part| part.dataset.entries).sum();
        Self { kind: Kind::Combined, header, data: Data::Combined(parts), values: Values::default(), entries }
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What its special lines say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Entries, as its file's author would count them (a range is one).
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Its entries in searchable form.
    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    /// What its entries say.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Heap memory it holds, octets.
    pub fn heap_bytes(&self) -> u64 {
        let data = match &self.data {
            Data::Ip4Set(set) => set.heap_bytes(),
            Data::Ip4Trie(trie) => trie.heap_bytes(),
            Data::Ip6Tset(set) => set.heap_bytes(),
            Data::Ip6Trie(trie) => trie.heap_bytes(),
            Data::Dnset(names) => names.heap_bytes(),
            Data::Generic(records) => records.heap_bytes(),
            Data::Combined(parts) => parts.iter().map(|part| part.dataset.heap_bytes() as usize).sum(),
            Data::Acl(clients) => clients.heap_bytes(),
        };
        (data + self.values.heap_bytes() + self.header.template.heap_bytes()) as u64
    }

    /// When the data expires (`$TIMESTAMP`), seconds since 1970: the earliest of its sections'. An `acl` never does:
    /// as in rbldnsd it stays in force, rather than open what it closes or close what it opens.
    pub fn expires(&self) -> Option<i64> {
        if self.kind == Kind::Acl {
            return None;
        }
        let parts: &[Part] = if let Data::Combined(parts) = &self.data { parts } else { &[] };
        parts.iter().filter_map(|part| part.dataset.expires()).chain(self.header.expires).min()
    }

    /// The mount points of a `combined` dataset relative to the zone with their data; for any other type one pair
    /// with the zone's own name (the root).
    pub fn parts(&self) -> Vec<(Vec<Name>, &Dataset)> {
        match &self.data {
            Data::Combined(parts) => parts.iter().map(|part| (part.names.clone(), &part.dataset)).collect(),
            _ => vec![(vec![Name::root()], self)],
        }
    }

    /// The id of the value that answers for an IPv4 address.
    #[inline]
    pub(crate) fn find_ip4(&self, address: u32) -> Option<u32> {
        match &self.data {
            Data::Ip4Set(set) => set.get(address),
            Data::Ip4Trie(trie) => trie.get(address),
            _ => None,
        }
    }

    /// The id of the value that answers for an IPv6 address.
    #[inline]
    pub(crate) fn find_ip6(&self, address: u128) -> Option<u32> {
        match &self.data {
            Data::Ip6Trie(trie) => trie.get(address),
            Data::Ip6Tset(set) => set.contains(address).then_some(values::FIRST),
            _ => None,
        }
    }

    /// What an `acl` says of a client; any other dataset lets everybody pass.
    pub(crate) fn decide(&self, client: IpAddr) -> Decision {
        match &self.data {
            Data::Acl(clients) => clients.decide(client),
            _ => Decision::Act(Action::Pass),
        }
    }

    /// What an IPv4 dataset lists, as disjoint ranges, ascending; nothing for other types.
    pub(crate) fn ranges4(&self) -> Layers<'_, u32> {
        match &self.data {
            Data::Ip4Set(set) => set.ranges(),
            Data::Ip4Trie(trie) => trie.ranges(),
            _ => Layers::new(Vec::new()),
        }
    }

    /// What an IPv6 dataset lists, likewise.
    pub(crate) fn ranges6(&self) -> Layers<'_, u128> {
        match &self.data {
            Data::Ip6Trie(trie) => trie.ranges(),
            Data::Ip6Tset(set) => set.ranges(),
            _ => Layers::new(Vec::new()),
        }
    }

    /// Whether an address dataset lists this address; `false` for other types and for `combined` (ask its parts).
    pub fn lists_address(&self, address: IpAddr) -> bool {
        let id = match address {
            IpAddr::V4(address) => self.find_ip4(address.into()),
            IpAddr::V6(address) => self.find_ip6(address.into()),
        };
        id.is_some_and(|id| id != EXCLUDED)
    }

    /// Whether an address dataset lists any address of a prefix; `false` for other types and for `combined`.
    pub fn lists_any(&self, prefix: ipnet::IpNet) -> bool {
        match (prefix, &self.data) {
            (ipnet::IpNet::V4(net), Data::Ip4Set(set)) => set.any_listed(net.network().into(), net.broadcast().into()),
            (ipnet::IpNet::V4(net), Data::Ip4Trie(trie)) => {
                trie.any_listed(net.network().into(), net.broadcast().into())
            }
            (ipnet::IpNet::V6(net), _) => self.any_ip6(net.network().into(), net.broadcast().into()),
            _ => false,
        }
    }

    /// Whether an IPv6 dataset lists any address within `first..=last`.
    pub(crate) fn any_ip6(&self, first: u128, last: u128) -> bool {
        match &self.data {
            Data::Ip6Trie(trie) => trie.any_listed(first, last),
            Data::Ip6Tset(set) => set.any_listed(first, last),
            _ => false,
        }
    }

    /// Whether a `dnset` lists this name, or a `generic` has records for it (relative, as in its file).
    pub fn lists_name(&self, name: &Name) -> bool {
        let name = name.to_lower();
        match &self.data {
            Data::Dnset(names) => find_name(names, name.labels()).is_some_and(|found| found.id != EXCLUDED),
            Data::Generic(records) => records.get(name.labels()).is_some_and(|mut found| found.next().is_some()),
            _ => false,
        }
    }
}

/// What a `dnset` says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundName<'q> {
    /// The id of the value that answers.
    pub id: u32,
    /// The labels of the entry that answers: the name itself or one above it.
    pub entry: &'q [u8],
}

/// The entry of a `dnset` that answers for a name: the name's own first, an exclusion included, then the longest
/// wildcard above it.
///
/// In terms of DNS records (RFC 4592) `*.w` stands for itself and for a copy at each name below `w` that exists,
/// unless that name has a wildcard of its own: an existing closer name does not block it.
pub(crate) fn find_name<'q>(names: &Names, name: &'q [u8]) -> Option<FoundName<'q>> {
    if names.is_empty() {
        return None;
    }
    if let Some(id) = names.get(name).and_then(|hit| hit.exact) {
        return Some(FoundName { id, entry: name });
    }
    let mut depth = names::count_labels(name);
    let mut rest = name;
    while let Some((&len, tail)) = rest.split_first() {
        rest = tail.get(usize::from(len)..)?;
        depth -= 1;
        if names.has_below(depth)
            && let Some(id) = names.get(rest).and_then(|hit| hit.below)
        {
            return Some(FoundName { id, entry: rest });
        }
    }
    None
}
