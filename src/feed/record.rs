//! What one line says about one session, in the same words for every mail server.
//!
//! A parser in [`service`](super::service) turns a [`Message`](super::envelope::Message) into records, the
//! [`Assembler`](super::assemble::Assembler) joins them. All text is borrowed from the line. A client's address is taken only
//! from the place where the server itself writes it, never from text that the client or a reply may contain.

use std::net::IpAddr;

use super::session::{Answer, Body, Closed, Session, Verbs};

/// What one line says. A line may give several records; most give one.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// Whose it is.
    pub key: Key<'a>,
    /// The queue id in the line: names the transaction within the session, and leads to the session where the key does not.
    pub queue_id: Option<&'a [u8]>,
    /// The client, where the line shows it in a fixed place.
    pub client: Option<Peer<'a>>,
    /// What the client calls itself, where the line shows it.
    pub helo: Option<&'a [u8]>,
    /// The line shows that TLS is in use.
    pub tls: bool,
    /// The line shows that the client has logged in.
    pub authenticated: bool,
    /// More than one reading of the line was possible.
    pub ambiguous: bool,
    /// The server writes the line to a second log as well (Exim's reject log). The session's id comes from the first such line, so that both logs
    /// give the same session.
    pub twofold: bool,
    /// What happened.
    pub act: Act<'a>,
}

impl<'a> Record<'a> {
    /// A record with nothing but a key and an act.
    pub fn new(key: Key<'a>, act: Act<'a>) -> Self {
        Self {
            key,
            queue_id: None,
            client: None,
            helo: None,
            tls: false,
            authenticated: false,
            ambiguous: false,
            twofold: false,
            act,
        }
    }
}

/// What tells a session from the others that are open on the same log host (which is always part of the key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// A process that serves one client at a time.
    Process {
        /// The service's name as logged, so that two services may use one process id.
        service: &'a [u8],
        /// Its process id.
        pid: u32,
    },
    /// The client's address and port.
    Peer {
        /// Its address.
        ip: IpAddr,
        /// Its port.
        port: u16,
    },
    /// An id that the server gives to each session.
    Session(&'a [u8]),
    /// Only the queue id tells: lines of other processes about a message. Opens no session.
    Queue(&'a [u8]),
    /// Nothing tells: the line is a session of its own, opened and closed by it, never complete.
    Line,
}

/// A client as a line shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Its address; IPv4 in an IPv4-mapped address is IPv4.
    pub ip: IpAddr,
    /// Its port.
    pub port: Option<u16>,
    /// The name its address leads to; `None` where the server says that there is none.
    pub ptr: Option<&'a [u8]>,
}

/// An envelope address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// Without angle brackets; empty for the null sender.
    Known(&'a [u8]),
    /// More than one reading was possible.
    Ambiguous,
    /// The line does not show it.
    Unseen,
}

/// How a command was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Accepted.
    Accepted,
    /// Asked; accepted unless a later line about the same address says otherwise.
    Pending,
    /// Refused or put off; [`kind::answer`](super::kind::answer) tells why from code and text.
    Refused {
        /// The reply's code; 0 where the log does not show it.
        code: u16,
        /// The reply's text, after the code. Client text may be in it.
        text: &'a [u8],
    },
    /// Refused or put off, for the reason that [`Act::Reply`] told just before; this one where none did.
    AsReplied(Answer),
    /// As the server, or a hook of ours, says.
    Classed(Answer, Option<u16>),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Act<'a> {
    /// The client connected: closes what is open under the same key.
    Connect,
    /// The connection goes on under another service of the same server (postscreen's `PASS`).
    Pass,
    /// The session goes on; only the record's common fields matter.
    Seen,
    /// MAIL: a transaction begins.
    Mail {
        /// The sender.
        sender: Address<'a>,
        /// The answer.
        reply: Reply<'a>,
    },
    /// RCPT.
    Rcpt {
        /// The sender of the transaction, where the same line shows it.
        sender: Address<'a>,
        /// The recipient.
        recipient: Address<'a>,
        /// The answer.
        reply: Reply<'a>,
    },
    /// A recipient was accepted and the transaction has a queue id from now on (Postfix's `client=`).
    Queued,
    /// DATA, BDAT or the message itself: [`Body::Tried`], [`Body::Refused`] and so on.
    Data {
        /// The sender, where the line shows it.
        sender: Address<'a>,
        /// What became of the message.
        body: Body,
    },
    /// The message was taken: ends the transaction.
    Message {
        /// The sender.
        sender: Address<'a>,
        /// Its Message-ID.
        message_id: Option<&'a [u8]>,
        /// Recipients accepted in all, where the line tells; those not named by any line are counted as unnamed.
        recipients: Option<u32>,
        /// Recipients accepted, as a list separated by blanks, where the line names them.
        names: &'a [u8],
    },
    /// The transaction ended without a message (RSET, QUIT, connection lost): Exim's `incomplete transaction`, Sendmail's `from=` without `msgid=`.
    Abandoned {
        /// The sender.
        sender: Address<'a>,
        /// Recipients accepted in all, where the line gives a number.
        accepted: u32,
        /// Recipients accepted, as a list separated by blanks, where the line names them.
        names: &'a [u8],
    },
    /// The end is near: connection lost or timed out; the closing line is still to come. `in_data` where it happened within DATA or BDAT.
    Ending {
        /// How.
        closed: Closed,
        /// Within DATA or BDAT.
        in_data: bool,
    },
    /// The session is over.
    Disconnect {
        /// How it ended.
        closed: Closed,
        /// The server's own count of commands; without it the acts are counted.
        verbs: Option<Verbs>,
    },
    /// The queue manager (Postfix) or the receiving line of a local message (Exim, Sendmail) tells a queue id's sender.
    Sender {
        /// The sender.
        sender: Address<'a>,
        /// Recipients of the message, 0 where unknown.
        recipients: u32,
    },
    /// A queue id's Message-ID.
    MessageId(&'a [u8]),
    /// The message of a queue id was refused after it was received (content checks).
    Refused,
    /// A recipient of a queue id was delivered, or not.
    Delivery {
        /// The sender, where the same line shows it.
        sender: Address<'a>,
        /// The recipient as the client gave it, or as it was rewritten.
        recipient: Address<'a>,
        /// The host that took it; `None` for a local delivery.
        relay: Option<IpAddr>,
        /// Did the relay take it.
        sent: bool,
    },
    /// The queue id is no longer in use.
    Removed,
    /// The transaction of a queue id was given up before a message came (Postfix 3.10's `canceled`).
    Canceled,
    /// A hook of ours tells the session's end and its commands, all of them counted and none as accepted. It ends a session that no
    /// connect line opened, and is a session of its own where none is open; else the closing line is still to come.
    End {
        /// How it ended.
        closed: Closed,
        /// Its commands.
        verbs: Verbs,
    },
    /// The server's refusal of a command whose outcome comes with the next record ([`Reply::AsReplied`]).
    Reply {
        /// What it means.
        answer: Answer,
        /// Its code.
        code: u16,
    },
    /// A whole session, as a hook reports it; places, id and kinds are the assembler's.
    Session(Box<Session>),
}
