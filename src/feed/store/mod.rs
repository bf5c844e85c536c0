//! The store: one SQLite file in the state directory, written by one thread.
//!
//! What came out of an input and how far the input was read are committed together, so a crash never leaves one without the other.
//! Addresses are stored as keyed hashes ([`key`]), lines masked. A file that is damaged or of a newer version is never
//! touched: the program says so and does not start.

pub mod key;
pub mod rows;
pub mod schema;
pub(in crate::feed) mod writer;

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::Ipv6Addr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::joe_job::hit::{self, Existence, Hit, Target};
use super::ledger::{self, SharedLedger};
use super::publish::Nudge;
use super::source::candidates::Identity;
use super::source::{Position, Saved, SavedFile};
use key::HashKey;
use schema::MigrateError;

pub use writer::{Batch, Committed, StoreCounts, Writer};

/// The store's file in the state directory.
pub const FILE: &str = "feed.db";
/// Held while a feeder runs on the state directory.
const LOCK_FILE: &str = "feed.lock";
/// How long SQLite waits for another program's lock, such as an operator's `sqlite3`.
const BUSY: Duration = Duration::from_secs(10);
/// Days that masked lines are kept.
const LINES_DAYS: i64 = 28;
/// Days that events, and counts of what was no event, are kept.
const EVENTS_DAYS: i64 = 180;
/// Days for which an event matters to what comes after it: evidence is forgotten after them.
const JUDGED_DAYS: i64 = 30;
/// Days that deliveries are kept.
const DELIVERIES_DAYS: i64 = 30;

/// Why the store can not be used: a sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub why: String,
}

/// The store, open and locked, its writer not yet started.
#[derive(Debug)]
pub struct Store {
    /// The file.
    path: PathBuf,
    /// The connection that writes.
    connection: Connection,
    /// The key of recipients' hashes.
    key: HashKey,
    /// Held as long as the store is open.
    lock: File,
    /// Judges what is written.
    ledger: Option<SharedLedger>,
    /// Told after each commit.
    told: Vec<Nudge>,
}

impl Store {
    /// Open the store of a state directory; both are made if they are not there.
    ///
    /// Errors: no access, another feeder runs on it, the file is damaged or of a newer version.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let fail = |path: &Path, why: String| StoreError { path: path.to_owned(), why };
        if !directory.exists() {
            // What is in it tells who wrote to whom.
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|e| {
                fail(directory, format!("the state directory can not be made: {e}; make it, or set `state-dir`"))
            })?;
        }
        let lock_path = directory.join(LOCK_FILE);
        let lock = File::options().write(true).create(true).truncate(false).open(&lock_path);
        let lock =
            lock.map_err(|e| fail(&lock_path, format!("{e}; the feeder must be able to write its `state-dir`")))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(fail(
                    &lock_path,
                    "another feeder runs with this `state-dir`; stop it, or set another".to_owned(),
                ));
            }
            Err(TryLockError::Error(e)) => return Err(fail(&lock_path, format!("it can not be locked: {e}"))),
        }
        let key = HashKey::load(directory).map_err(|e| fail(directory, format!("no key for recipients: {e}")))?;
        let connection = open_file(&path)?;
        Ok(Self { path, connection, key, lock, ledger: None, told: Vec::new() })
    }

    /// Judge what is written from now on, and tell it after each commit.
    #[must_use]
    pub fn judged_by(mut self, ledger: SharedLedger, told: Vec<Nudge>) -> Self {
        (self.ledger, self.told) = (Some(ledger), told);
        self
    }

    /// The key of recipients' hashes.
    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// The number of an input and where to begin reading it. Errors: what SQLite says.
    pub fn input(&self, name: &str) -> Result<(i64, Saved), StoreError> {
        self.read_input(name).map_err(|error| explain(&self.path, &error))
    }

    /// [`Self::input`], errors as SQLite has them.
    fn read_input(&self, name: &str) -> rusqlite::Result<(i64, Saved)> {
        let sql = "INSERT INTO inputs VALUES (NULL, ?1, 0, 0, 0, 0, 0, 0, 0, NULL, NULL) ON CONFLICT (name) DO NOTHING";
        self.connection.execute(sql, [name])?;
        let sql = "SELECT input, low_generation, low_offset, low_number, read_generation, read_offset, read_number, \
                   time_ms, cursor, read_cursor FROM inputs WHERE name = ?1";
        let position = |row: &rusqlite::Row<'_>, at: usize| -> rusqlite::Result<Position> {
            Ok(Position {
                generation: unsigned(row.get(at)?),
                offset: unsigned(row.get(at + 1)?),
                number: unsigned(row.get(at + 2)?),
            })
        };
        let (input, mut saved) = self.connection.query_row(sql, [name], |row| {
            let saved = Saved {
                low_water: position(row, 1)?,
                read: position(row, 4)?,
                time_ms: row.get(7)?,
                cursor: row.get(8)?,
                read_cursor: row.get(9)?,
                ..Saved::default()
            };
            Ok((row.get::<_, i64>(0)?, saved))
        })?;
        let sql = "SELECT generation, device, inode, head_octets, head_hash, path FROM files WHERE input = ?1 ORDER BY generation";
        let mut statement = self.connection.prepare(sql)?;
        let files = statement.query_map([input], |row| {
            let identity = Identity {
                device: unsigned(row.get(1)?),
                inode: unsigned(row.get(2)?),
                head_octets: row.get(3)?,
                head_hash: row.get(4)?,
            };
            Ok(SavedFile { generation: unsigned(row.get(0)?), identity, path: row.get(5)? })
        })?;
        saved.files = files.collect::<rusqlite::Result<_>>()?;
        let mut statement = self.connection.prepare("SELECT id, generation, octets FROM ended WHERE input = ?1")?;
        let ended = statement.query_map([input], |row| {
            let position = Position { generation: unsigned(row.get(1)?), offset: unsigned(row.get(2)?), number: 0 };
            Ok((u128::from_be_bytes(row.get(0)?), position))
        })?;
        saved.ended = ended.collect::<rusqlite::Result<_>>()?;
        Ok((input, saved))
    }

    /// Null-sender mail since `since_ms`, in the log's order, as [`joe_job`](crate::feed::joe_job) counts it. Errors: what SQLite says.
    pub fn null_sender_hits(&self, since_ms: i64) -> Result<Vec<Hit>, StoreError> {
        null_sender_hits(&self.connection, since_ms).map_err(|error| explain(&self.path, &error))
    }

    /// Start the thread that writes. Errors: the system has no thread left.
    pub fn start(self) -> io::Result<Writer> {
        Writer::start(self)
    }
}

/// Every recipient of null-sender mail since a time, in the order of the log's clock. Errors: what SQLite says.
pub fn null_sender_hits(store: &Connection, since_ms: i64) -> rusqlite::Result<Vec<Hit>> {
    let sql = "SELECT e.end_ms, e.ip, r.hash, r.domain, r.answer, t.message_id FROM events e \
               JOIN transactions t USING (event) JOIN recipients r ON r.event = t.event AND r.place = t.place \
               WHERE e.time_ms >= ?1 AND t.sender = 'null' AND NOT r.random ORDER BY e.end_ms, e.id, t.place, r.nth";
    let mut statement = store.prepare(sql)?;
    let rows = statement.query_map([since_ms], |row| {
        let (ip, hash) = (Ipv6Addr::from(row.get::<_, [u8; 16]>(1)?), row.get::<_, Option<[u8; 16]>>(2)?);
        let (domain, answer) = (row.get::<_, Option<String>>(3)?, row.get::<_, String>(4)?);
        let target = match (rows::existence(&answer), hash, domain) {
            (Some(Existence::Known), Some(hash), _) => Some(Target::Recipient(hash)),
            (Some(Existence::Invented), _, Some(domain)) => Some(Target::Domain(domain.into())),
            _ => None,
        };
        let message_id = row.get::<_, Option<Vec<u8>>>(5)?.map(|id| String::from_utf8_lossy(&id).into());
        let (time_ms, source) = (row.get(0)?, hit::source(ip.into()));
        Ok(target.map(|target| Hit { time_ms, target, address: None, source, message_id }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// The store of a state directory beside a feeder that may be running, for commands. It must exist.
///
/// Errors: it does not, or can not be used.
pub fn open_beside(directory: &Path) -> Result<(Connection, HashKey), StoreError> {
    let path = directory.join(FILE);
    if !path.exists() {
        let why = "there is no store; `state-dir` must be that of a feeder that has run".to_owned();
        return Err(StoreError { path, why });
    }
    let key = HashKey::load(directory)
        .map_err(|e| StoreError { path: path.clone(), why: format!("no key for recipients: {e}") })?;
    Ok((open_file(&path)?, key))
}

/// A store in memory, for logs that are read once. Errors: what SQLite says.
pub fn in_memory() -> Result<Connection, StoreError> {
    let make = || -> Result<Connection, MigrateError> {
        let mut connection = Connection::open_in_memory()?;
        schema::migrate(&mut connection)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };
    make().map_err(|error| match error {
        MigrateError::Sqlite(error) => explain(Path::new("memory"), &error),
        MigrateError::Other | MigrateError::Newer(_) => {
            StoreError { path: "memory".into(), why: "a new database is not empty".to_owned() }
        }
    })
}

/// Open the file and bring it to the present version.
fn open_file(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, MigrateError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        // A look before anything is written: what is no database, or not ours, stays as it is.
        let _: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        schema::migrate(&mut connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // In full: spools and cursors are let go once the store has what they led to, so that must outlive a loss of power.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };
    open().map_err(|error| match error {
        MigrateError::Other => StoreError {
            path: path.to_owned(),
            why: "this is some other program's database, not the feeder's; move it away, or set another `state-dir`".to_owned(),
        },
        MigrateError::Newer(version) => StoreError {
            path: path.to_owned(),
            why: format!(
                "a newer dnsbld wrote this store (version {version}; this one knows up to {}); run that one, or restore a backup of before",
                schema::MIGRATIONS.len()
            ),
        },
        MigrateError::Sqlite(error) => explain(path, &error),
    })
}

/// A sentence for what SQLite says.
fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => format!(
            "the store is damaged ({error}); restore it from a backup, or move it and its -wal file away to begin a new one, \
             for which the logs that are still there are read again"
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another program holds a lock on the store ({error}); end it")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!(
                "the store can not be written ({error}); its directory and files must belong to the user that dnsbld runs as"
            )
        }
        _ => format!("the store can not be used: {error}"),
    };
    StoreError { path: path.to_owned(), why }
}

/// What was stored of a number without sign.
fn unsigned(n: i64) -> u64 {
    n.cast_unsigned()
}

/// A number without sign as SQLite has it.
fn signed(n: u64) -> i64 {
    n.cast_signed()
}

/// Delete what has been kept long enough, at most `rows_max` of each; true when there was no more. Errors: what SQLite says.
pub(in crate::feed) fn expire(connection: &Connection, now_ms: i64, rows_max: u32) -> rusqlite::Result<bool> {
    let before = |days: i64| now_ms - days * 86_400_000;
    let mut done = true;
    // What followed from events that go stays; from here on everything that is judged by is still there.
    ledger::expired(connection, before(EVENTS_DAYS - JUDGED_DAYS))?;
    for (sql, bound) in [
        (
            "DELETE FROM lines WHERE event IN (SELECT event FROM events WHERE time_ms < ?1 \
             AND EXISTS (SELECT 1 FROM lines WHERE lines.event = events.event) LIMIT ?2)",
            before(LINES_DAYS),
        ),
        (
            "DELETE FROM events WHERE event IN (SELECT event FROM events WHERE time_ms < ?1 LIMIT ?2)",
            before(EVENTS_DAYS),
        ),
        (
            "DELETE FROM deliveries WHERE rowid IN (SELECT rowid FROM deliveries WHERE time_ms < ?1 LIMIT ?2)",
            before(DELIVERIES_DAYS),
        ),
        (
            "DELETE FROM counts WHERE (ip, day, kind) IN (SELECT ip, day, kind FROM counts WHERE day < ?1 LIMIT ?2)",
            before(EVENTS_DAYS).div_euclid(86_400_000),
        ),
        (
            "DELETE FROM welcomes WHERE (subject, lists, from_ms) IN (SELECT subject, lists, from_ms FROM welcomes \
             WHERE asked_ms < ?1 LIMIT ?2)",
            before(EVENTS_DAYS),
        ),
    ] {
        let deleted = connection.prepare_cached(sql)?.execute(params![bound, rows_max])?;
        done &= deleted < rows_max as usize;
    }
    Ok(done)
}

/// Does an event with this id exist? For tests and tools.
pub fn has_event(connection: &Connection, id: u128) -> rusqlite::Result<bool> {
    let found =
        connection.query_row("SELECT 1 FROM events WHERE id = ?1", [id.to_be_bytes()], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests;
