//! Queries over kept connections, TLS and plain TCP, beside hickory-server with a handler that does nothing.
//!
//! Both servers are processes of their own on loopback, and one client asks them in turn: some connections, on each so many
//! queries under way. What counts is the processor time of the server's threads, so that the client may have the other
//! processor. Every answer is looked at, and nothing is waited for without a deadline.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use hickory_server::Server;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::queries::{self, A, Datagrams};
use crate::suite::{self, Shape, Sizes, Suite, ZONE, fail};
use crate::table::{Table, Target};
use crate::timing::median;
use crate::versus::{Cpu, Nothing};

/// Connections, all open from the beginning of a round to its end.
const CONNECTIONS: usize = 8;
/// Different queries, half of them listed; each connection asks them again and again.
const QUERIES: usize = 1 << 12;
/// Queries under way on a connection where they are pipelined: what a resolver with work to do sends.
const PIPELINED: usize = 16;
/// Rounds, in each of which the servers take turns, and how long a turn takes.
const ROUNDS: (usize, Duration) = (7, Duration::from_secs(1));
/// The same of a quick run.
const ROUNDS_QUICK: (usize, Duration) = (1, Duration::from_millis(300));
/// How long a server may take until it is ready, which it is within a second where nothing else runs.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a turn may take beyond its time, for connecting and for the last answers: a server that loses one never sends it.
const TURN_EXTRA_MAX: Duration = Duration::from_secs(20);
/// The least that is wanted over TLS, queries a second and core, which is at most so many µs of a core for a query.
const LEAST_QPS: f64 = 60_000.0;
/// Entries of the list.
const ENTRIES: usize = 100_000;
/// How long a connection to hickory-server may be silent or its handshake last: longer than the measurement.
const HICKORY_PATIENCE: Duration = Duration::from_secs(30);
/// Answers that hickory-server lets wait for a connection: more than are ever asked for at once.
const HICKORY_ANSWERS: usize = 2 * PIPELINED;
/// Threads of hickory-server's runtime: as many as serve streams in ours.
const HICKORY_THREADS: usize = 2;

/// One thing that is measured.
struct Case {
    /// What the row says.
    label: &'static str,
    /// Whether over TLS.
    tls: bool,
    /// Queries under way on each connection.
    depth: usize,
    /// Answers that have to be there before queries follow them.
    refill: usize,
}

/// What is measured.
const CASES: [Case; 5] = [
    Case { label: "DNS over TLS, 16 queries under way", tls: true, depth: PIPELINED, refill: 1 },
    Case { label: "DNS over TLS, 16 queries, then 16 answers", tls: true, depth: PIPELINED, refill: PIPELINED },
    Case { label: "DNS over TLS, one query at a time", tls: true, depth: 1, refill: 1 },
    Case { label: "plain TCP, 16 queries under way", tls: false, depth: PIPELINED, refill: 1 },
    Case { label: "plain TCP, one query at a time", tls: false, depth: 1, refill: 1 },
];

/// A server that was started here, and ends with this.
struct Running {
    /// Its process.
    child: Child,
    /// Where it takes plain TCP, and TLS.
    addresses: [SocketAddr; 2],
    /// What it is called.
    name: &'static str,
    /// Whether it has the list; if not, it denies everything.
    has_list: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of one round with one server.
#[derive(Clone, Copy)]
struct Turn {
    /// Queries a second of processor time.
    qps_core: f64,
    /// Queries a second by the clock.
    qps: f64,
}

/// What all connections of the client share.
struct Load {
    /// The queries, each with its length before it; the ID is the place.
    queries: Arc<Vec<Vec<u8>>>,
    /// How they are asked.
    case: &'static Case,
    /// Whether every second query is about something listed.
    has_list: bool,
    /// When to ask no more.
    end: Instant,
}

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let quick = suite.sizes.rounds < Sizes::FULL.rounds;
    let (rounds, lasts) = if quick { ROUNDS_QUICK } else { ROUNDS };
    let list = suite.list(Shape::Hosts, ENTRIES);
    let subjects = queries::about_hosts(&suite::hosts(ENTRIES), QUERIES / 2);
    let asked: Vec<u32> = subjects.hits.iter().zip(&subjects.misses).flat_map(|(&hit, &miss)| [hit, miss]).collect();
    let queries = Arc::new(framed(&Datagrams::about(&asked, A, false)));
    let trusted = put_certificate(suite.dir());
    let servers = [ours(suite.dir(), &list.path), hickory(suite.dir())];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| fail(&format!("no runtime for the client: {error}")));
    for case in &CASES {
        let mut turns = [Vec::new(), Vec::new()];
        let connector = case.tls.then(|| connector(&trusted));
        for round in 0..rounds {
            // The one that begins changes, so that neither always has the warmer machine.
            for at in [round % 2, 1 - round % 2] {
                let asking = turn(&servers[at], connector.as_ref(), case, &queries, lasts);
                let limited = async { timeout(lasts + TURN_EXTRA_MAX, asking).await };
                let late =
                    || io::Error::other(format!("a connection or an answer was not there within {TURN_EXTRA_MAX:?}"));
                let turn = runtime.block_on(limited).unwrap_or_else(|_| Err(late()));
                let told = |error| fail(&format!("{}, {}: {error}", servers[at].name, case.label));
                turns[at].push(turn.unwrap_or_else(told));
            }
        }
        row(table, case, &turns);
    }
}

/// Add the row of a case. Values are µs of a core for a query, since a target is an upper bound.
fn row(table: &mut Table, case: &Case, turns: &[Vec<Turn>; 2]) {
    let middle = |turns: &[Turn], of: fn(&Turn) -> f64| median(&mut turns.iter().map(of).collect::<Vec<_>>());
    let [ours, theirs] = [&turns[0], &turns[1]].map(|turns| middle(turns, |turn| turn.qps_core));
    let text = format!(
        "{ours:.0} queries/s a core ({:.0}/s by the clock); hickory-server {theirs:.0} ({:.0}/s)",
        middle(&turns[0], |turn| turn.qps),
        middle(&turns[1], |turn| turn.qps)
    );
    let least = if case.tls { theirs.max(LEAST_QPS) } else { theirs };
    let wanted =
        if case.tls { format!("≥ {LEAST_QPS:.0} and hickory-server's") } else { "≥ hickory-server's".to_owned() };
    let target = Target { most: 1e6 / least, text: wanted };
    table.row(case.label, 1e6 / ours, text, Some(&target), None);
}

/// The queries, each with its length before it.
fn framed(datagrams: &Datagrams) -> Vec<Vec<u8>> {
    datagrams.iter().map(|datagram| [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()).collect()
}

/// Ask one server for some time.
async fn turn(
    server: &Running,
    connector: Option<&TlsConnector>,
    case: &'static Case,
    queries: &Arc<Vec<Vec<u8>>>,
    lasts: Duration,
) -> io::Result<Turn> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        streams.push(connect(server.addresses[usize::from(case.tls)], connector).await?);
    }
    let (pids, begin) = ([server.child.id()], Instant::now());
    let before = Cpu::of(&pids);
    let queries = Arc::clone(queries);
    let load = Arc::new(Load { queries, case, has_list: server.has_list, end: begin + lasts });
    let asking: Vec<_> =
        streams.into_iter().enumerate().map(|(at, stream)| tokio::spawn(ask(stream, Arc::clone(&load), at))).collect();
    let (mut answered, mut kept) = (0, Vec::new());
    for asked in asking {
        let (count, stream) = asked.await.map_err(io::Error::other)??;
        answered += count;
        kept.push(stream);
    }
    let (cpu_ns, _) = Cpu::of(&pids).since(&before);
    if cpu_ns == 0.0 {
        return Err(io::Error::other("the system does not tell its processor time in /proc/PID/task/*/schedstat"));
    }
    Ok(Turn { qps_core: answered as f64 / (cpu_ns / 1e9), qps: answered as f64 / begin.elapsed().as_secs_f64() })
}

/// Any stream of octets.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection, with TLS where that is wanted.
async fn connect(address: SocketAddr, connector: Option<&TlsConnector>) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(connector) = connector else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Ask until the time is over; how many answers came, and the stream, which stays open until all are done.
async fn ask(mut stream: Box<dyn Stream>, load: Arc<Load>, at: usize) -> io::Result<(u64, Box<dyn Stream>)> {
    let n = load.queries.len();
    // Each begins elsewhere.
    let mut ids = (0..n).cycle().skip(at * n / CONNECTIONS);
    let (mut waiting, mut under_way, mut answered) = (vec![false; n], 0, 0);
    let (mut output, mut input, mut len) = (Vec::new(), vec![0; 16 * 1024], 0);
    loop {
        if Instant::now() >= load.end {
            if under_way == 0 {
                return Ok((answered, stream));
            }
        } else if load.case.depth - under_way >= load.case.refill {
            output.clear();
            for id in ids.by_ref().take(load.case.depth - under_way) {
                waiting[id] = true;
                output.extend_from_slice(&load.queries[id]);
            }
            under_way = load.case.depth;
            stream.write_all(&output).await?;
            stream.flush().await?;
        }
        match stream.read(&mut input[len..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => len += more,
        }
        let mut rest = &input[..len];
        while let Some((answer, after)) = split(rest) {
            let id = judge(answer, load.has_list)?;
            if !waiting.get_mut(id).is_some_and(std::mem::take) {
                return Err(io::Error::other("an answer came to what was not asked"));
            }
            under_way -= 1;
            answered += 1;
            rest = after;
        }
        let left = rest.len();
        input.copy_within(len - left..len, 0);
        len = left;
    }
}

/// The first message and what follows, if all of it is there.
fn split(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*prefix)))
}

/// The ID of an answer that says what it should: even queries are about what is listed.
fn judge(answer: &[u8], has_list: bool) -> io::Result<usize> {
    let Some(&[high, low, flags, codes, _, _, _, records, ..]) = answer.first_chunk::<12>() else {
        return Err(io::Error::other("an answer is too short"));
    };
    let id = usize::from(u16::from_be_bytes([high, low]));
    let listed = has_list && id % 2 == 0;
    // A response (RFC 1035 section 4.1.1): NOERROR with one record, or NXDOMAIN without any.
    let expected = if listed { (0, 1) } else { (3, 0) };
    if flags & 0x80 == 0 || (codes & 15, records) != expected {
        return Err(io::Error::other(format!("a wrong answer: {answer:02x?}")));
    }
    Ok(id)
}

/// TLS 1.3 that believes this certificate.
fn connector(trusted: &CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let config = roots.add(trusted.clone()).and_then(|()| {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"dot".to_vec()];
        Ok(config)
    });
    TlsConnector::from(Arc::new(config.unwrap_or_else(|error| fail(&format!("no TLS for the client: {error}")))))
}

/// Write a fresh certificate for `localhost` into a directory, as `cert.pem` and `key.pem`.
fn put_certificate(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.unwrap_or_else(|error| fail(&format!("no certificate: {error}")));
    for (name, text) in [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())] {
        let file = dir.join(name);
        fs::write(&file, text).unwrap_or_else(|error| fail(&format!("{}: {error}", file.display())));
    }
    made.cert.der().clone()
}

/// Start our server with a list.
fn ours(dir: &Path, list: &Path) -> Running {
    let settings = dir.join("dot.toml");
    let text = format!(
        "[dns]\nlisten = [\"127.0.0.1:0\"]\n[dns.tcp]\nqueries-per-connection-max = 4294967295\n[http]\nenabled = false\n\
         [tls]\ncertificate-file = \"cert.pem\"\nkey-file = \"key.pem\"\ndot-listen = [\"127.0.0.1:0\"]\n\
         [[zone]]\nname = \"{ZONE}\"\ndatasets = [{{ type = \"ip4set\", files = [{list:?}] }}]\nguard.loopback = false\n"
    );
    fs::write(&settings, text).unwrap_or_else(|error| fail(&format!("{}: {error}", settings.display())));
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
    command.args(["serve", "--config"]).arg(&settings);
    start(command, "dnsbld", true)
}

/// Start hickory-server, which is this program once more.
fn hickory(dir: &Path) -> Running {
    let program = std::env::current_exe().unwrap_or_else(|error| fail(&format!("this program is not found: {error}")));
    let mut command = Command::new(program);
    command.args(["child", "hickory-streams"]).arg(dir.join("cert.pem")).arg(dir.join("key.pem"));
    start(command, "hickory-server", false)
}

/// Start a server and wait until it is ready.
fn start(mut command: Command, name: &'static str, has_list: bool) -> Running {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| fail(&format!("{name} does not start: {error}")));
    let mut running = Running { child, name, addresses: [SocketAddr::from(([0, 0, 0, 0], 0)); 2], has_list };
    let output = running.child.stdout.take().unwrap_or_else(|| fail(&format!("{name} has no output")));
    // Reading can not be given up, so another thread does it; it ends with the server.
    let (lines, read) = mpsc::channel();
    thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    let end = Instant::now() + START_MAX;
    loop {
        let line = read.recv_timeout(end.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|_| fail(&format!("{name} ended or was not ready within {START_MAX:?}")));
        let (at, text) = match (line.strip_prefix("listening on "), line.strip_prefix("tls on ")) {
            _ if line.starts_with("ready") => return running,
            (Some(text), _) => (0, text),
            (_, Some(text)) => (1, text),
            _ => continue,
        };
        if let Some(address) = text.split(' ').next().and_then(|address| address.parse().ok()) {
            running.addresses[at] = address;
        }
    }
}

/// Be hickory-server over TCP and TLS until killed.
pub fn child(certificate: &str, key: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(HICKORY_THREADS).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| fail(&format!("no runtime for hickory-server: {error}")));
    let ended = runtime.block_on(async {
        let mut server = Server::new(Nothing);
        let resolver = read_pair(certificate, key);
        let bound = async {
            let [plain, tls] = [TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?];
            println!("listening on {}\ntls on {}", plain.local_addr()?, tls.local_addr()?);
            server.register_listener(plain, HICKORY_PATIENCE, HICKORY_ANSWERS);
            server.register_tls_listener(tls, HICKORY_PATIENCE, resolver)
        };
        bound.await.unwrap_or_else(|error: io::Error| fail(&format!("hickory-server can not listen: {error}")));
        println!("ready");
        server.block_until_done().await
    });
    fail(&format!("hickory-server has ended: {ended:?}"));
}

/// The certificate with its key, for every handshake.
fn read_pair(certificate: &str, key: &str) -> Arc<SingleCertAndKey> {
    let chain = CertificateDer::from_pem_file(certificate);
    let chain = vec![chain.unwrap_or_else(|error| fail(&format!("{certificate}: {error}")))];
    let secret = PrivateKeyDer::from_pem_file(key).unwrap_or_else(|error| fail(&format!("{key}: {error}")));
    let pair = CertifiedKey::from_der(chain, secret, &ring::default_provider());
    Arc::new(pair.unwrap_or_else(|error| fail(&format!("{certificate}: {error}"))).into())
}
