//! Certificates for all encrypted transports: from files, reread when they change, or made for trying out.
//!
//! A handshake takes the pair that is current; connections that are there keep what they began with. A pair that can not
//! be used, as while only one of its two files has been replaced, changes nothing: the old one stays, the log says why,
//! a counter counts it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls;

/// Octets of the largest certificate or key file; a chain has some ten thousand.
const FILE_LEN_MAX: u64 = 1 << 20;
/// Pause between two looks at the files. Two system calls each, so often costs nothing; a changed file must look the same
/// twice before it is read, so that both files of a pair are there.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// From PEM files.
    Files {
        /// The chain, the server's own certificate first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made at start, for these names and addresses. Nobody can know it, so it is for trying out.
    SelfSigned(Vec<String>),
}

/// Why a certificate can not be used: a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file can not be read.
    #[error("{file} can not be read: {error}; name PEM files in `[tls]`")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{file} is no {wanted} in PEM form: {why}")]
    Content {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The two do not belong together, or the algorithm is not known.
    #[error("the certificate in {certificate} can not be used with the key in {key}: {why}")]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No certificate could be made.
    #[error("no self-signed certificate can be made: {0}")]
    Made(String),
    /// TLS itself could not be set up.
    #[error("TLS can not be set up: {0}")]
    Setup(String),
}

/// What is known of a file without reading it; none where it is not there.
///
/// The time of the last change counts rights and owner too: a key that becomes readable is read.
type Stamp = Option<[i64; 6]>;

/// The current certificate, for every listener.
#[derive(Debug)]
pub struct Certificates {
    /// Where it comes from.
    source: CertificateSource,
    /// The current one.
    current: ArcSwap<CertifiedKey>,
    /// The algorithms.
    provider: Arc<CryptoProvider>,
    /// The files as they were at the last attempt, and at the last look.
    seen: Mutex<[[Stamp; 2]; 2]>,
    /// Times that it was read again: taken, refused.
    reloads: [AtomicU64; 2],
}

/// Gives every handshake the current certificate.
#[derive(Debug)]
struct Resolver(Arc<Certificates>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.load_full())
    }
}

impl Certificates {
    /// Read or make the certificate.
    ///
    /// # Errors
    ///
    /// When there is none to begin with.
    pub fn open(source: CertificateSource) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let stamps = stamps(&source);
        let current = read(&source, &provider)?;
        Ok(Arc::new(Self {
            source,
            current: ArcSwap::from_pointee(current),
            provider,
            seen: Mutex::new([stamps, stamps]),
            reloads: Default::default(),
        }))
    }

    /// How TLS is spoken, with these protocols (ALPN, RFC 7301). The versions are 1.3, and 1.2 where asked.
    ///
    /// There is no early data (0-RTT): it can be replayed, and saves a blocklist's client little. Sessions are resumed by
    /// tickets that the client keeps, so they cost no memory here.
    ///
    /// # Errors
    ///
    /// When the system gives no random octets.
    pub fn server_config(self: &Arc<Self>, tls12: bool, alpn: &[&[u8]]) -> Result<ServerConfig, CertificateError> {
        let setup = |error: rustls::Error| CertificateError::Setup(error.to_string());
        let versions: &[_] = if tls12 { &[&TLS13, &TLS12] } else { &[&TLS13] };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)
            .map_err(setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(self))));
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.ticketer = ring::Ticketer::new().map_err(setup)?;
        config.send_tls13_tickets = 1;
        Ok(config)
    }

    /// Times that the certificate was read again: taken, refused.
    pub fn reloads(&self) -> [u64; 2] {
        [self.reloads[0].load(Relaxed), self.reloads[1].load(Relaxed)]
    }

    /// Look at the files, and read them when they have changed since the last attempt and no more since the last look.
    pub fn look(&self) {
        // Held until all is done, so that of two at once the later one also reads later.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.source);
        let [tried, looked] = &mut *seen;
        let settled = *looked == now;
        *looked = now;
        if settled && *tried != now {
            *tried = now;
            self.reread();
        }
    }

    /// Read the files now, as on SIGHUP.
    pub fn reload(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.source);
        *seen = [now, now];
        self.reread();
    }

    /// Read the files, and take what they hold if it can be used.
    fn reread(&self) {
        if matches!(self.source, CertificateSource::SelfSigned(_)) {
            return;
        }
        match read(&self.source, &self.provider) {
            Ok(fresh) => {
                if fresh.cert != self.current.load().cert {
                    tracing::info!("certificate reread; new connections get it");
                }
                // Counted first, so that whoever is shown it finds it counted.
                self.reloads[0].fetch_add(1, Relaxed);
                self.current.store(Arc::new(fresh));
            }
            Err(error) => {
                tracing::error!("{error}; the certificate in force stays");
                self.reloads[1].fetch_add(1, Relaxed);
            }
        }
    }

    /// Look at the files again and again until `stop` is done.
    pub async fn watch(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
            let certificates = Arc::clone(&self);
            // Files may lie on a slow disk.
            if tokio::task::spawn_blocking(move || certificates.look()).await.is_err() {
                return;
            }
        }
    }
}

/// The stamps of the files.
fn stamps(source: &CertificateSource) -> [Stamp; 2] {
    let stamp = |file: &Path| {
        let metadata = std::fs::metadata(file).ok()?;
        // Only compared, so it does not matter what becomes of the highest bit.
        let (size, inode) = (metadata.size() as i64, metadata.ino() as i64);
        let (modified, changed) = (metadata.mtime(), metadata.ctime());
        Some([size, modified, metadata.mtime_nsec(), changed, metadata.ctime_nsec(), inode])
    };
    match source {
        CertificateSource::Files { certificate, key } => [stamp(certificate), stamp(key)],
        CertificateSource::SelfSigned(_) => [None, None],
    }
}

/// Read or make a certificate.
fn read(source: &CertificateSource, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    match source {
        CertificateSource::Files { certificate, key } => {
            let (chain, secret) = (read_chain(certificate)?, read_key(key)?);
            pair((certificate, chain), (key, secret), provider)
        }
        CertificateSource::SelfSigned(names) => {
            let made = |error: &dyn std::error::Error| CertificateError::Made(error.to_string());
            let pair = rcgen::generate_simple_self_signed(names.clone()).map_err(|error| made(&error))?;
            let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der()).into();
            CertifiedKey::from_der(vec![pair.cert.der().clone()], key, provider).map_err(|error| made(&error))
        }
    }
}

/// A chain and a key as a pair, each with its file.
fn pair(
    (certificate, chain): (&Path, Vec<CertificateDer<'static>>),
    (key, secret): (&Path, PrivateKeyDer<'static>),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let bad = |error: rustls::Error| CertificateError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        why: error.to_string(),
    };
    let certified = CertifiedKey::from_der(chain, secret, provider).map_err(bad)?;
    certified.keys_match().map_err(bad)?;
    Ok(certified)
}

/// What keeps these files from being served: of the certificate, and of the key or of the two together. For `dnsbld check`, which
/// tells all at once; [`Certificates::open`] refuses exactly these files.
pub fn problems(certificate: &Path, key: &Path) -> [Option<CertificateError>; 2] {
    match (read_chain(certificate), read_key(key)) {
        (Ok(chain), Ok(secret)) => [None, pair((certificate, chain), (key, secret), &ring::default_provider()).err()],
        (chain, secret) => [chain.err(), secret.err()],
    }
}

/// The octets of a file.
fn octets(file: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut octets = Vec::new();
    File::open(file)
        .and_then(|open| open.take(FILE_LEN_MAX).read_to_end(&mut octets))
        .map_err(|error| CertificateError::Read { file: file.to_owned(), error })?;
    Ok(octets)
}

/// A chain of certificates.
fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bad = |why: String| CertificateError::Content { file: file.to_owned(), wanted: "certificate", why };
    let octets = octets(file)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&octets).collect::<Result<_, _>>().map_err(|e| bad(e.to_string()))?;
    if chain.is_empty() {
        return Err(bad("it holds no `BEGIN CERTIFICATE`".to_owned()));
    }
    Ok(chain)
}

/// A private key.
fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(&octets(file)?).map_err(|error| CertificateError::Content {
        file: file.to_owned(),
        wanted: "private key",
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    /// Write a fresh pair into a directory; the certificate's octets.
    fn made(dir: &Path, certificate: &str, key: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join(certificate), made.cert.pem()).unwrap();
        std::fs::write(dir.join(key), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    /// The files `c` and `k` of a directory.
    fn source(dir: &Path) -> CertificateSource {
        CertificateSource::Files { certificate: dir.join("c"), key: dir.join("k") }
    }

    #[test]
    fn a_bad_pair_is_refused_with_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        // The first problem is the one for which it is refused.
        let told = || {
            let problems = problems(&dir.path().join("c"), &dir.path().join("k"));
            let refused = Certificates::open(source(dir.path())).unwrap_err().to_string();
            assert_eq!(problems.into_iter().flatten().next().map(|problem| problem.to_string()), Some(refused.clone()));
            refused
        };
        assert!(told().contains("/c can not be read: No such file"), "{}", told());
        made(dir.path(), "c", "k");
        Certificates::open(source(dir.path())).unwrap();
        assert!(problems(&dir.path().join("c"), &dir.path().join("k")).iter().all(Option::is_none));
        made(dir.path(), "other", "k");
        assert!(told().contains("can not be used with the key"), "{}", told());
        std::fs::write(dir.path().join("k"), "no key").unwrap();
        assert!(told().contains("/k is no private key in PEM form"), "{}", told());
        std::fs::write(dir.path().join("c"), "").unwrap();
        assert!(told().contains("/c is no certificate in PEM form"), "{}", told());
    }

    #[test]
    fn changed_files_are_taken_once_they_are_settled_and_good() {
        let dir = tempfile::tempdir().unwrap();
        let first = made(dir.path(), "c", "k");
        let certificates = Certificates::open(source(dir.path())).unwrap();
        let current = || certificates.current.load().cert[0].to_vec();
        // Nothing has changed.
        certificates.look();
        assert_eq!((current(), certificates.reloads()), (first.clone(), [0, 0]));
        // Only the certificate is new: the pair is refused, once.
        let second = made(dir.path(), "c", "k2");
        for expected in [[0, 0], [0, 1], [0, 1]] {
            certificates.look();
            assert_eq!((current(), certificates.reloads()), (first.clone(), expected));
        }
        // Its key comes.
        std::fs::rename(dir.path().join("k2"), dir.path().join("k")).unwrap();
        for (expected, reloads) in [(&first, [0, 1]), (&second, [1, 1]), (&second, [1, 1])] {
            certificates.look();
            assert_eq!((&current(), certificates.reloads()), (expected, reloads));
        }
        // The key's rights change, until the clock of the file system tells it.
        let rights = || std::fs::set_permissions(dir.path().join("k"), PermissionsExt::from_mode(0o600)).unwrap();
        let (before, end) = (stamps(&certificates.source), Instant::now() + Duration::from_secs(20));
        while stamps(&certificates.source) == before {
            assert!(Instant::now() < end, "a change of rights is not seen");
            rights();
        }
        for reloads in [[1, 1], [2, 1], [2, 1]] {
            certificates.look();
            assert_eq!((current(), certificates.reloads()), (second.clone(), reloads));
        }
        // Both go away, and a reload is asked for.
        std::fs::remove_file(dir.path().join("k")).unwrap();
        certificates.reload();
        certificates.look();
        assert_eq!((current(), certificates.reloads()), (second, [2, 2]));
    }

    #[test]
    fn a_self_signed_one_is_there_at_once_and_never_reread() {
        let certificates = Certificates::open(CertificateSource::SelfSigned(vec!["::1".to_owned()])).unwrap();
        let config = certificates.server_config(false, &[b"dot"]).unwrap();
        assert_eq!((config.alpn_protocols, config.max_early_data_size), (vec![b"dot".to_vec()], 0));
        certificates.look();
        certificates.reload();
        assert_eq!(certificates.reloads(), [0, 0]);
    }
}
