//! Names to value ids: the table behind `dnset`, `generic` and the zones themselves.
//!
//! Records stand bucket after bucket in one run of octets: length and flags, ids, a code for the last label, the other
//! labels. A bucket holds about four names, and an index of 32-bit offsets says where each begins. So a name costs
//! about its own octets, as `\x03com` takes one of them, and a search touches one index entry and one or two cache lines. The hash is seeded for each process,
//! as names may come from an enemy.
//!
//! Names are labels in wire form without the root, lower case. An empty non-terminal, which has no data but
//! names below it (RFC 8020), is a record of its own.

mod builder;

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};

use super::values::EXCLUDED;
use crate::sys;
use crate::wire::name::LABELS_MAX;
pub use builder::{Full, NamesBuilder};

/// Names for each bucket: fewer cost more index, more cost longer searches.
const NAMES_PER_BUCKET: usize = 4;
/// Octets of all records: offsets are 32 bits wide.
const RECORDS_LEN_MAX: usize = u32::MAX as usize;

/// Flag: the record has an id for the name itself.
const EXACT: u8 = 1;
/// Flag: the record has an id for the names below it.
const BELOW: u8 = 2;
/// Flag: there are listed names below it.
const PARENT: u8 = 4;

/// Bits of a record's first octet for the length of its labels; the flags stand above them.
const LEN_BITS: u32 = 5;
/// That length in the first octet means that the true one follows in an octet of its own.
const LEN_FOLLOWS: u8 = (1 << LEN_BITS) - 1;
/// Last labels that have a code: code 0 means that a record has all its labels.
const CODES_MAX: usize = 255;

/// A frozen table.
#[derive(Debug)]
pub struct Names {
    /// Where each bucket begins, and the octets of all records.
    index: Box<[u32]>,
    /// The records.
    records: Box<[u8]>,
    /// The last labels that have a code, wire form, by code; code 0 is empty.
    endings: Vec<Box<[u8]>>,
    /// Octets of an id: 0 where all are the same.
    id_len: u8,
    /// That same id.
    same_id: u32,
    /// Bit n: some name of n labels has an id for the names below it.
    below_depths: u128,
    /// Names that have an id.
    len: usize,
    /// Names that have an id for themselves, and those that have one for the names below them.
    side_lens: [usize; 2],
    /// The process's seed.
    seed: foldhash::fast::RandomState,
}

/// A record's place.
struct Record {
    /// Its flags.
    flags: u8,
    /// Where its ids stand.
    ids: usize,
    /// The code of its last label.
    code: u8,
    /// Where its other labels stand.
    labels: std::ops::Range<usize>,
}

/// What a table says of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hit {
    /// Id for the name itself.
    pub exact: Option<u32>,
    /// Id for the names below it.
    pub below: Option<u32>,
    /// Whether there are listed names below it.
    pub parent: bool,
}

impl Default for Names {
    fn default() -> Self {
        NamesBuilder::default().finish(|ids| ids[0])
    }
}

impl Names {
    /// What is known of a name.
    pub fn get(&self, name: &[u8]) -> Option<Hit> {
        let (bucket, _) = place(key(hash(&self.seed, name)), self.index.len() - 1);
        let mut at = self.index[bucket] as usize;
        let end = self.index[bucket + 1] as usize;
        while at < end {
            let record = self.record(at);
            let ending = &*self.endings[usize::from(record.code)];
            let labels = &self.records[record.labels.clone()];
            if labels.len() + ending.len() == name.len()
                && *labels == name[..labels.len()]
                && *ending == name[labels.len()..]
            {
                return Some(self.hit(&record));
            }
            at = record.labels.end;
        }
        None
    }

    /// Bring what [`Names::get`] will look at into the cache.
    #[inline]
    pub fn prefetch(&self, name: &[u8]) {
        let (bucket, _) = place(key(hash(&self.seed, name)), self.index.len() - 1);
        sys::prefetch(&self.records, self.index[bucket] as usize);
    }

    /// The record at a place.
    #[inline]
    fn record(&self, at: usize) -> Record {
        let (mut len, flags) = (usize::from(self.records[at] & LEN_FOLLOWS), self.records[at] >> LEN_BITS);
        let mut ids = at + 1;
        if len == usize::from(LEN_FOLLOWS) {
            len = self.records[ids].into();
            ids += 1;
        }
        let code = ids + usize::from(self.id_len) * usize::from((flags & EXACT) + (flags & BELOW) / BELOW);
        Record { flags, ids, code: self.records[code], labels: code + 1..code + 1 + len }
    }

    /// What a record says.
    #[inline]
    fn hit(&self, record: &Record) -> Hit {
        let exact = (record.flags & EXACT != 0).then(|| self.id(record.ids));
        let below_at = record.ids + if exact.is_some() { usize::from(self.id_len) } else { 0 };
        let below = (record.flags & BELOW != 0).then(|| self.id(below_at));
        Hit { exact, below, parent: record.flags & PARENT != 0 }
    }

    /// The whole name of a record.
    fn name(&self, record: &Record) -> Vec<u8> {
        [&self.records[record.labels.clone()], &self.endings[usize::from(record.code)]].concat()
    }

    /// Where each record begins.
    fn places(&self) -> impl Iterator<Item = usize> {
        let first = (!self.records.is_empty()).then_some(0);
        std::iter::successors(first, |&at| Some(self.record(at).labels.end).filter(|&end| end < self.records.len()))
    }

    /// Whether there is more than exclusions.
    pub fn lists_any(&self) -> bool {
        self.places().any(|at| {
            let hit = self.hit(&self.record(at));
            [hit.exact, hit.below].into_iter().flatten().any(|id| id != EXCLUDED)
        })
    }

    /// All names with what is known of them, in canonical order (RFC 4034 section 6.1): a name, then those below it.
    /// Takes four octets a name.
    pub fn canonical(&self) -> impl Iterator<Item = (Vec<u8>, Hit)> {
        let mut order: Vec<u32> = self.places().map(|at| at as u32).collect();
        let name = |at: u32| self.name(&self.record(at as usize));
        order.sort_unstable_by(|&a, &b| canonical_order(&name(a), &name(b)));
        order.into_iter().map(move |at| {
            let record = self.record(at as usize);
            (self.name(&record), self.hit(&record))
        })
    }

    /// An id in the records.
    fn id(&self, at: usize) -> u32 {
        match self.id_len {
            0 => self.same_id,
            1 => self.records[at].into(),
            2 => u16::from_le_bytes([self.records[at], self.records[at + 1]]).into(),
            _ => {
                u32::from_le_bytes([self.records[at], self.records[at + 1], self.records[at + 2], self.records[at + 3]])
            }
        }
    }

    /// Whether a name of so many labels may have an id for the names below it.
    #[inline]
    pub fn has_below(&self, labels: usize) -> bool {
        labels < 128 && self.below_depths >> labels & 1 == 1
    }

    /// Whether any name has an id for the names below it.
    pub fn has_wildcards(&self) -> bool {
        self.below_depths != 0
    }

    /// Names that have an id.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Names that have an id for themselves, and those that have one for the names below them.
    pub fn side_lens(&self) -> [usize; 2] {
        self.side_lens
    }

    /// Whether no name has an id.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.index.len() * 4 + self.records.len() + self.endings.iter().map(|ending| ending.len()).sum::<usize>()
    }
}

/// The bits of a hash that say where its name stands.
#[inline]
fn key(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Where a key stands among so many buckets: in which one, and where in it.
#[inline]
fn place(key: u32, buckets: usize) -> (usize, u16) {
    let scaled = u64::from(key) * buckets as u64;
    ((scaled >> 32) as usize, (scaled >> 16) as u16)
}

/// Number of labels.
pub(crate) fn count_labels(mut name: &[u8]) -> usize {
    let mut count = 0;
    while let Some((&len, rest)) = name.split_first() {
        name = rest.get(usize::from(len)..).unwrap_or_default();
        count += 1;
    }
    count
}

/// The name above this one; none above the last label.
#[inline]
fn above(name: &[u8]) -> Option<&[u8]> {
    name.get(usize::from(*name.first()?) + 1..).filter(|rest| !rest.is_empty())
}

/// The last label with its length octet; empty for an empty name.
#[inline]
fn last_label(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = above(name) {
        name = rest;
    }
    name
}

/// Where each label of a name begins, the last label first.
fn label_starts(name: &[u8]) -> impl Iterator<Item = usize> {
    let mut starts = [0u8; LABELS_MAX];
    let (mut count, mut at) = (0, 0);
    while let (Some(&len), Some(start)) = (name.get(at), starts.get_mut(count)) {
        *start = at as u8;
        (count, at) = (count + 1, at + usize::from(len) + 1);
    }
    (0..count).rev().map(move |n| starts[n].into())
}

/// The order of two lower-case names: label by label from the end, the shorter name first (RFC 4034 section 6.1).
pub(crate) fn canonical_order(a: &[u8], b: &[u8]) -> Ordering {
    /// The labels of a name, the last one first.
    fn labels(name: &[u8]) -> impl Iterator<Item = &[u8]> {
        label_starts(name).map(|at| name.get(at + 1..at + 1 + usize::from(name[at])).unwrap_or_default())
    }
    labels(a).cmp(labels(b))
}

/// The keyed hash of a name.
#[inline]
fn hash(seed: &foldhash::fast::RandomState, name: &[u8]) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write(name);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::dataset::entry::Scope;

    /// Labels of a name in text.
    fn labels(text: &str) -> Vec<u8> {
        text.split('.').flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect()
    }

    #[test]
    fn names_scopes_and_parents() {
        let mut builder = NamesBuilder::default();
        for (name, scope, id) in [
            ("a.com", Scope::Exact, 1),
            ("b.com", Scope::Below, 2),
            ("c.net", Scope::Both, 3),
            ("a.com", Scope::Exact, 4),
            ("x.y.z", Scope::Exact, EXCLUDED),
            ("gone.org", Scope::Exact, 5),
            ("gone.org", Scope::Exact, EXCLUDED),
        ] {
            builder.push(&labels(name), scope, id).unwrap();
        }
        let names = builder.finish(|ids| if ids.contains(&EXCLUDED) { EXCLUDED } else { 100 + ids.len() as u32 });
        let hit = |exact, below, parent| Some(Hit { exact, below, parent });
        for (name, expected) in [
            ("a.com", hit(Some(102), None, false)),
            ("b.com", hit(None, Some(2), true)),
            ("c.net", hit(Some(3), Some(3), true)),
            ("com", hit(None, None, true)),
            ("net", hit(None, None, true)),
            ("x.y.z", hit(Some(EXCLUDED), None, false)),
            ("y.z", None),
            ("org", None),
            ("gone.org", hit(Some(EXCLUDED), None, false)),
            ("nothing", None),
        ] {
            assert_eq!(names.get(&labels(name)), expected, "{name}");
        }
        assert!(names.has_below(2) && !names.has_below(1));
        let order: Vec<Vec<u8>> = names.canonical().map(|(name, _)| name).collect();
        let expected = ["com", "a.com", "b.com", "net", "c.net", "gone.org", "x.y.z"];
        assert_eq!(order, expected.map(labels));
        assert!(names.canonical().all(|(name, hit)| names.get(&name) == Some(hit)));
        assert_eq!(names.len(), 5);
    }

    proptest! {
        /// Few labels, so that names come again, lie below one another and are excluded.
        #[test]
        fn a_slow_table_says_the_same(
            entries in prop::collection::vec((prop::collection::vec(0u8..4, 1..5), 0u8..3, 0u32..6), 0..400),
            wide in any::<bool>(),
        ) {
            let scopes = [Scope::Exact, Scope::Below, Scope::Both];
            let merge = |ids: &[u32]| if ids.contains(&EXCLUDED) { EXCLUDED } else { ids.iter().fold(7, |a, id| a * 31 % 9999 + id) };
            let mut builder = NamesBuilder::default();
            let mut slow: BTreeMap<Vec<u8>, [Vec<u32>; 2]> = BTreeMap::new();
            for (name, scope, id) in entries {
                let name = name.into_iter().flat_map(|n| labels(["a", "bb", "example", "a-label-of-more-letters-than-most"][usize::from(n)])).collect::<Vec<u8>>();
                let (scope, id) = (scopes[usize::from(scope)], if wide { id * 300 } else { id });
                builder.push(&name, scope, id).unwrap();
                let sides = slow.entry(name).or_default();
                let wanted = [matches!(scope, Scope::Exact | Scope::Both), matches!(scope, Scope::Below | Scope::Both)];
                sides.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted).for_each(|(side, _)| side.push(id));
            }
            let names = builder.finish(merge);
            let one = |ids: &Vec<u32>| match ids[..] { [] => None, [id] => Some(id), _ => Some(merge(ids)) };
            let mut expected: BTreeMap<&[u8], Hit> = BTreeMap::new();
            for (name, [exact, below]) in &slow {
                let hit = expected.entry(name).or_default();
                (hit.exact, hit.below) = (one(exact), one(below));
                let lists = |id: Option<u32>| id.is_some_and(|id| id != EXCLUDED);
                hit.parent |= lists(hit.below);
                if lists(hit.exact) || lists(hit.below) {
                    let mut name = &name[..];
                    while let Some(rest) = above(name) {
                        expected.entry(rest).or_default().parent = true;
                        name = rest;
                    }
                }
            }
            for (name, hit) in &expected {
                prop_assert_eq!(names.get(name), Some(*hit), "{:?}", name);
            }
            prop_assert_eq!(names.canonical().count(), expected.len());
            prop_assert_eq!(names.len(), slow.len());
        }
    }

    #[test]
    fn many_names_are_all_found_with_their_ids() {
        // The last number is large enough for names that stand at one place of a bucket.
        for count in [0u32, 1, 3, 5_000, 200_000] {
            let name = |n: u32| labels(&format!("host{n}.sub{}.example", n / 2));
            let mut builder = NamesBuilder::default();
            for n in 0..count {
                builder.push(&name(n), Scope::Exact, n + 1).unwrap();
            }
            let names = builder.finish(|ids| ids[0]);
            for n in 0..count {
                assert_eq!(names.get(&name(n)).and_then(|hit| hit.exact), Some(n + 1));
                let parent = Hit { exact: None, below: None, parent: true };
                assert_eq!(names.get(above(&name(n)).unwrap()), Some(parent));
            }
            assert_eq!(names.get(&labels("host.example")), None);
        }
    }
}
