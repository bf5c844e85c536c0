//! What changed, what to rebuild, and what never replaces good data.
//!
//! The second river's last stretch: zone files become datasets, datasets zones, zones a snapshot. It is told in
//! this order:
//!
//! - `plan`: what the settings want.
//! - `loader`: the thread; waits for file events, the poll, a command or a due time.
//! - `settle` and `watch`: file events, and when a burst of them is over.
//! - `slot`: one source; whether its files changed, and reading them.
//! - `reload`: a pass: read all that changed, judge zone by zone, publish once.
//! - `report`: what is said of it elsewhere than in the log.
//! - `guard`: what must not go into service; `served`: a zone in service; `serial`: its serial.
//! - `status`: what metrics and readiness see of it.
//!
//! What holds: a bad file never replaces a good one; a zone's datasets change together or not at all; what one zone
//! suffers is no matter to another; nothing is read twice for two zones; nothing is freed on another thread.

mod guard;
mod handle;
mod loader;
mod plan;
mod reload;
mod report;
pub mod serial;
mod served;
mod settle;
mod slot;
pub mod status;
#[cfg(test)]
mod tests;
mod watch;

pub use handle::{Command, Handle};
pub use loader::Loader;
pub use plan::{ExpiryOptions, GuardOptions, LoadOptions, ZoneSpec};
pub use report::{Report, Reporter};
pub use served::GLOBAL_ACL;
