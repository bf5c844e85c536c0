//! From a datagram or a stream to an answer and back.

pub mod answer;
mod connection;
pub mod doq;
pub mod limits;
pub mod listen;
pub mod query_log;
pub mod quic;
mod record_set;
pub mod responder;
mod seldom;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod udp;
