//! Names while they are loaded, and how the table is frozen.
//!
//! Entries come in any order and a name may come again. Freezing brings the rows into the order of their hashes, which is that of
//! the finished table: there equal names are neighbours and become one row, and what is read at random lies ahead, so that
//! it can be fetched in time. Then come the empty non-terminals, in the same order, and the records are written from
//! first to last.

use std::cmp::Reverse;
use std::collections::HashMap;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::*;
use crate::dataset::column::Column;
use crate::dataset::entry::Scope;
use crate::dataset::frozen;

/// How many names ahead the next ones are fetched into the cache.
const AHEAD: usize = 16;
/// Bits of a row's flags below the number of its ending.
const FLAG_BITS: u32 = 3;
/// Endings whose numbers fit above the flags.
const NUMBERED_MAX: usize = 31;
/// Octets that a record takes at most besides its labels, its share of the index included.
const RECORD_EXTRA_MAX: usize = 12;

/// The table is full: about 4 GiB of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A name with what is known of it.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// Where it begins in the arena.
    start: u32,
    /// Its octets.
    len: u8,
    /// Flags, and above them the ending's number from 1 on; 0 for one that has too large a number.
    flags: u8,
    /// Where it stands in its bucket: the bits of its hash that follow those which say which bucket it is.
    tag: u16,
}

/// A table while loading.
#[derive(Debug, Default)]
pub struct NamesBuilder {
    /// Names one after another.
    arena: Vec<u8>,
    /// A row an entry, in their order.
    rows: Vec<Row>,
    /// Ids by row.
    ids: Column,
    /// Octets that the records may take.
    len_max: usize,
}

impl NamesBuilder {
    /// Add an entry; the same name may come again.
    pub fn push(&mut self, name: &[u8], scope: Scope, id: u32) -> Result<(), Full> {
        // Every name above it may become a record as well.
        let names = std::iter::successors(Some(name), |name| above(name));
        let len_max = self.len_max + names.map(|name| name.len() + RECORD_EXTRA_MAX).sum::<usize>();
        if len_max >= RECORDS_LEN_MAX {
            return Err(Full);
        }
        self.len_max = len_max;
        let flags = match scope {
            Scope::Exact => EXACT,
            Scope::Below => BELOW,
            Scope::Both => EXACT | BELOW,
        };
        // A name has 254 octets at most, and all of them together less than 4 GiB.
        self.rows.push(Row { start: self.arena.len() as u32, len: name.len() as u8, flags, tag: 0 });
        self.arena.extend_from_slice(name);
        self.ids.push(id);
        Ok(())
    }

    /// Freeze. `merge` gives one id for the ids of a name that came several times, in the order they came.
    pub fn finish(self, merge: impl FnMut(&[u32]) -> u32) -> Names {
        let seed = foldhash::fast::RandomState::default();
        let arena = Arena { octets: self.arena, seed };
        let mut rows = self.rows;
        let endings = Endings::count(&arena, &mut rows);
        let buckets = (rows.len() / NAMES_PER_BUCKET).max(1);
        let keys: Vec<u32> = rows.iter().map(|row| arena.key(row)).collect();
        let mut ordered = Ordered::new(&arena, &rows, &keys, self.ids, buckets);
        drop((rows, keys));
        let again = ordered.join(&arena);
        ordered.merge(again, merge);
        let mut parents = ordered.parents(&arena);
        ordered.mark(&mut parents, &arena);
        let (rows, ids) = ordered.with(&parents, &arena);
        drop(parents);
        freeze(&arena, &rows, &ids, endings)
    }
}

/// The octets of all names.
struct Arena {
    /// Names one after another.
    octets: Vec<u8>,
    /// The process's seed.
    seed: foldhash::fast::RandomState,
}

impl Arena {
    /// The name of a row.
    #[inline]
    fn name(&self, row: &Row) -> &[u8] {
        let start = row.start as usize;
        &self.octets[start..start + usize::from(row.len)]
    }

    /// The hash of a row's name.
    #[inline]
    fn hash(&self, row: &Row) -> u64 {
        hash(&self.seed, self.name(row))
    }

    /// The bits of that hash that say where the row stands.
    #[inline]
    fn key(&self, row: &Row) -> u32 {
        key(self.hash(row))
    }

    /// Fetch the name of a row that will be looked at soon, if there is one.
    #[inline]
    fn prefetch(&self, rows: &[Row], n: usize) {
        if let Some(row) = rows.get(n) {
            sys::prefetch(&self.octets, row.start as usize);
        }
    }
}

/// The last labels of all names.
struct Endings<'a> {
    /// Their numbers, in the order they came.
    numbers: HashMap<&'a [u8], usize, foldhash::fast::RandomState>,
    /// How many rows have each, by number.
    counts: Vec<usize>,
}

impl<'a> Endings<'a> {
    /// Count them, and note in each row which one it has.
    fn count(arena: &'a Arena, rows: &mut [Row]) -> Self {
        let mut endings = Self { numbers: HashMap::with_hasher(arena.seed.clone()), counts: Vec::new() };
        for row in rows {
            let next = endings.counts.len();
            let number = *endings.numbers.entry(last_label(arena.name(row))).or_insert(next);
            if number == next {
                endings.counts.push(0);
            }
            endings.counts[number] += 1;
            if number < NUMBERED_MAX {
                row.flags |= (number as u8 + 1) << FLAG_BITS;
            }
        }
        endings
    }

    /// The commonest ones by code, code 0 being none; and the code of each by its number.
    fn codes(&self) -> (Vec<Box<[u8]>>, Vec<u8>) {
        let all = self.numbers.iter().map(|(&ending, &number)| (ending, number));
        let mut commonest: Vec<(&[u8], usize)> = all.filter(|(ending, _)| !ending.is_empty()).collect();
        // By octets saved; by name where that is the same, so that the same names give the same table.
        commonest.sort_unstable_by_key(|&(ending, number)| (Reverse(self.counts[number] * ending.len()), ending));
        commonest.truncate(CODES_MAX);
        let (mut endings, mut codes) = (vec![Box::default()], vec![0; self.counts.len()]);
        for (ending, number) in commonest {
            // There are no more than fit.
            codes[number] = endings.len() as u8;
            endings.push(ending.into());
        }
        (endings, codes)
    }

    /// The number of a row's ending.
    #[inline]
    fn number(&self, row: &Row, name: &[u8]) -> Option<usize> {
        match row.flags >> FLAG_BITS {
            0 => self.numbers.get(last_label(name)).copied(),
            number => Some(usize::from(number) - 1),
        }
    }
}

/// Rows in the order of their hashes, those of one name in the order they came.
struct Ordered {
    /// The rows.
    rows: Vec<Row>,
    /// Where each bucket ends.
    ends: Vec<u32>,
    /// Ids by row.
    ids: Ids,
}

/// Ids by row, for the names themselves and for those below them: in one column as long as no row has two.
struct Ids {
    /// For the names themselves.
    exact: Column,
    /// For those below them, where they are others.
    below: Option<Column>,
}

impl Ids {
    /// The id of a row.
    #[inline]
    fn get(&self, row: usize, side: u8) -> u32 {
        match &self.below {
            Some(below) if side == BELOW => below.get(row),
            _ => self.exact.get(row),
        }
    }

    /// Give a row an id on one side.
    fn set(&mut self, row: usize, side: u8, id: u32) {
        let below = self.below.get_or_insert_with(|| self.exact.clone());
        if side == BELOW { below.set(row, id) } else { self.exact.set(row, id) }
    }

    /// Put a row's ids into another one.
    #[inline]
    fn copy(&mut self, from: usize, to: usize) {
        for column in [Some(&mut self.exact), self.below.as_mut()].into_iter().flatten() {
            column.set(to, column.get(from));
        }
    }

    /// The ids of a row with these flags, in the order of a record.
    #[inline]
    fn of(&self, row: usize, flags: u8) -> impl Iterator<Item = u32> {
        let sides = [EXACT, BELOW].into_iter().filter(move |side| flags & side != 0);
        sides.map(move |side| self.get(row, side))
    }
}

/// One more id for a row that has one on that side.
struct Again {
    /// The row.
    row: u32,
    /// Where its name begins, by which rows stand in the order they came.
    start: u32,
    /// [`EXACT`] or [`BELOW`].
    side: u8,
    /// The id.
    id: u32,
}

impl Ordered {
    /// Rows in order; `keys` are the bits of their hashes that say where they stand.
    fn new(arena: &Arena, unordered: &[Row], keys: &[u32], ids: Column, buckets: usize) -> Self {
        let mut ends = vec![0u32; buckets + 1];
        for &key in keys {
            ends[place(key, buckets).0 + 1] += 1;
        }
        for n in 0..buckets {
            ends[n + 1] += ends[n];
        }
        let (mut rows, mut placed) = (vec![Row::default(); unordered.len()], Column::zeroed_like(&ids));
        for (n, (&row, &key)) in unordered.iter().zip(keys).enumerate() {
            let (bucket, tag) = place(key, buckets);
            // Where the bucket begins moves on to where it ends.
            let at = ends[bucket] as usize;
            ends[bucket] += 1;
            rows[at] = Row { tag, ..row };
            placed.set(at, ids.get(n));
        }
        ends.truncate(buckets);
        let mut ordered = Self { rows, ends, ids: Ids { exact: placed, below: None } };
        ordered.sort(arena);
        ordered
    }

    /// The rows of a bucket.
    fn bucket(&self, bucket: usize) -> std::ops::Range<usize> {
        let start = bucket.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[bucket] as usize
    }

    /// Bring each bucket's rows into order; they stand in the order they came.
    fn sort(&mut self, arena: &Arena) {
        let mut sorted: Vec<(Row, u32)> = Vec::new();
        for bucket in 0..self.ends.len() {
            let range = self.bucket(bucket);
            if self.rows[range.clone()].is_sorted_by(|a, b| a.tag < b.tag) {
                continue;
            }
            sorted.extend(range.clone().map(|n| (self.rows[n], self.ids.exact.get(n))));
            sorted.sort_by_key(|(row, _)| row.tag);
            // Nearly always rows of one name, which are in order.
            let unsorted = |same: &&mut [(Row, u32)]| !same.is_sorted_by_key(|(row, _)| arena.hash(row));
            for same in sorted.chunk_by_mut(|a, b| a.0.tag == b.0.tag).filter(|same| same.len() > 1).filter(unsorted) {
                same.sort_by_cached_key(|(row, _)| arena.hash(row));
            }
            for (n, (row, id)) in range.zip(sorted.drain(..)) {
                self.rows[n] = row;
                self.ids.exact.set(n, id);
            }
        }
    }

    /// Make one row of those of one name; returns the ids for which there was no room.
    fn join(&mut self, arena: &Arena) -> Vec<Again> {
        let mut again = Vec::new();
        // The rows of one tag that are kept, each of another name.
        let mut heads: Vec<usize> = Vec::new();
        let (mut from, mut len) = (0, 0);
        for end in &mut self.ends {
            heads.clear();
            for n in from..*end as usize {
                let row = self.rows[n];
                if heads.first().is_some_and(|&head| self.rows[head].tag != row.tag) {
                    heads.clear();
                }
                let known = heads.iter().copied().find(|&head| arena.name(&self.rows[head]) == arena.name(&row));
                let Some(head) = known else {
                    heads.push(len);
                    if len < n {
                        self.rows[len] = row;
                        self.ids.copy(n, len);
                    }
                    len += 1;
                    continue;
                };
                for side in [EXACT, BELOW].into_iter().filter(|side| row.flags & side != 0) {
                    let (id, known) = (self.ids.get(n, side), &mut self.rows[head]);
                    if known.flags & side == 0 {
                        known.flags |= side;
                        self.ids.set(head, side, id);
                    } else {
                        again.push(Again { row: head as u32, start: known.start, side, id });
                    }
                }
            }
            from = *end as usize;
            *end = len as u32;
        }
        self.rows.truncate(len);
        again
    }

    /// One id for each name that came several times.
    fn merge(&mut self, mut again: Vec<Again>, mut merge: impl FnMut(&[u32]) -> u32) {
        // In the order in which names came first, so that the same names give the same ids.
        again.sort_by_key(|again| (again.start, again.row, again.side));
        for group in again.chunk_by(|a, b| (a.row, a.side) == (b.row, b.side)) {
            let (row, side) = (group[0].row as usize, group[0].side);
            let mut all = vec![self.ids.get(row, side)];
            all.extend(group.iter().map(|again| again.id));
            self.ids.set(row, side, merge(&all));
        }
    }

    /// Mark the rows that list what is below them; returns the names above listed ones, each once, in order.
    fn parents(&mut self, arena: &Arena) -> Self {
        let mut known: HashTable<(u32, Row)> = HashTable::new();
        // Endings that are known, by number: nearly all climbs end there.
        let mut endings = 0u64;
        for n in 0..self.rows.len() {
            arena.prefetch(&self.rows, n + AHEAD);
            let mut row = self.rows[n];
            let lists = |side| row.flags & side != 0 && self.ids.get(n, side) != EXCLUDED;
            if lists(BELOW) {
                self.rows[n].flags |= PARENT;
            } else if !lists(EXACT) {
                continue;
            }
            // A parent's labels stand in the arena already: they are the end of its child's.
            while let Some(above) = above(arena.name(&row)) {
                let (start, number) = (row.start + u32::from(row.len) - above.len() as u32, row.flags >> FLAG_BITS);
                if above.len() == usize::from(above[0]) + 1 && number > 0 {
                    if endings >> number & 1 != 0 {
                        break;
                    }
                    endings |= 1 << number;
                }
                row = Row { start, len: above.len() as u8, flags: number << FLAG_BITS | PARENT, tag: 0 };
                let key = arena.key(&row);
                let same = |(k, other): &(u32, Row)| *k == key && arena.name(other) == above;
                match known.entry(spread(key), same, |(key, _)| spread(*key)) {
                    // So are all above it.
                    Entry::Occupied(_) => break,
                    Entry::Vacant(place) => _ = place.insert((key, row)),
                }
            }
        }
        let (keys, rows): (Vec<u32>, Vec<Row>) = known.into_iter().unzip();
        Self::new(arena, &rows, &keys, Column::Same(EXCLUDED, rows.len()), self.ends.len())
    }

    /// Mark the rows that are among these parents, which are then left out there.
    fn mark(&mut self, parents: &mut Self, arena: &Arena) {
        let (mut from, mut len) = (0, 0);
        for bucket in 0..self.ends.len() {
            let (own, end) = (self.bucket(bucket), parents.ends[bucket] as usize);
            for n in from..end {
                let parent = parents.rows[n];
                let same = |row: &&mut Row| row.tag == parent.tag && arena.name(row) == arena.name(&parent);
                match self.rows[own.clone()].iter_mut().find(same) {
                    Some(row) => row.flags |= PARENT,
                    None => {
                        parents.rows[len] = parent;
                        len += 1;
                    }
                }
            }
            from = end;
            parents.ends[bucket] = len as u32;
        }
        parents.rows.truncate(len);
    }

    /// These rows and those of `parents`, which are others, in one order; and the ids of those that have any.
    fn with(self, parents: &Self, arena: &Arena) -> (Vec<Row>, Ids) {
        let mut all = Vec::with_capacity(self.rows.len() + parents.rows.len());
        for bucket in 0..self.ends.len() {
            let (mut own, mut others) = (&self.rows[self.bucket(bucket)], &parents.rows[parents.bucket(bucket)]);
            while let ([a, ..], [b, ..]) = (own, others) {
                let order = a.tag.cmp(&b.tag).then_with(|| arena.hash(a).cmp(&arena.hash(b)));
                let next = if order.is_lt() { &mut own } else { &mut others };
                all.push(next[0]);
                *next = &next[1..];
            }
            all.extend_from_slice(own);
            all.extend_from_slice(others);
        }
        (all, self.ids)
    }
}

/// A hash in all bits from one in 32.
#[inline]
fn spread(key: u32) -> u64 {
    u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Write the records of rows in order. `ids` are those of the rows that have any, in the same order.
fn freeze(arena: &Arena, rows: &[Row], ids: &Ids, endings: Endings<'_>) -> Names {
    let (id_len, same_id) = ids_of(rows, ids);
    let (labels_by_code, codes) = endings.codes();
    let buckets = (rows.len() / NAMES_PER_BUCKET).max(1);
    let mut index: Vec<u32> = Vec::with_capacity(buckets + 1);
    let len_max = rows.iter().map(|row| usize::from(row.len) + 3 + 2 * usize::from(id_len)).sum();
    let mut records: Vec<u8> = Vec::with_capacity(len_max);
    let (mut below_depths, mut len, mut side_lens) = (0u128, 0, [0; 2]);
    for (n, row) in rows.iter().enumerate() {
        arena.prefetch(rows, n + AHEAD);
        let bucket = place(arena.key(row), buckets).0;
        if index.len() <= bucket {
            index.resize(bucket + 1, records.len() as u32);
        }
        let name = arena.name(row);
        let code = endings.number(row, name).map_or(0, |number| codes[number]);
        let labels = &name[..name.len() - labels_by_code[usize::from(code)].len()];
        // The ending's number is shifted out.
        let flags = row.flags << LEN_BITS;
        match u8::try_from(labels.len()) {
            Ok(len) if len < LEN_FOLLOWS => records.push(flags | len),
            // A name has 254 octets at most.
            len => records.extend([flags | LEN_FOLLOWS, len.unwrap_or(u8::MAX)]),
        }
        let sides = [row.flags & EXACT != 0, row.flags & BELOW != 0];
        if sides != [false; 2] {
            for id in ids.of(len, row.flags) {
                records.extend_from_slice(&id.to_le_bytes()[..usize::from(id_len)]);
            }
            len += 1;
        }
        records.push(code);
        records.extend_from_slice(labels);
        for (count, side) in side_lens.iter_mut().zip(sides) {
            *count += usize::from(side);
        }
        if sides[1] {
            below_depths |= 1 << count_labels(name).min(127);
        }
    }
    index.resize(buckets + 1, records.len() as u32);
    Names {
        index: frozen(index),
        records: frozen(records),
        endings: labels_by_code,
        id_len,
        same_id,
        below_depths,
        len,
        side_lens,
        seed: arena.seed.clone(),
    }
}

/// How many octets an id takes, and the id that all are where it takes none.
fn ids_of(rows: &[Row], ids: &Ids) -> (u8, u32) {
    let with_ids = rows.iter().filter(|row| row.flags & (EXACT | BELOW) != 0).enumerate();
    let mut all = with_ids.flat_map(|(n, row)| ids.of(n, row.flags));
    let same_id = all.next().unwrap_or(EXCLUDED);
    let (one, max_id) = all.fold((true, same_id), |(one, max), id| (one && id == same_id, max.max(id)));
    let id_len = match max_id {
        _ if one => 0,
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    };
    (id_len, same_id)
}
