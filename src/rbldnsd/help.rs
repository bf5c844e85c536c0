//! What `-h` prints.

use std::io::{self, Write};

use crate::dataset::Kind;

/// Each option with what it does.
const OPTIONS: [(&str, &str); 24] = [
    ("-u user[:group]", "run as this user (rbldns, when started by root); never as root"),
    ("-r directory", "chroot into this directory; files below are named as seen from there"),
    ("-w directory", "working directory, where the zone files are"),
    ("-b address[/port]", "listen here, UDP and TCP (required, up to 20 times)"),
    ("-4", "take IPv4 addresses of host names only"),
    ("-6", "take IPv6 addresses of host names only"),
    ("-t def[:min[:max]]", "default TTL (35m), and bounds for TTLs out of the files"),
    ("-c time", "look for changed files so often (1m); 0 for on SIGHUP only"),
    ("-e", "accept prefixes with host bits set, as 127.0.0.1/8, and mask them"),
    ("-q", "quick start: load in the background, go on after load errors"),
    ("-p file", "write the process id to this file"),
    ("-l [+]file", "log each answer (+ writes each line at once; - is standard output)"),
    ("-s [+]file", "write a line of statistics at each check (+ for differences)"),
    ("-n", "stay in the foreground"),
    ("-F facility", "facility for syslog (daemon)"),
    ("-f", "accepted; queries are always answered during a reload"),
    ("-d", "write all zones to standard output as master files, and end"),
    ("-v", "do not tell the version (version.bind); -vv refuses the question"),
    ("-C", "do not unpack compressed files"),
    ("-A", "add name servers to every positive answer (default)"),
    ("-a", "add them only where they are asked for"),
    ("-x library, -X argument", "refused: extensions are made for rbldnsd itself"),
    ("-h", "this text"),
    ("--print-config", "print the same set-up as a dnsbld.toml, and end"),
];

/// Write it. Errors: the output can not be written.
pub fn write(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "rbldnsd: dnsbld {} under rbldnsd's command line", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "Usage: rbldnsd options zone:type:file,file... ...")?;
    for (option, meaning) in OPTIONS {
        writeln!(out, " {option} - {meaning}")?;
    }
    writeln!(out, "A zone named several times unites its datasets. Types:")?;
    let types: Vec<&str> = Kind::ALL.iter().map(|(_, name)| *name).collect();
    writeln!(out, " {}", types.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_a_line() {
        let mut text = Vec::new();
        write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for letter in "urwb46tcneqplsnFfdvCAaxh".chars() {
            assert!(text.lines().any(|line| line.starts_with(&format!(" -{letter} "))), "-{letter}: {text}");
        }
    }
}
