//! What of a session matters for joe-jobs: null-sender mail, by recipient.

use std::net::IpAddr;

use crate::feed::session::{Answer, Session};

/// What is flooded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// An address that exists, by its keyed hash as in the store.
    Recipient([u8; 16]),
    /// A domain, by mail to addresses in it that do not exist.
    Domain(Box<str>),
}

/// One recipient of null-sender mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// When the session ended, in milliseconds since 1970 (UTC), by the log's clock.
    pub time_ms: i64,
    /// Who was meant.
    pub target: Target,
    /// The address in the clear, needed for the report alone; `None` where it is read back from the store.
    pub address: Option<Box<str>>,
    /// Who sent it: see [`source`].
    pub source: u64,
    /// The message's id, where one was taken.
    pub message_id: Option<Box<str>>,
}

/// A source: an IPv4 address, or the /64 of an IPv6 address, which is one host's.
pub fn source(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        // No IPv6 address in use begins with 0000:ffff.
        IpAddr::V4(ip) => 0x0000_ffff_0000_0000 | u64::from(ip.to_bits()),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    }
}

/// Does mail with this answer count, and does it tell that the address exists?
pub fn counts(answer: &Answer) -> Option<Existence> {
    match answer {
        Answer::UnknownUser => Some(Existence::Invented),
        // Not a domain of ours: an attempt to relay.
        Answer::RelayDenied => None,
        _ => Some(Existence::Known),
    }
}

/// What an answer tells about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It is not known to be invented.
    Known,
    /// There is no such user.
    Invented,
}

/// What a session adds; `hash` gives an address' keyed hash.
pub fn of_session(session: &Session, hash: impl Fn(&[u8]) -> [u8; 16]) -> Vec<Hit> {
    if session.authenticated {
        return Vec::new();
    }
    let source = source(session.client.ip);
    let mut hits = Vec::new();
    for transaction in session.transactions.iter().filter(|transaction| transaction.sender.as_deref() == Some(b"")) {
        let message_id = transaction.message_id.as_deref().map(|id| String::from_utf8_lossy(id).into());
        for recipient in &transaction.recipients {
            let Some(address) = recipient.address.as_deref() else { continue };
            // A local part that a verifier has invented was in nobody's mail.
            let Some(existence) = counts(&recipient.answer).filter(|_| !recipient.random) else { continue };
            let target = match existence {
                Existence::Known => Target::Recipient(hash(address)),
                Existence::Invented => match domain(address) {
                    Some(domain) => Target::Domain(domain),
                    None => continue,
                },
            };
            let address = String::from_utf8_lossy(address).into();
            hits.push(Hit {
                time_ms: session.end_ms,
                target,
                address: Some(address),
                source,
                message_id: message_id.clone(),
            });
        }
    }
    hits
}

/// The domain of an address, in lower case.
fn domain(address: &[u8]) -> Option<Box<str>> {
    let at = memchr::memrchr(b'@', address)?;
    let domain = std::str::from_utf8(&address[at + 1..]).ok()?;
    let plain = !domain.is_empty() && domain.len() <= 255 && !domain.contains(|c: char| c.is_control() || c == ' ');
    plain.then(|| domain.to_lowercase().into())
}
