//! A zone as a master file: what stands at its apex, then names and addresses of each section.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::addresses::Mounted;
use super::file::{File, push_absolute, push_name};
use super::names::{self, Section};
use super::numeric::Numeric;
use super::records::RecordSets;
use crate::dataset::records::RecordType;
use crate::dataset::{Data, Dataset};
use crate::wire::name::{Name, QueryName};
use crate::zone::Zone;

/// An address that discards what is sent to it (RFC 6666).
const DISCARD: &str = "100::";

/// Write a zone as a DNS master file.
///
/// The output is written line by line, so it should be buffered. Errors: the output can not be written; or, of kind
/// `Unsupported` and before anything is written, a section stands where addresses of another one do.
pub fn master_file(zone: &Zone, out: &mut dyn Write) -> io::Result<()> {
    let sections = sections(zone);
    if let Some(mount) = within_addresses(&sections) {
        let mut name = Vec::new();
        push_name(&mut name, mount);
        let name = String::from_utf8_lossy(&name);
        let why = format!(
            "{}: section `{name}` is named like a part of an address beside a list of addresses, which no master file \
             can say; give it another name",
            zone.settings.name
        );
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let ttl = zone.datasets.first().and_then(|dataset| Some(zone.ttl_of(dataset.parts().first()?.1)));
    writeln!(out, "; {}, serial {}, written by dnsbld {}", zone.settings.name, zone.serial, env!("CARGO_PKG_VERSION"))?;
    let mut file = File::new(out, ttl.unwrap_or(zone.settings.ttl))?;
    file.origin(zone.settings.name.labels())?;
    apex(zone, &mut file)?;
    let mut known = Vec::new();
    for (mount, datasets) in &sections {
        let (addresses, names): (Vec<&Dataset>, Vec<&Dataset>) =
            datasets.iter().partition(|dataset| dataset.kind().has_addresses());
        let has_addresses = !addresses.is_empty();
        let mut written = names.iter().any(|dataset| match dataset.data() {
            Data::Dnset(names) => names.lists_any(),
            _ => dataset.entries() > 0,
        });
        if has_addresses {
            let labels = [mount, zone.settings.name.labels()].concat();
            file.origin(&labels)?;
            let mounted = Mounted { addresses, numeric: Numeric::new(&names) };
            written |= mounted.write(zone, labels.len() + 1, &mut file)?;
        }
        known.push(Section { mount: mount.clone(), names, has_addresses, written });
    }
    file.origin(zone.settings.name.labels())?;
    names::write(zone, &known, &mut file)
}

/// The datasets by the name below the zone that they are mounted at.
fn sections(zone: &Zone) -> BTreeMap<Vec<u8>, Vec<&Dataset>> {
    let mut sections: BTreeMap<Vec<u8>, Vec<&Dataset>> = BTreeMap::new();
    for (mounts, dataset) in zone.datasets.iter().flat_map(|dataset| dataset.parts()) {
        for mount in mounts {
            let at = sections.entry(mount.labels().to_vec()).or_default();
            // A section that names its mount twice is asked once.
            if !at.iter().any(|known| std::ptr::eq(*known, dataset)) {
                at.push(dataset);
            }
        }
    }
    sections
}

/// A section whose name, seen from another one with addresses, is the beginning of an address: `5` or `a.b`.
fn within_addresses<'s>(sections: &'s BTreeMap<Vec<u8>, Vec<&Dataset>>) -> Option<&'s [u8]> {
    let with_addresses = |datasets: &[&Dataset]| datasets.iter().any(|dataset| dataset.kind().has_addresses());
    let outer = sections.iter().filter(|(_, datasets)| with_addresses(datasets));
    let is_within = |inner: &[u8], outer: &[u8]| {
        let Some(between) = inner.strip_suffix(outer).filter(|between| !between.is_empty()) else { return false };
        let mut rest = between;
        // Octets and nibbles alike: whoever names a section so has not thought of addresses at all.
        while let Some((&len, more)) = rest.split_first() {
            let Some((label, next)) = more.split_at_checked(usize::from(len)) else { return false };
            let label = str::from_utf8(label).unwrap_or("-");
            if label.parse::<u8>().is_err() && (len != 1 || u8::from_str_radix(label, 16).is_err()) {
                return false;
            }
            rest = next;
        }
        true
    };
    outer.flat_map(|(outer, _)| sections.keys().filter(|inner| is_within(inner, outer))).next().map(Vec::as_slice)
}

/// The zone's own records.
fn apex(zone: &Zone, file: &mut File<'_>) -> io::Result<()> {
    let name = &zone.settings.name;
    match &zone.soa {
        Some(soa) => file.record(b"@", soa.ttl, "SOA", |line| {
            push_absolute(line, &soa.mname.whole(name));
            line.push(b' ');
            push_absolute(line, &soa.rname.whole(name));
            for number in soa.numbers.as_chunks::<4>().0 {
                line.extend(format!(" {}", u32::from_be_bytes(*number)).bytes());
            }
        })?,
        None => file.comment("no dataset has a $SOA, so this is no whole zone")?,
    }
    let servers = || zone.ns.iter().flat_map(|ns| ns.servers.iter().map(|server| (ns.ttl, &server.name)));
    for (ttl, server) in servers() {
        file.record(b"@", ttl, "NS", |line| push_absolute(line, server))?;
    }
    let mut records = RecordSets::default();
    zone.look_up(&QueryName::of(name), 0, &mut |found| records.add(zone, found));
    if let Some(text) = &zone.settings.retired {
        file.record(b"@", zone.settings.ttl, "TXT", |line| super::file::push_text(line, text.as_bytes()))?;
    }
    file.records(b"@", &records)?;
    for (ttl, server) in servers() {
        if let Some(below) = labels_without_address(zone, server) {
            file.comment("BIND loads no zone with a name server in it that has no address; put the right one here")?;
            let mut owner = Vec::new();
            push_name(&mut owner, &below);
            let owner: &[u8] = if below.is_empty() { b"@" } else { &owner };
            file.record(owner, ttl, "AAAA", |line| line.extend(DISCARD.bytes()))?;
        }
    }
    Ok(())
}

/// The labels of a name server below the zone's name, if it lies in the zone and the zone has no address for it.
fn labels_without_address(zone: &Zone, server: &Name) -> Option<Vec<u8>> {
    let query = QueryName::of(server);
    let below = query.label_count().checked_sub(zone.settings.name.label_count())?;
    if query.labels_from(below) != zone.settings.name.labels() {
        return None;
    }
    let mut records = RecordSets::default();
    zone.look_up(&query, below, &mut |found| records.add(zone, found));
    (!records.has(RecordType::A)).then(|| query.labels(0, below).to_vec())
}
