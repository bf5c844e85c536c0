//! Access lists, from their text to the answer: rbldnsd's own answers, every pair of rules, and what the manual promises.

mod cases;

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::opt::EdnsCode;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use dnsbld::dataset::{Dataset, Kind};
use dnsbld::serve::answer::{Context, Dropped, Outcome, Policy, Transport, handle};
use dnsbld::zone::{Snapshot, Zone, ZoneSettings, ZoneState};
use dnsbld::zonefile::{self, Source};

/// The lists of most cases: a list of hosts and a few records.
const MAIL: &[(Kind, &str)] = &[
    (
        Kind::Ip4Set,
        "$SOA 0 ns.example. hostmaster.example. 0 1h 30m 2d 10m\n$NS 1d ns1.example. ns2.example.\n1.2.3.4 :2:listed $\n",
    ),
    (Kind::Generic, "www A 192.0.2.1\nwww TXT hello\n@ A 192.0.2.2\n"),
];
/// One list of hosts.
const LIST: &[(Kind, &str)] = &[(
    Kind::Ip4Set,
    "$SOA 0 ns.example. hostmaster.example. 0 1h 30m 2d 10m\n$NS 1d ns1.example. ns2.example.\n1.2.3.4 :2:listed $\n",
)];
/// Lists under names of their own.
const SECTIONS: &[(Kind, &str)] = &[(
    Kind::Combined,
    "$SOA 0 ns.example. hostmaster.example. 0 1h 30m 2d 10m\n$NS 1d ns1.example. ns2.example.\n$DATASET ip4set a @\n1.2.3.4\n$DATASET generic a\nwww A 1.1.1.1\n",
)];
/// Names with records beside them.
const NAMES: &[(Kind, &str)] = &[
    (
        Kind::Dnset,
        "$SOA 0 ns.example. hostmaster.example. 0 1h 30m 2d 10m\n$NS 1d ns1.example. ns2.example.\nfoo :2:listed\n.deep.bar\n",
    ),
    (Kind::Generic, "www A 192.0.2.1\na.b A 192.0.2.3\n"),
];
/// Addresses of both families.
const BOTH: &[(Kind, &str)] = &[
    (
        Kind::Ip4Trie,
        "$SOA 0 ns.example. hostmaster.example. 0 1h 30m 2d 10m\n$NS 1d ns1.example. ns2.example.\n1.2.3/24\n",
    ),
    (Kind::Ip6Trie, "2001:db8::/32\n"),
];

/// Zone, lists and clients of one set-up, and what comes of questions.
struct Case<'c> {
    /// Its name.
    name: &'c str,
    /// The zone's lists.
    lists: &'c [(Kind, &'c str)],
    /// The zone's access list.
    acl: Option<&'c str>,
    /// The access list for all zones.
    global: Option<&'c str>,
    /// Questions as `NAME TYPE`, relative to the zone, and their answers as [`tell`] writes them.
    asked: &'c [(&'c str, &'c str)],
}

/// Read a text as a dataset.
fn dataset(kind: Kind, text: &str) -> Arc<Dataset> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let source = Source { kind, files: vec![PathBuf::from(file.path())], options: Default::default() };
    Arc::new(zonefile::read(&source, 1_790_000_000, &mut |_| {}).unwrap().dataset)
}

/// The zone `bl.example` of these lists, as rbldnsd would have it, alone in its snapshot.
fn snapshot(lists: &[(Kind, &str)], acl: Option<&str>, global: Option<&str>, state: ZoneState) -> Snapshot {
    let settings = ZoneSettings {
        name: "bl.example".parse().unwrap(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl: 2100,
        negative_ttl: 600,
        ttl_min: 0,
        ttl_max: u32::MAX,
        make_apex: false,
        retired: None,
        wrong_kind: None,
    };
    let lists = acl.iter().map(|text| (Kind::Acl, *text)).chain(lists.iter().copied());
    let datasets = lists.map(|(kind, text)| dataset(kind, text)).collect();
    let zone = Zone::build(settings, 1, 1_700_000_000, state, datasets);
    Snapshot::new(vec![Arc::new(zone)], 1).with_acl(global.map(|text| dataset(Kind::Acl, text)))
}

/// How a question is asked besides its name and type.
#[derive(Clone, Copy)]
struct How<'h> {
    /// The client.
    client: &'h str,
    /// With EDNS.
    edns: bool,
    /// Over TCP.
    tcp: bool,
    /// Of class CH.
    chaos: bool,
}

/// From the local host, over UDP.
const PLAIN: How<'static> = How { client: "127.0.0.1", edns: false, tcp: false, chaos: false };

/// Ask `NAME TYPE`.
fn ask(snapshot: &Snapshot, question: &str, how: How<'_>) -> String {
    let (name, rtype) = question.split_once(' ').unwrap();
    let name = match name {
        "@" => "bl.example.".to_owned(),
        name if name.ends_with('.') => name.to_owned(),
        name => format!("{name}.bl.example."),
    };
    let mut query = Query::query(Name::from_ascii(name).unwrap(), rtype.parse::<RecordType>().unwrap());
    if how.chaos {
        query.set_query_class(DNSClass::CH);
    }
    let mut message = Message::query();
    message.add_query(query);
    if how.edns {
        message.edns.get_or_insert_default().set_max_payload(1232);
    }
    let wire = message.to_vec().unwrap();
    let mut buf = vec![0; 65_535];
    buf[..wire.len()].copy_from_slice(&wire);
    let client: IpAddr = how.client.parse().unwrap();
    let transport = if how.tcp { Transport::Tcp } else { Transport::Udp };
    let policy = Policy { authority: true, any_in_full: true, version: Some("v".to_owned()), ..Policy::default() };
    let context = Context { client, transport, rotation: 0, time_s: 0, keepalive: None, policy: &policy };
    match handle(&mut buf, wire.len(), &context, snapshot) {
        Outcome::Drop(Dropped::Policy) => "dropped".to_owned(),
        Outcome::Drop(why) => format!("dropped: {why:?}"),
        Outcome::Reply { len, .. } => tell(&Message::from_vec(&buf[..len]).unwrap()),
    }
}

/// An answer as `RCODE aa (EDE); TTL TYPE DATA; … / TYPES OF AUTHORITY`.
fn tell(reply: &Message) -> String {
    let mut text = format!("{:?}", reply.metadata.response_code).to_uppercase();
    if reply.metadata.authoritative {
        text += " aa";
    }
    if let Some(option) = reply.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Unknown(15))) {
        let octets: Vec<u8> = option.try_into().unwrap();
        text += &format!(" ({})", u16::from_be_bytes([octets[0], octets[1]]));
    }
    let record = |record: &Record| format!("; {} {} {}", record.ttl, record.record_type(), record.data);
    let mut answers: Vec<String> = reply.answers.iter().map(record).collect();
    answers.sort();
    text += &answers.concat();
    let mut types: Vec<String> = reply.authorities.iter().map(|record| record.record_type().to_string()).collect();
    types.dedup();
    if !types.is_empty() {
        text += &format!(" / {}", types.join("+"));
    }
    text
}

/// Ask everything of a case.
fn check(case: &Case<'_>) {
    let snapshot = snapshot(case.lists, case.acl, case.global, ZoneState::Ready);
    for (question, expected) in case.asked {
        assert_eq!(ask(&snapshot, question, PLAIN), *expected, "{}: {question}", case.name);
    }
}

#[test]
fn what_rbldnsd_answers() {
    cases::CASES.iter().for_each(check);
}

#[test]
fn every_pair_of_rules() {
    /// What comes of a listed and of another address.
    type Seen<'s> = [&'s str; 2];
    const OPEN: Seen<'_> = ["NOERROR aa; 2100 TXT listed 1.2.3.4 / NS", "NXDOMAIN aa / SOA"];
    const DROPPED: Seen<'_> = ["dropped", "dropped"];
    const REFUSED: Seen<'_> = ["REFUSED", "REFUSED"];
    const EMPTY: Seen<'_> = ["NXDOMAIN aa / SOA", "NXDOMAIN aa / SOA"];
    const ZONES: Seen<'_> = ["NOERROR aa; 2100 TXT zone 127.0.0.1 / NS", "NOERROR aa; 2100 TXT zone 127.0.0.1 / NS"];
    const GLOBAL: Seen<'_> = ["NOERROR aa; 70 TXT global 127.0.0.1 / NS", "NOERROR aa; 70 TXT global 127.0.0.1 / NS"];
    let rules = ["10/8", "127/8 :pass", "127/8", "127/8 :refuse", "127/8 :empty", "127/8 :9:zone $"];
    // A row for each rule of the zone, a column for each one for all zones.
    let expected = [
        [OPEN, OPEN, DROPPED, REFUSED, EMPTY, GLOBAL],
        [OPEN, OPEN, DROPPED, REFUSED, EMPTY, GLOBAL],
        [DROPPED; 6],
        [REFUSED, REFUSED, DROPPED, REFUSED, REFUSED, REFUSED],
        [EMPTY, EMPTY, DROPPED, REFUSED, EMPTY, EMPTY],
        [ZONES, ZONES, DROPPED, REFUSED, EMPTY, GLOBAL],
    ];
    for (zone, row) in rules.into_iter().zip(expected) {
        for (global, expected) in rules.into_iter().zip(row) {
            let for_all = format!("$TTL 70\n{}", global.replace("zone", "global"));
            let snapshot = snapshot(LIST, Some(zone), Some(&for_all), ZoneState::Ready);
            let seen = ["4.3.2.1 TXT", "9.9.9.9 TXT"].map(|question| ask(&snapshot, question, PLAIN));
            assert_eq!(seen, expected, "`{zone}` in the zone, `{global}` for all");
        }
    }
    for (rule, expected) in rules.into_iter().zip([OPEN, OPEN, DROPPED, REFUSED, EMPTY, ZONES]) {
        let snapshots = [(Some(rule), None), (None, Some(rule))];
        for snapshot in snapshots.map(|(zone, global)| snapshot(LIST, zone, global, ZoneState::Ready)) {
            let seen = ["4.3.2.1 TXT", "9.9.9.9 TXT"].map(|question| ask(&snapshot, question, PLAIN));
            assert_eq!(seen, expected, "`{rule}` alone");
        }
    }
}

#[test]
fn everything_is_listed_but_records_stay() {
    let nibbles = |digits: &str| digits.chars().rev().map(|digit| format!("{digit}.")).collect::<String>();
    let (six, mapped) = (nibbles(&"1".repeat(32)), nibbles("00000000000000000000ffff01020304"));
    let (six, mapped) = (format!("{}TXT", six.replacen(".T", " T", 1)), format!("{}TXT", mapped));
    let question = |text: &str| text.replace(".TXT", " TXT");
    let (six, mapped) = (question(&six), question(&mapped));
    const YOU: &str = "NOERROR aa; 77 TXT you 127.0.0.1 / NS";
    let acl = Some("$TTL 77\n127.0.0.1 :9:you $\n");
    for case in [
        Case {
            name: "hosts",
            lists: MAIL,
            acl,
            global: None,
            asked: &[
                ("4.3.2.1 A", "NOERROR aa; 77 A 127.0.0.9 / NS"),
                ("4.3.2.1 ANY", "NOERROR aa; 77 A 127.0.0.9; 77 TXT you 127.0.0.1 / NS"),
                ("4.3.2.1 MX", "NOERROR aa / SOA"),
                ("4.3.2.1 AAAA", "NOERROR aa / SOA"),
                ("9.9.9.9 TXT", YOU),
                ("9.9.9 TXT", "NOERROR aa / SOA"),
                ("1.9.9.9.9 TXT", "NXDOMAIN aa / SOA"),
                ("nx TXT", "NXDOMAIN aa / SOA"),
                (&six, "NXDOMAIN aa / SOA"),
                (&mapped, YOU),
                ("www A", "NOERROR aa; 2100 A 192.0.2.1 / NS"),
                ("www TXT", "NOERROR aa; 2100 TXT hello / NS"),
                ("@ A", "NOERROR aa; 2100 A 192.0.2.2 / NS"),
                ("@ TXT", "NOERROR aa / SOA"),
                ("@ NS", "NOERROR aa; 86400 NS ns1.example.; 86400 NS ns2.example. / NS"),
            ],
        },
        Case {
            name: "names",
            lists: NAMES,
            acl,
            global: None,
            asked: &[
                ("foo TXT", YOU),
                ("nx TXT", YOU),
                ("a.b.c.d TXT", YOU),
                ("9.9.9.9 TXT", YOU),
                ("bar TXT", YOU),
                ("www A", "NOERROR aa; 77 A 127.0.0.9; 77 A 192.0.2.1 / NS"),
                ("@ TXT", "NOERROR aa / SOA"),
            ],
        },
        Case {
            name: "both families",
            lists: BOTH,
            acl,
            global: None,
            asked: &[("9.9.9.9 TXT", YOU), (&six, YOU), (&mapped, YOU), ("nx TXT", "NXDOMAIN aa / SOA")],
        },
        Case {
            name: "sections",
            lists: SECTIONS,
            acl,
            global: None,
            asked: &[
                ("9.9.9.9 TXT", YOU),
                ("9.9.9.9.a TXT", YOU),
                ("9.9.9.9.b TXT", "NXDOMAIN aa / SOA"),
                ("a TXT", "NOERROR aa / SOA"),
                ("www.a A", "NOERROR aa; 2100 A 1.1.1.1 / NS"),
            ],
        },
    ] {
        check(&case);
    }
    let empty = Some("127.0.0.1 :empty\n");
    for case in [
        Case {
            name: "hosts",
            lists: MAIL,
            acl: empty,
            global: None,
            asked: &[
                ("4.3.2.1 ANY", "NXDOMAIN aa / SOA"),
                ("3.2.1 A", "NOERROR aa / SOA"),
                ("www ANY", "NOERROR aa; 2100 A 192.0.2.1; 2100 TXT hello / NS"),
                ("@ A", "NOERROR aa; 2100 A 192.0.2.2 / NS"),
                ("nx A", "NXDOMAIN aa / SOA"),
            ],
        },
        Case {
            name: "names",
            lists: NAMES,
            acl: empty,
            global: None,
            asked: &[
                ("foo A", "NXDOMAIN aa / SOA"),
                // Above `.deep.bar`, which is not to be seen.
                ("bar A", "NXDOMAIN aa / SOA"),
                ("b A", "NOERROR aa / SOA"),
                ("a.b A", "NOERROR aa; 2100 A 192.0.2.3 / NS"),
            ],
        },
    ] {
        check(&case);
    }
}

#[test]
fn clients_of_each_kind() {
    let acl = "0/0 :refuse\n192.0.2.0/24 :8:$\n192.0.2.1 :pass\n::/0 :empty\n2001:db8::/32 :8:$\n2001:db8::1 :pass\n";
    for snapshot in [(Some(acl), None), (None, Some(acl))].map(|(a, g)| snapshot(LIST, a, g, ZoneState::Ready)) {
        for (client, expected) in [
            ("198.51.100.1", "REFUSED"),
            ("::ffff:198.51.100.1", "REFUSED"),
            ("192.0.2.9", "NOERROR aa; 2100 TXT 192.0.2.9 / NS"),
            ("::ffff:192.0.2.9", "NOERROR aa; 2100 TXT 192.0.2.9 / NS"),
            ("192.0.2.1", "NOERROR aa; 2100 TXT listed 1.2.3.4 / NS"),
            ("::1", "NXDOMAIN aa / SOA"),
            ("2001:db8::2:0:0:1", "NOERROR aa; 2100 TXT 2001:db8::2:0:0:1 / NS"),
            ("2001:db8::1", "NOERROR aa; 2100 TXT listed 1.2.3.4 / NS"),
        ] {
            assert_eq!(ask(&snapshot, "4.3.2.1 TXT", How { client, ..PLAIN }), expected, "{client}");
        }
    }
}

#[test]
fn around_the_rules() {
    use ZoneState::{Expired, NotReady, Ready};
    let edns = How { edns: true, ..PLAIN };
    let tcp = How { tcp: true, ..PLAIN };
    let chaos = How { chaos: true, ..PLAIN };
    let version = "NOERROR; 0 TXT v";
    for (zone, global, state, question, how, expected) in [
        // REFUSED says why (RFC 8914 section 4.19); a name of no zone is told so before any rule.
        (Some(":refuse"), None, Ready, "4.3.2.1 A", edns, "REFUSED (18)"),
        (None, Some(":refuse"), Ready, "4.3.2.1 A", edns, "REFUSED (18)"),
        (Some(":refuse"), None, Ready, "other.test. A", edns, "REFUSED (20)"),
        (None, Some(":refuse"), Ready, "other.test. A", edns, "REFUSED (20)"),
        (Some(":ignore"), None, Ready, "other.test. A", PLAIN, "REFUSED"),
        (None, Some(":ignore"), Ready, "other.test. A", PLAIN, "dropped"),
        (None, Some(":5:x"), Ready, "other.test. A", PLAIN, "REFUSED"),
        // Questions about the server.
        (None, Some(":refuse"), Ready, "version.bind. TXT", chaos, version),
        (Some(":ignore"), None, Ready, "version.bind. TXT", chaos, version),
        (None, Some(":ignore"), Ready, "version.bind. TXT", chaos, "dropped"),
        // Transfers.
        (Some(":ignore"), None, Ready, "@ AXFR", PLAIN, "NOTIMP"),
        (Some(":refuse"), None, Ready, "@ AXFR", PLAIN, "NOTIMP"),
        (None, Some(":ignore"), Ready, "@ AXFR", PLAIN, "dropped"),
        // Every transport.
        (Some(":refuse"), None, Ready, "4.3.2.1 A", tcp, "REFUSED"),
        (Some(":ignore"), None, Ready, "4.3.2.1 A", tcp, "dropped"),
        (Some(":9"), None, Ready, "4.3.2.1 A", tcp, "NOERROR aa; 2100 A 127.0.0.9 / NS"),
        // A zone that can not be answered from.
        (Some(":ignore"), None, Expired, "4.3.2.1 A", PLAIN, "dropped"),
        (Some(":refuse"), None, Expired, "4.3.2.1 A", edns, "SERVFAIL (24)"),
        (None, Some(":ignore"), NotReady, "4.3.2.1 A", PLAIN, "dropped"),
        (None, Some(":refuse"), NotReady, "4.3.2.1 A", edns, "SERVFAIL (14)"),
        (None, Some(":5:x"), NotReady, "4.3.2.1 A", edns, "SERVFAIL (14)"),
        // What is not in an access list.
        (Some(":refuse\n$SOA 0 a. b. 7 1 1 1 1"), None, Ready, "4.3.2.1 A", PLAIN, "REFUSED"),
        // A rule of an expired list stays in force.
        (Some(":refuse\n$TIMESTAMP 2001-01-01 2002-01-01"), None, Ready, "4.3.2.1 A", PLAIN, "REFUSED"),
    ] {
        let acl = |rule: Option<&str>| rule.map(|rule| format!("{rule}\n127/8\n"));
        let snapshot = snapshot(LIST, acl(zone).as_deref(), acl(global).as_deref(), state);
        assert_eq!(ask(&snapshot, question, how), expected, "{zone:?} {global:?} {state:?} {question}");
    }
    // Garbage gets no answer either.
    let snapshot = snapshot(LIST, None, Some("127/8\n"), Ready);
    let mut buf = [0; 512];
    buf[2] = 0x28;
    let policy = Policy::default();
    let context = Context {
        client: "127.0.0.1".parse().unwrap(),
        transport: Transport::Udp,
        rotation: 0,
        time_s: 0,
        keepalive: None,
        policy: &policy,
    };
    assert_eq!(handle(&mut buf, 12, &context, &snapshot), Outcome::Drop(Dropped::Policy));
}
