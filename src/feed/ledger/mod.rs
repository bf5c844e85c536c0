//! Judging in the store: what is known of a host is read, judged, and what follows is written beside it.
//!
//! What is derived is rewritten in the transaction that brings the events, so that a start needs no judging at all. Who
//! publishes the listings reads them from here, by a number that grows with each change: it need not know whether the
//! running feeder, a command of the operator or changed rules brought them about.

mod actions;
mod derived;
pub mod flooded;
pub mod marks;
mod read;
pub mod schema;
#[cfg(test)]
pub mod tests;
pub mod welcomes;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};

use hashbrown::HashSet;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use sha2::{Digest as _, Sha256};

use super::event::{Event, RecipientHash};
use super::listing::{History, Listing};
use super::policy::{self, DAY_MS, Facts, PolicyOptions};
use super::protection::{Exemption, ProtectionOptions};
use super::store::Batch;
use super::store::key::HashKey;
use super::store::rows::Row;
use super::subject::Subject;

pub use actions::{
    Act, Action, OWNER_REMOVAL_MS, OwnerRemoval, forget_before, forget_host, forget_recipient, owner_may_again_ms,
};
pub use derived::{Change, changed, expired, in_force, in_force_after, last_change, listings};

/// Hosts that are judged in one transaction when rules have changed: the store is not kept from its inputs for long.
const REJUDGE_HOSTS: u32 = 200;
/// Name of the number that grows with each change.
const CHANGES: &str = "changes";
/// Name of the hash of the rules that the derived rows follow from.
const RULES: &str = "rules";

/// What judging depends on besides what is stored.
#[derive(Debug, Clone, Default)]
pub struct LedgerOptions {
    /// The rules.
    pub policy: PolicyOptions,
    /// Who is protected.
    pub protection: ProtectionOptions,
    /// Traps: addresses that never belonged to anybody, in lower case.
    pub traps: Vec<Box<str>>,
    /// Domains of which every address is a trap, in lower case.
    pub trap_domains: Vec<Box<str>>,
    /// What counts as solicited.
    pub solicited: SolicitedOptions,
    /// DNS welcome lists: who is on one is a shared provider.
    pub welcome_lists: Vec<Box<str>>,
}

/// The ledger that all go by, which new settings replace.
pub type SharedLedger = Arc<RwLock<Ledger>>;

/// Which callouts and bounces answer mail of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SolicitedOptions {
    /// Mail that we sent so long before explains a callout or a bounce, in milliseconds.
    pub before_ms: i64,
    /// Likewise after: a callout comes while our delivery waits, and the delivery is logged when it is over.
    pub after_ms: i64,
    /// Domains all of whose mail leaves through servers that are read, in lower case.
    pub outbound_domains: Vec<Box<str>>,
    /// How long they must have been read before it is known who never sends, in milliseconds.
    pub watched_ms: i64,
}

impl Default for SolicitedOptions {
    fn default() -> Self {
        Self { before_ms: DAY_MS, after_ms: DAY_MS / 24, outbound_domains: Vec::new(), watched_ms: 30 * DAY_MS }
    }
}

/// Judges hosts out of the store.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// What it goes by.
    options: LedgerOptions,
    /// Hashes of the traps.
    traps: HashSet<RecipientHash>,
    /// Makes hashes of recipients.
    key: HashKey,
    /// This machine's addresses.
    own: Vec<IpAddr>,
    /// A hash of all of it.
    rules: Vec<u8>,
    /// Ask welcome lists nothing.
    no_questions: bool,
}

/// What the operator is told of a host.
#[derive(Debug)]
pub struct Judged {
    /// Its events, in the order in which they are judged.
    pub events: Vec<Event>,
    /// What else was known.
    pub facts: Facts,
    /// What follows.
    pub history: History,
}

impl Ledger {
    /// A ledger that goes by these rules. `own` are this machine's addresses.
    pub fn new(options: LedgerOptions, key: HashKey, own: Vec<IpAddr>) -> Self {
        let traps = options.traps.iter().map(|trap| key.hash(trap.as_bytes())).collect();
        // The version of the rules that are no setting: to be raised with each change of judging.
        let text = format!("1 {options:?} {own:?}");
        let rules = Sha256::digest(text.as_bytes()).to_vec();
        Self { options, traps, key, own, rules, no_questions: false }
    }

    /// What it goes by.
    pub fn options(&self) -> &LedgerOptions {
        &self.options
    }

    /// Judge a host by what is stored. Errors: what SQLite says.
    pub fn judge(&self, store: &Connection, subject: Subject) -> rusqlite::Result<Judged> {
        let events = self.events(store, subject)?;
        let facts = self.facts(store, subject)?;
        let history = policy::judge(&events, &facts, &self.options.policy);
        Ok(Judged { events, facts, history })
    }

    /// What exempts a host by its address.
    pub fn exemption(&self, subject: Subject) -> Exemption {
        self.options.protection.exemption(subject, &self.own)
    }

    /// What follows from batches that were written in this transaction. Errors: what SQLite says.
    pub fn took(&self, store: &Transaction<'_>, batches: &[Batch]) -> rusqlite::Result<()> {
        let mut touched = BTreeSet::new();
        let rows = || batches.iter().flat_map(|batch| &batch.rows);
        for row in rows() {
            match row {
                Row::Event(event) => {
                    self.mark_event(store, &event.id)?;
                    touched.insert(Subject::of(event.session.client.ip));
                }
                Row::Count(count) if count.messages > 0 => {
                    touched.insert(Subject::from_octets(count.ip));
                }
                Row::Count(_) => {}
                Row::Delivery(delivery) => touched.extend(self.mark_delivery(store, delivery)?),
            }
        }
        self.update(store, touched.into_iter())
    }

    /// Judge hosts anew and write what follows. Errors: what SQLite says.
    pub fn update(&self, store: &Connection, subjects: impl Iterator<Item = Subject>) -> rusqlite::Result<()> {
        let mut number = None;
        for subject in subjects {
            let judged = self.judge(store, subject)?;
            self.ask(store, subject, &judged)?;
            if !derived::differ(store, subject, &judged.history)? {
                continue;
            }
            let number = match number {
                Some(number) => number,
                None => *number.insert(next_change(store)?),
            };
            derived::write(store, subject, &judged.history, number)?;
        }
        Ok(())
    }

    /// Judge all hosts if the rules are others than those that the store was judged by. A little at a time, each in its own
    /// transaction; `go_on` is asked in between. Says whether all is done. Errors: what SQLite says.
    pub fn follow_rules(&self, store: &mut Connection, go_on: impl Fn() -> bool) -> rusqlite::Result<bool> {
        let sql = "SELECT value FROM facts WHERE name = ?1";
        let known: Option<Vec<u8>> = store.query_row(sql, [RULES], |row| row.get(0)).optional()?;
        if known.as_ref() == Some(&self.rules) {
            return Ok(true);
        }
        let mut after = [0; 16];
        // From here on they are a mixture, whatever becomes of this.
        store.execute("DELETE FROM facts WHERE name = ?1", [RULES])?;
        loop {
            let subjects = subjects_after(store, after)?;
            let Some(last) = subjects.last() else { break };
            after = last.range().1;
            let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
            self.update(&transaction, subjects.iter().copied())?;
            transaction.commit()?;
            if !go_on() {
                return Ok(false);
            }
        }
        let sql = "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        store.execute(sql, params![RULES, self.rules])?;
        Ok(true)
    }

    /// All hosts with evidence, ascending. Errors: what SQLite says.
    pub fn subjects(&self, store: &Connection) -> rusqlite::Result<BTreeSet<Subject>> {
        let mut all = BTreeSet::new();
        let mut after = [0; 16];
        loop {
            let some = subjects_after(store, after)?;
            let Some(last) = some.last() else { return Ok(all) };
            after = last.range().1;
            all.extend(some);
        }
    }

    /// The listing in force of a host, as stored. Errors: what SQLite says.
    pub fn listing(&self, store: &Connection, subject: Subject, now_ms: i64) -> rusqlite::Result<Option<Listing>> {
        Ok(listings(store, subject)?.into_iter().find(|listing| listing.holds(now_ms)))
    }
}

/// Hosts with evidence, or with something derived from what was evidence, behind an address; some of them.
fn subjects_after(store: &Connection, after: [u8; 16]) -> rusqlite::Result<Vec<Subject>> {
    let sql = "SELECT ip FROM (SELECT DISTINCT ip FROM events WHERE ip > ?1 UNION SELECT subject AS ip FROM standings \
               WHERE subject > ?1) ORDER BY ip LIMIT ?2";
    let mut statement = store.prepare_cached(sql)?;
    let rows = statement.query_map(params![after, REJUDGE_HOSTS], |row| row.get::<_, [u8; 16]>(0))?;
    let mut subjects = rows.map(|ip| ip.map(Subject::from_octets)).collect::<rusqlite::Result<Vec<_>>>()?;
    subjects.dedup();
    Ok(subjects)
}

/// The number of this change. Errors: what SQLite says.
fn next_change(store: &Connection) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO facts VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value";
    store.prepare_cached(sql)?.query_row([CHANGES], |row| row.get(0))
}

/// Now, in milliseconds since 1970 (UTC).
pub fn now_ms() -> i64 {
    (crate::sys::clock::now_f64() * 1000.0) as i64
}
