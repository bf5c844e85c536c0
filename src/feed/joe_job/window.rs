//! Who came when: the last hours of one target exactly, its last seven days as numbers.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{HISTORY_HOURS, LATE_MINUTES, WINDOW_MINUTES};

/// Sources kept of one minute. A flood of more is counted as one of 256 a minute, far beyond every threshold; without a bound its
/// size would be our memory's.
const SOURCES_PER_MINUTE_MAX: usize = 256;
/// A shorter past counts as this one. With less an address that is always busy would be usual within an hour of the first start, but so
/// would a joe-job that runs just then.
const WATCHED_HOURS_MIN: i64 = 24;
/// Minutes of an hour.
const HOUR: i64 = 60;

/// One target's past.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// By minute since 1970: sources and how many messages each sent.
    minutes: BTreeMap<i64, Vec<(u64, u32)>>,
    /// Pairs in it.
    pairs: usize,
    /// Hours since 1970 that are over, with the number of distinct sources in each, oldest first; hours without any are left out.
    hours: VecDeque<(i64, u32)>,
    /// Hours before this one are closed: counted in [`hours`](Self::hours).
    open_hour: i64,
}

impl Window {
    /// A message from `source`; true when that says something new.
    pub fn add(&mut self, minute: i64, source: u64) -> bool {
        let sources = self.minutes.entry(minute).or_default();
        if let Some((_, count)) = sources.iter_mut().find(|(known, _)| *known == source) {
            *count = count.saturating_add(1);
            return false;
        }
        if sources.len() == SOURCES_PER_MINUTE_MAX {
            return false;
        }
        sources.push((source, 1));
        self.pairs += 1;
        true
    }

    /// Pairs of minute and source that are kept: at least as many as there are distinct sources in any hour.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The last minute with a message, as far as it is kept.
    pub fn last(&self) -> Option<i64> {
        self.minutes.last_key_value().map(|(minute, _)| *minute)
    }

    /// Is there nothing left, neither of the last hours nor of the last days?
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty() && self.hours.is_empty()
    }

    /// Is there nothing left of the last hours?
    pub fn is_quiet(&self) -> bool {
        self.minutes.is_empty()
    }

    /// No more messages of a minute up to `settled` will come: close hours, forget what no window will hold any more.
    pub fn settle(&mut self, settled: i64) {
        let open = self.open_hour.max((settled + 1).div_euclid(HOUR));
        let mut closing: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        for (minute, sources) in self.minutes.range(self.open_hour * HOUR..open * HOUR) {
            closing.entry(minute.div_euclid(HOUR)).or_default().extend(sources.iter().map(|(source, _)| source));
        }
        for (hour, mut sources) in closing {
            sources.sort_unstable();
            sources.dedup();
            self.hours.push_back((hour, u32::try_from(sources.len()).unwrap_or(u32::MAX)));
        }
        self.open_hour = open;
        // The window of the next minute, and the open hour, still need theirs.
        let keep = (settled + 2 - WINDOW_MINUTES).min(open * HOUR);
        let kept = self.minutes.split_off(&keep);
        self.pairs = kept.values().map(Vec::len).sum();
        self.minutes = kept;
        let oldest = first_history_hour(settled + 1);
        while self.hours.front().is_some_and(|(hour, _)| *hour < oldest) {
            self.hours.pop_front();
        }
    }

    /// The usual number of sources in an hour, as of `minute`: over the seven days before, or as much of them as was watched since
    /// minute `since`. The window itself and what may still change are left out.
    pub fn mean(&self, minute: i64, since: i64) -> f64 {
        let end = end_of_history(minute);
        let begin = first_history_hour(minute);
        let sources: u64 =
            self.hours.iter().filter(|(hour, _)| (begin..end).contains(hour)).map(|(_, count)| u64::from(*count)).sum();
        let watched = (end - begin.max(since.div_euclid(HOUR))).max(WATCHED_HOURS_MIN);
        sources as f64 / watched as f64
    }

    /// Distinct sources and messages for each minute from `first` to `last`: those of the window that ends with it.
    pub fn slide(&self, first: i64, last: i64) -> Vec<Minute> {
        let mut inside: HashMap<u64, u32> = HashMap::new();
        for (_, sources) in self.minutes.range(first - WINDOW_MINUTES..first) {
            sources.iter().for_each(|(source, _)| *inside.entry(*source).or_default() += 1);
        }
        let mut slid = Vec::new();
        for minute in first..=last {
            if let Some(leaving) = self.minutes.get(&(minute - WINDOW_MINUTES)) {
                for (source, _) in leaving {
                    if let Some(count) = inside.get_mut(source) {
                        *count -= 1;
                        if *count == 0 {
                            inside.remove(source);
                        }
                    }
                }
            }
            let coming = self.minutes.get(&minute).map(Vec::as_slice).unwrap_or_default();
            coming.iter().for_each(|(source, _)| *inside.entry(*source).or_default() += 1);
            slid.push(Minute {
                minute,
                sources: u32::try_from(inside.len()).unwrap_or(u32::MAX),
                messages: messages(coming),
            });
        }
        slid
    }

    /// The first minute with a message in the window that ends with `minute`, as far as it lies after `after`, and the messages in it.
    pub fn begin(&self, minute: i64, after: i64) -> (i64, u64) {
        let mut inside = self.minutes.range((minute - WINDOW_MINUTES).max(after) + 1..=minute).peekable();
        let first = inside.peek().map_or(minute, |(first, _)| **first);
        (first, inside.map(|(_, sources)| messages(sources)).sum())
    }
}

/// Messages of all these sources.
fn messages(sources: &[(u64, u32)]) -> u64 {
    sources.iter().map(|(_, count)| u64::from(*count)).sum()
}

/// What a target looks like in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute {
    /// The minute, since 1970.
    pub minute: i64,
    /// Distinct sources in the hour that ends with it.
    pub sources: u32,
    /// Messages in this minute alone.
    pub messages: u64,
}

/// The hour that is no history yet, as of `minute`: it may overlap the window, or late messages may still come for it.
fn end_of_history(minute: i64) -> i64 {
    (minute - WINDOW_MINUTES - LATE_MINUTES).div_euclid(HOUR)
}

/// The first hour that is history, as of `minute`.
fn first_history_hour(minute: i64) -> i64 {
    end_of_history(minute) - HISTORY_HOURS
}
