//! The lists that the protocol tests are asked about: small, with one of everything.

use crate::server::{Server, settings, zone};

/// Addresses, both families.
pub const BL: &str = "\
$SOA 1h ns1.bl.test. hostmaster.bl.test. 0 1h 30m 1w 5m
$NS 1h ns1.bl.test. ns2.example.net.
:127.0.0.2:Listed: $
127.0.0.2
1.2.3.4 :127.0.0.4:Four $
10.0.0.0/8 :127.0.0.10:Ten $
192.0.2.1 :127.0.0.5:
";
/// IPv6 addresses of the same zone.
pub const BL6: &str = "::ffff:7f00:2 :127.0.0.2:Mapped test\n2001:db8::/32 :127.0.0.6:Six $\n";
/// Records at the apex of the same zone and below.
pub const EXTRA: &str = "\
@ A 192.0.2.80
@ MX 10 mail.example.net
@ TXT about this list
ns1 A 192.0.2.53
a.b.c A 127.0.0.9
";
/// Domain names.
pub const DBL: &str = "\
:127.0.1.2:Domain $
test
evil.com
.bad.example
*.wild.example
exact.wild.example :127.0.1.3:Exact
!good.bad.example
deep.under.a.customer.example
";

/// Sixty values on one address.
pub fn big() -> String {
    (1..=60).map(|i| format!("1.2.3.4 :127.0.1.{i}:value {i:03} {}\n", "x".repeat(40))).collect()
}

/// The settings of the usual test zones; `dns` goes into `[dns]`.
pub fn usual_settings(dns: &str) -> String {
    let zones = [
        zone("bl.test", &[("ip4set", "bl.zone"), ("ip6trie", "bl6.zone"), ("generic", "extra.zone")], "ttl = 600"),
        zone("dbl.test", &[("dnset", "dbl.zone")], "negative-ttl = 77"),
        zone("big.test", &[("ip4set", "big.zone")], ""),
    ];
    settings(dns, &zones.join("\n"))
}

/// A server of the usual test zones.
pub fn usual(dns: &str) -> Server {
    let big = big();
    let files = [("bl.zone", BL), ("bl6.zone", BL6), ("extra.zone", EXTRA), ("dbl.zone", DBL), ("big.zone", &big)];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    Server::start(&usual_settings(dns), &files)
}

/// An IPv6 address as 32 labels.
pub fn nibbles(address: &str) -> String {
    let octets = address.parse::<std::net::Ipv6Addr>().unwrap().octets();
    octets.iter().rev().map(|octet| format!("{:x}.{:x}", octet & 15, octet >> 4)).collect::<Vec<_>>().join(".")
}
