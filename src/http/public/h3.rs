//! HTTP/3 beside the other versions: the same requests, limits and answers, over QUIC (RFC 9114).
//!
//! `h3` speaks the protocol; the connections come from our own accept loop ([`QuicServer`]). Bodies are read before a
//! request is answered, as all of them are short.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response, StatusCode, Version};
use h3::error::Code;
use h3::quic::BidiStream;
use h3::server::{RequestResolver, RequestStream};
use hyper::body::Buf as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_rustls::rustls;

use super::client;
use super::listener::{Activity, HEAD_OCTETS_MAX, STREAMS_MAX, Shared, UnderWay, respond};
use crate::serve::limits::ConnectionLimits;
use crate::serve::quic::{Admit, QuicOptions, QuicServer};
use crate::serve::responder::MESSAGE_OCTETS_MAX;
use crate::serve::stream::Closed;

/// The name in the handshake (RFC 9114 section 3.1).
pub const ALPN: &[u8] = b"h3";
/// Streams in the client's own direction: control and two of QPACK (RFC 9114 section 6.2), and some that mean nothing.
const OWN_STREAMS_MAX: u32 = 8;
/// The code for a connection that ends in order, H3_NO_ERROR (RFC 9114 section 8.1).
const NO_ERROR: u32 = 0x100;
/// The code for one that is too much, H3_EXCESSIVE_LOAD.
const EXCESSIVE_LOAD: u32 = 0x107;
/// The code for a request that was not looked at, H3_REQUEST_REJECTED.
const REQUEST_REJECTED: u32 = 0x10b;
/// How long the last answers may take to arrive and a client may take to close by itself, once it was told that it should.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// Octets of an answer; every page is far below.
const ANSWER_OCTETS_MAX: usize = 16 << 20;
/// Octets of a body: a DNS message and one more, so that the router sees that it is too long.
const BODY_OCTETS_MAX: usize = MESSAGE_OCTETS_MAX + 1;

/// Octets that a request may take on its way here: head, body, and what QUIC and HTTP/3 put around them.
const REQUEST_OCTETS_MAX: u64 = (HEAD_OCTETS_MAX + BODY_OCTETS_MAX + 4096) as u64;
/// Octets of a connection that are of no request: handshake, settings, and acknowledgements of answers.
const CONNECTION_OCTETS_MAX: u64 = 256 * 1024;
/// How often what has come is held against these. A frame that is not of a body is kept whole by `h3` before its length means anything,
/// so that only this ends one without an end.
const BUDGET_TICK: Duration = Duration::from_millis(200);

/// Whether so many octets are too many for so many requests.
fn is_excessive(received_octets: u64, requests_begun: u64) -> bool {
    received_octets > CONNECTION_OCTETS_MAX.saturating_add(requests_begun.saturating_mul(REQUEST_OCTETS_MAX))
}

/// Serve HTTP/3 until `stop` changes.
pub(super) async fn serve(
    server: QuicServer,
    tls: rustls::ServerConfig,
    handshake_ms_max: u64,
    limits: Arc<ConnectionLimits>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let options = QuicOptions {
        handshake_ms_max,
        idle_ms_max: shared.options.idle_ms_max,
        streams_max: STREAMS_MAX,
        own_streams_max: OWN_STREAMS_MAX,
        refusal: EXCESSIVE_LOAD,
    };
    let admit: Admit = {
        let trusted = shared.options.trusted_proxies.clone();
        Arc::new(
            move |peer: SocketAddr| {
                if client::is_trusted(peer.ip(), &trusted) { limits.admit_any() } else { limits.admit(peer.ip()) }
            },
        )
    };
    let watched = stop.clone();
    server.serve(tls, options, admit, stop, |quic| connection(quic, Arc::clone(&shared), watched.clone())).await
}

/// Serve one connection until the client, a limit or `stop` ends it.
async fn connection(quic: quinn::Connection, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) -> Closed {
    let options = &shared.options;
    let peer = quic.remote_address();
    let idle_max = Duration::from_millis(options.idle_ms_max);
    let begun = Instant::now();
    let end_of_life = begun + Duration::from_millis(options.lifetime_ms_max);
    let mut builder = h3::server::builder();
    builder.max_field_section_size(HEAD_OCTETS_MAX as u64);
    let built = timeout(idle_max, builder.build(h3_quinn::Connection::new(quic.clone()))).await;
    let Ok(built) = built else { return Closed::Idle };
    let Ok(mut http) = built else { return Closed::Error };
    let activity = Arc::new(Activity::new(options.requests_per_connection_max));
    let mut requests = JoinSet::new();
    let mut requests_begun = 0;
    let mut tick = interval(BUDGET_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let closed = loop {
        let deadline = activity.idle_since().unwrap_or_else(Instant::now) + idle_max;
        tokio::select! {
            biased;
            _ = stop.changed() => break Closed::Orderly,
            Some(_) = requests.join_next() => {}
            _ = tick.tick() => {
                if is_excessive(quic.stats().udp_rx.bytes, requests_begun) {
                    quic.close(EXCESSIVE_LOAD.into(), b"");
                    break Closed::Error;
                }
            }
            accepted = http.accept() => match accepted {
                Ok(Some(resolver)) => {
                    requests_begun += 1;
                    let under_way = activity.begin();
                    requests.spawn(request(resolver, peer, Arc::clone(&shared), under_way));
                    if activity.is_spent() {
                        break Closed::Orderly;
                    }
                }
                Ok(None) => break Closed::Orderly,
                Err(error) if error.is_h3_no_error() => break Closed::Orderly,
                // QUIC's own clock may have been the first to run out.
                Err(_) => {
                    let is_idle = matches!(quic.close_reason(), Some(quinn::ConnectionError::TimedOut));
                    break if is_idle { Closed::Idle } else { Closed::Error };
                }
            },
            () = sleep_until(deadline.min(end_of_life)) => {
                let now = Instant::now();
                if now >= end_of_life {
                    break Closed::Orderly;
                }
                if activity.idle_since().is_some_and(|since| now >= since + idle_max) {
                    break Closed::Idle;
                }
            }
        }
    };
    // The farewell names the first request that is not answered, so that the client knows which ones to send elsewhere (RFC 9114 section
    // 5.2). It fails where the connection is over, which the loop below finds as well.
    let _ = timeout(FAREWELL_MAX, http.shutdown(1)).await;
    let (mut is_heard, mut end) = (true, Instant::now() + FAREWELL_MAX);
    loop {
        tokio::select! {
            biased;
            // Each has its own time-outs. The client closes once it has its answers; otherwise their last octets get some time.
            Some(_) = requests.join_next() => end = Instant::now() + FAREWELL_MAX,
            _ = tick.tick() => {
                if is_excessive(quic.stats().udp_rx.bytes, requests_begun) {
                    quic.close(EXCESSIVE_LOAD.into(), b"");
                }
            }
            accepted = http.accept(), if is_heard => match accepted {
                Ok(Some(resolver)) => {
                    requests_begun += 1;
                    requests.spawn(async { drop(timeout(FAREWELL_MAX, reject(resolver)).await) });
                }
                // All requests are answered, but not all of the last answer may have arrived.
                Ok(None) | Err(_) => is_heard = false,
            },
            accepted = quic.accept_bi(), if !is_heard => match accepted {
                Ok((mut send, mut recv)) => {
                    requests_begun += 1;
                    // Fails for a stream that the client has given up.
                    let _ = recv.stop(REQUEST_REJECTED.into());
                    let _ = send.reset(REQUEST_REJECTED.into());
                }
                Err(_) => break,
            },
            () = sleep_until(end), if requests.is_empty() => break,
        }
    }
    quic.close(NO_ERROR.into(), b"");
    closed
}

/// Tell the client of a request that it was not looked at, so that it may be sent again. `h3` itself does so for all but the first behind
/// those that are answered.
async fn reject<B>(resolver: RequestResolver<h3_quinn::Connection, Bytes>)
where
    h3_quinn::Connection: h3::quic::Connection<Bytes, BidiStream = B>,
    B: BidiStream<Bytes>,
{
    if let Ok((_, mut stream)) = resolver.resolve_request().await {
        stream.stop_sending(Code::H3_REQUEST_REJECTED);
        stream.stop_stream(Code::H3_REQUEST_REJECTED);
    }
}

/// One request and its answer. What goes wrong is the client's affair: it is gone, or broke the protocol.
async fn request<B>(
    resolver: RequestResolver<h3_quinn::Connection, Bytes>,
    peer: SocketAddr,
    shared: Arc<Shared>,
    under_way: UnderWay,
) where
    h3_quinn::Connection: h3::quic::Connection<Bytes, BidiStream = B>,
    B: BidiStream<Bytes>,
{
    let time_max = Duration::from_millis(shared.options.request_ms_max);
    let received = timeout(time_max, async {
        let (head, mut stream) = resolver.resolve_request().await.ok()?;
        let body = body(&mut stream).await?;
        Some((head, body, stream))
    });
    let Ok(Some((head, body, mut stream))) = received.await else { return };
    let mut request: Request<Body> = head.map(|()| Body::from(body));
    *request.version_mut() = Version::HTTP_3;
    // It never fails.
    let Ok(response) = respond(request, peer.ip(), shared, under_way).await;
    let (head, body) = response.into_parts();
    let sent = timeout(time_max, async {
        let Ok(body) = to_bytes(body, ANSWER_OCTETS_MAX).await else {
            let mut failed = Response::new(());
            *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            stream.send_response(failed).await.ok()?;
            return stream.finish().await.ok();
        };
        stream.send_response(Response::from_parts(head, ())).await.ok()?;
        if !body.is_empty() {
            stream.send_data(body).await.ok()?;
        }
        stream.finish().await.ok()
    });
    if sent.await.is_err() {
        stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    }
}

/// The body of a request, up to [`BODY_OCTETS_MAX`]; `None` when it does not come whole.
async fn body<B: BidiStream<Bytes>>(stream: &mut RequestStream<B, Bytes>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await.ok()? {
        while part.has_remaining() && body.len() < BODY_OCTETS_MAX {
            let chunk = part.chunk();
            let take = chunk.len().min(BODY_OCTETS_MAX - body.len());
            body.extend_from_slice(&chunk[..take]);
            part.advance(take);
        }
        if body.len() == BODY_OCTETS_MAX {
            stream.stop_sending(Code::H3_NO_ERROR);
            break;
        }
    }
    Some(body)
}
