//! OpenSMTPD: its syslog lines here, the stream that its filters read in `stream`.
//!
//! The log has a session id of 16 hexadecimal digits in each line, but names neither the sender of a transaction that got no message nor the recipients that
//! were accepted. Versions before 6.4 put `event=` before the event's name.

mod stream;
#[cfg(test)]
mod tests;

use super::text::{after, field, ip, path, reply_code, split, split_last, unquote, word};
use super::{Sink, Taken};
use crate::feed::envelope::{Message, SMTPD_FILTER};
use crate::feed::kind;
use crate::feed::record::{Act, Address, Key, Peer, Record, Reply};
use crate::feed::session::{Body, Closed};

/// The records of one message of OpenSMTPD's.
pub fn parse(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken {
    if message.program == SMTPD_FILTER {
        return stream::parse(message, sink);
    }
    // Other programs may write to the same file, and what users make them write.
    if !is_ours(message.program) {
        return Taken::Ignored;
    }
    let Some((id, text)) = session_id(message.text) else { return Taken::Ignored };
    if let Some(text) = after(text, b"smtp ") {
        return smtp(id, after(text, b"event=").unwrap_or(text), sink);
    }
    if let Some(rest) = after(text, b"mta delivery ").or_else(|| after(text, b"mta event=delivery ")) {
        return delivery(rest, sink);
    }
    Taken::Ignored
}

/// Is that OpenSMTPD's name in syslog.
pub fn is_ours(program: &[u8]) -> bool {
    program == b"smtpd"
}

/// The session id at the beginning, and what follows.
fn session_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (id, rest) = word(text);
    (id.len() == 16 && id.iter().all(u8::is_ascii_hexdigit)).then_some((id, rest))
}

/// What happened in a session.
fn smtp(id: &[u8], text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let (event, rest) = word(text);
    let key = Key::Session(id);
    match event {
        b"connected" => {
            let Some(peer) = peer(rest) else { return Taken::Ignored };
            let mut record = Record::new(key, Act::Connect);
            record.client = Some(peer);
            sink(record);
        }
        b"failed-command" => {
            let Some((act, ambiguous)) = failed(rest) else { return Taken::Unknown };
            let mut record = Record::new(key, act);
            record.ambiguous = ambiguous;
            sink(record);
        }
        b"message" => {
            // The lines about its envelopes, which follow, name the recipients.
            let mut record = Record::new(
                key,
                Act::Message { sender: Address::Unseen, message_id: None, recipients: None, names: &[] },
            );
            record.queue_id = field(rest, b"msgid");
            sink(record);
        }
        b"envelope" => return envelope(key, rest, sink),
        b"disconnected" | b"closed" => {
            let closed = match field(rest, b"reason") {
                Some(b"quit") => Closed::Quit,
                Some(b"disconnect") => Closed::Lost,
                Some(b"timeout") => Closed::Timeout,
                Some(_) => Closed::Server,
                None => Closed::Unknown,
            };
            sink(Record::new(key, Act::Disconnect { closed, verbs: None }));
        }
        b"tls" | b"starttls" => {
            let mut record = Record::new(key, Act::Seen);
            record.tls = true;
            sink(record);
        }
        b"authentication" => {
            let mut record = Record::new(key, Act::Seen);
            record.authenticated = rest.ends_with(b"result=ok");
            sink(record);
        }
        _ => return Taken::Ignored,
    }
    Taken::Parsed
}

/// `address=… host=…`; `local` connections have no address.
fn peer(text: &[u8]) -> Option<Peer<'_>> {
    let address = field(text, b"address")?;
    let address = after(address, b"[").and_then(|address| address.strip_suffix(b"]")).unwrap_or(address);
    let ptr = field(text, b"host").filter(|name| !no_name(name));
    Some(Peer { ip: ip(address)?, port: None, ptr })
}

/// `command="RCPT TO:<…>" result="550 …"`, and whether it can be read in more than one way: the command is the client's text, unescaped, and the
/// result may repeat it.
fn failed(text: &[u8]) -> Option<(Act<'_>, bool)> {
    let command = after(text, b"command=\"")?;
    let (command, result) = split(command, b"\" result=\"")?;
    let ambiguous = split(result, b"\" result=\"").is_some();
    let result = if ambiguous { split_last(result, b"\" result=\"")?.1 } else { result };
    let code = reply_code(result)?;
    // 503: out of order, so there is no transaction that it could belong to.
    if code == 503 {
        let data = is_command(command, b"DATA");
        return Some((
            if data { Act::Data { sender: Address::Unseen, body: Body::Tried } } else { Act::Seen },
            ambiguous,
        ));
    }
    let reply = Reply::Classed(kind::answer(code, result.get(4..).unwrap_or(b"")), Some(code));
    let address = |argument: &'static [u8]| -> Option<Address<'_>> {
        let text = command.get(argument.len()..)?;
        if !command[..argument.len()].eq_ignore_ascii_case(argument) {
            return None;
        }
        Some(
            path(text.trim_ascii_start())
                .filter(|_| !ambiguous)
                .map_or(Address::Ambiguous, |(address, _)| Address::Known(address)),
        )
    };
    if let Some(recipient) = address(b"RCPT TO:") {
        return Some((Act::Rcpt { sender: Address::Unseen, recipient, reply }, recipient == Address::Ambiguous));
    }
    if let Some(sender) = address(b"MAIL FROM:") {
        return Some((Act::Mail { sender, reply }, sender == Address::Ambiguous));
    }
    if is_command(command, b"DATA") {
        return Some((Act::Data { sender: Address::Unseen, body: Body::Tried }, ambiguous));
    }
    if command == b"." {
        return Some((Act::Data { sender: Address::Unseen, body: Body::Refused }, ambiguous));
    }
    Some((Act::Seen, ambiguous))
}

/// Is `line` this command, whatever its case and arguments.
fn is_command(line: &[u8], command: &[u8]) -> bool {
    word(line).0.eq_ignore_ascii_case(command)
}

/// `evpid=… from=<…> to=<…>`: one for each recipient of a message that was taken, after the line about the message. The queue's envelope ids begin with
/// the message's.
fn envelope(key: Key<'_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let Some((evpid, rest)) = after(text, b"evpid=").map(word) else { return Taken::Unknown };
    let Some((sender, rest)) = after(rest, b"from=").and_then(path) else { return Taken::Unknown };
    let Some((recipient, _)) = after(rest, b" to=").and_then(path) else { return Taken::Unknown };
    let sender = Address::Known(sender);
    let act = Act::Rcpt { sender, recipient: Address::Known(recipient), reply: Reply::Accepted };
    let mut record = Record::new(key, act);
    record.queue_id = evpid.get(..8);
    sink(record);
    Taken::Parsed
}

/// `evpid=… from=<…> to=<…> rcpt=<…> source="…" relay="address (host)" delay=… result="Ok" stat="250 …"`.
fn delivery(text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let read = || -> Option<Record<'_>> {
        let (evpid, rest) = word(after(text, b"evpid=")?);
        let (sender, rest) = path(after(rest, b"from=")?)?;
        let (recipient, rest) = path(after(rest, b" to=")?)?;
        let (_, rest) = path(after(rest, b" rcpt=")?)?;
        let rest = after(rest, b" ")?;
        let relay = ip(word(unquote(field(rest, b"relay")?)).0);
        let sent = field(rest, b"result").map(unquote) == Some(b"Ok");
        let (sender, recipient) = (Address::Known(sender), Address::Known(recipient));
        Some(Record::new(Key::Queue(evpid), Act::Delivery { sender, recipient, relay, sent }))
    };
    match read() {
        Some(record) => {
            sink(record);
            Taken::Parsed
        }
        None => Taken::Unknown,
    }
}

/// Is that what OpenSMTPD writes for a host without a name.
fn no_name(text: &[u8]) -> bool {
    text.is_empty() || text == b"<unknown>"
}
