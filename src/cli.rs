//! The command line: one definition for parsing, help, completions and the man page.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use ipnet::IpNet;
use jiff::tz::TimeZone;

use crate::dataset::Kind;
use crate::export::Format;
use crate::feed::Format as LogFormat;
use crate::feed::subject::Subject;

/// What every help text ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  findings or failure
  2  wrong usage";

/// Examples for the program as a whole.
const EXAMPLES: &str = "\
Examples:
  dnsbld check --config /etc/dnsbld/dnsbld.toml
  dnsbld serve --config /etc/dnsbld/dnsbld.toml
  dnsbld query 192.0.2.1 --config /etc/dnsbld/dnsbld.toml
  dig @127.0.0.1 -p 5353 2.0.0.127.bl.example.org A

Exit codes:
  0  done
  1  findings or failure
  2  wrong usage";

/// More on `serve`.
const SERVE_HELP: &str = "\
SIGHUP rereads settings and zone files: zones come, go and change live, listeners on restart. Bad settings change \
nothing and are reported. SIGTERM and SIGINT end the program.

Example:
  dnsbld serve --config zones/dnsbld.toml

Exit codes:
  0  ended by a signal
  1  bad settings, or an address that can not be used
  2  wrong usage";

/// More on `check`.
const CHECK_HELP: &str = "\
Every finding is printed with file, line and column, then a summary of each dataset. With --config the test \
entries of RFC 5782 section 5 are looked up as well: 127.0.0.2, ::FFFF:7F00:2 and the name `test` should be \
listed, 127.0.0.1, ::FFFF:7F00:1 and the name `invalid` must not be.

With --json each finding and each summary is one line: {\"severity\", \"file\", \"line\", \"column\", \"message\", \
\"hint\"}. The severity is \"error\", \"warning\" or, for a summary, \"info\"; line and column are 0 where the whole \
file is meant.

Examples:
  dnsbld check --config zones/dnsbld.toml
  dnsbld check --type ip4set bl.zone bl-local.zone
  dnsbld check --type dnset --json dbl.zone

Exit codes:
  0  no error; there may be warnings
  1  at least one error, in the settings or in a file
  2  wrong usage";

/// More on `query`.
const QUERY_HELP: &str = "\
The files are read as `serve` reads them; no server needs to run, and none is asked.

Examples:
  dnsbld query 192.0.2.1 --config zones/dnsbld.toml
  dnsbld query spam.example --zone dbl.example.org --config zones/dnsbld.toml

Exit codes:
  0  done, listed or not
  1  failure
  2  wrong usage";

/// More on `rbldnsd`.
const RBLDNSD_HELP: &str = "\
Examples:
  dnsbld rbldnsd -n -b 127.0.0.1/5353 -w zones bl.example.org:ip4set:bl.zone
  dnsbld rbldnsd --print-config -b 127.0.0.1/5353 -w zones bl.example.org:ip4set:bl.zone > dnsbld.toml

Exit codes:
  0  ended by a signal; as a daemon: started
  1  wrong usage, or a start that failed";

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

/// More on `export`.
const EXPORT_HELP: &str = "\
The files are read as `serve` reads them; no server needs to run, and none is asked.

A `master-file` (RFC 1035 section 5) is for BIND, NSD, Knot and other DNS servers, which then answer as dnsbld does: \
listed blocks are wildcards, and what is not listed in them is left out by splitting them. A wildcard's text has the \
first address of its block where a host's has the address that was asked about. Names that are excluded from below a \
wildcard exist without data. Partial addresses, and names below a wildcard that are no address, may be answered \
otherwise. For names that are no host names, such as `a_b.example`, BIND wants `check-names ignore`.

`nftables` gives two sets, of IPv4 and of IPv6 addresses. Warning: blocking them is not safe mode, since it keeps away all mail of the \
listed hosts and not only mail with null sender.

Example:
  dnsbld export --config zones/dnsbld.toml --zone bl.example.org --to master-file > bl.example.org.db

Exit codes:
  0  done
  1  failure: nothing, or not all, was written
  2  wrong usage";

/// More on `feed`.
const FEED_HELP: &str = "\
`sessions` and `explain` read log files and print what they see; they need no server and no settings, and change nothing.

Examples:
  dnsbld feed sessions --format postfix /var/log/mail.log
  dnsbld feed explain /var/log/mail.log:1234

Exit codes:
  0  done
  1  failure
  2  wrong usage";

/// More on `feed sessions`.
const SESSIONS_HELP: &str = "\
Prints a JSON line for each session, when it ends: {\"file\", \"line_start\", \"line_end\", \"start\", \"end\", \"client\": {\"ip\", \
\"port\", \"ptr\"}, \"helo\", \"kind\", \"mail\": [ok, all], \"rcpt\": [ok, all], \"data\": [ok, all], \"senders\", \"rejected\", \
\"accepted\", \"complete\"}. A session that is two things has both kinds, joined with `+`. Where the log allows no sessions, there is a \
JSON line for each line of interest. `data` counts BDAT too; the null sender is written `<>`; addresses that the log does not show are \
not listed. A session is complete if it begins and ends in the file.

Each file is read by itself; gzip is unpacked.

Examples:
  dnsbld feed sessions --format postfix --timezone Europe/Berlin --year 2026 mail.log.1 mail.log
  zcat mail.log.*.gz | dnsbld feed sessions --format auto -

Exit codes:
  0  done
  1  failure
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

/// Authoritative DNS server for blocklists (DNSBLs).
///
/// dnsbld serves rbldnsd's zone files over DNS, on UDP and TCP, and rereads them while it answers.
#[derive(Debug, Parser)]
#[command(name = "dnsbld", version, after_help = EXIT_CODES, after_long_help = EXAMPLES)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The operations.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run what the settings name
    #[command(after_long_help = SERVE_HELP, after_help = EXIT_CODES)]
    Serve {
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Make a certificate for trying encrypted transports out; DoT and DoQ on 127.0.0.1:8853 unless the settings say
        #[arg(long)]
        self_signed: bool,
    },
    /// Find every problem in settings and zone files
    #[command(after_long_help = CHECK_HELP, after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Look one address or name up in the files: code, text, dataset, file and line
    #[command(after_long_help = QUERY_HELP, after_help = EXIT_CODES)]
    Query {
        /// An IPv4 or IPv6 address, or a name as a dataset lists it
        subject: String,
        /// Look in this zone only [default: all]
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Serve under rbldnsd's own command line, as when the program is called rbldnsd
    #[command(disable_help_flag = true, after_long_help = RBLDNSD_HELP)]
    Rbldnsd {
        /// rbldnsd's options and zones; -h lists them, --print-config prints them as settings
        #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Write a zone in a form that other programs read
    #[command(after_long_help = EXPORT_HELP, after_help = EXIT_CODES)]
    Export {
        /// The settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The zone
        #[arg(long, value_name = "ZONE")]
        zone: String,
        /// The form
        #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
        to: Format,
    },
    /// The feeder's own work: what it makes of logs, and where lines come from
    #[command(after_long_help = FEED_HELP, after_help = EXIT_CODES)]
    Feed {
        /// What to do
        #[command(subcommand)]
        command: FeedCommand,
    },
    /// Print the manual page, in roff
    #[command(after_help = EXIT_CODES, after_long_help = "Examples:\n  dnsbld man | man -l -\n  dnsbld man check > dnsbld-check.1\n\nExit codes:\n  0  done\n  1  failure\n  2  wrong usage")]
    Man {
        /// The page of this command [default: of the whole program]
        command: Option<String>,
    },
    /// Print completions for a shell
    #[command(after_help = EXIT_CODES, after_long_help = "Example:\n  dnsbld completions bash > /etc/bash_completion.d/dnsbld\n\nExit codes:\n  0  done\n  1  failure\n  2  wrong usage")]
    Completions {
        /// The shell
        shell: Shell,
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

/// Reads a prefix, or an address as one.
fn read_net(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    net.map_err(|_| "expected an address or a prefix such as 192.0.2.0/24".to_owned())
}

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

/// What `check` looks at: settings with all their files, or the files of one dataset.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct CheckArgs {
    /// The settings; all their zones are checked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "kind"], required_unless_present = "files")]
    pub config: Option<PathBuf>,
    /// Zone files, read together as one dataset
    #[arg(value_name = "ZONEFILE", requires = "kind")]
    pub files: Vec<PathBuf>,
    /// The type of that dataset
    #[arg(long = "type", value_name = "TYPE", requires = "files", value_parser = kind_parser())]
    pub kind: Option<Kind>,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// Reads a dataset type, and lists all types in help and completions.
fn kind_parser() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(|(_, name)| name)).try_map(|name| name.parse::<Kind>())
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

/// Reads an export format, and lists all formats in help and completions.
fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(|(_, name)| name)).try_map(|name| name.parse::<Format>())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// Parse a command line; the error's first line where it is wrong.
    fn parse(line: &str) -> Result<Command, String> {
        let parsed = Cli::try_parse_from(line.split(' '));
        parsed.map(|cli| cli.command).map_err(|e| {
            assert_eq!(e.exit_code(), 2, "{line}");
            e.to_string().lines().next().unwrap_or_default().to_owned()
        })
    }

    #[test]
    fn right_usage() {
        let check = |config: Option<&str>, files: &[&str], kind, json| {
            Command::Check(CheckArgs {
                config: config.map(PathBuf::from),
                files: files.iter().map(PathBuf::from).collect(),
                kind,
                json,
            })
        };
        let table = [
            ("dnsbld serve --config a.toml", Command::Serve { config: "a.toml".into(), self_signed: false }),
            (
                "dnsbld serve --self-signed --config a.toml",
                Command::Serve { config: "a.toml".into(), self_signed: true },
            ),
            ("dnsbld check --config a.toml", check(Some("a.toml"), &[], None, false)),
            ("dnsbld check --json --config=a.toml", check(Some("a.toml"), &[], None, true)),
            ("dnsbld check a b --type ip4set", check(None, &["a", "b"], Some(Kind::Ip4Set), false)),
            (
                "dnsbld query 192.0.2.1 --zone bl.example.org --config a.toml --json",
                Command::Query {
                    subject: "192.0.2.1".into(),
                    zone: Some("bl.example.org".into()),
                    config: "a.toml".into(),
                    json: true,
                },
            ),
            (
                "dnsbld export --config a.toml --zone bl.example.org --to master-file",
                Command::Export { config: "a.toml".into(), zone: "bl.example.org".into(), to: Format::MasterFile },
            ),
            (
                "dnsbld feed joe-jobs --config a.toml --json",
                Command::Feed { command: FeedCommand::JoeJobs { config: "a.toml".into(), json: true } },
            ),
            (
                "dnsbld feed opensmtpd-filter --config a.toml",
                Command::Feed { command: FeedCommand::OpensmtpdFilter { config: "a.toml".into(), source: None } },
            ),
            (
                "dnsbld feed sessions --format postfix --timezone Europe/Berlin --year 2026 a -",
                Command::Feed {
                    command: FeedCommand::Sessions {
                        log: LogArgs {
                            format: LogFormat::Postfix,
                            timezone: TimeZone::get("Europe/Berlin").unwrap(),
                            year: Some(2026),
                        },
                        files: vec!["a".into(), "-".into()],
                    },
                },
            ),
            (
                "dnsbld feed explain a:1",
                Command::Feed {
                    command: FeedCommand::Explain {
                        log: LogArgs { format: LogFormat::Auto, timezone: TimeZone::UTC, year: None },
                        place: "a:1".into(),
                    },
                },
            ),
            ("dnsbld man", Command::Man { command: None }),
            ("dnsbld completions zsh", Command::Completions { shell: Shell::Zsh }),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn wrong_usage() {
        for (line, expected) in [
            ("dnsbld serve", "required arguments"),
            ("dnsbld check", "required arguments"),
            ("dnsbld check a", "required arguments"),
            ("dnsbld check --type ip4set", "required arguments"),
            ("dnsbld check a --type ip5set", "invalid value 'ip5set'"),
            ("dnsbld check --config a.toml b --type ip4set", "cannot be used with"),
            ("dnsbld query --config a.toml", "required arguments"),
            ("dnsbld export --config a.toml --zone bl.example.org", "required arguments"),
            ("dnsbld export --config a.toml --zone z --to csv", "invalid value 'csv'"),
            ("dnsbld feed sessions", "required arguments"),
            ("dnsbld feed sessions --format qmail a", "invalid value 'qmail'"),
            ("dnsbld feed sessions --timezone Nowhere/Town a", "invalid value 'Nowhere/Town'"),
            ("dnsbld feed sessions --year x a", "invalid value 'x'"),
            ("dnsbld completions ksh", "invalid value 'ksh'"),
            ("dnsbld sreve --config a", "unrecognized subcommand"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
