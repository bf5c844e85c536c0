//! What a zone lists, written out for other programs.
//!
//! | module | what |
//! | --- | --- |
//! | [`master_file`] | DNS master files (RFC 1035 section 5), for BIND, NSD, Knot and their like |
//! | [`nftables()`](nftables) | sets for a packet filter |
//! | `addresses` | the names of listed addresses: hosts, and blocks as wildcards |
//! | `names` | the names of `dnset` and `generic`, with the wildcards among them |
//! | `numeric` | names of theirs that are addresses or stand in the way of one |
//! | `union` | several datasets as one ascending run of ranges |
//! | `records`, `file` | the record sets of one name, and how they are spelled |
//!
//! A DNS server that loads the file answers as we do, as far as DNS allows. A wildcard stops where a name exists
//! (RFC 4592 section 3.3.1), so it is never laid over something else: what differs below a block is split off, down to
//! single hosts. What can not be said in a master file:
//!
//! - A wildcard's text can not hold the address that was asked about: there `$` is the first address of the block, as
//!   in rbldnsd's dump. Texts of single hosts and of names are exact.
//! - A wildcard answers for every name below it, also for those that are no address (`5.10` or `x.5.2.0.192`).
//! - A name excluded from below a wildcard of a `dnset` has to exist: it is NODATA rather than NXDOMAIN, by a HINFO
//!   record where nothing else makes it exist.
//! - Partial addresses are NODATA only where something is listed below them.
//! - A section of `combined` whose name is a part of an address (`5`, `a.b`) beside a list of addresses is an error: the
//!   same names would be both.
//! - A name with an asterisk for a label is left out, for it would be a wildcard.
//! - The code for addresses in a zone of names (`wrong-kind-code`) would be a record for each address there is.

mod addresses;
mod file;
mod master;
mod names;
mod nftables;
mod numeric;
mod records;
#[cfg(test)]
mod tests;
mod union;

use std::fmt;
use std::str::FromStr;

pub use master::master_file;
pub use nftables::nftables;

/// The formats that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A DNS master file.
    MasterFile,
    /// Sets for nftables.
    Nftables,
}

impl Format {
    /// Every format with its name on the command line.
    pub const ALL: [(Self, &'static str); 2] = [(Self::MasterFile, "master-file"), (Self::Nftables, "nftables")];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::ALL.iter().find(|(format, _)| format == self).map_or("", |(_, name)| name))
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format; there are master-file and nftables")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(format, _)| *format).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}
