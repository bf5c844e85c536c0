//! What the loader knows of itself: read by metrics, readiness and tests, written after each reload.

use std::sync::{Mutex, MutexGuard};

use crate::dataset::Kind;
use crate::zone::ZoneState;

/// What became of one look at a zone's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// New data were published.
    Published,
    /// A file could not be used: missing, unreadable, cut off, structurally broken, from the future.
    BadFile,
    /// A guard refused what the files say.
    Guarded,
}

impl ReloadOutcome {
    /// Every outcome with its label in metrics.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Published, "published"), (Self::BadFile, "bad_file"), (Self::Guarded, "guarded")];
}

/// One dataset in service.
#[derive(Clone, Debug)]
pub struct DatasetStatus {
    /// Its type.
    pub kind: Kind,
    /// Its files, joined by commas as the settings name them.
    pub files: String,
    /// Entries in service.
    pub entries: u64,
    /// Heap memory, octets.
    pub heap_bytes: u64,
    /// Diagnostics of the load that is in service.
    pub diagnostics: u64,
}

/// One zone.
#[derive(Clone, Debug)]
pub struct ZoneStatus {
    /// Its name, without a final dot.
    pub name: String,
    /// Whether it can be answered from.
    pub state: ZoneState,
    /// Serial in service.
    pub serial: u32,
    /// Its datasets in service.
    pub datasets: Vec<DatasetStatus>,
    /// What became of the last look that found a change; `None` before the first.
    pub last_outcome: Option<ReloadOutcome>,
    /// When that was, seconds since 1970.
    pub last_reload_s: f64,
    /// When data were last published, seconds since 1970; 0 for never.
    pub last_good_s: f64,
    /// Newest modification time among the files in service, seconds since 1970.
    pub data_mtime_s: f64,
    /// How long reading and freezing took at the last reload, s.
    pub last_duration_s: f64,
    /// Reloads since the start, in the order of [`ReloadOutcome::ALL`].
    pub reloads: [u64; ReloadOutcome::ALL.len()],
    /// Why the last reload failed; empty when it did not.
    pub last_error: String,
    /// Whether no newer file has come for longer than the zone's expiry setting allows.
    pub stale: bool,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Generation in service; counts up with each published snapshot.
    pub generation: u64,
    /// The zones, in the order of the settings.
    pub zones: Vec<ZoneStatus>,
    /// The access list for all zones, under a name that is none.
    pub acl: Option<ZoneStatus>,
    /// Replaced snapshots that a reader still holds.
    pub retired_snapshots: usize,
    /// Times the settings were reread, `[taken, refused]`.
    pub settings_reloads: [u64; 2],
    /// Whether the first pass over all zones is over.
    pub first_pass_done: bool,
}

/// The shared copy.
#[derive(Debug, Default)]
pub struct Status {
    /// The state, locked only to copy or replace it.
    state: Mutex<State>,
}

impl Status {
    /// A look at it; hold it briefly.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Whether every zone can be answered from.
    pub fn ready(&self) -> bool {
        let state = self.lock();
        state.first_pass_done && state.zones.iter().all(|zone| zone.state == ZoneState::Ready)
    }
}
