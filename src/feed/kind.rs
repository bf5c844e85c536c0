//! From what a session shows to its kinds, and from a reply to what it means.
//!
//! A session's kinds are those of its transactions taken together, so a session can be two things; the "double whammy" is seen only in the
//! session as a whole and stands for what its transactions would be called by themselves. Nothing is assumed in a client's disfavour: a sender
//! that the log does not show is not the null sender.

use super::session::{Answer, Body, Kind, Kinds, Recipient, Session, Transaction};

/// Senders that verifiers use, besides the null sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSenders {
    /// Local parts that count with any domain, in lower case; a `*` at the end stands for letters and digits.
    pub local_parts: Vec<Box<str>>,
}

impl Default for ProbeSenders {
    /// `double-bounce` with an optional time tag (Postfix), and `postmaster`.
    fn default() -> Self {
        Self { local_parts: vec!["double-bounce*".into(), "postmaster".into()] }
    }
}

impl ProbeSenders {
    /// Is that one of them?
    pub fn contains(&self, sender: &[u8]) -> bool {
        let local = memchr::memrchr(b'@', sender).map_or(sender, |at| &sender[..at]);
        self.local_parts.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => strip_start(local, start).is_some_and(|rest| rest.iter().all(u8::is_ascii_alphanumeric)),
            None => local.eq_ignore_ascii_case(known.as_bytes()),
        })
    }
}

/// What follows `start` in `text`, in any case of letters.
fn strip_start<'a>(text: &'a [u8], start: &str) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start.as_bytes()).then_some(rest)
}

/// Is the local part one that Exim's `callout=random` invents: `<host>-<unix time, ten digits>-testing`?
pub fn is_random(recipient: &[u8]) -> bool {
    let local = memchr::memrchr(b'@', recipient).map_or(recipient, |at| &recipient[..at]);
    let Some(rest) = local.strip_suffix(b"-testing") else { return false };
    let Some((host, digits)) = rest.len().checked_sub(10).map(|at| rest.split_at(at)) else { return false };
    host.len() > 1 && host.ends_with(b"-") && digits.iter().all(u8::is_ascii_digit)
}

/// What a refusal means, from the reply's code (0 where unknown) and text. The words are read after the last `>: `, since what stands in
/// brackets before it is the client's own.
pub fn answer(code: u16, text: &[u8]) -> Answer {
    let (enhanced, words) = enhanced_code(text);
    let own = match memchr::memmem::rfind(words, b">: ") {
        Some(at) if words.first() == Some(&b'<') => &words[at + 3..],
        _ => words,
    };
    // Bounded, so that a long text costs no more than a short one.
    let own = &own[..own.len().min(300)];
    let says = |words: &[&str]| words.iter().any(|word| contains(own, word));
    let temporary = code / 100 == 4 || (code == 0 && enhanced.first() == Some(&b'4'));
    if own.len() == words.len() && says(&["blocked using ", " listed at ", " is listed", " listed by ", " listed in "])
    {
        return Answer::Blocked(zone(own));
    }
    if temporary {
        if says(&["greylist", "graylist", "grey-list", "gray-list", "postgrey"]) {
            return Answer::Greylisted;
        }
        let ours = [
            "server configuration",
            "local configuration",
            "local problem",
            "insufficient system storage",
            "temporary lookup failure",
            "queue file",
            "service unavailable - try again",
            "local error",
        ];
        return if code == 452 || enhanced == b"4.3.5" || enhanced == b"4.3.1" || says(&ours) {
            Answer::LocalError
        } else {
            Answer::Deferred
        };
    }
    // The code that most refusals have: nothing else needs to be looked for.
    if enhanced == b"5.1.1" {
        return Answer::UnknownUser;
    }
    if says(&[
        "relay access denied",
        "relay not permitted",
        "relaying denied",
        "relaying not",
        "not permitted to relay",
        "relay denied",
    ]) {
        return Answer::RelayDenied;
    }
    if enhanced == b"5.3.5" || says(&["server configuration error", "local configuration error"]) {
        return Answer::LocalError;
    }
    if contains(own, "sender address rejected") {
        return Answer::Policy;
    }
    let unknown = [
        "user unknown",
        "unknown user",
        "no such user",
        "no such recipient",
        "invalid recipient",
        "recipient unknown",
        "unknown recipient",
        "user not found",
        "recipient not found",
        "does not exist",
        "doesn't exist",
        "no mailbox",
        "mailbox unavailable",
        "mailbox not found",
        "unrouteable address",
        "undeliverable address",
        "unknown address",
        "no such address",
    ];
    if says(&unknown) { Answer::UnknownUser } else { Answer::Policy }
}

/// An enhanced status code (RFC 3463) at the beginning, and what follows it.
fn enhanced_code(text: &[u8]) -> (&[u8], &[u8]) {
    let len = text.iter().take(11).take_while(|octet| octet.is_ascii_digit() || **octet == b'.').count();
    let code = &text[..len];
    let is_code =
        matches!(code, [b'2' | b'4' | b'5', b'.', ..]) && code.iter().filter(|octet| **octet == b'.').count() == 2;
    if is_code { (code, text[len..].trim_ascii_start()) } else { (&[], text) }
}

/// Does `text` contain `word`, which is in lower case, in any case of letters?
fn contains(text: &[u8], word: &str) -> bool {
    let word = word.as_bytes();
    let first = word[0];
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text)
        .any(|at| text[at..].get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word)))
}

/// The zone that a DNSBL's refusal names: the word after `blocked using`, `listed at`, `listed by` or `listed in`.
fn zone(text: &[u8]) -> Option<Box<str>> {
    let after = [&b"blocked using "[..], b"listed at ", b"listed by ", b"listed in "]
        .iter()
        .find_map(|words| memchr::memmem::find(text, words).map(|at| &text[at + words.len()..]))?;
    let len = after
        .iter()
        .take(255)
        .take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'))
        .count();
    let zone = std::str::from_utf8(&after[..len]).ok()?.trim_end_matches('.');
    zone.contains('.').then(|| zone.to_ascii_lowercase().into())
}

/// What a transaction's sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// The null sender.
    Null,
    /// One that verifiers use.
    Probe,
    /// Another.
    Ordinary,
    /// Not in the log.
    Unseen,
}

impl Sender {
    /// The sender of a transaction.
    fn of(transaction: &Transaction, probe_senders: &ProbeSenders) -> Self {
        match &transaction.sender {
            None => Self::Unseen,
            Some(sender) if sender.is_empty() => Self::Null,
            Some(sender) if probe_senders.contains(sender) => Self::Probe,
            Some(_) => Self::Ordinary,
        }
    }

    /// The null sender, or one that verifiers use.
    fn probes(self) -> bool {
        matches!(self, Self::Null | Self::Probe)
    }
}

/// The kinds of a session.
pub fn kinds(session: &Session, probe_senders: &ProbeSenders) -> Kinds {
    let mut kinds = Kinds::default();
    let double = is_double(session, probe_senders);
    if double {
        kinds = kinds.with(Kind::CalloutDouble);
    }
    for transaction in &session.transactions {
        let sender = Sender::of(transaction, probe_senders);
        if let Some(kind) = kind(transaction, sender).filter(|kind| !double || !stands_in(*kind)) {
            kinds = kinds.with(kind);
        }
    }
    if kinds == Kinds::default() {
        // Refused before any line about it, as for bad syntax: the counters alone show it.
        let refused = session.verbs.rcpt.all > 0 && session.verbs.rcpt.ok == 0;
        kinds = kinds.with(if refused { Kind::RejectedSenderUnseen } else { Kind::Noise });
    }
    kinds
}

/// Is that what a half of a double whammy is called by itself?
fn stands_in(kind: Kind) -> bool {
    matches!(kind, Kind::Callout | Kind::NullRejected | Kind::ProbeSenderUnseen)
}

/// Is the session a double whammy: two or more recipients with null or probe sender, at least one unknown, and no DATA?
fn is_double(session: &Session, probe_senders: &ProbeSenders) -> bool {
    let senders = || session.transactions.iter().map(|transaction| Sender::of(transaction, probe_senders));
    // An accepted recipient's sender may be out of the log; that of the refused one in the same session then speaks for both.
    let ordinary = senders().any(|sender| sender == Sender::Ordinary);
    let (mut recipients, mut unknown) = (0, false);
    for (transaction, sender) in session.transactions.iter().zip(senders()) {
        if !sender.probes() && (ordinary || sender != Sender::Unseen) {
            continue;
        }
        if transaction.body != Body::None {
            return false;
        }
        recipients += transaction.recipients.len() + transaction.unnamed_accepted as usize;
        unknown |=
            sender.probes() && transaction.recipients.iter().any(|recipient| recipient.answer == Answer::UnknownUser);
    }
    recipients >= 2 && unknown
}

/// The kind of a transaction, if it came as far as RCPT.
fn kind(transaction: &Transaction, sender: Sender) -> Option<Kind> {
    let accepted = transaction.unnamed_accepted > 0
        || transaction.recipients.iter().any(|recipient| recipient.answer == Answer::Ok);
    match transaction.body {
        Body::Taken => return Some(if sender == Sender::Null { Kind::DsnAccepted } else { Kind::MailAccepted }),
        Body::Refused => {
            return Some(match sender {
                Sender::Null => Kind::NullDataRejected,
                Sender::Unseen => Kind::RejectedSenderUnseen,
                _ => Kind::RejectedOther,
            });
        }
        Body::Lost => return Some(Kind::AbortedData),
        Body::Tried if accepted => return Some(Kind::AbortedData),
        Body::None | Body::Tried => {}
    }
    if accepted {
        return Some(match sender {
            Sender::Null | Sender::Probe => Kind::Callout,
            Sender::Ordinary => Kind::ProbeNonnull,
            Sender::Unseen => Kind::ProbeSenderUnseen,
        });
    }
    let recipients = &transaction.recipients;
    (!recipients.is_empty()).then(|| refused(recipients, transaction.body == Body::Tried, sender))
}

/// The kind of a transaction whose recipients were all refused or put off.
fn refused(recipients: &[Recipient], tried: bool, sender: Sender) -> Kind {
    let any = |is: fn(&Answer) -> bool| recipients.iter().any(|recipient| is(&recipient.answer));
    let all = |is: fn(&Answer) -> bool| recipients.iter().all(|recipient| is(&recipient.answer));
    if any(|answer| *answer == Answer::LocalError) {
        return Kind::LocalError;
    }
    match sender {
        Sender::Unseen => Kind::RejectedSenderUnseen,
        Sender::Ordinary => Kind::RejectedOther,
        // A test for an open relay: another kind of abuse.
        _ if all(|answer| *answer == Answer::RelayDenied) => Kind::RejectedOther,
        _ if any(|answer| matches!(answer, Answer::Blocked(_))) => Kind::NullBlocked,
        _ if any(|answer| matches!(answer, Answer::Greylisted | Answer::Deferred)) => Kind::NullDeferred,
        Sender::Null if tried && all(|answer| *answer == Answer::UnknownUser) => Kind::BackscatterRejected,
        _ => Kind::NullRejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_local_parts() {
        let rows = [
            ("host21.example.net-1763752000-testing@example.org", true),
            ("a-1763752000-testing", true),
            ("-1763752000-testing@x", false),
            ("a-176375200-testing@x", false),
            ("a1763752000-testing@x", false),
            ("a-1763752000-test@x", false),
            ("1763752000-testing@x", false),
            ("", false),
        ];
        for (address, expected) in rows {
            assert_eq!(is_random(address.as_bytes()), expected, "{address}");
        }
    }

    #[test]
    fn probe_senders() {
        let known = ProbeSenders::default();
        let rows = [
            ("double-bounce@x", true),
            ("Double-Bounce1abc@x", true),
            ("double-bounce-x@x", false),
            ("postmaster@x", true),
            ("postmaster", true),
            ("postmaster2@x", false),
            ("joe@postmaster", false),
            ("", false),
        ];
        for (sender, expected) in rows {
            assert_eq!(known.contains(sender.as_bytes()), expected, "{sender}");
        }
    }

    #[test]
    fn answers() {
        let blocked = |zone: &str| Answer::Blocked(Some(zone.into()));
        let rows: &[(u16, &str, Answer)] = &[
            (
                550,
                "5.1.1 <a@b>: Recipient address rejected: User unknown in virtual mailbox table",
                Answer::UnknownUser,
            ),
            (550, "Unknown user", Answer::UnknownUser),
            (550, "Invalid recipient: <a@b>", Answer::UnknownUser),
            (450, "4.7.1 <a@b>: Recipient address rejected: Greylisted, see http://x/", Answer::Greylisted),
            (450, "4.3.2 Service currently unavailable", Answer::Deferred),
            (451, "4.3.5 Server configuration error", Answer::LocalError),
            (452, "4.3.1 Insufficient system storage", Answer::LocalError),
            (451, "4.3.0 <a@b>: Temporary lookup failure", Answer::LocalError),
            (
                554,
                "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.test; see <x>: y",
                blocked("bl.test"),
            ),
            (550, "5.7.1 Service unavailable; client [127.0.0.71] blocked using bl.test", blocked("bl.test")),
            (550, "127.0.0.71 listed at bl.test", blocked("bl.test")),
            (550, "5.7.1 Backscatter: 127.0.0.71 is listed, see bl.test/ip/127.0.0.71", Answer::Blocked(None)),
            (554, "5.7.1 <v@e>: Relay access denied", Answer::RelayDenied),
            (550, "relay not permitted", Answer::RelayDenied),
            (
                550,
                "5.1.7 <a@b>: Sender address rejected: undeliverable address: host x said: 550 Unknown user",
                Answer::Policy,
            ),
            // The client's own words do not count.
            (554, "5.7.1 <User unknown@x>: Relay access denied", Answer::RelayDenied),
            (
                554,
                "5.7.1 <x>: Recipient address rejected: User unknown in@x>: Relay access denied",
                Answer::RelayDenied,
            ),
            (554, "5.7.1 <blocked using bl.test@x>: Recipient address rejected: no", Answer::Policy),
            (550, "restricted characters in address", Answer::Policy),
            (0, "", Answer::Policy),
        ];
        for (code, text, expected) in rows {
            assert_eq!(answer(*code, text.as_bytes()), *expected, "{code} {text}");
        }
    }
}
