//! The service manager's side: sockets it hands over, and what it wants to hear (sd_listen_fds(3), sd_notify(3)).

use std::ffi::OsStr;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use socket2::{SockRef, Type};

/// The first descriptor handed over.
const FIRST: RawFd = 3;
/// Most descriptors taken; far more than anybody binds, and a bound on what a wrong environment can do.
const COUNT_MAX: RawFd = 128;

/// Sockets that were handed over.
#[derive(Debug, Default)]
pub struct Handed {
    /// Bound datagram sockets.
    pub datagram: Vec<UdpSocket>,
    /// Listening stream sockets.
    pub stream: Vec<TcpListener>,
}

/// Take over what `LISTEN_FDS` counts, if `LISTEN_PID` means this process. Call it once, first of all.
///
/// # Errors
///
/// A descriptor that is missing or no Internet socket.
pub fn take_sockets() -> io::Result<Handed> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let mut handed = Handed::default();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(handed);
    }
    let count = number("LISTEN_FDS").map_or(0, |count| RawFd::try_from(count).unwrap_or(RawFd::MAX)).min(COUNT_MAX);
    for fd in FIRST..FIRST + count {
        take(crate::sys::take_descriptor(fd)?, &mut handed)?;
    }
    Ok(handed)
}

/// Put a socket where its kind belongs.
fn take(fd: OwnedFd, handed: &mut Handed) -> io::Result<()> {
    let socket = SockRef::from(&fd);
    if socket.local_addr()?.as_socket().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket was handed over that is not UDP or TCP"));
    }
    match socket.r#type()? {
        Type::DGRAM => handed.datagram.push(fd.into()),
        _ => handed.stream.push(fd.into()),
    }
    Ok(())
}

/// The way to the service manager, open from before a chroot.
#[derive(Debug, Default)]
pub struct Notifier {
    /// Connected; `None` where nobody listens.
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// Connect to what `NOTIFY_SOCKET` names; nothing without it.
    pub fn from_env() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").and_then(|name| connect(&name).ok()) }
    }

    /// Say something, such as `READY=1`. That nobody listens any more is no trouble of ours.
    pub fn say(&self, state: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(state.as_bytes());
        }
    }
}

/// A socket connected to a path, or to an abstract name after `@`.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_apart() {
        let mut handed = Handed::default();
        take(UdpSocket::bind("127.0.0.1:0").unwrap().into(), &mut handed).unwrap();
        take(TcpListener::bind("[::1]:0").unwrap().into(), &mut handed).unwrap();
        assert!(take(UnixDatagram::unbound().unwrap().into(), &mut handed).is_err());
        assert_eq!((handed.datagram.len(), handed.stream.len()), (1, 1));
    }

    #[test]
    fn the_manager_hears() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = format!("dnsbld-test-{}", std::process::id());
        let at_path = UnixDatagram::bind(&path).unwrap();
        let at_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap();
        for (listener, name) in [(at_path, path.into_os_string()), (at_name, format!("@{abstract_name}").into())] {
            let notifier = Notifier { socket: Some(connect(&name).unwrap()) };
            notifier.say("READY=1");
            let mut heard = [0; 16];
            let len = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..len], b"READY=1");
        }
        Notifier::default().say("READY=1");
    }
}
