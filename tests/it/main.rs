//! The server as its users meet it: the real binary, real sockets, real zone files.

mod conformance;
mod judge;
mod message;
mod server;
mod table;
