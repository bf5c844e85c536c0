//! Zones that keep themselves fresh: the loader on a thread of its own.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use crate::dataset::Kind;
use crate::load::status::Status;
use crate::load::{Command, Handle, LoadOptions, Loader, ZoneSpec};
use crate::stats::Registry;
use crate::zone::{Publisher, Reader, Snapshot};
use crate::zonefile::{ReadOptions, Source};

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub struct ZonesBuilder {
    /// The zones, in order.
    specs: Vec<ZoneSpec>,
    /// The access list for all of them.
    acl: Option<Source>,
    /// How files are watched.
    options: LoadOptions,
}

impl ZonesBuilder {
    /// One zone more.
    #[must_use]
    pub fn zone(mut self, spec: ZoneSpec) -> Self {
        self.specs.push(spec);
        self
    }

    /// An access list for all zones, of rbldnsd's type `acl`.
    #[must_use]
    pub fn acl<P: AsRef<Path>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        let files = files.into_iter().map(|file| file.as_ref().to_owned()).collect();
        self.acl = Some(Source { kind: Kind::Acl, files, options: ReadOptions::default() });
        self
    }

    /// How files are watched; by default events, and a look each minute.
    #[must_use]
    pub fn load_options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }

    /// Read everything once, and keep it fresh on a thread from then on. Blocks while files are read.
    ///
    /// A file that can not be used is no error: its zone answers SERVFAIL until it can be, and [`Zones::status`] says why.
    ///
    /// # Errors
    ///
    /// When the system gives no further thread.
    pub fn start(self) -> io::Result<Zones> {
        let (registry, status) = (Arc::<Registry>::default(), Arc::<Status>::default());
        let publisher = Publisher::default();
        let reader = publisher.reader();
        let loader = Loader::new(self.specs, self.options, Arc::clone(&registry), Arc::clone(&status), publisher);
        let mut loader = loader.with_acl(self.acl);
        let handle = loader.handle();
        let (loaded, first_pass) = mpsc::channel();
        let thread = thread::Builder::new().name("loader".to_owned()).spawn(move || {
            loader.first_pass();
            // Somebody waits for it, below.
            let _ = loaded.send(());
            loader.run();
        })?;
        // An error means that the loader died; its zones are then as if they had no files.
        let _ = first_pass.recv();
        Ok(Zones { reader, registry, status, handle, thread: Some(thread) })
    }
}

/// Zones in memory, reloaded when their files change, until this is dropped.
#[derive(Debug)]
pub struct Zones {
    /// Where snapshots come from.
    reader: Reader,
    /// Slots of the zones in the statistics.
    registry: Arc<Registry>,
    /// What the loader tells of itself.
    status: Arc<Status>,
    /// The way to the loader.
    handle: Handle,
    /// Its thread.
    thread: Option<JoinHandle<()>>,
}

impl Zones {
    /// Begin with none.
    pub fn builder() -> ZonesBuilder {
        ZonesBuilder::default()
    }

    /// A handle for who answers: it gives the current snapshot, without a lock.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The current snapshot, to be kept as long as it is wanted. It counts its changes in `generation`.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.reader.load())
    }

    /// Look at all files now, and try those again that could not be used; returns at once.
    pub fn reload(&self) {
        self.handle.send(Command::LookNow);
    }

    /// The same for other threads, and to exchange the zones: [`Command::Replace`].
    pub fn reload_handle(&self) -> Handle {
        self.handle.clone()
    }

    /// States, serials, entries, times and errors of the zones.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// The counters of who answers.
    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
}

impl Drop for Zones {
    fn drop(&mut self) {
        self.handle.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the loader had died");
        }
    }
}
