//! Where things stand in the settings file, and how an error about them is said.
//!
//! The file is kept as a tree of spans next to the typed settings. Checks name a place by its path
//! (`zone`, 2, `name`) and get line and column; errors of the TOML reader carry a span and get their key.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::SettingsError;

/// One step from a table or an array to what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Into a table.
    Key(&'a str),
    /// Into an array, counted from 0.
    Index(usize),
}

/// Tables that are no arrays; written `[[so]]` they would be.
const TABLES: [&[Step<'static>]; 16] = [
    &[Step::Key("dns")],
    &[Step::Key("dns"), Step::Key("tcp")],
    &[Step::Key("dns"), Step::Key("cookies")],
    &[Step::Key("dns"), Step::Key("rate-limit")],
    &[Step::Key("tls")],
    &[Step::Key("http")],
    &[Step::Key("public")],
    &[Step::Key("load")],
    &[Step::Key("acl")],
    &[Step::Key("feed")],
    &[Step::Key("feed"), Step::Key("joe-jobs")],
    &[Step::Key("relation")],
    &[Step::Key("feed"), Step::Key("policy")],
    &[Step::Key("feed"), Step::Key("weights")],
    &[Step::Key("feed"), Step::Key("protection")],
    &[Step::Key("feed"), Step::Key("export")],
];

/// The file as a tree of spans.
pub(super) struct Map<'a> {
    /// The file's name, for errors.
    file: &'a Path,
    /// Its text.
    text: &'a str,
    /// Its tree.
    root: Spanned<DeTable<'a>>,
}

/// Line and column of an offset, both counted from 1, the column in octets.
pub(super) fn line_column(text: &[u8], offset: usize) -> (u32, u32) {
    let before = &text[..offset.min(text.len())];
    let line = before.iter().filter(|&&octet| octet == b'\n').count() + 1;
    let start = before.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
    (line as u32, (before.len() - start + 1) as u32)
}

impl<'a> Map<'a> {
    /// Read the tree. Errors: text that is no TOML.
    pub(super) fn parse(text: &'a str, file: &'a Path) -> Result<Self, SettingsError> {
        DeTable::parse(text).map(|root| Self { file, text, root }).map_err(|error| {
            let (line, column) = error.span().map_or((0, 0), |span| line_column(text.as_bytes(), span.start));
            SettingsError {
                file: file.to_owned(),
                line,
                column,
                message: format!("no valid TOML: {}", error.message()),
            }
        })
    }

    /// Refuse tables in the place of arrays and the other way round, which serde would half accept.
    pub(super) fn shape(&self) -> Result<(), SettingsError> {
        for path in TABLES {
            if let Some(value) = self.value(path)
                && !matches!(value.get_ref(), DeValue::Table(_))
            {
                let (section, bare) = (section(path), section(path).replace(['[', ']'], ""));
                let message = format!("`{bare}` is a table of settings; write {section} on a line of its own");
                return Err(self.fault(path, message));
            }
        }
        self.sources()?;
        let zone = [Step::Key("zone")];
        let Some(zones) = self.value(&zone) else { return Ok(()) };
        let DeValue::Array(zones) = zones.get_ref() else {
            return Err(self.fault(&zone, "there can be several zones; write [[zone]] with two brackets".to_owned()));
        };
        for at in 0..zones.len() {
            let path = [zone[0], Step::Index(at)];
            if !self.is_table(&path) {
                return Err(self.fault(&path, "each zone is a table; write [[zone]] on a line of its own".to_owned()));
            }
            let path = [zone[0], Step::Index(at), Step::Key("guard")];
            if self.value(&path).is_some() && !self.is_table(&path) {
                let message = "`guard` is a table of settings; write [zone.guard] below its [[zone]]".to_owned();
                return Err(self.fault(&path, message));
            }
            self.datasets(at)?;
        }
        Ok(())
    }

    /// [`Self::shape`] for the feeder's sources.
    fn sources(&self) -> Result<(), SettingsError> {
        let path = [Step::Key("feed"), Step::Key("source")];
        let Some(sources) = self.value(&path) else { return Ok(()) };
        let DeValue::Array(sources) = sources.get_ref() else {
            let message = "there can be several sources; write [[feed.source]] with two brackets".to_owned();
            return Err(self.fault(&path, message));
        };
        for at in 0..sources.len() {
            let path = [path[0], path[1], Step::Index(at)];
            if !self.is_table(&path) {
                let message = "each source is a table; write [[feed.source]] on a line of its own".to_owned();
                return Err(self.fault(&path, message));
            }
        }
        Ok(())
    }

    /// [`Self::shape`] for the datasets of one zone.
    fn datasets(&self, zone: usize) -> Result<(), SettingsError> {
        let path = [Step::Key("zone"), Step::Index(zone), Step::Key("datasets")];
        let wanted = "datasets = [{ type = \"ip4set\", files = [\"bl.zone\"] }]";
        let count = match self.value(&path).map(Spanned::get_ref) {
            None => 0,
            Some(DeValue::Array(array)) => array.len(),
            Some(_) => return Err(self.fault(&path, format!("`datasets` is an array of tables; write {wanted}"))),
        };
        for at in 0..count {
            let path = [path[0], path[1], path[2], Step::Index(at)];
            if !self.is_table(&path) {
                return Err(self.fault(&path, format!("each dataset is a table; write {wanted}")));
            }
        }
        Ok(())
    }

    /// Whether there is a table at a path.
    fn is_table(&self, path: &[Step<'_>]) -> bool {
        matches!(self.value(path).map(Spanned::get_ref), Some(DeValue::Table(_)))
    }

    /// Whether the file says anything at a path.
    pub(super) fn has(&self, path: &[Step<'_>]) -> bool {
        self.value(path).is_some()
    }

    /// The value at a path below the root.
    fn value(&self, path: &[Step<'_>]) -> Option<&Spanned<DeValue<'a>>> {
        let (first, rest) = path.split_first()?;
        let Step::Key(key) = first else { return None };
        let mut value = self.root.get_ref().get(*key)?;
        for step in rest {
            value = match (step, value.get_ref()) {
                (Step::Key(key), DeValue::Table(table)) => table.get(*key)?,
                (Step::Index(at), DeValue::Array(array)) => array.get(*at)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// Line and column of what a path names, or of the nearest thing around it that the file does have.
    pub(super) fn position(&self, path: &[Step<'_>]) -> (u32, u32) {
        let found = (1..=path.len()).rev().find_map(|len| self.value(&path[..len]));
        found.map_or((0, 0), |value| line_column(self.text.as_bytes(), value.span().start))
    }

    /// An error about what a path names.
    pub(super) fn fault(&self, path: &[Step<'_>], message: String) -> SettingsError {
        let (line, column) = self.position(path);
        SettingsError { file: self.file.to_owned(), line, column, message }
    }

    /// Say an error of the TOML reader in the words of the settings.
    pub(super) fn explain(&self, error: &toml::de::Error) -> SettingsError {
        let span = error.span().unwrap_or(0..0);
        let mut search = Search { wanted: span.clone(), best: None, path: Vec::new() };
        search.table(self.root.get_ref());
        let path = search.best.map(|(_, path)| path).unwrap_or_default();
        let message = error.message();
        // serde's words for the two errors that are not ours; tests notice when they change.
        let message = if let Some(rest) = message.strip_prefix("unknown field ") {
            let mut words = rest.split('`').skip(1).step_by(2);
            let key = words.next().unwrap_or_default();
            let known: Vec<&str> = words.collect();
            let parent = section(&path[..path.len().saturating_sub(1)]);
            match nearest(key, known.iter().copied()) {
                Some(near) => format!("unknown key `{key}` in {parent}; did you mean `{near}`?"),
                None => format!("unknown key `{key}` in {parent}; known keys are {}", known.join(", ")),
            }
        } else if let Some(field) = message.strip_prefix("missing field ") {
            format!("{field} is missing in {}", section(&path))
        } else {
            // An element of an array is told by the array's key.
            let key_at = path.iter().rposition(|step| matches!(step, Step::Key(_))).unwrap_or(0);
            match path.get(key_at) {
                Some(Step::Key(key)) => format!("`{key}` in {}: {message}", section(&path[..key_at])),
                _ => message.to_owned(),
            }
        };
        let (line, column) = line_column(self.text.as_bytes(), span.start);
        SettingsError { file: self.file.to_owned(), line, column, message }
    }
}

/// How operators know the table at a path.
fn section(path: &[Step<'_>]) -> String {
    let keys: Vec<&str> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Index(_) => None,
        })
        .collect();
    match keys.as_slice() {
        [] => "the settings".to_owned(),
        ["zone"] => "[[zone]]".to_owned(),
        ["feed", "source"] => "[[feed.source]]".to_owned(),
        ["zone", "datasets"] => "`datasets` of [[zone]]".to_owned(),
        keys => format!("[{}]", keys.join(".")),
    }
}

/// Looks for the path to the narrowest thing whose span holds another one.
struct Search<'a> {
    /// The span to be held.
    wanted: Range<usize>,
    /// The narrowest so far: octets and path.
    best: Option<(usize, Vec<Step<'a>>)>,
    /// The path to what is looked at.
    path: Vec<Step<'a>>,
}

impl<'a> Search<'a> {
    /// Take the current path if this span holds the wanted one and is not wider than the best.
    fn offer(&mut self, span: Range<usize>) {
        let holds = span.start <= self.wanted.start && self.wanted.end <= span.end;
        if holds && self.best.as_ref().is_none_or(|(len, _)| span.len() <= *len) {
            self.best = Some((span.len(), self.path.clone()));
        }
    }

    /// Look at every key and value of a table. A header's span does not hold its body, so nothing is skipped.
    fn table(&mut self, table: &'a DeTable<'_>) {
        for (key, value) in table.iter() {
            self.path.push(Step::Key(key.get_ref()));
            self.offer(key.span());
            self.value(value);
            self.path.pop();
        }
    }

    /// Look at a value and what it holds.
    fn value(&mut self, value: &'a Spanned<DeValue<'_>>) {
        self.offer(value.span());
        match value.get_ref() {
            DeValue::Table(table) => self.table(table),
            DeValue::Array(array) => {
                for (at, item) in array.iter().enumerate() {
                    self.path.push(Step::Index(at));
                    self.value(item);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }
}

/// The known word that the given one is most likely a slip of: its parts in another order, or at most a third of its
/// letters differ.
pub(super) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let reach = (word.chars().count() / 3).max(1);
    let measure = |near| if parts(word) == parts(near) { 0 } else { distance(word, near) };
    known.map(|near| (measure(near), near)).filter(|(d, _)| *d <= reach).min().map(|(_, near)| near)
}

/// The parts of a key, sorted: `idle-max-ms` and `idle_ms_max` are the same.
fn parts(key: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = key.split(['-', '_']).collect();
    parts.sort_unstable();
    parts
}

/// Letters to insert, remove, change, or swap with their neighbour, to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.chars().collect());
    // Three rows of the usual table: two back, one back, and the one being filled.
    let (mut older, mut old) = (Vec::new(), (0..=b.len()).collect::<Vec<_>>());
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let mut cost = (old[j] + usize::from(a[i] != b[j])).min(old[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                cost = cost.min(older[j - 1] + 1);
            }
            row.push(cost);
        }
        (older, old) = (old, row);
    }
    old[b.len()]
}
