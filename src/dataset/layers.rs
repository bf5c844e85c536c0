//! Layers of ranges, seen from above: at each address the first layer that has something there decides.
//!
//! This is how a frozen dataset is gone through in order. Searching asks the finest structure first and then the next
//! one; going through asks all of them side by side and tells disjoint ranges, ascending.

use super::keys::Bits;
use super::ranges::Range;
use super::values::EXCLUDED;

/// Disjoint ranges, ascending.
pub type Stream<'a, K> = Box<dyn Iterator<Item = Range<K>> + 'a>;

/// One layer.
struct Layer<'a, K> {
    /// What comes after `next`.
    rest: Stream<'a, K>,
    /// The first range that does not lie wholly before the place reached.
    next: Option<Range<K>>,
}

/// Disjoint ranges out of several layers, exclusions left out.
pub struct Layers<'a, K> {
    /// The layers, the one that decides first at the front.
    layers: Vec<Layer<'a, K>>,
    /// The place reached; `None` at the end.
    at: Option<K>,
}

impl<'a, K: Bits> Layers<'a, K> {
    /// From streams, the finest first.
    pub fn new(streams: Vec<Stream<'a, K>>) -> Self {
        let layer = |mut rest: Stream<'a, K>| Layer { next: rest.next(), rest };
        Self { layers: streams.into_iter().map(layer).collect(), at: Some(K::default()) }
    }
}

impl<K: Bits> Iterator for Layers<'_, K> {
    type Item = Range<K>;

    fn next(&mut self) -> Option<Range<K>> {
        loop {
            let at = self.at?;
            let mut first = None;
            for layer in &mut self.layers {
                while layer.next.is_some_and(|range| range.last < at) {
                    layer.next = layer.rest.next();
                }
                if let Some(range) = layer.next {
                    let start = range.first.max(at);
                    first = Some(first.map_or(start, |first: K| first.min(start)));
                }
            }
            let first = first?;
            // Finer layers that begin later end what is found here.
            let mut limit = K::MAX;
            let found = self.layers.iter().filter_map(|layer| layer.next).find(|range| {
                if range.first > first {
                    limit = limit.min(range.first.previous());
                }
                range.first <= first
            })?;
            let last = found.last.min(limit);
            self.at = (last != K::MAX).then(|| last.next());
            if found.id != EXCLUDED {
                return Some(Range { first, last, id: found.id });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_layer_decides(layers in prop::collection::vec(prop::collection::btree_map(0u32..60, (0u32..12, 0u32..3), 0..8), 0..4), shift in prop::bool::ANY) {
            // Near the end of the addresses as well as at their beginning.
            let base = if shift { u32::MAX - 71 } else { 0 };
            let mut streams: Vec<Vec<Range<u32>>> = Vec::new();
            for layer in &layers {
                let mut ranges: Vec<Range<u32>> = Vec::new();
                for (&first, &(len, id)) in layer {
                    if ranges.last().is_none_or(|last| last.last < base + first) {
                        ranges.push(Range { first: base + first, last: base + first + len, id });
                    }
                }
                streams.push(ranges);
            }
            let got: Vec<Range<u32>> = Layers::new(streams.iter().map(|s| Box::new(s.iter().copied()) as _).collect()).collect();
            prop_assert!(got.is_sorted_by(|a, b| a.last < b.first));
            for address in (0..=71).map(|n| base + n) {
                let inside = |range: &&Range<u32>| (range.first..=range.last).contains(&address);
                let expected = streams.iter().find_map(|s| s.iter().find(inside)).map(|r| r.id).filter(|&id| id != EXCLUDED);
                prop_assert_eq!(got.iter().find(inside).map(|range| range.id), expected, "{}", address);
            }
        }
    }
}
