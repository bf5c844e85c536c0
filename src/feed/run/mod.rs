//! A thread for each source: from its lines to the store, exactly once.
//!
//! What comes out of the assembler is committed together with two positions: the low-water mark, where the oldest open
//! session begins, and the place of reading. After a crash reading begins again at the low-water mark, so that open sessions are
//! rebuilt, and what comes out up to the former place of reading is thrown away: it was committed. Sessions that ended by the
//! wall clock, which tells another time then, are remembered by their ids until the low-water mark has passed them.

pub mod judging;
mod recent;
pub mod start;
pub mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::assemble::{Assembler, AssemblerOptions};
use super::joe_job::JoeJobs;
use super::kind::ProbeSenders;
use super::session::Observation;
use super::source::file::FileReader;
use super::source::journal::JournalReader;
use super::source::segments::SegmentReader;
use super::source::{Lines, Position, Saved, SavedFile, Step, Wake};
use super::store::key::HashKey;
use super::store::rows::{self, Row};
use super::store::{Batch, Committed};
use crate::sys::clock;
use recent::Recent;
use status::InputStatus;

/// Time between two looks at a source that stands still. File events come sooner; this finds what they miss.
const POLL: Duration = Duration::from_millis(250);
/// Pause after an error, such as a file that may not be read.
const ERROR_PAUSE: Duration = Duration::from_secs(5);
/// Time between two looks for sessions that are idle by the wall clock.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// Rows handed to the store at once.
const BATCH_ROWS_MAX: usize = 512;
/// Longest time that the place of reading is not committed while lines are read that give nothing.
const MARKS_EVERY: Duration = Duration::from_secs(1);

/// Where an input's lines come from.
pub enum Reader {
    /// A file that is rotated.
    File(Box<FileReader>),
    /// A spool.
    Segments(Box<SegmentReader>),
    /// systemd's journal.
    Journal(Box<JournalReader>),
}

impl Reader {
    /// Read on. Errors: the source can not be read; try again later.
    fn read(&mut self, lines: &mut Lines) -> io::Result<Step> {
        match self {
            Self::File(reader) => reader.read(lines),
            Self::Segments(reader) => reader.read(lines),
            Self::Journal(reader) => Ok(reader.read(lines)),
        }
    }

    /// The files to remember, if they have changed.
    fn changed_files(&mut self) -> Option<Vec<SavedFile>> {
        match self {
            Self::File(reader) => reader.changed_files(),
            Self::Segments(_) | Self::Journal(_) => None,
        }
    }

    /// The name of the file in which a line of this generation stands.
    fn file_name(&self, generation: u64) -> String {
        match self {
            Self::File(reader) => reader.file_name(generation),
            Self::Segments(_) => format!("spool:{generation}"),
            Self::Journal(_) => "journal".to_owned(),
        }
    }

    /// Nothing before this position will be read again.
    fn forget_before(&mut self, position: Position) {
        match self {
            Self::File(reader) => reader.forget_before(position.generation),
            Self::Segments(reader) => {
                if let Err(error) = reader.forget_before(position.generation) {
                    tracing::warn!("a segment of a spool that was read can not be deleted: {error}");
                }
            }
            Self::Journal(reader) => reader.forget_before(position),
        }
    }

    /// Octets that wait to be read, where that can be told.
    fn behind_octets(&self) -> u64 {
        match self {
            Self::File(reader) => reader.behind_octets(),
            Self::Segments(reader) => reader.behind_octets(),
            Self::Journal(_) => 0,
        }
    }

    /// Octets of its spool.
    fn spool_octets(&self) -> Option<u64> {
        match self {
            Self::Segments(reader) => Some(reader.spool_octets()),
            Self::File(_) | Self::Journal(_) => None,
        }
    }

    /// A journal's cursors at the low-water mark and at the place of reading.
    fn cursors(&self, low_water: Position) -> (Option<String>, Option<String>, Position) {
        match self {
            Self::Journal(reader) => reader.cursors(low_water),
            Self::File(_) | Self::Segments(_) => (None, None, low_water),
        }
    }
}

/// One input: its source, its assembler, and its way to the store.
pub struct Input {
    /// Its number in the store.
    pub number: i64,
    /// Its lines.
    pub reader: Reader,
    /// Joins them.
    pub assembler: Assembler,
    /// Hashes recipients.
    pub key: HashKey,
    /// Senders that verifiers use.
    pub probe_senders: ProbeSenders,
    /// The way to the store.
    pub store: SyncSender<Batch>,
    /// How far the store is.
    pub committed: Committed,
    /// What it shows of itself.
    pub status: Arc<InputStatus>,
    /// Floods of bounces, where they are looked for.
    pub joe_jobs: Option<Arc<JoeJobs>>,
    /// The assembler's count of files, and which file of the input each is.
    generations: BTreeMap<u64, u64>,
    /// Where reading begins again.
    low_water: Position,
    /// The last line read.
    read: Position,
    /// Up to here everything was committed in a former run.
    replay_until: Position,
    /// Sessions that came out by the wall clock.
    ended: HashMap<u128, Position>,
    /// Text of the last lines.
    recent: Recent,
    /// What is to be handed to the store.
    rows: Vec<Row>,
    /// Ids of sessions in `rows` that came out by the wall clock.
    rows_ended: Vec<(u128, Position)>,
    /// The place of reading that was handed to the store last, and when.
    handed: (Position, Duration),
    /// What was deleted behind the low-water mark.
    forgotten: Position,
}

/// The store is gone, so nothing can be kept any more.
struct StoreGone;

impl Input {
    /// An input that begins where a former run stopped.
    pub fn new(
        number: i64,
        saved: &Saved,
        reader: Reader,
        options: AssemblerOptions,
        key: HashKey,
        store: SyncSender<Batch>,
        status: Arc<InputStatus>,
    ) -> Self {
        let low = saved.low_water;
        Self {
            number,
            reader,
            probe_senders: options.probe_senders.clone(),
            assembler: Assembler::new(options),
            key,
            store,
            committed: Arc::new(Mutex::new(low)),
            status,
            joe_jobs: None,
            generations: BTreeMap::from([(0, low.generation)]),
            low_water: low,
            read: low,
            replay_until: saved.read,
            ended: saved.ended.iter().copied().collect(),
            recent: Recent::default(),
            rows: Vec::new(),
            rows_ended: Vec::new(),
            handed: (low, clock::monotonic()),
            forgotten: low,
        }
    }

    /// Read until asked to stop. Sessions that are open then are rebuilt at the next start.
    pub fn run(mut self, wake: &Wake) {
        let mut told = None;
        let mut idle_at = clock::monotonic();
        let mut lines = Lines::default();
        while !wake.stopped() {
            lines.clear();
            let step = match self.reader.read(&mut lines) {
                Ok(step) => step,
                Err(error) => {
                    if told.replace(error.kind()) != Some(error.kind()) {
                        tracing::warn!("{}: {error}; tried again every {} s", self.status.name, ERROR_PAUSE.as_secs());
                    }
                    wake.wait(ERROR_PAUSE);
                    continue;
                }
            };
            told = None;
            if self.step(step, &lines, &mut idle_at).is_err() {
                tracing::error!("{}: the store is gone; nothing is read any more", self.status.name);
                return;
            }
            self.show(step == Step::Still, lines.cut);
            if step == Step::Still && wake.wait(POLL) {
                break;
            }
        }
        // What came out since the last batch; without the store it will be read again.
        let _ = self.hand_over();
    }

    /// Do what a step asks for. Errors: the store is gone.
    fn step(&mut self, step: Step, lines: &Lines, idle_at: &mut Duration) -> Result<(), StoreGone> {
        match step {
            Step::Lines => self.lines(lines)?,
            Step::Rotated(generation) => {
                self.assembler.rotated();
                let last = self.generations.last_key_value().map_or(0, |(&at, _)| at);
                self.generations.insert(last + 1, generation);
                self.recent.clear();
            }
            Step::Again => {}
            Step::Still => {
                let now = clock::monotonic();
                if now >= *idle_at && self.read >= self.replay_until {
                    *idle_at = now + IDLE_EVERY;
                    self.idle()?;
                }
                if self.read != self.handed.0 {
                    self.hand_over()?;
                }
            }
        }
        let committed = *self.committed.lock().unwrap_or_else(|e| e.into_inner());
        if committed > self.forgotten {
            self.reader.forget_before(committed);
            self.forgotten = committed;
        }
        Ok(())
    }

    /// Feed lines to the assembler. Errors: the store is gone.
    fn lines(&mut self, lines: &Lines) -> Result<(), StoreGone> {
        let generation = self.generation();
        let mut out = Vec::new();
        for line in lines.iter(now_ms()) {
            self.assembler.line(&line, &mut out);
            self.recent.push(line.place.offset, line.text);
            self.read = Position { generation, offset: line.place.end, number: line.place.number };
            if out.is_empty() {
                continue;
            }
            if self.read <= self.replay_until {
                out.clear();
                continue;
            }
            for observation in out.drain(..) {
                self.keep(observation);
            }
            if self.rows.len() >= BATCH_ROWS_MAX {
                self.hand_over()?;
            }
        }
        if clock::monotonic() - self.handed.1 >= MARKS_EVERY { self.hand_over() } else { Ok(()) }
    }

    /// End what is idle by the wall clock. Errors: the store is gone.
    fn idle(&mut self) -> Result<(), StoreGone> {
        let mut out = Vec::new();
        self.assembler.idle(now_ms(), &mut out);
        if out.is_empty() {
            return Ok(());
        }
        for observation in out {
            let id = if let Observation::Session(session) = &observation { Some(session.id) } else { None };
            self.keep(observation);
            if let Some(id) = id {
                self.ended.insert(id, self.read);
                self.rows_ended.push((id, self.read));
            }
        }
        self.hand_over()
    }

    /// Make a row of what came out.
    fn keep(&mut self, observation: Observation) {
        let row = match observation {
            Observation::Session(session) => {
                if self.ended.contains_key(&session.id) {
                    return;
                }
                let (mut file, mut lines) = (String::new(), Vec::new());
                if let Some(joe_jobs) = &self.joe_jobs {
                    // The same sessions as the store has, so that a restart finds the same.
                    joe_jobs.session(&session, rows::is_evidence(&session), |address| self.key.hash(address));
                }
                if rows::is_evidence(&session) {
                    lines = self.recent.lines_of(&session);
                    file = self.reader.file_name(self.generation());
                }
                rows::of_session(*session, &file, lines, &self.key, &self.probe_senders)
            }
            Observation::Delivery(delivery) => rows::of_delivery(&delivery, &self.key),
        };
        self.rows.push(row);
    }

    /// Hand to the store what came out, and the positions. Errors: the store is gone.
    fn hand_over(&mut self) -> Result<(), StoreGone> {
        self.handed = (self.read, clock::monotonic());
        // Nothing new is known as long as lines of a former run are read again.
        if self.read < self.replay_until {
            return Ok(());
        }
        let mark = self.assembler.low_water();
        let generation = self.generations.get(&mark.generation).copied();
        let number = mark.place.number.saturating_sub(1);
        let low = generation.map(|generation| Position { generation, offset: mark.place.offset, number });
        // Before the first line the assembler knows no mark.
        let low = low.filter(|_| mark.place.number > 0).unwrap_or(self.low_water);
        let (cursor, read_cursor, low) = self.reader.cursors(low.max(self.low_water));
        self.low_water = low;
        self.generations.retain(|&at, _| at >= mark.generation);
        self.ended.retain(|_, position| (position.generation, position.offset) > (low.generation, low.offset));
        let batch = Batch {
            input: self.number,
            rows: std::mem::take(&mut self.rows),
            low_water: low,
            read: self.read,
            time_ms: now_ms(),
            files: self.reader.changed_files(),
            cursors: (cursor, read_cursor),
            ended: std::mem::take(&mut self.rows_ended),
            committed: Arc::clone(&self.committed),
        };
        self.store.send(batch).map_err(|_| StoreGone)
    }

    /// The file that is being read.
    fn generation(&self) -> u64 {
        self.generations.last_key_value().map_or(0, |(_, &generation)| generation)
    }

    /// Show how things stand.
    fn show(&self, still: bool, cut: u64) {
        let now = clock::monotonic();
        let behind_octets = if still { self.reader.behind_octets() } else { 0 };
        self.status.set(
            self.assembler.counts(),
            cut,
            still.then_some((now, behind_octets, self.reader.spool_octets())),
        );
    }
}

/// Now, in milliseconds since 1970 (UTC).
fn now_ms() -> i64 {
    (clock::now_f64() * 1000.0) as i64
}
