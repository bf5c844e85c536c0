//! `POST /v1/logs`: log lines for the feeder, answered when they are safe on disk.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use tokio::sync::Semaphore;

use super::routes::{Shared, TEXT_TYPE, page};
use crate::feed::source::intake::{Intake, IntakeError};
use crate::feed::spool::SpoolError;

/// Bodies in memory at a time; further ones wait. With the default size of a body that is some hundred MiB at worst.
const BODIES_MAX: usize = 4;
/// Seconds after which a full spool is worth another try.
const RETRY_AFTER_S: &str = "5";

/// The feeder's way in.
pub struct Logs {
    /// Its sources.
    intake: Arc<Intake>,
    /// Places for bodies.
    places: Semaphore,
}

impl Logs {
    /// Over these sources.
    pub fn new(intake: Intake) -> Self {
        Self { intake: Arc::new(intake), places: Semaphore::new(BODIES_MAX) }
    }

    /// Is there any source?
    pub fn is_open(&self) -> bool {
        !self.intake.sources.is_empty()
    }
}

/// Take a body.
pub async fn take(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    match try_take(&shared.logs, &uri, &headers, body).await {
        Ok(lines) => page(StatusCode::OK, TEXT_TYPE, format!("{lines} lines taken\n")),
        Err(error) => refusal(&error),
    }
}

/// What a refused body is answered.
fn refusal(error: &IntakeError) -> Response {
    let status = match error {
        IntakeError::Unauthorized => StatusCode::UNAUTHORIZED,
        IntakeError::Malformed(_) => StatusCode::BAD_REQUEST,
        IntakeError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        IntakeError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        IntakeError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = page(status, TEXT_TYPE, format!("{error}\n"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    response
}

/// Take a body. Errors: see [`IntakeError`]; nothing of it was taken then.
async fn try_take(logs: &Logs, uri: &Uri, headers: &HeaderMap, body: Body) -> Result<u64, IntakeError> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let token = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    let name = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("source=")));
    let name = name.map(percent_decoded);
    let source = logs.intake.source(token, name.as_deref())?.clone();
    // Nobody closes the semaphore.
    let _place = logs.places.acquire().await.map_err(|_| SpoolError::Stopped)?;
    let body = to_bytes(body, source.body_octets_max).await.map_err(|error| {
        // A client that hung up is told the same way, but not in the same words.
        if error.to_string().contains("limit") {
            IntakeError::TooLarge(source.body_octets_max)
        } else {
            IntakeError::Malformed(format!("the body did not come whole: {error}"))
        }
    })?;
    let encoding = header(CONTENT_ENCODING).map(str::to_owned);
    let plain =
        header(CONTENT_TYPE).is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/plain"));
    // Unpacking and parsing take milliseconds, which the runtime's threads do not have.
    let taken = tokio::task::spawn_blocking(move || source.take(&body, encoding.as_deref(), plain)).await;
    let (lines, told) = taken.map_err(|_| SpoolError::Stopped)??;
    if let Some(told) = told {
        told.await.unwrap_or(Err(SpoolError::Stopped))?;
    }
    Ok(lines)
}

/// A query's value with its `%` and two digits undone (RFC 3986 section 2.1).
fn percent_decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&octet, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) if octet == b'%' => {
                out.push(decoded);
                rest = &tail[2..];
            }
            _ => {
                out.push(octet);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_queries() {
        for (text, expected) in [("a", "a"), ("%2fvar%2Flog", "/var/log"), ("a%", "a%"), ("a%2", "a%2"), ("%zz", "%zz")]
        {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
    }
}
