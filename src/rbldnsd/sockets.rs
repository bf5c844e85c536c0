//! `-b address[/port]`: what it means, and sockets for it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::options::Family;
use crate::serve::listen::ListenError;

/// The port where none is given (`domain`, RFC 1035 section 4.2).
const PORT: u16 = 53;
/// Where services have their names (services(5)).
const SERVICES: &str = "/etc/services";

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The address.
    pub address: SocketAddr,
    /// It was not asked for by itself: the IPv4 side of `::`, which rbldnsd serves with the same socket.
    pub by_the_way: bool,
}

/// All addresses that the options mean, each once. The error is what rbldnsd says, without its name.
pub fn resolve(options: &[String], family: Option<Family>) -> Result<Vec<Wanted>, String> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for option in options {
        let (host, port) = option.split_once('/').unwrap_or((option, ""));
        if host.is_empty() && option.starts_with('/') {
            return Err(format!("missing host part in bind address `{option}'"));
        }
        let port = port_number(port).ok_or_else(|| format!("{option}: Servname not supported for ai_socktype"))?;
        for address in addresses(host, port, family).map_err(|why| format!("{option}: {why}"))? {
            if !wanted.iter().any(|known| known.address == address) {
                wanted.push(Wanted { address, by_the_way: false });
            }
        }
    }
    // A socket on `::` hears IPv4 as well, where the system is left as it comes; ours does not, so there is another.
    let both: Vec<u16> = wanted
        .iter()
        .filter(|one| one.address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED))
        .map(|one| one.address.port())
        .collect();
    for port in both {
        let taken = wanted.iter().any(|one| one.address.is_ipv4() && one.address.port() == port);
        if !taken && family != Some(Family::V6) {
            wanted.push(Wanted { address: (Ipv4Addr::UNSPECIFIED, port).into(), by_the_way: true });
        }
    }
    Ok(wanted)
}

/// A port number or the name of a service.
fn port_number(text: &str) -> Option<u16> {
    match text {
        "" | "domain" => Some(PORT),
        _ if text.bytes().all(|octet| octet.is_ascii_digit()) => text.parse().ok(),
        _ => fs::read_to_string(SERVICES).ok()?.lines().find_map(|line| service(line, text)),
    }
}

/// The port of a line of `services`, if it is of this name and for UDP.
fn service(line: &str, name: &str) -> Option<u16> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let (first, port) = (words.next()?, words.next()?.strip_suffix("/udp")?);
    (first == name || words.any(|alias| alias == name)).then(|| port.parse().ok())?
}

/// The addresses of a host.
fn addresses(host: &str, port: u16, family: Option<Family>) -> Result<Vec<SocketAddr>, String> {
    let fits = |address: &SocketAddr| match family {
        None => true,
        Some(Family::V4) => address.is_ipv4(),
        Some(Family::V6) => address.is_ipv6(),
    };
    if host == "*" {
        let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        return Ok(all.map(|ip| SocketAddr::new(ip, port)).into_iter().filter(fits).collect());
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        let address = SocketAddr::new(ip, port);
        let other = || "Address family for hostname not supported".to_owned();
        return if fits(&address) { Ok(vec![address]) } else { Err(other()) };
    }
    // An empty name means this host to the resolver, which nobody wants to have said with it.
    let unknown = || "Name or service not known".to_owned();
    if host.is_empty() {
        return Err(unknown());
    }
    let found = (host, port).to_socket_addrs().map_err(|error| plain(&error))?;
    let found: Vec<SocketAddr> = found.filter(fits).collect();
    if found.is_empty() { Err(unknown()) } else { Ok(found) }
}

/// `address/port`, as rbldnsd writes it.
pub fn shown(address: SocketAddr) -> String {
    format!("{}/{}", address.ip(), address.port())
}

/// Why an address can not be had, in the system's words.
pub fn refusal(error: &ListenError) -> String {
    match error {
        ListenError::InUse { .. } => "Address already in use".to_owned(),
        ListenError::Permission { .. } => "Permission denied".to_owned(),
        ListenError::NotAvailable { .. } => "Cannot assign requested address".to_owned(),
        ListenError::Other { error, .. } | ListenError::Thread { error, .. } => plain(error),
    }
}

/// An error of the system in its own words alone.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    text.rsplit_once(" (os error ").map_or(text, |(words, _)| words).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_addresses_mean() {
        let check = |options: &[&str], family, expected: Result<&[&str], &str>| {
            let options: Vec<String> = options.iter().map(ToString::to_string).collect();
            let found = resolve(&options, family)
                .map(|wanted| wanted.iter().map(|one| shown(one.address)).collect::<Vec<String>>());
            let expected = expected.map(|all| all.iter().map(ToString::to_string).collect()).map_err(str::to_owned);
            assert_eq!(found, expected, "{options:?} {family:?}");
        };
        check(&["127.0.0.1"], None, Ok(&["127.0.0.1/53"]));
        check(&["127.0.0.1/", "127.0.0.1/domain"], None, Ok(&["127.0.0.1/53"]));
        check(&["127.0.0.1/5300", "::1/5300"], None, Ok(&["127.0.0.1/5300", "::1/5300"]));
        check(&["localhost/5300"], Some(Family::V4), Ok(&["127.0.0.1/5300"]));
        check(&["*/5300"], None, Ok(&["0.0.0.0/5300", "::/5300"]));
        check(&["::/5300"], None, Ok(&["::/5300", "0.0.0.0/5300"]));
        check(&["::/5300"], Some(Family::V6), Ok(&["::/5300"]));
        check(&["/5300"], None, Err("missing host part in bind address `/5300'"));
        check(&["::1/5300"], Some(Family::V4), Err("::1/5300: Address family for hostname not supported"));
        check(&["127.0.0.1/nosuch"], None, Err("127.0.0.1/nosuch: Servname not supported for ai_socktype"));
        check(&["127.0.0.1/5300/1"], None, Err("127.0.0.1/5300/1: Servname not supported for ai_socktype"));
        check(&["127.0.0.1:5300"], None, Err("127.0.0.1:5300: Name or service not known"));
        check(&[""], None, Err(": Name or service not known"));
    }

    #[test]
    fn services_have_ports() {
        assert_eq!(service("domain\t53/udp\t# names", "domain"), Some(53));
        assert_eq!(service("mdns 5353/udp zeroconf", "zeroconf"), Some(5353));
        for line in ["domain 53/tcp", "# domain 53/udp", "other 53/udp", ""] {
            assert_eq!(service(line, "domain"), None, "{line}");
        }
    }

    #[test]
    fn the_system_speaks_plainly() {
        assert_eq!(plain(&io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(plain(&io::Error::other("words")), "words");
    }
}
