//! What an answer costs as a list grows: instructions, and cache misses in a simulated cache (`valgrind --tool=callgrind --cache-sim=yes`).
//!
//! The simulated processor has the first two levels of a server's core and nothing behind them, and fetches nothing ahead, so that each miss is one
//! that the structure itself implies. On a real one the batch's prefetches hide most of them.

use dnsbld::dataset::Kind;

use crate::counts::{self, COUNTED, INSTRUCTIONS};
use crate::suite::{Shape, Suite};
use crate::table::Table;

/// The simulated caches: octets, ways, octets of a line.
const CACHES: [&str; 3] = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"];
/// Misses of the first level and of the last one, reads and writes, as callgrind names them.
const MISSES: [[&str; 2]; 2] = [["D1mr", "D1mw"], ["DLmr", "DLmw"]];
/// What is asked: random subjects all over the list, so that nothing is found in the cache by luck.
const QUESTIONS: [&str; 2] = ["a-hit", "a-miss"];

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    if !counts::valgrind_is_there() {
        table.note("Cache misses were left out: `valgrind` is not installed.");
        return;
    }
    let most = 2 * suite.sizes.hosts_large;
    let sizes = [most / 1000, most / 100, most / 10, most];
    let asked = suite.sizes.counted_queries;
    let mut options: Vec<String> = CACHES.iter().map(|&cache| cache.to_owned()).collect();
    options.extend(["--cache-sim=yes".to_owned(), format!("--toggle-collect={COUNTED}")]);
    for question in QUESTIONS {
        for lines in sizes {
            let list = suite.list(Shape::Hosts, lines);
            let case = format!("{question}/{lines}/{asked}");
            let events = counts::events(suite, &case, Kind::Ip4Set, &list.path, &options);
            let each = |wanted: &[&str]| {
                let counted = events.iter().filter(|(event, _)| wanted.contains(&event.as_str()));
                counted.map(|&(_, count)| count as f64).sum::<f64>() / asked as f64
            };
            let [first, last] = MISSES.map(|level| each(&level));
            let instructions = each(&[INSTRUCTIONS]);
            let figure =
                format!("instructions an answer; misses beyond 32 KiB; beyond 1 MiB: {lines} hosts, {question}");
            table.row(&figure, instructions, format!("{instructions:.0}; {first:.2}; {last:.2}"), None, None);
        }
    }
}
