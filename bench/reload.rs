//! Reloads under load: the server itself on loopback, asked at a steady rate while its list is replaced again and again.
//!
//! Bounded in rate and time. rbldnsd is asked in the same way where it is installed, and reloads the same file as often.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dnsbld::dataset::Kind;

use crate::queries::{self, A, Datagrams};
use crate::rbldnsd;
use crate::suite::{self, Shape, Suite, ZONE, fail};
use crate::table::{Table, Target};

/// Queries a second.
const RATE: u64 = 20_000;
/// Time between two replacements of the list.
const RELOAD_EVERY: Duration = Duration::from_secs(3);
/// How long an answer is waited for when the last query was sent.
const PATIENCE: Duration = Duration::from_secs(2);
/// Worst answer allowed, ms.
const WORST_MS: f64 = 10.0;

/// What came of one run.
struct Outcome {
    /// Queries sent.
    sent: u64,
    /// Queries without an answer.
    lost: u64,
    /// The slowest answer, ms.
    worst_ms: f64,
    /// 99.9 % of the answers were faster, ms.
    p999_ms: f64,
    /// Times the list was replaced.
    reloads: u32,
}

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let n = suite.sizes.hosts_large;
    let list = suite.list(Shape::Hosts, n);
    let seconds = if suite.sizes.rounds < 7 { 7 } else { 30 };
    let subjects = queries::about_hosts(&suite::hosts(n), 1 << 15);
    let datagrams = Datagrams::about(&subjects.mixed, A, false);
    let file = suite.dir().join("reloaded");
    copy(&list.path, &file);
    let (server, address) = start(suite.dir(), &file);
    let ours = ask(address, &datagrams, Duration::from_secs(seconds), || copy(&list.path, &file));
    drop(server);
    let theirs = rbldnsd::serve(Kind::Ip4Set, &file, ZONE, 3).map(|(server, address)| {
        let _server = Running(server);
        ask(address, &datagrams, Duration::from_secs(seconds), || copy(&list.path, &file))
    });
    let told = |outcome: &Outcome| {
        format!(
            "{} of {} lost, worst {:.1} ms, 99.9 % {:.2} ms, {} reloads",
            outcome.lost, outcome.sent, outcome.worst_ms, outcome.p999_ms, outcome.reloads
        )
    };
    // A lost answer is slower than any.
    let worst = if ours.lost > 0 { f64::INFINITY } else { ours.worst_ms };
    let figure = format!("{RATE} queries a second, {n} hosts reloaded every 3 s");
    let target = Target::most(WORST_MS, "ms, none lost");
    table.row(&figure, worst, told(&ours), Some(&target), theirs.as_ref().map(told));
}

/// Put a copy of the list in place of the file, as rsync does.
fn copy(list: &Path, file: &Path) {
    let aside = file.with_extension("new");
    fs::copy(list, &aside)
        .and_then(|_| fs::rename(&aside, file))
        .unwrap_or_else(|error| fail(&format!("{}: {error}", file.display())));
}

/// A server that was started here, and ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Start the server with one list and wait until it answers.
fn start(dir: &Path, file: &Path) -> (Running, SocketAddr) {
    let settings = dir.join("reload.toml");
    let text = format!(
        "[dns]\nlisten = [\"127.0.0.1:0\"]\n[http]\nenabled = false\n[[zone]]\nname = \"{ZONE}\"\n\
         datasets = [{{ type = \"ip4set\", files = [{file:?}] }}]\nguard.loopback = false\n"
    );
    fs::write(&settings, text).unwrap_or_else(|error| fail(&format!("{}: {error}", settings.display())));
    let child = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
        .args(["serve", "--config"])
        .arg(&settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| fail(&format!("the server does not start: {error}")));
    let mut server = Running(child);
    let mut lines = BufReader::new(server.0.stdout.take().unwrap_or_else(|| fail("no output"))).lines();
    let mut address = None;
    loop {
        match lines.next() {
            Some(Ok(line)) => {
                if let Some(rest) = line.strip_prefix("listening on ") {
                    address = rest.split(' ').next().and_then(|address| address.parse().ok());
                }
                if line.starts_with("ready") {
                    return (server, address.unwrap_or_else(|| fail("the server did not say where it listens")));
                }
            }
            _ => fail("the server ended before it was ready"),
        }
    }
}

/// Ask at the rate for so long, replacing the list as often as agreed.
fn ask(address: SocketAddr, datagrams: &Datagrams, lasts: Duration, mut reload: impl FnMut() + Send) -> Outcome {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            let mut count = 0;
            let mut due = Instant::now() + RELOAD_EVERY / 2;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if Instant::now() >= due {
                    reload();
                    count += 1;
                    due += RELOAD_EVERY;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            count
        });
        let mut outcome = ask_steadily(address, datagrams, lasts);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        outcome.reloads = reloads.join().unwrap_or(0);
        outcome
    })
}

/// Ask at the rate for so long; an answer belongs to the query with its ID.
fn ask_steadily(address: SocketAddr, datagrams: &Datagrams, lasts: Duration) -> Outcome {
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| {
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    let socket = socket.unwrap_or_else(|error| fail(&format!("no socket: {error}")));
    let mut asked: Vec<Option<Instant>> = vec![None; 1 << 16];
    let mut slow_ms: Vec<f64> = Vec::new();
    let (mut sent, mut lost, mut answered) = (0u64, 0u64, 0u64);
    let mut buf = [0; 2048];
    let begin = Instant::now();
    let mut queries = datagrams.iter().cycle();
    let mut datagram = Vec::new();
    loop {
        let elapsed = begin.elapsed();
        let due = (elapsed.min(lasts).as_micros() as u64 * RATE) / 1_000_000;
        while sent < due {
            datagram.clear();
            datagram.extend_from_slice(queries.next().unwrap_or_default());
            let id = sent as u16;
            datagram[..2].copy_from_slice(&id.to_be_bytes());
            if asked[usize::from(id)].replace(Instant::now()).is_some() {
                lost += 1;
            }
            if socket.send(&datagram).is_err() {
                fail("a query could not be sent");
            }
            sent += 1;
        }
        loop {
            match socket.recv(&mut buf) {
                Ok(len) if len >= 12 => {
                    let id = usize::from(u16::from_be_bytes([buf[0], buf[1]]));
                    if let Some(at) = asked[id].take() {
                        slow_ms.push(at.elapsed().as_secs_f64() * 1e3);
                        answered += 1;
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => fail(&format!("receiving failed: {error}")),
            }
        }
        if elapsed >= lasts + PATIENCE || elapsed >= lasts && answered + lost == sent {
            break;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    lost += asked.iter().flatten().count() as u64;
    slow_ms.sort_by(f64::total_cmp);
    let worst_ms = slow_ms.last().copied().unwrap_or(f64::INFINITY);
    let p999_ms = slow_ms.get(slow_ms.len() * 999 / 1000).copied().unwrap_or(f64::INFINITY);
    Outcome { sent, lost, worst_ms, p999_ms, reloads: 0 }
}
