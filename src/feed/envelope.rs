//! A line's head: who logged it and when, in every form in which shippers and servers write it.

/// A line without its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// When, in milliseconds since 1970 (UTC), by the rules of [`time`](super::time).
    pub time_ms: i64,
    /// The stamp as written; empty where the line has none.
    pub stamp: &'a [u8],
    /// The host that logged it; empty where the line does not tell.
    pub host: &'a [u8],
    /// The program as logged, such as `postfix/smtpd`, `sm-mta`, `exim`; `postfix` where a shipper has cut it.
    /// Lines in a server's own form have its name: `exim`, `haraka`, `smtpd-filter`, `json`.
    pub program: &'a [u8],
    /// Its process id.
    pub pid: Option<u32>,
    /// The message, without leading blanks.
    pub text: &'a [u8],
}
