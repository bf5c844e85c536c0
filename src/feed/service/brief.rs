//! Records in few words, for tests: enough to compare, short enough to read.

use super::{Parser, Taken};
use crate::feed::envelope::Message;
use crate::feed::record::{Act, Address, Key, Record, Reply};

/// The records of one message of `program`, printed; nothing where the parser ignored it, `unknown` where it did not know it.
pub fn records(parser: Parser, program: &str, pid: Option<u32>, text: &str) -> Vec<String> {
    let message =
        Message { time_ms: 0, stamp: b"", host: b"mx", program: program.as_bytes(), pid, text: text.as_bytes() };
    let mut found = Vec::new();
    let taken = parser(&message, &mut |record: Record<'_>| found.push(brief(&record)));
    match taken {
        Taken::Parsed => assert!(!found.is_empty(), "parsed, but no record: {text}"),
        Taken::Ignored => assert!(found.is_empty(), "ignored, but a record: {text}"),
        Taken::Unknown => {
            assert!(found.is_empty(), "unknown, but a record: {text}");
            found.push("unknown".to_owned());
        }
    }
    found
}

/// Checks each row: program's text, and the records expected, joined with ` | `.
pub fn check(parser: Parser, program: &str, pid: Option<u32>, rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(records(parser, program, pid, text).join(" | "), *expected, "{text}");
    }
}

/// Octets as text.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// An address in few words.
fn address(address: &Address<'_>) -> String {
    match address {
        Address::Known(address) => format!("<{}>", shown(address)),
        Address::Ambiguous => "?".to_owned(),
        Address::Unseen => "-".to_owned(),
    }
}

/// A reply in few words.
fn answer(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Accepted => "ok".to_owned(),
        Reply::Pending => "pending".to_owned(),
        Reply::Refused { code, text } => format!("{code} {}", shown(text)),
        Reply::AsReplied(answer) => format!("as replied, else {answer:?}"),
        Reply::Classed(answer, Some(code)) => format!("{answer:?} {code}"),
        Reply::Classed(answer, None) => format!("{answer:?}"),
    }
}

/// A record in few words: key, client, what it calls itself, marks, queue id, act.
fn brief(record: &Record<'_>) -> String {
    let key = match record.key {
        Key::Process { pid, .. } => format!("pid{pid}"),
        Key::Peer { ip, port } => format!("{ip}:{port}"),
        Key::Session(id) => shown(id),
        Key::Queue(id) => format!("queue {}", shown(id)),
        Key::Line => "line".to_owned(),
    };
    let mut words = vec![key];
    words.extend(
        record.client.map(|peer| {
            format!("{}{}", peer.ip, peer.ptr.map_or_else(String::new, |name| format!("={}", shown(name))))
        }),
    );
    words.extend(record.helo.map(|helo| format!("({})", shown(helo))));
    let marks = [(record.tls, "tls"), (record.authenticated, "auth"), (record.ambiguous, "ambiguous")];
    words.extend(marks.iter().filter(|(set, _)| *set).map(|(_, mark)| (*mark).to_owned()));
    words.extend(record.queue_id.map(|id| format!("#{}", shown(id))));
    words.push(match &record.act {
        Act::Mail { sender, reply } => format!("mail {} {}", address(sender), answer(reply)),
        Act::Rcpt { sender, recipient, reply } => {
            format!("rcpt {} {} {}", address(sender), address(recipient), answer(reply))
        }
        Act::Data { sender, body } => format!("data {} {body:?}", address(sender)),
        Act::Message { sender, message_id, recipients, names } => {
            let id = message_id.map_or_else(|| "-".to_owned(), shown);
            let count = recipients.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let names = if names.is_empty() { String::new() } else { format!(" [{}]", shown(names)) };
            format!("message {} {id} {count}{names}", address(sender))
        }
        Act::Abandoned { sender, accepted, names } => {
            format!("abandoned {} {accepted} [{}]", address(sender), shown(names))
        }
        Act::Ending { closed, in_data } => format!("ending {closed:?}{}", if *in_data { " in data" } else { "" }),
        Act::Disconnect { closed, verbs } => format!(
            "disconnect {closed:?}{}",
            verbs.map_or_else(String::new, |v| format!(
                " mail={}/{} rcpt={}/{} data={}/{}",
                v.mail.ok, v.mail.all, v.rcpt.ok, v.rcpt.all, v.data.ok, v.data.all
            ))
        ),
        Act::End { closed, verbs } => {
            format!("end {closed:?} mail={} rcpt={} data={}", verbs.mail.all, verbs.rcpt.all, verbs.data.all)
        }
        Act::Reply { answer, code } => format!("reply {answer:?} {code}"),
        Act::Sender { sender, recipients } => format!("sender {} {recipients}", address(sender)),
        Act::Delivery { sender, recipient, relay, sent } => {
            format!("delivery {} {} {relay:?} {sent}", address(sender), address(recipient))
        }
        act => format!("{act:?}").to_lowercase(),
    });
    words.join(" ")
}
