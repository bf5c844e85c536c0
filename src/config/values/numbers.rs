//! Flags, counts, points and ratios.

use serde::de::Deserializer;

use super::scalar::{Scalar, each, one};
use crate::config::schema::Workers;

/// Most UDP threads for each address; more than any machine has use for.
const WORKERS_MAX: i64 = 256;

/// `true` or `false`.
pub(in crate::config) fn flag<'de, D: Deserializer<'de>>(source: D) -> Result<bool, D::Error> {
    one(source, |value| match value {
        Scalar::Flag(flag) => Ok(flag),
        other => other.wrong("true or false"),
    })
}

/// `true` or `false`, where to say nothing is something else.
pub(in crate::config) fn optional_flag<'de, D: Deserializer<'de>>(source: D) -> Result<Option<bool>, D::Error> {
    flag(source).map(Some)
}

/// A whole number from `MIN` to `MAX`.
pub(in crate::config) fn number<'de, D, T, const MIN: i64, const MAX: i64>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    one(source, |value| match value {
        Scalar::Integer(n) if (MIN..=MAX).contains(&n) => T::try_from(n).map_err(|_| format!("{n} is too large")),
        other => other.wrong(format_args!("a whole number from {MIN} to {MAX}")),
    })
}

/// A number of workers or `"auto"`.
pub(in crate::config) fn workers<'de, D: Deserializer<'de>>(source: D) -> Result<Workers, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text) if text == "auto" => Ok(Workers::Auto),
        Scalar::Integer(n @ 1..=WORKERS_MAX) => Ok(Workers::Count(n as u16)),
        other => other.wrong(format_args!("\"auto\" or a whole number from 1 to {WORKERS_MAX}")),
    })
}

/// Users' numbers.
pub(in crate::config) fn uids<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u32>, D::Error> {
    each(source, |value| match value {
        Scalar::Integer(n) => u32::try_from(n).map_err(|_| format!("{n} is no user's number")),
        other => other.wrong("a user's number"),
    })
}

/// Thousandths of a number that has at most three places behind the point.
fn thousandths(value: &Scalar, max: i64) -> Option<i64> {
    let milli = match value {
        Scalar::Integer(n) => n.checked_mul(1000)?,
        // As near as a number of 52 bits comes to it.
        Scalar::Float(n) if n.abs() < 1e9 && (n * 1000.0 - (n * 1000.0).round()).abs() < 1e-6 => {
            (n * 1000.0).round() as i64
        }
        _ => return None,
    };
    (0..=max).contains(&milli).then_some(milli)
}

/// Points, as thousandths.
pub(in crate::config) fn points<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    one(source, |value| match thousandths(&value, 1_000_000) {
        Some(milli) => Ok(milli),
        None => value.wrong("points from 0 to 1000, with at most three places behind the point"),
    })
}

/// A part of one, as thousandths.
pub(in crate::config) fn fraction<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    one(source, |value| match thousandths(&value, 1000) {
        Some(milli) => Ok(milli),
        None => value.wrong("a number from 0 to 1, with at most three places behind the point"),
    })
}

/// A number for which `fits` holds, or `false`.
fn ratio(value: Scalar, fits: fn(f64) -> bool, expected: &str) -> Result<Option<f64>, String> {
    let n = match value {
        Scalar::Flag(false) => return Ok(None),
        Scalar::Float(n) => n,
        Scalar::Integer(n) => n as f64,
        other => return other.wrong(expected),
    };
    if n.is_finite() && fits(n) { Ok(Some(n)) } else { value.wrong(expected) }
}

/// The share of the old entries that may go, or `false`.
pub(in crate::config) fn shrink<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    one(source, |value| ratio(value, |n| (0.0..=1.0).contains(&n), "a share from 0 to 1, or false"))
}

/// How many times the old entries there may be, or `false`.
pub(in crate::config) fn grow<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    one(source, |value| ratio(value, |n| n >= 1.0, "a number of at least 1, or false"))
}

/// How many times something, at least once.
pub(in crate::config) fn multiple<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    one(source, |value| {
        let expected = "a number from 1 to 1000000";
        let fits = |n: f64| (1.0..=1_000_000.0).contains(&n);
        // `false` is no number here.
        ratio(value, fits, expected)?.ok_or_else(|| format!("false will not do; expected {expected}"))
    })
}
