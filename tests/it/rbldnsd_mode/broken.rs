//! OPT records that are broken: rbldnsd passes over them, and the program under its command line does not.

use crate::differences::named;
use crate::message::{A, Query, Reply, edns, query};
use crate::rbldnsd::Rbldnsd;
use crate::server::{Udp, put_old};
use crate::skip;

/// A good query.
fn good() -> Query {
    query("4.3.2.1.bl.test", A)
}

/// A query with this EDNS record behind it as well as its own.
fn with(more: &[u8], additional: u8) -> Vec<u8> {
    let mut wire = good().wire();
    wire.extend(more);
    wire[11] = additional;
    wire
}

/// Cases by name: the query, and whether it is broken.
fn cases() -> Vec<(&'static str, Vec<u8>, bool)> {
    let opt = edns(1232).wire();
    let option = |code, data: &[u8]| good().edns(edns(1232).option(code, data)).wire();
    // The last option's length tells of an octet more than there is, and the record's length does not.
    let mut overrun = option(3, b"x");
    let at = overrun.len() - 2;
    overrun[at] = 2;
    vec![
        ("a good OPT record", with(&opt, 1), false),
        ("a good cookie", option(10, b"12345678"), false),
        ("an option that nobody knows", option(65_001, b"1234567"), false),
        ("two OPT records", with(&[&opt[..], &opt].concat(), 2), true),
        ("an OPT record of a name", with(&[b"\x01x", &opt[..]].concat(), 1), true),
        ("an option beyond its record", overrun, true),
        ("a cookie of 7 octets", option(10, b"1234567"), true),
        ("a cookie of 9 octets", option(10, b"123456789"), true),
        ("a cookie of 41 octets", option(10, &[b'x'; 41]), true),
    ]
}

/// Response code and number of answers that a server gives to each case, by name.
fn told(server: &Rbldnsd) -> Vec<(&'static str, String, usize)> {
    let client = Udp::new(server.dns);
    let tell = |(name, wire, _): (&'static str, Vec<u8>, bool)| {
        let reply: Reply = client.exchange(&wire);
        (name, reply.code(), reply.answer.len())
    };
    cases().into_iter().map(tell).collect()
}

#[test]
fn broken_opt_records() {
    assert!(named("broken OPT records").command_line);
    let dir = tempfile::tempdir().unwrap();
    put_old(&dir.path().join("z"), b"1.2.3.4 :2:t\n");
    let specs = ["bl.test:ip4set:z".to_owned()];
    let expected = |theirs: bool| -> Vec<_> {
        let judge = |(name, _, broken)| {
            if broken && !theirs { (name, "FORMERR".to_owned(), 0) } else { (name, "NOERROR".to_owned(), 1) }
        };
        cases().into_iter().map(judge).collect()
    };
    assert_eq!(told(&Rbldnsd::start_ours(dir.path(), "", &specs)), expected(false));
    match Rbldnsd::start(dir.path(), "", &specs) {
        Some(rbldnsd) => assert_eq!(told(&rbldnsd), expected(true), "rbldnsd"),
        None => skip("rbldnsd"),
    }
}
