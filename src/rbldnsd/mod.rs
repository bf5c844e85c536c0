//! rbldnsd's command line in front of this server, so that it can stand in for rbldnsd without a change.
//!
//! A second front door, not a second server: loader, answers and listeners are those of `dnsbld serve`. What differs
//! is what rbldnsd's users know: options, words, exit codes, signals, the query log, the statistics file. No SOA or NS
//! is made up, ANY is answered in full, no guard refuses new data; the last good data stay in service all the same.
//!
//! - `options`, `specs`, `sockets`: the command line, its zones, its addresses.
//! - `process`: daemon, pid file, chroot, user. `text`: where words go. `told`: what the loader says.
//! - `run`: the wiring. `dump`: `-d`. `queries` and `statistics`: the two files.
//! - `print_config`: the same set-up as settings. `help`: `-h`.

mod dump;
mod help;
mod options;
mod print_config;
mod process;
mod queries;
mod run;
mod sockets;
mod specs;
mod statistics;
mod text;
mod told;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use options::Asked;

/// The name that makes the program take this command line.
pub const NAME: &str = text::NAME;

/// Do what a command line, without the program's name, asks for.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (done, success) = match options::parse(args) {
        Ok(Asked::Help) => (told(help::write), ExitCode::SUCCESS),
        Ok(Asked::Nothing) => (told(help::write), ExitCode::FAILURE),
        Ok(Asked::Run(options)) if options.print_config => {
            let print = |text: String| told(|out| out.write_all(text.as_bytes()));
            (print_config::settings(&options).and_then(print), ExitCode::SUCCESS)
        }
        Ok(Asked::Run(options)) if options.dump => (dump::dump(&options), ExitCode::SUCCESS),
        Ok(Asked::Run(options)) => return run::run(&options),
        Err(why) => (Err(why), ExitCode::FAILURE),
    };
    match done {
        Ok(()) => success,
        Err(why) => {
            // There is nobody left to tell that standard error is closed.
            let _ = writeln!(io::stderr(), "{NAME}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Write to standard output. The error is a sentence; a reader who has seen enough is none.
fn told(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}
