//! `acl`: client networks to what becomes of their queries; the longest prefix around the client decides.
//!
//! Two tries, one for each family, over ids: [`EXCLUDED`] is `:pass`, since a client that passes is one that no rule
//! is about; then come the other actions; the rest are values of the dataset, with which everything is listed.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::entry::Action;
use super::ip4::{Ip4Trie, Ip4TrieBuilder};
use super::ip6::{Ip6Trie, Ip6TrieBuilder};
use super::template::write_ip6;
use super::values::EXCLUDED;

/// The id of `:ignore`.
const IGNORE: u32 = 1;
/// The id of `:refuse`.
const REFUSE: u32 = 2;
/// The id of `:empty`.
const EMPTY: u32 = 3;
/// The first id that stands for a value; it is so much above the value's own.
const VALUES: u32 = 3;

/// What an access list says of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An action; [`Action::Pass`] also where no rule is about the client.
    Act(Action),
    /// Everything is listed for it, with the value of this id.
    List(u32),
}

/// The id of an action.
pub(super) fn action_id(action: Action) -> u32 {
    match action {
        Action::Pass => EXCLUDED,
        Action::Ignore => IGNORE,
        Action::Refuse => REFUSE,
        Action::Empty => EMPTY,
    }
}

/// The id that stands for a value; `None` when there are too many.
pub(super) fn value_id(value: u32) -> Option<u32> {
    value.checked_add(VALUES)
}

/// The rules of an access list.
#[derive(Debug, Default)]
pub struct Clients {
    /// Those about IPv4 clients.
    v4: Ip4Trie,
    /// Those about IPv6 clients.
    v6: Ip6Trie,
}

impl Clients {
    /// What becomes of a client's queries. IPv4 clients are met by IPv4 rules only, also where they come to an IPv6
    /// socket and look mapped (RFC 4291 section 2.5.5.2).
    pub fn decide(&self, client: IpAddr) -> Decision {
        let id = match client.to_canonical() {
            IpAddr::V4(client) => self.v4.get(client.into()),
            IpAddr::V6(client) => self.v6.get(client.into()),
        };
        match id.unwrap_or(EXCLUDED) {
            EXCLUDED => Decision::Act(Action::Pass),
            IGNORE => Decision::Act(Action::Ignore),
            REFUSE => Decision::Act(Action::Refuse),
            EMPTY => Decision::Act(Action::Empty),
            value => Decision::List(value - VALUES),
        }
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.v4.heap_bytes() + self.v6.heap_bytes()
    }
}

/// An access list while loading.
#[derive(Debug, Default)]
pub(super) struct ClientsBuilder {
    /// Rules about IPv4 clients.
    v4: Ip4TrieBuilder,
    /// Rules about IPv6 clients.
    v6: Ip6TrieBuilder,
}

impl ClientsBuilder {
    /// Add a rule.
    pub(super) fn push(&mut self, clients: IpNet, id: u32) {
        match clients {
            IpNet::V4(net) => self.v4.push(net.network().into(), net.prefix_len(), id),
            IpNet::V6(net) => self.v6.push(net.network().into(), net.prefix_len(), id),
        }
    }

    /// Freeze; networks that came again are told as `ADDRESS/LENGTH`, the first one counts.
    pub(super) fn finish(self, duplicate: &mut dyn FnMut(String)) -> Clients {
        let v4 = self.v4.finish(|first, len| duplicate(format!("{}/{len}", Ipv4Addr::from(first))));
        let v6 = self.v6.finish(|first, len| duplicate(ip6_net(first, len)));
        Clients { v4, v6 }
    }
}

/// An IPv6 prefix as rbldnsd writes it.
pub(super) fn ip6_net(first: u128, len: u8) -> String {
    let mut text = String::new();
    // Writing to a string can not fail.
    let _ = write_ip6(&mut text, first);
    format!("{text}/{len}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_the_clients_family_decides() {
        let mut builder = ClientsBuilder::default();
        let value = value_id(1).unwrap();
        for (net, id) in [
            ("0.0.0.0/0", REFUSE),
            ("10.0.0.0/8", IGNORE),
            ("10.1.0.0/16", EXCLUDED),
            ("10.1.2.0/24", value),
            ("10.1.2.3/32", EXCLUDED),
            ("10.1.2.4/32", EMPTY),
            ("10.1.2.4/32", IGNORE),
            ("2001:db8::/32", IGNORE),
            ("2001:db8:1::/48", EXCLUDED),
            ("2001:db8:1::1/128", REFUSE),
            ("2001:db8:2::/64", value),
            ("2001:db8:2::1/128", EXCLUDED),
            ("2001:db8:2::/64", IGNORE),
        ] {
            builder.push(net.parse().unwrap(), id);
        }
        let mut twice = Vec::new();
        let clients = builder.finish(&mut |net| twice.push(net));
        assert_eq!(twice, ["10.1.2.4/32", "2001:db8:2::/64"]);
        use Action::{Empty, Ignore, Pass, Refuse};
        for (client, expected) in [
            ("192.0.2.1", Decision::Act(Refuse)),
            ("10.0.0.1", Decision::Act(Ignore)),
            ("10.1.0.1", Decision::Act(Pass)),
            ("10.1.2.1", Decision::List(1)),
            ("10.1.2.3", Decision::Act(Pass)),
            ("10.1.2.4", Decision::Act(Empty)),
            ("::ffff:10.1.2.4", Decision::Act(Empty)),
            ("::1", Decision::Act(Pass)),
            ("2001:db8::1", Decision::Act(Ignore)),
            ("2001:db8:1::2", Decision::Act(Pass)),
            ("2001:db8:1::1", Decision::Act(Refuse)),
            ("2001:db8:2::2", Decision::List(1)),
            ("2001:db8:2::1", Decision::Act(Pass)),
        ] {
            assert_eq!(clients.decide(client.parse().unwrap()), expected, "{client}");
        }
        assert!(clients.heap_bytes() > 0);
        let nothing = ClientsBuilder::default().finish(&mut |_| {});
        assert_eq!(nothing.decide("192.0.2.1".parse().unwrap()), Decision::Act(Pass));
    }
}
