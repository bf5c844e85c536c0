//! What rbldnsd's own tests demand of the program.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Place;
use crate::message::{A, ANY, CH, NS, SOA, TXT, query};
use crate::server::{Tcp, Udp};

/// Texts of all answers.
fn answers(client: &Udp, name: &str, qtype: u16) -> (u16, Vec<String>) {
    let reply = client.ask(&query(name, qtype));
    let mut texts: Vec<String> = reply.answer.iter().map(|record| record.text.clone()).collect();
    texts.sort();
    (reply.rcode, texts)
}

#[test]
fn it_answers_in_a_second_and_ends_well() {
    let place = Place::new(&[("trie", "1.2.3.0/24 :1:one\n1.2.3.0/24 :2:two\n"), ("names", "spam.example\n")]);
    let localhost = format!("-n -b localhost/{} t.example:ip4trie:trie n.example:dnset:names", place.dns.port());
    let begun = Instant::now();
    let running = place.start("./rbldnsd", &localhost);
    running.wait_for_answers();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let client = Udp::new(place.dns);
    assert_eq!(answers(&client, "4.3.2.1.t.example", TXT), (0, vec!["TXT \"one\"".to_owned()]));
    assert_eq!(answers(&client, "spam.example.n.example", A), (0, vec!["A 127.0.0.2".to_owned()]));
    let (status, out, err) = running.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{out}{err}");
    assert!(err.lines().any(|line| line.contains("duplicated entry for 1.2.3.0/24")), "{err}");
}

#[test]
fn help_knows_ipv6() {
    let place = Place::new(&[]);
    let (status, out, err) = place.start("./rbldnsd", "-h").end();
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    assert!(out.lines().any(|line| line.trim_start().starts_with("-6 ")), "{out}");
    let (status, again, _) = place.start("./rbldnsd", "").end();
    assert_eq!((status.code(), again), (Some(1), out));
}

#[test]
fn answers_are_rbldnsds() {
    let place = Place::new(&[("a", "$NS 1d ns.example\n1.2.3.4 :5:five\n127.0.0.1\n0/1\n128/1\n")]);
    let running = place.serve("-n -b BIND x.example:ip4trie:a");
    let client = Udp::new(place.dns);
    let check = |name, qtype, rcode, texts: &[&str]| {
        let expected: Vec<String> = texts.iter().map(ToString::to_string).collect();
        assert_eq!(answers(&client, name, qtype), (rcode, expected), "{name} {qtype}");
    };
    // Guards are off: the whole world and 127.0.0.1 are served.
    check("1.0.0.127.x.example", A, 0, &["A 127.0.0.2"]);
    check("4.3.2.1.x.example", ANY, 0, &["A 127.0.0.5", "TXT \"five\""]);
    // No SOA is made up, so the zone can not speak of itself; NS are there.
    check("x.example", SOA, 5, &[]);
    check("x.example", NS, 0, &["NS ns.example."]);
    assert_eq!(client.ask(&query("4.3.2.1.x.example", A)).authority.len(), 1);
    // TCP is there as well.
    assert_eq!(Tcp::new(place.dns).ask(&query("4.3.2.1.x.example", A)).answer.len(), 1);
    assert_eq!(running.stop(Signal::INT).0.code(), Some(0));
}

#[test]
fn access_lists() {
    let place = Place::new(&[("a", "1.2.3.4\n"), ("zone", "127/8 :refuse\n"), ("all", "127/8 :9:you are $\n")]);
    let running = place.serve("-n -b BIND x.example:acl:zone x.example:ip4set:a y.example:ip4set:a :acl:all");
    let client = Udp::new(place.dns);
    assert_eq!(answers(&client, "4.3.2.1.x.example", A), (5, vec![]));
    assert_eq!(answers(&client, "9.9.9.9.y.example", A), (0, vec!["A 127.0.0.9".to_owned()]));
    assert_eq!(answers(&client, "9.9.9.9.y.example", TXT), (0, vec!["TXT \"you are 127.0.0.1\"".to_owned()]));
    let (_, out, _) = running.stop(Signal::TERM);
    assert!(out.contains("rbldnsd: acl:all: ") && out.contains("(1 socket(s), 2 zone(s))"), "{out}");
}

#[test]
fn discretion_and_brevity() {
    for (options, version, authority) in
        [("", Some("TXT \"rbldnsd (dnsbld "), 1), ("-v -a", Some("TXT \"rbldnsd\""), 0), ("-vv -A", None, 1)]
    {
        let place = Place::new(&[("a", "$NS 1d ns.example\n1.2.3.4\n")]);
        let running = place.serve(&format!("-n {options} -b BIND x:ip4set:a"));
        let client = Udp::new(place.dns);
        let reply = client.ask(&query("version.bind", TXT).class(CH));
        let told = reply.answer.first().map(|record| record.text.as_str());
        assert_eq!(told.is_some(), version.is_some(), "{options}: {told:?}");
        assert!(told.unwrap_or_default().starts_with(version.unwrap_or_default()), "{options}: {told:?}");
        assert_eq!(client.ask(&query("4.3.2.1.x", A)).authority.len(), authority, "{options}");
        drop(running);
    }
}

#[test]
fn ttl_bounds() {
    for (option, ttl) in [("", 2_100), ("-t 30", 30), ("-t ::2m", 120), ("-t ::120", 120), ("-t 1h:30m:2h", 3_600)] {
        let place = Place::new(&[("a", "1.2.3.4\n")]);
        let running = place.serve(&format!("-n {option} -b BIND x:ip4set:a"));
        assert_eq!(Udp::new(place.dns).ask(&query("4.3.2.1.x", A)).answer[0].ttl, ttl, "{option}");
        drop(running);
    }
}
