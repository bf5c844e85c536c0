//! `dnsbld feed explain FILE:LINE`: what each stage made of one line.

use std::io::Write;
use std::path::PathBuf;

use super::reader::Lines;
use super::{ShowError, ShowOptions, printed, stamp};
use crate::feed::envelope::{Envelope, Message};
use crate::feed::record::{Key, Record};
use crate::feed::service::{self, Taken};
use crate::feed::session::Session;
use crate::feed::time::Clock;
use crate::feed::{Assembler, LogLine, Observation};

/// What a line gave: enough to find its session again.
#[derive(Debug, Default)]
struct Shown {
    /// The line was there.
    found: bool,
    /// Addresses of clients in its records.
    clients: Vec<std::net::IpAddr>,
    /// Queue ids in its records.
    queue_ids: Vec<String>,
}

/// Prints what each stage made of the line at `place`, written `FILE:LINE`. The file is read from its beginning, as the line alone does not tell its session.
pub fn explain(place: &str, options: &ShowOptions, out: &mut dyn Write) -> Result<(), ShowError> {
    let (file, number) = parse(place)?;
    let fault = |error| ShowError::File { file: file.clone(), error };
    let mut lines = Lines::open(&file).map_err(fault)?;
    let mut assembler = Assembler::new(options.assembler(&file));
    // A second clock, so that the line is shown with the time that those before it leave it.
    let (mut envelope, mut clock) = (Envelope::default(), Clock::new(options.time_zone.clone(), options.year));
    let (mut observed, mut about) = (Vec::new(), Vec::new());
    let mut shown = Shown::default();
    while let Some((place, text)) = lines.next_line().map_err(fault)? {
        let message = envelope.open(text, options.now_ms, &mut clock);
        if place.number == number {
            shown = show(text, message.as_ref(), options, out)?;
        }
        assembler.line(&LogLine { place, text, arrived_ms: options.now_ms }, &mut observed);
        keep(&mut observed, number, &shown, &mut about);
    }
    assembler.finish(&mut observed);
    keep(&mut observed, number, &shown, &mut about);
    if !shown.found {
        return Err(ShowError::Place(format!(
            "{}: there is no line {number}: the file ends before it",
            file.display()
        )));
    }
    for session in &about {
        writeln!(out, "session   {}", printed(&file, session))?;
        for transaction in &session.transactions {
            writeln!(out, "          {}", readable(&format!("{transaction:?}")))?;
        }
    }
    if about.is_empty() {
        writeln!(out, "session   none: no session of this file has the line")?;
    }
    Ok(())
}

/// Keeps the sessions that the line may belong to.
fn keep(observed: &mut Vec<Observation>, number: u64, shown: &Shown, about: &mut Vec<Session>) {
    for observation in observed.drain(..) {
        let Observation::Session(session) = observation else { continue };
        let has_id = |id: &String| {
            session.transactions.iter().any(|transaction| transaction.queue_id.as_deref() == Some(id.as_str()))
        };
        let within = (session.first.number..=session.last.number).contains(&number)
            && shown.clients.contains(&session.client.ip);
        let queued = shown.clients.is_empty() && session.first.number <= number && shown.queue_ids.iter().any(has_id);
        if within || queued {
            about.push(*session);
        }
    }
}

/// Prints the line, its head and its records.
fn show(
    line: &[u8],
    message: Option<&Message<'_>>,
    options: &ShowOptions,
    out: &mut dyn Write,
) -> Result<Shown, ShowError> {
    let mut shown = Shown { found: true, ..Shown::default() };
    writeln!(out, "line      {}", text(line))?;
    let Some(message) = message else {
        writeln!(out, "envelope  none: no known form of a log line begins like this")?;
        return Ok(shown);
    };
    let pid = message.pid.map_or("none".into(), |pid| pid.to_string());
    writeln!(out, "envelope  time {} (stamp `{}`)", stamp(message.time_ms), text(message.stamp))?;
    writeln!(out, "          host `{}`, program `{}`, process {pid}", text(message.host), text(message.program))?;
    writeln!(out, "          message `{}`", text(message.text))?;
    let Some((format, parser)) = service::parser(options.format, message) else {
        writeln!(out, "record    none: the line is of no mail server that is known")?;
        return Ok(shown);
    };
    let mut records = Vec::new();
    let taken = parser(message, &mut |record: Record<'_>| {
        shown.clients.extend(record.client.map(|client| client.ip));
        shown.queue_ids.extend(record.queue_id.map(text));
        records.push(describe(&record));
    });
    for record in records {
        writeln!(out, "record    {} as {}", record, format.word())?;
    }
    match taken {
        Taken::Parsed => {}
        Taken::Ignored => writeln!(out, "record    none: known to {}, and of no interest", format.word())?,
        Taken::Unknown => writeln!(out, "record    none: not known to {}", format.word())?,
    }
    Ok(shown)
}

/// Octets as text for a terminal: what a client wrote must not steer it, so characters that can not be seen are escaped.
fn text(octets: &[u8]) -> String {
    let mut shown = String::with_capacity(octets.len());
    for character in String::from_utf8_lossy(octets).chars() {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

/// A record in words.
fn describe(record: &Record<'_>) -> String {
    let key = match record.key {
        Key::Process { service, pid } => format!("process {} {pid}", text(service)),
        Key::Peer { ip, port } => format!("client {ip} port {port}"),
        Key::Session(id) => format!("session id {}", text(id)),
        Key::Queue(id) => format!("queue id {}", text(id)),
        Key::Line => "the line alone".into(),
    };
    let client = record.client.map_or(String::new(), |client| format!(", client {}", client.ip));
    let queue_id = record.queue_id.map_or(String::new(), |id| format!(", queue id {}", text(id)));
    let helo = record.helo.map_or(String::new(), |helo| format!(", helo `{}`", text(helo)));
    let ambiguous = if record.ambiguous { ", more than one reading: addresses dropped" } else { "" };
    let act = readable(&format!("{:?}", record.act));
    format!("{act}, key: {key}{client}{queue_id}{helo}{ambiguous}")
}

/// Octets in a debug print, `[97, 98]`, as text.
fn readable(print: &str) -> String {
    let mut words = String::with_capacity(print.len());
    let mut rest = print;
    while let Some(open) = rest.find('[') {
        let (before, list) = rest.split_at(open);
        let Some(close) = list.find(']') else { break };
        words.push_str(before);
        let octets: Option<Vec<u8>> = list[1..close]
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().ok())
            .collect();
        match octets {
            Some(octets) => {
                words.push_str(&format!("{:?}", String::from_utf8_lossy(&octets)));
                rest = &list[close + 1..];
            }
            // A list of something else, in which octets may stand.
            None => {
                words.push('[');
                rest = &list[1..];
            }
        }
    }
    words + rest
}

/// `FILE:LINE`.
fn parse(place: &str) -> Result<(PathBuf, u64), ShowError> {
    let parsed = place
        .rsplit_once(':')
        .and_then(|(file, number)| Some((file, number.parse().ok().filter(|&number| number > 0)?)));
    let (file, number) = parsed.ok_or_else(|| {
        ShowError::Place(format!("`{place}` is no place in a log: expected FILE:LINE, with lines counted from 1"))
    })?;
    Ok((file.into(), number))
}
