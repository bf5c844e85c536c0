//! Budgets by table, what an attacker can do to the table, and the rate that every stream of answers gets.

use proptest::prelude::*;

use super::*;

/// A millisecond, ns.
const MS: u64 = 1_000_000;

/// 10 000 octets and 100 answers a second, so that an answer of 100 octets uses as much of both.
fn options() -> RateOptions {
    RateOptions {
        octets_per_s: 10_000,
        answers_per_s: 100,
        ipv4_prefix: 24,
        ipv6_prefix: 56,
        slip: 0,
        dry_run: false,
        exempt: vec!["198.51.100.0/24".parse().unwrap(), "2001:db8:ff::/48".parse().unwrap()],
        prefixes_max: 1024,
    }
}

/// How many of so many answers to a client are sent at one moment.
fn sent(limiter: &mut RateLimiter, client: &str, count: usize, octets: usize, now_ns: u64) -> usize {
    let client = client.parse().unwrap();
    (0..count).filter(|_| limiter.judge(client, octets, now_ns) == Verdict::Send).count()
}

/// Octets of each answer, how many are sent at once, and after each time in ms how many again.
type Stream<'a> = (usize, usize, &'a [(u64, usize)]);

#[test]
fn a_burst_and_then_the_rate() {
    // Octets of each answer, and how many are sent of a thousand: at once, then after each time in ms.
    let cases: [Stream<'_>; 4] = [
        (100, 100, &[(0, 0), (10, 1), (500, 50), (10_000, 100)]),
        (1, 100, &[(10, 1), (100, 10)]),
        (1000, 10, &[(50, 0), (100, 1), (1000, 10)]),
        // Larger than a second's worth: it passes a full budget, or it never could.
        (20_000, 1, &[(1000, 0), (2100, 1)]),
    ];
    for (octets, burst, steps) in cases {
        let mut limiter = RateLimiter::new(options(), 1);
        let mut now_ns = 5 * SECOND_NS;
        assert_eq!(sent(&mut limiter, "192.0.2.1", 1000, octets, now_ns), burst, "burst of {octets} octets");
        let start = now_ns;
        for (wait_ms, expected) in steps {
            now_ns = if octets > 10_000 { start + wait_ms * MS } else { now_ns + wait_ms * MS };
            let got = sent(&mut limiter, "192.0.2.1", 1000, octets, now_ns);
            assert_eq!(got, *expected, "{octets} octets, {wait_ms} ms later");
        }
    }
}

#[test]
fn who_shares_a_budget() {
    for (first, second, shared) in [
        ("192.0.2.1", "192.0.2.255", true),
        ("192.0.2.1", "192.0.3.1", false),
        ("192.0.2.1", "::ffff:192.0.2.9", true),
        ("2001:db8:0:1::1", "2001:db8:0:f0::1", true),
        ("2001:db8:0:1::1", "2001:db8:0:101::1", false),
        ("0.0.0.1", "::1", false),
    ] {
        let mut limiter = RateLimiter::new(options(), 1);
        assert_eq!(sent(&mut limiter, first, 1000, 100, SECOND_NS), 100);
        let left = sent(&mut limiter, second, 1000, 100, SECOND_NS);
        // `::/56` and `0.0.0.0/24` are the one pair of prefixes with the same number; nobody has addresses there.
        let expected = if shared || second == "::1" { 0 } else { 100 };
        assert_eq!(left, expected, "{first} and {second}");
    }
    let limiter = RateLimiter::new(options(), 1);
    for (client, prefix) in [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2ff::1", "2001:db8:1:200::/56")] {
        assert_eq!(limiter.prefix(client.parse().unwrap()).to_string(), prefix);
    }
}

#[test]
fn prefixes_of_any_length() {
    for (bits, mask) in [(0, 0), (1, 0x8000_0000), (24, 0xffff_ff00), (32, 0xffff_ffff_u64)] {
        assert_eq!(upper(32, bits), mask, "/{bits}");
    }
    for (bits, mask) in [(0, 0), (1, 1 << 63), (56, !0xff), (64, u64::MAX)] {
        assert_eq!(upper(64, bits), mask, "/{bits}");
    }
}

#[test]
fn exempt_dry_and_slipping() {
    let mut limiter = RateLimiter::new(options(), 1);
    for client in ["198.51.100.9", "::ffff:198.51.100.9", "2001:db8:ff::9"] {
        assert_eq!(sent(&mut limiter, client, 5000, 1000, SECOND_NS), 5000, "{client}");
    }
    let client: IpAddr = "192.0.2.1".parse().unwrap();
    let count = |options: RateOptions| {
        let mut limiter = RateLimiter::new(options, 7);
        let mut counts = [0; 4];
        (0..10_100).for_each(|_| counts[limiter.judge(client, 100, SECOND_NS) as usize] += 1);
        counts
    };
    assert_eq!(count(options()), [100, 0, 0, 10_000]);
    assert_eq!(count(RateOptions { dry_run: true, slip: 1, ..options() }), [100, 10_000, 0, 0]);
    assert_eq!(count(RateOptions { slip: 1, ..options() }), [100, 0, 10_000, 0]);
    let [sent, counted, truncated, dropped] = count(RateOptions { slip: 4, ..options() });
    assert_eq!((sent, counted, truncated + dropped), (100, 0, 10_000));
    assert!((2200..2800).contains(&truncated), "{truncated} of 10000 are not a quarter");
}

#[test]
fn a_heavy_client_is_not_forgotten_for_many_light_ones() {
    // One set only: everyone is in everyone's way.
    let mut limiter = RateLimiter::new(RateOptions { prefixes_max: SET, ..options() }, 3);
    let mut passed = 0;
    let (mut now_ns, rounds) = (SECOND_NS, 20_000);
    for round in 0..rounds {
        // A flood at ten times the rate, and three answers to other networks for each of it.
        passed += sent(&mut limiter, "192.0.2.1", 1, 100, now_ns);
        for other in 0..3u32 {
            let client = std::net::Ipv4Addr::from_bits(0x0a00_0000 + (round * 3 + other) * 256);
            assert_eq!(limiter.judge(client.into(), 100, now_ns), Verdict::Send, "a first answer is never limited");
        }
        now_ns += MS;
    }
    // The rate gives 2000 in these 20 s, and the burst 100.
    assert!((2000..2600).contains(&passed), "{passed} answers passed");
}

#[test]
fn memory_is_fixed() {
    for (prefixes_max, octets) in [(0, 128), (8, 128), (1000, 16 << 10), (65_536, 1 << 20)] {
        let mut limiter = RateLimiter::new(RateOptions { prefixes_max, ..options() }, 1);
        (0..5000u32).for_each(|n| {
            limiter.judge(std::net::Ipv4Addr::from_bits(n << 8).into(), 100, SECOND_NS);
        });
        assert_eq!(limiter.octets(), octets, "{prefixes_max} prefixes");
    }
}

proptest! {
    /// Whatever comes when: in no stretch of time does a prefix get more than the rate and one burst, and one that keeps within its rate
    /// gets everything.
    #[test]
    fn the_rate_holds(steps in prop::collection::vec((0u64..60, 1usize..400), 1..400), seed in any::<u64>()) {
        let mut limiter = RateLimiter::new(options(), seed);
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let start = SECOND_NS;
        let (mut now_ns, mut octets_sent, mut answers_sent) = (start, 0u64, 0u64);
        for (wait_ms, octets) in &steps {
            now_ns += wait_ms * MS;
            if limiter.judge(client, *octets, now_ns) == Verdict::Send {
                octets_sent += *octets as u64;
                answers_sent += 1;
            }
            let ns = now_ns - start + BURST_NS;
            prop_assert!(octets_sent * SECOND_NS <= ns * 10_000, "{octets_sent} octets in {ns} ns");
            prop_assert!(answers_sent * SECOND_NS <= ns * 100, "{answers_sent} answers in {ns} ns");
        }
        let mut patient = RateLimiter::new(options(), seed);
        let mut now_ns = start;
        for (_, octets) in &steps {
            prop_assert_eq!(patient.judge(client, *octets, now_ns), Verdict::Send);
            now_ns += patient.cost_ns(*octets);
        }
    }
}
