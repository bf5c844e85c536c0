//! The raw value: anything TOML can say, taken first and judged afterwards.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value before anything is expected of it.
pub(super) enum Scalar {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Flag(bool),
    /// An array, its content passed over.
    Array,
    /// A table or a date, its content passed over.
    Table,
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Array => f.write_str("an array"),
            Self::Table => f.write_str("a table or a date"),
        }
    }
}

impl Scalar {
    /// The error for a value that is not what its key wants.
    pub(super) fn wrong<T>(&self, expected: impl fmt::Display) -> Result<T, String> {
        Err(format!("{self} will not do; expected {expected}"))
    }
}

/// Takes any value and reads it with the function it holds; within the visit, so that an error stands at the value.
struct One<T>(fn(Scalar) -> Result<T, String>);

impl<T> One<T> {
    /// Read a value.
    fn read<E: serde::de::Error>(self, value: Scalar) -> Result<T, E> {
        (self.0)(value).map_err(E::custom)
    }
}

impl<'de, T> Visitor<'de> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        self.read(Scalar::Text(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<T, E> {
        self.read(Scalar::Integer(n))
    }

    fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<T, E> {
        self.read(Scalar::Float(n))
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<T, E> {
        self.read(Scalar::Flag(flag))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.read(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.read(Scalar::Table)
    }
}

impl<'de, T> DeserializeSeed<'de> for One<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<T, D::Error> {
        source.deserialize_any(self)
    }
}

/// Read one value with `read`.
pub(super) fn one<'de, D: Deserializer<'de>, T>(
    source: D,
    read: fn(Scalar) -> Result<T, String>,
) -> Result<T, D::Error> {
    source.deserialize_any(One(read))
}

/// Reads an array, each element by the function it holds.
struct List<T>(fn(Scalar) -> Result<T, String>);

impl<'de, T> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array in brackets")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Err(E::custom(format!("expected an array; put the value into brackets: [{text:?}]")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(One(self.0))? {
            list.push(item);
        }
        Ok(list)
    }
}

/// Read an array, each element with `read`.
pub(super) fn each<'de, D: Deserializer<'de>, T>(
    source: D,
    read: fn(Scalar) -> Result<T, String>,
) -> Result<Vec<T>, D::Error> {
    source.deserialize_any(List(read))
}
