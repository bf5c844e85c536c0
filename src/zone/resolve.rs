//! A question below a zone's name, and what its datasets say.
//!
//! All datasets of the zone are asked and their answers united. Whether a name without data exists is decided over
//! all of them: a partial address and an empty non-terminal do (RFC 8020), a complete unlisted address does not.

use super::{Access, Everything, Zone};
use crate::dataset::names::Names;
use crate::dataset::records::Found;
use crate::dataset::template::Subject;
use crate::dataset::values::EXCLUDED;
use crate::dataset::{Data, Dataset, Part, find_name};
use crate::wire::name::{BLOCK_LEN, QueryName};

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
    Record(Found<'s>),
}

/// What a name below a zone's says, if it says an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Four octets; and if each is a nibble as well, the upper 16 bits of the IPv6 addresses that begin so.
    Ip4(u32, Option<u16>),
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

/// How a name looks from the zone, or from the mount of a section.
#[derive(Clone, Copy, Debug)]
struct Relative {
    /// The address that it is there.
    form: Address,
    /// Labels below the zone or the mount.
    below: usize,
    /// No dataset there has IPv4 addresses.
    alone: bool,
}

/// The upper 96 bits of IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const MAPPED: u128 = 0xffff << 32;
/// The upper 16 bits of 6to4 addresses (RFC 3056), left-aligned.
const SIX_TO_FOUR: u128 = 0x2002 << 112;

/// An octet in decimal; leading zeros are accepted, as in rbldnsd.
#[inline]
fn octet(label: &[u8]) -> Option<u32> {
    let digit = |digit: u8| u32::from(digit.wrapping_sub(b'0'));
    let value = match *label {
        [c] if digit(c) <= 9 => digit(c),
        [b, c] if digit(b) <= 9 && digit(c) <= 9 => 10 * digit(b) + digit(c),
        [a, b, c] if digit(a) <= 9 && digit(b) <= 9 && digit(c) <= 9 => 100 * digit(a) + 10 * digit(b) + digit(c),
        _ => return None,
    };
    (value <= 255).then_some(value)
}

/// The first 32 labels as nibbles of an IPv6 address, the first one the lowest.
#[inline]
fn all_nibbles(name: &QueryName) -> Option<u128> {
    let labels = name.octets().first_chunk::<64>()?;
    let (mut address, mut wrong) = (0u128, 0u8);
    for (n, label) in labels.as_chunks::<2>().0.iter().enumerate() {
        // One character a label; names are in lower case here.
        let [len, character] = *label;
        let letter = character.wrapping_sub(b'a');
        let (nibble, is_digit) = (character.wrapping_sub(b'0'), character.is_ascii_digit());
        let value = if is_digit { nibble } else { letter.wrapping_add(10) };
        wrong |= (len ^ 1) | u8::from(!is_digit && letter > 5);
        address |= u128::from(value & 15) << (4 * n);
    }
    (wrong == 0).then_some(address)
}

/// The four labels that a name begins with as octets of an IPv4 address, the first one the lowest, and the octets they
/// take.
#[inline(always)]
pub(super) fn four_octets(head: &[u8; BLOCK_LEN]) -> Option<(u32, usize)> {
    let (mut at, mut address) = (0, 0);
    let (mut no_digit, mut too_large) = (0, 0);
    for _ in 0..4 {
        let word = u32::from_be_bytes(*head.get(at..)?.first_chunk()?);
        let len = word >> 24;
        if !matches!(len, 1..=3) {
            return None;
        }
        // Hundreds, tens and ones in three octets: `0` to `9` become 0 to 9, any other character more, and what is
        // missing in front is 0.
        let digits = (word ^ 0x30_3030) << 8 >> (32 - 8 * len);
        // Adding 6 carries an octet over 9 into its upper half, or it was there before.
        no_digit |= (digits + 0x06_0606) | digits;
        // Negative above 2, 5, 5.
        too_large |= 0x02_0505u32.wrapping_sub(digits);
        // Ones, tens and hundreds times 1, 10 and 100 meet in the uppermost octet.
        let value = digits.swap_bytes().wrapping_mul(1 | 10 << 8 | 100 << 16) & 0xff00_0000;
        address = address >> 8 | value;
        at += 1 + len as usize;
    }
    (no_digit & 0xf0_f0f0 == 0 && too_large >> 31 == 0).then_some((address, at))
}

/// The form of four labels of so many octets that are this address.
#[inline]
pub(super) fn ip4_form(address: u32, octets: usize) -> Address {
    // Each label is one digit when they take two octets each.
    if octets != 8 {
        return Address::Ip4(address, None);
    }
    let [a, b, c, d] = address.to_be_bytes().map(u16::from);
    Address::Ip4(address, Some(a << 12 | b << 8 | c << 4 | d))
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
pub(crate) fn address(name: &QueryName, count: usize) -> Address {
    if count == 4
        && let Some((address, octets)) = four_octets(name.head())
    {
        return ip4_form(address, octets);
    }
    if count == 32
        && let Some(address) = all_nibbles(name)
    {
        return Address::Ip6(address);
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

/// Whether it is a complete address.
pub(super) fn is_address(form: Address) -> bool {
    matches!(form, Address::Ip4(..) | Address::Ip6(_))
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
    pub fn look_up<'s, 'q>(
        &'s self,
        name: &'q QueryName,
        below: usize,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        self.look_up_form(name, below, &address(name, below), visit)
    }

    /// The same, where it is known what the labels say.
    #[inline]
    fn look_up_form<'s, 'q>(
        &'s self,
        name: &'q QueryName,
        below: usize,
        form: &Address,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        match *form {
            Address::Ip4(address, None) => self.look_up_ip4(name, below, address, visit),
            form => self.look_up_any(name, below, form, visit),
        }
    }

    /// The same for an IPv4 address that is nothing else: what most ask most lists.
    #[inline]
    fn look_up_ip4<'s, 'q>(
        &'s self,
        name: &'q QueryName,
        below: usize,
        address: u32,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        let mut existence = Existence::None;
        for dataset in &self.datasets {
            let id = match dataset.data() {
                Data::Ip4Set(set) => set.get(address),
                Data::Ip4Trie(trie) => trie.get(address),
                Data::Ip6Trie(_) | Data::Ip6Tset(_) => None,
                _ => {
                    let found = self.look_up_other(dataset, name, below, Address::Ip4(address, None), visit);
                    existence = existence.max(found);
                    continue;
                }
            };
            if let Some(id) = id.filter(|&id| id != EXCLUDED) {
                visit(Match::Listing(dataset, id, Subject::Ip4(address)));
                existence = Existence::Listed;
            }
        }
        existence
    }

    /// The same for one dataset of any type.
    #[inline(never)]
    fn look_up_other<'s, 'q>(
        &'s self,
        dataset: &'s Dataset,
        name: &'q QueryName,
        below: usize,
        form: Address,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        let mut one = |dataset, place| look_up_one(dataset, place, name, visit);
        match dataset.data() {
            Data::Combined(parts) => ask_parts(parts, name, below, &mut one),
            _ => one(dataset, Relative { form, below, alone: !self.has_ip4 }),
        }
    }

    /// The same whatever the labels say.
    #[inline(never)]
    fn look_up_any<'s, 'q>(
        &'s self,
        name: &'q QueryName,
        below: usize,
        form: Address,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        self.ask(name, below, form, |dataset, place| look_up_one(dataset, place, name, visit))
    }

    /// As [`Zone::look_up`], as far as the access lists let the client see, where it is known what the labels say.
    #[inline]
    pub(crate) fn look_up_for<'s, 'q>(
        &'s self,
        access: &Access<'s>,
        name: &'q QueryName,
        below: usize,
        form: &Address,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        match access {
            Access::Open => self.look_up_form(name, below, form, visit),
            Access::Listed(everything) => self.look_up_instead(name, below, *form, Some(*everything), visit),
            Access::Empty | Access::Refuse | Access::Ignore => self.look_up_instead(name, below, *form, None, visit),
        }
    }

    /// As [`Zone::look_up`] with everything listed, or nothing: the lists' entries do not count, while the records of
    /// `generic` datasets do (rbldnsd.8, "acl Dataset").
    #[cold]
    fn look_up_instead<'s, 'q>(
        &'s self,
        name: &'q QueryName,
        below: usize,
        form: Address,
        everything: Option<Everything<'s>>,
        visit: &mut impl FnMut(Match<'s, 'q>),
    ) -> Existence {
        let mut listed = false;
        let existence = self.ask(name, below, form, |dataset, place| match dataset.data() {
            Data::Generic(_) => look_up_one(dataset, place, name, visit),
            _ if everything.is_some() && could_list(dataset, place) => {
                listed = true;
                Existence::Listed
            }
            // It lists other names, but they do not say which.
            Data::Dnset(_) => Existence::None,
            _ => match place.form {
                // A partial address is there with any list, an empty one too.
                Address::Partial { .. } => look_up_one(dataset, place, name, &mut |_| {}),
                Address::Ip4(..) if place.alone => look_up_one(dataset, place, name, &mut |_| {}),
                _ => Existence::None,
            },
        });
        if let Some(everything) = everything.filter(|_| listed) {
            visit(Match::Listing(everything.list, everything.id, everything.subject()));
        }
        existence
    }

    /// Ask each dataset, or those of its sections that are mounted closest above the name, what it knows.
    #[inline]
    fn ask<'s>(
        &'s self,
        name: &QueryName,
        below: usize,
        form: Address,
        mut one: impl FnMut(&'s Dataset, Relative) -> Existence,
    ) -> Existence {
        let mut existence = if below == 0 { Existence::Empty } else { Existence::None };
        for dataset in &self.datasets {
            let found = match dataset.data() {
                Data::Combined(parts) => ask_parts(parts, name, below, &mut one),
                _ => one(dataset, Relative { form, below, alone: !self.has_ip4 }),
            };
            existence = existence.max(found);
        }
        existence
    }
}

/// Whether a dataset is asked for names of this form at all, whatever it lists.
fn could_list(dataset: &Dataset, place: Relative) -> bool {
    match (dataset.data(), place.form) {
        (Data::Ip4Set(_) | Data::Ip4Trie(_), Address::Ip4(..)) => true,
        (Data::Ip4Set(_) | Data::Ip4Trie(_), Address::Ip6(address)) => embedded_ip4(address).is_some(),
        (Data::Ip6Trie(_) | Data::Ip6Tset(_), Address::Ip6(_)) => true,
        (Data::Dnset(_), _) => place.below > 0,
        _ => false,
    }
}

impl Zone {
    /// Bring what [`Zone::look_up`] will look at first into the cache. Sections of `combined` are left out: they are
    /// many, and only one of them will be asked.
    #[inline]
    pub(crate) fn prefetch(&self, name: &QueryName, below: usize, form: &Address) {
        for dataset in &self.datasets {
            match (dataset.data(), form) {
                (Data::Ip4Set(set), &Address::Ip4(address, _)) => set.prefetch(address),
                (Data::Ip4Trie(trie), &Address::Ip4(address, _)) => trie.prefetch(address),
                (Data::Ip6Trie(trie), &Address::Ip6(address)) => trie.prefetch(address),
                (Data::Dnset(names), _) if below > 0 => prefetch_name(names, name, below),
                _ => {}
            }
        }
    }

    /// The same for an IPv4 address in a zone of addresses alone.
    #[inline]
    pub(crate) fn prefetch_ip4(&self, address: u32) {
        for dataset in &self.datasets {
            match dataset.data() {
                Data::Ip4Set(set) => set.prefetch(address),
                Data::Ip4Trie(trie) => trie.prefetch(address),
                _ => {}
            }
        }
    }
}

/// Bring what a `dnset` has of a name's first labels into the cache. A function of its own, so that those who ask for
/// addresses do not prepare for it.
#[inline(never)]
fn prefetch_name(names: &Names, name: &QueryName, below: usize) {
    names.prefetch(name.labels(0, below));
}

/// Ask the sections that are mounted closest above the name.
#[inline(never)]
fn ask_parts<'s>(
    parts: &'s [Part],
    name: &QueryName,
    below: usize,
    one: &mut impl FnMut(&'s Dataset, Relative) -> Existence,
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
    let mounted = || parts.iter().filter(|part| part.names.iter().any(|name| name.labels() == mount));
    let place = Relative { form, below: inner, alone: !mounted().any(|part| part.dataset.kind().has_ip4()) };
    for part in mounted() {
        existence = existence.max(one(&part.dataset, place));
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
    place: Relative,
    name: &'q QueryName,
    visit: &mut impl FnMut(Match<'s, 'q>),
) -> Existence {
    let Relative { form, below, alone } = place;
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
            let embeds = nibbles.is_some_and(|top| may_embed_ip4(u128::from(top) << 112, 16));
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
        (Data::Ip6Trie(_) | Data::Ip6Tset(_), Address::Partial { nibbles: Some(_), .. }) => Existence::Empty,
        // `1.0.0.2` is 2.0.0.1 and the beginning of 2001::/16. Beside an IPv4 list it is a complete address, and there
        // only if something is below it.
        (Data::Ip6Trie(_) | Data::Ip6Tset(_), Address::Ip4(_, Some(top))) => {
            let first = u128::from(top) << 112;
            if alone || dataset.any_ip6(first, first | u128::MAX >> 16) { Existence::Empty } else { Existence::None }
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
            // What a wildcard above lists below a name makes it no more exist than rbldnsd has it.
            let exists = names.get(relative).is_some_and(|hit| hit.parent);
            if exists { Existence::Empty } else { Existence::None }
        }
        (Data::Generic(records), _) => {
            let Some(found) = records.get(name.labels(0, below)) else {
                return Existence::None;
            };
            let mut existence = Existence::Empty;
            for record in found {
                visit(Match::Record(record));
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
            ("4.3.2.1", Address::Ip4(0x0102_0304, Some(0x1234))),
            ("4.30.2.1", Address::Ip4(0x0102_1e04, None)),
            ("004.003.2.1", Address::Ip4(0x0102_0304, None)),
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
