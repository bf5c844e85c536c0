//! What is listed, what stands beside it, and the zone file that says so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv6Addr;

use crate::garbage::Random;
use crate::lists::nibbles;

/// How many addresses and names are listed, of each kind.
pub const COUNT: usize = 120;
/// Values of the address whose TXT records fit 1232 octets but not 512, and of the one whose TXT records fit 4096 octets only.
pub const VALUES: [usize; 2] = [4, 12];
/// The addresses that have those values, as names.
pub const MANY: [&str; 2] = ["1.0.18.198", "2.0.18.198"];

/// A subject that is listed and those beside it that are not.
pub struct Subject {
    /// Its name below the zone.
    pub name: String,
    /// The last octet of its code.
    pub code: u8,
    /// Complete names below the zone that are not listed: a resolver that has seen them has a reason to think that nothing
    /// is there.
    pub neighbours: Vec<String>,
    /// Names that are part of its name: they exist, but have no records.
    pub parts: Vec<String>,
    /// Its line in the zone file.
    line: String,
    /// The section of the zone file that has it.
    section: &'static str,
}

/// All subjects of a seed, every family of them, shuffled.
pub fn subjects(seed: u64, count: usize) -> Vec<Subject> {
    let random = &mut Random::new(seed);
    let mut all = addresses4(random, count);
    all.extend(addresses6(random, count));
    all.extend(names(random, count));
    for i in (1..all.len()).rev() {
        all.swap(i, random.below(i + 1));
    }
    all
}

/// Names that end in all but the first one, two … labels of a name of labels.
fn parts(name: &str) -> Vec<String> {
    name.match_indices('.').map(|(at, _)| name[at + 1..].to_owned()).collect()
}

/// IPv4 hosts: half of them lie close together, half alone in the world. Their neighbours differ in one octet.
fn addresses4(random: &mut Random, count: usize) -> Vec<Subject> {
    let mut listed = BTreeSet::new();
    while listed.len() < count {
        let close = listed.len() % 2 == 0;
        // Outside of 127/8, of 198.18/16 where the many values are, and of 203/8 where later ones are listed.
        listed.insert(if close {
            [60, 1, random.below(3) as u8, random.below(256) as u8]
        } else {
            [1 + random.below(120) as u8, random.below(256) as u8, random.below(256) as u8, random.below(256) as u8]
        });
    }
    let name = |octets: &[u8; 4]| format!("{}.{}.{}.{}", octets[3], octets[2], octets[1], octets[0]);
    let mut subjects = Vec::new();
    for (index, host) in listed.iter().enumerate() {
        let mut beside = Vec::new();
        for octet in [3, 2, 1] {
            let mut other = *host;
            other[octet] = other[octet].wrapping_add(1 + random.below(255) as u8);
            if !listed.contains(&other) {
                beside.push(name(&other));
            }
        }
        let code = 2 + (index % 2) as u8;
        subjects.push(Subject {
            name: name(host),
            code,
            neighbours: beside,
            parts: parts(&name(host)),
            line: format!("{}.{}.{}.{} :{code}:", host[0], host[1], host[2], host[3]),
            section: "ip4set @",
        });
    }
    subjects
}

/// IPv6 hosts in a few networks. Their neighbours differ in one nibble.
fn addresses6(random: &mut Random, count: usize) -> Vec<Subject> {
    let mut listed = BTreeSet::new();
    while listed.len() < count {
        let network = (0x2a00_0000 + random.below(4) as u128) << 96 | (random.below(6) as u128) << 64;
        listed.insert(network | u128::from(random.next()));
    }
    let mut subjects = Vec::new();
    let name = |host: u128| nibbles(&Ipv6Addr::from(host).to_string());
    for (index, host) in listed.iter().enumerate() {
        let beside: Vec<String> =
            [0, 4, 60, 64, 72].iter().map(|bit| name(host ^ (1 + random.below(15) as u128) << bit)).collect();
        let code = 2 + (index % 2) as u8;
        subjects.push(Subject {
            name: name(*host),
            code,
            neighbours: beside,
            parts: parts(&name(*host)),
            line: format!("{} :{code}:", Ipv6Addr::from(*host)),
            section: "ip6trie @",
        });
    }
    subjects
}

/// Domain names of two to five labels. Their neighbours are their sisters.
fn names(random: &mut Random, count: usize) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for index in 0..count {
        // The first label is made once, so no name is below another.
        let mut name = format!("w{index}");
        for _ in 0..random.below(3) {
            let _ = write!(name, ".d{}", random.below(5));
        }
        let _ = write!(name, ".{}", ["com", "net", "example"][random.below(3)]);
        let code = 2 + (index % 2) as u8;
        let (_, above) = name.split_once('.').unwrap();
        subjects.push(Subject {
            name: format!("{name}.names"),
            code,
            neighbours: vec![format!("x{index}.{above}.names"), format!("a.b{index}.{above}.names")],
            parts: parts(&format!("{name}.names")),
            line: format!("{name} :{code}:"),
            section: "dnset names",
        });
    }
    subjects
}

/// The zone file of a list of these: one file of type `combined`, which every server here reads.
pub fn zone_file(subjects: &[&Subject]) -> String {
    let mut text = String::from("$SOA 1h ns.example.net hostmaster.example.net 0 10m 5m 1w 5m\n$TTL 35m\n");
    for section in ["ip4set @", "ip6trie @", "dnset names"] {
        let _ = writeln!(text, "$DATASET {section}\n:2:Listed: $");
        for subject in subjects.iter().filter(|subject| subject.section == section) {
            let _ = writeln!(text, "{}", subject.line);
        }
        if section == "ip4set @" {
            for (last, count) in (1..).zip(VALUES) {
                for value in 1..=count {
                    let _ = writeln!(text, "198.18.0.{last} :127.0.1.{value}:{value:02} {}", "x".repeat(180));
                }
            }
        }
    }
    text
}

/// Addresses that are listed while resolvers already know of their neighbours: each alone in its /16.
pub fn later() -> Vec<Subject> {
    let hosts: Vec<[u8; 4]> = (0..20).map(|index| [203, index, 113, 7]).collect();
    hosts
        .iter()
        .map(|[a, b, c, d]| Subject {
            name: format!("{d}.{c}.{b}.{a}"),
            code: 3,
            neighbours: vec![format!("9.{c}.{b}.{a}"), format!("{d}.9.{b}.{a}"), format!("{d}.{c}.200.{a}")],
            parts: parts(&format!("{d}.{c}.{b}.{a}")),
            line: format!("{a}.{b}.{c}.{d} :3:"),
            section: "ip4set @",
        })
        .collect()
}
