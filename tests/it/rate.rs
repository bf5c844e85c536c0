//! What one network may be sent over UDP: bursts on loopback, bounded in number, and who is let off (D-52).

use std::time::Duration;

use crate::message::{A, Query, edns, query};
use crate::metrics::Scrape;
use crate::server::{Server, Udp, settings, zone};

/// Cookie's option.
const COOKIE: u16 = 10;
/// Answers a second in these tests: so few that a burst of [`BURST`] is over it on any machine.
const RATE: f64 = 5.0;
/// Queries of a burst.
const BURST: usize = 400;

/// A server with these further settings of the rate limit.
fn start(rate: &str, dns: &str) -> Server {
    let rate = format!("{dns}\n[dns.rate-limit]\nenabled = true\nanswers-per-s = {RATE}\n{rate}");
    // One worker, so that what it sends is what the limit says.
    let text = settings(&rate, &zone("bl.test", &[("ip4set", "a")], "")).replace("workers = 2", "workers = 1");
    Server::start(&text, &[("a", b"127.0.0.2 :2:a\n")])
}

/// What came of a burst.
#[derive(Debug, Default)]
struct Came {
    /// Answers with their records.
    whole: usize,
    /// Answers with TC and nothing else.
    cut: usize,
}

/// Send a burst and take what comes back, until there has been nothing for a while.
fn burst(client: &Udp, asked: &Query) -> Came {
    let mut came = Came::default();
    // Some at a time, so that neither side's socket buffer overflows.
    for _ in 0..BURST / 20 {
        (0..20).for_each(|_| client.send(&asked.wire()));
        while let Some(reply) = client.receive_within(Duration::from_millis(40)) {
            let reply = crate::message::Reply::parse(&reply).unwrap();
            if reply.tc() {
                assert_eq!((reply.answer.len(), reply.code().as_str()), (0, "NOERROR"));
                assert!(reply.octets.len() <= asked.wire().len() + 28, "a cut answer is not longer than its query");
                came.cut += 1;
            } else {
                assert_eq!(reply.answer.len(), 1);
                came.whole += 1;
            }
        }
    }
    came
}

/// Sums of the metric by action.
fn limited(server: &Server) -> [f64; 3] {
    let scrape = Scrape::of(server);
    ["dry_run", "truncated", "dropped"]
        .map(|action| scrape.sum("dnsbld_rate_limited_total", &[("action", action), ("transport", "udp")]))
}

/// A plain question with a record for an answer.
fn plain() -> Query {
    query("2.0.0.127.bl.test", A)
}

#[test]
fn d52_a_burst_is_cut_and_dropped() {
    for (slip, text) in [(2, ""), (0, "slip = 0"), (1, "slip = 1")] {
        let server = start(text, "");
        let begun = std::time::Instant::now();
        let came = burst(&server.udp(), &plain());
        let allowed = RATE * (1.0 + begun.elapsed().as_secs_f64()) + 1.0;
        assert!((RATE as usize..=allowed as usize).contains(&came.whole), "slip {slip}: {came:?} of {allowed}");
        let [dry, cut, dropped] = limited(&server);
        assert_eq!((dry, cut), (0.0, came.cut as f64), "slip {slip}");
        assert_eq!(came.whole + came.cut + dropped as usize, BURST, "slip {slip}: {came:?}, {dropped} dropped");
        match slip {
            0 => assert_eq!(came.cut, 0),
            1 => assert_eq!(dropped, 0.0),
            _ => assert!(came.cut > 0 && dropped > 0.0, "{came:?}, {dropped} dropped"),
        }
        let scrape = Scrape::of(&server);
        assert_eq!(scrape.sum("dnsbld_dropped_total", &[("reason", "rate")]), dropped);
        let answered = scrape.sum("dnsbld_queries_total", &[("transport", "udp")]);
        assert_eq!(answered + dropped, BURST as f64, "every message is counted once");
        server.wait_log("answers to 127.0.0.0/24 are limited");
        // TCP is let off, so what was cut can be had.
        let mut stream = server.tcp();
        (0..50).for_each(|_| assert_eq!(stream.ask(&plain()).answer.len(), 1));
    }
}

#[test]
fn who_is_let_off() {
    // A dry run, an exempt network, and no limit at all.
    for (rate, dry) in [("dry-run = true", true), ("exempt = [\"127.0.0.1\"]", false)] {
        let server = start(rate, "");
        assert_eq!(burst(&server.udp(), &plain()).whole, BURST, "{rate}");
        let [counted, cut, dropped] = limited(&server);
        assert_eq!((counted > 0.0, cut, dropped), (dry, 0.0, 0.0), "{rate}");
        if dry {
            server.wait_log("would be limited");
        } else {
            assert!(!server.log().contains("would be limited"), "{}", server.log());
        }
    }
    // Another network has a budget of its own.
    let server = start("slip = 0", "");
    burst(&server.udp(), &plain());
    let socket = std::net::UdpSocket::bind("127.5.5.5:0").unwrap();
    socket.connect(server.dns).unwrap();
    socket.set_read_timeout(Some(crate::server::ANSWER_WAIT)).unwrap();
    socket.send(&plain().wire()).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_ok(), "a network that has asked nothing yet is answered");
}

#[test]
fn a_good_cookie_is_let_off() {
    let server = start("slip = 1", "");
    let client = server.udp();
    let with = |cookie: &[u8]| plain().edns(edns(1232).option(COOKIE, cookie));
    // Over its budget: even the answer that is cut brings the cookie.
    let cut =
        (0..BURST).map(|_| client.ask(&with(b"12345678"))).find(|reply| reply.tc()).expect("an answer that is cut");
    let made = cut.opt.unwrap().option(COOKIE).unwrap().to_vec();
    assert_eq!(burst(&client, &with(&made)).whole, BURST);
    let mut wrong = made.clone();
    wrong[20] ^= 1;
    assert!(burst(&client, &with(&wrong)).cut > 0, "a cookie that is not good is none");
}
