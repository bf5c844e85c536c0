//! The feeder's settings as its options, and its operations on the command line.

use std::io::Write;
use std::path::Path;

use super::{Exit, Failure, listing};
use crate::cli::{FeedCommand, LogArgs};
use crate::config::{FeedSource, Settings, SourceType};
use crate::feed::run::start::{FeedOptions, SourceKind, SourceOptions};
use crate::feed::show::{self, ShowError, ShowOptions};
use crate::feed::source::filter::{self, FilterOptions};
use crate::feed::source::journal::JournalOptions;
use crate::feed::source::syslog::SyslogOptions;
use crate::feed::{AssemblerLimits, ProbeSenders, spool};
use crate::sys::clock;

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
