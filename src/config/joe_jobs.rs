//! `[feed.joe-jobs]`: when a joe-job is one, and whom to tell.

use std::path::PathBuf;

use serde::Deserialize;

use super::place::{Map, Step};
use super::{Settings, SettingsError, values};
use crate::dataset::Kind;
use crate::diag::{Diagnostic, Severity};

/// `[feed.joe-jobs]`: floods of bounces at one address.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct JoeJobs {
    /// Whether they are looked for.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Distinct sources within an hour, at least.
    #[serde(deserialize_with = "values::number::<_, _, 2, 1_000_000>")]
    pub sources_min: u32,
    /// So many times the usual number, at least.
    #[serde(deserialize_with = "values::multiple")]
    pub ratio_min: f64,
    /// A flood that begins again within this time is the same joe-job, s.
    #[serde(deserialize_with = "values::seconds::<_, 0>")]
    pub cool_down: u32,
    /// Where the hashes of addresses under attack are written, as a dnset.
    #[serde(deserialize_with = "values::optional_path")]
    pub zone_file: Option<PathBuf>,
    /// The key of those hashes; `None` for `joe-jobs.key` in the state directory.
    #[serde(deserialize_with = "values::optional_path")]
    pub key_file: Option<PathBuf>,
    /// Where reports are posted to; `None` for nowhere.
    #[serde(deserialize_with = "values::webhook")]
    pub webhook_url: Option<String>,
    /// The secret that reports are signed with.
    #[serde(deserialize_with = "values::optional_path")]
    pub webhook_secret_file: Option<PathBuf>,
    /// What Postfix does with null-sender mail to an address under attack.
    #[serde(deserialize_with = "values::action")]
    pub action: String,
}

impl Default for JoeJobs {
    fn default() -> Self {
        Self {
            enabled: true,
            // A forged sender of one run draws bounces from tens to thousands of hosts; an address in use from one or two an hour.
            sources_min: 10,
            ratio_min: 5.0,
            cool_down: 86_400,
            zone_file: None,
            key_file: None,
            webhook_url: None,
            webhook_secret_file: None,
            // For the time being: an honest report is tried again and comes through when the flood is over.
            action: "DEFER 4.7.1 This address is flooded with bounces to mail it never sent; try again later"
                .to_owned(),
        }
    }
}

/// Check what only the whole tells. Errors: the first thing that can not be.
pub(super) fn check(settings: &mut Settings, map: &Map<'_>) -> Result<(), SettingsError> {
    let jobs = &settings.feed.joe_jobs;
    let path = |key| [Step::Key("feed"), Step::Key("joe-jobs"), Step::Key(key)];
    if jobs.webhook_secret_file.is_some() && jobs.webhook_url.is_none() {
        let message =
            "`webhook-secret-file` in [feed.joe-jobs] is of no use without `webhook-url`; add that, or remove this";
        return Err(map.fault(&path("webhook-secret-file"), message.to_owned()));
    }
    let Some(file) = &jobs.zone_file else { return Ok(()) };
    let datasets =
        || settings.zones.iter().flat_map(|zone| &zone.datasets).filter(|dataset| dataset.files.contains(file));
    if let Some(other) = datasets().find(|dataset| dataset.kind != Kind::Dnset) {
        let message = format!(
            "`zone-file` in [feed.joe-jobs] is written as a dnset, but served as {}; make that a dnset",
            other.kind
        );
        return Err(map.fault(&path("zone-file"), message));
    }
    if settings.feed.enabled && jobs.enabled && !settings.dns.listen.is_empty() && datasets().next().is_none() {
        let (line, column) = map.position(&path("zone-file"));
        let warning = Diagnostic {
            severity: Severity::Warning,
            file: settings.file.clone(),
            line,
            column,
            message: "the `zone-file` of [feed.joe-jobs] is written, but no zone has it".to_owned(),
            hint: format!(
                "add a [[zone]] with datasets = [{{ type = \"dnset\", files = [{:?}] }}]",
                file.display().to_string()
            ),
        };
        settings.warnings.push(warning);
    }
    Ok(())
}
