//! The world's HTTP side: settings to options.

use crate::config::{self, Settings};
use crate::http::public::{ForwardedHeader, PublicOptions, Security};
use crate::serve::limits::ConnectionCaps;
use crate::serve::stream::StreamOptions;

/// How the public listener serves; `None` where it is not enabled.
pub(super) fn options(settings: &Settings, security: Option<Security>) -> Option<PublicOptions> {
    let public = &settings.public;
    public.enabled.then(|| PublicOptions {
        listen: public.listen,
        trusted_proxies: public.trusted_proxies.clone(),
        forwarded_header: match public.forwarded_header {
            config::ForwardedHeader::XForwardedFor => ForwardedHeader::XForwardedFor,
            config::ForwardedHeader::Forwarded => ForwardedHeader::Forwarded,
        },
        idle_ms_max: public.idle_ms_max.into(),
        request_ms_max: public.request_ms_max.into(),
        lifetime_ms_max: StreamOptions::default().lifetime_ms_max,
        requests_per_connection_max: public.requests_per_connection_max.into(),
        caps: ConnectionCaps {
            total: public.connections_max as usize,
            host: public.connections_per_host_max as usize,
            net: public.connections_per_net_max as usize,
        },
        security,
    })
}
