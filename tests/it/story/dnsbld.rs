//! Our server on a machine: names of the whole little world, the list, and the feeder.

use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::machine::{Machine, ended};
use crate::message::{A, TXT, query};
use crate::server::{PATIENCE, Udp, collect, follow};

/// Its settings on its machine.
const SETTINGS: &str = "/etc/dnsbld/dnsbld.toml";

/// A running server.
pub struct Dnsbld<'m> {
    /// Where it runs.
    machine: &'m Machine,
    /// The process that entered the machine; the server is its child.
    entered: Child,
    /// What the server has logged.
    log: Arc<Mutex<String>>,
    /// A client on the machine.
    client: Udp,
}

impl<'m> Dnsbld<'m> {
    /// Start it with these settings; files beside them have been put there. Returns when zones are served, on 127.0.0.1:53.
    pub fn start(machine: &'m Machine, settings: &str) -> Self {
        machine.put(SETTINGS, settings);
        let mut command = machine.command(env!("CARGO_BIN_EXE_dnsbld"));
        command.args(["serve", "--config", SETTINGS]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut entered = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = follow(entered.stdout.take().unwrap());
        collect(entered.stderr.take().unwrap(), Arc::clone(&log));
        let client = machine.inside(|| Udp::new("127.0.0.1:53".parse().unwrap()));
        let started = Self { machine, entered, log, client };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("dnsbld did not start"));
            if line.starts_with("ready: ") || line.starts_with("serving: ") {
                return started;
            }
        }
    }

    /// End it, and wait until it has.
    pub fn stop(mut self) {
        self.machine.run("kill $(pidof dnsbld)");
        assert!(self.entered.wait().unwrap().success());
    }

    /// The TXT of a listed IPv4 address in a zone; nothing when it is not listed.
    pub fn listed(&self, ip: &str, zone: &str) -> Option<String> {
        let reversed: Vec<&str> = ip.split('.').rev().collect();
        let name = format!("{}.{zone}", reversed.join("."));
        let answer = self.client.ask(&query(&name, A));
        match answer.code().as_str() {
            "NOERROR" => Some(self.client.ask(&query(&name, TXT)).answers().into_iter().collect()),
            "NXDOMAIN" => None,
            code => panic!("{name}: {code}"),
        }
    }

    /// What `dnsbld feed COMMAND` says, with `--json`, of an address.
    pub fn feed(&self, command: &str, ip: &str) -> serde_json::Value {
        let mut program = self.machine.command(env!("CARGO_BIN_EXE_dnsbld"));
        let (status, text) = ended(program.args(["feed", command, ip, "--json", "--config", SETTINGS]));
        assert!(status.success(), "feed {command} {ip}: {text}");
        serde_json::from_str(text.lines().next().unwrap_or("null")).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Drop for Dnsbld<'_> {
    fn drop(&mut self) {
        // The server itself ends with its machine; what entered it may be gone already.
        let _ = self.entered.kill();
        let _ = self.entered.wait();
        if std::thread::panicking() {
            eprintln!("dnsbld's log:\n{}", self.log.lock().unwrap());
        }
    }
}
