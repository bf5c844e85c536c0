//! What is wrong with a file, where, and what to do about it.
//!
//! A bad line is a warning and costs that line; a bad file is an error and costs the reload. Both are told
//! in the same shape, so that `check`, the log and the metrics say the same thing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much a diagnostic costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// One line is skipped or read in a way that its author may not have meant.
    Warning,
    /// The whole file can not be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One finding: `file:line:column: severity: message (hint)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether a line or the file is lost.
    pub severity: Severity,
    /// The file as the settings name it.
    pub file: Arc<Path>,
    /// Line, counted from 1; 0 where the whole file is meant.
    pub line: u32,
    /// Column in bytes, counted from 1; 0 where the whole line is meant.
    pub column: u32,
    /// What is wrong, a sentence without a full stop.
    pub message: String,
    /// What to do about it; empty where the message says it all.
    pub hint: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        write!(f, ": {}: {}", self.severity, self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

/// Why a file can not be used at all; a good copy already loaded stays in service.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// Opening or reading failed: missing, unreadable, cut off gzip.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file as the settings name it.
        file: PathBuf,
        /// What the system or the decompressor said.
        error: std::io::Error,
    },
    /// The file was written to while it was read.
    #[error("{}: changed while it was read; write aside and rename into place", file.display())]
    Changed {
        /// The file as the settings name it.
        file: PathBuf,
    },
    /// The structure is broken, so that the lines after it would mean something else.
    #[error("{0}")]
    Structure(Diagnostic),
}
