//! An answer function for tests of the ways in and out: the message's first octet says what to do.

use super::answer::{Answer, Context, Dropped, Listed, Note, Outcome};
use crate::stats::{Block, NO_ZONE, ZoneTotals};
use crate::wire::cookie::Standing;
use crate::zone::Snapshot;

/// Answers of type A with NOERROR that a block counted outside all zones.
pub(super) fn answers_of(block: &Block) -> u64 {
    let mut totals = ZoneTotals::default();
    if let Some(zone) = block.zone(NO_ZONE) {
        zone.add_to(&mut totals);
    }
    totals.answers[0][0]
}

/// Octets of the answer to a message that begins with `#`.
pub(super) const BIG_OCTETS: usize = 60_000;

/// [`echo`] in place of both steps.
pub(super) const ECHO: Answer =
    Answer { prepare: |_, _, _, _| {}, answer: |_, buf, len, context, snapshot| echo(buf, len, context, snapshot) };

/// `-` is dropped by policy, `?` is garbage, `!` panics, `#` gets [`BIG_OCTETS`]; all else comes back in upper case,
/// with the client's address in place of `@`.
pub(super) fn echo(buf: &mut [u8], len: usize, context: &Context<'_>, _: &Snapshot) -> Outcome {
    let note =
        Note { zone_slot: 0, qtype: 1, rcode: 0, listed: Listed::NotAsked, truncated: false, cookie: Standing::Absent };
    let len = match buf[..len].first() {
        None => return Outcome::Drop(Dropped::Short),
        Some(b'-') => return Outcome::Drop(Dropped::Policy),
        Some(b'?') => return Outcome::Drop(Dropped::Short),
        Some(b'!') => panic!("told to"),
        Some(b'#') => {
            buf[..BIG_OCTETS].fill(b'B');
            BIG_OCTETS
        }
        Some(b'@') => {
            let client = context.client.to_string();
            buf[..client.len()].copy_from_slice(client.as_bytes());
            client.len()
        }
        Some(_) => {
            buf[..len].make_ascii_uppercase();
            len
        }
    };
    Outcome::Reply { len, note }
}
