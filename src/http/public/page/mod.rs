//! The lookup page and its API: what the lists say of an address or a name, why, until when, and how an owner ends it.
//!
//! | path | what |
//! | --- | --- |
//! | `/`, `/lookup?q=` | a field to write into; leads to the next |
//! | `/lookup/SUBJECT` | the page |
//! | `POST /lookup/ADDRESS/remove` | removal by the owner, from the address itself: first for a token, then with it |
//! | `/v1/lookup/SUBJECT`, `POST /v1/lookup/ADDRESS/remove` | the same as JSON |
//! | `/v1/listings` | what is listed, for who has the operator's token |
//! | `/v1/openapi.json` | what the API's answers look like |
//!
//! [`asked`] reads what is looked up, [`zones`] asks the published snapshot, [`view`] joins that with what the feeder knows into the
//! values that are shown, and `html` and `api` show them. There are no scripts, nothing comes from elsewhere, and every text is escaped.

mod api;
pub mod asked;
mod confirm;
mod html;
mod operator;
mod origin;
mod rate;
mod removal;
#[cfg(test)]
mod tests;
pub mod view;
pub mod zones;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use super::ClientAddress;
use crate::feed::ledger::now_ms;
use crate::feed::owner::Records;
use crate::feed::subject::Subject;
use crate::http::routes::percent_decoded;
use crate::sys::clock;
use crate::zone::Reader;
use asked::{Asked, BadAsked};
use confirm::Confirmations;
use rate::RateLimits;
use view::{Asker, Lookup};
use zones::ShownZones;

/// Look-ups at a time; each may read the store for a while, and further ones wait.
const LOOKUPS_MAX: usize = 8;
/// Octets of the body of a POST: a token and its name have some forty.
const BODY_OCTETS_MAX: usize = 1024;
/// Nothing but our own style sheet may be loaded, no script may run, forms lead here, and nobody may show us in a frame.
const CONTENT_POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the operator decides.
#[derive(Clone, Debug, Default)]
pub struct PageOptions {
    /// Title of the pages.
    pub title: String,
    /// Whom to turn to; empty for nobody.
    pub contact: String,
    /// Where the world reaches us, without the final `/`, where that is known: for commands that are shown.
    pub site: Option<String>,
    /// Requests a minute that a client may send.
    pub rate: u32,
    /// Hash of the operator's token, where there is one.
    pub token: Option<[u8; 32]>,
    /// The zones that are shown.
    pub zones: ShownZones,
    /// The feeder only says what it would list.
    pub observe: bool,
}

/// What all requests share.
pub struct Page {
    /// What the operator decides; replaced when the settings are reread.
    options: ArcSwap<PageOptions>,
    /// What DNS is answered from.
    reader: Reader,
    /// What the feeder knows, where there is one.
    records: Option<Arc<Records>>,
    /// How often clients have asked.
    limits: RateLimits,
    /// Removals that wait to be confirmed.
    confirmations: Confirmations,
    /// Places for look-ups.
    places: Arc<Semaphore>,
}

impl Page {
    /// Pages over these. `secret` makes the tokens of removals; new random octets with each start.
    pub fn new(options: PageOptions, reader: Reader, records: Option<Arc<Records>>, secret: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            options: ArcSwap::from_pointee(options),
            reader,
            records,
            limits: RateLimits::default(),
            confirmations: Confirmations::new(secret),
            places: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        })
    }

    /// Go by these from now on.
    pub fn replace(&self, options: PageOptions) {
        self.options.store(Arc::new(options));
    }

    /// Look something up for somebody. Errors: the store can not be read.
    async fn look_up(self: Arc<Self>, asked: Asked, asker: Asker) -> Result<Lookup, Refusal> {
        self.work(move |page| {
            let options = page.options.load();
            let now_ms = now_ms();
            let zones = zones::answers(&page.reader.load(), &options.zones, &asked);
            let told = asker == Asker::Operator || !page.hides_feeder(&asked);
            let about = match (&page.records, asked.subject()) {
                (Some(records), Some(subject)) if told => {
                    Some(records.about(subject, now_ms, asker != Asker::World)?)
                }
                _ => None,
            };
            Ok(view::lookup(&asked, zones, about, options.observe, asker, now_ms))
        })
        .await
    }

    /// Whether nothing is told of what the feeder knows of a subject: where the list itself is not shown, neither is what it comes
    /// from, and a list that is in no zone is not shown. While the feeder only observes there need be no zone.
    fn hides_feeder(&self, asked: &Asked) -> bool {
        let options = self.options.load();
        let listed_nowhere = !options.zones.values().any(|zone| zone.feeder);
        if options.observe && listed_nowhere {
            return false;
        }
        !zones::show_feeder(&self.reader.load(), &options.zones, asked)
    }

    /// Do something that reads the store, on a thread of its own. Errors: what it says, or that it could not be done.
    async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        // Nobody closes the semaphore.
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Refusal::unavailable())?;
        let page = Arc::clone(self);
        let work = move || {
            // The place goes with the work, which goes on when who asked has gone or a time-out has ended the wait.
            let _place = place;
            work(&page)
        };
        // An error means that the work had died, of which the log tells.
        tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::unavailable())?
    }

    /// Who asks for something.
    fn asker(&self, asked: &Asked, client: ClientAddress, headers: &HeaderMap) -> Asker {
        if self.is_operator(headers) {
            return Asker::Operator;
        }
        let own = own_host(client);
        if own.is_some() && asked.subject() == own { Asker::Owner } else { Asker::World }
    }
}

/// The host that a client is the owner of; none where it is not certain who asks.
fn own_host(client: ClientAddress) -> Option<Subject> {
    client.certain.then(|| Subject::of(client.address))
}

/// Why something is not done: shown as a page or as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    status: StatusCode,
    /// What is wrong and what to do: a sentence.
    text: String,
    /// After how many seconds it is worth another try.
    retry_after_s: Option<u64>,
}

impl Refusal {
    /// With this status and sentence.
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after_s: None }
    }

    /// Something of ours does not work; the log says what.
    fn unavailable() -> Self {
        let text = "What was seen can not be read at the moment. Please try again in a minute.";
        Self { retry_after_s: Some(60), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    /// Put its time into a response.
    fn stamp(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<BadAsked> for Refusal {
    fn from(error: BadAsked) -> Self {
        let text = error.to_string();
        Self::new(StatusCode::BAD_REQUEST, text[..1].to_uppercase() + &text[1..] + ".")
    }
}

impl From<crate::feed::owner::OwnerError> for Refusal {
    fn from(error: crate::feed::owner::OwnerError) -> Self {
        tracing::warn!("the lookup page can not read the feeder's store: {error}");
        Self::unavailable()
    }
}

/// The router of the page and its API; each request wants a [`ClientAddress`] as an extension.
pub fn routes(page: Arc<Page>) -> Router {
    Router::new()
        .route("/", get(html::index))
        .route("/lookup", get(html::redirect))
        .route("/lookup/{subject}", get(html::lookup))
        .route("/lookup/{subject}/remove", post(html::remove).get(html::back))
        .route("/style.css", get(html::style))
        .route("/robots.txt", get(html::robots))
        .route("/v1/lookup/{subject}", get(api::lookup))
        .route("/v1/lookup/{subject}/remove", post(api::remove))
        .route("/v1/listings", get(api::listings))
        .route("/v1/openapi.json", get(api::openapi))
        .fallback(html::not_found)
        .method_not_allowed_fallback(html::wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&page), limit))
        .layer(middleware::map_response(guard))
        .with_state(page)
}

/// Let nobody ask too often but who has the operator's token, and nobody be an owner by the page of another site.
async fn limit(State(page): State<Arc<Page>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // What never changes costs nothing, and a page is not to come without its style.
    let constant = matches!(path, "/style.css" | "/robots.txt");
    let api = html::is_api(request.uri());
    let refuse = |refusal: &Refusal| if api { api::refused(refusal) } else { html::refused(&page, refusal) };
    let client = request.extensions().get::<ClientAddress>().copied();
    if let Some(client) = client.filter(|_| !constant && !page.is_operator(request.headers())) {
        let now_us = u64::try_from(clock::monotonic().as_micros()).unwrap_or(u64::MAX);
        if let Err(seconds) = page.limits.admit(client.address, page.options.load().rate, now_us) {
            let text = format!("Too many requests from your address. Please try again in {seconds} s.");
            let refusal = Refusal { retry_after_s: Some(seconds), ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, text) };
            return refuse(&refusal);
        }
    }
    if percent_decoded(request.uri().path()).contains(char::REPLACEMENT_CHARACTER) {
        return refuse(&Refusal::new(
            StatusCode::BAD_REQUEST,
            "The path is not UTF-8; write an address or a name there.",
        ));
    }
    if !origin::is_ours(request.uri(), request.headers(), page.options.load().site.as_deref()) {
        if request.method() == Method::POST {
            let text =
                "This was sent by the page of another site, or to another name than ours. Please open our own page.";
            return refuse(&Refusal::new(StatusCode::FORBIDDEN, text));
        }
        if let Some(client) = request.extensions_mut().get_mut::<ClientAddress>() {
            client.certain = false;
        }
    }
    next.run(request).await
}

/// Put what protects readers into each response.
async fn guard(mut response: Response<Body>) -> Response<Body> {
    protect(response.headers_mut());
    response
}

/// Put what protects readers into the headers of a response.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // For browsers that do not know `frame-ancestors`.
        (X_FRAME_OPTIONS, "DENY"),
        // What hosts did is nothing for search engines.
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
