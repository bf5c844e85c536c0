//! What is written is what is read, whatever clients wrote.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::dataset::Kind;
use crate::feed::evidence::Signal;
use crate::feed::listing::{Ended, Seen};
use crate::feed::policy::DAY_MS;
use crate::zonefile::{ReadOptions, Source, read};

/// A listing with this HELO.
fn listing(helo: &[u8], codes: &[Code]) -> Listing {
    let mut seen = Seen { score: 17_250, recipients: 12, sessions: 9, last_ms: DAY_MS, ..Seen::default() };
    seen.signals = [0, 4, 0, 3, 2, 0, 1, 0, 0, 0, 0];
    seen.helo = Some(helo.into());
    Listing {
        since_ms: 0,
        until_ms: 8 * DAY_MS,
        ended: Ended::Expired,
        term_ms: 7 * DAY_MS,
        nth: 1,
        codes: codes.to_vec(),
        score: 12_000,
        seen,
    }
}

/// Settings of a zone.
fn options() -> ZoneFileOptions {
    ZoneFileOptions {
        ns: vec!["ns1.example.org".parse().unwrap()],
        mname: "ns1.example.org".parse().unwrap(),
        rname: "hostmaster.example.org".parse().unwrap(),
        url: Some("https://bl.example.org/lookup/$".into()),
        ..ZoneFileOptions::default()
    }
}

/// Write a file, read it as the server does, and give the texts that it answers for an address.
fn answers(listed: &[(Subject, Listing)], asked: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone");
    let refs = listed.iter().map(|(subject, listing)| (*subject, listing));
    std::fs::write(&path, head(&options(), 7) + &body(refs, &options())).unwrap();
    let source = Source { kind: Kind::Combined, files: vec![path], options: ReadOptions::default() };
    let mut told = Vec::new();
    let loaded = read(&source, 0, &mut |diagnostic| told.push(diagnostic.to_string())).unwrap();
    assert_eq!(told, Vec::<String>::new());
    asked
        .iter()
        .map(|ip| {
            let found = testing::values(&loaded.dataset, ip.parse().unwrap());
            format!("{ip} {}", found.join(" | "))
        })
        .collect()
}

/// Asking a dataset as the server does.
mod testing {
    use super::*;
    use crate::dataset::Dataset;
    use crate::dataset::template::{Subject, Text};
    use crate::zone::embedded_ip4;

    /// Codes and texts for an address.
    pub fn values(dataset: &Dataset, ip: IpAddr) -> Vec<String> {
        let mut found = Vec::new();
        for (_, part) in dataset.parts() {
            let (id, subject) = match ip {
                IpAddr::V4(ip) => (part.find_ip4(ip.into()), Subject::Ip4(ip.into())),
                IpAddr::V6(ip) => match embedded_ip4(ip.into()).and_then(|ip| part.find_ip4(ip)) {
                    Some(id) => (Some(id), Subject::Ip6(ip.into())),
                    None => (part.find_ip6(ip.into()), Subject::Ip6(ip.into())),
                },
            };
            for id in id.into_iter().flat_map(|id| part.values().members(id)) {
                let (a, raw) = part.values().get(id);
                let mut text = Text::default();
                let text = part.header().template.expand(raw, subject, &mut text).unwrap_or_default();
                found.push(format!("{} {}", std::net::Ipv4Addr::from(a), String::from_utf8_lossy(text)));
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

#[test]
fn hosts_and_test_entries() {
    let both = &Code::ALL[..];
    let host = |ip: &str, codes| (ip.parse().unwrap(), listing(b"mail.example.net", codes));
    let listed = [host("203.0.113.9", &[Code::Callouts]), host("203.0.113.10", both), host("2001:db8::", both)];
    let text = "Sender callouts: 8 callouts, 4 with invented address, 2 bounces; 12 recipients, \
                last 1970-01-02 00:00Z, ends 1970-01-09 00:00Z; HELO mail.example.net; \
                see https://bl.example.org/lookup/";
    let two = text.replace("Sender callouts", "Sender callouts and backscatter");
    let test = format!("127.0.0.2 {TEST_TEXT} | 127.0.0.3 {TEST_TEXT}");
    assert_eq!(
        answers(
            &listed,
            &[
                "203.0.113.9",
                "203.0.113.10",
                "2001:db8::77",
                "127.0.0.2",
                "127.0.0.1",
                "2001:db8:0:1::",
                "::ffff:7f00:2"
            ]
        ),
        [
            format!("203.0.113.9 127.0.0.2 {text}203.0.113.9"),
            format!("203.0.113.10 127.0.0.2 {two}203.0.113.10 | 127.0.0.3 {two}203.0.113.10"),
            format!("2001:db8::77 127.0.0.2 {two}2001:db8::77 | 127.0.0.3 {two}2001:db8::77"),
            format!("127.0.0.2 {test}"),
            "127.0.0.1 ".to_owned(),
            "2001:db8:0:1:: ".to_owned(),
            format!("::ffff:7f00:2 {test}"),
        ]
    );
    assert_eq!(split(&(head(&options(), 77) + &body([].into_iter(), &options()))).map(|(serial, _)| serial), Some(77));
    assert_eq!(split("127.0.0.1\n"), None);
}

#[test]
fn exports() {
    let listed = [("203.0.113.9".parse().unwrap(), listing(b"x y", &[Code::Callouts]))];
    let refs = || listed.iter().map(|(subject, listing)| (*subject, listing));
    let cidr = postfix_cidr(refs(), PostfixAction::Defer, Some("https://bl.example.org/lookup/$"));
    let line = cidr.lines().nth(1).unwrap();
    assert!(line.starts_with("203.0.113.9/32 DEFER_IF_PERMIT Sender callouts: 8 callouts"), "{line}");
    assert!(line.ends_with("HELO x?y; see https://bl.example.org/lookup/203.0.113.9"), "{line}");
    let json: serde_json::Value = serde_json::from_str(&json_lines(refs(), None)).unwrap();
    assert_eq!((&json["codes"][0], &json["score"]), (&"127.0.0.2".into(), &17.25.into()));
    assert_eq!((&json["signals"]["callout"], &json["expires"]), (&3.into(), &"1970-01-09T00:00:00Z".into()));
}

proptest! {
    #[test]
    fn whatever_clients_wrote(
        helo in proptest::collection::vec(any::<u8>(), 0..300),
        url in proptest::option::of("https://[ -~]{0,200}"),
        count in any::<u32>(),
    ) {
        let mut listing = listing(&helo, &Code::ALL);
        listing.seen.signals = [count / 4; Signal::ALL.len()];
        listing.seen.recipients = count as usize;
        let options = ZoneFileOptions { url, ..options() };
        let subject: Subject = "203.0.113.9".parse().unwrap();
        let text = text(subject, &listing, options.url.as_deref());
        prop_assert!(text.bytes().all(|c| (b' '..=b'~').contains(&c)));
        prop_assert!(text.replace('$', &"x".repeat(22)).len() <= STRING_OCTETS_MAX);
        let expected = format!("203.0.113.9 127.0.0.2 {0} | 127.0.0.3 {0}", text.replace('$', "203.0.113.9"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("zone");
        std::fs::write(&path, head(&options, 7) + &body([(subject, &listing)].into_iter(), &options)).unwrap();
        let source = Source { kind: Kind::Combined, files: vec![path], options: ReadOptions::default() };
        let loaded = read(&source, 0, &mut |diagnostic| panic!("{diagnostic}")).unwrap();
        let found = testing::values(&loaded.dataset, "203.0.113.9".parse().unwrap());
        prop_assert_eq!(format!("203.0.113.9 {}", found.join(" | ")), expected);
    }
}
