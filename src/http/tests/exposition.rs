//! A strict reader of the text format 0.0.4, for tests: it refuses whatever Prometheus would refuse or warn of.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Debug, Default)]
pub struct Scrape {
    /// Types by family, in the text's words.
    pub types: BTreeMap<String, String>,
    /// Values by name and labels.
    pub series: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Scrape {
    /// Read a whole text.
    ///
    /// # Panics
    ///
    /// At the first line that is not right.
    pub fn parse(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
        let mut scrape = Self::default();
        let (mut helps, mut current) = (BTreeSet::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(!help.is_empty() && helps.insert(name.to_owned()), "empty or second HELP: {line}");
                current = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert_eq!(name, current, "TYPE without its HELP");
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                assert_eq!(scrape.types.insert(name.to_owned(), kind.to_owned()), None, "second TYPE: {line}");
            } else {
                let (name, labels, value) = sample(line);
                assert_eq!(name, current, "a series outside its family");
                assert!(scrape.types.contains_key(&name), "a series before its TYPE: {line}");
                assert_eq!(scrape.series.insert((name, labels), value), None, "the same series twice: {line}");
            }
        }
        for ((name, labels), value) in &scrape.series {
            let counter = scrape.types[name] == "counter";
            assert!(value.is_finite() && (!counter || *value >= 0.0), "{name}{labels:?} is {value}");
        }
        scrape
    }

    /// The sum over the series of a family that have these labels.
    pub fn sum(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(family, labels).map(|(_, value)| value).sum()
    }

    /// The only series of a family with these labels; `None` when there is none.
    pub fn one(&self, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found: Vec<f64> = self.matching(family, labels).map(|(_, value)| value).collect();
        assert!(found.len() <= 1, "{family}{labels:?}: {found:?}");
        found.first().copied()
    }

    /// The series of a family that have these labels.
    pub fn matching<'a>(
        &'a self,
        family: &'a str,
        wanted: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        let fits = move |labels: &BTreeMap<String, String>| {
            wanted.iter().all(|&(name, value)| labels.get(name).is_some_and(|found| found == value))
        };
        self.series
            .iter()
            .filter(move |((name, labels), _)| name == family && fits(labels))
            .map(|((_, labels), value)| (labels, *value))
    }
}

/// Whether a text is a name: letters, digits and `_`, no digit first.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && text.starts_with(|c: char| !c.is_ascii_digit())
}

/// Read `name{label="value",...} value`.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("no end of a label: {line}"));
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok());
    (name.to_owned(), labels, value.unwrap_or_else(|| panic!("no value: {line}")))
}

/// Read the inside of a quoted value and its closing quote; returns it and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

#[test]
fn the_reader_reads() {
    let text = "# HELP a_total h\n# TYPE a_total counter\na_total{z=\"q\\\"\\\\\\n\",t=\"\"} 2\na_total 1.5\n";
    let scrape = Scrape::parse(text);
    assert_eq!(scrape.one("a_total", &[("z", "q\"\\\n"), ("t", "")]), Some(2.0));
    assert_eq!(scrape.sum("a_total", &[]), 3.5);
}

#[test]
fn the_reader_refuses() {
    let head = "# HELP a h\n# TYPE a gauge\n";
    for bad in ["a 1\na 1\n", "b 1\n", "a\n", "a x\n", "a{z=\"} 1\n", "a{1=\"\"} 1\n", "a NaN\n", "a 1", head] {
        let text = format!("{head}{bad}");
        assert!(std::panic::catch_unwind(|| Scrape::parse(&text)).is_err(), "{bad:?}");
    }
}
