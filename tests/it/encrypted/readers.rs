//! Clients that ask and never take an answer: every transport closes them, and answers others meanwhile.

use std::net::SocketAddr;

use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::clients::{
    ask2, connect, doq, exchange, framed, get, http2, http3, post, quic, quic_with, runtime, soon, tls,
};
use super::server;
use crate::message::{A, TXT, query};
use crate::metrics::Scrape;
use crate::server::Server;

/// Octets on a stream that a client takes without reading: fewer than the answers have.
const WINDOW_OCTETS: u32 = 1000;
/// Questions asked by others before the client that does not read must be gone; each is answered before it can be.
const OTHERS_MIN: u32 = 5;

/// A server that gives half a second for taking answers, and for nothing else.
fn impatient() -> (Server, CertificateDer<'static>) {
    server(
        "write-ms-max = 500\nidle-ms-max = 600000\nidle-busy-ms-max = 600000",
        "idle-ms-max = 500\nrequest-ms-max = 1000",
    )
}

/// Take no more than [`WINDOW_OCTETS`] over QUIC.
fn take_little(transport: &mut quinn::TransportConfig) {
    transport.stream_receive_window(WINDOW_OCTETS.into());
}

/// Connections of a transport that were closed because their clients were too slow.
fn closed(server: &Server, transport: &str) -> f64 {
    let labels = [("transport", transport), ("reason", "idle")];
    Scrape::of(server).sum("dnsbld_encrypted_connections_closed_total", &labels)
}

/// A question whose answer has some 4 KB.
fn long() -> Vec<u8> {
    query("4.3.2.1.big.test", TXT).id(0).wire()
}

/// Ask again and again over another connection, until the client that does not read is gone.
async fn others_are_answered(slow: JoinHandle<()>, mut ask: impl AsyncFnMut()) {
    let mut asked = 0;
    while !slow.is_finished() {
        soon(ask()).await;
        asked += 1;
    }
    slow.await.unwrap();
    assert!(asked >= OTHERS_MIN, "only {asked} others were answered");
}

/// Ask over DoT and read nothing, until writing fails for good.
async fn unread_dot(address: SocketAddr, config: tokio_rustls::rustls::ClientConfig) {
    let mut stream = connect(address, config).await;
    let many = framed(&long()).repeat(100);
    while soon(stream.write_all(&many)).await.is_ok() && soon(stream.flush()).await.is_ok() {}
}

#[test]
fn over_dot() {
    let (server, certificate) = impatient();
    let address = server.address("tls");
    runtime().block_on(async {
        let mut other = connect(address, tls(&[&certificate], &[b"dot"])).await;
        let slow = tokio::spawn(unread_dot(address, tls(&[&certificate], &[b"dot"])));
        let asked = query("2.0.0.127.bl.test", A).wire();
        others_are_answered(slow, async || drop(exchange(&mut other, &asked).await.expect("an answer"))).await;
        // The other one is still there.
        exchange(&mut other, &asked).await.unwrap();
    });
    server.wait("the client to be counted", |server| closed(server, "tls") == 1.0);
}

#[test]
fn over_doq() {
    let (server, certificate) = impatient();
    let address = server.address("quic");
    runtime().block_on(async {
        let (_other_endpoint, other) = quic(address, tls(&[&certificate], &[b"doq"])).await;
        let (_endpoint, connection) = quic_with(address, tls(&[&certificate], &[b"doq"]), take_little).await;
        let slow = tokio::spawn(async move {
            let mut kept = Vec::new();
            for _ in 0..10 {
                let (mut send, recv) = connection.open_bi().await.unwrap();
                send.write_all(&framed(&long())).await.unwrap();
                send.finish().unwrap();
                kept.push((send, recv));
            }
            let error = soon(connection.closed()).await;
            let quinn::ConnectionError::ApplicationClosed(close) = error else { panic!("{error}") };
            assert_eq!(close.error_code.into_inner(), 4, "DOQ_EXCESSIVE_LOAD");
        });
        let asked = query("2.0.0.127.bl.test", A).wire();
        others_are_answered(slow, async || drop(doq(&other, &asked).await)).await;
        doq(&other, &asked).await;
    });
    server.wait("the client to be counted", |server| closed(server, "quic") == 1.0);
}

#[test]
fn over_http2() {
    let (server, certificate) = impatient();
    let address = server.address("public");
    runtime().block_on(async {
        let stream = connect(address, tls(&[&certificate], &[b"h2"])).await;
        let mut client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        client.initial_stream_window_size(WINDOW_OCTETS);
        let (mut sender, driver) = client.handshake::<_, Body>(TokioIo::new(stream)).await.unwrap();
        // It takes all that comes, within the window.
        let driver = tokio::spawn(driver);
        let slow = tokio::spawn(async move {
            let mut kept = Vec::new();
            for _ in 0..10 {
                let response = soon(sender.send_request(get(&long()))).await.unwrap();
                assert_eq!(response.status(), 200);
                kept.push(response);
            }
            // Whether the end is called an error is the client's affair.
            let _ = soon(driver).await;
        });
        // Others are idle as well between two questions, so each has a connection of its own.
        let asked = query("2.0.0.127.bl.test", A).wire();
        let ask = async || {
            let mut other = http2(address, &certificate).await;
            assert_eq!(ask2(&mut other, post(&asked)).await.status, 200);
        };
        others_are_answered(slow, ask).await;
    });
    server.wait("the client to be counted", |server| closed(server, "https") >= 1.0);
}

#[test]
fn over_http3() {
    let (server, certificate) = impatient();
    let address = server.address("public");
    runtime().block_on(async {
        let (_endpoint, connection) = quic_with(address, tls(&[&certificate], &[b"h3"]), take_little).await;
        let ended = connection.clone();
        let (_driver, mut sender) = soon(h3::client::new(h3_quinn::Connection::new(connection))).await.unwrap();
        let slow = tokio::spawn(async move {
            let mut kept = Vec::new();
            for _ in 0..10 {
                let (head, _) = get(&long()).into_parts();
                let mut stream = soon(sender.send_request(axum::http::Request::from_parts(head, ()))).await.unwrap();
                soon(stream.finish()).await.unwrap();
                kept.push(stream);
            }
            soon(ended.closed()).await;
        });
        let asked = query("2.0.0.127.bl.test", A).wire();
        let ask = async || assert_eq!(http3(address, &certificate, post(&asked)).await.status, 200);
        others_are_answered(slow, ask).await;
    });
    server.wait("the client to be counted", |server| closed(server, "https") >= 1.0);
}
