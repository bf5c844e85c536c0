//! Whole files and what is answered from them: cases that the comparison with rbldnsd brought up, and its answers.

use std::sync::Arc;

use super::{ReadOptions, Source, read};
use crate::dataset::records::RecordType;
use crate::dataset::template::Text;
use crate::dataset::{Dataset, Kind};
use crate::wire::name::{Name, QueryName};
use crate::zone::{Existence, Match, Snapshot, Zone, ZoneSettings, ZoneState};

/// Default TTL of the zone, s.
const TTL: u32 = 2100;

/// The zone `z` made of these files; nothing if one of them is bad.
fn zone(kind: Kind, files: &[&str]) -> Option<Zone> {
    zone_of("z", ZoneState::Ready, kind, files)
}

/// A zone made of these files; nothing if one of them is bad.
fn zone_of(name: &str, state: ZoneState, kind: Kind, files: &[&str]) -> Option<Zone> {
    Some(zone_with(name, state, vec![dataset(kind, files)?]))
}

/// A dataset made of these files; nothing if one of them is bad.
fn dataset(kind: Kind, files: &[&str]) -> Option<Arc<Dataset>> {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..files.len()).map(|n| dir.path().join(n.to_string())).collect();
    paths.iter().zip(files).for_each(|(path, text)| std::fs::write(path, text).unwrap());
    let source = Source { kind, files: paths, options: ReadOptions::default() };
    read(&source, 1_790_000_000, &mut |_| {}).ok().map(|loaded| Arc::new(loaded.dataset))
}

/// A zone of these datasets.
fn zone_with(name: &str, state: ZoneState, datasets: Vec<Arc<Dataset>>) -> Zone {
    let settings = ZoneSettings {
        name: name.parse().unwrap(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl: TTL,
        negative_ttl: TTL,
        ttl_min: 30,
        ttl_max: 86_400,
        make_apex: false,
        retired: None,
        wrong_kind: None,
    };
    Zone::build(settings, 0, 1, state, datasets)
}

/// What a zone says of a name below it: `A|TTL|TXT` of each listing, `TTL|octets` of each record, or a code.
fn say(zone: &Zone, name: &str) -> String {
    let name: Name = if name.is_empty() { "z".parse().unwrap() } else { format!("{name}.z").parse().unwrap() };
    let name = QueryName::of(&name);
    let mut said = Vec::new();
    let existence = zone.look_up(&name, name.label_count() - 1, &mut |found| match found {
        Match::Listing(dataset, id, subject) => {
            let values = dataset.values();
            for id in values.members(id) {
                let (a, raw) = values.get(id);
                let mut text = Text::default();
                let text = dataset.header().template.expand(raw, subject, &mut text).map(String::from_utf8_lossy);
                let a = std::net::Ipv4Addr::from(a);
                said.push(format!("{a}|{}|{}", zone.ttl_of(dataset), text.as_deref().unwrap_or("-")));
            }
        }
        Match::Record(record) => {
            let data = match record.rtype {
                RecordType::A => format!("{:?}", record.data),
                _ => String::from_utf8_lossy(record.data).into_owned(),
            };
            said.push(format!("{}|{data}", zone.ttl_of_record(record.ttl)));
        }
    });
    match existence {
        Existence::None => "NXDOMAIN".into(),
        Existence::Empty => "NODATA".into(),
        Existence::Records | Existence::Listed => said.join(" "),
    }
}

#[test]
fn files_are_answered_from_as_by_rbldnsd() {
    /// Type, files, and names with what is said of them; `SERVFAIL` where a file can not be used.
    type Case<'a> = (Kind, &'a [&'a str], &'a [(&'a str, &'a str)]);
    let cases: &[Case<'_>] = &[
        // What stands behind a key of a `tset` is not looked at.
        (
            Kind::Ip4Tset,
            &["1.2.3.4 :1.2.3.:x\n1.2.3.5 :9:x\n1.2.3.6/32\n"],
            &[("4.3.2.1", "127.0.0.2|2100|-"), ("5.3.2.1", "127.0.0.2|2100|-"), ("6.3.2.1", "NXDOMAIN")],
        ),
        (
            Kind::Ip6Tset,
            &["1:2:3:4 ::\n!1:2:3:4::5 :bad\n"],
            &[
                ("6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0", "127.0.0.2|2100|-"),
                ("5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0", "NXDOMAIN"),
            ],
        ),
        // Four digits are an IPv4 address, and in an IPv6 dataset the beginning of an address.
        (Kind::Ip6Trie, &["2001:db8::/32\n"], &[("1.0.0.2", "NODATA"), ("10.0.0.2", "NXDOMAIN")]),
        (Kind::Ip4Set, &["1.2.3.4\n"], &[("2.0.0.2", "NODATA"), ("0.0.0.0", "NODATA"), ("1.0.0.2", "NXDOMAIN")]),
        // A NUL ends special lines too; blanks before it stay, those at the line's end do not.
        (
            Kind::Ip4Set,
            &["$1 v\0w\n1.2.3.6 $1|\n1.2.3.7 t \0\n1.2.3.8 t \t\n"],
            &[("6.3.2.1", "127.0.0.2|2100|v|"), ("7.3.2.1", "127.0.0.2|2100|t "), ("8.3.2.1", "127.0.0.2|2100|t")],
        ),
        // `=` alone is no text.
        (Kind::Ip4Set, &["1.2.3.4 =\n$= base\n"], &[("4.3.2.1", "127.0.0.2|2100|-")]),
        // Special lines in the head of a further file go on with the last section, and so do entries after one.
        (
            Kind::Combined,
            &[
                "$TTL 77\n$DATASET ip4set a # comment\n1.2.3.4 $1\n",
                "$1 v\n$nonsense\n1.2.3.5\n$DATASET ip4set b\n1.2.3.4 $1\n",
            ],
            &[
                ("4.3.2.1.a", "127.0.0.2|77|v"),
                ("5.3.2.1.a", "127.0.0.2|77|-"),
                ("4.3.2.1.b", "127.0.0.2|77|$1"),
                ("comment", "NXDOMAIN"),
            ],
        ),
        (Kind::Combined, &["$DATASET ip4set a\n", "1.2.3.5\n"], &[("a", "SERVFAIL")]),
        (Kind::Combined, &["$DATASET ip4set a\n", "#$nonsense\n1.2.3.5\n"], &[("5.3.2.1.a", "127.0.0.2|2100|-")]),
        // A bad name of a section is left out, and a section without a name is not served.
        (
            Kind::Combined,
            &["$DATASET ip4set a\\300 s\n1.2.3.4\n"],
            &[("4.3.2.1.s", "127.0.0.2|2100|-"), ("a300", "NXDOMAIN")],
        ),
        (Kind::Combined, &["$DATASET ip4set ;c\n1.2.3.4\n"], &[("4.3.2.1", "NXDOMAIN")]),
        (Kind::Combined, &["$DATASET ip4set s\n$DATASET # c\n"], &[("s", "NODATA")]),
        (Kind::Combined, &["$DATASET ip4set s\n$DATASET\n1.2.3.4\n"], &[("s", "SERVFAIL")]),
        // In `generic` a `$TTL` counts for what comes after it, and each TTL is held between the bounds.
        (
            Kind::Generic,
            &["a A 1\n$TTL 60\nb A 1\nc 5 A 1\nd 2d TXT x\n. A 1\n"],
            &[
                ("a", "2100|[0, 0, 0, 1]"),
                ("b", "60|[0, 0, 0, 1]"),
                ("c", "30|[0, 0, 0, 1]"),
                ("d", "86400|x"),
                ("", "NODATA"),
            ],
        ),
        // The number of `$MAXRANGE4` is one of addresses, which need not be a power of two.
        (
            Kind::Ip4Set,
            &["$MAXRANGE4 300\n1.2.0.0/23\n1.3.0.0-1.3.1.43\n1.4.0.0-1.4.1.44\n"],
            &[("1.0.2.1", "NXDOMAIN"), ("43.1.3.1", "127.0.0.2|2100|-"), ("0.0.4.1", "NXDOMAIN")],
        ),
        (Kind::Generic, &["a TXT \0\nb TXT \nc TXT\0\n"], &[("a", "2100|"), ("b", "NXDOMAIN"), ("c", "NXDOMAIN")]),
        // A lone `*` is a name as any other.
        (Kind::Dnset, &["* :3\n"], &[("*", "127.0.0.3|2100|-"), ("a", "NXDOMAIN")]),
        // A wildcard above an excluded name does not make it exist; a name below it that is listed by itself does.
        (
            Kind::Dnset,
            &["! c.com\n*.com\n!d.com\n!*.d.com\n!.e.com\n!f.com\nx.f.com\n"],
            &[
                ("c.com", "NXDOMAIN"),
                ("x.c.com", "127.0.0.2|2100|-"),
                ("d.com", "NXDOMAIN"),
                ("e.com", "NXDOMAIN"),
                ("f.com", "NODATA"),
            ],
        ),
    ];
    for (kind, files, asked) in cases {
        let zone = zone(*kind, files);
        for (name, expected) in *asked {
            let said = zone.as_ref().map_or_else(|| "SERVFAIL".into(), |zone| say(zone, name));
            assert_eq!(said, *expected, "{kind} {files:?}: {name}");
        }
    }
}

#[test]
fn soa_and_ns_are_the_whole_zones_wherever_they_stand() {
    let zone =
        zone(Kind::Combined, &["$TTL 60\n$DATASET ip4set s\n$SOA 0 a. b. 1 2 3 4 5\n$TTL 90\n$NS 0 ns.a\n1.2.3.4\n"])
            .unwrap();
    // A TTL of 0 takes the `$TTL` that the whole dataset has at that line.
    assert_eq!(zone.soa.as_ref().map(|soa| soa.ttl), Some(60));
    assert_eq!(zone.ns.as_ref().map(|ns| ns.ttl), Some(60));
    assert_eq!(say(&zone, "4.3.2.1.s"), "127.0.0.2|90|-");
}

#[test]
fn addresses_of_name_servers_come_once_and_under_one_ttl() {
    let generic = |name, state, text| Arc::new(zone_of(name, state, Kind::Generic, &[text]).unwrap());
    let list = generic("list", ZoneState::Ready, "$NS 0 a.home gone.home ns.home a.old elsewhere\n");
    let home = "a A 127.0.0.2\na 600 A 127.0.0.3\na TXT t\na 500 A 127.0.0.2\nns 3600 A 127.0.0.2\n";
    let home = generic("home", ZoneState::Ready, home);
    // Expired data are not used (RFC 1034 section 4.3.5).
    let old = generic("old", ZoneState::Expired, "a 5 A 127.0.0.4\n");
    let snapshot = Snapshot::new(vec![list, home, old], 1);
    let glue: Vec<_> = snapshot.glue(0).iter().map(|glue| (glue.server, glue.address[3], glue.ttl)).collect();
    assert_eq!(glue, [(0, 2, 500), (0, 3, 500), (2, 2, 500)]);
}

#[test]
fn a_section_without_a_name_makes_no_zone_one_of_ipv4() {
    let six = dataset(Kind::Ip6Trie, &["2001:db8::/32\n"]).unwrap();
    for (sections, expected) in [("$DATASET ip4set\n1.2.3.4\n", "NODATA"), ("$DATASET ip4set @\n1.2.3.4\n", "NXDOMAIN")]
    {
        let sections = dataset(Kind::Combined, &[sections]).unwrap();
        let zone = zone_with("z", ZoneState::Ready, vec![Arc::clone(&six), sections]);
        // A part of an IPv6 address, and beside an IPv4 list a complete IPv4 address.
        assert_eq!(say(&zone, "1.0.0.3"), expected);
    }
}
