//! The same question has the same answer on every transport, octet by octet but for the ID.

use super::clients::{ask2, connect, doq, exchange, get, http1, http2, http3, post, quic, runtime, tls};
use super::server;
use crate::lists::nibbles;
use crate::message::{A, ANY, CH, NS, Query, Reply, SOA, TXT, edns, header, query};

/// Questions, and whether UDP answers them in the same way; it cuts long answers, and gives ANY one record set.
fn questions() -> Vec<(Vec<u8>, bool)> {
    let same = |query: Query| (query.wire(), true);
    let short = |query: Query| (query.wire(), false);
    vec![
        same(query("2.0.0.127.bl.test", A)),
        same(query("2.0.0.127.bl.test", TXT).edns(edns(1232))),
        same(query("4.3.2.1.BL.test", A).flags(0x0100)),
        same(query("9.9.9.9.bl.test", A)),
        same(query("9.9.9.9.bl.test", A).edns(edns(4096))),
        same(query("3.2.1.bl.test", A)),
        same(query("bl.test", SOA)),
        same(query(&format!("{}.bl.test", nibbles("2001:db8::1")), TXT)),
        same(query("evil.com.dbl.test", A)),
        same(query("id.server", TXT).class(CH)),
        same(query("bl.test", NS).edns(edns(1232).option(3, &[]))),
        same(query("other.example", A).edns(edns(1232))),
        same(query("bl.test", 47).edns(edns(512))),
        short(query("bl.test", ANY)),
        short(query("bl.test", 252)),
        // Opcode 2; no question; two questions.
        same(query("bl.test", A).flags(0x1000)),
        (header(0, 0, [0, 0, 0, 0]), true),
        (header(0, 0, [2, 0, 0, 0]), true),
    ]
}

/// A message without its ID.
fn without_id(mut message: Vec<u8>) -> Vec<u8> {
    message[..2].fill(0);
    message
}

#[test]
fn every_transport_gives_the_same_message() {
    let (server, certificate) = server("", "");
    let (dot_address, doq_address, doh_address) =
        (server.address("tls"), server.address("quic"), server.address("public"));
    runtime().block_on(async {
        let mut dot = connect(dot_address, tls(&[&certificate], &[b"dot"])).await;
        assert_eq!(dot.get_ref().1.alpn_protocol(), Some(&b"dot"[..]));
        let mut http = http2(doh_address, &certificate).await;
        let (_endpoint, connection) = quic(doq_address, tls(&[&certificate], &[b"doq"])).await;
        for (message, over_udp) in questions() {
            let plain = {
                let mut tcp = server.tcp();
                tcp.send(&message);
                without_id(tcp.receive().unwrap())
            };
            let mut all =
                vec![("DoT", exchange(&mut dot, &message).await.unwrap()), ("DoQ", doq(&connection, &message).await)];
            let answered = [
                ("HTTP/1.1 GET", http1(doh_address, &certificate, get(&message)).await),
                ("HTTP/1.1 POST", http1(doh_address, &certificate, post(&message)).await),
                ("HTTP/2 GET", ask2(&mut http, get(&message)).await),
                ("HTTP/2 POST", ask2(&mut http, post(&message)).await),
                ("HTTP/3 GET", http3(doh_address, &certificate, get(&message)).await),
                ("HTTP/3 POST", http3(doh_address, &certificate, post(&message)).await),
            ];
            for (how, answered) in answered {
                assert_eq!(
                    (answered.status.as_u16(), answered.header("content-type")),
                    (200, "application/dns-message")
                );
                let reply = Reply::parse(&answered.body).unwrap();
                // Of all but errors, which have no records and may not be kept.
                let lowest = reply.answer.iter().chain(&reply.authority).map(|record| record.ttl).min().unwrap_or(0);
                assert_eq!(answered.header("cache-control"), format!("max-age={lowest}"), "{how}");
                all.push((how, answered.body));
            }
            if over_udp {
                let udp = server.udp();
                udp.send(&message);
                all.push(("UDP", udp.receive().unwrap()));
            }
            for (how, answer) in all {
                assert_eq!(without_id(answer), plain, "{how}: {message:02x?}");
            }
        }
    });
}

#[test]
fn long_answers_are_whole() {
    let (server, certificate) = server("", "");
    let message = query("4.3.2.1.big.test", TXT).wire();
    runtime().block_on(async {
        let mut dot = connect(server.address("tls"), tls(&[&certificate], &[b"dot"])).await;
        let (_endpoint, connection) = quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await;
        let public = server.address("public");
        let mut http = http2(public, &certificate).await;
        for (how, answer) in [
            ("DoT", exchange(&mut dot, &message).await.unwrap()),
            ("DoQ", doq(&connection, &message).await),
            ("HTTP/1.1", http1(public, &certificate, post(&message)).await.body),
            ("HTTP/2", ask2(&mut http, get(&message)).await.body),
            ("HTTP/3", http3(public, &certificate, post(&message)).await.body),
        ] {
            let reply = Reply::parse(&answer).unwrap();
            assert_eq!((reply.answer.len(), reply.tc()), (60, false), "{how}");
        }
    });
}
