//! The listener with real connections: what each path says, and that no client can hold it up.

mod exposition;
mod relations;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::exposition::Scrape;
use super::*;
use crate::dataset::Kind;
use crate::feed::joe_job::run::JoeJobCounts;
use crate::feed::run::status::{FeedStatus, InputStatus};
use crate::feed::source::intake::Intake;
use crate::load::status::{DatasetStatus, Status, ZoneStatus};
use crate::stats::Registry;
use crate::zone::ZoneState;

/// So long a test waits for what must come; less than the program's limits, so that it is not one of them that comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// A limit that is reached in a test.
const SOON: Duration = Duration::from_millis(100);

/// Counters, status, and the pages over them.
fn fixture() -> (Arc<Registry>, Arc<Status>, Arc<Shared>) {
    let (registry, status) = (Arc::new(Registry::default()), Arc::new(Status::default()));
    let totals = StreamTotals { open: 1, accepted: 20, closed_by_limit: 3, closed_idle: 4, closed_error: 5 };
    let sources = Sources {
        registry: Arc::clone(&registry),
        status: Arc::clone(&status),
        streams: Box::new(move || totals),
        encrypted: Box::new(move || EncryptedTotals {
            connections: vec![("tls", totals), ("quic", totals), ("quic", totals)],
            certificate_reloads: Some([21, 22]),
        }),
        relation: None,
        mail: Box::new(|| MailTotals {
            joe_jobs: Some(JoeJobCounts { running: 1, raised: 2, ..JoeJobCounts::default() }),
            reports: Some([3, 4, 5]),
            relation: Some([6, 7, 8, 9, 10]),
            policy: Some(PolicyTotals { requests: [11, 12, 13], refused: 14, open: 15 }),
        }),
        feed: Some(FeedStatus {
            inputs: vec![InputStatus::new("mail.log", "postfix")],
            store: Arc::default(),
            listings: Some(Arc::default()),
        }),
        started: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    };
    (registry, status, Shared::new(sources, Intake::default()))
}

/// A zone of which nothing was heard yet.
fn zone(name: &str, state: ZoneState) -> ZoneStatus {
    ZoneStatus {
        stale: false,
        name: name.to_owned(),
        state,
        serial: 0,
        datasets: Vec::new(),
        last_outcome: None,
        last_reload_s: 0.0,
        last_good_s: 0.0,
        data_mtime_s: 0.0,
        last_duration_s: 0.0,
        reloads: [0; 3],
        last_error: String::new(),
    }
}

/// A dataset with so many entries, ten times the octets, and fifteen diagnostics.
fn dataset(files: &str, entries: u64) -> DatasetStatus {
    DatasetStatus { kind: Kind::Ip4Set, files: files.to_owned(), entries, heap_bytes: entries * 10, diagnostics: 15 }
}

/// A server that runs, and what is behind it.
struct Running {
    /// The runtime it runs on; ends with the test.
    runtime: Runtime,
    /// Where it listens.
    address: SocketAddr,
    /// The loader's side.
    status: Arc<Status>,
    /// Tells it to end.
    stop: oneshot::Sender<()>,
    /// Its end.
    ended: JoinHandle<io::Result<()>>,
}

/// Start a server within these limits.
fn start(limits: Limits) -> Running {
    let (_, status, shared) = fixture();
    let server = HttpServer::bind(HttpOptions { listen: (Ipv4Addr::LOCALHOST, 0).into() }).unwrap();
    let address = server.local_address();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = runtime.spawn(server.serve_within(limits, shared, async {
        let _ = stopped.await;
    }));
    Running { runtime, address, status, stop, ended }
}

/// A client's connection.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything until the server closes.
fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        // Octets that the server did not read make its close a reset.
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the server did not close: {error}"),
        _ => String::from_utf8(text).unwrap(),
    }
}

/// Send a request as it stands and read until the server closes.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    read_to_end(stream)
}

/// Ask for one path; returns the head and the body.
fn ask(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let text = exchange(address, &request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    (head.to_ascii_lowercase(), body.to_owned())
}

/// Ask on a connection that stays open, and read the answer whole.
fn ask_on(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (mut text, mut octet) = (String::new(), [0]);
    while !text.ends_with("\r\n\r\nok\n") {
        stream.read_exact(&mut octet).unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push(octet[0].into());
    }
    text
}

#[test]
fn paths_and_methods() {
    let running = start(LIMITS);
    running.status.lock().first_pass_done = true;
    #[rustfmt::skip]
    let cases = [
        ("GET", "/", "200 ok", "/metrics"),
        ("GET", "/healthz", "200 ok", "ok\n"),
        ("GET", "/readyz", "200 ok", "ready\n"),
        ("GET", "/metrics?x=y", "200 ok", "dnsbld_build_info"),
        ("GET", "/nothing", "404 not found", "nothing at /nothing"),
        ("GET", "/metrics/", "404 not found", "nothing at"),
        ("POST", "/metrics", "405 method not allowed", "Only GET and HEAD"),
        ("DELETE", "/", "405 method not allowed", "Only GET and HEAD"),
    ];
    for (method, path, status, part) in cases {
        let (head, body) = ask(running.address, method, path);
        assert!(head.starts_with(&format!("http/1.1 {status}\r\n")), "{method} {path}: {head}");
        assert!(body.contains(part), "{method} {path}: {body}");
        assert!(head.contains("\r\ncontent-type: text/plain;"), "{method} {path}: {head}");
        assert!(!status.starts_with("405") || head.contains("\r\nallow: get,head"), "{head}");
    }
    for path in ["/", "/metrics", "/healthz", "/readyz"] {
        let (head, body) = ask(running.address, "HEAD", path);
        assert!(head.starts_with("http/1.1 200 ok\r\n") && head.contains("\r\ncontent-length: "), "{path}: {head}");
        assert_eq!(body, "", "{path}");
    }
}

#[test]
fn metrics_are_the_text_format() {
    let running = start(LIMITS);
    let mut ready = zone("bl.example.org", ZoneState::Ready);
    ready.datasets = vec![dataset("bl.zone", 12)];
    running.status.lock().zones = vec![ready];
    let (head, body) = ask(running.address, "GET", "/metrics");
    assert!(head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let scrape = Scrape::parse(&body);
    let labels = [("zone", "bl.example.org"), ("type", "ip4set"), ("files", "bl.zone")];
    assert_eq!(scrape.one("dnsbld_dataset_entries", &labels), Some(12.0));
    assert!(scrape.one("process_open_fds", &[]).is_none_or(|open| open > 3.0));
}

#[test]
fn readiness_names_zones_and_reasons() {
    let running = start(LIMITS);
    // For each state: the text, and whether it is ready.
    let check = |expected: &str| {
        let (head, body) = ask(running.address, "GET", "/readyz");
        let ready = running.status.ready();
        assert_eq!(body, expected);
        assert!(head.starts_with(if ready { "http/1.1 200 " } else { "http/1.1 503 " }), "{head}");
        assert_eq!(ready, expected == "ready\n");
    };
    check("not ready\nthe first pass over all zones is not over\n");
    running.status.lock().first_pass_done = true;
    check("ready\n");
    let mut bad = zone("bad.example", ZoneState::NotReady);
    bad.last_error = "bad.zone: No such file or directory\n(os error 2)".to_owned();
    let zones = [zone("good.example", ZoneState::Ready), bad, zone("old.example", ZoneState::Expired)];
    running.status.lock().zones = zones.to_vec();
    check(
        "not ready\nbad.example: not loaded: bad.zone: No such file or directory (os error 2)\nold.example: expired\n",
    );
    assert_eq!(ask(running.address, "GET", "/healthz").1, "ok\n", "alive all the same");
    running.status.lock().zones.iter_mut().for_each(|zone| zone.state = ZoneState::Ready);
    check("ready\n");
    // The access list for all zones is a reason only where it bars some.
    let mut acl = zone(crate::load::GLOBAL_ACL, ZoneState::NotReady);
    acl.last_error = "clients.acl: No such file".to_owned();
    running.status.lock().acl = Some(acl);
    check("ready\n");
    running.status.lock().zones = vec![zone("barred.example", ZoneState::NotReady)];
    check("not ready\nbarred.example: not loaded\n(acl): not loaded: clients.acl: No such file\n");
    let scrape = Scrape::parse(&ask(running.address, "GET", "/metrics").1);
    assert_eq!(scrape.one("dnsbld_zone_state", &[("zone", "(acl)"), ("state", "not_ready")]), Some(1.0));
}

#[test]
fn a_slow_or_silent_client_is_cut_off() {
    let running = start(Limits { request_time_max: SOON, ..LIMITS });
    for head in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"] {
        assert!(!exchange(running.address, head).starts_with("HTTP/1.1 200"), "{head:?}");
    }
    let mut kept = connect(running.address);
    ask_on(&mut kept);
    assert_eq!(read_to_end(kept), "", "an idle connection is closed");
}

#[test]
fn a_connection_does_not_live_for_ever() {
    let running = start(Limits { connection_life_max: SOON, ..LIMITS });
    let mut kept = connect(running.address);
    ask_on(&mut kept);
    assert_eq!(read_to_end(kept), "");
}

#[test]
fn a_head_has_a_size() {
    let running = start(LIMITS);
    let request = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(2 * BUFFER_BYTES_MAX));
    let mut stream = connect(running.address);
    // The server may close before all is written.
    let _ = stream.write_all(request.as_bytes());
    let text = read_to_end(stream);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 ") || text.starts_with("HTTP/1.1 414 "), "{text}");
    assert_eq!(ask(running.address, "GET", "/healthz").1, "ok\n");
}

#[test]
fn bodies_are_not_read() {
    let running = start(LIMITS);
    for method in ["GET", "POST"] {
        let head = format!("{method} /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n");
        let text = exchange(running.address, &head);
        assert!(text.starts_with(if method == "GET" { "HTTP/1.1 200 " } else { "HTTP/1.1 405 " }), "{text}");
    }
}

#[test]
fn garbage_is_refused() {
    let running = start(LIMITS);
    for garbage in ["\r\n\r\n\0\0\0\r\n\r\n", "\u{16}\u{3}\u{1}\0\u{a0}\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        assert!(!exchange(running.address, garbage).starts_with("HTTP/1.1 200"), "{garbage:?}");
    }
    assert_eq!(ask(running.address, "GET", "/healthz").1, "ok\n");
}

#[test]
fn further_connections_wait_for_a_place() {
    let running = start(Limits { connections_max: 1, ..LIMITS });
    let mut first = connect(running.address);
    ask_on(&mut first);
    let mut second = connect(running.address);
    second.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    second.set_read_timeout(Some(SOON)).unwrap();
    let error = second.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    ask_on(&mut first);
    drop(first);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(read_to_end(second).ends_with("\r\n\r\nok\n"));
}

#[test]
fn the_end_closes_idle_connections_and_frees_the_port() {
    let Running { runtime, address, stop, ended, .. } = start(LIMITS);
    let mut idle = connect(address);
    ask_on(&mut idle);
    stop.send(()).unwrap();
    assert_eq!(read_to_end(idle), "");
    runtime.block_on(async { timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap() });
    HttpServer::bind(HttpOptions { listen: address }).unwrap();
}

#[test]
fn a_taken_port_is_told_in_a_sentence() {
    let taken = HttpServer::bind(HttpOptions { listen: (Ipv4Addr::LOCALHOST, 0).into() }).unwrap();
    let listen = taken.local_address();
    let check = |listen: SocketAddr, parts: [&str; 2]| {
        let error = HttpServer::bind(HttpOptions { listen }).unwrap_err().to_string();
        assert!(error.starts_with(&format!("can not listen for HTTP on {listen}: ")), "{error}");
        parts.iter().for_each(|part| assert!(error.contains(part), "{error}"));
    };
    check(listen, ["in use", "another program has this port"]);
    // TEST-NET-1 (RFC 5737) is no address of any machine.
    check("192.0.2.1:9353".parse().unwrap(), ["assign", "no interface of this machine"]);
}
