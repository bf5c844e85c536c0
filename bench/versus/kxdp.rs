//! A pair of network namespaces for `kxdpgun`, which goes past the kernel's sockets and so needs an interface of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::machine;
use super::plan::{Cell, KXDPGUN_RATE};
use super::results::Results;
use super::servers::Server;

/// The server's side, of the network that is set aside for benchmarks (RFC 2544 appendix C.2.2).
const OUR_SIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 53, 1);
/// The generator's side.
const THEIR_SIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 53, 2);
/// How long one measurement takes, s: `kxdpgun` counts whole seconds.
const LASTS_S: u64 = 1;
/// How long a new interface takes to be up: the other end's carrier is seen within a fraction of that.
const SETTLE: Duration = Duration::from_millis(500);

/// A namespace and a pair of interfaces; both go with this.
#[derive(Debug)]
pub struct Pair {
    /// Name of the namespace.
    space: String,
    /// Name of the interface within it.
    inner: String,
    /// Name of the interface outside.
    outer: String,
}

impl Drop for Pair {
    fn drop(&mut self) {
        machine::said("ip", &["link", "del", &self.outer], "");
        machine::said("ip", &["netns", "del", &self.space], "");
    }
}

impl Pair {
    /// Make one. `None` where `kxdpgun` is not installed or the kernel or our rights do not allow it.
    pub fn new() -> Option<Self> {
        if machine::said("kxdpgun", &["-V"], "kxdpgun").is_empty() {
            return None;
        }
        let id = std::process::id();
        let pair = Self { space: format!("dnsbld-{id}"), inner: format!("dbi{id}"), outer: format!("dbo{id}") };
        let (space, inner, outer) = (pair.space.as_str(), pair.inner.as_str(), pair.outer.as_str());
        let (ours, theirs) = (format!("{OUR_SIDE}/30"), format!("{THEIR_SIDE}/30"));
        let steps: [&[&str]; 6] = [
            &["netns", "add", space],
            &["link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space],
            &["addr", "add", &ours, "dev", outer],
            &["link", "set", outer, "up"],
            &["-n", space, "addr", "add", &theirs, "dev", inner],
            &["-n", space, "link", "set", inner, "up"],
        ];
        for step in steps {
            let status = Command::new("ip").args(step).stdin(Stdio::null()).stderr(Stdio::null()).status();
            if !status.is_ok_and(|status| status.success()) {
                return None;
            }
        }
        std::thread::sleep(SETTLE);
        Some(pair)
    }

    /// The address that servers listen on.
    pub fn address(&self) -> IpAddr {
        OUR_SIDE.into()
    }

    /// Ask at a rate that no server stands, and note how many answers came.
    pub fn measure(&self, server: &Server, cell: &Cell, queries: &Path, results: &mut Results) {
        let (port, lasts, rate) = (server.address.port().to_string(), LASTS_S.to_string(), KXDPGUN_RATE.to_string());
        let output = Command::new("ip")
            .args(["netns", "exec", &self.space, "taskset", "-c", "1", "kxdpgun", "-t", &lasts, "-Q", &rate])
            .args(["-p", &port, "-I", &self.inner, "-i"])
            .arg(queries)
            .arg(server.address.ip().to_string())
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let number = |head: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(head))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        for (figure, head) in [("kxdpgun_sent", "total queries:"), ("kxdpgun_answered", "total replies:")] {
            if let Some(value) = number(head) {
                results.add(cell.name, server.which, figure, value / LASTS_S as f64);
            }
        }
    }
}
