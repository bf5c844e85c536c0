//! What the loader says of its work: to the log, or to whoever wants to say it in other words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::dataset::Dataset;
use crate::diag::{BadFile, Diagnostic};
use crate::zonefile::Source;

/// One thing to say.
#[derive(Debug)]
pub enum Report<'a> {
    /// Lines that could not be used as they stand.
    Warnings {
        /// What was read.
        source: &'a Source,
        /// The first ten.
        first: &'a [Diagnostic],
        /// How many more there were.
        more: u64,
    },
    /// A source was read and can be served.
    Read {
        /// What was read.
        source: &'a Source,
        /// What came of it.
        dataset: &'a Dataset,
        /// Newest modification time of its files, s since 1970.
        mtime_s: i64,
    },
    /// A source can not be used.
    Bad {
        /// What was read.
        source: &'a Source,
        /// Why, as a sentence.
        why: &'a str,
        /// Why, when a file itself is bad; `None` when its content looks like an accident.
        file: Option<&'a BadFile>,
    },
    /// A zone wanted a source that can not be used.
    Lacking {
        /// The zone.
        zone: &'a str,
        /// It goes on with its last good data.
        served: bool,
    },
    /// Everything that was to be read has been.
    Done {
        /// How long that took.
        elapsed: Duration,
    },
}

/// Takes what the loader says in place of the log.
#[derive(Clone)]
pub struct Reporter(Arc<dyn Fn(&Report<'_>) + Send + Sync>);

impl Reporter {
    /// Hand every report to a function; it is called on the loader's thread.
    pub fn new(take: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Say something.
    pub(super) fn tell(&self, report: &Report<'_>) {
        (self.0)(report);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}
