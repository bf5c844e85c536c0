//! Lines of a zone file: plain or gzip, any line ends, bounded memory.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Stamp;

/// Octets read at once: large enough that a system call costs nothing for each line.
const CHUNK_LEN: usize = 256 * 1024;
/// Octets of a line that are looked at. rbldnsd cuts somewhere between 32 and 64 KiB, depending on where in its buffer the
/// line begins.
pub const LINE_LEN_MAX: usize = 64 * 1024;
/// What gzip data begins with (RFC 1952 section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A byte order mark in UTF-8.
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Stamp {
    /// The stamp in a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }

    /// The stamp of the file at a path.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(path)?))
    }
}

/// Where a file's octets come from.
enum Source {
    /// The file itself, after the octets that were read to look for the magic.
    Plain(File),
    /// Through the decompressor.
    Gzip(Box<MultiGzDecoder<io::Chain<io::Cursor<Vec<u8>>, File>>>),
}

/// The lines of an open file.
pub struct Lines {
    /// Where octets come from.
    source: Source,
    /// The same file, to look at it once more at the end.
    file: File,
    /// Octets read and not yet given out are `start..end`.
    chunk: Vec<u8>,
    /// Where they begin.
    start: usize,
    /// Where they end.
    end: usize,
    /// The source has no more.
    at_end: bool,
    /// The stamp at opening.
    stamp: Stamp,
    /// Number of the line given out last, from 1.
    number: u32,
}

/// A line without its end.
#[derive(Clone, Copy, Debug)]
pub struct RawLine<'a> {
    /// Its octets, as far as [`LINE_LEN_MAX`] and the first NUL.
    pub text: &'a [u8],
    /// Number in the file, from 1.
    pub number: u32,
    /// Octets were left out.
    pub cut: bool,
}

impl Lines {
    /// Open a file; `gzip` unpacks what begins like gzip data.
    pub fn open(path: &Path, gzip: bool) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
        }
        let stamp = Stamp::of(&metadata);
        let twin = file.try_clone()?;
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        (&mut file).take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
        let mut chunk = vec![0; CHUNK_LEN];
        let (source, end) = if head == GZIP_MAGIC {
            if !gzip {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "is compressed, and unpacking is switched off"));
            }
            (Source::Gzip(Box::new(MultiGzDecoder::new(io::Cursor::new(head).chain(file)))), 0)
        } else {
            chunk[..head.len()].copy_from_slice(&head);
            (Source::Plain(file), head.len())
        };
        let mut lines = Self { source, file: twin, chunk, start: 0, end, at_end: false, stamp, number: 0 };
        while lines.end < BOM.len() && !lines.at_end {
            lines.fill()?;
        }
        if lines.chunk[..lines.end].starts_with(&BOM) {
            lines.start = BOM.len();
        }
        Ok(lines)
    }

    /// The stamp at opening.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether the file is still what it was at opening.
    pub fn unchanged(&self) -> io::Result<bool> {
        Ok(Stamp::of(&self.file.metadata()?) == self.stamp)
    }

    /// Read more behind what is there.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.chunk.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = &mut self.chunk[self.end..];
        let read = match &mut self.source {
            Source::Plain(file) => file.read(room),
            Source::Gzip(unpacked) => unpacked.read(room),
        };
        match read {
            Ok(0) => self.at_end = true,
            Ok(n) => self.end += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next line, or `None` at the end.
    #[inline]
    pub fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        let mut searched = 0;
        let (start, end) = loop {
            if let Some(at) = memchr::memchr(b'\n', &self.chunk[self.start + searched..self.end]) {
                let start = self.start;
                self.start += searched + at + 1;
                break (start, self.start - 1);
            }
            searched = self.end - self.start;
            if self.at_end {
                if searched == 0 {
                    return Ok(None);
                }
                let start = self.start;
                self.start = self.end;
                break (start, self.end);
            }
            if searched > LINE_LEN_MAX {
                return self.overlong().map(Some);
            }
            self.fill()?;
        };
        self.number = self.number.saturating_add(1);
        let mut text = &self.chunk[start..end];
        if let [line @ .., b'\r'] = text {
            text = line;
        }
        let cut = text.len() > LINE_LEN_MAX;
        Ok(Some(RawLine { text: &text[..text.len().min(LINE_LEN_MAX)], number: self.number, cut }))
    }

    /// The head of a line that does not fit the buffer; the rest is passed over.
    #[cold]
    fn overlong(&mut self) -> io::Result<RawLine<'_>> {
        let head = self.chunk[self.start..self.start + LINE_LEN_MAX].to_vec();
        self.start = self.end;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.chunk[self.start..self.end]) {
                self.start += at + 1;
                break;
            }
            self.start = self.end;
            if self.at_end {
                break;
            }
            self.fill()?;
        }
        self.number = self.number.saturating_add(1);
        // The head is put back in front of what is left, where it can be lent from.
        let left = self.chunk[self.start..self.end].to_vec();
        self.chunk.resize(CHUNK_LEN.max(head.len() + left.len()), 0);
        self.chunk[..head.len()].copy_from_slice(&head);
        self.chunk[head.len()..head.len() + left.len()].copy_from_slice(&left);
        (self.start, self.end) = (head.len(), head.len() + left.len());
        Ok(RawLine { text: &self.chunk[..LINE_LEN_MAX], number: self.number, cut: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The lines of a file with this content.
    fn lines_of(content: &[u8]) -> io::Result<Vec<(Vec<u8>, bool)>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(content)?;
        let mut lines = Lines::open(file.path(), true)?;
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            assert_eq!(line.number as usize, all.len() + 1);
            all.push((line.text.to_vec(), line.cut));
        }
        Ok(all)
    }

    #[test]
    fn line_ends_bom_and_overlong_lines() {
        let long = vec![b'x'; CHUNK_LEN + 10];
        let head = &long[..LINE_LEN_MAX];
        /// A file's content, and its lines with whether they were cut.
        type Case<'a> = (Vec<u8>, Vec<(&'a [u8], bool)>);
        let cases: Vec<Case<'_>> = vec![
            (b"".to_vec(), vec![]),
            (b"a\nb\n".to_vec(), vec![(b"a", false), (b"b", false)]),
            (b"a\r\n\r\nb".to_vec(), vec![(b"a", false), (b"", false), (b"b", false)]),
            (b"\xef\xbb\xbfa\n".to_vec(), vec![(b"a", false)]),
            ([&long[..], b"\nb\nc"].concat(), vec![(head, true), (b"b", false), (b"c", false)]),
            ([b"a\n", &long[..]].concat(), vec![(b"a", false), (head, true)]),
        ];
        for (content, expected) in cases {
            let expected: Vec<(Vec<u8>, bool)> = expected.into_iter().map(|(text, cut)| (text.to_vec(), cut)).collect();
            assert_eq!(lines_of(&content).unwrap(), expected);
        }
    }

    #[test]
    fn gzip_is_unpacked_and_cut_gzip_is_an_error() {
        let text: Vec<u8> = (0..100_000).flat_map(|n: u32| format!("{n}\n").into_bytes()).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(lines_of(&packed).unwrap().len(), 100_000);
        assert!(lines_of(&packed[..packed.len() / 2]).is_err());
    }
}
