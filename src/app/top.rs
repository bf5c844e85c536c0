//! `dnsbld top`: the command line as its options.

use std::io::Write;

use super::{Exit, Failure};
use crate::cli::TopArgs;
use crate::top::{self, TopError, TopOptions};

/// Show what a running server does. Errors: no dnsbld answers there, or the output can not be written.
pub fn run(args: &TopArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let options = TopOptions { url: args.url.clone(), interval: args.interval, once: args.once };
    // `main` knows a closed pipe by its own type.
    top::run(&options, out).map_err(|error| match error {
        TopError::Output(error) => Failure::from(error),
        error => error.into(),
    })?;
    Ok(Exit::Done)
}
