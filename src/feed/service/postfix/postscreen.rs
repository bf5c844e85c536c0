//! What postscreen logs. Every line about a client has its address and port.

use super::smtpd::{has_level, refusal};
use super::tail::{self, Shape};
use super::{Sink, Taken, peer, queue_id};
use crate::feed::record::{Act, Key, Peer, Record};
use crate::feed::session::{Body, Closed};

/// What stands before a client's address, and what it says.
const HEADS: [(&[u8], Said); 8] = [
    (b"CONNECT from ", Said::Connect),
    (b"DISCONNECT ", Said::Disconnect),
    (b"PASS NEW ", Said::Pass),
    (b"PASS OLD ", Said::Pass),
    // The address is on postscreen_access_list: no tests, straight to smtpd.
    (b"ALLOWLISTED ", Said::Pass),
    (b"WHITELISTED ", Said::Pass),
    (b"DATA without valid RCPT from ", Said::Data),
    (b"BDAT without valid RCPT from ", Said::Data),
];

/// What else begins a message about a client; none of it tells more than that the session goes on.
const OTHERS: [&[u8]; 15] = [
    b"DNSBL rank ",
    b"PREGREET ",
    b"HANGUP ",
    b"COMMAND PIPELINING ",
    b"COMMAND COUNT LIMIT ",
    b"COMMAND TIME LIMIT ",
    b"COMMAND LENGTH LIMIT ",
    b"BARE NEWLINE ",
    b"NON-SMTP COMMAND ",
    b"ALLOWLIST VETO ",
    b"WHITELIST VETO ",
    b"DENYLISTED ",
    b"BLACKLISTED ",
    b"SNI ",
    b"cache ",
];

/// What a message says about its client.
#[derive(Clone, Copy)]
enum Said {
    /// It connected.
    Connect,
    /// It is gone.
    Disconnect,
    /// It is handed to smtpd.
    Pass,
    /// It sent DATA although no recipient was accepted.
    Data,
}

/// Gives the records of a message of postscreen.
pub(super) fn parse(text: &[u8], sink: &mut Sink<'_>) -> Taken {
    if !text.first().is_some_and(u8::is_ascii_uppercase) {
        let ours = has_level(text) || text.starts_with(b"cache ");
        return if ours { Taken::Ignored } else { Taken::Unknown };
    }
    for (head, said) in HEADS {
        if let Some(rest) = text.strip_prefix(head) {
            return about_peer(rest, said, sink);
        }
    }
    if text.starts_with(b"HANGUP ") {
        // `HANGUP after 0.1 from [ip]:port in tests …`: time and words are postscreen's.
        let Some(from) = memchr::memmem::find(text, b" from ") else { return Taken::Unknown };
        return give(&text[from + 6..], Act::Ending { closed: Closed::Lost, in_data: false }, sink);
    }
    if OTHERS.iter().any(|other| text.starts_with(other)) {
        return Taken::Ignored;
    }
    match queue_id(text).and_then(|(id, rest)| id.is_none().then_some(rest)) {
        Some(rest) => rejected(rest, sink),
        None => Taken::Unknown,
    }
}

/// A message that begins with a client.
fn about_peer(text: &[u8], said: Said, sink: &mut Sink<'_>) -> Taken {
    let act = match said {
        // tlsproxy writes `CONNECT from [ip]:port` too, but not where to.
        Said::Connect if memchr::memmem::find(text, b" to [").is_none() => return Taken::Ignored,
        Said::Connect => Act::Connect,
        Said::Disconnect => Act::Disconnect { closed: Closed::Unknown, verbs: None },
        Said::Pass => Act::Pass,
        Said::Data => Act::Data { sender: crate::feed::record::Address::Unseen, body: Body::Tried },
    };
    give(text, act, sink)
}

/// A record about the client that `text` begins with.
fn give(text: &[u8], act: Act<'_>, sink: &mut Sink<'_>) -> Taken {
    let Some((Some(peer), _)) = peer(text) else { return Taken::Unknown };
    let Some(key) = key(peer) else { return Taken::Unknown };
    sink(Record { client: Some(peer), ..Record::new(key, act) });
    Taken::Parsed
}

/// The key of a client: postscreen always logs the port.
fn key(peer: Peer<'_>) -> Option<Key<'static>> {
    peer.port.map(|port| Key::Peer { ip: peer.ip, port })
}

/// `reject: RCPT from [ip]:port: 450 4.3.2 …; from=<…>, to=<…>, proto=…, helo=<…>`, after `NOQUEUE: `.
fn rejected(text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let Some(rest) = text.strip_prefix(b"reject: ") else { return Taken::Unknown };
    let Some(from) = memchr::memmem::find(rest, b" from ") else { return Taken::Unknown };
    let stage = &rest[..from];
    // smtpd's lines have the client's name before the bracket, or none of the commas: they are not for here.
    if rest.get(from + 6) != Some(&b'[') {
        return Taken::Unknown;
    }
    let Some((Some(peer), rest)) = peer(&rest[from + 6..]) else { return Taken::Unknown };
    let (Some(key), Some(rest)) = (key(peer), rest.strip_prefix(b": ")) else { return Taken::Unknown };
    let shape = if stage == b"RCPT" { Shape::SenderAndRecipient } else { Shape::Neither };
    let tail = tail::split(rest, shape, tail::POSTSCREEN);
    let act = match stage {
        b"RCPT" => Act::Rcpt { sender: tail.sender, recipient: tail.recipient, reply: refusal(tail.reply) },
        _ => Act::Seen,
    };
    sink(Record { client: Some(peer), helo: tail.helo, ambiguous: tail.ambiguous, ..Record::new(key, act) });
    Taken::Parsed
}
