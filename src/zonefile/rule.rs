//! Lines of an `acl`: a client network and what becomes of its queries, or a default for the lines after it.
//!
//! `127.0.0.0/8 :refuse`, `2001:db8::/32 :9:listed, $`, `:empty`. Behind the network stands an action, as `:word` or
//! `=word` in any case, or a value as in the lists, with which everything is listed.

use super::address::{self, Ip6Forms, Scan};
use super::reader::{LineOptions, ip4_key};
use super::value::{colon_value, text};
use super::{Fault, Line};
use crate::dataset::entry::{Action, EntryText, EntryValue, Key, Rule, Treatment};

/// The actions and how they are written.
const ACTIONS: [(&[u8], Action); 5] = [
    (b"ignore", Action::Ignore),
    (b"blackhole", Action::Ignore),
    (b"refuse", Action::Refuse),
    (b"empty", Action::Empty),
    (b"pass", Action::Pass),
];
/// What may stand behind a network.
const HINT: &str = "write :ignore, :refuse, :empty or :pass, or a value such as `:2:text` that lists everything";

/// Read a line; with it comes what is doubtful about it.
pub(super) fn read<'a>(scan: &mut Scan<'a>, options: LineOptions) -> Result<(Line<'a>, Option<Fault>), Fault> {
    let rest = scan.rest();
    if !rest.starts_with(b"::") && matches!(rest, [b':' | b'=', ..]) {
        let (treatment, doubt) = treatment(scan)?;
        let line = match treatment {
            Treatment::Act(action) => Line::DefaultAction(action),
            Treatment::List(value) => Line::Default(value),
            Treatment::Default => Line::Default(EntryValue::default()),
        };
        return Ok((line, doubt));
    }
    if rest.starts_with(b"!") {
        return Err(Fault::new(scan.at, "an acl has no exclusions").hint("write the network with :pass"));
    }
    let clients = if is_ip6(rest) {
        address::ip6(scan, Ip6Forms::Trie, options.mask_host_bits)?.into()
    } else {
        match ip4_key(scan, address::Ip4Forms::Trie, options) {
            Ok(Key::Ip4Net(net)) => net.into(),
            Ok(_) => return Err(no_network(scan.at)),
            // What was read of a range is an address, so that the fault stands at its dash.
            Err(fault) if scan.line.get(fault.at) == Some(&b'-') => {
                return Err(Fault::new(fault.at, "an acl takes no ranges").hint("write prefixes, such as 192.0.2.0/24"));
            }
            Err(_) if !rest.first().is_some_and(u8::is_ascii_digit) => return Err(no_network(scan.at)),
            Err(fault) => return Err(fault),
        }
    };
    scan.skip_blanks();
    let (treatment, doubt) = treatment(scan)?;
    Ok((Line::Rule(Rule { clients, treatment }), doubt))
}

/// The line begins with something else.
fn no_network(at: usize) -> Fault {
    Fault::new(at, "this is no address of a client").hint("write an IPv4 or IPv6 address or prefix")
}

/// Whether a key is of the form of an IPv6 address: digits, perhaps none, and then a colon.
fn is_ip6(key: &[u8]) -> bool {
    let digits = key.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    key.get(digits) == Some(&b':')
}

/// Read an action or a value, and what is doubtful about it.
fn treatment<'a>(scan: &mut Scan<'a>) -> Result<(Treatment<'a>, Option<Fault>), Fault> {
    let start = scan.at;
    match scan.rest() {
        [] | [b'#' | b';', ..] => Ok((Treatment::Default, None)),
        [sign @ (b':' | b'='), word @ ..] => {
            let len = word.iter().take_while(|octet| octet.is_ascii_alphabetic()).count();
            let ends = matches!(word.get(len), None | Some(b' ' | b'\t' | b':' | b'#' | b';'));
            if let Some(action) = action(&word[..len]).filter(|_| ends) {
                scan.at += 1 + len;
                scan.skip_blanks();
                let doubt = !matches!(scan.rest(), [] | [b'#' | b';', ..]);
                let doubt = doubt.then(|| Fault::new(scan.at, "what stands behind the action is not read"));
                return Ok((Treatment::Act(action), doubt));
            }
            if *sign == b'=' || len > 0 {
                let word = word.iter().take_while(|octet| !octet.is_ascii_whitespace()).copied().collect::<Vec<_>>();
                let message = format!("`{}` is no action", String::from_utf8_lossy(&word));
                return Err(Fault::new(start, message).hint(HINT));
            }
            let value = colon_value(scan).map_err(|fault| fault.hint(HINT))?;
            Ok((Treatment::List(value), None))
        }
        [..] => {
            let own = text(scan);
            // Taken as rbldnsd takes it, but hardly meant.
            let doubt = matches!(own, EntryText::Own(text) if action(text).is_some());
            let hint = "an action begins with a colon; as it stands, everything is listed with this text";
            let doubt = doubt.then(|| Fault::new(start, "this is a text, not an action").hint(hint));
            Ok((Treatment::List(EntryValue { a: None, text: own }), doubt))
        }
    }
}

/// The action of this name, in any case.
fn action(word: &[u8]) -> Option<Action> {
    ACTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, action)| *action)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line as text: what it is, or the column of the fault; and the column of a doubt.
    fn line(text: &str) -> (String, Option<usize>) {
        let mut scan = Scan::new(text.as_bytes(), 0);
        let options = LineOptions { mask_host_bits: false, max_range4: u64::MAX, ttl: None };
        let value = |value: EntryValue<'_>| {
            let a = value.a.map(|a| a.to_string()).unwrap_or_default();
            match value.text {
                EntryText::Default => format!("list {a}"),
                EntryText::Empty => format!("list {a}:"),
                EntryText::Own(text) => format!("list {a}:{}", String::from_utf8_lossy(text)),
            }
        };
        match read(&mut scan, options) {
            Err(fault) => (format!("fault at {}: {}", fault.at, fault.message), None),
            Ok((line, doubt)) => {
                let line = match line {
                    Line::DefaultAction(action) => format!("default {action:?}"),
                    Line::Default(default) => format!("default {}", value(default)),
                    Line::Rule(rule) => {
                        let treatment = match rule.treatment {
                            Treatment::Default => "default".to_owned(),
                            Treatment::Act(action) => format!("{action:?}"),
                            Treatment::List(listed) => value(listed),
                        };
                        format!("{} {treatment}", rule.clients)
                    }
                    Line::Entry(_) | Line::Record(_) => "of another dataset".to_owned(),
                };
                (line, doubt.map(|doubt| doubt.at))
            }
        }
    }

    #[test]
    fn lines_are_read_as_rbldnsd_reads_them() {
        for (text, expected, doubt) in [
            ("127.0.0.1", "127.0.0.1/32 default", None),
            ("127.0.0.1 # c", "127.0.0.1/32 default", None),
            ("127.0.0.1;c", "127.0.0.1/32 default", None),
            ("127.0 :refuse", "127.0.0.0/16 Refuse", None),
            ("127/8 :refuse", "127.0.0.0/8 Refuse", None),
            ("0/0 :refuse", "0.0.0.0/0 Refuse", None),
            ("127.000.000.001:refuse", "127.0.0.1/32 Refuse", None),
            ("127.0.0/24:refuse # comment", "127.0.0.0/24 Refuse", None),
            ("127.0.0.1 :Ignore", "127.0.0.1/32 Ignore", None),
            ("127.0.0.1 =BLACKHOLE;c", "127.0.0.1/32 Ignore", None),
            ("127.0.0.1 =empty", "127.0.0.1/32 Empty", None),
            ("127.0.0.1\t:pass#c", "127.0.0.1/32 Pass", None),
            ("127.0.0.1 :refuse:x", "127.0.0.1/32 Refuse", Some(17)),
            ("127.0.0.1 :refuse junk", "127.0.0.1/32 Refuse", Some(18)),
            ("127.0.0.1 :5", "127.0.0.1/32 list 127.0.0.5", None),
            ("127.0.0.1 :5:", "127.0.0.1/32 list 127.0.0.5:", None),
            ("127.0.0.1 :9:a # b", "127.0.0.1/32 list 127.0.0.9:a # b", None),
            ("127.0.0.1 you are $", "127.0.0.1/32 list :you are $", None),
            ("127.0.0.1 ignore", "127.0.0.1/32 list :ignore", Some(10)),
            ("::1", "::1/128 default", None),
            ("::1#x", "::1/128 default", None),
            ("::/0 :refuse", "::/0 Refuse", None),
            ("::/0:refuse", "::/0 Refuse", None),
            ("2001:DB8:1 :5:x", "2001:db8:1::/48 list 127.0.0.5:x", None),
            ("abcd::/16 =pass", "abcd::/16 Pass", None),
            (":refuse", "default Refuse", None),
            ("=refuse # c", "default Refuse", None),
            (":pass", "default Pass", None),
            (":5:default $", "default list 127.0.0.5:default $", None),
            ("127.0.0.1 :nosuch", "fault at 10: `nosuch` is no action", None),
            ("127.0.0.1 :refused", "fault at 10: `refused` is no action", None),
            ("127.0.0.1 :refuse,x", "fault at 10: `refuse,x` is no action", None),
            ("127.0.0.1 =5:x", "fault at 10: `5:x` is no action", None),
            ("127.0.0.1 = pass", "fault at 10: `` is no action", None),
            ("127.0.0.1 : refuse", "fault at 11: bad address in a value", None),
            ("127.0.0.1 :0:x", "fault at 11: 0 is no answer", None),
            ("127.0.0.1 :9 junk", "fault at 13: something stands between the address and the text of a value", None),
            (":nosuch", "fault at 0: `nosuch` is no action", None),
            ("127.0.0.1=refuse", "fault at 9: this is no IPv4 address", None),
            ("!127.0.0.1 :refuse", "fault at 0: an acl has no exclusions", None),
            ("127.0.0.1-5 :refuse", "fault at 9: an acl takes no ranges", None),
            ("127.0.0.0-127.0.0.9", "fault at 9: an acl takes no ranges", None),
            ("127 :refuse", "fault at 0: one number alone is no address", None),
            ("127.0.0.1/8 :refuse", "fault at 0: host bits are set below the prefix", None),
            ("127.0.0.1/33", "fault at 10: a number over 32", None),
            ("::ffff:127.0.0.1 :refuse", "fault at 10: an IPv4 tail", None),
            ("::1:refuse", "fault at 3: a second `::`, or a `:` too many", None),
            ("::/0=refuse", "fault at 4: a prefix length must be a number up to 128", None),
            ("client.example :pass", "fault at 0: this is no address of a client", None),
        ] {
            assert_eq!(line(text), (expected.to_owned(), doubt), "{text}");
        }
    }
}
