//! The API: the page's values as JSON. `docs/openapi.json` says what they look like.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::asked::Asked;
use super::operator::{ROWS_DEFAULT, ROWS_MAX, page_of};
use super::view::Lookup;
use super::{ClientAddress, Page, Refusal};
use crate::feed::ledger::now_ms;
use crate::feed::subject::Subject;
use crate::http::routes::percent_decoded;

/// What the answers look like.
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// A value as JSON, one line.
fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        // Only maps with keys that are no texts can fail, and there are none.
        Err(error) => {
            tracing::error!("an answer can not be written as JSON: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A refusal as JSON.
pub fn refused(refusal: &Refusal) -> Response {
    refusal.stamp(json(&serde_json::json!({ "error": refusal.text })))
}

/// `GET /v1/lookup/SUBJECT`.
pub async fn lookup(
    State(page): State<Arc<Page>>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    Path(text): Path<String>,
) -> Response {
    let found = async {
        let asked = Asked::parse(&text)?;
        let asker = page.asker(&asked, client, &headers);
        Arc::clone(&page).look_up(asked, asker).await
    };
    match found.await {
        Ok::<Lookup, Refusal>(found) => json(&found),
        Err(refusal) => refused(&refusal),
    }
}

/// `POST /v1/lookup/ADDRESS/remove`.
pub async fn remove(
    State(page): State<Arc<Page>>,
    Extension(client): Extension<ClientAddress>,
    Path(text): Path<String>,
    body: Body,
) -> Response {
    match page.remove_asked(&text, client, body).await {
        Ok((_, step)) => json(&step),
        Err(refusal) => refused(&refusal),
    }
}

/// `GET /v1/listings?after=&limit=`.
pub async fn listings(State(page): State<Arc<Page>>, headers: HeaderMap, uri: Uri) -> Response {
    if !page.is_operator(&headers) {
        let text = "The listings are for the operator: send `Authorization: Bearer` and the token in `token-file` of [public].";
        return refused(&Refusal::new(StatusCode::UNAUTHORIZED, text));
    }
    let found = async {
        let (after, rows_max) = range(uri.query().unwrap_or_default())?;
        let Some(records) = page.records.clone() else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "The feeder is not enabled, so it lists nothing."));
        };
        // One more tells whether there is a next page.
        page.work(move |_| Ok(records.listings(after, now_ms(), rows_max + 1)?))
            .await
            .map(|rows| page_of(rows, rows_max))
    };
    match found.await {
        Ok(found) => json(&found),
        Err(refusal) => refused(&refusal),
    }
}

/// What part of the listings a query asks for. Errors: a value that can not be understood.
fn range(query: &str) -> Result<(Option<Subject>, u32), Refusal> {
    let bad = |text: &str| Refusal::new(StatusCode::BAD_REQUEST, text);
    let (mut after, mut rows_max) = (None, ROWS_DEFAULT);
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = percent_decoded(value);
        match key {
            "after" => {
                after = Some(value.parse().map_err(|_| bad("`after` is to be the last host of the page before."))?)
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=ROWS_MAX).contains(limit));
                rows_max = limit.ok_or_else(|| bad("`limit` is to be a number from 1 to 1000."))?;
            }
            _ => {}
        }
    }
    Ok((after, rows_max))
}

/// `GET /v1/openapi.json`; tools on other sites may read it.
pub async fn openapi() -> Response {
    let mut response = ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response();
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
