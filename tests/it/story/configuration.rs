//! How the mail servers of the story are configured: by what the documentation shows, and as little more as can be.

use crate::machine::Machine;
use crate::pages::{blocks, shown};
use crate::peers::Postfix;

/// Start our Postfix, with mailboxes for our users and these lines more.
pub fn start_postfix(machine: &Machine, main_cf: &str, master_cf: &str) {
    let usual = "mydestination = example.org\nlocal_recipient_maps = inline:{{alice=1} {bob=1} {carol=1} {dave=1} {you=1}}\n\
                 local_transport = virtual\nvirtual_mailbox_domains =\nvirtual_mailbox_base = /var/mail\n\
                 virtual_mailbox_maps = inline:{{alice@example.org=alice} {bob@example.org=bob} {carol@example.org=carol} {dave@example.org=dave}}\n\
                 virtual_uid_maps = static:64104\nvirtual_gid_maps = static:64104\nmynetworks = 127.0.0.0/8\n";
    Postfix::start(machine, &format!("{usual}{main_cf}"), master_cf);
}

/// Start our Postfix: the log's settings of `docs/feeding.md`, and what `docs/using-a-list.md` shows.
pub fn documented_postfix(machine: &Machine) {
    let [logging, info, ..] = &blocks("feeding.md", "### Postfix")[..] else { panic!("two blocks") };
    machine.put("/etc/postfix/dnsbld_info", info);
    machine.put("/etc/postfix/dnsbld_null", &shown("postfix/dnsbld_null"));
    let main = logging.clone() + &shown("postfix/null-sender.main.cf") + &shown("postfix/outbound.main.cf");
    start_postfix(machine, &main, &shown("postfix/outbound.master.cf"));
    // Postfix asks a list once in the life of a process; the story wants it asked each time.
    machine.run(&shown("postfix/at-once.sh"));
}

/// Our Exim's configuration: the log's settings of `docs/feeding.md`, and of what `docs/using-a-list.md` shows the ACL
/// for mail that comes in and one of the three forms for mail that goes out. `acl` is put into the ACL for recipients, before anything is
/// accepted there.
pub fn our_exim(outbound: &str, acl: &str) -> String {
    let [logging, hooks, end, recipients, ..] = &blocks("feeding.md", "### Exim")[..] else { panic!("four blocks") };
    let form = |name: &str| if outbound == name { shown(&format!("exim/outbound.{name}")) } else { String::new() };
    format!(
        "primary_hostname = mx.example.org\ndomainlist local_domains = example.org\nhostlist relay_from_hosts = 127.0.0.1\n\
         daemon_smtp_ports = 25 : 587\nhost_lookup =\nkeep_environment =\nacl_smtp_rcpt = acl_check_rcpt\n{logging}{hooks}\
         begin acl\n{end}\nacl_check_rcpt:\n{recipients}{acl}{}\
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
pub fn their_exim(callouts: bool) -> String {
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
