//! What an answer depends on besides the question and the data, and what is told of it besides its octets.

use std::net::IpAddr;

use super::extras::CookiePolicy;
use crate::wire::cookie::Standing;
use crate::wire::edns::Edns;

/// Datagrams that every client takes, octets (RFC 1035 section 4.2.1).
const UDP_SIZE_MIN: u16 = 512;

/// How a query came; decides sizes, truncation and what a transfer request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// A datagram (RFC 1035 section 4.2.1).
    Udp,
    /// A TCP stream (RFC 7766).
    Tcp,
    /// A TLS stream (RFC 7858).
    Tls,
    /// A stream of a QUIC connection (RFC 9250).
    Quic,
    /// A request over HTTPS, whatever its version (RFC 8484).
    Https,
}

impl Transport {
    /// Whether it carries messages of any length, so that none is truncated: everything but a datagram.
    pub const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether nobody on the way can read it; what pads answers (RFC 8467).
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Quic | Self::Https)
    }
}

/// What the answer depends on besides the question and the data.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Source address of the query.
    pub client: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// Counts up with each query, so that record sets rotate.
    pub rotation: u32,
    /// Seconds since 1970, of which the upper bits do not matter; looked at only where [`Prepared::has_cookie`](super::answer::Prepared::has_cookie).
    pub time_s: u32,
    /// How long an idle connection is kept, in units of 100 ms, for clients that ask (RFC 7828); `None` where there is none,
    /// or where that is not said in DNS: over UDP, QUIC and HTTPS.
    pub keepalive: Option<u16>,
    /// What the operator decided for all zones.
    pub policy: &'a Policy,
}

impl Context<'_> {
    /// Octets that the answer to a query with this EDNS may take.
    #[inline]
    pub(super) fn size_max(&self, edns: Option<Edns>) -> u16 {
        match (self.transport, edns) {
            (Transport::Udp, None) => UDP_SIZE_MIN,
            (Transport::Udp, Some(edns)) => {
                edns.udp_size.clamp(UDP_SIZE_MIN, self.policy.udp_size_max.max(UDP_SIZE_MIN))
            }
            _ => u16::MAX,
        }
    }
}

/// The operator's choices for every answer; see `[dns]` in the settings.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Largest UDP answer and the size advertised in EDNS, octets, 512–4096.
    pub udp_size_max: u16,
    /// Put the zone's NS records into the authority section of positive answers, as rbldnsd does.
    pub authority: bool,
    /// Answer ANY with every record set even over UDP, as rbldnsd does.
    pub any_in_full: bool,
    /// Text for `version.bind` and `version.server`; `None` refuses.
    pub version: Option<String>,
    /// Text for `id.server`, `hostname.bind` and NSID; `None` refuses.
    pub server_id: Option<String>,
    /// How cookies are handled; `None` passes over them.
    pub cookies: Option<CookiePolicy>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { udp_size_max: 1232, authority: false, any_in_full: false, version: None, server_id: None, cookies: None }
    }
}

/// What to do with a message, and what to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Say nothing.
    Drop(Dropped),
    /// Send the first `len` octets of the buffer.
    Reply {
        /// Octets of the reply.
        len: usize,
        /// What was matched, for the counters.
        note: Note,
    },
}

/// Why a message got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dropped {
    /// Shorter than a header.
    Short,
    /// A response; answering it could start a loop.
    Response,
    /// An access rule says so.
    Policy,
    /// Source port 0, or another source that can not be answered.
    Source,
    /// Its network has been sent too much.
    Rate,
}

/// What was asked and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The zone's slot in the statistics; 0 is "no zone of ours".
    pub zone_slot: u16,
    /// Query type, host order; 0 where none could be read.
    pub qtype: u16,
    /// Response code, extended bits included (BADVERS is 16).
    pub rcode: u16,
    /// Whether the subject is listed.
    pub listed: Listed,
    /// Whether TC was set.
    pub truncated: bool,
    /// What the client's cookie proves.
    pub cookie: Standing,
}

/// Whether the question met a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Listed {
    /// Not a question about an entry: apex, error, chaos.
    NotAsked,
    /// At least one dataset lists the subject.
    Yes,
    /// None does.
    No,
}
