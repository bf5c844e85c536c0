//! The neighbour rule: may a bounce be sent to this sender?
//!
//! A bounce to a forged sender is backscatter, so it may be sent only where the domain of the envelope sender vouches for the client that
//! brought the message: its SPF policy passes, or it has no policy at all and the client is a neighbour of its servers, that
//! is, in the same /24 as an address of the domain or of one of its MX hosts. Whatever is not certain ends without a bounce.
//!
//! | module | what |
//! | --- | --- |
//! | [`lookup`] | look-ups that tell nothing from failure |
//! | [`spf`], [`syntax`] | SPF by a library, and its audit |
//! | [`evidence`] | the records that an answer rests on |
//! | [`talk`] | questions and answers of Postfix and Exim |
//! | [`service`] | the socket on which they are asked |

pub mod evidence;
pub mod lookup;
pub mod service;
pub mod spf;
pub mod syntax;
pub mod talk;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use evidence::Evidence;
use lookup::{Found, MX_HOSTS_MAX, Mx, ResolverOptions};
use spf::Spf;

/// Octets of an address that is asked about (RFC 5321 section 4.5.3.1.3 allows 254 and brackets).
const ADDRESS_OCTETS_MAX: usize = 320;
/// Octets of a HELO name that is looked at; a name has no more.
const HELO_OCTETS_MAX: usize = 255;

/// How the rule is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationOptions {
    /// Where names are looked up.
    pub resolver: ResolverOptions,
    /// Bits that make an IPv6 client a neighbour.
    pub ipv6_prefix: u8,
    /// How long one answer may take in all.
    pub time_max: Duration,
    /// Questions worked on at once; further ones wait, within their time.
    pub questions_max: usize,
}

/// Bits that make an IPv4 client a neighbour. Mail servers of one operator usually stand in one such block.
const IPV4_PREFIX: u8 = 24;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The client that brought the message.
    pub ip: IpAddr,
    /// What it calls itself.
    pub helo: String,
    /// The envelope sender, without angle brackets, or its domain alone.
    pub from: String,
}

/// The answer's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// SPF passes: bounce.
    BounceOkSpf,
    /// No SPF policy, and the client is a neighbour: bounce.
    BounceOkNeighbour,
    /// There is a policy, and it does not pass.
    NoSpfFail,
    /// Neither policy nor neighbour, or nobody to bounce to.
    NoRelation,
    /// It could not be found out.
    Unknown,
}

impl Word {
    /// Every word, in the order of the metrics.
    pub const ALL: [Self; 5] =
        [Self::BounceOkSpf, Self::BounceOkNeighbour, Self::NoSpfFail, Self::NoRelation, Self::Unknown];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::BounceOkSpf => "bounce_ok_spf",
            Self::BounceOkNeighbour => "bounce_ok_neighbour",
            Self::NoSpfFail => "no_spf_fail",
            Self::NoRelation => "no_relation",
            Self::Unknown => "unknown",
        }
    }

    /// May a bounce be sent?
    pub fn bounce(self) -> bool {
        matches!(self, Self::BounceOkSpf | Self::BounceOkNeighbour)
    }
}

/// An answer, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The word.
    pub word: Word,
    /// The domain of the sender, where there is one.
    pub domain: Option<String>,
    /// What SPF says, where it was asked.
    pub spf: Option<Spf>,
    /// Why, in a sentence.
    pub why: String,
    /// The records it rests on.
    pub records: Vec<String>,
}

/// Answers, by their words.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Word::ALL.len()]);

impl Counts {
    /// Count an answer.
    fn count(&self, word: Word) {
        self.0[word as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers had this word.
    pub fn of(&self, word: Word) -> u64 {
        self.0[word as usize].load(Ordering::Relaxed)
    }
}

/// Applies the rule. Cheap to ask from many places at once.
pub struct Relation {
    /// How.
    options: RelationOptions,
    /// Look-ups.
    resolver: TokioResolver,
    /// Places for questions.
    places: Arc<Semaphore>,
    /// What was answered.
    counts: Counts,
}

impl std::fmt::Debug for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relation").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Relation {
    /// The rule with these options; wants to be called within a tokio runtime. Errors: there is no resolver to ask.
    pub fn new(options: RelationOptions) -> Result<Self, String> {
        let resolver = lookup::resolver(&options.resolver)?;
        let places = Arc::new(Semaphore::new(options.questions_max));
        Ok(Self { options, resolver, places, counts: Counts::default() })
    }

    /// What was answered so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Answer a question. It takes at most the options' time, and ends as `unknown` then.
    pub async fn ask(&self, question: &Question) -> Answer {
        let answered = timeout(self.options.time_max, async {
            let _place = self.places.acquire().await;
            self.decide(question).await
        });
        let answer = answered.await.unwrap_or_else(|_| {
            let why = format!("look-ups took longer than {} s", self.options.time_max.as_secs_f32());
            Answer {
                word: Word::Unknown,
                domain: sender_domain(&question.from).ok(),
                spf: None,
                why,
                records: Vec::new(),
            }
        });
        self.counts.count(answer.word);
        answer
    }

    /// The SPF and DMARC policies of a domain, each as its text; empty where there is none, `None` where that can not be found out.
    pub async fn policies(&self, domain: &str) -> (Option<String>, Option<String>) {
        let policy = async |name: String, version: &str| match lookup::texts(&self.resolver, &name).await {
            Found::Some(texts) => {
                let mut texts = texts.iter().map(|text| String::from_utf8_lossy(text));
                let found =
                    texts.find(|text| text.get(..version.len()).is_some_and(|head| head.eq_ignore_ascii_case(version)));
                Some(found.map(|text| text.chars().filter(|c| !c.is_control()).collect()).unwrap_or_default())
            }
            Found::Void { .. } => Some(String::new()),
            Found::Failed(_) => None,
        };
        let both = async {
            (policy(format!("{domain}."), "v=spf1").await, policy(format!("_dmarc.{domain}."), "v=DMARC1").await)
        };
        timeout(self.options.time_max, both).await.unwrap_or_default()
    }

    /// The rule itself.
    async fn decide(&self, question: &Question) -> Answer {
        let ip = question.ip.to_canonical();
        let mut evidence = Evidence::default();
        let answer = |word, domain: Option<&str>, spf, why: String, evidence: Evidence| Answer {
            word,
            domain: domain.map(str::to_owned),
            spf,
            why,
            records: evidence.into_lines(),
        };
        let domain = match sender_domain(&question.from) {
            Ok(domain) => domain,
            Err(why) => return answer(Word::NoRelation, None, None, why.to_owned(), evidence),
        };
        let fqdn = format!("{domain}.");
        let policies = match lookup::texts(&self.resolver, &fqdn).await {
            Found::Some(texts) => {
                let policies = spf::records(&texts);
                policies.iter().for_each(|policy| evidence.text(&fqdn, policy));
                policies.len()
            }
            Found::Void { no_name: true } => {
                let why = format!("{domain} does not exist");
                return answer(Word::NoRelation, Some(&domain), None, why, evidence);
            }
            Found::Void { no_name: false } => 0,
            Found::Failed(failure) => {
                let why = format!("the SPF policy of {domain} can not be looked up: {failure}");
                return answer(Word::Unknown, Some(&domain), Some(Spf::Temperror), why, evidence);
            }
        };
        if policies == 0 {
            let (word, why) = self.neighbour(ip, &domain, &mut evidence).await;
            return answer(word, Some(&domain), Some(Spf::None), why, evidence);
        }
        let helo: String = question.helo.chars().take(HELO_OCTETS_MAX).collect();
        // A sender without local part is checked as postmaster (RFC 7208 section 2.4).
        let sender = match question.from.rfind('@') {
            Some(at) if at > 0 => format!("{}@{domain}", &question.from[..at]),
            _ => format!("postmaster@{domain}"),
        };
        let checked = spf::check(&self.resolver, ip, &helo, &sender, &mut evidence).await;
        let word = match checked.result {
            Spf::Pass => Word::BounceOkSpf,
            Spf::Temperror => Word::Unknown,
            Spf::None | Spf::Neutral | Spf::Fail | Spf::Softfail | Spf::Permerror => Word::NoSpfFail,
        };
        let mut why = format!("SPF of {domain} says {} for {ip}", checked.result.word());
        if let Some(objection) = checked.objection {
            why = format!("{why}: {objection}");
        }
        answer(word, Some(&domain), Some(checked.result), why, evidence)
    }

    /// Is the client a neighbour of the domain's servers?
    async fn neighbour(&self, ip: IpAddr, domain: &str, evidence: &mut Evidence) -> (Word, String) {
        let prefix = if ip.is_ipv4() { IPV4_PREFIX } else { self.options.ipv6_prefix };
        let fqdn = format!("{domain}.");
        let mut failure = None;
        let mut hosts = vec![fqdn.clone()];
        match lookup::exchangers(&self.resolver, &fqdn).await {
            Found::Some(found) => {
                if found.iter().all(|mx| mx.host == ".") {
                    evidence.record(&fqdn, "MX", "0 .");
                    return (Word::NoRelation, format!("{domain} takes no mail (RFC 7505)"));
                }
                for Mx { preference, host } in found.into_iter().take(MX_HOSTS_MAX) {
                    evidence.record(&fqdn, "MX", format_args!("{preference} {host}"));
                    if !hosts.contains(&host) {
                        hosts.push(host);
                    }
                }
            }
            Found::Void { .. } => {}
            Found::Failed(why) => failure = Some(format!("MX of {domain}: {why}")),
        }
        for host in &hosts {
            match lookup::addresses(&self.resolver, host, ip).await {
                Found::Some(found) => {
                    for address in found {
                        evidence.record(host, if address.is_ipv4() { "A" } else { "AAAA" }, address);
                        if same_block(ip, address, prefix) {
                            let why =
                                format!("{domain} has no SPF policy, and {ip} is in the /{prefix} of {host} {address}");
                            return (Word::BounceOkNeighbour, why);
                        }
                    }
                }
                Found::Void { .. } => {}
                Found::Failed(why) => failure = Some(format!("addresses of {host} {why}")),
            }
        }
        match failure {
            Some(failure) => (Word::Unknown, format!("a look-up failed: {failure}")),
            None => (
                Word::NoRelation,
                format!("{domain} has no SPF policy, and no server of it is in the /{prefix} of {ip}"),
            ),
        }
    }
}

/// The domain of a sender, in lower case and as it stands in the DNS. Errors: nobody is there to bounce to, and why.
fn sender_domain(from: &str) -> Result<String, &'static str> {
    let from = from.trim();
    if from.is_empty() || from == "<>" {
        return Err("the null sender gets no bounce (RFC 5321 section 4.5.5)");
    }
    if from.len() > ADDRESS_OCTETS_MAX {
        return Err("the sender is longer than an address may be");
    }
    let domain = from.rsplit_once('@').map_or(from, |(_, domain)| domain);
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.starts_with('[') {
        return Err("an address literal is no domain that could vouch for a client");
    }
    // To the form with A-labels (RFC 6531 section 3.7.3 leaves that to whoever looks up).
    let name =
        hickory_resolver::proto::rr::Name::from_utf8(domain).map_err(|_| "the sender's domain is no domain name")?;
    let ascii = name.to_lowercase().to_ascii();
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if name.num_labels() < 2 || !ascii.bytes().all(plain) {
        return Err("the sender's domain is no domain name that mail could go to");
    }
    Ok(ascii.to_owned())
}

/// Are two addresses of one family in the same block of `prefix` bits?
fn same_block(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= prefix.into(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= prefix.into(),
        _ => false,
    }
}
