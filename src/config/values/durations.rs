//! Durations: whole seconds, or one number with one unit.

use serde::de::{Deserializer, Error as _};

use super::scalar::{Scalar, each, one};

/// The longest TTL, s (RFC 2181 section 8), and so the longest duration in the settings.
pub(in crate::config) const SECONDS_MAX: u32 = i32::MAX as u32;

/// Whole seconds, or a number with one of the units that `$TTL` knows too.
fn duration(value: &Scalar) -> Result<u32, String> {
    let read = match value {
        Scalar::Integer(n) => u32::try_from(*n).ok(),
        Scalar::Text(text) => {
            let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
                Some(at) => text.split_at(at),
                None => (text.as_str(), "s"),
            };
            let unit_s = match unit {
                "s" => Some(1u32),
                "m" => Some(60),
                "h" => Some(3_600),
                "d" => Some(86_400),
                "w" => Some(604_800),
                _ => None,
            };
            unit_s.and_then(|unit_s| digits.parse::<u32>().ok()?.checked_mul(unit_s))
        }
        _ => None,
    };
    match read {
        Some(n) if n <= SECONDS_MAX => Ok(n),
        _ => value.wrong(format_args!(
            "whole seconds up to {SECONDS_MAX}, or a string of one number and one unit: \"35m\", \"1h\", \"2d\", \"1w\""
        )),
    }
}

/// A duration of at least `MIN` seconds.
pub(in crate::config) fn seconds<'de, D: Deserializer<'de>, const MIN: u32>(source: D) -> Result<u32, D::Error> {
    one(source, |value| {
        let n = duration(&value)?;
        if n < MIN { value.wrong(format_args!("a duration of at least {MIN} s")) } else { Ok(n) }
    })
}

/// `"never"` or a duration.
pub(in crate::config) fn expiry<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    one(source, |value| match &value {
        Scalar::Text(text) if text == "never" => Ok(None),
        _ => match duration(&value) {
            Ok(0) => value.wrong("\"never\" or a duration of at least 1 s"),
            Ok(n) => Ok(Some(n)),
            Err(message) => Err(format!("{message}, or \"never\"")),
        },
    })
}

/// Durations of listings, at least one.
pub(in crate::config) fn terms<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u32>, D::Error> {
    let list = each(source, |value| duration(&value))?;
    if list.is_empty() || list.contains(&0) {
        return Err(D::Error::custom(
            "expected at least one duration, none of them 0, such as [\"7d\", \"14d\", \"28d\"]",
        ));
    }
    Ok(list)
}
