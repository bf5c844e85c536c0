//! What judging goes by: the rules, and what is known of a host besides its events.

use std::borrow::Cow;

use super::{DAY_MS, HOUR_MS};
use crate::feed::evidence::{EvidenceOptions, JoeJob, Milli};
use crate::feed::listing::Listing;
use crate::feed::protection::Exemption;

/// How long an answer of a welcome list holds: as long as evidence counts.
pub const WELCOME_KEEP_MS: i64 = 30 * DAY_MS;

/// When hosts are listed and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyOptions {
    /// What is evidence and what it is worth.
    pub evidence: EvidenceOptions,
    /// Evidence is worth half after this time, in milliseconds.
    pub half_life_ms: i64,
    /// Evidence is forgotten after this time, in milliseconds.
    pub window_ms: i64,
    /// The same signal for the same recipient counts once in this time, in milliseconds.
    pub repeat_ms: i64,
    /// Who was put off may come back within this time, in milliseconds.
    pub comeback_ms: i64,
    /// Points that list, in thousandths.
    pub score_min: Milli,
    /// Points that list without spread over time, in thousandths.
    pub score_at_once: Milli,
    /// Different recipients that there must be.
    pub recipients_min: usize,
    /// Sessions with an invented address that make fewer recipients suffice.
    pub whammies_min: usize,
    /// Different recipients that then suffice.
    pub whammy_recipients_min: usize,
    /// Sessions that there must be.
    pub sessions_min: usize,
    /// Time from the first to the last evidence that there must be, in milliseconds.
    pub spread_ms_min: i64,
    /// Mail servers of ours that must have seen it; or the score must be twice the threshold.
    pub reporters_min: usize,
    /// Thresholds of shared providers are so many times higher.
    pub shared_factor: Milli,
    /// Points must be more than so many per cent of the ordinary messages taken from the host.
    pub ratio_percent: i64,
    /// Days of ordinary messages that the points are compared with.
    pub ratio_days: i64,
    /// How long a listing goes on after the last evidence: the first in a row, the second, and so on; in milliseconds.
    pub terms_ms: Vec<i64>,
    /// After so long without evidence the next listing is a first one again, in milliseconds.
    pub clean_ms: i64,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            evidence: EvidenceOptions::default(),
            half_life_ms: 7 * DAY_MS,
            // After 30 days a twentieth is left.
            window_ms: 30 * DAY_MS,
            repeat_ms: DAY_MS,
            comeback_ms: 6 * HOUR_MS,
            score_min: 12_000,
            score_at_once: 24_000,
            recipients_min: 4,
            whammies_min: 2,
            whammy_recipients_min: 2,
            sessions_min: 3,
            spread_ms_min: HOUR_MS / 6,
            reporters_min: 1,
            shared_factor: 3,
            ratio_percent: 20,
            ratio_days: 30,
            terms_ms: vec![7 * DAY_MS, 14 * DAY_MS, 28 * DAY_MS],
            clean_ms: 90 * DAY_MS,
        }
    }
}

impl PolicyOptions {
    /// What is left of points after a time.
    pub fn decayed(&self, points: Milli, age_ms: i64) -> Milli {
        (points as f64 * (-(age_ms as f64) / self.half_life_ms as f64).exp2()).round() as Milli
    }

    /// The term of the `nth` listing in a row, from 1, in milliseconds.
    pub fn term_ms(&self, nth: u32) -> i64 {
        let at = (nth.max(1) as usize).min(self.terms_ms.len());
        self.terms_ms.get(at.wrapping_sub(1)).copied().unwrap_or(7 * DAY_MS)
    }
}

/// A removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// When, in milliseconds since 1970 (UTC).
    pub time_ms: i64,
    /// By the operator; else by the owner.
    pub by_operator: bool,
}

/// A time in which a host is not listed whatever it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// From when on, in milliseconds since 1970 (UTC).
    pub from_ms: i64,
    /// Until just before when.
    pub to_ms: i64,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What judging a host depends on besides its events and the settings.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Removals, in any order.
    pub removals: Vec<Removal>,
    /// Allowances, in any order.
    pub allowances: Vec<Allowance>,
    /// What its address exempts it by, or makes it a shared provider.
    pub exemption: Exemption,
    /// What DNS welcome lists said of it, ascending.
    pub welcomes: Vec<Welcome>,
    /// Ordinary messages taken from it, by day since 1970 (UTC), ascending.
    pub messages: Vec<(i64, u32)>,
    /// Domains under a joe-job.
    pub joe_jobs: Vec<JoeJob>,
    /// What had followed from events of which some are no longer kept.
    pub base: Option<Base>,
}

impl Facts {
    /// What welcome lists said that holds at a time; `None` where nothing is known.
    pub fn welcome(&self, now_ms: i64) -> Option<&Welcome> {
        let before = self.welcomes.partition_point(|welcome| welcome.from_ms <= now_ms);
        match before.checked_sub(1) {
            // What came before the first question is judged by its answer.
            None => self.welcomes.first(),
            Some(at) => self.welcomes.get(at).filter(|welcome| now_ms - welcome.from_ms < WELCOME_KEEP_MS),
        }
    }

    /// What exempts the host at a time, or makes it a shared provider.
    pub fn exemption_at(&self, now_ms: i64) -> Cow<'_, Exemption> {
        match (&self.exemption, self.welcome(now_ms)) {
            (Exemption::None, Some(Welcome { list: Some(list), .. })) => {
                Cow::Owned(Exemption::Shared(format!("listed by {list}")))
            }
            (exemption, _) => Cow::Borrowed(exemption),
        }
    }
}

/// What DNS welcome lists said of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// From when on it holds, in milliseconds since 1970 (UTC).
    pub from_ms: i64,
    /// The list that has it; `None` where none is known to.
    pub list: Option<String>,
}

/// What had followed before a time, up to which events may be incomplete: those from one window before it on are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The time, in milliseconds since 1970 (UTC).
    pub before_ms: i64,
    /// Listings that began before it, in order of time.
    pub listings: Vec<Listing>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_for_a_time() {
        let welcome = |from_ms, list: Option<&str>| Welcome { from_ms, list: list.map(str::to_owned) };
        let keep = WELCOME_KEEP_MS;
        let facts =
            Facts { welcomes: vec![welcome(1000, Some("a.example")), welcome(2 * keep, None)], ..Facts::default() };
        for (time_ms, known, shared) in [
            (0, true, true),
            (1000, true, true),
            (1000 + keep - 1, true, true),
            (1000 + keep, false, false),
            (2 * keep, true, false),
            (3 * keep, false, false),
        ] {
            assert_eq!(facts.welcome(time_ms).is_some(), known, "{time_ms}");
            let expected = if shared { Exemption::Shared("listed by a.example".to_owned()) } else { Exemption::None };
            assert_eq!(*facts.exemption_at(time_ms), expected, "{time_ms}");
        }
        let own = Facts { exemption: Exemption::Exempt("own".to_owned()), ..facts };
        assert_eq!(*own.exemption_at(1000), Exemption::Exempt("own".to_owned()), "what is stronger stays");
    }
}
