//! Mail servers: what each one's messages say, as a table.

pub mod address;
#[cfg(test)]
mod brief;
pub mod exim;
pub mod haraka;
pub mod json;
pub mod opensmtpd;
pub mod postfix;
pub mod sendmail;
pub mod text;

use super::envelope::{self, Message};
use super::record::Record;

/// Whose lines an input has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Postfix, postscreen included.
    Postfix,
    /// Exim, main log or reject log.
    Exim,
    /// Sendmail.
    Sendmail,
    /// OpenSMTPD's syslog, or the stream that its filters read.
    Opensmtpd,
    /// Haraka.
    Haraka,
    /// A session a line, as JSON.
    Json,
    /// Each line by its own form.
    Auto,
}

impl Format {
    /// Every format, with the word for it in settings and on the command line.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Postfix, "postfix"),
        (Self::Exim, "exim"),
        (Self::Sendmail, "sendmail"),
        (Self::Opensmtpd, "opensmtpd"),
        (Self::Haraka, "haraka"),
        (Self::Json, "json"),
        (Self::Auto, "auto"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    /// Reads the word; the error names all words.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == word);
        found.map(|(format, _)| format).ok_or_else(|| {
            let words = Self::ALL.map(|(_, word)| word).join(", ");
            format!("'{word}' is no log format: expected one of {words}")
        })
    }
}

/// What a parser made of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It gave at least one record.
    Parsed,
    /// It is known and of no interest.
    Ignored,
    /// It is not known.
    Unknown,
}

/// Takes the records of a message, in order.
pub type Sink<'s> = dyn for<'r> FnMut(Record<'r>) + 's;

/// A mail server's parser: gives the records of `message` to the sink. It keeps nothing from line to line.
pub type Parser = fn(message: &Message<'_>, sink: &mut Sink<'_>) -> Taken;

/// The parser for a message and its format: with [`Format::Auto`] the one that its head calls for. `None` where no format is known.
pub fn parser(format: Format, message: &Message<'_>) -> Option<(Format, Parser)> {
    let format = if format == Format::Auto { recognise(message)? } else { format };
    let parser: Parser = match format {
        Format::Postfix => postfix::parse,
        Format::Exim => exim::parse,
        Format::Sendmail => sendmail::parse,
        Format::Opensmtpd => opensmtpd::parse,
        Format::Haraka => haraka::parse,
        Format::Json => json::parse,
        Format::Auto => return None,
    };
    Some((format, parser))
}

/// The format of a message, by its head: what it is in does not change from line to line, so no line depends on another.
pub fn recognise(message: &Message<'_>) -> Option<Format> {
    match message.program {
        envelope::EXIM => Some(Format::Exim),
        envelope::HARAKA => Some(Format::Haraka),
        envelope::SMTPD_FILTER => Some(Format::Opensmtpd),
        envelope::JSON => Some(Format::Json),
        program if postfix::is_ours(program) => Some(Format::Postfix),
        program if exim::is_ours(program) => Some(Format::Exim),
        program if opensmtpd::is_ours(program) => Some(Format::Opensmtpd),
        program if sendmail::is_ours(program) => Some(Format::Sendmail),
        _ => None,
    }
}
