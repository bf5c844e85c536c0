//! The lines of a dataset's files, one after another, into the sink that they belong to.

use std::path::Path;
use std::sync::Arc;

use super::address::{self, Ip4Forms, Ip4Key, Ip6Forms, Scan};
use super::input::{self, Lines, RawLine};
use super::special::{self, Section, Special};
use super::{Fault, Line, ReadOptions, Sink, Source, Stamp, record, rule, value};
use crate::dataset::entry::{Entry, EntryValue, Key, Rule, Scope, Treatment};
use crate::dataset::{Header, Kind};
use crate::diag::{BadFile, Diagnostic, Severity};
use crate::wire::name::{NAME_LEN_MAX, Name, parse};

/// Read the files of a dataset into sinks, which `new` makes: one for the dataset, or one for each section.
pub(crate) fn read_into<S: Sink>(
    source: &Source,
    now: i64,
    new: impl Fn(Kind) -> S,
    tell: &mut dyn FnMut(Diagnostic),
) -> Result<(Target<S>, Vec<Stamp>), BadFile> {
    let target = if source.kind == Kind::Combined {
        Target::Sections { common: Box::default(), parts: Vec::new(), open: false, inside: false }
    } else {
        Target::One(Box::new(new(source.kind)))
    };
    let buffers = record::Buffers::default();
    let mut reader = Reader { options: source.options, now, target, new, max_range4: u64::MAX, buffers };
    let stamps = source.files.iter().map(|file| reader.file(file, tell)).collect::<Result<_, _>>()?;
    Ok((reader.target, stamps))
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
struct Reader<S, N> {
    /// How to read.
    options: ReadOptions,
    /// Seconds since 1970.
    now: i64,
    /// Where entries go.
    target: Target<S>,
    /// Makes a sink.
    new: N,
    /// IPv4 entries of more addresses than this are refused (`$MAXRANGE4`); it is only ever tightened.
    max_range4: u64,
    /// Room for the names of a record.
    buffers: record::Buffers,
}

/// Where entries go.
pub(crate) enum Target<S> {
    /// A dataset of one type.
    One(Box<S>),
    /// A `combined` one.
    Sections {
        /// What stands before the first section.
        common: Box<Header>,
        /// The sections and their names.
        parts: Vec<(Vec<Name>, S)>,
        /// Special lines belong to the last section.
        open: bool,
        /// Entries belong to it as well: it began in this file, or a special line in this file went on with it.
        inside: bool,
    },
}

impl<S: Sink, N: Fn(Kind) -> S> Reader<S, N> {
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
            Target::One(sink) => sink.begin_file(path),
            Target::Sections { inside, .. } => *inside = false,
        }
        while let Some(line) = lines.next_line().map_err(io)? {
            let RawLine { text, number, cut } = line;
            let step = self.line(path, text, number);
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
        if !lines.unchanged().map_err(io)? {
            return Err(BadFile::Changed { file: path.to_owned() });
        }
        Ok(lines.stamp())
    }

    /// Read a line.
    #[inline]
    fn line(&mut self, path: &Path, line: &[u8], number: u32) -> Result<Step, Fault> {
        // Nearly all lines of the large lists are an address and nothing else.
        if let Target::One(sink) = &mut self.target
            && let Some(address) = address::plain_ip4(line)
            && sink.take_host(address)
        {
            return Ok(Step::Done);
        }
        let line = value::trim_end(line);
        // A NUL ends a line, as it does in rbldnsd; blanks before it stay.
        let nul = memchr::memchr(0, line);
        let mut scan = Scan::new(nul.map_or(line, |at| &line[..at]), 0);
        scan.skip_blanks();
        match scan.peek() {
            None => return Ok(Step::Done),
            Some(b'#' | b';' | b':' | b'$') => {
                if let Some(at) = special::special_at(scan.rest()) {
                    scan.at += at + 1;
                    return self.special(path, scan);
                }
                if let Some(b'#' | b';') = scan.peek() {
                    return Ok(Step::Done);
                }
            }
            _ => {}
        }
        let sink: &mut S = match &mut self.target {
            Target::One(sink) => sink,
            Target::Sections { parts, inside: true, .. } => match parts.last_mut() {
                Some((_, sink)) => sink,
                None => return Ok(Step::Done),
            },
            Target::Sections { inside: false, .. } => {
                return Ok(Step::Broken(
                    Fault::new(scan.at, "an entry stands before the first `$DATASET` of its file")
                        .hint("each file of a combined dataset begins its sections itself"),
                ));
            }
        };
        let ttl = sink.header_mut().ttl;
        let options = LineOptions { mask_host_bits: self.options.mask_host_bits, max_range4: self.max_range4, ttl };
        let start = scan.at;
        if sink.kind() == Kind::Acl {
            let (line, doubt) = rule::read(&mut scan, options)?;
            sink.take(&line, number).map_err(|error| Fault::new(start, error.to_string()))?;
            return Ok(doubt.map_or_else(|| check_entry(start, &line), Step::Cut));
        }
        let mut wire = [0; NAME_LEN_MAX];
        let line = read_line(&mut scan, sink.kind(), options, &mut self.buffers, &mut wire)?;
        sink.take(&line, number).map_err(|error| Fault::new(start, error.to_string()))?;
        let step = check_entry(start, &line);
        match (nul, step) {
            (Some(at), Step::Done) => Ok(Step::Cut(Fault::new(at, "a NUL ends the line"))),
            (_, step) => Ok(step),
        }
    }

    /// Read a special line, behind its `$`.
    fn special(&mut self, path: &Path, mut scan: Scan<'_>) -> Result<Step, Fault> {
        let at = scan.at - 1;
        let header = match &mut self.target {
            Target::One(sink) => sink.header_mut(),
            // SOA and the like are the whole zone's, wherever they stand.
            Target::Sections { common, .. } if special::is_of_zone(scan.rest()) => common,
            Target::Sections { parts, open: true, common, .. } => {
                parts.last_mut().map_or(&mut **common, |(_, sink)| sink.header_mut())
            }
            Target::Sections { common, .. } => common,
        };
        let special = special::read(&mut scan, header, self.now);
        let apex = header.soa.is_some() || header.ns.is_some();
        if let Target::One(sink) = &mut self.target
            && sink.kind() == Kind::Acl
            && apex
        {
            (sink.header_mut().soa, sink.header_mut().ns) = (None, None);
            let fault = Fault::new(at, "an acl has no $SOA and no $NS").hint("put it into a list of the zone");
            return Err(fault);
        }
        let mut goes_on = false;
        if let Target::Sections { open: true, inside: inside @ false, .. } = &mut self.target {
            (*inside, goes_on) = (true, true);
        }
        match special? {
            Special::Dataset(section) => Ok(self.section(path, at, section)),
            Special::Future => {
                let fault = Fault::new(at, "the time stamp is in the future");
                Ok(Step::Broken(fault.hint("the file is used once that time has come; check both clocks")))
            }
            special => {
                if let Special::MaxRange4(addresses) = special {
                    self.max_range4 = self.max_range4.min(addresses);
                }
                if goes_on {
                    let fault = "before the first `$DATASET` of a further file, this goes on with the last section";
                    let hint = "common lines belong into the first file, before its first `$DATASET`";
                    return Ok(Step::Cut(Fault::new(at, fault).hint(hint)));
                }
                Ok(Step::Done)
            }
        }
    }

    /// A section begins.
    fn section(&mut self, path: &Path, at: usize, section: Section<'_>) -> Step {
        let Target::Sections { common, parts, open, inside } = &mut self.target else {
            // rbldnsd warns and goes on as well.
            return Step::Cut(
                Fault::new(at, "`$DATASET` has no meaning here").hint("only combined files have sections"),
            );
        };
        (*open, *inside) = (false, false);
        if section.kind.is_empty() {
            return Step::Cut(Fault::new(at, "`$DATASET` without a type").hint("write: $DATASET type[:name] subzone…"));
        }
        let Some(kind) = special::section_kind(section.kind) else {
            let message =
                format!("`{}` can be no section of a combined dataset", String::from_utf8_lossy(section.kind));
            return Step::Broken(
                Fault::new(section.kind_at, message)
                    .hint("there are ip4set, ip4tset, ip4trie, ip6tset, ip6trie, dnset and generic"),
            );
        };
        let mut sink = (self.new)(kind);
        sink.begin_file(path);
        sink.header_mut().ttl = common.ttl;
        sink.header_mut().template = common.template.clone();
        parts.push((section.names, sink));
        (*open, *inside) = (true, true);
        section.fault.map_or(Step::Done, Step::Cut)
    }
}

/// What a line's meaning depends on besides the dataset.
#[derive(Clone, Copy)]
pub(super) struct LineOptions {
    /// Mask host bits instead of refusing them.
    pub(super) mask_host_bits: bool,
    /// Refuse IPv4 entries of more addresses than this.
    pub(super) max_range4: u64,
    /// `$TTL` in force, s.
    pub(super) ttl: Option<u32>,
}

/// Read an entry, a record or a default line.
#[inline]
fn read_line<'r>(
    scan: &mut Scan<'r>,
    kind: Kind,
    options: LineOptions,
    buffers: &'r mut record::Buffers,
    wire: &'r mut [u8; NAME_LEN_MAX],
) -> Result<Line<'r>, Fault> {
    let start = scan.at;
    let ip6 = matches!(kind, Kind::Ip6Trie | Kind::Ip6Tset);
    if kind == Kind::Generic {
        return record::read(scan, buffers, options.ttl).map(Line::Record);
    }
    if scan.peek() == Some(b':') && !(ip6 && scan.rest().starts_with(b"::")) {
        return value::colon_value(scan).map(Line::Default);
    }
    let excluded = scan.eat(b'!');
    if excluded {
        scan.skip_blanks();
    }
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
        Kind::Dnset | Kind::Generic | Kind::Combined | Kind::Acl => name_key(scan, wire)?,
    };
    // What follows an exclusion says nothing; nor does it in the `tset`s, where one value counts for all.
    let silent = excluded || matches!(kind, Kind::Ip4Tset | Kind::Ip6Tset);
    let value = if silent { EntryValue::default() } else { value::entry_value(scan)? };
    Ok(Line::Entry(Entry { key, excluded, value }))
}

/// What became of a line that was taken: perhaps its text is too long, or it says something else than was meant.
#[inline]
fn check_entry(at: usize, line: &Line<'_>) -> Step {
    if let Line::Entry(Entry { key: Key::Name(b"\x01*", Scope::Exact), .. }) = line {
        let fault = Fault::new(at, "a lone `*` is the name `*` and nothing else, as in rbldnsd");
        return Step::Cut(fault.hint("a whole tree can not be listed; name a domain"));
    }
    let (Line::Default(value)
    | Line::Entry(Entry { value, .. })
    | Line::Rule(Rule { treatment: Treatment::List(value), .. })) = line
    else {
        return Step::Done;
    };
    if !value::is_too_long(value) {
        return Step::Done;
    }
    let message = format!("the text is longer than {} octets and is cut", crate::dataset::entry::TEXT_LEN_MAX);
    Step::Cut(Fault::new(at, message))
}

/// An IPv4 key within the range allowed.
#[inline]
pub(super) fn ip4_key(scan: &mut Scan<'_>, forms: Ip4Forms, options: LineOptions) -> Result<Key<'static>, Fault> {
    let start = scan.at;
    let key = address::ip4(scan, forms, options.mask_host_bits)?;
    let (key, size) = match key {
        Ip4Key::Net(net) => (Key::Ip4Net(net), 1u64 << (32 - net.prefix_len())),
        Ip4Key::Range(first, last) => {
            (Key::Ip4Range(first, last), u64::from(u32::from(last)) - u64::from(u32::from(first)) + 1)
        }
    };
    if size > options.max_range4 {
        let message = format!("the entry has more than the {} addresses that $MAXRANGE4 allows", options.max_range4);
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
    if len == 1 {
        return Err(Fault::new(start, "a whole tree can not be listed").hint("name a domain"));
    }
    wire[..len].make_ascii_lowercase();
    Ok(Key::Name(&wire[..len - 1], scope))
}
