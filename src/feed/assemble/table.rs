//! The open sessions: found by key, ended in the order they began or fell silent.
//!
//! A slab of slots with two chains through them, so that every step costs the same however many are open: one in the order of their first
//! lines, whose head is the oldest; one in the order of their last lines, or of their closing for those that only wait.

use hashbrown::HashMap;

use super::open::Open;

/// No slot.
const NONE: u32 = u32::MAX;

/// Names a session for as long as it is open: a slot may be used again, a serial number is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    /// The slot.
    slot: u32,
    /// Which session in it.
    serial: u64,
}

/// Neighbours in a chain.
#[derive(Debug, Clone, Copy)]
struct Links {
    /// The one before.
    before: u32,
    /// The one after.
    after: u32,
}

/// Which chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By first line.
    Begun = 0,
    /// By last line, while open; by closing, while waiting.
    Active = 1,
}

/// The ends of a chain.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// The oldest.
    head: u32,
    /// The newest.
    tail: u32,
}

impl Chain {
    /// A chain of none.
    const EMPTY: Self = Self { head: NONE, tail: NONE };
}

/// A place for a session.
#[derive(Debug)]
struct Slot {
    /// The session; `None` while free.
    open: Option<Open>,
    /// Which session.
    serial: u64,
    /// Its key's hash.
    key: u64,
    /// Is it found by its key.
    keyed: bool,
    /// Does it wait.
    waiting: bool,
    /// Its neighbours in both orders.
    links: [Links; 2],
}

/// The open sessions.
#[derive(Debug)]
pub(super) struct Table {
    /// All slots.
    slots: Vec<Slot>,
    /// Those not in use.
    free: Vec<u32>,
    /// Sessions by their key's hash. The hash is seeded with what no client knows, so it stands for the key.
    keys: HashMap<u64, u32, foldhash::fast::FixedState>,
    /// All, by first line.
    begun: Chain,
    /// Those open, by last line.
    active: Chain,
    /// Those closed that wait for lines about their queue ids, by closing.
    waiting: Chain,
    /// The last serial number.
    serial: u64,
}

impl Table {
    /// An empty table.
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            keys: HashMap::default(),
            begun: Chain::EMPTY,
            active: Chain::EMPTY,
            waiting: Chain::EMPTY,
            serial: 0,
        }
    }

    /// How many are open or wait.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The session with that key.
    pub(super) fn find(&self, key: u64) -> Option<Handle> {
        self.keys.get(&key).map(|&slot| Handle { slot, serial: self.slots[slot as usize].serial })
    }

    /// Adds a session; nothing else may be open under its key.
    pub(super) fn insert(&mut self, key: u64, open: Open) -> Handle {
        self.serial += 1;
        let links = Links { before: NONE, after: NONE };
        let new = Slot { open: Some(open), serial: self.serial, key, keyed: true, waiting: false, links: [links; 2] };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = new;
                slot
            }
            None => {
                self.slots.push(new);
                (self.slots.len() - 1) as u32
            }
        };
        self.keys.insert(key, slot);
        self.push(Order::Begun, slot);
        self.push(Order::Active, slot);
        Handle { slot, serial: self.serial }
    }

    /// The session, unless it has ended.
    pub(super) fn get(&mut self, handle: Handle) -> Option<&mut Open> {
        let slot = &mut self.slots[handle.slot as usize];
        if slot.serial == handle.serial { slot.open.as_mut() } else { None }
    }

    /// A line came: the session is the last to fall silent.
    pub(super) fn touch(&mut self, handle: Handle) {
        if self.active.tail != handle.slot && !self.slots[handle.slot as usize].waiting {
            self.unlink(Order::Active, handle.slot);
            self.push(Order::Active, handle.slot);
        }
    }

    /// The session goes on under another key.
    pub(super) fn rekey(&mut self, handle: Handle, key: u64) {
        self.unkey(handle.slot);
        let slot = &mut self.slots[handle.slot as usize];
        (slot.key, slot.keyed) = (key, true);
        self.keys.insert(key, handle.slot);
    }

    /// The session is closed and waits; its key is free.
    pub(super) fn wait(&mut self, handle: Handle) {
        self.unkey(handle.slot);
        self.unlink(Order::Active, handle.slot);
        self.slots[handle.slot as usize].waiting = true;
        self.push(Order::Active, handle.slot);
    }

    /// Takes the session out.
    pub(super) fn remove(&mut self, handle: Handle) -> Option<Open> {
        if self.slots[handle.slot as usize].serial != handle.serial {
            return None;
        }
        let open = self.slots[handle.slot as usize].open.take()?;
        self.unkey(handle.slot);
        self.unlink(Order::Begun, handle.slot);
        self.unlink(Order::Active, handle.slot);
        self.free.push(handle.slot);
        Some(open)
    }

    /// The session with the oldest first line.
    pub(super) fn oldest(&self) -> Option<(Handle, &Open)> {
        self.at(self.begun.head)
    }

    /// The open session that has been silent longest.
    pub(super) fn most_idle(&self) -> Option<(Handle, &Open)> {
        self.at(self.active.head)
    }

    /// The session that has waited longest.
    pub(super) fn longest_waiting(&self) -> Option<(Handle, &Open)> {
        self.at(self.waiting.head)
    }

    /// The session in a slot.
    fn at(&self, slot: u32) -> Option<(Handle, &Open)> {
        let found = self.slots.get(slot as usize)?;
        Some((Handle { slot, serial: found.serial }, found.open.as_ref()?))
    }

    /// The key leads nowhere any more.
    fn unkey(&mut self, slot: u32) {
        let found = &mut self.slots[slot as usize];
        if found.keyed {
            found.keyed = false;
            self.keys.remove(&found.key);
        }
    }

    /// The chain that a slot is in.
    fn chain(&mut self, order: Order, slot: u32) -> &mut Chain {
        match order {
            Order::Begun => &mut self.begun,
            Order::Active if self.slots[slot as usize].waiting => &mut self.waiting,
            Order::Active => &mut self.active,
        }
    }

    /// Adds a slot at the end of its chain.
    fn push(&mut self, order: Order, slot: u32) {
        let chain = self.chain(order, slot);
        let before = std::mem::replace(&mut chain.tail, slot);
        if before == NONE {
            chain.head = slot;
        } else {
            self.slots[before as usize].links[order as usize].after = slot;
        }
        self.slots[slot as usize].links[order as usize] = Links { before, after: NONE };
    }

    /// Takes a slot out of its chain.
    fn unlink(&mut self, order: Order, slot: u32) {
        let Links { before, after } = self.slots[slot as usize].links[order as usize];
        let chain = self.chain(order, slot);
        if before == NONE {
            chain.head = after;
        }
        if after == NONE {
            chain.tail = before;
        }
        if before != NONE {
            self.slots[before as usize].links[order as usize].after = after;
        }
        if after != NONE {
            self.slots[after as usize].links[order as usize].before = before;
        }
    }
}
