//! The store's tables, and how an older file becomes one of today.

use rusqlite::Connection;

/// `application_id` of the file, so that no other program's database is taken for ours: `dnsf`.
pub const APPLICATION_ID: i32 = 0x646e_7366;

/// What makes version `n` out of version `n - 1`, from 1 on. Never changed once released; added to.
pub const MIGRATIONS: &[&str] = &[V1, crate::feed::ledger::schema::V2, crate::feed::ledger::schema::V3];

/// The first version.
///
/// Times are milliseconds since 1970 (UTC) by the log's clock, addresses are 16 octets (IPv4 as `::ffff:a.b.c.d`), recipients are keyed hashes.
const V1: &str = "
-- What is read, and how far.
CREATE TABLE inputs (
    input INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    low_generation INTEGER NOT NULL, low_offset INTEGER NOT NULL, low_number INTEGER NOT NULL,
    read_generation INTEGER NOT NULL, read_offset INTEGER NOT NULL, read_number INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    cursor TEXT, read_cursor TEXT
) STRICT;
-- The files of an input from its low-water mark on.
CREATE TABLE files (
    input INTEGER NOT NULL REFERENCES inputs ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL,
    head_octets INTEGER NOT NULL, head_hash BLOB NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (input, generation)
) STRICT, WITHOUT ROWID;
-- Sessions that ended by the wall clock and may be read once more.
CREATE TABLE ended (
    input INTEGER NOT NULL REFERENCES inputs ON DELETE CASCADE,
    id BLOB NOT NULL,
    generation INTEGER NOT NULL, octets INTEGER NOT NULL,
    PRIMARY KEY (input, id)
) STRICT, WITHOUT ROWID;
-- Sessions that are evidence, or may be.
CREATE TABLE events (
    event INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    input INTEGER NOT NULL REFERENCES inputs,
    time_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    host TEXT NOT NULL,
    ip BLOB NOT NULL, ip_text TEXT NOT NULL, port INTEGER, ptr TEXT,
    helo BLOB,
    kinds INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    verbs TEXT NOT NULL,
    closed TEXT NOT NULL,
    file TEXT NOT NULL,
    first_octet INTEGER NOT NULL, first_line INTEGER NOT NULL,
    last_octet INTEGER NOT NULL, last_line INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_ip ON events (ip, time_ms);
CREATE INDEX events_by_time ON events (time_ms);
-- The transactions of an event.
CREATE TABLE transactions (
    event INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
    place INTEGER NOT NULL,
    sender TEXT NOT NULL, sender_domain TEXT,
    unnamed_accepted INTEGER NOT NULL,
    body TEXT NOT NULL,
    queue_id TEXT, message_id BLOB,
    PRIMARY KEY (event, place)
) STRICT, WITHOUT ROWID;
-- The recipients of a transaction; without a hash where the log does not show the address.
CREATE TABLE recipients (
    event INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
    place INTEGER NOT NULL, nth INTEGER NOT NULL,
    hash BLOB, domain TEXT,
    answer TEXT NOT NULL, answer_zone TEXT, code INTEGER,
    random INTEGER NOT NULL,
    PRIMARY KEY (event, place, nth)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipients_by_hash ON recipients (hash) WHERE hash IS NOT NULL;
-- What the log said of an event, addresses masked.
CREATE TABLE lines (
    event INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
    nth INTEGER NOT NULL,
    text BLOB NOT NULL,
    PRIMARY KEY (event, nth)
) STRICT, WITHOUT ROWID;
-- Sessions without points: how many of a kind in a day (days since 1970, UTC), and the messages that were taken in them.
CREATE TABLE counts (
    ip BLOB NOT NULL,
    day INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    sessions INTEGER NOT NULL, messages INTEGER NOT NULL,
    PRIMARY KEY (ip, day, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX counts_by_day ON counts (day);
-- What our servers delivered to others.
CREATE TABLE deliveries (
    time_ms INTEGER NOT NULL,
    sender BLOB NOT NULL, sender_domain TEXT,
    recipient_domain TEXT,
    relay BLOB NOT NULL
) STRICT;
CREATE INDEX deliveries_by_sender ON deliveries (sender, time_ms);
CREATE INDEX deliveries_by_time ON deliveries (time_ms);
";

/// Bring a file to the present version. Errors: it is of another program, of a newer version, or can not be written.
pub fn migrate(connection: &mut Connection) -> Result<(), MigrateError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(MigrateError::Other);
    }
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(MigrateError::Newer(version));
    }
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", at as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Why a file can not be used.
#[derive(Debug)]
pub enum MigrateError {
    /// It is some other program's.
    Other,
    /// It has this version, which we do not know.
    Newer(i64),
    /// SQLite says no.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
