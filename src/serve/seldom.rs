//! Say a thing at most once in a while, however often it happens.
//!
//! What a client can cause, it can cause a million times; the log must not become the second damage.

use std::time::{Duration, Instant};

/// Time between two reports of the same kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts what happens, and tells when to report it.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    /// When it was last reported.
    last: Option<Instant>,
    /// How often it has happened since.
    unreported: u64,
}

impl Seldom {
    /// It has happened: whether to report it now, and how often it happened since the last report.
    pub(super) fn happened(&mut self, now: Instant) -> Option<u64> {
        self.happened_every(INTERVAL, now)
    }

    /// The same for what is reported at most once in another time.
    pub(super) fn happened_every(&mut self, interval: Duration, now: Instant) -> Option<u64> {
        self.unreported += 1;
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

/// What a panic said.
pub(super) fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_then_once_an_interval() {
        let start = Instant::now();
        let mut seldom = Seldom::default();
        for (ms, expected) in [(0, Some(1)), (1, None), (999, None), (1000, Some(3)), (1500, None), (9000, Some(2))] {
            assert_eq!(seldom.happened(start + Duration::from_millis(ms)), expected, "at {ms} ms");
        }
    }

    #[test]
    fn panics_tell_their_message() {
        assert_eq!(panic_message(&"static"), "static");
        assert_eq!(panic_message(&String::from("made")), "made");
        assert_eq!(panic_message(&7), "no message");
    }
}
