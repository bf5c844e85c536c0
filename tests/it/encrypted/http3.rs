//! HTTP/3 octet by octet (RFC 9114, RFC 9204): what a head may take, slow requests, and the farewell (GOAWAY).

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::clients::{get, pause, quic, quic_with, runtime, soon, tls};
use super::patience::{udp_latency, unmoved};
use super::server;
use crate::alone;
use crate::message::{A, query};
use crate::metrics::Scrape;
use crate::server::{PATIENCE, Server};

/// Frames (RFC 9114 section 7.2).
mod frame {
    /// Of a body.
    pub const DATA: u8 = 0;
    /// Of a head.
    pub const HEADERS: u8 = 1;
    /// The connection's settings.
    pub const SETTINGS: u8 = 4;
    /// No further requests.
    pub const GOAWAY: u8 = 7;
}

/// Error codes (RFC 9114 section 8.1).
mod code {
    /// Nothing is wrong.
    pub const NO_ERROR: u64 = 0x100;
    /// The client does what is too much.
    pub const EXCESSIVE_LOAD: u64 = 0x107;
    /// The request was not looked at and may be sent again.
    pub const REQUEST_REJECTED: u64 = 0x10b;
}

/// Send packets without a meaning, so that QUIC's own time-out never comes.
fn stay_alive(transport: &mut quinn::TransportConfig) {
    transport.keep_alive_interval(Some(Duration::from_millis(200)));
}

/// A connection that has sent its settings, and then nothing but packets without a meaning.
struct Raw {
    /// QUIC.
    connection: quinn::Connection,
    /// Kept as long as the connection.
    _endpoint: quinn::Endpoint,
    /// The control stream, which must not end.
    _control: quinn::SendStream,
}

impl Raw {
    /// Connect to the public listener.
    async fn connect(server: &Server, certificate: &CertificateDer<'static>) -> Self {
        let (endpoint, connection) =
            quic_with(server.address("public"), tls(&[certificate], &[b"h3"]), stay_alive).await;
        let mut control = connection.open_uni().await.unwrap();
        // A stream of type 0 with empty settings.
        control.write_all(&[0, frame::SETTINGS, 0]).await.unwrap();
        Self { connection, _endpoint: endpoint, _control: control }
    }

    /// Send these octets as a request, and give all that comes back.
    async fn ask(&self, octets: &[u8]) -> Result<Vec<u8>, quinn::ReadToEndError> {
        let (mut send, mut recv) = self.connection.open_bi().await.unwrap();
        // A request that is too much may be stopped before all of it is sent.
        let _ = send.write_all(octets).await;
        let _ = send.finish();
        soon(recv.read_to_end(70_000)).await
    }

    /// The code by which the server closes.
    async fn closed(&self) -> u64 {
        match soon(self.connection.closed()).await {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            error => panic!("closed otherwise: {error}"),
        }
    }

    /// What the farewell names as the first request that is not answered, and the code of the end that follows.
    async fn farewell(&self) -> (u64, u64) {
        let mut first = None;
        // Streams of other types (QPACK) may come before the control stream.
        while first.is_none() {
            let mut stream = soon(self.connection.accept_uni()).await.expect("a control stream");
            let mut octet = [0];
            soon(stream.read_exact(&mut octet)).await.unwrap();
            if octet != [0] {
                // Kept open until the connection ends.
                std::mem::forget(stream);
                continue;
            }
            while first.is_none() {
                let kind = number(&mut stream).await;
                let len = number(&mut stream).await;
                let mut data = vec![0; usize::try_from(len).unwrap()];
                soon(stream.read_exact(&mut data)).await.unwrap();
                if kind == u64::from(frame::GOAWAY) {
                    let mask = if data.len() == 8 { u64::MAX >> 2 } else { (1 << (8 * data.len() - 2)) - 1 };
                    let id = data.iter().fold(0, |id, &octet| id << 8 | u64::from(octet));
                    first = Some(id & mask);
                }
            }
            std::mem::forget(stream);
        }
        (first.unwrap(), self.closed().await)
    }
}

/// Read a number of variable length (RFC 9000 section 16).
async fn number(stream: &mut quinn::RecvStream) -> u64 {
    let mut octets = [0; 8];
    soon(stream.read_exact(&mut octets[..1])).await.expect("a frame");
    let len = 1 << (octets[0] >> 6);
    soon(stream.read_exact(&mut octets[1..len])).await.expect("a whole number");
    octets[1..len].iter().fold(u64::from(octets[0] & 0x3f), |number, &octet| number << 8 | u64::from(octet))
}

/// The head of a frame of so many octets.
fn head(kind: u8, len: u32) -> Vec<u8> {
    [&[kind][..], &(len | 0x8000_0000).to_be_bytes()].concat()
}

/// The HEADERS frame of a good GET, with a field `x` of so many octets.
fn request(field_octets: usize) -> Vec<u8> {
    let asked = query("2.0.0.127.bl.test", A).id(0).wire();
    let path = format!("/dns-query?dns={}", data_encoding::BASE64URL_NOPAD.encode(&asked));
    // No dynamic table. GET and https are fields 17 and 23 of the static one, the path is 1, the authority 0 (RFC 9204 appendix A).
    let mut fields = vec![0, 0, 0xd1, 0xd7, 0x51];
    fields.extend(text(path.as_bytes()));
    fields.push(0x50);
    fields.extend(text(b"localhost"));
    // A name of one octet, in full.
    fields.extend(b"\x21x");
    fields.extend(text(&vec![b'y'; field_octets]));
    let len = u32::try_from(fields.len()).unwrap();
    [head(frame::HEADERS, len), fields].concat()
}

/// A text with its length, as RFC 7541 sections 5.1 and 5.2 write it.
fn text(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match octets.len().checked_sub(127) {
        None => text.push(octets.len() as u8),
        Some(mut rest) => {
            text.push(127);
            while rest >= 128 {
                text.push(rest as u8 | 128);
                rest >>= 7;
            }
            text.push(rest as u8);
        }
    }
    text.extend(octets);
    text
}

/// Whether an answer has the address that stands for "listed", with its length. What comes behind it may be a frame without a meaning.
fn is_listed(answer: &[u8]) -> bool {
    answer.windows(6).any(|octets| octets == [0, 4, 127, 0, 0, 2])
}

#[test]
fn heads_are_bounded() {
    let (server, certificate) = server("", "");
    runtime().block_on(async {
        let raw = Raw::connect(&server, &certificate).await;
        for (octets, fine) in [(0, true), (8_000, true), (17_000, false), (60_000, false), (100, true)] {
            let answer = raw.ask(&request(octets)).await;
            assert_eq!(answer.as_ref().is_ok_and(|answer| is_listed(answer)), fine, "{octets} octets: {answer:02x?}");
        }
        // A frame without an end, of those that are kept whole before they mean anything.
        for kind in [frame::HEADERS, 0x21] {
            let raw = Raw::connect(&server, &certificate).await;
            let (mut send, _recv) = raw.connection.open_bi().await.unwrap();
            send.write_all(&head(kind, 0x3fff_ffff)).await.unwrap();
            let zeros = vec![0; 16 * 1024];
            while soon(send.write_all(&zeros)).await.is_ok() {}
            assert_eq!(raw.closed().await, code::EXCESSIVE_LOAD, "frames of type {kind:#x}");
        }
        // Others are served as before.
        assert!(is_listed(&Raw::connect(&server, &certificate).await.ask(&request(0)).await.unwrap()));
    });
}

#[test]
fn slow_requests_are_closed_and_udp_does_not_notice() {
    let _alone = alone();
    let limits = "connections-max = 2000\nconnections-per-host-max = 2000\nconnections-per-net-max = 2000\n\
                  idle-ms-max = 1000\nrequest-ms-max = 1000";
    let (server, certificate) = server("", limits);
    let before = udp_latency(&server);
    let runtime = runtime();
    let whole = request(200);
    let slow: Vec<_> = [
        ("a head", Vec::new(), whole.clone()),
        ("a frame's length", Vec::new(), vec![0xc0; 8]),
        ("a body", [&whole[..], &head(frame::DATA, 4000)].concat(), vec![b'x'; 4000]),
        ("nothing", Vec::new(), Vec::new()),
    ]
    .into_iter()
    .flat_map(|case| std::iter::repeat_n(case, 25))
    .map(|(what, at_once, slowly)| {
        let raw = runtime.block_on(Raw::connect(&server, &certificate));
        let task = runtime.spawn(async move {
            let (mut send, _recv) = raw.connection.open_bi().await.unwrap();
            send.write_all(&at_once).await.unwrap();
            let begun = Instant::now();
            for octet in slowly {
                // The request may be over before the connection is.
                if send.write_all(&[octet]).await.is_err() || begun.elapsed() > PATIENCE {
                    break;
                }
                pause(100).await;
            }
            raw.closed().await
        });
        (what, task)
    })
    .collect();
    unmoved("slow requests over HTTP/3", before, udp_latency(&server));
    runtime.block_on(async {
        for (what, task) in slow {
            assert_eq!(task.await.unwrap(), code::NO_ERROR, "{what}");
        }
    });
}

#[test]
fn a_farewell_tells_which_requests_are_answered() {
    let (server, certificate) = server("", "requests-per-connection-max = 5");
    runtime().block_on(async {
        // Requests have the numbers 0, 4, 8, …: the five that are answered end before 20.
        let raw = Raw::connect(&server, &certificate).await;
        for _ in 0..5 {
            assert!(is_listed(&raw.ask(&request(0)).await.unwrap()));
        }
        assert_eq!(raw.farewell().await, (20, code::NO_ERROR));
        // All at once: each is answered, or may be sent again elsewhere.
        let raw = std::sync::Arc::new(Raw::connect(&server, &certificate).await);
        let mut asking = JoinSet::new();
        for _ in 0..30 {
            let raw = std::sync::Arc::clone(&raw);
            asking.spawn(async move {
                match raw.ask(&request(0)).await {
                    Ok(answer) => {
                        assert!(is_listed(&answer), "{answer:02x?}");
                        true
                    }
                    Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => {
                        assert_eq!(code.into_inner(), code::REQUEST_REJECTED);
                        false
                    }
                    // Too late for that, on a busy machine; the farewell has said it too.
                    Err(quinn::ReadToEndError::Read(quinn::ReadError::ConnectionLost(
                        quinn::ConnectionError::ApplicationClosed(closed),
                    ))) => {
                        assert_eq!(closed.error_code.into_inner(), code::NO_ERROR);
                        false
                    }
                    Err(error) => panic!("neither answered nor rejected: {error}"),
                }
            });
        }
        let answered = asking.join_all().await.into_iter().filter(|answered| *answered).count();
        assert_eq!(answered, 5);
        assert_eq!(raw.farewell().await, (20, code::NO_ERROR));
    });
}

#[test]
fn the_end_of_the_server_is_told() {
    let (server, certificate) = server("", "");
    runtime().block_on(async {
        let fresh = Raw::connect(&server, &certificate).await;
        let raw = Raw::connect(&server, &certificate).await;
        for _ in 0..3 {
            assert!(is_listed(&raw.ask(&request(0)).await.unwrap()));
        }
        // Another program's client, which heeds it: it asks no more, and loses nothing.
        let (_endpoint, quic) = quic(server.address("public"), tls(&[&certificate], &[b"h3"])).await;
        let (mut driver, mut sender) = soon(h3::client::new(h3_quinn::Connection::new(quic))).await.unwrap();
        let driver = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        // A handshake that is not over would be broken off instead.
        let labels = [("transport", "https")];
        server.wait("all handshakes", |server| Scrape::of(server).sum("dnsbld_encrypted_connections", &labels) == 3.0);
        server.signal(Signal::TERM);
        let end = Instant::now() + PATIENCE;
        let error = loop {
            let (head, _) = get(&query("2.0.0.127.bl.test", A).wire()).into_parts();
            let asked = sender.send_request(axum::http::Request::from_parts(head, ())).await;
            let answered = match asked {
                Ok(mut stream) => {
                    let _ = stream.finish().await;
                    soon(stream.recv_response()).await.map(|response| assert_eq!(response.status(), 200))
                }
                Err(error) => break error,
            };
            match answered {
                Ok(()) => {}
                Err(h3::error::StreamError::RemoteTerminate { code, .. }) => {
                    assert_eq!(code, h3::error::Code::H3_REQUEST_REJECTED);
                }
                Err(error) => panic!("neither answered nor rejected: {error}"),
            }
            assert!(Instant::now() < end, "the client was never told");
        };
        assert!(matches!(error, h3::error::StreamError::RemoteClosing { .. }), "{error}");
        assert!(soon(driver).await.unwrap().is_h3_no_error());
        assert_eq!(fresh.farewell().await, (0, code::NO_ERROR));
        assert_eq!(raw.farewell().await, (12, code::NO_ERROR));
    });
}
