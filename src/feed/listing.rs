//! What judging gives: evidence piece by piece, listings from their first moment to their last, and where a host stands.

use super::evidence::{Code, Milli, Signal};

/// How a listing ended, or will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, its term after the last evidence.
    Expired,
    /// Its owner asked for it.
    RemovedByOwner,
    /// The operator removed it; it does not lengthen later terms.
    RemovedByOperator,
    /// The operator allowed the host.
    Allowed,
}

impl Ended {
    /// The word for it in JSON and in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::RemovedByOwner => "removed-by-owner",
            Self::RemovedByOperator => "removed-by-operator",
            Self::Allowed => "allowed",
        }
    }
}

/// What was seen of a host within the window that ends with its last evidence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Points that were left then.
    pub score: Milli,
    /// Different recipients.
    pub recipients: usize,
    /// Sessions.
    pub sessions: usize,
    /// How often each signal was counted, in the order of [`Signal::ALL`].
    pub signals: [u32; Signal::ALL.len()],
    /// The last evidence, in milliseconds since 1970 (UTC).
    pub last_ms: i64,
    /// What the host called itself then; client's text, any octets.
    pub helo: Option<Box<[u8]>>,
}

impl Seen {
    /// How often a signal was counted.
    pub fn of(&self, signal: Signal) -> u32 {
        Signal::ALL.iter().zip(&self.signals).find(|(known, _)| **known == signal).map_or(0, |(_, &count)| count)
    }
}

/// One listing of a host. It is in force from `since_ms` until just before `until_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// When the evidence sufficed, in milliseconds since 1970 (UTC).
    pub since_ms: i64,
    /// When it ends, or ended; if nothing more happens.
    pub until_ms: i64,
    /// How.
    pub ended: Ended,
    /// The time it goes on after the last evidence, in milliseconds.
    pub term_ms: i64,
    /// Which listing in a row it is, from 1.
    pub nth: u32,
    /// What for; never empty.
    pub codes: Vec<Code>,
    /// Points that listed it.
    pub score: Milli,
    /// What was seen.
    pub seen: Seen,
}

impl Listing {
    /// Is it in force at this time?
    pub fn holds(&self, now_ms: i64) -> bool {
        (self.since_ms..self.until_ms).contains(&now_ms)
    }
}

/// What became of a piece of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighed {
    /// It counts.
    Counted,
    /// The same was counted for the same recipients shortly before.
    Repeated,
    /// It is worth nothing: it answers mail of ours.
    Worthless,
}

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The event it was read from, by its place among those judged.
    pub event: usize,
    /// When it became evidence, in milliseconds since 1970 (UTC).
    pub time_ms: i64,
    /// What it is.
    pub signal: Signal,
    /// What it was worth then.
    pub points: Milli,
    /// It answers mail of ours.
    pub solicited: bool,
    /// Whom it is about, by place in [`History::recipients`].
    pub recipients: Vec<usize>,
    /// What became of it.
    pub weighed: Weighed,
}

/// Everything that follows from the events of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Its evidence in order of time.
    pub pieces: Vec<Piece>,
    /// The different recipients; `true` where one counts as a recipient.
    pub recipients: Vec<bool>,
    /// Its listings in order of time; they do not overlap.
    pub listings: Vec<Listing>,
    /// Evidence at or before this time no longer counts: the last removal.
    pub removals_ms: Vec<i64>,
    /// When it sufficed first, but for what `protected_by` says; of the last listing its beginning.
    pub would_list_at_ms: Option<i64>,
    /// What kept it from being listed.
    pub protected_by: Option<String>,
}

impl History {
    /// The listing in force at a time.
    pub fn at(&self, now_ms: i64) -> Option<&Listing> {
        self.listings.iter().rev().find(|listing| listing.holds(now_ms))
    }

    /// The time of the last removal up to a time; evidence up to it does not count any more.
    pub fn removed_ms(&self, now_ms: i64) -> i64 {
        self.removals_ms.iter().copied().filter(|&time| time <= now_ms).max().unwrap_or(i64::MIN)
    }
}
