//! Files that change, go, come back and are broken.

use super::*;

#[test]
fn first_pass() {
    let mut bench = Bench::new();
    bench.write("one", ONE);
    bench.loader = {
        let specs = bench.specs(&[zone("a.example", &["one"]), zone("b.example", &["missing"])]);
        let publisher = Publisher::default();
        bench.reader = publisher.reader();
        Loader::new(specs, options(), Arc::default(), Arc::clone(&bench.status), publisher)
    };
    assert!(!bench.status.lock().first_pass_done);
    bench.loader.first_pass_at(bench.now);
    assert!(bench.status.lock().first_pass_done);
    assert_eq!(bench.generation(), 1);
    bench.check("a.example", Ready, [true, false], Published, "");
    bench.check("b.example", NotReady, [false, false], Bad, "missing");
    assert!(!bench.status.ready());
    bench.write("missing", TWO);
    bench.touched();
    assert_eq!(bench.generation(), 2);
    bench.check("b.example", Ready, [false, true], Published, "");
    assert!(bench.status.ready());
}

#[test]
fn rewritten_renamed_deleted_restored() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!(bench.zone("bl.example").serial, MTIME_S as u32);

    bench.write("list", TWO);
    bench.touched();
    bench.check("bl.example", Ready, [false, true], Published, "");
    assert_eq!((bench.generation(), bench.zone("bl.example").serial), (2, MTIME_S as u32 + 1));

    bench.write("aside", ONE);
    std::fs::rename(bench.path("aside"), bench.path("list")).unwrap();
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!((bench.generation(), bench.zone("bl.example").serial), (3, MTIME_S as u32 + 2));

    std::fs::rename(bench.path("list"), bench.path("aside")).unwrap();
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Bad, "list: ");
    assert_eq!((bench.generation(), bench.status("bl.example").reloads), (3, [3, 1, 0]));

    std::fs::rename(bench.path("aside"), bench.path("list")).unwrap();
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!(bench.generation(), 4);
}

#[test]
fn nothing_changed_nothing_read() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.touched();
    bench.polled();
    bench.look_now();
    assert_eq!((READS.get(), bench.generation()), (0, 1));
}

#[test]
fn same_size_and_time_but_another_file() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.write_dated("aside", TWO, MTIME_S);
    std::fs::rename(bench.path("aside"), bench.path("list")).unwrap();
    bench.polled();
    bench.check("bl.example", Ready, [false, true], Published, "");
}

#[test]
fn bad_files_keep_the_last_good_copy() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let whole = gzip(&format!("{TWO}{}", hosts(100)));
    let cut = &whole[..whole.len() / 2];
    let garbage = b"<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n";
    let binary: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (what, content) in [("cut gzip", cut), ("garbage", garbage), ("binary", &binary), ("not gzip", &whole[..9])] {
        let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
        bench.write("list", content);
        bench.touched();
        println!("{what}");
        let place = if what == "garbage" { "list:1:1: warning: " } else { "list" };
        bench.check("bl.example", Ready, [true, false], Bad, place);
        assert_eq!(bench.generation(), 1, "{what}");
        bench.write("list", &whole);
        bench.touched();
        bench.check("bl.example", Ready, [false, true], Published, "");
    }
}

#[test]
fn a_failure_is_repeated_quietly_and_ever_more_rarely() {
    let mut bench = Bench::start(&[], &[zone("bl.example", &["list"])]);
    bench.check("bl.example", NotReady, [false, false], Bad, "list");
    let mut read_at = Vec::new();
    for minute in 1..=130 {
        bench.pass_time(60.0);
        if READS.replace(0) > 0 {
            read_at.push(minute);
        }
    }
    assert_eq!(read_at, [1, 3, 7, 15, 31, 63, 123]);
    assert_eq!(bench.status("bl.example").reloads, [0, 1, 0], "a quiet repetition is no reload");
    bench.look_now();
    assert_eq!(bench.status("bl.example").reloads, [0, 2, 0], "one that was asked for is");
}

#[test]
fn timestamp_of_the_future_mends_itself() {
    let mut bench = Bench::start(&[], &[zone("bl.example", &["list"])]);
    // MTIME_S is 2023-11-14 22:13:20 UTC; the bench starts 100 s later.
    bench.write("list", format!("$TIMESTAMP 2023:11:14:22:16:40\n{ONE}"));
    bench.touched();
    bench.check("bl.example", NotReady, [false, false], Bad, "list");
    bench.pass_time(400.0);
    bench.check("bl.example", Ready, [true, false], Published, "");
}

#[test]
fn a_shared_source_is_read_once() {
    let mut bench = Bench::new();
    bench.write("list", ONE);
    bench.replace(&[zone("a.example", &["list"]), zone("b.example", &["list"])]);
    assert_eq!(READS.get(), 1);
    assert!(Arc::ptr_eq(&bench.zone("a.example").datasets[0], &bench.zone("b.example").datasets[0]));
    bench.write("list", TWO);
    bench.touched();
    assert_eq!(READS.get(), 2);
    assert!(bench.lists("a.example", "192.0.2.2") && bench.lists("b.example", "192.0.2.2"));
}

#[test]
fn files_of_one_generation_change_together() {
    let zones = [zone("a.example", &["a"]), zone("b.example", &["b"])];
    let mut bench = Bench::start(&[("a", "192.0.2.8\n"), ("b", "192.0.2.9\n")], &zones);
    bench.write("a", ONE);
    bench.loader.take_event(Event::Touched, bench.now);
    bench.pass_time(0.4);
    assert_eq!((bench.generation(), READS.get()), (1, 0), "not at rest yet");
    bench.write("b", TWO);
    bench.loader.take_event(Event::Touched, bench.now);
    bench.pass_time(0.4);
    assert_eq!((bench.generation(), READS.get()), (1, 0), "not at rest yet");
    bench.pass_time(0.2);
    assert_eq!((bench.generation(), READS.get()), (2, 2), "one publication");
    assert!(bench.lists("a.example", "192.0.2.1") && bench.lists("b.example", "192.0.2.2"));
}

#[test]
fn polling_waits_for_rest_too() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.write("list", "192.0.2.7\n");
    bench.pass_time(60.0);
    bench.write("list", "192.0.2.7\n192.0.2.8\n");
    bench.pass_time(0.6);
    assert_eq!(READS.get(), 0, "still being written");
    bench.write("list", TWO);
    bench.pass_time(0.6);
    assert_eq!(READS.get(), 0, "still being written");
    bench.pass_time(0.6);
    bench.check("bl.example", Ready, [false, true], Published, "");
    assert_eq!(READS.get(), 1);
    // A file that never rests is read all the same.
    bench.write("list", ONE);
    bench.pass_time(60.0);
    for i in 0..9 {
        bench.write("list", format!("192.0.2.{i}\n"));
        bench.pass_time(0.6);
    }
    assert_eq!(READS.get(), 2);
}

#[test]
fn written_to_while_it_is_read() {
    let mut bench = Bench::start(&[("list", ONE)], &[zone("bl.example", &["list"])]);
    bench.write("list", TWO);
    CHANGES.set(2);
    bench.touched();
    bench.check("bl.example", Ready, [true, false], Published, "");
    assert_eq!(READS.get(), 1);
    bench.pass_time(0.6);
    bench.pass_time(0.6);
    bench.check("bl.example", Ready, [false, true], Published, "");
    assert_eq!((READS.get(), bench.generation()), (3, 2));
    // Three times in a row is a failure.
    bench.write("list", ONE);
    CHANGES.set(3);
    bench.touched();
    bench.pass_time(0.6);
    bench.pass_time(0.6);
    bench.check("bl.example", Ready, [false, true], Bad, "changed while it was read");
    bench.pass_time(0.6);
    assert_eq!(READS.get(), 6);
}
