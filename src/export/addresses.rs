//! The names of listed addresses: `4.3.2.1` for a host, `*.2.0.192` for a block (RFC 5782 sections 2.1 and 2.4).
//!
//! A run of listed addresses is cut into blocks at octet borders (IPv4) or nibble borders (IPv6). In a block the
//! value that most of its parts have becomes the wildcard, and the parts that differ are named; so the name of a part
//! that differs somewhere within blocks the wildcard above it, and has a wildcard of its own. A block of which a part
//! is not listed has no wildcard: DNS could only say that the part exists.
//!
//! `1.0.0.2` is 2.0.0.1, and 2001::/16 as well: the names of both families meet where the first four labels are single
//! decimal digits. A wildcard there would list addresses of the other family (2.0.0.0/16 as `*.0.2` has all of
//! 2001::/16 in it), so blocks are split there until they are out of each other's way: an IPv4 /24 into 256 hosts, an
//! IPv6 /12 into 16 blocks.
//!
//! IPv4 entries are also answered for as ::ffff:a.b.c.d and as 2002:aabb:ccdd::/48, so those names are written, too.

use std::io;

use super::file::File;
use super::numeric::{Fixed, Numeric};
use super::records::RecordSets;
use super::union::{Member, Piece, Union};
use crate::dataset::layers::Stream;
use crate::dataset::ranges::Range;
use crate::dataset::template::Subject;
use crate::dataset::{Data, Dataset};
use crate::wire::name::NAME_LEN_MAX;
use crate::zone::{Match, Zone, embedded_ip4};

/// How many parts must say the same before it is worth a wildcard.
const WILDCARD_PARTS_MIN: usize = 2;
/// Labels that names of both families can share.
const SHARED_LABELS: u32 = 4;
/// IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const MAPPED: u128 = 0xffff << 32;
/// 6to4 addresses (RFC 3056): where they begin, and the bits behind the IPv4 address.
const SIX_TO_FOUR: (u128, u32) = (0x2002 << 112, 80);

/// An address family's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Four octets.
    Ip4,
    /// 32 nibbles.
    Ip6,
}

impl Shape {
    /// Labels of a whole address.
    pub fn labels(self) -> u32 {
        match self {
            Self::Ip4 => 4,
            Self::Ip6 => 32,
        }
    }

    /// Bits of one label.
    pub fn bits(self) -> u32 {
        match self {
            Self::Ip4 => 8,
            Self::Ip6 => 4,
        }
    }

    /// Bits behind the first `depth` labels.
    pub fn bits_behind(self, depth: u32) -> u32 {
        (self.labels() - depth) * self.bits()
    }

    /// The last address of the block of so many labels that begins at `at`.
    fn last(self, at: u128, depth: u32) -> u128 {
        at | !u128::MAX.checked_shl(self.bits_behind(depth)).unwrap_or(0)
    }

    /// What the `n`th label from the end of an address's name says.
    fn label(self, at: u128, n: u32) -> u128 {
        at >> self.bits_behind(n + 1) & ((1 << self.bits()) - 1)
    }

    /// Whether a wildcard below these labels leaves the other family's addresses alone.
    pub fn may_have_wildcard(self, at: u128, depth: u32) -> bool {
        self == Self::Ip6 && depth >= SHARED_LABELS || (0..depth).any(|n| self.label(at, n) >= 10)
    }

    /// The name of a host or a block.
    fn owner(self, at: u128, depth: u32, owner: &mut Vec<u8>) {
        owner.clear();
        if depth < self.labels() {
            owner.extend(b"*.");
        }
        for n in (0..depth).rev() {
            let label = self.label(at, n);
            match self {
                Self::Ip4 => owner.extend(label.to_string().bytes()),
                Self::Ip6 => owner.push(b"0123456789abcdef"[label as usize]),
            }
            owner.push(b'.');
        }
        // The origin follows.
        owner.pop();
    }
}

/// What is mounted at one name.
pub struct Mounted<'z> {
    /// Its address datasets.
    pub addresses: Vec<&'z Dataset>,
    /// Its names that are addresses or stand in the way of one.
    pub numeric: Numeric<'z>,
}

/// What the ids of a source mean.
enum Meaning<'z> {
    /// Values of a dataset.
    Values(&'z Dataset),
    /// Entries of this list, counted from 1.
    Fixed(&'z [Fixed<'z>]),
    /// Nothing but that names exist; how many labels each has, counted from 1.
    Marks(&'z [u32]),
}

impl Mounted<'_> {
    /// The sources for one family, and whether they are silent.
    fn sources(&self, shape: Shape) -> impl Iterator<Item = (Stream<'_, u128>, bool)> {
        let addresses = self.addresses.iter().filter_map(move |dataset| Some((stream(dataset, shape)?, false)));
        let numeric = self.numeric.of(shape);
        let values = numeric.values.iter().map(|values| (Box::new(values.iter().copied()) as Stream<'_, u128>, false));
        let marks: Stream<'_, u128> = Box::new(numeric.marks.iter().copied());
        addresses.chain(values).chain([(marks, true)])
    }

    /// What their ids mean.
    fn meanings(&self, shape: Shape) -> Vec<Meaning<'_>> {
        let addresses = self.addresses.iter().filter(|dataset| stream(dataset, shape).is_some());
        let numeric = self.numeric.of(shape);
        let fixed = numeric.values.iter().map(|_| Meaning::Fixed(&numeric.fixed));
        addresses
            .map(|dataset| Meaning::Values(dataset))
            .chain(fixed)
            .chain([Meaning::Marks(&numeric.mark_depths)])
            .collect()
    }

    /// Write the names of both families; says whether there were any. `zone_octets` is what the origin takes in wire
    /// form.
    pub fn write(&self, zone: &Zone, zone_octets: usize, file: &mut File<'_>) -> io::Result<bool> {
        let mut any = false;
        for shape in [Shape::Ip4, Shape::Ip6] {
            let mut pieces = Union::new(self.sources(shape));
            let mut tree = Tree {
                zone,
                shape,
                meanings: self.meanings(shape),
                piece: pieces.next(),
                pieces,
                file,
                owner_octets_max: NAME_LEN_MAX.saturating_sub(zone_octets),
                owner: Vec::new(),
                records: RecordSets::default(),
                any: false,
            };
            // The same once more, ahead of the tree, to know how far a run goes.
            let mut ahead = Union::new(self.sources(shape)).peekable();
            while let Some(run) = ahead.next() {
                let mut last = run.last;
                while let Some(next) = ahead.next_if(|next| last.checked_add(1) == Some(next.first)) {
                    last = next.last;
                }
                tree.run(run.first, last)?;
            }
            any |= tree.any;
        }
        Ok(any)
    }
}

/// What a dataset lists of one family; `None` if it never does.
fn stream(dataset: &Dataset, shape: Shape) -> Option<Stream<'_, u128>> {
    let ip4 = || dataset.ranges4().map(|r| (u128::from(r.first), u128::from(r.last), r.id));
    match (dataset.data(), shape) {
        (Data::Ip4Set(_) | Data::Ip4Trie(_), Shape::Ip4) => {
            Some(Box::new(ip4().map(|(first, last, id)| Range { first, last, id })))
        }
        (Data::Ip4Set(_) | Data::Ip4Trie(_), Shape::Ip6) => {
            let mapped = ip4().map(|(first, last, id)| Range { first: MAPPED | first, last: MAPPED | last, id });
            let (base, bits) = SIX_TO_FOUR;
            let block = move |(first, last, id): (u128, u128, u32)| Range {
                first: base | first << bits,
                last: base | last << bits | ((1 << bits) - 1),
                id,
            };
            Some(Box::new(mapped.chain(ip4().map(block))))
        }
        (Data::Ip6Trie(_) | Data::Ip6Tset(_), Shape::Ip6) => Some(Box::new(dataset.ranges6())),
        _ => None,
    }
}

/// The names of one family being written.
struct Tree<'t, 'o> {
    /// The zone.
    zone: &'t Zone,
    /// The family.
    shape: Shape,
    /// What members mean, by source.
    meanings: Vec<Meaning<'t>>,
    /// The piece at the place reached.
    piece: Option<Piece>,
    /// Those after it.
    pieces: Union<'t>,
    /// Where to.
    file: &'t mut File<'o>,
    /// Octets that a name may take before the origin.
    owner_octets_max: usize,
    /// A name being spelled.
    owner: Vec<u8>,
    /// What it has.
    records: RecordSets,
    /// Something was written.
    any: bool,
}

impl Tree<'_, '_> {
    /// A run of listed addresses, in the widest blocks that it is made of.
    fn run(&mut self, first: u128, last: u128) -> io::Result<()> {
        let mut at = first;
        loop {
            let mut depth = self.shape.labels() - (at.trailing_zeros() / self.shape.bits()).min(self.shape.labels());
            while self.shape.last(at, depth) > last {
                depth += 1;
            }
            if let Some(members) = self.block(at, depth)? {
                self.write(at, depth, &members)?;
            }
            match self.shape.last(at, depth) {
                end if end < last => at = end + 1,
                _ => return Ok(()),
            }
        }
    }

    /// A block all of which is listed. If it is so under the same members all over, these are given back and nothing is
    /// written.
    fn block(&mut self, at: u128, depth: u32) -> io::Result<Option<Vec<Member>>> {
        let last = self.shape.last(at, depth);
        while self.piece.as_ref().is_some_and(|piece| piece.last < at) {
            self.piece = self.pieces.next();
        }
        match &self.piece {
            Some(piece) if piece.last >= last => return Ok(Some(piece.members.clone())),
            Some(_) if depth < self.shape.labels() => {}
            _ => return Ok(None),
        }
        let mut parts: Vec<(u128, Vec<Member>)> = Vec::new();
        for part in 0..1u128 << self.shape.bits() {
            let part = at | part << self.shape.bits_behind(depth + 1);
            if let Some(mut members) = self.block(part, depth + 1)? {
                // Names of this block and of wider ones do not stand in the way of its wildcard.
                members.retain(|&member| self.mark_depth(member).is_none_or(|mark| mark > depth));
                parts.push((part, members));
            }
        }
        let common = if self.shape.may_have_wildcard(at, depth) { self.most_common(&parts) } else { None };
        if let Some(members) = &common {
            self.name(at, depth, members)?;
        }
        for (part, members) in parts.iter().filter(|(_, members)| Some(members) != common.as_ref()) {
            self.write(*part, depth + 1, members)?;
        }
        Ok(None)
    }

    /// How many labels the name has that a member marks, if it does.
    fn mark_depth(&self, (source, id): Member) -> Option<u32> {
        match self.meanings[source as usize] {
            Meaning::Marks(depths) => Some(depths.get((id as usize).wrapping_sub(1)).copied().unwrap_or(0)),
            _ => None,
        }
    }

    /// What most parts have, if that is worth a wildcard. A part that must be named can not lend its members to it.
    fn most_common(&self, parts: &[(u128, Vec<Member>)]) -> Option<Vec<Member>> {
        let mut counts: Vec<(usize, &[Member])> = Vec::new();
        for (_, members) in parts {
            if members.iter().any(|&member| self.mark_depth(member).is_some()) {
                continue;
            }
            match counts.iter_mut().find(|(_, known)| known == members) {
                Some((count, _)) => *count += 1,
                None => counts.push((1, members)),
            }
        }
        let (count, members) = counts.into_iter().rev().max_by_key(|&(count, _)| count)?;
        (count >= WILDCARD_PARTS_MIN).then(|| members.to_vec())
    }

    /// A block under the same members all over: as a wildcard, or where that must not be, part by part.
    fn write(&mut self, at: u128, depth: u32, members: &[Member]) -> io::Result<()> {
        if depth == self.shape.labels() || self.shape.may_have_wildcard(at, depth) {
            return self.name(at, depth, members);
        }
        let shape = self.shape;
        let mut parts = (0..1u128 << shape.bits()).map(|part| at | part << shape.bits_behind(depth + 1));
        parts.try_for_each(|part| self.write(part, depth + 1, members))
    }

    /// One name with its records.
    fn name(&mut self, at: u128, depth: u32, members: &[Member]) -> io::Result<()> {
        self.shape.owner(at, depth, &mut self.owner);
        if self.owner.len() + 1 > self.owner_octets_max {
            // Too long for a name, so nobody can ask for it.
            return Ok(());
        }
        self.records.clear();
        let address = match self.shape {
            Shape::Ip4 => Some(at as u32),
            Shape::Ip6 => embedded_ip4(at),
        };
        for &(source, id) in members {
            match &self.meanings[source as usize] {
                Meaning::Values(dataset) => {
                    let subject = match address {
                        Some(address) if dataset.kind().has_ip4() => Subject::Ip4(address),
                        _ => Subject::Ip6(at),
                    };
                    self.records.add(self.zone, Match::Listing(dataset, id, subject));
                }
                Meaning::Fixed(list) => {
                    if let Some(fixed) = list.get((id as usize).wrapping_sub(1)) {
                        fixed.visit(|found| self.records.add(self.zone, found));
                    }
                }
                Meaning::Marks(_) => {}
            }
        }
        self.any = true;
        self.file.records(&self.owner, &self.records)
    }
}
