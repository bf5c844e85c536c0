//! From a mail server's log to a DNS answer and out again, by the real binary; and by rbldnsd with the same zone file.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;

use crate::message::{Reply, query, type_number};
use crate::metrics::Scrape;
use crate::rbldnsd::Rbldnsd;
use crate::server::{Server, Udp, settings, zone};
use crate::skip;

/// The longest time from the end of a session to the answer, and from a command to its effect.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Settings of a feeder whose list is served by the same process.
fn feeder(mode: &str) -> String {
    let feed = format!(
        "[feed]\nenabled = true\nzone-file = \"bs.zone\"\nmode = \"{mode}\"\nurl = \"https://bl.example.org/lookup/$\"\n\
         [feed.export]\npostfix-file = \"bs.cidr\"\njson-file = \"bs.json\"\n\
         [[feed.source]]\ntype = \"file\"\npath = \"mail.log\"\nformat = \"postfix\"\n"
    );
    let zone = zone("bs.example.org", &[("combined", "bs.zone")], "");
    format!("state-dir = \"state\"\n{}", settings("", &(feed + &zone)))
}

/// Postfix's lines of a callout of a host to a recipient, so many minutes ago.
pub fn callout(ip: &str, n: u32, minutes_ago: i64) -> String {
    let stamp =
        |ms: i64| Timestamp::from_millisecond(Timestamp::now().as_millisecond() - minutes_ago * 60_000 + ms).unwrap();
    let mut lines = String::new();
    let (client, pid) = (format!("host.caller.example[{ip}]"), 1000 + n);
    let mut line = |ms, text: String| {
        let stamp = stamp(ms).strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00");
        let _ = writeln!(lines, "{stamp} mx1 postfix/smtpd[{pid}]: {text}");
    };
    line(0, format!("connect from {client}"));
    line(
        1,
        format!(
            "NOQUEUE: info: RCPT from {client}: null-sender; from=<> to=<u{n}@example.org> proto=ESMTP helo=<a$0;:#.example>"
        ),
    );
    line(2, format!("disconnect from {client} ehlo=1 mail=1 rcpt=1 quit=1 commands=4"));
    lines
}

/// Append to a log.
fn append(path: &Path, text: &str) {
    fs::File::options().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The answer for a reversed address.
fn ask(server: &Server, reversed: &str, qtype: &str) -> Reply {
    server.ask(&query(&format!("{reversed}.bs.example.org"), type_number(qtype)))
}

/// Wait until a name is listed or not; says how long that took.
fn wait(server: &Server, reversed: &str, listed: bool) -> Duration {
    let begin = Instant::now();
    server.wait(&format!("{reversed} listed: {listed}"), |server| {
        (ask(server, reversed, "A").code() == "NOERROR") == listed
    });
    begin.elapsed()
}

/// Run a command of the feeder: exit code and output.
fn command(server: &Server, args: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
    command.args(["feed"]).args(args.split(' ')).arg("--config").arg(server.path("dnsbld.toml"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn from_the_log_to_the_answer_and_out_again() {
    let server = Server::start(&feeder("list"), &[("mail.log", b"")]);
    let log = server.path("mail.log");
    let hosts = [
        ("203.0.113.9", "9.113.0.203"),
        ("2001:db8:1:2::9", "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2"),
    ];
    // In the order of time, as a log is written.
    for n in 0..4 {
        let lines = hosts.iter().map(|(ip, _)| callout(ip, n, 50 - i64::from(n) * 10));
        append(&log, &lines.collect::<String>());
    }
    for (ip, reversed) in hosts {
        // Not enough, and a list that is asked says so.
        server.wait("the sessions are stored", |server| command(server, &format!("why {ip}")).1.contains("4 sessions"));
        assert_eq!(ask(&server, reversed, "A").code(), "NXDOMAIN");
        append(&log, &callout(ip, 4, 0));
        let took = wait(&server, reversed, true);
        assert!(took < AT_ONCE, "listed only after {took:?}");
        let text = ask(&server, reversed, "TXT").answers().into_iter().collect::<String>();
        assert!(text.contains("Sender callouts: 5 callouts; 5 recipients"), "{text}");
        assert!(text.contains(&format!("see https://bl.example.org/lookup/{ip}")), "{text}");
        // Client's text is shown where there is room, and does no harm.
        assert!(ip.contains(':') || text.contains("HELO a?0?:?.example"), "{text}");
    }
    let (code, why) = command(&server, "why 203.0.113.9 --json");
    let why: serde_json::Value = serde_json::from_str(&why).unwrap();
    let weights = why["evidence"].as_array().unwrap().iter().map(|piece| piece["weight"].as_f64().unwrap());
    let thousandths = |points: f64| (points * 1000.0).round() as i64;
    assert_eq!((code, weights.map(thousandths).sum::<i64>()), (Some(0), thousandths(why["score"].as_f64().unwrap())));
    assert_eq!((why["listed"].as_bool(), why["codes"][0].as_str()), (Some(true), Some("127.0.0.2")));
    assert!(fs::read_to_string(server.path("bs.cidr")).unwrap().contains("\n203.0.113.9/32 REJECT Sender callouts"));
    assert_eq!(fs::read_to_string(server.path("bs.json")).unwrap().lines().count(), 2);
    let listings = command(&server, "listings").1;
    assert!(listings.lines().count() == 2 && !listings.contains("would be"), "{listings}");

    // A replay of the same log comes to the same, and touches nothing.
    let path = log.to_string_lossy().into_owned();
    let replayed = command(&server, &format!("replay {path}")).1;
    let replayed: Vec<serde_json::Value> = replayed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_host = replayed.iter().find(|line| line["subject"] == "203.0.113.9").unwrap();
    for key in ["subject", "codes", "listed", "first", "last", "expires", "sessions", "recipients", "would_list_at"] {
        assert_eq!(of_host[key], why[key], "{key}");
    }

    let removed = command(&server, "remove 203.0.113.9 --reason test");
    assert_eq!(removed.0, Some(0), "{}", removed.1);
    let took = wait(&server, "9.113.0.203", false);
    assert!(took < AT_ONCE, "removed only after {took:?}");
    assert_eq!(command(&server, "remove 203.0.113.9 --reason test").0, Some(1));
    command(&server, "allow 2001:db8::/32 --reason partner");
    wait(&server, "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2", false);
    let history = command(&server, "history 203.0.113.9").1;
    assert!(
        history.contains("removed-by-operator") && history.ends_with("remove-by-operator 203.0.113.9/32: test\n"),
        "{history}"
    );
    // New events list again.
    append(&log, &(10..16).map(|n| callout("203.0.113.9", n, 0)).collect::<String>());
    append(&log, &(16..20).map(|n| callout("203.0.113.9", n, 0)).collect::<String>());
    wait(&server, "9.113.0.203", true);
}

#[test]
fn observing_lists_nothing() {
    let server = Server::start(&feeder("observe"), &[("mail.log", b"")]);
    append(
        &server.path("mail.log"),
        &(0..5).map(|n| callout("203.0.113.9", n, 50 - i64::from(n) * 10)).collect::<String>(),
    );
    server.wait_log("203.0.113.9 would be listed");
    assert_eq!(ask(&server, "9.113.0.203", "A").code(), "NXDOMAIN");
    assert_eq!(ask(&server, "2.0.0.127", "A").answers().len(), 2);
    assert!(command(&server, "why 203.0.113.9").1.contains("would be listed since"));
    let (code, listings) = command(&server, "listings");
    assert_eq!(code, Some(0));
    assert!(listings.starts_with("203.0.113.9\t127.0.0.2\twould be listed: Sender callouts: "), "{listings}");
    assert!(command(&server, "history 203.0.113.9").1.contains(" would be listed for 127.0.0.2 until "));
    let listings: serde_json::Value = serde_json::from_str(&command(&server, "listings --json").1).unwrap();
    assert_eq!((&listings["subject"], &listings["listed"]), (&"203.0.113.9".into(), &false.into()));
}

#[test]
fn rbldnsd_reads_the_same_file() {
    let server = Server::start(&feeder("list"), &[("mail.log", b"")]);
    append(
        &server.path("mail.log"),
        &(0..5).map(|n| callout("203.0.113.9", n, 50 - i64::from(n) * 10)).collect::<String>(),
    );
    wait(&server, "9.113.0.203", true);
    let dir = tempfile::tempdir().unwrap();
    fs::copy(server.path("bs.zone"), dir.path().join("bs.zone")).unwrap();
    let Some(rbldnsd) = Rbldnsd::start(dir.path(), "", &["bs.example.org:combined:bs.zone".to_owned()]) else {
        return skip("rbldnsd");
    };
    let other = Udp::new(rbldnsd.dns);
    for name in ["9.113.0.203", "2.0.0.127", "1.0.0.127", "8.113.0.203"] {
        for qtype in ["A", "TXT"] {
            let asked = query(&format!("{name}.bs.example.org"), type_number(qtype));
            let (ours, theirs) = (server.ask(&asked), other.ask(&asked));
            assert_eq!((ours.code(), ours.answers()), (theirs.code(), theirs.answers()), "{name} {qtype}");
        }
    }
}

#[test]
fn rules_change_at_once() {
    let server = Server::start(&feeder("list"), &[("mail.log", b"")]);
    for n in 0..5 {
        let lines = ["203.0.113.9", "203.0.113.10"].map(|host| callout(host, n, 50 - i64::from(n) * 10));
        append(&server.path("mail.log"), &lines.concat());
    }
    wait(&server, "9.113.0.203", true);
    wait(&server, "10.113.0.203", true);
    // The figures follow the file.
    server.wait("both in the metrics", |server| {
        let scrape = Scrape::of(server);
        scrape.sum("dnsbld_feed_listed_hosts", &[("code", "127.0.0.2")]) == 2.0
            && scrape.sum("dnsbld_feed_listings_total", &[("change", "begun")]) == 2.0
    });
    let hang_up = |text: &str| {
        fs::write(server.path("dnsbld.toml"), text).unwrap();
        server.signal(Signal::HUP);
    };
    for (settings, listed) in [
        (feeder("observe"), [false, false]),
        (feeder("list"), [true, true]),
        (feeder("list") + "[feed.policy]\nrecipients = 6\n", [false, false]),
        (feeder("list") + "[feed.weights]\ncallout = 4\n", [true, true]),
        (feeder("list") + "[feed.protection]\nown-networks = [\"203.0.113.9/32\"]\n", [false, true]),
        (feeder("list"), [true, true]),
    ] {
        hang_up(&settings);
        wait(&server, "9.113.0.203", listed[0]);
        wait(&server, "10.113.0.203", listed[1]);
    }
    assert!(!server.log().contains("takes a restart"), "{}", server.log());
    // Both were taken off by one of the rules, and one of them by another; observing takes nobody off.
    server.wait("the counts", |server| {
        Scrape::of(server).sum("dnsbld_feed_listings_total", &[("change", "removed")]) == 3.0
    });
    // Where look-ups go takes a restart, and so do sources.
    hang_up(&(feeder("list").replace("mail.log", "other.log") + "[relation]\nresolvers = [\"127.0.0.1:53\"]\n"));
    for section in ["feed", "relation"] {
        let wanted = format!("[{section}] has changed");
        server.wait("the log says so", |server| {
            server.log().contains(&wanted) && server.log().contains("takes a restart")
        });
    }
}

#[test]
fn a_host_on_a_welcome_list_is_a_shared_provider() {
    // The welcome list is a zone of another server of ours.
    let lists = Server::start(
        &settings("", &zone("wl.example.org", &[("ip4set", "wl")], "")),
        &[("wl", b":127.0.5.2:\n203.0.113.9\n")],
    );
    let welcome = format!(
        "[feed.protection]\nwelcome-lists = [\"wl.example.org\"]\n[relation]\nresolvers = [\"{}\"]\n",
        lists.dns
    );
    let server = Server::start(&(feeder("list") + &welcome), &[("mail.log", b"")]);
    let log = server.path("mail.log");
    for n in 0..4 {
        let lines = ["203.0.113.9", "203.0.113.10"].map(|host| callout(host, n, 50 - i64::from(n) * 10));
        append(&log, &lines.concat());
    }
    server.wait("the sessions are stored", |server| command(server, "why 203.0.113.10").1.contains("4 sessions"));
    append(&log, &callout("203.0.113.9", 4, 0));
    append(&log, &callout("203.0.113.10", 4, 0));
    let took = wait(&server, "10.113.0.203", true);
    assert!(took < AT_ONCE, "listed only after {took:?}");
    assert!(command(&server, "why 203.0.113.10").1.contains("welcome lists: none has it, asked at "));
    server.wait("the answer", |server| command(server, "why 203.0.113.9").1.contains("wl.example.org has it"));
    let why = command(&server, "why 203.0.113.9").1;
    assert!(
        why.contains("protected: shared provider (listed by wl.example.org): 3 times the points are wanted"),
        "{why}"
    );
    assert!(why.contains("points of 36.000"), "{why}");
    assert_eq!(ask(&server, "9.113.0.203", "A").code(), "NXDOMAIN");
    assert!(!server.log().contains("203.0.113.9 listed"), "it was never on the list");
    // A replay takes the answer from the store and comes to the same.
    let replayed = command(&server, &format!("replay {}", log.display())).1;
    let replayed = replayed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let listed: Vec<(String, bool)> = replayed
        .map(|line| (line["subject"].as_str().unwrap().to_owned(), line["listed"].as_bool().unwrap()))
        .collect();
    assert_eq!(listed, [("203.0.113.9".to_owned(), false), ("203.0.113.10".to_owned(), true)]);
}
