//! From lines to sessions: Postfix's default log of thousands of clients at once, through an assembler, on one core.
//!
//! The log is generated from a seed in pieces, so that 10 million lines need no room; making them is not timed. What is timed is what the
//! feeder does between a source and the store: head, stamp, parser, assembler, kinds. The second row has garbage in every tenth line.
//! The figure is the thread's processor time, since the target is for one core; what the clock on the wall showed stands beside it.
//!
//! The last row is the whole way: a file on disk, followed by a running feeder, whose store writes events and judges hosts. There one session
//! in a hundred has points, and the others are only counted.

use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dnsbld::feed::ledger::LedgerOptions;
use dnsbld::feed::relation::lookup::ResolverOptions;
use dnsbld::feed::run::judging::JudgingOptions;
use dnsbld::feed::run::start::{Feed, FeedOptions, SourceKind, SourceOptions};
use dnsbld::feed::{Assembler, AssemblerLimits, AssemblerOptions, Format, LogLine, Place, ProbeSenders};
use jiff::tz::TimeZone;

use crate::suite::{Suite, fail};
use crate::table::{Table, Target};

/// The least number of lines a second.
const LINES_PER_S: f64 = 500_000.0;

/// Lines made at a time.
const PIECE: usize = 100_000;

/// Clients at a time: smtpd processes.
const CLIENTS: usize = 4000;

/// The seed of the log.
const SEED: u64 = 0x0009_5eed_0000_0004;

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let lines = suite.sizes.log_lines;
    for (name, garbage) in [("Postfix's default log", false), ("the same, a tenth of it garbage", true)] {
        let found = measure(lines, garbage);
        let per_line_ns = found.processor.as_nanos() as f64 / lines as f64;
        let target = Target { most: 1e9 / LINES_PER_S, text: format!("≥ {} lines/s", LINES_PER_S as u64) };
        let ours = format!(
            "{:.0} lines/s ({per_line_ns:.0} ns a line; by the clock {:.0} lines/s; {} sessions, at most {} open)",
            1e9 / per_line_ns,
            lines as f64 / found.wall.as_secs_f64(),
            found.sessions,
            found.open_max
        );
        table.row(
            &format!("lines to sessions, {lines} lines, {CLIENTS} clients at once: {name}"),
            per_line_ns,
            ours,
            Some(&target),
            None,
        );
    }
    let lines = lines / WITH_STORE;
    let (took, stored) = measure_with_store(lines);
    table.row(
        &format!("lines to the store, {lines} lines, one session in {ABUSE_RARE} with points"),
        took.as_nanos() as f64 / lines as f64,
        format!("{:.0} lines/s by the clock ({stored} events)", lines as f64 / took.as_secs_f64()),
        None,
        None,
    );
}

/// So much shorter is the log that goes to the store.
const WITH_STORE: usize = 10;
/// Of so many sessions one has points in the log that goes to the store.
const ABUSE_RARE: u64 = 100;

/// Lets a feeder follow a log until it has read all of it; gives the time that took and the events in the store.
fn measure_with_store(lines: usize) -> (Duration, u64) {
    let dir = tempfile::tempdir().unwrap_or_else(|error| fail(&format!("no temporary directory: {error}")));
    let path = dir.path().join("mail.log");
    let mut log = Log::new(false, Some(ABUSE_RARE));
    let mut text = Vec::new();
    (0..lines).for_each(|_| log.line(&mut text));
    std::fs::write(&path, &text).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
    let options = FeedOptions {
        state_dir: dir.path().join("state"),
        sources: vec![SourceOptions {
            name: "mail.log".into(),
            format: Format::Postfix,
            time_zone: TimeZone::UTC,
            spool_octets_max: 1 << 20,
            kind: SourceKind::File(path),
        }],
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
        judging: JudgingOptions {
            ledger: LedgerOptions::default(),
            publish: None,
            resolver: ResolverOptions { servers: Vec::new(), cache_answers_max: 1 },
        },
    };
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| fail(&format!("no threads: {error}")));
    let start = Instant::now();
    let feed = Feed::start(&options, None, runtime.handle()).unwrap_or_else(|error| fail(&error.to_string()));
    let status = feed.status();
    let read = || status.inputs[0].state().counts.lines;
    while read() < lines as u64 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Waits until everything is written.
    feed.stop();
    let took = start.elapsed();
    (took, status.store.events.load(Ordering::Relaxed))
}

/// What a run gave.
struct Found {
    /// Processor time in the assembler.
    processor: Duration,
    /// Time by the clock.
    wall: Duration,
    /// Sessions that ended.
    sessions: u64,
    /// The most that were open at one time.
    open_max: u64,
}

/// Runs a log through an assembler.
fn measure(lines: usize, garbage: bool) -> Found {
    let mut assembler = Assembler::new(AssemblerOptions {
        input: "bench".into(),
        format: Format::Postfix,
        time_zone: TimeZone::UTC,
        year: Some(2026),
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
    });
    let mut log = Log::new(garbage, None);
    let (mut piece, mut out) = (Vec::new(), Vec::new());
    let (mut place, mut wall, mut processor, mut left) = (Place::default(), Duration::ZERO, Duration::ZERO, lines);
    while left > 0 {
        piece.clear();
        let count = left.min(PIECE);
        for _ in 0..count {
            log.line(&mut piece);
        }
        left -= count;
        let (start, on_processor) = (Instant::now(), processor_time());
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', &piece) {
            place = Place { offset: place.end, end: place.end + (end + 1 - begin) as u64, number: place.number + 1 };
            assembler.line(&LogLine { place, text: &piece[begin..end], arrived_ms: 0 }, &mut out);
            begin = end + 1;
            if out.len() >= 256 {
                black_box(&out);
                out.clear();
            }
        }
        wall += start.elapsed();
        processor += processor_time() - on_processor;
    }
    assembler.finish(&mut out);
    let counts = assembler.counts();
    assert!(counts.sessions > 0 && counts.evicted == 0 && counts.lines == lines as u64);
    Found { processor, wall, sessions: counts.sessions, open_max: counts.open_max }
}

/// Time that this thread has had a processor.
fn processor_time() -> Duration {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| fail(&format!("{path}: {error}")));
    let first = text.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(first.unwrap_or_else(|| fail(&format!("{path}: expected a number of nanoseconds first"))))
}

/// What a client does next.
#[derive(Clone, Copy)]
enum Step {
    /// It connects.
    Connect,
    /// Its recipient is accepted.
    Client,
    /// Its recipient is refused.
    Reject,
    /// Its message has an id.
    MessageId,
    /// The queue manager has it.
    Queue,
    /// It leaves after a message.
    LeaveMail,
    /// The message is delivered.
    Delivered,
    /// The message is gone.
    Removed,
    /// It leaves after an accepted recipient.
    LeaveProbe,
    /// It leaves after a refusal.
    LeaveRefused,
    /// It leaves after both.
    LeaveDouble,
}

/// Scripts: mail, callout to a known and to an unknown recipient, double whammy.
const SCRIPTS: [&[Step]; 4] = [
    &[Step::Connect, Step::Client, Step::MessageId, Step::Queue, Step::LeaveMail, Step::Delivered, Step::Removed],
    &[Step::Connect, Step::Client, Step::LeaveProbe],
    &[Step::Connect, Step::Reject, Step::LeaveRefused],
    &[Step::Connect, Step::Reject, Step::Client, Step::LeaveDouble],
];

/// A client at work.
#[derive(Clone, Copy)]
struct Client {
    /// Its address.
    ip: [u8; 4],
    /// Its script.
    script: usize,
    /// How far it is.
    at: usize,
    /// Its number among all, which makes its queue id.
    number: u64,
}

/// A log that is made as it is read.
struct Log {
    /// Lines of garbage too.
    garbage: bool,
    /// One in so many clients is no ordinary sender; `None` for every other.
    abuse_rare: Option<u64>,
    /// State of the generator (xorshift).
    state: u64,
    /// The clients, by process.
    clients: Vec<Client>,
    /// Clients so far.
    number: u64,
    /// Lines so far.
    lines: u64,
}

impl Log {
    /// The log from its beginning.
    fn new(garbage: bool, abuse_rare: Option<u64>) -> Self {
        let mut log = Self { garbage, abuse_rare, state: SEED, clients: Vec::new(), number: 0, lines: 0 };
        for _ in 0..CLIENTS {
            let client = log.arrive();
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

    /// The next client.
    fn arrive(&mut self) -> Client {
        self.number += 1;
        let ip = [198, 18 + self.below(2) as u8, self.below(256) as u8, self.below(256) as u8];
        let ordinary = self.abuse_rare.is_some_and(|rare| self.below(rare) > 0);
        // Of ten others, five send mail.
        let script = if ordinary { 0 } else { [0, 0, 0, 0, 0, 1, 1, 2, 2, 3][self.below(10) as usize] };
        Client { ip, script, at: 0, number: self.number }
    }

    /// Adds the next line.
    fn line(&mut self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        self.lines += 1;
        // Two thousand lines a second of the log's time.
        let s = self.lines / 2000;
        let stamp = format!("Nov {:2} {:02}:{:02}:{:02} mx", 1 + s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
        if self.garbage && self.lines.is_multiple_of(10) {
            let kind = self.below(4);
            let noise = self.below(u64::MAX);
            let written = match kind {
                0 => writeln!(out, "\u{fffd}{noise:x}\0 garbage {noise}"),
                1 => writeln!(out, "{stamp} postfix/smtpd[99]: NOQUEUE: reject: RCPT from <{noise:x}"),
                2 => writeln!(out, "{stamp} kernel: [{noise}] oom"),
                _ => writeln!(out, "{stamp} postfix/smtpd[{noise}]: {noise:x}: from=<<<\"> to=<> to=<> to=<"),
            };
            written.unwrap_or_else(|error| fail(&format!("the log can not be made: {error}")));
            return;
        }
        let process = self.below(CLIENTS as u64) as usize;
        let Client { ip: [a, b, c, d], script, at, number } = self.clients[process];
        let (pid, peer) = (10_000 + process, format!("mail{number}.example.net[{a}.{b}.{c}.{d}]"));
        let step = SCRIPTS[script][at];
        let id = format!("{:011X}", number * 4099);
        let text = match step {
            Step::Connect => format!("smtpd[{pid}]: connect from {peer}"),
            Step::Client => format!("smtpd[{pid}]: {id}: client={peer}"),
            Step::Reject => format!(
                "smtpd[{pid}]: NOQUEUE: reject: RCPT from {peer}: 550 5.1.1 <user{number}@example.org>: Recipient address rejected: User unknown in virtual mailbox table; from=<> to=<user{number}@example.org> proto=ESMTP helo=<mail{number}.example.net>"
            ),
            Step::MessageId => format!("cleanup[901]: {id}: message-id=<{number}.x@mail{number}.example.net>"),
            Step::Queue => {
                format!("qmgr[790]: {id}: from=<joe{number}@sender.example>, size=3440, nrcpt=1 (queue active)")
            }
            Step::LeaveMail => {
                format!("smtpd[{pid}]: disconnect from {peer} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
            }
            Step::Delivered => format!(
                "virtual[902]: {id}: to=<alice@example.org>, relay=virtual, delay=0.02, delays=0/0.01/0/0, dsn=2.0.0, status=sent (delivered to maildir)"
            ),
            Step::Removed => format!("qmgr[790]: {id}: removed"),
            Step::LeaveProbe => format!("smtpd[{pid}]: disconnect from {peer} ehlo=1 mail=1 rcpt=1 quit=1 commands=4"),
            Step::LeaveRefused => {
                format!("smtpd[{pid}]: disconnect from {peer} ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4")
            }
            Step::LeaveDouble => {
                format!("smtpd[{pid}]: disconnect from {peer} ehlo=1 mail=2 rcpt=1/2 rset=1 quit=1 commands=6/7")
            }
        };
        out.extend_from_slice(stamp.as_bytes());
        out.extend_from_slice(b" postfix/");
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
        self.clients[process].at += 1;
        if at + 1 == SCRIPTS[script].len() {
            self.clients[process] = self.arrive();
        }
    }
}
