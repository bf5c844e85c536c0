//! What `dnsbld check` finds in the files beside the zones that `serve` would refuse to start with: cookie secrets, certificate, key,
//! tokens, the secret of reports.

use std::fmt::Display;

use super::feed::read_secret;
use crate::config::Settings;
use crate::diag::{Diagnostic, Severity};
use crate::feed::run::start::read_token;
use crate::serve::{cookie_secrets, tls};

/// All that is wrong with them, each at the setting that names the file. What is not served is not looked at.
pub(super) fn findings(settings: &Settings) -> Vec<Diagnostic> {
    let error = |(line, column): (u32, u32), message: &dyn Display| Diagnostic {
        severity: Severity::Error,
        file: settings.file.clone(),
        line,
        column,
        message: message.to_string(),
        hint: String::new(),
    };
    let mut findings = Vec::new();
    let cookies = &settings.dns.cookies;
    if let Some(file) = cookies.secret_file.as_deref().filter(|_| cookies.enabled)
        && let Err(bad) = cookie_secrets::read(file)
    {
        findings.push(error(settings.places.cookie_secrets, &bad));
    }
    let files = &settings.tls;
    if let (true, Some(certificate), Some(key)) =
        (settings.wants_certificate(), &files.certificate_file, &files.key_file)
    {
        let problems = tls::problems(certificate, key).into_iter().zip(settings.places.certificate);
        findings.extend(problems.filter_map(|(bad, place)| bad.map(|bad| error(place, &bad))));
    }
    let (feed, places) = (&settings.feed, &settings.places);
    let sources = feed.sources.iter().zip(&places.source_tokens).filter(|_| feed.enabled);
    let page = settings.public.page.token_file.as_deref().filter(|_| settings.public.enabled);
    let tokens = sources.filter_map(|(source, &place)| Some((source.token_file.as_deref()?, place)));
    for (file, place) in tokens.chain(page.map(|file| (file, places.page_token))) {
        findings.extend(read_token(file).err().map(|bad| error(place, &bad)));
    }
    let jobs = &feed.joe_jobs;
    if feed.enabled && jobs.enabled && jobs.webhook_url.is_some() {
        let secret = jobs.webhook_secret_file.as_deref().map(read_secret);
        findings.extend(secret.and_then(Result::err).map(|bad| error(places.webhook_secret, &bad)));
    }
    findings
}
