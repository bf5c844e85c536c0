//! The feeder's numbers in a scrape.

use std::sync::atomic::Ordering::Relaxed;

use super::families as f;
use super::metrics::{MailTotals, Samples};
use crate::feed::evidence::Code;
use crate::feed::relation::Word;
use crate::feed::run::status::{DROPS, FeedStatus, InputStatus};
use crate::feed::{Format, Kind};

/// Causes for which lines or parts of sessions were dropped after they had been read.
const READ_DROPS: [&str; 6] = ["cut", "stray", "no_client", "queue_ids", "recipients", "evicted"];

/// Add what the feeder shows.
pub fn add(samples: &mut Samples, feed: &FeedStatus) {
    feed.inputs.iter().for_each(|input| add_input(samples, input));
    let store = &feed.store;
    for (outcome, counter) in [
        ("event", &store.events),
        ("duplicate", &store.duplicates),
        ("counted", &store.counted),
        ("delivery", &store.deliveries),
    ] {
        samples.add(&f::FEED_STORED, &[outcome], counter.load(Relaxed) as f64);
    }
    samples.add(&f::FEED_COMMITS, &["done"], store.commits.load(Relaxed) as f64);
    samples.add(&f::FEED_COMMITS, &["failed"], store.failures.load(Relaxed) as f64);
    if let Some(listings) = &feed.listings {
        for (code, count) in Code::ALL.iter().zip(&listings.listed) {
            samples.add(&f::FEED_LISTED, &[&format!("127.0.0.{}", code.octet())], count.load(Relaxed) as f64);
        }
        samples.add(&f::FEED_HOSTS, &[], listings.hosts.load(Relaxed) as f64);
        for (change, count) in [("begun", &listings.begun), ("ended", &listings.ended), ("removed", &listings.removed)]
        {
            samples.add(&f::FEED_LISTINGS, &[change], count.load(Relaxed) as f64);
        }
    }
}

/// Add what one input shows.
fn add_input(samples: &mut Samples, input: &InputStatus) {
    let (name, state) = (&*input.name, input.state());
    let counts = &state.counts;
    samples.add(&f::FEED_LINES, &[name], counts.lines as f64);
    samples.add(&f::FEED_PARSED, &[name, input.format], counts.parsed as f64);
    samples.add(&f::FEED_IGNORED, &[name, input.format], counts.ignored as f64);
    for ((format, service), &unknown) in Format::ALL.into_iter().zip(&counts.unknown) {
        // What is known to be possible is there from the start; the other services only with something to show.
        if unknown > 0 || format.word() == input.format {
            samples.add(&f::FEED_UNKNOWN, &[name, service], unknown as f64);
        }
    }
    for (kind, &sessions) in Kind::ALL.into_iter().zip(&counts.kinds) {
        samples.add(&f::FEED_SESSIONS, &[name, kind.word()], sessions as f64);
    }
    samples.add(&f::FEED_OPEN, &[name], counts.open as f64);
    samples.add(&f::FEED_LAG_SECONDS, &[name], state.behind_s());
    samples.add(&f::FEED_LAG_BYTES, &[name], state.behind_octets as f64);
    samples.add(&f::FEED_CLOCK, &[name, "future"], counts.clock_future as f64);
    samples.add(&f::FEED_CLOCK, &[name, "backward"], counts.clock_backward as f64);
    let read = [
        state.cut,
        counts.dropped_stray,
        counts.dropped_no_client,
        counts.dropped_queue_ids,
        counts.dropped_recipients,
        counts.evicted,
    ];
    let came = DROPS.iter().map(|(_, label)| *label).zip(input.drops());
    for (cause, count) in READ_DROPS.into_iter().zip(read).chain(came) {
        samples.add(&f::FEED_DROPS, &[name, cause], count as f64);
    }
    if let Some(octets) = state.spool_octets {
        samples.add(&f::FEED_SPOOL, &[name], octets as f64);
    }
}

/// Add what is counted of joe-jobs and of mail servers' questions.
pub fn add_mail(samples: &mut Samples, totals: &MailTotals) {
    if let Some(counts) = totals.joe_jobs {
        samples.add(&f::JOE_JOBS_RUNNING, &[], counts.running as f64);
        samples.add(&f::JOE_JOBS_RAISED, &[], counts.raised as f64);
        for (cause, count) in [("late", counts.detector.late), ("room", counts.detector.dropped)] {
            samples.add(&f::JOE_JOBS_DROPPED, &[cause], count as f64);
        }
    }
    for (result, count) in ["delivered", "failed", "lost"].into_iter().zip(totals.reports.into_iter().flatten()) {
        samples.add(&f::JOE_JOBS_REPORTS, &[result], count as f64);
    }
    for (word, count) in Word::ALL.into_iter().zip(totals.relation.into_iter().flatten()) {
        samples.add(&f::RELATION_ANSWERS, &[word.word()], count as f64);
    }
    if let Some(policy) = totals.policy {
        for (request, count) in ["policy", "question", "bad"].into_iter().zip(policy.requests) {
            samples.add(&f::POLICY_REQUESTS, &[request], count as f64);
        }
        samples.add(&f::POLICY_REFUSED, &[], policy.refused as f64);
        samples.add(&f::POLICY_CONNECTIONS, &[], policy.open as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_label() {
        let docs = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"));
        let causes: Vec<&str> = READ_DROPS.into_iter().chain(DROPS.iter().map(|(_, label)| *label)).collect();
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        let services: Vec<&str> = Format::ALL.iter().map(|(_, word)| *word).collect();
        for (label, values) in [("cause", causes), ("kind", kinds), ("service", services)] {
            let row = format!("- `{label}`: `{}`", values.join("`, `"));
            assert!(docs.lines().any(|line| line.starts_with(&row)), "docs/metrics.md should have: {row}");
        }
    }
}
