//! When files that are being changed have come to rest.
//!
//! Events of one generation come in a burst: rsync renames file after file, a script writes three lists. Reading
//! waits until nothing has happened for a while, but not for ever. A pure state machine: it is told the time.

use std::time::Duration;

/// A burst of events, or none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settle {
    /// First and last event of the burst, monotonic.
    burst: Option<(Duration, Duration)>,
}

impl Settle {
    /// Something happened to a file.
    pub(super) fn touch(&mut self, now: Duration) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// The burst has been dealt with.
    pub(super) fn clear(&mut self) {
        self.burst = None;
    }

    /// When to look at the files: after `quiet` without an event, but no later than `max` after the first one.
    pub(super) fn due(&self, quiet: Duration, max: Duration) -> Option<Duration> {
        self.burst.map(|(first, last)| last.saturating_add(quiet).min(first.saturating_add(max)))
    }

    /// Whether waiting has lasted as long as it may.
    pub(super) fn exhausted(&self, now: Duration, max: Duration) -> bool {
        self.burst.is_some_and(|(first, _)| now >= first.saturating_add(max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times() {
        let check = |events: &[u64], expected: Option<u64>| {
            let mut settle = Settle::default();
            for &at in events {
                settle.touch(Duration::from_millis(at));
            }
            let due = settle.due(Duration::from_millis(500), Duration::from_millis(5000));
            assert_eq!(due, expected.map(Duration::from_millis), "{events:?}");
        };
        check(&[], None);
        check(&[100], Some(600));
        check(&[100, 550], Some(1050));
        check(&[100, 550, 900, 1399], Some(1899));
        check(&[100, 4700], Some(5100));
        check(&[100, 9000], Some(5100));
    }

    #[test]
    fn clearing_and_exhaustion() {
        let ms = Duration::from_millis;
        let mut settle = Settle::default();
        assert!(!settle.exhausted(ms(9_999_999), ms(5000)));
        settle.touch(ms(100));
        settle.touch(ms(5000));
        assert!(!settle.exhausted(ms(5099), ms(5000)));
        assert!(settle.exhausted(ms(5100), ms(5000)));
        settle.clear();
        assert_eq!(settle.due(ms(500), ms(5000)), None);
        settle.touch(ms(7000));
        assert_eq!(settle.due(ms(500), ms(5000)), Some(ms(7500)));
    }
}
