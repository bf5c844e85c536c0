//! Reading single values: addresses, names, durations, words, numbers.
//!
//! serde's own readers say "invalid type: string, expected u16". These take any value first and then say in the
//! operator's words what was expected; the key and the position are added by `place`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::feed::SourceType;
use super::listing::FeedMode;
use super::place::nearest;
use super::public::ForwardedHeader;
use super::schema::{AnyAnswer, Authority, OnExpire, Workers};
use super::tls::TlsVersion;
use crate::dataset::Kind;
use crate::feed::Format;
use crate::feed::joe_job::webhook::check_url;
use crate::wire::name::Name;

/// The longest TTL, s (RFC 2181 section 8), and so the longest duration in the settings.
pub(super) const SECONDS_MAX: u32 = i32::MAX as u32;
/// Octets of one character-string in a TXT record (RFC 1035 section 3.3).
const TEXT_LEN_MAX: usize = 255;
/// Most UDP threads for each address; more than any machine has use for.
const WORKERS_MAX: i64 = 256;

/// A value before anything is expected of it.
enum Scalar {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Flag(bool),
    /// An array, its content passed over.
    Array,
    /// A table or a date, its content passed over.
    Table,
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Array => f.write_str("an array"),
            Self::Table => f.write_str("a table or a date"),
        }
    }
}

impl Scalar {
    /// The error for a value that is not what its key wants.
    fn wrong<T>(&self, expected: impl fmt::Display) -> Result<T, String> {
        Err(format!("{self} will not do; expected {expected}"))
    }
}

/// Takes any value and reads it with the function it holds; within the visit, so that an error stands at the value.
struct One<T>(fn(Scalar) -> Result<T, String>);

impl<T> One<T> {
    /// Read a value.
    fn read<E: serde::de::Error>(self, value: Scalar) -> Result<T, E> {
        (self.0)(value).map_err(E::custom)
    }
}

impl<'de, T> Visitor<'de> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        self.read(Scalar::Text(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<T, E> {
        self.read(Scalar::Integer(n))
    }

    fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<T, E> {
        self.read(Scalar::Float(n))
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<T, E> {
        self.read(Scalar::Flag(flag))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.read(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.read(Scalar::Table)
    }
}

impl<'de, T> DeserializeSeed<'de> for One<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<T, D::Error> {
        source.deserialize_any(self)
    }
}

/// Read one value with `read`.
fn one<'de, D: Deserializer<'de>, T>(source: D, read: fn(Scalar) -> Result<T, String>) -> Result<T, D::Error> {
    source.deserialize_any(One(read))
}

/// Reads an array, each element by the function it holds.
struct List<T>(fn(Scalar) -> Result<T, String>);

impl<'de, T> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array in brackets")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Err(E::custom(format!("expected an array; put the value into brackets: [{text:?}]")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(One(self.0))? {
            list.push(item);
        }
        Ok(list)
    }
}

/// `true` or `false`.
pub(super) fn flag<'de, D: Deserializer<'de>>(source: D) -> Result<bool, D::Error> {
    one(source, |value| match value {
        Scalar::Flag(flag) => Ok(flag),
        other => other.wrong("true or false"),
    })
}

/// A whole number from `MIN` to `MAX`.
pub(super) fn number<'de, D, T, const MIN: i64, const MAX: i64>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    one(source, |value| match value {
        Scalar::Integer(n) if (MIN..=MAX).contains(&n) => T::try_from(n).map_err(|_| format!("{n} is too large")),
        other => other.wrong(format_args!("a whole number from {MIN} to {MAX}")),
    })
}

/// A number of workers or `"auto"`.
pub(super) fn workers<'de, D: Deserializer<'de>>(source: D) -> Result<Workers, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text) if text == "auto" => Ok(Workers::Auto),
        Scalar::Integer(n @ 1..=WORKERS_MAX) => Ok(Workers::Count(n as u16)),
        other => other.wrong(format_args!("\"auto\" or a whole number from 1 to {WORKERS_MAX}")),
    })
}

/// A duration of at least `MIN` seconds.
pub(super) fn seconds<'de, D: Deserializer<'de>, const MIN: u32>(source: D) -> Result<u32, D::Error> {
    one(source, |value| {
        let n = duration(&value)?;
        if n < MIN { value.wrong(format_args!("a duration of at least {MIN} s")) } else { Ok(n) }
    })
}

/// `"never"` or a duration.
pub(super) fn expiry<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    one(source, |value| match &value {
        Scalar::Text(text) if text == "never" => Ok(None),
        _ => match duration(&value) {
            Ok(0) => value.wrong("\"never\" or a duration of at least 1 s"),
            Ok(n) => Ok(Some(n)),
            Err(message) => Err(format!("{message}, or \"never\"")),
        },
    })
}

/// Thousandths of a number that has at most three places behind the point.
fn thousandths(value: &Scalar, max: i64) -> Option<i64> {
    let milli = match value {
        Scalar::Integer(n) => n.checked_mul(1000)?,
        // As near as a number of 52 bits comes to it.
        Scalar::Float(n) if n.abs() < 1e9 && (n * 1000.0 - (n * 1000.0).round()).abs() < 1e-6 => {
            (n * 1000.0).round() as i64
        }
        _ => return None,
    };
    (0..=max).contains(&milli).then_some(milli)
}

/// Points, as thousandths.
pub(super) fn points<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    one(source, |value| match thousandths(&value, 1_000_000) {
        Some(milli) => Ok(milli),
        None => value.wrong("points from 0 to 1000, with at most three places behind the point"),
    })
}

/// A part of one, as thousandths.
pub(super) fn fraction<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    one(source, |value| match thousandths(&value, 1000) {
        Some(milli) => Ok(milli),
        None => value.wrong("a number from 0 to 1, with at most three places behind the point"),
    })
}

/// Durations of listings, at least one.
pub(super) fn terms<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u32>, D::Error> {
    let list = source.deserialize_any(List(|value| duration(&value)))?;
    if list.is_empty() || list.contains(&0) {
        return Err(D::Error::custom(
            "expected at least one duration, none of them 0, such as [\"7d\", \"14d\", \"28d\"]",
        ));
    }
    Ok(list)
}

/// What the feeder does with listings.
pub(super) fn feed_mode<'de, D: Deserializer<'de>>(source: D) -> Result<FeedMode, D::Error> {
    one(source, |value| match &value {
        Scalar::Text(text) if text == "list" => Ok(FeedMode::List),
        Scalar::Text(text) if text == "observe" => Ok(FeedMode::Observe),
        _ => value.wrong("\"list\" or \"observe\""),
    })
}

/// Whole seconds, or a number with one of the units that `$TTL` knows too.
fn duration(value: &Scalar) -> Result<u32, String> {
    let read = match value {
        Scalar::Integer(n) => u32::try_from(*n).ok(),
        Scalar::Text(text) => {
            let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
                Some(at) => text.split_at(at),
                None => (text.as_str(), "s"),
            };
            let unit_s = match unit {
                "s" => Some(1u32),
                "m" => Some(60),
                "h" => Some(3_600),
                "d" => Some(86_400),
                "w" => Some(604_800),
                _ => None,
            };
            unit_s.and_then(|unit_s| digits.parse::<u32>().ok()?.checked_mul(unit_s))
        }
        _ => None,
    };
    match read {
        Some(n) if n <= SECONDS_MAX => Ok(n),
        _ => value.wrong(format_args!(
            "whole seconds up to {SECONDS_MAX}, or a string of one number and one unit: \"35m\", \"1h\", \"2d\", \"1w\""
        )),
    }
}

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
pub(super) fn address<'de, D: Deserializer<'de>>(source: D) -> Result<SocketAddr, D::Error> {
    one(source, read_address)
}

/// Addresses with their ports, none twice.
pub(super) fn addresses<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<SocketAddr>, D::Error> {
    let list = source.deserialize_any(List(read_address))?;
    for (at, address) in list.iter().enumerate() {
        // Port 0 asks for any free port, so two of them are two.
        if address.port() != 0 && list[..at].contains(address) {
            return Err(D::Error::custom(format!("{address} is named twice; remove one")));
        }
    }
    Ok(list)
}

/// A file or directory.
fn read_path(value: Scalar) -> Result<PathBuf, String> {
    match value {
        Scalar::Text(text) if !text.is_empty() => Ok(text.into()),
        other => other.wrong("a path"),
    }
}

/// A file or directory.
pub(super) fn path<'de, D: Deserializer<'de>>(source: D) -> Result<PathBuf, D::Error> {
    one(source, read_path)
}

/// Files.
pub(super) fn paths<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<PathBuf>, D::Error> {
    source.deserialize_any(List(read_path))
}

/// A text that fits one TXT string.
fn read_text(value: Scalar) -> Result<String, String> {
    match value {
        Scalar::Text(text) if text.len() <= TEXT_LEN_MAX => Ok(text),
        Scalar::Text(text) => Err(format!(
            "the text has {} octets; expected at most {TEXT_LEN_MAX}, as one TXT string holds no more",
            text.len()
        )),
        other => other.wrong("a string"),
    }
}

/// A text that fits one TXT string; the empty one switches off.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    one(source, |value| read_text(value).map(|text| Some(text).filter(|text| !text.is_empty())))
}

/// A code that is answered, within 127.0.0.0/8 (RFC 5782 section 2.1); empty for none.
pub(super) fn code<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Ipv4Addr>, D::Error> {
    one(source, |value| match &value {
        Scalar::Text(text) if text.is_empty() => Ok(None),
        Scalar::Text(text) => match text.parse::<Ipv4Addr>() {
            Ok(code) if code.is_loopback() => Ok(Some(code)),
            _ => value.wrong("an address in 127.0.0.0/8, such as \"127.0.1.255\", or \"\" for none"),
        },
        _ => value.wrong("an address in 127.0.0.0/8, such as \"127.0.1.255\", or \"\" for none"),
    })
}

/// A text that fits one TXT string.
pub(super) fn text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, read_text)
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
pub(super) fn zone_name<'de, D: Deserializer<'de>>(source: D) -> Result<Name, D::Error> {
    one(source, |value| match read_name(value)? {
        name if name == Name::root() => {
            Err("the root zone can not be served as a list; name a zone below it, such as \"bl.example.org\""
                .to_owned())
        }
        name => Ok(name),
    })
}

/// Domain names.
pub(super) fn names<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Name>, D::Error> {
    source.deserialize_any(List(read_name))
}

/// A domain name.
pub(super) fn optional_name<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Name>, D::Error> {
    one(source, |value| read_name(value).map(Some))
}

/// A mail address as a name (RFC 1035 section 8): `a.b@example.org` is `a\.b.example.org`; a name stays as it is.
pub(super) fn mailbox<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Name>, D::Error> {
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

/// One word out of a table.
fn word<T: Copy>(value: Scalar, words: &[(T, &str)]) -> Result<T, String> {
    if let Scalar::Text(text) = &value {
        if let Some((meaning, _)) = words.iter().find(|(_, word)| word == text) {
            return Ok(*meaning);
        }
        if let Some(near) = nearest(text, words.iter().map(|(_, word)| *word)) {
            return Err(format!("{value} is not known; did you mean \"{near}\"?"));
        }
    }
    let all: Vec<String> = words.iter().map(|(_, word)| format!("\"{word}\"")).collect();
    value.wrong(format_args!("one of {}", all.join(", ")))
}

/// A dataset type.
pub(super) fn kind<'de, D: Deserializer<'de>>(source: D) -> Result<Kind, D::Error> {
    one(source, |value| word(value, &Kind::ALL))
}

/// What stands in the authority section.
pub(super) fn authority<'de, D: Deserializer<'de>>(source: D) -> Result<Authority, D::Error> {
    one(source, |value| word(value, &[(Authority::Minimal, "minimal"), (Authority::Full, "full")]))
}

/// The header of trusted proxies.
pub(super) fn forwarded_header<'de, D: Deserializer<'de>>(source: D) -> Result<ForwardedHeader, D::Error> {
    one(source, |value| word(value, &ForwardedHeader::ALL))
}

/// A version of TLS.
pub(super) fn tls_version<'de, D: Deserializer<'de>>(source: D) -> Result<TlsVersion, D::Error> {
    one(source, |value| word(value, &TlsVersion::ALL))
}

/// How ANY is answered.
pub(super) fn any_answer<'de, D: Deserializer<'de>>(source: D) -> Result<AnyAnswer, D::Error> {
    one(source, |value| word(value, &[(AnyAnswer::One, "one"), (AnyAnswer::Full, "full")]))
}

/// What happens to expired data.
pub(super) fn on_expire<'de, D: Deserializer<'de>>(source: D) -> Result<OnExpire, D::Error> {
    one(source, |value| word(value, &[(OnExpire::Keep, "keep"), (OnExpire::Servfail, "servfail")]))
}

/// A number for which `fits` holds, or `false`.
fn ratio(value: Scalar, fits: fn(f64) -> bool, expected: &str) -> Result<Option<f64>, String> {
    let n = match value {
        Scalar::Flag(false) => return Ok(None),
        Scalar::Float(n) => n,
        Scalar::Integer(n) => n as f64,
        other => return other.wrong(expected),
    };
    if n.is_finite() && fits(n) { Ok(Some(n)) } else { value.wrong(expected) }
}

/// The share of the old entries that may go, or `false`.
pub(super) fn shrink<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    one(source, |value| ratio(value, |n| (0.0..=1.0).contains(&n), "a share from 0 to 1, or false"))
}

/// How many times the old entries there may be, or `false`.
pub(super) fn grow<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    one(source, |value| ratio(value, |n| n >= 1.0, "a number of at least 1, or false"))
}

/// A source's type.
pub(super) fn source_type<'de, D: Deserializer<'de>>(source: D) -> Result<SourceType, D::Error> {
    one(source, |value| word(value, &SourceType::ALL))
}

/// A log's format.
pub(super) fn format<'de, D: Deserializer<'de>>(source: D) -> Result<Format, D::Error> {
    one(source, |value| word(value, &Format::ALL))
}

/// A time zone by its name in the IANA database, or `local`.
pub(super) fn time_zone<'de, D: Deserializer<'de>>(source: D) -> Result<TimeZone, D::Error> {
    one(source, |value| {
        let expected = "\"local\", \"UTC\" or the name of a time zone, such as \"Europe/Berlin\"";
        match &value {
            Scalar::Text(text) if text == "local" => Ok(TimeZone::system()),
            Scalar::Text(text) => TimeZone::get(text).or_else(|_| value.wrong(expected)),
            _ => value.wrong(expected),
        }
    })
}

/// A source's name: printable, so that it can stand in a metric, a URL and a log.
pub(super) fn source_name<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text) if (1..=TEXT_LEN_MAX).contains(&text.len()) && !text.contains(char::is_control) => Ok(text),
        other => other.wrong(format_args!("a name of 1 to {TEXT_LEN_MAX} octets")),
    })
}

/// A file.
pub(super) fn optional_path<'de, D: Deserializer<'de>>(source: D) -> Result<Option<PathBuf>, D::Error> {
    path(source).map(Some)
}

/// An address with its port.
pub(super) fn optional_address<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SocketAddr>, D::Error> {
    address(source).map(Some)
}

/// A word: it becomes part of a command.
fn read_word(value: Scalar) -> Result<String, String> {
    match value {
        Scalar::Text(text) if !text.is_empty() && !text.contains(|c: char| c.is_control() || c == ' ') => Ok(text),
        other => other.wrong("a word without blanks"),
    }
}

/// A program's name or path.
pub(super) fn program<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, read_word)
}

/// Words.
pub(super) fn words<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    source.deserialize_any(List(read_word))
}

/// Users' numbers.
pub(super) fn uids<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u32>, D::Error> {
    source.deserialize_any(List(|value| match value {
        Scalar::Integer(n) => u32::try_from(n).map_err(|_| format!("{n} is no user's number")),
        other => other.wrong("a user's number"),
    }))
}

/// Prefixes; an address alone is itself.
pub(super) fn prefixes<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<IpNet>, D::Error> {
    source.deserialize_any(List(|value| {
        let expected = "a prefix, such as \"192.0.2.0/24\" or \"2001:db8::/32\"";
        let Scalar::Text(text) = &value else { return value.wrong(expected) };
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match net {
            Ok(net) if net.addr() == net.network() => Ok(net),
            Ok(net) => Err(format!("{text:?} has bits below its prefix; write {:?}", net.trunc().to_string())),
            Err(_) => value.wrong(expected),
        }
    }))
}

/// Local parts of mail addresses, with `*` at most at the end.
pub(super) fn local_parts<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Box<str>>, D::Error> {
    source.deserialize_any(List(|value| match value {
        Scalar::Text(text) => match text.strip_suffix('*').unwrap_or(&text) {
            stem if !stem.is_empty() && !stem.contains(['*', '@', ' ']) => Ok(text.into()),
            _ => Err(format!(
                "{text:?} will not do; expected what stands before the @, such as \"postmaster\" or \"double-bounce*\""
            )),
        },
        other => other.wrong("a local part, such as \"postmaster\" or \"double-bounce*\""),
    }))
}

/// How many times something, at least once.
pub(super) fn multiple<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    one(source, |value| {
        let expected = "a number from 1 to 1000000";
        let fits = |n: f64| (1.0..=1_000_000.0).contains(&n);
        // `false` is no number here.
        ratio(value, fits, expected)?.ok_or_else(|| format!("false will not do; expected {expected}"))
    })
}

/// Where reports are posted to; empty for nowhere.
pub(super) fn webhook<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text) if text.is_empty() => Ok(None),
        Scalar::Text(text) => check_url(&text).map(|()| Some(text)),
        other => other.wrong("a URL, such as \"https://hooks.example.org/joe-job\", or \"\" for none"),
    })
}

/// An action of Postfix (access(5)): one line that begins with a word.
pub(super) fn action<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    one(source, |value| match value {
        Scalar::Text(text)
            if text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && !text.contains(char::is_control)
                && text.len() <= 500 =>
        {
            Ok(text)
        }
        other => other.wrong("an action of Postfix on one line, such as \"DEFER 4.7.1 try again later\""),
    })
}
