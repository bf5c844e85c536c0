//! One connection: messages with a length before each, answered in order (RFC 7766 section 8).
//!
//! All whole messages that have arrived are answered into one buffer, which is written at once; only then more is
//! read. A waiting connection owns no buffer worth speaking of: octets are read into the thread's, and what is kept
//! is the part of a message that has come so far.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::{Context, Dropped, Outcome};
use super::stream::StreamShared;
use crate::sys::clock;

/// Octets of the length before each message.
const PREFIX_OCTETS: usize = 2;
/// Octets of the longest message (the length has 16 bits).
const MESSAGE_OCTETS_MAX: usize = 65_535;
/// Octets read at once: hundreds of pipelined queries; what a connection holds stays below one message and this.
const READ_OCTETS: usize = 16 * 1024;
/// Octets of answers from which on they are written before further queries are answered, so that short queries with
/// long answers can not fill the memory.
const WRITE_OCTETS: usize = 16 * 1024;
/// Octets that a connection's buffers may keep while nothing is in them: enough for the usual query or answer.
const KEEP_OCTETS: usize = 512;
/// The unit in which clients are told how long we wait, ms (RFC 7828 section 3.1).
const KEEPALIVE_UNIT_MS: u64 = 100;
/// How long to wait for the client to close after the last answer: a close with octets unread would be a reset, and
/// may overtake the answer (RFC 1122 section 4.2.2.13).
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// By the client between two messages, at the end of its life or queries, or on shutdown.
    Orderly,
    /// The client was silent for too long, or too slow in sending a query or taking its answers.
    Idle,
    /// It failed, ended within a message, or the client sent what is no query.
    Error,
}

/// Room that the connections of a thread use in turn, never while waiting.
struct Scratch {
    /// Octets just read.
    read: Box<[u8]>,
    /// The query, then its answer.
    message: Box<[u8]>,
}

thread_local! {
    /// This thread's.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        read: vec![0; READ_OCTETS].into(),
        message: vec![0; MESSAGE_OCTETS_MAX].into(),
    });
}

/// What to do when no further message is answered for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// All whole messages are answered.
    Read,
    /// Enough answers wait; more messages may be there.
    Write,
    /// Write what there is and end.
    Close(Closed),
}

/// Serve a stream to its end, be it TCP itself or what TLS makes of it. The caller holds the permit.
pub async fn serve_stream<S>(mut stream: S, peer: SocketAddr, shared: &StreamShared) -> Closed
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = Vec::new();
    let closed = serve_messages(&mut stream, &mut input, peer, shared).await;
    if closed == Closed::Orderly {
        let goodbye = async {
            stream.shutdown().await?;
            while fill(&mut stream, &mut input).await? > 0 {
                input.clear();
            }
            io::Result::Ok(())
        };
        // Whether it went well makes no difference: the connection is over.
        let _ = timeout(GOODBYE_MAX, goodbye).await;
    }
    closed
}

/// Read, answer and write until there is a reason to close.
async fn serve_messages<S>(stream: &mut S, input: &mut Vec<u8>, peer: SocketAddr, shared: &StreamShared) -> Closed
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let options = &shared.options;
    let mut stop = shared.stop.clone();
    let mut queries_left = options.queries_per_connection_max;
    let mut output = Vec::new();
    // When the wait began: with the first octet of a message under way, or when the last answer was out.
    let mut since = Instant::now();
    let end_of_life = since + Duration::from_millis(options.lifetime_ms_max);
    loop {
        let wait_ms = if shared.limits.busy() { options.idle_busy_ms_max } else { options.idle_ms_max };
        let deadline = since + Duration::from_millis(wait_ms);
        // Asked before reading, because a client that always has an octet ready never lets the timer have its turn.
        let now = Instant::now();
        if now >= end_of_life {
            return Closed::Orderly;
        }
        if now >= deadline {
            return Closed::Idle;
        }
        let had = input.len();
        tokio::select! {
            biased;
            _ = stop.changed() => return Closed::Orderly,
            read = fill(stream, input) => match read {
                Ok(0) if had == 0 => return Closed::Orderly,
                // TLS without a close_notify, as many clients end it; messages have lengths, so nothing can be cut off unseen.
                Err(error) if had == 0 && error.kind() == io::ErrorKind::UnexpectedEof => return Closed::Orderly,
                Ok(0) | Err(_) => return Closed::Error,
                Ok(_) => {}
            },
            () = sleep_until(deadline.min(end_of_life).min(now + options.look_again())) => continue,
        }
        let mut taken = 0;
        loop {
            let (octets, next) =
                answer_messages(&input[taken..], &mut output, &mut queries_left, wait_ms, peer, shared);
            taken += octets;
            if !output.is_empty() {
                match timeout(Duration::from_millis(options.write_ms_max), write(stream, &output)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Closed::Error,
                    Err(_) => return Closed::Idle,
                }
                forget(&mut output);
            }
            match next {
                Next::Read => break,
                Next::Write => {}
                Next::Close(closed) => return closed,
            }
        }
        if had == 0 || taken > 0 {
            since = Instant::now();
        }
        if taken == input.len() {
            forget(input);
        } else {
            input.drain(..taken);
        }
    }
}

/// Read what is there into `input`; 0 at the end of the stream.
async fn fill<S: AsyncRead + Unpin>(stream: &mut S, input: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(&mut scratch.read);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            input.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    })
    .await
}

/// Write all of `output`, and see to it that it goes.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, output: &[u8]) -> io::Result<()> {
    stream.write_all(output).await?;
    stream.flush().await
}

/// Empty a buffer, and give it back when it has grown.
fn forget(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEEP_OCTETS {
        *buffer = Vec::new();
    }
}

/// Answer the whole messages that `input` begins with; returns the octets they took and what to do next. `wait_ms` is what clients
/// are told of how long we wait for more.
fn answer_messages(
    input: &[u8],
    output: &mut Vec<u8>,
    queries_left: &mut u64,
    wait_ms: u64,
    peer: SocketAddr,
    shared: &StreamShared,
) -> (usize, Next) {
    let snapshot = shared.reader.load();
    let policy = shared.policy.load();
    let time_s = clock::now_s();
    let mut rest = input;
    let next = loop {
        let Some((&prefix, after)) = rest.split_first_chunk::<PREFIX_OCTETS>() else { break Next::Read };
        let len = usize::from(u16::from_be_bytes(prefix));
        if len == 0 {
            break Next::Close(Closed::Error);
        }
        let Some((message, after)) = after.split_at_checked(len) else { break Next::Read };
        if *queries_left == 0 {
            break Next::Close(Closed::Orderly);
        }
        *queries_left -= 1;
        rest = after;
        // The last answer says that there will be no other (RFC 7828 section 3.2.2).
        let keepalive = if *queries_left == 0 { 0 } else { wait_ms / KEEPALIVE_UNIT_MS };
        let context = Context {
            client: peer.ip(),
            transport: shared.transport,
            rotation: shared.rotation.fetch_add(1, Relaxed),
            time_s: time_s as u32,
            keepalive: Some(keepalive.try_into().unwrap_or(u16::MAX)),
            policy: &policy,
        };
        let dropped = SCRATCH.with_borrow_mut(|scratch| {
            scratch.message[..len].copy_from_slice(message);
            match shared.answer.handle(&mut scratch.message, len, &context, &snapshot) {
                Outcome::Reply { len: reply_len, note } => {
                    let reply = &scratch.message[..reply_len];
                    shared.block.answered_shared(&note, len, reply_len);
                    if let Some(log) = &shared.query_log {
                        log.push(time_s, peer.ip(), note.rcode, reply);
                    }
                    // Never cut: the room for a message is as long as the prefix can tell.
                    output.extend_from_slice(&(reply_len as u16).to_be_bytes());
                    output.extend_from_slice(reply);
                    None
                }
                Outcome::Drop(why) => {
                    shared.block.dropped(why, len);
                    Some(why)
                }
            }
        });
        match dropped {
            None | Some(Dropped::Policy) => {}
            Some(Dropped::Short | Dropped::Response | Dropped::Source | Dropped::Rate) => {
                break Next::Close(Closed::Error);
            }
        }
        if *queries_left == 0 {
            break Next::Close(Closed::Orderly);
        }
        if output.len() >= WRITE_OCTETS {
            break Next::Write;
        }
    };
    (input.len() - rest.len(), next)
}
