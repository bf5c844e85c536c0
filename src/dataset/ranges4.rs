//! Disjoint IPv4 ranges in 16-bit strides.
//!
//! Within a /16 a range is two suffixes, its first and its last, so that an isolated prefix costs four octets and
//! its value. Whole /16s under one value stand in a short list of their own, which is asked only where the
//! run of a /16 is empty.

use super::column::Column;
use super::frozen;
use super::keys::Keys;
use super::layers::Stream;
use super::ranges::{Prefix, Range, Ranges, flatten};
use crate::sys;

/// From so many ranges on the strides take less memory: `5.5 n > 4 n + 256 KiB`.
const STRIDED_MIN: usize = 175_000;

/// Frozen IPv4 ranges.
#[derive(Debug)]
pub enum Ranges4 {
    /// Few: whole addresses.
    Whole(Ranges<u32>),
    /// Many: strides.
    Strided(Box<Strided>),
}

/// The strided form.
#[derive(Debug)]
pub struct Strided {
    /// Where the run of each top half begins, and the number of rows.
    index: Box<[u32]>,
    /// Suffixes of first addresses.
    firsts: Box<[u16]>,
    /// Suffixes of last addresses.
    lasts: Box<[u16]>,
    /// Value id by row.
    ids: Column,
    /// First top halves of runs of whole /16s.
    wide_firsts: Keys<u32>,
    /// Their last top halves.
    wide_lasts: Box<[u16]>,
    /// Their value ids.
    wide_ids: Column,
}

impl Default for Ranges4 {
    fn default() -> Self {
        Self::Whole(Ranges::default())
    }
}

/// Cut a range at /16 borders: parts of one /16 each, and the whole /16s between as one.
fn cut(range: Range<u32>, mut part: impl FnMut(Range<u32>), mut wide: impl FnMut(u16, u16)) {
    let (mut first, last) = (range.first, range.last);
    if first & 0xffff != 0 || last < (first | 0xffff) {
        let end = last.min(first | 0xffff);
        part(Range { first, last: end, id: range.id });
        if end == last {
            return;
        }
        first = end + 1;
    }
    let whole_end = if last & 0xffff == 0xffff { last } else { (last & 0xffff_0000).wrapping_sub(1) };
    if last & 0xffff == 0xffff || last & 0xffff_0000 > first {
        wide((first >> 16) as u16, (whole_end >> 16) as u16);
    }
    if whole_end != last {
        part(Range { first: last & 0xffff_0000, last, id: range.id });
    }
}

impl Ranges4 {
    /// Freeze sorted, distinct prefixes; exclusions are not kept.
    pub fn new(prefixes: Vec<Prefix<u32>>) -> Self {
        let (mut parts, mut wides) = (0, 0);
        flatten(&prefixes, false, |range| cut(range, |_| parts += 1, |_, _| wides += 1));
        if parts < STRIDED_MIN {
            return Self::Whole(Ranges::new(prefixes, false));
        }
        let mut index = Vec::with_capacity(65_537);
        let mut firsts = Vec::with_capacity(parts);
        let mut lasts = Vec::with_capacity(parts);
        let mut ids = Column::default();
        let mut wide_firsts = Vec::with_capacity(wides);
        let mut wide_lasts = Vec::with_capacity(wides);
        let mut wide_ids = Column::default();
        flatten(&prefixes, false, |range| {
            cut(
                range,
                |part| {
                    while index.len() <= (part.first >> 16) as usize {
                        index.push(firsts.len() as u32);
                    }
                    firsts.push(part.first as u16);
                    lasts.push(part.last as u16);
                    ids.push(part.id);
                },
                |first, last| {
                    wide_firsts.push(u32::from(first));
                    wide_lasts.push(last);
                    wide_ids.push(range.id);
                },
            );
        });
        drop(prefixes);
        index.resize(65_537, firsts.len() as u32);
        ids.finish(parts);
        wide_ids.finish(wides);
        Self::Strided(Box::new(Strided {
            index: frozen(index),
            firsts: frozen(firsts),
            lasts: frozen(lasts),
            ids,
            wide_firsts: Keys::new(wide_firsts),
            wide_lasts: frozen(wide_lasts),
            wide_ids,
        }))
    }

    /// The value id at an address.
    #[inline]
    pub fn get(&self, address: u32) -> Option<u32> {
        match self {
            Self::Whole(ranges) => ranges.get(address),
            Self::Strided(strided) => strided.get(address),
        }
    }

    /// Bring what [`Ranges4::get`] will look at into the cache.
    #[inline]
    pub fn prefetch(&self, address: u32) {
        match self {
            Self::Whole(ranges) => ranges.prefetch(address),
            Self::Strided(strided) => {
                let top = (address >> 16) as usize;
                let (start, end) = (strided.index[top] as usize, strided.index[top + 1] as usize);
                let row = start + (((end - start) * usize::from(address as u16)) >> 16);
                sys::prefetch(&strided.firsts, row);
                sys::prefetch(&strided.lasts, row);
                strided.ids.prefetch(row);
            }
        }
    }

    /// The ranges that meet `first..=last`, ascending but for whole /16s, which come after the rest.
    pub fn range(&self, first: u32, last: u32) -> Box<dyn Iterator<Item = Range<u32>> + '_> {
        match self {
            Self::Whole(ranges) => Box::new(ranges.range(first, last)),
            Self::Strided(strided) => Box::new(strided.range(first, last)),
        }
    }

    /// All ranges, in streams that ascend each for itself and do not meet.
    pub fn streams(&self) -> Vec<Stream<'_, u32>> {
        match self {
            Self::Whole(ranges) => vec![Box::new(ranges.range(0, u32::MAX))],
            Self::Strided(strided) => {
                vec![Box::new(strided.parts(0, u32::MAX)), Box::new(strided.wides(0, u32::MAX))]
            }
        }
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Whole(ranges) => ranges.heap_bytes(),
            Self::Strided(s) => {
                size_of::<Strided>()
                    + s.index.len() * 4
                    + (s.firsts.len() + s.lasts.len() + s.wide_lasts.len()) * 2
                    + s.ids.heap_bytes()
                    + s.wide_firsts.heap_bytes()
                    + s.wide_ids.heap_bytes()
            }
        }
    }
}

impl Strided {
    /// The value id at an address.
    #[inline]
    fn get(&self, address: u32) -> Option<u32> {
        let top = (address >> 16) as usize;
        let (start, end) = (self.index[top] as usize, self.index[top + 1] as usize);
        if start == end {
            let row = self.wide_firsts.rank(top as u32).checked_sub(1)?;
            return (top as u16 <= self.wide_lasts[row]).then(|| self.wide_ids.get(row));
        }
        let suffix = address as u16;
        let row = start + self.firsts[start..end].partition_point(|&first| first <= suffix);
        if row == start || self.lasts[row - 1] < suffix {
            return None;
        }
        Some(self.ids.get(row - 1))
    }

    /// The ranges that meet `first..=last`: parts of /16s, then whole ones.
    fn range(&self, first: u32, last: u32) -> impl Iterator<Item = Range<u32>> + '_ {
        let meets = move |range: &Range<u32>| range.last >= first && range.first <= last;
        self.parts(first, last).chain(self.wides(first, last)).filter(meets)
    }

    /// The parts of those /16s that meet `first..=last`, ascending.
    fn parts(&self, first: u32, last: u32) -> impl Iterator<Item = Range<u32>> + '_ {
        let tops = (first >> 16) as usize..=(last >> 16) as usize;
        tops.flat_map(move |top| {
            let rows = self.index[top] as usize..self.index[top + 1] as usize;
            let top = (top as u32) << 16;
            rows.map(move |row| Range {
                first: top | u32::from(self.firsts[row]),
                last: top | u32::from(self.lasts[row]),
                id: self.ids.get(row),
            })
        })
    }

    /// The whole /16s that may meet `first..=last`, ascending.
    fn wides(&self, first: u32, last: u32) -> impl Iterator<Item = Range<u32>> + '_ {
        let start = self.wide_firsts.rank(first >> 16).saturating_sub(1);
        let end = self.wide_firsts.rank(last >> 16);
        (start..end).map(move |row| Range {
            first: self.wide_firsts.get(row) << 16,
            last: u32::from(self.wide_lasts[row]) << 16 | 0xffff,
            id: self.wide_ids.get(row),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_borders() {
        // (first, last, parts, whole /16s)
        type Case = (u32, u32, &'static [(u32, u32)], &'static [(u16, u16)]);
        let cases: [Case; 8] = [
            (0x0001_0000, 0x0001_ffff, &[], &[(1, 1)]),
            (0x0001_0000, 0x0003_ffff, &[], &[(1, 3)]),
            (0x0001_0001, 0x0001_0005, &[(0x0001_0001, 0x0001_0005)], &[]),
            (0x0001_0000, 0x0001_0005, &[(0x0001_0000, 0x0001_0005)], &[]),
            (0x0001_0001, 0x0003_0000, &[(0x0001_0001, 0x0001_ffff), (0x0003_0000, 0x0003_0000)], &[(2, 2)]),
            (0x0001_ffff, 0x0002_0000, &[(0x0001_ffff, 0x0001_ffff), (0x0002_0000, 0x0002_0000)], &[]),
            (0x0001_0000, 0x0002_0000, &[(0x0002_0000, 0x0002_0000)], &[(1, 1)]),
            (0, u32::MAX, &[], &[(0, 0xffff)]),
        ];
        for (first, last, parts, wides) in cases {
            let (mut got_parts, mut got_wides) = (vec![], vec![]);
            cut(Range { first, last, id: 1 }, |p| got_parts.push((p.first, p.last)), |a, b| got_wides.push((a, b)));
            assert_eq!((&got_parts[..], &got_wides[..]), (parts, wides), "{first:x}..={last:x}");
        }
    }
}
