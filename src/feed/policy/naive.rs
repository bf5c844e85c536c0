//! The rules once more, as simply as they can be said, without a thought for speed: an oracle for [`judge`].

use super::*;
use crate::feed::event::testing::{event, recipient};
use crate::feed::event::{self, EventRecipient};
use crate::feed::session::{Answer, Kind};

/// Evidence with everything that the rules ask of it.
#[derive(Clone)]
struct Item {
    /// When.
    time: i64,
    /// The event.
    event: usize,
    /// What.
    signal: Signal,
    /// Worth.
    points: i64,
    /// For whom.
    keys: Vec<RecipientKey>,
}

/// All evidence, in order.
fn items(events: &[Event], facts: &Facts, options: &PolicyOptions) -> Vec<Item> {
    let mut items = Vec::new();
    for (n, event) in events.iter().enumerate() {
        let shown = evidence::of_event(event, &options.evidence, &facts.joe_jobs);
        for e in shown.evidence {
            let keys = if e.signal == Signal::OwnRefusal { vec![RecipientKey::Unseen] } else { e.recipients };
            items.push(Item { time: event.time_ms, event: n, signal: e.signal, points: e.points, keys });
        }
        for e in shown.put_off {
            for key in e.recipients {
                let due = event.time_ms + options.comeback_ms;
                let back = |later: &Event| {
                    later.time_ms > event.time_ms
                        && later.time_ms <= due
                        && evidence::recipients(later, &facts.joe_jobs).any(|other| other == key)
                };
                if key != RecipientKey::Unseen && !events.iter().any(back) {
                    items.push(Item { time: due, event: n, signal: e.signal, points: e.points, keys: vec![key] });
                }
            }
        }
    }
    items.sort_by_key(|item| (item.time, item.event, item.signal));
    items
}

/// A listing: since, until, number in a row, codes.
type Plain = (i64, i64, u32, Vec<Code>);

/// Judge by the rules as they stand in docs/listing-policy.md.
fn naive(events: &[Event], facts: &Facts, options: &PolicyOptions) -> Vec<Plain> {
    let mut counted: Vec<Item> = Vec::new();
    let mut listings: Vec<(i64, i64, u32, bool)> = Vec::new();
    let mut marks: Vec<(Signal, RecipientKey, i64)> = Vec::new();
    let mut codes = Vec::new();
    let (mut row, mut removed) = (0u32, i64::MIN);
    let mut acts: Vec<(i64, Option<bool>)> = facts.allowances.iter().map(|a| (a.from_ms, None)).collect();
    acts.extend(facts.removals.iter().map(|r| (r.time_ms, Some(r.by_operator))));
    acts.sort_by_key(|act| act.0);
    let end = |listings: &mut Vec<(i64, i64, u32, bool)>, time| {
        let open = listings.last_mut().filter(|l| l.3 && l.1 > time);
        open.map(|listing| (listing.1, listing.3) = (time, false)).is_some()
    };
    let mut last = None;
    let all = items(events, facts, options);
    let mut fresh_at = None;
    for (n, item) in all.iter().enumerate() {
        while let Some(&(time, removal)) = acts.first().filter(|act| act.0 < item.time) {
            acts.remove(0);
            row -= u32::from(end(&mut listings, time) && removal == Some(true));
            if removal.is_some() {
                (removed, marks) = (time + 1, Vec::new());
            }
        }
        let fresh = |key: &&RecipientKey| {
            let before = |m: &(Signal, RecipientKey, i64)| {
                m.0 == item.signal && m.1 == **key && item.time - m.2 < options.repeat_ms
            };
            !marks.iter().any(before)
        };
        let new: Vec<RecipientKey> = item.keys.iter().filter(fresh).cloned().collect();
        let counts = item.points > 0 && !new.is_empty();
        let serious = counts && item.signal != Signal::OwnRefusal;
        if counts {
            marks.extend(new.into_iter().map(|key| (item.signal, key, item.time)));
            counted.push(item.clone());
            fresh_at = Some(item.time);
        }
        if fresh_at != Some(item.time) {
            continue;
        }
        if serious {
            if last.is_some_and(|last| item.time - last >= options.clean_ms) {
                row = 0;
            }
            last = Some(item.time);
        }
        let window: Vec<&Item> =
            counted.iter().filter(|i| i.time >= removed && item.time - i.time < options.window_ms).collect();
        let left = |i: &Item| {
            (i.points as f64 * 0.5f64.powf((item.time - i.time) as f64 / options.half_life_ms as f64)).round() as i64
        };
        let score: i64 = window.iter().map(|i| left(i)).sum();
        let grave: Vec<&&Item> = window.iter().filter(|i| i.signal != Signal::OwnRefusal).collect();
        let mut keys: Vec<&RecipientKey> =
            grave.iter().flat_map(|i| &i.keys).filter(|k| **k != RecipientKey::Unseen).collect();
        keys.sort();
        keys.dedup();
        let mut sessions: Vec<usize> = grave.iter().map(|i| i.event).collect();
        sessions.dedup();
        sessions.sort_unstable();
        sessions.dedup();
        let whammies = grave.iter().filter(|i| i.signal == Signal::DoubleWhammy).count();
        let messages: i64 = facts
            .messages
            .iter()
            .filter(|(day, _)| (item.time / DAY_MS - options.ratio_days + 1..=item.time / DAY_MS).contains(day))
            .map(|(_, n)| i64::from(*n))
            .sum();
        let name = || {
            let share = |code| window.iter().filter(|i| i.signal.code() == Some(code)).map(|i| left(i)).sum::<i64>();
            let named = |code: &Code| share(*code) > 0 && (share(*code) >= 3000 || share(*code) * 4 >= score);
            let some: Vec<Code> = Code::ALL.into_iter().filter(named).collect();
            if some.is_empty() { Code::ALL.to_vec() } else { some }
        };
        if let Some(listing) = listings.last_mut().filter(|l| l.3 && l.1 > item.time) {
            if serious {
                // Every piece of this moment but the last is done over by the next.
                listing.1 = item.time + options.term_ms(listing.2);
                *codes.last_mut().unwrap() = name();
            }
            continue;
        }
        let broad = sessions.len() >= options.sessions_min
            && (keys.len() >= options.recipients_min
                || whammies >= options.whammies_min && keys.len() >= options.whammy_recipients_min);
        let spread = grave.first().map_or(0, |first| item.time - first.time) >= options.spread_ms_min;
        let allowed = facts.allowances.iter().any(|a| a.from_ms <= item.time && item.time < a.to_ms);
        let last_of_moment = all.get(n + 1).is_none_or(|next| next.time > item.time);
        if last_of_moment
            && score >= options.score_min
            && broad
            && (spread || score >= options.score_at_once)
            && !allowed
            && (messages == 0 || score > messages * options.ratio_percent * 10)
        {
            row += 1;
            listings.push((item.time, item.time + options.term_ms(row), row, true));
            codes.push(name());
        }
    }
    for (time, _) in acts {
        end(&mut listings, time);
    }
    listings.into_iter().zip(codes).map(|((since, until, nth, _), codes)| (since, until, nth, codes)).collect()
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A year of a host, from hardly ever to all the time.
fn year(dice: &mut Dice, events: u64) -> Vec<Event> {
    let people = 1 + dice.below(12);
    let mut year: Vec<Event> = (0..events)
        .map(|n| {
            // In bursts, so that quiet times are long enough for everything to be forgotten.
            let burst = dice.below(1 + events / 12);
            let time_ms = (burst * 7919 % 365) as i64 * DAY_MS + dice.below(2 * DAY_MS as u64) as i64;
            let answers =
                [Answer::Ok, Answer::UnknownUser, Answer::Greylisted, Answer::Blocked(Some("bl.example".into()))];
            let answer = answers[dice.below(4) as usize].clone();
            let kind = match (&answer, dice.below(3)) {
                (Answer::Ok, 0) => Kind::DsnAccepted,
                (Answer::Ok, _) => Kind::Callout,
                (Answer::UnknownUser, 0) => Kind::BackscatterRejected,
                (Answer::UnknownUser, _) => Kind::NullRejected,
                (Answer::Greylisted, _) => Kind::NullDeferred,
                _ => Kind::NullBlocked,
            };
            let to = EventRecipient {
                random: dice.below(6) == 0,
                solicited: dice.below(4) == 0,
                trap: dice.below(20) == 0,
                ..recipient(dice.below(people), answer)
            };
            let mut session = event(n, time_ms, "203.0.113.9", kind, vec![to]);
            if dice.below(4) == 0 {
                let second = session.transactions[0].clone();
                session.transactions.push(second);
                session.transactions[1].recipients[0] = recipient(dice.below(people), Answer::Ok);
            }
            session
        })
        .collect();
    event::sort(&mut year);
    year
}

#[test]
fn both_agree_on_years_of_many_hosts() {
    let mut options = PolicyOptions::default();
    options.evidence.own_zones = vec!["bl.example".into()];
    let mut listed = [0; 5];
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let size = [5, 20, 60, 200][dice.below(4) as usize];
        let events = year(&mut dice, size);
        let mut facts = Facts::default();
        for _ in 0..dice.below(3) {
            let time_ms = dice.below(365 * DAY_MS as u64) as i64;
            facts.removals.push(Removal { time_ms, by_operator: dice.below(2) == 0 });
        }
        facts.removals.sort_by_key(|removal| removal.time_ms);
        if dice.below(3) == 0 {
            let from_ms = dice.below(365 * DAY_MS as u64) as i64;
            facts.allowances.push(Allowance { from_ms, to_ms: from_ms + 30 * DAY_MS, reason: String::new() });
        }
        if dice.below(3) == 0 {
            facts.messages = (0..365).map(|day| (day, dice.below(20) as u32)).collect();
        }
        let history = judge(&events, &facts, &options);
        let got: Vec<Plain> =
            history.listings.iter().map(|l| (l.since_ms, l.until_ms, l.nth, l.codes.clone())).collect();
        assert_eq!(got, naive(&events, &facts, &options), "seed {seed}");
        listed[got.len().min(4)] += 1;
        for listing in &history.listings {
            // What is shown at any moment adds up to what listed it.
            let then = standing(&history, &options, listing.since_ms);
            assert_eq!(then.score, listing.score, "seed {seed}");
            assert_eq!(then.weights.iter().map(|(_, weight)| weight).sum::<i64>(), then.score);
            // What followed stays when the events that it followed from are gone.
            let before_ms = listing.since_ms + DAY_MS;
            let kept: Vec<Event> =
                events.iter().filter(|e| e.time_ms >= before_ms - options.window_ms - DAY_MS).cloned().collect();
            let known = history.listings.iter().filter(|l| l.since_ms < before_ms).cloned().collect();
            let base = Facts { base: Some(Base { before_ms, listings: known }), ..facts.clone() };
            let again = judge(&kept, &base, &options);
            // What comes later may differ by a piece: what was counted within a day before the first event kept is not known.
            let short = |l: &Listing| (l.since_ms, l.nth, l.until_ms.min(before_ms));
            let known = |history: &History| -> Vec<_> {
                history.listings.iter().filter(|l| l.since_ms < before_ms).map(short).collect()
            };
            assert_eq!(known(&again), known(&history), "seed {seed}");
        }
    }
    // Not a test of nothing.
    assert!(listed.iter().all(|&hosts| hosts > 5), "{listed:?}");
}
