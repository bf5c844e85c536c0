//! What Postfix logs by default.

use super::{Client, Scripts};

/// What it logs for each class of clients.
pub const SCRIPTS: Scripts = [
    &[connect, client, message_id, queue, leave_mail, delivered, removed],
    &[connect, client, leave_probe],
    &[connect, reject, leave_refused],
    &[connect, reject, client, leave_double],
    &[connect, reject_mail, client, message_id, queue, leave_mistyped, delivered, removed],
];

/// The head of what smtpd logs.
fn smtpd(c: &Client) -> String {
    format!("postfix/smtpd[{}]: ", 10_000 + c.process)
}

/// Name and address.
fn peer(c: &Client) -> String {
    let [a, b, d, e] = c.ip;
    format!("mail{}.example.net[{a}.{b}.{d}.{e}]", c.number)
}

/// The queue id.
fn id(c: &Client) -> String {
    format!("{:011X}", c.number * 4099)
}

/// It connects.
fn connect(c: &Client) -> String {
    format!("{}connect from {}", smtpd(c), peer(c))
}

/// Its recipient is accepted.
fn client(c: &Client) -> String {
    format!("{}{}: client={}", smtpd(c), id(c), peer(c))
}

/// A recipient is refused.
fn refusal(c: &Client, from: &str) -> String {
    let (n, peer, domain) = (c.number, peer(c), c.domain());
    format!(
        "{}NOQUEUE: reject: RCPT from {peer}: 550 5.1.1 <user{n}@{domain}>: Recipient address rejected: User unknown in virtual mailbox table; from=<{from}> to=<user{n}@{domain}> proto=ESMTP helo=<mail{n}.example.net>",
        smtpd(c)
    )
}

/// The null sender's recipient is refused.
fn reject(c: &Client) -> String {
    refusal(c, "")
}

/// An ordinary sender's recipient is refused.
fn reject_mail(c: &Client) -> String {
    refusal(c, &format!("joe{}@sender.example", c.number))
}

/// Its message has an id.
fn message_id(c: &Client) -> String {
    format!("postfix/cleanup[901]: {}: message-id=<{n}.x@mail{n}.example.net>", id(c), n = c.number)
}

/// The queue manager has it.
fn queue(c: &Client) -> String {
    format!("postfix/qmgr[790]: {}: from=<joe{}@sender.example>, size=3440, nrcpt=1 (queue active)", id(c), c.number)
}

/// The message is delivered.
fn delivered(c: &Client) -> String {
    format!(
        "postfix/virtual[902]: {}: to=<alice@{}>, relay=virtual, delay=0.02, delays=0/0.01/0/0, dsn=2.0.0, status=sent (delivered to maildir)",
        id(c),
        c.domain()
    )
}

/// The message is gone.
fn removed(c: &Client) -> String {
    format!("postfix/qmgr[790]: {}: removed", id(c))
}

/// It leaves.
fn leave(c: &Client, counts: &str) -> String {
    format!("{}disconnect from {} {counts}", smtpd(c), peer(c))
}

/// After a message.
fn leave_mail(c: &Client) -> String {
    leave(c, "ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
}

/// After a message, one of whose recipients was refused.
fn leave_mistyped(c: &Client) -> String {
    leave(c, "ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6")
}

/// After an accepted recipient.
fn leave_probe(c: &Client) -> String {
    leave(c, "ehlo=1 mail=1 rcpt=1 quit=1 commands=4")
}

/// After a refusal.
fn leave_refused(c: &Client) -> String {
    leave(c, "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4")
}

/// After both.
fn leave_double(c: &Client) -> String {
    leave(c, "ehlo=1 mail=2 rcpt=1/2 rset=1 quit=1 commands=6/7")
}
