//! The world's HTTP side: settings to options.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use super::{Failure, listing};
use crate::config::{self, FeedMode, Settings};
use crate::dataset::Kind;
use crate::feed::owner::Records;
use crate::feed::run::start::read_token;
use crate::http::public::page::zones::Shown;
use crate::http::public::page::{Page, PageOptions};
use crate::http::public::{ForwardedHeader, PublicOptions, Security};
use crate::serve::limits::ConnectionCaps;
use crate::serve::stream::StreamOptions;

/// Octets of the secret that tokens of removals are made with.
const SECRET_OCTETS: usize = 32;
/// How the address of a page ends whose listings are explained by us; `$` stands for the address.
const OWN_PAGE: &str = "/lookup/$";

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

/// The lookup page; `None` where it is not enabled. Errors: the token can not be read, or the system gives no random octets.
pub(super) fn page(
    settings: &Settings,
    reader: crate::zone::Reader,
    records: Option<Arc<Records>>,
) -> Result<Option<Arc<Page>>, Failure> {
    if !settings.public.enabled || !settings.public.page.enabled {
        return Ok(None);
    }
    let mut secret = [0; SECRET_OCTETS];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut secret))?;
    Ok(Some(Page::new(page_options(settings)?, reader, records, &secret)))
}

/// What the page goes by. Errors: the token can not be read.
pub(super) fn page_options(settings: &Settings) -> Result<PageOptions, Failure> {
    let page = &settings.public.page;
    let serves_feeder = |zone: &config::Zone| listing::serving(settings).any(|serving| serving.name == zone.name);
    let zones = settings.zones.iter().map(|zone| {
        let feeder = settings.feed.enabled && serves_feeder(zone);
        let own_list = || zone.datasets.iter().any(|dataset| dataset.kind == Kind::Acl);
        let guarded = settings.acl.source().is_some() || own_list();
        (zone.name.clone(), Shown { public: zone.public, feeder, guarded })
    });
    let site = settings.feed.url.as_deref().and_then(|url| url.strip_suffix(OWN_PAGE));
    Ok(PageOptions {
        title: page.title.clone(),
        contact: page.contact.clone(),
        site: site.map(str::to_owned),
        rate: page.rate,
        token: page.token_file.as_deref().map(read_token).transpose()?,
        zones: zones.collect(),
        observe: settings.feed.mode == FeedMode::Observe,
    })
}

/// Are these the same but for what changes at once?
pub(super) fn same(a: &config::Public, b: &config::Public) -> bool {
    let page = config::Page { enabled: a.page.enabled, ..b.page.clone() };
    config::Public { page, ..a.clone() } == *b
}
