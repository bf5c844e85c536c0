//! The feeder's settings as its options, and its operations on the command line.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Exit, Failure, listing};
use crate::cli::{FeedCommand, LogArgs};
use crate::config::{FeedSource, Settings, SourceType};
use crate::feed::joe_job::run::{Policies, ReadPolicies, RunOptions};
use crate::feed::joe_job::webhook::{Webhook, WebhookOptions};
use crate::feed::joe_job::{JoeJobOptions, state};
use crate::feed::relation::Relation;
use crate::feed::run::start::{FeedOptions, JoeJobSetup, SourceKind, SourceOptions};
use crate::feed::show::{self, ShowError, ShowOptions};
use crate::feed::source::filter::{self, FilterOptions};
use crate::feed::source::journal::JournalOptions;
use crate::feed::source::syslog::SyslogOptions;
use crate::feed::{AssemblerLimits, ProbeSenders, spool};
use crate::sys::clock;

/// Octets of the shortest secret for signing: 128 bits in hex or base64 have more.
const SECRET_OCTETS_MIN: usize = 16;

/// Run one of the feeder's operations. Errors: settings or logs that can not be used, a line that is not there.
pub fn run(command: &FeedCommand, out: &mut dyn Write) -> Result<Exit, Failure> {
    let options = |log: &LogArgs| ShowOptions {
        format: log.format,
        time_zone: log.timezone.clone(),
        year: log.year,
        now_ms: clock::now_s() * 1000,
    };
    match command {
        FeedCommand::Sessions { log, files } => show::sessions(files, &options(log), out),
        FeedCommand::Explain { log, place } => show::explain(place, &options(log), out),
        FeedCommand::JoeJobs { config, json } => return show_joe_jobs(config, *json, out),
        FeedCommand::OpensmtpdFilter { config, source } => return opensmtpd_filter(config, source.as_deref(), out),
        command => return listing::run(command, out),
    }
    // `main` knows a closed pipe by its own type.
    .map_err(|error| match error {
        ShowError::Output(error) => Failure::from(error),
        error => error.into(),
    })?;
    Ok(Exit::Done)
}

/// The feeder's options; `None` where it is not enabled. Errors: a file that the settings name can not be read.
pub(super) fn options(settings: &Settings) -> Result<Option<FeedOptions>, Failure> {
    let feed = &settings.feed;
    if !feed.enabled {
        return Ok(None);
    }
    Ok(Some(FeedOptions {
        judging: listing::options(settings)?,
        state_dir: settings.state_dir.clone(),
        sources: feed.sources.iter().map(source_options).collect(),
        probe_senders: ProbeSenders { local_parts: feed.probe_senders.clone() },
        limits: AssemblerLimits {
            sessions_max: feed.sessions_max as usize,
            queue_ids_max: feed.sessions_max as usize,
            idle_ms: i64::from(feed.idle) * 1000,
            ..AssemblerLimits::default()
        },
    }))
}

/// How joe-jobs are looked for; `None` where they are not. Errors: a secret that can not be read, or an address that can not be used.
///
/// Wants to be called within the runtime. `zone_written` tells the loader.
pub(super) fn joe_jobs(
    settings: &Settings,
    relation: Option<Arc<Relation>>,
    runtime: &Handle,
    zone_written: Box<dyn Fn() + Send>,
) -> Result<Option<JoeJobSetup>, Failure> {
    let jobs = &settings.feed.joe_jobs;
    if !settings.feed.enabled || !jobs.enabled {
        return Ok(None);
    }
    let webhook = match &jobs.webhook_url {
        None => None,
        Some(url) => {
            let secret = jobs.webhook_secret_file.as_deref().map(read_secret).transpose()?.unwrap_or_default();
            Some(Webhook::start(WebhookOptions { url: url.clone(), secret, ..WebhookOptions::default() })?)
        }
    };
    let runtime = runtime.clone();
    let policies = relation.map(|relation| -> ReadPolicies {
        Box::new(move |domain| {
            let (spf, dmarc) = runtime.block_on(relation.policies(domain));
            Policies { spf, dmarc }
        })
    });
    let options = RunOptions {
        detector: detector(settings),
        reports_file: settings.state_dir.join(state::REPORTS_FILE),
        key_file: jobs.key_file.clone().unwrap_or_else(|| settings.state_dir.join(state::KEY_FILE)),
        zone_file: jobs.zone_file.clone(),
    };
    Ok(Some(JoeJobSetup { options, webhook, zone_written, policies }))
}

/// When a joe-job is one.
pub(super) fn detector(settings: &Settings) -> JoeJobOptions {
    let jobs = &settings.feed.joe_jobs;
    JoeJobOptions {
        sources_min: jobs.sources_min,
        ratio_min: jobs.ratio_min,
        cool_down_minutes: i64::from(jobs.cool_down) / 60,
    }
}

/// The secret in a file. Errors: it can not be read, or is too short to be one.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let text =
        std::fs::read(path).map_err(|error| format!("{}: the secret can not be read: {error}", path.display()))?;
    let secret = text.trim_ascii();
    if secret.len() < SECRET_OCTETS_MIN {
        let why =
            format!("expected a secret of at least {SECRET_OCTETS_MIN} octets, such as `openssl rand -hex 32` prints");
        return Err(format!("{}: {why}", path.display()).into());
    }
    Ok(secret.to_vec())
}

/// Tell the joe-jobs, from the file that the server writes. Errors: the file can not be read, or the output not be written.
fn show_joe_jobs(config: &Path, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = Settings::read(config)?;
    let reports = state::reports(&settings.state_dir.join(state::REPORTS_FILE))?;
    for report in &reports {
        if json {
            writeln!(out, "{}", report.to_json(None))?;
        } else {
            write!(out, "{}", report.to_text())?;
        }
    }
    if reports.is_empty() && !json {
        writeln!(out, "no joe-job is known")?;
    }
    Ok(Exit::Done)
}

/// One source's options.
fn source_options(source: &FeedSource) -> SourceOptions {
    let kind = match source.kind {
        // Checked settings have a path for it.
        SourceType::File => SourceKind::File(source.path.clone().unwrap_or_default()),
        SourceType::Journal => SourceKind::Journal(JournalOptions {
            program: source.journalctl.clone(),
            units: source.units.clone(),
            uids: source.uids.clone(),
        }),
        SourceType::Syslog => SourceKind::Syslog(SyslogOptions {
            udp: source.udp,
            tcp: source.tcp,
            peers: source.peers.clone(),
            time_zone: source.timezone.clone(),
        }),
        SourceType::Http => {
            SourceKind::Http { token_file: source.token_file.clone(), body_octets_max: source.body_octets_max as usize }
        }
        SourceType::Stdin => SourceKind::Stdin,
        SourceType::OpensmtpdFilter => SourceKind::Filter,
    };
    SourceOptions {
        name: source.name.as_str().into(),
        format: source.format,
        time_zone: source.timezone.clone(),
        spool_octets_max: source.spool_octets_max,
        kind,
    }
}

/// Run as OpenSMTPD's filter: from standard input to the spool of its source.
fn opensmtpd_filter(config: &Path, name: Option<&str>, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = Settings::read(config)?;
    let filters = || settings.feed.sources.iter().filter(|source| source.kind == SourceType::OpensmtpdFilter);
    let source = match name {
        Some(name) => filters().find(|source| source.name == name).ok_or_else(|| {
            format!("{} has no [[feed.source]] of type opensmtpd-filter with the name `{name}`", config.display())
        }),
        None if filters().count() > 1 => {
            Err(format!("{} has several sources of type opensmtpd-filter; say which one by --source NAME", config.display()))
        }
        None => filters().next().ok_or_else(|| {
            format!(
                "{} has no source for this; add [[feed.source]] with type = \"opensmtpd-filter\" and format = \"opensmtpd\"",
                config.display()
            )
        }),
    }?;
    let options = FilterOptions {
        directory: spool::directory(&settings.state_dir, &source.name),
        octets_max: source.spool_octets_max,
    };
    filter::run(&options, std::io::stdin().lock(), out, &mut std::io::stderr())?;
    Ok(Exit::Done)
}
