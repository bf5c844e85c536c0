//! What cleanup, the queue manager and the delivery agents log about a queue id.

use super::{Sink, Taken, ip, queue_id};
use crate::feed::record::{Act, Address, Key, Record};
use crate::feed::service::address;

/// Gives the records of a message about a queue id.
pub(super) fn parse(text: &[u8], sink: &mut Sink<'_>) -> Taken {
    let Some((Some(id), rest)) = queue_id(text) else {
        return if super::smtpd::has_level(text) { Taken::Ignored } else { Taken::Unknown };
    };
    let act = match rest.first() {
        Some(b'f') if rest.starts_with(b"from=<") => match sender(rest) {
            Some(act) => act,
            None => return Taken::Ignored,
        },
        Some(b't') if rest.starts_with(b"to=<") => match delivery(rest) {
            Some(act) => act,
            None => return Taken::Ignored,
        },
        Some(b'm') if rest.starts_with(b"message-id=") => Act::MessageId(without_brackets(&rest[11..])),
        Some(b'm') if rest.starts_with(b"milter-reject: END-OF-MESSAGE ") => Act::Refused,
        Some(b'r') if rest == b"removed" => Act::Removed,
        Some(b'r')
            if rest.starts_with(b"reject: header ")
                || rest.starts_with(b"reject: body ")
                || rest.starts_with(b"reject: mime ") =>
        {
            Act::Refused
        }
        Some(b'c') if rest == b"canceled" => Act::Canceled,
        // Of smtpd, where the program is cut.
        Some(b'c') if rest.starts_with(b"client=") => return Taken::Unknown,
        Some(b'r' | b'i' | b'm' | b'w' | b'd' | b'f' | b'h' | b'b' | b'p' | b'l' | b't') if of_smtpd(rest) => {
            return Taken::Unknown;
        }
        _ => return Taken::Ignored,
    };
    sink(Record { queue_id: Some(id), ..Record::new(Key::Queue(id), act) });
    Taken::Parsed
}

/// Does smtpd write this after a queue id: `reject: RCPT from …`, `lost connection after …`? Needed only where the program is cut.
fn of_smtpd(text: &[u8]) -> bool {
    if [&b"lost connection after "[..], b"timeout after ", b"too many errors after "]
        .iter()
        .any(|words| text.starts_with(words))
    {
        return true;
    }
    // An action, then a stage in capital letters; cleanup's go on with `header` or `body`.
    let stage = memchr::memmem::find(text, b": ").map(|colon| &text[colon + 2..]);
    stage.is_some_and(|stage| stage.iter().take(4).all(u8::is_ascii_uppercase))
}

/// `<id@host>` or what else stands there.
fn without_brackets(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"<").and_then(|text| text.strip_suffix(b">")).unwrap_or(text)
}

/// `from=<…>, size=878, nrcpt=1 (queue active)`. What follows the sender is the queue manager's, so the last `>, size=` ends it.
fn sender(text: &[u8]) -> Option<Act<'_>> {
    let end = memchr::memmem::rfind(text, b">, size=")?;
    let sender = text.get(6..end)?;
    let rest = &text[end..];
    let count = memchr::memmem::find(rest, b"nrcpt=").map(|at| &rest[at + 6..])?;
    let digits = count.iter().take(9).take_while(|octet| octet.is_ascii_digit()).count();
    let recipients = super::decimal(&count[..digits])?;
    Some(Act::Sender { sender: Address::Known(sender), recipients })
}

/// `to=<…>, orig_to=<…>, relay=host[ip]:25, …, status=sent (…)`. Read from the left, since the relay's answer stands at the right;
/// an address must end where the next field begins.
fn delivery(text: &[u8]) -> Option<Act<'_>> {
    let mut rest = text.strip_prefix(b"to=<")?;
    let (to, after) = until_field(rest)?;
    rest = after;
    let mut given = to;
    if let Some(after) = rest.strip_prefix(b"orig_to=<") {
        let (orig, after) = until_field(after)?;
        (given, rest) = (orig, after);
    }
    rest = rest.strip_prefix(b"relay=")?;
    let status = memchr::memmem::find(rest, b", status=")?;
    let (relay, status) = (&rest[..memchr::memchr(b',', rest)?], &rest[status + 9..]);
    let relay = memchr::memchr(b'[', relay).and_then(|open| {
        let inner = &relay[open + 1..];
        ip(&inner[..memchr::memchr(b']', inner)?])
    });
    // Another host gets the address as rewritten, a session is about the one that the client gave.
    let recipient = if relay.is_some() { to } else { given };
    Some(Act::Delivery { sender: Address::Unseen, recipient, relay, sent: status.starts_with(b"sent") })
}

/// The address up to `>, ` and what follows.
fn until_field(text: &[u8]) -> Option<(Address<'_>, &[u8])> {
    match address::prefix(text) {
        Some(len) if text[len..].starts_with(b">, ") => Some((Address::Known(&text[..len]), &text[len + 3..])),
        _ => {
            // Before Postfix 3.5 addresses are not quoted: the field's end can not be told from its contents.
            let end = memchr::memmem::find(text, b">, relay=")?;
            Some((Address::Ambiguous, &text[end + 3..]))
        }
    }
}
