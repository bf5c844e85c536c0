//! The lists that all servers load, and what is asked about them: listed subjects, near misses, names of parts.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use crate::lists::{self, Rng};
use crate::queries::Ranges;

/// What a zone file begins with: apex records, so that every server can say the same, the value of all entries, and its text. `SERIAL` is replaced.
const HEAD: &str = "$SOA 3600 ns1.example.org hostmaster.example.org SERIAL 10m 5m 30d 1h\n$NS 1d ns1.example.org ns2.example.org\n\
                    $TTL 2100\n:127.0.0.2:Listed, see https://bl.example.org/why\n";
/// A host that only the second version of a list has: when it is answered, a reload is through.
pub const MARK: u32 = 0xC000_0263;
/// Tries to find something that is not listed near a listed one.
const TRIES: u64 = 10_000;

/// The entries of a list.
#[derive(Debug)]
pub enum Entries {
    /// Single hosts, sorted.
    Hosts(Vec<u32>),
    /// Prefixes, sorted, with the ranges that they cover.
    Prefixes(Vec<(u32, u8)>, Ranges),
    /// Names relative to the zone, with a set of them.
    Names(Vec<String>, HashSet<String>),
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An address.
    Address(u32),
    /// A name relative to the zone.
    Name(String),
}

impl Entries {
    /// Hosts that stand alone, in groups and in runs.
    pub fn hosts(n: usize) -> Self {
        Self::Hosts(lists::hosts_in_runs(n, 21))
    }

    /// Hosts as given, in any order.
    pub fn of_hosts(mut hosts: Vec<u32>) -> Self {
        hosts.sort_unstable();
        hosts.dedup();
        Self::Hosts(hosts)
    }

    /// Prefixes with the lengths of real lists.
    pub fn prefixes(n: usize) -> Self {
        let prefixes = lists::prefixes_v4(n, 22);
        let ranges = Ranges::of_prefixes_v4(&prefixes);
        Self::Prefixes(prefixes, ranges)
    }

    /// Names of about 18 letters.
    pub fn names(n: usize) -> Self {
        let names = lists::names(n, 23);
        let set = names.iter().cloned().collect();
        Self::Names(names, set)
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Hosts(hosts) => hosts.len(),
            Self::Prefixes(prefixes, _) => prefixes.len(),
            Self::Names(names, _) => names.len(),
        }
    }

    /// The dataset type that holds them, in dnsbld and in rbldnsd.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hosts(_) => "ip4set",
            Self::Prefixes(..) => "ip4trie",
            Self::Names(..) => "dnset",
        }
    }

    /// Write the zone file; the second version has the [`MARK`] too.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write(&self, path: &Path, second: bool) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        out.write_all(HEAD.replace("SERIAL", if second { "2" } else { "1" }).as_bytes())?;
        match self {
            Self::Hosts(hosts) => {
                for &host in hosts {
                    writeln!(out, "{}", Ipv4Addr::from_bits(host))?;
                }
                if second {
                    writeln!(out, "{}", Ipv4Addr::from_bits(MARK))?;
                }
            }
            Self::Prefixes(prefixes, _) => {
                for &(base, length) in prefixes {
                    writeln!(out, "{}/{length}", Ipv4Addr::from_bits(base))?;
                }
            }
            Self::Names(names, _) => {
                for name in names {
                    writeln!(out, "{name}")?;
                }
            }
        }
        out.flush()
    }

    /// The listed subject of a rank; neighbours in rank are no neighbours in the list.
    pub fn hit(&self, rank: usize, rng: &mut Rng) -> Subject {
        let at = scatter(rank, self.len());
        match self {
            Self::Hosts(hosts) => Subject::Address(hosts[at]),
            Self::Prefixes(prefixes, _) => {
                let (base, length) = prefixes[at];
                Subject::Address(base | rng.below(1 << (32 - length)) as u32)
            }
            Self::Names(names, _) => Subject::Name(names[at].clone()),
        }
    }

    /// The subject of a rank that is not listed: the same rank gives the same, near a listed one. `None` where all around is listed.
    pub fn miss(&self, rank: usize) -> Option<Subject> {
        let at = scatter(rank, self.len());
        let rng = &mut Rng::new(rank as u64 ^ 0x5eed_0000_0000);
        (0..TRIES).find_map(|_| match self {
            Self::Hosts(hosts) => {
                let near = hosts[at] & 0xffff_0000 | rng.below(1 << 16) as u32;
                (near != MARK && hosts.binary_search(&near).is_err()).then_some(Subject::Address(near))
            }
            Self::Prefixes(prefixes, ranges) => {
                let (base, length) = prefixes[at];
                let behind = (u64::from(base) + (1 << (32 - length)) + rng.below(1 << 16)) as u32;
                (!ranges.contain(behind.into())).then_some(Subject::Address(behind))
            }
            Self::Names(names, set) => {
                let mut name = names[at].clone().into_bytes();
                let letter = rng.below(name.len() as u64 - 4) as usize;
                if !name[letter].is_ascii_alphabetic() {
                    return None;
                }
                name[letter] = b'a' + rng.below(26) as u8;
                let name = String::from_utf8(name).ok()?;
                (!set.contains(&name)).then_some(Subject::Name(name))
            }
        })
    }
}

/// A permutation of the places 0 to `n` - 1, taken at a rank from 1 on.
fn scatter(rank: usize, n: usize) -> usize {
    /// A prime larger than any list, so that it divides no length.
    const STRIDE: u128 = 2_654_435_761;
    (rank as u128 * STRIDE % n as u128) as usize
}
