//! The shape of the settings file, its defaults, and why they are what they are.
//!
//! Field names are the keys, in kebab-case. Every table has a default; unknown keys are refused.
//! `docs/settings.md` lists the same keys for operators, and a test holds the two together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::feed::Feed;
use super::{Cookies, Public, RateLimit, Relation, Tls, values};
use crate::dataset::Kind;
use crate::diag::Diagnostic;
use crate::wire::name::Name;
use crate::zone::{NEGATIVE_TTL_DEFAULT, TTL_DEFAULT, TTL_MAX};
use crate::zonefile::{ReadOptions, Source};

/// Everything an operator decides.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The file these settings were read from, as it was named.
    #[serde(skip)]
    pub file: Arc<Path>,
    /// What is allowed but hardly meant; severity is always a warning.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
    /// Where some files are named.
    #[serde(skip)]
    pub places: FilePlaces,
    /// Directory for what outlives the process.
    #[serde(deserialize_with = "values::path")]
    pub state_dir: PathBuf,
    /// The DNS side.
    pub dns: Dns,
    /// The certificate, and DNS over TLS and QUIC.
    pub tls: Tls,
    /// The operator's HTTP side.
    pub http: Http,
    /// The world's HTTP side.
    pub public: Public,
    /// How changed files are noticed.
    pub load: Load,
    /// The access list for all zones.
    pub acl: Acl,
    /// What mail servers' logs are read.
    pub feed: Feed,
    /// The neighbour rule.
    pub relation: Relation,
    /// The zones, in the order of the file.
    #[serde(rename = "zone")]
    pub zones: Vec<Zone>,
}

/// Line and column of settings that name files, for what `dnsbld check` finds in these. They stand apart from their sections, which
/// are the same wherever they stand in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePlaces {
    /// `secret-file` of `[dns.cookies]`.
    pub cookie_secrets: (u32, u32),
    /// `certificate-file` and `key-file` of `[tls]`.
    pub certificate: [(u32, u32); 2],
    /// `token-file` of `[public.page]`.
    pub page_token: (u32, u32),
    /// `token-file` of each `[[feed.source]]`.
    pub source_tokens: Vec<(u32, u32)>,
    /// `webhook-secret-file` of `[feed.joe-jobs]`.
    pub webhook_secret: (u32, u32),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: Path::new("").into(),
            warnings: Vec::new(),
            places: FilePlaces::default(),
            state_dir: "/var/lib/dnsbld".into(),
            dns: Dns::default(),
            tls: Tls::default(),
            http: Http::default(),
            public: Public::default(),
            load: Load::default(),
            acl: Acl::default(),
            feed: Feed::default(),
            relation: Relation::default(),
            zones: Vec::new(),
        }
    }
}

/// `[dns]`: listeners and what every answer looks like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dns {
    /// Addresses that UDP and TCP are served on; none is allowed.
    #[serde(deserialize_with = "values::addresses")]
    pub listen: Vec<SocketAddr>,
    /// UDP threads for each address.
    #[serde(deserialize_with = "values::workers")]
    pub workers: Workers,
    /// Bind each worker to a processor.
    #[serde(deserialize_with = "values::flag")]
    pub pin: bool,
    /// Largest UDP answer and the size advertised in EDNS, octets, 512–4096.
    #[serde(deserialize_with = "values::number::<_, _, 512, 4096>")]
    pub udp_size_max: u16,
    /// What stands in the authority section of positive answers.
    #[serde(deserialize_with = "values::authority")]
    pub authority: Authority,
    /// How ANY over UDP is answered.
    #[serde(deserialize_with = "values::any_answer")]
    pub any: AnyAnswer,
    /// Text for `version.bind` and `version.server`; `None` refuses.
    #[serde(deserialize_with = "values::optional_text")]
    pub version: Option<String>,
    /// Text for `id.server`, `hostname.bind` and NSID; `None` refuses.
    #[serde(deserialize_with = "values::optional_text")]
    pub server_id: Option<String>,
    /// Receive buffer of each UDP socket, octets; 0 leaves what the system gives.
    #[serde(deserialize_with = "values::number::<_, _, 0, 1_073_741_824>")]
    pub receive_buffer: u32,
    /// Limits of DNS over TCP.
    pub tcp: Tcp,
    /// Server cookies.
    pub cookies: Cookies,
    /// How much a network may be sent over UDP.
    pub rate_limit: RateLimit,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            // Not public and not privileged until the operator says so.
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5353)],
            workers: Workers::Auto,
            pin: false,
            // The largest UDP payload that passes unfragmented nearly everywhere: 1280 − 48 octets.
            udp_size_max: 1232,
            authority: Authority::Minimal,
            any: AnyAnswer::One,
            version: None,
            server_id: None,
            // A few thousand queries: what arrives while a worker is not scheduled for some milliseconds.
            receive_buffer: 4 << 20,
            tcp: Tcp::default(),
            cookies: Cookies::default(),
            rate_limit: RateLimit::default(),
        }
    }
}

/// Number of UDP threads for each address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as there are processors.
    Auto,
    /// This many, 1–256.
    Count(u16),
}

/// What stands in the authority section of positive answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Nothing: the smallest answer.
    Minimal,
    /// The zone's NS records, as rbldnsd does by default.
    Full,
}

/// How ANY over UDP is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyAnswer {
    /// With one record set (RFC 8482 section 4.1).
    One,
    /// With every record set, as rbldnsd does.
    Full,
}

/// `[dns.tcp]`: limits of DNS over TCP (RFC 7766 section 6).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tcp {
    /// Longest silence on a connection, ms.
    #[serde(deserialize_with = "values::number::<_, _, 10, 3_600_000>")]
    pub idle_ms_max: u32,
    /// The same while more than three quarters of `connections_max` are taken, ms.
    #[serde(deserialize_with = "values::number::<_, _, 10, 3_600_000>")]
    pub idle_busy_ms_max: u32,
    /// Longest time a client may take to accept an answer, ms.
    #[serde(deserialize_with = "values::number::<_, _, 10, 3_600_000>")]
    pub write_ms_max: u32,
    /// Most connections in all.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1_000_000>")]
    pub connections_max: u32,
    /// Most connections from one IPv4 address or IPv6 /64.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1_000_000>")]
    pub connections_per_host_max: u32,
    /// Most connections from one IPv4 /24 or IPv6 /48.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1_000_000>")]
    pub connections_per_net_max: u32,
    /// Most queries on one connection before it is closed.
    #[serde(deserialize_with = "values::number::<_, _, 1, 4_294_967_295>")]
    pub queries_per_connection_max: u32,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            // RFC 7766 section 6.2.3 asks for a few seconds; RFC 9210 section 4 names 10 s as common.
            idle_ms_max: 10_000,
            idle_busy_ms_max: 2_000,
            // A client in good order empties its window in a round trip.
            write_ms_max: 5_000,
            // Each costs some KiB and a file descriptor; 1024 is below the usual limit of descriptors.
            connections_max: 1_024,
            connections_per_host_max: 32,
            connections_per_net_max: 128,
            // So that a settings or address change reaches every client some day; minutes at full speed.
            queries_per_connection_max: 100_000,
        }
    }
}

/// `[http]`: metrics and health, for the operator alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// Whether it is served at all.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Its address.
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9353) }
    }
}

/// `[load]`: how changed files are noticed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Load {
    /// Time between two looks at all files, s.
    #[serde(deserialize_with = "values::number::<_, _, 1, 86_400>")]
    pub poll_s: u32,
    /// Quiet time after the last event before files are read, ms.
    #[serde(deserialize_with = "values::number::<_, _, 0, 60_000>")]
    pub settle_ms: u32,
    /// Whether file events are used at all.
    #[serde(deserialize_with = "values::flag")]
    pub watch: bool,
}

impl Default for Load {
    fn default() -> Self {
        // rbldnsd's interval; and long enough for a mirror's renames of one generation to be over.
        Self { poll_s: 60, settle_ms: 200, watch: true }
    }
}

/// `[acl]`: which clients are answered, and how, whatever zone they ask.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Acl {
    /// Its files, in order; none for no such list.
    #[serde(deserialize_with = "values::paths")]
    pub files: Vec<PathBuf>,
    /// Mask host bits below a prefix instead of refusing the line.
    #[serde(deserialize_with = "values::flag")]
    pub mask_host_bits: bool,
    /// Unpack gzip.
    #[serde(deserialize_with = "values::flag")]
    pub gzip: bool,
}

impl Default for Acl {
    fn default() -> Self {
        Self { files: Vec::new(), mask_host_bits: false, gzip: true }
    }
}

impl Acl {
    /// What the zone file reader is to be told; `None` where there is no such list.
    pub fn source(&self) -> Option<Source> {
        let options = ReadOptions { mask_host_bits: self.mask_host_bits, gzip: self.gzip };
        (!self.files.is_empty()).then(|| Source { kind: Kind::Acl, files: self.files.clone(), options })
    }
}

/// `[[zone]]`: one zone and its data.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Zone {
    /// Where its name stands in the settings, line and column counted from 1.
    #[serde(skip)]
    pub place: (u32, u32),
    /// Its name, lower case. Never the root in checked settings.
    #[serde(deserialize_with = "values::zone_name")]
    pub name: Name,
    /// Name servers for its NS records where no dataset gives `$NS`.
    #[serde(deserialize_with = "values::names")]
    pub ns: Vec<Name>,
    /// SOA MNAME where no dataset gives `$SOA`; `None` for the first of `ns`.
    #[serde(deserialize_with = "values::optional_name")]
    pub mname: Option<Name>,
    /// SOA RNAME where no dataset gives `$SOA`; `None` for `hostmaster` at the zone.
    #[serde(deserialize_with = "values::mailbox")]
    pub rname: Option<Name>,
    /// TTL of entries whose dataset has no `$TTL`, s.
    #[serde(deserialize_with = "values::seconds::<_, 1>")]
    pub ttl: u32,
    /// Negative TTL where no dataset gives `$SOA`, s (RFC 2308 section 4).
    #[serde(deserialize_with = "values::seconds::<_, 0>")]
    pub negative_ttl: u32,
    /// Lower bound of `$TTL` and of the TTLs of `$SOA` and `$NS`, s.
    #[serde(deserialize_with = "values::seconds::<_, 0>")]
    pub ttl_min: u32,
    /// Upper bound of the same, s.
    #[serde(deserialize_with = "values::seconds::<_, 1>")]
    pub ttl_max: u32,
    /// What it is made of.
    pub datasets: Vec<Dataset>,
    /// What new data must not do.
    pub guard: Guard,
    /// How old its newest file may grow, s; `None` for any age.
    #[serde(deserialize_with = "values::expiry")]
    pub expire: Option<u32>,
    /// What happens after that.
    #[serde(deserialize_with = "values::on_expire")]
    pub on_expire: OnExpire,
    /// Whether the list has ended: every answer is NXDOMAIN, and the apex says so.
    #[serde(deserialize_with = "values::flag")]
    pub retired: bool,
    /// TXT at the apex of a retired zone.
    #[serde(deserialize_with = "values::text")]
    pub retired_text: String,
    /// Code for a complete address asked of a zone without address datasets; `None` for NXDOMAIN.
    #[serde(deserialize_with = "values::code")]
    pub wrong_kind: Option<Ipv4Addr>,
    /// Whether the lookup page shows it; `None` where no access list guards it.
    #[serde(deserialize_with = "values::optional_flag")]
    pub public: Option<bool>,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            place: (0, 0),
            name: Name::root(),
            ns: Vec::new(),
            mname: None,
            rname: None,
            ttl: TTL_DEFAULT,
            negative_ttl: NEGATIVE_TTL_DEFAULT,
            ttl_min: 0,
            ttl_max: TTL_MAX,
            datasets: Vec::new(),
            guard: Guard::default(),
            expire: None,
            on_expire: OnExpire::Keep,
            retired: false,
            retired_text: "This list has ended and lists nothing. Please stop using it.".to_owned(),
            wrong_kind: None,
            public: None,
        }
    }
}

/// What happens to a zone whose newest file is older than its `expire`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExpire {
    /// It goes on being served; a metric and the log tell.
    Keep,
    /// SERVFAIL until a newer file comes.
    Servfail,
}

/// One of a zone's `datasets`: a type and its files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dataset {
    /// Its type.
    #[serde(rename = "type", deserialize_with = "values::kind")]
    pub kind: Kind,
    /// Its files, in order. Never empty in checked settings.
    #[serde(default, deserialize_with = "values::paths")]
    pub files: Vec<PathBuf>,
    /// Mask host bits below a prefix instead of refusing the line.
    #[serde(default, deserialize_with = "values::flag")]
    pub mask_host_bits: bool,
    /// Unpack gzip.
    #[serde(default = "yes", deserialize_with = "values::flag")]
    pub gzip: bool,
}

impl Dataset {
    /// What the zone file reader is to be told.
    pub fn source(&self) -> Source {
        let options = ReadOptions { mask_host_bits: self.mask_host_bits, gzip: self.gzip };
        Source { kind: self.kind, files: self.files.clone(), options }
    }
}

/// A default that serde wants as a function.
fn yes() -> bool {
    true
}

/// `[zone.guard]`: what makes new data be refused, so that the last good data stay in service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guard {
    /// Refuse data that list 127.0.0.1 or `::ffff:127.0.0.1` (RFC 5782 section 5).
    #[serde(deserialize_with = "values::flag")]
    pub loopback: bool,
    /// Refuse data that list the whole world.
    #[serde(deserialize_with = "values::flag")]
    pub world: bool,
    /// Refuse data that list the name `invalid` (RFC 5782 section 5).
    #[serde(deserialize_with = "values::flag")]
    pub invalid_name: bool,
    /// Greatest share of a dataset's entries that one reload may take away, 0–1; `None` for any.
    #[serde(deserialize_with = "values::shrink")]
    pub shrink_max: Option<f64>,
    /// Greatest factor by which one reload may multiply a dataset's entries, from 1; `None` for any.
    #[serde(deserialize_with = "values::grow")]
    pub grow_max: Option<f64>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { loopback: true, world: true, invalid_name: true, shrink_max: Some(0.5), grow_max: Some(10.0) }
    }
}
