//! The operator's commands on evidence and listings: what there is, why, and what is to be done about it.
//!
//! They read and write the store beside a feeder that may be running; it acts on what they write within a second.

mod act;
mod replay;
mod why;

use std::io::{self, Write};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::ledger::{self, Judged, Ledger};
use super::policy::{self, Standing};
use super::protection::Exemption;
use super::store::StoreError;
use super::subject::Subject;
use super::zone_file::{date, json as listing_json, plain};

pub use act::{Allow, allow, forget, remove};
pub use replay::{Replay, ReplayLog, replay};
pub use why::why;

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The store can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not do what it is told.
    #[error("the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A log can not be read.
    #[error("{}: {error}; the log can not be read", file.display())]
    Log {
        /// The log.
        file: std::path::PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The output can not be written.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// It is not to be done.
    #[error("{0}")]
    Refused(String),
}

/// What a command says, and how.
pub struct Told<'o> {
    /// Where to.
    pub out: &'o mut dyn Write,
    /// As JSON lines.
    pub json: bool,
    /// The page of a listing.
    pub url: Option<&'o str>,
    /// The feeder only says what it would list.
    pub observe: bool,
    /// Now, in milliseconds since 1970 (UTC).
    pub now_ms: i64,
}

/// A host as one JSON line: what `feed replay` prints.
pub fn line(subject: Subject, judged: &Judged, ledger: &Ledger, now_ms: i64, observe: bool) -> Value {
    let standing = policy::standing(&judged.history, &ledger.options().policy, now_ms);
    let Standing { score, recipients, sessions, .. } = standing;
    let history = &judged.history;
    let listing = history.at(now_ms);
    let codes: Vec<String> =
        listing.iter().flat_map(|l| &l.codes).map(|code| format!("127.0.0.{}", code.octet())).collect();
    let times = || history.pieces.iter().map(|piece| piece.time_ms).filter(|&time| time <= now_ms);
    let protected_by = match &judged.facts.exemption {
        Exemption::Exempt(reason) => Some(reason.clone()),
        _ => history.protected_by.clone(),
    };
    json!({
        "subject": subject.to_string(),
        "score": points(score),
        "recipients": recipients,
        "sessions": sessions,
        "codes": codes,
        "listed": listing.is_some() && !observe,
        "first": times().min().map(date),
        "last": times().max().map(date),
        "expires": listing.map(|listing| date(listing.until_ms)),
        "protected_by": protected_by,
        "would_list_at": history.would_list_at_ms.filter(|&at| at <= now_ms).map(date),
    })
}

/// Thousandths as points.
fn points(milli: i64) -> f64 {
    milli as f64 / 1000.0
}

/// Print all listings in force, or in `observe` mode those that would be. Errors: see [`OperateError`].
pub fn listings(store: &Connection, told: &mut Told<'_>) -> Result<(), OperateError> {
    for (subject, listing) in ledger::in_force(store, told.now_ms)? {
        if !listing.holds(told.now_ms) {
            continue;
        }
        if told.json {
            let mut value = listing_json(subject, &listing, told.url);
            value["listed"] = (!told.observe).into();
            writeln!(told.out, "{value}")?;
        } else {
            let would = if told.observe { "would be listed: " } else { "" };
            let codes: Vec<String> = listing.codes.iter().map(|code| format!("127.0.0.{}", code.octet())).collect();
            writeln!(told.out, "{subject}\t{}\t{would}{}", codes.join(","), plain(subject, &listing, told.url))?;
        }
    }
    Ok(())
}

/// Print what became of a host: its listings, and what people did. Errors: see [`OperateError`].
pub fn history(store: &Connection, ledger: &Ledger, subject: Subject, told: &mut Told<'_>) -> Result<(), OperateError> {
    let mut rows = Vec::new();
    for listing in ledger::listings(store, subject)? {
        let mut value = listing_json(subject, &listing, told.url);
        value["event"] = "listing".into();
        let codes: Vec<String> = listing.codes.iter().map(|code| format!("127.0.0.{}", code.octet())).collect();
        let (ended, nth) = (listing.ended.word(), listing.nth);
        let holds = listing.until_ms > told.now_ms;
        let ends = if holds { "ends" } else { "ended" };
        // Of those that are over it is not known whether they were only observed.
        let listed = if holds && told.observe { "would be listed" } else { "listed" };
        let text = format!(
            "{listed} for {} until {} ({ends}: {ended}; number {nth} in a row)",
            codes.join(" and "),
            date(listing.until_ms)
        );
        rows.push((listing.since_ms, text, value));
    }
    for action in ledger.actions(store, subject)? {
        let until = action.until_ms.map(|at| format!(" until {}", date(at))).unwrap_or_default();
        let text = format!("{} {}{until}: {}", action.act.word(), action.net, action.reason);
        let value = json!({
            "event": action.act.word(),
            "subject": subject.to_string(),
            "net": action.net.to_string(),
            "time": date(action.time_ms),
            "until": action.until_ms.map(date),
            "reason": action.reason,
        });
        rows.push((action.time_ms, text, value));
    }
    rows.sort_by_key(|(time_ms, ..)| *time_ms);
    for (time_ms, text, value) in rows {
        if told.json {
            writeln!(told.out, "{value}")?;
        } else {
            writeln!(told.out, "{} {text}", date(time_ms))?;
        }
    }
    Ok(())
}
