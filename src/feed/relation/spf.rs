//! SPF (RFC 7208): what a domain says about a client, by `mail-auth`, and what that library leaves out.
//!
//! `mail-auth` evaluates. It passes over terms that it does not know, counts no void look-ups, takes the first of two records where the RFC wants an
//! error, calls a domain without policy whose record it can not read when another TXT record follows, and believes an unchecked PTR in `%{p}`. So it is
//! given caches that only listen: they tell which names were asked and which look-ups found something. Afterwards
//! `audit` asks for the same names again, which the resolver still knows, and turns what must not pass into an error.
//! All of this can only make a result more careful.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hickory_resolver::TokioResolver;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{MessageAuthenticator, Parameters, ResolverCache, SpfResult};

use super::evidence::Evidence;
use super::lookup::{self, Found};
use super::syntax;

/// Void look-ups allowed (RFC 7208 section 4.6.4).
const VOID_LOOKUPS_MAX: usize = 2;
/// What an SPF record begins with (RFC 7208 section 4.5).
const VERSION: &[u8] = b"v=spf1";
/// The host that checks, for macros in explanations, which we do not use.
const CHECKING_HOST: &str = "localhost";

/// A result of RFC 7208 section 2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spf {
    /// The domain has no policy.
    None,
    /// The domain says nothing about this client.
    Neutral,
    /// The client may send for the domain.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    Softfail,
    /// A look-up failed; another time may tell.
    Temperror,
    /// The policy can not be understood, or goes beyond the limits.
    Permerror,
}

impl Spf {
    /// The RFC's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Softfail => "softfail",
            Self::Temperror => "temperror",
            Self::Permerror => "permerror",
        }
    }
}

impl From<SpfResult> for Spf {
    fn from(result: SpfResult) -> Self {
        match result {
            SpfResult::Pass => Self::Pass,
            SpfResult::Fail => Self::Fail,
            SpfResult::SoftFail => Self::Softfail,
            SpfResult::Neutral => Self::Neutral,
            SpfResult::TempError => Self::Temperror,
            SpfResult::PermError => Self::Permerror,
            SpfResult::None => Self::None,
        }
    }
}

/// A result, and why it is not what the policy's words alone would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The result.
    pub result: Spf,
    /// What the audit objected to.
    pub objection: Option<String>,
}

/// The SPF records among a name's texts: `v=spf1`, alone or before a blank.
pub fn records(texts: &[Vec<u8>]) -> Vec<&[u8]> {
    let is_record = |text: &&[u8]| {
        let head = text.get(..VERSION.len()).is_some_and(|head| head.eq_ignore_ascii_case(VERSION));
        head && text.get(VERSION.len()).is_none_or(|&next| next == b' ')
    };
    texts.iter().map(Vec::as_slice).filter(is_record).collect()
}

/// What `domain`, which has a policy, says about mail from `sender` by a client.
pub async fn check(resolver: &TokioResolver, ip: IpAddr, helo: &str, sender: &str, evidence: &mut Evidence) -> Checked {
    let asked = Arc::new(Asked::default());
    let evaluation = {
        let (authenticator, asked) = (MessageAuthenticator(resolver.clone()), Arc::clone(&asked));
        let (helo, sender) = (helo.to_owned(), sender.to_owned());
        // In a task of its own: records are written by strangers, and a defect of the reader must not become ours.
        tokio::spawn(async move {
            let caches = [Topic::Text, Topic::Mx, Topic::Ip4, Topic::Ip6]
                .map(|topic| Listener { topic, asked: Arc::clone(&asked) });
            let [text, mx, ip4, ip6] = &caches;
            let parameters = Parameters {
                params: SpfParameters::verify_mail_from(ip, &helo, CHECKING_HOST, &sender),
                cache_txt: Some(text),
                cache_mx: Some(mx),
                // Any of them does: PTR look-ups are not noted.
                cache_ptr: Some(text),
                cache_ipv4: Some(ip4),
                cache_ipv6: Some(ip6),
            };
            authenticator.check_host(parameters).await.result()
        })
    };
    let result = Abort(evaluation).wait().await;
    audit(resolver, ip, &asked, result, evidence).await
}

/// A task that ends with whoever waits for it.
struct Abort(tokio::task::JoinHandle<SpfResult>);

impl Abort {
    /// Wait for the task; one that died has no result.
    async fn wait(mut self) -> Spf {
        match (&mut self.0).await {
            Ok(result) => result.into(),
            Err(error) => {
                tracing::error!("an SPF record could not be evaluated: {error}");
                Spf::Temperror
            }
        }
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Look at what was asked, and object to what RFC 7208 does not allow.
async fn audit(resolver: &TokioResolver, ip: IpAddr, asked: &Asked, result: Spf, evidence: &mut Evidence) -> Checked {
    let asked = asked.take();
    let objection = |why: String| Checked { result: Spf::Permerror, objection: Some(why) };
    for name in &asked.texts {
        match lookup::texts(resolver, name).await {
            Found::Some(texts) => {
                let policies = records(&texts);
                policies.iter().for_each(|policy| evidence.text(name, policy));
                if policies.len() > 1 {
                    return objection(format!("{name} has {} SPF records (RFC 7208 section 4.5)", policies.len()));
                }
                for policy in &policies {
                    if let Err(why) = syntax::check(policy) {
                        return objection(format!("the policy of {name} is wrong: {why} (RFC 7208 section 4.6)"));
                    }
                }
                if policies.iter().any(|policy| uses_ptr_macro(policy)) {
                    return objection(format!("the policy of {name} rests on `%{{p}}`, an unchecked PTR"));
                }
            }
            Found::Void { .. } => {}
            Found::Failed(why) => return Checked { result: Spf::Temperror, objection: Some(why) },
        }
    }
    let mut void = asked.void(ip);
    for name in &asked.exists(ip) {
        let a = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        void += usize::from(matches!(lookup::addresses(resolver, name, a).await, Found::Void { .. }));
    }
    if void > VOID_LOOKUPS_MAX {
        return objection(format!(
            "{void} look-ups found nothing, more than {VOID_LOOKUPS_MAX} (RFC 7208 section 4.6.4)"
        ));
    }
    // The caller saw a policy, so "none" means one that can not be read.
    let result = if result == Spf::None { Spf::Permerror } else { result };
    Checked { result, objection: None }
}

/// Does a policy use the macro letter `p`?
fn uses_ptr_macro(policy: &[u8]) -> bool {
    policy.windows(3).any(|three| three.eq_ignore_ascii_case(b"%{p"))
}

/// What a cache is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    /// TXT.
    Text,
    /// MX.
    Mx,
    /// A.
    Ip4,
    /// AAAA.
    Ip6,
}

/// What an evaluation has asked for. It is bounded by the evaluation's own limits: 10 terms, 10 hosts for each.
#[derive(Debug, Default)]
struct Asked(Mutex<Names>);

impl Asked {
    /// The names, once the evaluation is over.
    fn take(&self) -> Names {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Names that were asked for, and those that had records.
#[derive(Debug, Default)]
struct Names {
    /// Names asked for TXT.
    texts: BTreeSet<String>,
    /// Names asked for anything else.
    others: BTreeSet<(Topic, String)>,
    /// Those of [`others`](Self::others) that had records.
    found: BTreeSet<(Topic, String)>,
}

impl Names {
    /// The names that `exists` asked for: it alone asks the cache of the other address family.
    fn exists(&self, ip: IpAddr) -> Vec<String> {
        let other = if ip.is_ipv4() { Topic::Ip6 } else { Topic::Ip4 };
        self.others.iter().filter(|(topic, _)| *topic == other).map(|(_, name)| name.clone()).collect()
    }

    /// Look-ups for MX and addresses that found nothing.
    fn void(&self, ip: IpAddr) -> usize {
        let exists = self.exists(ip);
        let (mx, own) = (Topic::Mx, if ip.is_ipv4() { Topic::Ip4 } else { Topic::Ip6 });
        self.others
            .iter()
            .filter(|(topic, name)| *topic == mx || (*topic == own && !exists.contains(name)))
            .filter(|asked| !self.found.contains(asked))
            .count()
    }
}

/// A cache that keeps nothing and only listens: the resolver has a cache of its own.
struct Listener {
    /// What it is asked for.
    topic: Topic,
    /// Where it notes that.
    asked: Arc<Asked>,
}

impl Listener {
    /// Note something; whether it is new does not matter.
    fn note(&self, note: impl FnOnce(&mut Names, Topic) -> bool) {
        let _new = note(&mut self.asked.0.lock().unwrap_or_else(PoisonError::into_inner), self.topic);
    }
}

impl<V> ResolverCache<Box<str>, V> for Listener {
    fn get<Q>(&self, name: &Q) -> Option<V>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let name = Spelled::of(name);
        self.note(|names, topic| match topic {
            Topic::Text => names.texts.insert(name),
            _ => names.others.insert((topic, name)),
        });
        None
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, name: Box<str>, _: V, _: Instant) {
        self.note(|names, topic| names.found.insert((topic, name.into())));
    }
}

/// PTR look-ups are bounded by the ten terms and void ones are not counted apart: the client's PTR is no work of the policy's author.
impl<V> ResolverCache<IpAddr, V> for Listener {
    fn get<Q>(&self, _: &Q) -> Option<V>
    where
        IpAddr: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        IpAddr: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: IpAddr, _: V, _: Instant) {}
}

/// Reads a key of which only its hash can be taken: text hashes as its octets and a 0xff that no UTF-8 has.
#[derive(Default)]
struct Spelled(Vec<u8>);

impl Spelled {
    /// The text of a key that is text.
    fn of(key: &(impl Hash + ?Sized)) -> String {
        let mut spelled = Self::default();
        key.hash(&mut spelled);
        spelled.0.retain(|&octet| octet != 0xff);
        String::from_utf8_lossy(&spelled.0).into_owned()
    }
}

impl Hasher for Spelled {
    fn write(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    fn finish(&self) -> u64 {
        0
    }
}
