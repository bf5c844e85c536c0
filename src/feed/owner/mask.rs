//! Traps kept out of lines that others see.

/// What stands for a domain that is not told.
const MASK: &[u8] = b"***";

/// Domains of which nothing may be told, in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden(Vec<Box<[u8]>>);

impl Hidden {
    /// The domains of traps: those of which every address is one, and those of single addresses.
    pub fn of(traps: &[Box<str>], trap_domains: &[Box<str>]) -> Self {
        let of_addresses = traps.iter().filter_map(|trap| trap.rsplit_once('@').map(|(_, domain)| domain.into()));
        let mut all: Vec<Box<str>> = of_addresses.chain(trap_domains.iter().cloned()).collect();
        all.retain(|domain| !domain.is_empty());
        // The longest first, so that what is left of a domain never shows that it began another one.
        all.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        all.dedup();
        Self(all.into_iter().map(|domain| domain.to_lowercase().into_bytes().into_boxed_slice()).collect())
    }

    /// A stored line without them, as text: what is no printable ASCII is escaped, so that it can do nothing to who reads it.
    pub fn line(&self, line: &[u8]) -> String {
        let lower = line.to_ascii_lowercase();
        let mut shown = Vec::with_capacity(line.len());
        let mut at = 0;
        while at < line.len() {
            match self.0.iter().find(|domain| lower[at..].starts_with(domain)) {
                Some(domain) => {
                    shown.extend_from_slice(MASK);
                    at += domain.len();
                }
                None => {
                    shown.push(line[at]);
                    at += 1;
                }
            }
        }
        shown.iter().map(|&octet| plain(octet)).collect()
    }
}

/// An octet for reading.
fn plain(octet: u8) -> String {
    if octet == b' ' || octet.is_ascii_graphic() { char::from(octet).into() } else { format!("\\x{octet:02x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_are_not_told() {
        let hidden = Hidden::of(&["bait@example.org".into(), "nobody".into()], &["trap.example".into(), "".into()]);
        for (line, expected) in [
            (&b"to=<a***@example.org>"[..], "to=<a***@***>"),
            (b"to=<a***@Mail.TRAP.example> trap.example.", "to=<a***@Mail.***> ***."),
            (b"to=<a***@example.com>", "to=<a***@example.com>"),
            (b"helo=<x\n\x1b[2J\xff>", "helo=<x\\x0a\\x1b[2J\\xff>"),
            (b"example.orexample.org", "example.or***"),
            (b"", ""),
        ] {
            assert_eq!(hidden.line(line), expected, "{}", line.escape_ascii());
        }
        assert_eq!(Hidden::default().line(b"a***@example.org"), "a***@example.org");
    }
}
