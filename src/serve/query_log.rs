//! What workers hand over of each answer, without ever waiting, to whoever writes the query log.
//!
//! Each worker has a ring of its own; when the writer falls behind and it is full, records are counted and lost.
//! Without a log nothing of this exists.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use crossbeam_queue::ArrayQueue;

use crate::wire::HEADER_LEN;
use crate::wire::name::NAME_LEN_MAX;

/// Records that wait in one ring at most, some 5 MB: at 300 000 queries a second on one worker, twice the pause that
/// the writer makes when there is nothing to do.
const RECORDS_MAX: usize = 16_384;
/// Octets of type and class behind a question's name.
const TYPE_AND_CLASS: usize = 4;

/// One answer.
#[derive(Clone)]
pub struct Record {
    /// When it was given, s since 1970.
    pub time_s: i64,
    /// Who asked.
    pub client: IpAddr,
    /// Response code, extended bits included.
    pub rcode: u16,
    /// Records in the answer section.
    pub answers: u16,
    /// Octets of the reply.
    pub octets: u16,
    /// The question: name, type, class; as many octets as `name_octets` and four more.
    question: [u8; NAME_LEN_MAX + TYPE_AND_CLASS],
    /// Octets of the name.
    name_octets: u8,
}

impl Record {
    /// Take a reply down; `None` for one without a whole question.
    fn of(time_s: i64, client: IpAddr, rcode: u16, reply: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_LEN] = reply.first_chunk()?;
        if header[4..6] != [0, 1] {
            return None;
        }
        let mut end = HEADER_LEN;
        loop {
            let len = usize::from(*reply.get(end)?);
            end += len + 1;
            if len == 0 {
                break;
            }
        }
        let name_octets = u8::try_from(end - HEADER_LEN).ok()?;
        let asked = reply.get(HEADER_LEN..end + TYPE_AND_CLASS)?;
        let mut question = [0; NAME_LEN_MAX + TYPE_AND_CLASS];
        question[..asked.len()].copy_from_slice(asked);
        let answers = u16::from_be_bytes([header[6], header[7]]);
        Some(Self { time_s, client, rcode, answers, octets: reply.len() as u16, question, name_octets })
    }

    /// The name asked for as the client wrote it, in wire form without the root's zero.
    pub fn labels(&self) -> &[u8] {
        &self.question[..usize::from(self.name_octets).saturating_sub(1)]
    }

    /// The type asked for, host order.
    pub fn qtype(&self) -> u16 {
        self.number(0)
    }

    /// The class asked for, host order.
    pub fn qclass(&self) -> u16 {
        self.number(2)
    }

    /// A number behind the name.
    fn number(&self, skip: usize) -> u16 {
        let at = usize::from(self.name_octets) + skip;
        u16::from_be_bytes([self.question[at], self.question[at + 1]])
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("client", &self.client).field("rcode", &self.rcode).finish_non_exhaustive()
    }
}

/// One worker's way to the writer.
#[derive(Debug)]
struct Ring {
    /// Records that wait.
    records: ArrayQueue<Record>,
    /// Records for which there was no room.
    lost: AtomicU64,
}

/// Where a worker puts its records.
#[derive(Clone, Debug)]
pub struct Sink(Arc<Ring>);

impl Sink {
    /// Note a reply; when there is no room it is counted as lost.
    pub fn push(&self, time_s: i64, client: IpAddr, rcode: u16, reply: &[u8]) {
        if let Some(record) = Record::of(time_s, client, rcode, reply)
            && self.0.records.push(record).is_err()
        {
            self.0.lost.fetch_add(1, Relaxed);
        }
    }
}

/// The writer's side; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct QueryLog {
    /// A ring for each worker. Locked when a worker starts and by the writer, never for a query.
    rings: Arc<Mutex<Vec<Arc<Ring>>>>,
}

impl QueryLog {
    /// The lock; a panic elsewhere leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Ring>>> {
        self.rings.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A new worker's sink.
    pub fn sink(&self) -> Sink {
        let ring = Arc::new(Ring { records: ArrayQueue::new(RECORDS_MAX), lost: AtomicU64::new(0) });
        self.lock().push(Arc::clone(&ring));
        Sink(ring)
    }

    /// Hand over what waits, in the order of each worker; returns how many records that were.
    pub fn drain(&self, mut take: impl FnMut(&Record)) -> usize {
        let mut count = 0;
        for ring in self.lock().iter() {
            // Not until it is empty: a busy worker would keep the others waiting.
            for _ in 0..RECORDS_MAX {
                let Some(record) = ring.records.pop() else { break };
                take(&record);
                count += 1;
            }
        }
        count
    }

    /// Records lost so far.
    pub fn lost(&self) -> u64 {
        self.lock().iter().map(|ring| ring.lost.load(Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply to `a.B` of type 16, class 3, with two answers.
    const REPLY: &[u8] = b"\x12\x34\x81\x85\0\x01\0\x02\0\0\0\0\x01a\x01B\0\0\x10\0\x03and more";

    #[test]
    fn a_reply_is_taken_down() {
        let log = QueryLog::default();
        let sink = log.sink();
        sink.push(7, "192.0.2.1".parse().unwrap(), 5, REPLY);
        let mut seen = Vec::new();
        assert_eq!(log.drain(|record| seen.push(record.clone())), 1);
        let record = &seen[0];
        assert_eq!((record.time_s, record.rcode, record.answers, record.octets), (7, 5, 2, REPLY.len() as u16));
        assert_eq!((record.labels(), record.qtype(), record.qclass()), (&b"\x01a\x01B"[..], 16, 3));
    }

    #[test]
    fn what_has_no_question_is_no_record() {
        let log = QueryLog::default();
        let sink = log.sink();
        for cut in [0, 11, 12, 14, 20] {
            sink.push(0, "::1".parse().unwrap(), 1, &REPLY[..cut]);
        }
        sink.push(0, "::1".parse().unwrap(), 1, b"\x12\x34\x80\x01\0\0\0\0\0\0\0\0");
        assert_eq!(log.drain(|_| ()), 0);
    }

    #[test]
    fn a_full_ring_loses_and_counts() {
        let log = QueryLog::default();
        let (full, other) = (log.sink(), log.sink());
        for _ in 0..RECORDS_MAX + 3 {
            full.push(0, "::1".parse().unwrap(), 0, REPLY);
        }
        other.push(0, "::1".parse().unwrap(), 0, REPLY);
        assert_eq!(log.lost(), 3);
        assert_eq!(log.drain(|_| ()), RECORDS_MAX + 1);
        assert_eq!(log.drain(|_| ()), 0);
    }
}
