//! The socket on which Postfix and Exim ask: the neighbour rule, and whether an address is under attack.
//!
//! Mail waits for these answers, so the service never keeps a client longer than it must: a bounded number of connections, a bounded
//! request, a bounded time for each; what can not be answered is answered as "nothing to say". Postfix keeps its connections for
//! reuse; where places get scarce, idle ones are closed early, and it just opens another.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::talk::{self, Asked, PolicyRequest, PolicyWants};
use super::{Relation, Word};
use crate::feed::joe_job::Attacked;

/// Octets of a request. Postfix sends some forty attributes, each far below its line limit of 2048.
const REQUEST_OCTETS_MAX: u64 = 32 * 1024;
/// How long a request may take from its first octet to its last, and an answer to be taken.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may idle where more than three quarters of the places are taken.
const IDLE_BUSY_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed accept, which means that descriptors or memory ran out: at once would be a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// How long answers on their way may take when the service ends.
const GRACE: Duration = Duration::from_secs(2);
/// The rights of a socket file: any local user may ask, the directory decides who gets there.
const SOCKET_MODE: u32 = 0o666;

/// Where and how to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOptions {
    /// TCP addresses. Whoever reaches them may ask, so loopback.
    pub listen: Vec<SocketAddr>,
    /// A unix socket.
    pub socket: Option<PathBuf>,
    /// Connections at once.
    pub connections_max: usize,
    /// How long a connection may idle.
    pub idle_max: Duration,
    /// Postfix's action for null-sender mail to an address under attack, such as `DEFER 4.7.1 text`.
    pub joe_job_action: String,
}

/// What the service knows.
#[derive(Debug, Clone)]
pub struct Knows {
    /// The neighbour rule; `None` where it is switched off.
    pub relation: Option<Arc<Relation>>,
    /// Addresses under attack.
    pub attacked: Arc<Attacked>,
}

/// Why the service could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("can not listen on {place}: {error}; set another `listen` or `socket` in [relation]")]
pub struct ServiceError {
    /// The address or path.
    pub place: String,
    /// What the system said.
    pub error: io::Error,
}

/// What the service has counted.
#[derive(Debug, Default)]
pub struct ServiceCounts {
    /// Policy requests answered.
    pub policy: AtomicU64,
    /// Questions of `readsocket` answered.
    pub questions: AtomicU64,
    /// Requests that were not understood.
    pub bad: AtomicU64,
    /// Null-sender recipients refused because they are under attack.
    pub refused: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
}

/// The listeners, bound and not yet serving.
#[derive(Debug)]
pub struct Service {
    /// Settings.
    options: ServiceOptions,
    /// TCP.
    tcp: Vec<std::net::TcpListener>,
    /// The unix socket.
    unix: Option<std::os::unix::net::UnixListener>,
    /// Counters.
    counts: Arc<ServiceCounts>,
}

impl Service {
    /// Open the listeners; needs no runtime. Errors: an address or path that can not be used.
    pub fn bind(options: ServiceOptions) -> Result<Self, ServiceError> {
        let fail = |place: String| move |error| ServiceError { place, error };
        let mut tcp = Vec::new();
        for &address in &options.listen {
            let bound = std::net::TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            tcp.push(bound.map_err(fail(address.to_string()))?);
        }
        let unix = match &options.socket {
            None => None,
            Some(path) => Some(bind_unix(path).map_err(fail(path.display().to_string()))?),
        };
        Ok(Self { options, tcp, unix, counts: Arc::default() })
    }

    /// Where it listens over TCP, with the ports that the system chose for port 0.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Its counters.
    pub fn counts(&self) -> Arc<ServiceCounts> {
        Arc::clone(&self.counts)
    }

    /// Serve until `shutdown` is done. Errors: the runtime can not take a listener.
    pub async fn serve(self, knows: Knows, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { options, tcp, unix, counts } = self;
        let socket = options.socket.clone();
        let mut listeners = Vec::new();
        for listener in tcp {
            listeners.push(Listener::Tcp(TcpListener::from_std(listener)?));
        }
        if let Some(listener) = unix {
            listeners.push(Listener::Unix(UnixListener::from_std(listener)?));
        }
        let places = Arc::new(Semaphore::new(options.connections_max));
        let desk = Arc::new(Desk { knows, places, counts, options });
        let (stop, stopping) = watch::channel(());
        let mut running = JoinSet::new();
        for listener in listeners {
            running.spawn(listen(listener, Arc::clone(&desk), stopping.clone()));
        }
        shutdown.await;
        if let Some(path) = socket {
            // First of all: once we no longer listen, the path may be our successor's. Best effort: that one removes it as well.
            let _ = std::fs::remove_file(path);
        }
        drop(stop);
        let _ = timeout(GRACE, async { while running.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

/// Bind a unix socket. One that was left behind is removed; one that is served, or another file, is not.
fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::net::{UnixListener, UnixStream};
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is another file, which is no socket"));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another program serves it"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A listener of either kind.
enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// The next connection. Nothing is lost when it is cancelled.
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Take connections, once there is a place for each, until the service stops.
async fn listen(listener: Listener, desk: Arc<Desk>, mut stopping: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&desk.places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            _ = stopping.changed() => break,
            (place, accepted) = next => match accepted {
                Ok(stream) => {
                    let (desk, mut stopping) = (Arc::clone(&desk), stopping.clone());
                    connections.spawn(async move {
                        let _place = place;
                        desk.counts.open.fetch_add(1, Ordering::Relaxed);
                        // Errors are the client's affair: it hung up, or was too slow.
                        tokio::select! {
                            _ = desk.serve(stream) => {}
                            _ = stopping.changed() => {}
                        }
                        desk.counts.open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                // The client was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!("can not accept policy connections: {error}; are there enough file descriptors?");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            // Ended ones are only taken off the set.
            Some(_) = connections.join_next() => {}
        }
    }
    // An answer is short work; what is not over within the service's grace is cut off.
    while connections.join_next().await.is_some() {}
}

/// Where clients are served.
struct Desk {
    /// What can be told.
    knows: Knows,
    /// Places for connections.
    places: Arc<Semaphore>,
    /// Counters.
    counts: Arc<ServiceCounts>,
    /// Settings.
    options: ServiceOptions,
}

impl Desk {
    /// Serve a client until it ends, errs or idles.
    async fn serve(&self, stream: Box<dyn Stream>) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while self.something_came(&mut stream).await? {
            let request = timeout(REQUEST_TIME_MAX, read_request(&mut stream)).await??;
            let (answer, more) = match request {
                Request::Policy(request) => (self.policy(&request).await, true),
                Request::Question(line) => (self.question(&line).await, false),
                Request::Bad(why) => {
                    self.counts.bad.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!("a request on the policy socket was not understood: {why}");
                    return Ok(());
                }
            };
            timeout(REQUEST_TIME_MAX, async {
                stream.write_all(answer.as_bytes()).await?;
                stream.flush().await
            })
            .await??;
            if !more {
                // Exim reads until the end.
                return stream.shutdown().await;
            }
        }
        Ok(())
    }

    /// Wait for a request to begin; false when the client has gone or idled for too long.
    async fn something_came(&self, stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<bool> {
        let step = IDLE_BUSY_MAX.min(self.options.idle_max);
        let mut idle = Duration::ZERO;
        loop {
            match timeout(step, stream.fill_buf()).await {
                Ok(octets) => return Ok(!octets?.is_empty()),
                Err(_) => idle += step,
            }
            let busy = self.places.available_permits() * 4 < self.options.connections_max;
            if busy || idle >= self.options.idle_max {
                return Ok(false);
            }
        }
    }

    /// Answer Postfix.
    async fn policy(&self, request: &PolicyRequest) -> String {
        self.counts.policy.fetch_add(1, Ordering::Relaxed);
        match (request.wants(), &self.knows.relation) {
            (PolicyWants::JoeJob(recipient), _) if self.knows.attacked.contains(recipient) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                talk::policy_answer(&self.options.joe_job_action)
            }
            (PolicyWants::Relation(question), Some(relation)) => {
                talk::policy_answer(&talk::header_action(relation.ask(&question).await.word))
            }
            _ => talk::policy_answer(talk::DUNNO),
        }
    }

    /// Answer a line of Exim's.
    async fn question(&self, line: &str) -> String {
        self.counts.questions.fetch_add(1, Ordering::Relaxed);
        let word = match (talk::question(line), &self.knows.relation) {
            (Ok(Asked::Relation(question)), Some(relation)) => relation.ask(&question).await.word.word(),
            (Ok(Asked::Relation(_)), None) => Word::Unknown.word(),
            (Ok(Asked::JoeJob(address)), _) if self.knows.attacked.contains(&address) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                "yes"
            }
            (Ok(Asked::JoeJob(_)), _) => "no",
            (Err(why), _) => {
                self.counts.bad.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("a question on the policy socket was not understood: {why}");
                Word::Unknown.word()
            }
        };
        format!("{word}\n")
    }
}

/// One request.
enum Request {
    /// Postfix's.
    Policy(Box<PolicyRequest>),
    /// Exim's line.
    Question(String),
    /// None that is known, or one beyond the bounds.
    Bad(String),
}

/// Read a request. Errors: the connection's.
async fn read_request(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Request> {
    let mut bounded = stream.take(REQUEST_OCTETS_MAX);
    let mut request = Box::<PolicyRequest>::default();
    let mut first = true;
    loop {
        let mut line = Vec::new();
        bounded.read_until(b'\n', &mut line).await?;
        // Exim's question may come without a line feed, ended by its half of the connection being closed.
        let ended = line.pop_if(|&mut last| last == b'\n').is_some();
        line.pop_if(|&mut last| last == b'\r');
        let line = String::from_utf8_lossy(&line);
        if first && talk::is_question(&line) {
            return Ok(Request::Question(line.into_owned()));
        }
        if !ended {
            return Ok(Request::Bad("it ended too early, or is too long".to_owned()));
        }
        if line.is_empty() {
            return Ok(Request::Policy(request));
        }
        if let Err(why) = request.attribute(&line) {
            return Ok(Request::Bad(why));
        }
        first = false;
    }
}
