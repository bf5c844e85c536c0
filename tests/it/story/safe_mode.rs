//! Which questions `docs/using-a-list.md` lets Postfix and Exim ask, and what they make of each answer: of IPv4 and IPv6, of other codes,
//! of a broken list, and of none.

use super::configuration::{documented_postfix, our_exim};
use super::dnsbld::Dnsbld;
use super::world::OURS;
use crate::machine::{Machine, Wire, have};
use crate::peers::{Exim, probe, probe_at};

/// Hosts: a name, an address, and a part of what they are told when they come with the null sender; nothing where they are welcome.
const HOSTS: &[(&str, &str, Option<&str>)] = &[
    ("caller.example.com", "198.51.100.25", Some("Sender callouts; see https://bl.example.net/lookup/198.51.100.25")),
    ("bouncer.example.com", "2001:db8:7::25", Some("Backscatter; see https://bl.example.net/lookup/2001:db8:7::25")),
    // Listed by codes that were not asked for: another behaviour, and a list whose every answer is some web server.
    ("other.example.com", "198.51.100.26", None),
    ("broken.example.com", "198.51.100.27", None),
    ("clean.example.com", "203.0.113.7", None),
    ("clean6.example.com", "2001:db8:8::25", None),
];

/// Our IPv6 address.
const OURS6: &str = "2001:db8::25";

/// The list and the names. Each domain but `clean` and `nothing` has a listed mail server somewhere.
const FILES: &[(&str, &str)] = &[
    (
        "list4",
        ":2:Sender callouts; see https://bl.example.net/lookup/$\n127.0.0.2\n198.51.100.25\n\
         198.51.100.26 :9:Something else\n198.51.100.27 :62.0.58.94:For sale\n",
    ),
    ("list6", ":3:Backscatter; see https://bl.example.net/lookup/$\n2001:db8:7::/64\n"),
    (
        "names",
        "$SOA 0 ns.example. h.example. 1 1h 1h 1h 1h\n\
         one MX 10 caller.example\nsecond MX 10 clean-host.example\nsecond MX 20 caller.example\nbare A 198.51.100.25\n\
         clean MX 10 clean-host.example\ncode MX 10 other-host.example\n\
         caller A 198.51.100.25\nclean-host A 203.0.113.7\nother-host A 198.51.100.26\n",
    ),
    ("empty", "$SOA 0 ns.example. h.example. 1 1h 1h 1h 1h\nhome A 192.0.2.1\n"),
    ("orgs", "$SOA 0 ns.example.org. h.example.org. 1 1h 1h 1h 1h\nmx A 192.0.2.25\n@ MX 10 mx.example.org\n"),
];

/// Our settings: the list, and the names.
const SETTINGS: &str = r#"
[dns]
listen = ["127.0.0.1:53"]
[[zone]]
name = "bl.example.net"
datasets = [{ type = "ip4set", files = ["list4"] }, { type = "ip6trie", files = ["list6"] }]
[[zone]]
name = "example"
datasets = [{ type = "generic", files = ["names"] }]
[[zone]]
name = "arpa"
datasets = [{ type = "generic", files = ["empty"] }]
[[zone]]
name = "example.org"
datasets = [{ type = "generic", files = ["orgs"] }]
"#;

/// The listings of Postfix's table, as dnsbld exports its own.
const TABLE: &str = "198.51.100.25/32 REJECT Sender callouts; see https://bl.example.net/lookup/198.51.100.25\n";

/// What each host is told, by sender; and what our users are told, by the domain that they write to.
fn check(ours: &Machine, others: &[Machine]) {
    for (machine, (name, address, told)) in others.iter().zip(HOSTS) {
        let to = if address.contains(':') { OURS6 } else { OURS };
        for sender in ["", "postmaster@example.com", "double-bounce@example.com", "double-bounce1a2b@example.com"] {
            let reply = probe(machine, to, sender, "alice@example.org");
            // Exim folds what is long.
            let plain = reply.replace("\r\n550-", " ").replace("\r\n550 ", " ");
            match told {
                Some(part) => assert!(reply.starts_with('5') && plain.contains(part), "{name} <{sender}>: {reply}"),
                None => assert!(reply.starts_with("250"), "{name} <{sender}>: {reply}"),
            }
        }
        for sender in ["ann@example.com", "postmaster.ann@example.com", "not-double-bounce@example.com"] {
            let reply = probe(machine, to, sender, "alice@example.org");
            assert!(reply.starts_with("250"), "{name} <{sender}>: {reply}");
        }
    }
    for (domain, refused) in
        [("one", true), ("second", true), ("bare", true), ("clean", false), ("code", false), ("nothing", false)]
    {
        let reply = probe_at(ours, "127.0.0.1", 587, "alice@example.org", &format!("ann@{domain}.example"));
        assert_eq!(reply.starts_with('5') && reply.contains("allouts"), refused, "{domain}: {reply}");
    }
}

/// A list that can not be asked refuses nobody.
fn check_without(others: &[Machine]) {
    let reply = probe(&others[0], OURS, "", "alice@example.org");
    assert!(reply.starts_with("250"), "{reply}");
}

/// Start the machines and the list, and what `start` starts; then ask everything.
fn ask(peer: &str, start: impl FnOnce(&Machine)) {
    if !have(&[peer]) {
        return;
    }
    let wire = Wire::new();
    let ours = wire.machine("mx.example.org", &[OURS, OURS6], &[peer]);
    let others: Vec<Machine> = HOSTS.iter().map(|(name, address, _)| wire.machine(name, &[address], &[])).collect();
    for (name, text) in FILES {
        ours.put(&format!("/etc/dnsbld/{name}"), text);
    }
    ours.put("/var/lib/dnsbld/backscatter.cidr", TABLE);
    let dnsbld = Dnsbld::start(&ours, SETTINGS);
    start(&ours);
    check(&ours, &others);
    dnsbld.stop();
    check_without(&others);
}

#[test]
fn postfix_asks_for_null_senders_alone() {
    ask("postfix", documented_postfix);
}

#[test]
fn exim_asks_for_null_senders_alone() {
    ask("exim", |machine| {
        Exim::start(machine, &our_exim("acl", ""));
        // As the page says how to try it.
        let session = r"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nQUIT\r\n";
        let told = machine.run(&format!("printf '{session}' | exim4 -bh 198.51.100.25"));
        assert!(told.contains("550-Backscatter or sender callouts: Sender callouts"), "{told}");
    });
}
