//! The pages: plain HTML out of the templates in `templates/`, which escape what they are given.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::asked::Asked;
use super::removal::Step;
use super::view::Lookup;
use super::zones::ZoneWord;
use super::{ClientAddress, Page, PageOptions, Refusal, api};
use crate::http::routes::percent_decoded;

/// The style sheet.
const STYLE: &str = include_str!("../../../../templates/style.css");
/// How long it may be kept; its address has our version.
const STYLE_CACHE: &str = "public, max-age=86400";
/// Nothing here is for search engines.
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

/// What every page has.
struct Frame<'a> {
    /// Title of the site.
    title: &'a str,
    /// Whom to turn to; empty for nobody.
    contact: &'a str,
    /// Our version, so that a new one brings its own style.
    version: &'static str,
}

impl<'a> Frame<'a> {
    /// Out of the settings.
    fn of(options: &'a PageOptions) -> Self {
        Self { title: &options.title, contact: &options.contact, version: env!("CARGO_PKG_VERSION") }
    }
}

/// `/`.
#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    /// What every page has.
    frame: Frame<'a>,
    /// What stands in the field.
    q: &'a str,
    /// Who asks.
    client: String,
}

/// `/lookup/SUBJECT`.
#[derive(Template)]
#[template(path = "lookup.html")]
struct Found<'a> {
    /// What every page has.
    frame: Frame<'a>,
    /// What stands in the field.
    q: &'a str,
    /// What was found.
    found: &'a Lookup,
    /// Zones that list it.
    listed: usize,
    /// Where commands are to go.
    site: &'a str,
}

/// A removal, to be confirmed or done.
#[derive(Template)]
#[template(path = "remove.html")]
struct Removed<'a> {
    /// What every page has.
    frame: Frame<'a>,
    /// The address as it was asked for.
    subject: &'a str,
    /// Where it has come to.
    step: &'a Step,
}

/// Something that is not done.
#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    /// What every page has.
    frame: Frame<'a>,
    /// What stands in the field.
    q: &'a str,
    /// What it is, in a word or two.
    heading: &'static str,
    /// Why.
    text: &'a str,
}

/// A page out of a template.
fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => ([(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        // Writing into a String does not fail.
        Err(error) => {
            tracing::error!("a page can not be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A refusal as a page.
pub fn refused(shared: &Page, refusal: &Refusal) -> Response {
    let options = shared.options.load();
    let heading = match refusal.status {
        StatusCode::BAD_REQUEST => "What is that?",
        StatusCode::FORBIDDEN => "Not like this",
        StatusCode::NOT_FOUND => "Nothing here",
        StatusCode::CONFLICT => "Nothing to remove",
        StatusCode::TOO_MANY_REQUESTS => "Not yet",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        _ => "Not done",
    };
    let template = Refused { frame: Frame::of(&options), q: "", heading, text: &refusal.text };
    refusal.stamp(page(&template))
}

/// `/`.
pub async fn index(State(shared): State<Arc<Page>>, Extension(client): Extension<ClientAddress>) -> Response {
    let options = shared.options.load();
    page(&Index { frame: Frame::of(&options), q: "", client: client.address.to_canonical().to_string() })
}

/// `/lookup?q=`: on to the page of what was written into the field.
pub async fn redirect(State(shared): State<Arc<Page>>, uri: Uri) -> Response {
    let written = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("q=")));
    let written = written.map(|q| percent_decoded(&q.replace('+', " "))).unwrap_or_default();
    if written.trim().is_empty() {
        return see("/");
    }
    match Asked::parse(&written) {
        // As it is shown, it has no character that means anything in a path.
        Ok(asked) => see(&format!("/lookup/{asked}")),
        Err(error) => refused(&shared, &error.into()),
    }
}

/// On to another page of ours (RFC 9110 section 15.4.4).
fn see(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Made by us of letters, digits and a few marks.
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// `/lookup/SUBJECT`.
pub async fn lookup(
    State(shared): State<Arc<Page>>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    Path(text): Path<String>,
) -> Response {
    let asked = match Asked::parse(&text) {
        Ok(asked) => asked,
        Err(error) => return refused(&shared, &error.into()),
    };
    let asker = shared.asker(&asked, client, &headers);
    match Arc::clone(&shared).look_up(asked, asker).await {
        Ok(found) => {
            let options = shared.options.load();
            let listed = found.zones.iter().filter(|zone| zone.state == ZoneWord::Listed).count();
            let site = options.site.as_deref().unwrap_or("https://THIS.SITE");
            page(&Found { frame: Frame::of(&options), q: &found.subject, found: &found, listed, site })
        }
        Err(refusal) => refused(&shared, &refusal),
    }
}

/// `POST /lookup/ADDRESS/remove`.
pub async fn remove(
    State(shared): State<Arc<Page>>,
    Extension(client): Extension<ClientAddress>,
    Path(text): Path<String>,
    body: Body,
) -> Response {
    match shared.remove_asked(&text, client, body).await {
        Ok((subject, step)) => {
            let options = shared.options.load();
            page(&Removed { frame: Frame::of(&options), subject: &subject, step: &step })
        }
        Err(refusal) => refused(&shared, &refusal),
    }
}

/// `GET /lookup/ADDRESS/remove`, as after a reload: back to the address.
pub async fn back(State(shared): State<Arc<Page>>, Path(text): Path<String>) -> Response {
    match Asked::parse(&text) {
        Ok(asked) => see(&format!("/lookup/{asked}")),
        Err(error) => refused(&shared, &error.into()),
    }
}

/// `/style.css`.
pub async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, STYLE_CACHE)], STYLE).into_response()
}

/// `/robots.txt`.
pub async fn robots() -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, STYLE_CACHE)], ROBOTS).into_response()
}

/// Any other path.
pub async fn not_found(State(shared): State<Arc<Page>>, uri: Uri) -> Response {
    if is_api(&uri) {
        let text = "There is no such path; /v1/openapi.json describes those that there are.";
        return api::refused(&Refusal::new(StatusCode::NOT_FOUND, text));
    }
    refused(&shared, &Refusal::new(StatusCode::NOT_FOUND, "There is no such page. Look something up here instead."))
}

/// Is a path one of the API, whose refusals are JSON?
pub fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with("/v1/")
}

/// A method that a path does not know. The router says in `Allow` which it knows.
pub async fn wrong_method(State(shared): State<Arc<Page>>, uri: Uri) -> Response {
    let text = "This can not be done with that path; pages are fetched with GET, and removals are sent with POST.";
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text);
    if is_api(&uri) { api::refused(&refusal) } else { refused(&shared, &refusal) }
}
