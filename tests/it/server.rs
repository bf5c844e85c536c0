//! The real binary, started on ports of its own choice, asked over real sockets, stopped by its pid.
//!
//! A server lives in a directory that goes away with it. Nothing here sleeps for luck: start waits for the line
//! that says the zones are served, and every other wait is on a condition with a deadline. A test that panics
//! prints the server's log.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::message::{Query, Reply};

/// How long a condition may take to come true; far more than it should, as the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer may take before it counts as lost.
pub const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The modification time that the conformance table was recorded with, seconds since 1970.
pub const FILE_TIME: u64 = 1_700_000_000;

/// Settings that every test server has: own ports, quick reloads. `dns` is put into `[dns]`.
pub fn settings(dns: &str, zones: &str) -> String {
    format!(
        "[dns]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n{dns}\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n\
         [load]\npoll-s = 1\nsettle-ms = 50\n\n{zones}\n"
    )
}

/// Settings of one zone: its name, a list of `type file`, and further lines.
pub fn zone(name: &str, datasets: &[(&str, &str)], more: &str) -> String {
    let mut text = format!("[[zone]]\nname = \"{name}\"\nns = [\"ns.made.example\"]\n{more}\ndatasets = [\n");
    for (kind, file) in datasets {
        text += &format!("  {{ type = \"{kind}\", files = [\"{file}\"] }},\n");
    }
    text + "]\n"
}

/// Guards on content, all off.
pub const NO_GUARDS: &str =
    "guard = { loopback = false, world = false, invalid-name = false, shrink-max = false, grow-max = false }";

/// A running server.
pub struct Server {
    /// The process.
    child: Child,
    /// Where its files are.
    dir: tempfile::TempDir,
    /// Where it answers DNS.
    pub dns: SocketAddr,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// The line that ended the start: `ready: …` or `serving: …`.
    pub started: String,
    /// The lines before that, which say where it listens.
    said: Vec<String>,
    /// What it has written to standard error.
    log: Arc<Mutex<String>>,
}

/// Write a file into a directory with the recorded modification time.
pub fn put_old(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(FILE_TIME);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

impl Server {
    /// Start with these settings and files `(name, content)`; returns when zones are served.
    pub fn start(settings: &str, files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            put_old(&dir.path().join(name), content);
        }
        Self::start_in(dir, settings)
    }

    /// Start in a directory that already has its zone files.
    pub fn start_in(dir: tempfile::TempDir, settings: &str) -> Self {
        let config = dir.path().join("dnsbld.toml");
        std::fs::write(&config, settings).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
            .args(["serve", "--config"])
            .arg(&config)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = follow(child.stdout.take().unwrap());
        collect(child.stderr.take().unwrap(), Arc::clone(&log));
        let (mut dns, mut http, mut started) = (None, None, None);
        let mut said = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while started.is_none() {
            let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server did not start; its log:\n{}\nsettings:\n{settings}", log.lock().unwrap());
            };
            if let Some(rest) = line.strip_prefix("listening on ") {
                let address = rest.split(' ').next().unwrap().parse().unwrap();
                dns.get_or_insert(address);
            } else if let Some(rest) = line.strip_prefix("http on ") {
                http = Some(rest.trim().parse().unwrap());
            } else if line.starts_with("ready: ") || line.starts_with("serving: ") {
                started = Some(line);
            } else {
                said.push(line);
            }
        }
        Self { child, dir, dns: dns.unwrap(), http: http.unwrap(), started: started.unwrap(), said, log }
    }

    /// Where it serves something besides DNS and the operator's HTTP: `tls`, `quic` or `public`.
    pub fn address(&self, what: &str) -> SocketAddr {
        let found =
            self.said.iter().find_map(|line| line.strip_prefix(what)?.strip_prefix(" on ")?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no `{what}` in {:?}", self.said))
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The path of a file in the server's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the server has logged, as far as it has been read: lines come a little later than what else they are about can be seen.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Wait until the server has logged this.
    pub fn wait_log(&self, text: &str) {
        self.wait(&format!("`{text}` in the log"), |server| server.log().contains(text));
    }

    /// Send it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether the process still runs.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ask it to end, and wait until it has.
    pub fn stop(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end on {signal:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A UDP client of its own port.
    pub fn udp(&self) -> Udp {
        Udp::new(self.dns)
    }

    /// A TCP connection.
    pub fn tcp(&self) -> Tcp {
        Tcp::new(self.dns)
    }

    /// Ask over UDP; a lost or broken answer is a failure.
    pub fn ask(&self, query: &Query) -> Reply {
        self.udp().ask(query)
    }

    /// A page of the HTTP side: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.http, path)
    }

    /// Wait until a condition holds; `what` says which when it does not.
    pub fn wait(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child may be gone already; then both calls say so and nothing is lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// Lines of a stream, read on a thread.
pub fn follow(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // The receiver goes away once the server has started; reading on keeps the pipe from filling.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Everything a stream says, collected on a thread, which ends with the stream.
pub fn collect(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    let lines = follow(stream);
    std::thread::spawn(move || {
        while let Ok(line) = lines.recv() {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}

/// Fetch a page: status and body.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding: chunked"), "{path}: a chunked page");
    (status, body.into())
}

/// A UDP client; one port, so that one worker has all its questions in order.
pub struct Udp {
    /// Connected to the server.
    socket: UdpSocket,
}

impl Udp {
    /// A client of this address.
    pub fn new(server: SocketAddr) -> Self {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(ANSWER_WAIT)).unwrap();
        Self { socket }
    }

    /// Send octets.
    pub fn send(&self, octets: &[u8]) {
        self.socket.send(octets).unwrap();
    }

    /// Receive octets; nothing when none come in time.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 65_535];
        self.socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())
    }

    /// Receive whatever has come within a short time.
    pub fn receive_within(&self, wait: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let octets = self.receive();
        self.socket.set_read_timeout(Some(ANSWER_WAIT)).unwrap();
        octets
    }

    /// Send octets and take the reply apart.
    pub fn exchange(&self, octets: &[u8]) -> Reply {
        self.send(octets);
        let reply = self.receive().unwrap_or_else(|| panic!("no answer to {octets:02x?}"));
        Reply::parse(&reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"))
    }

    /// Send octets and take the reply apart, if one comes in time.
    pub fn try_exchange(&self, octets: &[u8], wait: Duration) -> Option<Reply> {
        self.socket.send(octets).ok()?;
        self.receive_within(wait).map(|reply| Reply::parse(&reply).unwrap())
    }

    /// Ask; the reply's ID and question must be the query's.
    pub fn ask(&self, query: &Query) -> Reply {
        let reply = self.exchange(&query.wire());
        assert_eq!(reply.id, query.id, "ID of the answer to {query:?}");
        assert!(reply.counts[0] == 0 || reply.question == query.question(), "question of the answer to {query:?}");
        reply
    }

    /// Whether octets get no answer. A good query goes after them: the answer to it must be the next that comes,
    /// because one worker has all of this port's datagrams in order.
    pub fn silent(&self, octets: &[u8], good: &Query) -> bool {
        let good = good.clone().id(0x5e7e);
        self.send(octets);
        self.ask_id(&good)
    }

    /// Whether the next reply is the one to this query.
    fn ask_id(&self, good: &Query) -> bool {
        self.send(&good.wire());
        let reply = self.receive().expect("no answer to the good query");
        if reply[..2] == good.id.to_be_bytes() {
            return true;
        }
        // Take the good query's answer off the socket too.
        self.receive();
        false
    }
}

/// A TCP connection that speaks DNS (RFC 1035 section 4.2.2).
pub struct Tcp {
    /// The connection.
    pub stream: TcpStream,
}

impl Tcp {
    /// Connect.
    pub fn new(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(ANSWER_WAIT)).unwrap();
        Self { stream }
    }

    /// A message with its length before it.
    pub fn framed(octets: &[u8]) -> Vec<u8> {
        let mut framed = (octets.len() as u16).to_be_bytes().to_vec();
        framed.extend(octets);
        framed
    }

    /// Send a message.
    pub fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(&Self::framed(octets)).unwrap();
    }

    /// Receive a message; nothing when the server closed or said nothing in time.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut message).ok()?;
        Some(message)
    }

    /// Ask and take the reply apart.
    pub fn ask(&mut self, query: &Query) -> Reply {
        self.send(&query.wire());
        let reply = self.receive().expect("no answer over TCP");
        let reply = Reply::parse(&reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
        assert_eq!(reply.id, query.id);
        reply
    }

    /// Whether the server closes the connection within a time.
    pub fn closes_within(&mut self, wait: Duration) -> bool {
        self.stream.set_read_timeout(Some(wait)).unwrap();
        let mut octet = [0];
        match self.stream.read(&mut octet) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
