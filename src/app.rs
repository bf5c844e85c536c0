//! The wiring: settings in, each module's options out, and the operations of the command line.

mod answers;
mod encrypted;
mod feed;
mod listing;
mod load;
mod public;
mod relation;
mod secrets;
mod serve;
mod top;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::check::{self, Report};
use crate::cli::{CheckArgs, Cli};
use crate::config::Settings;
use crate::export::{self, Format};
use crate::query;
use crate::sys::clock;
use crate::wire::name::Name;
use crate::zone::{Zone, ZoneState};
use crate::zonefile::{self, ReadOptions, Source};

pub use feed::run as feed;
pub use serve::run as serve;
pub use top::run as top;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// There were findings, and they have been told.
    Findings,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Findings => Self::from(1),
        }
    }
}

/// Why an operation could not be done; `main` tells it.
pub type Failure = Box<dyn std::error::Error>;

/// Look one address or name up in the files. Errors: settings or files that can not be used.
pub fn query(
    subject: &str,
    zone: Option<&str>,
    config: &Path,
    json: bool,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let asked = query::Asked::parse(subject)?;
    let settings = Settings::read(config)?;
    let wanted = zone.map(str::parse::<Name>).transpose()?.map(|name| name.to_lower());
    let zones: Vec<query::Zone> = settings
        .zones
        .iter()
        .filter(|zone| wanted.as_ref().is_none_or(|wanted| *wanted == zone.name))
        .map(|zone| query::Zone {
            name: zone.name.clone(),
            sources: if zone.retired {
                Vec::new()
            } else {
                zone.datasets.iter().map(|dataset| dataset.source()).collect()
            },
        })
        .collect();
    if let (Some(wanted), true) = (wanted, zones.is_empty()) {
        return Err(format!("{} names no zone `{wanted}`", config.display()).into());
    }
    query::run(&asked, &zones, clock::now_s(), json, out)?;
    Ok(Exit::Done)
}

/// Tell every problem in settings, in the secrets and certificates that they name, and in zone files. Errors: the output can not be written.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let now = clock::now_s();
    let mut report = Report::new(out, args.json);
    if let (None, Some(kind)) = (&args.config, args.kind) {
        let source = Source { kind, files: args.files.clone(), options: ReadOptions::default() };
        check::files(&source, now, &mut report);
    } else if let Some(file) = &args.config {
        match Settings::read(file) {
            Ok(settings) => {
                settings.warnings.iter().for_each(|warning| report.tell(warning));
                secrets::findings(&settings).iter().for_each(|finding| report.tell(finding));
                if let Some(source) = settings.acl.source() {
                    check::files(&source, now, &mut report);
                }
                check::zones(&check_zones(&settings), &written(&settings), now, &mut report);
            }
            Err(error) => report.tell(&error.into()),
        }
    }
    let errors = report.finish()?;
    Ok(if errors == 0 { Exit::Done } else { Exit::Findings })
}

/// The zone files that the feeder of these settings writes.
fn written(settings: &Settings) -> Vec<&Path> {
    let feed = &settings.feed;
    let jobs = feed.joe_jobs.zone_file.as_deref().filter(|_| feed.joe_jobs.enabled);
    if feed.enabled { feed.zone_file.as_deref().into_iter().chain(jobs).collect() } else { Vec::new() }
}

/// What `check` needs to know of each zone.
fn check_zones(settings: &Settings) -> Vec<check::Zone> {
    let zone = |zone: &crate::config::Zone| check::Zone {
        name: zone.name.clone(),
        file: settings.file.clone(),
        place: zone.place,
        sources: zone.datasets.iter().map(|dataset| dataset.source()).collect(),
        retired: zone.retired,
        loopback_guard: zone.guard.loopback,
        invalid_guard: zone.guard.invalid_name,
    };
    settings.zones.iter().map(zone).collect()
}

/// Write a zone in a form that other programs read. Errors: settings or files that can not be used, data past their
/// expiry, or the output can not be written.
pub fn export(config: &Path, zone: &str, to: Format, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = Settings::read(config)?;
    let wanted = zone.parse::<Name>().map_err(|error| format!("`{zone}` is no zone's name: {error}"))?.to_lower();
    let zone = settings.zones.iter().find(|zone| zone.name == wanted);
    let zone = zone.ok_or_else(|| format!("{} names no zone `{wanted}`", config.display()))?;
    let (mut datasets, mut mtime_ns, now) = (Vec::new(), 0, clock::now_s());
    if !zone.retired {
        for dataset in &zone.datasets {
            let loaded = zonefile::read(&dataset.source(), now, &mut |_| {})?;
            mtime_ns = loaded.stamps.iter().map(|stamp| stamp.mtime_ns).fold(mtime_ns, i128::max);
            if loaded.dataset.expires().is_some_and(|at| now >= at) {
                return Err(format!("{wanted} has expired by its `$TIMESTAMP`; it wants newer files").into());
            }
            datasets.push(Arc::new(loaded.dataset));
        }
    }
    // As the server counts: seconds on a circle of 32 bits.
    let serial = mtime_ns.div_euclid(1_000_000_000) as u32;
    let zone = Zone::build(load::zone_settings(zone), 0, serial, ZoneState::Ready, datasets);
    match to {
        Format::MasterFile => export::master_file(&zone, out)?,
        Format::Nftables => export::nftables(&zone, out)?,
    }
    Ok(Exit::Done)
}

/// Write the manual page of the program or of one of its commands. Errors: no such command, or the output can not be written.
pub fn man(command: Option<&str>, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut program = Cli::command();
    // Gives each command its full name, `dnsbld-check`.
    program.build();
    let page = match command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            found.ok_or_else(|| format!("there is no command `{name}`; `dnsbld --help` names them all"))?
        }
    };
    clap_mangen::Man::new(page).render(&mut &mut *out)?;
    Ok(Exit::Done)
}

/// Write completions for a shell. Errors: the output can not be written.
pub fn completions(shell: Shell, out: &mut dyn Write) -> Result<Exit, Failure> {
    // Through memory, because the generator panics when a pipe closes.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dnsbld", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Done)
}
