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
    /// `\` at the end or a bad `\DDD`.
    #[error("a `\\` must be followed by a character or three digits up to 255")]
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
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The wire form without the root label: what a name relative to the root is.
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
            octet = *text.get(i).ok_or(NameError::Escape)?;
            i += 1;
            if octet.is_ascii_digit() {
                let digits = text.get(i - 1..i + 2).ok_or(NameError::Escape)?;
                let mut value = 0u32;
                for digit in digits {
                    if !digit.is_ascii_digit() {
                        return Err(NameError::Escape);
                    }
                    value = value * 10 + u32::from(digit - b'0');
                }
                octet = u8::try_from(value).map_err(|_| NameError::Escape)?;
                i += 2;
            }
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
                b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
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
