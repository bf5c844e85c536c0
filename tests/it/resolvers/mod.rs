//! Real resolvers in front of the list: every listed subject is found at the first try.
//!
//! A mail server asks a resolver, and the resolver asks us as it likes: Unbound and BIND with strict QNAME minimisation (RFC 9156)
//! walk down a name label by label and take an NXDOMAIN on the way for the end (RFC 8020); what they have seen they keep
//! (RFC 2308, RFC 8198). So each test asks first for what is not listed beside a subject, and then for the subject, once. Each
//! resolver recurses from a signed root, asks us directly for a name that the root denies, and forwards; it loads
//! what `docs/using-a-list/resolvers` says. The same list served by rbldnsd shows that these tests can fail.
//!
//! `world` has the servers, `subjects` what is listed, `kinds` how each resolver is started.

mod kinds;
mod subjects;
mod world;

use std::time::{Duration, SystemTime};

use self::kinds::{Kind, Mode, Resolver};
use self::subjects::{COUNT, MANY, Subject, VALUES, subjects};
use self::world::{ADDRESSES, CONTROL, World, ZONE};
use crate::daemon::program;
use crate::garbage::Random;
use crate::message::{A, NS, Query, Reply, TXT, edns, query};
use crate::metrics::Scrape;
use crate::namespace;
use crate::server::{ANSWER_WAIT, Server, Tcp, Udp, settings};
use crate::skip;
use crate::tools::run;

/// The flag of a query by which a client wants recursion.
const RD: u16 = 0x0100;
/// How a resolver is met: how it finds us, the EDNS size that it advertises, and the largest UDP answer that we give.
const WAYS: [(Mode, u16, u16); 5] = [
    (Mode::Recurse, 1232, 1232),
    (Mode::Recurse, 512, 4096),
    (Mode::Recurse, 4096, 4096),
    (Mode::Direct, 1232, 1232),
    (Mode::Forward, 1232, 1232),
];

/// A question as a mail server's library asks it.
fn question(name: &str, zone: &str, qtype: u16) -> Query {
    query(&format!("{name}.{zone}"), qtype).flags(RD).edns(edns(1232))
}

/// The same with letters in random case (draft-vixie-dnsext-dns0x20).
fn mixed(mut query: Query, random: &mut Random) -> Query {
    // Lengths of labels are below 64, and the letters are not.
    for octet in query.name.iter_mut().filter(|octet| octet.is_ascii_alphabetic()) {
        if random.below(2) == 0 {
            *octet = octet.to_ascii_uppercase();
        }
    }
    query
}

/// Ask a resolver once.
fn ask(resolver: &Udp, query: &Query) -> Option<Reply> {
    resolver.try_exchange(&query.wire(), ANSWER_WAIT)
}

/// Ask for each subject after its neighbours; those are returned that were not found at the first try, and with `true` it is held that
/// neighbours are answered as they should be.
fn lost(resolver: &Udp, zone: &str, subjects: &[Subject], random: &mut Random, strict: bool) -> Vec<String> {
    let mut lost = Vec::new();
    for subject in subjects {
        for neighbour in &subject.neighbours {
            let reply = ask(resolver, &question(neighbour, zone, A));
            let code = reply.as_ref().map(Reply::code);
            assert!(!strict || code.as_deref() == Some("NXDOMAIN"), "{neighbour}, which is not listed: {reply:?}");
        }
        // Some clients walk down by themselves.
        if random.below(3) == 0 {
            let part = &subject.parts[random.below(subject.parts.len())];
            let reply = ask(resolver, &question(part, zone, if random.below(2) == 0 { A } else { NS }));
            let fits = reply.as_ref().is_some_and(|reply| reply.code() == "NOERROR" && reply.answer.is_empty());
            assert!(!strict || fits, "{part}, part of a listed name: {reply:?}");
        }
        let reply = ask(resolver, &mixed(question(&subject.name, zone, A), random));
        let expected = format!("A 127.0.0.{}", subject.code);
        if !reply.as_ref().is_some_and(|reply| reply.answers().contains(&expected)) {
            lost.push(format!("{}: {:?}", subject.name, reply.map(|reply| (reply.code(), reply.answers()))));
        }
    }
    lost
}

/// Texts that do not fit a datagram come whole, over TCP if they must.
fn texts(world: &World, resolver: &Resolver, size: u16, udp_size_max: u16) {
    let room = usize::from(size.min(udp_size_max));
    for (name, values) in MANY.iter().zip(VALUES) {
        let before = Scrape::of(&world.list);
        let reply = Tcp::new(resolver.dns).ask(&question(name, ZONE, TXT));
        let texts = reply.answers().iter().filter(|text| text.starts_with("TXT ")).count();
        assert_eq!(texts, values, "{name} TXT: {:?}", reply.answers());
        let after = Scrape::of(&world.list);
        let more = |labels: &[(&str, &str)]| {
            let of = |scrape: &Scrape| scrape.sum("dnsbld_queries_total", labels);
            of(&after) - of(&before)
        };
        let over_tcp = more(&[("transport", "tcp"), ("type", "TXT")]);
        // 180 octets of text and what stands around them for each value. What fits may still come over TCP: a resolver that once had no
        // answer in time tries smaller sizes.
        let fits = values * 200 < room;
        assert!(fits || over_tcp > 0.0, "{name}: no TXT query over TCP, with {room} octets of room");
    }
    // And a client of the resolver with little room is told to come again.
    let small = query(&format!("{}.{ZONE}", MANY[1]), TXT).flags(RD).edns(edns(512));
    let reply = ask(&Udp::new(resolver.dns), &small).unwrap();
    assert!(reply.tc(), "{reply:?}");
}

/// What a resolver says of its version; nothing, and the test is skipped, when it, the root's server, what reads the root's key or the
/// right to make a network is absent.
fn ready(kind: Kind) -> Option<String> {
    if let Some(absent) = [kind.program(), "knotd", "dig"].into_iter().find(|name| program(name).is_none()) {
        skip(absent);
        return None;
    }
    namespace::have().then(|| kind.version())
}

/// Meet one kind of resolver in all ways.
fn meet(kind: Kind) {
    let Some(version) = ready(kind) else { return };
    for (mode, size, udp_size_max) in WAYS {
        namespace::inside(&ADDRESSES, || {
            // Other questions each time; a seed that fails is in the output.
            let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
            println!("{version}, {mode:?}, EDNS size {size}, seed {seed}");
            let (random, listed) = (&mut Random::new(seed), subjects(seed, COUNT));
            let world = World::start(&listed, udp_size_max, mode != Mode::Direct);
            let resolver = kind.start(mode, size, &world.anchor);
            let client = Udp::new(resolver.dns);
            let lost_ones = lost(&client, ZONE, &listed, random, true);
            assert!(lost_ones.is_empty(), "{} of {} lost: {lost_ones:#?}", lost_ones.len(), listed.len());
            texts(&world, &resolver, size, udp_size_max);
            // What is listed a moment later, beside what the resolver has seen.
            let later = subjects::later();
            for name in later.iter().flat_map(|subject| subject.neighbours.iter().chain(&subject.parts)) {
                let reply = ask(&client, &question(name, ZONE, A)).unwrap();
                assert!(reply.answer.is_empty(), "{name}: {reply:?}");
            }
            world.list_later(&listed);
            let lost_ones = lost(&client, ZONE, &later, random, true);
            assert!(lost_ones.is_empty(), "listed later, {} of {} lost: {lost_ones:#?}", lost_ones.len(), later.len());
            resolver.kept_case();
        });
    }
}

#[test]
fn unbound_finds_every_listed_subject() {
    meet(Kind::Unbound);
}

#[test]
fn bind_finds_every_listed_subject() {
    meet(Kind::Bind);
}

#[test]
fn knot_resolver_finds_every_listed_subject() {
    meet(Kind::Knot);
}

/// Every EDNS size from 512 to 4096 octets, asked with dig: what fits is whole, what does not is cut off and whole over TCP, and no
/// datagram is larger than what was asked for or what we give.
#[test]
fn every_buffer_size_is_kept() {
    for udp_size_max in [1232, 4096] {
        let text = subjects::zone_file(&[]);
        let zones = crate::server::zone(ZONE, &[("combined", "list.zone")], "");
        let server = Server::start(
            &settings(&format!("udp-size-max = {udp_size_max}"), &zones),
            &[("list.zone", text.as_bytes())],
        );
        let port = server.dns.port().to_string();
        for (name, values) in MANY.iter().zip(VALUES) {
            for size in (512..=4096).step_by(256) {
                let (bufsize, name) = (format!("+bufsize={size}"), format!("{name}.{ZONE}"));
                let arguments = ["@127.0.0.1", "-p", &port, &bufsize, &name, "TXT"];
                let Some(whole) = run("dig", &arguments) else { return };
                let cut = run("dig", &[&arguments[..], &["+ignore"]].concat()).unwrap();
                let answers = format!("ANSWER: {values},");
                assert!(whole.contains(&answers), "{arguments:?}: {whole}");
                let (_, rest) = cut.split_once("MSG SIZE  rcvd: ").unwrap();
                let octets: usize = rest.lines().next().unwrap().parse().unwrap();
                let room = size.min(udp_size_max);
                assert!(octets <= room, "{arguments:?}: {octets} octets");
                // 180 octets of text and what stands around them for each value.
                let fits = values * 200 < room;
                assert_eq!(cut.contains(&answers), fits, "{arguments:?}: {cut}");
                assert_eq!(cut.contains("flags: qr aa tc rd;"), !fits, "{arguments:?}: {cut}");
                assert_eq!(whole.contains("retrying in TCP mode"), !fits, "{arguments:?}: {whole}");
            }
        }
    }
}

/// The control: the same questions, by resolvers that are as strict, to the same list that rbldnsd serves. If nothing were lost
/// there, these tests would prove nothing.
#[test]
fn the_same_list_by_rbldnsd_loses_subjects() {
    if program("rbldnsd").is_none() {
        return skip("rbldnsd");
    }
    for kind in [Kind::Unbound, Kind::Bind] {
        let Some(version) = ready(kind) else { return };
        namespace::inside(&ADDRESSES, || {
            let listed = subjects(7, 10);
            let world = World::start(&listed, 1232, true);
            assert!(world.control.is_some(), "rbldnsd serves the same list");
            let resolver = kind.start(Mode::Recurse, 1232, &world.anchor);
            let client = Udp::new(resolver.dns);
            let lost_ones = lost(&client, CONTROL, &listed, &mut Random::new(7), false);
            println!("{version}: {} of {} lost by way of rbldnsd: {lost_ones:#?}", lost_ones.len(), listed.len());
            assert!(!lost_ones.is_empty(), "{version} finds all that rbldnsd lists");
            // Asked directly, rbldnsd lists them all: it is the way down that loses them.
            let direct = Udp::new(world::RBLDNSD.into());
            for subject in &listed {
                let reply = direct.try_exchange(&question(&subject.name, CONTROL, A).wire(), Duration::from_secs(5));
                assert!(reply.is_some_and(|reply| reply.answer.len() == 1), "{}", subject.name);
            }
        });
    }
}
