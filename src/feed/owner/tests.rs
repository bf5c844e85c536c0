//! What is told, what is not, and removal by the owner, out of a real store.

use std::sync::{Arc, RwLock};

use super::*;
use crate::feed::evidence::Signal;
use crate::feed::kind::ProbeSenders;
use crate::feed::ledger::tests::{MINUTE, put, session};
use crate::feed::ledger::{Act, Ledger, LedgerOptions, OWNER_REMOVAL_MS};
use crate::feed::listing::Ended;
use crate::feed::session::{Answer, Body, Kind};
use crate::feed::store::key::HashKey;
use crate::feed::store::rows::{self, Row};
use crate::feed::store::{FILE, Store};

/// A host.
const HOST: &str = "203.0.113.9";
/// A trap.
const TRAP: &str = "bait@trap.example";

/// A store with a ledger that knows a trap, and its directory.
fn records() -> (tempfile::TempDir, Records, Connection, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let store = Connection::open(dir.path().join(FILE)).unwrap();
    store.execute("INSERT INTO inputs VALUES (1, 'log', 0, 0, 0, 0, 0, 0, 0, NULL, NULL)", []).unwrap();
    let options = LedgerOptions { traps: vec![TRAP.into()], ..LedgerOptions::default() };
    let ledger = Ledger::new(options, HashKey::new(b"key"), Vec::new());
    let records = Records::new(dir.path(), Arc::new(RwLock::new(ledger.clone())), Nudge::default());
    (dir, records, store, ledger)
}

/// The row of a callout at a minute, with the line of its log.
fn callout(n: i64, minute: i64, line: &str) -> Row {
    let session = session(n as u128, minute * MINUTE, HOST, Kind::Callout, &format!("u{n}@example.org"), Answer::Ok);
    let key = HashKey::new(b"key");
    rows::of_session(session, "mail.log", vec![line.as_bytes().to_vec()], &key, &ProbeSenders::default())
}

/// The row of mail that the trap took at a minute.
fn trapped(n: i64, minute: i64) -> Row {
    let mut session = session(n as u128, minute * MINUTE, HOST, Kind::DsnAccepted, TRAP, Answer::Ok);
    session.transactions[0].body = Body::Taken;
    let lines = vec![b"to=<b***@trap.example> taken".to_vec()];
    rows::of_session(session, "mail.log", lines, &HashKey::new(b"key"), &ProbeSenders::default())
}

#[test]
fn the_world_is_told_the_listing_and_no_more() {
    let (_dir, records, mut store, ledger) = records();
    let host = HOST.parse().unwrap();
    assert_eq!(records.about(host, 0, false).unwrap(), About::default());
    put(&mut store, &ledger, (0..5).map(|n| callout(n, n * 10, "to=<u***@example.org>")).collect());
    let about = records.about(host, 45 * MINUTE, false).unwrap();
    let listing = about.listing.unwrap();
    assert_eq!((listing.since_ms, listing.seen.of(Signal::Callout)), (40 * MINUTE, 5));
    assert_eq!((about.detail, about.earlier.len()), (None, 0));
    // Before it began, and after it ended.
    assert_eq!(records.about(host, 39 * MINUTE, false).unwrap(), About::default());
    let after = records.about(host, listing.until_ms, false).unwrap();
    assert_eq!((after.listing, after.earlier.len()), (None, 1));
    assert_eq!(after.earlier[0].ended, Ended::Expired);
}

#[test]
fn the_owner_is_shown_masked_lines_and_no_trap() {
    let (_dir, records, mut store, ledger) = records();
    let mut rows: Vec<Row> =
        (0..5).map(|n| callout(n, n * 10, "to=<u***@example.org>, helo=<x\u{1b}.Trap.Example>")).collect();
    // On the next day, with other evidence before and after it.
    let next = 1440;
    rows.extend([callout(7, next + 1, "secret"), trapped(9, next + 45), callout(8, next + 50, "secret")]);
    put(&mut store, &ledger, rows);
    let detail = records.about(HOST.parse().unwrap(), (next + 60) * MINUTE, true).unwrap().detail.unwrap();
    assert_eq!((detail.pieces.len(), detail.more), (8, 0));
    let traps = detail.pieces.iter().filter(|piece| piece.signal == Signal::TrapMail);
    assert_eq!(traps.count(), 1);
    // What is shown of that day tells no more than the day, whatever it is.
    for piece in &detail.pieces[..3] {
        assert_eq!((piece.time_ms, piece.day_only, piece.lines.len()), (next * MINUTE, true, 0));
    }
    // Nor does the order: it is that of the kinds, though the trap was between the callouts.
    let signals: Vec<Signal> = detail.pieces[..3].iter().map(|piece| piece.signal).collect();
    assert_eq!(signals, [Signal::Callout, Signal::Callout, Signal::TrapMail]);
    // Nor what is left of points: that of two callouts of the day is alike, and so are they at any other time of it.
    assert_eq!(detail.pieces[0].weight, detail.pieces[1].weight);
    assert_eq!(detail.score, detail.pieces.iter().map(|piece| piece.weight).sum::<i64>());
    assert_eq!(detail.pieces[3].time_ms, 40 * MINUTE);
    assert_eq!(detail.pieces[3].lines, ["to=<u***@example.org>, helo=<x\\x1b.***>"]);
    assert!(!format!("{detail:?}").to_lowercase().contains("trap.example"));
    assert!(detail.score > 0 && detail.threshold == 12_000 && detail.sessions == 8, "{detail:?}");
}

#[test]
fn only_the_latest_evidence_is_shown() {
    let (_dir, records, mut store, ledger) = records();
    put(&mut store, &ledger, (0..PIECES_MAX as i64 + 7).map(|n| callout(n, n, "line")).collect());
    let detail = records.about(HOST.parse().unwrap(), 100 * MINUTE, true).unwrap().detail.unwrap();
    assert_eq!((detail.pieces.len(), detail.more), (PIECES_MAX, 7));
    assert_eq!(detail.pieces[0].time_ms, (PIECES_MAX as i64 + 6) * MINUTE);
}

#[test]
fn an_owner_may_remove_once_in_seven_days() {
    let (_dir, records, mut store, ledger) = records();
    let host = HOST.parse().unwrap();
    assert_eq!(records.remove(host, 0).unwrap(), OwnerRemoval::NotListed);
    put(&mut store, &ledger, (0..5).map(|n| callout(n, n * 10, "")).collect());
    let until_ms = records.about(host, 45 * MINUTE, false).unwrap().listing.unwrap().until_ms;
    let first_ms = 45 * MINUTE;
    assert_eq!(records.remove(host, first_ms).unwrap(), OwnerRemoval::Done { until_ms });
    let about = records.about(host, first_ms, false).unwrap();
    assert_eq!((about.listing, about.earlier[0].ended), (None, Ended::RemovedByOwner));
    assert_eq!(about.removable_from_ms, Some(first_ms + OWNER_REMOVAL_MS));
    assert_eq!(records.remove(host, first_ms).unwrap(), OwnerRemoval::NotListed);
    // New evidence lists again, for the longer term, as a removal by the owner shortens none.
    put(&mut store, &ledger, (10..15).map(|n| callout(n, n * 10, "")).collect());
    let again = records.about(host, 145 * MINUTE, false).unwrap().listing.unwrap();
    assert_eq!((again.nth, again.term_ms), (2, 14 * 86_400_000));
    let again_ms = first_ms + OWNER_REMOVAL_MS;
    assert_eq!(records.remove(host, 145 * MINUTE).unwrap(), OwnerRemoval::TooSoon { again_ms });
    assert_eq!(records.remove(host, again_ms - 1).unwrap(), OwnerRemoval::TooSoon { again_ms });
    assert!(matches!(records.remove(host, again_ms).unwrap(), OwnerRemoval::Done { .. }));
    let acts: Vec<Act> = ledger.actions(&store, host).unwrap().into_iter().map(|action| action.act).collect();
    assert_eq!(acts, [Act::RemoveByOwner; 2], "the history keeps them");
}

#[test]
fn listings_by_the_page() {
    let (_dir, records, mut store, ledger) = records();
    let hosts = ["192.0.2.7", "203.0.113.9", "2001:db8::1"];
    for (at, host) in hosts.iter().enumerate() {
        let callout = |n: i64| {
            let id = at as u128 * 100 + n as u128;
            let session = session(id, n * 10 * MINUTE, host, Kind::Callout, &format!("u{n}@example.org"), Answer::Ok);
            rows::of_session(session, "mail.log", Vec::new(), &HashKey::new(b"key"), &ProbeSenders::default())
        };
        put(&mut store, &ledger, (0..5).map(callout).collect());
    }
    let page = |after: Option<&str>, now_ms| -> Vec<String> {
        let after = after.map(|after| after.parse().unwrap());
        let listings = records.listings(after, now_ms, 2).unwrap();
        listings.into_iter().map(|(subject, _)| subject.to_string()).collect()
    };
    let now_ms = 41 * MINUTE;
    assert_eq!(page(None, now_ms), ["192.0.2.7", "203.0.113.9"]);
    assert_eq!(page(Some("203.0.113.9"), now_ms), ["2001:db8::/64"]);
    assert!(page(Some("2001:db8::/64"), now_ms).is_empty());
    assert!(page(None, 39 * MINUTE).is_empty() && page(None, 100 * 86_400_000).is_empty());
}
