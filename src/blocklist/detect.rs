//! The type of a zone file, told by its first entry.

use std::io;
use std::net::Ipv6Addr;
use std::path::Path;

use crate::dataset::Kind;
use crate::diag::BadFile;
use crate::zonefile::input::Lines;

/// The type of a file; `None` if it has no entry.
pub(super) fn kind(path: &Path) -> Result<Option<Kind>, BadFile> {
    read(path).map_err(|error| BadFile::Io { file: path.to_owned(), error })
}

/// Read as far as the first entry.
fn read(path: &Path) -> io::Result<Option<Kind>> {
    let mut lines = Lines::open(path, true)?;
    while let Some(line) = lines.next_line()? {
        if let Some(kind) = kind_of(line.text) {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

/// The type that a line tells; `None` for comments, defaults and specials.
fn kind_of(line: &[u8]) -> Option<Kind> {
    let line = line.trim_ascii();
    // `$DATASET` divides a `combined` file; comments may hide specials from other programs.
    let bare = line.trim_ascii_start().strip_prefix(b"#").unwrap_or(line);
    if bare.get(..8).is_some_and(|word| word.eq_ignore_ascii_case(b"$DATASET")) {
        return Some(Kind::Combined);
    }
    match line.first()? {
        b'#' | b';' | b':' | b'$' => return None,
        _ => {}
    }
    let entry = line.strip_prefix(b"!").unwrap_or(line).trim_ascii_start();
    let end = entry.iter().position(u8::is_ascii_whitespace).unwrap_or(entry.len());
    let word = str::from_utf8(&entry[..end]).ok()?;
    let address = word.split('/').next().unwrap_or(word);
    if address.parse::<Ipv6Addr>().is_ok() {
        return Some(Kind::Ip6Trie);
    }
    let number = word.split(':').next().unwrap_or(word);
    let octets = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit() || b"./-".contains(&octet));
    Some(if octets { Kind::Ip4Set } else { Kind::Dnset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_types() {
        let cases: &[(&str, Option<Kind>)] = &[
            ("", None),
            ("  ", None),
            ("# 1.2.3.4", None),
            ("; 1.2.3.4", None),
            (":127.0.0.2:text", None),
            ("$TTL 60", None),
            ("#$TTL 60", None),
            ("$DATASET ip4set @", Some(Kind::Combined)),
            ("#$dataset ip4set @", Some(Kind::Combined)),
            ("1.2.3.4", Some(Kind::Ip4Set)),
            ("!1.2.3/24 :3:text", Some(Kind::Ip4Set)),
            ("1.2.3.4-9", Some(Kind::Ip4Set)),
            ("1.2.3.4:3:text", Some(Kind::Ip4Set)),
            ("0/0", Some(Kind::Ip4Set)),
            ("2001:db8::/32", Some(Kind::Ip6Trie)),
            ("! ::1 :2", Some(Kind::Ip6Trie)),
            (".example.org", Some(Kind::Dnset)),
            ("*.example.org", Some(Kind::Dnset)),
            ("3com.test :3:text", Some(Kind::Dnset)),
        ];
        for (line, expected) in cases {
            assert_eq!(kind_of(line.as_bytes()), *expected, "{line}");
        }
    }
}
