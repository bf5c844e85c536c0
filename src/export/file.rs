//! How names and records are spelled in a master file (RFC 1035 section 5.1).

use std::io::{self, Write};

use super::records::{RecordSets, TYPES};
use crate::dataset::records::RecordType;
use crate::wire::name::Name;

/// Octets of a character-string (RFC 1035 section 3.3).
const STRING_LEN_MAX: usize = 255;

/// A master file being written.
pub struct File<'o> {
    /// Where to.
    out: &'o mut dyn Write,
    /// What `$TTL` says, s; records under another TTL say so.
    ttl: u32,
    /// The record being spelled.
    line: Vec<u8>,
    /// What names are relative to.
    origin: Vec<u8>,
}

impl<'o> File<'o> {
    /// Begin with `$TTL`.
    pub fn new(out: &'o mut dyn Write, ttl: u32) -> io::Result<Self> {
        writeln!(out, "$TTL {ttl}")?;
        Ok(Self { out, ttl, line: Vec::new(), origin: Vec::new() })
    }

    /// A comment.
    pub fn comment(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "; {text}")
    }

    /// The name that the names after it are relative to.
    pub fn origin(&mut self, labels: &[u8]) -> io::Result<()> {
        if self.origin == labels {
            return Ok(());
        }
        self.origin = labels.to_vec();
        self.line.clear();
        self.line.extend(b"$ORIGIN ");
        push_name(&mut self.line, labels);
        self.line.extend(b".\n");
        self.out.write_all(&self.line)
    }

    /// One record; `owner` is in the file's spelling, empty for the one before it.
    pub fn record(&mut self, owner: &[u8], ttl: u32, rtype: &str, data: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.line.clear();
        self.line.extend(owner);
        // Writing to a vector can not fail.
        let _ =
            if ttl == self.ttl { write!(self.line, "\t{rtype}\t") } else { write!(self.line, "\t{ttl}\t{rtype}\t") };
        data(&mut self.line);
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    /// All records of a name.
    pub fn records(&mut self, owner: &[u8], records: &RecordSets) -> io::Result<()> {
        let mut owner = owner;
        for (rtype, set) in TYPES.iter().zip(&records.sets) {
            for data in &set.data {
                let name = match rtype {
                    RecordType::A => "A",
                    RecordType::Txt => "TXT",
                    RecordType::Mx => "MX",
                };
                self.record(owner, set.ttl, name, |line| push_data(line, *rtype, data))?;
                owner = b"";
            }
        }
        Ok(())
    }
}

/// A record's data.
fn push_data(line: &mut Vec<u8>, rtype: RecordType, data: &[u8]) {
    match (rtype, data) {
        (RecordType::A, [a, b, c, d]) => line.extend(format!("{a}.{b}.{c}.{d}").bytes()),
        (RecordType::Mx, [high, low, host @ ..]) => {
            line.extend(format!("{} ", u16::from_be_bytes([*high, *low])).bytes());
            push_absolute(line, &Name::from_wire(host));
        }
        _ => push_text(line, data),
    }
}

/// A text as quoted character-strings.
pub fn push_text(line: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        line.extend(b"\"\"");
    }
    for (n, string) in text.chunks(STRING_LEN_MAX).enumerate() {
        line.extend(if n == 0 { &b"\""[..] } else { b" \"" });
        for &octet in string {
            match octet {
                b'"' | b'\\' => line.extend([b'\\', octet]),
                b' '..=b'~' => line.push(octet),
                _ => line.extend(format!("\\{octet:03}").bytes()),
            }
        }
        line.push(b'"');
    }
}

/// An absolute name.
pub fn push_absolute(line: &mut Vec<u8>, name: &Name) {
    push_name(line, name.labels());
    line.push(b'.');
}

/// Labels, without a dot at the end. Letters, digits, `-`, `_`, `/` and `*` stand for themselves; everything else is
/// escaped, for some of it has a meaning to some server.
pub fn push_name(line: &mut Vec<u8>, mut labels: &[u8]) {
    let mut first = true;
    while let Some((&len, tail)) = labels.split_first() {
        if !first {
            line.push(b'.');
        }
        first = false;
        let (label, rest) = tail.split_at(usize::from(len).min(tail.len()));
        for &octet in label {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'/' | b'*' => line.push(octet),
                b'!'..=b'~' => line.extend([b'\\', octet]),
                _ => line.extend(format!("\\{octet:03}").bytes()),
            }
        }
        labels = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a spelling gives.
    fn spelled(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        push(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn names_and_texts_are_escaped() {
        for (name, expected) in [
            ("a.b-c_d", "a.b-c_d"),
            ("*.x", "*.x"),
            ("\\@.x", "\\@.x"),
            ("\\$ttl.x", "\\$ttl.x"),
            ("a\\.b\\;\\(\\\"c\\\\d", "a\\.b\\;\\(\\\"c\\\\d"),
            ("\\032\\000\\255.x", "\\032\\000\\255.x"),
        ] {
            let name: Name = name.parse().unwrap();
            assert_eq!(spelled(|line| push_name(line, name.labels())), expected);
        }
        let long = "x".repeat(255);
        for (text, expected) in [
            (&b""[..], "\"\"".to_owned()),
            (b"a \"b\" \\ ; $x (", "\"a \\\"b\\\" \\\\ ; $x (\"".to_owned()),
            (b"\t\0\x7f\xc3\xa4", "\"\\009\\000\\127\\195\\164\"".to_owned()),
            (long.as_bytes(), format!("\"{long}\"")),
            (format!("{long}yz").as_bytes(), format!("\"{long}\" \"yz\"")),
        ] {
            assert_eq!(spelled(|line| push_text(line, text)), expected);
        }
        assert_eq!(spelled(|line| push_absolute(line, &Name::root())), ".");
    }
}
