//! What all sections share: sizes, the lists on disk, and reading them.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dnsbld::dataset::{Dataset, Kind};
use dnsbld::wire::name::Name;
use dnsbld::zone::{Snapshot, Zone, ZoneSettings, ZoneState};
use dnsbld::zonefile::{self, ReadOptions, Source};
use tempfile::TempDir;

use crate::lists::{self, Value};

/// The zone that all answers come from.
pub const ZONE: &str = "bl.example.org";

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Hosts of the smaller host lists.
    pub hosts_small: usize,
    /// Hosts of the larger host lists, which the targets speak of.
    pub hosts_large: usize,
    /// IPv4 prefixes.
    pub prefixes_v4: usize,
    /// IPv6 prefixes, and /64s of the `ip6tset` list.
    pub prefixes_v6: usize,
    /// Names.
    pub names: usize,
    /// Records of the `generic` list.
    pub records: usize,
    /// Different queries in one round.
    pub queries: usize,
    /// Rounds, of which the median is told.
    pub rounds: usize,
    /// Lines of the smaller of two lists whose difference gives instructions a line.
    pub counted_lines: usize,
    /// Queries answered under the instruction counter.
    pub counted_queries: usize,
    /// Lines of a mail server's log.
    pub log_lines: usize,
}

impl Sizes {
    /// Sizes that the targets speak of.
    pub const FULL: Self = Self {
        hosts_small: 1_000_000,
        hosts_large: 5_000_000,
        prefixes_v4: 750_000,
        prefixes_v6: 500_000,
        names: 2_000_000,
        records: 500_000,
        queries: 1 << 20,
        rounds: 7,
        counted_lines: 100_000,
        counted_queries: 20_000,
        log_lines: 10_000_000,
    };
    /// Sizes that take seconds in all.
    pub const QUICK: Self = Self {
        hosts_small: 20_000,
        hosts_large: 100_000,
        prefixes_v4: 20_000,
        prefixes_v6: 20_000,
        names: 40_000,
        records: 10_000,
        queries: 1 << 16,
        rounds: 5,
        counted_lines: 5_000,
        counted_queries: 2_000,
        log_lines: 100_000,
    };
}

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Random hosts in order.
    HostsSorted,
    /// Random hosts, shuffled.
    Hosts,
    /// Random hosts, shuffled, one of 200 values each.
    HostsValued,
    /// IPv4 prefixes, one value for all.
    PrefixesV4,
    /// IPv4 prefixes, one of 240 texts each.
    PrefixesV4Country,
    /// IPv6 prefixes, one value for all.
    PrefixesV6,
    /// IPv6 prefixes, one of 240 texts each.
    PrefixesV6Country,
    /// IPv6 /64s as four words.
    Nets64,
    /// Names.
    Names,
    /// Names, one of 200 values each.
    NamesValued,
    /// Names that stand for themselves and all below (`.name`).
    NamesWild,
    /// A and TXT records in turn.
    Records,
    /// Hosts and names in two sections.
    Combined,
}

/// One list on disk.
#[derive(Clone, Debug)]
pub struct List {
    /// Its file.
    pub path: PathBuf,
    /// Octets of the file.
    pub bytes: u64,
}

/// Sizes and the directory that lists are written to when first asked for.
#[derive(Debug)]
pub struct Suite {
    /// How much of everything.
    pub sizes: Sizes,
    /// Goes away with the suite.
    dir: TempDir,
}

impl Suite {
    /// A suite with an empty directory.
    pub fn new(sizes: Sizes) -> Self {
        let dir = tempfile::Builder::new().prefix("dnsbld-bench-").tempdir().unwrap_or_else(|error| {
            fail(&format!("{}: no directory can be made there: {error}; set TMPDIR", std::env::temp_dir().display()))
        });
        // rbldnsd started by root reads the lists as another user.
        let _ = fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755));
        Self { sizes, dir }
    }

    /// Where files may be put.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A list of `n` entries; written when first asked for.
    pub fn list(&self, shape: Shape, n: usize) -> List {
        let path = self.dir.path().join(format!("{shape:?}-{n}"));
        if !path.exists() {
            write(shape, n, &path).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
        }
        let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
        List { path, bytes }
    }

    /// The machine and the sizes, one line.
    pub fn describe(&self) -> String {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
        let threads = std::thread::available_parallelism().map_or(0, usize::from);
        format!(
            "Machine: {}, {threads} threads, load average at the start {}. Sizes: {} and {} hosts, {} IPv4 prefixes, \
             {} IPv6 prefixes, {} names; medians of {} rounds of {} queries.",
            model.trim_start_matches([' ', '\t', ':']).trim_end(),
            load_average(),
            self.sizes.hosts_small,
            self.sizes.hosts_large,
            self.sizes.prefixes_v4,
            self.sizes.prefixes_v6,
            self.sizes.names,
            self.sizes.rounds,
            self.sizes.queries,
        )
    }
}

/// Say why the benchmark can not go on, and end.
pub fn fail(message: &str) -> ! {
    eprintln!("bench: {message}");
    // Unwinding rather than exiting, so that the directory of lists goes away.
    std::panic::resume_unwind(Box::new(()))
}

/// The machine's load averages; other work makes times longer.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Load one file; a finding or a bad file ends the program, for then the list is not what was meant.
pub fn read(kind: Kind, path: &Path) -> Dataset {
    let source = Source { kind, files: vec![path.to_owned()], options: ReadOptions::default() };
    let loaded = zonefile::read(&source, now(), &mut |finding| fail(&finding.to_string()));
    loaded.unwrap_or_else(|error| fail(&error.to_string())).dataset
}

/// A snapshot with the one zone [`ZONE`], which serves one dataset.
pub fn snapshot(dataset: Dataset) -> Snapshot {
    let name = |text: &str| text.parse::<Name>().unwrap_or_else(|error| fail(&format!("{text}: {error}")));
    let settings = ZoneSettings {
        name: name(ZONE),
        ns: vec![name("ns1.example.org"), name("ns2.example.org")],
        mname: None,
        rname: None,
        ttl: 2100,
        negative_ttl: 300,
        ttl_min: 0,
        ttl_max: u32::MAX,
        make_apex: true,
        retired: None,
        wrong_kind: None,
    };
    let zone = Zone::build(settings, 1, 1, ZoneState::Ready, vec![Arc::new(dataset)]);
    Snapshot::new(vec![Arc::new(zone)], 1)
}

/// `n` random hosts, sorted: those of every host list of this size.
pub fn hosts(n: usize) -> Vec<u32> {
    lists::hosts(n, 1)
}

/// `n` IPv4 prefixes, sorted.
pub fn prefixes_v4(n: usize) -> Vec<(u32, u8)> {
    lists::prefixes_v4(n, 2)
}

/// `n` IPv6 prefixes, sorted.
pub fn prefixes_v6(n: usize) -> Vec<(u128, u8)> {
    lists::prefixes_v6(n, 3)
}

/// `n` names in random order.
pub fn names(n: usize) -> Vec<String> {
    lists::names(n, 4)
}

/// Write a list of `n` entries.
fn write(shape: Shape, n: usize, path: &Path) -> io::Result<()> {
    let shuffled = |mut hosts: Vec<u32>| {
        lists::Rng::new(5).shuffle(&mut hosts);
        hosts
    };
    let name_key = |name: &String, out: &mut BufWriter<fs::File>| out.write_all(name.as_bytes());
    match shape {
        Shape::HostsSorted => lists::write_list(path, &hosts(n), Value::None, lists::host_key),
        Shape::Hosts => lists::write_list(path, &shuffled(hosts(n)), Value::None, lists::host_key),
        Shape::HostsValued => lists::write_list(path, &shuffled(hosts(n)), Value::Codes, lists::host_key),
        Shape::PrefixesV4 => lists::write_list(path, &prefixes_v4(n), Value::None, lists::prefix_v4_key),
        Shape::PrefixesV4Country => lists::write_list(path, &prefixes_v4(n), Value::Country, lists::prefix_v4_key),
        Shape::PrefixesV6 => lists::write_list(path, &prefixes_v6(n), Value::None, lists::prefix_v6_key),
        Shape::PrefixesV6Country => lists::write_list(path, &prefixes_v6(n), Value::Country, lists::prefix_v6_key),
        Shape::Nets64 => lists::write_list(path, &lists::nets_64(n, 6), Value::None, lists::net64_key),
        Shape::Names => lists::write_list(path, &names(n), Value::None, name_key),
        Shape::NamesValued => lists::write_list(path, &names(n), Value::Codes, name_key),
        Shape::NamesWild => lists::write_list(path, &names(n), Value::None, |name, out| write!(out, ".{name}")),
        Shape::Records => {
            let mut text = false;
            lists::write_list(path, &names(n), Value::None, |name, out| {
                text = !text;
                if text { write!(out, "{name} TXT \"listed\"") } else { write!(out, "{name} A 127.0.0.2") }
            })
        }
        Shape::Combined => {
            let mut out = BufWriter::new(fs::File::create(path)?);
            writeln!(out, "$DATASET ip4set:hosts ip")?;
            for host in shuffled(hosts(n / 2)) {
                writeln!(out, "{}", std::net::Ipv4Addr::from_bits(host))?;
            }
            writeln!(out, "$DATASET dnset:names name")?;
            for name in names(n - n / 2) {
                writeln!(out, "{name}")?;
            }
            out.flush()
        }
    }
}
