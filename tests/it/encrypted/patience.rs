//! Idle, silent and slow clients: UDP does not notice them, others are not delayed, their memory is bounded.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::clients::{connect, doq, framed, http2, pause, quic, runtime, tls};
use super::server;
use crate::alone;
use crate::message::{A, query};
use crate::metrics::Scrape;
use crate::server::{PATIENCE, Server};

/// The middle and nearly the longest of some hundred waits for an answer over UDP.
pub(super) fn udp_latency(server: &Server) -> (Duration, Duration) {
    let (udp, asked) = (server.udp(), query("2.0.0.127.bl.test", A));
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let begun = Instant::now();
            udp.ask(&asked);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[250], times[495])
}

/// Waits with and without something going on must not differ by more than the machine's own unrest.
pub(super) fn unmoved(what: &str, before: (Duration, Duration), after: (Duration, Duration)) {
    println!("UDP latency, p50 and p99: {before:?} before, {after:?} with {what}");
    assert!(after.0 < before.0 * 3 + Duration::from_millis(3), "{what}: {before:?} before, {after:?} with it");
}

/// Octets of memory that a process has of its own.
fn resident_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Rss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Connections that are open: over plain TCP, or those with this label.
fn open(server: &Server, transport: &str) -> f64 {
    let scrape = Scrape::of(server);
    match transport {
        "tcp" => scrape.sum("dnsbld_tcp_connections", &[]),
        _ => scrape.sum("dnsbld_encrypted_connections", &[("transport", transport)]),
    }
}

/// Descriptors that this process may open, raised as far as it goes.
fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[test]
fn ten_thousand_idle_connections() {
    let _alone = alone();
    // A quarter over each of TCP, DoT, DoQ and HTTP/2; those over QUIC need no descriptors.
    let each = 2_500.min(descriptors().saturating_sub(500) / 4) as usize;
    let limits = "idle-ms-max = 600000\nidle-busy-ms-max = 600000\nconnections-max = 4000\n\
                  connections-per-host-max = 4000\nconnections-per-net-max = 4000";
    let (server, certificate) = server(limits, &limits.replace("idle-busy-ms-max = 600000\n", ""));
    let before = udp_latency(&server);
    let runtime = runtime();
    let (mut plain, mut dot, mut doh, mut quics) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let asked = query("2.0.0.127.bl.test", A).wire();
    let mut memory = Vec::new();
    let mut measure = |transport: &'static str, fill: &mut dyn FnMut()| {
        let empty = resident_bytes(server.pid());
        fill();
        server.wait(&format!("all over {transport} to be open"), |server| open(server, transport) == each as f64);
        let octets = resident_bytes(server.pid()).saturating_sub(empty) / each as u64;
        println!("{each} idle connections over {transport}: {octets} octets each");
        memory.push((transport, octets));
    };
    // Each has asked something, so that its buffers have been in use.
    measure("tcp", &mut || {
        for _ in 0..each {
            let mut tcp = server.tcp();
            tcp.send(&asked);
            tcp.receive().unwrap();
            plain.push(tcp);
        }
    });
    let config = tls(&[&certificate], &[b"dot"]);
    measure("tls", &mut || {
        runtime.block_on(async {
            for _ in 0..each {
                let mut stream = connect(server.address("tls"), config.clone()).await;
                super::clients::exchange(&mut stream, &asked).await.unwrap();
                dot.push(stream);
            }
        });
    });
    measure("https", &mut || {
        runtime.block_on(async {
            for _ in 0..each {
                doh.push(http2(server.address("public"), &certificate).await);
            }
        });
    });
    measure("quic", &mut || {
        runtime.block_on(async {
            let (endpoint, first) = quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await;
            doq(&first, &asked).await;
            quics.push(first);
            for _ in 1..each {
                let connection = endpoint.connect(server.address("quic"), "localhost").unwrap().await.unwrap();
                doq(&connection, &asked).await;
                quics.push(connection);
            }
            std::mem::forget(endpoint);
        });
    });
    unmoved("idle connections", before, udp_latency(&server));
    for (transport, octets) in memory {
        let octets_max = match transport {
            "tcp" => 16 * 1024,
            "tls" => 48 * 1024,
            // Of HTTP/2 and QUIC nothing is asked; this keeps them from growing unseen.
            _ => 128 * 1024,
        };
        assert!(octets < octets_max, "an idle connection over {transport} takes {octets} octets");
    }
}

/// One octet now and then, until the server has enough; whether it ended the connection.
async fn drip(address: SocketAddr, octets: Vec<u8>) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    drip_into(&mut stream, &octets).await
}

/// The same on a stream that is there.
async fn drip_into<S>(stream: &mut S, octets: &[u8]) -> bool
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (begun, mut heard) = (Instant::now(), [0; 512]);
    for &octet in octets.iter().chain(std::iter::repeat(&octets[octets.len() - 1])) {
        if stream.write_all(&[octet]).await.is_err() || stream.flush().await.is_err() {
            return true;
        }
        match tokio::time::timeout(Duration::from_millis(100), stream.read(&mut heard)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => pause(100).await,
            Err(_) => {}
        }
        if begun.elapsed() > PATIENCE {
            return false;
        }
    }
    false
}

/// A POST over HTTP/1.1, up to its body.
const BODY_HTTP1: &[u8] =
    b"POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: 4000\r\n\r\n";
/// The same over HTTP/2 (RFC 9113, RFC 7541): preface, SETTINGS, HEADERS of POST, https, path and type, and the head of 4000 octets of DATA.
const BODY_HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
                            \0\0\x27\x01\x04\0\0\0\x01\x83\x87\x44\x0a/dns-query\x5f\x17application/dns-message\
                            \0\x0f\xa0\0\0\0\0\0\x01";

#[test]
fn slow_clients_are_closed_and_udp_does_not_notice() {
    let _alone = alone();
    let many = "connections-max = 2000\nconnections-per-host-max = 2000\nconnections-per-net-max = 2000\n\
                idle-ms-max = 1000\n";
    let (server, certificate) =
        server(&format!("{many}idle-busy-ms-max = 1000"), &format!("{many}request-ms-max = 1000"));
    let before = udp_latency(&server);
    let (dot, public) = (server.address("tls"), server.address("public"));
    let asked = query("2.0.0.127.bl.test", A).wire();
    let framed = framed(&asked);
    // A TLS record that promises 512 octets of a handshake.
    let hello = [vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], vec![7; 600]].concat();
    let runtime = runtime();
    // Few handshakes at once, so that on a busy machine none takes longer than it may.
    let places = Arc::new(Semaphore::new(8));
    let slow: Vec<_> = (0..50)
        .flat_map(|_| {
            let certificate: CertificateDer<'static> = certificate.clone();
            let (framed, hello) = (framed.clone(), hello.clone());
            let after = |address, alpn: &'static [u8], at_once: &'static [u8], octets: Vec<u8>| {
                let (config, places) = (tls(&[&certificate], &[alpn]), Arc::clone(&places));
                runtime.spawn(async move {
                    let place = places.acquire().await;
                    let mut stream = connect(address, config).await;
                    drop(place);
                    // The server may have had enough before a busy machine came to this.
                    stream.write_all(at_once).await.is_err() || drip_into(&mut stream, &octets).await
                })
            };
            let within = |address, alpn, octets| after(address, alpn, b"", octets);
            let head = b"GET /dns-query HTTP/1.1\r\nHost: xxx".to_vec();
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff\x01\x04\0\0\0\x01\x82".to_vec();
            vec![
                ("plain TCP", runtime.spawn(drip(server.dns, framed.clone()))),
                ("the handshake of DoT", runtime.spawn(drip(dot, hello.clone()))),
                ("the handshake of HTTPS", runtime.spawn(drip(public, hello))),
                ("a query over DoT", within(dot, b"dot", framed)),
                ("a head of HTTP/1.1", within(public, b"http/1.1", head)),
                ("a frame of HTTP/2", within(public, b"h2", preface)),
                ("a body of HTTP/1.1", after(public, b"http/1.1", BODY_HTTP1, b"x".to_vec())),
                ("a body of HTTP/2", after(public, b"h2", BODY_HTTP2, b"x".to_vec())),
            ]
        })
        .collect();
    // Over QUIC: half a query on a stream, and packets that keep the connection alive.
    let quics = runtime.spawn({
        let (address, config) = (server.address("quic"), tls(&[&certificate], &[b"doq"]));
        let framed = framed.clone();
        async move {
            let (_endpoint, connection) = quic(address, config).await;
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            for &octet in framed[..framed.len() - 1].iter().cycle() {
                if send.write_all(&[octet]).await.is_err() {
                    break;
                }
                pause(100).await;
            }
            recv.read_to_end(100).await.is_err()
        }
    });
    unmoved("slow clients", before, udp_latency(&server));
    runtime.block_on(async {
        for (what, client) in slow {
            assert!(client.await.unwrap(), "{what}: still open");
        }
        assert!(tokio::time::timeout(PATIENCE, quics).await.expect("QUIC: still open").unwrap());
    });
    for transport in ["tcp", "tls", "https", "quic"] {
        server.wait(&format!("no connection over {transport}"), |server| open(server, transport) == 0.0);
    }
}

/// Forward first packets of QUIC, each of another connection, which then goes silent; at least this many, and until the server
/// asks for proof of the address. What must be kept for it to stay so.
async fn silent_until_retry(
    server: SocketAddr,
    certificate: &CertificateDer<'static>,
    alpn: &[u8],
    count: usize,
) -> impl Sized {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls(&[certificate], &[alpn])).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let relay = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let outside = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut seen, mut connecting, mut packet) = (HashSet::new(), Vec::new(), vec![0; 2048]);
    let (mut is_asked, end) = (false, Instant::now() + PATIENCE);
    while seen.len() < count || !is_asked {
        assert!(Instant::now() < end, "no Retry after {} silent connections", seen.len());
        connecting.push(endpoint.connect(relay.local_addr().unwrap(), "localhost").unwrap());
        let (len, _) = super::clients::soon(relay.recv_from(&mut packet)).await.unwrap();
        // Behind first octet and version stands the connection's ID with its length; what was seen is sent again.
        let id_end = 6 + usize::from(packet[5]);
        if seen.insert(packet[6..id_end].to_vec()) {
            outside.send_to(&packet[..len], server).await.unwrap();
        }
        // A long header of type 3 is a Retry (RFC 9000 section 17.2.5).
        while let Ok((_, from)) = outside.try_recv_from(&mut packet) {
            is_asked |= from == server && packet[0] >> 4 == 0b1111;
        }
    }
    (endpoint, relay, outside, connecting)
}

#[test]
fn silent_handshakes_take_no_place_from_proved_clients() {
    let (server, certificate) = server("", "");
    let asked = query("2.0.0.127.bl.test", A).wire();
    runtime().block_on(async {
        let _silent = silent_until_retry(server.address("quic"), &certificate, b"doq", 300).await;
        let (_endpoint, connection) = quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await;
        doq(&connection, &asked).await;
        let _silent = silent_until_retry(server.address("public"), &certificate, b"h3", 300).await;
        let http = super::clients::http3(server.address("public"), &certificate, super::clients::post(&asked)).await;
        assert_eq!(http.status, 200);
    });
}
