//! A line's head: who logged it and when, in every form in which shippers and servers write it.
//!
//! | form | example |
//! | --- | --- |
//! | RFC 3164, with or without `<PRI>`, year, host | `<22>Nov 21 19:46:05 mx postfix/smtpd[18732]: connect from …` |
//! | RFC 3339 in a file | `2026-11-21T19:46:05.410346+00:00 mx postfix/smtpd[18732]: connect from …` |
//! | RFC 5424 | `<22>1 2026-11-21T19:46:05.410346+00:00 mx postfix 18732 - -  connect from …` |
//! | JSON of a shipper, see `json` | `{"timestamp":"…","host":"mx","syslogtag":"postfix\/smtpd[18732]:","message":" connect from …"}` |
//! | Exim's own, bare or within a syslog line | `2026-11-21 19:20:08 +0000 [30250] SMTP connection from …` |
//! | Haraka's own, bare or within a syslog line | `2026-11-21T19:28:35.745Z [NOTICE] [UUID] [core] connect …` |
//! | OpenSMTPD's filter stream | `report|0.6|1795289777.516105|smtp-in|link-connect|…` |
//!
//! Every form has its host, program and process id in fixed places before the message, so no message can imitate them.

mod json;

pub use json::JsonTime;

use std::borrow::Cow;

use super::time::Clock;

/// The program's name in a message in Exim's own form.
pub const EXIM: &[u8] = b"exim";

/// The program's name in a message in Haraka's own form.
pub const HARAKA: &[u8] = b"haraka";

/// The program's name in a line of OpenSMTPD's filter stream.
pub const SMTPD_FILTER: &[u8] = b"smtpd-filter";

/// The program's name in a line that is a JSON object without a message: a session.
pub const JSON: &[u8] = b"json";

/// A line without its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// When, in milliseconds since 1970 (UTC), by the rules of [`time`](super::time).
    pub time_ms: i64,
    /// The stamp as written; empty where the line has none.
    pub stamp: &'a [u8],
    /// The host that logged it; empty where the line does not tell.
    pub host: &'a [u8],
    /// The program as logged, such as `postfix/smtpd`, `sm-mta`, `exim`; `postfix` where a shipper has cut it.
    /// Lines in a server's own form have its name: [`EXIM`], [`HARAKA`], [`SMTPD_FILTER`], [`JSON`].
    pub program: &'a [u8],
    /// Its process id.
    pub pid: Option<u32>,
    /// The message, without leading blanks.
    pub text: &'a [u8],
}

/// What a head says, before the time is settled.
#[derive(Debug, Clone, Copy, Default)]
struct Head<'a> {
    /// The stamp's time.
    time_ms: Option<i64>,
    /// See [`Message::stamp`].
    stamp: &'a [u8],
    /// See [`Message::host`].
    host: &'a [u8],
    /// See [`Message::program`].
    program: &'a [u8],
    /// See [`Message::pid`].
    pid: Option<u32>,
    /// See [`Message::text`].
    text: &'a [u8],
}

/// Takes heads off lines. Keeps the buffers that JSON needs.
#[derive(Debug, Default)]
pub struct Envelope {
    /// The texts of a JSON line, unescaped.
    fields: json::Fields,
}

impl Envelope {
    /// Takes the head off a line. `None` when it has none that is known.
    pub fn open<'a>(&'a mut self, line: &'a [u8], arrived_ms: i64, clock: &mut Clock) -> Option<Message<'a>> {
        let line = line.trim_ascii_start();
        let head = match line.first()? {
            b'{' => {
                if self.fields.read(line) {
                    self.fields.head(clock, arrived_ms)?
                } else {
                    Head { time_ms: json::session_ms(line), program: JSON, text: line, ..Head::default() }
                }
            }
            _ => head(line, clock, arrived_ms)?,
        };
        let time_ms = clock.settle(head.time_ms, arrived_ms);
        Some(Message {
            time_ms,
            stamp: head.stamp,
            host: head.host,
            program: head.program,
            pid: head.pid,
            text: head.text,
        })
    }
}

/// The head of a line that is not JSON.
fn head<'a>(line: &'a [u8], clock: &mut Clock, arrived_ms: i64) -> Option<Head<'a>> {
    let (line, priority) = match line.first()? {
        b'<' => (priority(line)?, true),
        _ => (line, false),
    };
    if let Some(rest) =
        line.strip_prefix(b"1 ").filter(|rest| priority || rest.starts_with(b"20") || rest.starts_with(b"- "))
    {
        return rfc5424(rest, clock, arrived_ms);
    }
    if let Some(own) = own_form(line) {
        return Some(own);
    }
    let stamp = clock.read(line, arrived_ms)?;
    let (text, after) = line.split_at(stamp.len);
    let time_ms = Some(stamp.time_ms);
    // Only Exim's own form and Haraka's have a process id or a level right after the stamp.
    if text.get(10) == Some(&b' ') && text[4] == b'-' {
        let (pid, rest) = exim_pid(after.trim_ascii_start());
        return Some(Head { time_ms, stamp: text, program: EXIM, pid, text: rest, ..Head::default() });
    }
    let after = after.strip_prefix(b" ")?.trim_ascii_start();
    if is_level(after) {
        return Some(Head { time_ms, stamp: text, program: HARAKA, text: after, ..Head::default() });
    }
    let mut head = host_and_tag(after)?;
    (head.time_ms, head.stamp) = (time_ms, text);
    Some(within(head, clock, arrived_ms))
}

/// `<22>` and what follows it: a number below 192 (RFC 5424, section 6.2.1).
fn priority(line: &[u8]) -> Option<&[u8]> {
    let digits = line[1..].iter().take(3).take_while(|octet| octet.is_ascii_digit()).count();
    (digits > 0 && line.get(1 + digits) == Some(&b'>')).then(|| line[2 + digits..].trim_ascii_start())
}

/// A message that is a whole line of another form: Exim's or Haraka's own head within a syslog line, a line of OpenSMTPD's filter stream.
fn within<'a>(outer: Head<'a>, clock: &mut Clock, arrived_ms: i64) -> Head<'a> {
    let text = outer.text;
    if let Some(own) = own_form(text) {
        return Head {
            host: outer.host,
            time_ms: own.time_ms.or(outer.time_ms),
            stamp: if own.stamp.is_empty() { outer.stamp } else { own.stamp },
            pid: own.pid.or(outer.pid),
            ..own
        };
    }
    let [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..] = text else { return outer };
    let Some(stamp) = clock.read(text, arrived_ms) else { return outer };
    let (inner, rest) = text.split_at(stamp.len);
    let rest = rest.trim_ascii_start();
    match inner[10] {
        // Exim may log to syslog with its own stamp, in a zone that its host knows: the outer stamp is as good and surer.
        b' ' if is_exim(outer.program) => {
            let (pid, rest) = exim_pid(rest);
            Head { program: EXIM, pid: pid.or(outer.pid), text: rest, ..outer }
        }
        _ if is_level(rest) => Head { program: HARAKA, text: rest, ..outer },
        _ => outer,
    }
}

/// Is that Exim's name: `exim`, `exim4`.
fn is_exim(program: &[u8]) -> bool {
    program.starts_with(EXIM)
}

/// A form without stamp, or with one in its own place: Haraka without stamps, OpenSMTPD's filter stream.
fn own_form(text: &[u8]) -> Option<Head<'_>> {
    match text.first()? {
        b'[' if is_level(text) => Some(Head { program: HARAKA, text, ..Head::default() }),
        b'r' if text.starts_with(b"report|") => {
            let stamp = text.splitn(4, |&octet| octet == b'|').nth(2)?;
            Some(Head { time_ms: epoch(stamp, 1), stamp, program: SMTPD_FILTER, text, ..Head::default() })
        }
        b'c' if text.starts_with(b"config|") => Some(Head { program: SMTPD_FILTER, text, ..Head::default() }),
        b'{' if text.ends_with(b"}") => {
            Some(Head { time_ms: json::session_ms(text), program: JSON, text, ..Head::default() })
        }
        _ => None,
    }
}

/// Haraka's level, as in `[NOTICE] [UUID] …`.
fn is_level(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"[") else { return false };
    let letters = rest.iter().take(9).take_while(|octet| octet.is_ascii_uppercase()).count();
    letters >= 4 && rest[letters..].starts_with(b"] [")
}

/// Exim's `[30250]` and what follows it.
fn exim_pid(text: &[u8]) -> (Option<u32>, &[u8]) {
    let pid = text.strip_prefix(b"[").and_then(|rest| {
        let end = rest.iter().take(11).position(|&octet| octet == b']')?;
        Some((decimal(&rest[..end])?, rest[end + 1..].trim_ascii_start()))
    });
    match pid {
        Some((pid, rest)) => (Some(pid), rest),
        None => (None, text),
    }
}

/// What follows a syslog stamp: `mx postfix/smtpd[18732]: text`, where the host may be absent.
fn host_and_tag(text: &[u8]) -> Option<Head<'_>> {
    // FreeBSD's syslogd -v writes facility and level first.
    let text = match text.strip_prefix(b"<") {
        Some(rest) => rest[memchr::memchr(b'>', rest)? + 1..].trim_ascii_start(),
        None => text,
    };
    let blank = memchr::memchr(b' ', text)?;
    let (first, rest) = (&text[..blank], text[blank + 1..].trim_ascii_start());
    if let Some((program, pid)) = first.strip_suffix(b":").and_then(tag) {
        return Some(Head { program, pid, text: rest, ..Head::default() });
    }
    let blank = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (program, pid) = rest[..blank].strip_suffix(b":").and_then(tag)?;
    Some(Head { host: first, program, pid, text: rest[blank..].trim_ascii_start(), ..Head::default() })
}

/// `postfix/smtpd[18732]` or `postfix/smtpd`.
fn tag(text: &[u8]) -> Option<(&[u8], Option<u32>)> {
    let Some(inner) = text.strip_suffix(b"]") else {
        return (!text.is_empty() && !text.contains(&b'[')).then_some((text, None));
    };
    let open = memchr::memrchr(b'[', inner)?;
    (open > 0).then(|| (&inner[..open], decimal(&inner[open + 1..])))
}

/// `2026-11-21T19:46:05+00:00 mx postfix 18732 - - text`, after the version (RFC 5424, section 6).
fn rfc5424<'a>(line: &'a [u8], clock: &mut Clock, arrived_ms: i64) -> Option<Head<'a>> {
    let mut fields = line.splitn(6, |&octet| octet == b' ');
    let (stamp, host, program, pid, _id, rest) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let nil = |field: &'a [u8]| if field == b"-" { &field[..0] } else { field };
    let text = structured_data(rest)?.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let time_ms = clock.read(stamp, arrived_ms).map(|stamp| stamp.time_ms);
    let head = Head { time_ms, stamp: nil(stamp), host: nil(host), program: nil(program), pid: decimal(pid), text };
    Some(within(head, clock, arrived_ms))
}

/// What follows the structured data: `-`, or elements in brackets with quoted values (RFC 5424, section 6.3).
fn structured_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Some(rest);
    }
    let (mut quoted, mut at) = (false, 0);
    while let Some(&octet) = text.get(at) {
        match octet {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b']' if !quoted && text.get(at + 1) != Some(&b'[') => return text.get(at + 1..),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A decimal number, nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut number = 0_u32;
    for &octet in text {
        if !octet.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u32::from(octet - b'0'))?;
    }
    Some(number)
}

/// Seconds since 1970 with or without a fraction, as text; `per_s` is the unit's number in a second. In milliseconds.
fn epoch(text: &[u8], per_s: i64) -> Option<i64> {
    let point = memchr::memchr(b'.', text).unwrap_or(text.len());
    let whole = std::str::from_utf8(&text[..point]).ok()?.parse::<i64>().ok()?;
    let mut ms = 0;
    let mut scale = 100;
    for digit in text.get(point + 1..).unwrap_or_default().iter().take(3) {
        if !digit.is_ascii_digit() {
            return None;
        }
        ms += i64::from(digit - b'0') * scale;
        scale /= 10;
    }
    if per_s == 1 { whole.checked_mul(1000)?.checked_add(ms) } else { Some(whole / (per_s / 1000)) }
}

/// Octets as text, with what is not UTF-8 replaced.
pub(super) fn lossy(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}

#[cfg(test)]
mod tests;
