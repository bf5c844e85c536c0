//! `[public.page]`: the lookup page and its API.

use std::path::PathBuf;

use serde::Deserialize;

use super::place::{Map, Step};
use super::{Settings, SettingsError, values};

/// `[public.page]`: the lookup page and its API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Page {
    /// Whether it is served, where `[public]` is.
    #[serde(deserialize_with = "values::flag")]
    pub enabled: bool,
    /// Title of the pages.
    #[serde(deserialize_with = "values::text")]
    pub title: String,
    /// Whom to turn to; empty for nobody.
    #[serde(deserialize_with = "values::text")]
    pub contact: String,
    /// Requests a minute of one client.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1_000_000>")]
    pub rate: u32,
    /// File with the operator's token.
    #[serde(deserialize_with = "values::optional_path")]
    pub token_file: Option<PathBuf>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            enabled: true,
            title: "Blocklist lookup".to_owned(),
            contact: String::new(),
            // Nobody reads faster; a program that looks many addresses up is to ask over DNS.
            rate: 60,
            token_file: None,
        }
    }
}

/// Check what only the whole tells. Errors: the first thing that can not be.
pub(super) fn check(settings: &Settings, map: &Map<'_>) -> Result<(), SettingsError> {
    if settings.public.page.title.is_empty() {
        let message = "`title` in [public.page] is empty; say what these lists are".to_owned();
        return Err(map.fault(&[Step::Key("public"), Step::Key("page"), Step::Key("title")], message));
    }
    Ok(())
}
