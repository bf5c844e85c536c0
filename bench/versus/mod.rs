//! Side by side with other servers: the same list, the same processor, the same questions; `bench/compare` runs it.
//!
//! Each cell of the [plan](plan) has a list and a mix of questions. Its servers take turns in each round, so that what else happens on the
//! machine happens to all. A server is kept on one processor and the generator on another; processor time is what the scheduler counted for
//! the server's threads. Samples, medians, a report and plots go to a directory.

mod fire;
mod floor;
mod hickory;
mod kxdp;
mod list;
mod machine;
mod measure;
mod plan;
mod plot;
mod report;
mod results;
mod servers;
mod traffic;
mod zipf;

use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lists::Rng;
use crate::suite::{ZONE, fail};

pub use hickory::Nothing;
use list::Entries;
pub use machine::Cpu;
use plan::{Cell, ListPlan, Plan};
use results::Results;
use servers::{Given, LIST, MASTER, Server, Which};
use traffic::Traffic;

/// What the comparison is asked to do.
#[derive(Debug)]
pub struct Options {
    /// Small lists and short measurements.
    pub quick: bool,
    /// Where results go.
    pub out: PathBuf,
    /// The command that the user gave, for the report.
    pub command: String,
    /// Only these cells, all when empty.
    pub cells: Vec<String>,
}

/// Names the directory of real lists.
const DATA: &str = "DNSBLD_DATA";
/// Where they are otherwise, beside the project.
const DATA_BESIDE: &str = "../shared/data";
/// The real list of hosts.
const REAL: &str = "ip4/malicious.txt.gz";
/// Where servers listen: loopback, beside the address that clients have.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 53, 1));
/// Seed of the queries.
const SEED: u64 = 0x6_0001;
/// Queries that dnsperf reads.
const DNSPERF_QUERIES: usize = 100_000;

/// Run it all.
pub fn run(options: &Options) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors < 2 {
        fail("two processors are needed: one for a server and one for the generator");
    }
    let plan = if options.quick { Plan::QUICK } else { Plan::FULL };
    let begin = Instant::now();
    let dir = tempfile::Builder::new().prefix("dnsbld-compare-").tempdir().unwrap_or_else(|error| {
        fail(&format!("{}: no directory can be made there: {error}; set TMPDIR", std::env::temp_dir().display()))
    });
    // rbldnsd started by root reads the lists as another user.
    let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    let _ = fs::set_permissions(dir.path(), open);
    if let Err(error) = dnsbld::sys::pin_to_cpu(1) {
        fail(&format!("the generator can not be kept on one processor: {error}"));
    }
    let load_before = crate::suite::load_average();
    let mut results = Results::default();
    let mut loaded: Option<(ListPlan, Entries)> = None;
    let wanted = |cell: &Cell| options.cells.is_empty() || options.cells.iter().any(|name| name == cell.name);
    for cell in plan.cells().into_iter().filter(wanted) {
        if loaded.as_ref().is_none_or(|(list, _)| *list != cell.list) {
            drop(loaded.take());
            let Some(entries) = entries(cell.list) else {
                eprintln!("== {}: left out, no real lists in ${DATA} or {DATA_BESIDE}", cell.name);
                continue;
            };
            loaded = Some((cell.list, entries));
            prepare(dir.path(), &cell, loaded.as_ref().map(|(_, entries)| entries));
        }
        let Some((_, entries)) = &loaded else { continue };
        eprintln!("== {}: {} entries, {:.0} s so far", cell.name, entries.len(), begin.elapsed().as_secs_f64());
        results.cells.push((cell.name, entries.len()));
        run_cell(dir.path(), &cell, &plan, entries, &mut results);
    }
    let facts = report::Facts {
        quick: options.quick,
        command: options.command.clone(),
        processors,
        load_before,
        load_after: crate::suite::load_average(),
        took: begin.elapsed(),
        plan,
    };
    report::write(&options.out, &facts, &results);
    eprintln!("== done after {:.0} s: {}", begin.elapsed().as_secs_f64(), options.out.display());
}

/// Run a part as a process of its own: the floor or hickory-server.
pub fn child(args: &[&str]) -> bool {
    match args {
        ["floor", address, workers, percent, hit, miss] => floor::child(address, workers, percent, hit, miss),
        ["hickory", address] => hickory::child(address),
        _ => return false,
    }
    true
}

/// The entries of a list; none when it is real and not there.
fn entries(list: ListPlan) -> Option<Entries> {
    Some(match list {
        ListPlan::Hosts(n) => Entries::hosts(n),
        ListPlan::Prefixes(n) => Entries::prefixes(n),
        ListPlan::Names(n) => Entries::names(n),
        ListPlan::Real => {
            let data = std::env::var_os(DATA).map_or_else(|| PathBuf::from(DATA_BESIDE), PathBuf::from);
            let mut text = String::new();
            let file = fs::File::open(data.join(REAL)).ok()?;
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).ok()?;
            Entries::of_hosts(
                text.lines().filter_map(|line| line.trim().parse::<Ipv4Addr>().ok()).map(u32::from).collect(),
            )
        }
    })
}

/// Write both versions of a list, and as master files where a server wants them.
fn prepare(dir: &Path, cell: &Cell, entries: Option<&Entries>) {
    let Some(entries) = entries else { return };
    for name in LIST.iter().chain(&MASTER) {
        let _ = fs::remove_file(dir.join(name));
    }
    let as_master = cell.servers.iter().chain(cell.alone).any(|which| which.reads_master_file());
    for version in [1, 2] {
        if version == 2 && !cell.reload {
            continue;
        }
        let written = entries.write(&dir.join(LIST[version]), version == 2);
        written.unwrap_or_else(|error| fail(&format!("{}/{}: {error}", dir.display(), LIST[version])));
        // A list of which no other server sees a second version needs no second master file.
        let second = cell.servers.iter().any(|which| which.reads_master_file());
        if as_master && (version == 1 || second) {
            export(dir, entries.kind(), LIST[version], MASTER[version]);
        }
    }
}

/// Have the server write a list as a master file.
fn export(dir: &Path, kind: &str, from: &str, to: &str) {
    let settings = dir.join("export.toml");
    let text = format!("[[zone]]\nname = \"{ZONE}\"\ndatasets = [{{ type = \"{kind}\", files = [\"{from}\"] }}]\n");
    let master = fs::write(&settings, text).and_then(|()| fs::File::create(dir.join(to)));
    let master = master.unwrap_or_else(|error| fail(&format!("{}: {error}", dir.display())));
    let status = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
        .args(["export", "--zone", ZONE, "--to", "master-file", "--config"])
        .arg(&settings)
        .stdin(Stdio::null())
        .stdout(master)
        .status();
    if !status.is_ok_and(|status| status.success()) {
        fail("the list could not be exported as a master file");
    }
}

/// All rounds of one cell.
fn run_cell(dir: &Path, cell: &Cell, plan: &Plan, entries: &Entries, results: &mut Results) {
    let traffic = Traffic::new(entries, cell.mix, plan.queries, SEED);
    let hit = servers::query(&entries.hit(1, &mut Rng::new(1)));
    let miss = (1..).find_map(|rank| entries.miss(rank)).map(|subject| servers::query(&subject));
    let pair = if cell.in_full { kxdp::Pair::new() } else { None };
    let percent = (cell.mix.hit_ratio * 100.0).round() as u64;
    let mut given = Given {
        dir: dir.to_owned(),
        host: pair.as_ref().map_or(HOST, kxdp::Pair::address),
        kind: entries.kind(),
        workers: cell.workers,
        probe: hit.clone(),
        tails: (percent, floor::Tail::default(), floor::Tail::default()),
        load_max: plan.load_max,
    };
    back_to_first(dir);
    // The sizes that the floor copies are those of this server's answers.
    let sample = Server::start(Which::Dnsbld, &given).unwrap_or_else(|why| fail(&format!("dnsbld {why}")));
    let (hit_tail, miss_tail) = servers::tails(&sample, &hit, &miss.unwrap_or_else(|| hit.clone()));
    given.tails = (percent, hit_tail, miss_tail);
    drop(sample);
    let questions = dir.join("dnsperf");
    if cell.in_full {
        let written = fs::write(&questions, traffic.to_dnsperf(DNSPERF_QUERIES));
        written.unwrap_or_else(|error| fail(&format!("{}: {error}", questions.display())));
    }
    let mut staying: Vec<Server> = Vec::new();
    for round in 0..plan.rounds {
        for &which in cell.servers {
            if results.failures.iter().any(|(name, failed, _)| *name == cell.name && *failed == which) {
                continue;
            }
            let at = staying.iter().position(|server| server.which == which);
            let server = match at {
                Some(at) => Some(staying.remove(at)),
                None => {
                    back_to_first(dir);
                    measure::start(which, cell, &given, results)
                }
            };
            let Some(server) = server else { continue };
            measure::turn(&server, cell, plan, &traffic, results);
            if cell.in_full {
                measure::dnsperf(&server, cell, plan, &questions, results);
                if let Some(pair) = &pair {
                    pair.measure(&server, cell, &questions, results);
                }
            }
            // A server that is slow to load is not started for each round, and reloads once, at the end.
            let slow = Duration::from_secs_f64(server.load_s) > plan.load_slow;
            if cell.reload && which.has_list() && (!slow || round + 1 == plan.rounds) {
                measure::reload(&server, cell, &given, &traffic, results);
            } else if slow {
                staying.push(server);
            }
        }
        eprintln!("{}: round {} of {}", cell.name, round + 1, plan.rounds);
    }
    drop(staying);
    for &which in cell.alone {
        back_to_first(dir);
        let Some(server) = measure::start(which, cell, &given, results) else { continue };
        for _ in 0..plan.rounds {
            measure::turn(&server, cell, plan, &traffic, results);
        }
        eprintln!("{}: {} alone", cell.name, which.name());
    }
}

/// Put the first version of a list in place.
fn back_to_first(dir: &Path) {
    servers::put(dir, LIST, 1);
    if dir.join(MASTER[1]).exists() {
        servers::put(dir, MASTER, 1);
    }
}
