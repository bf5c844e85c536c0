//! Server cookies over real sockets: learnt, shown, shared between servers, changed, and demanded (RFC 7873 and 9018).

use rustix::process::Signal;

use crate::lists::{usual, usual_settings};
use crate::message::{A, Query, Reply, edns, header, query};
use crate::metrics::Scrape;
use crate::server::{Server, settings, zone};

/// The option's code.
const COOKIE: u16 = 10;
/// A client's own cookie.
const CLIENT: &[u8; 8] = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57";
/// Two secrets.
const SECRETS: [&str; 2] = ["e5e973e5a6b2a43f48e7dc849e37bfcf", "dd3bdf9344b678b185a6f5cb60fca715"];

/// A good question with a cookie.
fn with(cookie: &[u8]) -> Query {
    query("2.0.0.127.bl.test", A).edns(edns(1232).option(COOKIE, cookie))
}

/// The cookie in a reply.
fn cookie(reply: &Reply) -> Vec<u8> {
    reply.opt.as_ref().and_then(|opt| opt.option(COOKIE)).unwrap_or_else(|| panic!("no cookie: {reply:?}")).to_vec()
}

/// A server with further lines of settings and a file of secrets.
fn start(dns: &str, secrets: &[&str]) -> Server {
    let text = settings(dns, &zone("bl.test", &[("ip4set", "a")], ""));
    Server::start(&text, &[("a", b"127.0.0.2 :2:a\n"), ("secrets", secrets.join("\n").as_bytes())])
}

/// Settings that name the file of secrets.
const SHARED: &str = "[dns.cookies]\nsecret-file = \"secrets\"";

#[test]
fn d25_a_cookie_with_every_answer() {
    let server = usual("");
    let client = server.udp();
    let first = client.ask(&with(CLIENT));
    let made = cookie(&first);
    assert_eq!((first.code().as_str(), made.len(), &made[..8]), ("NOERROR", 24, &CLIENT[..]));
    assert_eq!(made[8..12], [1, 0, 0, 0], "version 1, reserved octets zero");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as u32;
    let time = u32::from_be_bytes(made[12..16].try_into().unwrap());
    assert!(now.wrapping_sub(time) < 60, "made at {time}, it is {now}");
    // The same comes back while it is young, over both transports; a new one for what is not good.
    let mut wrong = made.clone();
    wrong[16] ^= 1;
    for (shown, same) in [(&made[..], true), (&wrong, false), (&[&made[..], &[0; 4]].concat(), false)] {
        for reply in [client.ask(&with(shown)), server.tcp().ask(&with(shown))] {
            assert_eq!(reply.code(), "NOERROR");
            assert_eq!(cookie(&reply) == shown, same, "{shown:02x?}");
            assert_eq!(client.ask(&with(&cookie(&reply))).code(), "NOERROR");
        }
    }
    // With every code, and on a cut answer.
    for (asked, code) in [
        (query("9.9.9.9.bl.test", A), "NXDOMAIN"),
        (query("other.example", A), "REFUSED"),
        (query("bl.test", A).flags(2 << 11), "NOTIMP"),
        (query("4.3.2.1.big.test", A), "NOERROR"),
    ] {
        let reply = client.exchange(&asked.edns(edns(512).option(COOKIE, CLIENT)).wire());
        assert_eq!((reply.code().as_str(), cookie(&reply).len()), (code, 24));
        assert!(reply.octets.len() <= 512);
    }
    // No cookie unasked for; and lengths that are wrong.
    assert!(client.ask(&query("bl.test", A).edns(edns(1232))).opt.unwrap().option(COOKIE).is_none());
    for len in [0, 1, 7, 9, 15, 41, 64] {
        let reply = client.ask(&with(&[1; 64][..len]));
        assert_eq!((reply.code().as_str(), reply.opt.is_some()), ("FORMERR", true), "{len} octets");
    }
    for len in 16..=40 {
        assert_eq!(client.ask(&with(&[1; 40][..len])).code(), "NOERROR", "{len} octets");
    }
    let scrape = Scrape::of(&server);
    let counted = |kind| scrape.sum("dnsbld_cookies_total", &[("cookie", kind), ("transport", "udp")]);
    assert_eq!((counted("client"), counted("valid")), (5.0, 1.0 + 6.0), "those shown again are good");
    assert_eq!(counted("invalid"), 2.0 + 25.0);
}

#[test]
fn d3_a_cookie_without_a_question() {
    let server = usual("");
    let client = server.udp();
    let alone =
        |cookie: &[u8]| [header(0x4444, 0x0100, [0, 0, 0, 1]), edns(1232).option(COOKIE, cookie).wire()].concat();
    let reply = client.exchange(&alone(CLIENT));
    let made = cookie(&reply);
    assert_eq!((reply.code().as_str(), reply.counts, reply.id), ("NOERROR", [0, 0, 0, 1], 0x4444));
    assert_eq!(client.exchange(&alone(&made)).code(), "NOERROR");
    let mut wrong = made.clone();
    wrong[20] ^= 1;
    let reply = client.exchange(&alone(&wrong));
    assert_eq!((reply.code().as_str(), cookie(&reply)[..8].to_vec()), ("BADCOOKIE", CLIENT.to_vec()));
    assert_eq!(client.exchange(&alone(&made[..7])).code(), "FORMERR");
    assert_eq!(client.exchange(&[header(7, 0, [0, 0, 0, 1]), edns(1232).wire()].concat()).code(), "FORMERR");
    let off = usual("[dns.cookies]\nenabled = false");
    assert_eq!(off.udp().exchange(&alone(CLIENT)).code(), "FORMERR");
    assert!(off.ask(&with(CLIENT)).opt.unwrap().option(COOKIE).is_none(), "switched off");
}

#[test]
fn servers_that_share_a_secret_accept_each_others_cookies() {
    let [a, b] = SECRETS;
    let servers = [start(SHARED, &[a]), start(SHARED, &[a]), start(SHARED, &[b, a]), start("", &[])];
    let strict = |at: usize, shown: &[u8]| {
        let reply = servers[at].ask(&with(shown));
        let scrape = Scrape::of(&servers[at]);
        (reply, scrape.sum("dnsbld_cookies_total", &[("cookie", "valid")]))
    };
    let made = cookie(&servers[0].ask(&with(CLIENT)));
    // Whether it is good there, and whether the same comes back.
    for (at, good, same) in [(0, 1.0, true), (1, 1.0, true), (2, 1.0, false), (3, 0.0, false)] {
        let (reply, valid) = strict(at, &made);
        assert_eq!((valid, cookie(&reply) == made), (good, same), "server {at}");
    }
}

#[test]
fn secrets_change_at_sighup() {
    let [a, b] = SECRETS;
    let server = start(&format!("{SHARED}\nrequire = true"), &[a]);
    let client = server.udp();
    let put = |lines: &[&str]| {
        std::fs::write(server.path("secrets"), lines.join("\n")).unwrap();
        server.signal(Signal::HUP);
    };
    let learn = || cookie(&client.ask(&with(CLIENT)));
    let first = learn();
    assert_eq!(client.ask(&with(&first)).code(), "NOERROR");
    // Made known, used, and the old one taken out: each step is seen by what a fresh client gets.
    put(&[a, b]);
    put(&[b, a]);
    server.wait("the second secret to make cookies", |_| {
        assert_eq!(client.ask(&with(&learn())).code(), "NOERROR");
        cookie(&client.ask(&with(&first))) != first
    });
    let second = learn();
    assert_eq!(client.ask(&with(&first)).code(), "NOERROR", "the old one is still accepted");
    put(&[b]);
    server.wait("the first secret to be forgotten", |_| client.ask(&with(&first)).code() == "BADCOOKIE");
    assert_eq!(client.ask(&with(&second)).code(), "NOERROR");
    // A bad file changes nothing and is told, without its text.
    put(&[b, "e5e9"]);
    server.wait_log("secrets:2: a cookie secret was expected");
    assert_eq!(client.ask(&with(&second)).code(), "NOERROR");
    assert!(!server.log().contains("e5e9"), "{}", server.log());
}

#[test]
fn a_cookie_may_be_demanded_over_udp() {
    let server = start("[dns.cookies]\nrequire = true", &[]);
    let client = server.udp();
    assert_eq!(client.ask(&query("2.0.0.127.bl.test", A).edns(edns(1232))).code(), "NOERROR", "knows no cookies");
    let reply = client.ask(&with(CLIENT));
    assert_eq!((reply.code().as_str(), reply.answer.len(), reply.aa()), ("BADCOOKIE", 0, false));
    let made = cookie(&reply);
    assert_eq!(client.ask(&with(&made)).code(), "NOERROR");
    assert_eq!(server.tcp().ask(&with(CLIENT)).code(), "NOERROR", "never over TCP");
    assert_eq!(server.tcp().ask(&with(&[7; 24])).code(), "NOERROR", "never over TCP");
}

#[test]
fn a_restart_makes_another_secret_and_a_bad_file_stops_the_start() {
    let [first, second] = [0, 1].map(|_| cookie(&start("", &[]).ask(&with(CLIENT))));
    assert_ne!(first[16..], second[16..]);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("dnsbld.toml");
    std::fs::write(&config, usual_settings(SHARED)).unwrap();
    for (content, said) in [(None, "secrets can not be read"), (Some("xyz"), "secrets:1: a cookie secret was expected")]
    {
        if let Some(content) = content {
            std::fs::write(dir.path().join("secrets"), content).unwrap();
        }
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dnsbld"));
        let output = command.args(["serve", "--config"]).arg(&config).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(said), "{said}: {text}");
    }
}
