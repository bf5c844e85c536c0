//! The manual and the sample settings say what the program does.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Visitor};

use super::{ZONE, good};
use crate::config::*;

#[test]
fn the_sample_is_good() {
    let settings = Settings::read(Path::new("zones/dnsbld.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(settings.warnings, []);
    assert_eq!(settings.dns.listen, ["127.0.0.1:5353".parse().unwrap()]);
    assert_eq!(settings.http.listen, "127.0.0.1:9353".parse().unwrap());
    let mut kinds = BTreeSet::new();
    for dataset in settings.zones.iter().flat_map(|zone| &zone.datasets) {
        kinds.insert(dataset.kind.name());
        for file in &dataset.files {
            assert!(file.starts_with("zones") && file.is_file(), "{}", file.display());
        }
    }
    assert_eq!(kinds.len(), crate::dataset::Kind::ALL.len(), "a sample for each type: {kinds:?}");
}

/// Asks a type for the keys that serde knows, and gives nothing.
struct Keys<'k>(&'k mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("only structs have keys"))
    }

    fn deserialize_struct<V>(self, _: &'static str, keys: &'static [&'static str], _: V) -> Result<V::Value, Error>
    where
        V: Visitor<'de>,
    {
        self.0.extend(keys);
        Err(serde::de::Error::custom("the keys are all that is wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The keys of a table.
fn keys<T: for<'de> Deserialize<'de> + fmt::Debug>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    T::deserialize(Keys(&mut keys)).expect_err("gives keys only");
    keys
}

/// `docs/settings.md` has a heading for each table and below it a row `| key | type | default | meaning |` for each key.
/// Every key must be there, none else, and the default of the manual must be the default of the program.
#[test]
fn the_manual_is_complete() {
    let sections = [
        ("Top level", keys::<Settings>(), ""),
        ("[dns]", keys::<Dns>(), "[dns]\n"),
        ("[dns.tcp]", keys::<Tcp>(), "[dns.tcp]\n"),
        ("[dns.cookies]", keys::<Cookies>(), "[dns.cookies]\n"),
        ("[dns.rate-limit]", keys::<RateLimit>(), "[dns.rate-limit]\n"),
        ("[tls]", keys::<Tls>(), "[tls]\n"),
        ("[http]", keys::<Http>(), "[http]\n"),
        ("[public]", keys::<Public>(), "[public]\n"),
        ("[public.page]", keys::<Page>(), "[public.page]\n"),
        ("[load]", keys::<Load>(), "[load]\n"),
        ("[acl]", keys::<Acl>(), "[acl]\n"),
        ("[feed]", keys::<Feed>(), "[feed]\n"),
        ("[feed.joe-jobs]", keys::<JoeJobs>(), "[feed.joe-jobs]\n"),
        ("[relation]", keys::<Relation>(), "[relation]\n"),
        ("[feed.policy]", keys::<Policy>(), "[feed.policy]\n"),
        ("[feed.weights]", keys::<Weights>(), "[feed.weights]\n"),
        ("[feed.protection]", keys::<Protection>(), "[feed.protection]\n"),
        ("[feed.export]", keys::<Export>(), "[feed.export]\n"),
        ("[[feed.source]]", keys::<FeedSource>(), "[[feed.source]]\n"),
        ("[[zone]]", keys::<Zone>(), ZONE),
        (
            "datasets of [[zone]]",
            keys::<Dataset>(),
            "[[zone]]\nname = 'bl.example.org'\ndatasets = [{ type = 'ip4set', files = ['bl.zone'], ",
        ),
        (
            "[zone.guard]",
            keys::<Guard>(),
            "[[zone]]\nname = 'bl.example.org'\ndatasets = [{ type = 'ip4set', files = ['bl.zone'] }]\n[zone.guard]\n",
        ),
    ];
    // Tables have sections of their own.
    let tables = [
        "dns",
        "tcp",
        "cookies",
        "rate-limit",
        "tls",
        "http",
        "public",
        "page",
        "load",
        "acl",
        "feed",
        "joe-jobs",
        "relation",
        "source",
        "policy",
        "weights",
        "protection",
        "export",
        "zone",
        "guard",
    ];
    let manual = std::fs::read_to_string("docs/settings.md").expect("run in the package's directory");
    let defaults = good(ZONE);
    let mut found = BTreeSet::new();
    let mut section = None;
    for line in manual.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = sections.iter().find(|(name, ..)| *name == heading.replace('`', ""));
            continue;
        }
        let Some((name, keys, before)) = section else { continue };
        let Some(row) = line.strip_prefix("| `") else { continue };
        let cells: Vec<&str> = row.split(" | ").collect();
        let key = cells[0].trim_matches('`');
        assert!(keys.contains(&key), "docs/settings.md has `{key}` in {name}, the program does not");
        assert!(found.insert((*name, key)), "docs/settings.md has `{key}` in {name} twice");
        let default = cells[2].trim_matches('`');
        if matches!(default, "required" | "none") {
            continue;
        }
        if *name == "[[feed.source]]" {
            // Each key below a type that has it.
            let other = match key {
                "journalctl" => "type = 'journal'\nunits = ['x']\n",
                "peers" | "allow-udp" => "type = 'syslog'\ntcp = '127.0.0.1:0'\n",
                "body-octets-max" | "spool-octets-max" => "type = 'http'\n",
                _ => "type = 'file'\npath = 'x'\n",
            };
            let (bare, read) = (good(&format!("{before}{other}")), good(&format!("{before}{other}{key} = {default}")));
            assert_eq!(bare, read, "the default of `{key}` in {name} of docs/settings.md");
            continue;
        }
        let close = if before.ends_with(", ") { " }]" } else { "" };
        let mut read = good(&format!("{before}{key} = {default}{close}"));
        if read.zones.is_empty() {
            (read.zones, read.warnings) = (defaults.zones.clone(), Vec::new());
        }
        assert_eq!(read, defaults, "the default of `{key}` in {name} of docs/settings.md");
    }
    for (name, keys, _) in &sections {
        // `tls` is a table at the top and a key of [public].
        for key in keys.iter().filter(|key| !tables.contains(key) || (*name == "[public]" && **key == "tls")) {
            assert!(found.contains(&(*name, *key)), "docs/settings.md lacks `{key}` in {name}");
        }
    }
}

#[test]
fn the_examples_of_the_manual_are_good() {
    let manual = std::fs::read_to_string("docs/settings.md").expect("run in the package's directory");
    let examples: Vec<&str> = manual.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 8, "one for each section");
    for example in examples {
        let zone = if example.starts_with("datasets") { "[[zone]]\nname = 'bl.example.org'\n" } else { "" };
        good(&format!("{zone}{example}"));
    }
}
