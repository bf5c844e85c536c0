//! The time of a log line: stamps with and without year and zone.
//!
//! The log's own time counts, so that catch-up and replay give what watching gave. A stamp without a zone is read in the input's
//! zone; one without a year in the latest year that puts it at most a day after its arrival. Where clocks were set back (the end of
//! daylight saving, several hosts in one file) the order of the lines stands: time never runs back. A stamp well ahead of its arrival is
//! no use as a time: the arrival stands in for it, and the log's clock stays where it was.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A stamp further ahead of its arrival than this is replaced by the arrival, in milliseconds: more than clocks differ by.
pub const FUTURE_MAX_MS: i64 = 10 * 60 * 1000;

/// How far a stamp without a year may lie ahead of its arrival, in milliseconds.
const YEAR_AHEAD_MAX_MS: i64 = DAY_MS;

/// A repeated hour is taken for its second pass when its first would lie further back than this, in milliseconds: more than
/// lines of several processes change places by.
const FOLD_BACK_MAX_MS: i64 = 60_000;

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A minute in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// How many years back a stamp's year may lie: the 29th of February occurs every fourth or eighth year.
const YEARS_BACK: i16 = 8;

/// A stamp that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970 (UTC), as written.
    pub time_ms: i64,
    /// Its length in octets.
    pub len: usize,
}

/// The clock of one log.
#[derive(Debug)]
pub struct Clock {
    /// The zone of stamps that have none.
    zone: TimeZone,
    /// In a replay, the year of the last stamp without one, and its month; `None` follows the time of arrival.
    replay: Option<(i16, u8)>,
    /// The latest time given out, which later lines do not fall below.
    last_ms: Option<i64>,
    /// The year found last for a stamp without one.
    year: YearFound,
    /// The local minute whose offset was looked up last, and the offset to add, in milliseconds.
    offset: Option<(i64, i64)>,
    /// Stamps replaced by their arrival.
    pub future: u64,
    /// Stamps replaced by an earlier line's.
    pub backward: u64,
    /// How far the last line's stamp lay behind the time that replaced it, in milliseconds; 0 where it was used.
    pub held_ms: i64,
}

/// The year found for a month and day, while lines arrive within the same minute.
#[derive(Debug, Default)]
struct YearFound {
    /// Month and day.
    day: (u8, u8),
    /// The minute of arrival.
    arrived_min: i64,
    /// The year.
    year: i16,
}

/// A time as a clock on the wall shows it, without zone.
#[derive(Debug, Clone, Copy)]
struct Civil {
    /// The year, `None` where the stamp has none.
    year: Option<i16>,
    /// The month, from 1.
    month: u8,
    /// The day, from 1.
    day: u8,
    /// Milliseconds since midnight.
    ms: i64,
}

impl Clock {
    /// The clock of a log whose stamps lack their zone; `year` for a replay.
    pub fn new(zone: TimeZone, year: Option<i16>) -> Self {
        Self {
            zone,
            replay: year.map(|year| (year, 0)),
            last_ms: None,
            year: YearFound::default(),
            offset: None,
            future: 0,
            backward: 0,
            held_ms: 0,
        }
    }

    /// Reads the stamp that `text` begins with, in any form. `None` when it begins with none.
    ///
    /// `Nov 21 19:46:05`, the same with a year before or after month and day; `2026-11-21T19:46:05.410346+00:00` and its kin with a blank
    /// instead of the T, with or without fraction, with Z, `+00:00`, ` +0000` or no zone.
    pub fn read(&mut self, text: &[u8], arrived_ms: i64) -> Option<Stamp> {
        match text.first()? {
            b'A'..=b'Z' => self.read_month_name(text, 0, None, arrived_ms),
            b'0'..=b'9' if text.get(4) == Some(&b'-') => self.read_iso(text),
            b'0'..=b'9' if text.get(4) == Some(&b' ') => {
                let year = i16::try_from(number(text, 0, 4)?).ok()?;
                self.read_month_name(text, 5, Some(year), arrived_ms)
            }
            _ => None,
        }
    }

    /// The time to use for a line: `time_ms` is its stamp's, `None` for a line without one.
    pub fn settle(&mut self, time_ms: Option<i64>, arrived_ms: i64) -> i64 {
        let last = self.last_ms.unwrap_or(i64::MIN);
        self.held_ms = 0;
        let Some(time_ms) = time_ms else { return arrived_ms.max(last) };
        if self.replay.is_none() && time_ms > arrived_ms.saturating_add(FUTURE_MAX_MS) {
            self.future += 1;
            return arrived_ms.max(last);
        }
        if time_ms < last {
            self.backward += 1;
            self.held_ms = last - time_ms;
            return last;
        }
        self.last_ms = Some(time_ms);
        time_ms
    }

    /// The latest time given out.
    pub fn last_ms(&self) -> Option<i64> {
        self.last_ms
    }

    /// `Nov 21 19:46:05` from `at` on, with the year between day and time if it is not known.
    fn read_month_name(&mut self, text: &[u8], at: usize, year: Option<i16>, arrived_ms: i64) -> Option<Stamp> {
        let month = month(text.get(at..at + 3)?)?;
        let (day_at, day_len) = match text.get(at + 3..at + 6)? {
            [b' ', b' ', b'1'..=b'9'] => (at + 5, 1),
            [b' ', b'1'..=b'9', b' '] => (at + 4, 1),
            [b' ', b'0'..=b'3', b'0'..=b'9'] => (at + 4, 2),
            _ => return None,
        };
        let day = number(text, day_at, day_len)? as u8;
        let mut next = day_at + day_len;
        if text.get(next) != Some(&b' ') {
            return None;
        }
        next += 1;
        let mut year = year;
        if year.is_none() && text.get(next + 4) == Some(&b' ') {
            year = Some(i16::try_from(number(text, next, 4)?).ok()?);
            next += 5;
        }
        let (ms, len) = time_of_day(&text[next..])?;
        let civil = Civil { year, month, day, ms };
        Some(Stamp { time_ms: self.local(civil, arrived_ms)?, len: next + len })
    }

    /// `2026-11-21T19:46:05.410346+00:00` and its kin.
    fn read_iso(&mut self, text: &[u8]) -> Option<Stamp> {
        let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
        if text[7] != b'-' || !matches!(text.get(10)?, b'T' | b't' | b' ') {
            return None;
        }
        let (ms, len) = time_of_day(&text[11..])?;
        let civil = Civil { year: Some(year as i16), month: month as u8, day: day as u8, ms };
        let end = 11 + len;
        match zone_offset(&text[end..]) {
            Some((offset_ms, len)) => Some(Stamp { time_ms: civil.as_utc(year as i16)? - offset_ms, len: end + len }),
            None => Some(Stamp { time_ms: self.local(civil, 0)?, len: end }),
        }
    }

    /// A time in the input's zone, its year found if it has none.
    fn local(&mut self, civil: Civil, arrived_ms: i64) -> Option<i64> {
        let year = match civil.year {
            Some(year) => year,
            None => self.find_year(civil, arrived_ms)?,
        };
        let local_ms = civil.as_utc(year)?;
        let minute = local_ms.div_euclid(MINUTE_MS);
        if let Some((_, offset_ms)) = self.offset.filter(|&(known, _)| known == minute) {
            return Some(local_ms - offset_ms);
        }
        let second = local_ms.rem_euclid(DAY_MS) / 1000;
        let (hour, minute_of, second) = ((second / 3600) as i8, (second / 60 % 60) as i8, (second % 60) as i8);
        let time = DateTime::new(year, civil.month as i8, civil.day as i8, hour, minute_of, second, 0).ok()?;
        let offset_ms = match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                let offset_ms = i64::from(offset.seconds()) * 1000;
                self.offset = Some((minute, offset_ms));
                offset_ms
            }
            // An hour that no clock showed: as if the clock had not been put forward yet.
            AmbiguousOffset::Gap { before, .. } => i64::from(before.seconds()) * 1000,
            AmbiguousOffset::Fold { before, after } => {
                let first = local_ms - i64::from(before.seconds()) * 1000;
                let second_pass = self.last_ms.is_some_and(|last| first < last - FOLD_BACK_MAX_MS);
                i64::from(if second_pass { after.seconds() } else { before.seconds() }) * 1000
            }
        };
        Some(local_ms - offset_ms)
    }

    /// The year of a stamp that has none.
    fn find_year(&mut self, civil: Civil, arrived_ms: i64) -> Option<i16> {
        if let Some((year, last_month)) = &mut self.replay {
            match (*last_month, civil.month) {
                (11.., 1..=2) => *year += 1,
                (1..=2, 11..) => *year -= 1,
                _ => {}
            }
            *last_month = civil.month;
            return Some(*year);
        }
        let arrived_min = arrived_ms.div_euclid(MINUTE_MS);
        if self.year.day == (civil.month, civil.day) && self.year.arrived_min == arrived_min {
            return Some(self.year.year);
        }
        let arrived = jiff::Timestamp::from_millisecond(arrived_ms).ok()?;
        let this = self.zone.to_datetime(arrived).year();
        let local_ms = arrived_ms + i64::from(self.zone.to_offset(arrived).seconds()) * 1000;
        let fits = |year: &i16| civil.as_utc(*year).is_some_and(|ms| ms <= local_ms + YEAR_AHEAD_MAX_MS);
        let year = (this - YEARS_BACK..=this + 1).rev().find(fits)?;
        // On the last day within reach the time of day decides, so nothing is kept.
        let near = civil.as_utc(year + 1).is_some_and(|ms| ms <= local_ms + 2 * YEAR_AHEAD_MAX_MS)
            || civil.as_utc(year).is_some_and(|ms| ms + DAY_MS >= local_ms + YEAR_AHEAD_MAX_MS);
        if !near {
            self.year = YearFound { day: (civil.month, civil.day), arrived_min, year };
        }
        Some(year)
    }
}

impl Civil {
    /// The same reading of a clock in UTC, in milliseconds since 1970. `None` for a day that does not exist.
    fn as_utc(self, year: i16) -> Option<i64> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if self.day == 0 || self.day > days {
            return None;
        }
        // Days since 1970 by counting years from March on, so that the leap day is a year's last.
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(year) - i64::from(month <= 2);
        let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let days =
            365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468;
        Some(days * DAY_MS + self.ms)
    }
}

/// The number that `len` digits from `at` on write.
fn number(text: &[u8], at: usize, len: usize) -> Option<u32> {
    let mut number = 0;
    for digit in text.get(at..at + len)? {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u32::from(digit - b'0');
    }
    Some(number)
}

/// The month that three letters name.
fn month(name: &[u8]) -> Option<u8> {
    const NAMES: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    NAMES.chunks_exact(3).position(|known| known == name).map(|index| index as u8 + 1)
}

/// `19:46:05` with or without a fraction: milliseconds since midnight, and its length.
fn time_of_day(text: &[u8]) -> Option<(i64, usize)> {
    let (hour, minute, second) = (number(text, 0, 2)?, number(text, 3, 2)?, number(text, 6, 2)?);
    // 60 is a leap second; it is read as the second before.
    if text[2] != b':' || text[5] != b':' || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut ms = i64::from(hour * 3600 + minute * 60 + second.min(59)) * 1000;
    let mut len = 8;
    if let Some(b'.' | b',') = text.get(8) {
        let digits = text[9..].iter().take_while(|octet| octet.is_ascii_digit()).count();
        let mut scale = 100;
        for digit in &text[9..9 + digits.min(3)] {
            ms += i64::from(digit - b'0') * scale;
            scale /= 10;
        }
        len += if digits > 0 { 1 + digits } else { 0 };
    }
    Some((ms, len))
}

/// A zone after a time: `Z`, `+00:00`, `+0000`, also after a blank. Its offset in milliseconds, and its length.
fn zone_offset(text: &[u8]) -> Option<(i64, usize)> {
    let blank = usize::from(text.first() == Some(&b' '));
    let sign = match text.get(blank)? {
        b'Z' | b'z' if blank == 0 => return Some((0, 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let colon = usize::from(text.get(blank + 3) == Some(&b':'));
    let (hours, minutes) = (number(text, blank + 1, 2)?, number(text, blank + 3 + colon, 2)?);
    let len = blank + 5 + colon;
    let ended = text.get(len).is_none_or(|octet| !octet.is_ascii_digit());
    (hours <= 23 && minutes <= 59 && ended).then(|| (sign * i64::from(hours * 60 + minutes) * MINUTE_MS, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 19:46:05 UTC.
    const SAMPLE_MS: i64 = 1_795_290_365_000;

    /// A clock in that zone.
    fn clock(zone: &str, year: Option<i16>) -> Clock {
        Clock::new(TimeZone::get(zone).unwrap(), year)
    }

    #[test]
    fn forms() {
        let rows: &[(&str, i64, &str)] = &[
            ("Nov 21 19:46:05 mx", 0, " mx"),
            ("Nov 21 2026 19:46:05 mx", 0, " mx"),
            ("2026 Nov 21 19:46:05 mx", 0, " mx"),
            ("Nov 21 19:46:05.250 mx", 250, " mx"),
            ("2026-11-21T19:46:05.410346+00:00 mx", 410, " mx"),
            ("2026-11-21T20:46:05+01:00 mx", 0, " mx"),
            ("2026-11-21T19:46:05Z mx", 0, " mx"),
            ("2026-11-21T14:46:05.5-0500 mx", 500, " mx"),
            ("2026-11-21 19:46:05 +0000 [12] x", 0, " [12] x"),
            ("2026-11-21 19:46:05.467 [12] x", 467, " [12] x"),
            ("2026-11-21 19:46:05 1xUqci-0007xB-2F <= <>", 0, " 1xUqci-0007xB-2F <= <>"),
        ];
        for (text, ms, rest) in rows {
            let stamp = clock("UTC", None).read(text.as_bytes(), SAMPLE_MS).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((stamp.time_ms, &text[stamp.len..]), (SAMPLE_MS + ms, *rest), "{text}");
        }
    }

    #[test]
    fn no_stamps() {
        for text in [
            "",
            "Nov",
            "Nov 32 00:00:00",
            "Nov 31 00:00:00 x",
            "Foo 21 19:46:05",
            "2026-13-01T00:00:00Z",
            "Nov 21 25:00:00 x",
            "2026-11-21",
        ] {
            assert_eq!(clock("UTC", None).read(text.as_bytes(), SAMPLE_MS), None, "{text}");
        }
    }

    #[test]
    fn the_year_is_the_latest_that_is_not_ahead() {
        let arrived = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let rows = [
            ("Dec 31 23:59:59", "2027-01-01T00:00:10Z", "2026-12-31T23:59:59Z"),
            ("Jan  1 00:00:05", "2026-12-31T23:59:58Z", "2027-01-01T00:00:05Z"),
            ("Jan  3 00:00:05", "2026-12-31T23:59:58Z", "2026-01-03T00:00:05Z"),
            ("Feb 29 12:00:00", "2026-06-01T00:00:00Z", "2024-02-29T12:00:00Z"),
            ("Nov 21 19:46:05", "2026-11-21T19:46:07Z", "2026-11-21T19:46:05Z"),
        ];
        for (text, at, expected) in rows {
            let stamp = clock("UTC", None).read(text.as_bytes(), arrived(at)).unwrap();
            assert_eq!(stamp.time_ms, arrived(expected), "{text} at {at}");
        }
    }

    #[test]
    fn a_replay_counts_its_years() {
        let mut clock = clock("UTC", Some(2025));
        let years = ["Nov 30 00:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "Dec 31 23:59:58", "Jan  1 00:00:01"]
            .map(|text| {
                let stamp = clock.read(text.as_bytes(), 0).unwrap();
                jiff::Timestamp::from_millisecond(stamp.time_ms).unwrap().to_zoned(TimeZone::UTC).year()
            });
        assert_eq!(years, [2025, 2025, 2026, 2025, 2026]);
    }

    #[test]
    fn zones_and_the_repeated_hour() {
        // On 2026-10-25 Berlin's clocks showed 02:00 to 03:00 twice.
        let mut clock = clock("Europe/Berlin", Some(2026));
        let mut previous = i64::MIN;
        for (text, utc) in [
            ("Jul  1 12:00:00", "2026-07-01T10:00:00Z"),
            ("Oct 25 02:30:00", "2026-10-25T00:30:00Z"),
            ("Oct 25 02:59:59", "2026-10-25T00:59:59Z"),
            ("Oct 25 02:00:00", "2026-10-25T01:00:00Z"),
            ("Oct 25 02:30:00", "2026-10-25T01:30:00Z"),
            ("Oct 25 02:29:59", "2026-10-25T01:30:00Z"),
            ("Oct 25 03:00:00", "2026-10-25T02:00:00Z"),
        ] {
            let stamp = clock.read(text.as_bytes(), 0).unwrap();
            let time_ms = clock.settle(Some(stamp.time_ms), 0);
            assert_eq!(time_ms, utc.parse::<jiff::Timestamp>().unwrap().as_millisecond(), "{text}");
            assert!(time_ms >= previous);
            previous = time_ms;
        }
        assert_eq!(clock.backward, 1);
    }

    #[test]
    fn the_future_takes_the_arrival() {
        let mut live = clock("UTC", None);
        assert_eq!(live.settle(Some(1_000), 5_000), 1_000);
        assert_eq!(live.settle(Some(5_000 + FUTURE_MAX_MS + 1), 5_000), 5_000);
        assert_eq!(live.settle(Some(2_000), 5_000), 2_000, "the log's clock stayed where it was");
        assert_eq!(live.settle(Some(5_000 + FUTURE_MAX_MS), 5_000), 5_000 + FUTURE_MAX_MS);
        assert_eq!((live.future, live.backward), (1, 0));
        let mut replay = clock("UTC", Some(2030));
        assert_eq!(replay.settle(Some(9_000_000), 0), 9_000_000);
        assert_eq!(replay.future, 0);
    }
}
