//! What is listed: a host, as IPv4 address or IPv6 /64; never its neighbours.
//!
//! A /64 is the smallest network that RFC 4291 (section 2.5.4) gives to a link, and one host can use all of it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// Bits of an IPv6 subject.
const IP6_BITS: u32 = 64;
/// Where IPv4-mapped addresses begin (RFC 4291 section 2.5.5.2).
const MAPPED: u128 = 0xffff << 32;

/// A host: an IPv4 address as an IPv4-mapped one, or the first address of an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(u128);

impl Subject {
    /// The host that an address belongs to. IPv4 within an IPv4-mapped address is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self(MAPPED | u128::from(u32::from(ip))),
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Self(ip.into()),
            IpAddr::V6(ip) => Self(u128::from(ip) >> (128 - IP6_BITS) << (128 - IP6_BITS)),
        }
    }

    /// From the octets that the store keeps.
    pub fn from_octets(octets: [u8; 16]) -> Self {
        Self::of(Ipv6Addr::from(octets).into())
    }

    /// The first and the last address of the host, in the 16 octets of the store. Of `::/64` it ends before the IPv4-mapped addresses.
    pub fn range(self) -> ([u8; 16], [u8; 16]) {
        let last = match self.0 {
            _ if self.is_ip4() => self.0,
            // `::/64` holds the mapped addresses too, and they are hosts of their own.
            0 => MAPPED - 1,
            first => first | (u128::MAX >> IP6_BITS),
        };
        (self.0.to_be_bytes(), last.to_be_bytes())
    }

    /// Is it an IPv4 address?
    pub fn is_ip4(self) -> bool {
        self.0 >> 32 == MAPPED >> 32
    }

    /// Its first address.
    pub fn ip(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(self.0)).to_canonical()
    }

    /// It as a prefix: a /32 or a /64.
    pub fn net(self) -> IpNet {
        let bits = if self.is_ip4() { 32 } else { IP6_BITS as u8 };
        // Both lengths are allowed, so the address itself never stands in for the network.
        IpNet::new(self.ip(), bits).unwrap_or_else(|_| self.ip().into())
    }

    /// Does a prefix hold all of it?
    pub fn is_within(self, net: &IpNet) -> bool {
        net.contains(&self.net())
    }

    /// Do a prefix and this have an address in common?
    pub fn touches(self, net: &IpNet) -> bool {
        let own = self.net();
        net.contains(&own) || own.contains(net)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ip4() { self.ip().fmt(f) } else { self.net().fmt(f) }
    }
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address; write an IPv4 or IPv6 address, or an IPv6 /64")]
pub struct BadSubject(pub String);

impl FromStr for Subject {
    type Err = BadSubject;

    /// An address, or a host as it is displayed.
    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let bad = || BadSubject(text.to_owned());
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::of(ip));
        }
        let net: IpNet = text.parse().map_err(|_| bad())?;
        let subject = Self::of(net.addr());
        if subject.net() == net.trunc() { Ok(subject) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_their_hosts() {
        for (text, expected) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9/32", Some("203.0.113.9")),
            ("203.0.113.0/24", None),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::/64", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::/48", None),
            ("::1", Some("::/64")),
            ("host", None),
        ] {
            let subject = text.parse::<Subject>();
            assert_eq!(subject.as_ref().map(ToString::to_string).ok().as_deref(), expected, "{text}");
            if let Ok(subject) = subject {
                let (first, last) = subject.range();
                assert_eq!((Subject::from_octets(first), Subject::from_octets(last)), (subject, subject));
                assert_eq!(subject.to_string().parse(), Ok(subject));
            }
        }
    }

    #[test]
    fn no_host_is_within_another() {
        let hosts = ["::1", "::fffe:0:1", "::1:0:0:1", "0.0.0.0", "192.0.2.1", "255.255.255.255", "2001:db8::1"];
        let hosts = hosts.map(|host| host.parse::<Subject>().unwrap());
        for one in hosts {
            for other in hosts {
                let ((first, last), (begin, end)) = (one.range(), other.range());
                assert_eq!(first <= end && begin <= last, one == other, "{one} and {other}");
            }
        }
    }

    #[test]
    fn prefixes() {
        let host: Subject = "2001:db8::1".parse().unwrap();
        for (net, within, touches) in [
            ("2001:db8::/32", true, true),
            ("2001:db8::/64", true, true),
            ("2001:db8::1/128", false, true),
            ("2001:db8:0:1::/64", false, false),
            ("0.0.0.0/0", false, false),
        ] {
            let net = net.parse().unwrap();
            assert_eq!((host.is_within(&net), host.touches(&net)), (within, touches), "{net}");
        }
    }
}
