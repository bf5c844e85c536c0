//! One scrape: the text of `/metrics` as numbers by family and labels.
//!
//! The format is Prometheus' text format 0.0.4. Only what it needs to be read is checked; whether it is a dnsbld's is for
//! [`Scrape::parse`] too, because a page of somebody else's metrics would show as a server that does nothing.

use std::collections::{BTreeMap, HashMap};

/// The family that every dnsbld has.
const OURS: &str = "dnsbld_build_info";

/// Labels of a series, in the order of the text.
type Labels = Vec<(String, String)>;

/// The series of one moment.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// By name of the family.
    families: HashMap<String, Vec<(Labels, f64)>>,
}

impl Scrape {
    /// Read a page. Errors: what was expected of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scrape = Self::default();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let (name, labels, value) = series(line)
                .ok_or_else(|| format!("line {} of its /metrics is none of Prometheus' text format", at + 1))?;
            scrape.families.entry(name.to_owned()).or_default().push((labels, value));
        }
        if scrape.families.contains_key(OURS) { Ok(scrape) } else { Err(format!("its /metrics has no {OURS}")) }
    }

    /// Sum of a family's series that have these labels; 0 where there are none.
    pub fn sum(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        self.known(family, labels).unwrap_or(0.0)
    }

    /// The same; nothing where there are none.
    pub fn known(&self, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.of(family, labels).map(|(_, value)| value).reduce(|sum, value| sum + value)
    }

    /// Sums of a family's series that have these labels, by the value of another one.
    pub fn by(&self, family: &str, label: &str, labels: &[(&str, &str)]) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for (all, value) in self.of(family, labels) {
            if let Some((_, group)) = all.iter().find(|(name, _)| name == label) {
                *sums.entry(group.as_str()).or_default() += value;
            }
        }
        sums
    }

    /// The value of a label of a family's first series.
    pub fn label(&self, family: &str, label: &str) -> Option<&str> {
        let (labels, _) = self.families.get(family)?.first()?;
        labels.iter().find(|(name, _)| name == label).map(|(_, value)| value.as_str())
    }

    /// Whether the server was started again since an earlier scrape.
    pub fn restarted_since(&self, before: &Self) -> bool {
        let started = |scrape: &Self| scrape.known("process_start_time_seconds", &[]);
        started(self) != started(before)
    }

    /// A family's series that have these labels.
    fn of<'s>(&'s self, family: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = (&'s Labels, f64)> {
        let has = |all: &Labels| labels.iter().all(|(key, value)| all.iter().any(|(k, v)| k == key && v == value));
        let series = self.families.get(family).into_iter().flatten();
        series.filter(move |(all, _)| has(all)).map(|(all, value)| (all, *value))
    }
}

/// A line: name, labels, value. A time stamp behind the value is passed over.
fn series(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(tail) = rest.strip_prefix('}') {
                rest = tail;
                break;
            }
            let (label, tail) = rest.split_once("=\"")?;
            let (value, tail) = quoted(tail)?;
            labels.push((label.to_owned(), value));
            rest = tail;
        }
    }
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some((name, labels, value))
}

/// The text before a closing quotation mark, without its escapes, and what follows. Control characters, which a terminal would obey, become `?`.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('?'),
                c if c.is_control() => value.push('?'),
                c => value.push(c),
            },
            c if c.is_control() => value.push('?'),
            c => value.push(c),
        }
    }
    None
}
