//! Look addresses and names up in zone files, without any DNS.
//!
//!     cargo run --example lookup -- zones/bl.zone 192.0.2.5 2001:db8::1

use dnsbld::Blocklist;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: lookup ZONEFILE ADDRESS-OR-NAME…")?;
    let list = Blocklist::open([&file])?;
    for diagnostic in list.diagnostics() {
        eprintln!("{diagnostic}");
    }
    eprintln!("{} entries, {} octets", list.entries(), list.heap_bytes());
    for subject in arguments {
        let found = list.lookup(&*subject);
        if found.is_empty() {
            println!("{subject}: not listed");
        }
        for listing in found {
            println!("{subject}: {} {}", listing.code, listing.text.unwrap_or_default());
        }
    }
    Ok(())
}
