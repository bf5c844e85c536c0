//! Haraka: what it logs at level NOTICE (and INFO, of which nothing is needed).
//!
//! `[NOTICE] [UUID.n] [core] …`: the UUID names the connection, `.n` the transaction. The HELO name is whatever the client sent up to its first space, so it
//! can hold brackets and `=`; it stands after the address and has no space, so the fields before and after it are certain.

use super::text::{after, field, ip, number, path, unquote, word};
use super::{Sink, Taken};
use crate::feed::envelope::{HARAKA, Message};
use crate::feed::kind;
use crate::feed::record::{Act, Address, Key, Peer, Record, Reply};
use crate::feed::session::{Body, Closed, Count, Verbs};

/// The records of one message of Haraka's.
pub fn parse(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken {
    if message.program != HARAKA {
        return Taken::Ignored;
    }
    let Some((id, text)) = connection(message.text) else { return Taken::Ignored };
    let line = Line { id };
    let (what, rest) = word(text);
    match what {
        b"connect" => {
            let Some(peer) = peer(rest) else { return Taken::Unknown };
            let mut record = line.record(Act::Connect);
            record.client = Some(peer);
            sink(record);
        }
        b"sender" => {
            let Some((sender, rest)) = path(rest) else { return Taken::Unknown };
            let Some(reply) = reply(rest) else { return Taken::Unknown };
            sink(line.record(Act::Mail { sender: Address::Known(sender), reply }));
        }
        b"recipient" => {
            let Some((recipient, rest)) = path(rest) else { return Taken::Unknown };
            let Some(reply) = reply(rest) else { return Taken::Unknown };
            sink(line.record(Act::Rcpt { sender: Address::Unseen, recipient: Address::Known(recipient), reply }));
        }
        b"message" => {
            // The Message-ID is the client's text; the code stands after it, so it is read from the right.
            let Some(code) = last_code(rest) else { return Taken::Unknown };
            if accepts(code) {
                return Taken::Ignored;
            }
            sink(line.record(Act::Data { sender: Address::Unseen, body: Body::Refused }));
        }
        b"queue" | b"queue_outbound" => {
            let Some(code) = after(rest, b"code=").map(|rest| word(rest).0) else { return Taken::Ignored };
            let act = if accepts(code) {
                Act::Message { sender: Address::Unseen, message_id: None, recipients: None, names: &[] }
            } else {
                Act::Data { sender: Address::Unseen, body: Body::Refused }
            };
            sink(line.record(act));
        }
        b"client" if rest.starts_with(b"half closed connection") || rest.starts_with(b"has disconnected") => {
            sink(line.record(Act::Ending { closed: Closed::Lost, in_data: false }));
        }
        b"disconnect" => return disconnect(&line, rest, sink),
        _ => return Taken::Ignored,
    }
    Taken::Parsed
}

/// The ids of a line.
struct Line<'a> {
    /// The transaction's id, or the connection's where there is none yet.
    id: &'a [u8],
}

impl<'a> Line<'a> {
    /// A record about its session.
    fn record(&self, act: Act<'a>) -> Record<'a> {
        let dot = memchr::memchr(b'.', self.id);
        let mut record = Record::new(Key::Session(dot.map_or(self.id, |dot| &self.id[..dot])), act);
        record.queue_id = dot.map(|_| self.id);
        record
    }
}

/// `[LEVEL] [id] [plugin] text`: the id and the text, of the core's lines alone.
fn connection(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memmem::find(text, b"] [")?;
    let rest = &text[end + 3..];
    let end = memchr::memchr(b']', rest)?;
    let id = &rest[..end];
    let text = after(&rest[end..], b"] [core] ")?;
    let fits = id.len() >= 36 && id.iter().all(|octet| octet.is_ascii_hexdigit() || matches!(octet, b'-' | b'.'));
    fits.then_some((id, text))
}

/// `ip=… port=…`.
fn peer(text: &[u8]) -> Option<Peer<'_>> {
    let (address, rest) = word(after(text, b"ip=")?);
    let port = after(rest, b"port=").and_then(|rest| number(word(rest).0));
    Some(Peer { ip: ip(address)?, port, ptr: None })
}

/// Does this return code of a hook mean yes.
fn accepts(code: &[u8]) -> bool {
    matches!(code, b"OK" | b"CONT")
}

/// ` code=DENY msg="User unknown" …`: the answer to MAIL or RCPT.
fn reply(text: &[u8]) -> Option<Reply<'_>> {
    let (code, rest) = word(after(text, b" code=")?);
    if accepts(code) {
        return Some(Reply::Accepted);
    }
    let said = field(rest, b"msg").map_or(&b""[..], unquote);
    let code = if code.starts_with(b"DENYSOFT") { 450 } else { 550 };
    Some(Reply::Classed(kind::answer(code, said), None))
}

/// The value of the last ` code=` before the hook's own words.
fn last_code(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = super::text::split_last(text, b" code=")?;
    Some(word(rest).0)
}

/// `ip=… rdns=… helo=… relay=N … tls=N … txns=1 rcpts=1/0/0 msgs=0/0/0 bytes=0 lr="…" time=…`: the session's end, with its counts.
fn disconnect(line: &Line<'_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let read = || -> Option<(Peer<'_>, &[u8], &[u8])> {
        let (address, rest) = word(after(text, b"ip=")?);
        let (name, rest) = word(after(rest, b"rdns=")?);
        let (helo, rest) = word(after(rest, b"helo=")?);
        let named = !name.is_empty() && !matches!(name, b"NXDOMAIN" | b"DNSERROR" | b"Unknown" | b"\"\"");
        Some((Peer { ip: ip(address)?, port: None, ptr: Some(name).filter(|_| named) }, unquote(helo), rest))
    };
    let Some((peer, helo, rest)) = read() else { return Taken::Unknown };
    let yes = |key: &[u8]| field(rest, key) == Some(b"Y");
    let transactions = field(rest, b"txns").and_then(number).unwrap_or(0);
    let mut verbs = Verbs { mail: Count { ok: transactions, all: transactions }, ..Verbs::default() };
    verbs.rcpt = field(rest, b"rcpts").map(count).unwrap_or_default();
    verbs.data = field(rest, b"msgs").map(count).unwrap_or_default();
    // The last refusal tells of DATA that no recipient had been accepted for.
    if field(rest, b"lr").is_some_and(|last| unquote(last).starts_with(b"503 RCPT required first")) {
        verbs.data.all += 1;
        sink(line.record(Act::Data { sender: Address::Unseen, body: Body::Tried }));
    }
    let mut record = line.record(Act::Disconnect { closed: Closed::Unknown, verbs: Some(verbs) });
    record.client = Some(peer);
    record.helo = Some(helo).filter(|helo| !helo.is_empty());
    record.tls = yes(b"tls");
    // Relaying is for users of ours.
    record.authenticated = yes(b"relay");
    sink(record);
    Taken::Parsed
}

/// `accepted/put off/refused`.
fn count(text: &[u8]) -> Count {
    let mut parts = text.split(|octet| *octet == b'/').map(|part| number::<u32>(part).unwrap_or(0));
    let ok = parts.next().unwrap_or(0);
    Count { ok, all: parts.fold(ok, u32::saturating_add) }
}

#[cfg(test)]
mod tests {
    use super::super::brief::check;
    use super::parse;

    #[test]
    fn lines() {
        let id = "F7BB5299-80CC-4073-B781-BB34AA15E733";
        let rows = [
            ("[NOTICE] [-] [server] Listening on 127.0.0.1:2925", ""),
            (
                "[NOTICE] [ID] [core] connect ip=127.0.0.21 port=37169 local_ip=127.0.0.1 local_port=2925",
                "ID 127.0.0.21 connect",
            ),
            ("[NOTICE] [ID.1] [core] sender <> code=CONT msg=\"\"", "ID #ID.1 mail <> ok"),
            ("[NOTICE] [ID.1] [core] recipient <a@e> code=OK msg=\"\" sender=\"\"", "ID #ID.1 rcpt - <a@e> ok"),
            (
                "[NOTICE] [ID.1] [core] recipient <a@e> code=DENY msg=\"User unknown\" sender=\"\"",
                "ID #ID.1 rcpt - <a@e> UnknownUser",
            ),
            (
                "[NOTICE] [ID.1] [core] recipient <\"x> code=OK y\"@e> code=DENYSOFT msg=\"greylisted\" sender=x y",
                "ID #ID.1 rcpt - <\"x> code=OK y\"@e> Greylisted",
            ),
            ("[INFO] [ID.1] [core]  hook=rcpt plugin=t function=hook_rcpt params=<a@e> retval=OK msg=\"\"", ""),
            ("[NOTICE] [ID.1] [core] message mid=<d@h> size=691 rcpts=1/0/0 delay=0 code=CONT msg=\"\"", ""),
            (
                "[NOTICE] [ID.1] [core] message mid=<d code=CONT@h> size=6 rcpts=1/0/0 delay=0 code=DENY msg=\"no\"",
                "ID #ID.1 data - Refused",
            ),
            ("[NOTICE] [ID.1] [core] queue code=OK msg=\"queued (ID.1)\"", "ID #ID.1 message - - -"),
            ("[NOTICE] [ID.1] [core] queue code=DENYSOFT msg=\"no\"", "ID #ID.1 data - Refused"),
            ("[INFO] [ID.1] [core] client half closed connection ip=127.0.0.13", "ID #ID.1 ending Lost"),
            (
                "[NOTICE] [ID.2] [core] disconnect ip=127.0.0.21 rdns=h.example helo=x relay=N early=N esmtp=Y tls=Y pipe=N errors=0 txns=2 rcpts=1/0/1 \
                 msgs=0/0/0 bytes=0 lr=\"550 User unknown\" time=0.005",
                "ID 127.0.0.21=h.example (x) tls #ID.2 disconnect Unknown mail=2/2 rcpt=1/2 data=0/0",
            ),
            (
                "[NOTICE] [ID.1] [core] disconnect ip=127.0.0.32 rdns=NXDOMAIN helo=x]: relay=N early=N esmtp=Y tls=N pipe=N errors=1 txns=1 rcpts=0/0/1 \
                 msgs=0/0/0 bytes=0 lr=\"503 RCPT required first\" time=0.045",
                "ID #ID.1 data - Tried | ID 127.0.0.32 (x]:) #ID.1 disconnect Unknown mail=1/1 rcpt=0/1 data=0/1",
            ),
            // The HELO name is raw, but has no space.
            (
                "[NOTICE] [ID] [core] disconnect ip=127.0.0.32 rdns=NXDOMAIN helo=ip=8.8.8.8]relay=Y relay=N early=N esmtp=Y tls=N pipe=N errors=0 txns=0 \
                 rcpts=0/0/0 msgs=0/0/0 bytes=0 lr=\"\" time=0.045",
                "ID 127.0.0.32 (ip=8.8.8.8]relay=Y) disconnect Unknown mail=0/0 rcpt=0/0 data=0/0",
            ),
        ];
        let rows: Vec<_> =
            rows.iter().map(|(text, expected)| (text.replace("ID", id), expected.replace("ID", id))).collect();
        for (text, expected) in &rows {
            check(parse, "haraka", None, &[(text, expected)]);
        }
        check(parse, "sshd", None, &[(&rows[1].0, "")]);
    }
}
