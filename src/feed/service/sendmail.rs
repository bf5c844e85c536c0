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
            Act::Message { sender, message_id, recipients: Some(recipients), names: &[] }
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
    let host = if outside { split(details, b"relay=").map(|(_, host)| host) } else { None };
    let Some((peer, rest)) = host.and_then(relay) else {
        // Delivered here, or nowhere yet: there was a message, whether it had a Message-ID or not.
        let act = Act::Delivery { sender: Address::Unseen, recipient: Address::Unseen, relay: None, sent: false };
        sink(Record::new(Key::Queue(id), act));
        return Taken::Parsed;
    };
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

#[cfg(test)]
mod tests {
    use super::super::brief::check;
    use super::parse;

    #[test]
    fn lines() {
        check(
            parse,
            "sm-mta",
            Some(4433),
            &[
                (
                    "6ALJRKiY004433: from=<>, size=0, class=0, nrcpts=1, proto=ESMTP, daemon=MTA, relay=host11.example.net [127.0.0.11]",
                    "pid4433 127.0.0.11=host11.example.net #6ALJRKiY004433 abandoned <> 1 []",
                ),
                (
                    "6ALJRNCG004433: from=<>, size=657, class=0, nrcpts=1, msgid=<d@h>, bodytype=8BITMIME, proto=ESMTP, daemon=MTA, relay=[127.0.0.41]",
                    "pid4433 127.0.0.41 #6ALJRNCG004433 message <> <d@h> 1",
                ),
                (
                    "6ALJRLQI004433: <n@example.org>... User unknown",
                    "pid4433 #6ALJRLQI004433 rcpt - <n@example.org> UnknownUser",
                ),
                (
                    "6ALJRP6F004433: ruleset=check_rcpt, arg1=<v@e>, relay=h.example [127.0.0.95], reject=550 5.7.1 <v@e>... Relaying denied",
                    "pid4433 127.0.0.95=h.example #6ALJRP6F004433 rcpt - <v@e> RelayDenied 550",
                ),
                (
                    "6ALJWt4G004433: ruleset=check_rcpt, arg1=<a@e>, relay=[127.0.0.71], reject=550 5.7.1 <a@e>... Backscatter: 127.0.0.71 is listed, see x",
                    "pid4433 127.0.0.71 #6ALJWt4G004433 rcpt - <a@e> Blocked(None) 550",
                ),
                (
                    "6ALJWt4G004433: ruleset=check_relay, arg1=h, arg2=127.0.0.71, relay=h [127.0.0.71] (may be forged), reject=553 5.3.0 Rejected",
                    "pid4433 127.0.0.71 #6ALJWt4G004433 seen",
                ),
                (
                    "6ALJWt4G004433: Milter: to=<a@e>, reject=451 4.7.1 Greylisting in action",
                    "pid4433 #6ALJWt4G004433 rcpt - <a@e> Greylisted 451",
                ),
                (
                    "6ALJRLHx004433: lost input channel from [127.0.0.13] to MTA after rcpt",
                    "pid4433 127.0.0.13 #6ALJRLHx004433 ending Lost",
                ),
                (
                    "6ALJRLHx004433: lost input channel from [127.0.0.13] to MTA after data",
                    "pid4433 127.0.0.13 #6ALJRLHx004433 ending Lost in data",
                ),
                ("6ALJROVa004433: collect: premature EOM: unexpected close", "pid4433 #6ALJROVa004433 data - Lost"),
                ("6ALJROVa004433: collect: relay=h, from=<>, info=unexpected close", ""),
                (
                    "6ALJRPBF004433: h.example [127.0.0.91] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA",
                    "pid4433 127.0.0.91=h.example #6ALJRPBF004433 seen | pid4433 127.0.0.91=h.example #6ALJRPBF004433 disconnect Unknown",
                ),
                (
                    "6ALJRPwk004433: h.example [127.0.0.94]: VRFY alice [rejected]",
                    "pid4433 127.0.0.94=h.example #6ALJRPwk004433 seen",
                ),
                (
                    "STARTTLS=server, relay=h.example [127.0.0.94], version=TLSv1.3, verify=NO, cipher=x, bits=256/256",
                    "pid4433 127.0.0.94=h.example tls seen",
                ),
                (
                    "6ALJRNi3004433: to=<a@x>,<b@x>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=1, relay=mx.x. [192.0.2.1], dsn=2.0.0, stat=Sent (ok)",
                    "queue 6ALJRNi3004433 delivery - <a@x> Some(192.0.2.1) true | queue 6ALJRNi3004433 delivery - <b@x> Some(192.0.2.1) true",
                ),
                (
                    "6ALJRNi3004433: to=/dev/null, ctladdr=<a@x> (1/0), delay=00:00:00, mailer=*file*, pri=30870, dsn=2.0.0, stat=Sent",
                    "queue 6ALJRNi3004433 delivery - - None false",
                ),
                (
                    "6ALJRNi3004433: from=<root@mx>, size=5, class=0, nrcpts=1, msgid=<1@mx>, relay=root@localhost",
                    "queue 6ALJRNi3004433 sender <root@mx> 1",
                ),
                ("starting daemon (8.17.1.9): SMTP+queueing@00:10:00", ""),
            ],
        );
    }

    #[test]
    fn hostile_text() {
        check(
            parse,
            "sendmail",
            Some(1),
            &[
                (
                    "6ALJROe5000001: from=<\"x> to=<a@e>, nrcpts=9, relay=[8.8.8.8]\"@s>, size=0, class=0, nrcpts=0, proto=ESMTP, daemon=MTA, relay=[127.0.0.84]",
                    "pid1 127.0.0.84 #6ALJROe5000001 abandoned <\"x> to=<a@e>, nrcpts=9, relay=[8.8.8.8]\"@s> 0 []",
                ),
                (
                    "6ALJROe5000001: from=<>, size=1, class=0, nrcpts=1, msgid=<x, proto=y, relay=[8.8.8.8]>, proto=ESMTP, daemon=MTA, relay=[127.0.0.84]",
                    "pid1 127.0.0.84 #6ALJROe5000001 message <> <x, proto=y, relay=[8.8.8.8]> 1",
                ),
                (
                    "6ALJROEm000001: <\"a>... Relaying denied\"@example.org>... User unknown",
                    "pid1 #6ALJROEm000001 rcpt - <\"a>... Relaying denied\"@example.org> UnknownUser",
                ),
                // An answer of the client's ident service stands where the host's name should.
                (
                    "6ALJROe5000001: ruleset=check_rcpt, arg1=<a@e>, relay=x[8.8.8.8]@h.example [127.0.0.1], reject=550 5.7.1 no",
                    "unknown",
                ),
            ],
        );
        check(parse, "sshd", Some(1), &[("6ALJROEm000001: <a@example.org>... User unknown", "")]);
    }
}
