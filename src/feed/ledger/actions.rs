//! What people decide: removals, allowances, and that something be forgotten.

use ipnet::IpNet;
use rusqlite::{Connection, params};

use super::{Ledger, now_ms};
use crate::feed::policy::{Allowance, Removal};
use crate::feed::store::rows::octets;
use crate::feed::subject::Subject;

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
        let transaction = store.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let (first, last) = (octets(action.net.network()), octets(action.net.broadcast()));
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
        let subjects = within(&transaction, first, last)?;
        self.update(&transaction, subjects.into_iter())?;
        transaction.commit()
    }

    /// All actions about a host, in order of time. Errors: what SQLite says.
    pub fn actions(&self, store: &Connection, subject: Subject) -> rusqlite::Result<Vec<Action>> {
        actions(store, subject)
    }
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
    let transaction = store.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
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
    let transaction = store.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
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
    let transaction = store.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let sql = "SELECT DISTINCT ip FROM events WHERE time_ms < ?1";
    let touched: Vec<[u8; 16]> =
        transaction.prepare(sql)?.query_map([time_ms], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let events = transaction.execute("DELETE FROM events WHERE time_ms < ?1", [time_ms])?;
    transaction.execute("DELETE FROM deliveries WHERE time_ms < ?1", [time_ms])?;
    let day = time_ms.div_euclid(crate::feed::policy::DAY_MS);
    transaction.execute("DELETE FROM counts WHERE day < ?1", [day])?;
    ledger.update(&transaction, touched.into_iter().map(Subject::from_octets))?;
    transaction.commit()?;
    Ok(events)
}
