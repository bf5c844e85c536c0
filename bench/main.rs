//! The figures of the server: load time, memory, look-up, wire to wire, streams and instruction counts, as one table.
//!
//! `cargo bench` runs everything at full size, `cargo bench -- --quick` the same at small sizes within seconds;
//! `bench/README.md` says what each figure means. The program runs itself again for what must be measured in a
//! fresh process (memory, load time) or under `valgrind` (instruction counts); those runs are told by a first
//! argument `child`. `maillog` writes a mail server's log, for `bench/feed-compare`. Under `cargo test` it is the guard of
//! instruction counts, see `guard.rs`.

mod cache;
mod counts;
mod dot;
mod feed;
mod guard;
mod lists;
mod load;
mod lookup;
mod maillog;
mod memory;
mod queries;
mod rbldnsd;
mod reload;
mod suite;
mod table;
mod timing;
mod versus;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use suite::{Sizes, Suite};
use table::Table;

/// What a run is asked to do.
#[derive(Debug)]
struct Options {
    /// Small sizes, targets not judged.
    quick: bool,
    /// Sections to run, all when empty.
    only: Vec<String>,
}

/// A section: measures and adds its rows.
type Section = fn(&Suite, &mut Table);

/// The sections in the order they run, with the function that fills the table.
const SECTIONS: [(&str, Section); 9] = [
    ("load", load::run),
    ("memory", memory::run),
    ("lookup", lookup::run),
    ("wire", wire::run),
    ("reload", reload::run),
    ("dot", dot::run),
    ("counts", counts::run),
    ("cache", cache::run),
    ("feed", feed::run),
];

/// Names the file that gets the table besides standard output.
const TABLE_FILE: &str = "DNSBLD_BENCH_TABLE";

/// What `--help` says.
const HELP: &str = "\
cargo bench [-- [--quick] [--only SECTION]...]

  --quick          small lists and few queries; targets are shown, not judged
  --only SECTION   load, memory, lookup, wire, reload, dot, counts, cache or feed; may be repeated

DNSBLD_BENCH_TABLE=FILE writes the table to FILE as well.

cargo bench -- maillog SERVER LINES FILE

  writes the log of SERVER, postfix or exim, into FILE, and prints how many sessions of each class it has
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("child") => return child(&args[1..]),
        Some("maillog") => return write_mail_log(&args[1..]),
        Some("compare") => return compare(&args[1..]),
        _ if args.iter().any(|arg| arg == "--help" || arg == "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        // `cargo bench` always adds this word; without it `cargo test` is at work, which may give filters.
        _ if !args.iter().any(|arg| arg == "--bench") => {
            let filters: Vec<String> = args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
            return if guard::run(&filters) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        _ => {}
    }
    let options = match parse(&args) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let suite = Suite::new(if options.quick { Sizes::QUICK } else { Sizes::FULL });
    let mut table = Table::new(!options.quick);
    table.note(&suite.describe());
    for (name, run) in SECTIONS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            table.section(name);
            run(&suite, &mut table);
        }
    }
    table.note(&format!("load average at the end: {}", suite::load_average()));
    let text = table.to_markdown();
    println!("\n{text}");
    if let Some(path) = std::env::var_os(TABLE_FILE)
        && let Err(error) = std::fs::write(&path, &text)
    {
        eprintln!("{}: {error}: the table could not be written there", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Read the command line of the outer run.
fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options { quick: false, only: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Cargo adds it to every bench target.
            "--bench" => {}
            "--quick" => options.quick = true,
            "--only" => match args.next() {
                Some(name) if SECTIONS.iter().any(|(section, _)| section == name) => options.only.push(name.clone()),
                _ => {
                    return Err(
                        "`--only` wants one of load, memory, lookup, wire, reload, dot, counts, cache and feed"
                            .to_owned(),
                    );
                }
            },
            other => return Err(format!("`{other}` is no option")),
        }
    }
    Ok(options)
}

/// Write a mail server's log into a file and print what is in it.
fn write_mail_log(args: &[String]) -> ExitCode {
    // Cargo adds `--bench` to every bench target.
    let args: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--bench").collect();
    let [server, lines, file] = args[..] else {
        eprintln!("`maillog` wants postfix or exim, a number of lines, and a file");
        return ExitCode::from(2);
    };
    let (Some(server), Ok(lines)) = (maillog::Server::parse(server), lines.parse()) else {
        eprintln!("`maillog` wants postfix or exim and a number of lines, not `{server}` and `{lines}`");
        return ExitCode::from(2);
    };
    if let Err(error) = maillog::write(server, lines, std::path::Path::new(file)) {
        eprintln!("{file}: {error}: the log could not be written there");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Compare with other servers; `bench/compare` gives these arguments.
fn compare(args: &[String]) -> ExitCode {
    let mut options = versus::Options { quick: false, out: PathBuf::new(), command: String::new(), cells: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().cloned();
        match arg.as_str() {
            // Cargo adds it to every bench target.
            "--bench" => {}
            "--quick" => options.quick = true,
            "--out" => options.out = value().map_or(options.out, PathBuf::from),
            "--command" => options.command = value().unwrap_or_default(),
            "--cell" => options.cells.extend(value()),
            other => {
                eprintln!("`{other}` is no option of the comparison");
                return ExitCode::from(2);
            }
        }
    }
    versus::run(&options);
    ExitCode::SUCCESS
}

/// Run one measurement for the outer run, which reads what is printed.
fn child(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["load", kind, file] => load::child(kind, file),
        ["memory", kind, file, warm] => memory::child(kind, file, warm),
        ["count", case, kind, file] => counts::child(case, kind, file),
        ["hickory-streams", certificate, key] => dot::child(certificate, key),
        _ if versus::child(&args) => {}
        _ => {
            eprintln!("`child` is for the bench program itself");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
