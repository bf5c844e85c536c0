//! JSON lines of log shippers: rsyslog, journald, Vector, Fluent Bit, Filebeat.
//!
//! Each names the same few things in its own way. The message may itself be a whole syslog line, when the shipper only followed a file.

use serde_json::{Map, Value};

use super::{Head, decimal, epoch, head, lossy, tag, within};
use crate::feed::time::Clock;

/// Names of the message, best first.
const MESSAGE: [&str; 4] = ["message", "msg", "log", "MESSAGE"];

/// Names of the host.
const HOST: [&str; 3] = ["host", "hostname", "_HOSTNAME"];

/// Names of the program; the tag has the process id as well, and is not cut.
const PROGRAM: [&str; 5] = ["syslogtag", "appname", "programname", "SYSLOG_IDENTIFIER", "ident"];

/// Names of the process id.
const PID: [&str; 4] = ["procid", "_PID", "SYSLOG_PID", "pid"];

/// Names of the time, as text or as a number of seconds.
const TIME: [&str; 4] = ["timestamp", "@timestamp", "time", "date"];

/// journald's time, in microseconds.
const TIME_US: &str = "__REALTIME_TIMESTAMP";

/// The fields of a line.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The message.
    message: Vec<u8>,
    /// The host.
    host: String,
    /// The program, or the tag.
    program: String,
    /// The process id.
    pid: Option<u32>,
    /// The time as written.
    stamp: String,
    /// Is the time in microseconds.
    microseconds: bool,
}

impl Fields {
    /// Reads a line. `false` when it is no object with a message.
    pub(super) fn read(&mut self, line: &[u8]) -> bool {
        let Ok(object) = serde_json::from_str::<Map<String, Value>>(&lossy(line)) else { return false };
        let Some(message) = MESSAGE.iter().find_map(|name| octets(object.get(*name)?)) else { return false };
        self.message = message;
        self.host = find(&object, &HOST);
        self.program = find(&object, &PROGRAM);
        self.pid = PID.iter().find_map(|name| decimal(text(object.get(*name)?)?.as_bytes()));
        self.stamp = find(&object, &TIME);
        self.microseconds = false;
        if let (true, Some(time)) = (self.stamp.is_empty(), object.get(TIME_US)) {
            self.stamp = text(time).unwrap_or_default();
            self.microseconds = true;
        }
        true
    }

    /// The head that the fields make up.
    pub(super) fn head(&self, clock: &mut Clock, arrived_ms: i64) -> Option<Head<'_>> {
        let message = self.message.trim_ascii();
        let stamp = self.stamp.as_bytes();
        let time_ms = if self.microseconds {
            epoch(stamp, 1_000_000)
        } else {
            clock.read(stamp, arrived_ms).map(|stamp| stamp.time_ms).or_else(|| epoch(stamp, 1))
        };
        let outer = Head { time_ms, stamp, host: self.host.as_bytes(), program: b"", pid: self.pid, text: message };
        let program = self.program.trim_end_matches([':', ' ']);
        let Some((program, pid)) = tag(program.as_bytes()) else {
            // A shipper that only followed a file: the message has the head.
            let inner = head(message, clock, arrived_ms)?;
            let host = if inner.host.is_empty() { outer.host } else { inner.host };
            return Some(Head { host, time_ms: inner.time_ms.or(time_ms), ..inner });
        };
        Some(within(Head { program, pid: pid.or(self.pid), ..outer }, clock, arrived_ms))
    }
}

/// The first of these fields that has a text.
fn find(object: &Map<String, Value>, names: &[&str]) -> String {
    names.iter().find_map(|name| text(object.get(*name)?)).unwrap_or_default()
}

/// A field's text: a string, a number, or the name within an object (Filebeat's `host`).
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(object) => text(object.get("name").or_else(|| object.get("hostname"))?),
        _ => None,
    }
}

/// A message: a string, or journald's array of octets for what is not UTF-8.
fn octets(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(octets) => octets.iter().map(|octet| u8::try_from(octet.as_u64()?).ok()).collect(),
        _ => None,
    }
}
