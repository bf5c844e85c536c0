//! An open session: what its records have shown so far.

use super::Mark;
use crate::feed::kind;
use crate::feed::line::Place;
use crate::feed::record::{Act, Address, Key, Peer, Record, Reply};
use crate::feed::service::text;
use crate::feed::session::{Answer, Body, Client, Closed, Recipient, Transaction, Verbs};

/// An open session.
#[derive(Debug)]
pub(super) struct Open {
    /// Where reading must begin to see all of it: the first line of its first line's second.
    pub mark: Mark,
    /// Its id.
    pub id: u128,
    /// Its first line.
    pub first: Place,
    /// Its last line.
    pub last: Place,
    /// Time of the first line, in milliseconds since 1970.
    pub start_ms: i64,
    /// Time of the last line; of the closing one, once that came.
    pub end_ms: i64,
    /// The host that logged it.
    pub host: Box<str>,
    /// Who connected.
    pub client: Option<Client>,
    /// What it calls itself.
    pub helo: Option<Box<[u8]>>,
    /// TLS was used.
    pub tls: bool,
    /// It has logged in.
    pub authenticated: bool,
    /// The server's own count of commands.
    pub given: Option<Verbs>,
    /// Its transactions.
    pub transactions: Vec<Transaction>,
    /// The last transaction has ended: what comes next belongs to another.
    pub between: bool,
    /// How it ended, or is about to.
    pub closed: Closed,
    /// It ended within DATA or BDAT.
    pub in_data: bool,
    /// Its first line was that of the connection.
    pub begun: bool,
    /// Its closing line came.
    pub ended: bool,
    /// It was handed on to another service of the server and waits to be greeted there: its place among those that do.
    pub passed: Option<u64>,
    /// More was in the log than is kept.
    pub dropped: bool,
    /// More than one reading was possible.
    pub ambiguous: bool,
    /// Its id comes from a line that two logs have.
    pub twofold: bool,
    /// The refusal that the server has just written, for the command whose outcome comes next.
    pub replied: Option<(Answer, u16)>,
    /// Commands as a hook of ours counted them; how they were answered is not known.
    pub tried: Option<Verbs>,
    /// Hashes of its queue ids.
    pub queue: Vec<u64>,
    /// Transactions and recipients so far.
    pub kept: usize,
}

impl Open {
    /// Takes what a record says, apart from what concerns the table and the queue. Returns the transaction it was about.
    pub(super) fn apply(&mut self, record: &Record<'_>, kept_max: usize) -> Option<usize> {
        self.see(record);
        // A server that gives ids to sessions tells all their steps: a line without queue id is about the transaction under way.
        let under_way = match (record.queue_id, record.key, self.transactions.last()) {
            (None, Key::Session(_), Some(last)) if !self.between => last.queue_id.clone(),
            _ => None,
        };
        let queue_id = record.queue_id.or(under_way.as_ref().map(|id| id.as_bytes()));
        match &record.act {
            Act::Connect => self.begun = true,
            Act::Pass | Act::Seen | Act::Disconnect { .. } => {}
            Act::Reply { answer, code } => self.replied = Some((answer.clone(), *code)),
            Act::End { closed, verbs } => {
                self.closed = *closed;
                self.tried = Some(*verbs);
            }
            Act::Ending { closed, in_data } => {
                self.closed = *closed;
                self.in_data |= in_data;
            }
            Act::Mail { sender, reply } => {
                if *reply == Reply::Accepted || *reply == Reply::Pending {
                    self.between = true;
                    let index = self.transaction(queue_id, *sender, kept_max)?;
                    self.set_sender(index, *sender);
                    return Some(index);
                }
            }
            Act::Rcpt { sender, recipient, reply } => {
                let index = self.transaction(queue_id, *sender, kept_max)?;
                self.set_sender(index, *sender);
                self.recipient(index, *recipient, reply, kept_max);
                return Some(index);
            }
            Act::Queued => {
                let index = self.transaction(queue_id, Address::Unseen, kept_max)?;
                let transaction = &mut self.transactions[index];
                if transaction.unnamed_accepted == 0
                    && !transaction.recipients.iter().any(|recipient| recipient.answer == Answer::Ok)
                {
                    transaction.unnamed_accepted = 1;
                }
                return Some(index);
            }
            Act::Data { sender, body } => {
                let index = self.transaction(queue_id, *sender, kept_max)?;
                self.set_sender(index, *sender);
                let transaction = &mut self.transactions[index];
                // What is known for sure is not taken back.
                if !matches!(transaction.body, Body::Taken | Body::Refused) {
                    transaction.body = *body;
                }
                return Some(index);
            }
            Act::Message { sender, message_id, recipients, names } => {
                let index = self.transaction(queue_id, *sender, kept_max)?;
                self.set_sender(index, *sender);
                self.named(index, names, kept_max);
                let transaction = &mut self.transactions[index];
                transaction.body = Body::Taken;
                transaction.message_id = message_id.map(Into::into);
                if let Some(recipients) = recipients {
                    self.accepted_in_all(index, *recipients);
                }
                self.between = true;
                return Some(index);
            }
            Act::Abandoned { sender, accepted, names } => {
                let index = self.transaction(queue_id, *sender, kept_max)?;
                self.set_sender(index, *sender);
                self.named(index, names, kept_max);
                self.accepted_in_all(index, *accepted);
                self.between = true;
                return Some(index);
            }
            // About a queue id: not for here.
            Act::Sender { .. }
            | Act::MessageId(_)
            | Act::Refused
            | Act::Delivery { .. }
            | Act::Removed
            | Act::Canceled
            | Act::Session(_) => {}
        }
        None
    }

    /// Takes the fields that any line may have.
    fn see(&mut self, record: &Record<'_>) {
        self.tls |= record.tls;
        self.authenticated |= record.authenticated;
        self.ambiguous |= record.ambiguous;
        if let Some(helo) = record.helo {
            // The last name counts: a client may say EHLO again after STARTTLS.
            if self.helo.as_deref() != Some(helo) {
                self.helo = Some(helo.into());
            }
        }
        if let Some(peer) = record.client {
            self.see_client(peer);
        }
    }

    /// Takes what a line shows of the client; the address is known to be the same.
    fn see_client(&mut self, peer: Peer<'_>) {
        let ptr = |ptr: &[u8]| String::from_utf8_lossy(ptr).into();
        match &mut self.client {
            None => self.client = Some(Client { ip: peer.ip, port: peer.port, ptr: peer.ptr.map(ptr) }),
            Some(client) => {
                client.port = client.port.or(peer.port);
                if client.ptr.is_none() {
                    client.ptr = peer.ptr.map(ptr);
                }
            }
        }
    }

    /// Could the record's client be this session's?
    pub(super) fn is_client(&self, record: &Record<'_>) -> bool {
        let (Some(client), Some(peer)) = (&self.client, record.client) else { return true };
        client.ip == peer.ip && (client.port.is_none() || peer.port.is_none() || client.port == peer.port)
    }

    /// The transaction that a record is about: that of its queue id, else the one under way, else a new one. `None` when there are too many.
    fn transaction(&mut self, queue_id: Option<&[u8]>, sender: Address<'_>, kept_max: usize) -> Option<usize> {
        if let Some(id) = queue_id
            && let Some(index) = self
                .transactions
                .iter()
                .rposition(|transaction| transaction.queue_id.as_deref().is_some_and(|known| known.as_bytes() == id))
        {
            return Some(index);
        }
        if let (false, Some(last)) = (self.between, self.transactions.last_mut()) {
            let other_sender =
                matches!((&last.sender, sender), (Some(known), Address::Known(sender)) if **known != *sender);
            // A line without a queue id comes before the transaction has one.
            if last.queue_id.is_none() && !other_sender {
                last.queue_id = queue_id.map(|id| String::from_utf8_lossy(id).into());
                return Some(self.transactions.len() - 1);
            }
        }
        self.room(kept_max)?;
        self.between = false;
        self.transactions.push(Transaction {
            queue_id: queue_id.map(|id| String::from_utf8_lossy(id).into()),
            ..Transaction::default()
        });
        Some(self.transactions.len() - 1)
    }

    /// Takes one more thing to keep, or notes that it is dropped.
    fn room(&mut self, kept_max: usize) -> Option<()> {
        if self.kept >= kept_max {
            self.dropped = true;
            return None;
        }
        self.kept += 1;
        Some(())
    }

    /// Sets a transaction's sender, if the line shows it.
    fn set_sender(&mut self, index: usize, sender: Address<'_>) {
        let transaction = &mut self.transactions[index];
        match sender {
            Address::Known(sender) if transaction.sender.is_none() => transaction.sender = Some(sender.into()),
            Address::Ambiguous => self.ambiguous = true,
            _ => {}
        }
    }

    /// The sender that the queue manager tells, and that the message was taken. Recipients that were refused with another sender were of
    /// an earlier transaction, whose end the log did not show.
    pub(super) fn set_message_sender(&mut self, index: usize, sender: &[u8]) {
        let transaction = &mut self.transactions[index];
        if transaction.body == Body::None || transaction.body == Body::Tried {
            transaction.body = Body::Taken;
        }
        match &transaction.sender {
            Some(known) if **known != *sender => {
                let earlier = Transaction { sender: transaction.sender.take(), ..Transaction::default() };
                transaction.sender = Some(sender.into());
                let (accepted, refused) = std::mem::take(&mut transaction.recipients)
                    .into_iter()
                    .partition(|recipient| recipient.answer == Answer::Ok);
                transaction.recipients = accepted;
                // At the end, so that the places of the others stay as the queue knows them.
                self.transactions.push(Transaction { recipients: refused, ..earlier });
                self.between = true;
            }
            _ => transaction.sender = Some(sender.into()),
        }
    }

    /// Adds accepted recipients, a list separated by blanks; a blank in a quoted local part separates nothing.
    fn named(&mut self, index: usize, mut names: &[u8], kept_max: usize) {
        while let Some((name, rest)) = text::quoted_word(names).filter(|_| !names.is_empty()) {
            let known = |known: &Recipient| known.answer == Answer::Ok && known.address.as_deref() == Some(name);
            if !name.is_empty() && !self.transactions[index].recipients.iter().any(known) {
                self.recipient(index, Address::Known(name), &Reply::Accepted, kept_max);
            }
            names = rest;
        }
    }

    /// Is there a recipient that was asked with this address, and not answered yet? An address that could not be read may be any.
    pub(super) fn awaits(&self, recipient: Address<'_>) -> bool {
        let Some(last) = self.transactions.last().and_then(|transaction| transaction.recipients.last()) else {
            return false;
        };
        let pending = last.answer == Answer::Ok && last.code.is_none();
        let same = match (&last.address, recipient) {
            (Some(known), Address::Known(recipient)) => **known == *recipient,
            _ => true,
        };
        pending && same
    }

    /// A delivery was tried, so there was a message.
    pub(super) fn was_taken(&mut self, index: usize) {
        let transaction = &mut self.transactions[index];
        if matches!(transaction.body, Body::None | Body::Tried) {
            transaction.body = Body::Taken;
        }
    }

    /// Adds a recipient, or takes the answer to one that was asked before.
    fn recipient(&mut self, index: usize, recipient: Address<'_>, reply: &Reply<'_>, kept_max: usize) {
        let replied = self.replied.take();
        let (answer, code) = match reply {
            Reply::Accepted | Reply::Pending => (Answer::Ok, None),
            Reply::Refused { code, text } => (kind::answer(*code, text), Some(*code).filter(|code| *code != 0)),
            Reply::AsReplied(answer) => {
                replied.map_or_else(|| (answer.clone(), None), |(answer, code)| (answer, Some(code)))
            }
            Reply::Classed(answer, code) => (answer.clone(), *code),
        };
        self.ambiguous |= recipient == Address::Ambiguous;
        let address = match recipient {
            Address::Known(address) => Some(address),
            Address::Ambiguous | Address::Unseen => None,
        };
        let last = self.transactions[index].recipients.last_mut();
        // Where the address asked about could not be read, a refusal is the answer to it.
        let same =
            |last: &Recipient| last.address.as_deref() == address || (last.address.is_none() && answer != Answer::Ok);
        if let Some(last) = last.filter(|last| last.answer == Answer::Ok && last.code.is_none() && same(last)) {
            // The answer to what was asked just before.
            last.address = address.map(Into::into);
            (last.answer, last.code) = (answer, code);
            return;
        }
        if self.room(kept_max).is_some() {
            let random = address.is_some_and(kind::is_random);
            self.transactions[index].recipients.push(Recipient {
                address: address.map(Into::into),
                answer,
                code,
                random,
            });
        }
    }

    /// Adds a recipient that a delivery names, unless it is known.
    pub(super) fn delivered(&mut self, index: usize, recipient: &[u8], kept_max: usize) {
        let known = |known: &Recipient| known.answer == Answer::Ok && known.address.as_deref() == Some(recipient);
        if self.transactions[index].recipients.iter().any(known) || self.room(kept_max).is_none() {
            return;
        }
        let transaction = &mut self.transactions[index];
        transaction.unnamed_accepted = transaction.unnamed_accepted.saturating_sub(1);
        transaction.recipients.push(Recipient {
            address: Some(recipient.into()),
            answer: Answer::Ok,
            code: None,
            random: kind::is_random(recipient),
        });
    }

    /// So many recipients were accepted in all.
    fn accepted_in_all(&mut self, index: usize, accepted: u32) {
        let transaction = &mut self.transactions[index];
        let named = transaction.recipients.iter().filter(|recipient| recipient.answer == Answer::Ok).count() as u32;
        transaction.unnamed_accepted = accepted.saturating_sub(named);
    }
}
