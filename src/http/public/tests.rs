//! The listener with real connections: who is said to ask, and that no client can hold it up.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::*;
use crate::serve::limits::ConnectionCaps;

/// So long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options with limits that do not matter here.
fn options() -> PublicOptions {
    PublicOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        trusted_proxies: Vec::new(),
        forwarded_header: ForwardedHeader::default(),
        idle_ms_max: 60_000,
        request_ms_max: 60_000,
        lifetime_ms_max: 60_000,
        requests_per_connection_max: 1_000,
        caps: ConnectionCaps { total: 64, host: 64, net: 64 },
        security: None,
    }
}

/// A server that runs.
struct Running {
    /// The runtime it runs on; ends with the test.
    runtime: Runtime,
    /// Where it is.
    address: std::net::SocketAddr,
    /// Stops it when dropped.
    stop: oneshot::Sender<()>,
    /// Its task.
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Serve a page that says who asks, one that takes its time, and one that reads a body.
fn start(options: PublicOptions) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let page = Router::new()
        .route("/who", get(async |Extension(client): Extension<ClientAddress>| client.address.to_string()))
        .route("/slow", get(std::future::pending::<()>))
        .route("/body", post(async |body: axum::body::Bytes| body.len().to_string()));
    let doh = Router::new().route("/dns-query", get(async || "dns"));
    let server = PublicServer::bind(options).unwrap();
    let address = server.local_address();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = runtime.spawn(server.serve(router(Some(page), Some(doh)), async {
        let _ = stopped.await;
    }));
    Running { runtime, address, stop, task }
}

impl Running {
    /// A connection.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Send this, and give all that comes until the end.
    fn send(&self, text: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the connection to end");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[test]
fn parts_are_joined_and_clients_known() {
    let running = start(PublicOptions { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..options() });
    let close = "Host: x\r\nConnection: close\r\n\r\n";
    for (request, expected) in [
        (format!("GET /who HTTP/1.1\r\n{close}"), "\r\n\r\n127.0.0.1"),
        (format!("GET /who HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7\r\n{close}"), "\r\n\r\n192.0.2.7"),
        (format!("GET /dns-query HTTP/1.1\r\n{close}"), "\r\n\r\ndns"),
        (format!("GET /nothing HTTP/1.1\r\n{close}"), "HTTP/1.1 404 "),
        (format!("POST /body HTTP/1.1\r\nContent-Length: 3\r\n{close}abc"), "\r\n\r\n3"),
    ] {
        let answer = running.send(&request);
        assert!(answer.contains(expected), "{request}\n{answer}");
    }
}

#[test]
fn slow_clients_of_every_kind_are_closed() {
    let running = start(PublicOptions { idle_ms_max: 200, request_ms_max: 200, ..options() });
    for (what, text) in [
        ("silence", ""),
        ("half a head", "GET /who HTTP/1.1\r\nHost:"),
        ("half a body", "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"),
        ("half a preface of HTTP/2", "PRI * HTTP/2.0\r\n"),
        ("HTTP/2 and then nothing", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ("an answer that takes too long", "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a kept connection", "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        // Until its end, which comes by itself.
        let answer = running.send(text);
        assert!(!answer.contains("200 OK") || what == "a kept connection", "{what}: {answer}");
    }
}

#[test]
fn an_octet_now_and_then_is_no_progress() {
    let running = start(PublicOptions { idle_ms_max: 300, ..options() });
    let mut stream = running.connect();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let begun = std::time::Instant::now();
    let mut octet = [0; 64];
    for sent in "GET /who HTTP/1.1\r\nHost: ".bytes().chain(std::iter::repeat(b'x')) {
        let gone = stream.write_all(&[sent]).is_err() || matches!(stream.read(&mut octet), Ok(0));
        if gone {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "still open");
    }
}

#[test]
fn caps_and_requests_are_limited() {
    let caps = ConnectionCaps { total: 8, host: 2, net: 8 };
    let running = start(PublicOptions { caps, requests_per_connection_max: 2, ..options() });
    let open = [running.connect(), running.connect()];
    let mut answer = String::new();
    // The third is accepted and closed at once; until then the two before it may not be counted yet, but they come first.
    let closed = running.connect().read_to_string(&mut answer);
    assert!(closed.is_err() || answer.is_empty(), "{answer}");
    drop(open);
    let twice = "GET /who HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3);
    let deadline = std::time::Instant::now() + PATIENCE;
    // The permits come back when the server has seen that the clients are gone.
    let answers = loop {
        let mut stream = running.connect();
        let _ = stream.write_all(twice.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answers = String::from_utf8_lossy(&answer).matches("200 OK").count();
        if answers > 0 {
            break answers;
        }
        assert!(std::time::Instant::now() < deadline, "no place came back");
    };
    assert_eq!(answers, 2, "requests on one connection");
}

#[test]
fn it_ends_with_connections_open() {
    let running = start(options());
    let _open = running.connect();
    running.send("GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    drop(running.stop);
    running.runtime.block_on(async { tokio::time::timeout(PATIENCE, running.task).await }).unwrap().unwrap().unwrap();
}
