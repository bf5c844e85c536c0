//! What the loader is told to load, and how.

use std::path::Path;
use std::time::Duration;

use super::report::Reporter;
use crate::dataset::Kind;
use crate::wire::name::Name;
use crate::zone::ZoneSettings;
use crate::zonefile::{ReadOptions, Source};

/// One zone: what it is called, what it is made of, and what must never go into service.
#[derive(Clone, Debug)]
pub struct ZoneSpec {
    /// Name, made-up records and TTLs.
    pub settings: ZoneSettings,
    /// Its datasets, in order. A source named by two zones is read once and shared.
    pub sources: Vec<Source>,
    /// What new data must not list, and how much they may differ.
    pub guard: GuardOptions,
    /// What happens when no newer file comes.
    pub expiry: ExpiryOptions,
}

impl ZoneSpec {
    /// A zone of this name without data, everything else as the settings file has it by default.
    pub fn new(name: &Name) -> Self {
        Self {
            settings: ZoneSettings::new(name),
            sources: Vec::new(),
            guard: GuardOptions::default(),
            expiry: ExpiryOptions::default(),
        }
    }

    /// The same with a dataset more: a type and its files, which may be compressed with gzip.
    #[must_use]
    pub fn dataset<P: AsRef<Path>>(mut self, kind: Kind, files: impl IntoIterator<Item = P>) -> Self {
        let files = files.into_iter().map(|file| file.as_ref().to_owned()).collect();
        self.sources.push(Source { kind, files, options: ReadOptions::default() });
        self
    }
}

/// The guards of one zone; what each one looks at is told in `guard.rs`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardOptions {
    /// Refuse data that list 127.0.0.1 or ::ffff:127.0.0.1 (RFC 5782 section 5).
    pub loopback: bool,
    /// Refuse data that list the world.
    pub world: bool,
    /// Refuse data that list the name `invalid` (RFC 5782 section 5).
    pub invalid_name: bool,
    /// Greatest share of a dataset's entries that one reload may take away, 0–1; `None` for any.
    pub shrink_max: Option<f64>,
    /// Greatest factor by which one reload may multiply a dataset's entries, from 1; `None` for any.
    pub grow_max: Option<f64>,
}

impl GuardOptions {
    /// No guard at all, as with rbldnsd.
    pub const OFF: Self = Self { loopback: false, world: false, invalid_name: false, shrink_max: None, grow_max: None };
}

impl Default for GuardOptions {
    /// Every guard on. Half: what is lost when a list made from two feeds misses one is still let through. Ten:
    /// one more digit than yesterday is more likely an accident than a day's harvest.
    fn default() -> Self {
        Self { loopback: true, world: true, invalid_name: true, shrink_max: Some(0.5), grow_max: Some(10.0) }
    }
}

/// What happens when the newest file of a zone grows older than a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiryOptions {
    /// Nothing; age is for the metrics to watch.
    #[default]
    None,
    /// Go on serving; say so in the log and in the status.
    Keep {
        /// The limit, s.
        after_s: u64,
    },
    /// Answer SERVFAIL (EDE 24) until a newer file comes.
    Servfail {
        /// The limit, s.
        after_s: u64,
    },
}

impl ExpiryOptions {
    /// The limit, s.
    pub fn after_s(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Keep { after_s } | Self::Servfail { after_s } => Some(after_s),
        }
    }
}

/// How the loader watches files.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Time between two looks at every file. What file events miss, on network mounts above all, is found by this.
    pub poll: Duration,
    /// How long files must be quiet after an event before they are read.
    pub settle: Duration,
    /// Longest wait for quiet; files that never rest are read anyway.
    pub settle_max: Duration,
    /// Whether to ask the system for file events; off leaves the poll and [`super::Command::LookNow`].
    pub watch: bool,
    /// Called after old data were freed, to hand free memory back to the system.
    pub trim: Option<fn()>,
    /// Who is told what files and zones are like, in place of the log.
    pub reporter: Option<Reporter>,
}

impl Default for LoadOptions {
    /// A minute, as rbldnsd polls; half a second, in which rsync renames the files of one generation; five
    /// seconds, which is less than anybody waits for an update.
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            settle: Duration::from_millis(500),
            settle_max: Duration::from_secs(5),
            watch: true,
            trim: None,
            reporter: None,
        }
    }
}
