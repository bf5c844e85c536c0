//! A joe-job in the real binary: from the lines of a mail log to DNS, the policy service, the webhook and the command line; and the
//! neighbour rule, its names looked up at a second server of ours.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::mpsc::channel;

use rustix::process::Signal;

use crate::message::{A, query};
use crate::metrics::Scrape;
use crate::server::{PATIENCE, Server, settings, zone};

/// The key of the hashes.
const KEY: &str = "0123456789abcdef0123\n";
/// HMAC-SHA1 with that key of `victim@example.org`, as openssl computes it.
const HASH: &str = "e4857992ecf0f00ddfd20ebb3793983ec1b19b0c";

/// Sessions of hosts that bounce to an address, as Postfix logs them now.
pub fn bounces(hosts: std::ops::Range<u8>, to: &str) -> String {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00");
    hosts.fold(String::new(), |mut log, host| {
        let (head, client) =
            (format!("{now} mx postfix/smtpd[{}]:", 1000 + u16::from(host)), format!("unknown[192.0.2.{host}]"));
        let rejected = format!("450 4.7.1 <{to}>: Recipient address rejected: Greylisted, try again");
        let _ = writeln!(log, "{head} connect from {client}");
        let _ = writeln!(
            log,
            "{head} NOQUEUE: reject: RCPT from {client}: {rejected}; from=<> to=<{to}> proto=ESMTP helo=<h.example>"
        );
        let _ = writeln!(log, "{head} disconnect from {client} ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4");
        log
    })
}

/// What the policy service answers.
fn policy(server: &Server, request: &str) -> String {
    let mut stream = UnixStream::connect(server.path("policy")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A policy request about mail from the null sender.
fn null_sender(to: &str) -> String {
    format!("request=smtpd_access_policy\nprotocol_state=RCPT\nsender=\nrecipient={to}\nclient_address=192.0.2.1\n\n")
}

#[test]
fn from_the_log_to_every_place_and_over_a_restart() {
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", hook.local_addr().unwrap());
    let (sender, reports) = channel();
    std::thread::spawn(move || {
        for stream in hook.incoming() {
            let (mut stream, mut request, mut buffer) = (stream.unwrap(), String::new(), [0; 8192]);
            // The body ends with the object's brace.
            while !request.ends_with('}') {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request += &String::from_utf8_lossy(&buffer[..read]),
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            let _ = sender.send(request);
        }
    });
    let text = settings(
        "",
        &format!(
            "[feed]\nenabled = true\n[[feed.source]]\ntype = \"file\"\npath = \"mail.log\"\nformat = \"postfix\"\n\
             [feed.joe-jobs]\nzone-file = \"joe.zone\"\nkey-file = \"key\"\nwebhook-url = \"{url}\"\nwebhook-secret-file = \"secret\"\n\
             [relation]\nenabled = true\nsocket = \"policy\"\nresolvers = [\"127.0.0.1:9\"]\n{}",
            zone("joe.test", &[("dnset", "joe.zone")], "negative-ttl = 60")
        ),
    );
    let text = format!("state-dir = \"state\"\n{text}");
    let files: [(&str, &[u8]); 3] = [
        ("key", KEY.as_bytes()),
        ("secret", b"0123456789abcdef"),
        ("mail.log", &bounces(1..10, "victim@example.org").into_bytes()),
    ];
    let server = Server::start(&text, &files);
    let name = format!("{HASH}.joe.test");
    assert_eq!(server.ask(&query("test.joe.test", A)).code(), "NOERROR");
    server.wait("the first nine", |server| Scrape::of(server).sum("dnsbld_feed_sessions_total", &[]) >= 9.0);
    assert_eq!(server.ask(&query(&name, A)).code(), "NXDOMAIN");
    assert_eq!(policy(&server, &null_sender("victim@example.org")), "action=DUNNO\n\n");

    let mut log = std::fs::File::options().append(true).open(server.path("mail.log")).unwrap();
    log.write_all(bounces(10..13, "victim@example.org").as_bytes()).unwrap();
    server.wait("the address in DNS", |server| server.ask(&query(&name, A)).code() == "NOERROR");
    assert!(server.ask(&query(&name, A)).answers().contains("A 127.0.0.2"));
    assert!(policy(&server, &null_sender("Victim@example.org")).starts_with("action=DEFER 4.7.1 "));
    assert_eq!(policy(&server, &null_sender("other@example.org")), "action=DUNNO\n\n");
    assert_eq!(policy(&server, "joe-job victim@example.org\n"), "yes\n");
    let request = reports.recv_timeout(PATIENCE).unwrap();
    assert!(request.contains("x-dnsbld-signature: sha256="), "{request}");
    assert!(
        request.contains(r#""address":"victim@example.org""#) && request.contains(r#""event":"raised""#),
        "{request}"
    );
    server.wait("the metric", |server| Scrape::of(server).sum("dnsbld_feed_joe_jobs_running", &[]) == 1.0);
    server.wait_log("joe-job: victim@example.org is flooded with bounces");
    let shown = |json: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
        command.args(["feed", "joe-jobs", "--config"]).arg(server.path("dnsbld.toml")).args(json);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    server.wait("the report's file", |_| shown(&[]).contains("victim@example.org: running, severity low"));
    assert!(shown(&[]).contains("Exim:       recipients = victim@example.org"), "{}", shown(&[]));
    assert!(shown(&["--json"]).contains(r#""running":true"#));

    // A restart: the store has no addresses, the state file has.
    let dir = tempfile::tempdir().unwrap();
    for name in ["key", "secret", "mail.log", "joe.zone"] {
        std::fs::copy(server.path(name), dir.path().join(name)).unwrap();
    }
    let state = server.path("state");
    let saved = dir.path().join("state");
    // Where the server was, not its directory, which goes away with it.
    server.signal(Signal::TERM);
    server.wait("the end", |server| UnixStream::connect(server.path("policy")).is_err());
    server.wait("the store to be closed", |_| !state.join("feed.db-wal").exists());
    std::fs::create_dir(&saved).unwrap();
    for file in std::fs::read_dir(&state).unwrap().flatten().filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), saved.join(file.file_name())).unwrap();
    }
    drop(server);
    let server = Server::start_in(dir, &text);
    assert_eq!(server.ask(&query(&name, A)).code(), "NOERROR", "from the first answer on");
    assert!(policy(&server, &null_sender("victim@example.org")).starts_with("action=DEFER 4.7.1 "));
    assert!(reports.try_recv().is_err(), "told before");
}

#[test]
fn the_neighbour_rule_looked_up_at_our_own_server() {
    let records = b"$SOA 0 ns.corp.test. h.corp.test. 1 1h 1h 1h 1h\n\
        pass TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n\
        plain A 198.51.100.1\n\
        mx MX 10 plain.corp.test\n";
    let names = Server::start(&settings("", &zone("corp.test", &[("generic", "names")], "")), &[("names", records)]);
    let more = format!("[relation]\nenabled = true\nsocket = \"policy\"\nresolvers = [\"{}\"]\n", names.dns);
    let server =
        Server::start(&settings("", &(more + &zone("bl.test", &[("ip4set", "a")], ""))), &[("a", b"1.2.3.4\n")]);
    for (ip, from, word) in [
        ("192.0.2.7", "a@pass.corp.test", "bounce_ok_spf"),
        ("192.0.3.7", "a@pass.corp.test", "no_spf_fail"),
        ("198.51.100.7", "a@plain.corp.test", "bounce_ok_neighbour"),
        ("198.51.100.7", "a@mx.corp.test", "bounce_ok_neighbour"),
        ("198.51.101.7", "a@mx.corp.test", "no_relation"),
        ("192.0.2.7", "a@none.corp.test", "no_relation"),
        // Refused there.
        ("192.0.2.7", "a@elsewhere.test", "unknown"),
    ] {
        let (status, body) = server.get(&format!("/v1/relation?ip={ip}&helo=h&from={from}"));
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(&format!("\"result\":\"{word}\"")), "{ip} {from}: {body}");
        assert_eq!(policy(&server, &format!("relation {ip} <{from}> h\n")), format!("{word}\n"));
    }
    let request = "request=smtpd_access_policy\nprotocol_state=DATA\nclient_address=192.0.2.7\nhelo_name=h\nsender=a@pass.corp.test\n\n";
    assert_eq!(policy(&server, request), "action=PREPEND X-Bounce-Relation: bounce_ok_spf\n\n");
    assert_eq!(server.get("/v1/relation?ip=here&from=a").0, 400);
    assert_eq!(Scrape::of(&server).sum("dnsbld_relation_answers_total", &[("word", "unknown")]), 2.0);
    assert_eq!(names.get("/v1/relation?ip=192.0.2.1&from=a").0, 404, "not enabled there");
}
