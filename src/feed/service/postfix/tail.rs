//! The end of a line about a command, read from the right: `…; from=<…> to=<…> proto=ESMTP helo=<…>`.
//!
//! Sender and recipient are the client's, and a quoted local part may hold anything (RFC 5321, section 4.1.2), these very words
//! included: `to=<"a> to=<victim@x.test> proto=ESMTP helo=<y"@example.org>`. Postfix replaces blanks and brackets in HELO, so the right end is firm.
//! From there, every reading is tried in which both addresses are well-formed; if there is not exactly one, the addresses are dropped.

use crate::feed::record::Address;
use crate::feed::service::address;

/// How fields are parted in smtpd's lines.
pub(super) const SMTPD: &[u8] = b" ";

/// How fields are parted in postscreen's lines.
pub(super) const POSTSCREEN: &[u8] = b", ";

/// So many places are tried for the beginning of an address; a line with more is not worth reading.
const PLACES_MAX: usize = 16;

/// Which addresses a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Both: at RCPT.
    SenderAndRecipient,
    /// The sender: at MAIL.
    Sender,
    /// The sender, and the recipient if there is only one: at DATA and after.
    SenderPerhapsRecipient,
    /// None that matters: before MAIL.
    Neither,
}

/// A line's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail<'a> {
    /// What stands before: the reply, or what a restriction said.
    pub reply: &'a [u8],
    /// The sender.
    pub sender: Address<'a>,
    /// The recipient.
    pub recipient: Address<'a>,
    /// What the client calls itself.
    pub helo: Option<&'a [u8]>,
    /// The client has logged in.
    pub authenticated: bool,
    /// More than one reading was possible, or none.
    pub ambiguous: bool,
}

/// Splits a line's end off.
pub(super) fn split<'a>(text: &'a [u8], shape: Shape, parted: &[u8]) -> Tail<'a> {
    let (addresses, helo, authenticated) = match right_end(text, parted) {
        Some((rest, helo)) => (Some(rest), helo, false),
        None => match without_login(text).and_then(|rest| right_end(rest, parted)) {
            Some((rest, helo)) => (Some(rest), helo, true),
            // Cut off, by Postfix or on its way.
            None => (None, None, false),
        },
    };
    let Some(rest) = addresses else {
        let unseen = if shape == Shape::Neither { Address::Unseen } else { Address::Ambiguous };
        return Tail {
            reply: first_part(text),
            sender: unseen,
            recipient: unseen,
            helo,
            authenticated,
            ambiguous: shape != Shape::Neither,
        };
    };
    let mut readings = Readings { found: None, many: false };
    match shape {
        Shape::SenderAndRecipient => readings.both(rest, parted),
        Shape::Sender => readings.sender(rest, Address::Unseen),
        Shape::SenderPerhapsRecipient => {
            readings.both(rest, parted);
            readings.sender(rest, Address::Unseen);
        }
        Shape::Neither => {
            return Tail {
                reply: rest.strip_suffix(b";").unwrap_or(rest),
                sender: Address::Unseen,
                recipient: Address::Unseen,
                helo,
                authenticated,
                ambiguous: false,
            };
        }
    }
    match readings {
        Readings { found: Some(found), many: false } => Tail {
            reply: found.reply,
            sender: Address::Known(found.sender),
            recipient: found.recipient,
            helo,
            authenticated,
            ambiguous: false,
        },
        _ => Tail {
            reply: first_part(text),
            sender: Address::Ambiguous,
            recipient: Address::Ambiguous,
            helo,
            authenticated,
            ambiguous: true,
        },
    }
}

/// The reply where its end can not be told: up to the first place where addresses might begin, so that none is taken for the reply's own words.
fn first_part(text: &[u8]) -> &[u8] {
    let end = memchr::memmem::find(text, b"; from=<").unwrap_or(text.len());
    &text[..end]
}

/// `proto=ESMTP helo=<…>` at the right, or `proto=SMTP` of a client that said no HELO: what stands before, and HELO.
fn right_end<'a>(text: &'a [u8], parted: &[u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (text, helo) = match text.strip_suffix(b">") {
        Some(inner) => {
            let open = memchr::memrchr(b'<', inner)?;
            let before = inner[..open].strip_suffix(b"helo=")?.strip_suffix(parted)?;
            (before, Some(&inner[open + 1..]))
        }
        None => (text, None),
    };
    let blank = memchr::memrchr(b' ', text)?;
    let protocol = text[blank + 1..].strip_prefix(b"proto=")?;
    let known = !protocol.is_empty() && protocol.iter().all(u8::is_ascii_uppercase);
    let before =
        text[..=blank].strip_suffix(parted).or_else(|| text[..blank].strip_suffix(b";").map(|_| &text[..blank]))?;
    known.then_some((before, helo))
}

/// The line without ` sasl_method=… sasl_username=…` (Postfix 3.10). The name may hold anything, but it is a user's of ours.
fn without_login(text: &[u8]) -> Option<&[u8]> {
    let name = memchr::memmem::rfind(text, b" sasl_username=")?;
    let method = memchr::memrchr(b' ', &text[..name])?;
    text[method + 1..].starts_with(b"sasl_method=").then(|| &text[..method])
}

/// A possible reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading<'a> {
    /// What stands before the sender.
    reply: &'a [u8],
    /// The sender.
    sender: &'a [u8],
    /// The recipient.
    recipient: Address<'a>,
}

/// The readings found.
struct Readings<'a> {
    /// The first.
    found: Option<Reading<'a>>,
    /// There are more, or too many places to look at.
    many: bool,
}

impl<'a> Readings<'a> {
    /// Readings of `…; from=<…> to=<…>`.
    fn both(&mut self, text: &'a [u8], parted: &[u8]) {
        for (before, recipient) in addresses(text, b"to=", &mut self.many) {
            if let Some(before) = before.strip_suffix(parted) {
                self.sender(before, Address::Known(recipient));
            }
        }
    }

    /// Readings of `…; from=<…>`.
    fn sender(&mut self, text: &'a [u8], recipient: Address<'a>) {
        let mut many = false;
        for (before, sender) in addresses(text, b"from=", &mut many) {
            let Some(reply) = before.strip_suffix(b"; ") else { continue };
            self.many |= self.found.is_some();
            self.found = Some(Reading { reply, sender, recipient });
        }
        self.many |= many;
    }
}

/// Well-formed addresses at the end of `text` in brackets after `name`, with what stands before the name: all ways to see one.
fn addresses<'a>(
    text: &'a [u8],
    name: &'static [u8],
    many: &mut bool,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    let inner = text.strip_suffix(b">").unwrap_or_default();
    let mut places = memchr::memrchr_iter(b'<', inner);
    let places: [Option<usize>; PLACES_MAX] = std::array::from_fn(|_| places.next());
    *many |= places[PLACES_MAX - 1].is_some();
    places.into_iter().flatten().filter_map(move |open| {
        let before = inner[..open].strip_suffix(name)?;
        let address = &inner[open + 1..];
        (address::prefix(address) == Some(address.len())).then_some((before, address))
    })
}
