//! rspamd behind Postfix, as most use it: a milter that sees real sessions, with the documented files where an operator puts them.
//!
//! The null sender of a listed host is refused with the message it brings, by rspamd's score; the same host's ordinary mail and everybody
//! else's is taken.

use crate::consumers::{LIST, SETTINGS, documented};
use crate::daemon::program;
use crate::machine::{Wire, have};
use crate::peers::{Postfix, Smtp};
use crate::server::Server;
use crate::skip;

/// Our address.
const OURS: &str = "192.0.2.25";
/// rspamd's log on its machine.
const LOG: &str = "/var/log/rspamd/rspamd.log";
/// rspamd's settings around those of the documentation: the module that asks lists and the milter. The composite's 8 points are enough
/// to refuse, so that it is seen by the client.
const RSPAMD: &str = "\
options {
  pidfile = \"$RUNDIR/rspamd.pid\";
  tempdir = \"$DBDIR\";
  control_socket = \"$DBDIR/rspamd.sock mode=0600\";
  url_tld = \"$DBDIR/tld.dat\";
  filters = \"\";
  disable_hyperscan = true;
  dns { nameserver = [\"127.0.0.1:53\"]; timeout = 2s; retransmits = 5; }
}
logging { type = \"file\"; filename = \"$LOGDIR/rspamd.log\"; level = \"info\"; }
worker \"rspamd_proxy\" {
  bind_socket = \"127.0.0.1:11332\";
  milter = yes;
  count = 1;
  upstream \"local\" { default = yes; self_scan = yes; }
}
modules { path = \"$PLUGINSDIR/rbl.lua\"; }
lua = \"$RULESDIR/rspamd.lua\"
rbl { .include(duplicate=merge) \"$LOCAL_CONFDIR/local.d/rbl.conf\" }
composites { .include(duplicate=merge) \"$LOCAL_CONFDIR/local.d/composites.conf\" }
.include(duplicate=merge) \"$LOCAL_CONFDIR/local.d/groups.conf\"
actions { reject = 7; }
";
/// Client, sender, and what the reply to the message begins with.
const CASES: [(&str, &str, &str); 6] = [
    ("203.0.113.9", "", "554 5.7.1"),
    ("203.0.113.9", "bob@example.com", "250 "),
    ("203.0.113.10", "", "554 5.7.1"),
    ("203.0.113.10", "bob@example.com", "250 "),
    ("203.0.113.11", "", "250 "),
    ("203.0.113.11", "bob@example.com", "250 "),
];
/// The message.
const MESSAGE: &str = "\
From: MAILER-DAEMON@mx.example.com
To: alice@example.org
Subject: Undelivered Mail Returned to Sender
Message-ID: <1@mx.example.com>
Date: Sun, 22 Nov 2026 03:00:00 +0000

Your message could not be delivered.";

#[test]
fn rspamd_as_a_milter_of_postfix_refuses_listed_null_senders() {
    if program("rspamd").is_none() {
        return skip("rspamd");
    }
    if !have(&["postfix"]) {
        return;
    }
    crate::daemon::version("rspamd", "--version");
    let wire = Wire::new();
    let machine = wire.machine("mail.example.org", &[OURS], &["postfix"]);
    let _list = machine.inside(|| Server::start(SETTINGS, &[("list.zone", LIST.as_bytes())]));
    for (from, to) in [
        ("rbl.conf", "local.d/rbl.conf"),
        ("composites.conf", "local.d/composites.conf"),
        ("groups.conf", "local.d/groups.conf"),
        ("rspamd.local.lua", "rspamd.local.lua"),
    ] {
        let text = std::fs::read_to_string(documented("rspamd").join(from)).unwrap();
        machine.put(&format!("/etc/rspamd/{to}"), &text);
    }
    machine.put("/etc/rspamd/test.conf", RSPAMD);
    machine.put("/var/lib/rspamd/tld.dat", "com\nnet\norg\n");
    machine.run(
        "mkdir -p /run/rspamd /var/log/rspamd && chown -R _rspamd /run/rspamd /var/log/rspamd /var/lib/rspamd && \
         rspamd -u _rspamd -g _rspamd -c /etc/rspamd/test.conf >/var/log/rspamd.start 2>&1",
    );
    machine.wait_port(11332, LOG);
    let main_cf = "mydestination = example.org\nlocal_recipient_maps = inline:{alice=1}\nmailbox_transport = discard\n\
                   smtpd_milters = inet:127.0.0.1:11332\nmilter_default_action = tempfail\n";
    let _postfix = Postfix::start(&machine, main_cf, "");
    let clients = ["203.0.113.9", "203.0.113.10", "203.0.113.11"];
    let clients = clients.map(|address| (address, wire.machine("mx.example.com", &[address], &[])));
    for (client, sender, begin) in CASES {
        let (_, from) = clients.iter().find(|(address, _)| *address == client).unwrap();
        let mut session = Smtp::connect(from, OURS, 25);
        session.say(&format!("MAIL FROM:<{sender}>"));
        session.say("RCPT TO:<alice@example.org>");
        let reply = session.message(MESSAGE);
        assert!(reply.starts_with(begin), "{client} <{sender}>: {reply}\n{}", machine.read(LOG));
    }
}
