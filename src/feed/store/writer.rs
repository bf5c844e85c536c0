//! The thread that writes: what all inputs hand in is committed in groups, in the order in which it came.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::rows::{self, Count, DeliveryRow, Event, Row};
use super::{Store, expire, explain, signed};
use crate::feed::ledger::Ledger;
use crate::feed::publish::Nudge;
use crate::feed::source::{Position, SavedFile};
use crate::sys::clock;

/// Batches that may wait; more would only be memory, as the disk sets the pace.
const QUEUE_BATCHES_MAX: usize = 64;
/// Rows of one transaction: enough that its end, which waits for the disk, costs little of each.
const GROUP_ROWS_MAX: usize = 20_000;
/// The least time between two transactions, in which batches are gathered.
const GROUP_WAIT: Duration = Duration::from_millis(50);
/// Pause after a failure, such as a full disk.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Time between two looks for what has been kept long enough.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
/// Rows of a kind that are deleted in one go, so that no input waits long for it.
const EXPIRE_ROWS_MAX: u32 = 1000;

/// How far an input has been committed: the low-water mark, behind which nothing is read again.
pub type Committed = Arc<Mutex<Position>>;

/// What one input hands in; committed whole.
#[derive(Debug)]
pub struct Batch {
    /// The input's number.
    pub input: i64,
    /// What came out of it.
    pub rows: Vec<Row>,
    /// Where reading begins again after a crash.
    pub low_water: Position,
    /// Up to where it was read.
    pub read: Position,
    /// When, in milliseconds since 1970 (UTC).
    pub time_ms: i64,
    /// Its files, where they have changed.
    pub files: Option<Vec<SavedFile>>,
    /// A journal's cursors at the low-water mark and at the place of reading.
    pub cursors: (Option<String>, Option<String>),
    /// Sessions of it that ended by the wall clock, with the place of reading.
    pub ended: Vec<(u128, Position)>,
    /// Told when it is committed.
    pub committed: Committed,
}

/// What the store has done since the program began.
#[derive(Debug, Default)]
pub struct StoreCounts {
    /// Events stored.
    pub events: AtomicU64,
    /// Events that were there already.
    pub duplicates: AtomicU64,
    /// Sessions counted.
    pub counted: AtomicU64,
    /// Deliveries stored.
    pub deliveries: AtomicU64,
    /// Transactions committed.
    pub commits: AtomicU64,
    /// Transactions that failed and were tried again.
    pub failures: AtomicU64,
}

/// The running thread.
#[derive(Debug)]
pub struct Writer {
    /// The way to it.
    sender: SyncSender<Batch>,
    /// The thread.
    thread: JoinHandle<()>,
    /// What it has done.
    counts: Arc<StoreCounts>,
}

impl Writer {
    /// Start the thread on a store. Errors: the system has no thread left.
    pub(super) fn start(store: Store) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_BATCHES_MAX);
        let counts = Arc::<StoreCounts>::default();
        let shared = Arc::clone(&counts);
        let thread =
            std::thread::Builder::new().name("store".to_owned()).spawn(move || run(store, &receiver, &shared))?;
        Ok(Self { sender, thread, counts })
    }

    /// The way to it; waits when too much is queued.
    pub fn sender(&self) -> SyncSender<Batch> {
        self.sender.clone()
    }

    /// What it has done.
    pub fn counts(&self) -> Arc<StoreCounts> {
        Arc::clone(&self.counts)
    }

    /// Commit what is queued and end. All other senders must be gone, or this waits for them.
    pub fn stop(self) {
        drop(self.sender);
        if self.thread.join().is_err() {
            tracing::error!("the store's thread had died");
        }
    }
}

/// The thread: gather, commit, expire, until all senders are gone.
fn run(mut store: Store, batches: &Receiver<Batch>, counts: &StoreCounts) {
    let mut expire_at = clock::monotonic();
    let mut told = false;
    let mut committed_at = Duration::ZERO;
    loop {
        let pause = expire_at.saturating_sub(clock::monotonic());
        let group = match batches.recv_timeout(pause) {
            Ok(first) => gather(first, batches, committed_at + GROUP_WAIT),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut tries = 0;
        while !group.is_empty() {
            // Held to the end of the transaction: what is written by old rules is there when new ones go over all hosts.
            let ledger = store.ledger.as_ref().map(|ledger| ledger.read().unwrap_or_else(|e| e.into_inner()));
            let done = commit(&mut store.connection, &group, ledger.as_deref(), counts);
            drop(ledger);
            match done {
                Ok(()) => {
                    if std::mem::take(&mut told) {
                        tracing::info!("{}: the store can be written again", store.path.display());
                    }
                    store.told.iter().for_each(Nudge::nudge);
                    committed_at = clock::monotonic();
                    for batch in &group {
                        *batch.committed.lock().unwrap_or_else(|e| e.into_inner()) = batch.low_water;
                    }
                    break;
                }
                Err(error) => {
                    counts.failures.fetch_add(1, Relaxed);
                    tries += 1;
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(
                            "{}; tried again each second, and inputs wait meanwhile",
                            explain(&store.path, &error)
                        );
                    }
                    // On the way out nobody will repair it; what is not committed is read again at the next start.
                    if tries > 3 && matches!(batches.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)) {
                        return;
                    }
                    std::thread::sleep(RETRY_PAUSE);
                }
            }
        }
        if clock::monotonic() >= expire_at {
            let now_ms = (clock::now_f64() * 1000.0) as i64;
            let done = expire(&store.connection, now_ms, EXPIRE_ROWS_MAX).unwrap_or_else(|error| {
                tracing::warn!("{}", explain(&store.path, &error));
                true
            });
            expire_at = clock::monotonic() + if done { EXPIRE_EVERY } else { GROUP_WAIT };
        }
    }
    // The lock goes with the store, after its connection is closed.
    drop(store.connection);
    drop(store.lock);
}

/// Wait for more until then, so that one wait for the disk serves many; what comes after a rest is not kept waiting.
fn gather(first: Batch, batches: &Receiver<Batch>, until: Duration) -> Vec<Batch> {
    let mut rows = first.rows.len();
    let mut group = vec![first];
    while rows < GROUP_ROWS_MAX {
        let Ok(batch) = batches.recv_timeout(until.saturating_sub(clock::monotonic())) else { break };
        rows += batch.rows.len();
        group.push(batch);
    }
    group
}

/// Write a group, and what a ledger makes of it, in one transaction. Errors: what SQLite says; nothing was written then.
pub fn commit(
    connection: &mut Connection,
    group: &[Batch],
    ledger: Option<&Ledger>,
    counts: &StoreCounts,
) -> rusqlite::Result<()> {
    // At once for writing: what is read before must not have changed when it is written.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut events, mut duplicates, mut counted, mut deliveries) = (0, 0, 0, 0);
    for batch in group {
        for row in &batch.rows {
            match row {
                Row::Event(event) if put_event(&transaction, batch.input, event)? => events += 1,
                Row::Event(_) => duplicates += 1,
                Row::Count(count) => {
                    put_count(&transaction, count)?;
                    counted += 1;
                }
                Row::Delivery(delivery) => {
                    put_delivery(&transaction, delivery)?;
                    deliveries += 1;
                }
            }
        }
        put_marks(&transaction, batch)?;
    }
    if let Some(ledger) = ledger {
        ledger.took(&transaction, group)?;
    }
    transaction.commit()?;
    for (counter, n) in [
        (&counts.events, events),
        (&counts.duplicates, duplicates),
        (&counts.counted, counted),
        (&counts.deliveries, deliveries),
        (&counts.commits, 1),
    ] {
        counter.fetch_add(n, Relaxed);
    }
    Ok(())
}

/// Store an event; false when it is there already.
fn put_event(transaction: &Transaction<'_>, input: i64, event: &Event) -> rusqlite::Result<bool> {
    let session = &event.session;
    let sql = "INSERT INTO events VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
               ON CONFLICT (id) DO NOTHING";
    let inserted = transaction.prepare_cached(sql)?.execute(params![
        event.id,
        input,
        session.start_ms,
        session.end_ms,
        &*session.host,
        rows::octets(session.client.ip),
        session.client.ip.to_string(),
        session.client.port,
        session.client.ptr.as_deref(),
        session.helo.as_deref().map(rows::bounded),
        rows::kinds_bits(session.kinds),
        rows::flags_bits(session),
        rows::verbs_text(&session.verbs),
        rows::closed_word(session.closed),
        event.file,
        signed(session.first.offset),
        signed(session.first.number),
        signed(session.last.offset),
        signed(session.last.number),
    ])?;
    if inserted == 0 {
        return Ok(false);
    }
    let number = transaction.last_insert_rowid();
    for (place, (row, full)) in event.transactions.iter().zip(&session.transactions).enumerate() {
        let sql = "INSERT INTO transactions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        transaction.prepare_cached(sql)?.execute(params![
            number,
            place as i64,
            row.sender,
            row.sender_domain,
            full.unnamed_accepted,
            rows::body_word(full.body),
            full.queue_id.as_deref(),
            full.message_id.as_deref().map(rows::bounded),
        ])?;
        for (nth, recipient) in row.recipients.iter().enumerate() {
            let sql = "INSERT INTO recipients VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            transaction.prepare_cached(sql)?.execute(params![
                number,
                place as i64,
                nth as i64,
                recipient.hash,
                recipient.domain,
                recipient.answer,
                recipient.zone,
                recipient.code,
                recipient.random,
            ])?;
        }
    }
    for (nth, line) in event.lines.iter().enumerate() {
        transaction
            .prepare_cached("INSERT INTO lines VALUES (?1, ?2, ?3)")?
            .execute(params![number, nth as i64, line])?;
    }
    Ok(true)
}

/// Count a session; one that is two things counts as both.
fn put_count(transaction: &Transaction<'_>, count: &Count) -> rusqlite::Result<()> {
    let sql = "INSERT INTO counts VALUES (?1, ?2, ?3, 1, ?4) \
               ON CONFLICT DO UPDATE SET sessions = sessions + 1, messages = messages + excluded.messages";
    let mut statement = transaction.prepare_cached(sql)?;
    for kind in count.kinds.iter() {
        statement.execute(params![count.ip, count.day, kind as i64, count.messages])?;
    }
    Ok(())
}

/// Store a delivery.
fn put_delivery(transaction: &Transaction<'_>, row: &DeliveryRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.prepare_cached(sql)?.execute(params![
        row.time_ms,
        row.sender,
        row.sender_domain,
        row.recipient_domain,
        row.relay
    ])?;
    Ok(())
}

/// Store how far an input was read.
fn put_marks(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let (low, read) = (batch.low_water, batch.read);
    let sql = "UPDATE inputs SET low_generation = ?2, low_offset = ?3, low_number = ?4, read_generation = ?5, read_offset = ?6, \
               read_number = ?7, time_ms = ?8, cursor = ?9, read_cursor = ?10 WHERE input = ?1";
    transaction.prepare_cached(sql)?.execute(params![
        batch.input,
        signed(low.generation),
        signed(low.offset),
        signed(low.number),
        signed(read.generation),
        signed(read.offset),
        signed(read.number),
        batch.time_ms,
        batch.cursors.0,
        batch.cursors.1,
    ])?;
    if let Some(files) = &batch.files {
        transaction.prepare_cached("DELETE FROM files WHERE input = ?1")?.execute([batch.input])?;
        for file in files {
            let identity = &file.identity;
            transaction.prepare_cached("INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
                batch.input,
                signed(file.generation),
                signed(identity.device),
                signed(identity.inode),
                identity.head_octets,
                identity.head_hash,
                file.path,
            ])?;
        }
    }
    for (id, position) in &batch.ended {
        transaction.prepare_cached("INSERT OR REPLACE INTO ended VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            batch.input,
            id.to_be_bytes(),
            signed(position.generation),
            signed(position.offset),
        ])?;
    }
    let sql = "DELETE FROM ended WHERE input = ?1 AND (generation, octets) <= (?2, ?3)";
    transaction.prepare_cached(sql)?.execute(params![batch.input, signed(low.generation), signed(low.offset)])?;
    Ok(())
}
