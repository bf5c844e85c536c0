//! What is counted of listings, for metrics.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rusqlite::Connection;

use crate::feed::evidence::Code;
use crate::feed::ledger;
use crate::feed::listing::Ended;
use crate::feed::subject::Subject;
use crate::feed::zone_file::Listed;

/// Listings since the program began, written by who publishes.
#[derive(Debug, Default)]
pub struct ListingCounts {
    /// Hosts listed now, in the order of [`Code::ALL`]; one that has two codes counts as both.
    pub listed: [AtomicU64; Code::ALL.len()],
    /// Hosts of which events are kept.
    pub hosts: AtomicU64,
    /// Listings that began.
    pub begun: AtomicU64,
    /// Listings that ended by themselves.
    pub ended: AtomicU64,
    /// Listings that were taken off: removed, allowed, or no longer following by the rules.
    pub removed: AtomicU64,
}

impl ListingCounts {
    /// Take note of who is listed now.
    pub(super) fn set_listed(&self, present: &[Listed<'_>]) {
        for (code, count) in Code::ALL.iter().zip(&self.listed) {
            let hosts = present.iter().filter(|(_, listing)| listing.codes.contains(code)).count();
            count.store(hosts as u64, Relaxed);
        }
    }

    /// Count what began and what is over between two moments. Errors: what SQLite says.
    pub(super) fn changed(
        &self,
        store: &Connection,
        before: &BTreeMap<Subject, i64>,
        after: &BTreeMap<Subject, i64>,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        let begun = after.keys().filter(|subject| !before.contains_key(subject)).count();
        self.begun.fetch_add(begun as u64, Relaxed);
        for (&subject, &since_ms) in before.iter().filter(|(subject, _)| !after.contains_key(subject)) {
            let expired = ledger::listings(store, subject)?.iter().any(|listing| {
                listing.since_ms == since_ms && listing.ended == Ended::Expired && listing.until_ms <= now_ms
            });
            (if expired { &self.ended } else { &self.removed }).fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Count the hosts of which there are events. Errors: what SQLite says.
    pub(super) fn count_hosts(&self, store: &Connection) -> rusqlite::Result<()> {
        // From host to host through the index, so that it costs a step a host and not one an event; of IPv6 a host is
        // a /64, but for the one in which IPv4 addresses are mapped.
        let sql = "WITH RECURSIVE hosts (ip) AS (SELECT min(ip) FROM events UNION ALL \
                   SELECT (SELECT min(ip) FROM events WHERE ip > CASE WHEN substr(hosts.ip, 1, 8) = x'0000000000000000' \
                   THEN hosts.ip ELSE CAST(substr(hosts.ip, 1, 8) || x'ffffffffffffffff' AS BLOB) END) FROM hosts WHERE ip IS NOT NULL) \
                   SELECT count(ip) FROM hosts";
        let hosts: i64 = store.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        self.hosts.store(hosts.unsigned_abs(), Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::ledger::LedgerOptions;
    use crate::feed::ledger::tests::{ledger, put, row, session, store};
    use crate::feed::session::{Answer, Kind};

    #[test]
    fn hosts_are_counted_once() {
        let (mut store, counts) = (store(), ListingCounts::default());
        counts.count_hosts(&store).unwrap();
        assert_eq!(counts.hosts.load(Relaxed), 0);
        let hosts = ["203.0.113.1", "203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::"];
        let rows = hosts
            .iter()
            .enumerate()
            .map(|(n, ip)| row(session(n as u128, n as i64, ip, Kind::Callout, "a@example.org", Answer::Ok)));
        put(&mut store, &ledger(LedgerOptions::default()), rows.collect());
        counts.count_hosts(&store).unwrap();
        // Of IPv6: 2001:db8::/64 and 2001:db8:0:1::/64.
        assert_eq!(counts.hosts.load(Relaxed), 4);
    }
}
