//! DNS cookies (RFC 7873) with server cookies that all servers of a set can check (RFC 9018).
//!
//! A server cookie proves that its owner receives what is sent to its address. It is no state of ours: 16 octets of
//! version, time and a hash over the client's cookie, the time and the client's address, keyed with a secret that the servers
//! behind one name share. The first secret makes cookies; the others are only accepted, so that secrets can change without
//! a moment in which good cookies are refused.

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// Octets of a client's cookie (RFC 7873 section 4).
pub const CLIENT_OCTETS: usize = 8;
/// Octets of a server cookie of version 1 (RFC 9018 section 4).
const SERVER_OCTETS: usize = 16;
/// Octets of both.
pub const FULL_OCTETS: usize = CLIENT_OCTETS + SERVER_OCTETS;
/// Octets of a secret: the key of SipHash.
pub const SECRET_OCTETS: usize = 16;
/// Secrets in force: the one that makes cookies, the one before or after it, and as many to spare for a slow change.
pub const SECRETS_MAX: usize = 4;
/// The version of our cookies (RFC 9018 section 4.1).
const VERSION: u8 = 1;
/// How old a cookie may be, s (RFC 9018 section 4.3).
const AGE_S_MAX: u32 = 3600;
/// How far in the future it may have been made, s: the clocks of a set of servers differ (the same).
const AHEAD_S_MAX: u32 = 300;
/// From which age on a client gets a new one, s (the same).
const RENEW_S: u32 = 1800;

/// The COOKIE option of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The client's own.
    client: [u8; CLIENT_OCTETS],
    /// The server's that came with it.
    server: Server,
}

/// The server's part of a client's option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// The client knows none yet.
    None,
    /// One that may be ours.
    Known([u8; SERVER_OCTETS]),
    /// One of another length or version: not ours.
    Foreign,
}

/// What a query's cookie proves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// There is none, or we do not look.
    #[default]
    Absent,
    /// The client's own alone: it can take a cookie, and proves nothing.
    Client,
    /// A server cookie that is ours and fresh: the client receives what is sent to its address.
    Valid,
    /// A server cookie that is not ours, or too old.
    Invalid,
}

impl Cookie {
    /// Read an option's data; `None` for a length that no cookie has (RFC 7873 section 5.2.2).
    #[inline]
    pub fn read(data: &[u8]) -> Option<Self> {
        let (&client, rest) = data.split_first_chunk()?;
        let server = match rest.len() {
            0 => Server::None,
            8..=32 => match <[u8; SERVER_OCTETS]>::try_from(rest) {
                Ok(server) if server[0] == VERSION => Server::Known(server),
                _ => Server::Foreign,
            },
            _ => return None,
        };
        Some(Self { client, server })
    }
}

/// The secrets, ready to hash with.
#[derive(Clone)]
pub struct CookieKeys {
    /// Makes cookies.
    current: SipHasher24,
    /// Accepted too.
    others: [Option<SipHasher24>; SECRETS_MAX - 1],
}

/// Secrets belong into no log.
impl fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieKeys({} secrets)", 1 + self.others.iter().flatten().count())
    }
}

impl CookieKeys {
    /// From the secret that makes cookies and those that are accepted besides, of which the first `SECRETS_MAX - 1` count.
    pub fn new(current: [u8; SECRET_OCTETS], others: &[[u8; SECRET_OCTETS]]) -> Self {
        let other = |at: usize| others.get(at).map(SipHasher24::new_with_key);
        Self { current: SipHasher24::new_with_key(&current), others: std::array::from_fn(other) }
    }

    /// What a query's cookie proves, and the option's data that go back: the same cookie while it is young, else a new one.
    ///
    /// `client` is the source address, `now_s` the seconds since 1970, whose upper bits do not matter (RFC 1982).
    pub fn judge(&self, cookie: &Cookie, client: IpAddr, now_s: u32) -> (Standing, [u8; FULL_OCTETS]) {
        let standing = match cookie.server {
            Server::None => Standing::Client,
            Server::Foreign => Standing::Invalid,
            Server::Known(server) => {
                // Serial arithmetic: below half of the range it is a past, above it a future.
                let age_s = now_s.wrapping_sub(u32::from_be_bytes([server[4], server[5], server[6], server[7]]));
                let fresh = age_s <= AGE_S_MAX || age_s.wrapping_neg() <= AHEAD_S_MAX;
                let young = age_s < RENEW_S || age_s.wrapping_neg() <= AHEAD_S_MAX;
                let full = full(cookie.client, server);
                if fresh && young && is_of(&self.current, &full, client) {
                    return (Standing::Valid, full);
                }
                let keys = || [&self.current].into_iter().chain(self.others.iter().flatten());
                if fresh && keys().any(|key| is_of(key, &full, client)) { Standing::Valid } else { Standing::Invalid }
            }
        };
        (standing, self.make(cookie.client, client, now_s))
    }

    /// A new cookie.
    fn make(&self, client_cookie: [u8; CLIENT_OCTETS], client: IpAddr, now_s: u32) -> [u8; FULL_OCTETS] {
        let mut server = [0; SERVER_OCTETS];
        server[0] = VERSION;
        server[4..8].copy_from_slice(&now_s.to_be_bytes());
        let mut full = full(client_cookie, server);
        let hash = hash(&self.current, &full, client);
        full[HASHED_OCTETS..].copy_from_slice(&hash);
        full
    }
}

/// Octets of the option that the hash covers: the client's cookie, version, reserved octets as they came, and time.
const HASHED_OCTETS: usize = 16;

/// Both parts in one.
fn full(client: [u8; CLIENT_OCTETS], server: [u8; SERVER_OCTETS]) -> [u8; FULL_OCTETS] {
    let mut full = [0; FULL_OCTETS];
    full[..CLIENT_OCTETS].copy_from_slice(&client);
    full[CLIENT_OCTETS..].copy_from_slice(&server);
    full
}

/// Whether a key made this cookie for this client. Two octet strings of eight are compared as numbers, at once.
fn is_of(key: &SipHasher24, full: &[u8; FULL_OCTETS], client: IpAddr) -> bool {
    full[HASHED_OCTETS..] == hash(key, full, client)
}

/// The hash of RFC 9018 section 4.4. A client with an address mapped into IPv6 is one of IPv4, as it sees itself.
fn hash(key: &SipHasher24, full: &[u8; FULL_OCTETS], client: IpAddr) -> [u8; 8] {
    let mut input = [0; HASHED_OCTETS + 16];
    input[..HASHED_OCTETS].copy_from_slice(&full[..HASHED_OCTETS]);
    let len = match client.to_canonical() {
        IpAddr::V4(v4) => {
            input[HASHED_OCTETS..HASHED_OCTETS + 4].copy_from_slice(&v4.octets());
            HASHED_OCTETS + 4
        }
        IpAddr::V6(v6) => {
            input[HASHED_OCTETS..].copy_from_slice(&v6.octets());
            HASHED_OCTETS + 16
        }
    };
    key.hash(&input[..len]).to_le_bytes()
}

#[cfg(test)]
#[path = "cookie_tests.rs"]
mod tests;
