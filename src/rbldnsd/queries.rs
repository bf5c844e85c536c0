//! The query log: a line for each answer, `EPOCH CLIENT QNAME TYPE CLASS: RCODE/ANCOUNT/BYTES`.
//!
//! A thread of its own takes what the workers left and writes it. They never wait for it: what there is no room for
//! is lost, and counted, and said.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::options::Target;
use super::sockets::plain;
use super::text::Text;
use crate::serve::query_log::{QueryLog, Record};
use crate::sys::clock;

/// Pause when there is nothing to write.
const PAUSE: Duration = Duration::from_millis(20);
/// Octets that are written at once when lines are gathered.
const GATHER_OCTETS: usize = 64 * 1024;
/// Longest time that lines are gathered: whoever follows the file should not wait for a quiet list's next query.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// Time between two reports of lost lines.
const LOST_TIME: Duration = Duration::from_secs(10);
/// The name that means standard output.
const STDOUT: &str = "-";

/// Types with their names, in the order of their numbers from 0.
const TYPES: [&str; 42] = [
    "INVALID", "A", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "WKS", "PTR", "HINFO", "MINFO", "MX",
    "TXT", "RP", "AFSDB", "X25", "ISDN", "RT", "NSAP", "NSAP_PTR", "SIG", "KEY", "PX", "GPOS", "AAAA", "LOC", "NXT",
    "EID", "NIMLOC", "SRV", "ATMA", "NAPTR", "KX", "CERT", "A6", "DNAME", "SINK", "OPT",
];
/// The same from 250 on.
const META_TYPES: [&str; 7] = ["TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY", "ZXFR"];
/// The number of the first of those.
const META_TYPE_FIRST: u16 = 250;
/// Response codes with their names, in the order of their numbers.
const RCODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMPL", "REFUSED"];

/// The line of a record.
fn line(record: &Record, out: &mut String) {
    // Writing to a String can not fail.
    let _ = write!(out, "{} {} ", record.time_s, record.client);
    name(record.labels(), out);
    match (record.qtype(), META_TYPES.get(usize::from(record.qtype().wrapping_sub(META_TYPE_FIRST)))) {
        (qtype, None) => match TYPES.get(usize::from(qtype)) {
            Some(known) => write!(out, " {known} "),
            None => write!(out, " type{qtype} "),
        },
        (_, Some(known)) => write!(out, " {known} "),
    }
    .unwrap_or_default();
    match record.qclass() {
        0 => out.push_str("INVALID"),
        1 => out.push_str("IN"),
        3 => out.push_str("CH"),
        4 => out.push_str("HS"),
        255 => out.push_str("ANY"),
        other => write!(out, "class{other}").unwrap_or_default(),
    }
    match RCODES.get(usize::from(record.rcode)) {
        Some(known) => write!(out, ": {known}"),
        None => write!(out, ": code{}", record.rcode),
    }
    .unwrap_or_default();
    let _ = writeln!(out, "/{}/{}", record.answers, record.octets);
}

/// A name in master-file form, in the letters that the client used.
fn name(mut labels: &[u8], out: &mut String) {
    if labels.is_empty() {
        out.push('.');
    }
    let mut first = true;
    while let Some((&len, rest)) = labels.split_first() {
        let (label, rest) = rest.split_at(usize::from(len).min(rest.len()));
        labels = rest;
        if !std::mem::replace(&mut first, false) {
            out.push('.');
        }
        for &octet in label {
            match octet {
                b'.' | b'"' | b'$' | b'@' | b';' | b'\\' => {
                    out.push('\\');
                    out.push(octet.into());
                }
                0x21..=0x7e => out.push(octet.into()),
                _ => write!(out, "\\{octet:03}").unwrap_or_default(),
            }
        }
    }
}

/// What the writer is told from elsewhere.
#[derive(Debug, Default)]
struct Wishes {
    /// To open the file anew.
    reopen: AtomicBool,
    /// To write what there is and end.
    stop: AtomicBool,
}

/// The running writer.
#[derive(Debug)]
pub struct QueryWriter {
    /// What it is told.
    wishes: Arc<Wishes>,
    /// Its thread.
    thread: JoinHandle<()>,
}

impl QueryWriter {
    /// Start to write what workers hand to `log`. A file that can not be opened is said and tried again when it is to
    /// be opened anew. Errors: no further thread.
    pub fn start(log: QueryLog, target: Target, text: Text) -> io::Result<Self> {
        let wishes = Arc::<Wishes>::default();
        let mut writer = Writer {
            log,
            target,
            text,
            out: None,
            gathered: String::new(),
            gathered_at: Duration::ZERO,
            lost_told: 0,
            lost_told_at: Duration::ZERO,
        };
        writer.open();
        let told = Arc::clone(&wishes);
        let thread = thread::Builder::new().name("query-log".to_owned()).spawn(move || writer.run(&told))?;
        Ok(Self { wishes, thread })
    }

    /// Write what there is and open the file anew (SIGHUP), so that it can be rotated.
    pub fn reopen(&self) {
        self.wishes.reopen.store(true, Relaxed);
        self.thread.thread().unpark();
    }

    /// Write what is left, and end.
    pub fn stop(self) {
        self.wishes.stop.store(true, Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the query log's writer had died");
        }
    }
}

/// The thread's own things.
struct Writer {
    /// Where records come from.
    log: QueryLog,
    /// Where lines go.
    target: Target,
    /// Where complaints go.
    text: Text,
    /// The open file; `None` when it could not be opened.
    out: Option<Box<dyn Write + Send>>,
    /// Lines not yet written.
    gathered: String,
    /// When the first of them came, monotonic.
    gathered_at: Duration,
    /// Lost records that were told of.
    lost_told: u64,
    /// When that was, monotonic.
    lost_told_at: Duration,
}

impl Writer {
    /// Write until told to stop.
    fn run(mut self, wishes: &Wishes) {
        loop {
            // Asked first: what came before the wish is still taken.
            let (stop, reopen) = (wishes.stop.load(Relaxed), wishes.reopen.swap(false, Relaxed));
            let mut taken = self.turn();
            while stop && taken > 0 {
                taken = self.turn();
            }
            let old = clock::monotonic().saturating_sub(self.gathered_at) >= GATHER_TIME;
            if self.target.plus || stop || reopen || old || self.gathered.len() >= GATHER_OCTETS {
                self.flush();
            }
            self.tell_lost(stop);
            if stop {
                return;
            }
            if reopen && self.target.path.as_os_str() != STDOUT {
                self.open();
            }
            if taken == 0 {
                thread::park_timeout(PAUSE);
            }
        }
    }

    /// Take what the workers left; returns how many records that were.
    fn turn(&mut self) -> usize {
        if self.gathered.is_empty() {
            self.gathered_at = clock::monotonic();
        }
        let gathered = &mut self.gathered;
        let mut full = String::new();
        let out = &mut self.out;
        let mut failed = None;
        let taken = self.log.drain(|record| {
            line(record, gathered);
            if gathered.len() >= GATHER_OCTETS {
                std::mem::swap(gathered, &mut full);
                failed = write(out, &full).err().or(failed.take());
                full.clear();
            }
        });
        if let Some(error) = failed {
            self.complain(&error);
        }
        taken
    }

    /// Write what is gathered.
    fn flush(&mut self) {
        if let Err(error) = write(&mut self.out, &self.gathered) {
            self.complain(&error);
        }
        self.gathered.clear();
    }

    /// The file can not be written to: leave it until it is opened anew.
    fn complain(&mut self, error: &io::Error) {
        self.out = None;
        self.text.error(&format!("error writing logfile `{}': {}", self.target.path.display(), plain(error)));
    }

    /// Open the file.
    fn open(&mut self) {
        let path = &self.target.path;
        if path.as_os_str() == STDOUT {
            self.out = Some(Box::new(io::stdout()));
            return;
        }
        // What is open stays so until the new one is.
        match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => self.out = Some(Box::new(file)),
            Err(error) => {
                self.out = None;
                self.text.error(&format!("error (re)opening logfile `{}': {}", path.display(), plain(&error)));
            }
        }
    }

    /// Say now and then how many records were lost.
    fn tell_lost(&mut self, at_once: bool) {
        let (lost, now) = (self.log.lost(), clock::monotonic());
        if lost > self.lost_told && (at_once || now.saturating_sub(self.lost_told_at) >= LOST_TIME) {
            let more = lost - self.lost_told;
            self.text.warn(&format!("query log: {more} lines lost, as queries came faster than they could be written"));
            (self.lost_told, self.lost_told_at) = (lost, now);
        }
    }
}

/// Write lines, if there is a file.
fn write(out: &mut Option<Box<dyn Write + Send>>, lines: &str) -> io::Result<()> {
    match out {
        Some(out) if !lines.is_empty() => out.write_all(lines.as_bytes()).and_then(|()| out.flush()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of a reply.
    fn line_of(name: &[u8], qtype: u16, qclass: u16, rcode: u16) -> String {
        let mut reply = vec![0, 0, 0x81, rcode as u8, 0, 1, 0, 1, 0, 0, 0, 0];
        reply.extend(name);
        reply.extend(qtype.to_be_bytes());
        reply.extend(qclass.to_be_bytes());
        let log = QueryLog::default();
        log.sink().push(1_795_288_727, "127.0.0.1".parse().unwrap(), rcode, &reply);
        let mut text = String::new();
        log.drain(|record| line(record, &mut text));
        text
    }

    #[test]
    fn lines() {
        // As rbldnsd wrote them, but for the length of the reply.
        for (name, qtype, qclass, rcode, expected) in [
            (&b"\x014\x02bL\0"[..], 1, 1, 0, "4.bL A IN: NOERROR/1/22"),
            (b"\0", 257, 1, 4, ". type257 IN: NOTIMPL/1/17"),
            (b"\x06a\\b c.\x01x\0", 0, 255, 3, "a\\\\b\\032c\\..x INVALID ANY: NXDOMAIN/1/26"),
            (b"\x08\"\xff\x01;$@(~\0", 252, 3, 5, "\\\"\\255\\001\\;\\$\\@(~ AXFR CH: REFUSED/1/26"),
            (b"\x01x\0", 41, 4, 2, "x OPT HS: SERVFAIL/1/19"),
            (b"\x01x\0", 42, 0, 1, "x type42 INVALID: FORMERR/1/19"),
            (b"\x01x\0", 256, 254, 16, "x ZXFR class254: code16/1/19"),
            (b"\x01x\0", 249, 1, 0, "x type249 IN: NOERROR/1/19"),
        ] {
            assert_eq!(line_of(name, qtype, qclass, rcode), format!("1795288727 127.0.0.1 {expected}\n"));
        }
    }

    #[test]
    fn the_file_has_every_line_and_can_be_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (log, text) = (QueryLog::default(), Text::foreground());
        let sink = log.sink();
        let target = Target { path: path.clone(), plus: true };
        let writer = QueryWriter::start(log, target, text).unwrap();
        let reply = b"\0\0\x81\0\0\x01\0\0\0\0\0\0\x01x\0\0\x01\0\x01";
        let ask = |count| (0..count).for_each(|_| sink.push(1, "::1".parse().unwrap(), 0, reply));
        let wait = |lines: usize| {
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while std::fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < lines {
                assert!(std::time::Instant::now() < deadline);
                thread::sleep(Duration::from_millis(5));
            }
        };
        ask(3);
        wait(3);
        let moved = dir.path().join("log.1");
        std::fs::rename(&path, &moved).unwrap();
        writer.reopen();
        wait(0);
        while !path.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        ask(2);
        writer.stop();
        let expected = "1 ::1 x A IN: NOERROR/0/19\n";
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), expected.repeat(3));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected.repeat(2));
    }
}
