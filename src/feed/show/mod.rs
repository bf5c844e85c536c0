//! `dnsbld feed sessions` and `dnsbld feed explain`: what the feeder makes of a log, without a server and without a store.
//!
//! Each file is read by itself, with a clock of its own, so the order in which files are named does not matter.

mod explain;
mod reader;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde_json::{Value, json};

pub use self::explain::explain;
pub use self::reader::Lines;
use super::{Assembler, AssemblerLimits, AssemblerOptions, Format, LogLine, Observation, ProbeSenders};
use crate::feed::session::{Answer, Count, Session, Transaction};

/// How files are read.
#[derive(Debug, Clone)]
pub struct ShowOptions {
    /// Whose lines they are.
    pub format: Format,
    /// The zone of stamps that have none.
    pub time_zone: TimeZone,
    /// The year of the first stamp without one; else the latest year that is not ahead of now.
    pub year: Option<i16>,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
}

impl ShowOptions {
    /// The settings of a file's assembler.
    fn assembler(&self, file: &Path) -> AssemblerOptions {
        AssemblerOptions {
            input: file.to_string_lossy().into(),
            format: self.format,
            time_zone: self.time_zone.clone(),
            year: self.year,
            probe_senders: ProbeSenders::default(),
            limits: AssemblerLimits::default(),
        }
    }
}

/// Why not everything could be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// A file can not be read.
    #[error("{}: {error}: the log can not be read", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Some of several files can not be read; the sessions of the others have been shown.
    #[error("{}", sentences(.0))]
    Files(Vec<ShowError>),
    /// What is shown can not be written.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// The place is not one.
    #[error("{0}")]
    Place(String),
}

/// One sentence a line.
fn sentences(errors: &[ShowError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Prints a JSON line for each session of the files, as they end; `-` is standard input, and gzip is unpacked.
///
/// # Errors
///
/// What can not be read, once the other files have been shown, each to where it could be read; or the output can not be written.
pub fn sessions(files: &[PathBuf], options: &ShowOptions, out: &mut dyn Write) -> Result<(), ShowError> {
    let mut unread = Vec::new();
    for file in files {
        match sessions_of(file, options, out) {
            Err(error @ ShowError::File { .. }) => unread.push(error),
            done => done?,
        }
    }
    if unread.is_empty() { Ok(()) } else { Err(ShowError::Files(unread)) }
}

/// Prints the sessions of one file. What ends early is shown to there, with the sessions that were still open.
fn sessions_of(file: &Path, options: &ShowOptions, out: &mut dyn Write) -> Result<(), ShowError> {
    let fault = |error| ShowError::File { file: file.to_owned(), error };
    let mut observed = Vec::new();
    let mut lines = Lines::open(file).map_err(fault)?;
    let mut assembler = Assembler::new(options.assembler(file));
    let read = loop {
        match lines.next_line() {
            Ok(Some((place, text))) => {
                assembler.line(&LogLine { place, text, arrived_ms: options.now_ms }, &mut observed);
                print(file, &mut observed, out)?;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(fault(error)),
        }
    };
    assembler.finish(&mut observed);
    print(file, &mut observed, out)?;
    read
}

/// Prints the sessions among what was observed, and empties it.
fn print(file: &Path, observed: &mut Vec<Observation>, out: &mut dyn Write) -> io::Result<()> {
    for observation in observed.drain(..) {
        if let Observation::Session(session) = observation {
            writeln!(out, "{}", printed(file, &session))?;
        }
    }
    Ok(())
}

/// A session as the line that is printed. JSON leaves DEL and the control characters after it alone, terminals do not.
fn printed(file: &Path, session: &Session) -> String {
    let mut line = String::new();
    for character in as_json(file, session).to_string().chars() {
        if character.is_control() {
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    line
}

/// A session as an object.
fn as_json(file: &Path, session: &Session) -> Value {
    let transactions = &session.transactions;
    let mut senders: Vec<String> = Vec::new();
    for sender in transactions.iter().filter_map(|transaction| transaction.sender.as_deref()) {
        let sender = if sender.is_empty() { "<>".to_owned() } else { text(sender) };
        if !senders.contains(&sender) {
            senders.push(sender);
        }
    }
    let count = |count: Count| json!([count.ok, count.all]);
    let verbs = &session.verbs;
    json!({
        "file": file.to_string_lossy(),
        "line_start": session.first.number,
        "line_end": session.last.number,
        "start": stamp(session.start_ms),
        "end": stamp(session.end_ms),
        "client": { "ip": session.client.ip.to_string(), "port": session.client.port, "ptr": session.client.ptr },
        "helo": session.helo.as_deref().map(text),
        "kind": session.kinds.to_string(),
        "mail": count(verbs.mail),
        "rcpt": count(verbs.rcpt),
        "data": count(Count { ok: verbs.data.ok + verbs.bdat.ok, all: verbs.data.all + verbs.bdat.all }),
        "senders": senders,
        "rejected": recipients(transactions, false),
        "accepted": recipients(transactions, true),
        "complete": session.complete,
    })
}

/// The recipients that the log names, accepted or not.
fn recipients(transactions: &[Transaction], accepted: bool) -> Vec<String> {
    let all = transactions.iter().flat_map(|transaction| &transaction.recipients);
    all.filter(|recipient| (recipient.answer == Answer::Ok) == accepted)
        .filter_map(|recipient| recipient.address.as_deref())
        .map(text)
        .collect()
}

/// Octets as text; what is not UTF-8 is replaced.
fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A time as RFC 3339 has it.
fn stamp(time_ms: i64) -> String {
    // A time that no calendar has does not come out of a stamp; the number says what there is.
    jiff::Timestamp::from_millisecond(time_ms).map_or_else(|_| time_ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
