//! Lines of a `generic` dataset: `name [ttl] [IN] A|TXT|MX data`.

use super::Fault;
use super::address::Scan;
use super::special::{parse_name, parse_time};
use crate::dataset::entry::{Record, RecordData, TEXT_LEN_MAX};
use crate::wire::name::{NAME_LEN_MAX, parse};

/// Room for the names of one record.
#[derive(Debug)]
pub struct Buffers {
    /// Owner in wire form.
    owner: [u8; NAME_LEN_MAX],
    /// Mail exchanger in wire form.
    host: Box<[u8]>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { owner: [0; NAME_LEN_MAX], host: Box::default() }
    }
}

/// The next word and the blanks behind it.
fn word<'a>(scan: &mut Scan<'a>) -> (&'a [u8], usize) {
    let start = scan.at;
    while !matches!(scan.peek(), None | Some(b' ' | b'\t')) {
        scan.at += 1;
    }
    let word = &scan.line[start..scan.at];
    scan.skip_blanks();
    (word, start)
}

/// Read a record; owners are relative to the zone, `@` is its apex, data are absolute. `ttl` is the `$TTL` above it: unlike
/// in the sets, a record keeps the one in force at its line.
pub fn read<'line: 'r, 'r>(
    scan: &mut Scan<'line>,
    buffers: &'r mut Buffers,
    ttl: Option<u32>,
) -> Result<Record<'r>, Fault> {
    let (owner, at) = word(scan);
    let owner_len = if owner == b"@" {
        0
    } else {
        let len = parse(owner, &mut buffers.owner).map_err(|error| Fault::new(at, error.to_string()))?;
        if len == 1 {
            return Err(Fault::new(at, "a name is missing").hint("`@` is the zone itself"));
        }
        buffers.owner[..len].make_ascii_lowercase();
        len - 1
    };
    let (mut rtype, mut type_at) = word(scan);
    let mut ttl = ttl.filter(|&ttl| ttl > 0);
    if rtype.first().is_some_and(u8::is_ascii_digit) {
        let time = parse_time(rtype).ok_or_else(|| Fault::new(type_at, "bad TTL").hint("write seconds, or 2h"))?;
        // As in `$TTL`, 0 takes the default.
        ttl = if time > 0 { Some(time) } else { ttl };
        (rtype, type_at) = word(scan);
    }
    if rtype.eq_ignore_ascii_case(b"IN") {
        (rtype, type_at) = word(scan);
    }
    let data = if rtype.eq_ignore_ascii_case(b"A") {
        a(scan)?
    } else if rtype.eq_ignore_ascii_case(b"TXT") {
        txt(scan)?
    } else if rtype.eq_ignore_ascii_case(b"MX") {
        let preference_at = scan.at;
        let preference = scan.number(65_535).map_err(|fault| Fault::new(fault.at, "bad preference of an MX"))?;
        if !scan.skip_blanks() {
            return Err(
                Fault::new(preference_at, "an MX wants a preference and a host").hint("write MX 10 mail.example.org")
            );
        }
        let (host, host_at) = word(scan);
        buffers.host = parse_name(host, host_at)?.wire().into();
        if !scan.rest().is_empty() {
            return Err(Fault::new(scan.at, "something follows the host of an MX"));
        }
        RecordData::Mx(preference as u16, &buffers.host)
    } else if rtype.is_empty() {
        return Err(Fault::new(type_at, "a type is missing").hint("write: name [ttl] [IN] A|TXT|MX data"));
    } else {
        let message = format!("records of type {} are not kept", String::from_utf8_lossy(rtype));
        return Err(Fault::new(type_at, message).hint("generic takes A, TXT and MX"));
    };
    Ok(Record { owner: &buffers.owner[..owner_len], ttl, data })
}

/// An address; one to four numbers, the last of which fills what is left (so `1` is 0.0.0.1). What follows is not
/// looked at.
fn a(scan: &mut Scan<'_>) -> Result<RecordData<'static>, Fault> {
    let (octets, count) = scan.octets().map_err(|fault| Fault::new(fault.at, "bad address"))?;
    let [a, b, c, d] = octets.to_be_bytes();
    Ok(RecordData::A(match count {
        1 => [0, 0, 0, a].into(),
        2 => [a, 0, 0, b].into(),
        3 => [a, b, 0, c].into(),
        _ => [a, b, c, d].into(),
    }))
}

/// The rest of the line; quotes are removed if they stand at both ends.
fn txt<'a>(scan: &Scan<'a>) -> Result<RecordData<'a>, Fault> {
    let mut text = scan.rest();
    // Only before a NUL can a blank stand at the end, and there it makes an empty text, as in rbldnsd.
    if text.is_empty() && !matches!(scan.line[..scan.at], [.., b' ' | b'\t']) {
        return Err(Fault::new(scan.at, "a text is missing"));
    }
    if let [b'"', inner @ .., b'"'] = text {
        text = inner;
    }
    Ok(RecordData::Txt(&text[..text.len().min(TEXT_LEN_MAX)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_rbldnsd_reads_them() {
        use RecordData::{A, Mx, Txt};
        let host: &[u8] = b"\x02mx\x02ex\x00";
        type Case<'a> = (&'a str, Option<(&'a [u8], Option<u32>, RecordData<'a>)>);
        let cases: [Case<'_>; 24] = [
            ("@ A 127.0.0.8", Some((b"", None, A([127, 0, 0, 8].into())))),
            ("www 3000 A 127.0.0.1", Some((b"\x03www", Some(3000), A([127, 0, 0, 1].into())))),
            ("WWW2 1h IN A 10.1", Some((b"\x04www2", Some(3600), A([10, 0, 0, 1].into())))),
            ("short A 1", Some((b"\x05short", None, A([0, 0, 0, 1].into())))),
            ("www A 127.0.0.1 junk", Some((b"\x03www", None, A([127, 0, 0, 1].into())))),
            ("w IN TXT plain text", Some((b"\x01w", None, Txt(b"plain text")))),
            ("w TXT \"quoted \"inner\" text\"", Some((b"\x01w", None, Txt(b"quoted \"inner\" text")))),
            ("w TXT \"open", Some((b"\x01w", None, Txt(b"\"open")))),
            ("w TXT \"\"", Some((b"\x01w", None, Txt(b"")))),
            ("w A 1.2.3.4/32", Some((b"\x01w", None, A([1, 2, 3, 4].into())))),
            ("w A 1.2x", Some((b"\x01w", None, A([1, 0, 0, 2].into())))),
            ("w A 1.2.", None),
            (". A 127.0.0.1", None),
            ("zero 0 A 127.0.0.1", Some((b"\x04zero", None, A([127, 0, 0, 1].into())))),
            ("mx MX 10 mx.ex.", Some((b"\x02mx", None, Mx(10, host)))),
            ("mx MX 65536 mx.ex", None),
            ("mx MX 10", None),
            ("mx MX ten mx.ex", None),
            ("mx MX 10 mx.ex junk", None),
            ("cn CNAME other", None),
            ("badip A 1.2.3.999", None),
            ("notype", None),
            ("w 1d2h A 127.0.0.1", None),
            ("w TXT", None),
        ];
        for (line, expected) in cases {
            let mut buffers = Buffers::default();
            let got = read(&mut Scan::new(line.as_bytes(), 0), &mut buffers, None).ok();
            assert_eq!(got, expected.map(|(owner, ttl, data)| Record { owner, ttl, data }), "{line}");
        }
    }
}
