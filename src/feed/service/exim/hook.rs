//! The lines that ACLs write for us with `logwrite`: `bsf1 rcpt …` for each recipient of a null or probe sender, before the answer, and `bsf1 end …`
//! with the commands of the session.
//!
//! ```text
//! bsf1 rcpt ip=192.0.2.7 port=51567 from=<> to=<alice@example.org>
//! bsf1 end ip=192.0.2.7 port=51567 why=quit cmds=EHLO,MAIL,RCPT,DATA,RSET,QUIT helo=host.example
//! ```
//!
//! An older form of the same lines begins with `bsf-rcpt` and `bsf-end`, and says `ev=` and `hist=` for `why=` and `cmds=`. Address and port are written
//! by Exim, before any text of the client.

use super::super::text::{after, field, ip, number, path, split_last, unquote, word};
use super::super::{Sink, Taken};
use crate::feed::envelope::Message;
use crate::feed::record::{Act, Address, Key, Peer, Record, Reply};
use crate::feed::session::{Closed, Count, Verbs};

/// The records of such a line; `None` if it is another.
pub fn parse(message: &Message<'_>, sink: &mut Sink<'_>) -> Option<Taken> {
    let text = message.text;
    let rcpt = after(text, b"bsf1 rcpt ").or_else(|| after(text, b"bsf-rcpt "));
    if let Some(rest) = rcpt {
        let (peer, rest) = peer(rest)?;
        recipient(peer, rest, sink)?;
        return Some(Taken::Parsed);
    }
    let rest = after(text, b"bsf1 end ").or_else(|| after(text, b"bsf-end "))?;
    let (peer, rest) = peer(rest)?;
    end(peer, rest, sink);
    Some(Taken::Parsed)
}

/// `ip=… port=…`, and what follows.
fn peer(text: &[u8]) -> Option<(Peer<'_>, &[u8])> {
    let (address, rest) = word(after(text, b"ip=")?);
    let (port, rest) = word(after(rest, b"port=")?);
    Some((Peer { ip: ip(address)?, port: Some(number(port)?), ptr: None }, rest))
}

/// A record about that client's session.
fn record<'a>(peer: Peer<'a>, act: Act<'a>) -> Record<'a> {
    // peer() has read a port.
    let mut record = Record::new(Key::Peer { ip: peer.ip, port: peer.port.unwrap_or(0) }, act);
    record.client = Some(peer);
    record
}

/// `from=<sender> to=<recipient>`. Where the recipe's `quote_local_part` was left out, the recipient may hold anything; then it is ambiguous.
fn recipient(peer: Peer<'_>, text: &[u8], sink: &mut Sink<'_>) -> Option<()> {
    let (sender, rest) = path(after(text, b"from=")?)?;
    let recipient = match after(rest, b" to=").and_then(path) {
        Some((recipient, [])) => Address::Known(recipient),
        _ => Address::Ambiguous,
    };
    let mut record = record(peer, Act::Rcpt { sender: Address::Known(sender), recipient, reply: Reply::Pending });
    record.ambiguous = recipient == Address::Ambiguous;
    sink(record);
    Some(())
}

/// `why=… cmds=… helo=…`: the session's end. Where no recipient was tried nothing was written before, so the line is the whole session.
fn end(peer: Peer<'_>, text: &[u8], sink: &mut Sink<'_>) {
    let (head, helo) = split_last(text, b" helo=").unwrap_or((text, b""));
    let why = field(head, b"why").or_else(|| field(head, b"ev")).unwrap_or(b"");
    let commands = field(head, b"cmds").or_else(|| field(head, b"hist")).unwrap_or(b"");
    let verbs = verbs(commands);
    let closed = match why {
        b"quit" => Closed::Quit,
        b"connection-lost" => Closed::Lost,
        b"command-timeout" | b"data-timeout" => Closed::Timeout,
        b"" => Closed::Unknown,
        _ => Closed::Server,
    };
    let mut record = record(peer, Act::End { closed, verbs });
    record.helo = Some(unquote(helo)).filter(|helo| !helo.is_empty());
    record.tls = commands.split(|octet| *octet == b',').any(|command| command == b"STARTTLS");
    sink(record);
}

/// Counts the last commands of the session (Exim keeps 20 of them). How they were answered is not known.
fn verbs(commands: &[u8]) -> Verbs {
    let mut verbs = Verbs::default();
    let count = |count: &mut Count| count.all += 1;
    for command in commands.split(|octet| *octet == b',') {
        match command {
            b"MAIL" => count(&mut verbs.mail),
            b"RCPT" => count(&mut verbs.rcpt),
            b"DATA" => count(&mut verbs.data),
            b"BDAT" => count(&mut verbs.bdat),
            b"RSET" => verbs.rset += 1,
            b"QUIT" => verbs.quit += 1,
            _ => {}
        }
    }
    verbs
}
