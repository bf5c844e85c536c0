//! A line of a log, as a source gives it.

/// Where a line stands in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Octets before the line's first; for a journal, the number of entries read before it.
    pub offset: u64,
    /// Octets up to the end of the line, its line feed included: where the next line begins.
    pub end: u64,
    /// The line's number, from 1, counted from where reading began.
    pub number: u64,
}

/// One line, without its line end. It may hold any octets: 8-bit characters and NUL occur.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// Where it stands.
    pub place: Place,
    /// Its octets, at most [`LINE_MAX`].
    pub text: &'a [u8],
    /// When it was read, in milliseconds since 1970 (UTC): stands in for a stamp that lies in the future.
    pub arrived_ms: i64,
}

/// The longest line that is looked at, in octets; what is longer is cut, counted and read no further. Postfix writes lines of
/// at most 2 048, Exim of 8 192.
pub const LINE_MAX: usize = 8192;
