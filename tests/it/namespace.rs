//! A network of a test's own: a namespace with nothing in it but the addresses that the test wants on its loopback
//! interface.
//!
//! Servers in it may use port 53 and documentation addresses (RFC 5737, RFC 3849), several tests may do so at once, and nothing
//! can reach the outside. The test's thread enters the namespace; what it starts and the sockets that it opens are inside.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::skip;

/// A process that holds the namespace while the test makes itself at home.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself, as its input has; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether namespaces can be made here; otherwise the test is skipped.
pub fn have() -> bool {
    let made = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    let made = made.is_ok_and(|output| output.status.success());
    if !made {
        skip("the right to make network namespaces");
    }
    made
}

/// Run a test on a thread inside a new namespace whose loopback interface has these addresses (`192.0.2.53/32`) besides
/// 127.0.0.1 and ::1.
pub fn inside(addresses: &[&str], test: impl FnOnce() + Send) {
    let adds: String = addresses.iter().map(|address| format!("ip addr add {address} dev lo && ")).collect();
    let script = format!("ip link set lo up && {adds}echo ready && exec cat");
    let child = Command::new("unshare")
        .args(["--net", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut holder, mut said) = (Holder(child), [0; 5]);
    let told = holder.0.stdout.as_mut().unwrap().read_exact(&mut said);
    assert!(told.is_ok() && &said == b"ready", "the namespace could not be made");
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let link = File::open(format!("/proc/{}/ns/net", holder.0.id())).unwrap();
            move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}
