//! Random file actions against a model: every line exactly once, whatever happens to the file, wherever reading stops.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// Rotated files that are kept.
const KEPT: usize = 9;

/// Numbers that repeat with their seed.
struct Random(u64);

impl Random {
    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A log that is written and rotated.
struct Log {
    /// Its directory.
    directory: tempfile::TempDir,
    /// Every line ever written.
    written: Vec<String>,
    /// A beginning of a line that stands at the end of the file, to be finished.
    half: Option<(String, usize)>,
}

impl Log {
    /// A log without a file.
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), written: Vec::new(), half: None }
    }

    /// The name of the file, or of the `n`th that was rotated.
    fn path(&self, n: usize) -> PathBuf {
        self.directory.path().join(if n == 0 { "mail.log".to_owned() } else { format!("mail.log.{n}") })
    }

    /// Write octets at the end.
    fn put(&self, octets: &[u8]) {
        File::options().append(true).create(true).open(self.path(0)).unwrap().write_all(octets).unwrap();
    }

    /// Finish a line that was begun.
    fn finish(&mut self) {
        if let Some((line, at)) = self.half.take() {
            self.put(&line.as_bytes()[at..]);
            self.put(b"\n");
            self.written.push(line);
        }
    }

    /// Write lines, perhaps only the beginning of the last.
    fn append(&mut self, random: &mut Random) {
        self.finish();
        for _ in 0..random.below(8) {
            let long = if random.below(4) == 0 { 900 } else { 30 };
            let line = format!("{:06} line {}", self.written.len(), "x".repeat(random.below(long) as usize));
            self.put(format!("{line}\n").as_bytes());
            self.written.push(line);
        }
        if random.below(4) == 0 {
            // Its beginning tells it from others, as a stamp does: a file of which less was seen can not be told from its successor.
            let line = format!("{:06} line in two parts", self.written.len());
            let at = 7 + random.below(10) as usize;
            self.put(&line.as_bytes()[..at]);
            self.half = Some((line, at));
        }
    }

    /// Make room for a rotated file.
    fn shift(&self) {
        for n in (1..=KEPT).rev() {
            for end in ["", ".gz"] {
                let from = self.directory.path().join(format!("mail.log.{n}{end}"));
                if from.exists() {
                    fs::rename(&from, self.directory.path().join(format!("mail.log.{}{end}", n + 1))).unwrap();
                }
            }
        }
    }

    /// Rotate by renaming.
    fn rename(&mut self, random: &mut Random) {
        self.finish();
        if self.path(0).exists() {
            self.shift();
            fs::rename(self.path(0), self.path(1)).unwrap();
            if random.below(2) == 0 {
                self.put(b"");
            }
        }
    }

    /// Rotate by copying and truncating.
    fn copy_and_truncate(&mut self) {
        self.finish();
        if self.path(0).exists() {
            self.shift();
            fs::copy(self.path(0), self.path(1)).unwrap();
            File::options().write(true).open(self.path(0)).unwrap().set_len(0).unwrap();
        }
    }

    /// Pack the newest rotated file that is not packed.
    fn pack(&self) {
        if let Some(n) = (1..=KEPT).find(|&n| self.path(n).exists()) {
            let packed = self.directory.path().join(format!("mail.log.{n}.gz"));
            let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
            encoder.write_all(&fs::read(self.path(n)).unwrap()).unwrap();
            encoder.finish().unwrap();
            fs::remove_file(self.path(n)).unwrap();
        }
    }

    /// Replace the file by a copy of itself, as an editor does.
    fn replace(&self) {
        if self.path(0).exists() {
            let aside = self.directory.path().join("aside");
            fs::copy(self.path(0), &aside).unwrap();
            fs::rename(&aside, self.path(0)).unwrap();
        }
    }
}

/// Reads the log and keeps the marks as the store would.
struct Reading {
    /// The reader.
    reader: FileReader,
    /// The file being read.
    generation: u64,
    /// Every line that came out, once.
    lines: Vec<String>,
    /// Where the last lines begin, and where the last one ends.
    begins: VecDeque<Position>,
    /// Where reading stands.
    read: Position,
    /// Up to here everything was had before.
    replay_until: Position,
    /// The files as the store has them.
    files: Vec<SavedFile>,
}

impl Reading {
    /// Begin.
    fn new(log: &Log, saved: Saved, lines: Vec<String>) -> Self {
        let options = FileOptions { path: log.path(0), rotate_quiet: Duration::ZERO };
        Self {
            generation: saved.low_water.generation,
            begins: VecDeque::from([saved.low_water]),
            read: saved.low_water,
            replay_until: saved.read,
            files: saved.files.clone(),
            reader: FileReader::new(options, saved),
            lines,
        }
    }

    /// Take a step; false when there is nothing now.
    fn step(&mut self) -> bool {
        let mut lines = Lines::default();
        let step = self.reader.read(&mut lines).unwrap();
        if let Some(files) = self.reader.changed_files() {
            self.files = files;
        }
        if let Step::Rotated(generation) = step {
            assert!(generation >= self.generation);
            self.generation = generation;
        }
        for line in lines.iter(0) {
            let place = line.place;
            let generation = self.generation;
            self.begins.push_back(Position { generation, offset: place.offset, number: place.number - 1 });
            self.read = Position { generation, offset: place.end, number: place.number };
            if self.read > self.replay_until {
                self.lines.push(String::from_utf8(line.text.to_vec()).unwrap());
            }
        }
        while self.begins.len() > 12 {
            self.begins.pop_front();
        }
        step != Step::Still
    }

    /// Read to the end.
    fn drain(&mut self) {
        while self.step() {}
    }

    /// Stop somewhere and begin again at some earlier line.
    fn restart(mut self, log: &Log, random: &mut Random) -> Self {
        let read = self.read.max(self.replay_until);
        let at = random.below(self.begins.len() as u64 + 1) as usize;
        let low_water = self.begins.get(at).copied().unwrap_or(self.read);
        self.reader.forget_before(low_water.generation);
        let files = self.reader.changed_files().unwrap_or(self.files);
        let files = files.into_iter().filter(|file| file.generation >= low_water.generation).collect();
        let saved = Saved { low_water, read, files, ..Saved::default() };
        Self::new(log, saved, self.lines)
    }
}

/// Do random things with one seed.
fn check(seed: u64, actions: u32) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut log = Log::new();
    let mut reading = Reading::new(&log, Saved::default(), Vec::new());
    // What was rotated before the first look is not read, so that comes after a line.
    log.put(b"the first\n");
    log.written.push("the first".to_owned());
    reading.drain();
    let mut rotations = 0;
    let mut story = Vec::new();
    for _ in 0..actions {
        let action = random.below(14);
        story.push(action);
        match action {
            0..=4 => log.append(&mut random),
            // What the reader has not seen must not be rotated out of its sight; half of all rotations find it far behind.
            5 | 6 if rotations < KEPT - 2 => {
                rotations += 1;
                log.rename(&mut random);
            }
            7 if rotations < KEPT - 2 => {
                // A truncated file is known by its beginning only once something of it was read.
                reading.drain();
                rotations += 1;
                log.append(&mut random);
                log.copy_and_truncate();
            }
            8 => log.pack(),
            9 => log.replace(),
            10 => {
                reading = reading.restart(&log, &mut random);
                reading.drain();
                rotations = 0;
            }
            11 => {
                reading.drain();
                rotations = 0;
            }
            _ => {
                reading.step();
            }
        }
    }
    log.finish();
    log.append(&mut random);
    log.finish();
    reading.drain();
    let first = reading.lines.iter().zip(&log.written).position(|(found, written)| found != written);
    assert!(
        reading.lines == log.written,
        "seed {seed}: {} lines written, {} read, the first other at {first:?}: {:?}\n{story:?}",
        log.written.len(),
        reading.lines.len(),
        first.map(|at| (&reading.lines[at], &log.written[at]))
    );
}

#[test]
fn every_line_exactly_once_whatever_happens_to_the_file() {
    for seed in 0..400 {
        check(seed, 60);
    }
}

#[test]
fn a_file_that_is_not_there_yet_and_one_that_went_away() {
    let mut log = Log::new();
    let mut reading = Reading::new(&log, Saved::default(), Vec::new());
    reading.drain();
    log.put(b"one\n");
    log.written.push("one".to_owned());
    reading.drain();
    fs::remove_file(log.path(0)).unwrap();
    reading.drain();
    log.put(b"two, with the same number perhaps\n");
    reading.drain();
    assert_eq!(reading.lines, ["one", "two, with the same number perhaps"]);
}

#[test]
fn rotated_away_while_stopped_and_gone() {
    let log = Log::new();
    log.put(b"one\ntwo\n");
    let mut reading = Reading::new(&log, Saved::default(), Vec::new());
    reading.drain();
    fs::remove_file(log.path(0)).unwrap();
    log.put(b"three\n");
    let mut again = reading.restart(&log, &mut Random(1));
    again.drain();
    assert_eq!(again.lines, ["one", "two", "three"]);
}

#[test]
fn an_inode_used_again_is_no_old_file() {
    let log = Log::new();
    log.put(b"old one\nold two\n");
    let mut reading = Reading::new(&log, Saved::default(), Vec::new());
    reading.drain();
    // The same inode, as after a deletion while we were stopped, and longer than what was read.
    fs::write(log.path(0), b"new one\nnew two\nnew three\n").unwrap();
    let mut again = reading.restart(&log, &mut Random(2));
    again.drain();
    assert_eq!(again.lines, ["old one", "old two", "new one", "new two", "new three"]);
}
