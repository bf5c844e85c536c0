//! Questions put together and replies taken apart, octet by octet, with nothing borrowed from the library.
//!
//! What the tests send may be broken on purpose, so a query is a list of parts and not a checked message. What
//! comes back is parsed twice: here, for its raw header and a plain spelling of each record, and by
//! `hickory-proto`, which must find nothing wrong with it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Class IN (RFC 1035 section 3.2.4).
pub const IN: u16 = 1;
/// Class CH, the one of `version.bind`.
pub const CH: u16 = 3;
/// Query type A.
pub const A: u16 = 1;
/// Query type NS.
pub const NS: u16 = 2;
/// Query type SOA.
pub const SOA: u16 = 6;
/// Query type TXT.
pub const TXT: u16 = 16;
/// Query type ANY.
pub const ANY: u16 = 255;
/// Type of the EDNS pseudo-record (RFC 6891).
pub const OPT: u16 = 41;

/// Types and their names, as far as the tests spell them.
const TYPES: [(&str, u16); 18] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("DS", 43),
    ("DNSKEY", 48),
    ("HTTPS", 65),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// Response codes by name.
const RCODES: [(&str, u16); 9] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("NOTAUTH", 9),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
];

/// A type's number from `A`, `TYPE257` or `257`.
pub fn type_number(name: &str) -> u16 {
    if let Some((_, number)) = TYPES.iter().find(|(known, _)| *known == name) {
        return *number;
    }
    name.strip_prefix("TYPE").unwrap_or(name).parse().unwrap_or_else(|_| panic!("no type {name}"))
}

/// A type's name, `TYPEn` where it has none here.
pub fn type_name(number: u16) -> String {
    TYPES.iter().find(|(_, known)| *known == number).map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).into())
}

/// A response code's name.
pub fn rcode_name(number: u16) -> String {
    RCODES
        .iter()
        .find(|(_, known)| *known == number)
        .map_or_else(|| format!("RCODE{number}"), |(name, _)| (*name).into())
}

/// A name in wire form out of text with `\.` and `\DDD`.
pub fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut label = Vec::new();
    let mut octets = text.bytes().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' => {
                if !label.is_empty() {
                    wire.push(label.len() as u8);
                    wire.append(&mut label);
                }
            }
            b'\\' if octets.peek().is_some_and(u8::is_ascii_digit) => {
                let digits: Vec<u8> = octets.by_ref().take(3).collect();
                label.push(String::from_utf8(digits).unwrap().parse().unwrap());
            }
            b'\\' => label.extend(octets.next()),
            _ => label.push(octet),
        }
    }
    if !label.is_empty() {
        wire.push(label.len() as u8);
        wire.append(&mut label);
    }
    wire.push(0);
    wire
}

/// The EDNS record of a query.
#[derive(Clone, Debug)]
pub struct Edns {
    /// UDP size that the client can take.
    pub size: u16,
    /// Version, 0 unless a test wants otherwise.
    pub version: u8,
    /// DO and the reserved bits.
    pub flags: u16,
    /// Options, code and data.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// An EDNS record as resolvers send it.
pub fn edns(size: u16) -> Edns {
    Edns { size, version: 0, flags: 0, options: Vec::new() }
}

impl Edns {
    /// The same with one more option.
    pub fn option(mut self, code: u16, data: &[u8]) -> Self {
        self.options.push((code, data.to_vec()));
        self
    }

    /// The record in wire form.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = vec![0];
        wire.extend(OPT.to_be_bytes());
        wire.extend(self.size.to_be_bytes());
        wire.extend([0, self.version]);
        wire.extend(self.flags.to_be_bytes());
        let mut rdata = Vec::new();
        for (code, data) in &self.options {
            rdata.extend(code.to_be_bytes());
            rdata.extend((data.len() as u16).to_be_bytes());
            rdata.extend(data);
        }
        wire.extend((rdata.len() as u16).to_be_bytes());
        wire.extend(rdata);
        wire
    }
}

/// A query in parts.
#[derive(Clone, Debug)]
pub struct Query {
    /// The message's ID.
    pub id: u16,
    /// The second header word: QR, opcode, flags, code.
    pub flags: u16,
    /// Name in wire form.
    pub name: Vec<u8>,
    /// Type asked for.
    pub qtype: u16,
    /// Class asked in.
    pub class: u16,
    /// EDNS record, if any.
    pub edns: Option<Edns>,
}

/// A plain query of class IN.
pub fn query(text: &str, qtype: u16) -> Query {
    Query { id: 0x1234, flags: 0, name: name(text), qtype, class: IN, edns: None }
}

impl Query {
    /// The same with another ID.
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// The same with other flags.
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    /// The same in another class.
    pub fn class(mut self, class: u16) -> Self {
        self.class = class;
        self
    }

    /// The same with an EDNS record.
    pub fn edns(mut self, edns: Edns) -> Self {
        self.edns = Some(edns);
        self
    }

    /// The question section alone.
    pub fn question(&self) -> Vec<u8> {
        let mut wire = self.name.clone();
        wire.extend(self.qtype.to_be_bytes());
        wire.extend(self.class.to_be_bytes());
        wire
    }

    /// The whole message.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = header(self.id, self.flags, [1, 0, 0, u16::from(self.edns.is_some())]);
        wire.extend(self.question());
        if let Some(edns) = &self.edns {
            wire.extend(edns.wire());
        }
        wire
    }
}

/// A header: ID, flags and the four counts.
pub fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut wire = Vec::new();
    wire.extend(id.to_be_bytes());
    wire.extend(flags.to_be_bytes());
    counts.iter().for_each(|count| wire.extend(count.to_be_bytes()));
    wire
}

/// One record of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Owner in text, case kept.
    pub owner: String,
    /// Type.
    pub rtype: u16,
    /// Class.
    pub class: u16,
    /// TTL, s.
    pub ttl: u32,
    /// `TYPE rdata` in master-file spelling.
    pub text: String,
}

/// The EDNS record of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyOpt {
    /// UDP size that the server takes.
    pub size: u16,
    /// Version.
    pub version: u8,
    /// DO and the reserved bits.
    pub flags: u16,
    /// Options, code and data.
    pub options: Vec<(u16, Vec<u8>)>,
}

impl ReplyOpt {
    /// The data of the first option of a code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|(known, _)| *known == code).map(|(_, data)| data.as_slice())
    }

    /// The code of the extended error (RFC 8914), if one came.
    pub fn extended_error(&self) -> Option<u16> {
        self.option(15).map(|data| u16::from_be_bytes([data[0], data[1]]))
    }
}

/// A reply, taken apart.
#[derive(Clone, Debug)]
pub struct Reply {
    /// All its octets.
    pub octets: Vec<u8>,
    /// The message's ID.
    pub id: u16,
    /// The second header word.
    pub flags: u16,
    /// The four counts.
    pub counts: [u16; 4],
    /// The question section as it stands.
    pub question: Vec<u8>,
    /// Answer section.
    pub answer: Vec<Record>,
    /// Authority section.
    pub authority: Vec<Record>,
    /// Additional section without the EDNS record.
    pub additional: Vec<Record>,
    /// The EDNS record.
    pub opt: Option<ReplyOpt>,
    /// Response code, extended bits included.
    pub rcode: u16,
}

impl Reply {
    /// Take a message apart; the text says what is wrong with it.
    pub fn parse(octets: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { octets, at: 0 };
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        for _ in 0..counts[0] {
            reader.name()?;
            reader.take(4)?;
        }
        let mut reply = Self {
            octets: octets.to_vec(),
            id,
            flags,
            counts,
            question: octets[12..reader.at].to_vec(),
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            opt: None,
            rcode: flags & 15,
        };
        for (section, &count) in counts[1..].iter().enumerate() {
            for _ in 0..count {
                reply.record(section, &mut reader)?;
            }
        }
        if reader.at != octets.len() {
            return Err(format!("{} octets after the last record", octets.len() - reader.at));
        }
        hickory_proto::op::Message::from_vec(octets).map_err(|error| format!("hickory-proto: {error}"))?;
        Ok(reply)
    }

    /// Read one record into its section.
    fn record(&mut self, section: usize, reader: &mut Reader<'_>) -> Result<(), String> {
        let owner = reader.name()?;
        let (rtype, class) = (reader.u16()?, reader.u16()?);
        let ttl = u32::from(reader.u16()?) << 16 | u32::from(reader.u16()?);
        let len = usize::from(reader.u16()?);
        let end = reader.at + len;
        if end > reader.octets.len() {
            return Err("a record runs past the end".into());
        }
        if rtype == OPT {
            if section != 2 || owner != "." || self.opt.is_some() {
                return Err("an OPT record where none may stand".into());
            }
            let mut options = Vec::new();
            while reader.at < end {
                let (code, len) = (reader.u16()?, reader.u16()?);
                options.push((code, reader.take(usize::from(len))?.to_vec()));
            }
            self.rcode |= ((ttl >> 24) as u16) << 4;
            self.opt = Some(ReplyOpt { size: class, version: (ttl >> 16) as u8, flags: ttl as u16, options });
        } else {
            let text = format!("{} {}", type_name(rtype), reader.rdata(rtype, end)?);
            let record = Record { owner, rtype, class, ttl, text };
            [&mut self.answer, &mut self.authority, &mut self.additional][section].push(record);
        }
        if reader.at != end {
            return Err("a record's length does not fit its data".into());
        }
        Ok(())
    }

    /// Whether AA is set.
    pub fn aa(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    /// Whether TC is set.
    pub fn tc(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// The response code's name.
    pub fn code(&self) -> String {
        rcode_name(self.rcode)
    }

    /// The answer section's data, each once, sorted.
    pub fn answers(&self) -> BTreeSet<String> {
        self.answer.iter().map(|record| record.text.clone()).collect()
    }
}

/// A place in a message.
struct Reader<'a> {
    /// The message.
    octets: &'a [u8],
    /// Next octet.
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next octets.
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let part = self.octets.get(self.at..self.at + len).ok_or("the message ends too early")?;
        self.at += len;
        Ok(part)
    }

    /// The next 16 bits.
    fn u16(&mut self) -> Result<u16, String> {
        self.take(2).map(|part| u16::from_be_bytes([part[0], part[1]]))
    }

    /// The next name, pointers followed.
    fn name(&mut self) -> Result<String, String> {
        let (mut text, mut at, mut after, mut jumps) = (String::new(), self.at, None, 0);
        loop {
            let len = usize::from(*self.octets.get(at).ok_or("a name runs past the end")?);
            if len >= 0xc0 {
                let low = usize::from(*self.octets.get(at + 1).ok_or("a pointer is cut")?);
                after = after.or(Some(at + 2));
                at = (len & 0x3f) << 8 | low;
                jumps += 1;
                if jumps > 20 {
                    return Err("a pointer loop".into());
                }
            } else if len == 0 {
                self.at = after.unwrap_or(at + 1);
                return Ok(if text.is_empty() { ".".into() } else { text });
            } else {
                for &octet in self.octets.get(at + 1..at + 1 + len).ok_or("a label runs past the end")? {
                    match octet {
                        b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                            text.push('\\');
                            text.push(char::from(octet));
                        }
                        0x21..=0x7e => text.push(char::from(octet)),
                        _ => write!(text, "\\{octet:03}").unwrap(),
                    }
                }
                text.push('.');
                at += 1 + len;
            }
        }
    }

    /// A record's data in master-file spelling.
    fn rdata(&mut self, rtype: u16, end: usize) -> Result<String, String> {
        Ok(match rtype {
            1 => {
                let a = self.take(4)?;
                format!("{}.{}.{}.{}", a[0], a[1], a[2], a[3])
            }
            2 | 5 => self.name()?.to_lowercase(),
            6 => {
                let (mname, rname) = (self.name()?.to_lowercase(), self.name()?.to_lowercase());
                let mut text = format!("{mname} {rname}");
                for _ in 0..5 {
                    let number = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
                    write!(text, " {number}").unwrap();
                }
                text
            }
            15 => format!("{} {}", self.u16()?, self.name()?.to_lowercase()),
            13 | 16 => {
                let mut strings = Vec::new();
                while self.at < end {
                    let len = usize::from(self.take(1)?[0]);
                    strings.push(quoted(self.take(len)?));
                }
                strings.join(" ")
            }
            _ => self.take(end - self.at)?.iter().map(|octet| format!("{octet:02x}")).collect(),
        })
    }
}

/// One character-string in quotes (RFC 1035 section 5.1).
fn quoted(octets: &[u8]) -> String {
    let mut text = String::from("\"");
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(octet));
            }
            0x20..=0x7e => text.push(char::from(octet)),
            _ => write!(text, "\\{octet:03}").unwrap(),
        }
    }
    text.push('"');
    text
}
