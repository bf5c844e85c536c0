//! The files that a rotation leaves behind: which they are, in which order they were written, what tells them apart.
//!
//! A name says little: rotation renames, copies, truncates and packs, and a file system gives an inode's number to the next
//! file as soon as it is free. So a file is known by device and inode together with its first octets, and a copy with
//! the same first octets counts as the same file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

/// Octets of a file's head that are looked at.
pub const HEAD_OCTETS_MAX: usize = 1024;
/// Most files of one rotation that are looked at: a year of daily ones, with room.
const FILES_MAX: usize = 1000;

/// What tells a file from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The file system's number.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
    /// Octets of its head that were hashed: [`HEAD_OCTETS_MAX`], or what there was of it.
    pub head_octets: u32,
    /// The first half of their SHA-256.
    pub head_hash: [u8; 16],
}

impl Identity {
    /// The identity of an open file with this head.
    pub fn new(file: (u64, u64), head: &[u8]) -> Self {
        let head = &head[..head.len().min(HEAD_OCTETS_MAX)];
        Self { device: file.0, inode: file.1, head_octets: head.len() as u32, head_hash: hash(head) }
    }

    /// Is this a file that begins with `head` and has this number, or a copy of it? Of a file that was empty only the number is known.
    pub fn is(&self, file: (u64, u64), head: &[u8]) -> bool {
        match self.head_octets as usize {
            0 => (self.device, self.inode) == file,
            octets => head.len() >= octets && hash(&head[..octets]) == self.head_hash,
        }
    }
}

/// The first half of SHA-256.
fn hash(octets: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(octets);
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

/// Device and inode of a file.
pub fn number_of(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub path: PathBuf,
    /// Device and inode.
    pub number: (u64, u64),
    /// Is it packed by gzip?
    pub packed: bool,
    /// Octets on disk.
    pub octets: u64,
    /// When it was last written, in milliseconds since 1970.
    pub changed_ms: i64,
}

impl Candidate {
    /// Look at a file. Errors: it is not there, or no plain file.
    pub fn at(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            packed: path.extension() == Some(OsStr::new("gz")),
            path: path.to_owned(),
            number: number_of(&metadata),
            octets: metadata.len(),
            changed_ms: i64::try_from(changed.as_millis()).unwrap_or(i64::MAX),
        })
    }

    /// Its head, unpacked. Errors: it can not be read.
    pub fn head(&self) -> io::Result<Vec<u8>> {
        let file = File::open(&self.path)?;
        let mut head = Vec::with_capacity(HEAD_OCTETS_MAX);
        if self.packed {
            MultiGzDecoder::new(file).take(HEAD_OCTETS_MAX as u64).read_to_end(&mut head)?;
        } else {
            file.take(HEAD_OCTETS_MAX as u64).read_to_end(&mut head)?;
        }
        Ok(head)
    }

    /// Is it the file of this identity, or a copy?
    pub fn is(&self, identity: &Identity) -> bool {
        // What can not be read is nothing that we know.
        self.head().is_ok_and(|head| identity.is(self.number, &head))
    }
}

/// How a rotated file stands to the others: dated ones are older the smaller, numbered ones the larger.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// `mail.log-20261121`, `mail.log.2026-11-21`, oldest first.
    Dated(Vec<u8>),
    /// `mail.log.2`: the number, turned.
    Numbered(std::cmp::Reverse<u64>),
    /// The file itself.
    Newest,
}

/// The age that a name says, if it is a rotated file of `base`; packed or not.
fn age(base: &[u8], name: &[u8]) -> Option<Age> {
    let rest = name.strip_prefix(base)?;
    if rest.is_empty() {
        return Some(Age::Newest);
    }
    let rest = rest.strip_suffix(b".gz").unwrap_or(rest);
    let (mark, rest) = rest.split_first()?;
    let digits = rest.iter().filter(|c| c.is_ascii_digit()).count();
    if ![b'.', b'-'].contains(mark) || digits == 0 || !rest.iter().all(|c| c.is_ascii_digit() || b"-_.".contains(c)) {
        return None;
    }
    // logrotate counts up to some hundred; a date has six digits or more.
    if digits == rest.len() && digits < 6 {
        return std::str::from_utf8(rest).ok()?.parse().ok().map(|n| Age::Numbered(std::cmp::Reverse(n)));
    }
    Some(Age::Dated(rest.to_vec()))
}

/// The file and those that its rotation left, oldest first. Of `x.1` and `x.1.gz` the packed one comes first.
pub fn list(path: &Path) -> Vec<Candidate> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let Some(base) = path.file_name() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<(Age, bool, Candidate)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let age = age(base.as_bytes(), name.as_bytes())?;
            let candidate = Candidate::at(&directory.join(&name)).ok()?;
            Some((age, !candidate.packed, candidate))
        })
        .collect();
    found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let spare = found.len().saturating_sub(FILES_MAX);
    found.drain(..spare);
    found.into_iter().map(|(_, _, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_first() {
        let directory = tempfile::tempdir().unwrap();
        let expected = [
            "mail.log-20261101.gz",
            "mail.log-20261102",
            "mail.log.10.gz",
            "mail.log.2.gz",
            "mail.log.1.gz",
            "mail.log.1",
            "mail.log",
        ];
        for name in
            expected.iter().rev().chain(&["mail.log.bak", "mail.log.1.xz", "mail.logs", "mail.log.", "xmail.log.1"])
        {
            std::fs::write(directory.path().join(name), name).unwrap();
        }
        let found: Vec<String> = list(&directory.path().join("mail.log"))
            .iter()
            .map(|candidate| candidate.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn known_by_its_head_wherever_it_lies() {
        let identity = Identity::new((1, 2), b"first line\n");
        for (number, head, expected) in [
            ((1, 2), &b"first line\nsecond\n"[..], true),
            ((9, 9), b"first line\n", true),
            ((1, 2), b"first lin", false),
            ((1, 2), b"other lines\n", false),
        ] {
            assert_eq!(identity.is(number, head), expected, "{number:?} {head:?}");
        }
        let empty = Identity::new((1, 2), b"");
        assert!(empty.is((1, 2), b"whatever") && !empty.is((1, 3), b""));
    }
}
