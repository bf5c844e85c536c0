//! The records that an answer rests on, so that it can be shown why a bounce was or was not sent.

/// Records kept; a policy within its limits has fewer.
const RECORDS_MAX: usize = 40;
/// Characters kept of each.
const RECORD_CHARS_MAX: usize = 500;

/// Records, in the order in which they were seen, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence(Vec<String>);

impl Evidence {
    /// A TXT record.
    pub fn text(&mut self, name: &str, text: &[u8]) {
        // Written by a stranger, and read on a terminal.
        let shown: String =
            String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        self.add(format!("{name} TXT \"{shown}\""));
    }

    /// Any other record.
    pub fn record(&mut self, name: &str, kind: &str, value: impl std::fmt::Display) {
        self.add(format!("{name} {kind} {value}"));
    }

    /// Keep a line.
    fn add(&mut self, mut line: String) {
        if let Some((end, _)) = line.char_indices().nth(RECORD_CHARS_MAX) {
            line.truncate(end);
            line.push('…');
        }
        if self.0.len() < RECORDS_MAX && !self.0.contains(&line) {
            self.0.push(line);
        }
    }

    /// The lines.
    pub fn into_lines(self) -> Vec<String> {
        self.0
    }
}
