//! Nested prefixes, flattened into disjoint ranges, to value ids.
//!
//! Once a list is loaded nothing is inserted any more, so "the longest prefix wins" can be decided beforehand:
//! each address then lies in one range at most, and a search is one for a predecessor.
//!
//! A range is stored as its first address and an octet that tells its extent: a prefix length when the range is a
//! whole block, which nearly all are, else "up to the next one". So an IPv6 prefix costs 8 + 1 octets and its
//! value. IPv4 has a strided form besides, see [`super::ranges4`].

use super::column::Column;
use super::frozen;
use super::keys::{Bits, Keys};
use super::values::EXCLUDED;

/// Extent: up to the next range's first address.
const UNTIL_NEXT: u8 = 0xff;
/// Extent: nothing is here; ends an [`UNTIL_NEXT`].
const GAP: u8 = 0xfe;

/// A prefix with its value, while loading. Packed, as millions of them are sorted.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub struct Prefix<K> {
    /// First address.
    pub first: K,
    /// Value id.
    pub id: u32,
    /// Prefix length, bits.
    pub len: u8,
}

/// A disjoint range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<K> {
    /// First address.
    pub first: K,
    /// Last address.
    pub last: K,
    /// Value id.
    pub id: u32,
}

/// Sort prefixes by address, wider ones first, and keep the first of equal ones; the others are told.
pub fn sort<K: Bits>(prefixes: &mut Vec<Prefix<K>>, mut duplicate: impl FnMut(K, u8)) {
    let order = |prefix: &Prefix<K>| ({ prefix.first }, prefix.len);
    if !prefixes.is_sorted_by(|a, b| order(a) < order(b)) {
        prefixes.sort_by_key(order);
        prefixes.dedup_by(|next, kept| {
            let same = order(next) == order(kept);
            if same {
                duplicate(next.first, next.len);
            }
            same
        });
    }
}

/// Cut sorted, distinct prefixes into disjoint ranges, ascending; neighbours with the same value become one.
///
/// `keep_excluded` gives ranges for exclusions too, where a coarser structure is asked next and must not be.
pub fn flatten<K: Bits>(prefixes: &[Prefix<K>], keep_excluded: bool, mut emit: impl FnMut(Range<K>)) {
    let mut pending: Option<Range<K>> = None;
    let mut put = |range: Range<K>| {
        if range.id == EXCLUDED && !keep_excluded {
            return;
        }
        if let Some(last) = &mut pending {
            if last.id == range.id && last.last != K::MAX && last.last.next() == range.first {
                last.last = range.last;
                return;
            }
            emit(*last);
        }
        pending = Some(range);
    };
    // Open prefixes, the innermost last, with their ends; `at` is the first address not yet told of.
    let mut open: Vec<(K, u32)> = Vec::new();
    let mut at = K::default();
    let mut close_before = |open: &mut Vec<(K, u32)>, at: &mut K, limit: Option<K>| {
        while let Some(&(end, id)) = open.last() {
            if limit.is_some_and(|limit| end >= limit) {
                break;
            }
            if *at <= end {
                put(Range { first: *at, last: end, id });
                *at = end.next();
            }
            open.pop();
            if end == K::MAX {
                // Everything around it ends here too.
                open.clear();
                return;
            }
        }
        if let (Some(limit), Some(&(_, id))) = (limit, open.last())
            && *at < limit
        {
            put(Range { first: *at, last: limit.previous(), id });
        }
        if let Some(limit) = limit {
            *at = limit;
        }
    };
    for prefix in prefixes {
        close_before(&mut open, &mut at, Some(prefix.first));
        open.push(({ prefix.first }.block_end(u32::from(prefix.len)), prefix.id));
    }
    close_before(&mut open, &mut at, None);
    if let Some(last) = pending {
        emit(last);
    }
}

/// Frozen ranges.
#[derive(Debug)]
pub struct Ranges<K> {
    /// First addresses, ends of open extents included.
    firsts: Keys<K>,
    /// How far each reaches.
    extents: Box<[u8]>,
    /// Value id by row.
    ids: Column,
}

impl<K: Bits> Default for Ranges<K> {
    fn default() -> Self {
        Self { firsts: Keys::new(Vec::new()), extents: Box::default(), ids: Column::default() }
    }
}

impl<K: Bits> Ranges<K> {
    /// Freeze sorted, distinct prefixes.
    pub fn new(prefixes: Vec<Prefix<K>>, keep_excluded: bool) -> Self {
        // Twice over the prefixes, so that the arrays are made in their exact size.
        let mut rows = 0;
        Self::rows(&prefixes, keep_excluded, |_, _, _| rows += 1);
        let mut firsts = Vec::with_capacity(rows);
        let mut extents = Vec::with_capacity(rows);
        let mut ids = Column::default();
        Self::rows(&prefixes, keep_excluded, |first, extent, id| {
            firsts.push(first);
            extents.push(extent);
            ids.push(id);
        });
        drop(prefixes);
        ids.finish(rows);
        Self { firsts: Keys::new(firsts), extents: frozen(extents), ids }
    }

    /// The rows that the prefixes make: first address, extent, value id.
    fn rows(prefixes: &[Prefix<K>], keep_excluded: bool, mut row: impl FnMut(K, u8, u32)) {
        // Where an open extent must be ended unless another range begins right there.
        let mut gap_at: Option<K> = None;
        let mut last_id = EXCLUDED;
        flatten(prefixes, keep_excluded, |range| {
            if let Some(gap) = gap_at.take()
                && gap != range.first
            {
                row(gap, GAP, last_id);
            }
            last_id = range.id;
            match range.first.block_len(range.last) {
                Some(len) => row(range.first, len as u8, range.id),
                None => {
                    row(range.first, UNTIL_NEXT, range.id);
                    gap_at = (range.last != K::MAX).then(|| range.last.next());
                }
            }
        });
        if let Some(gap) = gap_at {
            row(gap, GAP, last_id);
        }
    }

    /// The value id at an address.
    #[inline]
    pub fn get(&self, address: K) -> Option<u32> {
        let row = self.firsts.rank(address).checked_sub(1)?;
        let inside = match self.extents[row] {
            UNTIL_NEXT => true,
            GAP => false,
            len => address <= self.firsts.get(row).block_end(u32::from(len)),
        };
        inside.then(|| self.ids.get(row))
    }

    /// Bring what [`Ranges::get`] will look at first into the cache.
    #[inline]
    pub fn prefetch(&self, address: K) {
        self.firsts.prefetch(address);
    }

    /// The ranges that meet `first..=last`, ascending.
    pub fn range(&self, first: K, last: K) -> impl Iterator<Item = Range<K>> + '_ {
        let start = self.firsts.rank(first).saturating_sub(1);
        let end = self.firsts.rank(last);
        (start..end).filter_map(move |row| {
            let begin = self.firsts.get(row);
            let until = match self.extents[row] {
                GAP => return None,
                UNTIL_NEXT if row + 1 < self.extents.len() => self.firsts.get(row + 1).previous(),
                UNTIL_NEXT => K::MAX,
                len => begin.block_end(u32::from(len)),
            };
            (until >= first).then(|| Range { first: begin, last: until, id: self.ids.get(row) })
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.firsts.heap_bytes() + self.extents.len() + self.ids.heap_bytes()
    }
}
