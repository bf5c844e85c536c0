//! A spool, followed: its segments one after the other, each up to what is synced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::lines::{Lines, Splitter};
use super::{Position, Step};
use crate::feed::spool::{self, SpoolState};

/// Octets read at once.
const CHUNK_OCTETS: usize = 256 << 10;

/// Follows a spool. A segment's number is its generation.
pub struct SegmentReader {
    /// The spool's directory.
    directory: PathBuf,
    /// Where its writer stands; without one, in another process, everything that is there is taken.
    state: Option<Arc<SpoolState>>,
    /// Where to begin.
    begin: Position,
    /// The segment being read.
    open: Option<(u64, File)>,
    /// Cuts it into lines.
    splitter: Splitter,
    /// Memory for reading.
    chunk: Vec<u8>,
}

impl SegmentReader {
    /// Follow a spool from a position on.
    pub fn new(directory: PathBuf, state: Option<Arc<SpoolState>>, begin: Position) -> Self {
        Self { directory, state, begin, open: None, splitter: Splitter::default(), chunk: vec![0; CHUNK_OCTETS] }
    }

    /// Read on. Errors: a segment can not be read.
    pub fn read(&mut self, lines: &mut Lines) -> io::Result<Step> {
        let Some((number, file)) = &self.open else { return self.next(self.begin.generation) };
        let number = *number;
        let taken = self.splitter.taken();
        let mut room = self.chunk.len();
        if let Some(state) = &self.state
            && state.synced().0 == number
        {
            room = room.min(usize::try_from(state.synced().1.saturating_sub(taken)).unwrap_or(room));
        }
        let count = file.read_at(&mut self.chunk[..room], taken)?;
        if count == 0 {
            // Only a segment that is not written any more is over, so this is asked before the last look at it.
            let over = match &self.state {
                Some(state) => state.synced().0 > number,
                None => self.following(number + 1)?.is_some(),
            };
            if over && file.metadata()?.len() <= taken {
                return self.next(number + 1);
            }
            return Ok(Step::Still);
        }
        self.splitter.feed(&self.chunk[..count], lines);
        Ok(if lines.is_empty() { Step::Again } else { Step::Lines })
    }

    /// Delete the segments before this one. Errors: what the system says.
    pub fn forget_before(&mut self, generation: u64) -> io::Result<()> {
        for (number, octets) in spool::list(&self.directory)? {
            if number < generation {
                std::fs::remove_file(spool::path(&self.directory, number))?;
                if let Some(state) = &self.state {
                    state.deleted(octets);
                }
            }
        }
        Ok(())
    }

    /// Octets that are not read yet.
    pub fn behind_octets(&self) -> u64 {
        let from = self.open.as_ref().map_or(self.begin.generation, |(number, _)| *number);
        let all = spool::list(&self.directory).unwrap_or_default();
        let after: u64 = all.iter().filter(|(number, _)| *number >= from).map(|(_, octets)| octets).sum();
        after.saturating_sub(self.splitter.taken())
    }

    /// Octets of all segments.
    pub fn spool_octets(&self) -> u64 {
        spool::list(&self.directory).unwrap_or_default().iter().map(|(_, octets)| octets).sum()
    }

    /// The first segment from this number on.
    fn following(&self, number: u64) -> io::Result<Option<u64>> {
        Ok(spool::list(&self.directory)?.into_iter().map(|(found, _)| found).find(|&found| found >= number))
    }

    /// Go on with the first segment from this number on, if there is one.
    fn next(&mut self, number: u64) -> io::Result<Step> {
        let Some(number) = self.following(number)? else { return Ok(Step::Still) };
        let file = File::open(spool::path(&self.directory, number))?;
        self.splitter = if number == self.begin.generation {
            Splitter::at(self.begin.offset, self.begin.number)
        } else {
            // What was left of the segment before is a line that was never acknowledged.
            Splitter::default()
        };
        let first = self.open.replace((number, file)).is_none();
        Ok(if first && number == self.begin.generation { Step::Again } else { Step::Rotated(number) })
    }
}
