//! Zone files: text to entries to datasets, in rbldnsd's syntax (rbldnsd.8, "Zone file formats").
//!
//! A line is read in one pass: [`input`] gives it without its end, [`special`] takes those that begin with `$`,
//! [`address`], [`value`] and [`record`] read keys and what follows them, `rule` the lines of an `acl`, and a [`Builder`]
//! takes the [`Entry`]. A bad line is told and skipped. Only what would change the meaning of the lines after it makes a bad file.

pub mod address;
pub mod input;
mod reader;
pub mod record;
mod rule;
pub mod special;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod value;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::entry::{Action, Entry, EntryValue, Record, Rule};
use crate::dataset::{AddError, Builder, Dataset, Header, Kind, Part};
use crate::diag::{BadFile, Diagnostic, Severity};
pub(crate) use reader::{Target, read_into};

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

/// A line that says something of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A default for the lines after it.
    Default(EntryValue<'a>),
    /// An action as the default, in an `acl`.
    DefaultAction(Action),
    /// An entry.
    Entry(Entry<'a>),
    /// A record of a `generic` dataset.
    Record(Record<'a>),
    /// A rule of an `acl`.
    Rule(Rule<'a>),
}

/// Where the lines of a dataset, or of a section, go.
pub(crate) trait Sink {
    /// Type of the dataset.
    fn kind(&self) -> Kind;
    /// What its special lines say so far.
    fn header_mut(&mut self) -> &mut Header;
    /// A file begins.
    fn begin_file(&mut self, file: &Path);
    /// An IPv4 address under the default value; `false` if it must be taken as a [`Line`].
    fn take_host(&mut self, address: u32) -> bool;
    /// A line with its number.
    fn take(&mut self, line: &Line<'_>, number: u32) -> Result<(), AddError>;
}

impl Sink for Builder {
    fn kind(&self) -> Kind {
        self.kind()
    }

    fn header_mut(&mut self) -> &mut Header {
        self.header_mut()
    }

    fn begin_file(&mut self, _: &Path) {
        self.begin_file();
    }

    #[inline]
    fn take_host(&mut self, address: u32) -> bool {
        self.add_host(address)
    }

    #[inline]
    fn take(&mut self, line: &Line<'_>, _: u32) -> Result<(), AddError> {
        match line {
            Line::Default(value) => {
                self.set_default(*value);
                Ok(())
            }
            Line::DefaultAction(action) => {
                self.set_default_action(*action);
                Ok(())
            }
            Line::Entry(entry) => self.add(entry),
            Line::Record(record) => self.add_record(record),
            Line::Rule(rule) => self.add_rule(rule),
        }
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
    let (target, stamps) = read_into(source, now, Builder::new, &mut tell)?;
    let first: Arc<Path> = source.files.first().map_or(Path::new(""), PathBuf::as_path).into();
    let dataset = freeze(target, &mut |duplicate| {
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

/// Freeze what was read.
fn freeze(target: Target<Builder>, duplicate: &mut dyn FnMut(String)) -> Dataset {
    match target {
        Target::One(builder) => builder.freeze(duplicate),
        Target::Sections { common, parts, .. } => {
            let parts =
                parts.into_iter().map(|(names, builder)| Part { names, dataset: builder.freeze(duplicate) }).collect();
            Dataset::combined(*common, parts)
        }
    }
}
