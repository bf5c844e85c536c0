//! What becomes of the process: a daemon, a pid file, a chroot, another user.

use std::fs::{self, File};
use std::io::{self, PipeWriter, Read as _, Write as _};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};
use rustix::process::{WaitOptions, waitpid};

use super::sockets::plain;
use crate::sys::{self, Side, clock};

/// Who serves when root is not told otherwise.
const USER_DEFAULT: &str = "rbldns";

/// How the daemon tells its parent that it serves.
#[derive(Debug)]
pub struct Ready(PipeWriter);

/// Become a daemon; call it before any thread is started.
///
/// `None` in the process that was started, once the daemon is ready; the exit code says whether it is.
///
/// # Errors
///
/// No further process or descriptor.
pub fn daemonize() -> io::Result<Result<Ready, u8>> {
    let (mut heard, ready) = io::pipe()?;
    match sys::fork()? {
        Side::Child => {
            drop(heard);
            // It fails only for the first of a group, which a child is not.
            let _ = rustix::process::setsid();
            Ok(Ok(Ready(ready)))
        }
        Side::Parent(child) => {
            drop(ready);
            let mut word = [0];
            if heard.read_exact(&mut word).is_ok() {
                return Ok(Err(0));
            }
            // It ended before it was ready, and has said why.
            let status = rustix::process::Pid::from_raw(child)
                .and_then(|child| waitpid(Some(child), WaitOptions::empty()).ok().flatten());
            let code = status.and_then(|(_, status)| status.exit_status()).and_then(|code| u8::try_from(code).ok());
            Ok(Err(code.filter(|&code| code > 0).unwrap_or(1)))
        }
    }
}

impl Ready {
    /// Let the parent end, and leave its terminal.
    ///
    /// # Errors
    ///
    /// There is no `/dev/null`.
    pub fn tell(mut self, null: &File) -> io::Result<()> {
        // A parent that was killed meanwhile is not there to hear.
        let _ = self.0.write_all(&[1]);
        rustix::stdio::dup2_stdin(null)?;
        rustix::stdio::dup2_stdout(null)?;
        rustix::stdio::dup2_stderr(null)?;
        Ok(())
    }
}

/// Nothing to read, and room for everything; opened before a chroot.
///
/// # Errors
///
/// There is no `/dev/null`.
pub fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// Write the process id. The error is what rbldnsd says, without its name.
pub fn write_pid(path: &Path) -> Result<(), String> {
    fs::write(path, format!("{}\n", std::process::id()))
        .map_err(|error| format!("unable to write pidfile: {}", plain(&error)))
}

/// Go where the files are: into the chroot, then to the working directory.
pub fn go(root: Option<&Path>, workdir: Option<&Path>) -> Result<(), String> {
    if let Some(root) = root {
        // The time zone's file is out there.
        let _ = sys::local_time(clock::now_s());
        let failed = |why: String| format!("unable to chroot to {}: {why}", root.display());
        // In first, so that nothing outside is left as the working directory.
        std::env::set_current_dir(root).map_err(|error| failed(plain(&error)))?;
        std::os::unix::fs::chroot(".").map_err(|error| failed(plain(&error)))?;
    }
    if let Some(dir) = workdir {
        std::env::set_current_dir(dir)
            .map_err(|error| format!("unable to chdir to {}: {}", dir.display(), plain(&error)))?;
    }
    Ok(())
}

/// Whom to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    user: Uid,
    /// Group, the only one.
    group: Gid,
}

/// Look up `user[:group]`, by names or numbers; `None` where nothing is to change. Do it before a chroot.
pub fn identity(wanted: Option<&str>) -> Result<Option<Identity>, String> {
    let wanted = match wanted {
        Some(wanted) => wanted,
        None if rustix::process::geteuid().is_root() => USER_DEFAULT,
        None => return Ok(None),
    };
    let (user, group) = wanted.split_once(':').map_or((wanted, None), |(user, group)| (user, Some(group)));
    let number = |text: &str| text.parse::<u32>().ok();
    // A database that can not be read knows nobody.
    let (uid, gid) = match (User::from_name(user).ok().flatten(), number(user)) {
        (Some(known), _) => (known.uid, known.gid),
        (None, Some(number)) => {
            let known = User::from_uid(Uid::from_raw(number)).ok().flatten();
            (Uid::from_raw(number), known.map_or(Gid::from_raw(number), |known| known.gid))
        }
        (None, None) => return Err(format!("unknown user `{user}'")),
    };
    let gid = match group {
        None => gid,
        Some(group) => match (Group::from_name(group).ok().flatten(), number(group)) {
            (Some(known), _) => known.gid,
            (None, Some(number)) => Gid::from_raw(number),
            (None, None) => return Err(format!("unknown group `{group}'")),
        },
    };
    if uid.is_root() {
        return Err("daemon should not run as root, specify -u option".to_owned());
    }
    Ok(Some(Identity { user: uid, group: gid }))
}

/// Become somebody for good.
pub fn become_user(identity: Identity) -> Result<(), String> {
    let Identity { user, group } = identity;
    let change = || {
        nix::unistd::setgroups(&[group])?;
        nix::unistd::setgid(group)?;
        nix::unistd::setuid(user)
    };
    change().map_err(|error| format!("unable to setuid({user}:{group}): {}", error.desc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        let is = |user, group| Ok(Some(Identity { user: Uid::from_raw(user), group: Gid::from_raw(group) }));
        for (wanted, expected) in [
            ("54321", is(54_321, 54_321)),
            ("54321:54322", is(54_321, 54_322)),
            ("54321:root", is(54_321, 0)),
            ("root", Err("daemon should not run as root, specify -u option")),
            ("0:54322", Err("daemon should not run as root, specify -u option")),
            ("no such", Err("unknown user `no such'")),
            ("54321:no such", Err("unknown group `no such'")),
        ] {
            assert_eq!(identity(Some(wanted)), expected.map_err(str::to_owned), "{wanted}");
        }
    }
}
