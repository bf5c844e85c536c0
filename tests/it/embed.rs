//! The library as another program uses it: the server inside it, and our zones behind a hickory server.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dnsbld::dataset::Kind;
use dnsbld::hickory::{Handler, Zone};
use dnsbld::load::{LoadOptions, ZoneSpec};
use dnsbld::serve::answer::Policy;
use dnsbld::serve::listen::ListenError;
use dnsbld::{Server, StartError, Zones};
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::SOA as SoaData;
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};
use hickory_server::server::RequestHandler;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use prometheus::{Registry, TextEncoder};
use tokio::runtime::Runtime;

use super::message::{A, ANY, CH, NS, Query, Reply, SOA, TXT, edns, query};
use super::server::{Tcp, Udp};

/// Longest wait for something to happen.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A folder with a list.
struct Lists {
    /// Goes away in the end.
    folder: tempfile::TempDir,
}

impl Lists {
    /// One of addresses, one of names.
    fn new() -> Self {
        let lists = Self { folder: tempfile::tempdir().unwrap() };
        let long = "x".repeat(200);
        let many: String = (1..10).map(|n| format!("198.51.100.1 :{n}:{n}{long}\n")).collect();
        fs::write(lists.path("bl.zone"), format!("$TTL 600\n:2:Listed: $\n192.0.2.1\n{many}")).unwrap();
        fs::write(lists.path("names.zone"), ":3:Name: $\n.example.com\n").unwrap();
        lists
    }

    /// A file there.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Two good zones and one without its file.
    fn specs(&self) -> [ZoneSpec; 3] {
        let spec =
            |name: &str, kind, file: &str| ZoneSpec::new(&name.parse().unwrap()).dataset(kind, [self.path(file)]);
        [
            spec("bl.example.org", Kind::Ip4Set, "bl.zone"),
            spec("dbl.example.org", Kind::Dnset, "names.zone"),
            spec("none.example.org", Kind::Ip4Set, "missing.zone"),
        ]
    }

    /// A server of them, on a free port.
    fn server(&self) -> Server {
        let builder = self.specs().into_iter().fold(Server::builder(), dnsbld::embed::ServerBuilder::zone);
        builder.listen("127.0.0.1:0".parse().unwrap()).policy(policy()).start().unwrap()
    }

    /// The zones alone.
    fn zones(&self) -> Zones {
        self.specs().into_iter().fold(Zones::builder(), dnsbld::embed::ZonesBuilder::zone).start().unwrap()
    }
}

/// What answers look like.
fn policy() -> Policy {
    Policy { version: Some("embedded".to_owned()), ..Policy::default() }
}

/// Wait until something is true.
fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT_MAX;
    while !condition() {
        assert!(Instant::now() < end, "waited {WAIT_MAX:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_server_inside_another_program() {
    let lists = Lists::new();
    let metrics = Registry::new();
    let spec = lists.specs().into_iter().next().unwrap();
    let quick = LoadOptions { settle: Duration::from_millis(10), ..LoadOptions::default() };
    let builder = Server::builder().zone(spec).load_options(quick).workers(2).listen("127.0.0.1:0".parse().unwrap());
    let server = builder.clone().metrics(&metrics).start().unwrap();
    let address = server.local_addresses()[0];
    let listed = query("1.2.0.192.bl.example.org", A);
    let rcodes = |query: &Query| (Udp::new(address).ask(query).rcode, Tcp::new(address).ask(query).rcode);
    assert_eq!(rcodes(&listed), (0, 0));
    assert_eq!(Udp::new(address).ask(&listed).answer[0].text, "A 127.0.0.2");

    let fresh = query("9.2.0.192.bl.example.org", A);
    assert_eq!(rcodes(&fresh), (3, 3));
    let generation = server.zones().snapshot().generation;
    fs::write(lists.path("bl.zone"), "192.0.2.1\n192.0.2.9\n").unwrap();
    server.zones().reload();
    wait("the new list", || server.zones().snapshot().generation > generation);
    assert_eq!(rcodes(&fresh), (0, 0));
    assert!(server.zones().status().ready());

    assert_eq!(Udp::new(address).ask(&query("version.bind", TXT).class(CH)).rcode, 5);
    server.set_policy(policy());
    assert_eq!(Udp::new(address).ask(&query("version.bind", TXT).class(CH)).answer[0].text, "TXT \"embedded\"");

    let text = TextEncoder::new().encode_to_string(&metrics.gather()).unwrap();
    let line = "dnsbld_queries_total{zone=\"bl.example.org\",transport=\"tcp\",type=\"A\",rcode=\"NOERROR\"} 2";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("process_"), "{text}");
    let second = builder.clone().metrics(&metrics).start();
    assert!(matches!(&second, Err(StartError::Metrics(_))), "{second:?}");
    // The same where a runtime must not be dropped.
    let second = Runtime::new().unwrap().block_on(async { builder.clone().metrics(&metrics).start() });
    assert!(matches!(&second, Err(StartError::Metrics(_))), "{second:?}");
    let taken = Server::builder().listen(address).start();
    assert!(matches!(&taken, Err(StartError::Listen(ListenError::InUse { .. }))), "{taken:?}");

    // Where nothing may block, too: a runtime can not be waited for within another one.
    Runtime::new().unwrap().block_on(async { server.shutdown() });
    UdpSocket::bind(address).unwrap();
    TcpListener::bind(address).unwrap();
}

/// hickory's own zone: example.net with nothing but a SOA.
fn catalog() -> Catalog {
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let origin = name("example.net.");
    let soa = SoaData::new(name("ns1.example.net."), name("hostmaster.example.net."), 1, 3600, 600, 604_800, 300);
    let mut records = RecordSet::new(origin.clone(), RecordType::SOA, 0);
    records.insert(Record::from_rdata(origin.clone(), 3600, RData::SOA(soa)), 0);
    let records = BTreeMap::from([(RrKey::new(LowerName::from(&origin), RecordType::SOA), records)]);
    let zone =
        InMemoryZoneHandler::<TokioRuntimeProvider>::new(origin.clone(), records, ZoneType::Primary, AxfrPolicy::Deny);
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(&origin), vec![Arc::new(zone.unwrap())]);
    catalog
}

/// A hickory server.
struct Hickory {
    /// Runs it; it ends with this.
    _runtime: Runtime,
    /// Where it listens.
    address: SocketAddr,
}

impl Hickory {
    /// Start one over this handler.
    fn start(handler: impl RequestHandler) -> Self {
        let runtime = Runtime::new().unwrap();
        let inside = runtime.enter();
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let address = udp.local_addr().unwrap();
        let mut server = hickory_server::Server::new(handler);
        server.register_socket(tokio::net::UdpSocket::from_std(udp).unwrap());
        server.register_listener(tokio::net::TcpListener::from_std(tcp).unwrap(), WAIT_MAX, 32);
        drop(inside);
        runtime.spawn(async move { server.block_until_done().await });
        Self { _runtime: runtime, address }
    }
}

/// What is the same however a message is encoded: header, records, EDNS.
fn told(reply: &Reply) -> String {
    let mut answer: Vec<_> = reply.answer.iter().map(|record| format!("{record:?}")).collect();
    // Sets rotate.
    answer.sort();
    format!("{:04x} {answer:?} {:?} {:?} {:?}", reply.flags, reply.authority, reply.additional, reply.opt)
}

/// Questions of every outcome about our zones.
fn questions() -> Vec<Query> {
    let mut questions = vec![
        query("none.example.org", SOA),
        query("1.2.0.192.none.example.org", A),
        query("1.2.0.192.bl.example.org", 252),
        query("1.2.0.192.bl.example.org", A).edns(edns(512).option(3, &[])),
    ];
    for name in ["1.2.0.192", "2.2.0.192", "0.192", "1.100.51.198", "nonsense", "1.2.0.192.5"] {
        for qtype in [A, TXT, ANY, 28, 65_280] {
            let question = query(&format!("{name}.Bl.eXample.org"), qtype);
            questions.extend([question.clone(), question.edns(edns(1232))]);
        }
    }
    for qtype in [SOA, NS, A, TXT] {
        questions.push(query("bl.example.org", qtype));
        questions.push(query("www.example.com.dbl.example.org", qtype));
        questions.push(query("example.dbl.example.org", qtype).edns(edns(4096)));
    }
    questions
}

#[test]
fn hickory_answers_as_we_do() {
    let lists = Lists::new();
    let (ours, zones) = (lists.server(), lists.zones());
    let hickory = Hickory::start(Handler::new(zones.reader(), policy()));
    let address = ours.local_addresses()[0];
    let version = query("version.bind", TXT).class(CH);
    for question in questions().iter().chain([&query("example.net", SOA), &version]) {
        assert_eq!(
            told(&Udp::new(hickory.address).ask(question)),
            told(&Udp::new(address).ask(question)),
            "over UDP: {question:?}"
        );
        assert_eq!(
            told(&Tcp::new(hickory.address).ask(question)),
            told(&Tcp::new(address).ask(question)),
            "over TCP: {question:?}"
        );
    }
}

#[test]
fn hickory_answers_what_is_not_ours() {
    let lists = Lists::new();
    let zones = lists.zones();
    let hickory = Hickory::start(Handler::new(zones.reader(), policy()).or(catalog()));
    let client = Udp::new(hickory.address);
    assert_eq!(client.ask(&query("1.2.0.192.bl.example.org", A)).answer[0].text, "A 127.0.0.2");
    assert_eq!(client.ask(&query("2.2.0.192.bl.example.org", A)).rcode, 3);
    assert!(client.ask(&query("example.net", SOA)).answer[0].text.starts_with("SOA ns1.example.net."));
    assert_eq!(client.ask(&query("www.example.net", A)).rcode, 3);
    assert_eq!(client.ask(&query("example.edu", A)).rcode, 5);
}

#[test]
fn a_zone_of_ours_in_a_hickory_catalog() {
    let lists = Lists::new();
    let (ours, zones) = (lists.server(), lists.zones());
    let mut catalog = catalog();
    for name in ["bl.example.org", "dbl.example.org", "none.example.org", "unknown.example.org"] {
        let origin = LowerName::from(Name::from_ascii(format!("{name}.")).unwrap());
        catalog.upsert(origin, vec![Zone::new(&name.parse().unwrap(), zones.reader()).unwrap()]);
    }
    let hickory = Hickory::start(catalog);
    let address = ours.local_addresses()[0];
    // The catalog has its own way with EDNS, transfers and the NS beside a SOA; cutting and errors without AA are its too.
    let plain = questions().into_iter().filter(|question| question.edns.is_none() && question.qtype != 252);
    for question in plain {
        let (theirs, ours) = (Tcp::new(hickory.address).ask(&question), Tcp::new(address).ask(&question));
        assert_eq!(theirs.rcode, ours.rcode, "{question:?}");
        if ours.rcode == 2 {
            continue;
        }
        let mut theirs = theirs;
        if question.qtype == SOA {
            theirs.authority.retain(|record| record.rtype != NS);
        }
        // It names the SOA's owner as it was registered rather than as it was asked.
        assert_eq!(told(&theirs).to_lowercase(), told(&ours).to_lowercase(), "{question:?}");
    }
    assert_eq!(Udp::new(hickory.address).ask(&query("1.2.0.192.unknown.example.org", A)).rcode, 5, "no zone of ours");
}
