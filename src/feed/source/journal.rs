//! systemd's journal, by its own reader: a child `journalctl --follow --output=json`, started again after its cursor when it ends.
//!
//! Only entries with the unit and user that the settings name are asked for: those fields are set by the journal, so no local user can
//! forge lines by `logger`. A cursor is noted at the first entry of each second, so that reading can begin again there.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use serde_json::Value;

use super::intake::text_of;
use super::normal::Parts;
use super::{Lines, Position, Saved, Step, Wake};
use crate::feed::line::Place;
use crate::sys::clock;

/// Entries that may wait between the child and us.
const QUEUE_ENTRIES_MAX: usize = 4096;
/// Entries given at once.
const ENTRIES_MAX: usize = 1024;
/// Cursors kept, one a second of log; beyond them every other one is forgotten, which only makes a restart read more.
const CURSORS_MAX: usize = 4096;
/// First and longest pause before the child is started again.
const RESTART: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The fields that are asked for.
const FIELDS: &str = "MESSAGE,_HOSTNAME,SYSLOG_IDENTIFIER,_COMM,_PID,SYSLOG_PID,_SYSTEMD_UNIT,_UID";

/// What is read.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// The program, `journalctl` as a rule.
    pub program: String,
    /// Units whose entries are read, any of them.
    pub units: Vec<String>,
    /// Users whose entries are read, any of them; none for all.
    pub uids: Vec<u32>,
}

/// Reads the journal.
pub struct JournalReader {
    /// What is read.
    options: JournalOptions,
    /// The input's name, for the log.
    name: Box<str>,
    /// Touched when entries have come.
    wake: Wake,
    /// The child and what it says.
    child: Option<(Child, Receiver<String>)>,
    /// When it may be started again, and the pause after that.
    restart: (Duration, Duration),
    /// The cursor after which it is started.
    cursor: Option<String>,
    /// Entries read.
    entries: u64,
    /// Cursors by the number of entries up to and with theirs, one a second.
    cursors: VecDeque<(u64, String)>,
    /// The second of the last entry.
    second: i64,
    /// The last entry of a former run: its cursor and number.
    replay_until: Option<(String, u64)>,
}

impl JournalReader {
    /// Read the journal from where a former run stopped.
    pub fn new(options: JournalOptions, name: &str, saved: &Saved, wake: Wake) -> Self {
        Self {
            options,
            name: name.into(),
            wake,
            child: None,
            restart: (Duration::ZERO, RESTART.0),
            cursor: saved.cursor.clone(),
            entries: saved.low_water.offset,
            cursors: saved.cursor.iter().map(|cursor| (saved.low_water.offset, cursor.clone())).collect(),
            second: i64::MIN,
            replay_until: saved.read_cursor.clone().map(|cursor| (cursor, saved.read.offset)),
        }
    }

    /// Read on.
    pub fn read(&mut self, lines: &mut Lines) -> Step {
        if self.child.is_none() && clock::monotonic() >= self.restart.0 {
            self.start();
        }
        let mut over = false;
        for _ in 0..ENTRIES_MAX {
            let Some((_, entries)) = &self.child else { break };
            match entries.try_recv() {
                Ok(entry) => self.take(&entry, lines),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    over = true;
                    break;
                }
            }
        }
        if over {
            self.ended();
        }
        if lines.is_empty() { Step::Still } else { Step::Lines }
    }

    /// The cursors at the low-water mark and at the place of reading, and where the former really is.
    pub fn cursors(&self, low_water: Position) -> (Option<String>, Option<String>, Position) {
        let at = self.cursors.partition_point(|(entries, _)| *entries <= low_water.offset);
        let found = at.checked_sub(1).and_then(|at| self.cursors.get(at));
        let (offset, cursor) = found.map_or((0, None), |(entries, cursor)| (*entries, Some(cursor.clone())));
        (cursor, self.cursor.clone(), Position { generation: 0, offset, number: offset })
    }

    /// Cursors before this position are not wanted any more, but for the last.
    pub fn forget_before(&mut self, position: Position) {
        while self.cursors.get(1).is_some_and(|(entries, _)| *entries <= position.offset) {
            self.cursors.pop_front();
        }
    }

    /// Start the child.
    fn start(&mut self) {
        let options = &self.options;
        let mut command = Command::new(&options.program);
        command.args(["--output=json", "--follow", "--no-tail", "--no-pager", "--quiet", "--all"]);
        command.arg(format!("--output-fields={FIELDS}"));
        if let Some(cursor) = &self.cursor {
            command.arg(format!("--after-cursor={cursor}"));
        }
        command.args(options.units.iter().map(|unit| format!("_SYSTEMD_UNIT={unit}")));
        command.args(options.uids.iter().map(|uid| format!("_UID={uid}")));
        match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
            Ok(mut child) => {
                // Piped just above.
                let Some(output) = child.stdout.take() else { return };
                let (sender, entries) = sync_channel(QUEUE_ENTRIES_MAX);
                let wake = self.wake.clone();
                std::thread::spawn(move || {
                    for line in BufReader::new(output).lines().map_while(Result::ok) {
                        if sender.send(line).is_err() {
                            return;
                        }
                        wake.touch();
                    }
                });
                self.child = Some((child, entries));
            }
            Err(error) => {
                tracing::warn!("{}: `{}` can not be started: {error}; tried again", self.name, options.program);
                self.back_off();
            }
        }
    }

    /// The child has ended.
    fn ended(&mut self) {
        if let Some((mut child, _)) = self.child.take() {
            // It closed its output, so it ends at once.
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            tracing::warn!("{}: `{}` ended ({status}); started again", self.name, self.options.program);
        }
        self.back_off();
    }

    /// Wait before the next start, longer each time.
    fn back_off(&mut self) {
        self.restart = (clock::monotonic() + self.restart.1, (self.restart.1 * 2).min(RESTART.1));
    }

    /// Take an entry.
    fn take(&mut self, entry: &str, lines: &mut Lines) {
        let Ok(entry) = serde_json::from_str::<Value>(entry) else {
            tracing::warn!("{}: `{}` wrote a line that is no JSON", self.name, self.options.program);
            return;
        };
        let field = |name: &str| entry.get(name).and_then(text_of).unwrap_or_default();
        let Some(cursor) = entry.get("__CURSOR").and_then(Value::as_str) else { return };
        self.restart.1 = RESTART.0;
        let time_us = String::from_utf8(field("__REALTIME_TIMESTAMP")).ok().and_then(|us| us.parse().ok());
        let time_us: i64 = time_us.unwrap_or((clock::now_f64() * 1e6) as i64);
        let second = time_us.div_euclid(1_000_000);
        // The cursor of the entry before this second's first, so that reading begins with that one.
        if second != self.second
            && let Some(before) = self.cursor.replace(cursor.to_owned())
        {
            self.cursors.push_back((self.entries, before));
        } else {
            self.cursor = Some(cursor.to_owned());
        }
        self.second = second;
        if self.cursors.len() > CURSORS_MAX {
            let mut at = 0;
            self.cursors.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
        let offset = self.entries;
        self.entries += 1;
        // Where the journal has lost entries meanwhile, the count is set right again.
        if self.replay_until.as_ref().is_some_and(|(until, _)| until == cursor)
            && let Some((_, entries)) = self.replay_until.take()
        {
            self.entries = self.entries.max(entries);
        }
        let program = [field("SYSLOG_IDENTIFIER"), field("_COMM")].into_iter().find(|name| !name.is_empty());
        let pid = [field("_PID"), field("SYSLOG_PID")].into_iter().find(|pid| !pid.is_empty());
        let (program, pid, host, text) =
            (program.unwrap_or_default(), pid.unwrap_or_default(), field("_HOSTNAME"), field("MESSAGE"));
        let mut line = Vec::new();
        Parts { time_us, host: &host, program: &program, pid: &pid, text: &text }.write(&mut line);
        line.pop();
        lines.push(&line, Place { offset, end: self.entries, number: self.entries });
    }
}

impl Drop for JournalReader {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.child.take() {
            // It may have ended by itself; that is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
