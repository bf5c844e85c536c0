//! The resolvers: how each is started, strict in all that could hide a listing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::daemon::{Daemon, directory, give, program, version};
use crate::message::{A, query};
use crate::server::Udp;

/// How a resolver finds the list's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From the root down.
    Recurse,
    /// By its settings, for a name that the root denies.
    Direct,
    /// It sends on what it is asked, as to another resolver.
    Forward,
}

/// A resolver's program.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// NLnet Labs' Unbound.
    Unbound,
    /// ISC's BIND.
    Bind,
    /// CZ.NIC's Knot Resolver.
    Knot,
}

/// A running resolver.
pub struct Resolver {
    /// Where it answers.
    pub dns: SocketAddr,
    /// The process; it ends with it.
    daemon: Daemon,
    /// Its files.
    _dir: tempfile::TempDir,
}

/// Unbound: names are minimised strictly, what NSEC records deny is not asked, letters' case is random.
const UNBOUND: &str = "\
server:
    interface: 127.0.0.1@53
    username: nobody
    chroot: \"\"
    directory: \"{dir}\"
    pidfile: \"\"
    use-syslog: no
    verbosity: 2
    root-hints: \"{dir}/root.hints\"
    trust-anchor: \". DNSKEY {anchor}\"
    qname-minimisation: yes
    qname-minimisation-strict: yes
    aggressive-nsec: yes
    harden-below-nxdomain: yes
    use-caps-for-id: yes
    edns-buffer-size: {size}
remote-control:
    control-enable: no
";

/// Unbound, forwarding.
const UNBOUND_FORWARD: &str = "forward-zone:\n    name: \"bl.example.net\"\n    forward-addr: 192.0.2.53\n";

/// BIND: names are minimised strictly, what NSEC records deny is not asked.
const BIND: &str = "\
options {
    directory \"{dir}\";
    listen-on port 53 { 127.0.0.1; };
    listen-on-v6 { none; };
    pid-file none;
    lock-file none;
    session-keyfile none;
    qname-minimization strict;
    synth-from-dnssec yes;
    dnssec-validation yes;
    edns-udp-size {size};
    {options}
};
trust-anchors { . static-key {anchor}; };
zone \".\" { type hint; file \"root.hints\"; };
controls { };
";

/// BIND, forwarding.
const BIND_FORWARD: &str = "zone \"bl.example.net\" { type forward; forward only; forwarders { 192.0.2.53; }; };\n";

/// BIND's word, in `options`, that a name is not signed whatever its parents say; named.conf of the documentation names it.
const BIND_INSECURE: &str = "validate-except { \"bl.example.net\"; };";

/// Knot Resolver: minimises names, uses NSEC records and makes letters' case random by itself.
const KNOT: &str = "\
net.listen('127.0.0.1', 53, { kind = 'dns' })
net.bufsize({size})
cache.size = 20 * MB
modules.load('hints')
hints.root({ ['a.root.'] = { '192.0.2.1' } })
modules.unload('priming')
modules.unload('ta_update')
trust_anchors.remove('.')
trust_anchors.add('. 3600 DNSKEY {anchor}')
user('nobody', 'nogroup')
";

/// Knot Resolver, forwarding. It validates what it is told by itself, so it must know that there are no signatures.
const KNOT_FORWARD: &str = "\
trust_anchors.set_insecure({ 'bl.example.net' })
policy.add(policy.suffix(policy.FORWARD('192.0.2.53'), policy.todnames({ 'bl.example.net' })))
";

impl Resolver {
    /// Hold that nothing had to be asked again because letters' case did not come back as it was sent: Unbound says so.
    pub fn kept_case(&self) {
        let log = self.daemon.log();
        let found = log.lines().find(|line| line.contains("Capsforid") || line.contains("0x20"));
        assert!(found.is_none(), "{found:?}");
    }
}

impl Kind {
    /// The program's name.
    pub fn program(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::Bind => "named",
            Self::Knot => "kresd",
        }
    }

    /// What it says of its version.
    pub fn version(self) -> String {
        version(self.program(), "-V")
    }

    /// The settings that make it forward, and those that the documentation has for asking us directly.
    fn settings(self, mode: Mode) -> String {
        let (forward, documented) = match self {
            Self::Unbound => (UNBOUND_FORWARD, "unbound.conf"),
            Self::Bind => (BIND_FORWARD, "named.conf"),
            Self::Knot => (KNOT_FORWARD, "kresd.conf"),
        };
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/using-a-list/resolvers");
        match mode {
            Mode::Recurse => String::new(),
            Mode::Forward => forward.to_owned(),
            Mode::Direct => std::fs::read_to_string(dir.join(documented)).unwrap(),
        }
    }

    /// Start it, with an EDNS size, and wait until it finds what the root says.
    pub fn start(self, mode: Mode, size: u16, anchor: &str) -> Resolver {
        let dir = directory();
        let path = dir.path().to_str().unwrap();
        let (general, mut command) = match self {
            Self::Unbound => (UNBOUND, Command::new(program("unbound").unwrap())),
            Self::Bind => (BIND, Command::new(program("named").unwrap())),
            Self::Knot => (KNOT, Command::new(program("kresd").unwrap())),
        };
        // BIND wants the key alone in quotes.
        let (parameters, key) = anchor.rsplit_once(' ').unwrap();
        let quoted = if matches!(self, Self::Bind) { format!("{parameters} \"{key}\"") } else { anchor.to_owned() };
        let options = if mode == Mode::Direct { BIND_INSECURE } else { "" };
        let text = general.replace("{dir}", path).replace("{anchor}", &quoted).replace("{options}", options);
        let text = text.replace("{size}", &size.to_string()) + &self.settings(mode);
        let config = dir.path().join("conf");
        std::fs::write(&config, text).unwrap();
        std::fs::write(dir.path().join("root.hints"), ". 3600 NS a.root.\na.root. 3600 A 192.0.2.1\n").unwrap();
        for file in ["conf", "root.hints"] {
            give(&dir.path().join(file));
        }
        match self {
            Self::Unbound => command.arg("-d").arg("-c").arg(&config),
            Self::Bind => command.args(["-g", "-n", "1", "-u", "nobody", "-c"]).arg(&config),
            Self::Knot => command.arg("-n").arg("-c").arg(&config).arg(path),
        };
        let mut daemon = Daemon::start(self.program(), command.current_dir(path));
        let dns = SocketAddr::from(([127, 0, 0, 1], 53));
        let client = Udp::new(dns);
        daemon.wait("it finds what the root says", |_| {
            let question = query("ns.example.net", A).flags(super::RD);
            let reply = client.try_exchange(&question.wire(), Duration::from_millis(500));
            reply.is_some_and(|reply| reply.answers().contains("A 192.0.2.53"))
        });
        Resolver { dns, daemon, _dir: dir }
    }
}
