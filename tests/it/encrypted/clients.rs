//! Clients of every transport, which say what they send and show what comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Buf as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::crypto::rustls::QuicClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::server::PATIENCE;

/// A runtime for the clients of a test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Wait for what should come soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing came in time")
}

/// TLS that believes these certificates and offers these protocols.
pub fn tls(trusted: &[&CertificateDer<'static>], alpn: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|certificate| roots.add((*certificate).clone()).unwrap());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

/// A TLS connection.
pub async fn connect(address: SocketAddr, config: ClientConfig) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
}

/// One message over a stream, its answer back; `None` when the stream ends.
pub async fn exchange<S>(stream: &mut S, message: &[u8]) -> Option<Vec<u8>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(&framed(message)).await.ok()?;
    stream.flush().await.ok()?;
    let mut len = [0; 2];
    soon(stream.read_exact(&mut len)).await.ok()?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    soon(stream.read_exact(&mut answer)).await.ok()?;
    Some(answer)
}

/// A QUIC connection; the endpoint must be kept as long as it.
pub async fn quic(address: SocketAddr, config: ClientConfig) -> (quinn::Endpoint, quinn::Connection) {
    quic_with(address, config, |_| {}).await
}

/// The same of a client with its own ways.
pub async fn quic_with(
    address: SocketAddr,
    config: ClientConfig,
    ways: impl FnOnce(&mut quinn::TransportConfig),
) -> (quinn::Endpoint, quinn::Connection) {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = QuicClientConfig::try_from(config).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    // The server alone says how long silence may last.
    transport.max_idle_timeout(None);
    ways(&mut transport);
    config.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(config);
    let connection = soon(endpoint.connect(address, "localhost").unwrap()).await.unwrap();
    (endpoint, connection)
}

/// A message with its length before it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// What one stream of DoQ brings: these octets, FIN, and all that comes back.
pub async fn stream(connection: &quinn::Connection, octets: &[u8]) -> Result<Vec<u8>, String> {
    let (mut send, mut recv) = connection.open_bi().await.map_err(|error| error.to_string())?;
    send.write_all(octets).await.map_err(|error| error.to_string())?;
    send.finish().map_err(|error| error.to_string())?;
    soon(recv.read_to_end(70_000)).await.map_err(|error| error.to_string())
}

/// One message over DoQ, its ID set to 0, and its answer.
pub async fn doq(connection: &quinn::Connection, message: &[u8]) -> Vec<u8> {
    let mut octets = framed(message);
    octets[2..4].fill(0);
    let answer = stream(connection, &octets).await.unwrap();
    assert_eq!(usize::from(u16::from_be_bytes([answer[0], answer[1]])), answer.len() - 2, "one answer and its length");
    answer[2..].to_vec()
}

/// What HTTP answered.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its head.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answered {
    /// Read the whole answer.
    async fn of(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = soon(to_bytes(body, 1 << 20)).await.unwrap().to_vec();
        Self { status: head.status, headers: head.headers, body }
    }

    /// A header as text, empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A GET with a message.
pub fn get(message: &[u8]) -> Request<Body> {
    let encoded = data_encoding::BASE64URL_NOPAD.encode(message);
    request("GET", &format!("/dns-query?dns={encoded}"), None, &[])
}

/// A POST with a message.
pub fn post(message: &[u8]) -> Request<Body> {
    request("POST", "/dns-query", Some("application/dns-message"), message)
}

/// Any request.
pub fn request(method: &str, path: &str, content_type: Option<&str>, body: &[u8]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(Body::from(body.to_vec())).unwrap()
}

/// One request over HTTP/1.1, on a connection of its own.
pub async fn http1(address: SocketAddr, trusted: &CertificateDer<'static>, mut request: Request<Body>) -> Answered {
    let stream = connect(address, tls(&[trusted], &[b"http/1.1"])).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut sender, connection) = soon(hyper::client::conn::http1::handshake(TokioIo::new(stream))).await.unwrap();
    let driver = tokio::spawn(connection);
    let path = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
    *request.uri_mut() = path;
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    let answered = Answered::of(soon(sender.send_request(request)).await.unwrap().map(Body::new)).await;
    driver.abort();
    answered
}

/// A connection that speaks HTTP/2.
pub async fn http2(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> hyper::client::conn::http2::SendRequest<Body> {
    let stream = connect(address, tls(&[trusted], &[b"h2"])).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (sender, connection) = soon(hyper::client::conn::http2::handshake(TokioExecutor::new(), io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One request over HTTP/2.
pub async fn ask2(sender: &mut hyper::client::conn::http2::SendRequest<Body>, request: Request<Body>) -> Answered {
    Answered::of(soon(sender.send_request(request)).await.unwrap().map(Body::new)).await
}

/// One request over HTTP/3, on a connection of its own.
pub async fn http3(address: SocketAddr, trusted: &CertificateDer<'static>, request: Request<Body>) -> Answered {
    let (_endpoint, quic) = quic(address, tls(&[trusted], &[b"h3"])).await;
    let (mut driver, mut sender) = soon(h3::client::new(h3_quinn::Connection::new(quic))).await.unwrap();
    let driver = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    let (head, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let mut stream = soon(sender.send_request(Request::from_parts(head, ()))).await.unwrap();
    if !body.is_empty() {
        // An answer may come, and the stream be stopped, before all of a body that is too long is sent.
        let _ = soon(stream.send_data(body)).await;
    }
    let _ = soon(stream.finish()).await;
    let response = soon(stream.recv_response()).await.unwrap();
    let mut body = Vec::new();
    while let Some(mut part) = soon(stream.recv_data()).await.unwrap() {
        while part.has_remaining() {
            body.extend_from_slice(part.chunk());
            let len = part.chunk().len();
            part.advance(len);
        }
    }
    driver.abort();
    Answered { status: response.status(), headers: response.headers().clone(), body }
}

/// Wait a moment; only where a client's pace is what is tested.
pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
