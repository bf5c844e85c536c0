//! Settings change while the server runs, and what the program says when it can not start or is told to end.

use std::process::{Command, Output};

use rustix::process::Signal;

use crate::alone;
use crate::load::{Load, always};
use crate::message::{A, SOA, TXT, edns, query};
use crate::metrics::Scrape;
use crate::server::{Server, settings, zone};

/// Times the settings were reread with this outcome.
fn rereads(server: &Server, outcome: &str) -> f64 {
    Scrape::of(server).sum("dnsbld_settings_reloads_total", &[("outcome", outcome)])
}

/// Put new settings in place, send SIGHUP, wait for the outcome.
fn reread(server: &Server, text: &str, outcome: &str) {
    let before = rereads(server, outcome);
    std::fs::write(server.path("dnsbld.toml"), text).unwrap();
    server.signal(Signal::HUP);
    server.wait(&format!("settings to be {outcome}"), |server| rereads(server, outcome) > before);
}

#[test]
fn zones_come_and_go_and_change_under_load() {
    let _alone = alone();
    let zones = |names: &[(&str, &str)], more: &str| {
        settings("", &names.iter().map(|(name, file)| zone(name, &[("ip4set", file)], more)).collect::<String>())
    };
    let server = Server::start(
        &zones(&[("stay.test", "a"), ("go.test", "b")], ""),
        &[("a", b"1.2.3.4 :2:a\n"), ("b", b"1.2.3.4 :2:b\n"), ("c", b"1.2.3.4 :2:c\n")],
    );
    let load = Load::start(
        &server,
        vec![
            always(query("4.3.2.1.stay.test", A), "NOERROR", &["A 127.0.0.2"]),
            always(query("9.9.9.9.stay.test", A), "NXDOMAIN", &[]),
            always(query("4.3.2.1.never.test", A), "REFUSED", &[]),
        ],
    );
    let code = |qname: &str| server.ask(&query(qname, A)).code();
    let text = |qname: &str| server.ask(&query(qname, TXT)).answers().into_iter().collect::<Vec<_>>().join(",");
    // Added.
    reread(&server, &zones(&[("stay.test", "a"), ("go.test", "b"), ("new.test", "c")], ""), "taken");
    server.wait("the new zone", |_| code("4.3.2.1.new.test") == "NOERROR");
    assert_eq!(text("4.3.2.1.new.test"), "TXT \"c\"");
    // Removed.
    reread(&server, &zones(&[("stay.test", "a"), ("new.test", "c")], ""), "taken");
    server.wait("the old zone to go", |_| code("4.3.2.1.go.test") == "REFUSED");
    // Renamed.
    reread(&server, &zones(&[("stay.test", "a"), ("renamed.test", "c")], ""), "taken");
    server.wait("the new name", |_| code("4.3.2.1.renamed.test") == "NOERROR");
    assert_eq!(code("4.3.2.1.new.test"), "REFUSED");
    // Another file, and another TTL, for the same zone.
    reread(&server, &zones(&[("stay.test", "b"), ("renamed.test", "c")], "ttl = 77"), "taken");
    server.wait("the other file", |_| text("4.3.2.1.stay.test") == "TXT \"b\"");
    assert_eq!(server.ask(&query("4.3.2.1.stay.test", A)).answer[0].ttl, 77);
    // A zone whose file is not there: only that zone is not served.
    reread(&server, &zones(&[("stay.test", "b"), ("lost.test", "nosuch")], ""), "taken");
    server.wait("the lost zone to be known", |_| code("4.3.2.1.lost.test") == "SERVFAIL");
    assert_eq!(server.get("/readyz").0, 503);
    load.more(500);
    load.finish();
}

#[test]
fn bad_settings_change_nothing() {
    let _alone = alone();
    let good = settings("", &zone("bl.test", &[("ip4set", "a")], ""));
    let server = Server::start(&good, &[("a", b"1.2.3.4 :2:a\n")]);
    let load = Load::start(&server, vec![always(query("4.3.2.1.bl.test", TXT), "NOERROR", &["TXT \"a\""])]);
    for (bad, word) in [
        (good.replace("[[zone]]", "[[zon]]"), "zon"),
        (good.replace("ip4set", "ip4sett"), "ip4set"),
        (good.clone() + &zone("bl.test", &[("ip4set", "a")], ""), "bl.test"),
        (good.replace("name = ", "nmae = "), "name"),
        ("[dns\n".to_owned(), "dnsbld.toml"),
        (String::from("listen = 5\n"), "listen"),
    ] {
        let before = server.log().len();
        reread(&server, &bad, "refused");
        server.wait(&format!("`{word}` in the log"), |server| server.log()[before..].contains(word));
        assert_eq!(server.ask(&query("4.3.2.1.bl.test", A)).code(), "NOERROR");
    }
    std::fs::remove_file(server.path("dnsbld.toml")).unwrap();
    let before = rereads(&server, "refused");
    server.signal(Signal::HUP);
    server.wait("missing settings to be refused", |server| rereads(server, "refused") > before);
    load.more(200);
    load.finish();
}

#[test]
fn d65_a_retired_list_lists_nothing() {
    let server = Server::start(
        &settings("", &zone("bl.test", &[("ip4set", "a")], "retired = true\nretired-text = \"It is over.\"")),
        &[("a", b"127.0.0.2\n1.2.3.4\n")],
    );
    for qname in ["2.0.0.127.bl.test", "4.3.2.1.bl.test", "9.9.9.9.bl.test"] {
        let reply = server.ask(&query(qname, A));
        assert_eq!((reply.code().as_str(), reply.aa()), ("NXDOMAIN", true), "{qname}");
        assert!(reply.authority[0].ttl >= 3600, "a long negative TTL, not {}", reply.authority[0].ttl);
    }
    assert!(server.ask(&query("bl.test", TXT)).answers().contains("TXT \"It is over.\""));
    assert_eq!(server.ask(&query("bl.test", SOA)).answer.len(), 1);
}

#[test]
fn d67_expired_data() {
    let stop = zone("stop.test", &[("ip4set", "a")], "expire = \"1h\"\non-expire = \"servfail\"");
    let keep = zone("keep.test", &[("ip4set", "a")], "expire = \"1h\"");
    let stamped = zone("stamped.test", &[("ip4set", "stamped")], "");
    // The harness gives files a modification time of years ago.
    let files: [(&str, &[u8]); 2] = [("a", b"1.2.3.4\n"), ("stamped", b"$TIMESTAMP 2020-01-02 +1d\n1.2.3.4\n")];
    let server = Server::start(&settings("", &[stop, keep, stamped].join("\n")), &files);
    for zone in ["stop.test", "stamped.test"] {
        let reply = server.ask(&query(&format!("4.3.2.1.{zone}"), A).edns(edns(1232)));
        assert_eq!((reply.code().as_str(), reply.opt.unwrap().extended_error()), ("SERVFAIL", Some(24)), "{zone}");
        let scrape = Scrape::of(&server);
        assert_eq!(scrape.sum("dnsbld_zone_state", &[("zone", zone), ("state", "expired")]), 1.0, "{zone}");
    }
    assert_eq!(server.ask(&query("4.3.2.1.keep.test", A)).code(), "NOERROR", "kept is the default");
    // New data end it.
    std::fs::write(server.path("a"), "1.2.3.4\n1.2.3.5\n").unwrap();
    server.wait("fresh data to be served", |server| server.ask(&query("5.3.2.1.stop.test", A)).code() == "NOERROR");
}

/// Run `dnsbld serve` with these settings until it ends by itself.
fn refused(settings: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("dnsbld.toml");
    std::fs::write(&config, settings).unwrap();
    std::fs::write(dir.path().join("a"), "1.2.3.4\n").unwrap();
    Command::new(env!("CARGO_BIN_EXE_dnsbld")).args(["serve", "--config"]).arg(&config).output().unwrap()
}

#[test]
fn what_can_not_start_says_why() {
    let good = settings("", &zone("bl.test", &[("ip4set", "a")], ""));
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let here = format!("127.0.0.1:{port}");
    for (what, text, words) in [
        ("an unknown key", good.replace("poll-s", "pol-s"), vec!["pol-s", "poll-s", "dnsbld.toml:"]),
        ("a zone named twice", good.clone() + &zone("BL.test", &[("ip4set", "a")], ""), vec!["bl.test", "twice"]),
        ("an unknown type", good.replace("ip4set", "ip4st"), vec!["ip4st", "ip4set"]),
        ("a port in use", good.replacen("127.0.0.1:0", &here, 1), vec![port.as_str()]),
        ("no TOML", "[dns".to_owned(), vec!["dnsbld.toml:1"]),
    ] {
        let output = refused(&text);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{what}: started");
        for word in words {
            assert!(said.contains(word), "{what}: no `{word}` in\n{said}");
        }
        assert!(!said.contains("panicked"), "{what}: {said}");
    }
}

#[test]
fn it_ends_when_told() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&settings("", &zone("bl.test", &[("ip4set", "a")], "")), &[("a", b"1.2.3.4\n")]);
        let _open = server.tcp();
        assert_eq!(server.stop(signal).code(), Some(0), "{signal:?}");
    }
}

#[test]
fn ipv6_and_wildcard_listeners_answer_from_where_they_were_asked() {
    let text = settings("", &zone("bl.test", &[("ip4set", "a")], "")).replace("[\"127.0.0.1:0\"]", "[\"0.0.0.0:0\"]");
    let server = Server::start(&text, &[("a", b"1.2.3.4\n")]);
    for host in ["127.0.0.1", "127.0.0.53", "127.9.9.9"] {
        // A connected socket takes answers from the asked address only.
        let client = crate::server::Udp::new((host.parse::<std::net::IpAddr>().unwrap(), server.dns.port()).into());
        assert_eq!(client.ask(&query("4.3.2.1.bl.test", A)).code(), "NOERROR", "{host}");
    }
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        crate::skip("IPv6 on loopback");
        return;
    }
    for listen in ["[::1]:0", "[::]:0"] {
        let server = Server::start(&text.replace("0.0.0.0:0", listen), &[("a", b"1.2.3.4\n")]);
        let address: std::net::SocketAddr = ("::1".parse::<std::net::IpAddr>().unwrap(), server.dns.port()).into();
        let asked = query("4.3.2.1.bl.test", A);
        assert_eq!(crate::server::Udp::new(address).ask(&asked).code(), "NOERROR", "{listen}");
        assert_eq!(crate::server::Tcp::new(address).ask(&asked).code(), "NOERROR", "{listen}");
    }
}
