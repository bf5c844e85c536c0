//! Where lines come from: files that are followed, a journal, and spools of what can not be read again.
//!
//! | module | what |
//! | --- | --- |
//! | [`lines`] | octets cut into lines, bounded |
//! | [`mod@file`] | a log file followed through its rotations |
//! | [`candidates`] | the files that a rotation leaves behind, and what tells them apart |
//! | [`journal`] | systemd's journal, by its own reader |
//! | [`segments`] | a spool, followed |
//! | [`normal`] | one message of a shipper as one line of a log |
//! | [`syslog`] | messages over UDP and TCP |
//! | [`intake`], [`again`] | bodies of `POST /v1/logs`, and those that come twice |
//! | [`filter`] | lines of OpenSMTPD's filter interface |
//!
//! A reader is asked for lines and never waits itself. What it gives is the same after a restart at the low-water mark: the same
//! lines in the same order, each with the same position.

pub mod again;
pub mod candidates;
pub mod file;
pub mod filter;
pub mod intake;
pub mod journal;
pub mod lines;
pub mod normal;
pub mod segments;
pub mod stdin;
pub mod syslog;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use lines::Lines;

/// Where something stands in an input: in which of its files, and where in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The file, counted from the first that was ever read.
    pub generation: u64,
    /// Octets before it in that file; for a journal, entries.
    pub offset: u64,
    /// Lines before it since reading began.
    pub number: u64,
}

/// What a reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Lines were put into the buffer.
    Lines,
    /// The lines that follow are of another file, with this number.
    Rotated(u64),
    /// Something was done, but there is no whole line yet; ask again.
    Again,
    /// Nothing now.
    Still,
}

/// What a source says of one of its files, so that it is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFile {
    /// Its number.
    pub generation: u64,
    /// What tells it from others.
    pub identity: candidates::Identity,
    /// Under which name it was read.
    pub path: String,
}

/// What the store knows of an input: where to begin again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// Where reading begins again: before the first line of the oldest session that is open.
    pub low_water: Position,
    /// Up to where everything that came out has been stored.
    pub read: Position,
    /// When that was stored, in milliseconds since 1970 (UTC).
    pub time_ms: i64,
    /// The files from the low-water mark on.
    pub files: Vec<SavedFile>,
    /// The journal's cursor at the low-water mark.
    pub cursor: Option<String>,
    /// The journal's cursor of the last entry read.
    pub read_cursor: Option<String>,
    /// Sessions that ended by the wall clock and whose lines stand after the low-water mark: read again, they are no news.
    pub ended: Vec<(u128, Position)>,
}

/// Wakes a source's thread: something has happened, or it is to stop.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<(Mutex<WakeState>, Condvar)>);

/// What a thread is woken for.
#[derive(Debug, Clone, Copy, Default)]
struct WakeState {
    /// There may be something to read.
    touched: bool,
    /// It is to stop.
    stop: bool,
}

impl Wake {
    /// Say that there may be something to read.
    pub fn touch(&self) {
        self.0.0.lock().unwrap_or_else(|e| e.into_inner()).touched = true;
        self.0.1.notify_all();
    }

    /// Ask the thread to stop.
    pub fn stop(&self) {
        self.0.0.lock().unwrap_or_else(|e| e.into_inner()).stop = true;
        self.0.1.notify_all();
    }

    /// Was it asked to stop?
    pub fn stopped(&self) -> bool {
        self.0.0.lock().unwrap_or_else(|e| e.into_inner()).stop
    }

    /// Wait until something happens, at most so long. True when it is to stop.
    pub fn wait(&self, at_most: Duration) -> bool {
        let state = self.0.0.lock().unwrap_or_else(|e| e.into_inner());
        let waited = self.0.1.wait_timeout_while(state, at_most, |state| !state.touched && !state.stop);
        let (mut state, _) = waited.unwrap_or_else(|e| e.into_inner());
        state.touched = false;
        state.stop
    }
}
