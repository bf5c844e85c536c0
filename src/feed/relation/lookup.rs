//! Look-ups in the DNS, each with one of three outcomes: found, void, failed.
//!
//! Only "void" (RFC 7208 section 4.6.4: no such name, or no such records) says something about a domain; a look-up that failed says
//! nothing, and what rests on it must end as `unknown`. The resolver keeps answers as long as their TTL allows, within bounds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;

/// How long one server may take for one answer: with one repetition it still fits the five seconds of a whole question.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// How long an answer is kept at most, whatever its TTL: a domain that changes its policy is heard within the hour.
const POSITIVE_TTL_MAX: Duration = Duration::from_secs(3600);
/// How long it is remembered at most that there is nothing: a policy that is just being published is soon seen.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);
/// MX hosts looked at (RFC 7208 section 4.6.4 has the same bound).
pub const MX_HOSTS_MAX: usize = 10;

/// Where to ask, and how much to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Recursive resolvers; none for those of the system (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
    /// Answers kept; most have a hundred octets, a hostile one up to 64 KiB.
    pub cache_answers_max: u64,
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// These, at least one.
    Some(Vec<T>),
    /// The name does not exist, or has no such records.
    Void {
        /// The name does not exist at all (NXDOMAIN).
        no_name: bool,
    },
    /// The resolver gave no usable answer; nothing is known.
    Failed(String),
}

/// A mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mx {
    /// The lower the better.
    pub preference: u16,
    /// The host, with a dot at the end; `.` alone where the domain takes no mail (RFC 7505).
    pub host: String,
}

/// A resolver. Errors: no server is configured and the system names none.
pub fn resolver(options: &ResolverOptions) -> Result<TokioResolver, String> {
    let servers = if options.servers.is_empty() {
        let (config, _) = read_system_conf().map_err(|error| {
            format!("the system's resolvers can not be read: {error}; name some in `resolvers` of [relation]")
        })?;
        config.name_servers().to_vec()
    } else {
        options.servers.iter().map(|&server| name_server(server)).collect()
    };
    if servers.is_empty() {
        return Err("the system names no resolver; name some in `resolvers` of [relation]".to_owned());
    }
    let mut resolver_options = ResolverOpts::default();
    resolver_options.timeout = ANSWER_TIME_MAX;
    resolver_options.attempts = 2;
    resolver_options.edns0 = true;
    // `exists` asks for A whatever the client's family (RFC 7208 section 5.7); no one else uses this.
    resolver_options.ip_strategy = LookupIpStrategy::Ipv4Only;
    resolver_options.cache_size = options.cache_answers_max;
    resolver_options.use_hosts_file = ResolveHosts::Never;
    resolver_options.positive_max_ttl = Some(POSITIVE_TTL_MAX);
    resolver_options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
    resolver_options.try_tcp_on_error = true;
    // Without search domains: every name is asked as it is.
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(resolver_options)
        .build()
        .map_err(|error| format!("no resolver can be made: {error}"))
}

/// A server over UDP, and over TCP for what does not fit.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    server.connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
    server
}

/// Look records of one type up and take from each what `take` wants.
async fn records<T>(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
    take: impl Fn(&RData) -> Option<T>,
) -> Found<T> {
    // A name that no zone can hold has no records.
    let Ok(mut name) = Name::from_str_relaxed(name) else { return Found::Void { no_name: true } };
    name.set_fqdn(true);
    match resolver.lookup(name, kind).await {
        Ok(answer) => {
            let found: Vec<T> = answer.answers().iter().filter_map(|record| take(&record.data)).collect();
            if found.is_empty() { Found::Void { no_name: false } } else { Found::Some(found) }
        }
        Err(error) if error.is_no_records_found() => Found::Void { no_name: error.is_nx_domain() },
        Err(error) => Found::Failed(why(&error)),
    }
}

/// A word or two on a failed look-up.
fn why(error: &NetError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// TXT records, the strings of each joined (RFC 7208 section 3.3).
pub async fn texts(resolver: &TokioResolver, name: &str) -> Found<Vec<u8>> {
    records(resolver, name, RecordType::TXT, |data| match data {
        RData::TXT(text) => Some(text.txt_data.concat()),
        _ => None,
    })
    .await
}

/// MX records, the best first.
pub async fn exchangers(resolver: &TokioResolver, name: &str) -> Found<Mx> {
    let found = records(resolver, name, RecordType::MX, |data| match data {
        RData::MX(mx) => Some(Mx { preference: mx.preference, host: mx.exchange.to_lowercase().to_ascii() }),
        _ => None,
    });
    match found.await {
        Found::Some(mut found) => {
            found.sort();
            Found::Some(found)
        }
        other => other,
    }
}

/// Addresses of the family of `like`.
pub async fn addresses(resolver: &TokioResolver, name: &str, like: IpAddr) -> Found<IpAddr> {
    let kind = if like.is_ipv4() { RecordType::A } else { RecordType::AAAA };
    records(resolver, name, kind, |data| match data {
        RData::A(a) => Some(IpAddr::from(Ipv4Addr::from(*a))),
        RData::AAAA(aaaa) => Some(IpAddr::from(Ipv6Addr::from(*aaaa))),
        _ => None,
    })
    .await
}
