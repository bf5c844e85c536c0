//! What answers look like by the settings, and who gets how many: `[dns]`, `[dns.cookies]` and `[dns.rate-limit]` as options of
//! the modules that do it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::{AnyAnswer, Authority, Cookies, Settings};
use crate::serve::answer::Policy;
use crate::serve::cookie_secrets::{self, SecretsError};
use crate::serve::extras::CookiePolicy;
use crate::serve::rate::RateOptions;

/// What every answer depends on. Errors: the secrets of cookies can not be had.
pub(super) fn policy(settings: &Settings) -> Result<Policy, SecretsError> {
    let dns = &settings.dns;
    Ok(Policy {
        udp_size_max: dns.udp_size_max,
        authority: dns.authority == Authority::Full,
        any_in_full: dns.any == AnyAnswer::Full,
        version: dns.version.clone(),
        server_id: dns.server_id.clone(),
        cookies: cookies(&dns.cookies)?,
    })
}

/// How cookies are handled; a secret is made where no file has any. Errors: the file can not be used.
fn cookies(cookies: &Cookies) -> Result<Option<CookiePolicy>, SecretsError> {
    if !cookies.enabled {
        return Ok(None);
    }
    let keys = cookies.secret_file.as_deref().map_or_else(cookie_secrets::random, cookie_secrets::read)?;
    Ok(Some(CookiePolicy { keys, require: cookies.require }))
}

/// Read the file of secrets again. A bad one changes nothing and is told.
pub(super) fn reread_secrets(settings: &Cookies, policy: &Arc<ArcSwap<Policy>>) {
    // A secret of our own stays as long as the process lives.
    if !settings.enabled || settings.secret_file.is_none() {
        return;
    }
    match cookies(settings) {
        Ok(cookies) => policy.store(Arc::new(Policy { cookies, ..Policy::clone(&policy.load()) })),
        Err(error) => tracing::error!("{error}; the cookie secrets in force stay"),
    }
}

/// How much a network may be sent over UDP; `None` for as much as it asks for.
pub(super) fn rate(settings: &Settings) -> Option<RateOptions> {
    let rate = &settings.dns.rate_limit;
    rate.enabled.then(|| RateOptions {
        octets_per_s: rate.octets_per_s,
        answers_per_s: rate.answers_per_s,
        ipv4_prefix: rate.ipv4_prefix,
        ipv6_prefix: rate.ipv6_prefix,
        slip: rate.slip,
        dry_run: rate.dry_run,
        exempt: rate.exempt.clone(),
        prefixes_max: rate.prefixes_max as usize,
    })
}
