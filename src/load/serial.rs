//! Serial numbers of zones: they rise with each change and never go back (RFC 1982).
//!
//! A serial is the newest modification time among the zone's files, as with rbldnsd, so that mirrors which copy
//! files with their times agree on it, and so that it goes on from there after a restart. Where the time does not
//! rise, two changes in one second or an older file put back, the last serial is counted up by one instead.

/// Whether serial `a` is greater than `b` (RFC 1982 section 3.2, 32 bits). Two serials half the circle apart are
/// not comparable: neither is greater.
pub fn greater(a: u32, b: u32) -> bool {
    let distance = a.wrapping_sub(b);
    distance != 0 && distance < 1 << 31
}

/// The serial of changed data: the time if it is greater than the previous serial, one more than that otherwise.
pub fn next(previous: Option<u32>, mtime: u32) -> u32 {
    match previous {
        Some(previous) if !greater(mtime, previous) => previous.wrapping_add(1),
        _ => mtime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison() {
        let check = |a, b, expected| assert_eq!(greater(a, b), expected, "{a} > {b}");
        check(1, 0, true);
        check(0, 1, false);
        check(7, 7, false);
        check(0, u32::MAX, true);
        check(u32::MAX, 0, false);
        check(0x7fff_ffff, 0, true);
        check(0x8000_0000, 0, false);
        check(0, 0x8000_0000, false);
        check(0x8000_0001, 0, false);
        check(0, 0x8000_0001, true);
    }

    #[test]
    fn next_serial_rises() {
        let check = |previous, mtime, expected| assert_eq!(next(previous, mtime), expected, "{previous:?}, {mtime}");
        check(None, 1_700_000_000, 1_700_000_000);
        check(None, 0, 0);
        check(Some(1_700_000_000), 1_700_000_060, 1_700_000_060);
        check(Some(1_700_000_000), 1_700_000_000, 1_700_000_001);
        check(Some(1_700_000_001), 1_700_000_000, 1_700_000_002);
        check(Some(1_700_000_000), 5, 1_700_000_001);
        check(Some(u32::MAX), 3, 3);
        check(Some(u32::MAX), u32::MAX, 0);
        // Half the circle away is not comparable, so the time is not known to be greater.
        check(Some(0), 0x8000_0000, 1);
    }

    #[test]
    fn every_step_is_greater() {
        for previous in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
            for mtime in [0, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX] {
                assert!(greater(next(Some(previous), mtime), previous), "{previous}, {mtime}");
            }
        }
    }
}
