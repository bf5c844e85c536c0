//! Clients of QUIC that begin a handshake and then say nothing: they delay nobody here, and everybody at hickory-server, whose accept loop
//! awaits one handshake before it takes the next; this is why ours stands on quinn itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::ResponseCode;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::UdpSocket;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::clients::{doq, http3, post, quic, runtime, soon, tls};
use super::server;
use crate::message::{A, query};

/// How long hickory-server 0.26.3 awaits a handshake (`hickory-net`, `quic_server.rs`).
const HICKORY_HANDSHAKE: Duration = Duration::from_secs(5);

/// A client that has sent its first packet, and takes what comes without a word.
struct Silent {
    /// The client's end.
    endpoint: quinn::Endpoint,
    /// The handshake, which goes on for as long as this is kept.
    _connecting: quinn::Connecting,
    /// Where the client believes the server to be, and the server the client.
    relay: UdpSocket,
}

impl Silent {
    /// Let a client begin with a relay, and carry its first packet on to the server, alone.
    async fn begin(address: SocketAddr, alpn: &[u8], certificate: &CertificateDer<'static>) -> Self {
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls(&[certificate], &[alpn])).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
        let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let connecting = endpoint.connect(relay.local_addr().unwrap(), "localhost").unwrap();
        let mut first = vec![0; 2048];
        let (len, _) = soon(relay.recv_from(&mut first)).await.unwrap();
        relay.send_to(&first[..len], address).await.unwrap();
        Self { endpoint, _connecting: connecting, relay }
    }

    /// Wait until the server has answered the first packet, and so awaits the second.
    async fn awaited(&self) {
        // The client itself may send its first packet again meanwhile.
        let (own, mut packet) = (self.endpoint.local_addr().unwrap(), vec![0; 2048]);
        while soon(self.relay.recv_from(&mut packet)).await.unwrap().1 == own {}
    }
}

#[test]
fn a_silent_handshake_delays_nobody() {
    let (server, certificate) = server("", "");
    let asked = query("2.0.0.127.bl.test", A).wire();
    runtime().block_on(async {
        let mut silent = Vec::new();
        for (address, alpn) in [(server.address("quic"), &b"doq"[..]), (server.address("public"), b"h3")] {
            for _ in 0..20 {
                silent.push(Silent::begin(address, alpn, &certificate).await);
            }
        }
        // All are awaited at once.
        for client in &silent {
            client.awaited().await;
        }
        let begun = Instant::now();
        let (_endpoint, connection) = quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await;
        doq(&connection, &asked).await;
        let http = http3(server.address("public"), &certificate, post(&asked)).await;
        assert_eq!(http.status, 200);
        // One handshake's time-out is five seconds, and hickory's loop would wait for twenty of five.
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    });
}

/// Denies everything at once.
struct Nothing;

#[async_trait]
impl RequestHandler for Nothing {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut respond: R) -> ResponseInfo {
        let response =
            MessageResponseBuilder::from_message_request(request).error_msg(&request.metadata, ResponseCode::NXDomain);
        respond.send_response(response).await.unwrap()
    }
}

/// Ask hickory-server over a new connection while so many clients are silent; how long the answer took.
async fn ask_hickory(silent: usize) -> Duration {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let key = PrivatePkcs8KeyDer::from(key).into();
    let pair = CertifiedKey::from_der(vec![certificate.clone()], key, &ring::default_provider()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut server = Server::new(Nothing);
    // The time-out that is asked for here is not the one that rules.
    let asked_max = Duration::from_millis(100);
    server.register_quic_listener(socket, asked_max, Arc::new(SingleCertAndKey::from(pair))).unwrap();
    let mut clients = Vec::new();
    for _ in 0..silent {
        let client = Silent::begin(address, b"doq", &certificate).await;
        if clients.is_empty() {
            client.awaited().await;
        }
        clients.push(client);
    }
    let begun = Instant::now();
    let (_endpoint, connection) = quic(address, tls(&[&certificate], &[b"doq"])).await;
    let answer = doq(&connection, &query("2.0.0.127.bl.test", A).wire()).await;
    assert_eq!(answer[3] & 15, 3, "NXDOMAIN");
    begun.elapsed()
}

/// Should this fail with a newer hickory-server, `serve::quic` could stand on it.
#[test]
fn hickorys_loop_awaits_each_handshake() {
    runtime().block_on(async {
        let [alone, one, two] = [ask_hickory(0).await, ask_hickory(1).await, ask_hickory(2).await];
        println!("hickory-server over QUIC answers after {alone:?}; with one silent client {one:?}, with two {two:?}");
        // The time-out runs since a moment before we began to ask.
        let short = Duration::from_secs(1);
        assert!(alone < HICKORY_HANDSHAKE - short, "{alone:?}");
        assert!(one > HICKORY_HANDSHAKE - short, "{one:?}");
        assert!(two > 2 * HICKORY_HANDSHAKE - short, "{two:?}");
    });
}
