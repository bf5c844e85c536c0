//! From lines to sessions: logs of Postfix and Exim with thousands of clients at once, through an assembler, on one core.
//!
//! The log is generated from a seed in pieces (`maillog`), so that 10 million lines need no room; making them is not timed. What is timed is what the
//! feeder does between a source and the store: head, stamp, parser, assembler, kinds. One row has garbage in every tenth line.
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

use crate::maillog::{self, CLIENTS, Log, LogOptions, Server};
use crate::suite::{Suite, fail};
use crate::table::{Table, Target};

/// The least number of lines a second.
const LINES_PER_S: f64 = 500_000.0;

/// Lines made at a time.
const PIECE: usize = 100_000;

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let lines = suite.sizes.log_lines;
    [Server::Postfix, Server::Exim].into_iter().for_each(maillog::check_shapes);
    let logs = [
        ("Postfix's default log", Server::Postfix, false),
        ("the same, a tenth of it garbage", Server::Postfix, true),
        ("Exim's log with the recommended selectors", Server::Exim, false),
    ];
    for (name, server, garbage) in logs {
        let found = measure(lines, server, garbage);
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
    let mut log =
        Log::new(LogOptions { server: Server::Postfix, garbage: false, abuse_rare: Some(ABUSE_RARE), labelled: false });
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
fn measure(lines: usize, server: Server, garbage: bool) -> Found {
    let mut assembler = Assembler::new(AssemblerOptions {
        input: "bench".into(),
        format: match server {
            Server::Postfix => Format::Postfix,
            Server::Exim => Format::Exim,
        },
        time_zone: TimeZone::UTC,
        year: Some(2026),
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
    });
    let mut log = Log::new(LogOptions { server, garbage, abuse_rare: None, labelled: false });
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
