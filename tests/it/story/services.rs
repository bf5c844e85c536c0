//! What `docs/joe-jobs.md` shows, in the real Postfix and Exim: an address under attack is protected, and the neighbour rule is asked.

use super::configuration::{our_exim, start_postfix};
use super::world::{OURS, Ours, World};
use crate::joe_jobs::bounces;
use crate::machine::Machine;
use crate::pages::blocks;
use crate::peers::{EXIM_LOG, Exim, Smtp, probe};

/// The page.
const PAGE: &str = "joe-jobs.md";
/// The address that is flooded.
const VICTIM: &str = "alice@example.org";

/// Settings of the services: the page's own, a second log for the flood, and our own names for the neighbour rule.
fn settings() -> String {
    let [relation, ..] = &blocks(PAGE, "### Postfix, by the policy service")[..] else { panic!("a block") };
    let [zone, ..] = &blocks(PAGE, "### Exim, by DNS")[..] else { panic!("a block") };
    format!(
        "{relation}resolvers = [\"127.0.0.1:53\"]\n{zone}\
         [[feed.source]]\ntype = \"file\"\npath = \"/var/log/flood.log\"\nformat = \"postfix\"\n"
    )
}

/// Somebody writes to our user, by a host; the message must be taken.
fn letter(from: &Machine, sender: &str, recipient: &str) {
    let mut client = Smtp::connect(from, OURS, 25);
    client.say(&format!("MAIL FROM:<{sender}>"));
    let reply = client.say(&format!("RCPT TO:<{recipient}>"));
    assert!(reply.starts_with("250"), "{reply}");
    let reply = client.message(&format!("From: {sender}\nTo: {recipient}\nSubject: a letter\n\nHello."));
    assert!(reply.starts_with("250"), "{reply}");
}

/// The flood's address is put off for the null sender, nobody else's mail is.
fn protected(world: &World) {
    let mut reply = String::new();
    world.ours.wait("the protection", world.side.log(), || {
        reply = probe(&world.bystander, OURS, "", VICTIM);
        reply.starts_with('4')
    });
    assert!(reply.contains("flooded with bounces"), "{reply}");
    for (sender, recipient) in [("", "bob@example.org"), ("ann@example.edu", VICTIM)] {
        let reply = probe(&world.bystander, OURS, sender, recipient);
        assert!(reply.starts_with("250"), "<{sender}> {recipient}: {reply}");
    }
}

/// A neighbour's letter carries the mark, and one with a sender that the host has nothing to do with another or none.
fn marked(world: &World, mark: &str, other: &str) {
    let mailbox = |user: &str| world.ours.read(&format!("/var/mail/{user}"));
    for (user, sender, wanted) in [("carol", "ann@example.edu", mark), ("dave", "eve@example.com", other)] {
        letter(&world.bystander, sender, &format!("{user}@example.org"));
        world.ours.wait("the letter", world.side.log(), || mailbox(user).contains("Subject: a letter"));
        let text = mailbox(user);
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with("X-Bounce-Relation")).collect();
        assert_eq!(found.join(","), wanted, "{user}: {text}");
    }
}

/// Begin the flood.
fn flood(world: &World) {
    world.ours.put("/var/log/flood.log", &bounces(1..13, VICTIM));
}

#[test]
fn postfix_asks_the_policy_service() {
    let Some(world) = World::new(Ours::Postfix) else { return };
    world.ours.put("/var/log/flood.log", "");
    let _dnsbld = world.dnsbld(&settings());
    let [_, flooded, ..] = &blocks(PAGE, "### Postfix, by the policy service")[..] else { panic!("two blocks") };
    let [relation, ..] = &blocks(PAGE, "### Postfix")[..] else { panic!("a block") };
    start_postfix(&world.ours, &format!("{flooded}{relation}"), "");
    let reply = probe(&world.bystander, OURS, "", VICTIM);
    assert!(reply.starts_with("250"), "{reply}");
    marked(&world, "X-Bounce-Relation: bounce_ok_neighbour", "X-Bounce-Relation: no_relation");
    flood(&world);
    protected(&world);
}

#[test]
fn exim_asks_over_dns_and_the_policy_service() {
    let Some(world) = World::new(Ours::Exim) else { return };
    world.ours.put("/var/log/flood.log", "");
    let _dnsbld = world.dnsbld(&settings());
    let [_, by_dns, by_service, ..] = &blocks(PAGE, "### Exim, by DNS")[..] else { panic!("three blocks") };
    let [relation, ..] = &blocks(PAGE, "### Exim")[..] else { panic!("a block") };
    let key = world.ours.read("/var/lib/dnsbld/joe-jobs.key");
    let relation = format!("warn\n{relation}add_header = X-Bounce-Relation: yes\n");
    let with = |acl: &str| our_exim("acl", &format!("{relation}{acl}"));
    Exim::start(&world.ours, &with(&by_dns.replace("KEY}", &format!("{}}}", key.trim()))));
    let reply = probe(&world.bystander, OURS, "", VICTIM);
    assert!(reply.starts_with("250"), "{reply}");
    marked(&world, "X-Bounce-Relation: yes", "");
    flood(&world);
    protected(&world);
    // The other way.
    world.ours.put("/etc/exim4/exim4.conf", &with(by_service));
    world.ours.run("kill -HUP $(cat /run/exim4/exim.pid)");
    world
        .ours
        .wait("the new configuration", EXIM_LOG, || world.ours.read(EXIM_LOG).matches("daemon started").count() == 2);
    protected(&world);
}
