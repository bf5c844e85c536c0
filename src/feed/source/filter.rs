//! OpenSMTPD's filter interface: `dnsbld feed opensmtpd-filter` registers for reports and passes them to the spool of its source.
//!
//! It answers nothing but the registration, so it can not hold up mail. The spool is a directory that the server follows; the server may be down.
//! Whatever goes wrong is told on standard error, which smtpd logs, and lines are dropped: mail is never made to wait. The lines
//! are specified in smtpd-filters(7).

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::feed::line::LINE_MAX;
use crate::feed::spool::{self, SegmentWriter};
use crate::sys::clock;

/// Longest time that lines are written and not yet synced, and between two looks at the size of the spool.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Time between two complaints.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// Held by the filter that writes; smtpd may start a new one before the old one has ended.
const LOCK_FILE: &str = "writer.lock";

/// Where lines go.
#[derive(Debug, Clone)]
pub struct FilterOptions {
    /// The spool's directory.
    pub directory: PathBuf,
    /// Octets that it may have.
    pub octets_max: u64,
}

/// Run until the input ends. Errors: the input can not be read, or the registration not be written.
pub fn run(
    options: &FilterOptions,
    input: impl BufRead,
    mut output: impl Write,
    complain: &mut dyn Write,
) -> io::Result<()> {
    let mut sink = Sink::new(options, complain);
    let mut input = input;
    let mut part: Vec<u8> = Vec::new();
    let mut ready = false;
    loop {
        let available = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let count = available.len();
        if count == 0 {
            return Ok(());
        }
        let mut reports = Vec::new();
        let mut rest = available;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            part.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            if !ready && part == b"config|ready" {
                ready = true;
                output.write_all(b"register|report|smtp-in|*\nregister|ready\n")?;
                output.flush()?;
            } else if part.starts_with(b"report|") {
                reports.extend_from_slice(&part[..part.len().min(LINE_MAX)]);
                reports.push(b'\n');
            }
            part.clear();
        }
        // A line that never ends is kept as far as it could matter.
        let room = (LINE_MAX + 1).saturating_sub(part.len()).min(rest.len());
        part.extend_from_slice(&rest[..room]);
        input.consume(count);
        if !reports.is_empty() {
            sink.write(&reports);
        }
    }
}

/// Writes to the spool, and never fails.
struct Sink<'a> {
    /// Where.
    options: &'a FilterOptions,
    /// Whom to tell.
    complain: &'a mut dyn Write,
    /// The lock and the segments, once they could be had.
    writer: Option<(File, SegmentWriter)>,
    /// When the spool's size was looked at, and whether it was full.
    looked: (Option<Duration>, bool),
    /// When there was a complaint.
    complained: Option<Duration>,
    /// Lines dropped since.
    dropped: usize,
}

impl<'a> Sink<'a> {
    /// A sink that has written nothing.
    fn new(options: &'a FilterOptions, complain: &'a mut dyn Write) -> Self {
        let mut sink = Self { options, complain, writer: None, looked: (None, false), complained: None, dropped: 0 };
        // Tried at once, so that what is wrong is told when smtpd starts.
        if let Err(error) = sink.open() {
            sink.tell(&error.to_string());
        }
        sink
    }

    /// Write lines, or drop them and say why.
    fn write(&mut self, lines: &[u8]) {
        if let Err(error) = self.try_write(lines) {
            self.dropped += memchr::memchr_iter(b'\n', lines).count();
            self.tell(&error.to_string());
        }
    }

    /// Write lines. Errors: no lock, no room, or what the system says.
    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.open()?;
        let now = clock::monotonic();
        let Some((_, writer)) = &mut self.writer else { return Ok(()) };
        if self.looked.0.is_none_or(|at| now >= at + SYNC_EVERY) {
            writer.sync()?;
            let octets: u64 = spool::list(&self.options.directory)?.iter().map(|(_, octets)| octets).sum();
            self.looked = (Some(now), octets >= self.options.octets_max);
        }
        if self.looked.1 {
            return Err(io::Error::other("the spool is full; does the server run?"));
        }
        writer.write(lines).inspect_err(|_| writer.abandon())
    }

    /// Take the lock and find the next segment. Errors: another filter has it, or what the system says.
    fn open(&mut self) -> io::Result<()> {
        if self.writer.is_some() {
            return Ok(());
        }
        let directory: &Path = &self.options.directory;
        spool::make_directory(directory)?;
        let lock = File::options().write(true).create(true).truncate(false).open(directory.join(LOCK_FILE))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another filter writes to this spool")),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let last = spool::list(directory)?.last().map_or(0, |(number, _)| *number);
        self.writer = Some((lock, SegmentWriter::new(directory.to_owned(), last + 1)));
        Ok(())
    }

    /// Complain, not too often.
    fn tell(&mut self, why: &str) {
        let now = clock::monotonic();
        if self.complained.is_none_or(|at| now >= at + COMPLAIN_EVERY) {
            self.complained = Some(now);
            let lines = std::mem::take(&mut self.dropped);
            // Nobody is left to tell that standard error is closed.
            let _ = writeln!(self.complain, "{}: {why}; {lines} lines dropped", self.options.directory.display());
        }
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        if let Some((_, writer)) = &mut self.writer
            && let Err(error) = writer.sync()
        {
            let _ = writeln!(self.complain, "{}: {error}", self.options.directory.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run the filter on an input: what it answers, what it complains, what is in the spool.
    fn run_on(options: &FilterOptions, input: &[u8]) -> (String, String, String) {
        let (mut output, mut complaints) = (Vec::new(), Vec::new());
        run(options, io::BufReader::with_capacity(7, input), &mut output, &mut complaints).unwrap();
        let segments = spool::list(&options.directory).unwrap();
        let text = segments.iter().map(|(n, _)| std::fs::read_to_string(spool::path(&options.directory, *n)).unwrap());
        let text = text.collect();
        (String::from_utf8(output).unwrap(), String::from_utf8(complaints).unwrap(), text)
    }

    #[test]
    fn registers_and_passes_reports_on() {
        let directory = tempfile::tempdir().unwrap();
        let options = FilterOptions { directory: directory.path().join("spool"), octets_max: 100 };
        let input = b"config|smtpd-version|7.4\nconfig|ready\nreport|0.6|1|smtp-in|link-connect|a|h|pass|x|y\nfilter|x\nreport|2\nreport|half";
        let (output, complaints, spool) = run_on(&options, input);
        assert_eq!(output, "register|report|smtp-in|*\nregister|ready\n");
        assert_eq!(spool, "report|0.6|1|smtp-in|link-connect|a|h|pass|x|y\nreport|2\n");
        assert_eq!(complaints, "");
        // Full: what comes is dropped and told, and the filter goes on.
        std::fs::write(spool::path(&options.directory, 2), vec![b'x'; 100]).unwrap();
        let (output, complaints, _) = run_on(&options, input);
        assert_eq!(output, "register|report|smtp-in|*\nregister|ready\n");
        assert!(complaints.contains("full") && complaints.contains("1 lines dropped"), "{complaints}");
    }

    #[test]
    fn a_second_filter_drops_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let options = FilterOptions { directory: directory.path().to_owned(), octets_max: 100 };
        let mut complaints = Vec::new();
        let first = Sink::new(&options, &mut complaints);
        let (output, told, spool) = run_on(&options, b"config|ready\nreport|1\n");
        assert_eq!((output.len(), spool.as_str()), (41, ""));
        assert!(told.contains("another filter"), "{told}");
        drop(first);
    }
}
