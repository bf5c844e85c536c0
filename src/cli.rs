//! The command line: one definition for parsing, help, completions and the man page.

mod feed;
mod top;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::dataset::Kind;
use crate::export::Format;

use feed::FEED_HELP;
pub use feed::{FeedCommand, LogArgs, ReplayArgs, StoreArgs};
pub use top::TopArgs;

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
listed, 127.0.0.1, ::FFFF:7F00:1 and the name `invalid` must not be; and cookie secrets, certificate \
and key must be such as `serve` takes.

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
    /// Show what a running server does: queries, busiest zones, listings and reloads as they happen
    #[command(after_long_help = top::HELP, after_help = EXIT_CODES)]
    Top(TopArgs),
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

/// What `check` looks at: settings with all their files, or the files of one dataset.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct CheckArgs {
    /// The settings; they and the files that they name are checked: zones, certificate, key, secrets and tokens
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

/// Reads an export format, and lists all formats in help and completions.
fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(|(_, name)| name)).try_map(|name| name.parse::<Format>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory as _;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::feed::Format as LogFormat;

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
            (
                "dnsbld top",
                Command::Top(TopArgs {
                    url: "http://127.0.0.1:9353".into(),
                    interval: Duration::from_secs(2),
                    once: false,
                }),
            ),
            (
                "dnsbld top --url http://[::1]:9353 --interval 0.5 --once",
                Command::Top(TopArgs {
                    url: "http://[::1]:9353".into(),
                    interval: Duration::from_millis(500),
                    once: true,
                }),
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
            ("dnsbld top --interval 0", "invalid value '0'"),
            ("dnsbld top --interval soon", "invalid value 'soon'"),
            ("dnsbld completions ksh", "invalid value 'ksh'"),
            ("dnsbld sreve --config a", "unrecognized subcommand"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
