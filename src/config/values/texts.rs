//! Texts, paths, and the words of which commands are made.

use std::path::PathBuf;

use serde::de::Deserializer;

use super::scalar::{Scalar, each, one};

/// Octets of one character-string in a TXT record (RFC 1035 section 3.3).
const TEXT_LEN_MAX: usize = 255;

/// A text that fits one TXT string.
fn read_text(value: Scalar) -> Result<String, String> {
    match value {
        Scalar::Text(text) if text.len() <= TEXT_LEN_MAX => Ok(text),
        Scalar::Text(text) => Err(format!(
            "the text has {} octets; expected at most {TEXT_LEN_MAX}, as one TXT string holds no more",
            text.len()
        )),
        other => other.wrong("a string"),
    }
}

/// A text that fits one TXT string.
pub(in crate::config) fn text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, read_text)
}

/// A text that fits one TXT string; the empty one switches off.
pub(in crate::config) fn optional_text<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    one(source, |value| read_text(value).map(|text| Some(text).filter(|text| !text.is_empty())))
}

/// A source's name: printable, so that it can stand in a metric, a URL and a log.
pub(in crate::config) fn source_name<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text) if (1..=TEXT_LEN_MAX).contains(&text.len()) && !text.contains(char::is_control) => Ok(text),
        other => other.wrong(format_args!("a name of 1 to {TEXT_LEN_MAX} octets")),
    })
}

/// A file or directory.
fn read_path(value: Scalar) -> Result<PathBuf, String> {
    match value {
        Scalar::Text(text) if !text.is_empty() => Ok(text.into()),
        other => other.wrong("a path"),
    }
}

/// A file or directory.
pub(in crate::config) fn path<'de, D: Deserializer<'de>>(source: D) -> Result<PathBuf, D::Error> {
    one(source, read_path)
}

/// A file.
pub(in crate::config) fn optional_path<'de, D: Deserializer<'de>>(source: D) -> Result<Option<PathBuf>, D::Error> {
    path(source).map(Some)
}

/// Files.
pub(in crate::config) fn paths<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<PathBuf>, D::Error> {
    each(source, read_path)
}

/// A word: it becomes part of a command.
fn read_word(value: Scalar) -> Result<String, String> {
    match value {
        Scalar::Text(text) if !text.is_empty() && !text.contains(|c: char| c.is_control() || c == ' ') => Ok(text),
        other => other.wrong("a word without blanks"),
    }
}

/// A program's name or path.
pub(in crate::config) fn program<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, read_word)
}

/// Words.
pub(in crate::config) fn words<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    each(source, read_word)
}

/// Local parts of mail addresses, with `*` at most at the end.
pub(in crate::config) fn local_parts<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Box<str>>, D::Error> {
    each(source, |value| match value {
        Scalar::Text(text) => match text.strip_suffix('*').unwrap_or(&text) {
            stem if !stem.is_empty() && !stem.contains(['*', '@', ' ']) => Ok(text.into()),
            _ => Err(format!(
                "{text:?} will not do; expected what stands before the @, such as \"postmaster\" or \"double-bounce*\""
            )),
        },
        other => other.wrong("a local part, such as \"postmaster\" or \"double-bounce*\""),
    })
}

/// An action of Postfix (access(5)): one line that begins with a word.
pub(in crate::config) fn action<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text)
            if text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && !text.contains(char::is_control)
                && text.len() <= 500 =>
        {
            Ok(text)
        }
        other => other.wrong("an action of Postfix on one line, such as \"DEFER 4.7.1 try again later\""),
    })
}
