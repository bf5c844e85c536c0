//! What two scrapes say of the time between them, and that as lines of text.
//!
//! Rates are growth by time; where a counter is younger than the first scrape, it has grown from 0. Zones stand in order of their queries.

use std::collections::BTreeMap;

use super::scrape::Scrape;

/// Zones in plain text at most; a screen shows as many as it has lines.
const ZONES_PLAIN_MAX: usize = 50;
/// Columns of plain text.
const PLAIN_COLUMNS: usize = 100;
/// Columns of a zone's figures, to the right of its name.
const FIGURES_COLUMNS: usize = 46;
/// Columns that a zone's name has at least.
const NAME_COLUMNS_MIN: usize = 16;
/// Of the lines that zones and events share, so many parts of three are for zones when both have more than fits.
const ZONES_THIRDS: usize = 2;
/// Response codes that are told, most frequent first.
const CODES_MAX: usize = 5;

/// A line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text, without control characters.
    pub text: String,
    /// Whether it stands out.
    pub strong: bool,
}

impl Line {
    /// An ordinary line.
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), strong: false }
    }

    /// A line that stands out.
    pub fn strong(text: impl Into<String>) -> Self {
        Self { text: text.into(), strong: true }
    }
}

/// What is shown of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Its version.
    pub version: String,
    /// How long it has run, s.
    pub up_s: f64,
    /// Queries answered a second.
    pub queries: f64,
    /// Share of the answers about an entry that are listed.
    pub listed: Option<f64>,
    /// Messages without an answer, a second.
    pub dropped: f64,
    /// Datagrams that the kernel threw away, a second.
    pub lost: f64,
    /// Answers a second, by code, the most frequent first.
    pub codes: Vec<(String, f64)>,
    /// Octets of DNS messages a second, received and sent.
    pub octets: [f64; 2],
    /// TCP connections that are open.
    pub connections: f64,
    /// Resident memory, octets.
    pub memory: Option<f64>,
    /// Processors in use.
    pub processors: Option<f64>,
    /// The zones, busiest first.
    pub zones: Vec<ZoneView>,
    /// The feeder, where there is one.
    pub feed: Option<FeedView>,
}

/// What is shown of a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneView {
    /// Its name, or `-` for questions about none of ours.
    pub name: String,
    /// Queries answered a second.
    pub queries: f64,
    /// Share of the answers about an entry that are listed.
    pub listed: Option<f64>,
    /// Entries in service.
    pub entries: Option<f64>,
    /// Age of the newest file, s.
    pub age_s: Option<f64>,
    /// Ready or not, and whether the last reload was refused.
    pub state: &'static str,
}

/// What is shown of the feeder.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedView {
    /// Log lines read a second.
    pub lines: f64,
    /// Sessions that ended, a second.
    pub sessions: f64,
    /// How far the slowest source is behind, s.
    pub behind_s: f64,
    /// Hosts that are listed, for callouts and for backscatter; nothing without a list.
    pub listed: Option<[f64; 2]>,
    /// Joe-jobs that run.
    pub joe_jobs: f64,
}

/// Two scrapes and the time between them.
struct Pair<'a> {
    /// The earlier one; empty when the server was started meanwhile.
    before: &'a Scrape,
    /// The later one.
    after: &'a Scrape,
    /// Seconds between them.
    seconds: f64,
}

impl Pair<'_> {
    /// Growth of a counter a second.
    fn rate(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        self.a_second(self.after.sum(family, labels) - self.before.sum(family, labels))
    }

    /// Growth of counters a second, by a label.
    fn rates(&self, family: &str, label: &str, labels: &[(&str, &str)]) -> BTreeMap<&str, f64> {
        let before = self.before.by(family, label, labels);
        let rate = |(key, value): (_, f64)| (key, self.a_second(value - before.get(key).copied().unwrap_or(0.0)));
        self.after.by(family, label, labels).into_iter().map(rate).collect()
    }

    /// A growth as a rate. A counter that was begun again has not grown.
    fn a_second(&self, growth: f64) -> f64 {
        if self.seconds > 0.0 { growth.max(0.0) / self.seconds } else { 0.0 }
    }
}

/// A part of a whole, where there is one.
fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Put in order, the largest first; of equal ones the first by name.
fn largest_first<T>(all: &mut [T], size: impl Fn(&T) -> f64) {
    all.sort_by(|a, b| size(b).total_cmp(&size(a)));
}

impl View {
    /// What happened between two scrapes that are so many seconds apart; `now_s` is the time of the later one since 1970.
    pub fn between(before: &Scrape, after: &Scrape, seconds: f64, now_s: f64) -> Self {
        let pair = Pair { before, after, seconds };
        let answers = "dnsbld_answers_listed_total";
        let rates = pair.rates("dnsbld_queries_total", "rcode", &[]).into_iter();
        let mut codes: Vec<(String, f64)> =
            rates.filter(|(_, rate)| *rate > 0.0).map(|(code, rate)| (code.to_owned(), rate)).collect();
        largest_first(&mut codes, |(_, rate)| *rate);
        Self {
            version: after.label("dnsbld_build_info", "version").unwrap_or("?").to_owned(),
            up_s: after.known("process_start_time_seconds", &[]).map_or(0.0, |started| (now_s - started).max(0.0)),
            queries: pair.rate("dnsbld_queries_total", &[]),
            listed: share(pair.rate(answers, &[("listed", "yes")]), pair.rate(answers, &[])),
            dropped: pair.rate("dnsbld_dropped_total", &[]),
            lost: pair.rate("dnsbld_kernel_dropped_total", &[]),
            codes,
            octets: ["dnsbld_receive_bytes_total", "dnsbld_transmit_bytes_total"].map(|family| pair.rate(family, &[])),
            connections: after.sum("dnsbld_tcp_connections", &[]),
            memory: after.known("process_resident_memory_bytes", &[]),
            processors: after
                .known("process_cpu_seconds_total", &[])
                .map(|_| pair.rate("process_cpu_seconds_total", &[])),
            zones: zones(&pair, now_s),
            feed: feed(&pair),
        }
    }

    /// As lines of text: `head` says which server, `events` what happened, the latest last. With a size, no more columns and rows than
    /// that; else all there is.
    pub fn lines(&self, head: &str, events: &[&str], size: Option<(usize, usize)>) -> Vec<Line> {
        let columns = size.map_or(PLAIN_COLUMNS, |(columns, _)| columns);
        let mut lines = self.summary(head);
        let (zones, events_shown) = match size {
            None => (self.zones.len().min(ZONES_PLAIN_MAX), events.len()),
            // An empty line and a head before the zones, and the same before the events.
            Some((_, rows)) => divide(rows.saturating_sub(lines.len() + 4), self.zones.len(), events.len()),
        };
        let name_columns = columns.saturating_sub(FIGURES_COLUMNS).max(NAME_COLUMNS_MIN);
        lines.push(Line::plain(""));
        lines.push(Line::strong(format!(
            "{:<name_columns$} {:>9} {:>8} {:>9} {:>5}  {}",
            "zone", "queries/s", "listed", "entries", "age", "state"
        )));
        lines.extend(self.zones.iter().take(zones).map(|zone| Line::plain(zone.text(name_columns))));
        if !events.is_empty() || size.is_some() {
            lines.push(Line::plain(""));
            lines.push(Line::strong("what happened"));
            lines.extend(events.iter().rev().take(events_shown).map(|event| Line::plain(*event)));
        }
        if let Some((columns, rows)) = size {
            lines.truncate(rows);
            lines.iter_mut().for_each(|line| line.text = cut(&line.text, columns));
        }
        lines
    }

    /// The lines about the server as a whole.
    fn summary(&self, head: &str) -> Vec<Line> {
        let rate = |rate: f64| number(rate);
        let codes: Vec<String> = self
            .codes
            .iter()
            .take(CODES_MAX)
            .map(|(code, rate)| {
                format!("{code} {}", percent(share(*rate, self.codes.iter().map(|(_, rate)| rate).sum())))
            })
            .collect();
        let mut process = format!("in {}B/s, out {}B/s", number(self.octets[0]), number(self.octets[1]));
        process += &format!(", {} TCP connections", number(self.connections));
        if let (Some(memory), Some(processors)) = (self.memory, self.processors) {
            process += &format!("; memory {}B, {:.2} processors", number(memory), processors);
        }
        let mut lines = vec![
            Line::strong(format!("dnsbld {} at {head}, up {}", self.version, duration(self.up_s))),
            Line::plain(format!(
                "queries  {}/s, listed {}; without an answer {}/s, lost by the kernel {}/s",
                rate(self.queries),
                percent(self.listed),
                rate(self.dropped),
                rate(self.lost)
            )),
            Line::plain(format!("answers  {}", if codes.is_empty() { "none".to_owned() } else { codes.join(", ") })),
            Line::plain(format!("process  {process}")),
        ];
        if let Some(feed) = &self.feed {
            let listed = feed.listed.map_or_else(
                || "no list".to_owned(),
                |[callouts, backscatter]| {
                    format!("listed hosts: {} callouts, {} backscatter", number(callouts), number(backscatter))
                },
            );
            lines.push(Line::plain(format!(
                "feeder   {} lines/s, {} sessions/s, {} behind; {listed}; joe-jobs: {}",
                rate(feed.lines),
                rate(feed.sessions),
                duration(feed.behind_s),
                number(feed.joe_jobs)
            )));
        }
        lines
    }
}

impl ZoneView {
    /// Its line.
    fn text(&self, name_columns: usize) -> String {
        format!(
            "{:<name_columns$} {:>9} {:>8} {:>9} {:>5}  {}",
            cut(&self.name, name_columns),
            number(self.queries),
            percent(self.listed),
            self.entries.map_or("-".to_owned(), number),
            self.age_s.map_or("-".to_owned(), duration),
            self.state
        )
        .trim_end()
        .to_owned()
    }
}

/// The zones, busiest first.
fn zones(pair: &Pair<'_>, now_s: f64) -> Vec<ZoneView> {
    let answers = "dnsbld_answers_listed_total";
    let queries = pair.rates("dnsbld_queries_total", "zone", &[]);
    let (listed, of_all) = (pair.rates(answers, "zone", &[("listed", "yes")]), pair.rates(answers, "zone", &[]));
    let entries = pair.after.by("dnsbld_dataset_entries", "zone", &[]);
    let written = pair.after.by("dnsbld_zone_data_timestamp_seconds", "zone", &[]);
    let (ready, success) = (
        pair.after.by("dnsbld_zone_state", "zone", &[("state", "ready")]),
        pair.after.by("dnsbld_zone_last_reload_success", "zone", &[]),
    );
    let expired = pair.after.by("dnsbld_zone_state", "zone", &[("state", "expired")]);
    let is = |of: &BTreeMap<&str, f64>, zone: &str, value: f64| of.get(zone) == Some(&value);
    // A zone that was never asked, and the access list, which never is, are known by their state.
    let names: std::collections::BTreeSet<&str> = queries.keys().chain(ready.keys()).copied().collect();
    let view = |zone: &str| ZoneView {
        name: zone.to_owned(),
        queries: queries.get(zone).copied().unwrap_or(0.0),
        listed: share(listed.get(zone).copied().unwrap_or(0.0), of_all.get(zone).copied().unwrap_or(0.0)),
        entries: entries.get(zone).copied(),
        age_s: written.get(zone).map(|written| (now_s - written).max(0.0)),
        state: if !ready.contains_key(zone) {
            ""
        } else if is(&expired, zone, 1.0) {
            "expired"
        } else if is(&ready, zone, 0.0) {
            "not ready"
        } else if is(&success, zone, 0.0) {
            "refused"
        } else {
            "ready"
        },
    };
    let mut zones: Vec<ZoneView> = names.into_iter().map(view).collect();
    largest_first(&mut zones, |zone| zone.queries);
    zones
}

/// The feeder; nothing where there is none.
fn feed(pair: &Pair<'_>) -> Option<FeedView> {
    let behind = pair.after.by("dnsbld_feed_lag_seconds", "source", &[]);
    pair.after.known("dnsbld_feed_lines_total", &[])?;
    let hosts = |code| pair.after.known("dnsbld_feed_listed_hosts", &[("code", code)]);
    Some(FeedView {
        lines: pair.rate("dnsbld_feed_lines_total", &[]),
        sessions: pair.rate("dnsbld_feed_sessions_total", &[]),
        behind_s: behind.into_values().fold(0.0, f64::max),
        listed: hosts("127.0.0.2").zip(hosts("127.0.0.3")).map(|(callouts, backscatter)| [callouts, backscatter]),
        joe_jobs: pair.after.sum("dnsbld_feed_joe_jobs_running", &[]),
    })
}

/// How many of so many rows are for zones, how many for events.
fn divide(rows: usize, zones: usize, events: usize) -> (usize, usize) {
    if zones + events <= rows {
        return (zones, events);
    }
    let for_zones = (rows * ZONES_THIRDS / 3).max(rows.saturating_sub(events)).min(zones);
    (for_zones, (rows - for_zones).min(events))
}

/// A text of at most so many columns; what is cut off ends in `…`.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain("…".chars().take(columns)).collect()
}

/// A number in at most five characters and a sign: `0.4`, `12`, `99999`, `123k`, `4.5M`.
pub fn number(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    if value < 99_999.5 {
        return format!("{value:.0}");
    }
    let (mut value, mut unit) = (value, 0);
    while value >= 999.5 && unit < 4 {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$}{}", ["", "k", "M", "G", "T"][unit])
}

/// A share in percent, or `-`.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A time in its largest unit, rounded down: `15ms`, `5s`, `3m`, `4h`, `2d`.
pub fn duration(seconds: f64) -> String {
    let whole = |value: f64, unit: &str| format!("{:.0}{unit}", value.floor());
    match seconds {
        s if s <= 0.0 => "0s".to_owned(),
        s if s < 1.0 => whole((s * 1000.0).max(1.0), "ms"),
        s if s < 120.0 => whole(s, "s"),
        s if s < 7200.0 => whole(s / 60.0, "m"),
        s if s < 172_800.0 => whole(s / 3600.0, "h"),
        s => whole(s / 86_400.0, "d"),
    }
}
