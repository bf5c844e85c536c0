//! The settings of listing as options, and the operator's commands on evidence and listings.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use rusqlite::Connection;

use super::{Exit, Failure};
use crate::cli::{FeedCommand, ReplayArgs, StoreArgs};
use crate::config::{FeedMode, Settings};
use crate::feed::evidence::{EvidenceOptions, Signal, Weights};
use crate::feed::ledger::{Ledger, LedgerOptions, SolicitedOptions, now_ms, welcomes};
use crate::feed::operate::{self, Allow, OperateError, Replay, ReplayLog, Told};
use crate::feed::policy::PolicyOptions;
use crate::feed::protection::{self, ProtectionOptions};
use crate::feed::publish::PublishOptions;
use crate::feed::relation::lookup::ResolverOptions;
use crate::feed::run::judging::{JudgingOptions, own_addresses};
use crate::feed::store::key::HashKey;
use crate::feed::zone_file::{PostfixAction, ZoneFileOptions};
use crate::feed::{AssemblerLimits, AssemblerOptions, ProbeSenders, store};

/// How hosts are judged, and where that goes. Errors: a file of networks can not be read.
pub(super) fn options(settings: &Settings) -> Result<JudgingOptions, Failure> {
    let feed = &settings.feed;
    let publish = feed.zone_file.as_ref().map(|zone_file| {
        let action = if feed.export.postfix_defer { PostfixAction::Defer } else { PostfixAction::Reject };
        PublishOptions {
            zone_file: zone_file.clone(),
            zone: zone_file_options(settings),
            postfix: feed.export.postfix_file.clone().map(|file| (file, action)),
            json: feed.export.json_file.clone(),
            observe: feed.mode == FeedMode::Observe,
        }
    });
    let resolver = ResolverOptions {
        servers: settings.relation.resolvers.clone(),
        cache_answers_max: settings.relation.cache_answers_max.into(),
    };
    Ok(JudgingOptions { ledger: ledger_options(settings)?, publish, resolver })
}

/// What the zone file says of itself: what the zone that serves it says.
fn zone_file_options(settings: &Settings) -> ZoneFileOptions {
    let url = settings.feed.url.clone();
    let Some(zone) = serving(settings).next() else { return ZoneFileOptions { url, ..ZoneFileOptions::default() } };
    let hostmaster = || format!("hostmaster.{}", zone.name).parse().unwrap_or_else(|_| zone.name.clone());
    ZoneFileOptions {
        ns: zone.ns.clone(),
        mname: zone.mname.clone().or_else(|| zone.ns.first().cloned()).unwrap_or_else(|| zone.name.clone()),
        rname: zone.rname.clone().unwrap_or_else(hostmaster),
        url,
        ..ZoneFileOptions::default()
    }
}

/// The zones that serve the feeder's file.
pub(super) fn serving(settings: &Settings) -> impl Iterator<Item = &crate::config::Zone> {
    let file = settings.feed.zone_file.as_ref();
    let serves = move |zone: &&crate::config::Zone| {
        zone.datasets.iter().flat_map(|dataset| &dataset.files).any(|served| Some(served) == file)
    };
    settings.zones.iter().filter(serves)
}

/// The rules. Errors: a file of networks can not be read.
fn ledger_options(settings: &Settings) -> Result<LedgerOptions, Failure> {
    let (policy, protection) = (&settings.feed.policy, &settings.feed.protection);
    let ms = |seconds: u32| i64::from(seconds) * 1000;
    let boxed = |words: &[String]| words.iter().map(|word| word.to_lowercase().into()).collect::<Vec<Box<str>>>();
    let mut own_zones = boxed(&protection.own_zones);
    own_zones.extend(serving(settings).map(|zone| zone.name.to_string().trim_end_matches('.').into()));
    let named = |files: &[PathBuf]| -> Result<Vec<(IpNet, String)>, Failure> {
        let mut all = Vec::new();
        for file in files {
            let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let networks =
                protection::read_networks(&text).map_err(|(line, why)| format!("{}:{line}: {why}", file.display()))?;
            let place = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.extend(
                networks.into_iter().map(|(net, name)| (net, if name.is_empty() { place.clone() } else { name })),
            );
        }
        Ok(all)
    };
    Ok(LedgerOptions {
        policy: PolicyOptions {
            evidence: EvidenceOptions { weights: weights(&settings.feed.weights), own_zones },
            half_life_ms: ms(policy.half_life),
            window_ms: ms(policy.window),
            repeat_ms: ms(policy.repeat),
            comeback_ms: ms(policy.comeback),
            score_min: policy.score,
            score_at_once: policy.score_at_once,
            recipients_min: policy.recipients as usize,
            whammies_min: policy.invented_sessions as usize,
            whammy_recipients_min: policy.invented_recipients as usize,
            sessions_min: policy.sessions as usize,
            spread_ms_min: ms(policy.spread),
            reporters_min: policy.reporters as usize,
            shared_factor: protection.shared_factor.into(),
            ratio_percent: protection.ratio_percent.into(),
            ratio_days: protection.ratio_days.into(),
            terms_ms: policy.terms.iter().map(|&term| ms(term)).collect(),
            clean_ms: ms(policy.clean),
        },
        protection: ProtectionOptions {
            built_in: protection.built_in,
            own_networks: protection.own_networks.clone(),
            allowed: named(&protection.allow_files)?,
            shared: named(&protection.shared_files)?,
        },
        traps: boxed(&protection.traps),
        trap_domains: boxed(&protection.trap_domains),
        solicited: SolicitedOptions {
            before_ms: ms(protection.solicited_before),
            after_ms: ms(protection.solicited_after),
            outbound_domains: boxed(&protection.outbound_domains),
            ..SolicitedOptions::default()
        },
        welcome_lists: protection
            .welcome_lists
            .iter()
            .map(|list| list.to_string().trim_end_matches('.').into())
            .collect(),
    })
}

/// What signals are worth.
fn weights(settings: &crate::config::Weights) -> Weights {
    let mut weights = Weights::default();
    (weights.solicited_callout, weights.solicited_bounce) = (settings.solicited_callout, settings.solicited_bounce);
    for (signal, points) in [
        (Signal::TrapMail, settings.trap_mail),
        (Signal::DoubleWhammy, settings.double_whammy),
        (Signal::NeverSent, settings.never_sent),
        (Signal::Callout, settings.callout),
        (Signal::Bounce, settings.bounce),
        (Signal::NullUnknown, settings.null_unknown),
        (Signal::SenderUnseen, settings.sender_unseen),
        (Signal::Postmaster, settings.postmaster),
        (Signal::ManyRecipients, settings.many_recipients),
        (Signal::GreylistedGone, settings.greylisted_gone),
        (Signal::OwnRefusal, settings.own_refusal),
    ] {
        weights.set(signal, points);
    }
    weights
}

/// A settings' store, opened beside a feeder that may be running.
struct Opened {
    /// The settings.
    settings: Settings,
    /// The store.
    store: Connection,
    /// The rules.
    ledger: Ledger,
}

/// Open what a command works on. Errors: settings or store can not be used.
fn open(config: &Path) -> Result<Opened, Failure> {
    let settings = Settings::read(config)?;
    let (store, key) = store::open_beside(&settings.state_dir)?;
    let ledger = Ledger::new(ledger_options(&settings)?, key, own_addresses());
    Ok(Opened { settings, store, ledger })
}

/// Run a command on evidence and listings. Errors: what the command says.
pub(super) fn run(command: &FeedCommand, out: &mut dyn Write) -> Result<Exit, Failure> {
    let done = match command {
        FeedCommand::Replay(args) => return replay(args, out),
        FeedCommand::Why { subject, store } => {
            with(store, out, |opened, told| operate::why(&opened.store, &opened.ledger, *subject, told))?
        }
        FeedCommand::Listings { store } => with(store, out, |opened, told| operate::listings(&opened.store, told))?,
        FeedCommand::History { subject, store } => {
            with(store, out, |opened, told| operate::history(&opened.store, &opened.ledger, *subject, told))?
        }
        FeedCommand::Remove { subject, reason, config } => with(&quiet(config), out, |opened, told| {
            operate::remove(&mut opened.store, &opened.ledger, *subject, reason, told)
        })?,
        FeedCommand::Allow { net, days, reason, end, config } => {
            let allow = Allow { net: *net, days: *days, reason: reason.clone(), end: *end };
            with(&quiet(config), out, |opened, told| operate::allow(&mut opened.store, &opened.ledger, &allow, told))?
        }
        FeedCommand::Forget { recipient, ip, before, config } => with(&quiet(config), out, |opened, told| {
            let before_ms = before.map(|time| time.as_millisecond());
            operate::forget(&mut opened.store, &opened.ledger, recipient.as_deref(), *ip, before_ms, told)
        })?,
        FeedCommand::Sessions { .. }
        | FeedCommand::Explain { .. }
        | FeedCommand::JoeJobs { .. }
        | FeedCommand::OpensmtpdFilter { .. } => Ok(()),
    };
    failure(done)
}

/// The arguments of a command that prints nothing for machines.
fn quiet(config: &Path) -> StoreArgs {
    StoreArgs { config: config.to_owned(), json: false }
}

/// An error of a command as the program's; `main` knows a closed pipe by its own type.
fn failure(done: Result<(), OperateError>) -> Result<Exit, Failure> {
    done.map_err(|error| match error {
        OperateError::Output(error) => Failure::from(error),
        error => error.into(),
    })?;
    Ok(Exit::Done)
}

/// Do something with the store. Errors: it can not be opened.
fn with(
    args: &StoreArgs,
    out: &mut dyn Write,
    act: impl FnOnce(&mut Opened, &mut Told<'_>) -> Result<(), OperateError>,
) -> Result<Result<(), OperateError>, Failure> {
    let mut opened = open(&args.config)?;
    let url = opened.settings.feed.url.clone();
    let observe = opened.settings.feed.mode == FeedMode::Observe;
    let mut told = Told { out, json: args.json, url: url.as_deref(), observe, now_ms: now_ms() };
    Ok(act(&mut opened, &mut told))
}

/// Run logs through everything, in a store of their own.
fn replay(args: &ReplayArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.config)?;
    // Nothing of it is kept, so no key need be secret.
    let key = HashKey::new(b"replay");
    let options = ledger_options(&settings)?;
    let welcomes =
        if options.welcome_lists.is_empty() { Vec::new() } else { welcomes::of_state_dir(&settings.state_dir)? };
    let ledger = Ledger::new(options, key.clone(), own_addresses()).without_questions();
    let same =
        |a: &Path, b: &Path| a == b || fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b));
    let log = |file: &PathBuf| {
        let source =
            settings.feed.sources.iter().find(|source| source.path.as_ref().is_some_and(|path| same(path, file)));
        let assembler = AssemblerOptions {
            input: source.map_or_else(|| file.to_string_lossy().into(), |source| source.name.as_str().into()),
            format: source.map_or(args.log.format, |source| source.format),
            time_zone: source.map_or_else(|| args.log.timezone.clone(), |source| source.timezone.clone()),
            year: args.log.year,
            probe_senders: ProbeSenders { local_parts: settings.feed.probe_senders.clone() },
            limits: AssemblerLimits { idle_ms: i64::from(settings.feed.idle) * 1000, ..AssemblerLimits::default() },
        };
        ReplayLog { file: file.clone(), assembler }
    };
    let joe_jobs = settings.feed.joe_jobs.enabled.then(|| super::feed::detector(&settings));
    let replay = Replay { logs: args.files.iter().map(log).collect(), ledger: &ledger, key: &key, welcomes, joe_jobs };
    let observe = settings.feed.mode == FeedMode::Observe;
    let mut told = Told { out, json: true, url: settings.feed.url.as_deref(), observe, now_ms: now_ms() };
    failure(operate::replay(&replay, &mut told))
}
