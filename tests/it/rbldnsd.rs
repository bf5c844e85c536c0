//! The real rbldnsd, in the foreground on a port of its own, as the one to agree with; and ours under the same command
//! line.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::message::{SOA, query};
use crate::server::{PATIENCE, Udp, collect};

/// A running rbldnsd.
pub struct Rbldnsd {
    /// The process.
    child: Child,
    /// Where it answers.
    pub dns: SocketAddr,
    /// What it has said.
    log: Arc<Mutex<String>>,
}

impl Rbldnsd {
    /// Serve these `zone:type:file` from a directory, with further options; nothing when rbldnsd is not installed.
    pub fn start(dir: &Path, options: &str, specs: &[String]) -> Option<Self> {
        let program = ["/usr/sbin/rbldnsd", "rbldnsd"].into_iter().find(|program| {
            Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        })?;
        Some(Self::serve(Command::new(program), dir, options, specs))
    }

    /// The same by our own program.
    pub fn start_ours(dir: &Path, options: &str, specs: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
        command.arg("rbldnsd");
        Self::serve(command, dir, options, specs)
    }

    /// Run a program with rbldnsd's command line and wait until it answers.
    fn serve(mut command: Command, dir: &Path, options: &str, specs: &[String]) -> Self {
        let port = free_port();
        command.args(["-n", "-q", "-c", "0", "-w"]).arg(dir).args(["-b", &format!("127.0.0.1/{}", port.port())]);
        if rustix::process::geteuid().is_root() {
            // rbldnsd does not serve as root; the temporary files must be readable for the user it becomes.
            open_to_all(dir);
            command.args(["-u", "nobody"]);
        }
        command.args(options.split_ascii_whitespace()).args(specs);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&log));
        collect(child.stderr.take().unwrap(), Arc::clone(&log));
        let started = Self { child, dns: port, log };
        started.wait();
        started
    }

    /// Wait until it answers at all: in the foreground it loads before it listens to anybody.
    fn wait(&self) {
        let (deadline, client) = (Instant::now() + PATIENCE * 2, Udp::new(self.dns));
        // Nothing listens yet: sending may fail as the port is said to be unreachable.
        while client.try_exchange(&query("started.invalid", SOA).wire(), Duration::from_millis(50)).is_none() {
            assert!(Instant::now() < deadline, "it does not answer: {}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An address whose port is free for both UDP and TCP. rbldnsd takes no port 0, so a free one is found first.
///
/// Each is given out once, and from below those that the system gives to clients (32768 and up on Linux), of which other tests take
/// thousands.
pub fn free_port() -> SocketAddr {
    /// The first port, and how many there are from it on.
    const PORTS: (u32, u32) = (10_240, 22_000);
    /// How many were looked at.
    static LOOKED: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(97).wrapping_add(LOOKED.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from(([127, 0, 0, 1], (PORTS.0 + next % PORTS.1) as u16));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Let every user read a directory's files.
pub fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::set_permissions(entry.unwrap().path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
}

impl Drop for Rbldnsd {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.log.lock().unwrap());
        }
    }
}
