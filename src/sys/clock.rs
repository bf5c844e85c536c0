//! The one place that time comes from.
//!
//! Logic is given a [`Moment`] and never asks for the time itself, so that tests can set it. Due times are
//! measured on the monotonic clock, which nobody can turn back; what files and RFCs date is civil time.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Time since the program first asked; never goes back.
    pub monotonic: Duration,
    /// Seconds since 1970; goes wherever the administrator sets it.
    pub unix_s: f64,
}

/// This moment on both clocks.
pub fn now() -> Moment {
    Moment { monotonic: monotonic(), unix_s: now_f64() }
}

/// Whole seconds since 1970.
pub fn now_s() -> i64 {
    now_f64().floor() as i64
}

/// Seconds since 1970; negative before it.
pub fn now_f64() -> f64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// Time since the first call in this process; never goes back.
pub fn monotonic() -> Duration {
    /// When this function was first called.
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
