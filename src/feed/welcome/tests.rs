//! What welcome lists change, asked of a DNS server of our own.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};

use super::*;
use crate::feed::ledger::tests::{ledger, put, row, session};
use crate::feed::ledger::{LedgerOptions, in_force};
use crate::feed::publish::{PublishOptions, Publisher};
use crate::feed::session::{Answer, Kind};
use crate::feed::store::schema;

/// How long anything may take in a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// What our server answers with: `None` for silence, an empty text for no such name.
fn says(name: &str) -> Option<&'static str> {
    match name {
        _ if name.ends_with("silent.example") => None,
        "9.113.0.203.list.example" => Some("127.0.5.2"),
        "8.113.0.203.list.example" => Some("127.0.0.255"),
        "7.113.0.203.list.example" => Some("198.51.100.1"),
        _ if name.ends_with("0.8.b.d.0.1.0.0.2.list.example") => Some("127.0.5.1"),
        _ => Some(""),
    }
}

/// A DNS server on a port of its own, as long as the tests run.
fn dns() -> ResolverOptions {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((octets, from)) = socket.recv_from(&mut buffer) {
            let asked = Message::from_vec(&buffer[..octets]).unwrap();
            let query = asked.queries[0].clone();
            let Some(said) = says(query.name().to_lowercase().to_ascii().trim_end_matches('.')) else { continue };
            let mut reply = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
            reply.metadata.recursion_available = true;
            if said.is_empty() {
                reply.metadata.response_code = ResponseCode::NXDomain;
            } else {
                reply.add_answer(Record::from_rdata(query.name().clone(), 60, RData::A(A(said.parse().unwrap()))));
            }
            reply.add_query(query);
            let _ = socket.send_to(&reply.to_vec().unwrap(), from);
        }
    });
    ResolverOptions { servers: vec![address], cache_answers_max: 100 }
}

#[tokio::test]
async fn answers_of_lists() {
    let resolver = lookup::resolver(&dns()).unwrap();
    for (ip, lists, expected) in [
        ("203.0.113.9", &["other.example", "list.example"][..], "listed list.example"),
        ("203.0.113.10", &["other.example", "list.example"], "clear"),
        ("2001:db8:1:2::3", &["list.example"], "listed list.example"),
        ("2001:db9::1", &["list.example"], "clear"),
        // A list that refuses to answer, one that answers with anything, one that is silent.
        ("203.0.113.8", &["list.example"], "failed"),
        ("203.0.113.7", &["list.example"], "failed"),
        ("203.0.113.10", &["silent.example", "list.example"], "failed"),
        ("203.0.113.9", &["silent.example", "list.example"], "listed list.example"),
    ] {
        let lists: Vec<Box<str>> = lists.iter().map(|&list| list.into()).collect();
        let outcome = ask(&resolver, ip.parse().unwrap(), &lists, Duration::from_millis(500)).await;
        let list = if let Outcome::Listed(list) = &outcome { list } else { "" };
        assert_eq!(format!("{} {list}", outcome.word()).trim(), expected, "{ip} {lists:?}");
    }
}

/// Wait until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_listing_waits_for_the_answer_and_not_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut store = Connection::open(path("feed.db")).unwrap();
    schema::migrate(&mut store).unwrap();
    store.pragma_update(None, "journal_mode", "WAL").unwrap();
    store.execute("INSERT INTO inputs VALUES (1, 'log', 0, 0, 0, 0, 0, 0, 0, NULL, NULL)", []).unwrap();
    let rules = ledger(LedgerOptions { welcome_lists: vec!["list.example".into()], ..LedgerOptions::default() });
    let options =
        PublishOptions { zone_file: path("zone"), zone: Default::default(), postfix: None, json: None, observe: false };
    let mut publisher = Publisher::new(&path("feed.db"), options, Box::new(|| {})).unwrap();
    let now = now_ms();
    let abuse = |store: &mut Connection, host: u8| {
        let rows = (0..6).map(|n: i64| {
            let (id, to) = (u128::from(host) << 64 | n as u128, format!("u{n}@example.org"));
            let ip = format!("203.0.113.{host}");
            row(session(id, now - n * 600_000, &ip, Kind::Callout, &to, Answer::Ok))
        });
        put(store, &rules, rows.collect());
    };
    abuse(&mut store, 9);
    abuse(&mut store, 10);
    // Both follow from the evidence; both wait, and without an answer they go ahead.
    assert_eq!(in_force(&store, now).unwrap().len(), 2);
    publisher.look(now_ms()).unwrap();
    assert_eq!(publisher.listed(), 0);
    publisher.look(now_ms() + WELCOME_WAIT_MS).unwrap();
    assert_eq!(publisher.listed(), 2);
    // An answer that comes late takes one off again.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shared = SharedLedger::new(std::sync::RwLock::new(rules.clone()));
    let (nudge, told) = (Nudge::default(), Nudge::default());
    let thread =
        WelcomeThread::start(directory.path(), shared, dns(), nudge.clone(), told.clone(), runtime.handle()).unwrap();
    until("the answers", || {
        publisher.look(now_ms()).unwrap();
        rules.open_questions(&store, 0, 0).unwrap().is_empty()
    });
    publisher.look(now_ms()).unwrap();
    assert_eq!(publisher.listed(), 1);
    let judged = rules.judge(&store, "203.0.113.9".parse().unwrap()).unwrap();
    assert_eq!(
        judged.history.protected_by.as_deref(),
        Some("shared provider (listed by list.example): 3 times the points are wanted")
    );
    // Who is listed while lists are asked is listed as soon as they have answered.
    abuse(&mut store, 11);
    nudge.nudge();
    until("the third", || {
        publisher.look(now_ms()).unwrap();
        publisher.listed() == 2
    });
    assert!(rules.open_questions(&store, 0, 0).unwrap().is_empty(), "listed before there was an answer");
    // The same judged again, by whom it may be, asks nothing more and changes nothing.
    let listed = in_force(&store, now).unwrap();
    assert!(rules.follow_rules(&mut store, || true).unwrap());
    assert_eq!((in_force(&store, now).unwrap(), rules.open_questions(&store, 0, 0).unwrap().len()), (listed, 0));
    thread.stop();
}

#[test]
fn a_replay_knows_what_was_answered_and_asks_nothing() {
    use crate::feed::ledger::welcomes::{all, take};
    let options = || LedgerOptions { welcome_lists: vec!["list.example".into()], ..LedgerOptions::default() };
    let (live, replay) = (ledger(options()), ledger(options()).without_questions());
    let now = now_ms();
    let rows = || {
        let callout = |n: i64| {
            session(
                n as u128,
                now - n * 600_000,
                "203.0.113.9",
                Kind::Callout,
                &format!("u{n}@example.org"),
                Answer::Ok,
            )
        };
        (0..6).map(|n| row(callout(n))).collect::<Vec<_>>()
    };
    let (mut watched, mut replayed) = (crate::feed::ledger::tests::store(), crate::feed::ledger::tests::store());
    put(&mut watched, &live, rows());
    let question = live.open_questions(&watched, 0, 0).unwrap().remove(0);
    live.answer(&mut watched, &question, &Outcome::Listed("list.example".to_owned())).unwrap();
    assert_eq!(in_force(&watched, now).unwrap(), []);
    put(&mut replayed, &replay, rows());
    assert_eq!((in_force(&replayed, now).unwrap().len(), all(&replayed).unwrap().len()), (1, 0));
    take(&replayed, &all(&watched).unwrap()).unwrap();
    let subject = question.subject;
    assert_eq!(replay.judge(&replayed, subject).unwrap().history, live.judge(&watched, subject).unwrap().history);
    // Other lists have not been asked.
    let other = ledger(LedgerOptions { welcome_lists: vec!["other.example".into()], ..LedgerOptions::default() });
    assert!(other.questions(&watched, subject).unwrap().is_empty());
}
