//! The texts' templates: `$`, `$0`–`$9` and the base template `$=` (rbldnsd.8, "Text substitution").

use super::entry::TEXT_LEN_MAX;
use crate::wire::name::write_labels;

/// What `$` stands for.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The address that was asked about, or the client's.
    Ip4(u32),
    /// Likewise.
    Ip6(u128),
    /// The name that is listed: labels in wire form.
    Name(&'a [u8]),
}

/// The templates of one dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// `$=`: what every text is put into.
    pub base: Option<Box<[u8]>>,
    /// `$0` to `$9`.
    pub variables: [Option<Box<[u8]>>; 10],
}

/// A text of bounded length, built without allocation.
#[derive(Debug)]
pub struct Text {
    /// The octets, of which `len` count.
    octets: [u8; TEXT_LEN_MAX],
    /// Octets in use.
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { octets: [0; TEXT_LEN_MAX], len: 0 }
    }
}

impl Text {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// Append, as far as there is room.
    fn push(&mut self, octets: &[u8]) {
        let len = octets.len().min(TEXT_LEN_MAX - self.len);
        self.octets[self.len..self.len + len].copy_from_slice(&octets[..len]);
        self.len += len;
    }

    /// Append an IPv4 address. By hand, as it stands in most texts and formatting takes longer than all the rest of an
    /// answer.
    fn push_ip4(&mut self, address: u32) {
        // Three digits and a dot for each octet.
        let mut text = [b'.'; 16];
        let mut len = 0;
        for octet in address.to_be_bytes() {
            for (least, digit) in [(100, octet / 100), (10, octet / 10 % 10), (0, octet % 10)] {
                if octet >= least {
                    text[len] = b'0' + digit;
                    len += 1;
                }
            }
            len += 1;
        }
        self.push(&text[..len - 1]);
    }

    /// Append what `$` stands for.
    fn push_subject(&mut self, subject: Subject<'_>) {
        // Writing to a `Text` can not fail: what has no room is cut.
        let _ = match subject {
            Subject::Ip4(address) => {
                self.push_ip4(address);
                Ok(())
            }
            Subject::Ip6(address) => write_ip6(self, address),
            Subject::Name(labels) => write_labels(self, labels),
        };
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// Write an IPv6 address as rbldnsd does: lower case, the longest run of two or more zero words compressed, and
/// never a dotted IPv4 tail (RFC 5952 but for its section 5).
pub fn write_ip6(f: &mut impl std::fmt::Write, address: u128) -> std::fmt::Result {
    let words: [u16; 8] = std::array::from_fn(|n| (address >> (112 - 16 * n)) as u16);
    let (mut run, mut run_len) = (8, 1);
    let mut start = 0;
    while start < 8 {
        let len = words[start..].iter().take_while(|&&word| word == 0).count();
        if len > run_len {
            (run, run_len) = (start, len);
        }
        start += len.max(1);
    }
    let mut n = 0;
    while n < 8 {
        if n == run {
            f.write_str("::")?;
            n += run_len;
            continue;
        }
        if n > 0 && n != run + run_len {
            f.write_char(':')?;
        }
        write!(f, "{:x}", words[n])?;
        n += 1;
    }
    Ok(())
}

impl Template {
    /// The text to answer for an entry, or `None` if there is none. `raw` is the entry's own text.
    pub fn expand<'t>(&self, raw: Option<&'t [u8]>, subject: Subject<'_>, text: &'t mut Text) -> Option<&'t [u8]> {
        // A leading `=` bypasses the base template and is not part of the text.
        let (template, own) = match (&self.base, raw) {
            (_, Some([b'='])) => return None,
            (_, Some([b'=', own @ ..])) => (own, Some(own)),
            (Some(base), own) => (&base[..], own),
            (None, Some(own)) => (own, Some(own)),
            (None, None) => return None,
        };
        text.len = 0;
        let mut rest = template;
        while let Some(at) = memchr::memchr(b'$', rest) {
            text.push(&rest[..at]);
            rest = &rest[at + 1..];
            match rest.first() {
                Some(b'$') => text.push(b"$"),
                Some(b'=') => match own {
                    Some(own) => text.push(own),
                    None => text.push_subject(subject),
                },
                Some(digit @ b'0'..=b'9') => match &self.variables[usize::from(digit - b'0')] {
                    Some(variable) => text.push(variable),
                    None => text.push(&[b'$', *digit]),
                },
                _ => {
                    text.push_subject(subject);
                    continue;
                }
            }
            rest = &rest[1..];
        }
        text.push(rest);
        Some(text.as_bytes())
    }

    /// Heap memory, octets.
    pub fn heap_bytes(&self) -> usize {
        self.variables.iter().chain([&self.base]).flatten().map(|text| text.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_expand_as_in_rbldnsd() {
        let bytes = |text: &str| Some(text.as_bytes().into());
        let mut template = Template::default();
        template.variables[1] = bytes("v1 $ $2");
        let check = |template: &Template, raw: Option<&str>, expected: Option<&str>| {
            let mut text = Text::default();
            let got = template.expand(raw.map(str::as_bytes), Subject::Ip4(0x0100_0002), &mut text);
            assert_eq!(got.map(String::from_utf8_lossy).as_deref(), expected, "{raw:?}");
        };
        for (raw, expected) in [
            (None, None),
            (Some("plain"), Some("plain")),
            (Some("$"), Some("1.0.0.2")),
            (Some("$$$ $10 $a $9 x$"), Some("$1.0.0.2 v1 $ $20 1.0.0.2a $9 x1.0.0.2")),
            (Some("=eq $"), Some("eq 1.0.0.2")),
            (Some("==eq"), Some("=eq")),
            (Some("="), None),
            (Some("own $= end"), Some("own own $= end end")),
        ] {
            check(&template, raw, expected);
        }
        template.base = bytes("See $= ($) $1");
        for (raw, expected) in [
            (None, Some("See 1.0.0.2 (1.0.0.2) v1 $ $2")),
            (Some("r $"), Some("See r $ (1.0.0.2) v1 $ $2")),
            (Some("=plain $"), Some("plain 1.0.0.2")),
        ] {
            check(&template, raw, expected);
        }
    }

    #[test]
    fn ip4_text_is_dotted_decimal() {
        for address in [0, 1, 9, 10, 99, 100, 255, 0x0102_0304, 0x0a64_ff09, 0xc000_0201, u32::MAX] {
            let mut text = Text::default();
            text.push_ip4(address);
            assert_eq!(text.as_bytes(), std::net::Ipv4Addr::from(address).to_string().as_bytes());
        }
    }

    #[test]
    fn ip6_text_is_canonical() {
        for (address, expected) in [
            (0u128, "::"),
            (1, "::1"),
            (0x2001_0db8_0000_0000_0000_0000_0000_0000, "2001:db8::"),
            (0x2001_0db8_0001_0001_0001_0001_0000_0001, "2001:db8:1:1:1:1:0:1"),
            (0x2001_0db8_0000_0000_0001_0000_0000_0001, "2001:db8::1:0:0:1"),
            (0x2001_0000_0000_0001_0000_0000_0000_0001, "2001:0:0:1::1"),
            (0x0001_0000_0002_0000_0003_0000_0004_0000, "1:0:2:0:3:0:4:0"),
            (0xffff_0102_0304, "::ffff:102:304"),
        ] {
            let mut text = String::new();
            write_ip6(&mut text, address).unwrap();
            assert_eq!(text, expected);
        }
    }
}
