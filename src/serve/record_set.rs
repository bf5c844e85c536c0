//! One record set of an answer: equal records once, all under the smallest of their TTLs (RFC 2181 section 5.2).
//!
//! Records are written as they are found; a repeated one is taken back, and TTLs are mended at the end.

use crate::dataset::Dataset;
use crate::dataset::template::{Subject, Text};
use crate::wire::reply::{NoRoom, Piece, Section, Writer};
use crate::wire::rtype;

/// Records of one set at most: far over any use, and a bound on the search for equal ones.
const RECORDS_MAX: u16 = 1_024;

/// One record set on its way.
pub(super) struct RecordSet<'w, 'b> {
    /// Where it begins.
    start: usize,
    /// Where it is written.
    writer: &'w mut Writer<'b>,
    /// Its type.
    wanted: u16,
    /// The smallest TTL so far, s.
    ttl: Option<u32>,
    /// Records were written under different TTLs.
    mixed: bool,
    /// Records in it.
    count: u16,
    /// Whether all had room.
    room: Result<(), NoRoom>,
}

impl<'w, 'b> RecordSet<'w, 'b> {
    /// An empty set of a type, written from the writer's present position on.
    pub(super) fn new(writer: &'w mut Writer<'b>, wanted: u16) -> Self {
        Self { start: writer.position(), writer, wanted, ttl: None, mixed: false, count: 0, room: Ok(()) }
    }

    /// The records of a listing.
    #[inline]
    pub(super) fn listing(&mut self, ttl: u32, dataset: &Dataset, id: u32, subject: Subject<'_>) {
        let values = dataset.values();
        match self.wanted {
            rtype::A => values.members(id).for_each(|id| self.put_a(ttl, values.get(id).0)),
            rtype::TXT => {
                let mut text = Text::default();
                for id in values.members(id) {
                    if let Some(text) = dataset.header().template.expand(values.get(id).1, subject, &mut text) {
                        self.put(ttl, Piece::Text(text));
                    }
                }
            }
            _ => {}
        }
    }

    /// An address, unless it is there.
    #[inline]
    fn put_a(&mut self, ttl: u32, address: [u8; 4]) {
        if self.count == RECORDS_MAX || self.room.is_err() {
            return;
        }
        let position = self.writer.position();
        self.room = self.writer.a_record(ttl, address);
        self.count_record(ttl, position);
    }

    /// A record, unless its like is there.
    pub(super) fn put(&mut self, ttl: u32, data: Piece<'_>) {
        if self.count == RECORDS_MAX || self.room.is_err() {
            return;
        }
        let position = self.writer.position();
        self.room = self.writer.record(Section::Answer, self.wanted, ttl, &[data]);
        self.count_record(ttl, position);
    }

    /// Count a record that was written at a position, or take it back if its like is there.
    #[inline]
    fn count_record(&mut self, ttl: u32, position: usize) {
        if self.room.is_err() {
            return;
        }
        self.mixed |= self.ttl.is_some_and(|known| known != ttl);
        self.ttl = Some(self.ttl.map_or(ttl, |known| known.min(ttl)));
        self.count += 1;
        if self.count > 1 && self.repeats(position) {
            self.writer.drop_last(Section::Answer, position);
            self.count -= 1;
        }
    }

    /// Whether the record at a position says what an earlier one says.
    fn repeats(&mut self, position: usize) -> bool {
        let start = self.start;
        let set = self.writer.written(start);
        let (earlier, last) = set.split_at(position - start);
        records(earlier).any(|record| record[RDLENGTH_AT..] == last[RDLENGTH_AT..])
    }

    /// Give all records the smallest TTL.
    pub(super) fn finish(self) -> Result<(), NoRoom> {
        if let (true, Some(ttl)) = (self.mixed, self.ttl) {
            let set = self.writer.written(self.start);
            let mut at = 0;
            loop {
                let Some(len) = records(&set[at..]).next().map(<[u8]>::len) else { break };
                set[at + TTL_AT..at + RDLENGTH_AT].copy_from_slice(&ttl.to_be_bytes());
                at += len;
            }
        }
        self.room
    }
}

/// Where the TTL stands in a record whose owner is a pointer.
const TTL_AT: usize = 6;
/// Where the length of the data stands.
const RDLENGTH_AT: usize = 10;

/// The records in a run of such.
fn records(mut run: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let data_len = u16::from_be_bytes([*run.get(RDLENGTH_AT)?, *run.get(RDLENGTH_AT + 1)?]);
        let (record, rest) = run.split_at_checked(RDLENGTH_AT + 2 + usize::from(data_len))?;
        run = rest;
        Some(record)
    })
}
