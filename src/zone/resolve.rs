//! A question below a zone's name, and what its datasets say.
//!
//! All datasets of the zone are asked and their answers united. Whether a name without data exists is decided over
//! all of them: a partial address and an empty non-terminal do (RFC 8020), a complete unlisted address does not.

use super::Zone;
use crate::dataset::records::Found;
use crate::dataset::template::Subject;
use crate::dataset::values::EXCLUDED;
use crate::dataset::{Data, Dataset, Part, find_name, lists_below};
use crate::wire::name::QueryName;

/// Whether a name is listed, or at least is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Existence {
    /// No dataset knows of it: NXDOMAIN.
    None,
    /// It is there without data: NODATA.
    Empty,
    /// A `generic` dataset has records for it.
    Records,
    /// A dataset lists it.
    Listed,
}

/// What one dataset has for a name.
#[derive(Clone, Copy, Debug)]
pub enum Match<'s, 'q> {
    /// A listing: the dataset, the id of its value or values, and what `$` stands for in their texts.
    Listing(&'s Dataset, u32, Subject<'q>),
    /// A record of a `generic` dataset.
    Record(&'s Dataset, Found<'s>),
}

/// What an address name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    /// Four octets; each may be a nibble as well, then the IPv6 address that they begin, left-aligned.
    Ip4(u32, Option<u128>),
    /// 32 nibbles.
    Ip6(u128),
    /// Fewer, but what is there is right.
    Partial {
        /// One to three octets.
        octets: bool,
        /// One to 31 nibbles: the address that they begin, left-aligned, and how many they are.
        nibbles: Option<(u128, u32)>,
    },
    /// None.
    No,
}

/// The upper 96 bits of IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const MAPPED: u128 = 0xffff << 32;
/// The upper 16 bits of 6to4 addresses (RFC 3056), left-aligned.
const SIX_TO_FOUR: u128 = 0x2002 << 112;

/// An octet in decimal; leading zeros are accepted, as in rbldnsd.
#[inline]
fn octet(label: &[u8]) -> Option<u32> {
    if label.is_empty() || label.len() > 3 {
        return None;
    }
    let mut value = 0;
    for digit in label {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u32::from(digit - b'0');
    }
    (value <= 255).then_some(value)
}

/// A nibble in hexadecimal; names are in lower case here.
#[inline]
fn nibble(label: &[u8]) -> Option<u128> {
    match label {
        [digit @ b'0'..=b'9'] => Some(u128::from(digit - b'0')),
        [digit @ b'a'..=b'f'] => Some(u128::from(digit - b'a') + 10),
        _ => None,
    }
}

/// The address that the first `count` labels of a name say, reversed (RFC 5782 sections 2.1 and 2.4).
#[inline]
fn address(name: &QueryName, count: usize) -> Address {
    if count == 4 {
        let octets = [octet(name.label(3)), octet(name.label(2)), octet(name.label(1)), octet(name.label(0))];
        if let [Some(a), Some(b), Some(c), Some(d)] = octets {
            return Address::Ip4(a << 24 | b << 16 | c << 8 | d, nibbles(name, 4));
        }
    }
    if count == 0 || count > 32 {
        return Address::No;
    }
    let octets = count < 4 && (0..count).all(|n| octet(name.label(n)).is_some());
    match nibbles(name, count) {
        Some(address) if count == 32 => Address::Ip6(address),
        Some(address) => Address::Partial { octets, nibbles: Some((address, 4 * count as u32)) },
        None if octets => Address::Partial { octets, nibbles: None },
        None => Address::No,
    }
}

/// The address that the first `count` labels of a name begin as nibbles, left-aligned.
#[inline]
fn nibbles(name: &QueryName, count: usize) -> Option<u128> {
    (0..count).try_fold(0, |address, n| Some(address | nibble(name.label(n))? << (128 - 4 * (count - n))))
}

/// Whether the first `count` labels of a name say a complete address.
pub(super) fn is_address(name: &QueryName, count: usize) -> bool {
    matches!(address(name, count), Address::Ip4(..) | Address::Ip6(_))
}

/// The IPv4 address within a mapped or 6to4 one.
pub(crate) fn embedded_ip4(address: u128) -> Option<u32> {
    if address & !0xffff_ffff == MAPPED {
        return Some(address as u32);
    }
    (address >> 112 == SIX_TO_FOUR >> 112).then_some((address >> 80) as u32)
}

/// Whether a mapped or 6to4 address may begin with these bits.
fn may_embed_ip4(address: u128, bits: u32) -> bool {
    let shared = |prefix: u128, prefix_bits: u32| (address ^ prefix) >> (128 - bits.min(prefix_bits)) == 0;
    shared(MAPPED, 96) || shared(SIX_TO_FOUR, 16)
}

impl Zone {
    /// Ask all datasets for the name's first `below` labels, those below the zone's own name. Each match goes to
    /// `visit`.
    #[inline]
    pub fn look_up<'s, 'q>(
        &'s self,
        name: &'q QueryName,
        below: usize,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        let form = address(name, below);
        let mut existence = if below == 0 { Existence::Empty } else { Existence::None };
        for dataset in &self.datasets {
            let found = match dataset.data() {
                Data::Combined(parts) => look_up_parts(parts, name, below, visit),
                _ => look_up_one(dataset, form, name, below, visit),
            };
            existence = existence.max(found);
        }
        existence
    }
}

/// Ask the sections that are mounted closest above the name.
fn look_up_parts<'s, 'q>(
    parts: &'s [Part],
    name: &'q QueryName,
    below: usize,
    visit: &mut impl FnMut(Match<'s, 'q>),
) -> Existence {
    let relative = name.labels(0, below);
    let mut deepest = None;
    let mut existence = Existence::None;
    for mount in parts.iter().flat_map(|part| &part.names) {
        let depth = mount.label_count();
        if depth <= below && name.labels(below - depth, below) == mount.labels() {
            deepest = deepest.max(Some(depth));
        } else if ends_with_labels(mount.labels(), relative) {
            // The name of a mount makes those above it exist.
            existence = Existence::Empty;
        }
    }
    let Some(depth) = deepest else {
        return existence;
    };
    let inner = below - depth;
    if inner == 0 {
        existence = Existence::Empty;
    }
    let mount = name.labels(inner, below);
    let form = address(name, inner);
    for part in parts.iter().filter(|part| part.names.iter().any(|name| name.labels() == mount)) {
        existence = existence.max(look_up_one(&part.dataset, form, name, inner, visit));
    }
    existence
}

/// Whether labels end with all of these others, and are more.
fn ends_with_labels(mut labels: &[u8], end: &[u8]) -> bool {
    while labels.len() > end.len() {
        let Some(rest) = labels.first().and_then(|&len| labels.get(usize::from(len) + 1..)) else {
            return false;
        };
        labels = rest;
        if labels == end {
            return true;
        }
    }
    false
}

/// Ask one dataset.
#[inline]
fn look_up_one<'s, 'q>(
    dataset: &'s Dataset,
    form: Address,
    name: &'q QueryName,
    below: usize,
    visit: &mut impl FnMut(Match<'s, 'q>),
) -> Existence {
    let mut listing = |id: Option<u32>, subject| match id {
        Some(id) if id != EXCLUDED => {
            visit(Match::Listing(dataset, id, subject));
            Existence::Listed
        }
        _ => Existence::None,
    };
    match (dataset.data(), form) {
        (Data::Ip4Set(_) | Data::Ip4Trie(_), Address::Ip4(address, nibbles)) => {
            let found = listing(dataset.find_ip4(address), Subject::Ip4(address));
            // 0.0.0.0 and 2.0.0.2 are complete, and yet mapped and 6to4 addresses lie below them (RFC 8020).
            let embeds = nibbles.is_some_and(|address| may_embed_ip4(address, 16));
            if embeds { found.max(Existence::Empty) } else { found }
        }
        (Data::Ip4Set(_) | Data::Ip4Trie(_), Address::Ip6(address)) => match embedded_ip4(address) {
            Some(address) => listing(dataset.find_ip4(address), Subject::Ip4(address)),
            None => Existence::None,
        },
        (Data::Ip4Set(_) | Data::Ip4Trie(_), Address::Partial { octets, nibbles }) => {
            let embeds = nibbles.is_some_and(|(address, bits)| may_embed_ip4(address, bits));
            if octets || embeds { Existence::Empty } else { Existence::None }
        }
        (Data::Ip6Trie(_) | Data::Ip6Tset(_), Address::Ip6(address)) => {
            listing(dataset.find_ip6(address), Subject::Ip6(address))
        }
        (Data::Ip6Trie(_) | Data::Ip6Tset(_), Address::Partial { nibbles: Some(_), .. } | Address::Ip4(_, Some(_))) => {
            Existence::Empty
        }
        (Data::Dnset(names), _) => {
            if below == 0 {
                return Existence::None;
            }
            let relative = name.labels(0, below);
            let found = find_name(names, relative);
            if let Some(found) = found
                && found.id != EXCLUDED
            {
                return listing(Some(found.id), Subject::Name(found.entry));
            }
            let exists = names.get(relative).is_some_and(|hit| hit.parent)
                || found.is_some_and(|found| found.entry.len() == relative.len()) && lists_below(names, relative);
            if exists { Existence::Empty } else { Existence::None }
        }
        (Data::Generic(records), _) => {
            let Some(found) = records.get(name.labels(0, below)) else {
                return Existence::None;
            };
            let mut existence = Existence::Empty;
            for record in found {
                visit(Match::Record(dataset, record));
                existence = Existence::Records;
            }
            existence
        }
        _ => Existence::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

    #[test]
    fn address_names_are_told_apart() {
        let nibbles = |text: &str| text.chars().map(String::from).collect::<Vec<_>>().join(".");
        let partial = |octets, nibbles| Address::Partial { octets, nibbles };
        let full = nibbles("10000000000000000000000000008bd0");
        for (text, expected) in [
            ("40.3.2.1", Address::Ip4(0x0102_0328, None)),
            ("004.003.2.1", Address::Ip4(0x0102_0304, None)),
            ("1.0.0.2", Address::Ip4(0x0200_0001, Some(0x2001 << 112))),
            ("4.3.2.256", Address::No),
            ("0004.3.2.1", Address::No),
            ("x.4.3.2.1", Address::No),
            ("3.2.1", partial(true, Some((0x123 << 116, 12)))),
            ("30.2.1", partial(true, None)),
            ("f.2.1", partial(false, Some((0x12f << 116, 12)))),
            ("g", Address::No),
            ("test", Address::No),
            (&full[..], Address::Ip6(0x0db8_0000_0000_0000_0000_0000_0000_0001)),
            (&full[2..], partial(false, Some((0x0db8_0000_0000_0000_0000_0000_0000_0000, 124)))),
        ] {
            let name = QueryName::of(&text.parse::<Name>().unwrap());
            assert_eq!(address(&name, name.label_count()), expected, "{text}");
        }
    }

    #[test]
    fn embedded_addresses() {
        assert_eq!(embedded_ip4(0xffff_0102_0304), Some(0x0102_0304));
        assert_eq!(embedded_ip4(0x2002_0102_0304 << 80 | 1), Some(0x0102_0304));
        assert_eq!(embedded_ip4(1), None);
        for (address, bits, expected) in [
            (0, 4, true),
            (0x2u128 << 124, 4, true),
            (0x3u128 << 124, 4, false),
            (0x2001 << 112, 16, false),
            (1 << 48, 96, false),
        ] {
            assert_eq!(may_embed_ip4(address, bits), expected, "{address:x}/{bits}");
        }
    }

    #[test]
    fn names_above_others() {
        for (labels, end, expected) in [
            (&b"\x01a\x01b"[..], &b"\x01b"[..], true),
            (b"\x01a\x01b", b"\x01a", false),
            (b"\x01a\x01b", b"\x01a\x01b", false),
            (b"\x02ab", b"\x01b", false),
        ] {
            assert_eq!(ends_with_labels(labels, end), expected);
        }
    }
}
