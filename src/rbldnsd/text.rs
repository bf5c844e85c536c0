//! Where the words go: the terminal in the foreground, the system's log as a daemon.
//!
//! Information goes to standard output, warnings and errors to standard error, each line under rbldnsd's name. The
//! system's log gets a datagram a line (RFC 3164). What other rooms say through `tracing` comes here too.

use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard};

use tracing_subscriber::fmt::MakeWriter;

use crate::sys;
use crate::sys::clock;

/// The name that every line is under.
pub const NAME: &str = "rbldnsd";
/// Where the system's log listens (syslog(3)).
const LOG_SOCKET: &str = "/dev/log";
/// Months as RFC 3164 section 4.1.2 spells them.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How grave a line is, with its number in RFC 3164 section 4.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Grade {
    /// Something is wrong.
    Error = 3,
    /// Something may be wrong.
    Warning = 4,
    /// All is well.
    Info = 6,
}

/// The system's log.
#[derive(Debug)]
struct Syslog {
    /// Connected to it; `None` while there is none.
    socket: Option<UnixDatagram>,
    /// Facility.
    facility: u8,
}

impl Syslog {
    /// Connect. Without a log, lines are lost until there is one.
    fn connect() -> Option<UnixDatagram> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(LOG_SOCKET).ok()?;
        // A log that does not read must not stop us.
        socket.set_nonblocking(true).ok()?;
        Some(socket)
    }

    /// Send a line; the log may have been started anew meanwhile.
    fn send(&mut self, grade: Grade, line: &str) {
        let message = message(self.facility, grade, sys::local_time(clock::now_s()), std::process::id(), line);
        let sent = |socket: &UnixDatagram| socket.send(message.as_bytes());
        match self.socket.as_ref().map(sent) {
            Some(Ok(_)) => {}
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => {
                self.socket = Self::connect().or(self.socket.take());
                // Now it is there or it is not.
                let _ = self.socket.as_ref().map(sent);
            }
        }
    }
}

/// A line as the system's log wants it.
fn message(facility: u8, grade: Grade, time: [i32; 6], pid: u32, line: &str) -> String {
    let [_, month, day, hour, minute, second] = time;
    let month = MONTHS.get(month as usize - 1).unwrap_or(&MONTHS[0]);
    let priority = facility * 8 + grade as u8;
    format!("<{priority}>{month} {day:2} {hour:02}:{minute:02}:{second:02} {NAME}[{pid}]: {line}")
}

/// Where lines go at present.
#[derive(Debug)]
struct Ways {
    /// Information is shown on the terminal.
    shows_info: bool,
    /// So are warnings and errors.
    shows_errors: bool,
    /// The system's log, as a daemon.
    syslog: Option<Syslog>,
}

/// Takes lines; cheap to clone.
#[derive(Clone, Debug)]
pub struct Text(Arc<Mutex<Ways>>);

impl Text {
    /// In the foreground: everything to the terminal, nothing to the system's log.
    pub fn foreground() -> Self {
        Self(Arc::new(Mutex::new(Ways { shows_info: true, shows_errors: true, syslog: None })))
    }

    /// As a daemon: the system's log, and until [`Text::detach`] the terminal too, errors alone when it is to be quiet.
    pub fn daemon(facility: u8, quiet: bool) -> Self {
        let syslog = Some(Syslog { socket: Syslog::connect(), facility });
        Self(Arc::new(Mutex::new(Ways { shows_info: !quiet, shows_errors: true, syslog })))
    }

    /// Leave the terminal, if there is another place.
    pub fn detach(&self) {
        let mut ways = self.lock();
        if ways.syslog.is_some() {
            (ways.shows_info, ways.shows_errors) = (false, false);
        }
    }

    /// The lock; lines are whole whatever panicked.
    fn lock(&self) -> MutexGuard<'_, Ways> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Say that something is so.
    pub fn info(&self, line: &str) {
        self.say(Grade::Info, line);
    }

    /// Say that something may be wrong.
    pub fn warn(&self, line: &str) {
        self.say(Grade::Warning, line);
    }

    /// Say that something is wrong.
    pub fn error(&self, line: &str) {
        self.say(Grade::Error, line);
    }

    /// Say something.
    fn say(&self, grade: Grade, line: &str) {
        let mut ways = self.lock();
        // Whoever closed our output does not want to read it.
        if grade == Grade::Info {
            if ways.shows_info {
                let mut out = io::stdout().lock();
                let _ = writeln!(out, "{NAME}: {line}").and_then(|()| out.flush());
            }
        } else if ways.shows_errors {
            let _ = writeln!(io::stderr(), "{NAME}: {line}");
        }
        if let Some(syslog) = &mut ways.syslog {
            syslog.send(grade, line);
        }
    }

    /// Take what other rooms say through `tracing`, if it is a warning at least, and what a panic says.
    pub fn take_log(&self) {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(self.clone());
        let log = log.without_time().with_level(false).with_target(false).with_ansi(false);
        // Refused only where a log was set up before, which is then the one to use.
        let _ = log.try_init();
        std::panic::set_hook(Box::new(|panic| tracing::error!("a defect of dnsbld, please report it: {panic}")));
    }
}

/// One event of `tracing`, whole.
#[derive(Debug)]
pub struct EventLine<'a> {
    /// Where it goes.
    text: &'a Text,
    /// How grave it is.
    grade: Grade,
}

impl io::Write for EventLine<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.text.say(self.grade, String::from_utf8_lossy(octets).trim());
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Text {
    type Writer = EventLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        EventLine { text: self, grade: Grade::Warning }
    }

    fn make_writer_for(&'a self, event: &tracing::Metadata<'_>) -> Self::Writer {
        let grade = if *event.level() == tracing::Level::ERROR { Grade::Error } else { Grade::Warning };
        EventLine { text: self, grade }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_the_log() {
        let time = [2026, 3, 7, 4, 5, 6];
        for (facility, grade, expected) in [
            (3, Grade::Info, "<30>Mar  7 04:05:06 rbldnsd[9]: started"),
            (16, Grade::Error, "<131>Mar  7 04:05:06 rbldnsd[9]: started"),
        ] {
            assert_eq!(message(facility, grade, time, 9, "started"), expected);
        }
    }
}
