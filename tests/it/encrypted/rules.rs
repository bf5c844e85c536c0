//! What RFC 8484 and RFC 9250 rule, and the limits: on requests, on connections.

use super::clients::{
    ask2, connect, exchange, get, http1, http2, http3, post, quic, request, runtime, soon, stream, tls,
};
use super::server;
use crate::message::{A, Reply, edns, query};
use crate::metrics::Scrape;

#[test]
fn doh_says_what_is_wrong_by_status() {
    let (server, certificate) = server("", "");
    let public = server.address("public");
    let good = query("2.0.0.127.bl.test", A).wire();
    let message = Some("application/dns-message");
    let encoded = data_encoding::BASE64URL_NOPAD.encode(&good);
    let get = |path: String| request("GET", &path, None, &[]);
    let cases = [
        ("a GET", get(format!("/dns-query?dns={encoded}")), 200),
        ("among others", get(format!("/dns-query?x=1&dns={encoded}&y")), 200),
        ("no query", get("/dns-query".to_owned()), 400),
        ("padding", get(format!("/dns-query?dns={encoded}==")), 400),
        ("no base64url", get("/dns-query?dns=a+b/".to_owned()), 400),
        ("too short", get("/dns-query?dns=AAAA".to_owned()), 400),
        ("a response", get(format!("/dns-query?dns={}", encoded.replacen("AA", "AIAA", 1))), 400),
        ("another path", get(format!("/dns?dns={encoded}")), 404),
        ("another method", request("PUT", "/dns-query", message, &good), 405),
        ("a POST", request("POST", "/dns-query", message, &good), 200),
        ("in capitals", request("POST", "/dns-query", Some("Application/DNS-Message"), &good), 200),
        ("no type", request("POST", "/dns-query", None, &good), 415),
        ("another type", request("POST", "/dns-query", Some("text/plain"), &good), 415),
        ("too long", request("POST", "/dns-query", message, &vec![0; 65_536]), 413),
        ("empty", request("POST", "/dns-query", message, &[]), 400),
    ];
    runtime().block_on(async {
        let mut http = http2(public, &certificate).await;
        for (what, request, expected) in cases {
            let copy = || {
                let (method, uri) =
                    (request.method().as_str().to_owned(), request.uri().path_and_query().unwrap().clone());
                let kind = request.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
                (method, uri.to_string(), kind)
            };
            let (method, path, kind) = copy();
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let again = || super::clients::request(&method, &path, kind.as_deref(), &body);
            let over = [
                ("HTTP/1.1", http1(public, &certificate, again()).await),
                ("HTTP/2", ask2(&mut http, again()).await),
                ("HTTP/3", http3(public, &certificate, again()).await),
            ];
            for (how, answered) in over {
                assert_eq!(answered.status.as_u16(), expected, "{what} over {how}: {answered:?}");
                if expected == 405 {
                    let allowed = answered.header("allow");
                    assert!(allowed.contains("GET") && allowed.contains("POST"), "{how}: {allowed}");
                }
                if how != "HTTP/3" {
                    assert_eq!(answered.header("alt-svc"), format!("h3=\":{}\"; ma=86400", public.port()), "{how}");
                }
            }
        }
    });
}

#[test]
fn doh_keeps_to_access_lists_and_lets_no_cache_share_answers() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("clients.acl");
    let rules =
        "192.0.2.1 :ignore\n192.0.2.2 :refuse\n192.0.2.3 :empty\n192.0.2.4 :127.0.0.9:Ask us $\n192.0.2.5 :pass\n";
    std::fs::write(&acl, rules).unwrap();
    let more = format!("trusted-proxies = [\"127.0.0.1\"]\n[acl]\nfiles = [{:?}]", acl.to_str().unwrap());
    let (server, certificate) = server("", &more);
    let public = server.address("public");
    let asked = query("2.0.0.127.bl.test", A).wire();
    runtime().block_on(async {
        let mut http = http2(public, &certificate).await;
        // The client, its status, and for an answer the response code, what is listed, and what a cache may do.
        for (client, status, told) in [
            ("192.0.2.1", 403, None),
            ("192.0.2.2", 200, Some(("REFUSED", "", "private, max-age=0"))),
            ("192.0.2.3", 200, Some(("NXDOMAIN", "", "private, max-age=300"))),
            ("192.0.2.4", 200, Some(("NOERROR", "A 127.0.0.9", "private, max-age=600"))),
            ("192.0.2.5", 200, Some(("NOERROR", "A 127.0.0.2", "private, max-age=600"))),
            ("198.51.100.1", 200, Some(("NOERROR", "A 127.0.0.2", "private, max-age=600"))),
        ] {
            let of_client = || {
                let mut request = get(&asked);
                request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
                request
            };
            let over = [
                ("HTTP/1.1", http1(public, &certificate, of_client()).await),
                ("HTTP/2", ask2(&mut http, of_client()).await),
                ("HTTP/3", http3(public, &certificate, of_client()).await),
            ];
            for (how, answered) in over {
                assert_eq!(answered.status.as_u16(), status, "{client} over {how}");
                let Some((code, listed, cache)) = told else {
                    assert_eq!(answered.header("cache-control"), "no-store", "{client} over {how}");
                    continue;
                };
                let reply = Reply::parse(&answered.body).unwrap();
                let records: Vec<&str> = reply.answer.iter().map(|record| record.text.as_str()).collect();
                let seen = (reply.code(), records.join(" "), answered.header("cache-control"));
                assert_eq!(seen, (code.to_owned(), listed.to_owned(), cache), "{client} over {how}");
            }
        }
    });
}

#[test]
fn doq_ends_connections_that_break_its_rules() {
    let (server, certificate) = server("", "");
    let message = |id: u16, option: Option<u16>| {
        let asked = query("2.0.0.127.bl.test", A).id(id);
        let asked = option.into_iter().fold(asked, |asked, code| asked.edns(edns(1232).option(code, &[])));
        let wire = asked.wire();
        [&(wire.len() as u16).to_be_bytes()[..], &wire].concat()
    };
    let good = message(0, None);
    let cases = [
        ("good", good.clone(), true),
        ("with NSID", message(0, Some(3)), true),
        ("an ID", message(7, None), false),
        ("keepalive", message(0, Some(11)), false),
        ("two queries", [good.clone(), good.clone()].concat(), false),
        ("half a query", good[..good.len() - 1].to_vec(), false),
        ("nothing", Vec::new(), false),
    ];
    runtime().block_on(async {
        for (what, octets, fine) in cases {
            let (_endpoint, connection) = quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await;
            let answer = stream(&connection, &octets).await;
            assert_eq!(answer.is_ok(), fine, "{what}: {answer:?}");
            if !fine {
                let quinn::ConnectionError::ApplicationClosed(close) = soon(connection.closed()).await else {
                    panic!("{what}: not closed by the server")
                };
                assert_eq!(close.error_code.into_inner(), 2, "{what}: DOQ_PROTOCOL_ERROR");
            }
        }
        // Many at once on one connection, and a stream that is taken back hurts no other.
        let (_endpoint, connection) = quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await;
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(&good[..5]).await.unwrap();
        send.reset(3_u32.into()).unwrap();
        for _ in 0..300 {
            assert_eq!(stream(&connection, &good).await.unwrap().len(), good.len() + 16);
        }
    });
    // No early data, and no other protocol than that of the port.
    runtime().block_on(async {
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls(&[&certificate], &[b"h3"])).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(std::sync::Arc::new(crypto)));
        let refused = soon(endpoint.connect(server.address("quic"), "localhost").unwrap()).await;
        assert!(refused.is_err(), "DoQ's port speaks HTTP/3");
    });
}

#[test]
fn connections_and_queries_are_limited_on_each() {
    let limits = "connections-per-host-max = 3\nqueries-per-connection-max = 2";
    let (server, certificate) = server(limits, "connections-per-host-max = 3\nrequests-per-connection-max = 2");
    let asked = query("2.0.0.127.bl.test", A).id(0).wire();
    let framed = [&(asked.len() as u16).to_be_bytes()[..], &asked].concat();
    let public = server.address("public");
    let closed = |transport: &str| {
        let labels = [("transport", transport), ("reason", "limit")];
        Scrape::of(&server).sum("dnsbld_encrypted_connections_closed_total", &labels)
    };
    runtime().block_on(async {
        // Queries on a connection.
        let mut dot = connect(server.address("tls"), tls(&[&certificate], &[b"dot"])).await;
        let mut count = 0;
        for _ in 0..3 {
            count += usize::from(exchange(&mut dot, &asked).await.is_some());
        }
        assert_eq!(count, 2, "queries over DoT");
        let (_endpoint, connection) = quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await;
        assert!(stream(&connection, &framed).await.is_ok() && stream(&connection, &framed).await.is_ok());
        assert!(stream(&connection, &framed).await.is_err(), "a third query over DoQ");
        let mut http = http2(public, &certificate).await;
        assert_eq!(ask2(&mut http, get(&asked)).await.status, 200);
        // What was sent before the farewell (GOAWAY) came is answered too.
        let mut more = 0;
        while soon(http.ready()).await.is_ok() && soon(http.send_request(post(&asked))).await.is_ok() {
            more += 1;
        }
        assert!((1..50).contains(&more), "{more} requests over HTTP/2 beyond the first");
        drop((dot, connection, http));
    });
    let open = |transport: &'static str| {
        move |server: &crate::server::Server| {
            Scrape::of(server).sum("dnsbld_encrypted_connections", &[("transport", transport)]) == 0.0
        }
    };
    for transport in ["tls", "quic", "https"] {
        server.wait(&format!("the connections over {transport} to end"), open(transport));
    }
    // Connections of a host.
    runtime().block_on(async {
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(tokio::net::TcpStream::connect(server.address("tls")).await.unwrap());
            held.push(tokio::net::TcpStream::connect(public).await.unwrap());
        }
        let mut quics = Vec::new();
        for _ in 0..5 {
            quics.push(quic(server.address("quic"), tls(&[&certificate], &[b"doq"])).await);
        }
        let mut refused = 0;
        for (_, connection) in &quics {
            refused += usize::from(stream(connection, &framed).await.is_err());
        }
        assert_eq!(refused, 2, "QUIC connections beyond the cap");
        for transport in ["tls", "https", "quic"] {
            server.wait(&format!("connections over {transport} to be refused"), |_| closed(transport) == 2.0);
        }
    });
}
