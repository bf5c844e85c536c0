//! What the world may reach over HTTP of all versions: the lookup page and DNS over HTTPS.
//!
//! It has a listener of its own (`[public]` in the settings), apart from the operator's, because whoever comes here is a
//! stranger: connections are counted by prefix, and every wait has an end. Requests carry the client's address as an
//! extension, [`ClientAddress`], also where trusted proxies stand before us.

pub mod client;
pub mod doh;
mod h3;
pub mod listener;
#[cfg(test)]
mod tests;

use axum::Router;

pub use client::{ClientAddress, ForwardedHeader};
pub use listener::{PublicOptions, PublicServer, Security};

/// One router of the parts that are served. Their paths must not meet, and only the page may have a fallback.
pub fn router(page: Option<Router>, doh: Option<Router>) -> Router {
    page.unwrap_or_default().merge(doh.unwrap_or_default())
}
