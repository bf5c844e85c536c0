//! Counters as rbldnsd tells them: a line of the statistics file, and lines of the log.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::options::Target;
use super::sockets::plain;
use super::text::Text;
use crate::stats::{NO_ZONE, RCODES, Registry, ZONE_SLOTS, ZoneTotals};
use crate::sys::clock;
use crate::wire::rcode;

/// Queries about one zone, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Queries, those in error and, in the total, those without an answer included.
    queries: u64,
    /// Answers with NOERROR.
    good: u64,
    /// Answers with NXDOMAIN.
    nxdomain: u64,
    /// Octets of queries.
    octets_in: u64,
    /// Octets of answers.
    octets_out: u64,
}

impl Counts {
    /// What has been counted since `before`.
    fn since(self, before: Self) -> Self {
        Self {
            queries: self.queries.wrapping_sub(before.queries),
            good: self.good.wrapping_sub(before.good),
            nxdomain: self.nxdomain.wrapping_sub(before.nxdomain),
            octets_in: self.octets_in.wrapping_sub(before.octets_in),
            octets_out: self.octets_out.wrapping_sub(before.octets_out),
        }
    }

    /// `qtot:qok:qnxd:in:out`.
    fn columns(self) -> String {
        let Self { queries, good, nxdomain, octets_in, octets_out } = self;
        format!("{queries}:{good}:{nxdomain}:{octets_in}:{octets_out}")
    }

    /// `tot=… ok=… nxd=… err=… in=… out=…`.
    fn words(self) -> String {
        let Self { queries, good, nxdomain, octets_in, octets_out } = self;
        let errors = queries.saturating_sub(good + nxdomain);
        format!("tot={queries} ok={good} nxd={nxdomain} err={errors} in={octets_in} out={octets_out}")
    }
}

/// All counters at one moment: each zone in the order of the command line, then the total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    /// By zone.
    zones: Vec<Counts>,
    /// All of them, and what belongs to none.
    total: Counts,
}

impl Counted {
    /// What has been counted since `before`.
    fn since(&self, before: &Self) -> Self {
        let before_zone = |at| before.zones.get(at).copied().unwrap_or_default();
        let zones = self.zones.iter().enumerate().map(|(at, zone)| zone.since(before_zone(at))).collect();
        Self { zones, total: self.total.since(before.total) }
    }
}

/// The statistics of this process.
#[derive(Debug)]
pub struct Statistics {
    /// Where the counters are.
    registry: Arc<Registry>,
    /// Zones with their slots, in the order of the command line.
    zones: Vec<(String, usize)>,
    /// The file, if one is wanted.
    target: Option<Target>,
    /// Where log lines go.
    text: Text,
    /// Counters at the start, or when they were last reset: they belong to the workers, who can not be asked to.
    zero: Counted,
    /// When that was, s since 1970.
    zero_s: i64,
    /// Counters in the file's last line, where it has differences.
    written: Counted,
    /// A failure to write was said.
    failure_told: bool,
}

impl Statistics {
    /// Begin to count for these zones; a bare time in the file says so.
    pub fn start(registry: Arc<Registry>, zones: &[String], target: Option<Target>, text: Text) -> Self {
        let zones = zones.iter().map(|name| (name.clone(), usize::from(registry.zone_slot(name)))).collect();
        let (zero, written) = (Counted::default(), Counted::default());
        let mut statistics =
            Self { registry, zones, target, text, zero, zero_s: clock::now_s(), written, failure_told: false };
        statistics.write_time();
        statistics
    }

    /// Sum all counters up.
    fn read(&self) -> Counted {
        let (blocks, _) = self.registry.read();
        let slot = |slot: usize| {
            let mut totals = ZoneTotals::default();
            blocks.iter().filter_map(|block| block.zone(slot)).for_each(|zone| zone.add_to(&mut totals));
            totals
        };
        let mut total = Counts::default();
        for totals in (NO_ZONE..ZONE_SLOTS).map(slot) {
            let all = counts(&totals, true);
            total.queries += all.queries;
            total.good += all.good;
            total.nxdomain += all.nxdomain;
        }
        for block in &blocks {
            total.queries += block.dropped.iter().map(|count| count.load(Relaxed)).sum::<u64>();
            total.octets_in += block.octets[0].load(Relaxed);
            total.octets_out += block.octets[1].load(Relaxed);
        }
        Counted { zones: self.zones.iter().map(|(_, at)| counts(&slot(*at), false)).collect(), total }
    }

    /// Write a line to the file (every `-c`, and on signals).
    pub fn write(&mut self) {
        let Some(target) = &self.target else { return };
        let now = self.read();
        let since = if target.plus { &self.written } else { &self.zero };
        let counted = now.since(since);
        let mut line = clock::now_s().to_string();
        for ((name, _), counts) in self.zones.iter().zip(&counted.zones) {
            line += &format!(" {name}:{}", counts.columns());
        }
        line += &format!(" *:{}\n", counted.total.columns());
        self.written = now;
        self.append(&line);
    }

    /// Write a bare time: from here on counters begin at zero.
    pub fn write_time(&mut self) {
        self.append(&format!("{}\n", clock::now_s()));
    }

    /// Say them in the log (SIGUSR1 and the end).
    pub fn tell(&self) {
        let counted = self.read().since(&self.zero);
        let seconds = clock::now_s() - self.zero_s;
        for ((name, _), counts) in self.zones.iter().zip(&counted.zones) {
            self.text.info(&format!("stats for {seconds}secs zone {name}: {}", counts.words()));
        }
        self.text.info(&format!("stats for {seconds}sec: {}", counted.total.words()));
    }

    /// Begin at zero (SIGUSR2).
    pub fn reset(&mut self) {
        self.zero = self.read();
        self.written = self.zero.clone();
        self.zero_s = clock::now_s();
        self.write_time();
    }

    /// Append to the file, opened anew each time so that it can be moved away.
    fn append(&mut self, line: &str) {
        let Some(target) = &self.target else { return };
        let file = OpenOptions::new().append(true).create(true).open(&target.path);
        match file.and_then(|mut file| file.write_all(line.as_bytes())) {
            Ok(()) => self.failure_told = false,
            Err(_) if self.failure_told => {}
            Err(error) => {
                self.failure_told = true;
                self.text.warn(&format!("error writing statsfile `{}': {}", target.path.display(), plain(&error)));
            }
        }
    }
}

/// Counts of a slot. Questions that rbldnsd answers with NOTIMP belong to no zone there, so only `all` has them.
fn counts(totals: &ZoneTotals, all: bool) -> Counts {
    let of = |code: u16| RCODES.iter().position(|&(known, _)| known == code);
    let sum = |wanted: Option<usize>| -> u64 {
        let each = totals.answers.iter().flat_map(|codes| codes.iter().enumerate());
        each.filter(|(at, _)| wanted.is_none_or(|wanted| wanted == *at)).map(|(_, count)| count).sum()
    };
    let left_out = if all { 0 } else { sum(of(rcode::NOTIMP)) };
    Counts {
        queries: sum(None) - left_out,
        good: sum(of(rcode::NOERROR)),
        nxdomain: sum(of(rcode::NXDOMAIN)),
        octets_in: totals.octets[0],
        octets_out: totals.octets[1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::answer::{Dropped, Listed, Note, Transport};
    use crate::wire::cookie::Standing;

    /// The file's lines without their times.
    fn lines(path: &std::path::Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'));
        let rest = |line: &str| {
            let (time, rest) = line.split_once(' ').unwrap_or((line, ""));
            assert!(time.parse::<i64>().is_ok_and(|time| time > 1_700_000_000), "{line}");
            rest.to_owned()
        };
        text.lines().map(rest).collect()
    }

    #[test]
    fn absolute_and_relative() {
        for (plus, expected) in [
            (
                false,
                [
                    "",
                    "a:1:1:0:10:20 b:0:0:0:0:0 *:1:1:0:10:20",
                    "a:2:1:1:21:42 b:0:0:0:0:0 *:4:1:1:56:82",
                    "",
                    "a:0:0:0:0:0 b:1:0:0:5:6 *:1:0:0:5:6",
                ],
            ),
            (
                true,
                [
                    "",
                    "a:1:1:0:10:20 b:0:0:0:0:0 *:1:1:0:10:20",
                    "a:1:0:1:11:22 b:0:0:0:0:0 *:3:0:1:46:62",
                    "",
                    "a:0:0:0:0:0 b:1:0:0:5:6 *:1:0:0:5:6",
                ],
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("stats");
            let registry = Arc::<Registry>::default();
            let target = Some(Target { path: path.clone(), plus });
            let zones = ["a".to_owned(), "b".to_owned()];
            let mut statistics = Statistics::start(Arc::clone(&registry), &zones, target, Text::foreground());
            let block = registry.block(Transport::Udp);
            let note = |zone, rcode| Note {
                zone_slot: registry.zone_slot(zone),
                qtype: 1,
                rcode,
                listed: Listed::NotAsked,
                truncated: false,
                cookie: Standing::Absent,
            };
            block.answered(&note("a", 0), 10, 20);
            statistics.write();
            block.answered(&note("a", 3), 11, 22);
            block.answered(&note("a", 4), 20, 40);
            block.dropped(Dropped::Short, 15);
            statistics.write();
            statistics.reset();
            block.answered(&note("b", 5), 5, 6);
            statistics.write();
            assert_eq!(lines(&path), expected, "plus: {plus}");
        }
    }

    #[test]
    fn words() {
        let counts = Counts { queries: 9, good: 4, nxdomain: 3, octets_in: 5, octets_out: 6 };
        assert_eq!(counts.words(), "tot=9 ok=4 nxd=3 err=2 in=5 out=6");
    }
}
