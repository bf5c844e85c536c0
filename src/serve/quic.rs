//! QUIC listeners: admitting connections, each handshake in a task of its own, so that a silent client delays nobody.
//!
//! The address of a client that has not yet answered us may be forged, so it is not counted under its prefix; instead
//! there is a number of such handshakes that may be under way, and beyond it a client must first prove its address (Retry,
//! RFC 9000 section 8.1.2). A client that has proved it is admitted by its address before the handshake, and these have
//! places of their own: whoever forges addresses can not take them. What comes after the handshake is the caller's.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, IdleTimeout, Incoming, TokioRuntime, TransportConfig, VarInt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls;

use super::limits::{ConnectionLimits, OverCap, Permit};
use super::listen::{DatagramSocket, ListenError, datagram_sockets};
use super::stream::{Closed, OpenConnection, StreamCounters};

/// Handshakes under way before clients must prove their addresses. Each takes some ten KiB for at most the time-out.
const HANDSHAKES_UNPROVED_MAX: usize = 256;
/// Handshakes under way with clients that have. The caps on connections count them already; this bounds how much work is
/// begun at once where those caps are high.
const HANDSHAKES_PROVED_MAX: usize = 1024;
/// Connections that wait to be looked at, and octets kept of their first packets; they wait only for the accept loop.
const INCOMING_MAX: usize = 1024;
/// See [`INCOMING_MAX`].
const INCOMING_OCTETS_MAX: u64 = 4 << 20;
/// Octets that a client may send ahead on a stream: the longest message with its length; and on a connection.
const STREAM_WINDOW_OCTETS: u32 = 65_537;
/// See [`STREAM_WINDOW_OCTETS`].
const CONNECTION_WINDOW_OCTETS: u32 = 4 * STREAM_WINDOW_OCTETS;
/// Octets of answers kept for a client until it confirms them.
const SEND_WINDOW_OCTETS: u64 = 256 * 1024;
/// How long answers under way may take on shutdown.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Receive buffer of the socket, octets: some thousand packets while the runtime is busy.
const RECEIVE_BUFFER_OCTETS: usize = 4 << 20;

/// Limits that QUIC itself keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicOptions {
    /// Longest time for a handshake, ms.
    pub handshake_ms_max: u64,
    /// Longest time without any packet, ms.
    pub idle_ms_max: u64,
    /// Streams that a client may have open at once in both directions.
    pub streams_max: u32,
    /// The same in its own direction only.
    pub own_streams_max: u32,
    /// What a connection beyond a cap is closed with.
    pub refusal: u32,
}

/// A bound listener, not yet served.
#[derive(Debug)]
pub struct QuicServer {
    /// The socket.
    socket: UdpSocket,
    /// Where it is bound.
    address: SocketAddr,
    /// Counters of connections.
    counters: Arc<StreamCounters>,
}

/// Admits a client by its address, once that is proved.
pub type Admit = Arc<dyn Fn(SocketAddr) -> Result<Permit, OverCap> + Send + Sync>;

impl QuicServer {
    /// Listen; needs the privilege for low ports, `serve` does not.
    ///
    /// # Errors
    ///
    /// When the address can not be had.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let how = DatagramSocket {
            receive_buffer_octets: Some(RECEIVE_BUFFER_OCTETS),
            // Not used: the runtime does not block.
            block_max: DRAIN_MAX,
        };
        let socket = datagram_sockets(address, 1, how).map_err(|error| error.over("QUIC"))?.pop();
        // One was asked for, and errors were returned.
        let socket = socket.expect("one socket");
        let address = socket.local_addr().unwrap_or(address);
        Ok(Self { socket, address, counters: Arc::default() })
    }

    /// Where it listens, with the port that the system chose for port 0.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Count connections there instead, as with those of another version of the same protocol.
    #[must_use]
    pub fn count_in(mut self, counters: Arc<StreamCounters>) -> Self {
        self.counters = counters;
        self
    }

    /// The counters of connections, for metrics.
    pub fn counters(&self) -> Arc<StreamCounters> {
        Arc::clone(&self.counters)
    }

    /// Admit connections until `stop` changes, and give each to `serve`, which then also watches `stop`.
    ///
    /// # Errors
    ///
    /// When the runtime or TLS can not be set up; nothing was served then.
    pub async fn serve<F>(
        self,
        tls: rustls::ServerConfig,
        options: QuicOptions,
        admit: Admit,
        mut stop: watch::Receiver<bool>,
        serve: impl Fn(Connection) -> F,
    ) -> std::io::Result<()>
    where
        F: Future<Output = Closed> + Send + 'static,
    {
        let endpoint = endpoint(self.socket, tls, options)?;
        let door = Door::new(admit);
        let handshake_max = Duration::from_millis(options.handshake_ms_max);
        let (mut pending, mut connections) = (JoinSet::<Option<(Connection, _)>>::new(), JoinSet::new());
        loop {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(_) = connections.join_next() => {}
                Some(done) = pending.join_next() => {
                    let Ok(Some((connection, admitted))) = done else { continue };
                    let admitted = Option::map_or_else(admitted, || (door.admit)(connection.remote_address()), Ok);
                    match OpenConnection::count(admitted, &self.counters) {
                        Some(open) => {
                            connections.spawn(open.until(serve(connection)));
                        }
                        None => connection.close(options.refusal.into(), b"too many connections"),
                    }
                }
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    match door.entry(&incoming) {
                        Entry::Begin(place, admitted) => {
                            pending.spawn(async move {
                                let _place = place;
                                Some((handshake(incoming, handshake_max).await?, admitted))
                            });
                        }
                        // A forged address costs one packet; a true client comes again, and then it has proved its own.
                        // An error would say that it has already, which was asked.
                        Entry::Prove => drop(incoming.retry()),
                        Entry::Refuse(over) => {
                            if let Some(over) = over {
                                OpenConnection::count(Err(over), &self.counters);
                            }
                            incoming.refuse();
                        }
                    }
                }
            }
        }
        // New ones are refused from here on; those that are there end by themselves, as they watch `stop`.
        endpoint.set_server_config(None);
        drop(pending);
        let _ = timeout(DRAIN_MAX, async { while connections.join_next().await.is_some() {} }).await;
        endpoint.close(VarInt::from_u32(0), b"");
        let _ = timeout(DRAIN_MAX, endpoint.wait_idle()).await;
        Ok(())
    }
}

/// Where clients come in.
struct Door {
    /// Admits by the address.
    admit: Admit,
    /// Places for handshakes with clients whose addresses may be forged.
    unproved: Arc<Semaphore>,
    /// Places for those whose are not.
    proved: Arc<Semaphore>,
}

/// What becomes of a client that comes.
enum Entry {
    /// Its handshake begins, in this place; and it is admitted, if its address is proved.
    Begin(OwnedSemaphorePermit, Option<Permit>),
    /// It must first prove its address.
    Prove,
    /// It is refused, because of this cap or because there is no place.
    Refuse(Option<OverCap>),
}

impl Door {
    /// All places are free.
    fn new(admit: Admit) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { admit, unproved: places(HANDSHAKES_UNPROVED_MAX), proved: places(HANDSHAKES_PROVED_MAX) }
    }

    /// What becomes of this client.
    fn entry(&self, incoming: &Incoming) -> Entry {
        if !incoming.remote_address_validated() {
            let place = Arc::clone(&self.unproved).try_acquire_owned();
            return place.map_or(Entry::Prove, |place| Entry::Begin(place, None));
        }
        match (self.admit)(incoming.remote_address()) {
            Ok(permit) => Arc::clone(&self.proved)
                .try_acquire_owned()
                .map_or(Entry::Refuse(None), |place| Entry::Begin(place, Some(permit))),
            Err(over) => Entry::Refuse(Some(over)),
        }
    }
}

/// A connection, if the client finishes its handshake in time.
async fn handshake(incoming: Incoming, time_max: Duration) -> Option<Connection> {
    let connecting = incoming.accept().ok()?;
    timeout(time_max, connecting).await.ok()?.ok()
}

/// QUIC with its limits on a socket.
fn endpoint(socket: UdpSocket, tls: rustls::ServerConfig, options: QuicOptions) -> std::io::Result<Endpoint> {
    let crypto = QuicServerConfig::try_from(tls).map_err(std::io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(options.streams_max.into())
        .max_concurrent_uni_streams(options.own_streams_max.into())
        .max_idle_timeout(Some(
            IdleTimeout::try_from(Duration::from_millis(options.idle_ms_max)).map_err(std::io::Error::other)?,
        ))
        .stream_receive_window(STREAM_WINDOW_OCTETS.into())
        .receive_window(CONNECTION_WINDOW_OCTETS.into())
        .send_window(SEND_WINDOW_OCTETS)
        .datagram_receive_buffer_size(None);
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        // Access lists and caps hold for the address of the handshake.
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size_total(INCOMING_OCTETS_MAX);
    socket.set_nonblocking(true)?;
    Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))
}

/// Admission by caps alone.
pub fn admit_by(limits: Arc<ConnectionLimits>) -> Admit {
    Arc::new(move |peer| limits.admit(peer.ip()))
}

/// How a connection ended that the other side or the time-out has closed.
pub fn ended(error: &quinn::ConnectionError) -> Closed {
    use quinn::ConnectionError::{ApplicationClosed, ConnectionClosed, LocallyClosed, Reset, TimedOut};
    match error {
        ApplicationClosed(_) | ConnectionClosed(_) | LocallyClosed | Reset => Closed::Orderly,
        TimedOut => Closed::Idle,
        _ => Closed::Error,
    }
}
