//! A small world: a signed root, our list below it, and the same list by rbldnsd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::subjects::{Subject, later, zone_file};
use crate::daemon::{Daemon, directory, give, program};
use crate::message::{A, SOA, query};
use crate::server::{Server, Udp, put_old};

/// The list that dnsbld serves, as in `docs/using-a-list.md`.
pub const ZONE: &str = "bl.example.net";
/// The same list by rbldnsd.
pub const CONTROL: &str = "rb.example.net";
/// The addresses of the root, of dnsbld (as in `docs/using-a-list.md`) and of rbldnsd.
pub const ADDRESSES: [&str; 4] = ["192.0.2.1/32", "192.0.2.53/32", "2001:db8::53/128", "192.0.2.54/32"];
/// Where rbldnsd answers.
pub const RBLDNSD: ([u8; 4], u16) = ([192, 0, 2, 54], 53);

/// The root zone without its delegations. The address records of the list's server are its own, below no cut.
const ROOT: &str = "\
. 3600 SOA a.root. hostmaster.root. 1 3600 600 86400 300
. 3600 NS a.root.
a.root. 3600 A 192.0.2.1
ns.example.net. 3600 A 192.0.2.53
ns.example.net. 3600 AAAA 2001:db8::53
ns2.example.net. 3600 A 192.0.2.54
rb.example.net. 3600 NS ns2.example.net.
";

/// The root's server, which signs by itself: what is signed has NSEC records, which resolvers then use aggressively (RFC 8198).
const KNOT: &str = "\
server:
  rundir: {dir}
  user: nobody:nogroup
  listen: 192.0.2.1@53
log:
  - target: stderr
    any: warning
database:
  storage: {dir}
policy:
  - id: one
    single-type-signing: on
template:
  - id: default
    storage: {dir}
zone:
  - domain: .
    file: root.zone
    zonefile-sync: -1
    dnssec-signing: on
    dnssec-policy: one
";

/// The servers; they end with it.
pub struct World {
    /// Ours.
    pub list: Server,
    /// The root's.
    _root: Daemon,
    /// rbldnsd, where it is installed.
    pub control: Option<Daemon>,
    /// The root's key: flags, protocol, algorithm and key as in a master file.
    pub anchor: String,
    /// Where the root's files and rbldnsd's are.
    _dir: tempfile::TempDir,
}

/// Our settings: everything on port 53, and a UDP size.
fn settings(udp_size_max: u16) -> String {
    format!(
        "[dns]\nlisten = [\"192.0.2.53:53\", \"[2001:db8::53]:53\"]\nworkers = 1\nudp-size-max = {udp_size_max}\n\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\n[load]\npoll-s = 1\nsettle-ms = 50\n\n[[zone]]\nname = \"{ZONE}\"\n\
         ns = [\"ns.example.net\"]\ndatasets = [{{ type = \"combined\", files = [\"list.zone\"] }}]\n"
    )
}

impl World {
    /// Start all servers in the namespace that the thread is in. With `delegated`, the root knows our zone; without, it denies it.
    pub fn start(listed: &[Subject], udp_size_max: u16, delegated: bool) -> Self {
        let knotd = program("knotd").expect("asked for before");
        let dir = directory();
        let delegation = if delegated { "bl.example.net. 3600 NS ns.example.net.\n" } else { "" };
        std::fs::write(dir.path().join("root.zone"), format!("{ROOT}{delegation}")).unwrap();
        give(&dir.path().join("root.zone"));
        let config = dir.path().join("knot.conf");
        std::fs::write(&config, KNOT.replace("{dir}", dir.path().to_str().unwrap())).unwrap();
        let mut root = Daemon::start("knotd", Command::new(knotd).arg("-c").arg(&config));
        let anchor = anchor(&mut root);
        let text = zone_file(&listed.iter().collect::<Vec<_>>());
        let list = Server::start(&settings(udp_size_max), &[("list.zone", text.as_bytes())]);
        let control = control(dir.path(), &text);
        Self { list, _root: root, control, anchor, _dir: dir }
    }

    /// List further subjects and wait until they are served.
    pub fn list_later(&self, listed: &[Subject]) -> Vec<Subject> {
        let later = later();
        let text = zone_file(&listed.iter().chain(&later).collect::<Vec<_>>());
        std::fs::write(self.list.path("list.zone"), text).unwrap();
        let name = format!("{}.{ZONE}", later[0].name);
        self.list.wait("the later addresses are listed", |list| list.ask(&query(&name, A)).answer.len() == 1);
        later
    }
}

/// Wait for the root's key, which is there as soon as the zone is signed.
fn anchor(root: &mut Daemon) -> String {
    let mut anchor = String::new();
    root.wait("the root is signed", |_| {
        let arguments = ["@192.0.2.1", "+short", "+nosplit", "+tries=1", "+time=1", ".", "DNSKEY"];
        let output = Command::new("dig").args(arguments).output().unwrap();
        anchor = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        anchor.starts_with("257 3 13 ")
    });
    anchor
}

/// rbldnsd with the same list, if it is installed.
fn control(dir: &Path, text: &str) -> Option<Daemon> {
    let rbldnsd = program("rbldnsd")?;
    put_old(&dir.join("control.zone"), text.as_bytes());
    crate::rbldnsd::open_to_all(dir);
    let mut command = Command::new(rbldnsd);
    command.args(["-n", "-q", "-c", "0", "-u", "nobody", "-b", "192.0.2.54/53", "-w"]).arg(dir);
    let mut daemon = Daemon::start("rbldnsd", command.arg(format!("{CONTROL}:combined:control.zone")));
    let client = Udp::new(RBLDNSD.into());
    daemon
        .wait("it answers", |_| client.try_exchange(&query(CONTROL, SOA).wire(), Duration::from_millis(100)).is_some());
    Some(daemon)
}
