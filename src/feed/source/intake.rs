//! Bodies of `POST /v1/logs`: JSON objects one after the other, an array of them, or plain lines; and whose they are.
//!
//! Field names are those of Vector, Fluent Bit, rsyslog, Filebeat and the journal. An object that names a program becomes a line with a head;
//! one that does not holds a line as its file had it, which is kept as it is. An object without any message is kept too: it may be a session
//! as JSON.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use jiff::tz::TimeZone;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::again::{BatchId, Taken};
use super::normal::{self, Parts};
use crate::feed::run::status::{Drop, InputStatus};
use crate::feed::spool::{Spool, SpoolError, Synced};
use crate::sys::clock;

/// Names of the message.
const MESSAGE: [&str; 4] = ["message", "msg", "log", "MESSAGE"];
/// Names of the host.
const HOST: [&str; 3] = ["host", "hostname", "_HOSTNAME"];
/// Names of the program; `syslogtag` comes first, since rsyslog cuts the others at a slash.
const PROGRAM: [&str; 6] = ["syslogtag", "appname", "programname", "SYSLOG_IDENTIFIER", "ident", "app_name"];
/// Names of the process id.
const PID: [&str; 4] = ["procid", "_PID", "SYSLOG_PID", "pid"];
/// Names of the time.
const TIME: [&str; 6] = ["timestamp", "@timestamp", "__REALTIME_TIMESTAMP", "timereported", "date", "time"];

/// One `http` source.
#[derive(Debug, Clone)]
pub struct HttpSource {
    /// Its name, as in `?source=`.
    pub name: Box<str>,
    /// SHA-256 of its token; `None` where none is wanted.
    pub token: Option<[u8; 32]>,
    /// Octets of a body, also after unpacking.
    pub body_octets_max: usize,
    /// The zone of stamps that have none.
    pub time_zone: TimeZone,
    /// Where lines go.
    pub spool: Spool,
    /// What is counted.
    pub status: Arc<InputStatus>,
    /// The batches taken last, which may come again.
    pub taken: Taken,
}

/// What became of a body.
#[derive(Debug)]
pub struct Accepted {
    /// Lines in it.
    pub lines: u64,
    /// Tells when they are safe; `None` where there is nothing to wait for.
    pub told: Option<Synced>,
    /// What [`Taken`] is to remember it by once they are.
    pub id: BatchId,
}

/// All `http` sources.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// In the order of the settings.
    pub sources: Vec<HttpSource>,
}

/// Why a body was not taken; says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// 401.
    #[error("no source takes this token; send `Authorization: Bearer` with the content of a source's `token-file`")]
    Unauthorized,
    /// 400.
    #[error("{0}")]
    Malformed(String),
    /// 413.
    #[error("the body has more than {0} octets; send smaller batches, or raise `body-octets-max`")]
    TooLarge(usize),
    /// 415.
    #[error("Content-Encoding `{0}` is not understood; send gzip or none")]
    Encoding(String),
    /// 503.
    #[error("{0}")]
    Unavailable(#[from] SpoolError),
}

/// What a token is known by.
pub fn token_hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token.trim_ascii()).into()
}

/// Are they the same, in a time that does not tell where they differ?
pub fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

impl Intake {
    /// The source that a request is for: by token, and by name where several take it. Errors: 401, 400.
    pub fn source(&self, token: Option<&[u8]>, name: Option<&str>) -> Result<&HttpSource, IntakeError> {
        let given = token.map(token_hash);
        let fit: Vec<&HttpSource> = self
            .sources
            .iter()
            .filter(|source| match (&source.token, &given) {
                (None, _) => true,
                (Some(wanted), Some(given)) => same(wanted, given),
                (Some(_), None) => false,
            })
            .collect();
        match (fit.as_slice(), name) {
            ([], _) => Err(IntakeError::Unauthorized),
            (_, Some(name)) => fit.into_iter().find(|source| *source.name == *name).ok_or_else(|| {
                IntakeError::Malformed(format!(
                    "no source `{name}` takes this token; `source` is the `name` of a [[feed.source]]"
                ))
            }),
            ([one], None) => Ok(one),
            (_, None) => {
                let why = "several sources take this; say which one by `?source=` and its `name`";
                Err(IntakeError::Malformed(why.to_owned()))
            }
        }
    }
}

impl HttpSource {
    /// Take a body: its lines are handed to the spool, and safe when the receiver says so. One that was taken before is not
    /// taken again.
    ///
    /// Not for async code where bodies are large. Errors: 400, 413, 415, 503.
    pub fn take(&self, body: &[u8], encoding: Option<&str>, plain: bool) -> Result<Accepted, IntakeError> {
        let id = Taken::id(body);
        let unpacked;
        let body = match encoding.map(str::trim) {
            None | Some("" | "identity") => body,
            Some(gzip) if gzip.eq_ignore_ascii_case("gzip") || gzip.eq_ignore_ascii_case("x-gzip") => {
                unpacked = self.unpack(body)?;
                &unpacked
            }
            Some(other) => return Err(IntakeError::Encoding(other.chars().take(40).collect())),
        };
        let mut lines = Vec::with_capacity(body.len() + body.len() / 4);
        let arrived_us = (clock::now_f64() * 1e6) as i64;
        let made = lines_of(body, plain, arrived_us, &self.time_zone, &mut lines);
        made.map_err(|why| {
            self.status.dropped(Drop::Malformed, 1);
            IntakeError::Malformed(why)
        })?;
        let count = memchr::memchr_iter(b'\n', &lines).count() as u64;
        let told = if lines.is_empty() || self.taken.knows(&id) { None } else { Some(self.spool.append(lines)?) };
        Ok(Accepted { lines: count, told, id })
    }

    /// Unpack a body. Errors: 400, 413.
    fn unpack(&self, body: &[u8]) -> Result<Vec<u8>, IntakeError> {
        let mut unpacked = Vec::new();
        let read = MultiGzDecoder::new(body).take(self.body_octets_max as u64 + 1).read_to_end(&mut unpacked);
        read.map_err(|error| IntakeError::Malformed(format!("the body is no gzip: {error}")))?;
        if unpacked.len() > self.body_octets_max {
            return Err(IntakeError::TooLarge(self.body_octets_max));
        }
        Ok(unpacked)
    }
}

/// The lines of a body. Errors: JSON that is none, with its place.
fn lines_of(body: &[u8], plain: bool, arrived_us: i64, zone: &TimeZone, out: &mut Vec<u8>) -> Result<(), String> {
    let text = body.trim_ascii();
    let no_json = |error: serde_json::Error| format!("the body is no valid JSON: {error}");
    match text.first() {
        Some(b'[') if !plain => {
            let objects: Vec<Value> = serde_json::from_slice(text).map_err(no_json)?;
            objects.iter().try_for_each(|object| line_of(object, arrived_us, zone, out))
        }
        Some(b'{') => {
            for object in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
                line_of(&object.map_err(no_json)?, arrived_us, zone, out)?;
            }
            Ok(())
        }
        _ => {
            for line in text.split(|&octet| octet == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                if normal::split_priority(line).is_some() {
                    normal::syslog(line, "-", arrived_us, zone, out);
                } else {
                    normal::write_text(line, out);
                }
            }
            Ok(())
        }
    }
}

/// The line of one object. Errors: it is none.
fn line_of(value: &Value, arrived_us: i64, zone: &TimeZone, out: &mut Vec<u8>) -> Result<(), String> {
    let object = match value {
        Value::Object(object) => object,
        Value::String(line) => {
            normal::write_text(line.as_bytes(), out);
            return Ok(());
        }
        other => return Err(format!("expected JSON objects, but there is {}", kind_of(other))),
    };
    let first = |names: &[&str]| names.iter().find_map(|name| object.get(*name).and_then(text_of)).unwrap_or_default();
    let text = first(&MESSAGE);
    if text.is_empty() {
        if MESSAGE.iter().any(|name| object.contains_key(*name)) {
            return Ok(());
        }
        // A session as JSON; written by serde_json, so without line feeds.
        out.extend_from_slice(value.to_string().as_bytes());
        out.push(b'\n');
        return Ok(());
    }
    let tag = first(&PROGRAM);
    if tag.is_empty() {
        if normal::split_priority(&text).is_some() {
            normal::syslog(&text, "-", arrived_us, zone, out);
        } else {
            normal::write_text(&text, out);
        }
        return Ok(());
    }
    let (program, tag_pid) = split_tag(&tag);
    let pid = first(&PID);
    let host = object.get("host").and_then(|host| host.get("name")).and_then(text_of).unwrap_or_else(|| first(&HOST));
    let time_us = TIME.iter().find_map(|name| time_of(object.get(*name)?, arrived_us, zone)).unwrap_or(arrived_us);
    let pid = if pid.is_empty() || pid == b"-" { tag_pid } else { &pid };
    Parts { time_us, host: &host, program, pid, text: &text }.write(out);
    Ok(())
}

/// What a JSON value is.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value's text: the journal has an array of octets where a message is not UTF-8.
pub fn text_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Array(octets) => octets.iter().map(|n| u8::try_from(n.as_u64()?).ok()).collect(),
        _ => None,
    }
}

/// Program and process id of a tag: `postfix/smtpd[18732]:`.
pub fn split_tag(tag: &[u8]) -> (&[u8], &[u8]) {
    let tag = tag.strip_suffix(b":").unwrap_or(tag);
    match (memchr::memrchr(b'[', tag), tag.strip_suffix(b"]")) {
        (Some(open), Some(inner)) => (&tag[..open], &inner[open + 1..]),
        _ => (tag, &[]),
    }
}

/// A time, in microseconds since 1970: RFC 3339, RFC 3164, or a number of seconds, milliseconds, microseconds or nanoseconds, told apart by size.
fn time_of(value: &Value, arrived_us: i64, zone: &TimeZone) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => match text.parse::<f64>() {
            Ok(number) => number,
            Err(_) => {
                let text = format!("{text} ");
                return normal::stamp(text.as_bytes(), arrived_us, zone).map(|(time_us, _)| time_us);
            }
        },
        _ => return None,
    };
    // 1e11 s is the year 5138, 1e11 ms is 1973.
    let to_us = match number {
        n if n < 1e9 => return None,
        n if n < 1e11 => 1e6,
        n if n < 1e14 => 1e3,
        n if n < 1e17 => 1.0,
        _ => 1e-3,
    };
    Some((number * to_us).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a body that arrives at 2026-11-21T20:00:00Z.
    fn lines(body: &str, plain: bool) -> Result<String, String> {
        let mut out = Vec::new();
        lines_of(body.as_bytes(), plain, 1_795_291_200_000_000, &TimeZone::UTC, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn shippers_as_they_are() {
        let expected = "2026-11-21T19:46:05.410346+00:00 mx postfix/smtpd[18732]: connect from a[127.0.0.11]\n";
        for body in [
            // rsyslog
            r#"{"timestamp":"2026-11-21T19:46:05.410346+00:00","host":"mx","appname":"postfix","procid":"18732","syslogtag":"postfix\/smtpd[18732]:","severity":"info","message":" connect from a[127.0.0.11]"}"#,
            // Vector's syslog source
            r#"[{"appname":"postfix/smtpd","facility":"mail","host":"10.0.0.1","hostname":"mx","message":"connect from a[127.0.0.11]","procid":18732,"timestamp":"2026-11-21T19:46:05.410346Z"}]"#.replace("\"host\":\"10.0.0.1\",", "").as_str(),
            // Fluent Bit with its syslog parser
            r#"[{"date":1795290365.410346,"pri":"22","host":"mx","ident":"postfix/smtpd","pid":"18732","message":"connect from a[127.0.0.11]"}]"#,
            // The journal
            r#"{"__REALTIME_TIMESTAMP":"1795290365410346","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"18732","MESSAGE":"connect from a[127.0.0.11]"}"#,
            // Filebeat
            r#"{"@timestamp":"2026-11-21T19:46:05.410346Z","host":{"name":"mx"},"programname":"postfix/smtpd","procid":"18732","msg":"connect from a[127.0.0.11]"}"#,
        ] {
            assert_eq!(lines(body, false).as_deref(), Ok(expected), "{body}");
        }
    }

    #[test]
    fn lines_of_files_stay_as_they_are() {
        let line = "Nov 21 19:46:05 mx postfix/smtpd[18732]: connect from a[127.0.0.11]";
        let object = format!(
            r#"{{"file":"/var/log/mail.log","host":"shipper","message":"{line}","timestamp":"2026-11-21T19:46:06Z"}}"#
        );
        for (body, plain, expected) in [
            (format!("{line}\r\n\n{line}"), false, format!("{line}\n{line}\n")),
            (format!("[x] {line}"), true, format!("[x] {line}\n")),
            (object.clone(), false, format!("{line}\n")),
            (format!("{object}\n{object}\n"), false, format!("{line}\n{line}\n")),
            (format!("{object}{object}"), false, format!("{line}\n{line}\n")),
            (format!("[{object},{object}]"), true, format!("[{object},{object}]\n")),
            ("[\"a\\nb\",\"c\"]".to_owned(), false, "a#012b\nc\n".to_owned()),
            (String::new(), false, String::new()),
            (r#"{"message":""}"#.to_owned(), false, String::new()),
            (
                r#"{ "v": 1, "client": {"ip": "192.0.2.1"} }"#.to_owned(),
                false,
                "{\"client\":{\"ip\":\"192.0.2.1\"},\"v\":1}\n".to_owned(),
            ),
            (
                "<22>1 2026-11-21T19:46:05Z mx a 1 - - b".to_owned(),
                false,
                "2026-11-21T19:46:05.000000+00:00 mx a[1]: b\n".to_owned(),
            ),
        ] {
            assert_eq!(lines(&body, plain), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_is_no_json_is_told() {
        for (body, word) in [("{\"a\":", "EOF"), ("[1]", "a number"), ("[{}", "EOF"), ("{} x", "expected value")] {
            assert!(lines(body, false).unwrap_err().contains(word), "{body}: {:?}", lines(body, false));
        }
    }

    #[test]
    fn tags() {
        for (tag, program, pid) in [
            ("postfix/smtpd[18732]:", "postfix/smtpd", "18732"),
            ("exim:", "exim", ""),
            ("a[b", "a[b", ""),
            ("[1]", "", "1"),
        ] {
            assert_eq!(split_tag(tag.as_bytes()), (program.as_bytes(), pid.as_bytes()), "{tag}");
        }
    }
}
