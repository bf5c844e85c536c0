//! The query log, the statistics file and the words, beside the real rbldnsd's.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Place, REAL, real_is_here};
use crate::message::{A, ANY, NS, Query, SOA, TXT, query};
use crate::server::Udp;

/// Zone files of every type but access lists.
const FILES: &[(&str, &str)] = &[
    ("ip4", "$SOA 1h ns.test host.invalid 0 1h 1h 1w 1h\n1.2.3.4\n1.2.3.0/24 :3:x\n2.2.2.2\n"),
    ("names", "ex.com\n*.foo.com\n.both.com\n!no.com\n"),
    ("tset", "1.2.3.4\n1.2.3.5\n1.2.3.4\n"),
    ("six", "2001:db8:1:2\n2001:db8:1:2\n!2001:db8:1:2::1\n"),
    ("records", "@ A 1.2.3.4\nwww A 1.2.3.4\nwww TXT hello\n"),
    ("parts", "$DATASET ip4set @ sub\n1.2.3.4\n$DATASET dnset sub2\nx.com\n"),
];
/// The same on the command line.
const ZONES: &str = "x.example:ip4set:ip4 Y.example:dnset:names y.example:ip4tset:tset s:ip6tset:six g:generic:records \
                     c:combined:parts broken:ip4set:gone";

/// Questions that both answer alike to the octet, so that the lines about them must be alike.
fn questions() -> Vec<Query> {
    let mut all: Vec<Query> = [
        ("4.3.2.1.x.example", A),
        ("4.3.2.1.x.example", TXT),
        ("4.3.2.1.X.eXample", A),
        ("7.3.2.1.x.example", ANY),
        ("9.9.9.9.x.example", A),
        ("x.example", SOA),
        ("x.example", NS),
        ("y.example", SOA),
        ("nowhere.test", A),
        ("ex.com.y.example", A),
        ("www.g", TXT),
        ("4.3.2.1.sub.c", A),
        ("anything.broken", A),
        ("a\\032b\\.c\\\"\\255\\@x.x.example", A),
        (".", A),
    ]
    .map(|(name, qtype)| query(name, qtype))
    .into();
    // Every type that has a name and is no meta-type of ours alone, and some without one.
    all.extend((0..=45).chain([64, 65, 99, 250, 251, 252, 253, 254]).map(|qtype| query("4.3.2.1.x.example", qtype)));
    all.extend([0, 2, 4, 254].map(|class| query("4.3.2.1.x.example", A).class(class)));
    // Opcode 5.
    all.push(query("4.3.2.1.x.example", A).flags(0x2800));
    all
}

/// Ask all questions and wait for each answer.
fn ask_all(place: &Place) {
    let client = Udp::new(place.dns);
    for question in questions() {
        client.exchange(&question.wire());
    }
}

/// Lines with the time at their beginning masked; it must be one.
fn masked(text: &str) -> Vec<String> {
    let mask = |line: &str| {
        let (time, rest) = line.split_once(' ').unwrap_or((line, ""));
        assert!(time.parse::<u64>().is_ok_and(|time| time > 1_600_000_000), "{line}");
        format!("EPOCH {rest}")
    };
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(mask).collect()
}

/// What one program leaves: query log, statistics, output, errors.
fn session(program: &str, options: &str) -> [Vec<String>; 4] {
    let place = Place::new(FILES);
    let running = place.start(program, &format!("-n -q {options} -c 0 -b BIND {ZONES}"));
    running.wait_for_answers();
    ask_all(&place);
    for (signal, lines) in [(Signal::USR1, 2), (Signal::USR2, 4)] {
        running.signal(signal);
        let sent = Instant::now();
        running.wait("a line of statistics", || {
            // The real one misses a signal that comes just before it waits for a question, until there is one.
            if sent.elapsed() > Duration::from_secs(1) {
                Udp::new(place.dns).try_exchange(&query("started.invalid", SOA).wire(), Duration::from_millis(200));
            }
            place.read("stats").lines().count() >= lines
        });
    }
    ask_all(&place);
    let (status, out, err) = running.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{out}{err}");
    let plain = |text: &str| text.lines().map(str::to_owned).collect();
    [masked(&place.read("log")), masked(&place.read("stats")), plain(&out), plain(&err)]
}

/// Take the questions away by which the test waits for the start: how many there are is a matter of luck.
fn without_start(lines: &[String]) -> Vec<String> {
    lines.iter().filter(|line| !line.contains(" started.invalid ")).cloned().collect()
}

/// Statistics without the questions by which the test waits, which are in the total alone and REFUSED.
fn own_statistics(lines: &[String]) -> Vec<String> {
    let waiting = query("started.invalid", SOA).wire().len() as u64;
    let own = |line: &String| {
        let Some((zones, total)) = line.split_once(" *:") else { return line.clone() };
        let total: Vec<u64> = total.split(':').map(|number| number.parse().unwrap()).collect();
        let [queries, good, nxdomain, octets_in, octets_out] = total[..] else { panic!("{line}") };
        let own = if queries < questions().len() as u64 { 0 } else { questions().len() as u64 };
        let waited = queries - own;
        let octets = [octets_in, octets_out].map(|octets| octets - waited * waiting);
        format!("{zones} *:{own}:{good}:{nxdomain}:{}:{}", octets[0], octets[1])
    };
    lines.iter().map(own).collect()
}

#[test]
fn lines_for_parsers() {
    let [log, stats, out, _] = session("./rbldnsd", "-l +log -s stats");
    let log = without_start(&log);
    for expected in [
        "EPOCH 127.0.0.1 4.3.2.1.x.example A IN: NOERROR/1/51",
        "EPOCH 127.0.0.1 4.3.2.1.X.eXample A IN: NOERROR/1/51",
        "EPOCH 127.0.0.1 nowhere.test A IN: REFUSED/0/30",
        "EPOCH 127.0.0.1 anything.broken A IN: SERVFAIL/0/33",
        "EPOCH 127.0.0.1 4.3.2.1.x.example A IN: NOTIMPL/0/35",
        "EPOCH 127.0.0.1 . A IN: REFUSED/0/17",
    ] {
        assert!(log.iter().any(|line| line == expected), "{expected}: {log:#?}");
    }
    assert_eq!(log.len(), 2 * questions().len());
    assert_eq!(stats.len(), 6, "{stats:#?}");
    assert_eq!((stats[0].as_str(), stats[3].as_str(), stats[5].as_str()), ("EPOCH ", "EPOCH ", "EPOCH "));
    let stats = own_statistics(&stats);
    assert_eq!(stats[1], stats[2]);
    assert!(stats[4].starts_with("EPOCH x.example:") && stats[4].contains(" y.example:2:1:0:"), "{}", stats[4]);
    assert!(out.iter().any(|line| line == "rbldnsd: terminating"), "{out:#?}");
}

#[test]
fn lines_are_rbldnsds_to_the_octet() {
    if !real_is_here() {
        return;
    }
    for options in ["-l +log -s stats", "-l log -s +stats"] {
        let ours = session("./rbldnsd", options);
        let real = session(REAL, options);
        // Lines of several workers may change places; each of them must be there.
        let sorted = |lines: &[String]| {
            let mut lines = without_start(lines);
            lines.sort();
            lines
        };
        for (ours, real) in sorted(&ours[0]).iter().zip(sorted(&real[0])) {
            assert_eq!(*ours, real, "query log, {options}");
        }
        assert_eq!(without_start(&ours[0]).len(), without_start(&real[0]).len(), "query log, {options}");
        assert_eq!(own_statistics(&ours[1]), own_statistics(&real[1]), "statistics, {options}");
        assert_eq!(spoken(&ours[2]), spoken(&real[2]), "output, {options}");
        // The real one has no TCP, whose port another test may have taken meanwhile.
        let errors: Vec<&String> = ours[3].iter().filter(|line| !line.contains(" is in use for TCP ")).collect();
        assert_eq!(errors, real[3].iter().collect::<Vec<_>>(), "errors, {options}");
    }
}

/// Words with what can not be equal masked: port, version, memory, times.
fn spoken(lines: &[String]) -> Vec<String> {
    let mask = |line: &String| {
        let line = line.trim_start_matches("rbldnsd: ");
        let word = line.split(' ').next().unwrap_or_default();
        match word {
            "listening" => "listening".to_owned(),
            "zones" => "zones reloaded".to_owned(),
            "rbldnsd" => line.split(" started ").nth(1).unwrap_or_default().to_owned(),
            "stats" => {
                // The total has the start's questions in it.
                let (_, rest) = line.split_once("sec").unwrap();
                if rest.starts_with(':') { "stats".to_owned() } else { format!("stats {rest}") }
            }
            _ => {
                // `type:file: YYYYMMDD HHMMSS: counts`: files are seconds apart.
                let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit() || octet == b':');
                line.split(' ').filter(|part| part.len() < 7 || !digits(part)).collect::<Vec<_>>().join(" ")
            }
        }
    };
    lines.iter().map(mask).collect()
}

#[test]
fn a_query_log_on_standard_output() {
    let place = Place::new(&[("a", "1.2.3.4\n")]);
    let running = place.serve("-n -l - -b BIND x:ip4set:a");
    Udp::new(place.dns).ask(&query("4.3.2.1.x", A));
    let (_, out, _) = running.stop(Signal::TERM);
    assert!(out.lines().any(|line| line.ends_with(" 127.0.0.1 4.3.2.1.x A IN: NOERROR/1/43")), "{out}");
}

#[test]
fn statistics_at_every_check() {
    let place = Place::new(&[("a", "1.2.3.4\n")]);
    let running = place.serve("-n -s stats -c 1 -b BIND x:ip4set:a");
    running.wait("two checks", || place.read("stats").lines().count() >= 3);
    let (status, ..) = running.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert!(masked(&place.read("stats"))[1].starts_with("EPOCH x:0:0:0:0:0 *:"), "{}", place.read("stats"));
}

#[test]
fn warnings_are_counted_after_five() {
    let place = Place::new(&[("a", "bad\n".repeat(9).as_str()), ("b", "bad\n")]);
    let (_, _, err) = place.serve("-n -b BIND x:ip4set:a x:ip4set:b").stop(Signal::TERM);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 7, "{err}");
    assert!(lines[4].starts_with("rbldnsd: file a(5): "), "{err}");
    assert_eq!(lines[5], "rbldnsd: ip4set:a: 4 more warnings suppressed");
    assert!(lines[6].starts_with("rbldnsd: file b(1): "), "{err}");
}

#[test]
fn a_log_that_can_not_be_opened_is_said_and_no_reason_to_end() {
    let place = Place::new(&[("a", "1.2.3.4\n")]);
    let running = place.serve("-n -l /nonexistent/log -s /nonexistent/stats -b BIND x:ip4set:a");
    assert!(Udp::new(place.dns).try_exchange(&query("4.3.2.1.x", A).wire(), Duration::from_secs(5)).is_some());
    let (status, _, err) = running.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert!(err.contains("error (re)opening logfile `/nonexistent/log': No such file or directory"), "{err}");
}
