//! Sendmail asks the list for null senders, as `docs/using-a-list.md` says: in its test mode, and as a server.
//!
//! It stands on a machine with the settings that Debian ships and the documented lines behind them; clients connect from
//! addresses that are listed and from one that is not.

use crate::consumers::{LIST, SETTINGS, documented};
use crate::machine::{Machine, Wire, have, versions};
use crate::peers::probe;
use crate::server::Server;
use crate::skip;

/// Its program on its machine.
const PROGRAM: &str = "/usr/libexec/sendmail/sendmail";
/// Its address.
const OURS: &str = "192.0.2.25";
/// What its resolver serves besides the list: the domain of ordinary senders, and no name for an address.
const ZONES: &str = "
[[zone]]
name = \"example.com\"
ns = [\"ns.example.net\"]
datasets = [{ type = \"generic\", files = [\"com.zone\"] }]

[[zone]]
name = \"in-addr.arpa\"
ns = [\"ns.example.net\"]
datasets = [{ type = \"generic\", files = [\"none.zone\"] }]
";

/// Client, sender, and what the reply to RCPT begins with and has in it.
const CASES: [(&str, &str, &str, &str); 10] = [
    (
        "203.0.113.9",
        "",
        "550 5.7.1",
        "Sender callouts: 203.0.113.9 is listed, see https://bl.example.net/lookup/203.0.113.9",
    ),
    ("203.0.113.9", "bob@example.com", "250 ", "Recipient ok"),
    (
        "203.0.113.10",
        "",
        "550 5.7.1",
        "Backscatter: 203.0.113.10 is listed, see https://bl.example.net/lookup/203.0.113.10",
    ),
    ("203.0.113.10", "postmaster@example.com", "550 5.7.1", "Backscatter: 203.0.113.10 is listed"),
    ("203.0.113.10", "double-bounce1a2b@example.com", "550 5.7.1", "Backscatter: 203.0.113.10 is listed"),
    ("203.0.113.10", "not-double-bounce@example.com", "250 ", "Recipient ok"),
    ("203.0.113.10", "bob@example.com", "250 ", "Recipient ok"),
    ("203.0.113.11", "", "250 ", "Recipient ok"),
    ("203.0.113.11", "postmaster@example.com", "250 ", "Recipient ok"),
    ("203.0.113.11", "bob@example.com", "250 ", "Recipient ok"),
];

/// Put Sendmail's settings onto its machine: those of the package, made for this machine, and the documented lines.
fn configure(machine: &Machine) {
    let shipped = machine.read("/usr/share/sendmail/cf/debian/sendmail.mc");
    assert!(shipped.contains("Addr=127.0.0.1"), "the package's settings are not as they were: {shipped}");
    // The package binds 127.0.0.1 alone.
    let text = shipped.replace("Addr=127.0.0.1", "Addr=0.0.0.0");
    let added = std::fs::read_to_string(documented("sendmail/null-sender.mc")).unwrap();
    machine.put("/etc/mail/sendmail.mc", &(text + &added));
    machine.put("/etc/mail/local-host-names", "example.org\n");
    machine.put("/etc/mail/aliases", "alice: /dev/null\nbob: /dev/null\n");
    for name in ["access", "relay-domains", "trusted-users", "m4/dialup.m4", "m4/provider.m4"] {
        machine.put(&format!("/etc/mail/{name}"), "");
    }
    machine.run(
        "cd /etc/mail && m4 sendmail.mc >sendmail.cf && /usr/libexec/sendmail/makemap hash access <access && \
         mkdir -p /var/spool/mqueue /var/lib/sendmail/host_status /var/run/sendmail/mta && chmod 700 /var/spool/mqueue && \
         /usr/libexec/sendmail/sendmail -bi",
    );
}

/// Whether the documented rules refuse a session, in Sendmail's test mode: macros are set as a session would, then the rules are asked.
fn refuses(machine: &Machine, client: &str, sender: &str) -> bool {
    let said = machine.run(&format!(
        "printf '.D{{client_addr}}{client}\\n.Df<{sender}>\\nLocal_check_rcpt <alice@example.org>\\n' | {PROGRAM} -bt"
    ));
    assert!(said.contains("Local_check_rcpt returns: "), "{said}");
    said.contains("Local_check_rcpt returns: $# error $@ 5 . 7 . 1")
}

#[test]
fn sendmail_refuses_listed_null_senders_alone() {
    if !have(&["sendmail"]) {
        return;
    }
    let wire = Wire::new();
    let machine = wire.machine("mail.example.org", &[OURS], &["sendmail"]);
    if crate::daemon::program("m4").is_none() {
        return skip("m4");
    }
    let files = [("list.zone", LIST), ("com.zone", "@ A 203.0.113.11\n"), ("none.zone", "none A 127.0.0.9\n")];
    let files = files.map(|(name, text)| (name, text.as_bytes()));
    let list = machine.inside(|| Server::start(&(SETTINGS.to_owned() + ZONES), &files));
    configure(&machine);
    let told = machine.run(&format!("{PROGRAM} -d0.1 -bt </dev/null"));
    println!("Sendmail {} ({})", told.lines().next().unwrap_or_default(), versions("sendmail"));

    // In its test mode.
    for (client, sender, begin, part) in CASES {
        assert_eq!(refuses(&machine, client, sender), begin.starts_with("550"), "{client} <{sender}>, {part}");
    }

    // And as a server.
    machine.run(&format!("{PROGRAM} -bd -q1m"));
    machine.wait_port(25, "/var/log/mail.log");
    let clients = ["203.0.113.9", "203.0.113.10", "203.0.113.11"];
    let clients = clients.map(|address| (address, wire.machine("mx.example.com", &[address], &[])));
    for (client, sender, begin, part) in CASES {
        let (_, from) = clients.iter().find(|(address, _)| *address == client).unwrap();
        let reply = probe(from, OURS, sender, "alice@example.org");
        assert!(reply.starts_with(begin) && reply.contains(part), "{client} <{sender}>: {reply}");
    }

    // A list that can not be asked refuses nobody. (Only now: a resolver that is not there is asked for some time.)
    assert!(refuses(&machine, "203.0.113.9", ""));
    drop(list);
    assert!(!refuses(&machine, "203.0.113.9", ""), "refused without an answer");
}
