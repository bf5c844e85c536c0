//! How a new snapshot reaches the readers, and how an old one goes away.
//!
//! Readers never free anything: the publisher keeps a strong reference to each snapshot it has replaced until
//! nobody else does, and lets it go on its own thread. Freeing millions of entries can so never delay an answer.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Snapshot;

/// A reader's handle; cheap to clone, one for each worker.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Where the current snapshot hangs.
    current: Arc<ArcSwap<Snapshot>>,
}

impl Reader {
    /// The current snapshot: once a batch, never held while blocking.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }
}

/// The writing side; there is one.
#[derive(Debug)]
pub struct Publisher {
    /// Where the current snapshot hangs.
    current: Arc<ArcSwap<Snapshot>>,
    /// Replaced snapshots that a reader may still hold.
    retired: Vec<Arc<Snapshot>>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new(Snapshot::default())
    }
}

impl Publisher {
    /// Start with a snapshot.
    pub fn new(first: Snapshot) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(first)), retired: Vec::new() }
    }

    /// A handle for a reader.
    pub fn reader(&self) -> Reader {
        Reader { current: Arc::clone(&self.current) }
    }

    /// The current snapshot.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replace the snapshot that readers see from their next batch on.
    pub fn publish(&mut self, next: Snapshot) {
        let old = self.current.swap(Arc::new(next));
        self.retired.push(old);
        self.sweep();
    }

    /// Free retired snapshots that no reader holds any more; returns how many still wait.
    pub fn sweep(&mut self) -> usize {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        self.retired.len()
    }
}
