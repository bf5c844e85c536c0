//! The lookup page as people and programs meet it: the real binary, its logs, DNS, and a real browser.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::message::{A, query};
use crate::rbldnsd::free_port;
use crate::server::{PATIENCE, Server, settings, zone};
use crate::skip;

/// The host that calls back.
const HOST: &str = "203.0.113.9";
/// Its name below a list.
const REVERSED: &str = "9.113.0.203";
/// The operator's token.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The longest time from a removal to the answer of DNS.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A server with a feeder, two more lists, and the page; and where the page is.
fn start(more: &str) -> (Server, SocketAddr) {
    let public = free_port();
    let text = format!(
        "state-dir = \"state\"\n{}",
        settings(
            "",
            &format!(
                "[public]\nenabled = true\nlisten = \"{public}\"\ntrusted-proxies = [\"127.0.0.0/8\"]\n\
                 [public.page]\ntitle = \"Lists of bl.example.org\"\ncontact = \"postmaster@example.org\"\n\
                 token-file = \"page.token\"\n{more}\n\
                 [feed]\nenabled = true\nzone-file = \"bs.zone\"\nurl = \"https://bl.example.org/lookup/$\"\n\
                 [[feed.source]]\ntype = \"file\"\npath = \"mail.log\"\nformat = \"postfix\"\n{}{}{}",
                zone("backscatter.example.org", &[("combined", "bs.zone")], ""),
                zone("dul.example.org", &[("ip4trie", "dul")], ""),
                zone("customers.example.org", &[("ip4set", "dul"), ("acl", "acl")], ""),
            )
        )
    );
    let files: [(&str, &[u8]); 4] = [
        ("mail.log", b""),
        ("page.token", TOKEN.as_bytes()),
        ("dul", b":127.0.0.10:Dynamic address, see https://example.org/?a=1&b=<$>\n198.51.100.0/24\n"),
        ("acl", b"192.0.2.0/24 :pass\n"),
    ];
    (Server::start(&text, &files), public)
}

/// Postfix's lines of callouts of the host, so far apart, the last one now.
fn callouts(first: u32, count: u32, apart_ms: i64) -> String {
    let mut lines = String::new();
    let client = format!("mail.caller.example[{HOST}]");
    for n in first..first + count {
        let ago_ms = i64::from(first + count - 1 - n) * apart_ms;
        let mut line = |ms: i64, text: String| {
            let time = Timestamp::from_millisecond(Timestamp::now().as_millisecond() - ago_ms + ms).unwrap();
            let stamp = time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00");
            let _ = writeln!(lines, "{stamp} mx1 postfix/smtpd[{}]: {text}", 1000 + n);
        };
        line(0, format!("connect from {client}"));
        let to =
            format!("NOQUEUE: info: RCPT from {client}: null-sender; from=<> to=<user{n}@example.org> proto=ESMTP");
        line(1, format!("{to} helo=<a&amp;'b.example>"));
        line(2, format!("disconnect from {client} ehlo=1 mail=1 rcpt=1 quit=1 commands=4"));
    }
    lines
}

/// Append to the log.
fn log(server: &Server, text: &str) {
    fs::File::options().append(true).open(server.path("mail.log")).unwrap().write_all(text.as_bytes()).unwrap();
}

/// What came back: status, head, body.
type Got = (u16, String, String);

/// Send a request, from an address behind the proxy that we are.
fn send(public: SocketAddr, method: &str, path: &str, from: &str, more: &str, body: &str) -> Got {
    let mut stream = TcpStream::connect(public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "Host: localhost\r\nConnection: close\r\nX-Forwarded-For: {from}\r\nContent-Length: {length}\r\n{more}"
    );
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.into())
}

/// Fetch a page from an address.
fn get(public: SocketAddr, path: &str, from: &str) -> Got {
    send(public, "GET", path, from, "", "")
}

/// A JSON answer.
fn json(got: &Got) -> serde_json::Value {
    serde_json::from_str(&got.2).unwrap_or_else(|error| panic!("{error}: {}", got.2))
}

/// Is the host listed by DNS?
fn in_dns(server: &Server) -> bool {
    server.ask(&query(&format!("{REVERSED}.backscatter.example.org"), A)).code() == "NOERROR"
}

/// Let the host be listed.
fn list(server: &Server) {
    log(server, &callouts(0, 5, 600_000));
    server.wait("the host to be listed", in_dns);
}

#[test]
fn listed_explained_and_removed_by_its_owner() {
    let (server, public) = start("");
    let path = format!("/v1/lookup/{HOST}");
    let before = json(&get(public, &path, "192.0.2.1"));
    assert_eq!((&before["listed"], &before["feeder"]["listing"]), (&false.into(), &serde_json::Value::Null));
    list(&server);
    let world = get(public, &path, "192.0.2.1");
    let (status, head, page) = get(public, &format!("/lookup/{HOST}"), "192.0.2.1");
    assert_eq!((world.0, status), (200, 200));
    assert!(
        head.contains("content-security-policy: default-src 'none'; style-src 'self'; form-action 'self'"),
        "{head}"
    );
    let found = json(&world);
    assert_eq!((&found["listed"], &found["zones"][0]["zone"]), (&true.into(), &"backscatter.example.org".into()));
    assert_eq!(found["feeder"]["listing"]["reasons"][0]["count"], 5);
    // What DNS says, stands there; what is for customers does not.
    assert!(
        found["zones"][0]["entries"][0]["text"].as_str().unwrap().starts_with("Sender callouts: 5 callouts; 5 rec")
    );
    assert!(page.contains("Sender callouts: 5 callouts") && page.contains("dul.example.org"), "{page}");
    for got in [&world.2, &page] {
        assert!(!got.contains("customers.example.org") && !got.contains("u***@") && !got.contains("mx1"), "{got}");
    }
    // Its owner, behind our proxy, sees what the log said.
    let own = get(public, &format!("/lookup/{HOST}"), &format!("198.51.100.200, {HOST}")).2;
    assert!(own.contains("u***@example.org") && own.contains("helo=&#60;a&#38;amp;&#39;b.example&#62;"), "{own}");
    assert!(!own.contains("user1@"), "{own}");

    let remove = format!("{path}/remove");
    assert_eq!(send(public, "POST", &remove, "192.0.2.1", "", "").0, 403);
    assert_eq!(
        send(public, "POST", &remove, &format!("{HOST}, 192.0.2.1"), "", "").0,
        403,
        "who is forged is not asked"
    );
    let token = json(&send(public, "POST", &remove, HOST, "", ""))["token"].as_str().unwrap().to_owned();
    let begin = Instant::now();
    let done = send(public, "POST", &remove, HOST, "", &format!("token={token}"));
    assert_eq!((done.0, &json(&done)["removed"]), (200, &true.into()), "{}", done.2);
    server.wait("the host to be off the list", |server| !in_dns(server));
    let took = begin.elapsed();
    assert!(took < AT_ONCE, "off the list only after {took:?}");
    let after = json(&get(public, &path, "192.0.2.1"));
    assert_eq!(
        (&after["listed"], &after["feeder"]["earlier"][0]["ended"]),
        (&false.into(), &"removed-by-owner".into())
    );
    let history = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
        .args(["feed", "history", HOST, "--config"])
        .arg(server.path("dnsbld.toml"))
        .output()
        .unwrap();
    let history = String::from_utf8(history.stdout).unwrap();
    assert!(history.contains("remove-by-owner 203.0.113.9/32: asked for from the address itself"), "{history}");

    // New evidence lists again, for the second term; the owner has to wait then.
    log(&server, &callouts(20, 10, 1));
    server.wait("the host to be listed again", in_dns);
    let again = json(&get(public, &path, HOST));
    assert_eq!(
        (&again["feeder"]["listing"]["nth"], &again["feeder"]["listing"]["term_days"]),
        (&2.into(), &14.0.into())
    );
    assert_eq!(again["feeder"]["removal"]["possible"], false);
    let (status, head, _) = send(public, "POST", &remove, HOST, "", "");
    assert!(status == 429 && head.contains("retry-after: 604"), "{head}");
    let operator = send(public, "GET", "/v1/listings", "192.0.2.1", &format!("Authorization: Bearer {TOKEN}\r\n"), "");
    assert_eq!(json(&operator)["listings"][0]["host"], HOST);
    assert_eq!(get(public, "/v1/listings", HOST).0, 401);
}

#[test]
fn settings_of_the_page_change_at_once_but_for_the_listener() {
    let (server, public) = start("rate = 50");
    let path = server.path("dnsbld.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(get(public, "/", "192.0.2.1").2.contains("Lists of bl.example.org"));
    assert!(get(public, "/lookup/198.51.100.1", "192.0.2.1").2.contains("Listed on 1 of 2 lists"));
    let new = text.replace("Lists of bl.example.org", "Other lists").replace("rate = 50", "rate = 2");
    fs::write(
        &path,
        new.replace("name = \"customers.example.org\"", "name = \"customers.example.org\"\npublic = true"),
    )
    .unwrap();
    server.signal(Signal::HUP);
    // Each question from another network, so that waiting is not what is limited.
    let mut n = 0u8;
    server.wait("the new title", |_| {
        n = n.wrapping_add(1);
        get(public, "/", &format!("10.{n}.0.1")).2.contains("Other lists")
    });
    let page = get(public, "/lookup/198.51.100.1", "192.0.2.7").2;
    assert!(page.contains("Listed on 2 of 3 lists") && page.contains("?a=1&#38;b=&#60;198.51.100.1&#62;"), "{page}");
    assert_eq!(get(public, "/", "192.0.2.7").0, 200);
    let (status, head, _) = get(public, "/", "192.0.2.7");
    assert!(status == 429 && head.contains("retry-after: "), "{head}");
    assert!(!server.log().contains("takes a restart"), "{}", server.log());
    fs::write(&path, text.replace("[public.page]", "idle-ms-max = 77\n[public.page]")).unwrap();
    server.signal(Signal::HUP);
    server.wait_log("[public] has changed");
}

/// A program and all that it started, ended when dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Gone already, mostly.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Run Chromium without a display; what it wrote to standard output and standard error. Nothing when it is absent.
fn chromium(arguments: &[&str]) -> Option<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let file = |path: &Path| Stdio::from(fs::File::create(path).unwrap());
    let started = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .args(["--enable-logging=stderr", "--log-level=0", "--no-proxy-server"])
        .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
        .args(arguments)
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .stdout(file(&out))
        .stderr(file(&err))
        .process_group(0)
        .spawn();
    let Ok(child) = started else {
        skip("chromium");
        return None;
    };
    let mut group = Group(child);
    // A browser takes its time to start where other tests run.
    let deadline = Instant::now() + 4 * PATIENCE;
    let status = loop {
        if let Some(status) = group.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "chromium {arguments:?} did not end: {}", fs::read_to_string(&err).unwrap());
        std::thread::sleep(Duration::from_millis(20));
    };
    drop(group);
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let (out, err) = (read(&out), read(&err));
    assert!(status.success(), "chromium {arguments:?}: {err}");
    Some((out, err))
}

#[test]
fn in_a_browser() {
    let (server, public) = start("");
    list(&server);
    let Some((version, _)) = chromium(&["--version"]) else { return };
    println!("spoke with {}", version.trim());
    // Our own address is the browser's, so the owner's view is that of 127.0.0.1, which is never listed by the feeder.
    for (path, present, absent) in [
        ("/".to_owned(), &["<input id=\"q\"", "127.0.0.1</a>"][..], &["Listed"][..]),
        (
            format!("/lookup/{HOST}"),
            &[
                "Listed on 1 of 2 lists.",
                "Why, and until when",
                "callout to a known address",
                "by itself",
                "/remove</pre>",
            ],
            &["customers.example.org", "u***@", "<script"],
        ),
        ("/lookup/192.0.2.5".to_owned(), &["Not listed."], &["Why, and until when", "<form action=\"/lookup/192"]),
        ("/lookup/198.51.100.7".to_owned(), &["?a=1&amp;b=&lt;198.51.100.7&gt;"], &["What ends it"]),
        ("/lookup/2001:db8::1".to_owned(), &["2001:db8::1"], &["<h2>The lists</h2>\n<ul class=\"zones\">\n</ul>"]),
        ("/lookup/1.2.3.4.5".to_owned(), &["This is no address and no name"], &["Listed"]),
        ("/lookup?q=192.0.2.5".to_owned(), &["<bdi>192.0.2.5</bdi>"], &["This is no"]),
    ] {
        let Some((dom, console)) = chromium(&["--dump-dom", &format!("http://{public}{path}")]) else { return };
        for part in present {
            assert!(dom.contains(part), "{path}: no `{part}` in\n{dom}");
        }
        for part in absent {
            assert!(!dom.contains(part), "{path}: `{part}` in\n{dom}");
        }
        let told: Vec<&str> = console.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(told.is_empty(), "{path}: the console says {told:#?}");
    }
}

#[test]
fn it_is_seen_in_each_light_and_width() {
    let (server, public) = start("");
    list(&server);
    let shots = std::env::var_os("DNSBLD_SCREENSHOTS").map(std::path::PathBuf::from);
    let dir = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    for (name, path, window, dark) in [
        ("index", "/", "1100,800", false),
        ("listed", "/lookup/203.0.113.9", "1100,1500", false),
        ("listed-dark", "/lookup/203.0.113.9", "1100,1500", true),
        ("listed-phone", "/lookup/203.0.113.9", "390,1900", false),
        ("clear-phone-dark", "/lookup/192.0.2.5", "390,844", true),
    ] {
        let file = shots.as_deref().unwrap_or(dir.path()).join(format!("{name}.png"));
        let (window, shot) = (format!("--window-size={window}"), format!("--screenshot={}", file.display()));
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        let url = format!("http://{public}{path}");
        if chromium(&[&window, &shot, &scheme, &url]).is_none() {
            return;
        }
        let image = fs::read(&file).unwrap();
        assert!(image.starts_with(b"\x89PNG"), "{name}");
        sizes.push((name, image));
    }
    // The same page in other light is another picture.
    assert!(sizes[1].1 != sizes[2].1, "light and dark are alike");
}
