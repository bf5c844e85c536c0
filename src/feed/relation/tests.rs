//! The neighbour rule as a whole, against a DNS server of its own, and the socket that Postfix and Exim ask.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record};

use super::service::{Knows, Service, ServiceOptions};
use super::*;
use crate::feed::joe_job::{AddressKey, Attacked};

/// What the server knows: name, type, value. `servfail` as a value fails that look-up, `silent` leaves it without an answer.
const RECORDS: &[(&str, &str, &str)] = &[
    ("pass.test", "TXT", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"),
    ("pass.test", "TXT", "something else"),
    ("soft.test", "TXT", "v=spf1 ~all"),
    ("neutral.test", "TXT", "v=spf1 ?all"),
    ("empty.test", "TXT", "V=SPF1"),
    ("include.test", "TXT", "v=spf1 include:pass.test -all"),
    ("redirect.test", "TXT", "v=spf1 redirect=pass.test"),
    ("amx.test", "TXT", "v=spf1 a mx -all"),
    ("amx.test", "A", "198.51.100.1"),
    ("amx.test", "MX", "10 mx.amx.test"),
    ("mx.amx.test", "A", "198.51.100.2"),
    ("helo.test", "TXT", "v=spf1 exists:%{h}.ok.test -all"),
    ("good.helo.ok.test", "A", "127.0.0.2"),
    ("local.test", "TXT", "v=spf1 exists:%{l}.ok.test -all"),
    ("alice.ok.test", "A", "127.0.0.2"),
    // Policies that are wrong.
    ("syntax.test", "TXT", "v=spf1 ipx:192.0.2.1 +all"),
    ("syntax-first.test", "TXT", "v=spf1 ipx:192.0.2.1 +all"),
    ("syntax-first.test", "TXT", "something else"),
    ("syntax-first.test", "A", "192.0.2.1"),
    ("double.test", "TXT", "v=spf1 ip4:192.0.2.1 -all"),
    ("double.test", "TXT", "v=spf1 -all"),
    ("include-double.test", "TXT", "v=spf1 include:double.test -all"),
    ("include-none.test", "TXT", "v=spf1 include:plain.test ip4:192.0.2.1 -all"),
    ("loop.test", "TXT", "v=spf1 include:loop.test ip4:192.0.2.1"),
    (
        "many.test",
        "TXT",
        "v=spf1 a:a1.n.test a:a2.n.test a:a3.n.test a:a4.n.test a:a5.n.test a:a6.n.test a:a7.n.test a:a8.n.test a:a9.n.test a:a10.n.test a:a11.n.test ip4:192.0.2.1",
    ),
    (
        "ten.test",
        "TXT",
        "v=spf1 a:a1.n.test a:a2.n.test a:a3.n.test a:a4.n.test a:a5.n.test a:a6.n.test a:a7.n.test a:a8.n.test a:a9.n.test a:a10.n.test ip4:192.0.2.1",
    ),
    ("a1.n.test", "A", "203.0.113.1"),
    ("a2.n.test", "A", "203.0.113.1"),
    ("a3.n.test", "A", "203.0.113.1"),
    ("a4.n.test", "A", "203.0.113.1"),
    ("a5.n.test", "A", "203.0.113.1"),
    ("a6.n.test", "A", "203.0.113.1"),
    ("a7.n.test", "A", "203.0.113.1"),
    ("a8.n.test", "A", "203.0.113.1"),
    ("a9.n.test", "A", "203.0.113.1"),
    ("a10.n.test", "A", "203.0.113.1"),
    ("a11.n.test", "A", "203.0.113.1"),
    ("void2.test", "TXT", "v=spf1 a:v1.void.test mx:v2.void.test ip4:192.0.2.1 -all"),
    ("void3.test", "TXT", "v=spf1 a:v1.void.test mx:v2.void.test a:v3.void.test ip4:192.0.2.1 -all"),
    (
        "void-exists.test",
        "TXT",
        "v=spf1 exists:v1.void.test exists:v2.void.test exists:v3.void.test ip4:192.0.2.1 -all",
    ),
    ("void-nodata.test", "TXT", "v=spf1 a:pass.test a:soft.test a:neutral.test ip4:192.0.2.1 -all"),
    ("void-after.test", "TXT", "v=spf1 ip4:192.0.2.1 a:v1.void.test a:v2.void.test a:v3.void.test -all"),
    ("ptr-macro.test", "TXT", "v=spf1 exists:%{p}.ok.test -all"),
    ("1.2.0.192.in-addr.arpa", "PTR", "alice"),
    // Look-ups that fail.
    ("servfail.test", "TXT", "servfail"),
    ("include-servfail.test", "TXT", "v=spf1 include:servfail.test ip4:192.0.2.1"),
    ("a-servfail.test", "TXT", "v=spf1 a:fails.test ip4:192.0.2.1"),
    ("fails.test", "A", "servfail"),
    ("silent.test", "TXT", "silent"),
    // No policy: neighbours.
    ("plain.test", "A", "192.0.2.10"),
    ("plain.test", "AAAA", "2001:db8:1:2::1"),
    ("mx.test", "MX", "20 b.mx.test"),
    ("mx.test", "MX", "10 a.mx.test"),
    ("a.mx.test", "A", "198.51.100.5"),
    ("b.mx.test", "A", "203.0.113.5"),
    ("b.mx.test", "AAAA", "2001:db8:7::5"),
    ("nullmx.test", "MX", "0 ."),
    ("nullmx.test", "A", "192.0.2.10"),
    ("mx-servfail.test", "MX", "servfail"),
    ("mx-servfail.test", "A", "192.0.2.10"),
    ("eleven.test", "MX", "1 n1.e.test"),
    ("eleven.test", "MX", "2 n2.e.test"),
    ("eleven.test", "MX", "3 n3.e.test"),
    ("eleven.test", "MX", "4 n4.e.test"),
    ("eleven.test", "MX", "5 n5.e.test"),
    ("eleven.test", "MX", "6 n6.e.test"),
    ("eleven.test", "MX", "7 n7.e.test"),
    ("eleven.test", "MX", "8 n8.e.test"),
    ("eleven.test", "MX", "9 n9.e.test"),
    ("eleven.test", "MX", "10 n10.e.test"),
    ("eleven.test", "MX", "11 n11.e.test"),
    ("n10.e.test", "A", "203.0.113.10"),
    ("n11.e.test", "A", "198.51.100.11"),
    ("xn--bcher-kva.test", "TXT", "v=spf1 ip4:192.0.2.1 -all"),
];

/// A record's data.
fn data(kind: &str, value: &str) -> RData {
    let name = |text: &str| Name::from_str(&format!("{}.", text.trim_end_matches('.'))).unwrap();
    match kind {
        "A" => RData::A(A(value.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(value.parse().unwrap())),
        "TXT" => RData::TXT(TXT::new(vec![value.to_owned()])),
        "PTR" => RData::PTR(PTR(name(value))),
        "MX" => {
            let (preference, host) = value.split_once(' ').unwrap();
            RData::MX(MX::new(preference.parse().unwrap(), if host == "." { Name::root() } else { name(host) }))
        }
        _ => unreachable!("{kind}"),
    }
}

/// The answer to a question; `None` for silence.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let name = query.name().to_lowercase().to_ascii();
    let (name, kind) = (name.trim_end_matches('.'), query.query_type().to_string());
    let mut reply = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    let below = |known: &str| known == name || known.ends_with(&format!(".{name}"));
    if !RECORDS.iter().any(|(known, ..)| below(known)) {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    for (_, _, value) in RECORDS.iter().filter(|(known, of, _)| *known == name && *of == kind) {
        match *value {
            "silent" => return None,
            "servfail" => reply.metadata.response_code = ResponseCode::ServFail,
            value => {
                reply.add_answer(Record::from_rdata(query.name().clone(), 60, data(&kind, value)));
            }
        }
    }
    reply.add_query(query);
    reply.to_vec().ok()
}

/// A DNS server on a port of its own, as long as the tests run.
fn dns() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((octets, from)) = socket.recv_from(&mut buffer) {
            if let Some(reply) = answer(&buffer[..octets]) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}

/// The rule, asking that server.
fn relation(time_max: Duration, ipv6_prefix: u8) -> Relation {
    let resolver = ResolverOptions { servers: vec![dns()], cache_answers_max: 1000 };
    Relation::new(RelationOptions { resolver, ipv6_prefix, time_max, questions_max: 4 }).unwrap()
}

/// Ask about mail from `from` by a client.
async fn ask(relation: &Relation, ip: &str, from: &str) -> Answer {
    let question = Question { ip: ip.parse().unwrap(), helo: "good.helo".to_owned(), from: from.to_owned() };
    relation.ask(&question).await
}

#[tokio::test]
async fn every_word_for_its_case() {
    let relation = relation(Duration::from_secs(20), 48);
    for (ip, from, expected) in [
        ("192.0.2.1", "a@pass.test", "bounce_ok_spf pass"),
        ("::ffff:192.0.2.1", "a@PASS.test", "bounce_ok_spf pass"),
        ("2001:db8::1", "a@pass.test.", "bounce_ok_spf pass"),
        ("192.0.2.1", "pass.test", "bounce_ok_spf pass"),
        ("192.0.3.1", "a@pass.test", "no_spf_fail fail"),
        ("192.0.2.1", "a@soft.test", "no_spf_fail softfail"),
        ("192.0.2.1", "a@neutral.test", "no_spf_fail neutral"),
        ("192.0.2.1", "a@empty.test", "no_spf_fail neutral"),
        ("192.0.2.1", "a@include.test", "bounce_ok_spf pass"),
        ("192.0.3.1", "a@include.test", "no_spf_fail fail"),
        ("192.0.2.1", "a@redirect.test", "bounce_ok_spf pass"),
        ("198.51.100.1", "a@amx.test", "bounce_ok_spf pass"),
        ("198.51.100.2", "a@amx.test", "bounce_ok_spf pass"),
        // With a policy no neighbour counts.
        ("198.51.100.3", "a@amx.test", "no_spf_fail fail"),
        ("192.0.2.1", "a@helo.test", "bounce_ok_spf pass"),
        ("192.0.2.1", "alice@local.test", "bounce_ok_spf pass"),
        ("192.0.2.1", "bob@local.test", "no_spf_fail fail"),
        ("192.0.2.1", "a@syntax.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@syntax-first.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@double.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@include-double.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@include-none.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@loop.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@many.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@ten.test", "bounce_ok_spf pass"),
        ("192.0.2.1", "a@void2.test", "bounce_ok_spf pass"),
        ("192.0.2.1", "a@void3.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@void-exists.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@void-nodata.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@void-after.test", "bounce_ok_spf pass"),
        ("192.0.2.1", "a@ptr-macro.test", "no_spf_fail permerror"),
        ("192.0.2.1", "a@servfail.test", "unknown temperror"),
        ("192.0.2.1", "a@include-servfail.test", "unknown temperror"),
        ("192.0.2.1", "a@a-servfail.test", "unknown temperror"),
        ("192.0.2.99", "a@plain.test", "bounce_ok_neighbour none"),
        ("192.0.3.99", "a@plain.test", "no_relation none"),
        ("2001:db8:1:ffff::9", "a@plain.test", "bounce_ok_neighbour none"),
        ("2001:db8:2::9", "a@plain.test", "no_relation none"),
        ("198.51.100.77", "a@mx.test", "bounce_ok_neighbour none"),
        ("203.0.113.77", "a@mx.test", "bounce_ok_neighbour none"),
        ("203.0.114.5", "a@mx.test", "no_relation none"),
        ("2001:db8:7:8::1", "a@mx.test", "bounce_ok_neighbour none"),
        ("192.0.2.10", "a@nullmx.test", "no_relation none"),
        ("192.0.2.99", "a@mx-servfail.test", "bounce_ok_neighbour none"),
        ("192.0.3.99", "a@mx-servfail.test", "unknown none"),
        ("203.0.113.99", "a@eleven.test", "bounce_ok_neighbour none"),
        ("198.51.100.99", "a@eleven.test", "no_relation none"),
        ("192.0.2.1", "a@bücher.test", "bounce_ok_spf pass"),
        // Nobody to bounce to.
        ("192.0.2.1", "a@nx.test", "no_relation"),
        ("192.0.2.1", "", "no_relation"),
        ("192.0.2.1", "<>", "no_relation"),
        ("192.0.2.1", "postmaster", "no_relation"),
        ("192.0.2.1", "a@[192.0.2.1]", "no_relation"),
        ("192.0.2.1", "a@", "no_relation"),
        ("192.0.2.1", "a@b..c", "no_relation"),
        ("192.0.2.1", "a@b c.test", "no_relation"),
    ] {
        let answer = ask(&relation, ip, from).await;
        let spf = answer.spf.map(|spf| format!(" {}", spf.word())).unwrap_or_default();
        assert_eq!(format!("{}{spf}", answer.word.word()), expected, "{ip} {from}: {answer:?}");
    }
    assert!(relation.counts().of(Word::Unknown) >= 4);
}

#[tokio::test]
async fn the_ipv6_prefix_is_a_setting() {
    let relation = relation(Duration::from_secs(20), 64);
    assert_eq!(ask(&relation, "2001:db8:1:ffff::9", "a@plain.test").await.word, Word::NoRelation);
    assert_eq!(ask(&relation, "2001:db8:1:2::9", "a@plain.test").await.word, Word::BounceOkNeighbour);
}

#[tokio::test]
async fn silence_ends_as_unknown_in_time() {
    let relation = relation(Duration::from_millis(300), 48);
    let begin = std::time::Instant::now();
    // More questions than places: those that wait keep within their time as well.
    let answers = (0..10).map(|_| ask(&relation, "192.0.2.1", "a@silent.test"));
    for answer in futures_of(answers).await {
        assert_eq!(answer.word, Word::Unknown, "{answer:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(3));
}

/// Several futures at once.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in waiting.iter_mut().filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if waiting.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn the_records_are_shown() {
    let relation = relation(Duration::from_secs(20), 48);
    let answer = ask(&relation, "192.0.2.1", "a@include.test").await;
    assert_eq!(
        answer.records,
        [
            "include.test. TXT \"v=spf1 include:pass.test -all\"",
            "pass.test. TXT \"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all\""
        ]
    );
    let answer = ask(&relation, "198.51.100.77", "a@mx.test").await;
    assert_eq!(answer.records, ["mx.test. MX 10 a.mx.test.", "mx.test. MX 20 b.mx.test.", "a.mx.test. A 198.51.100.5"]);
    assert!(answer.why.contains("198.51.100.77 is in the /24 of a.mx.test."), "{}", answer.why);
    let (spf, dmarc) = relation.policies("pass.test").await;
    assert_eq!(spf.as_deref(), Some("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"));
    assert_eq!(dmarc.as_deref(), Some(""));
    assert_eq!(relation.policies("servfail.test").await.0, None);
}

/// The service on a port and a socket, with one address under attack.
async fn serve(
    directory: &std::path::Path,
    connections_max: usize,
    idle_max: Duration,
) -> (SocketAddr, Arc<service::ServiceCounts>) {
    let options = ServiceOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        socket: Some(directory.join("policy")),
        connections_max,
        idle_max,
        joe_job_action: "DEFER 4.7.1 later".to_owned(),
    };
    let service = Service::bind(options).unwrap();
    let (address, counts) = (service.local_addresses()[0], service.counts());
    let attacked = Arc::<Attacked>::default();
    let key = AddressKey::new("0123456789abcdef0123").unwrap();
    attacked.set(&key, [key.hash("victim@example.org")]);
    let knows = Knows { relation: Some(Arc::new(relation(Duration::from_secs(20), 48))), attacked };
    tokio::spawn(service.serve(knows, std::future::pending()));
    (address, counts)
}

/// Run blocking work beside the service.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Ask over an open connection and read up to the empty line.
fn policy(stream: &mut (impl std::io::Read + std::io::Write), state: &str, sender: &str, recipient: &str) -> String {
    let request = format!(
        "request=smtpd_access_policy\nprotocol_state={state}\nclient_address=192.0.2.1\nhelo_name=h\nsender={sender}\nrecipient={recipient}\nsize=1\n\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"\n\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        reply.push(octet[0]);
    }
    String::from_utf8(reply).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postfix_and_exim_are_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (address, counts) = serve(directory.path(), 8, Duration::from_secs(60)).await;
    let socket = directory.path().join("policy");
    beside(move || {
        let cases = [
            ("RCPT", "", "Victim@example.org", "action=DEFER 4.7.1 later\n\n"),
            ("RCPT", "", "other@example.org", "action=DUNNO\n\n"),
            ("RCPT", "a@pass.test", "victim@example.org", "action=DUNNO\n\n"),
            ("DATA", "a@pass.test", "", "action=PREPEND X-Bounce-Relation: bounce_ok_spf\n\n"),
            ("DATA", "a@soft.test", "", "action=PREPEND X-Bounce-Relation: no_spf_fail\n\n"),
        ];
        // One connection for many requests, as Postfix does, over either kind of socket.
        let (mut tcp, mut unix) = (TcpStream::connect(address).unwrap(), UnixStream::connect(&socket).unwrap());
        for (state, sender, recipient, expected) in cases {
            assert_eq!(policy(&mut tcp, state, sender, recipient), expected, "{state} {sender}");
            assert_eq!(policy(&mut unix, state, sender, recipient), expected, "{state} {sender}");
        }
        for (question, expected) in [
            ("relation 192.0.2.1 <a@pass.test> h\n", "bounce_ok_spf\n"),
            ("relation 192.0.2.99 <a@plain.test> h\r\n", "bounce_ok_neighbour\n"),
            ("relation 192.0.2.1 <> h\n", "no_relation\n"),
            ("relation nowhere <a@pass.test> h\n", "unknown\n"),
            ("joe-job victim@example.org\n", "yes\n"),
            ("joe-job other@example.org\n", "no\n"),
            ("joe-job victim@example.org", "yes\n"),
        ] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(question.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).unwrap();
            assert_eq!(reply, expected, "{question}");
        }
        // What is no request is closed without an answer.
        let long = "a=".to_owned() + &"x".repeat(40_000);
        for junk in ["GET / HTTP/1.1\r\n\r\n", "request=smtpd_access_policy\n", long.as_str()] {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(junk.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut reply = Vec::new();
            let _ = stream.read_to_end(&mut reply);
            assert_eq!(String::from_utf8_lossy(&reply), "", "{}", &junk[..10]);
        }
    })
    .await;
    assert_eq!(counts.policy.load(Ordering::Relaxed), 10);
    assert_eq!(counts.refused.load(Ordering::Relaxed), 4);
    assert_eq!(counts.questions.load(Ordering::Relaxed), 7);
    assert_eq!(counts.bad.load(Ordering::Relaxed), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_idle_make_room_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let (address, counts) = serve(directory.path(), 2, Duration::from_millis(200)).await;
    beside(move || {
        let idle: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut stream = TcpStream::connect(address).unwrap();
        assert_eq!(policy(&mut stream, "RCPT", "", "victim@example.org"), "action=DEFER 4.7.1 later\n\n");
        for mut stream in idle {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed by the service");
        }
        assert!(counts.open.load(Ordering::Relaxed) <= 2);
    })
    .await;
}

#[test]
fn a_socket_that_is_in_use_or_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy");
    let options = || ServiceOptions {
        listen: Vec::new(),
        socket: Some(path.clone()),
        connections_max: 1,
        idle_max: Duration::from_secs(1),
        joe_job_action: String::new(),
    };
    std::fs::write(&path, "a file").unwrap();
    assert!(Service::bind(options()).unwrap_err().to_string().contains("no socket"));
    std::fs::remove_file(&path).unwrap();
    let first = Service::bind(options()).unwrap();
    assert!(Service::bind(options()).unwrap_err().to_string().contains("another program serves it"));
    drop(first);
    // Left behind by one that is gone.
    Service::bind(options()).unwrap();
}
