//! Random zones as master files, loaded into a plain and slow model of RFC 1034 and RFC 4592, against our own answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::master_file;
use crate::dataset::Kind;
use crate::serve::answer::{Context, Outcome, Policy, Transport, handle};
use crate::wire::name::Name;
use crate::zone::{Snapshot, Zone, ZoneSettings, ZoneState};
use crate::zonefile;

/// Records by type and spelling, with their TTLs.
type Records = BTreeSet<(u16, u32, Vec<u8>)>;

/// What a question comes to.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    /// The name exists.
    exists: bool,
    /// It has these A, TXT and MX records.
    records: Records,
}

/// A loaded master file.
#[derive(Default)]
struct Model {
    /// Every name that exists, as labels from the top down, with its records.
    names: BTreeMap<Vec<Vec<u8>>, Records>,
}

/// Labels of a name from the top down, lower case.
fn labels(name: &Name) -> Vec<Vec<u8>> {
    let mut labels = Vec::new();
    let mut rest = name.labels();
    while let Some((&len, tail)) = rest.split_first() {
        labels.push(tail[..usize::from(len)].to_ascii_lowercase());
        rest = &tail[usize::from(len)..];
    }
    labels.reverse();
    labels
}

/// The character-strings of a TXT record.
fn strings(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet == b' ' {
            continue;
        }
        assert_eq!(octet, b'"', "{text}");
        let mut string = Vec::new();
        loop {
            match octets.next().expect(text) {
                b'"' => break,
                b'\\' => match octets.next().expect(text) {
                    digit @ b'0'..=b'9' => {
                        let digits = [digit, octets.next().expect(text), octets.next().expect(text)];
                        string.push(std::str::from_utf8(&digits).unwrap().parse().unwrap());
                    }
                    other => string.push(other),
                },
                other => string.push(other),
            }
        }
        out.push(string.len() as u8);
        out.extend(string);
    }
    out
}

impl Model {
    /// Load a file.
    fn load(text: &str) -> Self {
        let mut model = Self::default();
        let (mut ttl, mut origin, mut owner) = (0, String::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("$TTL ") {
                ttl = rest.parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("$ORIGIN ") {
                origin = rest.to_owned();
            } else if !line.starts_with(';') {
                let mut fields: Vec<&str> = line.split('\t').collect();
                if !fields[0].is_empty() {
                    owner = if fields[0] == "@" { origin.clone() } else { format!("{}.{origin}", fields[0]) };
                }
                fields.remove(0);
                let ttl = if fields.len() == 3 { fields.remove(0).parse().unwrap() } else { ttl };
                let (rtype, data) = match fields[0] {
                    "A" => (1, fields[1].parse::<Ipv4Addr>().unwrap().octets().to_vec()),
                    "MX" => (15, fields[1].as_bytes().to_vec()),
                    "TXT" => (16, strings(fields[1])),
                    "SOA" | "NS" | "HINFO" | "AAAA" => (0, Vec::new()),
                    other => panic!("{other} in {line}"),
                };
                let name = labels(&owner.parse().unwrap());
                for above in 0..name.len() {
                    model.names.entry(name[..above].to_vec()).or_default();
                }
                let records = model.names.entry(name).or_default();
                if rtype > 0 {
                    assert!(records.insert((rtype, ttl, data)), "twice: {line}");
                }
            }
        }
        model
    }

    /// Ask (RFC 4592 section 4.1): the name itself, or the wildcard at the closest name above it that exists. Says
    /// whether it was a wildcard.
    fn ask(&self, name: &Name) -> (Answer, bool) {
        let name = labels(name);
        if let Some(records) = self.names.get(&name) {
            return (Answer { exists: true, records: records.clone() }, false);
        }
        let closest = (0..name.len()).rev().find(|&n| self.names.contains_key(&name[..n])).unwrap();
        let mut wildcard = name[..closest].to_vec();
        wildcard.push(b"*".to_vec());
        let records = self.names.get(&wildcard).cloned();
        (Answer { exists: records.is_some(), records: records.unwrap_or_default() }, true)
    }
}

/// Our own answer, over the wire.
fn ours(snapshot: &Snapshot, name: &Name) -> Answer {
    let mut answer = Answer { exists: true, records: Records::new() };
    let policy = Policy::default();
    let context = Context {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        transport: Transport::Tcp,
        rotation: 0,
        time_s: 0,
        keepalive: None,
        policy: &policy,
    };
    for rtype in [1u16, 15, 16] {
        let mut buf = vec![0; 65_535];
        buf[..12].copy_from_slice(&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        let question = [name.wire(), &rtype.to_be_bytes(), &[0, 1]].concat();
        let mut at = 12 + question.len();
        buf[12..at].copy_from_slice(&question);
        let Outcome::Reply { len, .. } = handle(&mut buf, at, &context, snapshot) else { panic!("no reply") };
        assert!([0, 3].contains(&(buf[3] & 15)), "{name}: {}", buf[3]);
        answer.exists &= buf[3] & 15 == 0;
        for _ in 0..u16::from_be_bytes([buf[6], buf[7]]) {
            // The owner is a pointer to the question.
            let ttl = u32::from_be_bytes(buf[at + 6..at + 10].try_into().unwrap());
            let end = at + 12 + usize::from(u16::from_be_bytes([buf[at + 10], buf[at + 11]]));
            let data = &buf[at + 12..end];
            let data = if rtype == 15 {
                format!("{} {}.", u16::from_be_bytes([data[0], data[1]]), Name::from_wire(&data[2..])).into_bytes()
            } else {
                data.to_vec()
            };
            answer.records.insert((rtype, ttl, data));
            at = end;
        }
        assert!(at <= len);
    }
    answer
}

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % n
    }

    /// One of these.
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Whether a chance of one in `n` comes true.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// An IPv4 address out of few: borders, and the octets that nibbles can be as well.
    fn ip4(&mut self) -> u32 {
        let octets = [0, 1, 2, 9, 10, 15, 16, 127, 128, 254, 255];
        u32::from_be_bytes([
            self.of(&[10, 10, 10, 2, 1, 0]),
            self.of(&[0, 0, 1]),
            self.of(&octets[..6]),
            self.of(&octets),
        ])
    }

    /// An IPv6 address out of few.
    fn ip6(&mut self) -> u128 {
        let words = [0, 0, 1, 0x8000, 0xffff, 0x10];
        let top = self.of(&[0x2001u128, 0x2001, 0x2001, 0x2002, 0, 0x1000, 0xa000]);
        (0..7).fold(top, |address, _| address << 16 | self.of(&words))
    }

    /// A value, or none.
    fn value(&mut self) -> &'static str {
        self.of(&["", "", "", " :3:", " :4:at $", " :4:plain", " :5:a \"b\" \\ c\t\u{e4} $$"])
    }

    /// An exclusion mark, seldom.
    fn mark(&mut self) -> &'static str {
        if self.one_in(4) { "!" } else { "" }
    }

    /// A name out of few, `*` not among them; with `numbers`, one that may be an address or a part of one.
    fn name(&mut self, numbers: bool) -> String {
        if numbers && self.one_in(2) {
            let [a, b, c, d] = self.ip4().to_be_bytes();
            return match self.below(6) {
                0 => format!("{c}.{b}.{a}"),
                1 => format!("{b}.{a}"),
                2 => format!("x.{d}.{c}.{b}.{a}"),
                3 => format!("y.x.{b}.{a}"),
                4 => nibbles(self.ip6())[self.below(8) * 8..].to_owned(),
                _ => format!("{d}.{c}.{b}.{a}"),
            };
        }
        let depth = 1 + self.below(3);
        (0..depth).map(|_| self.of(&["g", "h", "com", "g"])).collect::<Vec<_>>().join(".")
    }

    /// A zone file of a type.
    fn file(&mut self, kind: Kind, numbers: bool) -> String {
        let mut text = String::new();
        if self.one_in(3) {
            text += self.of(&["$TTL 60\n", "$TTL 900\n"]);
        }
        if self.one_in(2) {
            text += self.of(&[":2:at $\n", ":7:\n", ":2:all of it\n"]);
        }
        if self.one_in(6) {
            text += "$= base $=, $\n";
        }
        for _ in 0..1 + self.below(7) {
            let (value, mark) = (self.value(), self.mark());
            text += &match kind {
                Kind::Ip4Tset => format!("{}\n", Ipv4Addr::from(self.ip4())),
                Kind::Ip4Set | Kind::Ip4Trie => {
                    let len = self.of(&[32, 32, 32, 31, 30, 25, 24, 24, 23, 20, 17, 16, 15, 13, 9]);
                    let first = self.ip4() & u32::MAX << (32 - len);
                    match (kind, self.below(3)) {
                        (Kind::Ip4Set, 0) => {
                            let last = first.saturating_add(self.below(700) as u32);
                            format!("{mark}{}-{}{value}\n", Ipv4Addr::from(first), Ipv4Addr::from(last))
                        }
                        _ => format!("{mark}{}/{len}{value}\n", Ipv4Addr::from(first)),
                    }
                }
                Kind::Ip6Trie => {
                    let len = self.of(&[128, 128, 127, 65, 64, 63, 48, 47, 33, 32, 21, 16, 15, 12, 4]);
                    let first = self.ip6() & u128::MAX << (128 - len);
                    format!("{mark}{}/{len}{value}\n", v6(first))
                }
                Kind::Ip6Tset => {
                    let address = self.ip6();
                    let words = v6(if self.one_in(2) { address } else { address >> 64 << 64 });
                    if mark.is_empty() {
                        words.split(':').take(4).collect::<Vec<_>>().join(":") + "\n"
                    } else {
                        format!("!{words}\n")
                    }
                }
                Kind::Dnset => format!("{mark}{}{}{value}\n", self.of(&["", ".", "*."]), self.name(numbers)),
                Kind::Generic => {
                    let data = self.of(&["A 127.0.0.8", "A 127.0.0.9", "7 TXT some \"text", "MX 10 mx.example.net"]);
                    format!("{} {data}\n", if self.one_in(5) { "@".to_owned() } else { self.name(numbers) })
                }
                Kind::Combined | Kind::Acl => return self.combined(),
            };
        }
        text
    }

    /// Sections under names that lie in and beside one another.
    fn combined(&mut self) -> String {
        let mut text = self.of(&["", "$TTL 90\n"]).to_owned();
        for _ in 0..1 + self.below(4) {
            let kind = Kind::ALL[self.below(7)].0;
            let mounts = self.of(&["@", "@", "m", "g", "h.g", "com m", "h.com @"]);
            text += &format!("$DATASET {kind} {mounts}\n{}", self.file(kind, false));
        }
        text
    }
}

/// All eight words of an IPv6 address.
fn v6(address: u128) -> String {
    Ipv6Addr::from(address).segments().map(|word| format!("{word:x}")).join(":")
}

/// An IPv6 address as 32 labels.
fn nibbles(address: u128) -> String {
    (0..32).map(|n| format!("{:x}", address >> (4 * n) & 15)).collect::<Vec<_>>().join(".")
}

/// An IPv4 address as four labels.
fn reversed(address: u32) -> String {
    let [d, c, b, a] = address.to_le_bytes();
    format!("{d}.{c}.{b}.{a}")
}

/// A zone of these datasets, each of one file.
fn zone(files: &[(Kind, String)]) -> Zone {
    let settings = ZoneSettings {
        name: "z.test".parse().unwrap(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl: 300,
        negative_ttl: 60,
        ttl_min: 0,
        ttl_max: u32::MAX,
        make_apex: true,
        retired: None,
        wrong_kind: None,
    };
    Zone::build(settings, 0, 1, ZoneState::Ready, zonefile::testing::datasets(files))
}

/// Take the addresses off `at $`, where a wildcard can not have the one that was asked about.
fn without_addresses(records: &Records) -> Records {
    let cut = |data: &[u8]| {
        let words = String::from_utf8_lossy(data);
        let words = words.chars().skip(1).collect::<String>();
        words
            .split(' ')
            .filter(|word| word.trim_end_matches(',').parse::<IpAddr>().is_err())
            .collect::<Vec<_>>()
            .join(" ")
            .into_bytes()
    };
    records
        .iter()
        .map(|(rtype, ttl, data)| (*rtype, *ttl, if *rtype == 16 { cut(data) } else { data.clone() }))
        .collect()
}

/// Names worth asking below a mount, and whether each is a whole address.
fn questions(dice: &mut Dice, files: &[(Kind, String)], mount: &str) -> Vec<(String, bool)> {
    let mut ip4: Vec<u32> = (0..20).map(|_| dice.ip4()).chain([0, 2 << 24 | 2, u32::MAX]).collect();
    let mut ip6: Vec<u128> = (0..20).map(|_| dice.ip6()).chain([0, u128::MAX]).collect();
    let (mut names, mut addresses): (Vec<String>, Vec<String>) = Default::default();
    let (mut networks4, mut networks6) = (Vec::new(), Vec::new());
    for line in files.iter().flat_map(|(_, text)| text.lines()) {
        let key = line.trim_start_matches('!').split(' ').next().unwrap();
        for end in key.split('-') {
            let (address, len) = end.split_once('/').unwrap_or((end, "32"));
            if let (Ok(address), Ok(len)) = (address.parse::<Ipv4Addr>(), len.parse::<u32>()) {
                networks4.push((u32::from(address), u32::MAX.checked_shr(len).unwrap_or(0)));
            }
            let (address, len) = end.split_once('/').unwrap_or((end, "128"));
            let address = if address.matches(':').count() == 3 { format!("{address}::") } else { address.to_owned() };
            if let (Ok(address), Ok(len)) = (address.parse::<Ipv6Addr>(), len.parse::<u32>()) {
                networks6.push((u128::from(address), u128::MAX.checked_shr(len).unwrap_or(0)));
            }
        }
        let name = key.trim_start_matches("*.").trim_start_matches('.');
        if name.parse::<Name>().is_ok_and(|name| super::numeric::is_address(name.labels())) {
            addresses.push(name.to_owned());
        } else if name.contains(|c| ('g'..='z').contains(&c)) {
            names.extend(["", "q.", "g.q.", "h.", "q.h."].map(|prefix| format!("{prefix}{name}")));
            names.extend(name.match_indices('.').map(|(at, _)| name[at + 1..].to_owned()));
        }
    }
    for (first, host) in networks4 {
        let inside = first | dice.below(u32::MAX as usize) as u32 & host;
        ip4.extend([first, first.wrapping_sub(1), inside, first | host, (first | host).wrapping_add(1)]);
    }
    for (first, host) in networks6 {
        let inside = first | dice.ip6() & host;
        ip6.extend([first, first.wrapping_sub(1), inside, first | host, (first | host).wrapping_add(1)]);
    }
    for &address in &ip4 {
        // Mapped, 6to4, and the IPv6 addresses whose names end like the IPv4 address's.
        ip6.extend([0xffff_0000_0000 | u128::from(address), (0x2002 << 32 | u128::from(address)) << 80 | 7]);
        let [a, b, c, d] = address.to_be_bytes().map(u128::from);
        if a < 10 && b < 10 {
            ip6.push((a << 12 | b << 8 | (c & 15) << 4 | d & 15) << 112 | 1);
        }
    }
    for &address in &ip6 {
        ip4.push([124, 120, 116, 112].iter().fold(0, |whole, shift| whole << 8 | (address >> shift) as u32 & 15));
    }
    names.extend((0..30).map(|_| dice.name(false)));
    names.extend((0..30).map(|_| dice.name(false)));
    addresses.extend(ip4.into_iter().map(reversed).chain(ip6.into_iter().map(nibbles)));
    let whole = addresses.into_iter().map(|name| (name, true));
    // A name below a part of an address is no question for a secondary.
    let mixed = files.iter().any(|(kind, _)| kind.has_addresses());
    let others = names.into_iter().filter(|name| !(mixed && name.ends_with(|c: char| c.is_ascii_hexdigit())));
    let all = whole.chain(others.map(|name| (name, false)));
    all.map(|(name, whole)| (format!("{name}{mount}.z.test"), whole)).collect()
}

/// Compare the file of a zone with the zone; says how many answers had records.
fn compare(dice: &mut Dice, files: &[(Kind, String)], mounts: &[&str]) -> usize {
    let zone = zone(files);
    let mut out = Vec::new();
    master_file(&zone, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let model = Model::load(&text);
    let snapshot = Snapshot::new(vec![Arc::new(zone)], 1);
    let mut listed = 0;
    for (name, whole) in mounts.iter().flat_map(|mount| questions(dice, files, mount)) {
        let parsed: Name = name.parse().unwrap();
        let (mut theirs, wildcard) = model.ask(&parsed);
        let mut ours = ours(&snapshot, &parsed);
        listed += usize::from(!ours.records.is_empty());
        if wildcard && whole {
            theirs.records = without_addresses(&theirs.records);
            ours.records = without_addresses(&ours.records);
        }
        // Not listed either way: a name excluded by a dnset, or above names that only a file can have.
        if ours.records.is_empty() && theirs.records.is_empty() && may_differ(files, &name, whole, &ours) {
            continue;
        }
        let files: String = files.iter().map(|(kind, text)| format!("--- {kind}\n{text}")).collect();
        let text = if text.len() < 20_000 { &text } else { "(long)" };
        assert_eq!(theirs, ours, "{name} (wildcard {wildcard}) in\n{files}\n--- the file:\n{text}");
    }
    listed
}

/// Whether NODATA in one and NXDOMAIN in the other is as it should be.
fn may_differ(files: &[(Kind, String)], name: &str, whole: bool, ours: &Answer) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    // Partial IPv6 addresses look like IPv4 ones: 0.0.0.0 is above ::ffff:0:0/96, 2.0.0.2 above 2002::/16; and
    // where we can not know better they are NODATA.
    let partial =
        whole && labels.iter().position(|label| !(label.len() == 1 && label.as_bytes()[0].is_ascii_digit())) == Some(4);
    if partial && (ours.exists || name.starts_with("0.0.0.0.") || name.starts_with("2.0.0.2.")) {
        return true;
    }
    let excluded = |line: &str| {
        line.strip_prefix('!').is_some_and(|key| {
            let key = key.split(' ').next().unwrap().trim_start_matches("*.").trim_start_matches('.');
            name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    files.iter().any(|(_, text)| text.lines().any(excluded))
}

#[test]
fn files_of_random_zones_answer_as_we_do() {
    let (mut listed, seeds) = (0, if cfg!(debug_assertions) { 5 } else { 60 });
    for seed in 1..=seeds {
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        for (kind, _) in &Kind::ALL[..7] {
            let file = dice.file(*kind, false);
            listed += compare(&mut dice, &[(*kind, file)], &[""]);
        }
        let several: Vec<(Kind, String)> = (0..2 + dice.below(2))
            .map(|_| {
                let kind = Kind::ALL[dice.below(7)].0;
                (kind, dice.file(kind, true))
            })
            .collect();
        listed += compare(&mut dice, &several, &[""]);
        let sections = dice.file(Kind::Combined, false);
        listed += compare(&mut dice, &[(Kind::Combined, sections)], &["", ".m", ".g", ".h.g", ".com", ".h.com"]);
    }
    assert!(listed > 300 * seeds as usize, "only {listed} answers had records");
}

/// The file of a zone without its head, `owner value` a line; IPv6 names of IPv4 entries left out.
fn lines(files: &[(Kind, &str)]) -> Vec<String> {
    let files: Vec<(Kind, String)> = files.iter().map(|(kind, text)| (*kind, (*text).to_owned())).collect();
    let mut out = Vec::new();
    master_file(&zone(&files), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let labels_max = if files.iter().any(|(kind, _)| *kind == Kind::Ip6Trie) { 32 } else { 6 };
    let labels = |line: &str| line.split('\t').next().unwrap().split('.').count();
    let data = text.lines().filter(|line| !line.starts_with(['@', ';', '$']) && labels(line) <= labels_max);
    data.map(|line| line.replace("\t127.0.0.", " ").replace('\t', " ")).collect()
}

#[test]
fn wildcards_stop_where_names_exist() {
    let check = |files: &[(Kind, &str)], expected: &[&str]| {
        let (mut got, mut expected) = (lines(files), expected.to_vec());
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{files:?}");
    };
    check(&[(Kind::Ip4Set, "192.0.2.0/24\n127.0.0.2\n")], &["2.0.0.127 A 2", "*.2.0.192 A 2"]);
    // Something else in a block: the part around it has a wildcard of its own.
    check(
        &[(Kind::Ip4Trie, "10.0.0.0/16\n10.0.1.7 :3:\n10.0.200.0/24 :4:\n")],
        &["*.1.0.10 A 2", "7.1.0.10 A 3", "*.0.10 A 2", "*.200.0.10 A 4"],
    );
    // What is not listed leaves no wildcard above it.
    let mut around: Vec<String> = (0..256).filter(|n| *n != 7).map(|n| format!("{n}.2.0.192 A 2")).collect();
    assert_eq!(lines(&[(Kind::Ip4Trie, "192.0.2.0/24\n!192.0.2.7\n")]), around);
    // 200x::/12 lies below 2.0.0: hosts.
    around = (0..256).map(|n| format!("{n}.0.0.2 A 2")).collect();
    assert_eq!(lines(&[(Kind::Ip4Trie, "2.0.0.0/24\n")]), around);
    check(
        &[(Kind::Ip6Trie, "2001:db8::/31\n2001:db8:4000::/34 :3:\n")],
        &["*.4.8.b.d.0.1.0.0.2 A 3", "*.5.8.b.d.0.1.0.0.2 A 3", "*.6.8.b.d.0.1.0.0.2 A 3", "*.7.8.b.d.0.1.0.0.2 A 3"]
            .into_iter()
            .chain(["*.8.b.d.0.1.0.0.2 A 2", "*.9.b.d.0.1.0.0.2 A 2"])
            .collect::<Vec<_>>(),
    );
    // Names that exist within a block for another reason.
    check(
        &[(Kind::Ip4Trie, "10.20.0.0/16\n"), (Kind::Generic, "x.5.3.20.10 A 127.0.0.9\n4.20.10 A 127.0.0.8\n")],
        &["5.3.20.10 A 2", "*.3.20.10 A 2", "*.4.20.10 A 2", "*.20.10 A 2", "x.5.3.20.10 A 9", "4.20.10 A 8"],
    );
    check(
        &[(Kind::Ip4Trie, "10.20.3.0/24\n"), (Kind::Dnset, "*.5.3.20.10 :3:\n")],
        &["5.3.20.10 A 2", "*.3.20.10 A 2", "*.5.3.20.10 A 3"],
    );
    // One name out of a list of addresses and a list of names.
    check(
        &[(Kind::Ip4Set, "127.0.0.2\n"), (Kind::Dnset, "2.0.0.127 :3:\n2.0.0.128 :3:\n")],
        &["2.0.0.127 A 2", " A 3", "2.0.0.128 A 3"],
    );
    check(
        &[(Kind::Dnset, ".w\na.b.w :3:\n!not.w\n!.none.w\n!x.y\n")],
        &["w A 2", "*.w A 2", "b.w A 2", "*.b.w A 2", "a.b.w A 3", "*.a.b.w A 2"]
            .into_iter()
            .chain(["none.w HINFO \"excluded\" \"\"", "*.not.w A 2"])
            .collect::<Vec<_>>(),
    );
    check(
        &[(Kind::Combined, "$DATASET dnset @\n.w\n$DATASET ip4set a.w b\n$DATASET generic c\nx A 127.0.0.7\n")],
        &["b HINFO \"empty\" \"\"", "x.c A 7", "w A 2", "*.w A 2", "a.w HINFO \"empty\" \"\""],
    );
    check(&[(Kind::Dnset, "\\042.lit\na.\\042.lit\nfine\n")], &["fine A 2"]);
}

#[test]
fn sections_amid_addresses_are_an_error() {
    for (mounts, wrong) in [("@ 5", true), ("a 5.b.a", true), ("a f.a", true), ("a b 5.c", false), ("a 256.a", false)] {
        let (outer, inner) = mounts.split_once(' ').unwrap();
        let text = format!("$DATASET ip4set {outer}\n1.2.3.4\n$DATASET dnset {inner}\nx\n");
        let error = master_file(&zone(&[(Kind::Combined, text)]), &mut Vec::new()).err();
        assert_eq!(error.map(|error| error.kind()), wrong.then_some(std::io::ErrorKind::Unsupported), "{mounts}");
    }
}

#[test]
fn what_stands_at_the_apex() {
    let text = |settings: fn(&mut ZoneSettings), file: &str| {
        let mut zone = zone(&[(Kind::Generic, file.to_owned())]);
        let mut changed = zone.settings.clone();
        settings(&mut changed);
        zone = Zone::build(changed, 0, 1_700_000_000, ZoneState::Ready, zone.datasets);
        let mut out = Vec::new();
        master_file(&zone, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().filter(|line| !line.starts_with(';')).map(|line| line.to_owned() + "\n").collect::<String>()
    };
    assert_eq!(
        text(|_| (), "@ MX 10 mx.z.test\n"),
        "$TTL 300\n$ORIGIN z.test.\n\
         @\tSOA\tz.test. hostmaster.z.test. 1700000000 3600 600 604800 60\n@\tNS\tz.test.\n\
         @\tMX\t10 mx.z.test.\n@\tAAAA\t100::\n"
    );
    assert_eq!(
        text(
            |_| (),
            "$SOA 1h n.z.test h\\.m.example 5 1 2 3 4\n$NS 60 n.z.test other.example\n$TTL 60\nn A 192.0.2.1\n"
        ),
        "$TTL 60\n$ORIGIN z.test.\n@\t3600\tSOA\tn.z.test. h\\.m.example. 5 1 2 3 4\n\
         @\tNS\tn.z.test.\n@\tNS\tother.example.\nn\tA\t192.0.2.1\n"
    );
    assert_eq!(
        text(
            |settings| {
                settings.retired = Some("gone \"for good\"".to_owned());
                settings.ns = vec!["ns.example".parse().unwrap()];
            },
            "@ A 192.0.2.1\n"
        ),
        "$TTL 300\n$ORIGIN z.test.\n\
         @\t86400\tSOA\tns.example. hostmaster.z.test. 1700000000 3600 600 604800 86400\n\
         @\t86400\tNS\tns.example.\n@\tTXT\t\"gone \\\"for good\\\"\"\n"
    );
    let rbldnsd = text(|settings| settings.make_apex = false, "www A 192.0.2.1\n");
    assert_eq!(rbldnsd, "$TTL 300\n$ORIGIN z.test.\nwww\tA\t192.0.2.1\n");
}
