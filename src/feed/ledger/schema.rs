//! The tables of judging, which come on top of those of the events.

/// The second version of the store.
///
/// Times are milliseconds since 1970 (UTC); a subject is the first of its addresses in 16 octets.
pub const V2: &str = "
-- What is known of a recipient of an event from what we sent: 1 it was solicited, 2 it had sent mail in the time before.
CREATE TABLE marks (
    event INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
    hash BLOB NOT NULL,
    mark INTEGER NOT NULL,
    PRIMARY KEY (event, hash, mark)
) STRICT, WITHOUT ROWID;
-- Since when deliveries of a domain are seen.
CREATE TABLE outbound (
    domain TEXT PRIMARY KEY,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- What the operator, or an owner, has done.
CREATE TABLE actions (
    action INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    act TEXT NOT NULL,
    first BLOB NOT NULL, last BLOB NOT NULL,
    net TEXT NOT NULL,
    until_ms INTEGER,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX actions_by_first ON actions (first);
-- Domains under a joe-job; without an end while it runs.
CREATE TABLE joe_jobs (
    domain TEXT NOT NULL,
    from_ms INTEGER NOT NULL, to_ms INTEGER,
    PRIMARY KEY (domain, from_ms)
) STRICT, WITHOUT ROWID;
-- Derived: hosts that were judged, and what keeps them off the list.
CREATE TABLE standings (
    subject BLOB PRIMARY KEY,
    change INTEGER NOT NULL,
    would_list_at_ms INTEGER,
    protected_by TEXT,
    digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX standings_by_change ON standings (change);
-- Derived: listings, past and present.
CREATE TABLE listings (
    subject BLOB NOT NULL,
    since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
    ended TEXT NOT NULL, term_ms INTEGER NOT NULL, nth INTEGER NOT NULL,
    codes INTEGER NOT NULL,
    score INTEGER NOT NULL,
    last_ms INTEGER NOT NULL, last_score INTEGER NOT NULL,
    recipients INTEGER NOT NULL, sessions INTEGER NOT NULL,
    signals TEXT NOT NULL,
    helo BLOB,
    PRIMARY KEY (subject, since_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX listings_by_until ON listings (until_ms);
-- Single values: the number of the last change, the rules that were judged by.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The third version: what DNS welcome lists said.
///
/// `from_ms` is the beginning of the listing that was asked for, by the log's clock; the other times are of the wall clock.
pub const V3: &str = "
CREATE TABLE welcomes (
    subject BLOB NOT NULL,
    from_ms INTEGER NOT NULL,
    lists TEXT NOT NULL,
    ip TEXT NOT NULL,
    asked_ms INTEGER NOT NULL, answered_ms INTEGER,
    outcome TEXT NOT NULL,
    list TEXT,
    PRIMARY KEY (subject, lists, from_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX welcomes_open ON welcomes (asked_ms) WHERE outcome IN ('asked', 'failed');
";
