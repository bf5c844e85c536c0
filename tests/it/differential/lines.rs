//! Lines of zone files of every type: what a line may be, what it may be but should not, and what it may not be.
//!
//! The lists of odd forms name each broken form that rbldnsd's manual or the notes on its behaviour name. Addresses
//! and names come from a few bases, so that blocks nest, overlap and repeat.

use dnsbld::dataset::Kind;

use super::dice::Dice;
use super::generate::{Labels, Subject};
use super::keys::{ip4_key, ip6_key};
use super::specials::special;
use super::values::value;

/// Labels that names are made of.
const LABELS: [&str; 13] = ["a", "a", "b", "b", "c", "com", "com", "net", "www", "A", "_dmarc", "x-y", "1"];
/// Names that are odd or broken.
const ODD_NAMES: [&[u8]; 34] = [
    b"*",
    b".",
    b"*.",
    b"..",
    b"**",
    b"*.*.a.com",
    b"*..a.com",
    b"..a.com",
    b".*.a.com",
    b"*a.com",
    b"a.*.com",
    b"a..com",
    b"a.com.",
    b"a.com..",
    b"*.a.com.",
    b".a.com.",
    b"a\\.b.com",
    b"a\\046b.com",
    b"\\097.com",
    b"a\\300.com",
    b"a\\9.com",
    b"a.com\\",
    b"\\*.a.com",
    b"a.com:5:direct",
    b"a.com#c",
    b"a.com;c",
    b"\x80\xff.com",
    b"a\\000b.com",
    b"@",
    b"@.com",
    b"\"a\".com",
    b"(a.com)",
    b"$a.com",
    b"a\\\\.com",
];

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
                _ => self.line(),
            };
            self.spoil(&mut line);
            // What was spoilt may be another name now, and its answers are evidence for what is above it.
            if let Some(subject) = name_on(self.kind, &line) {
                self.about(subject);
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
            lines.push(line);
        }
    }

    /// Blanks before and after, and now and then an octet that does not belong.
    fn spoil(&mut self, line: &mut Vec<u8>) {
        if self.dice.once_in(12) {
            line.splice(..0, self.dice.pick::<[u8]>(&[b" ", b"\t", b" \t "]).iter().copied());
        }
        if self.dice.once_in(12) {
            line.extend(self.dice.pick::<[u8]>(&[b" ", b"\t", b" \t "]));
        }
        if self.dice.once_in(30) {
            line.extend(b"\r");
        }
        if !line.is_empty() && self.dice.once_in(30) {
            let at = self.dice.below(line.len());
            match self.dice.below(4) {
                0 => drop(line.remove(at)),
                1 => line.insert(at, line[at]),
                2 => line.insert(at, self.dice.of(b" \t:;#!.-/$=\\0a@*\x00\x0b\x0c\"%")),
                _ => line[at] = self.dice.of(b" \t:;#!.-/$=\\0a@*\x00\xa0\""),
            }
        }
    }

    /// An entry or record.
    fn line(&mut self) -> Vec<u8> {
        match self.kind {
            Kind::Ip4Set | Kind::Ip4Trie | Kind::Ip4Tset | Kind::Ip6Trie | Kind::Ip6Tset | Kind::Dnset => self.entry(),
            Kind::Generic => self.record(),
            Kind::Combined => b"1.2.3.4".to_vec(),
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
                let (text, labels) = self.name();
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

    /// A name in text, and its labels as far as they can be told.
    fn name(&mut self) -> (Vec<u8>, Labels) {
        if self.dice.once_in(12) {
            let text = self.dice.pick(&ODD_NAMES).to_vec();
            return (text.clone(), labels_of(&text).unwrap_or_default());
        }
        let mut text = Vec::new();
        for n in 0..self.dice.of(&[1, 1, 2, 2, 2, 3, 3, 4]) {
            if n > 0 {
                text.push(b'.');
            }
            let label = match self.dice.below(60) {
                0 => "l".repeat(self.dice.of(&[62, 63, 64])),
                1 => "1.0.1.10".into(),
                2 => self.dice.between(0, 256).to_string(),
                _ => self.dice.pick(&LABELS).to_owned(),
            };
            text.extend(label.as_bytes());
        }
        if self.dice.once_in(80) {
            // Three leave room for the zone, so that they can be asked about; five are too long for any name.
            let long = format!("{}.", "m".repeat(60)).repeat(self.dice.of(&[2, 5]));
            text.splice(..0, long.bytes());
        }
        (text.clone(), labels_of(&text).unwrap_or_default())
    }

    /// A record of a `generic` dataset.
    fn record(&mut self) -> Vec<u8> {
        let (mut line, labels) = self.name();
        if self.dice.once_in(8) {
            line = b"@".to_vec();
        }
        self.about(Subject::Name(if line == b"@" { Labels::new() } else { labels }));
        let blank = self.dice.pick::<[u8]>(&[b" ", b" ", b"\t", b"  \t"]).to_vec();
        let mut words: Vec<&[u8]> = Vec::new();
        if self.dice.once_in(3) {
            words.push(self.dice.pick::<[u8]>(&[
                b"0",
                b"60",
                b"1h",
                b"2D",
                b"3000",
                b"600s",
                b"4294967295",
                b"99999999999",
                b"1d2h",
                b"1x",
                b"7w",
            ]));
        }
        if self.dice.once_in(4) {
            words.push(self.dice.pick::<[u8]>(&[b"IN", b"in", b"CH", b"IN IN"]));
        }
        match self.dice.below(20) {
            0..=8 => {
                words.push(self.dice.pick::<[u8]>(&[b"A", b"a"]));
                words.push(self.dice.pick::<[u8]>(&[
                    b"127.0.0.1",
                    b"127.0.0.2",
                    b"127.0.0.3",
                    b"10.1",
                    b"10.1.5",
                    b"1",
                    b"0",
                    b"0.0.0.0",
                    b"1.2.3.4 junk",
                    b"1.2.3.4junk",
                    b"1.2.3.256",
                    b"1.2.3.",
                    b"",
                    b"x",
                    b"::1",
                    b"1.2.3.4/32",
                    b"1.2.3.4.5",
                    b"01.2.3.4",
                    b"255.255.255.255",
                    b"1.2.3.4 # c",
                    b"1.2.3.4:x",
                    b"1.2.3.4-5",
                    b"127.0.0.1#c",
                ]));
            }
            9..=14 => {
                words.push(self.dice.pick::<[u8]>(&[b"TXT", b"txt", b"Txt"]));
                words.push(self.dice.pick::<[u8]>(&[
                    b"plain text",
                    b"\"quoted\"",
                    b"\"quoted \"inner\" text\"",
                    b"\"open",
                    b"open\"",
                    b"\"",
                    b"\"\"",
                    b"",
                    b"$ $$ $1 $=",
                    b"# no comment",
                    b"\\065\\\"",
                    b"=x",
                    b"\xc3\xa4\xff",
                    b"\"a\" \"b\"",
                    b"t",
                    &[b'l'; 253],
                    &[b'l'; 254],
                    &[b'l'; 255],
                    &[b'l'; 256],
                    &[b'l'; 700],
                    &[b'l'; 1100],
                    b"\" x \"",
                ]));
            }
            15..=17 => {
                words.push(self.dice.pick::<[u8]>(&[b"MX", b"mx"]));
                words.push(self.dice.pick::<[u8]>(&[
                    b"10 mx.ex",
                    b"10 mx.ex.",
                    b"0 a.b.c",
                    b"65535 MX.ex",
                    b"10 \\097.ex",
                    b"10  mx..ex",
                    b"20\tmx.ex",
                    b"010 mx.ex",
                    b"65536 mx.ex",
                    b"10",
                    b"ten mx.ex",
                    b"10 mx.ex junk",
                    b"10mx.ex",
                    b"-1 mx.ex",
                    b"10 .",
                    b"10 mx.ex # c",
                ]));
            }
            18 => words.push(self.dice.pick::<[u8]>(&[b"", b"A", b"TXT", b"MX", b"IN"])),
            _ => words.push(self.dice.pick::<[u8]>(&[
                b"NS ns.ex",
                b"CNAME a.b",
                b"AAAA ::1",
                b"XX 1",
                b"SOA a b 1 2 3 4 5",
            ])),
        }
        for word in words {
            line.extend(&blank);
            line.extend(word);
        }
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

/// The name that a line of a type speaks of, if it is a type of names.
pub fn name_on(kind: Kind, line: &[u8]) -> Option<Subject> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|&octet| matches!(octet, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
    match kind {
        Kind::Dnset => {
            let key = words.find(|&word| word != b"!")?;
            let key = key.strip_prefix(b"!").unwrap_or(key);
            labels_of(key.strip_prefix(b"*.").unwrap_or(key)).map(Subject::Name)
        }
        Kind::Generic => match words.next()? {
            b"@" => Some(Subject::Name(Labels::new())),
            owner => labels_of(owner).map(Subject::Name),
        },
        _ => None,
    }
}

/// The labels of a name in text as rbldnsd reads it: empty labels are passed over, escapes have one to three digits. A
/// name that is none gives nothing.
pub fn labels_of(text: &[u8]) -> Option<Labels> {
    let (mut labels, mut label) = (Labels::new(), Vec::new());
    let mut octets = text.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b'.' => labels.push(std::mem::take(&mut label)),
            b'\\' => {
                let digits = octets.as_slice().iter().take(3).take_while(|digit| digit.is_ascii_digit()).count();
                if digits == 0 {
                    label.extend(octets.next());
                } else {
                    let number: Vec<u8> = octets.by_ref().take(digits).copied().collect();
                    label.push(String::from_utf8(number).ok()?.parse().ok()?);
                }
            }
            _ => label.push(octet),
        }
    }
    labels.push(label);
    labels.retain(|label| !label.is_empty());
    let len: usize = labels.iter().map(|label| label.len() + 1).sum();
    (len < 255 && labels.iter().all(|label| label.len() < 64)).then_some(labels)
}
