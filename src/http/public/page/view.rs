//! What a look-up tells: one set of plain values, which the page and the API both show.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::asked::Asked;
use super::zones::{ZoneAnswer, ZoneWord};
use crate::feed::evidence::{Code, Milli, Signal};
use crate::feed::listing::{Ended, Listing};
use crate::feed::owner::{About, Detail, Seen};
use crate::feed::policy::{DAY_MS, State};
use crate::feed::zone_file::date;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// A time, or a day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// A second, in milliseconds since 1970.
    Second(i64),
    /// A day, by the milliseconds since 1970 of its beginning.
    Day(i64),
}

impl Stamp {
    /// For machines: RFC 3339, or its `full-date`.
    pub fn machine(self) -> String {
        match self {
            Self::Second(ms) => date(ms),
            Self::Day(ms) => date(ms).chars().take(10).collect(),
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, format) = match *self {
            Self::Second(ms) => (ms, "%-d %B %Y, %H:%M UTC"),
            Self::Day(ms) => (ms, "%-d %B %Y"),
        };
        write!(f, "{}", Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX).strftime(format))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.machine())
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Anybody.
    World,
    /// The address that is looked up itself.
    Owner,
    /// Who has the operator's token.
    Operator,
}

/// A look-up's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lookup {
    /// The address or name.
    pub subject: String,
    /// `ipv4`, `ipv6` or `name`.
    pub kind: &'static str,
    /// When this was so.
    pub time: Stamp,
    /// Whether any zone that is shown lists it.
    pub listed: bool,
    /// What each of them says.
    pub zones: Vec<ZoneAnswer>,
    /// What the feeder knows, of addresses where there is a feeder.
    pub feeder: Option<Feeder>,
}

/// What the feeder knows of a host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feeder {
    /// The host that is judged: an IPv4 address, or an IPv6 /64.
    pub host: String,
    /// The listing in force.
    pub listing: Option<ListingView>,
    /// Those that have ended, the latest first.
    pub earlier: Vec<Earlier>,
    /// How it is removed.
    pub removal: Removal,
    /// What was seen, for its owner and the operator.
    pub evidence: Option<Evidence>,
}

/// A listing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListingView {
    /// What DNS answers.
    pub codes: Vec<String>,
    /// The same in words.
    pub what: &'static str,
    /// When the evidence sufficed.
    pub since: Stamp,
    /// The last evidence.
    pub last: Stamp,
    /// When it ends, if nothing more is seen.
    pub until: Stamp,
    /// Days that it goes on after the last evidence.
    pub term_days: f64,
    /// Which listing in a row it is.
    pub nth: u32,
    /// Points at the last evidence.
    pub points: f64,
    /// Different recipients.
    pub recipients: usize,
    /// Sessions.
    pub sessions: usize,
    /// What was seen, by kind.
    pub reasons: Vec<Reason>,
}

/// A kind of evidence and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The word for it.
    pub signal: &'static str,
    /// What it is.
    pub text: &'static str,
    /// How often.
    pub count: u32,
}

/// A listing that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// When it began.
    pub since: Stamp,
    /// When it ended.
    pub until: Stamp,
    /// How: `expired`, `removed-by-owner`, `removed-by-operator` or `allowed`.
    pub ended: &'static str,
}

impl Earlier {
    /// How it ended, for people.
    pub fn text(&self) -> &'static str {
        match self.ended {
            "removed-by-owner" => "removed by its owner",
            "removed-by-operator" => "removed by the operator",
            "allowed" => "allowed by the operator",
            _ => "ended by itself",
        }
    }
}

/// How a host is removed by its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Who asks comes from the host itself.
    pub from_here: bool,
    /// It would be done now.
    pub possible: bool,
    /// When it may be asked for again, where it was done not long ago.
    pub again: Option<Stamp>,
}

/// What was seen of a host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// Points that are left now.
    pub points: f64,
    /// Points that list it.
    pub threshold: f64,
    /// What keeps it off the list; for the operator alone.
    pub protected_by: Option<String>,
    /// The latest pieces, newest first.
    pub pieces: Vec<PieceView>,
    /// Older ones that are not among them.
    pub more: usize,
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PieceView {
    /// When; only the day, where a trap was concerned on it.
    pub time: Stamp,
    /// What it is.
    pub signal: &'static str,
    /// The same for people.
    pub text: &'static str,
    /// What it was worth.
    pub points: f64,
    /// What it is worth now.
    pub weight: f64,
    /// What became of it: `counts`, `repeated`, `solicited`, `old` or `removed`.
    pub state: &'static str,
    /// Recipients that it is about.
    pub recipients: usize,
    /// What the log said, masked.
    pub lines: Vec<String>,
}

impl PieceView {
    /// Why it does not count, for people.
    pub fn not_counted(&self) -> &'static str {
        match self.state {
            "repeated" => "not counted: the same shortly before",
            "solicited" => "not counted: it answers mail from here",
            "old" => "not counted any more: too old",
            "removed" => "not counted any more: removed since",
            _ => "",
        }
    }
}

/// Put a result together. `about` is what the feeder knows; in `observe` mode it lists nothing.
pub fn lookup(
    asked: &Asked,
    zones: Vec<ZoneAnswer>,
    about: Option<About>,
    observe: bool,
    asker: Asker,
    now_ms: i64,
) -> Lookup {
    let feeder = about.zip(asked.subject()).map(|(about, subject)| {
        let from_here = asker == Asker::Owner;
        let listing = about.listing.as_ref().filter(|_| !observe).map(of_listing);
        let again = about.removable_from_ms.map(Stamp::Second);
        let removal = Removal { from_here, possible: from_here && listing.is_some() && again.is_none(), again };
        // What was only observed never was a listing for the world.
        let earlier = if observe { Vec::new() } else { about.earlier.iter().map(of_earlier).collect() };
        let evidence = about.detail.filter(|_| asker != Asker::World).map(|detail| of_detail(detail, asker));
        Feeder { host: subject.to_string(), listing, earlier, removal, evidence }
    });
    Lookup {
        subject: asked.to_string(),
        kind: asked.kind(),
        time: Stamp::Second(now_ms),
        listed: zones.iter().any(|zone| zone.state == ZoneWord::Listed),
        zones,
        feeder,
    }
}

/// A listing as it is shown.
pub fn of_listing(listing: &Listing) -> ListingView {
    let seen = &listing.seen;
    let counts = Signal::ALL.iter().zip(&seen.signals).filter(|(_, count)| **count > 0);
    ListingView {
        codes: listing.codes.iter().map(|code| format!("127.0.0.{}", code.octet())).collect(),
        what: match listing.codes.as_slice() {
            [Code::Callouts] => "sender callouts",
            [Code::Bounces] => "backscatter",
            _ => "sender callouts and backscatter",
        },
        // To the minute, as in the text of the listing: to the second would name one session of many.
        since: Stamp::Second(minute(listing.since_ms)),
        last: Stamp::Second(minute(seen.last_ms)),
        until: Stamp::Second(minute_from(listing.until_ms)),
        term_days: listing.term_ms as f64 / DAY_MS as f64,
        nth: listing.nth,
        points: points(seen.score),
        recipients: seen.recipients,
        sessions: seen.sessions,
        reasons: counts.map(|(&signal, &count)| reason(signal, count)).collect(),
    }
}

impl ListingView {
    /// How long it goes on after the last evidence, for people.
    pub fn term(&self) -> String {
        let ms = (self.term_days * DAY_MS as f64).round() as i64;
        span(ms)
    }

    /// The time that is left, for people.
    pub fn left(&self, now: &Stamp) -> String {
        match (self.until, now) {
            (Stamp::Second(until_ms), Stamp::Second(now_ms)) => span(until_ms - now_ms),
            _ => String::new(),
        }
    }

    /// Is it listed for callouts?
    pub fn callouts(&self) -> bool {
        self.codes.iter().any(|code| code == "127.0.0.2")
    }

    /// Is it listed for bounces?
    pub fn bounces(&self) -> bool {
        self.codes.iter().any(|code| code == "127.0.0.3")
    }
}

/// A length of time to the nearest day, hour or minute, at least a minute.
fn span(ms: i64) -> String {
    let count = |n: i64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match ms {
        ms if ms >= 2 * DAY_MS || ms == DAY_MS => count((ms + DAY_MS / 2) / DAY_MS, "day"),
        ms if ms >= 2 * HOUR_MS => count((ms + HOUR_MS / 2) / HOUR_MS, "hour"),
        ms => count(((ms + 30_000) / 60_000).max(1), "minute"),
    }
}

/// A kind of evidence as it is shown.
fn reason(signal: Signal, count: u32) -> Reason {
    Reason { signal: signal.word(), text: signal.sentence(), count }
}

/// A listing that has ended as it is shown.
fn of_earlier(listing: &Listing) -> Earlier {
    let ended: Ended = listing.ended;
    let at = |ms: i64| Stamp::Second(minute(ms));
    Earlier { since: at(listing.since_ms), until: at(listing.until_ms), ended: ended.word() }
}

/// What was seen as it is shown.
fn of_detail(detail: Detail, asker: Asker) -> Evidence {
    Evidence {
        points: points(detail.score),
        threshold: points(detail.threshold),
        // It is the operator's own note.
        protected_by: detail.protected_by.filter(|_| asker == Asker::Operator),
        pieces: detail.pieces.into_iter().map(of_piece).collect(),
        more: detail.more,
    }
}

/// A piece of evidence as it is shown.
fn of_piece(piece: Seen) -> PieceView {
    // Nothing of a day with a trap is so exact that its time could be computed from it.
    let weight = |milli: Milli| if piece.day_only { (points(milli) * 10.0).round() / 10.0 } else { points(milli) };
    PieceView {
        time: if piece.day_only { Stamp::Day(piece.time_ms) } else { Stamp::Second(piece.time_ms) },
        signal: piece.signal.word(),
        text: piece.signal.sentence(),
        points: weight(piece.points),
        weight: weight(if piece.state == State::Counts { piece.weight } else { 0 }),
        state: piece.state.word(),
        recipients: piece.recipients,
        lines: piece.lines,
    }
}

/// The minute that a time lies in.
pub(super) fn minute(ms: i64) -> i64 {
    ms.div_euclid(60_000) * 60_000
}

/// The first whole minute from a time on: what is said to end then has ended.
pub(super) fn minute_from(ms: i64) -> i64 {
    minute(ms.saturating_add(59_999))
}

/// Thousandths as points.
fn points(milli: i64) -> f64 {
    milli as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans() {
        let second = Stamp::Second(1_763_752_000_999);
        assert_eq!(
            (second.to_string(), second.machine()),
            ("21 November 2025, 19:06 UTC".into(), "2025-11-21T19:06:40Z".into())
        );
        let day = Stamp::Day(1_763_683_200_000);
        assert_eq!((day.to_string(), day.machine()), ("21 November 2025".into(), "2025-11-21".into()));
        for (ms, expected) in [
            (7 * DAY_MS, "7 days"),
            (DAY_MS, "1 day"),
            (36 * HOUR_MS, "36 hours"),
            (7 * DAY_MS - 2 * HOUR_MS, "7 days"),
            (2 * HOUR_MS - 60_000, "119 minutes"),
            (60_000, "1 minute"),
            (0, "1 minute"),
        ] {
            assert_eq!(span(ms), expected, "{ms}");
        }
    }
}
