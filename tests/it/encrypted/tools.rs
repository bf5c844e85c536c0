//! Other people's clients: kdig, dig, hickory's resolver, aioquic.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::clients::{runtime, tls};
use super::server;
use crate::skip;

/// Run a tool with these words; `None` when it is absent.
fn run(tool: &str, address: SocketAddr, words: &str) -> Option<String> {
    let (host, port) = (format!("@{}", address.ip()), address.port().to_string());
    let output = match Command::new(tool).args([&host, "-p", &port]).args(words.split(' ')).output() {
        Ok(output) => output,
        Err(_) => {
            skip(tool);
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {words}: {text}");
    Some(text)
}

#[test]
fn kdig_and_dig() {
    let (server, _) = server("", "");
    let (dot, doq, public) = (server.address("tls"), server.address("quic"), server.address("public"));
    let ca = format!("+tls-ca={} +tls-hostname=localhost", server.path("cert.pem").display());
    let cases: &[(&str, SocketAddr, &str, &[&str])] = &[
        ("kdig", dot, "+tls 2.0.0.127.bl.test A", &["TLS1.3", "status: NOERROR", "127.0.0.2"]),
        ("kdig", dot, &format!("{ca} 2.0.0.127.bl.test TXT"), &["Listed: 127.0.0.2"]),
        ("kdig", dot, "+tls +keepopen 9.9.9.9.bl.test 2.0.0.127.bl.test", &["NXDOMAIN", "127.0.0.2"]),
        ("kdig", doq, "+quic 2.0.0.127.bl.test A", &["QUICv1", "status: NOERROR", "127.0.0.2"]),
        ("kdig", public, "+https 2.0.0.127.bl.test A", &["HTTP/2-POST", "status: 200", "127.0.0.2"]),
        ("kdig", public, "+https-get 4.3.2.1.big.test TXT", &["HTTP/2-GET", "status: 200", "value 060"]),
        ("dig", dot, "+tls 2.0.0.127.bl.test A", &["status: NOERROR", "127.0.0.2"]),
        // Padded answers are 468 octets long (RFC 8467); TLS has the idle time of TCP (RFC 7828).
        ("kdig", dot, "+tls +padding=128 2.0.0.127.bl.test A", &["PADDING", "Received 468 B"]),
        ("kdig", doq, "+quic +padding=128 2.0.0.127.bl.test A", &["PADDING", "Received 468 B"]),
        ("dig", dot, "+tls +keepalive +cookie 2.0.0.127.bl.test A", &["TCP KEEPALIVE: 10.0 secs", " (good)"]),
        ("dig", public, "+https 2.0.0.127.bl.test A", &["status: NOERROR", "127.0.0.2", "(HTTPS)"]),
        ("dig", public, "+https-get 9.9.9.9.bl.test A", &["status: NXDOMAIN"]),
    ];
    for (tool, address, words, parts) in cases {
        let Some(text) = run(tool, *address, words) else { return };
        if text.contains("not supported") || text.contains("Invalid option") {
            skip(&format!("{tool} with {}", words.split(' ').next().unwrap_or_default()));
            continue;
        }
        for part in *parts {
            assert!(text.contains(part), "{tool} {words}: no `{part}` in\n{text}");
        }
    }
}

#[test]
fn hickorys_client() {
    let (server, certificate) = server("", "");
    let name: Arc<str> = "localhost".into();
    let connections = [
        ("UDP", server.dns, ConnectionConfig::udp()),
        ("TCP", server.dns, ConnectionConfig::tcp()),
        ("DoT", server.address("tls"), ConnectionConfig::tls(Arc::clone(&name))),
        ("DoQ", server.address("quic"), ConnectionConfig::quic(Arc::clone(&name))),
        ("DoH/2", server.address("public"), ConnectionConfig::https(Arc::clone(&name), None)),
        ("DoH/3", server.address("public"), ConnectionConfig::h3(Arc::clone(&name), None)),
    ];
    runtime().block_on(async {
        for (how, address, mut connection) in connections {
            connection.port = address.port();
            let upstream = NameServerConfig::new(address.ip(), true, vec![connection]);
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![upstream]);
            let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
                .with_tls_config(tls(&[&certificate], &[]))
                .build()
                .unwrap();
            let found =
                resolver.ipv4_lookup("2.0.0.127.bl.test.").await.unwrap_or_else(|error| panic!("{how}: {error}"));
            let found: Vec<String> = found.answers().iter().map(|record| record.data.to_string()).collect();
            assert_eq!(found, ["127.0.0.2"], "{how}");
            let missing = resolver.ipv4_lookup("9.9.9.9.bl.test.").await.unwrap_err();
            assert!(missing.is_nx_domain(), "{how}: {missing}");
        }
    });
}

#[test]
fn aioquic() {
    let (server, _) = server("", "");
    let python = std::env::var("DNSBLD_AIOQUIC").unwrap_or_else(|_| "python3".to_owned());
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/doq.py");
    if !Command::new(&python).args(["-c", "import aioquic"]).output().is_ok_and(|output| output.status.success()) {
        skip("aioquic");
        return;
    }
    let (host, port) = (server.address("quic").ip().to_string(), server.address("quic").port().to_string());
    let output = Command::new(&python).arg(here).args([&host, &port]).arg(server.path("cert.pem")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("2.0.0.127.bl.test NOERROR 127.0.0.2"), "{said}");
    assert!(said.contains("an ID closes with 2"), "{said}");
}
