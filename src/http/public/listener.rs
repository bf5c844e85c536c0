//! The public listener: HTTP/1.1, HTTP/2 and HTTP/3, with or without TLS below the first two, and an end to everything that a stranger could make us wait for.
//!
//! One rule ends slow clients of every kind: a connection on which no request has been under way for the idle time is
//! closed. A request begins when its head is complete and ends when its answer is ready, within a time of its own; so a
//! head sent octet by octet, an answer that nobody takes, and mere silence are the same.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::client::{self, ForwardedHeader};
use super::{h3, page};
use crate::http::ListenError;
use crate::serve::limits::{ConnectionCaps, ConnectionLimits};
use crate::serve::quic::QuicServer;
use crate::serve::stream::{Closed, OpenConnection, StreamCounters};
use crate::serve::tls::{CertificateError, Certificates};

/// Octets of a request's head over HTTP/1, and of a header list over HTTP/2. A DoH query of the longest name takes some
/// 400 as base64url; cookies and headers of proxies a few hundred.
pub(super) const HEAD_OCTETS_MAX: usize = 16 * 1024;
/// Header fields over HTTP/1; browsers and proxies together send some thirty.
const HEADERS_MAX: usize = 64;
/// Requests at once on an HTTP/2 or HTTP/3 connection. RFC 9113 section 6.5.2 recommends no fewer than 100.
pub(super) const STREAMS_MAX: u32 = 100;
/// Octets that a client may send ahead on a stream: the longest DNS message, and on a connection: four of those.
const STREAM_WINDOW_OCTETS: u32 = 65_535;
/// See [`STREAM_WINDOW_OCTETS`].
const CONNECTION_WINDOW_OCTETS: u32 = 4 * STREAM_WINDOW_OCTETS;
/// Octets of answers that are kept for a stream whose client does not read.
const SEND_BUFFER_OCTETS: usize = 64 * 1024;
/// Streams that a client may reset before we have looked at them; more is the "rapid reset" flood (CVE-2023-44487).
const RESETS_MAX: usize = 20;
/// Streams that we may have to reset for a client's errors (CVE-2025-8671).
const ERRORS_MAX: usize = 64;
/// How long answers on their way may take when a connection or the server is to end.
const GRACE: Duration = Duration::from_secs(2);
/// Attempts to have UDP on the port that the system chose for TCP (port 0, tests).
const PORT_ATTEMPTS: usize = 16;
/// Pause after a failed accept: descriptors or memory ran out, and at once would be a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where to listen, whom to believe, and the limits.
#[derive(Clone, Debug)]
pub struct PublicOptions {
    /// The address; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Proxies whose word about their clients is taken. Of the caps on connections only that on all binds them.
    pub trusted_proxies: Vec<IpNet>,
    /// The header by which they give it.
    pub forwarded_header: ForwardedHeader,
    /// Longest time without a request under way, ms.
    pub idle_ms_max: u64,
    /// Longest time for a request from its head to its answer, ms; the body is read within it.
    pub request_ms_max: u64,
    /// Longest life of a connection, ms.
    pub lifetime_ms_max: u64,
    /// Most requests on a connection.
    pub requests_per_connection_max: u64,
    /// Most connections, in all and by prefix.
    pub caps: ConnectionCaps,
    /// TLS and what comes with it; `None` for plain HTTP, as behind a proxy that speaks TLS.
    pub security: Option<Security>,
}

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub struct Security {
    /// The certificate.
    pub certificates: Arc<Certificates>,
    /// Whether TLS 1.2 will do; HTTP/3 has 1.3 in any case.
    pub tls12: bool,
    /// Longest time for a handshake, ms.
    pub handshake_ms_max: u64,
    /// Whether HTTP/3 is served, on the same address over UDP.
    pub http3: bool,
}

/// The listener, bound and not yet serving.
#[derive(Debug)]
pub struct PublicServer {
    /// How to serve.
    options: PublicOptions,
    /// The listening socket, not blocking.
    listener: std::net::TcpListener,
    /// Where it is bound.
    address: SocketAddr,
    /// The socket for HTTP/3.
    quic: Option<QuicServer>,
    /// Counters of connections.
    counters: Arc<StreamCounters>,
}

/// What all connections share.
pub(super) struct Shared {
    /// How to serve.
    pub options: PublicOptions,
    /// What answers requests.
    router: TowerToHyperService<Router>,
    /// Where HTTP/3 is, for those who came otherwise (RFC 7838).
    elsewhere: Option<HeaderValue>,
    /// HTTP with its limits.
    http: auto::Builder<TokioExecutor>,
}

impl PublicServer {
    /// Open the listener; needs no runtime.
    ///
    /// # Errors
    ///
    /// When the address is taken, not of this machine, or not allowed.
    pub fn bind(options: PublicOptions) -> Result<Self, ListenError> {
        let open = || {
            let listener = std::net::TcpListener::bind(options.listen)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let failed = |error| ListenError { section: "public", address: options.listen, error };
        let counters = Arc::<StreamCounters>::default();
        let http3 = options.security.as_ref().is_some_and(|security| security.http3);
        let mut attempts = if options.listen.port() == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            let (listener, address) = open().map_err(failed)?;
            if !http3 {
                return Ok(Self { options, listener, address, quic: None, counters });
            }
            attempts -= 1;
            match QuicServer::bind(address) {
                Ok(quic) => {
                    let quic = Some(quic.count_in(Arc::clone(&counters)));
                    return Ok(Self { options, listener, address, quic, counters });
                }
                // The port that was free for TCP may be taken for UDP; the system is asked for another one.
                Err(_) if attempts > 0 => {}
                Err(error) => return Err(failed(io::Error::other(error))),
            }
        }
    }

    /// Where it listens, with the port that the system chose for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The counters of connections, for metrics.
    pub fn counters(&self) -> Arc<StreamCounters> {
        Arc::clone(&self.counters)
    }

    /// Answer requests by `router` until `shutdown` is done, then let answers on their way end for two seconds.
    ///
    /// # Errors
    ///
    /// When the runtime can not take the listener, or TLS can not be set up; nothing was served then.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let limits = ConnectionLimits::new(self.options.caps);
        let http = http(&self.options);
        let tls = self.options.security.as_ref().map(tls).transpose().map_err(io::Error::other)?;
        let elsewhere = self.quic.as_ref().map(|quic| format!("h3=\":{}\"; ma=86400", quic.local_address().port()));
        let shared = Arc::new(Shared {
            options: self.options,
            router: TowerToHyperService::new(router),
            // Always a header's value.
            elsewhere: elsewhere.and_then(|text| HeaderValue::try_from(text).ok()),
            http,
        });
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        if let (Some(quic), Some(security)) = (self.quic, &shared.options.security) {
            let tls = security.certificates.server_config(false, &[h3::ALPN]).map_err(io::Error::other)?;
            let (handshake_ms_max, limits) = (security.handshake_ms_max, Arc::clone(&limits));
            let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
            connections.spawn(async move {
                if let Err(error) = h3::serve(quic, tls, handshake_ms_max, limits, shared, stopping).await {
                    tracing::error!("HTTP/3 can not be served: {error}");
                }
            });
        }
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                // Ended ones are only taken off the set.
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let from_proxy = client::is_trusted(peer.ip(), &shared.options.trusted_proxies);
                        let admitted = if from_proxy { limits.admit_any() } else { limits.admit(peer.ip()) };
                        let Some(open) = OpenConnection::count(admitted, &self.counters) else { continue };
                        let (shared, stopping, tls) = (Arc::clone(&shared), stopping.clone(), tls.clone());
                        connections.spawn(async move {
                            // Answers are written whole, so waiting for more to send along (Nagle) would only delay them.
                            let _ = stream.set_nodelay(true);
                            open.until(first_tls(stream, tls, peer.ip(), &shared, stopping)).await;
                        });
                    }
                    // The client was gone before it was accepted.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        tracing::warn!("can not accept public HTTP connections: {error}; are there enough file descriptors?");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        drop(stop);
        // What is not over by then is cut off when the set is dropped.
        let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

/// TLS for HTTP over TCP.
fn tls(security: &Security) -> Result<TlsAcceptor, CertificateError> {
    let config = security.certificates.server_config(security.tls12, &[b"h2", b"http/1.1"])?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serve one connection, after a handshake where TLS is spoken.
async fn first_tls(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    peer: IpAddr,
    shared: &Arc<Shared>,
    mut stopping: watch::Receiver<bool>,
) -> Closed {
    let (Some(tls), Some(security)) = (tls, &shared.options.security) else {
        return connection(stream, peer, shared, stopping).await;
    };
    // On the heap and gone with the handshake, which needs more room than what comes after it.
    let handshake = Box::pin(timeout(Duration::from_millis(security.handshake_ms_max), tls.accept(stream)));
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        _ = stopping.changed() => return Closed::Orderly,
    };
    match accepted {
        Ok(Ok(stream)) => Box::pin(connection(stream, peer, shared, stopping)).await,
        Ok(Err(_)) => Closed::Error,
        Err(_) => Closed::Idle,
    }
}

/// HTTP of both versions over TCP with the limits above.
fn http(options: &PublicOptions) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(options.idle_ms_max))
        .max_buf_size(HEAD_OCTETS_MAX)
        .max_headers(HEADERS_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_OCTETS)
        .initial_connection_window_size(CONNECTION_WINDOW_OCTETS)
        .max_send_buf_size(SEND_BUFFER_OCTETS)
        .max_header_list_size(HEAD_OCTETS_MAX as u32)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX);
    http
}

/// Serve one connection until the client, a limit or the shutdown ends it.
async fn connection<S>(stream: S, peer: IpAddr, shared: &Arc<Shared>, mut stopping: watch::Receiver<bool>) -> Closed
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let options = &shared.options;
    let activity = Arc::new(Activity::new(options.requests_per_connection_max));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        respond(request.map(Body::new), peer, Arc::clone(shared), activity.begin())
    });
    let mut served = pin!(shared.http.serve_connection(TokioIo::new(stream), service));
    let end_of_life = Instant::now() + Duration::from_millis(options.lifetime_ms_max);
    let idle_max = Duration::from_millis(options.idle_ms_max);
    let closed = loop {
        let deadline = activity.idle_since().unwrap_or_else(Instant::now) + idle_max;
        tokio::select! {
            done = served.as_mut() => return if done.is_ok() { Closed::Orderly } else { Closed::Error },
            _ = stopping.changed() => break Closed::Orderly,
            () = activity.spent.notified() => break Closed::Orderly,
            () = sleep_until(deadline.min(end_of_life)) => {
                let now = Instant::now();
                if now >= end_of_life {
                    break Closed::Orderly;
                }
                if activity.idle_since().is_some_and(|since| now >= since + idle_max) {
                    break Closed::Idle;
                }
            }
        }
    };
    served.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, served).await;
    closed
}

/// Answer one request, whoever brought it.
pub(super) async fn respond(
    mut request: Request<Body>,
    peer: IpAddr,
    shared: Arc<Shared>,
    under_way: UnderWay,
) -> Result<Response<Body>, Infallible> {
    let options = &shared.options;
    let client = client::client(peer, request.headers(), &options.trusted_proxies, options.forwarded_header);
    request.extensions_mut().insert(client);
    let version = request.version();
    let answered = timeout(Duration::from_millis(options.request_ms_max), shared.router.call(request)).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Err(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
            page::protect(response.headers_mut());
            response
        }
    };
    // Requests that have come already would be served before the connection's task has its turn.
    if version <= Version::HTTP_11 && under_way.0.is_spent() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let (Some(elsewhere), true) = (&shared.elsewhere, version < Version::HTTP_3) {
        response.headers_mut().insert(header::ALT_SVC, elsewhere.clone());
    }
    Ok(response)
}

/// What a connection is doing.
pub(super) struct Activity {
    /// Requests.
    state: Mutex<Requests>,
    /// Told once no further request is allowed.
    spent: Notify,
}

/// The requests of a connection.
struct Requests {
    /// Under way.
    under_way: u32,
    /// Still allowed.
    left: u64,
    /// Since when none is under way.
    idle_since: Instant,
}

/// A request under way, until dropped.
pub(super) struct UnderWay(Arc<Activity>);

impl Activity {
    /// Nothing under way yet.
    pub(super) fn new(requests_max: u64) -> Self {
        let state = Requests { under_way: 0, left: requests_max, idle_since: Instant::now() };
        Self { state: Mutex::new(state), spent: Notify::new() }
    }

    /// The lock. A panic elsewhere can not leave it half changed.
    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.lock();
        state.under_way += 1;
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            self.spent.notify_one();
        }
        UnderWay(Arc::clone(self))
    }

    /// Whether no further request is allowed.
    pub(super) fn is_spent(&self) -> bool {
        self.lock().left == 0
    }

    /// Since when nothing is under way; `None` while something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.under_way == 0).then_some(state.idle_since)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.under_way -= 1;
        state.idle_since = Instant::now();
    }
}
