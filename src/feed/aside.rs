//! Files that others read while they are replaced: written aside, synced, renamed into place.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Rights of a file that everybody may read.
pub const PUBLIC: u32 = 0o644;
/// Rights of a file that only its owner may read.
pub const PRIVATE: u32 = 0o600;

/// Replace a file's content in one step; others see the old or the new, never a part. `mode` is who may read it, before the
/// process's mask.
///
/// Errors: what the system says, with the name of the file.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| named(io::Error::other("a file must be named")))?;
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    aside.push(".new");
    let aside = path.with_file_name(aside);
    let put = || {
        // One that was left behind may have other rights.
        let _ = fs::remove_file(&aside);
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        // The new name is kept only once the directory is.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    };
    put().map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_whole_and_nothing_left_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        for content in ["long content", "short"] {
            write(&path, content.as_bytes(), PUBLIC).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let error = write(&directory.path().join("none/list"), b"", PUBLIC).unwrap_err();
        assert!(error.to_string().contains("none/list"), "{error}");
    }
}
