//! What the loader is told by the settings: `[load]` and `[[zone]]`.

use std::time::Duration;

use crate::config::{self, OnExpire, Settings};
use crate::load::{ExpiryOptions, GuardOptions, LoadOptions, ZoneSpec};
use crate::sys;
use crate::zone::ZoneSettings;

/// How to load.
pub(super) fn load_options(settings: &Settings) -> LoadOptions {
    LoadOptions {
        poll: Duration::from_secs(settings.load.poll_s.into()),
        settle: Duration::from_millis(settings.load.settle_ms.into()),
        watch: settings.load.watch,
        trim: Some(sys::trim),
        ..LoadOptions::default()
    }
}

/// What to load.
pub(super) fn zone_specs(settings: &Settings) -> Vec<ZoneSpec> {
    settings.zones.iter().map(zone_spec).collect()
}

/// One zone to load.
fn zone_spec(zone: &config::Zone) -> ZoneSpec {
    let expiry = match (zone.expire, zone.on_expire) {
        (None, _) => ExpiryOptions::None,
        (Some(after), OnExpire::Keep) => ExpiryOptions::Keep { after_s: after.into() },
        (Some(after), OnExpire::Servfail) => ExpiryOptions::Servfail { after_s: after.into() },
    };
    ZoneSpec {
        settings: zone_settings(zone),
        // A retired zone's files are not read.
        sources: if zone.retired { Vec::new() } else { zone.datasets.iter().map(config::Dataset::source).collect() },
        guard: GuardOptions {
            loopback: zone.guard.loopback,
            world: zone.guard.world,
            invalid_name: zone.guard.invalid_name,
            shrink_max: zone.guard.shrink_max,
            grow_max: zone.guard.grow_max,
        },
        expiry,
    }
}

/// What a zone answers with besides its data.
pub(super) fn zone_settings(zone: &config::Zone) -> ZoneSettings {
    ZoneSettings {
        name: zone.name.clone(),
        ns: zone.ns.clone(),
        mname: zone.mname.clone(),
        rname: zone.rname.clone(),
        ttl: zone.ttl,
        negative_ttl: zone.negative_ttl,
        ttl_min: zone.ttl_min,
        ttl_max: zone.ttl_max,
        make_apex: true,
        retired: zone.retired.then(|| zone.retired_text.clone()),
        wrong_kind: zone.wrong_kind,
    }
}
