//! The table of rbldnsd's observed answers, `tests/conformance/rbldnsd-cases.tsv`.
//!
//! One row a question. Tabs between columns, no quoting; `zone_text` has `\n \t \r \\ \xNN`; ` <<NEXT>> ` stands
//! between the texts of several datasets and ` <<FILE>> ` between the files of one.

use std::collections::BTreeSet;

use crate::judge::{Answer, Facts};

/// The table itself.
const TABLE: &str = include_str!("../conformance/rbldnsd-cases.tsv");
/// rbldnsd's default TTL, s.
const TTL_DEFAULT: u32 = 2100;
/// The negative TTL that the tests' settings give to made-up SOAs, s.
pub const NEGATIVE_TTL: u32 = 150;

/// One row.
#[derive(Clone, Debug)]
pub struct Case {
    /// Number, such as `IP4SET-FORM.1`.
    pub id: String,
    /// `normal`, `quirk` or `bug`.
    pub class: String,
    /// Zones and their datasets, as on rbldnsd's command line.
    pub datasets: Vec<Spec>,
    /// rbldnsd's options.
    pub options: String,
    /// Name asked for.
    pub qname: String,
    /// Type asked for.
    pub qtype: u16,
    /// The query's octets where they are not the plain ones.
    pub wire: Option<Vec<u8>>,
    /// rbldnsd's answer.
    pub answer: Answer,
    /// Records in rbldnsd's additional section.
    pub additional: usize,
}

/// One dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spec {
    /// Zone it belongs to; empty for a global access list.
    pub zone: String,
    /// Type.
    pub kind: String,
    /// The contents of its files.
    pub files: Vec<Vec<u8>>,
}

/// All rows.
pub fn cases() -> Vec<Case> {
    let mut lines = TABLE.lines();
    let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let cell = |name: &str| cells[columns.iter().position(|column| *column == name).unwrap()];
            let list = |name: &str, by: char| -> BTreeSet<String> {
                cell(name).split(by).filter(|item| !item.is_empty() && *item != "-").map(str::to_owned).collect()
            };
            let case = Case {
                id: cell("case_id").into(),
                class: cell("class").into(),
                datasets: specs(cell("dataset_type"), cell("zone_text")),
                options: cell("server_options").into(),
                qname: cell("qname").into(),
                qtype: if cell("qtype").is_empty() { 1 } else { crate::message::type_number(cell("qtype")) },
                wire: Some(unhex(cell("query_wire_hex"))).filter(|wire| !wire.is_empty()),
                answer: Answer {
                    code: cell("rcode").into(),
                    records: strings(cell("answer_rdata_sorted")).iter().map(|text| folded(text)).collect(),
                    ttls: list("ttls", ','),
                    authority: list("authority_types", '+'),
                    aa: cell("aa") == "1",
                    tc: false,
                },
                additional: cell("additional_count").parse().unwrap(),
            };
            assert_eq!(cells.len(), columns.len(), "{line}");
            case
        })
        .collect()
}

/// A record's text with its names in lower case; a TXT as it stands.
fn folded(text: &str) -> String {
    match text.split_once(' ') {
        Some((kind @ ("SOA" | "NS" | "MX"), rest)) => format!("{kind} {}", rest.to_lowercase()),
        _ => text.into(),
    }
}

/// The datasets of a row.
fn specs(kinds: &str, text: &str) -> Vec<Spec> {
    let texts: Vec<&str> = text.split(" <<NEXT>> ").collect();
    let kinds: Vec<&str> = kinds.split(" + ").collect();
    assert_eq!(kinds.len(), texts.len(), "{kinds:?}");
    kinds
        .iter()
        .zip(texts)
        .map(|(kind, text)| {
            let (zone, kind) = kind.split_once(':').unwrap_or(("bl.example", kind));
            Spec { zone: zone.into(), kind: kind.into(), files: text.split(" <<FILE>> ").map(unescape).collect() }
        })
        .collect()
}

/// The octets of an escaped text.
fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            // The table spells octets as the characters of Latin-1.
            octets.push(u8::try_from(u32::from(c)).unwrap());
            continue;
        }
        octets.push(match chars.next().unwrap() {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            '\\' => b'\\',
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => panic!("escape \\{other}"),
        });
    }
    octets
}

/// Octets of hexadecimal digits.
fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// A JSON list of strings.
fn strings(json: &str) -> Vec<String> {
    let mut list = Vec::new();
    let mut current: Option<String> = None;
    let mut chars = json.chars();
    while let Some(c) = chars.next() {
        match (c, &mut current) {
            ('"', None) => current = Some(String::new()),
            ('"', Some(_)) => list.extend(current.take()),
            ('\\', Some(text)) => match chars.next().unwrap() {
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
                }
                other => text.push(other),
            },
            (_, Some(text)) => text.push(c),
            (_, None) => {}
        }
    }
    list
}

/// What the differences depend on, read off the texts of a zone.
pub fn facts(specs: &[Spec], zone: &str, full: bool, ttl: (u32, u32, u32)) -> Facts {
    let zone = zone.trim_end_matches('.').to_lowercase();
    let mut facts = Facts { zone, full, negative_ttl: NEGATIVE_TTL, ..Facts::default() };
    let mut soa: Option<(u32, u32)> = None;
    for spec in specs.iter().filter(|spec| spec.zone.trim_end_matches('.').eq_ignore_ascii_case(&facts.zone)) {
        let mut part = (spec.kind.clone(), vec![String::new()]);
        // The TTL in force, which a `$SOA` that gives none takes; and the names, with and without `!`.
        let (mut ttl_now, mut names) = (ttl.0, NameKeys::default());
        for line in spec.files.iter().flat_map(|file| file.split(|&octet| octet == b'\n')) {
            let line = String::from_utf8_lossy(line);
            let words: Vec<&str> = line.trim_end_matches('\r').split_ascii_whitespace().collect();
            let Some(&first) = words.first() else { continue };
            if line.ends_with('\r') && first.starts_with('$') {
                // rbldnsd takes the CR for a part of the line; what it makes of it is told question by question.
                continue;
            }
            match first.to_ascii_lowercase().as_str() {
                "$soa" if words.len() == 9 && part.1.iter().any(String::is_empty) => {
                    let own = seconds(words[1]).filter(|&own| own > 0).unwrap_or(ttl_now);
                    soa = soa.or(seconds(words[8]).map(|minimum| (own, minimum)));
                }
                "$ttl" if words.len() == 2 => {
                    ttl_now = seconds(words[1]).map_or(ttl_now, |own| if own > 0 { own } else { ttl.0 });
                }
                "$ns" | "$nameserver" => facts.ns |= words.iter().skip(2).any(|word| !word.starts_with('-')),
                "$dataset" => {
                    let kind = words[1].split(':').next().unwrap().to_owned();
                    let mounts = words[2..].iter().map(|mount| mount.trim_matches('@').to_lowercase()).collect();
                    part = (kind, mounts);
                    names.above(&mut facts.above);
                    part.1.iter().for_each(|mount| ancestors(mount, "", &mut facts.above));
                }
                _ if first.starts_with(['$', '#', ';', ':']) => {}
                _ if part.0 == "dnset" || part.0 == "generic" => {
                    names.add(&line, &part.1);
                }
                _ => {}
            }
            let mounts = part.1.iter().cloned();
            match part.0.get(..3) {
                Some("ip4") => facts.ip4.extend(mounts),
                Some("ip6") => facts.ip6.extend(mounts),
                _ => {}
            }
        }
        names.above(&mut facts.above);
    }
    if let Some((own, minimum)) = soa {
        facts.soa = true;
        facts.negative_ttl = minimum.min(own.clamp(ttl.1, ttl.2));
    }
    facts
}

/// The names of one dataset of names or records.
#[derive(Default)]
struct NameKeys {
    /// Listed: name, whether the names below it are meant, mount point.
    listed: BTreeSet<(String, bool, String)>,
    /// The same of exclusions, which take their own listings away.
    excluded: BTreeSet<(String, bool, String)>,
}

impl NameKeys {
    /// Read a line's key.
    fn add(&mut self, line: &str, mounts: &[String]) {
        let line = line.trim_start();
        let (line, set) = match line.strip_prefix('!') {
            Some(rest) => (rest, &mut self.excluded),
            None => (line, &mut self.listed),
        };
        let key = line.split_ascii_whitespace().next().unwrap_or_default();
        let name = key.strip_prefix("*.").unwrap_or(key).trim_matches('.').to_lowercase();
        for mount in mounts {
            if !key.starts_with("*.") {
                set.insert((name.clone(), false, mount.clone()));
            }
            if key.starts_with("*.") || key.starts_with('.') {
                set.insert((name.clone(), true, mount.clone()));
            }
        }
    }

    /// The dataset is at its end: add the names that have others below them.
    fn above(&mut self, above: &mut BTreeSet<String>) {
        for (name, wild, mount) in self.listed.difference(&self.excluded) {
            ancestors(name, mount, above);
            if *wild {
                above.insert(joined(name, mount));
            }
        }
        *self = Self::default();
    }
}

/// A name below a mount point.
fn joined(name: &str, mount: &str) -> String {
    match (name.is_empty(), mount.is_empty()) {
        (_, true) => name.into(),
        (true, _) => mount.into(),
        _ => format!("{name}.{mount}"),
    }
}

/// Add every name between a name and the zone's apex.
fn ancestors(name: &str, mount: &str, above: &mut BTreeSet<String>) {
    let full = joined(name, mount);
    let mut rest = full.as_str();
    while let Some((_, parent)) = rest.split_once('.') {
        above.insert(parent.to_owned());
        rest = parent;
    }
}

/// A time with an optional unit.
fn seconds(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    let found = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, unit) = found.unwrap_or((&text, 1));
    number.parse::<u32>().ok()?.checked_mul(unit)
}

/// The TTLs that rbldnsd's `-t` sets: default, least, most.
pub fn ttl_options(options: &str) -> (u32, u32, u32) {
    let words: Vec<&str> = options.split(' ').collect();
    let Some(at) = words.iter().position(|word| *word == "-t") else { return (TTL_DEFAULT, 0, u32::MAX) };
    let parts: Vec<u32> = words[at + 1].split(':').map(|part| seconds(part).unwrap_or(0)).collect();
    let part = |i: usize, default: u32| parts.get(i).copied().filter(|&value| value > 0).unwrap_or(default);
    (part(0, TTL_DEFAULT), part(1, 0), part(2, u32::MAX))
}
