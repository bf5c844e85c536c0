//! Files and settings change while questions are asked without pause: nothing is lost, nothing is wrong.
//!
//! Each scene starts a server with a list of some thousand entries, asks it 2000 questions a second, does
//! something to the files, and waits in the metrics until the server has noticed. The list says its generation in a
//! text, which may go up but never down and must never be missing.

use std::io::Write;
use std::path::Path;
use std::sync::MutexGuard;

use rustix::process::Signal;

use crate::alone;
use crate::lists::nibbles;
use crate::load::{Load, Probe, always, checked};
use crate::message::{A, Reply, SOA, TXT, edns, query};
use crate::metrics::Scrape;
use crate::server::{Server, settings, zone};

/// Entries of the list, enough for the guards on shrinking and growing.
const HOSTS: u32 = 5000;

/// The list at a generation.
fn list(generation: u32, hosts: u32) -> String {
    let mut text = format!("127.0.0.2 :2:test\n1.2.3.4 :4:generation {generation}\n");
    (0..hosts).for_each(|i| text += &format!("10.{}.{}.{}\n", i >> 16, i >> 8 & 255, i & 255));
    text
}

/// Write aside and rename into place, as a mirror does.
fn replace(path: &Path, content: &[u8]) {
    let aside = path.with_extension("new");
    std::fs::write(&aside, content).unwrap();
    std::fs::rename(&aside, path).unwrap();
}

/// Pack with gzip.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Questions about a zone with the list: what is always there, what never is, and the generation.
fn probes(zone: &str) -> Vec<Probe> {
    let mut last = 0;
    let generation = move |reply: &Reply| {
        let texts = reply.answers();
        let text = texts.first().ok_or_else(|| format!("no generation: {}", reply.code()))?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let now: u32 = digits.parse().map_err(|_| text.clone())?;
        if now < last {
            return Err(format!("generation {now} after {last}"));
        }
        last = now;
        Ok(())
    };
    vec![
        always(query(&format!("2.0.0.127.{zone}"), A), "NOERROR", &["A 127.0.0.2"]),
        always(query(&format!("1.0.0.127.{zone}"), A), "NXDOMAIN", &[]),
        always(query(&format!("9.9.9.9.{zone}"), TXT), "NXDOMAIN", &[]),
        always(query(&format!("7.0.0.10.{zone}"), A), "NOERROR", &["A 127.0.0.2"]),
        always(query(&format!("3.2.1.{zone}"), A), "NOERROR", &[]),
        checked(query(&format!("4.3.2.1.{zone}"), TXT), generation),
    ]
}

/// A server of one zone, asked all the time.
struct Scene {
    /// No other scene meanwhile.
    _alone: MutexGuard<'static, ()>,
    /// The server.
    server: Server,
    /// The client.
    load: Load,
}

impl Scene {
    /// Serve generation 1.
    fn start() -> Self {
        let settings = settings("", &zone("bl.test", &[("ip4set", "list")], ""));
        Self::start_with(&settings, &[("list", list(1, HOSTS).as_bytes())])
    }

    /// Serve these files with these settings.
    fn start_with(settings: &str, files: &[(&str, &[u8])]) -> Self {
        let alone = alone();
        let server = Server::start(settings, files);
        let load = Load::start(&server, probes("bl.test"));
        load.more(100);
        Self { _alone: alone, server, load }
    }

    /// Reloads of the zone with this outcome so far.
    fn reloads(&self, outcome: &str) -> f64 {
        Scrape::of(&self.server).sum("dnsbld_zone_reloads_total", &[("zone", "bl.test"), ("outcome", outcome)])
    }

    /// Do something and wait until the zone had one more reload of one of these outcomes.
    fn until(&self, outcomes: &[&str], act: impl FnOnce(&Path)) {
        let sum = |scene: &Self| outcomes.iter().map(|outcome| scene.reloads(outcome)).sum::<f64>();
        let before = sum(self);
        act(&self.server.path("list"));
        self.server.wait(&format!("a reload that ends as {outcomes:?}"), |_| sum(self) > before);
        self.load.more(200);
    }

    /// The text that says the generation.
    fn generation(&self) -> String {
        self.server.ask(&query("4.3.2.1.bl.test", TXT)).answers().into_iter().next().unwrap_or_default()
    }

    /// Check that the zone is served in this generation, after a reload that failed and said why.
    fn still(&self, generation: u32) {
        assert_eq!(self.generation(), format!("TXT \"generation {generation}\""));
        assert_eq!(self.server.get("/readyz").0, 200, "last good data are ready data");
        let scrape = Scrape::of(&self.server);
        assert_eq!(scrape.sum("dnsbld_zone_last_reload_success", &[("zone", "bl.test")]), 0.0);
        self.server.wait("the log says which file", |server| server.log().contains("list"));
    }

    /// Good data again: they are taken.
    fn recovers(self, generation: u32) {
        self.until(&["published"], |path| replace(path, list(generation, HOSTS).as_bytes()));
        assert_eq!(self.generation(), format!("TXT \"generation {generation}\""));
        let scrape = Scrape::of(&self.server);
        assert_eq!(scrape.sum("dnsbld_zone_last_reload_success", &[("zone", "bl.test")]), 1.0);
        self.load.finish();
    }
}

#[test]
fn a_rewritten_file() {
    let scene = Scene::start();
    for generation in 2..5 {
        let text = format!("TXT \"generation {generation}\"");
        std::fs::write(scene.server.path("list"), list(generation, HOSTS)).unwrap();
        scene.server.wait("the new generation", |_| scene.generation() == text);
    }
    scene.load.more(200);
    scene.load.finish();
}

#[test]
fn a_renamed_file() {
    let scene = Scene::start();
    for generation in 2..5 {
        scene.until(&["published"], |path| replace(path, list(generation, HOSTS).as_bytes()));
        assert_eq!(scene.generation(), format!("TXT \"generation {generation}\""));
    }
    scene.until(&["published"], |path| replace(path, &gzip(list(5, HOSTS).as_bytes())));
    scene.recovers(6);
}

#[test]
fn a_large_file_is_read_unnoticed() {
    let large = |generation| list(generation, 1_000_000);
    let settings = settings("", &zone("bl.test", &[("ip4set", "list")], ""));
    let scene = Scene::start_with(&settings, &[("list", large(1).as_bytes())]);
    for generation in 2..5 {
        scene.until(&["published"], |path| replace(path, large(generation).as_bytes()));
        assert_eq!(scene.generation(), format!("TXT \"generation {generation}\""));
    }
    scene.server.wait("old data to be freed", |server| Scrape::of(server).sum("dnsbld_retired_snapshots", &[]) == 0.0);
    scene.load.finish();
}

#[test]
fn a_deleted_file() {
    let scene = Scene::start();
    scene.until(&["bad_file"], |path| std::fs::remove_file(path).unwrap());
    scene.still(1);
    scene.recovers(2);
}

#[test]
fn a_file_of_garbage() {
    let scene = Scene::start();
    let garbage = crate::garbage::Random::new(99).octets(100_000);
    scene.until(&["bad_file", "guarded"], |path| replace(path, &garbage));
    scene.still(1);
    scene.until(&["bad_file", "guarded"], |path| replace(path, b"<html><body>503 Service Unavailable</body></html>\n"));
    scene.still(1);
    scene.recovers(2);
}

#[test]
fn a_truncated_gzip() {
    let scene = Scene::start();
    let packed = gzip(list(2, HOSTS).as_bytes());
    scene.until(&["bad_file"], |path| replace(path, &packed[..packed.len() * 2 / 3]));
    scene.still(1);
    scene.until(&["bad_file"], |path| replace(path, &packed[..packed.len() - 1]));
    scene.still(1);
    scene.until(&["published"], |path| replace(path, &packed));
    scene.recovers(3);
}

#[test]
fn a_file_that_lists_loopback_or_the_world() {
    let scene = Scene::start();
    for line in ["127.0.0.1\n", "127.0.0.0/8\n", "0/1\n128/1\n"] {
        scene.until(&["guarded"], |path| replace(path, (list(2, HOSTS) + line).as_bytes()));
        scene.still(1);
    }
    scene.recovers(3);
}

#[test]
fn an_emptied_and_a_swollen_file() {
    let scene = Scene::start();
    scene.until(&["guarded"], |path| replace(path, b""));
    scene.still(1);
    scene.until(&["guarded"], |path| replace(path, list(2, HOSTS / 10).as_bytes()));
    scene.still(1);
    scene.until(&["guarded"], |path| replace(path, list(2, HOSTS * 11).as_bytes()));
    scene.still(1);
    scene.recovers(2);
}

#[test]
fn a_file_from_the_future() {
    let scene = Scene::start();
    scene.until(&["bad_file"], |path| {
        replace(path, ("$TIMESTAMP 2399-01-01\n".to_owned() + &list(2, HOSTS)).as_bytes())
    });
    scene.still(1);
    scene.recovers(3);
}

#[test]
fn a_combined_file_of_broken_structure() {
    let combined = |generation| "$DATASET ip4set @\n".to_owned() + &list(generation, HOSTS);
    let settings = settings("", &zone("bl.test", &[("combined", "list")], ""));
    let scene = Scene::start_with(&settings, &[("list", combined(1).as_bytes())]);
    for broken in ["1.2.3.4\n".to_owned() + &combined(2), combined(2) + "$DATASET nosuch a\n1.2.3.5\n"] {
        scene.until(&["bad_file"], |path| replace(path, broken.as_bytes()));
        scene.still(1);
    }
    scene.until(&["published"], |path| replace(path, combined(3).as_bytes()));
    scene.load.finish();
}

#[test]
fn a_small_list_may_become_empty() {
    let settings = settings("", &zone("bl.test", &[("ip4set", "small")], ""));
    let server = Server::start(&settings, &[("small", b"1.2.3.4\n")]);
    assert_eq!(server.ask(&query("4.3.2.1.bl.test", A)).code(), "NOERROR");
    replace(&server.path("small"), b"");
    server.wait("the entry to go", |server| server.ask(&query("4.3.2.1.bl.test", A)).code() == "NXDOMAIN");
}

#[test]
fn a_file_that_comes_late() {
    let settings = settings("", &zone("bl.test", &[("ip4set", "list")], ""));
    let server = Server::start(&settings, &[]);
    assert_eq!(server.started, "serving: 0 of 1 zones ready");
    assert_eq!((server.get("/readyz").0, server.get("/healthz").0), (503, 200));
    let reply = server.ask(&query("2.0.0.127.bl.test", A).edns(edns(1232)));
    assert_eq!((reply.code().as_str(), reply.opt.unwrap().extended_error()), ("SERVFAIL", Some(14)));
    replace(&server.path("list"), list(1, 10).as_bytes());
    server.wait("the zone to be served", |server| server.ask(&query("2.0.0.127.bl.test", A)).code() == "NOERROR");
    server.wait("readiness", |server| server.get("/readyz").0 == 200);
}

#[test]
fn several_files_of_one_generation_change_together() {
    let _alone = alone();
    // A generous settle time: the renames must fall within it even on a busy machine.
    let zones = zone("bl.test", &[("ip4set", "a"), ("ip4trie", "b"), ("ip6trie", "c")], "");
    let settings = settings("", &zones).replace("settle-ms = 50", "settle-ms = 1500");
    let part = |name: &str, generation: u32| match name {
        "c" => format!("::ffff:1.2.3.4 :4:x\n::ffff:102:304 :4:{generation}\n"),
        _ => format!("1.2.3.4 :{}:{generation}\n", if name == "a" { 2 } else { 3 }),
    };
    let names = ["a", "b", "c"];
    let files: Vec<(&str, String)> = names.iter().map(|name| (*name, part(name, 1))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let server = Server::start(&settings, &files);
    let whole = |reply: &Reply| {
        // Equal texts are one record: more than one means two generations at once.
        let (texts, count) = (reply.answers(), reply.answer.len());
        if texts.len() == 1 && count == 1 { Ok(()) } else { Err(format!("a mixture: {texts:?}")) }
    };
    let mapped = format!("{}.bl.test", nibbles("::ffff:1.2.3.4"));
    let load = Load::start(
        &server,
        vec![
            checked(query("4.3.2.1.bl.test", TXT), whole),
            checked(query(&mapped, TXT), whole),
            always(query("4.3.2.1.bl.test", A), "NOERROR", &["A 127.0.0.2", "A 127.0.0.3"]),
        ],
    );
    for generation in 2..5 {
        for name in names {
            replace(&server.path(name), part(name, generation).as_bytes());
        }
        let text = format!("TXT \"{generation}\"");
        server.wait("all files", |server| server.ask(&query(&mapped, TXT)).answers().contains(&text));
    }
    // A bad file holds the good ones of its zone back.
    let before = Scrape::of(&server).sum("dnsbld_zone_reloads_total", &[("outcome", "bad_file")]);
    replace(&server.path("a"), part("a", 5).as_bytes());
    replace(&server.path("b"), &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    server.wait("a bad file", |server| {
        Scrape::of(server).sum("dnsbld_zone_reloads_total", &[("outcome", "bad_file")]) > before
    });
    load.more(200);
    assert!(server.ask(&query("4.3.2.1.bl.test", TXT)).answers().contains("TXT \"4\""));
    replace(&server.path("b"), part("b", 5).as_bytes());
    replace(&server.path("c"), part("c", 5).as_bytes());
    server.wait("all files", |server| server.ask(&query("4.3.2.1.bl.test", TXT)).answers().contains("TXT \"5\""));
    load.more(200);
    load.finish();
}

#[test]
fn d14_serials_never_go_back() {
    let settings =
        settings("", &(zone("bl.test", &[("ip4set", "list")], "") + &zone("other.test", &[("ip4set", "o")], "")));
    let server = Server::start(&settings, &[("list", b"1.2.3.4\n"), ("o", b"1.2.3.4\n")]);
    let serial = |zone: &str| -> u32 {
        let answers = server.ask(&query(zone, SOA)).answers();
        answers.first().unwrap().split(' ').nth(3).unwrap().parse().unwrap()
    };
    let mut last = serial("bl.test");
    let other = serial("other.test");
    assert_eq!(last, 1_700_000_000, "the newest file's time to begin with");
    for round in 0..4u32 {
        // The file's time goes back and forth; the serial only ever goes up.
        let aside = server.path("aside");
        crate::server::put_old(&aside, format!("1.2.3.4 :2:{round}\n").as_bytes());
        if round % 2 == 1 {
            std::fs::write(&aside, format!("1.2.3.4 :2:{round}\n")).unwrap();
        }
        std::fs::rename(&aside, server.path("list")).unwrap();
        let text = format!("TXT \"{round}\"");
        server.wait("the new text", |server| server.ask(&query("4.3.2.1.bl.test", TXT)).answers().contains(&text));
        let now = serial("bl.test");
        assert!(now.wrapping_sub(last) as i32 > 0, "serial {now} after {last} in round {round}");
        last = now;
    }
    server.signal(Signal::HUP);
    server.wait("the settings to be reread", |server| {
        Scrape::of(server).sum("dnsbld_settings_reloads_total", &[("outcome", "taken")]) > 0.0
    });
    assert_eq!((serial("bl.test"), serial("other.test")), (last, other), "unchanged data keep their serial");
}
