//! What is DoQ's own: streams that do not wait for one another, and silence where connections are scarce.

use std::time::Instant;

use super::clients::{doq, framed, pause, quic, quic_with, runtime, soon, stream, tls};
use super::server;
use crate::message::{A, Reply, TXT, query};
use crate::metrics::Scrape;
use crate::server::{PATIENCE, Server};

/// A question with ID 0.
fn asked() -> Vec<u8> {
    query("2.0.0.127.bl.test", A).id(0).wire()
}

/// Connections that were closed because nothing was asked.
fn closed_idle(server: &Server) -> f64 {
    let labels = [("transport", "quic"), ("reason", "idle")];
    Scrape::of(server).sum("dnsbld_encrypted_connections_closed_total", &labels)
}

#[test]
fn a_slow_stream_does_not_stop_another() {
    let (server, certificate) = server("", "");
    let address = server.address("quic");
    let long = query("4.3.2.1.big.test", TXT).id(0).wire();
    runtime().block_on(async {
        let take_little = |transport: &mut quinn::TransportConfig| {
            transport.stream_receive_window(1000_u32.into());
        };
        let (_endpoint, connection) = quic_with(address, tls(&[&certificate], &[b"doq"]), take_little).await;
        // One comes slowly, of another the answer is read slowly.
        let (mut slow_send, mut slow_recv) = connection.open_bi().await.unwrap();
        let (mut unread_send, mut unread_recv) = connection.open_bi().await.unwrap();
        unread_send.write_all(&framed(&long)).await.unwrap();
        unread_send.finish().unwrap();
        let mut first = [0; 500];
        soon(unread_recv.read_exact(&mut first)).await.unwrap();
        for octet in framed(&asked()) {
            slow_send.write_all(&[octet]).await.unwrap();
            // Begun later, ended sooner.
            doq(&connection, &asked()).await;
        }
        slow_send.finish().unwrap();
        let answer = soon(slow_recv.read_to_end(70_000)).await.unwrap();
        assert_eq!(Reply::parse(&answer[2..]).unwrap().answer.len(), 1);
        let rest = soon(unread_recv.read_to_end(70_000)).await.unwrap();
        let answer = [&first[..], &rest].concat();
        assert_eq!(Reply::parse(&answer[2..]).unwrap().answer.len(), 60);
    });
}

#[test]
fn silence_ends_sooner_where_connections_are_scarce() {
    let limits = "connections-max = 4\nidle-ms-max = 600000\nidle-busy-ms-max = 300";
    let (server, certificate) = server(limits, "");
    let address = server.address("quic");
    runtime().block_on(async {
        // Three of four are not more than three quarters.
        let mut silent = Vec::new();
        for _ in 0..3 {
            let (endpoint, connection) = quic(address, tls(&[&certificate], &[b"doq"])).await;
            doq(&connection, &asked()).await;
            silent.push((endpoint, connection));
        }
        pause(1500).await;
        let still = silent.iter().filter(|(_, connection)| connection.close_reason().is_none()).count();
        assert_eq!((still, closed_idle(&server)), (3, 0.0), "closed without need");
        // The fourth asks all the time, so that it is one of those before it that goes.
        let (_endpoint, busy) = quic(address, tls(&[&certificate], &[b"doq"])).await;
        let end = Instant::now() + PATIENCE;
        while closed_idle(&server) == 0.0 {
            stream(&busy, &framed(&asked())).await.expect("who asks is answered");
            assert!(Instant::now() < end, "no silent connection was closed");
        }
        assert!(busy.close_reason().is_none());
    });
}
