//! One pass: find what changed, read it, judge it, publish it all at once.
//!
//! A zone's datasets change together or not at all. If one of them can not be read or a guard objects, the others
//! stay at the old generation too: an exclusion list must not fall behind the list that it excludes from. Zones are
//! judged one by one, so a dataset that two zones share may be new in one and old in the other.

use std::sync::Arc;

use super::guard;
use super::loader::Loader;
use super::report::{Report, Reporter};
use super::served::Served;
use super::slot::{Data, Slot, Standing};
use super::status::ReloadOutcome;
use crate::sys::clock::{self, Moment};
use crate::zone::Snapshot;

/// Why a pass is made, which decides what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Files changed: read those.
    Files,
    /// A failed reading is due to be repeated: read that, and say nothing if it fails as before.
    Retry,
    /// Somebody asked, or the settings changed: read what changed, what failed and what was refused.
    Asked,
}

/// What a zone does with what was read.
enum Verdict {
    /// Nothing for it.
    Unchanged,
    /// A file is being written; judge again when it is at rest.
    Wait,
    /// A file can not be used.
    Bad(String),
    /// A guard objects.
    Guarded(String),
    /// Put these into service.
    Take(Vec<Arc<Data>>),
}

impl Loader {
    /// Make a pass. `publish` is for when the set of zones itself changed.
    pub(super) fn pass(&mut self, why: Why, publish: bool, now: Moment) {
        let news = self.read_changed(why, now);
        self.tell_bad(&news);
        for index in 0..self.zones.len() {
            let touched = self.zones[index].slots.iter().any(|&slot| news[slot]);
            if touched || why == Why::Asked {
                self.judge(index, now);
            }
        }
        self.refresh(publish, now);
        self.close_slots(now);
    }

    /// Bring every zone up to date, and publish if one has changed.
    pub(super) fn refresh(&mut self, publish: bool, now: Moment) {
        let mut changed = publish;
        let missing = |zone: &Served| zone.global_acl && zone.in_service.is_empty();
        let barred = self.acl_needed && self.zones.iter().any(missing);
        for zone in &mut self.zones {
            changed |= zone.refresh(barred, now.unix_s);
        }
        if changed {
            self.generation += 1;
            let zones = self.zones.iter().filter(|zone| !zone.global_acl).map(|zone| Arc::clone(&zone.zone)).collect();
            let acl = self.zones.iter().find(|zone| zone.global_acl).and_then(|list| list.zone.acl.clone());
            self.publisher.publish(Snapshot::new(zones, self.generation).with_acl(acl));
            self.trim_due = true;
        }
    }

    /// Read what there is to read; returns for each slot whether anything is new.
    fn read_changed(&mut self, why: Why, now: Moment) -> Vec<bool> {
        let (read, poll, reporter) = (self.read, self.options.poll, self.options.reporter.as_ref());
        let begun = clock::monotonic();
        let mut news = vec![false; self.slots.len()];
        for (slot, news) in self.slots.iter_mut().zip(&mut news) {
            let due = match why {
                Why::Files => slot.changed(),
                // Files that have changed wait until they are quiet, with the others of their generation.
                Why::Retry => slot.retry_due(now.monotonic) && !slot.changed(),
                Why::Asked => slot.unsettled() || slot.changed(),
            };
            if due {
                *news = slot.read(read, now, poll, why == Why::Retry, reporter);
                self.trim_due = true;
            }
        }
        // What was read well before but let go, because another dataset of the zone was bad, has its chance now.
        while let Some(index) = self.held_companion() {
            news[index] = self.slots[index].read(read, now, poll, false, self.options.reporter.as_ref());
        }
        if let Some(reporter) = self.options.reporter.as_ref().filter(|_| news.contains(&true)) {
            let elapsed = clock::monotonic().saturating_sub(begun);
            self.tell_lacking(&news, reporter);
            reporter.tell(&Report::Done { elapsed });
        }
        news
    }

    /// A slot that was let go and whose zone has everything else.
    fn held_companion(&self) -> Option<usize> {
        let standing = |slot: &usize| &self.slots[*slot].standing;
        let waits = |zone: &&Served| {
            zone.slots.iter().any(|&slot| self.slots[slot].fresh.is_some())
                && !zone.slots.iter().any(|slot| matches!(standing(slot), Standing::Bad(_) | Standing::Rewritten))
        };
        let mut candidates = self.zones.iter().filter(waits).flat_map(|zone| &zone.slots);
        candidates.find(|slot| *standing(slot) == Standing::Held).copied()
    }

    /// Report the zones whose files can not be used.
    fn tell_lacking(&self, news: &[bool], reporter: &Reporter) {
        let bad = |&slot: &usize| news[slot] && matches!(self.slots[slot].standing, Standing::Bad(_));
        for zone in self.zones.iter().filter(|zone| zone.slots.iter().any(bad)) {
            reporter.tell(&Report::Lacking { zone: &zone.status.name, served: !zone.in_service.is_empty() });
        }
    }

    /// Log the files that can not be used, each once, and what that means for the zones.
    fn tell_bad(&self, news: &[bool]) {
        if self.options.reporter.is_some() {
            return;
        }
        for (index, slot) in self.slots.iter().enumerate().filter(|(index, _)| news[*index]) {
            let Standing::Bad(why) = &slot.standing else { continue };
            let zones = || self.zones.iter().filter(|zone| zone.slots.contains(&index));
            let names: Vec<&str> = zones().map(|zone| zone.status.name.as_str()).collect();
            let names = names.join(",");
            if zones().all(|zone| !zone.in_service.is_empty()) {
                tracing::error!(zones = names, "{why}; the last good data stay in service");
            } else {
                tracing::error!(zones = names, "{why}; answering SERVFAIL where there are no good data yet");
            }
        }
    }

    /// Decide what a zone does with what was read.
    fn judge(&mut self, index: usize, now: Moment) {
        let verdict = verdict(&self.zones[index], &self.slots);
        let zone = &mut self.zones[index];
        let name = zone.status.name.clone();
        let seconds: f64 = zone.slots.iter().filter_map(|&slot| self.slots[slot].fresh.as_ref()).map(seconds).sum();
        if seconds > 0.0 {
            zone.status.last_duration_s = seconds;
        }
        match verdict {
            Verdict::Unchanged => zone.absolve(),
            Verdict::Wait => {}
            Verdict::Bad(why) => {
                for slot in zone.slots.iter().filter_map(|&slot| self.slots[slot].fresh.as_ref()) {
                    tracing::warn!(
                        zone = name,
                        "{}: new data are held back until the zone's other files are good",
                        slot.source_files()
                    );
                }
                zone.note(ReloadOutcome::BadFile, why, now.unix_s);
            }
            Verdict::Guarded(why) => {
                let then =
                    if zone.in_service.is_empty() { "answering SERVFAIL" } else { "the old data stay in service" };
                tracing::error!(zone = name, "new data refused: {why}; {then}");
                zone.note(ReloadOutcome::Guarded, why, now.unix_s);
            }
            Verdict::Take(data) => {
                let entries: u64 = data.iter().map(|data| data.dataset.entries()).sum();
                tracing::info!(zone = name, entries, seconds = %format_args!("{seconds:.6}"), "new data");
                zone.take(data, now.unix_s);
                zone.note(ReloadOutcome::Published, String::new(), now.unix_s);
                // A zone that came by the settings may start with what other zones still serve of a bad file.
                if let Some(why) = bad(zone, &self.slots) {
                    zone.note(ReloadOutcome::BadFile, why, now.unix_s);
                }
            }
        }
    }

    /// Let go of everything that no zone serves.
    fn close_slots(&mut self, now: Moment) {
        let zones = &self.zones;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let serves = |data: &Arc<Data>| {
                let users = zones.iter().filter(|zone| zone.slots.contains(&index));
                users.flat_map(|zone| &zone.in_service).any(|served| Arc::ptr_eq(served, data))
            };
            slot.close(serves);
            if slot.standing == Standing::Rewritten {
                self.settle.touch(now.monotonic);
            }
        }
    }
}

/// How long reading the data took, s.
fn seconds(data: &Arc<Data>) -> f64 {
    data.duration.as_secs_f64()
}

/// Why the first unusable source of a zone is that.
fn bad(zone: &Served, slots: &[Slot]) -> Option<String> {
    zone.slots.iter().find_map(|&slot| match &slots[slot].standing {
        Standing::Bad(why) => Some(why.clone()),
        _ => None,
    })
}

/// What a zone should do with what was read.
fn verdict(zone: &Served, slots: &[Slot]) -> Verdict {
    let sources = || zone.slots.iter().map(|&slot| &slots[slot]);
    let data: Option<Vec<Arc<Data>>> =
        sources().map(|slot| slot.fresh.clone().or_else(|| slot.current.clone())).collect();
    let started = !zone.in_service.is_empty();
    let bad = bad(zone, slots);
    let Some(data) = data.filter(|_| !started || bad.is_none()) else {
        return bad.map_or(Verdict::Wait, Verdict::Bad);
    };
    if started && sources().any(|slot| slot.standing == Standing::Rewritten) {
        return Verdict::Wait;
    }
    let same = |(new, old): (&Arc<Data>, &Arc<Data>)| Arc::ptr_eq(new, old);
    if data.len() == zone.in_service.len() && data.iter().zip(&zone.in_service).all(same) {
        return Verdict::Unchanged;
    }
    match guard::check(&zone.spec.guard, &data, &zone.in_service) {
        Ok(()) => Verdict::Take(data),
        Err(why) => Verdict::Guarded(why),
    }
}
