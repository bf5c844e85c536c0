//! Which recipients of events had sent mail themselves, as far as our own logs tell.
//!
//! Whatever comes first, event or delivery, the one that comes second finds the other. A mark stays with its event when the
//! delivery is forgotten, so judging it later gives the same.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use rusqlite::{Connection, params};

use super::Ledger;
use crate::feed::policy::DAY_MS;
use crate::feed::store::rows::DeliveryRow;
use crate::feed::subject::Subject;

/// The recipient had sent mail to this host's network or domain.
pub const SOLICITED: i64 = 1;
/// The recipient had sent mail to anybody in the time before.
pub const SENT: i64 = 2;
/// How long an address counts as one that sends, in milliseconds.
const SENDS_MS: i64 = 30 * DAY_MS;
/// Bits of the IPv4 network in which a host speaks for another: large sites call back from a neighbour.
const IP4_BITS: u32 = 24;

impl Ledger {
    /// Mark the recipients of an event that was stored. Errors: what SQLite says.
    pub(super) fn mark_event(&self, store: &Connection, id: &[u8; 16]) -> rusqlite::Result<()> {
        let options = &self.options.solicited;
        let sql = "SELECT e.event, r.hash, e.ip, e.ptr, d.relay, d.recipient_domain, d.time_ms - e.end_ms FROM events AS e \
                   JOIN recipients AS r USING (event) JOIN deliveries AS d ON d.sender = r.hash \
                   AND d.time_ms BETWEEN e.end_ms - ?2 AND e.end_ms + ?3 WHERE e.id = ?1 AND r.hash IS NOT NULL";
        let mut statement = store.prepare_cached(sql)?;
        let since =
            if options.outbound_domains.is_empty() { options.before_ms } else { SENDS_MS.max(options.before_ms) };
        let mut rows = statement.query(params![id, since, options.after_ms])?;
        while let Some(row) = rows.next()? {
            let pair = Pair {
                event: row.get(0)?,
                hash: row.get(1)?,
                ip: row.get(2)?,
                ptr: row.get(3)?,
                relay: row.get(4)?,
                domain: row.get(5)?,
                later_ms: row.get(6)?,
            };
            self.mark(store, &pair)?;
        }
        Ok(())
    }

    /// Mark the events that a delivery that was stored explains; these hosts must be judged anew. Errors: what SQLite says.
    pub(super) fn mark_delivery(
        &self,
        store: &Connection,
        delivery: &DeliveryRow,
    ) -> rusqlite::Result<BTreeSet<Subject>> {
        let options = &self.options.solicited;
        if let Some(domain) = &delivery.sender_domain
            && options.outbound_domains.iter().any(|known| **known == **domain)
        {
            let sql = "INSERT INTO outbound VALUES (?1, ?2) ON CONFLICT (domain) DO UPDATE SET \
                       since_ms = min(since_ms, excluded.since_ms)";
            store.prepare_cached(sql)?.execute(params![domain, delivery.time_ms])?;
        }
        let sql = "SELECT e.event, r.hash, e.ip, e.ptr, ?1 - e.end_ms FROM recipients AS r JOIN events AS e USING (event) \
                   WHERE r.hash = ?2 AND e.end_ms BETWEEN ?1 - ?3 AND ?1 + ?4";
        let mut statement = store.prepare_cached(sql)?;
        let until =
            if options.outbound_domains.is_empty() { options.before_ms } else { SENDS_MS.max(options.before_ms) };
        let mut rows = statement.query(params![delivery.time_ms, delivery.sender, options.after_ms, until])?;
        let mut touched = BTreeSet::new();
        while let Some(row) = rows.next()? {
            let pair = Pair {
                event: row.get(0)?,
                hash: row.get(1)?,
                ip: row.get(2)?,
                ptr: row.get(3)?,
                relay: delivery.relay,
                domain: delivery.recipient_domain.clone(),
                later_ms: row.get(4)?,
            };
            if self.mark(store, &pair)? {
                touched.insert(Subject::from_octets(pair.ip));
            }
        }
        Ok(touched)
    }

    /// Mark an event's recipient by one delivery of its mail; says whether that is new.
    fn mark(&self, store: &Connection, pair: &Pair) -> rusqlite::Result<bool> {
        let options = &self.options.solicited;
        let near = (-options.before_ms..=options.after_ms).contains(&pair.later_ms);
        let mut new = false;
        for (mark, holds) in [(SOLICITED, near && pair.is_answer()), (SENT, pair.later_ms <= 0)] {
            if holds {
                let sql = "INSERT INTO marks VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                new |= store.prepare_cached(sql)?.execute(params![pair.event, pair.hash, mark])? > 0;
            }
        }
        Ok(new)
    }
}

/// An event's recipient and a delivery of mail from it.
struct Pair {
    /// The event's number.
    event: i64,
    /// The recipient.
    hash: [u8; 16],
    /// The event's client.
    ip: [u8; 16],
    /// The name that its address leads to.
    ptr: Option<String>,
    /// The host that took our mail.
    relay: [u8; 16],
    /// The domain that our mail was for.
    domain: Option<String>,
    /// How much later than the event it was delivered, in milliseconds.
    later_ms: i64,
}

impl Pair {
    /// Does the client speak for the host or the domain that we wrote to? The name of its address counts, which its owner
    /// can not choose freely; its HELO does not.
    fn is_answer(&self) -> bool {
        network(self.ip) == network(self.relay)
            || self.domain.as_deref().zip(self.ptr.as_deref()).is_some_and(|(domain, ptr)| is_below(ptr, domain))
    }
}

/// The network in which hosts speak for each other.
fn network(octets: [u8; 16]) -> u128 {
    let address = u128::from_be_bytes(octets);
    match IpAddr::V6(Ipv6Addr::from(octets)).to_canonical() {
        IpAddr::V4(_) => address >> (32 - IP4_BITS),
        // As wide as the hosts that are listed.
        IpAddr::V6(_) => address >> 64,
    }
}

/// Is a host's name a domain, or below it?
fn is_below(name: &str, domain: &str) -> bool {
    let name = name.trim_end_matches('.');
    let at = name.len().checked_sub(domain.len());
    at.is_some_and(|at| {
        name.is_char_boundary(at)
            && name[at..].eq_ignore_ascii_case(domain)
            && (at == 0 || name.as_bytes()[at - 1] == b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_a_domain() {
        for (name, domain, expected) in [
            ("mx1.example.net", "example.net", true),
            ("Example.NET.", "example.net", true),
            ("badexample.net", "example.net", false),
            ("net", "example.net", false),
            ("ä", "x", false),
        ] {
            assert_eq!(is_below(name, domain), expected, "{name} {domain}");
        }
    }

    #[test]
    fn networks() {
        let octets = |ip: &str| crate::feed::store::rows::octets(ip.parse().unwrap());
        for (a, b, same) in [
            ("192.0.2.1", "192.0.2.255", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(network(octets(a)) == network(octets(b)), same, "{a} {b}");
        }
    }
}
