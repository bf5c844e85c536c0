//! The report: a page of tables with plots beside it, and the numbers for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::suite::fail;

use super::machine;
use super::plan::{KXDPGUN_RATE, Plan, RATE, RATES, RELOAD_RATE};
use super::plot::{self, Scale, Series, short};
use super::results::Results;
use super::servers::Which;

/// What is told of the run besides its results.
#[derive(Debug)]
pub struct Facts {
    /// Small lists and short measurements.
    pub quick: bool,
    /// The command.
    pub command: String,
    /// Processors of the machine.
    pub processors: usize,
    /// Load averages before.
    pub load_before: String,
    /// Load averages after.
    pub load_after: String,
    /// How long it took.
    pub took: Duration,
    /// What was planned.
    pub plan: Plan,
}

/// The cells that all servers are in.
const SHARED: [&str; 6] = ["small", "base", "large", "prefixes", "names", "real"];
/// The cells that differ from the base in one thing.
const AXES: [(&str, &str); 5] = [
    ("base", "half listed, Zipf, one worker"),
    ("misses", "none listed"),
    ("hits", "nine in ten listed"),
    ("uniform", "uniform"),
    ("two-workers", "two workers on two processors, shared with the generator"),
];

/// Two processors count as used up from here on: the rest is what the system itself takes.
const SATURATED: f64 = 1.8;

/// Write everything into a directory.
pub fn write(out: &Path, facts: &Facts, results: &Results) {
    let mut files =
        vec![("results.tsv".to_owned(), results.to_tsv()), ("medians.tsv".to_owned(), results.to_medians())];
    files.extend(plots(results));
    files.push(("README.md".to_owned(), page(facts, results, &files)));
    let written = fs::create_dir_all(out)
        .and_then(|()| files.iter().try_for_each(|(name, text)| fs::write(out.join(name), text)));
    written.unwrap_or_else(|error| fail(&format!("{}: {error}", out.display())));
}

/// The cells of a kind that were measured.
fn measured<'a>(results: &'a Results, names: &'a [&'static str]) -> impl Iterator<Item = (&'static str, usize)> + 'a {
    names.iter().filter_map(|&name| Some((name, results.entries(name)?)))
}

/// What a cell's list is called.
fn label(cell: &str, entries: usize) -> String {
    let what = match cell {
        "prefixes" => "prefixes",
        "names" => "names",
        "real" => "real hosts",
        _ => "hosts",
    };
    format!("{} {what}", short(entries as f64))
}

/// The plots with their file names.
fn plots(results: &Results) -> Vec<(String, String)> {
    let cells: Vec<(&'static str, usize)> = measured(results, &SHARED).collect();
    let groups: Vec<String> = cells.iter().map(|&(cell, entries)| label(cell, entries)).collect();
    let by_cell = |figure: &str| -> Vec<Series> {
        let of = |(colour, &which): (usize, &Which)| {
            let point = |(i, &(cell, _)): (usize, &(&'static str, usize))| {
                Some((i as f64, results.median(cell, which, figure)?))
            };
            let points: Vec<_> = cells.iter().enumerate().filter_map(point).collect();
            (!points.is_empty()).then(|| Series { name: which.name().to_owned(), colour, points })
        };
        Which::ALL.iter().enumerate().filter_map(of).collect()
    };
    let with_list = |series: Vec<Series>| -> Vec<Series> {
        let has_list = |one: &Series| Which::ALL[one.colour].has_list();
        series.into_iter().filter(has_list).collect()
    };
    let latency = |share: &str| -> Vec<Series> {
        let of = |(colour, &which): (usize, &Which)| {
            let point =
                |&rate: &u32| Some((f64::from(rate), results.median("base", which, &format!("at_{rate}_{share}"))?));
            let points: Vec<_> = RATES.iter().filter_map(point).collect();
            (!points.is_empty()).then(|| Series { name: which.name().to_owned(), colour, points })
        };
        Which::ALL.iter().enumerate().filter_map(of).collect()
    };
    let load = |(colour, &which): (usize, &Which)| {
        let point =
            |&cell: &&'static str| Some((results.entries(cell)? as f64, results.median(cell, which, "load_s")?));
        let points: Vec<_> = ["small", "base", "large"].iter().filter_map(point).collect();
        (!points.is_empty()).then(|| Series { name: which.name().to_owned(), colour, points })
    };
    let loads: Vec<Series> = Which::ALL.iter().enumerate().filter_map(load).collect();
    let file = |name: &str, text: String| (name.to_owned(), text);
    vec![
        file(
            "queries.svg",
            plot::bars(
                "Answers a second at saturation, one worker",
                "answers/s",
                &groups,
                Scale::Linear,
                &by_cell("saturated_qps"),
            ),
        ),
        file(
            "cpu.svg",
            plot::bars(
                "Processor time a query at saturation",
                "µs",
                &groups,
                Scale::Linear,
                &by_cell("saturated_cpu_us"),
            ),
        ),
        file(
            "memory.svg",
            plot::bars("Resident memory when loaded", "MiB", &groups, Scale::Log, &with_list(by_cell("resident_mib"))),
        ),
        file(
            "latency-median.svg",
            plot::lines(
                "Latency against load, median",
                ("queries/s", "µs"),
                (Scale::Linear, Scale::Log),
                &latency("median_us"),
            ),
        ),
        file(
            "latency-p99.svg",
            plot::lines(
                "Latency against load, 99 % of answers",
                ("queries/s", "µs"),
                (Scale::Linear, Scale::Log),
                &latency("p99_us"),
            ),
        ),
        file("load.svg", plot::lines("Load time against entries", ("hosts", "s"), (Scale::Log, Scale::Log), &loads)),
    ]
}

/// One figure in a cell of a table; a dash where it was not measured.
fn cell_text(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

/// A Markdown table.
fn table(text: &mut String, head: &[&str], rows: &[Vec<String>]) {
    let _ = writeln!(text, "| {} |", head.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text.push('\n');
}

/// The page.
fn page(facts: &Facts, results: &Results, files: &[(String, String)]) -> String {
    let mut text = String::from("# dnsbld beside other servers\n\n");
    let _ = writeln!(
        text,
        "Command: `{}`{}. {} rounds in which the servers took turns, {:.1} s for each measurement, {:.0} s in all. How everything is measured: \
         [bench/README.md](../../README.md). Medians with least and most of the rounds: `medians.tsv`; every sample: `results.tsv`.\n",
        facts.command,
        if facts.quick { " (**quick: small lists, short measurements, not to be quoted**)" } else { "" },
        facts.plan.rounds,
        facts.plan.lasts.as_secs_f64(),
        facts.took.as_secs_f64()
    );
    let memory = machine::said("free", &["-m"], "Mem:");
    let rows = vec![
        vec!["processor".to_owned(), format!("{}, {} processors", machine::processor(), facts.processors)],
        vec!["memory, MiB".to_owned(), memory.split_whitespace().nth(1).unwrap_or_default().to_owned()],
        vec!["kernel".to_owned(), machine::said("uname", &["-srvm"], "")],
        vec!["load average before and after".to_owned(), format!("{}; {}", facts.load_before, facts.load_after)],
    ];
    let versions = Which::ALL.iter().map(|which| vec![which.name().to_owned(), which.version()]);
    let dnsperf = vec!["dnsperf".to_owned(), machine::said("dnsperf", &["-h"], "ersion")];
    table(&mut text, &["machine", ""], &rows.into_iter().chain(versions).chain([dnsperf]).collect::<Vec<_>>());
    for (name, _) in files.iter().filter(|(name, _)| name.ends_with(".svg")) {
        let _ = writeln!(text, "![{}]({name})\n", name.trim_end_matches(".svg"));
    }
    for (cell, entries) in measured(results, &SHARED) {
        let _ = writeln!(text, "## {}\n", label(cell, entries));
        shared(&mut text, results, cell);
    }
    text.push_str("## One thing changed\n\n");
    axes(&mut text, results);
    reloads(&mut text, results);
    sizes(&mut text, results);
    verdicts(&mut text, results);
    text
}

/// The table of a cell that all servers are in.
fn shared(text: &mut String, results: &Results, cell: &str) {
    let mut rows = Vec::new();
    for which in Which::ALL {
        let get = |figure: &str| results.median(cell, which, figure);
        let parts = |name: &str| {
            let get = |part: &str| cell_text(get(&format!("{name}_{part}_us")), 2);
            format!("{} ({} + {})", get("cpu"), get("user"), get("system"))
        };
        let at = format!("at_{RATE}");
        if get("saturated_qps").is_none() {
            if let Some((_, _, why)) =
                results.failures.iter().find(|(name, failed, _)| *name == cell && *failed == which)
            {
                let mut row = vec![which.name().to_owned(), why.clone()];
                row.resize(12, String::new());
                rows.push(row);
            }
            continue;
        }
        let lost: f64 = ["saturated", &at, "half"].iter().filter_map(|name| get(&format!("{name}_lost"))).sum();
        let us = |figure: &str| cell_text(get(&format!("half_{figure}_us")), 0);
        rows.push(vec![
            which.name().to_owned(),
            cell_text(get("load_s"), 2),
            cell_text(get("resident_mib"), 1),
            cell_text(get("peak_mib"), 1),
            cell_text(get("saturated_qps"), 0),
            format!(
                "{} / {}",
                cell_text(get("saturated_server_busy"), 2),
                cell_text(get("saturated_generator_busy"), 2)
            ),
            parts("saturated"),
            parts(&at),
            format!("{} / {} / {}", us("median"), us("p99"), us("p999")),
            cell_text(get("half_qps"), 0),
            format!("{lost:.0}"),
            cell_text(get("saturated_wrong"), 0),
        ]);
    }
    let rate = format!("µs of processor a query at {RATE}/s (user + system)");
    let head = [
        "server",
        "load, s",
        "resident, MiB",
        "peak, MiB",
        "answers/s at saturation",
        "busy: server / generator",
        "µs of processor a query then (user + system)",
        &rate,
        "latency at half load, µs: median / 99 / 99.9 %",
        "half load, queries/s",
        "lost",
        "wrong",
    ];
    table(text, &head, &rows);
    if cell != "base" {
        return;
    }
    let mut head = vec!["server".to_owned()];
    for rate in RATES {
        head.push(format!("µs of processor at {rate}/s"));
        head.push(format!("latency at {rate}/s, µs: median / 99 / 99.9 %"));
        head.push("lost".to_owned());
    }
    head.push("dnsperf, answers/s".to_owned());
    head.push(format!("kxdpgun, {KXDPGUN_RATE} queries/s, answers/s"));
    let row = |which: Which| {
        let get = |figure: String, digits| cell_text(results.median(cell, which, &figure), digits);
        let mut row = vec![which.name().to_owned()];
        for rate in RATES {
            let us = |figure: &str| get(format!("at_{rate}_{figure}_us"), 0);
            row.push(get(format!("at_{rate}_cpu_us"), 2));
            row.push(format!("{} / {} / {}", us("median"), us("p99"), us("p999")));
            row.push(get(format!("at_{rate}_lost"), 0));
        }
        row.push(get("dnsperf_qps".to_owned(), 0));
        row.push(get("kxdpgun_answered".to_owned(), 0));
        row
    };
    let there = Which::ALL.into_iter().filter(|&which| results.median(cell, which, "saturated_qps").is_some());
    let rows: Vec<_> = there.map(row).collect();
    table(text, &head.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
}

/// The table of cells that differ from the base in one thing.
fn axes(text: &mut String, results: &Results) {
    let mut rows = Vec::new();
    for (cell, what) in AXES {
        let get = |which, figure: &str| results.median(cell, which, figure);
        let at = format!("at_{RATE}_cpu_us");
        if results.entries(cell).is_none() {
            continue;
        }
        rows.push(vec![
            what.to_owned(),
            cell_text(get(Which::Dnsbld, "saturated_qps"), 0),
            cell_text(get(Which::Floor, "saturated_qps"), 0),
            format!(
                "{} / {}",
                cell_text(get(Which::Dnsbld, "saturated_server_busy"), 2),
                cell_text(get(Which::Dnsbld, "saturated_generator_busy"), 2)
            ),
            cell_text(get(Which::Dnsbld, "saturated_cpu_us"), 2),
            cell_text(get(Which::Floor, "saturated_cpu_us"), 2),
            cell_text(get(Which::Dnsbld, &at), 2),
            cell_text(get(Which::Floor, &at), 2),
        ]);
    }
    let rate = [format!("at {RATE}/s"), format!("floor at {RATE}/s")];
    let head = [
        "base cell, but",
        "answers/s at saturation",
        "floor",
        "busy: server / generator",
        "µs of processor a query",
        "floor",
        &rate[0],
        &rate[1],
    ];
    table(text, &head, &rows);
}

/// The table of reloads under load.
fn reloads(text: &mut String, results: &Results) {
    let mut rows = Vec::new();
    for (cell, entries) in measured(results, &SHARED) {
        for which in Which::ALL {
            let Some(took) = results.get(cell, which, "reload_s") else { continue };
            let get = |figure: &str| results.get(cell, which, figure);
            rows.push(vec![
                label(cell, entries),
                which.name().to_owned(),
                took.rounds.to_string(),
                format!("{:.2}", took.median),
                format!(
                    "{} of {}",
                    cell_text(get("reload_lost").map(|figure| figure.median), 0),
                    cell_text(get("reload_sent").map(|figure| figure.median), 0)
                ),
                cell_text(get("reload_lost").map(|figure| figure.most), 0),
                cell_text(get("reload_worst_ms").map(|figure| figure.median), 2),
                cell_text(get("reload_worst_ms").map(|figure| figure.most), 2),
                cell_text(get("reload_p999_ms").map(|figure| figure.median), 2),
                cell_text(get("reload_peak_mib").map(|figure| figure.median), 0),
            ]);
        }
    }
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "## Reload under {RELOAD_RATE} queries a second\n");
    let head = [
        "list",
        "server",
        "reloads",
        "until the new list is served, s (median)",
        "lost in a reload (median)",
        "lost in the worst",
        "slowest answer, ms (median of reloads)",
        "slowest of all",
        "99.9 %, ms",
        "peak of a process, MiB",
    ];
    table(text, &head, &rows);
}

/// The table of memory by entry: what a server has above what it has with the smallest list.
fn sizes(text: &mut String, results: &Results) {
    let Some(few) = results.entries("small") else { return };
    let mut rows = Vec::new();
    for (cell, entries) in measured(results, &SHARED).filter(|&(_, entries)| entries > few) {
        let octets = |which: &Which| {
            let [most, least] = [cell, "small"].map(|cell| results.median(cell, *which, "resident_mib"));
            let above_mib = most.zip(least).map(|(most, least)| most - least);
            let each = above_mib.map(|mib| mib * f64::from(1 << 20) / (entries - few) as f64);
            format!("{} / {}", cell_text(above_mib, 1), cell_text(each, 1))
        };
        let servers = Which::ALL.iter().filter(|which| which.has_list());
        rows.push([label(cell, entries)].into_iter().chain(servers.map(octets)).collect());
    }
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "## Memory above that with {}: MiB / octets an entry\n", label("small", few));
    let servers = Which::ALL.iter().filter(|which| which.has_list()).map(|which| which.name());
    table(text, &["list"].into_iter().chain(servers).collect::<Vec<_>>(), &rows);
}

/// What the figures come to.
fn verdicts(text: &mut String, results: &Results) {
    let mut rows = Vec::new();
    for (cell, entries) in measured(results, &SHARED) {
        for figure in ["saturated_cpu_us".to_owned(), format!("at_{RATE}_cpu_us")] {
            let Some(ours) = results.median(cell, Which::Dnsbld, &figure) else { continue };
            let ratio = |which| cell_text(results.median(cell, which, &figure).map(|other| other / ours), 2);
            let floor = results.median(cell, Which::Floor, &figure).map(|floor| (ours / floor - 1.0) * 100.0);
            let when = if figure.starts_with("at") { format!("at {RATE}/s") } else { "at saturation".to_owned() };
            rows.push(vec![
                label(cell, entries),
                when,
                floor.map_or_else(|| "–".to_owned(), |percent| format!("{percent:+.1} %")),
                ratio(Which::Rbldnsd),
                ratio(Which::Nsd),
                ratio(Which::Knot),
                ratio(Which::Gdnsd),
                ratio(Which::Hickory),
            ]);
        }
    }
    text.push_str("## Processor time of others, times ours\n\n");
    let head = ["list", "when", "ours above the floor", "rbldnsd", "NSD", "Knot", "gdnsd", "hickory-server"];
    table(text, &head, &rows);
    let two = results.median("two-workers", Which::Dnsbld, "saturated_server_busy");
    let generator = results.median("two-workers", Which::Dnsbld, "saturated_generator_busy");
    if let (Some(two), Some(generator), Some(cost), Some(one)) = (
        two,
        generator,
        results.median("two-workers", Which::Dnsbld, "saturated_cpu_us"),
        results.median("base", Which::Dnsbld, "saturated_cpu_us"),
    ) {
        let verdict = if two + generator >= SATURATED {
            "Together they had no more to give: the generator is the limit, not the workers."
        } else {
            "Together they left some processor time unused."
        };
        let _ = writeln!(
            text,
            "With two workers on two processors, which they share with the generator, the server used {two:.2} processors, and the generator had \
             something to do in {:.0} % of its time. {verdict} A query cost {cost:.2} µs of processor with two workers and {one:.2} µs with one, so that \
             two free processors would answer {:.2} times as much as one.\n",
            generator * 100.0,
            2.0 * one / cost
        );
    }
    if !results.failures.is_empty() {
        text.push_str("## What a server could not do\n\n");
        let rows: Vec<_> = results
            .failures
            .iter()
            .map(|(cell, which, why)| {
                vec![which.name().to_owned(), label(cell, results.entries(cell).unwrap_or(0)), why.clone()]
            })
            .collect();
        table(text, &["server", "list", "why"], &rows);
    }
}
