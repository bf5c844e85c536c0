//! The addresses of a zone as two sets for nftables (nft(8), "Sets"): for measuring, or for blocking what a list was made to block.
//!
//! A list of callouts and backscatter is asked about null senders alone. A packet filter knows no senders, so it would keep away all
//! mail of the listed hosts; the file says so.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::dataset::values::EXCLUDED;
use crate::dataset::{Data, Dataset};
use crate::zone::Zone;

/// Addresses of the test entries (RFC 5782 section 5) and their kin: no host on a network has one.
const LOOPBACK: (u128, u128) = (0x7f00_0000, 0x7fff_ffff);

/// Write the addresses that a zone lists, whatever its values, as an nftables script that replaces the sets `<name>4` and `<name>6` of
/// the table `inet dnsbld`.
///
/// Errors: the output can not be written.
pub fn nftables(zone: &Zone, out: &mut dyn Write) -> io::Result<()> {
    let name: String =
        zone.settings.name.to_string().trim_end_matches('.').replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let parts = || zone.datasets.iter().flat_map(|dataset| dataset.parts()).map(|(_, part)| part);
    let ip4 =
        merged(parts().flat_map(ranges4).filter(|&(first, last)| last < LOOPBACK.0 || first > LOOPBACK.1).collect());
    // The IPv4-mapped test entry is no address on a network either.
    let ip6 = merged(parts().flat_map(ranges6).filter(|&(_, last)| last >> 48 != 0).collect());
    writeln!(out, "# {}, serial {}, written by dnsbld {}", zone.settings.name, zone.serial, env!("CARGO_PKG_VERSION"))?;
    writeln!(
        out,
        "# Warning: dropping what these sets match is not safe mode. It keeps away ALL mail of the hosts, not only mail with"
    )?;
    writeln!(out, "# null sender. A list of sender callouts or backscatter must be asked by the mail server instead.")?;
    writeln!(out, "table inet dnsbld {{")?;
    set(out, &format!("l_{name}4"), "ipv4_addr", &ip4, |address| Ipv4Addr::from(address as u32).to_string())?;
    set(out, &format!("l_{name}6"), "ipv6_addr", &ip6, |address| Ipv6Addr::from(address).to_string())?;
    writeln!(out, "}}")
}

/// One set. Elements stand on lines of their own, so that two files can be compared.
fn set(
    out: &mut dyn Write,
    name: &str,
    kind: &str,
    ranges: &[(u128, u128)],
    spell: impl Fn(u128) -> String,
) -> io::Result<()> {
    writeln!(out, "\tset {name} {{\n\t\ttype {kind}\n\t\tflags interval")?;
    if !ranges.is_empty() {
        writeln!(out, "\t\telements = {{")?;
        for &(first, last) in ranges {
            if first == last {
                writeln!(out, "\t\t\t{},", spell(first))?;
            } else {
                writeln!(out, "\t\t\t{}-{},", spell(first), spell(last))?;
            }
        }
        writeln!(out, "\t\t}}")?;
    }
    writeln!(out, "\t}}")
}

/// The IPv4 ranges that a dataset lists.
fn ranges4(dataset: &Dataset) -> Vec<(u128, u128)> {
    if !matches!(dataset.data(), Data::Ip4Set(_) | Data::Ip4Trie(_)) {
        return Vec::new();
    }
    let listed = dataset.ranges4().filter(|range| range.id != EXCLUDED);
    listed.map(|range| (range.first.into(), range.last.into())).collect()
}

/// The IPv6 ranges that a dataset lists.
fn ranges6(dataset: &Dataset) -> Vec<(u128, u128)> {
    if !matches!(dataset.data(), Data::Ip6Trie(_) | Data::Ip6Tset(_)) {
        return Vec::new();
    }
    dataset.ranges6().filter(|range| range.id != EXCLUDED).map(|range| (range.first, range.last)).collect()
}

/// Ranges in ascending order, none touching another: nftables refuses overlaps.
fn merged(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged() {
        for (ranges, expected) in [
            (vec![], vec![]),
            (vec![(5, 6), (1, 2), (3, 3)], vec![(1, 3), (5, 6)]),
            (vec![(1, 9), (2, 3), (9, 12)], vec![(1, 12)]),
            (vec![(0, u128::MAX), (7, 7)], vec![(0, u128::MAX)]),
        ] {
            assert_eq!(merged(ranges.clone()), expected, "{ranges:?}");
        }
    }
}
