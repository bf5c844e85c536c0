//! A batch of one datagram with plain calls, for Unixes that are not Linux; it has the face of `ffi`.
//!
//! On a wildcard address the system chooses the source of the answer here, and kernel drops are not counted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::{DATAGRAM_OCTETS_MAX, Datagram};

/// Room for one datagram and its answer.
#[derive(Debug)]
pub struct Batch {
    /// The datagram, then its answer.
    buffer: Box<[u8]>,
    /// Octets received.
    len: usize,
    /// Where it came from.
    peer: SocketAddr,
    /// Octets of the answer, once there is one.
    reply: Option<usize>,
}

impl Batch {
    /// Room for one datagram, however many are asked for.
    pub fn new(_slots: usize) -> Self {
        let peer = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self { buffer: vec![0; DATAGRAM_OCTETS_MAX].into(), len: 0, peer, reply: None }
    }

    /// Wait for a datagram; 0 when the socket's time-out came first.
    ///
    /// # Errors
    ///
    /// What `recvfrom(2)` says, time-outs and signals excepted.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};

        self.reply = None;
        match socket.recv_from(&mut self.buffer) {
            Ok((len, peer)) => {
                (self.len, self.peer) = (len, peer);
                Ok(1)
            }
            Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Its buffer, and how many octets were received; `index` is 0.
    pub fn message(&mut self, index: usize) -> (&mut [u8], usize) {
        debug_assert_eq!(index, 0);
        (&mut self.buffer, self.len)
    }

    /// The datagram; `index` is 0.
    pub fn datagram(&mut self, index: usize) -> Datagram<'_> {
        debug_assert_eq!(index, 0);
        Datagram { buffer: &mut self.buffer, len: self.len, peer: self.peer }
    }

    /// Answer with the first `len` octets of its buffer.
    pub fn reply(&mut self, index: usize, len: usize) {
        debug_assert_eq!(index, 0);
        self.reply = Some(len);
    }

    /// Send the answer, if there is one; returns how many could not be sent.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        let Some(len) = self.reply.take() else { return 0 };
        usize::from(socket.send_to(&self.buffer[..len], self.peer).is_err())
    }

    /// Datagrams that the kernel threw away: unknown here.
    pub fn kernel_drops(&self) -> u32 {
        0
    }
}

/// Nothing to prepare here.
///
/// # Errors
///
/// None.
pub fn prepare_datagram_socket(_socket: &socket2::Socket, _address: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// Ask for a receive buffer of so many octets; returns what was given.
///
/// # Errors
///
/// What `setsockopt(2)` says.
pub fn set_receive_buffer(socket: &socket2::Socket, octets: usize) -> io::Result<usize> {
    socket.set_recv_buffer_size(octets)?;
    socket.recv_buffer_size()
}

/// The allocator is left as it is.
pub fn tune_allocator() {}

/// The allocator is left as it is.
pub fn trim() {}

/// Bring an element of a slice into the cache: no hint is given here.
#[cfg(not(target_os = "linux"))]
pub fn prefetch<T>(_slice: &[T], _index: usize) {}

/// Keep a slice in large pages: that is left to the system here.
#[cfg(not(target_os = "linux"))]
pub fn advise_large_pages<T>(_slice: &[T]) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn echoes_and_times_out() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        prepare_datagram_socket(&socket, any).unwrap();
        assert!(set_receive_buffer(&socket, 8192).unwrap() >= 8192);
        socket.bind(&any.into()).unwrap();
        let server = UdpSocket::from(socket);
        server.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        tune_allocator();
        trim();

        let mut batch = Batch::new(32);
        assert_eq!(batch.receive(&server).unwrap(), 0);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.send_to(b"hello", server.local_addr().unwrap()).unwrap();
        assert_eq!(batch.receive(&server).unwrap(), 1);
        let (buffer, len) = batch.message(0);
        assert_eq!(&buffer[..len], b"hello");
        let datagram = batch.datagram(0);
        assert_eq!((&datagram.buffer[..datagram.len], datagram.peer), (&b"hello"[..], client.local_addr().unwrap()));
        datagram.buffer[0] = b'H';
        batch.reply(0, 5);
        assert_eq!((batch.send(&server), batch.kernel_drops()), (0, 0));
        let mut answer = [0; 16];
        assert_eq!((client.recv(&mut answer).unwrap(), &answer[..5]), (5, &b"Hello"[..]));
    }
}
