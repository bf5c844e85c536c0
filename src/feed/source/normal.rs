//! One message of a shipper, a syslog peer or a journal as one line of a log: `2026-11-21T19:46:05.410346+00:00 mx postfix/smtpd[18732]: text`.
//!
//! Stamps get a year and an offset here, while the time of arrival is known: read again from a spool they mean the same.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::feed::line::LINE_MAX;

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;
/// How far ahead of its arrival a stamp without a year may lie: clocks and zones that are set wrong.
const AHEAD_US: i64 = 24 * 3600 * SECOND_US;
/// Octets kept of a host's or program's name.
const WORD_OCTETS_MAX: usize = 255;
/// The months of RFC 3164 section 4.1.2.
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// A message taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// When, in microseconds since 1970 (UTC).
    pub time_us: i64,
    /// The host that logged it; empty where nobody tells.
    pub host: &'a [u8],
    /// The program, such as `postfix/smtpd`; empty where nobody tells.
    pub program: &'a [u8],
    /// Its process id; empty where nobody tells.
    pub pid: &'a [u8],
    /// What it said.
    pub text: &'a [u8],
}

impl Parts<'_> {
    /// Write the line, with its line feed.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_stamp(self.time_us, out);
        out.push(b' ');
        write_word(self.host, out);
        out.push(b' ');
        write_word(self.program, out);
        if !self.pid.is_empty() {
            out.push(b'[');
            write_word(self.pid, out);
            out.push(b']');
        }
        out.extend_from_slice(b": ");
        write_text(self.text, out);
    }
}

/// Write a stamp as RFC 3339 has it.
fn write_stamp(time_us: i64, out: &mut Vec<u8>) {
    // Out of jiff's range only where a shipper sends nonsense; 1970 says so.
    let time = Timestamp::from_microsecond(time_us).unwrap_or(Timestamp::UNIX_EPOCH);
    out.extend_from_slice(time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string().as_bytes());
}

/// Write a name without blanks; `-` for none.
fn write_word(word: &[u8], out: &mut Vec<u8>) {
    let word = &word[..word.len().min(WORD_OCTETS_MAX)];
    out.extend(word.iter().map(|&octet| if octet <= b' ' || octet == 0x7f { b'_' } else { octet }));
    if word.is_empty() {
        out.push(b'-');
    }
}

/// Write a text as one line: control characters as `#ooo`, as rsyslog does, blanks around it gone.
pub fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let text = text.trim_ascii();
    for &octet in &text[..text.len().min(LINE_MAX)] {
        if octet < b' ' && octet != b'\t' {
            out.extend_from_slice(format!("#{octet:03o}").as_bytes());
        } else {
            out.push(octet);
        }
    }
    out.push(b'\n');
}

/// One syslog message as a line: RFC 5424, RFC 3164, or what passes for it. `peer` stands in for a host that is not named.
pub fn syslog(message: &[u8], peer: &str, arrived_us: i64, zone: &TimeZone, out: &mut Vec<u8>) {
    let message = message.trim_ascii();
    let (_, rest) = split_priority(message).unwrap_or((0, message));
    if let Some(parts) = rest.strip_prefix(b"1 ").and_then(|rest| rfc5424(rest, arrived_us)) {
        parts.write(out);
        return;
    }
    match stamp(rest, arrived_us, zone) {
        Some((time_us, rest)) => {
            write_stamp(time_us, out);
            out.push(b' ');
            write_text(rest, out);
        }
        // RFC 3164 section 4.3.2: the relay adds what is missing.
        None => {
            write_stamp(arrived_us, out);
            out.push(b' ');
            write_word(peer.as_bytes(), out);
            out.push(b' ');
            write_text(rest, out);
        }
    }
}

/// The priority before a message and what follows it: `<0>` to `<191>` (RFC 5424 section 6.2.1).
pub fn split_priority(message: &[u8]) -> Option<(u8, &[u8])> {
    let rest = message.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|&octet| octet == b'>')?;
    let digits = std::str::from_utf8(&rest[..end]).ok().filter(|d| d.bytes().all(|c| c.is_ascii_digit()))?;
    let priority = digits.parse().ok().filter(|&priority| priority <= 191)?;
    Some((priority, &rest[end + 1..]))
}

/// The parts of an RFC 5424 message after its version.
fn rfc5424(rest: &[u8], arrived_us: i64) -> Option<Parts<'_>> {
    let mut words = rest.splitn(6, |&octet| octet == b' ');
    let (stamp, host, program, pid, _id, rest) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let time_us = if stamp == b"-" { arrived_us } else { rfc3339(stamp)? };
    let text = match rest.strip_prefix(b"-") {
        Some(text) => text,
        None => after_structured_data(rest)?,
    };
    let nil = |word: &'static [u8], found| if found == word { &b""[..] } else { found };
    let text = text.strip_prefix(b" ").unwrap_or(text);
    Some(Parts {
        time_us,
        host: nil(b"-", host),
        program: nil(b"-", program),
        pid: nil(b"-", pid),
        text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
    })
}

/// What follows structured data (RFC 5424 section 6.3); `None` where it does not end.
fn after_structured_data(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some(element) = rest.strip_prefix(b"[") {
        let (mut quoted, mut escaped) = (false, false);
        let end = element.iter().position(|&octet| {
            let end = octet == b']' && !quoted;
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                _ => {}
            }
            end
        })?;
        rest = &element[end + 1..];
    }
    Some(rest)
}

/// The stamp at the beginning, RFC 3339 or RFC 3164, in microseconds since 1970, and what follows it and a blank.
pub fn stamp<'a>(text: &'a [u8], arrived_us: i64, zone: &TimeZone) -> Option<(i64, &'a [u8])> {
    let end = memchr::memchr(b' ', text)?;
    if let Some(time_us) = rfc3339(&text[..end]) {
        return Some((time_us, &text[end + 1..]));
    }
    // `Nov  1 19:46:05 `, also with a fraction.
    if text.len() < 16 || text[3] != b' ' || text[6] != b' ' {
        return None;
    }
    let end = 7 + memchr::memchr(b' ', &text[7..])?;
    let month = MONTHS.iter().position(|month| text[..3].eq_ignore_ascii_case(*month))? + 1;
    let day: i8 = std::str::from_utf8(&text[4..6]).ok()?.trim_start().parse().ok()?;
    let time: Time = std::str::from_utf8(&text[7..end]).ok()?.parse().ok()?;
    let now = Timestamp::from_microsecond(arrived_us).ok()?.to_zoned(zone.clone());
    let in_year = |year: i16| -> Option<i64> {
        let date = Date::new(year, month as i8, day).ok()?;
        let zoned = DateTime::from_parts(date, time).to_zoned(zone.clone()).ok()?;
        Some(zoned.timestamp().as_microsecond())
    };
    // The year that brings it closest to its arrival, and at most a day ahead of it.
    let years = [now.year() - 1, now.year(), now.year() + 1];
    let times = years.into_iter().filter_map(in_year).filter(|time_us| *time_us <= arrived_us + AHEAD_US);
    let nearest = times.min_by_key(|time_us| (arrived_us - time_us).abs())?;
    Some((nearest, &text[end + 1..]))
}

/// An RFC 3339 stamp, in microseconds since 1970.
pub fn rfc3339(stamp: &[u8]) -> Option<i64> {
    if !stamp.first().is_some_and(u8::is_ascii_digit) || stamp.get(4) != Some(&b'-') {
        return None;
    }
    let time: Timestamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
    Some(time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T20:00:00Z, when all messages here arrive.
    const ARRIVED_US: i64 = 1_795_291_200 * SECOND_US;

    /// The line of a syslog message.
    fn line(message: &str, zone: &str) -> String {
        let mut out = Vec::new();
        syslog(message.as_bytes(), "192.0.2.7", ARRIVED_US, &TimeZone::get(zone).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_form_becomes_the_same_line() {
        let expected = "2026-11-21T19:46:05.000000+00:00 mx postfix/smtpd[18732]: connect from a[127.0.0.11]\n";
        for message in [
            "<22>Nov 21 19:46:05 mx postfix/smtpd[18732]: connect from a[127.0.0.11]",
            "<22>2026-11-21T19:46:05+00:00 mx postfix/smtpd[18732]: connect from a[127.0.0.11]\n",
            "<22>2026-11-21T20:46:05+01:00 mx postfix/smtpd[18732]: connect from a[127.0.0.11]",
            "<22>1 2026-11-21T19:46:05.000000Z mx postfix/smtpd 18732 - - connect from a[127.0.0.11]",
            "<22>1 2026-11-21T19:46:05Z mx postfix/smtpd 18732 - -  connect from a[127.0.0.11]",
            "<22>1 2026-11-21T19:46:05Z mx postfix/smtpd 18732 ID [x@1 a=\"]\\\"\"][y] \u{feff}connect from a[127.0.0.11]",
        ] {
            assert_eq!(line(message, "UTC"), expected, "{message}");
        }
        assert_eq!(
            line("<22>Nov 21 20:46:05 mx postfix/smtpd[18732]: connect from a[127.0.0.11]", "Europe/Berlin"),
            expected
        );
    }

    #[test]
    fn years_and_what_is_missing() {
        for (message, expected) in [
            ("<22>Dec 31 23:59:59 mx a: b", "2025-12-31T23:59:59.000000+00:00 mx a: b\n"),
            ("<22>Nov 22 19:00:00 mx a: b", "2026-11-22T19:00:00.000000+00:00 mx a: b\n"),
            ("<22>Nov  1 01:02:03.5 mx a: b", "2026-11-01T01:02:03.500000+00:00 mx a: b\n"),
            ("<22>no stamp at all", "2026-11-21T20:00:00.000000+00:00 192.0.2.7 no stamp at all\n"),
            ("<22>1 - - - - - - text", "2026-11-21T20:00:00.000000+00:00 - -: text\n"),
            ("<22>Feb 31 01:02:03 mx a: b", "2026-11-21T20:00:00.000000+00:00 192.0.2.7 Feb 31 01:02:03 mx a: b\n"),
            ("<22>Nov 21 19:46:05 mx a: b\nc\0", "2026-11-21T19:46:05.000000+00:00 mx a: b#012c#000\n"),
        ] {
            assert_eq!(line(message, "UTC"), expected, "{message}");
        }
    }

    #[test]
    fn priorities() {
        for (message, expected) in [
            ("<22>x", Some((22, "x"))),
            ("<191>", Some((191, ""))),
            ("<192>x", None),
            ("<>x", None),
            ("<+1>x", None),
            ("<0022>x", None),
            ("22>x", None),
        ] {
            let expected = expected.map(|(n, rest)| (n, rest.as_bytes()));
            assert_eq!(split_priority(message.as_bytes()), expected, "{message}");
        }
    }
}
