//! Bytes to DNS and back. No I/O, no allocation on the way of a query, nothing that can fail but by saying so.

pub mod name;
