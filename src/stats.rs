//! Counters of the query path: one block a worker, written by its owner only, summed when scraped.
//!
//! A zone gets a slot by its name and keeps it as long as the process lives, so that its counters go on when it
//! is removed and comes back. A block has room for every slot but memory only for those in use: the registry
//! allocates them when the loader asks for a slot or a worker for a block, so that counting never allocates.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::serve::answer::{Dropped, Listed, Note, Transport};
use crate::wire::rcode;

/// Slots for zones in one process's life. Far more than any operator serves (rbldnsd's largest users have some
/// tens); 16 octets each in a block, and about 800 more for each zone that is really there.
pub const ZONE_SLOTS: usize = 1024;
/// The slot of answers about no zone of ours.
pub const NO_ZONE: usize = 0;
/// The slot that all zones share for which there was none left.
pub const OTHER_ZONES: usize = ZONE_SLOTS - 1;
/// Transports with their label in metrics.
pub const TRANSPORTS: [(Transport, &str); 2] = [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")];
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
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ZoneCounters {
    /// Answers by type slot, then code slot.
    answers: [[AtomicU64; RCODE_SLOTS]; TYPE_SLOTS],
    /// Answers about entries: `[listed, not listed]`.
    listed: [AtomicU64; 2],
    /// Answers with TC set.
    truncated: AtomicU64,
    /// Octets of queries and of their answers, those of NOTIMP left out: rbldnsd's statistics count these apart from
    /// any zone.
    octets: [AtomicU64; 2],
}

impl ZoneCounters {
    /// Add these counters to a sum.
    ///
    /// The parts are read before the wholes, the reverse of the order of counting: so no scrape ever sees more
    /// listed or truncated answers than answers.
    pub fn add_to(&self, totals: &mut ZoneTotals) {
        totals.truncated += self.truncated.load(Acquire);
        for (total, counter) in totals.listed.iter_mut().zip(&self.listed) {
            *total += counter.load(Acquire);
        }
        for (total, counter) in totals.answers.as_flattened_mut().iter_mut().zip(self.answers.as_flattened()) {
            *total += counter.load(Relaxed);
        }
        for (total, counter) in totals.octets.iter_mut().zip(&self.octets) {
            *total += counter.load(Relaxed);
        }
    }
}

/// Sums over the counters of one zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneTotals {
    /// Answers by type slot, then code slot.
    pub answers: [[u64; RCODE_SLOTS]; TYPE_SLOTS],
    /// Answers about entries: `[listed, not listed]`.
    pub listed: [u64; 2],
    /// Answers with TC set.
    pub truncated: u64,
    /// Octets of queries and of their answers, those of NOTIMP left out.
    pub octets: [u64; 2],
}

/// The counters of one worker, or of all streams of one transport.
#[derive(Debug)]
pub struct Block {
    /// The transport of everything counted here.
    pub transport: Transport,
    /// By zone slot; [`NO_ZONE`] and [`OTHER_ZONES`] are always there.
    zones: Box<[OnceLock<Box<ZoneCounters>>]>,
    /// Messages without an answer, in the order of [`DROPS`].
    pub dropped: [AtomicU64; DROPS.len()],
    /// Octets received and answered, DNS messages only.
    pub octets: [AtomicU64; 2],
    /// Datagrams that the kernel threw away because the socket's buffer was full (`SO_RXQ_OVFL`).
    pub kernel_dropped: AtomicU64,
    /// Answers that could not be sent; they are counted as answers too.
    pub send_errors: AtomicU64,
    /// Messages whose answering panicked: a defect of ours. They got no answer and are counted nowhere else.
    pub panicked: AtomicU64,
}

/// The slots of codes by code, as far as the codes of a table go: a look-up costs less than a search in the table.
const fn slots<const N: usize>(table: &[(u16, &str)]) -> [u8; N] {
    let mut slots = [table.len() as u8; N];
    let mut slot = 0;
    while slot < table.len() {
        slots[table[slot].0 as usize] = slot as u8;
        slot += 1;
    }
    slots
}

/// The slots of [`TYPES`] by code.
const TYPE_SLOT: [u8; 256] = slots(&TYPES);
/// The slots of [`RCODES`] by code.
const RCODE_SLOT: [u8; 32] = slots(&RCODES);

/// The slot of a query type.
#[inline]
fn type_slot(qtype: u16) -> usize {
    TYPE_SLOT.get(usize::from(qtype)).map_or(TYPES.len(), |&slot| slot.into())
}

/// The slot of a response code.
#[inline]
fn rcode_slot(rcode: u16) -> usize {
    RCODE_SLOT.get(usize::from(rcode)).map_or(RCODES.len(), |&slot| slot.into())
}

/// Add to a counter that only this thread writes: no locked instruction.
fn add_own(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Release);
}

/// Add to a counter that several threads write.
fn add_shared(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Release);
}

impl Block {
    /// A block of zeros that no registry knows: without counters for any zone, which [`Registry::block`] adds.
    pub fn new(transport: Transport) -> Arc<Self> {
        let block = Self {
            transport,
            zones: (0..ZONE_SLOTS).map(|_| OnceLock::new()).collect(),
            dropped: Default::default(),
            octets: Default::default(),
            kernel_dropped: AtomicU64::new(0),
            send_errors: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
        };
        block.make_room(NO_ZONE);
        block.make_room(OTHER_ZONES);
        Arc::new(block)
    }

    /// Allocate the counters of a slot, unless they are there.
    fn make_room(&self, slot: usize) {
        self.zones[slot].get_or_init(Box::default);
    }

    /// The counters of a zone's slot, if any block's owner could have counted there.
    #[inline]
    pub fn zone(&self, slot: usize) -> Option<&ZoneCounters> {
        self.zones.get(slot)?.get().map(|counters| &**counters)
    }

    /// Count an answer on the block's own thread.
    #[inline]
    pub fn answered(&self, note: &Note, octets_in: usize, octets_out: usize) {
        self.answered_with(note, octets_in, octets_out, add_own);
    }

    /// Count an answer on a block that several threads share.
    pub fn answered_shared(&self, note: &Note, octets_in: usize, octets_out: usize) {
        self.answered_with(note, octets_in, octets_out, add_shared);
    }

    /// Count an answer, adding as told. A slot that nobody asked the registry for counts as [`OTHER_ZONES`].
    fn answered_with(&self, note: &Note, octets_in: usize, octets_out: usize, add: impl Fn(&AtomicU64, u64)) {
        if let Some(zone) = self.zone(usize::from(note.zone_slot)).or_else(|| self.zone(OTHER_ZONES)) {
            add(&zone.answers[type_slot(note.qtype)][rcode_slot(note.rcode)], 1);
            match note.listed {
                Listed::Yes => add(&zone.listed[0], 1),
                Listed::No => add(&zone.listed[1], 1),
                Listed::NotAsked => {}
            }
            if note.truncated {
                add(&zone.truncated, 1);
            }
            if note.rcode != rcode::NOTIMP {
                add(&zone.octets[0], octets_in as u64);
                add(&zone.octets[1], octets_out as u64);
            }
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

/// What the registry knows, under one lock, so that no block can miss a zone.
#[derive(Debug, Default)]
struct Known {
    /// The blocks, as workers made them.
    blocks: Vec<Arc<Block>>,
    /// Names of the zones, from slot 1 on.
    zones: Vec<String>,
}

/// Every block there is, and the names of the zone slots; taken only at start, reload and scrape.
#[derive(Debug, Default)]
pub struct Registry {
    /// Blocks and names.
    known: Mutex<Known>,
}

impl Registry {
    /// The lock; a panic elsewhere does not make counters wrong.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A new block for a worker or a transport, with counters for every zone known so far.
    pub fn block(&self, transport: Transport) -> Arc<Block> {
        let block = Block::new(transport);
        let mut known = self.lock();
        (1..=known.zones.len()).for_each(|slot| block.make_room(slot));
        known.blocks.push(Arc::clone(&block));
        block
    }

    /// The slot of a zone, the same for the same name as long as the process lives.
    ///
    /// Call it before the zone is published: it gives every block the counters, so that no worker has to.
    /// A final dot does not make another name. [`OTHER_ZONES`] when all slots are taken.
    pub fn zone_slot(&self, name: &str) -> u16 {
        let name = name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name);
        let mut known = self.lock();
        let slot = match known.zones.iter().position(|zone| zone == name) {
            Some(at) => at + 1,
            None if known.zones.len() + 1 < OTHER_ZONES => {
                known.zones.push(name.to_owned());
                known.zones.len()
            }
            None => OTHER_ZONES,
        };
        known.blocks.iter().for_each(|block| block.make_room(slot));
        slot as u16
    }

    /// The blocks, and the names of the zones from slot 1 on, for a scrape.
    pub fn read(&self) -> (Vec<Arc<Block>>, Vec<String>) {
        let known = self.lock();
        (known.blocks.clone(), known.zones.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A positive answer about an entry of the zone in this slot.
    fn note(zone_slot: u16) -> Note {
        Note { zone_slot, qtype: 1, rcode: 0, listed: Listed::Yes, truncated: true }
    }

    /// Slots for which a block has memory.
    fn slots(block: &Block) -> Vec<usize> {
        (0..ZONE_SLOTS).filter(|&slot| block.zone(slot).is_some()).collect()
    }

    /// Listed answers in a slot of a block.
    fn listed(block: &Block, slot: usize) -> u64 {
        let mut totals = ZoneTotals::default();
        block.zone(slot).unwrap().add_to(&mut totals);
        totals.listed[0]
    }

    #[test]
    fn a_block_has_memory_only_for_zones_that_are_there() {
        let registry = Registry::default();
        let before = registry.block(Transport::Udp);
        assert_eq!(slots(&before), [NO_ZONE, OTHER_ZONES]);
        let slot = registry.zone_slot("bl.example.org");
        let after = registry.block(Transport::Tcp);
        for block in [&before, &after] {
            assert_eq!(slots(block), [NO_ZONE, usize::from(slot), OTHER_ZONES]);
            block.answered(&note(slot), 40, 56);
            assert_eq!(listed(block, usize::from(slot)), 1);
        }
        let empty = ZONE_SLOTS * size_of::<OnceLock<Box<ZoneCounters>>>() + 2 * size_of::<ZoneCounters>();
        assert!(empty <= 20_000, "an empty block takes {empty} octets");
    }

    #[test]
    fn a_zone_that_comes_back_keeps_its_slot() {
        let registry = Registry::default();
        let (a, b) = (registry.zone_slot("a.example"), registry.zone_slot("b.example"));
        assert_ne!(a, b);
        for name in ["a.example", "a.example."] {
            assert_eq!(registry.zone_slot(name), a, "{name}");
        }
        let root = registry.zone_slot(".");
        assert!(root > b);
        assert_eq!(registry.read().1, ["a.example", "b.example", "."]);
    }

    #[test]
    fn zones_without_a_slot_share_the_last() {
        let registry = Registry::default();
        let block = registry.block(Transport::Udp);
        let given: Vec<usize> = (0..ZONE_SLOTS + 5).map(|n| registry.zone_slot(&format!("z{n}")).into()).collect();
        assert_eq!(given[..OTHER_ZONES - 1], (1..OTHER_ZONES).collect::<Vec<_>>());
        assert!(given[OTHER_ZONES - 1..].iter().all(|&slot| slot == OTHER_ZONES));
        block.answered(&note(OTHER_ZONES as u16), 1, 1);
        block.answered(&note(u16::MAX), 1, 1);
        assert_eq!(listed(&block, OTHER_ZONES), 2);
        let alone = Block::new(Transport::Udp);
        alone.answered(&note(7), 1, 1);
        assert_eq!(listed(&alone, OTHER_ZONES), 1, "a slot without counters is counted all the same");
    }

    #[test]
    fn a_scrape_never_sees_more_parts_than_wholes() {
        let block = Block::new(Transport::Udp);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..200_000).for_each(|_| block.answered(&note(0), 40, 56));
                done.store(true, Release);
            });
            loop {
                let last = done.load(Acquire);
                let mut totals = ZoneTotals::default();
                block.zone(NO_ZONE).unwrap().add_to(&mut totals);
                let answers: u64 = totals.answers.as_flattened().iter().sum();
                assert!(totals.listed[0] <= answers && totals.truncated <= answers);
                if last {
                    assert_eq!((answers, totals.listed, totals.truncated), (200_000, [200_000, 0], 200_000));
                    break;
                }
            }
        });
    }

    #[test]
    fn shared_counting_loses_nothing() {
        let block = Block::new(Transport::Tcp);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| block.answered_shared(&note(0), 1, 2)));
            }
        });
        assert_eq!(listed(&block, NO_ZONE), 40_000);
        assert_eq!([block.octets[0].load(Relaxed), block.octets[1].load(Relaxed)], [40_000, 80_000]);
    }

    #[test]
    fn labels_stand_in_the_order_of_the_types() {
        for (why, label) in [
            (Dropped::Short, "short"),
            (Dropped::Response, "response"),
            (Dropped::Policy, "policy"),
            (Dropped::Source, "source"),
        ] {
            assert_eq!(DROPS[why as usize], label);
        }
        for (at, (transport, label)) in TRANSPORTS.into_iter().enumerate() {
            assert_eq!(transport as usize, at, "{label}");
        }
    }
}
