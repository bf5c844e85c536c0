//! Postfix: smtpd under any service name, postscreen, and the queue's lines.
//!
//! A message is told by its beginning, which Postfix writes itself, and by the program where the shipper has kept it: rsyslog cuts
//! `postfix/smtpd` to `postfix` in some of its forms. What a client sent stands only after that beginning, and is read by `tail`.
//!
//! | module | messages |
//! | --- | --- |
//! | `smtpd` | `connect from`, `NOQUEUE: reject: …`, `QID: client=`, `lost connection after`, `disconnect from` |
//! | `postscreen` | `CONNECT from`, `PASS`, `NOQUEUE: reject: …` with commas, `HANGUP`, `DISCONNECT` |
//! | `queue` | `message-id=`, `from=<…>, size=`, `to=<…>, relay=`, `removed`, `canceled` |

mod postscreen;
mod queue;
mod smtpd;
mod tail;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::{Sink, Taken};
use crate::feed::envelope::{Message, decimal};
use crate::feed::record::{Key, Peer};

/// Gives the records of a message of Postfix.
pub fn parse(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken {
    let text = message.text;
    match component(message.program) {
        Component::Smtpd => smtpd::parse(message, text, sink),
        Component::Postscreen => postscreen::parse(text, sink),
        Component::Queue => queue::parse(text, sink),
        Component::Cut => [postscreen::parse(text, sink)]
            .into_iter()
            .find(|taken| *taken != Taken::Unknown)
            .or_else(|| Some(queue::parse(text, sink)).filter(|taken| *taken != Taken::Unknown))
            .unwrap_or_else(|| smtpd::parse(message, text, sink)),
        Component::Other => Taken::Ignored,
    }
}

/// Is that a program of Postfix, by its name alone?
pub fn is_ours(program: &[u8]) -> bool {
    program.starts_with(b"postfix") || !matches!(component(program), Component::Other)
}

/// The parts of Postfix whose lines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Component {
    /// The server that clients talk to.
    Smtpd,
    /// The one before it.
    Postscreen,
    /// cleanup, queue manager and delivery agents.
    Queue,
    /// Cut off by the shipper.
    Cut,
    /// Another part, or another program.
    Other,
}

/// The part that logged under this name: what stands after the last `/`.
fn component(program: &[u8]) -> Component {
    let Some(slash) = memchr::memrchr(b'/', program) else {
        return if program.starts_with(b"postfix") { Component::Cut } else { Component::Other };
    };
    match &program[slash + 1..] {
        // A service may have any name before its program's: `smtp-25/smtpd`.
        b"smtpd" => Component::Smtpd,
        b"postscreen" => Component::Postscreen,
        b"cleanup" | b"qmgr" | b"nqmgr" | b"oqmgr" | b"smtp" | b"lmtp" | b"local" | b"virtual" | b"pipe" | b"error"
        | b"discard" => Component::Queue,
        _ => Component::Other,
    }
}

/// `host.example[192.0.2.1]:25`, `unknown[2001:db8::1]`, `[192.0.2.1]:25` at the beginning of `text`, and what follows.
/// `None` for the peer where the address is none, as in `unknown[unknown]`.
fn peer(text: &[u8]) -> Option<(Option<Peer<'_>>, &[u8])> {
    let open = memchr::memchr(b'[', text)?;
    let (name, inner) = (&text[..open], &text[open + 1..]);
    // A name is looked up in DNS, and Postfix takes only host names.
    if name.iter().any(|octet| matches!(octet, b' ' | b'<' | b'>')) {
        return None;
    }
    let close = memchr::memchr(b']', inner)?;
    let (address, mut rest) = (&inner[..close], &inner[close + 1..]);
    let mut port = None;
    if let Some(after) = rest.strip_prefix(b":") {
        let digits = after.iter().take(6).take_while(|octet| octet.is_ascii_digit()).count();
        if digits > 0 {
            port = decimal(&after[..digits]).and_then(|port| u16::try_from(port).ok());
            rest = &after[digits..];
        }
    }
    let ptr = (!name.is_empty() && name != b"unknown").then_some(name);
    Some((ip(address).map(|ip| Peer { ip, port, ptr }), rest))
}

/// An address in text.
fn ip(text: &[u8]) -> Option<IpAddr> {
    let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(ip.to_canonical())
}

/// A queue id at the beginning, and what follows its `: `. `NOQUEUE` is no id but stands in its place.
fn queue_id(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    // Short ids have 6 to 15 hexadecimal digits, long ones up to 20 letters and digits.
    let len = text.iter().take(24).take_while(|octet| octet.is_ascii_alphanumeric()).count();
    let rest = text.get(len..)?.strip_prefix(b": ")?;
    let id = &text[..len];
    (len >= 5).then_some(((id != b"NOQUEUE").then_some(id), rest))
}

/// What tells a client's session: address and port, else the process, else the address.
fn session_key<'a>(message: &Message<'a>, peer: Option<Peer<'_>>) -> Key<'a> {
    match (peer, message.pid) {
        (Some(Peer { ip, port: Some(port), .. }), _) => Key::Peer { ip, port },
        (_, Some(pid)) => Key::Process { service: message.program, pid },
        (Some(Peer { ip, .. }), None) => Key::Peer { ip, port: 0 },
        (None, None) => Key::Line,
    }
}
