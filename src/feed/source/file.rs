//! A log file, followed through rename, copy-and-truncate, replacement, packing and inodes used again.
//!
//! The reader stands in one file at a time. At its end it looks where that file now stands among those that rotation has
//! left ([`candidates`]) and goes on with the next younger one, if that has something in it. So a stop of any length
//! and a rotation between two looks are the same thing. A truncated file is finished in the copy that was made of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::candidates::{self, Candidate, HEAD_OCTETS_MAX, Identity, number_of};
use super::lines::{Lines, Splitter};
use super::{Position, Saved, SavedFile, Step, Wake};
use crate::sys::clock;

/// Octets read at once: large enough for the cost of a call to vanish, small enough to be cached.
const CHUNK_OCTETS: usize = 256 << 10;
/// How long a renamed file must stand still, while its successor is being written, before it counts as finished: daemons
/// that were told to reopen their log take some milliseconds for it.
pub const ROTATE_QUIET: Duration = Duration::from_millis(200);

/// What is followed.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// The file's name while it is written.
    pub path: PathBuf,
    /// See [`ROTATE_QUIET`].
    pub rotate_quiet: Duration,
}

/// A file that is open.
struct Open {
    /// Its octets.
    octets: Octets,
    /// The name by which it was opened.
    path: PathBuf,
    /// Device and inode.
    number: (u64, u64),
    /// Its number among the files of the input.
    generation: u64,
    /// Its first octets, as far as they were read.
    head: Vec<u8>,
    /// Cuts it into lines, and knows how far it is read.
    splitter: Splitter,
}

/// Where octets come from.
enum Octets {
    /// A plain file.
    Plain(File),
    /// One packed by gzip.
    Packed(Box<MultiGzDecoder<File>>),
}

/// What the end of a file means.
enum End {
    /// More may come.
    Wait,
    /// It was truncated: it is another file now.
    Truncated,
    /// This one follows.
    Next(Candidate),
    /// This one has the same beginning and takes its place.
    Replaced(Candidate),
}

impl Open {
    /// Open a file and go to a place in it. Errors: it can not be read, or is shorter than that.
    fn at(candidate: &Candidate, generation: u64, offset: u64, number: u64) -> io::Result<Self> {
        let file = File::open(&candidate.path)?;
        let (octets, head) = if candidate.packed {
            let mut decoder = Box::new(MultiGzDecoder::new(file));
            let mut head = Vec::new();
            decoder.by_ref().take(offset.min(HEAD_OCTETS_MAX as u64)).read_to_end(&mut head)?;
            let rest = offset - head.len() as u64;
            if io::copy(&mut decoder.by_ref().take(rest), &mut io::sink())? < rest {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (Octets::Packed(decoder), head)
        } else {
            if file.metadata()?.len() < offset {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut head = vec![0; offset.min(HEAD_OCTETS_MAX as u64) as usize];
            file.read_exact_at(&mut head, 0)?;
            (Octets::Plain(file), head)
        };
        let number_of_file = match &octets {
            Octets::Plain(file) => number_of(&file.metadata()?),
            Octets::Packed(decoder) => number_of(&decoder.get_ref().metadata()?),
        };
        let splitter = Splitter::at(offset, number);
        Ok(Self { octets, path: candidate.path.clone(), number: number_of_file, generation, head, splitter })
    }

    /// Read on. `None` where the file is no longer the one that it was. Errors: it can not be read.
    fn read(&mut self, chunk: &mut [u8], lines: &mut Lines) -> io::Result<Option<usize>> {
        let count = match &mut self.octets {
            Octets::Packed(decoder) => decoder.read(chunk)?,
            Octets::Plain(file) => {
                let count = file.read_at(chunk, self.splitter.taken())?;
                // Truncated and written again, the octets just read are of another file: so the head is looked at after them.
                let mut head = [0; HEAD_OCTETS_MAX];
                let same = file.read_exact_at(&mut head[..self.head.len()], 0).is_ok();
                if !same || head[..self.head.len()] != self.head {
                    return Ok(None);
                }
                if count == 0 && file.metadata()?.len() < self.splitter.taken() {
                    return Ok(None);
                }
                count
            }
        };
        let chunk = &chunk[..count];
        if self.splitter.taken() == self.head.len() as u64 {
            let more = (HEAD_OCTETS_MAX - self.head.len()).min(chunk.len());
            self.head.extend_from_slice(&chunk[..more]);
        }
        self.splitter.feed(chunk, lines);
        Ok(Some(count))
    }

    /// Its first octets as far as they tell it from others: whole lines, since the beginning of one, such as a date, is that of many.
    fn telling_head(&self) -> &[u8] {
        let whole = memchr::memrchr(b'\n', &self.head).map_or(0, |at| at + 1);
        if self.head.len() < HEAD_OCTETS_MAX { &self.head[..whole] } else { &self.head }
    }

    /// Is a candidate surely a copy of it?
    fn is_copy(&self, candidate: &Candidate) -> bool {
        let head = self.telling_head();
        !head.is_empty() && candidate.head().is_ok_and(|other| other.starts_with(head))
    }

    /// Has a candidate the same beginning?
    fn same_head(&self, candidate: &Candidate) -> bool {
        !self.head.is_empty() && candidate.head().is_ok_and(|head| head.starts_with(&self.head))
    }
}

/// Follows one log file.
pub struct FileReader {
    /// What to follow.
    options: FileOptions,
    /// Where to begin; taken at the first look.
    saved: Option<Saved>,
    /// The file that is being read.
    open: Option<Open>,
    /// The file that follows, already open.
    next: Option<Open>,
    /// The files from the low-water mark on, and those of a former run that are still to come.
    known: BTreeMap<u64, SavedFile>,
    /// Have they changed since they were last asked for?
    changed: bool,
    /// The last generation there was.
    newest: u64,
    /// Since when the open file stands still while its successor is written.
    quiet_since: Option<Duration>,
    /// Memory for reading.
    chunk: Vec<u8>,
    /// The trouble that was last told, so that it is told once.
    told: Option<io::ErrorKind>,
}

impl FileReader {
    /// Follow a file from where a former run stopped.
    pub fn new(options: FileOptions, saved: Saved) -> Self {
        let known: BTreeMap<u64, SavedFile> = saved.files.iter().map(|file| (file.generation, file.clone())).collect();
        let newest = known.keys().copied().fold(saved.read.generation.max(saved.low_water.generation), u64::max);
        Self {
            options,
            saved: Some(saved),
            open: None,
            next: None,
            known,
            changed: false,
            newest,
            quiet_since: None,
            chunk: vec![0; CHUNK_OCTETS],
            told: None,
        }
    }

    /// Read on. Errors: the file can not be read; try again later.
    pub fn read(&mut self, lines: &mut Lines) -> io::Result<Step> {
        if let Some(next) = self.next.take() {
            return Ok(self.enter(next));
        }
        let Some(open) = &mut self.open else { return self.begin() };
        let head_octets = open.head.len();
        let read = match open.read(&mut self.chunk, lines) {
            Err(error) if matches!(open.octets, Octets::Packed(_)) => {
                if self.told.replace(error.kind()) != Some(error.kind()) {
                    tracing::warn!("{}: the rest can not be unpacked: {error}", open.path.display());
                }
                Some(0)
            }
            other => other?,
        };
        if open.head.len() != head_octets {
            self.remember();
        }
        match read {
            Some(0) => {
                let end = self.end();
                self.leave(end, lines)
            }
            Some(_) => {
                self.quiet_since = None;
                Ok(if lines.is_empty() { Step::Again } else { Step::Lines })
            }
            None => self.leave(End::Truncated, lines),
        }
    }

    /// The files from the low-water mark on, if they have changed since this was last asked.
    pub fn changed_files(&mut self) -> Option<Vec<SavedFile>> {
        std::mem::take(&mut self.changed).then(|| self.known.values().cloned().collect())
    }

    /// Files before this one will not be read again.
    pub fn forget_before(&mut self, generation: u64) {
        let kept = self.known.split_off(&generation);
        self.changed |= !self.known.is_empty();
        self.known = kept;
    }

    /// The name by which a file was read; empty where it is forgotten.
    pub fn file_name(&self, generation: u64) -> String {
        self.known.get(&generation).map_or_else(String::new, |file| file.path.clone())
    }

    /// Octets of the open file that are not read yet.
    pub fn behind_octets(&self) -> u64 {
        match &self.open {
            Some(Open { octets: Octets::Plain(file), splitter, .. }) => {
                file.metadata().map_or(0, |metadata| metadata.len().saturating_sub(splitter.taken()))
            }
            _ => 0,
        }
    }

    /// Find the first file.
    fn begin(&mut self) -> io::Result<Step> {
        let Some(saved) = self.saved.take() else { return self.begin_fresh() };
        let all = candidates::list(&self.options.path);
        for file in &saved.files {
            let mut matching: Vec<&Candidate> = all.iter().filter(|candidate| candidate.is(&file.identity)).collect();
            let number = (file.identity.device, file.identity.inode);
            matching.sort_by_key(|candidate| (candidate.number != number, candidate.packed));
            let low = saved.low_water;
            let (offset, lines) = if file.generation == low.generation { (low.offset, low.number) } else { (0, 0) };
            let opened = matching.iter().find_map(|candidate| Open::at(candidate, file.generation, offset, lines).ok());
            if let Some(open) = opened {
                return Ok(self.enter_first(open, low));
            }
        }
        if !saved.files.is_empty() {
            tracing::warn!(
                "{}: the file that was read last is not there any more; lines that it had may be lost",
                self.options.path.display()
            );
            self.known.clear();
            self.newest += 1;
            // What was written since then comes first, if rotation has left it.
            if let Some(first) =
                all.iter().find(|candidate| candidate.octets > 0 && candidate.changed_ms >= saved.time_ms)
            {
                let open = Open::at(first, self.newest, 0, 0)?;
                return Ok(self.enter_first(open, saved.low_water));
            }
        }
        self.begin_fresh()
    }

    /// Begin with the file as it is now, once there is one.
    fn begin_fresh(&mut self) -> io::Result<Step> {
        let candidate = match Candidate::at(&self.options.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Step::Still),
            other => other?,
        };
        let open = Open::at(&candidate, self.newest, 0, 0)?;
        Ok(self.enter(open))
    }

    /// Enter the first file of this run.
    fn enter_first(&mut self, open: Open, low: Position) -> Step {
        let (generation, path) = (open.generation, open.path.display().to_string());
        tracing::info!("{path}: going on at octet {}", open.splitter.taken());
        self.enter(open);
        if generation == low.generation { Step::Again } else { Step::Rotated(generation) }
    }

    /// Go on in this file.
    fn enter(&mut self, open: Open) -> Step {
        let generation = open.generation;
        self.newest = self.newest.max(generation);
        self.open = Some(open);
        self.quiet_since = None;
        self.remember();
        Step::Rotated(generation)
    }

    /// Note what the open file is known by.
    fn remember(&mut self) {
        if let Some(open) = &self.open {
            let identity = Identity::new(open.number, open.telling_head());
            let file =
                SavedFile { generation: open.generation, identity, path: open.path.to_string_lossy().into_owned() };
            // A file of a former run that is read again keeps the longer head.
            let old = self.known.get(&open.generation);
            if old.is_none_or(|old| old.identity.head_octets <= identity.head_octets) {
                self.known.insert(open.generation, file);
                self.changed = true;
            }
        }
    }

    /// Nothing more is in the open file now: what does that mean?
    fn end(&self) -> End {
        let Some(open) = &self.open else { return End::Wait };
        let named = Candidate::at(&self.options.path);
        if named.as_ref().is_ok_and(|named| named.number == open.number) {
            return End::Wait;
        }
        let all = candidates::list(&self.options.path);
        let here = all.iter().position(|candidate| candidate.number == open.number);
        let copy = || all.iter().rposition(|candidate| open.same_head(candidate));
        let here = match (here, here.is_none().then(copy).flatten()) {
            // Ours was replaced by a copy, or packed; the copy may have been written to since.
            (None, Some(copy)) if all[copy].packed || all[copy].octets >= open.splitter.taken() => {
                return End::Replaced(all[copy].clone());
            }
            (here, copy) => here.or(copy),
        };
        let last = all.len().saturating_sub(1);
        // A file that is gone without a trace is followed by the one that has its name now.
        let after = &all[here.map_or(last, |at| at + 1).min(all.len())..];
        let unpacked_too = |candidate: &Candidate| {
            candidate.packed && all.iter().any(|other| other.path == candidate.path.with_extension(""))
        };
        // A packed file without content is not empty on disk.
        let filled = |candidate: &Candidate| candidate.head().is_ok_and(|head| !head.is_empty());
        let fit = |candidate: &&Candidate| {
            candidate.octets > 0 && !unpacked_too(candidate) && filled(candidate) && !open.is_copy(candidate)
        };
        let come_before = after.iter().filter(fit).find(|candidate| self.known_generation(candidate).is_some());
        come_before.or_else(|| after.iter().find(fit)).map_or(End::Wait, |next| End::Next(next.clone()))
    }

    /// The number that a file had in a former run, if it is still to come.
    fn known_generation(&self, candidate: &Candidate) -> Option<u64> {
        let generation = self.open.as_ref()?.generation;
        // One that was empty is known by its number alone, which may be another file's by now; and nothing of it was read.
        let mut later = self.known.range(generation + 1..).filter(|(_, file)| file.identity.head_octets > 0);
        later.find(|(_, file)| candidate.is(&file.identity)).map(|(&generation, _)| generation)
    }

    /// Do what the end of the open file asks for. Errors: the next file can not be read.
    fn leave(&mut self, end: End, lines: &mut Lines) -> io::Result<Step> {
        let Some(open) = &mut self.open else { return Ok(Step::Still) };
        let next = match end {
            End::Wait => return Ok(Step::Still),
            End::Replaced(candidate) => {
                take_over(open, &candidate)?;
                self.remember();
                return Ok(Step::Again);
            }
            End::Truncated => {
                let all = candidates::list(&self.options.path);
                let copies = all.iter().rev().filter(|copy| copy.number != open.number && open.same_head(copy));
                let longer = |copy: &&Candidate| copy.packed || copy.octets >= open.splitter.taken();
                if let Some(copy) = copies.into_iter().find(longer).cloned()
                    && take_over(open, &copy).is_ok()
                {
                    tracing::info!("{}: truncated; its copy is read to the end", self.options.path.display());
                    return Ok(Step::Again);
                }
                tracing::info!("{}: truncated; reading begins anew", self.options.path.display());
                match Candidate::at(&self.options.path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Step::Still),
                    other => other?,
                }
            }
            End::Next(candidate) => {
                let now = clock::monotonic();
                let since = *self.quiet_since.get_or_insert(now);
                if candidate.path == self.options.path && now - since < self.options.rotate_quiet {
                    return Ok(Step::Still);
                }
                candidate
            }
        };
        let generation = self.known_generation(&next).unwrap_or_else(|| {
            self.known.retain(|&generation, _| self.open.as_ref().is_none_or(|open| generation <= open.generation));
            self.newest + 1
        });
        let next = Open::at(&next, generation, 0, 0)?;
        // Looked at once more, now that the next one is surely there: what came meanwhile belongs before it.
        if let Some(open) = &mut self.open {
            while let Ok(Some(1..)) = open.read(&mut self.chunk, lines) {}
            open.splitter.end(lines);
        }
        if lines.is_empty() {
            return Ok(self.enter(next));
        }
        self.next = Some(next);
        Ok(Step::Lines)
    }
}

/// Go on in another file with the same beginning, at the same place. Errors: it can not be read or is too short.
fn take_over(open: &mut Open, candidate: &Candidate) -> io::Result<()> {
    let other = Open::at(candidate, open.generation, open.splitter.taken(), 0)?;
    (open.octets, open.path, open.number) = (other.octets, other.path, other.number);
    Ok(())
}

/// Wake a thread when something happens in the file's directory: a hint only, the poll finds what it misses. `None` where
/// the system gives no events.
pub fn watch(path: &Path, wake: Wake) -> Option<RecommendedWatcher> {
    let file = std::path::absolute(path).ok()?;
    let directory = file.parent()?.to_owned();
    let told = move |event: notify::Result<notify::Event>| {
        // Reading, which we do ourselves, is no news.
        if event.map_or(true, |event| !event.kind.is_access()) {
            wake.touch();
        }
    };
    let mut watcher = notify::recommended_watcher(told).ok()?;
    watcher.watch(&directory, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
