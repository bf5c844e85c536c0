//! From an event to evidence: which signals of abuse a session shows, what each is worth, and whom it was aimed at.
//!
//! Points are thousandths in whole numbers, so that sums are exact: what is shown always adds up. One session gives each signal
//! at most once. What our own side caused (our errors, refused relaying, our own list) is no evidence, or next to none.

use super::event::{Event, EventRecipient, EventTransaction, RecipientHash, SenderClass};
use super::session::{Answer, Body, Kind};

/// Thousandths of a point.
pub type Milli = i64;

/// A sign of abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// An invented recipient beside the real one, or a local part that only verifiers invent.
    DoubleWhammy,
    /// Null-sender mail that a trap took.
    TrapMail,
    /// Null-sender mail to an address that never sent any.
    NeverSent,
    /// A known recipient asked about, no message.
    Callout,
    /// A message for an unknown recipient, which the sender still tried to hand over.
    Bounce,
    /// An unknown recipient, no message seen: a callout, or a bounce of a server that does not pipeline.
    NullUnknown,
    /// A recipient asked about; the log hides the sender.
    SenderUnseen,
    /// `postmaster` asked about as well.
    Postmaster,
    /// Several recipients of one null-sender transaction: a report has one (RFC 5321 section 4.5.5).
    ManyRecipients,
    /// Put off, and never seen again.
    GreylistedGone,
    /// Refused because our own list has the host.
    OwnRefusal,
}

/// What a listing is for, as consumers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// 127.0.0.2: sender callouts.
    Callouts,
    /// 127.0.0.3: bounces and autoresponders.
    Bounces,
}

impl Code {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Callouts, Self::Bounces];

    /// The last octet of the answer.
    pub fn octet(self) -> u8 {
        match self {
            Self::Callouts => 2,
            Self::Bounces => 3,
        }
    }
}

impl Signal {
    /// Every signal, the strongest first.
    pub const ALL: [Self; 11] = [
        Self::TrapMail,
        Self::DoubleWhammy,
        Self::NeverSent,
        Self::Callout,
        Self::Bounce,
        Self::NullUnknown,
        Self::SenderUnseen,
        Self::Postmaster,
        Self::ManyRecipients,
        Self::GreylistedGone,
        Self::OwnRefusal,
    ];

    /// The word for it in settings and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::DoubleWhammy => "double-whammy",
            Self::TrapMail => "trap-mail",
            Self::NeverSent => "never-sent",
            Self::Callout => "callout",
            Self::Bounce => "bounce",
            Self::NullUnknown => "null-unknown",
            Self::SenderUnseen => "sender-unseen",
            Self::Postmaster => "postmaster",
            Self::ManyRecipients => "many-recipients",
            Self::GreylistedGone => "greylisted-gone",
            Self::OwnRefusal => "own-refusal",
        }
    }

    /// What it is, for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::DoubleWhammy => "callout that asked about an invented address as well",
            Self::TrapMail => "mail with null sender to a trap",
            Self::NeverSent => "mail with null sender to an address that never sends",
            Self::Callout => "callout to a known address",
            Self::Bounce => "bounce to an unknown address",
            Self::NullUnknown => "null sender to an unknown address, no message seen",
            Self::SenderUnseen => "address asked about, the sender is not in the log",
            Self::Postmaster => "postmaster asked about as well",
            Self::ManyRecipients => "several recipients in one transaction with null sender",
            Self::GreylistedGone => "put off by greylisting and never seen again",
            Self::OwnRefusal => "refused because it is on this list",
        }
    }

    /// What it is a sign of; `None` where it may be either.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::DoubleWhammy | Self::Callout | Self::SenderUnseen | Self::Postmaster => Some(Code::Callouts),
            Self::TrapMail | Self::NeverSent | Self::Bounce => Some(Code::Bounces),
            Self::NullUnknown | Self::ManyRecipients | Self::GreylistedGone | Self::OwnRefusal => None,
        }
    }

    /// Does it prolong a listing? What our own list refused must not keep itself alive.
    pub fn prolongs(self) -> bool {
        self != Self::OwnRefusal
    }
}

/// What signals are worth, in thousandths of a point; and the factors for what we asked for ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// By signal, in the order of [`Signal::ALL`].
    points: [Milli; Signal::ALL.len()],
    /// Thousandths that a solicited callout keeps of its points.
    pub solicited_callout: Milli,
    /// Thousandths that a solicited bounce keeps.
    pub solicited_bounce: Milli,
}

impl Default for Weights {
    fn default() -> Self {
        // Reasoned, not measured on real traffic: see docs/listing-policy.md.
        Self {
            points: [8_000, 6_000, 4_000, 3_000, 3_000, 2_000, 1_000, 1_000, 1_000, 1_000, 250],
            solicited_callout: 250,
            solicited_bounce: 0,
        }
    }
}

impl Weights {
    /// Points of a signal.
    pub fn of(&self, signal: Signal) -> Milli {
        self.points[Self::place(signal)]
    }

    /// Set the points of a signal.
    pub fn set(&mut self, signal: Signal, points: Milli) {
        self.points[Self::place(signal)] = points;
    }

    /// Where a signal stands.
    fn place(signal: Signal) -> usize {
        // Every signal is in the list, so the 0 is never taken.
        Signal::ALL.iter().position(|&known| known == signal).unwrap_or(0)
    }

    /// What a solicited signal keeps.
    fn solicited(&self, signal: Signal) -> Milli {
        let factor = if signal.code() == Some(Code::Bounces) { self.solicited_bounce } else { self.solicited_callout };
        self.of(signal) * factor / 1000
    }
}

/// Whom evidence is about, as far as recipients are told apart and counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecipientKey {
    /// An address.
    Address(RecipientHash),
    /// Some invented address of a domain: however many, they are one.
    Invented(Box<str>),
    /// Some address of a domain while a joe-job runs against all of it: one recipient.
    JoeJob(Box<str>),
    /// The log does not show it; never counted as a recipient.
    Unseen,
}

/// A domain under a joe-job, from when to when: each host that bounces to it has one recipient.
///
/// A joe-job against one address needs no mention: that is one recipient anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoeJob {
    /// The domain, in lower case.
    pub domain: Box<str>,
    /// When it began, in milliseconds since 1970 (UTC).
    pub from_ms: i64,
    /// When it ended; `i64::MAX` while it runs.
    pub to_ms: i64,
}

/// What evidence depends on besides the event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvidenceOptions {
    /// What signals are worth.
    pub weights: Weights,
    /// Names of our own lists, in lower case: what they refused would refuse itself for ever.
    pub own_zones: Vec<Box<str>>,
}

/// One signal that an event shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which.
    pub signal: Signal,
    /// What it is worth when it is fresh.
    pub points: Milli,
    /// It answers mail of ours, so it is worth less.
    pub solicited: bool,
    /// Whom it is about; never empty.
    pub recipients: Vec<RecipientKey>,
}

/// What an event shows, and recipients that were put off, which are evidence only if they are never asked about again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Signals, each at most once.
    pub evidence: Vec<Evidence>,
    /// Recipients put off by greylisting.
    pub put_off: Vec<Evidence>,
}

/// A recipient with what its signal depends on.
struct Aimed<'e> {
    /// The recipient.
    recipient: &'e EventRecipient,
    /// What it counts as.
    key: RecipientKey,
}

/// What an event shows.
pub fn of_event(event: &Event, options: &EvidenceOptions, joe_jobs: &[JoeJob]) -> Shown {
    let mut found: Vec<(Signal, Aimed<'_>)> = Vec::new();
    let mut unseen = Vec::new();
    let (mut random, mut many) = (false, false);
    for transaction in &event.transactions {
        let probe = matches!(transaction.sender, SenderClass::Null | SenderClass::Probe);
        if !probe {
            if event.kinds.contains(Kind::ProbeSenderUnseen)
                && transaction.sender == SenderClass::Unseen
                && transaction.body == Body::None
            {
                unseen.push(Signal::SenderUnseen);
            }
            continue;
        }
        for recipient in &transaction.recipients {
            let aimed = Aimed { recipient, key: key(recipient, event.time_ms, joe_jobs) };
            random |= recipient.random && transaction.body == Body::None && counts(&recipient.answer);
            if let Some(signal) = signal(transaction, recipient, options) {
                found.push((signal, aimed));
            }
        }
        many |= transaction.sender == SenderClass::Null && transaction.recipients.len() > 1;
        if transaction.unnamed_accepted > 0 && transaction.body == Body::None {
            unseen.push(Signal::Callout);
        }
    }
    let mut shown = gather(event, options, found, random);
    for signal in unseen {
        let known = |e: &Evidence| e.signal == signal || e.signal == Signal::DoubleWhammy;
        if !shown.evidence.iter().any(known) {
            shown.evidence.push(plain(signal, vec![RecipientKey::Unseen], options));
        }
    }
    add_extras(event, options, many, &mut shown);
    shown
}

/// Whom an event asked about with a null or probe sender.
pub fn recipients(event: &Event, joe_jobs: &[JoeJob]) -> impl Iterator<Item = RecipientKey> {
    let probes = |t: &&EventTransaction| matches!(t.sender, SenderClass::Null | SenderClass::Probe);
    let recipients = event.transactions.iter().filter(probes).flat_map(|t| &t.recipients);
    recipients.map(|recipient| key(recipient, event.time_ms, joe_jobs))
}

/// Signals of a session, each once, with the recipients that it is about.
fn gather(event: &Event, options: &EvidenceOptions, found: Vec<(Signal, Aimed<'_>)>, random: bool) -> Shown {
    let whammy = random || event.kinds.contains(Kind::CalloutDouble);
    let others = found.iter().any(|(_, aimed)| !aimed.recipient.postmaster && !aimed.recipient.random);
    let mut shown = Shown::default();
    for wanted in Signal::ALL {
        // The two halves of a double whammy are one signal, which is worth more than both.
        let is_half = |signal| matches!(signal, Signal::Callout | Signal::NullUnknown);
        let belongs = |(signal, aimed): &&(Signal, Aimed<'_>)| {
            let counted = if whammy && is_half(*signal) { Signal::DoubleWhammy } else { *signal };
            // `postmaster` and what was invented are told by signals of their own, beside the address that was meant.
            counted == wanted && !(others && (aimed.recipient.postmaster || aimed.recipient.random))
        };
        let aimed: Vec<&Aimed<'_>> = found.iter().filter(belongs).map(|(_, aimed)| aimed).collect();
        let evidence = match aimed.as_slice() {
            [] if wanted == Signal::DoubleWhammy && random => {
                let invented = found.iter().map(|(_, aimed)| aimed).find(|aimed| aimed.recipient.random);
                plain(wanted, vec![invented.map_or(RecipientKey::Unseen, |aimed| aimed.key.clone())], options)
            }
            [] => continue,
            some => about(wanted, some, wanted == Signal::DoubleWhammy && random, options),
        };
        if wanted == Signal::GreylistedGone {
            shown.put_off.push(evidence);
        } else {
            shown.evidence.push(evidence);
        }
    }
    shown
}

/// Evidence about these recipients. Those that we had written from count only where there are no others.
fn about(signal: Signal, aimed: &[&Aimed<'_>], never_solicited: bool, options: &EvidenceOptions) -> Evidence {
    let own_doing = |aimed: &&&Aimed<'_>| !never_solicited && aimed.recipient.solicited;
    let solicited = aimed.iter().all(|aimed| own_doing(&aimed));
    let counted = aimed.iter().filter(|aimed| solicited || !own_doing(aimed));
    let mut recipients: Vec<RecipientKey> = counted.map(|aimed| aimed.key.clone()).collect();
    recipients.sort_unstable();
    recipients.dedup();
    let weights = &options.weights;
    let points = if solicited { weights.solicited(signal) } else { weights.of(signal) };
    Evidence { signal, points, solicited, recipients }
}

/// Evidence at its full weight.
fn plain(signal: Signal, recipients: Vec<RecipientKey>, options: &EvidenceOptions) -> Evidence {
    Evidence { signal, points: options.weights.of(signal), solicited: false, recipients }
}

/// Signals that only add to others.
fn add_extras(event: &Event, options: &EvidenceOptions, many: bool, shown: &mut Shown) {
    let main = |e: &&Evidence| e.signal != Signal::OwnRefusal && e.points > 0;
    let Some(main) = shown.evidence.iter().find(main).cloned() else { return };
    let probed = |t: &EventTransaction| {
        let postmaster = |r: &EventRecipient| r.postmaster && counts(&r.answer);
        t.body == Body::None && t.sender != SenderClass::Other && t.recipients.iter().any(postmaster)
    };
    let all = event.transactions.iter().flat_map(|t| &t.recipients);
    if event.transactions.iter().any(probed) && all.into_iter().any(|r| !r.postmaster) {
        shown.evidence.push(plain(Signal::Postmaster, main.recipients.clone(), options));
    }
    if many && main.signal != Signal::DoubleWhammy {
        shown.evidence.push(plain(Signal::ManyRecipients, main.recipients, options));
    }
}

/// Does an answer leave the matter with the client? What we refuse to relay or fail at ourselves does not.
fn counts(answer: &Answer) -> bool {
    !matches!(answer, Answer::RelayDenied | Answer::LocalError)
}

/// What a recipient of a transaction with null or probe sender is a sign of.
fn signal(t: &EventTransaction, recipient: &EventRecipient, options: &EvidenceOptions) -> Option<Signal> {
    let null = t.sender == SenderClass::Null;
    match (t.body, &recipient.answer) {
        (Body::Taken, Answer::Ok) if null && recipient.trap => Some(Signal::TrapMail),
        (Body::Taken, Answer::Ok) if null && recipient.never_sent && !recipient.solicited => Some(Signal::NeverSent),
        (Body::None, Answer::Ok) => Some(Signal::Callout),
        (Body::None, Answer::UnknownUser) => Some(Signal::NullUnknown),
        (Body::Tried, Answer::UnknownUser) if null => Some(Signal::Bounce),
        (Body::Tried, Answer::UnknownUser) => Some(Signal::NullUnknown),
        (Body::None | Body::Tried, Answer::Greylisted | Answer::Deferred) => {
            Some(if recipient.random { Signal::NullUnknown } else { Signal::GreylistedGone })
        }
        (Body::None | Body::Tried, Answer::Blocked(zone)) => {
            let own = zone.as_deref().is_some_and(|zone| {
                let zone = zone.trim_end_matches('.');
                options.own_zones.iter().any(|own| own.eq_ignore_ascii_case(zone))
            });
            // The recipient itself is evidence: no mail was ever due to it.
            if recipient.trap || recipient.random { Some(Signal::Callout) } else { own.then_some(Signal::OwnRefusal) }
        }
        _ => None,
    }
}

/// What a recipient counts as.
fn key(recipient: &EventRecipient, time_ms: i64, joe_jobs: &[JoeJob]) -> RecipientKey {
    let domain = recipient.domain.as_deref().unwrap_or("");
    let attacked = |job: &&JoeJob| (job.from_ms..=job.to_ms).contains(&time_ms) && &*job.domain == domain;
    if recipient.random {
        RecipientKey::Invented(domain.into())
    } else if let Some(job) = joe_jobs.iter().find(attacked) {
        RecipientKey::JoeJob(job.domain.clone())
    } else {
        recipient.hash.map_or(RecipientKey::Unseen, RecipientKey::Address)
    }
}

#[cfg(test)]
mod tests;
