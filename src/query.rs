//! `dnsbld query`: what the files say of one subject, and which lines say it.
//!
//! The answer comes out of the dataset, frozen as the server freezes it. The lines come from a second pass, which
//! keeps those about the subject and then those of them that decide: so that both are right by themselves, and a
//! disagreement would show.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::blocklist::{Subject, answers};
use crate::dataset::entry::{Entry, Key, Scope};
use crate::dataset::{AddError, Data, Dataset, Header, Kind};
use crate::diag::BadFile;
use crate::wire::name::{Name, QueryName};
use crate::zonefile::{self, Line, Sink, Source, Target};

/// A subject as datasets know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As it was written.
    text: String,
    /// What it says.
    subject: Subject,
}

impl Asked {
    /// An address or a name. Errors: it is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let subject = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => {
                let name = text.parse::<Name>();
                name.map_err(|error| format!("`{text}` is no address and no name: {error}"))?.into()
            }
        };
        Ok(Self { text: text.to_owned(), subject })
    }
}

/// A zone to ask.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name.
    pub name: Name,
    /// What it is made of.
    pub sources: Vec<Source>,
}

/// A line about the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hit {
    /// The file.
    file: Arc<Path>,
    /// Its line.
    line: u32,
    /// It excludes.
    excluded: bool,
    /// How closely it is about the subject; the closest ones decide.
    rank: u32,
}

/// Keeps the lines about a subject.
struct Trace<'a> {
    /// Type of the dataset.
    kind: Kind,
    /// Not looked at.
    header: Header,
    /// The subject.
    asked: &'a Asked,
    /// The file being read.
    file: Arc<Path>,
    /// The lines.
    hits: Vec<Hit>,
}

impl Sink for Trace<'_> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    fn begin_file(&mut self, file: &Path) {
        self.file = file.into();
    }

    fn take_host(&mut self, address: u32) -> bool {
        // What is not about the subject needs no further look.
        self.asked.subject.ip4 != Some(address)
    }

    fn take(&mut self, line: &Line<'_>, number: u32) -> Result<(), AddError> {
        let (rank, excluded) = match line {
            // An `acl` says nothing of subjects, and is not read here.
            Line::Default(_) | Line::DefaultAction(_) | Line::Rule(_) => return Ok(()),
            Line::Record(record) => {
                let same = self.asked.subject.name.as_ref().is_some_and(|name| name.labels() == record.owner);
                (same.then_some(0), false)
            }
            Line::Entry(entry) => (rank(self.kind, entry, self.asked), entry.excluded),
        };
        if let Some(rank) = rank {
            self.hits.push(Hit { file: Arc::clone(&self.file), line: number, excluded, rank });
        }
        Ok(())
    }
}

/// How closely an entry is about a subject; `None` if it is about others.
fn rank(kind: Kind, entry: &Entry<'_>, asked: &Asked) -> Option<u32> {
    match entry.key {
        Key::Ip4Net(net) => {
            let address = asked.subject.ip4?;
            let (first, last) = (net.network().into(), net.broadcast().into());
            let len = if kind == Kind::Ip4Trie { net.prefix_len().into() } else { octet_level(address, first, last) };
            (first..=last).contains(&address).then_some(len)
        }
        Key::Ip4Range(first, last) => {
            let address = asked.subject.ip4?;
            let (first, last) = (first.into(), last.into());
            (first..=last).contains(&address).then(|| octet_level(address, first, last))
        }
        Key::Ip6Net(net) => {
            let address = Ipv6Addr::from(asked.subject.ip6?);
            net.contains(&address).then_some(net.prefix_len().into())
        }
        Key::Name(name, scope) => {
            let asked = asked.subject.name.as_ref()?.labels();
            let above = asked.len() > name.len() && is_above(name, asked);
            // The name's own entry decides before any wildcard.
            match scope {
                Scope::Exact | Scope::Both if asked == name => Some(u32::MAX),
                Scope::Below | Scope::Both if above => Some(name.len() as u32),
                _ => None,
            }
        }
    }
}

/// Whether a name is the end of another one, at a label's border.
fn is_above(name: &[u8], mut below: &[u8]) -> bool {
    while below.len() > name.len() {
        let Some(rest) = below.first().and_then(|&len| below.get(usize::from(len) + 1..)) else { return false };
        below = rest;
    }
    below == name
}

/// The level of `ip4set` at which a range is about an address: the widest octet block around it within the range.
fn octet_level(address: u32, first: u32, last: u32) -> u32 {
    let fits = |len: &u32| {
        let host_bits = u32::MAX >> len;
        address & !host_bits >= first && address | host_bits <= last
    };
    [8, 16, 24].into_iter().find(fits).unwrap_or(32)
}

/// The lines that decide, out of those about the subject.
fn deciding(kind: Kind, mut hits: Vec<Hit>) -> Vec<Hit> {
    let Some(closest) = hits.iter().map(|hit| hit.rank).max() else { return hits };
    hits.retain(|hit| hit.rank == closest);
    if matches!(kind, Kind::Ip4Trie | Kind::Ip6Trie) {
        hits.truncate(1);
    }
    if hits.iter().any(|hit| hit.excluded) {
        hits.retain(|hit| hit.excluded);
    }
    hits
}

/// What is found, told as text or JSON lines.
struct Told<'o> {
    /// Where to.
    out: &'o mut dyn Write,
    /// As JSON.
    json: bool,
    /// Something listed the subject or excluded it.
    found: bool,
}

impl Told<'_> {
    /// One dataset's word, if it has one.
    fn dataset(&mut self, zone: &str, dataset: &Dataset, asked: &Asked, lines: &[Hit]) -> io::Result<()> {
        let answers = answers(dataset, &asked.subject);
        if answers.is_empty() && lines.is_empty() {
            return Ok(());
        }
        self.found = true;
        let records = matches!(dataset.data(), Data::Generic(_));
        if self.json {
            let answers: Vec<_> = answers.iter().map(|(a, text)| json!({ "a": a.to_string(), "txt": text })).collect();
            let lines: Vec<_> = lines
                .iter()
                .map(
                    |hit| json!({ "file": hit.file.display().to_string(), "line": hit.line, "excluded": hit.excluded }),
                )
                .collect();
            let listed = !answers.is_empty();
            let line = json!({ "subject": asked.text, "zone": zone, "type": dataset.kind().name(), "listed": listed, "records": records, "answers": answers, "lines": lines });
            return writeln!(self.out, "{line}");
        }
        let word = match (records, answers.is_empty()) {
            (true, _) => "has records",
            (false, true) => "excluded",
            (false, false) => "listed",
        };
        writeln!(self.out, "{} in {zone}: {word} by {}", asked.text, dataset.kind())?;
        for (a, text) in &answers {
            match text {
                Some(text) => writeln!(self.out, "  {a}  {text:?}")?,
                None => writeln!(self.out, "  {a}")?,
            }
        }
        for hit in lines {
            let what = if hit.excluded { "excluded at" } else { "at" };
            writeln!(self.out, "  {what} {}:{}", hit.file.display(), hit.line)?;
        }
        Ok(())
    }

    /// A zone that says nothing of the subject.
    fn nothing(&mut self, zone: &str, asked: &Asked) -> io::Result<()> {
        if self.json {
            let line = json!({ "subject": asked.text, "zone": zone, "listed": false, "records": false, "answers": [], "lines": [] });
            return writeln!(self.out, "{line}");
        }
        writeln!(self.out, "{} in {zone}: not listed", asked.text)
    }
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A file can not be used.
    #[error(transparent)]
    File(#[from] BadFile),
    /// The output can not be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Ask zones about a subject. `now` is in seconds since 1970.
pub fn run(asked: &Asked, zones: &[Zone], now: i64, json: bool, out: &mut dyn Write) -> Result<(), QueryError> {
    for zone in zones {
        let asked = &below(asked, &zone.name);
        let mut told = Told { out, json, found: false };
        // An access list lists nothing.
        for source in zone.sources.iter().filter(|source| source.kind != Kind::Acl) {
            let dataset = zonefile::read(source, now, &mut |_| {})?.dataset;
            let new =
                |kind| Trace { kind, header: Header::default(), asked, file: PathBuf::new().into(), hits: Vec::new() };
            let (target, _) = zonefile::read_into(source, now, new, &mut |_| {})?;
            let traces: Vec<Trace<'_>> = match target {
                Target::One(trace) => vec![*trace],
                Target::Sections { parts, .. } => parts.into_iter().map(|(_, trace)| trace).collect(),
            };
            for ((names, part), trace) in dataset.parts().into_iter().zip(traces) {
                let lines = deciding(trace.kind, trace.hits);
                for name in names {
                    let home =
                        if name == Name::root() { zone.name.to_string() } else { format!("{name}.{}", zone.name) };
                    told.dataset(&home, part, asked, &lines)?;
                }
            }
        }
        if !told.found {
            told.nothing(&zone.name.to_string(), asked)?;
        }
    }
    Ok(())
}

/// A name that was given as the query would give it, with the zone's name behind it, without that.
fn below(asked: &Asked, zone: &Name) -> Asked {
    let mut asked = asked.clone();
    if let Some(name) = &asked.subject.name {
        let query = QueryName::of(name);
        let (labels, zone_labels) = (query.label_count(), zone.label_count());
        if labels > zone_labels && query.labels_from(labels - zone_labels) == zone.to_lower().labels() {
            let mut wire = query.labels(0, labels - zone_labels).to_vec();
            wire.push(0);
            asked.subject.name = Some(Name::from_wire(&wire));
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `query` prints of a subject, the files named by their place in the list.
    fn ask(kind: Kind, files: &[&str], subject: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = files
            .iter()
            .enumerate()
            .map(|(n, text)| {
                let path = dir.path().join(format!("{n}"));
                std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
                path
            })
            .collect();
        let source = Source { kind, files, options: Default::default() };
        let zone = Zone { name: "z.example".parse().unwrap(), sources: vec![source] };
        let mut out = Vec::new();
        run(&Asked::parse(subject).unwrap(), &[zone], 0, false, &mut out).unwrap();
        String::from_utf8(out).unwrap().replace(&format!("{}/", dir.path().display()), "")
    }

    #[test]
    fn access_lists_are_not_asked() {
        assert_eq!(ask(Kind::Acl, &["0/0 :5:x\n"], "192.0.2.1"), "192.0.2.1 in z.example: not listed\n");
    }

    #[test]
    fn the_deciding_lines_are_named() {
        let set = ":2:d $\n10/8 :8:wide\n10.1/16\n!10.2/16\n10.1.2.0/25 :3:a\n10.1.2.5 :4:b\n";
        let cases = [
            (
                Kind::Ip4Set,
                set,
                "10.9.9.9",
                "10.9.9.9 in z.example: listed by ip4set\n  127.0.0.8  \"wide\"\n  at 0:2\n",
            ),
            (
                Kind::Ip4Set,
                set,
                "10.1.9.9",
                "10.1.9.9 in z.example: listed by ip4set\n  127.0.0.2  \"d 10.1.9.9\"\n  at 0:3\n",
            ),
            (Kind::Ip4Set, set, "10.2.9.9", "10.2.9.9 in z.example: excluded by ip4set\n  excluded at 0:4\n"),
            (
                Kind::Ip4Set,
                set,
                "10.1.2.5",
                "10.1.2.5 in z.example: listed by ip4set\n  127.0.0.3  \"a\"\n  127.0.0.4  \"b\"\n  at 0:5\n  at 0:6\n",
            ),
            (Kind::Ip4Set, set, "11.0.0.1", "11.0.0.1 in z.example: not listed\n"),
            (
                Kind::Ip4Trie,
                set,
                "10.1.2.5",
                "10.1.2.5 in z.example: listed by ip4trie\n  127.0.0.4  \"b\"\n  at 0:6\n",
            ),
            (
                Kind::Ip4Set,
                "1.2.3.4\n",
                "::ffff:1.2.3.4",
                "::ffff:1.2.3.4 in z.example: listed by ip4set\n  127.0.0.2\n  at 0:1\n",
            ),
            (
                Kind::Dnset,
                ".x.test :3:$\n!a.x.test\n",
                "b.x.test",
                "b.x.test in z.example: listed by dnset\n  127.0.0.3  \"x.test\"\n  at 0:1\n",
            ),
            (
                Kind::Dnset,
                ".x.test :3:$\n!a.x.test\n",
                "A.x.test",
                "A.x.test in z.example: excluded by dnset\n  excluded at 0:2\n",
            ),
            (
                Kind::Generic,
                "www A 127.0.0.1\n",
                "www.z.example",
                "www.z.example in z.example: has records by generic\n  at 0:1\n",
            ),
            (
                Kind::Combined,
                "$DATASET ip4set a @\n1.2.3.4 :5\n",
                "1.2.3.4",
                "1.2.3.4 in a.z.example: listed by ip4set\n  127.0.0.5\n  at 0:2\n1.2.3.4 in z.example: listed by ip4set\n  127.0.0.5\n  at 0:2\n",
            ),
        ];
        for (kind, text, subject, expected) in cases {
            assert_eq!(ask(kind, &[text], subject), expected, "{kind} {subject}");
        }
        assert_eq!(
            ask(Kind::Ip4Set, &["1.2.3.4\n", "#\n1.2.3.4 :3\n"], "1.2.3.4"),
            "1.2.3.4 in z.example: listed by ip4set\n  127.0.0.2\n  127.0.0.3\n  at 0:1\n  at 1:2\n"
        );
    }
}
