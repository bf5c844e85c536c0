//! Answers single messages, for the transports that carry each in a stream or a request of its own.

use std::cell::RefCell;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use arc_swap::ArcSwap;

use super::answer::{Answer, Context, Dropped, Outcome, Policy, Transport};
use crate::stats::{Block, Registry};
use crate::sys::clock;
use crate::zone::Reader;

/// Octets of the longest message.
pub const MESSAGE_OCTETS_MAX: usize = 65_535;

thread_local! {
    /// Room for a query and then its answer, which the messages of a thread use in turn.
    static MESSAGE: RefCell<Box<[u8]>> = RefCell::new(vec![0; MESSAGE_OCTETS_MAX].into());
}

/// Why a message got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It is none to be answered.
    Dropped(Dropped),
    /// A defect of ours.
    Panicked,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The message.
    pub octets: Vec<u8>,
    /// There were access lists, so that another client may be answered otherwise.
    pub per_client: bool,
}

/// What answers the messages of one transport.
#[derive(Debug)]
pub struct Responder {
    /// What answers a query.
    answer: Answer,
    /// How queries come.
    transport: Transport,
    /// Where snapshots come from.
    reader: Reader,
    /// Where the policy comes from.
    policy: Arc<ArcSwap<Policy>>,
    /// Counters of queries.
    block: Arc<Block>,
    /// Queries so far, so that record sets rotate.
    rotation: AtomicU32,
}

impl Responder {
    /// Answers over this transport.
    pub fn new(transport: Transport, reader: Reader, policy: Arc<ArcSwap<Policy>>, registry: &Registry) -> Self {
        let block = registry.block(transport);
        Self { answer: Answer::default(), transport, reader, policy, block, rotation: AtomicU32::new(0) }
    }

    /// Answer one message.
    ///
    /// # Errors
    ///
    /// When it is no query, or longer than a message can be, when an access list wants no answer, or after a defect.
    pub fn answer(&self, message: &[u8], client: IpAddr) -> Result<Answered, NoAnswer> {
        let len = message.len();
        if len > MESSAGE_OCTETS_MAX {
            return Err(NoAnswer::Dropped(Dropped::Short));
        }
        let policy = self.policy.load();
        let context = Context {
            client,
            transport: self.transport,
            rotation: self.rotation.fetch_add(1, Relaxed),
            time_s: clock::now_s() as u32,
            // QUIC and HTTP tell it in their own ways (RFC 9250 section 5.5.2).
            keepalive: None,
            policy: &policy,
        };
        let snapshot = self.reader.load();
        // The buffer holds octets and nothing that a panic could leave half changed.
        let answered = catch_unwind(AssertUnwindSafe(|| {
            MESSAGE.with_borrow_mut(|buffer| {
                buffer[..len].copy_from_slice(message);
                match self.answer.handle(buffer, len, &context, &snapshot) {
                    Outcome::Reply { len, note } => Ok((buffer[..len].to_vec(), note)),
                    Outcome::Drop(why) => Err(why),
                }
            })
        }));
        match answered {
            Ok(Ok((reply, note))) => {
                self.block.answered_shared(&note, len, reply.len());
                Ok(Answered { octets: reply, per_client: snapshot.has_access_lists() })
            }
            Ok(Err(why)) => {
                self.block.dropped(why, len);
                Err(NoAnswer::Dropped(why))
            }
            Err(_) => {
                self.block.panicked.fetch_add(1, Relaxed);
                Err(NoAnswer::Panicked)
            }
        }
    }
}
