//! Parse the command line, run one operation, return an exit code.

use std::env;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use dnsbld::app::{self, Exit, Failure};
use dnsbld::cli::{Cli, Command};
use dnsbld::rbldnsd;

fn main() -> ExitCode {
    let mut args = env::args_os();
    let called = args.next();
    // The program may be installed under rbldnsd's name.
    if called.as_ref().and_then(|path| Path::new(path).file_name()).is_some_and(|name| name == rbldnsd::NAME) {
        return rbldnsd::main(args);
    }
    // Not locked: other threads may write there while `serve` runs.
    let mut out = io::BufWriter::new(io::stdout());
    let done = match Cli::parse().command {
        Command::Serve { config, self_signed } => app::serve(&config, self_signed),
        Command::Check(args) => app::check(&args, &mut out),
        Command::Query { subject, zone, config, json } => {
            app::query(&subject, zone.as_deref(), &config, json, &mut out)
        }
        Command::Rbldnsd { args } => return rbldnsd::main(args),
        Command::Export { config, zone, to } => app::export(&config, &zone, to, &mut out),
        Command::Feed { command } => app::feed(&command, &mut out),
        Command::Man { command } => app::man(command.as_deref(), &mut out),
        Command::Completions { shell } => app::completions(shell, &mut out),
    };
    match done.and_then(|exit| out.flush().map(|()| exit).map_err(Failure::from)) {
        Ok(exit) => exit.into(),
        // Whoever reads us has seen enough, as `head` does.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => {
            Exit::Done.into()
        }
        Err(error) => {
            // There is nobody left to tell that standard error is closed.
            let _ = writeln!(io::stderr(), "dnsbld: {error}");
            ExitCode::FAILURE
        }
    }
}
