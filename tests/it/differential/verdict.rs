//! Our answer held against the expected one, and the differences that only both of them tell.

use std::collections::BTreeSet;

use super::ask::{Answer, Record};
use super::facts::{Facts, NS};
use super::oracle::{Class, NOERROR, NXDOMAIN, TXT};

/// Octets of an EDNS record, which rbldnsd adds to large answers only.
const OPT_LEN: usize = 11;
/// The most that rbldnsd sends over UDP, octets.
const THEIR_LIMIT: usize = 2_048;
/// The most that ours sends.
const OUR_LIMIT: usize = 1_232;
/// The least that each client takes.
const LIMIT_MIN: usize = 512;

/// What an answer of ours has against what is expected, or the classes that only the two answers tell. `whole` is our
/// answer over TCP, `edns` the size that the client takes.
pub fn judge(
    expected: &Answer,
    ours: &Answer,
    whole: impl FnOnce() -> Answer,
    edns: Option<u16>,
    facts: &Facts,
) -> Result<Vec<Class>, String> {
    if ours.repeated {
        return Err("a record twice".into());
    }
    let limit = edns.map_or(LIMIT_MIN, usize::from).clamp(LIMIT_MIN, THEIR_LIMIT);
    let answers = expected.rcode == NOERROR || expected.rcode == NXDOMAIN;
    // What rbldnsd left something out of is known by its flag; but name servers go without one.
    let was_cut = answers && (!expected.aa || expected.octets + OPT_LEN > limit.min(OUR_LIMIT));
    if was_cut || ours.tc {
        return judge_cut(expected, ours, &whole(), limit, facts);
    }
    if (expected.rcode, expected.aa) != (ours.rcode, ours.aa) {
        return Err("another code or AA".into());
    }
    if expected.ttls() != ours.ttls() {
        return Err("other TTLs".into());
    }
    let mut classes = Vec::new();
    if !expected.data().iter().filter(|(rtype, _)| *rtype == NS).all(|record| ours.data().contains(record)) {
        return Err("a name server is missing".into());
    }
    let uncompressed: usize = expected.authority.iter().map(record_octets).sum();
    let all = expected;
    let (left, right) = (without_servers(expected, facts), without_servers(ours, facts));
    if left != *expected || right != *ours {
        classes.push(Class::ManyServers);
    }
    let (expected, ours) = (&left, &right);
    same_records(expected, ours, &mut classes)?;
    if expected.authority != ours.authority {
        // They are a courtesy: where there is no room for all of them there are none, and that is no truncation.
        let courtesy = |answer: &Answer| answer.authority.iter().all(|(rtype, ..)| *rtype == NS);
        if courtesy(expected) && ours.authority.is_empty() && ours.octets + uncompressed > limit.min(OUR_LIMIT) {
            classes.push(Class::TooLarge);
        } else if courtesy(ours) && expected.authority.is_empty() && expected.repeated {
            // The record that it sends twice took their room.
            classes.push(Class::LongSet);
        } else {
            return Err("another authority section".into());
        }
        return Ok(classes);
    }
    if expected.additional != ours.additional {
        let mut missing = expected.additional.difference(&ours.additional);
        let no_room = |(owner, record): &(Vec<u8>, Record)| {
            ours.octets + owner.len() + record_octets(record) > limit.min(OUR_LIMIT)
        };
        if ours.additional.is_subset(&expected.additional) && missing.all(no_room) {
            classes.push(Class::TooLarge);
        } else {
            classes.extend(glue(expected, ours, all, facts)?);
        }
    }
    Ok(classes)
}

/// Octets of a record owned by the zone whose data is not compressed.
fn record_octets((_, _, data): &Record) -> usize {
    12 + data.len()
}

/// The same where one of the answers is too large for its message: what is there must be right, and TCP has it all.
fn judge_cut(
    expected: &Answer,
    ours: &Answer,
    whole: &Answer,
    limit: usize,
    facts: &Facts,
) -> Result<Vec<Class>, String> {
    let mut classes = Vec::new();
    if (whole.rcode, whole.aa, whole.tc) != (expected.rcode, true, false) {
        return Err("another code over TCP".into());
    }
    if (ours.rcode, ours.aa) != (expected.rcode, true) {
        return Err("another code".into());
    }
    if !ours.data().is_subset(&whole.data()) || !ours.tc && ours.data() != whole.data() {
        return Err("not what TCP says".into());
    }
    if ours.tc && whole.octets <= limit.min(OUR_LIMIT) {
        return Err(format!("cut without need: {} octets", whole.octets));
    }
    if expected.aa && expected.ttls() != whole.ttls() {
        return Err("other TTLs over TCP".into());
    }
    let (left, right) = (without_servers(expected, facts), without_servers(whole, facts));
    if left != *expected || right != *whole {
        classes.push(Class::ManyServers);
    }
    for record in left.data() {
        if !right.data().contains(&record) && !right.data().iter().any(|other| is_cut_of(record, *other)) {
            return Err(format!("a record of type {} is missing over TCP", record.0));
        }
    }
    // rbldnsd has room for it all, unless it says by its flag that it has not.
    for record in right.data().into_iter().filter(|_| expected.aa) {
        if !left.data().contains(&record) && !left.data().iter().any(|other| is_cut_of(*other, record)) {
            return Err(format!("a record of type {} too many over TCP", record.0));
        }
    }
    if ours.tc && whole.octets <= limit {
        classes.push(Class::UdpSize);
    }
    if !expected.aa || whole.octets > limit {
        classes.push(Class::TooLarge);
    }
    Ok(classes)
}

/// An answer without the name servers of which rbldnsd got a part only.
fn without_servers(answer: &Answer, facts: &Facts) -> Answer {
    let mut answer = answer.clone();
    let many = |(rtype, _, data): &Record| *rtype == NS && facts.servers.contains(data);
    answer.records.retain(|record| !many(record));
    answer.authority.retain(|record| !many(record));
    answer.additional.retain(|(owner, _)| !facts.servers.contains(owner));
    answer
}

/// Whether a text is another one cut off.
fn is_cut_of((rtype, cut): (u16, &[u8]), (other_type, text): (u16, &[u8])) -> bool {
    /// rbldnsd cuts at 255 octets of input, of which templates may take some back, and at 254 of output.
    const CUT_FROM: usize = 200;
    (rtype, other_type) == (TXT, TXT) && cut.len() >= CUT_FROM && text.len() > cut.len() && text.starts_with(cut)
}

/// Whether both answers have the same records, texts of ours longer perhaps.
fn same_records(expected: &Answer, ours: &Answer, classes: &mut Vec<Class>) -> Result<(), String> {
    let (expected, ours) = (expected.data(), ours.data());
    let mut cut = false;
    for &record in expected.difference(&ours) {
        cut = true;
        if !ours.iter().any(|&other| is_cut_of(record, other)) {
            return Err(format!("a record of type {} is missing", record.0));
        }
    }
    for &record in ours.difference(&expected) {
        cut = true;
        if !expected.iter().any(|&other| is_cut_of(other, record)) {
            return Err(format!("a record of type {} too many", record.0));
        }
    }
    if cut {
        classes.push(Class::LongText);
    }
    Ok(())
}

/// The classes by which two additional sections differ; `all` is what rbldnsd answered, with every name server.
fn glue(expected: &Answer, ours: &Answer, all: &Answer, facts: &Facts) -> Result<Vec<Class>, String> {
    let different = || Err("another additional section".into());
    let servers: BTreeSet<_> =
        ours.records.iter().filter(|(rtype, ..)| *rtype == NS).map(|(_, _, name)| name).collect();
    if !facts.full && all.additional.is_empty() {
        let owned = ours.additional.iter().all(|(owner, _)| servers.contains(owner));
        return if owned { Ok(vec![Class::GlueUnderMinimal]) } else { different() };
    }
    let mut classes = Vec::new();
    let of_unserved = |(owner, _): &&(Vec<u8>, Record)| facts.unserved.iter().any(|zone| owner.ends_with(zone));
    let (unserved, served): (Vec<_>, Vec<_>) = expected.additional.iter().partition(of_unserved);
    let data = |(owner, (rtype, _, data)): &(Vec<u8>, Record)| (owner.clone(), *rtype, data.clone());
    let wanted: BTreeSet<_> = served.into_iter().map(data).collect();
    let seen: BTreeSet<_> = ours.additional.iter().map(data).collect();
    if !unserved.is_empty() {
        classes.push(Class::GlueOfUnserved);
    }
    let shared = |(_, rtype, data): &(Vec<u8>, u16, Vec<u8>)| {
        all.additional.iter().any(|(_, (other, _, same))| (other, same) == (rtype, data))
    };
    if !wanted.is_subset(&seen) || !seen.difference(&wanted).all(shared) {
        return different();
    }
    if seen != wanted {
        classes.push(Class::SharedGlue);
    }
    // All have the least of their TTLs, in both; those of zones that are not served count in rbldnsd.
    let ttls = |answer: &Answer| answer.additional.iter().map(|(_, (_, ttl, _))| *ttl).collect::<BTreeSet<_>>();
    let of_all = all.additional.iter().any(|glue| of_unserved(&glue));
    if ttls(ours).len() > 1 || !of_all && ttls(ours) != ttls(all) {
        return Err("another TTL in the additional section".into());
    }
    Ok(classes)
}
