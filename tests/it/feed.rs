//! The feeder in the real binary: sources, the store, and what a kill leaves.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use rusqlite::{Connection, OpenFlags};

use crate::alone;
use crate::metrics::Scrape;
use crate::server::{PATIENCE, follow, get};

/// A feeder without DNS.
struct Feeder {
    /// Its directory: settings, state, logs.
    dir: PathBuf,
    /// The process.
    child: Child,
    /// Where HTTP is.
    http: SocketAddr,
    /// Where syslog is: UDP, TCP.
    syslog: Vec<SocketAddr>,
}

/// Settings of a feeder alone with these sources.
fn settings(sources: &str) -> String {
    format!(
        "state-dir = \"state\"\n[dns]\nlisten = []\n[http]\nlisten = \"127.0.0.1:0\"\n[feed]\nenabled = true\n{sources}"
    )
}

impl Feeder {
    /// Start with the settings in a directory.
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
            .args(["serve", "--config", "dnsbld.toml"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = follow(child.stdout.take().unwrap());
        let (mut http, mut syslog) = (None, Vec::new());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the feeder did not start");
            };
            if let Some(address) = line.strip_prefix("http on ") {
                http = Some(address.parse().unwrap());
            } else if let Some(rest) = line.strip_prefix("syslog on ") {
                syslog.push(rest.split(' ').next().unwrap().parse().unwrap());
            } else if line.starts_with("ready: ") {
                break Self { dir: dir.to_owned(), child, http: http.unwrap(), syslog };
            }
        }
    }

    /// Kill it, as SIGKILL does.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// End it in good order.
    fn stop(mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM)
            .unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// One number out of the store; 0 while there is none.
    fn number(&self, sql: &str) -> i64 {
        number(&self.dir, sql)
    }

    /// Wait until a number is reached.
    fn wait(&self, sql: &str, expected: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.number(sql) != expected {
            let marks = || self.number("SELECT read_generation * 1000000000 + read_offset FROM inputs");
            assert!(
                Instant::now() < deadline,
                "{sql} is {} instead of {expected}, read to {}",
                self.number(sql),
                marks()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Post a body: status and answer.
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        )
        .unwrap();
        // It may have been refused before it was read.
        let _ = stream.write_all(body);
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A scrape.
    fn scrape(&self) -> Scrape {
        let (status, text) = get(self.http, "/metrics");
        assert_eq!(status, 200);
        Scrape::parse(&text)
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        // It may be gone already; then both calls say so and nothing is lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One number out of a store; 0 while there is none.
fn number(dir: &Path, sql: &str) -> i64 {
    let open = || -> rusqlite::Result<i64> {
        let connection = Connection::open_with_flags(dir.join("state/feed.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).map(Option::unwrap_or_default)
    };
    open().unwrap_or_default()
}

/// A directory with settings.
fn directory(sources: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("dnsbld.toml"), settings(sources)).unwrap();
    dir
}

/// What all events are counted by.
const EVENTS: &str = "SELECT count(*) FROM events";

/// The lines of a bounce to an unknown user, without heads.
fn bounce(n: u32) -> [String; 3] {
    let from = format!("unknown[192.0.2.{}]", n % 250);
    [
        format!("connect from {from}"),
        format!(
            "NOQUEUE: reject: RCPT from {from}: 550 5.1.1 <u{n}@example.org>: Recipient address rejected: User unknown in virtual \
             mailbox table; from=<> to=<u{n}@example.org> proto=ESMTP helo=<h{n}>"
        ),
        format!("disconnect from {from} ehlo=1 mail=1 rcpt=0/1 data=0/1 quit=1 commands=3/5"),
    ]
}

/// A time in RFC 3339: ten minutes before the first call, and so many milliseconds. Older sessions would be idle by the wall clock.
fn stamp(ms: u64) -> String {
    /// When this was first called.
    static BEGIN: OnceLock<i64> = OnceLock::new();
    let begin = BEGIN.get_or_init(|| jiff::Timestamp::now().as_second() - 600);
    let time = jiff::Timestamp::from_millisecond(begin * 1000 + ms as i64).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

#[test]
fn killed_at_any_moment_no_event_is_lost_and_none_doubled() {
    /// How often it is killed.
    const KILLS: u32 = 200;
    let _alone = alone();
    let seed = std::env::var("DNSBLD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 =
        seed.unwrap_or_else(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64);
    eprintln!("seed {seed} (DNSBLD_SEED)");
    let mut state = seed;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let dir = directory("[[feed.source]]\ntype = \"file\"\npath = \"mail.log\"\nformat = \"postfix\"\n");
    let path = dir.path().join("mail.log");
    File::create(&path).unwrap();
    // Sessions of several processes in turns; each fourth connects and leaves, which is only counted.
    let (mut open, mut begun, mut lines): (Vec<(u32, Vec<String>)>, u32, u64) = (Vec::new(), 0, 0);
    let (mut events, mut counted) = (0, 0);
    let mut write = |most: u64, last: bool, random: &mut dyn FnMut(u64) -> u64| {
        let mut text = String::new();
        for _ in 0..most {
            if !last && open.len() < 8 {
                let mut session = bounce(begun).to_vec();
                if begun % 4 == 3 {
                    session.remove(1);
                    session[1] = format!("disconnect from unknown[192.0.2.{}] ehlo=1 quit=1 commands=2", begun % 250);
                }
                session.reverse();
                open.push((2000 + begun, session));
                begun += 1;
            }
            if open.is_empty() {
                break;
            }
            let at = random(open.len() as u64) as usize;
            let (pid, session) = &mut open[at];
            let line = session.pop().unwrap();
            writeln!(text, "{} mx postfix/smtpd[{pid}]: {line}", stamp(lines * 37)).unwrap();
            lines += 1;
            if session.is_empty() {
                if *pid % 4 == 3 {
                    counted += 1
                } else {
                    events += 1
                }
                open.remove(at);
            }
        }
        File::options().append(true).create(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
        (events, counted)
    };
    let begin = Instant::now();
    for _ in 0..KILLS {
        let mut feeder = Feeder::start(dir.path());
        // The work of a few milliseconds up to that of a tenth of a second, written while it reads.
        for _ in 0..=random(3) {
            let most = 1 + random(60);
            write(most, false, &mut random);
            std::thread::sleep(Duration::from_micros(random(60_000)));
        }
        feeder.kill();
        if random(12) == 0 {
            // Rotation, sometimes while nobody looks.
            for n in (1..60).rev() {
                let name = |n: u32| dir.path().join(format!("mail.log.{n}"));
                let _ = fs::rename(name(n), name(n + 1));
            }
            // Only what has been read once may be rotated out of sight of a first start.
            if number(dir.path(), "SELECT count(*) FROM files") > 0 {
                fs::rename(dir.path().join("mail.log"), dir.path().join("mail.log.1")).unwrap();
            }
        }
    }
    let feeder = Feeder::start(dir.path());
    let (events, counted) = write(1000, true, &mut random);
    feeder.wait(EVENTS, events);
    feeder.wait("SELECT sum(sessions) FROM counts", counted);
    // Nothing comes later either.
    feeder.stop();
    assert_eq!((number(dir.path(), EVENTS), number(dir.path(), "SELECT sum(sessions) FROM counts")), (events, counted));
    assert!(events > 500, "{events} events");
    eprintln!("{KILLS} kills, {lines} lines, {events} events, {counted} counted in {:?}", begin.elapsed());
}

#[test]
fn http_takes_what_shippers_send() {
    let dir = directory(
        "[[feed.source]]\ntype = \"http\"\nformat = \"postfix\"\ntoken-file = \"token\"\nbody-octets-max = 20000\n",
    );
    fs::write(dir.path().join("token"), "0123456789abcdef0123\n").unwrap();
    let feeder = Feeder::start(dir.path());
    let token = "Authorization: Bearer 0123456789abcdef0123\r\n";
    let object = |n: u32, line: &str| {
        let stamp = stamp(u64::from(n) * 1000);
        format!(
            r#"{{"timestamp":"{stamp}","host":"mx","syslogtag":"postfix/smtpd[{n}]:","appname":"postfix","message":" {line}"}}"#
        )
    };
    let objects = |n: u32| bounce(n).map(|line| object(n, &line));
    assert_eq!(feeder.post("/v1/logs", token, objects(1).join("\n").as_bytes()), (200, "3 lines taken\n".to_owned()));
    assert_eq!(feeder.post("/v1/logs", token, format!("[{}]", objects(2).join(",")).as_bytes()).0, 200);
    let plain: String = bounce(3).iter().map(|line| format!("{} mx postfix/smtpd[3]: {line}\n", stamp(3000))).collect();
    assert_eq!(feeder.post("/v1/logs", &format!("{token}Content-Type: text/plain\r\n"), plain.as_bytes()).0, 200);
    let gzip = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let packed = format!("{token}Content-Encoding: gzip\r\n");
    assert_eq!(feeder.post("/v1/logs", &packed, &gzip(objects(4).concat().as_bytes())).0, 200);
    for (headers, body, status, word) in [
        ("", b"x".to_vec(), 401, "token"),
        ("Authorization: Bearer 0123456789abcdef0124\r\n", b"x".to_vec(), 401, "token"),
        (token, b"{\"a\":".to_vec(), 400, "JSON"),
        (token, vec![b'x'; 30_000], 413, "20000 octets"),
        (packed.as_str(), gzip(&vec![b'x'; 30_000]), 413, "20000 octets"),
        (packed.as_str(), b"no gzip".to_vec(), 400, "gzip"),
        (&format!("{token}Content-Encoding: br\r\n"), b"x".to_vec(), 415, "`br`"),
    ] {
        let (found, text) = feeder.post("/v1/logs", headers, &body);
        assert!(found == status && text.contains(word), "{status}: {found} {text}");
    }
    assert_eq!(feeder.post("/v1/logs?source=other", token, b"x").0, 400);
    assert_eq!(get(feeder.http, "/v1/logs").0, 405);
    feeder.wait(EVENTS, 4);
    // What was acknowledged is there after a kill, whether it was read or not.
    let mut feeder = feeder;
    assert_eq!(feeder.post("/v1/logs?source=http", token, objects(5).join("\n").as_bytes()).0, 200);
    feeder.kill();
    let feeder = Feeder::start(dir.path());
    feeder.wait(EVENTS, 5);
    feeder.stop();
    assert_eq!(number(dir.path(), EVENTS), 5);
    assert_eq!(number(dir.path(), "SELECT count(*) FROM lines"), 15, "each event with its three lines");
    assert_eq!(
        number(dir.path(), "SELECT count(*) FROM lines WHERE text LIKE '%<u_@example.org>%'"),
        0,
        "addresses are masked"
    );
}

#[test]
fn syslog_over_udp_and_tcp_in_every_framing() {
    let dir = directory(
        "[[feed.source]]\ntype = \"syslog\"\nformat = \"postfix\"\ntimezone = \"UTC\"\nudp = \"127.0.0.1:0\"\ntcp = \"127.0.0.1:0\"\n",
    );
    let feeder = Feeder::start(dir.path());
    let [udp, tcp] = feeder.syslog[..] else { panic!("two addresses") };
    let messages =
        |n: u32| bounce(n).map(|line| format!("<22>1 {} mx postfix/smtpd {n} - - {line}", stamp(u64::from(n) * 1000)));
    let old =
        |n: u32| bounce(n).map(|line| format!("<22>{} mx postfix/smtpd[{n}]: {line}", stamp(u64::from(n) * 1000)));
    let mut expected = 0;
    let mut send = |stream: String| {
        let mut connection = TcpStream::connect(tcp).unwrap();
        connection.write_all(stream.as_bytes()).unwrap();
        drop(connection);
        expected += 1;
        feeder.wait(EVENTS, expected);
    };
    send(messages(1).map(|message| message + "\n").concat());
    send(old(2).map(|message| format!("{} {message}", message.len())).concat());
    // As rsyslog's forward template sends it: nothing between two messages.
    send(old(3).concat());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for message in messages(4) {
        socket.send_to(message.as_bytes(), udp).unwrap();
    }
    feeder.wait(EVENTS, 4);
    feeder.stop();
}

#[test]
fn the_journal_is_read_by_its_cursor() {
    let dir = directory(
        "[[feed.source]]\ntype = \"journal\"\nunits = [\"postfix@-.service\"]\nuids = [0]\nformat = \"postfix\"\njournalctl = \"./journalctl\"\n",
    );
    // It gives the entries of a file after the cursor, as many as are asked for, and then follows.
    let script = "#!/bin/sh\necho \"$@\" >> args\nafter=0\nfor arg; do case $arg in --after-cursor=*) after=${arg#--after-cursor=};; esac; done\n\
                  exec tail -n +$((after + 1)) -f entries\n";
    fs::write(dir.path().join("journalctl"), script).unwrap();
    fs::set_permissions(dir.path().join("journalctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut entries = 0;
    let begin_us = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() - 600_000_000;
    let mut write = |n: u32| {
        let mut file = File::options().append(true).create(true).open(dir.path().join("entries")).unwrap();
        for line in bounce(n) {
            entries += 1;
            let time_us = begin_us + u128::from(n) * 10_000_000;
            writeln!(
                file,
                r#"{{"__CURSOR":"{entries}","__REALTIME_TIMESTAMP":"{time_us}","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"{n}","MESSAGE":"{line}"}}"#
            )
            .unwrap();
        }
    };
    write(1);
    write(2);
    let mut feeder = Feeder::start(dir.path());
    feeder.wait(EVENTS, 2);
    write(3);
    feeder.wait(EVENTS, 3);
    feeder.kill();
    write(4);
    let feeder = Feeder::start(dir.path());
    feeder.wait(EVENTS, 4);
    feeder.stop();
    assert_eq!(number(dir.path(), EVENTS), 4);
    let args = fs::read_to_string(dir.path().join("args")).unwrap();
    assert!(args.contains("_SYSTEMD_UNIT=postfix@-.service") && args.contains("_UID=0"), "{args}");
    assert!(args.lines().last().unwrap().contains("--after-cursor="), "{args}");
}

#[test]
fn opensmtpd_filter_and_server_share_a_spool() {
    let dir = directory("[[feed.source]]\ntype = \"opensmtpd-filter\"\nformat = \"opensmtpd\"\n");
    let mut filter = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
        .args(["feed", "opensmtpd-filter", "--config", "dnsbld.toml"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = follow(filter.stdout.take().unwrap());
    let mut input = filter.stdin.take().unwrap();
    input.write_all(b"config|smtpd-version|7.4.0\nconfig|ready\n").unwrap();
    let told: Vec<String> = (0..2).map(|_| answers.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(told, ["register|report|smtp-in|*", "register|ready"]);
    input
        .write_all(
            b"report|0.7|1795289777.516105|smtp-in|link-connect|ca16c00f445d74fc|h|pass|192.0.2.1:50067|127.0.0.1:25\n",
        )
        .unwrap();
    // The server comes later.
    let feeder = Feeder::start(dir.path());
    let read = |lines: f64| {
        let deadline = Instant::now() + PATIENCE;
        while feeder.scrape().sum("dnsbld_feed_lines_total", &[("source", "opensmtpd-filter")]) != lines {
            assert!(Instant::now() < deadline, "{lines} lines");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    read(1.0);
    input.write_all(b"report|0.7|1795289778.516105|smtp-in|link-disconnect|ca16c00f445d74fc\n").unwrap();
    read(2.0);
    drop(input);
    assert!(filter.wait().unwrap().success());
    feeder.stop();
}

#[test]
fn a_feeder_that_can_not_start_says_why() {
    let dir = directory("[[feed.source]]\ntype = \"http\"\ntoken-file = \"token\"\n");
    let run = |word: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_dnsbld"))
            .args(["serve", "--config", "dnsbld.toml"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && text.contains(word), "{word}: {text}");
    };
    run("the token can not be read");
    fs::write(dir.path().join("token"), "short").unwrap();
    run("at least 16");
    fs::write(dir.path().join("token"), "long-enough-for-a-token").unwrap();
    let feeder = Feeder::start(dir.path());
    run("another feeder runs");
    feeder.stop();
    fs::write(dir.path().join("state/feed.db"), "no database at all, but longer than nothing".repeat(30)).unwrap();
    run("is damaged");
}
