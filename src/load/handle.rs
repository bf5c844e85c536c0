//! How others speak to the loader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use super::plan::{LoadOptions, ZoneSpec};
use crate::zonefile::Source;

/// What the loader can be told to do.
#[derive(Debug)]
pub enum Command {
    /// Look at all files now, and try those again that failed or that a guard refused (SIGHUP).
    LookNow,
    /// The settings were reread: zones come, go and change; then look at all files as with `LookNow`.
    Replace {
        /// All zones, in the new order.
        specs: Vec<ZoneSpec>,
        /// The access list for all zones.
        acl: Option<Source>,
        /// How to watch from now on.
        options: LoadOptions,
    },
    /// End the thread.
    Stop,
}

/// What arrives at the loader.
#[derive(Debug)]
pub(super) enum Event {
    /// Somebody wants something.
    Command(Command),
    /// A file may have changed.
    Touched,
}

/// Gives the loader commands; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    /// The loader's only input.
    pub(super) events: Sender<Event>,
}

impl Handle {
    /// Tell the loader to do something; returns at once. After the loader has ended, nothing happens.
    pub fn send(&self, command: Command) {
        // An error means that the receiver is gone: the program is on its way down.
        let _ = self.events.send(Event::Command(command));
    }
}

/// Whether a message about file events is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched(Arc<AtomicBool>);

impl Touched {
    /// Note one; returns whether a message has to be sent.
    pub(super) fn set(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The message has arrived.
    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }
}
