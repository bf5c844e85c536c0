//! rbldnsd on the same machine and the same file, where it is installed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dnsbld::dataset::Kind;

use crate::memory::status_kib;

/// Where Debian installs it.
const PROGRAM: &str = "/usr/sbin/rbldnsd";

/// What rbldnsd says of a load, and what it holds afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Time to load as it logs it, s (in steps of 0.01).
    pub seconds: f64,
    /// Resident memory when loaded, KiB.
    pub resident_kib: u64,
    /// Most resident memory so far, KiB.
    pub peak_kib: u64,
}

/// Whether it is installed.
pub fn installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// Start it with one file, wait until it is loaded, read its memory, stop it. `None` if it is not installed or
/// does not load the file.
pub fn run(kind: Kind, file: &Path) -> Option<Run> {
    if !installed() {
        return None;
    }
    // A port that is free now; it is asked nothing, so a lost race only costs the figure.
    let port = UdpSocket::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let mut child = Command::new(PROGRAM)
        .args(["-n", "-q", "-b", &format!("127.0.0.1/{port}"), "-w"])
        .arg(file.parent()?)
        .arg(format!("z.example:{kind}:{}", file.file_name()?.to_str()?))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // The pipe stays open until the end: a log line into a closed one would kill rbldnsd before it is looked at.
    let mut lines = child.stdout.take().map(|out| BufReader::new(out).lines().map_while(Result::ok));
    let seconds = lines.as_mut().and_then(|lines| {
        lines.find_map(|line| {
            let time = line.split_once("zones reloaded, time ")?.1;
            // `0.7e` is 0.07 s: what stands behind the point are hundredths without a leading zero.
            let (whole, hundredths) = time.split_once('e')?.0.split_once('.')?;
            Some(whole.parse::<f64>().ok()? + hundredths.parse::<f64>().ok()? / 100.0)
        })
    });
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let _ = child.kill();
    let _ = child.wait();
    Some(Run {
        seconds: seconds?,
        resident_kib: status_kib(&status, "VmRSS")?,
        peak_kib: status_kib(&status, "VmHWM")?,
    })
}

/// Start it with one list of a zone, to look at the file every so many seconds; returns once the list is loaded. `None`
/// if it is not installed or does not load the file.
pub fn serve(kind: Kind, file: &Path, zone: &str, check_s: u32) -> Option<(Child, SocketAddr)> {
    if !installed() {
        return None;
    }
    let port = UdpSocket::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let mut child = Command::new(PROGRAM)
        .args(["-n", "-c", &check_s.to_string(), "-b", &format!("127.0.0.1/{port}"), "-w"])
        .arg(file.parent()?)
        .arg(format!("{zone}:{kind}:{}", file.file_name()?.to_str()?))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(child.stdout.take()?).lines().map_while(Result::ok);
    lines.find(|line| line.contains(" started "))?;
    // Its further lines are read and forgotten: a full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    Some((child, SocketAddr::from(([127, 0, 0, 1], port))))
}
