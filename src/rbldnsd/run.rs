//! Serving under rbldnsd's command line: the same loader and the same servers as `dnsbld serve`, wired as its options
//! say.
//!
//! In order: addresses are bound and the pid file is written with the privileges of the start; then come the chroot,
//! the working directory and the user; then the zones are read from there; then queries are answered.

use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::options::Options;
use super::process::{self, Ready};
use super::queries::QueryWriter;
use super::sockets::{self, plain};
use super::specs::{Zone, Zones};
use super::statistics::Statistics;
use super::text::Text;
use super::told;
use crate::load::status::Status;
use crate::load::{Command, ExpiryOptions, GuardOptions, Handle, LoadOptions, Loader, ZoneSpec};
use crate::serve::answer::Policy;
use crate::serve::query_log::QueryLog;
use crate::serve::stream::{StreamOptions, StreamServer, Streams};
use crate::serve::udp::{UdpOptions, UdpServer, UdpWorkers};
use crate::stats::Registry;
use crate::sys;
use crate::sys::service::{Handed, Notifier, take_sockets};
use crate::sys::signals::Stop;
use crate::zone::{Publisher, Reader, ZoneSettings, ZoneState};

/// Threads for streams.
const RUNTIME_THREADS: usize = 2;
/// How long files must look the same before they are read, once a check found them changed.
const SETTLE: Duration = Duration::from_millis(200);
/// Receive buffer of each socket, octets: a few thousand queries, as under settings.
const RECEIVE_BUFFER_OCTETS: usize = 4 << 20;
/// Descriptors wanted: as many connections as there may be, with room to spare.
const DESCRIPTORS: u64 = 1_280;

/// Serve until told to stop.
pub fn run(options: &Options) -> ExitCode {
    // Before any thread, and before a fork gives this process another id.
    let handed = match take_sockets() {
        Ok(handed) => handed,
        Err(error) => {
            Text::foreground().error(&format!("sockets handed over can not be used: {}", plain(&error)));
            return ExitCode::FAILURE;
        }
    };
    if options.listen.is_empty() && handed.datagram.is_empty() && handed.stream.is_empty() {
        Text::foreground().error("no address to listen on (-b option) specified");
        return ExitCode::FAILURE;
    }
    let (text, ready) = if options.foreground {
        (Text::foreground(), None)
    } else {
        match process::daemonize() {
            Ok(Ok(ready)) => (Text::daemon(options.facility, options.quick), Some(ready)),
            Ok(Err(code)) => return ExitCode::from(code),
            Err(error) => {
                Text::foreground().error(&format!("unable to fork: {}", plain(&error)));
                return ExitCode::FAILURE;
            }
        }
    };
    sys::tune_allocator();
    match serve(options, handed, ready, &text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            text.error(&why);
            ExitCode::FAILURE
        }
    }
}

/// The version that `version.bind` tells, as many times as `-v` was given; `None` refuses the question.
pub fn version(discretion: u8) -> Option<String> {
    match discretion {
        0 => Some(format!("rbldnsd (dnsbld {})", env!("CARGO_PKG_VERSION"))),
        1 => Some("rbldnsd".to_owned()),
        _ => None,
    }
}

/// Bound sockets.
struct Bound {
    /// One server for each address.
    udp: Vec<UdpServer>,
    /// TCP on the same, where it can be had.
    tcp: StreamServer,
}

impl Bound {
    /// Bind what the options name, and take over what was handed over.
    fn bind(options: &Options, handed: Handed, text: &Text) -> Result<Self, String> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let receive_buffer_octets = Some(RECEIVE_BUFFER_OCTETS);
        let udp_options = |addresses| UdpOptions { addresses, workers, receive_buffer_octets, ..UdpOptions::default() };
        let mut udp = Vec::new();
        for socket in handed.datagram {
            udp.push(adopt(udp_options(Vec::new()), socket)?);
        }
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for wanted in sockets::resolve(&options.listen, options.family)? {
            match UdpServer::bind(udp_options(vec![wanted.address])) {
                Ok(server) => {
                    for address in server.local_addresses() {
                        text.info(&format!("listening on {}", sockets::shown(address)));
                        addresses.push(address);
                    }
                    udp.push(server);
                }
                Err(error) => {
                    let why =
                        format!("unable to bind to {}: {}", sockets::shown(wanted.address), sockets::refusal(&error));
                    if !wanted.by_the_way {
                        return Err(why);
                    }
                    text.warn(&why);
                }
            }
        }
        let (mut tcp, refused) = StreamServer::bind_available(&addresses, StreamOptions::default());
        for error in refused {
            text.warn(&format!("{}; going on without", error.to_string().replace("dns.listen", "-b")));
        }
        for listener in handed.stream {
            tcp.adopt(listener).map_err(|error| format!("a socket handed over can not be used: {}", plain(&error)))?;
        }
        Ok(Self { udp, tcp })
    }
}

/// Take over a bound datagram socket.
fn adopt(options: UdpOptions, socket: UdpSocket) -> Result<UdpServer, String> {
    UdpServer::adopt(options, socket)
        .map_err(|error| format!("a socket handed over can not be used: {}", sockets::refusal(&error)))
}

/// Serve, once it is clear where the process runs.
fn serve(options: &Options, handed: Handed, ready: Option<Ready>, text: &Text) -> Result<(), String> {
    let bound = Bound::bind(options, handed, text)?;
    // Not before: that the system gives smaller buffers than we would like is no news to rbldnsd's users.
    text.take_log();
    let notifier = Notifier::from_env();
    let null = process::null().map_err(|error| format!("/dev/null: {}", plain(&error)))?;
    if let Some(file) = &options.pid_file {
        process::write_pid(file)?;
    }
    let identity = process::identity(options.user.as_deref())?;
    process::go(options.root.as_deref(), options.workdir.as_deref())?;
    if let Some(identity) = identity {
        process::become_user(identity)?;
    }
    let zones = Zones::parse(options)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("stream")
        .enable_all()
        .build()
        .map_err(|error| format!("no threads can be started: {}", plain(&error)))?;

    let registry = Arc::<Registry>::default();
    let status = Arc::<Status>::default();
    let publisher = Publisher::default();
    let reader = publisher.reader();
    let specs = zones.zones.iter().map(|zone| zone_spec(zone, options)).collect();
    let load = LoadOptions {
        poll: if options.check_s == 0 { Duration::MAX } else { Duration::from_secs(options.check_s.into()) },
        settle: SETTLE,
        watch: false,
        trim: Some(sys::trim),
        reporter: Some(told::reporter(text, zones.titles.clone())),
        ..LoadOptions::default()
    };
    let names: Vec<String> = zones.zones.iter().map(|zone| zone.name.to_string()).collect();
    let mut loader =
        Loader::new(specs, load, Arc::clone(&registry), Arc::clone(&status), publisher).with_acl(zones.acl.clone());
    let loading = loader.handle();
    // Signals are taken from here on, so that none that comes while the lists are read is lost.
    let signals = {
        let _inside = runtime.enter();
        Signals::take().map_err(|error| format!("signals can not be taken: {}", plain(&error)))?
    };
    let sockets = bound.udp.len();
    let started =
        format!("rbldnsd version {} started ({sockets} socket(s), {} zone(s))", env!("CARGO_PKG_VERSION"), names.len());
    let server = Server { options, text: text.clone(), notifier, registry, status, loading, started, names };
    let mut detach = ready.map(|ready| (ready, null));
    if options.quick {
        text.info(&server.started);
        leave_terminal(&mut detach, text)?;
    }
    let (loaded, first_pass) = oneshot::channel();
    let loader = std::thread::Builder::new()
        .name("loader".to_owned())
        .spawn(move || {
            loader.first_pass();
            // Nobody waits any more when the program is being stopped.
            let _ = loaded.send(());
            loader.run();
        })
        .map_err(|error| format!("no thread can be started: {}", plain(&error)))?;
    let outcome = runtime.block_on(server.run(bound, reader, signals, first_pass, detach));
    server.loading.send(Command::Stop);
    if loader.join().is_err() {
        text.error("the loader had died");
    }
    outcome
}

/// Let the parent end, and leave the terminal; nothing in the foreground.
fn leave_terminal(detach: &mut Option<(Ready, std::fs::File)>, text: &Text) -> Result<(), String> {
    let Some((ready, null)) = detach.take() else { return Ok(()) };
    text.detach();
    ready.tell(&null).map_err(|error| format!("unable to leave the terminal: {}", plain(&error)))
}

/// Make room for connections, as far as the system lets us.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < DESCRIPTORS) {
        let current = Some(limit.maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS)));
        // Fewer connections are served then, and UDP all the same.
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    }
}

/// One zone as rbldnsd serves it: nothing made up, no guards.
fn zone_spec(zone: &Zone, options: &Options) -> ZoneSpec {
    ZoneSpec {
        settings: zone_settings(zone, options),
        sources: zone.sources.clone(),
        guard: GuardOptions::OFF,
        expiry: ExpiryOptions::None,
    }
}

/// A zone's settings as the options give them: nothing made up.
pub fn zone_settings(zone: &Zone, options: &Options) -> ZoneSettings {
    ZoneSettings {
        name: zone.name.clone(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl: options.ttl.default,
        negative_ttl: 0,
        ttl_min: options.ttl.min,
        ttl_max: options.ttl.max,
        make_apex: false,
        retired: None,
        wrong_kind: None,
    }
}

/// The signals that rbldnsd answers to.
struct Signals {
    /// Look at the files, open logs anew.
    hangup: Signal,
    /// Tell the statistics.
    user1: Signal,
    /// Tell them and begin at zero.
    user2: Signal,
    /// Stop.
    stop: Stop,
}

impl Signals {
    /// Take them over from the system. Errors: it has no room for more handlers.
    fn take() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            stop: Stop::take()?,
        })
    }
}

/// What lives as long as the server does.
struct Server<'a> {
    /// The command line.
    options: &'a Options,
    /// Where words go.
    text: Text,
    /// The way to the service manager.
    notifier: Notifier,
    /// Counters.
    registry: Arc<Registry>,
    /// What the loader knows of itself.
    status: Arc<Status>,
    /// The way to the loader.
    loading: Handle,
    /// The line that says that it serves.
    started: String,
    /// Names of the zones, in the order of the command line.
    names: Vec<String>,
}

impl Server<'_> {
    /// Serve until told to stop.
    async fn run(
        &self,
        bound: Bound,
        reader: Reader,
        mut signals: Signals,
        first_pass: oneshot::Receiver<()>,
        mut detach: Option<(Ready, std::fs::File)>,
    ) -> Result<(), String> {
        let zones = self.names.as_slice();
        let target = self.options.statistics.clone();
        let mut statistics = Statistics::start(Arc::clone(&self.registry), zones, target, self.text.clone());
        let stopped = tokio::select! {
            _ = first_pass => false,
            () = signals.stop.asked() => true,
        };
        let mut serving = None;
        let mut writer = None;
        if !stopped {
            if !self.options.quick && !self.all_loaded() {
                return Err("zone loading errors, aborting".to_owned());
            }
            let log = match &self.options.query_log {
                Some(target) => {
                    let log = QueryLog::default();
                    let started = QueryWriter::start(log.clone(), target.clone(), self.text.clone());
                    writer = Some(started.map_err(|error| format!("no thread can be started: {}", plain(&error)))?);
                    Some(log)
                }
                None => None,
            };
            serving = Some(self.start_dns(bound, log.as_ref(), reader)?);
            if !self.options.quick {
                self.text.info(&self.started);
            }
            leave_terminal(&mut detach, &self.text)?;
            self.notifier.say("READY=1");
            self.signals(&mut signals, &mut statistics, writer.as_ref()).await;
        }
        self.notifier.say("STOPPING=1");
        self.text.info("terminating");
        if let Some((workers, streams)) = serving {
            streams.shutdown().await;
            let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(UdpWorkers::shutdown)).await;
            joined.map_err(|error| format!("the workers could not be stopped: {error}"))?;
        }
        if let Some(writer) = writer {
            writer.stop();
        }
        statistics.tell();
        statistics.write();
        statistics.write_time();
        Ok(())
    }

    /// Whether every zone has data; those that expired are loaded.
    fn all_loaded(&self) -> bool {
        let state = self.status.lock();
        state.zones.iter().chain(&state.acl).all(|zone| zone.state != ZoneState::NotReady)
    }

    /// Answer queries from here on.
    fn start_dns(
        &self,
        bound: Bound,
        log: Option<&QueryLog>,
        reader: Reader,
    ) -> Result<(Vec<UdpWorkers>, Streams), String> {
        let policy = Policy {
            authority: !self.options.minimal,
            any_in_full: true,
            version: version(self.options.discretion),
            // rbldnsd knows none, so nobody has a secret to share; and answers stay as long as they were.
            cookies: None,
            ..Policy::default()
        };
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let tcp = match log {
            Some(log) => bound.tcp.log_queries(log),
            None => bound.tcp,
        };
        let runtime = tokio::runtime::Handle::current();
        let streams = tcp.start(&runtime, reader.clone(), Arc::clone(&policy), &self.registry);
        let streams = streams.map_err(|error| error.to_string())?;
        let mut workers = Vec::new();
        for server in bound.udp {
            let server = match log {
                Some(log) => server.log_queries(log),
                None => server,
            };
            let started = server.start(reader.clone(), Arc::clone(&policy), &self.registry);
            workers.push(started.map_err(|error| error.to_string())?);
        }
        Ok((workers, streams))
    }

    /// Take signals and write statistics until a signal says stop.
    async fn signals(&self, signals: &mut Signals, statistics: &mut Statistics, writer: Option<&QueryWriter>) {
        // Never, where the files are never looked at.
        let period = Duration::from_secs(self.options.check_s.into()).max(Duration::from_secs(1));
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first comes at once and is no check.
        ticks.tick().await;
        loop {
            tokio::select! {
                _ = ticks.tick(), if self.options.check_s > 0 => statistics.write(),
                _ = signals.hangup.recv() => {
                    self.loading.send(Command::LookNow);
                    if let Some(writer) = writer {
                        writer.reopen();
                    }
                }
                _ = signals.user1.recv() => {
                    statistics.tell();
                    statistics.write();
                }
                _ = signals.user2.recv() => {
                    statistics.tell();
                    statistics.write();
                    statistics.reset();
                }
                () = signals.stop.asked() => return,
            }
        }
    }
}
