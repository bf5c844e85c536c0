//! Addresses, prefixes, domain names and URLs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use serde::de::{Deserializer, Error as _};

use super::scalar::{Scalar, each, one};
use crate::feed::joe_job::webhook::check_url;
use crate::wire::name::Name;

/// One address with its port.
fn read_address(value: Scalar) -> Result<SocketAddr, String> {
    let Scalar::Text(text) = value else {
        return value.wrong("an address with its port, such as \"127.0.0.1:53\" or \"[::1]:53\"");
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    Err(match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => format!("{text:?} has no port; write {:?}", SocketAddr::new(ip, 53).to_string()),
        Err(_) => {
            format!(
                "{text:?} is no address with a port, such as \"127.0.0.1:53\" or \"[::1]:53\"; host names are not looked up"
            )
        }
    })
}

/// An address with its port.
pub(in crate::config) fn address<'de, D: Deserializer<'de>>(source: D) -> Result<SocketAddr, D::Error> {
    one(source, read_address)
}

/// An address with its port.
pub(in crate::config) fn optional_address<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<SocketAddr>, D::Error> {
    address(source).map(Some)
}

/// Addresses with their ports, none twice.
pub(in crate::config) fn addresses<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<SocketAddr>, D::Error> {
    let list = each(source, read_address)?;
    for (at, address) in list.iter().enumerate() {
        // Port 0 asks for any free port, so two of them are two.
        if address.port() != 0 && list[..at].contains(address) {
            return Err(D::Error::custom(format!("{address} is named twice; remove one")));
        }
    }
    Ok(list)
}

/// Prefixes; an address alone is itself.
pub(in crate::config) fn prefixes<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<IpNet>, D::Error> {
    each(source, |value| {
        let expected = "a prefix, such as \"192.0.2.0/24\" or \"2001:db8::/32\"";
        let Scalar::Text(text) = &value else { return value.wrong(expected) };
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match net {
            Ok(net) if net.addr() == net.network() => Ok(net),
            Ok(net) => Err(format!("{text:?} has bits below its prefix; write {:?}", net.trunc().to_string())),
            Err(_) => value.wrong(expected),
        }
    })
}

/// A code that is answered, within 127.0.0.0/8 (RFC 5782 section 2.1); empty for none.
pub(in crate::config) fn code<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Ipv4Addr>, D::Error> {
    one(source, |value| match &value {
        Scalar::Text(text) if text.is_empty() => Ok(None),
        Scalar::Text(text) => match text.parse::<Ipv4Addr>() {
            Ok(code) if code.is_loopback() => Ok(Some(code)),
            _ => value.wrong("an address in 127.0.0.0/8, such as \"127.0.1.255\", or \"\" for none"),
        },
        _ => value.wrong("an address in 127.0.0.0/8, such as \"127.0.1.255\", or \"\" for none"),
    })
}

/// A domain name in lower case. Stricter than zone files, which pass over empty labels: in settings those are slips.
fn read_name(value: Scalar) -> Result<Name, String> {
    let Scalar::Text(text) = value else {
        return value.wrong("a domain name, such as \"bl.example.org\"");
    };
    let no_name = |why: &str| Err(format!("{text:?} is no domain name: {why}"));
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return no_name(if odd.is_ascii() {
            "it holds a blank or a control character"
        } else {
            "it holds a letter outside ASCII; write the name in its ASCII form (xn--…)"
        });
    }
    if text.contains("..") || (text.starts_with('.') && text.len() > 1) {
        return no_name("it has an empty label; remove the extra dot");
    }
    match text.parse::<Name>() {
        Ok(name) => Ok(name.to_lower()),
        Err(error) => no_name(&error.to_string()),
    }
}

/// The name of a zone: any but the root.
pub(in crate::config) fn zone_name<'de, D: Deserializer<'de>>(source: D) -> Result<Name, D::Error> {
    one(source, |value| match read_name(value)? {
        name if name == Name::root() => {
            Err("the root zone can not be served as a list; name a zone below it, such as \"bl.example.org\""
                .to_owned())
        }
        name => Ok(name),
    })
}

/// Domain names.
pub(in crate::config) fn names<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Name>, D::Error> {
    each(source, read_name)
}

/// A domain name.
pub(in crate::config) fn optional_name<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Name>, D::Error> {
    one(source, |value| read_name(value).map(Some))
}

/// A mail address as a name (RFC 1035 section 8): `a.b@example.org` is `a\.b.example.org`; a name stays as it is.
pub(in crate::config) fn mailbox<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Name>, D::Error> {
    one(source, |value| {
        let name = match value {
            Scalar::Text(text) => match text.rsplit_once('@') {
                Some(("", _) | (_, "" | ".")) => {
                    return Err(format!("{text:?} is no mail address; expected \"hostmaster@example.org\""));
                }
                Some((local, domain)) => {
                    Scalar::Text(format!("{}.{domain}", local.replace('\\', "\\\\").replace('.', "\\.")))
                }
                None => Scalar::Text(text),
            },
            other => return other.wrong("a mail address, such as \"hostmaster@example.org\""),
        };
        read_name(name).map(Some)
    })
}

/// Where reports are posted to; empty for nowhere.
pub(in crate::config) fn webhook<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text) if text.is_empty() => Ok(None),
        Scalar::Text(text) => check_url(&text).map(|()| Some(text)),
        other => other.wrong("a URL, such as \"https://hooks.example.org/joe-job\", or \"\" for none"),
    })
}
