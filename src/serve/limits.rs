//! How many connections there may be: in all, for one host and for one network (RFC 9210 section 4.2).
//!
//! A host is an IPv4 address or an IPv6 /64, which one customer has whole; a network is a /24 or a /48. The table
//! has an entry only for prefixes with an open connection, so the total bounds it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionCaps {
    /// Connections in all.
    pub total: usize,
    /// Connections of one IPv4 address or IPv6 /64.
    pub host: usize,
    /// Connections of one IPv4 /24 or IPv6 /48.
    pub net: usize,
}

/// Which cap a connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverCap {
    /// That on all.
    Total,
    /// That on the host.
    Host,
    /// That on its network.
    Net,
}

/// Counts the open connections of everyone.
#[derive(Debug)]
pub struct ConnectionLimits {
    /// The caps.
    caps: ConnectionCaps,
    /// What is open; taken only when a connection comes, goes, or begins to wait.
    open: Mutex<Open>,
}

/// What is open.
#[derive(Debug, Default)]
struct Open {
    /// In all.
    total: usize,
    /// By prefix; none is 0.
    prefixes: HashMap<Prefix, usize>,
}

/// A prefix that connections are counted by. The hash of the map is keyed, so clients can not choose collisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    /// An IPv4 address.
    Host4(u32),
    /// The first 24 bits of one.
    Net4(u32),
    /// The first 64 bits of an IPv6 address.
    Host6(u64),
    /// The first 48 bits of one.
    Net6(u64),
}

/// Host and network of an address; an IPv4 address that comes mapped into IPv6 is one of IPv4.
fn prefixes(address: IpAddr) -> [Prefix; 2] {
    match address.to_canonical() {
        IpAddr::V4(v4) => [Prefix::Host4(v4.to_bits()), Prefix::Net4(v4.to_bits() >> 8)],
        IpAddr::V6(v6) => {
            let first = (v6.to_bits() >> 64) as u64;
            [Prefix::Host6(first), Prefix::Net6(first >> 16)]
        }
    }
}

/// The right to keep one connection open; given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    /// Where to give it back.
    limits: Arc<ConnectionLimits>,
    /// What it is counted under besides the total.
    prefixes: Option<[Prefix; 2]>,
}

impl ConnectionLimits {
    /// Nothing open yet.
    pub fn new(caps: ConnectionCaps) -> Arc<Self> {
        Arc::new(Self { caps, open: Mutex::default() })
    }

    /// Admit a connection of `client`, or say which cap forbids it.
    ///
    /// # Errors
    ///
    /// The first cap that it would exceed: total, host, network.
    pub fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Permit, OverCap> {
        let prefixes = prefixes(client);
        let mut open = self.open();
        if open.total >= self.caps.total {
            return Err(OverCap::Total);
        }
        let caps = [(self.caps.host, OverCap::Host), (self.caps.net, OverCap::Net)];
        for (prefix, (cap, over)) in prefixes.iter().zip(caps) {
            if open.prefixes.get(prefix).copied().unwrap_or(0) >= cap {
                return Err(over);
            }
        }
        open.total += 1;
        for prefix in prefixes {
            *open.prefixes.entry(prefix).or_default() += 1;
        }
        Ok(Permit { limits: Arc::clone(self), prefixes: Some(prefixes) })
    }

    /// Admit a connection for which only the cap on all counts, as that of a proxy with many clients behind it.
    ///
    /// # Errors
    ///
    /// [`OverCap::Total`].
    pub fn admit_any(self: &Arc<Self>) -> Result<Permit, OverCap> {
        let mut open = self.open();
        if open.total >= self.caps.total {
            return Err(OverCap::Total);
        }
        open.total += 1;
        Ok(Permit { limits: Arc::clone(self), prefixes: None })
    }

    /// Whether more than three quarters of all connections are taken, so that idle ones should go sooner.
    pub fn busy(&self) -> bool {
        self.open().total > self.caps.total / 4 * 3
    }

    /// Lock the table. A panic can not leave it half changed: nothing that could panic happens in between.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.limits.open();
        open.total -= 1;
        for prefix in self.prefixes.into_iter().flatten() {
            if let Some(count) = open.prefixes.get_mut(&prefix) {
                *count -= 1;
                if *count == 0 {
                    open.prefixes.remove(&prefix);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_by_prefix_and_are_given_back() {
        // Clients in order, and what becomes of each under caps of 6 in all, 2 a host, 3 a network.
        let cases: &[(&[&str], &[Option<OverCap>])] = &[
            (&["192.0.2.1", "192.0.2.1", "192.0.2.1"], &[None, None, Some(OverCap::Host)]),
            (&["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], &[None, None, Some(OverCap::Host)]),
            (
                &["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.3.4"],
                &[None, None, None, Some(OverCap::Net), None],
            ),
            (&["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"], &[None, None, Some(OverCap::Host)]),
            (
                &["2001:db8:0:1::", "2001:db8:0:2::", "2001:db8:0:3::", "2001:db8:0:4::", "2001:db8:1::"],
                &[None, None, None, Some(OverCap::Net), None],
            ),
            (
                &["10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1", "10.0.4.1", "10.0.5.1", "10.0.6.1"],
                &[None, None, None, None, None, None, Some(OverCap::Total)],
            ),
        ];
        for (clients, expected) in cases {
            let limits = ConnectionLimits::new(ConnectionCaps { total: 6, host: 2, net: 3 });
            // Twice: the first round's permits are all given back.
            for round in 0..2 {
                let tried: Vec<_> = clients.iter().map(|client| limits.admit(client.parse().unwrap())).collect();
                let outcomes: Vec<_> = tried.iter().map(|permit| permit.as_ref().err().copied()).collect();
                assert_eq!(outcomes, *expected, "round {round} of {clients:?}");
                drop(tried);
                let open = limits.open();
                assert_eq!((open.total, open.prefixes.len()), (0, 0), "{clients:?}");
            }
        }
    }

    #[test]
    fn busy_beyond_three_quarters() {
        let limits = ConnectionLimits::new(ConnectionCaps { total: 8, host: 8, net: 8 });
        let mut permits = Vec::new();
        for expected in [false, false, false, false, false, false, true, true] {
            permits.push(limits.admit("192.0.2.1".parse().unwrap()).unwrap());
            assert_eq!(limits.busy(), expected, "with {}", permits.len());
        }
    }
}
