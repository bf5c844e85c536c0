//! Datagrams: plain threads, each with a socket of its own, that receive, answer and send in batches.
//!
//! One turn of a worker: block until datagrams are there, take them all, take the snapshot and the policy, answer
//! each in place, let snapshot and policy go, send all answers. There is no lock, no channel, no allocation and no
//! log line for a query in it; the batch is the seam where another way to the network card could come in.

use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, thread};

use arc_swap::ArcSwap;

use super::answer::{Answer, Context, Dropped, Outcome, Policy, Prepared, Transport};
use super::listen::{DatagramSocket, ListenError, adopt_datagram_socket, datagram_sockets};
use super::query_log::{QueryLog, Sink};
use super::seldom::{Seldom, panic_message};
use crate::stats::{Block, Registry};
use crate::sys::{self, Batch, Datagram, clock};
use crate::zone::{Reader, Snapshot};

/// How long a worker may wait before it looks whether to stop; also bounds how long a full send queue can hold it.
const BLOCK_MAX: Duration = Duration::from_millis(250);
/// Pause after an error of the socket itself, so that a lasting one does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// Datagrams in a batch unless told otherwise: at 32 a system call's cost has all but vanished, and slots (4 KiB
/// each) still fit the L2 cache.
pub const BATCH_DEFAULT: usize = 32;

/// What to listen on, and how.
#[derive(Clone, Debug)]
pub struct UdpOptions {
    /// Addresses; port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// Threads for each address; 0 counts as 1.
    pub workers: usize,
    /// Keep each thread on one processor, in turn.
    pub pin: bool,
    /// Receive buffer of each socket, octets; `None` leaves the system's.
    pub receive_buffer_octets: Option<usize>,
    /// Datagrams taken at once, 1–1024.
    pub batch: usize,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { addresses: Vec::new(), workers: 1, pin: false, receive_buffer_octets: None, batch: BATCH_DEFAULT }
    }
}

/// Bound sockets, not yet served; queries wait in the kernel.
#[derive(Debug)]
pub struct UdpServer {
    /// How to serve.
    options: UdpOptions,
    /// Each address as bound, with a socket for each worker.
    groups: Vec<(SocketAddr, Vec<UdpSocket>)>,
    /// Workers of an address share one socket, which only the first asks for what the kernel dropped.
    shared: bool,
    /// Where answers are taken down.
    query_log: Option<QueryLog>,
}

impl UdpServer {
    /// Bind every socket; needs the privilege for low ports, `start` does not.
    ///
    /// # Errors
    ///
    /// The first address that can not be had.
    pub fn bind(options: UdpOptions) -> Result<Self, ListenError> {
        let how = DatagramSocket { receive_buffer_octets: options.receive_buffer_octets, block_max: BLOCK_MAX };
        let bind = |&address: &SocketAddr| {
            let sockets = datagram_sockets(address, options.workers.max(1), how)?;
            let bound = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(address);
            Ok((bound, sockets))
        };
        let groups = options.addresses.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Self { options, groups, shared: false, query_log: None })
    }

    /// Take over a bound socket, as from a service manager; all workers share it.
    ///
    /// # Errors
    ///
    /// What the system says of its options.
    pub fn adopt(options: UdpOptions, socket: UdpSocket) -> Result<Self, ListenError> {
        let how = DatagramSocket { receive_buffer_octets: options.receive_buffer_octets, block_max: BLOCK_MAX };
        let group = adopt_datagram_socket(socket, options.workers.max(1), how)?;
        Ok(Self { options, groups: vec![group], shared: true, query_log: None })
    }

    /// Take every answer down for a query log.
    #[must_use]
    pub fn log_queries(mut self, log: &QueryLog) -> Self {
        self.query_log = Some(log.clone());
        self
    }

    /// The addresses with their true ports, in the order of the options.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.groups.iter().map(|(address, _)| *address).collect()
    }

    /// Start the workers.
    ///
    /// # Errors
    ///
    /// When the system gives no further thread; those already started are stopped.
    pub fn start(
        self,
        reader: Reader,
        policy: Arc<ArcSwap<Policy>>,
        registry: &Registry,
    ) -> Result<UdpWorkers, ListenError> {
        self.start_with(Answer::default(), reader, policy, registry)
    }

    /// Start the workers with another answer function.
    fn start_with(
        self,
        answer: Answer,
        reader: Reader,
        policy: Arc<ArcSwap<Policy>>,
        registry: &Registry,
    ) -> Result<UdpWorkers, ListenError> {
        let mut workers = UdpWorkers { stop: Arc::default(), threads: Vec::new() };
        for (address, sockets) in self.groups {
            for (number, socket) in sockets.into_iter().enumerate() {
                let order = workers.threads.len();
                let worker = Worker {
                    name: format!("udp-{address}-{number}"),
                    socket,
                    answer,
                    reader: reader.clone(),
                    policy: Arc::clone(&policy),
                    block: registry.block(Transport::Udp),
                    stop: Arc::clone(&workers.stop),
                    batch: self.options.batch,
                    prepared: vec![Prepared::default(); self.options.batch.clamp(1, sys::BATCH_MAX)].into(),
                    pin: self.options.pin.then_some(order),
                    query_log: self.query_log.as_ref().map(QueryLog::sink),
                    time_s: 0,
                    asks_drops: !self.shared || number == 0,
                    rotation: 0,
                    drops: 0,
                    panics: Seldom::default(),
                    errors: Seldom::default(),
                };
                let thread = thread::Builder::new().name(worker.name.clone());
                match thread.spawn(move || worker.run()) {
                    Ok(thread) => workers.threads.push(thread),
                    Err(error) => {
                        workers.shutdown();
                        return Err(ListenError::Thread { address, error });
                    }
                }
            }
        }
        Ok(workers)
    }
}

/// The running workers. They go on when this is dropped; [`UdpWorkers::shutdown`] stops them.
#[derive(Debug)]
pub struct UdpWorkers {
    /// Set when they are to stop.
    stop: Arc<AtomicBool>,
    /// Their threads.
    threads: Vec<JoinHandle<()>>,
}

impl UdpWorkers {
    /// Stop all workers and wait for them, a quarter of a second at most; what they have received is answered.
    pub fn shutdown(self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                tracing::error!("a UDP worker had died: {}", panic_message(&*panic));
            }
        }
    }
}

/// One thread's own things.
struct Worker {
    /// Name of the thread, for the log; the system cuts its own copy to 15 octets.
    name: String,
    /// Its socket.
    socket: UdpSocket,
    /// What answers a query.
    answer: Answer,
    /// Where snapshots come from.
    reader: Reader,
    /// Where the policy comes from.
    policy: Arc<ArcSwap<Policy>>,
    /// Its counters.
    block: Arc<Block>,
    /// Set when it is to stop.
    stop: Arc<AtomicBool>,
    /// Datagrams taken at once.
    batch: usize,
    /// Datagrams of a batch that were read and are still to be answered.
    prepared: Box<[Prepared]>,
    /// Processor to stay on, counted round.
    pin: Option<usize>,
    /// Where its answers are taken down.
    query_log: Option<Sink>,
    /// Time of the batch under way, s since 1970; only kept with a query log.
    time_s: i64,
    /// Whether it counts what the kernel dropped.
    asks_drops: bool,
    /// Queries so far, so that record sets rotate.
    rotation: u32,
    /// The kernel's drop counter as last seen.
    drops: u32,
    /// Reports of panics.
    panics: Seldom,
    /// Reports of the socket's errors.
    errors: Seldom,
}

impl Worker {
    /// Serve until told to stop.
    fn run(mut self) {
        if let Some(n) = self.pin
            && let Err(error) = sys::pin_to_cpu(n)
        {
            tracing::warn!("{}: can not be kept on one processor: {error}", self.name);
        }
        let mut batch = Batch::new(self.batch);
        while !self.stop.load(Relaxed) {
            match batch.receive(&self.socket) {
                Ok(0) => {}
                Ok(count) => self.serve(&mut batch, count),
                Err(error) => self.pause(&error),
            }
        }
    }

    /// Answer a batch and send the answers.
    fn serve(&mut self, batch: &mut Batch, count: usize) {
        let drops = batch.kernel_drops();
        let new = drops.wrapping_sub(std::mem::replace(&mut self.drops, drops));
        if new > 0 && self.asks_drops {
            self.block.kernel_dropped.fetch_add(new.into(), Relaxed);
        }
        if self.query_log.is_some() {
            self.time_s = clock::now_s();
        }
        {
            let snapshot = self.reader.load();
            let policy = self.policy.load();
            self.prepare(batch, count, &snapshot);
            // `next` outlives a panic: the datagram that caused it gets no answer, those after it do.
            let mut next = 0;
            while next < count {
                let answered = catch_unwind(AssertUnwindSafe(|| {
                    while next < count {
                        next += 1;
                        self.serve_one(batch, next - 1, &snapshot, &policy);
                    }
                }));
                if let Err(panic) = answered {
                    self.report(panic_message(&*panic));
                }
            }
        }
        let failed = batch.send(&self.socket);
        if failed > 0 {
            self.block.send_errors.fetch_add(failed as u64, Relaxed);
        }
    }

    /// Read all datagrams before any is answered: what the answers need comes into the cache meanwhile.
    fn prepare(&mut self, batch: &mut Batch, count: usize, snapshot: &Snapshot) {
        let mut next = 0;
        while next < count {
            let read = catch_unwind(AssertUnwindSafe(|| {
                while next < count {
                    next += 1;
                    let (buffer, len) = batch.message(next - 1);
                    (self.answer.prepare)(&mut self.prepared[next - 1], buffer, len, snapshot);
                }
            }));
            if let Err(panic) = read {
                // Nothing may be said of a message that was read in part: it counts as one too short.
                self.prepared[next - 1] = Prepared::default();
                self.report(panic_message(&*panic));
            }
        }
    }

    /// Answer one datagram in place.
    fn serve_one(&mut self, batch: &mut Batch, index: usize, snapshot: &Snapshot, policy: &Policy) {
        let Datagram { buffer, len, peer } = batch.datagram(index);
        if peer.port() == 0 {
            self.block.dropped(Dropped::Source, len);
            return;
        }
        self.rotation = self.rotation.wrapping_add(1);
        let context = Context { client: peer.ip(), transport: Transport::Udp, rotation: self.rotation, policy };
        match (self.answer.answer)(&self.prepared[index], buffer, len, &context, snapshot) {
            Outcome::Reply { len: reply_len, note } => {
                self.block.answered(&note, len, reply_len);
                if let Some(log) = &self.query_log {
                    log.push(self.time_s, peer.ip(), note.rcode, &buffer[..reply_len]);
                }
                batch.reply(index, reply_len);
            }
            Outcome::Drop(why) => self.block.dropped(why, len),
        }
    }

    /// An answer has panicked: count it, and say so now and then.
    fn report(&mut self, message: &str) {
        self.block.panicked.fetch_add(1, Relaxed);
        if let Some(times) = self.panics.happened(Instant::now()) {
            tracing::error!(
                "{}: answering a query panicked ({times} times since last told), please report this: {message}",
                self.name
            );
        }
    }

    /// Receiving has failed: say so now and then, and wait a little.
    fn pause(&mut self, error: &io::Error) {
        if let Some(times) = self.errors.happened(Instant::now()) {
            tracing::error!("{}: can not receive ({times} times since last told): {error}", self.name);
        }
        thread::sleep(ERROR_PAUSE);
    }
}

#[cfg(test)]
#[path = "udp_tests.rs"]
mod tests;
