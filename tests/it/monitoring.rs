//! What `pkg/` gives to those who watch the server, held against a real Prometheus: it scrapes a real server that is asked and fed, checks
//! metrics and rules by its own tool, and answers every query of the dashboard and of the alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::listing::callout;
use crate::message::{A, TXT, query};
use crate::rbldnsd::free_port;
use crate::server::{PATIENCE, Server, collect, settings, zone};
use crate::skip;

/// A host that one more callout lists at the server with [`everything`].
pub const CALLER: &str = "203.0.113.9";
/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];

/// A file below `pkg/`.
fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pkg").join(name)).unwrap()
}

/// Whether a program can be run; else the test is skipped. Says its version.
fn present(program: &str) -> bool {
    let Ok(output) = Command::new(program).arg("--version").output() else {
        skip(program);
        return false;
    };
    // Newer ones say it on standard output, older ones on standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    // Not `println!`: that is shown of failed tests only.
    let _ = writeln!(std::io::stderr(), "spoke with {}", text.lines().next().unwrap_or_default());
    true
}

/// Run promtool in a directory, with something on its standard input; it must be content.
fn promtool(dir: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(dir);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}:\n{text}");
    text
}

/// A Prometheus of the test's own.
struct Prometheus {
    /// The process, leader of a group.
    child: Child,
    /// Where it answers.
    address: SocketAddr,
    /// What it has said.
    log: Arc<Mutex<String>>,
    /// Its configuration and data.
    dir: tempfile::TempDir,
}

impl Prometheus {
    /// Start one by the shipped configuration, which scrapes this target every second.
    fn start(target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = shipped("prometheus/prometheus.yml");
        assert_eq!((config.matches("15s").count(), config.matches("[\"127.0.0.1:9353\"]").count()), (2, 1), "{config}");
        let config = config.replace("15s", "1s").replace("127.0.0.1:9353", &target.to_string());
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(dir.path().join("alerts.yml"), shipped("prometheus/alerts.yml")).unwrap();
        let address = free_port();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"]);
        command.arg(format!("--web.listen-address={address}")).current_dir(dir.path()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&log));
        collect(child.stderr.take().unwrap(), Arc::clone(&log));
        let started = Self { child, address, log, dir };
        started
            .wait("Prometheus to be ready", || TcpStream::connect(address).is_ok() && started.get("/-/ready").0 == 200);
        started
    }

    /// Wait until a condition holds.
    fn wait(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE * 2;
        while !condition() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fetch a page: status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Of version 1.0, so that the answer comes in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
    }

    /// The series that an expression gives now; each its labels.
    fn ask(&self, expression: &str) -> Vec<Value> {
        let encoded = expression.bytes().fold(String::new(), |mut text, octet| {
            let _ = write!(text, "%{octet:02x}");
            text
        });
        let (status, body) = self.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(status, 200, "{expression}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let series = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{expression}: {body}"));
        series.iter().map(|series| series["metric"].clone()).collect()
    }

    /// All rules: name, expression, state, health and last error.
    fn rules(&self) -> Vec<Value> {
        let (status, body) = self.get("/api/v1/rules");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap().clone();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("Prometheus in {} said:\n{}", self.dir.path().display(), self.log.lock().unwrap().as_str());
        }
    }
}

/// Sessions of hosts that bounce to an address, as Postfix logs them now.
fn bounces(hosts: std::ops::Range<u8>, to: &str) -> String {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00");
    let mut log = String::new();
    for host in hosts {
        let (head, client) =
            (format!("{now} mx postfix/smtpd[{}]:", 2000 + u16::from(host)), format!("unknown[192.0.2.{host}]"));
        let reason = format!("450 4.7.1 <{to}>: Recipient address rejected: Greylisted, try again");
        let _ = writeln!(log, "{head} connect from {client}");
        let _ = writeln!(
            log,
            "{head} NOQUEUE: reject: RCPT from {client}: {reason}; from=<> to=<{to}> proto=ESMTP helo=<h.example>"
        );
        let _ = writeln!(log, "{head} disconnect from {client} ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4");
    }
    log
}

/// A server with everything that has metrics: zones, a feeder whose list is served, joe-jobs with a webhook, the neighbour rule.
pub fn everything() -> Server {
    let feed = "[feed]\nenabled = true\nzone-file = \"bs.zone\"\n\
                [[feed.source]]\ntype = \"file\"\nname = \"mail\"\npath = \"mail.log\"\nformat = \"postfix\"\n\
                [feed.joe-jobs]\nwebhook-url = \"http://127.0.0.1:9/\"\n\
                [relation]\nenabled = true\nsocket = \"policy\"\nresolvers = [\"127.0.0.1:9\"]\n";
    let zones = zone("bl.test", &[("ip4set", "bl.zone"), ("ip6trie", "bl6.zone")], "")
        + &zone("dbl.test", &[("dnset", "dbl.zone")], "")
        + &zone("bs.test", &[("combined", "bs.zone")], "");
    let text = format!("state-dir = \"state\"\n{}", settings("", &format!("{feed}{zones}")));
    // In the order of time: a host that lacks one callout of being listed, then a joe-job.
    let mut log: String = (0..4).map(|n| callout(CALLER, n, 50 - i64::from(n) * 10)).collect();
    log += &bounces(1..13, "victim@example.org");
    let files: [(&str, &[u8]); 4] = [
        ("bl.zone", b"192.0.2.1\n192.0.2.2 :127.0.0.3:two\n10.0.0.0/8\n"),
        ("bl6.zone", b"2001:db8::/32\n"),
        ("dbl.zone", b"evil.example\n.bad.example\n"),
        ("mail.log", log.as_bytes()),
    ];
    Server::start(&text, &files)
}

/// Ask a server about what is listed and what is not, in each zone and over both transports.
pub fn some_questions(server: &Server) {
    for _ in 0..5 {
        for name in
            ["1.2.0.192.bl.test", "9.2.0.192.bl.test", "evil.example.dbl.test", "good.example.dbl.test", "nowhere.test"]
        {
            server.ask(&query(name, A));
        }
    }
    server.tcp().ask(&query("2.2.0.192.bl.test", TXT));
}

/// A selector in an expression: its metric, the labels that it asks for, and its text without an offset.
#[derive(Debug)]
struct Selector {
    /// Name of the metric.
    metric: String,
    /// Names of labels in the braces.
    labels: Vec<String>,
    /// As it stands, to be asked by itself.
    text: String,
}

/// Is this a part of a name?
fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The selectors of an expression, and the labels that it groups or joins by.
fn parts(expression: &str) -> (Vec<Selector>, BTreeSet<String>) {
    let (mut selectors, mut grouped) = (Vec::new(), BTreeSet::new());
    let mut rest = expression;
    while let Some(start) = rest.find(in_name) {
        let word = &rest[start..];
        let end = word.find(|c| !in_name(c)).unwrap_or(word.len());
        let (word, tail) = word.split_at(end);
        rest = tail;
        if ["by", "on", "ignoring", "without"].contains(&word) {
            let (inner, tail) = rest.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')')).unwrap();
            grouped.extend(inner.split(',').map(|label| label.trim().to_owned()));
            rest = tail;
        } else if word == "up" || word.starts_with("dnsbld_") || word.starts_with("process_") {
            let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let inner = braces.map_or("", |(inner, _)| inner);
            rest = braces.map_or(rest, |(_, tail)| tail);
            let labels = inner.split(',').filter(|matcher| !matcher.trim().is_empty());
            let labels = labels.map(|matcher| matcher.trim().split(|c| !in_name(c)).next().unwrap().to_owned());
            let text = if inner.is_empty() { word.to_owned() } else { format!("{word}{{{inner}}}") };
            selectors.push(Selector { metric: word.to_owned(), labels: labels.collect(), text });
        }
    }
    (selectors, grouped)
}

/// The labels of a family, from the manual's table, which a test of the library holds to the families that there are.
fn labels_of(metric: &str) -> Vec<&'static str> {
    let manual = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"));
    let row = manual.lines().find_map(|line| line.strip_prefix(&*format!("| `{metric}` |")));
    let row = row.unwrap_or_else(|| panic!("there is no metric {metric}"));
    // After the type; each label stands between grave accents.
    row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect()
}

/// Check that an expression names metrics and labels that there are, and give its selectors.
fn check_names(expression: &str) -> Vec<Selector> {
    let (selectors, grouped) = parts(expression);
    assert!(!selectors.is_empty(), "no metric in {expression}");
    let mut known: BTreeSet<&str> = ADDED.into();
    for selector in &selectors {
        let own = if selector.metric == "up" { Vec::new() } else { labels_of(&selector.metric) };
        for label in &selector.labels {
            assert!(own.contains(&&**label) || ADDED.contains(&&**label), "{} has no {label}", selector.metric);
        }
        known.extend(own);
    }
    for label in grouped {
        assert!(known.contains(&*label), "nothing in it has a label {label}: {expression}");
    }
    selectors
}

/// The dashboard's queries: title of the panel, expression, legend.
fn dashboard() -> Vec<(String, String, String)> {
    let dashboard: Value = serde_json::from_str(&shipped("grafana/dnsbld.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    let mut queries = Vec::new();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeMap::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have the id {}", panel["id"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(x < 24, "{} sticks out", panel["title"]);
            if let Some(other) = places.insert((x, y), text(&panel["title"])) {
                panic!("{} lies on {other}", panel["title"]);
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((text(&panel["title"]), text(&target["expr"]), text(&target["legendFormat"])));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        let filled = text(&annotation["expr"]).replace(" > 0", "");
        queries.push((text(&annotation["name"]), filled, text(&annotation["titleFormat"])));
    }
    queries
}

/// An expression with the dashboard's variables filled in as "all".
fn filled(expression: &str) -> String {
    let text = expression.replace("$__rate_interval", "30s").replace("$instance", ".*").replace("$zone", ".*");
    assert!(!text.contains('$'), "an unknown variable in {expression}");
    text
}

/// The labels that a legend names.
fn legend_labels(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).map(|part| part.split_once("}}").unwrap().0.trim())
}

#[test]
fn selectors_are_found() {
    let (selectors, grouped) =
        parts(r#"sum by (a, zone) (rate(dnsbld_x{b="1", c!~"y|z"}[5m])) / on (job) up offset 1h > time()"#);
    let found: Vec<_> = selectors.iter().map(|found| (&*found.metric, found.labels.join(" "), &*found.text)).collect();
    let text = r#"dnsbld_x{b="1", c!~"y|z"}"#;
    assert_eq!(found, [("dnsbld_x", "b c".to_owned(), text), ("up", String::new(), "up")]);
    assert_eq!(grouped.into_iter().collect::<Vec<_>>(), ["a", "job", "zone"]);
}

#[test]
fn promtool_is_content() {
    if !present("promtool") {
        return;
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("pkg/prometheus");
    promtool(&dir, &["check", "config", "prometheus.yml"], "");
    promtool(&dir, &["check", "rules", "alerts.yml"], "");
    let said = promtool(&dir, &["test", "rules", "alerts_test.yml"], "");
    assert!(said.contains("SUCCESS"), "{said}");
    let server = everything();
    some_questions(&server);
    let said = promtool(&dir, &["check", "metrics"], &server.get("/metrics").1);
    assert_eq!(said.trim(), "", "remarks on /metrics");
}

#[test]
fn each_alert_is_tested_quiet_and_firing_and_is_in_the_manual() {
    let (alerts, tests) = (shipped("prometheus/alerts.yml"), shipped("prometheus/alerts_test.yml"));
    let manual = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/monitoring.md"));
    let names: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in &names {
        for expected in ["exp_alerts: []", "exp_alerts:\n          - exp_labels:"] {
            let case = format!("alertname: {name}\n        {expected}");
            assert!(tests.contains(&case), "alerts_test.yml has no case\n{case}");
        }
        assert!(manual.contains(&format!("\n| `{name}` |")), "docs/monitoring.md has no row for {name}");
    }
    let rows = manual.lines().filter(|line| line.starts_with("| `Dnsbld")).count();
    assert_eq!(rows, names.len(), "docs/monitoring.md has a row for an alert that there is not");
}

#[test]
fn every_query_of_dashboard_and_alerts_finds_data() {
    let queries = dashboard();
    assert!(queries.len() >= 30, "{} queries", queries.len());
    queries.iter().for_each(|(_, expression, _)| drop(check_names(&filled(expression))));
    if !present("prometheus") {
        return;
    }
    let server = everything();
    let prometheus = Prometheus::start(server.http);
    some_questions(&server);
    // Two scrapes after the questions, so that there are rates.
    let counted = "sum(dnsbld_queries_total) >= 26 and sum(count_over_time(up[30s])) >= 3 and sum(dnsbld_feed_joe_jobs_running) == 1";
    prometheus.wait("scrapes", || !prometheus.ask(counted).is_empty());
    assert_eq!(prometheus.ask("up{job=\"dnsbld\"} == 1").len(), 1);

    for (title, expression, legend) in &queries {
        let expression = filled(expression);
        let found = prometheus.ask(&expression);
        assert!(!found.is_empty(), "{title}: nothing for {expression}");
        for label in legend_labels(legend) {
            for series in &found {
                assert!(series[label].is_string(), "{title}: its legend names {label}, {series} has none");
            }
        }
    }

    let rules = prometheus.rules();
    assert_eq!(rules.len(), shipped("prometheus/alerts.yml").matches("- alert: ").count());
    for rule in &rules {
        let expression = rule["query"].as_str().unwrap();
        for selector in check_names(expression) {
            assert!(!prometheus.ask(&selector.text).is_empty(), "{}: nothing for {}", rule["name"], selector.text);
        }
        // It runs, though what it asks for is not the case.
        prometheus.ask(expression);
    }

    // Two that come true: the joe-job is there, and a file goes bad.
    let state = |name: &str| {
        let rules = prometheus.rules();
        let rule = rules.iter().find(|rule| rule["name"] == name).unwrap().clone();
        (rule["state"].as_str().unwrap().to_owned(), rule["health"].as_str().unwrap().to_owned())
    };
    let becomes = |name: &str, expected: &str| {
        prometheus.wait(&format!("{name} to be {expected}"), || state(name) == (expected.to_owned(), "ok".to_owned()));
    };
    becomes("DnsbldJoeJob", "firing");
    becomes("DnsbldReloadFailing", "inactive");
    std::fs::write(server.path("bl.zone"), "this is no list\n").unwrap();
    becomes("DnsbldReloadFailing", "pending");
    for rule in prometheus.rules() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
