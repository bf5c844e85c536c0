//! What the zones say: the snapshot that DNS is answered from, asked in the same way.

use hashbrown::HashMap;
use serde::Serialize;

use super::asked::Asked;
use crate::dataset::Kind;
use crate::dataset::template::Text;
use crate::wire::name::{Name, QueryName};
use crate::zone::{Access, Match, Snapshot, Zone, ZoneState, address};

/// How a zone is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Whether it is shown; without a word, where no access list guards it.
    pub public: Option<bool>,
    /// It serves what the feeder lists.
    pub feeder: bool,
    /// The settings name an access list for it, which need not be loaded.
    pub guarded: bool,
}

/// Zones and how they are shown; those that are not here are not shown.
pub type ShownZones = HashMap<Name, Shown>;

/// What a zone says of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ZoneAnswer {
    /// Its name, without the final dot.
    pub zone: String,
    /// What it says.
    pub state: ZoneWord,
    /// It serves what the feeder lists.
    pub feeder: bool,
    /// With what codes and texts.
    pub entries: Vec<Entry>,
}

/// Whether a zone lists a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneWord {
    /// It does.
    Listed,
    /// It does not.
    NotListed,
    /// It can not be answered from at the moment.
    Unavailable,
    /// It has ended and lists nothing.
    Retired,
}

impl ZoneWord {
    /// The word for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Listed => "Listed",
            Self::NotListed => "Not listed",
            Self::Unavailable => "Unavailable",
            Self::Retired => "Retired",
        }
    }

    /// The class that styles it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::NotListed => "clear",
            Self::Unavailable | Self::Retired => "other",
        }
    }
}

/// An answer of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The address that DNS answers with.
    pub code: String,
    /// The text that DNS answers with.
    pub text: Option<String>,
}

/// What each shown zone says that can list such a subject; those that list it first.
pub fn answers(snapshot: &Snapshot, shown: &ShownZones, asked: &Asked) -> Vec<ZoneAnswer> {
    let mut all: Vec<ZoneAnswer> = (visible(snapshot, shown, asked))
        .map(|(number, zone, shown)| answer(snapshot, number, zone, shown.feeder, asked))
        .collect();
    all.sort_by_key(|answer| answer.state != ZoneWord::Listed);
    all
}

/// Whether a zone that serves what the feeder lists is among those that are shown for such a subject.
pub fn show_feeder(snapshot: &Snapshot, shown: &ShownZones, asked: &Asked) -> bool {
    visible(snapshot, shown, asked).any(|(.., shown)| shown.feeder)
}

/// The zones that are shown and can list such a subject, with their numbers.
fn visible<'a>(
    snapshot: &'a Snapshot,
    shown: &'a ShownZones,
    asked: &'a Asked,
) -> impl Iterator<Item = (usize, &'a Zone, &'a Shown)> {
    // By the settings, since a list may not be loaded yet, and by what is loaded, since the settings may have changed.
    let guarded = |zone: &Zone, shown: &Shown| shown.guarded || zone.acl.is_some() || snapshot.acl.is_some();
    snapshot.zones.iter().enumerate().filter_map(move |(number, zone)| {
        let shown = shown.get(&zone.settings.name)?;
        let visible = shown.public.unwrap_or_else(|| !guarded(zone, shown));
        (visible && could_list(zone, asked)).then_some((number, &**zone, shown))
    })
}

/// Whether a zone is one for such subjects; one that has no data at the moment may be.
fn could_list(zone: &Zone, asked: &Asked) -> bool {
    let kinds = || zone.datasets.iter().flat_map(|dataset| dataset.parts()).map(|(_, part)| part.kind());
    let fits = |kind: Kind| match asked.kind() {
        "ipv4" => kind.has_ip4(),
        "ipv6" => kind.has_addresses() && !kind.has_ip4(),
        _ => kind == Kind::Dnset,
    };
    kinds().next().is_none() || kinds().any(fits)
}

/// What a zone says.
fn answer(snapshot: &Snapshot, number: usize, zone: &Zone, feeder: bool, asked: &Asked) -> ZoneAnswer {
    let (state, entries) = match zone.state {
        _ if zone.settings.retired.is_some() => (ZoneWord::Retired, Vec::new()),
        ZoneState::NotReady | ZoneState::Expired => (ZoneWord::Unavailable, Vec::new()),
        ZoneState::Ready => {
            let entries = look_up(snapshot, number, zone, asked);
            (if entries.is_empty() { ZoneWord::NotListed } else { ZoneWord::Listed }, entries)
        }
    };
    let name = zone.settings.name.to_string().trim_end_matches('.').to_owned();
    ZoneAnswer { zone: name, state, feeder, entries }
}

/// The entries of a zone for a subject.
fn look_up(snapshot: &Snapshot, number: usize, zone: &Zone, asked: &Asked) -> Vec<Entry> {
    let Some(name) = asked.below(&zone.settings.name).map(|name| QueryName::of(&name)) else { return Vec::new() };
    // Where another zone lies below this one, DNS asks that one.
    let Some((_, found, below)) = snapshot.find_zone(&name).filter(|&(_, found, _)| found == number) else {
        return Vec::new();
    };
    debug_assert_eq!(found, number);
    let mut entries = Vec::new();
    let mut text = Text::default();
    zone.look_up_for(&Access::Open, &name, below, &address(&name, below), &mut |found| {
        let Match::Listing(dataset, id, subject) = found else { return };
        for id in dataset.values().members(id) {
            let (code, raw) = dataset.values().get(id);
            let text = dataset.header().template.expand(raw, subject, &mut text).map(readable);
            let entry = Entry { code: std::net::Ipv4Addr::from(code).to_string(), text };
            // As in DNS, where a set has no record twice.
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
    });
    entries
}

/// A text of a zone file for reading: no control characters, and U+FFFD for what is no UTF-8.
fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
