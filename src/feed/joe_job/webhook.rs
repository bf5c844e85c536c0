//! Reports for other programs: each is posted as JSON to one address, signed, and tried again until it is taken.
//!
//! Whoever sends never waits: reports go into a bounded queue, and a task of its own works that off, one after another. A receiver that
//! hangs costs nothing but its own reports. The signature is `sha256=` and the HMAC-SHA256 of the time stamp, a full stop and the body,
//! so that a recorded report can not be played again later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use hmac::{Hmac, Mac as _};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::report::hex;
use crate::sys::clock;

/// Reports that wait at most. A site has a few joe-jobs a year; whoever has hundreds at once learns enough from these.
const QUEUE_MAX: usize = 64;
/// Header of the time at which a report was signed, in seconds since 1970.
const TIME_HEADER: &str = "x-dnsbld-timestamp";
/// Header of the signature.
const SIGNATURE_HEADER: &str = "x-dnsbld-signature";

/// Where reports go, and how patiently.
#[derive(Clone)]
pub struct WebhookOptions {
    /// `https://…` or `http://…`.
    pub url: String,
    /// The secret of the signature; empty for no signature.
    pub secret: Vec<u8>,
    /// How long one attempt may take.
    pub attempt_time_max: Duration,
    /// The pause after the first failure; each further one is twice as long.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// Attempts for one report.
    pub attempts_max: u32,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: Vec::new(),
            attempt_time_max: Duration::from_secs(10),
            pause_min: Duration::from_secs(2),
            // With twenty attempts a report is tried for more than an hour, as long as most outages take.
            pause_max: Duration::from_secs(300),
            attempts_max: 20,
        }
    }
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOptions").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What became of reports.
#[derive(Debug, Default)]
pub struct WebhookCounts {
    /// Taken by the receiver.
    pub delivered: AtomicU64,
    /// Attempts that failed.
    pub failed: AtomicU64,
    /// Reports given up, or dropped because too many waited.
    pub lost: AtomicU64,
}

/// The way to the receiver. Dropping it ends the task once what waits is done or given up.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The queue.
    queue: mpsc::Sender<String>,
    /// What became of reports.
    counts: Arc<WebhookCounts>,
}

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Destination {
    /// Host name or address.
    host: String,
    /// Port.
    port: u16,
    /// With TLS?
    tls: bool,
    /// Path and query.
    path: String,
    /// The Host header.
    authority: String,
}

impl Destination {
    /// Read an address. Errors: what is wrong with it.
    fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{url:?} {why}; expected something like \"https://hooks.example.org/joe-job\"");
        let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("is neither https nor http")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a password in it, which is not sent"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            authority: authority.as_str().to_owned(),
        })
    }
}

/// Is this an address that reports can go to? Errors: what is wrong with it.
pub fn check_url(url: &str) -> Result<(), String> {
    Destination::parse(url).map(drop)
}

impl Webhook {
    /// Start the task that delivers; wants to be called within a tokio runtime. Errors: a bad address, or no trust anchors for TLS.
    pub fn start(options: WebhookOptions) -> Result<Self, String> {
        let destination = Destination::parse(&options.url)?;
        let tls = if destination.tls {
            let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?;
            let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(config.crypto_provider()))
                .map_err(|error| format!("the system's certificates can not be read: {error}"))?;
            let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
            Some(TlsConnector::from(Arc::new(config)))
        } else {
            None
        };
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::<WebhookCounts>::default();
        let courier = Courier { options, destination, tls, counts: Arc::clone(&counts) };
        tokio::spawn(courier.run(waiting));
        Ok(Self { queue, counts })
    }

    /// Hand a report over. Never waits; false when it was dropped because too many wait already.
    pub fn send(&self, report: String) -> bool {
        let taken = self.queue.try_send(report).is_ok();
        if !taken {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("a report for the webhook was dropped: {QUEUE_MAX} wait already; is its receiver down?");
        }
        taken
    }

    /// What became of reports.
    pub fn counts(&self) -> &Arc<WebhookCounts> {
        &self.counts
    }
}

/// Why a report was not taken.
enum Refusal {
    /// Another time may do.
    Later(String),
    /// It never will.
    Never(String),
}

/// Delivers reports.
struct Courier {
    /// How patiently.
    options: WebhookOptions,
    /// Where to.
    destination: Destination,
    /// TLS, where the address wants it.
    tls: Option<TlsConnector>,
    /// What became of reports.
    counts: Arc<WebhookCounts>,
}

impl Courier {
    /// Work the queue off.
    async fn run(self, mut waiting: mpsc::Receiver<String>) {
        while let Some(report) = waiting.recv().await {
            if self.deliver(&report).await {
                self.counts.delivered.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Deliver one report, with patience; false when it was given up.
    async fn deliver(&self, report: &str) -> bool {
        let mut pause = self.options.pause_min;
        for attempt in 1..=self.options.attempts_max {
            let tried = timeout(self.options.attempt_time_max, self.post(report)).await;
            let why = match tried.unwrap_or_else(|_| Err(Refusal::Later("no answer in time".to_owned()))) {
                Ok(()) => return true,
                Err(Refusal::Never(why)) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        "the webhook {} refuses a report: {why}; it is given up",
                        self.destination.authority
                    );
                    return false;
                }
                Err(Refusal::Later(why)) => why,
            };
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "the webhook {} took no report, attempt {attempt} of {}: {why}",
                self.destination.authority,
                self.options.attempts_max
            );
            if attempt < self.options.attempts_max {
                sleep(pause).await;
                pause = (pause * 2).min(self.options.pause_max);
            }
        }
        false
    }

    /// One attempt.
    async fn post(&self, report: &str) -> Result<(), Refusal> {
        let later = |error: &dyn std::error::Error| Refusal::Later(error.to_string());
        let stream = TcpStream::connect((self.destination.host.as_str(), self.destination.port)).await;
        let stream = stream.map_err(|error| later(&error))?;
        match &self.tls {
            None => self.exchange(stream, report).await,
            Some(tls) => {
                let name = ServerName::try_from(self.destination.host.clone()).map_err(|error| later(&error))?;
                let stream = tls.connect(name, stream).await.map_err(|error| later(&error))?;
                self.exchange(stream, report).await
            }
        }
    }

    /// Request and response over an open connection.
    async fn exchange<S>(&self, stream: S, report: &str) -> Result<(), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let later = |error: hyper::Error| Refusal::Later(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(later)?;
        // It ends with the sender, at the latest when the attempt's time is up and this is dropped.
        let connection = tokio::spawn(connection);
        let _abort = AbortOnDrop(connection.abort_handle());
        let now = clock::now_s().to_string();
        let mut request = Request::post(self.destination.path.as_str())
            .header(HOST, self.destination.authority.as_str())
            .header(USER_AGENT, concat!("dnsbld/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header(TIME_HEADER, now.as_str());
        if !self.options.secret.is_empty() {
            request = request.header(SIGNATURE_HEADER, signature(&self.options.secret, &now, report));
        }
        let request = request.body(Body::from(report.to_owned())).map_err(|error| Refusal::Never(error.to_string()))?;
        let status = sender.send_request(request).await.map_err(later)?.status();
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Refusal::Later(status.to_string())),
            status if status.is_client_error() => Err(Refusal::Never(status.to_string())),
            status => Err(Refusal::Later(status.to_string())),
        }
    }
}

/// Ends a task when dropped.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The signature of a report.
pub fn signature(secret: &[u8], time: &str, report: &str) -> String {
    // HMAC takes keys of every length, so this can not fail.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(report.as_bytes());
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}
