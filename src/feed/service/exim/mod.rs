//! Exim: main log and reject log, with any log selectors, and the lines that our ACL lines write (`bsf1`).
//!
//! With `incoming_port`, a connection id or `pid` in the lines there are sessions; without, each line stands for itself and only refusals and messages
//! are told. A refused recipient stands in a line of its own; recipients that were accepted and never got a message are told by
//! `incomplete transaction` when that selector is on. What was taken: `<=`; what was given to other hosts: `=>`, `->` and `>>`.

mod head;
mod hook;
#[cfg(test)]
mod tests;

use super::Taken;
use super::text::{after, bracketed_ip, field, holds, path, quoted_word, split, split_last, unquote, word};
use crate::feed::envelope::{EXIM, Message};
use crate::feed::kind;
use crate::feed::record::{Act, Address, Key, Record, Reply};
use crate::feed::session::{Answer, Body, Closed};
use head::{Head, contradicts, head, message_id, message_id_field};

/// The records of one message of Exim's.
pub fn parse(message: &Message<'_>, sink: &mut super::Sink<'_>) -> Taken {
    // Other programs may write to the same file, and what users make them write.
    if !is_ours(message.program) {
        return Taken::Ignored;
    }
    let text = message.text;
    match text.first() {
        Some(b'b') => hook::parse(message, sink).unwrap_or(Taken::Unknown),
        Some(b'H') => about_client(message, None, text, sink),
        Some(b'S') => connection(message, text, sink),
        Some(b'r') => refused_command(message, text, sink),
        Some(b'u' | b'n' | b't' | b'T') => loose(message, text, sink),
        _ => match message_id(text) {
            Some((id, rest)) => about_message(message, id, rest, sink),
            None => Taken::Ignored,
        },
    }
}

/// Is that Exim's name: `exim`, `exim4`.
pub fn is_ours(program: &[u8]) -> bool {
    program.starts_with(EXIM)
}

/// Lines that begin with `H=`: a command refused, or a transaction given up. `id` is the message id before it, if any.
fn about_client(message: &Message<'_>, id: Option<&[u8]>, text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    let Some((head, rest)) = after(text, b"H=").and_then(head) else { return Taken::Unknown };
    let Some(rest) = after(rest, b" ") else { return Taken::Unknown };
    if let Some(rest) = after(rest, b"incomplete transaction (") {
        return incomplete(message, &head, rest, sink);
    }
    let (temporary, what) = match (after(rest, b"rejected "), after(rest, b"temporarily rejected ")) {
        (Some(what), _) => (false, what),
        (None, Some(what)) => (true, what),
        // Such as "sender verify fail for", "Warning:", "Event requests alternate response": the refusal has its own line.
        (None, None) => return Taken::Ignored,
    };
    let Some((act, reason)) = refusal(&head, temporary, what) else { return Taken::Unknown };
    if contradicts(reason, head.peer.ip) {
        return Taken::Unknown;
    }
    let mut record = head.record(message, act);
    (record.queue_id, record.twofold) = (id, true);
    sink(record);
    Taken::Parsed
}

/// What was refused, and the text after it.
fn refusal<'a>(head: &Head<'a>, temporary: bool, what: &'a [u8]) -> Option<(Act<'a>, &'a [u8])> {
    if let Some(rest) = after(what, b"RCPT ") {
        let (recipient, reason) = argument(rest);
        let reply = Reply::Classed(meaning(temporary, reason), None);
        return Some((Act::Rcpt { sender: head.sender, recipient, reply }, reason));
    }
    if let Some(rest) = after(what, b"MAIL ") {
        let (sender, reason) = argument(rest);
        return Some((Act::Mail { sender, reply: Reply::Classed(meaning(temporary, reason), None) }, reason));
    }
    if let Some(reason) = after(what, b"after DATA").or_else(|| after(what, b"during MIME ACL checks")) {
        return Some((Act::Data { sender: head.sender, body: Body::Refused }, reason));
    }
    if let Some(reason) = after(what, b"DATA") {
        return Some((Act::Data { sender: head.sender, body: Body::Tried }, reason));
    }
    // EHLO, HELO, AUTH, STARTTLS, VRFY, the connection itself.
    let (_, reason) = word(what);
    Some((Act::Seen, reason))
}

/// A command's argument as the client sent it, `<address>` or an address alone, and the text after the colon. An argument that can be read in two
/// ways (a quote that stays open, more than an address before the colon) is ambiguous.
fn argument(text: &[u8]) -> (Address<'_>, &[u8]) {
    if let Some((address, rest)) = path(text) {
        if let Some(reason) = after(rest, b":") {
            return (Address::Known(address), reason);
        }
        if rest.is_empty() {
            return (Address::Known(address), rest);
        }
        // Parameters of the command (`NOTIFY=NEVER`) hold no colon that a space follows.
        return match split(rest, b": ") {
            Some((_, reason)) => (Address::Known(address), reason),
            None => (Address::Known(address), rest),
        };
    }
    match split(text, b": ") {
        Some((address, reason)) if !address.contains(&b'"') && !address.contains(&b'<') => {
            (Address::Known(address), reason)
        }
        Some((_, reason)) => (Address::Ambiguous, reason),
        None => (Address::Ambiguous, &[]),
    }
}

/// What a refusal means: Exim's own wordings, then those of all servers.
fn meaning(temporary: bool, reason: &[u8]) -> Answer {
    if temporary && OWN_FAULTS.iter().any(|words| holds(reason, words)) {
        return Answer::LocalError;
    }
    kind::answer(if temporary { 450 } else { 550 }, reason.trim_ascii_start())
}

/// Wordings of a temporary refusal by which Exim says that its own settings or look-ups failed.
const OWN_FAULTS: [&[u8]; 5] =
    [b"(detected in ACL", b"failed to expand", b"lookup deferred", b"lookup defer", b"error in redirect data"];

/// `incomplete transaction (QUIT) from <sender> for recipients`: the recipients that were accepted.
fn incomplete(message: &Message<'_>, head: &Head<'_>, text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    let Some((_, rest)) = split(text, b")") else { return Taken::Unknown };
    let mut names: &[u8] = &[];
    let mut sender = Address::Unseen;
    let mut ambiguous = false;
    if let Some(rest) = after(rest, b" from ") {
        match path(rest) {
            Some((address, rest)) => {
                sender = Address::Known(address);
                names = after(rest, b" for ").unwrap_or(&[]);
            }
            None => (sender, ambiguous) = (Address::Ambiguous, true),
        }
    }
    let mut accepted = 0;
    let mut left = names;
    while !left.is_empty() {
        let Some((_, rest)) = quoted_word(left) else {
            (names, ambiguous) = (&[], true);
            accepted = accepted.max(1);
            break;
        };
        accepted += 1;
        left = rest;
    }
    let mut record = head.record(message, Act::Abandoned { sender, accepted, names });
    record.ambiguous = ambiguous;
    sink(record);
    Taken::Parsed
}

/// Lines about a connection: `SMTP connection from …`, and how it ended.
fn connection(message: &Message<'_>, text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    for (prefix, closed) in ENDS {
        if let Some((head, _)) = after(text, prefix).and_then(|rest| head(after(rest, b"H=").unwrap_or(rest))) {
            return ended(message, &head, closed, prefix.starts_with(b"SMTP data timeout"), sink);
        }
    }
    let Some(rest) = after(text, b"SMTP connection from ") else { return Taken::Ignored };
    let Some((head, rest)) = head(rest) else { return Taken::Ignored };
    let Some(rest) = after(rest, b" ") else { return Taken::Unknown };
    if rest.starts_with(b"(TCP/IP connection count") {
        // The daemon writes it, under its own process id: it belongs to the session only where address and port tell so.
        if !matches!(head.key(message), Key::Peer { .. }) {
            return Taken::Ignored;
        }
        sink(head.record(message, Act::Connect));
        return Taken::Parsed;
    }
    if rest.starts_with(b"closed by QUIT") {
        return ended(message, &head, Closed::Quit, false, sink);
    }
    if rest.starts_with(b"closed") {
        return ended(message, &head, Closed::Server, false, sink);
    }
    if let Some(how) = after(rest, b"lost") {
        return ended(message, &head, Closed::Lost, how.starts_with(b" while reading message data"), sink);
    }
    Taken::Unknown
}

/// How a connection may end besides what `SMTP connection from` tells.
const ENDS: [(&[u8], Closed); 5] = [
    (b"SMTP command timeout on connection from ", Closed::Timeout),
    (b"SMTP command timeout on TLS connection from ", Closed::Timeout),
    (b"SMTP data timeout (message abandoned) on connection from ", Closed::Timeout),
    (b"SMTP call from ", Closed::Server),
    (
        b"SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from ",
        Closed::Server,
    ),
];

/// The session is over, perhaps within a message. Without a key only the message is of interest.
fn ended(message: &Message<'_>, head: &Head<'_>, closed: Closed, in_data: bool, sink: &mut super::Sink<'_>) -> Taken {
    let line = matches!(head.key(message), Key::Line);
    if in_data {
        sink(head.record(message, Act::Data { sender: head.sender, body: Body::Lost }));
    }
    if !line {
        sink(head.record(message, Act::Disconnect { closed, verbs: None }));
    }
    if line && !in_data { Taken::Ignored } else { Taken::Parsed }
}

/// `rejected EHLO from [ip]: …`: commands refused before there is a transaction.
fn refused_command(message: &Message<'_>, text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    let Some(rest) = after(text, b"rejected ") else {
        // `refused connection from [ip] (reason)`
        let Some((head, _)) = after(text, b"refused connection from ").and_then(head) else { return Taken::Ignored };
        sink(head.record(message, Act::Seen));
        return Taken::Parsed;
    };
    let (command, rest) = word(rest);
    if !command.iter().all(u8::is_ascii_uppercase) {
        return Taken::Ignored;
    }
    let Some((head, _)) = after(rest, b"from ").and_then(|rest| head(after(rest, b"H=").unwrap_or(rest))) else {
        return Taken::Ignored;
    };
    let mut record = head.record(message, Act::Seen);
    record.twofold = true;
    sink(record);
    Taken::Parsed
}

/// Lines that begin otherwise; of interest is a connection that was lost between commands.
fn loose(message: &Message<'_>, text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    if let Some(rest) = after(text, b"unexpected ") {
        let rest = after(rest, b"disconnection while reading SMTP command from ");
        let Some((head, _)) = rest.and_then(head) else { return Taken::Ignored };
        return ended(message, &head, Closed::Lost, false, sink);
    }
    match message_id(text) {
        Some((id, rest)) => about_message(message, id, rest, sink),
        None => Taken::Ignored,
    }
}

/// Lines about a message, by its id.
fn about_message(message: &Message<'_>, id: &[u8], text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    if text == b"Completed" || text.starts_with(b"Completed ") {
        sink(Record::new(Key::Queue(id), Act::Removed));
        return Taken::Parsed;
    }
    let (sign, rest) = word(text);
    match sign {
        b"<=" => arrival(message, id, rest, sink),
        b"=>" | b"->" | b">>" => delivery(id, rest, sink),
        _ if text.starts_with(b"H=") => about_client(message, Some(id), text, sink),
        _ => Taken::Ignored,
    }
}

/// `<= sender H=… P=esmtp S=… id=… [from <sender> for recipients]`: a message was taken.
fn arrival(message: &Message<'_>, id: &[u8], text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    let Some((sender, rest)) = quoted_word(text) else { return Taken::Unknown };
    let sender = Address::Known(if sender == b"<>" { &[] } else { sender });
    let Some(rest) = after(rest, b"H=") else {
        // Made here, such as our own bounces: only the sender of what is delivered later.
        sink(Record::new(Key::Queue(id), Act::Sender { sender, recipients: 0 }));
        return Taken::Parsed;
    };
    let Some((mut head, rest)) = head(rest) else { return Taken::Unknown };
    // The protocol's letters after the name (RFC 3848): `a` AUTH, `s` TLS.
    let protocol = field(rest, b"P").and_then(|p| after(p, b"esmtp")).unwrap_or(b"");
    head.authenticated |= protocol.contains(&b'a') || field(rest, b"A").is_some();
    head.tls |= protocol.contains(&b's') || field(rest, b"X").is_some();
    let names = received_for(rest).unwrap_or(&[]);
    let mut record =
        head.record(message, Act::Message { sender, message_id: message_id_field(rest), recipients: None, names });
    record.queue_id = Some(id);
    sink(record);
    Taken::Parsed
}

/// The recipients at the end of an arrival (selector `received_recipients`): the last ` for ` after which nothing but addresses follows. Subject and Message-ID
/// stand before it.
fn received_for(text: &[u8]) -> Option<&[u8]> {
    let (_, names) = split_last(text, b" for ")?;
    let mut left = names;
    while !left.is_empty() {
        let (name, rest) = quoted_word(left)?;
        let at = memchr::memrchr(b'@', name)?;
        if at == 0 || name.contains(&b'=') && name.starts_with(b"S=") {
            return None;
        }
        left = rest;
    }
    Some(names)
}

/// `=> recipient <original> R=router T=transport H=host [ip]…`: given to another host, or delivered here where no `H=` follows.
fn delivery(id: &[u8], text: &[u8], sink: &mut super::Sink<'_>) -> Taken {
    // A pipe or a file, as a user's forwarding may name it: any text.
    if matches!(text.first(), Some(b'|' | b'/' | b':')) {
        return Taken::Ignored;
    }
    let Some((recipient, mut rest)) = quoted_word(text) else { return Taken::Unknown };
    // Parents in parentheses, then the original in angle brackets.
    if let Some((_, after_parents)) = after(rest, b"(").and_then(|rest| split(rest, b") <")) {
        rest = &rest[rest.len() - after_parents.len() - 1..];
    }
    if rest.first() == Some(&b'<') {
        let Some((_, after_original)) = path(rest) else { return Taken::Unknown };
        rest = after(after_original, b" ").unwrap_or(after_original);
    }
    while !rest.is_empty() {
        if let Some(host) = after(rest, b"H=") {
            let (_, address) = word(host);
            let Some((relay, ..)) = bracketed_ip(address) else { return Taken::Ignored };
            let recipient = Address::Known(unquote(recipient));
            let act = Act::Delivery { sender: Address::Unseen, recipient, relay: Some(relay), sent: true };
            sink(Record::new(Key::Queue(id), act));
            return Taken::Parsed;
        }
        let Some((item, left)) = quoted_word(rest) else { return Taken::Unknown };
        // `C="250 …"`: the relay's words, the host stands before them.
        if item.starts_with(b"C=") {
            break;
        }
        rest = left;
    }
    Taken::Ignored
}
