//! The encrypted transports: settings to options, and their life from bind to shutdown.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Failure;
use crate::config::{Settings, TlsVersion};
use crate::http::public::Security;
use crate::serve::answer::{Policy, Transport};
use crate::serve::doq::{self, DoqShared};
use crate::serve::limits::{ConnectionCaps, ConnectionLimits};
use crate::serve::quic::{QuicServer, admit_by};
use crate::serve::responder::Responder;
use crate::serve::stream::{StreamCounters, StreamOptions, StreamServer, Streams};
use crate::serve::tls::{CertificateSource, Certificates};
use crate::stats::Registry;
use crate::zone::Reader;

/// The name in the handshake of DNS over TLS (RFC 7858, IANA's registry of ALPN).
const DOT_ALPN: &[u8] = b"dot";
/// Where `--self-signed` serves DoT and DoQ when the settings name no address: the usual port, out of root's reach.
const TRIAL_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8853);

/// Listeners that are bound and not yet served.
pub(super) struct Encrypted {
    /// The certificate, where one is needed.
    certificates: Option<Arc<Certificates>>,
    /// What the settings say.
    tls12: bool,
    /// Longest time for a handshake, ms.
    handshake_ms_max: u64,
    /// Limits on connections; each transport has its own count.
    options: StreamOptions,
    /// DNS over TLS.
    dot: Option<StreamServer>,
    /// DNS over QUIC.
    doq: Vec<QuicServer>,
}

/// What serves.
pub(super) struct Running {
    /// Tells all to stop.
    stop: watch::Sender<bool>,
    /// DNS over TLS.
    dot: Option<Streams>,
    /// A task for each QUIC listener, and one that watches the certificate.
    tasks: Vec<JoinHandle<()>>,
    /// Counters of connections with their transports' labels.
    pub counters: Vec<(&'static str, Arc<StreamCounters>)>,
}

impl Encrypted {
    /// Read the certificate and bind the addresses. `self_signed` makes a certificate instead.
    pub(super) fn bind(settings: &Settings, options: StreamOptions, self_signed: bool) -> Result<Self, Failure> {
        let (tls, public) = (&settings.tls, &settings.public);
        let (mut dot_listen, mut doq_listen) = (tls.dot_listen.clone(), tls.doq_listen.clone());
        if self_signed && dot_listen.is_empty() && doq_listen.is_empty() {
            (dot_listen, doq_listen) = (vec![TRIAL_LISTEN], vec![TRIAL_LISTEN]);
        }
        let wanted = !dot_listen.is_empty() || !doq_listen.is_empty() || (public.enabled && public.tls);
        let source = match (self_signed, &tls.certificate_file, &tls.key_file) {
            (true, ..) => Some(CertificateSource::SelfSigned(names(&[&dot_listen, &doq_listen, &[public.listen]]))),
            (false, Some(certificate), Some(key)) => {
                Some(CertificateSource::Files { certificate: certificate.clone(), key: key.clone() })
            }
            _ if wanted => {
                return Err(
                    "encrypted transports are set, but [tls] names no certificate-file and key-file; add them, \
                            or try it out with `dnsbld serve --self-signed`"
                        .into(),
                );
            }
            _ => None,
        };
        let certificates = source.filter(|_| wanted).map(Certificates::open).transpose()?;
        if self_signed {
            tracing::warn!(
                "the certificate is made for trying out and changes with every start; clients can not check it"
            );
        }
        let (tls12, handshake_ms_max) = (tls.min_version == TlsVersion::V12, tls.handshake_ms_max.into());
        let dot = match &certificates {
            Some(certificates) if !dot_listen.is_empty() => {
                let config = certificates.server_config(tls12, &[DOT_ALPN])?;
                Some(StreamServer::bind_tls(&dot_listen, options.clone(), config, handshake_ms_max)?)
            }
            _ => None,
        };
        let doq = doq_listen.into_iter().map(QuicServer::bind).collect::<Result<_, _>>()?;
        Ok(Self { certificates, tls12, handshake_ms_max, options, dot, doq })
    }

    /// What the public listener needs where it speaks TLS itself.
    pub(super) fn security(&self, settings: &Settings) -> Option<Security> {
        let certificates = self.certificates.clone().filter(|_| settings.public.tls)?;
        Some(Security {
            certificates,
            tls12: self.tls12,
            handshake_ms_max: self.handshake_ms_max,
            http3: settings.public.http3,
        })
    }

    /// The certificate, where one is needed.
    pub(super) fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
    }

    /// Lines that say where it listens.
    pub(super) fn addresses(&self) -> Vec<String> {
        let dot = self.dot.iter().flat_map(StreamServer::local_addresses).map(|address| format!("tls on {address}"));
        dot.chain(self.doq.iter().map(|server| format!("quic on {}", server.local_address()))).collect()
    }

    /// Answer queries from here on.
    pub(super) fn start(
        self,
        runtime: &Handle,
        reader: &Reader,
        policy: &Arc<ArcSwap<Policy>>,
        registry: &Registry,
    ) -> Result<Running, Failure> {
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, mut counters) = (Vec::new(), Vec::new());
        let dot = self.dot.map(|server| server.start(runtime, reader.clone(), Arc::clone(policy), registry));
        let dot = dot.transpose()?;
        counters.extend(dot.iter().map(|streams| ("tls", streams.counters())));
        if let Some(certificates) = &self.certificates {
            let mut stopped = stopped.clone();
            tasks.push(runtime.spawn(Arc::clone(certificates).watch(async move {
                // An error means that the sender is gone, which says the same.
                let _ = stopped.changed().await;
            })));
        }
        if let (Some(certificates), false) = (&self.certificates, self.doq.is_empty()) {
            let caps = caps(&self.options);
            let responder = Responder::new(Transport::Quic, reader.clone(), Arc::clone(policy), registry);
            let limits = ConnectionLimits::new(caps);
            let shared = Arc::new(DoqShared { options: self.options, limits: Arc::clone(&limits), responder });
            let (quic, admit) = (shared.quic(self.handshake_ms_max), admit_by(limits));
            for server in self.doq {
                let address = server.local_address();
                counters.push(("quic", server.counters()));
                let config = certificates.server_config(false, &[doq::ALPN])?;
                let (shared, stopped, admit) = (Arc::clone(&shared), stopped.clone(), Arc::clone(&admit));
                tasks.push(runtime.spawn(async move {
                    let each = |connection| doq::serve(connection, Arc::clone(&shared), stopped.clone());
                    if let Err(error) = server.serve(config, quic, admit, stopped.clone(), each).await {
                        tracing::error!("QUIC can not be served on {address}: {error}");
                    }
                }));
            }
        }
        Ok(Running { stop, dot, tasks, counters })
    }
}

impl Running {
    /// Stop listening, finish answers under way, close all connections; some seconds at most.
    pub(super) async fn shutdown(self) {
        // No receiver is left when all tasks have ended already, which is as well.
        let _ = self.stop.send(true);
        if let Some(dot) = self.dot {
            dot.shutdown().await;
        }
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!("a task of the encrypted transports had died: {error}");
            }
        }
    }
}

/// The caps on connections.
fn caps(options: &StreamOptions) -> ConnectionCaps {
    ConnectionCaps {
        total: options.connections_max,
        host: options.connections_per_host_max,
        net: options.connections_per_net_max,
    }
}

/// Names and addresses for a certificate that is made: those that are listened on, and this host.
fn names(listen: &[&[SocketAddr]]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let addresses = listen.iter().flat_map(|list| list.iter()).map(SocketAddr::ip);
    names.extend(addresses.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
    names.sort_unstable();
    names.dedup();
    names
}
