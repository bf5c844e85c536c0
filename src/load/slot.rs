//! One source of data: its files' stamps, and what became of reading them.
//!
//! A slot belongs to a [`Source`], however many zones name it, so that it is read once. It remembers the stamps of
//! its last reading: files that look the same are not read again. A reading that failed is repeated without a
//! change too, ever more rarely: a full disk, a lost mount or a date in the future mend themselves.

use std::sync::Arc;
use std::time::Duration;

use super::report::{Report, Reporter};
use crate::dataset::Dataset;
use crate::diag::{BadFile, Diagnostic, Severity};
use crate::sys::clock::{self, Moment};
use crate::zonefile::{Loaded, Source, Stamp};

/// How a source is read; [`crate::zonefile::read`] but in tests.
pub(super) type Read = fn(&Source, i64, &mut dyn FnMut(Diagnostic)) -> Result<Loaded, BadFile>;

/// Nanoseconds of a second.
const NS_PER_S: i128 = 1_000_000_000;
/// Warnings of one reading that are logged in full; a log full of them hides the rest.
const WARNINGS_LOGGED: usize = 10;
/// Readings in a row that a file may change under before that is a failure: it is being written in place, and a
/// writer that takes longer than so many times the settling time must be told of.
const REWRITES_MAX: u32 = 3;
/// Longest pause between two readings of files that failed and have not changed.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Data with where they came from; immutable, shared by the zones that serve them.
#[derive(Debug)]
pub(super) struct Data {
    /// What was read.
    pub(super) source: Arc<Source>,
    /// What came of it.
    pub(super) dataset: Arc<Dataset>,
    /// The files as they were when read.
    pub(super) stamps: Vec<Stamp>,
    /// Diagnostics of the reading.
    pub(super) diagnostics: u64,
    /// How long the reading took.
    pub(super) duration: Duration,
}

impl Data {
    /// The files, joined by commas as the settings name them.
    pub(super) fn source_files(&self) -> String {
        files_text(&self.source)
    }

    /// Newest modification time among the files, ns since 1970.
    pub(super) fn mtime_ns(&self) -> i128 {
        self.stamps.iter().map(|stamp| stamp.mtime_ns).max().unwrap_or(0)
    }
}

/// The files of a source, joined by commas.
fn files_text(source: &Source) -> String {
    let files: Vec<String> = source.files.iter().map(|file| file.display().to_string()).collect();
    files.join(",")
}

/// What became of the last reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Never read.
    Unread,
    /// Read well; a zone serves it.
    Good,
    /// Read well, but no zone took it, and it was let go.
    Held,
    /// The files changed meanwhile; to be read again once they are quiet.
    Rewritten,
    /// The files can not be used, and why.
    Bad(String),
}

/// When a failed reading is repeated.
#[derive(Clone, Copy, Debug)]
struct Retry {
    /// The time, monotonic.
    at: Duration,
    /// The pause before it, doubled each time.
    pause: Duration,
}

/// The stamp of each file, `None` for one that is not there.
type Stamps = Vec<Option<Stamp>>;

/// One source and what is known of it.
#[derive(Debug)]
pub(super) struct Slot {
    /// Type, files and options.
    pub(super) source: Arc<Source>,
    /// What became of the last reading.
    pub(super) standing: Standing,
    /// The newest data that a zone serves.
    pub(super) current: Option<Arc<Data>>,
    /// Data read in this pass, not yet taken by any zone.
    pub(super) fresh: Option<Arc<Data>>,
    /// The stamps of the last reading; `None` before it and when it is to be repeated.
    tried: Option<Stamps>,
    /// Stamps of a change that the poll found and that is waited on to come to rest.
    moving: Option<Stamps>,
    /// Readings in a row during which the files changed.
    rewrites: u32,
    /// When to repeat a failed reading.
    retry: Option<Retry>,
}

impl Slot {
    /// A slot that nothing is known of.
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            standing: Standing::Unread,
            current: None,
            fresh: None,
            tried: None,
            moving: None,
            rewrites: 0,
            retry: None,
        }
    }

    /// Whether the files differ from those of the last reading.
    pub(super) fn changed(&self) -> bool {
        self.tried.as_ref() != Some(&look(&self.source))
    }

    /// Whether the last reading has left nothing to serve, so that it is worth repeating when asked.
    pub(super) fn unsettled(&self) -> bool {
        self.standing != Standing::Good
    }

    /// Whether a failed reading is due to be repeated.
    pub(super) fn retry_due(&self, now: Duration) -> bool {
        self.retry.is_some_and(|retry| retry.at <= now)
    }

    /// Whether the files differ from the last reading, for the poll: remembers what they look like meanwhile.
    pub(super) fn poll(&mut self) -> bool {
        let stamps = look(&self.source);
        let changed = self.tried.as_ref() != Some(&stamps);
        self.moving = changed.then_some(stamps);
        changed
    }

    /// Whether files that the poll found changed have changed again since.
    pub(super) fn still_moving(&mut self) -> bool {
        if self.moving.is_none() {
            return false;
        }
        let stamps = Some(look(&self.source));
        let moving = self.moving != stamps;
        self.moving = stamps;
        moving
    }

    /// Read the files. `quiet` is for repeating what failed: if it fails alike, nothing is logged.
    ///
    /// Returns whether anything is new: `false` only for a quiet reading that failed as before.
    pub(super) fn read(
        &mut self,
        read: Read,
        now: Moment,
        poll: Duration,
        quiet: bool,
        reporter: Option<&Reporter>,
    ) -> bool {
        let before = look(&self.source);
        let started = clock::monotonic();
        let mut warnings = Warnings::default();
        let result = read(&self.source, now.unix_s.floor() as i64, &mut |diagnostic| warnings.take(diagnostic));
        let duration = clock::monotonic().saturating_sub(started);
        self.moving = None;
        let mut bad_file = None;
        let standing = match result {
            Ok(loaded) if self.is_garbage(&loaded) => {
                self.tried = Some(loaded.stamps.into_iter().map(Some).collect());
                let first = warnings.first.first().map(ToString::to_string).unwrap_or_default();
                let (files, kind) = (files_text(&self.source), self.source.kind);
                Standing::Bad(format!("{files}: not one entry can be read as {kind}; the first of them: {first}"))
            }
            Ok(loaded) => {
                self.tried = Some(loaded.stamps.iter().copied().map(Some).collect());
                self.fresh = Some(Arc::new(Data {
                    source: Arc::clone(&self.source),
                    dataset: Arc::new(loaded.dataset),
                    stamps: loaded.stamps,
                    diagnostics: loaded.diagnostics,
                    duration,
                }));
                Standing::Good
            }
            Err(BadFile::Changed { .. }) if self.rewrites + 1 < REWRITES_MAX => {
                self.tried = None;
                Standing::Rewritten
            }
            Err(why) => {
                self.tried = Some(before);
                let standing = Standing::Bad(why.to_string());
                bad_file = Some(why);
                standing
            }
        };
        self.rewrites = if standing == Standing::Rewritten { self.rewrites + 1 } else { 0 };
        self.retry = match (&standing, self.retry) {
            (Standing::Bad(_), Some(Retry { pause, .. })) if quiet => {
                Some(pause.saturating_mul(2).min(RETRY_PAUSE_MAX))
            }
            (Standing::Bad(_), _) => Some(poll.min(RETRY_PAUSE_MAX)),
            _ => None,
        }
        .map(|pause| Retry { at: now.monotonic.saturating_add(pause), pause });
        let news = !quiet || standing != self.standing;
        self.standing = standing;
        match reporter {
            Some(reporter) if news => self.report(&warnings, bad_file.as_ref(), reporter),
            None if news => warnings.log(),
            _ => {}
        }
        news
    }

    /// Tell what came of a reading.
    fn report(&self, warnings: &Warnings, file: Option<&BadFile>, reporter: &Reporter) {
        let source = &self.source;
        if !warnings.first.is_empty() {
            reporter.tell(&Report::Warnings { source, first: &warnings.first, more: warnings.more });
        }
        match (&self.standing, &self.fresh) {
            (Standing::Bad(why), _) => reporter.tell(&Report::Bad { source, why, file }),
            (Standing::Good, Some(data)) => {
                let mtime_s = data.mtime_ns().div_euclid(NS_PER_S) as i64;
                reporter.tell(&Report::Read { source, dataset: &data.dataset, mtime_s });
            }
            _ => {}
        }
    }

    /// Whether a reading made nothing of files that are not empty, while there is something to lose: an error page or
    /// a cut cable, not a list that has run empty. With nothing to lose the empty list is served, as it always was.
    fn is_garbage(&self, loaded: &Loaded) -> bool {
        let to_lose = self.current.as_ref().is_some_and(|data| data.dataset.entries() > 0);
        to_lose && loaded.diagnostics > 0 && loaded.dataset.entries() == 0
    }

    /// Close a pass: what a zone took becomes current, anything else is let go.
    pub(super) fn close(&mut self, taken: impl Fn(&Arc<Data>) -> bool) {
        let refused = self.fresh.as_ref().is_some_and(|data| !taken(data));
        self.current = [self.fresh.take(), self.current.take()].into_iter().flatten().find(taken);
        if self.standing == Standing::Good && (refused || self.current.is_none()) {
            self.standing = Standing::Held;
        }
    }
}

/// What the files of a source look like now, symbolic links followed. A file whose status can not be read looks
/// missing.
fn look(source: &Source) -> Stamps {
    source.files.iter().map(|file| Some(Stamp::of(&std::fs::metadata(file).ok()?))).collect()
}

/// The warnings of one reading: the first few in full, the others counted.
#[derive(Default)]
struct Warnings {
    /// The first [`WARNINGS_LOGGED`].
    first: Vec<Diagnostic>,
    /// How many more there were.
    more: u64,
}

impl Warnings {
    /// Note a diagnostic. Errors are passed over: what makes the file unusable comes back as the result.
    fn take(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity != Severity::Warning {
            return;
        }
        if self.first.len() < WARNINGS_LOGGED {
            self.first.push(diagnostic);
        } else {
            self.more += 1;
        }
    }

    /// Log them.
    fn log(&self) {
        for diagnostic in &self.first {
            tracing::warn!("{diagnostic}");
        }
        if let (Some(last), true) = (self.first.last(), self.more > 0) {
            tracing::warn!("{}: and {} more; run `dnsbld check` to see them all", last.file.display(), self.more);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn warnings_are_counted_after_the_first_few() {
        let mut warnings = Warnings::default();
        for line in 1..=25 {
            let severity = if line == 25 { Severity::Error } else { Severity::Warning };
            let (file, message, hint) = (Arc::from(Path::new("bl.zone")), String::new(), String::new());
            warnings.take(Diagnostic { severity, file, line, column: 0, message, hint });
        }
        assert_eq!(warnings.first.iter().map(|told| told.line).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        assert_eq!(warnings.more, 14);
    }
}
