//! One-time confirmations: what a removal takes besides coming from the address itself.
//!
//! A browser behind the address can be made to send a POST by any page that it shows (cross-site request forgery), but no other
//! page can read the token that the first one is answered with.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::feed::subject::Subject;

/// How long a token may be used: time to read the page.
pub const LIFE: Duration = Duration::from_secs(600);
/// Tokens at a time; only a listed host that asks gets one. The oldest goes when there are more.
const TOKENS_MAX: usize = 1024;
/// Octets of a token, which is written in hexadecimal.
const TOKEN_OCTETS: usize = 16;

/// Tokens that were given out.
pub struct Confirmations {
    /// Makes tokens; nobody else can.
    key: Hmac<Sha256>,
    /// What is waited for.
    waiting: Mutex<Waiting>,
}

/// What is waited for.
#[derive(Default)]
struct Waiting {
    /// Tokens made so far, so that each is another one.
    made: u64,
    /// Token and the end of its life on the monotonic clock, by host.
    tokens: HashMap<Subject, (String, Duration)>,
}

impl Confirmations {
    /// With this secret.
    pub fn new(secret: &[u8]) -> Self {
        // HMAC takes keys of every length, so this can not fail.
        let key = Hmac::new_from_slice(secret).expect("HMAC takes any key");
        Self { key, waiting: Mutex::default() }
    }

    /// A new token for a host; one that it had before is void.
    pub fn give(&self, subject: Subject, now: Duration) -> String {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.made += 1;
        let mut mac = self.key.clone();
        mac.update(&waiting.made.to_be_bytes());
        let mac = mac.finalize().into_bytes();
        let token: String = mac.iter().take(TOKEN_OCTETS).map(|octet| format!("{octet:02x}")).collect();
        waiting.tokens.retain(|_, (_, end)| *end > now);
        if waiting.tokens.len() >= TOKENS_MAX {
            let oldest = waiting.tokens.iter().min_by_key(|(_, (_, end))| *end).map(|(subject, _)| *subject);
            oldest.map(|oldest| waiting.tokens.remove(&oldest));
        }
        waiting.tokens.insert(subject, (token.clone(), now + LIFE));
        token
    }

    /// Is this the token of a host? It is used up, right or wrong, so that it can not be tried out.
    pub fn take(&self, subject: Subject, token: &str, now: Duration) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.tokens.remove(&subject).is_some_and(|(known, end)| end > now && known == token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_for_its_host_and_for_a_while() {
        let confirmations = Confirmations::new(b"secret");
        let (host, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Duration::from_secs(5);
        let token = confirmations.give(host, now);
        assert_eq!(token.len(), 2 * TOKEN_OCTETS);
        assert!(!confirmations.take(other, &token, now));
        assert!(confirmations.take(host, &token, now) && !confirmations.take(host, &token, now));
        // Wrong, late, replaced.
        let token = confirmations.give(host, now);
        assert!(!confirmations.take(host, "x", now) && !confirmations.take(host, &token, now));
        let token = confirmations.give(host, now);
        assert!(!confirmations.take(host, &token, now + LIFE));
        let (first, second) = (confirmations.give(host, now), confirmations.give(host, now));
        assert!(first != second && !confirmations.take(host, &first, now));
    }

    #[test]
    fn they_are_bounded() {
        let confirmations = Confirmations::new(b"secret");
        for n in 0..2 * TOKENS_MAX as u32 {
            let host = Subject::of(std::net::Ipv4Addr::from(n).into());
            confirmations.give(host, Duration::from_millis(n.into()));
        }
        assert_eq!(confirmations.waiting.lock().unwrap().tokens.len(), TOKENS_MAX);
    }
}
