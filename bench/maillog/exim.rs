//! What Exim logs with the selectors that the manual recommends.

use super::{Client, Scripts};

/// What it logs for each class of clients.
pub const SCRIPTS: Scripts = [
    &[connect, arrived, closed, delivered, completed],
    &[connect, incomplete_known, closed],
    &[connect, reject, incomplete, closed],
    &[connect, reject, incomplete_reset, incomplete_known, closed],
    &[connect, reject_mail, arrived, closed, delivered, completed],
];

/// The process.
fn process(c: &Client) -> String {
    format!("[{}] ", 10_000 + c.process)
}

/// Address and port. A port is a process's, so that sessions at one time differ in it.
fn address(c: &Client) -> String {
    let [a, b, d, e] = c.ip;
    format!("[{a}.{b}.{d}.{e}]:{}", 20_000 + c.process)
}

/// Name, address and port.
fn host(c: &Client) -> String {
    format!("mail{}.example.net {}", c.number, address(c))
}

/// The message's id: 6, 6 and 2 letters.
fn id(c: &Client) -> String {
    format!("1x{:04}-{:06}-00", c.number / 1_000_000, c.number % 1_000_000)
}

/// It connects: the daemon says so.
fn connect(c: &Client) -> String {
    format!("[901] SMTP connection from {} (TCP/IP connection count = {})", address(c), super::CLIENTS)
}

/// A recipient is refused.
fn refusal(c: &Client, from: &str) -> String {
    let (n, domain) = (c.number, c.domain());
    format!("{}H={} F=<{from}> rejected RCPT <user{n}@{domain}>: Unknown user", process(c), host(c))
}

/// The null sender's recipient is refused.
fn reject(c: &Client) -> String {
    refusal(c, "")
}

/// An ordinary sender's recipient is refused.
fn reject_mail(c: &Client) -> String {
    refusal(c, &format!("joe{}@sender.example", c.number))
}

/// A transaction comes to nothing.
fn nothing(c: &Client, end: &str, recipients: &str) -> String {
    format!("{}H={} incomplete transaction ({end}) from <>{recipients}", process(c), host(c))
}

/// After an accepted recipient.
fn incomplete_known(c: &Client) -> String {
    nothing(c, "QUIT", &format!(" for alice@{}", c.domain()))
}

/// After a refusal.
fn incomplete(c: &Client) -> String {
    nothing(c, "QUIT", "")
}

/// After a refusal, and it goes on.
fn incomplete_reset(c: &Client) -> String {
    nothing(c, "RSET", "")
}

/// It leaves.
fn closed(c: &Client) -> String {
    format!("{}SMTP connection from {} closed by QUIT", process(c), host(c))
}

/// The message is taken.
fn arrived(c: &Client) -> String {
    let n = c.number;
    format!(
        "{}{} <= joe{n}@sender.example H={} P=esmtp S=3440 id={n}.x@mail{n}.example.net",
        process(c),
        id(c),
        host(c)
    )
}

/// The message is delivered, by a process of its own.
fn delivered(c: &Client) -> String {
    format!("[902] {} => alice <alice@{}> R=good T=drop", id(c), c.domain())
}

/// The message is gone.
fn completed(c: &Client) -> String {
    format!("[902] {} Completed", id(c))
}
