//! `[tls]`: the certificate of all encrypted transports, and DNS over TLS and QUIC.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::place::{Map, Step};
use super::{Settings, SettingsError, values};
use crate::diag::{Diagnostic, Severity};

/// `[tls]`: certificate, versions, and where DoT and DoQ are served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// The chain of certificates, PEM.
    #[serde(deserialize_with = "values::optional_path")]
    pub certificate_file: Option<PathBuf>,
    /// The private key, PEM.
    #[serde(deserialize_with = "values::optional_path")]
    pub key_file: Option<PathBuf>,
    /// The lowest version of TLS.
    #[serde(deserialize_with = "values::tls_version")]
    pub min_version: TlsVersion,
    /// Addresses of DNS over TLS (RFC 7858).
    #[serde(deserialize_with = "values::addresses")]
    pub dot_listen: Vec<SocketAddr>,
    /// Addresses of DNS over QUIC (RFC 9250).
    #[serde(deserialize_with = "values::addresses")]
    pub doq_listen: Vec<SocketAddr>,
    /// Longest time for a handshake, ms.
    #[serde(deserialize_with = "values::number::<_, _, 10, 3_600_000>")]
    pub handshake_ms_max: u32,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate_file: None,
            key_file: None,
            min_version: TlsVersion::V13,
            dot_listen: Vec::new(),
            doq_listen: Vec::new(),
            // Two round trips and a signature; some seconds on the worst of lines.
            handshake_ms_max: 5_000,
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V12,
    /// RFC 8446.
    V13,
}

impl TlsVersion {
    /// All of them with their names in the settings.
    pub(super) const ALL: [(Self, &'static str); 2] = [(Self::V12, "1.2"), (Self::V13, "1.3")];
}

impl Settings {
    /// Whether anything is served that wants a certificate.
    pub fn wants_certificate(&self) -> bool {
        let (tls, public) = (&self.tls, &self.public);
        !tls.dot_listen.is_empty() || !tls.doq_listen.is_empty() || (public.enabled && public.tls)
    }
}

/// Check what only the whole tells, and note where the files are named. Errors: the first thing that can not be.
pub(super) fn check(settings: &mut Settings, map: &Map<'_>) -> Result<(), SettingsError> {
    let (tls, public) = (&settings.tls, &settings.public);
    let path = |key| [Step::Key("tls"), Step::Key(key)];
    for (one, other, missing) in
        [(&tls.certificate_file, &tls.key_file, "key-file"), (&tls.key_file, &tls.certificate_file, "certificate-file")]
    {
        if one.is_some() && other.is_none() {
            let message = format!("`{missing}` is missing in [tls]; a certificate and its key go together");
            return Err(map.fault(&path(missing), message));
        }
    }
    if public.http3 && !public.tls {
        let message = "`http3` in [public] needs TLS; add tls = true".to_owned();
        return Err(map.fault(&[Step::Key("public"), Step::Key("http3")], message));
    }
    let over_tcp = |address: &&SocketAddr| {
        address.port() != 0
            && (settings.dns.listen.contains(address)
                || (settings.http.enabled && settings.http.listen == **address)
                || (public.enabled && public.listen == **address))
    };
    if let Some(address) = tls.dot_listen.iter().find(over_tcp) {
        let message = format!(
            "`dot-listen` in [tls] is {address}, which [dns], [http] or [public] takes for TCP; give it another port"
        );
        return Err(map.fault(&path("dot-listen"), message));
    }
    let over_udp = |address: &&SocketAddr| {
        address.port() != 0
            && (settings.dns.listen.contains(address) || (public.enabled && public.http3 && public.listen == **address))
    };
    if let Some(address) = tls.doq_listen.iter().find(over_udp) {
        let message =
            format!("`doq-listen` in [tls] is {address}, which [dns] or [public] takes for UDP; give it another port");
        return Err(map.fault(&path("doq-listen"), message));
    }
    if tls.certificate_file.is_some() {
        settings.places.certificate = ["certificate-file", "key-file"].map(|key| map.position(&path(key)));
    } else if settings.wants_certificate() {
        let (line, column) = map.position(&path("certificate-file"));
        settings.warnings.push(Diagnostic {
            severity: Severity::Warning,
            file: settings.file.clone(),
            line,
            column,
            message: "encrypted transports are set, but [tls] names no certificate".to_owned(),
            hint: "add certificate-file and key-file, or try it out with `dnsbld serve --self-signed`".to_owned(),
        });
    }
    Ok(())
}
