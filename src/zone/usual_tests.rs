//! The usual question against the way that every other one takes.

use std::net::Ipv4Addr;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Access, Existence, Match, Snapshot, Zone, ZoneSettings, ZoneState, address};
use super::ADDRESS_LABELS;
use crate::dataset::entry::{Entry, EntryText, EntryValue, Key, Record, RecordData, Scope};
use crate::dataset::{Builder, Dataset, Kind};
use crate::wire::name::QueryName;
use crate::wire::query::{Message, Query};

/// A list of one entry: 1.2.3.4, or what is like it in lists of other types.
fn list(kind: Kind) -> Arc<Dataset> {
    let mut builder = Builder::new(kind);
    let labels = b"\x014\x013\x012\x011";
    let key = match kind {
        Kind::Generic => {
            let data = RecordData::A(Ipv4Addr::new(127, 0, 0, 9));
            builder.add_record(&Record { owner: labels, ttl: None, data }).unwrap();
            return Arc::new(builder.freeze(&mut |_| {}));
        }
        Kind::Dnset => Key::Name(labels, Scope::Exact),
        Kind::Ip6Trie => Key::Ip6Net("4321::/16".parse().unwrap()),
        _ => Key::Ip4Net("1.2.3.4/32".parse().unwrap()),
    };
    let value = EntryValue { a: Some(Ipv4Addr::new(127, 0, 0, 2)), text: EntryText::Empty };
    builder.add(&Entry { key, excluded: false, value }).unwrap();
    Arc::new(builder.freeze(&mut |_| {}))
}

/// Zones of these names, all with lists of these types.
fn snapshot(names: &[&str], kinds: &[Kind]) -> Snapshot {
    let zone = |name: &&str| {
        let settings = ZoneSettings::new(&name.parse().unwrap());
        let lists = kinds.iter().map(|&kind| list(kind)).collect();
        Arc::new(Zone::build(settings, 0, 1, ZoneState::Ready, lists))
    };
    Snapshot::new(names.iter().map(zone).collect(), 1)
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
struct Question<'a> {
    /// Labels with their lengths, without the root's zero.
    labels: &'a [u8],
    /// Type and class.
    what: [u16; 2],
    /// The header's flags.
    flags: u16,
    /// Questions that the header tells of.
    questions: u8,
    /// Records behind the question: how many are answers and additional ones, and their octets.
    behind: (u8, u8, &'a [u8]),
}

impl Question<'_> {
    /// The message.
    fn message(&self) -> Vec<u8> {
        let (answers, additional, records) = self.behind;
        let mut message = vec![0x12, 0x34];
        message.extend(self.flags.to_be_bytes());
        message.extend([0, self.questions, 0, answers, 0, 0, 0, additional]);
        message.extend(self.labels);
        message.push(0);
        message.extend(self.what.iter().flat_map(|number| number.to_be_bytes()));
        message.extend(records);
        message
    }
}

/// An A question of class IN.
fn a_question(labels: &[u8]) -> Question<'_> {
    Question { labels, what: [1, 1], flags: 0x0100, questions: 1, behind: (0, 0, b"") }
}

/// What a zone has for a name, and whether it is there.
fn found(zone: &Zone, access: &Access<'_>, name: &QueryName, below: usize) -> (Existence, Vec<String>) {
    let mut all = Vec::new();
    let form = address(name, below);
    let existence = zone.look_up_for(access, name, below, &form, &mut |found| all.push(said(found)));
    (existence, all)
}

/// What is said of a match.
fn said(found: Match<'_, '_>) -> String {
    match found {
        Match::Listing(dataset, id, subject) => format!("{} {id} {subject:?}", dataset.kind()),
        Match::Record(record) => format!("{:?}", record.data),
    }
}

/// Whether the first `len` octets are known as a usual question; if so, all that is known must be what is read.
fn check(snapshot: &Snapshot, buf: &[u8], len: usize) -> bool {
    let mut query = Query::EMPTY;
    let known = |question: &[u8]| snapshot.usual(question).map(|usual| (usual.name_len, usual));
    let Some(usual) = query.read_known(buf, len, known) else { return false };
    let mut read = Query::EMPTY;
    assert_eq!(Message::read(buf, len, &mut read), Message::Query, "{buf:02x?}");
    let fields = |query: &Query| (query.qtype, query.qclass, query.question_end, query.edns, query.cookie);
    assert_eq!(fields(&query), fields(&read), "{buf:02x?}");
    let (zone, number, below) = snapshot.find_zone(&read.name).unwrap();
    assert_eq!((usual.number, ADDRESS_LABELS), (number, below), "{buf:02x?}");
    assert!(std::ptr::eq(usual.zone, zone));
    assert_eq!((usual.start, usual.form()), (read.name.start(below), address(&read.name, below)), "{buf:02x?}");
    assert!(!snapshot.has_zone_below(&read.name));
    // The name itself does not matter.
    for access in [Access::Open, Access::Empty] {
        let mut all = Vec::new();
        let existence =
            zone.look_up_for(&access, &query.name, below, &usual.form(), &mut |found| all.push(said(found)));
        assert_eq!((existence, all), found(zone, &access, &read.name, below), "{buf:02x?}");
    }
    true
}

/// The same in a datagram's room, with what an earlier one left behind the message, and cut off anywhere.
fn check_question(snapshot: &Snapshot, question: &Question<'_>) -> bool {
    let message = question.message();
    let mut buf = message.clone();
    buf.resize(512, b'Z');
    for len in 0..message.len() {
        // Cut off within the question it is none, and within what is behind it none that is good.
        assert!(!check(snapshot, &buf, len), "{len} of {question:?}");
        check(snapshot, &message[..len], message.len());
    }
    check(snapshot, &message, message.len());
    check(snapshot, &buf, message.len())
}

#[test]
fn usual_questions_are_known() {
    const OPT: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    const OPT_VERSION_1: &[u8] = &[0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0];
    const OPT_COOKIE: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    const OPT_BAD_COOKIE: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 5, 0, 10, 0, 1, 1];
    const A_RECORD: &[u8] = &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1];
    let hit = a_question(b"\x014\x013\x012\x011\x02bl\x07example");
    let zones = snapshot(&["bl.example", "other.example"], &[Kind::Ip4Trie]);
    for (question, known) in [
        (hit, true),
        (Question { what: [16, 1], ..hit }, true),
        (Question { what: [255, 1], ..hit }, true),
        (Question { what: [252, 1], ..hit }, true),
        (a_question(b"\x014\x013\x012\x011\x02bL\x07EXaMPLE"), true),
        (a_question(b"\x014\x013\x012\x011\x05other\x07example"), true),
        (a_question(b"\x03255\x0230\x03200\x0210\x02bl\x07example"), true),
        (a_question(b"\x03004\x0203\x012\x011\x02bl\x07example"), true),
        (a_question(b"\x015\x013\x012\x011\x02bl\x07example"), true),
        (a_question(b"\x03256\x013\x012\x011\x02bl\x07example"), false),
        (a_question(b"\x01f\x013\x012\x011\x02bl\x07example"), false),
        (a_question(b"\x013\x012\x011\x02bl\x07example"), false),
        (a_question(b"\x015\x014\x013\x012\x011\x02bl\x07example"), false),
        (a_question(b"\x014\x013\x012\x011\x02bl\x07example\x03net"), false),
        (a_question(b"\x014\x013\x012\x011\x02bl\x06exampl"), false),
        (a_question(b"\x014\x013\x012\x011\x42bl\x07example"), false),
        (a_question(b"\x02bl\x07example"), false),
        (a_question(b""), false),
        (Question { what: [16, 3], ..hit }, false),
        (Question { what: [1, 255], ..hit }, false),
        (Question { flags: 0x8100, ..hit }, false),
        (Question { flags: 0x2100, ..hit }, false),
        (Question { flags: 0x07ff, ..hit }, true),
        (Question { questions: 0, ..hit }, false),
        (Question { questions: 2, ..hit }, false),
        (Question { behind: (0, 1, OPT), ..hit }, true),
        (Question { behind: (0, 1, OPT_COOKIE), ..hit }, true),
        (Question { behind: (0, 1, A_RECORD), ..hit }, true),
        (Question { behind: (0, 1, OPT_BAD_COOKIE), ..hit }, false),
        (Question { behind: (0, 1, OPT_VERSION_1), ..hit }, false),
        (Question { behind: (0, 1, b"x"), ..hit }, false),
        (Question { behind: (1, 0, A_RECORD), ..hit }, false),
        (Question { behind: (0, 2, A_RECORD), ..hit }, false),
    ] {
        assert_eq!(check_question(&zones, &question), known, "{question:?}");
    }
    // What is behind the records is no part of the message.
    let message = Question { behind: (0, 0, b"xyz"), ..hit }.message();
    assert!(check(&zones, &[&message[..], &[0; 64]].concat(), message.len()));
}

#[test]
fn names_are_read_where_they_are_needed() {
    use Kind::{Dnset, Generic, Ip4Set, Ip4Trie, Ip6Trie};
    let hit = b"\x014\x013\x012\x011\x02bl\x07example";
    let bare = b"\x014\x013\x012\x011";
    let long = "of-thirty-and-more-octets.example";
    let long_hit = b"\x014\x013\x012\x011\x19of-thirty-and-more-octets\x07example";
    let many: Vec<String> = (0..9).map(|n| format!("z{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (zones, kinds, labels, known) in [
        (&["bl.example"][..], &[Ip4Trie][..], &hit[..], true),
        (&["bl.example"], &[Ip4Set], hit, true),
        (&["bl.example"], &[Ip6Trie, Ip4Trie], hit, true),
        (&["bl.example"], &[Ip6Trie], hit, false),
        (&["bl.example"], &[Ip4Trie, Dnset], hit, false),
        (&["bl.example"], &[Generic, Ip4Trie], hit, false),
        (&["bl.example", "example"], &[Ip4Trie], hit, false),
        (&["bl.example", "1.bl.example"], &[Ip4Trie], hit, false),
        (&[".", "1"], &[Ip4Trie], bare, false),
        (&["."], &[Ip4Trie], bare, false),
        (&[long], &[Ip4Trie], long_hit, false),
        (&many[1..], &[Ip4Trie], b"\x014\x013\x012\x011\x02z3\x07example", true),
        (&many, &[Ip4Trie], b"\x014\x013\x012\x011\x02z3\x07example", false),
    ] {
        let known_now = check_question(&snapshot(zones, kinds), &a_question(labels));
        assert_eq!(known_now, known, "{zones:?} {kinds:?}");
    }
}

proptest! {
    #[test]
    fn no_octets_are_taken_for_what_they_are_not(any_labels: Vec<u8>, at in 0usize..32, octet: u8) {
        let zones = snapshot(&["bl.example", "b"], &[Kind::Ip4Trie]);
        let mut labels = b"\x014\x0230\x012\x03101\x02bl\x07example".to_vec();
        if let Some(changed) = labels.get_mut(at) {
            *changed = octet;
        }
        for labels in [&any_labels[..], &labels] {
            let message = a_question(labels).message();
            let buf = [&message[..], &[b'Z'; 64]].concat();
            check(&zones, &buf, message.len());
        }
    }
}
