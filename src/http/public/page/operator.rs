//! The operator's token, and the listings for who has it.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde::Serialize;

use super::Page;
use super::view::{ListingView, of_listing};
use crate::feed::source::intake::{same, token_hash};
use crate::feed::subject::Subject;

/// Listings on a page where no number is asked for.
pub const ROWS_DEFAULT: u32 = 100;
/// Listings on a page at most: some hundred octets each.
pub const ROWS_MAX: u32 = 1000;

/// A page of listings.
#[derive(Debug, Serialize)]
pub struct Listings {
    /// The listings, ascending by host.
    pub listings: Vec<Row>,
    /// The path of the next page, if there is one.
    pub next: Option<String>,
}

/// A listing.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The host.
    pub host: String,
    /// Its listing.
    pub listing: ListingView,
}

impl Page {
    /// Does a request have the operator's token (RFC 6750 section 2.1)?
    pub(super) fn is_operator(&self, headers: &HeaderMap) -> bool {
        let options = self.options.load();
        let Some(wanted) = &options.token else { return false };
        let given = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.as_bytes().split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then(|| token_hash(token))
        });
        given.is_some_and(|given| same(wanted, &given))
    }
}

/// A page out of one row more than it shows.
pub fn page_of(mut rows: Vec<(Subject, crate::feed::listing::Listing)>, rows_max: u32) -> Listings {
    let more = rows.len() > rows_max as usize;
    rows.truncate(rows_max as usize);
    let last = rows.last().map(|(subject, _)| subject.ip());
    let next = last.filter(|_| more).map(|last| format!("/v1/listings?after={last}&limit={rows_max}"));
    let listings = rows.iter().map(|(host, listing)| Row { host: host.to_string(), listing: of_listing(listing) });
    Listings { listings: listings.collect(), next }
}
