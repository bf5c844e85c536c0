//! A spool: lines that can not be read again, safe on disk before whoever sent them is told so.
//!
//! It is a row of segments in a directory of its own, `0000000000000001.log` and so on, each of whole lines. One thread
//! writes: it takes what all senders have handed in meanwhile, writes it, waits for the disk once, and then answers them
//! all. A reader ([`segments`](super::source::segments)) follows up to what is synced, and deletes what lies behind its low-water mark.
//! After a start a new segment is begun; what a crash left half written at the end of an old one was never acknowledged.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::source::Wake;

/// Octets of a segment: small against the spool, so that it is let go in small steps.
const SEGMENT_OCTETS_MAX: u64 = 8 << 20;
/// Requests that may wait for the disk.
const QUEUE_REQUESTS_MAX: usize = 256;
/// Octets written before the disk is waited for.
const GROUP_OCTETS_MAX: usize = 8 << 20;

/// Where a spool is and how large it may become.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// Its directory; made if it is not there.
    pub directory: PathBuf,
    /// Octets of all its segments.
    pub octets_max: u64,
}

/// Why lines were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// There is no room until some have been read.
    #[error("the spool is full; try again later")]
    Full,
    /// They could not be written.
    #[error("the spool can not be written: {0}")]
    Failed(String),
    /// The program is being stopped.
    #[error("the program is being stopped; try again later")]
    Stopped,
}

/// What writer and reader know of each other.
#[derive(Debug, Default)]
pub struct SpoolState {
    /// The last segment of this run and the octets of it that are synced; segments before it are read to their end.
    synced: Mutex<(u64, u64)>,
    /// Octets of all segments.
    octets: AtomicU64,
}

impl SpoolState {
    /// The segment being written and how much of it is safe.
    pub fn synced(&self) -> (u64, u64) {
        *self.synced.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Octets of all segments.
    pub fn octets(&self) -> u64 {
        self.octets.load(Acquire)
    }

    /// A segment with so many octets was deleted.
    pub fn deleted(&self, octets: u64) {
        // Another process may have written to the directory, so this is not sure to be larger.
        let _ = self.octets.fetch_update(AcqRel, Acquire, |all| Some(all.saturating_sub(octets)));
    }
}

/// Tells when lines that were handed in are safe, or why they are not.
pub type Synced = oneshot::Receiver<Result<(), SpoolError>>;

/// Lines to write, and whom to tell.
struct Request {
    /// Whole lines, each with its line feed.
    text: Vec<u8>,
    /// Told when they are synced, or why not.
    reply: Option<oneshot::Sender<Result<(), SpoolError>>>,
    /// The last request: the thread ends after it.
    last: bool,
}

/// The way into a spool.
#[derive(Debug, Clone)]
pub struct Spool {
    /// The way to the thread.
    requests: SyncSender<Request>,
    /// What the thread says.
    state: Arc<SpoolState>,
    /// Octets that it may have.
    octets_max: u64,
}

/// The thread of a spool.
#[derive(Debug)]
pub struct SpoolThread {
    /// The thread.
    thread: JoinHandle<()>,
    /// The way to it.
    requests: SyncSender<Request>,
}

impl SpoolThread {
    /// End it, once all that was handed in is written. What is handed in later is refused.
    pub fn stop(self) {
        // Without a receiver it has ended already.
        let _ = self.requests.send(Request { text: Vec::new(), reply: None, last: true });
        if self.thread.join().is_err() {
            tracing::error!("a spool's thread had died");
        }
    }
}

impl Spool {
    /// Open a spool and start its thread; its next segment has a number above `read`, the last one that was ever read, and `wake` is
    /// touched when there is more to read. Errors: the directory can not be used.
    pub fn start(options: &SpoolOptions, read: u64, wake: Wake) -> io::Result<(Self, SpoolThread)> {
        make_directory(&options.directory)?;
        let segments = list(&options.directory)?;
        let last = segments.last().map_or(0, |(number, _)| *number).max(read);
        let state = Arc::new(SpoolState::default());
        state.octets.store(segments.iter().map(|(_, octets)| octets).sum(), std::sync::atomic::Ordering::Release);
        *state.synced.lock().unwrap_or_else(|e| e.into_inner()) = (last + 1, 0);
        let (requests, receiver) = sync_channel(QUEUE_REQUESTS_MAX);
        let mut writer = SegmentWriter::new(options.directory.clone(), last + 1);
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("spool".to_owned()).spawn(move || {
            while let Ok(first) = receiver.recv() {
                let last = serve(first, &receiver, &mut writer, &shared);
                wake.touch();
                if last {
                    break;
                }
            }
        })?;
        let spool = Self { requests: requests.clone(), state, octets_max: options.octets_max };
        Ok((spool, SpoolThread { thread, requests }))
    }

    /// What the thread says.
    pub fn state(&self) -> Arc<SpoolState> {
        Arc::clone(&self.state)
    }

    /// Hand in whole lines without waiting; the receiver is told when they are safe. Errors: full, also when the disk is slow.
    pub fn append(&self, text: Vec<u8>) -> Result<Synced, SpoolError> {
        let (reply, told) = oneshot::channel();
        self.send(Request { text, reply: Some(reply), last: false })?;
        Ok(told)
    }

    /// Hand in whole lines and wait until they are safe. Not for async code. Errors: see [`SpoolError`].
    pub fn append_and_wait(&self, text: Vec<u8>) -> Result<(), SpoolError> {
        self.append(text)?.blocking_recv().unwrap_or(Err(SpoolError::Stopped))
    }

    /// Hand in whole lines that nobody waits for. Errors: full, also when the disk is slow.
    pub fn append_and_forget(&self, text: Vec<u8>) -> Result<(), SpoolError> {
        self.send(Request { text, reply: None, last: false })
    }

    /// Hand a request in, if there is room.
    fn send(&self, request: Request) -> Result<(), SpoolError> {
        let octets = request.text.len() as u64;
        let reserve = |all: u64| all.checked_add(octets).filter(|&sum| sum <= self.octets_max);
        if self.state.octets.fetch_update(AcqRel, Acquire, reserve).is_err() {
            return Err(SpoolError::Full);
        }
        self.requests.try_send(request).map_err(|error| {
            self.state.deleted(octets);
            match error {
                TrySendError::Full(_) => SpoolError::Full,
                TrySendError::Disconnected(_) => SpoolError::Stopped,
            }
        })
    }
}

/// Write what waits, sync once, answer all. True after the last request.
fn serve(first: Request, requests: &Receiver<Request>, writer: &mut SegmentWriter, state: &SpoolState) -> bool {
    let (mut octets, mut last) = (first.text.len(), first.last);
    let mut group = vec![first];
    while octets < GROUP_OCTETS_MAX
        && !last
        && let Ok(request) = requests.try_recv()
    {
        octets += request.text.len();
        last = request.last;
        group.push(request);
    }
    let written = group.iter().try_for_each(|request| writer.write(&request.text)).and_then(|()| writer.sync());
    let outcome = written.map_err(|error| {
        tracing::error!("{}: {error}", writer.directory.display());
        writer.abandon();
        state.deleted(octets as u64);
        SpoolError::Failed(error.to_string())
    });
    *state.synced.lock().unwrap_or_else(|e| e.into_inner()) = (writer.number, writer.synced);
    for reply in group.into_iter().filter_map(|request| request.reply) {
        // Whoever hung up does not want to know.
        let _ = reply.send(outcome.clone());
    }
    last
}

/// Writes segments; used by a spool's thread and by OpenSMTPD's filter, which is a process of its own.
#[derive(Debug)]
pub struct SegmentWriter {
    /// Where.
    directory: PathBuf,
    /// The segment being written.
    number: u64,
    /// It, once something is in it.
    file: Option<File>,
    /// Octets written to it.
    written: u64,
    /// Octets of it that are synced.
    synced: u64,
}

impl SegmentWriter {
    /// Write segments from this number on.
    pub fn new(directory: PathBuf, number: u64) -> Self {
        Self { directory, number, file: None, written: 0, synced: 0 }
    }

    /// Write whole lines. Errors: what the system says; call [`Self::abandon`] then.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.written > 0 && self.written + text.len() as u64 > SEGMENT_OCTETS_MAX {
            self.sync()?;
            self.next();
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = File::options().append(true).create_new(true).open(path(&self.directory, self.number))?;
                // The name must be safe too.
                File::open(&self.directory)?.sync_all()?;
                none.insert(file)
            }
        };
        file.write_all(text)?;
        self.written += text.len() as u64;
        Ok(())
    }

    /// Wait until everything written is safe. Errors: what the system says.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file
            && self.synced < self.written
        {
            file.sync_data()?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// After a failure: take back what is not synced, and begin a new segment.
    pub fn abandon(&mut self) {
        if let Some(file) = &self.file {
            // If this fails too, the reader finds lines whose sender was told that they failed; sent again, they are known by their id.
            let _ = file.set_len(self.synced);
        }
        self.next();
    }

    /// Begin the next segment.
    fn next(&mut self) {
        (self.file, self.written, self.synced) = (None, 0, 0);
        self.number += 1;
    }
}

/// Make a spool's directory. Errors: what the system says.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() { Ok(()) } else { fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) }
}

/// The path of a segment.
pub fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.log"))
}

/// The segments of a spool with their octets, oldest first. Errors: the directory can not be read.
pub fn list(directory: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|stem| stem.parse().ok());
        if let Some(number) = number
            && let Ok(metadata) = entry.metadata()
        {
            segments.push((number, metadata.len()));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The directory of an input's spool: its id with everything but letters, digits, `.`, `_`, `-` written as `%` and two digits.
pub fn directory(state_dir: &Path, input: &str) -> PathBuf {
    let mut name = String::new();
    for octet in input.bytes() {
        if octet.is_ascii_alphanumeric() || b"_-".contains(&octet) || (octet == b'.' && !name.is_empty()) {
            name.push(char::from(octet));
        } else {
            name += &format!("%{octet:02x}");
        }
    }
    state_dir.join("spool").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::source::lines::Lines;
    use crate::feed::source::segments::SegmentReader;
    use crate::feed::source::{Position, Step};

    /// A spool in a directory.
    fn start(directory: &Path, octets_max: u64) -> (Spool, SpoolThread) {
        Spool::start(&SpoolOptions { directory: directory.to_owned(), octets_max }, 0, Wake::default()).unwrap()
    }

    /// All lines from the beginning.
    fn read(directory: &Path, state: Option<Arc<SpoolState>>) -> Vec<String> {
        let mut reader = SegmentReader::new(directory.to_owned(), state, Position::default());
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        loop {
            lines.clear();
            match reader.read(&mut lines).unwrap() {
                Step::Still => return all,
                _ => all.extend(lines.iter(0).map(|line| String::from_utf8(line.text.to_vec()).unwrap())),
            }
        }
    }

    #[test]
    fn what_is_acknowledged_is_there_after_a_crash() {
        let directory = tempfile::tempdir().unwrap();
        let (spool, thread) = start(directory.path(), 1000);
        spool.append_and_wait(b"a\nb\n".to_vec()).unwrap();
        spool.append_and_wait(b"c\n".to_vec()).unwrap();
        assert_eq!(read(directory.path(), Some(spool.state())), ["a", "b", "c"]);
        thread.stop();
        assert!(spool.append_and_wait(b"late\n".to_vec()).is_err());
        // A crash has cut a line that nobody was told about.
        let mut file = File::options().append(true).open(path(directory.path(), 1)).unwrap();
        file.write_all(b"half").unwrap();
        let (spool, thread) = start(directory.path(), 1000);
        spool.append_and_wait(b"d\n".to_vec()).unwrap();
        assert_eq!(read(directory.path(), Some(spool.state())), ["a", "b", "c", "d"]);
        assert_eq!(list(directory.path()).unwrap(), [(1, 10), (2, 2)]);
        thread.stop();
        assert!(spool.append_and_wait(b"late\n".to_vec()).is_err());
    }

    #[test]
    fn a_full_spool_takes_nothing_until_some_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let (spool, thread) = start(directory.path(), 10);
        spool.append_and_wait(b"12345\n".to_vec()).unwrap();
        assert_eq!(spool.append_and_wait(b"6789\n".to_vec()), Err(SpoolError::Full));
        spool.append_and_wait(b"abc\n".to_vec()).unwrap();
        spool.state().deleted(6);
        spool.append_and_wait(b"6789\n".to_vec()).unwrap();
        thread.stop();
        assert!(spool.append_and_wait(b"late\n".to_vec()).is_err());
    }

    #[test]
    fn a_failure_is_told_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (spool, thread) = start(directory.path(), 1000);
        fs::create_dir(path(directory.path(), 1)).unwrap();
        assert!(matches!(spool.append_and_wait(b"a\n".to_vec()), Err(SpoolError::Failed(_))));
        assert_eq!(spool.state().octets(), 0);
        spool.append_and_wait(b"b\n".to_vec()).unwrap();
        fs::remove_dir(path(directory.path(), 1)).unwrap();
        assert_eq!(read(directory.path(), Some(spool.state())), ["b"]);
        thread.stop();
        assert!(spool.append_and_wait(b"late\n".to_vec()).is_err());
    }

    #[test]
    fn one_directory_for_each_input() {
        for (input, expected) in [
            ("mail", "/s/spool/mail"),
            ("/var/log/x", "/s/spool/%2fvar%2flog%2fx"),
            ("..", "/s/spool/%2e."),
            ("a b", "/s/spool/a%20b"),
        ] {
            assert_eq!(directory(Path::new("/s"), input), Path::new(expected));
        }
    }
}
