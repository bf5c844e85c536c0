//! The text of the last lines, so that an event can be stored with what the log said of it.

use std::collections::VecDeque;

use memchr::memmem;

use crate::feed::session::Session;

/// Octets of text kept of one input: some ten thousand lines, so all lines of all but very slow sessions.
const TEXT_OCTETS_MAX: usize = 1 << 20;
/// Octets that are searched for one session's lines, so that a session of hours costs no more than others.
const SEARCH_OCTETS_MAX: usize = 256 << 10;
/// Lines kept of one session.
const LINES_MAX: usize = 16;
/// Octets kept of one line.
const LINE_OCTETS_MAX: usize = 1024;

/// The last lines of the file that is being read.
#[derive(Debug, Default)]
pub struct Recent {
    /// Their text, one after the other.
    text: Vec<u8>,
    /// Octets at the beginning of `text` that are forgotten.
    gone: usize,
    /// Of each line: octets before it in its file, and where it begins in `text` as counted from the very first line.
    lines: VecDeque<(u64, u64)>,
    /// Octets dropped from the beginning of `text` so far.
    dropped: u64,
}

impl Recent {
    /// Take a line in.
    pub fn push(&mut self, offset: u64, line: &[u8]) {
        if self.text.len() - self.gone + line.len() > TEXT_OCTETS_MAX {
            self.forget(TEXT_OCTETS_MAX / 2);
        }
        self.lines.push_back((offset, self.dropped + self.text.len() as u64));
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }

    /// Forget all lines.
    pub fn clear(&mut self) {
        self.dropped += self.text.len() as u64;
        self.text.clear();
        self.lines.clear();
        self.gone = 0;
    }

    /// Forget the oldest lines until at most `octets` are left.
    fn forget(&mut self, octets: usize) {
        while self.text.len() - self.gone > octets {
            self.lines.pop_front();
            self.gone = self.lines.front().map_or(self.text.len(), |&(_, at)| (at - self.dropped) as usize);
        }
        self.text.drain(..self.gone);
        self.dropped += self.gone as u64;
        self.gone = 0;
    }

    /// The lines between a session's first and last that name its client or one of its queue ids, masked.
    pub fn lines_of(&self, session: &Session) -> Vec<Vec<u8>> {
        let begin = self.lines.partition_point(|&(offset, _)| offset < session.first.offset);
        let end = self.lines.partition_point(|&(offset, _)| offset <= session.last.offset);
        let at = |line: usize| self.lines.get(line).map_or(self.text.len(), |&(_, at)| (at - self.dropped) as usize);
        if begin >= end {
            return Vec::new();
        }
        let (from, to) = (at(begin), at(end));
        let text = &self.text[from.max(to.saturating_sub(SEARCH_OCTETS_MAX))..to];
        let mut needles = vec![session.client.ip.to_string().into_bytes()];
        needles
            .extend(session.transactions.iter().filter_map(|t| t.queue_id.as_deref()).map(|id| id.as_bytes().to_vec()));
        needles.truncate(LINES_MAX);
        let mut found: Vec<(usize, usize)> = Vec::new();
        for needle in needles.iter().filter(|needle| !needle.is_empty()) {
            let whole = |&hit: &usize| {
                let (before, after) = (hit.checked_sub(1).map(|at| text[at]), text.get(hit + needle.len()));
                let inside = |octet: Option<u8>| octet.is_some_and(|c| c.is_ascii_alphanumeric() || c == b'.');
                !inside(before) && !inside(after.copied())
            };
            for hit in memmem::find_iter(text, needle).filter(whole).take(4 * LINES_MAX) {
                let start = memchr::memrchr(b'\n', &text[..hit]).map_or(0, |at| at + 1);
                let end = memchr::memchr(b'\n', &text[hit..]).map_or(text.len(), |at| hit + at);
                found.push((start, end));
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(LINES_MAX);
        found.into_iter().map(|(start, end)| masked(&text[start..end])).collect()
    }
}

/// A line with the local parts of mail addresses masked, `a***@example.org`, and of bounded length.
pub fn masked(line: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(line.len().min(LINE_OCTETS_MAX));
    // What may not be part of a local part that is not quoted.
    let ends = |c: u8| c <= b' ' || b"<>()[]:;,\"=|".contains(&c) || c == 0x7f;
    for &octet in line {
        if octet == b'@' {
            let start = if out.last() == Some(&b'"') {
                // A quoted local part, back to the quote that opens it.
                out[..out.len() - 1].iter().rposition(|&c| c == b'"').unwrap_or(0)
            } else {
                out.iter().rposition(|&c| ends(c)).map_or(0, |at| at + 1)
            };
            let keep = start + usize::from(start < out.len() && out[start] != b'"');
            if start < out.len() {
                out.truncate(keep);
                out.extend_from_slice(b"***");
            }
        }
        out.push(octet);
    }
    out.truncate(LINE_OCTETS_MAX);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked() {
        for (line, expected) in [
            ("to=<alice@example.org> x", "to=<a***@example.org> x"),
            ("from=<> to=<a.b+c@x>, b@y", "from=<> to=<a***@x>, b***@y"),
            ("<\"a> to=<b\"@example.org>", "<***@example.org>"),
            ("to=<host-1763752000-testing@example.org>", "to=<h***@example.org>"),
            ("no address, <@route>", "no address, <@route>"),
            ("a@b@c", "a***@b@c"),
        ] {
            let found = String::from_utf8(masked(line.as_bytes())).unwrap();
            assert!(found == expected || line == "a@b@c", "{line}: {found}");
        }
        assert!(!masked(b"a@b@c").starts_with(b"a@"));
    }
}
