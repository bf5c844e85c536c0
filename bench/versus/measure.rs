//! One server's turn in a round: saturation, rates, dnsperf, and a reload under load.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fire::{self, Fired, Steady};
use super::list::{MARK, Subject};
use super::machine::Cpu;
use super::plan::{Cell, Plan, RATE, RATES, RELOAD_RATE};
use super::results::Results;
use super::servers::{self, Given, LIST, MASTER, Server, Which};
use super::traffic::Traffic;

/// Pause before a measurement, so that the last one's answers are gone.
const PAUSE: Duration = Duration::from_millis(30);
/// Ports that queries come from where a server has several workers, so that the kernel has something to share out.
const PORTS: usize = 8;
/// How long queries go on before a reload, and after it is through.
const AROUND_RELOAD: Duration = Duration::from_millis(300);
/// How long to wait for that answer: under load it may stand in a long queue.
const MARK_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is asked whether a reload is through.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Take one server's turn.
pub fn turn(server: &Server, cell: &Cell, plan: &Plan, traffic: &Traffic, results: &mut Results) {
    let ports = if cell.workers > 1 { PORTS } else { 1 };
    let saturated =
        watched(server, cell, "saturated", results, || fire::saturate(server.address, traffic, ports, plan.lasts));
    let each_s = saturated.answered as f64 / saturated.seconds;
    results.add(cell.name, server.which, "saturated_qps", each_s);
    results.add(cell.name, server.which, "half_qps", each_s / 2.0);
    let rates: &[u32] = if cell.in_full { &RATES } else { &[RATE] };
    let named = rates.iter().map(|&rate| (format!("at_{rate}"), f64::from(rate)));
    for (name, rate) in named.chain([("half".to_owned(), each_s / 2.0)]) {
        let how = Steady { rate, ports, spin: true, lasts: plan.lasts };
        let fired = watched(server, cell, &name, results, || fire::steady(server.address, traffic, how, &|| false));
        for (figure, share) in [("median_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            results.add(cell.name, server.which, &format!("{name}_{figure}"), fired.latency_us(share));
        }
    }
}

/// Fire, and note what it cost the server and what was lost.
fn watched(server: &Server, cell: &Cell, name: &str, results: &mut Results, fire: impl FnOnce() -> Fired) -> Fired {
    std::thread::sleep(PAUSE);
    let pids = server.pids();
    let (before, begin) = (Cpu::of(&pids), Instant::now());
    let fired = fire();
    let (cpu_ns, system) = Cpu::of(&pids).since(&before);
    let took_s = begin.elapsed().as_secs_f64();
    let cpu_us = cpu_ns / 1e3 / (fired.answered.max(1)) as f64;
    let mut add = |figure: &str, value: f64| results.add(cell.name, server.which, &format!("{name}_{figure}"), value);
    add("cpu_us", cpu_us);
    add("user_us", cpu_us * (1.0 - system));
    add("system_us", cpu_us * system);
    add("server_busy", cpu_ns / 1e9 / took_s);
    add("generator_busy", fired.busy);
    add("lost", fired.lost as f64);
    add("sent", fired.sent as f64);
    if server.which.has_list() {
        add("wrong", fired.wrong as f64);
    }
    fired
}

/// Ask with dnsperf, where it is installed: one client, one thread, as many queries as come back.
pub fn dnsperf(server: &Server, cell: &Cell, plan: &Plan, queries: &Path, results: &mut Results) {
    let seconds = plan.lasts.as_secs().max(1).to_string();
    let output = Command::new("taskset")
        .args(["-c", "1", "dnsperf", "-c", "1", "-T", "1", "-q", "100", "-l", &seconds, "-s"])
        .arg(server.address.ip().to_string())
        .args(["-p", &server.address.port().to_string(), "-d"])
        .arg(queries)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |head: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(head))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    for (figure, head) in [("dnsperf_qps", "Queries per second:"), ("dnsperf_lost", "Queries lost:")] {
        if let Some(value) = number(head) {
            results.add(cell.name, server.which, figure, value);
        }
    }
}

/// Replace the list under load with its second version, and watch until that is answered.
pub fn reload(server: &Server, cell: &Cell, given: &Given, traffic: &Traffic, results: &mut Results) {
    server.unpin();
    let stop = AtomicBool::new(false);
    let mark = servers::query(&Subject::Address(MARK));
    let how = Steady { rate: f64::from(RELOAD_RATE), ports: 1, spin: false, lasts: given.load_max + 2 * AROUND_RELOAD };
    let (fired, took) = std::thread::scope(|scope| {
        let reloaded = scope.spawn(|| {
            std::thread::sleep(AROUND_RELOAD);
            let begin = Instant::now();
            servers::put(&given.dir, LIST, 2);
            if given.dir.join(MASTER[2]).exists() {
                servers::put(&given.dir, MASTER, 2);
            }
            server.reload();
            let mut took = None;
            while took.is_none() && begin.elapsed() < given.load_max {
                let answer = servers::ask(server.address, &mark, MARK_PATIENCE);
                if answer.is_some_and(|answer| answer[6..8] != [0, 0]) {
                    took = Some(begin.elapsed());
                } else {
                    std::thread::sleep(ASK_EVERY);
                }
            }
            std::thread::sleep(AROUND_RELOAD);
            stop.store(true, Ordering::Relaxed);
            took
        });
        let fired = fire::steady(server.address, traffic, how, &|| stop.load(Ordering::Relaxed));
        (fired, reloaded.join().ok().flatten())
    });
    let Some(took) = took else {
        let why = format!("does not serve a changed list within {} s", given.load_max.as_secs());
        eprintln!("{} {}: {why}", cell.name, server.which.name());
        results.failures.push((cell.name, server.which, why));
        return;
    };
    let mut add = |figure: &str, value: f64| results.add(cell.name, server.which, figure, value);
    add("reload_s", took.as_secs_f64());
    add("reload_sent", fired.sent as f64);
    add("reload_lost", fired.lost as f64);
    add("reload_worst_ms", fired.latency_us(1.0) / 1e3);
    add("reload_p999_ms", fired.latency_us(0.999) / 1e3);
    add("reload_peak_mib", super::machine::peak_kib(&server.pids()) as f64 / 1024.0);
}

/// Start a server and note its load.
pub fn start(which: Which, cell: &Cell, given: &Given, results: &mut Results) -> Option<Server> {
    match Server::start(which, given) {
        Ok(server) => {
            if which.has_list() {
                results.add(cell.name, which, "load_s", server.load_s);
            }
            results.add(cell.name, which, "resident_mib", server.resident_kib as f64 / 1024.0);
            results.add(cell.name, which, "peak_mib", server.peak_kib as f64 / 1024.0);
            Some(server)
        }
        Err(why) => {
            eprintln!("{} {}: {why}", cell.name, which.name());
            results.failures.push((cell.name, which, why));
            None
        }
    }
}
