//! What is asked: addresses and names that are listed, that are not, and the datagrams that ask.
//!
//! Misses are near misses as far as the list allows: the neighbour of a listed host, the address behind a
//! prefix, a listed name with one letter changed. An address from empty space would be refused by the first
//! index word and flatter the figure.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use dnsbld::dataset::Dataset;
use dnsbld::wire::name::Name;

use crate::lists::Rng;
use crate::suite::{ZONE, fail};

/// Query type A (RFC 1035 section 3.2.2).
pub const A: u16 = 1;
/// Query type SOA.
pub const SOA: u16 = 6;
/// Query type TXT.
pub const TXT: u16 = 16;

/// Something that can be listed.
pub trait Subject: Clone {
    /// Whether the dataset lists it.
    fn listed(&self, dataset: &Dataset) -> bool;
    /// Append the labels that stand before the zone's name when it is asked for.
    fn labels(&self, out: &mut Vec<u8>);
}

/// An IPv4 address.
impl Subject for u32 {
    fn listed(&self, dataset: &Dataset) -> bool {
        dataset.lists_address(Ipv4Addr::from_bits(*self).into())
    }

    fn labels(&self, out: &mut Vec<u8>) {
        for octet in self.to_le_bytes() {
            let text = octet.to_string();
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// An IPv6 address.
impl Subject for u128 {
    fn listed(&self, dataset: &Dataset) -> bool {
        dataset.lists_address(Ipv6Addr::from_bits(*self).into())
    }

    fn labels(&self, out: &mut Vec<u8>) {
        for i in 0..32 {
            let nibble = (self >> (4 * i)) as u8 & 15;
            out.extend_from_slice(&[1, b"0123456789abcdef"[usize::from(nibble)]]);
        }
    }
}

/// A name relative to the zone.
impl Subject for Name {
    fn listed(&self, dataset: &Dataset) -> bool {
        dataset.lists_name(self)
    }

    fn labels(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(Name::labels(self));
    }
}

/// Subjects to ask about, each list equally long and in random order.
#[derive(Debug)]
pub struct Subjects<T> {
    /// Listed ones.
    pub hits: Vec<T>,
    /// Others.
    pub misses: Vec<T>,
    /// Half and half.
    pub mixed: Vec<T>,
}

impl<T: Subject> Subjects<T> {
    /// Put hits and misses of the same number together.
    fn new(hits: Vec<T>, misses: Vec<T>, rng: &mut Rng) -> Self {
        let half = hits.len() / 2;
        let mut mixed: Vec<T> = hits[..half].iter().chain(&misses[half..]).cloned().collect();
        rng.shuffle(&mut mixed);
        // Once more, so that what lies behind the subjects lies in the order of asking.
        let mixed = mixed.clone();
        Self { hits, misses, mixed }
    }
}

/// `n` questions about a sorted host list.
pub fn about_hosts(hosts: &[u32], n: usize) -> Subjects<u32> {
    let mut rng = Rng::new(11);
    let hits = (0..n).map(|_| *rng.pick(hosts)).collect();
    let misses = fill(n, || {
        let near = rng.pick(hosts) & 0xffff_0000 | rng.below(65536) as u32;
        hosts.binary_search(&near).is_err().then_some(near)
    });
    Subjects::new(hits, misses, &mut rng)
}

/// `n` questions about IPv4 prefixes.
pub fn about_prefixes_v4(prefixes: &[(u32, u8)], n: usize) -> Subjects<u32> {
    let mut rng = Rng::new(12);
    let ranges = Ranges::of_prefixes_v4(prefixes);
    let hits = (0..n)
        .map(|_| {
            let &(base, length) = rng.pick(prefixes);
            base | rng.below(1 << (32 - length)) as u32
        })
        .collect();
    let misses = fill(n, || {
        let &(base, length) = rng.pick(prefixes);
        let behind = (u64::from(base) + (1 << (32 - length)) + rng.below(65536)) as u32;
        (!ranges.contain(behind.into())).then_some(behind)
    });
    Subjects::new(hits, misses, &mut rng)
}

/// `n` questions about IPv6 prefixes.
pub fn about_prefixes_v6(prefixes: &[(u128, u8)], n: usize) -> Subjects<u128> {
    let mut rng = Rng::new(13);
    let ranges = Ranges::new(
        prefixes.iter().map(|&(base, length)| (base, base | u128::MAX.checked_shr(length.into()).unwrap_or(0))),
    );
    let below = |rng: &mut Rng, length: u8| {
        let bits = u128::from(rng.bits()) << 64 | u128::from(rng.bits());
        bits & u128::MAX.checked_shr(length.into()).unwrap_or(0)
    };
    let hits = (0..n)
        .map(|_| {
            let &(base, length) = rng.pick(prefixes);
            base | below(&mut rng, length)
        })
        .collect();
    let misses = fill(n, || {
        let &(base, length) = rng.pick(prefixes);
        let flipped = base ^ 1 << (128 - u64::from(length) + rng.below(8)) | below(&mut rng, length);
        (!ranges.contain(flipped)).then_some(flipped)
    });
    Subjects::new(hits, misses, &mut rng)
}

/// `n` questions about names.
pub fn about_names(names: &[String], n: usize) -> Subjects<Name> {
    let mut rng = Rng::new(14);
    let listed: HashSet<&str> = names.iter().map(String::as_str).collect();
    let parse = |text: &str| text.parse::<Name>().unwrap_or_else(|error| fail(&format!("{text}: {error}")));
    let hits = (0..n).map(|_| parse(rng.pick(names).as_str())).collect();
    let misses = fill(n, || {
        let mut name = rng.pick(names).clone().into_bytes();
        let at = rng.below(name.len() as u64 - 4) as usize;
        if name[at] == b'.' {
            return None;
        }
        name[at] = b'a' + rng.below(26) as u8;
        let name = String::from_utf8(name).ok()?;
        // Neither it nor a name above it, which a list of wildcards would find.
        let dots = name.match_indices('.').map(|(dot, _)| dot + 1);
        let above = std::iter::once(0).chain(dots).any(|start| listed.contains(&name[start..]));
        (!above).then(|| parse(&name))
    });
    Subjects::new(hits, misses, &mut rng)
}

/// Call `next` until it has given `n` items; ends the program when hardly anything comes.
fn fill<T>(n: usize, mut next: impl FnMut() -> Option<T>) -> Vec<T> {
    let mut items = Vec::with_capacity(n);
    for _ in 0..n * 1000 {
        if items.len() == n {
            return items;
        }
        items.extend(next());
    }
    fail("the list leaves no room for misses")
}

/// Disjoint ranges, sorted: what the misses are checked against.
#[derive(Debug)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// Merge ranges that come sorted by their first address.
    fn new(sorted: impl Iterator<Item = (u128, u128)>) -> Self {
        let mut merged: Vec<(u128, u128)> = Vec::new();
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(open) if first <= open.1 => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// What sorted IPv4 prefixes cover.
    pub fn of_prefixes_v4(prefixes: &[(u32, u8)]) -> Self {
        Self::new(prefixes.iter().map(|&(base, length)| {
            let hosts = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            (base.into(), (base | hosts).into())
        }))
    }

    /// Whether an address is in one of them.
    pub fn contain(&self, address: u128) -> bool {
        let at = self.0.partition_point(|&(first, _)| first <= address);
        at > 0 && self.0[at - 1].1 >= address
    }
}

/// Query datagrams, one after the other in one array.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// Their octets.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Datagrams {
    /// One for each subject: `subject.ZONE`, recursion desired as resolvers' forwarders send it.
    pub fn about<T: Subject>(subjects: &[T], qtype: u16, edns: bool) -> Self {
        let mut datagrams = Self::default();
        let mut labels = Vec::new();
        for subject in subjects {
            labels.clear();
            subject.labels(&mut labels);
            datagrams.push(&labels, ZONE, qtype, edns);
        }
        datagrams
    }

    /// `n` times the same question about a zone's own name.
    pub fn apex(zone: &str, qtype: u16, n: usize) -> Self {
        let mut datagrams = Self::default();
        (0..n).for_each(|_| datagrams.push(&[], zone, qtype, false));
        datagrams
    }

    /// Append one (RFC 1035 section 4.1; OPT with 1232 octets and DO, RFC 6891 section 6.1).
    fn push(&mut self, labels: &[u8], zone: &str, qtype: u16, edns: bool) {
        let id = (self.ends.len() as u16).to_be_bytes();
        self.bytes.extend_from_slice(&[id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
        self.bytes.extend_from_slice(labels);
        for label in zone.split('.') {
            self.bytes.push(label.len() as u8);
            self.bytes.extend_from_slice(label.as_bytes());
        }
        self.bytes.push(0);
        self.bytes.extend_from_slice(&qtype.to_be_bytes());
        self.bytes.extend_from_slice(&[0, 1]);
        if edns {
            self.bytes.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0]);
        }
        self.ends.push(self.bytes.len() as u32);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each in turn.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let datagram = &self.bytes[start..end as usize];
            start = end as usize;
            datagram
        })
    }
}
