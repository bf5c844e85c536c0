//! The command line of `dnsbld top`.

use std::time::Duration;

/// More on `top`.
pub(super) const HELP: &str = "\
Reads /metrics of a running server, which must have [http] enabled, and asks it for nothing else. `q` or Ctrl-C ends it. Without a \
terminal, as in a pipe, plain text is printed each time; --once prints it once.

Examples:
  dnsbld top
  dnsbld top --url http://192.0.2.1:9353 --interval 5
  dnsbld top --once --interval 10 | mail -s dnsbld root

Exit codes:
  0  ended by the user; with --once: done
  1  no server answers there, or it is no dnsbld
  2  wrong usage";

/// Bounds of the interval: more often than ten times a second nobody reads; above an hour somebody has mixed up the unit.
const INTERVAL_S: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// Which server, and how often.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct TopArgs {
    /// The server: what its settings name as `listen` of section http
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9353")]
    pub url: String,
    /// Seconds between two looks
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    pub interval: Duration,
    /// Look twice, print what happened between, and end
    #[arg(long)]
    pub once: bool,
}

/// Reads a number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let found = text.parse::<f64>().ok().filter(|seconds| INTERVAL_S.contains(seconds));
    found
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("expected seconds from {} to {}", INTERVAL_S.start(), INTERVAL_S.end()))
}
