//! What settings are taken, what they mean, and how the others are refused.

mod feed;
mod manual;
mod refused;

use super::*;

/// The shortest zone there is.
pub(in crate::config) const ZONE: &str =
    "[[zone]]\nname = 'bl.example.org'\ndatasets = [{ type = 'ip4set', files = ['bl.zone'] }]\n";

/// Settings that must be good.
pub(in crate::config) fn good(text: &str) -> Settings {
    Settings::parse(text, Path::new("etc/dnsbld.toml")).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Settings that must be refused with exactly this text after the file's name.
pub(in crate::config) fn bad(text: &str, expected: &str) {
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
