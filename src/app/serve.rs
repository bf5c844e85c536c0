//! `dnsbld serve`: modules started in order, kept in step with the settings, stopped in order.
//!
//! Sockets are bound first, so that an address in use is known before anything is read. Then the lists are read and
//! published, then queries are answered: a resolver that asks meanwhile waits in the kernel rather than hear SERVFAIL.
//! On the way out it goes the other way around.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::encrypted::Encrypted;
use super::load::{load_options, zone_specs};
use super::{Exit, Failure};
use crate::config::{self, Settings, Workers};
use crate::feed::joe_job::JoeJobs;
use crate::feed::relation::service::{Knows, Service, ServiceCounts};
use crate::feed::relation::{Relation, Word};
use crate::feed::run::judging::NewRules;
use crate::feed::run::start::Feed;
use crate::feed::run::status::FeedStatus;
use crate::feed::source::intake::Intake;
use crate::http::public::page::{self, Page};
use crate::http::public::{self, PublicServer, doh};
use crate::http::{
    EncryptedTotals, HttpOptions, HttpServer, MailTotals, PolicyTotals, ReadMail, Shared, Sources, StreamTotals,
};
use crate::load::status::Status;
use crate::load::{Command, Handle, Loader};
use crate::serve::answer::{Policy, Transport};
use crate::serve::listen::bind_both;
use crate::serve::responder::Responder;
use crate::serve::stream::{StreamCounters, StreamOptions, StreamServer, Streams};
use crate::serve::tls::Certificates;
use crate::serve::udp::{BATCH_DEFAULT, UdpOptions, UdpServer, UdpWorkers};
use crate::stats::Registry;
use crate::sys;
use crate::sys::signals::Stop;
use crate::zone::{Publisher, ZoneState};

/// Threads for streams and HTTP: they carry little, and queries over UDP have threads of their own.
const RUNTIME_THREADS: usize = 2;
/// Descriptors needed besides one a connection: sockets, logs, files being read, with room to spare.
const DESCRIPTORS_SPARE: u64 = 256;
/// Descriptors of one of the feeder's sources: files, and a syslog listener's connections.
const DESCRIPTORS_A_SOURCE: u64 = 300;
/// Descriptors of one question of the neighbour rule: its look-ups, each over UDP and perhaps TCP, at two resolvers.
const DESCRIPTORS_A_QUESTION: u64 = 4;
/// How long HTTP may take to finish its answers on the way out.
const HTTP_GRACE: Duration = Duration::from_secs(2);

/// Run what the settings name until SIGTERM or SIGINT. `self_signed` makes a certificate for encrypted transports.
///
/// Errors: settings or addresses that can not be used. A list that can not be read is none: the others are served.
pub fn run(config: &Path, self_signed: bool) -> Result<Exit, Failure> {
    start_log();
    sys::tune_allocator();
    let settings = Settings::read(config)?;
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("stream")
        .enable_all()
        .build()?;
    let policy = super::answers::policy(&settings)?;
    raise_descriptor_limit(&settings);
    let (udp, tcp) = bind(&settings)?;
    let http = if settings.http.enabled {
        Some(HttpServer::bind(HttpOptions { listen: settings.http.listen })?)
    } else {
        None
    };
    let encrypted = Encrypted::bind(&settings, stream_options(&settings), self_signed)?;
    let public =
        super::public::options(&settings, encrypted.security(&settings)).map(PublicServer::bind).transpose()?;
    say_addresses(
        &udp.local_addresses(),
        http.as_ref().map(HttpServer::local_address),
        public.as_ref().map(PublicServer::local_address),
    );
    say(&encrypted.addresses());
    let policy_service = super::relation::service(&settings)?;
    // The rule and the webhook belong to the runtime.
    let inside = runtime.enter();
    let relation = super::relation::rule(&settings)?.map(Arc::new);
    let loader_of_zones = Arc::<OnceLock<Handle>>::default();
    let zone_written = {
        let loader = Arc::clone(&loader_of_zones);
        Box::new(move || {
            // What is written before the loader runs, it finds by itself.
            if let Some(loader) = loader.get() {
                loader.send(Command::LookNow);
            }
        })
    };
    let joe_jobs = super::feed::joe_jobs(&settings, relation.clone(), runtime.handle(), zone_written)?;
    drop(inside);
    let feed = super::feed::options(&settings)?;
    let feed = feed.map(|options| Feed::start(&options, joe_jobs, runtime.handle())).transpose()?;
    if let Some(feed) = &feed {
        say(feed.addresses());
    }
    let joe_jobs = feed.as_ref().and_then(Feed::joe_jobs);
    let service_counts = policy_service.as_ref().map(Service::counts);
    let policy_service = policy_service.map(|service| {
        say(&service
            .local_addresses()
            .iter()
            .map(|address| format!("policy service on {address}"))
            .collect::<Vec<_>>());
        let attacked = joe_jobs.as_ref().map(|joe_jobs| joe_jobs.attacked()).unwrap_or_default();
        let knows = Knows { relation: relation.clone(), attacked };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = runtime.spawn(service.serve(knows, async {
            // An error means that the sender is gone, which says the same.
            let _ = stopped.await;
        }));
        (stop, task)
    });

    let registry = Arc::<Registry>::default();
    let status = Arc::<Status>::default();
    let publisher = Publisher::default();
    let reader = publisher.reader();
    let records = feed.as_ref().map(|feed| Arc::new(feed.records()));
    let page = super::public::page(&settings, reader.clone(), records)?;
    let mut loader = Loader::new(
        zone_specs(&settings),
        load_options(&settings),
        Arc::clone(&registry),
        Arc::clone(&status),
        publisher,
    )
    .with_acl(settings.acl.source());
    let loading = loader.handle();
    // Set once, here.
    let _ = loader_of_zones.set(loading.clone());
    if let Some(feed) = &feed {
        // Told rather than noticed: a listing must be served within a second.
        let loading = loading.clone();
        feed.written().call(Box::new(move || loading.send(Command::LookNow)));
    }
    // Signals are taken from here on, so that none that comes while the lists are read is lost.
    let signals = {
        let _inside = runtime.enter();
        Signals::take()?
    };
    let (loaded, first_pass) = oneshot::channel();
    let loader = std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
        loader.first_pass();
        // Nobody waits any more when the program is being stopped.
        let _ = loaded.send(());
        loader.run();
    })?;

    let running = Running {
        config: config.to_owned(),
        started: settings.clone(),
        registry,
        status,
        loading,
        policy: Arc::new(ArcSwap::from_pointee(policy)),
        certificates: encrypted.certificates(),
        feed: feed.as_ref().map(|feed| (feed.status(), feed.intake())),
        rules: feed.as_ref().map(Feed::rules),
        relation,
        service_counts,
        joe_jobs,
        page: page.clone(),
    };
    let public = public.map(|server| {
        let policy = Arc::clone(&running.policy);
        let doh = Responder::new(Transport::Https, reader.clone(), policy, &running.registry);
        (server, public::router(page.map(page::routes), Some(doh::routes(Arc::new(doh)))))
    });
    let listeners = Listeners { udp, tcp, http, public, encrypted };
    let outcome = runtime.block_on(running.run(listeners, reader, signals, first_pass));
    if let Some((stop, task)) = policy_service {
        drop(stop);
        match runtime.block_on(task) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the policy service ended with an error: {error}"),
            Err(error) => tracing::error!("the policy service had died: {error}"),
        }
    }
    running.loading.send(Command::Stop);
    // After HTTP, so that what was acknowledged last is in the spool.
    if let Some(feed) = feed {
        feed.stop();
    }
    if loader.join().is_err() {
        tracing::error!("the loader had died");
    }
    outcome.map(|()| Exit::Done)
}

/// Write events to standard error; `RUST_LOG` chooses which.
fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // Refused only where a log was set up before, which is then the one to use.
    let _ = log.with_ansi(terminal).with_target(false).try_init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("a defect of dnsbld, please report it: {panic}")));
}

/// Make room for as many connections as the settings allow.
fn raise_descriptor_limit(settings: &Settings) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let sources = if settings.feed.enabled { settings.feed.sources.len() as u64 * DESCRIPTORS_A_SOURCE } else { 0 };
    let relation = &settings.relation;
    let questions = u64::from(relation.connections_max) + u64::from(relation.questions_max) * DESCRIPTORS_A_QUESTION;
    let questions = if relation.enabled { questions } else { 0 };
    let public = if settings.public.enabled { u64::from(settings.public.connections_max) } else { 0 };
    let streams = u64::from(settings.dns.tcp.connections_max) * if settings.tls.dot_listen.is_empty() { 1 } else { 2 };
    let wanted = streams + public + sources + questions + DESCRIPTORS_SPARE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: limit.maximum });
    if raised.is_err() || possible < wanted {
        tracing::warn!(
            "only {possible} open files are allowed, but the settings (connections-max) ask for {wanted}; raise the limit \
             (LimitNOFILE= in a systemd unit) or lower them"
        );
    }
}

/// Limits on connections of DNS over TCP; each encrypted transport has the same.
fn stream_options(settings: &Settings) -> StreamOptions {
    let tcp = &settings.dns.tcp;
    StreamOptions {
        idle_ms_max: tcp.idle_ms_max.into(),
        idle_busy_ms_max: tcp.idle_busy_ms_max.into(),
        write_ms_max: tcp.write_ms_max.into(),
        queries_per_connection_max: tcp.queries_per_connection_max.into(),
        connections_max: tcp.connections_max as usize,
        connections_per_host_max: tcp.connections_per_host_max as usize,
        connections_per_net_max: tcp.connections_per_net_max as usize,
        ..StreamOptions::default()
    }
}

/// Bind UDP, and TCP on the same ports.
fn bind(settings: &Settings) -> Result<(UdpServer, StreamServer), Failure> {
    let dns = &settings.dns;
    let workers = match dns.workers {
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
        Workers::Count(count) => count.into(),
    };
    let udp_options = UdpOptions {
        addresses: dns.listen.clone(),
        workers,
        pin: dns.pin,
        receive_buffer_octets: (dns.receive_buffer > 0).then_some(dns.receive_buffer as usize),
        batch: BATCH_DEFAULT,
        rate: super::answers::rate(settings),
    };
    Ok(bind_both(&udp_options, &stream_options(settings))?)
}

/// Say where we listen, so that scripts and tests that let the system choose can know.
fn say_addresses(dns: &[SocketAddr], http: Option<SocketAddr>, public: Option<SocketAddr>) {
    let mut lines: Vec<String> = dns.iter().map(|address| format!("listening on {address} (UDP and TCP)")).collect();
    lines.extend(http.map(|address| format!("http on {address}")));
    lines.extend(public.map(|address| format!("public on {address}")));
    say(&lines);
}

/// Write lines to standard output at once.
fn say(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        // Whoever closed our standard output does not want to read it.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

/// The signals that we answer to.
struct Signals {
    /// Reread settings and files.
    hangup: Signal,
    /// Stop.
    stop: Stop,
}

impl Signals {
    /// Take them over from the system. Errors: it has no room for more handlers.
    fn take() -> std::io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, stop: Stop::take()? })
    }
}

/// Counters of connections with their transports' labels.
type Connections = Vec<(&'static str, Arc<StreamCounters>)>;

/// Counters of connections at one moment.
fn totals(counters: &StreamCounters) -> StreamTotals {
    StreamTotals {
        open: counters.open.load(Relaxed),
        accepted: counters.accepted_total.load(Relaxed),
        closed_by_limit: counters.closed_by_limit_total.load(Relaxed),
        closed_idle: counters.closed_idle_total.load(Relaxed),
        closed_error: counters.closed_error_total.load(Relaxed),
    }
}

/// What is bound and waits to be served.
struct Listeners {
    /// DNS over UDP.
    udp: UdpServer,
    /// DNS over TCP.
    tcp: StreamServer,
    /// The operator's HTTP.
    http: Option<HttpServer>,
    /// The world's HTTP, and what answers there.
    public: Option<(PublicServer, axum::Router)>,
    /// DNS over TLS and QUIC.
    encrypted: Encrypted,
}

/// What lives as long as the server does.
struct Running {
    /// The settings' file.
    config: PathBuf,
    /// The settings it was started with.
    started: Settings,
    /// Counters.
    registry: Arc<Registry>,
    /// What the loader tells.
    status: Arc<Status>,
    /// The way to the loader.
    loading: Handle,
    /// What every answer depends on.
    policy: Arc<ArcSwap<Policy>>,
    /// The certificate of encrypted transports.
    certificates: Option<Arc<Certificates>>,
    /// What the feeder shows, and its way in for HTTP.
    feed: Option<(FeedStatus, Intake)>,
    /// The way to judge by other rules, where the feeder is enabled.
    rules: Option<NewRules>,
    /// The neighbour rule, where it is enabled.
    relation: Option<Arc<Relation>>,
    /// What the policy service has counted.
    service_counts: Option<Arc<ServiceCounts>>,
    /// Floods of bounces, where they are looked for.
    joe_jobs: Option<Arc<JoeJobs>>,
    /// The lookup page, where it is served.
    page: Option<Arc<Page>>,
}

impl Running {
    /// Serve until told to stop.
    async fn run(
        &self,
        listeners: Listeners,
        reader: crate::zone::Reader,
        mut signals: Signals,
        first_pass: oneshot::Receiver<()>,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Handle::current();
        let Listeners { udp, tcp, http, public, encrypted } = listeners;
        // HTTP comes first: `/healthz` answers while lists are read, `/readyz` says that they are.
        let (streams, connections) = (Arc::new(OnceLock::new()), Arc::<OnceLock<Connections>>::default());
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let http = http.map(|http| {
            let shared = self.http_shared(Arc::clone(&streams), Arc::clone(&connections));
            runtime.spawn(http.serve(shared, async {
                // An error means that the sender is gone, which says the same.
                let _ = http_stopped.await;
            }))
        });
        let serving = tokio::select! {
            _ = first_pass => {
                let encrypted = encrypted.start(&runtime, &reader, &self.policy, &self.registry)?;
                let (workers, streams) = self.start_dns(udp, tcp, reader, &runtime)?;
                Some((workers, streams, encrypted))
            }
            () = self.signals(&mut signals) => None,
        };
        if let Some((workers, running_streams, mut encrypted)) = serving {
            let mut counters = std::mem::take(&mut encrypted.counters);
            counters.extend(public.as_ref().map(|(server, _)| ("https", server.counters())));
            // Set once, here.
            let _ = connections.set(counters);
            let (stop_public, public_stopped) = oneshot::channel::<()>();
            let public = public.map(|(server, router)| {
                runtime.spawn(server.serve(router, async {
                    // An error means that the sender is gone, which says the same.
                    let _ = public_stopped.await;
                }))
            });
            // Set once, here.
            let _ = streams.set(running_streams.counters());
            self.say_ready();
            self.signals(&mut signals).await;
            tracing::info!("stopping");
            drop(stop_public);
            running_streams.shutdown().await;
            encrypted.shutdown().await;
            if let Some(public) = public {
                match public.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!("public HTTP ended with an error: {error}"),
                    Err(error) => tracing::error!("public HTTP had died: {error}"),
                }
            }
            tokio::task::spawn_blocking(move || workers.shutdown()).await?;
        }
        drop(stop_http);
        if let Some(http) = http {
            match tokio::time::timeout(HTTP_GRACE, http).await {
                Ok(Ok(Err(error))) => tracing::warn!("HTTP ended with an error: {error}"),
                Ok(Err(error)) => tracing::error!("HTTP had died: {error}"),
                Ok(Ok(Ok(()))) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Answer queries from here on.
    fn start_dns(
        &self,
        udp: UdpServer,
        tcp: StreamServer,
        reader: crate::zone::Reader,
        runtime: &tokio::runtime::Handle,
    ) -> Result<(UdpWorkers, Streams), Failure> {
        let streams = tcp.start(runtime, reader.clone(), Arc::clone(&self.policy), &self.registry)?;
        let workers = udp.start(reader, Arc::clone(&self.policy), &self.registry)?;
        Ok((workers, streams))
    }

    /// Say that we serve, and whether something is missing.
    fn say_ready(&self) {
        let state = self.status.lock();
        let ready = state.zones.iter().filter(|zone| zone.state == ZoneState::Ready).count();
        let entries: u64 = state.zones.iter().flat_map(|zone| &zone.datasets).map(|dataset| dataset.entries).sum();
        let zones = state.zones.len();
        drop(state);
        let line = if ready == zones {
            format!("ready: {zones} zones, {entries} entries")
        } else {
            format!("serving: {ready} of {zones} zones ready")
        };
        say(&[line]);
    }

    /// What HTTP shows.
    fn http_shared(
        &self,
        streams: Arc<OnceLock<Arc<StreamCounters>>>,
        connections: Arc<OnceLock<Connections>>,
    ) -> Arc<Shared> {
        let read_streams = move || streams.get().map_or_else(StreamTotals::default, |counters| totals(counters));
        let certificates = self.certificates.clone();
        let read_encrypted = move || EncryptedTotals {
            connections: connections
                .get()
                .into_iter()
                .flatten()
                .map(|(label, counters)| (*label, totals(counters)))
                .collect(),
            certificate_reloads: certificates.as_ref().map(|certificates| certificates.reloads()),
        };
        let (feed, intake) = self.feed.clone().unzip();
        let sources = Sources {
            registry: Arc::clone(&self.registry),
            status: Arc::clone(&self.status),
            streams: Box::new(read_streams),
            encrypted: Box::new(read_encrypted),
            feed,
            relation: self.relation.clone(),
            mail: self.read_mail(),
            started: SystemTime::now(),
        };
        Shared::new(sources, intake.unwrap_or_default())
    }

    /// How to look at what is counted of joe-jobs and of mail servers' questions.
    fn read_mail(&self) -> ReadMail {
        let (joe_jobs, relation, service) = (self.joe_jobs.clone(), self.relation.clone(), self.service_counts.clone());
        Box::new(move || MailTotals {
            joe_jobs: joe_jobs.as_ref().map(|joe_jobs| joe_jobs.counts()),
            reports: joe_jobs
                .as_ref()
                .and_then(|joe_jobs| joe_jobs.webhook())
                .map(|reports| [&reports.delivered, &reports.failed, &reports.lost].map(|count| count.load(Relaxed))),
            relation: relation.as_ref().map(|relation| Word::ALL.map(|word| relation.counts().of(word))),
            policy: service.as_ref().map(|service| PolicyTotals {
                requests: [&service.policy, &service.questions, &service.bad].map(|count| count.load(Relaxed)),
                refused: service.refused.load(Relaxed),
                open: service.open.load(Relaxed),
            }),
        })
    }

    /// Take signals until one says stop.
    async fn signals(&self, signals: &mut Signals) {
        loop {
            tokio::select! {
                _ = signals.hangup.recv() => self.reread(),
                () = signals.stop.asked() => return,
            }
        }
    }

    /// Reread the settings and look at all files. Bad settings change nothing.
    fn reread(&self) {
        super::answers::reread_secrets(&self.started.dns.cookies, &self.policy);
        if let Some(certificates) = &self.certificates {
            certificates.reload();
        }
        match Settings::read(&self.config) {
            Ok(settings) => {
                settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                self.tell_restart_needed(&settings);
                self.replace_rules(&settings);
                self.replace_page(&settings);
                tracing::info!("settings reread; looking at all files");
                self.loading.send(Command::Replace {
                    specs: zone_specs(&settings),
                    acl: settings.acl.source(),
                    options: load_options(&settings),
                });
            }
            Err(error) => {
                self.status.lock().settings_reloads[1] += 1;
                tracing::error!("{error}; the settings in force stay, all files are looked at");
                self.loading.send(Command::LookNow);
            }
        }
    }

    /// Judge by the rules that the settings have now, and publish as they say.
    fn replace_rules(&self, settings: &Settings) {
        let Some(rules) = self.rules.as_ref().filter(|_| settings.feed.enabled) else { return };
        match super::listing::options(settings) {
            Ok(options) => rules.replace(options),
            Err(error) => tracing::error!("{error}; hosts are judged by the rules in force"),
        }
    }

    /// Show what the settings say now.
    fn replace_page(&self, settings: &Settings) {
        let Some(page) = &self.page else { return };
        match super::public::page_options(settings) {
            Ok(options) => page.replace(options),
            Err(error) => tracing::error!("{error}; the lookup page stays as it was"),
        }
    }

    /// Say which changes wait for a restart.
    fn tell_restart_needed(&self, settings: &Settings) {
        for (section, changed) in [
            ("relation", settings.relation != self.started.relation),
            ("dns", settings.dns != self.started.dns),
            ("tls", settings.tls != self.started.tls),
            ("http", settings.http != self.started.http),
            ("public", !super::public::same(&settings.public, &self.started.public)),
            ("feed", !same_feed(&settings.feed, &self.started.feed) || settings.state_dir != self.started.state_dir),
        ] {
            if changed {
                tracing::warn!("[{section}] has changed in {}; that takes a restart", self.config.display());
            }
        }
    }
}

/// Are these the same but for what changes at once: rules, mode, page and export?
fn same_feed(a: &config::Feed, b: &config::Feed) -> bool {
    let rules = config::Feed {
        mode: b.mode,
        url: b.url.clone(),
        policy: b.policy.clone(),
        weights: b.weights.clone(),
        protection: b.protection.clone(),
        export: b.export.clone(),
        ..a.clone()
    };
    rules == *b
}
