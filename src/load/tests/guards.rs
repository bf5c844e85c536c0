//! What is refused, and what that means for the zone's other data and for other zones.

use super::*;

#[test]
fn guards_on_content() {
    let no_loopback = GuardOptions { loopback: false, ..GuardOptions::default() };
    for (guard, files, content, error) in [
        (GuardOptions::default(), &["list", "half"][..], "127.0.0.1\n", "guard.loopback"),
        (GuardOptions::default(), &["list", "half"], "127.0.0.0/8\n", "guard.loopback"),
        (no_loopback, &["list", "half"], "0.0.0.0/1\n128.0.0.0/1\n", "guard.world"),
        (no_loopback, &["half", "list"], "0.0.0.0/1\n", "guard.world"),
        (GuardOptions::default(), &["names", "half"], "invalid\n", "guard.invalid-name"),
        (GuardOptions::default(), &["names", "half"], ".invalid\n", "guard.invalid-name"),
    ] {
        let bad = ZoneText { guard, ..zone("bl.example", files) };
        let name = if files[0] == "half" { files[1] } else { files[0] };
        let first = if name == "names" { "host.example\n" } else { "192.0.2.9\n" };
        let half = format!("{ONE}128.0.0.0/1\n");
        let zones = [bad, zone("other.example", &["other"])];
        let mut bench = Bench::start(&[(name, first), ("half", &half), ("other", ONE)], &zones);
        bench.check("bl.example", Ready, [true, true], Published, "");

        bench.write(name, content);
        bench.write("half", TWO.repeat(2) + if name == "list" && files[0] == "half" { "128.0.0.0/1\n" } else { "" });
        bench.write("other", TWO);
        bench.touched();
        println!("{content}");
        bench.check("bl.example", Ready, [true, true], Guarded, error);
        assert!(Arc::ptr_eq(&bench.zone("bl.example").datasets[0], &bench.loader.zones[0].in_service[0].dataset));
        bench.check("other.example", Ready, [false, true], Published, "");
        let generation = bench.generation();
        bench.touched();
        bench.polled();
        assert_eq!((bench.generation(), bench.status("bl.example").reloads[2]), (generation, 1));

        // Switched off, it goes into service at once.
        bench.replace(&[ZoneText { guard: GuardOptions::OFF, ..bad }, zones[1]]);
        assert_eq!(bench.status("bl.example").last_outcome, Some(Published), "{content}");
        assert_eq!(bench.generation(), generation + 1);
    }
}

#[test]
fn a_world_that_is_meant_may_list_loopback() {
    let list = zone("bl.example", &["list"]);
    let mut bench = Bench::start(&[("list", "0.0.0.0/1\n128.0.0.0/1\n")], &[list]);
    bench.check("bl.example", NotReady, [false, false], Guarded, "guard.world");
    let guard = GuardOptions { world: false, ..GuardOptions::default() };
    bench.replace(&[ZoneText { guard, ..list }]);
    bench.check("bl.example", Ready, [true, true], Published, "");
    bench.write("list", "127.0.0.0/8\n");
    bench.touched();
    bench.check("bl.example", Ready, [true, true], Guarded, "guard.loopback");
}

#[test]
fn guarded_at_the_first_load() {
    let mut bench = Bench::start(&[("list", "127.0.0.1\n192.0.2.1\n")], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", NotReady, [false, false], Guarded, "guard.loopback");
    bench.write("list", "127.0.0.2\n192.0.2.1\n");
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
}

#[test]
fn a_refused_dataset_comes_back_with_the_others() {
    let zones = [zone("bl.example", &["a", "b"])];
    let mut bench = Bench::start(&[("a", "192.0.2.8\n"), ("b", "192.0.2.9\n")], &zones);
    bench.write("a", ONE);
    bench.write("b", "127.0.0.1\n");
    bench.touched();
    bench.check("bl.example", Ready, [false, false], Guarded, "guard.loopback");
    let served = bench.loader.zones[0].in_service.iter();
    let kept = bench.loader.slots.iter().map(|slot| slot.current.as_ref().unwrap());
    assert!(kept.zip(served).all(|(kept, served)| Arc::ptr_eq(kept, served)), "refused data must not stay in memory");
    bench.write("b", TWO);
    bench.touched();
    bench.check("bl.example", Ready, [true, true], Published, "");
    assert_eq!(bench.generation(), 2);
}

#[test]
fn a_bad_file_holds_its_zone_but_no_other() {
    let zones = [zone("both.example", &["a", "b"]), zone("a.example", &["a"])];
    let mut bench = Bench::start(&[("a", "192.0.2.8\n"), ("b", "192.0.2.9\n")], &zones);
    bench.write("a", ONE);
    std::fs::remove_file(bench.path("b")).unwrap();
    bench.touched();
    bench.check("both.example", Ready, [false, false], Bad, "b: ");
    bench.check("a.example", Ready, [true, false], Published, "");
    bench.write("b", TWO);
    bench.touched();
    bench.check("both.example", Ready, [true, true], Published, "");
    bench.check("a.example", Ready, [true, false], Published, "");
    assert_eq!(bench.status("a.example").reloads, [2, 0, 0]);
}

#[test]
fn shrinking_and_growing() {
    for (old, new, outcome, error) in [
        (1000, 500, Published, ""),
        (1000, 499, Guarded, "guard.shrink-max"),
        (1000, 0, Guarded, "guard.shrink-max"),
        (999, 0, Published, ""),
        (1000, 10_000, Published, ""),
        (1000, 10_001, Guarded, "guard.grow-max"),
    ] {
        let mut bench = Bench::start(&[("list", &hosts(old))], &[zone("bl.example", &["list"])]);
        bench.write("list", hosts(new));
        bench.touched();
        bench.check("bl.example", Ready, [false, false], outcome, error);
        let entries: u64 = bench.status("bl.example").datasets.iter().map(|dataset| dataset.entries).sum();
        assert_eq!(entries, u64::from(if outcome == Published { new } else { old }), "{old} -> {new}");
    }
}

#[test]
fn shared_but_guarded_by_one_zone_only() {
    let strict = zone("strict.example", &["list"]);
    let lax = ZoneText { guard: GuardOptions::OFF, ..zone("lax.example", &["list"]) };
    let mut bench = Bench::start(&[("list", ONE)], &[strict, lax]);
    bench.write("list", "127.0.0.1\n192.0.2.2\n");
    bench.touched();
    bench.check("strict.example", Ready, [true, false], Guarded, "guard.loopback");
    bench.check("lax.example", Ready, [false, true], Published, "");
    assert_eq!(READS.get(), 1);
    // Without the lax zone nobody serves the refused data, so the file is read again when the strict one may.
    bench.replace(&[strict]);
    bench.check("strict.example", Ready, [true, false], Guarded, "guard.loopback");
    bench.replace(&[ZoneText { guard: GuardOptions::OFF, ..strict }]);
    bench.check("strict.example", Ready, [false, true], Published, "");
}
