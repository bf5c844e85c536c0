//! Garbage on the ports: it never kills the server, never makes it talk to itself, never gets more than it should.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use crate::lists::usual;
use crate::message::{A, ANY, Query, Reply, TXT, edns, query};
use crate::metrics::Scrape;
use crate::server::{Server, Tcp};

/// Datagrams sent in all, half of them random and half of them mutated queries.
const DATAGRAMS: usize = 200_000;
/// Datagrams sent before the answers are read; their answers fit the socket's buffer.
const BURST: usize = 64;
/// Streams of garbage.
const STREAMS: usize = 200;
/// Octets that a reply to anything may have: the advertised size.
const REPLY_MAX: usize = 1232;

/// Repeatable randomness (xorshift64*, good enough to make garbage).
pub struct Random(u64);

impl Random {
    /// From a seed that is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    /// Random octets.
    pub fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Good queries to mutate.
fn seeds() -> Vec<Vec<u8>> {
    let cookie = edns(1232).option(10, b"12345678").option(3, b"").option(8, &[0, 1, 24, 0, 192, 0, 2]);
    let queries: [Query; 8] = [
        query("2.0.0.127.bl.test", A),
        query("4.3.2.1.big.test", TXT).edns(edns(4096)),
        query("4.3.2.1.big.test", ANY).edns(cookie),
        query("bl.test", 6),
        query("bl.test", 252),
        query("a.b.bad.example.dbl.test", TXT),
        query("version.bind", TXT).class(3),
        query("2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test", A).edns(edns(512)),
    ];
    queries.iter().map(Query::wire).collect()
}

/// Change a message in one to four places: flip, set, cut, double, insert.
fn mutate(random: &mut Random, message: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if message.is_empty() {
            return;
        }
        let at = random.below(message.len());
        match random.below(6) {
            0 => message[at] ^= 1 << random.below(8),
            1 => message[at] = [0, 0xc0, 0xff, 0x3f, 0x40, 0x80][random.below(6)],
            2 => message.truncate(at),
            3 => {
                let part = message[at..].to_vec();
                message.extend(part);
            }
            4 => message.insert(at, random.next() as u8),
            _ => {
                // A pointer to somewhere.
                let target = random.below(message.len() + 8);
                let end = (at + 2).min(message.len());
                message.splice(at..end, [0xc0 | (target >> 8) as u8, target as u8]);
            }
        }
    }
    message.truncate(4000);
}

/// What may never be: an answer to a response, an answer that is no response, or one larger than allowed.
fn check_reply(reply: &[u8], sent: &[Vec<u8>]) {
    assert!(reply.len() >= 12 && reply.len() <= REPLY_MAX, "a reply of {} octets", reply.len());
    assert!(reply[2] & 0x80 != 0, "a reply without QR: {reply:02x?}");
    Reply::parse(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
    let fits = |asked: &&Vec<u8>| {
        asked.len() >= 12 && asked[2] & 0x80 == 0 && asked[..2] == reply[..2] && asked[2] & 0x78 == reply[2] & 0x78
    };
    assert!(sent.iter().any(|asked| fits(&asked)), "a reply to nothing that was asked: {reply:02x?}");
}

#[test]
fn datagrams() {
    let mut server = usual("");
    let mut random = Random::new(0x00d5_1b1d);
    let seeds = seeds();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.dns).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 65_535];
    let mut answered = 0usize;
    for burst in 0..DATAGRAMS / BURST {
        let mut sent: Vec<Vec<u8>> = (0..BURST)
            .map(|i| {
                if i % 2 == 0 {
                    let len = random.below(if i % 16 == 0 { 1400 } else { 80 });
                    return random.octets(len);
                }
                let mut message = seeds[random.below(seeds.len())].clone();
                mutate(&mut random, &mut message);
                message
            })
            .collect();
        // The last of a burst is a good query with an ID of its own: its answer says that all are through.
        let id = 0x6000 | (burst & 0xfff) as u16;
        sent.iter_mut().filter(|message| message.len() > 1 && message[..2] == id.to_be_bytes()).for_each(|m| m[0] = 0);
        sent.push(query("2.0.0.127.bl.test", A).id(id).wire());
        for message in &sent {
            client.send(message).unwrap();
        }
        loop {
            let len = client.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("no answer to a good query after burst {burst}: {error}; alive: {}", server.alive())
            });
            check_reply(&buffer[..len], &sent);
            if buffer[..2] == id.to_be_bytes() {
                break;
            }
            answered += 1;
        }
    }
    assert!(server.alive());
    // Most mutated queries can still be read; were none answered, this test would test nothing.
    assert!(answered > DATAGRAMS / 10, "only {answered} answers");
    still_good(&server);
}

/// The server answers a good query over both transports.
fn still_good(server: &Server) {
    let good = query("2.0.0.127.bl.test", A);
    assert!(server.ask(&good).answers().contains("A 127.0.0.2"));
    assert!(server.tcp().ask(&good).answers().contains("A 127.0.0.2"));
}

#[test]
fn streams() {
    let mut server = usual("[dns.tcp]\nidle-ms-max = 1000");
    let mut random = Random::new(0x7c9);
    let seeds = seeds();
    for round in 0..STREAMS {
        let mut stream = TcpStream::connect(server.dns).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut garbage = Vec::new();
        for _ in 0..random.below(40) {
            let mut message = seeds[random.below(seeds.len())].clone();
            mutate(&mut random, &mut message);
            garbage.extend(Tcp::framed(&message));
        }
        if round % 3 == 0 {
            let len = random.below(5000);
            garbage = random.octets(len);
        }
        // The server may close while we write; that is its right.
        let _ = stream.write_all(&garbage);
        if round % 2 == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut replies = Vec::new();
            let _ = stream.read_to_end(&mut replies);
            let mut rest = replies.as_slice();
            while let [high, low, tail @ ..] = rest {
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                assert!(len >= 12 && len <= tail.len(), "a broken frame");
                Reply::parse(&tail[..len]).unwrap_or_else(|error| panic!("{error}: {:02x?}", &tail[..len]));
                rest = &tail[len..];
            }
        }
    }
    assert!(server.alive());
    still_good(&server);
}

#[test]
fn two_servers_can_not_be_made_to_talk() {
    let (one, two) = (usual(""), usual(""));
    // A reply of one, sent to the other as if the first had sent it by mistake: silence, so no loop can start.
    let good = query("2.0.0.127.bl.test", A);
    for asked in
        [good.clone(), query("bl.test", 6).flags(2 << 11), query("other.example", A), good.clone().edns(edns(1232))]
    {
        let reply = one.ask(&asked);
        assert!(two.udp().silent(&reply.octets, &good), "a {} reply was answered", reply.code());
    }
    // FORMERR, the classic of loops: the reply to garbage is no food for another server either.
    let formerr = one.udp().exchange(&[0x77, 0x77, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c]);
    assert_eq!(formerr.code(), "FORMERR");
    assert!(two.udp().silent(&formerr.octets, &good));
}

/// A datagram from any source port, which takes a raw socket and so a privilege; nothing without it.
fn send_from(source: u16, target: std::net::SocketAddr, payload: &[u8]) -> Option<()> {
    let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::RAW, Some(socket2::Protocol::UDP)).ok()?;
    let len = (payload.len() + 8) as u16;
    // UDP header (RFC 768); a checksum of 0 means that there is none.
    let datagram = [&source.to_be_bytes(), &target.port().to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat();
    raw.send_to(&datagram, &target.into()).unwrap();
    Some(())
}

#[test]
fn forged_sources_start_no_loop() {
    let mut server = usual("");
    let good = query("2.0.0.127.bl.test", A);
    let dropped = |server: &Server, reason: &str| Scrape::of(server).sum("dnsbld_dropped_total", &[("reason", reason)]);
    // As if the server had asked itself: it answers itself, and that answer must be the end of it.
    for round in 0..100u16 {
        if send_from(server.dns.port(), server.dns, &good.clone().id(round).wire()).is_none() {
            crate::skip("the right to forge a source port");
            return;
        }
    }
    server.wait("the server's answers to itself", |server| dropped(server, "response") >= 100.0);
    // Port 0 can not be answered (RFC 768).
    send_from(0, server.dns, &good.wire());
    server.wait("the datagram from port 0", |server| dropped(server, "source") == 1.0);
    let client = server.udp();
    (0..1000).for_each(|_| assert_eq!(client.ask(&good).code(), "NOERROR"));
    assert_eq!(dropped(&server, "response"), 100.0, "the answers go round and round");
    assert!(server.alive());
}
