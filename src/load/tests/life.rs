//! Settings, serials, expiry, memory and the thread.

use super::*;

#[test]
fn settings_replaced() {
    let a = zone("a.example", &["a"]);
    let mut bench = Bench::start(&[("a", ONE), ("b", TWO)], &[a, zone("gone.example", &["b"])]);
    let serial = bench.zone("a.example").serial;
    let slot = bench.zone("a.example").slot;
    bench.replace(&[zone("new.example", &["b", "a"]), ZoneText { ttl: 60, ..a }]);
    assert_eq!(READS.get(), 0, "nothing changed on disk");
    assert_eq!((bench.generation(), bench.status.lock().settings_reloads), (2, [2, 0]));
    let names: Vec<String> = bench.reader.load().zones.iter().map(|zone| zone.settings.name.to_string()).collect();
    assert_eq!(names, ["new.example", "a.example"]);
    bench.check("new.example", Ready, [true, true], Published, "");
    bench.check("a.example", Ready, [true, false], Published, "");
    let changed = bench.zone("a.example");
    assert_eq!((changed.settings.ttl, changed.serial, changed.slot), (60, serial + 1, slot));

    // A dataset that can not be read leaves the zone with what it has, and goes away with the setting.
    bench.replace(&[zone("a.example", &["a", "missing"])]);
    bench.check("a.example", Ready, [true, false], Bad, "missing");
    bench.replace(&[a]);
    bench.check("a.example", Ready, [true, false], Published, "");
    // A new zone starts with what others still serve of a file that is bad now.
    std::fs::remove_file(bench.path("a")).unwrap();
    bench.replace(&[a, zone("late.example", &["a"])]);
    bench.check("late.example", Ready, [true, false], Bad, "a: ");
    bench.replace(&[]);
    assert_eq!(bench.reader.load().zones.len(), 0);
    assert_eq!(bench.status.lock().zones.len(), 0);
}

#[test]
fn serials() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    let base = MTIME_S as u32;
    for (text, mtime_s, expected) in [
        (TWO, MTIME_S + 60, base + 60),
        ("192.0.2.1\n192.0.2.2\n", MTIME_S + 60, base + 61),
        (ONE, MTIME_S - 1_000_000, base + 62),
        (TWO, MTIME_S + 61, base + 63),
        (ONE, MTIME_S + 600, base + 600),
    ] {
        bench.write_dated("list", text, mtime_s);
        bench.touched();
        assert_eq!(bench.zone("bl.example").serial, expected, "{mtime_s}");
        assert_eq!(bench.status("bl.example").serial, expected);
        bench.touched();
        assert_eq!(bench.zone("bl.example").serial, expected, "unchanged data keep it");
    }
}

#[test]
fn a_serial_fixed_by_soa() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    let soa = "$SOA 0 ns.example. hostmaster.example. 2024010101 1h 1h 1w 1h\n";
    bench.write("list", format!("{soa}{ONE}"));
    bench.touched();
    assert_eq!(bench.zone("bl.example").serial, 2_024_010_101);
    bench.write("list", format!("{soa}{TWO}"));
    bench.touched();
    assert_eq!(bench.zone("bl.example").serial, 2_024_010_101);
    bench.check("bl.example", Ready, [false, true], Published, "");
}

#[test]
fn expiry_by_timestamp() {
    // MTIME_S is 2023-11-14 22:13:20 UTC; the bench starts 100 s later.
    let text = format!("$TIMESTAMP 2023:11:14:22:13:20 2023:11:14:22:18:20\n{ONE}");
    let mut bench = Bench::start(&[("list", &text)], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert!(bench.loader.wait(bench.now) <= Duration::from_secs(60));
    bench.pass_time(199.0);
    bench.check("bl.example", Ready, [true, false], Published, "");
    let wait = bench.loader.wait(bench.now);
    assert!((Duration::from_secs(1)..Duration::from_millis(1010)).contains(&wait), "{wait:?}");
    let serial = bench.zone("bl.example").serial;
    bench.pass_time(wait.as_secs_f64());
    bench.check("bl.example", Expired, [true, false], Published, "");
    assert_eq!((bench.generation(), bench.zone("bl.example").serial), (2, serial));
    bench.write("list", TWO);
    bench.touched();
    bench.check("bl.example", Ready, [false, true], Published, "");
}

#[test]
fn expiry_by_age() {
    for (expiry, state) in
        [(ExpiryOptions::Keep { after_s: 300 }, Ready), (ExpiryOptions::Servfail { after_s: 300 }, Expired)]
    {
        let bl = ZoneText { expiry, ..zone("bl.example", &["list"]) };
        let mut bench = Bench::start(&[("list", ONE)], &[bl]);
        bench.pass_time(199.0);
        bench.check("bl.example", Ready, [true, false], Published, "");
        assert!(!bench.status("bl.example").stale);
        assert!(bench.loader.wait(bench.now) < Duration::from_millis(1010));
        bench.pass_time(1.5);
        bench.check("bl.example", state, [true, false], Published, "");
        assert!(bench.status("bl.example").stale);
        let now_s = bench.now.unix_s as u64;
        bench.write_dated("list", TWO, now_s);
        bench.touched();
        bench.check("bl.example", Ready, [false, true], Published, "");
        assert!(!bench.status("bl.example").stale);
    }
}

#[test]
fn old_data_are_freed_when_readers_let_go() {
    thread_local! {
        /// Calls of the trim hook.
        static TRIMS: Cell<u32> = const { Cell::new(0) };
    }
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.loader.options.trim = Some(|| TRIMS.set(TRIMS.get() + 1));
    let held = Arc::clone(&bench.reader.load());
    let data = Arc::downgrade(&held.zones[0].datasets[0]);
    bench.write("list", TWO);
    bench.touched();
    assert_eq!((bench.status.lock().retired_snapshots, TRIMS.get()), (1, 0));
    assert!(bench.loader.wait(bench.now) <= Duration::from_millis(100));
    drop(held);
    assert!(data.upgrade().is_some(), "a reader frees nothing");
    bench.pass_time(0.1);
    assert!(data.upgrade().is_none());
    assert_eq!((bench.status.lock().retired_snapshots, TRIMS.get()), (0, 1));
    bench.pass_time(0.1);
    assert_eq!(TRIMS.get(), 1);
}

#[test]
fn the_thread_takes_commands_in_order() {
    let bench = Bench::new();
    bench.write_dated("list", ONE, MTIME_S);
    let specs = bench.specs(&[zone("bl.example", &["list"])]);
    let (status, publisher) = (Arc::new(Status::default()), Publisher::default());
    let reader = publisher.reader();
    let options = LoadOptions { poll: Duration::from_secs(3600), ..LoadOptions::default() };
    let loader = Loader::new(Vec::new(), options.clone(), Arc::new(Registry::default()), status.clone(), publisher);
    let handle = loader.handle();
    let thread = std::thread::spawn(move || loader.run());
    handle.send(Command::Replace { specs, acl: None, options });
    handle.send(Command::LookNow);
    handle.send(Command::Stop);
    thread.join().unwrap();
    assert!(status.ready());
    assert_eq!(reader.load().generation, 2);
    assert_eq!(reader.load().zones.len(), 1);
}

#[test]
fn the_thread_hears_of_changes() {
    let bench = Bench::new();
    bench.write_dated("list", ONE, MTIME_S);
    let specs = bench.specs(&[zone("bl.example", &["list"])]);
    let (status, publisher) = (Arc::new(Status::default()), Publisher::default());
    let reader = publisher.reader();
    let options =
        LoadOptions { poll: Duration::from_secs(3600), settle: Duration::from_millis(10), ..LoadOptions::default() };
    let mut loader = Loader::new(specs, options, Arc::new(Registry::default()), status, publisher);
    loader.first_pass();
    assert_eq!(reader.load().generation, 1);
    let handle = loader.handle();
    let thread = std::thread::spawn(move || loader.run());
    bench.write_dated("aside", TWO, MTIME_S + 1);
    std::fs::rename(bench.path("aside"), bench.path("list")).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while reader.load().generation == 1 {
        assert!(std::time::Instant::now() < deadline, "the event did not arrive");
        std::thread::yield_now();
    }
    handle.send(Command::Stop);
    thread.join().unwrap();
    let address: IpAddr = "192.0.2.2".parse().unwrap();
    assert!(reader.load().zones[0].datasets[0].lists_address(address));
}
