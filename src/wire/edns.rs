//! EDNS (RFC 6891): what a query's OPT record says.

use super::cookie::Cookie;
use super::rtype;

/// Option: name server identifier (RFC 5001).
pub const OPTION_NSID: u16 = 3;
/// Option: cookie (RFC 7873).
pub const OPTION_COOKIE: u16 = 10;
/// Option: how long an idle connection is kept (RFC 7828).
pub const OPTION_KEEPALIVE: u16 = 11;
/// Option: padding (RFC 7830).
pub const OPTION_PADDING: u16 = 12;
/// Option: extended error (RFC 8914).
pub const OPTION_EDE: u16 = 15;
/// Octets of an OPT record without options: root, type, class, TTL, length.
pub const OPT_LEN: usize = 11;
/// DO, in the third octet of the record's TTL.
const DNSSEC_OK: u8 = 0x80;
/// The lower octet of the record's type.
const OPT: u8 = rtype::OPT as u8;

/// What a query's OPT record says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// Largest datagram that the client takes, octets; below 512 means 512.
    pub udp_size: u16,
    /// Version; 0 is the only one there is.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    /// The client asks for the server's identifier.
    pub nsid: bool,
    /// The client asks how long an idle connection is kept.
    pub keepalive: bool,
    /// The client pads, and takes padding.
    pub padding: bool,
}

/// An option that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOption {
    /// Its length goes past the record's data.
    Overrun,
    /// A cookie of a length that no cookie has (RFC 7873 section 5.2.2).
    Cookie,
}

impl Edns {
    /// From what stands behind the question, if it is an OPT record without options and nothing else, as it nearly always is.
    #[inline]
    pub fn read_plain(records: &[u8]) -> Option<Self> {
        let &[0, 0, OPT, size_high, size_low, _, version, flags, _, 0, 0] = <&[u8; OPT_LEN]>::try_from(records).ok()?
        else {
            return None;
        };
        let udp_size = u16::from_be_bytes([size_high, size_low]);
        Some(Self { udp_size, version, dnssec_ok: flags & DNSSEC_OK != 0, ..Self::default() })
    }

    /// From the class, TTL and data of an OPT record; a cookie goes to `cookie`, in place, as few queries have one.
    pub fn read(class: u16, ttl: u32, mut data: &[u8], cookie: &mut Option<Cookie>) -> (Self, Result<(), BadOption>) {
        let [_, version, flags, _] = ttl.to_be_bytes();
        let mut edns = Self { udp_size: class, version, dnssec_ok: flags & DNSSEC_OK != 0, ..Self::default() };
        while !data.is_empty() {
            let [code_high, code_low, len_high, len_low, rest @ ..] = data else {
                return (edns, Err(BadOption::Overrun));
            };
            let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
            if len > rest.len() {
                return (edns, Err(BadOption::Overrun));
            }
            match u16::from_be_bytes([*code_high, *code_low]) {
                OPTION_NSID => edns.nsid = true,
                // The first counts, whatever follows (RFC 7873 section 5.2).
                OPTION_COOKIE if cookie.is_none() => match Cookie::read(&rest[..len]) {
                    None => return (edns, Err(BadOption::Cookie)),
                    read => *cookie = read,
                },
                OPTION_KEEPALIVE => edns.keepalive = true,
                OPTION_PADDING => edns.padding = true,
                _ => {}
            }
            data = &rest[len..];
        }
        (edns, Ok(()))
    }
}
