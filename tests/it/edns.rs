//! EDNS and its options, and the odd packets that real servers are judged by.
//!
//! The table of [`compliance`] asks what ISC's EDNS compliance tester asks; the one of [`odd_packets`] is
//! section 2 of the duties, as raw octets.

use crate::lists::usual;
use crate::message::{A, ANY, CH, Edns, NS, Query, Reply, SOA, TXT, edns, header, query};
use crate::server::{Server, Udp};

/// Option codes by number (RFC 5001, 7871, 7873, 7828, 7830).
const NSID: u16 = 3;
/// Client subnet.
const ECS: u16 = 8;
/// Cookies.
const COOKIE: u16 = 10;
/// TCP keepalive.
const KEEPALIVE: u16 = 11;
/// Padding.
const PADDING: u16 = 12;
/// An option that nobody has defined.
const UNKNOWN: u16 = 100;
/// The DO flag (RFC 3225).
const DO: u16 = 0x8000;

/// An EDNS record of another version.
fn version(version: u8) -> Edns {
    Edns { version, ..edns(1232) }
}

/// An EDNS record with these flags.
fn flags(flags: u16) -> Edns {
    Edns { flags, ..edns(1232) }
}

/// What every reply to an EDNS query must have: an OPT of version 0, no unasked options, no reserved flags.
fn opt_rules(reply: &Reply, asked: &Edns, what: &str) {
    let opt = reply.opt.as_ref().unwrap_or_else(|| panic!("{what}: no OPT in the reply"));
    assert_eq!(opt.version, 0, "{what}: version");
    assert_eq!(opt.flags & !DO, 0, "{what}: reserved flags");
    assert!((512..=1232).contains(&opt.size), "{what}: size {}", opt.size);
    assert!(reply.octets.len() <= usize::from(asked.size.max(512)), "{what}: {} octets", reply.octets.len());
    // 15 is the extended error, which need not be asked for (RFC 8914 section 2).
    for (code, _) in opt.options.iter().filter(|(code, _)| *code != 15) {
        assert!(asked.options.iter().any(|(known, _)| known == code), "{what}: option {code} unasked for");
    }
}

#[test]
fn compliance() {
    let server = usual("");
    let client = server.udp();
    let (soa, subnet) = ("bl.test", [0, 1, 24, 0, 192, 0, 2]);
    let table: Vec<(&str, u16, Option<Edns>, &str)> = vec![
        ("dns", 0, None, "NOERROR"),
        ("aa", 0x0400, None, "NOERROR"),
        ("ad", 0x0020, None, "NOERROR"),
        ("cd", 0x0010, None, "NOERROR"),
        ("ra", 0x0080, None, "NOERROR"),
        ("rd", 0x0100, None, "NOERROR"),
        ("tc", 0x0200, None, "NOERROR"),
        ("zflag", 0x0040, None, "NOERROR"),
        ("edns", 0, Some(edns(4096)), "NOERROR"),
        ("edns1", 0, Some(version(1)), "BADVERS"),
        ("edns255", 0, Some(version(255)), "BADVERS"),
        ("edns@512", 0, Some(edns(512)), "NOERROR"),
        ("edns@0", 0, Some(edns(0)), "NOERROR"),
        ("ednsopt", 0, Some(edns(4096).option(UNKNOWN, b"")), "NOERROR"),
        ("ednsopt with data", 0, Some(edns(4096).option(UNKNOWN, b"hello")), "NOERROR"),
        ("edns1opt", 0, Some(version(1).option(UNKNOWN, b"")), "BADVERS"),
        ("do", 0, Some(flags(DO)), "NOERROR"),
        ("docd", 0x0010, Some(flags(DO)), "NOERROR"),
        ("edns1do", 0, Some(Edns { version: 1, ..flags(DO) }), "BADVERS"),
        ("ednsflags", 0, Some(flags(0x0080)), "NOERROR"),
        ("every flag", 0, Some(flags(0xffff)), "NOERROR"),
        ("edns1flags", 0, Some(Edns { version: 1, ..flags(0x0080) }), "BADVERS"),
        ("ednsnsid", 0, Some(edns(4096).option(NSID, b"")), "NOERROR"),
        ("ednscookie", 0, Some(edns(4096).option(COOKIE, b"12345678")), "NOERROR"),
        ("ednsexpire", 0, Some(edns(4096).option(9, b"")), "NOERROR"),
        ("ednssubnet", 0, Some(edns(4096).option(ECS, &subnet)), "NOERROR"),
        ("ednspadding", 0, Some(edns(4096).option(PADDING, &[0; 64])), "NOERROR"),
        ("keepalive", 0, Some(edns(4096).option(KEEPALIVE, b"")), "NOERROR"),
        (
            "optlist",
            0,
            Some(
                edns(4096)
                    .option(NSID, b"")
                    .option(ECS, &subnet)
                    .option(COOKIE, b"12345678")
                    .option(9, b"")
                    .option(UNKNOWN, b"x"),
            ),
            "NOERROR",
        ),
    ];
    for (what, flags, opt, code) in table {
        let mut asked = query(soa, SOA).flags(flags);
        asked.edns.clone_from(&opt);
        for reply in [client.ask(&asked), server.tcp().ask(&asked)] {
            assert_eq!(reply.code(), code, "{what}");
            assert_eq!(reply.answer.len(), usize::from(code == "NOERROR"), "{what}: answers");
            assert_eq!(reply.aa(), code == "NOERROR", "{what}: AA");
            assert_eq!(reply.flags & 0x0060, 0, "{what}: AD and Z");
            match &opt {
                Some(opt) => {
                    opt_rules(&reply, opt, what);
                    assert_eq!(reply.opt.unwrap().flags & DO, opt.flags & DO, "{what}: DO copied");
                }
                None => assert!(reply.opt.is_none(), "{what}: OPT unasked for"),
            }
        }
    }
}

#[test]
fn d20_opt_on_every_code() {
    let server = usual("");
    let client = server.udp();
    let asks: [(&str, Query, &str); 7] = [
        ("positive", query("2.0.0.127.bl.test", A), "NOERROR"),
        ("nodata", query("3.2.1.bl.test", A), "NOERROR"),
        ("missing", query("9.9.9.9.bl.test", A), "NXDOMAIN"),
        ("outside", query("other.example", A), "REFUSED"),
        ("opcode", query("bl.test", SOA).flags(2 << 11), "NOTIMP"),
        ("class", query("2.0.0.127.bl.test", A).class(CH), "REFUSED"),
        ("too big", query("4.3.2.1.big.test", TXT), "NOERROR"),
    ];
    for (what, asked, code) in asks {
        let asked = asked.edns(edns(512));
        let reply = client.exchange(&asked.wire());
        assert_eq!(reply.code(), code, "{what}");
        opt_rules(&reply, asked.edns.as_ref().unwrap(), what);
        assert_eq!(reply.tc(), what == "too big");
        let plain = client.exchange(&Query { edns: None, ..asked }.wire());
        assert!(plain.opt.is_none(), "{what}: OPT unasked for");
    }
}

#[test]
fn d22_broken_edns() {
    let server = usual("");
    let client = server.udp();
    let plain = query("2.0.0.127.bl.test", A);
    let with = |counts: [u16; 4], tail: &[u8]| [header(0x2222, 0, counts), plain.question(), tail.to_vec()].concat();
    let opt = edns(1232).wire();
    let mut owned = b"\x01x".to_vec();
    owned.extend(&opt);
    let mut long = opt.clone();
    // One option that says 9 octets and has 4.
    long.splice(9..11, [0, 8, 0, 100, 0, 9, 1, 2, 3, 4]);
    let mut header_only = opt.clone();
    header_only.splice(9..11, [0, 2, 0, 100]);
    for (what, octets) in [
        ("two OPT", with([1, 0, 0, 2], &[opt.clone(), opt.clone()].concat())),
        ("OPT owner not root", with([1, 0, 0, 1], &owned)),
        ("option past the rdata", with([1, 0, 0, 1], &long)),
        ("half an option header", with([1, 0, 0, 1], &header_only)),
        ("OPT cut short", with([1, 0, 0, 1], &opt[..7])),
        ("rdata past the end", with([1, 0, 0, 1], &[opt[..9].to_vec(), vec![0, 4, 0]].concat())),
    ] {
        let reply = client.exchange(&octets);
        assert_eq!((reply.code().as_str(), reply.answer.len(), reply.id), ("FORMERR", 0, 0x2222), "{what}");
    }
}

#[test]
fn d23_sizes() {
    let server = usual("");
    let client = server.udp();
    // 60 addresses are 985 octets; 60 texts are well over 1232.
    for (size, qtype, cut) in [
        (0, A, true),
        (512, A, true),
        (900, A, true),
        (1232, A, false),
        (4096, A, false),
        (1232, TXT, true),
        (65_535, TXT, true),
    ] {
        let reply = client.ask(&query("4.3.2.1.big.test", qtype).edns(edns(size)));
        assert_eq!(reply.tc(), cut, "size {size}");
        assert!(reply.octets.len() <= usize::from(size.clamp(512, 1232)), "size {size}: {} octets", reply.octets.len());
        assert!(reply.aa());
    }
    let wide = usual("udp-size-max = 4096");
    let reply = wide.ask(&query("4.3.2.1.big.test", TXT).edns(edns(4096)));
    assert!(!reply.tc(), "{} octets", reply.octets.len());
    assert_eq!(reply.answers().len(), 60);
    assert_eq!(reply.opt.unwrap().size, 4096);
    let narrow = usual("udp-size-max = 512");
    assert!(narrow.ask(&query("4.3.2.1.big.test", A).edns(edns(4096))).tc());
}

#[test]
fn d26_d30_who_is_there() {
    let silent = usual("");
    for qname in ["version.bind", "version.server", "id.server", "hostname.bind"] {
        assert_eq!(silent.ask(&query(qname, TXT).class(CH)).code(), "REFUSED", "{qname}");
        assert_eq!(silent.ask(&query(qname, TXT)).code(), "REFUSED", "{qname} in class IN");
    }
    assert!(silent.ask(&query("bl.test", SOA).edns(edns(1232).option(NSID, b""))).opt.unwrap().option(NSID).is_none());
    let server = usual("version = \"a version\"\nserver-id = \"node-7\"");
    for (qname, text) in [
        ("version.bind", "a version"),
        ("Version.Server", "a version"),
        ("ID.server", "node-7"),
        ("hostname.bind", "node-7"),
    ] {
        let reply = server.ask(&query(qname, TXT).class(CH));
        assert_eq!(reply.code(), "NOERROR");
        assert_eq!(reply.answers().into_iter().collect::<Vec<_>>(), [format!("TXT \"{text}\"")], "{qname}");
        assert_eq!((reply.answer[0].class, reply.answer[0].ttl), (CH, 0), "{qname}");
    }
    assert_eq!(server.ask(&query("authors.bind", TXT).class(CH)).code(), "REFUSED");
    let opt = server.ask(&query("9.9.9.9.bl.test", A).edns(edns(1232).option(NSID, b""))).opt.unwrap();
    assert_eq!(opt.option(NSID), Some(&b"node-7"[..]));
    assert!(server.ask(&query("bl.test", SOA).edns(edns(1232))).opt.unwrap().option(NSID).is_none(), "not asked for");
}

#[test]
fn d27_extended_errors_only_with_opt() {
    let server = usual("");
    let outside = query("other.example", A);
    assert!(server.ask(&outside).opt.is_none());
    let opt = server.ask(&outside.edns(edns(1232))).opt.unwrap();
    assert_eq!(opt.extended_error(), Some(20));
    let text = std::str::from_utf8(&opt.option(15).unwrap()[2..]).expect("extra text is UTF-8").to_owned();
    assert!(!text.contains('\0') && text.len() <= 64, "{text:?}");
    let good = server.ask(&query("2.0.0.127.bl.test", A).edns(edns(1232))).opt.unwrap();
    assert_eq!(good.extended_error(), None);
}

#[test]
fn d28_d31_padding_and_client_subnet() {
    let server = usual("");
    let client = server.udp();
    let plain = client.ask(&query("4.3.2.1.bl.test", TXT).edns(edns(1232)));
    for subnet in [[0, 1, 24, 0, 192, 0, 2], [0, 1, 24, 0, 198, 51, 100]] {
        let reply = client.ask(&query("4.3.2.1.bl.test", TXT).edns(edns(1232).option(ECS, &subnet)));
        assert_eq!(reply.answers(), plain.answers(), "the client's network never varies a listing");
        if let Some(data) = reply.opt.unwrap().option(ECS) {
            assert_eq!(data[3], 0, "scope");
        }
    }
    for mut transport in [Some(server.tcp()), None] {
        let asked = query("4.3.2.1.bl.test", TXT).edns(edns(1232).option(PADDING, &[0; 100]));
        let reply = transport.as_mut().map_or_else(|| client.ask(&asked), |stream| stream.ask(&asked));
        assert!(reply.opt.unwrap().option(PADDING).is_none(), "padding only where it is encrypted");
    }
}

#[test]
fn d42_keepalive_over_tcp_only() {
    // The idle time in units of 100 ms, also when the client says one of its own; nothing over UDP.
    for (dns, units) in [("", 100), ("[dns.tcp]\nidle-ms-max = 2550", 25), ("[dns.tcp]\nidle-ms-max = 3600000", 36_000)]
    {
        let server = usual(dns);
        for data in [&b""[..], &[0, 9], b"garbage"] {
            let asked = query("2.0.0.127.bl.test", A).edns(edns(1232).option(KEEPALIVE, data));
            let opt = server.tcp().ask(&asked).opt.unwrap();
            assert_eq!(opt.option(KEEPALIVE), Some(&u16::to_be_bytes(units)[..]), "{dns}");
            assert!(server.ask(&asked).opt.unwrap().option(KEEPALIVE).is_none(), "over UDP");
        }
        let opt = server.tcp().ask(&query("2.0.0.127.bl.test", A).edns(edns(1232))).opt.unwrap();
        assert!(opt.option(KEEPALIVE).is_none(), "not asked for");
    }
    // The last answer of a connection says so.
    let server = usual("[dns.tcp]\nqueries-per-connection-max = 2");
    let asked = query("2.0.0.127.bl.test", A).edns(edns(1232).option(KEEPALIVE, b""));
    let mut stream = server.tcp();
    for units in [100, 0] {
        assert_eq!(stream.ask(&asked).opt.unwrap().option(KEEPALIVE), Some(&u16::to_be_bytes(units)[..]));
    }
    assert!(stream.closes_within(crate::server::PATIENCE));
}

/// What an odd packet must get.
enum Expected {
    /// Nothing.
    Silence,
    /// This code and no records; `|` between what may be chosen from.
    Code(&'static str),
    /// The ordinary answer.
    Answer,
}

/// Ask a table of raw packets.
fn check(client: &Udp, table: &[(&str, Vec<u8>, Expected)]) {
    let good = query("2.0.0.127.bl.test", A);
    for (what, octets, expected) in table {
        match expected {
            Expected::Silence => assert!(client.silent(octets, &good), "{what}: answered"),
            Expected::Code(codes) => {
                let reply = client.exchange(octets);
                assert!(codes.split('|').any(|code| code == reply.code()), "{what}: {}", reply.code());
                assert!(reply.answer.is_empty() && reply.authority.is_empty() && !reply.aa(), "{what}: {reply:?}");
                assert_eq!(reply.flags >> 11 & 15, u16::from(octets[2] >> 3 & 15), "{what}: opcode");
            }
            Expected::Answer => {
                let reply = client.exchange(octets);
                assert_eq!(reply.code(), "NOERROR", "{what}");
                assert!(reply.answers().contains("A 127.0.0.2"), "{what}");
            }
        }
    }
}

#[test]
fn odd_packets() {
    let server: Server = usual("");
    let plain = query("2.0.0.127.bl.test", A);
    let head = |flags: u16, counts: [u16; 4], tail: &[u8]| [header(0x0dd0, flags, counts), tail.to_vec()].concat();
    let question = plain.question();
    let opt = edns(1232).wire();
    let mut notify = query("bl.test", SOA).flags(4 << 11 | 0x0400);
    notify.edns = None;
    let mut owned = b"\x01x".to_vec();
    owned.extend(&opt);
    let record = [b"\xc0\x0c".to_vec(), vec![0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9]].concat();
    use Expected::{Answer, Code, Silence};
    check(
        &server.udp(),
        &[
            ("QR=1", head(0x8000, [1, 0, 0, 0], &question), Silence),
            ("QR=1, nothing else", head(0x8000, [0; 4], &[]), Silence),
            ("QR=1 and FORMERR", head(0x8001, [0; 4], &[]), Silence),
            ("qdcount 0", head(0, [0; 4], &[]), Code("FORMERR")),
            ("qdcount 0 with OPT", head(0, [0, 0, 0, 1], &opt), Code("FORMERR")),
            ("qdcount 2", head(0, [2, 0, 0, 0], &[question.clone(), question.clone()].concat()), Code("FORMERR")),
            ("qdcount 65535", head(0, [65_535, 0, 0, 0], &question), Code("FORMERR")),
            ("opcode 2", head(2 << 11, [1, 0, 0, 0], &question), Code("NOTIMP")),
            ("opcode 15, header only", head(15 << 11, [0; 4], &[]), Code("NOTIMP")),
            ("NOTIFY", notify.wire(), Code("NOTAUTH|REFUSED")),
            ("UPDATE", query("bl.test", SOA).flags(5 << 11).wire(), Code("NOTIMP|REFUSED")),
            ("class ANY", plain.clone().class(255).wire(), Code("REFUSED")),
            ("AXFR over UDP", query("bl.test", 252).wire(), Code("NOTIMP")),
            ("IXFR over UDP", query("bl.test", 251).wire(), Code("NOTIMP")),
            ("question cut short", head(0, [1, 0, 0, 0], &question[..9]), Code("FORMERR")),
            ("pointer loop", head(0, [1, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01"), Code("FORMERR")),
            ("label 0x40", head(0, [1, 0, 0, 0], b"\x40\x00\x00\x01\x00\x01"), Code("FORMERR")),
            ("trailing octets", [plain.wire(), b"garbage".to_vec()].concat(), Answer),
            ("two OPT", head(0, [1, 0, 0, 2], &[question.clone(), opt.clone(), opt.clone()].concat()), Code("FORMERR")),
            ("OPT owner not root", head(0, [1, 0, 0, 1], &[question.clone(), owned].concat()), Code("FORMERR")),
            ("cookie of 8 octets", plain.clone().edns(edns(1232).option(COOKIE, b"12345678")).wire(), Answer),
            ("TC=1", plain.clone().flags(0x0200).wire(), Answer),
            ("a record in additional", head(0, [1, 0, 0, 1], &[question.clone(), record].concat()), Answer),
            ("arcount 1, nothing there", head(0, [1, 0, 0, 1], &question), Code("FORMERR")),
        ],
    );
    let any = server.ask(&query("4.3.2.1.bl.test", ANY));
    assert_eq!(any.answer.len(), 1, "ANY: one record set or HINFO");
    assert_eq!(server.ask(&query("0.0.127.bl.test", A)).code(), "NOERROR", "an empty non-terminal");
    // Transfers are refused over TCP, until there are any.
    for qtype in [251, 252] {
        let reply = server.tcp().ask(&query("bl.test", qtype));
        assert_eq!((reply.code().as_str(), reply.answer.len()), ("REFUSED", 0), "TYPE{qtype} over TCP");
    }
    assert_eq!(server.ask(&query("bl.test", NS)).code(), "NOERROR");
}
