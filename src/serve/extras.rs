//! What an answer's OPT record says because the client's has options: cookie, keepalive, padding.

use super::answer::{Context, Transport};
use crate::wire::cookie::{Cookie, CookieKeys, FULL_OCTETS, Standing};
use crate::wire::edns::Edns;
use crate::wire::reply::{Opt, Options};

/// How cookies are handled; see `[dns.cookies]` in the settings.
#[derive(Clone, Debug)]
pub struct CookiePolicy {
    /// The secrets.
    pub keys: CookieKeys,
    /// Answer BADCOOKIE over UDP where a client that knows cookies shows no good one.
    pub require: bool,
}

/// What came of a query's cookie.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extras {
    /// What it proves.
    pub standing: Standing,
    /// The one that goes back.
    cookie: Option<[u8; FULL_OCTETS]>,
}

impl Extras {
    /// Look at a query's cookie, if it has one and we look at them.
    #[inline]
    pub fn of(cookie: Option<&Cookie>, context: &Context<'_>) -> Self {
        cookie.map_or_else(Self::default, |cookie| Self::judge(cookie, context))
    }

    /// Look at a cookie.
    #[inline(never)]
    fn judge(cookie: &Cookie, context: &Context<'_>) -> Self {
        let Some(policy) = &context.policy.cookies else { return Self::default() };
        let (standing, full) = policy.keys.judge(cookie, context.client, context.time_s);
        Self { standing, cookie: Some(full) }
    }

    /// Whether the client must come back with the cookie that it gets now. Never over a stream, where it has shown already that it
    /// receives what is sent to its address.
    #[inline]
    pub fn refused(&self, context: &Context<'_>) -> bool {
        matches!(self.standing, Standing::Client | Standing::Invalid)
            && context.transport == Transport::Udp
            && context.policy.cookies.as_ref().is_some_and(|policy| policy.require)
    }

    /// The OPT record of an answer to a query with this EDNS, whose question ends there.
    #[inline]
    pub fn opt<'a>(&'a self, edns: &Edns, question_end: usize, context: &Context<'a>, ede: Option<u16>) -> Opt<'a> {
        let wanted = edns.nsid | edns.keepalive | edns.padding | self.cookie.is_some();
        Opt {
            udp_size: context.policy.udp_size_max,
            dnssec_ok: edns.dnssec_ok,
            ede,
            options: if wanted { Some(self.options(edns, question_end, context)) } else { None },
        }
    }

    /// Its options.
    #[inline(never)]
    fn options<'a>(&'a self, edns: &Edns, question_end: usize, context: &Context<'a>) -> Options<'a> {
        Options {
            nsid: if edns.nsid { self.nsid(edns, question_end, context) } else { None },
            cookie: self.cookie.as_ref(),
            keepalive: if edns.keepalive { context.keepalive } else { None },
            padding: edns.padding && context.transport.is_encrypted(),
        }
    }

    /// The server's identifier, where it fits into the client's datagram with the question and all other options. A long one behind a
    /// long name does not, and goes: nobody depends on it (RFC 5001), but on an answer that arrives.
    #[cold]
    fn nsid<'a>(&self, edns: &Edns, question_end: usize, context: &Context<'a>) -> Option<&'a [u8]> {
        let nsid = context.policy.server_id.as_deref()?.as_bytes();
        let opt = Opt {
            udp_size: 0,
            dnssec_ok: false,
            // Whether there will be one is not known yet.
            ede: Some(0),
            // Neither of the other two over UDP, and elsewhere there is room enough.
            options: Some(Options { nsid: Some(nsid), cookie: self.cookie.as_ref(), keepalive: None, padding: false }),
        };
        let octets = question_end + opt.octets();
        (octets <= usize::from(context.size_max(Some(*edns)))).then_some(nsid)
    }
}

#[cfg(test)]
#[path = "extras_tests.rs"]
mod tests;
