//! Several ascending runs of ranges as one: pieces in which the same members are there all along.

use crate::dataset::layers::Stream;
use crate::dataset::ranges::Range;

/// One of the sources, and the id that it gives.
pub type Member = (u32, u32);

/// Addresses that the same members are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First address.
    pub first: u128,
    /// Last address.
    pub last: u128,
    /// Who is about them, by source.
    pub members: Vec<Member>,
}

/// One source.
struct Head<'a> {
    /// What comes after `next`.
    rest: Stream<'a, u128>,
    /// The first range that does not lie wholly before the place reached.
    next: Option<Range<u128>>,
    /// The source's number.
    source: u32,
    /// It lists nothing by itself.
    silent: bool,
}

/// The union of some sources.
pub struct Union<'a> {
    /// The sources.
    heads: Vec<Head<'a>>,
    /// The place reached; `None` at the end.
    at: Option<u128>,
    /// The piece after the one given last.
    pending: Option<Piece>,
}

impl<'a> Union<'a> {
    /// Of these sources; a silent one lists nothing by itself but tells what others list apart.
    pub fn new(sources: impl Iterator<Item = (Stream<'a, u128>, bool)>) -> Self {
        let heads = sources.enumerate().map(|(source, (mut rest, silent))| Head {
            next: rest.next(),
            rest,
            source: source as u32,
            silent,
        });
        Self { heads: heads.collect(), at: Some(0), pending: None }
    }

    /// The next piece, which may go on under the same members.
    fn piece(&mut self) -> Option<Piece> {
        loop {
            let at = self.at?;
            let mut first = None;
            for head in &mut self.heads {
                while head.next.is_some_and(|range| range.last < at) {
                    head.next = head.rest.next();
                }
                if let Some(range) = head.next {
                    let start = range.first.max(at);
                    first = Some(first.map_or(start, |first: u128| first.min(start)));
                }
            }
            let first = first?;
            let (mut last, mut members, mut silent) = (u128::MAX, Vec::new(), true);
            for head in &self.heads {
                match head.next {
                    Some(range) if range.first <= first => {
                        last = last.min(range.last);
                        silent &= head.silent;
                        members.push((head.source, range.id));
                    }
                    Some(range) => last = last.min(range.first - 1),
                    None => {}
                }
            }
            self.at = last.checked_add(1);
            if !silent {
                return Some(Piece { first, last, members });
            }
        }
    }
}

impl Iterator for Union<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let mut piece = self.pending.take().or_else(|| self.piece())?;
        while let Some(next) = self.piece() {
            if next.members == piece.members && piece.last.checked_add(1) == Some(next.first) {
                piece.last = next.last;
            } else {
                self.pending = Some(next);
                break;
            }
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source of these ranges.
    fn source(ranges: &[(u128, u128, u32)]) -> Stream<'static, u128> {
        let ranges: Vec<_> = ranges.iter().map(|&(first, last, id)| Range { first, last, id }).collect();
        Box::new(ranges.into_iter())
    }

    #[test]
    fn pieces_have_the_same_members_all_along() {
        let max = u128::MAX;
        let sources = [
            (source(&[(0, 9, 1), (10, 19, 1), (30, 39, 2), (max - 5, max, 3)]), false),
            (source(&[(5, 12, 7), (38, 50, 7), (max, max, 8)]), false),
            (source(&[(2, 3, 1), (60, 70, 2)]), true),
        ];
        let pieces: Vec<_> = Union::new(sources.into_iter()).map(|p| (p.first, p.last, p.members)).collect();
        let expected = [
            (0, 1, vec![(0, 1)]),
            (2, 3, vec![(0, 1), (2, 1)]),
            (4, 4, vec![(0, 1)]),
            (5, 12, vec![(0, 1), (1, 7)]),
            (13, 19, vec![(0, 1)]),
            (30, 37, vec![(0, 2)]),
            (38, 39, vec![(0, 2), (1, 7)]),
            (40, 50, vec![(1, 7)]),
            (max - 5, max - 1, vec![(0, 3)]),
            (max, max, vec![(0, 3), (1, 8)]),
        ];
        assert_eq!(pieces, expected);
    }
}
