//! Who asks: the address of a client, also where proxies stand before us.
//!
//! A proxy that the operator trusts says in a header for whom it asks. Anybody can send such a header, so it is believed
//! only as far as the chain from us outward consists of trusted proxies: the rightmost address that is none of theirs
//! is the client. Only one header is looked at, the one that the proxies write; another one would come through them
//! untouched from the client.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// The client of a request, as an extension of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress {
    /// Its address; never a trusted proxy's where the proxies name another. An IPv4 address mapped into IPv6 is one of IPv4.
    pub address: IpAddr,
    /// Whether it is known to be the one who asks: not where a trusted proxy is the last that is known, since it asks for somebody
    /// whom it has not named.
    pub certain: bool,
}

/// The header by which trusted proxies name their clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, which nearly every proxy writes.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The older header.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whether an address is that of a trusted proxy.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// The client of a request that `peer` sent.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet], header: ForwardedHeader) -> ClientAddress {
    let mut address = peer.to_canonical();
    if !is_trusted(address, trusted) {
        return ClientAddress { address, certain: true };
    }
    let named = match header {
        ForwardedHeader::XForwardedFor => x_forwarded_for(headers),
        ForwardedHeader::Forwarded => forwarded(headers),
    };
    for hop in named.into_iter().rev() {
        // Hidden, or no address: the proxy that wrote it is the last that is known.
        let Some(named) = hop else { break };
        address = named.to_canonical();
        if !is_trusted(address, trusted) {
            return ClientAddress { address, certain: true };
        }
    }
    ClientAddress { address, certain: false }
}

/// The addresses in all `X-Forwarded-For`, the nearest last; `None` for what is none.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    // Each hop is decoded by itself: what a client wrote before it must not hide what a proxy wrote.
    let hops = lines.flat_map(|line| line.as_bytes().split(|&octet| octet == b','));
    hops.map(|hop| node(std::str::from_utf8(hop).ok()?)).collect()
}

/// The `for` of each element in all `Forwarded` (RFC 7239 section 4), the nearest last; `None` for what is no address.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        // Octets that are no text come only within what is no address.
        let line = String::from_utf8_lossy(line.as_bytes());
        let Some(elements) = split_unquoted(&line, ',') else {
            // A quote that a client did not close runs into what the proxies wrote behind it: nobody knows who wrote what.
            hops.push(None);
            continue;
        };
        for element in elements {
            let named = split_unquoted(element, ';').into_iter().flatten().find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
            });
            hops.push(named.and_then(node));
        }
    }
    hops
}

/// Split at a separator outside of quotes (RFC 9110 section 5.6.4); `None` where a quote is not closed.
fn split_unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let separated = |c: char| {
        let literal = escaped;
        escaped = quoted && !literal && c == '\\';
        quoted ^= c == '"' && !literal;
        c == separator && !quoted
    };
    let parts = text.split(separated).collect();
    (!quoted).then_some(parts)
}

/// An address, perhaps in brackets, perhaps with a port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// The client that these headers give under trust in 10.0.0.0/8 and 2001:db8::/32.
    fn told(peer: &str, lines: &[(&'static str, &str)], header: ForwardedHeader) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            // One octet for each character, as in Latin-1.
            let octets: Vec<u8> = value.chars().map(|c| u8::try_from(c).unwrap()).collect();
            headers.append(*name, HeaderValue::from_bytes(&octets).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let client = client(peer.parse().unwrap(), &headers, &trusted, header);
        assert_eq!(client.certain, !is_trusted(client.address, &trusted), "{lines:?}");
        client.address.to_string()
    }

    #[test]
    fn x_forwarded_for_is_believed_as_far_as_it_is_trusted() {
        let cases: &[(&str, &[&str], &str)] = &[
            // Who is not trusted may say what he likes.
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("::ffff:192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["2001:db9::5"], "2001:db9::5"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Broken and hidden ones end the chain.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db9::5]:4711"], "2001:db9::5"),
            ("10.0.0.1", &["[2001:db9::5]"], "2001:db9::5"),
            // What a client wrote hides nothing of what a proxy wrote.
            ("10.0.0.1", &["\u{ff}, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, \u{ff}", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, \u{e4}"], "10.0.0.1"),
        ];
        for (peer, lines, expected) in cases {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(told(peer, &lines, ForwardedHeader::XForwardedFor), *expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_by_rfc_7239() {
        let cases: &[(&str, &str)] = &[
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db9:cafe::17]:4711\"", "2001:db9:cafe::17"),
            ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
            ("for=192.0.2.43;host=\"a,b;c\", for=10.1.1.1", "192.0.2.43"),
            ("for=192.0.2.43, for=_hidden", "10.0.0.1"),
            ("for=192.0.2.43, for=unknown, for=10.1.1.1", "10.1.1.1"),
            ("proto=https", "10.0.0.1"),
            ("by=\"x\\\", for=192.0.2.43", "10.0.0.1"),
            ("by=\"x\\\",y\", for=192.0.2.43", "192.0.2.43"),
            ("by=\"x\\\\\", for=192.0.2.43", "192.0.2.43"),
            // A quote that is not closed before what a proxy wrote on the same line.
            ("for=198.51.100.9;x=\", for=203.0.113.5", "10.0.0.1"),
            ("for=198.51.100.9;x=\", for=\"[2001:db9::5]\"", "10.0.0.1"),
            ("for=198.51.100.9;x=\"\\, for=203.0.113.5", "10.0.0.1"),
            ("x=\"\u{ff}\", for=203.0.113.5", "203.0.113.5"),
            ("for=\u{ff}, for=203.0.113.5", "203.0.113.5"),
        ];
        for (line, expected) in cases {
            assert_eq!(told("10.0.0.1", &[("forwarded", line)], ForwardedHeader::Forwarded), *expected, "{line}");
        }
    }

    #[test]
    fn the_other_header_is_not_looked_at() {
        let lines = [("forwarded", "for=192.0.2.60"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(told("10.0.0.1", &lines, ForwardedHeader::XForwardedFor), "198.51.100.1");
        assert_eq!(told("10.0.0.1", &lines, ForwardedHeader::Forwarded), "192.0.2.60");
    }
}
