//! The collector behind `/metrics`: it sums the workers' own counters when scraped, and only then.
//!
//! A worker never shares a counter with another, so there is nothing global to read; each scrape takes the
//! blocks, adds them up by zone and transport, and puts the loader's and the process's numbers beside them.
//! [`Samples`] adds to a series that is already there, so that no scrape can ever hold the same series twice.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::families::{self as f, Family};
use super::feed;
use super::process::Process;
use crate::feed::joe_job::run::JoeJobCounts;
use crate::feed::relation::{Relation, Word};
use crate::feed::run::status::FeedStatus;
use crate::load::status::{ReloadOutcome, State, Status, ZoneStatus};
use crate::serve::answer::Transport;
use crate::stats::{
    Block, COOKIES, DROPS, LIMITED, NO_ZONE, OTHER_ZONES, RCODES, Registry, TRANSPORTS, TYPES, ZoneTotals,
};
use crate::zone::ZoneState;

/// Label of answers about no zone of ours; no host name, so never a zone's.
pub const NO_ZONE_LABEL: &str = "-";
/// Label of the zones that found no slot of their own.
pub const OTHER_ZONES_LABEL: &str = "(other)";
/// Label of types and codes without a counter of their own.
const OTHER_LABEL: &str = "other";
/// States of a zone with their labels.
const STATES: [(ZoneState, &str); 3] =
    [(ZoneState::Ready, "ready"), (ZoneState::NotReady, "not_ready"), (ZoneState::Expired, "expired")];

/// The counters of DNS over TCP at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// Connections that are open.
    pub open: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections ended because there were too many.
    pub closed_by_limit: u64,
    /// Connections ended because nothing was asked for too long.
    pub closed_idle: u64,
    /// Connections ended after an error.
    pub closed_error: u64,
}

/// How to look at the streams' counters.
pub type ReadStreams = Box<dyn Fn() -> StreamTotals + Send + Sync>;

/// What is counted of encrypted transports, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptedTotals {
    /// Connections of each that is served, by its label; a label may come several times.
    pub connections: Vec<(&'static str, StreamTotals)>,
    /// Times that the certificate was reread, taken and refused; `None` where there is none.
    pub certificate_reloads: Option<[u64; 2]>,
}

/// How to look at these counters.
pub type ReadEncrypted = Box<dyn Fn() -> EncryptedTotals + Send + Sync>;

/// What is counted of joe-jobs and of mail servers' questions, at one moment; `None` for what is not enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailTotals {
    /// Joe-jobs.
    pub joe_jobs: Option<JoeJobCounts>,
    /// Reports for the webhook: delivered, attempts that failed, given up.
    pub reports: Option<[u64; 3]>,
    /// Answers of the neighbour rule, in the order of [`Word::ALL`].
    pub relation: Option<[u64; Word::ALL.len()]>,
    /// The policy service.
    pub policy: Option<PolicyTotals>,
}

/// What the policy service has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyTotals {
    /// Requests: of Postfix, of Exim, not understood.
    pub requests: [u64; 3],
    /// Recipients refused.
    pub refused: u64,
    /// Connections that are open.
    pub open: u64,
}

/// How to look at these counters.
pub type ReadMail = Box<dyn Fn() -> MailTotals + Send + Sync>;

/// Where the numbers come from.
pub struct Sources {
    /// The workers' counters.
    pub registry: Arc<Registry>,
    /// What the loader tells of itself.
    pub status: Arc<Status>,
    /// The counters of DNS over TCP.
    pub streams: ReadStreams,
    /// The counters of encrypted transports.
    pub encrypted: ReadEncrypted,
    /// What the feeder shows; `None` where it is not enabled.
    pub feed: Option<FeedStatus>,
    /// The neighbour rule, where it is enabled; for its own path.
    pub relation: Option<Arc<Relation>>,
    /// What is counted of joe-jobs and of mail servers' questions.
    pub mail: ReadMail,
    /// When the program started.
    pub started: SystemTime,
}

/// The samples of one scrape, by family and by the values of its labels.
#[derive(Debug, Default)]
pub struct Samples {
    /// Values by name of the family, then by labels.
    values: HashMap<&'static str, BTreeMap<Vec<String>, f64>>,
}

impl Samples {
    /// Add to the series with these labels, which is made with 0 if it is not there.
    pub fn add(&mut self, family: &Family, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        *self.values.entry(family.name).or_default().entry(labels).or_default() += value;
    }

    /// As [`Samples::add`], for a value that may be unknown: then there is no series.
    fn add_known(&mut self, family: &Family, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.add(family, labels, value);
        }
    }

    /// In the shape that the encoder wants.
    fn into_families(mut self) -> Vec<MetricFamily> {
        let metric = |family: &Family, labels: Vec<String>, value: f64| {
            let pairs = family.labels.iter().zip(labels).map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value(value);
                pair
            });
            let mut metric = Metric::from_label(pairs.collect());
            if family.kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        };
        let whole = |family: &Family| {
            let series = self.values.remove(family.name).unwrap_or_default();
            let mut whole = MetricFamily::default();
            whole.set_name(family.name.to_owned());
            whole.set_help(family.help.to_owned());
            whole.set_field_type(family.kind);
            whole.set_metric(series.into_iter().map(|(labels, value)| metric(family, labels, value)).collect());
            whole
        };
        f::ALL.iter().map(whole).collect()
    }
}

/// The program's only collector.
pub struct Exposition {
    /// Where the numbers come from.
    sources: Sources,
    /// The families, as the registry wants to know them.
    descs: Vec<Desc>,
}

impl Exposition {
    /// A collector over these sources.
    ///
    /// # Errors
    ///
    /// When the table of families is not fit for Prometheus, which does not depend on the sources.
    pub fn new(sources: Sources) -> prometheus::Result<Self> {
        let desc = |family: &Family| {
            let labels = family.labels.iter().map(|&label| label.to_owned()).collect();
            Desc::new(family.name.to_owned(), family.help.to_owned(), labels, HashMap::new())
        };
        let descs = f::ALL.iter().map(desc).collect::<prometheus::Result<_>>()?;
        Ok(Self { sources, descs })
    }
}

impl Collector for Exposition {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut samples = Samples::default();
        let (blocks, names) = self.sources.registry.read();
        add_zone_counters(&mut samples, &blocks, &names);
        add_transport_counters(&mut samples, &blocks);
        add_streams(&mut samples, (self.sources.streams)());
        add_encrypted(&mut samples, &(self.sources.encrypted)());
        // A copy, so that the loader never waits for a scrape.
        let state = self.sources.status.lock().clone();
        add_state(&mut samples, &state);
        if let Some(status) = &self.sources.feed {
            feed::add(&mut samples, status);
        }
        feed::add_mail(&mut samples, &(self.sources.mail)());
        add_process(&mut samples, &Process::read(), self.sources.started);
        samples.into_families()
    }
}

/// The transports that are shown: the plain ones always, the encrypted ones where they are served.
fn shown(blocks: &[Arc<Block>]) -> impl Iterator<Item = (Transport, &'static str)> {
    TRANSPORTS
        .into_iter()
        .filter(|&(transport, _)| !transport.is_encrypted() || blocks.iter().any(|block| block.transport == transport))
}

/// The blocks of a transport.
fn of(blocks: &[Arc<Block>], transport: Transport) -> impl Iterator<Item = &Block> {
    blocks.iter().map(|block| &**block).filter(move |block| block.transport == transport)
}

/// Sum what was answered, by zone and transport.
fn add_zone_counters(samples: &mut Samples, blocks: &[Arc<Block>], names: &[String]) {
    let own = (1..).zip(names).map(|(slot, name)| (slot, name.as_str()));
    for (slot, zone) in own.chain([(NO_ZONE, NO_ZONE_LABEL), (OTHER_ZONES, OTHER_ZONES_LABEL)]) {
        for (transport, label) in shown(blocks) {
            let mut totals = ZoneTotals::default();
            of(blocks, transport)
                .filter_map(|block| block.zone(slot))
                .for_each(|counters| counters.add_to(&mut totals));
            if slot != OTHER_ZONES || totals != ZoneTotals::default() {
                add_zone_totals(samples, zone, label, &totals, slot == NO_ZONE);
            }
        }
    }
}

/// The series of one zone and transport.
///
/// The combinations are many and most never happen, so only those that did are shown; but the ordinary ones are
/// there from the start with 0, since `rate()` can not see the step to the first value of a new series.
fn add_zone_totals(samples: &mut Samples, zone: &str, transport: &str, totals: &ZoneTotals, no_zone: bool) {
    let types = TYPES.iter().map(|(_, name)| *name).chain([OTHER_LABEL]);
    for (qtype, codes) in types.zip(&totals.answers) {
        let rcodes = RCODES.iter().map(|(_, name)| *name).chain([OTHER_LABEL]);
        for (rcode, &count) in rcodes.zip(codes) {
            let ordinary =
                qtype == "A" && if no_zone { rcode == "REFUSED" } else { ["NOERROR", "NXDOMAIN"].contains(&rcode) };
            if count > 0 || ordinary {
                samples.add(&f::QUERIES, &[zone, transport, qtype, rcode], count as f64);
            }
        }
    }
    for (listed, &count) in ["yes", "no"].into_iter().zip(&totals.listed) {
        if count > 0 || !no_zone {
            samples.add(&f::ANSWERS_LISTED, &[zone, transport, listed], count as f64);
        }
    }
    samples.add(&f::TRUNCATED, &[zone, transport], totals.truncated as f64);
}

/// Sum what is counted without a zone.
fn add_transport_counters(samples: &mut Samples, blocks: &[Arc<Block>]) {
    for (transport, label) in shown(blocks) {
        let sum = |counter: &dyn Fn(&Block) -> &AtomicU64| {
            of(blocks, transport).map(|block| counter(block).load(Relaxed)).sum::<u64>() as f64
        };
        for (at, reason) in DROPS.iter().enumerate() {
            samples.add(&f::DROPPED, &[label, reason], sum(&|block| &block.dropped[at]));
        }
        for (at, cookie) in COOKIES.iter().enumerate() {
            samples.add(&f::COOKIES, &[label, cookie], sum(&|block| &block.cookies[at]));
        }
        samples.add(&f::RECEIVE_BYTES, &[label], sum(&|block| &block.octets[0]));
        samples.add(&f::TRANSMIT_BYTES, &[label], sum(&|block| &block.octets[1]));
        samples.add(&f::SEND_ERRORS, &[label], sum(&|block| &block.send_errors));
        samples.add(&f::PANICKED, &[label], sum(&|block| &block.panicked));
        if transport == Transport::Udp {
            for (at, action) in LIMITED.iter().enumerate() {
                samples.add(&f::RATE_LIMITED, &[label, action], sum(&|block| &block.limited[at]));
            }
            samples.add(&f::KERNEL_DROPPED, &[label], sum(&|block| &block.kernel_dropped));
        }
    }
}

/// The connections of DNS over TCP.
fn add_streams(samples: &mut Samples, totals: StreamTotals) {
    samples.add(&f::TCP_CONNECTIONS, &[], totals.open as f64);
    samples.add(&f::TCP_ACCEPTED, &[], totals.accepted as f64);
    for (reason, count) in
        [("limit", totals.closed_by_limit), ("idle", totals.closed_idle), ("error", totals.closed_error)]
    {
        samples.add(&f::TCP_CLOSED, &[reason], count as f64);
    }
}

/// The connections of encrypted transports.
fn add_encrypted(samples: &mut Samples, totals: &EncryptedTotals) {
    for (transport, totals) in &totals.connections {
        samples.add(&f::ENCRYPTED_CONNECTIONS, &[transport], totals.open as f64);
        samples.add(&f::ENCRYPTED_ACCEPTED, &[transport], totals.accepted as f64);
        for (reason, count) in
            [("limit", totals.closed_by_limit), ("idle", totals.closed_idle), ("error", totals.closed_error)]
        {
            samples.add(&f::ENCRYPTED_CLOSED, &[transport, reason], count as f64);
        }
    }
    for (outcome, count) in ["taken", "refused"].into_iter().zip(totals.certificate_reloads.into_iter().flatten()) {
        samples.add(&f::CERTIFICATE_RELOADS, &[outcome], count as f64);
    }
}

/// What the loader tells of itself.
fn add_state(samples: &mut Samples, state: &State) {
    samples.add(&f::GENERATION, &[], state.generation as f64);
    samples.add(&f::RETIRED_SNAPSHOTS, &[], state.retired_snapshots as f64);
    for (outcome, count) in ["taken", "refused"].into_iter().zip(state.settings_reloads) {
        samples.add(&f::SETTINGS_RELOADS, &[outcome], count as f64);
    }
    // The access list for all zones is loaded like one, so it is shown like one.
    state.zones.iter().chain(&state.acl).for_each(|zone| add_zone(samples, zone));
}

/// What the loader tells of one zone.
fn add_zone(samples: &mut Samples, zone: &ZoneStatus) {
    let name = &*zone.name;
    for dataset in &zone.datasets {
        let labels = [name, dataset.kind.name(), &*dataset.files];
        samples.add(&f::DATASET_ENTRIES, &labels, dataset.entries as f64);
        samples.add(&f::DATASET_MEMORY, &labels, dataset.heap_bytes as f64);
        samples.add(&f::DATASET_DIAGNOSTICS, &labels, dataset.diagnostics as f64);
    }
    samples.add(&f::ZONE_SERIAL, &[name], f64::from(zone.serial));
    for (state, label) in STATES {
        samples.add(&f::ZONE_STATE, &[name, label], f64::from(u8::from(zone.state == state)));
    }
    for ((_, outcome), count) in ReloadOutcome::ALL.into_iter().zip(zone.reloads) {
        samples.add(&f::ZONE_RELOADS, &[name, outcome], count as f64);
    }
    let success = zone.last_outcome.map(|outcome| f64::from(u8::from(outcome == ReloadOutcome::Published)));
    samples.add_known(&f::ZONE_RELOAD_SUCCESS, &[name], success);
    samples.add_known(&f::ZONE_RELOAD_TIME, &[name], success.map(|_| zone.last_reload_s));
    samples.add_known(&f::ZONE_RELOAD_DURATION, &[name], success.map(|_| zone.last_duration_s));
    samples.add(&f::ZONE_SUCCESS_TIME, &[name], zone.last_good_s);
    samples.add_known(&f::ZONE_DATA_TIME, &[name], (zone.data_mtime_s > 0.0).then_some(zone.data_mtime_s));
}

/// The program and its process.
fn add_process(samples: &mut Samples, process: &Process, started: SystemTime) {
    let started_s = started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    samples.add(&f::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    samples.add(&f::PROCESS_START, &[], started_s);
    samples.add_known(&f::PROCESS_CPU, &[], process.cpu_s);
    samples.add_known(&f::PROCESS_RESIDENT, &[], process.resident_bytes);
    samples.add_known(&f::PROCESS_VIRTUAL, &[], process.virtual_bytes);
    samples.add_known(&f::PROCESS_OPEN_FDS, &[], process.open_fds);
    samples.add_known(&f::PROCESS_MAX_FDS, &[], process.max_fds);
}
