//! `[relation]`: the neighbour rule, and the socket on which Postfix and Exim ask.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::place::{Map, Step};
use super::{Settings, SettingsError, values};
use crate::diag::{Diagnostic, Severity};

/// `[relation]`: may a bounce be sent to this sender?
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Relation {
    /// Whether it is answered at all.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Addresses of the policy service.
    #[serde(deserialize_with = "values::addresses")]
    pub listen: Vec<SocketAddr>,
    /// Unix socket of the policy service.
    #[serde(deserialize_with = "values::optional_path")]
    pub socket: Option<PathBuf>,
    /// Recursive resolvers; none for the system's.
    #[serde(deserialize_with = "values::addresses")]
    pub resolvers: Vec<SocketAddr>,
    /// Bits that make an IPv6 client a neighbour.
    #[serde(deserialize_with = "values::number::<_, _, 16, 128>")]
    pub ipv6_prefix: u8,
    /// How long one answer may take, ms.
    #[serde(deserialize_with = "values::number::<_, _, 100, 60_000>")]
    pub time_ms_max: u32,
    /// Questions worked on at once.
    #[serde(deserialize_with = "values::number::<_, _, 1, 10_000>")]
    pub questions_max: u32,
    /// Answers of resolvers that are remembered.
    #[serde(deserialize_with = "values::number::<_, _, 0, 10_000_000>")]
    pub cache_answers_max: u32,
    /// Most connections to the policy service.
    #[serde(deserialize_with = "values::number::<_, _, 1, 100_000>")]
    pub connections_max: u32,
    /// Longest silence on such a connection, s.
    #[serde(deserialize_with = "values::seconds::<_, 1>")]
    pub idle: u32,
}

impl Default for Relation {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: Vec::new(),
            socket: None,
            resolvers: Vec::new(),
            // What one site has; single hosts of hosters often have a /64 each, in one /48.
            ipv6_prefix: 48,
            // Mail waits, but SPF may take ten look-ups.
            time_ms_max: 5_000,
            questions_max: 64,
            // A hundred to some hundred octets each.
            cache_answers_max: 10_000,
            // Postfix keeps one for each of its processes, 100 by default (default_process_limit).
            connections_max: 256,
            // Longer than Postfix keeps one unused (smtpd_policy_service_max_idle, 300 s), so that it closes and not we.
            idle: 310,
        }
    }
}

/// Check what only the whole tells. Errors: the first thing that can not be.
pub(super) fn check(settings: &mut Settings, map: &Map<'_>) -> Result<(), SettingsError> {
    let relation = &settings.relation;
    let path = |key| [Step::Key("relation"), Step::Key(key)];
    if !relation.enabled {
        return Ok(());
    }
    let taken = |address: &&SocketAddr| {
        address.port() != 0
            && (settings.dns.listen.contains(address) || (settings.http.enabled && settings.http.listen == **address))
    };
    if let Some(address) = relation.listen.iter().find(taken) {
        let message = format!("`listen` in [relation] is {address}, which [dns] or [http] takes; give it another port");
        return Err(map.fault(&path("listen"), message));
    }
    let mut warn = |key, message: String, hint: &str| {
        let (line, column) = map.position(&path(key));
        settings.warnings.push(Diagnostic {
            severity: Severity::Warning,
            file: settings.file.clone(),
            line,
            column,
            message,
            hint: hint.to_owned(),
        });
    };
    if let Some(address) = relation.listen.iter().find(|address| !address.ip().is_loopback()) {
        warn(
            "listen",
            format!("the policy service listens on {address}: whoever reaches that may ask, and make it look names up"),
            "use loopback or `socket`, or let only your mail servers through",
        );
    }
    if relation.listen.is_empty() && relation.socket.is_none() && !settings.http.enabled {
        warn(
            "enabled",
            "[relation] is enabled, but nobody can ask".to_owned(),
            "add `listen` or `socket`, or enable [http]",
        );
    }
    Ok(())
}
