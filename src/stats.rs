//! Counters of the query path: one block a worker, written by its owner only, summed when scraped.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::serve::answer::{Dropped, Listed, Note, Transport};

/// Zones that get counters of their own in one process's life; further ones share the last slot.
pub const ZONE_SLOTS: usize = 1024;
/// Query types that get a counter of their own, in slot order; the last slot is "other".
pub const TYPES: [(u16, &str); 11] = [
    (1, "A"),
    (16, "TXT"),
    (28, "AAAA"),
    (2, "NS"),
    (6, "SOA"),
    (15, "MX"),
    (255, "ANY"),
    (43, "DS"),
    (48, "DNSKEY"),
    (65, "HTTPS"),
    (252, "AXFR"),
];
/// Slots for query types, "other" included.
pub const TYPE_SLOTS: usize = TYPES.len() + 1;
/// Response codes that are given, in slot order; the last slot is "other".
pub const RCODES: [(u16, &str); 7] =
    [(0, "NOERROR"), (3, "NXDOMAIN"), (5, "REFUSED"), (2, "SERVFAIL"), (1, "FORMERR"), (4, "NOTIMP"), (16, "BADVERS")];
/// Slots for response codes, "other" included.
pub const RCODE_SLOTS: usize = RCODES.len() + 1;
/// Reasons for silence, in the order of [`Dropped`].
pub const DROPS: [&str; 4] = ["short", "response", "policy", "source"];

/// The counters of one zone in one block; one or more cache lines of its own.
#[derive(Debug)]
#[repr(align(64))]
pub struct ZoneCounters {
    /// Answers by type slot, then code slot.
    pub answers: [[AtomicU64; RCODE_SLOTS]; TYPE_SLOTS],
    /// Answers about entries: `[listed, not listed]`.
    pub listed: [AtomicU64; 2],
    /// Answers with TC set.
    pub truncated: AtomicU64,
}

/// The counters of one worker, or of all streams of one transport.
#[derive(Debug)]
pub struct Block {
    /// The transport of everything counted here.
    pub transport: Transport,
    /// By zone slot; slot 0 is "no zone of ours".
    pub zones: Box<[ZoneCounters]>,
    /// Messages without an answer, in the order of [`DROPS`].
    pub dropped: [AtomicU64; DROPS.len()],
    /// Octets received and sent, DNS messages only.
    pub octets: [AtomicU64; 2],
    /// Datagrams that the kernel threw away because the socket's buffer was full (`SO_RXQ_OVFL`).
    pub kernel_dropped: AtomicU64,
    /// Answers that could not be sent; they are counted as answers too.
    pub send_errors: AtomicU64,
    /// Messages whose answering panicked: a defect of ours. They got no answer and are counted nowhere else.
    pub panicked: AtomicU64,
}

/// The slot of a query type.
fn type_slot(qtype: u16) -> usize {
    TYPES.iter().position(|&(code, _)| code == qtype).unwrap_or(TYPES.len())
}

/// The slot of a response code.
fn rcode_slot(rcode: u16) -> usize {
    RCODES.iter().position(|&(code, _)| code == rcode).unwrap_or(RCODES.len())
}

/// Add to a counter that only this thread writes: no locked instruction.
fn add_own(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Block {
    /// A block of zeros.
    pub fn new(transport: Transport) -> Arc<Self> {
        let zones = (0..ZONE_SLOTS)
            .map(|_| ZoneCounters {
                answers: Default::default(),
                listed: Default::default(),
                truncated: AtomicU64::new(0),
            })
            .collect();
        Arc::new(Self {
            transport,
            zones,
            dropped: Default::default(),
            octets: Default::default(),
            kernel_dropped: AtomicU64::new(0),
            send_errors: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
        })
    }

    /// Count an answer on the block's own thread.
    pub fn answered(&self, note: &Note, octets_in: usize, octets_out: usize) {
        self.answered_with(note, octets_in, octets_out, add_own);
    }

    /// Count an answer on a block that several threads share.
    pub fn answered_shared(&self, note: &Note, octets_in: usize, octets_out: usize) {
        self.answered_with(note, octets_in, octets_out, |counter, n| {
            counter.fetch_add(n, Relaxed);
        });
    }

    /// Count an answer, adding as told.
    fn answered_with(&self, note: &Note, octets_in: usize, octets_out: usize, add: impl Fn(&AtomicU64, u64)) {
        let zone = &self.zones[usize::from(note.zone_slot).min(ZONE_SLOTS - 1)];
        add(&zone.answers[type_slot(note.qtype)][rcode_slot(note.rcode)], 1);
        match note.listed {
            Listed::Yes => add(&zone.listed[0], 1),
            Listed::No => add(&zone.listed[1], 1),
            Listed::NotAsked => {}
        }
        if note.truncated {
            add(&zone.truncated, 1);
        }
        add(&self.octets[0], octets_in as u64);
        add(&self.octets[1], octets_out as u64);
    }

    /// Count a message without an answer.
    pub fn dropped(&self, why: Dropped, octets_in: usize) {
        self.dropped[why as usize].fetch_add(1, Relaxed);
        self.octets[0].fetch_add(octets_in as u64, Relaxed);
    }
}

/// Every block there is, and the names of the zone slots; taken only at start, reload and scrape.
#[derive(Debug, Default)]
pub struct Registry {
    /// The blocks, as workers made them.
    blocks: Mutex<Vec<Arc<Block>>>,
    /// Zone names by slot; slot 0 is "no zone of ours".
    zones: Mutex<Vec<String>>,
}

impl Registry {
    /// A new block for a worker or a transport.
    pub fn block(&self, transport: Transport) -> Arc<Block> {
        let block = Block::new(transport);
        self.blocks.lock().unwrap_or_else(|e| e.into_inner()).push(Arc::clone(&block));
        block
    }

    /// The slot of a zone, the same for the same name as long as the process lives.
    pub fn zone_slot(&self, name: &str) -> u16 {
        let mut zones = self.zones.lock().unwrap_or_else(|e| e.into_inner());
        if zones.is_empty() {
            zones.push(String::new());
        }
        let known = zones.iter().position(|zone| zone == name);
        let slot = known.unwrap_or_else(|| {
            if zones.len() < ZONE_SLOTS - 1 {
                zones.push(name.to_owned());
                zones.len() - 1
            } else {
                ZONE_SLOTS - 1
            }
        });
        slot as u16
    }

    /// The blocks and the zone names by slot, for a scrape.
    pub fn read(&self) -> (Vec<Arc<Block>>, Vec<String>) {
        let blocks = self.blocks.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let zones = self.zones.lock().unwrap_or_else(|e| e.into_inner()).clone();
        (blocks, zones)
    }
}
