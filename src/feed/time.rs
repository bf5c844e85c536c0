//! The time of a log line: stamps with and without year and zone.
