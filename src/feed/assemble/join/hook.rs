//! Lines that name a client but no session: each is one of its own, unless a hook of ours has begun a session that it belongs to.
//!
//! Exim's lines have no port by default, the lines that its ACLs write for us have. And a session that two logs show gets its id from what both have.

use std::hash::BuildHasher;

use super::{Handle, Joiner};
use crate::feed::assemble::AssemblerCounts;
use crate::feed::envelope::Message;
use crate::feed::record::{Act, Address, Record};
use crate::feed::session::{Body, Observation};

/// Addresses kept in `Joiner::hooked` besides two for each open session, before those without an open session are cleared away.
const HOOKED_SPARE: usize = 1000;

impl Joiner {
    /// Takes a record that is a session of its own, unless a hook of ours has begun a session that it belongs to.
    pub(super) fn take_line(
        &mut self,
        message: &Message<'_>,
        record: &Record<'_>,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        if let Some(handle) = self.hooked_session(message, record) {
            self.take_of(handle, message, record, counts, out);
            return;
        }
        let mut open = self.open(message, record);
        open.apply(record, self.limits.recipients_max);
        if let (Act::Message { sender: Address::Known(sender), .. }, Some(id)) = (&record.act, record.queue_id) {
            // What is delivered of it later has its sender.
            let key = self.hasher.hash_one((message.host, id));
            counts.dropped_queue_ids += self.queue.insert(key, None, self.second_mark, message.time_ms);
            if let Some(entry) = self.queue.get(key) {
                entry.sender = Some((*sender).into());
            }
        }
        Self::give(open, &self.probe_senders, counts, out);
    }

    /// The key of [`Self::hooked`].
    fn hook_key(&self, message: &Message<'_>, record: &Record<'_>) -> Option<u64> {
        Some(self.hasher.hash_one((message.host, record.client?.ip)))
    }

    /// A hook of ours has begun a session.
    pub(super) fn hook(&mut self, message: &Message<'_>, record: &Record<'_>, handle: Handle) {
        let Some(key) = self.hook_key(message, record) else { return };
        // Sessions that ended without the hook's last line stay behind.
        if self.hooked.len() > 2 * self.table.len() + HOOKED_SPARE {
            let table = &mut self.table;
            self.hooked.retain(|_, handles| {
                handles.retain(|handle| table.get(*handle).is_some());
                !handles.is_empty()
            });
        }
        self.hooked.entry(key).or_default().push(handle);
    }

    /// The hook has told the session's end.
    pub(super) fn unhook(&mut self, message: &Message<'_>, record: &Record<'_>, handle: Handle) {
        let Some(key) = self.hook_key(message, record) else { return };
        if let Some(handles) = self.hooked.get_mut(&key) {
            handles.retain(|known| *known != handle);
            if handles.is_empty() {
                self.hooked.remove(&key);
            }
        }
    }

    /// The session begun by a hook that a line without port or process is about: the one that waits for this answer; for a message, the
    /// first of that sender without one.
    fn hooked_session(&mut self, message: &Message<'_>, record: &Record<'_>) -> Option<Handle> {
        if self.hooked.is_empty() {
            return None;
        }
        let key = self.hook_key(message, record)?;
        let table = &mut self.table;
        let handles = self.hooked.get_mut(&key)?;
        handles.retain(|handle| table.get(*handle).is_some());
        handles.iter().copied().find(|handle| {
            table.get(*handle).is_some_and(|open| match record.act {
                Act::Rcpt { recipient, .. } => open.awaits(recipient),
                Act::Message { sender, .. } | Act::Data { sender, .. } => {
                    open.transactions.last().is_some_and(|last| {
                        let known = last.sender.as_deref();
                        last.body == Body::None
                            && !matches!(sender, Address::Known(sender) if known.is_some_and(|known| *known != *sender))
                    })
                }
                _ => false,
            })
        })
    }

    /// The first line of a session that a second log has too gives its id.
    pub(super) fn anchor(&mut self, handle: Handle, message: &Message<'_>, record: &Record<'_>) {
        let Some(open) = self.table.get(handle).filter(|open| record.twofold && !open.twofold) else { return };
        open.twofold = true;
        if open.first != self.line.place {
            let line = self.hasher.hash_one((message.stamp, message.host, message.text));
            open.id = self.ids.next(message, record, line, self.held_ms);
        }
    }
}
