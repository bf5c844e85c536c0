//! TCP on the addresses that UDP has: listening, admitting and stopping (RFC 7766, RFC 9210).
//!
//! The same code serves TLS ([`StreamServer::bind_tls`], RFC 7858). What happens on one connection stands in
//! `connection`; it serves any stream of octets.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, rustls};

use super::answer::{Answer, Policy, Transport};
pub use super::connection::{Closed, serve_stream};
use super::limits::{ConnectionCaps, ConnectionLimits, OverCap, Permit};
use super::listen::{ListenError, stream_listener};
use super::query_log::{QueryLog, Sink};
use super::seldom::Seldom;
use crate::stats::{Block, Registry};
use crate::zone::Reader;

/// Pause after a failed accept: no descriptors or memory left, which only time can mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long `shutdown` waits for answers under way before it cuts connections off.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Shortest sleep of a silent connection before it looks whether connections have become scarce: ten thousand wake up so many times a
/// second, which costs less than a hundredth of a core.
const LOOK_AGAIN_MIN: Duration = Duration::from_secs(1);

/// Limits on connections; they keep slow, idle and greedy clients from crowding out the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Longest wait for the next query, ms, and longest time from a query's first octet to its last. Ten seconds
    /// are in the range that RFC 9210 section 4.3 suggests; a resolver that wants longer opens a new connection.
    pub idle_ms_max: u64,
    /// The same when more than three quarters of `connections_max` are taken.
    pub idle_busy_ms_max: u64,
    /// Longest time for a client to take its answers, ms.
    pub write_ms_max: u64,
    /// Longest life of a connection, ms; a client that needs more opens a new one, and an overload or an old
    /// snapshot's policy can not last for ever.
    pub lifetime_ms_max: u64,
    /// Most queries on a connection, for the same reason.
    pub queries_per_connection_max: u64,
    /// Connections in all. Each takes a descriptor and, when busy, up to some 200 KiB; most take 2 KiB.
    pub connections_max: usize,
    /// Connections of one IPv4 address or IPv6 /64: a resolver needs one or two, a shared address some more.
    pub connections_per_host_max: usize,
    /// Connections of one IPv4 /24 or IPv6 /48: no network may take more than an eighth of all.
    pub connections_per_net_max: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            idle_ms_max: 10_000,
            idle_busy_ms_max: 2_000,
            write_ms_max: 5_000,
            lifetime_ms_max: 600_000,
            queries_per_connection_max: 100_000,
            connections_max: 1024,
            connections_per_host_max: 32,
            connections_per_net_max: 128,
        }
    }
}

impl StreamOptions {
    /// How long a silent connection may sleep before it must look again whether the shorter time has come to hold for it.
    pub(super) fn look_again(&self) -> Duration {
        Duration::from_millis(self.idle_busy_ms_max).max(LOOK_AGAIN_MIN)
    }
}

/// What became of connections.
///
/// `accepted_total` is the sum of `open` and all that begin with `closed`.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Open now.
    pub open: AtomicU64,
    /// Accepted from the system, those closed at once included.
    pub accepted_total: AtomicU64,
    /// Closed at once because of a cap on connections.
    pub closed_by_limit_total: AtomicU64,
    /// Closed because the client was silent, or too slow with a query or in taking its answers.
    pub closed_idle_total: AtomicU64,
    /// Closed because the connection failed, the client sent what is no query, or a defect of ours.
    pub closed_error_total: AtomicU64,
    /// Closed by the client, at the end of the connection's life, or on shutdown.
    pub closed_orderly_total: AtomicU64,
}

/// What all connections of one transport share.
#[derive(Debug)]
pub struct StreamShared {
    /// Limits on each.
    pub(super) options: StreamOptions,
    /// Limits on all together.
    pub(super) limits: Arc<ConnectionLimits>,
    /// What answers a query.
    pub(super) answer: Answer,
    /// How queries come.
    pub(super) transport: Transport,
    /// Where snapshots come from.
    pub(super) reader: Reader,
    /// Where the policy comes from.
    pub(super) policy: Arc<ArcSwap<Policy>>,
    /// Counters of queries.
    pub(super) block: Arc<Block>,
    /// Counters of connections.
    counters: Arc<StreamCounters>,
    /// Where answers are taken down.
    pub(super) query_log: Option<Sink>,
    /// Queries so far, so that record sets rotate.
    pub(super) rotation: AtomicU32,
    /// Changes, or closes, when all are to stop.
    pub(super) stop: watch::Receiver<bool>,
}

/// Bound listeners, not yet served; clients wait in the kernel.
#[derive(Debug)]
pub struct StreamServer {
    /// How to serve.
    options: StreamOptions,
    /// A listener for each address, with the address as bound.
    listeners: Vec<(SocketAddr, TcpListener)>,
    /// Where answers are taken down.
    query_log: Option<QueryLog>,
    /// TLS, where it is spoken.
    security: Option<Security>,
}

/// TLS below DNS (RFC 7858).
#[derive(Clone)]
struct Security {
    /// Makes handshakes.
    acceptor: TlsAcceptor,
    /// Longest time for one.
    handshake_max: Duration,
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Security").field("handshake_max", &self.handshake_max).finish_non_exhaustive()
    }
}

impl StreamServer {
    /// Listen on every address; needs the privilege for low ports, `start` does not.
    ///
    /// Give the addresses that UDP got, so that both have the same ports.
    ///
    /// # Errors
    ///
    /// The first address that can not be had.
    pub fn bind(addresses: &[SocketAddr], options: StreamOptions) -> Result<Self, ListenError> {
        let listen = |&address: &SocketAddr| {
            let listener = stream_listener(address)?;
            Ok((listener.local_addr().unwrap_or(address), listener))
        };
        let listeners = addresses.iter().map(listen).collect::<Result<_, _>>()?;
        Ok(Self { options, listeners, query_log: None, security: None })
    }

    /// Listen on every address that can be had, and tell what is wrong with the others.
    pub fn bind_available(addresses: &[SocketAddr], options: StreamOptions) -> (Self, Vec<ListenError>) {
        let (mut listeners, mut errors) = (Vec::new(), Vec::new());
        for &address in addresses {
            match stream_listener(address) {
                Ok(listener) => listeners.push((listener.local_addr().unwrap_or(address), listener)),
                Err(error) => errors.push(error),
            }
        }
        (Self { options, listeners, query_log: None, security: None }, errors)
    }

    /// Take over a listener that somebody else has bound, as from a service manager.
    ///
    /// # Errors
    ///
    /// What the system says of it.
    pub fn adopt(&mut self, listener: TcpListener) -> std::io::Result<()> {
        let address = listener.local_addr()?;
        // tokio wants it so.
        listener.set_nonblocking(true)?;
        self.listeners.push((address, listener));
        Ok(())
    }

    /// As [`StreamServer::bind`], but speak TLS on all of them; a handshake may take so many ms.
    ///
    /// # Errors
    ///
    /// The first address that can not be had.
    pub fn bind_tls(
        addresses: &[SocketAddr],
        options: StreamOptions,
        tls: rustls::ServerConfig,
        handshake_ms_max: u64,
    ) -> Result<Self, ListenError> {
        let mut server = Self::bind(addresses, options).map_err(|error| error.over("TLS"))?;
        let handshake_max = Duration::from_millis(handshake_ms_max);
        server.security = Some(Security { acceptor: TlsAcceptor::from(Arc::new(tls)), handshake_max });
        Ok(server)
    }

    /// Take every answer down for a query log.
    #[must_use]
    pub fn log_queries(mut self, log: &QueryLog) -> Self {
        self.query_log = Some(log.clone());
        self
    }

    /// The addresses with their true ports, in the order given.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Accept connections on `runtime`.
    ///
    /// # Errors
    ///
    /// When the runtime can not take a listener over.
    pub fn start(
        self,
        runtime: &Handle,
        reader: Reader,
        policy: Arc<ArcSwap<Policy>>,
        registry: &Registry,
    ) -> Result<Streams, ListenError> {
        self.start_with(Answer::default(), runtime, reader, policy, registry)
    }

    /// Accept connections, with another answer function.
    fn start_with(
        self,
        answer: Answer,
        runtime: &Handle,
        reader: Reader,
        policy: Arc<ArcSwap<Policy>>,
        registry: &Registry,
    ) -> Result<Streams, ListenError> {
        let caps = ConnectionCaps {
            total: self.options.connections_max,
            host: self.options.connections_per_host_max,
            net: self.options.connections_per_net_max,
        };
        let transport = if self.security.is_some() { Transport::Tls } else { Transport::Tcp };
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::<StreamCounters>::default();
        let shared = Arc::new(StreamShared {
            options: self.options,
            limits: ConnectionLimits::new(caps),
            answer,
            transport,
            reader,
            policy,
            block: registry.block(transport),
            counters: Arc::clone(&counters),
            query_log: self.query_log.as_ref().map(QueryLog::sink),
            rotation: AtomicU32::new(0),
            stop: stopped,
        });
        // tokio wants to know which runtime a listener belongs to.
        let _inside = runtime.enter();
        let mut accepting = Vec::new();
        for (address, listener) in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| ListenError::Other {
                address,
                protocol: "TCP",
                error,
            })?;
            accepting.push(runtime.spawn(accept(listener, address, self.security.clone(), Arc::clone(&shared))));
        }
        Ok(Streams { stop, accepting, counters })
    }
}

/// The running listeners. Dropping it stops them too, but waits for nothing.
#[derive(Debug)]
pub struct Streams {
    /// Tells all to stop.
    stop: watch::Sender<bool>,
    /// A task for each listener.
    accepting: Vec<JoinHandle<()>>,
    /// Counters of connections.
    counters: Arc<StreamCounters>,
}

impl Streams {
    /// The counters of connections, for metrics.
    pub fn counters(&self) -> Arc<StreamCounters> {
        Arc::clone(&self.counters)
    }

    /// Stop listening, finish answers under way, close all connections; two seconds at most.
    pub async fn shutdown(self) {
        // No receiver is left when all tasks have ended already, which is as well.
        let _ = self.stop.send(true);
        for task in self.accepting {
            if let Err(error) = task.await {
                tracing::error!("a TCP listener had died: {error}");
            }
        }
    }
}

/// Accept connections on one listener until told to stop.
async fn accept(
    listener: tokio::net::TcpListener,
    address: SocketAddr,
    security: Option<Security>,
    shared: Arc<StreamShared>,
) {
    let mut stop = shared.stop.clone();
    let mut connections = JoinSet::new();
    let (mut errors, mut panics) = (Seldom::default(), Seldom::default());
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(done) = connections.join_next() => report(&done, address, &mut panics, &shared),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let admitted = shared.limits.admit(peer.ip());
                    if let Some(open) = OpenConnection::count(admitted, &shared.counters) {
                        let shared = Arc::clone(&shared);
                        // Two kinds of task, so that a plain connection has no room for TLS.
                        match security.clone() {
                            None => connections.spawn(serve(open, stream, peer, shared)),
                            Some(security) => connections.spawn(serve_tls(open, stream, peer, security, shared)),
                        };
                    }
                }
                Err(error) => {
                    // A client that went before it was accepted is no trouble of ours.
                    if error.kind() == std::io::ErrorKind::ConnectionAborted {
                        continue;
                    }
                    if let Some(times) = errors.happened(Instant::now()) {
                        tracing::error!("can not accept on {address} ({times} times since last told): {error}");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = timeout(DRAIN_MAX, async {
        while let Some(done) = connections.join_next().await {
            report(&done, address, &mut panics, &shared);
        }
    });
    if drained.await.is_err() {
        // Those that are left have had their time; dropping the set cuts them off.
        tracing::info!("{} TCP connections to {address} cut off", connections.len());
    }
}

/// A connection has ended: count a panic, and say so now and then.
fn report(done: &Result<(), JoinError>, address: SocketAddr, panics: &mut Seldom, shared: &StreamShared) {
    let Err(error) = done else { return };
    if !error.is_panic() {
        return;
    }
    shared.block.panicked.fetch_add(1, Relaxed);
    if let Some(times) = panics.happened(Instant::now()) {
        tracing::error!(
            "answering over TCP on {address} panicked ({times} times since last told), please report this: {error}"
        );
    }
}

/// Serve a connection to its end.
async fn serve(open: OpenConnection, stream: tokio::net::TcpStream, peer: SocketAddr, shared: Arc<StreamShared>) {
    // Answers are written whole, so waiting for more to send along (Nagle) would only delay them.
    let _ = stream.set_nodelay(true);
    open.until(serve_stream(stream, peer, &shared)).await;
}

/// Serve an encrypted connection to its end.
async fn serve_tls(
    open: OpenConnection,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    security: Security,
    shared: Arc<StreamShared>,
) {
    let _ = stream.set_nodelay(true);
    let mut stop = shared.stop.clone();
    // On the heap and gone with the handshake, which needs more room than what comes after it.
    let handshake = Box::pin(timeout(security.handshake_max, security.acceptor.accept(stream)));
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        _ = stop.changed() => return open.until(async { Closed::Orderly }).await,
    };
    let served = async {
        match accepted {
            Ok(Ok(stream)) => serve_stream(stream, peer, &shared).await,
            Ok(Err(_)) => Closed::Error,
            Err(_) => Closed::Idle,
        }
    };
    open.until(served).await;
}

/// An admitted connection, of whatever transport; counted as open as long as this lives.
#[derive(Debug)]
pub struct OpenConnection {
    /// Its place among all.
    _permit: Permit,
    /// Where it is counted.
    counters: Arc<StreamCounters>,
    /// How it ended; an error when nothing else is known, as after a panic.
    closed: Closed,
}

impl OpenConnection {
    /// Count an accepted connection; `None` when a cap forbids it.
    pub fn count(admitted: Result<Permit, OverCap>, counters: &Arc<StreamCounters>) -> Option<Self> {
        counters.accepted_total.fetch_add(1, Relaxed);
        match admitted {
            Ok(permit) => {
                counters.open.fetch_add(1, Relaxed);
                Some(Self { _permit: permit, counters: Arc::clone(counters), closed: Closed::Error })
            }
            Err(_) => {
                counters.closed_by_limit_total.fetch_add(1, Relaxed);
                None
            }
        }
    }

    /// Keep it open until `served` tells how it ended.
    pub async fn until(mut self, served: impl Future<Output = Closed>) {
        self.closed = served.await;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Relaxed);
        let total = match self.closed {
            Closed::Orderly => &self.counters.closed_orderly_total,
            Closed::Idle => &self.counters.closed_idle_total,
            Closed::Error => &self.counters.closed_error_total,
        };
        total.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
