//! Mail servers: what each one's messages say, as a table.

pub mod exim;
pub mod haraka;
pub mod json;
pub mod opensmtpd;
pub mod sendmail;
mod text;

use super::envelope::Message;
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
