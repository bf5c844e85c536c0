//! `--print-config`: the same set-up as the settings of `dnsbld serve`.

use std::fmt::Write as _;
use std::path::Path;

use super::options::Options;
use super::run::version;
use super::sockets;
use super::specs::{Zone, Zones};
use crate::zonefile::Source;

/// What precedes everything.
const HEAD: &str = "\
# The set-up of an rbldnsd command line, for `dnsbld serve --config`.
#
# What differs: a zone whose files give no $SOA or $NS gets them made up, instead of REFUSED at its apex.
";

/// Write the settings that mean the same. The error is a sentence.
pub fn settings(options: &Options) -> Result<String, String> {
    let zones = Zones::parse(options)?;
    let listen = sockets::resolve(&options.listen, options.family)?;
    let base = base(options)?;
    let mut text = HEAD.to_owned();
    elsewhere(options, &mut text);
    text += "\n[dns]\n";
    let listen: Vec<String> = listen.iter().map(|wanted| quoted(&wanted.address.to_string())).collect();
    line(&mut text, "listen", &format!("[{}]", listen.join(", ")));
    line(&mut text, "authority", if options.minimal { "\"minimal\"" } else { "\"full\"" });
    line(&mut text, "any", "\"full\"");
    line(&mut text, "version", &quoted(&version(options.discretion).unwrap_or_default()));
    text += "\n[http]\n";
    line(&mut text, "enabled", "false");
    text += "\n[load]\n";
    match options.check_s {
        0 => {
            text += "# rbldnsd would never look by itself; this is the rarest there is. SIGHUP looks at once.\n";
            line(&mut text, "poll-s", "86400");
        }
        seconds => line(&mut text, "poll-s", &seconds.min(86_400).to_string()),
    }
    line(&mut text, "watch", "false");
    if let Some(source) = &zones.acl {
        text += "\n[acl]\n";
        line(&mut text, "files", &files(source, options, &base)?);
        line(&mut text, "mask-host-bits", &source.options.mask_host_bits.to_string());
        line(&mut text, "gzip", &source.options.gzip.to_string());
    }
    for zone in &zones.zones {
        write_zone(zone, options, &base, &mut text)?;
    }
    Ok(text)
}

/// Tell what is not a matter of settings: options for what starts the program.
fn elsewhere(options: &Options, text: &mut String) {
    let path = |path: &Path| path.display().to_string();
    for (option, value) in [
        ("-u", options.user.clone()),
        ("-p", options.pid_file.as_deref().map(path)),
        ("-l", options.query_log.as_ref().map(|target| path(&target.path))),
        ("-s", options.statistics.as_ref().map(|target| path(&target.path))),
    ] {
        if let Some(value) = value {
            let place = match option {
                "-u" => "a matter of what starts the program, as User= in a systemd unit",
                "-p" => "of no use to a service manager, which knows its processes",
                _ => "under rbldnsd's command line only; metrics are at [http]",
            };
            // Writing to a String can not fail.
            let _ = writeln!(text, "# {option} {value:?}: {place}.");
        }
    }
}

/// A key with its value.
fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The directory that file names are relative to.
fn base(options: &Options) -> Result<std::path::PathBuf, String> {
    let failed = |error| format!("the working directory is not known: {error}");
    let here = std::env::current_dir().map_err(failed)?;
    let work = options.workdir.as_deref();
    Ok(match (&options.root, work) {
        (Some(root), Some(work)) => here.join(root).join(work.strip_prefix("/").unwrap_or(work)),
        (Some(root), None) => here.join(root),
        (None, Some(work)) => here.join(work),
        (None, None) => here,
    })
}

/// The files of a dataset as a TOML array, named from the root of the file system. Errors: a name that settings can not have.
fn files(source: &Source, options: &Options, base: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    for file in &source.files {
        let whole = match &options.root {
            // Inside a chroot an absolute name begins there.
            Some(root) if file.is_absolute() => root.join(file.strip_prefix("/").unwrap_or(file)),
            _ => base.join(file),
        };
        let name = whole.to_str();
        files.push(quoted(
            name.ok_or_else(|| {
                format!("{}: the name is not UTF-8, as settings are; rename the file", whole.display())
            })?,
        ));
    }
    Ok(format!("[{}]", files.join(", ")))
}

/// One zone.
fn write_zone(zone: &Zone, options: &Options, base: &Path, text: &mut String) -> Result<(), String> {
    text.push_str("\n[[zone]]\n");
    line(text, "name", &quoted(&zone.name.to_string()));
    line(text, "ttl", &options.ttl.default.to_string());
    line(text, "ttl-min", &options.ttl.min.to_string());
    line(text, "ttl-max", &options.ttl.max.to_string());
    text.push_str("datasets = [\n");
    for source in &zone.sources {
        let files = files(source, options, base)?;
        let mask = if source.options.mask_host_bits { ", mask-host-bits = true" } else { "" };
        let gzip = if source.options.gzip { "" } else { ", gzip = false" };
        let _ = writeln!(text, "  {{ type = \"{}\", files = {files}{mask}{gzip} }},", source.kind);
    }
    text.push_str("]\n");
    line(
        text,
        "guard",
        "{ loopback = false, world = false, invalid-name = false, shrink-max = false, grow-max = false }",
    );
    Ok(())
}
