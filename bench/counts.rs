//! Instruction counts under `valgrind --tool=callgrind`: they repeat to the last digit on a noisy machine.
//!
//! For answers the counter runs only inside `wire::counted`. For loading the whole program is counted with a
//! list and with one twice as long, and the difference is told: start-up and fixed indexes fall out, and work
//! on other threads is in.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use dnsbld::dataset::Kind;

use crate::queries::{self, A, Datagrams, SOA, Subject, Subjects, TXT};
use crate::suite::{self, Shape, Suite, ZONE, fail};
use crate::table::Table;
use crate::wire;

/// The function inside which answers are counted, as callgrind names it.
pub const COUNTED: &str = "*wire*counted*";
/// callgrind's name of an instruction read.
pub const INSTRUCTIONS: &str = "Ir";

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    if !valgrind_is_there() {
        table.note("Instruction counts were left out: `valgrind` is not installed.");
        return;
    }
    answers(suite, table);
    loads(suite, table);
}

/// Whether instructions can be counted here.
pub fn valgrind_is_there() -> bool {
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    valgrind.is_ok_and(|status| status.success())
}

/// Instructions for one answer to a question about a list of so many lines, of so many that are asked.
pub fn answer(suite: &Suite, kind: Kind, list: &Path, question: &str, (lines, asked): (usize, usize)) -> f64 {
    let case = format!("{question}/{lines}/{asked}");
    count(suite, &case, kind, list, &[format!("--toggle-collect={COUNTED}")]) as f64 / asked as f64
}

/// Instructions for one loaded line: those of a list of twice `n` lines less those of one of `n`.
pub fn load(suite: &Suite, kind: Kind, shape: Shape, n: usize) -> f64 {
    let all = [n, 2 * n].map(|n| count(suite, "load", kind, &suite.list(shape, n).path, &[]));
    all[1].saturating_sub(all[0]) as f64 / n as f64
}

/// Instructions for one answered query.
fn answers(suite: &Suite, table: &mut Table) {
    let (lines, asked) = (suite.sizes.counted_lines, suite.sizes.counted_queries);
    let cases: [(Kind, Shape, &[&str]); 6] = [
        (Kind::Ip4Trie, Shape::HostsValued, &["a-hit", "a-hit-edns", "a-miss", "txt-hit", "soa-apex", "refused"]),
        (Kind::Ip4Set, Shape::HostsValued, &["a-hit", "a-miss"]),
        (Kind::Ip4Tset, Shape::Hosts, &["a-hit", "a-miss"]),
        (Kind::Ip4Trie, Shape::PrefixesV4Country, &["a-hit", "a-miss"]),
        (Kind::Ip6Trie, Shape::PrefixesV6Country, &["a-hit", "a-miss"]),
        (Kind::Dnset, Shape::NamesValued, &["a-hit", "a-miss", "txt-hit"]),
    ];
    for (kind, shape, questions) in cases {
        let list = suite.list(shape, lines);
        for question in questions {
            let each = answer(suite, kind, &list.path, question, (lines, asked));
            let figure = format!("instructions an answer, {lines} {shape:?} as {kind}, {question}");
            table.row(&figure, each, format!("{each:.0}"), None, None);
        }
    }
}

/// Instructions for one loaded line.
fn loads(suite: &Suite, table: &mut Table) {
    let n = suite.sizes.counted_lines;
    let cases = [
        (Kind::Ip4Tset, Shape::Hosts),
        (Kind::Ip4Set, Shape::Hosts),
        (Kind::Ip4Set, Shape::HostsValued),
        (Kind::Ip4Trie, Shape::Hosts),
        (Kind::Ip4Trie, Shape::HostsValued),
        (Kind::Ip4Trie, Shape::PrefixesV4Country),
        (Kind::Ip6Tset, Shape::Nets64),
        (Kind::Ip6Trie, Shape::PrefixesV6Country),
        (Kind::Dnset, Shape::Names),
        (Kind::Dnset, Shape::NamesValued),
        (Kind::Generic, Shape::Records),
        (Kind::Combined, Shape::Combined),
    ];
    for (kind, shape) in cases {
        let each = load(suite, kind, shape, n);
        let figure = format!("instructions a loaded line, {shape:?} as {kind}");
        table.row(&figure, each, format!("{each:.0}"), None, None);
    }
}

/// Run a child under callgrind; returns the instructions counted.
fn count(suite: &Suite, case: &str, kind: Kind, path: &Path, options: &[String]) -> u64 {
    let counted = events(suite, case, kind, path, options);
    counted.iter().find(|(event, _)| event == INSTRUCTIONS).map_or(0, |&(_, count)| count)
}

/// Run a child under callgrind; returns what it counted, each by callgrind's name of the event.
pub fn events(suite: &Suite, case: &str, kind: Kind, path: &Path, options: &[String]) -> Vec<(String, u64)> {
    let exe = std::env::current_exe().unwrap_or_else(|error| fail(&format!("own program: {error}")));
    // A name of its own, as several may count at a time.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let counts = suite.dir().join(format!("callgrind.out.{}", NUMBER.fetch_add(1, Relaxed)));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .args(options)
        .arg(exe)
        .args(["child", "count", case, kind.name()])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| fail(&format!("valgrind can not be run: {error}")));
    if !output.status.success() {
        fail(&format!("{case} under valgrind: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = fs::read_to_string(&counts).unwrap_or_default();
    let line = |head: &str| text.lines().find_map(|line| line.strip_prefix(head)).unwrap_or_default();
    let totals = line("totals:").split_whitespace().map_while(|total| total.parse().ok());
    let counted: Vec<(String, u64)> = line("events:").split_whitespace().map(str::to_owned).zip(totals).collect();
    match counted.iter().find(|(event, _)| event == INSTRUCTIONS) {
        Some(&(_, total)) if total > 0 => counted,
        _ => fail(&format!("{case}: callgrind counted nothing")),
    }
}

/// Do one case once, to be counted.
pub fn child(case: &str, kind: &str, file: &str) {
    let kind: Kind = kind.parse().unwrap_or_else(|error| fail(&format!("{error}")));
    let dataset = suite::read(kind, Path::new(file));
    let mut words = case.split('/');
    let question = words.next().unwrap_or_default();
    if question == "load" {
        return;
    }
    let mut number = || words.next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(1);
    let (lines, asked) = (number(), number());
    let datagrams = match question {
        "soa-apex" => Datagrams::apex(ZONE, SOA, asked),
        "refused" => Datagrams::apex("example.net", A, asked),
        // The shape's name is at the start of the file's.
        _ if file.contains("Hosts") => ask(&queries::about_hosts(&suite::hosts(lines), asked), question),
        _ if file.contains("PrefixesV4") => {
            ask(&queries::about_prefixes_v4(&suite::prefixes_v4(lines), asked), question)
        }
        _ if file.contains("PrefixesV6") => {
            ask(&queries::about_prefixes_v6(&suite::prefixes_v6(lines), asked), question)
        }
        _ => ask(&queries::about_names(&suite::names(lines), asked), question),
    };
    let listed = wire::answer_once(&datagrams, &suite::snapshot(dataset));
    let expected = if question.contains("hit") { asked as u64 } else { 0 };
    if listed != expected {
        fail(&format!("{case}: {listed} were listed, not {expected}"));
    }
}

/// The datagrams of a question.
fn ask<T: Subject>(subjects: &Subjects<T>, question: &str) -> Datagrams {
    match question {
        "a-hit" => Datagrams::about(&subjects.hits, A, false),
        "a-hit-edns" => Datagrams::about(&subjects.hits, A, true),
        "a-miss" => Datagrams::about(&subjects.misses, A, false),
        "txt-hit" => Datagrams::about(&subjects.hits, TXT, false),
        other => fail(&format!("`{other}` is no question")),
    }
}
