//! The whole server inside another program.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Runtime};

use super::zones::{Zones, ZonesBuilder};
use crate::http::{self, Sources, StreamTotals};
use crate::load::{LoadOptions, ZoneSpec};
use crate::serve::answer::Policy;
use crate::serve::listen::{ListenError, bind_both};
use crate::serve::stream::{StreamOptions, Streams};
use crate::serve::udp::{UdpOptions, UdpWorkers};

/// Threads for TCP: it carries little.
const RUNTIME_THREADS: usize = 1;

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address can not be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The registry has metrics of the same names, of another server perhaps.
    #[error("the metrics can not be registered: {0}; give each server a registry of its own")]
    Metrics(#[from] prometheus::Error),
    /// No thread or no runtime.
    #[error("a thread can not be started: {0}; raise the limit on tasks")]
    Thread(#[from] io::Error),
}

/// What to serve, where, and how.
#[derive(Clone, Debug, Default)]
pub struct ServerBuilder {
    /// What is loaded.
    zones: ZonesBuilder,
    /// Where to listen.
    udp: UdpOptions,
    /// Limits of TCP.
    streams: StreamOptions,
    /// What every answer looks like.
    policy: Policy,
    /// Where metrics are put.
    metrics: Option<prometheus::Registry>,
}

impl ServerBuilder {
    /// One zone more.
    #[must_use]
    pub fn zone(mut self, spec: ZoneSpec) -> Self {
        self.zones = self.zones.zone(spec);
        self
    }

    /// An access list for all zones, of rbldnsd's type `acl`.
    #[must_use]
    pub fn acl<P: AsRef<Path>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        self.zones = self.zones.acl(files);
        self
    }

    /// How files are watched.
    #[must_use]
    pub fn load_options(mut self, options: LoadOptions) -> Self {
        self.zones = self.zones.load_options(options);
        self
    }

    /// One address more to listen on, UDP and TCP; port 0 lets the system choose one that is free for both.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.udp.addresses.push(address);
        self
    }

    /// UDP threads for each address; 1 unless told otherwise.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.udp.workers = workers;
        self
    }

    /// Limits of TCP connections.
    #[must_use]
    pub fn stream_options(mut self, options: StreamOptions) -> Self {
        self.streams = options;
        self
    }

    /// What every answer looks like: sizes, identity, ANY.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// A registry of the program's own, which gets the metrics of docs/metrics.md but for those of the process.
    #[must_use]
    pub fn metrics(mut self, registry: &prometheus::Registry) -> Self {
        self.metrics = Some(registry.clone());
        self
    }

    /// Bind, load, and answer from then on. Blocks while files are read.
    ///
    /// # Errors
    ///
    /// An address that can not be listened on, metrics that are registered already, no threads. A zone file that can not
    /// be used is none, see [`ZonesBuilder::start`].
    pub fn start(self) -> Result<Server, StartError> {
        let (udp, tcp) = bind_both(&self.udp, &self.streams)?;
        let addresses = udp.local_addresses();
        let runtime =
            Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).thread_name("stream").enable_all().build()?;
        let handle = runtime.handle().clone();
        let runtime = Background(Some(runtime));
        let zones = self.zones.start()?;
        let policy = Arc::new(ArcSwap::from_pointee(self.policy));
        let streams = tcp.start(&handle, zones.reader(), Arc::clone(&policy), zones.registry())?;
        if let Some(metrics) = &self.metrics {
            let counters = streams.counters();
            let read = move || StreamTotals {
                open: counters.open.load(Relaxed),
                accepted: counters.accepted_total.load(Relaxed),
                closed_by_limit: counters.closed_by_limit_total.load(Relaxed),
                closed_idle: counters.closed_idle_total.load(Relaxed),
                closed_error: counters.closed_error_total.load(Relaxed),
            };
            http::register(Sources::of_server(Arc::clone(zones.registry()), zones.status(), Box::new(read)), metrics)?;
        }
        let workers = udp.start(zones.reader(), Arc::clone(&policy), zones.registry())?;
        Ok(Server { running: Some(Running { runtime, streams, workers }), zones, policy, addresses })
    }
}

/// A runtime that can be dropped within another one, as when a server can not be started: nobody waits for it then.
#[derive(Debug)]
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is stopped in order.
#[derive(Debug)]
struct Running {
    /// Runs the streams.
    runtime: Background,
    /// TCP.
    streams: Streams,
    /// UDP.
    workers: UdpWorkers,
}

/// A server that answers until it is shut down or dropped.
#[derive(Debug)]
pub struct Server {
    /// What runs; taken when it is stopped.
    running: Option<Running>,
    /// What it answers from.
    zones: Zones,
    /// What every answer looks like.
    policy: Arc<ArcSwap<Policy>>,
    /// Where it listens.
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Begin with no zone and no address.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Where it listens, with the ports that the system chose.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it answers from: snapshots, status, reloads.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// Change what every answer looks like, from the next batch on.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Stop: answers under way are sent, connections closed. Blocks for 2.5 s at most, so asynchronous code should call it
    /// where blocking is allowed. Dropping the server does the same.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(Running { mut runtime, streams, workers }) = self.running.take() else { return };
        // On a thread of its own, since a runtime must not be waited for or dropped within another one.
        let stopping = thread::Builder::new().name("stop".to_owned()).spawn(move || {
            if let Some(runtime) = runtime.0.take() {
                runtime.block_on(streams.shutdown());
            }
            workers.shutdown();
        });
        // Without a thread to be had, what runs ends with the program.
        if let Ok(stopping) = stopping
            && stopping.join().is_err()
        {
            tracing::error!("a server did not stop in order");
        }
    }
}
