//! Each piece of evidence of a host, for its owner and for the operator.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::mask::Hidden;
use crate::feed::event::Event;
use crate::feed::evidence::{Milli, Signal};
use crate::feed::ledger::Ledger;
use crate::feed::policy::{self, DAY_MS, State};
use crate::feed::protection::Exemption;
use crate::feed::subject::Subject;

/// Pieces of evidence that are shown, the latest: more is nothing that anybody reads, and each costs a look into the store.
pub const PIECES_MAX: usize = 50;

/// What was seen of a host, and where it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detail {
    /// Points that are left.
    pub score: Milli,
    /// Points that list it.
    pub threshold: Milli,
    /// Different recipients.
    pub recipients: usize,
    /// Sessions.
    pub sessions: usize,
    /// What keeps it off the list.
    pub protected_by: Option<String>,
    /// The latest evidence, newest first; at most [`PIECES_MAX`].
    pub pieces: Vec<Seen>,
    /// Pieces that are not among them.
    pub more: usize,
}

/// A piece of evidence as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// When, in milliseconds since 1970 (UTC); of a day with a trap, its beginning.
    pub time_ms: i64,
    /// Only the day is told.
    pub day_only: bool,
    /// What it is.
    pub signal: Signal,
    /// What it was worth then.
    pub points: Milli,
    /// What it is worth now.
    pub weight: Milli,
    /// What became of it.
    pub state: State,
    /// Recipients that it is about.
    pub recipients: usize,
    /// What the log said, masked; nothing of a day with a trap, and when it is no longer kept.
    pub lines: Vec<String>,
}

/// What is told of a host. Errors: what SQLite says.
pub fn of(store: &Connection, ledger: &Ledger, subject: Subject, now_ms: i64) -> rusqlite::Result<Detail> {
    let judged = ledger.judge(store, subject)?;
    let options = ledger.options();
    let hidden = Hidden::of(&options.traps, &options.trap_domains);
    let standing = policy::standing(&judged.history, &options.policy, now_ms);
    let known = judged.history.pieces.iter().zip(&standing.weights);
    // All of a day with a trap is told alike: from what else is shown of it the owner could tell which of his sessions it was.
    let day = |time_ms: i64| time_ms.div_euclid(DAY_MS);
    let trap_days: BTreeSet<i64> =
        judged.events.iter().filter(|event| of_trap(event)).map(|e| day(e.time_ms)).collect();
    let mut score = standing.score;
    let mut pieces: Vec<(i64, bool, usize, (State, Milli))> = (known.enumerate())
        .filter(|(_, (_, (state, _)))| *state != State::Ahead)
        .map(|(at, (piece, &(state, weight)))| {
            let times = [piece.time_ms, judged.events[piece.event].time_ms];
            let trap = times.iter().any(|&time_ms| trap_days.contains(&day(time_ms)));
            if !trap {
                return (piece.time_ms, false, at, (state, weight));
            }
            // As if it had been at the beginning of its day: what is left of points tells their age.
            let time_ms = day(piece.time_ms) * DAY_MS;
            let weighed = match state {
                State::Counts if now_ms - time_ms >= options.policy.window_ms => (State::Old, 0),
                State::Counts => (state, options.policy.decayed(piece.points, now_ms - time_ms)),
                _ => (state, 0),
            };
            score += weighed.1 - weight;
            (time_ms, true, at, weighed)
        })
        .collect();
    // By the time that is shown, and within a day of a trap by all else that is shown: the order must not tell more than that.
    pieces.sort_by_key(|&(time_ms, trap, at, (state, _))| {
        let piece = &judged.history.pieces[at];
        let shown = trap.then(|| (piece.signal.word(), state.word(), piece.points, piece.recipients.len()));
        (std::cmp::Reverse(time_ms), shown)
    });
    let more = pieces.len().saturating_sub(PIECES_MAX);
    pieces.truncate(PIECES_MAX);
    let mut shown = Vec::with_capacity(pieces.len());
    let mut told: Option<usize> = None;
    for (time_ms, trap, at, (state, weight)) in pieces {
        let piece = &judged.history.pieces[at];
        // Several signs of one session stand together; its lines are shown once.
        let lines = match told {
            _ if trap => Vec::new(),
            Some(event) if event == piece.event => Vec::new(),
            _ => lines(store, &judged.events[piece.event], &hidden)?,
        };
        told = Some(piece.event);
        let (signal, points, recipients) = (piece.signal, piece.points, piece.recipients.len());
        shown.push(Seen { time_ms, day_only: trap, signal, points, weight, state, recipients, lines });
    }
    let protected_by = match &judged.facts.exemption {
        Exemption::Exempt(reason) => Some(reason.clone()),
        _ => judged.history.protected_by.clone(),
    };
    Ok(Detail {
        score,
        threshold: policy::threshold(&options.policy, &judged.facts.exemption_at(now_ms)),
        recipients: standing.recipients,
        sessions: standing.sessions,
        protected_by,
        pieces: shown,
        more,
    })
}

/// Is a trap among those whom a session asked about?
fn of_trap(event: &Event) -> bool {
    event.transactions.iter().flat_map(|transaction| &transaction.recipients).any(|recipient| recipient.trap)
}

/// What the log said of a session. Errors: what SQLite says.
fn lines(store: &Connection, event: &Event, hidden: &Hidden) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT text FROM lines JOIN events USING (event) WHERE id = ?1 ORDER BY nth";
    let mut statement = store.prepare_cached(sql)?;
    let rows = statement.query_map([event.id], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|line| line.map(|line| hidden.line(&line))).collect()
}
