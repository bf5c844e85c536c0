//! What makes a line, and so a session, the same one whenever and however often it is read.

use hashbrown::HashMap;
use sha2::{Digest, Sha256};

use super::super::envelope::Message;
use super::super::record::{Key, Record};

/// Gives ids to the sessions of one input.
#[derive(Debug)]
pub(super) struct Ids {
    /// The input's id.
    input: Box<str>,
    /// How often each first line has begun a session in this second.
    seen: HashMap<u64, u32, foldhash::fast::FixedState>,
}

impl Ids {
    /// Ids for an input.
    pub(super) fn new(input: &str) -> Self {
        Self { input: input.into(), seen: HashMap::default() }
    }

    /// A new second of the log has begun.
    pub(super) fn next_second(&mut self) {
        self.seen.clear();
    }

    /// The id of a session that begins with this line; `line` is its hash. `held_ms` tells apart lines that came again, late, in a later
    /// second: how far the stamp lies behind the log's clock.
    pub(super) fn next(&mut self, message: &Message<'_>, record: &Record<'_>, line: u64, held_ms: i64) -> u128 {
        let ordinal = self.seen.entry(line).or_insert(0);
        *ordinal += 1;
        let mut hash = Sha256::new();
        // Each part after its length, so that no two lists of parts give the same octets.
        let mut part = |octets: &[u8]| {
            hash.update((octets.len() as u32).to_le_bytes());
            hash.update(octets);
        };
        part(self.input.as_bytes());
        part(message.host);
        part(message.stamp);
        match record.client {
            Some(client) => {
                match client.ip {
                    std::net::IpAddr::V4(ip) => part(&ip.octets()),
                    std::net::IpAddr::V6(ip) => part(&ip.octets()),
                }
                part(&client.port.unwrap_or(0).to_le_bytes());
            }
            None => part(b""),
        }
        match record.key {
            Key::Process { pid, .. } => part(&pid.to_le_bytes()),
            Key::Peer { port, .. } => part(&port.to_le_bytes()),
            Key::Session(id) | Key::Queue(id) => part(id),
            Key::Line => part(b""),
        }
        // A stamp may have no year: the same line a year later is another.
        part(&message.time_ms.div_euclid(YEAR_MS).to_le_bytes());
        part(&held_ms.div_euclid(1000).to_le_bytes());
        part(message.text);
        part(&ordinal.to_le_bytes());
        let digest = hash.finalize();
        digest.iter().take(16).fold(0, |id, &octet| id << 8 | u128::from(octet))
    }
}

/// A mean year of the Gregorian calendar, in milliseconds.
const YEAR_MS: i64 = 31_556_952_000;
