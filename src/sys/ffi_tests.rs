//! Tests of the batched calls, over loopback.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use super::*;

/// How long a test waits for a datagram that should already be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// A prepared socket, bound to a port of the system's choice.
fn server(ip: &str, receive_buffer_octets: Option<usize>) -> UdpSocket {
    let address = SocketAddr::new(ip.parse().unwrap(), 0);
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None).unwrap();
    prepare_datagram_socket(&socket, address).unwrap();
    if let Some(octets) = receive_buffer_octets {
        assert!(set_receive_buffer(&socket, octets).unwrap() >= octets);
    }
    socket.bind(&address.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// A client that talks to `to` only: an answer from elsewhere does not reach it.
fn client(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Receive until `wanted` datagrams have been echoed in upper case; returns how many each call took.
fn echo(batch: &mut Batch, socket: &UdpSocket, wanted: usize) -> Vec<usize> {
    let mut calls = Vec::new();
    while calls.iter().sum::<usize>() < wanted {
        let count = batch.receive(socket).unwrap();
        assert!(count > 0, "time-out after {calls:?}");
        for index in 0..count {
            let Datagram { buffer, len, .. } = batch.datagram(index);
            buffer[..len].make_ascii_uppercase();
            batch.reply(index, len);
        }
        assert_eq!(batch.send(socket), 0);
        calls.push(count);
    }
    calls
}

#[test]
fn a_batch_takes_what_is_there_and_answers_each_its_own() {
    for ip in ["127.0.0.1", "::1"] {
        let server = server(ip, None);
        let to = server.local_addr().unwrap();
        let clients: Vec<_> = (0..10).map(|_| client(to)).collect();
        let mut batch = Batch::new(4);
        // The second and third round show that used slots are reset, lengths included.
        for round in ["a long first message", "b", "middle one"] {
            for (i, client) in clients.iter().enumerate() {
                client.send(format!("{round} {i}").as_bytes()).unwrap();
            }
            assert_eq!(echo(&mut batch, &server, 10), [4, 4, 2], "{ip}");
            for (i, client) in clients.iter().enumerate() {
                let mut answer = [0; 64];
                let len = client.recv(&mut answer).unwrap();
                assert_eq!(std::str::from_utf8(&answer[..len]).unwrap(), format!("{round} {i}").to_uppercase());
            }
        }
    }
}

#[test]
fn peers_are_told() {
    for ip in ["127.0.0.1", "::1"] {
        let server = server(ip, None);
        let client = client(server.local_addr().unwrap());
        client.send(b"x").unwrap();
        let mut batch = Batch::new(1);
        assert_eq!(batch.receive(&server).unwrap(), 1);
        assert_eq!(batch.datagram(0).peer, client.local_addr().unwrap());
    }
}

#[test]
fn nothing_there_is_no_error() {
    let server = server("127.0.0.1", None);
    server.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut batch = Batch::new(8);
    assert_eq!(batch.receive(&server).unwrap(), 0);
    assert_eq!(batch.send(&server), 0);
}

#[test]
fn a_wildcard_answers_from_the_address_asked() {
    // The clients are connected, so an answer from any other address would not reach them.
    for (bound, asked) in
        [("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::", "::1"), ("127.0.0.3", "127.0.0.3")]
    {
        let server = server(bound, None);
        let client = client(SocketAddr::new(asked.parse().unwrap(), server.local_addr().unwrap().port()));
        let mut batch = Batch::new(2);
        for _ in 0..3 {
            client.send(b"who").unwrap();
            echo(&mut batch, &server, 1);
            let mut answer = [0; 8];
            assert_eq!(client.recv(&mut answer).unwrap(), 3, "{bound} asked as {asked}");
        }
    }
}

#[test]
fn source_control_data_names_no_interface_but_for_link_local() {
    let cases = [("192.0.2.1", Some(0)), ("2001:db8::1", Some(0)), ("fe80::1", Some(7)), ("ff02::1", None)];
    for (address, interface) in cases {
        let mut batch = Batch::new(1);
        let slot = batch.slot(0);
        slot.answer_from(address.parse().unwrap(), 7_u32);
        let written = (slot.control_len > 0).then(|| {
            let at = |octet: usize| (slot.control[octet / 8] >> (octet % 8 * 8)) as u32;
            // After the header of 16 octets: the interface stands first in IPv4's, last in IPv6's.
            let v6 = address.contains(':');
            if cfg!(target_endian = "little") { at(if v6 { 32 } else { 16 }) } else { interface.unwrap() }
        });
        assert_eq!(written, interface, "{address}");
    }
}

#[test]
fn one_bad_destination_does_not_cost_the_others() {
    for bad in [&[0][..], &[2], &[4], &[1, 2], &[0, 4], &[0, 1, 2, 3, 4]] {
        let server = server("127.0.0.1", None);
        let clients: Vec<_> = (0..5).map(|_| client(server.local_addr().unwrap())).collect();
        for client in &clients {
            client.send(b"q").unwrap();
        }
        let mut batch = Batch::new(8);
        assert_eq!(batch.receive(&server).unwrap(), 5);
        for index in 0..5 {
            if bad.contains(&index) {
                // Broadcast is forbidden to a socket that has not asked for it (EACCES).
                batch.set_peer(index, SocketAddrV4::new(Ipv4Addr::BROADCAST, 9));
            }
            batch.reply(index, 1);
        }
        assert_eq!(batch.send(&server), bad.len(), "{bad:?}");
        for (index, client) in clients.iter().enumerate().filter(|(index, _)| !bad.contains(index)) {
            assert_eq!(client.recv(&mut [0; 8]).unwrap(), 1, "client {index} with {bad:?} bad");
        }
    }
}

#[test]
fn silence_for_some_leaves_the_rest_dense() {
    let server = server("127.0.0.1", None);
    let clients: Vec<_> = (0..4).map(|_| client(server.local_addr().unwrap())).collect();
    for client in &clients {
        client.send(b"q").unwrap();
    }
    let mut batch = Batch::new(8);
    assert_eq!(batch.receive(&server).unwrap(), 4);
    for index in [1, 3] {
        batch.datagram(index).buffer[0] = b'0' + index as u8;
        batch.reply(index, 1);
    }
    assert_eq!(batch.send(&server), 0);
    for index in [1, 3] {
        let mut answer = [0; 8];
        assert_eq!(clients[index].recv(&mut answer).unwrap(), 1);
        assert_eq!(answer[0], b'0' + index as u8);
    }
    clients[0].set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(clients[0].recv(&mut [0; 8]).is_err());
}

#[test]
fn a_datagram_beyond_the_buffer_is_cut() {
    let server = server("127.0.0.1", None);
    let client = client(server.local_addr().unwrap());
    client.send(&[b'x'; DATAGRAM_OCTETS_MAX + 904]).unwrap();
    client.send(b"short").unwrap();
    let mut batch = Batch::new(2);
    assert_eq!(batch.receive(&server).unwrap(), 2);
    assert_eq!(batch.datagram(0).len, DATAGRAM_OCTETS_MAX);
    assert_eq!(batch.datagram(1).len, 5);
}

#[test]
fn the_kernel_tells_of_drops() {
    let server = server("127.0.0.1", Some(2048));
    let client = client(server.local_addr().unwrap());
    let mut batch = Batch::new(32);
    let mut sent_lost = 0;
    for round in 1..=2 {
        for _ in 0..200 {
            client.send(&[0; 512]).unwrap();
        }
        server.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut taken = 0;
        while let count @ 1.. = batch.receive(&server).unwrap() {
            taken += count;
        }
        sent_lost += 200 - taken;
        assert!(taken < 200, "round {round}: the buffer should have overflowed");
        // The counter comes with the next datagram that is queued after the drops.
        client.send(b"next").unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(batch.receive(&server).unwrap(), 1);
        assert_eq!(batch.kernel_drops() as usize, sent_lost, "round {round}");
    }
}

#[test]
fn the_allocator_takes_its_knobs() {
    tune_allocator();
    let big = vec![1_u8; 8 << 20];
    assert_eq!(big[big.len() - 1], 1);
    drop(big);
    trim();
}

#[test]
fn advice_on_pages_leaves_what_is_in_them() {
    /// Octets of a large page.
    const LARGE: usize = 2 << 20;
    let filled: Vec<u32> = (0..3 * LARGE as u32).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
    for slice in [&filled[..], &filled[1..], &filled[777..LARGE], &filled[..3], &[]] {
        advise_large_pages(slice);
    }
    assert!(filled.iter().zip(0u32..).all(|(&found, n)| found == n.wrapping_mul(0x9e37_79b9)));
}
