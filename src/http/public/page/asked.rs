//! What is looked up: an address or a name, and how a zone is asked about it.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::feed::subject::Subject;
use crate::wire::name::Name;

/// Octets of the longest text that can be an address or a name: that of a name (RFC 1035 section 2.3.4), with its final dot.
const TEXT_OCTETS_MAX: usize = 254;

/// An address or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An address; IPv4 within an IPv4-mapped one is IPv4.
    Address(IpAddr),
    /// A name, lower case.
    Name(Name),
}

/// A text that is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no address and no name; write an IPv4 address such as 192.0.2.1, an IPv6 address, or a host or domain name \
     (international names in their xn-- form)"
)]
pub struct BadAsked;

impl Asked {
    /// What somebody wrote: an address, perhaps in brackets, a /64 as this page writes it, or a name. Errors: it is neither.
    pub fn parse(text: &str) -> Result<Self, BadAsked> {
        let text = text.trim();
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if text.len() > TEXT_OCTETS_MAX {
            return Err(BadAsked);
        }
        if let Ok(subject) = text.parse::<Subject>() {
            // Of an address all of it is kept: other zones than the feeder's may list a part of a /64.
            let whole = text.parse::<IpAddr>().map_or_else(|_| subject.ip(), |address| address.to_canonical());
            return Ok(Self::Address(whole));
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        // No top-level domain is a number (RFC 3696 section 2): that is an address with a slip in it.
        let last = text.rsplit('.').next().unwrap_or_default();
        // Zone files pass over empty labels; here they are slips.
        let slip = text.split('.').any(str::is_empty);
        if slip || !text.bytes().all(plain) || last.bytes().all(|c| c.is_ascii_digit()) {
            return Err(BadAsked);
        }
        text.parse::<Name>().map(|name| Self::Name(name.to_lower())).map_err(|_| BadAsked)
    }

    /// The host that the feeder judges.
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Self::Address(address) => Some(Subject::of(*address)),
            Self::Name(_) => None,
        }
    }

    /// What it is: `ipv4`, `ipv6` or `name`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address(IpAddr::V4(_)) => "ipv4",
            Self::Address(IpAddr::V6(_)) => "ipv6",
            Self::Name(_) => "name",
        }
    }

    /// The name that a zone is asked for (RFC 5782 sections 2.1, 2.4 and 3); `None` where that would be too long.
    pub fn below(&self, zone: &Name) -> Option<Name> {
        let mut text = String::new();
        match self {
            Self::Address(IpAddr::V4(address)) => {
                let [a, b, c, d] = address.octets();
                // Writing to a String can not fail.
                let _ = write!(text, "{d}.{c}.{b}.{a}");
            }
            Self::Address(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                let nibbles: Vec<String> = (0..32).map(|n| format!("{:x}", bits >> (4 * n) & 15)).collect();
                text = nibbles.join(".");
            }
            Self::Name(name) => text = name.to_string().trim_end_matches('.').to_owned(),
        }
        format!("{text}.{zone}").parse().ok()
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name.to_string().trim_end_matches('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names() {
        let long = format!("{}.example", "a.".repeat(130));
        for (text, expected) in [
            (" 192.0.2.1 ", Some(("ipv4", "192.0.2.1", "1.2.0.192.bl.example"))),
            ("::ffff:192.0.2.1", Some(("ipv4", "192.0.2.1", "1.2.0.192.bl.example"))),
            (
                "[2001:DB8::1]",
                Some((
                    "ipv6",
                    "2001:db8::1",
                    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example",
                )),
            ),
            (
                "2001:db8::/64",
                Some((
                    "ipv6",
                    "2001:db8::",
                    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example",
                )),
            ),
            ("Evil.Example.COM.", Some(("name", "evil.example.com", "evil.example.com.bl.example"))),
            ("_x.a-b.example", Some(("name", "_x.a-b.example", "_x.a-b.example.bl.example"))),
            ("192.0.2.256", None),
            ("192.0.2", None),
            ("2001:db8::/48", None),
            ("2001:db8::g", None),
            ("", None),
            (".", None),
            ("a..b", None),
            ("a b.example", None),
            ("<script>.example", None),
            ("bücher.example", None),
            ("a\\046b.example", None),
            (&long, None),
        ] {
            let asked = Asked::parse(text);
            let zone: Name = "bl.example".parse().unwrap();
            let seen = asked.as_ref().ok().map(|asked| {
                let below = asked.below(&zone).unwrap().to_string();
                (asked.kind(), asked.to_string(), below.trim_end_matches('.').to_owned())
            });
            let expected = expected.map(|(kind, shown, below)| (kind, shown.to_owned(), below.to_owned()));
            assert_eq!(seen, expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_below_a_zone() {
        let name = format!("{}example", "a.".repeat(120));
        let asked = Asked::parse(&name).unwrap();
        assert_eq!(asked.below(&"a-zone-with-a-name.example".parse().unwrap()), None);
    }
}
