//! A blocklist's server inside another program, with the program's own metrics registry.
//!
//!     cargo run --example embed -- zones/exploited4.zone 127.0.0.1:5454
//!     dig @127.0.0.1 -p 5454 2.0.0.127.bl.example.org TXT
//!
//! Reads a line from standard input at a time: `reload` looks at the file, `metrics` prints them, the end stops the server.

use std::io::BufRead;

use dnsbld::Server;
use dnsbld::dataset::Kind;
use dnsbld::load::ZoneSpec;
use prometheus::{Registry, TextEncoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: embed ZONEFILE ADDRESS:PORT")?;
    let address = arguments.next().ok_or("usage: embed ZONEFILE ADDRESS:PORT")?.parse()?;
    let metrics = Registry::new();
    let server = Server::builder()
        .zone(ZoneSpec::new(&"bl.example.org".parse()?).dataset(Kind::Ip4Set, [&file]))
        .listen(address)
        .workers(2)
        .metrics(&metrics)
        .start()?;
    println!("bl.example.org at {:?}", server.local_addresses());
    for line in std::io::stdin().lock().lines() {
        match &*line? {
            "reload" => server.zones().reload(),
            "metrics" => println!("{}", TextEncoder::new().encode_to_string(&metrics.gather())?),
            other => eprintln!("`{other}` is neither `reload` nor `metrics`"),
        }
    }
    server.shutdown();
    Ok(())
}
