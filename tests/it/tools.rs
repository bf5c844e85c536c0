//! As a user asks: `dig` and `kdig`, read as text.

use std::process::Command;

use crate::lists::usual;
use crate::server::Server;
use crate::skip;

/// Run a tool; nothing when it is not installed.
pub fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{tool} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
            Some(text)
        }
        Err(_) => {
            skip(tool);
            None
        }
    }
}

/// Run a tool against a server.
fn ask(tool: &str, server: &Server, arguments: &str) -> Option<String> {
    let (address, port) = (format!("@{}", server.dns.ip()), server.dns.port().to_string());
    let mut all = vec![address.as_str(), "-p", &port];
    all.extend(arguments.split(' '));
    run(tool, &all)
}

/// Check that the tool's text has these parts and not those that begin with `!`.
fn check(tool: &str, table: &[(&str, &[&str])]) {
    let server = usual("server-id = \"node-7\"");
    for (arguments, parts) in table {
        let Some(text) = ask(tool, &server, arguments) else { return };
        for part in *parts {
            match part.strip_prefix('!') {
                Some(part) => assert!(!text.contains(part), "{tool} {arguments}: `{part}` in\n{text}"),
                None => assert!(text.contains(part), "{tool} {arguments}: no `{part}` in\n{text}"),
            }
        }
    }
}

#[test]
fn dig() {
    check(
        "dig",
        &[
            ("+short 2.0.0.127.bl.test A", &["127.0.0.2\n"]),
            ("+short +tcp 2.0.0.127.bl.test TXT", &["\"Listed: 127.0.0.2\"\n"]),
            (
                "2.0.0.127.bl.test",
                &["status: NOERROR", "flags: qr aa rd;", "EDNS: version: 0, flags:; udp: 1232", "!WARNING: Message"],
            ),
            (
                "+norec 9.9.9.9.bl.test",
                &["status: NXDOMAIN", "flags: qr aa;", "IN\tSOA\tns1.bl.test. hostmaster.bl.test."],
            ),
            ("+noedns 3.2.1.bl.test", &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 0", "!EDNS"]),
            ("+dnssec 2.0.0.127.bl.test", &["status: NOERROR", "flags: do;", "!RRSIG"]),
            ("+nsid 2.0.0.127.bl.test", &["NSID:", "node-7"]),
            ("+edns=1 +noednsneg bl.test SOA", &["status: BADVERS"]),
            ("+bufsize=512 +ignore 4.3.2.1.big.test TXT", &["flags: qr aa tc rd;"]),
            ("+bufsize=512 4.3.2.1.big.test TXT", &["Truncated, retrying in TCP mode", "ANSWER: 60"]),
            ("+subnet=192.0.2.0/24 2.0.0.127.bl.test", &["status: NOERROR", "127.0.0.2"]),
            ("+cookie +ednsopt=100:abcd 2.0.0.127.bl.test", &["status: NOERROR", "!malformed", "COOKIE: ", " (good)"]),
            ("+cookie=2464c4abcf10c957 2.0.0.127.bl.test", &["COOKIE: 2464c4abcf10c95701000000", " (good)"]),
            ("+cookie +header-only bl.test", &["status: NOERROR", "QUERY: 0, ANSWER: 0", "COOKIE: ", " (good)"]),
            ("+tcp +keepalive 2.0.0.127.bl.test", &["status: NOERROR", "TCP KEEPALIVE: 10.0 secs"]),
            ("+keepalive 2.0.0.127.bl.test", &["status: NOERROR", "!KEEPALIVE"]),
            ("other.example", &["status: REFUSED", "EDE: 20 (Not Authoritative)"]),
            ("+opcode=STATUS bl.test", &["status: NOTIMP"]),
            ("+tcp +keepopen 2.0.0.127.bl.test 77.0.0.10.bl.test", &["127.0.0.2", "127.0.0.10"]),
            ("id.server TXT CH", &["\"node-7\""]),
            ("bl.test ANY", &["status: NOERROR"]),
            ("+tcp bl.test AXFR", &["Transfer failed"]),
        ],
    );
}

#[test]
fn kdig() {
    check(
        "kdig",
        &[
            ("+short 2.0.0.127.bl.test A", &["127.0.0.2\n"]),
            ("+edns +bufsize=1232 2.0.0.127.bl.test", &["status: NOERROR", "EDNS PSEUDOSECTION", "UDP size: 1232 B"]),
            ("+tcp +keepopen 2.0.0.127.bl.test TXT", &["status: NOERROR", "Listed: 127.0.0.2"]),
            ("+padding=128 2.0.0.127.bl.test", &["status: NOERROR", "!PADDING"]),
            ("+cookie 2.0.0.127.bl.test", &["status: NOERROR", "COOKIE: "]),
            ("+tcp +cookie=2464c4abcf10c957 2.0.0.127.bl.test", &["COOKIE: 2464C4ABCF10C95701000000"]),
            ("evil.com.dbl.test TXT", &["Domain evil.com"]),
            ("2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test", &["127.0.0.2"]),
            ("+nocrypto bl.test NS", &["ns1.bl.test.", "192.0.2.53"]),
        ],
    );
}
