//! DNS over dedicated QUIC connections (RFC 9250): each query in a stream of its own.
//!
//! What RFC 9250 section 4.3.3 calls a protocol error ends the connection with DOQ_PROTOCOL_ERROR.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ReadError, RecvStream, SendStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::limits::ConnectionLimits;
use super::quic::{QuicOptions, ended};
use super::responder::{NoAnswer, Responder};
use super::stream::{Closed, StreamOptions};
use crate::wire::query::{Message, Query};

/// The name in the handshake (RFC 9250 section 4.1.1).
pub const ALPN: &[u8] = b"doq";
/// Queries at once on a connection; a mail server has about as many processes.
const STREAMS_MAX: u32 = 100;
/// Octets of the length before a message.
const PREFIX_OCTETS: usize = 2;

/// Error codes (RFC 9250 section 4.3).
mod code {
    /// Nothing is wrong.
    pub const NO_ERROR: u32 = 0;
    /// A defect of ours.
    pub const INTERNAL_ERROR: u32 = 1;
    /// The client broke a rule.
    pub const PROTOCOL_ERROR: u32 = 2;
    /// The client, or here we, no longer want an answer.
    pub const REQUEST_CANCELLED: u32 = 3;
    /// There are too many connections.
    pub const EXCESSIVE_LOAD: u32 = 4;
    /// Anything else.
    pub const UNSPECIFIED_ERROR: u32 = 5;
}

/// What all connections share.
#[derive(Debug)]
pub struct DoqShared {
    /// Limits on each.
    pub options: StreamOptions,
    /// Limits on all: they say when silence may last less long.
    pub limits: Arc<ConnectionLimits>,
    /// What answers a query.
    pub responder: Responder,
}

/// What the client did that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Violation(&'static str);

/// Why an exchange ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fatal {
    /// The client broke a rule.
    Violation(Violation),
    /// It does not take its answer.
    Unread,
}

impl DoqShared {
    /// The limits that QUIC itself keeps.
    pub fn quic(&self, handshake_ms_max: u64) -> QuicOptions {
        QuicOptions {
            handshake_ms_max,
            idle_ms_max: self.options.idle_ms_max,
            streams_max: STREAMS_MAX,
            // There are none in DoQ.
            own_streams_max: 0,
            refusal: code::EXCESSIVE_LOAD,
        }
    }
}

/// Serve a connection until the client, a limit or `stop` ends it.
pub async fn serve(connection: Connection, shared: Arc<DoqShared>, mut stop: watch::Receiver<bool>) -> Closed {
    let options = &shared.options;
    let mut queries_left = options.queries_per_connection_max;
    let mut exchanges = JoinSet::new();
    let mut since = Instant::now();
    let end_of_life = since + Duration::from_millis(options.lifetime_ms_max);
    // Packets alone keep QUIC from its own idle time-out, so silence is measured in queries.
    let closed = loop {
        let idle_ms_max = if shared.limits.busy() { options.idle_busy_ms_max } else { options.idle_ms_max };
        let now = Instant::now();
        if now >= end_of_life {
            break Closed::Orderly;
        }
        let idle_at = if exchanges.is_empty() { since + Duration::from_millis(idle_ms_max) } else { end_of_life };
        if now >= idle_at {
            break Closed::Idle;
        }
        tokio::select! {
            biased;
            _ = stop.changed() => break Closed::Orderly,
            Some(done) = exchanges.join_next() => {
                since = Instant::now();
                match done {
                    Ok(Err(Fatal::Violation(Violation(what)))) => {
                        connection.close(code::PROTOCOL_ERROR.into(), what.as_bytes());
                        return Closed::Error;
                    }
                    // As over TCP: the octets that are kept for it are too many for a client that takes none.
                    Ok(Err(Fatal::Unread)) => {
                        connection.close(code::EXCESSIVE_LOAD.into(), b"answers are not taken");
                        return Closed::Idle;
                    }
                    _ => {}
                }
                if queries_left == 0 && exchanges.is_empty() {
                    break Closed::Orderly;
                }
            }
            accepted = connection.accept_bi(), if queries_left > 0 => match accepted {
                Ok((send, recv)) => {
                    queries_left -= 1;
                    exchanges.spawn(exchange(send, recv, connection.remote_address().ip(), Arc::clone(&shared)));
                }
                Err(error) => return ended(&error),
            },
            error = connection.closed(), if queries_left == 0 => return ended(&error),
            () = sleep_until(idle_at.min(end_of_life).min(now + options.look_again())) => {}
        }
    };
    // Answers under way are finished; each has its own time-outs.
    while exchanges.join_next().await.is_some() {}
    connection.close(code::NO_ERROR.into(), b"");
    closed
}

/// One query and its answer, on a stream that is reset when there is none: dropped it would end as if it were whole.
async fn exchange(
    mut send: SendStream,
    mut recv: RecvStream,
    client: std::net::IpAddr,
    shared: Arc<DoqShared>,
) -> Result<(), Fatal> {
    let time_max = Duration::from_millis(shared.options.idle_ms_max);
    let received = match timeout(time_max, receive(&mut recv)).await {
        Ok(Ok(received)) => received,
        // The client has taken it back, or is gone.
        Ok(Err(_)) => {
            let _ = send.reset(code::REQUEST_CANCELLED.into());
            return Ok(());
        }
        Err(_) => {
            // Errors mean that the stream is closed already.
            let _ = recv.stop(code::REQUEST_CANCELLED.into());
            let _ = send.reset(code::REQUEST_CANCELLED.into());
            return Ok(());
        }
    };
    let message = match message(&received) {
        Ok(message) => message,
        Err(violation) => {
            let _ = send.reset(code::PROTOCOL_ERROR.into());
            return Err(Fatal::Violation(violation));
        }
    };
    let reply = match shared.responder.answer(message, client) {
        Ok(answered) => answered.octets,
        Err(why) => {
            let code = if why == NoAnswer::Panicked { code::INTERNAL_ERROR } else { code::UNSPECIFIED_ERROR };
            let _ = send.reset(code.into());
            return Ok(());
        }
    };
    let sent = timeout(Duration::from_millis(shared.options.write_ms_max), async {
        // Never cut: no answer is longer than the prefix can tell.
        send.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat()).await.ok()?;
        send.finish().ok()?;
        // Until all is confirmed, so that closing the connection cuts nothing off.
        send.stopped().await.ok()
    });
    if sent.await.is_err() {
        let _ = send.reset(code::REQUEST_CANCELLED.into());
        return Err(Fatal::Unread);
    }
    Ok(())
}

/// What a stream carries to its end, or to the first octets that are too many, which [`message`] then tells.
///
/// In order and into one piece, because what a client sends octet by octet would otherwise be kept packet by packet.
async fn receive(recv: &mut RecvStream) -> Result<Vec<u8>, ReadError> {
    let mut received = Vec::new();
    while let Some(chunk) = recv.read_chunk(usize::MAX, true).await? {
        received.extend_from_slice(&chunk.bytes);
        if is_over(&received) {
            break;
        }
    }
    Ok(received)
}

/// Whether there is more than the message whose length comes first.
fn is_over(received: &[u8]) -> bool {
    received
        .split_first_chunk::<PREFIX_OCTETS>()
        .is_some_and(|(prefix, message)| message.len() > usize::from(u16::from_be_bytes(*prefix)))
}

/// The one message that a stream carries.
fn message(received: &[u8]) -> Result<&[u8], Violation> {
    let Some((prefix, message)) = received.split_first_chunk::<PREFIX_OCTETS>() else {
        return Err(Violation("the stream ended before a whole query"));
    };
    let len = usize::from(u16::from_be_bytes(*prefix));
    if message.len() < len {
        return Err(Violation("the stream ended before a whole query"));
    }
    if is_over(received) {
        return Err(Violation("more than one query on a stream"));
    }
    // RFC 9250 section 4.2.1.
    if message.len() >= 2 && message[..2] != [0, 0] {
        return Err(Violation("the message ID is not 0"));
    }
    let mut query = Query::EMPTY;
    let keepalive = match Message::read(message, len, &mut query) {
        Message::Query => query.edns,
        Message::Error(error) => error.edns,
        Message::CookieAlone(edns) => Some(edns),
        Message::Short | Message::Response => return Err(Violation("no query")),
    };
    // RFC 9250 section 5.5.2.
    if keepalive.is_some_and(|edns| edns.keepalive) {
        return Err(Violation("the edns-tcp-keepalive option"));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is, what came, and the message in it or a part of what is wrong.
    type Case<'a> = (&'a str, Vec<u8>, Result<&'a [u8], &'a str>);

    #[test]
    fn what_a_stream_may_carry() {
        let query = |id: u8, opt: &[u8]| {
            let mut message = vec![0, id, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!opt.is_empty())];
            message.extend(b"\x04test\0\0\x01\0\x01");
            if !opt.is_empty() {
                message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, opt.len() as u8]);
                message.extend(opt);
            }
            message
        };
        let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
        let good = query(0, &[]);
        let padded = query(0, &[0, 12, 0, 1, 0]);
        let cases: &[Case<'_>] = &[
            ("a query", framed(&good), Ok(&good)),
            ("with padding", framed(&padded), Ok(&padded)),
            ("nothing", vec![], Err("before a whole query")),
            ("half a length", vec![0], Err("before a whole query")),
            ("half a query", framed(&good)[..20].to_vec(), Err("before a whole query")),
            ("two queries", [framed(&good), framed(&good)].concat(), Err("more than one")),
            ("an ID", framed(&query(1, &[])), Err("ID is not 0")),
            ("keepalive", framed(&query(0, &[0, 11, 0, 0])), Err("keepalive")),
            ("a response", framed(&[0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err("no query")),
            ("a length of 0", vec![0, 0], Err("no query")),
        ];
        for (what, received, expected) in cases {
            match (message(received), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{what}"),
                (Err(Violation(told)), Err(expected)) => assert!(told.contains(expected), "{what}: {told}"),
                (found, _) => panic!("{what}: {found:?}"),
            }
        }
    }
}
