//! Names of a `dnset` or `generic` that are addresses or stand in the way of one.
//!
//! Where such a dataset shares a name with address datasets, its `2.0.0.127` is answered together with their
//! 127.0.0.2, and its `*.2.10` is a block. So they are put on one scale with the addresses: values for whole addresses,
//! and marks where a name exists that a wildcard must not be laid over.

use super::addresses::Shape;
use std::rc::Rc;

use crate::dataset::names::count_labels;
use crate::dataset::ranges::{Prefix, Range, flatten, sort};
use crate::dataset::template::Subject;
use crate::dataset::values::EXCLUDED;
use crate::dataset::{Data, Dataset};
use crate::zone::Match;

/// Both families.
const SHAPES: [Shape; 2] = [Shape::Ip4, Shape::Ip6];

/// What one name says.
pub enum Fixed<'z> {
    /// An entry of a `dnset`: its value's id and its labels.
    Listing(&'z Dataset, u32, Rc<[u8]>),
    /// The records of this name in a `generic`.
    Records(&'z Dataset, Rc<[u8]>),
}

impl<'z> Fixed<'z> {
    /// Its matches.
    pub fn visit<'q>(&'q self, mut visit: impl FnMut(Match<'z, 'q>)) {
        match self {
            Self::Listing(dataset, id, labels) => visit(Match::Listing(dataset, *id, Subject::Name(labels))),
            Self::Records(dataset, labels) => {
                if let Data::Generic(records) = dataset.data() {
                    records.get(labels).into_iter().flatten().for_each(|record| visit(Match::Record(record)));
                }
            }
        }
    }
}

/// Names on the scale of one family.
#[derive(Default)]
pub struct Scale<'z> {
    /// Addresses that names list, ascending, dataset by dataset; ids count the entries of `fixed` from 1.
    pub values: Vec<Vec<Range<u128>>>,
    /// Blocks whose name exists, so that no wildcard of a wider one reaches into them, ascending; each has an id of its
    /// own.
    pub marks: Vec<Range<u128>>,
    /// How many labels the name of each has, by id less 1.
    pub mark_depths: Vec<u32>,
    /// What the names say.
    pub fixed: Vec<Fixed<'z>>,
}

/// Names on the scales of both families.
#[derive(Default)]
pub struct Numeric<'z> {
    /// IPv4.
    ip4: Scale<'z>,
    /// IPv6.
    ip6: Scale<'z>,
}

impl<'z> Numeric<'z> {
    /// Of the names of these datasets.
    pub fn new(datasets: &[&'z Dataset]) -> Self {
        Self { ip4: Scale::new(datasets, Shape::Ip4), ip6: Scale::new(datasets, Shape::Ip6) }
    }

    /// The scale of a family.
    pub fn of(&self, shape: Shape) -> &Scale<'z> {
        match shape {
            Shape::Ip4 => &self.ip4,
            Shape::Ip6 => &self.ip6,
        }
    }
}

/// How many of a name's last labels are labels of an address, and the address that they begin.
fn path(shape: Shape, labels: &[u8]) -> (u32, u128) {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(&len) = labels.get(at) {
        starts.push(at);
        at += usize::from(len) + 1;
    }
    let (mut depth, mut address) = (0, 0);
    for at in starts.into_iter().rev().take(shape.labels() as usize) {
        let label = labels.get(at + 1..at + 1 + usize::from(labels[at])).unwrap_or_default();
        let Some(value) = digit(shape, label) else { break };
        depth += 1;
        address |= value << shape.bits_behind(depth);
    }
    (depth, address)
}

/// What one label of an address says, as it is spelled in a file: no leading zeros.
fn digit(shape: Shape, label: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(label).ok()?;
    match shape {
        Shape::Ip4 => text.parse::<u8>().ok().filter(|octet| octet.to_string() == text).map(u128::from),
        Shape::Ip6 if label.len() == 1 => u128::from_str_radix(text, 16).ok(),
        Shape::Ip6 => None,
    }
}

/// Whether a name is a whole address of either family.
pub fn is_address(labels: &[u8]) -> bool {
    let count = count_labels(labels);
    SHAPES.into_iter().any(|shape| count == shape.labels() as usize && path(shape, labels).0 == shape.labels())
}

/// Whether a name is a part of an address under which addresses may have a wildcard.
pub fn is_block(labels: &[u8]) -> bool {
    let count = count_labels(labels);
    SHAPES.into_iter().any(|shape| {
        let (depth, at) = path(shape, labels);
        depth as usize == count && depth < shape.labels() && shape.may_have_wildcard(at, depth)
    })
}

impl<'z> Scale<'z> {
    /// Of the names of these datasets.
    fn new(datasets: &[&'z Dataset], shape: Shape) -> Self {
        let mut scale = Self::default();
        let mut marks: Vec<Prefix<u128>> = Vec::new();
        for dataset in datasets {
            let mut values: Vec<Prefix<u128>> = Vec::new();
            let mut name = |labels: &[u8], exact: Option<Option<Fixed<'z>>>, below: Option<Option<Fixed<'z>>>| {
                let (depth, first) = path(shape, labels);
                if depth == 0 {
                    return;
                }
                let whole = depth == shape.labels();
                let alone = count_labels(labels) == depth as usize;
                let len = (128 - shape.bits_behind(depth)) as u8;
                // A whole address with something to say is told apart by that.
                if !(whole && alone && matches!(exact, Some(Some(_)))) {
                    scale.mark_depths.push(depth);
                    marks.push(Prefix { first, id: scale.mark_depths.len() as u32, len });
                }
                let value = match (alone, whole) {
                    (true, true) => exact,
                    (true, false) => below,
                    (false, _) => None,
                };
                if let Some(value) = value {
                    let id = value.map_or(EXCLUDED, |fixed| {
                        scale.fixed.push(fixed);
                        scale.fixed.len() as u32
                    });
                    values.push(Prefix { first, id, len });
                }
            };
            match dataset.data() {
                Data::Dnset(names) => {
                    for (labels, hit) in names.canonical() {
                        let labels: Rc<[u8]> = labels.into();
                        let fixed = |id| (id != EXCLUDED).then(|| Fixed::Listing(dataset, id, Rc::clone(&labels)));
                        name(&labels, hit.exact.map(fixed), hit.below.map(fixed));
                    }
                }
                Data::Generic(records) => {
                    for labels in records.names() {
                        let labels: Rc<[u8]> = labels.into();
                        name(&labels, Some(Some(Fixed::Records(dataset, Rc::clone(&labels)))), None);
                    }
                }
                _ => {}
            }
            sort(&mut values, |_, _| {});
            let mut ranges = Vec::new();
            flatten(&values, false, |range| ranges.push(range));
            scale.values.push(ranges);
        }
        sort(&mut marks, |_, _| {});
        flatten(&marks, false, |range| scale.marks.push(range));
        scale
    }
}
