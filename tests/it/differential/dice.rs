//! Chance for the generator: a seeded generator of numbers, and the choices made with it.

use crate::garbage::Random;

/// Chance out of a seed; the same seed always falls the same way.
pub struct Dice(Random);

impl Dice {
    /// From any seed; neighbouring seeds have nothing in common.
    pub fn new(seed: u64) -> Self {
        // SplitMix64's last step: xorshift needs a start with many bits set.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(Random::new((mixed ^ mixed >> 31).max(1)))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next()
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<'a, T: ?Sized>(&mut self, these: &[&'a T]) -> &'a T {
        these[self.below(these.len())]
    }

    /// One of these values.
    pub fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }
}
