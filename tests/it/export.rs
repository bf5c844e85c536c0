//! What `export` writes, loaded by BIND, NSD and Knot: they must answer as we do.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::message::{A, Query, Reply, SOA, TXT, edns, query};
use crate::server::{PATIENCE, Server, Udp, settings, zone};
use crate::skip;

/// MX, by number.
const MX: u16 = 15;
/// The sample zones that are exported, and the one of random entries.
const ZONES: [&str; 7] = [
    "bl.example.org",
    "dbl.example.org",
    "dul.example.org",
    "exploited.example.org",
    "lists.example.org",
    "multi.example.org",
    "rand.example.org",
];
/// Names that do not exist for us, and must exist for others: excluded by a `dnset` from below a wildcard, or a name
/// server in the zone that nobody gave an address.
const EXISTING: [&str; 3] =
    ["good.both.example.dbl.example.org", "not.under.wild.rand.example.org", "ns1.rand.example.org"];

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % n
    }

    /// One of these.
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The sample zones and one more, served by us and exported, each to a file of its name.
fn served() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    for entry in std::fs::read_dir(&samples).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let dice = &mut Dice(20_261_121);
    let (mut set, mut trie, mut six) =
        (String::from("$NS 1h ns1.rand.example.org\n$TTL 600\n:2:Set $\n"), String::from(":3:\n"), String::new());
    for _ in 0..60 {
        let octets = [dice.of(&[2, 10, 10, 198]), dice.of(&[0, 1, 51]), dice.below(4), dice.of(&[0, 1, 9, 64, 255])];
        let (mark, len) = (dice.of(&["", "", "", "!"]), dice.of(&[32, 32, 31, 26, 24, 22, 16]));
        let address = octets.iter().fold(0u32, |whole, &octet| whole << 8 | octet as u32) & u32::MAX << (32 - len);
        let value = dice.of(&["", "", " :4:text \"of its own\" \\ \u{e4}", " :5:"]);
        let file = dice.of(&[0, 1]);
        [&mut set, &mut trie][file].push_str(&format!("{mark}{}/{len}{value}\n", std::net::Ipv4Addr::from(address)));
        let len = dice.of(&[128, 127, 64, 62, 48, 33, 32]);
        let words = [0x2001, 0xdb8, dice.below(3), dice.below(3), 0, 0, 0, dice.below(3)];
        let address = words.iter().fold(0u128, |whole, &word| whole << 16 | word as u128) & u128::MAX << (128 - len);
        six += &format!("{mark}{}/{len}{value}\n", std::net::Ipv6Addr::from(address));
    }
    let names = ".wild\nx.wild :7:\ndeep.er.under.wild\n!not.under.wild\n*.below\nodd\\032\\;\\\"name :8:$\ntwo A B\n";
    let records = "@ A 192.0.2.1\nwww TXT \"quote \" and \\ in it\"\nwww MX 10 mail.example.net\nx.wild A 127.0.0.99\n";
    for (name, text) in [("set", &set[..]), ("trie", &trie), ("six", &six), ("names", names), ("records", records)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let kinds =
        [("ip4set", "set"), ("ip4trie", "trie"), ("ip6trie", "six"), ("dnset", "names"), ("generic", "records")];
    let samples = std::fs::read_to_string(samples.join("dnsbld.toml")).unwrap();
    let zones = &samples[samples.find("[[zone]]").unwrap()..];
    let all = settings("", &format!("{zones}\n{}", zone("rand.example.org", &kinds, "")));
    let server = Server::start_in(dir, &all);
    for zone in ZONES {
        let output = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
            .args(["export", "--zone", zone, "--to", "master-file", "--config"])
            .arg(server.path("dnsbld.toml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{zone}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(server.path(zone), output.stdout).unwrap();
    }
    server
}

/// Where a tool is; those for administrators are not in everybody's path.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skip(name);
    }
    found
}

#[test]
fn checkers_find_nothing_wrong() {
    let server = served();
    for (name, before) in [("named-checkzone", &[][..]), ("nsd-checkzone", &[]), ("kzonecheck", &["-o"])] {
        let Some(checker) = tool(name) else { continue };
        for zone in ZONES {
            let output = Command::new(&checker).args(before).arg(zone).arg(server.path(zone)).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} {zone}: {said}");
            assert!(!said.to_lowercase().contains("warning"), "{name} {zone}: {said}");
        }
    }
}

/// Another server with the exported zones; it ends with this.
struct Other {
    /// The process.
    child: Child,
    /// Where it answers.
    dns: SocketAddr,
}

impl Drop for Other {
    fn drop(&mut self) {
        // Asked first, because some have children of their own to end.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Other {
    /// Start a server with these settings, in which `{port}`, `{dir}` and, for each zone, `{zone}` stand for what they
    /// say; `None` when it is not installed.
    fn start(server: &Server, name: &str, arguments: &[&str], general: &str, each: &str) -> Option<Self> {
        let program = tool(name)?;
        // None of them takes port 0, so a free one is found first.
        let dns = crate::rbldnsd::free_port();
        let dir = server.path("");
        let own = server.path(&format!("{name}.d"));
        std::fs::create_dir(&own).unwrap();
        let fill = |text: &str, zone: &str| {
            let text = text.replace("{port}", &dns.port().to_string()).replace("{zone}", zone);
            text.replace("{dir}/", dir.to_str().unwrap()).replace("{own}", own.to_str().unwrap())
        };
        let config = own.join("conf");
        let zones: String = ZONES.iter().map(|zone| fill(each, zone)).collect();
        std::fs::write(&config, fill(general, "") + &zones).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .arg("-c")
            .arg(&config)
            .current_dir(&own)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(own.join("log")).unwrap()))
            .spawn()
            .unwrap();
        let mut other = Self { child, dns };
        let deadline = Instant::now() + PATIENCE;
        let ready = |zone: &&str| {
            let reply = Udp::new(dns).try_exchange(&query(zone, SOA).wire(), Duration::from_millis(100));
            reply.is_some_and(|reply| reply.aa() && reply.answer.len() == 1)
        };
        while !ZONES.iter().all(ready) {
            let log = || std::fs::read_to_string(own.join("log")).unwrap();
            assert!(other.child.try_wait().unwrap().is_none(), "{name} ended: {}", log());
            assert!(Instant::now() < deadline, "{name} does not answer for all zones: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(other)
    }
}

/// Names worth asking: owners in the files, what wildcards of theirs answer for, neighbours, and random ones.
fn questions(server: &Server) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let dice = &mut Dice(7);
    for zone in ZONES {
        let (mut origin, mut owners) = (String::new(), Vec::new());
        for line in std::fs::read_to_string(server.path(zone)).unwrap().lines() {
            match line.split_once(['\t', ' ']) {
                Some(("$ORIGIN", rest)) => origin = rest.to_owned(),
                Some(("$TTL" | ";" | "", _)) | None => {}
                Some(("@", _)) => owners.push((String::new(), origin.clone())),
                Some((owner, _)) => owners.push((format!("{owner}."), origin.clone())),
            }
        }
        // All of a small file, a part of a large one.
        let step = owners.len().div_ceil(90);
        for (owner, origin) in owners.into_iter().step_by(step) {
            let below = owner.strip_prefix("*.");
            let labels: Vec<&str> = below.unwrap_or(&owner).split_terminator('.').collect();
            let nibble = |label: &&str| label.len() == 1 && label.as_bytes()[0].is_ascii_hexdigit();
            let numeric = !labels.is_empty() && labels.iter().all(|label| nibble(label) || label.parse::<u8>().is_ok());
            match below {
                Some(block) if numeric => {
                    let letter = labels.iter().any(|label| label.parse::<u8>().is_err());
                    let whole = if labels.len() >= 4 || letter { 32 } else { 4 };
                    let rest: String = (labels.len()..whole).map(|_| format!("{}.", dice.below(10))).collect();
                    names.insert(format!("{rest}{block}{origin}"));
                }
                Some(block) => {
                    names.insert(format!("q.q.{block}{origin}"));
                }
                None => {
                    // And another first label: a neighbour.
                    let (_, rest) = owner.split_once('.').unwrap_or(("", ""));
                    let other = if numeric { dice.below(10).to_string() } else { "nosuch".to_owned() };
                    names.insert(format!("{other}.{rest}{origin}"));
                    names.insert(format!("{owner}{origin}"));
                }
            }
        }
        for _ in 0..15 {
            let octets = [dice.below(256), dice.below(4), dice.of(&[0, 1, 51]), dice.of(&[1, 2, 10, 198])];
            names.insert(format!("{}.{}.{}.{}.{zone}.", octets[0], octets[1], octets[2], octets[3]));
        }
    }
    names
}

/// A zone's name as names in it end.
fn zone_dot(zone: &str) -> String {
    format!("{zone}.")
}

/// The records of an answer, as far as they can be the same: a wildcard's text has the first address of its block, so
/// addresses and what looks like one are cut out.
fn records(reply: &Reply) -> BTreeSet<(u32, String)> {
    let words = |text: &str| {
        let is_address = |word: &str| word.rsplit(['=', '"']).any(|part| part.parse::<IpAddr>().is_ok());
        text.split(' ').filter(|word| !is_address(word)).collect::<Vec<_>>().join(" ")
    };
    let text = |text: &str| if text.starts_with("TXT ") { words(text) } else { text.to_owned() };
    reply.answer.iter().map(|record| (record.ttl, text(&record.text))).collect()
}

/// Ask another server what we are asked, and compare.
fn compare(server: &Server, name: &str, other: &Other) {
    let (our, their) = (server.udp(), Udp::new(other.dns));
    let (mut asked, mut listed) = (0, 0);
    for question in questions(server) {
        for qtype in [A, TXT, MX] {
            let query: Query = query(&question, qtype).edns(edns(4096));
            let (ours, theirs) = (our.ask(&query), their.ask(&query));
            assert!(!ours.tc() && !theirs.tc(), "{question} is truncated");
            let existing = EXISTING.iter().any(|name| zone_dot(name) == question);
            let codes = (ours.code(), if existing { ours.code() } else { theirs.code() });
            assert_eq!(codes.1, codes.0, "{name}: {question} {qtype}: {:?} but ours {:?}", theirs.answer, ours.answer);
            assert_eq!(records(&theirs), records(&ours), "{name}: {question} {qtype}");
            asked += 1;
            listed += usize::from(!ours.answer.is_empty());
        }
    }
    assert!(asked > 1_000 && listed > 400, "only {asked} questions, {listed} of them with records");
}

#[test]
fn other_servers_answer_as_we_do() {
    let server = served();
    let bind = "options { directory \"{own}\"; listen-on port {port} { 127.0.0.1; }; listen-on-v6 { none; }; \
                pid-file none; lock-file none; session-keyfile none; recursion no; dnssec-validation no; \
                notify no; minimal-responses yes; };\ncontrols { };\n";
    let bind_zone = "zone \"{zone}\" { type primary; file \"{dir}/{zone}\"; check-names ignore; };\n";
    if let Some(other) = Other::start(&server, "named", &["-g", "-n", "1"], bind, bind_zone) {
        compare(&server, "named", &other);
    }
    let nsd = "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n zonesdir: \"{own}\"\n \
               database: \"\"\n pidfile: \"\"\n xfrdfile: \"{own}/xfrd\"\n zonelistfile: \"{own}/zones\"\n \
               rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\nremote-control:\n control-enable: no\n";
    let nsd_zone = "zone:\n name: \"{zone}\"\n zonefile: \"{dir}/{zone}\"\n";
    if let Some(other) = Other::start(&server, "nsd", &["-d"], nsd, nsd_zone) {
        compare(&server, "nsd", &other);
    }
    let knot = "server:\n  rundir: {own}\n  listen: 127.0.0.1@{port}\nlog:\n  - target: stderr\n    any: warning\n\
                database:\n  storage: {own}\ntemplate:\n  - id: default\n    storage: {own}\n    zonefile-sync: -1\n    \
                journal-content: none\nzone:\n";
    let knot_zone = "  - domain: {zone}\n    file: {dir}/{zone}\n";
    if let Some(other) = Other::start(&server, "knotd", &[], knot, knot_zone) {
        compare(&server, "knotd", &other);
    }
}
