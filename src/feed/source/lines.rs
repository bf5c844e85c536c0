//! Octets cut into lines: each at most [`LINE_MAX`] octets, a line without its end waits for it.

use crate::feed::line::{LINE_MAX, LogLine, Place};

/// Lines that a reader has given, in one piece of memory that is used again.
#[derive(Debug, Default)]
pub struct Lines {
    /// Their octets, one after the other.
    text: Vec<u8>,
    /// Where each ends in `text`, and where it stands in its source.
    ends: Vec<(usize, Place)>,
    /// Lines that were longer than [`LINE_MAX`], since this was last asked.
    pub cut: u64,
}

impl Lines {
    /// Forget all lines.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Add one.
    pub fn push(&mut self, text: &[u8], place: Place) {
        self.text.extend_from_slice(text);
        self.ends.push((self.text.len(), place));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in order; `arrived_ms` is when they were read.
    pub fn iter(&self, arrived_ms: i64) -> impl Iterator<Item = LogLine<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&(end, place)| {
            let text = &self.text[start..end];
            start = end;
            LogLine { place, text, arrived_ms }
        })
    }
}

/// Cuts the octets of one file.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The beginning of a line whose end has not come, at most [`LINE_MAX`] octets.
    part: Vec<u8>,
    /// Octets of that line beyond `part`.
    over: u64,
    /// Octets before that line.
    offset: u64,
    /// Lines before it.
    number: u64,
}

impl Splitter {
    /// Begin after so many octets and lines.
    pub fn at(offset: u64, number: u64) -> Self {
        Self { offset, number, ..Self::default() }
    }

    /// Octets taken in, those of an unfinished line too.
    pub fn taken(&self) -> u64 {
        self.offset + self.part.len() as u64 + self.over
    }

    /// Octets and lines before the line that is not finished.
    pub fn mark(&self) -> (u64, u64) {
        (self.offset, self.number)
    }

    /// Take octets in; finished lines go to `lines`.
    pub fn feed(&mut self, mut octets: &[u8], lines: &mut Lines) {
        while let Some(at) = memchr::memchr(b'\n', octets) {
            let (line, rest) = octets.split_at(at);
            octets = &rest[1..];
            if self.part.is_empty() && self.over == 0 {
                self.finish(line, line.len() as u64, 1, lines);
            } else {
                self.keep(line);
                let (part, len) = (std::mem::take(&mut self.part), self.taken() - self.offset);
                let len = len + part.len() as u64;
                self.finish(&part, len, 1, lines);
                self.part = part;
                self.part.clear();
                self.over = 0;
            }
        }
        self.keep(octets);
    }

    /// No more will come: what is left is a line.
    pub fn end(&mut self, lines: &mut Lines) {
        if self.taken() > self.offset {
            let len = self.taken() - self.offset;
            let part = std::mem::take(&mut self.part);
            self.finish(&part, len, 0, lines);
            self.over = 0;
        }
    }

    /// Forget the unfinished line.
    pub fn drop_part(&mut self) {
        self.part.clear();
        self.over = 0;
    }

    /// Keep the beginning of a line.
    fn keep(&mut self, octets: &[u8]) {
        let room = (LINE_MAX + 1).saturating_sub(self.part.len()).min(octets.len());
        self.part.extend_from_slice(&octets[..room]);
        self.over += (octets.len() - room) as u64;
    }

    /// Give a line of `len` octets, of which `line` is the beginning, and `end` octets of line end.
    fn finish(&mut self, line: &[u8], len: u64, end: u64, lines: &mut Lines) {
        let place = Place { offset: self.offset, end: self.offset + len + end, number: self.number + 1 };
        let line = if len == line.len() as u64 { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        lines.cut += u64::from(line.len() > LINE_MAX);
        lines.push(&line[..line.len().min(LINE_MAX)], place);
        self.offset = place.end;
        self.number = place.number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut `pieces`, then say what came: text, offset, end.
    fn cut(pieces: &[&[u8]], end: bool) -> (Vec<(Vec<u8>, u64, u64)>, u64) {
        let (mut lines, mut splitter) = (Lines::default(), Splitter::default());
        pieces.iter().for_each(|piece| splitter.feed(piece, &mut lines));
        if end {
            splitter.end(&mut lines);
        }
        let all = lines.iter(0).map(|line| (line.text.to_vec(), line.place.offset, line.place.end)).collect();
        assert_eq!(splitter.taken(), pieces.iter().map(|piece| piece.len() as u64).sum::<u64>());
        (all, lines.cut)
    }

    #[test]
    fn lines_are_cut_however_they_come() {
        let expected = vec![(b"ab".to_vec(), 0, 3), (b"".to_vec(), 3, 4), (b"c".to_vec(), 4, 7)];
        for pieces in [&[&b"ab\n\nc\r\nd"[..]][..], &[b"a", b"b", b"\n\n", b"c\r", b"\nd"]] {
            assert_eq!(cut(pieces, false), (expected.clone(), 0));
            let mut with_end = expected.clone();
            with_end.push((b"d".to_vec(), 7, 8));
            assert_eq!(cut(pieces, true), (with_end, 0));
        }
    }

    #[test]
    fn a_long_line_is_cut_and_its_end_is_right() {
        let long = vec![b'x'; LINE_MAX * 3];
        for pieces in [
            &[&long[..], b"\ny\n"][..],
            &[&long[..LINE_MAX], &long[LINE_MAX..], b"\n", b"y\n"],
            &[&long[..1], &long[1..], b"\ny\n"],
        ] {
            let (lines, count) = cut(pieces, false);
            let end = long.len() as u64 + 1;
            assert_eq!(lines, [(long[..LINE_MAX].to_vec(), 0, end), (b"y".to_vec(), end, end + 2)]);
            assert_eq!(count, 1);
        }
        // Exactly the limit is not cut, nor is it by its CR.
        let (lines, count) = cut(&[&long[..LINE_MAX], b"\r\n"], false);
        assert_eq!((lines[0].0.len(), count), (LINE_MAX, 0));
    }
}
