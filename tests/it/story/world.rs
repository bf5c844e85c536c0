//! Who is in the story: their machines, and their names.

use crate::machine::{Machine, Wire, have};
use crate::peers::{EXIM_LOG, Exim, POSTFIX_LOG};
use crate::story::configuration::{documented_postfix, our_exim};
use crate::story::dnsbld::Dnsbld;

/// Our address.
pub const OURS: &str = "192.0.2.25";
/// The address of the host that verifies senders by callouts.
pub const THEIRS: &str = "198.51.100.25";
/// An address of somebody who does no harm.
pub const BYSTANDER: &str = "203.0.113.7";
/// The port of our lookup page.
pub const PAGES: u16 = 8353;
/// How long a listing goes on after the last evidence, in seconds: long enough to see all that it does, on a busy machine.
pub const TERM_S: i64 = 45;

/// The names of the world.
const NAMES: &[(&str, &str)] = &[
    ("example.org", "$SOA 0 ns.example.org. h.example.org. 1 1h 1h 1h 1h\n@ MX 10 mx.example.org\nmx A 192.0.2.25\n"),
    (
        "example.com",
        "$SOA 0 ns.example.com. h.example.com. 1 1h 1h 1h 1h\n@ MX 10 mail.example.com\nmail A 198.51.100.25\n",
    ),
    ("example.edu", "$SOA 0 ns.example.edu. h.example.edu. 1 1h 1h 1h 1h\n@ MX 10 mx.example.edu\nmx A 203.0.113.7\n"),
    // Nobody has a name for his address.
    ("arpa", "$SOA 0 ns.example.org. h.example.org. 1 1h 1h 1h 1h\nhome MX 0 mx.example.org\n"),
];

/// Which mail server is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// Postfix.
    Postfix,
    /// Exim.
    Exim,
}

impl Ours {
    /// Its folder of `tests/peers`, and the name of its log's format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Exim => "exim",
        }
    }

    /// Its log.
    pub fn log(self) -> &'static str {
        match self {
            Self::Postfix => POSTFIX_LOG,
            Self::Exim => EXIM_LOG,
        }
    }

    /// The parts of a log line that ends a session of their host.
    pub fn session_end(self) -> [&'static str; 2] {
        match self {
            Self::Postfix => ["disconnect from ", THEIRS],
            Self::Exim => ["closed by QUIT", THEIRS],
        }
    }
}

/// The machines.
pub struct World {
    /// Which mail server is ours.
    pub side: Ours,
    /// Our machine.
    pub ours: Machine,
    /// Theirs, an Exim.
    pub theirs: Machine,
    /// Somebody else.
    pub bystander: Machine,
    /// What connects them.
    _wire: Wire,
}

impl World {
    /// Make the machines; nothing where they can not be made.
    pub fn new(side: Ours) -> Option<Self> {
        if !have(&[side.name(), "exim"]) {
            return None;
        }
        let wire = Wire::new();
        let ours = wire.machine("mx.example.org", &[OURS], &[side.name()]);
        let theirs = wire.machine("mail.example.com", &[THEIRS], &["exim"]);
        let bystander = wire.machine("mx.example.edu", &[BYSTANDER], &[]);
        for other in [&theirs, &bystander] {
            other.put("/etc/resolv.conf", &format!("nameserver {OURS}\n"));
        }
        Some(Self { side, ours, theirs, bystander, _wire: wire })
    }

    /// Start our name server, list and feeder. Spread and terms are short, all else is as it comes; `more` is put behind it.
    pub fn dnsbld(&self, more: &str) -> Dnsbld<'_> {
        let mut settings = format!(
            "[dns]\nlisten = [\"127.0.0.1:53\", \"{OURS}:53\"]\n[load]\nsettle-ms = 50\n\
             [public]\nenabled = true\nlisten = \"{OURS}:{PAGES}\"\n\
             [feed]\nenabled = true\nurl = \"http://{OURS}:{PAGES}/lookup/$\"\nzone-file = \"/var/lib/dnsbld/backscatter.zone\"\n\
             [feed.policy]\nspread = \"1s\"\nterms = [\"{TERM_S}s\"]\n\
             [feed.export]\npostfix-file = \"/var/lib/dnsbld/backscatter.cidr\"\n\
             [[feed.source]]\ntype = \"file\"\npath = \"{}\"\nformat = \"{}\"\n\
             [[zone]]\nname = \"bl.example.net\"\ndatasets = [{{ type = \"combined\", files = [\"/var/lib/dnsbld/backscatter.zone\"] }}]\n",
            self.side.log(),
            self.side.name(),
        );
        for (zone, records) in NAMES {
            self.ours.put(&format!("/etc/dnsbld/{zone}.zone"), records);
            settings += &format!(
                "[[zone]]\nname = \"{zone}\"\ndatasets = [{{ type = \"generic\", files = [\"{zone}.zone\"] }}]\n"
            );
        }
        settings += more;
        self.ours.run("mkdir -p /var/lib/dnsbld");
        self.ours.put(self.side.log(), "");
        if self.side == Ours::Exim {
            self.ours.run("chown -R Debian-exim:Debian-exim /var/log/exim4");
        }
        Dnsbld::start(&self.ours, &settings)
    }

    /// Start our mail server.
    pub fn start_ours(&self) {
        match self.side {
            Ours::Postfix => documented_postfix(&self.ours),
            Ours::Exim => {
                Exim::start(&self.ours, &our_exim("acl", ""));
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("our log:\n{}\ntheirs:\n{}", self.ours.read(self.side.log()), self.theirs.read(EXIM_LOG));
        }
    }
}
