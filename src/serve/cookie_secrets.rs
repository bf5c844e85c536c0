//! The secrets of server cookies: read from a file that several servers share, or made when there is none.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::wire::cookie::{CookieKeys, SECRET_OCTETS, SECRETS_MAX};

/// Octets of the largest file: four secrets and room for what an operator notes beside them.
const FILE_OCTETS_MAX: u64 = 16 << 10;

/// Why the secrets can not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file can not be read.
    #[error("the cookie secrets in {file} can not be read: {error}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A line is no secret. The message does not repeat it, as it may be one with a slip.
    #[error("{file}:{line}: a cookie secret was expected, which is {digits} hexadecimal digits; make one with `openssl rand -hex {octets}`", digits = 2 * SECRET_OCTETS, octets = SECRET_OCTETS)]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// There are none, or too many.
    #[error("{file} has {count} cookie secrets; one to {SECRETS_MAX} were expected, a line each, the one in use first")]
    Count {
        /// The file.
        file: PathBuf,
        /// How many.
        count: usize,
    },
    /// The system gives no random octets.
    #[error("no cookie secret can be made: /dev/urandom can not be read: {0}")]
    Random(io::Error),
}

/// Read a file of secrets: one a line in hexadecimal digits, the one that makes cookies first. Empty lines and those that
/// begin with `#` are passed over.
///
/// # Errors
///
/// The file can not be read, a line is no secret, or there are none or more than [`SECRETS_MAX`].
pub fn read(file: &Path) -> Result<CookieKeys, SecretsError> {
    let mut text = String::new();
    File::open(file)
        .and_then(|open| open.take(FILE_OCTETS_MAX).read_to_string(&mut text))
        .map_err(|error| SecretsError::Unreadable { file: file.to_owned(), error })?;
    let mut secrets = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let secret = secret(line).ok_or_else(|| SecretsError::Line { file: file.to_owned(), line: at + 1 })?;
            secrets.push(secret);
        }
    }
    match secrets.split_first() {
        Some((first, others)) if secrets.len() <= SECRETS_MAX => Ok(CookieKeys::new(*first, others)),
        _ => Err(SecretsError::Count { file: file.to_owned(), count: secrets.len() }),
    }
}

/// A secret that nobody else has. Clients whose cookies were made before a restart get new ones.
///
/// # Errors
///
/// The system gives no random octets.
pub fn random() -> Result<CookieKeys, SecretsError> {
    let mut secret = [0; SECRET_OCTETS];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut secret)).map_err(SecretsError::Random)?;
    Ok(CookieKeys::new(secret, &[]))
}

/// A secret out of its digits.
fn secret(digits: &str) -> Option<[u8; SECRET_OCTETS]> {
    let mut secret = [0; SECRET_OCTETS];
    if digits.len() != 2 * SECRET_OCTETS || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (octet, pair) in secret.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cookie::{Cookie, Standing};

    /// Three secrets.
    const SECRETS: [&str; 3] =
        ["e5e973e5a6b2a43f48e7dc849e37bfcf", "DD3BDF9344B678B185A6F5CB60FCA715", "445536bcd2513298075a5d379663c962"];

    /// Read this text as a file.
    fn read_text(text: &str) -> Result<CookieKeys, SecretsError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cookies.secret");
        std::fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn files() {
        let [a, b, c] = SECRETS;
        for (text, expected) in [
            (a.to_owned(), "1 secrets"),
            (format!("{a}\n"), "1 secrets"),
            (format!("# in use\r\n  {a}\r\n\r\n# before\r\n{b}\t\r\n"), "2 secrets"),
            (format!("{a}\n{b}\n{c}\n{a}\n"), "4 secrets"),
            (format!("{a}\n{b}\n{c}\n{a}\n{b}\n"), "has 5 cookie secrets"),
            (String::new(), "has 0 cookie secrets"),
            ("# nothing yet\n".to_owned(), "has 0 cookie secrets"),
            (format!("{a}\n{b}0\n"), "cookies.secret:2: a cookie secret was expected, which is 32 hex"),
            (format!("{}\n", &a[1..]), "cookies.secret:1: "),
            (a.replace('e', "g"), "cookies.secret:1: "),
            (a.replacen('e', "+", 1), "cookies.secret:1: "),
            ("ä".repeat(16), "cookies.secret:1: "),
        ] {
            let got = read_text(&text).map_or_else(|error| error.to_string(), |keys| format!("{keys:?}"));
            assert!(got.contains(expected), "{text:?}: {got}");
            assert!(!got.contains(a) && !got.contains(&b[2..]), "a secret is told: {got}");
        }
        let lost = read(Path::new("/nonexistent/cookies.secret")).unwrap_err().to_string();
        assert!(lost.contains("/nonexistent/cookies.secret can not be read"), "{lost}");
    }

    #[test]
    fn the_first_makes_and_all_are_accepted() {
        let client = "192.0.2.1".parse().unwrap();
        let made = |keys: &CookieKeys| keys.judge(&Cookie::read(&[3; 8]).unwrap(), client, 1000).1;
        let [a, b, _] = SECRETS;
        let (old, both) = (read_text(a).unwrap(), read_text(&format!("{b}\n{a}\n")).unwrap());
        assert_ne!(made(&old), made(&both));
        assert_eq!(made(&read_text(b).unwrap()), made(&both));
        assert_eq!(both.judge(&Cookie::read(&made(&old)).unwrap(), client, 1000).0, Standing::Valid);
        assert_eq!(old.judge(&Cookie::read(&made(&both)).unwrap(), client, 1000).0, Standing::Invalid);
        assert_ne!(made(&random().unwrap()), made(&random().unwrap()));
    }
}
