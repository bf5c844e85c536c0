//! All targets at once: hits in, joe-jobs out, within bounds.
//!
//! What is found depends on the hits alone, not on the order in which they come, as long as none comes more than [`LATE_MINUTES`] after
//! a later one: up to there each target's [`Life`] is settled, and from there on it is gone through again whenever something new comes. So a
//! joe-job is told at once, and a restart that feeds the stored hits again finds the same.

use std::collections::{BTreeSet, HashMap};

use super::hit::{Hit, Target};
use super::life::{Attack, Life};
use super::report::JoeJob;
use super::window::Window;
use super::{JoeJobOptions, LATE_MINUTES, MINUTE_MS, WINDOW_MINUTES};

/// Targets watched. Each costs some hundred octets while it is quiet; more are forgotten, the longest untouched first. With a
/// catch-all every invented address is one, so there must be a bound.
const TARGETS_MAX: usize = 100_000;
/// Pairs of minute and source kept in all, 16 octets each.
const PAIRS_MAX: usize = 4_000_000;
/// Message ids shown of a joe-job.
const MESSAGE_IDS_MAX: usize = 5;

/// A time in which a target was flooded. All its mail counts as that of one recipient then, whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// What was flooded.
    pub target: Target,
    /// From this time on, in milliseconds since 1970 (UTC).
    pub from_ms: i64,
    /// Up to this time, exclusive; the last is [`i64::MAX`] while it runs.
    pub to_ms: i64,
}

/// What happened to a joe-job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It began.
    Raised,
    /// It is over.
    Ended,
    /// It goes on, within the cool-down after its end.
    Resumed,
    /// Its cool-down is over: it is history.
    Closed,
}

/// A change, and the joe-job as it is after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What happened.
    pub event: Event,
    /// Whom it concerns.
    pub target: Target,
    /// How it stands.
    pub report: JoeJob,
}

/// What was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DetectorCounts {
    /// Hits that came too late to count.
    pub late: u64,
    /// Targets forgotten for want of room.
    pub forgotten: u64,
    /// Hits dropped for want of room.
    pub dropped: u64,
}

/// One target.
#[derive(Debug)]
struct Tracked {
    /// Who came when.
    window: Window,
    /// Where it stood at `settled`.
    life: Life,
    /// The last minute for which nothing can change any more.
    settled: i64,
    /// Where it stands now, as far as is known.
    shown: Life,
    /// The address, while it is needed for a report.
    address: Option<Box<str>>,
    /// Some messages.
    message_ids: Vec<Box<str>>,
    /// The last minute with a hit.
    touched: i64,
}

/// Watches all targets.
#[derive(Debug)]
pub struct Detector {
    /// When a joe-job is one.
    options: JoeJobOptions,
    /// The first minute that was watched.
    since: i64,
    /// The latest minute seen.
    clock: i64,
    /// Targets.
    targets: HashMap<Target, Tracked>,
    /// Those that are, or in the cool-down were, under attack.
    attacked: BTreeSet<Target>,
    /// Pairs kept of all targets.
    pairs: usize,
    /// What was left out.
    counts: DetectorCounts,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(options: JoeJobOptions) -> Self {
        Self {
            options,
            since: i64::MAX,
            clock: i64::MIN,
            targets: HashMap::new(),
            attacked: BTreeSet::new(),
            pairs: 0,
            counts: DetectorCounts::default(),
        }
    }

    /// What was left out.
    pub fn counts(&self) -> DetectorCounts {
        self.counts
    }

    /// Targets that are watched.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// The log's clock says `time_ms`: what was waiting for that goes on.
    pub fn advance(&mut self, time_ms: i64, changes: &mut Vec<Change>) {
        let minute = time_ms.div_euclid(MINUTE_MS);
        self.since = self.since.min(minute);
        if minute <= self.clock {
            return;
        }
        let new_hour = self.clock == i64::MIN || minute.div_euclid(60) > self.clock.div_euclid(60);
        self.clock = minute;
        for target in self.attacked.iter().cloned().collect::<Vec<_>>() {
            self.look(&target, changes);
        }
        if new_hour {
            self.sweep();
        }
    }

    /// Null-sender mail has come.
    pub fn hit(&mut self, hit: &Hit, changes: &mut Vec<Change>) {
        self.advance(hit.time_ms, changes);
        let minute = hit.time_ms.div_euclid(MINUTE_MS);
        let settled = self.clock - LATE_MINUTES;
        if minute <= settled {
            self.counts.late += 1;
            return;
        }
        if !self.has_room_for(&hit.target) {
            self.counts.dropped += 1;
            return;
        }
        let tracked = self.targets.entry(hit.target.clone()).or_insert_with(|| Tracked {
            window: Window::default(),
            life: Life::Idle,
            settled,
            shown: Life::Idle,
            address: None,
            message_ids: Vec::new(),
            touched: minute,
        });
        let before = tracked.window.pairs();
        // What leaves the cool-down here was told when the clock went on.
        tracked.settle(settled, self.since, &self.options);
        let new = tracked.window.add(minute, hit.source);
        self.pairs = self.pairs + tracked.window.pairs() - before;
        tracked.touched = tracked.touched.max(minute);
        if tracked.address.is_none() {
            tracked.address.clone_from(&hit.address);
        }
        if let Some(id) = &hit.message_id
            && tracked.message_ids.len() < MESSAGE_IDS_MAX
            && !tracked.message_ids.contains(id)
        {
            tracked.message_ids.push(id.clone());
        }
        // One that runs is looked at once a minute.
        if new && !tracked.shown.is_running() && tracked.window.pairs() >= self.options.sources_min as usize {
            self.look(&hit.target, changes);
        }
    }

    /// Bring a target up to the clock and tell what has changed.
    fn look(&mut self, target: &Target, changes: &mut Vec<Change>) {
        let Some(tracked) = self.targets.get_mut(target) else { return };
        let before = tracked.window.pairs();
        let (clock, since, options) = (self.clock, self.since, &self.options);
        let mut over = tracked.settle(clock - LATE_MINUTES, since, options);
        self.pairs = self.pairs + tracked.window.pairs() - before;
        let (now, left) = tracked.at(clock, since, options);
        over = left.or(over);
        let was = std::mem::replace(&mut tracked.shown, now);
        // Once shown as over it stays so, though settling it comes later.
        let closed = match (was.attack(), tracked.shown.attack()) {
            (Some(was), Some(now)) => was.ended.is_some_and(|ended| now.raised >= ended + options.cool_down_minutes),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let mut tell = |event, attack: &Attack, tracked: &Tracked| {
            let report = JoeJob::new(target, tracked.address.as_deref(), &tracked.message_ids, attack);
            changes.push(Change { event, target: target.clone(), report });
        };
        if closed {
            if let Some(attack) = over.as_deref().or(was.attack()) {
                // The clock has made a leap.
                if was.is_running() {
                    tell(Event::Ended, attack, tracked);
                }
                tell(Event::Closed, attack, tracked);
            }
            tracked.message_ids.clear();
        }
        if let Some(attack) = tracked.shown.attack() {
            let running = attack.ended.is_none();
            match was.attack().filter(|_| !closed).map(|was| was.ended.is_none()) {
                None => {
                    tell(Event::Raised, attack, tracked);
                    // Over already: hits of the past, all at once.
                    if !running {
                        tell(Event::Ended, attack, tracked);
                    }
                }
                Some(true) if !running => tell(Event::Ended, attack, tracked),
                Some(false) if running => tell(Event::Resumed, attack, tracked),
                Some(_) => {}
            }
        }
        if tracked.shown.attack().is_some() || tracked.life.attack().is_some() {
            self.attacked.insert(target.clone());
        } else {
            self.attacked.remove(target);
        }
    }

    /// Forget what is over, once an hour.
    fn sweep(&mut self) {
        let (settled, since, options) = (self.clock - LATE_MINUTES, self.since, &self.options);
        let attacked = &self.attacked;
        self.targets.retain(|target, tracked| {
            if attacked.contains(target) {
                return true;
            }
            tracked.settle(settled, since, options);
            if tracked.window.is_quiet() {
                tracked.address = None;
                tracked.message_ids.clear();
            }
            !tracked.window.is_empty()
        });
        self.pairs = self.targets.values().map(|tracked| tracked.window.pairs()).sum();
    }

    /// Make room for one more hit, if that can be.
    fn has_room_for(&mut self, target: &Target) -> bool {
        let full = |this: &Self| {
            this.pairs >= PAIRS_MAX || (this.targets.len() >= TARGETS_MAX && !this.targets.contains_key(target))
        };
        if !full(self) {
            return true;
        }
        // A tenth at once, so that the next ones need not search again.
        let mut quiet: Vec<(i64, Target)> = self
            .targets
            .iter()
            .filter(|(other, _)| !self.attacked.contains(*other))
            .map(|(other, tracked)| (tracked.touched, other.clone()))
            .collect();
        quiet.sort_unstable();
        quiet.truncate((quiet.len() / 10).max(1));
        for (_, other) in &quiet {
            if let Some(forgotten) = self.targets.remove(other) {
                self.pairs -= forgotten.window.pairs();
                self.counts.forgotten += 1;
            }
        }
        !full(self)
    }

    /// The joe-jobs that run or cool down, as they stand.
    pub fn reports(&self) -> Vec<(Target, JoeJob)> {
        let report = |target: &Target| {
            let tracked = self.targets.get(target)?;
            // With what has come since it was looked at.
            let (now, _) = tracked.at(self.clock, self.since, &self.options);
            let attack = now.attack()?;
            Some((target.clone(), JoeJob::new(target, tracked.address.as_deref(), &tracked.message_ids, attack)))
        };
        self.attacked.iter().filter_map(report).collect()
    }

    /// Give a target its address back, which the store does not have.
    pub fn name(&mut self, target: &Target, address: &str) {
        if let Some(tracked) = self.targets.get_mut(target).filter(|tracked| tracked.address.is_none()) {
            tracked.address = Some(address.into());
        }
    }
}

impl Tracked {
    /// Where the target stands at `clock`, and the joe-job whose cool-down is over by then.
    fn at(&self, clock: i64, since: i64, options: &JoeJobOptions) -> (Life, Option<Box<Attack>>) {
        let (mut now, mut over) = (self.life.clone(), None);
        for minute in self.window.slide(self.settled + 1, clock) {
            over = now.step(minute, &self.window, since, options).or(over);
        }
        (now, over)
    }

    /// Nothing up to `settled` will change any more. Returns the joe-job whose cool-down is over with it.
    fn settle(&mut self, settled: i64, since: i64, options: &JoeJobOptions) -> Option<Box<Attack>> {
        if settled <= self.settled {
            return None;
        }
        let mut over = None;
        // Without enough pairs for a joe-job there is nothing to go through.
        if self.life.attack().is_some() || self.window.pairs() >= options.sources_min as usize {
            // Beyond the last window with a message each minute is like the other, but for the end of the cool-down.
            let busy = settled.min(self.window.last().unwrap_or(self.settled).max(self.settled) + WINDOW_MINUTES);
            let quiet = (busy < settled).then_some(settled);
            let minutes = self.window.slide(self.settled + 1, busy);
            let last = quiet.map(|minute| super::window::Minute { minute, sources: 0, messages: 0 });
            for minute in minutes.into_iter().chain(last) {
                over = self.life.step(minute, &self.window, since, options).or(over);
            }
        }
        self.window.settle(settled);
        self.settled = settled;
        over
    }
}

/// The times in which targets were flooded, from the hits of all of it in any order: what a detector that was fed them finds.
pub fn intervals(mut hits: Vec<Hit>, options: JoeJobOptions) -> Vec<Interval> {
    hits.sort_by_key(|hit| hit.time_ms);
    let (mut detector, mut changes) = (Detector::new(options), Vec::new());
    hits.iter().for_each(|hit| detector.hit(hit, &mut changes));
    let closed = changes.into_iter().filter(|change| change.event == Event::Closed);
    let mut found: Vec<Interval> = closed
        .map(|change| (change.target, change.report))
        .chain(detector.reports())
        .flat_map(|(target, report)| report.intervals(&target))
        .collect();
    found.sort();
    found
}
