//! Mail servers' logs, made as they are read: thousands of clients at once, from a seed.
//!
//! Half of the clients send mail, the others call back: to an address that exists, to one that does not, or first to one that does not and then to
//! one that does (the "double whammy"). Each line is checked to have the shape of one in `tests/logs`, which real servers wrote.

mod exim;
mod postfix;

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::suite::fail;

/// Clients at a time: processes of the server.
pub const CLIENTS: usize = 4000;
/// The seed.
const SEED: u64 = 0x0009_5eed_0000_0004;
/// Lines a second of the log's time.
const LINES_A_SECOND: u64 = 2000;
/// Addresses of each class of clients, where they have their own.
const HOSTS: u64 = 250;
/// Domains that the server takes mail for: hosts that ask about one domain alone are not listed.
const DOMAINS: u64 = 97;
/// What clients do, by number of their script.
pub const CLASSES: [&str; 5] = ["mail", "known", "unknown", "double", "mistyped"];
/// Of ten clients without a class for themselves, these scripts.
const TEN: [usize; 10] = [0, 0, 0, 0, 0, 1, 1, 2, 2, 3];
/// The same where mail with a mistyped recipient is among them: an innocent with a refusal.
const TEN_LABELLED: [usize; 10] = [0, 0, 0, 0, 4, 1, 1, 2, 2, 3];
/// Lines whose shape is checked.
const CHECKED: usize = 20_000;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Postfix, as it logs by default.
    Postfix,
    /// Exim, with the log selectors that the manual recommends.
    Exim,
}

impl Server {
    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "postfix" => Some(Self::Postfix),
            "exim" => Some(Self::Exim),
            _ => None,
        }
    }
}

/// What kind of log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Whose.
    pub server: Server,
    /// With garbage in every tenth line.
    pub garbage: bool,
    /// One in so many clients is no ordinary sender; `None` for every other.
    pub abuse_rare: Option<u64>,
    /// Each class of clients has addresses of its own, 198.18.CLASS.0 to .249, so that whoever finds one can be told right or wrong.
    pub labelled: bool,
}

/// A client at work.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its address.
    ip: [u8; 4],
    /// Its script, which is its class.
    script: usize,
    /// How far it is.
    at: usize,
    /// Its number among all, which makes its queue id.
    number: u64,
    /// The process that serves it.
    process: usize,
}

impl Client {
    /// The domain that it asks about.
    fn domain(&self) -> String {
        format!("domain{}.example", self.number % DOMAINS)
    }
}

/// A line of a script, without its stamp.
type LineOf = fn(&Client) -> String;

/// What a server logs for each class of clients.
type Scripts = [&'static [LineOf]; CLASSES.len()];

/// A log that is made as it is read.
pub struct Log {
    /// What kind.
    options: LogOptions,
    /// What the server logs.
    scripts: &'static Scripts,
    /// State of the generator (xorshift).
    state: u64,
    /// The clients, by process.
    clients: Vec<Client>,
    /// Clients so far.
    number: u64,
    /// Lines so far.
    lines: u64,
    /// Sessions that have come to their end, by class.
    pub ended: [u64; CLASSES.len()],
}

impl Log {
    /// The log from its beginning.
    pub fn new(options: LogOptions) -> Self {
        let scripts = match options.server {
            Server::Postfix => &postfix::SCRIPTS,
            Server::Exim => &exim::SCRIPTS,
        };
        let ended = [0; CLASSES.len()];
        let mut log = Self { options, scripts, state: SEED, clients: Vec::new(), number: 0, lines: 0, ended };
        for process in 0..CLIENTS {
            let client = log.arrive(process);
            log.clients.push(client);
        }
        log
    }

    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % n
    }

    /// The next client of a process.
    fn arrive(&mut self, process: usize) -> Client {
        self.number += 1;
        let mut ip = [198, 18 + self.below(2) as u8, self.below(256) as u8, self.below(256) as u8];
        let ordinary = self.options.abuse_rare.is_some_and(|rare| self.below(rare) > 0);
        let ten = if self.options.labelled { TEN_LABELLED } else { TEN };
        let script = if ordinary { 0 } else { ten[self.below(10) as usize] };
        if self.options.labelled {
            ip = [198, 18, script as u8, self.below(HOSTS) as u8];
        }
        Client { ip, script, at: 0, number: self.number, process }
    }

    /// Adds the next line.
    pub fn line(&mut self, out: &mut Vec<u8>) {
        self.lines += 1;
        let s = self.lines / LINES_A_SECOND;
        let (day, hour, minute, second) = (1 + s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
        let stamp = match self.options.server {
            Server::Postfix => format!("Nov {day:2} {hour:02}:{minute:02}:{second:02} mx "),
            Server::Exim => format!("2026-11-{day:02} {hour:02}:{minute:02}:{second:02} +0000 "),
        };
        if self.options.garbage && self.lines.is_multiple_of(10) {
            self.garbage(&stamp, out).unwrap_or_else(|error| fail(&format!("the log can not be made: {error}")));
            return;
        }
        let process = self.below(CLIENTS as u64) as usize;
        let client = self.clients[process];
        let script = self.scripts[client.script];
        out.extend_from_slice(stamp.as_bytes());
        out.extend_from_slice(script[client.at](&client).as_bytes());
        out.push(b'\n');
        self.clients[process].at += 1;
        if client.at + 1 == script.len() {
            self.ended[client.script] += 1;
            self.clients[process] = self.arrive(process);
        }
    }

    /// Adds a line that is none of the server's.
    fn garbage(&mut self, stamp: &str, out: &mut Vec<u8>) -> io::Result<()> {
        let (kind, noise) = (self.below(4), self.below(u64::MAX));
        match kind {
            0 => writeln!(out, "\u{fffd}{noise:x}\0 garbage {noise}"),
            1 => writeln!(out, "{stamp}postfix/smtpd[99]: NOQUEUE: reject: RCPT from <{noise:x}"),
            2 => writeln!(out, "{stamp}kernel: [{noise}] oom"),
            _ => writeln!(out, "{stamp}postfix/smtpd[{noise}]: {noise:x}: from=<<<\"> to=<> to=<> to=<"),
        }
    }
}

/// What is the same in all lines of a kind: numbers, names, addresses and ids become `x`, spaces one space.
fn shape(line: &str) -> String {
    let in_run = |c: char| c.is_alphanumeric() || ".@_-".contains(c);
    let (mut shape, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        if in_run(first) {
            let end = rest.find(|c| !in_run(c)).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(end);
            shape += if run.contains(|c: char| c.is_ascii_digit() || ".@".contains(c)) { "x" } else { run };
            rest = tail;
        } else {
            if !(first == ' ' && shape.ends_with(' ')) {
                shape.push(first);
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    shape
}

/// Check that lines look like those that the real server wrote; ends the program where one does not.
pub fn check_shapes(server: Server) {
    let real = match server {
        Server::Postfix => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/postfix-3.7-default/_all.log"))
        }
        Server::Exim => include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/exim-4.96-recommended/_all.log")),
    };
    let known: BTreeSet<String> = real.lines().map(shape).collect();
    let mut log = Log::new(LogOptions { server, garbage: false, abuse_rare: None, labelled: true });
    let mut text = Vec::new();
    (0..CHECKED).for_each(|_| log.line(&mut text));
    for line in String::from_utf8_lossy(&text).lines() {
        if !known.contains(&shape(line)) {
            fail(&format!("{server:?} never wrote a line like this one in tests/logs: {line}"));
        }
    }
}

/// Write a log with labelled clients, and print how many sessions of each class have ended in it.
pub fn write(server: Server, lines: usize, path: &Path) -> io::Result<()> {
    check_shapes(server);
    let mut log = Log::new(LogOptions { server, garbage: false, abuse_rare: None, labelled: true });
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let mut text = Vec::new();
    for _ in 0..lines {
        log.line(&mut text);
        out.write_all(&text)?;
        text.clear();
    }
    out.flush()?;
    CLASSES.iter().zip(log.ended).for_each(|(class, ended)| println!("{class} {ended}"));
    Ok(())
}
