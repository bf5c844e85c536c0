//! Which answers may differ from rbldnsd's, and how: conditions for rows of the table in `differences.rs`.
//!
//! A difference is not a licence to be anything. Each one *rewrites* what rbldnsd answered into what must be
//! answered instead, under a precise condition; the observed answer must then equal the rewritten one. So an
//! unexplained difference fails, an explained one that is not made fails, and a difference that no question met
//! fails as well, because its reason has gone. [`ON_DATA`] holds for any zone and any question and is shared with
//! the comparison of real lists; `conformance.rs` adds a few that belong to single questions.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{ANY, Reply};

/// What an answer is compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Response code's name; `DROPPED` for silence.
    pub code: String,
    /// Data of the answer section, each once, sorted. In an expectation a `*` at the end stands for any rest.
    pub records: BTreeSet<String>,
    /// `TYPE=ttl` of each record set of answer and authority. In an expectation `TYPE=*` stands for any TTL.
    pub ttls: BTreeSet<String>,
    /// Types in the authority section.
    pub authority: BTreeSet<String>,
    /// Whether AA is set.
    pub aa: bool,
    /// Whether TC is set; then the records may be any part of the expected ones.
    pub tc: bool,
}

impl From<&Reply> for Answer {
    fn from(reply: &Reply) -> Self {
        let type_of = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let records = reply.answer.iter().chain(&reply.authority);
        Self {
            code: reply.code(),
            records: reply.answers(),
            ttls: records.map(|record| format!("{}={}", type_of(&record.text), record.ttl)).collect(),
            authority: reply.authority.iter().map(|record| type_of(&record.text)).collect(),
            aa: reply.aa(),
            tc: reply.tc(),
        }
    }
}

impl Answer {
    /// An answer of a code and nothing else.
    pub fn bare(code: &str) -> Self {
        let none = BTreeSet::new();
        Self { code: code.into(), records: none.clone(), ttls: none.clone(), authority: none, aa: false, tc: false }
    }

    /// Make it a NODATA or NXDOMAIN answer with the SOA that the zone would give.
    pub fn negative(&mut self, code: &str, facts: &Facts) {
        *self = Self { aa: true, ..Self::bare(code) };
        if facts.bare && !facts.soa {
            return;
        }
        self.authority.insert("SOA".into());
        self.ttls.insert(format!("SOA={}", facts.negative_ttl));
    }

    /// Whether it denies with authority: NXDOMAIN or NODATA.
    pub fn denies(&self) -> bool {
        self.aa && self.records.is_empty() && (self.code == "NOERROR" || self.code == "NXDOMAIN")
    }

    /// What an observed answer has against this expectation; nothing when it meets it.
    pub fn faults(&self, seen: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.code.split('|').any(|code| code == seen.code) {
            faults.push(format!("code {} instead of {}", seen.code, self.code));
        }
        if self.aa != seen.aa || self.tc != seen.tc {
            faults.push(format!("aa={} tc={} instead of aa={} tc={}", seen.aa, seen.tc, self.aa, self.tc));
        }
        set_faults("answer", &self.records, &seen.records, self.tc, &mut faults);
        if !self.tc {
            set_faults("TTL", &self.ttls, &seen.ttls, false, &mut faults);
            set_faults("authority", &self.authority, &seen.authority, false, &mut faults);
        }
        faults
    }
}

/// Compare two sets, `*` at the end of an expected item standing for any rest.
fn set_faults(what: &str, wanted: &BTreeSet<String>, seen: &BTreeSet<String>, part: bool, faults: &mut Vec<String>) {
    let meets = |wanted: &str, seen: &str| match wanted.strip_suffix('*') {
        Some(start) => seen.starts_with(start),
        None => wanted == seen,
    };
    for item in seen.iter().filter(|item| !wanted.iter().any(|wanted| meets(wanted, item))) {
        faults.push(format!("{what} `{item}` should not be there"));
    }
    for item in wanted.iter().filter(|item| !part && !seen.iter().any(|seen| meets(item, seen))) {
        faults.push(format!("{what} `{item}` is missing"));
    }
}

/// What the differences depend on, known of a zone from its text and settings.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Zone name in lower case.
    pub zone: String,
    /// Names relative to the zone at which IPv4 addresses are listed; the apex is empty.
    pub ip4: BTreeSet<String>,
    /// The same for IPv6 addresses.
    pub ip6: BTreeSet<String>,
    /// Names relative to the zone with something below them, in lower case.
    pub above: BTreeSet<String>,
    /// TTL of the SOA in a negative answer, s.
    pub negative_ttl: u32,
    /// Whether a SOA comes from the data.
    pub soa: bool,
    /// Whether name servers come from the data.
    pub ns: bool,
    /// Whether positive answers carry NS in authority.
    pub full: bool,
    /// Whether nothing is made up that the data lack: rbldnsd's command line.
    pub bare: bool,
}

impl Facts {
    /// The question's name relative to the zone, in lower case; nothing outside of it, or where there is no zone.
    pub fn relative(&self, qname: &str) -> Option<String> {
        if self.zone.is_empty() {
            return None;
        }
        let qname = qname.trim_end_matches('.').to_lowercase();
        if qname == self.zone {
            return Some(String::new());
        }
        qname.strip_suffix(&format!(".{}", self.zone)).map(str::to_owned)
    }
}

/// One question and what rbldnsd says to it.
pub struct Asked<'a> {
    /// The question's number in the table, or the list it was asked of.
    pub id: &'a str,
    /// Name asked for.
    pub qname: &'a str,
    /// Type asked for.
    pub qtype: u16,
    /// The query's octets, where they are not the plain ones.
    pub wire: Option<&'a [u8]>,
    /// The zone's facts.
    pub facts: &'a Facts,
    /// rbldnsd's answer.
    pub rbldnsd: &'a Answer,
}

/// A way in which answers differ from rbldnsd's on purpose.
pub struct Difference {
    /// Its row in the table of differences.
    pub name: &'static str,
    /// Why these answers belong to it.
    pub reason: &'static str,
    /// Turn rbldnsd's answer, as rewritten so far, into ours; false when it does not apply.
    pub rewrite: fn(&Asked<'_>, &mut Answer) -> bool,
}

/// The differences that any zone and question can meet, in the order in which they apply.
pub const ON_DATA: &[Difference] = &[
    Difference {
        name: "partial address",
        reason: "RFC 8020: a cached NXDOMAIN at 9.bl would hide a listing made a second later, so each well-formed \
                 partial address is NODATA (D-17)",
        rewrite: |asked, answer| {
            let Some(relative) = asked.facts.relative(asked.qname) else { return false };
            let partial = below(&asked.facts.ip4, &relative).any(partial_ip4)
                || below(&asked.facts.ip6, &relative).any(partial_ip6);
            if answer.code == "NXDOMAIN" && partial {
                answer.code = "NOERROR".into();
                return true;
            }
            false
        },
    },
    Difference {
        name: "empty non-terminal",
        reason: "RFC 8020 and RFC 4592: a name with a name below it exists, so it is NODATA and not NXDOMAIN (D-16)",
        rewrite: |asked, answer| {
            let Some(relative) = asked.facts.relative(asked.qname) else { return false };
            if answer.code == "NXDOMAIN" && asked.facts.above.contains(&relative) {
                answer.code = "NOERROR".into();
                return true;
            }
            false
        },
    },
    Difference {
        name: "negative TTL capped",
        reason: "RFC 2308 section 5: the negative TTL is the lesser of the SOA's TTL and its minimum",
        rewrite: |asked, answer| {
            let capped = format!("SOA={}", asked.facts.negative_ttl);
            if answer.denies() && answer.authority.contains("SOA") && !answer.ttls.contains(&capped) {
                answer.ttls = [capped].into();
                return true;
            }
            false
        },
    },
    Difference {
        name: "ordinary types of high number",
        reason: "RFC 3597 and RFC 8906: an unknown type is NODATA at a name that exists, never NOTIMP (D-6)",
        rewrite: |asked, answer| {
            if answer.code == "NOTIMP" && asked.qtype >= 256 && asked.wire.is_none() {
                answer.negative("NOERROR", asked.facts);
                return true;
            }
            false
        },
    },
];

/// The differences of zones whose data lack a SOA or name servers: the settings make them up, rbldnsd's command line does
/// not. They apply after the others.
pub const MADE_UP: &[Difference] = &[
    Difference {
        name: "made-up SOA in negative answers",
        reason: "RFC 2308: without a SOA a negative answer can not be cached (D-12); made of the settings where the \
                 data has none",
        rewrite: |asked, answer| {
            if answer.denies() && answer.authority.is_empty() {
                let code = answer.code.clone();
                answer.negative(&code, asked.facts);
                return true;
            }
            false
        },
    },
    Difference {
        name: "made-up NS in authority",
        reason: "a zone whose data has no $NS gets the settings' name servers, and full authority shows them",
        rewrite: |asked, answer| {
            let positive = answer.code == "NOERROR" && answer.aa && !answer.records.is_empty() && !answer.tc;
            if positive && asked.facts.full && !asked.facts.ns && answer.authority.is_empty() {
                answer.authority.insert("NS".into());
                answer.ttls.insert("NS=*".into());
                return true;
            }
            false
        },
    },
    Difference {
        name: "made-up apex records",
        reason: "an apex that refuses SOA and NS makes big resolvers SERVFAIL the zone; both are made of the settings \
                 (D-13)",
        rewrite: |asked, answer| {
            let (facts, at_apex) = (asked.facts, asked.facts.relative(asked.qname).as_deref() == Some(""));
            let kinds: &[&str] = match asked.qtype {
                2 => &["NS"],
                6 => &["SOA"],
                ANY => &["SOA", "NS"],
                _ => return false,
            };
            if !at_apex || answer.code != "REFUSED" || (facts.soa && facts.ns) {
                return false;
            }
            *answer = Answer { aa: true, ..Answer::bare("NOERROR") };
            for kind in kinds {
                answer.records.insert(format!("{kind} *"));
                answer.ttls.insert(format!("{kind}=*"));
            }
            if facts.full {
                answer.authority.insert("NS".into());
                answer.ttls.insert("NS=*".into());
            }
            true
        },
    },
];

/// What stands before a mount point in a name.
fn below<'a>(mounts: &'a BTreeSet<String>, relative: &'a str) -> impl Iterator<Item = &'a str> {
    mounts.iter().filter_map(move |mount| match mount.as_str() {
        "" => Some(relative),
        mount => relative.strip_suffix(mount)?.strip_suffix('.'),
    })
}

/// Whether a relative name is one to three octets of an IPv4 address.
pub fn partial_ip4(relative: &str) -> bool {
    let labels: Vec<&str> = relative.split('.').collect();
    let octet = |label: &&str| (1..=3).contains(&label.len()) && label.parse::<u8>().is_ok();
    !relative.is_empty() && labels.len() < 4 && labels.iter().all(octet)
}

/// Whether a relative name is one to 31 nibbles of an IPv6 address.
pub fn partial_ip6(relative: &str) -> bool {
    let labels: Vec<&str> = relative.split('.').collect();
    let nibble = |label: &&str| label.len() == 1 && label.bytes().all(|octet| octet.is_ascii_hexdigit());
    !relative.is_empty() && labels.len() < 32 && labels.iter().all(nibble)
}

/// What was compared and what came of it.
#[derive(Default)]
pub struct Tally {
    /// Questions compared.
    pub compared: usize,
    /// Questions that met a difference, by its name.
    pub hits: BTreeMap<&'static str, usize>,
    /// What went wrong, a paragraph each.
    pub faults: Vec<String>,
}

impl Tally {
    /// Rewrite rbldnsd's answer by the tables and compare.
    pub fn judge(&mut self, tables: &[&[Difference]], asked: &Asked<'_>, seen: &Answer) {
        let mut wanted = asked.rbldnsd.clone();
        let mut names = Vec::new();
        for difference in tables.iter().copied().flatten() {
            if (difference.rewrite)(asked, &mut wanted) {
                *self.hits.entry(difference.name).or_default() += 1;
                names.push(difference.name);
            }
        }
        self.compared += 1;
        let faults = wanted.faults(seen);
        if !faults.is_empty() {
            self.faults.push(format!(
                "{} {} {}: {}\n    rbldnsd  {:?}\n    wanted   {wanted:?}\n    observed {seen:?}\n    differences met: {names:?}",
                asked.id,
                asked.qname,
                crate::message::type_name(asked.qtype),
                faults.join("; "),
                asked.rbldnsd,
            ));
        }
    }

    /// Fail with everything found; `all` also when a difference of the tables was never met.
    pub fn finish(mut self, tables: &[&[Difference]], all: bool) {
        for difference in tables.iter().copied().flatten().filter(|_| all) {
            if !self.hits.contains_key(difference.name) {
                self.faults.push(format!("no question met `{}` ({})", difference.name, difference.reason));
            }
        }
        let total = self.faults.len();
        self.faults.truncate(40);
        assert!(total == 0, "{total} faults in {} comparisons:\n{}", self.compared, self.faults.join("\n"));
        assert!(self.compared > 0, "nothing was compared");
        println!("{} answers compared; on purpose differ: {:?}", self.compared, self.hits);
    }
}
