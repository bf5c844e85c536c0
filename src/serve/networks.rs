//! A set of networks that addresses are looked up in.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of both families, as ranges that neither meet nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// First and last address of each range, ascending; IPv4 as its mapped address (RFC 4291 section 2.5.5.2).
    ranges: Box<[(u128, u128)]>,
}

/// An address as a number; an IPv4 one is the same whether it comes mapped or not.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Networks {
    /// From any list, in any order.
    pub fn new(networks: &[IpNet]) -> Self {
        let mut ranges: Vec<(u128, u128)> =
            networks.iter().map(|net| (number(net.network()), number(net.broadcast()))).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, last| {
            let meets = next.0 <= last.1.saturating_add(1);
            if meets {
                last.1 = last.1.max(next.1);
            }
            meets
        });
        Self { ranges: ranges.into() }
    }

    /// Whether one of them has this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        let after = self.ranges.partition_point(|range| range.0 <= address);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|range| address <= range.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_is_that_of_any_network() {
        let networks: Vec<IpNet> =
            ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32", "192.0.2.1/32", "::1/128"]
                .map(|net| net.parse().unwrap())
                .into();
        let set = Networks::new(&networks);
        assert_eq!(set.ranges.len(), 4, "{set:x?}");
        for (address, inside) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("192.0.2.127", true),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("::ffff:10.2.3.4", true),
            ("::10.2.3.4", false),
            ("::1", true),
            ("::2", false),
            ("2001:db8:ffff::", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!Networks::default().contains("10.0.0.0".parse().unwrap()));
        let all = Networks::new(&["::/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap()]);
        assert!(all.contains("1.2.3.4".parse().unwrap()) && all.contains("ffff::".parse().unwrap()));
    }
}
