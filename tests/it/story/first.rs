//! What somebody does who reads `docs/using-a-list.md` for the first time, step by step, with the files that it shows.

use super::configuration::start_postfix;
use super::dnsbld::Dnsbld;
use crate::machine::{Machine, Wire, ended, have};
use crate::pages::shown;
use crate::skip;

/// The page's look at the list.
fn dig(machine: &Machine, reversed: &str) -> String {
    ended(machine.command("dig").args(["+short", "A", &format!("{reversed}.bl.example.net")])).1
}

#[test]
fn the_ten_minutes_of_the_page() {
    if !have(&["postfix"]) {
        return;
    }
    // Without an address: it reaches nobody but itself.
    let wire = Wire::new();
    let machine = wire.machine("mx.example.org", &[], &["postfix"]);
    for tool in ["unbound", "swaks", "dig"] {
        if !ended(machine.command("which").arg(tool)).0.success() {
            return skip(tool);
        }
    }
    // 1. A list, served.
    machine.put("/etc/dnsbld/list.zone", &shown("first/list.zone"));
    let _dnsbld = Dnsbld::start(&machine, &shown("first/dnsbld.toml"));
    // 2. The resolver. Its package would have put the key of the root there, which plays no part in a list.
    machine.put("/etc/unbound/unbound.conf.d/dnsbld.conf", &shown("first/unbound.conf"));
    machine.run(
        "rm -f /etc/unbound/unbound.conf.d/root-auto-trust-anchor-file.conf && mkdir -p /var/lib/unbound && unbound",
    );
    let version = machine.run("unbound -V");
    eprintln!("Unbound {}", version.split_ascii_whitespace().nth(1).unwrap_or_default());
    machine.wait("the list", "/nothing", || dig(&machine, "2.0.0.127") == "127.0.0.2\n");
    assert_eq!(dig(&machine, "1.0.0.127"), "");
    // 3. Postfix.
    machine.put("/etc/postfix/dnsbld_null", &shown("postfix/dnsbld_null"));
    start_postfix(&machine, &shown("postfix/null-sender.main.cf"), "");
    // 4. Trying it.
    let (_, told) = ended(machine.command("sh").args(["-c", &shown("first/try.sh")]));
    let replies: Vec<&str> = told.lines().skip_while(|line| !line.contains("RCPT TO:")).collect();
    let text = "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using bl.example.net; Sender callouts; see \
                https://bl.example.net/lookup/203.0.113.9";
    assert!(replies[1].ends_with(text), "{told}");
    let (_, ann) = told.split_once("MAIL FROM:<ann@example.com>").unwrap_or_else(|| panic!("{told}"));
    assert!(ann.contains("250 2.1.5 Ok"), "{told}");
}
