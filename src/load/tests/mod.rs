//! Scenarios: what operators do to files, and what is served then. Time is injected, nothing sleeps.

mod access;
mod files;
mod guards;
mod life;

use std::cell::Cell;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::handle::{Command, Event};
use super::loader::Loader;
use super::plan::{ExpiryOptions, GuardOptions, LoadOptions, ZoneSpec};
use super::status::{ReloadOutcome, Status, ZoneStatus};
use crate::dataset::Kind;
use crate::diag::{BadFile, Diagnostic};
use crate::stats::Registry;
use crate::sys::clock::Moment;
use crate::zone::{Publisher, Reader, Zone, ZoneSettings, ZoneState};
use crate::zonefile::{Loaded, ReadOptions, Source};

/// Modification time of the first file written, seconds since 1970; each further one is a second younger.
const MTIME_S: u64 = 1_700_000_000;

thread_local! {
    /// Sources read by this test.
    static READS: Cell<u32> = const { Cell::new(0) };
    /// How many of the next readings find that the file changes under them.
    static CHANGES: Cell<u32> = const { Cell::new(0) };
}

/// The real reader, counted, and disturbed when a test asks for it.
fn read(source: &Source, now: i64, tell: &mut dyn FnMut(Diagnostic)) -> Result<Loaded, BadFile> {
    READS.set(READS.get() + 1);
    if CHANGES.get() > 0 {
        CHANGES.set(CHANGES.get() - 1);
        return Err(BadFile::Changed { file: source.files[0].clone() });
    }
    crate::zonefile::read(source, now, tell)
}

/// A loader on files of its own, and a clock to turn.
struct Bench {
    /// Where the files are.
    directory: tempfile::TempDir,
    /// What is tested.
    loader: Loader,
    /// What it says of itself.
    status: Arc<Status>,
    /// What it publishes.
    reader: Reader,
    /// The time.
    now: Moment,
    /// Modification time of the next file written, seconds since 1970.
    mtime_s: u64,
    /// The access list for all zones in the settings.
    acl: Option<Source>,
}

/// How the tests watch: without events of the system, which the tests give themselves.
fn options() -> LoadOptions {
    LoadOptions { watch: false, ..LoadOptions::default() }
}

impl Bench {
    /// A bench without zones.
    fn new() -> Self {
        let status = Arc::new(Status::default());
        let publisher = Publisher::default();
        let reader = publisher.reader();
        let mut loader = Loader::new(Vec::new(), options(), Arc::default(), Arc::clone(&status), publisher);
        loader.read = read;
        READS.set(0);
        CHANGES.set(0);
        Self {
            directory: tempfile::tempdir().unwrap(),
            loader,
            status,
            reader,
            now: Moment { monotonic: Duration::from_secs(5), unix_s: (MTIME_S + 100) as f64 },
            mtime_s: MTIME_S,
            acl: None,
        }
    }

    /// A bench with zones, after the first pass.
    fn start(files: &[(&str, &str)], zones: &[ZoneText]) -> Self {
        let mut bench = Self::new();
        for (name, text) in files {
            bench.write(name, text);
        }
        bench.replace(zones);
        READS.set(0);
        bench
    }

    /// The path of a file.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Write a file in place; it gets its own second.
    fn write(&mut self, name: &str, content: impl AsRef<[u8]>) {
        self.write_dated(name, content, self.mtime_s);
        self.mtime_s += 1;
    }

    /// Write a file in place with a modification time.
    fn write_dated(&self, name: &str, content: impl AsRef<[u8]>, mtime_s: u64) {
        let mut file = std::fs::File::create(self.path(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mtime_s)).unwrap();
    }

    /// What the settings would say.
    fn specs(&self, zones: &[ZoneText]) -> Vec<ZoneSpec> {
        let source = |name: &&str| {
            let kind = match name {
                _ if name.starts_with("names") => Kind::Dnset,
                _ if name.ends_with("acl") => Kind::Acl,
                _ => Kind::Ip4Set,
            };
            Source { kind, files: vec![self.path(name)], options: ReadOptions::default() }
        };
        let spec = |zone: &ZoneText| ZoneSpec {
            settings: settings(zone.name, zone.ttl),
            sources: zone.files.iter().map(source).collect(),
            guard: zone.guard,
            expiry: zone.expiry,
        };
        zones.iter().map(spec).collect()
    }

    /// New settings.
    fn replace(&mut self, zones: &[ZoneText]) {
        let command = Command::Replace { specs: self.specs(zones), acl: self.acl.clone(), options: options() };
        self.loader.take_event(Event::Command(command), self.now);
        self.loader.step(self.now);
    }

    /// Let time go by, doing what is due at the end of it.
    fn pass_time(&mut self, seconds: f64) {
        self.now.monotonic += Duration::from_secs_f64(seconds);
        self.now.unix_s += seconds;
        self.loader.step(self.now);
    }

    /// An event, and time enough to settle.
    fn touched(&mut self) {
        self.loader.take_event(Event::Touched, self.now);
        self.pass_time(0.6);
    }

    /// A poll, and time enough to settle after it.
    fn polled(&mut self) {
        self.pass_time(60.0);
        self.pass_time(0.6);
    }

    /// SIGHUP.
    fn look_now(&mut self) {
        self.loader.take_event(Event::Command(Command::LookNow), self.now);
        self.loader.step(self.now);
    }

    /// A zone in the snapshot.
    fn zone(&self, name: &str) -> Arc<Zone> {
        let snapshot = self.reader.load();
        snapshot.zones.iter().find(|zone| zone.settings.name.to_string() == name).cloned().unwrap()
    }

    /// Whether a zone lists an address.
    fn lists(&self, zone: &str, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let zone = self.zone(zone);
        let parts: Vec<_> = zone.datasets.iter().flat_map(|dataset| dataset.parts()).collect();
        parts.iter().any(|(_, part)| part.lists_address(address))
    }

    /// A zone in the status.
    fn status(&self, name: &str) -> ZoneStatus {
        self.status.lock().zones.iter().find(|zone| zone.name == name).cloned().unwrap()
    }

    /// Generation in service.
    fn generation(&self) -> u64 {
        let generation = self.reader.load().generation;
        assert_eq!(self.status.lock().generation, generation);
        generation
    }

    /// Check what a zone serves and says: state, whether it lists 192.0.2.1 and .2, last outcome, part of the error.
    #[track_caller]
    fn check(&self, name: &str, state: ZoneState, lists: [bool; 2], outcome: ReloadOutcome, error: &str) {
        let status = self.status(name);
        assert_eq!(self.zone(name).state, state, "{status:?}");
        assert_eq!(status.state, state);
        assert_eq!([self.lists(name, "192.0.2.1"), self.lists(name, "192.0.2.2")], lists, "{status:?}");
        assert_eq!(status.last_outcome, Some(outcome), "{status:?}");
        assert!(status.last_error.contains(error), "{status:?}");
        assert_eq!(status.last_error.is_empty(), error.is_empty(), "{status:?}");
    }
}

/// A zone as a test writes it down.
#[derive(Clone, Copy)]
struct ZoneText {
    /// Its name.
    name: &'static str,
    /// Its files; those whose names begin with `names` are dnset, those that end with `acl` acl, others ip4set.
    files: &'static [&'static str],
    /// Its guards.
    guard: GuardOptions,
    /// What happens when no newer file comes.
    expiry: ExpiryOptions,
    /// A setting that can be changed, s.
    ttl: u32,
}

/// A zone with every guard and no expiry.
fn zone(name: &'static str, files: &'static [&'static str]) -> ZoneText {
    ZoneText { name, files, guard: GuardOptions::default(), expiry: ExpiryOptions::None, ttl: 2100 }
}

/// Settings of a zone.
fn settings(name: &str, ttl: u32) -> ZoneSettings {
    ZoneSettings {
        retired: None,
        wrong_kind: None,
        name: name.parse().unwrap(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl,
        negative_ttl: 2100,
        ttl_min: 0,
        ttl_max: u32::MAX,
        make_apex: true,
    }
}

/// A list of `n` hosts.
fn hosts(n: u32) -> String {
    (0..n).map(|i| format!("10.1.{}.{}\n", i >> 8, i & 255)).collect()
}

use ReloadOutcome::{BadFile as Bad, Guarded, Published};
use ZoneState::{Expired, NotReady, Ready};

/// A list of 192.0.2.1 and one of 192.0.2.2.
const ONE: &str = "192.0.2.1\n";
/// The other one.
const TWO: &str = "192.0.2.2\n";
