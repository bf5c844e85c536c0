//! Which options an answer has, by what the query had and how it came.

use std::net::IpAddr;

use super::super::answer::{Outcome, Policy, handle};
use super::*;
use crate::wire::HEADER_LEN;
use crate::zone::Publisher;

/// Codes of options (RFC 5001, 7873, 7828, 7830, 8914).
const NSID: u16 = 3;
/// Cookie.
const COOKIE: u16 = 10;
/// Keepalive.
const KEEPALIVE: u16 = 11;
/// Padding.
const PADDING: u16 = 12;
/// Extended error.
const EDE: u16 = 15;
/// The client, and when it asks.
const CLIENT: (&str, u32) = ("192.0.2.1", 1_000_000);
/// All ways in.
const TRANSPORTS: [Transport; 5] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Quic, Transport::Https];

/// A query for `version.bind` of class CH with these options, or one without a question.
fn query(question: bool, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut wire = vec![0x12, 0x34, 0, 0, 0, u8::from(question), 0, 0, 0, 0, 0, 1];
    if question {
        wire.extend(b"\x07version\x04bind\x00\x00\x10\x00\x03");
    }
    let data: Vec<u8> = options
        .iter()
        .flat_map(|(code, data)| [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat())
        .collect();
    wire.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
    wire.extend((data.len() as u16).to_be_bytes());
    wire.extend(data);
    wire
}

/// Answer with a buffer of so many octets: response code, octets, and options by code and data; `None` for no OPT record.
type Answered = (u16, usize, Option<Vec<(u16, Vec<u8>)>>);

/// Answer a query.
fn answer(policy: &Policy, transport: Transport, octets: usize, wire: &[u8]) -> Answered {
    let mut buf = vec![0; octets];
    buf[..wire.len()].copy_from_slice(wire);
    let (client, time_s): (IpAddr, u32) = (CLIENT.0.parse().unwrap(), CLIENT.1);
    let keepalive = matches!(transport, Transport::Tcp | Transport::Tls).then_some(100);
    let context = Context { client, transport, rotation: 0, time_s, keepalive, policy };
    let Outcome::Reply { len, note } = handle(&mut buf, wire.len(), &context, &Publisher::default().reader().load())
    else {
        panic!("no answer to {wire:02x?}")
    };
    let reply = &buf[..len];
    let Some(mut data) = (reply[11] > 0).then(|| {
        let at = reply.windows(3).rposition(|octets| octets == [0, 0, 41]).unwrap();
        let data = &reply[at + 11..];
        assert_eq!(usize::from(u16::from_be_bytes([reply[at + 9], reply[at + 10]])), data.len(), "rdata length");
        data
    }) else {
        return (note.rcode, len, None);
    };
    let mut options = Vec::new();
    while let [c0, c1, l0, l1, rest @ ..] = data {
        let (option, after) = rest.split_at(usize::from(u16::from_be_bytes([*l0, *l1])));
        options.push((u16::from_be_bytes([*c0, *c1]), option.to_vec()));
        data = after;
    }
    assert!(data.is_empty(), "half an option");
    (note.rcode, len, Some(options))
}

/// A policy with cookies, and with long texts.
fn policy(require: bool) -> Policy {
    let keys = CookieKeys::new(*b"sixteen octets..", &[]);
    Policy {
        version: Some("v".repeat(250)),
        server_id: Some("i".repeat(255)),
        cookies: Some(CookiePolicy { keys, require }),
        ..Policy::default()
    }
}

/// The codes of an answer's options.
fn codes(answered: &Answered) -> Vec<u16> {
    answered.2.iter().flatten().map(|(code, _)| *code).collect()
}

#[test]
fn keepalive_and_padding_go_by_transport() {
    let policy = policy(false);
    for transport in TRANSPORTS {
        let encrypted = transport.is_encrypted();
        let stream = matches!(transport, Transport::Tcp | Transport::Tls);
        for (options, octets) in [
            (&[][..], None),
            (&[(KEEPALIVE, &b""[..])], None),
            (&[(KEEPALIVE, &[0, 9])], None),
            (&[(PADDING, &[0; 40])], Some(468)),
            (&[(PADDING, &b""[..])], Some(468)),
            (&[(PADDING, &b""[..]), (NSID, b"")], Some(936)),
            (&[(PADDING, &b""[..]), (KEEPALIVE, b""), (NSID, b""), (COOKIE, b"12345678")], Some(936)),
        ] {
            let answered = answer(&policy, transport, 65_535, &query(true, options));
            let what = format!("{transport:?} {options:02x?}");
            let asked = |code| options.iter().any(|(known, _)| *known == code);
            let mut expected: Vec<u16> = [NSID, COOKIE].into_iter().filter(|&code| asked(code)).collect();
            expected.extend((stream && asked(KEEPALIVE)).then_some(KEEPALIVE));
            expected.extend((encrypted && asked(PADDING)).then_some(PADDING));
            assert_eq!(codes(&answered), expected, "{what}");
            if let Some(octets) = octets.filter(|_| encrypted) {
                assert_eq!(answered.1, octets, "{what}");
            }
            for (code, data) in answered.2.unwrap() {
                match code {
                    KEEPALIVE => assert_eq!(data, [0, 100], "{what}"),
                    PADDING => assert!(data.iter().all(|&octet| octet == 0), "{what}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn padding_ends_with_the_buffer() {
    let asked = query(true, &[(PADDING, b""), (NSID, b"")]);
    let whole = answer(&policy(false), Transport::Udp, 4096, &asked).1;
    for (octets, expected) in [(whole + 4, whole + 4), (whole + 7, whole + 7), (900, 900), (936, 936), (2000, 936)] {
        assert_eq!(answer(&policy(false), Transport::Https, octets, &asked).1, expected, "a buffer of {octets} octets");
    }
}

#[test]
fn cookies_come_back_with_every_code() {
    let with = policy(false);
    let made = answer(&with, Transport::Udp, 512, &query(true, &[(COOKIE, b"12345678")])).2.unwrap().remove(0).1;
    assert_eq!((made.len(), &made[..8]), (24, &b"12345678"[..]));
    let mut wrong = made.clone();
    wrong[20] ^= 1;
    let other = [&made[..], &[0; 16]].concat();
    for transport in TRANSPORTS {
        for (cookie, question, code) in [
            (&made[..], true, 0),
            (b"12345678", true, 0),
            (&wrong, true, 0),
            (&other, true, 0),
            // RFC 7873 section 5.4.
            (b"12345678", false, 0),
            (&made, false, 0),
            (&wrong, false, 23),
            (&other, false, 23),
        ] {
            let (rcode, _, options) = answer(&with, transport, 65_535, &query(question, &[(COOKIE, cookie)]));
            assert_eq!((rcode, options.unwrap()), (code, vec![(COOKIE, made.clone())]), "{transport:?} {cookie:02x?}");
        }
    }
    // Another class is refused, another version and opcode are not spoken: with a cookie all the same.
    for (at, octet, rcode) in [(HEADER_LEN + 17, 1, 5), (HEADER_LEN + 24, 1, 16), (2, 2 << 3, 4)] {
        let mut asked = query(true, &[(COOKIE, b"12345678")]);
        asked[at] = octet;
        let answered = answer(&with, Transport::Udp, 512, &asked);
        assert_eq!((answered.0, codes(&answered).contains(&COOKIE)), (rcode, true), "octet {at}: {answered:?}");
    }
    // The first counts.
    let twice = answer(&with, Transport::Udp, 512, &query(true, &[(COOKIE, &made), (COOKIE, b"no"), (NSID, b"")]));
    assert_eq!((twice.0, codes(&twice)), (0, vec![NSID, COOKIE]));
}

#[test]
fn without_cookies_nothing_is_different() {
    let without = Policy::default();
    for (question, options, expected) in [
        (true, &[(COOKIE, &b"12345678"[..])][..], (5, Some(vec![]))),
        (true, &[(COOKIE, b"1234567")], (1, Some(vec![]))),
        (false, &[(COOKIE, b"12345678")], (1, None)),
        (false, &[(COOKIE, b"1234567")], (1, Some(vec![]))),
        (false, &[(NSID, b"")], (1, None)),
        (false, &[], (1, None)),
    ] {
        let (rcode, _, mut found) = answer(&without, Transport::Udp, 512, &query(question, options));
        if let Some(options) = &mut found {
            options.retain(|(code, _)| *code != EDE);
        }
        assert_eq!((rcode, found), expected, "{question} {options:02x?}");
    }
}

#[test]
fn required_cookies() {
    let strict = policy(true);
    let first = answer(&strict, Transport::Udp, 512, &query(true, &[(COOKIE, b"12345678")]));
    assert_eq!((first.0, codes(&first)), (23, vec![COOKIE]));
    let made = first.2.unwrap().remove(0).1;
    let mut wrong = made.clone();
    wrong[23] ^= 0x80;
    for transport in TRANSPORTS {
        for (options, over_udp) in
            [(&[][..], 0), (&[(COOKIE, &made[..])], 0), (&[(COOKIE, &wrong)], 23), (&[(COOKIE, &made[..8])], 23)]
        {
            let rcode = answer(&strict, transport, 65_535, &query(true, options)).0;
            let expected = if transport == Transport::Udp { over_udp } else { 0 };
            assert_eq!(rcode, expected, "{transport:?} {options:02x?}");
        }
    }
}

#[test]
fn no_option_makes_a_datagram_too_long() {
    let without_cookie: &[(u16, &[u8])] = &[(NSID, b"")];
    let with_cookie: &[(u16, &[u8])] = &[(NSID, b""), (COOKIE, b"12345678")];
    // A question's name, class and octets of its datagrams; whether the identifier of 255 octets fits. It takes 259 octets, the
    // rest of an answer without records 12 for the header, 4 behind the name, 17 for the OPT record with an extended error.
    let cases = [
        (&[63, 63, 63, 61][..], 1, 512, without_cookie, false),
        (&[63, 63, 63, 61], 1, 0, without_cookie, false),
        (&[63, 63, 63, 61], 1, 546, without_cookie, false),
        (&[63, 63, 63, 61], 1, 547, without_cookie, true),
        (&[63, 63, 63, 61], 1, 574, with_cookie, false),
        (&[63, 63, 63, 61], 1, 575, with_cookie, true),
        (&[63, 63, 63, 61], 3, 512, with_cookie, false),
        (&[63, 63, 63, 26], 1, 512, without_cookie, true),
        (&[63, 63, 63, 27], 1, 512, without_cookie, false),
        (&[3], 1, 512, with_cookie, true),
        (&[], 1, 512, with_cookie, true),
    ];
    for (labels, class, udp_size, options, fits) in cases {
        let mut asked = query(true, options);
        let opt = asked.split_off(HEADER_LEN + 18);
        asked.truncate(HEADER_LEN);
        for &len in labels {
            asked.push(len);
            asked.extend(vec![b'x'; usize::from(len)]);
        }
        asked.extend([0, 0, 16, 0, class]);
        asked.extend(opt);
        let size_at = asked.len() - 8 - options.iter().map(|(_, data)| 4 + data.len()).sum::<usize>();
        asked[size_at..size_at + 2].copy_from_slice(&u16::to_be_bytes(udp_size));
        for require in [false, true] {
            let (rcode, octets, found) = answer(&policy(require), Transport::Udp, 65_535, &asked);
            let what = format!("{labels:?} {class} {udp_size} {options:02x?}: {rcode} {octets} {found:02x?}");
            assert!(octets <= usize::from(udp_size.max(512)), "{what}");
            assert_eq!(found.unwrap().iter().any(|(code, _)| *code == NSID), fits, "{what}");
        }
        // Over a stream there is room.
        assert!(codes(&answer(&policy(false), Transport::Tcp, 65_535, &asked)).contains(&NSID));
    }
}
