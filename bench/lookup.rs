//! Look-up time: `Dataset::lists_address` and `Dataset::lists_name` on random subjects.
//!
//! The figure is the mean of independent look-ups, where the processor overlaps the cache misses of several, as
//! it does in a batch of datagrams. Beside it stands the dependent chain, where the place of the next subject
//! hangs on the last result: the latency of one look-up alone. As a processor guesses a result that is always the
//! same and runs ahead, a fence stands between two look-ups of the chain; its own cost is taken off.

use std::hint::black_box;
use std::sync::atomic::{Ordering, fence};

use dnsbld::dataset::{Dataset, Kind};

use crate::queries::{self, Subject, Subjects};
use crate::suite::{self, Shape, Suite, fail};
use crate::table::{Table, Target};
use crate::timing::per_item;

/// The most a look-up among the larger host lists may take, ns.
const HOSTS_NS: f64 = 90.0;

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let sizes = &suite.sizes;
    let (small, large) = (sizes.hosts_small, sizes.hosts_large);
    for n in [large, small] {
        let subjects = queries::about_hosts(&suite::hosts(n), sizes.queries);
        let most = (n == large).then_some(HOSTS_NS);
        for (kind, shape) in [
            (Kind::Ip4Tset, Shape::Hosts),
            (Kind::Ip4Set, Shape::Hosts),
            (Kind::Ip4Set, Shape::HostsValued),
            (Kind::Ip4Trie, Shape::Hosts),
            (Kind::Ip4Trie, Shape::HostsValued),
        ] {
            rows(suite, table, (kind, shape, n), &subjects, most);
        }
    }
    let n = sizes.prefixes_v4;
    let subjects = queries::about_prefixes_v4(&suite::prefixes_v4(n), sizes.queries);
    rows(suite, table, (Kind::Ip4Trie, Shape::PrefixesV4, n), &subjects, None);
    rows(suite, table, (Kind::Ip4Trie, Shape::PrefixesV4Country, n), &subjects, None);
    rows(suite, table, (Kind::Ip4Set, Shape::PrefixesV4Country, n), &subjects, None);
    let n = sizes.prefixes_v6;
    let subjects = queries::about_prefixes_v6(&suite::prefixes_v6(n), sizes.queries);
    rows(suite, table, (Kind::Ip6Trie, Shape::PrefixesV6, n), &subjects, None);
    rows(suite, table, (Kind::Ip6Trie, Shape::PrefixesV6Country, n), &subjects, None);
    let n = sizes.names;
    let subjects = queries::about_names(&suite::names(n), sizes.queries);
    rows(suite, table, (Kind::Dnset, Shape::Names, n), &subjects, None);
    rows(suite, table, (Kind::Dnset, Shape::NamesValued, n), &subjects, None);
    rows(suite, table, (Kind::Dnset, Shape::NamesWild, n), &subjects, None);
}

/// Measure one list and add its row of each mix.
fn rows<T: Subject>(
    suite: &Suite,
    table: &mut Table,
    (kind, shape, n): (Kind, Shape, usize),
    subjects: &Subjects<T>,
    most: Option<f64>,
) {
    let dataset = suite::read(kind, &suite.list(shape, n).path);
    let target = most.map(|most| Target::most(most, "ns"));
    let all = subjects.hits.len() as u64;
    let mixes = [("mixed", &subjects.mixed, all / 2), ("hits", &subjects.hits, all), ("misses", &subjects.misses, 0)];
    for (mix, subjects, expected) in mixes {
        let found = independent(&dataset, subjects);
        if found != expected {
            fail(&format!("{n} {shape:?} as {kind}, {mix}: {found} of {} were listed, not {expected}", subjects.len()));
        }
        let rounds = suite.sizes.rounds;
        let mean = per_item(rounds, subjects.len(), || independent(&dataset, subjects));
        let chain = per_item(rounds, subjects.len(), || dependent(&dataset, subjects));
        let fence = per_item(rounds, subjects.len(), || fences(subjects.len()));
        table.row(
            &format!("look-up among {n} {shape:?} as {kind}, {mix}"),
            mean.median,
            format!("{:.1} ns (best {:.1}; chain {:.1})", mean.median, mean.best, chain.median - fence.median),
            target.as_ref(),
            None,
        );
    }
}

/// Look every subject up; returns how many are listed.
fn independent<T: Subject>(dataset: &Dataset, subjects: &[T]) -> u64 {
    subjects.iter().map(|subject| u64::from(subject.listed(dataset))).sum()
}

/// As many look-ups, each at a place that the result before decides.
fn dependent<T: Subject>(dataset: &Dataset, subjects: &[T]) -> u64 {
    // The number of subjects is a power of two; the result goes into the address of the next load.
    let mask = subjects.len() - 1;
    let mut at = 0;
    for _ in subjects {
        at = (at + 1 + usize::from(subjects[at].listed(dataset))) & mask;
        fence(Ordering::SeqCst);
    }
    at as u64
}

/// The chain without look-ups.
fn fences(n: usize) -> u64 {
    let mut at = 0;
    for _ in 0..n {
        at = (black_box(at) + 1) & (n - 1);
        fence(Ordering::SeqCst);
    }
    at as u64
}
