//! Load time: `zonefile::read` of a file in the page cache, beside rbldnsd's own figure for the same file.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use dnsbld::dataset::Kind;

use crate::rbldnsd;
use crate::suite::{self, Shape, Suite, fail};
use crate::table::{Table, Target};
use crate::timing::median;

/// rbldnsd's time on this kind of machine where it is not installed: 5 million sorted hosts as `ip4set`, s.
const IP4SET_SECONDS: f64 = 0.21;
/// Likewise as `ip4trie`.
const IP4TRIE_SECONDS: f64 = 1.75;
/// How many times as fast as rbldnsd `ip4trie` has to load.
const IP4TRIE_FACTOR: f64 = 4.0;

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let sizes = &suite.sizes;
    let (small, large) = (sizes.hosts_small, sizes.hosts_large);
    let cases = [
        (Kind::Ip4Tset, Shape::HostsSorted, large),
        (Kind::Ip4Tset, Shape::Hosts, large),
        (Kind::Ip4Set, Shape::HostsSorted, large),
        (Kind::Ip4Set, Shape::Hosts, large),
        (Kind::Ip4Set, Shape::HostsValued, large),
        (Kind::Ip4Set, Shape::Hosts, small),
        (Kind::Ip4Set, Shape::PrefixesV4Country, sizes.prefixes_v4),
        (Kind::Ip4Trie, Shape::HostsSorted, large),
        (Kind::Ip4Trie, Shape::Hosts, large),
        (Kind::Ip4Trie, Shape::HostsValued, large),
        (Kind::Ip4Trie, Shape::PrefixesV4, sizes.prefixes_v4),
        (Kind::Ip4Trie, Shape::PrefixesV4Country, sizes.prefixes_v4),
        (Kind::Ip6Tset, Shape::Nets64, sizes.prefixes_v6),
        (Kind::Ip6Trie, Shape::PrefixesV6, sizes.prefixes_v6),
        (Kind::Ip6Trie, Shape::PrefixesV6Country, sizes.prefixes_v6),
        (Kind::Dnset, Shape::Names, sizes.names),
        (Kind::Dnset, Shape::NamesValued, sizes.names),
        (Kind::Dnset, Shape::NamesWild, sizes.names),
        (Kind::Generic, Shape::Records, sizes.records),
        (Kind::Combined, Shape::Combined, large / 4),
    ];
    for (kind, shape, n) in cases {
        row(suite, table, kind, shape, n);
    }
}

/// Load times of one list, s.
#[derive(Debug, Default)]
struct Times {
    /// Ours in a fresh process.
    first: Vec<f64>,
    /// Ours again in the same process.
    again: Vec<f64>,
    /// rbldnsd's, a fresh process each.
    theirs: Vec<f64>,
}

/// Measure one list and add its row.
fn row(suite: &Suite, table: &mut Table, kind: Kind, shape: Shape, n: usize) {
    let list = suite.list(shape, n);
    let mut times = Times::default();
    // In turn, so that a busy spell of the machine hits both.
    for _ in 0..suite.sizes.rounds {
        let [first, again] = ours(kind, &list.path);
        times.first.push(first);
        times.again.push(again);
        times.theirs.extend(rbldnsd::run(kind, &list.path).map(|run| run.seconds));
    }
    let seconds = median(&mut times.first);
    let theirs = (!times.theirs.is_empty()).then(|| median(&mut times.theirs));
    let known = theirs.or(match (kind, shape) {
        (Kind::Ip4Set, Shape::HostsSorted) => Some(IP4SET_SECONDS),
        (Kind::Ip4Trie, Shape::HostsSorted) => Some(IP4TRIE_SECONDS),
        _ => None,
    });
    let target = known.map(|known| {
        let most = if kind == Kind::Ip4Trie { known / IP4TRIE_FACTOR } else { known };
        Target { most, text: format!("≤ {most:.3} s") }
    });
    // Medians have sorted the times: the first is the least.
    table.row(
        &format!("load {n} {shape:?} as {kind}"),
        seconds,
        format!(
            "{seconds:.3} s (best {:.3}; again {:.3}), {:.1} M/s",
            times.first[0],
            median(&mut times.again),
            n as f64 / seconds / 1e6
        ),
        target.as_ref(),
        theirs.map(|seconds| format!("{seconds:.2} s (best {:.2})", times.theirs[0])),
    );
}

/// Our load times in a fresh process, s: the first load, and one more.
fn ours(kind: Kind, path: &Path) -> [f64; 2] {
    let text = child_output(&["load", kind.name(), &path.to_string_lossy()]);
    let times: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    times.try_into().unwrap_or_else(|_| fail(&format!("the child's load times were not two numbers: {text}")))
}

/// Load and free a file twice; print the seconds.
pub fn child(kind: &str, file: &str) {
    let kind: Kind = kind.parse().unwrap_or_else(|error| fail(&format!("{error}")));
    for _ in 0..2 {
        let start = Instant::now();
        let dataset = suite::read(kind, Path::new(file));
        println!("{:.6}", start.elapsed().as_secs_f64());
        drop(dataset);
    }
}

/// What this program prints when run again as a child with `args`.
pub fn child_output(args: &[&str]) -> String {
    let exe = std::env::current_exe().unwrap_or_else(|error| fail(&format!("own program: {error}")));
    let output = Command::new(exe).arg("child").args(args).output();
    let output = output.unwrap_or_else(|error| fail(&format!("the child can not be run: {error}")));
    if !output.status.success() {
        fail(&format!("child {args:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}
