//! Keys of the address types: every form, half of them near a few bases, the odd and broken ones among them.

use std::net::Ipv4Addr;

use dnsbld::dataset::Kind;

use super::dice::Dice;

/// Last octets and words that stand at the ends of blocks.
const EDGES: [u32; 12] = [0, 0, 1, 2, 3, 4, 7, 8, 127, 128, 254, 255];
/// Prefix lengths, those at octets' ends more often.
const LENGTHS: [u32; 28] =
    [1, 7, 8, 8, 9, 15, 16, 16, 17, 22, 23, 23, 24, 24, 24, 25, 25, 26, 27, 28, 29, 30, 30, 31, 31, 32, 32, 0];
/// IPv4 keys that are odd or broken.
const ODD4: [&str; 66] = [
    "10",
    "0",
    "0.0",
    "0/0",
    "0/1",
    "128/1",
    "128-255",
    "0-127",
    "0-255",
    "0.0-255.255",
    "10.1.2.3.4",
    "10.1.2.3.",
    "10.1.2.",
    "10.",
    "10.1..2",
    ".10.1.2",
    "256.1.1.1",
    "10.1.2.256",
    "10.1.2.3/33",
    "10.1.2.3/",
    "10.1.2.3/-1",
    "10.1.2.3/32/",
    "10.1.2.0/255.255.255.0",
    "10.1.2.*",
    "10.1.2.3,10.1.2.4",
    "10.1.2.3-",
    "-10.1.2.3",
    "10.1.2.3 - 10.1.2.9",
    "::1",
    "2001:db8::1",
    "x",
    "10.1.2.3x",
    "10.1.2.0/24x",
    "10.1.2.3-5x",
    "010.001.002.000/024",
    "10.1.2.3--5",
    "10.1.2.3-10.1.2.300",
    "0.0.0.0",
    "255.255.255.255",
    "255.255.255.255-255",
    "10.1.2.3/0",
    "10/8-11/8",
    "10.1.2.0/24-10.1.3.0",
    "99999999999.1.1.1",
    "10.1.2.3-2",
    "10.1.2.9-10.1.2.3",
    "10.1.2.3-10.1.3",
    "10.1.2-10.1.3.4",
    "10.1-2.3",
    "10.1.2-3.4",
    "10,1,2,3",
    "10.1.2.3/24",
    "10.1.2/23",
    "10.1/15",
    "0x0a.1.2.3",
    "1e1.1.2.3",
    "10.1.2.3\\",
    "10.1.2.3!",
    "+10.1.2.3",
    "10.1.2.0000003",
    "10.1.2.3/032",
    "10.1.2.3-010",
    "10.1.2.3/24-5",
    "255-255",
    "255/8",
    "10.1.2.3=x",
];
/// IPv6 keys that are odd or broken.
const ODD6: [&str; 50] = [
    "2001",
    "2001:",
    ":2001",
    "::",
    ":::",
    "::1",
    "::1:",
    "1::",
    "1::/16",
    "::/0",
    "0/0",
    "0::/0",
    "2001:db8:::1",
    "2001:db8::1::2",
    "2001:db8:0:1:2:3:4:5:6",
    "2001:db8:0:0:0:0:0:0:0",
    "2001:db8:0:1:2:3:4:5::",
    "::1:2:3:4:5:6:7:8",
    "::2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "1:2:3:4::5:6:7:8",
    "1:2:3:4:5::6:7:8",
    "2001:db8::1.2.3.4",
    "::ffff:10.1.2.3",
    "2001:db8:12345::",
    "2001:db8:0:1:/64",
    "fe80::1%eth0",
    "10.1.2.3",
    "10.1.2.0/24",
    "2001:db8::/129",
    "2001:db8::/",
    "2001:db8::/x",
    "2001:db8::/32x",
    "2001:db8::1/32",
    "2001:db8/32",
    "2001:0db8:00000::",
    "g::1",
    "2001:db8::g",
    "[2001:db8::1]",
    "2001:db8::-2001:db8::5",
    "2001:db8:0:1:5",
    "2001:db8:0:1::",
    "2001:db8:0:1/64",
    "2001/16",
    "/16",
    "2001:db8:0:1:0:0:0:0/64",
    "2001:db8:0:0001:",
    "2001:DB8::A",
    "2001:db8::1:",
    "2001:db8::/128",
];

/// An address near a base.
fn near_base(dice: &mut Dice, bases: &[u32; 2]) -> u32 {
    let mut octets = bases[usize::from(dice.once_in(4))].to_be_bytes();
    for octet in octets.iter_mut().skip(dice.of(&[3, 3, 3, 3, 2, 2, 1, 0])) {
        *octet = dice.of(&EDGES) as u8;
    }
    u32::from_be_bytes(octets)
}

/// The first octets of an address.
fn head(address: u32, octets: usize) -> String {
    address.to_be_bytes()[..octets].iter().map(u8::to_string).collect::<Vec<_>>().join(".")
}

/// A prefix, its zero octets left out now and then.
fn prefix(address: u32, len: u32, dice: &mut Dice) -> String {
    let needed = 4 - (address.trailing_zeros().min(24) / 8) as usize;
    format!("{}/{len}", head(address, if dice.once_in(2) { needed } else { 4 }))
}

/// An IPv4 key, and the addresses it is about.
pub fn ip4_key(dice: &mut Dice, bases: &[u32; 2], kind: Kind) -> (String, Vec<u32>) {
    let address = near_base(dice, bases);
    let whole = |text: String, octets: usize| {
        let block = u32::MAX.checked_shr(8 * octets as u32).unwrap_or(0);
        (text, vec![address & !block, address | block])
    };
    let choice = if kind == Kind::Ip4Tset && dice.below(3) > 0 { 0 } else { dice.below(22) };
    match choice {
        0..=5 => (Ipv4Addr::from(address).to_string(), vec![address]),
        6 => (address.to_be_bytes().map(|octet| format!("{octet:03}")).join("."), vec![address]),
        7 => whole(head(address, 3), 3),
        8 => whole(head(address, 2), 2),
        9..=12 => {
            let len = dice.of(&LENGTHS);
            let block = u32::MAX.checked_shr(len).unwrap_or(0);
            (prefix(address & !block, len, dice), vec![address & !block, address | block])
        }
        13 => {
            let len = dice.of(&LENGTHS);
            let block = u32::MAX.checked_shr(len).unwrap_or(0);
            (format!("{}/{len}", Ipv4Addr::from(address)), vec![address & !block, address | block])
        }
        14 | 15 => {
            let span = dice.of(&[
                0,
                1,
                2,
                3,
                5,
                127,
                255,
                256,
                257,
                511,
                1000,
                65_535,
                65_536,
                70_000,
                0x0100_0000,
                0x0200_0003,
            ]);
            let last = address.saturating_add(span);
            (format!("{}-{}", Ipv4Addr::from(address), Ipv4Addr::from(last)), vec![address, last])
        }
        16 => {
            let last = address & !0xff | dice.of(&EDGES);
            (format!("{}-{}", Ipv4Addr::from(address), last & 0xff), vec![address, last])
        }
        17 | 18 => {
            let octets = dice.between(1, 3);
            let shift = 32 - 8 * octets as u32;
            let (first, octet) = (address >> shift << shift, address >> shift & 0xff);
            let last_octet = (octet + dice.of(&[0, 1, 2, 5, 100])).min(255);
            let last = first & !(0xff << shift) | last_octet << shift | ((1u64 << shift) - 1) as u32;
            let end = if dice.once_in(2) { last_octet.to_string() } else { head(last, octets) };
            (format!("{}-{end}", head(first, octets)), vec![first, last])
        }
        19 => {
            let last = near_base(dice, bases);
            (format!("{}-{}", Ipv4Addr::from(address), Ipv4Addr::from(last)), vec![address, last])
        }
        _ => (dice.pick(&ODD4).to_owned(), vec![address, 0x0a01_0203, 0x0a00_0000, 0]),
    }
}

/// An address near a base.
fn near_base6(dice: &mut Dice, bases: &[u128; 2]) -> u128 {
    let base = bases[usize::from(dice.once_in(3))];
    let mut words: [u16; 8] = std::array::from_fn(|n| (base >> (112 - 16 * n)) as u16);
    for word in words.iter_mut().skip(dice.of(&[7, 7, 7, 6, 4, 3, 3, 2])) {
        *word = dice.of(&[0, 0, 0, 1, 2, 0x7f, 0x80, 0xff, 0x8000, 0xffff, 0x0a01, 0xabcd]);
    }
    words.iter().fold(0, |address, &word| address << 16 | u128::from(word))
}

/// The first words of an address, spelt in one of many ways.
fn spell6(address: u128, count: usize, dice: &mut Dice) -> String {
    let words: Vec<u16> = (0..count).map(|n| (address >> (112 - 16 * n)) as u16).collect();
    let (wide, upper) = (dice.once_in(6), dice.once_in(5));
    let word = |word: &u16| if wide { format!("{word:04x}") } else { format!("{word:x}") };
    // Any run of zeros may be left out, not only the longest.
    let start = dice.below(count);
    let zeros = words[start..].iter().take_while(|&&word| word == 0).count();
    let zeros = if zeros > 0 && dice.once_in(3) { dice.between(1, zeros) } else { zeros };
    let join = |words: &[u16]| words.iter().map(word).collect::<Vec<_>>().join(":");
    let text = if count == 8 && zeros > 0 && dice.below(5) > 0 {
        format!("{}::{}", join(&words[..start]), join(&words[start + zeros..]))
    } else {
        join(&words)
    };
    if upper { text.to_uppercase() } else { text }
}

/// An IPv6 key, and the addresses it is about.
pub fn ip6_key(dice: &mut Dice, bases: &[u128; 2], kind: Kind, excluded: bool) -> (String, Vec<u128>) {
    let address = near_base6(dice, bases);
    let ends = |len: u32| {
        let block = u128::MAX.checked_shr(len).unwrap_or(0);
        vec![address & !block, address | block]
    };
    if kind == Kind::Ip6Tset && dice.below(4) > 0 {
        return if excluded {
            (spell6(address, 8, dice), vec![address])
        } else {
            (spell6(address, 4, dice), [ends(64), vec![address]].concat())
        };
    }
    match dice.below(20) {
        0..=5 => (spell6(address, 8, dice), vec![address]),
        6..=11 => {
            let len = match dice.below(3) {
                0 => 16 * dice.between(0, 8) as u32,
                1 => dice.of(&[1, 47, 49, 63, 65, 95, 96, 97, 112, 120, 127, 128]),
                _ => dice.between(0, 128) as u32,
            };
            (format!("{}/{len}", spell6(ends(len)[0], 8, dice)), ends(len))
        }
        12 => {
            let len = dice.between(8, 128) as u32;
            (format!("{}/{len}", spell6(address, 8, dice)), ends(len))
        }
        13 | 14 => {
            let count = dice.between(2, 7);
            (spell6(address, count, dice), ends(16 * count as u32))
        }
        15 | 16 => {
            let count = dice.between(1, 7);
            let len = dice.between(1, 128) as u32;
            (format!("{}/{len}", spell6(ends(len)[0], count, dice)), ends(len))
        }
        17 => (format!("{}::", spell6(address, dice.between(1, 4), dice)), vec![address]),
        _ => (dice.pick(&ODD6).to_owned(), vec![address, 0x2001_0db8 << 96, 0, 1, bases[0]]),
    }
}

/// The addresses that a line's numbers might mean, whatever is wrong with it: the first ones and, behind a `-`, the last.
pub fn guess4(line: &[u8]) -> Vec<u32> {
    let key: Vec<u8> = line.iter().copied().skip_while(|octet| b" \t!".contains(octet)).collect();
    let key = key.split(|octet| matches!(octet, b' ' | b'\t' | b':' | b'/')).next().unwrap_or_default();
    let numbers = |side: &[u8]| -> Vec<u32> {
        let runs = side.split(|octet| !octet.is_ascii_digit()).filter(|run| !run.is_empty());
        runs.take(4)
            .map(|run| run.iter().fold(0, |value, digit| (value * 10 + u32::from(digit - b'0')) & 0xff))
            .collect()
    };
    let mut sides = key.splitn(2, |&octet| octet == b'-').map(numbers);
    let first = sides.next().unwrap_or_default();
    let mut last = first.clone();
    if let Some(end) = sides.next() {
        last.truncate(last.len().saturating_sub(end.len()));
        last.extend(end);
    }
    let filled = |octets: &[u32], with| (0..4).fold(0, |value, n| value << 8 | octets.get(n).copied().unwrap_or(with));
    if first.is_empty() { Vec::new() } else { vec![filled(&first, 0), filled(&last, 255)] }
}

/// The same of IPv6.
pub fn guess6(line: &[u8]) -> Vec<u128> {
    let key: Vec<u8> = line.iter().copied().skip_while(|octet| b" \t!".contains(octet)).collect();
    let key = key.split(|octet| !octet.is_ascii_hexdigit() && *octet != b':').next().unwrap_or_default();
    let key = String::from_utf8_lossy(key);
    let words = |side: &str| -> Vec<u128> {
        let words = side.split(':').filter(|word| !word.is_empty());
        words.take(8).map(|word| u128::from_str_radix(&word[word.len().saturating_sub(4)..], 16).unwrap_or(0)).collect()
    };
    let (head, tail) = key.split_once("::").unwrap_or((&key, ""));
    let (head, mut tail) = (words(head), words(tail));
    tail.truncate(8 - head.len());
    let first = head.iter().fold(0, |value, word| value << 16 | word);
    let space = 128 - 16 * head.len() as u32;
    let first = first.checked_shl(space).unwrap_or(0);
    let low = tail.iter().fold(0, |value, word| value << 16 | word);
    if key.is_empty() { Vec::new() } else { vec![first | low, first | u128::MAX.checked_shr(128 - space).unwrap_or(0)] }
}
