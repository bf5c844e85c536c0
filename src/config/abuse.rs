//! `[dns.cookies]` and `[dns.rate-limit]`: what keeps the server from being used against others.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::values;

/// `[dns.cookies]`: server cookies (RFC 7873 and 9018).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cookies {
    /// Whether clients that show a cookie get one.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Secrets that several servers share; `None` for a random one as long as the process lives.
    #[serde(deserialize_with = "values::optional_path")]
    pub secret_file: Option<PathBuf>,
    /// Whether a client that knows cookies must show a good one over UDP.
    #[serde(deserialize_with = "values::flag")]
    pub require: bool,
}

impl Default for Cookies {
    fn default() -> Self {
        // A cookie costs nothing where none is asked for, protects the client from forged answers where one is, and takes
        // it out of the rate limit.
        Self { enabled: true, secret_file: None, require: false }
    }
}

/// `[dns.rate-limit]`: how much a network may be sent over UDP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RateLimit {
    /// Whether answers are limited at all.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Whether what would be limited is only counted.
    #[serde(deserialize_with = "values::flag")]
    pub dry_run: bool,
    /// Octets of answers for one prefix, a second and a worker.
    #[serde(deserialize_with = "values::number::<_, _, 512, 4_294_967_295>")]
    pub octets_per_s: u32,
    /// Answers for one prefix, a second and a worker.
    #[serde(deserialize_with = "values::number::<_, _, 1, 4_294_967_295>")]
    pub answers_per_s: u32,
    /// Bits of an IPv4 address that make a prefix.
    #[serde(deserialize_with = "values::number::<_, _, 8, 32>")]
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a prefix.
    #[serde(deserialize_with = "values::number::<_, _, 16, 64>")]
    pub ipv6_prefix: u8,
    /// One limited answer in so many is sent with TC; 0 for none.
    #[serde(deserialize_with = "values::number::<_, _, 0, 100>")]
    pub slip: u32,
    /// Clients that are never limited.
    #[serde(deserialize_with = "values::prefixes")]
    pub exempt: Vec<IpNet>,
    /// Prefixes that each worker's table has room for.
    #[serde(deserialize_with = "values::number::<_, _, 64, 16_777_216>")]
    pub prefixes_max: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            // What a list's customers may ask for is theirs to say; a limit that nobody has thought about takes mail from them.
            enabled: false,
            dry_run: false,
            // 8 Mbit/s: about ten thousand answers of a hundred octets, more than the filter of a large site draws.
            octets_per_s: 1_000_000,
            answers_per_s: 10_000,
            // What one site has, in the usual sizes of assignments (RFC 6177 for IPv6).
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            slip: 2,
            exempt: Vec::new(),
            // 1 MiB for each worker. A flood from more prefixes than this is none that a limit for each could stop.
            prefixes_max: 65_536,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::tests::{bad, good};

    #[test]
    fn cookies_and_rate_limits() {
        let settings = good(
            "[dns.cookies]\nsecret-file = 'c.secret'\nrequire = true\n[dns.rate-limit]\nexempt = ['10.0.0.0/8', '::1']\n",
        );
        assert_eq!(settings.dns.cookies.secret_file.as_deref(), Some(Path::new("etc/c.secret")));
        assert!(settings.dns.cookies.enabled && settings.dns.cookies.require && !settings.dns.rate_limit.enabled);
        assert_eq!(settings.dns.rate_limit.exempt, ["10.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()));
        for (text, expected) in [
            (
                "[dns.rate-limit]\noctets-per-s = 100",
                "2:16: `octets-per-s` in [dns.rate-limit]: 100 will not do; expected a whole number from 512 to 4294967295",
            ),
            (
                "[dns.rate-limit]\nipv6-prefix = 65",
                "2:15: `ipv6-prefix` in [dns.rate-limit]: 65 will not do; expected a whole number from 16 to 64",
            ),
            (
                "[[dns.rate-limit]]\nslip = 1",
                "1:1: `dns.rate-limit` is a table of settings; write [dns.rate-limit] on a line of its own",
            ),
        ] {
            bad(text, expected);
        }
    }
}
