//! The store: what is refused, what is kept, what is there after it was closed.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use super::rows::{self, Row};
use super::*;
use crate::feed::kind::ProbeSenders;
use crate::feed::session::{
    Answer, Body, Client, Closed, Count, Delivery, Kind, Kinds, Recipient, Session, Transaction, Verbs,
};

/// Now: what is older than the store keeps goes at once.
fn now_ms() -> i64 {
    crate::sys::clock::now_s() * 1000
}

/// A session with this id and kind.
fn session(id: u128, kind: Kind) -> Session {
    let recipient =
        |address: &[u8], answer| Recipient { address: Some(address.into()), answer, code: Some(550), random: false };
    Session {
        first: Default::default(),
        last: Default::default(),
        start_ms: now_ms(),
        end_ms: now_ms() + 1000,
        id,
        host: "mx".into(),
        client: Client { ip: "192.0.2.1".parse().unwrap(), port: Some(2525), ptr: None },
        helo: Some((*b"host\xff").into()),
        tls: true,
        authenticated: false,
        verbs: Verbs { mail: Count { ok: 1, all: 1 }, ..Verbs::default() },
        transactions: vec![Transaction {
            sender: Some((*b"").into()),
            recipients: vec![
                recipient(b"nobody@example.org", Answer::UnknownUser),
                recipient(b"alice@example.org", Answer::Ok),
            ],
            body: Body::Taken,
            ..Transaction::default()
        }],
        closed: Closed::Quit,
        complete: true,
        ambiguous: false,
        kinds: Kinds::default().with(kind),
    }
}

/// A batch of rows, read up to `offset`.
fn batch(input: i64, rows: Vec<Row>, offset: u64) -> Batch {
    Batch {
        input,
        rows,
        low_water: Position { generation: 3, offset: offset / 2, number: 5 },
        read: Position { generation: 3, offset, number: 10 },
        time_ms: 77,
        files: Some(vec![SavedFile {
            generation: 3,
            identity: Identity { device: u64::MAX, inode: 2, head_octets: 3, head_hash: [9; 16] },
            path: "mail.log".to_owned(),
        }]),
        cursors: (Some("low".to_owned()), None),
        ended: vec![
            (7, Position { generation: 3, offset: offset / 2, number: 0 }),
            (8, Position { generation: 3, offset, number: 0 }),
        ],
        committed: Arc::new(Mutex::new(Position::default())),
    }
}

/// One number out of the store.
fn number(directory: &Path, sql: &str) -> i64 {
    let connection = Connection::open(directory.join(FILE)).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn events_and_marks_are_committed_together_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (input, saved) = store.input("a").unwrap();
    assert_eq!(saved, Saved::default());
    let key = store.key().clone();
    let writer = store.start().unwrap();
    let event = |id| {
        rows::of_session(
            session(id, Kind::Callout),
            "mail.log",
            vec![b"a line".to_vec()],
            &key,
            &ProbeSenders::default(),
        )
    };
    let delivery = Delivery {
        time_ms: now_ms(),
        place: Default::default(),
        sender: (*b"alice@example.org").into(),
        recipient: (*b"x@example.net").into(),
        relay: "2001:db8::1".parse().unwrap(),
    };
    let sent = batch(
        input,
        vec![
            event(1),
            event(2),
            event(1),
            rows::of_session(session(3, Kind::MailAccepted), "", vec![], &key, &ProbeSenders::default()),
            rows::of_delivery(&delivery, &key),
        ],
        100,
    );
    let committed = Arc::clone(&sent.committed);
    let low_water = sent.low_water;
    writer.sender().send(sent).unwrap();
    let counts = writer.counts();
    writer.stop();
    assert_eq!(*committed.lock().unwrap(), low_water);
    let read = [&counts.events, &counts.duplicates, &counts.counted, &counts.deliveries, &counts.commits]
        .map(|n| n.load(Relaxed));
    assert_eq!(read, [2, 1, 1, 1, 1]);
    let path = directory.path();
    assert_eq!(number(path, "SELECT count(*) FROM events WHERE ip_text = '192.0.2.1' AND flags = 5 AND kinds = 1"), 2);
    assert_eq!(
        number(path, "SELECT count(*) FROM recipients JOIN transactions USING (event, place) WHERE sender = 'null'"),
        4
    );
    assert_eq!(number(path, "SELECT sum(messages) FROM counts"), 1);
    // A delivery's sender and an event's recipient meet by their hash.
    assert_eq!(number(path, "SELECT count(*) FROM recipients JOIN deliveries ON hash = sender WHERE answer = 'ok'"), 2);
    let raw = fs::read(path.join(FILE)).unwrap();
    assert!(!raw.windows(6).any(|octets| octets == b"nobody" || octets == b"alice@"), "an address in the clear");
    let store = Store::open(path).unwrap();
    assert!(has_event(&store.connection, 1).unwrap() && !has_event(&store.connection, 3).unwrap());
    let (again, saved) = store.input("a").unwrap();
    assert_eq!(again, input);
    assert_eq!((saved.low_water.offset, saved.read.offset, saved.time_ms), (50, 100, 77));
    assert_eq!((saved.files[0].identity.device, saved.cursor.as_deref()), (u64::MAX, Some("low")));
    // What ended before the low-water mark is not read again.
    assert_eq!(saved.ended, [(8, Position { generation: 3, offset: 100, number: 0 })]);
    assert_ne!(store.input("b").unwrap().0, input);
}

#[test]
fn what_is_old_goes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (input, _) = store.input("a").unwrap();
    let key = store.key().clone();
    let writer = store.start().unwrap();
    let rows = (0..5)
        .map(|id| rows::of_session(session(id, Kind::Callout), "", vec![b"x".to_vec()], &key, &ProbeSenders::default()))
        .collect();
    writer.sender().send(batch(input, rows, 1)).unwrap();
    writer.stop();
    let store = Store::open(directory.path()).unwrap();
    let then = now_ms();
    let day = 86_400_000;
    for (days, lines, events) in [(27, 5, 5), (29, 0, 5), (179, 0, 5), (181, 0, 0)] {
        // By two at a time, until there is no more.
        while !expire(&store.connection, then + days * day, 2).unwrap() {}
        let counted =
            ["lines", "events"].map(|table| number(directory.path(), &format!("SELECT count(*) FROM {table}")));
        assert_eq!(counted, [lines, events], "after {days} days");
    }
}

#[test]
fn files_that_can_not_be_used_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let check = |word: &str| {
        let before = fs::read(&path).unwrap();
        let error = Store::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(word) && error.starts_with(&*path.to_string_lossy()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before, "{word}");
        fs::remove_file(&path).unwrap();
    };
    fs::write(&path, "this is no database, but some text of which there is more than a header has".repeat(9)).unwrap();
    check("is damaged");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    check("some other program's");
    drop(Store::open(directory.path()).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = DELETE; PRAGMA user_version = 99").unwrap();
    check("version 99");
    let _first = Store::open(directory.path()).unwrap();
    let error = Store::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("another feeder"), "{error}");
}

#[test]
fn null_sender_mail_is_read_back_as_it_was_counted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (key, input) = (store.key().clone(), store.input("mail.log").unwrap().0);
    let answers = [
        Answer::Ok,
        Answer::UnknownUser,
        Answer::Greylisted,
        Answer::Blocked(Some("bl.example".into())),
        Answer::RelayDenied,
        Answer::LocalError,
        Answer::Deferred,
        Answer::Policy,
    ];
    let sessions: Vec<Session> = (1..)
        .zip(answers.into_iter().flat_map(|answer| [false, true].map(|random| (answer.clone(), random))))
        .map(|(id, (answer, random))| {
            let mut session = session(id, Kind::Callout);
            session.end_ms += id as i64;
            session.client.ip = if random { "2001:db8:1:2:3::4".parse().unwrap() } else { session.client.ip };
            session.transactions[0].message_id = Some((*b"id@x").into());
            let recipient = &mut session.transactions[0].recipients[0];
            (recipient.answer, recipient.random) = (answer, random);
            session
        })
        .collect();
    let mut counted: Vec<Hit> =
        sessions.iter().flat_map(|session| hit::of_session(session, |address| key.hash(address))).collect();
    counted.iter_mut().for_each(|hit| hit.address = None);
    let rows = sessions
        .into_iter()
        .map(|session| rows::of_session(session, "mail.log", Vec::new(), &key, &ProbeSenders::default()))
        .collect();
    let writer = store.start().unwrap();
    writer.sender().send(batch(input, rows, 100)).unwrap();
    writer.stop();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.null_sender_hits(0).unwrap(), counted);
    assert_eq!(store.null_sender_hits(i64::MAX).unwrap(), []);
    // Each session has alice, and seven of eight answers count unless the name was invented.
    assert_eq!(counted.len(), 16 + 7);
}
