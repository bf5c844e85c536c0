//! Removal by the owner: asked from the address itself, confirmed with a token, at once and freely.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use serde::Serialize;

use super::asked::Asked;
use super::confirm::LIFE;
use super::view::{Stamp, minute_from};
use super::{BODY_OCTETS_MAX, ClientAddress, Page, Refusal, own_host};
use crate::feed::ledger::{OwnerRemoval, now_ms};
use crate::http::routes::percent_decoded;
use crate::sys::clock;

/// Where a removal has come to.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The host.
    pub host: String,
    /// It is off the list.
    pub removed: bool,
    /// What is to be sent back to confirm.
    pub token: Option<String>,
    /// Until when that is good.
    pub expires: Option<Stamp>,
    /// When the listing would have ended by itself.
    pub until: Option<Stamp>,
}

/// The token in a body of a form (`application/x-www-form-urlencoded`), if it has one. Errors: it is too long, or did not come whole.
async fn token(body: Body) -> Result<Option<String>, Refusal> {
    let body = to_bytes(body, BODY_OCTETS_MAX).await.map_err(|_| {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too long; it is to have the token and nothing else.")
    })?;
    let body = String::from_utf8_lossy(&body);
    Ok(body.trim().split('&').find_map(|pair| pair.strip_prefix("token=")).map(percent_decoded))
}

impl Page {
    /// A request for removal: the subject as it was asked for, and how far that came. Errors: why not.
    pub(super) async fn remove_asked(
        self: &Arc<Self>,
        text: &str,
        client: ClientAddress,
        body: Body,
    ) -> Result<(String, Step), Refusal> {
        let asked = Asked::parse(text)?;
        let (subject, token) = (asked.to_string(), token(body).await?);
        Ok((subject, self.remove(asked, client, token).await?))
    }

    /// Take a removal one step further: without a token one is given, with it the host is removed. Errors: why not.
    async fn remove(
        self: &Arc<Self>,
        asked: Asked,
        client: ClientAddress,
        token: Option<String>,
    ) -> Result<Step, Refusal> {
        let closed = self.options.load().observe || self.hides_feeder(&asked);
        let (Some(subject), Some(records), false) = (asked.subject(), self.records.clone(), closed) else {
            let text = "Nothing is removed here: this list does not come from evidence. Please turn to its operator.";
            return Err(Refusal::new(StatusCode::NOT_FOUND, text));
        };
        if own_host(client) != Some(subject) {
            let text = format!(
                "A removal of {subject} is only taken from that address itself, and you ask from {}. Open this page there, or \
                 run the commands that it shows there.",
                client.address
            );
            return Err(Refusal::new(StatusCode::FORBIDDEN, text));
        }
        if let Some(token) = token {
            if !self.confirmations.take(subject, &token, clock::monotonic()) {
                let text = "This confirmation has expired or was used before. Please ask for the removal again.";
                return Err(Refusal::new(StatusCode::FORBIDDEN, text));
            }
            let removal = self.work(move |_| Ok(records.remove(subject, now_ms())?)).await?;
            return match removal {
                OwnerRemoval::Done { until_ms } => {
                    let until = Some(Stamp::Second(minute_from(until_ms)));
                    Ok(Step { host: subject.to_string(), removed: true, token: None, expires: None, until })
                }
                OwnerRemoval::NotListed => Err(not_listed(&subject.to_string())),
                OwnerRemoval::TooSoon { again_ms } => Err(too_soon(again_ms)),
            };
        }
        let about = self.work(move |_| Ok(records.about(subject, now_ms(), false)?)).await?;
        let Some(listing) = about.listing else { return Err(not_listed(&subject.to_string())) };
        if let Some(again_ms) = about.removable_from_ms {
            return Err(too_soon(again_ms));
        }
        let token = self.confirmations.give(subject, clock::monotonic());
        Ok(Step {
            host: subject.to_string(),
            removed: false,
            token: Some(token),
            expires: Some(Stamp::Second(now_ms() + LIFE.as_millis() as i64)),
            until: Some(Stamp::Second(minute_from(listing.until_ms))),
        })
    }
}

/// There is nothing to remove.
fn not_listed(host: &str) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, format!("{host} is not listed, so there is nothing to remove."))
}

/// It was removed not long ago.
fn too_soon(again_ms: i64) -> Refusal {
    let text = format!(
        "Its owner had this host removed less than 7 days ago; it was listed again for what it did since. The next removal is \
         possible from {} on; the listing also ends by itself.",
        Stamp::Second(again_ms)
    );
    let seconds = u64::try_from((again_ms - now_ms()) / 1000 + 1).unwrap_or(1);
    Refusal { retry_after_s: Some(seconds), ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, text) }
}
