//! What the system tells of processes and of itself.

use std::fs;
use std::process::{Command, Stdio};

/// Processor time of some processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// User and system, ns, as the scheduler counts it.
    pub whole_ns: u64,
    /// User, in the system's ticks.
    user_ticks: u64,
    /// System, in the system's ticks.
    system_ticks: u64,
}

impl Cpu {
    /// Of all threads of these processes so far.
    pub fn of(pids: &[u32]) -> Self {
        let mut cpu = Self::default();
        for pid in pids {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Behind the name, which may hold blanks: state, then fields 4 and on (proc(5)); 14 and 15 are the times.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            cpu.user_ticks += ticks(11);
            cpu.system_ticks += ticks(12);
            for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let counts = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
                cpu.whole_ns += counts.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        cpu
    }

    /// What was used since an earlier look: all of it in ns, and the share of the system in it. The share comes from ticks, the sum does not.
    pub fn since(&self, before: &Self) -> (f64, f64) {
        let user = self.user_ticks.saturating_sub(before.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(before.system_ticks) as f64;
        let share = if user + system > 0.0 { system / (user + system) } else { 0.0 };
        (self.whole_ns.saturating_sub(before.whole_ns) as f64, share)
    }
}

/// The processes of a process group.
pub fn group(leader: u32) -> Vec<u32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        // State, parent, group; a zombie has no memory and no more time.
        if fields.next() != Some("Z") && fields.nth(1).and_then(|group| group.parse().ok()) == Some(leader) {
            pids.push(pid);
        }
    }
    pids
}

/// Resident memory of processes, KiB, each shared page counted once.
pub fn resident_kib(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| field_kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
}

/// The most resident memory that any one of the processes has had, KiB.
pub fn peak_kib(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| field_kib(&format!("/proc/{pid}/status"), "VmHWM:")).max().unwrap_or(0)
}

/// Memory that can be had without swapping, KiB.
pub fn available_kib() -> u64 {
    field_kib("/proc/meminfo", "MemAvailable:")
}

/// A number of KiB in a file of the system; 0 where there is none.
fn field_kib(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The processor's name.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.unwrap_or(": unknown processor").trim_start_matches([' ', '\t', ':']).trim_end().to_owned()
}

/// The first line of what a command says that has some word; empty when it can not be run.
pub fn said(command: &str, arguments: &[&str], word: &str) -> String {
    let output = Command::new(command).args(arguments).stdin(Stdio::null()).output();
    let Ok(output) = output else { return String::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.lines().find(|line| line.contains(word)).unwrap_or_default().trim().to_owned()
}
