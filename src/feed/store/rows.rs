//! What is stored of a session: only what later decisions need, and no address in the clear.

use std::net::IpAddr;

use crate::feed::joe_job::hit::{Existence, counts};
use crate::feed::kind::ProbeSenders;
use crate::feed::session::{Answer, Body, Closed, Delivery, Kind, Kinds, Recipient, Session, Transaction, Verbs};

use super::key::{HASH_OCTETS, HashKey};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// Octets kept of a HELO or of a Message-ID: what is longer is nobody's name.
const TEXT_OCTETS_MAX: usize = 255;

/// Kinds that give points, or may give them when more is known: sessions with one of them are stored, all others are counted.
const EVIDENCE: [Kind; 8] = [
    Kind::Callout,
    Kind::CalloutDouble,
    Kind::NullRejected,
    Kind::BackscatterRejected,
    Kind::NullDeferred,
    Kind::NullBlocked,
    Kind::DsnAccepted,
    Kind::ProbeSenderUnseen,
];

/// One thing to store.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A session that is evidence, or may be.
    Event(Box<Event>),
    /// One that is not.
    Count(Count),
    /// A delivery of ours.
    Delivery(DeliveryRow),
}

/// A session that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: [u8; 16],
    /// Its lines' text, masked.
    pub lines: Vec<Vec<u8>>,
    /// The name of the file that its first line stands in.
    pub file: String,
    /// The session; addresses in it are not stored.
    pub session: Session,
    /// Its transactions.
    pub transactions: Vec<TransactionRow>,
}

/// A transaction that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRow {
    /// What its sender is: `null`, `double-bounce`, `postmaster`, `probe` (another that verifiers use), `other` or `unseen`.
    pub sender: &'static str,
    /// The sender's domain.
    pub sender_domain: Option<String>,
    /// Its recipients.
    pub recipients: Vec<RecipientRow>,
}

/// A recipient that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRow {
    /// The hash of its address.
    pub hash: Option<[u8; HASH_OCTETS]>,
    /// Its domain.
    pub domain: Option<String>,
    /// How it was answered.
    pub answer: &'static str,
    /// The DNSBL that refused it.
    pub zone: Option<String>,
    /// The reply's code.
    pub code: Option<u16>,
    /// Was it invented by a verifier?
    pub random: bool,
}

/// A session that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The client.
    pub ip: [u8; 16],
    /// Days since 1970.
    pub day: i64,
    /// What it did.
    pub kinds: Kinds,
    /// Messages of it that were taken.
    pub messages: u32,
}

/// A delivery that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// When.
    pub time_ms: i64,
    /// The hash of the sender's address.
    pub sender: [u8; HASH_OCTETS],
    /// The sender's domain.
    pub sender_domain: Option<String>,
    /// The recipient's domain.
    pub recipient_domain: Option<String>,
    /// The host that took it.
    pub relay: [u8; 16],
}

/// Is a session stored, or only counted? Those who logged in are users of ours and never evidence.
pub fn is_evidence(session: &Session) -> bool {
    !session.authenticated && EVIDENCE.iter().any(|&kind| session.kinds.contains(kind))
}

/// What is stored of a session; `probes` are the senders that its kinds were told by.
pub fn of_session(session: Session, file: &str, lines: Vec<Vec<u8>>, key: &HashKey, probes: &ProbeSenders) -> Row {
    if !is_evidence(&session) {
        let taken = session.transactions.iter().filter(|transaction| transaction.body == Body::Taken).count();
        return Row::Count(Count {
            ip: octets(session.client.ip),
            day: session.start_ms.div_euclid(DAY_MS),
            kinds: session.kinds,
            messages: u32::try_from(taken).unwrap_or(u32::MAX),
        });
    }
    let transactions =
        session.transactions.iter().map(|transaction| of_transaction(transaction, key, probes)).collect();
    Row::Event(Box::new(Event { id: session.id.to_be_bytes(), lines, file: file.to_owned(), transactions, session }))
}

/// What is stored of a delivery.
pub fn of_delivery(delivery: &Delivery, key: &HashKey) -> Row {
    Row::Delivery(DeliveryRow {
        time_ms: delivery.time_ms,
        sender: key.hash(&delivery.sender),
        sender_domain: domain(&delivery.sender),
        recipient_domain: domain(&delivery.recipient),
        relay: octets(delivery.relay),
    })
}

/// What is stored of a transaction.
fn of_transaction(transaction: &Transaction, key: &HashKey, probes: &ProbeSenders) -> TransactionRow {
    let recipient = |recipient: &Recipient| {
        let (answer, zone) = answer_word(&recipient.answer);
        RecipientRow {
            hash: recipient.address.as_deref().map(|address| key.hash(address)),
            domain: recipient.address.as_deref().and_then(domain),
            answer,
            zone,
            code: recipient.code,
            random: recipient.random,
        }
    };
    TransactionRow {
        sender: sender_class(transaction.sender.as_deref(), probes),
        sender_domain: transaction.sender.as_deref().and_then(domain),
        recipients: transaction.recipients.iter().map(recipient).collect(),
    }
}

/// The class of a sender.
fn sender_class(sender: Option<&[u8]>, probes: &ProbeSenders) -> &'static str {
    let Some(sender) = sender else { return "unseen" };
    if sender.is_empty() {
        return "null";
    }
    if !probes.contains(sender) {
        return "other";
    }
    let local = memchr::memrchr(b'@', sender).map_or(sender, |at| &sender[..at]).to_ascii_lowercase();
    match local.as_slice() {
        b"postmaster" => "postmaster",
        local if local.starts_with(b"double-bounce") => "double-bounce",
        _ => "probe",
    }
}

/// The domain of an address, in lower case; `None` where there is none, or none that is text.
fn domain(address: &[u8]) -> Option<String> {
    let at = memchr::memrchr(b'@', address)?;
    let domain = std::str::from_utf8(&address[at + 1..]).ok()?;
    let plain = !domain.is_empty() && domain.len() <= TEXT_OCTETS_MAX && !domain.contains(char::is_control);
    plain.then(|| domain.to_lowercase())
}

/// The word for an answer, and the DNSBL's name.
fn answer_word(answer: &Answer) -> (&'static str, Option<String>) {
    let word = match answer {
        Answer::Ok => "ok",
        Answer::UnknownUser => "unknown_user",
        Answer::Greylisted => "greylist",
        Answer::Blocked(zone) => return ("dnsbl", zone.as_deref().map(str::to_owned)),
        Answer::RelayDenied => "relay_denied",
        Answer::LocalError => "local_error",
        Answer::Deferred => "deferred",
        Answer::Policy => "policy",
    };
    (word, None)
}

/// What a stored answer tells of an address, as [`counts`] says; `None` where it does not count.
pub fn existence(answer: &str) -> Option<Existence> {
    match answer {
        "unknown_user" => counts(&Answer::UnknownUser),
        "relay_denied" => counts(&Answer::RelayDenied),
        _ => Some(Existence::Known),
    }
}

/// The word for what became of a message.
pub fn body_word(body: Body) -> &'static str {
    match body {
        Body::None => "none",
        Body::Tried => "tried",
        Body::Taken => "taken",
        Body::Refused => "refused",
        Body::Lost => "lost",
    }
}

/// The word for how a session ended.
pub fn closed_word(closed: Closed) -> &'static str {
    match closed {
        Closed::Quit => "quit",
        Closed::Lost => "lost",
        Closed::Timeout => "timeout",
        Closed::Server => "server",
        Closed::Unknown => "unknown",
    }
}

/// Commands as Postfix writes them, `mail=1 rcpt=0/1`: short, and read without a manual.
pub fn verbs_text(verbs: &Verbs) -> String {
    let mut text = String::new();
    for (name, count) in [("mail", verbs.mail), ("rcpt", verbs.rcpt), ("data", verbs.data), ("bdat", verbs.bdat)] {
        if count.all > 0 && count.ok == count.all {
            text += &format!(" {name}={}", count.all);
        } else if count.all > 0 {
            text += &format!(" {name}={}/{}", count.ok, count.all);
        }
    }
    for (name, count) in [("rset", verbs.rset), ("quit", verbs.quit)] {
        if count > 0 {
            text += &format!(" {name}={count}");
        }
    }
    text.split_off(usize::from(!text.is_empty()))
}

/// The kinds as the store has them: a bit for each, in the order of [`Kind::ALL`].
pub fn kinds_bits(kinds: Kinds) -> i64 {
    kinds.iter().map(|kind| 1 << kind as i64).sum()
}

/// TLS, AUTH, complete, ambiguous: a bit for each, in this order.
pub fn flags_bits(session: &Session) -> i64 {
    [session.tls, session.authenticated, session.complete, session.ambiguous]
        .iter()
        .enumerate()
        .map(|(at, &flag)| i64::from(flag) << at)
        .sum()
}

/// An address in 16 octets; IPv4 is mapped (RFC 4291 section 2.5.5.2).
pub fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// At most `TEXT_OCTETS_MAX` octets.
pub fn bounded(text: &[u8]) -> &[u8] {
    &text[..text.len().min(TEXT_OCTETS_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::session::Count as Verb;

    #[test]
    fn senders_by_class() {
        let probes = ProbeSenders { local_parts: vec!["double-bounce*".into(), "postmaster".into(), "verify*".into()] };
        for (sender, expected) in [
            (None, "unseen"),
            (Some(&b""[..]), "null"),
            (Some(b"Postmaster@example.org"), "postmaster"),
            (Some(b"postmaster"), "postmaster"),
            (Some(b"double-bounce@example.org"), "double-bounce"),
            (Some(b"double-bounce1a2b@example.org"), "double-bounce"),
            (Some(b"double-bounce-list@example.org"), "other"),
            (Some(b"alice@example.org"), "other"),
            (Some(b"Verify17@example.org"), "probe"),
            (Some(b"verify-me@example.org"), "other"),
        ] {
            assert_eq!(sender_class(sender, &probes), expected, "{sender:?}");
        }
        let probes = ProbeSenders { local_parts: vec!["verify".into()] };
        assert_eq!(sender_class(Some(b"postmaster@example.org"), &probes), "other", "not one of the settings");
    }

    #[test]
    fn domains() {
        for (address, expected) in [
            (&b"a@Example.ORG"[..], Some("example.org")),
            (b"\"a@b\"@example.org", Some("example.org")),
            (b"a", None),
            (b"a@", None),
            (b"a@\xff", None),
            (b"a@b\tc", None),
        ] {
            assert_eq!(domain(address).as_deref(), expected, "{address:?}");
        }
    }

    #[test]
    fn verbs_as_postfix_writes_them() {
        let verbs = Verbs { mail: Verb { ok: 2, all: 2 }, rcpt: Verb { ok: 1, all: 2 }, quit: 1, ..Verbs::default() };
        assert_eq!(verbs_text(&verbs), "mail=2 rcpt=1/2 quit=1");
        assert_eq!(verbs_text(&Verbs::default()), "");
    }
}
