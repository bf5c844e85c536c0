//! Random zone files, served by the real rbldnsd and by us, and asked the same questions.
//!
//! The table of observed answers shows each rule once; here they meet. Entries and questions come from a small and
//! crowded space, so that exclusions, overlaps, defaults, templates and several datasets fall upon each other.

use std::fmt::Write as _;

use crate::garbage::Random;
use crate::judge::{Answer, Asked, MADE_UP, ON_DATA, Tally};
use crate::lists::nibbles;
use crate::message::{edns, query, type_name};
use crate::rbldnsd::Rbldnsd;
use crate::server::{ANSWER_WAIT, NO_GUARDS, Server, Udp, put_old, settings};
use crate::skip;
use crate::table::{NEGATIVE_TTL, Spec, facts};

/// Zones of each shape.
const ROUNDS: u64 = 8;
/// Lines of a dataset.
const LINES: usize = 120;
/// Questions to each zone.
const QUESTIONS: usize = 400;
/// The zone.
const ZONE: &str = "bl.example";

/// The shapes: the types of the datasets of one zone.
const SHAPES: [&[&str]; 12] = [
    &["ip4set"],
    &["ip4trie"],
    &["ip4tset"],
    &["ip6trie"],
    &["ip6tset"],
    &["dnset"],
    &["generic"],
    &["combined"],
    &["ip4set", "ip4trie", "ip4tset"],
    &["ip4set", "ip6trie", "ip6tset"],
    &["dnset", "dnset", "generic"],
    &["ip4set", "dnset", "generic"],
];

/// One of a list.
fn pick<'a>(random: &mut Random, list: &[&'a str]) -> &'a str {
    list[random.below(list.len())]
}

/// An IPv4 address of the crowded space.
fn address4(random: &mut Random) -> [usize; 4] {
    let last = if random.below(3) == 0 { random.below(256) } else { random.below(12) };
    [10, random.below(2), random.below(3), last]
}

/// An IPv4 address or network in one of the forms that its type reads, or hardly reads.
fn key4(random: &mut Random, kind: &str) -> String {
    let [a, b, c, d] = address4(random);
    let host = format!("{a}.{b}.{c}.{d}");
    if kind == "ip4tset" {
        return if random.below(12) == 0 { format!("{host}/32") } else { host };
    }
    match random.below(14) {
        0 => format!("{a}.{b}.{c}"),
        1 => format!("{a}.{b}"),
        2 => format!("{a}/8"),
        3 | 4 => {
            let len = 20 + random.below(12);
            let mask = u32::MAX << (32 - len);
            let network = u32::from_be_bytes([a as u8, b as u8, c as u8, d as u8]) & mask;
            format!("{}/{len}", std::net::Ipv4Addr::from(network))
        }
        5 => format!("{host}/{}", 20 + random.below(13)),
        6 => format!("{host}-{}", d + random.below(9)),
        7 => format!("{host}-{a}.{b}.{c}.{}", d + random.below(300)),
        8 => format!("{a}.{b}.{c}-{}", c + random.below(2)),
        9 => format!("{a}.{b}.{c}.250-{a}.{b}.{}.5", c + 1),
        _ => host,
    }
}

/// An IPv6 address of the crowded space, as words.
fn words6(random: &mut Random) -> String {
    format!("2001:db8:{}:{:x}", random.below(2), random.below(3))
}

/// An IPv6 address or network.
fn key6(random: &mut Random, kind: &str) -> String {
    let (words, last) = (words6(random), random.below(20));
    match (kind, random.below(8)) {
        ("ip6tset", 0 | 1) => format!("!{words}:0:0:0:{last:x}"),
        ("ip6tset", _) => words,
        (_, 0) => "2001:db8".into(),
        (_, 1) => "2001:db8:1::/48".into(),
        (_, 2) => format!("{words}::/64"),
        (_, 3) => format!("{words}::{:x}/124", last & 0x10),
        (_, 4) => format!("{words}::{last:x}/120"),
        (_, 5) => words.to_uppercase(),
        _ => format!("{words}::{last:x}"),
    }
}

/// A name of a crowded tree.
fn name(random: &mut Random) -> String {
    let labels: Vec<&str> = (0..=random.below(3)).map(|_| pick(random, &["a", "b", "Cc", "d-d"])).collect();
    labels.join(".") + pick(random, &[".com", ".org", ""])
}

/// A value behind a key; behind addresses now and then one that loses the line. (A lost name may have been the only
/// one below another, which the judge would have to know.)
fn value(random: &mut Random, kind: &str) -> String {
    let codes = ["3", "4", "127.5", "10.1.6", "127.0.0.7", "8.8.8.8", "0", "300", "x"];
    let code = pick(random, if kind == "dnset" { &codes[..6] } else { &codes });
    let text = pick(random, &["text $", "see $1/$", "=base free $", "$$ $2 $9", "a # b", "a :colon:", "  spaced  "]);
    match random.below(7) {
        0 => format!(" :{code}"),
        1 => format!(" :{code}:"),
        2 | 3 => format!(" :{code}:{text}"),
        4 => format!("\t{text}"),
        5 => " # comment".into(),
        _ => String::new(),
    }
}

/// A line that is no entry.
fn special(random: &mut Random) -> String {
    match random.below(9) {
        0 => format!("$TTL {}", pick(random, &["60", "5m", "0", "1h30", "2h"])),
        1 => format!("${} var{}", random.below(3), random.below(5)),
        2 => "$= base <$=> ($)".into(),
        3 | 4 => format!(":{}:default {} $", 2 + random.below(5), random.below(9)),
        5 => format!(":{}", 2 + random.below(5)),
        6 => "; comment".into(),
        7 => pick(random, &["junk", "1.2.3.4.5", "!", "10.0.0.300 x", "$NOSUCH", "::", "-"]).into(),
        _ => String::new(),
    }
}

/// A record of a generic dataset.
fn record(random: &mut Random) -> String {
    let ttl = pick(random, &["", "60 ", "1h ", "IN ", "90 IN "]);
    let data =
        pick(random, &["A 127.0.0.2", "A 192.0.2.9", "A 10.1", "TXT some words", "TXT \"quoted\"", "MX 10 mx.ex"]);
    format!("{} {ttl}{data}", if random.below(10) == 0 { "@".into() } else { name(random) })
}

/// The text of a dataset.
fn text(random: &mut Random, kind: &str, lines: usize) -> String {
    let mut text = String::new();
    if kind == "combined" {
        text += "$TTL 77\n$1 common\n";
        for _ in 0..4 {
            let part = pick(random, &["ip4set", "ip4trie", "ip4tset", "ip6trie", "dnset", "generic"]);
            let mount = pick(random, &["@", "sub", "deep.sub", "sub @", "other"]);
            writeln!(text, "$DATASET {part} {mount}").unwrap();
            text += &self::text(random, part, lines / 3);
        }
        return text;
    }
    for _ in 0..lines {
        let exclude = if random.below(7) == 0 { pick(random, &["!", "! "]) } else { "" };
        let line = match kind {
            _ if random.below(9) == 0 => special(random),
            "generic" => record(random),
            "dnset" => {
                let wild = pick(random, &["", "", "*.", "."]);
                format!("{exclude}{wild}{}{}", name(random), value(random, kind))
            }
            "ip6tset" => key6(random, kind) + &value(random, kind),
            "ip6trie" => format!("{exclude}{}{}", key6(random, kind), value(random, kind)),
            _ => format!("{exclude}{}{}", key4(random, kind), value(random, kind)),
        };
        text += &line;
        text.push('\n');
    }
    text
}

/// A name to ask about.
fn subject(random: &mut Random, kinds: &[&str]) -> String {
    let kind = pick(random, kinds);
    let [a, b, c, d] = address4(random);
    let kind = if kind == "combined" { pick(random, &["ip4set", "ip6trie", "dnset"]) } else { kind };
    let mut subject = match kind {
        "dnset" | "generic" => pick(random, &["", "x.", "a."]).to_owned() + &name(random),
        "ip6trie" | "ip6tset" => nibbles(&format!("{}::{:x}", words6(random), random.below(24))),
        _ => format!("{d}.{c}.{b}.{a}"),
    };
    if random.below(15) == 0 {
        subject = subject.split_once('.').map_or(String::new(), |(_, rest)| rest.to_owned());
    }
    if kinds[0] == "combined" {
        subject += pick(random, &["", ".sub", ".deep.sub", ".other"]);
    }
    subject
}

/// What random zones have brought to light, cut down to a few lines; rbldnsd's own answers.
#[test]
fn found_and_cut_down() {
    let table = [
        // Values on an ip4tset's entries are ignored, also those that can not be read.
        ("ip4tset", "1.2.3.4 :0\n1.2.3.5 :x:y\n:7:z\n", "4.3.2.1", "A=2100 A 127.0.0.7"),
        ("ip4tset", "1.2.3.4 :0\n1.2.3.5 :x:y\n:7:z\n", "5.3.2.1", "A=2100 A 127.0.0.7"),
        // In a generic dataset a `$TTL` counts from where it stands; in all others the last one counts for all.
        ("generic", "a A 127.0.0.2\n$TTL 60\nb A 127.0.0.2\n$TTL 2h\n", "a", "A=2100 A 127.0.0.2"),
        ("generic", "a A 127.0.0.2\n$TTL 60\nb A 127.0.0.2\n$TTL 2h\n", "b", "A=60 A 127.0.0.2"),
        ("dnset", "a :2\n$TTL 60\nb :2\n$TTL 2h\n", "a", "A=7200 A 127.0.0.2"),
    ];
    for (kind, text, subject, expected) in table {
        let zone = crate::server::zone(ZONE, &[(kind, "file")], NO_GUARDS);
        let server = Server::start(&settings("", &zone), &[("file", text.as_bytes())]);
        let answer = Answer::from(&server.ask(&query(&format!("{subject}.{ZONE}"), 1)));
        let parts: Vec<String> = answer.ttls.into_iter().chain(answer.records).collect();
        assert_eq!(parts.join(" "), expected, "{subject} in {kind} {text:?}");
    }
}

#[test]
fn random_zones_answer_as_rbldnsd() {
    let mut tally = Tally::default();
    for (shape, kinds) in SHAPES.iter().enumerate() {
        for round in 0..ROUNDS {
            let mut random = Random::new(0x51ed_270b + (shape as u64) * 1000 + round);
            let before = tally.faults.len();
            let Some(texts) = compare(&mut random, kinds, &format!("{kinds:?} {round}"), &mut tally) else {
                skip("rbldnsd");
                return;
            };
            // The first fault comes with its zone files, so that it can be cut down to a few lines.
            if before == 0
                && let Some(fault) = tally.faults.first_mut()
            {
                write!(fault, "\n--- its zone files:\n{}", texts.join("---\n")).unwrap();
            }
        }
    }
    tally.finish(&[ON_DATA, MADE_UP], false);
}

/// Make a zone, serve it by both, and compare; returns its texts, or nothing when there is no rbldnsd.
fn compare(random: &mut Random, kinds: &[&str], id: &str, tally: &mut Tally) -> Option<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let (mut specs, mut words, mut datasets, mut files) = (Vec::new(), Vec::new(), String::new(), Vec::new());
    for (i, kind) in kinds.iter().enumerate() {
        let mut content = text(random, kind, LINES);
        if i == 0 {
            // A TTL of 0 takes the `$TTL` in force at that very line; in `combined` the apex comes before the parts.
            let (soa, ns) = (pick(random, &["1d", "0"]), pick(random, &["1d", "0"]));
            let apex = format!("$SOA {soa} ns.example h.example 0 1h 1h 1h 10m\n$NS {ns} ns1.example ns2.example\n");
            let half = content.match_indices('\n').nth(LINES / 2).map_or(0, |(at, _)| at + 1);
            content.insert_str([0, if *kind == "combined" { 0 } else { half }][random.below(2)], &apex);
        }
        let file = format!("file{i}");
        put_old(&dir.path().join(&file), content.as_bytes());
        words.push(format!("{ZONE}:{kind}:{file}"));
        writeln!(datasets, "  {{ type = \"{kind}\", files = [\"{file}\"] }},").unwrap();
        specs.push(Spec { zone: ZONE.into(), kind: (*kind).into(), files: vec![content.clone().into_bytes()] });
        files.push((file, content));
    }
    let theirs = Rbldnsd::start(dir.path(), "", &words)?;
    let zone =
        format!("[[zone]]\nname = \"{ZONE}\"\n{NO_GUARDS}\nnegative-ttl = {NEGATIVE_TTL}\ndatasets = [\n{datasets}]\n");
    let dns = "authority = \"full\"\nany = \"full\"\nudp-size-max = 4096\n";
    let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let ours = Server::start(&settings(dns, &zone), &borrowed);
    assert!(ours.started.starts_with("ready: 1 zones"), "{id}: {}", ours.started);
    let facts = facts(&specs, ZONE, true, (2100, 0, u32::MAX));
    let (client, other) = (ours.udp(), Udp::new(theirs.dns));
    for _ in 0..QUESTIONS {
        let (subject, qtype) = (subject(random, kinds), [1, 1, 16, 16, 255, 15, 28][random.below(7)]);
        let qname = if subject.is_empty() { ZONE.to_owned() } else { format!("{subject}.{ZONE}") };
        let asked = query(&qname, qtype).edns(edns(2048));
        let wanted = other.try_exchange(&asked.wire(), ANSWER_WAIT);
        let wanted = wanted.unwrap_or_else(|| panic!("{id}: rbldnsd says nothing to {qname} {}", type_name(qtype)));
        let (wanted, seen) = (Answer::from(&wanted), Answer::from(&client.ask(&asked)));
        let asked = Asked { id, qname: &qname, qtype, wire: None, facts: &facts, rbldnsd: &wanted };
        tally.judge(&[ON_DATA, MADE_UP], &asked, &seen);
    }
    Some(files.into_iter().map(|(_, text)| text).collect())
}
