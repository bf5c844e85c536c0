//! DNS over TLS, QUIC and HTTPS, as clients of several makes see it.
//!
//! `clients` asks octet by octet, `agree` compares the transports, `tools` are other people's programs, `certificates` change,
//! `patience` is what idle and slow clients must not do to others, `silence` what silent ones must not, `readers` what those must not who take
//! no answers. `doq` and `http3` are about one transport each.

mod agree;
mod certificates;
mod clients;
mod doq;
mod http3;
mod patience;
mod readers;
mod rules;
mod silence;
mod tools;

use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::lists::{BL, BL6, DBL, EXTRA, big};
use crate::server::{Server, zone};

/// Write a fresh certificate for `localhost` and 127.0.0.1 into a directory, as `cert.pem` and `key.pem`.
fn put_certificate(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    // Each is renamed into place, as careful programs do.
    for (name, text) in [("key.pem", made.signing_key.serialize_pem()), ("cert.pem", made.cert.pem())] {
        std::fs::write(dir.join("new.pem"), text).unwrap();
        std::fs::rename(dir.join("new.pem"), dir.join(name)).unwrap();
    }
    made.cert.der().clone()
}

/// A server of every transport, and its certificate; `tcp` goes into `[dns.tcp]`, `public` into `[public]`.
fn server(tcp: &str, public: &str) -> (Server, CertificateDer<'static>) {
    let dir = tempfile::tempdir().unwrap();
    let big = big();
    for (name, text) in [("bl", BL), ("bl6", BL6), ("extra", EXTRA), ("dbl", DBL), ("big", &big)] {
        crate::server::put_old(&dir.path().join(format!("{name}.zone")), text.as_bytes());
    }
    let certificate = put_certificate(dir.path());
    let zones = [
        zone("bl.test", &[("ip4set", "bl.zone"), ("ip6trie", "bl6.zone"), ("generic", "extra.zone")], "ttl = 600"),
        zone("dbl.test", &[("dnset", "dbl.zone")], "negative-ttl = 77"),
        zone("big.test", &[("ip4set", "big.zone")], ""),
    ];
    let settings = format!(
        "[dns]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nserver-id = \"node-7\"\n[dns.tcp]\n{tcp}\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[load]\npoll-s = 1\nsettle-ms = 50\n\
         [tls]\ncertificate-file = \"cert.pem\"\nkey-file = \"key.pem\"\nhandshake-ms-max = 5000\n\
         dot-listen = [\"127.0.0.1:0\"]\ndoq-listen = [\"127.0.0.1:0\"]\n\
         [public]\nenabled = true\nlisten = \"127.0.0.1:0\"\ntls = true\nhttp3 = true\n{public}\n{}",
        zones.join("\n")
    );
    (Server::start_in(dir, &settings), certificate)
}
