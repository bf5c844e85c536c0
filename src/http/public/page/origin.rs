//! Whether a request is for us and from us, by the names that a browser puts into it.
//!
//! A site of somebody else can give its own name our address (DNS rebinding): pages of it then run in the browser of an owner, and ask us as if
//! they were our own. They can not ask in our name, though: `Host` has theirs.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};

/// Whether a request names us: by `site`'s name where that is known, or by an address, which nobody can give to a page of his.
/// `Origin`, where there is one, must be of the same name. Ports do not matter, since a proxy may have other ones.
pub fn is_ours(uri: &Uri, headers: &HeaderMap, site: Option<&str>) -> bool {
    let site = site.and_then(|site| site.parse::<Uri>().ok()).and_then(|site| site.host().map(plain));
    let host = match (uri.host(), headers.get(HOST)) {
        (Some(host), _) => Some(plain(host)),
        (None, Some(header)) => match header.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) {
            Some(authority) => Some(plain(authority.host())),
            None => return false,
        },
        // No browser sends such a request.
        (None, None) => None,
    };
    let named = match (&host, &site) {
        (Some(host), Some(site)) => host == site || host == "localhost" || is_address(host),
        _ => true,
    };
    let origin = match headers.get(ORIGIN).map(|origin| origin.as_bytes()) {
        // `null` is what browsers send for pages that want no referrers, as ours are (Fetch standard, "append a request Origin header").
        None | Some(b"null") => return named,
        Some(origin) => Uri::try_from(origin).ok().and_then(|origin| origin.host().map(plain)),
    };
    named && origin.is_some() && (origin == host || origin == site)
}

/// A host's name as it is compared.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Is it an address, an IPv6 one in brackets?
fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_are_ours() {
        let site = Some("https://bl.example.org");
        for (host, origin, site, expected) in [
            (None, None, site, true),
            (Some("bl.example.org"), None, site, true),
            (Some("BL.example.org.:8353"), None, site, true),
            (Some("192.0.2.1:80"), None, site, true),
            (Some("[2001:db8::1]:80"), None, site, true),
            (Some("localhost:8353"), None, site, true),
            (Some("evil.example"), None, site, false),
            (Some("bl.example.org.evil.example"), None, site, false),
            (Some("a b"), None, site, false),
            (Some("evil.example"), Some("https://evil.example"), site, false),
            (Some("bl.example.org"), Some("https://bl.example.org"), site, true),
            (Some("bl.example.org"), Some("https://evil.example"), site, false),
            (Some("bl.example.org"), Some("null"), site, true),
            (Some("bl.example.org"), Some("?"), site, false),
            // Behind a proxy that asks by an address.
            (Some("127.0.0.1:8353"), Some("https://bl.example.org"), site, true),
            (Some("127.0.0.1:8353"), Some("https://evil.example"), site, false),
            // Where nobody knows our name, the two must be alike.
            (Some("any.example"), None, None, true),
            (Some("any.example"), Some("http://any.example:81"), None, true),
            (Some("any.example"), Some("http://evil.example"), None, false),
        ] {
            let mut headers = HeaderMap::new();
            host.map(|host| headers.insert(HOST, host.parse().unwrap()));
            origin.map(|origin: &str| headers.insert(ORIGIN, origin.parse().unwrap()));
            assert_eq!(is_ours(&Uri::from_static("/"), &headers, site), expected, "{host:?} {origin:?} {site:?}");
        }
        let uri = Uri::from_static("https://evil.example/");
        assert!(!is_ours(&uri, &HeaderMap::new(), site), "HTTP/2");
    }
}
