//! dnsbld: an authoritative DNS server for blocklists (DNSBLs), the successor of rbldnsd.
//!
//! Everything the program does is one of three flows, each told by its types:
//!
//! | river | its stages |
//! | --- | --- |
//! | question to answer | datagram → [`Query`](wire::query::Query) → [`Existence`](zone::Existence) and [`Match`](zone::Match)es → reply in the same buffer → datagram |
//! | zone text to snapshot | zone file → [`Line`](zonefile::Line) → [`Entry`](dataset::Entry) → [`Builder`](dataset::Builder) → [`Dataset`](dataset::Dataset) → [`Zone`](zone::Zone) → [`Snapshot`](zone::Snapshot) → published |
//! | log line to zone text | [`LogLine`](feed::LogLine) → [`Message`](feed::envelope::Message) → [`Record`](feed::record::Record) → [`Session`](feed::Session) with its [`Kinds`](feed::Kinds) → [`Event`](feed::event::Event) → [`Listing`](feed::listing::Listing) → zone file |
//!
//! The first two meet in [`dataset`], which knows neither files nor packets; the third ends where the second begins.
//!
//! In reading order:
//!
//! - [`diag`]: what is wrong with a file, where, and what to do about it.
//! - [`dataset`]: frozen, searchable data: the IP trie and its kin, names, values.
//! - [`zonefile`]: rbldnsd's syntax, line by line.
//! - [`wire`]: bytes to DNS and back.
//! - [`zone`]: zones, the snapshot of all of them, how it is asked and how it is published.
//! - [`serve`]: the one pure function that answers; UDP workers and TCP streams around it.
//! - [`load`]: what changed, what to rebuild, and what never replaces good data.
//! - [`stats`], [`http`]: counters, and the pages that show them.
//! - [`top`]: what a running server does, from its metrics, in a terminal.
//! - [`export`]: what a zone lists, for other programs.
//! - [`feed`]: from the lines that mail servers log to listings, joe-jobs, and whether a bounce may be sent.
//! - [`config`], [`check`], [`query`], [`cli`], [`app`]: settings, the operations, and the wiring.
//! - [`blocklist`], [`embed`], and `hickory` where it is switched on: the ways in for other programs.
//! - [`rbldnsd`]: rbldnsd's command line in front of the same server.
//! - [`sys`]: what the operating system does for us.
//!
//! # In another program
//!
//! A list can be used without any DNS; this is most of what a mail filter written in Rust needs:
//!
//! ```
//! use dnsbld::Blocklist;
//!
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("bl.zone");
//! # std::fs::write(&file, ":2:See https://bl.example.org/?$\n192.0.2.0/24\n!192.0.2.7\n")?;
//! let list = Blocklist::open([&file])?;               // the type is told by the first entry
//! let found = list.lookup("192.0.2.1");
//! assert_eq!(found[0].code.to_string(), "127.0.0.2");
//! assert_eq!(found[0].text.as_deref(), Some("See https://bl.example.org/?192.0.2.1"));
//! assert!(!list.contains("192.0.2.7"));               // excluded
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Zones`] follows its files and gives snapshots, [`Server`] answers from them over UDP and TCP, and with the feature `hickory`
//! (on by default) a hickory server can serve them beside its own. What of all this is promised to stay is said in
//! `docs/embedding.md`: these types, their builders, and what they take; the rest of the crate is public for its own tests and benches.
//!
//! One level below, entries can come from anywhere:
//!
//! ```
//! use dnsbld::dataset::{Builder, Entry, EntryValue, Key, Kind};
//!
//! let mut builder = Builder::new(Kind::Ip4Trie);
//! let key = Key::Ip4Net("192.0.2.0/24".parse()?);
//! builder.add(&Entry { key, excluded: false, value: EntryValue::default() })?;
//! let list = builder.freeze(&mut |duplicate| eprintln!("twice: {duplicate}"));
//! assert!(list.lists_address("192.0.2.1".parse()?));
//! assert!(!list.lists_address("198.51.100.1".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod app;
pub mod blocklist;
pub mod check;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod diag;
pub mod embed;
pub mod export;
pub mod feed;
#[cfg(feature = "hickory")]
pub mod hickory;
pub mod http;
pub mod load;
pub mod query;
#[cfg(target_os = "linux")]
pub mod rbldnsd;
pub mod serve;
pub mod stats;
pub mod sys;
pub mod top;
pub mod wire;
pub mod zone;
pub mod zonefile;

pub use blocklist::{Blocklist, Listing};
pub use embed::{Server, StartError, Zones};
