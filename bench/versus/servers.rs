//! The servers: how each is told of the list, started, asked whether it is ready, made to reload and stopped.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::suite::{ZONE, fail};

use super::floor::Tail;
use super::machine;
use super::traffic::Traffic;

/// The processor that servers are kept on; the generator has the next one.
pub const SERVER_CPU: &str = "0";
/// How long to wait for an answer when asking whether a server is ready.
const ASK_PATIENCE: Duration = Duration::from_millis(20);
/// How often a server's memory is looked at while it loads.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a server may take to go by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Memory that stays free for the system and the generator, KiB: a server that wants more is stopped.
const SPARE_KIB: u64 = 3 << 20;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one.
    Dnsbld,
    /// What it succeeds.
    Rbldnsd,
    /// NSD, with the list as a master file.
    Nsd,
    /// Knot DNS, with the list as a master file.
    Knot,
    /// gdnsd, with the list as a master file.
    Gdnsd,
    /// Batched receive and send, nothing else.
    Floor,
    /// hickory-server with a handler that does nothing.
    Hickory,
}

impl Which {
    /// All, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::Dnsbld, Self::Rbldnsd, Self::Nsd, Self::Knot, Self::Gdnsd, Self::Hickory, Self::Floor];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dnsbld => "dnsbld",
            Self::Rbldnsd => "rbldnsd",
            Self::Nsd => "nsd",
            Self::Knot => "knot",
            Self::Gdnsd => "gdnsd",
            Self::Floor => "floor",
            Self::Hickory => "hickory",
        }
    }

    /// Whether it has a list: the others answer everything alike.
    pub fn has_list(self) -> bool {
        !matches!(self, Self::Floor | Self::Hickory)
    }

    /// Whether it reads the list as a master file.
    pub fn reads_master_file(self) -> bool {
        matches!(self, Self::Nsd | Self::Knot | Self::Gdnsd)
    }

    /// Its program; `None` when it is not installed.
    pub fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Dnsbld => return Some(PathBuf::from(env!("CARGO_BIN_EXE_dnsbld"))),
            Self::Floor | Self::Hickory => return std::env::current_exe().ok(),
            Self::Knot => "knotd",
            other => other.name(),
        };
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
    }

    /// Its version, as it says itself.
    pub fn version(self) -> String {
        let Some(program) = self.program() else { return "not installed".to_owned() };
        let program = program.to_string_lossy();
        match self {
            Self::Dnsbld => concat!("dnsbld ", env!("CARGO_PKG_VERSION")).to_owned(),
            // Neither says its version by itself.
            Self::Rbldnsd => machine::said("dpkg-query", &["-W", "rbldnsd"], "rbldnsd").replace('\t', " "),
            Self::Nsd => machine::said(&program, &["-v"], "version"),
            Self::Knot => machine::said(&program, &["-V"], "knotd"),
            Self::Gdnsd => machine::said("dpkg-query", &["-W", "gdnsd"], "gdnsd").replace('\t', " "),
            Self::Floor => "of this program".to_owned(),
            Self::Hickory => "hickory-server 0.26".to_owned(),
        }
    }
}

/// What the servers of a cell are given.
#[derive(Debug)]
pub struct Given {
    /// Where everything lies.
    pub dir: PathBuf,
    /// Where servers listen.
    pub host: IpAddr,
    /// The list's dataset type.
    pub kind: &'static str,
    /// Workers.
    pub workers: usize,
    /// A query for something listed.
    pub probe: Vec<u8>,
    /// The floor's share of hits in percent, and what it appends to hits and misses.
    pub tails: (u64, Tail, Tail),
    /// At most so long to load.
    pub load_max: Duration,
}

/// The names of the files in a cell's directory: the list in use, and its two versions.
pub const LIST: [&str; 3] = ["list", "list-1", "list-2"];
/// The same as master files.
pub const MASTER: [&str; 3] = ["master", "master-1", "master-2"];

/// Put a version of a list in place, as `rsync` does; costs nothing, since it is a link.
pub fn put(dir: &Path, names: [&str; 3], version: usize) {
    let aside = dir.join("aside");
    let _ = fs::remove_file(&aside);
    let linked = fs::hard_link(dir.join(names[version]), &aside);
    linked
        .and_then(|()| fs::rename(&aside, dir.join(names[0])))
        // Renaming one link of a file onto another does nothing, and leaves both.
        .and_then(|()| match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .unwrap_or_else(|error| fail(&format!("{}/{}: {error}", dir.display(), names[version])));
}

/// A running server; its process group ends with this.
#[derive(Debug)]
pub struct Server {
    /// Which.
    pub which: Which,
    /// The first process.
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
    /// Its own directory.
    own: PathBuf,
    /// From its start to its first right answer, s.
    pub load_s: f64,
    /// Resident when loaded, KiB.
    pub resident_kib: u64,
    /// Most resident of one of its processes until then, KiB.
    pub peak_kib: u64,
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        let _ = self.child.wait();
        // Its children have got the signal too, and go at once; the next one must not find its memory taken.
        let deadline = Instant::now() + STOP_PATIENCE;
        while !machine::group(self.child.id()).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = fs::remove_dir_all(&self.own);
    }
}

impl Server {
    /// Start it and wait for its first right answer. The error is a sentence for the report.
    pub fn start(which: Which, given: &Given) -> Result<Self, String> {
        let program = which.program().ok_or("not installed")?;
        let own = given.dir.join(format!("{}.d", which.name()));
        let _ = fs::remove_dir_all(&own);
        let address = free_address(given.host);
        let mut command = Command::new("taskset");
        command.args(["-c", if given.workers == 1 { SERVER_CPU } else { "0,1" }]).arg(program);
        let configured =
            fs::create_dir_all(own.join("zones")).and_then(|()| which.configure(given, &own, address, &mut command));
        let log = configured.and_then(|()| File::create(own.join("log")));
        let (out, err) =
            log.and_then(|log| Ok((log.try_clone()?, log))).map_err(|error| format!("{}: {error}", own.display()))?;
        command.current_dir(&own).stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let begin = Instant::now();
        let child = command.spawn().map_err(|error| format!("taskset can not be run: {error}"))?;
        let mut server = Self { which, child, address, own, load_s: 0.0, resident_kib: 0, peak_kib: 0 };
        // When memory is short after all, the system is to end the server and not its own services.
        let _ = fs::write(format!("/proc/{}/oom_score_adj", server.child.id()), "1000");
        let most_kib = machine::available_kib().saturating_sub(SPARE_KIB);
        let mut looked = begin;
        loop {
            if server.answers(&given.probe) {
                break;
            }
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                server.peak_kib = server.peak_kib.max(machine::peak_kib(&server.pids()));
            }
            let had = format!("it had {:.1} GiB", server.peak_kib as f64 / f64::from(1 << 20));
            if server.peak_kib > most_kib {
                return Err(format!("wants more memory than there is: {had}"));
            }
            let ended = server.child.try_wait().ok().flatten();
            if ended.is_none() && begin.elapsed() <= given.load_max {
                continue;
            }
            let how = ended.map_or_else(
                || format!("not loaded within {} s", given.load_max.as_secs()),
                |status| format!("ended while loading with {status}"),
            );
            let log = fs::read_to_string(server.own.join("log")).unwrap_or_default();
            return Err(format!("{how}; {had}; it said: {}", log.lines().last().unwrap_or("nothing")));
        }
        server.load_s = begin.elapsed().as_secs_f64();
        let pids = server.pids();
        server.resident_kib = machine::resident_kib(&pids);
        server.peak_kib = server.peak_kib.max(machine::peak_kib(&pids));
        Ok(server)
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        machine::group(self.child.id())
    }

    /// Ask one query; whether it is answered with a record, and soon. Servers without a list need only answer.
    pub fn answers(&self, query: &[u8]) -> bool {
        let answer = ask(self.address, query, ASK_PATIENCE);
        answer.is_some_and(|answer| !self.which.has_list() || answer[6..8] != [0, 0])
    }

    /// Let it run on all processors.
    pub fn unpin(&self) {
        for pid in self.pids() {
            machine::said("taskset", &["-apc", "0,1", &pid.to_string()], "");
        }
    }

    /// Tell it that its list has changed, in the way its manual says.
    pub fn reload(&self) {
        let own = self.own.to_string_lossy().into_owned();
        match self.which {
            // It looks itself.
            Which::Dnsbld | Which::Floor | Which::Hickory => {}
            Which::Rbldnsd | Which::Nsd => {
                let pid = rustix::process::Pid::from_child(&self.child);
                if let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::HUP) {
                    fail(&format!("{} can not be told to reload: {error}", self.which.name()));
                }
            }
            Which::Knot => drop(machine::said("knotc", &["-c", &format!("{own}/conf"), "zone-reload", ZONE], "")),
            Which::Gdnsd => {
                // Its own name of the file still is the old version.
                let aside = self.own.join("aside");
                let linked = fs::hard_link(self.own.with_file_name(MASTER[0]), &aside);
                let linked = linked.and_then(|()| fs::rename(&aside, self.own.join("zones").join(ZONE)));
                linked.unwrap_or_else(|error| fail(&format!("{own}: {error}")));
                machine::said("gdnsdctl", &["-c", &own, "reload-zones"], "");
            }
        }
    }
}

impl Which {
    /// Write its settings and add its arguments.
    fn configure(self, given: &Given, own: &Path, address: SocketAddr, command: &mut Command) -> io::Result<()> {
        let (ip, port, workers) = (address.ip(), address.port(), given.workers);
        let (dir, home) = (given.dir.display(), own.display());
        let conf = own.join("conf");
        match self {
            Self::Dnsbld => {
                let text = format!(
                    "state-dir = \"{home}\"\n[dns]\nlisten = [\"{address}\"]\nworkers = {workers}\n[http]\nenabled = false\n\
                     [[zone]]\nname = \"{ZONE}\"\ndatasets = [{{ type = \"{}\", files = [\"{dir}/list\"] }}]\n",
                    given.kind
                );
                fs::write(&conf, text)?;
                command.args(["serve", "--config"]).arg(&conf);
            }
            Self::Rbldnsd => {
                command.args(["-n", "-c", "3600", "-b", &format!("{ip}/{port}"), "-w"]).arg(&given.dir);
                command.arg(format!("{ZONE}:{}:list", given.kind));
            }
            Self::Nsd => {
                let text = format!(
                    "server:\n ip-address: {ip}@{port}\n server-count: {workers}\n reuseport: {}\n username: \"\"\n \
                     zonesdir: \"{home}\"\n database: \"\"\n pidfile: \"\"\n xfrdfile: \"{home}/xfrd\"\n zonelistfile: \"{home}/zones.list\"\n \
                     rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n minimal-responses: yes\n\
                     remote-control:\n control-enable: no\nzone:\n name: \"{ZONE}\"\n zonefile: \"{dir}/master\"\n",
                    if workers > 1 { "yes" } else { "no" }
                );
                fs::write(&conf, text)?;
                command.args(["-d", "-c"]).arg(&conf);
            }
            Self::Knot => {
                let text = format!(
                    "server:\n  rundir: {home}\n  listen: {ip}@{port}\n  udp-workers: {workers}\n  tcp-workers: 1\n  \
                     background-workers: 1\nlog:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: {home}\n\
                     template:\n  - id: default\n    storage: {home}\n    zonefile-sync: -1\n    journal-content: none\n    \
                     semantic-checks: off\nzone:\n  - domain: {ZONE}\n    file: {dir}/master\n"
                );
                fs::write(&conf, text)?;
                command.arg("-c").arg(&conf);
            }
            Self::Gdnsd => {
                let text = format!(
                    "options => {{\n listen => {ip}\n dns_port => {port}\n udp_threads => {workers}\n tcp_threads => 1\n \
                     run_dir => \"{home}/run\"\n state_dir => \"{home}/state\"\n}}\n"
                );
                fs::write(own.join("config"), text)?;
                // It takes no symbolic link, and the file's name is the zone's.
                fs::hard_link(given.dir.join("master"), own.join("zones").join(ZONE))?;
                command.arg("-c").arg(own).arg("start");
            }
            Self::Floor => {
                let (percent, hit, miss) = &given.tails;
                command.args(["child", "floor", &address.to_string(), &workers.to_string(), &percent.to_string()]);
                command.args([hit.to_hex(), miss.to_hex()]);
            }
            Self::Hickory => drop(command.args(["child", "hickory", &address.to_string()])),
        }
        Ok(())
    }
}

/// One query, one answer; none when it does not come soon.
pub fn ask(server: SocketAddr, query: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(patience)).ok()?;
    let mut answer = vec![0; 4096];
    let len = match socket.send(query).and_then(|_| socket.recv(&mut answer)) {
        Ok(len) => len,
        Err(error) => {
            // Nobody listens yet: that is said at once, and asking again at once would take the processor from others.
            if error.kind() == io::ErrorKind::ConnectionRefused {
                std::thread::sleep(Duration::from_millis(1));
            }
            return None;
        }
    };
    answer.truncate(len);
    (len >= 12).then_some(answer)
}

/// An address with a free port; clients have other addresses, so that none takes the port in the meantime.
fn free_address(host: IpAddr) -> SocketAddr {
    let free = UdpSocket::bind((host, 0)).and_then(|socket| socket.local_addr());
    free.unwrap_or_else(|error| fail(&format!("no free port on {host}: {error}")))
}

/// What the floor must append to be as long as a server's answers: taken from the answers to one hit and one miss.
pub fn tails(server: &Server, hit: &[u8], miss: &[u8]) -> (Tail, Tail) {
    let tail = |query: &[u8]| {
        let answer = (0..100).find_map(|_| ask(server.address, query, ASK_PATIENCE));
        Tail::of(query, &answer.unwrap_or_else(|| fail("no answer to copy the sizes of")))
    };
    (tail(hit), tail(miss))
}

/// A query about a subject.
pub fn query(subject: &super::list::Subject) -> Vec<u8> {
    Traffic::one(subject)
}
