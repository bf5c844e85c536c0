//! How much of what is in a dataset, as rbldnsd tells it when it has loaded one.

use super::{Data, Dataset, Kind};

/// Counts of a dataset, by type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// `ip4set`: items of the levels /32, /24, /16 and /8.
    Levels([usize; 4]),
    /// `ip4tset`: addresses.
    Addresses(usize),
    /// `ip6tset`.
    Networks {
        /// Listed /64s.
        listed: usize,
        /// Excepted addresses.
        excluded: usize,
    },
    /// `ip4trie`, `ip6trie`: prefixes as their author counts them.
    Prefixes(u64),
    /// `dnset`.
    Names {
        /// Names with an entry of their own.
        exact: usize,
        /// Names with an entry for what is below them.
        below: usize,
    },
    /// `generic`: records.
    Records(u64),
    /// `combined`, whose parts are to be asked, and `acl`.
    Other,
}

impl Dataset {
    /// How much of what is in it.
    pub fn counts(&self) -> Counts {
        match &self.data {
            Data::Ip4Set(set) if self.kind == Kind::Ip4Tset => Counts::Addresses(set.level_lens()[0]),
            Data::Ip4Set(set) => Counts::Levels(set.level_lens()),
            Data::Ip4Trie(_) | Data::Ip6Trie(_) => Counts::Prefixes(self.entries),
            Data::Ip6Tset(set) => {
                let (listed, excluded) = set.lens();
                Counts::Networks { listed, excluded }
            }
            Data::Dnset(names) => {
                let [exact, below] = names.side_lens();
                Counts::Names { exact, below }
            }
            Data::Generic(_) => Counts::Records(self.entries),
            Data::Combined(_) | Data::Acl(_) => Counts::Other,
        }
    }
}
