//! Wire to wire: encoded queries to encoded replies, without a system call.
//!
//! Datagrams are copied into buffers batch by batch, as the kernel would put them there, and answered there as a UDP
//! worker answers a batch: all are read, then all are answered. The copy alone is measured the same way and taken off;
//! both numbers are shown.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use dnsbld::dataset::Kind;
use dnsbld::serve::answer::{Context, Listed, Outcome, Policy, Prepared, Transport};
use dnsbld::serve::udp::BATCH_DEFAULT;
use dnsbld::zone::Snapshot;

use crate::queries::{self, A, Datagrams, SOA, Subject, Subjects, TXT};
use crate::suite::{self, Shape, Suite, ZONE, fail};
use crate::table::{Table, Target};
use crate::timing::per_item;

/// Buffers in the ring: those of a batch.
const BUFFERS: usize = BATCH_DEFAULT;
/// Octets of a buffer: the largest UDP answer, and the next buffer in other cache sets.
const BUFFER_LEN: usize = 1280;
/// The most an answer from the larger host lists may take, ns.
const COLD_NS: f64 = 220.0;
/// The most an answer from the smaller host lists may take, ns.
const COOL_NS: f64 = 150.0;
/// The most an answer may take when the list is in the cache, ns.
const HOT_NS: f64 = 120.0;
/// Entries of a list that is in the cache.
const HOT_ENTRIES: usize = 1000;
/// Different queries to it.
const HOT_QUERIES: usize = 256;

/// The kinds of question for each list: label, query type, EDNS.
const QUESTIONS: [(&str, u16, bool); 3] = [("A", A, false), ("A with EDNS", A, true), ("TXT", TXT, false)];

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let sizes = &suite.sizes;
    let cold = Some(Target::most(COLD_NS, "ns"));
    let cool = Some(Target::most(COOL_NS, "ns"));
    let hot = Some(Target::most(HOT_NS, "ns"));
    let kinds = [
        (Kind::Ip4Tset, Shape::Hosts),
        (Kind::Ip4Set, Shape::HostsValued),
        (Kind::Ip4Trie, Shape::Hosts),
        (Kind::Ip4Trie, Shape::HostsValued),
    ];
    for (n, target) in [(sizes.hosts_small, cool.as_ref()), (sizes.hosts_large, cold.as_ref())] {
        let subjects = queries::about_hosts(&suite::hosts(n), sizes.queries);
        for (kind, shape) in kinds {
            rows(suite, table, (kind, shape, n), &subjects, target);
        }
    }
    let subjects = repeat(&queries::about_hosts(&suite::hosts(HOT_ENTRIES), HOT_QUERIES), sizes.queries);
    for (kind, shape) in kinds {
        rows(suite, table, (kind, shape, HOT_ENTRIES), &subjects, hot.as_ref());
    }
    let n = sizes.prefixes_v4;
    let subjects = queries::about_prefixes_v4(&suite::prefixes_v4(n), sizes.queries);
    rows(suite, table, (Kind::Ip4Trie, Shape::PrefixesV4Country, n), &subjects, None);
    let n = sizes.prefixes_v6;
    let subjects = queries::about_prefixes_v6(&suite::prefixes_v6(n), sizes.queries);
    rows(suite, table, (Kind::Ip6Trie, Shape::PrefixesV6Country, n), &subjects, None);
    let n = sizes.names;
    let subjects = queries::about_names(&suite::names(n), sizes.queries);
    rows(suite, table, (Kind::Dnset, Shape::NamesValued, n), &subjects, None);
    let subjects = repeat(&queries::about_names(&suite::names(HOT_ENTRIES), HOT_QUERIES), sizes.queries);
    rows(suite, table, (Kind::Dnset, Shape::NamesValued, HOT_ENTRIES), &subjects, hot.as_ref());
    let snapshot = suite::snapshot(suite::read(Kind::Ip4Set, &suite.list(Shape::HostsValued, HOT_ENTRIES).path));
    for (label, zone, qtype) in [("SOA of the apex", ZONE, SOA), ("another's zone, refused", "example.net", A)] {
        let datagrams = Datagrams::apex(zone, qtype, sizes.queries);
        row(suite, table, label, &snapshot, &datagrams, 0, hot.as_ref());
    }
}

/// The same subjects again and again until there are `n`.
fn repeat<T: Subject>(few: &Subjects<T>, n: usize) -> Subjects<T> {
    let many = |items: &[T]| items.iter().cycle().take(n).cloned().collect();
    Subjects { hits: many(&few.hits), misses: many(&few.misses), mixed: many(&few.mixed) }
}

/// Measure one list and add its rows.
fn rows<T: Subject>(
    suite: &Suite,
    table: &mut Table,
    (kind, shape, n): (Kind, Shape, usize),
    subjects: &Subjects<T>,
    target: Option<&Target>,
) {
    let snapshot = suite::snapshot(suite::read(kind, &suite.list(shape, n).path));
    for (label, qtype, edns) in QUESTIONS {
        let all = subjects.hits.len() as u64;
        for (mix, subjects, listed) in
            [("hits", &subjects.hits, all), ("misses", &subjects.misses, 0), ("mixed", &subjects.mixed, all / 2)]
        {
            // One mixed row tells what mispredicted branches cost.
            if mix == "mixed" && (qtype, edns) != (A, false) {
                continue;
            }
            let datagrams = Datagrams::about(subjects, qtype, edns);
            let figure = format!("wire to wire, {n} {shape:?} as {kind}, {label}, {mix}");
            row(suite, table, &figure, &snapshot, &datagrams, listed, target);
        }
    }
}

/// Measure one array of datagrams, of which `listed` ask about something listed.
fn row(
    suite: &Suite,
    table: &mut Table,
    figure: &str,
    snapshot: &Snapshot,
    datagrams: &Datagrams,
    listed: u64,
    target: Option<&Target>,
) {
    let policy = Policy::default();
    let mut ring = vec![0; BUFFERS * BUFFER_LEN];
    let found = answer_all(&mut ring, datagrams, snapshot, &policy);
    if found != listed {
        fail(&format!("{figure}: {found} of {} were listed, not {listed}", datagrams.len()));
    }
    let rounds = suite.sizes.rounds;
    let whole = per_item(rounds, datagrams.len(), || answer_all(&mut ring, datagrams, snapshot, &policy));
    let copy = per_item(rounds, datagrams.len(), || copy_all(&mut ring, datagrams));
    let net = whole.median - copy.median;
    table.row(
        figure,
        net,
        format!("{net:.0} ns (best {:.0}; copy {:.1} apart)", whole.best - copy.best, copy.median),
        target,
        None,
    );
}

/// Copy and answer every datagram; returns how many asked about something listed. A query without an answer ends
/// the program.
fn answer_all(ring: &mut [u8], datagrams: &Datagrams, snapshot: &Snapshot, policy: &Policy) -> u64 {
    let mut listed = 0;
    let mut lens = [0; BUFFERS];
    let mut prepared = [Prepared::default(); BUFFERS];
    let mut waiting = 0;
    for (i, datagram) in datagrams.iter().enumerate() {
        ring[waiting * BUFFER_LEN..][..datagram.len()].copy_from_slice(datagram);
        lens[waiting] = datagram.len();
        waiting += 1;
        if waiting == BUFFERS || i + 1 == datagrams.len() {
            listed += counted(ring, &lens[..waiting], &mut prepared, policy, snapshot);
            waiting = 0;
        }
    }
    listed
}

/// Copy every datagram and do nothing with it.
fn copy_all(ring: &mut [u8], datagrams: &Datagrams) -> u64 {
    for (i, datagram) in datagrams.iter().enumerate() {
        let buf = &mut ring[i % BUFFERS * BUFFER_LEN..][..BUFFER_LEN];
        buf[..datagram.len()].copy_from_slice(datagram);
        black_box(buf);
    }
    0
}

/// Answer a batch; returns how many asked about something listed. Never inlined: the instruction counter switches on
/// and off at this function.
#[inline(never)]
fn counted(ring: &mut [u8], lens: &[usize], prepared: &mut [Prepared], policy: &Policy, snapshot: &Snapshot) -> u64 {
    for ((buf, &len), prepared) in ring.chunks_exact(BUFFER_LEN).zip(lens).zip(&mut *prepared) {
        prepared.prepare(buf, len, snapshot);
    }
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53));
    let mut listed = 0;
    for (i, (buf, prepared)) in ring.chunks_exact_mut(BUFFER_LEN).zip(&*prepared).take(lens.len()).enumerate() {
        let context =
            Context { client, transport: Transport::Udp, rotation: i as u32, time_s: 0, keepalive: None, policy };
        match prepared.answer(buf, &context, snapshot) {
            Outcome::Reply { note, .. } => listed += u64::from(note.listed == Listed::Yes),
            Outcome::Drop(why) => fail(&format!("query {i} got no answer: {why:?}")),
        }
    }
    listed
}

/// Answer every datagram once under the instruction counter; returns how many asked about something listed.
pub fn answer_once(datagrams: &Datagrams, snapshot: &Snapshot) -> u64 {
    answer_all(&mut vec![0; BUFFERS * BUFFER_LEN], datagrams, snapshot, &Policy::default())
}
