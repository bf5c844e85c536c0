//! Pages in, views, events and lines out.

use super::events::between;
use super::fetch::Target;
use super::scrape::Scrape;
use super::view::{View, duration, number};

/// A page as the server writes it, with these values.
fn page(values: &[(&str, f64)]) -> Scrape {
    let mut text = String::from("# HELP dnsbld_build_info x\n# TYPE dnsbld_build_info gauge\n");
    text += "dnsbld_build_info{version=\"1.2.3\"} 1\nprocess_start_time_seconds 1000\n";
    values.iter().for_each(|(series, value)| text += &format!("{series} {value}\n"));
    Scrape::parse(&text).unwrap()
}

/// Counters of queries: zone, code and listed.
fn queries(zone: &str, noerror: f64, nxdomain: f64, entries: f64) -> Vec<(String, f64)> {
    let series =
        |code| format!("dnsbld_queries_total{{zone=\"{zone}\",transport=\"udp\",type=\"A\",rcode=\"{code}\"}}");
    let listed = |word| format!("dnsbld_answers_listed_total{{zone=\"{zone}\",transport=\"udp\",listed=\"{word}\"}}");
    let state = |state| format!("dnsbld_zone_state{{zone=\"{zone}\",state=\"{state}\"}}");
    vec![
        (series("NOERROR"), noerror),
        (series("NXDOMAIN"), nxdomain),
        (listed("yes"), noerror),
        (listed("no"), nxdomain),
        (state("ready"), 1.0),
        (state("expired"), 0.0),
        (format!("dnsbld_dataset_entries{{zone=\"{zone}\",type=\"ip4set\",files=\"a\"}}"), entries),
        (format!("dnsbld_zone_data_timestamp_seconds{{zone=\"{zone}\"}}"), 2000.0),
        (format!("dnsbld_zone_last_reload_success{{zone=\"{zone}\"}}"), 1.0),
    ]
}

/// A page of two zones with so many queries.
fn two_zones(busy: f64, quiet: f64) -> Scrape {
    let all =
        [queries("busy.test", busy / 2.0, busy / 2.0, 123_456.0), queries("quiet.test", 0.0, quiet, 7.0)].concat();
    page(&all.iter().map(|(series, value)| (series.as_str(), *value)).collect::<Vec<_>>())
}

#[test]
fn pages_are_read_or_refused() {
    let good = "dnsbld_build_info{version=\"1\"} 1\n\nx{a=\"1\\\"}\\\\\",b=\"\x1b[2J\\n\\\x1b\"} 2.5 1700000000\nx{a=\"2\", b=\"\",} +Inf\ny 1e3\n";
    let scrape = Scrape::parse(good).unwrap();
    assert_eq!(scrape.sum("y", &[]), 1000.0);
    assert_eq!(scrape.sum("x", &[("a", "1\"}\\")]), 2.5);
    assert_eq!(
        scrape.by("x", "b", &[("a", "1\"}\\")]).keys().collect::<Vec<_>>(),
        [&"?[2J??"],
        "no control characters"
    );
    assert_eq!((scrape.known("z", &[]), scrape.sum("z", &[])), (None, 0.0));
    for (text, why) in [
        ("", "has no dnsbld_build_info"),
        ("node_load1 0.5\n", "has no dnsbld_build_info"),
        ("<html>\n", "line 1 "),
        ("# fine\nx{a=\"1} 2\n", "line 2 "),
        ("x{a} 2\n", "line 1 "),
        ("x two\n", "line 1 "),
        ("x\n", "line 1 "),
        ("{a=\"1\"} 1\n", "line 1 "),
    ] {
        let error = Scrape::parse(text).expect_err(text);
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

#[test]
fn a_view_is_what_grew() {
    let view = View::between(&two_zones(100.0, 10.0), &two_zones(300.0, 20.0), 10.0, 2090.0);
    assert_eq!((view.version.as_str(), view.up_s, view.queries), ("1.2.3", 1090.0, 21.0));
    assert_eq!(view.listed, Some(10.0 / 21.0));
    assert_eq!(view.codes, [("NXDOMAIN".to_owned(), 11.0), ("NOERROR".to_owned(), 10.0)]);
    let zones: Vec<_> = view
        .zones
        .iter()
        .map(|zone| (&*zone.name, zone.queries, zone.listed, zone.entries, zone.age_s, zone.state))
        .collect();
    assert_eq!(
        zones,
        [
            ("busy.test", 20.0, Some(0.5), Some(123_456.0), Some(90.0), "ready"),
            ("quiet.test", 1.0, Some(0.0), Some(7.0), Some(90.0), "ready"),
        ]
    );
    assert_eq!(view.feed, None);
    // A server that has begun again has counted from 0.
    let view = View::between(&Scrape::default(), &two_zones(300.0, 20.0), 10.0, 2090.0);
    assert_eq!(view.queries, 32.0);
    // No time has gone by.
    assert_eq!(View::between(&two_zones(0.0, 0.0), &two_zones(1.0, 0.0), 0.0, 0.0).queries, 0.0);
}

#[test]
fn the_feeder_is_shown_where_there_is_one() {
    let feed = |lines: f64| {
        page(&[
            ("dnsbld_feed_lines_total{source=\"a\"}", lines),
            ("dnsbld_feed_lag_seconds{source=\"a\"}", 3.0),
            ("dnsbld_feed_lag_seconds{source=\"b\"}", 250.0),
            ("dnsbld_feed_listed_hosts{code=\"127.0.0.2\"}", 4.0),
            ("dnsbld_feed_listed_hosts{code=\"127.0.0.3\"}", 5.0),
            ("dnsbld_feed_joe_jobs_running", 1.0),
        ])
    };
    let view = View::between(&feed(0.0), &feed(500.0), 2.0, 2000.0);
    let text = view.lines("mx", &[], None).into_iter().map(|line| line.text + "\n").collect::<String>();
    let expected =
        "feeder   250 lines/s, 0 sessions/s, 4m behind; listed hosts: 4 callouts, 5 backscatter; joe-jobs: 1\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn lines_for_a_pipe_and_for_screens() {
    let view = View::between(&two_zones(100.0, 10.0), &two_zones(300.0, 20.0), 10.0, 2090.0);
    let events = ["12:00:01  first", "12:00:02  second"];
    let text = |size| view.lines("mx:9353", &events, size).into_iter().map(|line| line.text).collect::<Vec<_>>();
    assert_eq!(
        text(Some((72, 24))),
        [
            "dnsbld 1.2.3 at mx:9353, up 18m",
            "queries  21/s, listed 47.6 %; without an answer 0/s, lost by the kernel…",
            "answers  NXDOMAIN 52.4 %, NOERROR 47.6 %",
            "process  in 0B/s, out 0B/s, 0 TCP connections",
            "",
            "zone                       queries/s   listed   entries   age  state",
            "busy.test                         20   50.0 %      123k   90s  ready",
            "quiet.test                         1    0.0 %         7   90s  ready",
            "",
            "what happened",
            "12:00:02  second",
            "12:00:01  first",
        ]
    );
    // A pipe gets the whole of each line.
    assert!(text(None)[1].ends_with("lost by the kernel 0/s"), "{:?}", text(None));
    // However small the screen: no more than fits, and zones before events.
    for (columns, rows) in [(0, 0), (1, 1), (5, 3), (20, 7), (40, 8), (80, 9), (80, 10), (80, 11), (200, 100)] {
        let lines = text(Some((columns, rows)));
        assert!(lines.len() <= rows, "{columns}x{rows}: {lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns}x{rows}: {lines:#?}");
    }
    let small = text(Some((80, 9)));
    assert!(small.iter().any(|line| line.starts_with("what happened")), "{small:#?}");
    assert!(text(Some((80, 11))).iter().any(|line| line.ends_with("second")), "{small:#?}");
}

#[test]
fn events() {
    let reloads = |outcome: &str, count: f64| {
        (format!("dnsbld_zone_reloads_total{{zone=\"bl.test\",outcome=\"{outcome}\"}}"), count)
    };
    let state = |state: &str, is: f64| (format!("dnsbld_zone_state{{zone=\"bl.test\",state=\"{state}\"}}"), is);
    let entries = |count| ("dnsbld_dataset_entries{zone=\"bl.test\",type=\"ip4set\",files=\"a\"}".to_owned(), count);
    let one = |series: &str, value: f64| (series.to_owned(), value);
    let check = |before: &[(String, f64)], after: &[(String, f64)], expected: &[&str]| {
        let of = |values: &[(String, f64)]| page(&values.iter().map(|(s, v)| (s.as_str(), *v)).collect::<Vec<_>>());
        assert_eq!(between(&of(before), &of(after)), expected);
    };
    check(&[], &[], &[]);
    let took = one("dnsbld_zone_last_reload_duration_seconds{zone=\"bl.test\"}", 0.0155);
    check(
        &[reloads("published", 1.0), entries(100.0)],
        &[reloads("published", 2.0), entries(1100.0), took.clone()],
        &["bl.test: new data, 1100 entries (+1000), read in 15ms"],
    );
    check(
        &[reloads("published", 1.0), entries(100.0)],
        &[reloads("published", 3.0), entries(98.0), took],
        &["bl.test: new data, 98 entries (-2), read in 15ms"],
    );
    check(
        &[reloads("bad_file", 0.0), reloads("guarded", 4.0)],
        &[reloads("bad_file", 1.0), reloads("guarded", 5.0)],
        &[
            "bl.test: new data refused (a file is bad); the last good copy is served, the log says more",
            "bl.test: new data refused (a guard); the last good copy is served, the log says more",
        ],
    );
    check(&[], &[state("ready", 1.0)], &["bl.test: a new zone, ready"]);
    check(&[state("ready", 1.0)], &[], &["bl.test: served no more"]);
    check(
        &[state("ready", 1.0), state("not_ready", 0.0)],
        &[state("ready", 0.0), state("not_ready", 1.0)],
        &["bl.test: not ready"],
    );
    for (before, after, series, expected) in [
        (0.0, 1.0, "dnsbld_settings_reloads_total{outcome=\"taken\"}", "settings: reread"),
        (
            1.0,
            2.0,
            "dnsbld_settings_reloads_total{outcome=\"refused\"}",
            "settings: refused, the old ones stay in force; the log says why",
        ),
        (3.0, 5.0, "dnsbld_feed_listings_total{change=\"begun\"}", "listings: 2 begun"),
        (3.0, 4.0, "dnsbld_feed_listings_total{change=\"removed\"}", "listings: 1 taken off"),
        (
            0.0,
            1.0,
            "dnsbld_feed_commits_total{result=\"failed\"}",
            "feeder: its store can not be written; the log says why",
        ),
        (0.0, 9.0, "dnsbld_feed_drops_total{source=\"a\",cause=\"spool_full\"}", "feeder: 9 dropped (spool full)"),
        (2.0, 1.0, "dnsbld_feed_joe_jobs_running", "joe-jobs: 1 over"),
        (
            0.0,
            1.0,
            "dnsbld_panicked_total{transport=\"udp\"}",
            "1 questions met a defect of the program; please report what the log says",
        ),
    ] {
        check(&[one(series, before)], &[one(series, after)], &[expected]);
    }
    check(
        &[one("dnsbld_feed_drops_total{source=\"a\",cause=\"stray\"}", 0.0)],
        &[one("dnsbld_feed_drops_total{source=\"a\",cause=\"stray\"}", 9.0)],
        &[],
    );
    let joe_jobs = |raised, running| {
        [one("dnsbld_feed_joe_jobs_raised_total", raised), one("dnsbld_feed_joe_jobs_running", running)]
    };
    let raised = "joe-jobs: 1 raised; `dnsbld feed joe-jobs` tells whom they hit";
    check(&joe_jobs(1.0, 1.0), &joe_jobs(2.0, 2.0), &[raised]);
    // One came and one went.
    check(&joe_jobs(1.0, 1.0), &joe_jobs(2.0, 1.0), &[raised, "joe-jobs: 1 over"]);
}

#[test]
fn a_restart_is_seen() {
    let started =
        |time: u32| Scrape::parse(&format!("dnsbld_build_info 1\nprocess_start_time_seconds {time}\n")).unwrap();
    assert!(started(2).restarted_since(&started(1)));
    assert!(!started(1).restarted_since(&started(1)));
}

#[test]
fn numbers_and_times() {
    for (value, expected) in [
        (0.0, "0"),
        (0.42, "0.4"),
        (9.0, "9"),
        (10.4, "10"),
        (99_999.0, "99999"),
        (100_000.0, "100k"),
        (999_499.0, "999k"),
        (999_500.0, "1.0M"),
        (4_540_000.0, "4.5M"),
        (45_400_000.0, "45M"),
        (1.5e9, "1.5G"),
        (2e15, "2000T"),
    ] {
        assert_eq!(number(value), expected, "{value}");
    }
    for (seconds, expected) in [
        (0.0, "0s"),
        (0.0002, "1ms"),
        (0.0155, "15ms"),
        (1.0, "1s"),
        (119.9, "119s"),
        (120.0, "2m"),
        (7199.0, "119m"),
        (7200.0, "2h"),
        (172_800.0, "2d"),
    ] {
        assert_eq!(duration(seconds), expected, "{seconds}");
    }
}

#[test]
fn addresses() {
    for (url, expected) in [
        ("http://127.0.0.1:9353", "127.0.0.1:9353"),
        ("http://127.0.0.1:9353/", "127.0.0.1:9353"),
        ("http://[::1]:80/metrics", "[::1]:80"),
        ("http://mx.example.org", "mx.example.org:9353"),
    ] {
        assert_eq!(Target::parse(url).unwrap().authority(), expected, "{url}");
    }
    for (url, why) in [
        ("127.0.0.1:9353", "does not begin with http://"),
        ("localhost", "does not begin with http://"),
        ("https://127.0.0.1:9353", "does not begin with http://"),
        ("http://127.0.0.1:9353/other", "has a path"),
        ("http://127.0.0.1:9353/metrics?x", "has a path"),
        ("http://user@127.0.0.1:9353", "has a user in it"),
        ("http://:80", "has no host"),
        ("", "is no URL"),
    ] {
        let error = Target::parse(url).expect_err(url).to_string();
        assert!(error.contains(why), "{url}: {error}");
    }
}
