//! `-d`: every zone as a master file on standard output, and the end.
//!
//! As with rbldnsd, no address is needed, nobody listens, and the user stays who he is. What rbldnsd's own dump loses
//! (entries of `ip6trie`, the names of `generic`) is here; see [`crate::export`] for what a master file can say.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;

use super::options::Options;
use super::specs::Zones;
use super::text::Text;
use super::{process, run, told};
use crate::dataset::{Dataset, Kind};
use crate::export::master_file;
use crate::sys::clock;
use crate::zone::{Zone, ZoneState};
use crate::zonefile::{self, Source};

/// Octets that are written at once.
const BUFFER_OCTETS: usize = 1 << 16;

/// Nanoseconds of a second.
const NS_PER_S: i128 = 1_000_000_000;

/// A dataset and the time of its newest file, s since 1970.
type Read = (Arc<Dataset>, i64);

/// Write all zones. The error is a sentence; nothing is written unless every file can be used.
pub fn dump(options: &Options) -> Result<(), String> {
    process::go(options.root.as_deref(), options.workdir.as_deref())?;
    let zones = Zones::parse(options)?;
    let text = Text::foreground();
    let (mut known, mut lacking) = (HashMap::<&Source, Option<Read>>::new(), false);
    for zone in &zones.zones {
        let mut complete = true;
        for source in zone.sources.iter().filter(|source| source.kind != Kind::Acl) {
            complete &= known.entry(source).or_insert_with(|| read(source, &zones, &text)).is_some();
        }
        if !complete {
            text.error(&format!("zone {}: {}", zone.name, told::NOT_SERVED));
        }
        lacking |= !complete;
    }
    if lacking {
        return Err("zone loading errors, aborting".to_owned());
    }
    let mut out = BufWriter::with_capacity(BUFFER_OCTETS, io::stdout().lock());
    let mut write = || -> io::Result<()> {
        for zone in &zones.zones {
            let read: Vec<&Read> = zone.sources.iter().filter_map(|source| known.get(source)?.as_ref()).collect();
            let serial = read.iter().map(|(_, mtime_s)| *mtime_s).max().unwrap_or_default();
            let datasets = read.iter().map(|(dataset, _)| Arc::clone(dataset)).collect();
            // As the server counts: seconds on a circle of 32 bits.
            let settings = run::zone_settings(zone, options);
            let zone = Zone::build(settings, 0, serial as u32, ZoneState::Ready, datasets);
            master_file(&zone, &mut out)?;
        }
        out.flush()
    };
    match write() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(error.to_string()),
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// Read a dataset and say what is wrong with it; nothing if its files can not be used.
fn read(source: &Source, zones: &Zones, text: &Text) -> Option<Read> {
    let (mut first, mut more) = (Vec::new(), 0);
    let loaded = zonefile::read(source, clock::now_s(), &mut |finding| {
        if first.len() < told::WARNINGS_MAX { first.push(finding) } else { more += 1 }
    });
    let title = zones.titles.get(source).cloned().unwrap_or_else(|| source.kind.to_string());
    told::warnings(text, &title, &first, more);
    match loaded {
        Ok(loaded) => {
            let mtime_ns = loaded.stamps.iter().map(|stamp| stamp.mtime_ns).max().unwrap_or_default();
            Some((Arc::new(loaded.dataset), mtime_ns.div_euclid(NS_PER_S) as i64))
        }
        Err(why) => {
            text.error(&told::bad_file(&why));
            None
        }
    }
}
