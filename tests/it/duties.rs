//! What a blocklist's name server owes by RFC: messages, zones, and the rules of DNSBLs.
//!
//! A test for each duty, named after it. EDNS, streams and odd packets have files of their own.

use crate::lists::{nibbles, usual};
use crate::message::{A, ANY, CH, NS, Query, Reply, SOA, TXT, edns, header, name, query, type_number};
use crate::server::{Server, settings, zone};

/// `CODE [answers] authority-types`, the gist of an answer, for tables.
fn gist(reply: &Reply) -> String {
    let answers: Vec<String> = reply.answers().into_iter().collect();
    let authority: Vec<&str> =
        reply.authority.iter().map(|record| record.text.split(' ').next().unwrap_or_default()).collect();
    format!("{} [{}] {}", reply.code(), answers.join(", "), authority.join("+")).trim_end().to_owned()
}

/// Ask a table of `(name, type, gist)`; AA must be set on all but REFUSED.
fn check(server: &Server, table: &[(&str, &str, &str)]) {
    let client = server.udp();
    for (qname, qtype, expected) in table {
        let reply = client.ask(&query(qname, type_number(qtype)));
        assert_eq!(gist(&reply), *expected, "{qname} {qtype}");
        assert_eq!(reply.aa(), reply.code() != "REFUSED", "AA of {qname} {qtype}");
    }
}

#[test]
fn d1_responses_and_stubs_get_no_answer() {
    let server = usual("");
    let (client, good) = (server.udp(), query("2.0.0.127.bl.test", A));
    assert!(client.silent(&good.clone().flags(0x8000).wire(), &good), "a response was answered");
    for len in 0..12 {
        assert!(client.silent(&good.wire()[..len], &good), "{len} octets were answered");
    }
    for opcode in 0..16 {
        let response = good.clone().flags(0x8000 | opcode << 11);
        assert!(client.silent(&response.wire(), &good), "a response of opcode {opcode} was answered");
    }
}

#[test]
fn d2_header_and_question_are_copied() {
    let server = usual("");
    let client = server.udp();
    for (qname, aa) in
        [("2.0.0.127.BL.tEsT", true), ("9.9.9.9.bL.TEST", true), ("Bl.TeSt", true), ("OTHER.Example", false)]
    {
        for flags in [0u16, 0x0100, 0x0010, 0x0110, 0x07ff & !0x0100] {
            let asked = query(qname, A).id(0xbeef).flags(flags);
            let reply = client.ask(&asked);
            assert_eq!(reply.question, asked.question(), "question of {qname}, case and all");
            assert_eq!(reply.counts[0], 1);
            let mut expected = 0x8000 | flags & 0x0100 | u16::from(aa) << 10;
            // CD may be copied (RFC 4035 section 3.2.2); everything else is the server's own.
            expected |= reply.flags & flags & 0x0010;
            assert_eq!(reply.flags & 0xfff0, expected, "flags of {qname} with {flags:04x}");
        }
    }
}

#[test]
fn d3_number_of_questions() {
    let server = usual("");
    let client = server.udp();
    let one = query("2.0.0.127.bl.test", A);
    let none = client.exchange(&header(7, 0, [0; 4]));
    assert_eq!((none.code().as_str(), none.octets.len()), ("FORMERR", 12));
    let mut two = header(7, 0, [2, 0, 0, 0]);
    two.extend([one.question(), one.question()].concat());
    assert_eq!(client.exchange(&two).code(), "FORMERR");
}

#[test]
fn d4_opcodes_and_stray_flags() {
    let server = usual("");
    let client = server.udp();
    let good = query("2.0.0.127.bl.test", A);
    for opcode in [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
        for octets in [good.clone().flags(opcode << 11).wire(), header(9, opcode << 11, [0; 4])] {
            let reply = client.exchange(&octets);
            assert_eq!(reply.code(), "NOTIMP", "opcode {opcode}");
            assert_eq!(reply.flags >> 11 & 15, opcode, "opcode copied");
            assert!(reply.answer.is_empty() && !reply.aa());
        }
    }
    let update = client.exchange(&query("bl.test", SOA).flags(5 << 11).wire());
    assert!(["NOTIMP", "REFUSED"].contains(&update.code().as_str()), "UPDATE: {}", update.code());
    assert_eq!(update.flags >> 11 & 15, 5);
    let plain = client.ask(&good);
    for flags in [0x0400, 0x0200, 0x0080, 0x0040, 0x0020, 0x0010, 0x000f, 0x06ff] {
        let reply = client.ask(&good.clone().flags(flags));
        assert_eq!(reply.octets[4..], plain.octets[4..], "query flags {flags:04x}");
    }
}

#[test]
fn d5_outside_all_zones() {
    let server = usual("");
    let client = server.udp();
    for qname in ["test", "other.example", "xbl.test", "bl.test.example", ".", "2.0.0.127.xbl.test"] {
        let reply = client.ask(&query(qname, A));
        assert_eq!((reply.code().as_str(), reply.aa(), &reply.counts[1..]), ("REFUSED", false, &[0, 0, 0][..]));
        let reply = client.ask(&query(qname, NS).edns(edns(1232)));
        assert_eq!(reply.code(), "REFUSED", "{qname}");
        assert!(reply.answer.is_empty() && reply.authority.is_empty());
        assert_eq!(reply.opt.unwrap().extended_error(), Some(20), "EDE of {qname}");
    }
}

#[test]
fn d6_unknown_types_are_nodata() {
    let server = usual("");
    let client = server.udp();
    for qtype in [3, 11, 28, 33, 43, 46, 48, 64, 65, 99, 256, 257, 258, 1000, 32_768, 65_280, 65_534] {
        for qname in ["4.3.2.1.bl.test", "bl.test", "evil.com.dbl.test", "2.0.0.127.bl.test"] {
            let reply = client.ask(&query(qname, qtype));
            assert_eq!(gist(&reply), "NOERROR [] SOA", "{qname} TYPE{qtype}");
        }
        assert_eq!(gist(&client.ask(&query("9.9.9.9.bl.test", qtype))), "NXDOMAIN [] SOA", "TYPE{qtype}");
    }
}

#[test]
fn d7_broken_questions() {
    let server = usual("");
    let client = server.udp();
    let broken: [(&str, Vec<u8>); 9] = [
        ("nothing after the header", vec![]),
        ("a name cut short", b"\x05ab".to_vec()),
        ("no class", [name("bl.test"), vec![0, 1]].concat()),
        ("a pointer to itself", b"\xc0\x0c\x00\x01\x00\x01".to_vec()),
        ("a pointer forward", b"\xc0\x20\x00\x01\x00\x01".to_vec()),
        ("a label and a pointer back", b"\x01x\xc0\x0c\x00\x01\x00\x01".to_vec()),
        ("label type 0x40", b"\x41x\x00\x00\x01\x00\x01".to_vec()),
        ("label type 0x80", b"\x81x\x00\x00\x01\x00\x01".to_vec()),
        ("a name over 255 octets", [b"\x07abcdefg".repeat(32), vec![0, 0, 1, 0, 1]].concat()),
    ];
    for (what, question) in broken {
        let reply = client.exchange(&[header(0x0707, 0x0100, [1, 0, 0, 0]), question].concat());
        assert_eq!((reply.code().as_str(), reply.id), ("FORMERR", 0x0707), "{what}");
        assert_eq!(reply.octets.len(), 12, "{what}: garbage is not echoed");
    }
    // The longest name that is allowed, outside and inside of a zone, is no garbage.
    let longest = [b"\x3f".to_vec(), vec![b'a'; 63]].concat().repeat(3);
    let mut inside = [longest, b"\x34".to_vec(), vec![b'b'; 52]].concat();
    inside.extend(name("bl.test"));
    assert_eq!(inside.len(), 254);
    let reply = client.ask(&Query { name: inside, ..query(".", A) });
    assert_eq!(reply.code(), "NXDOMAIN");
}

#[test]
fn d8_truncation_without_edns() {
    let server = usual("");
    let (client, mut stream) = (server.udp(), server.tcp());
    for qtype in [A, TXT] {
        let asked = query("4.3.2.1.big.test", qtype);
        let reply = client.ask(&asked);
        assert!(reply.tc() && reply.aa() && reply.octets.len() <= 512, "{} octets", reply.octets.len());
        let whole = stream.ask(&asked);
        assert!(!whole.tc());
        assert_eq!(whole.answers().len(), 60);
        assert!(reply.answers().is_subset(&whole.answers()));
    }
    // Glue is left out rather than TC set: full authority makes the same small answers.
    let full = usual("authority = \"full\"");
    let reply = full.ask(&query("2.0.0.127.bl.test", A));
    assert!(!reply.tc());
    assert_eq!(gist(&reply), "NOERROR [A 127.0.0.2] NS+NS");
}

#[test]
fn d9_ttls_and_long_texts() {
    let long = "y".repeat(600);
    let text = format!("$TTL 4294967295\n1.2.3.4 :2:{long}\n1.2.3.4 :2:short\n");
    let settings = settings("", &zone("bl.test", &[("ip4set", "z")], ""));
    let server = Server::start(&settings, &[("z", text.as_bytes())]);
    let reply = server.tcp().ask(&query("4.3.2.1.bl.test", TXT));
    assert_eq!(reply.answer.len(), 2);
    for record in &reply.answer {
        assert!(record.ttl <= 0x7fff_ffff && record.ttl == reply.answer[0].ttl, "TTL {}", record.ttl);
    }
    // Octets over 255 need a second string; each string holds at most 255.
    for record in &reply.answer {
        assert!(record.text.split("\" \"").all(|part| part.trim_matches('"').len() <= 255 + "TXT \"".len()));
    }
    assert!(reply.answers().contains("TXT \"short\""));
}

#[test]
fn d10_case_is_ignored() {
    let server = usual("");
    let upper = nibbles("2001:db8::abcd").to_uppercase();
    check(
        &server,
        &[
            (&format!("{upper}.BL.TEST"), "A", "NOERROR [A 127.0.0.6]"),
            (&format!("{}.bl.test", nibbles("2001:DB8::ABCD")), "TXT", "NOERROR [TXT \"Six 2001:db8::abcd\"]"),
            ("EVIL.Com.Dbl.Test", "A", "NOERROR [A 127.0.1.2]"),
            ("A.B.C.bl.TEST", "A", "NOERROR [A 127.0.0.9]"),
        ],
    );
}

#[test]
fn d11_classes() {
    let server = usual("");
    let client = server.udp();
    for class in [0, 2, 3, 4, 254, 255, 1000] {
        let reply = client.ask(&query("2.0.0.127.bl.test", A).class(class));
        assert_eq!((reply.code().as_str(), reply.answer.len()), ("REFUSED", 0), "class {class}");
    }
    assert_eq!(client.ask(&query("version.bind", TXT).class(CH)).code(), "REFUSED", "off by default (D-30)");
}

#[test]
fn d12_negative_answers_carry_the_soa() {
    let server = usual("");
    let client = server.udp();
    // bl.test: SOA TTL 1 h, minimum 5 min; dbl.test: made of the settings, 77 s.
    for (qname, code, ttl) in [
        ("9.9.9.9.bl.test", "NXDOMAIN", 300),
        ("3.2.1.bl.test", "NOERROR", 300),
        ("nothing.dbl.test", "NXDOMAIN", 77),
        ("com.dbl.test", "NOERROR", 77),
    ] {
        let reply = client.ask(&query(qname, A));
        assert_eq!((reply.code().as_str(), reply.aa(), reply.answer.len()), (code, true, 0), "{qname}");
        let [soa] = reply.authority.as_slice() else { panic!("{qname}: {:?}", reply.authority) };
        assert_eq!((soa.rtype, soa.ttl), (SOA, ttl), "{qname}");
        assert!(qname.ends_with(soa.owner.trim_end_matches('.')));
        assert!(reply.additional.is_empty());
    }
}

#[test]
fn d13_apex() {
    let server = usual("");
    let reply = server.ask(&query("bl.test", NS));
    let glue: Vec<_> = reply.additional.iter().map(|record| (record.owner.as_str(), record.text.as_str())).collect();
    assert_eq!(glue, [("ns1.bl.test.", "A 192.0.2.53")]);
    let soa = server.ask(&query("bl.test", SOA));
    assert_eq!(soa.answer[0].ttl, 3600);
    assert_eq!(gist(&soa), "NOERROR [SOA ns1.bl.test. hostmaster.bl.test. 1700000000 3600 1800 604800 300]");
    let made = server.ask(&query("dbl.test", SOA));
    let text = made.answers().into_iter().next().unwrap();
    assert!(text.starts_with("SOA ns.made.example. hostmaster.dbl.test. "), "{text}");
    assert!(text.ends_with(" 77"), "{text}");
    check(
        &server,
        &[
            ("bl.test", "NS", "NOERROR [NS ns1.bl.test., NS ns2.example.net.]"),
            ("dbl.test", "NS", "NOERROR [NS ns.made.example.]"),
            ("bl.test", "A", "NOERROR [A 192.0.2.80]"),
            ("bl.test", "MX", "NOERROR [MX 10 mail.example.net.]"),
            ("bl.test", "TXT", "NOERROR [TXT \"about this list\"]"),
            ("bl.test", "DS", "NOERROR [] SOA"),
            ("dbl.test", "DS", "NOERROR [] SOA"),
            ("dbl.test", "A", "NOERROR [] SOA"),
            ("dbl.test", "TXT", "NOERROR [] SOA"),
        ],
    );
}

#[test]
fn d15_wildcards_of_name_lists() {
    check(
        &usual(""),
        &[
            ("evil.com.dbl.test", "A", "NOERROR [A 127.0.1.2]"),
            ("www.evil.com.dbl.test", "A", "NXDOMAIN [] SOA"),
            ("bad.example.dbl.test", "TXT", "NOERROR [TXT \"Domain bad.example\"]"),
            ("a.b.bad.example.dbl.test", "A", "NOERROR [A 127.0.1.2]"),
            ("good.bad.example.dbl.test", "A", "NXDOMAIN [] SOA"),
            ("x.wild.example.dbl.test", "A", "NOERROR [A 127.0.1.2]"),
            ("x.y.wild.example.dbl.test", "A", "NOERROR [A 127.0.1.2]"),
            ("exact.wild.example.dbl.test", "A", "NOERROR [A 127.0.1.3]"),
            ("wild.example.dbl.test", "A", "NOERROR [] SOA"),
            ("*.wild.example.dbl.test", "A", "NOERROR [A 127.0.1.2]"),
        ],
    );
}

#[test]
fn d16_d17_empty_non_terminals_and_partial_addresses() {
    let server = usual("");
    let six = nibbles("2001:db8::1");
    let labels: Vec<&str> = six.split('.').collect();
    for qtype in ["A", "TXT", "NS", "SOA", "AAAA", "MX", "CAA", "ANY"] {
        for qname in ["1.bl.test", "2.1.bl.test", "3.2.1.bl.test", "5.10.bl.test", "9.bl.test", "0.0.127.bl.test"] {
            check(&server, &[(qname, qtype, "NOERROR [] SOA")]);
        }
        for qname in ["com.dbl.test", "example.dbl.test", "a.customer.example.dbl.test", "b.c.bl.test"] {
            check(&server, &[(qname, qtype, "NOERROR [] SOA")]);
        }
        for len in 1..32 {
            let qname = format!("{}.bl.test", labels[32 - len..].join("."));
            check(&server, &[(&qname, qtype, "NOERROR [] SOA")]);
        }
        for qname in ["9.9.9.9.bl.test", "1.0.0.127.bl.test", "org.dbl.test", "x.4.3.2.1.bl.test", "256.bl.test"] {
            check(&server, &[(qname, qtype, "NXDOMAIN [] SOA")]);
        }
    }
}

#[test]
fn d18_any_is_one_record_set() {
    let server = usual("");
    for (qname, most) in [("4.3.2.1.bl.test", 1), ("bl.test", 2), ("evil.com.dbl.test", 1)] {
        let reply = server.ask(&query(qname, ANY));
        let types: std::collections::BTreeSet<u16> = reply.answer.iter().map(|record| record.rtype).collect();
        assert_eq!((reply.code().as_str(), types.len()), ("NOERROR", 1), "{qname}: {}", gist(&reply));
        assert!(reply.answer.len() <= most, "{qname}: {}", gist(&reply));
    }
    let full = usual("any = \"full\"");
    check(&full, &[("4.3.2.1.bl.test", "ANY", "NOERROR [A 127.0.0.4, TXT \"Four 1.2.3.4\"]")]);
}

#[test]
fn d60_d61_d62_test_entries() {
    let server = usual("");
    check(
        &server,
        &[
            ("2.0.0.127.bl.test", "A", "NOERROR [A 127.0.0.2]"),
            ("2.0.0.127.bl.test", "TXT", "NOERROR [TXT \"Listed: 127.0.0.2\"]"),
            ("1.0.0.127.bl.test", "A", "NXDOMAIN [] SOA"),
            ("1.0.0.127.bl.test", "TXT", "NXDOMAIN [] SOA"),
            (&format!("{}.bl.test", nibbles("::ffff:7f00:1")), "A", "NXDOMAIN [] SOA"),
            ("test.dbl.test", "A", "NOERROR [A 127.0.1.2]"),
            ("invalid.dbl.test", "A", "NXDOMAIN [] SOA"),
        ],
    );
    let mapped = server.ask(&query(&format!("{}.bl.test", nibbles("::ffff:7f00:2")), A));
    assert_eq!(gist(&mapped), "NOERROR [A 127.0.0.2]");
}

#[test]
fn d63_both_families_in_one_zone() {
    check(
        &usual(""),
        &[
            ("4.3.2.1.bl.test", "A", "NOERROR [A 127.0.0.4]"),
            ("1.2.0.192.bl.test", "TXT", "NOERROR [] SOA"),
            ("77.77.77.10.bl.test", "TXT", "NOERROR [TXT \"Ten 10.77.77.77\"]"),
            (&format!("{}.bl.test", nibbles("2001:db8::1")), "A", "NOERROR [A 127.0.0.6]"),
            (&format!("{}.bl.test", nibbles("2001:db9::1")), "A", "NXDOMAIN [] SOA"),
        ],
    );
}

#[test]
fn d64_a_first_load_that_lists_the_world_is_refused() {
    let loopback = zone("lo.test", &[("ip4set", "lo")], "");
    let world = zone("world.test", &[("ip4trie", "world")], "");
    let world6 = zone("six.test", &[("ip6trie", "six")], "");
    let invalid = zone("name.test", &[("dnset", "name")], "");
    let good = zone("good.test", &[("ip4set", "good")], "");
    let settings = settings("", &[loopback, world, world6, invalid, good].join("\n"));
    let files: [(&str, &[u8]); 5] = [
        ("lo", b"1.2.3.4\n127.0.0.1\n"),
        ("world", b"0.0.0.0/0\n"),
        ("six", b"0/0\n"),
        ("name", b"evil.com\ninvalid\n"),
        ("good", b"1.2.3.4\n"),
    ];
    let server = Server::start(&settings, &files);
    assert_eq!(server.started, "serving: 1 of 5 zones ready");
    for zone in ["lo.test", "world.test", "six.test", "name.test"] {
        let reply = server.ask(&query(&format!("4.3.2.1.{zone}"), A).edns(edns(1232)));
        assert_eq!((reply.code().as_str(), reply.aa()), ("SERVFAIL", false), "{zone}");
        assert_eq!(reply.opt.unwrap().extended_error(), Some(14), "EDE of {zone}");
    }
    assert_eq!(server.ask(&query("4.3.2.1.good.test", A)).code(), "NOERROR");
    assert_eq!(server.get("/readyz").0, 503);
}

#[test]
fn d66_ttls_are_the_operators() {
    let zones = [
        zone("a.test", &[("ip4set", "z")], "ttl = 60\nnegative-ttl = 30"),
        zone("b.test", &[("ip4set", "long")], "ttl = 1800\nnegative-ttl = 900\nttl-max = 3600"),
        zone("c.test", &[("ip4set", "short")], "ttl = 1800\nnegative-ttl = 15\nttl-min = 60"),
    ];
    let files: [(&str, &[u8]); 3] =
        [("z", b"1.2.3.4\n"), ("long", b"$TTL 2h\n1.2.3.4\n"), ("short", b"$TTL 5\n1.2.3.4\n")];
    let server = Server::start(&settings("", &zones.join("\n")), &files);
    for (zone, positive, negative) in [("a.test", 60, 30), ("b.test", 3600, 900), ("c.test", 60, 15)] {
        assert_eq!(server.ask(&query(&format!("4.3.2.1.{zone}"), A)).answer[0].ttl, positive, "{zone}");
        assert_eq!(server.ask(&query(&format!("9.9.9.9.{zone}"), A)).authority[0].ttl, negative, "{zone}");
    }
}

#[test]
fn a_bad_generic_line_costs_that_line() {
    let settings = settings("", &zone("gen.test", &[("generic", "z")], ""));
    let server = Server::start(
        &settings,
        &[("z", b"www A 127.0.0.1\nx MX 10\ny MX 10 a b c\nz 99x A 127.0.0.3\nok A 127.0.0.2\n")],
    );
    check(
        &server,
        &[
            ("www.gen.test", "A", "NOERROR [A 127.0.0.1]"),
            ("ok.gen.test", "A", "NOERROR [A 127.0.0.2]"),
            ("x.gen.test", "MX", "NXDOMAIN [] SOA"),
        ],
    );
    server.wait_log("z:2");
}
