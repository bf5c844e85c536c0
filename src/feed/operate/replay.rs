//! `dnsbld feed replay`: old logs through everything, by their own clock, into a store of its own.

use std::path::PathBuf;

use rusqlite::params;

use super::{OperateError, Told, line};
use crate::feed::joe_job::{JoeJobOptions, detector};
use crate::feed::ledger::welcomes::{self, Question};
use crate::feed::ledger::{Ledger, flooded};
use crate::feed::session::Observation;
use crate::feed::show::Lines;
use crate::feed::source::Position;
use crate::feed::store::key::HashKey;
use crate::feed::store::rows::{self, Row};
use crate::feed::store::{self, Batch, StoreCounts, writer};
use crate::feed::{Assembler, AssemblerOptions, LogLine};

/// Rows that are judged together: each host among them once.
const GROUP_ROWS: usize = 50_000;

/// A log to be replayed.
#[derive(Debug, Clone)]
pub struct ReplayLog {
    /// Its file; `-` is standard input.
    pub file: PathBuf,
    /// How to read it; its input's name is part of each event's id.
    pub assembler: AssemblerOptions,
}

/// What to replay.
pub struct Replay<'r> {
    /// The logs, in order.
    pub logs: Vec<ReplayLog>,
    /// The rules.
    pub ledger: &'r Ledger,
    /// Makes hashes of recipients; the ledger's.
    pub key: &'r HashKey,
    /// What welcome lists are known to have said; none is asked.
    pub welcomes: Vec<Question>,
    /// When a joe-job is one; `None` where they are not looked for.
    pub joe_jobs: Option<JoeJobOptions>,
}

/// Read logs and print a line for each host with evidence, as things stand at the last time in the logs. Nothing is kept.
/// Errors: see [`OperateError`].
pub fn replay(replay: &Replay<'_>, told: &mut Told<'_>) -> Result<(), OperateError> {
    let mut store = store::in_memory()?;
    welcomes::take(&store, &replay.welcomes)?;
    let counts = StoreCounts::default();
    let mut clock_ms = i64::MIN;
    for log in &replay.logs {
        let name = &*log.assembler.input;
        let sql = "INSERT INTO inputs VALUES (NULL, ?1, 0, 0, 0, 0, 0, 0, 0, NULL, NULL) \
                   ON CONFLICT (name) DO UPDATE SET name = name RETURNING input";
        let input: i64 = store.query_row(sql, params![name], |row| row.get(0))?;
        let file = log.file.to_string_lossy();
        let fault = |error| OperateError::Log { file: log.file.clone(), error };
        let mut lines = Lines::open(&log.file).map_err(fault)?;
        let mut assembler = Assembler::new(log.assembler.clone());
        let (mut out, mut waiting) = (Vec::new(), Vec::new());
        let mut keep = |observation: Observation, waiting: &mut Vec<Row>| {
            waiting.push(match observation {
                Observation::Session(session) => {
                    clock_ms = clock_ms.max(session.end_ms);
                    rows::of_session(*session, &file, Vec::new(), replay.key, &log.assembler.probe_senders)
                }
                Observation::Delivery(delivery) => {
                    clock_ms = clock_ms.max(delivery.time_ms);
                    rows::of_delivery(&delivery, replay.key)
                }
            });
        };
        while let Some((place, text)) = lines.next_line().map_err(fault)? {
            assembler.line(&LogLine { place, text, arrived_ms: told.now_ms }, &mut out);
            out.drain(..).for_each(|observation| keep(observation, &mut waiting));
            if waiting.len() >= GROUP_ROWS {
                writer::commit(&mut store, &[batch(input, &mut waiting)], Some(replay.ledger), &counts)?;
            }
        }
        assembler.finish(&mut out);
        out.drain(..).for_each(|observation| keep(observation, &mut waiting));
        writer::commit(&mut store, &[batch(input, &mut waiting)], Some(replay.ledger), &counts)?;
    }
    if let Some(options) = replay.joe_jobs {
        let intervals = detector::intervals(store::null_sender_hits(&store, i64::MIN)?, options);
        replay.ledger.set_joe_jobs(&mut store, &flooded::of_intervals(&intervals))?;
    }
    for subject in replay.ledger.subjects(&store)? {
        let judged = replay.ledger.judge(&store, subject)?;
        if judged.history.pieces.iter().any(|piece| piece.time_ms <= clock_ms) {
            writeln!(told.out, "{}", line(subject, &judged, replay.ledger, clock_ms, told.observe))?;
        }
    }
    Ok(())
}

/// What waits, as the store takes it.
fn batch(input: i64, waiting: &mut Vec<Row>) -> Batch {
    Batch {
        input,
        rows: std::mem::take(waiting),
        low_water: Position::default(),
        read: Position::default(),
        time_ms: 0,
        files: None,
        cursors: (None, None),
        ended: Vec::new(),
        committed: std::sync::Arc::default(),
    }
}
