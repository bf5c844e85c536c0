//! The feeder as a whole: sources, spools and store started in order, stopped in order.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use jiff::tz::TimeZone;
use notify::RecommendedWatcher;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::judging::{Judging, JudgingOptions, NewRules};
use super::status::{FeedStatus, InputStatus};
use super::{Input, Reader};
use crate::feed::assemble::{AssemblerLimits, AssemblerOptions};
use crate::feed::joe_job::JoeJobs;
use crate::feed::joe_job::run::{ReadPolicies, RunOptions, TakeIntervals, Tell};
use crate::feed::joe_job::webhook::Webhook;
use crate::feed::kind::ProbeSenders;
use crate::feed::owner::Records;
use crate::feed::publish::{PublishError, Written};
use crate::feed::service::Format;
use crate::feed::source::again::Taken;
use crate::feed::source::file::{self, FileOptions, FileReader, ROTATE_QUIET};
use crate::feed::source::intake::{HttpSource, Intake, token_hash};
use crate::feed::source::journal::{JournalOptions, JournalReader};
use crate::feed::source::segments::SegmentReader;
use crate::feed::source::syslog::{SyslogOptions, SyslogServer};
use crate::feed::source::{Saved, Wake, stdin};
use crate::feed::spool::{self, Spool, SpoolOptions, SpoolThread};
use crate::feed::store::{Store, StoreError, Writer};
use crate::sys::clock;

/// Octets of the shortest token: 128 bits in hex or base64 have more.
const TOKEN_OCTETS_MIN: usize = 16;
/// Days of the store from which joe-jobs are found again after a restart: the seven of what is usual, and the one that runs.
const JOE_JOB_DAYS: i64 = 8;

/// The feeder's settings.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// Where store and spools are.
    pub state_dir: PathBuf,
    /// What is read.
    pub sources: Vec<SourceOptions>,
    /// Senders that verifiers use.
    pub probe_senders: ProbeSenders,
    /// What bounds memory and patience.
    pub limits: AssemblerLimits,
    /// How hosts are judged.
    pub judging: JudgingOptions,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Its name: part of each event's id.
    pub name: Box<str>,
    /// Whose lines it has.
    pub format: Format,
    /// The zone of stamps that have none.
    pub time_zone: TimeZone,
    /// Octets of its spool, where it has one.
    pub spool_octets_max: u64,
    /// Where its lines come from.
    pub kind: SourceKind,
}

/// Where a source's lines come from.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// A file that is rotated.
    File(PathBuf),
    /// systemd's journal.
    Journal(JournalOptions),
    /// A syslog listener.
    Syslog(SyslogOptions),
    /// `POST /v1/logs`.
    Http {
        /// The file with its token.
        token_file: Option<PathBuf>,
        /// Octets of a body, also after unpacking.
        body_octets_max: usize,
    },
    /// Standard input.
    Stdin,
    /// OpenSMTPD's filter, a process of its own.
    Filter,
}

/// Why the feeder can not start.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The store can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An address can not be listened on.
    #[error(
        "source `{name}` can not listen on {address}: {error}; set another address, or end the program that has it"
    )]
    Listen {
        /// The source.
        name: Box<str>,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Listings can not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A token can not be read.
    #[error("{}: {why}", path.display())]
    Token {
        /// The token's file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A file of joe-jobs can not be used.
    #[error("joe-jobs can not be looked for: {0}")]
    JoeJobs(io::Error),
    /// The system refuses something else.
    #[error("source `{name}`: {error}")]
    System {
        /// The source.
        name: Box<str>,
        /// What it says.
        error: io::Error,
    },
}

/// The running feeder.
#[derive(Debug)]
pub struct Feed {
    /// The inputs' threads.
    threads: Vec<(Wake, JoinHandle<()>)>,
    /// The spools' threads.
    spools: Vec<SpoolThread>,
    /// The listeners.
    listeners: Vec<AbortHandle>,
    /// File events; they end when dropped.
    watchers: Vec<RecommendedWatcher>,
    /// The store's thread.
    writer: Writer,
    /// The threads of judging.
    judging: Judging,
    /// What is shown.
    status: FeedStatus,
    /// The way in for HTTP.
    intake: Intake,
    /// What is listened on, for whoever let the system choose a port.
    addresses: Vec<String>,
    /// Floods of bounces, where they are looked for.
    joe_jobs: Option<Arc<JoeJobs>>,
    /// Where the store is.
    state_dir: PathBuf,
}

/// How joe-jobs are looked for.
pub struct JoeJobSetup {
    /// Where things are.
    pub options: RunOptions,
    /// Reports for other programs.
    pub webhook: Option<Webhook>,
    /// Called when the zone file has changed.
    pub zone_written: Box<dyn Fn() + Send>,
    /// Looks up what a domain publishes.
    pub policies: Option<ReadPolicies>,
}

impl JoeJobSetup {
    /// Start with what the store knows. What is returned first wants to know of all sources. Errors: files that can not be used.
    fn start(self, store: &Store, intervals: TakeIntervals) -> Result<(Arc<OnceLock<FeedStatus>>, JoeJobs), FeedError> {
        let now_ms = (clock::now_f64() * 1000.0) as i64;
        let hits = store.null_sender_hits(now_ms - JOE_JOB_DAYS * 86_400_000)?;
        let seen = Arc::<OnceLock<FeedStatus>>::default();
        let feed = Arc::clone(&seen);
        let tell = Tell {
            webhook: self.webhook,
            zone_written: self.zone_written,
            policies: self.policies,
            intervals,
            still: Box::new(move || {
                feed.get().is_some_and(|feed| feed.inputs.iter().all(|input| input.state().behind_s() == 0.0))
            }),
        };
        let started = JoeJobs::start(self.options, hits, tell).map_err(FeedError::JoeJobs)?;
        Ok((seen, started))
    }
}

impl Feed {
    /// Start everything. Errors: see [`FeedError`]; nothing runs then.
    pub fn start(options: &FeedOptions, joe_jobs: Option<JoeJobSetup>, runtime: &Handle) -> Result<Self, FeedError> {
        // Everything that can fail for a reason of the operator's comes before the first thread.
        let store = Store::open(&options.state_dir)?;
        let mut tokens = Vec::new();
        let mut servers = Vec::new();
        for source in &options.sources {
            let (mut token, mut server) = (None, None);
            match &source.kind {
                SourceKind::Http { token_file: Some(path), .. } => token = Some(read_token(path)?),
                SourceKind::Syslog(syslog) => {
                    let bound = SyslogServer::bind(syslog.clone());
                    let name = source.name.clone();
                    server = Some(bound.map_err(|(address, error)| FeedError::Listen { name, address, error })?);
                }
                _ => {}
            }
            tokens.push(token);
            servers.push(server);
        }
        let mut inputs = Vec::new();
        for source in &options.sources {
            inputs.push(store.input(&source.name)?);
        }
        let key = store.key().clone();
        let (store, judging) = Judging::start(store, &options.state_dir, &options.judging, runtime)?;
        let (seen, joe_jobs) = match joe_jobs {
            Some(setup) => {
                let (seen, joe_jobs) = setup.start(&store, judging.takes_joe_jobs(&options.state_dir))?;
                (Some(seen), Some(Arc::new(joe_jobs)))
            }
            None => (None, None),
        };
        let system = |name: &str| {
            let name = name.into();
            move |error| FeedError::System { name, error }
        };
        let writer = store.start().map_err(system("store"))?;
        let status = FeedStatus { inputs: Vec::new(), store: writer.counts(), listings: judging.counts() };
        let mut feed = Self {
            threads: Vec::new(),
            spools: Vec::new(),
            listeners: Vec::new(),
            watchers: Vec::new(),
            writer,
            judging,
            status,
            intake: Intake::default(),
            addresses: Vec::new(),
            joe_jobs,
            state_dir: options.state_dir.clone(),
        };
        for (source, ((number, saved), (token, server))) in
            options.sources.iter().zip(inputs.into_iter().zip(tokens.into_iter().zip(servers)))
        {
            let (wake, status) = (Wake::default(), InputStatus::new(&source.name, source.format.word()));
            let reader = feed.open(source, &options.state_dir, &saved, token, server, &wake, &status, runtime);
            let reader = reader.map_err(system(&source.name))?;
            let assembler = AssemblerOptions {
                input: source.name.clone(),
                format: source.format,
                time_zone: source.time_zone.clone(),
                year: None,
                probe_senders: options.probe_senders.clone(),
                limits: options.limits,
            };
            feed.status.inputs.push(Arc::clone(&status));
            let mut input = Input::new(number, &saved, reader, assembler, key.clone(), feed.writer.sender(), status);
            input.joe_jobs.clone_from(&feed.joe_jobs);
            let own = wake.clone();
            let thread = std::thread::Builder::new().name("feed".to_owned()).spawn(move || input.run(&own));
            feed.threads.push((wake, thread.map_err(system(&source.name))?));
        }
        if let Some(seen) = seen {
            // Set once, here.
            let _ = seen.set(feed.status.clone());
        }
        Ok(feed)
    }

    /// Make a source's reader, and start what fills its spool. Errors: what the system says.
    #[allow(clippy::too_many_arguments, reason = "all of it belongs to one source")]
    fn open(
        &mut self,
        source: &SourceOptions,
        state_dir: &Path,
        saved: &Saved,
        token: Option<[u8; 32]>,
        server: Option<SyslogServer>,
        wake: &Wake,
        status: &Arc<InputStatus>,
        runtime: &Handle,
    ) -> io::Result<Reader> {
        let directory = spool::directory(state_dir, &source.name);
        let segments = |state| {
            let reader = SegmentReader::new(directory.clone(), state, saved.low_water);
            Reader::Segments(Box::new(reader))
        };
        let (spool, reader) = match &source.kind {
            SourceKind::File(path) => {
                self.watchers.extend(file::watch(path, wake.clone()));
                let options = FileOptions { path: path.clone(), rotate_quiet: ROTATE_QUIET };
                return Ok(Reader::File(Box::new(FileReader::new(options, saved.clone()))));
            }
            SourceKind::Journal(options) => {
                let reader = JournalReader::new(options.clone(), &source.name, saved, wake.clone());
                return Ok(Reader::Journal(Box::new(reader)));
            }
            SourceKind::Filter => {
                spool::make_directory(&directory)?;
                return Ok(segments(None));
            }
            SourceKind::Syslog(_) | SourceKind::Http { .. } | SourceKind::Stdin => {
                let options = SpoolOptions { directory: directory.clone(), octets_max: source.spool_octets_max };
                let (spool, thread) = Spool::start(&options, saved.read.generation, wake.clone())?;
                self.spools.push(thread);
                let reader = segments(Some(spool.state()));
                (spool, reader)
            }
        };
        if let SourceKind::Http { body_octets_max, .. } = source.kind {
            self.intake.sources.push(HttpSource {
                name: source.name.clone(),
                token,
                body_octets_max,
                time_zone: source.time_zone.clone(),
                spool,
                status: Arc::clone(status),
                taken: Taken::default(),
            });
        } else if let Some(server) = server {
            let (udp, tcp) = server.local_addresses();
            let say = |address: SocketAddr, over| format!("syslog on {address} ({over})");
            self.addresses.extend(udp.map(|address| say(address, "UDP")));
            self.addresses.extend(tcp.map(|address| say(address, "TCP")));
            let (status, name) = (Arc::clone(status), source.name.clone());
            let task = runtime.spawn(async move {
                if let Err(error) = server.serve(spool, status).await {
                    tracing::error!("{name}: {error}");
                }
            });
            self.listeners.push(task.abort_handle());
        } else {
            // It can not be woken from its read, so nobody waits for it; what it hands in after the spool's end is refused.
            let (status, wake, name) = (Arc::clone(status), wake.clone(), source.name.clone());
            std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
                match stdin::run(io::stdin().lock(), &spool, &status, &wake) {
                    Ok(()) => tracing::info!("{name}: standard input has ended"),
                    Err(error) => tracing::error!("{name}: {error}"),
                }
            })?;
        }
        Ok(reader)
    }

    /// What is shown.
    pub fn status(&self) -> FeedStatus {
        self.status.clone()
    }

    /// The way in for HTTP.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Floods of bounces, where they are looked for.
    pub fn joe_jobs(&self) -> Option<Arc<JoeJobs>> {
        self.joe_jobs.clone()
    }

    /// What is listened on, a line each.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The way to judge by other rules.
    pub fn rules(&self) -> NewRules {
        self.judging.rules()
    }

    /// What others may know of hosts.
    pub fn records(&self) -> Records {
        self.judging.records(&self.state_dir)
    }

    /// What calls whoever reads the zone file.
    pub fn written(&self) -> &Written {
        self.judging.written()
    }

    /// Stop: sources, spools, inputs, store. Sessions that are open are rebuilt at the next start.
    pub fn stop(self) {
        self.listeners.iter().for_each(AbortHandle::abort);
        drop(self.watchers);
        self.threads.iter().for_each(|(wake, _)| wake.stop());
        self.spools.into_iter().for_each(SpoolThread::stop);
        for (_, thread) in self.threads {
            if thread.join().is_err() {
                tracing::error!("a source's thread had died");
            }
        }
        self.writer.stop();
        self.judging.stop();
        if let Some(joe_jobs) = self.joe_jobs {
            joe_jobs.stop();
        }
    }
}

/// Read a token. Errors: it can not be read, or is too short to be one.
pub fn read_token(path: &Path) -> Result<[u8; 32], FeedError> {
    let fail = |why: String| FeedError::Token { path: path.to_owned(), why };
    let token = fs::read(path).map_err(|error| fail(format!("the token can not be read: {error}")))?;
    let token = token.trim_ascii();
    if token.len() < TOKEN_OCTETS_MIN || token.iter().any(|octet| !octet.is_ascii_graphic()) {
        return Err(fail(format!(
            "expected a token of at least {TOKEN_OCTETS_MIN} letters, digits or signs on one line, such as `openssl rand -hex 32` prints"
        )));
    }
    Ok(token_hash(token))
}
