//! Sorted keys with a short index over their top bits.
//!
//! The index cuts the span between the smallest and the largest key into equal parts, about one for every
//! eight keys, and says where each part begins. A search looks at one part only. It serves whatever
//! is too small or too wide for the 16-bit strides of [`super::hosts`].

use super::frozen;
use crate::sys;

/// Keys for each part of the span: half a cache line of 32-bit keys, and an index of half an octet a key.
const KEYS_PER_BUCKET: usize = 8;
/// Parts at most: 4 MiB of index, beyond which it would not stay in a cache anyway.
const BUCKETS_MAX: usize = 1 << 20;

/// An unsigned integer that addresses are made of.
pub trait Bits: Copy + Ord + Default + std::fmt::Debug {
    /// Bits in it.
    const BITS: u32;
    /// Octets in it.
    const OCTETS: usize;
    /// All bits set.
    const MAX: Self;
    /// `(self - base) >> shift`, saturated to `usize`.
    fn part(self, base: Self, shift: u32) -> usize;
    /// Leading zeros of `self - base`.
    fn span_zeros(self, base: Self) -> u32;
    /// The last address of the block of this prefix length that begins here.
    fn block_end(self, prefix_len: u32) -> Self;
    /// The next address; wraps at the end.
    fn next(self) -> Self;
    /// The address before; wraps at the beginning.
    fn previous(self) -> Self;
    /// The prefix length of the block `self..=end`, if it is one.
    fn block_len(self, end: Self) -> Option<u32>;
}

/// Implement [`Bits`] for a primitive.
macro_rules! bits {
    ($($int:ty),*) => {$(
        impl Bits for $int {
            const BITS: u32 = <$int>::BITS;
            const OCTETS: usize = size_of::<$int>();
            const MAX: Self = <$int>::MAX;
            #[inline]
            fn part(self, base: Self, shift: u32) -> usize {
                usize::try_from((self - base) >> shift).unwrap_or(usize::MAX)
            }
            fn span_zeros(self, base: Self) -> u32 {
                (self - base).leading_zeros()
            }
            #[inline]
            fn block_end(self, prefix_len: u32) -> Self {
                self | <$int>::MAX.checked_shr(prefix_len).unwrap_or(0)
            }
            #[inline]
            fn next(self) -> Self {
                self.wrapping_add(1)
            }
            #[inline]
            fn previous(self) -> Self {
                self.wrapping_sub(1)
            }
            fn block_len(self, end: Self) -> Option<u32> {
                let differing = self ^ end;
                let len = differing.leading_zeros();
                let host_bits = <$int>::MAX.checked_shr(len).unwrap_or(0);
                (differing == host_bits && self & host_bits == 0).then_some(len)
            }
        }
    )*};
}
bits!(u32, u64, u128);

/// Distinct keys in ascending order.
#[derive(Debug)]
pub struct Keys<K> {
    /// The keys.
    keys: Box<[K]>,
    /// The smallest key.
    base: K,
    /// Bits of a key's distance from the base that do not count for its part.
    shift: u32,
    /// Where each part begins, and the number of keys.
    index: Box<[u32]>,
}

impl<K: Bits> Keys<K> {
    /// From distinct keys in ascending order.
    pub fn new(keys: Vec<K>) -> Self {
        let keys = frozen(keys);
        let (Some(&base), Some(&last)) = (keys.first(), keys.last()) else {
            return Self { keys, base: K::default(), shift: 0, index: Box::new([0]) };
        };
        let wanted = (keys.len() / KEYS_PER_BUCKET).clamp(1, BUCKETS_MAX);
        let span_bits = K::BITS - last.span_zeros(base);
        let shift = span_bits.saturating_sub(wanted.ilog2() + u32::from(!wanted.is_power_of_two()));
        // A shift by all bits would overflow: one part then takes the whole span.
        let shift = shift.min(K::BITS - 1);
        let parts = last.part(base, shift) + 1;
        let mut index = Vec::with_capacity(parts + 1);
        for (row, key) in keys.iter().enumerate() {
            let part = key.part(base, shift);
            while index.len() <= part {
                index.push(row as u32);
            }
        }
        index.push(keys.len() as u32);
        Self { keys, base, shift, index: frozen(index) }
    }

    /// Number of keys that are at most `key`: one past the row of its predecessor.
    #[inline]
    pub fn rank(&self, key: K) -> usize {
        if key < self.base {
            return 0;
        }
        let part = key.part(self.base, self.shift);
        let Some(&end) = self.index.get(part.saturating_add(1)) else {
            return self.keys.len();
        };
        let start = self.index[part] as usize;
        start + self.keys[start..end as usize].partition_point(|&k| k <= key)
    }

    /// Bring what [`Keys::rank`] will look at into the cache.
    #[inline]
    pub fn prefetch(&self, key: K) {
        if key >= self.base {
            let part = key.part(self.base, self.shift);
            if let (Some(&start), Some(&end)) = (self.index.get(part), self.index.get(part.saturating_add(1))) {
                sys::prefetch(&self.keys, (start as usize + end as usize) / 2);
            }
        }
    }

    /// The row of a key.
    #[inline]
    pub fn find(&self, key: K) -> Option<usize> {
        let row = self.rank(key).checked_sub(1)?;
        (self.keys[row] == key).then_some(row)
    }

    /// The key in a row.
    #[inline]
    pub fn get(&self, row: usize) -> K {
        self.keys[row]
    }

    /// Rows of the keys within `first..=last`.
    pub fn rows(&self, first: K, last: K) -> std::ops::Range<usize> {
        let below = self.rank(first);
        let start = if below > 0 && self.keys[below - 1] == first { below - 1 } else { below };
        start..self.rank(last).max(start)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.keys.len() * K::OCTETS + self.index.len() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rank_counts_keys_up_to_and_with(mut keys in prop::collection::vec(any::<u32>().prop_map(|k| k >> (k % 32)), 0..300), asked in any::<u32>(), width in 0u32..32) {
            keys.sort_unstable();
            keys.dedup();
            let sorted = Keys::new(keys.clone());
            for key in keys.iter().copied().chain([asked >> width, 0, u32::MAX]) {
                for key in [key, key.wrapping_sub(1), key.wrapping_add(1)] {
                    prop_assert_eq!(sorted.rank(key), keys.iter().filter(|&&k| k <= key).count());
                    prop_assert_eq!(sorted.find(key), keys.iter().position(|&k| k == key));
                }
            }
            let (low, high) = (asked.min(asked >> width), asked.max(asked >> width));
            let rows = sorted.rows(low, high);
            prop_assert_eq!(keys[rows].to_vec(), keys.iter().copied().filter(|k| (low..=high).contains(k)).collect::<Vec<_>>());
        }

        #[test]
        fn wide_keys_are_found(mut keys in prop::collection::vec(any::<u128>().prop_map(|k| k >> (k % 128)), 0..100)) {
            keys.sort_unstable();
            keys.dedup();
            let sorted = Keys::new(keys.clone());
            for (row, &key) in keys.iter().enumerate() {
                prop_assert_eq!(sorted.find(key), Some(row));
            }
        }
    }

    #[test]
    fn blocks_are_told_from_ranges() {
        for (start, end, len) in
            [(0u32, u32::MAX, Some(0)), (4, 7, Some(30)), (4, 4, Some(32)), (4, 6, None), (2, 5, None), (6, 9, None)]
        {
            assert_eq!(start.block_len(end), len, "{start}..={end}");
        }
        assert_eq!(0u32.block_end(0), u32::MAX);
        assert_eq!(8u32.block_end(30), 11);
        assert_eq!(8u32.block_end(32), 8);
    }
}
