//! What the operating system does for us: datagrams in batches, memory given back, threads pinned, service managers, signals.
//!
//! Linux is the target. Other Unixes get a plain receive loop with the same face, see `plain`.

pub mod clock;
#[cfg(target_os = "linux")]
mod ffi;
#[cfg(any(not(target_os = "linux"), test))]
mod plain;
#[cfg(target_os = "linux")]
pub mod service;
pub mod signals;

use std::io;
use std::net::SocketAddr;

#[cfg(target_os = "linux")]
pub use ffi::{
    Batch, Side, advise_large_pages, allocator_kib, fork, local_time, prefetch, prepare_datagram_socket,
    set_receive_buffer, take_descriptor, trim, tune_allocator,
};
#[cfg(not(target_os = "linux"))]
pub use plain::{
    Batch, advise_large_pages, prefetch, prepare_datagram_socket, set_receive_buffer, trim, tune_allocator,
};

/// Octets of one datagram's buffer: the largest EDNS size that the settings allow. A query is far smaller.
pub const DATAGRAM_OCTETS_MAX: usize = 4096;
/// Most datagrams in a batch: the kernel takes no more in one call (`UIO_MAXIOV`).
pub const BATCH_MAX: usize = 1024;

/// One received datagram; the answer is written over it.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The whole buffer; the first `len` octets were received, what stands after them is of older datagrams.
    pub buffer: &'a mut [u8],
    /// Octets received. A datagram beyond [`DATAGRAM_OCTETS_MAX`] is cut off there (`MSG_TRUNC`) and is answered
    /// from what fits: no sane query is that long, and what was cut off shows as a malformed message at most.
    pub len: usize,
    /// Where it came from; port 0 where an answer can not be sent.
    pub peer: SocketAddr,
}

/// Keep the calling thread on one processor: the `n`th of those that it may use, counted round. Returns its number.
///
/// A container or `taskset` may allow some processors only, hence not simply number `n`.
///
/// # Errors
///
/// What `sched_getaffinity(2)` or `sched_setaffinity(2)` say; `Unsupported` on systems without them.
#[cfg(target_os = "linux")]
pub fn pin_to_cpu(n: usize) -> io::Result<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let allowed = sched_getaffinity(None)?;
    let cpu = (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .nth(n % allowed.count().max(1) as usize)
        .ok_or(io::ErrorKind::NotFound)?;
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one)?;
    Ok(cpu)
}

/// Keep the calling thread on one processor: not possible here.
///
/// # Errors
///
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub fn pin_to_cpu(_n: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_pinned_to_an_allowed_processor() {
        use rustix::thread::sched_getaffinity;
        for n in [0, 1, 1000] {
            let thread = std::thread::spawn(move || {
                let cpu = pin_to_cpu(n).unwrap();
                let now = sched_getaffinity(None).unwrap();
                (now.count(), now.is_set(cpu))
            });
            assert_eq!(thread.join().unwrap(), (1, true));
        }
    }
}
