//! The names of `dnset` and `generic` datasets, and the sections' own, with the wildcards among them.
//!
//! Each name that exists is visited once, those above an entry included, and the zone itself is asked what it says of
//! it and of a name below it that does not exist: the first is written under the name, the second under its wildcard.
//! So a wildcard is repeated at every name that would block it, which is how `dnset` means it (see
//! [`crate::dataset`]'s `find_name`), and unions, sections and exclusions come out as they are answered.

use std::io;

use super::file::{File, push_name, push_text};
use super::numeric::{is_address, is_block};
use super::records::RecordSets;
use crate::dataset::names::canonical_order;
use crate::dataset::{Data, Dataset};
use crate::wire::name::{NAME_LEN_MAX, QueryName};
use crate::zone::Zone;

/// A label that no list has: one octet of zero.
const NOBODY: &[u8] = b"\x01\x00";
/// The asterisk label in wire form (RFC 4592 section 2.1.1).
const ASTERISK: &[u8] = b"\x01*";

/// What is mounted at one name.
pub struct Section<'z> {
    /// Its name below the zone: labels, none for the zone itself.
    pub mount: Vec<u8>,
    /// Its `dnset` and `generic` datasets.
    pub names: Vec<&'z Dataset>,
    /// It has address datasets, and whole addresses among its names were written with those.
    pub has_addresses: bool,
    /// Something at or below its name is written in any case.
    pub written: bool,
}

/// Names below the zone in canonical order.
type Stream<'a> = Box<dyn Iterator<Item = Vec<u8>> + 'a>;

/// All names of all sections, each once, in canonical order.
struct Merged<'a> {
    /// What each stream has next, and the rest of it.
    heads: Vec<(Vec<u8>, Stream<'a>)>,
}

impl<'a> Merged<'a> {
    /// Merge these streams.
    fn new(streams: impl Iterator<Item = Stream<'a>>) -> Self {
        Self { heads: streams.filter_map(|mut rest| Some((rest.next()?, rest))).collect() }
    }
}

impl Iterator for Merged<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let least = self.heads.iter().map(|(name, _)| name).min_by(|a, b| canonical_order(a, b))?.clone();
        self.heads.retain_mut(|(name, rest)| {
            while *name == least {
                match rest.next() {
                    Some(next) => *name = next,
                    None => return false,
                }
            }
            true
        });
        Some(least)
    }
}

/// The names of one dataset below a mount.
fn names<'a>(dataset: &'a Dataset, mount: &'a [u8]) -> Stream<'a> {
    match dataset.data() {
        Data::Dnset(names) => Box::new(names.canonical().map(move |(name, _)| [&name[..], mount].concat())),
        Data::Generic(records) => Box::new(records.names().map(move |name| [&name[..], mount].concat())),
        _ => Box::new(std::iter::empty()),
    }
}

/// Write the names of all sections, relative to the zone. The zone's own is not among them.
pub fn write(zone: &Zone, sections: &[Section<'_>], file: &mut File<'_>) -> io::Result<()> {
    let datasets = || sections.iter().flat_map(|section| &section.names);
    let wildcards = datasets().any(|dataset| matches!(dataset.data(), Data::Dnset(names) if names.has_wildcards()));
    let mut mounts: Vec<Vec<u8>> = sections.iter().map(|section| section.mount.clone()).collect();
    mounts.sort_by(|a, b| canonical_order(a, b));
    let streams =
        sections.iter().flat_map(|section| section.names.iter().map(|dataset| names(dataset, &section.mount)));
    let merged = Merged::new(streams.chain([Box::new(mounts.into_iter()) as Stream<'_>]));
    let mut walk = Walk { zone, sections, wildcards, file, records: RecordSets::default(), owner: Vec::new() };
    let mut previous = Vec::new();
    for name in merged {
        // Those above it that were not above the name before.
        let mut above = name.as_slice();
        let mut new = Vec::new();
        while !above.is_empty() && !is_below_or_same(&previous, above) {
            new.push(above);
            above = parent(above);
        }
        for name in new.into_iter().rev() {
            walk.visit(name)?;
        }
        previous = name;
    }
    Ok(())
}

/// A name without its first label.
fn parent(name: &[u8]) -> &[u8] {
    name.first().and_then(|&len| name.get(usize::from(len) + 1..)).unwrap_or_default()
}

/// Whether a name is another one or lies below it.
fn is_below_or_same(mut name: &[u8], above: &[u8]) -> bool {
    while name.len() > above.len() {
        name = parent(name);
    }
    name == above
}

/// Names being written.
struct Walk<'w, 'o> {
    /// The zone.
    zone: &'w Zone,
    /// Its sections.
    sections: &'w [Section<'w>],
    /// There are wildcards at all.
    wildcards: bool,
    /// Where to.
    file: &'w mut File<'o>,
    /// What a name has.
    records: RecordSets,
    /// A name being spelled.
    owner: Vec<u8>,
}

impl Walk<'_, '_> {
    /// Write a name and its wildcard.
    fn visit(&mut self, name: &[u8]) -> io::Result<()> {
        if has_asterisk(name) {
            self.owner.clear();
            push_name(&mut self.owner, name);
            let text = format!("{} is left out: here it would be a wildcard", String::from_utf8_lossy(&self.owner));
            return self.file.comment(&text);
        }
        let numeric = |test: fn(&[u8]) -> bool| {
            let mut sections = self.sections.iter().filter(|section| section.has_addresses);
            sections.any(|section| {
                is_below_or_same(name, &section.mount) && name.strip_suffix(section.mount.as_slice()).is_some_and(test)
            })
        };
        // Those were written with the addresses.
        let (address, block) = (numeric(is_address), numeric(is_block));
        let mut any = address;
        if !address {
            self.ask(&[], name);
            any |= self.put(&[], name)?;
        }
        if self.wildcards {
            self.ask(NOBODY, name);
            any |= if block { !self.records.is_empty() } else { self.put(ASTERISK, name)? };
        }
        if any {
            return Ok(());
        }
        if self.sections.iter().any(|section| section.mount == name && !section.written) {
            return self.exist(name, b"empty");
        }
        if self.wildcards {
            self.ask(NOBODY, parent(name));
            if !self.records.is_empty() {
                return self.exist(name, b"excluded");
            }
        }
        Ok(())
    }

    /// Ask the zone about a label below a name, or about the name.
    fn ask(&mut self, label: &[u8], name: &[u8]) {
        self.records.clear();
        let zone_name = &self.zone.settings.name;
        let wire = [label, name, zone_name.wire()].concat();
        let mut query = QueryName::EMPTY;
        // What is too long for a name can not be asked about.
        if wire.len() <= NAME_LEN_MAX && query.read(&wire, NAME_LEN_MAX).is_ok() {
            let below = query.label_count() - zone_name.label_count();
            self.zone.look_up(&query, below, &mut |found| self.records.add(self.zone, found));
        }
    }

    /// Write what the zone said; says whether that was anything.
    fn put(&mut self, label: &[u8], name: &[u8]) -> io::Result<bool> {
        if self.records.is_empty() {
            return Ok(false);
        }
        self.owner.clear();
        push_name(&mut self.owner, &[label, name].concat());
        self.file.records(&self.owner, &self.records)?;
        Ok(true)
    }

    /// Make a name exist by a record that nobody asks for, so that no wildcard answers for it.
    fn exist(&mut self, name: &[u8], why: &[u8]) -> io::Result<()> {
        self.owner.clear();
        push_name(&mut self.owner, name);
        self.file.record(&self.owner, self.zone.settings.ttl, "HINFO", |line| {
            push_text(line, why);
            line.push(b' ');
            push_text(line, b"");
        })
    }
}

/// Whether one of the labels is an asterisk.
fn has_asterisk(mut name: &[u8]) -> bool {
    while !name.is_empty() {
        if name.starts_with(ASTERISK) {
            return true;
        }
        name = parent(name);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_streams_come_once_and_in_order() {
        let stream = |names: &[&[u8]]| -> Stream<'static> {
            Box::new(names.iter().map(|name| name.to_vec()).collect::<Vec<_>>().into_iter())
        };
        let streams =
            [stream(&[b"\x01a", b"\x01x\x01a", b"\x01b"]), stream(&[b"\x01x\x01a"]), stream(&[b"\x01z\x01a"])];
        let merged: Vec<Vec<u8>> = Merged::new(streams.into_iter()).collect();
        assert_eq!(merged, [&b"\x01a"[..], b"\x01x\x01a", b"\x01z\x01a", b"\x01b"]);
    }
}
