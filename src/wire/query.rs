//! A message from a client: what it asks, or why it asks nothing.

use super::cookie::Cookie;
use super::edns::{BadOption, Edns};
use super::name::QueryName;
use super::{HEADER_LEN, class, rcode, rtype};

/// QR, in the header's third octet (RFC 1035 section 4.1.1).
const QR: u8 = 0x80;
/// The opcode's bits there.
const OPCODE_BITS: u8 = 0x78;

/// One well-formed question.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The name asked for, lower case.
    pub name: QueryName,
    /// Type, host order.
    pub qtype: u16,
    /// Class, host order.
    pub qclass: u16,
    /// Where the question ends in the message.
    pub question_end: usize,
    /// EDNS, if the client speaks it.
    pub edns: Option<Edns>,
    /// The client's cookie, also where the message asks nothing.
    pub cookie: Option<Cookie>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A question to answer.
    Query,
    /// A message to answer with an error.
    Error(ErrorReply),
    /// No question but a cookie: the client wants to have one, or to know whether its own is good (RFC 7873 section 5.4).
    CookieAlone(Edns),
    /// Shorter than a header.
    Short,
    /// A response.
    Response,
}

/// How to answer a message without records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// The response code.
    pub rcode: u16,
    /// Where the question to be sent back ends; [`HEADER_LEN`] sends none.
    pub question_end: usize,
    /// Type in the question, 0 if none could be read.
    pub qtype: u16,
    /// EDNS, if it is to be answered with EDNS.
    pub edns: Option<Edns>,
}

/// Two octets in network order.
#[inline]
fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

/// The octet after the name at `at`, compressed or not.
pub(super) fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += usize::from(len) + 1,
            0xc0.. => return (at + 2 <= message.len()).then_some(at + 2),
            _ => return None,
        }
    }
}

/// What is wrong behind the question.
enum BadRecords {
    /// A record is cut off, or there are two OPT records, or one that does not belong to the root.
    Records,
    /// An option of the OPT record is broken.
    Option(Edns, BadOption),
}

/// Look for an OPT record behind the question.
#[inline]
fn find_edns(message: &[u8], at: usize, cookie: &mut Option<Cookie>) -> Result<Option<Edns>, BadRecords> {
    if message[6..HEADER_LEN] == [0, 0, 0, 0, 0, 1]
        && let Some(edns) = Edns::read_plain(&message[at..])
    {
        return Ok(Some(edns));
    }
    search_edns(message, at, cookie)
}

/// Look through all records for it.
#[inline(never)]
fn search_edns(message: &[u8], mut at: usize, cookie: &mut Option<Cookie>) -> Result<Option<Edns>, BadRecords> {
    let count = |n: usize| usize::from(u16_at(message, 6 + 2 * n).unwrap_or(0));
    let additional_from = count(0) + count(1);
    let records = additional_from + count(2);
    let mut found = None;
    for n in 0..records {
        let owner = at;
        let end = skip_name(message, at).ok_or(BadRecords::Records)?;
        let head = message.get(end..end + 10).ok_or(BadRecords::Records)?;
        let data_len = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let data = message.get(end + 10..end + 10 + data_len).ok_or(BadRecords::Records)?;
        at = end + 10 + data_len;
        if u16::from_be_bytes([head[0], head[1]]) != rtype::OPT || n < additional_from {
            continue;
        }
        if found.is_some() || message[owner] != 0 {
            return Err(BadRecords::Records);
        }
        let class = u16::from_be_bytes([head[2], head[3]]);
        let ttl = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let (edns, options) = Edns::read(class, ttl, data, cookie);
        if let Err(bad) = options {
            return Err(BadRecords::Option(edns, bad));
        }
        found = Some(edns);
    }
    Ok(found)
}

impl Query {
    /// No question yet.
    pub const EMPTY: Self =
        Self { name: QueryName::EMPTY, qtype: 0, qclass: 0, question_end: HEADER_LEN, edns: None, cookie: None };
}

impl Message {
    /// Read the message `buf[..len]`; its question goes to `query`, in place, as it is too large to be moved about.
    #[inline]
    pub fn read(buf: &[u8], len: usize, query: &mut Query) -> Self {
        let message = &buf[..len.min(buf.len())];
        if message.len() < HEADER_LEN {
            return Self::Short;
        }
        if message[2] & QR != 0 {
            return Self::Response;
        }
        let opcode = message[2] & OPCODE_BITS;
        query.cookie = None;
        if u16_at(message, 4) != Some(1) || query.read_question(buf, message.len()).is_none() {
            return Self::without_question(message, opcode, &mut query.cookie);
        }
        let (question_end, qtype) = (query.question_end, query.qtype);
        let error = |rcode, edns| Self::Error(ErrorReply { rcode, question_end, qtype, edns });
        let edns = if message[6..HEADER_LEN] == [0; 6] {
            Ok(None)
        } else {
            find_edns(message, query.question_end, &mut query.cookie)
        };
        match (opcode, edns) {
            (0, Ok(edns)) => {
                query.edns = edns;
                if edns.is_some_and(|edns| edns.version > 0) {
                    return error(rcode::BADVERS, edns);
                }
                Self::Query
            }
            (0, Err(BadRecords::Option(edns, BadOption::Cookie))) => error(rcode::FORMERR, Some(edns)),
            (0, Err(_)) => error(rcode::FORMERR, None),
            // NOTIFY (RFC 1996): nobody is our primary.
            (0x20, Ok(edns)) => error(rcode::REFUSED, edns),
            (_, edns) => error(rcode::NOTIMP, edns.ok().flatten()),
        }
    }

    /// A message of which no one question can be read.
    #[cold]
    fn without_question(message: &[u8], opcode: u8, cookie: &mut Option<Cookie>) -> Self {
        let error = |rcode, edns| Self::Error(ErrorReply { rcode, question_end: HEADER_LEN, qtype: 0, edns });
        match (opcode, u16_at(message, 4)) {
            (0, Some(0)) => match find_edns(message, HEADER_LEN, cookie) {
                Ok(Some(edns)) if cookie.is_some() && edns.version > 0 => error(rcode::BADVERS, Some(edns)),
                Ok(Some(edns)) if cookie.is_some() => Self::CookieAlone(edns),
                Err(BadRecords::Option(edns, BadOption::Cookie)) => error(rcode::FORMERR, Some(edns)),
                _ => error(rcode::FORMERR, None),
            },
            (0, _) => error(rcode::FORMERR, None),
            _ => error(rcode::NOTIMP, None),
        }
    }
}

impl Query {
    /// Read the message `buf[..len]` if it is a good query of class IN whose name is known by sight: `known` is shown the
    /// question and all that stands behind it in `buf`, and says how many octets the name takes. The name itself is not
    /// read and stays as it was. `None` leaves the message to [`Message::read`].
    #[inline]
    pub(crate) fn read_known<T>(
        &mut self,
        buf: &[u8],
        len: usize,
        known: impl FnOnce(&[u8]) -> Option<(usize, T)>,
    ) -> Option<T> {
        let (header, question) = buf.split_first_chunk::<HEADER_LEN>()?;
        let [_, _, flags, _, counts @ ..] = *header;
        let counts = u64::from_be_bytes(counts);
        // One question, and at most an additional record.
        if flags & (QR | OPCODE_BITS) != 0 || counts & !1 != 1 << 48 {
            return None;
        }
        let (name_len, found) = known(question)?;
        let &[t0, t1, c0, c1] = question.get(name_len..)?.first_chunk()?;
        let question_end = HEADER_LEN + name_len + 4;
        if [c0, c1] != class::IN.to_be_bytes() || question_end > len {
            return None;
        }
        (self.qtype, self.qclass) = (u16::from_be_bytes([t0, t1]), class::IN);
        (self.question_end, self.edns, self.cookie) = (question_end, None, None);
        if counts & 1 != 0 {
            self.edns = find_edns(buf.get(..len)?, question_end, &mut self.cookie).ok()?;
            if self.edns.is_some_and(|edns| edns.version > 0) {
                return None;
            }
        }
        Some(found)
    }

    /// An answer to it without records.
    pub fn with_code(&self, rcode: u16) -> ErrorReply {
        ErrorReply { rcode, question_end: self.question_end, qtype: self.qtype, edns: self.edns }
    }

    /// Read the one question of the message `buf[..len]`.
    #[inline]
    fn read_question(&mut self, buf: &[u8], len: usize) -> Option<()> {
        let at = HEADER_LEN + self.name.read(&buf[HEADER_LEN..], len - HEADER_LEN).ok()?;
        let tail = buf[..len].get(at..at + 4)?;
        self.qtype = u16::from_be_bytes([tail[0], tail[1]]);
        self.qclass = u16::from_be_bytes([tail[2], tail[3]]);
        (self.question_end, self.edns) = (at + 4, None);
        Some(())
    }
}
