//! What the oracle must know of a zone: from its text, and from rbldnsd's answers to other questions about it.

use std::collections::{BTreeMap, BTreeSet};

use dnsbld::dataset::Kind;

use super::ask::{Answer, Record};
use super::generate::{Labels, Question, SetUp, SourceText, Subject};
use super::names::{name_key, name_on};
use super::oracle::{NOERROR, SOA};
use super::translate::{is_ip4, is_ip6, lower, many_servers, section, text_of, wire};

/// Response code of a zone that is not loaded.
const SERVFAIL: u8 = 2;
/// Type NS.
pub const NS: u16 = 2;

/// Types by mount of one dataset.
pub type Mounts = BTreeMap<Labels, Vec<Kind>>;

/// What an oracle must know of a zone.
#[derive(Default)]
pub struct Facts {
    /// Its own labels.
    pub own: Labels,
    /// Types by mount of each dataset: what lies where below the zone.
    pub mounts: Vec<Mounts>,
    /// What rbldnsd answers for the apex' SOA.
    pub soa: Option<Record>,
    /// What it answers for its NS.
    pub ns: BTreeSet<Record>,
    /// The addresses that come with them.
    pub glue: BTreeSet<(Vec<u8>, Record)>,
    /// Names in wire form of zones that are SERVFAIL.
    pub unserved: BTreeSet<Vec<u8>>,
    /// Names of all zones.
    pub zones: BTreeSet<Labels>,
    /// Names with a name below them that rbldnsd knows.
    pub above: BTreeSet<Labels>,
    /// Names that lines of a `dnset` exclude.
    pub excluded: BTreeSet<Labels>,
    /// Names that other lines list or mount: with `true` what is below them, too.
    pub written: BTreeSet<(Labels, bool)>,
    /// Whether positive answers carry NS in authority.
    pub full: bool,
    /// Name servers in wire form of lines that rbldnsd got cut down.
    pub servers: BTreeSet<Vec<u8>>,
}

impl Facts {
    /// Whether a line says something of names below one: otherwise only a wildcard above it lists them.
    pub fn is_written_above(&self, name: &Labels) -> bool {
        let is_below =
            |(other, wild): &(Labels, bool)| other.len() + usize::from(*wild) > name.len() && other.ends_with(name);
        self.written.iter().any(is_below)
    }
}

/// Whether a zone mixes IPv4 datasets with IPv6 ones.
pub fn is_mixed(mounts: &[Mounts]) -> bool {
    let has = |wanted: fn(Kind) -> bool| mounts.iter().flat_map(BTreeMap::values).flatten().any(|&kind| wanted(kind));
    has(is_ip4) && has(is_ip6)
}

/// Types by mount of each dataset of a zone.
pub fn mounts(set_up: &SetUp, zone: usize) -> Vec<Mounts> {
    let sources = set_up.zones[zone].sources.iter().map(|&source| &set_up.sources[source]);
    let of_source = |source: &SourceText| {
        if source.kind != Kind::Combined {
            return Mounts::from([(Labels::new(), vec![source.kind])]);
        }
        let mut mounts = Mounts::new();
        for line in source.files.iter().flat_map(|&file| &set_up.files[file].lines) {
            if let Some((Some(kind), names)) = section(text_of(line)) {
                names.into_iter().for_each(|name| mounts.entry(name).or_default().push(kind));
            }
        }
        mounts
    };
    sources.map(of_source).collect()
}

/// A name's labels.
pub fn labels(name: &str) -> Labels {
    name.split('.').map(|label| label.as_bytes().to_vec()).collect()
}

/// What rbldnsd's answers tell of the zones.
pub fn facts(set_up: &SetUp, all_mounts: Vec<Vec<Mounts>>, questions: &[Question], answers: &[&Answer]) -> Vec<Facts> {
    let zones: BTreeSet<Labels> = set_up.zones.iter().map(|zone| labels(&zone.name)).collect();
    let mut facts: Vec<Facts> = all_mounts
        .into_iter()
        .zip(&set_up.zones)
        .map(|(mounts, zone)| Facts {
            servers: zone
                .sources
                .iter()
                .flat_map(|&source| &set_up.sources[source].files)
                .flat_map(|&file| &set_up.files[file].lines)
                .filter_map(|line| many_servers(text_of(line)))
                .flat_map(|(_, servers)| servers)
                .collect(),
            own: labels(&zone.name),
            mounts,
            zones: zones.clone(),
            full: set_up.options.full,
            ..Facts::default()
        })
        .collect();
    facts.iter_mut().enumerate().for_each(|(zone, facts)| add_written(set_up, zone, facts));
    let failed = questions.iter().zip(answers).filter(|(_, answer)| answer.rcode == SERVFAIL);
    let unserved: BTreeSet<usize> = failed.map(|(question, _)| question.zone).collect();
    let unserved: BTreeSet<Vec<u8>> = unserved.into_iter().map(|zone| wire(&facts[zone].own)).collect();
    facts.iter_mut().for_each(|facts| facts.unserved.clone_from(&unserved));
    for (question, answer) in questions.iter().zip(answers) {
        let facts = &mut facts[question.zone];
        let name = lower(&question.name);
        if answer.rcode != NOERROR {
            continue;
        }
        if name == facts.own {
            match question.qtype {
                SOA => facts.soa = answer.records.first().cloned(),
                NS => (facts.ns, facts.glue) = (answer.records.clone(), answer.additional.clone()),
                _ => {}
            }
        }
        facts.above.extend((1..name.len()).map(|n| name[n..].to_vec()));
    }
    facts
}

/// Put into a zone's facts which names its lines speak of.
fn add_written(set_up: &SetUp, zone: usize, facts: &mut Facts) {
    let mounts: Vec<Labels> = facts.mounts.iter().flat_map(BTreeMap::keys).cloned().collect();
    let full = |labels: &Labels, mount: &Labels| lower(&[labels, mount, &facts.own].map(Vec::as_slice).concat());
    let (mut excluded, mut written) = (BTreeSet::new(), BTreeSet::new());
    for source in set_up.zones[zone].sources.iter().map(|&source| &set_up.sources[source]) {
        for line in source.files.iter().flat_map(|&file| &set_up.files[file].lines) {
            // In which section of a `combined` file it stands is not looked at: any mount will do.
            for mount in &mounts {
                if let Some(key) = name_key(line) {
                    let name = full(&key.labels, mount);
                    if !key.excluded {
                        written.insert((name, key.below));
                    } else if key.exact {
                        excluded.insert(name);
                    }
                }
                if let Some(Subject::Name(labels)) = name_on(Kind::Generic, line) {
                    written.insert((full(&labels, mount), false));
                }
            }
        }
    }
    written.extend(mounts.iter().map(|mount| (full(&Labels::new(), mount), false)));
    (facts.excluded, facts.written) = (excluded, written);
}
