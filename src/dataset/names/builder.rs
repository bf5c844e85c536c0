//! Names while they are loaded, and how the table is frozen.
//!
//! Entries come in any order and a name may come again. Freezing finds the rows, one a name, adds the empty non-terminals above them,
//! chooses the last labels that get a code, and lays the rows out bucket after bucket.

use std::cmp::Reverse;
use std::collections::HashMap;

use hashbrown::HashTable;

use super::*;
use crate::dataset::column::Column;
use crate::dataset::entry::Scope;
use crate::dataset::frozen;

/// The table is full: about 4 GiB of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A table while loading.
#[derive(Debug, Default)]
pub struct NamesBuilder {
    /// Names one after another.
    arena: Vec<u8>,
    /// Where each entry's name begins in the arena.
    starts: Vec<u32>,
    /// Octets of each entry's name.
    lens: Vec<u8>,
    /// Ids by entry.
    ids: Column,
    /// Flags by entry.
    flags: Column,
}

impl NamesBuilder {
    /// Add an entry; the same name may come again.
    pub fn push(&mut self, name: &[u8], scope: Scope, id: u32) -> Result<(), Full> {
        // A record adds at most eleven octets to its name, ids and index included.
        if self.arena.len() + name.len() + 11 * (self.starts.len() + 1) >= RECORDS_LEN_MAX {
            return Err(Full);
        }
        self.starts.push(self.arena.len() as u32);
        self.lens.push(name.len() as u8);
        self.arena.extend_from_slice(name);
        self.ids.push(id);
        self.flags.push(u32::from(match scope {
            Scope::Exact => EXACT,
            Scope::Below => BELOW,
            Scope::Both => EXACT | BELOW,
        }));
        Ok(())
    }

    /// Freeze. `merge` gives one id for the ids of a name that came several times, in the order they came.
    pub fn finish(self, merge: impl FnMut(&[u32]) -> u32) -> Names {
        let seed = foldhash::fast::RandomState::default();
        let Self { arena, starts, lens, ids, flags } = self;
        let mut rows = Rows {
            arena: &arena,
            starts: Vec::new(),
            lens: Vec::new(),
            marks: Vec::new(),
            ids: [const { Column::Same(0, 0) }; 2],
        };
        let mut known: HashTable<u32> = HashTable::with_capacity(starts.len());
        let mut again: Vec<(u32, u8, u32)> = Vec::new();
        for entry in 0..starts.len() {
            let row = rows.find_or_add(&mut known, &seed, starts[entry], lens[entry]);
            for (side, mark) in [EXACT, BELOW].into_iter().enumerate() {
                if flags.get(entry) as u8 & mark == 0 {
                    continue;
                }
                if rows.marks[row] & mark == 0 {
                    rows.marks[row] |= mark;
                    rows.ids[side].set(row, ids.get(entry));
                } else {
                    again.push((row as u32, side as u8, ids.get(entry)));
                }
            }
        }
        drop((starts, lens, ids, flags));
        rows.merge(again, merge);
        rows.add_parents(&mut known, &seed);
        drop(known);
        rows.freeze(seed)
    }
}

/// One row a name, while freezing.
struct Rows<'a> {
    /// Names one after another.
    arena: &'a [u8],
    /// Where each name begins in the arena.
    starts: Vec<u32>,
    /// Octets of each name.
    lens: Vec<u8>,
    /// Flags of each name.
    marks: Vec<u8>,
    /// Ids for the names themselves, and for those below them.
    ids: [Column; 2],
}

impl Rows<'_> {
    /// The name in a row.
    fn name(&self, row: usize) -> &[u8] {
        let start = self.starts[row] as usize;
        &self.arena[start..start + usize::from(self.lens[row])]
    }

    /// The row of a piece of the arena.
    fn find_or_add(
        &mut self,
        known: &mut HashTable<u32>,
        seed: &foldhash::fast::RandomState,
        start: u32,
        len: u8,
    ) -> usize {
        let name = &self.arena[start as usize..start as usize + usize::from(len)];
        let hash = hash(seed, name);
        if let Some(&row) = known.find(hash, |&row| self.name(row as usize) == name) {
            return row as usize;
        }
        let row = self.starts.len();
        known.insert_unique(hash, row as u32, |&row| self::hash(seed, self.name(row as usize)));
        self.starts.push(start);
        self.lens.push(len);
        self.marks.push(0);
        self.ids[0].push(EXCLUDED);
        self.ids[1].push(EXCLUDED);
        row
    }

    /// One id for each name that came several times.
    fn merge(&mut self, mut again: Vec<(u32, u8, u32)>, mut merge: impl FnMut(&[u32]) -> u32) {
        again.sort_by_key(|&(row, side, _)| (row, side));
        for group in again.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (row, side) = (group[0].0 as usize, usize::from(group[0].1));
            let mut all = vec![self.ids[side].get(row)];
            all.extend(group.iter().map(|&(_, _, id)| id));
            self.ids[side].set(row, merge(&all));
        }
    }

    /// Whether a row lists the name or names below it.
    fn lists(&self, row: usize, mark: u8, side: usize) -> bool {
        self.marks[row] & mark != 0 && self.ids[side].get(row) != EXCLUDED
    }

    /// Mark each name above a listed one, adding rows for empty non-terminals.
    fn add_parents(&mut self, known: &mut HashTable<u32>, seed: &foldhash::fast::RandomState) {
        for row in 0..self.starts.len() {
            let below = self.lists(row, BELOW, 1);
            if below {
                self.marks[row] |= PARENT;
            } else if !self.lists(row, EXACT, 0) {
                continue;
            }
            let (mut start, mut len) = (self.starts[row], self.lens[row]);
            while len > 0 {
                // A parent's labels stand in the arena already: they are the end of its child's.
                let label = self.arena[start as usize] + 1;
                (start, len) = (start + u32::from(label), len.saturating_sub(label));
                if len == 0 {
                    break;
                }
                let parent = self.find_or_add(known, seed, start, len);
                if self.marks[parent] & PARENT != 0 {
                    // So are all above it.
                    break;
                }
                self.marks[parent] |= PARENT;
            }
        }
    }

    /// The ids of a row, in the order of a record.
    fn marked(&self, row: usize) -> impl Iterator<Item = u32> + '_ {
        let mark = self.marks[row];
        [(EXACT, 0), (BELOW, 1)]
            .into_iter()
            .filter(move |(side, _)| mark & side != 0)
            .map(move |(_, n)| self.ids[n].get(row))
    }

    /// The commonest last labels, by code; code 0 is none. And the code of each row.
    fn endings(&self, seed: &foldhash::fast::RandomState) -> (Vec<Box<[u8]>>, Vec<u8>) {
        let mut counts: HashMap<&[u8], (u32, u8), _> = HashMap::with_hasher(seed.clone());
        for row in 0..self.starts.len() {
            counts.entry(last_label(self.name(row))).or_default().0 += 1;
        }
        // By octets saved; by name where that is the same, so that the same names give the same table.
        let mut commonest: Vec<(&[u8], u32)> = counts.iter().map(|(ending, (count, _))| (*ending, *count)).collect();
        commonest.sort_unstable_by_key(|&(ending, count)| (Reverse(count as usize * ending.len()), ending));
        commonest.retain(|(ending, _)| !ending.is_empty());
        commonest.truncate(CODES_MAX);
        let mut endings = vec![Box::default()];
        for (ending, _) in commonest {
            counts.entry(ending).or_default().1 = endings.len() as u8;
            endings.push(ending.into());
        }
        let code = |row| counts.get(last_label(self.name(row))).map_or(0, |&(_, code)| code);
        (endings, (0..self.starts.len()).map(code).collect())
    }

    /// Write the records.
    fn freeze(self, seed: foldhash::fast::RandomState) -> Names {
        let buckets = (self.starts.len() / NAMES_PER_BUCKET).max(1);
        let bucket_of = |row: usize| bucket(hash(&seed, self.name(row)), buckets);
        let mut ids = (0..self.starts.len()).flat_map(|row| self.marked(row));
        let same_id = ids.next().unwrap_or(EXCLUDED);
        let (mut one, mut max_id) = (true, same_id);
        for id in ids {
            one &= id == same_id;
            max_id = max_id.max(id);
        }
        let id_len: u8 = match max_id {
            _ if one => 0,
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        let (endings, codes) = self.endings(&seed);
        // The labels that a record keeps.
        let kept = |row: usize| {
            let name = self.name(row);
            &name[..name.len() - endings[usize::from(codes[row])].len()]
        };
        let record_len = |row: usize| {
            let labels = kept(row).len();
            let head = if labels >= usize::from(LEN_FOLLOWS) { 2 } else { 1 };
            head + usize::from(id_len) * self.marked(row).count() + 1 + labels
        };
        let mut index = vec![0u32; buckets + 1];
        for row in 0..self.starts.len() {
            index[bucket_of(row) + 1] += record_len(row) as u32;
        }
        for n in 0..buckets {
            index[n + 1] += index[n];
        }
        let mut records = vec![0u8; index[buckets] as usize];
        let (mut below_depths, mut len, mut side_lens) = (0u128, 0, [0; 2]);
        for row in 0..self.starts.len() {
            let name = self.name(row);
            // Where the bucket begins moves on to where it ends.
            let at = &mut index[bucket_of(row)];
            let mut put = |octets: &[u8]| {
                records[*at as usize..*at as usize + octets.len()].copy_from_slice(octets);
                *at += octets.len() as u32;
            };
            let labels = kept(row);
            let flags = self.marks[row] << LEN_BITS;
            match u8::try_from(labels.len()) {
                Ok(len) if len < LEN_FOLLOWS => put(&[flags | len]),
                // A name has 254 octets at most.
                len => put(&[flags | LEN_FOLLOWS, len.unwrap_or(u8::MAX)]),
            }
            for id in self.marked(row) {
                put(&id.to_le_bytes()[..usize::from(id_len)]);
            }
            put(&[codes[row]]);
            put(labels);
            len += usize::from(self.marks[row] & (EXACT | BELOW) != 0);
            side_lens[0] += usize::from(self.marks[row] & EXACT != 0);
            side_lens[1] += usize::from(self.marks[row] & BELOW != 0);
            if self.marks[row] & BELOW != 0 {
                below_depths |= 1 << count_labels(name).min(127);
            }
        }
        // So each beginning now stands one place too early.
        index.copy_within(0..buckets, 1);
        index[0] = 0;
        Names {
            index: frozen(index),
            records: frozen(records),
            endings,
            id_len,
            same_id,
            below_depths,
            len,
            side_lens,
            seed,
        }
    }
}
