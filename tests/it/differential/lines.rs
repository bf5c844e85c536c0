//! Lines of zone files of every type: what a line may be, what it may be but should not, and what it may not be.
//!
//! The lists of odd forms name each broken form that rbldnsd's manual or the notes on its behaviour name. Addresses
//! and names come from a few bases, so that blocks nest, overlap and repeat.

use dnsbld::dataset::Kind;

use super::dice::Dice;
use super::generate::{Labels, Subject};
use super::keys::{guess4, guess6, ip4_key, ip6_key};
use super::names::{labels_of, name, name_on, record};
use super::specials::special;
use super::values::value;

/// Writes the lines of a file.
pub struct Lines<'d> {
    /// Chance.
    pub dice: &'d mut Dice,
    /// Type of the lines.
    kind: Kind,
    /// IPv4 bases.
    pub base4: [u32; 2],
    /// IPv6 bases.
    pub base6: [u128; 2],
    /// Mounts of the section.
    mounts: Vec<Labels>,
    /// What was written about so far.
    subjects: Vec<(Labels, Subject)>,
}

impl<'d> Lines<'d> {
    /// For a file of a type.
    pub fn new(kind: Kind, dice: &'d mut Dice) -> Self {
        let base4 = [0x0a01_0200, dice.of(&[0x7f00_0000, 0x0000_0000, 0xffff_ff00, 0x0a01_0300, 0x0b00_0000])];
        let words = |a: u128, b: u128, c: u128, d: u128| a << 112 | b << 96 | c << 80 | d << 64;
        let base6 = [
            words(0x2001, 0xdb8, 0, dice.of(&[0, 1])),
            dice.of(&[
                0xffff_0a01_0200,
                0,
                words(0x2002, 0x0a01, 0x0200, 0),
                words(0x2001, 0xdb8, 1, 0),
                words(0xfe80, 0, 0, 0),
                u128::MAX << 16,
            ]),
        ];
        Self { dice, kind, base4, base6, mounts: vec![Labels::new()], subjects: Vec::new() }
    }

    /// All lines of the `number`th file of a dataset, and their subjects.
    pub fn file(&mut self, number: usize) -> (Vec<Vec<u8>>, Vec<(Labels, Subject)>) {
        let mut lines = Vec::new();
        if number == 0 || self.kind != Kind::Combined || self.dice.once_in(20) {
            for _ in 0..self.dice.of(&[0, 0, 1, 2, 3, 5]) {
                let line = special(self.dice);
                lines.push(line);
            }
        }
        if self.kind == Kind::Combined {
            if self.dice.once_in(60) {
                let line = self.line();
                lines.push(line);
            }
            for _ in 0..self.dice.between(1, 4) {
                let line = self.section();
                lines.push(line);
                let count = self.dice.between(1, 14);
                self.body(count, &mut lines);
            }
        } else {
            let count = self.dice.of(&[0, 1, 3, 6, 10, 16, 24, 40]);
            self.body(count, &mut lines);
        }
        (lines, std::mem::take(&mut self.subjects))
    }

    /// Lines of the present type, with specials and rubbish among them.
    fn body(&mut self, count: usize, lines: &mut Vec<Vec<u8>>) {
        for _ in 0..count {
            let mut line = match self.dice.below(40) {
                0 | 1 => special(self.dice),
                2 => self
                    .dice
                    .pick::<[u8]>(&[b"", b"  ", b"\t", b"# comment", b"; comment", b" # c", b"#", b"\x00", b"\r"])
                    .to_vec(),
                3 | 4 if self.kind != Kind::Generic => {
                    let mut line = value(self.dice);
                    if line.first() != Some(&b':') {
                        line.insert(0, b':');
                    }
                    line
                }
                5 if self.kind == Kind::Generic && self.dice.once_in(2) => {
                    // One set of two TTLs, and a text that fills its string.
                    self.about(Subject::Name(vec![b"long".to_vec()]));
                    lines.push([b"long 60 TXT ", [b'l'; 253].as_slice()].concat());
                    lines.push([b"long 70 TXT ", [b'l'; 255].as_slice()].concat());
                    b"long 80 TXT short".to_vec()
                }
                6 if self.kind == Kind::Dnset && self.dice.once_in(4) => b"* :3:star".to_vec(),
                _ => self.line(),
            };
            let mut spoilt = self.spoil(&mut line);
            while self.dice.once_in(40) {
                spoilt |= self.spoil(&mut line);
            }
            // What was spoilt may be another name now, and its answers are evidence for what is above it.
            if let Some(subject) = name_on(self.kind, &line) {
                self.about(subject);
            }
            if spoilt {
                self.guess(&line);
            }
            if self.dice.once_in(25) {
                // Once more, perhaps with another value or as an exclusion.
                let mut twin = line.clone();
                if self.dice.once_in(3) {
                    twin.insert(0, b'!');
                } else if self.dice.once_in(2) {
                    twin.extend(b" :9:twin");
                }
                lines.push(twin);
            }
            if self.dice.once_in(80) && matches!(self.kind, Kind::Ip4Set | Kind::Dnset | Kind::Generic) {
                self.many(lines);
            }
            lines.push(line);
        }
    }

    /// Lines of one key and so many values that an answer may not hold them all.
    fn many(&mut self, lines: &mut Vec<Vec<u8>>) {
        let key: &[u8] = match self.kind {
            Kind::Ip4Set => b"10.1.2.3 :",
            Kind::Dnset => b"many.com :",
            _ => b"many TXT ",
        };
        self.about(if self.kind == Kind::Ip4Set {
            Subject::Ip4(0x0a01_0203)
        } else {
            Subject::Name(labels_of(if self.kind == Kind::Dnset { b"many.com" } else { b"many" }).unwrap_or_default())
        });
        let len = self.dice.of(&[1, 20, 100, 200]);
        for n in 0..self.dice.between(2, 12) {
            let text = [format!("{}:", n + 2).into_bytes(), vec![b't'; len]].concat();
            lines.push([key, &text].concat());
        }
    }

    /// Remember what a spoilt line might be about.
    fn guess(&mut self, line: &[u8]) {
        match self.kind {
            Kind::Ip4Set | Kind::Ip4Trie | Kind::Ip4Tset => {
                guess4(line).into_iter().for_each(|address| self.about(Subject::Ip4(address)));
            }
            Kind::Ip6Trie | Kind::Ip6Tset => {
                guess6(line).into_iter().for_each(|address| self.about(Subject::Ip6(address)));
            }
            _ => {}
        }
    }

    /// Blanks before and after, and now and then an octet that does not belong; whether there was such a one.
    fn spoil(&mut self, line: &mut Vec<u8>) -> bool {
        if self.dice.once_in(12) {
            line.splice(..0, self.dice.pick::<[u8]>(&[b" ", b"\t", b" \t "]).iter().copied());
        }
        if self.dice.once_in(12) {
            line.extend(self.dice.pick::<[u8]>(&[b" ", b"\t", b" \t "]));
        }
        if self.dice.once_in(30) {
            line.extend(b"\r");
        }
        if self.dice.once_in(200) {
            line.extend(self.dice.pick::<[u8]>(&[b" \x00", b"\t \x00x", b"\x00 x"]));
        }
        if self.dice.once_in(1000) {
            // Nobody reads what is so far behind; in between it depends on where in rbldnsd's buffer the line begins.
            line.resize(line.len() + self.dice.of(&[1_000, 30_000, 70_000]), b' ');
            line.extend(b":9:far");
        }
        let spoils = !line.is_empty() && self.dice.once_in(20);
        if spoils {
            let at = self.dice.below(line.len());
            match self.dice.below(6) {
                0 => drop(line.remove(at)),
                1 => line.insert(at, line[at]),
                2 => line.insert(at, self.dice.of(b" \t:;#!.-/$=\\0a@*\x00\x0b\x0c\"%")),
                3 => line[at] = self.dice.of(b" \t:;#!.-/$=\\0a@*\x00\xa0\""),
                4 => line[at] = self.dice.of(b"0123456789abcdefF"),
                _ => line.insert(at, self.dice.of(b"0123456789abcdefF")),
            }
        }
        spoils
    }

    /// An entry or record.
    fn line(&mut self) -> Vec<u8> {
        match self.kind {
            Kind::Ip4Set | Kind::Ip4Trie | Kind::Ip4Tset | Kind::Ip6Trie | Kind::Ip6Tset | Kind::Dnset => self.entry(),
            Kind::Generic => {
                let (line, labels) = record(self.dice);
                self.about(Subject::Name(labels));
                line
            }
            Kind::Combined | Kind::Acl => b"1.2.3.4".to_vec(),
        }
    }

    /// Remember what a line is about.
    fn about(&mut self, subject: Subject) {
        for mount in &self.mounts {
            self.subjects.push((mount.clone(), subject.clone()));
        }
    }

    /// An entry: exclusion mark, key, value.
    fn entry(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let excluded = self.dice.once_in(if self.kind == Kind::Ip4Tset { 30 } else { 5 });
        if excluded {
            line.extend(self.dice.pick::<[u8]>(&[b"!", b"!", b"!", b"! ", b"!\t", b"!!", b" !"]));
        }
        match self.kind {
            Kind::Ip6Trie | Kind::Ip6Tset => {
                let (key, subjects) = ip6_key(self.dice, &self.base6, self.kind, excluded);
                line.extend(key.bytes());
                subjects.into_iter().for_each(|address| self.about(Subject::Ip6(address)));
            }
            Kind::Dnset => {
                let (text, labels) = name(self.dice);
                line.extend(self.dice.pick::<[u8]>(&[b"", b"", b"", b".", b".", b"*.", b"*."]));
                line.extend(&text);
                if let Some(text) = text.strip_prefix(b"*.") {
                    self.about(Subject::Name(labels_of(text).unwrap_or_default()));
                }
                self.about(Subject::Name(labels));
            }
            _ => {
                let (key, subjects) = ip4_key(self.dice, &self.base4, self.kind);
                line.extend(key.bytes());
                subjects.into_iter().for_each(|address| self.about(Subject::Ip4(address)));
            }
        }
        line.extend(value(self.dice));
        line
    }

    /// The head of a section; the lines after it are of its type.
    fn section(&mut self) -> Vec<u8> {
        const KINDS: [Kind; 7] =
            [Kind::Ip4Set, Kind::Ip4Tset, Kind::Ip4Trie, Kind::Ip6Tset, Kind::Ip6Trie, Kind::Dnset, Kind::Generic];
        self.kind = self.dice.of(&KINDS);
        let mut line = self.dice.pick::<[u8]>(&[b"$", b"$", b"$", b"$", b"#$", b";$", b":$"]).to_vec();
        line.extend(self.dice.pick::<[u8]>(&[b"DATASET", b"DATASET", b"dataset", b"DataSet"]));
        line.extend(self.dice.pick::<[u8]>(&[b" ", b" ", b"\t", b"  "]));
        let kind = match self.dice.below(120) {
            0 => self.dice.pick(&["combined", "IP4SET", "nothing", "acl", "", "ip4set,x"]),
            _ => self.kind.name(),
        };
        line.extend(kind.as_bytes());
        line.extend(self.dice.pick::<[u8]>(&[b"", b"", b"", b":name", b":", b":a:b", b":a-name-that-is-very-long"]));
        self.mounts.clear();
        for _ in 0..if self.dice.once_in(60) { 0 } else { self.dice.of(&[1, 1, 1, 2, 3]) } {
            line.extend(self.dice.pick::<[u8]>(&[b" ", b" ", b"\t"]));
            let mount = match self.dice.below(100) {
                0 => self.dice.pick(&["a..b", "Deep.Sub.", ".", "@.", "a\\300", "x@", "#", "sub#", "*.sub"]),
                _ => self.dice.pick(&["@", "@", "sub", "sub", "deep.sub", "a", "a.b", "SUB", "1", "1.10"]),
            };
            line.extend(mount.as_bytes());
            self.mounts.push(if mount == "@" {
                Labels::new()
            } else {
                labels_of(mount.as_bytes()).unwrap_or_default()
            });
        }
        self.about(Subject::Name(Labels::new()));
        line.extend(self.dice.pick::<[u8]>(&[b"", b"", b"", b"", b"", b"", b"", b" # comment", b" ;c x", b" "]));
        line
    }
}
