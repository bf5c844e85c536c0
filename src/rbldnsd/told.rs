//! What the loader tells, in rbldnsd's words.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use super::sockets::plain;
use super::text::Text;
use crate::dataset::counts::Counts;
use crate::dataset::{Dataset, Kind};
use crate::diag::{BadFile, Diagnostic};
use crate::load::{GLOBAL_ACL, Report, Reporter};
use crate::sys;
use crate::zonefile::Source;

/// What becomes of a zone some of whose datasets can not be used.
pub const NOT_SERVED: &str = "not all datasets are loaded, zone will not be serviced";
/// Warnings of a dataset that are shown; the rest is counted.
pub const WARNINGS_MAX: usize = 5;

/// A reporter that says everything in rbldnsd's words. `titles` is what the command line calls each dataset.
pub fn reporter(text: &Text, titles: HashMap<Source, String>) -> Reporter {
    let (text, user_time) = (text.clone(), Mutex::new(user_time()));
    Reporter::new(move |report| {
        let title = |source: &Source| titles.get(source).cloned().unwrap_or_else(|| source.kind.to_string());
        match report {
            Report::Warnings { source, first, more } => warnings(&text, &title(source), first, *more),
            Report::Read { source, dataset, mtime_s } => {
                loaded(&title(source), dataset, *mtime_s).iter().for_each(|line| text.info(line));
            }
            Report::Bad { why, file, .. } => text.error(&file.map_or_else(|| (*why).to_owned(), bad_file)),
            // rbldnsd says of an access list only what is wrong with its file.
            Report::Lacking { zone: GLOBAL_ACL, served: false } => {}
            Report::Lacking { zone: GLOBAL_ACL, served: true } => {
                text.error("global acl: not loaded, the last good one stays in force");
            }
            Report::Lacking { zone, served: true } => {
                text.error(&format!("zone {zone}: not all datasets are loaded, the last good data stay in service"));
            }
            Report::Lacking { zone, served: false } => {
                text.error(&format!("zone {zone}: {NOT_SERVED}"));
            }
            Report::Done { elapsed } => {
                let now = self::user_time();
                let before =
                    std::mem::replace(&mut *user_time.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), now);
                text.info(&done(*elapsed, now.saturating_sub(before)));
            }
        }
    })
}

/// Say what is wrong with a dataset's lines: the first of them, and how many `more` there are.
pub fn warnings(text: &Text, title: &str, first: &[Diagnostic], more: u64) {
    first.iter().take(WARNINGS_MAX).for_each(|warning| text.warn(&finding(warning)));
    let more = more + first.len().saturating_sub(WARNINGS_MAX) as u64;
    if more > 0 {
        text.warn(&format!("{title}: {more} more warnings suppressed"));
    }
}

/// Time that the process has computed.
fn user_time() -> Duration {
    let user = getrusage(UsageWho::RUSAGE_SELF).map(|usage| usage.user_time());
    // Without it the line says that no time was used.
    user.map_or(Duration::ZERO, |time| {
        Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
    })
}

/// A finding, `file NAME(LINE): message`.
fn finding(finding: &Diagnostic) -> String {
    let file = finding.file.display();
    let line = if finding.line > 0 { format!("({})", finding.line) } else { String::new() };
    format!("file {file}{line}: {}", finding.message)
}

/// What makes a file bad.
pub fn bad_file(why: &BadFile) -> String {
    match why {
        BadFile::Io { file, error } => format!("file {}: unable to open file: {}", file.display(), plain(error)),
        BadFile::Changed { file } => format!("file {}: file changed while we were reading it", file.display()),
        BadFile::Structure(broken) => finding(broken),
    }
}

/// The lines for a dataset that was read.
fn loaded(title: &str, dataset: &Dataset, mtime_s: i64) -> Vec<String> {
    let [year, month, day, hour, minute, second] = sys::local_time(mtime_s);
    let head = format!("{title}: {year:04}{month:02}{day:02} {hour:02}{minute:02}{second:02}");
    let mut lines = Vec::new();
    if dataset.kind() == Kind::Combined {
        let parts = dataset.parts();
        let subzones: usize = parts.iter().map(|(names, _)| names.len()).sum();
        for (_, part) in &parts {
            lines.push(format!("{title}:{}: {}", part.kind(), counts(part)));
        }
        lines.push(format!("{head}: subzones={subzones} datasets={}", parts.len()));
    } else {
        lines.push(format!("{head}: {}", counts(dataset)));
    }
    lines
}

/// What there is in a dataset.
fn counts(dataset: &Dataset) -> String {
    match dataset.counts() {
        Counts::Levels([e32, e24, e16, e8]) => format!("e32/24/16/8={e32}/{e24}/{e16}/{e8}"),
        Counts::Addresses(count) => format!("cnt={count}"),
        Counts::Networks { listed, excluded } => format!("cnt={listed} exl={excluded}"),
        Counts::Names { exact, below } => format!("e/w={exact}/{below}"),
        Counts::Records(count) => format!("e={count}"),
        Counts::Prefixes(count) => format!("ents={count} mem={}k", dataset.heap_bytes().div_ceil(1024)),
        Counts::Other => "loaded".to_owned(),
    }
}

/// The line after everything that was to be read.
fn done(elapsed: Duration, user: Duration) -> String {
    let [arena, free, mapped] = sys::allocator_kib();
    format!(
        "zones reloaded, time {:.1}e/{:.1}u sec, mem arena={arena} free={free} mmap={mapped} Kb",
        elapsed.as_secs_f64(),
        user.as_secs_f64()
    )
}
