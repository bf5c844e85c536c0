//! Listings as files: the zone that is served, and forms of it for mail servers that look elsewhere.
//!
//! The zone is one `combined` file: an `ip4set`, where an address may have several values, and an `ip6trie` for each code, as
//! a trie keeps one value a prefix. It is read by our own server and by rbldnsd. Of what a client wrote only its HELO gets in,
//! as letters, digits and a few marks, behind words of ours: no line of the file begins with it, and no `$` is left in it.

mod text;

use std::fmt::Write as _;

use super::evidence::Code;
use super::listing::Listing;
use super::subject::Subject;
use crate::wire::name::Name;

pub use text::{STRING_OCTETS_MAX, URL_OCTETS_MAX, check_url, date, plain, text};

/// Text of the test entries.
const TEST_TEXT: &str = "Test entry (RFC 5782 section 5), no listing";

/// What the zone says besides its listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFileOptions {
    /// Name servers; without any no `$NS` is written.
    pub ns: Vec<Name>,
    /// Primary name server of the SOA.
    pub mname: Name,
    /// Mail address of the SOA.
    pub rname: Name,
    /// How long answers may be kept, s. Also for how long a removed host may seem listed.
    pub ttl_s: u32,
    /// How long it may be kept that a host is not listed, s.
    pub negative_ttl_s: u32,
    /// Where a listing is explained; `$` stands for the address. At most [`URL_OCTETS_MAX`] octets.
    pub url: Option<String>,
}

impl Default for ZoneFileOptions {
    fn default() -> Self {
        Self { ns: Vec::new(), mname: Name::root(), rname: Name::root(), ttl_s: 300, negative_ttl_s: 60, url: None }
    }
}

/// A host and the listing that is in force.
pub type Listed<'l> = (Subject, &'l Listing);

/// What mail servers do with a listed host, in Postfix's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostfixAction {
    /// Refuse for good.
    Reject,
    /// Put off, unless it is refused anyway.
    Defer,
}

/// Everything of the zone file but the `$SOA`, so that it can be told whether something has changed. `listed` is in ascending
/// order; `None` in `observe` mode lists nothing, as does an empty one.
pub fn body<'l>(listed: impl Iterator<Item = Listed<'l>> + Clone, options: &ZoneFileOptions) -> String {
    let mut file = String::new();
    if !options.ns.is_empty() {
        let _ = write!(file, "$NS {}", options.ttl_s);
        for name in &options.ns {
            let _ = write!(file, " {}", absolute(name));
        }
        file.push('\n');
    }
    let _ = writeln!(file, "$TTL {}", options.ttl_s);
    file.push_str("$DATASET ip4set:hosts @\n");
    for code in Code::ALL {
        let _ = writeln!(file, "127.0.0.2 :127.0.0.{}:{TEST_TEXT}", code.octet());
    }
    for (subject, listing) in listed.clone().filter(|(subject, _)| subject.is_ip4()) {
        let text = text(subject, listing, options.url.as_deref());
        for code in &listing.codes {
            let _ = writeln!(file, "{subject} :127.0.0.{}:{text}", code.octet());
        }
    }
    for code in Code::ALL {
        let name = match code {
            Code::Callouts => "callouts",
            Code::Bounces => "bounces",
        };
        let _ = writeln!(file, "$DATASET ip6trie:{name} @\n::ffff:7f00:2 :127.0.0.{}:{TEST_TEXT}", code.octet());
        let of_code = |(subject, listing): &Listed<'_>| !subject.is_ip4() && listing.codes.contains(&code);
        for (subject, listing) in listed.clone().filter(of_code) {
            let _ = writeln!(
                file,
                "{subject} :127.0.0.{}:{}",
                code.octet(),
                text(subject, listing, options.url.as_deref())
            );
        }
    }
    file
}

/// The head of the zone file.
pub fn head(options: &ZoneFileOptions, serial: u32) -> String {
    format!(
        "# Written by the feeder of dnsbld; changes made here are lost.\n$SOA {} {} {} {serial} 1h 15m 1w {}\n",
        options.ttl_s,
        absolute(&options.mname),
        absolute(&options.rname),
        options.negative_ttl_s,
    )
}

/// The body of a file that was written before, and its serial; `None` where it is no such file.
pub fn split(file: &str) -> Option<(u32, &str)> {
    let (_, rest) = file.split_once('\n')?;
    let (soa, body) = rest.split_once('\n')?;
    let serial = soa.strip_prefix("$SOA ")?.split(' ').nth(3)?.parse().ok()?;
    Some((serial, body))
}

/// A name as the zone file has it.
fn absolute(name: &Name) -> String {
    let name = name.to_string();
    if name.ends_with('.') { name } else { name + "." }
}

/// A CIDR table for Postfix (cidr_table(5)): for `check_recipient_mx_access` on the way out, or `check_client_access`.
pub fn postfix_cidr<'l>(listed: impl Iterator<Item = Listed<'l>>, action: PostfixAction, url: Option<&str>) -> String {
    let word = match action {
        PostfixAction::Reject => "REJECT",
        PostfixAction::Defer => "DEFER_IF_PERMIT",
    };
    let mut file = String::from("# Written by the feeder of dnsbld; changes made here are lost.\n");
    for (subject, listing) in listed {
        let _ = writeln!(file, "{} {word} {}", subject.net(), plain(subject, listing, url));
    }
    file
}

/// Listings as JSON lines.
pub fn json_lines<'l>(listed: impl Iterator<Item = Listed<'l>>, url: Option<&str>) -> String {
    listed.map(|(subject, listing)| json(subject, listing, url).to_string() + "\n").collect()
}

/// A listing as a JSON object.
pub fn json(subject: Subject, listing: &Listing, url: Option<&str>) -> serde_json::Value {
    let signals: serde_json::Map<_, _> = super::evidence::Signal::ALL
        .iter()
        .zip(listing.seen.signals)
        .filter(|(_, count)| *count > 0)
        .map(|(signal, count)| (signal.word().to_owned(), count.into()))
        .collect();
    let codes: Vec<String> = listing.codes.iter().map(|code| format!("127.0.0.{}", code.octet())).collect();
    serde_json::json!({
        "subject": subject.to_string(),
        "codes": codes,
        "since": date(listing.since_ms),
        "expires": date(listing.until_ms),
        "ended": listing.ended.word(),
        "last": date(listing.seen.last_ms),
        "nth": listing.nth,
        "score": listing.seen.score as f64 / 1000.0,
        "recipients": listing.seen.recipients,
        "sessions": listing.seen.sessions,
        "signals": signals,
        "text": plain(subject, listing, url),
    })
}

#[cfg(test)]
mod tests;
