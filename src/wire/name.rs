//! Domain names: the owned form for settings and zone data.

use std::fmt;
use std::str::FromStr;

/// Octets of the longest name, the root label included (RFC 1035 section 3.1).
pub const NAME_LEN_MAX: usize = 255;
/// Octets of the longest label.
pub const LABEL_LEN_MAX: usize = 63;

/// An absolute name in wire form: labels with their lengths and the root's zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Wire form, 1–255 octets, case kept.
    wire: Box<[u8]>,
}

/// Why text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label over 63 octets.
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    /// More than 255 octets in wire form.
    #[error("the name is longer than 255 octets")]
    TooLong,
    /// A `\DDD` over 255.
    #[error("a `\\` must be followed by a character or a number up to 255")]
    Escape,
    /// Nothing there.
    #[error("a name is missing")]
    Empty,
}

impl Name {
    /// The root.
    pub fn root() -> Self {
        Self { wire: Box::new([0]) }
    }

    /// The wire form, root label included.
    #[inline]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The wire form without the root label: what a name relative to the root is.
    #[inline]
    pub fn labels(&self) -> &[u8] {
        &self.wire[..self.wire.len() - 1]
    }

    /// Number of labels, the root not counted.
    pub fn label_count(&self) -> usize {
        let mut rest = self.labels();
        let mut count = 0;
        while let Some((&len, tail)) = rest.split_first() {
            rest = &tail[usize::from(len)..];
            count += 1;
        }
        count
    }

    /// The same name in lower case (RFC 4343: ASCII letters only).
    pub fn to_lower(&self) -> Self {
        // Length octets are at most 63, below `A`, so the whole form can be folded at once.
        Self { wire: self.wire.to_ascii_lowercase().into() }
    }

    /// From checked wire form, root label included.
    pub(crate) fn from_wire(wire: &[u8]) -> Self {
        Self { wire: wire.into() }
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Master-file form (RFC 1035 section 5.1), always absolute: a final dot may be left out, `\.` and
    /// `\DDD` escape. Empty labels are passed over, as rbldnsd does.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let mut wire = [0u8; NAME_LEN_MAX];
        let len = parse(text.as_bytes(), &mut wire)?;
        Ok(Self::from_wire(&wire[..len]))
    }
}

/// Read master-file form into wire form; returns its length, the root label included.
pub fn parse(text: &[u8], wire: &mut [u8; NAME_LEN_MAX]) -> Result<usize, NameError> {
    match parse_plain(text, wire) {
        Some(len) => Ok(len),
        None => parse_any(text, wire),
    }
}

/// The same for a name without escapes and empty labels, which nearly all are; `None` leaves it to [`parse_any`].
fn parse_plain(text: &[u8], wire: &mut [u8; NAME_LEN_MAX]) -> Option<usize> {
    if text.is_empty() || text.len() > NAME_LEN_MAX - 2 || memchr::memchr(b'\\', text).is_some() {
        return None;
    }
    // The text moved by one octet is the wire form, but for the dots, which become the lengths of what follows them.
    let end = text.len() + 1;
    wire[1..end].copy_from_slice(text);
    let mut len_at = 0;
    for at in 1..end {
        if wire[at] == b'.' {
            let len = at - len_at - 1;
            if len == 0 || len > LABEL_LEN_MAX {
                return None;
            }
            wire[len_at] = len as u8;
            len_at = at;
        }
    }
    let len = end - len_at - 1;
    if len > LABEL_LEN_MAX {
        return None;
    }
    wire[len_at] = len as u8;
    if len == 0 {
        // A final dot: its place is the root's.
        return Some(len_at + 1);
    }
    wire[end] = 0;
    Some(end + 1)
}

/// The same for any name.
fn parse_any(text: &[u8], wire: &mut [u8; NAME_LEN_MAX]) -> Result<usize, NameError> {
    let (mut at, mut len_at, mut i) = (1usize, 0usize, 0usize);
    while i < text.len() {
        let mut octet = text[i];
        i += 1;
        if octet == b'.' {
            if at - len_at > 1 {
                wire[len_at] = (at - len_at - 1) as u8;
                len_at = at;
                at += 1;
            }
            continue;
        }
        if octet == b'\\' {
            // As in rbldnsd: one to three digits, and nothing at the end.
            let Some(&escaped) = text.get(i) else { break };
            let digits = text[i..].iter().take(3).take_while(|digit| digit.is_ascii_digit()).count();
            if digits > 0 {
                let value = text[i..i + digits].iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
                octet = u8::try_from(value).map_err(|_| NameError::Escape)?;
            } else {
                octet = escaped;
            }
            i += digits.max(1);
        }
        if at - len_at > LABEL_LEN_MAX {
            return Err(NameError::LabelTooLong);
        }
        if at >= NAME_LEN_MAX - 1 {
            return Err(NameError::TooLong);
        }
        wire[at] = octet;
        at += 1;
    }
    if at - len_at > 1 {
        wire[len_at] = (at - len_at - 1) as u8;
        len_at = at;
    }
    wire[len_at] = 0;
    Ok(len_at + 1)
}

/// Write labels in master-file form, without a final dot; the root alone is `.`.
pub fn write_labels(f: &mut impl fmt::Write, mut labels: &[u8]) -> fmt::Result {
    if labels.first().is_none_or(|&len| len == 0) {
        return f.write_char('.');
    }
    let mut first = true;
    while let Some((&len, tail)) = labels.split_first() {
        if len == 0 {
            break;
        }
        if !first {
            f.write_char('.')?;
        }
        first = false;
        let (label, rest) = tail.split_at(usize::from(len).min(tail.len()));
        for &octet in label {
            match octet {
                b'.' | b'\\' | b'"' | b'$' | b';' | b'@' => write!(f, "\\{}", char::from(octet))?,
                0x21..=0x7e => f.write_char(char::from(octet))?,
                _ => write!(f, "\\{octet:03}")?,
            }
        }
        labels = rest;
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(f, self.labels())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// A name of a question in lower case, with its labels' places; no heap.
#[derive(Clone, Copy, Debug)]
pub struct QueryName {
    /// Labels in wire form, in room for whole blocks of them.
    octets: [u8; NAME_LEN_MAX.next_multiple_of(BLOCK_LEN)],
    /// Where each label's length octet stands; one more than there can be, so that a count can be masked to fit.
    starts: [u8; LABELS_MAX + 1],
    /// Labels, the root not counted.
    count: u8,
    /// Octets of all labels, the root's zero not counted.
    len: u8,
}

/// Octets that are copied and folded at once: a length known beforehand makes that a few instructions.
pub(crate) const BLOCK_LEN: usize = 32;
/// An octet in lower case (RFC 4343), without a branch, so that a whole block of them is one step.
#[inline]
pub(crate) fn to_lower(octet: u8) -> u8 {
    octet | u8::from(octet.wrapping_sub(b'A') < 26) << 5
}

/// Labels of the longest name: 127 of one octet each.
pub const LABELS_MAX: usize = 127;

/// A name in a message is cut off, compressed where it must not be, or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadName;

impl QueryName {
    /// No name yet: the root.
    pub const EMPTY: Self =
        Self { octets: [0; NAME_LEN_MAX.next_multiple_of(BLOCK_LEN)], starts: [0; LABELS_MAX + 1], count: 0, len: 0 };

    /// Read the uncompressed name at the beginning of `message[..end]`; says how many octets it takes there.
    ///
    /// In place, as a name is too large to be moved about for each query. After an error nothing may be asked of it.
    #[inline(always)]
    pub fn read(&mut self, message: &[u8], end: usize) -> Result<usize, BadName> {
        let limit = end.min(message.len()).min(NAME_LEN_MAX);
        let mut at = 0usize;
        let mut count = 0usize;
        loop {
            if at >= limit {
                return Err(BadName);
            }
            let len = usize::from(message[at]);
            if len == 0 {
                break;
            }
            // Two high bits mark pointers and reserved label types (RFC 1035 section 4.1.4, RFC 6891 section 5).
            if len > LABEL_LEN_MAX {
                return Err(BadName);
            }
            // A label takes two octets at least, so the 128th begins too late: with it the name is too long.
            self.starts[count & LABELS_MAX] = at as u8;
            count += 1;
            at += len + 1;
        }
        self.fold(message, at);
        self.count = count as u8;
        self.len = at as u8;
        Ok(at + 1)
    }

    /// Copy `len` octets in lower case (RFC 4343). Length octets are at most 63, below `A`, and stay as they are.
    #[inline]
    fn fold(&mut self, message: &[u8], len: usize) {
        let mut at = 0;
        while at < len {
            let to = &mut self.octets[at..at + BLOCK_LEN];
            // What stands behind the name is copied along where there is any, and never looked at.
            match message.get(at..at + BLOCK_LEN) {
                Some(from) => {
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = to_lower(from);
                    }
                }
                None => {
                    let rest = &message[at..];
                    to[..rest.len()].copy_from_slice(rest);
                    to.make_ascii_lowercase();
                }
            }
            at += BLOCK_LEN;
        }
    }

    /// The labels, one after another from the first one on, as far as they are octets of the name.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// The first octets of the labels, and whatever stood there before where there are fewer.
    #[inline]
    pub(crate) fn head(&self) -> &[u8; BLOCK_LEN] {
        // There is room for several blocks.
        self.octets.first_chunk().unwrap_or(&[0; BLOCK_LEN])
    }

    /// The lower-case form of a name.
    pub fn of(name: &Name) -> Self {
        let mut own = Self::EMPTY;
        // A `Name` is valid wire form by construction; were it not, the root would stand for it.
        if own.read(name.wire(), NAME_LEN_MAX).is_err() {
            return Self::EMPTY;
        }
        own
    }

    /// Labels, the root not counted.
    #[inline]
    pub fn label_count(&self) -> usize {
        self.count.into()
    }

    /// All labels from the `skip`th on, wire form without the root.
    #[inline]
    pub fn labels_from(&self, skip: usize) -> &[u8] {
        &self.octets[self.start(skip)..usize::from(self.len)]
    }

    /// The labels from the `from`th up to and without the `to`th, wire form.
    #[inline]
    pub fn labels(&self, from: usize, to: usize) -> &[u8] {
        &self.octets[self.start(from)..self.start(to).max(self.start(from))]
    }

    /// Octets before the `n`th label.
    #[inline]
    pub fn start(&self, n: usize) -> usize {
        if n >= usize::from(self.count) { self.len.into() } else { self.starts[n & LABELS_MAX].into() }
    }

    /// The `n`th label without its length.
    #[inline]
    pub fn label(&self, n: usize) -> &[u8] {
        let (start, end) = (self.start(n), self.start(n + 1));
        self.octets.get(start + 1..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_in_master_file_form() {
        for (text, expected) in [
            ("a.b", Some("a.b")),
            ("A.b.", Some("A.b")),
            (".", Some(".")),
            ("foo..bar", Some("foo.bar")),
            ("a\\.b.c", Some("a\\.b.c")),
            ("a\\046b", Some("a\\.b")),
            ("a@\"$;(#)", Some("a\\@\\\"\\$\\;(#)")),
            ("a\\255", Some("a\\255")),
            ("a\\256", None),
            ("a\\9b", Some("a\\009b")),
            ("a\\", Some("a")),
            ("", None),
        ] {
            assert_eq!(text.parse::<Name>().ok().map(|name| name.to_string()).as_deref(), expected, "{text}");
        }
        let label = "x".repeat(63);
        assert!(label.parse::<Name>().is_ok());
        assert_eq!(format!("{label}x").parse::<Name>(), Err(NameError::LabelTooLong));
        let longest = format!("{label}.{label}.{label}.{}", "x".repeat(61));
        assert_eq!(longest.parse::<Name>().map(|name| name.wire().len()), Ok(NAME_LEN_MAX));
        assert_eq!(format!("{longest}x").parse::<Name>(), Err(NameError::TooLong));
    }

    #[test]
    fn names_in_questions_are_checked() {
        let longest = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "x".repeat(61)).parse::<Name>().unwrap();
        /// Wire form, and the labels and octets read from it.
        type Case<'a> = (&'a [u8], Option<(usize, usize)>);
        let cases: [Case<'_>; 8] = [
            (b"\0", Some((0, 1))),
            (b"\x01a\x02BC\0rest", Some((2, 6))),
            (longest.wire(), Some((4, 255))),
            (b"", None),
            (b"\x01a", None),
            (b"\x05ab\0", None),
            (b"\xc0\x0c", None),
            (b"\x41a\0", None),
        ];
        for (wire, expected) in cases {
            let mut name = QueryName::EMPTY;
            let got = name.read(wire, wire.len()).ok().map(|len| (name.label_count(), len));
            assert_eq!(got, expected, "{wire:?}");
        }
        let mut name = QueryName::EMPTY;
        name.read(b"\x01a\x02BC\0", 6).unwrap();
        assert_eq!(
            (name.label(1), name.labels_from(1), name.labels(0, 1)),
            (&b"bc"[..], &b"\x02bc"[..], &b"\x01a"[..])
        );
    }
}
