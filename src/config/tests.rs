//! What settings are taken, what they mean, and how the others are refused.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Visitor};

use super::*;

/// The shortest zone there is.
pub(super) const ZONE: &str =
    "[[zone]]\nname = 'bl.example.org'\ndatasets = [{ type = 'ip4set', files = ['bl.zone'] }]\n";

/// Settings that must be good.
pub(super) fn good(text: &str) -> Settings {
    Settings::parse(text, Path::new("etc/dnsbld.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Settings that must be refused with exactly this text after the file's name.
pub(super) fn bad(text: &str, expected: &str) {
    let error = Settings::parse(text, Path::new("dnsbld.toml")).expect_err(text).to_string();
    assert_eq!(error.strip_prefix("dnsbld.toml:").unwrap_or(&error), expected, "\n{text}");
}

#[test]
fn defaults() {
    let settings = good("");
    assert_eq!(settings.state_dir, Path::new("/var/lib/dnsbld"));
    assert_eq!(settings.dns.listen, ["127.0.0.1:5353".parse().unwrap()]);
    assert_eq!((settings.dns.workers, settings.dns.udp_size_max), (Workers::Auto, 1232));
    assert_eq!((settings.dns.version, settings.dns.server_id), (None, None));
    assert_eq!(settings.http.listen, "127.0.0.1:9353".parse().unwrap());
    assert_eq!(settings.load, Load { poll_s: 60, settle_ms: 200, watch: true });
    assert_eq!((&settings.acl, settings.acl.source()), (&Acl::default(), None));
    assert_eq!(settings.zones, []);
    assert_eq!(
        settings.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "etc/dnsbld.toml: warning: no [[zone]] is given, so every query will be refused (add a [[zone]] with name and datasets)"
        ]
    );

    let settings = good(ZONE);
    assert_eq!(settings.warnings, []);
    let zone = &settings.zones[0];
    assert_eq!((zone.ttl, zone.negative_ttl, zone.ttl_min, zone.ttl_max), (2100, 300, 0, i32::MAX as u32));
    assert_eq!(zone.guard, Guard::default());
    assert_eq!((zone.expire, zone.on_expire, zone.retired), (None, OnExpire::Keep, false));
    assert_eq!(zone.place, (2, 8));
    let source = zone.datasets[0].source();
    assert!(source.options.gzip && !source.options.mask_host_bits);
}

#[test]
fn values_are_understood() {
    let settings = good(
        r#"
        state-dir = "state"
        dns = { listen = [], workers = 3, any = "full", authority = "full", version = "x", tcp.idle-ms-max = 500 }
        [http]
        enabled = false
        listen = "[::1]:80"
        [acl]
        files = ["clients.acl"]
        mask-host-bits = true
        [[zone]]
        name = "BL.Example.ORG."
        ns = ["NS1.example.org"]
        rname = "first.last@Example.org"
        ttl = "1h"
        negative-ttl = 0
        expire = "2d"
        on-expire = "servfail"
        datasets = [
            { type = "dnset", files = ["a.zone", "/srv/b.zone"], mask-host-bits = true, gzip = false },
        ]
        [zone.guard]
        loopback = false
        shrink-max = false
        grow-max = 2
        [[zone]]
        name = "old.example.org"
        rname = 'hostmaster.example.org'
        retired = true
        "#,
    );
    assert_eq!(settings.state_dir, Path::new("etc/state"));
    assert_eq!((settings.dns.listen.len(), settings.dns.workers), (0, Workers::Count(3)));
    assert_eq!((settings.dns.any, settings.dns.authority), (AnyAnswer::Full, Authority::Full));
    assert_eq!((settings.dns.version.as_deref(), settings.dns.tcp.idle_ms_max), (Some("x"), 500));
    let acl = settings.acl.source().unwrap();
    assert_eq!((acl.kind, acl.files), (crate::dataset::Kind::Acl, vec!["etc/clients.acl".into()]));
    assert!(acl.options.mask_host_bits && acl.options.gzip);
    let [zone, old] = settings.zones.as_slice() else { panic!("two zones") };
    assert_eq!(zone.name.to_string(), "bl.example.org");
    assert_eq!(zone.ns[0].to_string(), "ns1.example.org");
    assert_eq!(zone.rname.as_ref().unwrap().to_string(), "first\\.last.example.org");
    assert_eq!((zone.ttl, zone.negative_ttl, zone.expire), (3600, 0, Some(172_800)));
    assert_eq!(zone.on_expire, OnExpire::Servfail);
    let dataset = &zone.datasets[0];
    assert_eq!(dataset.files, [Path::new("etc/a.zone"), Path::new("/srv/b.zone")]);
    assert_eq!((dataset.kind, dataset.mask_host_bits, dataset.gzip), (crate::dataset::Kind::Dnset, true, false));
    assert_eq!(
        zone.guard,
        Guard { loopback: false, world: true, invalid_name: true, shrink_max: None, grow_max: Some(2.0) }
    );
    assert_eq!(old.rname.as_ref().unwrap().to_string(), "hostmaster.example.org");
    assert!(old.retired && old.datasets.is_empty());
}

#[test]
fn durations() {
    for (text, expected) in [
        ("1", Some(1)),
        ("2147483647", Some(i32::MAX as u32)),
        ("'90'", Some(90)),
        ("'90s'", Some(90)),
        ("'35m'", Some(2_100)),
        ("'1h'", Some(3_600)),
        ("'2d'", Some(172_800)),
        ("'1w'", Some(604_800)),
        ("0", None),
        ("-1", None),
        ("2147483648", None),
        ("'4000w'", None),
        ("'99999999999'", None),
        ("''", None),
        ("'m'", None),
        ("'1.5h'", None),
        ("'1h30m'", None),
        ("'1 h'", None),
        ("'1H'", None),
        ("1.5", None),
        ("true", None),
    ] {
        let read = Settings::parse(&format!("{ZONE}ttl = {text}"), Path::new("dnsbld.toml"));
        assert_eq!(read.as_ref().map(|s| s.zones[0].ttl).ok(), expected, "{text}: {read:?}");
    }
}

#[test]
fn unknown_and_missing_keys() {
    bad(
        "lisen = 1",
        "1:1: unknown key `lisen` in the settings; known keys are state-dir, dns, tls, http, public, load, acl, feed, relation, zone",
    );
    bad("\n[dns]\nlisen = []", "3:1: unknown key `lisen` in [dns]; did you mean `listen`?");
    bad(
        "[dns]\n  idle = 1",
        "2:3: unknown key `idle` in [dns]; known keys are listen, workers, pin, udp-size-max, authority, any, version, server-id, receive-buffer, tcp, cookies, rate-limit",
    );
    bad("[dns.tcp]\nidle-max-ms = 1", "2:1: unknown key `idle-max-ms` in [dns.tcp]; did you mean `idle-ms-max`?");
    bad("[htpp]\nenabled = true", "1:2: unknown key `htpp` in the settings; did you mean `http`?");
    bad("[fede]", "1:2: unknown key `fede` in the settings; did you mean `feed`?");
    bad(&format!("{ZONE}nss = []"), "4:1: unknown key `nss` in [[zone]]; did you mean `ns`?");
    bad(
        &format!("{ZONE}[zone.guard]\nshrink_max = 1"),
        "5:1: unknown key `shrink_max` in [zone.guard]; did you mean `shrink-max`?",
    );
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = [\n { type = 'dnset', file = ['a'] }]",
        "4:20: unknown key `file` in `datasets` of [[zone]]; did you mean `files`?",
    );
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = [{ files = ['a'] }]",
        "3:13: `type` is missing in `datasets` of [[zone]]",
    );
    bad("\n[[zone]]\nns = []", "2:1: `name` is missing in [[zone]]; add one, such as name = \"bl.example.org\"");
}

#[test]
fn bad_values() {
    for (line, expected) in [
        ("listen = ['127.0.0.1']", "2:11: `listen` in [dns]: \"127.0.0.1\" has no port; write \"127.0.0.1:53\""),
        ("listen = ['::1']", "2:11: `listen` in [dns]: \"::1\" has no port; write \"[::1]:53\""),
        (
            "listen = ['127.0.0.1:53', 'localhost:53']",
            "2:27: `listen` in [dns]: \"localhost:53\" is no address with a port, such as \"127.0.0.1:53\" or \"[::1]:53\"; host names are not looked up",
        ),
        (
            "listen = '127.0.0.1:53'",
            "2:10: `listen` in [dns]: expected an array; put the value into brackets: [\"127.0.0.1:53\"]",
        ),
        ("listen = ['[::1]:53', '[::1]:53']", "2:10: `listen` in [dns]: [::1]:53 is named twice; remove one"),
        (
            "listen = [53]",
            "2:11: `listen` in [dns]: 53 will not do; expected an address with its port, such as \"127.0.0.1:53\" or \"[::1]:53\"",
        ),
        (
            "udp-size-max = 511",
            "2:16: `udp-size-max` in [dns]: 511 will not do; expected a whole number from 512 to 4096",
        ),
        (
            "udp-size-max = 4097",
            "2:16: `udp-size-max` in [dns]: 4097 will not do; expected a whole number from 512 to 4096",
        ),
        ("workers = 0", "2:11: `workers` in [dns]: 0 will not do; expected \"auto\" or a whole number from 1 to 256"),
        (
            "workers = 'many'",
            "2:11: `workers` in [dns]: \"many\" will not do; expected \"auto\" or a whole number from 1 to 256",
        ),
        ("pin = 'yes'", "2:7: `pin` in [dns]: \"yes\" will not do; expected true or false"),
        ("authority = 'ful'", "2:13: `authority` in [dns]: \"ful\" is not known; did you mean \"full\"?"),
        ("any = 'none'", "2:7: `any` in [dns]: \"none\" is not known; did you mean \"one\"?"),
        ("any = 'all'", "2:7: `any` in [dns]: \"all\" will not do; expected one of \"one\", \"full\""),
        ("any = true", "2:7: `any` in [dns]: true will not do; expected one of \"one\", \"full\""),
        ("version = 1", "2:11: `version` in [dns]: 1 will not do; expected a string"),
        ("version = []", "2:11: `version` in [dns]: an array will not do; expected a string"),
        ("server-id = 2020-01-01", "2:13: `server-id` in [dns]: a table or a date will not do; expected a string"),
        (
            "tcp.idle-ms-max = 0",
            "2:19: `idle-ms-max` in [dns.tcp]: 0 will not do; expected a whole number from 10 to 3600000",
        ),
        (
            "tcp.idle-ms-max = 0.5",
            "2:19: `idle-ms-max` in [dns.tcp]: 0.5 will not do; expected a whole number from 10 to 3600000",
        ),
    ] {
        bad(&format!("[dns]\n{line}"), expected);
    }
    let long = "x".repeat(256);
    bad(
        &format!("[dns]\nversion = '{long}'"),
        "2:11: `version` in [dns]: the text has 256 octets; expected at most 255, as one TXT string holds no more",
    );
    bad("state-dir = ''", "1:13: `state-dir` in the settings: \"\" will not do; expected a path");
    bad("[http]\nlisten = '[::1]'", "2:10: `listen` in [http]: \"[::1]\" has no port; write \"[::1]:53\"");
}

#[test]
fn bad_zones() {
    for (name, expected) in [
        ("''", "2:8: `name` in [[zone]]: \"\" is no domain name: a name is missing"),
        (
            "'.'",
            "2:8: `name` in [[zone]]: the root zone can not be served as a list; name a zone below it, such as \"bl.example.org\"",
        ),
        ("'a..b'", "2:8: `name` in [[zone]]: \"a..b\" is no domain name: it has an empty label; remove the extra dot"),
        ("'.b'", "2:8: `name` in [[zone]]: \".b\" is no domain name: it has an empty label; remove the extra dot"),
        ("'a b'", "2:8: `name` in [[zone]]: \"a b\" is no domain name: it holds a blank or a control character"),
        (
            "'bücher.example'",
            "2:8: `name` in [[zone]]: \"bücher.example\" is no domain name: it holds a letter outside ASCII; write the name in its ASCII form (xn--…)",
        ),
        ("7", "2:8: `name` in [[zone]]: 7 will not do; expected a domain name, such as \"bl.example.org\""),
    ] {
        bad(&format!("[[zone]]\nname = {name}"), expected);
    }
    let label = "a".repeat(64);
    bad(
        &format!("[[zone]]\nname = '{label}.example'"),
        &format!("2:8: `name` in [[zone]]: \"{label}.example\" is no domain name: a label is longer than 63 octets"),
    );
    for (line, expected) in [
        (
            "ns = ['ns1.example', 'b..c']",
            "4:22: `ns` in [[zone]]: \"b..c\" is no domain name: it has an empty label; remove the extra dot",
        ),
        (
            "rname = '@example.org'",
            "4:9: `rname` in [[zone]]: \"@example.org\" is no mail address; expected \"hostmaster@example.org\"",
        ),
        ("rname = 'me@'", "4:9: `rname` in [[zone]]: \"me@\" is no mail address; expected \"hostmaster@example.org\""),
        (
            "ttl = '35 min'",
            "4:7: `ttl` in [[zone]]: \"35 min\" will not do; expected whole seconds up to 2147483647, or a string of one number and one unit: \"35m\", \"1h\", \"2d\", \"1w\"",
        ),
        ("ttl = 0", "4:7: `ttl` in [[zone]]: 0 will not do; expected a duration of at least 1 s"),
        (
            "ttl-min = '1h'",
            "1:1: `ttl` of zone `bl.example.org` is 2100 s, outside of its `ttl-min` and `ttl-max`, 3600–2147483647 s",
        ),
        (
            "ttl = '1d'\nttl-max = '1h'",
            "4:7: `ttl` of zone `bl.example.org` is 86400 s, outside of its `ttl-min` and `ttl-max`, 0–3600 s",
        ),
        (
            "ttl-min = '2h'\nttl-max = '1h'",
            "4:11: `ttl-min` of zone `bl.example.org` is 7200 s, more than its `ttl-max` of 3600 s",
        ),
        ("expire = 0", "4:10: `expire` in [[zone]]: 0 will not do; expected \"never\" or a duration of at least 1 s"),
        (
            "expire = 'ever'",
            "4:10: `expire` in [[zone]]: \"ever\" will not do; expected whole seconds up to 2147483647, or a string of one number and one unit: \"35m\", \"1h\", \"2d\", \"1w\", or \"never\"",
        ),
        (
            "on-expire = 'drop'",
            "4:13: `on-expire` in [[zone]]: \"drop\" will not do; expected one of \"keep\", \"servfail\"",
        ),
        (
            "retired = true\nretired-text = ''",
            "5:16: `retired-text` of zone `bl.example.org` is empty; say why the list has ended",
        ),
        (
            "guard.shrink-max = 2",
            "4:20: `shrink-max` in [zone.guard]: 2 will not do; expected a share from 0 to 1, or false",
        ),
        (
            "guard.shrink-max = true",
            "4:20: `shrink-max` in [zone.guard]: true will not do; expected a share from 0 to 1, or false",
        ),
        (
            "guard.grow-max = 0.5",
            "4:18: `grow-max` in [zone.guard]: 0.5 will not do; expected a number of at least 1, or false",
        ),
        (
            "guard.grow-max = nan",
            "4:18: `grow-max` in [zone.guard]: NaN will not do; expected a number of at least 1, or false",
        ),
        (
            "guard.grow-max = inf",
            "4:18: `grow-max` in [zone.guard]: inf will not do; expected a number of at least 1, or false",
        ),
    ] {
        bad(&format!("{ZONE}{line}"), expected);
    }
    for (datasets, expected) in [
        (
            "[]",
            "3:12: zone `bl.example.org` has no `datasets`; add datasets = [{ type = \"ip4set\", files = [\"bl.zone\"] }], or retired = true",
        ),
        (
            "[{ type = 'ip4sets', files = ['a'] }]",
            "3:22: `type` in `datasets` of [[zone]]: \"ip4sets\" is not known; did you mean \"ip4set\"?",
        ),
        (
            "[{ type = 'regex', files = ['a'] }]",
            "3:22: `type` in `datasets` of [[zone]]: \"regex\" will not do; expected one of \"ip4set\", \"ip4tset\", \"ip4trie\", \"ip6tset\", \"ip6trie\", \"dnset\", \"generic\", \"combined\", \"acl\"",
        ),
        (
            "[{ type = 'dnset', files = [] }]",
            "3:39: the dnset of zone `bl.example.org` has no `files`; name at least one",
        ),
        (
            "[{ type = 'acl', files = ['a'] }]",
            "3:12: zone `bl.example.org` has nothing but an acl, which lists nothing; add a dataset of another type, or retired = true",
        ),
        (
            "[{ type = 'acl', files = ['a'] }, { type = 'dnset', files = ['b'] }, { type = 'acl', files = ['c'] }]",
            "3:90: zone `bl.example.org` has a second acl; put the files of both into one",
        ),
        ("[{ type = 'dnset' }]", "3:13: the dnset of zone `bl.example.org` has no `files`; name at least one"),
        (
            "[{ type = 'dnset', files = 'a' }]",
            "3:39: `files` in `datasets` of [[zone]]: expected an array; put the value into brackets: [\"a\"]",
        ),
        (
            "[{ type = 'dnset', files = ['a', ''] }]",
            "3:45: `files` in `datasets` of [[zone]]: \"\" will not do; expected a path",
        ),
    ] {
        bad(&format!("[[zone]]\nname = 'bl.example.org'\ndatasets = {datasets}"), expected);
    }
    for second in ["bl.example.org", "BL.example.org", "bl.example.org."] {
        bad(
            &format!("{ZONE}{}", ZONE.replace("bl.example.org", second)),
            "5:8: zone `bl.example.org` is named twice, first in line 2; put all its datasets into one [[zone]]",
        );
    }
}

#[test]
fn bad_shapes() {
    bad("[[dns]]\nlisten = []", "1:1: `dns` is a table of settings; write [dns] on a line of its own");
    bad("http = [true]", "1:8: `http` is a table of settings; write [http] on a line of its own");
    bad("acl = ['clients.acl']", "1:7: `acl` is a table of settings; write [acl] on a line of its own");
    bad("dns.tcp = 5", "1:11: `dns.tcp` is a table of settings; write [dns.tcp] on a line of its own");
    bad("[zone]\nname = 'a.example'", "1:1: there can be several zones; write [[zone]] with two brackets");
    bad("zone = ['a.example']", "1:9: each zone is a table; write [[zone]] on a line of its own");
    bad(&format!("{ZONE}guard = false"), "4:9: `guard` is a table of settings; write [zone.guard] below its [[zone]]");
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = 'ip4set:a'",
        "3:12: `datasets` is an array of tables; write datasets = [{ type = \"ip4set\", files = [\"bl.zone\"] }]",
    );
    bad(
        "[[zone]]\nname = 'a.example'\ndatasets = [['ip4set', ['a']]]",
        "3:13: each dataset is a table; write datasets = [{ type = \"ip4set\", files = [\"bl.zone\"] }]",
    );
    bad(
        "[dns]\nlisten = ['127.0.0.1:9353']",
        "2:10: `listen` in [http] is 127.0.0.1:9353, which [dns] takes for TCP; give it another port",
    );
    good("[dns]\nlisten = ['127.0.0.1:9353']\n[http]\nenabled = false");
    good("[dns]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']\n[http]\nlisten = '127.0.0.1:0'");
}

#[test]
fn broken_files() {
    for (text, expected) in [
        ("[dns\n", "1:5: no valid TOML: "),
        ("a = 1\na = 2", "2:1: no valid TOML: duplicate key"),
        ("x", "1:2: no valid TOML: "),
    ] {
        let error = Settings::parse(text, Path::new("dnsbld.toml")).expect_err(text).to_string();
        assert!(error.starts_with(&format!("dnsbld.toml:{expected}")), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dnsbld.toml");
    let told = |file: &Path| Settings::read(file).expect_err("bad").to_string();
    assert!(told(&file).contains("dnsbld.toml: the settings can not be read: No such file"), "{}", told(&file));
    std::fs::write(&file, b"[dns]\n# f\xfcr").unwrap();
    assert!(
        told(&file).ends_with("dnsbld.toml:2:4: not UTF-8, as TOML must be; save the file as UTF-8"),
        "{}",
        told(&file)
    );
    assert!(told(dir.path()).contains("can not be read"), "{}", told(dir.path()));
    std::fs::write(&file, vec![b'\n'; FILE_LEN_MAX as usize + 1]).unwrap();
    assert!(told(&file).ends_with("larger than 16 MiB, so hardly a settings file"), "{}", told(&file));
}

#[test]
fn sources() {
    let settings = good(
        "state-dir = 'state'\n[feed]\nenabled = true\nprobe-senders = ['x*']\n\
         [[feed.source]]\ntype = 'file'\npath = 'mail.log'\nformat = 'postfix'\ntimezone = 'Europe/Berlin'\n\
         [[feed.source]]\ntype = 'http'\ntoken-file = '/etc/token'\nname = 'web'\n\
         [[feed.source]]\ntype = 'syslog'\ntcp = '0.0.0.0:514'\nudp = '127.0.0.1:514'\npeers = ['192.0.2.0/24', '::1']\n",
    );
    let [file, http, syslog] = settings.feed.sources.as_slice() else { panic!("three sources") };
    assert_eq!((file.name.as_str(), file.path.as_deref()), ("mail.log", Some(Path::new("etc/mail.log"))));
    assert_eq!((file.format, file.timezone.iana_name()), (crate::feed::Format::Postfix, Some("Europe/Berlin")));
    assert_eq!((http.name.as_str(), http.token_file.as_deref()), ("web", Some(Path::new("/etc/token"))));
    assert_eq!((syslog.name.as_str(), syslog.peers.len()), ("syslog", 2));
}

#[test]
fn bad_sources() {
    for (text, expected) in [
        ("[feed]\nenabeld = true", "did you mean `enabled`?"),
        ("[feed]\nmod = 'list'", "did you mean `mode`?"),
        ("[feed.source]\ntype = 'file'", "write [[feed.source]] with two brackets"),
        ("feed = 1", "write [feed] on a line of its own"),
        ("[[feed.source]]\npath = 'x'", "`type` is missing in [[feed.source]]"),
        ("[[feed.source]]\ntype = 'flie'", "did you mean \"file\"?"),
        ("[[feed.source]]\ntype = 'file'", "has no `path`"),
        ("[[feed.source]]\ntype = 'file'\npaht = 'x'", "did you mean `path`?"),
        ("[[feed.source]]\ntype = 'file'\npath = 'x'\nunits = ['x']", "`units` is not for a source of type file"),
        ("[[feed.source]]\ntype = 'file'\npath = 'x'\nformat = 'postfiks'", "did you mean \"postfix\"?"),
        ("[[feed.source]]\ntype = 'file'\npath = 'x'\ntimezone = 'Mars'", "the name of a time zone"),
        ("[[feed.source]]\ntype = 'journal'", "has no `units`"),
        ("[[feed.source]]\ntype = 'syslog'", "listens nowhere"),
        ("[[feed.source]]\ntype = 'syslog'\nudp = '0.0.0.0:514'", "allow-udp = true"),
        ("[[feed.source]]\ntype = 'syslog'\ntcp = '127.0.0.1:514'\npeers = ['192.0.2.1/24']", "write \"192.0.2.0/24\""),
        ("[http]\nlisten = '0.0.0.0:80'\n[[feed.source]]\ntype = 'http'", "add a token"),
        ("[[feed.source]]\ntype = 'http'\nspool-octets-max = 1048576", "put off for ever"),
        ("[http]\nenabled = false\n[feed]\nenabled = true\n[[feed.source]]\ntype = 'http'", "which is not enabled"),
        ("[[feed.source]]\ntype = 'stdin'\n[[feed.source]]\ntype = 'stdin'\nname = 'b'", "is read already"),
        (
            "[[feed.source]]\ntype = 'file'\npath = 'x'\n[[feed.source]]\ntype = 'file'\npath = 'x'",
            "two sources have the name `x`",
        ),
        ("[feed]\nprobe-senders = ['a@b']", "what stands before the @"),
    ] {
        let error = Settings::parse(text, Path::new("dnsbld.toml")).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn nearest_words() {
    let known = ["listen", "ns", "server-id", "ttl", "ttl-min"];
    for (word, expected) in [
        ("lisen", Some("listen")),
        ("lsiten", Some("listen")),
        ("LISTEN", Some("listen")),
        ("n", Some("ns")),
        ("server_id", Some("server-id")),
        ("ttlmin", Some("ttl-min")),
        ("", None),
        ("zebra", None),
    ] {
        assert_eq!(place::nearest(word, known.into_iter()), expected, "{word}");
    }
}

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

#[test]
fn the_rules_that_are_not_set_are_those_of_the_feeder() {
    use crate::feed::evidence::{Signal, Weights as Real};
    use crate::feed::policy::PolicyOptions;
    let (policy, weights, real) = (Policy::default(), Weights::default(), PolicyOptions::default());
    assert_eq!((policy.score, policy.score_at_once), (real.score_min, real.score_at_once));
    let ms = |seconds: u32| i64::from(seconds) * 1000;
    let times = [policy.half_life, policy.window, policy.repeat, policy.comeback, policy.spread, policy.clean].map(ms);
    assert_eq!(
        times,
        [real.half_life_ms, real.window_ms, real.repeat_ms, real.comeback_ms, real.spread_ms_min, real.clean_ms]
    );
    assert_eq!(policy.terms.iter().map(|&term| ms(term)).collect::<Vec<_>>(), real.terms_ms);
    let numbers =
        [policy.recipients, policy.sessions, policy.invented_sessions, policy.invented_recipients, policy.reporters];
    let real_numbers =
        [real.recipients_min, real.sessions_min, real.whammies_min, real.whammy_recipients_min, real.reporters_min];
    assert_eq!(numbers.map(|n| n as usize), real_numbers);
    let protection = Protection::default();
    assert_eq!(i64::from(protection.shared_factor), real.shared_factor);
    assert_eq!(
        (i64::from(protection.ratio_percent), i64::from(protection.ratio_days)),
        (real.ratio_percent, real.ratio_days)
    );
    let points = [
        weights.trap_mail,
        weights.double_whammy,
        weights.never_sent,
        weights.callout,
        weights.bounce,
        weights.null_unknown,
        weights.sender_unseen,
        weights.postmaster,
        weights.many_recipients,
        weights.greylisted_gone,
        weights.own_refusal,
    ];
    let real = Real::default();
    assert_eq!(points, Signal::ALL.map(|signal| real.of(signal)));
    assert_eq!((weights.solicited_callout, weights.solicited_bounce), (real.solicited_callout, real.solicited_bounce));
}

#[test]
fn rules_that_can_not_be() {
    for (text, expected) in [
        ("[feed]\nmode = 'lists'", "\"list\" or \"observe\""),
        ("[feed]\nurl = 'https://x/$1'", "no digit"),
        ("[feed]\nurl = 'https://x/$/$'", "one `$`"),
        ("[feed.policy]\nscore = -1", "points from 0 to 1000"),
        ("[feed.policy]\nscore = 1.0005", "three places"),
        ("[feed.policy]\nterms = []", "at least one duration"),
        ("[feed.weights]\ncalout = 1", "callout"),
        ("[feed.weights]\nsolicited-callout = 1.5", "from 0 to 1"),
        ("[feed.protection]\nown-networks = ['192.0.2.1/24']", "bits below its prefix"),
        ("[feed.export]\njson-file = 'x'", "needs a `zone-file`"),
        ("[[feed.policy]]", "[feed.policy]"),
    ] {
        let error = Settings::parse(text, Path::new("x.toml")).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
