//! Fetching `/metrics`: one request on a connection of its own, bounded in time and size.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use hyper::client::conn::http1;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::TopError;
use super::scrape::Scrape;

/// How long a server may take for a scrape; ours takes milliseconds.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Octets of the largest page. Ours has some hundred octets for each of 1 022 zones and each type and code that was seen.
const PAGE_OCTETS_MAX: usize = 64 << 20;
/// The port of a URL without one.
const PORT: u16 = 9353;

/// The server that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host name or address.
    host: String,
    /// Port.
    port: u16,
    /// As the Host header has them.
    authority: String,
}

impl Target {
    /// Read `http://host[:port]`, with or without `/metrics`. Errors: an address that is none.
    pub fn parse(url: &str) -> Result<Self, TopError> {
        let wrong = |why| TopError::Url { url: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("does not begin with http://"));
        }
        let authority =
            uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a user in it, whom the server does not ask for"));
        }
        if !["", "/", "/metrics"].contains(&uri.path()) || uri.query().is_some() {
            return Err(wrong("has a path"));
        }
        let port = authority.port_u16().unwrap_or(PORT);
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self { authority: format!("{}:{port}", authority.host()), host, port })
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Take a scrape. Errors: nothing answers in time, or no dnsbld.
    pub async fn scrape(&self) -> Result<Scrape, TopError> {
        let late = || Err(self.unreachable(format!("nothing came within {} s", TIME_MAX.as_secs())));
        let page = timeout(TIME_MAX, self.fetch()).await.unwrap_or_else(|_| late())?;
        Scrape::parse(&page).map_err(|why| self.not_ours(why))
    }

    /// Fetch the page.
    async fn fetch(&self) -> Result<String, TopError> {
        let connected = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = connected.map_err(|error| self.unreachable(error.to_string()))?;
        let no_http = |error: &dyn std::error::Error| self.not_ours(format!("it does not speak HTTP ({error})"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| no_http(&error))?;
        // Ends with the answer or with this request.
        let driver = tokio::spawn(connection);
        let request = Request::get("/metrics")
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("dnsbld-top/", env!("CARGO_PKG_VERSION")))
            .body(Body::empty())
            .map_err(|error| no_http(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| no_http(&error))?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), PAGE_OCTETS_MAX).await;
        driver.abort();
        if status != StatusCode::OK {
            return Err(self.not_ours(format!("it answers {status} to /metrics")));
        }
        let body = body.map_err(|error| self.unreachable(format!("its page can not be read: {error}")))?;
        String::from_utf8(body.into()).map_err(|_| self.not_ours("its /metrics is no text".to_owned()))
    }

    /// Nothing answers.
    fn unreachable(&self, why: String) -> TopError {
        TopError::Unreachable { authority: self.authority.clone(), why }
    }

    /// Something else answers.
    fn not_ours(&self, why: String) -> TopError {
        TopError::NotOurs { authority: self.authority.clone(), why }
    }
}
