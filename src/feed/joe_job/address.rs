//! Keyed hashes of addresses under attack: HMAC-SHA1 in hexadecimal over the lower-cased address, since that is what Exim can compute.
//!
//! They are names in a DNS zone, so that a mail server can ask about one address without the zone telling any. The key is a text, not
//! octets: it is written into a mail server's settings as it is.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// Octets of a hash.
pub const HASH_OCTETS: usize = 20;
/// The shortest key taken: less could be tried out.
const KEY_CHARS_MIN: usize = 20;
/// The longest key taken: one block of SHA-1; longer ones would be hashed first, which is of no use.
const KEY_CHARS_MAX: usize = 64;

/// A hash.
pub type Hash = [u8; HASH_OCTETS];

/// The key of the hashes.
#[derive(Clone)]
pub struct AddressKey(Hmac<Sha1>);

impl std::fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddressKey(…)")
    }
}

impl AddressKey {
    /// The key with this text. Errors: a text that does not do as a key, or that Exim would read as something else.
    pub fn new(text: &str) -> Result<Self, String> {
        let chars = text.chars().count();
        if !(KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&chars) || !text.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!(
                "the key has {chars} characters; expected {KEY_CHARS_MIN} to {KEY_CHARS_MAX} letters and digits on one line"
            ));
        }
        // HMAC takes keys of every length, so this can not fail.
        Ok(Self(Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes any key")))
    }

    /// The hash of an address.
    pub fn hash(&self, address: &str) -> Hash {
        let mut mac = self.0.clone();
        mac.update(canonical(address).as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// An address as Exim has it in `${lc:$local_part@$domain}`: without quotes, ASCII letters in lower case.
pub fn canonical(address: &str) -> String {
    let address = address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address);
    let (local, domain) = match address.rsplit_once('@') {
        Some((local, domain)) => (local, format!("@{domain}")),
        None => (address, String::new()),
    };
    let local = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => {
            let (mut plain, mut chars) = (String::new(), quoted.chars());
            while let Some(c) = chars.next() {
                plain.extend(if c == '\\' { chars.next() } else { Some(c) });
            }
            plain
        }
        None => local.to_owned(),
    };
    (local + &domain).to_ascii_lowercase()
}

/// The addresses under attack, for whoever asks about one. Reading takes no lock.
#[derive(Debug, Default)]
pub struct Attacked(ArcSwap<Option<Hashes>>);

/// Hashes with the key to ask them by.
#[derive(Debug)]
struct Hashes {
    /// The key.
    key: AddressKey,
    /// The hashes.
    hashes: HashSet<Hash>,
}

impl Attacked {
    /// Is this address under attack?
    pub fn contains(&self, address: &str) -> bool {
        let hashes = self.0.load();
        // Nearly always there are none, and then nothing needs to be computed.
        let found = |hashes: &Hashes| !hashes.hashes.is_empty() && hashes.hashes.contains(&hashes.key.hash(address));
        Option::as_ref(&hashes).is_some_and(found)
    }

    /// From now on it is these.
    pub fn set(&self, key: &AddressKey, hashes: impl IntoIterator<Item = Hash>) {
        let hashes = hashes.into_iter().collect();
        self.0.store(Arc::new(Some(Hashes { key: key.clone(), hashes })));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::joe_job::report::hex;

    #[test]
    fn as_exim_computes_it() {
        // printf 'victim@example.org' | openssl dgst -sha1 -hmac 0123456789abcdef0123
        let key = AddressKey::new("0123456789abcdef0123").unwrap();
        for address in [
            "victim@example.org",
            "Victim@Example.ORG",
            "<victim@example.org>",
            "\"victim\"@example.org",
            "\"vic\\tim\"@example.org",
        ] {
            assert_eq!(hex(&key.hash(address)), "e4857992ecf0f00ddfd20ebb3793983ec1b19b0c", "{address}");
        }
        assert_ne!(key.hash("victim@example.org"), key.hash("victin@example.org"));
    }

    #[test]
    fn canonical_forms() {
        for (address, expected) in [
            ("A.B@Example.org", "a.b@example.org"),
            ("\"a b\"@x.example", "a b@x.example"),
            ("\"a\\\"b\"@x.example", "a\"b@x.example"),
            ("\"a@b\"@x.example", "a@b@x.example"),
            ("\"", "\""),
            ("", ""),
            ("Ä@x.example", "Ä@x.example"),
        ] {
            assert_eq!(canonical(address), expected, "{address}");
        }
    }

    #[test]
    fn keys() {
        for (text, good) in [
            ("0123456789abcdef0123", true),
            ("short", false),
            ("0123456789abcdef012$", false),
            ("0123456789abcdef0123 ", false),
        ] {
            assert_eq!(AddressKey::new(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn under_attack_or_not() {
        let (attacked, key) = (Attacked::default(), AddressKey::new("0123456789abcdef0123").unwrap());
        assert!(!attacked.contains("victim@example.org"));
        attacked.set(&key, [key.hash("victim@example.org")]);
        assert!(attacked.contains("Victim@example.org") && !attacked.contains("other@example.org"));
        attacked.set(&key, []);
        assert!(!attacked.contains("victim@example.org"));
    }

    proptest! {
        /// An address' hash is that of its form without quotes, whatever is in it.
        #[test]
        fn any_address_has_a_form(address in ".{0,30}") {
            let _ = canonical(&address);
            let quoted = address.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(canonical(&format!("\"{quoted}\"@x.example")), format!("{address}@x.example").to_ascii_lowercase());
        }
    }
}
