//! Every captured log against the table that says what it must yield, and what follows from reading logs twice.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;

use super::*;
use crate::feed::session::Session;

/// The folder of captured logs.
fn logs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs")
}

/// The lines of a captured log; the raw one has no line ends, as it went over the wire.
fn captured(folder: &str, file: &str) -> Vec<u8> {
    let path = logs().join(folder).join(file);
    let log = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if file.ends_with(".raw") { String::from_utf8(log).unwrap().replace("<22>", "\n<22>").into_bytes() } else { log }
}

/// All that a log of 2026 gives, in the order of first lines.
fn observe(format: Format, log: &[u8]) -> Vec<Observation> {
    let mut assembler = Assembler::new(AssemblerOptions {
        input: "test".into(),
        format,
        time_zone: TimeZone::UTC,
        year: Some(2026),
        probe_senders: ProbeSenders::default(),
        limits: AssemblerLimits::default(),
    });
    let (mut out, mut offset) = (Vec::new(), 0);
    for (number, text) in (1..).zip(log.split_inclusive(|octet| *octet == b'\n')) {
        let place = Place { offset, end: offset + text.len() as u64, number };
        assembler.line(&LogLine { place, text, arrived_ms: 0 }, &mut out);
        offset = place.end;
    }
    assembler.finish(&mut out);
    out.sort_by_key(|observation| match observation {
        Observation::Session(session) => session.first,
        Observation::Delivery(delivery) => delivery.place,
    });
    out
}

/// The sessions among them.
fn sessions(format: Format, log: &[u8]) -> Vec<Session> {
    let session = |observation| match observation {
        Observation::Session(session) => Some(*session),
        Observation::Delivery(_) => None,
    };
    observe(format, log).into_iter().filter_map(session).collect()
}

/// The word for an observation in the table.
fn word(observation: &Observation) -> String {
    match observation {
        Observation::Session(session) => session.kinds.to_string(),
        Observation::Delivery(_) => "delivery".to_owned(),
    }
}

/// Whose lines a captured log has.
fn format(folder: &str, file: &str) -> Format {
    let servers = [
        ("exim", Format::Exim),
        ("sendmail", Format::Sendmail),
        ("opensmtpd", Format::Opensmtpd),
        ("haraka", Format::Haraka),
        ("outbound-check", Format::Exim),
        ("postfix", Format::Postfix),
        ("syslog-envelopes", Format::Postfix),
    ];
    let of_folder = servers.iter().find(|(prefix, _)| folder.starts_with(prefix));
    let by_whom = file.rsplit("__").next().unwrap_or("");
    let exim = by_whom.starts_with("received-by-exim") || by_whom.starts_with("made-by-exim");
    of_folder.map_or(if exim { Format::Exim } else { Format::Postfix }, |(_, format)| *format)
}

/// The rows of the table: folder, file, kinds.
fn table() -> Vec<(String, String, Vec<String>)> {
    let table = std::fs::read_to_string(logs().join("kinds.tsv")).unwrap();
    let row = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let (folder, file, kinds) = (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        (folder, file, kinds.split(';').filter(|kind| !kind.is_empty()).map(str::to_owned).collect())
    };
    table.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

#[test]
fn every_captured_log_yields_what_its_dialogue_implies() {
    let (mut wrong, mut read) = (Vec::new(), 0);
    for (folder, file, mut expected) in table() {
        let log = captured(&folder, &file);
        for format in [format(&folder, &file), Format::Auto] {
            let mut found: Vec<String> = observe(format, &log).iter().map(word).collect();
            if file.starts_with('_') {
                found.sort();
                expected.sort();
            }
            if found != expected {
                let (expected, found) = (expected.join(";"), found.join(";"));
                wrong.push(format!("{folder}/{file} as {}:\n  expected {expected}\n  found    {found}", format.word()));
            }
        }
        read += 1;
    }
    assert!(wrong.is_empty(), "{} of {read} files:\n{}", wrong.len(), wrong.join("\n"));
    assert!(read > 300, "{read} files");
}

#[test]
fn every_captured_log_is_in_the_table() {
    let rows: Vec<(String, String)> = table().into_iter().map(|(folder, file, _)| (folder, file)).collect();
    for folder in std::fs::read_dir(logs()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()) {
            let name = |name: &std::ffi::OsStr| name.to_str().unwrap().to_owned();
            let row = (name(folder.file_name().unwrap()), name(&file));
            assert!(row.1 == "_dialogue.txt" || rows.contains(&row), "{row:?} is not in kinds.tsv");
        }
    }
}

#[test]
fn the_client_is_the_one_of_the_dialogue() {
    let mut checked = 0;
    for (folder, file, _) in table() {
        let Ok(dialogue) = std::fs::read(logs().join(&folder).join("_dialogue.txt")) else { continue };
        let dialogue = String::from_utf8_lossy(&dialogue).into_owned();
        let head = format!("### {} src=", file.trim_end_matches(".log"));
        let Some((_, rest)) = dialogue.split_once(&head) else { continue };
        let source: std::net::IpAddr = rest.split(' ').next().unwrap().parse().unwrap();
        for session in sessions(format(&folder, &file), &captured(&folder, &file)) {
            assert_eq!(session.client.ip, source, "{folder}/{file}: {session:?}");
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked} sessions");
}

#[test]
fn the_reject_log_read_beside_the_main_log_counts_nothing_twice() {
    for folder in ["exim-4.96-default", "exim-4.96-recommended", "exim-4.96-all-selectors"] {
        let main = sessions(Format::Exim, &captured(folder, "_all.log"));
        let count = main.len();
        let by_id: BTreeMap<u128, Session> = main.into_iter().map(|session| (session.id, session)).collect();
        assert_eq!(by_id.len(), count, "{folder}: ids of the main log differ");
        let rejected = sessions(Format::Exim, &captured(folder, "_rejectlog.log"));
        for session in &rejected {
            // The captured reject log goes on after the main log ends.
            if session.start_ms < by_id.values().map(|session| session.end_ms).max().unwrap() {
                assert!(by_id.contains_key(&session.id), "{folder}: {session:?}");
            }
        }
        assert!(rejected.len() > 15, "{folder}");
    }
}

#[test]
fn the_same_log_twice_gives_the_same_ids() {
    for (folder, file, _) in table().iter().filter(|(_, file, _)| file == "_all.log") {
        let (format, log) = (format(folder, file), captured(folder, file));
        let ids = |log: &[u8]| sessions(format, log).iter().map(|session| session.id).collect::<Vec<_>>();
        let (once, again) = (ids(&log), ids(&log));
        assert_eq!(once, again, "{folder}");
        let mut distinct = once.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), once.len(), "{folder}: each session has its own id");
    }
}
