//! Access lists: read, shared and kept like any dataset; and zones that wait for the one that is for all of them.

use super::*;
use crate::zone::Access;

impl Bench {
    /// Name the access list for all zones in the settings, or none.
    fn set_acl(&mut self, name: Option<&str>) {
        self.acl =
            name.map(|name| Source { kind: Kind::Acl, files: vec![self.path(name)], options: ReadOptions::default() });
    }

    /// What a zone makes of a client, as a word.
    fn access(&self, zone: &str, client: &str) -> String {
        let (snapshot, client) = (self.reader.load(), client.parse().unwrap());
        let access = self.zone(zone);
        let access = access.access(snapshot.access(client), client);
        let text = format!("{access:?}");
        if matches!(access, Access::Listed(_)) { "Listed".to_owned() } else { text }
    }

    /// What the status says of the access list for all zones.
    fn acl_status(&self) -> ZoneStatus {
        self.status.lock().acl.clone().unwrap()
    }
}

#[test]
fn a_zones_list() {
    let a = zone("a.example", &["a", "acl"]);
    let mut bench = Bench::start(&[("a", ONE), ("acl", "10/8 :refuse\n")], &[a, zone("b.example", &["a"])]);
    bench.check("a.example", Ready, [true, false], Published, "");
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Refuse");
    assert_eq!(bench.access("b.example", "10.0.0.1"), "Open");
    assert_eq!(bench.status("a.example").datasets.iter().map(|set| set.entries).collect::<Vec<_>>(), [1, 1]);

    // Its change is no change of the zone's data: neither serial nor age follow.
    let (serial, mtime_s) = (bench.zone("a.example").serial, bench.status("a.example").data_mtime_s);
    bench.write("acl", "10/8 :empty\n");
    bench.touched();
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Empty");
    assert_eq!((bench.zone("a.example").serial, bench.status("a.example").data_mtime_s), (serial, mtime_s));
    bench.write("a", TWO);
    bench.touched();
    assert!(bench.zone("a.example").serial > serial);

    // A bad one leaves the last good one in force.
    for text in ["$TIMESTAMP 2037-01-01\n10/8 :ignore\n", "<html>\n"] {
        bench.write("acl", text);
        bench.touched();
        assert_eq!(bench.access("a.example", "10.0.0.1"), "Empty", "{text}");
        assert_eq!(bench.status("a.example").last_outcome, Some(Bad), "{text}");
    }

    // Without one the zone is not answered from, rather than for everybody.
    let mut bench = Bench::start(&[("a", ONE)], &[a]);
    assert_eq!(bench.zone("a.example").state, NotReady);
    bench.write("acl", "10/8\n");
    bench.touched();
    assert_eq!((bench.zone("a.example").state, bench.access("a.example", "10.0.0.1")), (Ready, "Ignore".to_owned()));
}

#[test]
fn the_list_for_all_zones() {
    let zones = [zone("a.example", &["a"]), zone("b.example", &["a", "zone-acl"])];
    let mut bench = Bench::new();
    bench.write("a", ONE);
    bench.write("zone-acl", "10/8 :pass\n");
    bench.set_acl(Some("acl"));
    bench.replace(&zones);
    // It is not there: no zone is answered from, and the status says why.
    for name in ["a.example", "b.example"] {
        assert_eq!((bench.zone(name).state, bench.status(name).state), (NotReady, NotReady));
    }
    assert_eq!((bench.acl_status().state, bench.acl_status().last_outcome), (NotReady, Some(Bad)));
    assert!(bench.acl_status().last_error.contains("acl: "), "{}", bench.acl_status().last_error);
    assert_eq!(bench.reader.load().zones.len(), 2);

    bench.write("acl", "10/8 :refuse\n192.0.2.0/24 :5:x\n");
    bench.touched();
    for name in ["a.example", "b.example"] {
        assert_eq!(bench.zone(name).state, Ready);
        assert_eq!(bench.access(name, "10.0.0.1"), "Refuse");
        assert_eq!(bench.access(name, "192.0.2.1"), "Listed");
        assert_eq!(bench.access(name, "198.51.100.1"), "Open");
    }
    let status = bench.acl_status();
    assert_eq!((status.state, status.datasets[0].entries, status.last_outcome), (Ready, 2, Some(Published)));

    // Reloaded, and kept when the new one is bad.
    bench.write("acl", "10/8 :ignore\n");
    bench.touched();
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Ignore");
    std::fs::remove_file(bench.path("acl")).unwrap();
    bench.touched();
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Ignore");
    assert_eq!((bench.acl_status().state, bench.acl_status().last_outcome), (Ready, Some(Bad)));
    bench.set_acl(Some("other-acl"));
    bench.replace(&zones);
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Ignore", "until the other one is there");
    bench.write("other-acl", "10/8 :empty\n");
    bench.touched();
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Empty");
    bench.set_acl(None);
    bench.replace(&zones);
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Open");
    assert!(bench.reader.load().acl.is_none() && bench.status.lock().acl.is_none());
}

#[test]
fn a_list_that_comes_later_stops_nothing() {
    let zones = [zone("a.example", &["a"])];
    let mut bench = Bench::new();
    bench.write("a", ONE);
    bench.loader.first_pass_at(bench.now);
    bench.replace(&zones);
    bench.set_acl(Some("acl"));
    bench.replace(&zones);
    bench.check("a.example", Ready, [true, false], Published, "");
    assert_eq!((bench.acl_status().state, bench.acl_status().last_outcome), (NotReady, Some(Bad)));
    bench.write("acl", "10/8 :refuse\n");
    bench.touched();
    assert_eq!(bench.access("a.example", "10.0.0.1"), "Refuse");
}

#[test]
fn a_file_that_is_both() {
    let mut bench = Bench::new();
    bench.write("a", ONE);
    bench.write("acl", "10/8 :refuse\n");
    bench.set_acl(Some("acl"));
    bench.replace(&[zone("a.example", &["a", "acl"])]);
    assert_eq!(READS.get(), 2, "read once");
    let (snapshot, zone) = (bench.reader.load(), bench.zone("a.example"));
    assert!(Arc::ptr_eq(snapshot.acl.as_ref().unwrap(), zone.acl.as_ref().unwrap()));
}
