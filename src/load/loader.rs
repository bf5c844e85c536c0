//! The loader's thread: waits for a reason to look at the files, and looks.
//!
//! It is the only one that builds, publishes and frees data. It waits on one channel, with a time-out, and runs at
//! low priority, so that reading a hundred million entries delays no answer.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::handle::{Command, Event, Handle, Touched};
use super::plan::{LoadOptions, ZoneSpec};
use super::reload::Why;
use super::served::Served;
use super::settle::Settle;
use super::slot::{Read, Slot};
use super::status::Status;
use super::watch::Watch;
use crate::stats::Registry;
use crate::sys::clock::{self, Moment};
use crate::zone::Publisher;
use crate::zonefile::Source;

/// Pause between two attempts to free snapshots that a reader still holds; a reader holds one for a batch.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);
/// Added to a wait for a civil time, so that the clock has passed it when the wait ends.
const CIVIL_SLACK: Duration = Duration::from_millis(1);
/// Longest wait at one go: nothing is due for longer, and a wait must not overflow the system's clock.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Niceness of the loader's thread: answers go first, but on a busy machine it still gets a tenth of a core.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Turns zone files into published snapshots, and keeps the last good ones in service.
#[derive(Debug)]
pub struct Loader {
    /// The zones, in the order of the settings; after them the access list for all of them, if there is one.
    pub(super) zones: Vec<Served>,
    /// Their sources, each once.
    pub(super) slots: Vec<Slot>,
    /// How to watch.
    pub(super) options: LoadOptions,
    /// How to read a source.
    pub(super) read: Read,
    /// Where snapshots go.
    pub(super) publisher: Publisher,
    /// Generation published last.
    pub(super) generation: u64,
    /// Memory was freed, or will be with the retired snapshots, that the system could have back.
    pub(super) trim_due: bool,
    /// Changes that have not come to rest.
    pub(super) settle: Settle,
    /// Gives zones their slots in the statistics.
    registry: Arc<Registry>,
    /// What others see of this.
    status: Arc<Status>,
    /// Events and commands, sending side.
    sender: Sender<Event>,
    /// The receiving side.
    events: Receiver<Event>,
    /// Whether a message about file events is under way.
    touched: Touched,
    /// File events; `None` when switched off.
    watch: Option<Watch>,
    /// When to look at all files next, monotonic.
    poll_at: Duration,
    /// Retired snapshots after the last sweep.
    retired: usize,
    /// Times that the settings were replaced.
    replaced: u64,
    /// No zone is answered from before the access list for all of them is loaded. Not so when the settings add one
    /// to a running server: what is served goes on being served until the list is good.
    pub(super) acl_needed: bool,
    /// Whether the first pass is over.
    started: bool,
}

impl Loader {
    /// A loader that has read nothing yet.
    pub fn new(
        specs: Vec<ZoneSpec>,
        options: LoadOptions,
        registry: Arc<Registry>,
        status: Arc<Status>,
        publisher: Publisher,
    ) -> Self {
        let (sender, events) = mpsc::channel();
        let generation = publisher.current().generation;
        let mut loader = Self {
            zones: Vec::new(),
            slots: Vec::new(),
            options,
            read: crate::zonefile::read,
            publisher,
            generation,
            trim_due: false,
            settle: Settle::default(),
            registry,
            status,
            sender,
            events,
            touched: Touched::default(),
            watch: None,
            poll_at: Duration::ZERO,
            retired: 0,
            replaced: 0,
            acl_needed: false,
            started: false,
        };
        loader.arrange(specs, None);
        loader
    }

    /// The same under an access list for all zones; without a good copy of it every zone answers SERVFAIL.
    #[must_use]
    pub fn with_acl(mut self, acl: Option<Source>) -> Self {
        let specs = self.zones.iter().filter(|zone| !zone.global_acl).map(|zone| zone.spec.clone()).collect();
        self.arrange(specs, acl);
        self
    }

    /// Where to send commands; any number of copies.
    pub fn handle(&self) -> Handle {
        Handle { events: self.sender.clone() }
    }

    /// Read everything once and publish it: zones without good data answer SERVFAIL, the others are served.
    pub fn first_pass(&mut self) {
        self.first_pass_at(clock::now());
    }

    /// Watch and reload until told to stop; the body of the loader's thread.
    pub fn run(mut self) {
        lower_priority();
        if !self.started {
            self.first_pass();
        }
        loop {
            match self.events.recv_timeout(self.wait(clock::now())) {
                Ok(Event::Command(Command::Stop)) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(event) => self.take_event(event, clock::now()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.step(clock::now());
        }
    }

    /// The first pass, at a given time.
    pub(super) fn first_pass_at(&mut self, now: Moment) {
        // Watched before they are read: what changes in between is then an event.
        self.start_watch();
        self.pass(Why::Asked, true, now);
        self.poll_at = now.monotonic.saturating_add(self.options.poll);
        self.started = true;
        self.sweep();
        self.write_status();
    }

    /// Deal with one event.
    pub(super) fn take_event(&mut self, event: Event, now: Moment) {
        match event {
            Event::Touched => {
                self.touched.clear();
                self.settle.touch(now.monotonic);
            }
            Event::Command(Command::LookNow) => {
                self.settle.clear();
                self.pass(Why::Asked, false, now);
            }
            Event::Command(Command::Replace { specs, acl, options }) => {
                self.settle.clear();
                self.options = options;
                self.arrange(specs, acl);
                self.start_watch();
                self.poll_at = now.monotonic.saturating_add(self.options.poll);
                self.replaced += 1;
                self.pass(Why::Asked, true, now);
            }
            // The thread ends where the event is received.
            Event::Command(Command::Stop) => {}
        }
    }

    /// Do what is due.
    pub(super) fn step(&mut self, now: Moment) {
        let (quiet, max) = (self.options.settle, self.options.settle_max);
        if self.settle.due(quiet, max).is_some_and(|due| due <= now.monotonic) {
            if self.still_moving() && !self.settle.exhausted(now.monotonic, max) {
                self.settle.touch(now.monotonic);
            } else {
                self.settle.clear();
                self.pass(Why::Files, false, now);
            }
        }
        if self.poll_at <= now.monotonic {
            self.poll_at = now.monotonic.saturating_add(self.options.poll);
            self.poll(now);
        }
        self.refresh(false, now);
        self.sweep();
        self.write_status();
    }

    /// How long nothing is due, unless an event comes.
    pub(super) fn wait(&self, now: Moment) -> Duration {
        let settle = self.settle.due(self.options.settle, self.options.settle_max);
        let monotonic = settle.into_iter().chain([self.poll_at]).map(|at| at.saturating_sub(now.monotonic));
        let civil = self.zones.iter().filter_map(|zone| zone.deadline(now.unix_s)).map(|at| {
            // A date too far away for a Duration is as good as never.
            Duration::try_from_secs_f64(at - now.unix_s).map_or(WAIT_MAX, |wait| wait.saturating_add(CIVIL_SLACK))
        });
        let sweep = (self.retired > 0).then_some(SWEEP_PAUSE);
        monotonic.chain(civil).chain(sweep).min().unwrap_or(WAIT_MAX).min(WAIT_MAX)
    }

    /// Compare every file with what was read; changes are read once they are at rest.
    fn poll(&mut self, now: Moment) {
        self.watch_files();
        let mut changed = false;
        for slot in &mut self.slots {
            changed |= slot.poll();
        }
        if changed {
            self.settle.touch(now.monotonic);
        }
        if self.slots.iter().any(|slot| slot.retry_due(now.monotonic)) {
            self.pass(Why::Retry, false, now);
        }
    }

    /// Whether files that the poll found changed are still changing.
    fn still_moving(&mut self) -> bool {
        self.slots.iter_mut().fold(false, |moving, slot| slot.still_moving() | moving)
    }

    /// Make zones and slots what the settings say, and keep what is known of those that stay.
    fn arrange(&mut self, specs: Vec<ZoneSpec>, acl: Option<Source>) {
        let known_acl = self.zones.pop_if(|zone| zone.global_acl);
        let mut zones: HashMap<_, _> =
            self.zones.drain(..).map(|zone| (zone.spec.settings.name.clone(), zone)).collect();
        let mut slots: HashMap<_, _> = self.slots.drain(..).map(|slot| (Arc::clone(&slot.source), slot)).collect();
        let mut places: HashMap<Source, usize> = HashMap::new();
        let all = &mut self.slots;
        let mut place = |source: &Source| {
            *places.entry(source.clone()).or_insert_with(|| {
                all.push(slots.remove(source).unwrap_or_else(|| Slot::new(Arc::new(source.clone()))));
                all.len() - 1
            })
        };
        for spec in specs {
            let of_zone = spec.sources.iter().map(&mut place).collect();
            let zone = match zones.remove(&spec.settings.name) {
                Some(mut zone) => {
                    zone.reconfigure(spec, of_zone);
                    zone
                }
                None => {
                    let stats_slot = self.registry.zone_slot(&spec.settings.name.to_string());
                    Served::new(spec, of_zone, stats_slot)
                }
            };
            self.zones.push(zone);
        }
        self.acl_needed = acl.is_some() && (!self.started || self.acl_needed);
        if let Some(source) = acl {
            let slots = vec![place(&source)];
            self.zones.push(match known_acl {
                Some(mut served) => {
                    served.reconfigure_acl(source, slots);
                    served
                }
                None => Served::global_acl(source, slots),
            });
        }
    }

    /// Start or stop asking for file events, as the options say.
    fn start_watch(&mut self) {
        if !self.options.watch {
            self.watch = None;
        } else if self.watch.is_none() {
            self.watch = Some(Watch::start(self.sender.clone(), self.touched.clone()));
        }
        self.watch_files();
    }

    /// Watch the files of all slots.
    fn watch_files(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.set(self.slots.iter().flat_map(|slot| &slot.source.files).map(|file| Path::new(file.as_path())));
        }
    }

    /// Free what readers have let go of, and hand memory back when that is all.
    fn sweep(&mut self) {
        self.retired = self.publisher.sweep();
        if self.retired == 0
            && std::mem::take(&mut self.trim_due)
            && let Some(trim) = self.options.trim
        {
            trim();
        }
    }

    /// Let others see the state.
    fn write_status(&self) {
        let status = |zone: &Served| zone.status.clone();
        let zones = self.zones.iter().filter(|zone| !zone.global_acl).map(status).collect();
        let acl = self.zones.iter().find(|zone| zone.global_acl).map(status);
        let mut state = self.status.lock();
        state.generation = self.generation;
        state.zones = zones;
        state.acl = acl;
        state.retired_snapshots = self.retired;
        // The other counter belongs to whoever reads the settings.
        state.settings_reloads[0] = self.replaced;
        state.first_pass_done = self.started;
    }
}

/// Let answers go first; failing that, go on as we are.
fn lower_priority() {
    // On Linux, and only there, a thread has a priority of its own.
    #[cfg(target_os = "linux")]
    if let Err(why) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!("the loader's priority could not be lowered: {why}; reloads may delay answers");
    }
}
