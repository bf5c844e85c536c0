//! Memory: what a fresh process holds after loading one list, and the most it held while loading and reloading.
//!
//! "Beyond the empty server" is taken at its word: the process first loads a list of one line of the same type,
//! so that the code and the allocator are there, and that state is the zero point. A fixed index of the type
//! therefore counts only as far as an empty list does not have it.

use std::fs;
use std::path::Path;

use dnsbld::dataset::Kind;
use dnsbld::sys;

use crate::load::child_output;
use crate::rbldnsd;
use crate::suite::{self, Shape, Suite, fail};
use crate::table::{Table, Target};

/// The peak may be so many times the loaded size, and the uncompressed file's size more.
const PEAK_FACTOR: f64 = 2.5;

/// What a child tells.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// Resident before loading, KiB.
    before: u64,
    /// Resident when loaded, KiB.
    after: u64,
    /// Most resident while loading, KiB.
    peak: u64,
    /// Most resident while loading again with the first copy alive, KiB.
    reload_peak: u64,
    /// Resident when the first copy is gone, KiB.
    reloaded: u64,
    /// What the dataset says of itself, octets.
    heap: u64,
    /// Entries, as the dataset counts them.
    entries: u64,
}

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let sizes = &suite.sizes;
    let large = sizes.hosts_large;
    let cases = [
        (Kind::Ip4Tset, Shape::Hosts, large, Some(2.5)),
        (Kind::Ip4Set, Shape::Hosts, large, Some(2.5)),
        (Kind::Ip4Trie, Shape::Hosts, large, Some(2.5)),
        (Kind::Ip4Trie, Shape::HostsSorted, large, Some(2.5)),
        (Kind::Ip4Set, Shape::HostsValued, large, Some(5.0)),
        (Kind::Ip4Trie, Shape::HostsValued, large, Some(5.0)),
        (Kind::Ip4Set, Shape::Hosts, sizes.hosts_small, None),
        (Kind::Ip4Trie, Shape::HostsValued, sizes.hosts_small, None),
        (Kind::Ip4Trie, Shape::PrefixesV4, sizes.prefixes_v4, Some(8.0)),
        (Kind::Ip4Trie, Shape::PrefixesV4Country, sizes.prefixes_v4, Some(8.0)),
        (Kind::Ip4Set, Shape::PrefixesV4Country, sizes.prefixes_v4, None),
        (Kind::Ip6Trie, Shape::PrefixesV6, sizes.prefixes_v6, Some(14.0)),
        (Kind::Ip6Trie, Shape::PrefixesV6Country, sizes.prefixes_v6, Some(14.0)),
        (Kind::Ip6Tset, Shape::Nets64, sizes.prefixes_v6, None),
        (Kind::Dnset, Shape::Names, sizes.names, Some(26.0)),
        (Kind::Dnset, Shape::NamesValued, sizes.names, Some(26.0)),
        (Kind::Dnset, Shape::NamesWild, sizes.names, None),
        (Kind::Generic, Shape::Records, sizes.records, None),
        (Kind::Combined, Shape::Combined, large / 4, None),
    ];
    let names = suite::names(sizes.names);
    let letters = names.iter().map(String::len).sum::<usize>() as f64 / names.len() as f64;
    table.note(&format!("Names have {letters:.1} letters in the mean, dots counted, no final dot."));
    drop(names);
    for (kind, shape, n, most) in cases {
        row(suite, table, kind, shape, n, most);
    }
}

/// Measure one list and add its rows.
fn row(suite: &Suite, table: &mut Table, kind: Kind, shape: Shape, n: usize, most: Option<f64>) {
    let list = suite.list(shape, n);
    let warm = suite.list(shape, if shape == Shape::Combined { 2 } else { 1 });
    let figures = measure(kind, &list.path, &warm.path);
    if figures.entries != n as u64 {
        fail(&format!("{shape:?} as {kind}: {} entries were loaded of {n} written", figures.entries));
    }
    let size = figures.after.saturating_sub(figures.before) as f64 * 1024.0;
    let each = size / n as f64;
    let theirs = rbldnsd_memory(kind, &list.path, &warm.path);
    table.row(
        &format!("bytes an entry, {n} {shape:?} as {kind}"),
        each,
        format!("{each:.2} B (heap {:.2})", figures.heap as f64 / n as f64),
        most.map(|most| Target::most(most, "B")).as_ref(),
        theirs.map(|(bytes, _)| format!("{:.1} B", bytes / n as f64)),
    );
    let limit = PEAK_FACTOR * size + list.bytes as f64;
    let target = Target { most: limit, text: format!("≤ {}", mib(limit)) };
    let peak = figures.peak.saturating_sub(figures.before) as f64 * 1024.0;
    let reload_peak = figures.reload_peak.saturating_sub(figures.before) as f64 * 1024.0;
    let over = |peak: f64| format!("{} ({:.2} × loaded)", mib(peak), peak / size);
    table.row(
        "— peak while loading",
        peak,
        over(peak),
        Some(&target),
        theirs.map(|(bytes, peak)| format!("{} ({:.2} ×)", mib(peak), peak / bytes)),
    );
    let kept = figures.reloaded.saturating_sub(figures.before) as f64 * 1024.0;
    table.row(
        "— peak while reloading",
        reload_peak,
        format!("{}, then {}", over(reload_peak), mib(kept)),
        Some(&target),
        None,
    );
}

/// Octets as MiB.
fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1_048_576.0)
}

/// rbldnsd's resident memory and peak beyond its own with a list of one line, octets.
fn rbldnsd_memory(kind: Kind, path: &Path, warm: &Path) -> Option<(f64, f64)> {
    let (empty, full) = (rbldnsd::run(kind, warm)?, rbldnsd::run(kind, path)?);
    let beyond = |kib: u64| kib.saturating_sub(empty.resident_kib) as f64 * 1024.0;
    Some((beyond(full.resident_kib), beyond(full.peak_kib)))
}

/// Have a fresh process load and reload a list.
fn measure(kind: Kind, path: &Path, warm: &Path) -> Figures {
    let text = child_output(&["memory", kind.name(), &path.to_string_lossy(), &warm.to_string_lossy()]);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [before, after, peak, reload_peak, reloaded, heap, entries] => {
            Figures { before, after, peak, reload_peak, reloaded, heap, entries }
        }
        _ => fail(&format!("the child's memory figures were not seven numbers: {text}")),
    }
}

/// Load, then load again with the first copy alive; print the figures in the order of [`Figures`].
pub fn child(kind: &str, file: &str, warm: &str) {
    let kind: Kind = kind.parse().unwrap_or_else(|error| fail(&format!("{error}")));
    // As the server does: large arrays are mapped by themselves, and what is free is given back after each load.
    sys::tune_allocator();
    drop(suite::read(kind, Path::new(warm)));
    sys::trim();
    let before = resident("VmRSS");
    forget_peak();
    let first = suite::read(kind, Path::new(file));
    let peak = resident("VmHWM");
    sys::trim();
    let after = resident("VmRSS");
    forget_peak();
    let second = suite::read(kind, Path::new(file));
    let reload_peak = resident("VmHWM");
    let (heap, entries) = (first.heap_bytes(), first.entries());
    drop(first);
    sys::trim();
    let reloaded = resident("VmRSS");
    println!("{before} {after} {peak} {reload_peak} {reloaded} {heap} {entries}");
    drop(second);
}

/// Have the kernel start `VmHWM` anew (proc(5), `clear_refs`); where it can not, the older peak stays.
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// A field of this process's status, KiB.
fn resident(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status_kib(&status, field).unwrap_or_else(|| fail(&format!("/proc/self/status has no {field}: Linux is needed")))
}

/// A field of a status file of proc(5), KiB.
pub fn status_kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
