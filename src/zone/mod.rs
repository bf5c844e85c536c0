//! Zones, and the snapshot of all of them that answers are taken from.

mod publish;

use std::sync::Arc;

pub use publish::{Publisher, Reader};

use crate::dataset::Dataset;
use crate::wire::name::Name;

/// What a zone needs to know besides its data.
#[derive(Clone, Debug)]
pub struct ZoneSettings {
    /// Name of the zone, lower case.
    pub name: Name,
    /// Name servers to make NS records of when no dataset gives `$NS`.
    pub ns: Vec<Name>,
    /// SOA MNAME to make a SOA of when no dataset gives `$SOA`; the first of `ns` or the zone's name otherwise.
    pub mname: Option<Name>,
    /// SOA RNAME, likewise; `hostmaster.` and the zone's name otherwise.
    pub rname: Option<Name>,
    /// TTL of entries whose dataset has no `$TTL`, s.
    pub ttl: u32,
    /// Negative TTL of a made-up SOA, s (RFC 2308).
    pub negative_ttl: u32,
    /// Lower bound of `$TTL` and of the SOA's and NS's TTL, s.
    pub ttl_min: u32,
    /// Upper bound of the same, s.
    pub ttl_max: u32,
    /// Make a SOA and NS when no dataset gives them; otherwise the apex is REFUSED, as with rbldnsd.
    pub make_apex: bool,
}

/// Whether a zone can be answered from, and if not, why (the EDE code goes with SERVFAIL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// All datasets are loaded.
    Ready,
    /// A dataset has never been loaded: SERVFAIL, EDE 14.
    NotReady,
    /// The data is past its expiry: SERVFAIL, EDE 24.
    Expired,
}

/// One zone with its frozen data.
#[derive(Debug)]
pub struct Zone {
    /// The settings it was built with.
    pub settings: ZoneSettings,
    /// Slot in the statistics.
    pub slot: u16,
    /// Serial of its SOA.
    pub serial: u32,
    /// Whether it can be answered from.
    pub state: ZoneState,
    /// Its data, in the order of the settings.
    pub datasets: Vec<Arc<Dataset>>,
}

impl Zone {
    /// Put a zone together. `datasets` may be empty only in another state than `Ready`.
    ///
    /// `serial` is used where `$SOA` gives 0 or the SOA is made up.
    pub fn build(
        settings: ZoneSettings,
        slot: u16,
        serial: u32,
        state: ZoneState,
        datasets: Vec<Arc<Dataset>>,
    ) -> Self {
        Self { settings, slot, serial, state, datasets }
    }

    /// The serial that `$SOA` fixes, if a dataset does (RFC 1035 section 3.3.13).
    pub fn fixed_serial(datasets: &[Arc<Dataset>]) -> Option<u32> {
        datasets.iter().find_map(|dataset| Some(dataset.header().soa.as_ref()?.serial))
    }
}

/// All zones of one generation; immutable.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The zones, in the order of the settings.
    pub zones: Vec<Arc<Zone>>,
    /// Counts up by one with each published change.
    pub generation: u64,
}

impl Snapshot {
    /// Freeze a generation.
    pub fn new(zones: Vec<Arc<Zone>>, generation: u64) -> Self {
        Self { zones, generation }
    }
}
