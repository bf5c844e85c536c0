//! What entries say, each thing kept once.
//!
//! An entry holds the id of its value. Ids count up: 0 is an exclusion, then come the values, then combinations
//! of values for subjects that several entries are about. Nothing here is touched before a listing was found.

use std::hash::{BuildHasher, Hasher};
use std::net::Ipv4Addr;

use hashbrown::HashTable;

use super::entry::TEXT_LEN_MAX;

/// The id of an exclusion.
pub const EXCLUDED: u32 = 0;
/// The id of the first value.
pub const FIRST: u32 = 1;
/// Octets of all texts of a dataset: offsets are 32 bits wide.
const TEXTS_LEN_MAX: usize = u32::MAX as usize;

/// One value: an address and perhaps a text.
#[derive(Clone, Copy, Debug)]
struct Value {
    /// The address that is answered, network order.
    a: [u8; 4],
    /// Where its text begins; `u32::MAX` means that it has none.
    text_at: u32,
    /// Octets of the text.
    text_len: u16,
    /// There is a text, and it stands for itself unless there is a base template: no `$` in it, no `=` before it.
    plain: bool,
}

/// All values of a dataset.
#[derive(Debug, Default)]
pub struct Values {
    /// By id, less [`FIRST`].
    values: Vec<Value>,
    /// All texts, one after another.
    texts: Vec<u8>,
    /// Ends of the combinations in `members`.
    ends: Vec<u32>,
    /// Ids of values, combination by combination.
    members: Vec<u32>,
}

impl Values {
    /// The address and the raw text of a value.
    #[inline]
    pub fn get(&self, id: u32) -> ([u8; 4], Option<&[u8]>) {
        let Some(value) = self.values.get((id.wrapping_sub(FIRST)) as usize) else {
            return ([127, 0, 0, 2], None);
        };
        let at = value.text_at as usize;
        (value.a, self.texts.get(at..at + usize::from(value.text_len)))
    }

    /// The address of a value; `None` for an exclusion or a combination.
    #[inline]
    pub fn one_address(&self, id: u32) -> Option<[u8; 4]> {
        self.values.get(id.wrapping_sub(FIRST) as usize).map(|value| value.a)
    }

    /// The text of a value where it is answered as it is written, if there is no base template; `None` as well for an
    /// exclusion or a combination.
    #[inline]
    pub fn one_plain_text(&self, id: u32) -> Option<&[u8]> {
        let value = self.values.get(id.wrapping_sub(FIRST) as usize).filter(|value| value.plain)?;
        let at = value.text_at as usize;
        self.texts.get(at..at + usize::from(value.text_len))
    }

    /// The values behind an id: one, or those of a combination; none for an exclusion.
    #[inline]
    pub fn members(&self, id: u32) -> Members<'_> {
        let combination = (id as usize).checked_sub(self.values.len() + FIRST as usize);
        match combination {
            None => Members { one: if id == EXCLUDED { None } else { Some(id) }, many: [].iter() },
            Some(n) => {
                let start = if n == 0 { 0 } else { self.ends.get(n - 1).map_or(0, |&end| end as usize) };
                let end = self.ends.get(n).map_or(start, |&end| end as usize);
                Members { one: None, many: self.members[start..end].iter() }
            }
        }
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Value>()
            + self.texts.capacity()
            + (self.ends.capacity() + self.members.capacity()) * 4
    }
}

/// Ids of single values.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    /// The only one.
    one: Option<u32>,
    /// Those of a combination.
    many: std::slice::Iter<'a, u32>,
}

impl Iterator for Members<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.one.take().or_else(|| self.many.next().copied())
    }
}

/// Values while a dataset is built.
#[derive(Debug, Default)]
pub struct Interner {
    /// What was met so far.
    values: Values,
    /// Ids of values by their content.
    known: HashTable<u32>,
    /// Offsets and lengths of texts by their content, so that texts under several addresses are kept once.
    known_texts: HashTable<(u32, u16)>,
    /// Ids of combinations by their members.
    combinations: HashTable<u32>,
    /// Seeded for each process: texts may be hostile.
    seed: foldhash::fast::RandomState,
}

impl Interner {
    /// The id of a value; `None` when the texts of this dataset are full.
    pub fn value(&mut self, a: Ipv4Addr, text: Option<&[u8]>) -> Option<u32> {
        let text = text.map(|text| &text[..text.len().min(TEXT_LEN_MAX)]);
        let a = a.octets();
        let hash = hash(&self.seed, a, text);
        let values = &self.values;
        if let Some(&id) = self.known.find(hash, |&id| values.get(id) == (a, text)) {
            return Some(id);
        }
        let (text_at, text_len) = match text {
            None => (u32::MAX, 0),
            Some(text) => self.text(text)?,
        };
        let id = FIRST + u32::try_from(self.values.values.len()).ok()?;
        let plain = text.is_some_and(|text| !text.contains(&b'$') && !text.starts_with(b"="));
        self.values.values.push(Value { a, text_at, text_len, plain });
        let (values, seed) = (&self.values, &self.seed);
        self.known.insert_unique(hash, id, |&id| {
            let (a, text) = values.get(id);
            self::hash(seed, a, text)
        });
        Some(id)
    }

    /// Where a text stands, added if new.
    fn text(&mut self, text: &[u8]) -> Option<(u32, u16)> {
        let hash = self.seed.hash_one(text);
        let texts = &self.values.texts;
        let slice = |&(at, len): &(u32, u16)| &texts[at as usize..at as usize + usize::from(len)];
        if let Some(&known) = self.known_texts.find(hash, |known| slice(known) == text) {
            return Some(known);
        }
        if self.values.texts.len() + text.len() >= TEXTS_LEN_MAX {
            return None;
        }
        let new = (self.values.texts.len() as u32, text.len() as u16);
        self.values.texts.extend_from_slice(text);
        let (texts, seed) = (&self.values.texts, &self.seed);
        self.known_texts
            .insert_unique(hash, new, |&(at, len)| seed.hash_one(&texts[at as usize..at as usize + usize::from(len)]));
        Some(new)
    }

    /// End of the values; combinations may follow.
    ///
    /// The look-up tables are let go here, before the arrays of keys are sorted, so that they do not add to the peak.
    pub fn seal(&mut self) {
        self.known = HashTable::new();
        self.known_texts = HashTable::new();
        self.values.values.shrink_to_fit();
        self.values.texts.shrink_to_fit();
    }

    /// The id for several entries about one subject: an exclusion among them wins, equal values count once.
    ///
    /// Only after [`Interner::seal`].
    pub fn combine(&mut self, ids: &[u32]) -> u32 {
        if ids.contains(&EXCLUDED) {
            return EXCLUDED;
        }
        let mut distinct: Vec<u32> = Vec::with_capacity(ids.len());
        for &id in ids {
            if !distinct.contains(&id) {
                distinct.push(id);
            }
        }
        if let [one] = distinct[..] {
            return one;
        }
        let first = FIRST + self.values.values.len() as u32;
        let hash = self.seed.hash_one(&distinct[..]);
        let values = &self.values;
        if let Some(&id) = self.combinations.find(hash, |&id| values.members(id).eq(distinct.iter().copied())) {
            return id;
        }
        let id = first + self.values.ends.len() as u32;
        self.values.members.extend_from_slice(&distinct);
        self.values.ends.push(self.values.members.len() as u32);
        let (values, seed) = (&self.values, &self.seed);
        self.combinations.insert_unique(hash, id, |&id| seed.hash_one(&values.members(id).collect::<Vec<_>>()[..]));
        id
    }

    /// The frozen values.
    pub fn finish(self) -> Values {
        let mut values = self.values;
        values.values.shrink_to_fit();
        values.texts.shrink_to_fit();
        values.ends.shrink_to_fit();
        values.members.shrink_to_fit();
        values
    }
}

/// The keyed hash of a value.
#[inline]
fn hash(seed: &foldhash::fast::RandomState, a: [u8; 4], text: Option<&[u8]>) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write_u32(u32::from_le_bytes(a));
    if let Some(text) = text {
        hasher.write(text);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_id_and_give_back_what_was_put_in() {
        let mut interner = Interner::default();
        let a = Ipv4Addr::new(127, 0, 0, 3);
        let with = interner.value(a, Some(b"x")).unwrap();
        let without = interner.value(a, None).unwrap();
        assert_ne!(with, without);
        assert_eq!(interner.value(a, Some(b"x")), Some(with));
        let empty = interner.value(a, Some(b"")).unwrap();
        interner.seal();
        let both = interner.combine(&[with, without, with]);
        assert_eq!(interner.combine(&[with, without]), both);
        assert_eq!(interner.combine(&[with, EXCLUDED]), EXCLUDED);
        assert_eq!(interner.combine(&[with, with]), with);
        let values = interner.finish();
        assert_eq!(values.get(with), ([127, 0, 0, 3], Some(&b"x"[..])));
        assert_eq!(values.get(without), ([127, 0, 0, 3], None));
        assert_eq!(values.get(empty), ([127, 0, 0, 3], Some(&b""[..])));
        assert_eq!(values.members(both).collect::<Vec<_>>(), [with, without]);
        assert_eq!(values.members(with).collect::<Vec<_>>(), [with]);
        assert_eq!(values.members(EXCLUDED).count(), 0);
    }
}
