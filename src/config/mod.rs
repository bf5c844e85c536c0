//! The settings: one TOML file in, plain checked values out.
//!
//! `schema` is the shape of the file, with a default for everything but a zone's name and its datasets.
//! `values` reads the single values, so that an address, a name or a duration is checked where it is read.
//! `check` then looks at what only the whole tells: a zone named twice, a lower bound above the upper one.
//! Whatever is wrong is told by `place` as one sentence with file, line, column and key.
//!
//! Only `app` knows this module; it makes every other module's options out of it.

mod abuse;
mod check;
mod feed;
mod joe_jobs;
mod listing;
#[cfg(test)]
mod mail_tests;
mod page;
mod place;
mod public;
mod relation;
mod schema;
#[cfg(test)]
mod tests;
mod tls;
mod values;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use abuse::{Cookies, RateLimit};
pub use feed::{Feed, FeedSource, SourceType};
pub use joe_jobs::JoeJobs;
pub use listing::{Export, FeedMode, Policy, Protection, Weights};
pub use page::Page;
pub use public::{ForwardedHeader, Public};
pub use relation::Relation;
pub use schema::{
    Acl, AnyAnswer, Authority, Dataset, Dns, FilePlaces, Guard, Http, Load, OnExpire, Settings, Tcp, Workers, Zone,
};
pub use tls::{Tls, TlsVersion};

use crate::diag::{Diagnostic, Severity};

/// Octets of the largest settings file. Ten thousand zones need about 2 MiB; more is some other file, named by mistake.
const FILE_LEN_MAX: u64 = 16 << 20;

/// Why settings can not be used: `file:line:column: message`, or `file: message` where the whole file is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The file as it was named.
    pub file: PathBuf,
    /// Line, counted from 1; 0 where the whole file is meant.
    pub line: u32,
    /// Column in octets, counted from 1; 0 where the whole line or file is meant.
    pub column: u32,
    /// What is wrong, what was expected and what to do: a sentence without a full stop.
    pub message: String,
}

impl std::error::Error for SettingsError {}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl From<SettingsError> for Diagnostic {
    fn from(error: SettingsError) -> Self {
        Self {
            severity: Severity::Error,
            file: error.file.into(),
            line: error.line,
            column: error.column,
            message: error.message,
            hint: String::new(),
        }
    }
}

impl Settings {
    /// Read and check a settings file.
    ///
    /// Relative paths in it become relative to its directory. Errors: the file can not be read, is no TOML, or
    /// says something that can not be done; always one sentence, see [`SettingsError`].
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        let whole = |message: String| SettingsError { file: file.to_owned(), line: 0, column: 0, message };
        let mut bytes = Vec::new();
        File::open(file)
            .and_then(|open| open.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| whole(format!("the settings can not be read: {error}")))?;
        if bytes.len() as u64 > FILE_LEN_MAX {
            return Err(whole(format!("larger than {} MiB, so hardly a settings file", FILE_LEN_MAX >> 20)));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let (line, column) = place::line_column(error.as_bytes(), good);
            let message = "not UTF-8, as TOML must be; save the file as UTF-8".to_owned();
            SettingsError { line, column, ..whole(message) }
        })?;
        Self::parse(&text, file)
    }

    /// Check settings given as text; `file` names them in errors, and its directory is what relative paths start from.
    ///
    /// Errors: as [`Settings::read`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, SettingsError> {
        let map = place::Map::parse(text, file)?;
        map.shape()?;
        let mut settings: Self = toml::from_str(text).map_err(|error| map.explain(&error))?;
        settings.file = Arc::from(file);
        check::settings(&mut settings, &map)?;
        settings.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(settings)
    }

    /// Make relative paths start from `base`.
    fn resolve(&mut self, base: &Path) {
        self.state_dir = base.join(&self.state_dir);
        let datasets = self.zones.iter_mut().flat_map(|zone| &mut zone.datasets);
        for file in datasets.flat_map(|dataset| &mut dataset.files).chain(&mut self.acl.files) {
            *file = base.join(&*file);
        }
        let jobs = &mut self.feed.joe_jobs;
        let single = [
            &mut jobs.zone_file,
            &mut jobs.key_file,
            &mut jobs.webhook_secret_file,
            &mut self.relation.socket,
            &mut self.dns.cookies.secret_file,
            &mut self.tls.certificate_file,
            &mut self.tls.key_file,
        ];
        for file in single.into_iter().flatten() {
            *file = base.join(&*file);
        }
        if let Some(file) = &mut self.public.page.token_file {
            *file = base.join(&*file);
        }
        self.feed.resolve(base);
    }
}
