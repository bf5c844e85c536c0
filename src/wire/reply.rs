//! An answer, written behind the question in the same buffer.

use super::cookie::FULL_OCTETS;
use super::edns::{OPT_LEN, OPTION_COOKIE, OPTION_EDE, OPTION_KEEPALIVE, OPTION_NSID, OPTION_PADDING};
use super::{HEADER_LEN, class, rtype};

/// A name as it is written into answers of one zone: what stands before the zone's name, and whether that
/// follows as a pointer into the question (RFC 1035 section 4.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetName {
    /// Labels; without a pointer behind them the root's zero is the last octet.
    octets: Box<[u8]>,
    /// The zone's name follows.
    in_zone: bool,
}

impl TargetName {
    /// A name as seen from a zone (lower case).
    pub fn new(name: &super::name::Name, zone: &super::name::Name) -> Self {
        let wire = name.wire();
        let ends_with_zone = wire.len() >= zone.wire().len() && {
            let start = wire.len() - zone.wire().len();
            let mut at = 0;
            // The zone's name must begin at a label's border.
            while at < start {
                at += usize::from(wire[at]) + 1;
            }
            at == start && wire[start..].eq_ignore_ascii_case(zone.wire())
        };
        if ends_with_zone && zone.label_count() > 0 {
            return Self { octets: wire[..wire.len() - zone.wire().len()].into(), in_zone: true };
        }
        Self { octets: wire.into(), in_zone: false }
    }

    /// The whole name, as seen from the zone it was made for.
    pub fn whole(&self, zone: &super::name::Name) -> super::name::Name {
        let tail = if self.in_zone { zone.wire() } else { &[] };
        super::name::Name::from_wire(&[&self.octets, tail].concat())
    }

    /// Octets it takes.
    fn len(&self) -> usize {
        self.octets.len() + if self.in_zone { 2 } else { 0 }
    }
}

/// The section that a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Answer.
    Answer = 1,
    /// Authority.
    Authority = 2,
    /// Additional.
    Additional = 3,
}

/// A piece of a record's data.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// Octets as they are.
    Octets(&'a [u8]),
    /// A name.
    Name(&'a TargetName),
    /// A text, split into character-strings of up to 255 octets (RFC 1035 section 3.3.14).
    Text(&'a [u8]),
}

impl Piece<'_> {
    /// Octets it takes.
    fn len(&self) -> usize {
        match self {
            Self::Octets(octets) => octets.len(),
            Self::Name(name) => name.len(),
            Self::Text(text) => text.len() + text.len().div_ceil(255).max(1),
        }
    }
}

/// A record owned by the zone, ready to be copied: all that is put in is where the zone's name stands in the question.
#[derive(Clone, Debug)]
pub struct ApexRecord {
    /// The record, with a pointer of offset 0 for each zone's name in it.
    octets: Box<[u8]>,
    /// Where those pointers stand; the owner is the first. A SOA has two names beside it.
    pointers: [u16; 3],
    /// How many there are.
    pointer_count: u8,
}

impl ApexRecord {
    /// A record whose data are names (two at most) with octets behind them.
    pub fn new(rtype: u16, ttl: u32, names: &[&TargetName], tail: &[u8]) -> Self {
        const POINTER: [u8; 2] = [0xc0, 0];
        let mut octets = POINTER.to_vec();
        octets.extend(rtype.to_be_bytes());
        octets.extend(class::IN.to_be_bytes());
        octets.extend(ttl.to_be_bytes());
        let data_len = names.iter().map(|name| name.len()).sum::<usize>() + tail.len();
        octets.extend((data_len as u16).to_be_bytes());
        let (mut pointers, mut pointer_count) = ([0; 3], 1);
        for name in names {
            octets.extend_from_slice(&name.octets);
            if name.in_zone {
                pointers[pointer_count] = octets.len() as u16;
                pointer_count += 1;
                octets.extend(POINTER);
            }
        }
        octets.extend_from_slice(tail);
        Self { octets: octets.into(), pointers, pointer_count: pointer_count as u8 }
    }
}

/// There is no room for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Writes an answer. The question, if any is kept, stands in the buffer already.
#[derive(Debug)]
pub struct Writer<'b> {
    /// The whole buffer; the message is its beginning.
    buf: &'b mut [u8],
    /// Octets written.
    at: usize,
    /// Octets that records may take, the OPT record's kept free.
    limit: usize,
    /// Where the zone's name stands in the question.
    zone_at: u16,
    /// The header's four counts as it holds them: questions in the upper 16 bits, then answers, authority, additional.
    counts: u64,
}

/// Where a section's count stands in the header's counts, bits from the right.
#[inline]
fn count_shift(section: Section) -> u32 {
    48 - 16 * section as u32
}

impl<'b> Writer<'b> {
    /// Begin behind `question_end`; the message may take `size` octets, of which `reserved` are for the OPT record.
    #[inline]
    pub fn new(buf: &'b mut [u8], question_end: usize, size: usize, reserved: usize) -> Self {
        let limit = size.min(buf.len()).saturating_sub(reserved).max(question_end);
        let counts = u64::from(question_end > HEADER_LEN) << 48;
        Self { buf, at: question_end, limit, zone_at: HEADER_LEN as u16, counts }
    }

    /// Where in the name of the question the zone's begins, octets.
    #[inline]
    pub fn set_zone(&mut self, start: usize) {
        self.zone_at = (HEADER_LEN + start) as u16;
    }

    /// Octets written.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// What was written from a position on.
    pub fn written(&mut self, from: usize) -> &mut [u8] {
        &mut self.buf[from..self.at]
    }

    /// Records written to a section.
    #[inline]
    pub fn count(&self, section: Section) -> u16 {
        (self.counts >> count_shift(section)) as u16
    }

    /// Count a record. It takes eleven octets at least, so a message can not hold more than a count can.
    #[inline]
    fn count_up(&mut self, section: Section) {
        self.counts += 1 << count_shift(section);
    }

    /// Take back all records of a section, which must be the last one written to.
    pub fn take_back(&mut self, section: Section, position: usize) {
        self.at = position;
        self.counts &= !(0xffff << count_shift(section));
    }

    /// Take back the last record of a section, which begins at a position.
    pub fn drop_last(&mut self, section: Section, position: usize) {
        self.at = position;
        self.counts -= 1 << count_shift(section);
    }

    /// Write a text of class CH and TTL 0 owned by the name of the question.
    pub fn chaos_text(&mut self, text: Piece<'_>) -> Result<(), NoRoom> {
        let at = self.at;
        self.record(Section::Answer, rtype::TXT, 0, &[text])?;
        self.buf[at + 4..at + 6].copy_from_slice(&class::CH.to_be_bytes());
        Ok(())
    }

    /// Write a record owned by the name of the question.
    #[inline]
    pub fn record(&mut self, section: Section, rtype: u16, ttl: u32, data: &[Piece<'_>]) -> Result<(), NoRoom> {
        self.owned_record(section, None, rtype, ttl, data)
    }

    /// Write an A record owned by the name of the question into the answer section.
    #[inline]
    pub fn a_record(&mut self, ttl: u32, address: [u8; 4]) -> Result<(), NoRoom> {
        // Owner, type A, class IN; TTL; length 4.
        let mut record = [0xc0, HEADER_LEN as u8, 0, rtype::A as u8, 0, class::IN as u8, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
        record[6..10].copy_from_slice(&ttl.to_be_bytes());
        record[12..16].copy_from_slice(&address);
        let end = self.at + record.len();
        if end > self.limit {
            return Err(NoRoom);
        }
        self.buf[self.at..end].copy_from_slice(&record);
        self.at = end;
        self.count_up(Section::Answer);
        Ok(())
    }

    /// Write a TXT record owned by the name of the question into the answer section.
    #[inline]
    pub fn text_record(&mut self, ttl: u32, text: &[u8]) -> Result<(), NoRoom> {
        let Ok(len) = u8::try_from(text.len()) else {
            return self.record(Section::Answer, rtype::TXT, ttl, &[Piece::Text(text)]);
        };
        // Owner, type TXT, class IN; TTL; length; one character-string.
        let mut head = [0xc0, HEADER_LEN as u8, 0, rtype::TXT as u8, 0, class::IN as u8, 0, 0, 0, 0, 0, 0, len];
        head[6..10].copy_from_slice(&ttl.to_be_bytes());
        head[10..12].copy_from_slice(&(u16::from(len) + 1).to_be_bytes());
        let end = self.at + head.len() + text.len();
        if end > self.limit {
            return Err(NoRoom);
        }
        let (to, rest) = self.buf[self.at..end].split_at_mut(head.len());
        to.copy_from_slice(&head);
        rest.copy_from_slice(text);
        self.at = end;
        self.count_up(Section::Answer);
        Ok(())
    }

    /// Write a record owned by the zone.
    #[inline]
    pub fn apex_record(&mut self, section: Section, record: &ApexRecord) -> Result<(), NoRoom> {
        let end = self.at + record.octets.len();
        if end > self.limit {
            return Err(NoRoom);
        }
        let written = &mut self.buf[self.at..end];
        written.copy_from_slice(&record.octets);
        let pointer = (0xc000 | self.zone_at).to_be_bytes();
        for &at in record.pointers.iter().take(usize::from(record.pointer_count)) {
            written[usize::from(at)..usize::from(at) + 2].copy_from_slice(&pointer);
        }
        self.at = end;
        self.count_up(section);
        Ok(())
    }

    /// Write a record owned by some name.
    pub fn other_record(
        &mut self,
        section: Section,
        owner: &TargetName,
        rtype: u16,
        ttl: u32,
        data: &[Piece<'_>],
    ) -> Result<(), NoRoom> {
        let owner = TargetNameRef { octets: &owner.octets, in_zone: owner.in_zone };
        self.owned_record(section, Some(owner), rtype, ttl, data)
    }

    /// Write a record.
    #[inline]
    fn owned_record(
        &mut self,
        section: Section,
        owner: Option<TargetNameRef<'_>>,
        rtype: u16,
        ttl: u32,
        data: &[Piece<'_>],
    ) -> Result<(), NoRoom> {
        let owner_len = owner.map_or(2, |owner| owner.octets.len() + if owner.in_zone { 2 } else { 0 });
        let data_len: usize = data.iter().map(Piece::len).sum();
        if self.at + owner_len + 10 + data_len > self.limit {
            return Err(NoRoom);
        }
        match owner {
            None => self.put(&(0xc000 | HEADER_LEN as u16).to_be_bytes()),
            Some(owner) => self.put_name(owner),
        }
        let [t0, t1] = rtype.to_be_bytes();
        let [c0, c1] = class::IN.to_be_bytes();
        let [l0, l1, l2, l3] = ttl.to_be_bytes();
        let [d0, d1] = (data_len as u16).to_be_bytes();
        self.put(&[t0, t1, c0, c1, l0, l1, l2, l3, d0, d1]);
        for piece in data {
            match piece {
                Piece::Octets(octets) => self.put(octets),
                Piece::Name(name) => self.put_name(TargetNameRef { octets: &name.octets, in_zone: name.in_zone }),
                Piece::Text(text) => self.put_text(text),
            }
        }
        self.count_up(section);
        Ok(())
    }

    /// Write octets; their room was checked.
    #[inline]
    fn put(&mut self, octets: &[u8]) {
        self.buf[self.at..self.at + octets.len()].copy_from_slice(octets);
        self.at += octets.len();
    }

    /// Write a name.
    fn put_name(&mut self, name: TargetNameRef<'_>) {
        self.put(name.octets);
        if name.in_zone {
            self.put(&(0xc000 | self.zone_at).to_be_bytes());
        }
    }

    /// Write a text as character-strings.
    fn put_text(&mut self, text: &[u8]) {
        if text.is_empty() {
            self.put(&[0]);
        }
        for string in text.chunks(255) {
            self.put(&[string.len() as u8]);
            self.put(string);
        }
    }

    /// Write the OPT record into the room kept for it, then the header, and return the message's length.
    ///
    /// ID, opcode and RD stay as they are in the buffer; AA and TC are as told; the rest is cleared. CD is copied
    /// (RFC 4035 section 3.1.6).
    #[inline(always)]
    pub fn finish(&mut self, head: Head, opt: Option<&Opt<'_>>) -> usize {
        if let Some(opt) = opt {
            self.put_opt(head.rcode, opt);
        }
        const OPCODE_AND_RD: u8 = 0x79;
        const CD: u8 = 0x10;
        if let Some(header) = self.buf.first_chunk_mut::<HEADER_LEN>() {
            header[2] =
                0x80 | header[2] & OPCODE_AND_RD | u8::from(head.authoritative) << 2 | u8::from(head.truncated) << 1;
            header[3] = header[3] & CD | (head.rcode & 0x0f) as u8;
            header[4..].copy_from_slice(&self.counts.to_be_bytes());
        }
        self.at
    }

    /// Write an option of the OPT record.
    fn put_option(&mut self, code: u16, data: &[u8]) {
        self.put(&code.to_be_bytes());
        self.put(&(data.len() as u16).to_be_bytes());
        self.put(data);
    }

    /// Write the OPT record.
    #[inline]
    fn put_opt(&mut self, rcode: u16, opt: &Opt<'_>) {
        if !opt.is_plain() {
            return self.put_full_opt(rcode, opt);
        }
        let end = self.at + OPT_LEN;
        let Some(room) = self.buf.get_mut(self.at..end) else { return };
        room.copy_from_slice(&opt.head(rcode, 0));
        self.at = end;
        self.count_up(Section::Additional);
    }

    /// The same with options.
    #[inline(never)]
    fn put_full_opt(&mut self, rcode: u16, opt: &Opt<'_>) {
        let len = opt.octets();
        if self.at + len > self.buf.len() {
            return;
        }
        let end = self.at + len;
        let padding = opt.options.is_some_and(|options| options.padding);
        let padding_len = if padding { end.next_multiple_of(PADDING_BLOCK).min(self.buf.len()) - end } else { 0 };
        self.put(&opt.head(rcode, len - OPT_LEN + padding_len));
        self.put_options(opt, padding_len);
        self.count_up(Section::Additional);
    }

    /// Write the options of the OPT record; their room was checked.
    fn put_options(&mut self, opt: &Opt<'_>, padding_len: usize) {
        if let Some(code) = opt.ede {
            self.put_option(OPTION_EDE, &code.to_be_bytes());
        }
        let Some(options) = opt.options else { return };
        if let Some(nsid) = options.nsid {
            self.put_option(OPTION_NSID, nsid);
        }
        if let Some(cookie) = options.cookie {
            self.put_option(OPTION_COOKIE, cookie);
        }
        if let Some(time) = options.keepalive {
            self.put_option(OPTION_KEEPALIVE, &time.to_be_bytes());
        }
        if options.padding {
            self.put_option(OPTION_PADDING, &PADDING[..padding_len]);
        }
    }
}

/// Octets that a padded answer is a multiple of (RFC 8467 section 4.1).
const PADDING_BLOCK: usize = 468;
/// As much padding as there can be; all zero (RFC 7830 section 3).
const PADDING: [u8; PADDING_BLOCK] = [0; PADDING_BLOCK];

/// A borrowed [`TargetName`].
#[derive(Clone, Copy)]
struct TargetNameRef<'a> {
    /// Labels.
    octets: &'a [u8],
    /// The zone's name follows.
    in_zone: bool,
}

/// What the header says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    /// Response code, extended bits included.
    pub rcode: u16,
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
}

/// What the OPT record says.
#[derive(Clone, Copy, Debug)]
pub struct Opt<'a> {
    /// Size that we take, octets.
    pub udp_size: u16,
    /// DO, copied from the query.
    pub dnssec_ok: bool,
    /// Extended error.
    pub ede: Option<u16>,
    /// Options that few clients want.
    pub options: Option<Options<'a>>,
}

/// Options of an OPT record, because the client's has them.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Identifier, if it was asked for.
    pub nsid: Option<&'a [u8]>,
    /// Both parts of the client's cookie.
    pub cookie: Option<&'a [u8; FULL_OCTETS]>,
    /// How long an idle connection is kept, in units of 100 ms (RFC 7828 section 3.1).
    pub keepalive: Option<u16>,
    /// Fill the message up to the next multiple of 468 octets (RFC 8467).
    pub padding: bool,
}

impl Opt<'_> {
    /// Whether it has no options.
    #[inline]
    fn is_plain(&self) -> bool {
        self.ede.is_none() && self.options.is_none()
    }

    /// The record without its options, which have so many octets.
    #[inline]
    fn head(&self, rcode: u16, options_len: usize) -> [u8; OPT_LEN] {
        let [s0, s1] = self.udp_size.to_be_bytes();
        let [d0, d1] = (options_len as u16).to_be_bytes();
        // Root, type; size; extended code, version; DO and zeros; length of the options.
        [0, 0, rtype::OPT as u8, s0, s1, (rcode >> 4) as u8, 0, u8::from(self.dnssec_ok) << 7, 0, d0, d1]
    }

    /// Octets of the record, without those that pad.
    #[inline]
    pub fn octets(&self) -> usize {
        if self.is_plain() { OPT_LEN } else { self.full_octets() }
    }

    /// The same with options.
    #[inline(never)]
    fn full_octets(&self) -> usize {
        let option = |len: Option<usize>| len.map_or(0, |len| 4 + len);
        OPT_LEN
            + option(self.ede.map(|_| 2))
            + self.options.as_ref().map_or(0, |options| {
                option(options.nsid.map(<[u8]>::len))
                    + option(options.cookie.map(|_| FULL_OCTETS))
                    + option(options.keepalive.map(|_| 2))
                    + option(options.padding.then_some(0))
            })
    }
}
