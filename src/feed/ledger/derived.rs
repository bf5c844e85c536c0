//! What follows from judging, as rows: standings and listings.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use crate::feed::evidence::{Code, Signal};
use crate::feed::listing::{Ended, History, Listing, Seen};
use crate::feed::policy::Base;
use crate::feed::subject::Subject;

/// Name of the time before which events are no longer kept.
const EXPIRED_BEFORE: &str = "expired_before";

/// A host that was judged anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The host.
    pub subject: Subject,
    /// All its listings, in order of time.
    pub listings: Vec<Listing>,
    /// What keeps it off the list, where that is so.
    pub protected_by: Option<String>,
}

/// A hash of what follows for a host: 16 octets, so that it can be told cheaply whether something has changed.
fn digest(history: &History) -> [u8; 16] {
    let text = format!("{:?} {:?} {:?}", history.listings, history.would_list_at_ms, history.protected_by);
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    digest
}

/// Does what follows for a host differ from what is stored? Errors: what SQLite says.
pub fn differ(store: &Connection, subject: Subject, history: &History) -> rusqlite::Result<bool> {
    let sql = "SELECT digest FROM standings WHERE subject = ?1";
    let known: Option<[u8; 16]> =
        store.prepare_cached(sql)?.query_row([subject.range().0], |row| row.get(0)).optional()?;
    Ok(match known {
        Some(known) => known != digest(history),
        // Nothing need be said of a host that nothing follows for.
        None => !history.listings.is_empty() || history.would_list_at_ms.is_some(),
    })
}

/// Write what follows for a host. Errors: what SQLite says.
pub fn write(store: &Connection, subject: Subject, history: &History, change: i64) -> rusqlite::Result<()> {
    let key = subject.range().0;
    let sql = "INSERT OR REPLACE INTO standings VALUES (?1, ?2, ?3, ?4, ?5)";
    store.prepare_cached(sql)?.execute(params![
        key,
        change,
        history.would_list_at_ms,
        history.protected_by,
        digest(history)
    ])?;
    store.prepare_cached("DELETE FROM listings WHERE subject = ?1")?.execute([key])?;
    for listing in &history.listings {
        let signals: Vec<String> = listing.seen.signals.iter().map(u32::to_string).collect();
        let codes: i64 = listing.codes.iter().map(|code| 1 << code.octet()).sum();
        let sql = "INSERT INTO listings VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        store.prepare_cached(sql)?.execute(params![
            key,
            listing.since_ms,
            listing.until_ms,
            listing.ended.word(),
            listing.term_ms,
            listing.nth,
            codes,
            listing.score,
            listing.seen.last_ms,
            listing.seen.score,
            listing.seen.recipients as i64,
            listing.seen.sessions as i64,
            signals.join(","),
            listing.seen.helo.as_deref(),
        ])?;
    }
    Ok(())
}

/// The columns of [`read`].
const COLUMNS: &str = "since_ms, until_ms, ended, term_ms, nth, codes, score, last_ms, last_score, recipients, sessions, \
                       signals, helo, subject";

/// A listing out of its row.
fn read(row: &Row<'_>) -> rusqlite::Result<Listing> {
    let codes: i64 = row.get(5)?;
    let number = |at| Ok::<_, rusqlite::Error>(usize::try_from(row.get::<_, i64>(at)?).unwrap_or(0));
    let mut seen = Seen {
        score: row.get(8)?,
        recipients: number(9)?,
        sessions: number(10)?,
        last_ms: row.get(7)?,
        helo: row.get::<_, Option<Vec<u8>>>(12)?.map(Into::into),
        signals: [0; Signal::ALL.len()],
    };
    for (slot, count) in seen.signals.iter_mut().zip(row.get_ref(11)?.as_str()?.split(',')) {
        *slot = count.parse().unwrap_or(0);
    }
    let ended = match row.get_ref(2)?.as_str()? {
        "removed-by-owner" => Ended::RemovedByOwner,
        "removed-by-operator" => Ended::RemovedByOperator,
        "allowed" => Ended::Allowed,
        _ => Ended::Expired,
    };
    Ok(Listing {
        since_ms: row.get(0)?,
        until_ms: row.get(1)?,
        ended,
        term_ms: row.get(3)?,
        nth: row.get(4)?,
        codes: Code::ALL.into_iter().filter(|code| codes & 1 << code.octet() != 0).collect(),
        score: row.get(6)?,
        seen,
    })
}

/// All listings of a host, in order of time. Errors: what SQLite says.
pub fn listings(store: &Connection, subject: Subject) -> rusqlite::Result<Vec<Listing>> {
    let mut statement =
        store.prepare_cached(&format!("SELECT {COLUMNS} FROM listings WHERE subject = ?1 ORDER BY since_ms"))?;
    statement.query_map([subject.range().0], read)?.collect()
}

/// What had followed for a host from events that were kept long enough. Errors: what SQLite says.
pub fn base(store: &Connection, subject: Subject) -> rusqlite::Result<Option<Base>> {
    let sql = "SELECT value FROM facts WHERE name = ?1";
    let before_ms: Option<i64> = store.prepare_cached(sql)?.query_row([EXPIRED_BEFORE], |row| row.get(0)).optional()?;
    let Some(before_ms) = before_ms else { return Ok(None) };
    let mut listings = listings(store, subject)?;
    listings.retain(|listing| listing.since_ms < before_ms);
    Ok(Some(Base { before_ms, listings }))
}

/// Note that events before a time are no longer kept, so that what followed from them stays. Errors: what SQLite says.
pub fn expired(store: &Connection, before_ms: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";
    store.prepare_cached(sql)?.execute(params![EXPIRED_BEFORE, before_ms])?;
    Ok(())
}

/// All listings that are in force at a time or will be, by host. Errors: what SQLite says.
pub fn in_force(store: &Connection, now_ms: i64) -> rusqlite::Result<Vec<(Subject, Listing)>> {
    let sql = format!("SELECT {COLUMNS} FROM listings WHERE until_ms > ?1 ORDER BY subject, since_ms");
    let mut statement = store.prepare_cached(&sql)?;
    let rows = statement.query_map([now_ms], |row| Ok((Subject::from_octets(row.get(13)?), read(row)?)))?;
    rows.collect()
}

/// Listings in force at a time, by host, from behind a host on; at most so many. Errors: what SQLite says.
pub fn in_force_after(
    store: &Connection,
    now_ms: i64,
    after: Option<Subject>,
    rows_max: u32,
) -> rusqlite::Result<Vec<(Subject, Listing)>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM listings WHERE until_ms > ?1 AND since_ms <= ?1 AND subject > ?2 ORDER BY subject LIMIT ?3"
    );
    // No subject lies before the first address, which is no host's.
    let after = after.map_or([0; 16], |after| after.range().0);
    let mut statement = store.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params![now_ms, after, rows_max], |row| Ok((Subject::from_octets(row.get(13)?), read(row)?)))?;
    rows.collect()
}

/// The number of the last change. Errors: what SQLite says.
pub fn last_change(store: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(value), 0) FROM facts WHERE name = ?1";
    store.prepare_cached(sql)?.query_row([super::CHANGES], |row| row.get(0))
}

/// What has changed since a change, and the number of the last one. Errors: what SQLite says.
pub fn changed(store: &Connection, since: i64) -> rusqlite::Result<(i64, Vec<Change>)> {
    let last = last_change(store)?;
    if last == since {
        return Ok((last, Vec::new()));
    }
    let sql = "SELECT subject, protected_by FROM standings WHERE change > ?1 ORDER BY subject";
    let mut statement = store.prepare_cached(sql)?;
    let rows = statement.query_map([since], |row| Ok((Subject::from_octets(row.get(0)?), row.get(1)?)))?;
    let mut changes = Vec::new();
    for row in rows {
        let (subject, protected_by) = row?;
        changes.push(Change { subject, listings: listings(store, subject)?, protected_by });
    }
    Ok((last, changes))
}
