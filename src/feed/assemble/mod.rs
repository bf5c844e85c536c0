//! Joins a source's lines into sessions, in the log's own time and in bounded memory.
//!
//! The lines alone decide what comes out: the same lines from a low-water mark on give the same sessions with the same ids, which is what
//! lets a reader go back after a crash. Only [`Assembler::idle`] looks at another clock, for a source that stands still.
//!
//! | module | what |
//! | --- | --- |
//! | `join` | finds the session that a record belongs to, and ends what is over |
//! | `table` | the open sessions, by key and by age |
//! | `queue` | queue ids, from messages back to their sessions and senders |
//! | `open` | what a session has shown so far |
//! | `settle` | its end: counters and lines made to agree |
//! | `id` | what makes it the same session when it is read again |

#[cfg(test)]
mod captured;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_others;
mod id;
mod join;
mod open;
mod queue;
#[cfg(test)]
mod servers;
mod settle;
mod table;
#[cfg(test)]
mod tests;

use self::join::Joiner;
use super::envelope::Envelope;
use super::kind::ProbeSenders;
use super::line::{LINE_MAX, LogLine, Place};
use super::service::{self, Format, Taken};
use super::session::{Kind, Observation};
use super::time::Clock;

/// Settings of one input, as its parser needs them.
#[derive(Debug, Clone)]
pub struct AssemblerOptions {
    /// The input's id, part of each event's id: the same lines through another path give the same events.
    pub input: Box<str>,
    /// Whose lines they are.
    pub format: Format,
    /// The zone of stamps that have none.
    pub time_zone: jiff::tz::TimeZone,
    /// The year of the first stamp without one, for a replay; else the year that brings each stamp closest to its arrival.
    pub year: Option<i16>,
    /// Senders that verifiers use.
    pub probe_senders: ProbeSenders,
    /// What bounds memory and patience.
    pub limits: AssemblerLimits,
}

/// What bounds an assembler's memory and patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssemblerLimits {
    /// Open sessions; beyond them the oldest is ended as incomplete.
    pub sessions_max: usize,
    /// Queue ids remembered; beyond them the oldest is forgotten.
    pub queue_ids_max: usize,
    /// Transactions and recipients kept of one session; beyond them it is incomplete.
    pub recipients_max: usize,
    /// A session without a line for so long is over, in milliseconds.
    pub idle_ms: i64,
    /// So long a closed session waits for lines about its queue ids, in milliseconds.
    pub wait_ms: i64,
    /// So long a queue id is remembered, in milliseconds.
    pub queue_id_ms: i64,
}

impl Default for AssemblerLimits {
    fn default() -> Self {
        Self {
            sessions_max: 100_000,
            queue_ids_max: 100_000,
            recipients_max: 1000,
            idle_ms: 15 * 60 * 1000,
            wait_ms: 5000,
            queue_id_ms: 60 * 60 * 1000,
        }
    }
}

/// A place in a source that is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    /// The file: counts up with each [`Assembler::rotated`], from 0.
    pub generation: u64,
    /// The line.
    pub place: Place,
}

/// What an assembler has counted since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssemblerCounts {
    /// Lines read.
    pub lines: u64,
    /// Lines that gave a record.
    pub parsed: u64,
    /// Lines that are known and of no interest.
    pub ignored: u64,
    /// Lines that no parser knew, by format in the order of [`Format::ALL`]; those without a known head under the last, `auto`.
    pub unknown: [u64; Format::ALL.len()],
    /// Sessions that ended, by kind in the order of [`Kind::ALL`]; one that is two things counts under both.
    pub kinds: [u64; Kind::ALL.len()],
    /// Sessions that ended.
    pub sessions: u64,
    /// Deliveries given out.
    pub deliveries: u64,
    /// Sessions open now.
    pub open: u64,
    /// The most sessions that were open at one time.
    pub open_max: u64,
    /// Sessions ended because too many were open.
    pub evicted: u64,
    /// Sessions ended because nothing came for too long.
    pub idle: u64,
    /// Lines whose stamp lay too far in the future and was replaced by the time of arrival.
    pub clock_future: u64,
    /// Lines whose stamp lay before that of an earlier line and was replaced by it.
    pub clock_backward: u64,
    /// Lines dropped because they belong to a session that began before reading did, or to none.
    pub dropped_stray: u64,
    /// Sessions dropped because no line showed the client.
    pub dropped_no_client: u64,
    /// Queue ids forgotten because too many were remembered.
    pub dropped_queue_ids: u64,
    /// Transactions or recipients beyond what is kept of one session.
    pub dropped_recipients: u64,
}

/// Joins a source's lines into sessions.
#[derive(Debug)]
pub struct Assembler {
    /// Whose lines they are.
    format: Format,
    /// Takes the heads off.
    envelope: Envelope,
    /// The log's clock.
    clock: Clock,
    /// What is open.
    join: Joiner,
    /// What was counted.
    counts: AssemblerCounts,
}

impl Assembler {
    /// An assembler that has read nothing.
    pub fn new(options: AssemblerOptions) -> Self {
        Self {
            format: options.format,
            envelope: Envelope::default(),
            clock: Clock::new(options.time_zone.clone(), options.year),
            join: Joiner::new(&options),
            counts: AssemblerCounts::default(),
        }
    }

    /// Takes the next line; what it ends goes to `out`, oldest first. The log's clock alone decides what is idle.
    pub fn line(&mut self, line: &LogLine<'_>, out: &mut Vec<Observation>) {
        let Self { format, envelope, clock, join, counts } = self;
        counts.lines += 1;
        let text = &line.text[..line.text.len().min(LINE_MAX)];
        let text = text.trim_ascii_end();
        let Some(message) = envelope.open(text, line.arrived_ms, clock) else {
            join.skip(line.place);
            counts.unknown[Format::Auto as usize] += 1;
            return;
        };
        (counts.clock_future, counts.clock_backward) = (clock.future, clock.backward);
        join.advance(line.place, clock.last_ms(), clock.held_ms, counts, out);
        let Some((format, parser)) = service::parser(*format, &message) else {
            counts.ignored += 1;
            return;
        };
        match parser(&message, &mut |record| join.take(&message, &record, counts, out)) {
            Taken::Parsed => counts.parsed += 1,
            Taken::Ignored => counts.ignored += 1,
            Taken::Unknown => counts.unknown[format as usize] += 1,
        }
        join.count_open(counts);
    }

    /// The source stands still and the wall clock says `now_ms`: ends what has been idle for too long by it. For a live source only.
    pub fn idle(&mut self, now_ms: i64, out: &mut Vec<Observation>) {
        self.join.end_idle(now_ms, &mut self.counts, out);
        self.join.count_open(&mut self.counts);
    }

    /// A new file begins (after rotation): open sessions go on, places start anew.
    pub fn rotated(&mut self) {
        self.join.rotated();
    }

    /// Where reading must begin again after a crash: at or before the first line of the oldest open session or queue id, never inside a second.
    pub fn low_water(&self) -> Mark {
        self.join.low_water()
    }

    /// No more lines will come: ends everything that is open, incomplete.
    pub fn finish(&mut self, out: &mut Vec<Observation>) {
        self.join.end_all(&mut self.counts, out);
        self.join.count_open(&mut self.counts);
    }

    /// What was counted.
    pub fn counts(&self) -> &AssemblerCounts {
        &self.counts
    }
}
