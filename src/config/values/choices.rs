//! One of a few words: types, modes, formats, time zones.

use jiff::tz::TimeZone;
use serde::de::Deserializer;

use super::scalar::{Scalar, one};
use crate::config::feed::SourceType;
use crate::config::listing::FeedMode;
use crate::config::place::nearest;
use crate::config::public::ForwardedHeader;
use crate::config::schema::{AnyAnswer, Authority, OnExpire};
use crate::config::tls::TlsVersion;
use crate::dataset::Kind;
use crate::feed::Format;

/// One word out of a table.
fn word<T: Copy>(value: Scalar, words: &[(T, &str)]) -> Result<T, String> {
    if let Scalar::Text(text) = &value {
        if let Some((meaning, _)) = words.iter().find(|(_, word)| word == text) {
            return Ok(*meaning);
        }
        if let Some(near) = nearest(text, words.iter().map(|(_, word)| *word)) {
            return Err(format!("{value} is not known; did you mean \"{near}\"?"));
        }
    }
    let all: Vec<String> = words.iter().map(|(_, word)| format!("\"{word}\"")).collect();
    value.wrong(format_args!("one of {}", all.join(", ")))
}

/// A dataset type.
pub(in crate::config) fn kind<'de, D: Deserializer<'de>>(source: D) -> Result<Kind, D::Error> {
    one(source, |value| word(value, &Kind::ALL))
}

/// What stands in the authority section.
pub(in crate::config) fn authority<'de, D: Deserializer<'de>>(source: D) -> Result<Authority, D::Error> {
    one(source, |value| word(value, &[(Authority::Minimal, "minimal"), (Authority::Full, "full")]))
}

/// How ANY is answered.
pub(in crate::config) fn any_answer<'de, D: Deserializer<'de>>(source: D) -> Result<AnyAnswer, D::Error> {
    one(source, |value| word(value, &[(AnyAnswer::One, "one"), (AnyAnswer::Full, "full")]))
}

/// What happens to expired data.
pub(in crate::config) fn on_expire<'de, D: Deserializer<'de>>(source: D) -> Result<OnExpire, D::Error> {
    one(source, |value| word(value, &[(OnExpire::Keep, "keep"), (OnExpire::Servfail, "servfail")]))
}

/// The header of trusted proxies.
pub(in crate::config) fn forwarded_header<'de, D: Deserializer<'de>>(source: D) -> Result<ForwardedHeader, D::Error> {
    one(source, |value| word(value, &ForwardedHeader::ALL))
}

/// A version of TLS.
pub(in crate::config) fn tls_version<'de, D: Deserializer<'de>>(source: D) -> Result<TlsVersion, D::Error> {
    one(source, |value| word(value, &TlsVersion::ALL))
}

/// What the feeder does with listings.
pub(in crate::config) fn feed_mode<'de, D: Deserializer<'de>>(source: D) -> Result<FeedMode, D::Error> {
    one(source, |value| match &value {
        Scalar::Text(text) if text == "list" => Ok(FeedMode::List),
        Scalar::Text(text) if text == "observe" => Ok(FeedMode::Observe),
        _ => value.wrong("\"list\" or \"observe\""),
    })
}

/// A source's type.
pub(in crate::config) fn source_type<'de, D: Deserializer<'de>>(source: D) -> Result<SourceType, D::Error> {
    one(source, |value| word(value, &SourceType::ALL))
}

/// A log's format.
pub(in crate::config) fn format<'de, D: Deserializer<'de>>(source: D) -> Result<Format, D::Error> {
    one(source, |value| word(value, &Format::ALL))
}

/// A time zone by its name in the IANA database, or `local`.
pub(in crate::config) fn time_zone<'de, D: Deserializer<'de>>(source: D) -> Result<TimeZone, D::Error> {
    one(source, |value| {
        let expected = "\"local\", \"UTC\" or the name of a time zone, such as \"Europe/Berlin\"";
        match &value {
            Scalar::Text(text) if text == "local" => Ok(TimeZone::system()),
            Scalar::Text(text) => TimeZone::get(text).or_else(|_| value.wrong(expected)),
            _ => value.wrong(expected),
        }
    })
}
