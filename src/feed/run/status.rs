//! What each input shows of itself, for metrics.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::feed::assemble::AssemblerCounts;
use crate::feed::publish::counts::ListingCounts;
use crate::feed::store::StoreCounts;
use crate::sys::clock;

/// Why lines did not get in, with the label for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The spool was full and the sender could not be made to wait (UDP).
    Full,
    /// A syslog peer that is not allowed.
    Peer,
    /// No message could be found in it.
    Malformed,
    /// The spool could not be written.
    Failed,
}

/// Every cause of [`Drop`], with its label.
pub const DROPS: [(Drop, &str); 4] =
    [(Drop::Full, "spool_full"), (Drop::Peer, "peer"), (Drop::Malformed, "malformed"), (Drop::Failed, "spool_failed")];

/// One input's numbers, written by its threads, read when scraped.
#[derive(Debug)]
pub struct InputStatus {
    /// Its name.
    pub name: Box<str>,
    /// The format that its settings name.
    pub format: &'static str,
    /// Lines that did not get in, by cause.
    drops: [AtomicU64; DROPS.len()],
    /// What its thread shows.
    state: Mutex<State>,
}

/// What an input's thread shows.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What its assembler counted.
    pub counts: AssemblerCounts,
    /// Lines that were cut because they were too long.
    pub cut: u64,
    /// When it was last read to its end; time since the program began.
    still_at: Duration,
    /// Does it stand still?
    still: bool,
    /// Octets that waited to be read then: a line without its end.
    pub behind_octets: u64,
    /// Octets of its spool, where it has one.
    pub spool_octets: Option<u64>,
}

impl State {
    /// Seconds since it was last read to its end; 0 while it stands still.
    pub fn behind_s(&self) -> f64 {
        if self.still { 0.0 } else { clock::monotonic().saturating_sub(self.still_at).as_secs_f64() }
    }
}

impl InputStatus {
    /// Of an input that has read nothing.
    pub fn new(name: &str, format: &'static str) -> Arc<Self> {
        let state = State { still_at: clock::monotonic(), ..State::default() };
        Arc::new(Self { name: name.into(), format, drops: Default::default(), state: Mutex::new(state) })
    }

    /// Count lines that did not get in.
    pub fn dropped(&self, why: Drop, lines: u64) {
        self.drops[why as usize].fetch_add(lines, Relaxed);
    }

    /// Lines that did not get in, in the order of [`DROPS`].
    pub fn drops(&self) -> [u64; DROPS.len()] {
        std::array::from_fn(|at| self.drops[at].load(Relaxed))
    }

    /// Show how an input's thread stands; `still`: when, octets behind, octets of the spool.
    pub(super) fn set(&self, counts: &AssemblerCounts, cut: u64, still: Option<(Duration, u64, Option<u64>)>) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.counts.clone_from(counts);
        state.cut = cut;
        state.still = still.is_some();
        if let Some((at, behind_octets, spool_octets)) = still {
            (state.still_at, state.behind_octets, state.spool_octets) = (at, behind_octets, spool_octets);
        }
    }

    /// How its thread stands.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

/// What the feeder shows of itself.
#[derive(Debug, Clone)]
pub struct FeedStatus {
    /// Its inputs, in the order of the settings.
    pub inputs: Vec<Arc<InputStatus>>,
    /// Its store.
    pub store: Arc<StoreCounts>,
    /// Listings, where they are published.
    pub listings: Option<Arc<ListingCounts>>,
}
