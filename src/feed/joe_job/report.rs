//! What is told of a joe-job: one object, the same for people, for webhooks and for the state file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::detector::Interval;
use super::hit::Target;
use super::life::Attack;
use super::remedies::{self, Remedy};
use super::{MINUTE_MS, WINDOW_MINUTES};

/// How bad it is, by distinct sources in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A nuisance: below 50.
    Low,
    /// The mailbox is hard to use: below 500.
    Medium,
    /// The server has work with it: 500 and more.
    High,
}

impl Severity {
    /// By distinct sources in an hour.
    fn of(sources: u32) -> Self {
        match sources {
            0..50 => Self::Low,
            50..500 => Self::Medium,
            _ => Self::High,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One joe-job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JoeJob {
    /// What names it: when it was raised, and whom it hits.
    pub id: String,
    /// The address under attack; `None` for a domain's invented addresses, and where the address is not known any more.
    pub address: Option<String>,
    /// The domain; `None` where the address is not known any more.
    pub domain: Option<String>,
    /// The keyed hash of the address as the store has it, in hexadecimal.
    pub recipient: Option<String>,
    /// Do the addresses that were used exist: `known` or `invented`?
    pub existence: String,
    /// How bad it is, or was.
    pub severity: Severity,
    /// Does it run?
    pub running: bool,
    /// When it was raised.
    pub raised: Timestamp,
    /// The first message.
    pub first: Timestamp,
    /// The last message so far.
    pub last: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Distinct sources in the last hour.
    pub sources: u32,
    /// The most distinct sources in an hour.
    pub sources_max: u32,
    /// The usual number of sources in an hour, over seven days before.
    pub sources_usual: f64,
    /// Sources in an hour that raised it.
    pub sources_raise: u32,
    /// Messages, one for each recipient.
    pub messages: u64,
    /// Some of their Message-IDs.
    pub message_ids: Vec<String>,
    /// The domain's SPF policy, where it was looked up; empty when there is none.
    pub spf: Option<String>,
    /// The domain's DMARC policy, likewise.
    pub dmarc: Option<String>,
    /// Times of flood, from and to.
    pub spans: Vec<(Timestamp, Timestamp)>,
}

/// A minute as a time.
fn time(minute: i64) -> Timestamp {
    // Log stamps have years of four digits, far within what a timestamp holds.
    Timestamp::from_millisecond(minute.saturating_mul(MINUTE_MS)).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl JoeJob {
    /// What is told of an attack.
    pub fn new(target: &Target, address: Option<&str>, message_ids: &[Box<str>], attack: &Attack) -> Self {
        let (address, domain, recipient, existence) = match target {
            Target::Recipient(hash) => {
                let domain =
                    address.and_then(|address| address.rsplit_once('@')).map(|(_, domain)| domain.to_lowercase());
                (address.map(str::to_owned), domain, Some(hex(hash)), "known")
            }
            Target::Domain(domain) => (None, Some(domain.to_string()), None, "invented"),
        };
        let first = attack.spans.first().map_or(attack.raised, |span| span.0);
        let name = match &recipient {
            Some(hash) => hash[..8].to_owned(),
            None => domain.clone().unwrap_or_default(),
        };
        Self {
            id: format!("{}-{name}", time(attack.raised).strftime("%Y%m%dT%H%MZ")),
            address,
            domain,
            recipient,
            existence: existence.to_owned(),
            severity: Severity::of(attack.sources_max),
            running: attack.ended.is_none(),
            raised: time(attack.raised),
            first: time(first),
            last: time(attack.last),
            ended: attack.ended.map(time),
            sources: attack.sources,
            sources_max: attack.sources_max,
            sources_usual: (attack.mean * 100.0).round() / 100.0,
            sources_raise: attack.trigger,
            messages: attack.messages,
            message_ids: message_ids.iter().map(|id| id.to_string()).collect(),
            spf: None,
            dmarc: None,
            spans: attack.spans.iter().map(|(first, last)| (time(*first), time(last + 1))).collect(),
        }
    }

    /// What it is about, for people.
    pub fn name(&self) -> String {
        match (&self.address, &self.domain, &self.recipient) {
            (Some(address), _, _) => address.clone(),
            (None, Some(domain), None) => format!("invented addresses at {domain}"),
            (None, _, Some(hash)) => format!("the address with the hash {hash}"),
            (None, None, None) => "an unknown address".to_owned(),
        }
    }

    /// What can be done about it.
    pub fn remedies(&self) -> Vec<Remedy> {
        remedies::of(self)
    }

    /// The object for webhooks and `--json`: the report with its remedies, in one line.
    pub fn to_json(&self, event: Option<&str>) -> String {
        let mut object = serde_json::json!({ "v": 1 });
        if let Some(event) = event {
            object["event"] = event.into();
        }
        // Plain data always serializes.
        let report = serde_json::to_value(self).unwrap_or_default();
        if let (Some(object), serde_json::Value::Object(report)) = (object.as_object_mut(), report) {
            object.extend(report);
            object.insert("remedies".to_owned(), serde_json::to_value(self.remedies()).unwrap_or_default());
        }
        object.to_string()
    }

    /// In words, for a terminal: a line of facts for each joe-job, then its remedies.
    pub fn to_text(&self) -> String {
        let state = match self.ended {
            None => "running".to_owned(),
            Some(ended) => format!("ended {ended}"),
        };
        let mut text = format!(
            "{}: {state}, severity {}\n  raised {}, first message {}, last {}\n  {} sources in the last hour, at most {}, usually {}; {} messages\n",
            plain(&self.name()),
            self.severity.word(),
            self.raised,
            self.first,
            self.last,
            self.sources,
            self.sources_max,
            self.sources_usual,
            self.messages,
        );
        for remedy in self.remedies().iter().filter(|_| self.running) {
            text += &format!("  {}\n", remedy.what);
            for (server, lines) in [("Postfix", &remedy.postfix), ("Exim", &remedy.exim), ("DNS", &remedy.dns)] {
                for line in lines {
                    text += &format!("    {server}: {}\n", plain(line));
                }
            }
        }
        text
    }

    /// The times in which all hosts' mail to the target counts as that to one recipient.
    pub fn intervals(&self, target: &Target) -> Vec<Interval> {
        let last = self.spans.len().wrapping_sub(1);
        let interval = |(at, (from, to)): (usize, &(Timestamp, Timestamp))| Interval {
            target: target.clone(),
            from_ms: from.as_millisecond(),
            to_ms: if at == last && self.running { i64::MAX } else { to.as_millisecond() },
        };
        self.spans.iter().enumerate().map(interval).collect()
    }

    /// The target, as it is in the state file.
    pub fn target(&self) -> Option<Target> {
        match (&self.recipient, &self.domain) {
            (Some(hash), _) => unhex(hash).map(Target::Recipient),
            (None, Some(domain)) => Some(Target::Domain(domain.as_str().into())),
            (None, None) => None,
        }
    }

    /// Is it so old that its times matter to nobody any more?
    pub fn is_older_than(&self, time_ms: i64) -> bool {
        !self.running && self.last.as_millisecond() + WINDOW_MINUTES * MINUTE_MS < time_ms
    }
}

/// Text without control characters.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Octets in hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Sixteen octets out of hexadecimal.
fn unhex(text: &str) -> Option<[u8; 16]> {
    let value = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(value.to_be_bytes())
}
