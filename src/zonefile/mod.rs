//! Zone files: text to entries to datasets, in rbldnsd's syntax (rbldnsd.8, "Zone file formats").
//!
//! A line is read in one pass: [`input`] gives it without its end, [`special`] takes those that begin with `$`,
//! [`address`], [`value`] and [`record`] read keys and what follows them, and a [`Builder`] takes the [`Entry`]. A bad
//! line is told and skipped. Only what would change the meaning of the lines after it makes a bad file.

pub mod address;
pub mod input;
pub mod record;
pub mod special;
pub mod value;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::entry::{Entry, Key, Scope};
use crate::dataset::{AddError, Builder, Dataset, Header, Kind, Part};
use crate::diag::{BadFile, Diagnostic, Severity};
use crate::wire::name::{NAME_LEN_MAX, Name, parse};
use address::{Ip4Forms, Ip4Key, Ip6Forms, Scan};
use input::{Lines, RawLine};
use special::{Section, Special};

/// What to read: a type and its files, which make up one dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Type of the dataset.
    pub kind: Kind,
    /// Its files, in order.
    pub files: Vec<PathBuf>,
    /// How to read them.
    pub options: ReadOptions,
}

/// How to read zone files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadOptions {
    /// Mask host bits below a prefix instead of refusing the line (rbldnsd's `-e`).
    pub mask_host_bits: bool,
    /// Unpack gzip (off: rbldnsd's `-C`).
    pub gzip: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { mask_host_bits: false, gzip: true }
    }
}

/// What is known of a file without reading it; a change of any field means a change of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Octets.
    pub size: u64,
    /// Time of last modification, nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Device and inode.
    pub inode: (u64, u64),
}

/// A dataset fresh from its files.
#[derive(Debug)]
pub struct Loaded {
    /// The data.
    pub dataset: Dataset,
    /// The files' stamps, taken from the open files.
    pub stamps: Vec<Stamp>,
    /// Diagnostics given.
    pub diagnostics: u64,
}

/// Why a line can not be used: where in it, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The octet of the line, from 0.
    pub at: usize,
    /// What is wrong.
    pub message: Cow<'static, str>,
    /// What to do; may be empty.
    pub hint: Cow<'static, str>,
}

impl Fault {
    /// A fault without a hint.
    #[cold]
    pub fn new(at: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self { at, message: message.into(), hint: Cow::Borrowed("") }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Read and freeze a dataset; each finding goes to `tell` as it is met.
///
/// `now` (seconds since 1970) is what `$TIMESTAMP` is compared with. Errors: a file that can not be used,
/// see [`BadFile`]; a bad line is a warning and is skipped.
pub fn read(source: &Source, now: i64, tell: &mut dyn FnMut(Diagnostic)) -> Result<Loaded, BadFile> {
    let mut diagnostics = 0;
    let mut tell = |diagnostic: Diagnostic| {
        diagnostics += 1;
        tell(diagnostic);
    };
    let mut reader = Reader::new(source, now);
    let mut stamps = Vec::with_capacity(source.files.len());
    for file in &source.files {
        stamps.push(reader.file(file, &mut tell)?);
    }
    let first: Arc<Path> = source.files.first().map_or(Path::new(""), PathBuf::as_path).into();
    let dataset = reader.finish(&mut |duplicate| {
        tell(Diagnostic {
            severity: Severity::Warning,
            file: Arc::clone(&first),
            line: 0,
            column: 0,
            message: format!("duplicated entry for {duplicate}"),
            hint: "the first one counts".to_owned(),
        });
    });
    Ok(Loaded { dataset, stamps, diagnostics })
}

/// What a line was.
enum Step {
    /// Taken, or passed over.
    Done,
    /// Taken, but something was cut off.
    Cut(Fault),
    /// The rest of the file would mean something else.
    Broken(Fault),
}

/// Reads the files of one dataset.
struct Reader {
    /// How to read.
    options: ReadOptions,
    /// Seconds since 1970.
    now: i64,
    /// Where entries go.
    target: Target,
    /// IPv4 entries wider than this prefix length are refused (`$MAXRANGE4`); it is only ever tightened.
    max_range4: u8,
    /// Room for the names of a record.
    buffers: record::Buffers,
}

/// Where entries go.
enum Target {
    /// A dataset of one type.
    One(Box<Builder>),
    /// A `combined` one.
    Sections {
        /// What stands before the first section.
        common: Box<Header>,
        /// The sections and their names.
        parts: Vec<(Vec<Name>, Builder)>,
        /// The line belongs to the last section, rather than before the first one of its file.
        inside: bool,
        /// A file was read before.
        later_file: bool,
    },
}

impl Reader {
    /// A reader with nothing read.
    fn new(source: &Source, now: i64) -> Self {
        let target = if source.kind == Kind::Combined {
            Target::Sections { common: Box::default(), parts: Vec::new(), inside: false, later_file: false }
        } else {
            Target::One(Box::new(Builder::new(source.kind)))
        };
        Self { options: source.options, now, target, max_range4: 0, buffers: record::Buffers::default() }
    }

    /// Read a file.
    fn file(&mut self, path: &Path, tell: &mut dyn FnMut(Diagnostic)) -> Result<Stamp, BadFile> {
        let io = |error| BadFile::Io { file: path.to_owned(), error };
        let shared: Arc<Path> = path.into();
        let diagnostic = |severity, line, fault: Fault| Diagnostic {
            severity,
            file: Arc::clone(&shared),
            line,
            column: u32::try_from(fault.at + 1).unwrap_or(u32::MAX),
            message: fault.message.into_owned(),
            hint: fault.hint.into_owned(),
        };
        let mut lines = Lines::open(path, self.options.gzip).map_err(io)?;
        match &mut self.target {
            Target::One(builder) => builder.begin_file(),
            Target::Sections { inside, .. } => *inside = false,
        }
        while let Some(line) = lines.next_line().map_err(io)? {
            let RawLine { text, number, cut } = line;
            let step = self.line(text);
            match step {
                Ok(Step::Done) => {}
                Ok(Step::Broken(fault)) => {
                    return Err(BadFile::Structure(diagnostic(Severity::Error, number, fault)));
                }
                Ok(Step::Cut(fault)) | Err(fault) => tell(diagnostic(Severity::Warning, number, fault)),
            }
            if cut {
                let message = format!("the line is longer than {} octets; the rest is not read", input::LINE_LEN_MAX);
                tell(diagnostic(Severity::Warning, number, Fault::new(input::LINE_LEN_MAX, message)));
            }
        }
        if let Target::Sections { later_file, .. } = &mut self.target {
            *later_file = true;
        }
        if !lines.unchanged().map_err(io)? {
            return Err(BadFile::Changed { file: path.to_owned() });
        }
        Ok(lines.stamp())
    }

    /// Read a line.
    #[inline]
    fn line(&mut self, line: &[u8]) -> Result<Step, Fault> {
        // Nearly all lines of the large lists are an address and nothing else.
        if let Target::One(builder) = &mut self.target
            && let Some(address) = address::plain_ip4(line)
            && builder.add_host(address)
        {
            return Ok(Step::Done);
        }
        let mut scan = Scan::new(line, 0);
        scan.skip_blanks();
        match scan.peek() {
            None => return Ok(Step::Done),
            Some(b'#' | b';' | b':' | b'$') => {
                if let Some(at) = special::special_at(scan.rest()) {
                    scan.at += at + 1;
                    return self.special(scan);
                }
                if let Some(b'#' | b';') = scan.peek() {
                    return Ok(Step::Done);
                }
            }
            _ => {}
        }
        let builder = match &mut self.target {
            Target::One(builder) => builder,
            Target::Sections { parts, inside: true, .. } => match parts.last_mut() {
                Some((_, builder)) => builder,
                None => return Ok(Step::Done),
            },
            Target::Sections { inside: false, .. } => {
                return Ok(Step::Broken(
                    Fault::new(scan.at, "an entry stands before the first `$DATASET` of its file")
                        .hint("each file of a combined dataset begins its sections itself"),
                ));
            }
        };
        // A NUL ends a line, as it does in rbldnsd.
        let nul = memchr::memchr(0, line);
        let text = nul.map_or(line, |at| &line[..at]);
        scan.line = text;
        let options = LineOptions { mask_host_bits: self.options.mask_host_bits, max_range4: self.max_range4 };
        let step = entry(&mut scan, builder, options, &mut self.buffers)?;
        match (nul, step) {
            (Some(at), Step::Done) => Ok(Step::Cut(Fault::new(at, "a NUL ends the line"))),
            (_, step) => Ok(step),
        }
    }

    /// Read a special line, behind its `$`.
    fn special(&mut self, mut scan: Scan<'_>) -> Result<Step, Fault> {
        let at = scan.at - 1;
        let header = match &mut self.target {
            Target::One(builder) => builder.header_mut(),
            Target::Sections { parts, inside: true, common, .. } => {
                parts.last_mut().map_or(&mut **common, |(_, builder)| builder.header_mut())
            }
            Target::Sections { common, .. } => common,
        };
        match special::read(&mut scan, header, self.now)? {
            Special::Dataset(section) => Ok(self.section(at, section)),
            Special::Future => {
                let fault = Fault::new(at, "the time stamp is in the future");
                Ok(Step::Broken(fault.hint("the file is used once that time has come; check both clocks")))
            }
            special => {
                if let Special::MaxRange4(len) = special {
                    self.max_range4 = self.max_range4.max(len);
                }
                match &self.target {
                    Target::Sections { inside: false, later_file: true, .. } => Ok(Step::Broken(
                        Fault::new(at, "a special line stands before the first `$DATASET` of a further file")
                            .hint("common lines belong into the first file"),
                    )),
                    _ => Ok(Step::Done),
                }
            }
        }
    }

    /// A section begins.
    fn section(&mut self, at: usize, section: Section<'_>) -> Step {
        let Target::Sections { common, parts, inside, .. } = &mut self.target else {
            // rbldnsd warns and goes on as well.
            return Step::Cut(
                Fault::new(at, "`$DATASET` has no meaning here").hint("only combined files have sections"),
            );
        };
        let Some(kind) = special::section_kind(section.kind) else {
            let message =
                format!("`{}` can be no section of a combined dataset", String::from_utf8_lossy(section.kind));
            return Step::Broken(
                Fault::new(section.kind_at, message)
                    .hint("there are ip4set, ip4tset, ip4trie, ip6tset, ip6trie, dnset and generic"),
            );
        };
        if section.names.is_empty() {
            return Step::Broken(
                Fault::new(at, "the section has no name").hint("name its subzones, or `@` for the zone itself"),
            );
        }
        let mut builder = Builder::new(kind);
        builder.header_mut().ttl = common.ttl;
        builder.header_mut().template = common.template.clone();
        parts.push((section.names, builder));
        *inside = true;
        Step::Done
    }

    /// Freeze.
    fn finish(self, duplicate: &mut dyn FnMut(String)) -> Dataset {
        match self.target {
            Target::One(builder) => builder.freeze(duplicate),
            Target::Sections { common, parts, .. } => {
                let parts = parts
                    .into_iter()
                    .map(|(names, builder)| Part { names, dataset: builder.freeze(duplicate) })
                    .collect();
                Dataset::combined(*common, parts)
            }
        }
    }
}

/// What a line's meaning depends on besides the dataset.
#[derive(Clone, Copy)]
struct LineOptions {
    /// Mask host bits instead of refusing them.
    mask_host_bits: bool,
    /// Refuse IPv4 entries wider than this.
    max_range4: u8,
}

/// Read an entry or a default line.
#[inline]
fn entry(
    scan: &mut Scan<'_>,
    builder: &mut Builder,
    options: LineOptions,
    buffers: &mut record::Buffers,
) -> Result<Step, Fault> {
    let start = scan.at;
    let kind = builder.kind();
    let ip6 = matches!(kind, Kind::Ip6Trie | Kind::Ip6Tset);
    if kind == Kind::Generic {
        let record = record::read(scan, buffers)?;
        return builder.add_record(&record).map(|()| Step::Done).map_err(|error| full(start, error));
    }
    if scan.peek() == Some(b':') && !(ip6 && scan.rest().starts_with(b"::")) {
        let value = value::colon_value(scan)?;
        builder.set_default(value);
        return Ok(check_text(start, value::is_too_long(&value)));
    }
    let excluded = scan.eat(b'!');
    if excluded {
        scan.skip_blanks();
    }
    let mut wire = [0; NAME_LEN_MAX];
    let key = match kind {
        Kind::Ip4Set => ip4_key(scan, Ip4Forms::Set, options)?,
        Kind::Ip4Trie => ip4_key(scan, Ip4Forms::Trie, options)?,
        Kind::Ip4Tset if excluded => {
            return Err(Fault::new(start, "ip4tset has no exclusions").hint("use ip4set or ip4trie"));
        }
        Kind::Ip4Tset => ip4_key(scan, Ip4Forms::Hosts, options)?,
        Kind::Ip6Trie => Key::Ip6Net(address::ip6(scan, Ip6Forms::Trie, options.mask_host_bits)?),
        Kind::Ip6Tset if excluded => Key::Ip6Net(address::ip6(scan, Ip6Forms::Host, false)?),
        Kind::Ip6Tset => Key::Ip6Net(address::ip6(scan, Ip6Forms::Network, false)?),
        Kind::Dnset => name_key(scan, &mut wire)?,
        Kind::Generic | Kind::Combined => return Ok(Step::Done),
    };
    let value = if excluded { Default::default() } else { value::entry_value(scan)? };
    let too_long = value::is_too_long(&value);
    builder.add(&Entry { key, excluded, value }).map_err(|error| full(start, error))?;
    Ok(check_text(start, too_long))
}

/// A line that was taken, but for what is too long of its text.
#[inline]
fn check_text(at: usize, too_long: bool) -> Step {
    if !too_long {
        return Step::Done;
    }
    let message = format!("the text is longer than {} octets and is cut", crate::dataset::entry::TEXT_LEN_MAX);
    Step::Cut(Fault::new(at, message))
}

/// The dataset took no more.
#[cold]
fn full(at: usize, error: AddError) -> Fault {
    Fault::new(at, error.to_string())
}

/// An IPv4 key within the range allowed.
#[inline]
fn ip4_key(scan: &mut Scan<'_>, forms: Ip4Forms, options: LineOptions) -> Result<Key<'static>, Fault> {
    let start = scan.at;
    let key = address::ip4(scan, forms, options.mask_host_bits)?;
    let (key, size) = match key {
        Ip4Key::Net(net) => (Key::Ip4Net(net), 1u64 << (32 - net.prefix_len())),
        Ip4Key::Range(first, last) => {
            (Key::Ip4Range(first, last), u64::from(u32::from(last)) - u64::from(u32::from(first)) + 1)
        }
    };
    if size > 1 << (32 - options.max_range4) {
        let message = format!("the entry is wider than the /{} that $MAXRANGE4 allows", options.max_range4);
        return Err(Fault::new(start, message));
    }
    Ok(key)
}

/// A name with its scope.
fn name_key<'a>(scan: &mut Scan<'_>, wire: &'a mut [u8; NAME_LEN_MAX]) -> Result<Key<'a>, Fault> {
    let start = scan.at;
    while !matches!(scan.peek(), None | Some(b' ' | b'\t')) {
        scan.at += 1;
    }
    let word = &scan.line[start..scan.at];
    let (text, scope) = match word {
        [b'*', b'.', text @ ..] => (text, Scope::Below),
        [b'.', text @ ..] => (text, Scope::Both),
        _ => (word, Scope::Exact),
    };
    let len = parse(text, wire).map_err(|error| Fault::new(start, error.to_string()))?;
    if len == 1 || word == b"*" {
        return Err(Fault::new(start, "a whole tree can not be listed").hint("name a domain"));
    }
    wire[..len].make_ascii_lowercase();
    Ok(Key::Name(&wire[..len - 1], scope))
}
