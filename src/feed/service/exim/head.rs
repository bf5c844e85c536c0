//! The head that Exim's lines share: message id, host, address, and what it adds to them.
//!
//! Exim 4.9x writes `H=name (helo) [ip]:port I=[own]:port Ci=n X=tls CV=no A=login:user F=<sender>`, each part only where it exists or its log selector
//! is set (manual, section 52.15). The HELO name stands *before* the address. Exim refuses names with other characters than letters, digits, `-`, `.` and `_`,
//! unless `helo_accept_junk_hosts` lets anything pass; [`contradicts`] is for that case.

use std::net::IpAddr;

use super::super::text::{after, bracketed_ip, holds, path, quoted_word, unquote, word};
use crate::feed::envelope::Message;
use crate::feed::record::{Act, Address, Key, Peer, Record};

/// A client as a line's head shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Address, port, name.
    pub peer: Peer<'a>,
    /// What it calls itself.
    pub helo: Option<&'a [u8]>,
    /// The connection's id (`Ci=`, from 4.97).
    pub connection: Option<&'a [u8]>,
    /// TLS is in use (`X=`).
    pub tls: bool,
    /// It has logged in (`A=`).
    pub authenticated: bool,
    /// The envelope sender (`F=`).
    pub sender: Address<'a>,
}

impl<'a> Head<'a> {
    /// What tells its session from others: address and port, else the connection's id, else the process, else nothing.
    pub fn key(&self, message: &Message<'a>) -> Key<'a> {
        match (self.peer.port, self.connection, message.pid) {
            (Some(port), ..) => Key::Peer { ip: self.peer.ip, port },
            (None, Some(connection), _) => Key::Session(connection),
            (None, None, Some(pid)) => Key::Process { service: message.program, pid },
            (None, None, None) => Key::Line,
        }
    }

    /// A record about its session.
    pub fn record(&self, message: &Message<'a>, act: Act<'a>) -> Record<'a> {
        let mut record = Record::new(self.key(message), act);
        record.client = Some(self.peer);
        record.helo = self.helo;
        record.tls = self.tls;
        record.authenticated = self.authenticated;
        record
    }
}

/// Reads `name (helo) [ip]:port` and what is joined to it, the `H=` itself being read already. What is left begins with the blank
/// or colon after it.
pub fn head(text: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let mut rest = text;
    let mut ptr = None;
    if !matches!(rest.first(), Some(b'(' | b'[')) {
        let (name, after_name) = word(rest);
        (ptr, rest) = (Some(name), after_name);
    }
    let mut helo = ptr;
    if let Some(inner) = after(rest, b"(") {
        let end = memchr::memmem::find(inner, b") [")?;
        helo = Some(&inner[..end]);
        rest = &inner[end + 2..];
    }
    let (ip, port, rest) = bracketed_ip(rest)?;
    let peer = Peer { ip, port, ptr };
    let mut head = Head { peer, helo, connection: None, tls: false, authenticated: false, sender: Address::Unseen };
    let rest = attributes(&mut head, rest);
    Some((head, rest))
}

/// Takes the `KEY=value` words that stand between the address and what happened.
fn attributes<'a>(head: &mut Head<'a>, mut text: &'a [u8]) -> &'a [u8] {
    loop {
        let Some(rest) = after(text, b" ") else { return text };
        if let Some(rest) = after(rest, b"F=") {
            let Some((sender, rest)) = sender(rest) else { return text };
            head.sender = sender;
            text = rest;
            continue;
        }
        let known =
            [&b"I="[..], b"Ci=", b"X=", b"CV=", b"SNI=", b"DN=", b"U=", b"A=", b"K", b"PRX=", b"L", b"L*", b"L."];
        let Some((item, _)) = quoted_word(rest) else { return text };
        // Where a colon ends the head, as in `rejected MAIL from [ip]:port I=[own]:port: reason`, it stays.
        let item = item.strip_suffix(b":").unwrap_or(item);
        let Some(name) =
            known.into_iter().find(|name| if name.ends_with(b"=") { item.starts_with(name) } else { item == *name })
        else {
            return text;
        };
        let value = &item[name.len()..];
        match name {
            b"X=" => head.tls = true,
            b"A=" => head.authenticated = true,
            b"Ci=" => head.connection = Some(value),
            _ => {}
        }
        text = &rest[item.len()..];
    }
}

/// The sender after `F=`: in angle brackets, or bare as very old versions write it.
fn sender(text: &[u8]) -> Option<(Address<'_>, &[u8])> {
    if text.first() == Some(&b'<') {
        let (sender, rest) = path(text)?;
        return Some((Address::Known(sender), rest));
    }
    let (sender, _) = quoted_word(text)?;
    Some((Address::Known(sender), &text[sender.len()..]))
}

/// A message id at the beginning, and what follows its space: `6-6-2` letters and digits before 4.97, `6-11-4` since.
pub fn message_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (id, rest) = word(text);
    let dashes: &[usize] = match id.len() {
        16 => &[6, 13],
        23 => &[6, 18],
        _ => return None,
    };
    let fits =
        |(at, octet): (usize, &u8)| if dashes.contains(&at) { *octet == b'-' } else { octet.is_ascii_alphanumeric() };
    id.iter().enumerate().all(fits).then_some((id, rest))
}

/// Does `text`, which follows a head, hold another head with another address: then the first may be what a junk HELO name wrote, and the line
/// says nothing for certain about anybody.
pub fn contradicts(text: &[u8], ip: IpAddr) -> bool {
    if !holds(text, b") [") {
        return false;
    }
    memchr::memmem::find_iter(text, b") [")
        .any(|at| bracketed_ip(&text[at + 2..]).is_some_and(|(other, ..)| other != ip))
}

/// The Message-ID of an arrival's `id=`.
pub fn message_id_field(text: &[u8]) -> Option<&[u8]> {
    super::super::text::field(text, b"id").map(unquote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        // ip:port, helo, sender, what is left
        let check = |text: &str, expected: Option<(&str, &str, Address<'_>, &str)>| {
            let found = head(text.as_bytes());
            let shown = found.map(|(head, rest)| {
                let port = head.peer.port.map_or(String::new(), |port| format!(":{port}"));
                let helo = String::from_utf8_lossy(head.helo.unwrap_or(b"-")).into_owned();
                (format!("{}{port}", head.peer.ip), helo, head.sender, String::from_utf8_lossy(rest).into_owned())
            });
            let expected =
                expected.map(|(peer, helo, sender, rest)| (peer.to_owned(), helo.to_owned(), sender, rest.to_owned()));
            assert_eq!(shown, expected, "{text}");
        };
        let null = Address::Known(b"");
        check("(a.example) [127.0.0.1] F=<> rejected", Some(("127.0.0.1", "a.example", null, " rejected")));
        check(
            "a.example [127.0.0.1]:25 F=<x@y> rejected",
            Some(("127.0.0.1:25", "a.example", Address::Known(b"x@y"), " rejected")),
        );
        check(
            "a.example (b) [::1]:25 I=[::2]:25 Ci=7 X=TLS1.3 closed",
            Some(("::1:25", "b", Address::Unseen, " closed")),
        );
        check(
            "([192.0.2.1]) [127.0.0.1] A=plain:me F=<> rejected",
            Some(("127.0.0.1", "[192.0.2.1]", null, " rejected")),
        );
        check("[127.0.0.1]:25 I=[127.0.0.1]:26: no HELO", Some(("127.0.0.1:25", "-", Address::Unseen, ": no HELO")));
        check("(a) [127.0.0.1] X=T DN=\"CN=A) [8.8.8.8] F=<b>\" F=<> r", Some(("127.0.0.1", "a", null, " r")));
        check(
            "(a) [127.0.0.1] F=<\"b> H=(test) [8.8.8.8]\"@c> r",
            Some(("127.0.0.1", "a", Address::Known(b"\"b> H=(test) [8.8.8.8]\"@c"), " r")),
        );
        check(
            "(a) [127.0.0.1] F=old@style rejected",
            Some(("127.0.0.1", "a", Address::Known(b"old@style"), " rejected")),
        );
        check("(a) nobody", None);
        check("", None);
    }

    #[test]
    fn message_ids_before_and_after_4_97() {
        assert!(message_id(b"1xUqcY-0007wY-20 <= <>").is_some());
        assert!(message_id(b"1rHgPb-00000000AbC-0dEf <= <>").is_some());
        assert!(message_id(b"1xUqcY-0007wY_20 <= <>").is_none());
        assert!(message_id(b"H=host14.example <= <>").is_none());
    }
}
