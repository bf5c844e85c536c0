//! Domains under a joe-job: kept beside the events, since what hosts did to them in that time counts as done to one recipient.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior, params};

use super::Ledger;
use crate::feed::evidence::JoeJob;
use crate::feed::joe_job::Target;
use crate::feed::joe_job::detector::Interval;
use crate::feed::subject::Subject;

/// What judging wants to know of joe-jobs: those against domains.
pub fn of_intervals(intervals: &[Interval]) -> Vec<JoeJob> {
    let domain = |interval: &Interval| match &interval.target {
        Target::Domain(domain) => {
            // The end is exclusive there, and inclusive here.
            let to_ms = if interval.to_ms == i64::MAX { i64::MAX } else { interval.to_ms - 1 };
            Some(JoeJob { domain: domain.clone(), from_ms: interval.from_ms, to_ms })
        }
        Target::Recipient(_) => None,
    };
    intervals.iter().filter_map(domain).collect()
}

/// All of them, oldest first. Errors: what SQLite says.
pub fn stored(store: &Connection) -> rusqlite::Result<Vec<JoeJob>> {
    let sql = "SELECT domain, from_ms, to_ms FROM joe_jobs ORDER BY from_ms, domain";
    let mut statement = store.prepare_cached(sql)?;
    let jobs = statement.query_map([], |row| {
        let to_ms: Option<i64> = row.get(2)?;
        Ok(JoeJob { domain: row.get(0)?, from_ms: row.get(1)?, to_ms: to_ms.unwrap_or(i64::MAX) })
    })?;
    jobs.collect()
}

impl Ledger {
    /// Take these for all joe-jobs against domains there are, and judge anew those hosts for whom that makes a difference.
    /// Errors: what SQLite says; nothing is changed then.
    pub fn set_joe_jobs(&self, store: &mut Connection, jobs: &[JoeJob]) -> rusqlite::Result<()> {
        let store = store.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = stored(&store)?;
        let new = jobs.iter().filter(|job| !known.contains(job));
        let changed: Vec<&JoeJob> = known.iter().filter(|job| !jobs.contains(job)).chain(new).collect();
        if changed.is_empty() {
            return Ok(());
        }
        store.execute("DELETE FROM joe_jobs", [])?;
        let mut touched = BTreeSet::new();
        for job in jobs {
            let to_ms = (job.to_ms != i64::MAX).then_some(job.to_ms);
            store.prepare_cached("INSERT OR REPLACE INTO joe_jobs VALUES (?1, ?2, ?3)")?.execute(params![
                job.domain,
                job.from_ms,
                to_ms
            ])?;
        }
        for job in changed {
            let sql = "SELECT DISTINCT ip FROM events JOIN recipients USING (event) \
                       WHERE time_ms BETWEEN ?1 AND ?2 AND domain = ?3";
            let mut statement = store.prepare_cached(sql)?;
            let hosts = statement.query_map(params![job.from_ms, job.to_ms, job.domain], |row| row.get(0))?;
            for ip in hosts {
                touched.insert(Subject::from_octets(ip?));
            }
        }
        self.update(&store, touched.into_iter())?;
        store.commit()
    }
}
