//! From a datagram or a stream to an answer and back.

pub mod answer;
mod connection;
pub mod limits;
pub mod listen;
pub mod query_log;
mod record_set;
mod seldom;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod udp;
