//! The lines of a log file: plain or gzip, with line ends or, as some shippers send them, without.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::feed::line::{LINE_MAX, Place};

/// What a gzip file begins with (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads lines, of which at most [`LINE_MAX`] octets are kept.
pub struct Lines {
    /// The unpacked log.
    input: Box<dyn BufRead>,
    /// The line.
    line: Vec<u8>,
    /// Where the line stands.
    place: Place,
    /// Messages follow each other without line ends and are told by the `<PRI>` they begin with.
    endless: bool,
}

impl Lines {
    /// Opens a file; `-` is standard input. Errors: it can not be opened or read.
    pub fn open(file: &Path) -> io::Result<Self> {
        let raw: Box<dyn Read> =
            if file.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
        Self::new(raw)
    }

    /// Reads from anything. Errors: it can not be read.
    pub fn new(raw: Box<dyn Read>) -> io::Result<Self> {
        let mut raw = BufReader::with_capacity(LINE_MAX, raw);
        let packed = raw.fill_buf()?.starts_with(&GZIP);
        let mut input: Box<dyn BufRead> = if packed {
            Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(raw)))
        } else {
            Box::new(raw)
        };
        let start = input.fill_buf()?;
        // Only what has no line end at all: in a file that has, a client could have sent the words that would part it.
        let endless =
            start.first() == Some(&b'<') && memchr::memchr(b'\n', start).is_none() && next_message(start, 1).is_some();
        Ok(Self { input, line: Vec::new(), place: Place::default(), endless })
    }

    /// The next line, without its line end. Errors: it can not be read.
    pub fn next_line(&mut self) -> io::Result<Option<(Place, &[u8])>> {
        self.line.clear();
        self.place.offset = self.place.end;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            let cut = if self.endless {
                next_message(chunk, usize::from(self.line.is_empty()))
            } else {
                memchr::memchr(b'\n', chunk).map(|at| at + 1)
            };
            let len = cut.unwrap_or(chunk.len());
            let room = LINE_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&chunk[..len.min(room)]);
            self.input.consume(len);
            self.place.end += len as u64;
            if cut.is_some() {
                break;
            }
        }
        if self.place.end == self.place.offset {
            return Ok(None);
        }
        self.place.number += 1;
        Ok(Some((self.place, self.line.trim_ascii_end())))
    }
}

/// Where the next `<PRI>` with a stamp or a version after it begins, from `from` on.
fn next_message(text: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'<', text).filter(|&at| at >= from).find(|&at| {
        let rest = &text[at + 1..];
        let digits = rest.iter().take(3).take_while(|octet| octet.is_ascii_digit()).count();
        let Some(after) = rest.get(digits..).and_then(|rest| rest.strip_prefix(b">")) else { return false };
        digits > 0 && (after.starts_with(b"1 2") || matches!(after, [b'A'..=b'Z', b'a'..=b'z', b'a'..=b'z', b' ', ..]))
    })
}
