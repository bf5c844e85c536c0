//! `[feed]` and `[[feed.source]]`: their shape, their defaults, and what each type of source wants.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::joe_jobs::JoeJobs;
use super::listing::{Export, FeedMode, Policy, Protection, Weights};
use super::place::{Map, Step};
use super::{Http, SettingsError, values};
use crate::feed::Format;
use crate::feed::zone_file::check_url;

/// `[feed]`: the feeder.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Feed {
    /// Whether anything is read.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Local parts of senders that verifiers use, besides the null sender; `*` at the end stands for letters and digits.
    #[serde(deserialize_with = "values::local_parts")]
    pub probe_senders: Vec<Box<str>>,
    /// Most sessions of one source that are open at a time.
    #[serde(deserialize_with = "values::number::<_, _, 100, 10_000_000>")]
    pub sessions_max: u32,
    /// A session without a line for so long is over, s.
    #[serde(deserialize_with = "values::seconds::<_, 1>")]
    pub idle: u32,
    /// Floods of bounces at one address.
    pub joe_jobs: JoeJobs,
    /// List, or only say what would be listed.
    #[serde(deserialize_with = "values::feed_mode")]
    pub mode: FeedMode,
    /// The zone file that listings are written into; `None` for none.
    #[serde(deserialize_with = "values::optional_path")]
    pub zone_file: Option<PathBuf>,
    /// The page that explains a listing; `$` stands for the address.
    #[serde(deserialize_with = "values::optional_text")]
    pub url: Option<String>,
    /// When a host is listed.
    pub policy: Policy,
    /// What signals are worth.
    pub weights: Weights,
    /// Who is protected.
    pub protection: Protection,
    /// Listings in other forms.
    pub export: Export,
    /// What is read.
    #[serde(rename = "source")]
    pub sources: Vec<FeedSource>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            enabled: false,
            // Postfix (with an optional time tag) and what some tools use.
            probe_senders: vec!["double-bounce*".into(), "postmaster".into()],
            // Some ten times what a busy server has open; a hundred bytes to a kilobyte each.
            sessions_max: 100_000,
            // Longer than mail servers wait for a client's next command (RFC 5321 section 4.5.3.2: 5 minutes).
            idle: 900,
            joe_jobs: JoeJobs::default(),
            mode: FeedMode::List,
            zone_file: None,
            url: None,
            policy: Policy::default(),
            weights: Weights::default(),
            protection: Protection::default(),
            export: Export::default(),
            sources: Vec::new(),
        }
    }
}

/// The types of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceType {
    /// A log file.
    File,
    /// systemd's journal.
    Journal,
    /// A syslog listener.
    Syslog,
    /// `POST /v1/logs`.
    Http,
    /// Standard input.
    Stdin,
    /// `dnsbld feed opensmtpd-filter`.
    OpensmtpdFilter,
}

impl SourceType {
    /// Every type, with the word for it.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::File, "file"),
        (Self::Journal, "journal"),
        (Self::Syslog, "syslog"),
        (Self::Http, "http"),
        (Self::Stdin, "stdin"),
        (Self::OpensmtpdFilter, "opensmtpd-filter"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Keys that only some types have.
const KEYS: [(&str, &[SourceType]); 11] = [
    ("path", &[SourceType::File]),
    ("units", &[SourceType::Journal]),
    ("uids", &[SourceType::Journal]),
    ("journalctl", &[SourceType::Journal]),
    ("udp", &[SourceType::Syslog]),
    ("tcp", &[SourceType::Syslog]),
    ("peers", &[SourceType::Syslog]),
    ("allow-udp", &[SourceType::Syslog]),
    ("token-file", &[SourceType::Http]),
    ("body-octets-max", &[SourceType::Http]),
    ("spool-octets-max", &[SourceType::Syslog, SourceType::Http, SourceType::Stdin, SourceType::OpensmtpdFilter]),
];

/// `[[feed.source]]`: one source of log lines.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FeedSource {
    /// Its type.
    #[serde(rename = "type", deserialize_with = "values::source_type")]
    pub kind: SourceType,
    /// Its name, part of each event's id. In checked settings never empty: the path as written, or the type.
    #[serde(default, deserialize_with = "values::source_name")]
    pub name: String,
    /// Whose lines it has.
    #[serde(default = "auto", deserialize_with = "values::format")]
    pub format: Format,
    /// The zone of stamps that have none.
    #[serde(default = "local", deserialize_with = "values::time_zone")]
    pub timezone: TimeZone,
    /// The log file's name while it is written.
    #[serde(default, deserialize_with = "values::optional_path")]
    pub path: Option<PathBuf>,
    /// Units of the journal.
    #[serde(default, deserialize_with = "values::words")]
    pub units: Vec<String>,
    /// Users of the journal's entries.
    #[serde(default, deserialize_with = "values::uids")]
    pub uids: Vec<u32>,
    /// The program that reads the journal.
    #[serde(default = "journalctl", deserialize_with = "values::program")]
    pub journalctl: String,
    /// UDP address for syslog.
    #[serde(default, deserialize_with = "values::optional_address")]
    pub udp: Option<SocketAddr>,
    /// TCP address for syslog.
    #[serde(default, deserialize_with = "values::optional_address")]
    pub tcp: Option<SocketAddr>,
    /// Syslog peers that are heard.
    #[serde(default = "loopback", deserialize_with = "values::prefixes")]
    pub peers: Vec<IpNet>,
    /// Whether UDP may be listened on outside of loopback.
    #[serde(default, deserialize_with = "values::flag")]
    pub allow_udp: bool,
    /// The file with the token of `POST /v1/logs`.
    #[serde(default, deserialize_with = "values::optional_path")]
    pub token_file: Option<PathBuf>,
    /// Octets of a body of `POST /v1/logs`, also after unpacking.
    #[serde(default = "body_octets", deserialize_with = "values::number::<_, _, 1024, 268_435_456>")]
    pub body_octets_max: u32,
    /// Octets of its spool.
    #[serde(default = "spool_octets", deserialize_with = "values::number::<_, _, 1_048_576, 1_099_511_627_776>")]
    pub spool_octets_max: u64,
}

/// The default format.
fn auto() -> Format {
    Format::Auto
}

/// The default zone: this machine's.
fn local() -> TimeZone {
    TimeZone::system()
}

/// The default program.
fn journalctl() -> String {
    "journalctl".to_owned()
}

/// The default peers.
fn loopback() -> Vec<IpNet> {
    // Written out here, so this can not fail.
    ["127.0.0.0/8", "::1/128"].iter().map(|net| net.parse().expect("a prefix")).collect()
}

/// The default size of a body: more than the batches of Vector and rsyslog, 10 MB each.
fn body_octets() -> u32 {
    16 << 20
}

/// The default size of a spool: some hours of a busy server.
fn spool_octets() -> u64 {
    256 << 20
}

/// Check the sources, and name those that have no name. Errors: the first thing that can not be.
pub(super) fn check(feed: &mut Feed, http: &Http, map: &Map<'_>) -> Result<(), SettingsError> {
    if let Some(Err(why)) = feed.url.as_deref().map(check_url) {
        return Err(map.fault(&[Step::Key("feed"), Step::Key("url")], format!("this is no `url` for listings: {why}")));
    }
    if feed.zone_file.is_none() && feed.export != Export::default() {
        let message = "[feed.export] needs a `zone-file` in [feed], beside which it is written".to_owned();
        return Err(map.fault(&[Step::Key("feed"), Step::Key("export")], message));
    }
    let mut names: Vec<(String, u32)> = Vec::new();
    let mut stdin = None;
    for (at, source) in feed.sources.iter_mut().enumerate() {
        let under = |key| [Step::Key("feed"), Step::Key("source"), Step::Index(at), Step::Key(key)];
        let fault = |key, message: String| Err(map.fault(&under(key), message));
        let word = source.kind.word();
        for (key, kinds) in KEYS {
            if map.has(&under(key)) && !kinds.contains(&source.kind) {
                let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
                return fault(
                    key,
                    format!("`{key}` is not for a source of type {word}, but for {}; remove it", words.join(", ")),
                );
            }
        }
        match source.kind {
            SourceType::File if source.path.is_none() => {
                return fault(
                    "path",
                    "a source of type file has no `path`; add one, such as path = \"/var/log/mail.log\"".to_owned(),
                );
            }
            SourceType::Journal if source.units.is_empty() => {
                let message = "a source of type journal has no `units`; add those of the mail server, such as \
                               units = [\"postfix@-.service\"], or any local user could forge its lines";
                return fault("units", message.to_owned());
            }
            SourceType::Syslog => {
                if source.udp.is_none() && source.tcp.is_none() {
                    return fault(
                        "tcp",
                        "a source of type syslog listens nowhere; add `tcp`, `udp` or both".to_owned(),
                    );
                }
                if let Some(udp) = source.udp.filter(|udp| !udp.ip().is_loopback() && !source.allow_udp) {
                    let message = format!(
                        "`udp` is {udp}, outside of loopback, where anyone can forge the sender of a datagram; use `tcp`, or set \
                         allow-udp = true if the network in between keeps forgers out"
                    );
                    return fault("udp", message);
                }
            }
            SourceType::Http => {
                if !http.enabled && feed.enabled {
                    return fault(
                        "type",
                        "a source of type http needs the listener of [http], which is not enabled".to_owned(),
                    );
                }
                if source.spool_octets_max < u64::from(source.body_octets_max) {
                    let message = format!(
                        "`spool-octets-max` is {}, and a body may have {} octets (`body-octets-max`), so a full one would be put off for \
                         ever; make the spool larger or the bodies smaller",
                        source.spool_octets_max, source.body_octets_max
                    );
                    return fault("spool-octets-max", message);
                }
                if source.token_file.is_none() && !http.listen.ip().is_loopback() {
                    let message = format!(
                        "a source of type http without `token-file` takes lines from anyone who reaches {}; add a token",
                        http.listen
                    );
                    return fault("type", message);
                }
            }
            SourceType::Stdin => {
                if let Some(first) = stdin.replace(at) {
                    let line = map.position(&[Step::Key("feed"), Step::Key("source"), Step::Index(first)]).0;
                    return fault("type", format!("standard input is read already, by the source in line {line}"));
                }
            }
            _ => {}
        }
        if source.name.is_empty() {
            let path = source.path.as_ref().map(|path| path.to_string_lossy().into_owned());
            source.name = path.unwrap_or_else(|| word.to_owned());
        }
        let line = map.position(&under("type")).0;
        if let Some((name, first)) = names.iter().find(|(name, _)| *name == source.name) {
            return fault(
                "name",
                format!("two sources have the name `{name}`, first in line {first}; give one another `name`"),
            );
        }
        names.push((source.name.clone(), line));
    }
    Ok(())
}
