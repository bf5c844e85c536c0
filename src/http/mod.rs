//! The operator's HTTP listener: metrics, health and readiness.
//!
//! It is for Prometheus and for probes, not for the world, and it must never cost an answer: it runs on the
//! runtime beside the query path, and whatever a client does, it holds at most [`CONNECTIONS_MAX`] connections,
//! each with at most [`BUFFER_BYTES_MAX`] of request and one response, and none for longer than
//! [`CONNECTION_LIFE_MAX`] and [`GRACE`] together. Bodies are read of `POST /v1/logs` alone, a few at a time. Further clients wait in the kernel's
//! queue until a place is free.

mod families;
mod feed;
mod logs;
mod metrics;
mod process;
pub mod public;
mod relation;
mod routes;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use metrics::{
    EncryptedTotals, MailTotals, NO_ZONE_LABEL, OTHER_ZONES_LABEL, PolicyTotals, ReadEncrypted, ReadMail, ReadStreams,
    Sources, StreamTotals,
};
pub use routes::Shared;

/// Connections served at once. A few scrapers and probes need one each.
pub const CONNECTIONS_MAX: usize = 32;
/// How long a request's head may take, from the moment it is waited for; so also how long a connection may
/// idle. More than the usual scrape interval of 15 s, so that a scraper can keep its connection.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a connection may live. A scraper just opens another; without it a client that reads one octet a
/// second would keep its place.
pub const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(120);
/// How long a response on its way may take when the connection or the server is to end.
pub const GRACE: Duration = Duration::from_secs(5);
/// Octets of a request's head; hyper takes no less than this. Real ones have some hundred.
pub const BUFFER_BYTES_MAX: usize = 8192;
/// Pause after a failed accept, which means that descriptors or memory ran out: at once would be a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The limits in use; tests make them small.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// See [`CONNECTIONS_MAX`].
    connections_max: usize,
    /// See [`REQUEST_TIME_MAX`].
    request_time_max: Duration,
    /// See [`CONNECTION_LIFE_MAX`].
    connection_life_max: Duration,
}

/// The limits of the program.
const LIMITS: Limits = Limits {
    connections_max: CONNECTIONS_MAX,
    request_time_max: REQUEST_TIME_MAX,
    connection_life_max: CONNECTION_LIFE_MAX,
};

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// The operator's address, `[http] listen` in the settings; port 0 takes any that is free.
    pub listen: SocketAddr,
}

/// Why the listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("can not listen for HTTP on {address}: {error}; {} in `[{section}] listen`", advice(error))]
pub struct ListenError {
    /// The section of the settings that names the address.
    pub section: &'static str,
    /// The address that was wanted.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

/// What to do about a failed bind.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program has this port: stop it, or set another",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address: set one that it has",
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or set a higher port",
        _ => "set another address",
    }
}

/// The listener, bound and not yet serving, so that privileges can be dropped in between.
#[derive(Debug)]
pub struct HttpServer {
    /// The listening socket, not blocking.
    listener: std::net::TcpListener,
    /// Where it is bound, with the port that the system chose for port 0.
    address: SocketAddr,
}

impl HttpServer {
    /// Open the listener; needs no runtime.
    ///
    /// # Errors
    ///
    /// When the address is taken, not of this machine, or not allowed.
    pub fn bind(options: HttpOptions) -> Result<Self, ListenError> {
        let open = || {
            let listener = std::net::TcpListener::bind(options.listen)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        open().map_err(|error| ListenError { section: "http", address: options.listen, error })
    }

    /// Where it listens, with the port that the system chose for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serve until `shutdown` is done, then let responses on their way end for at most [`GRACE`].
    ///
    /// # Errors
    ///
    /// When the runtime can not take the listener; nothing was served then.
    pub async fn serve(self, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        self.serve_within(LIMITS, shared, shutdown).await
    }

    /// Serve within these limits.
    async fn serve_within(
        self,
        limits: Limits,
        shared: Arc<Shared>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let router = routes::router(shared);
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let (stop, stopping) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                (stream, place) = accept(&listener, &places) => {
                    connections.spawn(connection(limits, stream, place, router.clone(), stopping.clone()));
                }
                // Ended ones are only taken off the set.
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        drop(stop);
        // What is not over by then is cut off when the set is dropped.
        let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

/// The next connection, once there is a place for it. Nothing is lost when it is cancelled.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // Only a closed semaphore refuses, and nobody closes this one.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // The client was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!("can not accept HTTP connections: {error}; are there enough file descriptors?");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serve one connection until the client, a limit or the shutdown ends it.
async fn connection(
    limits: Limits,
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    router: Router,
    mut stopping: watch::Receiver<()>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.request_time_max).max_buf_size(BUFFER_BYTES_MAX);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // Errors are the client's affair: it hung up, sent no HTTP, or was too slow.
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stopping.changed() => {}
        () = sleep(limits.connection_life_max) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, served).await;
}
