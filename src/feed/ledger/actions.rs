//! What people decide: removals, allowances, and that something be forgotten.

use ipnet::IpNet;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{Ledger, now_ms};
use crate::feed::policy::{Allowance, DAY_MS, Removal};
use crate::feed::store::rows::octets;
use crate::feed::subject::Subject;

/// How long an owner's removal keeps him from the next, in milliseconds: so that asking does not stand in for mending.
pub const OWNER_REMOVAL_MS: i64 = 7 * DAY_MS;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The operator removed a host.
    RemoveByOperator,
    /// Its owner removed it.
    RemoveByOwner,
    /// The operator allowed a host or a network.
    Allow,
    /// The operator took that back.
    Disallow,
}

impl Act {
    /// All with their words in the store.
    const ALL: [(Self, &'static str); 4] = [
        (Self::RemoveByOperator, "remove-by-operator"),
        (Self::RemoveByOwner, "remove-by-owner"),
        (Self::Allow, "allow"),
        (Self::Disallow, "disallow"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(act, _)| *act == self).map_or("", |(_, word)| word)
    }
}

/// What became of an owner's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerRemoval {
    /// The host is off the list; it would have been on it until then, in milliseconds since 1970 (UTC).
    Done {
        /// When the listing would have ended.
        until_ms: i64,
    },
    /// It was not on the list.
    NotListed,
    /// It was removed not long ago.
    TooSoon {
        /// When it may be asked again, in milliseconds since 1970 (UTC).
        again_ms: i64,
    },
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// When, in milliseconds since 1970 (UTC).
    pub time_ms: i64,
    /// What.
    pub act: Act,
    /// The host or network.
    pub net: IpNet,
    /// Until when, where it ends.
    pub until_ms: Option<i64>,
    /// Why.
    pub reason: String,
}

impl Action {
    /// An action that takes place now.
    pub fn now(act: Act, net: IpNet, until_ms: Option<i64>, reason: &str) -> Self {
        Self { time_ms: now_ms(), act, net: net.trunc(), until_ms, reason: reason.to_owned() }
    }
}

impl Ledger {
    /// Write an action down and judge the hosts that it is about. In one transaction. Errors: what SQLite says.
    pub fn act(&self, store: &mut Connection, action: &Action) -> rusqlite::Result<()> {
        let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.write(&transaction, action)?;
        transaction.commit()
    }

    /// Take a host off the list because its owner asks for it, if it is on it and he has not asked within
    /// [`OWNER_REMOVAL_MS`]. In one transaction, so that two that ask at once get one removal. Errors: what SQLite says.
    pub fn remove_by_owner(
        &self,
        store: &mut Connection,
        subject: Subject,
        now_ms: i64,
        reason: &str,
    ) -> rusqlite::Result<OwnerRemoval> {
        let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(listing) = self.listing(&transaction, subject, now_ms)? else { return Ok(OwnerRemoval::NotListed) };
        if let Some(again_ms) = owner_may_again_ms(&transaction, subject, now_ms)? {
            return Ok(OwnerRemoval::TooSoon { again_ms });
        }
        let action = Action { time_ms: now_ms, ..Action::now(Act::RemoveByOwner, subject.net(), None, reason) };
        self.write(&transaction, &action)?;
        transaction.commit()?;
        Ok(OwnerRemoval::Done { until_ms: listing.until_ms })
    }

    /// Write an action down and judge the hosts that it is about. Errors: what SQLite says.
    fn write(&self, transaction: &Transaction<'_>, action: &Action) -> rusqlite::Result<()> {
        let (first, last) = range(action.net);
        transaction.execute(
            "INSERT INTO actions VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                action.time_ms,
                action.act.word(),
                first,
                last,
                action.net.to_string(),
                action.until_ms,
                action.reason
            ],
        )?;
        self.update(transaction, within(transaction, first, last)?.into_iter())
    }

    /// All actions about a host, in order of time. Errors: what SQLite says.
    pub fn actions(&self, store: &Connection, subject: Subject) -> rusqlite::Result<Vec<Action>> {
        actions(store, subject)
    }
}

/// The first and the last address that an action is about. Of the network of a host those of the host, which leaves out what
/// `::/64` holds besides.
fn range(net: IpNet) -> ([u8; 16], [u8; 16]) {
    let host = Subject::of(net.addr());
    if host.net() == net.trunc() { host.range() } else { (octets(net.network()), octets(net.broadcast())) }
}

/// Hosts in a range that were judged or have events.
fn within(store: &Connection, first: [u8; 16], last: [u8; 16]) -> rusqlite::Result<Vec<Subject>> {
    let sql = "SELECT DISTINCT ip FROM events WHERE ip BETWEEN ?1 AND ?2 UNION SELECT subject FROM standings \
               WHERE subject BETWEEN ?1 AND ?2";
    let mut statement = store.prepare_cached(sql)?;
    let rows = statement.query_map(params![first, last], |row| row.get::<_, [u8; 16]>(0))?;
    let mut subjects = rows.map(|ip| ip.map(Subject::from_octets)).collect::<rusqlite::Result<Vec<_>>>()?;
    subjects.sort_unstable();
    subjects.dedup();
    Ok(subjects)
}

/// Actions about a host, in order of time.
fn actions(store: &Connection, subject: Subject) -> rusqlite::Result<Vec<Action>> {
    let (low, high) = subject.range();
    let sql = "SELECT time_ms, act, net, until_ms, reason FROM actions WHERE first <= ?2 AND last >= ?1 ORDER BY time_ms, action";
    let mut statement = store.prepare_cached(sql)?;
    let mut rows = statement.query(params![low, high])?;
    let mut actions = Vec::new();
    while let Some(row) = rows.next()? {
        let word = row.get_ref(1)?.as_str()?;
        let act = Act::ALL.iter().find(|(_, known)| *known == word).map(|(act, _)| *act);
        // Rows of no known kind would be of a newer version, which the store's own version tells before.
        if let (Some(act), Ok(net)) = (act, row.get_ref(2)?.as_str()?.parse()) {
            actions.push(Action { time_ms: row.get(0)?, act, net, until_ms: row.get(3)?, reason: row.get(4)? });
        }
    }
    Ok(actions)
}

/// When an owner may have his host removed again, where that is later than now. Errors: what SQLite says.
pub fn owner_may_again_ms(store: &Connection, subject: Subject, now_ms: i64) -> rusqlite::Result<Option<i64>> {
    let actions = actions(store, subject)?;
    let last = actions.iter().filter(|action| action.act == Act::RemoveByOwner).map(|action| action.time_ms).max();
    Ok(last.map(|last| last.saturating_add(OWNER_REMOVAL_MS)).filter(|&again_ms| again_ms > now_ms))
}

/// Removals and allowances of a host. Errors: what SQLite says.
pub fn of(store: &Connection, subject: Subject) -> rusqlite::Result<(Vec<Removal>, Vec<Allowance>)> {
    let actions = actions(store, subject)?;
    let mut removals = Vec::new();
    let mut allowances: Vec<(IpNet, Allowance)> = Vec::new();
    for action in actions {
        match action.act {
            Act::RemoveByOperator | Act::RemoveByOwner => {
                removals.push(Removal { time_ms: action.time_ms, by_operator: action.act == Act::RemoveByOperator });
            }
            Act::Allow => allowances.push((
                action.net,
                Allowance {
                    from_ms: action.time_ms,
                    to_ms: action.until_ms.unwrap_or(i64::MAX),
                    reason: action.reason,
                },
            )),
            Act::Disallow => {
                for (_, allowance) in allowances.iter_mut().filter(|(net, _)| *net == action.net) {
                    allowance.to_ms = allowance.to_ms.min(action.time_ms);
                }
            }
        }
    }
    Ok((removals, allowances.into_iter().map(|(_, allowance)| allowance).collect()))
}

/// Forget a recipient: its hash is taken out of all events and deliveries, which then judge as if the log had not shown it.
/// Says how many rows it stood in. Errors: what SQLite says.
pub fn forget_recipient(store: &mut Connection, ledger: &Ledger, address: &str) -> rusqlite::Result<usize> {
    let hash = ledger.key.hash(address.as_bytes());
    let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "SELECT DISTINCT ip FROM events JOIN recipients USING (event) WHERE hash = ?1";
    let touched: Vec<[u8; 16]> =
        transaction.prepare(sql)?.query_map([hash], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let sql = "DELETE FROM lines WHERE event IN (SELECT event FROM recipients WHERE hash = ?1)";
    transaction.execute(sql, [hash])?;
    transaction.execute("DELETE FROM marks WHERE hash = ?1", [hash])?;
    let mut rows = transaction.execute("UPDATE recipients SET hash = NULL WHERE hash = ?1", [hash])?;
    rows += transaction.execute("DELETE FROM deliveries WHERE sender = ?1", [hash])?;
    ledger.update(&transaction, touched.into_iter().map(Subject::from_octets))?;
    transaction.commit()?;
    Ok(rows)
}

/// Forget a host: its events, counts, and what followed. Says how many events. Errors: what SQLite says.
pub fn forget_host(store: &mut Connection, ledger: &Ledger, subject: Subject) -> rusqlite::Result<usize> {
    let (first, last) = subject.range();
    let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let events = transaction.execute("DELETE FROM events WHERE ip BETWEEN ?1 AND ?2", [first, last])?;
    transaction.execute("DELETE FROM counts WHERE ip BETWEEN ?1 AND ?2", [first, last])?;
    transaction.execute("DELETE FROM deliveries WHERE relay BETWEEN ?1 AND ?2", [first, last])?;
    transaction.execute("DELETE FROM welcomes WHERE subject = ?1", [first])?;
    ledger.update(&transaction, std::iter::once(subject))?;
    transaction.commit()?;
    Ok(events)
}

/// Forget everything before a time. Says how many events. Errors: what SQLite says.
pub fn forget_before(store: &mut Connection, ledger: &Ledger, time_ms: i64) -> rusqlite::Result<usize> {
    let transaction = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "SELECT DISTINCT ip FROM events WHERE time_ms < ?1";
    let touched: Vec<[u8; 16]> =
        transaction.prepare(sql)?.query_map([time_ms], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let events = transaction.execute("DELETE FROM events WHERE time_ms < ?1", [time_ms])?;
    transaction.execute("DELETE FROM deliveries WHERE time_ms < ?1", [time_ms])?;
    let day = time_ms.div_euclid(DAY_MS);
    transaction.execute("DELETE FROM counts WHERE day < ?1", [day])?;
    ledger.update(&transaction, touched.into_iter().map(Subject::from_octets))?;
    transaction.commit()?;
    Ok(events)
}
