//! What the world may reach over HTTP.

pub mod client;
pub mod page;

pub use client::ClientAddress;
