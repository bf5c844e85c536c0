//! What the owner of a host, and the world, may know of it; and his way off the list.
//!
//! The world is told what the stored listing says: kinds, counts, times. Who asks from the host itself, or with the operator's
//! token, is shown each piece of evidence with what the log said, masked. Nobody is told what a trap is: of a day
//! with a trap no lines are shown and no times but the day, and the traps' domains are taken out of all other lines.

mod detail;
mod mask;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::ledger::{self, OwnerRemoval, SharedLedger};
use super::listing::Listing;
use super::publish::Nudge;
use super::store::{self, StoreError};
use super::subject::Subject;

pub use detail::{Detail, PIECES_MAX, Seen};

/// Listings that have ended and are told: those of half a year for a host that is listed for a week each time.
pub const EARLIER_MAX: usize = 20;
/// How long to wait for the running feeder to let go of the store: others wait behind who waits.
const BUSY_MAX: Duration = Duration::from_secs(2);
/// What stands in the history for a removal by the owner.
const REASON: &str = "asked for from the address itself";

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The store can not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not do what it is told.
    #[error("the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// What is told of a host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct About {
    /// The listing in force.
    pub listing: Option<Listing>,
    /// Those that have ended, the latest first, at most [`EARLIER_MAX`].
    pub earlier: Vec<Listing>,
    /// When its owner may have it removed, where that is later than now; in milliseconds since 1970 (UTC).
    pub removable_from_ms: Option<i64>,
    /// What was seen, for its owner and the operator.
    pub detail: Option<Detail>,
}

/// The feeder's records as others may see them, beside the running feeder.
#[derive(Debug)]
pub struct Records {
    /// The state directory.
    directory: PathBuf,
    /// The rules in force.
    ledger: SharedLedger,
    /// Whom to tell of a removal, so that it is published at once.
    told: Nudge,
    /// The store, once somebody has asked. One at a time: judging a busy host costs a processor for a while.
    store: Mutex<Option<Connection>>,
}

impl Records {
    /// Over the store of a state directory.
    pub fn new(directory: &Path, ledger: SharedLedger, told: Nudge) -> Self {
        Self { directory: directory.to_owned(), ledger, told, store: Mutex::default() }
    }

    /// What is told of a host; with `detail` to its owner and the operator. Blocks while the store is read. Errors: see [`OwnerError`].
    pub fn about(&self, subject: Subject, now_ms: i64, detail: bool) -> Result<About, OwnerError> {
        self.with(|store| {
            let mut listings = ledger::listings(store, subject)?;
            let listing = listings.iter().position(|listing| listing.holds(now_ms)).map(|at| listings.remove(at));
            listings.retain(|listing| listing.until_ms <= now_ms);
            let earlier = listings.into_iter().rev().take(EARLIER_MAX).collect();
            let removable_from_ms = ledger::owner_may_again_ms(store, subject, now_ms)?;
            let detail = match detail {
                true => {
                    let rules = self.ledger.read().unwrap_or_else(PoisonError::into_inner);
                    Some(detail::of(store, &rules, subject, now_ms)?)
                }
                false => None,
            };
            Ok(About { listing, earlier, removable_from_ms, detail })
        })
    }

    /// Listings in force behind a host, ascending, at most so many. Blocks. Errors: see [`OwnerError`].
    pub fn listings(
        &self,
        after: Option<Subject>,
        now_ms: i64,
        rows_max: u32,
    ) -> Result<Vec<(Subject, Listing)>, OwnerError> {
        self.with(|store| ledger::in_force_after(store, now_ms, after, rows_max))
    }

    /// Take a host off the list for its owner, if that may be; it is published at once. Blocks. Errors: see [`OwnerError`].
    pub fn remove(&self, subject: Subject, now_ms: i64) -> Result<OwnerRemoval, OwnerError> {
        let removal = self.with(|store| {
            let rules = self.ledger.read().unwrap_or_else(PoisonError::into_inner);
            rules.remove_by_owner(store, subject, now_ms, REASON)
        })?;
        if let OwnerRemoval::Done { .. } = removal {
            tracing::info!("{subject} was removed by its owner");
            self.told.nudge();
        }
        Ok(removal)
    }

    /// Do something with the store. One that fails is opened anew next time.
    fn with<T>(&self, act: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, OwnerError> {
        let mut held = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = match held.take() {
            Some(store) => store,
            None => {
                let store = store::open_beside(&self.directory)?.0;
                store.busy_timeout(BUSY_MAX)?;
                store
            }
        };
        let done = act(&mut store)?;
        *held = Some(store);
        Ok(done)
    }
}
