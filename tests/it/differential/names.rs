//! Names, records of `generic`, and what a line of names speaks of.

use dnsbld::dataset::Kind;

use super::dice::Dice;
use super::generate::{Labels, Subject};

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

/// A name in text, and its labels as far as they can be told.
pub fn name(dice: &mut Dice) -> (Vec<u8>, Labels) {
    if dice.once_in(12) {
        let text = dice.pick(&ODD_NAMES).to_vec();
        return (text.clone(), labels_of(&text).unwrap_or_default());
    }
    let mut text = Vec::new();
    for n in 0..dice.of(&[1, 1, 2, 2, 2, 3, 3, 4]) {
        if n > 0 {
            text.push(b'.');
        }
        let label = match dice.below(60) {
            0 => "l".repeat(dice.of(&[62, 63, 64])),
            1 => "1.0.1.10".into(),
            2 => dice.between(0, 256).to_string(),
            _ => dice.pick(&LABELS).to_owned(),
        };
        text.extend(label.as_bytes());
    }
    if dice.once_in(80) {
        // Three leave room for the zone, so that they can be asked about; five are too long for any name.
        let long = format!("{}.", "m".repeat(60)).repeat(dice.of(&[2, 5]));
        text.splice(..0, long.bytes());
    }
    (text.clone(), labels_of(&text).unwrap_or_default())
}

/// A record of a `generic` dataset, and its owner.
pub fn record(dice: &mut Dice) -> (Vec<u8>, Labels) {
    let (mut line, mut labels) = name(dice);
    if dice.once_in(8) || line == b"@" {
        (line, labels) = (b"@".to_vec(), Labels::new());
    }
    let blank = dice.pick::<[u8]>(&[b" ", b" ", b"\t", b"  \t"]).to_vec();
    let mut words: Vec<&[u8]> = Vec::new();
    if dice.once_in(3) {
        words.push(dice.pick::<[u8]>(&[
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
    if dice.once_in(4) {
        words.push(dice.pick::<[u8]>(&[b"IN", b"in", b"CH", b"IN IN"]));
    }
    match dice.below(20) {
        0..=8 => {
            words.push(dice.pick::<[u8]>(&[b"A", b"a"]));
            words.push(dice.pick::<[u8]>(&[
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
            words.push(dice.pick::<[u8]>(&[b"TXT", b"txt", b"Txt"]));
            words.push(dice.pick::<[u8]>(&[
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
            words.push(dice.pick::<[u8]>(&[b"MX", b"mx"]));
            words.push(dice.pick::<[u8]>(&[
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
        18 => words.push(dice.pick::<[u8]>(&[b"", b"A", b"TXT", b"MX", b"IN"])),
        _ => words.push(dice.pick::<[u8]>(&[b"NS ns.ex", b"CNAME a.b", b"AAAA ::1", b"XX 1", b"SOA a b 1 2 3 4 5"])),
    }
    for word in words {
        line.extend(&blank);
        line.extend(word);
    }
    (line, labels)
}

/// The name that a line of a type speaks of, if it is a type of names.
pub fn name_on(kind: Kind, line: &[u8]) -> Option<Subject> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|&octet| matches!(octet, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
    match kind {
        Kind::Dnset => name_key(line).map(|key| Subject::Name(key.labels)),
        Kind::Generic => match words.next()? {
            b"@" => Some(Subject::Name(Labels::new())),
            owner => labels_of(owner).map(Subject::Name),
        },
        _ => None,
    }
}

/// What a line of a `dnset` speaks of.
pub struct NameKey {
    /// Whether it excludes.
    pub excluded: bool,
    /// Whether it speaks of the name itself.
    pub exact: bool,
    /// Whether it speaks of the names below it.
    pub below: bool,
    /// The name.
    pub labels: Labels,
}

/// The key of a line of a `dnset`.
pub fn name_key(line: &[u8]) -> Option<NameKey> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|&octet| matches!(octet, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
    let first = words.next()?;
    let (excluded, key) = match first {
        b"!" => (true, words.next()?),
        [b'!', key @ ..] => (true, key),
        _ => (false, first),
    };
    let (exact, below, name) = match key {
        [b'*', b'.', name @ ..] => (false, true, name),
        [b'.', name @ ..] => (true, true, name),
        _ => (true, false, key),
    };
    Some(NameKey { excluded, exact, below, labels: labels_of(name)? })
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
