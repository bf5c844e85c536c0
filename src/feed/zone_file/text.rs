//! The text of a listing: what was seen, when it was last seen, when it ends, where to look.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::feed::evidence::{Code, Signal};
use crate::feed::listing::Listing;
use crate::feed::subject::Subject;

/// Octets of a DNS character-string (RFC 1035 section 3.3): the text is one string, whoever serves it.
pub const STRING_OCTETS_MAX: usize = 255;
/// Octets of the longest spelling of an IPv6 address, for which a `$` stands.
const IP6_OCTETS_MAX: usize = 39;
/// The same for an IPv4 address, which may be asked about as an IPv4-mapped one.
const IP4_OCTETS_MAX: usize = 22;
/// Octets of the address of a page: half of the string is left for what was seen.
pub const URL_OCTETS_MAX: usize = 128 - IP6_OCTETS_MAX;
/// Octets of a HELO that are shown.
const HELO_OCTETS_MAX: usize = 64;

/// The text in a zone file: `$` is put there only for the address, others are doubled (rbldnsd.8, "Text substitution").
pub fn text(subject: Subject, listing: &Listing, url: Option<&str>) -> String {
    let see = see(url, "$");
    let address = if subject.is_ip4() { IP4_OCTETS_MAX } else { IP6_OCTETS_MAX };
    let room = STRING_OCTETS_MAX - see.matches('$').count() * address - see.len();
    facts(listing, room).replace('$', "$$") + &see
}

/// The same with the address in it, for what knows no `$`.
pub fn plain(subject: Subject, listing: &Listing, url: Option<&str>) -> String {
    let see = see(url, &subject.ip().to_string());
    facts(listing, STRING_OCTETS_MAX - see.len()) + &see
}

/// Where to look, if that is known. The first `$` of it becomes `address`; a second one would make it too long.
fn see(url: Option<&str>, address: &str) -> String {
    let Some(url) = url else { return String::new() };
    let clean: String = url.chars().filter(|c| c.is_ascii_graphic()).take(URL_OCTETS_MAX).collect();
    let (before, after) = clean.split_once('$').unwrap_or((&clean, ""));
    let after = after.replace('$', "");
    // `$0` and `$=` would be something else in a zone file; the settings refuse them.
    let at = if clean.contains('$') && !is_template(&after) { address } else { "" };
    format!("; see {before}{at}{after}")
}

/// Would a `$` before this stand for something else than the address?
fn is_template(after: &str) -> bool {
    after.starts_with(|c: char| c.is_ascii_digit() || c == '=')
}

/// May this be the address of a page: one `$` at most, which stands for the address? Else what is wrong with it.
pub fn check_url(url: &str) -> Result<(), String> {
    let (_, after) = url.split_once('$').unwrap_or((url, ""));
    if url.len() > URL_OCTETS_MAX {
        return Err(format!(
            "it has {} octets, but stands in a text of {STRING_OCTETS_MAX} beside what was seen; it may have {URL_OCTETS_MAX}",
            url.len()
        ));
    }
    if !url.bytes().all(|c| c.is_ascii_graphic()) {
        return Err("only printable ASCII without blanks can be in it".to_owned());
    }
    if after.contains('$') || is_template(after) {
        return Err("one `$` may be in it, for the address, and no digit and no `=` may follow it".to_owned());
    }
    Ok(())
}

/// What was seen, in at most so many octets.
fn facts(listing: &Listing, room: usize) -> String {
    let seen = &listing.seen;
    let mut facts = match listing.codes.as_slice() {
        [Code::Callouts] => "Sender callouts",
        [Code::Bounces] => "Backscatter",
        _ => "Sender callouts and backscatter",
    }
    .to_owned();
    let whammies = seen.of(Signal::DoubleWhammy);
    let callouts = seen.of(Signal::Callout) + seen.of(Signal::SenderUnseen) + whammies;
    let counts = [
        (callouts, "callouts"),
        (whammies, "with invented address"),
        (seen.of(Signal::Bounce), "bounces"),
        (seen.of(Signal::NullUnknown), "null senders to unknown addresses"),
        (seen.of(Signal::TrapMail) + seen.of(Signal::NeverSent), "reports to addresses that never sent"),
    ];
    let mut mark = ": ";
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        let _ = write!(facts, "{mark}{count} {what}");
        mark = ", ";
    }
    let _ = write!(
        facts,
        "; {} recipients, last {}, ends {}",
        seen.recipients,
        minute(seen.last_ms),
        minute(listing.until_ms)
    );
    if let Some(helo) = seen.helo.as_ref().filter(|helo| !helo.is_empty()) {
        let with_helo = format!("{facts}; HELO {}", harmless(helo));
        if with_helo.len() <= room {
            facts = with_helo;
        }
    }
    // All of it is ASCII, so that it may be cut anywhere.
    facts.truncate(room);
    // Blanks at the end of a line are no part of its text.
    facts.truncate(facts.trim_end().len());
    facts
}

/// Client's text as letters, digits and the marks of host names and address literals; all else becomes `?`.
fn harmless(text: &[u8]) -> String {
    let plain = |&c: &u8| if c.is_ascii_alphanumeric() || b".-_[]:".contains(&c) { char::from(c) } else { '?' };
    text.iter().take(HELO_OCTETS_MAX).map(plain).collect()
}

/// A time to the minute, UTC.
fn minute(time_ms: i64) -> String {
    let stamp = Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::MAX);
    stamp.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// A time to the second (RFC 3339), UTC.
pub fn date(time_ms: i64) -> String {
    let stamp = Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::MAX);
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
