//! Batches that a shipper sends again because it never saw the answer.
//!
//! Vector, Fluent Bit and rsyslog send the very same octets once more. The lines in them could as well be new ones that look
//! alike; the batch as a whole can not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

/// Batches remembered: shippers send one or a few a second and try again within a minute or two. They take 32 octets each.
const BATCHES_MAX: usize = 1024;

/// What a batch is known by.
pub type BatchId = [u8; 32];

/// The batches taken last; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Taken(Arc<Mutex<VecDeque<BatchId>>>);

impl Taken {
    /// What a body is known by.
    pub fn id(body: &[u8]) -> BatchId {
        Sha256::digest(body).into()
    }

    /// Was it taken before?
    pub fn knows(&self, id: &BatchId) -> bool {
        self.lock().contains(id)
    }

    /// It is safe on disk, so it need not be taken again.
    pub fn remember(&self, id: BatchId) {
        let mut taken = self.lock();
        if taken.len() >= BATCHES_MAX {
            taken.pop_front();
        }
        taken.push_back(id);
    }

    /// The lock; what is remembered is whole whatever panicked.
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<BatchId>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known() {
        let taken = Taken::default();
        let id = |n: usize| Taken::id(n.to_string().as_bytes());
        for n in 0..=BATCHES_MAX {
            assert!(!taken.knows(&id(n)));
            taken.remember(id(n));
        }
        assert!(!taken.knows(&id(0)) && taken.knows(&id(1)) && taken.knows(&id(BATCHES_MAX)));
    }
}
