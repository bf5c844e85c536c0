//! Tests of the workers, over loopback.

use std::io::ErrorKind;
use std::net::IpAddr;

use super::super::testing::{ECHO, answers_of};
use super::*;
use crate::zone::Publisher;

/// How long a test waits for an answer that should already be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Workers with the echoing answer on `ip`.
fn start(ip: &str, workers: usize, batch: usize) -> (SocketAddr, UdpWorkers, Registry) {
    let addresses = vec![SocketAddr::new(ip.parse().unwrap(), 0)];
    let options = UdpOptions { addresses, workers, pin: true, receive_buffer_octets: Some(65_536), batch, rate: None };
    let server = UdpServer::bind(options).unwrap();
    let address = server.local_addresses()[0];
    let registry = Registry::default();
    let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
    let workers = server.start_with(ECHO, Publisher::default().reader(), policy, &registry).unwrap();
    (address, workers, registry)
}

/// A client that hears only what `to` says.
fn client(to: SocketAddr) -> UdpSocket {
    let own: IpAddr = if to.is_ipv4() { [127, 0, 0, 1].into() } else { "::1".parse().unwrap() };
    let socket = UdpSocket::bind((own, 0)).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Ask and hear.
fn ask(client: &UdpSocket, message: &str) -> String {
    client.send(message.as_bytes()).unwrap();
    hear(client)
}

/// The next answer.
fn hear(client: &UdpSocket) -> String {
    let mut answer = [0; 512];
    let len = client.recv(&mut answer).unwrap();
    String::from_utf8(answer[..len].into()).unwrap()
}

/// Answers and silences counted by all blocks.
fn counted(registry: &Registry) -> (Vec<u64>, [u64; 4]) {
    let (blocks, _) = registry.read();
    let answers = blocks.iter().map(|block| answers_of(block)).collect();
    let dropped = std::array::from_fn(|why| blocks.iter().map(|block| block.dropped[why].load(Relaxed)).sum());
    (answers, dropped)
}

#[test]
fn answers_come_and_are_counted() {
    for ip in ["127.0.0.1", "::1"] {
        let (address, workers, registry) = start(ip, 1, 4);
        let client = client(address);
        assert_eq!(ask(&client, "hello"), "HELLO");
        assert_eq!(ask(&client, "@"), client.local_addr().unwrap().ip().to_string());
        // Silence, then an answer to show that the silence is over.
        for silent in ["-", "?", ""] {
            client.send(silent.as_bytes()).unwrap();
        }
        assert_eq!(ask(&client, "end"), "END");
        workers.shutdown();
        assert_eq!(counted(&registry), (vec![3], [2, 0, 1, 0]));
        let octets = registry.read().0[0].octets.each_ref().map(|octets| octets.load(Relaxed));
        assert_eq!(octets, [5 + 1 + 1 + 1 + 3, 5 + ip.len() as u64 + 3]);
    }
}

#[test]
fn a_wildcard_worker_answers_from_the_address_asked() {
    let (bound, workers, _) = start("0.0.0.0", 2, 4);
    for asked in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        let client = client(SocketAddr::new(asked.parse().unwrap(), bound.port()));
        assert_eq!(ask(&client, "who"), "WHO", "{asked}");
    }
    workers.shutdown();
}

#[test]
fn clients_spread_over_workers() {
    let (address, workers, registry) = start("127.0.0.1", 3, 8);
    // The kernel chooses by a hash of the client's port; that 60 clients leave one of three out has odds of
    // 3 * (2/3)^60, one in ten thousand million.
    for _ in 0..60 {
        assert_eq!(ask(&client(address), "q"), "Q");
    }
    workers.shutdown();
    let (answers, _) = counted(&registry);
    assert_eq!((answers.len(), answers.iter().sum::<u64>()), (3, 60));
    assert!(answers.iter().all(|&count| count > 0), "{answers:?}");
}

#[test]
fn a_panic_costs_one_answer_only() {
    let (address, workers, registry) = start("127.0.0.1", 1, 16);
    let client = client(address);
    let mut expected = Vec::new();
    for round in 0..20 {
        for message in [format!("a{round}"), "!".into(), format!("b{round}"), "!".into()] {
            client.send(message.as_bytes()).unwrap();
            if message != "!" {
                expected.push(message.to_uppercase());
            }
        }
    }
    let heard: Vec<_> = expected.iter().map(|_| hear(&client)).collect();
    assert_eq!(heard, expected);
    // The last panic comes after the last answer; one more question shows that it is over.
    assert_eq!(ask(&client, "alive"), "ALIVE");
    workers.shutdown();
    assert_eq!(registry.read().0[0].panicked.load(Relaxed), 40);
}

#[test]
fn shutdown_frees_the_address() {
    let (address, workers, _) = start("127.0.0.1", 2, 4);
    let begun = Instant::now();
    workers.shutdown();
    assert!(begun.elapsed() < PATIENCE);
    let client = client(address);
    client.send(b"anyone?").unwrap();
    assert_eq!(client.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let options = UdpOptions { addresses: vec![address], ..UdpOptions::default() };
    UdpServer::bind(options).unwrap();
}

#[test]
fn the_public_start_answers_with_handle() {
    // No zones, and the message is no query: nothing must come back, and the drop must be counted.
    let server = UdpServer::bind(UdpOptions {
        addresses: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
        ..UdpOptions::default()
    })
    .unwrap();
    let addresses = server.local_addresses();
    let registry = Registry::default();
    let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
    let workers = server.start(Publisher::default().reader(), policy, &registry).unwrap();
    assert_eq!(addresses.len(), 2);
    for &address in &addresses {
        client(address).send(b"x").unwrap();
    }
    let begun = Instant::now();
    while counted(&registry).1[0] < 2 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", counted(&registry));
        thread::yield_now();
    }
    workers.shutdown();
}

#[test]
fn kernel_drops_reach_the_counters_once() {
    let how = DatagramSocket { receive_buffer_octets: Some(2048), block_max: Duration::from_millis(1) };
    let socket = datagram_sockets("127.0.0.1:0".parse().unwrap(), 1, how).unwrap().remove(0);
    let client = client(socket.local_addr().unwrap());
    let mut worker = Worker {
        name: "test".into(),
        socket,
        answer: ECHO,
        reader: Publisher::default().reader(),
        policy: Arc::new(ArcSwap::from_pointee(Policy::default())),
        block: Block::new(Transport::Udp),
        stop: Arc::default(),
        batch: 4,
        prepared: vec![Prepared::default(); 4].into(),
        pin: None,
        query_log: None,
        limiter: None,
        time_s: 0,
        time_ns: 0,
        asks_drops: true,
        rotation: 0,
        drops: 0,
        panics: Seldom::default(),
        errors: Seldom::default(),
        limits: Seldom::default(),
    };
    let mut batch = Batch::new(worker.batch);
    let mut sent = 0;
    for _ in 0..2 {
        for _ in 0..200 {
            client.send(&[b'-'; 500]).unwrap();
        }
        sent += 200;
        // What fits is taken; a further datagram tells of those that did not.
        for last in [false, true] {
            if last {
                client.send(b"-").unwrap();
                sent += 1;
            }
            while let count @ 1.. = batch.receive(&worker.socket).unwrap() {
                worker.serve(&mut batch, count);
            }
        }
        let taken = worker.block.dropped[Dropped::Policy as usize].load(Relaxed);
        let lost = worker.block.kernel_dropped.load(Relaxed);
        assert!(lost > 0, "the buffer should have overflowed");
        assert_eq!(taken + lost, sent);
    }
}
