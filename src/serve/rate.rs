//! How much one network may be sent over UDP: a fixed table of budgets, one a client prefix.
//!
//! Classic response rate limiting counts equal answers, and all NXDOMAINs of a zone as one. A busy mail filter asks a blocklist
//! for thousands of different unlisted addresses a second, and would be taken for an attack. What harms the victim of forged
//! source addresses is the traffic, so traffic is what is counted: octets and answers of a prefix, whatever they say.
//!
//! A budget is one number, the moment at which it will be full again (the generic cell rate algorithm): each answer pushes it
//! further, time passes by itself, and an answer that would push it more than `BURST_NS` beyond now is limited. What is
//! limited does not count, so a prefix goes on getting exactly its rate.
//!
//! The table never grows. Where a new prefix finds the slots of its set taken by others that still owe something, it takes the least of
//! them with a chance of its own weight to theirs. So whoever wants an account forgotten must send as much as stands
//! in it, and who is forgotten gains no more than that.

use std::net::IpAddr;

use ipnet::IpNet;

use super::networks::Networks;

/// How much may come at once: what the rate gives in a second.
const BURST_NS: u64 = 1_000_000_000;
/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;
/// Slots that a prefix can be in: two cache lines of 64 octets, so that a look at all of them is cheap.
const SET: usize = 8;

/// How to limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateOptions {
    /// Octets of answers that a prefix may be sent in a second, from 1.
    pub octets_per_s: u32,
    /// Answers that it may be sent in a second, from 1.
    pub answers_per_s: u32,
    /// Bits of an IPv4 address that make a prefix, 0–32.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a prefix, 0–64.
    pub ipv6_prefix: u8,
    /// One limited answer in so many is sent empty with TC, so that a real client comes back over TCP; 0 for none.
    pub slip: u32,
    /// Only count.
    pub dry_run: bool,
    /// Clients that are never limited.
    pub exempt: Vec<IpNet>,
    /// Prefixes that the table has room for; rounded up to a power of two.
    pub prefixes_max: usize,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// It is sent all the same, but would not have been: dry run.
    Count,
    /// It is sent without records, with TC.
    Truncate,
    /// It is not sent.
    Drop,
}

/// One prefix's budget.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The prefix.
    key: u64,
    /// When its budget is full again, ns on the caller's clock; in the past for none in use.
    full_at_ns: u64,
}

/// The budgets of one worker.
#[derive(Debug)]
pub struct RateLimiter {
    /// How to limit.
    options: RateOptions,
    /// Who is never limited.
    exempt: Networks,
    /// Sets of slots.
    sets: Box<[[Slot; SET]]>,
    /// Keys the choice of the set, so that nobody can aim at one.
    seed: u64,
    /// State of the generator that decides who is replaced and which answer slips.
    random: u64,
}

impl RateLimiter {
    /// An empty table; `seed` should be random, and unknown to clients.
    pub fn new(options: RateOptions, seed: u64) -> Self {
        let sets = options.prefixes_max.div_ceil(SET).max(1).next_power_of_two();
        let exempt = Networks::new(&options.exempt);
        Self { options, exempt, sets: vec![[Slot::default(); SET]; sets].into(), seed, random: mix(seed) | 1 }
    }

    /// Octets that the table takes.
    pub fn octets(&self) -> usize {
        size_of_val(&*self.sets)
    }

    /// What becomes of an answer of so many octets to a client that has proven nothing; `now_ns` never goes back.
    pub fn judge(&mut self, client: IpAddr, octets: usize, now_ns: u64) -> Verdict {
        if self.exempt.contains(client) || self.spend(self.key(client), self.cost_ns(octets), now_ns) {
            return Verdict::Send;
        }
        if self.options.dry_run {
            return Verdict::Count;
        }
        // By chance and not in turn, or two clients in step would share them out: all for one, none for the other.
        if self.options.slip > 0 && self.next().is_multiple_of(u64::from(self.options.slip)) {
            Verdict::Truncate
        } else {
            Verdict::Drop
        }
    }

    /// The prefix that a client is counted under.
    pub fn prefix(&self, client: IpAddr) -> IpNet {
        let client = client.to_canonical();
        let bits = if client.is_ipv4() { self.options.ipv4_prefix.min(32) } else { self.options.ipv6_prefix.min(64) };
        // The bits are within both families' bounds, so the other case never is.
        IpNet::new(client, bits).map_or_else(|_| client.into(), |net| net.trunc())
    }

    /// The same as a number: an IPv6 prefix has its first 64 bits, an IPv4 one stands among those of `::/32`, which
    /// nobody has (RFC 4291 section 2.4).
    fn key(&self, client: IpAddr) -> u64 {
        match client.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()) & upper(u32::BITS, self.options.ipv4_prefix),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 & upper(u64::BITS, self.options.ipv6_prefix),
        }
    }

    /// What an answer costs: its share of whichever rate it uses more of.
    fn cost_ns(&self, octets: usize) -> u64 {
        let by_octets = octets as u64 * SECOND_NS / u64::from(self.options.octets_per_s.max(1));
        let by_answers = SECOND_NS / u64::from(self.options.answers_per_s.max(1));
        by_octets.max(by_answers)
    }

    /// Take from a prefix's budget; false where there is not enough.
    fn spend(&mut self, key: u64, cost_ns: u64, now_ns: u64) -> bool {
        let chance = self.next();
        let at = mix(key ^ self.seed) as usize & (self.sets.len() - 1);
        let set = &mut self.sets[at];
        if let Some(slot) = set.iter_mut().find(|slot| slot.key == key && slot.full_at_ns > now_ns) {
            let full_at_ns = slot.full_at_ns + cost_ns;
            let enough = full_at_ns <= now_ns + BURST_NS.max(cost_ns);
            if enough {
                slot.full_at_ns = full_at_ns;
            }
            return enough;
        }
        // An answer with a full budget always passes; what is left to decide is whether it is remembered.
        if let Some(slot) = set.iter_mut().min_by_key(|slot| slot.full_at_ns) {
            let owed_ns = slot.full_at_ns.saturating_sub(now_ns);
            // The same as `chance % (owed + cost) < cost`: probability cost / (owed + cost).
            if chance % (owed_ns + cost_ns).max(1) < cost_ns.max(1) {
                *slot = Slot { key, full_at_ns: now_ns + cost_ns };
            }
        }
        true
    }

    /// The next number of a xorshift generator (Marsaglia 2003): fair, and that nobody can foretell it does not matter much.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// A mask for the upper `bits` of a number that is `width` bits wide.
fn upper(width: u32, bits: u8) -> u64 {
    let all = u64::MAX >> (u64::BITS - width);
    all & !all.checked_shr(bits.into()).unwrap_or(0)
}

/// Spread a number over all bits (the finaliser of SplitMix64, Steele and others 2014).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
