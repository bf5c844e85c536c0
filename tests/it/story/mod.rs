//! The story that this project is about, told by real mail servers.
//!
//! A host verifies every sender by a callout, and asks about an invented address first. Our users write to its users; our mail server's log
//! shows what comes back; the host is listed; its null senders are refused while all else goes on, and our users' mail to it is refused
//! before it brings more callouts. Then its operator mends it, the term ends, and mail flows again.

mod configuration;
mod dnsbld;
mod first;
mod outbound;
mod safe_mode;
mod services;
mod world;

use std::time::{Duration, Instant};

use crate::alone;
use crate::machine::{Machine, done};
use crate::peers::{EXIM_LOG, Exim, Reply, Smtp, probe};
use crate::server::{PATIENCE, get};
use configuration::their_exim;
use dnsbld::Dnsbld;
use world::{BYSTANDER, OURS, Ours, PAGES, TERM_S, THEIRS, World};

/// The longest time from the end of the session that suffices to the answer of the list.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The list.
const LIST: &str = "bl.example.net";
/// Who of our users writes to Eve.
const WRITERS: [&str; 3] = ["alice", "bob", "carol"];
/// After so long their Exim asks anew about what it has asked before.
const CACHE_FORGETS: Duration = Duration::from_millis(2100);

/// Our user writes to somebody through our submission service: the last reply, to RCPT if that was refused.
fn submit(world: &World, from: &str, to: &str) -> Reply {
    let mut client = Smtp::connect(&world.ours, "127.0.0.1", 587);
    client.say(&format!("MAIL FROM:<{from}>"));
    let reply = client.say(&format!("RCPT TO:<{to}>"));
    if !reply.starts_with("250") {
        return reply;
    }
    client.message(&format!("From: {from}\nTo: {to}\nSubject: a letter\n\nHello."))
}

/// A user of theirs writes to one of ours, by the Exim there: it delivers before it returns, and what it could not deliver waits.
fn they_write(world: &World, from: &str, to: &str) {
    let mut command = world.theirs.command("sh");
    let line = format!("printf 'Subject: a letter\\n\\nHello.\\n' | exim4 -odf -f '{from}' {to}");
    done(command.args(["-c", &line]));
}

/// How many sessions of theirs have ended in our log.
fn sessions(world: &World) -> usize {
    let parts = world.side.session_end();
    world.ours.read(world.side.log()).lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

/// Wait until a mailbox of a machine has so many messages.
fn mailbox(machine: &Machine, user: &str, messages: usize) {
    let path = format!("/var/mail/{user}");
    machine.wait(&format!("{messages} messages for {user}"), &path, || {
        machine.read(&path).matches("Subject: a letter").count() == messages
    });
}

/// The page about a host as a machine sees it.
fn page(of: &Machine, path: &str) -> String {
    let (status, text) = of.inside(|| get(format!("{OURS}:{PAGES}").parse().unwrap(), path));
    assert_eq!(status, 200, "{path}: {text}");
    text
}

/// The page says of the listed host what `feed why` says: everybody sees kinds and times, the host itself the lines of the log.
fn pages(world: &World, why: &serde_json::Value) {
    let path = format!("/v1/lookup/{THEIRS}");
    let told: serde_json::Value = serde_json::from_str(&page(&world.bystander, &path)).unwrap();
    let listing = &told["feeder"]["listing"];
    assert_eq!(told["listed"], true, "{told}");
    // The page tells the minute by which it has ended.
    let [until, expires] = [&listing["until"], &why["expires"]]
        .map(|time| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second());
    assert!(until % 60 == 0 && (0..=60).contains(&(until - expires)), "{until} for {expires}: {told}");
    assert!(page(&world.bystander, &format!("/lookup/{THEIRS}")).contains("sender callouts"));
    let (own, others) = (page(&world.theirs, &path), page(&world.bystander, &path));
    let masked = "a***@example.org";
    assert!(own.contains(masked) && !own.contains("alice@example.org"), "{own}");
    assert!(!others.contains(masked), "{others}");
}

/// Our user writes to Eve, which brings her host's callout: wait until it is judged. How long after its end the host was listed, where that
/// listed it.
fn write_to_eve(world: &World, dnsbld: &Dnsbld<'_>, user: &str, before: usize, lists: bool) -> Option<Duration> {
    let reply = submit(world, &format!("{user}@example.org"), "eve@example.com");
    assert!(reply.starts_with("250"), "{reply}");
    let (deadline, mut ended) = (Instant::now() + PATIENCE, None);
    loop {
        if ended.is_none() && sessions(world) > before {
            ended = Some(Instant::now());
        }
        if dnsbld.listed(THEIRS, LIST).is_some() {
            return Some(ended.map_or(Duration::ZERO, |ended| ended.elapsed()));
        }
        if !lists && dnsbld.feed("why", THEIRS)["sessions"] == before + 1 {
            return None;
        }
        assert!(Instant::now() < deadline, "{user}'s callout is not seen: {}", dnsbld.feed("why", THEIRS));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Our users write to Eve, and each mail brings a callout: first about an invented address, then about the sender. The third one lists.
fn callouts(world: &World, dnsbld: &Dnsbld<'_>) {
    // It measures time.
    let _alone = alone();
    let (mut scores, mut took) = (Vec::new(), None);
    for (n, user) in WRITERS.iter().enumerate() {
        assert!(took.is_none(), "listed too early");
        took = write_to_eve(world, dnsbld, user, n, n + 1 == WRITERS.len());
        mailbox(&world.theirs, "eve", n + 1);
        let why = dnsbld.feed("why", THEIRS);
        assert_eq!(why["evidence"][n]["signal"], "double-whammy", "{why}");
        scores.push(why["score"].as_f64().unwrap());
        // Exim's cache is to forget: it counts whole seconds, and one is the least that can be set.
        std::thread::sleep(CACHE_FORGETS);
    }
    assert!(scores.windows(2).all(|two| two[0] < two[1]), "{scores:?}");
    let took = took.expect("not listed after three double whammies");
    assert!(took < AT_ONCE, "listed only after {took:?}");
    eprintln!("{:?}: points after each mail {scores:?}, listed {took:?} after the last callout", world.side);
}

/// What is refused while the host is listed, and what is not. What `feed why` said at its beginning.
fn while_listed(world: &World, dnsbld: &Dnsbld<'_>) -> serde_json::Value {
    let text = dnsbld.listed(THEIRS, LIST).unwrap();
    assert!(text.contains("Sender callouts"), "{text}");
    let why = dnsbld.feed("why", THEIRS);
    assert_eq!((&why["listed"], &why["codes"][0]), (&true.into(), &"127.0.0.2".into()), "{why}");
    pages(world, &why);

    // Its null senders are refused with the list's text, whoever they ask about; others' are not.
    for (sender, recipient) in
        [("", "alice"), ("", "nobody"), ("postmaster@example.com", "alice"), ("double-bounce@mail.example.com", "bob")]
    {
        let reply = probe(&world.theirs, OURS, sender, &format!("{recipient}@example.org"));
        assert!(reply.starts_with('5') && reply.contains("Sender callouts"), "<{sender}> {recipient}: {reply}");
        let reply = probe(&world.bystander, OURS, sender, "alice@example.org");
        assert!(reply.starts_with("250"), "{BYSTANDER} <{sender}>: {reply}");
    }
    they_write(world, "<>", "alice@example.org");
    let refused = world.theirs.read(EXIM_LOG);
    assert!(refused.contains("** alice@example.org") && refused.contains("Sender callouts"), "{refused}");
    // Its ordinary mail is taken.
    they_write(world, "eve@example.com", "alice@example.org");
    mailbox(&world.ours, "alice", 1);
    // Our users' mail to it is refused at once, and to others it is not.
    outbound::refused(world);

    // Nothing that the list itself refused has prolonged the listing.
    let later = dnsbld.feed("why", THEIRS);
    assert_eq!(later["expires"], why["expires"], "{later}");
    why
}

/// The term ends, and the listing with it; `why` is what was said of it.
fn the_end(dnsbld: &Dnsbld<'_>, why: &serde_json::Value) {
    let time = |key: &str| why[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("expires").as_second() - time("last").as_second(), TERM_S);
    let deadline = Instant::now() + Duration::from_secs(2 * TERM_S as u64);
    while dnsbld.listed(THEIRS, LIST).is_some() {
        assert!(Instant::now() < deadline, "still listed: {}", dnsbld.feed("why", THEIRS));
        std::thread::sleep(Duration::from_millis(20));
    }
    let late = jiff::Timestamp::now().as_millisecond() - time("expires").as_millisecond();
    assert!((-1000..5000).contains(&late), "the listing ended {late} ms after its term");
}

/// Tell it with one or the other as our mail server.
fn tell(side: Ours) {
    let Some(world) = World::new(side) else { return };
    let dnsbld = world.dnsbld("");
    world.start_ours();
    Exim::start(&world.theirs, &their_exim(true));

    callouts(&world, &dnsbld);
    let why = while_listed(&world, &dnsbld);

    // Their operator mends it, the term ends, and mail flows again.
    world.theirs.put("/etc/exim4/exim4.conf", &their_exim(false));
    world.theirs.run("kill -HUP $(cat /run/exim4/exim.pid)");
    the_end(&dnsbld, &why);
    they_write(&world, "<>", "alice@example.org");
    mailbox(&world.ours, "alice", 2);
    outbound::flows(&world, WRITERS.len() + 1);

    // What was seen is not forgotten: one more callout, and it is listed again.
    assert_eq!(dnsbld.listed(THEIRS, LIST), None);
    let reply = probe(&world.theirs, OURS, "", "alice@example.org");
    assert!(reply.starts_with("250"), "{reply}");
    world.ours.wait("the second listing", side.log(), || dnsbld.listed(THEIRS, LIST).is_some());
}

#[test]
fn told_with_postfix() {
    tell(Ours::Postfix);
}

#[test]
fn told_with_exim() {
    tell(Ours::Exim);
}
