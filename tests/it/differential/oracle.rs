//! What may differ between the two servers, and exactly how.
//!
//! A difference in how a *line* is read is written into the file that rbldnsd gets, see `translate`: it reads the line
//! as ours is meant to. A difference in an *answer* rewrites what rbldnsd answered, under a condition that does not ask our
//! own code. Either way the two must then agree: a difference without a class fails, and so does a class whose
//! difference is not made. Classes are rows of the table in `differences.rs`.

use std::collections::{BTreeMap, BTreeSet};

use dnsbld::dataset::Kind;

use super::ask::{Answer, Record};
use super::facts::Facts;
use super::generate::{Labels, Question, UNHEARD_OF};
use super::translate::{ITS_FIRST_TIME, is_ip4, is_ip6, lower};

/// A row of the table of differences that this test meets; the table says more of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// "CRLF".
    CarriageReturn,
    /// "byte order mark".
    ByteOrderMark,
    /// "file time 0".
    FileTime,
    /// "bad name in `$NS`".
    BadServer,
    /// "times after 2038".
    LateTimes,
    /// "bad line of generic".
    GenericFatal,
    /// "nine words and two `::`".
    IpSixGarbage,
    /// "partial address".
    PartialAddress,
    /// "empty non-terminal".
    EmptyNonTerminal,
    /// "name above another zone".
    AboveZone,
    /// "ordinary types of high number".
    HighType,
    /// "negative TTL capped".
    NegativeTtl,
    /// "TTL beyond 31 bits".
    TimeOver31Bits,
    /// "mapped addresses in IPv6 datasets".
    Mapped,
    /// "TXT of 255 octets and more".
    LongText,
    /// "many name servers".
    ManyServers,
    /// "addresses of name servers under -a".
    GlueUnderMinimal,
    /// "sets with a text of 255 octets".
    LongSet,
    /// "addresses from zones not served".
    GlueOfUnserved,
    /// "name servers with one address".
    SharedGlue,
    /// "truncation".
    TooLarge,
    /// "UDP answers of at most 1232 octets".
    UdpSize,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 22] = [
        Self::CarriageReturn,
        Self::ByteOrderMark,
        Self::FileTime,
        Self::BadServer,
        Self::LateTimes,
        Self::GenericFatal,
        Self::IpSixGarbage,
        Self::PartialAddress,
        Self::EmptyNonTerminal,
        Self::AboveZone,
        Self::HighType,
        Self::NegativeTtl,
        Self::TimeOver31Bits,
        Self::Mapped,
        Self::LongText,
        Self::ManyServers,
        Self::GlueUnderMinimal,
        Self::LongSet,
        Self::GlueOfUnserved,
        Self::SharedGlue,
        Self::TooLarge,
        Self::UdpSize,
    ];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::CarriageReturn => "CRLF",
            Self::ByteOrderMark => "byte order mark",
            Self::FileTime => "file time 0",
            Self::BadServer => "bad name in `$NS`",
            Self::LateTimes => "times after 2038",
            Self::GenericFatal => "bad line of generic",
            Self::IpSixGarbage => "nine words and two `::`",
            Self::PartialAddress => "partial address",
            Self::EmptyNonTerminal => "empty non-terminal",
            Self::AboveZone => "name above another zone",
            Self::HighType => "ordinary types of high number",
            Self::NegativeTtl => "negative TTL capped",
            Self::TimeOver31Bits => "TTL beyond 31 bits",
            Self::Mapped => "mapped addresses in IPv6 datasets",
            Self::LongText => "TXT of 255 octets and more",
            Self::ManyServers => "many name servers",
            Self::GlueUnderMinimal => "addresses of name servers under -a",
            Self::LongSet => "sets with a text of 255 octets",
            Self::GlueOfUnserved => "addresses from zones not served",
            Self::SharedGlue => "name servers with one address",
            Self::TooLarge => "truncation",
            Self::UdpSize => "UDP answers of at most 1232 octets",
        }
    }
}

/// How often each class was met.
pub type Hits = BTreeMap<Class, u64>;

/// Largest TTL (RFC 2181 section 8).
const TTL_MAX: u32 = i32::MAX as u32;
/// Response codes by name.
pub const NOERROR: u8 = 0;
/// See above.
pub const NXDOMAIN: u8 = 3;
/// See above.
const NOTIMP: u8 = 4;
/// Type SOA.
pub const SOA: u16 = 6;
/// Type TXT.
pub const TXT: u16 = 16;

/// rbldnsd's answers to a question and to those that stand in for it.
pub struct Theirs<'a> {
    /// To the question itself.
    pub answer: &'a Answer,
    /// To the same name with an ordinary type.
    pub ordinary: Option<&'a Answer>,
    /// To the same name in the zone without its IPv4 datasets.
    pub only6: Option<&'a Answer>,
}

/// What ours must answer, given what rbldnsd answers; and the classes that make the difference.
pub fn expected(question: &Question, theirs: &Theirs<'_>, facts: &Facts) -> (Answer, Vec<Class>) {
    let mut answer = theirs.answer.clone();
    let mut classes = Vec::new();
    let name = lower(&question.name);
    if let Some(ordinary) = theirs.ordinary
        && answer.rcode == NOTIMP
        && !answer.aa
    {
        answer = ordinary.clone();
        classes.push(Class::HighType);
    }
    if !name.ends_with(&facts.own) {
        return (answer, classes);
    }
    if let Some(only6) = theirs.only6 {
        let before = answer.clone();
        unite(&mut answer, only6, facts);
        if answer != before {
            classes.push(Class::Mapped);
        }
    }
    if answer.rcode == NXDOMAIN && answer.aa {
        let class = if facts.zones.iter().any(|zone| zone.len() > name.len() && zone.ends_with(&name)) {
            Some(Class::AboveZone)
        } else if is_partial(&name, facts) {
            Some(Class::PartialAddress)
        } else if facts.above.contains(&name) && (!facts.excluded.contains(&name) || facts.is_written_above(&name)) {
            Some(Class::EmptyNonTerminal)
        } else {
            None
        };
        if let Some(class) = class {
            answer.rcode = NOERROR;
            classes.push(class);
        }
    }
    if let (Some((_, own, _)), true) = (&facts.soa, answer.records.is_empty()) {
        let authority = std::mem::take(&mut answer.authority);
        for (rtype, ttl, data) in authority {
            if rtype == SOA && ttl > *own {
                classes.push(Class::NegativeTtl);
                answer.authority.insert((rtype, *own, data));
            } else {
                answer.authority.insert((rtype, ttl, data));
            }
        }
    }
    if answer.records.iter().any(|(rtype, _, data)| *rtype == TXT && data.len() >= 255) {
        let even = under_least_ttl(answer.records.iter());
        if even != answer.records {
            answer.records = even;
            classes.push(Class::LongSet);
        }
    }
    let mut clamped = false;
    for records in [&mut answer.records, &mut answer.authority] {
        *records = std::mem::take(records).into_iter().map(|record| clamp(record, &mut clamped)).collect();
    }
    let glue = std::mem::take(&mut answer.additional);
    answer.additional = glue.into_iter().map(|(owner, record)| (owner, clamp(record, &mut clamped))).collect();
    if clamped {
        classes.push(Class::TimeOver31Bits);
    }
    (answer, classes)
}

/// Cut a record's times to 31 bits, and give a serial back its time 0.
fn clamp((rtype, mut ttl, mut data): Record, clamped: &mut bool) -> Record {
    let mut cut = |value: u32| {
        *clamped |= value > TTL_MAX;
        value.min(TTL_MAX)
    };
    ttl = cut(ttl);
    if rtype == SOA {
        // Serial, refresh, retry, expire and minimum stand at the end.
        let at = data.len() - 16;
        if data[at - 4..at] == (ITS_FIRST_TIME as u32).to_be_bytes() {
            data[at - 4..at].fill(0);
        }
        for time in data[at..].chunks_exact_mut(4) {
            let value = cut(u32::from_be_bytes([time[0], time[1], time[2], time[3]]));
            time.copy_from_slice(&value.to_be_bytes());
        }
    }
    (rtype, ttl, data)
}

/// Put what the zone answers without its IPv4 datasets beside what it answers with them.
fn unite(answer: &mut Answer, more: &Answer, facts: &Facts) {
    if more.rcode != NOERROR || !matches!(answer.rcode, NOERROR | NXDOMAIN) {
        return;
    }
    answer.rcode = NOERROR;
    if answer.records.is_empty() && !more.records.is_empty() {
        if facts.full {
            (answer.authority, answer.additional) = (facts.ns.clone(), facts.glue.clone());
        } else {
            answer.authority.clear();
        }
    }
    answer.records = under_least_ttl(answer.records.iter().chain(&more.records));
}

/// The same records, those of each type under the least of their TTLs.
fn under_least_ttl<'a>(records: impl Iterator<Item = &'a Record> + Clone) -> BTreeSet<Record> {
    let mut least: BTreeMap<u16, u32> = BTreeMap::new();
    for (rtype, ttl, _) in records.clone() {
        let known = least.entry(*rtype).or_insert(*ttl);
        *known = (*known).min(*ttl);
    }
    records.map(|(rtype, _, data)| (*rtype, least[rtype], data.clone())).collect()
}

/// The labels of a name before the mount that it lies in, and the types there, for each dataset.
fn places<'a>(name: &'a Labels, facts: &'a Facts) -> impl Iterator<Item = (&'a [Vec<u8>], Kind)> {
    let relative = &name[..name.len() - facts.own.len()];
    facts.mounts.iter().flat_map(move |mounts| {
        // Of the sections of one dataset only those at the deepest mount are asked.
        let deepest = (0..=relative.len()).find_map(|n| Some((n, mounts.get(&relative[n..])?)));
        deepest.into_iter().flat_map(move |(n, kinds)| kinds.iter().map(move |kind| (&relative[..n], *kind)))
    })
}

/// Whether a name is a part of an address in the section that it lies in.
fn is_partial(name: &Labels, facts: &Facts) -> bool {
    places(name, facts).any(|(labels, kind)| is_part_of(labels, kind))
}

/// Whether a name may be absent although it seems to have names below it.
///
/// Either it is a part of an IPv6 address and a complete IPv4 address as well, beside an IPv4 list: then it exists only if
/// something is listed below it, and no question happened to meet that. Or it is excluded, a wildcard above it lists
/// names below it, and whether the lines about those names count can not be told from answers.
pub fn may_be_absent(name: &Labels, facts: &Facts) -> bool {
    let name = lower(name);
    let digit = |label: &Vec<u8>| label.len() == 1 && label[0].is_ascii_digit();
    let is_both = |(labels, kind): (&[Vec<u8>], Kind)| is_ip6(kind) && labels.len() == 4 && labels.iter().all(digit);
    let has_ip4 = facts.mounts.iter().flat_map(|mounts| mounts.values()).flatten().any(|kind| is_ip4(*kind));
    has_ip4 && !facts.above.contains(&name) && places(&name, facts).any(is_both)
        || facts.excluded.contains(&name) && facts.is_written_above(&name)
}

/// Whether a name may be there although nothing below it is known: a line speaks of a name below it that is too long to
/// be asked about.
pub fn may_be_there(name: &Labels, facts: &Facts) -> bool {
    let name = lower(name);
    let is_too_long = |(other, below): &(Labels, bool)| {
        let octets: usize = other.iter().map(|label| label.len() + 1).sum();
        other.ends_with(&name) && octets + usize::from(*below) * (UNHEARD_OF.len() + 1) >= 255
    };
    facts.written.iter().any(is_too_long)
}

/// Whether labels are a part of an address of a type.
fn is_part_of(labels: &[Vec<u8>], kind: Kind) -> bool {
    let text = |label: &Vec<u8>| String::from_utf8_lossy(label).into_owned();
    let octet =
        |label: &Vec<u8>| label.len() <= 3 && label.iter().all(u8::is_ascii_digit) && text(label).parse::<u8>().is_ok();
    let nibble = |label: &Vec<u8>| label.len() == 1 && label[0].is_ascii_hexdigit();
    let octets = (1..=3).contains(&labels.len()) && labels.iter().all(octet);
    let nibbles = (1..=31).contains(&labels.len()) && labels.iter().all(nibble);
    // The nibbles from the top: mapped addresses begin with 20 zeros and ffff, 6to4 with 2002.
    let top: String = labels.iter().rev().map(text).collect();
    let embeds =
        ["00000000000000000000ffff", "2002"].iter().any(|start| start.starts_with(&*top) || top.starts_with(start));
    is_ip4(kind) && (octets || nibbles && embeds) || is_ip6(kind) && nibbles
}
