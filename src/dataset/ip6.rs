//! The IPv6 datasets: /64s with exceptions (`ip6tset`) and longest prefix (`ip6trie`).
//!
//! An address is asked in two halves: nearly all lists speak of /64s and wider, which are 64-bit keys. Longer
//! prefixes stand apart and are asked first.

use super::keys::Keys;
use super::layers::{Layers, Stream};
use super::ranges::{self, Prefix, Range, Ranges};
use super::values::{EXCLUDED, FIRST};

/// Bits of an address that a network's prefix has at most in practice.
const HALF: u32 = 64;

/// First and last /64 (top halves) that `first..=last` lies in.
fn top_half(address: u128) -> u64 {
    (address >> HALF) as u64
}

/// The addresses in a range of /64s.
fn whole(first: u64, last: u64, id: u32) -> Range<u128> {
    Range { first: u128::from(first) << HALF, last: u128::from(last) << HALF | u128::from(u64::MAX), id }
}

/// `ip6trie`: the longest prefix around the address answers, with one value.
#[derive(Debug, Default)]
pub struct Ip6Trie {
    /// Prefixes longer than /64, flattened; exclusions are kept, as the networks must not be asked then.
    long: Ranges<u128>,
    /// Prefixes up to /64, flattened, by top half.
    networks: Ranges<u64>,
}

impl Ip6Trie {
    /// The value id that answers for an address; [`EXCLUDED`] when a long exclusion does.
    #[inline]
    pub fn get(&self, address: u128) -> Option<u32> {
        if !self.long.is_empty()
            && let Some(id) = self.long.get(address)
        {
            return Some(id);
        }
        self.networks.get(top_half(address))
    }

    /// Bring what [`Ip6Trie::get`] will look at first into the cache.
    #[inline]
    pub fn prefetch(&self, address: u128) {
        self.long.prefetch(address);
        self.networks.prefetch(top_half(address));
    }

    /// Whether any address within `first..=last` is listed.
    pub fn any_listed(&self, first: u128, last: u128) -> bool {
        if self.long.range(first, last).any(|range| range.id != EXCLUDED) {
            return true;
        }
        // What is left of the long ones are exclusions: a network is listed unless they fill it.
        self.networks.range(top_half(first), top_half(last)).any(|range| {
            let low = (u128::from(range.first) << HALF).max(first);
            let high = (u128::from(range.last) << HALF | u128::from(u64::MAX)).min(last);
            let mut at = low;
            for hole in self.long.range(low, high) {
                if hole.first > at {
                    return true;
                }
                if hole.last >= high {
                    return false;
                }
                at = hole.last + 1;
            }
            at <= high
        })
    }

    /// What is listed: disjoint ranges, ascending.
    pub fn ranges(&self) -> Layers<'_, u128> {
        let networks = self.networks.range(0, u64::MAX).map(|range| whole(range.first, range.last, range.id));
        let layers: [Stream<'_, u128>; 2] = [Box::new(self.long.range(0, u128::MAX)), Box::new(networks)];
        Layers::new(layers.into())
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.long.heap_bytes() + self.networks.heap_bytes()
    }
}

/// An `ip6trie` while loading.
#[derive(Debug, Default)]
pub struct Ip6TrieBuilder {
    /// Prefixes longer than /64.
    long: Vec<Prefix<u128>>,
    /// Prefixes up to /64.
    networks: Vec<Prefix<u64>>,
}

impl Ip6TrieBuilder {
    /// Add a prefix.
    #[inline]
    pub fn push(&mut self, first: u128, len: u8, id: u32) {
        if u32::from(len) > HALF {
            self.long.push(Prefix { first, id, len });
        } else {
            self.networks.push(Prefix { first: top_half(first), id, len });
        }
    }

    /// Freeze; prefixes that came again are told, the first one counts.
    pub fn finish(mut self, mut duplicate: impl FnMut(u128, u8)) -> Ip6Trie {
        ranges::sort(&mut self.long, &mut duplicate);
        let long = Ranges::new(self.long, true);
        ranges::sort(&mut self.networks, |first: u64, len| duplicate(u128::from(first) << HALF, len));
        Ip6Trie { long, networks: Ranges::new(self.networks, false) }
    }
}

/// `ip6tset`: an address is listed if its /64 is, unless it is excepted itself.
#[derive(Debug)]
pub struct Ip6Tset {
    /// Listed /64s, top halves.
    networks: Keys<u64>,
    /// Excepted addresses.
    exceptions: Keys<u128>,
}

impl Ip6Tset {
    /// Whether an address is listed.
    #[inline]
    pub fn contains(&self, address: u128) -> bool {
        self.networks.find(top_half(address)).is_some() && self.exceptions.find(address).is_none()
    }

    /// Whether any address within `first..=last` is listed.
    pub fn any_listed(&self, first: u128, last: u128) -> bool {
        self.networks.rows(top_half(first), top_half(last)).any(|row| {
            let network = u128::from(self.networks.get(row)) << HALF;
            let (low, high) = (network.max(first), (network | u128::from(u64::MAX)).min(last));
            // `high - low` is one less than the number of addresses.
            (self.exceptions.rows(low, high).len() as u128) <= high - low
        })
    }

    /// Listed /64s and excepted addresses.
    pub fn lens(&self) -> (usize, usize) {
        (self.networks.len(), self.exceptions.len())
    }

    /// What is listed, all under the first id: disjoint ranges, ascending.
    pub fn ranges(&self) -> Layers<'_, u128> {
        let exceptions = self.exceptions.rows(0, u128::MAX).map(|row| self.exceptions.get(row));
        let exceptions = exceptions.map(|address| Range { first: address, last: address, id: EXCLUDED });
        let networks = self.networks.rows(0, u64::MAX).map(|row| self.networks.get(row));
        let networks = networks.map(|network| whole(network, network, FIRST));
        let layers: [Stream<'_, u128>; 2] = [Box::new(exceptions), Box::new(networks)];
        Layers::new(layers.into())
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.networks.heap_bytes() + self.exceptions.heap_bytes()
    }
}

/// An `ip6tset` while loading.
#[derive(Debug, Default)]
pub struct Ip6TsetBuilder {
    /// Listed /64s, top halves.
    networks: Vec<u64>,
    /// Excepted addresses.
    exceptions: Vec<u128>,
}

impl Ip6TsetBuilder {
    /// List the /64 around an address.
    pub fn list(&mut self, address: u128) {
        self.networks.push(top_half(address));
    }

    /// Except an address.
    pub fn except(&mut self, address: u128) {
        self.exceptions.push(address);
    }

    /// Freeze.
    pub fn finish(mut self) -> Ip6Tset {
        self.networks.sort_unstable();
        self.networks.dedup();
        self.exceptions.sort_unstable();
        self.exceptions.dedup();
        Ip6Tset { networks: Keys::new(self.networks), exceptions: Keys::new(self.exceptions) }
    }
}
