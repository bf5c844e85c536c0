//! From a datagram or a stream to an answer and back.

pub mod answer;
mod connection;
mod context;
pub mod cookie_secrets;
pub mod doq;
pub mod extras;
pub mod limits;
pub mod listen;
mod networks;
pub mod query_log;
pub mod quic;
pub mod rate;
mod record_set;
pub mod responder;
mod seldom;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod udp;
