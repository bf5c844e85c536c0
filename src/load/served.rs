//! One zone at run time: the data it serves, its serial, its state, and its record for the status.

use std::sync::Arc;

use super::plan::{ExpiryOptions, GuardOptions, ZoneSpec};
use super::serial;
use super::slot::Data;
use super::status::{DatasetStatus, ReloadOutcome, ZoneStatus};
use crate::dataset::{Dataset, Kind};
use crate::wire::name::Name;
use crate::zone::{Zone, ZoneSettings, ZoneState};
use crate::zonefile::Source;

/// Nanoseconds of a second.
const NS_PER_S: i128 = 1_000_000_000;
/// How the access list for all zones is called where it stands beside zones; no host name, so hardly a zone's.
pub const GLOBAL_ACL: &str = "(acl)";

/// A zone and what it serves.
#[derive(Debug)]
pub(super) struct Served {
    /// What the settings say.
    pub(super) spec: ZoneSpec,
    /// The loader's slots of its sources, in order.
    pub(super) slots: Vec<usize>,
    /// The data in service: of all sources, or none before the first good load.
    pub(super) in_service: Vec<Arc<Data>>,
    /// The zone as published.
    pub(super) zone: Arc<Zone>,
    /// Its record.
    pub(super) status: ZoneStatus,
    /// Not a zone but the access list for all zones, which goes through the same life.
    pub(super) global_acl: bool,
    /// Data or settings have changed since `zone` was built.
    dirty: bool,
    /// So have the lists or the settings, so that the serial is to rise; access lists are not in the zone.
    serial_due: bool,
    /// A `$SOA` serial that does not rise has been logged.
    serial_told: bool,
}

impl Served {
    /// A zone that has nothing to serve yet.
    pub(super) fn new(spec: ZoneSpec, slots: Vec<usize>, stats_slot: u16) -> Self {
        let zone = Zone::build(spec.settings.clone(), stats_slot, 0, ZoneState::NotReady, Vec::new());
        let status = ZoneStatus {
            name: spec.settings.name.to_string(),
            state: ZoneState::NotReady,
            serial: 0,
            datasets: Vec::new(),
            last_outcome: None,
            last_reload_s: 0.0,
            last_good_s: 0.0,
            data_mtime_s: 0.0,
            last_duration_s: 0.0,
            reloads: [0; ReloadOutcome::ALL.len()],
            last_error: String::new(),
            stale: false,
        };
        Self {
            spec,
            slots,
            in_service: Vec::new(),
            zone: Arc::new(zone),
            status,
            global_acl: false,
            dirty: false,
            serial_due: false,
            serial_told: false,
        }
    }

    /// The access list for all zones, not yet read.
    pub(super) fn global_acl(source: Source, slots: Vec<usize>) -> Self {
        let mut served = Self::new(global_acl_spec(source), slots, 0);
        served.status.name = GLOBAL_ACL.to_owned();
        served.global_acl = true;
        served
    }

    /// The access list for all zones from another source; it goes on serving what it serves.
    pub(super) fn reconfigure_acl(&mut self, source: Source, slots: Vec<usize>) {
        self.reconfigure(global_acl_spec(source), slots);
    }

    /// The same zone under other settings; it goes on serving what it serves.
    pub(super) fn reconfigure(&mut self, spec: ZoneSpec, slots: Vec<usize>) {
        let changed = !same_settings(&self.spec.settings, &spec.settings);
        self.dirty |= changed;
        self.serial_due |= changed;
        self.spec = spec;
        self.slots = slots;
    }

    /// Put new data into service from the next publication on.
    pub(super) fn take(&mut self, data: Vec<Arc<Data>>, now_s: f64) {
        self.dirty = true;
        let lists = |data: &[Arc<Data>]| -> Vec<_> { lists(data).map(Arc::as_ptr).collect() };
        self.serial_due |= lists(&data) != lists(&self.in_service);
        self.in_service = data;
        let mtime_ns = self.mtime_ns();
        let status = &mut self.status;
        status.datasets = self.in_service.iter().map(|data| dataset_status(data)).collect();
        status.data_mtime_s = mtime_ns as f64 / NS_PER_S as f64;
        status.last_good_s = now_s;
    }

    /// Note what became of a look at the files.
    pub(super) fn note(&mut self, outcome: ReloadOutcome, why: String, now_s: f64) {
        self.status.last_outcome = Some(outcome);
        self.status.last_reload_s = now_s;
        self.status.last_error = why;
        for (slot, (each, _)) in self.status.reloads.iter_mut().zip(ReloadOutcome::ALL) {
            *slot += u64::from(each == outcome);
        }
    }

    /// What was wrong is over without new data: a source was taken out of the settings.
    pub(super) fn absolve(&mut self) {
        if !self.status.last_error.is_empty() {
            self.status.last_outcome = Some(ReloadOutcome::Published);
            self.status.last_error.clear();
        }
    }

    /// Bring state, serial and the zone up to date; returns whether it has to be published anew. `barred`: the access
    /// list for all zones is missing.
    pub(super) fn refresh(&mut self, barred: bool, now_s: f64) -> bool {
        self.watch_age(now_s);
        let state = if barred { ZoneState::NotReady } else { self.state(now_s) };
        if !self.dirty && state == self.zone.state {
            return false;
        }
        self.tell_state(state, now_s);
        let datasets: Vec<Arc<Dataset>> = self.in_service.iter().map(|data| Arc::clone(&data.dataset)).collect();
        let serial = if self.serial_due { self.next_serial() } else { self.zone.serial };
        self.zone = Arc::new(Zone::build(self.spec.settings.clone(), self.zone.slot, serial, state, datasets));
        (self.dirty, self.serial_due) = (false, false);
        self.status.state = state;
        self.status.serial = serial;
        true
    }

    /// When time alone changes the state or the age's verdict next, seconds since 1970.
    pub(super) fn deadline(&self, now_s: f64) -> Option<f64> {
        let too_old = self.spec.expiry.after_s().filter(|_| !self.in_service.is_empty()).map(|s| self.too_old_at(s));
        let expires = self.in_service.iter().filter_map(|data| data.dataset.expires()).map(|at| at as f64);
        expires.chain(too_old).filter(|&at| at > now_s).min_by(f64::total_cmp)
    }

    /// Newest modification time of the data in service, ns since 1970. A change of an access list is no news of the lists.
    fn mtime_ns(&self) -> i128 {
        lists(&self.in_service).map(|data| data.mtime_ns()).max().unwrap_or(0)
    }

    /// When the data are older than a limit, seconds since 1970.
    fn too_old_at(&self, after_s: u64) -> f64 {
        self.mtime_ns() as f64 / NS_PER_S as f64 + after_s as f64
    }

    /// Whether the zone can be answered from at this time.
    fn state(&self, now_s: f64) -> ZoneState {
        let expired = |data: &Arc<Data>| data.dataset.expires().is_some_and(|at| now_s >= at as f64);
        if self.spec.sources.is_empty() {
            // A retired zone has no data to wait for.
            ZoneState::Ready
        } else if self.in_service.is_empty() {
            ZoneState::NotReady
        } else if self.in_service.iter().any(expired)
            || matches!(self.spec.expiry, ExpiryOptions::Servfail { after_s } if now_s >= self.too_old_at(after_s))
        {
            ZoneState::Expired
        } else {
            ZoneState::Ready
        }
    }

    /// Say once when the data have grown too old, and when they are fresh again.
    fn watch_age(&mut self, now_s: f64) {
        let after_s = self.spec.expiry.after_s().filter(|_| !self.in_service.is_empty());
        let stale = after_s.is_some_and(|after_s| now_s >= self.too_old_at(after_s));
        if stale && !self.status.stale {
            tracing::error!(
                zone = self.status.name,
                "no newer file for {} s; see why its files are not updated any more",
                after_s.unwrap_or(0)
            );
        }
        self.status.stale = stale;
    }

    /// Log a change of state.
    fn tell_state(&self, state: ZoneState, now_s: f64) {
        let zone = self.status.name.as_str();
        match (self.zone.state, state) {
            (old, new) if old == new => {}
            (_, ZoneState::Expired) => {
                let due = self.in_service.iter().filter_map(|data| data.dataset.expires()).min();
                let why = match due {
                    Some(at) if now_s >= at as f64 => "by its `$TIMESTAMP`",
                    _ => "by the zone's expiry setting",
                };
                tracing::error!(zone, "the data are expired {why}; answering SERVFAIL until a newer file comes");
            }
            (_, ZoneState::Ready) => tracing::info!(zone, "ready"),
            (_, ZoneState::NotReady) => {
                tracing::error!(zone, "nothing to serve, or no access list; answering SERVFAIL")
            }
        }
    }

    /// The serial of changed data; one that `$SOA` fixes is taken as it is, however little it rises.
    fn next_serial(&mut self) -> u32 {
        let datasets: Vec<Arc<Dataset>> = lists(&self.in_service).map(|data| Arc::clone(&data.dataset)).collect();
        let previous = (!self.zone.datasets.is_empty()).then_some(self.zone.serial);
        let Some(fixed) = Zone::fixed_serial(&datasets).filter(|&serial| serial != 0) else {
            if datasets.is_empty() {
                return 0;
            }
            // Serials are seconds on a circle of 32 bits, so only the low bits count.
            return serial::next(previous, self.mtime_ns().div_euclid(NS_PER_S) as u32);
        };
        let rises = previous.is_none_or(|previous| serial::greater(fixed, previous));
        let same_data = datasets.iter().zip(&self.zone.datasets).all(|(new, old)| Arc::ptr_eq(new, old));
        if !rises && !same_data && !self.serial_told {
            tracing::warn!(
                zone = self.status.name,
                "the data changed, but the serial {fixed} of `$SOA` did not rise; a serial of 0 there makes it follow the \
                 files' times"
            );
        }
        self.serial_told = !rises;
        fixed
    }
}

/// The data that are no access list.
fn lists(data: &[Arc<Data>]) -> impl Iterator<Item = &Arc<Data>> {
    data.iter().filter(|data| data.dataset.kind() != Kind::Acl)
}

/// The access list for all zones as if it were a zone: nothing guards it, and it does not expire.
fn global_acl_spec(source: Source) -> ZoneSpec {
    let settings = ZoneSettings {
        name: Name::root(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl: 0,
        negative_ttl: 0,
        ttl_min: 0,
        ttl_max: 0,
        make_apex: false,
        retired: None,
        wrong_kind: None,
    };
    ZoneSpec { settings, sources: vec![source], guard: GuardOptions::OFF, expiry: ExpiryOptions::None }
}

/// What the status says of data in service.
fn dataset_status(data: &Data) -> DatasetStatus {
    DatasetStatus {
        kind: data.dataset.kind(),
        files: data.source_files(),
        entries: data.dataset.entries(),
        heap_bytes: data.dataset.heap_bytes(),
        diagnostics: data.diagnostics,
    }
}

/// Whether two zones of one name are answered alike from the same data.
fn same_settings(a: &ZoneSettings, b: &ZoneSettings) -> bool {
    // Taken apart, so that a new setting can not be forgotten here.
    let ZoneSettings { name, ns, mname, rname, ttl, negative_ttl, ttl_min, ttl_max, make_apex, retired, wrong_kind } =
        a;
    *name == b.name
        && *ns == b.ns
        && *mname == b.mname
        && *rname == b.rname
        && *ttl == b.ttl
        && *negative_ttl == b.negative_ttl
        && *ttl_min == b.ttl_min
        && *ttl_max == b.ttl_max
        && *make_apex == b.make_apex
        && *retired == b.retired
        && *wrong_kind == b.wrong_kind
}
