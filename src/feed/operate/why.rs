//! `dnsbld feed why`: each piece of evidence, what it weighs now, and what that sums up to.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{OperateError, Told, line, points};
use crate::feed::ledger::welcomes::{Outcome, Question};
use crate::feed::ledger::{Judged, Ledger};
use crate::feed::listing::Piece;
use crate::feed::policy::{self, PolicyOptions, Standing, State};
use crate::feed::protection::Exemption;
use crate::feed::subject::Subject;
use crate::feed::zone_file::date;

/// Tell why a host is listed, or why not. Errors: see [`OperateError`].
pub fn why(store: &Connection, ledger: &Ledger, subject: Subject, told: &mut Told<'_>) -> Result<(), OperateError> {
    let judged = ledger.judge(store, subject)?;
    let options = &ledger.options().policy;
    let standing = policy::standing(&judged.history, options, told.now_ms);
    if told.json {
        let mut value = line(subject, &judged, ledger, told.now_ms, told.observe);
        value["threshold"] = points(policy::threshold(options, &judged.facts.exemption_at(told.now_ms))).into();
        value["welcome"] = ledger.questions(store, subject)?.last().map(welcome_json).into();
        value["wanted"] = json!({
            "recipients": options.recipients_min,
            "sessions": options.sessions_min,
            "spread_s": options.spread_ms_min / 1000,
            "reporters": options.reporters_min,
        });
        value["evidence"] = (judged.history.pieces.iter().zip(&standing.weights))
            .map(|(piece, (state, weight))| {
                let event = &judged.events[piece.event];
                json!({
                    "time": date(piece.time_ms),
                    "signal": piece.signal.word(),
                    "points": points(piece.points),
                    "weight": points(*weight),
                    "state": state.word(),
                    "solicited": piece.solicited,
                    "recipients": piece.recipients.len(),
                    "kind": event.kinds.to_string(),
                    "source": *event.place.input,
                    "host": *event.host,
                    "file": *event.place.file,
                    "line": event.place.line,
                    "port": event.port,
                    "ptr": event.ptr,
                    "helo": event.helo.as_deref().map(String::from_utf8_lossy),
                    "commands": *event.verbs,
                })
            })
            .collect();
        writeln!(told.out, "{value}")?;
        return Ok(());
    }
    if judged.history.pieces.is_empty() {
        writeln!(told.out, "{subject}: no evidence")?;
        return Ok(());
    }
    verdict(subject, &judged, &standing, options, told)?;
    if let Some(question) = ledger.questions(store, subject)?.last() {
        writeln!(told.out, "{}", welcome_text(question))?;
    }
    writeln!(told.out, "    points  evidence")?;
    for (piece, weight) in judged.history.pieces.iter().zip(&standing.weights) {
        evidence(&judged, piece, *weight, told)?;
    }
    writeln!(
        told.out,
        "{:>10.3}  points in all, {:.3} left",
        points(fresh(&judged, &standing)),
        points(standing.score)
    )?;
    Ok(())
}

/// Points of the evidence that counts, as they were when it was fresh.
fn fresh(judged: &Judged, standing: &Standing) -> i64 {
    let counted = judged.history.pieces.iter().zip(&standing.weights).filter(|(_, (state, _))| *state == State::Counts);
    counted.map(|(piece, _)| piece.points).sum()
}

/// What follows, before what it follows from.
fn verdict(
    subject: Subject,
    judged: &Judged,
    standing: &Standing,
    options: &PolicyOptions,
    told: &mut Told<'_>,
) -> Result<(), OperateError> {
    let threshold = policy::threshold(options, &judged.facts.exemption_at(told.now_ms));
    match judged.history.at(told.now_ms) {
        Some(listing) => {
            let codes: Vec<String> = listing.codes.iter().map(|code| format!("127.0.0.{}", code.octet())).collect();
            let word = if told.observe { "would be listed" } else { "is listed" };
            writeln!(
                told.out,
                "{subject} {word} since {} for {} with {:.3} points; until {} if nothing more is seen",
                date(listing.since_ms),
                codes.join(" and "),
                points(listing.score),
                date(listing.until_ms),
            )?;
        }
        None => writeln!(told.out, "{subject} is not listed")?,
    }
    writeln!(
        told.out,
        "now {:.3} points of {:.3}, {} recipients of {}, {} sessions of {}",
        points(standing.score),
        points(threshold),
        standing.recipients,
        options.recipients_min,
        standing.sessions,
        options.sessions_min,
    )?;
    let protected = match &judged.facts.exemption {
        Exemption::Exempt(reason) => Some(reason),
        _ => judged.history.protected_by.as_ref(),
    };
    if let Some(reason) = protected {
        writeln!(told.out, "protected: {reason}")?;
    }
    if let (Some(_), Some(at)) = (protected, judged.history.would_list_at_ms) {
        writeln!(told.out, "without that it would have been listed at {}", date(at))?;
    }
    Ok(())
}

/// What welcome lists said, for machines.
fn welcome_json(question: &Question) -> Value {
    let list = if let Outcome::Listed(list) = &question.outcome { Some(list) } else { None };
    json!({
        "outcome": question.outcome.word(),
        "list": list,
        "asked": date(question.asked_ms),
        "answered": question.answered_ms.map(date),
        "for": date(question.from_ms),
    })
}

/// What welcome lists said, in words.
fn welcome_text(question: &Question) -> String {
    let asked = date(question.asked_ms);
    match &question.outcome {
        Outcome::Asked => format!("welcome lists: asked at {asked}, not answered yet"),
        Outcome::Listed(list) => format!("welcome lists: {list} has it, asked at {asked}"),
        Outcome::Clear => format!("welcome lists: none has it, asked at {asked}"),
        Outcome::Failed => format!("welcome lists: no answer of all of them, asked at {asked}"),
    }
}

/// One piece of evidence.
fn evidence(judged: &Judged, piece: &Piece, weight: (State, i64), told: &mut Told<'_>) -> Result<(), OperateError> {
    let event = &judged.events[piece.event];
    let state = match weight.0 {
        State::Counts => format!("now {:.3}", points(weight.1)),
        State::Repeated => "not counted: the same recipients shortly before".to_owned(),
        State::Worthless => "not counted: it answers mail from that address".to_owned(),
        State::Old => "not counted any more: too old".to_owned(),
        State::Removed => "not counted any more: removed since".to_owned(),
        State::Ahead => "not counted yet: it may still come back".to_owned(),
    };
    let helo = event.helo.as_deref().map(|helo| format!(", HELO {}", helo.escape_ascii())).unwrap_or_default();
    let solicited = if piece.solicited { ", answers mail from that address" } else { "" };
    writeln!(
        told.out,
        "{:>10.3}  {} {} ({state}{solicited}), {} recipients; {}: {}:{}{helo}, {}",
        points(piece.points),
        date(piece.time_ms),
        piece.signal.sentence(),
        piece.recipients.len(),
        event.host,
        event.place.file,
        event.place.line,
        if event.verbs.is_empty() { "no commands counted" } else { &*event.verbs },
    )?;
    Ok(())
}
