//! The record sets of one name, put together as answers are: equal records once, under the smallest TTL.

use crate::dataset::records::RecordType;
use crate::dataset::template::Text;
use crate::zone::{Match, Zone};

/// Types in the order they are written.
pub const TYPES: [RecordType; 3] = [RecordType::A, RecordType::Txt, RecordType::Mx];

/// One record set.
#[derive(Debug, Default)]
pub struct RecordSet {
    /// TTL of all its records, s.
    pub ttl: u32,
    /// What they say: an address, a text, or preference and host.
    pub data: Vec<Vec<u8>>,
}

/// The record sets of one name, in the order of [`TYPES`].
#[derive(Debug, Default)]
pub struct RecordSets {
    /// The sets.
    pub sets: [RecordSet; TYPES.len()],
}

impl RecordSets {
    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| set.data.is_empty())
    }

    /// Whether there are records of a type.
    pub fn has(&self, rtype: RecordType) -> bool {
        TYPES.iter().zip(&self.sets).any(|(&known, set)| known == rtype && !set.data.is_empty())
    }

    /// Forget all.
    pub fn clear(&mut self) {
        self.sets.iter_mut().for_each(|set| set.data.clear());
    }

    /// Take what one dataset has for the name.
    pub fn add(&mut self, zone: &Zone, found: Match<'_, '_>) {
        match found {
            Match::Listing(dataset, id, subject) => {
                let (ttl, values) = (zone.ttl_of(dataset), dataset.values());
                let mut text = Text::default();
                for id in values.members(id) {
                    let (a, raw) = values.get(id);
                    self.put(RecordType::A, ttl, &a);
                    if let Some(text) = dataset.header().template.expand(raw, subject, &mut text) {
                        self.put(RecordType::Txt, ttl, text);
                    }
                }
            }
            Match::Record(record) => self.put(record.rtype, zone.ttl_of_record(record.ttl), record.data),
        }
    }

    /// Take a record, unless its like is there.
    fn put(&mut self, rtype: RecordType, ttl: u32, data: &[u8]) {
        for (_, set) in TYPES.iter().zip(&mut self.sets).filter(|(known, _)| **known == rtype) {
            set.ttl = if set.data.is_empty() { ttl } else { set.ttl.min(ttl) };
            if !set.data.iter().any(|known| known == data) {
                set.data.push(data.to_vec());
            }
        }
    }
}
