//! `dnsbld check`: every problem in zone files, told in one run.
//!
//! Each dataset is read as the server would read it, once even when several zones share it, and all its diagnostics are
//! told, then one line that sums it up. A zone whose datasets could all be used is then asked for the test
//! entries of RFC 5782 section 5, by which its users find out whether a list works and whether it lists the world.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::dataset::{Dataset, Kind};
use crate::diag::{BadFile, Diagnostic, Severity};
use crate::wire::name::Name;
use crate::zonefile::{self, Source};

/// What is to be known of a zone that is checked.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name.
    pub name: Name,
    /// The settings file, for findings about the zone as a whole.
    pub file: Arc<Path>,
    /// Line and column there.
    pub place: (u32, u32),
    /// Its datasets.
    pub sources: Vec<Source>,
    /// Whether it has ended; then its data are not read.
    pub retired: bool,
    /// Whether the server would refuse data that list 127.0.0.1; a listing is an error then, a warning otherwise.
    pub loopback_guard: bool,
    /// The same for the name `invalid`.
    pub invalid_guard: bool,
}

/// Where findings go, and how many there are.
pub struct Report<'w> {
    /// The output.
    out: &'w mut dyn Write,
    /// JSON lines rather than text.
    json: bool,
    /// Errors told so far.
    errors: u64,
    /// Warnings told so far.
    warnings: u64,
    /// The first failure to write.
    failed: Option<io::Error>,
}

/// A finding or a summary as a JSON line.
#[derive(Serialize)]
struct Line<'a> {
    /// `error`, `warning` or `info`.
    severity: &'a str,
    /// The file, with whatever is no UTF-8 replaced.
    file: &'a str,
    /// Line, counted from 1; 0 for the whole file.
    line: u32,
    /// Column in octets, counted from 1; 0 for the whole line.
    column: u32,
    /// What there is to say.
    message: &'a str,
    /// What to do.
    hint: &'a str,
}

impl<'w> Report<'w> {
    /// Nothing told yet.
    pub fn new(out: &'w mut dyn Write, json: bool) -> Self {
        Self { out, json, errors: 0, warnings: 0, failed: None }
    }

    /// Tell a finding.
    pub fn tell(&mut self, finding: &Diagnostic) {
        match finding.severity {
            Severity::Warning => self.warnings += 1,
            Severity::Error => self.errors += 1,
        }
        if self.json {
            self.line(&Line {
                severity: &finding.severity.to_string(),
                file: &finding.file.to_string_lossy(),
                line: finding.line,
                column: finding.column,
                message: &finding.message,
                hint: &finding.hint,
            });
        } else {
            self.text(format_args!("{finding}"));
        }
    }

    /// Tell what is no finding.
    fn sum_up(&mut self, what: &str, message: &str) {
        if self.json {
            self.line(&Line { severity: "info", file: what, line: 0, column: 0, message, hint: "" });
        } else {
            self.text(format_args!("{what}: {message}"));
        }
    }

    /// Write a line of text.
    fn text(&mut self, text: std::fmt::Arguments<'_>) {
        let done = writeln!(self.out, "{text}");
        self.keep(done);
    }

    /// Write a line of JSON.
    fn line(&mut self, line: &Line<'_>) {
        let done = serde_json::to_string(line).map_err(io::Error::from).and_then(|json| writeln!(self.out, "{json}"));
        self.keep(done);
    }

    /// Remember the first failure, so that the reading of files need not care.
    fn keep(&mut self, done: io::Result<()>) {
        if let (Err(error), None) = (done, &self.failed) {
            self.failed = Some(error);
        }
    }

    /// The number of errors told. Errors: something could not be written.
    pub fn finish(self) -> io::Result<u64> {
        self.failed.map_or(Ok(self.errors), Err)
    }
}

/// Check the files of one dataset. `now` is in seconds since 1970.
pub fn files(source: &Source, now: i64, report: &mut Report<'_>) {
    read(source, now, report);
}

/// Check zones with their datasets and test entries. `now` is in seconds since 1970; `written` are the files that the server itself
/// writes: before its first start they are not there, which is no error.
pub fn zones(zones: &[Zone], written: &[&Path], now: i64, report: &mut Report<'_>) {
    let mut known: HashMap<&Source, Option<Dataset>> = HashMap::new();
    for zone in zones {
        if zone.retired {
            report.sum_up(&zone.name.to_string(), "retired, its files are not read");
            continue;
        }
        for source in &zone.sources {
            known.entry(source).or_insert_with(|| {
                let awaited = source.files.iter().find(|file| written.contains(&file.as_path()) && !file.exists());
                if let Some(file) = awaited {
                    report.sum_up(&file.display().to_string(), "not there yet, the server writes it when it starts");
                    return None;
                }
                read(source, now, report)
            });
        }
        let datasets: Option<Vec<&Dataset>> = zone.sources.iter().map(|source| known[source].as_ref()).collect();
        if let Some(datasets) = datasets {
            test_entries(zone, &datasets, report);
        }
    }
}

/// Read a dataset, tell its findings and sum it up; `None` where it can not be used.
fn read(source: &Source, now: i64, report: &mut Report<'_>) -> Option<Dataset> {
    let (errors, warnings) = (report.errors, report.warnings);
    let mut last = None;
    let read = zonefile::read(source, now, &mut |finding| {
        report.tell(&finding);
        last = Some(finding);
    });
    let files: Vec<String> = source.files.iter().map(|file| file.display().to_string()).collect();
    let mut summary = source.kind.to_string();
    let dataset = match read {
        Ok(loaded) => {
            summary += &format!(", {}", count(loaded.dataset.entries(), "entry", "entries"));
            Some(loaded.dataset)
        }
        Err(error) => {
            let finding = finding(error);
            // A reader may have told the broken structure before it gave up.
            if last.as_ref() != Some(&finding) {
                report.tell(&finding);
            }
            summary += ", can not be used";
            None
        }
    };
    for (n, one, many) in
        [(report.errors - errors, "error", "errors"), (report.warnings - warnings, "warning", "warnings")]
    {
        if n > 0 {
            summary += &format!(", {}", count(n, one, many));
        }
    }
    report.sum_up(&files.join(","), &summary);
    dataset
}

/// `1 entry`, `2 entries`.
fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A bad file as a finding.
fn finding(error: BadFile) -> Diagnostic {
    let (file, message, hint) = match error {
        BadFile::Structure(finding) => return finding,
        BadFile::Io { file, error } => (file, format!("can not be read: {error}"), ""),
        BadFile::Changed { file } => {
            (file, "changed while it was read".to_owned(), "write aside and rename into place")
        }
    };
    Diagnostic { severity: Severity::Error, file: file.into(), line: 0, column: 0, message, hint: hint.to_owned() }
}

/// A test entry of RFC 5782 section 5 as it is asked for in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The same, mapped into IPv6.
    Mapped(Ipv4Addr),
    /// A name.
    Name(&'static str),
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4(address) => write!(f, "{address}"),
            // As the RFC writes it.
            Self::Mapped(address) => {
                let [a, b, c, d] = address.octets();
                write!(f, "::FFFF:{:X}:{:X}", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
            }
            Self::Name(name) => write!(f, "the name `{name}`"),
        }
    }
}

/// The test entries: what kind of list they are for, the one to be listed, the one not to be listed.
const TESTS: [(Form, Test, Test); 3] = [
    (Form::V4, Test::V4(Ipv4Addr::new(127, 0, 0, 2)), Test::V4(Ipv4Addr::LOCALHOST)),
    (Form::V6, Test::Mapped(Ipv4Addr::new(127, 0, 0, 2)), Test::Mapped(Ipv4Addr::LOCALHOST)),
    (Form::Names, Test::Name("test"), Test::Name("invalid")),
];

/// What a dataset's entries are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// IPv4 addresses.
    V4,
    /// IPv6 addresses.
    V6,
    /// Names.
    Names,
    /// Neither: records, or client networks.
    Other,
}

/// What the entries of a type are.
fn form(kind: Kind) -> Form {
    match kind {
        Kind::Ip4Set | Kind::Ip4Tset | Kind::Ip4Trie => Form::V4,
        Kind::Ip6Tset | Kind::Ip6Trie => Form::V6,
        Kind::Dnset => Form::Names,
        Kind::Generic | Kind::Combined | Kind::Acl => Form::Other,
    }
}

/// Look for the test entries of every list in a zone; the parts of a `combined` dataset are lists of their own.
fn test_entries(zone: &Zone, datasets: &[&Dataset], report: &mut Report<'_>) {
    let mut by_mount: BTreeMap<Name, Vec<&Dataset>> = BTreeMap::new();
    for (mounts, part) in datasets.iter().flat_map(|dataset| dataset.parts()) {
        for mount in mounts {
            by_mount.entry(mount).or_default().push(part);
        }
    }
    for (mount, parts) in &by_mount {
        let list = if *mount == Name::root() { zone.name.to_string() } else { format!("{mount}.{}", zone.name) };
        let has = |wanted| parts.iter().any(|part| form(part.kind()) == wanted);
        for finding in lacking(zone, &list, &has, &|test| lists(parts, test)) {
            report.tell(&finding);
        }
    }
}

/// What one list lacks of its test entries, or has too much; `has` says of what form its datasets are.
fn lacking(zone: &Zone, list: &str, has: &dyn Fn(Form) -> bool, lists: &dyn Fn(Test) -> bool) -> Vec<Diagnostic> {
    let tell = |severity, message, hint: &str| Diagnostic {
        severity,
        file: zone.file.clone(),
        line: zone.place.0,
        column: zone.place.1,
        message,
        hint: hint.to_owned(),
    };
    let mut findings = Vec::new();
    for (wanted, listed, free) in TESTS {
        if !has(wanted) {
            continue;
        }
        // Where there are IPv4 entries, they answer for mapped addresses, and their own test tells enough.
        let answered = wanted == Form::V6 && has(Form::V4);
        if !answered && !lists(listed) {
            let message = format!("{list} does not list {listed}, by which its users test it");
            findings.push(tell(Severity::Warning, message, "add it, see RFC 5782 section 5"));
        }
        if lists(free) {
            let guarded = if wanted == Form::Names { zone.invalid_guard } else { zone.loopback_guard };
            let message = format!("{list} lists {free}, so its users will take it for one that lists the world");
            findings.push(if guarded {
                tell(Severity::Error, message, "find the entry and remove it; the server refuses these data")
            } else {
                tell(Severity::Warning, message, "the guard is off, so these data are served")
            });
        }
    }
    findings
}

/// Whether any part lists a test entry.
fn lists(parts: &[&Dataset], test: Test) -> bool {
    parts.iter().any(|part| match test {
        Test::V4(address) => form(part.kind()) == Form::V4 && part.lists_address(IpAddr::V4(address)),
        Test::Mapped(address) => {
            form(part.kind()) == Form::V6 && part.lists_address(IpAddr::V6(address.to_ipv6_mapped()))
        }
        // The words of the table are names, so a failure can not be; it would say "not listed".
        Test::Name(name) => form(part.kind()) == Form::Names && name.parse().is_ok_and(|name| part.lists_name(&name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zone of the settings' line 7.
    fn zone(guards: bool) -> Zone {
        Zone {
            name: "bl.example.org".parse().unwrap(),
            file: Path::new("dnsbld.toml").into(),
            place: (7, 8),
            sources: Vec::new(),
            retired: false,
            loopback_guard: guards,
            invalid_guard: guards,
        }
    }

    #[test]
    fn test_entries_are_asked_for() {
        /// Forms, what is listed, whether the guards are on, what is told.
        type Case<'c> = (&'c [Form], &'c [&'c str], bool, &'c [&'c str]);
        let table: [Case<'_>; 10] = [
            (&[Form::Other], &[], true, &[]),
            (&[Form::V4], &["127.0.0.2"], true, &[]),
            (&[Form::V4], &[], true, &["warning: x does not list 127.0.0.2"]),
            (&[Form::V4], &["127.0.0.2", "127.0.0.1"], true, &["error: x lists 127.0.0.1"]),
            (&[Form::V4], &["127.0.0.2", "127.0.0.1"], false, &["warning: x lists 127.0.0.1"]),
            (&[Form::V6], &[], true, &["warning: x does not list ::FFFF:7F00:2"]),
            (&[Form::V6], &["::FFFF:7F00:1", "::FFFF:7F00:2"], true, &["error: x lists ::FFFF:7F00:1"]),
            (&[Form::V4, Form::V6], &["127.0.0.2"], true, &[]),
            (&[Form::V4, Form::V6], &["127.0.0.2", "::FFFF:7F00:1"], true, &["error: x lists ::FFFF:7F00:1"]),
            (
                &[Form::V4, Form::Names],
                &["127.0.0.2", "the name `invalid`"],
                true,
                &["warning: x does not list the name `test`", "error: x lists the name `invalid`"],
            ),
        ];
        for (forms, listed, guards, expected) in table {
            let has = |form| forms.contains(&form);
            let lists = |test: Test| listed.contains(&test.to_string().as_str());
            let findings = lacking(&zone(guards), "x", &has, &lists);
            let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, expected) in told.iter().zip(expected) {
                let told = told.strip_prefix("dnsbld.toml:7:8: ").expect("the zone's place");
                assert!(told.starts_with(expected), "{told}");
            }
        }
    }

    #[test]
    fn findings_as_text_and_json() {
        let finding = Diagnostic {
            severity: Severity::Warning,
            file: Path::new("a \"b\".zone").into(),
            line: 3,
            column: 1,
            message: "tab\tand \\".to_owned(),
            hint: String::new(),
        };
        for (json, expected) in [
            (false, "a \"b\".zone:3:1: warning: tab\tand \\\nbl.zone: ip4set, 1 entry\n"),
            (
                true,
                concat!(
                    r#"{"severity":"warning","file":"a \"b\".zone","line":3,"column":1,"message":"tab\tand \\","hint":""}"#,
                    "\n",
                    r#"{"severity":"info","file":"bl.zone","line":0,"column":0,"message":"ip4set, 1 entry","hint":""}"#,
                    "\n"
                ),
            ),
        ] {
            let mut out = Vec::new();
            let mut report = Report::new(&mut out, json);
            report.tell(&finding);
            report.sum_up("bl.zone", "ip4set, 1 entry");
            assert_eq!(report.finish().expect("a Vec takes all"), 0);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn a_failed_write_is_told_at_the_end() {
        let mut room = [0u8; 5];
        let mut out = room.as_mut_slice();
        let mut report = Report::new(&mut out, false);
        report.sum_up("bl.zone", "ip4set, 1 entry");
        assert_eq!(report.finish().expect_err("no room").kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn retired_zones_are_not_read() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, false);
        let source = Source { kind: Kind::Dnset, files: vec!["no/such.zone".into()], options: Default::default() };
        zones(&[Zone { retired: true, sources: vec![source], ..zone(true) }], &[], 0, &mut report);
        assert_eq!(report.finish().expect("a Vec takes all"), 0);
        assert_eq!(String::from_utf8(out).unwrap(), "bl.example.org: retired, its files are not read\n");
    }

    #[test]
    fn what_the_server_will_write_need_not_be_there() {
        let source = Source { kind: Kind::Dnset, files: vec!["no/such.zone".into()], options: Default::default() };
        let check = |written: &[&Path]| {
            let mut out = Vec::new();
            let mut report = Report::new(&mut out, false);
            zones(&[Zone { sources: vec![source.clone()], ..zone(true) }], written, 0, &mut report);
            let errors = report.finish().expect("a Vec takes all");
            (errors, String::from_utf8(out).unwrap())
        };
        let (errors, said) = check(&[Path::new("no/such.zone")]);
        assert_eq!((errors, said.as_str()), (0, "no/such.zone: not there yet, the server writes it when it starts\n"));
        assert!(check(&[Path::new("no/other.zone")]).0 > 0);
    }
}
