//! Addresses as keyed hashes: the same address gives the same hash, and nobody without the key can try addresses out.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Octets of the key: as many as the hash has, more is of no use (RFC 2104 section 3).
const KEY_OCTETS: usize = 32;
/// Octets of a stored hash: enough that no two addresses of an installation meet.
pub const HASH_OCTETS: usize = 16;
/// The key's file in the state directory.
pub const KEY_FILE: &str = "recipient.key";

/// The installation's key.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(…)")
    }
}

impl HashKey {
    /// The key in a state directory; made at first use, mode 600.
    ///
    /// Errors: it can not be read or written, others can read it, or it has another length.
    pub fn load(directory: &Path) -> io::Result<Self> {
        let path = directory.join(KEY_FILE);
        let odd = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
        let key = match fs::read(&path) {
            Ok(key) => {
                let mode = fs::metadata(&path)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(odd(format!("others can read the key (mode {:o}); set mode 600", mode & 0o777)));
                }
                key
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(directory, &path)?,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        };
        if key.len() != KEY_OCTETS {
            return Err(odd(format!(
                "the key has {} octets instead of {KEY_OCTETS}; restore it from a backup, or delete it to begin a new one, which knows no recipient of before",
                key.len()
            )));
        }
        Ok(Self::new(&key))
    }

    /// With this key.
    pub fn new(key: &[u8]) -> Self {
        // HMAC takes keys of every length, so this can not fail.
        Self(Hmac::new_from_slice(key).expect("HMAC takes any key"))
    }

    /// Make a key and write it aside, so that no half of one is ever there.
    fn make(directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
        let mut key = vec![0; KEY_OCTETS];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let aside = directory.join(format!("{KEY_FILE}.new"));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(directory)?.sync_all()?;
        Ok(key)
    }

    /// The hash of a mail address, in lower case: mail servers tell no letters' case in practice.
    pub fn hash(&self, address: &[u8]) -> [u8; HASH_OCTETS] {
        let mut mac = self.0.clone();
        mac.update(&address.to_ascii_lowercase());
        let mut hash = [0; HASH_OCTETS];
        hash.copy_from_slice(&mac.finalize().into_bytes()[..HASH_OCTETS]);
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_rfc_computes_it() {
        // RFC 4231, test case 2.
        let hash = HashKey::new(b"Jefe").hash(b"WHAT DO YA WANT FOR NOTHING?");
        assert_eq!(
            hash,
            [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7]
        );
    }

    #[test]
    fn one_key_for_an_installation_and_for_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let first = HashKey::load(directory.path()).unwrap().hash(b"a@example.org");
        assert_eq!(HashKey::load(directory.path()).unwrap().hash(b"A@Example.org"), first);
        let path = directory.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(HashKey::load(directory.path()).unwrap_err().to_string().contains("mode 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(HashKey::load(directory.path()).unwrap_err().to_string().contains("5 octets"));
    }
}
