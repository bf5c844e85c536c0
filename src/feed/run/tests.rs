//! A source to its store with restarts at any line: the same events, once each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;
use crate::feed::assemble::AssemblerLimits;
use crate::feed::kind::ProbeSenders;
use crate::feed::service::Format;
use crate::feed::source::file::FileOptions;
use crate::feed::store::rows::Row;

/// What the store would have.
#[derive(Debug, Default)]
struct Stored {
    /// How often each event was handed in.
    events: BTreeMap<[u8; 16], u32>,
    /// Sessions counted, by address and kinds.
    counts: BTreeMap<([u8; 16], String), u32>,
    /// Deliveries handed in.
    deliveries: u32,
    /// Marks.
    saved: Saved,
}

impl Stored {
    /// Commit what is queued.
    fn commit(&mut self, batches: &Receiver<Batch>) {
        while let Ok(batch) = batches.try_recv() {
            for row in batch.rows {
                match row {
                    Row::Event(event) => *self.events.entry(event.id).or_default() += 1,
                    Row::Count(count) => *self.counts.entry((count.ip, count.kinds.to_string())).or_default() += 1,
                    Row::Delivery(_) => self.deliveries += 1,
                }
            }
            assert!(batch.low_water >= self.saved.low_water && batch.read >= self.saved.read, "marks go back");
            self.saved.ended.extend(batch.ended);
            self.saved.ended.retain(|(_, position)| {
                (position.generation, position.offset) > (batch.low_water.generation, batch.low_water.offset)
            });
            (self.saved.low_water, self.saved.read) = (batch.low_water, batch.read);
            self.saved.files = batch.files.unwrap_or(std::mem::take(&mut self.saved.files));
            *batch.committed.lock().unwrap() = batch.low_water;
        }
    }
}

/// An input on a file, and what comes to its store.
fn input(path: &Path, saved: &Saved) -> (Input, Receiver<Batch>) {
    let options = AssemblerOptions {
        input: "mail.log".into(),
        format: Format::Postfix,
        time_zone: jiff::tz::TimeZone::UTC,
        year: None,
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
    };
    let file = FileOptions { path: path.to_owned(), rotate_quiet: Duration::ZERO };
    let reader = Reader::File(Box::new(FileReader::new(file, saved.clone())));
    let (sender, batches) = sync_channel(10_000);
    let status = InputStatus::new("mail.log", "postfix");
    (Input::new(1, saved, reader, options, HashKey::new(b"key"), sender, status), batches)
}

/// Read until there is nothing more, as the thread would.
fn drain(input: &mut Input) {
    let (mut lines, mut idle_at) = (Lines::default(), Duration::MAX);
    loop {
        lines.clear();
        let step = input.reader.read(&mut lines).unwrap();
        assert!(input.step(step, &lines, &mut idle_at).is_ok());
        if step == Step::Still {
            return;
        }
    }
}

/// A log of interleaved sessions: callouts, ordinary mail, refusals, connections without more.
fn log() -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Vec<(u32, Vec<String>)> = Vec::new();
    for n in 0..120u32 {
        let (pid, ip) = (1000 + n, format!("192.0.2.{}", n % 50));
        let from = format!("unknown[{ip}]");
        let mut session = vec![format!("connect from {from}")];
        match n % 4 {
            0 => session.push(format!(
                "NOQUEUE: reject: RCPT from {from}: 550 5.1.1 <u{n}@example.org>: Recipient address rejected: User unknown in \
                 virtual mailbox table; from=<> to=<u{n}@example.org> proto=ESMTP helo=<h{n}>"
            )),
            1 => session.push(format!("{:011X}: client={from}", 0xa000_0000_u64 + u64::from(n))),
            _ => {}
        }
        let verbs = [
            "mail=1 rcpt=0/1 quit=1 commands=3/4",
            "mail=1 rcpt=1 quit=1 commands=4",
            "quit=1 commands=2",
            "commands=1",
        ];
        session.push(format!("disconnect from {from} ehlo=1 {}", verbs[n as usize % 4]));
        session.reverse();
        open.push((pid, session));
        // Several at a time, in turns.
        while open.len() > 5 {
            for (pid, session) in &mut open {
                if let Some(line) = session.pop() {
                    let second = lines.len() / 7;
                    lines.push(format!(
                        "2026-11-21T19:{:02}:{:02}.{:06}+00:00 mx postfix/smtpd[{pid}]: {line}",
                        second / 60,
                        second % 60,
                        lines.len()
                    ));
                }
            }
            open.retain(|(_, session)| !session.is_empty());
        }
    }
    lines
}

/// What comes out when the log is read in one go.
fn reference(lines: &[String]) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mail.log");
    fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (mut input, batches) = input(&path, &Saved::default());
    drain(&mut input);
    let mut stored = Stored::default();
    stored.commit(&batches);
    stored
}

#[test]
fn stopped_at_any_line_and_rotated_at_any_line() {
    let lines = log();
    let expected = reference(&lines);
    assert!(expected.events.len() > 20 && expected.counts.len() > 20, "{expected:?}");
    assert!(expected.events.values().all(|&times| times == 1));
    for stride in [1, 2, 3, 5, 17] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mail.log");
        let mut stored = Stored::default();
        let mut at = 0;
        while at < lines.len() {
            let end = (at + stride).min(lines.len());
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            lines[at..end].iter().for_each(|line| writeln!(file, "{line}").unwrap());
            // Begun anew for every piece, with what was committed; each third time without the last batch.
            let (mut input, batches) = input(&path, &stored.saved);
            drain(&mut input);
            if (at / stride) % 3 != 2 || end == lines.len() {
                stored.commit(&batches);
            }
            if at % 11 == 5 {
                for n in (1..8).rev() {
                    let name = |n: usize| directory.path().join(format!("mail.log.{n}"));
                    let _ = fs::rename(name(n), name(n + 1));
                }
                fs::rename(&path, directory.path().join("mail.log.1")).unwrap();
            }
            at = end;
        }
        assert_eq!(stored.events, expected.events, "stride {stride}");
        assert_eq!(stored.counts, expected.counts, "stride {stride}");
    }
}

#[test]
fn what_ended_by_the_wall_clock_is_no_news_when_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mail.log");
    // Old enough to be idle by the wall clock; the second session is what the low-water mark stays before.
    let lines = [
        "2026-11-21T19:46:05.000000+00:00 mx postfix/smtpd[1]: connect from unknown[192.0.2.1]",
        "2026-11-21T19:46:07.000000+00:00 mx postfix/smtpd[2]: connect from unknown[192.0.2.2]",
        "2026-11-21T19:46:08.000000+00:00 mx postfix/smtpd[2]: NOQUEUE: reject: RCPT from unknown[192.0.2.2]: 550 5.1.1 \
         <u@example.org>: Recipient address rejected: User unknown in virtual mailbox table; from=<> to=<u@example.org> \
         proto=ESMTP helo=<h>",
    ];
    fs::write(&path, lines.map(|line| format!("{line}\n")).concat()).unwrap();
    let mut stored = Stored::default();
    for round in 0..3 {
        let (mut input, batches) = input(&path, &stored.saved);
        drain(&mut input);
        assert!(input.idle().is_ok());
        assert!(input.hand_over().is_ok());
        stored.commit(&batches);
        if round == 0 {
            // As if a session had been open since the first line.
            stored.saved.low_water = Position::default();
            stored.saved.ended = stored.events.keys().map(|id| (u128::from_be_bytes(*id), stored.saved.read)).collect();
            assert_eq!(stored.events.len(), 1, "{stored:?}");
        }
    }
    assert!(stored.events.values().all(|&times| times == 1), "{stored:?}");
}
