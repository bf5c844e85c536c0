//! A stored session as it is judged: who, when, what was tried for whom, and where that stands in the logs.
//!
//! Judging knows nothing but these, so it is all one whether a session was watched or read from an old log.

use std::net::IpAddr;

use super::session::{Answer, Body, Kinds};
use super::subject::Subject;

/// The keyed hash of a recipient's address.
pub type RecipientHash = [u8; 16];

/// A session that is evidence, or may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: [u8; 16],
    /// The time of its last line by the log's clock, when it is known for what it is; in milliseconds since 1970 (UTC).
    pub time_ms: i64,
    /// Its client.
    pub ip: IpAddr,
    /// The client's port, where it is logged.
    pub port: Option<u16>,
    /// The name its address leads to.
    pub ptr: Option<Box<str>>,
    /// What it called itself; any octets.
    pub helo: Option<Box<[u8]>>,
    /// The mail server's host.
    pub host: Box<str>,
    /// What it did.
    pub kinds: Kinds,
    /// Commands in words, such as `mail=1 rcpt=0/1`.
    pub verbs: Box<str>,
    /// Its first line.
    pub place: EventPlace,
    /// Its transactions, oldest first.
    pub transactions: Vec<EventTransaction>,
}

/// Where an event's first line stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPlace {
    /// The input's name.
    pub input: Box<str>,
    /// The file.
    pub file: Box<str>,
    /// The line's number, from where reading began.
    pub line: u64,
}

/// A transaction of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventTransaction {
    /// What its sender is.
    pub sender: SenderClass,
    /// Recipients accepted that the log does not name.
    pub unnamed_accepted: u32,
    /// What became of the message.
    pub body: Body,
    /// The recipients that the log shows.
    pub recipients: Vec<EventRecipient>,
}

/// What an envelope sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderClass {
    /// `<>`.
    Null,
    /// Another that verifiers use, such as `double-bounce@…` and `postmaster@…`.
    Probe,
    /// Any other.
    Other,
    /// The log does not show it.
    Unseen,
}

/// A recipient of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecipient {
    /// The hash of its address; `None` where the log does not show it.
    pub hash: Option<RecipientHash>,
    /// Its domain, in lower case.
    pub domain: Option<Box<str>>,
    /// How it was answered.
    pub answer: Answer,
    /// A verifier invented its local part.
    pub random: bool,
    /// It is `postmaster`, which every domain has (RFC 5321 section 4.5.1).
    pub postmaster: bool,
    /// It is a trap: an address that never belonged to anybody.
    pub trap: bool,
    /// We sent mail from this address to this host's network or domain shortly before or after.
    pub solicited: bool,
    /// All mail of its domain leaves through servers that are read, they were read for long enough, and none was from it.
    pub never_sent: bool,
}

impl Event {
    /// The host that it is about.
    pub fn subject(&self) -> Subject {
        Subject::of(self.ip)
    }

    /// Ordinary messages that were taken in the same session.
    pub fn messages(&self) -> u32 {
        let ordinary = |t: &&EventTransaction| {
            t.body == Body::Taken && matches!(t.sender, SenderClass::Other | SenderClass::Unseen)
        };
        u32::try_from(self.transactions.iter().filter(ordinary).count()).unwrap_or(u32::MAX)
    }
}

/// Bring events into the one order in which they are judged; an event given twice is one.
pub fn sort(events: &mut Vec<Event>) {
    events.sort_unstable_by_key(|event| (event.time_ms, event.id));
    events.dedup_by_key(|event| event.id);
}

/// Events for tests, made of a few words.
#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::feed::session::Kind;

    /// An event of a kind, with one transaction.
    pub fn event(n: u64, time_ms: i64, ip: &str, kind: Kind, recipients: Vec<EventRecipient>) -> Event {
        let body = match kind {
            Kind::BackscatterRejected => Body::Tried,
            Kind::DsnAccepted => Body::Taken,
            _ => Body::None,
        };
        let sender = if kind == Kind::ProbeSenderUnseen { SenderClass::Unseen } else { SenderClass::Null };
        let mut id = [0; 16];
        id[8..].copy_from_slice(&n.to_be_bytes());
        Event {
            id,
            time_ms,
            ip: ip.parse().unwrap(),
            port: None,
            ptr: None,
            helo: None,
            host: "mx".into(),
            kinds: Kinds::default().with(kind),
            verbs: "".into(),
            place: EventPlace::default(),
            transactions: vec![EventTransaction { sender, unnamed_accepted: 0, body, recipients }],
        }
    }

    /// The recipient number `n` of a domain.
    pub fn recipient(n: u64, answer: Answer) -> EventRecipient {
        let mut hash = [0; 16];
        hash[8..].copy_from_slice(&n.to_be_bytes());
        EventRecipient {
            hash: Some(hash),
            domain: Some("example.org".into()),
            answer,
            random: false,
            postmaster: false,
            trap: false,
            solicited: false,
            never_sent: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{event, recipient};
    use super::*;
    use crate::feed::session::Kind;

    #[test]
    fn one_order_whatever_came_first() {
        let make = |n, time| event(n, time, "192.0.2.1", Kind::Callout, vec![recipient(1, Answer::Ok)]);
        let mut events = vec![make(3, 20), make(2, 10), make(1, 10), make(3, 20)];
        sort(&mut events);
        assert_eq!(events, [make(1, 10), make(2, 10), make(3, 20)]);
    }
}
