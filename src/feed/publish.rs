//! Listings in files: as soon as they follow, and without them as soon as they end.
//!
//! A thread of its own reads what was derived, over a connection of its own, by the number of the last change. It is nudged
//! after each commit, looks four times a second for what commands of the operator have changed, and knows when the next listing
//! begins or ends: that needs no event and no request.

pub mod counts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use self::counts::ListingCounts;
use super::aside::{self, PUBLIC};
use super::ledger::{self, now_ms, welcomes};
use super::listing::Listing;
use super::subject::Subject;
use super::zone_file::{self, Listed, PostfixAction, ZoneFileOptions};
use crate::sys::clock;

/// Time between two looks for changes that nobody told of: a second at most must pass until a command acts.
const POLL: Duration = Duration::from_millis(250);
/// Time between two counts of the hosts with evidence: some ten milliseconds for ten thousand.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// How long a new listing waits for what welcome lists say of the host, in milliseconds; then it goes ahead.
pub const WELCOME_WAIT_MS: i64 = 5_000;
/// How long another program's lock on the store is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// Where listings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOptions {
    /// The zone file.
    pub zone_file: PathBuf,
    /// What it says besides listings.
    pub zone: ZoneFileOptions,
    /// A CIDR table for Postfix.
    pub postfix: Option<(PathBuf, PostfixAction)>,
    /// Listings as JSON lines.
    pub json: Option<PathBuf>,
    /// Say what would be listed, and list nothing.
    pub observe: bool,
}

/// Wakes the thread.
#[derive(Debug, Clone, Default)]
pub struct Nudge(Arc<(Mutex<Wish>, Condvar)>);

/// What the thread is wanted for.
#[derive(Debug, Default)]
struct Wish {
    /// Something may have changed.
    look: bool,
    /// It is to end.
    stop: bool,
    /// It is to publish in this way from now on.
    options: Option<PublishOptions>,
}

impl Nudge {
    /// Say that something may have changed.
    pub fn nudge(&self) {
        self.0.0.lock().unwrap_or_else(|e| e.into_inner()).look = true;
        self.0.1.notify_one();
    }

    /// Publish in this way from now on.
    pub fn publish(&self, options: PublishOptions) {
        let mut wish = self.0.0.lock().unwrap_or_else(|e| e.into_inner());
        (wish.look, wish.options) = (true, Some(options));
        self.0.1.notify_one();
    }

    /// What to publish by from now on, if that has changed.
    fn options(&self) -> Option<PublishOptions> {
        self.0.0.lock().unwrap_or_else(|e| e.into_inner()).options.take()
    }

    /// Ask the thread to end.
    pub(super) fn stop(&self) {
        self.0.0.lock().unwrap_or_else(|e| e.into_inner()).stop = true;
        self.0.1.notify_one();
    }

    /// Wait for a nudge; says whether to go on.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let wish = self.0.0.lock().unwrap_or_else(|e| e.into_inner());
        let waited = self.0.1.wait_timeout_while(wish, at_most, |wish| !wish.look && !wish.stop);
        let (mut wish, _) = waited.unwrap_or_else(|e| e.into_inner());
        wish.look = false;
        !wish.stop
    }
}

/// Calls whoever reads the zone file, once that is known.
#[derive(Clone, Default)]
pub struct Written(Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>);

impl Written {
    /// Call this from now on. Only the first one counts.
    pub fn call(&self, reader: Box<dyn Fn() + Send + Sync>) {
        // A second one would be a second server in this process, which there is not.
        let _ = self.0.set(reader);
    }

    /// Say that the file was replaced.
    pub fn tell(&self) {
        if let Some(reader) = self.0.get() {
            reader();
        }
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written(…)")
    }
}

/// Why nothing can be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store can not be read.
    #[error("the listings can not be read from the store: {0}")]
    Store(#[from] rusqlite::Error),
    /// A file can not be written.
    #[error("{0}; the feeder must be able to write this file and to replace it in its directory")]
    File(#[from] io::Error),
}

/// What is published.
pub struct Publisher {
    /// Where to.
    options: PublishOptions,
    /// The store.
    store: Connection,
    /// Listings that are in force or will be.
    known: BTreeMap<Subject, Vec<Listing>>,
    /// The number of the last change seen.
    change: i64,
    /// Hosts whose listing waits for welcome lists.
    held: BTreeSet<Subject>,
    /// For metrics.
    counts: Arc<ListingCounts>,
    /// When hosts with evidence are counted next, if anything has changed; time since the program began.
    count_at: Duration,
    /// When the next listing begins or ends, in milliseconds since 1970 (UTC).
    due_ms: i64,
    /// Hosts in the files, and since when they are listed.
    listed: BTreeMap<Subject, i64>,
    /// The zone file's content and serial as last written.
    written: Option<(u32, String)>,
    /// Told when the zone file was replaced.
    tell: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("options", &self.options).field("listed", &self.listed.len()).finish()
    }
}

impl Publisher {
    /// Read the listings of a store and write the files, where they are not what they should be. `tell` is called whenever the
    /// zone file has been replaced later on. Errors: see [`PublishError`].
    pub fn new(store: &Path, options: PublishOptions, tell: Box<dyn Fn() + Send>) -> Result<Self, PublishError> {
        let store = Connection::open(store)?;
        store.busy_timeout(BUSY)?;
        let written = fs::read_to_string(&options.zone_file).ok();
        let written = written.as_deref().and_then(zone_file::split).map(|(serial, body)| (serial, body.to_owned()));
        let mut publisher = Self {
            options,
            store,
            known: BTreeMap::new(),
            change: 0,
            held: BTreeSet::new(),
            counts: Arc::default(),
            count_at: Duration::ZERO,
            due_ms: i64::MIN,
            listed: BTreeMap::new(),
            written,
            tell: Box::new(|| {}),
        };
        let now_ms = now_ms();
        // The number first: what changes meanwhile is read twice rather than never.
        publisher.change = ledger::last_change(&publisher.store)?;
        for (subject, listing) in ledger::in_force(&publisher.store, now_ms)? {
            publisher.known.entry(subject).or_default().push(listing);
        }
        publisher.write(now_ms, false)?;
        publisher.count_hosts()?;
        publisher.tell = tell;
        Ok(publisher)
    }

    /// Hosts that are listed now.
    pub fn listed(&self) -> usize {
        self.listed.len()
    }

    /// What is counted.
    pub fn counts(&self) -> Arc<ListingCounts> {
        Arc::clone(&self.counts)
    }

    /// Count hosts with evidence, now and then. Errors: the store can not be read.
    fn count_hosts(&mut self) -> Result<(), PublishError> {
        if clock::monotonic() >= self.count_at {
            self.counts.count_hosts(&self.store)?;
            self.count_at = clock::monotonic() + COUNT_EVERY;
        }
        Ok(())
    }

    /// Start the thread. Errors: the system has no thread left.
    pub fn start(self, nudge: Nudge) -> io::Result<PublishThread> {
        let own = nudge.clone();
        let thread = std::thread::Builder::new().name("listings".to_owned()).spawn(move || self.run(&own))?;
        Ok(PublishThread { nudge, thread })
    }

    /// Publish until asked to stop.
    fn run(mut self, nudge: &Nudge) {
        let mut told = false;
        loop {
            if let Some(options) = nudge.options() {
                self.replace_options(options);
            }
            // Listings first: they must be there within a second.
            match self.look(now_ms()).and_then(|()| self.count_hosts()) {
                Ok(()) if std::mem::take(&mut told) => tracing::info!("listings are published again"),
                Ok(()) => {}
                Err(error) if !std::mem::replace(&mut told, true) => {
                    tracing::error!("{error}; tried again until it works, the listings in force stay");
                }
                Err(_) => {}
            }
            let due = Duration::from_millis(u64::try_from(self.due_ms.saturating_sub(now_ms())).unwrap_or(0));
            // What failed is tried again at the next look, not at once.
            if !nudge.wait(if told { POLL } else { due.min(POLL) }) {
                return;
            }
        }
    }

    /// Publish in this way from the next look on; the zone file stays where it is.
    pub fn replace_options(&mut self, options: PublishOptions) {
        // Whoever serves the file knows it by its path.
        let options = PublishOptions { zone_file: self.options.zone_file.clone(), ..options };
        if self.options != options {
            self.options = options;
            self.due_ms = i64::MIN;
        }
    }

    /// Take in what has changed, and write what follows. Errors: see [`PublishError`].
    pub fn look(&mut self, now_ms: i64) -> Result<(), PublishError> {
        let (change, changes) = ledger::changed(&self.store, self.change)?;
        for change in &changes {
            let left: Vec<Listing> =
                change.listings.iter().filter(|listing| listing.until_ms > now_ms).cloned().collect();
            if left.is_empty() {
                self.known.remove(&change.subject);
            } else {
                self.known.insert(change.subject, left);
            }
        }
        let answered = !self.held.is_empty() && self.awaited(now_ms)?.1 != self.held;
        if !changes.is_empty() || answered || now_ms >= self.due_ms {
            self.due_ms = i64::MIN;
            self.change = change;
            self.write(now_ms, true)?;
        }
        self.change = change;
        Ok(())
    }

    /// Listings that wait for welcome lists: when the first of them need not wait longer, and the hosts. Who is listed already stays.
    fn awaited(&self, now_ms: i64) -> Result<(i64, BTreeSet<Subject>), PublishError> {
        let awaited = welcomes::awaited(&self.store, now_ms - WELCOME_WAIT_MS, now_ms)?;
        let new = awaited.into_iter().filter(|(subject, _)| !self.listed.contains_key(subject));
        let (mut due_ms, mut held) = (i64::MAX, BTreeSet::new());
        for (subject, asked_ms) in new {
            due_ms = due_ms.min(asked_ms + WELCOME_WAIT_MS);
            held.insert(subject);
        }
        Ok((due_ms, held))
    }

    /// Write the files that are not what they should be at a time, and say what is new. Errors: see [`PublishError`].
    fn write(&mut self, now_ms: i64, say: bool) -> Result<(), PublishError> {
        for listings in self.known.values_mut() {
            listings.retain(|listing| listing.until_ms > now_ms);
        }
        self.known.retain(|_, listings| !listings.is_empty());
        let all = || self.known.iter().flat_map(|(subject, all)| all.iter().map(move |listing| (*subject, listing)));
        let (held_until_ms, held) = self.awaited(now_ms)?;
        let present = all().filter(|(subject, listing)| listing.holds(now_ms) && !held.contains(subject));
        let present: Vec<Listed<'_>> = present.collect();
        let shown = if self.options.observe { &[][..] } else { &present[..] };
        let body = zone_file::body(shown.iter().copied(), &self.options.zone);
        if self.written.as_ref().is_none_or(|(_, known)| *known != body) {
            let clock = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
            let serial = self.written.as_ref().map_or(clock, |(known, _)| clock.max(known.wrapping_add(1)));
            aside::write(
                &self.options.zone_file,
                (zone_file::head(&self.options.zone, serial) + &body).as_bytes(),
                PUBLIC,
            )?;
            (self.tell)();
            self.written = Some((serial, body));
        }
        let url = self.options.zone.url.as_deref();
        if let Some((path, action)) = &self.options.postfix {
            replace(path, &zone_file::postfix_cidr(shown.iter().copied(), *action, url))?;
        }
        if let Some(path) = &self.options.json {
            replace(path, &zone_file::json_lines(shown.iter().copied(), url))?;
        }
        let listed: BTreeMap<Subject, i64> =
            present.iter().map(|(subject, listing)| (*subject, listing.since_ms)).collect();
        self.counts.set_listed(&present);
        if say {
            self.counts.changed(&self.store, &self.listed, &listed, now_ms)?;
            self.say(&present, &listed);
        }
        let bounds = all().map(|(_, listing)| if listing.holds(now_ms) { listing.until_ms } else { listing.since_ms });
        self.due_ms = bounds.min().unwrap_or(i64::MAX).min(held_until_ms);
        (self.listed, self.held) = (listed, held);
        Ok(())
    }

    /// Say in the log who is new on the list and who has left it.
    fn say(&self, present: &[Listed<'_>], listed: &BTreeMap<Subject, i64>) {
        let word = if self.options.observe { "would be listed" } else { "listed" };
        for (subject, listing) in present.iter().filter(|(subject, _)| !self.listed.contains_key(subject)) {
            tracing::info!("{subject} {word}: {}", zone_file::plain(*subject, listing, None));
        }
        for subject in self.listed.keys().filter(|subject| !listed.contains_key(subject)) {
            tracing::info!("{subject} is no longer {word}");
        }
    }
}

/// Replace a file whose content is another. Errors: what the system says.
fn replace(path: &Path, content: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|known| known == content.as_bytes()) {
        return Ok(());
    }
    aside::write(path, content.as_bytes(), PUBLIC)
}

/// The running thread.
#[derive(Debug)]
pub struct PublishThread {
    /// Wakes it.
    nudge: Nudge,
    /// The thread.
    thread: JoinHandle<()>,
}

impl PublishThread {
    /// End it.
    pub fn stop(self) {
        self.nudge.stop();
        if self.thread.join().is_err() {
            tracing::error!("the thread of the listings had died");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::feed::ledger::tests::{ledger, put, row, session};
    use crate::feed::ledger::{Act, Action, LedgerOptions};
    use crate::feed::policy::DAY_MS;
    use crate::feed::session::{Answer, Kind};
    use crate::feed::store::schema;

    /// Lines of a file that are about a host.
    fn lines(path: &Path, host: &str) -> usize {
        fs::read_to_string(path).unwrap().lines().filter(|line| line.starts_with(host)).count()
    }

    #[test]
    fn from_the_store_into_files_and_out_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut store = Connection::open(path("feed.db")).unwrap();
        schema::migrate(&mut store).unwrap();
        store.execute("INSERT INTO inputs VALUES (1, 'log', 0, 0, 0, 0, 0, 0, 0, NULL, NULL)", []).unwrap();
        let options = PublishOptions {
            zone_file: path("zone"),
            zone: ZoneFileOptions::default(),
            postfix: Some((path("cidr"), PostfixAction::Reject)),
            json: Some(path("json")),
            observe: false,
        };
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        let tell = Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let mut publisher = Publisher::new(&path("feed.db"), options.clone(), tell).unwrap();
        assert_eq!((lines(&path("zone"), "127.0.0.2"), lines(&path("zone"), "203.0.113.9")), (2, 0));
        let ledger = ledger(LedgerOptions::default());
        let now = now_ms();
        let rows = (0..6).map(|n: i64| {
            let to = format!("u{n}@example.org");
            row(session(n as u128, now - n * 600_000, "203.0.113.9", Kind::Callout, &to, Answer::Ok))
        });
        put(&mut store, &ledger, rows.collect());
        publisher.look(now).unwrap();
        let files =
            |host| (lines(&path("zone"), host), lines(&path("cidr"), host), path("json").metadata().unwrap().len());
        assert!(matches!(files("203.0.113.9"), (1, 1, 1..)), "{:?}", files("203.0.113.9"));
        // Nothing new, nothing written; and it ends by itself.
        publisher.look(now + 1000).unwrap();
        assert_eq!((told.load(Ordering::Relaxed), publisher.listed()), (1, 1));
        publisher.look(now + 7 * DAY_MS - 1).unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        let counts = publisher.counts();
        let counted = || {
            let [callouts, backscatter] = counts.listed.each_ref().map(|count| count.load(Ordering::Relaxed));
            let changes = [&counts.begun, &counts.ended, &counts.removed].map(|count| count.load(Ordering::Relaxed));
            ([callouts, backscatter], changes)
        };
        assert_eq!(counted(), ([1, 0], [1, 0, 0]));
        publisher.look(now + 7 * DAY_MS).unwrap();
        assert_eq!((told.load(Ordering::Relaxed), files("203.0.113.9")), (2, (0, 0, 0)));
        assert_eq!(counted(), ([0, 0], [1, 1, 0]));
        // A start finds the files as they should be; observing lists nothing.
        let again = Publisher::new(&path("feed.db"), options.clone(), Box::new(|| {})).unwrap();
        assert_eq!((again.listed(), files("203.0.113.9").0), (1, 1));
        // … and back, while it runs.
        let mut again = again;
        let observing = PublishOptions { observe: true, ..options.clone() };
        for (options, expected) in [(&observing, 0), (&options, 1)] {
            again.replace_options(options.clone());
            again.look(now).unwrap();
            assert_eq!((again.listed(), files("203.0.113.9").0), (1, expected));
        }
        let again = Publisher::new(&path("feed.db"), observing, Box::new(|| {})).unwrap();
        assert_eq!((again.listed(), files("203.0.113.9").0), (1, 0));
        // A command of the operator acts on the running thread.
        let mut publisher = Publisher::new(&path("feed.db"), options, Box::new(|| {})).unwrap();
        let action = Action::now(Act::RemoveByOperator, "203.0.113.9/32".parse().unwrap(), None, "test");
        ledger.act(&mut store, &action).unwrap();
        publisher.look(now_ms() + 1).unwrap();
        assert_eq!(files("203.0.113.9"), (0, 0, 0));
        let counts = publisher.counts();
        assert_eq!((counts.removed.load(Ordering::Relaxed), counts.hosts.load(Ordering::Relaxed)), (1, 1));
    }
}
