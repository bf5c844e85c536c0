//! The command line of the feeder's own operations, `dnsbld feed …`.

use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::EXIT_CODES;
use crate::feed::Format as LogFormat;
use crate::feed::subject::Subject;

/// More on `feed`.
pub(super) const FEED_HELP: &str = "\
`sessions` and `explain` read log files and print what they see; they need no server and no settings, and change nothing.

Examples:
  dnsbld feed sessions --format postfix /var/log/mail.log
  dnsbld feed explain /var/log/mail.log:1234

Exit codes:
  0  done
  1  failure
  2  wrong usage";

/// More on `feed joe-jobs`.
const JOE_JOBS_HELP: &str = "\
What is told is read from the state directory, where a running server writes it at once when a joe-job begins or ends and every \
minute while one runs. It has addresses in the clear, so only the server's user may read it. docs/joe-jobs.md has the rule and the remedies.

Examples:
  dnsbld feed joe-jobs --config /etc/dnsbld/dnsbld.toml
  dnsbld feed joe-jobs --config /etc/dnsbld/dnsbld.toml --json | jq 'select(.running)'

Exit codes:
  0  done
  1  failure
  2  wrong usage";

/// More on `feed opensmtpd-filter`.
const FILTER_HELP: &str = "\
smtpd starts this program and writes to its standard input. What it reports of SMTP sessions goes to a spool in the state \
directory, which a server with the same settings follows; it may be down meanwhile. The program never holds up mail: what can not be \
written is dropped and told in smtpd's log. It must run as the user that the server runs as.

In smtpd.conf:
  proc dnsbld \"/usr/bin/dnsbld feed opensmtpd-filter --config /etc/dnsbld/dnsbld.toml\" user dnsbld
  filter dnsbld proc dnsbld
  listen on all filter dnsbld

Exit codes:
  0  smtpd has ended
  1  settings that can not be used
  2  wrong usage";

/// More on `feed sessions`.
const SESSIONS_HELP: &str = "\
Prints a JSON line for each session, when it ends: {\"file\", \"line_start\", \"line_end\", \"start\", \"end\", \"client\": {\"ip\", \
\"port\", \"ptr\"}, \"helo\", \"kind\", \"mail\": [ok, all], \"rcpt\": [ok, all], \"data\": [ok, all], \"senders\", \"rejected\", \
\"accepted\", \"complete\"}. A session that is two things has both kinds, joined with `+`. Where the log allows no sessions, there is a \
JSON line for each line of interest. `data` counts BDAT too; the null sender is written `<>`; addresses that the log does not show are \
not listed. A session is complete if it begins and ends in the file.

Each file is read by itself; gzip is unpacked. What can not be read is told at the end, and keeps no other file from being shown.

Examples:
  dnsbld feed sessions --format postfix --timezone Europe/Berlin --year 2026 mail.log.1 mail.log
  zcat mail.log.*.gz | dnsbld feed sessions --format auto -

Exit codes:
  0  done
  1  failure, or a file that can not be read
  2  wrong usage";

/// More on `feed explain`.
const EXPLAIN_HELP: &str = "\
Shows the line's head (time, host, program), what the mail server's parser made of the message, and the session that it belongs to.

Example:
  dnsbld feed explain --format postfix /var/log/mail.log:1234

Exit codes:
  0  done
  1  failure, or no such line
  2  wrong usage";

/// More on `feed replay`.
const REPLAY_HELP: &str = "\
Prints, for each host with evidence, how things stand at the last time in the logs: {\"subject\", \"score\", \"recipients\", \
\"sessions\", \"codes\", \"listed\", \"first\", \"last\", \"expires\", \"protected_by\", \"would_list_at\"}. The rules are those of the \
settings. Nothing is kept, and a running feeder is not touched. A log that is the `path` of a source is read as that source says; others \
as --format, --timezone and --year say.

Example:
  dnsbld feed replay --config dnsbld.toml --format postfix --year 2026 mail.log.1 mail.log

Exit codes:
  0  done
  1  failure
  2  wrong usage";

/// More on `feed why`.
const WHY_HELP: &str = "\
The weights that are shown add up to the score. What does not count says why: repeated within a day, solicited by mail of ours, too old, \
or removed since.

Example:
  dnsbld feed why 203.0.113.9 --config dnsbld.toml --json

Exit codes:
  0  done
  1  failure
  2  wrong usage";

/// More on the commands that look into the store or change it.
const ACT_HELP: &str = "\
The feeder may be running; it acts on a change within a second.

Examples:
  dnsbld feed listings --config dnsbld.toml --json
  dnsbld feed history 203.0.113.9 --config dnsbld.toml
  dnsbld feed remove 203.0.113.9 --reason 'callouts are off' --config dnsbld.toml
  dnsbld feed allow 203.0.113.0/24 --days 30 --reason partner --config dnsbld.toml
  dnsbld feed allow --end 203.0.113.0/24 --config dnsbld.toml
  dnsbld feed forget --recipient alice@example.org --config dnsbld.toml

Exit codes:
  0  done
  1  failure
  2  wrong usage";

/// The feeder's own operations.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum FeedCommand {
    /// Tell the addresses that are, or were, flooded with bounces, and what to do about it
    #[command(after_help = EXIT_CODES, after_long_help = JOE_JOBS_HELP)]
    JoeJobs {
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Print the SMTP sessions of log files, as JSON lines
    #[command(after_long_help = SESSIONS_HELP, after_help = EXIT_CODES)]
    Sessions {
        /// How to read them
        #[command(flatten)]
        log: LogArgs,
        /// Log files; `-` is standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what each stage makes of a line
    #[command(after_long_help = EXPLAIN_HELP, after_help = EXIT_CODES)]
    Explain {
        /// How to read the file
        #[command(flatten)]
        log: LogArgs,
        /// The line, counted from 1
        #[arg(value_name = "FILE:LINE")]
        place: String,
    },
    /// Run old logs through everything and print a JSON line for each host with evidence
    #[command(after_long_help = REPLAY_HELP, after_help = EXIT_CODES)]
    Replay(ReplayArgs),
    /// Tell why a host is listed, or why not: each piece of evidence and what it weighs
    #[command(after_help = EXIT_CODES, after_long_help = WHY_HELP)]
    Why {
        /// An address, or an IPv6 /64
        #[arg(value_name = "IP")]
        subject: Subject,
        /// The store
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Print the listings in force
    #[command(after_help = EXIT_CODES, after_long_help = ACT_HELP)]
    Listings {
        /// The store
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Print a host's listings, past and present, and what people did about it
    #[command(after_help = EXIT_CODES, after_long_help = ACT_HELP)]
    History {
        /// An address, or an IPv6 /64
        #[arg(value_name = "IP")]
        subject: Subject,
        /// The store
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Take a host off the list; new evidence lists it again
    #[command(after_help = EXIT_CODES, after_long_help = ACT_HELP)]
    Remove {
        /// An address, or an IPv6 /64
        #[arg(value_name = "IP")]
        subject: Subject,
        /// Why; it is kept in the history
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Keep a host or a network off the list whatever it does
    #[command(after_help = EXIT_CODES, after_long_help = ACT_HELP)]
    Allow {
        /// An address or a prefix
        #[arg(value_name = "IP|PREFIX", value_parser = read_net)]
        net: IpNet,
        /// For so many days [default: for ever]
        #[arg(long, value_name = "N", conflicts_with = "end")]
        days: Option<u32>,
        /// Why; it is kept in the history
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Take it back
        #[arg(long)]
        end: bool,
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Forget a recipient, a host, or everything before a time
    #[command(after_help = EXIT_CODES, after_long_help = ACT_HELP)]
    #[command(group = clap::ArgGroup::new("what").required(true).args(["recipient", "ip", "before"]))]
    Forget {
        /// A mail address
        #[arg(long, value_name = "ADDRESS")]
        recipient: Option<String>,
        /// A host
        #[arg(long, value_name = "IP")]
        ip: Option<Subject>,
        /// A time, such as 2026-06-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        before: Option<jiff::Timestamp>,
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run as a filter of OpenSMTPD and pass what it reports to a source
    #[command(after_help = EXIT_CODES, after_long_help = FILTER_HELP)]
    OpensmtpdFilter {
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The source's name [default: the only one of type opensmtpd-filter]
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
}

/// What `feed replay` reads.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ReplayArgs {
    /// The settings
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How to read logs that are no source of the settings
    #[command(flatten)]
    pub log: LogArgs,
    /// Log files; `-` is standard input
    #[arg(value_name = "LOG", required = true)]
    pub files: Vec<PathBuf>,
}

/// The store that a command looks into.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct StoreArgs {
    /// The settings
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// How logs are read.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct LogArgs {
    /// The mail server that wrote them; `auto` goes by each line
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = log_format_parser())]
    pub format: LogFormat,
    /// The zone of stamps without one, an IANA name such as Europe/Berlin
    #[arg(long, value_name = "TZ", default_value = "UTC", value_parser = time_zone)]
    pub timezone: TimeZone,
    /// The year of the first stamp without one [default: the latest that is not in the future]
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(i16).range(1970..=9998))]
    pub year: Option<i16>,
}

/// Reads a prefix, or an address as one.
fn read_net(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    net.map_err(|_| "expected an address or a prefix such as 192.0.2.0/24".to_owned())
}

/// Reads the name of a time zone.
fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| "expected a name of the IANA time zone database, such as Europe/Berlin or UTC".to_owned())
}

/// Reads a log format, and lists all formats in help and completions.
fn log_format_parser() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(LogFormat::ALL.map(|(_, name)| name)).try_map(|name| name.parse::<LogFormat>())
}
