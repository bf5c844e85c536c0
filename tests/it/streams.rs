//! DNS over TCP: the same answers, many on one connection, and limits on whoever holds connections for nothing.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::lists::usual;
use crate::message::{A, Reply, TXT, edns, query};
use crate::server::{PATIENCE, Tcp};

#[test]
fn d40_the_same_answers_without_truncation() {
    let server = usual("");
    let mut stream = server.tcp();
    for (qname, qtype) in [
        ("2.0.0.127.bl.test", A),
        ("9.9.9.9.bl.test", A),
        ("3.2.1.bl.test", TXT),
        ("bl.test", 6),
        ("bl.test", 2),
        ("evil.com.dbl.test", TXT),
        ("other.example", A),
    ] {
        for asked in [query(qname, qtype), query(qname, qtype).edns(edns(1232))] {
            let (datagram, message) = (server.ask(&asked), stream.ask(&asked));
            assert_eq!(datagram.answers(), message.answers(), "{qname}");
            assert_eq!((datagram.flags, datagram.rcode), (message.flags, message.rcode), "{qname}");
            assert_eq!(datagram.authority, message.authority, "{qname}");
        }
    }
    let whole = stream.ask(&query("4.3.2.1.big.test", TXT));
    assert_eq!((whole.tc(), whole.answers().len()), (false, 60));
}

#[test]
fn d41_many_queries_on_one_connection() {
    let server = usual("");
    let mut stream = server.tcp();
    // Several in one segment; the answers may come in any order.
    let many: Vec<u8> =
        (0..200).flat_map(|id| Tcp::framed(&query(&format!("{id}.0.0.10.bl.test"), A).id(id).wire())).collect();
    stream.stream.write_all(&many).unwrap();
    let ids: BTreeSet<u16> = (0..200)
        .map(|_| {
            let reply = Reply::parse(&stream.receive().expect("an answer to each")).unwrap();
            assert!(reply.answers().contains("A 127.0.0.10"));
            reply.id
        })
        .collect();
    assert_eq!(ids.len(), 200);
    // One split over segments, octet by octet, the length prefix too.
    for octet in Tcp::framed(&query("2.0.0.127.bl.test", A).id(999).wire()) {
        stream.stream.write_all(&[octet]).unwrap();
        stream.stream.flush().unwrap();
    }
    assert_eq!(Reply::parse(&stream.receive().unwrap()).unwrap().id, 999);
    // And the connection is still there.
    assert_eq!(stream.ask(&query("2.0.0.127.bl.test", A)).code(), "NOERROR");
}

#[test]
fn d41_a_client_that_ends_its_half_still_gets_its_answers() {
    let server = usual("");
    let mut stream = server.tcp();
    stream.send(&query("2.0.0.127.bl.test", A).id(1).wire());
    stream.send(&query("9.9.9.9.bl.test", A).id(2).wire());
    stream.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let replies =
        [stream.receive(), stream.receive()].map(|octets| Reply::parse(&octets.expect("an answer")).unwrap().id);
    assert_eq!(BTreeSet::from(replies), BTreeSet::from([1, 2]));
    assert!(stream.closes_within(PATIENCE));
}

#[test]
fn d42_silent_connections_are_closed() {
    let server = usual("[dns.tcp]\nidle-ms-max = 300\nidle-busy-ms-max = 100");
    for start in [&b""[..], b"\x00", b"\x00\x30half"] {
        let mut stream = server.tcp();
        stream.stream.write_all(start).unwrap();
        let begun = Instant::now();
        assert!(stream.closes_within(PATIENCE), "{start:?}");
        assert!(begun.elapsed() >= Duration::from_millis(90), "{start:?}: {:?}", begun.elapsed());
    }
    let mut dripping = server.tcp();
    let framed = Tcp::framed(&query("2.0.0.127.bl.test", A).wire());
    let begun = Instant::now();
    // An octet every 100 ms keeps a socket busy but is no query: it must not hold a connection for ever.
    let mut sent = framed.iter().cycle();
    dripping.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut closed = false;
    while !closed && begun.elapsed() < PATIENCE {
        closed = dripping.stream.write_all(&[*sent.next().unwrap()]).is_err()
            || dripping.closes_within(Duration::from_millis(100));
        if begun.elapsed() > Duration::from_secs(8) {
            break;
        }
    }
    assert!(closed, "an octet now and then held a connection for {:?}", begun.elapsed());
}

#[test]
fn d42_silent_connections_notice_when_they_become_scarce() {
    let server = usual("[dns.tcp]\nconnections-max = 4\nidle-ms-max = 600000\nidle-busy-ms-max = 300");
    let asked = query("2.0.0.127.bl.test", A);
    let mut silent: Vec<Tcp> = (0..3).map(|_| server.tcp()).collect();
    for stream in &mut silent {
        assert_eq!(stream.ask(&asked).code(), "NOERROR");
    }
    // The fourth asks all the time, so that it is one of those before it that goes.
    let mut busy = server.tcp();
    let end = Instant::now() + PATIENCE;
    while !silent.iter_mut().any(|stream| stream.closes_within(Duration::from_millis(10))) {
        assert_eq!(busy.ask(&asked).code(), "NOERROR");
        assert!(Instant::now() < end, "no silent connection was closed");
    }
    assert_eq!(busy.ask(&asked).code(), "NOERROR");
}

#[test]
fn d42_connections_are_counted_by_client() {
    let server = usual("[dns.tcp]\nconnections-per-host-max = 4\nconnections-per-net-max = 4\nidle-ms-max = 600000");
    let mut open: Vec<Tcp> = (0..4).map(|_| server.tcp()).collect();
    for stream in &mut open {
        assert_eq!(stream.ask(&query("2.0.0.127.bl.test", A)).code(), "NOERROR");
    }
    let mut refused = server.tcp();
    assert!(refused.closes_within(PATIENCE), "one more than allowed");
    for stream in &mut open {
        assert_eq!(stream.ask(&query("2.0.0.127.bl.test", A)).code(), "NOERROR", "those before it stay");
    }
    drop(open.pop());
    server.wait("room again", |server| {
        let mut stream = server.tcp();
        stream.stream.write_all(&Tcp::framed(&query("2.0.0.127.bl.test", A).wire())).is_ok()
            && stream.receive().is_some()
    });
    // UDP has no part in it.
    assert_eq!(server.ask(&query("2.0.0.127.bl.test", A)).code(), "NOERROR");
}

#[test]
fn d42_queries_are_counted_when_told_so() {
    let server = usual("[dns.tcp]\nqueries-per-connection-max = 3");
    let mut stream = server.tcp();
    for _ in 0..3 {
        assert_eq!(stream.ask(&query("2.0.0.127.bl.test", A)).code(), "NOERROR");
    }
    assert!(stream.closes_within(PATIENCE));
}

#[test]
fn d42_who_does_not_read_is_closed() {
    let server = usual("[dns.tcp]\nwrite-ms-max = 200\nidle-ms-max = 600000");
    let mut stream = server.tcp();
    stream.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let framed = Tcp::framed(&query("4.3.2.1.big.test", TXT).wire());
    let deadline = Instant::now() + PATIENCE;
    // Ask for large answers and read none, until the server has had enough: then writing fails for good.
    loop {
        match stream.stream.write_all(&framed) {
            Err(error) if !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                break;
            }
            _ => assert!(Instant::now() < deadline, "a client that reads nothing was kept"),
        }
    }
    assert_eq!(server.ask(&query("2.0.0.127.bl.test", A)).code(), "NOERROR");
}
