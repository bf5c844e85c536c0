//! Joe-jobs: mail in an address' name that it never sent, seen by the flood of bounces and callouts it brings.
//!
//! A host that bounces once to a forged sender is one host with one bounce. Twenty of them at the same address within an hour are no twenty
//! offenders but one joe-job: the address is reported, with what can be done about it, and protected until the flood is over.
//!
//! | module | what |
//! | --- | --- |
//! | [`hit`] | what of a session matters here |
//! | [`window`] | who came when: one target's last hours, and its last seven days in numbers |
//! | [`life`] | the rule: raised, running, over, minute by minute |
//! | [`detector`] | all targets, bounded |
//! | [`report`], [`remedies`] | what is told, and what to do about it |
//! | [`address`] | keyed hashes of addresses under attack |
//! | [`state`] | the files: reports, key, zone file |
//! | [`run`] | all of it beside a pipeline |
//! | [`webhook`] | reports for other programs |

pub mod address;
pub mod detector;
pub mod hit;
pub mod life;
pub mod remedies;
pub mod report;
pub mod run;
pub mod state;
pub mod webhook;
pub mod window;

#[cfg(test)]
mod tests;

pub use address::{AddressKey, Attacked};
pub use detector::{Detector, Interval};
pub use hit::{Hit, Target};
pub use report::JoeJob;
pub use run::JoeJobs;

/// Milliseconds of a minute, the grain of everything here.
pub const MINUTE_MS: i64 = 60_000;
/// Minutes of the sliding window.
pub const WINDOW_MINUTES: i64 = 60;
/// So many minutes after its time a session may still come without changing what is found: one is given out a quarter of an hour after its
/// last line where the log does not show its end, and the logs of several servers are read side by side.
pub const LATE_MINUTES: i64 = 20;
/// Whole hours of the past that make up the usual traffic of an address: seven days.
pub const HISTORY_HOURS: i64 = 7 * 24;

/// When a joe-job is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JoeJobOptions {
    /// Distinct sources within an hour, at least.
    pub sources_min: u32,
    /// And so many times the address's usual number of sources in an hour.
    pub ratio_min: f64,
    /// A flood that begins again within so many minutes after its end is the same joe-job, and is not told again.
    pub cool_down_minutes: i64,
}

impl Default for JoeJobOptions {
    fn default() -> Self {
        Self { sources_min: 10, ratio_min: 5.0, cool_down_minutes: 24 * 60 }
    }
}
