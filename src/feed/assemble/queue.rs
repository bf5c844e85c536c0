//! Queue ids: from a message's lines by other processes back to the session that brought it, and from a delivery to its sender.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Mark;
use super::table::Handle;

/// What is known of a queue id.
#[derive(Debug)]
pub(super) struct Entry {
    /// The session that brought the message and its transaction there, while the session is open or waits.
    pub session: Option<(Handle, usize)>,
    /// The envelope sender.
    pub sender: Option<Box<[u8]>>,
    /// Recipients of the message, 0 where unknown.
    pub recipients: u32,
    /// Delivery lines seen.
    pub reported: u32,
    /// Which entry under this id.
    serial: u64,
}

/// Where an entry was made.
#[derive(Debug, Clone, Copy)]
struct Made {
    /// Its key.
    key: u64,
    /// Which entry.
    serial: u64,
    /// Where reading would have to begin to make it again.
    mark: Mark,
    /// When.
    time_ms: i64,
}

/// The queue ids in use.
#[derive(Debug)]
pub(super) struct Queue {
    /// By the hash of host and id.
    entries: HashMap<u64, Entry, foldhash::fast::FixedState>,
    /// In the order they were made; those replaced or removed stay until they come first, or until there are too many of them.
    made: VecDeque<Made>,
    /// The last serial number.
    serial: u64,
    /// At most so many.
    max: usize,
}

impl Queue {
    /// Remembers at most `max` ids.
    pub(super) fn new(max: usize) -> Self {
        Self { entries: HashMap::default(), made: VecDeque::new(), serial: 0, max }
    }

    /// The entry.
    pub(super) fn get(&mut self, key: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&key)
    }

    /// Begins an id anew; what was known under it is forgotten. Returns how many others were forgotten for want of room.
    pub(super) fn insert(&mut self, key: u64, session: Option<(Handle, usize)>, mark: Mark, time_ms: i64) -> u64 {
        self.serial += 1;
        let serial = self.serial;
        self.entries.insert(key, Entry { session, sender: None, recipients: 0, reported: 0, serial });
        self.made.push_back(Made { key, serial, mark, time_ms });
        let mut dropped = 0;
        while self.entries.len() > self.max && self.forget_oldest() {
            dropped += 1;
        }
        // Each entry is in use or among as many that are not: the rest is swept out, at a cost spread over the insertions.
        if self.made.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.made.retain(|made| entries.get(&made.key).is_some_and(|entry| entry.serial == made.serial));
        }
        dropped
    }

    /// Forgets an id.
    pub(super) fn remove(&mut self, key: u64) {
        self.entries.remove(&key);
        self.tidy();
    }

    /// Forgets ids made before `time_ms`.
    pub(super) fn expire(&mut self, time_ms: i64) {
        while self.made.front().is_some_and(|made| made.time_ms < time_ms) {
            if !self.forget_oldest() {
                break;
            }
        }
    }

    /// Where reading would have to begin to make all entries again.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.made.front().map(|made| made.mark)
    }

    /// Forgets the entry made first. `false` if there is none.
    fn forget_oldest(&mut self) -> bool {
        let Some(made) = self.made.pop_front() else { return false };
        if self.is_current(&made) {
            self.entries.remove(&made.key);
        }
        self.tidy();
        true
    }

    /// Takes those that are no longer in use from the front.
    fn tidy(&mut self) {
        while self.made.front().is_some_and(|made| !self.is_current(made)) {
            self.made.pop_front();
        }
    }

    /// Is that entry still the one under its id?
    fn is_current(&self, made: &Made) -> bool {
        self.entries.get(&made.key).is_some_and(|entry| entry.serial == made.serial)
    }
}
