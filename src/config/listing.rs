//! `[feed.policy]`, `[feed.weights]`, `[feed.protection]` and `[feed.export]`: who is listed, when, for how long, and where that goes.
//!
//! The defaults are those of [`PolicyOptions`] and its kin; a test holds the two together.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use super::values;
use crate::wire::name::Name;

/// `mode` of `[feed]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedMode {
    /// List.
    List,
    /// Say what would be listed, list nothing.
    Observe,
}

/// `[feed.policy]`: when a host is listed and for how long. Points are kept in thousandths.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Points that list.
    #[serde(deserialize_with = "values::points")]
    pub score: i64,
    /// Points that list without spread over time.
    #[serde(deserialize_with = "values::points")]
    pub score_at_once: i64,
    /// Different recipients that there must be.
    #[serde(deserialize_with = "values::number::<_, _, 1, 10_000>")]
    pub recipients: u32,
    /// Sessions with an invented address that make fewer recipients suffice.
    #[serde(deserialize_with = "values::number::<_, _, 1, 10_000>")]
    pub invented_sessions: u32,
    /// Different recipients that then suffice.
    #[serde(deserialize_with = "values::number::<_, _, 1, 10_000>")]
    pub invented_recipients: u32,
    /// Sessions that there must be.
    #[serde(deserialize_with = "values::number::<_, _, 1, 10_000>")]
    pub sessions: u32,
    /// Time from the first to the last evidence, s.
    #[serde(deserialize_with = "values::seconds::<_, 0>")]
    pub spread: u32,
    /// Mail servers of ours that must have seen it.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1000>")]
    pub reporters: u32,
    /// Time in which evidence loses half its worth, s.
    #[serde(deserialize_with = "values::seconds::<_, 3600>")]
    pub half_life: u32,
    /// Time after which it is forgotten, s.
    #[serde(deserialize_with = "values::seconds::<_, 3600>")]
    pub window: u32,
    /// Time in which the same counts once, s.
    #[serde(deserialize_with = "values::seconds::<_, 0>")]
    pub repeat: u32,
    /// Time in which who was put off may come back, s.
    #[serde(deserialize_with = "values::seconds::<_, 60>")]
    pub comeback: u32,
    /// Terms of the first listing in a row, the second, and so on, s.
    #[serde(deserialize_with = "values::terms")]
    pub terms: Vec<u32>,
    /// Time without evidence after which the next listing is a first one again, s.
    #[serde(deserialize_with = "values::seconds::<_, 3600>")]
    pub clean: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            score: 12_000,
            score_at_once: 24_000,
            recipients: 4,
            invented_sessions: 2,
            invented_recipients: 2,
            sessions: 3,
            spread: 600,
            reporters: 1,
            half_life: 7 * 86_400,
            window: 30 * 86_400,
            repeat: 86_400,
            comeback: 6 * 3600,
            terms: vec![7 * 86_400, 14 * 86_400, 28 * 86_400],
            clean: 90 * 86_400,
        }
    }
}

/// `[feed.weights]`: what each signal is worth, in thousandths of a point, and what solicited ones keep, in thousandths.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Weights {
    /// Null-sender mail that a trap took.
    #[serde(deserialize_with = "values::points")]
    pub trap_mail: i64,
    /// A callout that asked about an invented address as well.
    #[serde(deserialize_with = "values::points")]
    pub double_whammy: i64,
    /// Null-sender mail to an address that never sends.
    #[serde(deserialize_with = "values::points")]
    pub never_sent: i64,
    /// A callout to a known address.
    #[serde(deserialize_with = "values::points")]
    pub callout: i64,
    /// A bounce to an unknown address.
    #[serde(deserialize_with = "values::points")]
    pub bounce: i64,
    /// A null sender to an unknown address, no message seen.
    #[serde(deserialize_with = "values::points")]
    pub null_unknown: i64,
    /// An address asked about, the sender is not in the log.
    #[serde(deserialize_with = "values::points")]
    pub sender_unseen: i64,
    /// `postmaster` asked about as well.
    #[serde(deserialize_with = "values::points")]
    pub postmaster: i64,
    /// Several recipients of one null-sender transaction.
    #[serde(deserialize_with = "values::points")]
    pub many_recipients: i64,
    /// Put off and never seen again.
    #[serde(deserialize_with = "values::points")]
    pub greylisted_gone: i64,
    /// Refused by our own list.
    #[serde(deserialize_with = "values::points")]
    pub own_refusal: i64,
    /// What a solicited callout keeps.
    #[serde(deserialize_with = "values::fraction")]
    pub solicited_callout: i64,
    /// What a solicited bounce keeps.
    #[serde(deserialize_with = "values::fraction")]
    pub solicited_bounce: i64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            trap_mail: 8_000,
            double_whammy: 6_000,
            never_sent: 4_000,
            callout: 3_000,
            bounce: 3_000,
            null_unknown: 2_000,
            sender_unseen: 1_000,
            postmaster: 1_000,
            many_recipients: 1_000,
            greylisted_gone: 1_000,
            own_refusal: 250,
            solicited_callout: 250,
            solicited_bounce: 0,
        }
    }
}

/// `[feed.protection]`: who is never listed, and who needs more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Protection {
    /// Protect private and other special ranges, and this machine's addresses.
    #[serde(deserialize_with = "values::flag")]
    pub built_in: bool,
    /// Our own networks.
    #[serde(deserialize_with = "values::prefixes")]
    pub own_networks: Vec<IpNet>,
    /// Files of hosts and networks that are never listed.
    #[serde(deserialize_with = "values::paths")]
    pub allow_files: Vec<PathBuf>,
    /// Files of networks of shared providers.
    #[serde(deserialize_with = "values::paths")]
    pub shared_files: Vec<PathBuf>,
    /// DNS welcome lists: who is on one is a shared provider.
    #[serde(deserialize_with = "values::names")]
    pub welcome_lists: Vec<Name>,
    /// How many times more points shared providers need.
    #[serde(deserialize_with = "values::number::<_, _, 1, 1000>")]
    pub shared_factor: u32,
    /// Points must be more than so many per cent of the ordinary messages.
    #[serde(deserialize_with = "values::number::<_, _, 0, 10_000>")]
    pub ratio_percent: u32,
    /// Days of ordinary messages that points are compared with.
    #[serde(deserialize_with = "values::number::<_, _, 1, 180>")]
    pub ratio_days: u32,
    /// Names of our own lists besides those zones that serve the feeder's file.
    #[serde(deserialize_with = "values::words")]
    pub own_zones: Vec<String>,
    /// Addresses that are traps.
    #[serde(deserialize_with = "values::words")]
    pub traps: Vec<String>,
    /// Domains of which every address is one.
    #[serde(deserialize_with = "values::words")]
    pub trap_domains: Vec<String>,
    /// Domains all of whose mail leaves through servers that are read.
    #[serde(deserialize_with = "values::words")]
    pub outbound_domains: Vec<String>,
    /// Mail of ours so long before explains a callout or a bounce, s.
    #[serde(deserialize_with = "values::seconds::<_, 0>")]
    pub solicited_before: u32,
    /// Likewise after, s.
    #[serde(deserialize_with = "values::seconds::<_, 0>")]
    pub solicited_after: u32,
}

impl Default for Protection {
    fn default() -> Self {
        Self {
            built_in: true,
            own_networks: Vec::new(),
            allow_files: Vec::new(),
            shared_files: Vec::new(),
            welcome_lists: Vec::new(),
            shared_factor: 3,
            ratio_percent: 20,
            ratio_days: 30,
            own_zones: Vec::new(),
            traps: Vec::new(),
            trap_domains: Vec::new(),
            outbound_domains: Vec::new(),
            solicited_before: 86_400,
            solicited_after: 3600,
        }
    }
}

/// `[feed.export]`: listings in other forms beside the zone file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Export {
    /// A CIDR table for Postfix.
    #[serde(deserialize_with = "values::optional_path")]
    pub postfix_file: Option<PathBuf>,
    /// Put off rather than refuse in it.
    #[serde(deserialize_with = "values::flag")]
    pub postfix_defer: bool,
    /// Listings as JSON lines.
    #[serde(deserialize_with = "values::optional_path")]
    pub json_file: Option<PathBuf>,
}

impl super::Feed {
    /// Make relative paths start from `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        for source in &mut self.sources {
            for file in [&mut source.path, &mut source.token_file].into_iter().flatten() {
                *file = base.join(&*file);
            }
        }
        let export = &mut self.export;
        let single = [&mut self.zone_file, &mut export.postfix_file, &mut export.json_file];
        let several = self.protection.allow_files.iter_mut().chain(&mut self.protection.shared_files);
        for file in single.into_iter().flatten().chain(several) {
            *file = base.join(&*file);
        }
    }
}
