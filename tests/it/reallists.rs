//! Real lists, loaded by the real rbldnsd and by us, and asked the same questions.
//!
//! The lists lie in a directory beside the project, or where `DNSBLD_DATA` says; they are no part of it. Of each
//! list some entries are asked, their neighbours, and random ones, for A and TXT. What may differ is `ON_DATA` of
//! `judge.rs`, and the few rows below.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::garbage::Random;
use crate::judge::{Answer, Asked, Difference, Facts, MADE_UP, ON_DATA, Tally};
use crate::message::{A, TXT, edns, query};
use crate::rbldnsd::Rbldnsd;
use crate::server::{ANSWER_WAIT, NO_GUARDS, Server, put_old, settings};
use crate::table::{NEGATIVE_TTL, Spec, facts};
use crate::{alone, skip};

/// Questions put together for each list, half of them A, half TXT; a third are doubles and are asked once.
const QUESTIONS: usize = 4500;
/// The one zone that every list is served as.
const ZONE: &str = "bl.example";

/// The lists and the types that each is loaded as.
const LISTS: [(&str, &[&str]); 13] = [
    ("ip4/ipsum.txt.gz", &["ip4set", "ip4trie"]),
    ("ip4/malicious.txt.gz", &["ip4set", "ip4trie"]),
    ("prefix4/country.txt.gz", &["ip4trie", "ip4set"]),
    ("prefix4/datacenter.txt.gz", &["ip4trie", "ip4set"]),
    ("prefix6/country.txt.gz", &["ip6trie"]),
    ("prefix6/datacenter.txt.gz", &["ip6trie"]),
    ("domain/phishing.txt.gz", &["dnset"]),
    ("domain/tracking.txt.gz", &["dnset"]),
    ("domain/disposable.txt.gz", &["dnset"]),
    ("domain/referrer-spam.txt.gz", &["dnset"]),
    ("zone/uceprotect-2.gz", &["ip4set", "ip4trie"]),
    ("zone/whitelisted.gz", &["ip4set", "ip4trie"]),
    ("zone/spf.gz", &["combined"]),
];

/// Differences that real lists bring up.
const ON_LISTS: &[Difference] = &[Difference {
    name: "TXT of 255 octets and more",
    reason: "rbldnsd cuts a text at 254 octets, one less than fits",
    rewrite: |_, answer| {
        let cut = |text: &String| text.starts_with("TXT \"") && text.len() >= 254 + "TXT \"\"".len();
        if !answer.records.iter().any(cut) {
            return false;
        }
        let records = std::mem::take(&mut answer.records);
        answer.records = records
            .into_iter()
            .map(|text| if cut(&text) { text.trim_end_matches('"').to_owned() + "*" } else { text })
            .collect();
        true
    },
}];

/// Where the lists are.
fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let dir = std::env::var_os("DNSBLD_DATA").map_or(beside, PathBuf::from);
    if dir.join("ip4").is_dir() {
        return Some(dir);
    }
    skip(&dir.display().to_string());
    None
}

/// The names to ask about, relative to the zone.
fn subjects(text: &[u8], kind: &str, random: &mut Random) -> Vec<String> {
    let lines: Vec<&str> =
        text.split(|&octet| octet == b'\n').filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let mut subjects = Vec::new();
    let combined = kind == "combined";
    let mounts: Vec<&str> = if combined {
        lines
            .iter()
            .filter_map(|line| line.strip_prefix("$DATASET "))
            .flat_map(|line| line.split(' ').skip(1))
            .collect()
    } else {
        vec!["@"]
    };
    while subjects.len() < QUESTIONS / 2 {
        let line = lines[random.below(lines.len())].trim().trim_start_matches('!');
        let key = line.split([' ', '\t', '#', ';']).next().unwrap_or_default();
        let mut about = Vec::new();
        if let Some((address, _)) = network4(key).filter(|_| !kind.starts_with("ip6")) {
            let end = network4(key).map_or(address, |(first, len)| first | u32::MAX.checked_shr(len).unwrap_or(0));
            let inside = address + random.below((end - address) as usize + 1) as u32;
            for address in [address, end, inside, address.wrapping_sub(1), end.wrapping_add(1), random.next() as u32] {
                about.push(reversed4(address));
            }
        } else if let Some((first, last)) = network6(key).filter(|_| !kind.starts_with("ip4") && kind != "dnset") {
            let inside = first | (u128::from(random.next()) << 64 | u128::from(random.next())) & (last ^ first);
            for address in [first, last, inside, first.wrapping_sub(1), last.wrapping_add(1)] {
                about.push(crate::lists::nibbles(&std::net::Ipv6Addr::from(address).to_string()));
            }
        } else if kind == "dnset" && !key.is_empty() && !key.starts_with(['$', ':', '#', ';']) {
            let name = key.trim_start_matches("*.").trim_start_matches('.').to_owned();
            about.push(format!("www.{name}"));
            about.push(format!("x{name}"));
            about.push(name.split_once('.').map_or("com".into(), |(_, parent)| parent.to_owned()));
            about.push(name.to_uppercase());
            about.push(name);
        }
        // Partial addresses and names of another kind now and then.
        if random.below(20) == 0 {
            about.extend(["5.10", "1.2.3", "256.1.1.1", "not-an-address", "1.0.0.127", "f.e"].map(str::to_owned));
        }
        about.retain(|name| name.len() < 200 && name.split('.').all(|label| label.len() < 64));
        for mount in mounts.iter().filter(|_| mounts.len() < 4 || random.below(3) == 0) {
            let below = if *mount == "@" { String::new() } else { format!(".{mount}") };
            subjects.extend(about.iter().map(|subject| format!("{subject}{below}")));
        }
    }
    subjects
}

/// A key that is an IPv4 address or prefix in full: first address and length.
fn network4(key: &str) -> Option<(u32, u32)> {
    let (address, len) = key.split_once('/').unwrap_or((key, "32"));
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    Some((address.into(), len.parse().ok().filter(|len| *len <= 32)?))
}

/// A key that is an IPv6 address or prefix in full: first and last address.
fn network6(key: &str) -> Option<(u128, u128)> {
    let (address, len) = key.split_once('/').unwrap_or((key, "128"));
    let address: std::net::Ipv6Addr = address.parse().ok()?;
    let len: u32 = len.parse().ok().filter(|len| *len <= 128)?;
    let first = u128::from(address);
    Some((first, first | u128::MAX.checked_shr(len).unwrap_or(0)))
}

/// An IPv4 address as it is asked for.
fn reversed4(address: u32) -> String {
    let [a, b, c, d] = address.to_be_bytes();
    format!("{d}.{c}.{b}.{a}")
}

/// Load one list as one type into both servers and compare their answers.
fn compare(dir: &Path, list: &str, kind: &str, tally: &mut Tally) -> bool {
    let packed = std::fs::read(dir.join(list)).unwrap();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut text).unwrap();
    let files = tempfile::tempdir().unwrap();
    put_old(&files.path().join("list"), &packed);
    let Some(theirs) = Rbldnsd::start(files.path(), "", &[format!("{ZONE}:{kind}:list")]) else {
        skip("rbldnsd");
        return false;
    };
    let zone = format!(
        "[[zone]]\nname = \"{ZONE}\"\nns = [\"ns.made.example\"]\n{NO_GUARDS}\nnegative-ttl = {NEGATIVE_TTL}\n\
         datasets = [{{ type = \"{kind}\", files = [\"list\"] }}]\n"
    );
    let ours = Server::start(&settings("authority = \"full\"\nudp-size-max = 4096\n", &zone), &[("list", &packed)]);
    assert_eq!(ours.started.split(',').next(), Some("ready: 1 zones"), "{list}");
    let spec = Spec { zone: ZONE.into(), kind: kind.into(), files: vec![text.clone()] };
    let facts: Facts = facts(&[spec], ZONE, true, (2100, 0, u32::MAX));
    let mut random = Random::new(0x9e37_79b9 + list.len() as u64);
    let (client, other) = (ours.udp(), crate::server::Udp::new(theirs.dns));
    let subjects: BTreeSet<String> = subjects(&text, kind, &mut random).into_iter().collect();
    let mut listed = 0;
    for subject in &subjects {
        let qname = format!("{subject}.{ZONE}");
        for qtype in [A, TXT] {
            // Room for long texts, as much as rbldnsd knows: what happens without is in the table of single questions.
            let asked = query(&qname, qtype).edns(edns(2048));
            let wanted = other.try_exchange(&asked.wire(), ANSWER_WAIT).expect("an answer from rbldnsd");
            let (wanted, seen) = (Answer::from(&wanted), Answer::from(&client.ask(&asked)));
            listed += usize::from(!wanted.records.is_empty());
            let id = format!("{list} as {kind}");
            let asked = Asked { id: &id, qname: &qname, qtype, wire: None, facts: &facts, rbldnsd: &wanted };
            tally.judge(&[ON_DATA, MADE_UP, ON_LISTS], &asked, &seen);
        }
    }
    assert!(listed > subjects.len() / 20, "{list} as {kind}: only {listed} answers of {} list", subjects.len());
    true
}

#[test]
fn every_list_answers_as_rbldnsd() {
    let Some(dir) = data() else { return };
    let _alone = alone();
    let mut tally = Tally::default();
    for (list, kinds) in LISTS {
        for kind in kinds {
            if !compare(&dir, list, kind, &mut tally) {
                return;
            }
        }
    }
    assert!(tally.compared > LISTS.len() * QUESTIONS / 2, "only {} comparisons", tally.compared);
    tally.finish(&[ON_DATA, MADE_UP, ON_LISTS], false);
}

#[test]
fn the_list_of_the_whole_world_needs_its_guard_off() {
    let Some(dir) = data() else { return };
    let _alone = alone();
    let packed = std::fs::read(dir.join("zone/spf.gz")).unwrap();
    let zone = |more: &str| {
        format!("[[zone]]\nname = \"{ZONE}\"\n{more}\ndatasets = [{{ type = \"combined\", files = [\"list\"] }}]\n")
    };
    let guarded = Server::start(&settings("", &zone("")), &[("list", &packed)]);
    assert_eq!(guarded.started, "serving: 0 of 1 zones ready");
    assert_eq!(guarded.ask(&query(ZONE, A)).code(), "SERVFAIL");
    let off = Server::start(&settings("", &zone("guard = { loopback = false, world = false }")), &[("list", &packed)]);
    assert!(off.started.starts_with("ready: 1 zones"), "{}", off.started);
}

#[test]
fn clean_names_are_mostly_unlisted() {
    let Some(dir) = data() else { return };
    let _alone = alone();
    let lists = ["phishing", "disposable", "referrer-spam"];
    let files: Vec<(String, Vec<u8>)> = lists
        .iter()
        .map(|list| (format!("{list}.gz"), std::fs::read(dir.join(format!("domain/{list}.txt.gz"))).unwrap()))
        .collect();
    let datasets: Vec<(&str, &str)> = files.iter().map(|(name, _)| ("dnset", name.as_str())).collect();
    let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let server = Server::start(&settings("", &crate::server::zone(ZONE, &datasets, "")), &borrowed);
    let mut clean = String::new();
    let packed = std::fs::File::open(dir.join("domain/clean.txt.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut clean).unwrap();
    let (client, mut asked, mut listed) = (server.udp(), 0, 0);
    for name in clean.lines().filter(|name| !name.is_empty()).step_by(5) {
        asked += 1;
        listed += usize::from(!client.ask(&query(&format!("{name}.{ZONE}"), A)).answer.is_empty());
    }
    assert!(asked > 1000 && listed * 50 < asked, "{listed} of {asked} ordinary names are listed");
}

#[test]
fn check_names_the_dirt_of_every_list_and_goes_on() {
    let Some(dir) = data() else { return };
    let _alone = alone();
    for (list, kinds) in LISTS {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_dnsbld"))
            .args(["check", "--type", kinds[0]])
            .arg(dir.join(list))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{list}: {text}");
        if list == "ip4/malicious.txt.gz" {
            // Its IPv6 addresses stand at its end, one a line; each is named with its line.
            let named = text.lines().filter(|line| line.contains("malicious.txt.gz:")).count();
            assert!(named >= 5327, "{named} lines of {list} named");
        }
    }
}
