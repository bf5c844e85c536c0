//! Finds the session that a record belongs to, and ends what is over.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::IpAddr;

use hashbrown::HashMap;

use super::id::Ids;
use super::open::Open;
use super::queue::Queue;
use super::table::{Handle, Table};
use super::{AssemblerCounts, AssemblerLimits, AssemblerOptions, Mark};
use crate::feed::envelope::Message;
use crate::feed::kind::{self, ProbeSenders};
use crate::feed::line::Place;
use crate::feed::record::{Act, Address, Key, Record, Reply};
use crate::feed::session::{Body, Client, Closed, Delivery, Observation, Session};

/// What is open, and what ends it.
#[derive(Debug)]
pub(super) struct Joiner {
    /// What bounds it.
    limits: AssemblerLimits,
    /// Senders that verifiers use.
    probe_senders: ProbeSenders,
    /// Makes hashes of keys, seeded with what no client knows.
    hasher: foldhash::fast::RandomState,
    /// The open sessions.
    table: Table,
    /// Queue ids in use.
    queue: Queue,
    /// Makes sessions' ids.
    ids: Ids,
    /// Sessions handed on by postscreen that smtpd has not greeted yet, by host and address.
    passed: HashMap<u64, VecDeque<Handle>, foldhash::fast::FixedState>,
    /// Sessions that a hook of ours began, by host and address: Exim's own lines about them may have no port.
    hooked: HashMap<u64, Vec<Handle>, foldhash::fast::FixedState>,
    /// The line being read.
    line: Mark,
    /// The log's second.
    second: Option<i64>,
    /// The first line of that second.
    second_mark: Mark,
    /// How far the line's stamp lies behind the log's clock, in milliseconds.
    held_ms: i64,
}

/// Addresses kept in [`Joiner::hooked`] besides two for each open session, before those without an open session are cleared away.
const HOOKED_SPARE: usize = 1000;

impl Joiner {
    /// Nothing open.
    pub(super) fn new(options: &AssemblerOptions) -> Self {
        Self {
            limits: options.limits,
            probe_senders: options.probe_senders.clone(),
            hasher: foldhash::fast::RandomState::default(),
            table: Table::new(),
            queue: Queue::new(options.limits.queue_ids_max),
            ids: Ids::new(&options.input),
            passed: HashMap::default(),
            hooked: HashMap::default(),
            line: Mark::default(),
            second: None,
            second_mark: Mark::default(),
            held_ms: 0,
        }
    }

    /// A line without a known head was read.
    pub(super) fn skip(&mut self, place: Place) {
        self.line.place = place;
    }

    /// A line was read, and the log's clock shows `now_ms`: ends what is over by it. The line's own stamp lies `held_ms` behind.
    pub(super) fn advance(
        &mut self,
        place: Place,
        now_ms: Option<i64>,
        held_ms: i64,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        (self.line.place, self.held_ms) = (place, held_ms);
        let Some(now_ms) = now_ms else { return };
        let second = Some(now_ms.div_euclid(1000));
        if self.second == second {
            return;
        }
        (self.second, self.second_mark) = (second, self.line);
        self.ids.next_second();
        self.end_idle(now_ms, counts, out);
        self.queue.expire(now_ms - self.limits.queue_id_ms);
    }

    /// Ends what has waited or been silent for too long at `now_ms`.
    pub(super) fn end_idle(&mut self, now_ms: i64, counts: &mut AssemblerCounts, out: &mut Vec<Observation>) {
        while let Some((handle, _)) =
            self.table.longest_waiting().filter(|(_, open)| now_ms - open.end_ms >= self.limits.wait_ms)
        {
            self.end(handle, counts, out);
        }
        while let Some((handle, _)) =
            self.table.most_idle().filter(|(_, open)| now_ms - open.end_ms >= self.limits.idle_ms)
        {
            counts.idle += 1;
            self.end(handle, counts, out);
        }
    }

    /// Ends everything.
    pub(super) fn end_all(&mut self, counts: &mut AssemblerCounts, out: &mut Vec<Observation>) {
        while let Some((handle, _)) = self.table.oldest() {
            self.end(handle, counts, out);
        }
    }

    /// A new file begins.
    pub(super) fn rotated(&mut self) {
        self.line = Mark { generation: self.line.generation + 1, place: Place::default() };
    }

    /// See [`Assembler::low_water`](super::Assembler::low_water).
    pub(super) fn low_water(&self) -> Mark {
        let oldest = self.table.oldest().map_or(self.second_mark, |(_, open)| open.mark);
        let queue = self.queue.mark().unwrap_or(self.second_mark);
        oldest.min(queue).min(self.second_mark)
    }

    /// Counts what is open.
    pub(super) fn count_open(&self, counts: &mut AssemblerCounts) {
        counts.open = self.table.len() as u64;
        counts.open_max = counts.open_max.max(counts.open);
    }

    /// Takes a record.
    pub(super) fn take(
        &mut self,
        message: &Message<'_>,
        record: &Record<'_>,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        match (&record.key, &record.act) {
            (_, Act::Session(session)) => self.whole(message, record, session, counts, out),
            (Key::Queue(id), _) => self.take_queued(message, id, record, counts, out),
            (Key::Line, _) => self.take_line(message, record, counts, out),
            _ => self.take_session(message, record, counts, out),
        }
    }

    /// Takes a record about an open session.
    fn take_session(
        &mut self,
        message: &Message<'_>,
        record: &Record<'_>,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        let key = self.hasher.hash_one((message.host, record.key));
        let Some(handle) = self.session(key, message, record, counts, out) else {
            counts.dropped_stray += 1;
            return;
        };
        self.take_of(handle, message, record, counts, out);
    }

    /// Takes a record about this session.
    fn take_of(
        &mut self,
        handle: Handle,
        message: &Message<'_>,
        record: &Record<'_>,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        self.anchor(handle, message, record);
        let place = self.line.place;
        let Some(open) = self.table.get(handle) else { return };
        (open.last, open.end_ms) = (place, message.time_ms.max(open.end_ms));
        let was_full = open.dropped;
        let about = open.apply(record, self.limits.recipients_max);
        counts.dropped_recipients += u64::from(open.dropped && !was_full);
        match &record.act {
            Act::Pass => self.pass(message, record, handle),
            Act::Disconnect { closed, verbs } => {
                if *closed != Closed::Unknown || open.closed == Closed::Unknown {
                    open.closed = *closed;
                }
                (open.given, open.ended) = (*verbs, true);
                self.closed(handle, counts, out);
                return;
            }
            // The server's own closing line is still to come where its connect line came.
            Act::End { .. } if !open.begun => {
                open.ended = true;
                self.unhook(message, record, handle);
                self.closed(handle, counts, out);
                return;
            }
            _ => {}
        }
        self.table.touch(handle);
        if let (Some(index), Some(id)) = (about, record.queue_id) {
            self.link(message, handle, index, id, record.act == Act::Queued, counts);
        }
    }

    /// The session that a record belongs to; begins one if none is open. `None` for the end of what was never seen.
    fn session(
        &mut self,
        key: u64,
        message: &Message<'_>,
        record: &Record<'_>,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) -> Option<Handle> {
        let connect = record.act == Act::Connect;
        if let Some(handle) = self.table.find(key) {
            let open = self.table.get(handle)?;
            let same = open.is_client(record);
            let handed_on = if connect { open.passed.take() } else { None };
            if let Some(place) = handed_on {
                self.unpass(place, handle);
            }
            if same && (!connect || handed_on.is_some()) {
                return Some(handle);
            }
            // Its end was not logged: the next client is there already.
            self.end(handle, counts, out);
        }
        if connect && let Some(handle) = self.greeted(message, record) {
            self.table.rekey(handle, key);
            return Some(handle);
        }
        match &record.act {
            Act::Disconnect { verbs: None, .. } => return None,
            // Recipients that the hook was not asked about: what became of them, other lines have told.
            Act::End { verbs, .. } if verbs.rcpt.all > 0 => return None,
            _ => {}
        }
        if self.table.len() >= self.limits.sessions_max.max(1)
            && let Some((oldest, _)) = self.table.oldest()
        {
            counts.evicted += 1;
            self.end(oldest, counts, out);
        }
        let open = self.open(message, record);
        let handle = self.table.insert(key, open);
        if let (Key::Peer { .. }, Act::Rcpt { reply: Reply::Pending, .. }) = (&record.key, &record.act) {
            self.hook(message, record, handle);
        }
        Some(handle)
    }

    /// Takes a record that is a session of its own, unless a hook of ours has begun a session that it belongs to.
    fn take_line(
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
    fn hook(&mut self, message: &Message<'_>, record: &Record<'_>, handle: Handle) {
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
    fn unhook(&mut self, message: &Message<'_>, record: &Record<'_>, handle: Handle) {
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
    fn anchor(&mut self, handle: Handle, message: &Message<'_>, record: &Record<'_>) {
        let Some(open) = self.table.get(handle).filter(|open| record.twofold && !open.twofold) else { return };
        open.twofold = true;
        if open.first != self.line.place {
            let line = self.hasher.hash_one((message.stamp, message.host, message.text));
            open.id = self.ids.next(message, record, line, self.held_ms);
        }
    }

    /// A new session that begins with this line.
    fn open(&mut self, message: &Message<'_>, record: &Record<'_>) -> Open {
        let line = self.hasher.hash_one((message.stamp, message.host, message.text));
        Open {
            mark: self.second_mark,
            id: self.ids.next(message, record, line, self.held_ms),
            first: self.line.place,
            last: self.line.place,
            start_ms: message.time_ms,
            end_ms: message.time_ms,
            host: String::from_utf8_lossy(message.host).into(),
            client: None,
            helo: None,
            tls: false,
            authenticated: false,
            given: None,
            transactions: Vec::new(),
            between: false,
            closed: Closed::Unknown,
            in_data: false,
            begun: false,
            ended: false,
            passed: None,
            dropped: false,
            ambiguous: false,
            twofold: false,
            replied: None,
            tried: None,
            queue: Vec::new(),
            kept: 0,
        }
    }

    /// postscreen hands a client on: smtpd's `connect from` goes on with its session.
    fn pass(&mut self, message: &Message<'_>, record: &Record<'_>, handle: Handle) {
        let Some(client) = record.client else { return };
        let place = self.hasher.hash_one((message.host, client.ip));
        if let Some(open) = self.table.get(handle).filter(|open| open.passed.is_none()) {
            open.passed = Some(place);
            self.passed.entry(place).or_default().push_back(handle);
        }
    }

    /// The session that postscreen handed on for this client: the first that is still open.
    fn greeted(&mut self, message: &Message<'_>, record: &Record<'_>) -> Option<Handle> {
        if self.passed.is_empty() {
            return None;
        }
        let place = self.hasher.hash_one((message.host, record.client?.ip));
        let handle = *self.passed.get(&place)?.front()?;
        self.unpass(place, handle);
        self.table.get(handle)?.passed = None;
        Some(handle)
    }

    /// A session no longer waits to be greeted.
    fn unpass(&mut self, place: u64, handle: Handle) {
        if let Some(waiting) = self.passed.get_mut(&place) {
            waiting.retain(|other| *other != handle);
            if waiting.is_empty() {
                self.passed.remove(&place);
            }
        }
    }

    /// A session has a queue id for one of its transactions. `anew`: the id was given just now, whatever it stood for before.
    fn link(
        &mut self,
        message: &Message<'_>,
        handle: Handle,
        index: usize,
        id: &[u8],
        anew: bool,
        counts: &mut AssemblerCounts,
    ) {
        let key = self.hasher.hash_one((message.host, id));
        let linked = self.queue.get(key).is_some_and(|entry| entry.session == Some((handle, index)));
        if linked && !anew {
            return;
        }
        let Some(open) = self.table.get(handle) else { return };
        open.queue.push(key);
        let sender = open.transactions[index].sender.clone();
        counts.dropped_queue_ids += self.queue.insert(key, Some((handle, index)), self.second_mark, message.time_ms);
        if let Some(entry) = self.queue.get(key) {
            entry.sender = sender;
        }
    }

    /// Takes a record about a queue id.
    fn take_queued(
        &mut self,
        message: &Message<'_>,
        id: &[u8],
        record: &Record<'_>,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        let key = self.hasher.hash_one((message.host, id));
        if let (Act::Sender { .. }, None) = (&record.act, self.queue.get(key)) {
            // Not from a session: of a local program, of the server itself, or from before reading began.
            counts.dropped_queue_ids += self.queue.insert(key, None, self.second_mark, message.time_ms);
        }
        if let Act::Delivery { sender, recipient: Address::Known(recipient), relay: Some(relay), sent: true } =
            record.act
        {
            self.deliver(key, message.time_ms, sender, recipient, relay, counts, out);
        }
        let Some(entry) = self.queue.get(key) else { return };
        let session = entry.session;
        let open = session.and_then(|(handle, index)| Some((self.table.get(handle)?, index)));
        let mut over = false;
        match (&record.act, open) {
            (Act::Sender { sender: Address::Known(sender), recipients }, open) => {
                (entry.sender, entry.recipients, entry.reported) = (Some((*sender).into()), *recipients, 0);
                if let Some((open, index)) = open {
                    open.set_message_sender(index, sender);
                }
            }
            (Act::MessageId(id), Some((open, index))) => open.transactions[index].message_id = Some((*id).into()),
            (Act::Refused, open) => {
                if let Some((open, index)) = open {
                    open.transactions[index].body = Body::Refused;
                }
                over = true;
            }
            (Act::Delivery { recipient, .. }, open) => {
                if let Some((open, index)) = open {
                    open.was_taken(index);
                    if let Address::Known(recipient) = recipient {
                        open.delivered(index, recipient, self.limits.recipients_max);
                    }
                }
                // The queue manager says how many there are each time that it takes the message up.
                entry.reported += 1;
                over = entry.recipients > 0 && entry.reported >= entry.recipients;
            }
            (Act::Removed | Act::Canceled, _) => over = true,
            _ => {}
        }
        if over {
            self.queue.remove(key);
        }
        if let Some((handle, _)) = session {
            self.end_if_settled(handle, counts, out);
        }
    }

    /// Gives out a delivery, if its sender is known.
    #[expect(clippy::too_many_arguments, reason = "what a line says, and where it goes")]
    fn deliver(
        &mut self,
        key: u64,
        time_ms: i64,
        sender: Address<'_>,
        recipient: &[u8],
        relay: IpAddr,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        let sender = match sender {
            Address::Known(sender) => Some(sender.into()),
            _ => self.queue.get(key).and_then(|entry| entry.sender.clone()),
        };
        if let Some(sender) = sender {
            counts.deliveries += 1;
            out.push(Observation::Delivery(Delivery {
                time_ms,
                place: self.line.place,
                sender,
                recipient: recipient.into(),
                relay,
            }));
        }
    }

    /// A session's closing line came: it ends, unless lines about its messages are still to come.
    fn closed(&mut self, handle: Handle, counts: &mut AssemblerCounts, out: &mut Vec<Observation>) {
        self.table.wait(handle);
        self.end_if_settled(handle, counts, out);
    }

    /// Ends a closed session for which nothing more is to come.
    fn end_if_settled(&mut self, handle: Handle, counts: &mut AssemblerCounts, out: &mut Vec<Observation>) {
        let Some(open) = self.table.get(handle).filter(|open| open.ended) else { return };
        let (queue, queue_ids) = (&mut self.queue, &open.queue);
        let settled = open.is_settled(|index| {
            !queue_ids.iter().any(|key| queue.get(*key).is_some_and(|entry| entry.session == Some((handle, index))))
        });
        if settled {
            self.end(handle, counts, out);
        }
    }

    /// Ends a session.
    fn end(&mut self, handle: Handle, counts: &mut AssemblerCounts, out: &mut Vec<Observation>) {
        let Some(open) = self.table.remove(handle) else { return };
        if let Some(place) = open.passed {
            self.unpass(place, handle);
        }
        for key in &open.queue {
            let Some(entry) = self.queue.get(*key) else { continue };
            let Some((_, index)) = entry.session.filter(|(session, _)| *session == handle) else { continue };
            entry.session = None;
            // Of a message that was taken, deliveries follow; any other transaction was given up.
            if entry.sender.is_none() || open.transactions[index].body != Body::Taken {
                self.queue.remove(*key);
            }
        }
        Self::give(open, &self.probe_senders, counts, out);
    }

    /// Gives out a session.
    fn give(open: Open, probe_senders: &ProbeSenders, counts: &mut AssemblerCounts, out: &mut Vec<Observation>) {
        match open.settle(probe_senders) {
            Some(session) => {
                count(&session, counts);
                out.push(Observation::Session(session));
            }
            None => counts.dropped_no_client += 1,
        }
    }

    /// Gives out a session that a line tells as a whole.
    fn whole(
        &mut self,
        message: &Message<'_>,
        record: &Record<'_>,
        session: &Session,
        counts: &mut AssemblerCounts,
        out: &mut Vec<Observation>,
    ) {
        let open = self.open(message, record);
        let Client { ip, port, ptr } = session.client.clone();
        let mut session = Box::new(Session {
            first: open.first,
            last: open.last,
            id: open.id,
            client: Client { ip: ip.to_canonical(), port, ptr },
            ..session.clone()
        });
        session.kinds = kind::kinds(&session, &self.probe_senders);
        count(&session, counts);
        out.push(Observation::Session(session));
    }
}

/// Counts a session by its kinds.
fn count(session: &Session, counts: &mut AssemblerCounts) {
    counts.sessions += 1;
    for kind in session.kinds.iter() {
        counts.kinds[kind as usize] += 1;
    }
}
