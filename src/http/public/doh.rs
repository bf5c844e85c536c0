//! DNS over HTTPS (RFC 8484): a query in a GET or a POST, its answer as the body.
//!
//! 200 means that there is a DNS message, whatever that says. Who is told so by an access list without an answer gets
//! 403, because HTTP can not be silent.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use data_encoding::BASE64URL_NOPAD;

use super::ClientAddress;
use crate::serve::answer::Dropped;
use crate::serve::responder::{Answered, MESSAGE_OCTETS_MAX, NoAnswer, Responder};
use crate::wire::ttl;

/// The path, as in the RFC's examples and every client's default.
pub const PATH: &str = "/dns-query";
/// The media type of a DNS message (RFC 8484 section 6).
const MESSAGE_TYPE: &str = "application/dns-message";
/// What a GET's query lacks.
const NO_QUERY: &str = "Expected ?dns= with a DNS query in base64url without padding, see RFC 8484.\n";
/// What a body is not.
const NO_MESSAGE: &str = "The message is no DNS query.\n";

/// The router of [`PATH`].
pub fn routes(responder: Arc<Responder>) -> Router {
    // Other methods are told 405 and which there are; longer bodies 413.
    Router::new()
        .route(PATH, get(by_get).post(by_post))
        .layer(DefaultBodyLimit::max(MESSAGE_OCTETS_MAX))
        .with_state(responder)
}

/// A query in the URL.
async fn by_get(
    State(responder): State<Arc<Responder>>,
    Extension(client): Extension<ClientAddress>,
    uri: Uri,
) -> Response {
    let pairs = uri.query().unwrap_or_default().split('&');
    let encoded = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == "dns");
    match encoded.and_then(|(_, text)| BASE64URL_NOPAD.decode(text.as_bytes()).ok()) {
        Some(message) => answer(&responder, &message, client),
        None => refuse(StatusCode::BAD_REQUEST, NO_QUERY),
    }
}

/// A query as the body.
async fn by_post(
    State(responder): State<Arc<Responder>>,
    Extension(client): Extension<ClientAddress>,
    request: Request,
) -> Response {
    if !is_message(request.headers()) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Expected a body of type application/dns-message.\n");
    }
    match Bytes::from_request(request, &()).await {
        Ok(message) => answer(&responder, &message, client),
        // Too long, or cut off.
        Err(rejection) => rejection.into_response(),
    }
}

/// Whether a body is said to be a DNS message; parameters do not matter, as there are none.
fn is_message(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MESSAGE_TYPE)
}

/// The answer to a message.
fn answer(responder: &Responder, message: &[u8], client: ClientAddress) -> Response {
    let Answered { octets: reply, per_client } = match responder.answer(message, client.address) {
        Ok(answered) => answered,
        Err(NoAnswer::Dropped(Dropped::Policy)) => {
            return refuse(StatusCode::FORBIDDEN, "No answer for this client.\n");
        }
        Err(NoAnswer::Dropped(_)) => return refuse(StatusCode::BAD_REQUEST, NO_MESSAGE),
        Err(NoAnswer::Panicked) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "A defect of the server.\n"),
    };
    // What is meant for this client must not be shown to others by a cache between (RFC 9111 section 5.2.2.7).
    let whose = if per_client { "private, " } else { "" };
    // What has no records is an error, which a cache must not keep.
    let max_age = format!("{whose}max-age={}", ttl::lowest(&reply).unwrap_or(0));
    let mut response = (StatusCode::OK, [(CONTENT_TYPE, MESSAGE_TYPE)], reply).into_response();
    // Digits and letters are always a header's value.
    if let Ok(value) = HeaderValue::try_from(max_age) {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    response
}

/// An error of HTTP.
fn refuse(status: StatusCode, text: &'static str) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], text).into_response()
}
