//! What must never go into service, however well it reads (RFC 5782 section 5).
//!
//! A list that lists everything loses all mail of those who ask it, and it has happened to nearly every list that
//! was given up or broke: an empty line that became `0.0.0.0/0`, a feed that came back as one line of HTML, a disk
//! that was full. So new data are looked at before they are served, and data that look like an accident are
//! refused; the old ones stay. Each guard can be switched off by name, for lists that mean it.
//!
//! Listing the world is found by asking, not by reading entries: `0.0.0.0/0` is the same mistake as two halves or
//! 256 prefixes of eight bits. [`PROBES`] addresses, one in each of as many equal slices of the space, are looked up
//! in all datasets that answer under one name together. A list that covers a share p of the space has a measured
//! share with a standard error of at most √(p(1−p)/[`PROBES`]) < 1.6 %, less for lists of large prefixes, as the
//! probes are evenly spread; so a list six points off the limit is judged rightly but for one in ten thousand. The
//! probes are the same each time: the same files get the same verdict.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::plan::GuardOptions;
use super::slot::Data;
use crate::dataset::{Dataset, Kind};
use crate::wire::name::Name;

/// Addresses looked up for each address family; a power of two, so that the slices of 2000::/3 are equal.
const PROBES: u32 = 1024;
/// Share of the IPv4 unicast space that is no list any more. Not half: the blocks that are assigned to countries,
/// an honest list, are two thirds.
const WORLD_SHARE_V4: f64 = 0.75;
/// Share of 2000::/3 that is no list any more; all that is assigned of it is less than a hundredth.
const WORLD_SHARE_V6: f64 = 0.5;
/// Old entries from which on shrinking and growing are judged; a short list may do as it likes.
const RATIO_ENTRIES_MIN: u64 = 1000;
/// First of the IPv4 addresses that are probed, 1.0.0.0.
const V4_FIRST: u32 = 1 << 24;
/// How many IPv4 addresses are probed among, up to 223.255.255.255.
const V4_COUNT: u32 = 223 << 24;
/// First of the IPv6 addresses that are probed, 2000:: (global unicast, RFC 4291 section 2.4).
const V6_FIRST: u128 = 0x2000 << 112;
/// Bits of each slice of 2000::/3.
const V6_SLICE_BITS: u32 = 125 - PROBES.ilog2();
/// 127.0.0.1 in IPv6 lists. `::1` itself is not asked: an ip6tset with the test entry ::ffff:127.0.0.2 lists its
/// whole /64.
const LOOPBACK_V6: Ipv6Addr = Ipv4Addr::LOCALHOST.to_ipv6_mapped();

/// Judge what would go into service, against what is there now. The error is a sentence: which guard, what it saw,
/// and the setting that switches it off.
pub(super) fn check(options: &GuardOptions, new: &[Arc<Data>], old: &[Arc<Data>]) -> Result<(), String> {
    if options.world {
        check_world(new)?;
    }
    for data in new {
        for (_, part) in data.dataset.parts() {
            check_part(options, data, part)?;
        }
    }
    for data in new {
        // The old data of the same files; a dataset that the settings just added has none.
        let Some(before) = old.iter().find(|before| before.source == data.source) else { continue };
        let files = data.source_files();
        check_ratio(options, before.dataset.entries(), data.dataset.entries())
            .map_err(|what| format!("{files}: {what}"))?;
    }
    Ok(())
}

/// What no single dataset may list.
fn check_part(options: &GuardOptions, data: &Data, part: &Dataset) -> Result<(), String> {
    let files = || data.source_files();
    // Zones that answer for every address on purpose, as for SPF macros, can not but list this one too.
    let world_is_meant = || !options.world && world_share(&[part]).is_some();
    if options.loopback {
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(LOOPBACK_V6)] {
            if part.lists_address(address) && !world_is_meant() {
                return Err(format!(
                    "{}: lists {address}, which no list may (RFC 5782 section 5); exclude it with `!{address}`, or set \
                     `guard.loopback = false` for this zone",
                    files()
                ));
            }
        }
    }
    if options.invalid_name && part.lists_name(&Name::from_wire(b"\x07invalid\0")) {
        return Err(format!(
            "{}: lists the name `invalid`, which no list may (RFC 5782 section 5); take it out, or set \
             `guard.invalid-name = false` for this zone",
            files()
        ));
    }
    Ok(())
}

/// What all datasets that answer under one name may not list together.
fn check_world(new: &[Arc<Data>]) -> Result<(), String> {
    let mut mounts: BTreeMap<Name, Vec<&Dataset>> = BTreeMap::new();
    for data in new {
        for (names, part) in data.dataset.parts() {
            for name in names {
                mounts.entry(name).or_default().push(part);
            }
        }
    }
    for (name, parts) in &mounts {
        if let Some((space, share, limit)) = world_share(parts) {
            let place = if name.labels().is_empty() { String::new() } else { format!(" under `{name}`") };
            return Err(format!(
                "lists about {:.0} % of {space}{place}, and {:.0} % is as good as the world; set `guard.world = false` \
                 for this zone if that is meant",
                share * 100.0,
                limit * 100.0
            ));
        }
    }
    Ok(())
}

/// Which space these datasets as good as cover together, with the measured share and the limit.
fn world_share(parts: &[&Dataset]) -> Option<(&'static str, f64, f64)> {
    for (kinds, space, limit, probe) in [
        (&V4_KINDS[..], "the IPv4 unicast space", WORLD_SHARE_V4, probe_v4 as fn(u32) -> IpAddr),
        (&V6_KINDS[..], "2000::/3", WORLD_SHARE_V6, probe_v6),
    ] {
        let of_family = || parts.iter().filter(|part| kinds.contains(&part.kind()));
        if let Some(share) = share_above(limit, probe, |address| of_family().any(|part| part.lists_address(address))) {
            return Some((space, share, limit));
        }
    }
    None
}

/// The types that hold IPv4 addresses.
const V4_KINDS: [Kind; 3] = [Kind::Ip4Set, Kind::Ip4Tset, Kind::Ip4Trie];
/// The types that hold IPv6 addresses.
const V6_KINDS: [Kind; 2] = [Kind::Ip6Tset, Kind::Ip6Trie];

/// The measured share of listed probes, if it is above the limit; stops as soon as it can not be.
fn share_above(limit: f64, probe: fn(u32) -> IpAddr, lists: impl Fn(IpAddr) -> bool) -> Option<f64> {
    let misses_max = ((1.0 - limit) * f64::from(PROBES)) as u32;
    let mut misses = 0;
    for i in 0..PROBES {
        if !lists(probe(i)) {
            misses += 1;
            if misses >= misses_max {
                return None;
            }
        }
    }
    Some(f64::from(PROBES - misses) / f64::from(PROBES))
}

/// The IPv4 address looked up in slice `i`.
fn probe_v4(i: u32) -> IpAddr {
    let slice = V4_COUNT / PROBES;
    Ipv4Addr::from(V4_FIRST + i * slice + scatter(u64::from(i)) as u32 % slice).into()
}

/// The IPv6 address looked up in slice `i`.
fn probe_v6(i: u32) -> IpAddr {
    let noise = u128::from(scatter(u64::from(i))) << 64 | u128::from(scatter(!u64::from(i)));
    let within = noise & ((1 << V6_SLICE_BITS) - 1);
    Ipv6Addr::from(V6_FIRST | u128::from(i) << V6_SLICE_BITS | within).into()
}

/// A number that looks random, the same for the same `i` (the finaliser of SplitMix64, Steele and others 2014).
fn scatter(i: u64) -> u64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Judge a change of the number of entries.
fn check_ratio(options: &GuardOptions, old: u64, new: u64) -> Result<(), String> {
    if old < RATIO_ENTRIES_MIN {
        return Ok(());
    }
    let ratio = new as f64 / old as f64;
    if let Some(max) = options.shrink_max
        && ratio < 1.0 - max
    {
        return Err(format!(
            "shrank from {old} to {new} entries, by {:.1} %, where `guard.shrink-max = {max}` allows {:.1} %; raise it \
             for this zone if that is meant",
            (1.0 - ratio) * 100.0,
            max * 100.0
        ));
    }
    if let Some(max) = options.grow_max
        && ratio > max
    {
        return Err(format!(
            "grew from {old} to {new} entries, {ratio:.1}-fold, where `guard.grow-max = {max}` allows {max}-fold; raise \
             it for this zone if that is meant"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Net, Ipv6Net};

    use super::*;

    /// The measured share of a list of IPv4 prefixes, if it is above the limit.
    fn share_v4(prefixes: &[&str]) -> Option<f64> {
        let nets: Vec<Ipv4Net> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        share_above(WORLD_SHARE_V4, probe_v4, |address| match address {
            IpAddr::V4(address) => nets.iter().any(|net| net.contains(&address)),
            IpAddr::V6(_) => false,
        })
    }

    /// The same for IPv6.
    fn share_v6(prefixes: &[&str]) -> Option<f64> {
        let nets: Vec<Ipv6Net> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        share_above(WORLD_SHARE_V6, probe_v6, |address| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => nets.iter().any(|net| net.contains(&address)),
        })
    }

    #[test]
    fn world_v4() {
        let check = |prefixes: &[&str], expected: Option<f64>| assert_eq!(share_v4(prefixes), expected, "{prefixes:?}");
        check(&[], None);
        check(&["10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16"], None);
        check(&["0.0.0.0/1"], None);
        check(&["0.0.0.0/0"], Some(1.0));
        check(&["0.0.0.0/1", "128.0.0.0/1"], Some(1.0));
        let eights: Vec<String> = (0..256).map(|octet| format!("{octet}.0.0.0/8")).collect();
        let eights: Vec<&str> = eights.iter().map(String::as_str).collect();
        check(&eights, Some(1.0));
        check(&eights[..150], None);
        assert!(share_v4(&eights[..224 - 45]).is_some_and(|share| (share - 0.8).abs() < 0.02));
    }

    #[test]
    fn world_v6() {
        let check = |prefixes: &[&str], expected: Option<f64>| assert_eq!(share_v6(prefixes), expected, "{prefixes:?}");
        check(&["2001:db8::/32"], None);
        check(&["2000::/5"], None);
        check(&["::/0"], Some(1.0));
        check(&["2000::/3"], Some(1.0));
        check(&["::/3", "2000::/4", "3000::/4"], Some(1.0));
    }

    #[test]
    fn probes_are_spread() {
        for i in 0..PROBES {
            let IpAddr::V4(four) = probe_v4(i) else { panic!("not IPv4") };
            assert!((1..224).contains(&four.octets()[0]), "{four}");
            let IpAddr::V6(six) = probe_v6(i) else { panic!("not IPv6") };
            let bits = u128::from(six);
            assert_eq!(bits >> 125, 1, "{six}");
            assert_eq!((bits >> V6_SLICE_BITS) as u32 & (PROBES - 1), i);
        }
    }

    #[test]
    fn ratios() {
        let half = GuardOptions { shrink_max: Some(0.5), grow_max: Some(2.0), ..GuardOptions::OFF };
        let check = |options: &GuardOptions, old, new, expected: &str| {
            let said = check_ratio(options, old, new).err().unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{old} -> {new}: {said}");
        };
        check(&half, 1000, 500, "");
        check(&half, 1000, 499, "guard.shrink-max");
        check(&half, 1000, 0, "guard.shrink-max");
        check(&half, 999, 0, "");
        check(&half, 0, 5_000_000, "");
        check(&half, 1000, 2000, "");
        check(&half, 1000, 2001, "guard.grow-max");
        check(&GuardOptions::OFF, 5_000_000, 0, "");
        check(&GuardOptions::OFF, 1000, 5_000_000, "");
    }
}
