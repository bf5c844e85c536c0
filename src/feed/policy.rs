//! From the events of a host to its listings: a pure function of events, settings and the operator's actions.
//!
//! Time comes from the events alone. So the order in which logs are read changes nothing, reading twice changes nothing, and
//! a replay of old logs tells what watching them would have told. `docs/listing-policy.md` says the same to operators.

#[cfg(test)]
mod naive;
mod rules;
mod standing;

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::event::Event;
use super::evidence::{self, Code, Evidence, Milli, RecipientKey, Signal};
use super::listing::{Ended, History, Listing, Piece, Seen, Weighed};
use super::protection::Exemption;

pub use rules::{Allowance, Base, Facts, PolicyOptions, Removal, WELCOME_KEEP_MS, Welcome};
pub use standing::{Standing, State, standing};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// A kind of abuse is named if it makes one part in so many of the score …
const CODE_PARTS: Milli = 4;
/// … or so many thousandths of a point: one plain callout or bounce.
const CODE_POINTS_MIN: Milli = 3_000;
/// With fewer instances than asked for, the score must be so many times the threshold.
const SINGLE_REPORTER_FACTOR: Milli = 2;

/// What happens, in order of time.
enum Turn {
    /// Evidence, by its place among the pieces.
    Piece(usize),
    /// A removal; by the operator?
    Removal(bool),
    /// An allowance begins.
    Allowance,
}

/// Judge a host by its events, which are in the order of [`event::sort`](super::event::sort).
pub fn judge(events: &[Event], facts: &Facts, options: &PolicyOptions) -> History {
    let (pieces, keys) = pieces(events, facts, options);
    let mut turns: Vec<(i64, Turn)> = pieces.iter().enumerate().map(|(n, p)| (p.time_ms, Turn::Piece(n))).collect();
    turns.extend(facts.removals.iter().map(|r| (r.time_ms, Turn::Removal(r.by_operator))));
    turns.extend(facts.allowances.iter().map(|a| (a.from_ms, Turn::Allowance)));
    // A removal takes away what came before it and at the same moment.
    turns.sort_by_key(|(time, turn)| (*time, !matches!(turn, Turn::Piece(_))));
    let recipients = keys.iter().map(|key| *key != RecipientKey::Unseen).collect();
    let mut removals_ms: Vec<i64> = facts.removals.iter().map(|removal| removal.time_ms).collect();
    removals_ms.sort_unstable();
    let history = History { pieces, recipients, removals_ms, ..History::default() };
    let mut judge = Judge {
        events,
        facts,
        options,
        messages: messages_by_day(events, facts),
        history,
        window: Window::default(),
        counted: HashMap::new(),
        open: None,
        listed: 0,
        fresh: false,
        last_ms: None,
    };
    let begin_ms = judge.begin();
    let mut turns = turns.into_iter().peekable();
    while let Some((time_ms, turn)) = turns.next() {
        if time_ms < begin_ms {
            if let Turn::Piece(n) = turn {
                judge.weigh(n);
            }
            continue;
        }
        judge.expire(time_ms);
        match turn {
            Turn::Piece(n) => judge.piece(n),
            Turn::Removal(by_operator) => judge.removal(time_ms, by_operator),
            Turn::Allowance => judge.end(time_ms, Ended::Allowed),
        }
        // What one moment brings is judged together.
        let more = turns.peek().is_some_and(|(next, turn)| *next == time_ms && matches!(turn, Turn::Piece(_)));
        if !more && std::mem::take(&mut judge.fresh) && judge.open.is_none() {
            judge.consider(time_ms);
        }
    }
    judge.expire(i64::MAX);
    judge.history
}

/// All evidence of a host in order of time, and the recipients that it is about.
fn pieces(events: &[Event], facts: &Facts, options: &PolicyOptions) -> (Vec<Piece>, Vec<RecipientKey>) {
    let mut numbers: HashMap<RecipientKey, usize> = HashMap::new();
    let mut keys = Vec::new();
    let mut pieces = Vec::new();
    let mut number = |key: &RecipientKey| {
        *numbers.entry_ref(key).or_insert_with(|| {
            keys.push(key.clone());
            keys.len() - 1
        })
    };
    let mut put_off = Vec::new();
    for (n, event) in events.iter().enumerate() {
        let shown = evidence::of_event(event, &options.evidence, &facts.joe_jobs);
        let mut piece = |e: Evidence, time_ms| Piece {
            event: n,
            time_ms,
            signal: e.signal,
            points: e.points,
            solicited: e.solicited,
            // Our own list's refusals count once a day, whomever they kept from what.
            recipients: match e.signal {
                Signal::OwnRefusal => vec![number(&RecipientKey::Unseen)],
                _ => e.recipients.iter().map(&mut number).collect(),
            },
            weighed: Weighed::Counted,
        };
        pieces.extend(shown.evidence.into_iter().map(|e| piece(e, event.time_ms)));
        for e in shown.put_off {
            for recipient in e.recipients.iter().filter(|key| **key != RecipientKey::Unseen) {
                let alone = Evidence { recipients: vec![recipient.clone()], ..e.clone() };
                let due = event.time_ms.saturating_add(options.comeback_ms);
                put_off.push((event.time_ms, recipient.clone(), piece(alone, due)));
            }
        }
    }
    if !put_off.is_empty() {
        let seen = sightings(events, facts);
        pieces.extend(put_off.into_iter().filter_map(|(from_ms, recipient, piece)| {
            let times = seen.get(&recipient).map_or(&[][..], Vec::as_slice);
            let next = times.get(times.partition_point(|&time| time <= from_ms));
            next.is_none_or(|&time| time > piece.time_ms).then_some(piece)
        }));
    }
    pieces.sort_by_key(|piece| (piece.time_ms, piece.event, piece.signal));
    (pieces, keys)
}

/// When each recipient was asked about, ascending.
fn sightings(events: &[Event], facts: &Facts) -> HashMap<RecipientKey, Vec<i64>> {
    let mut seen: HashMap<RecipientKey, Vec<i64>> = HashMap::new();
    for event in events {
        for key in evidence::recipients(event, &facts.joe_jobs) {
            seen.entry(key).or_default().push(event.time_ms);
        }
    }
    seen
}

/// Evidence that counts now, and sums over it that cost nothing to keep.
#[derive(Default)]
struct Window<'e> {
    /// Pieces, the oldest first.
    pieces: VecDeque<usize>,
    /// How many pieces there are of each recipient.
    recipients: HashMap<usize, u32>,
    /// … of each event.
    sessions: HashMap<usize, u32>,
    /// … of each mail server of ours.
    reporters: HashMap<&'e str, u32>,
    /// Sessions with an invented address.
    whammies: usize,
    /// At least the score, but for rounding; and the time it is for.
    about: (f64, i64),
}

/// A host being judged.
struct Judge<'e> {
    /// Its events.
    events: &'e [Event],
    /// What else is known.
    facts: &'e Facts,
    /// The rules.
    options: &'e PolicyOptions,
    /// Ordinary messages by day, ascending.
    messages: Vec<(i64, i64)>,
    /// What was found so far.
    history: History,
    /// What counts at the time that we have come to.
    window: Window<'e>,
    /// When a signal was counted last for a recipient.
    counted: HashMap<(Signal, usize), i64>,
    /// The listing in force.
    open: Option<Listing>,
    /// Listings in a row.
    listed: u32,
    /// Evidence was counted at this moment.
    fresh: bool,
    /// The last evidence that was no doing of our own list.
    last_ms: Option<i64>,
}

impl Judge<'_> {
    /// Begin with what is known from before the first event. What people did before the time that this gives is part of that.
    fn begin(&mut self) -> i64 {
        let Some(Base { before_ms, listings }) = &self.facts.base else { return i64::MIN };
        self.history.listings.clone_from(listings);
        if let Some(last) = listings.last() {
            self.listed = last.nth - u32::from(last.ended == Ended::RemovedByOperator && last.until_ms < *before_ms);
            self.last_ms = Some(last.seen.last_ms.min(*before_ms));
            self.history.would_list_at_ms = Some(last.since_ms);
        }
        if let Some(mut open) = self.history.listings.pop_if(|last| last.until_ms >= *before_ms) {
            // What prolonged it later is among the events, and so is what ended it.
            if open.seen.last_ms >= *before_ms || open.ended != Ended::Expired {
                open.until_ms = before_ms.saturating_add(open.term_ms);
            }
            open.ended = Ended::Expired;
            self.open = Some(open);
        }
        *before_ms
    }

    /// The next piece of evidence.
    fn piece(&mut self, n: usize) {
        if self.weigh(n) != Weighed::Counted {
            return;
        }
        let (time_ms, signal) = (self.history.pieces[n].time_ms, self.history.pieces[n].signal);
        if signal.prolongs() {
            if self.last_ms.is_some_and(|last| time_ms - last >= self.options.clean_ms) {
                self.listed = 0;
            }
            self.last_ms = Some(time_ms);
        }
        self.fresh = true;
        if let Some(listing) = self.open.as_mut().filter(|_| signal.prolongs()) {
            listing.until_ms = time_ms.saturating_add(listing.term_ms);
        }
    }

    /// What becomes of a piece; if it counts it is in the window.
    fn weigh(&mut self, n: usize) -> Weighed {
        let weighed = if self.history.pieces[n].points <= 0 { Weighed::Worthless } else { self.repeated(n) };
        self.history.pieces[n].weighed = weighed;
        if weighed == Weighed::Counted {
            self.add(n);
        }
        weighed
    }

    /// Was it counted before? What is counted now is noted.
    fn repeated(&mut self, n: usize) -> Weighed {
        let piece = &self.history.pieces[n];
        let mut weighed = Weighed::Repeated;
        for &recipient in &piece.recipients {
            let last = self.counted.entry((piece.signal, recipient)).or_insert(i64::MIN);
            if piece.time_ms.saturating_sub(*last) >= self.options.repeat_ms {
                *last = piece.time_ms;
                weighed = Weighed::Counted;
            }
        }
        weighed
    }

    /// Take a piece into the window, and let out what is too old.
    fn add(&mut self, n: usize) {
        let now_ms = self.history.pieces[n].time_ms;
        while let Some(&oldest) = self.window.pieces.front() {
            if now_ms - self.history.pieces[oldest].time_ms < self.options.window_ms {
                break;
            }
            self.window.pieces.pop_front();
            self.count(oldest, false);
        }
        self.window.pieces.push_back(n);
        self.count(n, true);
        let (about, at_ms) = self.window.about;
        let faded = about * (-((now_ms - at_ms) as f64) / self.options.half_life_ms as f64).exp2();
        self.window.about = (faded + self.history.pieces[n].points as f64, now_ms);
    }

    /// Count what a piece adds to the window, or takes from it.
    fn count(&mut self, n: usize, more: bool) {
        /// One more or one less of a thing.
        fn change<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: K, more: bool) {
            if more {
                *counts.entry(key).or_insert(0) += 1;
            } else if let hashbrown::hash_map::Entry::Occupied(mut entry) = counts.entry(key) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        let piece = &self.history.pieces[n];
        // What our own list refused shows no more of a host than was known.
        if !piece.signal.prolongs() {
            return;
        }
        for &recipient in &piece.recipients {
            if self.history.recipients[recipient] {
                change(&mut self.window.recipients, recipient, more);
            }
        }
        change(&mut self.window.sessions, piece.event, more);
        change(&mut self.window.reporters, &*self.events[piece.event].host, more);
        if piece.signal == Signal::DoubleWhammy {
            self.window.whammies = if more { self.window.whammies + 1 } else { self.window.whammies.saturating_sub(1) };
        }
    }

    /// The points left in the window at a time.
    fn score(&self, now_ms: i64) -> Milli {
        let left = |&n: &usize| {
            let piece = &self.history.pieces[n];
            self.options.decayed(piece.points, now_ms - piece.time_ms)
        };
        self.window.pieces.iter().map(left).sum()
    }

    /// List the host if all conditions hold.
    fn consider(&mut self, now_ms: i64) {
        let exemption = self.facts.exemption_at(now_ms);
        let wanted = threshold(self.options, &exemption);
        // Once it is known what keeps the host off the list, only what would still list it matters.
        let exempt = matches!(*exemption, Exemption::Exempt(_));
        let lowest = match self.history.would_list_at_ms {
            Some(_) => wanted.max(self.excused(self.messages(now_ms))),
            None => self.options.score_min,
        };
        // Half a thousandth is what rounding adds to a piece at most.
        let at_most = self.window.about.0 + self.window.pieces.len() as f64 / 2.0 + 1.0;
        if at_most < lowest as f64 || exempt && self.history.would_list_at_ms.is_some() || !self.is_broad() {
            return;
        }
        let score = self.score(now_ms);
        if !self.suffices(score, self.options.score_min, self.options.score_at_once, now_ms) {
            return;
        }
        if let Some(reason) = self.protection(score, wanted, now_ms) {
            self.history.would_list_at_ms.get_or_insert(now_ms);
            self.history.protected_by = Some(reason);
            return;
        }
        self.listed += 1;
        let term_ms = self.options.term_ms(self.listed);
        self.history.would_list_at_ms = Some(now_ms);
        self.history.protected_by = None;
        self.open = Some(Listing {
            since_ms: now_ms,
            until_ms: now_ms.saturating_add(term_ms),
            ended: Ended::Expired,
            term_ms,
            nth: self.listed,
            codes: Vec::new(),
            score,
            seen: Seen::default(),
        });
    }

    /// Are there enough recipients and sessions?
    fn is_broad(&self) -> bool {
        let (window, options) = (&self.window, self.options);
        let recipients = window.recipients.len();
        let whammies = window.whammies >= options.whammies_min && recipients >= options.whammy_recipients_min;
        window.sessions.len() >= options.sessions_min && (recipients >= options.recipients_min || whammies)
    }

    /// Do these points suffice, with the time over which they came and those who saw them?
    fn suffices(&self, score: Milli, score_min: Milli, score_at_once: Milli, now_ms: i64) -> bool {
        let prolongs = |n: &&usize| self.history.pieces[**n].signal.prolongs();
        let first = self.window.pieces.iter().find(prolongs).map_or(now_ms, |&n| self.history.pieces[n].time_ms);
        let spread = now_ms - first >= self.options.spread_ms_min || score >= score_at_once;
        let reporters = self.window.reporters.len() >= self.options.reporters_min;
        score >= score_min && spread && (reporters || score >= score_min.saturating_mul(SINGLE_REPORTER_FACTOR))
    }

    /// What keeps a host with so many points off the list.
    fn protection(&self, score: Milli, wanted: Milli, now_ms: i64) -> Option<String> {
        let options = self.options;
        let exemption = self.facts.exemption_at(now_ms);
        if let Exemption::Exempt(reason) = &*exemption {
            return Some(reason.clone());
        }
        let holds = |a: &&Allowance| (a.from_ms..a.to_ms).contains(&now_ms);
        if let Some(allowance) = self.facts.allowances.iter().find(holds) {
            return Some(format!("allowed: {}", allowance.reason));
        }
        if let Exemption::Shared(name) = &*exemption {
            let at_once = options.score_at_once.saturating_mul(options.shared_factor);
            if !self.suffices(score, wanted, at_once, now_ms) {
                return Some(format!(
                    "shared provider ({name}): {} times the points are wanted",
                    options.shared_factor
                ));
            }
        }
        let messages = self.messages(now_ms);
        if messages > 0 && score <= self.excused(messages) {
            let percent = options.ratio_percent;
            return Some(format!(
                "ordinary mail: {messages} messages taken in {} days, and the points are no more than {percent} % of that",
                options.ratio_days
            ));
        }
        None
    }

    /// Ordinary messages taken in the days up to a time.
    fn messages(&self, now_ms: i64) -> i64 {
        let today = now_ms.div_euclid(DAY_MS);
        let first = self.messages.partition_point(|(day, _)| *day <= today - self.options.ratio_days);
        self.messages[first..].iter().take_while(|(day, _)| *day <= today).map(|(_, n)| n).sum()
    }

    /// Points, in thousandths, that are not more than ordinary mail excuses.
    fn excused(&self, messages: i64) -> Milli {
        messages.saturating_mul(self.options.ratio_percent) * 10
    }

    /// End the listing if its time has come.
    fn expire(&mut self, now_ms: i64) {
        if let Some(listing) = &self.open
            && listing.until_ms <= now_ms
        {
            let until_ms = listing.until_ms;
            self.end(until_ms, Ended::Expired);
        }
    }

    /// A removal: what came before it does not count any more.
    fn removal(&mut self, now_ms: i64, by_operator: bool) {
        if self.open.is_some() && by_operator {
            // Perhaps it was wrong, so it must not lengthen the next.
            self.listed = self.listed.saturating_sub(1);
        }
        self.fresh = false;
        self.end(now_ms, if by_operator { Ended::RemovedByOperator } else { Ended::RemovedByOwner });
        self.window = Window::default();
        self.counted.clear();
    }

    /// End the listing in force, if there is one.
    fn end(&mut self, now_ms: i64, ended: Ended) {
        let Some(mut listing) = self.open.take() else { return };
        listing.until_ms = now_ms;
        listing.ended = ended;
        // Without evidence since the events begin there is nothing to add to what was known.
        if !self.window.pieces.is_empty() {
            (listing.codes, listing.seen) = self.seen();
        }
        self.history.listings.push(listing);
    }

    /// What the window holds, at the time of its last piece, and what that is to be called.
    fn seen(&self) -> (Vec<Code>, Seen) {
        let pieces = || self.window.pieces.iter().map(|&n| &self.history.pieces[n]);
        let last = pieces().rev().find(|piece| piece.signal.prolongs());
        let last_ms = last.map_or(0, |piece| piece.time_ms);
        let mut seen = Seen {
            score: 0,
            recipients: self.window.recipients.len(),
            sessions: self.window.sessions.len(),
            last_ms,
            helo: last.and_then(|piece| self.events[piece.event].helo.clone()),
            ..Seen::default()
        };
        let mut shares = [0; Code::ALL.len()];
        for piece in pieces().filter(|piece| piece.time_ms <= last_ms) {
            let left = self.options.decayed(piece.points, last_ms - piece.time_ms);
            seen.score += left;
            for (signal, count) in Signal::ALL.iter().zip(&mut seen.signals) {
                *count += u32::from(*signal == piece.signal);
            }
            for (code, share) in Code::ALL.iter().zip(&mut shares) {
                *share += if piece.signal.code() == Some(*code) { left } else { 0 };
            }
        }
        (codes(shares, seen.score), seen)
    }
}

/// Ordinary messages of a host by day, ascending: those counted, and those of sessions that were evidence as well.
fn messages_by_day(events: &[Event], facts: &Facts) -> Vec<(i64, i64)> {
    let mut days: Vec<(i64, i64)> = facts.messages.iter().map(|&(day, n)| (day, i64::from(n))).collect();
    let beside = events.iter().map(|event| (event.time_ms.div_euclid(DAY_MS), i64::from(event.messages())));
    days.extend(beside.filter(|(_, n)| *n > 0));
    days.sort_unstable();
    days
}

/// What a host is listed for: each kind of abuse that makes a fair part of the score. Where the log never tells which
/// of the two it was, both.
fn codes(shares: [Milli; Code::ALL.len()], score: Milli) -> Vec<Code> {
    let fair = |share: Milli| share > 0 && (share >= CODE_POINTS_MIN || share * CODE_PARTS >= score);
    let codes: Vec<Code> = Code::ALL.into_iter().zip(shares).filter(|(_, s)| fair(*s)).map(|(code, _)| code).collect();
    if codes.is_empty() { Code::ALL.to_vec() } else { codes }
}

/// The points that list a host, in thousandths.
pub fn threshold(options: &PolicyOptions, exemption: &Exemption) -> Milli {
    let factor = if matches!(exemption, Exemption::Shared(_)) { options.shared_factor } else { 1 };
    options.score_min.saturating_mul(factor)
}

#[cfg(test)]
mod tests;
