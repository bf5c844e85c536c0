//! `[public]`: what the world may reach over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use serde::Deserialize;

use super::place::{Map, Step};
use super::{Settings, SettingsError, values};

/// `[public]`: lookup page and DNS over HTTPS, apart from the operator's HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Public {
    /// Whether it is served at all.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Its address.
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
    /// Whether it speaks TLS itself, with the certificate of `[tls]`.
    #[serde(deserialize_with = "values::flag")]
    pub tls: bool,
    /// Whether it speaks HTTP/3 as well, on the same port over UDP.
    #[serde(deserialize_with = "values::flag")]
    pub http3: bool,
    /// Proxies whose word about their clients is taken.
    #[serde(deserialize_with = "values::prefixes")]
    pub trusted_proxies: Vec<IpNet>,
    /// The header by which they give it.
    #[serde(deserialize_with = "values::forwarded_header")]
    pub forwarded_header: ForwardedHeader,
    /// Longest time without a request under way, ms.
    #[serde(deserialize_with = "values::number::<_, _, 10, 3_600_000>")]
    pub idle_ms_max: u32,
    /// Longest time from a request's head to its answer, ms.
    #[serde(deserialize_with = "values::number::<_, _, 10, 3_600_000>")]
    pub request_ms_max: u32,
    /// Most connections in all.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1_000_000>")]
    pub connections_max: u32,
    /// Most connections from one IPv4 address or IPv6 /64.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1_000_000>")]
    pub connections_per_host_max: u32,
    /// Most connections from one IPv4 /24 or IPv6 /48.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1_000_000>")]
    pub connections_per_net_max: u32,
    /// Most requests on one connection before it is closed.
    #[serde(deserialize_with = "values::number::<_, _, 1, 4_294_967_295>")]
    pub requests_per_connection_max: u32,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8353),
            tls: false,
            http3: false,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            // As DNS over TCP: resolvers that use DoH open a new connection in a round trip or two.
            idle_ms_max: 10_000,
            // Nothing here takes a hundredth of it; a client has so long to send a body.
            request_ms_max: 10_000,
            connections_max: 1_024,
            connections_per_host_max: 32,
            connections_per_net_max: 128,
            requests_per_connection_max: 100_000,
        }
    }
}

/// The header by which proxies name their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// All of them with their names in the settings.
    pub(super) const ALL: [(Self, &'static str); 2] =
        [(Self::XForwardedFor, "x-forwarded-for"), (Self::Forwarded, "forwarded")];
}

/// Check what only the whole tells. Errors: the first thing that can not be.
pub(super) fn check(settings: &Settings, map: &Map<'_>) -> Result<(), SettingsError> {
    let public = &settings.public;
    let listen = public.listen;
    if !public.enabled || listen.port() == 0 {
        return Ok(());
    }
    let path = [Step::Key("public"), Step::Key("listen")];
    if settings.dns.listen.contains(&listen) {
        let message = format!("`listen` in [public] is {listen}, which [dns] takes for TCP; give it another port");
        return Err(map.fault(&path, message));
    }
    if settings.http.enabled && settings.http.listen == listen {
        let message =
            format!("`listen` in [public] is {listen}, which is the operator's in [http]; give it another port");
        return Err(map.fault(&path, message));
    }
    Ok(())
}
