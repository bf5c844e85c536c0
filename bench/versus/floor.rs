//! The floor: a responder that does nothing but receive and send in batches, with queries and answers of the same sizes.
//!
//! The kernel's share is most of what a query costs, and no server on sockets can cost less. It uses the same batched calls as the server. What it
//! appends to a query are the octets that the server appended to one like it, in the share of hits that is asked, so that the answers have the same sizes.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use std::{io, thread};

use dnsbld::serve::udp::BATCH_DEFAULT;
use dnsbld::sys::{Batch, prepare_datagram_socket};
use socket2::{Domain, Socket, Type};

use crate::suite::fail;

use super::traffic::OPT_OCTETS;

/// What stands behind the question of an answer, with its head.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Octets 2 to 11 of the answer: flags and counts.
    head: Vec<u8>,
    /// What follows the question.
    behind: Vec<u8>,
}

impl Tail {
    /// Taken from an answer to a query without EDNS.
    pub fn of(query: &[u8], answer: &[u8]) -> Self {
        if answer.len() < query.len() {
            fail("the answer that the floor is to copy is shorter than its query");
        }
        Self { head: answer[2..12].to_vec(), behind: answer[query.len()..].to_vec() }
    }

    /// As an argument of a command line.
    pub fn to_hex(&self) -> String {
        self.head.iter().chain(&self.behind).map(|octet| format!("{octet:02x}")).collect()
    }

    /// The reverse.
    fn from_hex(text: &str) -> Self {
        let octet = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        let octets: Vec<u8> = (0..text.len())
            .step_by(2)
            .map(|at| octet(at).unwrap_or_else(|| fail("a tail is not hexadecimal")))
            .collect();
        Self { head: octets[..10].to_vec(), behind: octets[10..].to_vec() }
    }
}

/// Answer until killed.
pub fn child(address: &str, workers: &str, hit_percent: &str, hit: &str, miss: &str) {
    let address: SocketAddr = address.parse().unwrap_or_else(|error| fail(&format!("{address}: {error}")));
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|error| fail(&format!("{text}: {error}")));
    let (workers, hit_percent) = (number(workers), number(hit_percent));
    let tails = [Tail::from_hex(miss), Tail::from_hex(hit)];
    let sockets: Vec<UdpSocket> = (0..workers)
        .map(|_| open(address).unwrap_or_else(|error| fail(&format!("{address} can not be listened on: {error}"))))
        .collect();
    thread::scope(|scope| {
        for socket in &sockets {
            scope.spawn(|| serve(socket, hit_percent, &tails));
        }
    });
}

/// A socket as the server opens it.
fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_reuse_port(true)?;
    prepare_datagram_socket(&socket, address)?;
    socket.bind(&address.into())?;
    socket.set_read_timeout(Some(Duration::from_millis(250)))?;
    Ok(socket.into())
}

/// One worker.
fn serve(socket: &UdpSocket, hit_percent: u64, tails: &[Tail; 2]) -> ! {
    let mut batch = Batch::new(BATCH_DEFAULT);
    let mut turn = 0;
    loop {
        let count = batch.receive(socket).unwrap_or_else(|error| fail(&format!("the floor can not receive: {error}")));
        for index in 0..count {
            let datagram = batch.datagram(index);
            // The last octet of the head counts additional records: the OPT, and nothing else here.
            let opt = if datagram.buffer[11] == 0 { 0 } else { OPT_OCTETS };
            let end = datagram.len.saturating_sub(opt).max(12);
            // Spread evenly: 37 has no divisor in common with 100.
            turn = (turn + 37) % 100;
            let tail = &tails[usize::from(turn < hit_percent)];
            let len = end + tail.behind.len();
            datagram.buffer.copy_within(end..end + opt, len);
            datagram.buffer[end..len].copy_from_slice(&tail.behind);
            datagram.buffer[2..12].copy_from_slice(&tail.head);
            datagram.buffer[11] = u8::from(opt > 0);
            batch.reply(index, len + opt);
        }
        batch.send(socket);
    }
}
