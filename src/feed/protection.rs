//! Who is never listed, and who is listed only for much more: ranges, own networks, allowlists, shared providers.
//!
//! What depends on the session rather than on the host (AUTH, our own errors, relay tests) never becomes evidence in the first
//! place; what depends on the host's other mail is weighed in [`policy`](super::policy).

use std::net::IpAddr;

use ipnet::IpNet;

use super::subject::Subject;

/// What a host's address says about listing it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Exemption {
    /// Nothing: it is judged like any other.
    #[default]
    None,
    /// It is never listed; why.
    Exempt(String),
    /// Many senders share it, so thresholds are higher; its name.
    Shared(String),
}

/// Ranges in which no mail server of the Internet can be: prefix and what it is. Documentation ranges are ordinary here.
const BUILT_IN: [(&str, &str); 13] = [
    ("0.0.0.0/8", "this network, RFC 791"),
    ("10.0.0.0/8", "private, RFC 1918"),
    ("100.64.0.0/10", "shared address space, RFC 6598"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private, RFC 1918"),
    ("192.168.0.0/16", "private, RFC 1918"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, RFC 1112"),
    ("::/127", "loopback"),
    ("fc00::/7", "private, RFC 4193"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// What protects hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectionOptions {
    /// Protect the ranges in which no mail server of the Internet can be. Off in laboratories alone.
    pub built_in: bool,
    /// Our own networks, secondary MX, filtering gateways, partners, monitoring.
    pub own_networks: Vec<IpNet>,
    /// Hosts and networks never listed, and where that was written.
    pub allowed: Vec<(IpNet, String)>,
    /// Networks of shared providers, and their names.
    pub shared: Vec<(IpNet, String)>,
}

impl Default for ProtectionOptions {
    fn default() -> Self {
        Self { built_in: true, own_networks: Vec::new(), allowed: Vec::new(), shared: Vec::new() }
    }
}

impl ProtectionOptions {
    /// What a host's address says. `own` are the addresses of this machine.
    pub fn exemption(&self, subject: Subject, own: &[IpAddr]) -> Exemption {
        if self.built_in {
            for (net, what) in BUILT_IN {
                // The table is constant, and a test reads all of it.
                if net.parse().is_ok_and(|net| touches(subject, &net)) {
                    return Exemption::Exempt(format!("{net}: {what}"));
                }
            }
            if own.iter().any(|&ip| Subject::of(ip) == subject) {
                return Exemption::Exempt("an address of this machine".to_owned());
            }
        }
        if let Some(net) = self.own_networks.iter().find(|net| subject.touches(net)) {
            return Exemption::Exempt(format!("{net}: own network"));
        }
        if let Some((net, from)) = self.allowed.iter().find(|(net, _)| subject.touches(net)) {
            return Exemption::Exempt(format!("{net}: allowed in {from}"));
        }
        if let Some((net, name)) = self.shared.iter().find(|(net, _)| subject.touches(net)) {
            return Exemption::Shared(format!("{name}, {net}"));
        }
        Exemption::None
    }
}

/// Is a host within a built-in range? `::` and `::1` are single addresses in a /64 of their own.
fn touches(subject: Subject, net: &IpNet) -> bool {
    if net.prefix_len() > subject.net().prefix_len() { subject.touches(net) } else { subject.is_within(net) }
}

/// The networks of an allowlist file: an address or prefix a line, what follows it is its name; `#` begins a comment.
///
/// Errors: the number of the first line that is none, and why.
pub fn read_networks(text: &str) -> Result<Vec<(IpNet, String)>, (usize, String)> {
    let mut networks = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some(first) = line.split_whitespace().next() else { continue };
        let net = first.parse::<IpNet>().or_else(|_| first.parse::<IpAddr>().map(IpNet::from));
        let net = net.map_err(|_| (n + 1, format!("`{first}` is no address and no prefix such as 192.0.2.0/24")))?;
        networks.push((net.trunc(), line[first.len()..].trim().to_owned()));
    }
    Ok(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address's exemption says, with these settings.
    fn check(options: &ProtectionOptions, ip: &str, expected: &str) {
        let own = ["203.0.113.77".parse().unwrap()];
        let exemption = options.exemption(ip.parse().unwrap(), &own);
        let got = match exemption {
            Exemption::None => "-".to_owned(),
            Exemption::Exempt(why) => format!("never: {why}"),
            Exemption::Shared(name) => format!("shared: {name}"),
        };
        assert_eq!(got, expected, "{ip}");
    }

    #[test]
    fn ranges_and_lists() {
        assert!(BUILT_IN.iter().all(|(net, _)| net.parse::<IpNet>().is_ok()));
        let named = |net: &str, name: &str| (net.parse().unwrap(), name.to_owned());
        let options = ProtectionOptions {
            own_networks: vec!["198.51.100.0/28".parse().unwrap()],
            allowed: vec![named("2001:db8:1::/48", "allow.txt:3")],
            shared: vec![named("203.0.113.128/25", "big")],
            ..ProtectionOptions::default()
        };
        for (ip, expected) in [
            ("192.0.2.1", "-"),
            ("198.51.100.16", "-"),
            ("198.51.100.15", "never: 198.51.100.0/28: own network"),
            ("203.0.113.200", "shared: big, 203.0.113.128/25"),
            ("203.0.113.77", "never: an address of this machine"),
            ("2001:db8::1", "-"),
            ("2001:db8:1:ff::1", "never: 2001:db8:1::/48: allowed in allow.txt:3"),
            ("127.0.0.11", "never: 127.0.0.0/8: loopback"),
            ("::1", "never: ::/127: loopback"),
            ("::ffff:10.0.0.1", "never: 10.0.0.0/8: private, RFC 1918"),
            ("172.32.0.1", "-"),
            ("169.254.1.1", "never: 169.254.0.0/16: link-local"),
            ("fe80::1", "never: fe80::/10: link-local"),
            ("224.0.0.1", "never: 224.0.0.0/4: multicast"),
        ] {
            check(&options, ip, expected);
        }
        check(&ProtectionOptions { built_in: false, ..options }, "127.0.0.11", "-");
    }

    #[test]
    fn files_of_networks() {
        let text = "# ours\n192.0.2.1 relay\n 2001:db8::/32\tall of it # note\n\n198.51.100.9/24\n";
        let networks = read_networks(text).unwrap();
        let lines: Vec<String> = networks.iter().map(|(net, name)| format!("{net} {name}")).collect();
        assert_eq!(lines, ["192.0.2.1/32 relay", "2001:db8::/32 all of it", "198.51.100.0/24 "]);
        assert_eq!(read_networks("192.0.2.1\nhost").unwrap_err().0, 2);
    }
}
