//! Scripted hosts, and what must become of them.

use super::*;
use crate::feed::event::testing::{event, recipient};
use crate::feed::event::{self, EventRecipient};
use crate::feed::session::{Answer, Body, Kind};

/// A minute.
const MINUTE: i64 = 60_000;
/// The hosts of these tests.
const IP: &str = "203.0.113.9";

/// A session: minute, kind, recipients.
type Told = (i64, Kind, Vec<EventRecipient>);

/// Judge sessions under the default rules.
fn judged(told: &[Told], facts: &Facts) -> History {
    let mut events: Vec<Event> = told
        .iter()
        .zip(1..)
        .map(|((minute, kind, recipients), n)| event(n, minute * MINUTE, IP, *kind, recipients.clone()))
        .collect();
    event::sort(&mut events);
    judge(&events, facts, &PolicyOptions::default())
}

/// Listings in words: `since..until how codes`, times in minutes.
fn listings(history: &History) -> String {
    let one = |l: &Listing| {
        let codes: String = l.codes.iter().map(|code| code.octet().to_string()).collect();
        format!("{}..{} {} {codes}", l.since_ms / MINUTE, l.until_ms / MINUTE, l.ended.word())
    };
    history.listings.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A known recipient.
fn known(n: u64) -> EventRecipient {
    recipient(n, Answer::Ok)
}

/// An unknown one.
fn unknown(n: u64) -> EventRecipient {
    recipient(n, Answer::UnknownUser)
}

/// An invented one.
fn random(n: u64) -> EventRecipient {
    EventRecipient { random: true, ..unknown(n) }
}

/// One that we had written from.
fn solicited(n: u64) -> EventRecipient {
    EventRecipient { solicited: true, ..known(n) }
}

/// One session with each of these recipients, some minutes apart.
fn each(kind: Kind, apart: i64, recipients: impl IntoIterator<Item = EventRecipient>) -> Vec<Told> {
    recipients.into_iter().zip(0..).map(|(recipient, n)| (n * apart, kind, vec![recipient])).collect()
}

/// Days in minutes.
const fn days(days: i64) -> i64 {
    days * 24 * 60
}

#[test]
fn who_is_listed_and_who_is_not() {
    let double = |n| (n as i64 * 10, Kind::CalloutDouble, vec![random(100 + n), known(n)]);
    let week = days(7);
    for (what, told, expected) in [
        ("nobody", vec![], String::new()),
        ("double whammy to many", (0..4).map(double).collect(), format!("20..{} expired 2", 30 + week)),
        (
            "double whammy to one",
            (0..9).map(|n| (n * 10, Kind::CalloutDouble, vec![random(1), known(7)])).collect(),
            String::new(),
        ),
        ("callouts to five", each(Kind::Callout, 10, (1..6).map(known)), format!("40..{} expired 2", 40 + week)),
        ("callouts to three", each(Kind::Callout, 10, (1..4).map(known)), String::new()),
        (
            "callouts to three, day after day",
            (0..30).map(|n| (days(n), Kind::Callout, vec![known(n as u64 % 3)])).collect(),
            String::new(),
        ),
        ("five callouts within ten minutes", each(Kind::Callout, 2, (1..5).map(known)), String::new()),
        (
            "nine callouts within ten minutes",
            each(Kind::Callout, 1, (1..10).map(known)),
            format!("8..{} expired 2", 8 + week),
        ),
        (
            "two sessions",
            vec![
                (0, Kind::CalloutDouble, vec![random(1), known(2)]),
                (20, Kind::CalloutDouble, vec![random(3), known(4)]),
            ],
            String::new(),
        ),
        (
            "bounces to many",
            each(Kind::BackscatterRejected, 10, (1..6).map(unknown)),
            format!("40..{} expired 3", 40 + week),
        ),
        ("one bounce", each(Kind::BackscatterRejected, 10, [unknown(1)]), String::new()),
        (
            "bounces of a joe-job against one",
            (0..50).map(|n| (n * 60, Kind::BackscatterRejected, vec![unknown(1)])).collect(),
            String::new(),
        ),
        (
            "both",
            (0..6)
                .map(|n| {
                    (
                        n * 10,
                        if n % 2 == 0 { Kind::Callout } else { Kind::BackscatterRejected },
                        vec![if n % 2 == 0 { known(n as u64) } else { unknown(n as u64) }],
                    )
                })
                .collect(),
            format!("40..{} expired 23", 50 + week),
        ),
        (
            "null sender to unknown, no message seen",
            each(Kind::NullRejected, 10, (1..8).map(unknown)),
            format!("60..{} expired 23", 60 + week),
        ),
        (
            "senders hidden in the log",
            (0..300).map(|n| (n * 60, Kind::ProbeSenderUnseen, vec![])).collect(),
            String::new(),
        ),
        ("solicited callouts", each(Kind::Callout, 60, (1..10).map(solicited)), String::new()),
        ("reports to real senders", each(Kind::DsnAccepted, 10, (1..50).map(known)), String::new()),
        (
            "refused by our own list",
            (0..40)
                .map(|n| {
                    (n * 60, Kind::NullBlocked, vec![recipient(n as u64, Answer::Blocked(Some("bl.example".into())))])
                })
                .collect(),
            String::new(),
        ),
        (
            "relay tests",
            each(Kind::NullRejected, 10, (1..50).map(|n| recipient(n, Answer::RelayDenied))),
            String::new(),
        ),
        (
            "our own errors",
            each(Kind::LocalError, 10, (1..50).map(|n| recipient(n, Answer::LocalError))),
            String::new(),
        ),
    ] {
        assert_eq!(listings(&judged(&told, &Facts::default())), expected, "{what}");
    }
}

#[test]
fn greylisted_pairs_that_come_back_and_those_that_do_not() {
    let grey = |n| recipient(n, Answer::Greylisted);
    let put_off = each(Kind::NullDeferred, 10, (0..20).map(grey));
    // Nobody came back: a point each after six hours.
    assert!(listings(&judged(&put_off, &Facts::default())).starts_with(&format!("{}..", 12 * 10 + 360)));
    let mut back = put_off;
    back.extend((0..20).map(|n| (n * 10 + 350, Kind::DsnAccepted, vec![known(n as u64)])));
    assert!(judged(&back, &Facts::default()).pieces.is_empty());
}

#[test]
fn terms_grow_and_a_clean_time_resets_them() {
    let burst =
        |at: i64, n: u64| each(Kind::Callout, 10, (n..n + 8).map(known)).into_iter().map(move |t| (t.0 + at, t.1, t.2));
    let mut told: Vec<Told> = burst(0, 0).collect();
    for (at, n) in [(20, 100), (50, 200), (90, 300), (220, 400)] {
        told.extend(burst(days(at), n));
    }
    let history = judged(&told, &Facts::default());
    let terms: Vec<i64> = history.listings.iter().map(|listing| listing.term_ms / DAY_MS).collect();
    assert_eq!(terms, [7, 14, 28, 28, 7]);
    // Each event of a listing prolongs it.
    for listing in &history.listings {
        assert_eq!(listing.until_ms, listing.seen.last_ms + listing.term_ms);
        assert!(listing.seen.last_ms > listing.since_ms);
    }
}

#[test]
fn points_outlive_the_term() {
    // 21 points at the last evidence, half of them when the term ends.
    let before = || each(Kind::Callout, 10, (1..8).map(known));
    let then = |minute: i64| before().into_iter().chain([(minute, Kind::Callout, vec![known(9)])]).collect::<Vec<_>>();
    let (end, again) = (60 + days(7), 120 + days(7));
    let twice = format!("40..{end} expired 2, {again}..{} expired 2", again + days(14));
    assert_eq!(listings(&judged(&then(again), &Facts::default())), twice);
    // Not after a removal, and not once they are forgotten.
    let removal = Removal { time_ms: 100 * MINUTE, by_operator: false };
    let removed = Facts { removals: vec![removal], ..Facts::default() };
    assert_eq!(listings(&judged(&then(again), &removed)), "40..100 removed-by-owner 2");
    assert_eq!(listings(&judged(&then(60 + days(30)), &Facts::default())), format!("40..{end} expired 2"));
}

#[test]
fn what_our_own_list_refused_prolongs_nothing() {
    let mut told = each(Kind::Callout, 10, (1..6).map(known));
    let refused = |n| recipient(n, Answer::Blocked(Some("bl.example".into())));
    told.extend((1..6).map(|n| (days(n), Kind::NullBlocked, vec![refused(n as u64)])));
    let mut options = PolicyOptions::default();
    options.evidence.own_zones = vec!["bl.example".into()];
    let mut events: Vec<Event> =
        told.iter().zip(1..).map(|((minute, kind, to), n)| event(n, minute * MINUTE, IP, *kind, to.clone())).collect();
    event::sort(&mut events);
    let history = judge(&events, &Facts::default(), &options);
    assert_eq!(listings(&history), format!("40..{} expired 2", 40 + days(7)));
    assert_eq!(history.pieces.iter().filter(|p| p.weighed == Weighed::Counted).count(), 10);
    assert_eq!((history.listings[0].seen.sessions, history.listings[0].seen.recipients), (5, 5));
}

#[test]
fn removals_and_allowances() {
    let mut told = each(Kind::Callout, 10, (1..6).map(known));
    let removed =
        |by_operator| Facts { removals: vec![Removal { time_ms: 100 * MINUTE, by_operator }], ..Facts::default() };
    assert_eq!(listings(&judged(&told, &removed(true))), "40..100 removed-by-operator 2");
    // One more does not list it again, five do; an owner's removal does not shorten the next term.
    told.push((200, Kind::Callout, vec![known(10)]));
    assert_eq!(listings(&judged(&told, &removed(false))), "40..100 removed-by-owner 2");
    told.extend((1..5).map(|n| (200 + n * 10, Kind::Callout, vec![known(10 + n as u64)])));
    for (by_operator, term) in [(true, 7), (false, 14)] {
        let history = judged(&told, &removed(by_operator));
        assert_eq!(history.listings.len(), 2);
        assert_eq!(history.listings[1].term_ms, term * DAY_MS);
        assert_eq!(history.listings[1].seen.recipients, 5);
    }
    let allowance = |from, to| Allowance { from_ms: from * MINUTE, to_ms: to * MINUTE, reason: "partner".to_owned() };
    let allowed = Facts { allowances: vec![allowance(45, 1000)], ..Facts::default() };
    let history = judged(&told, &allowed);
    assert_eq!(listings(&history), "40..45 allowed 2");
    assert_eq!(history.protected_by.as_deref(), Some("allowed: partner"));
    // What was seen meanwhile counts once the allowance is over.
    told.push((2000, Kind::Callout, vec![known(99)]));
    assert!(listings(&judged(&told, &allowed)).ends_with(&format!("2000..{} expired 2", 2000 + days(14))));
}

#[test]
fn protected_hosts_tell_when_they_would_have_been_listed() {
    let told = each(Kind::Callout, 10, (0..12).map(known));
    let with = |exemption| Facts { exemption, ..Facts::default() };
    for (facts, expected, reason) in [
        (with(Exemption::Exempt("own".into())), "", "own"),
        (with(Exemption::Shared("big".into())), "", "shared provider (big): 3 times the points are wanted"),
        (
            Facts { messages: vec![(0, 200), (-29, 100), (-30, 1000), (1, 1000)], ..Facts::default() },
            "",
            "ordinary mail: 300 messages taken in 30 days, and the points are no more than 20 % of that",
        ),
    ] {
        let history = judged(&told, &facts);
        assert_eq!((listings(&history), history.protected_by.as_deref()), (expected.to_owned(), Some(reason)));
        assert_eq!(history.would_list_at_ms, Some(40 * MINUTE), "{reason}");
    }
    let many = each(Kind::Callout, 10, (0..13).map(known));
    let shared = judged(&many, &with(Exemption::Shared("big".into())));
    assert_eq!(shared.would_list_at_ms, Some(120 * MINUTE));
    assert_eq!((shared.listings.len(), shared.protected_by), (1, None));
    let ratio = Facts { messages: vec![(0, 100)], ..Facts::default() };
    assert_eq!(judged(&many, &ratio).would_list_at_ms, Some(60 * MINUTE));
}

#[test]
fn messages_in_sessions_that_are_evidence_count_as_ordinary_mail() {
    let mut events: Vec<Event> =
        (0..5).map(|n| event(n, n as i64 * 10 * MINUTE, IP, Kind::Callout, vec![known(n)])).collect();
    for event in &mut events {
        let mut taken = event.transactions[0].clone();
        (taken.sender, taken.body) = (event::SenderClass::Other, Body::Taken);
        event.transactions.extend(std::iter::repeat_n(taken, 20));
    }
    let history = judge(&events, &Facts::default(), &PolicyOptions::default());
    assert!(history.listings.is_empty() && history.protected_by.unwrap().starts_with("ordinary mail: 100 messages"));
}

#[test]
fn two_reporters_if_asked_for() {
    let options = PolicyOptions { reporters_min: 2, ..PolicyOptions::default() };
    let mut events: Vec<Event> =
        (0..7).map(|n| event(n, n as i64 * 10 * MINUTE, IP, Kind::Callout, vec![known(n)])).collect();
    assert!(judge(&events, &Facts::default(), &options).listings.is_empty());
    events[6].host = "mx2".into();
    assert_eq!(judge(&events, &Facts::default(), &options).listings.len(), 1);
}

#[test]
fn the_shortcut_by_the_rough_score_changes_nothing() {
    // Thresholds that are met exactly, to the thousandth.
    let told = each(Kind::Callout, 10, (0..40).map(known));
    let events: Vec<Event> =
        told.iter().zip(1..).map(|((minute, kind, to), n)| event(n, minute * MINUTE, IP, *kind, to.clone())).collect();
    let base = PolicyOptions::default();
    for n in 4..40 {
        let now = events[n].time_ms;
        let exact: Milli = events[..=n].iter().map(|event| base.decayed(3000, now - event.time_ms)).sum();
        for (wanted, expected) in [(exact, n), (exact + 1, n + 1)] {
            let options = PolicyOptions { score_min: wanted, ..base.clone() };
            let since = judge(&events, &Facts::default(), &options).listings.first().map(|l| l.since_ms);
            assert_eq!(since, events.get(expected).map(|event| event.time_ms), "{n}");
        }
    }
}
