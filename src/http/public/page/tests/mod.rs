//! The router as clients meet it: what is shown to whom, what is kept back, escaping, limits, removal.

mod described;

use std::sync::RwLock;

use axum::http::{Method, Request};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use rusqlite::Connection;
use serde_json::Value;

use super::zones::Shown;
use super::*;
use crate::dataset::Kind as DatasetKind;
use crate::feed::kind::ProbeSenders;
use crate::feed::ledger::tests::{MINUTE, put, session};
use crate::feed::ledger::{Ledger, LedgerOptions};
use crate::feed::publish::Nudge;
use crate::feed::session::{Answer, Kind};
use crate::feed::source::intake::token_hash;
use crate::feed::store::key::HashKey;
use crate::feed::store::rows::{self, Row};
use crate::feed::store::{FILE, Store};
use crate::zone::{Publisher, Snapshot, Zone, ZoneSettings, ZoneState};
use crate::zonefile;

/// The host that is listed.
const HOST: &str = "203.0.113.9";
/// Somebody else.
const OTHER: &str = "192.0.2.77";
/// The operator's token.
const TOKEN: &str = "0123456789abcdef0123";
/// A text that would like to be a script.
const HOSTILE: &str = "<script>alert('1')</script>&\"quoted\"";

/// A zone of one dataset, and perhaps an access list.
fn zone(name: &str, state: ZoneState, retired: bool, datasets: &[(DatasetKind, &str)]) -> Arc<Zone> {
    let settings = ZoneSettings {
        name: name.parse().unwrap(),
        ns: Vec::new(),
        mname: None,
        rname: None,
        ttl: 300,
        negative_ttl: 60,
        ttl_min: 0,
        ttl_max: u32::MAX,
        make_apex: true,
        retired: retired.then(|| "over".to_owned()),
        wrong_kind: None,
    };
    Arc::new(Zone::build(settings, 0, 1, state, zonefile::testing::datasets(datasets)))
}

/// Everything that a page stands on.
struct World {
    /// The page.
    page: Arc<Page>,
    /// Where the store is; goes away with this.
    _dir: tempfile::TempDir,
    /// The store.
    store: Connection,
    /// The rules.
    ledger: Ledger,
    /// Runs the handlers.
    runtime: tokio::runtime::Runtime,
}

/// Zones of each kind and a feeder that knows a host.
fn world() -> World {
    use DatasetKind::{Acl, Dnset, Ip4Set, Ip6Trie};
    let hostile = format!("{HOST} :127.0.0.5:{HOSTILE}\n198.51.100.0/24 :127.0.0.7:net $\n");
    let feeder = format!("{HOST} :127.0.0.2:Sender callouts\n");
    let ready = ZoneState::Ready;
    let zones = vec![
        zone("clear.test", ready, false, &[(Ip4Set, "10.0.0.1\n")]),
        zone("open.test", ready, false, &[(Ip4Set, &hostile)]),
        zone("guarded.test", ready, false, &[(Ip4Set, &hostile), (Acl, "192.0.2.0/24 :pass\n")]),
        zone("guarded-shown.test", ready, false, &[(Ip4Set, &hostile), (Acl, "192.0.2.0/24 :pass\n")]),
        zone("hidden.test", ready, false, &[(Ip4Set, &hostile)]),
        zone("unknown.test", ready, false, &[(Ip4Set, &hostile)]),
        zone("names.test", ready, false, &[(Dnset, "evil.example :127.0.1.2:$ is bad\n.wild.example\n")]),
        zone("six.test", ready, false, &[(Ip6Trie, "2001:db8::/32 :127.0.0.6:six\n")]),
        zone("down.test", ZoneState::NotReady, false, &[]),
        zone("over.test", ready, true, &[]),
        zone("bs.test", ready, false, &[(Ip4Set, &feeder)]),
    ];
    let mut publisher = Publisher::default();
    publisher.publish(Snapshot::new(zones, 1));
    let shown = |public, feeder| Shown { public, feeder, guarded: false };
    let zones = [
        ("clear.test", shown(None, false)),
        ("open.test", shown(None, false)),
        ("guarded.test", shown(None, false)),
        ("guarded-shown.test", shown(Some(true), false)),
        ("hidden.test", shown(Some(false), false)),
        ("names.test", shown(None, false)),
        ("six.test", shown(None, false)),
        ("down.test", shown(None, false)),
        ("over.test", shown(None, false)),
        ("bs.test", shown(None, true)),
    ];
    let options = PageOptions {
        title: "Lists of <Example>".to_owned(),
        contact: "postmaster@example.org".to_owned(),
        site: Some("https://bl.example.org".to_owned()),
        rate: 10_000,
        token: Some(token_hash(TOKEN.as_bytes())),
        zones: zones.into_iter().map(|(name, shown)| (name.parse().unwrap(), shown)).collect(),
        observe: false,
    };
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let store = Connection::open(dir.path().join(FILE)).unwrap();
    store.execute("INSERT INTO inputs VALUES (1, 'log', 0, 0, 0, 0, 0, 0, 0, NULL, NULL)", []).unwrap();
    let traps = vec!["bait@trap.example".into()];
    let ledger = Ledger::new(LedgerOptions { traps, ..LedgerOptions::default() }, HashKey::new(b"key"), Vec::new());
    let records = Records::new(dir.path(), Arc::new(RwLock::new(ledger.clone())), Nudge::default());
    let page = Page::new(options, publisher.reader(), Some(Arc::new(records)), b"secret");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    World { page, _dir: dir, store, ledger, runtime }
}

/// What came back.
struct Got {
    /// The status.
    status: u16,
    /// The headers.
    headers: HeaderMap,
    /// The body.
    body: String,
}

impl Got {
    /// The body as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header as text.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    /// Let a host call back five times, the last time just now.
    fn list(&mut self, host: &str, first: u128) {
        let now_ms = now_ms();
        let row = |n: i64| -> Row {
            let to = format!("u{n}@example.org");
            let id = first + n as u128;
            let session = session(id, now_ms - (4 - n) * 10 * MINUTE, host, Kind::Callout, &to, Answer::Ok);
            let line = format!("from {host} to=<u***@example.org> helo=<{HOSTILE}.trap.example>").into_bytes();
            rows::of_session(session, "mail.log", vec![line], &HashKey::new(b"key"), &ProbeSenders::default())
        };
        put(&mut self.store, &self.ledger, (0..5).map(row).collect());
    }

    /// Send a request as a client.
    fn send(&self, method: Method, client: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        // `?` before an address: a proxy's that has not said for whom it asks.
        let (address, certain) = (client.trim_start_matches('?').parse().unwrap(), !client.starts_with('?'));
        request.extensions_mut().insert(ClientAddress { address, certain });
        self.runtime.block_on(async {
            let service = TowerToHyperService::new(routes(Arc::clone(&self.page)));
            let Ok(response) = service.call(request).await;
            let (head, body) = response.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            Got { status: head.status.as_u16(), headers: head.headers, body }
        })
    }

    /// Fetch a page as a client.
    fn get(&self, client: &str, path: &str) -> Got {
        self.send(Method::GET, client, path, &[], "")
    }

    /// Fetch a page as the operator.
    fn operator(&self, path: &str) -> Got {
        self.send(Method::GET, OTHER, path, &[("authorization", &format!("Bearer {TOKEN}"))], "")
    }

    /// Change the options.
    fn set(&self, change: impl FnOnce(&mut PageOptions)) {
        let mut options = PageOptions::clone(&self.page.options.load());
        change(&mut options);
        self.page.replace(options);
    }
}

#[test]
fn each_zone_says_its_part_and_those_for_some_are_not_shown() {
    let world = world();
    let always = [("down.test", "unavailable"), ("over.test", "retired")];
    for (subject, expected) in [
        (
            HOST,
            &[
                ("open.test", "listed"),
                ("guarded-shown.test", "listed"),
                ("bs.test", "listed"),
                ("clear.test", "not-listed"),
            ][..],
        ),
        (
            "10.0.0.1",
            &[
                ("clear.test", "listed"),
                ("open.test", "not-listed"),
                ("guarded-shown.test", "not-listed"),
                ("bs.test", "not-listed"),
            ],
        ),
        ("2001:db8:1::1", &[("six.test", "listed")]),
        ("2001:db9::1", &[("six.test", "not-listed")]),
        ("EVIL.example", &[("names.test", "listed")]),
        ("a.wild.example", &[("names.test", "listed")]),
        ("good.example", &[("names.test", "not-listed")]),
    ] {
        let found = world.get(OTHER, &format!("/v1/lookup/{subject}")).json();
        let zones = found["zones"].as_array().unwrap().iter();
        let zones: Vec<(&str, &str)> =
            zones.map(|zone| (zone["zone"].as_str().unwrap(), zone["state"].as_str().unwrap())).collect();
        let mut wanted: Vec<(&str, &str)> = expected.iter().chain(&always).copied().collect();
        let mut sorted = zones.clone();
        wanted.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(sorted, wanted, "{subject}");
        let first = expected.iter().any(|(_, state)| *state == "listed");
        assert_eq!((zones[0].1 == "listed", found["listed"].as_bool()), (first, Some(first)), "{subject}");
        let page = world.get(OTHER, &format!("/lookup/{subject}")).body;
        for zone in ["guarded.test", "hidden.test", "unknown.test"] {
            assert!(!page.contains(zone) && !found.to_string().contains(zone), "{zone} for {subject}");
        }
    }
    let entries = &world.get(OTHER, "/v1/lookup/198.51.100.9").json()["zones"][0]["entries"];
    assert_eq!(entries.to_string(), r#"[{"code":"127.0.0.7","text":"net 198.51.100.9"}]"#);
    let entries = &world.get(OTHER, "/v1/lookup/evil.example").json()["zones"][0]["entries"];
    assert_eq!(entries.to_string(), r#"[{"code":"127.0.1.2","text":"evil.example is bad"}]"#);
}

#[test]
fn an_access_list_for_all_zones_hides_what_has_no_word_of_its_own() {
    let world = world();
    let acl = zone("x.test", ZoneState::Ready, false, &[(DatasetKind::Acl, "192.0.2.0/24 :pass\n")]).acl.clone();
    let zones = world.page.reader.load().zones.clone();
    let mut publisher = Publisher::default();
    publisher.publish(Snapshot::new(zones, 2).with_acl(acl));
    let page =
        Page::new(PageOptions::clone(&world.page.options.load()), publisher.reader(), world.page.records.clone(), b"");
    let world = World { page, ..world };
    let found = world.get(OTHER, &format!("/v1/lookup/{HOST}")).json();
    assert_eq!((found["zones"].as_array().unwrap().len(), found["feeder"].is_null()), (1, true));
    assert_eq!(found["zones"][0]["zone"], "guarded-shown.test");
}

#[test]
fn every_text_is_escaped() {
    let mut world = world();
    world.list(HOST, 1);
    // The owner is shown the most: texts of zones, lines of logs with what the client wrote.
    for path in [
        format!("/lookup/{HOST}"),
        "/".to_owned(),
        "/lookup?q=%3Cscript%3E".to_owned(),
        "/lookup/%3Cscript%3E".to_owned(),
        "/%3Cscript%3E".to_owned(),
    ] {
        let page = world.get(HOST, &path).body;
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Lists of &#60;Example&#62;"), "{path}: {page}");
        assert!(!page.contains("<script") && !page.contains("alert('1')"), "{path}: {page}");
    }
    let page = world.get(HOST, &format!("/lookup/{HOST}")).body;
    assert_eq!(page.matches("&#60;script&#62;alert(&#39;1&#39;)").count(), 2 + 5, "{page}");
}

#[test]
fn who_sees_what() {
    let mut world = world();
    world.list(HOST, 1);
    let path = format!("/v1/lookup/{HOST}");
    let (other, owner, operator) = (world.get(OTHER, &path), world.get(HOST, &path), world.operator(&path));
    for (got, evidence, from_here) in [(&other, false, false), (&owner, true, true), (&operator, true, false)] {
        let feeder = &got.json()["feeder"];
        assert_eq!(feeder["listing"]["codes"][0], "127.0.0.2");
        assert_eq!(
            feeder["listing"]["reasons"].to_string(),
            r#"[{"count":5,"signal":"callout","text":"callout to a known address"}]"#
        );
        assert_eq!(
            (feeder["evidence"].is_object(), feeder["removal"]["from_here"].as_bool()),
            (evidence, Some(from_here))
        );
        // Of traps nobody hears, and of recipients only what is masked.
        assert!(!got.body.to_lowercase().contains("trap.example") && !got.body.contains("u1@"), "{}", got.body);
    }
    assert!(!other.body.contains("example.org") && !other.body.contains("mail.log"), "{}", other.body);
    assert_eq!(owner.json()["feeder"]["evidence"]["pieces"].as_array().unwrap().len(), 5);
    assert!(owner.body.contains("to=<u***@example.org>"));
    // A mapped address is the same host, a wrong token is no operator.
    assert!(world.get("::ffff:203.0.113.9", &path).json()["feeder"]["evidence"].is_object());
    let wrong = [("authorization", "Bearer 0123456789abcdef0124")];
    assert!(world.send(Method::GET, OTHER, &path, &wrong, "").json()["feeder"]["evidence"].is_null());
    // Pages say the same.
    let (page, own) =
        (world.get(OTHER, &format!("/lookup/{HOST}")).body, world.get(HOST, &format!("/lookup/{HOST}")).body);
    for part in ["Listed on 3 of", "sender callouts", "callout to a known address", "by itself", "in 7 days"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains(&format!("curl -X POST https://bl.example.org/v1/lookup/{HOST}/remove")), "{page}");
    assert!(!page.contains("The evidence") && !page.contains("<button type=\"submit\">Remove"), "{page}");
    assert!(own.contains("The evidence") && own.contains(&format!("<button type=\"submit\">Remove {HOST}")), "{own}");
    // Whoever only observes lists nothing.
    world.set(|options| options.observe = true);
    let feeder = world.get(OTHER, &path).json()["feeder"].clone();
    assert_eq!((feeder["listing"].is_null(), feeder["earlier"].as_array().unwrap().len()), (true, 0));
    // A list that is not shown takes what it comes from with it, but for the operator.
    world.set(|options| options.zones.values_mut().for_each(|zone| zone.public = Some(!zone.feeder)));
    assert!(world.get(HOST, &path).json()["feeder"].is_null());
    assert!(world.operator(&path).json()["feeder"].is_object());
}

#[test]
fn every_answer_protects_its_reader() {
    let world = world();
    world.set(|options| options.rate = 6);
    let mut seen = Vec::new();
    for (method, path, status) in [
        (Method::GET, "/", 200),
        (Method::GET, "/lookup/192.0.2.1", 200),
        (Method::GET, "/style.css", 200),
        (Method::GET, "/robots.txt", 200),
        (Method::GET, "/v1/openapi.json", 200),
        (Method::GET, "/v1/listings", 401),
        (Method::GET, "/lookup/192.0.2.256", 400),
        (Method::GET, "/nothing", 404),
        (Method::POST, "/lookup/192.0.2.1", 429),
        (Method::GET, "/v1/lookup/192.0.2.1", 429),
        (Method::GET, "/style.css", 200),
    ] {
        let got = world.send(method.clone(), OTHER, path, &[], "");
        assert_eq!(got.status, status, "{method} {path}");
        assert_eq!(got.header("content-security-policy"), CONTENT_POLICY, "{path}");
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!((got.header("referrer-policy"), got.header("x-frame-options")), ("no-referrer", "DENY"), "{path}");
        let cached = matches!(path, "/style.css" | "/robots.txt");
        assert_eq!(got.header("cache-control") == "no-store", !cached, "{path}");
        if status == 429 {
            assert_eq!(got.header("retry-after"), "10", "{path}");
            seen.push(got.header("content-type").to_owned());
        }
    }
    assert_eq!(seen, ["text/html; charset=utf-8", "application/json"]);
    assert_eq!(world.get("192.0.2.78", "/").status, 200, "another client");
    assert_eq!(world.operator("/v1/listings").status, 200, "the operator as often as he likes");
}

#[test]
fn what_is_not_there_is_told_in_the_words_of_its_part() {
    let world = world();
    let (html, json) = ("text/html; charset=utf-8", "application/json");
    for (method, path, status, allow, content_type) in [
        (Method::GET, "/nothing", 404, "", html),
        (Method::GET, "/v1/nothing", 404, "", json),
        (Method::POST, "/", 405, "GET,HEAD", html),
        (Method::GET, "/v1/lookup/192.0.2.1/remove", 405, "POST", json),
        (Method::DELETE, "/lookup/192.0.2.1/remove", 405, "GET,HEAD,POST", html),
        (Method::POST, "/v1/listings", 405, "GET,HEAD", json),
        (Method::GET, "/lookup/%ff", 400, "", html),
        (Method::GET, "/v1/lookup/%ff", 400, "", json),
        (Method::POST, "/v1/lookup/%ff/remove", 400, "", json),
    ] {
        let got = world.send(method.clone(), OTHER, path, &[], "");
        let mut allowed: Vec<&str> = got.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(
            (got.status, &*allowed.join(","), got.header("content-type")),
            (status, allow, content_type),
            "{method} {path}"
        );
        assert!(content_type == html || got.json()["error"].is_string(), "{path}: {}", got.body);
    }
}

#[test]
fn an_owner_is_who_is_known_to_ask() {
    let mut world = world();
    world.list(HOST, 1);
    let path = format!("/v1/lookup/{HOST}");
    let remove = format!("{path}/remove");
    let uncertain = format!("?{HOST}");
    let (ours, other) = ("https://bl.example.org", "https://evil.example");
    for (client, headers, evidence, removal) in [
        (HOST, &[("host", "bl.example.org"), ("origin", ours)][..], true, 200),
        // A proxy that names nobody.
        (&uncertain, &[], false, 403),
        // Another site that has our address, or sends a form.
        (HOST, &[("host", "evil.example")], false, 403),
        (HOST, &[("host", "evil.example"), ("origin", other)], false, 403),
        (HOST, &[("host", "bl.example.org"), ("origin", other)], false, 403),
    ] {
        let got = world.send(Method::GET, client, &path, headers, "").json();
        assert_eq!(got["feeder"]["evidence"].is_object(), evidence, "{client} {headers:?}");
        let got = world.send(Method::POST, client, &remove, headers, "");
        assert_eq!(got.status, removal, "{client} {headers:?} {}", got.body);
    }
}

#[test]
fn what_is_not_shown_is_not_removed_either() {
    let mut world = world();
    world.list(HOST, 1);
    let path = format!("/v1/lookup/{HOST}");
    let told = |world: &World| {
        let remove = world.send(Method::POST, HOST, &format!("{path}/remove"), &[], "");
        (world.get(HOST, &path).json()["feeder"].is_object(), remove.status)
    };
    assert_eq!(told(&world), (true, 200));
    let bs: crate::wire::name::Name = "bs.test".parse().unwrap();
    let all = world.page.options.load().zones.clone();
    // Guarded by a list that is not loaded; not shown; served by no zone that is known.
    for zone in [
        Shown { guarded: true, ..all[&bs] },
        Shown { public: Some(false), ..all[&bs] },
        Shown { feeder: false, ..all[&bs] },
    ] {
        world.set(|options| *options.zones.get_mut(&bs).unwrap() = zone);
        assert_eq!(told(&world), (false, 404), "{zone:?}");
    }
    world.set(|options| *options.zones.get_mut(&bs).unwrap() = Shown { public: Some(true), guarded: true, ..all[&bs] });
    assert_eq!(told(&world), (true, 200));
}

#[test]
fn the_field_leads_to_the_page() {
    let world = world();
    for (query, status, location) in [
        ("?q=192.0.2.1", 303, "/lookup/192.0.2.1"),
        ("?q=+192.0.2.1%20", 303, "/lookup/192.0.2.1"),
        ("?q=2001%3ADB8%3A%3A1", 303, "/lookup/2001:db8::1"),
        ("?x=1&q=Evil.Example.", 303, "/lookup/evil.example"),
        ("?q=", 303, "/"),
        ("", 303, "/"),
        ("?q=//evil.example", 400, ""),
        ("?q=%0d%0aSet-Cookie:%20a", 400, ""),
        ("?q=1.2.3", 400, ""),
    ] {
        let got = world.get(OTHER, &format!("/lookup{query}"));
        assert_eq!((got.status, got.header("location")), (status, location), "{query}");
    }
    assert_eq!(world.get(OTHER, "/lookup/192.0.2.1/remove").header("location"), "/lookup/192.0.2.1");
    // A /64, as the feeder writes it.
    assert_eq!(world.get(OTHER, "/v1/lookup/2001:db8::%2F64").json()["subject"], "2001:db8::");
}

#[test]
fn removal_takes_the_address_itself_and_a_confirmation() {
    let mut world = world();
    world.list(HOST, 1);
    let path = format!("/v1/lookup/{HOST}/remove");
    let post = |world: &World, client: &str, path: &str, body: &str| world.send(Method::POST, client, path, &[], body);
    assert_eq!(post(&world, OTHER, &path, "").status, 403);
    assert_eq!(post(&world, OTHER, "/v1/lookup/192.0.2.77/remove", "").status, 409, "not listed");
    assert_eq!(post(&world, OTHER, "/v1/lookup/evil.example/remove", "").status, 404);
    assert_eq!(post(&world, HOST, &path, "token=00").status, 403, "no token was given out");
    assert_eq!(post(&world, HOST, &path, &"x".repeat(BODY_OCTETS_MAX + 1)).status, 413);
    let token = post(&world, HOST, &path, "").json()["token"].as_str().unwrap().to_owned();
    assert_eq!(post(&world, OTHER, &path, &format!("token={token}")).status, 403, "another address");
    assert_eq!(post(&world, HOST, &path, "token=00").status, 403, "a wrong one");
    assert_eq!(post(&world, HOST, &path, &format!("token={token}")).status, 403, "used up by the wrong one");
    // The page: a form with a token, and what it is answered with.
    let page = format!("/lookup/{HOST}/remove");
    let form = post(&world, HOST, &page, "").body;
    let (_, rest) = form.split_once("name=\"token\" value=\"").unwrap();
    let token = rest.split('"').next().unwrap();
    let done = post(&world, HOST, &page, &format!("token={token}"));
    assert!(done.status == 200 && done.body.contains("is removed"), "{}", done.body);
    let feeder = world.get(OTHER, &format!("/v1/lookup/{HOST}")).json()["feeder"].clone();
    assert_eq!((feeder["listing"].is_null(), &feeder["earlier"][0]["ended"]), (true, &"removed-by-owner".into()));
    // Listed again, the next one must wait.
    world.list(HOST, 100);
    let later = now_ms() + 60_000;
    let (events, listings) =
        ("UPDATE events SET time_ms = time_ms + 1, end_ms = end_ms + 1", "UPDATE listings SET until_ms = ?1");
    world.store.execute(events, []).unwrap();
    world.store.execute(listings, [later]).unwrap();
    let again = post(&world, HOST, &path, "");
    assert_eq!(again.status, 429, "{}", again.body);
    let wait: i64 = again.header("retry-after").parse().unwrap();
    assert!((6 * 86_400..=7 * 86_400).contains(&wait), "{wait}");
    let page = world.get(HOST, &format!("/lookup/{HOST}")).body;
    assert!(page.contains("the next removal is possible from") && !page.contains("<button type=\"submit\">Remove"));
    world.set(|options| options.observe = true);
    assert_eq!(post(&world, HOST, &path, "").status, 404, "nothing is listed while observing");
}

#[test]
fn listings_are_for_the_operator() {
    let mut world = world();
    for (at, host) in ["198.51.100.1", HOST, "2001:db8::1"].iter().enumerate() {
        world.list(host, 100 * at as u128);
    }
    let refused = world.get(HOST, "/v1/listings");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"));
    let mut hosts = Vec::new();
    let mut next = Some("/v1/listings?limit=2".to_owned());
    let mut pages = 0;
    while let Some(path) = next {
        let page = world.operator(&path).json();
        let rows = page["listings"].as_array().unwrap().iter().map(|row| row["host"].as_str().unwrap().to_owned());
        hosts.extend(rows);
        next = page["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((hosts, pages), (vec!["198.51.100.1".into(), HOST.into(), "2001:db8::/64".into()], 2));
    for query in ["limit=0", "limit=1001", "limit=x", "after=x"] {
        assert_eq!(world.operator(&format!("/v1/listings?{query}")).status, 400, "{query}");
    }
    // Without a token in the settings nobody is the operator.
    world.set(|options| options.token = None);
    assert_eq!(world.operator("/v1/listings").status, 401);
}

#[test]
fn a_store_that_can_not_be_read_is_told() {
    let world = world();
    std::fs::remove_file(world._dir.path().join(FILE)).unwrap();
    let got = world.get(OTHER, &format!("/v1/lookup/{HOST}"));
    assert_eq!((got.status, got.header("retry-after")), (503, "60"));
    assert_eq!(world.get(OTHER, "/v1/lookup/evil.example").status, 200, "names are not the feeder's affair");
}
