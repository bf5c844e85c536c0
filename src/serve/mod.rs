//! From a datagram or a stream to an answer and back.

pub mod answer;
