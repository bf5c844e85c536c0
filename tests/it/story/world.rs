//! Who is in the story: their machines, their names, and the configuration of each server.

use crate::machine::{Machine, Wire, have};
use crate::pages::{blocks, shown};
use crate::peers::{EXIM_LOG, Exim, POSTFIX_LOG, Postfix};
use crate::story::dnsbld::Dnsbld;

/// Our address.
pub const OURS: &str = "192.0.2.25";
/// The address of the host that verifies senders by callouts.
pub const THEIRS: &str = "198.51.100.25";
/// An address of somebody who does no harm.
pub const BYSTANDER: &str = "203.0.113.7";
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

    /// Start our name server, list and feeder. Spread and terms are short, all else is as it comes.
    pub fn dnsbld(&self) -> Dnsbld<'_> {
        let mut settings = format!(
            "[dns]\nlisten = [\"127.0.0.1:53\", \"{OURS}:53\"]\n[load]\nsettle-ms = 50\n\
             [feed]\nenabled = true\nzone-file = \"/var/lib/dnsbld/backscatter.zone\"\n\
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
        self.ours.run("mkdir -p /var/lib/dnsbld");
        self.ours.put(self.side.log(), "");
        if self.side == Ours::Exim {
            self.ours.run("chown -R Debian-exim:Debian-exim /var/log/exim4");
        }
        Dnsbld::start(&self.ours, &settings)
    }

    /// Start our Postfix: the log's settings of `docs/feeding.md`, and what `docs/using-a-list.md` shows.
    pub fn our_postfix(&self) {
        let [logging, info, ..] = &blocks("feeding.md", "### Postfix")[..] else { panic!("two blocks") };
        self.ours.put("/etc/postfix/dnsbld_info", info);
        self.ours.put("/etc/postfix/dnsbld_null", &shown("postfix/dnsbld_null"));
        let domain = "mydestination = example.org\nlocal_recipient_maps = inline:{{alice=1} {bob=1} {carol=1} {dave=1}}\n\
                      local_transport = local\nmailbox_transport = virtual\nvirtual_mailbox_base = /var/mail\n\
                      mynetworks = 127.0.0.0/8\n";
        let main = [domain, logging, &shown("postfix/null-sender.main.cf"), &shown("postfix/outbound.main.cf")];
        let mailboxes = "virtual_mailbox_domains =\nvirtual_mailbox_maps = inline:{{alice@example.org=alice} {bob@example.org=bob} \
                         {carol@example.org=carol} {dave@example.org=dave}}\n\
                         virtual_uid_maps = static:64104\nvirtual_gid_maps = static:64104\n";
        Postfix::start(&self.ours, &(main.join("") + mailboxes), &shown("postfix/outbound.master.cf"));
        // Postfix asks a list once in the life of a process; the story wants it asked each time.
        self.ours.run(&shown("postfix/at-once.sh"));
    }

    /// Our Exim's configuration: the log's settings of `docs/feeding.md`, and of what `docs/using-a-list.md` shows the ACL
    /// for mail that comes in and one of the three forms for mail that goes out.
    pub fn our_exim(&self, outbound: &str) -> String {
        let [logging, hooks, end, recipients, ..] = &blocks("feeding.md", "### Exim")[..] else {
            panic!("four blocks")
        };
        let form = |name: &str| if outbound == name { shown(&format!("exim/outbound.{name}")) } else { String::new() };
        format!(
            "primary_hostname = mx.example.org\ndomainlist local_domains = example.org\nhostlist relay_from_hosts = 127.0.0.1\n\
             daemon_smtp_ports = 25 : 587\nhost_lookup =\nkeep_environment =\nacl_smtp_rcpt = acl_check_rcpt\n{logging}{hooks}\
             begin acl\n{end}\nacl_check_rcpt:\n{recipients}{}\
             accept hosts = +relay_from_hosts\nrequire domains = +local_domains\n{}\
             require verify = recipient\naccept\n\
             begin routers\n{}\n\
             dnslookup:\n  driver = dnslookup\n  domains = ! +local_domains\n  transport = remote_smtp\n  no_more\n\
             users:\n  driver = accept\n  local_parts = alice : bob : carol : dave\n  transport = mailbox\n\
             begin transports\nremote_smtp:\n  driver = smtp\n{}\n\
             mailbox:\n  driver = appendfile\n  file = /var/mail/$local_part_data\n  user = mail\n\
             begin retry\n* * F,1h,5s\n",
            form("acl"),
            shown("exim/null-sender.acl"),
            form("router"),
            form("transport"),
        )
    }

    /// Their Exim, which verifies senders by callouts, or no longer does. Its cache forgets after a second, so that each mail is verified.
    pub fn their_exim(&self, callouts: bool) -> String {
        let verify = if callouts { "require verify = sender/callout=30s,random\n" } else { "" };
        format!(
            "primary_hostname = mail.example.com\ndomainlist local_domains = example.com\nhostlist relay_from_hosts = 127.0.0.1\n\
             host_lookup =\nkeep_environment =\nacl_smtp_rcpt = acl_check_rcpt\n\
             callout_domain_positive_expire = 1s\ncallout_domain_negative_expire = 1s\n\
             callout_positive_expire = 1s\ncallout_negative_expire = 1s\n\
             begin acl\nacl_check_rcpt:\naccept hosts = +relay_from_hosts\n{verify}require domains = +local_domains\naccept\n\
             begin routers\n\
             dnslookup:\n  driver = dnslookup\n  domains = ! +local_domains\n  transport = remote_smtp\n  no_more\n\
             users:\n  driver = accept\n  local_parts = eve\n  transport = mailbox\n\
             begin transports\nremote_smtp:\n  driver = smtp\n\
             mailbox:\n  driver = appendfile\n  file = /var/mail/$local_part_data\n  user = mail\n"
        )
    }

    /// Start our mail server.
    pub fn start_ours(&self) {
        match self.side {
            Ours::Postfix => self.our_postfix(),
            Ours::Exim => {
                Exim::start(&self.ours, &self.our_exim("acl"));
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
