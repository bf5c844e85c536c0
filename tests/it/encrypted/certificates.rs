//! A certificate that changes while clients ask: none is lost, and a bad one changes nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::clients::{connect, doq, exchange, get, http1, http3, quic, runtime, tls};
use super::{put_certificate, server};
use crate::message::{A, query};
use crate::metrics::Scrape;
use crate::server::Server;

/// The certificate that a new connection to DoT gets.
fn presented(server: &Server, trusted: &[&CertificateDer<'static>]) -> CertificateDer<'static> {
    runtime().block_on(async {
        let stream = connect(server.address("tls"), tls(trusted, &[b"dot"])).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    })
}

/// Times that the certificate was reread with this outcome.
fn reloads(server: &Server, outcome: &str) -> f64 {
    Scrape::of(server).sum("dnsbld_certificate_reloads_total", &[("outcome", outcome)])
}

#[test]
fn it_changes_under_load_without_losing_a_query() {
    let (server, first) = server("", "connections-per-host-max = 100");
    let dir = server.path("");
    let trusted = Arc::new(Mutex::new(vec![first.clone()]));
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let addresses = (server.address("tls"), server.address("quic"), server.address("public"));
    let load = {
        let (trusted, stop, asked) = (Arc::clone(&trusted), Arc::clone(&stop), Arc::clone(&asked));
        std::thread::spawn(move || {
            runtime().block_on(async {
                let message = query("2.0.0.127.bl.test", A).wire();
                let all = || trusted.lock().unwrap().clone();
                let refs = |all: &[CertificateDer<'static>], alpn: &[&[u8]]| tls(&all.iter().collect::<Vec<_>>(), alpn);
                // Kept from before the change to after it.
                let mut kept = connect(addresses.0, refs(&all(), &[b"dot"])).await;
                let (_endpoint, kept_quic) = quic(addresses.1, refs(&all(), &[b"doq"])).await;
                while !stop.load(Relaxed) {
                    assert!(exchange(&mut kept, &message).await.is_some(), "a kept connection was lost");
                    doq(&kept_quic, &message).await;
                    let mut new = connect(addresses.0, refs(&all(), &[b"dot"])).await;
                    assert!(exchange(&mut new, &message).await.is_some(), "a new connection was lost");
                    let (_endpoint, new) = quic(addresses.1, refs(&all(), &[b"doq"])).await;
                    doq(&new, &message).await;
                    asked.fetch_add(4, Relaxed);
                }
            });
        })
    };
    let more = |what: &str| {
        let before = asked.load(Relaxed);
        server.wait(what, |_| load.is_finished() || asked.load(Relaxed) > before + 20);
        assert!(!load.is_finished(), "a query was lost; {what}");
    };
    more("queries under the first certificate");
    // Clients must know the new one before the server can show it.
    let made = tempfile::tempdir().unwrap();
    let second = put_certificate(made.path());
    trusted.lock().unwrap().push(second.clone());
    for name in ["key.pem", "cert.pem"] {
        std::fs::copy(made.path().join(name), dir.join("new.pem")).unwrap();
        std::fs::rename(dir.join("new.pem"), dir.join(name)).unwrap();
    }
    server.wait("the new certificate", |server| presented(server, &[&first, &second]) == second);
    assert_eq!(reloads(&server, "taken"), 1.0);
    more("queries under the second certificate");
    // All transports have it.
    runtime().block_on(async {
        let message = query("2.0.0.127.bl.test", A).wire();
        assert_eq!(http1(addresses.2, &second, get(&message)).await.status, 200);
        assert_eq!(http3(addresses.2, &second, get(&message)).await.status, 200);
        let (_endpoint, connection) = quic(addresses.1, tls(&[&second], &[b"doq"])).await;
        doq(&connection, &message).await;
    });
    // A bad one changes nothing and is told.
    std::fs::write(dir.join("cert.pem"), "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n").unwrap();
    server.wait("the bad certificate to be refused", |server| reloads(server, "refused") > 0.0);
    server.wait_log("the certificate in force stays");
    assert_eq!(presented(&server, &[&first, &second]), second);
    server.signal(Signal::HUP);
    server.wait("SIGHUP to try again", |server| reloads(server, "refused") > 1.0);
    more("queries under the certificate that stayed");
    stop.store(true, Relaxed);
    load.join().expect("no query was lost");
}

#[test]
fn a_made_certificate_is_enough_to_try_it_out() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "127.0.0.2\n").unwrap();
    let text = "[dns]\nlisten = [\"127.0.0.1:0\"]\n[http]\nenabled = false\n[tls]\ndot-listen = [\"127.0.0.1:0\"]\n\
                [[zone]]\nname = \"bl.test\"\nns = [\"ns.made.example\"]\ndatasets = [{ type = \"ip4set\", files = [\"a\"] }]\n";
    std::fs::write(dir.path().join("dnsbld.toml"), text).unwrap();
    let serve = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
        command.arg("serve").args(more).args(["--config", "dnsbld.toml"]).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    // Without one it does not start, and says what to do.
    let output = serve(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--self-signed"), "{said}");
    let mut child = serve(&["--self-signed"]).spawn().unwrap();
    let lines = crate::server::follow(child.stdout.take().unwrap());
    let mut address = None;
    let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        loop {
            let line = lines.recv_timeout(crate::server::PATIENCE).expect("the server to start");
            if let Some(found) = line.strip_prefix("tls on ") {
                address = Some(found.parse::<std::net::SocketAddr>().unwrap());
            }
            if line.starts_with("ready: ") {
                break;
            }
        }
        // Nobody knows the certificate, so a client that checks refuses it.
        let other = put_certificate(dir.path());
        runtime().block_on(async {
            let stream = tokio::net::TcpStream::connect(address.unwrap()).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(tls(&[&other], &[b"dot"])));
            connector.connect("localhost".try_into().unwrap(), stream).await.map(|_| ()).unwrap_err().to_string()
        })
    }));
    let _ = child.kill();
    let _ = child.wait();
    let error = answered.unwrap();
    assert!(error.contains("certificate"), "{error}");
}
