//! Judging out of a store.

use super::*;
use crate::feed::joe_job::Target;
use crate::feed::joe_job::detector::Interval;
use crate::feed::kind::ProbeSenders;
use crate::feed::line::Place;
use crate::feed::session::{Answer, Body, Client, Delivery, Kind, Kinds, Recipient, Session, Transaction as Mail};
use crate::feed::session::{Closed, Verbs};
use crate::feed::source::Position;
use crate::feed::store::{StoreCounts, rows, schema, writer};

/// A minute.
pub const MINUTE: i64 = 60_000;

/// A store in memory with one input.
pub fn store() -> Connection {
    let mut store = Connection::open_in_memory().unwrap();
    schema::migrate(&mut store).unwrap();
    store.execute("INSERT INTO inputs VALUES (1, 'log', 0, 0, 0, 0, 0, 0, 0, NULL, NULL)", []).unwrap();
    store
}

/// A ledger with these rules.
pub fn ledger(options: LedgerOptions) -> Ledger {
    Ledger::new(options, HashKey::new(b"key"), Vec::new())
}

/// A session with one recipient.
pub fn session(n: u128, time_ms: i64, ip: &str, kind: Kind, to: &str, answer: Answer) -> Session {
    let body = if kind == Kind::BackscatterRejected { Body::Tried } else { Body::None };
    let recipient = Recipient { address: Some(to.as_bytes().into()), answer, code: None, random: false };
    Session {
        first: Place::default(),
        last: Place::default(),
        start_ms: time_ms - 500,
        end_ms: time_ms,
        id: n,
        host: "mx".into(),
        client: Client { ip: ip.parse().unwrap(), port: None, ptr: Some("host.caller.example".into()) },
        helo: Some(b"helo"[..].into()),
        tls: false,
        authenticated: false,
        verbs: Verbs::default(),
        transactions: vec![Mail { sender: Some(b""[..].into()), recipients: vec![recipient], body, ..Mail::default() }],
        closed: Closed::Quit,
        complete: true,
        ambiguous: false,
        kinds: Kinds::default().with(kind),
    }
}

/// Write rows and what follows from them, as the writer does.
pub fn put(store: &mut Connection, ledger: &Ledger, rows: Vec<Row>) {
    let batch = Batch {
        input: 1,
        rows,
        low_water: Position::default(),
        read: Position::default(),
        time_ms: 0,
        files: None,
        cursors: (None, None),
        ended: Vec::new(),
        committed: Default::default(),
    };
    writer::commit(store, &[batch], Some(ledger), &StoreCounts::default()).unwrap();
}

/// The row of a session.
pub fn row(session: Session) -> Row {
    rows::of_session(session, "mail.log", Vec::new(), &HashKey::new(b"key"), &ProbeSenders::default())
}

/// Five callouts, ten minutes apart.
fn five(ip: &str) -> Vec<Row> {
    let callout =
        |n: i64| session(n as u128, n * 10 * MINUTE, ip, Kind::Callout, &format!("u{n}@example.org"), Answer::Ok);
    (0..5).map(|n| row(callout(n))).collect()
}

/// Listings in force, as text.
fn listed(store: &Connection, minute: i64) -> String {
    let listed = in_force(store, minute * MINUTE).unwrap();
    let holding = listed.iter().filter(|(_, listing)| listing.holds(minute * MINUTE));
    holding.map(|(subject, _)| subject.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_follows_is_written_with_the_events() {
    let (mut store, ledger) = (store(), ledger(LedgerOptions::default()));
    put(&mut store, &ledger, five("2001:db8::1"));
    assert_eq!((listed(&store, 39), listed(&store, 41)), (String::new(), "2001:db8::/64".to_owned()));
    let subject = "2001:db8::99".parse().unwrap();
    let judged = ledger.judge(&store, subject).unwrap();
    assert_eq!(judged.history.listings, listings(&store, subject).unwrap());
    let (number, changes) = changed(&store, 0).unwrap();
    assert_eq!((number, changes.len(), &changes[0].listings), (1, 1, &judged.history.listings));
    // The same once more changes nothing.
    put(&mut store, &ledger, five("2001:db8::1"));
    assert_eq!(changed(&store, number).unwrap(), (1, Vec::new()));
}

#[test]
fn the_loopback_of_ipv6_is_no_host_of_ipv4() {
    let (mut store, ledger) = (store(), ledger(LedgerOptions::default()));
    put(&mut store, &ledger, five("192.0.2.1"));
    let (host, loopback) = ("192.0.2.1".parse().unwrap(), "::1".parse::<Subject>().unwrap());
    let removal = Action { time_ms: 41 * MINUTE, ..Action::now(Act::RemoveByOperator, loopback.net(), None, "") };
    ledger.act(&mut store, &removal).unwrap();
    assert_eq!(listed(&store, 42), "192.0.2.1");
    assert!(ledger.actions(&store, host).unwrap().is_empty());
    assert_eq!(ledger.actions(&store, loopback).unwrap().len(), 1);
    assert!(ledger.judge(&store, loopback).unwrap().events.is_empty());
    assert_eq!(forget_host(&mut store, &ledger, loopback).unwrap(), 0);
    assert_eq!(listed(&store, 42), "192.0.2.1");
    // A network that holds the mapped addresses still holds them.
    let all = Action { time_ms: 43 * MINUTE, ..Action::now(Act::Allow, "::/0".parse().unwrap(), None, "") };
    ledger.act(&mut store, &all).unwrap();
    assert_eq!(ledger.actions(&store, host).unwrap().len(), 1);
}

#[test]
fn a_domain_under_a_joe_job_is_one_recipient_from_then_on() {
    let (mut store, ledger) = (store(), ledger(LedgerOptions::default()));
    let bounce = |n: i64| {
        let to = format!("u{n}@example.org");
        row(session(n as u128, n * 10 * MINUTE, "203.0.113.9", Kind::BackscatterRejected, &to, Answer::UnknownUser))
    };
    put(&mut store, &ledger, (0..5).map(bounce).collect());
    assert_eq!(listed(&store, 41), "203.0.113.9");
    let interval = |from: i64, to_ms| {
        let target = Target::Domain("example.org".into());
        flooded::of_intervals(&[Interval { target, from_ms: from * MINUTE, to_ms }])
    };
    for (jobs, expected) in [
        (interval(0, i64::MAX), ""),
        (Vec::new(), "203.0.113.9"),
        (interval(5, 40 * MINUTE + 1), ""),
        // Over before the last but one.
        (interval(0, 10 * MINUTE), "203.0.113.9"),
        (interval(0, i64::MAX), ""),
    ] {
        ledger.set_joe_jobs(&mut store, &jobs).unwrap();
        assert_eq!(
            (flooded::stored(&store).unwrap(), listed(&store, 41).as_str()),
            (jobs.clone(), expected),
            "{jobs:?}"
        );
        let before = changed(&store, 0).unwrap().0;
        ledger.set_joe_jobs(&mut store, &jobs).unwrap();
        assert_eq!(changed(&store, 0).unwrap().0, before, "the same once more");
    }
}

#[test]
fn the_order_changes_nothing() {
    let ledger = ledger(LedgerOptions::default());
    let delivery = |n: i64| {
        let delivery = Delivery {
            time_ms: n * 10 * MINUTE + 1000,
            place: Place::default(),
            sender: format!("u{n}@example.org").into_bytes().into(),
            recipient: b"x@caller.example"[..].into(),
            relay: "198.51.100.1".parse().unwrap(),
        };
        rows::of_delivery(&delivery, &HashKey::new(b"key"))
    };
    let mut all = five("203.0.113.9");
    all.extend((1..3).map(delivery));
    let mut results = Vec::new();
    for rotate in 0..all.len() {
        let mut store = store();
        all.rotate_left(rotate);
        for row in all.clone() {
            put(&mut store, &ledger, vec![row]);
        }
        results.push(ledger.judge(&store, "203.0.113.9".parse().unwrap()).unwrap().history);
    }
    assert!(results.iter().all(|history| history == &results[0]));
    // Two of five callouts answered mail of ours.
    assert_eq!(results[0].pieces.iter().filter(|piece| piece.solicited).count(), 2);
    assert!(results[0].listings.is_empty());
}

#[test]
fn actions_act_at_once() {
    let (mut store, ledger) = (store(), ledger(LedgerOptions::default()));
    put(&mut store, &ledger, five("203.0.113.9"));
    let act = |store: &mut Connection, minute: i64, act, net: &str| {
        let time_ms = minute * MINUTE;
        let action = Action { time_ms, act, net: net.parse().unwrap(), until_ms: None, reason: "why".into() };
        ledger.act(store, &action).unwrap();
    };
    act(&mut store, 60, Act::RemoveByOperator, "203.0.113.9/32");
    assert_eq!((listed(&store, 59), listed(&store, 60)), ("203.0.113.9".to_owned(), String::new()));
    assert_eq!(changed(&store, 1).unwrap().0, 2);
    act(&mut store, 50, Act::Allow, "203.0.113.0/24");
    assert_eq!((listed(&store, 49), listed(&store, 50)), ("203.0.113.9".to_owned(), String::new()));
    act(&mut store, 51, Act::Disallow, "203.0.113.0/24");
    assert_eq!(ledger.actions(&store, "203.0.113.9".parse().unwrap()).unwrap().len(), 3);
    assert!(ledger.actions(&store, "203.0.114.9".parse().unwrap()).unwrap().is_empty());
}

#[test]
fn a_probe_sender_of_the_settings_is_one_in_the_store() {
    let ledger = ledger(LedgerOptions::default());
    let probes = ProbeSenders { local_parts: vec!["verify*".into()] };
    for (sender, expected) in [("verify1@caller.example", "203.0.113.9"), ("alice@caller.example", "")] {
        let rows = (0..5).map(|n| {
            let to = format!("u{n}@example.org");
            let mut session = session(n as u128, n * 10 * MINUTE, "203.0.113.9", Kind::Callout, &to, Answer::Ok);
            session.transactions[0].sender = Some(sender.as_bytes().into());
            rows::of_session(session, "mail.log", Vec::new(), &HashKey::new(b"key"), &probes)
        });
        let mut store = store();
        put(&mut store, &ledger, rows.collect());
        assert_eq!(listed(&store, 60), expected, "{sender}");
    }
}

#[test]
fn what_is_forgotten_counts_no_more() {
    let ledger = ledger(LedgerOptions::default());
    let mut kept = store();
    put(&mut kept, &ledger, five("203.0.113.9"));
    assert_eq!(forget_recipient(&mut kept, &ledger, "U1@example.org").unwrap(), 1);
    assert_eq!(listed(&kept, 60), "203.0.113.9");
    assert_eq!(forget_recipient(&mut kept, &ledger, "u2@example.org").unwrap(), 1);
    assert_eq!((listed(&kept, 60), forget_before(&mut kept, &ledger, 15 * MINUTE).unwrap()), (String::new(), 2));
    assert_eq!(forget_host(&mut kept, &ledger, "203.0.113.9".parse().unwrap()).unwrap(), 3);
    assert!(ledger.subjects(&kept).unwrap().len() <= 1);
}

#[test]
fn other_rules_judge_all_anew() {
    let (mut store, first) = (store(), ledger(LedgerOptions::default()));
    for n in 1..4 {
        let ip = format!("203.0.113.{n}");
        let rows = five(&ip).into_iter().map(|row| match row {
            Row::Event(mut event) => {
                event.id[0] = n;
                Row::Event(event)
            }
            other => other,
        });
        put(&mut store, &first, rows.collect());
    }
    assert!(first.follow_rules(&mut store, || true).unwrap());
    assert_eq!(listed(&store, 60), "203.0.113.1 203.0.113.2 203.0.113.3");
    let mut options = LedgerOptions::default();
    options.protection.own_networks.push("203.0.113.2/31".parse().unwrap());
    let second = ledger(options);
    // Given up on the way, and back to the first ones.
    assert!(!second.follow_rules(&mut store, || false).unwrap());
    assert_eq!(listed(&store, 60), "203.0.113.1");
    assert!(first.follow_rules(&mut store, || true).unwrap());
    assert_eq!(listed(&store, 60), "203.0.113.1 203.0.113.2 203.0.113.3");
    assert!(second.follow_rules(&mut store, || true).unwrap());
    assert_eq!(listed(&store, 60), "203.0.113.1");
    let changes = changed(&store, 3).unwrap().1;
    assert!(changes.iter().all(|change| change.protected_by.as_deref() == Some("203.0.113.2/31: own network")));
    assert_eq!(changes.len(), 2);
}

/// Events a day at which the store of a busy site is measured.
const EVENTS_A_DAY: u64 = 5_000;
/// Events a day that a run of the tests can afford; `DNSBLD_EVENTS_A_DAY` sets another number.
const EVENTS_A_DAY_TESTED: u64 = 12;
/// Octets that the store may have after a year of [`EVENTS_A_DAY`].
const STORE_OCTETS_MAX: u64 = 700 << 20;
/// Time that a start may take then.
const START_MAX: std::time::Duration = std::time::Duration::from_secs(2);

#[test]
fn a_year_fits_the_disk_and_a_start_is_quick() {
    use crate::feed::publish::{PublishOptions, Publisher};
    use crate::feed::store::expire;
    let events_a_day =
        std::env::var("DNSBLD_EVENTS_A_DAY").ok().and_then(|n| n.parse().ok()).unwrap_or(EVENTS_A_DAY_TESTED);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("feed.db");
    let mut store = Connection::open(&path).unwrap();
    schema::migrate(&mut store).unwrap();
    store.pragma_update(None, "journal_mode", "WAL").unwrap();
    store.pragma_update(None, "synchronous", "OFF").unwrap();
    store.pragma_update(None, "foreign_keys", true).unwrap();
    store.execute("INSERT INTO inputs VALUES (1, 'log', 0, 0, 0, 0, 0, 0, 0, NULL, NULL)", []).unwrap();
    let ledger = ledger(LedgerOptions::default());
    let begin = now_ms() - 365 * DAY_MS;
    let (mut n, mut took) = (0u64, std::time::Duration::ZERO);
    for day in 0..365 {
        let mut rows = Vec::new();
        for at in 0..events_a_day {
            n += 1;
            let time_ms = begin + day * DAY_MS + (at as i64 * DAY_MS) / events_a_day as i64;
            // A few hosts do a lot, most do a little.
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let busy = events_a_day / 80 + 2;
            let host = if mixed >> 62 == 0 { (mixed >> 32) % busy } else { mixed >> 32 & 0x3fff };
            let ip = format!("203.0.{}.{}", host >> 8, host & 0xff);
            let kind = if mixed >> 60 & 1 == 0 { Kind::Callout } else { Kind::BackscatterRejected };
            let answer = if kind == Kind::Callout { Answer::Ok } else { Answer::UnknownUser };
            let to = format!("user{}@example.org", mixed >> 20 & 0xfff);
            // Ids are hashes, so they come in no order.
            let id = u128::from(mixed) << 64 | u128::from(n);
            let lines = vec![vec![b'x'; 180]; 3];
            rows.push(rows::of_session(
                session(id, time_ms, &ip, kind, &to, answer),
                "mail.log",
                lines,
                &HashKey::new(b"key"),
                &ProbeSenders::default(),
            ));
        }
        let start = std::time::Instant::now();
        put(&mut store, &ledger, rows);
        took += start.elapsed();
        while !expire(&store, begin + (day + 1) * DAY_MS, 10_000).unwrap() {}
    }
    store.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let octets = std::fs::metadata(&path).unwrap().len();
    let options = PublishOptions {
        zone_file: directory.path().join("zone"),
        zone: Default::default(),
        postfix: None,
        json: None,
        observe: false,
    };
    let start = std::time::Instant::now();
    let publisher = Publisher::new(&path, options, Box::new(|| {})).unwrap();
    let started = start.elapsed();
    let listed = publisher.listed();
    eprintln!("{n} events in {took:?}; store {octets} octets; start {started:?}; {listed} hosts listed");
    assert!(octets * EVENTS_A_DAY / events_a_day < STORE_OCTETS_MAX, "{octets} octets");
    assert!(started < START_MAX, "{started:?}");
    // What is derived is what judging all of it again gives.
    let before: Vec<_> = in_force(&store, now_ms()).unwrap();
    assert!(!before.is_empty());
    for (subject, listing) in before {
        assert_eq!(ledger.judge(&store, subject).unwrap().history.at(now_ms()), Some(&listing), "{subject}");
    }
}
