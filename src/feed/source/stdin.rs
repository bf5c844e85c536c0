//! Standard input: its lines into a spool, until it ends.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use super::Wake;
use crate::feed::line::LINE_MAX;
use crate::feed::run::status::{Drop, InputStatus};
use crate::feed::spool::{Spool, SpoolError};

/// Octets read at once.
const CHUNK_OCTETS: usize = 64 << 10;
/// Pause before a full spool is tried again; whoever writes to us waits meanwhile.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Read until the end or until asked to stop; lines are kept as they are. Errors: what the system says.
pub fn run(mut source: impl Read, spool: &Spool, status: &Arc<InputStatus>, wake: &Wake) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_OCTETS];
    let mut waiting: Vec<u8> = Vec::new();
    loop {
        let count = match source.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        waiting.extend_from_slice(&chunk[..count]);
        if count == 0 && !waiting.is_empty() {
            waiting.push(b'\n');
        }
        let whole = match memchr::memrchr(b'\n', &waiting) {
            Some(at) => at + 1,
            // A line that never ends: its beginning is kept, and its end where it comes is a line of its own.
            None if waiting.len() > 16 * LINE_MAX => {
                waiting.truncate(LINE_MAX);
                waiting.push(b'\n');
                waiting.len()
            }
            None => 0,
        };
        let rest = waiting.split_off(whole);
        let lines = std::mem::replace(&mut waiting, rest);
        if !lines.is_empty() {
            keep(lines, spool, status, wake);
        }
        if count == 0 || wake.stopped() {
            return Ok(());
        }
    }
}

/// Put lines into the spool, however long it takes, unless the program is being stopped.
fn keep(lines: Vec<u8>, spool: &Spool, status: &Arc<InputStatus>, wake: &Wake) {
    while !wake.stopped() {
        match spool.append_and_wait(lines.clone()) {
            Ok(()) => return,
            Err(SpoolError::Stopped) => break,
            Err(SpoolError::Full | SpoolError::Failed(_)) => std::thread::sleep(RETRY_PAUSE),
        }
    }
    status.dropped(Drop::Failed, memchr::memchr_iter(b'\n', &lines).count() as u64);
}
