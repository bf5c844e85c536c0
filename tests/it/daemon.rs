//! A program of somebody else that serves in the foreground, with a directory of its own, ended with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::server::{PATIENCE, collect};

/// User and group `nobody` and `nogroup` on Debian: who serves when the program gives up root's rights.
const NOBODY: u32 = 65_534;

/// Where a program is, among the usual directories.
pub fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

/// What a program says of its version, first line that has a digit, printed so that a test's output shows whom it spoke with.
pub fn version(name: &str, argument: &str) -> String {
    let output = Command::new(program(name).unwrap()).arg(argument).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.bytes().any(|octet| octet.is_ascii_digit())).unwrap_or_default();
    println!("{name}: {line}");
    line.to_owned()
}

/// A directory that the user `nobody` may write into, as some programs give up root's rights.
pub fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    give(dir.path());
    dir
}

/// Give a file or directory to the user `nobody`, where we may.
pub fn give(path: &Path) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// A running program.
pub struct Daemon {
    /// The process, leader of a group of its own.
    child: Child,
    /// What it is called in messages.
    name: String,
    /// What it has said.
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Start a program that stays in the foreground.
    pub fn start(name: &str, command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&log));
        collect(child.stderr.take().unwrap(), Arc::clone(&log));
        Self { child, name: name.to_owned(), log }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Wait until a condition holds, as long as the program runs.
    pub fn wait(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE * 2;
        while !condition(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended ({ended:?}) before: {what}", self.name);
            assert!(Instant::now() < deadline, "{}: waited in vain: {what}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The whole group: some programs have workers. It may be gone already; then the calls say so and nothing is lost.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{} said:\n{}", self.name, self.log());
        }
    }
}
