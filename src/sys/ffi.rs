//! Batched datagrams, the allocator's knobs, large pages, fork and descriptors: the only file with `unsafe`.
//!
//! `recvmmsg(2)` fills the slots of a [`Batch`], the answer is written over the query, and one `sendmmsg(2)` sends
//! all answers. The kernel sees each slot through raw pointers that are made once, so the slots live in an
//! allocation that is only ever reached through its raw pointer; everything outside this file sees slices.
//!
//! Control data: the address that was asked (`IP_PKTINFO`, `IPV6_PKTINFO`) on wildcard sockets, so that the answer
//! comes from there, and the kernel's count of dropped datagrams (`SO_RXQ_OVFL`).

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::{fmt, io};

use super::{BATCH_MAX, DATAGRAM_OCTETS_MAX, Datagram};

/// Room for control data: IPv6 packet information takes 40 octets, the drop counter 24.
const CONTROL_WORDS: usize = 8;
/// The same in octets.
const CONTROL_OCTETS: usize = CONTROL_WORDS * size_of::<u64>();
/// Longest path that needs no fragmentation anywhere (RFC 8200 section 5), octets.
const IPV6_MTU_MIN: c_int = 1280;

/// A peer's address as the kernel writes it.
#[repr(C)]
#[derive(Clone, Copy)]
union Peer {
    /// When the family is `AF_INET`.
    v4: libc::sockaddr_in,
    /// When the family is `AF_INET6`.
    v6: libc::sockaddr_in6,
}

/// One datagram and all that the kernel tells of it.
///
/// A whole slot is more than 4096 octets, so that neighbours' first octets do not meet in one set of the L1 cache.
#[repr(C, align(64))]
struct Slot {
    /// Where it came from, where the answer goes.
    peer: Peer,
    /// The buffer as the kernel wants it told.
    vector: libc::iovec,
    /// Control data received, then that of the answer; aligned for `cmsghdr`.
    control: [u64; CONTROL_WORDS],
    /// Octets of the answer's control data.
    control_len: usize,
    /// The datagram, then its answer.
    buffer: [u8; DATAGRAM_OCTETS_MAX],
}

/// Room for some datagrams, used again and again; it belongs to one thread.
pub struct Batch {
    /// The slots, as many as `incoming` has headers; owned.
    slots: NonNull<Slot>,
    /// One header for each slot, pointing at its parts.
    incoming: Vec<libc::mmsghdr>,
    /// Headers of the answers, dense.
    outgoing: Vec<libc::mmsghdr>,
    /// Slots filled by the last call; only these need a reset.
    used: usize,
    /// The kernel's count of dropped datagrams when it last told.
    drops: u32,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("slots", &self.incoming.len()).field("used", &self.used).finish_non_exhaustive()
    }
}

impl Batch {
    /// Room for `slots` datagrams, 1 to [`BATCH_MAX`].
    pub fn new(slots: usize) -> Self {
        let count = slots.clamp(1, BATCH_MAX);
        let empty = || Slot {
            // SAFETY: socket addresses, iovec and header are plain C structures for which all zeros are valid.
            peer: unsafe { mem::zeroed() },
            vector: libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 },
            control: [0; CONTROL_WORDS],
            control_len: 0,
            buffer: [0; DATAGRAM_OCTETS_MAX],
        };
        let boxed: Box<[Slot]> = (0..count).map(|_| empty()).collect();
        // A box is never null; from here on the slots are reached through this pointer alone.
        let slots = NonNull::from(Box::leak(boxed)).cast::<Slot>();
        let mut incoming = Vec::with_capacity(count);
        for index in 0..count {
            // SAFETY: `index < count`, the number of slots in the allocation, which nobody else refers to. `&raw`
            // makes pointers that stay valid as long as the allocation, and no references.
            let header = unsafe {
                let slot = slots.as_ptr().add(index);
                (*slot).vector =
                    libc::iovec { iov_base: (&raw mut (*slot).buffer).cast(), iov_len: DATAGRAM_OCTETS_MAX };
                let mut header: libc::mmsghdr = mem::zeroed();
                header.msg_hdr.msg_name = (&raw mut (*slot).peer).cast();
                header.msg_hdr.msg_namelen = size_of::<Peer>() as _;
                header.msg_hdr.msg_iov = &raw mut (*slot).vector;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = (&raw mut (*slot).control).cast();
                header.msg_hdr.msg_controllen = CONTROL_OCTETS as _;
                header
            };
            incoming.push(header);
        }
        Self { slots, incoming, outgoing: Vec::with_capacity(count), used: 0, drops: 0 }
    }

    /// A slot.
    #[inline]
    fn slot(&mut self, index: usize) -> &mut Slot {
        assert!(index < self.incoming.len());
        // SAFETY: in range as just asserted, and initialised in `new`. `&mut self` makes the reference the only one;
        // the kernel uses its own pointers only within the calls below, while no such reference lives.
        unsafe { &mut *self.slots.as_ptr().add(index) }
    }

    /// Wait for one datagram and take all that are there, up to the batch's size; 0 when the socket's time-out came
    /// first. Answers not yet sent are forgotten.
    ///
    /// # Errors
    ///
    /// What `recvmmsg(2)` says, time-outs and signals excepted.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for index in 0..mem::take(&mut self.used) {
            self.slot(index).vector.iov_len = DATAGRAM_OCTETS_MAX;
            let header = &mut self.incoming[index].msg_hdr;
            header.msg_namelen = size_of::<Peer>() as _;
            header.msg_controllen = CONTROL_OCTETS as _;
        }
        self.outgoing.clear();
        // SAFETY: the vector holds as many headers as told, each of which points at the parts of a living slot and
        // tells their true sizes; nothing else refers to them during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.incoming.as_mut_ptr(),
                self.incoming.len() as _,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        self.used = count as usize;
        for index in 0..self.used {
            self.slot(index).control_len = 0;
            // Most datagrams bring none: no wildcard, and nothing dropped.
            if self.incoming[index].msg_hdr.msg_controllen > 0 {
                self.read_control(index);
            }
        }
        Ok(self.used)
    }

    /// Note the kernel's drop counter and turn the address that was asked into the answer's source.
    fn read_control(&mut self, index: usize) {
        let header: *const libc::msghdr = &raw const self.incoming[index].msg_hdr;
        let mut asked = None;
        // SAFETY: the header was filled by the kernel, which sets `msg_controllen` to what it wrote; the macros stay
        // within that. Each value is read unaligned, after the check of its level, type and length.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(header);
            while let Some(found) = message.as_ref() {
                let data = libc::CMSG_DATA(message);
                let holds = |octets: usize| found.cmsg_len >= libc::CMSG_LEN(octets as _) as _;
                match (found.cmsg_level, found.cmsg_type) {
                    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) if holds(size_of::<u32>()) => {
                        self.drops = data.cast::<u32>().read_unaligned();
                    }
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds(size_of::<libc::in_pktinfo>()) => {
                        let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                        asked = Some((IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))), 0));
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(size_of::<libc::in6_pktinfo>()) => {
                        let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                        asked = Some((IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)), info.ipi6_ifindex));
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(header, message);
            }
        }
        if let Some((address, interface)) = asked {
            self.slot(index).answer_from(address, interface);
        }
    }

    /// The octets of a datagram of the last `receive`: its buffer, and how many were received.
    #[inline]
    pub fn message(&mut self, index: usize) -> (&mut [u8], usize) {
        assert!(index < self.used);
        let len = (self.incoming[index].msg_len as usize).min(DATAGRAM_OCTETS_MAX);
        (&mut self.slot(index).buffer, len)
    }

    /// A datagram of the last `receive`.
    #[inline]
    pub fn datagram(&mut self, index: usize) -> Datagram<'_> {
        assert!(index < self.used);
        let len = (self.incoming[index].msg_len as usize).min(DATAGRAM_OCTETS_MAX);
        let named = self.incoming[index].msg_hdr.msg_namelen > 0;
        let slot = self.slot(index);
        let peer = if named { slot.peer() } else { SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) };
        Datagram { buffer: &mut slot.buffer, len, peer }
    }

    /// Answer a datagram with the first `len` octets of its buffer; sent with all others by `send`.
    ///
    /// Once for each datagram: a further answer would need a further buffer.
    #[inline]
    pub fn reply(&mut self, index: usize, len: usize) {
        assert!(index < self.used && self.outgoing.len() < self.incoming.len());
        let mut header = self.incoming[index];
        let slot = self.slot(index);
        slot.vector.iov_len = len.min(DATAGRAM_OCTETS_MAX);
        header.msg_hdr.msg_controllen = slot.control_len as _;
        header.msg_hdr.msg_flags = 0;
        self.outgoing.push(header);
    }

    /// Send the answers; returns how many could not be sent.
    ///
    /// One that can not be sent (no route, forbidden address) is left out, all others go.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        let (mut sent, mut failed) = (0, 0);
        while let Some(rest @ [_, ..]) = self.outgoing.get_mut(sent..) {
            // SAFETY: the slice holds as many headers as told; each points at the parts of a living slot, whose
            // lengths `reply` set within their bounds.
            let count = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, 0) };
            match usize::try_from(count) {
                Ok(some @ 1..) => sent += some,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The kernel stops at the first that fails, and tells why only when that is the first of all.
                _ => (sent, failed) = (sent + 1, failed + 1),
            }
        }
        self.outgoing.clear();
        failed
    }

    /// Datagrams that the kernel has thrown away since the socket was made, because its buffer was full: as of
    /// the last datagram received, wrapping.
    pub fn kernel_drops(&self) -> u32 {
        self.drops
    }

    /// Pretend that a datagram came from elsewhere.
    #[cfg(test)]
    fn set_peer(&mut self, index: usize, peer: SocketAddrV4) {
        // SAFETY: only the IPv4 variant, the one that the test's sockets use, is written.
        unsafe {
            let to = &mut self.slot(index).peer.v4;
            to.sin_port = peer.port().to_be();
            to.sin_addr.s_addr = u32::from(*peer.ip()).to_be();
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let slots = ptr::slice_from_raw_parts_mut(self.slots.as_ptr(), self.incoming.len());
        // SAFETY: the pointer and the length are those of the box that `new` leaked, and nobody uses them again.
        drop(unsafe { Box::from_raw(slots) });
    }
}

impl Slot {
    /// The peer's address; port 0 for a family that is not ours.
    #[inline]
    fn peer(&self) -> SocketAddr {
        // SAFETY: both variants are plain numbers of which any value is valid, begin with the family, and were zeroed
        // at first; the kernel filled the one that the family tells.
        unsafe {
            match c_int::from(self.peer.v4.sin_family) {
                libc::AF_INET => {
                    let from = &self.peer.v4;
                    let ip = Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
                    SocketAddrV4::new(ip, u16::from_be(from.sin_port)).into()
                }
                libc::AF_INET6 => {
                    let from = &self.peer.v6;
                    let ip = Ipv6Addr::from(from.sin6_addr.s6_addr);
                    SocketAddrV6::new(ip, u16::from_be(from.sin6_port), from.sin6_flowinfo, from.sin6_scope_id).into()
                }
                _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            }
        }
    }

    /// Write the control data that makes the answer come from `address`.
    ///
    /// The interface is kept for link-local addresses, which mean nothing without; for others the routing table
    /// knows better than the way the query came. Multicast can not be a source: then the system chooses.
    fn answer_from(&mut self, address: IpAddr, interface: impl TryInto<u32>) {
        if address.is_multicast() {
            return;
        }
        match address {
            IpAddr::V4(ip) => self.write_control(
                (libc::IPPROTO_IP, libc::IP_PKTINFO),
                libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(ip).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                },
            ),
            IpAddr::V6(ip) => self.write_control(
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
                libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                    ipi6_ifindex: if ip.is_unicast_link_local() { interface.try_into().unwrap_or(0) as _ } else { 0 },
                },
            ),
        }
    }

    /// Make `value` the only control message.
    fn write_control<T>(&mut self, (level, kind): (c_int, c_int), value: T) {
        const { assert!(size_of::<T>() + size_of::<libc::cmsghdr>() <= CONTROL_OCTETS) };
        let header = (&raw mut self.control).cast::<libc::cmsghdr>();
        // SAFETY: the array is aligned as `cmsghdr` needs and holds header and value, as asserted; the value begins
        // right after the header, whose size is a multiple of the alignment.
        unsafe {
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<T>() as _) as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
            self.control_len = libc::CMSG_SPACE(size_of::<T>() as _) as usize;
        }
    }
}

/// Set one option of a socket to a number.
fn set_option(socket: &impl AsRawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the pointer and the size are those of a living `c_int`, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size_of::<c_int>() as _)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Prepare a datagram socket that is to be bound to `address`: source addresses, drop counter, fragmentation.
///
/// Path MTU discovery is left out (RFC 9715): a forged ICMP message could make answers fragment, and fragments can
/// be forged or lost. Answers fit into any path by their size instead.
///
/// # Errors
///
/// What `setsockopt(2)` says of `IP_PKTINFO` or `IPV6_PKTINFO`, without which answers would come from a wrong
/// address. The others are improvements that old kernels may lack.
pub fn prepare_datagram_socket(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
    let wildcard = address.ip().is_unspecified();
    // Without it, drops are only not counted.
    let _ = set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
    match address {
        SocketAddr::V4(_) => {
            let _ = set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT);
            if wildcard {
                set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            }
        }
        SocketAddr::V6(_) => {
            let _ = set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT);
            let _ = set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU, IPV6_MTU_MIN);
            if wildcard {
                set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            }
        }
    }
    Ok(())
}

/// Ask for a receive buffer of so many octets; returns what was given, which may be less (`net.core.rmem_max`).
///
/// # Errors
///
/// What `setsockopt(2)` says.
pub fn set_receive_buffer(socket: &socket2::Socket, octets: usize) -> io::Result<usize> {
    let wanted = c_int::try_from(octets).unwrap_or(c_int::MAX);
    // The first is for the privileged and knows no limit.
    if set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted).is_err() {
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, wanted)?;
    }
    // The kernel doubles what it is told, for its own book-keeping, and tells the double (socket(7)).
    Ok(socket.recv_buffer_size()? / 2)
}

/// Make the allocator give big arrays back to the system when they are freed.
///
/// glibc raises its own threshold whenever a big block is freed, so that a long-lived loader would keep two or three
/// generations of a list resident. Call it once, before the first thread starts.
pub fn tune_allocator() {
    #[cfg(target_env = "gnu")]
    {
        /// Blocks from here on are mapped by themselves, and unmapped when freed, octets.
        const MAP_OCTETS_MIN: c_int = 1 << 20;
        /// Free octets at the heap's end that are kept for the next allocation.
        const KEEP_OCTETS_MAX: c_int = 1 << 20;
        /// Heaps: the query path allocates nothing, so threads need none each, and every heap keeps holes.
        const ARENAS_MAX: c_int = 2;
        // SAFETY: mallopt takes two numbers, and refuses values that it does not like.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAP_OCTETS_MIN);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP_OCTETS_MAX);
            libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
        }
    }
}

/// Give free memory back to the system, as after a reload; takes some milliseconds, so not on a worker.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and locks what it needs.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keep the whole large pages of a slice that is filled and stays as it is in pages of that size: the processor then finds what it reads by one
/// look into its own table. Takes no more memory. A system that will not or can not leaves all as it was.
pub fn advise_large_pages<T>(slice: &[T]) {
    /// Octets of a large page on most processors; where they are others, the system declines.
    const LARGE_PAGE_OCTETS: usize = 2 << 20;
    let begin = slice.as_ptr().cast_mut().cast::<libc::c_void>();
    let skip = begin.align_offset(LARGE_PAGE_OCTETS);
    let octets = size_of_val(slice).saturating_sub(skip) / LARGE_PAGE_OCTETS * LARGE_PAGE_OCTETS;
    if octets == 0 {
        return;
    }
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_COLLAPSE] {
        // SAFETY: whole pages inside a slice that is borrowed meanwhile; what they hold stays the same.
        unsafe { libc::madvise(begin.wrapping_byte_add(skip), octets, advice) };
    }
}

/// The two sides of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was there, with the other's process id.
    Parent(i32),
    /// The new one.
    Child,
}

/// Split the process in two. Call it while there is one thread only: no other comes along, whatever it holds locked.
///
/// # Errors
///
/// What `fork(2)` says.
pub fn fork() -> io::Result<Side> {
    // SAFETY: with one thread, as demanded above, the child finds every lock free and may do anything. It shares open
    // descriptors with the parent, as any process does with the one that started it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid)),
    }
}

/// Take over a descriptor that the process was started with; once for each, and from nobody who owns it already.
///
/// # Errors
///
/// There is no such descriptor.
pub fn take_descriptor(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: this call takes a number and only looks it up.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    // SAFETY: it is open, as just seen; by the contract above nobody else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A time of this place: year, month (from 1), day, hour, minute, second.
///
/// The first call reads the system's time zone, which a chroot may hide; so call it before.
pub fn local_time(unix_s: i64) -> [i32; 6] {
    // SAFETY: `tm` is plain numbers and a pointer that is only written; all zeros are valid.
    let mut tm: libc::tm = unsafe { mem::zeroed() };
    let time = unix_s as libc::time_t;
    // SAFETY: both pointers are those of living values. The environment, which names the zone, is not changed by
    // this program.
    unsafe { libc::localtime_r(&raw const time, &raw mut tm) };
    [tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec]
}

/// Memory of the allocator, KiB: its heaps, what is free in them, and blocks mapped by themselves.
pub fn allocator_kib() -> [usize; 3] {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallinfo2 takes nothing, locks what it needs and gives numbers.
        let info = unsafe { libc::mallinfo2() };
        [info.arena, info.fordblks, info.hblkhd].map(|octets| octets >> 10)
    }
    #[cfg(not(target_env = "gnu"))]
    [0; 3]
}

#[cfg(test)]
#[path = "ffi_tests.rs"]
mod tests;

/// Bring an element of a slice into the cache, if there is such an element: a hint that costs one instruction and
/// waits for nothing.
#[inline]
pub fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = slice.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction reads nothing and can not fault; the pointer comes from a reference besides.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}
