//! What follows a key: `:A:TXT` and its shorter forms.

use std::net::Ipv4Addr;

use super::Fault;
use super::address::Scan;
use crate::dataset::entry::{EntryText, EntryValue, TEXT_LEN_MAX};

/// Read the value behind a key. `#` and `;` begin a comment here, but not within a text.
#[inline]
pub fn entry_value<'a>(scan: &mut Scan<'a>) -> Result<EntryValue<'a>, Fault> {
    scan.skip_blanks();
    match scan.peek() {
        None | Some(b'#' | b';') => Ok(EntryValue::default()),
        Some(b':') => colon_value(scan),
        Some(_) => Ok(EntryValue { a: None, text: text(scan) }),
    }
}

/// Read a value that begins with a colon; of a default line, too.
pub fn colon_value<'a>(scan: &mut Scan<'a>) -> Result<EntryValue<'a>, Fault> {
    const HINT: &str = "write `:2:text` or `:127.0.0.2:text`, with no blank behind the first colon";
    scan.at += 1;
    let start = scan.at;
    let (address, count) = scan.octets().map_err(|fault| Fault::new(fault.at, "bad address in a value").hint(HINT))?;
    if !matches!(scan.peek(), None | Some(b' ' | b'\t' | b':')) {
        return Err(Fault::new(scan.at, "bad address in a value").hint(HINT));
    }
    let a = short_address(address, count);
    if a.is_unspecified() || address == 0 {
        return Err(Fault::new(start, "0 is no answer").hint("write a number from 1 to 255, or an address"));
    }
    scan.skip_blanks();
    match scan.peek() {
        None => Ok(EntryValue { a: Some(a), text: EntryText::Default }),
        Some(b':') => {
            scan.at += 1;
            scan.skip_blanks();
            Ok(EntryValue { a: Some(a), text: text(scan) })
        }
        Some(_) => Err(Fault::new(scan.at, "something stands between the address and the text of a value")
            .hint("a text begins with a second colon, as in `:2:text`")),
    }
}

/// An address of one to four numbers as the C library reads it: the last number fills what is left, and one alone
/// means 127.0.0.n.
pub fn short_address(octets: u32, count: u32) -> Ipv4Addr {
    let [a, b, c, d] = octets.to_be_bytes();
    match count {
        1 => Ipv4Addr::new(127, 0, 0, a),
        2 => Ipv4Addr::new(a, 0, 0, b),
        3 => Ipv4Addr::new(a, b, 0, c),
        _ => Ipv4Addr::new(a, b, c, d),
    }
}

/// The rest of the line as a text; blanks at the line's end are gone already.
pub fn text<'a>(scan: &Scan<'a>) -> EntryText<'a> {
    let text = scan.rest();
    if text.is_empty() { EntryText::Empty } else { EntryText::Own(text) }
}

/// Without blanks and tabs at the end.
pub fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [head @ .., b' ' | b'\t'] = text {
        text = head;
    }
    text
}

/// Whether a text will be cut.
pub fn is_too_long(value: &EntryValue<'_>) -> bool {
    matches!(value.text, EntryText::Own(text) if text.len() > TEXT_LEN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_rbldnsd_reads_them() {
        use EntryText::{Default, Empty, Own};
        /// What stands behind a key, and its address and text.
        type Case<'a> = (&'a str, Option<(Option<[u8; 4]>, EntryText<'a>)>);
        let cases: [Case<'_>; 27] = [
            ("", Some((None, Default))),
            (" # c", Some((None, Default))),
            (";c", Some((None, Default))),
            (" text # no comment", Some((None, Own(b"text # no comment")))),
            (" :3", Some((Some([127, 0, 0, 3]), Default))),
            (" :3:", Some((Some([127, 0, 0, 3]), Empty))),
            (":3:t", Some((Some([127, 0, 0, 3]), Own(b"t")))),
            (" :3\t: t", Some((Some([127, 0, 0, 3]), Own(b"t")))),
            (" :127.0.1.4:full", Some((Some([127, 0, 1, 4]), Own(b"full")))),
            (" :127.2:x", Some((Some([127, 0, 0, 2]), Own(b"x")))),
            (" :10.1.5:x", Some((Some([10, 1, 0, 5]), Own(b"x")))),
            (" :0.0.0.5:x", Some((Some([0, 0, 0, 5]), Own(b"x")))),
            (" :5:# c", Some((Some([127, 0, 0, 5]), Own(b"# c")))),
            (" :3:with:colons", Some((Some([127, 0, 0, 3]), Own(b"with:colons")))),
            (" :0:x", None),
            (" :0.0.0.0:x", None),
            (" ::x", None),
            (" :256:x", None),
            (" :1.2.3.4.5:x", None),
            (" : 5 :x", None),
            (" :x:y", None),
            (" :5 # c", None),
            (" :5;x", None),
            (" :9 junk", None),
            (" :1/8:x", None),
            (" :127.0.0.2.:x", None),
            (" :", None),
        ];
        for (line, expected) in cases {
            let got = entry_value(&mut Scan::new(line.as_bytes(), 0));
            let expected = expected.map(|(a, text)| EntryValue { a: a.map(Ipv4Addr::from), text });
            assert_eq!(got.ok(), expected, "{line}");
        }
    }
}
