//! Every address dataset against a naive scan of its entries, and longest prefix against another crate's trie.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use proptest::prelude::*;

use super::entry::{Entry, EntryText, EntryValue, Key};
use super::values::EXCLUDED;
use super::{Builder, Dataset, Kind};

/// An IPv4 range with a value from 1 to 3, or an exclusion.
#[derive(Clone, Copy, Debug)]
struct Line4 {
    /// First address.
    first: u32,
    /// Last address.
    last: u32,
    /// Last octet of the answer; 0 excludes.
    value: u8,
}

/// An IPv6 prefix likewise.
#[derive(Clone, Copy, Debug)]
struct Line6 {
    /// The prefix.
    net: Ipv6Net,
    /// Last octet of the answer; 0 excludes.
    value: u8,
}

/// IPv4 addresses that meet often: few octets, near borders.
fn address4() -> impl Strategy<Value = u32> {
    let octet = || prop_oneof![Just(0u32), Just(1), Just(2), Just(127), Just(128), Just(254), Just(255)];
    (prop_oneof![Just(0u32), Just(10), Just(11), Just(255)], octet(), octet(), octet())
        .prop_map(|(a, b, c, d)| a << 24 | b << 16 | c << 8 | d)
}

/// An IPv4 prefix as a range.
fn prefix4() -> impl Strategy<Value = (u32, u32)> {
    (address4(), 0u32..=32).prop_map(|(address, len)| {
        let host_bits = u32::MAX.checked_shr(len).unwrap_or(0);
        (address & !host_bits, address | host_bits)
    })
}

/// An IPv4 range that `ip4set` can be asked to take: not so wide that the naive scan never ends.
fn range4() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        4 => prefix4(),
        2 => address4().prop_map(|address| (address, address)),
        2 => (address4(), 0u32..70_000).prop_map(|(first, len)| (first, first.saturating_add(len))),
        1 => (address4(), address4()).prop_map(|(a, b)| (a.min(b), a.max(b))),
    ]
}

/// Lines over IPv4 ranges.
fn lines4(range: impl Strategy<Value = (u32, u32)>) -> impl Strategy<Value = Vec<Line4>> {
    prop::collection::vec((range, 0u8..4).prop_map(|((first, last), value)| Line4 { first, last, value }), 0..14)
}

/// IPv6 addresses that meet often.
fn address6() -> impl Strategy<Value = u128> {
    let word = || prop_oneof![Just(0u128), Just(1), Just(0x8000), Just(0xffff)];
    (prop_oneof![Just(0u128), Just(0x2001), Just(0xffff)], prop::array::uniform7(word()))
        .prop_map(|(top, words)| words.into_iter().fold(top, |address, word| address << 16 | word))
}

/// Lines over IPv6 prefixes.
fn lines6() -> impl Strategy<Value = Vec<Line6>> {
    let len = prop_oneof![Just(0u8), 1u8..=128, Just(32), Just(48), Just(64), Just(65), Just(128)];
    let net = (address6(), len).prop_map(|(address, len)| Ipv6Net::new(address.into(), len).unwrap().trunc());
    prop::collection::vec((net, 0u8..4).prop_map(|(net, value)| Line6 { net, value }), 0..14)
}

/// The value of a line.
fn value(value: u8) -> EntryValue<'static> {
    EntryValue { a: Some(Ipv4Addr::new(127, 0, 0, value)), text: EntryText::Empty }
}

/// Freeze IPv4 lines.
fn dataset4(kind: Kind, lines: &[Line4]) -> Dataset {
    let mut builder = Builder::new(kind);
    for line in lines {
        let host_bits = line.first ^ line.last;
        let key = if (host_bits.wrapping_add(1) & host_bits) == 0 && line.first & host_bits == 0 {
            Key::Ip4Net(Ipv4Net::new(line.first.into(), host_bits.leading_zeros() as u8).unwrap())
        } else {
            Key::Ip4Range(line.first.into(), line.last.into())
        };
        builder.add(&Entry { key, excluded: line.value == 0, value: value(line.value) }).unwrap();
    }
    builder.freeze(&mut |_| {})
}

/// Freeze IPv6 lines.
fn dataset6(lines: &[Line6]) -> Dataset {
    let mut builder = Builder::new(Kind::Ip6Trie);
    for line in lines {
        builder
            .add(&Entry { key: Key::Ip6Net(line.net), excluded: line.value == 0, value: value(line.value) })
            .unwrap();
    }
    builder.freeze(&mut |_| {})
}

/// The answers behind an id.
fn answers(dataset: &Dataset, id: Option<u32>) -> BTreeSet<u8> {
    id.filter(|&id| id != EXCLUDED)
        .into_iter()
        .flat_map(|id| dataset.values().members(id))
        .map(|id| dataset.values().get(id).0[3])
        .collect()
}

/// Going through a dataset tells what searching it finds: ranges ascend, hold what they say, and leave nothing out.
fn check_ranges4(dataset: &Dataset) {
    let (mut next, mut covered) = (0u64, 0u64);
    let unlisted = |address: u64| {
        let found = u32::try_from(address).ok().and_then(|address| dataset.find_ip4(address));
        assert!(found.is_none_or(|id| id == EXCLUDED), "{address:x} is left out");
    };
    for range in dataset.ranges4() {
        let (first, last) = (u64::from(range.first), u64::from(range.last));
        assert!(next <= first && first <= last, "{first:x} does not ascend");
        if next < first {
            unlisted(next);
            unlisted(first - 1);
        }
        assert_eq!(dataset.find_ip4(range.first), Some(range.id), "{first:x}");
        if first < last {
            assert_eq!(dataset.find_ip4(range.last), Some(range.id), "{last:x}");
        }
        next = last + 1;
        covered += next - first;
    }
    unlisted(next);
    assert_eq!(covered > 0, dataset.lists_any(IpNet::V4(Ipv4Net::default())));
}

/// What `ip4set` answers, by its definition: the widest octet block around the address within each range, then all
/// entries of the narrowest such level, an exclusion among them killing all.
fn naive_set(lines: &[Line4], address: u32) -> BTreeSet<u8> {
    let level = |line: &Line4| {
        [8u32, 16, 24, 32].into_iter().find(|&len| {
            let host_bits = u32::MAX.checked_shr(len).unwrap_or(0);
            address & !host_bits >= line.first && address | host_bits <= line.last
        })
    };
    let Some(finest) = lines.iter().filter_map(level).max() else { return BTreeSet::new() };
    let deciding: BTreeSet<u8> =
        lines.iter().filter(|line| level(line) == Some(finest)).map(|line| line.value).collect();
    if deciding.contains(&0) { BTreeSet::new() } else { deciding }
}

/// What a trie answers, by its definition: the first of the longest prefixes around the address.
fn naive_trie(lines: &[(u128, u128, u8)], address: u128) -> BTreeSet<u8> {
    let mut best: Option<&(u128, u128, u8)> = None;
    for line in lines.iter().filter(|(first, last, _)| (*first..=*last).contains(&address)) {
        if best.is_none_or(|(first, last, _)| line.1 - line.0 < last - first) {
            best = Some(line);
        }
    }
    best.map(|line| line.2).filter(|&value| value != 0).into_iter().collect()
}

/// Both ends of each range, their neighbours, and what else is asked.
fn probes4(lines: &[Line4], more: &[u32]) -> Vec<u32> {
    let ends = lines.iter().flat_map(|line| [line.first, line.last]);
    ends.chain(more.iter().copied()).flat_map(|a| [a.wrapping_sub(1), a, a.wrapping_add(1)]).collect()
}

/// Whether any address of a block is listed, found by trying every address where an answer can change.
fn naive_any(
    first: u128,
    last: u128,
    borders: impl Iterator<Item = (u128, u128)>,
    lists: impl Fn(u128) -> bool,
) -> bool {
    let mut tried: BTreeSet<u128> = [first].into();
    for (a, b) in borders {
        tried.extend([a, b.saturating_add(1)]);
    }
    tried.range(first..=last).any(|&address| lists(address))
}

/// Where the answer of an `ip4set` can change within a range: at its ends and at the borders of octet blocks.
fn set_borders(line: &Line4) -> impl Iterator<Item = (u128, u128)> {
    let (first, last) = (u128::from(line.first), u128::from(line.last));
    let inner = [8u32, 16, 24].into_iter().flat_map(move |bits| {
        let block = 1u128 << bits;
        [(first.next_multiple_of(block), last + 1 - (last + 1) % block)]
    });
    inner.flat_map(|(a, b)| [(a, a), (b, b.saturating_sub(1))]).chain([(first, last)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn ip4set_is_as_defined(lines in lines4(range4()), more in prop::collection::vec(address4(), 8), block in prefix4()) {
        let dataset = dataset4(Kind::Ip4Set, &lines);
        for address in probes4(&lines, &more) {
            prop_assert_eq!(answers(&dataset, dataset.find_ip4(address)), naive_set(&lines, address), "{}", Ipv4Addr::from(address));
        }
        let (first, last) = block;
        let net = Ipv4Net::new(first.into(), (first ^ last).leading_zeros() as u8).unwrap();
        let any = naive_any(first.into(), last.into(), lines.iter().flat_map(set_borders), |address| {
            u32::try_from(address).is_ok_and(|address| !naive_set(&lines, address).is_empty())
        });
        prop_assert_eq!(dataset.lists_any(IpNet::V4(net)), any, "{}", net);
    }

    #[test]
    fn ip4trie_is_as_defined(lines in lines4(prefix4()), more in prop::collection::vec(address4(), 8), block in prefix4()) {
        let dataset = dataset4(Kind::Ip4Trie, &lines);
        let wide: Vec<_> = lines.iter().map(|l| (u128::from(l.first), u128::from(l.last), l.value)).collect();
        // The other crate's map: the first of equal prefixes counts here, so it goes in last.
        let mut map = PrefixMap::<Ipv4Net, u8>::new();
        for line in lines.iter().rev() {
            map.insert(Ipv4Net::new(line.first.into(), (line.first ^ line.last).leading_zeros() as u8).unwrap(), line.value);
        }
        for address in probes4(&lines, &more) {
            let found = answers(&dataset, dataset.find_ip4(address));
            prop_assert_eq!(&found, &naive_trie(&wide, address.into()), "{}", Ipv4Addr::from(address));
            let other = map.get_lpm(&Ipv4Net::new(address.into(), 32).unwrap()).map(|(_, &value)| value);
            prop_assert_eq!(found, other.filter(|&value| value != 0).into_iter().collect());
        }
        let (first, last) = block;
        let net = Ipv4Net::new(first.into(), (first ^ last).leading_zeros() as u8).unwrap();
        let any = naive_any(first.into(), last.into(), wide.iter().map(|l| (l.0, l.1)), |address| !naive_trie(&wide, address).is_empty());
        prop_assert_eq!(dataset.lists_any(IpNet::V4(net)), any, "{}", net);
    }

    #[test]
    fn ip6trie_is_as_defined(lines in lines6(), more in prop::collection::vec(address6(), 8), block in (address6(), 0u8..=128)) {
        let dataset = dataset6(&lines);
        let wide: Vec<_> = lines.iter().map(|l| (l.net.network().into(), l.net.broadcast().into(), l.value)).collect();
        let mut map = PrefixMap::<Ipv6Net, u8>::new();
        for line in lines.iter().rev() {
            map.insert(line.net, line.value);
        }
        let ends = wide.iter().flat_map(|&(first, last, _): &(u128, u128, u8)| [first, last]);
        for address in ends.chain(more).flat_map(|a| [a.wrapping_sub(1), a, a.wrapping_add(1)]) {
            let id = dataset.find_ip6(address);
            let inside = dataset.ranges6().find(|range| (range.first..=range.last).contains(&address));
            prop_assert_eq!(inside.map(|range| range.id), id.filter(|&id| id != EXCLUDED));
            let found = answers(&dataset, id);
            prop_assert_eq!(&found, &naive_trie(&wide, address), "{}", Ipv6Addr::from(address));
            let other = map.get_lpm(&Ipv6Net::new(address.into(), 128).unwrap()).map(|(_, &value)| value);
            prop_assert_eq!(found, other.filter(|&value| value != 0).into_iter().collect());
        }
        let net = Ipv6Net::new(block.0.into(), block.1).unwrap().trunc();
        let any = naive_any(net.network().into(), net.broadcast().into(), wide.iter().map(|l| (l.0, l.1)), |address| {
            !naive_trie(&wide, address).is_empty()
        });
        prop_assert_eq!(dataset.lists_any(IpNet::V6(net)), any, "{}", net);
    }

    #[test]
    fn tsets_are_sets(hosts in prop::collection::vec(address4(), 0..30), networks in prop::collection::vec(address6(), 0..10),
        exceptions in prop::collection::vec(address6(), 0..10), more4 in prop::collection::vec(address4(), 8), more6 in prop::collection::vec(address6(), 8), len in 0u8..=128) {
        let mut builder = Builder::new(Kind::Ip4Tset);
        for &host in &hosts {
            let key = Key::Ip4Net(Ipv4Net::new(host.into(), 32).unwrap());
            builder.add(&Entry { key, excluded: false, value: value(9) }).unwrap();
        }
        let set = builder.freeze(&mut |_| {});
        for address in hosts.iter().copied().chain(more4).flat_map(|a| [a.wrapping_sub(1), a, a.wrapping_add(1)]) {
            // One value for all: the default, as there was no default line.
            let expected: BTreeSet<u8> = hosts.contains(&address).then_some(2).into_iter().collect();
            prop_assert_eq!(answers(&set, set.find_ip4(address)), expected);
        }
        let mut builder = Builder::new(Kind::Ip6Tset);
        for &address in &networks {
            let net = Ipv6Net::new(address.into(), 64).unwrap().trunc();
            builder.add(&Entry { key: Key::Ip6Net(net), excluded: false, value: value(9) }).unwrap();
        }
        for &address in &exceptions {
            let key = Key::Ip6Net(Ipv6Net::new(address.into(), 128).unwrap());
            builder.add(&Entry { key, excluded: true, value: value(9) }).unwrap();
        }
        let set = builder.freeze(&mut |_| {});
        let lists = |address: u128| networks.iter().any(|n| n >> 64 == address >> 64) && !exceptions.contains(&address);
        let all = networks.iter().chain(&exceptions).chain(&more6).copied();
        for address in all.flat_map(|a| [a.wrapping_sub(1), a, a.wrapping_add(1), a | u128::from(u64::MAX)]) {
            prop_assert_eq!(set.lists_address(Ipv6Addr::from(address).into()), lists(address));
            let told = set.ranges6().any(|range| (range.first..=range.last).contains(&address));
            prop_assert_eq!(told, lists(address));
        }
        let net = Ipv6Net::new(more6[0].into(), len).unwrap().trunc();
        let borders = networks.iter().map(|n| (n >> 64 << 64, n | u128::from(u64::MAX))).chain(exceptions.iter().map(|&e| (e, e)));
        let any = naive_any(net.network().into(), net.broadcast().into(), borders, lists);
        prop_assert_eq!(set.lists_any(IpNet::V6(net)), any, "{}", net);
    }
}

/// A sequence that looks random and is the same each time (xorshift).
fn pseudo_random(mut state: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

/// Large lists take the strided forms; these are checked against another crate's map and a plain set.
#[test]
fn large_lists_take_strides_and_stay_right() {
    const HOSTS: usize = 300_000;
    for kind in [Kind::Ip4Set, Kind::Ip4Tset, Kind::Ip4Trie] {
        for sorted in [false, true] {
            let mut hosts: Vec<u32> = pseudo_random(7).take(HOSTS).map(|n| n as u32).collect();
            if sorted {
                hosts.sort_unstable();
            }
            let lines: Vec<Line4> =
                hosts.iter().map(|&h| Line4 { first: h, last: h, value: 1 + (h % 3) as u8 }).collect();
            let dataset = dataset4(kind, &lines);
            check_ranges4(&dataset);
            let set: std::collections::HashSet<u32> = hosts.iter().copied().collect();
            assert!(dataset.heap_bytes() < 4 * HOSTS as u64, "{kind} takes {} octets", dataset.heap_bytes());
            for address in hosts.iter().flat_map(|&h| [h.wrapping_sub(1), h, h.wrapping_add(1)]) {
                let value = if kind == Kind::Ip4Tset { 2 } else { 1 + (address % 3) as u8 };
                let expected: BTreeSet<u8> = set.contains(&address).then_some(value).into_iter().collect();
                assert_eq!(
                    answers(&dataset, dataset.find_ip4(address)),
                    expected,
                    "{kind} {}",
                    Ipv4Addr::from(address)
                );
            }
        }
    }
}

/// Likewise for prefixes: nested, excluded, wider than a /16.
#[test]
fn many_prefixes_take_strides_and_stay_right() {
    let mut numbers = pseudo_random(11);
    let mut map = PrefixMap::<Ipv4Net, u8>::new();
    let mut lines = Vec::new();
    for _ in 0..400_000 {
        let (address, dice) = (numbers.next().unwrap() as u32, numbers.next().unwrap());
        let len = match dice % 1_000 {
            0 => 10 + (dice >> 32) as u8 % 7,
            1..=100 => 17 + (dice >> 32) as u8 % 7,
            101..=900 => 24,
            _ => 25 + (dice >> 32) as u8 % 8,
        };
        let net = Ipv4Net::new(address.into(), len).unwrap().trunc();
        let value = (dice >> 48) as u8 % 4;
        lines.push(Line4 { first: net.network().into(), last: net.broadcast().into(), value });
        if map.get(&net).is_none() {
            map.insert(net, value);
        }
    }
    let dataset = dataset4(Kind::Ip4Trie, &lines);
    check_ranges4(&dataset);
    for address in probes4(&lines, &[]) {
        let other = map.get_lpm(&Ipv4Net::new(address.into(), 32).unwrap()).map(|(_, &value)| value);
        let expected: BTreeSet<u8> = other.filter(|&value| value != 0).into_iter().collect();
        assert_eq!(answers(&dataset, dataset.find_ip4(address)), expected, "{}", Ipv4Addr::from(address));
    }
}
