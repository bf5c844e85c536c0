//! Signals, reloads, daemons, other users, service managers.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{Place, Running};
use crate::message::{A, edns, query};
use crate::server::{PATIENCE, Tcp, Udp};

/// The response code for an address in zone `x`.
fn rcode(place: &Place, address: &str) -> u16 {
    Udp::new(place.dns).ask(&query(&format!("{address}.x"), A)).rcode
}

/// NOERROR.
const LISTED: u16 = 0;
/// NXDOMAIN.
const FREE: u16 = 3;
/// SERVFAIL.
const BROKEN: u16 = 2;

#[test]
fn hangup_looks_at_the_files_and_nothing_else_does() {
    let place = Place::new(&[("a", "1.1.1.1\n"), ("b", "2.2.2.2\n")]);
    let running = place.serve("-n -c 0 -b BIND x:ip4set:a x:ip4set:b");
    place.write("a", "3.3.3.3\n");
    // Were there a check, it would have come by now; this can only let a fault pass, not find one that is none.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!((rcode(&place, "1.1.1.1"), rcode(&place, "3.3.3.3")), (LISTED, FREE));
    running.signal(Signal::HUP);
    running.wait("the reload", || rcode(&place, "3.3.3.3") == LISTED);
    assert_eq!(rcode(&place, "1.1.1.1"), FREE);
    // A file that goes away takes nothing with it.
    fs::remove_file(place.path("a")).unwrap();
    running.signal(Signal::HUP);
    running.wait("the complaint", || running.err().contains("zone x: not all datasets are loaded"));
    assert_eq!((rcode(&place, "3.3.3.3"), rcode(&place, "2.2.2.2")), (LISTED, LISTED));
    let (status, out, err) = running.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert!(err.contains("rbldnsd: file a: unable to open file: No such file or directory"), "{err}");
    assert!(err.contains("the last good data stay in service"), "{err}");
    assert_eq!(out.matches("zones reloaded").count(), 3, "{out}");
}

#[test]
fn tcp_is_served_on_the_same_address() {
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let _running = place.serve("-n -c 0 -b BIND x:ip4set:a");
    assert_eq!(Tcp::new(place.dns).ask(&query("1.1.1.1.x", A)).rcode, LISTED);
}

#[test]
fn cookies_are_passed_over_as_by_rbldnsd() {
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let _running = place.serve("-n -c 0 -b BIND x:ip4set:a");
    let asked = query("1.1.1.1.x", A).edns(edns(1232).option(10, b"12345678"));
    for reply in [Udp::new(place.dns).ask(&asked), Tcp::new(place.dns).ask(&asked)] {
        assert_eq!((reply.rcode, reply.opt.unwrap().options), (LISTED, vec![]));
    }
}

#[test]
fn checks_find_changes() {
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let running = place.serve("-n -f -c 1 -b BIND x:ip4set:a");
    place.write("a", "3.3.3.3\n");
    running.wait("the check", || rcode(&place, "3.3.3.3") == LISTED);
}

#[test]
fn a_quick_start_goes_on_without_a_file() {
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let running = place.serve("-n -q -c 0 -b BIND x:ip4set:late y:ip4set:a");
    assert_eq!(rcode(&place, "1.1.1.1"), BROKEN);
    place.write("late", "1.1.1.1\n");
    running.signal(Signal::HUP);
    running.wait("the file", || rcode(&place, "1.1.1.1") == LISTED);
}

#[test]
fn the_query_log_is_opened_anew() {
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let running = place.serve("-n -l +log -c 0 -b BIND x:ip4set:a");
    rcode(&place, "1.1.1.1");
    running.wait("a line", || place.read("log").contains(" 1.1.1.1.x "));
    fs::rename(place.path("log"), place.path("log.1")).unwrap();
    running.signal(Signal::HUP);
    running.wait("a new file", || place.path("log").exists());
    rcode(&place, "2.2.2.2");
    running.wait("a line", || place.read("log").contains(" 2.2.2.2.x "));
    assert!(!place.read("log.1").contains("2.2.2.2"));
}

/// Wait until a process is gone.
fn wait_gone(pid: i32) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while test_kill_process(Pid::from_raw(pid).unwrap()).is_ok() && state(pid) != Some('Z') {
        assert!(std::time::Instant::now() < deadline, "{pid} does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The state of a process; where nobody inherits it, it stays as a zombie.
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A daemon, ended with its test.
struct Daemon(i32);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is gone when the test went well.
        let _ = kill_process(Pid::from_raw(self.0).unwrap(), Signal::KILL);
    }
}

/// The process that a pid file names.
fn daemon(place: &Place) -> Daemon {
    Daemon(place.read("pid").trim_end().parse().unwrap_or_else(|_| panic!("pid file: {:?}", place.read("pid"))))
}

#[test]
fn a_daemon_is_ready_when_its_parent_ends() {
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let (status, out, err) = place.start("./rbldnsd", "-p pid -s stats -b BIND x:ip4set:a").end();
    let daemon = daemon(&place);
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    assert!(out.contains("rbldnsd: ip4set:a: ") && out.contains(" started (1 socket(s), 1 zone(s))"), "{out}");
    assert_eq!(rcode(&place, "1.1.1.1"), LISTED);
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.0)).unwrap();
    let session: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().parse().unwrap();
    assert_eq!(session, daemon.0, "a session of its own");
    for fd in 0..3 {
        let file = fs::read_link(format!("/proc/{}/fd/{fd}", daemon.0));
        // Another user's descriptors may not be looked at.
        assert!(file.is_err() || file.unwrap().as_os_str() == "/dev/null", "descriptor {fd}");
    }
    kill_process(Pid::from_raw(daemon.0).unwrap(), Signal::TERM).unwrap();
    wait_gone(daemon.0);
    assert_eq!(place.read("stats").lines().count(), 3, "{}", place.read("stats"));
}

#[test]
fn a_daemon_that_can_not_start_says_so_and_its_parent_too() {
    for (line, code, out_expected, err_expected) in [
        ("-p pid -b BIND x:ip4set:gone", 1, true, "zone loading errors, aborting"),
        ("-q -p pid -b 192.0.2.1/5300 x:ip4set:a", 1, false, "unable to bind to 192.0.2.1/5300"),
        ("-q -p /nonexistent/pid -b BIND x:ip4set:a", 1, false, "unable to write pidfile"),
    ] {
        let place = Place::new(&[("a", "1.1.1.1\n")]);
        let (status, out, err) = place.start("./rbldnsd", line).end();
        assert_eq!(status.code(), Some(code), "{line}: {out}{err}");
        assert!(err.contains(err_expected), "{line}: {err}");
        assert_eq!(!out.is_empty(), out_expected, "{line}: {out}");
    }
}

#[test]
fn a_quick_daemon_is_quiet_and_lives_on_without_files() {
    let place = Place::new(&[]);
    let (status, out, err) = place.start("./rbldnsd", "-q -p pid -b BIND x:ip4set:gone").end();
    let daemon = daemon(&place);
    assert_eq!((status.code(), out.as_str(), err.as_str()), (Some(0), "", ""));
    let client = Udp::new(place.dns);
    let deadline = std::time::Instant::now() + PATIENCE;
    while client.try_exchange(&query("1.1.1.1.x", A).wire(), Duration::from_millis(50)).is_none() {
        assert!(std::time::Instant::now() < deadline);
    }
    assert_eq!(rcode(&place, "1.1.1.1"), BROKEN);
    kill_process(Pid::from_raw(daemon.0).unwrap(), Signal::INT).unwrap();
    wait_gone(daemon.0);
}

#[test]
fn root_becomes_somebody_inside_its_directory() {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let dir = place.dir.path().display().to_string();
    let line =
        format!("-n -r {dir} -w / -u {0}:{0} -p {dir}/pid -l +log -b {1} x:ip4set:/a", super::NOBODY, place.bind);
    let mut command = std::process::Command::new(place.path("rbldnsd"));
    command.args(line.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running::of(command, place.dns);
    running.wait_for_answers();
    assert_eq!(rcode(&place, "1.1.1.1"), LISTED);
    running.wait("a line", || place.read("log").contains("1.1.1.1.x"));
    // The pid file is root's, the log is the user's.
    let owner = |name| fs::metadata(place.path(name)).unwrap().uid();
    assert_eq!((owner("pid"), owner("log")), (0, super::NOBODY));
    let status = fs::read_to_string(format!("/proc/{}/status", place.read("pid").trim())).unwrap();
    let ids = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().split_whitespace().count();
    assert!(status.contains(&format!("Uid:\t{0}\t{0}\t{0}\t{0}", super::NOBODY)), "{status}");
    assert!(status.contains(&format!("Gid:\t{0}\t{0}\t{0}\t{0}", super::NOBODY)), "{status}");
    assert_eq!(ids("Groups:"), 1, "{status}");
    assert_eq!(running.stop(Signal::TERM).0.code(), Some(0));
}

#[test]
fn sockets_are_taken_over_and_readiness_is_said() {
    let place = Place::new(&[("a", "1.1.1.1\n")]);
    let manager = UnixDatagram::bind(place.path("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    fs::set_permissions(place.path("notify"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let heard = || {
        let mut text = [0; 64];
        let len = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..len].to_vec()).unwrap()
    };
    let udp = UdpSocket::bind(place.dns).unwrap();
    let tcp = TcpListener::bind(place.dns).unwrap();
    // A shell puts them where a service manager does.
    let script = "exec 3<&0 4>&1 </dev/null >&2; LISTEN_PID=$$ LISTEN_FDS=2 exec ./rbldnsd -n x:ip4set:a";
    let mut command = place.command("/bin/sh");
    command.args(["-c", script]).env("NOTIFY_SOCKET", place.path("notify"));
    command.stdin(OwnedFd::from(udp)).stdout(OwnedFd::from(tcp)).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    assert_eq!(heard(), "READY=1");
    assert_eq!(rcode(&place, "1.1.1.1"), LISTED);
    assert_eq!(Tcp::new(place.dns).ask(&query("1.1.1.1.x", A)).rcode, LISTED);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
