//! Zones side by side: what one says of another's name servers.

use std::sync::Arc;

use super::{Snapshot, Zone, ZoneSettings, ZoneState};
use crate::dataset::Kind;
use crate::zonefile::{ReadOptions, Source, read};

/// A zone of one `generic` file.
fn zone(name: &str, text: &str, state: ZoneState) -> Arc<Zone> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zone");
    std::fs::write(&file, text).unwrap();
    let source = Source { kind: Kind::Generic, files: vec![file], options: ReadOptions::default() };
    let loaded = read(&source, 1_790_000_000, &mut |_| {}).unwrap();
    let settings = ZoneSettings {
        name: name.parse().unwrap(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl: 2100,
        negative_ttl: 2100,
        ttl_min: 0,
        ttl_max: u32::MAX,
        make_apex: false,
        retired: None,
        wrong_kind: None,
    };
    Arc::new(Zone::build(settings, 0, 1, state, vec![Arc::new(loaded.dataset)]))
}

#[test]
fn addresses_of_name_servers_come_once_and_under_one_ttl() {
    let list = zone("list", "$NS 0 a.home gone.home ns.home a.old elsewhere\n", ZoneState::Ready);
    let home = "a A 127.0.0.2\na 600 A 127.0.0.3\na TXT t\na A 127.0.0.2\nns 3600 A 127.0.0.2\n";
    let home = zone("home", home, ZoneState::Ready);
    // Expired data are not used (RFC 1034 section 4.3.5).
    let old = zone("old", "a 5 A 127.0.0.4\n", ZoneState::Expired);
    let snapshot = Snapshot::new(vec![list, home, old], 1);
    let glue: Vec<_> = snapshot.glue(0).iter().map(|glue| (glue.server, glue.address[3], glue.ttl)).collect();
    assert_eq!(glue, [(0, 2, 600), (0, 3, 600), (2, 2, 600)]);
}
