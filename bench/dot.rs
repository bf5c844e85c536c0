//! Queries over kept connections, TLS and plain TCP, beside hickory-server with a handler that does nothing.
//!
//! Both servers are processes of their own on loopback, and one client asks them in turn: some connections, on each so many
//! queries in one write, and the next when all their answers are there. What counts is the processor time of the
//! server's threads, so that the client may have the other processor. Every answer is looked at.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use hickory_server::Server;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::queries::{self, A, Datagrams};
use crate::suite::{self, Shape, Suite, ZONE, fail};
use crate::table::{Table, Target};
use crate::timing::median;
use crate::versus::{Cpu, Nothing};

/// Connections, all open from the beginning of a round to its end.
const CONNECTIONS: usize = 8;
/// Different queries, half of them listed; each connection asks them again and again.
const QUERIES: usize = 1 << 12;
/// Queries in one write where they are pipelined: what a resolver with work to do sends at once.
const PIPELINED: usize = 16;
/// Rounds, in each of which the servers take turns.
const ROUNDS: usize = 5;
/// How long a round takes, and how long a quick one.
const LASTS: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(300)];
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

/// What is measured: label, over TLS, queries in one write.
const CASES: [(&str, bool, usize); 4] = [
    ("DNS over TLS, kept connections, pipelined", true, PIPELINED),
    ("DNS over TLS, kept connections, one query at a time", true, 1),
    ("plain TCP, kept connections, pipelined", false, PIPELINED),
    ("plain TCP, kept connections, one query at a time", false, 1),
];

/// A server that was started here, and ends with this.
struct Running {
    /// Its process.
    child: Child,
    /// Where it takes plain TCP, and TLS.
    addresses: [SocketAddr; 2],
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
    /// The writes, each with its queries.
    writes: Vec<Vec<u8>>,
    /// Queries in one write.
    depth: usize,
    /// Whether every second query is about something listed.
    has_list: bool,
}

/// Fill the section.
pub fn run(suite: &Suite, table: &mut Table) {
    let quick = suite.sizes.rounds < ROUNDS;
    let (rounds, lasts) = if quick { (1, LASTS[1]) } else { (ROUNDS, LASTS[0]) };
    let list = suite.list(Shape::Hosts, ENTRIES);
    let subjects = queries::about_hosts(&suite::hosts(ENTRIES), QUERIES / 2);
    let asked: Vec<u32> = subjects.hits.iter().zip(&subjects.misses).flat_map(|(&hit, &miss)| [hit, miss]).collect();
    let datagrams = Datagrams::about(&asked, A, false);
    let trusted = put_certificate(suite.dir());
    let servers = [ours(suite.dir(), &list.path), hickory(suite.dir())];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| fail(&format!("no runtime for the client: {error}")));
    for (label, tls, depth) in CASES {
        let mut turns = [Vec::new(), Vec::new()];
        let connector = tls.then(|| connector(&trusted));
        for round in 0..rounds {
            // The one that begins changes, so that neither always has the warmer machine.
            for at in [round % 2, 1 - round % 2] {
                let server = &servers[at];
                let writes = framed(&datagrams, depth);
                let load = Arc::new(Load { writes, depth, has_list: server.has_list });
                turns[at].push(runtime.block_on(turn(server, connector.as_ref(), &load, lasts)));
            }
        }
        row(table, label, tls && depth == PIPELINED, &turns);
    }
}

/// Add the row of a case. Values are µs of a core for a query, since a target is an upper bound.
fn row(table: &mut Table, label: &str, judged: bool, turns: &[Vec<Turn>; 2]) {
    let middle = |turns: &[Turn], of: fn(&Turn) -> f64| median(&mut turns.iter().map(of).collect::<Vec<_>>());
    let [ours, theirs] = [&turns[0], &turns[1]].map(|turns| middle(turns, |turn| turn.qps_core));
    let text = format!(
        "{ours:.0} queries/s a core ({:.0}/s by the clock); hickory-server {theirs:.0} ({:.0}/s)",
        middle(&turns[0], |turn| turn.qps),
        middle(&turns[1], |turn| turn.qps)
    );
    let least = if judged { theirs.max(LEAST_QPS) } else { theirs };
    let wanted =
        if judged { format!("≥ {LEAST_QPS:.0} and hickory-server's") } else { "≥ hickory-server's".to_owned() };
    let target = Target { most: 1e6 / least, text: wanted };
    table.row(label, 1e6 / ours, text, Some(&target), None);
}

/// The queries with their lengths before them, so many in each write.
fn framed(datagrams: &Datagrams, depth: usize) -> Vec<Vec<u8>> {
    let all: Vec<&[u8]> = datagrams.iter().collect();
    let frame = |datagram: &&[u8]| [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat();
    all.chunks(depth).map(|some| some.iter().flat_map(frame).collect()).collect()
}

/// Ask one server for some time.
async fn turn(server: &Running, connector: Option<&TlsConnector>, load: &Arc<Load>, lasts: Duration) -> Turn {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = connect(server.addresses[usize::from(connector.is_some())], connector).await;
        streams.push(stream.unwrap_or_else(|error| fail(&format!("no connection to the server: {error}"))));
    }
    let (pids, begin) = ([server.child.id()], Instant::now());
    let before = Cpu::of(&pids);
    let asking: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(at, stream)| tokio::spawn(ask(stream, Arc::clone(load), at, begin + lasts)))
        .collect();
    let (mut answered, mut kept) = (0, Vec::new());
    for asked in asking {
        match asked.await {
            Ok(Ok((count, stream))) => {
                answered += count;
                kept.push(stream);
            }
            Ok(Err(error)) => fail(&format!("a server failed under load: {error}")),
            Err(error) => fail(&format!("the client failed: {error}")),
        }
    }
    let (cpu_ns, _) = Cpu::of(&pids).since(&before);
    Turn { qps_core: answered as f64 / (cpu_ns / 1e9), qps: answered as f64 / begin.elapsed().as_secs_f64() }
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
async fn ask(
    mut stream: Box<dyn Stream>,
    load: Arc<Load>,
    at: usize,
    end: Instant,
) -> io::Result<(u64, Box<dyn Stream>)> {
    let (mut answered, mut input, mut len) = (0, vec![0; 16 * 1024], 0);
    // Each begins elsewhere.
    for turn in (0..load.writes.len()).cycle().skip(at * load.writes.len() / CONNECTIONS) {
        if Instant::now() >= end {
            break;
        }
        stream.write_all(&load.writes[turn]).await?;
        stream.flush().await?;
        // A bit for each query without an answer.
        let mut waiting = u32::MAX >> (32 - load.depth);
        while waiting != 0 {
            match stream.read(&mut input[len..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => len += more,
            }
            let mut rest = &input[..len];
            while let Some((answer, after)) = split(rest) {
                let index = judge(answer, load.has_list)?.wrapping_sub(turn * load.depth);
                if index >= load.depth || waiting & 1 << index == 0 {
                    return Err(io::Error::other("an answer came to what was not asked"));
                }
                waiting &= !(1 << index);
                answered += 1;
                rest = after;
            }
            let left = rest.len();
            input.copy_within(len - left..len, 0);
            len = left;
        }
    }
    Ok((answered, stream))
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
    start(command, true)
}

/// Start hickory-server, which is this program once more.
fn hickory(dir: &Path) -> Running {
    let program = std::env::current_exe().unwrap_or_else(|error| fail(&format!("this program is not found: {error}")));
    let mut command = Command::new(program);
    command.args(["child", "hickory-streams"]).arg(dir.join("cert.pem")).arg(dir.join("key.pem"));
    start(command, false)
}

/// Start a server and wait until it is ready.
fn start(mut command: Command, has_list: bool) -> Running {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| fail(&format!("a server does not start: {error}")));
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut running = Running { child, addresses: [unknown; 2], has_list };
    let output = running.child.stdout.take().unwrap_or_else(|| fail("a server has no output"));
    for line in BufReader::new(output).lines().map_while(Result::ok) {
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
    fail("a server ended before it was ready")
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
