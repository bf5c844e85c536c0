//! How often a client may ask: so many requests a minute, in a table that never grows.
//!
//! For each prefix one time is kept, that at which its requests so far would be paid off at the allowed rate (the "generic cell
//! rate algorithm"). A prefix has its place in one of a few slots, found by a keyed hash; when all are taken, the one that is paid off
//! first goes. So a flood from many prefixes makes the limit milder for some, and costs neither memory nor time.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Sets of slots; with [`WAYS`] some 8 000 prefixes at a time, in 128 KiB.
const SETS: usize = 1024;
/// Slots of a set.
const WAYS: usize = 8;
/// What a network (IPv4 /24, IPv6 /48) may ask, in rates of a single host (IPv4 address, IPv6 /64).
const NET_HOSTS: u32 = 8;
/// Microseconds of a minute.
const MINUTE_US: u64 = 60_000_000;

/// The table.
#[derive(Debug)]
pub struct RateLimits {
    /// Keyed, so that nobody can choose whom to meet in a set.
    hasher: RandomState,
    /// [`SETS`] times [`WAYS`].
    slots: Mutex<Box<[Slot]>>,
}

/// One prefix.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Hash of the prefix; 0 for none.
    tag: u64,
    /// When its requests will be paid off, µs on the monotonic clock.
    due_us: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { hasher: RandomState::new(), slots: Mutex::new(vec![Slot::default(); SETS * WAYS].into()) }
    }
}

impl RateLimits {
    /// May a client ask now, at so many requests a minute (a whole minute's at once, at most)? Errors: how many seconds it must wait.
    pub fn admit(&self, client: IpAddr, per_minute: u32, now_us: u64) -> Result<(), u64> {
        let (host, net) = match client.to_canonical() {
            IpAddr::V4(ip) => (u64::from(ip.to_bits()), u64::from(ip.to_bits() >> 8)),
            IpAddr::V6(ip) => ((ip.to_bits() >> 64) as u64, (ip.to_bits() >> 80) as u64),
        };
        let is_ip4 = client.to_canonical().is_ipv4();
        let per_minute = per_minute.max(1);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for (level, prefix, rate) in [(0u8, host, per_minute), (1, net, per_minute.saturating_mul(NET_HOSTS))] {
            let tag = self.hasher.hash_one((level, is_ip4, prefix)) | 1;
            let set = (tag >> 32) as usize % SETS * WAYS;
            let slot = slot_of(&mut slots[set..set + WAYS], tag);
            let interval_us = MINUTE_US / u64::from(rate);
            let due_us = slot.due_us.max(now_us);
            let wait_us = (due_us - now_us).saturating_sub(interval_us * u64::from(rate - 1));
            if wait_us > 0 {
                return Err(wait_us.div_ceil(1_000_000));
            }
            *slot = Slot { tag, due_us: due_us + interval_us };
        }
        Ok(())
    }
}

/// The slot of a prefix: its own, or the one that is paid off first, emptied.
fn slot_of(set: &mut [Slot], tag: u64) -> &mut Slot {
    let own = set.iter().position(|slot| slot.tag == tag);
    let first = || (0..set.len()).min_by_key(|&at| set[at].due_us).unwrap_or(0);
    let at = own.unwrap_or_else(first);
    if set[at].tag != tag {
        set[at] = Slot { tag, due_us: 0 };
    }
    &mut set[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second.
    const S: u64 = 1_000_000;

    #[test]
    fn so_many_a_minute() {
        let limits = RateLimits::default();
        let ask = |ip: &str, now_us| limits.admit(ip.parse().unwrap(), 6, now_us);
        for _ in 0..6 {
            assert_eq!(ask("192.0.2.1", 100 * S), Ok(()));
        }
        assert_eq!(ask("192.0.2.1", 100 * S), Err(10));
        assert_eq!(ask("::ffff:192.0.2.1", 101 * S), Err(9), "the same host");
        assert_eq!(ask("192.0.2.2", 101 * S), Ok(()), "another one");
        assert_eq!(ask("192.0.2.1", 110 * S), Ok(()));
        assert_eq!(ask("192.0.2.1", 110 * S), Err(10));
        // A pause gives a minute's worth and no more.
        assert_eq!((0..9).filter(|_| ask("192.0.2.1", 1000 * S).is_ok()).count(), 6);
        assert_eq!((0..9).filter(|_| ask("2001:db8::1", S).is_ok()).count(), 6);
        assert_eq!(ask("2001:db8::ffff", S), Err(10), "the same /64");
    }

    #[test]
    fn networks_have_a_limit_too() {
        let limits = RateLimits::default();
        let all = |host: u8, net: u8| limits.admit([192, 0, net, host].into(), 6, S).is_ok();
        assert_eq!((0..=255).filter(|&host| all(host, 2)).count(), 48);
        assert!(all(1, 3), "another network");
    }

    #[test]
    fn a_flood_of_prefixes_needs_no_memory() {
        let limits = RateLimits::default();
        for n in 0..100_000u32 {
            assert_eq!(limits.admit(IpAddr::from(n.reverse_bits().to_be_bytes()), 60, S), Ok(()));
        }
        assert_eq!(limits.slots.lock().unwrap().len(), SETS * WAYS);
    }
}
