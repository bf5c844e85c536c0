//! The server as its users meet it: the real binary, real sockets, real zone files.
//!
//! `server` starts and asks it, `message` spells queries and replies, `differences` is
//! the table of what may differ from rbldnsd, `judge` and `differential` hold answers against it.
//! Everything else is tests: by RFC (`cookies`, `duties`, `edns`, `rate`, `streams`, `encrypted`, `tools`), by other servers (`export`), by rbldnsd (`access`,
//! `conformance`, `differential`, `documented`, `rbldnsd_mode`, `random`, `reallists`), by what an operator does (`cli`, `settings`,
//! `metrics`, `monitoring`, `top`), by owners of listed hosts (`lookup`), by mail servers and shippers (`feed`, `joe_jobs`), by real mail
//! servers (`peers`, `sendmail`, on a `machine` each, and the whole `story`), by documentation (`pages`), by programs that embed us
//! (`embed`), and by what goes wrong (`reload`, `garbage`). See `CONTRIBUTING.md` for how to run them.
//!
//! Real programs that ask lists, resolvers (`resolvers`) and mail filters (`consumers`, `rspamd_milter`), are run in a network of the test's own
//! (`namespace`) and ended with it (`daemon`).

mod access;
mod architecture;
mod bench;
mod cli;
mod conformance;
mod consumers;
mod cookies;
mod daemon;
mod differences;
mod differential;
mod documented;
mod duties;
mod edns;
#[cfg(feature = "hickory")]
mod embed;
mod encrypted;
mod export;
mod feed;
mod garbage;
mod joe_jobs;
mod judge;
mod listing;
mod lists;
mod load;
mod lookup;
mod machine;
mod message;
mod metrics;
mod monitoring;
mod namespace;
mod pages;
mod peers;
mod random;
mod rate;
mod rbldnsd;
mod rbldnsd_mode;
mod reallists;
mod reload;
mod resolvers;
mod rspamd_milter;
mod sendmail;
mod server;
mod settings;
mod story;
mod streams;
mod table;
mod tools;
mod top;

use std::io::Write;
use std::sync::{Mutex, MutexGuard};

/// Say that a test can not do its work here, because `what` is absent; `tests/run` counts these lines. With `CI=true`
/// that is a failure.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{what} is absent, and CI must have it");
    // Not `println!`: that is shown of failed tests only.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is absent");
}

/// Held by tests that need the machine for themselves: those that measure time or load millions of lines.
fn alone() -> MutexGuard<'static, ()> {
    /// The one lock.
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
