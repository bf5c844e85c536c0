//! Sendmail: what its syslog lines say at the default log level (9).
//!
//! A process serves one connection, and each transaction has a queue id from MAIL on, so process and queue id together join the lines. A refused
//! recipient's line has no client; the transaction's own line (`from=`) has. That line comes when the transaction ends: with `msgid=` there was a message,
//! without it was given up. Recipients that were accepted are only counted (`nrcpts=`). The end of a session is not logged, save where
//! nothing was tried.

use super::text::{after, bracketed_ip, holds, path, reply_code, split, split_last, word};
use super::{Sink, Taken};
use crate::feed::envelope::Message;
use crate::feed::kind;
use crate::feed::record::{Act, Address, Key, Peer, Record, Reply};
use crate::feed::session::{Answer, Body, Closed};

/// The records of one message of Sendmail's.
pub fn parse(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken {
    // Other programs may write to the same file, and what users make them write.
    if !is_ours(message.program) {
        return Taken::Ignored;
    }
    let Some((id, text)) = queue_id(message.text) else { return without_id(message, sink) };
    let line = Line { message, id: Some(id) };
    if text.starts_with(b"from=") {
        return from(&line, text, sink);
    }
    if text.starts_with(b"to=") {
        return to(id, text, sink);
    }
    if text.starts_with(b"<") {
        return refused_recipient(&line, text, sink);
    }
    if let Some(rest) = after(text, b"ruleset=") {
        return ruleset(&line, rest, sink);
    }
    if let Some(rest) = after(text, b"Milter: ") {
        return milter(&line, rest, sink);
    }
    if let Some(rest) = after(text, b"collect: ") {
        if !(rest.starts_with(b"premature EOM")
            || rest.starts_with(b"unexpected close")
            || rest.starts_with(b"read timeout"))
        {
            return Taken::Ignored;
        }
        sink(line.record(None, Act::Data { sender: Address::Unseen, body: Body::Lost }));
        return Taken::Parsed;
    }
    if let Some(rest) = after(text, b"lost input channel from ") {
        let Some((peer, rest)) = relay(rest) else { return Taken::Unknown };
        let in_data = rest.ends_with(b" after data");
        sink(line.record(Some(peer), Act::Ending { closed: Closed::Lost, in_data }));
        return Taken::Parsed;
    }
    if let Some(rest) = after(text, b"timeout waiting for input from ") {
        let Some((peer, _)) = relay(rest) else { return Taken::Unknown };
        sink(line.record(Some(peer), Act::Ending { closed: Closed::Timeout, in_data: false }));
        return Taken::Parsed;
    }
    if let Some(rest) = after(text, b"AUTH=server, relay=") {
        return common(&line, rest, false, true, sink);
    }
    about_client(&line, text, sink)
}

/// Is that Sendmail's name: `sendmail`, or `sm-mta` as Debian and others call the daemon.
pub fn is_ours(program: &[u8]) -> bool {
    program.starts_with(b"sendmail") || program.starts_with(b"sm-mta")
}

/// A line with its queue id.
struct Line<'m, 'a> {
    /// The message.
    message: &'m Message<'a>,
    /// Its queue id.
    id: Option<&'a [u8]>,
}

impl<'a> Line<'_, 'a> {
    /// A record about its session.
    fn record(&self, peer: Option<Peer<'a>>, act: Act<'a>) -> Record<'a> {
        let key = match (self.message.pid, self.id) {
            (Some(pid), _) => Key::Process { service: self.message.program, pid },
            (None, Some(id)) => Key::Session(session_of(id)),
            (None, None) => Key::Line,
        };
        let mut record = Record::new(key, act);
        record.queue_id = self.id;
        record.client = peer;
        record
    }
}

/// What queue ids of one session share: the process id in their last digits, where the syslog head has none.
fn session_of(id: &[u8]) -> &[u8] {
    &id[id.len().saturating_sub(6)..]
}

/// A queue id at the beginning, and what follows its colon: 14 letters and digits since 8.12, more where process ids are long.
fn queue_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take(21).position(|octet| *octet == b':')?;
    let (id, rest) = (&text[..end], after(&text[end..], b": ")?);
    let fits = end >= 12 && id.iter().all(u8::is_ascii_alphanumeric) && id[end - 6..].iter().all(u8::is_ascii_digit);
    fits.then_some((id, rest))
}

/// `host [address]` or `[address]`, perhaps with `(may be forged)`, and what follows. A name with other characters than host names have (as an answer of
/// the client's ident service may have) says nothing for certain.
fn relay(text: &[u8]) -> Option<(Peer<'_>, &[u8])> {
    let (name, rest) = match text.first()? {
        b'[' => (None, text),
        _ => {
            let (name, rest) = word(text);
            (Some(name), rest)
        }
    };
    if name.is_some_and(|name| {
        !name.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'))
    }) {
        return None;
    }
    let (ip, _, rest) = bracketed_ip(rest)?;
    match after(rest, b" (may be forged)") {
        Some(rest) => Some((Peer { ip, port: None, ptr: None }, rest)),
        None => Some((Peer { ip, port: None, ptr: name }, rest)),
    }
}

/// `from=<sender>, size=…, class=…, nrcpts=…[, msgid=…], proto=…, daemon=…, relay=host [address]`: the transaction ended.
fn from(line: &Line<'_, '_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let Some((sender, rest)) = path(&text[b"from=".len()..]) else { return Taken::Unknown };
    let sender = Address::Known(sender);
    // Sender and Message-ID are the client's; nrcpts stands before the one, relay after the other.
    let Some(rest) = after(rest, b", ") else { return Taken::Unknown };
    let Some((_, rest)) = split(rest, b"nrcpts=") else { return Taken::Unknown };
    let Some((recipients, rest)) = super::text::leading_number(rest) else { return Taken::Unknown };
    let recipients = u32::try_from(recipients).unwrap_or(u32::MAX);
    let message_id = after(rest, b", msgid=").map(|rest| message_id(rest).unwrap_or(b""));
    let Some((_, host)) = split_last(rest, b", relay=") else { return Taken::Unknown };
    let Some((peer, _)) = relay(host).filter(|(_, rest)| rest.is_empty()) else {
        // Submitted by a program on this host: `relay=root@localhost`.
        let Some(id) = line.id else { return Taken::Ignored };
        sink(Record::new(Key::Queue(id), Act::Sender { sender, recipients }));
        return Taken::Parsed;
    };
    let act = match message_id {
        Some(message_id) => {
            let message_id = Some(message_id).filter(|id| !id.is_empty());
            Act::Message { sender, message_id, recipients: Some(recipients) }
        }
        None => Act::Abandoned { sender, accepted: recipients, names: &[] },
    };
    sink(line.record(Some(peer), act));
    Taken::Parsed
}

/// The Message-ID after `msgid=`, as far as the field that Sendmail puts next.
fn message_id(text: &[u8]) -> Option<&[u8]> {
    let (text, _) = split_last(text, b", proto=")?;
    Some(split_last(text, b", bodytype=").map_or(text, |(text, _)| text))
}

/// `to=<recipient>,<recipient>, …, mailer=esmtp, …, relay=host. [address], dsn=2.0.0, stat=Sent (…)`.
fn to(id: &[u8], text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let list = &text[b"to=".len()..];
    let mut rest = list;
    while let Some((_, left)) = path(rest) {
        rest = after(left, b",").unwrap_or(left);
    }
    let Some((_, details)) = split(rest, b", mailer=") else { return Taken::Ignored };
    let (mailer, details) = word(details);
    let outside = mailer.starts_with(b"esmtp") || mailer.starts_with(b"smtp") || mailer.starts_with(b"relay");
    let Some((_, host)) = split(details, b"relay=").filter(|_| outside) else { return Taken::Ignored };
    let Some((peer, rest)) = relay(host) else { return Taken::Ignored };
    let sent = split(rest, b", stat=").is_some_and(|(_, status)| status.starts_with(b"Sent"));
    let mut left = list;
    while let Some((recipient, rest)) = path(left) {
        let recipient = Address::Known(recipient);
        let act = Act::Delivery { sender: Address::Unseen, recipient, relay: Some(peer.ip), sent };
        sink(Record::new(Key::Queue(id), act));
        left = after(rest, b",").unwrap_or(rest);
    }
    Taken::Parsed
}

/// `<recipient>... User unknown`.
fn refused_recipient(line: &Line<'_, '_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let Some((recipient, rest)) = path(text) else { return Taken::Unknown };
    let Some(reason) = after(rest, b"... ") else { return Taken::Unknown };
    let reply = Reply::Classed(meaning(550, reason), None);
    sink(line.record(None, Act::Rcpt { sender: Address::Unseen, recipient: Address::Known(recipient), reply }));
    Taken::Parsed
}

/// `ruleset=check_rcpt, arg1=<recipient>, relay=host [address], reject=550 5.7.1 …`.
fn ruleset(line: &Line<'_, '_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let Some((ruleset, rest)) = split(text, b", arg1=") else { return Taken::Unknown };
    let (argument, rest) = match path(rest) {
        Some((address, rest)) => (Address::Known(address), rest),
        None => match split(rest, b", relay=") {
            Some((address, _)) if !address.contains(&b'"') => (Address::Known(address), &rest[address.len()..]),
            _ => (Address::Ambiguous, rest),
        },
    };
    let Some((between, host)) = split(rest, b"relay=") else { return Taken::Unknown };
    if argument == Address::Ambiguous || holds(between, b"reject=") {
        return Taken::Unknown;
    }
    let Some((peer, rest)) = relay(host) else { return Taken::Unknown };
    let Some((_, reply)) = split(rest, b"reject=") else { return Taken::Ignored };
    let code = reply_code(reply).unwrap_or(0);
    let reason = reply.get(4..).unwrap_or(b"");
    let refused = Reply::Classed(meaning(code, reason), Some(code).filter(|code| *code != 0));
    let act = match ruleset {
        b"check_rcpt" => Act::Rcpt { sender: Address::Unseen, recipient: argument, reply: refused },
        b"check_mail" => Act::Mail { sender: argument, reply: refused },
        b"check_data" => Act::Data { sender: Address::Unseen, body: Body::Tried },
        b"check_eom" => Act::Data { sender: Address::Unseen, body: Body::Refused },
        _ => Act::Seen,
    };
    sink(line.record(Some(peer), act));
    Taken::Parsed
}

/// `Milter: to=<recipient>, reject=451 4.7.1 …`, `Milter: data, reject=…`.
fn milter(line: &Line<'_, '_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    if text.starts_with(b"data, reject=") {
        sink(line.record(None, Act::Data { sender: Address::Unseen, body: Body::Refused }));
        return Taken::Parsed;
    }
    let Some((recipient, rest)) = after(text, b"to=").and_then(path) else { return Taken::Ignored };
    let Some(reply) = after(rest, b", reject=") else { return Taken::Ignored };
    let code = reply_code(reply).unwrap_or(0);
    let reply = Reply::Classed(meaning(code, reply.get(4..).unwrap_or(b"")), Some(code).filter(|code| *code != 0));
    sink(line.record(None, Act::Rcpt { sender: Address::Unseen, recipient: Address::Known(recipient), reply }));
    Taken::Parsed
}

/// What a refusal means. `5.7.1 <address>... text` repeats the address, which is the client's; only the text after it counts.
fn meaning(code: u16, reason: &[u8]) -> Answer {
    // The enhanced status code (RFC 3463) and the address before the dots.
    let reason = match reason.split_first() {
        Some((b'2'..=b'5', rest)) if rest.starts_with(b".") => word(reason).1,
        _ => reason,
    };
    let reason = path(reason).and_then(|(_, rest)| after(rest, b"... ")).unwrap_or(reason);
    kind::answer(code, reason)
}

/// `host [address] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA`, `host [address]: VRFY alice [rejected]`.
fn about_client(line: &Line<'_, '_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let Some((peer, rest)) = relay(text) else { return Taken::Ignored };
    if rest.starts_with(b" did not issue ") {
        sink(line.record(Some(peer), Act::Seen));
        sink(line.record(Some(peer), Act::Disconnect { closed: Closed::Unknown, verbs: None }));
        return Taken::Parsed;
    }
    if rest.starts_with(b": VRFY ") || rest.starts_with(b": EXPN ") || rest.starts_with(b": ETRN ") {
        sink(line.record(Some(peer), Act::Seen));
        return Taken::Parsed;
    }
    Taken::Ignored
}

/// Lines without queue id: STARTTLS, AUTH, connections at high log levels.
fn without_id(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken {
    let line = Line { message, id: None };
    let text = message.text;
    if let Some(rest) = after(text, b"STARTTLS=server, relay=") {
        return common(&line, rest, true, false, sink);
    }
    if let Some(rest) = after(text, b"AUTH=server, relay=") {
        return common(&line, rest, false, true, sink);
    }
    if let Some(rest) = after(text, b"NOQUEUE: connect from ") {
        let Some((peer, _)) = relay(rest) else { return Taken::Unknown };
        sink(line.record(Some(peer), Act::Connect));
        return Taken::Parsed;
    }
    Taken::Ignored
}

/// What a line about TLS or AUTH tells of its session.
fn common(line: &Line<'_, '_>, text: &[u8], tls: bool, authenticated: bool, sink: &mut Sink<'_>) -> Taken {
    let Some((peer, _)) = relay(text) else { return Taken::Unknown };
    // Without a process id nothing tells whose it is.
    if line.message.pid.is_none() {
        return Taken::Ignored;
    }
    let mut record = line.record(Some(peer), Act::Seen);
    (record.tls, record.authenticated) = (tls, authenticated);
    sink(record);
    Taken::Parsed
}
