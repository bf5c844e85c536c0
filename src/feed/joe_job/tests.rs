//! Joe-jobs as a whole: against a naive model, in scenes, and beside a pipeline with a receiver that hangs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::detector::{Change, Event};
use super::run::{RunOptions, Tell};
use super::webhook::{Webhook, WebhookOptions, signature};
use super::*;
use crate::feed::line::Place;
use crate::feed::session::{Answer, Body, Client, Closed, Kinds, Recipient, Session, Transaction, Verbs};

/// The first minute of the scenes: 2026-11-01T00:00Z.
const BEGIN: i64 = 29_624_160;

/// A hit.
fn hit(minute: i64, target: &Target, source: u64) -> Hit {
    let address = matches!(target, Target::Recipient(_)).then(|| "victim@example.org".into());
    Hit { time_ms: minute * MINUTE_MS, target: target.clone(), address, source, message_id: None }
}

/// A recipient.
fn recipient(n: u8) -> Target {
    Target::Recipient([n; 16])
}

/// Feed a detector.
fn detect(hits: &[Hit]) -> (Detector, Vec<Change>) {
    let (mut detector, mut changes) = (Detector::new(JoeJobOptions::default()), Vec::new());
    hits.iter().for_each(|hit| detector.hit(hit, &mut changes));
    (detector, changes)
}

/// The events, in order.
fn events(changes: &[Change]) -> Vec<Event> {
    changes.iter().map(|change| change.event).collect()
}

/// What a joe-job is compared by: target, raised, ended, spans, messages, most sources in an hour.
type Facts = (Target, i64, Option<i64>, Vec<(i64, i64)>, u64, u32);

/// The facts of what a detector found.
fn found(detector: &Detector, changes: &[Change]) -> Vec<Facts> {
    let minute = |time: jiff::Timestamp| time.as_millisecond() / MINUTE_MS;
    let closed = changes.iter().filter(|change| change.event == Event::Closed);
    let mut facts: Vec<Facts> = closed
        .map(|change| (change.target.clone(), change.report.clone()))
        .chain(detector.reports())
        .map(|(target, report)| {
            let spans = report.spans.iter().map(|(from, to)| (minute(*from), minute(*to) - 1)).collect();
            (target, minute(report.raised), report.ended.map(minute), spans, report.messages, report.sources_max)
        })
        .collect();
    facts.sort();
    facts
}

/// The rule by its words, slowly: every minute from all hits.
fn naive(hits: &[Hit], options: JoeJobOptions) -> Vec<Facts> {
    let minute_of = |hit: &Hit| hit.time_ms / MINUTE_MS;
    let (since, last) = (hits.iter().map(minute_of).min().unwrap(), hits.iter().map(minute_of).max().unwrap());
    let mut facts = Vec::new();
    for target in hits.iter().map(|hit| &hit.target).collect::<BTreeSet<_>>() {
        let mut minutes: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        for hit in hits.iter().filter(|hit| hit.target == *target) {
            minutes.entry(minute_of(hit)).or_default().push(hit.source);
        }
        let distinct = |from: i64, to: i64| {
            minutes.range(from..=to).flat_map(|(_, sources)| sources.clone()).collect::<BTreeSet<_>>().len() as u32
        };
        let messages =
            |from: i64, to: i64| minutes.range(from..=to).map(|(_, sources)| sources.len() as u64).sum::<u64>();
        let mut hours: BTreeMap<i64, u32> = BTreeMap::new();
        for hour in minutes.keys().map(|minute| minute.div_euclid(60)) {
            hours.entry(hour).or_insert_with(|| distinct(hour * 60, hour * 60 + 59));
        }
        let mut job: Option<Facts> = None;
        for now in since..=last {
            let sources = distinct(now - 59, now);
            if job.is_none() && sources < options.sources_min {
                continue;
            }
            let history_end = (now - 80).div_euclid(60);
            let sum: u32 = hours.range(history_end - 168..history_end).map(|(_, sources)| sources).sum();
            let watched = (history_end - (history_end - 168).max(since.div_euclid(60))).max(24);
            let needed = options.sources_min.max((options.ratio_min * f64::from(sum) / watched as f64).ceil() as u32);
            let comes = minutes.contains_key(&now);
            if job.as_ref().is_some_and(|job| job.2.is_some_and(|ended| now >= ended + options.cool_down_minutes)) {
                facts.extend(job.take());
            }
            let first = |after: i64| *minutes.range(after..=now).next().unwrap().0;
            match &mut job {
                None if comes && sources >= needed => {
                    let spans = vec![(first(now - 59), now)];
                    job = Some((target.clone(), now, None, spans, messages(now - 59, now), sources));
                }
                Some((_, _, ended @ Some(_), spans, all, most)) if comes && sources >= needed => {
                    let from = (now - 59).max(ended.unwrap() + 1);
                    spans.push((first(from), now));
                    *all += messages(from, now);
                    *most = (*most).max(sources);
                    *ended = None;
                }
                Some((_, _, ended @ None, spans, all, most)) => {
                    spans.last_mut().unwrap().1 = now;
                    *all += messages(now, now);
                    *most = (*most).max(sources);
                    if sources * 2 < needed {
                        *ended = Some(now);
                    }
                }
                _ => {}
            }
        }
        facts.extend(job);
    }
    facts.sort();
    facts
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    /// The next, below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Ten days of mail to three targets: some is usual, and there are floods.
fn days_of_mail(seed: u64) -> Vec<Hit> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let targets = [recipient(1), recipient(2), Target::Domain("example.org".into())];
    let mut hits = Vec::new();
    for target in &targets {
        let usual = numbers.below(4);
        for minute in 0..10 * 1440 {
            if numbers.below(60) < usual {
                hits.push(hit(BEGIN + minute, target, numbers.below(40)));
            }
        }
        for _ in 0..numbers.below(5) {
            let (from, length) = (numbers.below(10 * 1440), 1 + numbers.below(300));
            let sources = 5 + numbers.below(120);
            for _ in 0..sources * (1 + numbers.below(4)) {
                let minute = BEGIN + (from + numbers.below(length)) as i64;
                hits.push(hit(minute, target, 1000 + numbers.below(sources)));
            }
        }
    }
    hits
}

#[test]
fn the_same_as_the_naive_model_and_in_any_order() {
    let mut raised = 0;
    for seed in 1..=8 {
        let hits = days_of_mail(seed);
        let expected = naive(&hits, JoeJobOptions::default());
        raised += expected.len();
        let mut numbers = Numbers(seed);
        for late in [1, LATE_MINUTES as u64] {
            // Each comes up to `late` minutes after its time.
            let mut order: Vec<(i64, u64, Hit)> = hits
                .iter()
                .map(|hit| (hit.time_ms / MINUTE_MS + numbers.below(late) as i64, numbers.below(1 << 40), hit.clone()))
                .collect();
            order.sort_by_key(|(at, tie, _)| (*at, *tie));
            let ordered: Vec<Hit> = order.into_iter().map(|(_, _, hit)| hit).collect();
            let (detector, changes) = detect(&ordered);
            assert_eq!(detector.counts().late, 0);
            assert_eq!(found(&detector, &changes), expected, "seed {seed}, up to {late} minutes late");
        }
    }
    assert!(raised >= 8, "the scenes hold only {raised} joe-jobs");
}

#[test]
fn twenty_servers_raise_one_report() {
    let mut hits = Vec::new();
    for server in 0..20 {
        for bounce in 0..5 {
            hits.push(hit(BEGIN + (server + bounce * 7) % 40, &recipient(1), server as u64));
        }
    }
    hits.sort_by_key(|hit| hit.time_ms);
    let (mut detector, mut changes) = detect(&hits);
    assert_eq!(events(&changes), [Event::Raised]);
    let report = &detector.reports()[0].1;
    assert_eq!((report.sources_max, report.messages, report.severity), (20, 100, report::Severity::Low));
    assert_eq!(report.address.as_deref(), Some("victim@example.org"));
    assert!(report.remedies()[0].postfix.iter().any(|line| line.starts_with("victim@example.org 450 ")));
    assert!(report.remedies()[0].exim.iter().any(|line| line.ends_with("recipients = victim@example.org")));
    // The hour is quiet: over by itself, told once, history a day later.
    changes.clear();
    detector.advance((BEGIN + 39 + 60) * MINUTE_MS, &mut changes);
    assert_eq!(events(&changes), [Event::Ended]);
    detector.advance((BEGIN + 3 * 1440) * MINUTE_MS, &mut changes);
    assert_eq!(events(&changes), [Event::Ended, Event::Closed]);
    assert!(detector.reports().is_empty());
}

#[test]
fn a_leap_of_the_clock_ends_it_as_well() {
    let hits: Vec<Hit> = (0..20).map(|n| hit(BEGIN + n, &recipient(1), n as u64)).collect();
    let (mut detector, mut changes) = detect(&hits);
    detector.advance((BEGIN + 400 * 1440) * MINUTE_MS, &mut changes);
    assert_eq!(events(&changes), [Event::Raised, Event::Ended, Event::Closed]);
    let ended = changes[2].report.ended.unwrap().as_millisecond() / MINUTE_MS;
    assert_eq!(ended, BEGIN + 75, "less than five sources are left of the hour");
}

#[test]
fn ordinary_bounces_raise_none() {
    let mut hits = Vec::new();
    for hour in 0..8 * 24 {
        // An address that has always been busy, below the threshold at first.
        let sources = if hour < 24 { 8 } else { 12 };
        for source in 0..sources {
            hits.push(hit(BEGIN + hour * 60 + source * 4, &recipient(1), (hour * 7 + source) as u64));
        }
        // Many addresses with a bounce or two.
        for n in 0..40 {
            hits.push(hit(BEGIN + hour * 60 + n, &recipient(n as u8 + 2), (hour + n) as u64));
        }
        // One host that bounces a hundred times.
        for n in 0..50 {
            hits.push(hit(BEGIN + hour * 60 + n, &recipient(99), 7));
        }
    }
    hits.sort_by_key(|hit| hit.time_ms);
    let (detector, changes) = detect(&hits);
    assert_eq!(changes, []);
    assert_eq!(detector.counts(), Default::default());
}

#[test]
fn within_the_cool_down_it_is_the_same_joe_job() {
    let flood = |at: i64| (0..30).map(move |n| hit(at + n, &recipient(1), n as u64));
    let hits: Vec<Hit> = flood(BEGIN).chain(flood(BEGIN + 300)).chain(flood(BEGIN + 10 * 1440)).collect();
    let (detector, changes) = detect(&hits);
    assert_eq!(events(&changes)[..4], [Event::Raised, Event::Ended, Event::Resumed, Event::Ended]);
    assert_eq!(events(&changes)[4..], [Event::Closed, Event::Raised]);
    assert_eq!(changes[2].report.id, changes[0].report.id);
    let intervals = detector::intervals(hits.clone(), JoeJobOptions::default());
    assert_eq!(intervals.len(), 3);
    assert_eq!(intervals[0].from_ms, BEGIN * MINUTE_MS);
    assert_eq!(intervals[1].from_ms, (BEGIN + 300) * MINUTE_MS);
    assert_eq!(intervals[2].to_ms, i64::MAX);
    assert_eq!(detector.reports().len(), 1);
}

#[test]
fn memory_is_bounded() {
    let mut detector = Detector::new(JoeJobOptions::default());
    let mut changes = Vec::new();
    for n in 0..100_050_u64 {
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        detector.hit(&hit(BEGIN, &Target::Recipient(hash), 1), &mut changes);
    }
    assert!(detector.targets() <= 100_000);
    assert_eq!(detector.counts().forgotten, 10_000);
    // A day later only what was usual is kept, and a week later nothing.
    detector.advance((BEGIN + 1440) * MINUTE_MS, &mut changes);
    assert!(detector.targets() > 0);
    detector.advance((BEGIN + 9 * 1440) * MINUTE_MS, &mut changes);
    assert_eq!(detector.targets(), 0);
    // One minute keeps a bounded number of sources.
    for n in 0..10_000 {
        detector.hit(&hit(BEGIN + 9 * 1440, &recipient(1), n), &mut changes);
    }
    assert_eq!(detector.reports()[0].1.sources, 256);
}

/// A session with one null-sender transaction.
fn session(minute: i64, host: u32, address: &str, answer: Answer, random: bool) -> Session {
    let recipient = Recipient { address: Some(address.as_bytes().into()), answer, code: None, random };
    Session {
        first: Place::default(),
        last: Place::default(),
        start_ms: minute * MINUTE_MS,
        end_ms: minute * MINUTE_MS + 900,
        id: 0,
        host: "mx".into(),
        client: Client { ip: IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + host)), port: None, ptr: None },
        helo: None,
        tls: false,
        authenticated: false,
        verbs: Verbs::default(),
        transactions: vec![Transaction {
            sender: Some([].into()),
            recipients: vec![recipient],
            body: Body::Tried,
            message_id: Some(b"<1@x>".as_slice().into()),
            ..Transaction::default()
        }],
        closed: Closed::Quit,
        complete: true,
        ambiguous: false,
        kinds: Kinds::default(),
    }
}

/// A hash that is none, for tests.
fn plain_hash(address: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    address.iter().enumerate().for_each(|(at, octet)| hash[at % 16] ^= octet.to_ascii_lowercase());
    hash
}

#[test]
fn what_of_a_session_counts() {
    let of =
        |session: &Session| hit::of_session(session, plain_hash).into_iter().map(|hit| hit.target).collect::<Vec<_>>();
    let known = Target::Recipient(plain_hash(b"a@example.org"));
    let domain = Target::Domain("example.org".into());
    for (answer, random, expected) in [
        (Answer::Ok, false, vec![known.clone()]),
        (Answer::Greylisted, false, vec![known.clone()]),
        (Answer::Policy, false, vec![known.clone()]),
        (Answer::UnknownUser, false, vec![domain]),
        (Answer::UnknownUser, true, vec![]),
        (Answer::RelayDenied, false, vec![]),
    ] {
        assert_eq!(of(&session(BEGIN, 1, "A@example.ORG", answer.clone(), random)), expected, "{answer:?}");
    }
    let mut ours = session(BEGIN, 1, "a@example.org", Answer::Ok, false);
    ours.authenticated = true;
    assert_eq!(of(&ours), []);
    let mut ordinary = session(BEGIN, 1, "a@example.org", Answer::Ok, false);
    ordinary.transactions[0].sender = Some(b"b@c.example".as_slice().into());
    assert_eq!(of(&ordinary), []);
    ordinary.transactions[0].sender = None;
    assert_eq!(of(&ordinary), []);
}

/// Wait for a condition, with a deadline.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Joe-jobs in a directory.
fn start(directory: &Path, stored: Vec<Hit>, webhook: Option<Webhook>) -> JoeJobs {
    let options = RunOptions {
        detector: JoeJobOptions::default(),
        reports_file: directory.join(state::REPORTS_FILE),
        key_file: directory.join(state::KEY_FILE),
        zone_file: Some(directory.join("joe-jobs.zone")),
    };
    let policies = |domain: &str| {
        assert_eq!(domain, "example.org");
        run::Policies { spf: Some("v=spf1 -all".to_owned()), dmarc: Some(String::new()) }
    };
    let tell = Tell {
        webhook,
        zone_written: Box::new(|| {}),
        policies: Some(Box::new(policies)),
        intervals: Box::new(|_| true),
        still: Box::new(|| false),
    };
    JoeJobs::start(options, stored, tell).unwrap()
}

/// Twelve hosts bounce to one address.
fn flood(jobs: &JoeJobs, minute: i64) {
    (0..12).for_each(|n| jobs.session(&session(minute, n, "Victim@example.org", Answer::Ok, false), true, plain_hash));
}

#[test]
fn an_address_under_attack_is_protected_and_reported_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let zone = || std::fs::read_to_string(directory.path().join("joe-jobs.zone")).unwrap();
    let jobs = start(directory.path(), Vec::new(), None);
    let attacked = jobs.attacked();
    assert!(!attacked.contains("victim@example.org"));
    let quiet = zone();
    flood(&jobs, BEGIN);
    wait("protection", || attacked.contains("victim@example.org"));
    let hash = state::key(&directory.path().join(state::KEY_FILE)).unwrap().hash("victim@example.org");
    wait("the zone file", || zone().contains(&report::hex(&hash)));
    let reports = || state::reports(&directory.path().join(state::REPORTS_FILE)).unwrap_or_default();
    wait("the report", || reports().len() == 1);
    assert_eq!(reports()[0].spf.as_deref(), Some("v=spf1 -all"));
    assert_eq!((jobs.counts().running, jobs.counts().raised), (1, 1));
    assert_eq!(jobs.intervals().len(), 1);
    jobs.stop();

    // The store has hits without addresses; the report's file has the address.
    let stored: Vec<Hit> = (0..12)
        .flat_map(|n| hit::of_session(&session(BEGIN, n, "Victim@example.org", Answer::Ok, false), plain_hash))
        .map(|hit| Hit { address: None, ..hit })
        .collect();
    let jobs = start(directory.path(), stored.clone(), None);
    assert!(jobs.attacked().contains("victim@example.org"), "from the first moment on");
    assert_eq!(jobs.counts().raised, 0, "told before");
    let attacked = jobs.attacked();
    jobs.advance((BEGIN + 90) * MINUTE_MS);
    wait("the end", || !attacked.contains("victim@example.org"));
    wait("the zone file", || zone() == quiet);
    wait("the report", || reports().first().is_some_and(|report| !report.running));
    jobs.stop();

    // Once more: nothing has changed, so nothing is told but what comes last.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (url, taken) = receiver(vec![Handler::Answer(200)]);
    let hook = webhook(&url);
    let mut later = stored.clone();
    later.push(hit(BEGIN + 90, &recipient(9), 1));
    start(directory.path(), later, Some(hook.clone())).stop();
    assert!(hook.send("the last".to_owned()));
    wait("the last", || hook.counts().delivered.load(Ordering::Relaxed) > 0);
    assert!(taken.lock().unwrap()[0].ends_with("the last"), "{taken:?}");

    // Without the store: what was told stays told.
    let jobs = start(directory.path(), Vec::new(), None);
    assert_eq!(jobs.intervals().len(), 1);
    jobs.stop();
    assert_eq!(reports().len(), 1);
}

/// A receiver of reports: each connection is handled by the next of these, then by the last of them.
fn receiver(handlers: Vec<Handler>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let taken = Arc::<Mutex<Vec<String>>>::default();
    let requests = Arc::clone(&taken);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for (at, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            match handlers[at.min(handlers.len() - 1)] {
                // Kept open, never read.
                Handler::Hang => kept.push(stream),
                Handler::Answer(status) => {
                    let mut request = Vec::new();
                    let mut buffer = [0; 4096];
                    let complete = |request: &[u8]| {
                        let text = String::from_utf8_lossy(request).into_owned();
                        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                        let length = head.lines().find_map(|line| {
                            line.to_lowercase().strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
                        });
                        body.len() >= length.unwrap_or(0)
                    };
                    while !complete(&request) {
                        match stream.read(&mut buffer) {
                            Ok(0) | Err(_) => break,
                            Ok(n) => request.extend_from_slice(&buffer[..n]),
                        }
                    }
                    requests.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                    let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                }
            }
        }
    });
    (url, taken)
}

/// What a receiver does with a connection.
#[derive(Clone, Copy)]
enum Handler {
    /// Nothing at all.
    Hang,
    /// Answer with this status.
    Answer(u16),
}

/// A webhook without patience.
fn webhook(url: &str) -> Webhook {
    Webhook::start(WebhookOptions {
        url: url.to_owned(),
        secret: b"secret".to_vec(),
        attempt_time_max: Duration::from_millis(300),
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(20),
        attempts_max: 5,
    })
    .unwrap()
}

#[test]
fn reports_are_signed_and_tried_again_until_taken() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (url, taken) = receiver(vec![Handler::Hang, Handler::Answer(503), Handler::Answer(429), Handler::Answer(200)]);
    let webhook = webhook(&url);
    assert!(webhook.send("{\"v\":1}".to_owned()));
    wait("delivery", || webhook.counts().delivered.load(Ordering::Relaxed) == 1);
    assert_eq!(webhook.counts().failed.load(Ordering::Relaxed), 3);
    let taken = taken.lock().unwrap();
    let request = taken.last().unwrap();
    let header = |name: &str| {
        let line = request.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} in {request}"))[name.len() + 2..].to_owned()
    };
    assert!(request.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{request}");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-dnsbld-signature"), signature(b"secret", &header("x-dnsbld-timestamp"), "{\"v\":1}"));
}

#[test]
fn a_receiver_without_tls_gets_nothing_over_https() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (url, taken) = receiver(vec![Handler::Answer(200)]);
    let options = WebhookOptions {
        url: url.replace("http:", "https:"),
        attempt_time_max: Duration::from_millis(300),
        pause_min: Duration::from_millis(5),
        attempts_max: 2,
        ..WebhookOptions::default()
    };
    match Webhook::start(options) {
        Ok(webhook) => {
            assert!(webhook.send("{}".to_owned()));
            wait("it to be given up", || webhook.counts().lost.load(Ordering::Relaxed) == 1);
            assert_eq!(webhook.counts().failed.load(Ordering::Relaxed), 2);
            assert!(taken.lock().unwrap().iter().all(|request| !request.contains("{}")));
        }
        // A machine without trust anchors says so at the start.
        Err(why) => assert!(why.contains("certificates can not be read"), "{why}"),
    }
}

#[test]
fn signatures_as_others_compute_them() {
    // printf '1.x' | openssl dgst -sha256 -hmac secret
    let expected = "sha256=33270e99f50e3d3ec295e0d7185dc323a6231c2739f396d70e6b71ea6a435486";
    assert_eq!(signature(b"secret", "1", "x"), expected);
}

#[test]
fn a_report_that_is_refused_for_good_is_given_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (url, taken) = receiver(vec![Handler::Answer(404), Handler::Answer(503)]);
    let webhook = webhook(&url);
    assert!(webhook.send("first".to_owned()) && webhook.send("second".to_owned()));
    wait("both to be given up", || webhook.counts().lost.load(Ordering::Relaxed) == 2);
    assert_eq!(taken.lock().unwrap().len(), 1 + 5);
}

#[test]
fn a_receiver_that_hangs_holds_nobody_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (url, _) = receiver(vec![Handler::Hang]);
    let hook = Webhook::start(WebhookOptions { url, ..WebhookOptions::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let jobs = start(directory.path(), Vec::new(), Some(hook.clone()));
    let begin = Instant::now();
    // A hundred addresses are flooded one after another: more reports than the queue holds.
    for n in 0..100 {
        for host in 0..12 {
            let address = format!("victim{n}@example.org");
            jobs.session(&session(BEGIN + n, host, &address, Answer::Ok, false), true, |address| {
                let mut hash = [0; 16];
                hash[..address.len().min(16)].copy_from_slice(&address[..address.len().min(16)]);
                hash
            });
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "an attempt alone takes that long");
    wait("all to be raised", || jobs.counts().raised == 100);
    assert!(hook.counts().lost.load(Ordering::Relaxed) > 0);
    assert!(jobs.attacked().contains("victim99@example.org"));
    jobs.stop();
}

#[test]
fn addresses_of_receivers() {
    for (url, expected) in [
        ("https://hooks.example.org/joe-job?x=1", None),
        ("http://[::1]:8080", None),
        ("ftp://hooks.example.org", Some("neither https nor http")),
        ("hooks.example.org", Some("neither https nor http")),
        ("https://user:password@hooks.example.org/", Some("password")),
        ("https://a b/", Some("is no URL")),
    ] {
        let error = webhook::check_url(url).err();
        assert_eq!(error.is_some(), expected.is_some(), "{url}: {error:?}");
        assert!(error.unwrap_or_default().contains(expected.unwrap_or_default()), "{url}");
    }
}
