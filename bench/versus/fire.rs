//! The load generator: as many queries as come back at once, or a steady rate, from one thread that never sleeps.
//!
//! It spins on its own processor, so that the server pays for no wake-up: a client elsewhere would cost it none either. What share of its
//! time it found nothing to do is told; where that is nothing, the generator is the limit and not the server.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use dnsbld::sys::Batch;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use crate::lists::Rng;
use crate::suite::fail;

use super::traffic::{Traffic, uniform};

/// Queries under way at saturation: some batches of a server, and fewer than a receive buffer of the system's usual size holds
/// (212 992 octets, 768 or more for each datagram).
const UNDER_WAY: usize = 128;
/// Most datagrams received or sent in one call.
const BATCH: usize = 64;
/// When nothing came for so long at saturation, what is under way counts as lost.
const SILENCE: Duration = Duration::from_millis(100);
/// How long answers are waited for after the last query at a steady rate.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// Different gaps between queries before they repeat.
const GAPS: usize = 1 << 14;
/// Octets that a socket may hold, so that the generator loses nothing itself.
const BUFFER_OCTETS: usize = 8 << 20;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Fired {
    /// Queries sent.
    pub sent: u64,
    /// Queries answered.
    pub answered: u64,
    /// Queries without an answer.
    pub lost: u64,
    /// Answers with records where none belong, or without where some do.
    pub wrong: u64,
    /// How long it took, s.
    pub seconds: f64,
    /// Share of the time in which the generator had something to do, 0 to 1.
    pub busy: f64,
    /// Time from when each query was due to its answer, ns, sorted; empty at saturation.
    pub latencies_ns: Vec<u32>,
}

impl Fired {
    /// The latency below which a share of the answers came, µs; 0 of nothing.
    pub fn latency_us(&self, share: f64) -> f64 {
        let at = (self.latencies_ns.len() as f64 * share) as usize;
        self.latencies_ns.get(at).or(self.latencies_ns.last()).map_or(0.0, |&ns| f64::from(ns) / 1e3)
    }
}

/// Sockets towards a server, each with a port of its own.
fn sockets(server: SocketAddr, count: usize) -> Vec<UdpSocket> {
    let open = |_| {
        let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER_OCTETS)?;
            Ok(socket)
        });
        socket.unwrap_or_else(|error| fail(&format!("no socket for the generator: {error}")))
    };
    (0..count).map(open).collect()
}

/// Keep a number of queries under way for so long, over so many sockets.
pub fn saturate(server: SocketAddr, traffic: &Traffic, ports: usize, lasts: Duration) -> Fired {
    let sockets = sockets(server, ports);
    let mut batch = Batch::new(BATCH);
    let mut fired = Fired::default();
    let mut next = 0usize;
    let mut idle = Duration::ZERO;
    let each = UNDER_WAY / ports;
    let refill = |socket: &UdpSocket, next: &mut usize, count: usize| {
        let mut datagram = Vec::new();
        for _ in 0..count {
            datagram.clear();
            datagram.extend_from_slice(traffic.query(*next));
            datagram[..2].copy_from_slice(&(*next as u16).to_be_bytes());
            // A query that can not be sent counts as lost in the end.
            let _ = socket.send(&datagram);
            *next += 1;
        }
    };
    let mut under_way = vec![each; ports];
    for socket in &sockets {
        refill(socket, &mut next, each);
    }
    let begin = Instant::now();
    let mut heard = vec![begin; ports];
    'ports: for (port, socket) in sockets.iter().enumerate().cycle() {
        let before = Instant::now();
        if before - begin >= lasts {
            break 'ports;
        }
        // An error means that the server has gone: then everything is lost, and that is what is told.
        let count = batch.receive(socket).unwrap_or(0);
        if count == 0 {
            idle += before.elapsed();
            if before - heard[port] > SILENCE {
                fired.lost += under_way[port] as u64;
                under_way[port] = each;
                heard[port] = before;
                refill(socket, &mut next, each);
            }
            continue;
        }
        heard[port] = before;
        for index in 0..count {
            let datagram = batch.datagram(index);
            let id = usize::from(u16::from_be_bytes([datagram.buffer[0], datagram.buffer[1]]));
            // The query with this ID that was sent last.
            let asked = next.wrapping_sub(next.wrapping_sub(id) & 0xffff);
            fired.wrong += u64::from(traffic.is_wrong(asked, &datagram.buffer[..datagram.len]));
            let query = traffic.query(next);
            datagram.buffer[..query.len()].copy_from_slice(query);
            datagram.buffer[..2].copy_from_slice(&(next as u16).to_be_bytes());
            batch.reply(index, query.len());
            next += 1;
        }
        fired.answered += count as u64;
        let failed = batch.send(socket);
        under_way[port] -= failed.min(under_way[port]);
    }
    fired.seconds = begin.elapsed().as_secs_f64();
    fired.busy = 1.0 - idle.as_secs_f64() / fired.seconds;
    fired.sent = next as u64;
    fired
}

/// How a steady rate is asked.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    /// Queries a second in the mean; the gaps between them are those of chance (exponential).
    pub rate: f64,
    /// How many ports they come from.
    pub ports: usize,
    /// Never sleep. Otherwise the generator leaves its processor to others when it has nothing to do.
    pub spin: bool,
    /// At most so long.
    pub lasts: Duration,
}

/// Ask at a steady rate for so long, or until `stop` says so.
pub fn steady(server: SocketAddr, traffic: &Traffic, how: Steady, stop: &dyn Fn() -> bool) -> Fired {
    let sockets = sockets(server, how.ports);
    let mut rng = Rng::new(31);
    let gaps: Vec<f64> = (0..GAPS).map(|_| -(1.0 - uniform(&mut rng)).ln() / how.rate).collect();
    let mut batch = Batch::new(BATCH);
    let mut fired = Fired::default();
    // When the query with each ID was due and its number; none when it was answered.
    let mut asked: Vec<Option<(f64, usize)>> = vec![None; 1 << 16];
    let mut outgoing: Vec<Vec<u8>> = vec![Vec::new(); BATCH];
    let (mut next, mut due, mut idle) = (0usize, 0.0f64, Duration::ZERO);
    let lasts = how.lasts.as_secs_f64();
    let mut asking = true;
    let begin = Instant::now();
    let mut ended = None;
    for socket in sockets.iter().cycle() {
        let now = begin.elapsed().as_secs_f64();
        if asking && (now >= lasts || stop()) {
            asking = false;
            ended = Some(now);
        }
        let mut count = 0;
        while asking && due <= now && count < BATCH {
            let id = next as u16;
            if asked[usize::from(id)].replace((due, next)).is_some() {
                fired.lost += 1;
            }
            outgoing[count].clear();
            outgoing[count].extend_from_slice(traffic.query(next));
            outgoing[count][..2].copy_from_slice(&id.to_be_bytes());
            due += gaps[next % GAPS];
            next += 1;
            count += 1;
        }
        send_all(socket, &outgoing[..count]);
        let mut received = 0;
        for socket in &sockets {
            // The server may close its socket for a moment: what is lost thereby is told in the end.
            let got = batch.receive(socket).unwrap_or(0);
            let at = begin.elapsed().as_secs_f64();
            for index in 0..got {
                let datagram = batch.datagram(index);
                let id = u16::from_be_bytes([datagram.buffer[0], datagram.buffer[1]]);
                if let Some((due, number)) = asked[usize::from(id)].take() {
                    fired.answered += 1;
                    fired.wrong += u64::from(traffic.is_wrong(number, &datagram.buffer[..datagram.len]));
                    fired.latencies_ns.push(((at - due) * 1e9) as u32);
                }
            }
            received += got;
        }
        if count + received == 0 {
            if let Some(ended) = ended
                && (fired.answered + fired.lost == next as u64 || now > ended + PATIENCE.as_secs_f64())
            {
                break;
            }
            if !how.spin {
                std::thread::sleep(Duration::from_micros(50));
            }
            idle += Duration::from_secs_f64(begin.elapsed().as_secs_f64() - now);
        }
    }
    fired.lost = next as u64 - fired.answered;
    fired.sent = next as u64;
    fired.seconds = ended.unwrap_or(lasts);
    fired.busy = (1.0 - idle.as_secs_f64() / begin.elapsed().as_secs_f64()).max(0.0);
    fired.latencies_ns.sort_unstable();
    fired
}

/// Send datagrams in one call; what the system does not take is lost.
fn send_all(socket: &UdpSocket, datagrams: &[Vec<u8>]) {
    if datagrams.is_empty() {
        return;
    }
    let slices: Vec<[IoSlice<'_>; 1]> = datagrams.iter().map(|datagram| [IoSlice::new(datagram)]).collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        datagrams.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<MMsgHdr<'_>> =
        slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
    let _ = sendmmsg(socket, &mut messages, SendFlags::empty());
}
