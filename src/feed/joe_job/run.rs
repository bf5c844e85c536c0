//! Joe-jobs beside a pipeline: sessions in; protection, reports, log lines and webhooks out, on a thread of its own.
//!
//! The pipeline only counts. Whatever can wait, fail or be slow (files, look-ups, receivers of reports) is done by the thread, and the
//! protection comes first: the policy service and the zone know of an address under attack before anybody is told of it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::address::{AddressKey, Attacked};
use super::detector::{Change, Detector, DetectorCounts, Event, Interval};
use super::hit::{self, Hit, Target};
use super::report::JoeJob;
use super::webhook::{Webhook, WebhookCounts};
use super::{JoeJobOptions, state};
use crate::feed::session::Session;
use crate::sys::clock;

/// How long reports of joe-jobs that are over are kept: as long as events are.
const KEPT_MS: i64 = 180 * 86_400_000;
/// Reports kept at most.
const KEPT_MAX: usize = 1000;
/// How often reports of running joe-jobs are written anew.
const REFRESH: Duration = Duration::from_secs(60);

/// Where things are.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// When a joe-job is one.
    pub detector: JoeJobOptions,
    /// The reports' file.
    pub reports_file: PathBuf,
    /// The key's file.
    pub key_file: PathBuf,
    /// The zone file of addresses under attack.
    pub zone_file: Option<PathBuf>,
}

/// What a domain publishes: each policy's text, empty where there is none, `None` where that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// SPF.
    pub spf: Option<String>,
    /// DMARC.
    pub dmarc: Option<String>,
}

/// Looks a domain's policies up; may take seconds.
pub type ReadPolicies = Box<dyn Fn(&str) -> Policies + Send>;

/// Takes all times in which targets were flooded; false where it could not.
pub type TakeIntervals = Box<dyn Fn(&[Interval]) -> bool + Send>;

/// Whom to tell.
pub struct Tell {
    /// Other programs.
    pub webhook: Option<Webhook>,
    /// Called when the zone file has changed, so that it is loaded at once.
    pub zone_written: Box<dyn Fn() + Send>,
    /// The domain's policies, for the reports.
    pub policies: Option<ReadPolicies>,
    /// Takes all times in which targets were flooded, whenever they have changed; called again later where it gives false.
    pub intervals: TakeIntervals,
    /// Have all sources been read to their ends? Then the wall clock is the log's.
    pub still: Box<dyn Fn() -> bool + Send>,
}

/// Joe-jobs, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JoeJobCounts {
    /// Running now.
    pub running: u64,
    /// Raised since the start.
    pub raised: u64,
    /// What the detector left out.
    pub detector: DetectorCounts,
}

/// What the pipelines and the thread share.
#[derive(Debug)]
struct Shared {
    /// The detector.
    detector: Detector,
    /// What the thread has not seen yet.
    changes: Vec<Change>,
    /// Reports of joe-jobs that are history, oldest first.
    history: Vec<JoeJob>,
}

impl Shared {
    /// The log's clock says `now_ms`.
    fn advance(&mut self, now_ms: i64) {
        self.detector.advance(now_ms, &mut self.changes);
    }

    /// See [`JoeJobs::intervals`].
    fn intervals(&self) -> Vec<Interval> {
        let past = self.history.iter().filter_map(|report| Some((report.target()?, report.clone())));
        let mut found: Vec<Interval> =
            past.chain(self.detector.reports()).flat_map(|(target, report)| report.intervals(&target)).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Joe-job detection, running.
#[derive(Debug)]
pub struct JoeJobs {
    /// Detector and history.
    shared: Arc<Mutex<Shared>>,
    /// Addresses under attack.
    attacked: Arc<Attacked>,
    /// Wakes the thread; `None` once it is to end.
    wake: Mutex<Option<SyncSender<()>>>,
    /// Joe-jobs raised.
    raised: Arc<AtomicU64>,
    /// What became of reports.
    webhook: Option<Arc<WebhookCounts>>,
    /// The thread.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The shared state. Nobody leaves it half changed, so a thread that died in between does not matter.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl JoeJobs {
    /// Start. `stored` are the hits of the last eight days as the store has them, so that what ran goes on and what is usual is known.
    ///
    /// Errors: files that can not be used; a sentence that names them.
    pub fn start(options: RunOptions, stored: Vec<Hit>, tell: Tell) -> io::Result<Self> {
        let key = state::key(&options.key_file)?;
        let told = state::reports(&options.reports_file)?;
        let (mut detector, mut changes) = (Detector::new(options.detector), Vec::new());
        stored.iter().for_each(|hit| detector.hit(hit, &mut changes));
        for report in &told {
            if let (Some(target), Some(address)) = (report.target(), &report.address) {
                detector.name(&target, address);
            }
        }
        let current = detector.reports();
        // What was told before the restart is not told again; only what has changed since is.
        changes
            .retain(|change| change.event != Event::Closed && !told.iter().any(|report| report.id == change.report.id));
        for (target, report) in &current {
            let before = told.iter().find(|told| told.id == report.id);
            let event = match before.map(|told| (told.running, report.running)) {
                Some((true, false)) => Event::Ended,
                Some((false, true)) => Event::Resumed,
                _ => continue,
            };
            changes.push(Change { event, target: target.clone(), report: report.clone() });
        }
        let current: Vec<String> = current.into_iter().map(|(_, report)| report.id).collect();
        let policies = told
            .iter()
            .map(|report| (report.id.clone(), Policies { spf: report.spf.clone(), dmarc: report.dmarc.clone() }));
        let policies = policies.collect();
        let mut history: Vec<JoeJob> = told.into_iter().filter(|report| !current.contains(&report.id)).collect();
        for report in history.iter_mut().filter(|report| report.running) {
            // The store knows nothing of it any more.
            report.running = false;
            report.ended = Some(report.last);
        }
        let shared = Arc::new(Mutex::new(Shared { detector, changes, history }));
        let attacked = Arc::<Attacked>::default();
        let (wake, woken) = sync_channel(1);
        let raised = Arc::<AtomicU64>::default();
        let webhook = tell.webhook.as_ref().map(|webhook| Arc::clone(webhook.counts()));
        let worker = Worker {
            options,
            key,
            shared: Arc::clone(&shared),
            attacked: Arc::clone(&attacked),
            raised: Arc::clone(&raised),
            tell,
            policies,
            told: None,
        };
        // Before anybody asks.
        worker.protect();
        let thread = std::thread::Builder::new().name("joe-jobs".to_owned()).spawn(move || worker.run(&woken))?;
        Ok(Self { shared, attacked, wake: Mutex::new(Some(wake)), raised, webhook, thread: Mutex::new(Some(thread)) })
    }

    /// The addresses under attack, for whoever is asked about one.
    pub fn attacked(&self) -> Arc<Attacked> {
        Arc::clone(&self.attacked)
    }

    /// A session has ended. Where it does not count, only the clock goes on. `hash` gives an address' keyed hash as in the store. Never waits
    /// for files or for the network.
    pub fn session(&self, session: &Session, counts: bool, hash: impl Fn(&[u8]) -> [u8; 16]) {
        let hits = if counts { hit::of_session(session, hash) } else { Vec::new() };
        let mut shared = lock(&self.shared);
        let Shared { detector, changes, .. } = &mut *shared;
        detector.advance(session.end_ms, changes);
        hits.iter().for_each(|hit| detector.hit(hit, changes));
        self.wake_for(&shared);
    }

    /// The log's clock says `now_ms`.
    pub fn advance(&self, now_ms: i64) {
        let mut shared = lock(&self.shared);
        shared.advance(now_ms);
        self.wake_for(&shared);
    }

    /// Wake the thread, if there is something for it.
    fn wake_for(&self, shared: &Shared) {
        if !shared.changes.is_empty() {
            let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
            // Full: it is about to wake anyway.
            let _ = wake.as_ref().map(|wake| wake.try_send(()));
        }
    }

    /// The times in which targets were flooded: for each, all mail counts as that to one recipient.
    pub fn intervals(&self) -> Vec<Interval> {
        lock(&self.shared).intervals()
    }

    /// Joe-jobs, as numbers.
    pub fn counts(&self) -> JoeJobCounts {
        let shared = lock(&self.shared);
        let running = shared.detector.reports().iter().filter(|(_, report)| report.running).count();
        JoeJobCounts {
            running: running as u64,
            raised: self.raised.load(Ordering::Relaxed),
            detector: shared.detector.counts(),
        }
    }

    /// What became of reports, where there is a webhook.
    pub fn webhook(&self) -> Option<&WebhookCounts> {
        self.webhook.as_deref()
    }

    /// End the thread once what waits is written.
    pub fn stop(&self) {
        drop(self.wake.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for joe-jobs had died");
        }
    }
}

/// The thread.
struct Worker {
    /// Where things are.
    options: RunOptions,
    /// The key of the hashes.
    key: AddressKey,
    /// Detector and history.
    shared: Arc<Mutex<Shared>>,
    /// Addresses under attack.
    attacked: Arc<Attacked>,
    /// Joe-jobs raised.
    raised: Arc<AtomicU64>,
    /// Whom to tell.
    tell: Tell,
    /// Policies looked up, by the report's id.
    policies: HashMap<String, Policies>,
    /// The intervals that were told last.
    told: Option<Vec<Interval>>,
}

impl Worker {
    /// Work until nobody can wake it any more.
    fn run(mut self, woken: &Receiver<()>) {
        self.tell_intervals();
        loop {
            let ending = match woken.recv_timeout(REFRESH) {
                Ok(()) => false,
                Err(RecvTimeoutError::Timeout) => {
                    // A mail server that says nothing for an hour is quiet as well.
                    if (self.tell.still)() {
                        lock(&self.shared).advance((clock::now_f64() * 1000.0) as i64);
                    }
                    false
                }
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.work(ending);
            if ending {
                return;
            }
        }
    }

    /// Do what there is to do; look nothing up when `ending`.
    fn work(&mut self, ending: bool) {
        let changes = std::mem::take(&mut lock(&self.shared).changes);
        self.protect();
        self.tell_intervals();
        for Change { event, mut report, .. } in changes {
            match event {
                Event::Raised => {
                    self.raised.fetch_add(1, Ordering::Relaxed);
                    if let (Some(read), Some(domain), false) = (&self.tell.policies, &report.domain, ending) {
                        self.policies.insert(report.id.clone(), read(domain));
                    }
                    tracing::warn!(
                        "joe-job: {} is flooded with bounces: {} sources in an hour, usually {}; \
                         `dnsbld feed joe-jobs` says what to do",
                        shown(&report.name()),
                        report.sources,
                        report.sources_usual
                    );
                }
                Event::Resumed => tracing::warn!("joe-job: {} is flooded again", shown(&report.name())),
                Event::Ended => tracing::info!(
                    "joe-job: over for {} after {} messages from up to {} sources in an hour",
                    shown(&report.name()),
                    report.messages,
                    report.sources_max
                ),
                Event::Closed => {
                    self.complete(&mut report);
                    self.policies.remove(&report.id);
                    let mut shared = lock(&self.shared);
                    shared.history.push(report);
                    let excess = shared.history.len().saturating_sub(KEPT_MAX);
                    shared.history.drain(..excess);
                    continue;
                }
            }
            self.complete(&mut report);
            let event = match event {
                Event::Raised => "raised",
                // The same joe-job goes on: told once.
                Event::Resumed | Event::Closed => continue,
                Event::Ended => "ended",
            };
            if let Some(webhook) = &self.tell.webhook {
                webhook.send(report.to_json(Some(event)));
            }
        }
        self.write_reports();
    }

    /// Tell the times in which targets were flooded, if they are others than those told last.
    fn tell_intervals(&mut self) {
        let intervals = lock(&self.shared).intervals();
        if self.told.as_ref() != Some(&intervals) && (self.tell.intervals)(&intervals) {
            self.told = Some(intervals);
        }
    }

    /// Add what was looked up to a report.
    fn complete(&self, report: &mut JoeJob) {
        if let Some(policies) = self.policies.get(&report.id) {
            report.spf.clone_from(&policies.spf);
            report.dmarc.clone_from(&policies.dmarc);
        }
    }

    /// Let the policy service and the zone know the addresses that are under attack now.
    fn protect(&self) {
        let reports = lock(&self.shared).detector.reports();
        let under_attack =
            reports.iter().filter(|(target, report)| report.running && matches!(target, Target::Recipient(_)));
        let hashes: Vec<_> =
            under_attack.filter_map(|(_, report)| Some(self.key.hash(report.address.as_deref()?))).collect();
        self.attacked.set(&self.key, hashes.iter().copied());
        if let Some(path) = &self.options.zone_file {
            match state::write_zone(path, &hashes) {
                Ok(true) => (self.tell.zone_written)(),
                Ok(false) => {}
                Err(error) => tracing::error!("the addresses under attack can not be written: {error}"),
            }
        }
    }

    /// Write all reports.
    fn write_reports(&self) {
        let mut reports = {
            let mut shared = lock(&self.shared);
            let mut current: Vec<JoeJob> = shared.detector.reports().into_iter().map(|(_, report)| report).collect();
            let latest = current.iter().chain(&shared.history).map(|report| report.last.as_millisecond()).max();
            let oldest = latest.unwrap_or(i64::MIN).saturating_sub(KEPT_MS);
            shared.history.retain(|report| !report.is_older_than(oldest));
            current.iter_mut().for_each(|report| self.complete(report));
            shared.history.iter().cloned().chain(current).collect::<Vec<_>>()
        };
        reports.sort_by(|a, b| (a.raised, &a.id).cmp(&(b.raised, &b.id)));
        if let Err(error) = state::write_reports(&self.options.reports_file, reports.iter()) {
            tracing::error!("the reports of joe-jobs can not be written: {error}");
        }
    }
}

/// A name without control characters.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
