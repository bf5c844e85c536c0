//! What happened between two scrapes, as sentences: reloads, listings, joe-jobs, and whatever went wrong.

use std::collections::BTreeMap;

use super::scrape::Scrape;
use super::view::{duration, number};

/// Everything that happened, in the order: zones, settings, listings, joe-jobs, losses.
pub fn between(before: &Scrape, after: &Scrape) -> Vec<String> {
    let change = Change { before, after };
    let mut events = Vec::new();
    change.zones(&mut events);
    for (outcome, what) in [("taken", "reread"), ("refused", "refused, the old ones stay in force; the log says why")] {
        if change.grown("dnsbld_settings_reloads_total", &[("outcome", outcome)]) > 0.0 {
            events.push(format!("settings: {what}"));
        }
    }
    change.listings(&mut events);
    change.joe_jobs(&mut events);
    change.losses(&mut events);
    events
}

/// Two scrapes of one run of the server.
struct Change<'a> {
    /// The earlier one.
    before: &'a Scrape,
    /// The later one.
    after: &'a Scrape,
}

impl Change<'_> {
    /// How much a counter has grown.
    fn grown(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        self.after.sum(family, labels) - self.before.sum(family, labels)
    }

    /// How much counters have grown, by a label.
    fn grown_by(&self, family: &str, label: &str, labels: &[(&str, &str)]) -> BTreeMap<&str, f64> {
        let before = self.before.by(family, label, labels);
        let grown = |(key, value)| (key, value - before.get(key).copied().unwrap_or(0.0));
        self.after.by(family, label, labels).into_iter().map(grown).filter(|(_, grown)| *grown > 0.0).collect()
    }

    /// Zones that came and went, were reloaded or refused, or changed their state.
    fn zones(&self, events: &mut Vec<String>) {
        let (old, new) = (state(self.before), state(self.after));
        for (zone, state) in &new {
            match old.get(zone) {
                None => events.push(format!("{zone}: a new zone, {}", state.replace('_', " "))),
                Some(was) if was != state => events.push(format!("{zone}: {}", state.replace('_', " "))),
                Some(_) => {}
            }
        }
        events.extend(old.keys().filter(|zone| !new.contains_key(*zone)).map(|zone| format!("{zone}: served no more")));
        let reloads = "dnsbld_zone_reloads_total";
        let (entries, had) = (entries(self.after), entries(self.before));
        let took = self.after.by("dnsbld_zone_last_reload_duration_seconds", "zone", &[]);
        for zone in self.grown_by(reloads, "zone", &[("outcome", "published")]).keys() {
            let count = entries.get(zone).copied().unwrap_or(0.0);
            let change = count - had.get(zone).copied().unwrap_or(0.0);
            let sign = if change < 0.0 { '-' } else { '+' };
            events.push(format!(
                "{zone}: new data, {} entries ({sign}{}), read in {}",
                number(count),
                number(change.abs()),
                duration(took.get(zone).copied().unwrap_or(0.0))
            ));
        }
        for (outcome, why) in [("bad_file", "a file is bad"), ("guarded", "a guard")] {
            for zone in self.grown_by(reloads, "zone", &[("outcome", outcome)]).keys() {
                events
                    .push(format!("{zone}: new data refused ({why}); the last good copy is served, the log says more"));
            }
        }
    }

    /// Listings that began and ended.
    fn listings(&self, events: &mut Vec<String>) {
        let changes = self.grown_by("dnsbld_feed_listings_total", "change", &[]);
        let said: Vec<String> = [("begun", "begun"), ("ended", "ended"), ("removed", "taken off")]
            .into_iter()
            .filter_map(|(change, word)| changes.get(change).map(|count| format!("{} {word}", number(*count))))
            .collect();
        if !said.is_empty() {
            events.push(format!("listings: {}", said.join(", ")));
        }
    }

    /// Joe-jobs that began and ended.
    fn joe_jobs(&self, events: &mut Vec<String>) {
        let raised = self.grown("dnsbld_feed_joe_jobs_raised_total", &[]);
        // Running now = running then + raised - ended.
        let ended = raised - self.grown("dnsbld_feed_joe_jobs_running", &[]);
        if raised > 0.0 {
            events.push(format!("joe-jobs: {} raised; `dnsbld feed joe-jobs` tells whom they hit", number(raised)));
        }
        if ended > 0.0 {
            events.push(format!("joe-jobs: {} over", number(ended)));
        }
    }

    /// What should not happen.
    fn losses(&self, events: &mut Vec<String>) {
        let defects = self.grown("dnsbld_panicked_total", &[]);
        if defects > 0.0 {
            events.push(format!(
                "{} questions met a defect of the program; please report what the log says",
                number(defects)
            ));
        }
        for (cause, count) in self.grown_by("dnsbld_feed_drops_total", "cause", &[]) {
            // Lines of sessions that began before the log did are no loss.
            if !["stray", "no_client"].contains(&cause) {
                events.push(format!("feeder: {} dropped ({})", number(count), cause.replace('_', " ")));
            }
        }
        let failed = self.grown("dnsbld_feed_commits_total", &[("result", "failed")]);
        if failed > 0.0 {
            events.push("feeder: its store can not be written; the log says why".to_owned());
        }
    }
}

/// The state of each zone.
fn state(scrape: &Scrape) -> BTreeMap<String, String> {
    let mut states = BTreeMap::new();
    for state in ["ready", "not_ready", "expired"] {
        for (zone, is) in scrape.by("dnsbld_zone_state", "zone", &[("state", state)]) {
            if is > 0.0 {
                states.insert(zone.to_owned(), state.to_owned());
            }
        }
    }
    states
}

/// Entries of each zone.
fn entries(scrape: &Scrape) -> BTreeMap<&str, f64> {
    scrape.by("dnsbld_dataset_entries", "zone", &[])
}
