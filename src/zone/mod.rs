//! Zones, and the snapshot of all of them that answers are taken from.

mod access;
mod publish;
mod resolve;
mod usual;

use std::net::Ipv4Addr;
use std::sync::Arc;

pub use access::{Access, Everything};
pub use publish::{Publisher, Reader};
pub(crate) use resolve::{Address, address, embedded_ip4};
pub use resolve::{Existence, Match};
pub(crate) use usual::ADDRESS_LABELS;
use usual::UsualZone;

use crate::dataset::entry::Scope;
use crate::dataset::names::{Names, NamesBuilder};
use crate::dataset::records::RecordType;
use crate::dataset::{Dataset, Kind, NameServers, Soa};
use crate::wire::name::{Name, QueryName};
use crate::wire::reply::{ApexRecord, TargetName};
use crate::wire::rtype;

/// Refresh, retry and expire of a made-up SOA, s: values that RFC 1912 section 2.2 finds sane for a zone that
/// changes every few minutes.
const MADE_UP_TIMES: [u32; 3] = [3_600, 600, 604_800];
/// TTL of the SOA and NS of a retired zone, s: long, so that its last users ask seldom.
const RETIRED_TTL: u32 = 86_400;
/// Up to so many zones a question's name is compared with each zone's rather than hashed.
const COMPARED_MAX: usize = 8;
/// Addresses of one name server put into the additional section at most.
const GLUE_MAX: usize = 8;

/// What a zone needs to know besides its data.
#[derive(Clone, Debug)]
pub struct ZoneSettings {
    /// Name of the zone, lower case.
    pub name: Name,
    /// Name servers to make NS records of when no dataset gives `$NS`; without any, the zone's own name.
    pub ns: Vec<Name>,
    /// SOA MNAME to make a SOA of when no dataset gives `$SOA`; the first name server otherwise.
    pub mname: Option<Name>,
    /// SOA RNAME, likewise; `hostmaster.` and the zone's name otherwise.
    pub rname: Option<Name>,
    /// TTL of entries whose dataset has no `$TTL`, s.
    pub ttl: u32,
    /// Negative TTL of a made-up SOA, s (RFC 2308).
    pub negative_ttl: u32,
    /// Lower bound of `$TTL` and of the SOA's and NS's TTL, s.
    pub ttl_min: u32,
    /// Upper bound of the same, s.
    pub ttl_max: u32,
    /// Make a SOA and NS when no dataset gives them; otherwise the apex is REFUSED, as with rbldnsd.
    pub make_apex: bool,
    /// The list has come to its end: nothing is listed any more, and this text stands at the apex (RFC 6471
    /// section 3.4).
    pub retired: Option<String>,
    /// What a complete address is answered with by a zone that has no address dataset: an error code, so that who
    /// asks the wrong list can notice. `None`: NXDOMAIN.
    pub wrong_kind: Option<Ipv4Addr>,
}

/// TTL of entries unless told otherwise, s: rbldnsd's.
pub const TTL_DEFAULT: u32 = 2_100;
/// Negative TTL unless told otherwise, s. How long a resolver that asked just before may miss a fresh listing: lists change
/// every few minutes, so more would blunt them, and less would cost a query for nearly every mail.
pub const NEGATIVE_TTL_DEFAULT: u32 = 300;
/// Largest TTL, s (RFC 2181 section 8).
pub const TTL_MAX: u32 = 0x7fff_ffff;

impl ZoneSettings {
    /// A zone of this name with the defaults of the settings file.
    pub fn new(name: &Name) -> Self {
        Self {
            name: name.to_lower(),
            ns: Vec::new(),
            mname: None,
            rname: None,
            ttl: TTL_DEFAULT,
            negative_ttl: NEGATIVE_TTL_DEFAULT,
            ttl_min: 0,
            ttl_max: TTL_MAX,
            make_apex: true,
            retired: None,
            wrong_kind: None,
        }
    }
}

/// Whether a zone can be answered from, and if not, why (the EDE code goes with SERVFAIL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// All datasets are loaded.
    Ready,
    /// A dataset has never been loaded: SERVFAIL, EDE 14.
    NotReady,
    /// The data is past its expiry: SERVFAIL, EDE 24.
    Expired,
}

/// One zone with its frozen data.
#[derive(Debug)]
pub struct Zone {
    /// The settings it was built with.
    pub settings: ZoneSettings,
    /// Slot in the statistics.
    pub slot: u16,
    /// Serial of its SOA.
    pub serial: u32,
    /// Whether it can be answered from.
    pub state: ZoneState,
    /// Its data, in the order of the settings.
    pub datasets: Vec<Arc<Dataset>>,
    /// Its access list.
    pub acl: Option<Arc<Dataset>>,
    /// Labels of its name.
    pub(crate) label_count: usize,
    /// It has an address dataset.
    has_addresses: bool,
    /// It has an IPv4 dataset.
    has_ip4: bool,
    /// Its SOA, ready to be written.
    pub(crate) soa: Option<ApexSoa>,
    /// Its name servers, ready to be written.
    pub(crate) ns: Option<ApexNs>,
}

/// A SOA, ready to be written.
#[derive(Debug)]
pub(crate) struct ApexSoa {
    /// The record for who asks for it.
    pub answer: ApexRecord,
    /// The record of negative answers: its TTL is the smaller of its own and its minimum (RFC 2308 section 5).
    pub negative: ApexRecord,
    /// TTL when it is asked for, s.
    pub ttl: u32,
    /// MNAME.
    pub mname: TargetName,
    /// RNAME.
    pub rname: TargetName,
    /// Serial, refresh, retry, expire, minimum.
    pub numbers: [u8; 20],
}

/// Name servers, ready to be written.
#[derive(Debug)]
pub(crate) struct ApexNs {
    /// TTL, s.
    pub ttl: u32,
    /// Each of them.
    pub servers: Vec<ApexServer>,
}

/// A name server, ready to be written.
#[derive(Debug)]
pub(crate) struct ApexServer {
    /// Its name.
    pub name: Name,
    /// The NS record.
    pub record: ApexRecord,
    /// Its name as the owner of its addresses.
    pub owner: TargetName,
}

impl Zone {
    /// Put a zone together. `datasets` may be empty only in another state than `Ready`, or when it is retired. The first
    /// `acl` among them becomes its access list.
    ///
    /// `serial` is used where `$SOA` gives 0 or the SOA is made up.
    pub fn build(
        settings: ZoneSettings,
        slot: u16,
        serial: u32,
        state: ZoneState,
        datasets: Vec<Arc<Dataset>>,
    ) -> Self {
        let datasets = if settings.retired.is_some() { Vec::new() } else { datasets };
        let (acls, datasets): (Vec<_>, Vec<_>) = datasets.into_iter().partition(|dataset| dataset.kind() == Kind::Acl);
        let acl = acls.into_iter().next();
        let serial = Self::fixed_serial(&datasets).filter(|&fixed| fixed != 0).unwrap_or(serial);
        let clamp = |ttl: u32| (if ttl == 0 { settings.ttl } else { ttl }).clamp(settings.ttl_min, settings.ttl_max);
        let target = |name: &Name| TargetName::new(name, &settings.name);
        let ns = datasets.iter().find_map(|dataset| dataset.header().ns.clone());
        let ns = ns.or_else(|| settings.make_apex.then(|| made_up_ns(&settings)));
        let soa = datasets.iter().find_map(|dataset| dataset.header().soa.clone());
        let soa = soa.or_else(|| settings.make_apex.then(|| made_up_soa(&settings, ns.as_ref())));
        let soa = soa.map(|soa| {
            let ttl = clamp(soa.ttl);
            let mut numbers = [0; 20];
            for (at, number) in [serial, soa.refresh, soa.retry, soa.expire, soa.minimum].into_iter().enumerate() {
                numbers[4 * at..4 * at + 4].copy_from_slice(&number.to_be_bytes());
            }
            let (mname, rname) = (target(&soa.mname), target(&soa.rname));
            let record = |ttl| ApexRecord::new(rtype::SOA, ttl, &[&mname, &rname], &numbers);
            ApexSoa { answer: record(ttl), negative: record(ttl.min(soa.minimum)), ttl, mname, rname, numbers }
        });
        let ns = ns.map(|ns| {
            let ttl = clamp(ns.ttl);
            let server = |name: &Name| {
                let owner = target(name);
                ApexServer { name: name.clone(), record: ApexRecord::new(rtype::NS, ttl, &[&owner], &[]), owner }
            };
            ApexNs { ttl, servers: ns.names.iter().map(server).collect() }
        });
        let label_count = settings.name.label_count();
        // A section without a name is not served.
        let parts = || datasets.iter().flat_map(|dataset| dataset.parts()).filter(|(names, _)| !names.is_empty());
        let kinds = || parts().map(|(_, part)| part.kind());
        let (has_addresses, has_ip4) = (kinds().any(Kind::has_addresses), kinds().any(Kind::has_ip4));
        Self { settings, slot, serial, state, datasets, acl, label_count, has_addresses, has_ip4, soa, ns }
    }

    /// The serial that `$SOA` fixes, if a dataset does (RFC 1035 section 3.3.13).
    pub fn fixed_serial(datasets: &[Arc<Dataset>]) -> Option<u32> {
        datasets.iter().find_map(|dataset| dataset.header().soa.as_ref()).map(|soa| soa.serial)
    }

    /// The TTL of a dataset's entries, s.
    #[inline]
    pub(crate) fn ttl_of(&self, dataset: &Dataset) -> u32 {
        match dataset.header().ttl {
            Some(ttl) if ttl > 0 => ttl.max(self.settings.ttl_min).min(self.settings.ttl_max),
            _ => self.settings.ttl,
        }
    }

    /// The TTL of a record of a `generic` dataset, s: its own, or that of the `$TTL` above it, or the zone's.
    #[inline]
    pub(crate) fn ttl_of_record(&self, own: Option<u32>) -> u32 {
        own.map_or(self.settings.ttl, |ttl| ttl.clamp(self.settings.ttl_min, self.settings.ttl_max))
    }

    /// The code for a complete address, where the zone has names only and a code for that.
    #[inline]
    pub(crate) fn wrong_kind_code(&self, form: Address) -> Option<[u8; 4]> {
        let code = self.settings.wrong_kind?;
        (!self.has_addresses && resolve::is_address(form)).then(|| code.octets())
    }

    /// The address that the first `below` labels of a name say, where it makes a difference.
    #[inline]
    pub(crate) fn address(&self, name: &QueryName, below: usize) -> Address {
        let matters = self.has_addresses || self.settings.wrong_kind.is_some();
        if matters { address(name, below) } else { Address::No }
    }
}

/// Name servers out of the settings.
fn made_up_ns(settings: &ZoneSettings) -> NameServers {
    let names = if settings.ns.is_empty() { vec![settings.name.clone()] } else { settings.ns.clone() };
    NameServers { ttl: if settings.retired.is_some() { RETIRED_TTL } else { 0 }, names }
}

/// A SOA out of the settings.
fn made_up_soa(settings: &ZoneSettings, ns: Option<&NameServers>) -> Soa {
    let first_ns = ns.and_then(|ns| ns.names.first());
    let mname = settings.mname.as_ref().or(first_ns).unwrap_or(&settings.name).clone();
    let hostmaster = || format!("hostmaster.{}", settings.name).parse().unwrap_or_else(|_| settings.name.clone());
    let [refresh, retry, expire] = MADE_UP_TIMES;
    let (ttl, minimum) =
        if settings.retired.is_some() { (RETIRED_TTL, RETIRED_TTL) } else { (0, settings.negative_ttl) };
    let rname = settings.rname.clone().unwrap_or_else(hostmaster);
    Soa { ttl, mname, rname, serial: 0, refresh, retry, expire, minimum }
}

/// Addresses of a name server that lies in a zone of ours.
#[derive(Debug)]
pub(crate) struct Glue {
    /// Which of the zone's name servers.
    pub server: usize,
    /// Its address.
    pub address: [u8; 4],
    /// TTL, s.
    pub ttl: u32,
}

/// A zone's name, where a question's is compared with it.
#[derive(Debug)]
struct ZoneName {
    /// Its labels, lower case.
    labels: Box<[u8]>,
    /// How many they are.
    label_count: usize,
    /// The zone's number.
    number: usize,
}

/// All zones of one generation; immutable.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The zones, in the order of the settings.
    pub zones: Vec<Arc<Zone>>,
    /// The access list for all of them.
    pub acl: Option<Arc<Dataset>>,
    /// Counts up by one with each published change.
    pub generation: u64,
    /// Their numbers by name.
    index: Names,
    /// Their names, those with the most labels first.
    by_depth: Vec<ZoneName>,
    /// Fewest and most labels of a zone's name.
    depths: (usize, usize),
    /// A zone lies below another one.
    pub(crate) nested: bool,
    /// The zones that the usual question may be about.
    usual: Box<[UsualZone]>,
    /// Addresses of name servers, by zone.
    glue: Vec<Vec<Glue>>,
    /// A zone has an access list of its own.
    restricted: bool,
}

impl Snapshot {
    /// Freeze a generation.
    pub fn new(zones: Vec<Arc<Zone>>, generation: u64) -> Self {
        let mut index = NamesBuilder::default();
        for (number, zone) in zones.iter().enumerate() {
            // Thousands of zones at most, so the table can not be full; ids count from 1, as 0 is an exclusion.
            let _ = index.push(zone.settings.name.labels(), Scope::Exact, number as u32 + 1);
        }
        let counts = || zones.iter().map(|zone| zone.label_count);
        let depths = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
        let name = |(number, zone): (usize, &Arc<Zone>)| ZoneName {
            labels: zone.settings.name.labels().into(),
            label_count: zone.label_count,
            number,
        };
        let mut by_depth: Vec<ZoneName> = zones.iter().enumerate().map(name).collect();
        by_depth.sort_by_key(|name| std::cmp::Reverse(name.label_count));
        let mut snapshot = Self {
            index: index.finish(|ids| ids[0]),
            zones,
            acl: None,
            generation,
            by_depth,
            depths,
            nested: false,
            usual: Box::default(),
            glue: Vec::new(),
            restricted: false,
        };
        let parent_of = |zone: &Arc<Zone>| {
            let name = QueryName::of(&zone.settings.name);
            (1..name.label_count())
                .any(|skip| snapshot.index.get(name.labels_from(skip)).is_some_and(|hit| hit.exact.is_some()))
        };
        snapshot.restricted = snapshot.zones.iter().any(|zone| zone.acl.is_some());
        snapshot.nested = snapshot.zones.iter().any(parent_of);
        snapshot.usual = UsualZone::all(&snapshot);
        snapshot.glue = snapshot.zones.iter().map(|zone| snapshot.find_glue(zone)).collect();
        snapshot
    }

    /// Whether what is answered may depend on who asks.
    pub fn has_access_lists(&self) -> bool {
        self.restricted || self.acl.is_some()
    }

    /// The same under an access list for all zones.
    #[must_use]
    pub fn with_acl(mut self, acl: Option<Arc<Dataset>>) -> Self {
        self.acl = acl;
        self
    }

    /// The zone that a name lies in, the longest of them, its number, and how many labels of the name are below it.
    #[inline]
    pub fn find_zone(&self, name: &QueryName) -> Option<(&Zone, usize, usize)> {
        let labels = name.label_count();
        if self.zones.len() <= COMPARED_MAX {
            // A few comparisons cost less than a hash; the zones are tried from the longest name on.
            let octets = name.octets();
            return self.by_depth.iter().find_map(|own| {
                let below = labels.checked_sub(own.label_count)?;
                let start = octets.len().checked_sub(own.labels.len())?;
                let inside = name.start(below) == start && octets[start..] == *own.labels;
                if inside { Some((&**self.zones.get(own.number)?, own.number, below)) } else { None }
            });
        }
        let (fewest, most) = self.depths;
        (fewest..=most.min(labels)).rev().find_map(|depth| {
            let below = labels - depth;
            let number = self.index.get(name.labels_from(below))?.exact? as usize - 1;
            Some((&*self.zones[number], number, below))
        })
    }

    /// Whether a served zone lies below a name.
    #[inline]
    pub(crate) fn has_zone_below(&self, name: &QueryName) -> bool {
        self.nested && self.index.get(name.labels_from(0)).is_some_and(|hit| hit.parent)
    }

    /// Addresses of a zone's name servers that lie in zones of ours.
    pub(crate) fn glue(&self, number: usize) -> &[Glue] {
        self.glue.get(number).map_or(&[], Vec::as_slice)
    }

    /// Look a zone's name servers up in the zones themselves.
    fn find_glue(&self, zone: &Zone) -> Vec<Glue> {
        let mut glue: Vec<Glue> = Vec::new();
        let mut least = u32::MAX;
        for (server, apex) in zone.ns.iter().flat_map(|ns| ns.servers.iter().enumerate()) {
            let name = QueryName::of(&apex.name);
            let Some((home, _, below)) = self.find_zone(&name) else { continue };
            if home.state != ZoneState::Ready {
                continue;
            }
            let mut put = |address: [u8; 4], ttl| {
                least = least.min(ttl);
                let known = glue.iter().filter(|known| known.server == server);
                if known.clone().count() < GLUE_MAX && known.clone().all(|known| known.address != address) {
                    glue.push(Glue { server, address, ttl });
                }
            };
            home.look_up(&name, below, &mut |found| match found {
                Match::Record(record) if record.rtype == RecordType::A => {
                    let ttl = home.ttl_of_record(record.ttl);
                    put([record.data[0], record.data[1], record.data[2], record.data[3]], ttl);
                }
                Match::Record(..) => {}
                Match::Listing(dataset, id, _) => {
                    for id in dataset.values().members(id) {
                        put(dataset.values().get(id).0, home.ttl_of(dataset));
                    }
                }
            });
        }
        // One TTL for a set (RFC 2181 section 5.2); as in rbldnsd, the least one for the addresses of all servers.
        glue.iter_mut().for_each(|glue| glue.ttl = least);
        glue
    }
}
