//! Zone specifications: `zone:type:file,file…`, any number, in any order.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::options::Options;
use crate::dataset::Kind;
use crate::wire::name::{NAME_LEN_MAX, Name, parse};
use crate::zonefile::{ReadOptions, Source};

/// A zone and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name, lower case.
    pub name: Name,
    /// Its datasets, in order, none twice.
    pub sources: Vec<Source>,
}

/// All that the command line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    /// The zones, in the order of their first mention.
    pub zones: Vec<Zone>,
    /// The access list for all of them.
    pub acl: Option<Source>,
    /// What the command line calls each dataset, `type:file,file`.
    pub titles: HashMap<Source, String>,
}

impl Zones {
    /// Read all specifications. The error is what rbldnsd says, without its name.
    pub fn parse(options: &Options) -> Result<Self, String> {
        let mut zones = Self::default();
        for spec in &options.specs {
            zones.add(spec.clone(), options)?;
        }
        let without_data = |zone: &&Zone| zone.sources.iter().all(|source| source.kind == Kind::Acl);
        match zones.zones.iter().find(without_data) {
            Some(zone) => Err(format!("missing data for zone `{}'", zone.name)),
            None => Ok(zones),
        }
    }

    /// Read one more.
    fn add(&mut self, spec: OsString, options: &Options) -> Result<(), String> {
        let shown = spec.to_string_lossy().into_owned();
        let spec = spec.into_vec();
        let (zone, data) = cut(&spec).ok_or_else(|| format!("invalid zone spec `{shown}'"))?;
        let data_shown = String::from_utf8_lossy(data).into_owned();
        let (kind, files) = cut(data).ok_or_else(|| format!("invalid zone data specification `{data_shown}'"))?;
        let kind = String::from_utf8_lossy(kind);
        let kind: Kind = kind.parse().map_err(|_| format!("unknown dataset type `{kind}'"))?;
        // Commas and colons part file names alike; nothing between two of them is no name.
        let files = files.split(|&octet| octet == b',' || octet == b':').filter(|file| !file.is_empty());
        let files: Vec<PathBuf> = files.map(|file| OsString::from_vec(file.to_vec()).into()).collect();
        if files.is_empty() {
            return Err(format!("missing filenames for {kind}"));
        }
        let name = zone_name(zone)?;
        let read = ReadOptions { mask_host_bits: options.mask_host_bits, gzip: !options.no_gzip };
        let source = Source { kind, files, options: read };
        self.titles.entry(source.clone()).or_insert(data_shown);
        let acl = kind == Kind::Acl;
        if name == Name::root() {
            return match acl {
                false => Err(format!("missing domain name in `{shown}'")),
                true if self.acl.replace(source).is_some() => Err("global acl specified more than once".to_owned()),
                true => Ok(()),
            };
        }
        match self.zones.iter_mut().find(|zone| zone.name == name) {
            Some(zone) if acl && zone.sources.iter().any(|known| known.kind == Kind::Acl) => {
                return Err(format!("repeated ACL definition for zone `{name}'"));
            }
            Some(zone) if zone.sources.contains(&source) => {}
            Some(zone) => zone.sources.push(source),
            None => self.zones.push(Zone { name, sources: vec![source] }),
        }
        Ok(())
    }
}

/// What stands before and after the first colon.
fn cut(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&octet| octet == b':')?;
    Some((&text[..at], &text[at + 1..]))
}

/// A zone's name; the root, or nothing, stands for all zones.
fn zone_name(text: &[u8]) -> Result<Name, String> {
    let mut wire = [0; NAME_LEN_MAX];
    let invalid = |_| format!("invalid domain name `{}'", String::from_utf8_lossy(text));
    let len = parse(text, &mut wire).map_err(invalid)?;
    Ok(Name::from_wire(&wire[..len]).to_lower())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zones with their types and files, as text.
    fn read(specs: &[&str]) -> Result<Vec<String>, String> {
        let options = Options { specs: specs.iter().map(OsString::from).collect(), ..Options::default() };
        let zones = Zones::parse(&options)?;
        let source = |source: &Source| {
            let files: Vec<String> = source.files.iter().map(|file| file.display().to_string()).collect();
            format!("{}:{}", source.kind, files.join(","))
        };
        let zone = |zone: &Zone| {
            let sources: Vec<String> = zone.sources.iter().map(source).collect();
            format!("{} {}", zone.name, sources.join(" "))
        };
        Ok(zones.zones.iter().map(zone).collect())
    }

    #[test]
    fn specifications() {
        let check = |specs: &[&str], expected: Result<&[&str], &str>| {
            let expected = expected.map(|zones| zones.iter().map(ToString::to_string).collect()).map_err(str::to_owned);
            assert_eq!(read(specs), expected, "{specs:?}");
        };
        check(&["x:ip4set:a"], Ok(&["x ip4set:a"]));
        check(&["X.Y.:ip4set:a,b:c,,d"], Ok(&["x.y ip4set:a,b,c,d"]));
        check(&["x:ip4set:a", "y:dnset:d", "X:dnset:d", "x:ip4set:a"], Ok(&["x ip4set:a dnset:d", "y dnset:d"]));
        check(&["A..b:ip4set:,a"], Ok(&["a.b ip4set:a"]));
        check(&["x:acl:c", "x:ip4set:a", ":acl:g"], Ok(&["x acl:c ip4set:a"]));
        check(&[":acl:g"], Ok(&[]));
        check(&[":acl:g", "x:ip4set:a", ":acl:h"], Err("global acl specified more than once"));
        check(&["x:acl:c", "x:acl:c", "x:ip4set:a"], Err("repeated ACL definition for zone `x'"));
        check(&["x:acl:c", "y:ip4set:a"], Err("missing data for zone `x'"));
        check(&["x"], Err("invalid zone spec `x'"));
        check(&["x:ip4set"], Err("invalid zone data specification `ip4set'"));
        check(&["x:foo:a"], Err("unknown dataset type `foo'"));
        check(&["x:IP4SET:a"], Err("unknown dataset type `IP4SET'"));
        check(&["x:ip4set:"], Err("missing filenames for ip4set"));
        check(&[".:ip4set:a"], Err("missing domain name in `.:ip4set:a'"));
        check(&[":ip4set:a"], Err("missing domain name in `:ip4set:a'"));
        let long = "a".repeat(70);
        check(&[&format!("{long}:ip4set:a")], Err(&format!("invalid domain name `{long}'")));
    }
}
