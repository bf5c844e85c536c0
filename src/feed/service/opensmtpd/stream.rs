//! What a filter process of OpenSMTPD reads: `report|version|seconds|smtp-in|event|session|…` (smtpd-filters(7)).
//!
//! It tells everything, in order. Fields are divided by `|`; text of the client stands last, so that a `|` in it divides nothing. Versions before 0.6
//! put the result of MAIL and RCPT after the address, versions before 0.7 the result of AUTH after the user.

use super::super::text::{after, ip_port, reply_code, word};
use super::super::{Sink, Taken};
use super::{is_command, no_name};
use crate::feed::envelope::Message;
use crate::feed::kind;
use crate::feed::record::{Act, Address, Key, Peer, Record, Reply};
use crate::feed::session::{Answer, Body, Closed};

/// The records of one line.
pub fn parse(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken {
    let mut fields = message.text.splitn(7, |octet| *octet == b'|');
    let mut next = || fields.next().unwrap_or(b"");
    let (kind, version, _time, subsystem, event, session, rest) =
        (next(), next(), next(), next(), next(), next(), next());
    if kind != b"report" || subsystem != b"smtp-in" || session.is_empty() {
        return Taken::Ignored;
    }
    let key = Key::Session(session);
    let mut record = Record::new(key, Act::Seen);
    record.act = match event {
        b"link-connect" => {
            let Some(peer) = peer(rest) else { return Taken::Ignored };
            record.client = Some(peer);
            Act::Connect
        }
        b"link-identify" => {
            let helo = split(rest).map_or(rest, |(_method, helo)| helo);
            record.helo = Some(helo);
            Act::Seen
        }
        b"link-tls" => {
            record.tls = true;
            Act::Seen
        }
        b"link-auth" => {
            let (first, last) = split_both(rest);
            record.authenticated =
                [first, last].contains(&b"pass".as_slice()) && result_is_first(version, (0, 7), rest, b"pass");
            Act::Seen
        }
        b"tx-begin" => return Taken::Ignored,
        b"tx-mail" | b"tx-rcpt" => {
            let Some((transaction, rest)) = split(rest) else { return Taken::Unknown };
            let Some((result, address)) = outcome(version, rest) else { return Taken::Unknown };
            record.queue_id = Some(transaction);
            let (address, reply) = (Address::Known(address), reply(result));
            if event == b"tx-mail" {
                Act::Mail { sender: address, reply }
            } else {
                Act::Rcpt { sender: Address::Unseen, recipient: address, reply }
            }
        }
        b"tx-data" => {
            let Some((transaction, result)) = split(rest) else { return Taken::Unknown };
            record.queue_id = Some(transaction);
            // The message is on its way: lost, unless a later line says that it came.
            let body = if result == b"ok" { Body::Lost } else { Body::Tried };
            Act::Data { sender: Address::Unseen, body }
        }
        b"tx-commit" => {
            record.queue_id = Some(split(rest).map_or(rest, |(transaction, _)| transaction));
            Act::Message { sender: Address::Unseen, message_id: None, recipients: None, names: &[] }
        }
        b"tx-rollback" => {
            record.queue_id = Some(rest);
            Act::Abandoned { sender: Address::Unseen, accepted: 0, names: &[] }
        }
        b"filter-response" => {
            let Some((phase, answer)) = split(rest) else { return Taken::Ignored };
            if phase != b"commit" || !(answer.starts_with(b"reject") || answer.starts_with(b"disconnect")) {
                return Taken::Ignored;
            }
            Act::Data { sender: Address::Unseen, body: Body::Refused }
        }
        b"protocol-client" => match word(rest).0 {
            line if is_command(line, b"DATA") || is_command(line, b"BDAT") => {
                Act::Data { sender: Address::Unseen, body: Body::Tried }
            }
            line if is_command(line, b"QUIT") => Act::Ending { closed: Closed::Quit, in_data: false },
            _ => return Taken::Ignored,
        },
        b"protocol-server" => match reply_code(rest) {
            // The reply to RCPT and MAIL comes before the line that tells their result.
            Some(code) if code >= 400 => Act::Reply { answer: kind::answer(code, rest.get(4..).unwrap_or(b"")), code },
            _ => return Taken::Ignored,
        },
        b"timeout" => Act::Ending { closed: Closed::Timeout, in_data: false },
        b"link-disconnect" => Act::Disconnect { closed: Closed::Unknown, verbs: None },
        _ => return Taken::Ignored,
    };
    sink(record);
    Taken::Parsed
}

/// `name|result of its check|address:port|own address:port`; read from the right, since the name is what a foreign DNS said.
fn peer(text: &[u8]) -> Option<Peer<'_>> {
    let mut fields = text.rsplitn(4, |octet| *octet == b'|');
    let (_own, address, _check, name) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (ip, port) = ip_port(address)?;
    Some(Peer { ip, port, ptr: Some(name).filter(|name| !no_name(name)) })
}

/// What stands before the first `|`, and what after it.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'|', text)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The first field and the last.
fn split_both(text: &[u8]) -> (&[u8], &[u8]) {
    let first = split(text).map_or(text, |(first, _)| first);
    let last = memchr::memrchr(b'|', text).map_or(text, |at| &text[at + 1..]);
    (first, last)
}

/// Does `text` have `result` where this version puts it: first from `since` on, last before.
fn result_is_first(version: &[u8], since: (u64, u64), text: &[u8], result: &[u8]) -> bool {
    let (first, last) = split_both(text);
    if at_least(version, since) { first == result } else { last == result }
}

/// Is the protocol's version `since` or a later one.
fn at_least(version: &[u8], since: (u64, u64)) -> bool {
    let Some((major, rest)) = super::super::text::leading_number(version) else { return false };
    let minor = after(rest, b".").and_then(super::super::text::leading_number).map_or(0, |(minor, _)| minor);
    (major, minor) >= since
}

/// Result and address of MAIL or RCPT.
fn outcome<'a>(version: &[u8], text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    if at_least(version, (0, 6)) {
        return split(text);
    }
    let at = memchr::memrchr(b'|', text)?;
    Some((&text[at + 1..], &text[..at]))
}

/// The answer to MAIL or RCPT; what the server said stands in the line before.
fn reply(result: &[u8]) -> Reply<'static> {
    match result {
        b"ok" => Reply::Accepted,
        b"tempfail" => Reply::AsReplied(Answer::Deferred),
        _ => Reply::AsReplied(Answer::UnknownUser),
    }
}
