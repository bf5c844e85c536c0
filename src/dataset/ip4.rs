//! The IPv4 datasets: octet levels (`ip4set`, `ip4tset`) and longest prefix (`ip4trie`).

use super::hosts::{Hosts, HostsBuilder};
use super::keys::Bits;
use super::layers::{Layers, Stream};
use super::ranges::{self, Prefix, Range};
use super::ranges4::Ranges4;
use super::values::{EXCLUDED, Interner};

/// Prefix lengths of the four octet levels, the finest first.
const LEVELS: [u32; 4] = [32, 24, 16, 8];

/// `ip4set`: each entry is broken up into /32, /24, /16 and /8 items; the finest level with an item for the address
/// answers, with all items of that level, and an exclusion kills everything of its own level.
#[derive(Debug, Default)]
pub struct Ip4Set {
    /// Items by level, the finest first, keyed by masked address.
    levels: [Hosts; 4],
}

/// First address of the /`len` around an address.
#[inline]
fn mask(address: u32, len: u32) -> u32 {
    address & (u32::MAX << (32 - len))
}

/// The items of a level as ranges.
fn items(level: &Hosts, len: u32) -> Stream<'_, u32> {
    Box::new(level.range(0, u32::MAX).map(move |(first, id)| Range { first, last: first.block_end(len), id }))
}

impl Ip4Set {
    /// The value id that answers for an address; [`EXCLUDED`] when an exclusion does.
    #[inline]
    pub fn get(&self, address: u32) -> Option<u32> {
        LEVELS.iter().zip(&self.levels).find_map(
            |(&len, level)| {
                if level.is_empty() { None } else { level.get(mask(address, len)) }
            },
        )
    }

    /// Bring what [`Ip4Set::get`] will look at first into the cache.
    #[inline]
    pub fn prefetch(&self, address: u32) {
        self.levels[0].prefetch(address);
        self.levels[1].prefetch(mask(address, LEVELS[1]));
    }

    /// Whether any address within `first..=last` is listed.
    pub fn any_listed(&self, first: u32, last: u32) -> bool {
        (0..LEVELS.len()).any(|level| {
            // Items of this level that reach into the block; an item may be wider than the block.
            let (low, high) = (mask(first, LEVELS[level]), last);
            self.levels[level].range(low, high).any(|(item, id)| {
                let end = item | (u32::MAX.checked_shr(LEVELS[level]).unwrap_or(0));
                id != EXCLUDED && !self.finer_cover(level, item.max(first), end.min(last))
            })
        })
    }

    /// Whether items of finer levels than `level` decide for every address within `first..=last`.
    fn finer_cover(&self, level: usize, first: u32, last: u32) -> bool {
        let Some(finer) = level.checked_sub(1) else {
            return false;
        };
        let mut at = first;
        for (item, _) in self.levels[finer].range(mask(first, LEVELS[finer]), last) {
            if item > at && !self.finer_cover(finer, at, item - 1) {
                return false;
            }
            let end = item | (u32::MAX.checked_shr(LEVELS[finer]).unwrap_or(0));
            if end >= last {
                return true;
            }
            at = end + 1;
        }
        self.finer_cover(finer, at, last)
    }

    /// Items of each level, the finest first.
    pub fn level_lens(&self) -> [usize; 4] {
        self.levels.each_ref().map(Hosts::len)
    }

    /// What is listed: disjoint ranges, ascending.
    pub fn ranges(&self) -> Layers<'_, u32> {
        Layers::new(LEVELS.iter().zip(&self.levels).map(|(&len, level)| items(level, len)).collect())
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.levels.iter().map(Hosts::heap_bytes).sum()
    }
}

/// An `ip4set` or `ip4tset` while loading.
#[derive(Debug, Default)]
pub struct Ip4SetBuilder {
    /// Items by level, the finest first.
    levels: [HostsBuilder; 4],
}

impl Ip4SetBuilder {
    /// Add a range, both ends included.
    #[inline]
    pub fn push(&mut self, first: u32, last: u32, id: u32) {
        if first == last {
            self.levels[0].push(first, id);
        } else {
            self.push_range(first, last, id);
        }
    }

    /// Break a range up into the widest whole octet levels that fit.
    fn push_range(&mut self, first: u32, last: u32, id: u32) {
        let mut at = first;
        loop {
            let mut level = 0;
            let mut end = at;
            for (wider, &len) in LEVELS.iter().enumerate().skip(1) {
                let wider_end = at | (u32::MAX >> len);
                if at != mask(at, len) || wider_end > last {
                    break;
                }
                (level, end) = (wider, wider_end);
            }
            self.levels[level].push(at, id);
            if end >= last {
                return;
            }
            at = end + 1;
        }
    }

    /// Freeze.
    pub fn finish(self, values: &mut Interner) -> Ip4Set {
        Ip4Set { levels: self.levels.map(|level| level.finish(|_, ids| values.combine(ids))) }
    }
}

/// `ip4trie`: the longest prefix around the address answers, with one value.
#[derive(Debug, Default)]
pub struct Ip4Trie {
    /// The /32s: nothing is longer, so they are asked first and need not cut the ranges.
    hosts: Hosts,
    /// All shorter prefixes, flattened.
    ranges: Ranges4,
}

impl Ip4Trie {
    /// The value id that answers for an address; [`EXCLUDED`] when a /32 exclusion does.
    #[inline]
    pub fn get(&self, address: u32) -> Option<u32> {
        if !self.hosts.is_empty()
            && let Some(id) = self.hosts.get(address)
        {
            return Some(id);
        }
        self.ranges.get(address)
    }

    /// Bring what [`Ip4Trie::get`] will look at into the cache.
    #[inline]
    pub fn prefetch(&self, address: u32) {
        self.hosts.prefetch(address);
        self.ranges.prefetch(address);
    }

    /// Whether any address within `first..=last` is listed.
    pub fn any_listed(&self, first: u32, last: u32) -> bool {
        if self.hosts.range(first, last).any(|(_, id)| id != EXCLUDED) {
            return true;
        }
        // Any host left is an exclusion: a range is listed unless they fill it.
        self.ranges.range(first, last).any(|range| {
            let (first, last) = (range.first.max(first), range.last.min(last));
            (self.hosts.range(first, last).count() as u64) < u64::from(last - first) + 1
        })
    }

    /// What is listed: disjoint ranges, ascending.
    pub fn ranges(&self) -> Layers<'_, u32> {
        let mut layers = vec![items(&self.hosts, 32)];
        layers.extend(self.ranges.streams());
        Layers::new(layers)
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.hosts.heap_bytes() + self.ranges.heap_bytes()
    }
}

/// An `ip4trie` while loading.
#[derive(Debug, Default)]
pub struct Ip4TrieBuilder {
    /// The /32s.
    hosts: HostsBuilder,
    /// Shorter prefixes.
    prefixes: Vec<Prefix<u32>>,
}

impl Ip4TrieBuilder {
    /// Add a prefix.
    #[inline]
    pub fn push(&mut self, first: u32, len: u8, id: u32) {
        if len == 32 {
            self.hosts.push(first, id);
        } else {
            self.prefixes.push(Prefix { first, id, len });
        }
    }

    /// Freeze; prefixes that came again are told, the first one counts.
    pub fn finish(mut self, mut duplicate: impl FnMut(u32, u8)) -> Ip4Trie {
        let hosts = self.hosts.finish(|host, ids| {
            ids.iter().skip(1).for_each(|_| duplicate(host, 32));
            ids[0]
        });
        ranges::sort(&mut self.prefixes, &mut duplicate);
        Ip4Trie { hosts, ranges: Ranges4::new(self.prefixes) }
    }
}
