//! Mail to a listed host, on the way out: refused at submission, and by each other form that a mail server offers.

use std::time::Instant;

use super::configuration::our_exim;
use super::world::{Ours, THEIRS, World};
use super::{mailbox, submit};
use crate::machine::ended;
use crate::peers::EXIM_LOG;
use crate::server::PATIENCE;

/// Submit until the first digit of the reply is this one: how long that took is how long the mail server knew the list of before.
fn submit_until(world: &World, digit: char) -> String {
    let (begin, deadline) = (Instant::now(), Instant::now() + PATIENCE);
    loop {
        // RCPT alone, so that nothing is sent.
        let reply = crate::peers::probe_at(&world.ours, "127.0.0.1", 587, "alice@example.org", "eve@example.com");
        if reply.starts_with(digit) {
            eprintln!("{:?}: submission answers {digit}yz after {:?}", world.side, begin.elapsed());
            return reply;
        }
        assert!(Instant::now() < deadline, "{reply}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// What goes to the listed host is refused at submission, what goes to others is not.
pub fn refused(world: &World) {
    let reply = submit_until(world, '5');
    assert!(reply.contains("Sender callouts"), "{reply}");
    let reply = crate::peers::probe_at(&world.ours, "127.0.0.1", 587, "alice@example.org", "ann@example.edu");
    assert!(reply.starts_with("250"), "{reply}");
    if world.side == Ours::Exim {
        by_router(world);
        by_transport(world);
    }
}

/// Run a line with another form in Exim's configuration; the daemon goes on with what it has.
fn exim(world: &World, form: &str, line: &str) -> String {
    let path = "/etc/exim4/exim4.conf";
    world.ours.put(path, &our_exim(form, ""));
    let (_, text) = ended(world.ours.command("sh").args(["-c", line]));
    world.ours.put(path, &our_exim("acl", ""));
    text
}

/// A line that sends a message from Alice to Eve and delivers it at once.
const SEND: &str = "printf 'Subject: never\\n\\nHello.\\n' | exim4 -odf -f alice@example.org eve@example.com";

/// The router's form: the address fails, and its sender gets a report.
fn by_router(world: &World) {
    let text = exim(world, "router", "exim4 -bt eve@example.com ann@example.edu");
    assert!(text.contains("eve@example.com is undeliverable: a mail server of this domain is listed"), "{text}");
    assert!(text.contains("router = dnslookup, transport = remote_smtp"), "{text}");
    exim(world, "router", SEND);
    let log = world.ours.read(EXIM_LOG);
    assert!(log.contains("** eve@example.com R=dnsbld_outbound: a mail server of this domain is listed"), "{log}");
    world
        .ours
        .wait("the report", "/var/mail/alice", || world.ours.read("/var/mail/alice").contains("Mail delivery failed"));
}

/// The transport's form: the host is not connected to, and the message waits.
fn by_transport(world: &World) {
    let before = world.theirs.read(EXIM_LOG).len();
    exim(world, "transport", SEND);
    let log = world.ours.read(EXIM_LOG);
    assert!(log.contains("== eve@example.com R=dnslookup T=remote_smtp defer"), "{log}");
    assert!(log.contains(&format!("[{THEIRS}]")), "{log}");
    assert_eq!(world.theirs.read(EXIM_LOG).len(), before, "they were connected to");
    // It is not to come after all when the term is over.
    world.ours.run("exim4 -bpru | while read -r _ _ id _; do [ -z \"$id\" ] || exim4 -Mrm \"$id\"; done");
}

/// Mail goes out again.
pub fn flows(world: &World, letters: usize) {
    submit_until(world, '2');
    let reply = submit(world, "dave@example.org", "eve@example.com");
    assert!(reply.starts_with("250"), "{reply}");
    mailbox(&world.theirs, "eve", letters);
}
