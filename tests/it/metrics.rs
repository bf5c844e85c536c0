//! The metrics page: that it is what Prometheus reads, and that its counters add up.

use std::collections::{BTreeMap, BTreeSet};

use crate::lists::usual;
use crate::message::{A, TXT, edns, query};
use crate::server::Server;

/// A scrape: each series by name and labels.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Name, labels sorted by name, value.
    pub series: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    /// Scrape a server; the text must be a valid exposition.
    pub fn of(server: &Server) -> Self {
        let (status, text) = server.get("/metrics");
        assert_eq!(status, 200);
        Self::parse(&text)
    }

    /// Read the text format, version 0.0.4, strictly.
    pub fn parse(text: &str) -> Self {
        let (mut scrape, mut types, mut seen) = (Self::default(), BTreeMap::new(), BTreeSet::new());
        let mut finished: BTreeSet<String> = BTreeSet::new();
        let mut current = String::new();
        assert!(text.ends_with('\n'), "the last line has no end");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let (word, rest) = rest.split_once(' ').unwrap();
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                if name != current {
                    assert!(finished.insert(name.to_owned()), "family {name} in two places");
                    current = name.to_owned();
                }
                match word {
                    "HELP" => assert!(!rest.is_empty(), "{name} has no help"),
                    "TYPE" => {
                        assert!(["counter", "gauge", "histogram", "summary"].contains(&rest), "{line}");
                        assert!(types.insert(name.to_owned(), rest.to_owned()).is_none(), "{name} typed twice");
                        assert_eq!(rest == "counter", name.ends_with("_total"), "{name} is a {rest}");
                    }
                    _ => panic!("comment {line}"),
                }
                continue;
            }
            let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
            assert!(name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'), "{line}");
            assert!(types.contains_key(name), "no TYPE before {line}");
            assert!(seen.insert(key.to_owned()), "twice: {key}");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("value of {line}"));
            scrape.series.push((name.to_owned(), labels_of(labels.strip_suffix('}').unwrap()), value));
        }
        scrape
    }

    /// The sum of a family's series that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |all: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| all.get(*key).is_some_and(|found| found == value))
        };
        self.series.iter().filter(|(known, all, _)| known == name && has(all)).map(|(_, _, value)| value).sum()
    }

    /// Whether a family has any series.
    pub fn has(&self, name: &str) -> bool {
        self.series.iter().any(|(known, _, _)| known == name)
    }
}

/// The labels between the braces.
fn labels_of(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, tail) = rest.split_once("=\"").unwrap_or_else(|| panic!("labels {text}"));
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in tail.char_indices() {
            match (c, escaped) {
                ('\\', false) => escaped = true,
                ('"', false) => {
                    end = Some(at);
                    break;
                }
                ('n', true) => (value, escaped) = (value + "\n", false),
                _ => {
                    value.push(c);
                    escaped = false;
                }
            }
        }
        assert!(labels.insert(name.to_owned(), value).is_none(), "label {name} twice");
        rest = tail[end.unwrap() + 1..].trim_start_matches(',');
    }
    labels
}

#[test]
fn counters_add_up() {
    let server = usual("");
    let client = server.udp();
    let before = Scrape::of(&server);
    let mut octets = [0usize; 2];
    // How often, the question, and what is counted for it: zone, type label, code label, listed.
    let asks = [
        (10, query("2.0.0.127.bl.test", A), "bl.test", "A", "NOERROR", Some("yes")),
        (7, query("9.9.9.9.bl.test", TXT), "bl.test", "TXT", "NXDOMAIN", Some("no")),
        (5, query("evil.com.dbl.test", TXT), "dbl.test", "TXT", "NOERROR", Some("yes")),
        (3, query("bl.test", 6), "bl.test", "SOA", "NOERROR", None),
        (2, query("4.3.2.1.big.test", A), "big.test", "A", "NOERROR", Some("yes")),
        (4, query("other.example", A), "", "A", "REFUSED", None),
        (6, query("2.0.0.127.bl.test", 257).edns(edns(1232)), "bl.test", "other", "NOERROR", None),
    ];
    let mut total = 0;
    for (count, asked, ..) in &asks {
        for _ in 0..*count {
            let reply = client.ask(asked);
            octets[0] += asked.wire().len();
            octets[1] += reply.octets.len();
            total += 1;
        }
    }
    let good = query("bl.test", 6);
    assert!(client.silent(&good.clone().flags(0x8000).wire(), &good));
    assert!(client.silent(&[0; 5], &good));
    let mut stream = server.tcp();
    for _ in 0..9 {
        stream.ask(&query("2.0.0.127.bl.test", A));
    }
    let after = Scrape::of(&server);
    let grown = |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    for (count, asked, zone, kind, code, _) in &asks {
        let mut labels = vec![("transport", "udp"), ("type", kind), ("rcode", code)];
        if !zone.is_empty() {
            labels.push(("zone", zone));
        }
        let extra = if *kind == "SOA" { 2.0 } else { 0.0 };
        assert_eq!(grown("dnsbld_queries_total", &labels), f64::from(*count) + extra, "{asked:?}");
    }
    assert_eq!(grown("dnsbld_queries_total", &[("transport", "udp")]), f64::from(total + 2));
    assert_eq!(grown("dnsbld_queries_total", &[("transport", "tcp")]), 9.0);
    assert_eq!(grown("dnsbld_dropped_total", &[("reason", "response")]), 1.0);
    assert_eq!(grown("dnsbld_dropped_total", &[("reason", "short")]), 1.0);
    assert_eq!(grown("dnsbld_truncated_total", &[("zone", "big.test"), ("transport", "udp")]), 2.0);
    assert_eq!(grown("dnsbld_truncated_total", &[]), 2.0);
    // Listed and not listed, by sum over the table.
    for zone in ["bl.test", "dbl.test", "big.test"] {
        let asked: i32 = asks.iter().filter(|ask| ask.2 == zone && ask.5.is_some()).map(|ask| ask.0).sum();
        let counted = grown("dnsbld_answers_listed_total", &[("zone", zone), ("transport", "udp")]);
        assert!(counted >= f64::from(asked), "{zone}: {counted} answers about entries, {asked} asked");
        assert!(counted <= grown("dnsbld_queries_total", &[("zone", zone), ("transport", "udp")]), "{zone}");
    }
    // Octets: the good queries after the silent packets, and the silent packets themselves, are in the sums too.
    let received = grown("dnsbld_receive_bytes_total", &[("transport", "udp")]);
    let wanted = octets[0] + 2 * good.wire().len() + good.wire().len() + 5;
    assert_eq!(received, wanted as f64, "octets received");
    assert!(grown("dnsbld_transmit_bytes_total", &[("transport", "udp")]) > octets[1] as f64);
    assert_eq!(grown("dnsbld_kernel_dropped_total", &[]), 0.0);
    assert_eq!(grown("dnsbld_tcp_connections_accepted_total", &[]), 1.0);
    assert_eq!(after.sum("dnsbld_tcp_connections", &[]), 1.0);
}

#[test]
fn what_an_operator_looks_for_is_there() {
    let server = usual("");
    let scrape = Scrape::of(&server);
    for family in [
        "dnsbld_dataset_entries",
        "dnsbld_dataset_memory_bytes",
        "dnsbld_dataset_diagnostics",
        "dnsbld_zone_serial",
        "dnsbld_zone_state",
        "dnsbld_zone_reloads_total",
        "dnsbld_zone_last_reload_duration_seconds",
        "dnsbld_zone_last_success_timestamp_seconds",
        "dnsbld_zone_data_timestamp_seconds",
        "dnsbld_generation",
        "dnsbld_build_info",
        "process_resident_memory_bytes",
    ] {
        assert!(scrape.has(family), "no {family}");
    }
    assert_eq!(scrape.sum("dnsbld_dataset_entries", &[("zone", "dbl.test"), ("type", "dnset")]), 7.0);
    assert_eq!(scrape.sum("dnsbld_dataset_entries", &[("zone", "bl.test"), ("type", "ip4set")]), 4.0);
    assert_eq!(scrape.sum("dnsbld_zone_state", &[("state", "ready")]), 3.0);
    assert_eq!(scrape.sum("dnsbld_zone_serial", &[("zone", "bl.test")]), 1_700_000_000.0);
    assert!(scrape.sum("dnsbld_dataset_memory_bytes", &[]) > 0.0);
    assert_eq!(server.get("/healthz").0, 200);
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.get("/nothing").0, 404);
}
