//! Instruction counts against committed bounds: what a change costs, told in a minute and on a busy machine.
//!
//! `cargo test` runs this (see `[[bench]]` in `Cargo.toml`). Counts hang on the compiler and its options, so they are judged only
//! where no debug assertions are built in, as `tests/run` builds; the bounds are those of its profile. A figure over its bound
//! fails; one well below it asks for a new bound, so that what was won is kept.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{fs, thread};

use dnsbld::dataset::Kind;

use crate::counts::{self, valgrind_is_there};
use crate::suite::{Shape, Sizes, Suite, fail};

/// The file of bounds, beside this one: a line for each figure, its name, a tab and its bound.
const BOUNDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/counts.tsv");
/// How far a count may lie from its bound, in hundredths. Seeds of hashes differ from run to run and other compilers choose
/// other instructions; a needless copy of a datagram costs more than this.
const TOLERANCE_PERCENT: f64 = 3.0;
/// Hosts of the list that is asked about: those the target speaks of.
const HOSTS: usize = 1_000_000;
/// Lines of the other lists that are asked about.
const LINES: usize = 100_000;
/// Queries for each figure.
const QUERIES: usize = 10_000;
/// Lines of the smaller of two lists whose difference gives instructions a line: enough for a list of hosts to take
/// its large form.
const LOADED_LINES: usize = 110_000;
/// Counts at a time. Nothing is timed, so they may disturb one another.
const AT_ONCE: usize = 2;

/// What is counted by one run of the program.
struct Task {
    /// How its figures begin.
    name: &'static str,
    /// Type of the dataset.
    kind: Kind,
    /// Its list.
    shape: Shape,
    /// Lines of the list.
    lines: usize,
    /// What is asked, or [`LOAD`].
    question: &'static str,
}

/// No question: the list is loaded.
const LOAD: &str = "load a line";

/// What is counted, the longest first.
const TASKS: [Task; 10] = [
    task("ip4trie", Kind::Ip4Trie, Shape::HostsValued, HOSTS, "a-hit"),
    task("ip4trie", Kind::Ip4Trie, Shape::HostsValued, HOSTS, "a-hit-edns"),
    task("ip4trie", Kind::Ip4Trie, Shape::HostsValued, HOSTS, "a-miss"),
    task("ip4trie", Kind::Ip4Trie, Shape::HostsValued, HOSTS, "txt-hit"),
    task("dnset", Kind::Dnset, Shape::NamesValued, LOADED_LINES, LOAD),
    task("ip6trie", Kind::Ip6Trie, Shape::PrefixesV6Country, LOADED_LINES, LOAD),
    task("ip4trie", Kind::Ip4Trie, Shape::HostsValued, LOADED_LINES, LOAD),
    task("ip4set", Kind::Ip4Set, Shape::Hosts, LOADED_LINES, LOAD),
    task("dnset", Kind::Dnset, Shape::NamesValued, LINES, "a-hit"),
    task("ip6trie", Kind::Ip6Trie, Shape::PrefixesV6Country, LINES, "a-hit"),
];

/// A task.
const fn task(name: &'static str, kind: Kind, shape: Shape, lines: usize, question: &'static str) -> Task {
    Task { name, kind, shape, lines, question }
}

impl Task {
    /// The figure's name, and what was counted.
    fn count(&self, suite: &Suite) -> (String, f64) {
        if self.question == LOAD {
            return (format!("{} {LOAD}", self.name), counts::load(suite, self.kind, self.shape, self.lines));
        }
        let list = suite.list(self.shape, self.lines);
        let each = counts::answer(suite, self.kind, &list.path, self.question, (self.lines, QUERIES));
        (format!("{} answer {}", self.name, self.question), each)
    }
}

/// Count everything and judge it, unless words are given of which no figure holds one. Returns whether all is well.
pub fn run(words: &[String]) -> bool {
    const NAME: &str = "instructions_stay_within_their_bounds";
    if !words.is_empty() && !words.iter().any(|word| NAME.contains(word.as_str())) {
        return summary(0, 0);
    }
    if cfg!(debug_assertions) {
        println!("instruction counts are not judged in a debug build; `tests/run` builds what they are bounds of");
        return summary(0, 0);
    }
    if !valgrind_is_there() {
        println!("SKIPPED: valgrind is absent");
        let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        return if ci { summary(0, 1) } else { summary(1, 0) };
    }
    let mut counted = count_all(&Suite::new(Sizes::QUICK));
    counted.sort_by(|a, b| a.0.cmp(&b.0));
    let bounds = fs::read_to_string(BOUNDS).unwrap_or_else(|error| fail(&format!("{BOUNDS}: {error}")));
    let (report, held) = judge(&counted, &bounds);
    print!("{report}");
    println!("test {NAME} ... {}", if held { "ok" } else { "FAILED" });
    summary(u32::from(held), u32::from(!held))
}

/// Say how it ended, as other tests do; returns whether all is well.
fn summary(passed: u32, failed: u32) -> bool {
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n");
    failed == 0
}

/// Count all tasks, some at a time.
fn count_all(suite: &Suite) -> Vec<(String, f64)> {
    let (next, counted) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // Lists are written one after another: two tasks may share one.
    for task in &TASKS {
        suite.list(task.shape, task.lines);
        if task.question == LOAD {
            suite.list(task.shape, 2 * task.lines);
        }
    }
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(task) = TASKS.get(next.fetch_add(1, Relaxed)) {
                    let figure = task.count(suite);
                    counted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(figure);
                }
            });
        }
    });
    counted.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Compare counts with the bounds; tells each figure, and what to do about those that are off, and whether all are held.
fn judge(counted: &[(String, f64)], bounds: &str) -> (String, bool) {
    let (mut report, mut held) = (String::new(), true);
    let file = Path::new(BOUNDS).file_name().unwrap_or_default().display();
    let lines = || bounds.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
    let mut say = |line: String| {
        let _ = writeln!(report, "{line}");
    };
    for (figure, count) in counted {
        let bound = lines().find(|(name, _)| name == figure).and_then(|(_, bound)| bound.trim().parse::<f64>().ok());
        let Some(bound) = bound else {
            held = false;
            say(format!(
                "{figure}: {count:.0} instructions, and bench/{file} has no bound; add the line\n{figure}\t{count:.0}"
            ));
            continue;
        };
        let percent = (count / bound - 1.0) * 100.0;
        say(format!("{figure}: {count:.0} instructions, bound {bound:.0} ({percent:+.1} %)"));
        if percent > TOLERANCE_PERCENT {
            held = false;
            say(format!(
                "  more than {TOLERANCE_PERCENT} % over: find what was added (see bench/README.md, counts), or, if it is worth \
                 its cost, say so in the commit that puts this line into bench/{file}:\n{figure}\t{count:.0}"
            ));
        } else if percent < -TOLERANCE_PERCENT {
            say(format!("  well below: keep what was won, put this line into bench/{file}:\n{figure}\t{count:.0}"));
        }
    }
    for (name, _) in lines().filter(|(name, _)| !counted.iter().any(|(figure, _)| figure == name)) {
        held = false;
        say(format!("{name}: bench/{file} has a bound for what is not counted; take the line out"));
    }
    (report, held)
}
