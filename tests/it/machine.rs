//! Machines of a test: each a set of namespaces with addresses, users and files of its own, on one wire.
//!
//! A mail server wants port 25, `/etc/resolv.conf`, users and a spool. On a [`Machine`] it has all of that and takes nothing from the
//! system: the network, mounts, processes and the host name are its own. `/etc`, `/var`, `/run` and `/dev` are copies in memory that begin
//! with what the system has in `/etc`; `/usr` is the system's with the unpacked packages of `tests/peers` laid over it, so that each server
//! stands where its distribution puts it. Everything on it ends with it: its first process reads from a pipe of the test and ends
//! when that is closed, even by a crash, and the system ends the rest.
//!
//! Machines meet on a [`Wire`], a bridge in a network namespace of its own. Whatever address a machine has, all others reach it.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::server::PATIENCE;
use crate::skip;

/// What a machine's first process does before it says `ready`: the mounts, from packages `$1…`, for a system that has `$FOLDER`.
const SETUP: &str = r#"
set -e
ip link set lo up
hostname "$NAME"
mount -t proc proc /proc
mount -t tmpfs -o mode=755 var /var
mkdir -p /var/etc /var/run /var/dev /var/log /var/spool /var/lib /var/cache
mkdir -m 1777 /var/tmp /var/mail
cp -a /etc/. /var/etc
rm -f /var/etc/resolv.conf
lower=
for peer; do
    [ ! -d "$FOLDER/$peer/etc" ] || cp -a "$FOLDER/$peer/etc/." /var/etc
    lower=$lower$FOLDER/$peer/usr:
done
[ -z "$lower" ] || mount -t overlay -o ro,lowerdir="$lower/usr" usr /usr
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /var/dev
ln -s /proc/self/fd /var/dev/fd
ln -s fd/0 /var/dev/stdin
ln -s fd/1 /var/dev/stdout
ln -s fd/2 /var/dev/stderr
mount --bind /var/etc /etc
mount --bind /var/run /run
mount --bind /var/dev /dev
printf 'nameserver 127.0.0.1\noptions timeout:5 attempts:2\n' >/etc/resolv.conf
printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
printf 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n' >/etc/nsswitch.conf
printf '%s\n' "$NAME" >/etc/mailname
# Users that the packages would have made when installed. Numbers of their own, unlike any of the system.
number=64100
for user in postfix Debian-exim smmta smmsp vmail; do
    getent passwd "$user" >/dev/null || printf '%s:x:%s:%s::/nonexistent:/usr/sbin/nologin\n' "$user" $number $number >>/etc/passwd
    getent group "$user" >/dev/null || printf '%s:x:%s:\n' "$user" $number >>/etc/group
    number=$((number + 1))
done
getent group postdrop >/dev/null || printf 'postdrop:x:%s:\n' $number >>/etc/group
echo ready
exec cat >/dev/null
"#;

/// The folder with what `tests/peers` unpacked.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("peers")
}

/// Whether these peers and namespaces are there; otherwise the test is skipped.
pub fn have(peers: &[&str]) -> bool {
    for peer in peers {
        if !folder().join(peer).join("versions").exists() {
            skip(peer);
            return false;
        }
    }
    let made = Command::new("unshare").args(["--net", "--mount", "--pid", "--uts", "--fork", "true"]).output();
    let made = made.is_ok_and(|output| output.status.success());
    if !made {
        skip("the right to make namespaces");
    }
    made
}

/// The Debian version of an unpacked peer, such as `postfix_3.7.11-0+deb12u1_amd64.deb`.
pub fn versions(peer: &str) -> String {
    std::fs::read_to_string(folder().join(peer).join("versions")).unwrap().trim().replace('\n', " ")
}

/// What machines are connected by.
pub struct Wire {
    /// The namespaces with the bridge.
    bridge: Namespaces,
}

/// A set of namespaces, which ends with this value.
struct Namespaces {
    /// `unshare`, whose child is the first process within.
    child: Child,
}

impl Namespaces {
    /// Make them and wait for what the script says when it has done its work.
    fn new(name: &str, script: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "--pid", "--uts", "--fork", "--kill-child"])
            .args(["sh", "-c", script, "sh"])
            .args(arguments)
            .env("FOLDER", folder())
            .env("NAME", name)
            .env("PATH", PATHS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let made = Self { child };
        assert_eq!(line, "ready\n", "the namespaces of {name} could not be made");
        made
    }

    /// The file of a namespace.
    fn file(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.child.id())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // With its first process the system ends all others; they may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where programs are.
const PATHS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Wire {
    /// A wire without machines.
    pub fn new() -> Self {
        let script = "set -e\nip link set lo up\nip link add wire type bridge\nip link set wire up\necho ready\nexec cat >/dev/null";
        Self { bridge: Namespaces::new("wire", script, &[]) }
    }

    /// A machine on this wire: its host name, its addresses, and which peers of `tests/peers` are on it.
    pub fn machine(&self, name: &str, addresses: &[&str], peers: &[&str]) -> Machine {
        let namespaces = Namespaces::new(name, SETUP, peers);
        let machine = Machine { namespaces, name: name.to_owned() };
        let (port, id) = (format!("m{}", machine.namespaces.child.id()), machine.namespaces.child.id().to_string());
        let link =
            format!("ip link add {port} type veth peer name eth0 netns {id} && ip link set {port} master wire up");
        let net = format!("--net={}", self.bridge.file("net"));
        done(Command::new("nsenter").args([&net, "sh", "-c", &link]));
        let mut script = "set -e; ip link set eth0 up".to_owned();
        for address in addresses {
            match address.parse::<IpAddr>().unwrap() {
                IpAddr::V4(_) => script += &format!("; ip addr add {address}/32 dev eth0"),
                IpAddr::V6(_) => script += &format!("; ip -6 addr add {address}/128 dev eth0 nodad"),
            }
        }
        // Everybody is on the wire. Without an address of a kind there is no such route either.
        for (kind, mark) in [("-4", '.'), ("-6", ':')] {
            if let Some(first) = addresses.iter().find(|address| address.contains(mark)) {
                script += &format!("; ip {kind} route add default dev eth0 src {first}");
            }
        }
        done(machine.command("sh").args(["-c", &script]));
        machine
    }
}

/// A machine.
pub struct Machine {
    /// What it is made of.
    namespaces: Namespaces,
    /// Its host name.
    pub name: String,
}

/// Run a command to its end, which must be a good one; what it said.
pub fn done(command: &mut Command) -> String {
    let (status, text) = ended(command);
    assert!(status.success(), "{command:?}: {status}\n{text}");
    text
}

/// Run a command to its end: how it ended and what it said.
pub fn ended(command: &mut Command) -> (ExitStatus, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status, String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

impl Machine {
    /// A program on this machine, to be run.
    pub fn command(&self, program: &str) -> Command {
        let spaces = &self.namespaces;
        let mut command = Command::new("nsenter");
        for kind in [("net", "net"), ("mount", "mnt"), ("uts", "uts"), ("pid", "pid_for_children")] {
            command.arg(format!("--{}={}", kind.0, spaces.file(kind.1)));
        }
        command.arg("--").arg(program).env("PATH", PATHS).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Run a line of shell to its end, which must be a good one; what it said.
    pub fn run(&self, line: &str) -> String {
        done(self.command("sh").args(["-c", line]))
    }

    /// A path on this machine as the test reaches it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.namespaces.child.id()))
    }

    /// Write a file on this machine, and the directories above it.
    pub fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// What a file on this machine has; nothing while there is none.
    pub fn read(&self, path: &str) -> String {
        std::fs::read(self.path(path)).map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default()
    }

    /// Do something with this machine's network: sockets made there stay in it, wherever they are used.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let space = std::fs::File::open(self.namespaces.file("net")).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // Of this thread alone, which ends here.
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&space), Some(LinkNameSpaceType::Network)).unwrap();
                act()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Wait until a condition holds; `what` says which when it does not, and `log` is shown.
    pub fn wait(&self, what: &str, log: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "{}: waited in vain: {what}\n{}", self.name, self.read(log));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Wait until somebody listens on a TCP port of this machine.
    pub fn wait_port(&self, port: u16, log: &str) {
        self.wait(&format!("port {port}"), log, || {
            self.inside(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        });
    }
}
