//! What the kernel knows of this process: processor time, memory, descriptors.
//!
//! Read from `/proc/self` (proc(5)) when scraped. Where there is none, the values are absent.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// One look; what could not be read is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time of all threads, user and system, s.
    pub cpu_s: Option<f64>,
    /// Address space, octets.
    pub virtual_bytes: Option<f64>,
    /// Resident memory, octets.
    pub resident_bytes: Option<f64>,
    /// Open descriptors.
    pub open_fds: Option<f64>,
    /// Soft limit of descriptors; `None` also for no limit.
    pub max_fds: Option<f64>,
}

impl Process {
    /// Look now.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current.map(|limit| limit as f64),
            ..Self::parse(&stat, clock_ticks_per_second() as f64, page_size() as f64)
        }
    }

    /// Read the line of `/proc/self/stat`.
    fn parse(stat: &str, ticks_per_s: f64, page_bytes: f64) -> Self {
        // The program's name is the second field and may hold anything, so count from its last parenthesis:
        // proc(5) numbers the first field after it 3.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok());
        let ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
        Self {
            cpu_s: ticks.map(|ticks| ticks / ticks_per_s),
            virtual_bytes: field(23),
            resident_bytes: field(24).map(|pages| pages * page_bytes),
            ..Self::default()
        }
    }
}

/// Open descriptors, without the one by which they are counted.
fn open_fds() -> Option<f64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(entries.saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line of `/proc/self/stat` says, at 100 ticks a second and pages of 4096 octets.
    fn check(stat: &str, expected: (Option<f64>, Option<f64>, Option<f64>)) {
        let process = Process::parse(stat, 100.0, 4096.0);
        assert_eq!((process.cpu_s, process.virtual_bytes, process.resident_bytes), expected, "{stat}");
    }

    #[test]
    fn stat_lines() {
        let rest = "S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 999 81920 20 184467440";
        check(&format!("7 (dnsbld) {rest}"), (Some(3.0), Some(81920.0), Some(81920.0)));
        check(&format!("7 (a) S 1 (b) {rest}"), (Some(3.0), Some(81920.0), Some(81920.0)));
        check("7 (dnsbld) S 1 7 7 0 -1 4194560 100 0 0 0 250", (None, None, None));
        check("", (None, None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000.0, "{process:?}");
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap(), "{process:?}");
        assert!(process.cpu_s.is_some(), "{process:?}");
        assert!(process.open_fds.unwrap() >= 3.0, "{process:?}");
    }
}
