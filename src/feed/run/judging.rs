//! Judging beside reading: the store's writer gets a ledger, a thread publishes, another follows changed rules.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::feed::joe_job::run::TakeIntervals;
use crate::feed::ledger::{Ledger, LedgerOptions, flooded};
use crate::feed::publish::{Nudge, PublishError, PublishOptions, PublishThread, Publisher, Written};
use crate::feed::store::{self, Store};

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
}

/// The running threads.
#[derive(Debug)]
pub struct Judging {
    /// Publishes.
    publishing: Option<PublishThread>,
    /// Follows the rules that have changed since the last start.
    rules: JoinHandle<()>,
    /// Asks it to end.
    stop: Arc<AtomicBool>,
    /// Calls whoever reads the zone file.
    written: Written,
    /// The rules.
    ledger: Ledger,
}

impl Judging {
    /// Make a store judge what it takes, write the files as things stand, and start the threads. Errors: the store can not be read,
    /// a file not be written.
    pub fn start(store: Store, directory: &Path, options: &JudgingOptions) -> Result<(Store, Self), PublishError> {
        let ledger = Ledger::new(options.ledger.clone(), store.key().clone(), own_addresses());
        let (nudge, written) = (Nudge::default(), Written::default());
        let publishing = match &options.publish {
            Some(publish) => {
                let told = written.clone();
                let tell = Box::new(move || told.tell());
                let publisher = Publisher::new(&directory.join(store::FILE), publish.clone(), tell)?;
                tracing::info!(
                    "{} hosts are {}",
                    publisher.listed(),
                    if publish.observe { "observed" } else { "listed" }
                );
                Some(publisher.start(nudge.clone())?)
            }
            None => None,
        };
        let stop = Arc::<AtomicBool>::default();
        let rules = {
            let (ledger, stop, directory, nudge) =
                (ledger.clone(), Arc::clone(&stop), directory.to_owned(), nudge.clone());
            std::thread::Builder::new()
                .name("rules".to_owned())
                .spawn(move || follow(&ledger, &directory, &stop, &nudge))?
        };
        Ok((store.judged_by(ledger.clone(), nudge), Self { publishing, rules, stop, written, ledger }))
    }

    /// What calls whoever reads the zone file.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// What takes the joe-jobs that are found; false where the store could not be written.
    pub fn takes_joe_jobs(&self, directory: &Path) -> TakeIntervals {
        let (ledger, directory) = (self.ledger.clone(), directory.to_owned());
        Box::new(move |intervals| {
            let jobs = flooded::of_intervals(intervals);
            let done = store::open_beside(&directory)
                .map_err(|error| error.to_string())
                .and_then(|(mut store, _)| ledger.set_joe_jobs(&mut store, &jobs).map_err(|error| error.to_string()));
            if let Err(error) = &done {
                tracing::warn!("joe-jobs can not be counted as one recipient yet: {error}; tried again");
            }
            done.is_ok()
        })
    }

    /// End the threads. What follows from the last events is published at the next start.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(publishing) = self.publishing {
            publishing.stop();
        }
        if self.rules.join().is_err() {
            tracing::error!("the thread of the rules had died");
        }
    }
}

/// Judge all hosts anew if the rules have changed.
fn follow(ledger: &Ledger, directory: &Path, stop: &AtomicBool, nudge: &Nudge) {
    let go_on = || {
        nudge.nudge();
        !stop.load(Ordering::Relaxed)
    };
    loop {
        let done = store::open_beside(directory)
            .map_err(|error| error.to_string())
            .and_then(|(mut store, _)| ledger.follow_rules(&mut store, go_on).map_err(|error| error.to_string()));
        match done {
            Ok(_) => return nudge.nudge(),
            Err(error) => tracing::warn!("hosts can not be judged by the new rules yet: {error}; tried again"),
        }
        for _ in 0..RETRY_LOOKS {
            if stop.load(Ordering::Relaxed) {
                return;
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
