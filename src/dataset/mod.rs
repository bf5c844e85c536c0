//! Frozen, searchable data.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::wire::name::Name;

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
}

impl Kind {
    /// Every type with its name in settings and command lines.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Ip4Set, "ip4set"),
        (Self::Ip4Tset, "ip4tset"),
        (Self::Ip4Trie, "ip4trie"),
        (Self::Ip6Tset, "ip6tset"),
        (Self::Ip6Trie, "ip6trie"),
        (Self::Dnset, "dnset"),
        (Self::Generic, "generic"),
        (Self::Combined, "combined"),
    ];

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
#[error("`{0}` is no dataset type; there are ip4set, ip4tset, ip4trie, ip6tset, ip6trie, dnset, generic and combined")]
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

/// One frozen dataset.
#[derive(Debug)]
pub struct Dataset {
    /// Its type.
    kind: Kind,
}

impl Dataset {
    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Entries, as its file's author would count them (a range is one).
    pub fn entries(&self) -> u64 {
        0
    }

    /// Heap memory it holds, octets.
    pub fn heap_bytes(&self) -> u64 {
        0
    }

    /// When the data expires (`$TIMESTAMP`), seconds since 1970.
    pub fn expires(&self) -> Option<i64> {
        None
    }

    /// The mount points of a `combined` dataset relative to the zone, `(labels below the zone, dataset)`;
    /// one pair with the zone's own name (empty labels) for any other type.
    pub fn parts(&self) -> Vec<(Vec<Name>, &Dataset)> {
        vec![(vec![Name::root()], self)]
    }

    /// Whether an address dataset lists this address; `false` for other types and for `combined` (ask its parts).
    pub fn lists_address(&self, address: IpAddr) -> bool {
        let _ = address;
        false
    }

    /// Whether a name dataset lists this name (relative, as in its file); `false` for other types.
    pub fn lists_name(&self, name: &Name) -> bool {
        let _ = name;
        false
    }
}
