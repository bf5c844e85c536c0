//! The syslog listener: messages over UDP and TCP, from peers that are allowed, into a spool.
//!
//! Framing on TCP is found out (RFC 6587): digits and a blank before `<` count octets, else a message ends with a line feed or NUL. Some
//! templates of rsyslog send neither. Where no line feed has come when the peer pauses, messages end where the next one
//! begins, and at a pause; never on a connection with line feeds, since what a client of the mail server writes may look like the beginning
//! of a message. A spool that is full stops the reading from TCP; a datagram can not wait and is dropped and counted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::normal::{self, split_priority};
use crate::feed::line::LINE_MAX;
use crate::feed::run::status::{Drop, InputStatus};
use crate::feed::spool::{Spool, SpoolError};
use crate::sys::clock;

/// Connections served at once: one for each mail server, with room.
const CONNECTIONS_MAX: usize = 256;
/// Octets of a message; what is longer is cut. Above what a line may have, so that head and text both fit.
const MESSAGE_OCTETS_MAX: usize = LINE_MAX + 1024;
/// Octets read from a connection at once.
const READ_OCTETS: usize = 64 << 10;
/// How long an unfinished message may stand in the buffer before it counts as finished.
const PAUSE: Duration = Duration::from_millis(500);
/// Pause before a full spool is tried again, and after a failed accept.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Octets that show whether a message begins: priority, version, stamp.
const BEGIN_OCTETS_MAX: usize = 32;
/// Datagrams handed to the spool at once.
const DATAGRAMS_MAX: usize = 256;

/// What is listened on, and to whom.
#[derive(Debug, Clone)]
pub struct SyslogOptions {
    /// UDP address.
    pub udp: Option<SocketAddr>,
    /// TCP address.
    pub tcp: Option<SocketAddr>,
    /// Peers that are heard.
    pub peers: Vec<IpNet>,
    /// The zone of stamps that have none.
    pub time_zone: TimeZone,
}

/// The sockets, bound and not yet served.
#[derive(Debug)]
pub struct SyslogServer {
    /// UDP.
    udp: Option<std::net::UdpSocket>,
    /// TCP.
    tcp: Option<std::net::TcpListener>,
    /// Settings.
    options: SyslogOptions,
}

impl SyslogServer {
    /// Bind the sockets. Errors: the address and what the system says.
    pub fn bind(options: SyslogOptions) -> Result<Self, (SocketAddr, io::Error)> {
        let udp = options.udp.map(|address| {
            let bind = || {
                let socket = std::net::UdpSocket::bind(address)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            };
            bind().map_err(|error| (address, error))
        });
        let tcp = options.tcp.map(|address| {
            let bind = || {
                let socket = std::net::TcpListener::bind(address)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            };
            bind().map_err(|error| (address, error))
        });
        Ok(Self { udp: udp.transpose()?, tcp: tcp.transpose()?, options })
    }

    /// Where it listens: UDP, TCP.
    pub fn local_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let udp = self.udp.as_ref().and_then(|socket| socket.local_addr().ok());
        (udp, self.tcp.as_ref().and_then(|socket| socket.local_addr().ok()))
    }

    /// Serve until dropped. Errors: the runtime can not take a socket.
    pub async fn serve(self, spool: Spool, status: Arc<InputStatus>) -> io::Result<()> {
        let shared = Arc::new(Shared { spool, status, options: self.options });
        let mut tasks = JoinSet::new();
        if let Some(socket) = self.udp {
            let (socket, shared) = (UdpSocket::from_std(socket)?, Arc::clone(&shared));
            tasks.spawn(async move { shared.datagrams(&socket).await });
        }
        if let Some(listener) = self.tcp {
            let listener = TcpListener::from_std(listener)?;
            tasks.spawn(async move { connections(&listener, &shared).await });
        }
        while tasks.join_next().await.is_some() {}
        Ok(())
    }
}

/// Accept connections and serve each.
async fn connections(listener: &TcpListener, shared: &Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    loop {
        // Nobody closes the semaphore.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) if shared.allowed(peer.ip()) => {
                tasks.spawn(serve_one(Arc::clone(shared), stream, peer.ip(), place));
            }
            Ok((_, peer)) => shared.refused(peer.ip()),
            Err(error) => {
                tracing::warn!("{}: can not accept connections: {error}", shared.status.name);
                sleep(RETRY_PAUSE).await;
            }
        }
        while tasks.try_join_next().is_some() {}
    }
}

/// Serve one connection.
async fn serve_one(shared: Arc<Shared>, stream: TcpStream, peer: IpAddr, _place: OwnedSemaphorePermit) {
    shared.stream(stream, peer.to_canonical()).await;
}

/// What all tasks share.
struct Shared {
    /// Where lines go.
    spool: Spool,
    /// What is counted.
    status: Arc<InputStatus>,
    /// Settings.
    options: SyslogOptions,
}

impl Shared {
    /// Is this peer heard?
    fn allowed(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.options.peers.iter().any(|net| net.contains(&peer))
    }

    /// Count a peer that is not heard, and say so once in a while.
    fn refused(&self, peer: IpAddr) {
        let before = self.status.drops()[Drop::Peer as usize];
        self.status.dropped(Drop::Peer, 1);
        if before.is_multiple_of(1000) {
            tracing::warn!("{}: {peer} is not among `peers` and is not heard", self.status.name);
        }
    }

    /// Add a message's line.
    fn add(&self, message: &[u8], peer: IpAddr, lines: &mut Vec<u8>) {
        if message.trim_ascii().is_empty() {
            return;
        }
        let arrived_us = (clock::now_f64() * 1e6) as i64;
        normal::syslog(message, &peer.to_string(), arrived_us, &self.options.time_zone, lines);
    }

    /// Take datagrams for ever.
    async fn datagrams(&self, socket: &UdpSocket) {
        let mut buffer = vec![0; 65_535];
        loop {
            if socket.readable().await.is_err() {
                sleep(RETRY_PAUSE).await;
                continue;
            }
            let (mut lines, mut count) = (Vec::new(), 0);
            while count < DATAGRAMS_MAX
                && let Ok((octets, peer)) = socket.try_recv_from(&mut buffer)
            {
                count += 1;
                if self.allowed(peer.ip()) {
                    self.add(&buffer[..octets], peer.ip().to_canonical(), &mut lines);
                } else {
                    self.refused(peer.ip());
                }
            }
            let number = memchr::memchr_iter(b'\n', &lines).count() as u64;
            match if lines.is_empty() { Ok(()) } else { self.spool.append_and_forget(lines) } {
                Ok(()) => {}
                Err(SpoolError::Full) => self.status.dropped(Drop::Full, number),
                Err(_) => self.status.dropped(Drop::Failed, number),
            }
        }
    }

    /// Take a connection's messages until it ends.
    async fn stream(&self, mut stream: TcpStream, peer: IpAddr) {
        let mut frames = Frames::default();
        let mut buffer = vec![0; READ_OCTETS];
        loop {
            // A pause ends a message only where something is waiting for its end.
            let read = if frames.is_empty() {
                stream.read(&mut buffer).await
            } else {
                match timeout(PAUSE, stream.read(&mut buffer)).await {
                    Ok(read) => read,
                    Err(_) => {
                        let mut lines = Vec::new();
                        frames.paused().iter().for_each(|message| self.add(message, peer, &mut lines));
                        self.keep(lines).await;
                        stream.read(&mut buffer).await
                    }
                }
            };
            let over = !matches!(read, Ok(1..));
            frames.push(&buffer[..read.unwrap_or(0)]);
            let mut lines = Vec::new();
            while let Some(message) = frames.next() {
                self.add(&message, peer, &mut lines);
            }
            if over {
                frames.close().iter().for_each(|message| self.add(message, peer, &mut lines));
            }
            self.keep(lines).await;
            if over {
                return;
            }
        }
    }

    /// Put lines into the spool, however long it takes: the peer waits.
    async fn keep(&self, lines: Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        loop {
            let outcome = match self.spool.append(lines.clone()) {
                Ok(told) => told.await.unwrap_or(Err(SpoolError::Stopped)),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => return,
                Err(SpoolError::Stopped) => return,
                Err(SpoolError::Full | SpoolError::Failed(_)) => sleep(RETRY_PAUSE).await,
            }
        }
    }
}

/// Cuts a stream into messages.
#[derive(Debug, Default)]
pub struct Frames {
    /// What has come and is not taken.
    buffer: Vec<u8>,
    /// Octets at its beginning that are taken.
    taken: usize,
    /// What is left of a message that was too long.
    skip: Skip,
    /// What ends a message without an octet count.
    ends: Ends,
}

/// What ends a message without an octet count.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// Not known yet.
    #[default]
    Unknown,
    /// A line feed or NUL.
    Line,
    /// The next message, or a pause.
    Next,
}

/// What is left of a message that was too long.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// Nothing.
    #[default]
    None,
    /// So many octets.
    Octets(usize),
    /// Everything up to its end.
    Message,
}

impl Frames {
    /// Take octets in.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// Is nothing waiting?
    fn is_empty(&self) -> bool {
        self.taken == self.buffer.len()
    }

    /// The next message that is complete.
    #[allow(clippy::should_implement_trait, reason = "it is asked again after more has come")]
    pub fn next(&mut self) -> Option<Vec<u8>> {
        self.pass_over();
        let rest = &self.buffer[self.taken..];
        if rest.is_empty() {
            return None;
        }
        if let Some((digits, octets)) = counted(rest) {
            let (start, here) = (digits + 1, octets.min(MESSAGE_OCTETS_MAX));
            if rest.len() < start + here {
                return None;
            }
            let message = rest[start..start + here].to_vec();
            self.taken += start + here;
            self.skip = if octets > here { Skip::Octets(octets - here) } else { Skip::None };
            return Some(message);
        }
        if maybe_counted(rest) {
            return None;
        }
        if self.ends != Ends::Line && memchr::memchr2(b'\n', 0, rest).is_some() {
            self.ends = Ends::Line;
        } else if self.ends == Ends::Unknown && rest.len() > MESSAGE_OCTETS_MAX {
            self.ends = Ends::Next;
        }
        let window = &rest[..rest.len().min(MESSAGE_OCTETS_MAX + 1)];
        if let Some((end, next)) = end_of(window, self.ends) {
            let message = window[..end].to_vec();
            self.taken += next;
            return Some(message);
        }
        (rest.len() > MESSAGE_OCTETS_MAX).then(|| {
            let message = window[..MESSAGE_OCTETS_MAX].to_vec();
            self.taken += MESSAGE_OCTETS_MAX;
            self.skip = Skip::Message;
            message
        })
    }

    /// The peer pauses: where no line feeds come, what is there is complete.
    fn paused(&mut self) -> Vec<Vec<u8>> {
        let waits = counted(&self.buffer[self.taken..]).is_some() || maybe_counted(&self.buffer[self.taken..]);
        if self.ends == Ends::Line || waits { Vec::new() } else { self.close() }
    }

    /// The stream is over: what is left.
    pub fn close(&mut self) -> Vec<Vec<u8>> {
        if self.ends == Ends::Unknown {
            self.ends = Ends::Next;
        }
        let mut all = Vec::new();
        while let Some(message) = self.next() {
            all.push(message);
        }
        let rest = self.buffer.split_off(self.taken);
        self.buffer.clear();
        self.taken = 0;
        let text = counted(&rest).map_or(0, |(digits, _)| digits + 1);
        if self.skip == Skip::None && rest.len() > text {
            all.push(rest[text..].to_vec());
        }
        all
    }

    /// Pass over what is left of a message that was too long.
    fn pass_over(&mut self) {
        let rest = &self.buffer[self.taken..];
        if self.skip == Skip::Message && memchr::memchr2(b'\n', 0, rest).is_some() {
            self.ends = Ends::Line;
        }
        match self.skip {
            Skip::None => {}
            Skip::Octets(octets) => {
                let here = octets.min(rest.len());
                self.taken += here;
                self.skip = if octets > here { Skip::Octets(octets - here) } else { Skip::None };
            }
            Skip::Message => match end_of(rest, self.ends) {
                Some((_, next)) => {
                    self.taken += next;
                    self.skip = Skip::None;
                }
                // The last octets may be the beginning of what begins a message.
                None => self.taken = self.buffer.len() - rest.len().min(BEGIN_OCTETS_MAX),
            },
        }
    }
}

/// Digits and the number that they say, where a message with an octet count begins: `123 <`.
fn counted(rest: &[u8]) -> Option<(usize, usize)> {
    let digits = rest.iter().take(8).take_while(|octet| octet.is_ascii_digit()).count();
    if !(1..8).contains(&digits)
        || rest[0] == b'0'
        || rest.get(digits) != Some(&b' ')
        || rest.get(digits + 1) != Some(&b'<')
    {
        return None;
    }
    // At most seven digits, so both can not fail.
    let octets = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    Some((digits, octets))
}

/// May more octets make this the beginning of an octet count?
fn maybe_counted(rest: &[u8]) -> bool {
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    (1..8).contains(&digits) && (rest.len() == digits || (rest.len() == digits + 1 && rest[digits] == b' '))
}

/// Where a message ends, and where the next begins.
fn end_of(text: &[u8], ends: Ends) -> Option<(usize, usize)> {
    match ends {
        Ends::Unknown => None,
        Ends::Line => memchr::memchr2(b'\n', 0, text).map(|at| (at, at + 1)),
        // The first octet is this message's own.
        Ends::Next => {
            let begin = memchr::memchr_iter(b'<', text).filter(|&at| at > 0).find(|&at| begins(&text[at..]));
            begin.map(|at| (at, at))
        }
    }
}

/// Does a message begin here? A client's text may hold a priority, so a stamp must follow it in full.
fn begins(text: &[u8]) -> bool {
    let Some((_, rest)) = split_priority(text) else { return false };
    let rest = rest.strip_prefix(b"1 ").unwrap_or(rest);
    let form = |form: &[u8]| {
        rest.len() >= form.len()
            && form.iter().zip(rest).all(|(&want, &octet)| match want {
                b'9' => octet.is_ascii_digit(),
                b'_' => octet.is_ascii_digit() || octet == b' ',
                b'A' => octet.is_ascii_alphabetic(),
                _ => octet == want,
            })
    };
    form(b"AAA _9 99:99:99 ") || form(b"9999-99-99T99:99:99")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a stream, however it is cut.
    fn frames(stream: &[u8], piece: usize) -> Vec<String> {
        let (mut frames, mut all) = (Frames::default(), Vec::new());
        for octets in stream.chunks(piece) {
            frames.push(octets);
            while let Some(message) = frames.next() {
                all.push(message);
            }
        }
        all.extend(frames.close());
        all.into_iter().map(|message| String::from_utf8(message).unwrap()).collect()
    }

    #[test]
    fn a_pause_ends_what_has_no_other_end() {
        let mut frames = Frames::default();
        let m = b"<22>Nov 21 19:46:05 mx a: b";
        frames.push(&[&m[..], &m[..]].concat());
        assert_eq!((frames.next(), frames.paused()), (None, vec![m.to_vec(), m.to_vec()]));
        frames.push(b"90 <22>");
        assert_eq!((frames.next(), frames.paused()), (None, vec![]));
        let mut frames = Frames::default();
        frames.push(b"<22>a\n<22>b");
        assert_eq!((frames.next(), frames.next(), frames.paused()), (Some(b"<22>a".to_vec()), None, vec![]));
    }

    #[test]
    fn framings() {
        let m = "<22>Nov 21 19:46:05 mx a: b";
        let long = "x".repeat(MESSAGE_OCTETS_MAX + 10);
        let cut = &long[..MESSAGE_OCTETS_MAX];
        let counted_long = format!("{} <1>{long}5 <1>ab", long.len() + 3);
        let table: Vec<(String, Vec<&str>)> = vec![
            (format!("{m}\n{m}\n"), vec![m, m]),
            (format!("{m}\0{m}"), vec![m, m]),
            (format!("{m}{m}"), vec![m, m]),
            // What a client wrote is no message where line feeds end them.
            (
                format!("{m}<22>Nov 21 19:46:05 mx a: c\n{m}\n"),
                vec!["<22>Nov 21 19:46:05 mx a: b<22>Nov 21 19:46:05 mx a: c", m],
            ),
            (format!("{} {m}{} {m}", m.len(), m.len()), vec![m, m]),
            (format!("{} {m}{m}\n", m.len()), vec![m, m]),
            (format!("{m} <22>no stamp\n{m}"), vec!["<22>Nov 21 19:46:05 mx a: b <22>no stamp", m]),
            (format!("{m} helo=<11>\n"), vec!["<22>Nov 21 19:46:05 mx a: b helo=<11>"]),
            (format!("{long}\n{m}\n"), vec![cut, m]),
            (counted_long.clone(), vec![&counted_long[5..5 + MESSAGE_OCTETS_MAX], "<1>ab"]),
            ("12 monkeys\n".to_owned(), vec!["12 monkeys"]),
        ];
        for (stream, expected) in table {
            for piece in [1, 2, 7, 1000, usize::MAX] {
                assert_eq!(frames(stream.as_bytes(), piece), expected, "{piece} {stream:.60}");
            }
        }
    }
}
