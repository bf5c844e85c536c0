//! The end of a session: the server's counters and the lines seen become transactions that agree.

use super::open::Open;
use crate::feed::kind::{self, ProbeSenders};
use crate::feed::session::{Answer, Body, Closed, Count, Kinds, Session, Transaction, Verbs};

impl Open {
    /// The session that it was. `None` when no line showed the client.
    pub(super) fn settle(mut self, probe_senders: &ProbeSenders) -> Option<Box<Session>> {
        let client = self.client.take()?;
        self.leave_unfinished();
        if self.given.is_some() {
            self.settle_accepted();
        }
        self.settle_bodies();
        self.settle_tried();
        let verbs = self.given.unwrap_or_else(|| self.counted());
        let mut session = Box::new(Session {
            first: self.first,
            last: self.last,
            start_ms: self.start_ms,
            end_ms: self.end_ms,
            id: self.id,
            host: self.host,
            client,
            helo: self.helo,
            tls: self.tls,
            authenticated: self.authenticated,
            verbs,
            transactions: self.transactions,
            closed: self.closed,
            complete: self.begun && self.ended && !self.dropped,
            ambiguous: self.ambiguous,
            kinds: Kinds::default(),
        });
        session.kinds = kind::kinds(&session, probe_senders);
        Some(session)
    }

    /// A log that shows how a session begins shows how it ends. Where it does not, as when the log was cut there, the transaction under way could
    /// still have become a message: that its recipients were accepted shows nothing.
    fn leave_unfinished(&mut self) {
        if !self.begun || self.ended || self.between {
            return;
        }
        if let Some(transaction) = self.transactions.last_mut().filter(|transaction| transaction.body == Body::None) {
            transaction.unnamed_accepted = 0;
            transaction.recipients.retain(|recipient| recipient.answer != Answer::Ok);
        }
    }

    /// Has all come that can be waited for: each message's sender, and the recipients of what the null sender sent?
    /// `removed` tells whether a queue id is no longer in use.
    pub(super) fn is_settled(&self, mut removed: impl FnMut(usize) -> bool) -> bool {
        let mut settled = 0;
        for (index, transaction) in self.transactions.iter().enumerate() {
            match (&transaction.body, &transaction.sender) {
                (Body::Taken, Some(sender)) if !sender.is_empty() || removed(index) => settled += 1,
                (Body::Taken, _) => return false,
                (Body::Refused, _) => {}
                _ if transaction.message_id.is_some() && !removed(index) => return false,
                _ => {}
            }
        }
        settled >= self.messages()
    }

    /// Messages that the server says it took, as far as its counters tell: a message may come in several BDAT.
    fn messages(&self) -> u32 {
        self.given.map_or(0, |verbs| verbs.data.ok.max(u32::from(verbs.bdat.ok > 0)))
    }

    /// Accepted recipients by the server's count: those that no line names, and those that were named without being accepted.
    fn settle_accepted(&mut self) {
        let Some(Verbs { rcpt, .. }) = self.given else { return };
        let accepted = |transaction: &Transaction| {
            transaction.recipients.iter().filter(|recipient| recipient.answer == Answer::Ok).count() as u32
        };
        let named: u32 = self.transactions.iter().map(accepted).sum();
        for transaction in &mut self.transactions {
            transaction.unnamed_accepted = 0;
        }
        let mut missing = rcpt.ok.saturating_sub(named);
        if missing > 0 && self.transactions.is_empty() {
            self.transactions.push(Transaction::default());
        }
        // A transaction got its queue id because a recipient was accepted.
        for transaction in self.transactions.iter_mut().filter(|transaction| transaction.queue_id.is_some()) {
            if missing > 0 && accepted(transaction) == 0 {
                transaction.unnamed_accepted = 1;
                missing -= 1;
            }
        }
        if missing > 0 {
            let at = self.transactions.iter().position(|transaction| transaction.queue_id.is_some());
            let at = at.unwrap_or(self.transactions.len() - 1);
            self.transactions[at].unnamed_accepted += missing;
        }
        // An alias may stand for several, and a command may fail after its restrictions let it pass.
        let mut surplus = named.saturating_sub(rcpt.ok);
        for transaction in self.transactions.iter_mut().rev() {
            while surplus > 0
                && let Some(at) = transaction.recipients.iter().rposition(|recipient| recipient.answer == Answer::Ok)
            {
                transaction.recipients.remove(at);
                surplus -= 1;
            }
        }
    }

    /// What became of the messages, by the server's count and by how the session ended.
    fn settle_bodies(&mut self) {
        let messages = self.messages();
        let with = |transactions: &[Transaction], body: Body| {
            transactions.iter().filter(|transaction| transaction.body == body).count() as u32
        };
        let mut untold = messages.saturating_sub(with(&self.transactions, Body::Taken));
        for by_message_id in [true, false] {
            for transaction in self.transactions.iter_mut().filter(|transaction| transaction.body == Body::None) {
                if untold > 0 && is_accepted(transaction) && transaction.message_id.is_some() == by_message_id {
                    transaction.body = Body::Taken;
                    untold -= 1;
                }
            }
        }
        let mut failed = match self.given {
            Some(Verbs { data, bdat, .. }) => (data.all - data.ok.min(data.all) + bdat.all - bdat.ok.min(bdat.all))
                .saturating_sub(with(&self.transactions, Body::Refused)),
            None => u32::from(self.in_data),
        };
        if failed == 0 {
            return;
        }
        if self.in_data
            && let Some(transaction) = self
                .transactions
                .iter_mut()
                .rev()
                .find(|transaction| transaction.body == Body::None && is_accepted(transaction))
        {
            transaction.body = Body::Lost;
            failed -= 1;
        }
        if self.given.is_none() {
            return;
        }
        // Sent after all recipients were refused, as pipelining clients do; else refused for a reason that the log does not tell.
        for accepted in [false, true] {
            for transaction in self.transactions.iter_mut().rev().filter(|transaction| transaction.body == Body::None) {
                if failed > 0 && is_accepted(transaction) == accepted {
                    transaction.body = Body::Tried;
                    failed -= 1;
                }
            }
        }
    }

    /// DATA that a hook of ours counted and no other line tells of: it was refused. A message may come in several BDAT.
    fn settle_tried(&mut self) {
        let Some(tried) = self.tried.filter(|_| self.given.is_none()) else { return };
        let told = self.transactions.iter().filter(|transaction| transaction.body != Body::None).count() as u32;
        let mut untold = (tried.data.all + u32::from(tried.bdat.all > 0 && tried.data.all == 0)).saturating_sub(told);
        for accepted in [false, true] {
            for transaction in self.transactions.iter_mut().rev().filter(|transaction| transaction.body == Body::None) {
                if untold > 0 && is_accepted(transaction) == accepted {
                    transaction.body = Body::Tried;
                    untold -= 1;
                }
            }
        }
    }

    /// Commands as the transactions show them, where the server does not count.
    fn counted(&self) -> Verbs {
        let mut verbs = Verbs { quit: u32::from(self.closed == Closed::Quit), ..Verbs::default() };
        for transaction in &self.transactions {
            add(&mut verbs.mail, true);
            for recipient in &transaction.recipients {
                add(&mut verbs.rcpt, recipient.answer == Answer::Ok);
            }
            verbs.rcpt.ok += transaction.unnamed_accepted;
            verbs.rcpt.all += transaction.unnamed_accepted;
            if transaction.body != Body::None {
                add(&mut verbs.data, transaction.body == Body::Taken);
            }
        }
        verbs
    }
}

/// Was a recipient accepted?
fn is_accepted(transaction: &Transaction) -> bool {
    transaction.unnamed_accepted > 0 || transaction.recipients.iter().any(|recipient| recipient.answer == Answer::Ok)
}

/// Counts a command.
fn add(count: &mut Count, ok: bool) {
    count.ok += u32::from(ok);
    count.all += 1;
}
