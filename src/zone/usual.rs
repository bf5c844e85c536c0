//! The usual question, recognised where it stands in the message: four octets of an address and a zone's name.
//!
//! Nearly all questions to an address list are of this form, and for them no label need be walked, counted or copied: the
//! octets are read as they are, and what follows is compared with the names of the few zones at once. Where the form is
//! another one, or the zone's data needs the name itself, nothing is said, and the name is read as every other one.

use super::resolve::{Address, four_octets, ip4_form};
use super::{COMPARED_MAX, Snapshot, Zone};
use crate::dataset::Data;
use crate::wire::name::{BLOCK_LEN, to_lower};

/// Labels of an IPv4 address.
pub(crate) const ADDRESS_LABELS: usize = 4;

/// A zone that the usual question may be about.
#[derive(Debug)]
pub(super) struct UsualZone {
    /// Its name in wire form, the root's zero included and lower case, and zeros behind it.
    name: [u8; BLOCK_LEN],
    /// All bits for each octet of the name, none behind it.
    mask: [u8; BLOCK_LEN],
    /// Octets of the name.
    len: usize,
    /// The zone's number.
    number: usize,
}

/// A usual question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual<'s> {
    /// The zone.
    pub zone: &'s Zone,
    /// Its number.
    pub number: usize,
    /// Octets of the name before the zone's.
    pub start: usize,
    /// Octets of the whole name, the root's zero included.
    pub name_len: usize,
    /// The address.
    pub address: u32,
}

impl Usual<'_> {
    /// What the labels below the zone's say.
    #[inline]
    pub fn form(&self) -> Address {
        ip4_form(self.address, self.start)
    }
}

impl UsualZone {
    /// The zone of this number, if its data are addresses alone, some of them IPv4, and its name is short enough.
    fn new(number: usize, zone: &Zone) -> Option<Self> {
        let addresses =
            |data: &Data| matches!(data, Data::Ip4Set(_) | Data::Ip4Trie(_) | Data::Ip6Tset(_) | Data::Ip6Trie(_));
        let wire = zone.settings.name.wire();
        // Every other zone lies below the root, which no zone counts as its parent.
        let usual =
            zone.label_count > 0 && zone.has_ip4 && zone.datasets.iter().all(|dataset| addresses(dataset.data()));
        if !usual || wire.len() > BLOCK_LEN {
            return None;
        }
        let mut own = Self { name: [0; BLOCK_LEN], mask: [0; BLOCK_LEN], len: wire.len(), number };
        own.name[..wire.len()].copy_from_slice(wire);
        own.mask[..wire.len()].fill(0xff);
        Some(own)
    }

    /// The zones of a snapshot that are so. None where zones are many, so that comparing each would cost more than a
    /// hash, or where one lies below another, so that a name may be in both.
    pub(super) fn all(snapshot: &Snapshot) -> Box<[Self]> {
        if snapshot.nested || snapshot.zones.len() > COMPARED_MAX {
            return Box::default();
        }
        snapshot.zones.iter().enumerate().filter_map(|(number, zone)| Self::new(number, zone)).collect()
    }

    /// Whether octets in any case begin with the zone's name. It ends with the root's zero and so does the name there; as
    /// lengths are below any letter, they are equal only where the labels are.
    #[inline]
    fn begins(&self, octets: &[u8; BLOCK_LEN]) -> bool {
        let mut differing = [0; BLOCK_LEN];
        for (n, differing) in differing.iter_mut().enumerate() {
            *differing = (to_lower(octets[n]) ^ self.name[n]) & self.mask[n];
        }
        differing == [0; BLOCK_LEN]
    }
}

impl Snapshot {
    /// The usual question, if one stands at the beginning of `question`, whose octets need not all belong to the message.
    #[inline]
    pub(crate) fn usual(&self, question: &[u8]) -> Option<Usual<'_>> {
        if self.usual.is_empty() {
            return None;
        }
        let (address, start) = four_octets(question.first_chunk()?)?;
        let octets = question.get(start..)?.first_chunk()?;
        let own = self.usual.iter().find(|own| own.begins(octets))?;
        let name_len = start + own.len;
        Some(Usual { zone: self.zones.get(own.number)?, number: own.number, start, name_len, address })
    }
}

#[cfg(test)]
#[path = "usual_tests.rs"]
mod tests;
