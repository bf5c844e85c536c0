//! Where a host stands at a moment: what each piece of its evidence weighs then, and what that sums up to.
//!
//! It is computed from the pieces alone, without what judging keeps at hand, so it is also a check on that.

use std::collections::BTreeSet;

use super::PolicyOptions;
use crate::feed::evidence::Milli;
use crate::feed::listing::{History, Piece, Weighed};

/// What became of a piece of evidence by a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It counts.
    Counts,
    /// The same was counted for the same recipients shortly before.
    Repeated,
    /// It is worth nothing: it answers mail of ours.
    Worthless,
    /// It is forgotten.
    Old,
    /// A removal came after it.
    Removed,
    /// It is not evidence yet: who was put off may still come back.
    Ahead,
}

impl State {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Repeated => "repeated",
            Self::Worthless => "solicited",
            Self::Old => "old",
            Self::Removed => "removed",
            Self::Ahead => "ahead",
        }
    }
}

/// Where a host stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// What each piece of evidence is and weighs, in thousandths of a point.
    pub weights: Vec<(State, Milli)>,
    /// Their sum.
    pub score: Milli,
    /// Different recipients.
    pub recipients: usize,
    /// Sessions.
    pub sessions: usize,
    /// The first evidence that counts, in milliseconds since 1970 (UTC).
    pub first_ms: Option<i64>,
    /// The last.
    pub last_ms: Option<i64>,
}

/// Where a host stands at a moment.
pub fn standing(history: &History, options: &PolicyOptions, now_ms: i64) -> Standing {
    let removed_ms = history.removed_ms(now_ms);
    let state = |piece: &Piece| match piece.weighed {
        _ if piece.time_ms > now_ms => State::Ahead,
        Weighed::Repeated => State::Repeated,
        Weighed::Worthless => State::Worthless,
        Weighed::Counted if piece.time_ms <= removed_ms => State::Removed,
        Weighed::Counted if now_ms - piece.time_ms >= options.window_ms => State::Old,
        Weighed::Counted => State::Counts,
    };
    let mut standing = Standing::default();
    let (mut recipients, mut sessions) = (BTreeSet::<usize>::new(), BTreeSet::<usize>::new());
    for piece in &history.pieces {
        let state = state(piece);
        let weight = if state == State::Counts { options.decayed(piece.points, now_ms - piece.time_ms) } else { 0 };
        standing.weights.push((state, weight));
        standing.score += weight;
        if state != State::Counts || !piece.signal.prolongs() {
            continue;
        }
        recipients.extend(piece.recipients.iter().copied().filter(|&recipient| history.recipients[recipient]));
        sessions.insert(piece.event);
        standing.first_ms.get_or_insert(piece.time_ms);
        standing.last_ms = Some(piece.time_ms);
    }
    (standing.recipients, standing.sessions) = (recipients.len(), sessions.len());
    standing
}
