//! Differences in how a line is read: the file as rbldnsd must get it to read what ours reads.
//!
//! Whether a line is meant is told from its text alone, never by asking our own reader.

use dnsbld::dataset::Kind;

use super::generate::{FileText, Labels};
use super::names::labels_of;
use super::oracle::{Class, Hits};

/// The time of a file that rbldnsd gets instead of 0: no serial of the generator's, so that it is known as one.
pub const ITS_FIRST_TIME: u64 = 7;
/// Octets of a line that both servers read.
const LINE_LEN: usize = 64 * 1024;

/// A file as rbldnsd must get it to read what ours reads, and its content.
///
/// `kind_here` is the type of the section that the file before it ended in, and becomes that of this one's end: special
/// lines in its head go on with it.
pub fn for_rbldnsd(kind: Kind, kind_here: &mut Kind, file: &FileText, hits: &mut Hits) -> (FileText, Vec<u8>) {
    let mut hit = |class| *hits.entry(class).or_default() += 1;
    if file.mtime == 0 {
        hit(Class::FileTime);
    }
    if file.bom {
        hit(Class::ByteOrderMark);
    }
    let mut out = Vec::new();
    for (n, line) in file.lines.iter().enumerate() {
        let mut line = line.as_slice();
        let last = n + 1 == file.lines.len();
        if let [head @ .., b'\r'] = line {
            hit(Class::CarriageReturn);
            line = head;
        }
        let text = text_of(line);
        if let Some(section) = section(text).filter(|_| kind == Kind::Combined) {
            *kind_here = section.0.unwrap_or(*kind_here);
        }
        let passed_over = matches!(text, [b'#' | b';', ..]) || special(text).is_some();
        let mended = many_servers(text)
            .map(|(cut, _)| (Class::ManyServers, cut))
            .or_else(|| Some((Class::BadServer, before_bad_server(text)?)))
            .or_else(|| Some((Class::LateTimes, with_early_times(text)?)));
        if let Some((class, mended)) = &mended {
            // Whether it counts is told by the answers.
            if *class != Class::ManyServers {
                hit(*class);
            }
            line = mended;
        }
        let dropped = match *kind_here {
            Kind::Generic if !passed_over && is_fatal(text) => Some(Class::GenericFatal),
            Kind::Ip6Trie | Kind::Ip6Tset if !passed_over && is_ip6_garbage(text) => Some(Class::IpSixGarbage),
            _ => None,
        };
        match dropped {
            Some(class) => hit(class),
            None => out.extend(line),
        }
        if !last || file.ends {
            out.push(b'\n');
        }
    }
    let mtime = if file.mtime == 0 { ITS_FIRST_TIME } else { file.mtime };
    (FileText { mtime, ..file.clone() }, out)
}

/// A `$NS` line cut down to what rbldnsd can use, if it says more; and all of its names in wire form.
pub fn many_servers(line: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    /// rbldnsd takes 32 names, and about 500 octets of names and their addresses; this is well below.
    const OCTETS_MAX: usize = 300;
    let (ttl, names) = servers(line)?;
    // A bad name ends the list.
    let names = names.split(|name| is_bad_server(name)).next().unwrap_or_default();
    let used = || names.iter().filter(|name| !name.starts_with(b"-"));
    // Name, record and the record of an address.
    let octets = |name: &&[u8]| name.len() + 2 + 12 + 16;
    if used().map(octets).sum::<usize>() <= OCTETS_MAX {
        return None;
    }
    let mut room = OCTETS_MAX;
    let mut line = [b"$NS ", ttl].concat();
    for name in used() {
        room = room.saturating_sub(octets(name));
        if room > 0 {
            line.push(b' ');
            line.extend(*name);
        }
    }
    let all = used().filter_map(|name| Some(wire(&lower(&labels_of(name)?)))).collect();
    Some((line, all))
}

/// What both servers read of a line: without a CR at its end, up to the first NUL, without blanks around it.
pub fn text_of(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let head = &line[..line.len().min(LINE_LEN)];
    trim(head.split(|&octet| octet == 0).next().unwrap_or_default())
}

/// What stands behind the `$` of a special line.
fn special(line: &[u8]) -> Option<&[u8]> {
    match line {
        [b'#' | b';' | b':', b'$', rest @ ..] | [b'$', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The TTL and the names of a `$NS` line.
fn servers(line: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let rest = special(line)?;
    let words = words(rest);
    let [head, ttl, names @ ..] = words.as_slice() else { return None };
    let is_ns = head.eq_ignore_ascii_case(b"NS") || head.eq_ignore_ascii_case(b"NAMESERVER");
    (is_ns && rest.starts_with(head)).then(|| (*ttl, names.to_vec()))
}

/// A `$NS` line as far as its first bad name, if it has one behind a good one.
fn before_bad_server(line: &[u8]) -> Option<Vec<u8>> {
    let (ttl, names) = servers(line)?;
    let good = names.iter().position(|name| is_bad_server(name))?;
    let listed = names[..good].iter().any(|name| !name.starts_with(b"-"));
    listed.then(|| [&[&b"$NS"[..], ttl], &names[..good]].concat().join(&b' '))
}

/// Whether a name of a `$NS` line is none.
fn is_bad_server(name: &[u8]) -> bool {
    !name.starts_with(b"-") && labels_of(name).is_none()
}

/// A `$TIMESTAMP` line with no year after 2038, if it has such a one.
fn with_early_times(line: &[u8]) -> Option<Vec<u8>> {
    /// The last year that rbldnsd takes.
    const YEAR_MAX: u32 = 2_038;
    let rest = special(line)?;
    let words = words(rest);
    let (head, times) = words.split_first()?;
    if !head.eq_ignore_ascii_case(b"TIMESTAMP") || !rest.starts_with(head) {
        return None;
    }
    let mut early = vec![b"$TIMESTAMP".to_vec()];
    for time in times {
        let year = time.get(..4).and_then(|year| std::str::from_utf8(year).ok()?.parse::<u32>().ok());
        let tail = if time.len() > 4 { &time[4..] } else { b"" };
        early.push(if year > Some(YEAR_MAX) { [b"2038", tail].concat() } else { time.to_vec() });
    }
    (early[1..] != *times).then(|| early.join(&b' '))
}

/// A name in wire form.
pub fn wire(labels: &Labels) -> Vec<u8> {
    labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied())).chain([0]).collect()
}

/// The same file without its IPv4 sections.
pub fn without_ip4(kind: Kind, content: &[u8]) -> Vec<u8> {
    if kind != Kind::Combined {
        return content.to_vec();
    }
    let mut leave_out = false;
    let mut out = Vec::new();
    for line in content.split(|&octet| octet == b'\n') {
        let head = section(trim(line));
        let is_head = head.is_some();
        if let Some((kind, mounts)) = head {
            leave_out = kind.is_some_and(is_ip4);
            if leave_out {
                // The mounts stay, as what is mounted there decides which section answers.
                out.extend(b"$DATASET dnset");
                for mount in &mounts {
                    out.push(b' ');
                    out.extend(if mount.is_empty() { b"@".to_vec() } else { mount.join(&b'.') });
                }
                out.push(b'\n');
            }
        }
        if !leave_out || !is_head && matches!(trim(line), [b'$', ..]) {
            out.extend(line);
            out.push(b'\n');
        }
    }
    out
}

/// Whether a type holds IPv4 addresses.
pub fn is_ip4(kind: Kind) -> bool {
    matches!(kind, Kind::Ip4Set | Kind::Ip4Tset | Kind::Ip4Trie)
}

/// Whether a type holds IPv6 addresses.
pub fn is_ip6(kind: Kind) -> bool {
    matches!(kind, Kind::Ip6Trie | Kind::Ip6Tset)
}

/// Without blanks at both ends.
fn trim(line: &[u8]) -> &[u8] {
    let blank = |octet: &u8| *octet == b' ' || *octet == b'\t';
    let start = line.iter().position(|octet| !blank(octet)).unwrap_or(line.len());
    let end = line.iter().rposition(|octet| !blank(octet)).map_or(start, |at| at + 1);
    &line[start..end]
}

/// The words of a line.
fn words(line: &[u8]) -> Vec<&[u8]> {
    line.split(|&octet| octet == b' ' || octet == b'\t').filter(|word| !word.is_empty()).collect()
}

/// Type and mounts of a `$DATASET` line.
pub fn section(line: &[u8]) -> Option<(Option<Kind>, Vec<Labels>)> {
    let line = special(line)?;
    let words = words(line);
    let [head, kind, mounts @ ..] = words.as_slice() else { return None };
    if !head.eq_ignore_ascii_case(b"DATASET") || !line.starts_with(head) {
        return None;
    }
    let kind = kind.split(|&octet| octet == b':').next().and_then(|kind| std::str::from_utf8(kind).ok()?.parse().ok());
    let mounts = mounts
        .iter()
        .take_while(|mount| !matches!(mount.first(), Some(b'#' | b';')))
        .filter_map(|mount| if *mount == b"@" { Some(Labels::new()) } else { Some(lower(&labels_of(mount)?)) })
        .collect();
    Some((kind, mounts))
}

/// Labels in lower case.
pub fn lower(labels: &Labels) -> Labels {
    labels.iter().map(|label| label.to_ascii_lowercase()).collect()
}

/// Whether a time is right: one number and one unit, within 32 bits.
fn is_time(text: &[u8]) -> bool {
    let (digits, unit) = match text {
        [digits @ .., b's' | b'S'] => (digits, 1),
        [digits @ .., b'm' | b'M'] => (digits, 60),
        [digits @ .., b'h' | b'H'] => (digits, 3_600),
        [digits @ .., b'd' | b'D'] => (digits, 86_400),
        [digits @ .., b'w' | b'W'] => (digits, 604_800),
        _ => (text, 1),
    };
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
    number.is_some_and(|number| number.checked_mul(unit).is_some())
}

/// Whether a line of `generic` would cost rbldnsd the dataset: a bad TTL, or a bad preference, host or tail of an MX.
fn is_fatal(line: &[u8]) -> bool {
    let words = words(line);
    let mut rest = words.get(1..).unwrap_or_default();
    if let [ttl, tail @ ..] = rest
        && ttl.first().is_some_and(u8::is_ascii_digit)
    {
        if !is_time(ttl) {
            return true;
        }
        rest = tail;
    }
    if let [class, tail @ ..] = rest
        && class.eq_ignore_ascii_case(b"IN")
    {
        rest = tail;
    }
    match rest {
        [rtype, preference, host] if rtype.eq_ignore_ascii_case(b"MX") => {
            !std::str::from_utf8(preference).is_ok_and(|text| text.parse::<u16>().is_ok() && !text.starts_with('+'))
                || host.is_empty()
        }
        [rtype, ..] => rtype.eq_ignore_ascii_case(b"MX"),
        [] => false,
    }
}

/// Whether a line's key has nine words, two `::`, or a `:` too many at its end.
fn is_ip6_garbage(line: &[u8]) -> bool {
    let line = trim(line.strip_prefix(b"!").unwrap_or(line));
    let key = line.split(|octet| !octet.is_ascii_hexdigit() && *octet != b':').next().unwrap_or_default();
    let double = key.windows(2).filter(|pair| pair == b"::").count();
    let filled = key.split(|&octet| octet == b':').filter(|word| !word.is_empty()).count();
    let odd_end = key.ends_with(b":") && !key.ends_with(b"::");
    double > 1 || filled > 8 || filled == 8 && key.ends_with(b":") || double > 0 && odd_end
}
