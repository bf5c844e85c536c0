//! The files of joe-jobs: the key of the hashes, the reports, and the zone file of addresses under attack.
//!
//! Each is written aside, synced and renamed, so that nobody ever reads half of one. Reports have addresses in the clear, because they are
//! of no use without; so they and the key are for the server's user alone.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::address::{AddressKey, Hash};
use super::report::{JoeJob, hex};
use crate::feed::aside::{self, PRIVATE, PUBLIC};

/// The reports' file in the state directory.
pub const REPORTS_FILE: &str = "joe-jobs.json";
/// The key's file in the state directory, unless the settings name another.
pub const KEY_FILE: &str = "joe-jobs.key";
/// Octets of randomness in a new key: as many as the hash has.
const KEY_OCTETS: usize = 20;
/// Octets of the longest file read: a report has some thousand at most.
const FILE_LEN_MAX: u64 = 64 << 20;
/// The zone's TTL, s: how long a mail server may still refuse after a joe-job is over.
const TTL_S: u32 = 60;

/// The key in a file; made at first use. Errors: it can not be read or written, or is no key.
pub fn key(path: &Path) -> io::Result<AddressKey> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = match read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut random = [0; KEY_OCTETS];
            File::open("/dev/urandom")?.read_exact(&mut random)?;
            let text = hex(&random);
            aside::write(path, format!("{text}\n").as_bytes(), PRIVATE)?;
            text
        }
        Err(error) => return Err(told(error)),
    };
    AddressKey::new(text.trim_ascii()).map_err(|why| told(io::Error::new(io::ErrorKind::InvalidData, why)))
}

/// The reports in a file; none where there is no file. Errors: it can not be read, or holds something else.
pub fn reports(path: &Path) -> io::Result<Vec<JoeJob>> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    };
    let report = |(at, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let why = format!("{}:{}: no report of a joe-job ({error}); move the file away", path.display(), at + 1);
            io::Error::new(io::ErrorKind::InvalidData, why)
        })
    };
    text.lines().enumerate().map(report).collect()
}

/// Write the reports, one in a line. Errors: the system's.
pub fn write_reports<'r>(path: &Path, reports: impl Iterator<Item = &'r JoeJob>) -> io::Result<()> {
    let mut text = String::new();
    for report in reports {
        text += &serde_json::to_string(report)?;
        text.push('\n');
    }
    aside::write(path, text.as_bytes(), PRIVATE)
}

/// The zone file, a dnset: `test` (RFC 5782 section 5) and the hashes.
pub fn zone_text(hashes: &[Hash]) -> String {
    let mut text = format!(
        "# Keyed hashes of the addresses under attack by joe-jobs, written by dnsbld. Changes are lost.\n\
         $TTL {TTL_S}\n\
         :127.0.0.2:This address is flooded with bounces to mail it never sent; refuse null-sender mail to it for now\n\
         test\n"
    );
    let mut names: Vec<String> = hashes.iter().map(|hash| hex(hash)).collect();
    names.sort();
    names.dedup();
    for name in names {
        text += &name;
        text.push('\n');
    }
    text
}

/// Write the zone file, if its text has changed. Returns whether it had. Errors: the system's.
pub fn write_zone(path: &Path, hashes: &[Hash]) -> io::Result<bool> {
    let text = zone_text(hashes);
    if read(path).is_ok_and(|found| found == text) {
        return Ok(false);
    }
    aside::write(path, text.as_bytes(), PUBLIC).map(|()| true)
}

/// Read a text, bounded.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_LEN_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        let hash = key(&path).unwrap().hash("a@example.org");
        assert_eq!(key(&path).unwrap().hash("a@example.org"), hash);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        fs::write(&path, "short").unwrap();
        let error = key(&path).unwrap_err().to_string();
        assert!(error.contains(KEY_FILE) && error.contains("5 characters"), "{error}");
        let error = key(&directory.path().join("none/key")).unwrap_err().to_string();
        assert!(error.contains("none/key"), "{error}");
    }

    #[test]
    fn the_zone_file_changes_only_with_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("zone");
        let (a, b) = ([1; 20], [2; 20]);
        assert!(write_zone(&path, &[]).unwrap());
        assert!(!write_zone(&path, &[]).unwrap());
        assert!(write_zone(&path, &[b, a]).unwrap());
        assert!(!write_zone(&path, &[a, b, a]).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with(&format!("test\n{}\n{}\n", "01".repeat(20), "02".repeat(20))), "{text}");
        assert!(write_zone(&path, &[]).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn bad_reports_are_told_with_their_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(REPORTS_FILE);
        assert!(reports(&path).unwrap().is_empty());
        fs::write(&path, "{}\n").unwrap();
        let error = reports(&path).unwrap_err().to_string();
        assert!(error.contains("joe-jobs.json:1: "), "{error}");
    }
}
