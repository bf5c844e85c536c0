//! Special lines: `$SOA`, `$NS`, `$TTL`, `$TIMESTAMP`, `$MAXRANGE4`, `$DATASET`, `$=` and `$0`–`$9`.

use super::Fault;
use super::address::Scan;
use crate::dataset::{Header, Kind, NameServers, Soa};
use crate::wire::name::Name;

/// Name servers of a zone at most: more than fit any UDP answer.
const NAME_SERVERS_MAX: usize = 100;
/// Seconds of the longest time that can be written (RFC 2181 section 8).
pub const TTL_MAX: u32 = i32::MAX as u32;

/// What a special line asks of its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Special<'a> {
    /// It was put into the header, or it repeats what counts once.
    Taken,
    /// `$MAXRANGE4`: IPv4 entries of more addresses are refused from here on.
    MaxRange4(u64),
    /// `$DATASET`: a section of a `combined` file begins.
    Dataset(Section<'a>),
    /// `$TIMESTAMP` is in the future: the file can not be used yet.
    Future,
}

/// The head of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The type as it is written.
    pub kind: &'a [u8],
    /// Where the type stands.
    pub kind_at: usize,
    /// Names below the zone; the root stands for the zone itself (`@`).
    pub names: Vec<Name>,
    /// What is wrong with a name that was left out, or with there being none.
    pub fault: Option<Fault>,
}

/// Where the `$` of a special line stands: at the beginning or behind `#`, `;` or `:`.
#[inline]
pub fn special_at(line: &[u8]) -> Option<usize> {
    match line {
        [b'$', ..] => Some(0),
        [b'#' | b';' | b':', b'$', ..] => Some(1),
        _ => None,
    }
}

/// Whether a special line, behind its `$`, speaks of the whole zone rather than of a section.
pub fn is_of_zone(line: &[u8]) -> bool {
    let word = line.split(|octet| matches!(octet, b' ' | b'\t')).next().unwrap_or_default();
    [&b"SOA"[..], b"NS", b"NAMESERVER", b"TIMESTAMP"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Read the special line whose `$` is the octet before `scan.at`.
pub fn read<'a>(scan: &mut Scan<'a>, header: &mut Header, now: i64) -> Result<Special<'a>, Fault> {
    let start = scan.at;
    let word = word(scan);
    scan.skip_blanks();
    match word {
        [digit @ b'0'..=b'9'] => {
            set_once(&mut header.template.variables[usize::from(digit - b'0')], scan);
            Ok(Special::Taken)
        }
        [b'='] => {
            set_once(&mut header.template.base, scan);
            Ok(Special::Taken)
        }
        _ if word.eq_ignore_ascii_case(b"SOA") => soa(scan, header),
        _ if word.eq_ignore_ascii_case(b"NS") || word.eq_ignore_ascii_case(b"NAMESERVER") => name_servers(scan, header),
        _ if word.eq_ignore_ascii_case(b"TTL") => {
            let ttl = time(scan)?;
            end(scan)?;
            header.ttl = Some(ttl);
            Ok(Special::Taken)
        }
        _ if word.eq_ignore_ascii_case(b"TIMESTAMP") => timestamp(scan, header, now),
        _ if word.eq_ignore_ascii_case(b"MAXRANGE4") => max_range(scan),
        _ if word.eq_ignore_ascii_case(b"DATASET") => section(scan),
        _ => Err(Fault::new(start, format!("unknown special `${}`", String::from_utf8_lossy(word)))
            .hint("there are $SOA, $NS, $TTL, $TIMESTAMP, $MAXRANGE4, $DATASET, $= and $0 to $9")),
    }
}

/// The first definition counts.
fn set_once(slot: &mut Option<Box<[u8]>>, scan: &Scan<'_>) {
    let text = scan.rest();
    if !text.is_empty() {
        slot.get_or_insert_with(|| text.into());
    }
}

/// The next word; empty at the end.
fn word<'a>(scan: &mut Scan<'a>) -> &'a [u8] {
    let start = scan.at;
    while !matches!(scan.peek(), None | Some(b' ' | b'\t')) {
        scan.at += 1;
    }
    &scan.line[start..scan.at]
}

/// Nothing may follow.
fn end(scan: &mut Scan<'_>) -> Result<(), Fault> {
    scan.skip_blanks();
    if scan.rest().is_empty() {
        Ok(())
    } else {
        Err(Fault::new(scan.at, "something follows that does not belong here"))
    }
}

/// A name and the blanks behind it.
fn name(scan: &mut Scan<'_>) -> Result<Name, Fault> {
    let start = scan.at;
    let text = word(scan);
    scan.skip_blanks();
    parse_name(text, start)
}

/// A name in master-file form.
pub fn parse_name(text: &[u8], at: usize) -> Result<Name, Fault> {
    let mut wire = [0; crate::wire::name::NAME_LEN_MAX];
    if text.is_empty() {
        return Err(Fault::new(at, "a name is missing"));
    }
    match crate::wire::name::parse(text, &mut wire) {
        Ok(len) => Ok(Name::from_wire(&wire[..len])),
        Err(error) => Err(Fault::new(at, error.to_string())),
    }
}

/// A time: seconds, or a number with one of `s m h d w`; and the blanks behind it. At most [`TTL_MAX`] s.
pub fn time(scan: &mut Scan<'_>) -> Result<u32, Fault> {
    let start = scan.at;
    // A `:` ends a time too, as in rbldnsd's `-t`.
    while !matches!(scan.peek(), None | Some(b' ' | b'\t' | b':')) {
        scan.at += 1;
    }
    let text = &scan.line[start..scan.at];
    scan.skip_blanks();
    parse_time(text).ok_or_else(|| {
        Fault::new(start, "bad time").hint("write seconds, or a number with s, m, h, d or w, such as 2h")
    })
}

/// A time; `None` if it is none.
pub fn parse_time(text: &[u8]) -> Option<u32> {
    let (digits, unit) = match text {
        [digits @ .., unit] if unit.is_ascii_alphabetic() => (digits, unit.to_ascii_lowercase()),
        _ => (text, b's'),
    };
    let unit = match unit {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        value = value * 10 + u64::from(char::from(*digit).to_digit(10)?);
        if value > u64::from(u32::MAX) {
            return None;
        }
    }
    value = value.checked_mul(unit)?;
    // RFC 2181 section 8: a TTL has 31 bits.
    u32::try_from(value).ok().map(|time| time.min(TTL_MAX))
}

/// The TTL of a `$SOA` or `$NS`: 0 takes the `$TTL` above it.
fn ttl_or_default(ttl: u32, header: &Header) -> u32 {
    if ttl == 0 { header.ttl.unwrap_or(0) } else { ttl }
}

/// `$SOA ttl mname rname serial refresh retry expire minimum`; the first valid one counts.
fn soa<'a>(scan: &mut Scan<'a>, header: &mut Header) -> Result<Special<'a>, Fault> {
    let ttl = ttl_or_default(time(scan)?, header);
    let (mname, rname) = (name(scan)?, name(scan)?);
    let serial = scan.number_u32()?;
    if !scan.skip_blanks() {
        return Err(Fault::new(scan.at, "expected refresh, retry, expire and minimum"));
    }
    let soa = Soa {
        ttl,
        mname,
        rname,
        serial,
        refresh: time(scan)?,
        retry: time(scan)?,
        expire: time(scan)?,
        minimum: time(scan)?,
    };
    end(scan)?;
    header.soa.get_or_insert(soa);
    Ok(Special::Taken)
}

/// `$NS ttl name…`; the first line with a name left counts, and `-name` leaves one out. Of a line with a bad name those
/// before it count.
fn name_servers<'a>(scan: &mut Scan<'a>, header: &mut Header) -> Result<Special<'a>, Fault> {
    let ttl = ttl_or_default(time(scan)?, header);
    let mut names: Vec<Name> = Vec::new();
    if scan.rest().is_empty() {
        return Err(Fault::new(scan.at, "no name server is named"));
    }
    let read = read_servers(scan, &mut names);
    if header.ns.is_none() && !names.is_empty() {
        header.ns = Some(NameServers { ttl, names });
    }
    read.map(|()| Special::Taken)
}

/// The names of a `$NS` line, each once.
fn read_servers(scan: &mut Scan<'_>, names: &mut Vec<Name>) -> Result<(), Fault> {
    while !scan.rest().is_empty() {
        if scan.eat(b'-') {
            // As in rbldnsd it need not be a name.
            word(scan);
            scan.skip_blanks();
            continue;
        }
        let at = scan.at;
        let server = name(scan)?;
        if names.iter().any(|known| known.to_lower() == server.to_lower()) {
            continue;
        }
        if names.len() == NAME_SERVERS_MAX {
            return Err(Fault::new(at, format!("more than {NAME_SERVERS_MAX} name servers")));
        }
        names.push(server);
    }
    Ok(())
}

/// `$MAXRANGE4 N` or `$MAXRANGE4 /len`.
fn max_range<'a>(scan: &mut Scan<'a>) -> Result<Special<'a>, Fault> {
    let at = scan.at;
    let bad = || Fault::new(at, "bad range").hint("write a prefix length such as /24, or a number of addresses");
    let addresses = if scan.eat(b'/') {
        1 << (32 - scan.number(32).map_err(|_| bad())?)
    } else {
        u64::from(scan.number_u32().map_err(|_| bad())?)
    };
    if addresses == 0 {
        return Err(bad());
    }
    end(scan)?;
    Ok(Special::MaxRange4(addresses))
}

/// `$DATASET type[:name] sub… [@]`; a word that begins with `#` or `;` begins a comment.
fn section<'a>(scan: &mut Scan<'a>) -> Result<Special<'a>, Fault> {
    let is_comment = |scan: &Scan<'_>| matches!(scan.peek(), None | Some(b'#' | b';'));
    let kind_at = scan.at;
    let kind: &[u8] = if is_comment(scan) { &[] } else { word(scan) };
    let kind = kind.split(|&octet| octet == b':').next().unwrap_or(kind);
    scan.skip_blanks();
    let (mut names, mut fault) = (Vec::new(), None);
    while !is_comment(scan) {
        let at = scan.at;
        let text = word(scan);
        scan.skip_blanks();
        match if text == b"@" { Ok(Name::root()) } else { parse_name(text, at) } {
            Ok(name) => names.push(name.to_lower()),
            Err(bad) => fault = Some(bad),
        }
    }
    if names.is_empty() {
        fault.get_or_insert_with(|| {
            Fault::new(kind_at, "the section has no name, so that nothing in it is served")
                .hint("name its subzones, or `@` for the zone itself")
        });
    }
    Ok(Special::Dataset(Section { kind, kind_at, names, fault }))
}

/// The type of a section, if it may stand in a `combined` file.
pub fn section_kind(word: &[u8]) -> Option<Kind> {
    let kind: Kind = std::str::from_utf8(word).ok()?.parse().ok()?;
    (!matches!(kind, Kind::Combined | Kind::Acl)).then_some(kind)
}

/// `$TIMESTAMP stamp [expires]`; times are UTC.
fn timestamp<'a>(scan: &mut Scan<'a>, header: &mut Header, now: i64) -> Result<Special<'a>, Fault> {
    let at = scan.at;
    let bad = |at| {
        Fault::new(at, "bad time stamp")
            .hint("write yyyy-mm-dd or yyyy:mm:dd:hh:mi:ss, and an expiry likewise or as +3d")
    };
    let made = stamp(word(scan)).ok_or_else(|| bad(at))?;
    scan.skip_blanks();
    let at = scan.at;
    let expiry = word(scan);
    let expires = match expiry {
        [] => None,
        // A span needs a beginning, and it must not be empty.
        [b'+', span @ ..] => match (made, parse_time(span)) {
            (Some(made), Some(span)) if made > 0 && span > 0 => Some(made + i64::from(span)),
            _ => return Err(bad(at)),
        },
        _ => stamp(expiry).ok_or_else(|| bad(at))?,
    };
    end(scan)?;
    if made.is_some_and(|made| made > now) {
        return Ok(Special::Future);
    }
    header.timestamp = made.or(header.timestamp);
    header.expires = match (header.expires, expires) {
        (Some(known), Some(new)) => Some(known.min(new)),
        (known, new) => known.or(new),
    };
    Ok(Special::Taken)
}

/// A time stamp, seconds since 1970; `Some(None)` for `0` and `-`, which mean none.
fn stamp(text: &[u8]) -> Option<Option<i64>> {
    if text == b"0" || text == b"-" {
        return Some(None);
    }
    let mut rest = text;
    let mut fields = [0i64, 1, 1, 0, 0, 0];
    let mut count = 0;
    while !rest.is_empty() && count < 6 {
        let width = if count == 0 { 4 } else { 2 };
        let len = rest.iter().take(width).take_while(|octet| octet.is_ascii_digit()).count();
        if len == 0 {
            return None;
        }
        let (digits, tail) = rest.split_at(len);
        fields[count] = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        count += 1;
        rest = match tail {
            [b':' | b'-', tail @ ..] => tail,
            _ => tail,
        };
    }
    let [year, month, day, hour, minute, second] = fields;
    let valid_date = year >= 1970 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    let valid = rest.is_empty() && count >= 3 && valid_date && hour < 24 && minute < 60 && second < 60;
    valid.then(|| Some(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// Days of a month.
fn days_of_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_since_1970(next_year, next_month, 1) - days_since_1970(year, month, 1)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months from March on have 31, 30, 31, 30, 31 days over and over: 153 days in five months.
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    // 719 468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time of day in 2026.
    const NOW: i64 = 1_790_000_000;

    /// What a special line does to an empty header.
    fn take(line: &str) -> (Option<Special<'_>>, Header) {
        let mut header = Header::default();
        let special = read(&mut Scan::new(line.as_bytes(), 1), &mut header, NOW).ok();
        (special, header)
    }

    #[test]
    fn times_have_one_unit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("30", Some(30)),
            ("2M", Some(120)),
            ("1h", Some(3600)),
            ("1w", Some(604_800)),
            ("1d2h", None),
            ("5:6", None),
            ("h", None),
            ("", None),
            ("4294967295", Some(TTL_MAX)),
            ("99999w", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn stamps_are_read_in_every_form() {
        for (text, expected) in [
            ("0", Some(None)),
            ("-", Some(None)),
            ("1970-01-01", Some(Some(0))),
            ("2020:01:02", Some(Some(1_577_923_200))),
            ("20200102030405", Some(Some(1_577_923_200 + 11_045))),
            ("2020-02-29-12", Some(Some(1_582_977_600))),
            ("2037:01:01:00:00:00", Some(Some(2_114_380_800))),
            ("2020-13-01", None),
            ("2020-02-30", None),
            ("2021-02-29", None),
            ("2020-12-31-", Some(Some(1_609_372_800))),
            ("2020-12-31--", None),
            ("2020-12-31-23-59-60", None),
            ("1969-12-31", None),
            ("2020", None),
            ("tomorrow", None),
        ] {
            assert_eq!(stamp(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(take("$TIMESTAMP 2030-01-01").0, Some(Special::Future));
        assert_eq!(take("$TIMESTAMP 2020-01-02 +1d").1.expires, Some(1_577_923_200 + 86_400));
        assert_eq!(take("$TIMESTAMP - 2020-01-03").1.expires, Some(1_578_009_600));
        for none in ["$TIMESTAMP 0 -", "$TIMESTAMP 0 +1h", "$TIMESTAMP 2020-01-02 +0", "$TIMESTAMP 1970-01-01 +1h"] {
            assert_eq!(take(none).1.expires, None, "{none}");
        }
    }

    #[test]
    fn soa_and_ns() {
        let (_, header) = take("$SOA 77 ns.Example. h.example. 4294967295 1W 1D 1H 1M");
        let soa = header.soa.unwrap();
        assert_eq!((soa.ttl, soa.serial, soa.refresh, soa.minimum), (77, u32::MAX, 604_800, 60));
        assert_eq!(soa.mname.to_string(), "ns.Example");
        for bad in ["$SOA 0 a. h. 1 1h 1h 1h", "$SOA 0 a. h. 1 1h 1h 1h 1h extra", "$SOA 0 a. h. x 1h 1h 1h 1h"] {
            assert_eq!(take(bad).0, None, "{bad}");
        }
        let names = |line| take(line).1.ns.map(|ns| ns.names.iter().map(Name::to_string).collect::<Vec<_>>());
        assert_eq!(
            names("$NS 60 a.example -b.example c.example A.example"),
            Some(vec!["a.example".into(), "c.example".into()])
        );
        assert_eq!(names("$NAMESERVER 60 -b.example"), None);
        assert_eq!(names("$ns 1d2h a"), None);
        assert_eq!(names("$NS 60 a - b -x\\300 -"), Some(vec!["a".into(), "b".into()]));
        assert_eq!(take("$NS 60 a b\\256 c").0, None);
        assert_eq!(names("$NS 60 a b\\256 c"), Some(vec!["a".into()]));
        assert_eq!(names("$NS 60:0s a"), Some(vec![":0s".into(), "a".into()]));
    }

    #[test]
    fn max_range_and_sections() {
        for (line, expected) in [
            ("$MAXRANGE4 /24", Some(256)),
            ("$MAXRANGE4 16", Some(16)),
            ("$MAXRANGE4 1", Some(1)),
            ("$MAXRANGE4 17", Some(17)),
            ("$MAXRANGE4 0", None),
            ("$MAXRANGE4 x", None),
            ("$MAXRANGE4 /33", None),
            ("$MAXRANGE /24", None),
        ] {
            let got =
                take(line).0.and_then(|special| if let Special::MaxRange4(size) = special { Some(size) } else { None });
            assert_eq!(got, expected, "{line}");
        }
        let Some(Special::Dataset(section)) = take("$DATASET ip4set:proxy Proxies a.b @").0 else {
            panic!("no section")
        };
        assert_eq!(section_kind(section.kind), Some(Kind::Ip4Set));
        assert_eq!(section.names.iter().map(Name::to_string).collect::<Vec<_>>(), ["proxies", "a.b", "."]);
    }
}
