//! Random set-ups: zones, their datasets, files and lines, and questions near what the lines say.
//!
//! A set-up is plain data, so that the minimiser can take lines out of it. Beside its lines a file keeps its
//! *subjects*: the addresses and names its author had in mind, however badly the line then says so. Questions are
//! made of subjects, never of parsed lines, so that they do not depend on anybody's reading of a line.

use dnsbld::dataset::Kind;

use super::dice::Dice;
use super::lines::Lines;
use super::names::name_on;
use super::translate::{section, text_of};

/// Everything that one run of rbldnsd serves.
#[derive(Clone)]
pub struct SetUp {
    /// Options of both servers.
    pub options: Options,
    /// Zone files.
    pub files: Vec<FileText>,
    /// Datasets; several zones may share one.
    pub sources: Vec<SourceText>,
    /// Zones.
    pub zones: Vec<ZoneText>,
}

/// Options that both servers have.
#[derive(Clone, Copy)]
pub struct Options {
    /// `-e`: mask host bits.
    pub mask_host_bits: bool,
    /// `-t`: default TTL, least and most, s.
    pub ttl: (u32, u32, u32),
    /// `-A` rather than `-a`: name servers in the authority section.
    pub full: bool,
    /// `-C`: take packed files as they are.
    pub no_gzip: bool,
}

/// Whether a file can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It can.
    Good,
    /// It is not there.
    Missing,
    /// It is packed, and its end is missing.
    Cut,
}

/// One zone file.
#[derive(Clone)]
pub struct FileText {
    /// Its lines without their ends.
    pub lines: Vec<Vec<u8>>,
    /// A line end stands after the last line.
    pub ends: bool,
    /// A byte order mark stands before the first line.
    pub bom: bool,
    /// It is packed.
    pub gzip: bool,
    /// Whether it can be read.
    pub state: FileState,
    /// Modification time, seconds since 1970.
    pub mtime: u64,
    /// What its lines are about: a name below the zone (the mount of a section), and the subject.
    pub subjects: Vec<(Labels, Subject)>,
}

/// One dataset.
#[derive(Clone)]
pub struct SourceText {
    /// Its type.
    pub kind: Kind,
    /// Its files.
    pub files: Vec<usize>,
}

/// One zone.
#[derive(Clone)]
pub struct ZoneText {
    /// Its name in lower case.
    pub name: String,
    /// Its name as the command line spells it.
    pub spelt: String,
    /// Its datasets.
    pub sources: Vec<usize>,
}

/// Labels of a name, the first one first.
pub type Labels = Vec<Vec<u8>>;

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An IPv4 address, the first or last of a block for instance.
    Ip4(u32),
    /// The same for IPv6.
    Ip6(u128),
    /// A name.
    Name(Labels),
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Number of the zone it was made for.
    pub zone: usize,
    /// Its name, the zone's own labels included.
    pub name: Labels,
    /// Type asked for.
    pub qtype: u16,
    /// UDP size of the EDNS record, if there is one.
    pub edns: Option<u16>,
}

/// Zones of one set-up.
pub const ZONES: usize = 40;
/// The first so many zones have names that `$NS` lines use.
const HOMES: usize = 4;
/// Types of the questions, the usual ones more often.
const QTYPES: [u16; 36] = [
    1, 1, 1, 1, 1, 1, 1, 1, 16, 16, 16, 16, 16, 16, 16, 16, 255, 255, 255, 255, 15, 2, 6, 28, 43, 65, 257, 256, 0, 12,
    249, 250, 252, 254, 33, 65_535,
];

/// A label that no line has.
pub const UNHEARD_OF: &[u8] = b"q-q";

impl SetUp {
    /// The set-up of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let ttl = match dice.below(4) {
            0 => (dice.of(&[60, 2100, 7200]), dice.of(&[0, 30]), dice.of(&[7200, 86_400])),
            _ => (2100, 0, u32::MAX),
        };
        let options =
            Options { mask_host_bits: dice.once_in(4), ttl, full: !dice.once_in(4), no_gzip: dice.once_in(20) };
        let mut set_up = Self { options, files: Vec::new(), sources: Vec::new(), zones: Vec::new() };
        for number in 0..ZONES {
            set_up.add_zone(number, &mut dice);
        }
        set_up
    }

    /// Add a zone and its datasets.
    fn add_zone(&mut self, number: usize, dice: &mut Dice) {
        let name = match dice.below(8) {
            _ if (1..=HOMES).contains(&number) => format!("z{number}.test"),
            0 if number > 0 => format!("n{number}.{}", self.zones[dice.below(number)].name),
            1 if number > 0 => format!("n{number}.b.{}", self.zones[dice.below(number)].name),
            2 => format!("bl.z{number}.test"),
            3 if number > 0 && dice.once_in(4) => format!("t{number}"),
            _ => format!("z{number}.test"),
        };
        let name = if name.len() > 40 { format!("y{number}.test") } else { name };
        let spelt = match dice.below(20) {
            0 | 1 => name.to_uppercase(),
            2 => format!("{name}."),
            3 => name.replace('.', ".."),
            _ => name.clone(),
        };
        let mut sources = Vec::new();
        for _ in 0..dice.of(&[1, 1, 1, 1, 2, 2, 3]) {
            let source = if !self.sources.is_empty() && dice.once_in(10) {
                dice.below(self.sources.len())
            } else {
                self.add_source(dice);
                self.sources.len() - 1
            };
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        if (1..=HOMES).contains(&number) && !dice.once_in(4) {
            sources.push(self.add_home(number, dice));
        }
        self.zones.push(ZoneText { name, spelt, sources });
    }

    /// Add a dataset with an address for what `$NS` lines call a name server in the zone, expired perhaps; its number.
    fn add_home(&mut self, number: usize, dice: &mut Dice) -> usize {
        let (kind, line) =
            [(Kind::Ip4Set, "10.1"), (Kind::Generic, "a A 10.9.9.9"), (Kind::Dnset, "ns"), (Kind::Dnset, ".a")]
                [(number - 1) % 4];
        let mut lines = vec![line.as_bytes().to_vec()];
        if dice.once_in(4) {
            lines.push(b"$TIMESTAMP 2020-01-01 +1d".to_vec());
        }
        self.files.push(FileText {
            lines,
            ends: true,
            bom: false,
            gzip: false,
            state: FileState::Good,
            mtime: 1_650_000_000,
            subjects: Vec::new(),
        });
        self.sources.push(SourceText { kind, files: vec![self.files.len() - 1] });
        self.sources.len() - 1
    }

    /// Add a dataset and its files.
    fn add_source(&mut self, dice: &mut Dice) {
        // Access lists have tests of their own.
        let kinds: Vec<Kind> = Kind::ALL.iter().map(|(kind, _)| *kind).filter(|&kind| kind != Kind::Acl).collect();
        let kind = dice.of(&kinds);
        let mut files = Vec::new();
        for _ in 0..dice.of(&[1, 1, 1, 1, 1, 2, 2, 3]) {
            if !self.files.is_empty() && dice.once_in(20) {
                files.push(dice.below(self.files.len()));
                continue;
            }
            let mut lines = Lines::new(kind, dice);
            let (lines, subjects) = lines.file(files.len());
            let state = match dice.below(200) {
                0 => FileState::Missing,
                1 => FileState::Cut,
                _ => FileState::Good,
            };
            self.files.push(FileText {
                lines,
                ends: !dice.once_in(12),
                bom: dice.once_in(40),
                gzip: state == FileState::Cut || dice.once_in(12),
                state,
                mtime: if dice.once_in(400) { 0 } else { 1_600_000_000 + dice.below(100_000_000) as u64 },
                subjects,
            });
            files.push(self.files.len() - 1);
        }
        self.sources.push(SourceText { kind, files });
    }

    /// Subjects in the heads of further files of a `combined` dataset: what stands there may go on with any section before.
    fn heads(&self, source: &SourceText) -> Vec<(Labels, Subject)> {
        let (mut mounts, mut subjects) = (Vec::new(), Vec::new());
        for file in source.files.iter().map(|&file| &self.files[file]).filter(|_| source.kind == Kind::Combined) {
            for line in file.lines.iter().take_while(|line| section(text_of(line)).is_none()) {
                let names = [Kind::Dnset, Kind::Generic].into_iter().filter_map(|kind| name_on(kind, line));
                let names: Vec<Subject> = names.collect();
                subjects.extend(
                    mounts.iter().flat_map(|mount: &Labels| names.iter().map(|name| (mount.clone(), name.clone()))),
                );
            }
            mounts.extend(file.lines.iter().filter_map(|line| section(text_of(line))).flat_map(|(_, names)| names));
        }
        subjects
    }

    /// Questions about a zone: some that are always asked, and random ones until they are `count`.
    pub fn questions(&self, zone: usize, count: usize, dice: &mut Dice) -> Vec<Question> {
        let mut questions = Vec::new();
        let own: Labels = self.zones[zone].name.split('.').map(|label| label.as_bytes().to_vec()).collect();
        let mut ask = |name: Labels, qtype, edns| {
            if name.iter().map(|label| label.len() + 1).sum::<usize>() < 255 {
                questions.push(Question { zone, name, qtype, edns });
            }
        };
        let sources = self.zones[zone].sources.iter().map(|&source| &self.sources[source]);
        // A file may be shared with a dataset of another type: then its subjects are others here, and have no mounts.
        let here = |kind: Kind, file: &FileText| -> Vec<(Labels, Subject)> {
            let names = file.lines.iter().filter_map(|line| Some((Labels::new(), name_on(kind, line)?)));
            let bare = |(mount, subject): &(Labels, Subject)| {
                (if kind == Kind::Combined { mount.clone() } else { Labels::new() }, subject.clone())
            };
            file.subjects.iter().map(bare).chain(names).collect()
        };
        let heads = self.zones[zone].sources.iter().flat_map(|&source| self.heads(&self.sources[source]));
        let subjects: Vec<(Labels, Subject)> = sources
            .flat_map(|source| source.files.iter().map(|&file| (source.kind, &self.files[file])))
            .flat_map(|(kind, file)| here(kind, file))
            .chain(heads)
            .collect();
        // What a name has below it shows in the answers to these, see the oracle's evidence.
        for (mount, subject) in &subjects {
            if let Subject::Name(labels) = subject {
                let name = [labels.clone(), mount.clone(), own.clone()].concat();
                ask([vec![UNHEARD_OF.to_vec()], name.clone()].concat(), 1, None);
                ask(name, 1, Some(2048));
            } else {
                ask([mount.clone(), own.clone()].concat(), 1, None);
            }
        }
        for qtype in [6, 2, 255, 1] {
            ask(own.clone(), qtype, Some(2048));
        }
        while questions.len() < count {
            let (mount, mut labels) = match subjects.get(dice.below(subjects.len() + 1)) {
                Some((mount, subject)) => (mount.clone(), near(subject, dice)),
                None => (Labels::new(), near(&Subject::Ip4(dice.bits() as u32), dice)),
            };
            labels.extend(if dice.once_in(12) { Labels::new() } else { mount });
            if dice.once_in(40) {
                let octet = dice.of(b"\x00 .\\\"*@\x7f\xe4-_");
                labels.insert(0, vec![octet; dice.of(&[1, 1, 2, 63])]);
            }
            // A name in none of the zones is refused.
            if dice.once_in(200) {
                labels.push(b"elsewhere".to_vec());
            } else {
                labels.extend(own.iter().cloned());
            }
            if labels.iter().map(|label| label.len() + 1).sum::<usize>() >= 255 {
                continue;
            }
            if dice.once_in(6) {
                labels.iter_mut().flatten().filter(|_| dice.once_in(2)).for_each(|octet| octet.make_ascii_uppercase());
            }
            let edns = match dice.below(12) {
                0 | 1 => None,
                2 => Some(dice.of(&[0, 512, 600, 1_232, 1_400, 4_096, 65_535])),
                _ => Some(2_048),
            };
            questions.push(Question { zone, name: labels, qtype: dice.of(&QTYPES), edns });
        }
        questions
    }
}

/// The labels of a name at or near a subject.
fn near(subject: &Subject, dice: &mut Dice) -> Labels {
    match subject {
        Subject::Ip4(address) => near4(*address, dice),
        Subject::Ip6(address) => near6(*address, dice),
        Subject::Name(labels) => near_name(labels, dice),
    }
}

/// A label of a number.
fn octet(value: u32) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// An address, its neighbours, parts of it, and what is nearly an address.
fn near4(address: u32, dice: &mut Dice) -> Labels {
    let address = match dice.below(8) {
        0 => address.wrapping_add(1),
        1 => address.wrapping_sub(1),
        2 => address ^ 1 << dice.below(32),
        3 => address & !0xff | dice.below(256) as u32,
        _ => address,
    };
    if dice.once_in(8) {
        let mapped = 0xffff << 32 | u128::from(address);
        let tail = u128::from(dice.bits()) << 16 & ((1 << 80) - 1);
        return near6(if dice.once_in(2) { mapped } else { 0x2002 << 112 | u128::from(address) << 80 | tail }, dice);
    }
    let mut labels: Labels = address.to_be_bytes().iter().rev().map(|&byte| octet(byte.into())).collect();
    match dice.below(16) {
        0..=2 => drop(labels.drain(..dice.between(1, 3))),
        3 => labels[dice.below(4)].insert(0, b'0'),
        4 => labels.iter_mut().for_each(|label| *label = format!("{:0>3}", String::from_utf8_lossy(label)).into()),
        5 => labels[dice.below(4)] = dice.of(&[&b"256"[..], b"0", b"x", b"1e", b"-1", b"0000", b"99999"]).to_vec(),
        6 => labels.insert(0, dice.of(&[&b"5"[..], b"x"]).to_vec()),
        _ => {}
    }
    labels
}

/// The same in nibbles.
fn near6(address: u128, dice: &mut Dice) -> Labels {
    let address = match dice.below(10) {
        0 => address.wrapping_add(1),
        1 => address.wrapping_sub(1),
        2 => address ^ 1 << dice.below(128),
        3 => address & !0xffff_ffff_ffff_ffff | u128::from(dice.bits()),
        _ => address,
    };
    let mut labels: Labels = (0..32).map(|n| format!("{:x}", address >> (4 * n) & 15).into_bytes()).collect();
    match dice.below(16) {
        0..=2 => drop(labels.drain(..dice.between(1, 31))),
        3 => labels[dice.below(32)] = dice.of(&[&b"g"[..], b"10", b"", b"x"]).to_vec(),
        4 => labels.insert(0, b"1".to_vec()),
        _ => {}
    }
    labels.retain(|label| !label.is_empty());
    labels
}

/// A name, those above and below it, and neighbours.
fn near_name(labels: &Labels, dice: &mut Dice) -> Labels {
    let mut labels = labels.clone();
    match dice.below(10) {
        0 | 1 if !labels.is_empty() => drop(labels.drain(..dice.between(1, labels.len()))),
        2 => labels.insert(0, dice.of(&[&b"a"[..], b"x", b"*", b"www"]).to_vec()),
        3 => {
            labels.insert(0, b"a".to_vec());
            labels.insert(0, b"b".to_vec());
        }
        4 if !labels.is_empty() => labels[0].push(b'x'),
        5 if !labels.is_empty() => labels[0] = dice.of(&[&b"a"[..], b"b", b"*", b"sub"]).to_vec(),
        _ => {}
    }
    labels.retain(|label| (1..=63).contains(&label.len()));
    labels
}
