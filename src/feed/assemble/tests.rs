//! Lines to sessions: the captured logs, and what the captured logs do not show.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::*;
use crate::feed::session::Session;

/// An assembler for Postfix's lines of 2026.
fn assembler() -> Assembler {
    Assembler::new(options(Format::Postfix))
}

/// Settings for lines of 2026.
fn options(format: Format) -> AssemblerOptions {
    AssemblerOptions {
        input: "test".into(),
        format,
        time_zone: TimeZone::UTC,
        year: Some(2026),
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
    }
}

/// Feeds a whole log, a line at a time.
fn feed(assembler: &mut Assembler, log: &[u8], out: &mut Vec<Observation>) {
    let (mut offset, mut number) = (0, 0);
    for text in log.split_inclusive(|&octet| octet == b'\n') {
        number += 1;
        let place = Place { offset, end: offset + text.len() as u64, number };
        assembler.line(&LogLine { place, text, arrived_ms: 0 }, out);
        offset = place.end;
    }
}

/// All that a log of 2026 gives.
fn observe(log: &[u8]) -> Vec<Observation> {
    let (mut assembler, mut out) = (assembler(), Vec::new());
    feed(&mut assembler, log, &mut out);
    assembler.finish(&mut out);
    out
}

/// The sessions of a log, in the order of their first lines.
fn sessions(log: &[u8]) -> Vec<Session> {
    let mut sessions: Vec<Session> = observe(log).into_iter().filter_map(session).collect();
    sessions.sort_by_key(|session| session.first);
    sessions
}

/// The session of an observation.
fn session(observation: Observation) -> Option<Session> {
    match observation {
        Observation::Session(session) => Some(*session),
        Observation::Delivery(_) => None,
    }
}

/// The folder of captured logs.
fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs")
}

/// The lines of a captured log; the raw one has no line ends, as it went over the wire.
fn captured(path: &Path) -> Vec<u8> {
    let log = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "raw") {
        return String::from_utf8(log).unwrap().replace("<22>", "\n<22>").into_bytes();
    }
    log
}

#[test]
fn captured_logs_have_the_kinds_of_their_dialogues() {
    let table = std::fs::read_to_string(logs().join("kinds-postfix.tsv")).unwrap();
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [folder, file, expected, ..] = columns[..] else { panic!("{row}") };
        let found = sessions(&captured(&logs().join(folder).join(file)));
        let found: Vec<String> = found.iter().map(|session| session.kinds.to_string()).collect();
        if found.join(";") != expected {
            wrong.push(format!("{folder}/{file}:\n  expected {expected}\n  found    {}", found.join(";")));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{} of {rows}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 60);
}
