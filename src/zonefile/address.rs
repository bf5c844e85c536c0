//! Addresses, prefixes and ranges at the beginning of a line, in every form that rbldnsd reads.

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::Fault;

/// Octets that may stand right behind an address.
#[inline]
fn ends_key(next: Option<&u8>) -> bool {
    matches!(next, None | Some(b' ' | b'\t' | b':' | b'#' | b';'))
}

/// A cursor over a line.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The whole line.
    pub line: &'a [u8],
    /// The octet to look at next.
    pub at: usize,
}

impl<'a> Scan<'a> {
    /// From an octet of a line on.
    pub fn new(line: &'a [u8], at: usize) -> Self {
        Self { line, at }
    }

    /// The next octet.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    /// Take the next octet if it is this one.
    #[inline]
    pub fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    /// Pass over blanks and tabs; says whether there were any.
    #[inline]
    pub fn skip_blanks(&mut self) -> bool {
        let start = self.at;
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.at > start
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        &self.line[self.at.min(self.line.len())..]
    }

    /// A decimal number up to `max`; leading zeros are decimal too.
    #[inline]
    pub fn number(&mut self, max: u32) -> Result<u32, Fault> {
        let digit = |at: usize| self.line.get(at).map_or(10, |c| u32::from(c.wrapping_sub(b'0')));
        // One or two digits are the common case.
        let (first, second) = (digit(self.at), digit(self.at + 1));
        if first <= 9 && second > 9 && first <= max {
            self.at += 1;
            return Ok(first);
        }
        if first <= 9 && second <= 9 && digit(self.at + 2) > 9 && 10 * first + second <= max {
            self.at += 2;
            return Ok(10 * first + second);
        }
        self.long_number(max)
    }

    /// The same for any number of digits.
    fn long_number(&mut self, max: u32) -> Result<u32, Fault> {
        let start = self.at;
        let mut value = 0u32;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value * 10 + u32::from(digit - b'0');
            if value > max {
                return Err(Fault::new(start, format!("a number over {max}")));
            }
            self.at += 1;
        }
        if self.at == start { Err(Fault::new(start, "expected a number")) } else { Ok(value) }
    }

    /// A decimal number of 32 bits.
    pub fn number_u32(&mut self) -> Result<u32, Fault> {
        let start = self.at;
        let digits = self.rest().iter().take_while(|octet| octet.is_ascii_digit()).count();
        self.at += digits;
        std::str::from_utf8(&self.line[start..self.at])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Fault::new(start, "expected a number of at most 4294967295"))
    }

    /// Four octets of one to three digits, the common form; `None` leaves everything to [`Scan::octets`].
    #[inline]
    fn four_octets(&mut self) -> Option<u32> {
        let (mut at, mut address) = (self.at, 0u32);
        for n in 0..4 {
            let mut octet = u32::from(self.line.get(at)?.wrapping_sub(b'0'));
            if octet > 9 {
                return None;
            }
            at += 1;
            while let Some(digit) =
                self.line.get(at).map(|c| u32::from(c.wrapping_sub(b'0'))).filter(|&digit| digit <= 9)
            {
                octet = octet * 10 + digit;
                at += 1;
                if octet > 255 {
                    return None;
                }
            }
            address = address << 8 | octet;
            if n < 3 {
                if self.line.get(at) != Some(&b'.') {
                    return None;
                }
                at += 1;
            }
        }
        self.at = at;
        Some(address)
    }

    /// One to four octets with dots between them, left-aligned; and how many.
    #[inline]
    pub fn octets(&mut self) -> Result<(u32, u32), Fault> {
        match self.four_octets() {
            Some(address) => Ok((address, 4)),
            None => self.some_octets(),
        }
    }

    /// The same, one octet after another.
    #[cold]
    fn some_octets(&mut self) -> Result<(u32, u32), Fault> {
        let mut address = 0;
        let mut count = 0;
        loop {
            let octet = self.number(255)?;
            address |= octet << (24 - 8 * count);
            count += 1;
            if count == 4 || self.peek() != Some(b'.') {
                return Ok((address, count));
            }
            self.at += 1;
        }
    }

    /// The end of an address: what follows must be no part of it.
    fn end_of_key(&self, what: &'static str) -> Result<(), Fault> {
        if ends_key(self.line.get(self.at)) {
            return Ok(());
        }
        Err(Fault::new(self.at, what).hint("a blank or `:` ends an address"))
    }
}

/// The address on a line that consists of one complete IPv4 address in its plain form; any other line is read by
/// [`ip4`], at five times the cost.
#[inline]
pub fn plain_ip4(line: &[u8]) -> Option<u32> {
    // "255.255.255.255" is the longest.
    if line.len() > 15 {
        return None;
    }
    let (mut address, mut octet, mut digits, mut dots) = (0u32, 0u32, 0u32, 0u32);
    for &character in line {
        let digit = character.wrapping_sub(b'0');
        if digit <= 9 {
            octet = octet * 10 + u32::from(digit);
            digits += 1;
        } else if character == b'.' && octet <= 255 && digits.wrapping_sub(1) < 3 {
            address = address << 8 | octet;
            (octet, digits) = (0, 0);
            dots += 1;
        } else {
            return None;
        }
        if digits > 3 {
            return None;
        }
    }
    (dots == 3 && octet <= 255 && digits > 0).then_some(address << 8 | octet)
}

/// An IPv4 prefix or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip4Key {
    /// A prefix.
    Net(Ipv4Net),
    /// A range, both ends included.
    Range(Ipv4Addr, Ipv4Addr),
}

/// Which forms of an IPv4 key a dataset takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip4Forms {
    /// Addresses, prefixes from /1 on, ranges.
    Set,
    /// Addresses and prefixes.
    Trie,
    /// Complete addresses.
    Hosts,
}

/// Read an IPv4 key.
#[inline]
pub fn ip4(scan: &mut Scan<'_>, forms: Ip4Forms, mask_host_bits: bool) -> Result<Ip4Key, Fault> {
    let start = scan.at;
    let (address, count) = scan.octets()?;
    match scan.peek() {
        Some(b'/') if forms != Ip4Forms::Hosts => {
            scan.at += 1;
            let at = scan.at;
            let len = scan.number(32)?;
            scan.end_of_key("a prefix length must be a number up to 32")?;
            if len == 0 && forms == Ip4Forms::Set {
                return Err(Fault::new(at, "ip4set takes no /0").hint("use ip4trie, or 0/1 and 128/1"));
            }
            net(start, address, len as u8, mask_host_bits).map(Ip4Key::Net)
        }
        Some(b'-') if forms == Ip4Forms::Set => {
            scan.at += 1;
            let at = scan.at;
            let (end, end_count) = scan.octets()?;
            scan.end_of_key("bad end of a range")?;
            let host_bits = u32::MAX.checked_shr(8 * count).unwrap_or(0);
            let end = if end_count == count {
                end
            } else if end_count == 1 {
                // The last octet alone: 1.4.6.6-9 is 1.4.6.6-1.4.6.9.
                let last = 8 * (count - 1);
                address & !(u32::MAX >> last) | end >> last
            } else {
                return Err(Fault::new(at, "the ends of a range have different lengths")
                    .hint("write both ends in full, or only the last octet of the second"));
            };
            let end = end | host_bits;
            if end < address {
                return Err(Fault::new(at, "the range ends before it begins"));
            }
            Ok(Ip4Key::Range(address.into(), end.into()))
        }
        _ => {
            scan.end_of_key("this is no IPv4 address")?;
            if count == 4 {
                // A /32 is always a valid length.
                return net(start, address, 32, false).map(Ip4Key::Net);
            }
            if forms == Ip4Forms::Hosts {
                return Err(Fault::new(start, "ip4tset takes complete addresses only").hint("use ip4set or ip4trie"));
            }
            if count == 1 {
                return Err(Fault::new(start, "one number alone is no address").hint("write 10/8 or 10.0.0.0/8"));
            }
            net(start, address, 8 * count as u8, false).map(Ip4Key::Net)
        }
    }
}

/// A prefix, its host bits checked or masked.
#[inline]
fn net(at: usize, address: u32, len: u8, mask_host_bits: bool) -> Result<Ipv4Net, Fault> {
    let host_bits = u32::MAX.checked_shr(len.into()).unwrap_or(0);
    if address & host_bits != 0 && !mask_host_bits {
        let network = Ipv4Addr::from(address & !host_bits);
        return Err(Fault::new(at, "host bits are set below the prefix").hint(format!("write {network}/{len}")));
    }
    Ipv4Net::new((address & !host_bits).into(), len).map_err(|_| Fault::new(at, "a prefix length over 32"))
}

/// Which forms of an IPv6 key a dataset takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip6Forms {
    /// Addresses and prefixes.
    Trie,
    /// Four words: a /64.
    Network,
    /// A complete address.
    Host,
}

/// Read an IPv6 key.
pub fn ip6(scan: &mut Scan<'_>, forms: Ip6Forms, mask_host_bits: bool) -> Result<Ipv6Net, Fault> {
    let start = scan.at;
    let (address, words, compressed) = ip6_words(scan)?;
    let whole = words == 8 || compressed;
    if forms == Ip6Forms::Trie && scan.eat(b'/') {
        let at = scan.at;
        let len = scan.number(128)?;
        scan.end_of_key("a prefix length must be a number up to 128")?;
        let host_bits = u128::MAX.checked_shr(len).unwrap_or(0);
        if address & host_bits != 0 && !mask_host_bits {
            let network = std::net::Ipv6Addr::from(address & !host_bits);
            return Err(Fault::new(start, "host bits are set below the prefix").hint(format!("write {network}/{len}")));
        }
        return ip6_net(at, address & !host_bits, len);
    }
    if !matches!(scan.peek(), None | Some(b' ' | b'\t' | b'#' | b';')) {
        let (message, hint) = match scan.peek() {
            Some(b':') if words == 8 => ("more than eight words", "a blank must stand before a value"),
            Some(b':') => ("a second `::`, or a `:` too many", "`::` may stand once"),
            Some(b'.') => ("an IPv4 tail", "write the last 32 bits as two words"),
            Some(b'%') => ("a zone id", "leave it out"),
            _ => ("this is no IPv6 address", "a blank ends an address"),
        };
        return Err(Fault::new(scan.at, message).hint(hint));
    }
    match forms {
        Ip6Forms::Trie if whole => ip6_net(start, address, 128),
        Ip6Forms::Trie if words >= 2 => ip6_net(start, address, 16 * words),
        Ip6Forms::Trie => Err(Fault::new(start, "one word alone is no address").hint("write 2001::/16")),
        Ip6Forms::Network if words == 4 && !compressed => ip6_net(start, address, 64),
        Ip6Forms::Network => {
            Err(Fault::new(start, "ip6tset lists /64s only").hint("write exactly four words, such as 2001:db8:0:1"))
        }
        Ip6Forms::Host if whole => ip6_net(start, address, 128),
        Ip6Forms::Host => Err(Fault::new(start, "ip6tset excepts complete addresses only")),
    }
}

/// A prefix whose length was checked.
fn ip6_net(at: usize, address: u128, len: u32) -> Result<Ipv6Net, Fault> {
    Ipv6Net::new(address.into(), len as u8).map_err(|_| Fault::new(at, "a prefix length over 128"))
}

/// Words of an IPv6 address: the address, left-aligned; how many words; whether `::` stood among them.
fn ip6_words(scan: &mut Scan<'_>) -> Result<(u128, u32, bool), Fault> {
    let start = scan.at;
    let (mut head, mut tail) = (0u128, 0u128);
    let (mut head_words, mut tail_words) = (0u32, 0u32);
    let mut compressed = false;
    if scan.rest().starts_with(b"::") {
        scan.at += 2;
        compressed = true;
        if !scan.peek().is_some_and(|octet| octet.is_ascii_hexdigit()) {
            return Ok((0, 0, true));
        }
    }
    loop {
        let word = ip6_word(scan)?;
        if compressed {
            tail = tail << 16 | u128::from(word);
            tail_words += 1;
        } else {
            head |= u128::from(word) << (112 - 16 * head_words);
            head_words += 1;
        }
        let words = head_words + tail_words;
        if compressed && words == 8 {
            return Err(Fault::new(start, "`::` with eight words around it"));
        }
        if words == 8 || scan.peek() != Some(b':') {
            break;
        }
        match scan.line.get(scan.at + 1) {
            Some(b':') if !compressed => {
                scan.at += 2;
                compressed = true;
                if !scan.peek().is_some_and(|octet| octet.is_ascii_hexdigit()) {
                    break;
                }
            }
            Some(octet) if octet.is_ascii_hexdigit() => scan.at += 1,
            _ => break,
        }
    }
    Ok((head | tail, head_words + tail_words, compressed))
}

/// One word: hexadecimal digits up to ffff; as in rbldnsd, zeros may stand before it.
fn ip6_word(scan: &mut Scan<'_>) -> Result<u16, Fault> {
    let start = scan.at;
    let mut word = 0u32;
    while let Some(digit) = scan.peek().and_then(|octet| char::from(octet).to_digit(16)) {
        word = word << 4 | digit;
        scan.at += 1;
        if word > 0xffff {
            return Err(Fault::new(start, "a word over ffff"));
        }
    }
    if scan.at == start {
        return Err(Fault::new(start, "this is no IPv6 address"));
    }
    Ok(word as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an IPv4 key reads as, or the column of the fault.
    fn read4(text: &str, forms: Ip4Forms) -> Result<String, usize> {
        let mut scan = Scan::new(text.as_bytes(), 0);
        match ip4(&mut scan, forms, false) {
            Ok(Ip4Key::Net(net)) => Ok(net.to_string()),
            Ok(Ip4Key::Range(first, last)) => Ok(format!("{first}-{last}")),
            Err(fault) => Err(fault.at),
        }
    }

    #[test]
    fn ip4_keys_are_read_as_rbldnsd_reads_them() {
        let cases: [(&str, Result<&str, usize>); 30] = [
            ("1.2.3.4", Ok("1.2.3.4/32")),
            ("1.2.3", Ok("1.2.3.0/24")),
            ("1.2 x", Ok("1.2.0.0/16")),
            ("10", Err(0)),
            ("11/8", Ok("11.0.0.0/8")),
            ("1.5/16", Ok("1.5.0.0/16")),
            ("1.9.11.0/31", Ok("1.9.11.0/31")),
            ("1.4.5.6-1.4.5.9", Ok("1.4.5.6-1.4.5.9")),
            ("1.4.6.6-9", Ok("1.4.6.6-1.4.6.9")),
            ("1.4.7-9", Ok("1.4.7.0-1.4.9.255")),
            ("1.5-6", Ok("1.5.0.0-1.6.255.255")),
            ("12-13", Ok("12.0.0.0-13.255.255.255")),
            ("010.011.012.013", Ok("10.11.12.13/32")),
            ("1.9.1.256", Err(6)),
            ("1.9.2.0/33", Err(8)),
            ("0/0", Err(2)),
            ("0/1", Ok("0.0.0.0/1")),
            ("128-255", Ok("128.0.0.0-255.255.255.255")),
            ("1.9.4.9-1.9.4.3", Err(8)),
            ("1.9.5.1-1.9.5", Err(8)),
            ("1.9.6.1 - 1.9.6.5", Ok("1.9.6.1/32")),
            ("1.9.7.0/255.255.255.0", Err(8)),
            ("1.9.8.*", Err(6)),
            ("1.9.10.1,1.9.10.2", Err(8)),
            ("1.9.11.5/31", Err(0)),
            ("1.9.14.1#comment", Ok("1.9.14.1/32")),
            ("1.9.16.1:7:x", Ok("1.9.16.1/32")),
            ("1.9.23.1.", Err(8)),
            ("1.9.24..1", Err(7)),
            ("2001:db8::1", Err(0)),
        ];
        for (text, expected) in cases {
            assert_eq!(read4(text, Ip4Forms::Set).as_deref().map_err(|&at| at), expected, "{text}");
        }
        assert_eq!(read4("0/0", Ip4Forms::Trie).as_deref(), Ok("0.0.0.0/0"));
        assert_eq!(read4("1.2.3.4-1.2.3.9", Ip4Forms::Trie), Err(7));
        assert_eq!(read4("1.2.3.4", Ip4Forms::Hosts).as_deref(), Ok("1.2.3.4/32"));
        assert_eq!(read4("1.2.3.4/32", Ip4Forms::Hosts), Err(7));
    }

    #[test]
    fn the_short_way_agrees_with_the_long_one() {
        for text in [
            "1.2.3.4",
            "0.0.0.0",
            "255.255.255.255",
            "010.011.012.013",
            "0001.2.3.4",
            "1.2.3.256",
            "999.2.3.4",
            "1.2.3",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "1.2.3.4.5",
            "1.2.3.4 ",
            "1.2.3.4:5",
            "1.2.3.4/8",
            "",
            "1",
            "1234567890",
            "a.b.c.d",
        ] {
            let long = read4(text, Ip4Forms::Hosts).ok().filter(|_| !text.ends_with(' ') && !text.contains(':'));
            let short = plain_ip4(text.as_bytes()).map(|address| format!("{}/32", Ipv4Addr::from(address)));
            // The short way may leave a rare form to the long one, never the reverse.
            assert!(short.is_none() || short == long, "{text}: {short:?} {long:?}");
            assert_eq!(short.is_some(), long.is_some() && !text.starts_with("000"), "{text}");
        }
    }

    #[test]
    fn ip6_keys_are_read_as_rbldnsd_reads_them_and_garbage_is_not() {
        let cases: [(&str, Ip6Forms, Option<&str>); 28] = [
            ("2001:21ab:c000/36", Ip6Forms::Trie, Some("2001:21ab:c000::/36")),
            ("2001:db8:1:2 :3:x", Ip6Forms::Trie, Some("2001:db8:1:2::/64")),
            ("2001:db8:3:: :5", Ip6Forms::Trie, Some("2001:db8:3::/128")),
            ("2001:db8:2:0:0:0:0:1", Ip6Forms::Trie, Some("2001:db8:2::1/128")),
            ("::1 # c", Ip6Forms::Trie, Some("::1/128")),
            ("::", Ip6Forms::Trie, Some("::/128")),
            ("::/0", Ip6Forms::Trie, Some("::/0")),
            ("0/0", Ip6Forms::Trie, Some("::/0")),
            ("2001", Ip6Forms::Trie, None),
            ("2001:db8:4::1/64", Ip6Forms::Trie, None),
            ("2001:db8:6::/129", Ip6Forms::Trie, None),
            ("2001:DB8:7::/48", Ip6Forms::Trie, Some("2001:db8:7::/48")),
            ("2001:db8:8:1:2:3:4:5:6", Ip6Forms::Trie, None),
            ("2001:db8:9::1::2", Ip6Forms::Trie, None),
            ("2001:db8:9:::2", Ip6Forms::Trie, None),
            ("2001:db8:a::1.2.3.4", Ip6Forms::Trie, None),
            ("2001:db8:c:12345::/64", Ip6Forms::Trie, None),
            ("2001:db8:c:00001::/64", Ip6Forms::Trie, Some("2001:db8:c:1::/64")),
            ("1.2.3.4", Ip6Forms::Trie, None),
            ("2001:db8:d:0:/64", Ip6Forms::Trie, None),
            ("fe80::1%eth0", Ip6Forms::Trie, None),
            ("1:2:3:4:5:6:7::", Ip6Forms::Trie, Some("1:2:3:4:5:6:7:0/128")),
            ("1:2:3:4:5:6:7:8::", Ip6Forms::Trie, None),
            ("2001:db8:0:1", Ip6Forms::Network, Some("2001:db8:0:1::/64")),
            ("2001:db8:0:1/64", Ip6Forms::Network, None),
            ("2001:db8::1", Ip6Forms::Network, None),
            ("2001:db8::1", Ip6Forms::Host, Some("2001:db8::1/128")),
            ("2001:db8:0:1", Ip6Forms::Host, None),
        ];
        for (text, forms, expected) in cases {
            let got = ip6(&mut Scan::new(text.as_bytes(), 0), forms, false).ok().map(|net| net.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        }
    }
}
