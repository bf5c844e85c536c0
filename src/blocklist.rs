//! A list without a server: zone files in, listings out, no DNS in between.
//!
//! ```
//! use dnsbld::Blocklist;
//!
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("bl.zone");
//! # std::fs::write(&file, ":127.0.0.2:Seen sending spam, see https://bl.example.org/?$\n192.0.2.1\n198.51.100.0/24 :4:A range\n")?;
//! let list = Blocklist::open([&file])?;
//! let found = list.lookup("192.0.2.1");
//! assert_eq!(found[0].code.to_string(), "127.0.0.2");
//! assert_eq!(found[0].text.as_deref(), Some("Seen sending spam, see https://bl.example.org/?192.0.2.1"));
//! assert!(list.contains("198.51.100.77"));
//! assert!(list.lookup("203.0.113.1").is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A `Blocklist` never changes and can be shared between threads. A program that wants changed files to be picked up
//! runs [`Zones`](crate::Zones) and asks its snapshots, or opens a new list and exchanges the two.

mod detect;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::dataset::template::{Subject as Substitute, Text};
use crate::dataset::values::EXCLUDED;
use crate::dataset::{Data, Dataset, Kind, Part, find_name};
use crate::diag::{BadFile, Diagnostic};
use crate::sys::clock;
use crate::wire::name::Name;
use crate::zone::embedded_ip4;
use crate::zonefile::{self, ReadOptions, Source};

/// Frozen data of one or several zone files.
#[derive(Debug)]
pub struct Blocklist {
    /// One for each file, in order.
    datasets: Vec<Dataset>,
    /// What was wrong with single lines.
    diagnostics: Vec<Diagnostic>,
}

/// One answer about a subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    /// The code, as the A record would be; within 127.0.0.0/8 in every usual list (RFC 5782 section 2.1).
    pub code: Ipv4Addr,
    /// The text, as the TXT record would be, its templates filled in; octets that are no UTF-8 are replaced.
    pub text: Option<String>,
    /// The type of the dataset that lists the subject.
    pub kind: Kind,
}

/// What is looked up: an address, a name, or neither, which nothing lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// An IPv4 address; of a mapped or 6to4 IPv6 address the one within it.
    pub(crate) ip4: Option<u32>,
    /// An IPv6 address.
    pub(crate) ip6: Option<u128>,
    /// A name, lower case.
    pub(crate) name: Option<Name>,
}

impl From<IpAddr> for Subject {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl From<Ipv4Addr> for Subject {
    fn from(address: Ipv4Addr) -> Self {
        Self { ip4: Some(address.into()), ..Self::default() }
    }
}

impl From<Ipv6Addr> for Subject {
    fn from(address: Ipv6Addr) -> Self {
        Self { ip4: embedded_ip4(address.into()), ip6: Some(address.into()), name: None }
    }
}

impl From<&Name> for Subject {
    fn from(name: &Name) -> Self {
        Self { name: Some(name.to_lower()), ..Self::default() }
    }
}

impl From<Name> for Subject {
    fn from(name: Name) -> Self {
        Self::from(&name)
    }
}

impl From<&str> for Subject {
    /// An address if it reads as one, otherwise a name; what is neither is listed nowhere.
    fn from(text: &str) -> Self {
        match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => text.parse::<Name>().map(Self::from).unwrap_or_default(),
        }
    }
}

/// Why a list can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file is missing, unreadable, cut off or structurally broken.
    #[error(transparent)]
    File(#[from] BadFile),
    /// A file has no entry by which its type could be told.
    #[error("{}: has no entry that says what it lists; name its type, for example with Blocklist::open_as", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
}

impl Blocklist {
    /// Read zone files, plain or gzip, and freeze them; each file is a dataset of its own.
    ///
    /// The type is told by the first entry: IPv4 addresses and prefixes are read as `ip4set`, IPv6 as `ip6trie`, names as
    /// `dnset`, and a file with `$DATASET` as `combined`. To have another type, use [`Blocklist::open_as`].
    ///
    /// # Errors
    ///
    /// A file that can not be used ([`BadFile`]), or that has no entry. A bad line is none: it is passed over and told in
    /// [`Blocklist::diagnostics`].
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OpenError> {
        let mut list = Self { datasets: Vec::new(), diagnostics: Vec::new() };
        for path in paths {
            let path = path.as_ref();
            let kind = detect::kind(path)?.ok_or_else(|| OpenError::Unknown { path: path.to_owned() })?;
            list.read(kind, vec![path.to_owned()])?;
        }
        Ok(list)
    }

    /// Read files that together make up one dataset of a type, as in a zone's settings.
    ///
    /// A `generic` dataset has records and an `acl` clients; neither lists anything here.
    ///
    /// # Errors
    ///
    /// As [`Blocklist::open`].
    pub fn open_as<P: AsRef<Path>>(kind: Kind, paths: impl IntoIterator<Item = P>) -> Result<Self, OpenError> {
        let mut list = Self { datasets: Vec::new(), diagnostics: Vec::new() };
        list.read(kind, paths.into_iter().map(|path| path.as_ref().to_owned()).collect())?;
        Ok(list)
    }

    /// The datasets of both, this one's first.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.datasets.extend(other.datasets);
        self.diagnostics.extend(other.diagnostics);
        self
    }

    /// Read one dataset more.
    fn read(&mut self, kind: Kind, files: Vec<PathBuf>) -> Result<(), BadFile> {
        let source = Source { kind, files, options: ReadOptions::default() };
        let now = clock::now_s();
        let loaded = zonefile::read(&source, now, &mut |diagnostic| self.diagnostics.push(diagnostic))?;
        self.datasets.push(loaded.dataset);
        Ok(())
    }

    /// All that is said of an address or a name, in the order of the files; nothing if it is not listed.
    pub fn lookup(&self, subject: impl Into<Subject>) -> Vec<Listing> {
        let subject = subject.into();
        let mut listings = Vec::new();
        for part in self.parts() {
            let listing = |(code, text)| Listing { code, text, kind: part.kind() };
            listings.extend(answers(part, &subject).into_iter().map(listing));
        }
        listings
    }

    /// Whether an address or a name is listed.
    pub fn contains(&self, subject: impl Into<Subject>) -> bool {
        let subject = subject.into();
        self.parts().any(|part| find(part, &subject).is_some_and(|(id, _)| id != EXCLUDED))
    }

    /// The datasets, and the sections of `combined` ones.
    fn parts(&self) -> impl Iterator<Item = &Dataset> {
        self.datasets.iter().flat_map(|dataset| {
            let sections: &[Part] = if let Data::Combined(parts) = dataset.data() { parts } else { &[] };
            let whole = sections.is_empty().then_some(dataset);
            sections.iter().map(|part| &part.dataset).chain(whole)
        })
    }

    /// Entries in all datasets.
    pub fn entries(&self) -> u64 {
        self.datasets.iter().map(Dataset::entries).sum()
    }

    /// Heap memory of the data, octets.
    pub fn heap_bytes(&self) -> u64 {
        self.datasets.iter().map(Dataset::heap_bytes).sum()
    }

    /// What was wrong with single lines, which were passed over; file, line and column are with each.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

/// The id of the value with which a dataset answers, and what `$` stands for in its text.
fn find<'a>(dataset: &Dataset, subject: &'a Subject) -> Option<(u32, Substitute<'a>)> {
    let ip4 = subject.ip4.and_then(|address| Some((dataset.find_ip4(address)?, Substitute::Ip4(address))));
    let ip6 = || subject.ip6.and_then(|address| Some((dataset.find_ip6(address)?, Substitute::Ip6(address))));
    let name = || match dataset.data() {
        Data::Dnset(names) => {
            let found = find_name(names, subject.name.as_ref()?.labels())?;
            Some((found.id, Substitute::Name(found.entry)))
        }
        _ => None,
    };
    ip4.or_else(ip6).or_else(name)
}

/// What one dataset answers.
pub(crate) fn answers(dataset: &Dataset, subject: &Subject) -> Vec<(Ipv4Addr, Option<String>)> {
    let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let Some((id, substitute)) = find(dataset, subject).filter(|&(id, _)| id != EXCLUDED) else { return Vec::new() };
    let values = dataset.values();
    let mut text = Text::default();
    let answer = |id| {
        let (a, raw) = values.get(id);
        (a.into(), dataset.header().template.expand(raw, substitute, &mut text).map(lossy))
    };
    values.members(id).map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files with these texts, in a directory that goes away.
    fn files(texts: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let paths = texts.iter().enumerate().map(|(n, text)| {
            let path = dir.path().join(n.to_string());
            std::fs::write(&path, text).unwrap();
            path
        });
        let paths = paths.collect();
        (dir, paths)
    }

    /// What a list says, each listing as `code text`.
    fn said(list: &Blocklist, subject: &str) -> Vec<String> {
        list.lookup(subject).iter().map(|found| format!("{} {:?}", found.code, found.text)).collect()
    }

    #[test]
    fn types_are_told_by_the_first_entry_and_answers_united() {
        let (_dir, paths) = files(&[
            "# hosts\n:2:four $\n!10.1.2.3\n10/8\n192.0.2.0-192.0.2.9 :5:range\n",
            "$TTL 60\n:3:six $\n2001:db8::/32\n",
            ":4:name $\n.example.org\nexact.test :6:\n",
            "$DATASET ip4set a @\n192.0.2.1 :7\n$DATASET dnset b\nexample.org :8\n",
        ]);
        let list = Blocklist::open(&paths).unwrap();
        assert_eq!(list.diagnostics(), &[]);
        assert_eq!(list.entries(), 8);
        let cases: &[(&str, &[&str])] = &[
            ("10.9.9.9", &["127.0.0.2 Some(\"four 10.9.9.9\")"]),
            ("10.1.2.3", &[]),
            ("192.0.2.1", &["127.0.0.5 Some(\"range\")", "127.0.0.7 None"]),
            ("::ffff:10.9.9.9", &["127.0.0.2 Some(\"four 10.9.9.9\")"]),
            ("2001:db8::1", &["127.0.0.3 Some(\"six 2001:db8::1\")"]),
            ("2001:db9::1", &[]),
            ("A.Example.ORG", &["127.0.0.4 Some(\"name example.org\")"]),
            ("example.org", &["127.0.0.4 Some(\"name example.org\")", "127.0.0.8 None"]),
            ("exact.test", &["127.0.0.6 None"]),
            ("below.exact.test", &[]),
            ("no..name", &[]),
            ("", &[]),
        ];
        for (subject, expected) in cases {
            assert_eq!(said(&list, subject), *expected, "{subject}");
            assert_eq!(list.contains(*subject), !expected.is_empty(), "{subject}");
        }
    }

    #[test]
    fn files_of_one_dataset_share_what_they_say_of_all() {
        let (_dir, paths) = files(&["!10.1.2.3\n10/8\n", "10.2/16 :9\n"]);
        let list = Blocklist::open_as(Kind::Ip4Trie, &paths).unwrap();
        assert!(!list.contains("10.1.2.3") && list.contains("10.1.2.4"));
        assert_eq!(said(&list, "10.2.3.4"), ["127.0.0.9 None"]);
        let (_dir, more) = files(&["10.1.2.3\n"]);
        let both = list.and(Blocklist::open(&more).unwrap());
        assert_eq!((both.contains("10.1.2.3"), both.entries()), (true, 4));
        assert!(both.heap_bytes() > 0);
    }

    #[test]
    fn bad_lines_are_told_and_bad_files_refused() {
        let (dir, paths) = files(&["192.0.2.1\nnot an address!\n", "# nothing\n:2:only a default\n"]);
        let list = Blocklist::open(&paths[..1]).unwrap();
        assert_eq!((list.diagnostics().len(), list.entries()), (1, 1));
        let error = Blocklist::open(&paths[1..]).unwrap_err().to_string();
        assert!(error.contains("Blocklist::open_as"), "{error}");
        let missing = dir.path().join("missing");
        assert!(matches!(Blocklist::open([&missing]), Err(OpenError::File(_))));
    }
}
