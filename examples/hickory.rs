//! A hickory server with a zone of its own and our blocklist beside it.
//!
//!     cargo run --example hickory -- zones/bl.zone 127.0.0.1:5455
//!     dig @127.0.0.1 -p 5455 2.0.0.127.bl.example.org A      # ours
//!     dig @127.0.0.1 -p 5455 example.net SOA                 # hickory's

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dnsbld::Zones;
use dnsbld::dataset::Kind;
use dnsbld::hickory::Handler;
use dnsbld::load::ZoneSpec;
use dnsbld::serve::answer::Policy;
use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::SOA;
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

/// How long a TCP connection may be silent.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Answers that may wait on a TCP connection.
const ANSWERS_MAX: usize = 32;

/// hickory's own part: example.net with nothing but a SOA.
fn catalog() -> Result<Catalog, Box<dyn std::error::Error>> {
    let origin = Name::from_ascii("example.net.")?;
    let soa = SOA::new(
        Name::from_ascii("ns1.example.net.")?,
        Name::from_ascii("hostmaster.example.net.")?,
        1,
        3600,
        600,
        604_800,
        300,
    );
    let mut records = RecordSet::new(origin.clone(), RecordType::SOA, 0);
    records.insert(Record::from_rdata(origin.clone(), 3600, RData::SOA(soa)), 0);
    let zone = InMemoryZoneHandler::<TokioRuntimeProvider>::new(
        origin.clone(),
        BTreeMap::from([(RrKey::new(LowerName::from(&origin), RecordType::SOA), records)]),
        ZoneType::Primary,
        AxfrPolicy::Deny,
    )?;
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(&origin), vec![Arc::new(zone)]);
    Ok(catalog)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: hickory ZONEFILE ADDRESS:PORT")?;
    let address: SocketAddr = arguments.next().ok_or("usage: hickory ZONEFILE ADDRESS:PORT")?.parse()?;
    let zones =
        Zones::builder().zone(ZoneSpec::new(&"bl.example.org".parse()?).dataset(Kind::Ip4Set, [&file])).start()?;
    let mut server = Server::new(Handler::new(zones.reader(), Policy::default()).or(catalog()?));
    server.register_socket(UdpSocket::bind(address).await?);
    server.register_listener(TcpListener::bind(address).await?, IDLE_MAX, ANSWERS_MAX);
    println!("bl.example.org and example.net at {address}");
    server.block_until_done().await?;
    Ok(())
}
