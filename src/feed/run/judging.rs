//! Judging beside reading: the store's writer gets a ledger, a thread publishes, another follows changed rules.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::feed::joe_job::run::TakeIntervals;
use crate::feed::ledger::{Ledger, LedgerOptions, SharedLedger, flooded};
use crate::feed::owner::Records;
use crate::feed::publish::counts::ListingCounts;
use crate::feed::publish::{Nudge, PublishError, PublishOptions, PublishThread, Publisher, Written};
use crate::feed::relation::lookup::ResolverOptions;
use crate::feed::store::{self, Store};
use crate::feed::welcome::WelcomeThread;
use tokio::runtime::Handle;

/// Pause after which rules that could not be followed are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Looks at whether to stop within that pause.
const RETRY_LOOKS: u32 = 50;

/// How hosts are judged, and where that goes.
#[derive(Debug, Clone)]
pub struct JudgingOptions {
    /// The rules.
    pub ledger: LedgerOptions,
    /// The files; `None` to keep listings in the store alone.
    pub publish: Option<PublishOptions>,
    /// Where welcome lists are asked; read at the start.
    pub resolver: ResolverOptions,
}

/// The way to judge by other rules.
#[derive(Debug, Clone)]
pub struct NewRules {
    /// To the thread that follows them; nothing to end it.
    rules: Sender<Option<Box<LedgerOptions>>>,
    /// To the thread that publishes, where there is one.
    publish: Option<Nudge>,
}

impl NewRules {
    /// Judge by these from now on: new evidence at once, all hosts in the background. A zone file where there was none takes a
    /// restart, and so does another resolver.
    pub fn replace(&self, options: JudgingOptions) {
        if let (Some(nudge), Some(publish)) = (&self.publish, options.publish) {
            nudge.publish(publish);
        }
        // The thread is gone when the program is being stopped.
        let _ = self.rules.send(Some(Box::new(options.ledger)));
    }
}

/// The running threads.
#[derive(Debug)]
pub struct Judging {
    /// What is counted of listings, where they are published.
    counts: Option<Arc<ListingCounts>>,
    /// Publishes.
    publishing: Option<PublishThread>,
    /// Follows rules that have changed.
    following: JoinHandle<()>,
    /// Asks welcome lists.
    welcome: WelcomeThread,
    /// The way to change rules.
    new_rules: NewRules,
    /// Asks it to end.
    stop: Arc<AtomicBool>,
    /// Calls whoever reads the zone file.
    written: Written,
    /// The rules.
    ledger: SharedLedger,
    /// To the thread that publishes; nobody hears it where there is none.
    looked_at: Nudge,
}

impl Judging {
    /// Make a store judge what it takes, write the files as things stand, and start the threads. Errors: the store can not be read,
    /// a file not be written.
    pub fn start(
        store: Store,
        directory: &Path,
        options: &JudgingOptions,
        runtime: &Handle,
    ) -> Result<(Store, Self), PublishError> {
        let key = store.key().clone();
        let ledger = Ledger::new(options.ledger.clone(), key.clone(), own_addresses());
        let ledger = Arc::new(RwLock::new(ledger));
        let (nudge, ask, written) = (Nudge::default(), Nudge::default(), Written::default());
        let published = match &options.publish {
            Some(publish) => {
                let told = written.clone();
                let tell = Box::new(move || told.tell());
                let publisher = Publisher::new(&directory.join(store::FILE), publish.clone(), tell)?;
                tracing::info!(
                    "{} hosts are {}",
                    publisher.listed(),
                    if publish.observe { "observed" } else { "listed" }
                );
                Some((publisher.counts(), publisher.start(nudge.clone())?))
            }
            None => None,
        };
        let (counts, publishing) = published.unzip();
        let stop = Arc::<AtomicBool>::default();
        let (rules, changed) = channel::<Option<Box<LedgerOptions>>>();
        let following = {
            let (ledger, stop, directory, nudge) =
                (Arc::clone(&ledger), Arc::clone(&stop), directory.to_owned(), nudge.clone());
            let follow_all = move || {
                follow(&ledger, &directory, &stop, &nudge);
                while let Ok(Some(options)) = changed.recv() {
                    let new = Ledger::new(*options, key.clone(), own_addresses());
                    *ledger.write().unwrap_or_else(|e| e.into_inner()) = new;
                    if !follow(&ledger, &directory, &stop, &nudge) {
                        return;
                    }
                    tracing::info!("all hosts are judged by the rules in force");
                }
            };
            std::thread::Builder::new().name("rules".to_owned()).spawn(follow_all)?
        };
        let (shared, resolver) = (Arc::clone(&ledger), options.resolver.clone());
        let welcome = WelcomeThread::start(directory, shared, resolver, ask.clone(), nudge.clone(), runtime)?;
        let publish = publishing.is_some().then(|| nudge.clone());
        let new_rules = NewRules { rules, publish };
        let looked_at = nudge.clone();
        let store = store.judged_by(Arc::clone(&ledger), vec![nudge, ask]);
        Ok((store, Self { counts, publishing, following, welcome, new_rules, stop, written, ledger, looked_at }))
    }

    /// What is counted of listings, where they are published.
    pub fn counts(&self) -> Option<Arc<ListingCounts>> {
        self.counts.clone()
    }

    /// The way to judge by other rules.
    pub fn rules(&self) -> NewRules {
        self.new_rules.clone()
    }

    /// What calls whoever reads the zone file.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// What others may know of hosts, out of the store of this state directory.
    pub fn records(&self, directory: &Path) -> Records {
        Records::new(directory, Arc::clone(&self.ledger), self.looked_at.clone())
    }

    /// What takes the joe-jobs that are found; false where the store could not be written.
    pub fn takes_joe_jobs(&self, directory: &Path) -> TakeIntervals {
        let (ledger, directory) = (Arc::clone(&self.ledger), directory.to_owned());
        Box::new(move |intervals| {
            let jobs = flooded::of_intervals(intervals);
            let done = store::open_beside(&directory).map_err(|error| error.to_string()).and_then(|(mut store, _)| {
                let ledger = ledger.read().unwrap_or_else(|e| e.into_inner());
                ledger.set_joe_jobs(&mut store, &jobs).map_err(|error| error.to_string())
            });
            if let Err(error) = &done {
                tracing::warn!("joe-jobs can not be counted as one recipient yet: {error}; tried again");
            }
            done.is_ok()
        })
    }

    /// End the threads. What follows from the last events is published at the next start.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.welcome.stop();
        if let Some(publishing) = self.publishing {
            publishing.stop();
        }
        // It has ended already if nobody takes this.
        let _ = self.new_rules.rules.send(None);
        if self.following.join().is_err() {
            tracing::error!("the thread of the rules had died");
        }
    }
}

/// Judge all hosts anew if the rules have changed; false when asked to end meanwhile.
fn follow(ledger: &RwLock<Ledger>, directory: &Path, stop: &AtomicBool, nudge: &Nudge) -> bool {
    // Only this thread changes it.
    let ledger = ledger.read().unwrap_or_else(|e| e.into_inner()).clone();
    let go_on = || {
        nudge.nudge();
        !stop.load(Ordering::Relaxed)
    };
    loop {
        let done = store::open_beside(directory)
            .map_err(|error| error.to_string())
            .and_then(|(mut store, _)| ledger.follow_rules(&mut store, go_on).map_err(|error| error.to_string()));
        match done {
            Ok(done) => {
                nudge.nudge();
                return done;
            }
            Err(error) => tracing::warn!("hosts can not be judged by the new rules yet: {error}; tried again"),
        }
        for _ in 0..RETRY_LOOKS {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(RETRY_PAUSE / RETRY_LOOKS);
        }
    }
}

/// The addresses of this machine's interfaces; none where the system does not tell.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let mut own: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let ip4 = address.as_sockaddr_in().map(|address| address.ip().into());
            ip4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
        })
        .collect();
    // In one order, so that the same addresses make the same rules.
    own.sort_unstable();
    own.dedup();
    own
}
