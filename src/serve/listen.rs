//! Sockets to listen on, and what to say when the system refuses one.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys;

/// Connections that the kernel completes while we are busy accepting others; a short burst, since accepting is cheap.
const BACKLOG: i32 = 1024;

/// Why an address can not be listened on; a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another socket has it.
    #[error(
        "{address} is in use for {protocol} by another program; stop it or choose another port in {}",
        setting(protocol)
    )]
    InUse {
        /// The address wanted.
        address: SocketAddr,
        /// `UDP`, `TCP`, `TLS` or `QUIC`.
        protocol: &'static str,
    },
    /// Not allowed.
    #[error(
        "no permission to listen on {address} for {protocol}; ports below 1024 need root or the capability \
         CAP_NET_BIND_SERVICE: grant it or choose a higher port in {}",
        setting(protocol)
    )]
    Permission {
        /// The address wanted.
        address: SocketAddr,
        /// `UDP`, `TCP`, `TLS` or `QUIC`.
        protocol: &'static str,
    },
    /// This host does not have the address.
    #[error(
        "{address} can not be listened on for {protocol}: no interface of this host has that address; correct {} \
         or bring the interface up first",
        setting(protocol)
    )]
    NotAvailable {
        /// The address wanted.
        address: SocketAddr,
        /// `UDP`, `TCP`, `TLS` or `QUIC`.
        protocol: &'static str,
    },
    /// Anything else.
    #[error("can not listen on {address} for {protocol}: {error}")]
    Other {
        /// The address wanted.
        address: SocketAddr,
        /// `UDP`, `TCP`, `TLS` or `QUIC`.
        protocol: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The sockets are there, but a thread to serve them could not be started.
    #[error("can not start a thread for {address}: {error}; raise the limit on tasks or lower dns.workers")]
    Thread {
        /// The address to be served.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// The setting that names addresses for a protocol.
fn setting(protocol: &str) -> &'static str {
    match protocol {
        "TLS" => "tls.dot-listen",
        "QUIC" => "tls.doq-listen, or public.listen for HTTP/3",
        _ => "dns.listen",
    }
}

impl ListenError {
    /// The same error about another protocol.
    pub(super) fn over(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::InUse { protocol, .. }
            | Self::Permission { protocol, .. }
            | Self::NotAvailable { protocol, .. }
            | Self::Other { protocol, .. } => *protocol = name,
            Self::Thread { .. } => {}
        }
        self
    }

    /// Tell the kinds apart.
    fn new(address: SocketAddr, protocol: &'static str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, protocol },
            io::ErrorKind::PermissionDenied => Self::Permission { address, protocol },
            io::ErrorKind::AddrNotAvailable => Self::NotAvailable { address, protocol },
            _ => Self::Other { address, protocol, error },
        }
    }
}

/// How a datagram socket is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct DatagramSocket {
    /// Receive buffer wanted, octets; `None` leaves the system's.
    pub receive_buffer_octets: Option<usize>,
    /// How long receiving or sending may block.
    pub block_max: Duration,
}

/// `count` datagram sockets on one address; the kernel spreads clients over them (`SO_REUSEPORT`).
///
/// Port 0 lets the first choose and the others join it. The first is bound before it allows sharing: so another
/// program on the port is noticed, even one that shares ports as well, such as a second copy of this one.
pub(super) fn datagram_sockets(
    address: SocketAddr,
    count: usize,
    how: DatagramSocket,
) -> Result<Vec<UdpSocket>, ListenError> {
    let mut address = address;
    let mut sockets = Vec::with_capacity(count);
    for number in 0..count {
        let made = datagram_socket(address, number > 0, how).and_then(|socket| {
            let bound = socket.local_addr()?;
            Ok((socket, bound))
        });
        let (socket, bound) = made.map_err(|error| ListenError::new(address, "UDP", error))?;
        address = bound;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// One of them.
fn datagram_socket(address: SocketAddr, joins: bool, how: DatagramSocket) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    sys::prepare_datagram_socket(&socket, address)?;
    if let Some(wanted) = how.receive_buffer_octets {
        let given = sys::set_receive_buffer(&socket, wanted)?;
        if given < wanted && !joins {
            tracing::warn!("receive buffer of {address} is {given} octets, not {wanted}; raise net.core.rmem_max");
        }
    }
    socket.set_read_timeout(Some(how.block_max))?;
    socket.set_write_timeout(Some(how.block_max))?;
    if joins {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    if !joins {
        socket.set_reuse_port(true)?;
    }
    Ok(socket.into())
}

/// A socket that somebody else has bound, with a copy for each of `count` workers; where it is bound.
pub(super) fn adopt_datagram_socket(
    socket: UdpSocket,
    count: usize,
    how: DatagramSocket,
) -> Result<(SocketAddr, Vec<UdpSocket>), ListenError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let other = |address, error| ListenError::Other { address, protocol: "UDP", error };
    let address = socket.local_addr().map_err(|error| other(unknown, error))?;
    let make = || {
        let socket = Socket::from(socket);
        sys::prepare_datagram_socket(&socket, address)?;
        if let Some(wanted) = how.receive_buffer_octets {
            sys::set_receive_buffer(&socket, wanted)?;
        }
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(how.block_max))?;
        socket.set_write_timeout(Some(how.block_max))?;
        let socket = UdpSocket::from(socket);
        let mut sockets: Vec<UdpSocket> = (1..count).map(|_| socket.try_clone()).collect::<io::Result<_>>()?;
        sockets.push(socket);
        Ok(sockets)
    };
    make().map(|sockets| (address, sockets)).map_err(|error| other(address, error))
}

/// A TCP listener that does not block, for tokio.
pub(super) fn stream_listener(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let make = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A restart must not wait for the old process's closed connections (TIME_WAIT).
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    make().map_err(|error| ListenError::new(address, "TCP", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No limits that matter here.
    const HOW: DatagramSocket = DatagramSocket { receive_buffer_octets: None, block_max: Duration::from_secs(1) };

    #[test]
    fn sockets_share_a_port_among_themselves_only() {
        for ip in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
            let any = SocketAddr::new(ip.parse().unwrap(), 0);
            let sockets = datagram_sockets(any, 3, HOW).unwrap();
            let bound = sockets[0].local_addr().unwrap();
            assert_ne!(bound.port(), 0);
            assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == bound));
            // A second copy of this program would ask in the same way.
            let error = datagram_sockets(bound, 2, HOW).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{bound} is in use for UDP by another program; stop it or choose another port in dns.listen")
            );
        }
    }

    #[test]
    fn both_families_fit_on_one_port() {
        let v4 = datagram_sockets("0.0.0.0:0".parse().unwrap(), 1, HOW).unwrap();
        let port = v4[0].local_addr().unwrap().port();
        datagram_sockets(SocketAddr::new("::".parse().unwrap(), port), 1, HOW).unwrap();
    }

    #[test]
    fn errors_say_what_to_do() {
        let address = "192.0.2.1:53".parse().unwrap();
        let cases = [
            (io::ErrorKind::AddrInUse, "choose another port"),
            (io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (io::ErrorKind::AddrNotAvailable, "no interface of this host"),
            (io::ErrorKind::OutOfMemory, "can not listen on 192.0.2.1:53 for UDP"),
        ];
        for (kind, expected) in cases {
            let text = ListenError::new(address, "UDP", kind.into()).to_string();
            assert!(text.contains(expected) && text.contains("192.0.2.1:53"), "{text}");
        }
        // And the system's own.
        let error = datagram_sockets("192.0.2.1:0".parse().unwrap(), 1, HOW).unwrap_err();
        assert!(matches!(error, ListenError::NotAvailable { .. }), "{error}");
        let listener = stream_listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = stream_listener(listener.local_addr().unwrap()).unwrap_err();
        assert!(matches!(error, ListenError::InUse { protocol: "TCP", .. }), "{error}");
    }
}
