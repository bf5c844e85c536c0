//! `generic`: A, TXT and MX records by relative name.

use super::entry::{Record, RecordData, Scope};
use super::names::{Full, Names, NamesBuilder};

/// The type of a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RecordType {
    /// An IPv4 address.
    A = 1,
    /// Preference and host.
    Mx = 15,
    /// A text.
    Txt = 16,
}

/// A stored record.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// Its type.
    rtype: RecordType,
    /// Its TTL, s; `None` takes the zone's.
    ttl: Option<u32>,
    /// Where its data begins.
    at: u32,
    /// Octets of its data.
    len: u16,
}

/// A record as it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its type.
    pub rtype: RecordType,
    /// Its TTL, s; `None` takes the zone's.
    pub ttl: Option<u32>,
    /// A: four octets; TXT: the text; MX: preference and host in wire form.
    pub data: &'a [u8],
}

/// All records of a `generic` dataset.
#[derive(Debug, Default)]
pub struct Records {
    /// Record numbers by owner; beyond the records, groups of them.
    names: Names,
    /// The records.
    records: Vec<Stored>,
    /// Their data.
    data: Vec<u8>,
    /// Ends of the groups in `members`.
    ends: Vec<u32>,
    /// Record numbers, group by group.
    members: Vec<u32>,
}

impl Records {
    /// The records of a name, relative to the zone; `None` if there is no such name, nothing if it is an empty
    /// non-terminal.
    pub fn get(&self, name: &[u8]) -> Option<impl Iterator<Item = Found<'_>> + Clone> {
        let hit = self.names.get(name)?;
        let single = hit.exact.filter(|&id| id as usize <= self.records.len());
        let group: &[u32] = match hit.exact {
            Some(id) if single.is_none() => {
                let n = id as usize - self.records.len() - 1;
                let start = if n == 0 { 0 } else { self.ends[n - 1] as usize };
                &self.members[start..self.ends[n] as usize]
            }
            _ => &[],
        };
        Some(single.into_iter().chain(group.iter().copied()).map(|id| {
            let record = &self.records[id as usize - 1];
            let at = record.at as usize;
            Found { rtype: record.rtype, ttl: record.ttl, data: &self.data[at..at + usize::from(record.len)] }
        }))
    }

    /// All names, empty non-terminals included, in canonical order.
    pub fn names(&self) -> impl Iterator<Item = Vec<u8>> {
        self.names.canonical().map(|(name, _)| name)
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.names.heap_bytes()
            + self.records.capacity() * size_of::<Stored>()
            + self.data.capacity()
            + (self.ends.capacity() + self.members.capacity()) * 4
    }
}

/// A `generic` dataset while loading.
#[derive(Debug, Default)]
pub struct RecordsBuilder {
    /// Record numbers by owner.
    names: NamesBuilder,
    /// The records.
    records: Vec<Stored>,
    /// Their data.
    data: Vec<u8>,
}

impl RecordsBuilder {
    /// Add a record.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), Full> {
        let at = u32::try_from(self.data.len()).map_err(|_| Full)?;
        // Numbers count from 1: the table takes 0 for an exclusion.
        self.names.push(record.owner, Scope::Exact, self.records.len() as u32 + 1)?;
        let rtype = match record.data {
            RecordData::A(address) => {
                self.data.extend(address.octets());
                RecordType::A
            }
            RecordData::Txt(text) => {
                self.data.extend(text);
                RecordType::Txt
            }
            RecordData::Mx(preference, host) => {
                self.data.extend(preference.to_be_bytes());
                self.data.extend(host);
                RecordType::Mx
            }
        };
        let len = (self.data.len() - at as usize).min(usize::from(u16::MAX)) as u16;
        self.records.push(Stored { rtype, ttl: record.ttl, at, len });
        Ok(())
    }

    /// Freeze.
    pub fn finish(self) -> Records {
        let Self { names, mut records, mut data } = self;
        let (mut ends, mut members) = (Vec::new(), Vec::new());
        let count = records.len() as u32;
        let names = names.finish(|ids| {
            members.extend_from_slice(ids);
            ends.push(members.len() as u32);
            count + ends.len() as u32
        });
        records.shrink_to_fit();
        data.shrink_to_fit();
        Records { names, records, data, ends, members }
    }
}
