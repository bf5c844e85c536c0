//! The program under rbldnsd's name: a link of that name in the current directory, as rbldnsd's own tests want it,
//! beside the real one where that is installed.
//!
//! `usage` compares wrong command lines, `texts` the query log, the statistics and the words; `upstream` holds what
//! rbldnsd's own tests demand; `broken` is about broken OPT records, `dump` is about `-d`; `life` is about signals, daemons and service managers; `settings` about `--print-config`.

mod broken;
mod dump;
mod life;
mod settings;
mod texts;
mod upstream;
mod usage;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::message::{SOA, query};
use crate::server::{PATIENCE, Udp, collect};

/// The user and group that everything runs as when the tests are root's: `nobody`, who owns nothing else.
const NOBODY: u32 = 65_534;
/// The real one.
const REAL: &str = "/usr/sbin/rbldnsd";

/// A directory with the program's link and zone files, as an ordinary user has it.
struct Place {
    /// The directory.
    dir: tempfile::TempDir,
    /// Where to listen: `127.0.0.1/PORT`.
    bind: String,
    /// The same.
    dns: SocketAddr,
}

impl Place {
    /// With these files, for their owner only.
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_dnsbld"), dir.path().join("rbldnsd")).unwrap();
        // Neither program tells which port it chose, so a free one is found first.
        let dns = crate::rbldnsd::free_port();
        let place = Self { dir, bind: format!("127.0.0.1/{}", dns.port()), dns };
        if rustix::process::geteuid().is_root() {
            chown(place.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        files.iter().for_each(|(name, text)| place.write(name, text));
        place
    }

    /// The path of a file.
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// A file's text; nothing if it is not there.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Write a file aside and rename it into place.
    fn write(&self, name: &str, text: &str) {
        let aside = self.path("aside");
        fs::write(&aside, text).unwrap();
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o600)).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(&aside, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::rename(aside, self.path(name)).unwrap();
    }

    /// A command that runs a program here as an ordinary user.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Start a program with these words; `BIND` among them stands for the address.
    fn start(&self, program: &str, line: &str) -> Running {
        let mut command = self.command(program);
        command.args(line.split_ascii_whitespace().map(|word| if word == "BIND" { &self.bind } else { word }));
        Running::of(command, self.dns)
    }

    /// Start ours and wait until it answers.
    fn serve(&self, line: &str) -> Running {
        let running = self.start("./rbldnsd", line);
        running.wait_for_answers();
        running
    }
}

/// A process and what it says.
struct Running {
    /// The process.
    child: Child,
    /// Where it answers.
    dns: SocketAddr,
    /// Standard output.
    out: Arc<Mutex<String>>,
    /// Standard error.
    err: Arc<Mutex<String>>,
    /// The threads that read them.
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Start a command.
    fn of(mut command: Command, dns: SocketAddr) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{command:?}: {error}; the tests' user must be able to run what is built here")
        });
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&out)),
            collect(child.stderr.take().unwrap(), Arc::clone(&err)),
        ];
        Self { child, dns, out, err, readers }
    }

    /// Wait until it answers at all.
    fn wait_for_answers(&self) {
        let (deadline, client) = (Instant::now() + PATIENCE, Udp::new(self.dns));
        // Nothing listens yet: sending may fail as the port is said to be unreachable.
        while client.try_exchange(&query("started.invalid", SOA).wire(), Duration::from_millis(50)).is_none() {
            assert!(Instant::now() < deadline, "no answer: {}", self.err());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Wait until a condition holds.
    fn wait(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "waited in vain: {what}\n{}{}", self.out(), self.err());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has written to standard output.
    fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    /// What it has written to standard error.
    fn err(&self) -> String {
        self.err.lock().unwrap().clone()
    }

    /// Send a signal.
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended by itself, and all it said, output and errors.
    fn end(mut self) -> (ExitStatus, String, String) {
        let status = self.wait_for_end(|_| std::thread::sleep(Duration::from_millis(5)));
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        (status, self.out(), self.err())
    }

    /// Ask it to end, and wait until it has.
    fn stop(mut self, signal: Signal) -> (ExitStatus, String, String) {
        self.wait_for_end(|running| {
            // More than once: the real one misses a signal that comes just before it waits for a question.
            running.signal(signal);
            std::thread::sleep(Duration::from_millis(50));
        });
        self.end()
    }

    /// Wait until it has ended, doing something meanwhile.
    fn wait_for_end(&mut self, mut meanwhile: impl FnMut(&Self)) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}{}", self.out(), self.err());
            meanwhile(self);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already; then both calls say so and nothing is lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the real rbldnsd is here to compare with; says so if not.
fn real_is_here() -> bool {
    let here = Path::new(REAL).exists();
    if !here {
        crate::skip("rbldnsd");
    }
    here
}
