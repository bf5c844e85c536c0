//! Whatever a client sends, no other client's address and kind change.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::feed::session::Session;

/// The hostile client.
const HOSTILE: &str = "203.0.113.66";

/// The innocent one.
const INNOCENT: &str = "192.0.2.1";

/// What a client may send as HELO or within quotes: pieces of lines, and anything.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just(" to=<".to_owned()),
        Just("> to=<victim@x.test> proto=ESMTP helo=<y".to_owned()),
        Just("; from=<> to=<a@b".to_owned()),
        Just(" from unknown[192.0.2.1]".to_owned()),
        Just("disconnect from h.example[192.0.2.1] ehlo=1 mail=1 rcpt=1 quit=1 commands=4".to_owned()),
        Just(": 550 5.1.1 User unknown; from=<".to_owned()),
        Just(" proto=ESMTP helo=<h> sasl_method=PLAIN sasl_username=bob".to_owned()),
        Just(">: Recipient address rejected: User unknown".to_owned()),
        Just("blocked using bl.test".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\nNov 21 19:00:03 mx postfix/smtpd[1]: lost connection after RCPT from h.example[192.0.2.1]".to_owned()),
        any::<String>().prop_map(|text| text.chars().take(40).collect()),
    ];
    proptest::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

/// What Postfix logs of HELO: what might part fields, and what can not be printed, becomes `?`.
fn clean_helo(helo: &str) -> String {
    printable(helo).chars().map(|char| if " <>()\\\";@".contains(char) { '?' } else { char }).collect()
}

/// What Postfix logs of any text: what can not be printed becomes `?`.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_ascii() && !char.is_ascii_control() { char } else { '?' }).collect()
}

/// An address as Postfix logs it among the fields: its local part in quotes.
fn quoted(local: &str) -> String {
    format!("\"{}\"@evil.example", printable(&local.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The same as it stands in a reply: without quotes.
fn unquoted(local: &str) -> String {
    format!("{}@evil.example", printable(local))
}

/// The lines of the hostile client.
fn hostile(helo: &str, sender: &str, recipient: &str) -> Vec<String> {
    let (helo, sender, unquoted, recipient) =
        (clean_helo(helo), quoted(sender), unquoted(recipient), quoted(recipient));
    let peer = format!("unknown[{HOSTILE}]");
    let tail = format!("from=<{sender}> to=<{recipient}> proto=ESMTP helo=<{helo}>");
    vec![
        format!("smtpd[2]: connect from {peer}"),
        format!("smtpd[2]: NOQUEUE: info: RCPT from {peer}: probe-sender; {tail}"),
        format!("smtpd[2]: NOQUEUE: reject: RCPT from {peer}: 554 5.7.1 <{unquoted}>: Relay access denied; {tail}"),
        format!("smtpd[2]: ABCDE2: client={peer}"),
        format!("cleanup[3]: ABCDE2: message-id=<{}>", printable(&sender)),
        format!("qmgr[4]: ABCDE2: from=<{sender}>, size=9, nrcpt=1 (queue active)"),
        format!("smtpd[2]: disconnect from {peer} ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6"),
        format!(
            "smtp[5]: ABCDE2: to=<{recipient}>, relay=mx.example[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 {unquoted})"
        ),
        "qmgr[4]: ABCDE2: removed".to_owned(),
    ]
}

/// The lines of the innocent one: a callout, so that its kind is not the one that is given to whom nothing is known of.
fn innocent() -> Vec<String> {
    let peer = format!("h.example[{INNOCENT}]");
    let tail = "from=<> to=<n@example.org> proto=ESMTP helo=<h.example>";
    vec![
        format!("smtpd[1]: connect from {peer}"),
        format!(
            "smtpd[1]: NOQUEUE: reject: RCPT from {peer}: 550 5.1.1 <n@example.org>: Recipient address rejected: User unknown; {tail}"
        ),
        format!("smtpd[1]: ABCDE1: client={peer}"),
        format!("smtpd[1]: disconnect from {peer} ehlo=1 mail=2 rcpt=1/2 rset=1 quit=1 commands=6/7"),
    ]
}

/// The sessions of these lines.
fn sessions(lines: &[String], cut: bool) -> Vec<Session> {
    let mut assembler = Assembler::new(AssemblerOptions {
        input: "test".into(),
        format: Format::Auto,
        time_zone: TimeZone::UTC,
        year: Some(2026),
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
    });
    let (mut out, mut place) = (Vec::new(), Place::default());
    for line in lines {
        let (program, text) = line.split_once('[').unwrap();
        let program = if cut { "postfix".to_owned() } else { format!("postfix/{program}") };
        let text = format!("Nov 21 19:00:01 mx {program}[{text}");
        place = Place { offset: place.end, end: place.end + text.len() as u64 + 1, number: place.number + 1 };
        assembler.line(&LogLine { place, text: text.as_bytes(), arrived_ms: 0 }, &mut out);
    }
    assembler.finish(&mut out);
    let sessions = out.into_iter().filter_map(|observation| match observation {
        Observation::Session(session) => Some(*session),
        Observation::Delivery(_) => None,
    });
    sessions.collect()
}

/// A session apart from where it stands.
fn placeless(session: &Session) -> Session {
    Session { first: Place::default(), last: Place::default(), ..session.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_other_client_changes(helo in text(), sender in text(), recipient in text(), order in proptest::collection::vec(any::<bool>(), 13), cut in any::<bool>()) {
        let alone = sessions(&innocent(), cut);
        prop_assert_eq!(alone.len(), 1);
        let (mut ours, mut theirs) = (innocent().into_iter(), hostile(&helo, &sender, &recipient).into_iter());
        let mut lines = Vec::new();
        for first in order {
            lines.extend(if first { ours.next() } else { theirs.next() });
        }
        lines.extend(ours);
        lines.extend(theirs);
        let found = sessions(&lines, cut);
        let of = |ip: &str| found.iter().filter(|session| session.client.ip.to_string() == ip).collect::<Vec<_>>();
        prop_assert_eq!(found.len(), 2, "{:#?}", lines);
        let [same] = of(INNOCENT)[..] else { panic!("{lines:#?}") };
        prop_assert_eq!(placeless(same), placeless(&alone[0]));
        // What the hostile client did is told rightly too.
        let [evil] = of(HOSTILE)[..] else { panic!("{lines:#?}") };
        prop_assert!(!evil.authenticated, "{:#?}", lines);
        prop_assert!(evil.kinds.contains(Kind::MailAccepted), "{:?} {:#?}", evil, lines);
    }

    #[test]
    fn nothing_panics(lines in proptest::collection::vec(text(), 0..20), format in 0..Format::ALL.len()) {
        let mut assembler = Assembler::new(AssemblerOptions {
            input: "test".into(),
            format: Format::ALL[format].0,
            time_zone: TimeZone::UTC,
            year: None,
            probe_senders: ProbeSenders::default(),
            limits: AssemblerLimits { sessions_max: 3, queue_ids_max: 3, recipients_max: 3, ..AssemblerLimits::default() },
        });
        let mut out = Vec::new();
        for (number, text) in lines.iter().enumerate() {
            let text = format!("Nov 21 19:00:{:02} mx postfix/{text}", number % 60);
            assembler.line(&LogLine { place: Place::default(), text: text.as_bytes(), arrived_ms: 0 }, &mut out);
        }
        assembler.finish(&mut out);
        prop_assert_eq!(assembler.counts().open, 0);
    }
}
