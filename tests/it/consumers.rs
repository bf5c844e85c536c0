//! Mail filters that ask the list, as `docs/using-a-list.md` says: the real rspamd and the real SpamAssassin, with the files that the
//! page shows.
//!
//! Each is in a network with nothing but our server in it, which is its resolver too. What is held is safe mode: a listed host's null sender
//! scores, its ordinary mail does not, and neither does anybody else's.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, directory, give, program, version};
use crate::namespace;
use crate::server::{Server, get};
use crate::skip;

/// The list: a host that makes callouts, one that sends backscatter, and one with an IPv6 address.
pub const LIST: &str = "\
$SOA 1h ns.example.net hostmaster.example.net 0 10m 5m 1w 5m
$DATASET ip4set @
:2:Sender callouts, see https://bl.example.net/lookup/$
127.0.0.2
203.0.113.9
:3:Backscatter, see https://bl.example.net/lookup/$
127.0.0.3
203.0.113.10
$DATASET ip6trie @
:2:Sender callouts, see https://bl.example.net/lookup/$
::ffff:7f00:2
2001:db8:9::9
";
/// A list gone wrong: it lists what no list may.
const WRONG: &str = ":2:Everybody\n127.0.0.0/8\n";
/// The settings that serve the list where a resolver is asked.
pub const SETTINGS: &str = "\
[dns]
listen = [\"127.0.0.1:53\"]
workers = 1

[http]
listen = \"127.0.0.1:0\"

[[zone]]
name = \"bl.example.net\"
ns = [\"ns.example.net\"]
datasets = [{ type = \"combined\", files = [\"list.zone\"] }]
";
/// A zone of the list gone wrong.
const WRONG_ZONE: &str = "
[[zone]]
name = \"wrong.example.net\"
ns = [\"ns.example.net\"]
datasets = [{ type = \"ip4set\", files = [\"wrong.zone\"] }]
guard = { loopback = false }
";

/// A mail as far as filters tell it from another.
struct Mail {
    /// The client.
    client: &'static str,
    /// The envelope's sender; nothing where it is not known.
    sender: Option<&'static str>,
    /// Whether the list says callouts, or backscatter.
    listed: [bool; 2],
    /// Whether safe mode scores.
    scores: bool,
}

/// A line of the table.
const fn mail(client: &'static str, sender: Option<&'static str>, listed: [bool; 2], scores: bool) -> Mail {
    Mail { client, sender, listed, scores }
}

/// Mails and what becomes of them.
const MAILS: [Mail; 9] = [
    mail("203.0.113.9", Some(""), [true, false], true),
    mail("203.0.113.9", Some("bob@example.com"), [true, false], false),
    mail("203.0.113.9", None, [true, false], false),
    mail("203.0.113.10", Some(""), [false, true], true),
    mail("203.0.113.10", Some("bob@example.com"), [false, true], false),
    mail("203.0.113.11", Some(""), [false, false], false),
    mail("203.0.113.11", Some("bob@example.com"), [false, false], false),
    mail("2001:db8:9::9", Some(""), [true, false], true),
    mail("2001:db8:9::a", Some(""), [false, false], false),
];

/// The symbols of the documentation, in the order of `Mail::listed`, and the one of safe mode.
const SYMBOLS: [&str; 3] = ["BACKSCATTER_CALLOUT", "BACKSCATTER_BOUNCE", "BACKSCATTER_SAFE_MODE"];

/// Headers and body of a bounce; what stands before them depends on the program.
const BOUNCE: &str = "\
From: MAILER-DAEMON@mx.example.com
To: alice@example.org
Subject: Undelivered Mail Returned to Sender
Message-ID: <1@mx.example.com>
Date: Sun, 22 Nov 2026 03:00:00 +0000

Your message could not be delivered.
";

impl Mail {
    /// The symbols that it must have; it must have none of the others.
    fn expected(&self) -> Vec<&'static str> {
        let has = [self.listed[0], self.listed[1], self.scores];
        SYMBOLS.into_iter().zip(has).filter(|(_, has)| *has).map(|(symbol, _)| symbol).collect()
    }
}

/// Serve the lists in the namespace that the thread is in.
fn serve() -> Server {
    Server::start(
        &(SETTINGS.to_owned() + WRONG_ZONE),
        &[("list.zone", LIST.as_bytes()), ("wrong.zone", WRONG.as_bytes())],
    )
}

/// A file that the documentation shows.
pub fn documented(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/using-a-list").join(name)
}

/// Run a program with a text as its input; what it wrote, when it ended well.
fn piped(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// rspamd's settings around those of the documentation: only the module that asks lists, no Redis, no maps of others, and a short list of top
/// domains, which else takes long to compile. Beside our list it has one that lists 127.0.0.1, for its monitor to find out.
const RSPAMD: &str = "\
options {
  pidfile = \"$RUNDIR/rspamd.pid\";
  tempdir = \"$DBDIR\";
  control_socket = \"$DBDIR/rspamd.sock mode=0600\";
  url_tld = \"$DBDIR/tld.dat\";
  filters = \"\";
  disable_hyperscan = true;
  monitoring_watch_interval = 1s;
  dns { nameserver = [\"127.0.0.1:53\"]; timeout = 2s; retransmits = 5; }
}
logging { type = \"console\"; level = \"info\"; debug_modules = [\"monitored\"]; }
worker \"normal\" { bind_socket = \"127.0.0.1:11333\"; count = 1; }
worker \"controller\" { bind_socket = \"127.0.0.1:11334\"; count = 1; secure_ip = \"127.0.0.1\"; }
modules { path = \"$PLUGINSDIR/rbl.lua\"; }
lua = \"$RULESDIR/rspamd.lua\"
rbl {
  rbls { wrong { symbol = \"WRONG\"; rbl = \"wrong.example.net\"; checks = [\"from\"]; } }
  .include(duplicate=merge) \"$LOCAL_CONFDIR/local.d/rbl.conf\"
}
composites { .include(duplicate=merge) \"$LOCAL_CONFDIR/local.d/composites.conf\" }
.include(duplicate=merge) \"$LOCAL_CONFDIR/local.d/groups.conf\"
actions { reject = 15; add_header = 6; greylist = 4; }
";

/// The settings that an operator finds after the installation.
const RSPAMD_STOCK: &str = "/etc/rspamd/rspamd.conf";

/// A directory for rspamd with the documented files at their places, and the variables that lead there.
fn rspamd_home() -> (tempfile::TempDir, Vec<String>) {
    let dir = directory();
    let path = |name: &str| dir.path().join(name);
    for name in ["conf", "conf/local.d", "state"] {
        std::fs::create_dir(path(name)).unwrap();
        give(&path(name));
    }
    for (from, to) in [
        ("rbl.conf", "local.d/rbl.conf"),
        ("composites.conf", "local.d/composites.conf"),
        ("groups.conf", "local.d/groups.conf"),
        ("rspamd.local.lua", "rspamd.local.lua"),
    ] {
        std::fs::copy(documented("rspamd").join(from), path("conf").join(to)).unwrap();
    }
    std::fs::write(path("state/tld.dat"), "com\nnet\norg\n").unwrap();
    std::fs::write(path("rspamd.conf"), RSPAMD).unwrap();
    let variables = [("LOCAL_CONFDIR", "conf"), ("DBDIR", "state"), ("RUNDIR", "state"), ("LOGDIR", "state")];
    let variables = variables.map(|(name, dir)| format!("--var={name}={}", path(dir).display())).to_vec();
    (dir, variables)
}

#[test]
fn rspamd_scores_listed_null_senders_and_its_monitor_is_content() {
    if program("rspamd").is_none() {
        return skip("rspamd");
    }
    if !namespace::have() {
        return;
    }
    version("rspamd", "--version");
    namespace::inside(&[], || {
        let _list = serve();
        let (home, variables) = rspamd_home();
        // The settings of the package take the files too.
        let tested = piped(Command::new("rspamadm").args(&variables).args(["configtest", "-c", RSPAMD_STOCK]), "");
        assert!(tested.contains("syntax OK") && !tested.to_lowercase().contains("backscatter"), "{tested}");

        let mut command = Command::new("rspamd");
        command.args(["-f", "-u", "nobody", "-g", "nogroup", "-c"]).arg(home.path().join("rspamd.conf"));
        let mut rspamd = Daemon::start("rspamd", command.args(&variables));
        let workers = ["127.0.0.1:11333", "127.0.0.1:11334"].map(|address| address.parse().unwrap());
        rspamd.wait("its workers answer", |_| {
            workers
                .iter()
                .all(|address| std::net::TcpStream::connect(address).is_ok() && get(*address, "/ping").0 == 200)
        });
        for mail in &MAILS {
            let sender = mail.sender.map(|sender| ["-F".to_owned(), format!("<{sender}>")]);
            let mut command = Command::new("rspamc");
            command.args(["-h", "127.0.0.1:11333", "-j", "-i", mail.client]).args(sender.iter().flatten());
            let text = piped(&mut command, BOUNCE);
            let report: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let symbols = report["symbols"].as_object().unwrap();
            let found: Vec<&str> = SYMBOLS.into_iter().filter(|symbol| symbols.contains_key(*symbol)).collect();
            let about = format!("{} from {:?}: {text}", mail.client, mail.sender);
            assert_eq!(found, mail.expected(), "{about}");
            // Being listed alone costs nothing.
            for (symbol, score) in SYMBOLS.into_iter().zip([0.0, 0.0, 8.0]) {
                assert!(!symbols.contains_key(symbol) || symbols[symbol]["score"] == score, "{symbol}, {about}");
            }
        }
        // rspamd's monitor asks each list for 127.0.0.1 and takes anything but NXDOMAIN for a list gone wrong.
        let (content, wrong) =
            ("dns callback for bl.example.net in", "invalid return on resolving wrong.example.net, disable");
        rspamd.wait("the monitor asks again and gives up the wrong list", |rspamd| {
            let log = rspamd.log();
            log.matches(content).count() >= 3 && log.contains(wrong)
        });
        for line in rspamd.log().lines().filter(|line| line.contains("bl.example.net")) {
            assert!(!line.contains(content) || line.contains("no records with this name"), "{line}");
            assert!(!line.contains("invalid return") && !line.contains("likely DNS spoofing"), "{line}");
        }
    });
}

/// SpamAssassin's settings around those of the documentation: the plugins that it takes, our server as resolver, and a report that can be
/// read by lines.
const SPAMASSASSIN: &str = "\
loadplugin Mail::SpamAssassin::Plugin::Check
loadplugin Mail::SpamAssassin::Plugin::DNSEval
dns_available yes
dns_server 127.0.0.1:53
trusted_networks 192.0.2.0/24
internal_networks 192.0.2.0/24
use_bayes 0
add_header all Status _YESNO_, score=_SCORE_ tests=_TESTS_
fold_headers 0
";

/// Where SpamAssassin may find the sender of the envelope: a line before the headers, and what is added to the last `Received`.
const PLACES: [(&str, &str); 3] =
    [("Return-Path: <{sender}>\n", ""), ("X-Envelope-From: <{sender}>\n", ""), ("", " (envelope-from <{sender}>)")];

/// The mail as SpamAssassin gets it.
fn delivered(mail: &Mail, place: (&str, &str)) -> String {
    let (line, added) = match mail.sender {
        Some(sender) => (place.0.replace("{sender}", sender), place.1.replace("{sender}", sender)),
        None => (String::new(), String::new()),
    };
    format!(
        "{line}Received: from mx.example.com (mx.example.com [{}]) by mail.example.org (Postfix){added}\n\twith ESMTP \
         id 4X; Sun, 22 Nov 2026 03:00:00 +0000\n{BOUNCE}",
        mail.client
    )
}

#[test]
fn spamassassin_scores_listed_null_senders() {
    if program("spamassassin").is_none() {
        return skip("spamassassin");
    }
    if !namespace::have() {
        return;
    }
    version("spamassassin", "--version");
    namespace::inside(&[], || {
        let _list = serve();
        let dir = directory();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("rules")).unwrap();
        std::fs::create_dir(path("site")).unwrap();
        // Its own rules may be absent, and take long; it wants some to be there.
        std::fs::write(path("rules/10.cf"), "required_score 5\n").unwrap();
        std::fs::write(path("site/local.cf"), SPAMASSASSIN).unwrap();
        std::fs::copy(documented("spamassassin/backscatter.cf"), path("site/backscatter.cf")).unwrap();
        std::fs::write(path("prefs"), "").unwrap();
        let run = |argument: &str, input: &str| {
            let mut command = Command::new("spamassassin");
            for (option, name) in [("siteconfigpath", "site"), ("configpath", "rules"), ("prefspath", "prefs")] {
                command.arg(format!("--{option}={}", path(name).display()));
            }
            piped(command.arg(argument).env("HOME", dir.path()), input)
        };
        run("--lint", "");
        for mail in &MAILS {
            for place in &PLACES[..if mail.sender.is_some() { PLACES.len() } else { 1 }] {
                let text = run("--test-mode", &delivered(mail, *place));
                let status = text.lines().find(|line| line.starts_with("X-Spam-Status: ")).unwrap_or_default();
                let (_, tests) = status.split_once("tests=").unwrap_or_else(|| panic!("no status: {text}"));
                let tests: Vec<&str> = tests.split([',', ' ']).collect();
                let found: Vec<&str> = SYMBOLS.into_iter().filter(|symbol| tests.contains(symbol)).collect();
                let about = format!("{} from {:?} at {place:?}: {text}", mail.client, mail.sender);
                assert_eq!(found, mail.expected(), "{about}");
                assert!(status.contains(if mail.scores { "score=4.0 " } else { "score=0.0 " }), "{about}");
            }
        }
    });
}
