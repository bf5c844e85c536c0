//! For programs that serve lists from within: zones that keep themselves fresh, and the whole server.
//!
//! - [`Zones`] reads zone files, watches them, and gives snapshots to whoever answers: the server below, an adaptor for
//!   another server (`dnsbld::hickory`), or the program itself.
//! - [`Server`] is `Zones` with UDP workers and TCP listeners in front.
//!
//! Neither reads settings, writes to standard output or takes signals. Events go to `tracing`.
//!
//! ```
//! use dnsbld::dataset::Kind;
//! use dnsbld::load::ZoneSpec;
//! use dnsbld::{Server, serve::answer::Policy};
//!
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("bl.zone");
//! # std::fs::write(&file, "192.0.2.1\n127.0.0.2\n")?;
//! let metrics = prometheus::Registry::new();
//! let server = Server::builder()
//!     .zone(ZoneSpec::new(&"bl.example.org".parse()?).dataset(Kind::Ip4Set, [&file]))
//!     .listen("127.0.0.1:0".parse()?)
//!     .policy(Policy { server_id: Some("ns1".to_owned()), ..Policy::default() })
//!     .metrics(&metrics)
//!     .start()?;
//! println!("asked at {}", server.local_addresses()[0]);
//! assert_eq!(server.zones().snapshot().zones[0].datasets[0].entries(), 2);
//! server.zones().reload();    // look at the files now; changes are noticed without it, too
//! server.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod server;
mod zones;

pub use server::{Server, ServerBuilder, StartError};
pub use zones::{Zones, ZonesBuilder};
