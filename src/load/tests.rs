//! Scenarios: what operators do to files, and what is served then. Time is injected, nothing sleeps.

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
            let kind = if name.starts_with("names") { Kind::Dnset } else { Kind::Ip4Set };
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
        let command = Command::Replace { specs: self.specs(zones), options: options() };
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
    /// Its files; those whose names begin with `names` are dnset, others ip4set.
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

#[test]
fn first_pass() {
    let mut bench = Bench::new();
    bench.write("one", ONE);
    bench.loader = {
        let specs = bench.specs(&[zone("a.example", &["one"]), zone("b.example", &["missing"])]);
        let publisher = Publisher::default();
        bench.reader = publisher.reader();
        Loader::new(specs, options(), Arc::default(), Arc::clone(&bench.status), publisher)
    };
    assert!(!bench.status.lock().first_pass_done);
    bench.loader.first_pass_at(bench.now);
    assert!(bench.status.lock().first_pass_done);
    assert_eq!(bench.generation(), 1);
    bench.check("a.example", Ready, [true, false], Published, "");
    bench.check("b.example", NotReady, [false, false], Bad, "missing");
    assert!(!bench.status.ready());
    bench.write("missing", TWO);
    bench.touched();
    assert_eq!(bench.generation(), 2);
    bench.check("b.example", Ready, [false, true], Published, "");
    assert!(bench.status.ready());
}

#[test]
fn rewritten_renamed_deleted_restored() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!(bench.zone("bl.example").serial, MTIME_S as u32);

    bench.write("list", TWO);
    bench.touched();
    bench.check("bl.example", Ready, [false, true], Published, "");
    assert_eq!((bench.generation(), bench.zone("bl.example").serial), (2, MTIME_S as u32 + 1));

    bench.write("aside", ONE);
    std::fs::rename(bench.path("aside"), bench.path("list")).unwrap();
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!((bench.generation(), bench.zone("bl.example").serial), (3, MTIME_S as u32 + 2));

    std::fs::rename(bench.path("list"), bench.path("aside")).unwrap();
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Bad, "list: ");
    assert_eq!((bench.generation(), bench.status("bl.example").reloads), (3, [3, 1, 0]));

    std::fs::rename(bench.path("aside"), bench.path("list")).unwrap();
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!(bench.generation(), 4);
}

#[test]
fn nothing_changed_nothing_read() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.touched();
    bench.polled();
    bench.look_now();
    assert_eq!((READS.get(), bench.generation()), (0, 1));
}

#[test]
fn same_size_and_time_but_another_file() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.write_dated("aside", TWO, MTIME_S);
    std::fs::rename(bench.path("aside"), bench.path("list")).unwrap();
    bench.polled();
    bench.check("bl.example", Ready, [false, true], Published, "");
}

#[test]
fn bad_files_keep_the_last_good_copy() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let whole = gzip(&format!("{TWO}{}", hosts(100)));
    let cut = &whole[..whole.len() / 2];
    let garbage = b"<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n";
    let binary: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (what, content) in [("cut gzip", cut), ("garbage", garbage), ("binary", &binary), ("not gzip", &whole[..9])] {
        let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
        bench.write("list", content);
        bench.touched();
        println!("{what}");
        bench.check("bl.example", Ready, [true, false], Bad, "list");
        assert_eq!(bench.generation(), 1, "{what}");
        bench.write("list", &whole);
        bench.touched();
        bench.check("bl.example", Ready, [false, true], Published, "");
    }
}

#[test]
fn a_failure_is_repeated_quietly_and_ever_more_rarely() {
    let mut bench = Bench::start(&[], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", NotReady, [false, false], Bad, "list");
    let mut read_at = Vec::new();
    for minute in 1..=130 {
        bench.pass_time(60.0);
        if READS.replace(0) > 0 {
            read_at.push(minute);
        }
    }
    assert_eq!(read_at, [1, 3, 7, 15, 31, 63, 123]);
    assert_eq!(bench.status("bl.example").reloads, [0, 1, 0], "a quiet repetition is no reload");
    bench.look_now();
    assert_eq!(bench.status("bl.example").reloads, [0, 2, 0], "one that was asked for is");
}

#[test]
fn timestamp_of_the_future_mends_itself() {
    let mut bench = Bench::start(&[], &[zone("bl.example", &["list"])]);
    // MTIME_S is 2023-11-14 22:13:20 UTC; the bench starts 100 s later.
    bench.write("list", format!("$TIMESTAMP 2023:11:14:22:16:40\n{ONE}"));
    bench.touched();
    bench.check("bl.example", NotReady, [false, false], Bad, "list");
    bench.pass_time(400.0);
    bench.check("bl.example", Ready, [true, false], Published, "");
}

#[test]
fn guards_on_content() {
    let no_loopback = GuardOptions { loopback: false, ..GuardOptions::default() };
    for (guard, files, content, error) in [
        (GuardOptions::default(), &["list", "half"][..], "127.0.0.1\n", "guard.loopback"),
        (GuardOptions::default(), &["list", "half"], "127.0.0.0/8\n", "guard.loopback"),
        (no_loopback, &["list", "half"], "0.0.0.0/1\n128.0.0.0/1\n", "guard.world"),
        (no_loopback, &["half", "list"], "0.0.0.0/1\n", "guard.world"),
        (GuardOptions::default(), &["names", "half"], "invalid\n", "guard.invalid-name"),
        (GuardOptions::default(), &["names", "half"], ".invalid\n", "guard.invalid-name"),
    ] {
        let bad = ZoneText { guard, ..zone("bl.example", files) };
        let name = if files[0] == "half" { files[1] } else { files[0] };
        let first = if name == "names" { "host.example\n" } else { "192.0.2.9\n" };
        let half = format!("{ONE}128.0.0.0/1\n");
        let zones = [bad, zone("other.example", &["other"])];
        let mut bench = Bench::start(&[(name, first), ("half", &half), ("other", ONE)], &zones);
        bench.check("bl.example", Ready, [true, true], Published, "");

        bench.write(name, content);
        bench.write("half", TWO.repeat(2) + if name == "list" && files[0] == "half" { "128.0.0.0/1\n" } else { "" });
        bench.write("other", TWO);
        bench.touched();
        println!("{content}");
        bench.check("bl.example", Ready, [true, true], Guarded, error);
        assert!(Arc::ptr_eq(&bench.zone("bl.example").datasets[0], &bench.loader.zones[0].in_service[0].dataset));
        bench.check("other.example", Ready, [false, true], Published, "");
        let generation = bench.generation();
        bench.touched();
        bench.polled();
        assert_eq!((bench.generation(), bench.status("bl.example").reloads[2]), (generation, 1));

        // Switched off, it goes into service at once.
        bench.replace(&[ZoneText { guard: GuardOptions::OFF, ..bad }, zones[1]]);
        assert_eq!(bench.status("bl.example").last_outcome, Some(Published), "{content}");
        assert_eq!(bench.generation(), generation + 1);
    }
}

#[test]
fn guarded_at_the_first_load() {
    let mut bench = Bench::start(&[("list", "127.0.0.1\n192.0.2.1\n")], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", NotReady, [false, false], Guarded, "guard.loopback");
    bench.write("list", "127.0.0.2\n192.0.2.1\n");
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
}

#[test]
fn a_refused_dataset_comes_back_with_the_others() {
    let zones = [zone("bl.example", &["a", "b"])];
    let mut bench = Bench::start(&[("a", "192.0.2.8\n"), ("b", "192.0.2.9\n")], &zones);
    bench.write("a", ONE);
    bench.write("b", "127.0.0.1\n");
    bench.touched();
    bench.check("bl.example", Ready, [false, false], Guarded, "guard.loopback");
    bench.write("b", TWO);
    bench.touched();
    bench.check("bl.example", Ready, [true, true], Published, "");
    assert_eq!(bench.generation(), 2);
}

#[test]
fn a_bad_file_holds_its_zone_but_no_other() {
    let zones = [zone("both.example", &["a", "b"]), zone("a.example", &["a"])];
    let mut bench = Bench::start(&[("a", "192.0.2.8\n"), ("b", "192.0.2.9\n")], &zones);
    bench.write("a", ONE);
    std::fs::remove_file(bench.path("b")).unwrap();
    bench.touched();
    bench.check("both.example", Ready, [false, false], Bad, "b: ");
    bench.check("a.example", Ready, [true, false], Published, "");
    bench.write("b", TWO);
    bench.touched();
    bench.check("both.example", Ready, [true, true], Published, "");
    bench.check("a.example", Ready, [true, false], Published, "");
    assert_eq!(bench.status("a.example").reloads, [2, 0, 0]);
}

#[test]
fn shrinking_and_growing() {
    for (old, new, outcome, error) in [
        (1000, 500, Published, ""),
        (1000, 499, Guarded, "guard.shrink-max"),
        (1000, 0, Guarded, "guard.shrink-max"),
        (999, 0, Published, ""),
        (1000, 10_000, Published, ""),
        (1000, 10_001, Guarded, "guard.grow-max"),
    ] {
        let mut bench = Bench::start(&[("list", &hosts(old))], &[zone("bl.example", &["list"])]);
        bench.write("list", hosts(new));
        bench.touched();
        bench.check("bl.example", Ready, [false, false], outcome, error);
        let entries: u64 = bench.status("bl.example").datasets.iter().map(|dataset| dataset.entries).sum();
        assert_eq!(entries, u64::from(if outcome == Published { new } else { old }), "{old} -> {new}");
    }
}

#[test]
fn a_shared_source_is_read_once() {
    let mut bench = Bench::new();
    bench.write("list", ONE);
    bench.replace(&[zone("a.example", &["list"]), zone("b.example", &["list"])]);
    assert_eq!(READS.get(), 1);
    assert!(Arc::ptr_eq(&bench.zone("a.example").datasets[0], &bench.zone("b.example").datasets[0]));
    bench.write("list", TWO);
    bench.touched();
    assert_eq!(READS.get(), 2);
    assert!(bench.lists("a.example", "192.0.2.2") && bench.lists("b.example", "192.0.2.2"));
}

#[test]
fn shared_but_guarded_by_one_zone_only() {
    let strict = zone("strict.example", &["list"]);
    let lax = ZoneText { guard: GuardOptions::OFF, ..zone("lax.example", &["list"]) };
    let mut bench = Bench::start(&[("list", ONE)], &[strict, lax]);
    bench.write("list", "127.0.0.1\n192.0.2.2\n");
    bench.touched();
    bench.check("strict.example", Ready, [true, false], Guarded, "guard.loopback");
    bench.check("lax.example", Ready, [false, true], Published, "");
    assert_eq!(READS.get(), 1);
    // Without the lax zone nobody serves the refused data, so the file is read again when the strict one may.
    bench.replace(&[strict]);
    bench.check("strict.example", Ready, [true, false], Guarded, "guard.loopback");
    bench.replace(&[ZoneText { guard: GuardOptions::OFF, ..strict }]);
    bench.check("strict.example", Ready, [false, true], Published, "");
}

#[test]
fn files_of_one_generation_change_together() {
    let zones = [zone("a.example", &["a"]), zone("b.example", &["b"])];
    let mut bench = Bench::start(&[("a", "192.0.2.8\n"), ("b", "192.0.2.9\n")], &zones);
    bench.write("a", ONE);
    bench.loader.take_event(Event::Touched, bench.now);
    bench.pass_time(0.4);
    assert_eq!((bench.generation(), READS.get()), (1, 0), "not at rest yet");
    bench.write("b", TWO);
    bench.loader.take_event(Event::Touched, bench.now);
    bench.pass_time(0.4);
    assert_eq!((bench.generation(), READS.get()), (1, 0), "not at rest yet");
    bench.pass_time(0.2);
    assert_eq!((bench.generation(), READS.get()), (2, 2), "one publication");
    assert!(bench.lists("a.example", "192.0.2.1") && bench.lists("b.example", "192.0.2.2"));
}

#[test]
fn polling_waits_for_rest_too() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.write("list", "192.0.2.7\n");
    bench.pass_time(60.0);
    bench.write("list", "192.0.2.7\n192.0.2.8\n");
    bench.pass_time(0.6);
    assert_eq!(READS.get(), 0, "still being written");
    bench.write("list", TWO);
    bench.pass_time(0.6);
    assert_eq!(READS.get(), 0, "still being written");
    bench.pass_time(0.6);
    bench.check("bl.example", Ready, [false, true], Published, "");
    assert_eq!(READS.get(), 1);
    // A file that never rests is read all the same.
    bench.pass_time(60.0);
    for i in 0..9 {
        bench.write("list", format!("192.0.2.{i}\n"));
        bench.pass_time(0.6);
    }
    assert_eq!(READS.get(), 2);
}

#[test]
fn written_to_while_it_is_read() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.write("list", TWO);
    CHANGES.set(2);
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!(READS.get(), 1);
    bench.pass_time(0.6);
    bench.pass_time(0.6);
    bench.check("bl.example", Ready, [false, true], Published, "");
    assert_eq!((READS.get(), bench.generation()), (3, 2));
    // Three times in a row is a failure.
    bench.write("list", ONE);
    CHANGES.set(3);
    bench.touched();
    bench.pass_time(0.6);
    bench.pass_time(0.6);
    bench.check("bl.example", Ready, [false, true], Bad, "changed while it was read");
    bench.pass_time(0.6);
    assert_eq!(READS.get(), 6);
}

#[test]
fn settings_replaced() {
    let a = zone("a.example", &["a"]);
    let mut bench = Bench::start(&[("a", ONE), ("b", TWO)], &[a, zone("gone.example", &["b"])]);
    let serial = bench.zone("a.example").serial;
    let slot = bench.zone("a.example").slot;
    bench.replace(&[zone("new.example", &["b", "a"]), ZoneText { ttl: 60, ..a }]);
    assert_eq!(READS.get(), 0, "nothing changed on disk");
    assert_eq!((bench.generation(), bench.status.lock().settings_reloads), (2, [2, 0]));
    let names: Vec<String> = bench.reader.load().zones.iter().map(|zone| zone.settings.name.to_string()).collect();
    assert_eq!(names, ["new.example", "a.example"]);
    bench.check("new.example", Ready, [true, true], Published, "");
    bench.check("a.example", Ready, [true, false], Published, "");
    let changed = bench.zone("a.example");
    assert_eq!((changed.settings.ttl, changed.serial, changed.slot), (60, serial + 1, slot));

    // A dataset that can not be read leaves the zone with what it has, and goes away with the setting.
    bench.replace(&[zone("a.example", &["a", "missing"])]);
    bench.check("a.example", Ready, [true, false], Bad, "missing");
    bench.replace(&[a]);
    bench.check("a.example", Ready, [true, false], Published, "");
    // A new zone starts with what others still serve of a file that is bad now.
    std::fs::remove_file(bench.path("a")).unwrap();
    bench.replace(&[a, zone("late.example", &["a"])]);
    bench.check("late.example", Ready, [true, false], Bad, "a: ");
    bench.replace(&[]);
    assert_eq!(bench.reader.load().zones.len(), 0);
    assert_eq!(bench.status.lock().zones.len(), 0);
}

#[test]
fn serials() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    let base = MTIME_S as u32;
    for (text, mtime_s, expected) in [
        (TWO, MTIME_S + 60, base + 60),
        ("192.0.2.1\n192.0.2.2\n", MTIME_S + 60, base + 61),
        (ONE, MTIME_S - 1_000_000, base + 62),
        (TWO, MTIME_S + 61, base + 63),
        (ONE, MTIME_S + 600, base + 600),
    ] {
        bench.write_dated("list", text, mtime_s);
        bench.touched();
        assert_eq!(bench.zone("bl.example").serial, expected, "{mtime_s}");
        assert_eq!(bench.status("bl.example").serial, expected);
        bench.touched();
        assert_eq!(bench.zone("bl.example").serial, expected, "unchanged data keep it");
    }
    let soa = "$SOA 0 ns.example. hostmaster.example. 2024010101 1h 1h 1w 1h\n";
    bench.write("list", format!("{soa}{ONE}"));
    bench.touched();
    assert_eq!(bench.zone("bl.example").serial, 2_024_010_101);
    bench.write("list", format!("{soa}{TWO}"));
    bench.touched();
    assert_eq!(bench.zone("bl.example").serial, 2_024_010_101);
    bench.check("bl.example", Ready, [false, true], Published, "");
}

#[test]
fn expiry_by_timestamp() {
    // MTIME_S is 2023-11-14 22:13:20 UTC; the bench starts 100 s later.
    let text = format!("$TIMESTAMP 2023:11:14:22:13:20 2023:11:14:22:18:20\n{ONE}");
    let mut bench = Bench::start(&[("list", &text)], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert!(bench.loader.wait(bench.now) <= Duration::from_secs(60));
    bench.pass_time(199.0);
    bench.check("bl.example", Ready, [true, false], Published, "");
    let wait = bench.loader.wait(bench.now);
    assert!((Duration::from_secs(1)..Duration::from_millis(1010)).contains(&wait), "{wait:?}");
    let serial = bench.zone("bl.example").serial;
    bench.pass_time(wait.as_secs_f64());
    bench.check("bl.example", Expired, [true, false], Published, "");
    assert_eq!((bench.generation(), bench.zone("bl.example").serial), (2, serial));
    bench.write("list", TWO);
    bench.touched();
    bench.check("bl.example", Ready, [false, true], Published, "");
}

#[test]
fn expiry_by_age() {
    for (expiry, state) in
        [(ExpiryOptions::Keep { after_s: 300 }, Ready), (ExpiryOptions::Servfail { after_s: 300 }, Expired)]
    {
        let bl = ZoneText { expiry, ..zone("bl.example", &["list"]) };
        let mut bench = Bench::start(&[("list", ONE)], &[bl]);
        bench.pass_time(199.0);
        bench.check("bl.example", Ready, [true, false], Published, "");
        assert!(!bench.status("bl.example").stale);
        assert!(bench.loader.wait(bench.now) < Duration::from_millis(1010));
        bench.pass_time(1.5);
        bench.check("bl.example", state, [true, false], Published, "");
        assert!(bench.status("bl.example").stale);
        let now_s = bench.now.unix_s as u64;
        bench.write_dated("list", TWO, now_s);
        bench.touched();
        bench.check("bl.example", Ready, [false, true], Published, "");
        assert!(!bench.status("bl.example").stale);
    }
}

#[test]
fn old_data_are_freed_when_readers_let_go() {
    thread_local! {
        /// Calls of the trim hook.
        static TRIMS: Cell<u32> = const { Cell::new(0) };
    }
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.loader.options.trim = Some(|| TRIMS.set(TRIMS.get() + 1));
    let held = Arc::clone(&bench.reader.load());
    let data = Arc::downgrade(&held.zones[0].datasets[0]);
    bench.write("list", TWO);
    bench.touched();
    assert_eq!((bench.status.lock().retired_snapshots, TRIMS.get()), (1, 0));
    assert!(bench.loader.wait(bench.now) <= Duration::from_millis(100));
    drop(held);
    assert!(data.upgrade().is_some(), "a reader frees nothing");
    bench.pass_time(0.1);
    assert!(data.upgrade().is_none());
    assert_eq!((bench.status.lock().retired_snapshots, TRIMS.get()), (0, 1));
    bench.pass_time(0.1);
    assert_eq!(TRIMS.get(), 1);
}

#[test]
fn the_thread_takes_commands_in_order() {
    let bench = Bench::new();
    bench.write_dated("list", ONE, MTIME_S);
    let specs = bench.specs(&[zone("bl.example", &["list"])]);
    let (status, publisher) = (Arc::new(Status::default()), Publisher::default());
    let reader = publisher.reader();
    let options = LoadOptions { poll: Duration::from_secs(3600), ..LoadOptions::default() };
    let loader = Loader::new(Vec::new(), options.clone(), Arc::new(Registry::default()), status.clone(), publisher);
    let handle = loader.handle();
    let thread = std::thread::spawn(move || loader.run());
    handle.send(Command::Replace { specs, options });
    handle.send(Command::LookNow);
    handle.send(Command::Stop);
    thread.join().unwrap();
    assert!(status.ready());
    assert_eq!(reader.load().generation, 2);
    assert_eq!(reader.load().zones.len(), 1);
}
