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
    #[inline]
    pub(super) fn new(writer: &'w mut Writer<'b>, wanted: u16) -> Self {
        Self { start: writer.position(), writer, wanted, ttl: None, mixed: false, count: 0, room: Ok(()) }
    }

    /// The records of a listing.
    #[inline]
    pub(super) fn listing(&mut self, ttl: u32, dataset: &Dataset, id: u32, subject: Subject<'_>) {
        let values = dataset.values();
        match self.wanted {
            rtype::A => match values.one_address(id) {
                Some(address) => self.put_a(ttl, address),
                None => values.members(id).for_each(|id| self.put_a(ttl, values.get(id).0)),
            },
            rtype::TXT => match values.one_plain_text(id) {
                Some(text) if dataset.header().template.base.is_none() => self.put_text(ttl, text),
                _ => self.templates(ttl, dataset, id, subject),
            },
            _ => {}
        }
    }

    /// The texts of a listing, as far as they must be made of templates.
    #[inline(never)]
    fn templates(&mut self, ttl: u32, dataset: &Dataset, id: u32, subject: Subject<'_>) {
        let values = dataset.values();
        let mut text = Text::default();
        for id in values.members(id) {
            if let Some(text) = dataset.header().template.expand(values.get(id).1, subject, &mut text) {
                self.put_text(ttl, text);
            }
        }
    }

    /// Keep that the set's first record was written, or that it had no room.
    #[inline]
    fn count_first(&mut self, ttl: u32, room: Result<(), NoRoom>) {
        self.room = room;
        if room.is_ok() {
            (self.count, self.ttl) = (1, Some(ttl));
        }
    }

    /// An address, unless it is there.
    #[inline]
    fn put_a(&mut self, ttl: u32, address: [u8; 4]) {
        if self.count == 0 && self.room.is_ok() {
            let room = self.writer.a_record(ttl, address);
            self.count_first(ttl, room);
        } else {
            self.put_further_a(ttl, address);
        }
    }

    /// A text, unless it is there.
    #[inline]
    fn put_text(&mut self, ttl: u32, text: &[u8]) {
        if self.count == 0 && self.room.is_ok() {
            let room = self.writer.text_record(ttl, text);
            self.count_first(ttl, room);
        } else {
            self.put(ttl, Piece::Text(text));
        }
    }

    /// An address that is not the set's first record, unless it is there.
    #[inline(never)]
    fn put_further_a(&mut self, ttl: u32, address: [u8; 4]) {
        if self.count == RECORDS_MAX || self.room.is_err() {
            return;
        }
        let position = self.writer.position();
        self.room = self.writer.a_record(ttl, address);
        self.count_record(ttl, position, Piece::Octets(&address));
    }

    /// A record, unless its like is there.
    #[inline(never)]
    pub(super) fn put(&mut self, ttl: u32, data: Piece<'_>) {
        if self.count == RECORDS_MAX || self.room.is_err() {
            return;
        }
        let position = self.writer.position();
        self.room = self.writer.record(Section::Answer, self.wanted, ttl, &[data]);
        self.count_record(ttl, position, data);
    }

    /// Count a record that was written at a position, or take it back if its like is there.
    fn count_record(&mut self, ttl: u32, position: usize, data: Piece<'_>) {
        if self.room.is_err() {
            if self.holds(data) {
                // It needs no room.
                self.room = Ok(());
                self.count_ttl(ttl);
            }
            return;
        }
        self.count_ttl(ttl);
        self.count += 1;
        if self.count > 1 && self.repeats(position) {
            self.writer.drop_last(Section::Answer, position);
            self.count -= 1;
        }
    }

    /// Keep the smallest TTL.
    fn count_ttl(&mut self, ttl: u32) {
        self.mixed |= self.ttl.is_some_and(|known| known != ttl);
        self.ttl = Some(self.ttl.map_or(ttl, |known| known.min(ttl)));
    }

    /// Whether a record says this.
    #[cold]
    fn holds(&mut self, data: Piece<'_>) -> bool {
        let set = self.writer.written(self.start);
        records(set).any(|record| match data {
            Piece::Octets(octets) => record[RDLENGTH_AT + 2..] == *octets,
            Piece::Text(text) => is_text(&record[RDLENGTH_AT + 2..], text),
            Piece::Name(_) => false,
        })
    }

    /// Whether the record at a position says what an earlier one says.
    fn repeats(&mut self, position: usize) -> bool {
        let start = self.start;
        let set = self.writer.written(start);
        let (earlier, last) = set.split_at(position - start);
        records(earlier).any(|record| record[RDLENGTH_AT..] == last[RDLENGTH_AT..])
    }

    /// Give all records the smallest TTL.
    #[inline]
    pub(super) fn finish(mut self) -> Result<(), NoRoom> {
        if let (true, Some(ttl)) = (self.mixed, self.ttl) {
            self.set_ttl(ttl);
        }
        self.room
    }

    /// Give all records one TTL.
    #[cold]
    fn set_ttl(&mut self, ttl: u32) {
        let set = self.writer.written(self.start);
        let mut at = 0;
        loop {
            let Some(len) = records(&set[at..]).next().map(<[u8]>::len) else { break };
            set[at + TTL_AT..at + RDLENGTH_AT].copy_from_slice(&ttl.to_be_bytes());
            at += len;
        }
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

/// Whether character-strings spell a text (RFC 1035 section 3.3.14).
fn is_text(mut strings: &[u8], mut text: &[u8]) -> bool {
    while let Some((&len, rest)) = strings.split_first() {
        let Some((string, rest)) = rest.split_at_checked(len.into()) else { return false };
        let Some(tail) = text.strip_prefix(string) else { return false };
        (strings, text) = (rest, tail);
    }
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_record_needs_no_room() {
        let (long, other) = ([b'l'; 300], [b'm'; 300]);
        // Room for one text of 300 octets and an address, and not for another text.
        let mut buffer = [0; 12 + 12 + 302 + 16];
        let size = buffer.len();
        let mut writer = Writer::new(&mut buffer, 12, size, 0);
        let mut texts = RecordSet::new(&mut writer, rtype::TXT);
        texts.put(60, Piece::Text(&long));
        texts.put(30, Piece::Text(&long));
        assert_eq!((texts.count, texts.ttl, texts.mixed, texts.room), (1, Some(30), true, Ok(())));
        assert_eq!(texts.finish(), Ok(()));
        let mut addresses = RecordSet::new(&mut writer, rtype::A);
        addresses.put_a(60, [127, 0, 0, 2]);
        addresses.put_a(60, [127, 0, 0, 2]);
        assert_eq!((addresses.count, addresses.room), (1, Ok(())));
        addresses.put_a(60, [127, 0, 0, 3]);
        assert_eq!(addresses.finish(), Err(NoRoom));
        let mut texts = RecordSet::new(&mut writer, rtype::TXT);
        texts.put(60, Piece::Text(&other));
        assert_eq!(texts.finish(), Err(NoRoom));
    }

    #[test]
    fn texts_are_compared_string_by_string() {
        for (strings, text, expected) in [
            (&b"\x02ab"[..], &b"ab"[..], true),
            (b"\x01a\x01b", b"ab", true),
            (b"\x00", b"", true),
            (b"\x02ab", b"abc", false),
            (b"\x02ab", b"a", false),
            (b"\x03ab", b"ab", false),
        ] {
            assert_eq!(is_text(strings, text), expected, "{strings:?}");
        }
    }
}
