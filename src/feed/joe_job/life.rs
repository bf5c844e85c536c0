//! The rule: when a joe-job is raised, how long it runs, when it is over. Decided minute by minute from numbers alone.
//!
//! It is raised in a minute with a message when the hour that ends there has at least `sources_min` distinct sources, and at least
//! `ratio_min` times the usual number. It ends by itself in the first minute whose hour has less than half of what raising would take
//! then. For the cool-down after that a new flood is the same joe-job. What lasts for days becomes the usual: an address that is always
//! busy is under attack on the first day of watching at most.

use super::JoeJobOptions;
use super::window::{Minute, Window};

/// Spans kept of one joe-job; a flood that comes and goes more often is held to be one from the last of them on.
const SPANS_MAX: usize = 64;

/// Where a target stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Life {
    /// Nothing out of the ordinary.
    #[default]
    Idle,
    /// It is, or in the cool-down was, under attack.
    Attack(Box<Attack>),
}

/// One joe-job.
#[derive(Debug, Clone, PartialEq)]
pub struct Attack {
    /// The minute in which it was raised.
    pub raised: i64,
    /// The usual number of sources in an hour, when it was raised.
    pub mean: f64,
    /// Sources in an hour that it took to raise it.
    pub trigger: u32,
    /// From the first to the last minute of each flood; the last one's end grows while it runs.
    pub spans: Vec<(i64, i64)>,
    /// The minute in which it was over; `None` while it runs.
    pub ended: Option<i64>,
    /// Distinct sources in the last hour.
    pub sources: u32,
    /// The most distinct sources in an hour.
    pub sources_max: u32,
    /// Messages, one for each recipient.
    pub messages: u64,
    /// The last minute with a message.
    pub last: i64,
}

impl Life {
    /// The joe-job, running or cooling down.
    pub fn attack(&self) -> Option<&Attack> {
        match self {
            Self::Idle => None,
            Self::Attack(attack) => Some(attack),
        }
    }

    /// Is the target under attack?
    pub fn is_running(&self) -> bool {
        self.attack().is_some_and(|attack| attack.ended.is_none())
    }

    /// Go on by one minute. Returns the joe-job whose cool-down is over with it.
    pub fn step(&mut self, now: Minute, window: &Window, since: i64, options: &JoeJobOptions) -> Option<Box<Attack>> {
        let mut over = None;
        if let Self::Attack(attack) = self {
            if attack.ended.is_none_or(|ended| now.minute < ended + options.cool_down_minutes) {
                attack.step(now, window, &Needed::at(now.minute, window, since, options));
                return None;
            }
            if let Self::Attack(attack) = std::mem::take(self) {
                over = Some(attack);
            }
        }
        let needed = Needed::at(now.minute, window, since, options);
        if now.messages > 0 && now.sources >= needed.sources {
            let (first, messages) = window.begin(now.minute, i64::MIN);
            *self = Self::Attack(Box::new(Attack {
                raised: now.minute,
                mean: needed.mean,
                trigger: needed.sources,
                spans: vec![(first, now.minute)],
                ended: None,
                sources: now.sources,
                sources_max: now.sources,
                messages,
                last: now.minute,
            }));
        }
        over
    }
}

/// What it takes to raise a joe-job.
struct Needed {
    /// The usual number of sources in an hour.
    mean: f64,
    /// Sources in an hour that are needed.
    sources: u32,
}

impl Needed {
    /// In this minute.
    fn at(minute: i64, window: &Window, since: i64, options: &JoeJobOptions) -> Self {
        let mean = window.mean(minute, since);
        // A number beyond all sources there could be saturates, which is as good.
        Self { mean, sources: options.sources_min.max((options.ratio_min * mean).ceil() as u32) }
    }
}

impl Attack {
    /// Go on by one minute.
    fn step(&mut self, now: Minute, window: &Window, needed: &Needed) {
        self.sources = now.sources;
        if now.messages > 0 {
            self.last = now.minute;
        }
        if let Some(ended) = self.ended {
            if now.messages == 0 || now.sources < needed.sources {
                return;
            }
            self.ended = None;
            let (first, messages) = window.begin(now.minute, ended);
            self.messages += messages;
            if self.spans.len() == SPANS_MAX {
                if let Some(span) = self.spans.last_mut() {
                    span.1 = now.minute;
                }
            } else {
                self.spans.push((first, now.minute));
            }
        } else {
            self.messages += now.messages;
            if let Some(span) = self.spans.last_mut() {
                span.1 = now.minute;
            }
        }
        self.sources_max = self.sources_max.max(now.sources);
        // Without a fraction: twice the sources against what is needed.
        if u64::from(now.sources) * 2 < u64::from(needed.sources) {
            self.ended = Some(now.minute);
        }
    }
}
