//! Bytes to DNS and back. No I/O, no allocation on the way of a query, nothing that can fail but by saying so.

pub mod cookie;
pub mod edns;
pub mod name;
pub mod query;
pub mod reply;
pub mod ttl;

/// Octets of a message's header (RFC 1035 section 4.1.1).
pub const HEADER_LEN: usize = 12;

/// Types of records and questions.
pub mod rtype {
    /// IPv4 address (RFC 1035).
    pub const A: u16 = 1;
    /// Name server (RFC 1035).
    pub const NS: u16 = 2;
    /// Start of authority (RFC 1035).
    pub const SOA: u16 = 6;
    /// Mail exchanger (RFC 1035).
    pub const MX: u16 = 15;
    /// Text (RFC 1035).
    pub const TXT: u16 = 16;
    /// EDNS (RFC 6891).
    pub const OPT: u16 = 41;
    /// Incremental transfer (RFC 1995).
    pub const IXFR: u16 = 251;
    /// Transfer (RFC 5936).
    pub const AXFR: u16 = 252;
    /// Everything (RFC 8482).
    pub const ANY: u16 = 255;
}

/// Classes.
pub mod class {
    /// The Internet.
    pub const IN: u16 = 1;
    /// CHAOS, for questions about the server itself (RFC 4892).
    pub const CH: u16 = 3;
}

/// Response codes; those over 15 need EDNS.
pub mod rcode {
    /// No error.
    pub const NOERROR: u16 = 0;
    /// The message can not be understood.
    pub const FORMERR: u16 = 1;
    /// The server can not answer.
    pub const SERVFAIL: u16 = 2;
    /// There is no such name.
    pub const NXDOMAIN: u16 = 3;
    /// The server does not do this.
    pub const NOTIMP: u16 = 4;
    /// The server will not do this.
    pub const REFUSED: u16 = 5;
    /// The EDNS version is not spoken (RFC 6891 section 9).
    pub const BADVERS: u16 = 16;
    /// The server cookie is missing or wrong (RFC 7873 section 8).
    pub const BADCOOKIE: u16 = 23;
}

/// Extended error codes (RFC 8914 section 4).
pub mod ede {
    /// The server is still loading.
    pub const NOT_READY: u16 = 14;
    /// The client may not ask this.
    pub const PROHIBITED: u16 = 18;
    /// The server is not authoritative for the name.
    pub const NOT_AUTHORITATIVE: u16 = 20;
    /// What is asked is not supported.
    pub const NOT_SUPPORTED: u16 = 21;
    /// The data is past its expiry.
    pub const INVALID_DATA: u16 = 24;
}
