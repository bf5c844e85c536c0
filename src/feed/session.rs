//! What one client did in one connection, as far as the log tells, and what kinds of behaviour that is.

use std::net::IpAddr;

use super::line::Place;

/// What comes out of a log.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// A client's session with one of our servers.
    Session(Box<Session>),
    /// A message that one of our servers delivered to another host.
    Delivery(Delivery),
}

/// One connection of a client, from its first line to its last.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its first line.
    pub first: Place,
    /// Its last line.
    pub last: Place,
    /// Time of the first line by the log's clock, in milliseconds since 1970 (UTC).
    pub start_ms: i64,
    /// Time of the last line.
    pub end_ms: i64,
    /// What tells this session from all others of this input, however often its lines are read: a hash of the log host, the first line's raw
    /// stamp and text, client address, port or process, and the ordinal among identical first lines of that second.
    pub id: u128,
    /// The mail server's host, as its log names it.
    pub host: Box<str>,
    /// Who connected.
    pub client: Client,
    /// What it called itself, as the log has it.
    pub helo: Option<Box<[u8]>>,
    /// Did it use TLS, as far as the log tells.
    pub tls: bool,
    /// Did it log in (AUTH): a user of ours, never evidence.
    pub authenticated: bool,
    /// Commands counted by the server, or by us from what its log shows.
    pub verbs: Verbs,
    /// Its transactions, oldest first.
    pub transactions: Vec<Transaction>,
    /// How it ended.
    pub closed: Closed,
    /// Were all its lines seen: it was opened and closed in the log, and nothing of it was dropped.
    pub complete: bool,
    /// More than one reading of some line was possible: addresses were dropped, the client and the kind stand.
    pub ambiguous: bool,
    /// What it did.
    pub kinds: Kinds,
}

/// Who connected, from the fixed place in the line where the server writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address; IPv4 in an IPv4-mapped address is IPv4.
    pub ip: IpAddr,
    /// Its port, where the server logs it.
    pub port: Option<u16>,
    /// The name its address leads to, where the server found one.
    pub ptr: Option<Box<str>>,
}

/// A count of commands, accepted and all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Those answered 2xx or 3xx.
    pub ok: u32,
    /// All.
    pub all: u32,
}

/// Commands of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verbs {
    /// MAIL.
    pub mail: Count,
    /// RCPT.
    pub rcpt: Count,
    /// DATA.
    pub data: Count,
    /// BDAT (RFC 3030).
    pub bdat: Count,
    /// RSET.
    pub rset: u32,
    /// QUIT.
    pub quit: u32,
}

/// One MAIL and what followed it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// The envelope sender (RFC 5321, reverse-path); empty for the null sender, `None` where the log does not show it.
    pub sender: Option<Box<[u8]>>,
    /// The recipients that the log shows.
    pub recipients: Vec<Recipient>,
    /// Recipients that were accepted but are not named in the log.
    pub unnamed_accepted: u32,
    /// What became of the message.
    pub body: Body,
    /// Its id in the server's queue.
    pub queue_id: Option<Box<str>>,
    /// Its Message-ID.
    pub message_id: Option<Box<[u8]>>,
}

/// One RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address without angle brackets; `None` where more than one reading was possible.
    pub address: Option<Box<[u8]>>,
    /// How it was answered.
    pub answer: Answer,
    /// The reply's code (RFC 5321, section 4.2), where the log shows it.
    pub code: Option<u16>,
    /// The local part is one that a verifier invents: `<host>-<unix time>-testing`.
    pub random: bool,
}

/// How a recipient was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Accepted.
    Ok,
    /// Refused: no such user.
    UnknownUser,
    /// Put off by greylisting.
    Greylisted,
    /// Refused because a DNSBL lists the client; the zone, where the line names it in a fixed place.
    Blocked(Option<Box<str>>),
    /// Refused: not a domain of ours.
    RelayDenied,
    /// Put off by our own fault: misconfiguration, no space.
    LocalError,
    /// Put off (4xx) for another reason.
    Deferred,
    /// Refused (5xx) for another reason.
    Policy,
}

/// What became of a transaction's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// The log does not show that DATA or BDAT was tried.
    #[default]
    None,
    /// DATA or BDAT was tried and refused.
    Tried,
    /// Taken.
    Taken,
    /// Sent and refused.
    Refused,
    /// The connection was lost meanwhile.
    Lost,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Closed {
    /// By QUIT.
    Quit,
    /// The client went away.
    Lost,
    /// The client said nothing for too long.
    Timeout,
    /// The server closed it.
    Server,
    /// The log does not tell.
    #[default]
    Unknown,
}

/// What one of our servers delivered to another host: what answers it is solicited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When, in milliseconds since 1970 (UTC).
    pub time_ms: i64,
    /// The line.
    pub place: Place,
    /// The envelope sender; empty for the null sender.
    pub sender: Box<[u8]>,
    /// The recipient.
    pub recipient: Box<[u8]>,
    /// The host that took it.
    pub relay: IpAddr,
}

/// A kind of behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Null or probe sender, at least one recipient accepted, no DATA or BDAT: a sender callout.
    Callout,
    /// Two or more recipients with null or probe sender in one session, at least one unknown, no DATA: the "double whammy".
    CalloutDouble,
    /// Null or probe sender, every recipient refused for good, no DATA seen: a callout or a bounce; the log can not tell.
    NullRejected,
    /// Null sender, every recipient unknown, and DATA or BDAT was still tried: a bounce.
    BackscatterRejected,
    /// Null or probe sender, put off (4xx).
    NullDeferred,
    /// Null or probe sender, refused because a DNSBL lists the client.
    NullBlocked,
    /// Null sender, the message itself was refused.
    NullDataRejected,
    /// Our own fault.
    LocalError,
    /// Null sender, message taken.
    DsnAccepted,
    /// Another sender, message taken.
    MailAccepted,
    /// A recipient accepted, no DATA, and the log does not show the sender.
    ProbeSenderUnseen,
    /// The same with a visible ordinary sender.
    ProbeNonnull,
    /// Refused, with a visible ordinary sender.
    RejectedOther,
    /// Refused, and the log does not show the sender.
    RejectedSenderUnseen,
    /// The connection was lost within the message.
    AbortedData,
    /// Nothing but noise: connections without a transaction.
    Noise,
}

impl Kind {
    /// Every kind, in the order in which they are written.
    pub const ALL: [Self; 16] = [
        Self::Callout,
        Self::CalloutDouble,
        Self::NullRejected,
        Self::BackscatterRejected,
        Self::NullDeferred,
        Self::NullBlocked,
        Self::NullDataRejected,
        Self::LocalError,
        Self::DsnAccepted,
        Self::MailAccepted,
        Self::ProbeSenderUnseen,
        Self::ProbeNonnull,
        Self::RejectedOther,
        Self::RejectedSenderUnseen,
        Self::AbortedData,
        Self::Noise,
    ];

    /// The word for it in JSON, metrics and the manual.
    pub fn word(self) -> &'static str {
        match self {
            Self::Callout => "callout",
            Self::CalloutDouble => "callout_double",
            Self::NullRejected => "null_rejected",
            Self::BackscatterRejected => "backscatter_rejected",
            Self::NullDeferred => "null_deferred",
            Self::NullBlocked => "null_blocked",
            Self::NullDataRejected => "null_data_rejected",
            Self::LocalError => "local_error",
            Self::DsnAccepted => "dsn_accepted",
            Self::MailAccepted => "mail_accepted",
            Self::ProbeSenderUnseen => "probe_sender_unseen",
            Self::ProbeNonnull => "probe_nonnull",
            Self::RejectedOther => "rejected_other",
            Self::RejectedSenderUnseen => "rejected_sender_unseen",
            Self::AbortedData => "aborted_data",
            Self::Noise => "noise",
        }
    }
}

/// A set of kinds: a session can be two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u16);

impl Kinds {
    /// The set with `kind` in it too.
    #[must_use]
    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Is `kind` in it?
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// Those in it, in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }
}

impl std::fmt::Display for Kinds {
    /// The words, joined with `+`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, kind) in self.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "+" }, kind.word())?;
        }
        Ok(())
    }
}
