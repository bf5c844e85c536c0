//! Real mail servers on [machines](crate::machine): Postfix and Exim as their distribution ships them, with configuration of a test.
//!
//! Each is started the way its own service does it, keeps its usual paths, and ends with its machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use crate::machine::{Machine, versions};
use crate::server::PATIENCE;

/// Postfix's log on its machine.
pub const POSTFIX_LOG: &str = "/var/log/mail.log";
/// Exim's log on its machine.
pub const EXIM_LOG: &str = "/var/log/exim4/mainlog";

/// Postfix on a machine.
pub struct Postfix {
    /// Its version, as it says.
    pub version: String,
}

impl Postfix {
    /// Start it with Debian's `main.cf` and `master.cf` and these lines behind them. Wants the peer `postfix` on the machine.
    pub fn start(machine: &Machine, main_cf: &str, master_cf: &str) -> Self {
        let shipped = |file: &str| machine.read(&format!("/usr/share/postfix/{file}"));
        // The log goes to a file by Postfix's own means. Daemons that idle are kept: the story is told in seconds.
        let usual = format!(
            "maillog_file = {POSTFIX_LOG}\nmyhostname = {}\nalias_maps =\nalias_database =\ninet_protocols = all\n",
            machine.name
        );
        machine.put("/etc/postfix/main.cf", &format!("{}\n{usual}{main_cf}", shipped("main.cf.debian")));
        machine.put("/etc/postfix/master.cf", &format!("{}\n{master_cf}", shipped("master.cf.dist")));
        machine.put("/etc/postfix/dynamicmaps.cf", &shipped("dynamicmaps.cf"));
        // As its service does: resolver files for the chroot, then the start. The queue's rights are made by the start itself.
        machine.run(
            "mkdir -p /var/spool/postfix /var/lib/postfix && chown postfix /var/lib/postfix && \
             /usr/lib/postfix/configure-instance.sh - && postfix start",
        );
        machine.wait_port(25, POSTFIX_LOG);
        let version = machine.run("postconf -h mail_version").trim().to_owned();
        eprintln!("{}: Postfix {version} ({})", machine.name, versions("postfix"));
        Self { version }
    }
}

/// Exim on a machine.
pub struct Exim {
    /// Its version, as it says.
    pub version: String,
}

impl Exim {
    /// Start it with a whole configuration. Wants the peer `exim` on the machine.
    pub fn start(machine: &Machine, configuration: &str) -> Self {
        machine.put("/etc/exim4/exim4.conf", configuration);
        machine.run(
            "chown root:Debian-exim /etc/exim4/exim4.conf && chmod 640 /etc/exim4/exim4.conf && \
             mkdir -p /var/spool/exim4 /var/log/exim4 /run/exim4 && \
             chown -R Debian-exim:Debian-exim /var/spool/exim4 /var/log/exim4 /run/exim4",
        );
        let told = machine.run("exim4 -bV && exim4 -bd -q1m");
        let version = told.split_ascii_whitespace().nth(2).unwrap_or_default().to_owned();
        machine.wait_port(25, EXIM_LOG);
        eprintln!("{}: Exim {version} ({})", machine.name, versions("exim"));
        Self { version }
    }
}

/// A client that speaks SMTP (RFC 5321) line by line.
pub struct Smtp {
    /// The connection, buffered for reading.
    stream: BufReader<TcpStream>,
}

/// A reply: all its lines, each with its code.
pub type Reply = String;

impl Smtp {
    /// Connect from a machine to a server's port, take its greeting, and say EHLO with the machine's name.
    pub fn connect(from: &Machine, to: &str, port: u16) -> Self {
        let to = SocketAddr::new(to.parse::<IpAddr>().unwrap(), port);
        let stream = from.inside(|| TcpStream::connect(to)).unwrap_or_else(|error| panic!("{to}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        let greeting = client.reply();
        assert!(greeting.starts_with("220"), "{greeting}");
        let hello = client.say(&format!("EHLO {}", from.name));
        assert!(hello.starts_with("250"), "{hello}");
        client
    }

    /// Say a line and take the reply.
    pub fn say(&mut self, line: &str) -> Reply {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply()
    }

    /// Send a message after 354 and take the reply to it.
    pub fn message(&mut self, text: &str) -> Reply {
        let reply = self.say("DATA");
        assert!(reply.starts_with("354"), "{reply}");
        self.say(&format!("{}\r\n.", text.replace('\n', "\r\n")))
    }

    /// Take a reply (RFC 5321 section 4.2.1).
    fn reply(&mut self) -> Reply {
        let mut reply = String::new();
        loop {
            let begin = reply.len();
            let octets = self.stream.read_line(&mut reply).unwrap();
            if octets == 0 || reply.as_bytes().get(begin + 3) != Some(&b'-') {
                return reply;
            }
        }
    }
}

/// A whole transaction without a message, on port 25: the reply to RCPT.
pub fn probe(from: &Machine, to: &str, sender: &str, recipient: &str) -> Reply {
    probe_at(from, to, 25, sender, recipient)
}

/// A whole transaction without a message: the reply to RCPT.
pub fn probe_at(from: &Machine, to: &str, port: u16, sender: &str, recipient: &str) -> Reply {
    let mut client = Smtp::connect(from, to, port);
    client.say(&format!("MAIL FROM:<{sender}>"));
    let reply = client.say(&format!("RCPT TO:<{recipient}>"));
    client.say("QUIT");
    reply
}

#[test]
fn machines_speak_with_each_other_and_leave_nothing() {
    if !crate::machine::have(&["postfix", "exim"]) {
        return;
    }
    let wire = crate::machine::Wire::new();
    let (ours, theirs) = (
        wire.machine("mx.example.org", &["192.0.2.25", "2001:db8::25"], &["postfix"]),
        wire.machine("mail.example.net", &["198.51.100.25"], &["exim"]),
    );
    let postfix = Postfix::start(&ours, "mydestination = example.org\nlocal_recipient_maps = inline:{alice=1}\n", "");
    let exim = Exim::start(
        &theirs,
        "acl_smtp_rcpt = accept\nprimary_hostname = mail.example.net\nhost_lookup =\nbegin routers\nnone:\n  driver = redirect\n  data = :blackhole:\n",
    );
    assert!(postfix.version.starts_with('3') && exim.version.starts_with('4'), "{} {}", postfix.version, exim.version);
    assert_eq!(&probe(&theirs, "192.0.2.25", "", "alice@example.org")[..3], "250");
    assert_eq!(&probe(&theirs, "192.0.2.25", "", "bob@example.org")[..3], "550");
    assert_eq!(&probe(&ours, "198.51.100.25", "alice@example.org", "bob@example.net")[..3], "250");
    // The client's own address is what the server sees.
    ours.wait("the log", POSTFIX_LOG, || ours.read(POSTFIX_LOG).contains("disconnect from unknown[198.51.100.25]"));
}
