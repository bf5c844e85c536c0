//! Pieces of log text: words, addresses in angle brackets, IP addresses in square brackets. All read from left to right, over octets.
//!
//! A client chooses its HELO name, sender and recipients, so these functions know quoted strings (RFC 5321, section 4.1.2): what stands within
//! quotes never ends an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `text` without `prefix`, if it begins with it.
pub fn after<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(prefix)
}

/// What stands before the first `needle`, and what after it.
pub fn split<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(text, needle)?;
    Some((&text[..at], &text[at + needle.len()..]))
}

/// What stands before the last `needle`, and what after it.
pub fn split_last<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::rfind(text, needle)?;
    Some((&text[..at], &text[at + needle.len()..]))
}

/// Does `text` hold `needle`.
pub fn holds(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

/// The text up to the first space or the end, and what follows the space.
pub fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// Like [`word`], but a space within a quoted string does not end it; `None` where a quote stays open.
pub fn quoted_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = unquoted(text, b' ')?;
    match end {
        Some(at) => Some((&text[..at], &text[at + 1..])),
        None => Some((text, &[])),
    }
}

/// The address in angle brackets at the beginning, and what follows `>`. A `>` within a quoted string does not end it.
pub fn path(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = after(text, b"<")?;
    let end = unquoted(inner, b'>')??;
    Some((&inner[..end], &inner[end + 1..]))
}

/// Where the first `stop` outside quoted strings stands: `Some(None)` if there is none, `None` where a quote stays open.
fn unquoted(text: &[u8], stop: u8) -> Option<Option<usize>> {
    let mut quoted = false;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            octet if octet == stop && !quoted => return Some(Some(at)),
            _ => {}
        }
        at += 1;
    }
    if quoted { None } else { Some(None) }
}

/// An IP address in text; IPv4 in an IPv4-mapped address is IPv4, a leading `IPv6:` (RFC 5321, section 4.1.3) is let go.
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    // The longest spelling of an address has 45 octets, and a zone may follow.
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix("IPv6:").unwrap_or(text);
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(IpAddr::V4(address));
    }
    let text = text.split_once('%').map_or(text, |(address, _zone)| address);
    Some(IpAddr::V6(text.parse::<Ipv6Addr>().ok()?).to_canonical())
}

/// `[address]` or `[address]:port` at the beginning, and what follows.
pub fn bracketed_ip(text: &[u8]) -> Option<(IpAddr, Option<u16>, &[u8])> {
    let inner = after(text, b"[")?;
    let end = memchr::memchr(b']', inner)?;
    let address = ip(&inner[..end])?;
    let rest = &inner[end + 1..];
    match after(rest, b":").map(leading_number) {
        Some(Some((port, rest))) => Some((address, Some(u16::try_from(port).ok()?), rest)),
        _ => Some((address, None, rest)),
    }
}

/// `address:port` or `[address]:port`, the whole text.
pub fn ip_port(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    if text.first() == Some(&b'[') {
        return bracketed_ip(text).filter(|(.., rest)| rest.is_empty()).map(|(address, port, _)| (address, port));
    }
    if let Some(address) = ip(text) {
        return Some((address, None));
    }
    let (address, port) = split_last(text, b":")?;
    Some((ip(address)?, Some(number(port)?)))
}

/// The digits at the beginning as a number, and what follows; at most ten digits.
pub fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take(11).take_while(|octet| octet.is_ascii_digit()).count();
    if digits == 0 || digits > 10 {
        return None;
    }
    let value = text[..digits].iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some((value, &text[digits..]))
}

/// The whole text as a number.
pub fn number<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    let (value, rest) = leading_number(text)?;
    if rest.is_empty() { T::try_from(value).ok() } else { None }
}

/// The reply code at the beginning of a reply (RFC 5321, section 4.2): three digits and then no digit.
pub fn reply_code(text: &[u8]) -> Option<u16> {
    let (code, _) = leading_number(text)?;
    u16::try_from(code).ok().filter(|code| (200..600).contains(code))
}

/// The value of `key=` among words divided by spaces; values in double quotes may hold spaces. `None` if it is not there.
pub fn field<'a>(mut text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    while !text.is_empty() {
        let (item, rest) = quoted_word(text).unwrap_or_else(|| word(text));
        if let Some(value) = after(item, key).and_then(|value| after(value, b"=")) {
            return Some(value);
        }
        text = rest;
    }
    None
}

/// The text without the double quotes around it, if it has them.
pub fn unquote(text: &[u8]) -> &[u8] {
    after(text, b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hide_what_would_end_an_address() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found =
                path(text.as_bytes()).map(|(a, b)| (std::str::from_utf8(a).unwrap(), std::str::from_utf8(b).unwrap()));
            assert_eq!(found, expected, "{text}");
        };
        check("<> rejected", Some(("", " rejected")));
        check("<a@b>: x", Some(("a@b", ": x")));
        check("<\"a> to=<victim@x.test>\"@b> rest", Some(("\"a> to=<victim@x.test>\"@b", " rest")));
        check("<\"a\\\"> H=(t) [8.8.8.8]\"@b>", Some(("\"a\\\"> H=(t) [8.8.8.8]\"@b", "")));
        check("<\"open>", None);
        check("<open", None);
        check("a@b>", None);
    }

    #[test]
    fn addresses_and_ports() {
        let check = |text: &str, expected: Option<(&str, Option<u16>)>| {
            let found = bracketed_ip(text.as_bytes()).map(|(address, port, _)| (address.to_string(), port));
            assert_eq!(found, expected.map(|(a, p)| (a.to_owned(), p)), "{text}");
        };
        check("[127.0.0.1]:25 x", Some(("127.0.0.1", Some(25))));
        check("[127.0.0.1] x", Some(("127.0.0.1", None)));
        check("[127.0.0.1]: reason", Some(("127.0.0.1", None)));
        check("[::ffff:192.0.2.1]:99999", None);
        check("[::ffff:192.0.2.1]", Some(("192.0.2.1", None)));
        check("[IPv6:2001:db8::1]:1", Some(("2001:db8::1", Some(1))));
        check("[fe80::1%eth0]", Some(("fe80::1", None)));
        check("[not an address]", None);
        check("[1.2.3.4", None);
        assert_eq!(ip_port(b"127.0.0.1:50067"), Some(("127.0.0.1".parse().unwrap(), Some(50067))));
        assert_eq!(ip_port(b"[::1]:50067"), Some(("::1".parse().unwrap(), Some(50067))));
        assert_eq!(ip_port(b"unix:/run/smtpd.sock"), None);
    }

    #[test]
    fn fields_with_quoted_values() {
        let text = b"a=1 lr=\"550 no x=2 here\" time=0.1";
        assert_eq!(field(text, b"lr"), Some(&b"\"550 no x=2 here\""[..]));
        assert_eq!(field(text, b"x"), None);
        assert_eq!(field(text, b"time"), Some(&b"0.1"[..]));
    }
}
