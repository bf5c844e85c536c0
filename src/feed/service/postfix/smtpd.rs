//! What smtpd logs.

use super::tail::{self, Shape};
use super::{Sink, Taken, peer, queue_id, session_key};
use crate::feed::envelope::{Message, decimal};
use crate::feed::record::{Act, Record, Reply};
use crate::feed::session::{Body, Closed, Count, Verbs};

/// Gives the records of a message of smtpd.
pub(super) fn parse(message: &Message<'_>, text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let line = Line { message, queue_id: None };
    match text.first() {
        Some(b'c') if text.starts_with(b"connect from ") => line.about_peer(&text[13..], Act::Connect, sink),
        Some(b'd') if text.starts_with(b"disconnect from ") => line.disconnect(&text[16..], sink),
        Some(b'l' | b't') if line.ending(text, sink) => Taken::Parsed,
        Some(b'w' | b'f' | b'p' | b'e') if has_level(text) => Taken::Ignored,
        _ => match queue_id(text) {
            Some((id, rest)) => Line { queue_id: id, ..line }.queued(rest, sink),
            None => Taken::Unknown,
        },
    }
}

/// Does the message begin with a level, as in `warning: …`?
pub(super) fn has_level(text: &[u8]) -> bool {
    [&b"warning: "[..], b"fatal: ", b"panic: ", b"error: "].iter().any(|level| text.starts_with(level))
}

/// Is a stage that a connection ended after one of the message itself, as in `DATA (0 bytes)`?
fn in_data(stage: &[u8]) -> bool {
    [&b"DATA"[..], b"BDAT", b"END-OF-MESSAGE"].iter().any(|data| stage.starts_with(data))
}

/// A message and the queue id before it.
#[derive(Clone, Copy)]
struct Line<'m, 'a> {
    /// The message.
    message: &'m Message<'a>,
    /// The queue id.
    queue_id: Option<&'m [u8]>,
}

impl Line<'_, '_> {
    /// A record about the client that `text` begins with; what follows is of no interest.
    fn about_peer(self, text: &[u8], act: Act<'_>, sink: &mut Sink<'_>) -> Taken {
        let Some((peer, _)) = peer(text) else { return Taken::Unknown };
        sink(Record { client: peer, queue_id: self.queue_id, ..Record::new(session_key(self.message, peer), act) });
        Taken::Parsed
    }

    /// `disconnect from`: the client and the counters.
    fn disconnect(self, text: &[u8], sink: &mut Sink<'_>) -> Taken {
        let Some((peer, rest)) = peer(text) else { return Taken::Unknown };
        let counters = counters(rest);
        let quit = counters.as_ref().is_some_and(|counters| counters.verbs.quit > 0);
        let closed = if quit { Closed::Quit } else { Closed::Unknown };
        let verbs = counters.as_ref().map(|counters| counters.verbs);
        let mut record =
            Record { client: peer, ..Record::new(session_key(self.message, peer), Act::Disconnect { closed, verbs }) };
        if let Some(counters) = counters {
            (record.tls, record.authenticated) = (counters.tls, counters.authenticated);
        }
        sink(record);
        Taken::Parsed
    }

    /// `lost connection after RCPT from …`, `timeout after …`, `too many errors after …`. `false` if it is none of these.
    fn ending(self, text: &[u8], sink: &mut Sink<'_>) -> bool {
        let kinds = [
            (&b"lost connection after "[..], Closed::Lost),
            (b"timeout after ", Closed::Timeout),
            (b"too many errors after ", Closed::Server),
        ];
        let Some((rest, closed)) = kinds.iter().find_map(|(words, closed)| Some((text.strip_prefix(*words)?, *closed)))
        else {
            return false;
        };
        // The stage is Postfix's own word, with no ` from ` in it.
        let Some(from) = memchr::memmem::find(rest, b" from ") else { return false };
        let act = Act::Ending { closed, in_data: in_data(&rest[..from]) };
        self.about_peer(&rest[from + 6..], act, sink) == Taken::Parsed
    }

    /// What follows a queue id or `NOQUEUE`.
    fn queued(self, text: &[u8], sink: &mut Sink<'_>) -> Taken {
        if let Some(rest) = text.strip_prefix(b"client=") {
            let Some((peer, rest)) = peer(rest) else { return Taken::Unknown };
            let authenticated = rest.starts_with(b", sasl_");
            sink(Record {
                client: peer,
                queue_id: self.queue_id,
                authenticated,
                ..Record::new(session_key(self.message, peer), Act::Queued)
            });
            return Taken::Parsed;
        }
        if self.ending(text, sink) {
            return Taken::Parsed;
        }
        match self.judged(text, sink) {
            Some(()) => Taken::Parsed,
            None if has_level(text) => Taken::Ignored,
            None => Taken::Unknown,
        }
    }

    /// `reject: RCPT from host[ip]: 550 …; from=<…> to=<…> proto=… helo=<…>`, and what else restrictions and milters log so.
    fn judged(self, text: &[u8], sink: &mut Sink<'_>) -> Option<()> {
        let colon = memchr::memchr(b':', text)?;
        let refused = match &text[..colon] {
            b"reject" | b"milter-reject" => true,
            // Said about what is not refused: it shows the recipient, whose answer follows or is yes.
            b"info" | b"warn" | b"reject_warning" | b"discard" | b"filter" | b"hold" | b"delay" | b"redirect"
            | b"bcc" | b"prepend" | b"permit" | b"milter-hold" | b"milter-discard" => false,
            _ => return None,
        };
        let rest = text[colon + 1..].strip_prefix(b" ")?;
        let from = memchr::memmem::find(rest, b" from ")?;
        let stage = &rest[..from];
        let (peer, rest) = peer(&rest[from + 6..])?;
        let rest = rest.strip_prefix(b": ")?;
        let shape = match stage {
            b"RCPT" => Shape::SenderAndRecipient,
            b"MAIL" => Shape::Sender,
            b"DATA" | b"BDAT" | b"END-OF-MESSAGE" => Shape::SenderPerhapsRecipient,
            _ => Shape::Neither,
        };
        let tail = tail::split(rest, shape, tail::SMTPD);
        let reply = if refused { refusal(tail.reply) } else { Reply::Pending };
        let act = match (stage, refused) {
            (b"RCPT", _) => Act::Rcpt { sender: tail.sender, recipient: tail.recipient, reply },
            (b"MAIL", true) => Act::Mail { sender: tail.sender, reply },
            (b"DATA" | b"BDAT" | b"END-OF-MESSAGE", true) => Act::Data { sender: tail.sender, body: Body::Refused },
            _ => Act::Seen,
        };
        sink(Record {
            client: peer,
            queue_id: self.queue_id,
            helo: tail.helo,
            authenticated: tail.authenticated,
            ambiguous: tail.ambiguous,
            ..Record::new(session_key(self.message, peer), act)
        });
        Some(())
    }
}

/// `550 5.1.1 <…>: …` as a reply; a milter's may begin with the enhanced code (RFC 3463) alone.
pub(super) fn refusal(reply: &[u8]) -> Reply<'_> {
    let code = reply.get(..3).and_then(decimal).filter(|code| (400..600).contains(code));
    match code {
        Some(code) => Reply::Refused { code: code as u16, text: reply[3..].trim_ascii_start() },
        None => {
            let class = match reply {
                [b'4', b'.', ..] => 450,
                [b'5', b'.', ..] => 550,
                _ => 0,
            };
            Reply::Refused { code: class, text: reply }
        }
    }
}

/// The counters of a session.
struct Counters {
    /// Commands.
    verbs: Verbs,
    /// STARTTLS succeeded.
    tls: bool,
    /// AUTH succeeded.
    authenticated: bool,
}

/// ` ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4`. `None` before Postfix 3.0, which counts nothing.
fn counters(text: &[u8]) -> Option<Counters> {
    let mut counters = Counters { verbs: Verbs::default(), tls: false, authenticated: false };
    let mut any = false;
    for word in text.split(|&octet| octet == b' ').filter(|word| !word.is_empty()) {
        let Some(equals) = memchr::memchr(b'=', word) else { continue };
        let (name, value) = (&word[..equals], &word[equals + 1..]);
        let Some(count) = count(value) else { continue };
        any = true;
        let verbs = &mut counters.verbs;
        match name {
            b"mail" => verbs.mail = count,
            b"rcpt" => verbs.rcpt = count,
            b"data" => verbs.data = count,
            b"bdat" => verbs.bdat = count,
            b"rset" => verbs.rset = count.ok,
            b"quit" => verbs.quit = count.ok,
            b"starttls" => counters.tls = count.ok > 0,
            b"auth" => counters.authenticated = count.ok > 0,
            _ => {}
        }
    }
    any.then_some(counters)
}

/// `2` or `1/2`.
fn count(text: &[u8]) -> Option<Count> {
    match memchr::memchr(b'/', text) {
        Some(slash) => Some(Count { ok: decimal(&text[..slash])?, all: decimal(&text[slash + 1..])? }),
        None => decimal(text).map(|all| Count { ok: all, all }),
    }
}
