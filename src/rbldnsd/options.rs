//! rbldnsd's command line (rbldnsd.8, OPTIONS): letters, their arguments, what they mean.
//!
//! Letters may be run together, an argument may stand apart or follow its letter, and zones may stand before options,
//! as with getopt(3) of glibc, by which rbldnsd reads. Zones are read later, once addresses are bound: who has both
//! wrong hears of them in that order.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Letters that stand alone.
const FLAGS: &[u8] = b"46AaCdefhnqv";
/// Letters that take an argument.
const WITH_ARGUMENT: &[u8] = b"bcFlprstuwXx";
/// The one long option, which rbldnsd has not.
const PRINT_CONFIG: &str = "--print-config";
/// Addresses at most, `-b` counted once for each option.
const LISTEN_MAX: usize = 20;
/// TTL of what has none of its own, s (`-t`).
const TTL_DEFAULT: u32 = 2_100;
/// Greatest TTL (RFC 2181 section 8), s.
const TTL_MAX: u32 = i32::MAX as u32;
/// Time between two looks at the files unless told otherwise, s (`-c`).
const CHECK_DEFAULT: u32 = 60;
/// Syslog facilities with their numbers (RFC 3164 section 4.1.1).
const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Which addresses a host name may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `-4`.
    V4,
    /// `-6`.
    V6,
}

/// `-t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// TTL of what has none of its own, s.
    pub default: u32,
    /// Lower bound, s; 0 for none.
    pub min: u32,
    /// Upper bound, s.
    pub max: u32,
}

/// A file that is written to, as its option names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name without the sign.
    pub path: PathBuf,
    /// A plus sign stood before it.
    pub plus: bool,
}

impl Target {
    /// Read `[+]file`.
    fn parse(text: &[u8]) -> Self {
        let (plus, path) = text.strip_prefix(b"+").map_or((false, text), |path| (true, path));
        Self { path: PathBuf::from(OsStr::from_bytes(path)), plus }
    }
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `-u`: user and group to become.
    pub user: Option<String>,
    /// `-r`: directory to be locked into.
    pub root: Option<PathBuf>,
    /// `-w`: working directory, inside that.
    pub workdir: Option<PathBuf>,
    /// `-b`: where to listen.
    pub listen: Vec<String>,
    /// `-4`, `-6`.
    pub family: Option<Family>,
    /// `-t`.
    pub ttl: Ttl,
    /// `-c`: time between two looks at the files, s; 0 for none.
    pub check_s: u32,
    /// `-e`: mask host bits instead of refusing the line.
    pub mask_host_bits: bool,
    /// `-q`: quiet start; load errors are not fatal.
    pub quick: bool,
    /// `-p`: file for the process id.
    pub pid_file: Option<PathBuf>,
    /// `-l`: query log; a plus sign writes each line at once.
    pub query_log: Option<Target>,
    /// `-s`: statistics; a plus sign writes differences.
    pub statistics: Option<Target>,
    /// `-n`: stay in the foreground.
    pub foreground: bool,
    /// `-d`: write the zones out and end.
    pub dump: bool,
    /// `-v`: how often.
    pub discretion: u8,
    /// `-C`: take files as they are, compressed or not.
    pub no_gzip: bool,
    /// `-a`: no authority section where nobody asked for it.
    pub minimal: bool,
    /// `-F`: syslog facility.
    pub facility: u8,
    /// `--print-config`: write the settings out and end.
    pub print_config: bool,
    /// The zones, not yet read.
    pub specs: Vec<OsString>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user: None,
            root: None,
            workdir: None,
            listen: Vec::new(),
            family: None,
            ttl: Ttl { default: TTL_DEFAULT, min: 0, max: TTL_MAX },
            check_s: CHECK_DEFAULT,
            mask_host_bits: false,
            quick: false,
            pid_file: None,
            query_log: None,
            statistics: None,
            foreground: false,
            dump: false,
            discretion: 0,
            no_gzip: false,
            minimal: false,
            facility: 3,
            print_config: false,
            specs: Vec::new(),
        }
    }
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `-h`.
    Help,
    /// Nothing at all: help, and exit code 1.
    Nothing,
    /// To serve, to dump or to print.
    Run(Box<Options>),
}

/// Read a command line without the program's name. The error is what rbldnsd says, without its name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    let mut args = args.into_iter().map(OsString::into_vec).peekable();
    if args.peek().is_none() {
        return Ok(Asked::Nothing);
    }
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        if arg == b"--" {
            options.specs.extend(args.map(OsString::from_vec));
            break;
        }
        if arg == PRINT_CONFIG.as_bytes() {
            options.print_config = true;
            continue;
        }
        let Some(mut letters) = arg.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else {
            options.specs.push(OsString::from_vec(arg));
            continue;
        };
        while let Some((&letter, rest)) = letters.split_first() {
            letters = rest;
            if FLAGS.contains(&letter) {
                if letter == b'h' {
                    return Ok(Asked::Help);
                }
                options.flag(letter);
            } else if WITH_ARGUMENT.contains(&letter) {
                let argument = if rest.is_empty() { args.next() } else { Some(rest.to_vec()) };
                let Some(argument) = argument else {
                    return Err(wrong(format!("option requires an argument -- '{}'", letter as char)));
                };
                options.argument(letter, &argument)?;
                break;
            } else {
                return Err(wrong(format!("invalid option -- '{}'", letter as char)));
            }
        }
    }
    if options.specs.is_empty() {
        return Err("no zone(s) to service specified (-h for help)".to_owned());
    }
    Ok(Asked::Run(Box::new(options)))
}

/// What is wrong with the line itself, and where to read on.
fn wrong(what: String) -> String {
    format!("{what}\nrbldnsd: type `rbldnsd -h' for help")
}

impl Options {
    /// Take a letter that stands alone.
    fn flag(&mut self, letter: u8) {
        match letter {
            b'4' => self.family = Some(Family::V4),
            b'6' => self.family = Some(Family::V6),
            b'A' => self.minimal = false,
            b'a' => self.minimal = true,
            b'C' => self.no_gzip = true,
            b'd' => self.dump = true,
            b'e' => self.mask_host_bits = true,
            b'n' => self.foreground = true,
            b'q' => self.quick = true,
            b'v' => self.discretion = self.discretion.saturating_add(1),
            // `-f` asks to be served during a reload, which is always so.
            _ => {}
        }
    }

    /// Take a letter with its argument.
    fn argument(&mut self, letter: u8, argument: &[u8]) -> Result<(), String> {
        let path = || PathBuf::from(OsStr::from_bytes(argument));
        let text = String::from_utf8_lossy(argument);
        match letter {
            b'b' if self.listen.len() == LISTEN_MAX => {
                return Err(format!("too many addresses to listen on ({LISTEN_MAX} max)"));
            }
            b'b' => self.listen.push(text.into_owned()),
            b'c' => {
                self.check_s = seconds(&text)
                    .filter(|&s| i32::try_from(s).is_ok())
                    .ok_or_else(|| format!("invalid check interval (-c) value `{text}'"))?;
            }
            b'F' => {
                let known = FACILITIES.iter().find(|(name, _)| *name == text);
                self.facility = known.ok_or_else(|| format!("log facility {text} is not valid"))?.1;
            }
            b'l' => self.query_log = Some(Target::parse(argument)).filter(|target| !target.path.as_os_str().is_empty()),
            b'p' => self.pid_file = Some(path()),
            b'r' => self.root = Some(path()),
            b's' => {
                self.statistics = Some(Target::parse(argument)).filter(|target| !target.path.as_os_str().is_empty());
            }
            b't' => self.ttl = ttl(&text)?,
            b'u' => self.user = Some(text.into_owned()),
            b'w' => self.workdir = Some(path()),
            _ => {
                return Err(format!(
                    "-{} {text}: extension support is not there: extensions are C libraries made for rbldnsd itself",
                    letter as char
                ));
            }
        }
        Ok(())
    }
}

/// A number with an optional unit, in seconds.
fn seconds(text: &str) -> Option<u32> {
    let text = text.trim_end_matches([' ', '\t']);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor)
}

/// `default[:min[:max]]`, each of which may be left out.
///
/// rbldnsd compares its own default with the bounds too, and so refuses the examples of its manual (`-t ::2m`); here
/// a default that nobody wrote is moved between them.
fn ttl(text: &str) -> Result<Ttl, String> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(format!("invalid value for -t (ttl) option: `{text}'"));
    }
    let part = |number: usize, name: &str| match parts.get(number).copied() {
        None => Ok(None),
        Some("") if parts.len() > 1 => Ok(None),
        // Zero is no default, but as a bound it means none.
        Some(part) => match seconds(part).filter(|&s| s > 0 || number > 0) {
            Some(s) => Ok(Some(s)),
            None => Err(format!("invalid {name} (-t) value `{text}'")),
        },
    };
    let given = part(0, "ttl")?;
    let min = part(1, "minttl")?.unwrap_or(0);
    let bound = part(2, "maxttl")?.filter(|&max| max > 0);
    let max = bound.unwrap_or(TTL_MAX);
    if min > max || given.is_some_and(|given| given < min || bound.is_some_and(|bound| given > bound)) {
        let default = given.unwrap_or(TTL_DEFAULT);
        return Err(format!("inconsistent def:min:max ttl: {default}:{min}:{}", bound.unwrap_or(0)));
    }
    let min = min.min(TTL_MAX);
    let max = max.min(TTL_MAX);
    Ok(Ttl { default: given.unwrap_or(TTL_DEFAULT).clamp(min, max), min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read a line of words.
    fn read(line: &str) -> Result<Options, String> {
        match parse(line.split(' ').map(OsString::from))? {
            Asked::Run(options) => Ok(*options),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn letters_and_arguments() {
        let base = Options { specs: vec!["z:ip4set:f".into()], ..Options::default() };
        let table = [
            ("z:ip4set:f", base.clone()),
            ("-n -q z:ip4set:f", Options { foreground: true, quick: true, ..base.clone() }),
            ("-nq z:ip4set:f", Options { foreground: true, quick: true, ..base.clone() }),
            ("z:ip4set:f -n", Options { foreground: true, ..base.clone() }),
            ("-nbhost/53 z:ip4set:f", Options { foreground: true, listen: vec!["host/53".into()], ..base.clone() }),
            ("-b a -b b -- z:ip4set:f", Options { listen: vec!["a".into(), "b".into()], ..base.clone() }),
            ("-4 -6 -A -a -f z:ip4set:f", Options { family: Some(Family::V6), minimal: true, ..base.clone() }),
            ("-a -A z:ip4set:f", base.clone()),
            ("-vvv -e -C z:ip4set:f", Options { discretion: 3, mask_host_bits: true, no_gzip: true, ..base.clone() }),
            (
                "-l +a -s b z:ip4set:f",
                Options {
                    query_log: Some(Target { path: "a".into(), plus: true }),
                    statistics: Some(Target { path: "b".into(), plus: false }),
                    ..base.clone()
                },
            ),
            ("-l + z:ip4set:f", base.clone()),
            ("-c 5M -F local7 z:ip4set:f", Options { check_s: 300, facility: 23, ..base.clone() }),
            (
                "-c0 -d --print-config z:ip4set:f",
                Options { check_s: 0, dump: true, print_config: true, ..base.clone() },
            ),
            (
                "-u a:b -r r -w w -p p z:ip4set:f",
                Options {
                    user: Some("a:b".into()),
                    root: Some("r".into()),
                    workdir: Some("w".into()),
                    pid_file: Some("p".into()),
                    ..base.clone()
                },
            ),
        ];
        for (line, expected) in table {
            assert_eq!(read(line), Ok(expected), "{line}");
        }
        assert_eq!(parse([]), Ok(Asked::Nothing));
        assert_eq!(parse(["-nh".into()]), Ok(Asked::Help));
    }

    #[test]
    fn wrong_lines() {
        for (line, expected) in [
            ("-n", "no zone(s) to service specified (-h for help)"),
            ("-Z -h", "invalid option -- 'Z'\nrbldnsd: type `rbldnsd -h' for help"),
            ("--help", "invalid option -- '-'\nrbldnsd: type `rbldnsd -h' for help"),
            ("-n -b", "option requires an argument -- 'b'\nrbldnsd: type `rbldnsd -h' for help"),
            ("-c bogus z", "invalid check interval (-c) value `bogus'"),
            ("-c -5 z", "invalid check interval (-c) value `-5'"),
            ("-c 1m2 z", "invalid check interval (-c) value `1m2'"),
            ("-c 99999999999 z", "invalid check interval (-c) value `99999999999'"),
            ("-F LOCAL0 z", "log facility LOCAL0 is not valid"),
            (
                "-x a.so z",
                "-x a.so: extension support is not there: extensions are C libraries made for rbldnsd itself",
            ),
        ] {
            assert_eq!(read(line), Err(expected.into()), "{line}");
        }
        let many = "-b a ".repeat(21) + "z";
        assert_eq!(read(&many), Err("too many addresses to listen on (20 max)".into()));
    }

    #[test]
    fn ttls() {
        let ttl_of = |default, min, max| Ok(Ttl { default, min, max });
        for (text, expected) in [
            ("30", ttl_of(30, 0, TTL_MAX)),
            ("1w", ttl_of(604_800, 0, TTL_MAX)),
            ("::2m", ttl_of(120, 0, 120)),
            ("::120", ttl_of(120, 0, 120)),
            ("::1h", ttl_of(2_100, 0, 3_600)),
            (":1h:", ttl_of(3_600, 3_600, TTL_MAX)),
            ("600:300:3600", ttl_of(600, 300, 3_600)),
            ("5s:5s:5s", ttl_of(5, 5, 5)),
            (":0:0", ttl_of(2_100, 0, TTL_MAX)),
            ("5::", ttl_of(5, 0, TTL_MAX)),
            ("4294967295", ttl_of(TTL_MAX, 0, TTL_MAX)),
            ("10:20:5", Err("inconsistent def:min:max ttl: 10:20:5")),
            ("10m:20m", Err("inconsistent def:min:max ttl: 600:1200:0")),
            ("1:2:3:4", Err("invalid value for -t (ttl) option: `1:2:3:4'")),
            ("", Err("invalid ttl (-t) value `'")),
            ("0", Err("invalid ttl (-t) value `0'")),
            ("+5", Err("invalid ttl (-t) value `+5'")),
            ("4294967296", Err("invalid ttl (-t) value `4294967296'")),
            ("5:x", Err("invalid minttl (-t) value `5:x'")),
        ] {
            assert_eq!(ttl(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
