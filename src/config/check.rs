//! What only the whole of the settings tells: names that meet, bounds that cross, sections that miss something.

use std::collections::HashMap;

use super::place::{Map, Step};
use super::{Settings, SettingsError, Zone, feed, joe_jobs, public, relation, tls};
use crate::dataset::Kind;
use crate::diag::{Diagnostic, Severity};
use crate::wire::name::Name;

/// Note where files with secrets are named; (0, 0) where none is.
fn note_files(settings: &mut Settings, map: &Map<'_>) {
    let at = |is_named: bool, path: &[Step<'_>]| if is_named { map.position(path) } else { (0, 0) };
    let places = &mut settings.places;
    places.cookie_secrets =
        at(settings.dns.cookies.secret_file.is_some(), &["dns", "cookies", "secret-file"].map(Step::Key));
    places.page_token = at(settings.public.page.token_file.is_some(), &["public", "page", "token-file"].map(Step::Key));
    let jobs = &settings.feed.joe_jobs;
    places.webhook_secret =
        at(jobs.webhook_secret_file.is_some(), &["feed", "joe-jobs", "webhook-secret-file"].map(Step::Key));
    let source = |n| [Step::Key("feed"), Step::Key("source"), Step::Index(n), Step::Key("token-file")];
    let sources = settings.feed.sources.iter().enumerate();
    places.source_tokens = sources.map(|(n, each)| at(each.token_file.is_some(), &source(n))).collect();
}

/// Check settings as a whole, note where each zone stands, and collect warnings. Errors: the first thing that can not be.
pub(super) fn settings(settings: &mut Settings, map: &Map<'_>) -> Result<(), SettingsError> {
    listeners(settings, map)?;
    feed::check(&mut settings.feed, &settings.http, map)?;
    joe_jobs::check(settings, map)?;
    relation::check(settings, map)?;
    public::check(settings, map)?;
    tls::check(settings, map)?;
    note_files(settings, map);
    let mut seen = HashMap::new();
    for (at, zone) in settings.zones.iter_mut().enumerate() {
        let path = [Step::Key("zone"), Step::Index(at), Step::Key("name")];
        if zone.name == Name::root() {
            let message = "`name` is missing in [[zone]]; add one, such as name = \"bl.example.org\"";
            return Err(map.fault(&path, message.to_owned()));
        }
        zone.place = map.position(&path);
        if let Some(first) = seen.insert(zone.name.clone(), zone.place.0) {
            let message = format!(
                "zone `{}` is named twice, first in line {first}; put all its datasets into one [[zone]]",
                zone.name
            );
            return Err(map.fault(&path, message));
        }
        whole_zone(zone, at, map)?;
    }
    // Without DNS nobody asks: a feeder alone.
    if settings.zones.is_empty() && !(settings.dns.listen.is_empty() && settings.feed.enabled) {
        settings.warnings.push(Diagnostic {
            severity: Severity::Warning,
            file: settings.file.clone(),
            line: 0,
            column: 0,
            message: "no [[zone]] is given, so every query will be refused".to_owned(),
            hint: "add a [[zone]] with name and datasets".to_owned(),
        });
    }
    if settings.feed.enabled && settings.feed.sources.is_empty() {
        let (line, column) = map.position(&[Step::Key("feed"), Step::Key("enabled")]);
        settings.warnings.push(Diagnostic {
            severity: Severity::Warning,
            file: settings.file.clone(),
            line,
            column,
            message: "the feeder is enabled, but no [[feed.source]] is given, so it reads nothing".to_owned(),
            hint: "add a [[feed.source]] with type and path".to_owned(),
        });
    }
    Ok(())
}

/// HTTP and DNS over TCP can not share an address.
fn listeners(settings: &Settings, map: &Map<'_>) -> Result<(), SettingsError> {
    let http = settings.http.listen;
    if settings.http.enabled && http.port() != 0 && settings.dns.listen.contains(&http) {
        let message = format!("`listen` in [http] is {http}, which [dns] takes for TCP; give it another port");
        // Where [http] only has its default, [dns] is what can be seen.
        let section = if map.position(&[Step::Key("http")]) == (0, 0) { "dns" } else { "http" };
        return Err(map.fault(&[Step::Key(section), Step::Key("listen")], message));
    }
    Ok(())
}

/// One zone: its datasets and its TTLs.
fn whole_zone(zone: &Zone, at: usize, map: &Map<'_>) -> Result<(), SettingsError> {
    let (name, here) = (&zone.name, [Step::Key("zone"), Step::Index(at)]);
    let under = |key| [here[0], here[1], Step::Key(key)];
    // A retired zone lists nothing, so it needs no data.
    if zone.datasets.is_empty() && !zone.retired {
        let message = format!(
            "zone `{name}` has no `datasets`; add datasets = [{{ type = \"ip4set\", files = [\"bl.zone\"] }}], or retired = true"
        );
        return Err(map.fault(&under("datasets"), message));
    }
    for (index, dataset) in zone.datasets.iter().enumerate() {
        if dataset.files.is_empty() {
            let message = format!("the {} of zone `{name}` has no `files`; name at least one", dataset.kind);
            let path = [here[0], here[1], Step::Key("datasets"), Step::Index(index), Step::Key("files")];
            return Err(map.fault(&path, message));
        }
    }
    let mut acls = zone.datasets.iter().enumerate().filter(|(_, dataset)| dataset.kind == Kind::Acl);
    let first = acls.next();
    if let Some((index, _)) = acls.next() {
        let message = format!("zone `{name}` has a second acl; put the files of both into one");
        let path = [here[0], here[1], Step::Key("datasets"), Step::Index(index), Step::Key("type")];
        return Err(map.fault(&path, message));
    }
    if first.is_some() && zone.datasets.len() == 1 && !zone.retired {
        let message = format!(
            "zone `{name}` has nothing but an acl, which lists nothing; add a dataset of another type, or retired = true"
        );
        return Err(map.fault(&under("datasets"), message));
    }
    let (ttl, min, max) = (zone.ttl, zone.ttl_min, zone.ttl_max);
    if min > max {
        let message = format!("`ttl-min` of zone `{name}` is {min} s, more than its `ttl-max` of {max} s");
        return Err(map.fault(&under("ttl-min"), message));
    }
    if ttl < min || ttl > max {
        let message =
            format!("`ttl` of zone `{name}` is {ttl} s, outside of its `ttl-min` and `ttl-max`, {min}–{max} s");
        return Err(map.fault(&under("ttl"), message));
    }
    if zone.retired && zone.retired_text.is_empty() {
        let message = format!("`retired-text` of zone `{name}` is empty; say why the list has ended");
        return Err(map.fault(&under("retired-text"), message));
    }
    Ok(())
}
