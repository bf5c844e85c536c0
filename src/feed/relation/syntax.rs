//! Is a text an SPF record by the grammar of RFC 7208 section 12? One wrong term makes the whole a permanent error (section 4.6).

/// Octets of a name that a term can lead to.
const NAME_OCTETS_MAX: usize = 253;

/// Check a record. Errors: the first term that is wrong.
pub fn check(record: &[u8]) -> Result<(), String> {
    // Only ASCII is allowed, so anything else is wrong wherever it stands.
    let text = std::str::from_utf8(record).ok().filter(|text| text.is_ascii()).ok_or("it is not ASCII")?;
    let (mut redirects, mut explanations) = (0, 0);
    for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
        let right = match modifier(term) {
            Some((name, value)) => {
                let count = match name.to_ascii_lowercase().as_str() {
                    "redirect" => Some(&mut redirects),
                    "exp" => Some(&mut explanations),
                    _ => None,
                };
                match count {
                    Some(count) => {
                        *count += 1;
                        *count == 1 && domain_spec(value)
                    }
                    None => macro_string(value).is_some(),
                }
            }
            None => mechanism(term.strip_prefix(['+', '-', '~', '?']).unwrap_or(term)),
        };
        if !right {
            return Err(format!("`{}` is no term", term.escape_debug()));
        }
    }
    Ok(())
}

/// A modifier's name and value: a name before the first `=`, and none of the signs that mechanisms have before it.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let mut chars = name.chars();
    let first = chars.next()?.is_ascii_alphabetic();
    (first && chars.all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))).then_some((name, value))
}

/// Is this a mechanism, its qualifier taken off?
fn mechanism(term: &str) -> bool {
    let end = term.find([':', '/']).unwrap_or(term.len());
    let (name, rest) = term.split_at(end);
    match name.to_ascii_lowercase().as_str() {
        "all" => rest.is_empty(),
        "include" | "exists" => rest.strip_prefix(':').is_some_and(domain_spec),
        "ptr" => rest.is_empty() || rest.strip_prefix(':').is_some_and(domain_spec),
        "a" | "mx" => {
            let Some(rest) = without_dual_cidr(rest) else { return false };
            rest.is_empty() || rest.strip_prefix(':').is_some_and(domain_spec)
        }
        "ip4" => rest.strip_prefix(':').is_some_and(|net| network::<std::net::Ipv4Addr>(net, 32)),
        "ip6" => rest.strip_prefix(':').is_some_and(|net| network::<std::net::Ipv6Addr>(net, 128)),
        _ => false,
    }
}

/// Is this an address, with or without a prefix length?
fn network<A: std::str::FromStr>(net: &str, bits: u8) -> bool {
    match net.split_once('/') {
        Some((address, length)) => address.parse::<A>().is_ok() && prefix_length(length, bits),
        None => net.parse::<A>().is_ok(),
    }
}

/// Is this a prefix length: digits without leading zeros?
fn prefix_length(text: &str, bits: u8) -> bool {
    let digits = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    digits && text.parse::<u8>().is_ok_and(|length| length <= bits)
}

/// Take the prefix lengths off the end: `/24`, `//64`, `/24//64`. `None` where they are wrong.
fn without_dual_cidr(text: &str) -> Option<&str> {
    // In a macro a `/` can be a delimiter.
    let tail = text.rfind('}').map_or(0, |at| at + 1);
    let (rest, length6) = match text[tail..].find("//") {
        Some(at) => (&text[..tail + at], Some(&text[tail + at + 2..])),
        None => (text, None),
    };
    let (rest, length4) = match rest[tail.min(rest.len())..].find('/') {
        Some(at) => (&rest[..tail + at], Some(&rest[tail + at + 1..])),
        None => (rest, None),
    };
    let right = length4.is_none_or(|length| prefix_length(length, 32))
        && length6.is_none_or(|length| prefix_length(length, 128));
    right.then_some(rest)
}

/// Is this a domain-spec: a macro-string that ends with a macro or a top label?
fn domain_spec(text: &str) -> bool {
    let Some(ends_with_macro) = macro_string(text) else { return false };
    if text.is_empty() || (!text.contains('%') && text.len() > NAME_OCTETS_MAX) {
        return false;
    }
    if ends_with_macro {
        return true;
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, top)) = text.rsplit_once('.') else { return false };
    let label = !top.is_empty() && top.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    label && !top.starts_with('-') && !top.ends_with('-') && !top.chars().all(|c| c.is_ascii_digit())
}

/// Is this a macro-string (section 7.1)? Tells whether it ends with a macro; `None` where it is none.
fn macro_string(text: &str) -> Option<bool> {
    let (mut rest, mut ends_with_macro) = (text, false);
    while let Some(first) = rest.chars().next() {
        ends_with_macro = first == '%';
        if first != '%' {
            if !first.is_ascii_graphic() {
                return None;
            }
            rest = &rest[1..];
        } else if rest.starts_with("%%") || rest.starts_with("%_") || rest.starts_with("%-") {
            rest = &rest[2..];
        } else {
            let (inside, after) = rest.strip_prefix("%{")?.split_once('}')?;
            let mut chars = inside.chars();
            // `c`, `r` and `t` are for explanations only, which are records of their own.
            chars.next().filter(|c| "slodiphv".contains(c.to_ascii_lowercase()))?;
            let digits = chars.as_str().trim_start_matches(|c: char| c.is_ascii_digit());
            let number = &chars.as_str()[..chars.as_str().len() - digits.len()];
            if number.parse() == Ok(0) {
                return None;
            }
            let delimiters = digits.strip_prefix(['r', 'R']).unwrap_or(digits);
            if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
                return None;
            }
            rest = after;
        }
    }
    Some(ends_with_macro)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn right_and_wrong() {
        for (record, right) in [
            ("v=spf1", true),
            ("v=spf1  a  -all ", true),
            ("v=spf1 +a:mail.example.org/24//64 mx/24 MX:%{d}//64 ~ALL", true),
            ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ip6:::1 ?all", true),
            ("v=spf1 include:_spf.example.org. exists:%{ir}.%{v}._spf.%{d2} -all", true),
            ("v=spf1 exists:%{l1r-}.x.%{d} ptr ptr:example.org redirect=_spf.%{o} exp=e.example.org", true),
            ("v=spf1 unknown-modifier=%{d}.x -all", true),
            ("v=spf1 a:%{h/}/24", true),
            ("v=spf1 ipx:192.0.2.1 +all", false),
            ("v=spf1 ip4:192.0.2.0/33", false),
            ("v=spf1 ip4:192.0.2.0/024", false),
            ("v=spf1 ip4:192.0.2", false),
            ("v=spf1 ip4=192.0.2.1 -all", true),
            ("v=spf1 ip6:192.0.2.1", false),
            ("v=spf1 include -all", false),
            ("v=spf1 include: -all", false),
            ("v=spf1 include:example -all", false),
            ("v=spf1 include:example.123 -all", false),
            ("v=spf1 a/33", false),
            ("v=spf1 a//129", false),
            ("v=spf1 a: -all", false),
            ("v=spf1 all:example.org", false),
            ("v=spf1 -all.", false),
            ("v=spf1 exists:%{x}.example.org", false),
            ("v=spf1 exists:%{d0}.example.org", false),
            ("v=spf1 exists:%{d.example.org", false),
            ("v=spf1 exists:%d.example.org", false),
            ("v=spf1 redirect=a.example redirect=b.example", false),
            ("v=spf1 redirect=", false),
            ("v=spf1 -all, ~all", false),
            ("v=spf1 a\tmx", false),
            ("v=spf1 a:ä.example", false),
        ] {
            assert_eq!(check(record.as_bytes()).is_ok(), right, "{record}: {:?}", check(record.as_bytes()));
        }
        assert!(check(b"v=spf1 a:\xff").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "v=spf1( [-+~?]?(a|mx|include|ip4|ip6|exists|ptr|redirect|exp|x)?[:=/]?[a-z0-9.%{}/+_=-]{0,12}){0,4}") {
            let _ = check(text.as_bytes());
        }

        #[test]
        fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = check(&octets);
        }
    }
}
