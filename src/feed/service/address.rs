//! Envelope addresses in a line of a log.

/// The length of the well-formed address that `text` begins with: up to a `>` or the end. `None` if it is none.
///
/// A local part is in quotes (RFC 5321, section 4.1.2), where anything may stand, or has no blank, quote or angle bracket; the same for what
/// follows the `@`. The empty address, the null sender, is well-formed.
pub fn prefix(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    if text.first() == Some(&b'"') {
        at = 1;
        loop {
            match text.get(at)? {
                b'"' => break,
                // A quoted pair.
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        at += 1;
        // Only the domain may follow, or the end.
        match text.get(at) {
            None | Some(b'>') => return Some(at),
            Some(b'@') => {}
            Some(_) => return None,
        }
    }
    let rest = text[at..].iter().position(|octet| matches!(octet, b'>' | b'<' | b'"' | b' '));
    match rest {
        None => Some(text.len()),
        Some(len) if text[at + len] == b'>' => Some(at + len),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn addresses() {
        let rows: &[(&str, Option<usize>)] = &[
            ("", Some(0)),
            (">", Some(0)),
            ("a@b", Some(3)),
            ("a@b> to=<c@d>", Some(3)),
            ("a b@c", None),
            ("\"a b\"@c>", Some(7)),
            ("\"a> to=<x\"@c> z", Some(12)),
            ("\"a\\\"> to=<x\"@c>", Some(14)),
            ("\"open", None),
            ("\"end\\", None),
            ("\"a\"b@c", None),
            ("x\"@c", None),
            ("postmaster", Some(10)),
        ];
        for (text, expected) in rows {
            assert_eq!(prefix(text.as_bytes()), *expected, "{text}");
        }
    }
}
