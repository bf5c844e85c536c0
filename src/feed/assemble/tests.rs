//! Lines to sessions: the captured logs, and what the captured logs do not show.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::*;
use crate::feed::session::{Kinds, Session};

/// An assembler for Postfix's lines of 2026.
fn assembler() -> Assembler {
    Assembler::new(options(Format::Postfix))
}

/// Settings for lines of 2026.
fn options(format: Format) -> AssemblerOptions {
    AssemblerOptions {
        input: "test".into(),
        format,
        time_zone: TimeZone::UTC,
        year: Some(2026),
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
    }
}

/// Feeds a whole log, a line at a time.
fn feed(assembler: &mut Assembler, log: &[u8], out: &mut Vec<Observation>) {
    let (mut offset, mut number) = (0, 0);
    for text in log.split_inclusive(|&octet| octet == b'\n') {
        number += 1;
        let place = Place { offset, end: offset + text.len() as u64, number };
        assembler.line(&LogLine { place, text, arrived_ms: 0 }, out);
        offset = place.end;
    }
}

/// All that lines of 2026 give, whose server is to be found out.
pub(super) fn observe_lines(lines: &[impl AsRef<str>]) -> Vec<Observation> {
    let mut assembler = Assembler::new(options(Format::Auto));
    let (mut out, mut place) = (Vec::new(), Place::default());
    for text in lines.iter().map(AsRef::as_ref) {
        place = Place { offset: place.end, end: place.end + text.len() as u64 + 1, number: place.number + 1 };
        assembler.line(&LogLine { place, text: text.as_bytes(), arrived_ms: 0 }, &mut out);
    }
    assembler.finish(&mut out);
    out
}

/// All that a log of 2026 gives.
fn observe(log: &[u8]) -> Vec<Observation> {
    let (mut assembler, mut out) = (assembler(), Vec::new());
    feed(&mut assembler, log, &mut out);
    assembler.finish(&mut out);
    out
}

/// The sessions of a log, in the order of their first lines.
fn sessions(log: &[u8]) -> Vec<Session> {
    let mut sessions: Vec<Session> = observe(log).into_iter().filter_map(session).collect();
    sessions.sort_by_key(|session| session.first);
    sessions
}

/// The session of an observation.
fn session(observation: Observation) -> Option<Session> {
    match observation {
        Observation::Session(session) => Some(*session),
        Observation::Delivery(_) => None,
    }
}

/// The folder of captured logs.
fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs")
}

/// The lines of a captured log; the raw one has no line ends, as it went over the wire.
fn captured(path: &Path) -> Vec<u8> {
    let log = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "raw") {
        return String::from_utf8(log).unwrap().replace("<22>", "\n<22>").into_bytes();
    }
    log
}

#[test]
fn captured_logs_have_the_kinds_of_their_dialogues() {
    let table = std::fs::read_to_string(logs().join("kinds-postfix.tsv")).unwrap();
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [folder, file, expected, ..] = columns[..] else { panic!("{row}") };
        let found = sessions(&captured(&logs().join(folder).join(file)));
        let found: Vec<String> = found.iter().map(|session| session.kinds.to_string()).collect();
        if found.join(";") != expected {
            wrong.push(format!("{folder}/{file}:\n  expected {expected}\n  found    {}", found.join(";")));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{} of {rows}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 60);
}

/// What a log of Postfix gives, in few words: kinds, client, completeness.
fn check(log: &str, expected: &[&str]) {
    let log: String = log
        .trim()
        .lines()
        .map(|line| format!("Nov 21 19:00:{} mx postfix/{}\n", line.trim().split_at(2).0, line.trim().split_at(3).1))
        .collect();
    let found: Vec<String> = sessions(log.as_bytes()).iter().map(brief).collect();
    assert_eq!(found, expected, "{log}");
}

/// A session in few words.
fn brief(session: &Session) -> String {
    let named = |accepted: bool| {
        let all = session.transactions.iter().flat_map(|transaction| &transaction.recipients);
        let some = all.filter(|recipient| (recipient.answer == crate::feed::session::Answer::Ok) == accepted);
        some.map(|recipient| recipient.address.as_deref().map_or("?".into(), String::from_utf8_lossy).into_owned())
            .collect::<Vec<_>>()
            .join(",")
    };
    let port = session.client.port.map_or(String::new(), |port| format!(":{port}"));
    let end = if session.complete { "complete" } else { "incomplete" };
    format!(
        "{} {}{port} ok={} no={} {:?} {end}",
        session.kinds,
        session.client.ip,
        named(true),
        named(false),
        session.closed
    )
}

#[test]
fn sessions_of_postfix() {
    // postscreen hands on to smtpd: one visit.
    check(
        "01 postscreen[1]: CONNECT from [192.0.2.1]:4001 to [127.0.0.1]:25
         01 postscreen[1]: PASS OLD [192.0.2.1]:4001
         02 smtpd[2]: connect from h.example[192.0.2.1]
         02 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         02 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 mail=1 rcpt=1 quit=1 commands=4",
        &["probe_sender_unseen 192.0.2.1:4001 ok= no= Quit complete"],
    );
    // The same where smtpd logs the port too.
    check(
        "01 postscreen[1]: CONNECT from [192.0.2.1]:4001 to [127.0.0.1]:25
         01 postscreen[1]: PASS NEW [192.0.2.1]:4001
         02 smtpd[2]: connect from h.example[192.0.2.1]:4001
         02 smtpd[2]: disconnect from h.example[192.0.2.1]:4001 ehlo=1 quit=1 commands=2",
        &["noise 192.0.2.1:4001 ok= no= Quit complete"],
    );
    // Handed on, but postscreen's deep tests ended it: its own session.
    check(
        "01 postscreen[1]: CONNECT from [192.0.2.1]:4001 to [127.0.0.1]:25
         01 postscreen[1]: PASS NEW [192.0.2.1]:4001
         01 postscreen[1]: DISCONNECT [192.0.2.1]:4001
         02 smtpd[2]: connect from h.example[192.0.2.1]
         02 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 quit=1 commands=2",
        &["noise 192.0.2.1:4001 ok= no= Unknown complete", "noise 192.0.2.1 ok= no= Quit complete"],
    );
    // Two visits of one client, greeted in the order they were handed on.
    check(
        "01 postscreen[1]: CONNECT from [192.0.2.1]:4001 to [127.0.0.1]:25
         01 postscreen[1]: CONNECT from [192.0.2.1]:4002 to [127.0.0.1]:25
         01 postscreen[1]: PASS OLD [192.0.2.1]:4001
         01 postscreen[1]: PASS OLD [192.0.2.1]:4002
         02 smtpd[2]: connect from h.example[192.0.2.1]
         02 smtpd[3]: connect from h.example[192.0.2.1]
         02 smtpd[3]: disconnect from h.example[192.0.2.1] ehlo=1 quit=1 commands=2
         02 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 quit=1 commands=2",
        &["noise 192.0.2.1:4001 ok= no= Quit complete", "noise 192.0.2.1:4002 ok= no= Quit complete"],
    );
    // A new client on the same process: the old one's end was lost.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         02 smtpd[2]: connect from i.example[192.0.2.2]
         02 smtpd[2]: disconnect from i.example[192.0.2.2] ehlo=1 quit=1 commands=2",
        &["noise 192.0.2.1 ok= no= Unknown incomplete", "noise 192.0.2.2 ok= no= Quit complete"],
    );
    // Two services may use the same process id.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 submission/smtpd[2]: connect from i.example[192.0.2.2]
         02 smtpd[2]: disconnect from h.example[192.0.2.1] quit=1 commands=1
         02 submission/smtpd[2]: disconnect from i.example[192.0.2.2] auth=1 quit=1 commands=1",
        &["noise 192.0.2.1 ok= no= Quit complete", "noise 192.0.2.2 ok= no= Quit complete"],
    );
    // The queue's lines before and after the end; recipients of null-sender mail are named by deliveries.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         01 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6
         02 cleanup[3]: ABCDE1: message-id=<x@y>
         02 qmgr[4]: ABCDE1: from=<>, size=1, nrcpt=2 (queue active)
         03 local[5]: ABCDE1: to=<a@mx>, orig_to=<a@example.org>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered)
         03 lmtp[5]: ABCDE1: to=<b@example.org>, relay=mx[/run/lmtp], delay=1, dsn=2.0.0, status=sent (250 ok)
         03 qmgr[4]: ABCDE1: removed",
        &["dsn_accepted 192.0.2.1 ok=a@example.org,b@example.org no= Quit complete"],
    );
    // The wait for them ends; the counters say that a message was taken.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         01 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5
         09 smtpd[2]: connect from i.example[192.0.2.2]
         10 smtpd[2]: disconnect from i.example[192.0.2.2] quit=1 commands=1
         10 qmgr[4]: ABCDE1: from=<>, size=1, nrcpt=2 (queue active)",
        &["mail_accepted 192.0.2.1 ok= no= Quit complete", "noise 192.0.2.2 ok= no= Quit complete"],
    );
    // Refused with one sender, taken from another.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 smtpd[2]: NOQUEUE: reject: RCPT from h.example[192.0.2.1]: 550 5.1.1 <n@example.org>: User unknown; from=<> to=<n@example.org> proto=ESMTP helo=<h>
         01 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         01 cleanup[3]: ABCDE1: message-id=<x@y>
         01 qmgr[4]: ABCDE1: from=<joe@x>, size=1, nrcpt=1 (queue active)
         02 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 mail=2 rcpt=1/2 rset=1 data=1 quit=1 commands=7/8",
        &["null_rejected+mail_accepted 192.0.2.1 ok= no=n@example.org Quit complete"],
    );
    // The message itself is refused.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 smtpd[2]: NOQUEUE: info: RCPT from h.example[192.0.2.1]: null-sender; from=<> to=<a@example.org> proto=ESMTP helo=<h>
         01 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         01 cleanup[3]: ABCDE1: message-id=<x@y>
         01 cleanup[3]: ABCDE1: milter-reject: END-OF-MESSAGE from h.example[192.0.2.1]: 5.7.1 spam; from=<> to=<a@example.org> proto=ESMTP helo=<h>
         02 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 mail=1 rcpt=1 data=0/1 quit=1 commands=4/5",
        &["null_data_rejected 192.0.2.1 ok=a@example.org no= Quit complete"],
    );
    // Postfix 3.10: a transaction given up is said to be.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 smtpd[2]: NOQUEUE: info: RCPT from h.example[192.0.2.1]: null-sender; from=<> to=<a@example.org> proto=ESMTP helo=<h>
         01 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         01 cleanup[3]: ABCDE1: canceled
         01 smtpd[2]: NOQUEUE: lost connection after RSET from h.example[192.0.2.1]
         02 smtpd[2]: disconnect from h.example[192.0.2.1] ehlo=1 mail=1 rcpt=1 rset=1 commands=4",
        &["callout 192.0.2.1 ok=a@example.org no= Lost complete"],
    );
    // Before Postfix 3.0 there are no counters.
    check(
        "01 smtpd[2]: connect from h.example[192.0.2.1]
         01 smtpd[2]: ABCDE1: client=h.example[192.0.2.1]
         01 smtpd[2]: lost connection after DATA (0 bytes) from h.example[192.0.2.1]
         02 smtpd[2]: disconnect from h.example[192.0.2.1]",
        &["aborted_data 192.0.2.1 ok= no= Lost complete"],
    );
    // Nobody can say who that was.
    check(
        "01 smtpd[2]: connect from unknown[unknown]\n02 smtpd[2]: disconnect from unknown[unknown] quit=1 commands=1",
        &[],
    );
}

#[test]
fn deliveries_have_their_senders() {
    let log = b"Nov 21 19:00:01 mx postfix/pickup[1]: ABCDE1: uid=0 from=<root>
Nov 21 19:00:01 mx postfix/qmgr[4]: ABCDE1: from=<root@example.org>, size=1, nrcpt=3 (queue active)
Nov 21 19:00:02 mx postfix/smtp[5]: ABCDE1: to=<a@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
Nov 21 19:00:02 mx postfix/smtp[5]: ABCDE1: to=<c@d.example>, relay=mx.d.example[2001:db8::9]:25, delay=1, dsn=4.0.0, status=deferred (host said: 450, status=sent)
Nov 21 19:00:02 mx postfix/local[5]: ABCDE1: to=<e@example.org>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered)
Nov 21 19:00:03 mx postfix/smtp[5]: ABCDE2: to=<a@b.example>, relay=mx.b.example[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
";
    let found: Vec<String> = observe(log)
        .into_iter()
        .map(|observation| match observation {
            Observation::Delivery(delivery) => format!(
                "{} {} {}",
                String::from_utf8_lossy(&delivery.sender),
                String::from_utf8_lossy(&delivery.recipient),
                delivery.relay
            ),
            Observation::Session(session) => brief(&session),
        })
        .collect();
    assert_eq!(found, ["root@example.org a@b.example 192.0.2.9"]);
}

#[test]
fn bounded_and_flushed() {
    let connect = |pid: usize, second: usize| {
        format!(
            "Nov 21 19:{:02}:{:02} mx postfix/smtpd[{pid}]: connect from unknown[192.0.2.1]\n",
            second / 60,
            second % 60
        )
    };
    let limits = AssemblerLimits { sessions_max: 10, ..AssemblerLimits::default() };
    let mut assembler = Assembler::new(AssemblerOptions { limits, ..options(Format::Postfix) });
    let mut out = Vec::new();
    let log: String = (0..100).map(|pid| connect(pid, pid)).collect();
    feed(&mut assembler, log.as_bytes(), &mut out);
    assert_eq!((out.len(), assembler.counts().open, assembler.counts().evicted), (90, 10, 90));
    assert!(out.iter().all(|observation| matches!(observation, Observation::Session(session) if !session.complete)));
    // The log's clock moves on by more than the limit; then the wall clock does.
    out.clear();
    feed(&mut assembler, connect(7, 59 * 60).as_bytes(), &mut out);
    assert_eq!((out.len(), assembler.counts().open, assembler.counts().idle), (10, 1, 10));
    out.clear();
    let last_ms = "2026-11-21T19:59:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assembler.idle(last_ms + 15 * 60 * 1000 - 1, &mut out);
    assert!(out.is_empty());
    assembler.idle(last_ms + 15 * 60 * 1000, &mut out);
    assert_eq!((out.len(), assembler.counts().open), (1, 0));
    // Recipients are bounded too.
    let limits = AssemblerLimits { recipients_max: 5, ..AssemblerLimits::default() };
    let mut assembler = Assembler::new(AssemblerOptions { limits, ..options(Format::Postfix) });
    let refused = |n| {
        format!(
            "Nov 21 19:00:01 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 no; from=<> to=<u{n}@x> proto=SMTP helo=<h>\n"
        )
    };
    let log: String = connect(1, 0) + &(0..50).map(refused).collect::<String>();
    out.clear();
    feed(&mut assembler, log.as_bytes(), &mut out);
    assembler.finish(&mut out);
    let [Observation::Session(session)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(
        (session.transactions[0].recipients.len(), session.complete, assembler.counts().dropped_recipients),
        (4, false, 1)
    );
}

#[test]
fn reading_again_gives_the_same_ids() {
    for name in [
        "postfix-3.7-default/_all.log",
        "postfix-3.7-info-null-sender/_all.log",
        "syslog-envelopes/rsyslog-rfc3339.log",
        "postfix-3.7-postscreen/_all.log",
    ] {
        let log = std::fs::read(logs().join(name)).unwrap();
        let ids = |observed: &[Observation]| -> Vec<u128> {
            observed
                .iter()
                .filter_map(|observation| match observation {
                    Observation::Session(session) => Some(session.id),
                    Observation::Delivery(_) => None,
                })
                .collect()
        };
        let whole = ids(&observe(&log));
        let mut distinct = whole.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), whole.len(), "{name}: ids are distinct");
        // A crash after any line: what came out before stands, the rest comes out of reading again from the mark.
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', &log).map(|at| at + 1).collect();
        for &end in &ends {
            let (mut before, mut committed) = (assembler(), Vec::new());
            feed(&mut before, &log[..end], &mut committed);
            let mark = before.low_water().place.offset as usize;
            assert!(mark <= end);
            let mut again = assembler();
            let mut dropped = Vec::new();
            feed(&mut again, &log[mark..end], &mut dropped);
            let mut rest = Vec::new();
            feed(&mut again, &log[end..], &mut rest);
            again.finish(&mut rest);
            let mut found = ids(&committed);
            found.extend(ids(&rest));
            assert_eq!(found, whole, "{name}: read again from {mark} after a crash at {end}");
        }
    }
}

#[test]
fn identical_lines_of_a_second_are_told_apart() {
    let visit = "Nov 21 19:00:01 mx postfix/smtpd[1]: connect from h[192.0.2.1]\nNov 21 19:00:01 mx postfix/smtpd[1]: disconnect from h[192.0.2.1] quit=1 commands=1\n";
    let found = sessions(visit.repeat(3).as_bytes());
    assert_eq!(found.len(), 3);
    assert!(found[0].id != found[1].id && found[1].id != found[2].id && found[0].id != found[2].id);
    // A line that comes late, in a second that has passed already.
    let late = "Nov 21 19:00:02 mx postfix/smtpd[2]: connect from h[192.0.2.2]\n";
    let found_late = sessions((visit.to_owned() + late + visit).as_bytes());
    assert_eq!(found_late.len(), 3);
    assert_ne!(found_late[0].id, found_late[2].id);
    let other_input = AssemblerOptions { input: "other".into(), ..options(Format::Postfix) };
    let (mut other, mut out) = (Assembler::new(other_input), Vec::new());
    feed(&mut other, visit.as_bytes(), &mut out);
    assert_ne!(out.into_iter().filter_map(session).next().unwrap().id, found[0].id);
}

/// Where the log ends within a session, an accepted recipient is not yet a callout: its message may come.
#[test]
fn what_is_under_way_at_the_end_of_a_log_shows_nothing() {
    let connect = "Nov 21 10:00:00 mx postfix/smtpd[7]: connect from a.example[192.0.2.1]\n";
    let reject = "Nov 21 10:00:01 mx postfix/smtpd[7]: NOQUEUE: reject: RCPT from a.example[192.0.2.1]: 550 5.1.1 <u@e.example>: \
                  Recipient address rejected: User unknown in virtual mailbox table; from=<> to=<u@e.example> proto=ESMTP helo=<a>\n";
    let accept = "Nov 21 10:00:02 mx postfix/smtpd[7]: 5DCA641C21: client=a.example[192.0.2.1]\n";
    let leave = "Nov 21 10:00:03 mx postfix/smtpd[7]: disconnect from a.example[192.0.2.1] ehlo=1 mail=1 rcpt=1 quit=1 commands=4\n";
    let check = |lines: &[&str], expected: Kind| {
        let sessions = sessions(lines.concat().as_bytes());
        assert_eq!(
            sessions.iter().map(|session| session.kinds).collect::<Vec<_>>(),
            [Kinds::default().with(expected)],
            "{lines:?}"
        );
    };
    check(&[connect, accept], Kind::Noise);
    check(&[connect, reject], Kind::NullRejected);
    check(&[connect, reject, accept], Kind::NullRejected);
    check(&[connect, accept, leave], Kind::ProbeSenderUnseen);
}
