//! Single IPv4 addresses (or masked ones, a level of an `ip4set`) to value ids.
//!
//! A large map is strided: an index over the top 16 bits leads to a sorted run of 16-bit suffixes, so that a host
//! costs two octets and a search touches one index entry and one or two cache lines. A small one keeps whole keys
//! behind a short index, because the fixed 256 KiB would cost more than they save.

use super::column::Column;
use super::frozen;
use super::keys::Keys;
use crate::sys;

/// From so many hosts on the strides take less memory than whole keys: `4.5 n > 2 n + 256 KiB`.
const STRIDED_MIN: usize = 105_000;
/// Suffixes that are compared at once: a fixed number compiles to a few vector instructions and no branch. So many
/// stand behind the last run too, so that they can be read wherever a run begins.
const WINDOW: usize = 16;

/// A frozen map.
#[derive(Debug)]
pub struct Hosts {
    /// Its keys.
    keys: HostKeys,
    /// Value id by row.
    ids: Column,
}

/// The keys of a map, in ascending order.
#[derive(Debug)]
enum HostKeys {
    /// Whole keys.
    Whole(Keys<u32>),
    /// Suffixes behind an index of 65 537 run starts.
    Strided {
        /// Where the run of each top half begins, and the number of rows.
        index: Box<[u32]>,
        /// Bottom halves, run after run, and [`WINDOW`] more that belong to none.
        low: Box<[u16]>,
    },
}

impl Default for Hosts {
    fn default() -> Self {
        Self { keys: HostKeys::Whole(Keys::new(Vec::new())), ids: Column::default() }
    }
}

/// Number of suffixes among the `len` (at most [`WINDOW`]) from `at` on that are below `suffix`.
#[inline]
fn below_in_window(low: &[u16], at: usize, len: usize, suffix: u16) -> usize {
    let Some(window) = low.get(at..).and_then(|rest| rest.first_chunk::<WINDOW>()) else { return 0 };
    let mut below = 0u16;
    for (n, &low) in window.iter().enumerate() {
        below += u16::from(low < suffix) & u16::from(n < len);
    }
    below.into()
}

/// The place of a suffix among the `len` (at most [`WINDOW`]) from `at` on, which are distinct.
#[inline(always)]
fn place_in_window(low: &[u16], at: usize, len: usize, suffix: u16) -> Option<usize> {
    let window = low.get(at..)?.first_chunk::<WINDOW>()?;
    let mut equal = 0u16;
    for (n, &low) in window.iter().enumerate() {
        equal |= if low == suffix { 1 << n } else { 0 };
    }
    // The first that is equal: suffixes of other runs may follow.
    let place = equal.trailing_zeros() as usize;
    (place < len).then_some(at + place)
}

/// Where in a run of evenly spread suffixes this one would stand.
#[inline]
fn guess(len: usize, suffix: u16) -> usize {
    (len * usize::from(suffix)) >> 16
}

/// Where in a run of more than [`WINDOW`] suffixes the window begins in which this one stands if it is there.
#[inline]
fn window(low: &[u16], start: usize, end: usize, suffix: u16) -> usize {
    let len = end - start;
    // Hosts are spread about evenly within a /16, or the window beside the guess says that they are not.
    let at = start + guess(len, suffix).saturating_sub(WINDOW / 2).min(len - WINDOW);
    let fits = (at == start || low[at - 1] < suffix) && (at + WINDOW == end || low[at + WINDOW] > suffix);
    if fits { at } else { search(low, start, end, suffix) }
}

/// The same by halves.
#[inline(never)]
fn search(low: &[u16], start: usize, end: usize, suffix: u16) -> usize {
    let (mut at, mut len) = (start, end - start);
    while len > WINDOW {
        let half = len / 2;
        // Written so that it compiles to a conditional move: the branch would be a coin toss.
        at = if low[at + half] <= suffix { at + half } else { at };
        len -= half;
    }
    at.min(end - WINDOW)
}

/// The row of a suffix in the sorted run `start..end`.
#[inline]
fn find(low: &[u16], start: usize, end: usize, suffix: u16) -> Option<usize> {
    if end - start <= WINDOW {
        return place_in_window(low, start, end - start, suffix);
    }
    place_in_window(low, window(low, start, end, suffix), WINDOW, suffix)
}

/// The row of the first suffix in the sorted run `start..end` that is not below `suffix`.
#[inline]
fn lower_bound(low: &[u16], start: usize, end: usize, suffix: u16) -> usize {
    let len = end - start;
    if len <= WINDOW {
        return start + below_in_window(low, start, len, suffix);
    }
    let at = window(low, start, end, suffix);
    at + below_in_window(low, at, WINDOW, suffix)
}

impl Hosts {
    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The value id of an address.
    #[inline(always)]
    pub fn get(&self, address: u32) -> Option<u32> {
        let row = match &self.keys {
            HostKeys::Whole(keys) => keys.find(address)?,
            HostKeys::Strided { index, low } => {
                let top = (address >> 16) as usize;
                find(low, index[top] as usize, index[top + 1] as usize, address as u16)?
            }
        };
        Some(self.ids.get(row))
    }

    /// Bring what [`Hosts::get`] will look at into the cache.
    #[inline]
    pub fn prefetch(&self, address: u32) {
        if let HostKeys::Strided { index, low } = &self.keys {
            let top = (address >> 16) as usize;
            let (start, end) = (index[top] as usize, index[top + 1] as usize);
            let row = start + guess(end - start, address as u16);
            sys::prefetch(low, row);
            self.ids.prefetch(row);
        }
    }

    /// Rows of the keys within `first..=last`.
    fn rows(&self, first: u32, last: u32) -> std::ops::Range<usize> {
        match &self.keys {
            HostKeys::Whole(keys) => keys.rows(first, last),
            HostKeys::Strided { index, low } => {
                let at = |address: u32| {
                    let top = (address >> 16) as usize;
                    let (start, end) = (index[top] as usize, index[top + 1] as usize);
                    lower_bound(low, start, end, address as u16)
                };
                let end = last.checked_add(1).map_or(low.len() - WINDOW, at);
                at(first)..end
            }
        }
    }

    /// Keys and value ids within `first..=last`, ascending.
    pub fn range(&self, first: u32, last: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let rows = self.rows(first, last);
        let mut top = match &self.keys {
            HostKeys::Whole(_) => 0,
            HostKeys::Strided { .. } => (first >> 16) as usize,
        };
        rows.map(move |row| {
            let key = match &self.keys {
                HostKeys::Whole(keys) => keys.get(row),
                HostKeys::Strided { index, low } => {
                    while index[top + 1] as usize <= row {
                        top += 1;
                    }
                    (top as u32) << 16 | u32::from(low[row])
                }
            };
            (key, self.ids.get(row))
        })
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.ids.heap_bytes()
            + match &self.keys {
                HostKeys::Whole(keys) => keys.heap_bytes(),
                HostKeys::Strided { index, low } => index.len() * 4 + low.len() * 2,
            }
    }
}

/// Keys and value ids in the order they came.
#[derive(Debug, Default)]
pub struct HostsBuilder {
    /// Addresses.
    keys: Vec<u32>,
    /// Their value ids.
    ids: Column,
    /// A key did not come after all keys before it.
    unsorted: bool,
    /// Nor did its top half come after or with theirs.
    unsorted_tops: bool,
}

impl HostsBuilder {
    /// Add an address; the same address may come again.
    #[inline]
    pub fn push(&mut self, address: u32, id: u32) {
        if let Some(&last) = self.keys.last() {
            self.unsorted |= address <= last;
            self.unsorted_tops |= address >> 16 < last >> 16;
        }
        self.keys.push(address);
        self.ids.push(id);
    }

    /// Freeze. `merge` gives one id for the ids of an address that came several times, in the order they came.
    pub fn finish(mut self, mut merge: impl FnMut(u32, &[u32]) -> u32) -> Hosts {
        if self.keys.is_empty() {
            return Hosts::default();
        }
        let mut index = vec![0u32; 65_537];
        for key in &self.keys {
            index[(key >> 16) as usize + 1] += 1;
        }
        for top in 0..65_536 {
            index[top + 1] += index[top];
        }
        let (low, ids) = if self.unsorted {
            let (mut low, mut ids) = if self.unsorted_tops { self.scatter(&index) } else { self.in_runs() };
            drop(std::mem::take(&mut self.keys));
            let rows = sort_runs(&mut index, &mut low, &mut ids, &mut merge);
            low.truncate(rows);
            low.shrink_to(rows + WINDOW);
            ids.finish(rows);
            (low, ids)
        } else {
            let (low, mut ids) = self.in_runs();
            self.keys = Vec::new();
            ids.finish(low.len());
            (low, ids)
        };
        let mut low = low;
        if low.len() >= STRIDED_MIN {
            low.reserve_exact(WINDOW);
            low.extend([u16::MAX; WINDOW]);
            let keys = HostKeys::Strided { index: frozen(index), low: frozen(low) };
            return Hosts { keys, ids };
        }
        let mut keys = Vec::with_capacity(low.len());
        for top in 0..65_536usize {
            let run = &low[index[top] as usize..index[top + 1] as usize];
            keys.extend(run.iter().map(|&suffix| (top as u32) << 16 | u32::from(suffix)));
        }
        Hosts { keys: HostKeys::Whole(Keys::new(keys)), ids }
    }

    /// Suffixes and ids as they came, where they came grouped by top half.
    fn in_runs(&mut self) -> (Vec<u16>, Column) {
        let mut low: Vec<u16> = Vec::with_capacity(self.keys.len() + WINDOW);
        low.extend(self.keys.iter().map(|&key| key as u16));
        (low, std::mem::take(&mut self.ids))
    }

    /// Suffixes and ids grouped by top half, in the order they came within a group.
    fn scatter(&mut self, index: &[u32]) -> (Vec<u16>, Column) {
        let mut next = index[..65_536].to_vec();
        let mut low = Vec::with_capacity(self.keys.len() + WINDOW);
        low.resize(self.keys.len(), 0u16);
        let source = std::mem::take(&mut self.ids);
        let mut ids = Column::zeroed_like(&source);
        let same = matches!(source, Column::Same(..));
        for (row, &key) in self.keys.iter().enumerate() {
            let at = &mut next[(key >> 16) as usize];
            low[*at as usize] = key as u16;
            if !same {
                ids.set(*at as usize, source.get(row));
            }
            *at += 1;
        }
        (low, ids)
    }
}

/// Sort each run, merge what came several times and close the gaps; returns the rows left.
fn sort_runs(
    index: &mut [u32],
    low: &mut [u16],
    ids: &mut Column,
    merge: &mut impl FnMut(u32, &[u32]) -> u32,
) -> usize {
    let mut scratch: Vec<(u16, u32)> = Vec::new();
    let mut same_ids: Vec<u32> = Vec::new();
    let same = matches!(ids, Column::Same(..));
    let mut write = 0;
    for top in 0..65_536usize {
        let (start, end) = (index[top] as usize, index[top + 1] as usize);
        index[top] = write as u32;
        if same {
            low[start..end].sort_unstable();
            let mut last = None;
            for row in start..end {
                if last == Some(low[row]) {
                    merge((top as u32) << 16 | u32::from(low[row]), &[ids.get(0), ids.get(0)]);
                } else {
                    last = Some(low[row]);
                    low[write] = low[row];
                    write += 1;
                }
            }
            continue;
        }
        if low[start..end].is_sorted_by(|a, b| a < b) {
            if write < start {
                low.copy_within(start..end, write);
                (start..end).zip(write..).for_each(|(from, to)| ids.set(to, ids.get(from)));
            }
            write += end - start;
            continue;
        }
        scratch.clear();
        scratch.extend((start..end).map(|row| (low[row], ids.get(row))));
        // Keeps the order they came among equals, and is quick where most are in order already.
        scratch.sort_by_key(|&(low, _)| low);
        for group in scratch.chunk_by(|a, b| a.0 == b.0) {
            let id = if let [one] = group {
                one.1
            } else {
                same_ids.clear();
                same_ids.extend(group.iter().map(|row| row.1));
                merge((top as u32) << 16 | u32::from(group[0].0), &same_ids)
            };
            low[write] = group[0].0;
            ids.set(write, id);
            write += 1;
        }
    }
    index[65_536] = write as u32;
    write
}
