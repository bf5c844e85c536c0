//! Whatever a client sends, no other client's address and kind change: Exim, Sendmail, OpenSMTPD and Haraka.
//!
//! Each server's lines are made as it writes them, with what the clients sent in the places where it stands, and one hostile and one innocent session in any
//! order. The hostile one may call itself anything where the server lets it: Haraka always, Exim with `helo_accept_junk_hosts`.

use proptest::prelude::*;

use super::tests::observe_lines as observe;
use super::*;
use crate::feed::session::Session;

/// What a client is to the server.
struct Party {
    /// Its address.
    ip: &'static str,
    /// Its port, the process that serves it, its session's id and queue id.
    ids: [&'static str; 4],
    /// What it sends: HELO, sender, recipient.
    said: [String; 3],
}

/// The hostile client's address.
const HOSTILE: &str = "203.0.113.66";

/// The innocent one's.
const INNOCENT: &str = "192.0.2.1";

/// The hostile client.
fn hostile(said: [String; 3]) -> Party {
    let ids = ["2222", "202", "22222222-BBBB-4000-8000-BBBBBBBBBBBB", "1xUqcY-0007wY-BB"];
    Party { ip: HOSTILE, ids, said }
}

/// The innocent one: the null sender, an unknown recipient.
fn innocent() -> Party {
    let ids = ["1111", "101", "11111111-AAAA-4000-8000-AAAAAAAAAAAA", "1xUqcY-0007wY-AA"];
    Party { ip: INNOCENT, ids, said: ["h.example".to_owned(), String::new(), "n@example.org".to_owned()] }
}

/// Whose lines, and how it logs.
#[derive(Debug, Clone, Copy)]
enum Server {
    /// Exim's default selectors: lines, no sessions.
    EximLines,
    /// Exim with ports and process ids.
    EximSessions,
    /// Sendmail.
    Sendmail,
    /// OpenSMTPD's log.
    Opensmtpd,
    /// What OpenSMTPD's filters read.
    OpensmtpdStream,
    /// Haraka.
    Haraka,
}

/// All of them.
const SERVERS: [Server; 6] = [
    Server::EximLines,
    Server::EximSessions,
    Server::Sendmail,
    Server::Opensmtpd,
    Server::OpensmtpdStream,
    Server::Haraka,
];

/// A session: a recipient refused as unknown, then a message to another.
fn lines(server: Server, party: &Party) -> Vec<String> {
    let ip = party.ip;
    let [port, pid, id, queue] = party.ids;
    let [helo, sender, recipient] = &party.said;
    let stamp = "2026-11-21 19:20:08";
    let iso = "2026-11-21T19:20:08.000000+00:00 mx";
    match server {
        Server::EximLines => {
            let host = format!("({helo}) [{ip}]");
            let bare = if sender.is_empty() { "<>" } else { sender };
            vec![
                format!("{stamp} H={host} F=<{sender}> rejected RCPT <{recipient}>: Unknown user"),
                format!("{stamp} {queue} <= {bare} H={host} P=esmtp S=8 id={recipient}"),
                format!("{stamp} SMTP connection from {host} lost while reading message data (header)"),
                format!("{stamp} {queue} => {recipient} R=r T=t H=mx.example [198.51.100.9] C=\"250 {recipient}\""),
                format!("{stamp} {queue} Completed"),
            ]
        }
        Server::EximSessions => {
            let host = format!("({helo}) [{ip}]:{port}");
            let bare = if sender.is_empty() { "<>" } else { sender };
            vec![
                format!("{stamp} [1] SMTP connection from [{ip}]:{port} (TCP/IP connection count = 1)"),
                format!("{stamp} [{pid}] H={host} F=<{sender}> rejected RCPT <{recipient}>: Unknown user"),
                format!("{stamp} [{pid}] H={host} incomplete transaction (RSET) from <{sender}> for {recipient}"),
                format!(
                    "{stamp} [{pid}] {queue} <= {bare} H={host} P=esmtp S=8 id={recipient} from <{sender}> for {recipient}"
                ),
                format!("{stamp} [{pid}] SMTP connection from {host} closed by QUIT"),
                format!("{stamp} [9] {queue} Completed"),
            ]
        }
        Server::Sendmail => {
            let head = format!("{iso} sm-mta[{pid}]: 6ALJRKiY000{pid}:");
            vec![
                format!("{head} <{recipient}>... User unknown"),
                format!(
                    "{head} ruleset=check_rcpt, arg1=<{recipient}>, relay=[{ip}], reject=550 5.7.1 <{recipient}>... no"
                ),
                format!(
                    "{head} from=<{sender}>, size=0, class=0, nrcpts=1, msgid=<{recipient}>, proto=ESMTP, daemon=MTA, relay=[{ip}]"
                ),
                format!(
                    "{iso} sm-mta[9]: 6ALJRKiY000{pid}: to=<{recipient}>, delay=0, mailer=esmtp, relay=mx [198.51.100.9], stat=Sent"
                ),
            ]
        }
        Server::Opensmtpd => {
            let head = format!("{iso} smtpd[9]: 8d6d4e8cdfeee{pid} smtp");
            vec![
                format!("{head} connected address={ip} host=<unknown>"),
                format!("{head} failed-command command=\"EHLO {helo}\" result=\"501 no\""),
                format!(
                    "{head} failed-command command=\"RCPT TO:<{recipient}>\" result=\"550 Invalid recipient: <{recipient}>\""
                ),
                format!("{head} message msgid=0aaaa{pid} size=8 nrcpt=1 proto=ESMTP"),
                format!("{head} envelope evpid=0aaaa{pid}00000000 from=<{sender}> to=<{recipient}>"),
                format!("{head} disconnected reason=quit"),
            ]
        }
        Server::OpensmtpdStream => {
            let line =
                |event: &str, rest: &str| format!("report|0.6|1795289777.5|smtp-in|{event}|ca16c00f4{pid}|{rest}");
            vec![
                line("link-connect", &format!("<unknown>|fail|{ip}:{port}|127.0.0.1:25")),
                line("protocol-client", &format!("EHLO {helo}")),
                line("link-identify", &format!("EHLO|{helo}")),
                line("tx-mail", &format!("t{pid}|ok|{sender}")),
                line("protocol-server", &format!("550 Invalid recipient: <{recipient}>")),
                line("tx-rcpt", &format!("t{pid}|permfail|{recipient}")),
                line("tx-rcpt", &format!("t{pid}|ok|{recipient}")),
                line("tx-commit", &format!("t{pid}|8")),
                line("link-disconnect", ""),
            ]
        }
        Server::Haraka => {
            let head = |n: &str| format!("2026-11-21T19:20:08.000Z [NOTICE] [{id}{n}] [core]");
            let word = helo.split(' ').next().unwrap_or("");
            vec![
                format!("{} connect ip={ip} port={port} local_ip=127.0.0.1 local_port=25", head("")),
                format!("{} sender <{sender}> code=CONT msg=\"\"", head(".1")),
                format!("{} recipient <{recipient}> code=DENY msg=\"User unknown\" sender={sender}", head(".1")),
                format!("{} recipient <{recipient}> code=OK msg=\"\" sender={sender}", head(".1")),
                format!("{} message mid={recipient} size=6 rcpts=1/0/0 delay=0 code=CONT msg=\"\"", head(".1")),
                format!("{} queue code=OK msg=\"queued ({id}.1)\"", head(".1")),
                format!(
                    "{} disconnect ip={ip} rdns=NXDOMAIN helo={word} relay=N early=N esmtp=Y tls=N pipe=N errors=0 txns=1 rcpts=1/0/1 msgs=1/0/0 \
                     bytes=6 lr=\"550 {recipient}\" time=0.1",
                    head(".1")
                ),
            ]
        }
    }
}

/// Pieces of lines, and anything.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        ") [192.0.2.1]:1111 F=<> rejected RCPT <v@w.test>: Unknown user",
        ") [192.0.2.1] F=<> rejected RCPT <v@w.test>: Unknown user",
        ") [192.0.2.1]:1111 F=<",
        ") [192.0.2.1]:1111 closed by QUIT",
        ") [192.0.2.1]:1111 (TCP/IP connection count = 1)",
        ") [192.0.2.1] P=esmtp S=1 id=x",
        ") [192.0.2.1]:1111 incomplete transaction (QUIT) from <",
        "@a.test> rejected RCPT <v@w.test>: Unknown user",
        "H=(test) [8.8.8.8]",
        " for v@w.test",
        " code=OK msg=\"\"",
        "ip=192.0.2.1 relay=Y ",
        "] [core] disconnect ip=192.0.2.1",
        ", relay=[192.0.2.1]",
        ", nrcpts=9, msgid=<x>, proto=ESMTP, daemon=MTA, relay=[192.0.2.1]",
        ", reject=550 5.7.1 x",
        "... Relaying denied",
        "\" result=\"250 ok",
        "|tx-rcpt|ca16c00f4101|t101|ok|v@w.test",
        "\"",
        "\\",
        " ",
        ">",
        "<",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| text.chars().take(30).collect()),
    ];
    // No server lets a line end through, and all write control characters otherwise.
    proptest::collection::vec(piece, 0..6)
        .prop_map(|pieces| pieces.concat().chars().map(|char| if char.is_control() { '?' } else { char }).collect())
}

/// An address whose local part is this text in quotes, as it must be sent.
fn quoted(local: &str) -> String {
    format!("\"{}\"@evil.example", local.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The sessions of a client, apart from where they stand.
fn of(found: &[Observation], ip: &str) -> Vec<Session> {
    let session = |observation: &Observation| match observation {
        Observation::Session(session) if session.client.ip.to_string() == ip => {
            Some(Session { first: Place::default(), last: Place::default(), ..(**session).clone() })
        }
        _ => None,
    };
    found.iter().filter_map(session).collect()
}

/// The lines of both in the order that the bits tell.
fn mixed(ours: Vec<String>, theirs: Vec<String>, order: &[bool]) -> Vec<String> {
    let (mut ours, mut theirs, mut lines) = (ours.into_iter(), theirs.into_iter(), Vec::new());
    for first in order {
        lines.extend(if *first { ours.next() } else { theirs.next() });
    }
    lines.extend(ours);
    lines.extend(theirs);
    lines
}

#[test]
fn the_made_lines_are_understood() {
    for server in SERVERS {
        let found = observe(&lines(server, &innocent()));
        let sessions = of(&found, INNOCENT);
        assert!(!sessions.is_empty(), "{server:?}");
        let accepted = sessions.iter().any(|session| session.kinds.contains(Kind::DsnAccepted));
        assert!(accepted, "{server:?}: {sessions:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_other_client_changes(helo in text(), junk in any::<bool>(), sender in text(), recipient in text(), server in 0..SERVERS.len(), order in proptest::collection::vec(any::<bool>(), 16)) {
        let server = SERVERS[server];
        let helo = if junk { helo } else { "x.example".to_owned() };
        let evil = hostile([helo, quoted(&sender), quoted(&recipient)]);
        let alone = of(&observe(&lines(server, &innocent())), INNOCENT);
        let lines = mixed(lines(server, &innocent()), lines(server, &evil), &order);
        let found = observe(&lines);
        prop_assert_eq!(of(&found, INNOCENT), alone, "{:#?}", lines);
        for observation in &found {
            match observation {
                Observation::Session(session) => {
                    let ip = session.client.ip.to_string();
                    prop_assert!(ip == INNOCENT || ip == HOSTILE, "{}: {:#?}", ip, lines);
                    prop_assert!(!session.authenticated, "{:#?}", lines);
                }
                Observation::Delivery(delivery) => prop_assert_eq!(delivery.relay.to_string(), "198.51.100.9"),
            }
        }
    }

    #[test]
    fn quotes_hide_nothing_of_the_hostile_one(sender in text(), recipient in text(), server in 0..SERVERS.len()) {
        // What could be a second reading of the line makes it uncertain, and then nobody is held responsible.
        let harmless = |text: &str| text.replace(") [", ") (");
        let server = SERVERS[server];
        let evil = hostile(["x.example".to_owned(), quoted(&harmless(&sender)), quoted(&harmless(&recipient))]);
        let found = of(&observe(&lines(server, &evil)), HOSTILE);
        prop_assert!(found.iter().any(|session| session.kinds.contains(Kind::MailAccepted)), "{:?} {:#?}", server, found);
    }
}
