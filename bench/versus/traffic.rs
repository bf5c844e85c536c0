//! Queries as resolvers send them: Zipf's law over subjects, a share of hits, query types, EDNS, upper and lower case, names of parts.
//!
//! All come from a seed and are encoded before anything is timed. With each goes what its answer must have, so that a server that is fast
//! and wrong is found out.

use crate::lists::Rng;
use crate::suite::{ZONE, fail};

use super::list::{Entries, Subject};
use super::zipf::Zipf;

/// Query type A (RFC 1035 section 3.2.2).
const A: u16 = 1;
/// Query type TXT.
const TXT: u16 = 16;
/// Query type AAAA (RFC 3596 section 2.1).
const AAAA: u16 = 28;
/// Octets of the OPT record that queries end with.
pub const OPT_OCTETS: usize = 11;

/// Shares in percent: a filter asks for A, some ask for the text too, few for AAAA by mistake.
const TYPES: [(u16, u64); 3] = [(A, 90), (TXT, 8), (AAAA, 2)];
/// Queries with EDNS, in percent: all resolvers of today, not all mail servers.
const EDNS_SHARE: u64 = 80;
/// Queries with letters in random case, in percent (the "0x20" of draft-vixie-dnsext-dns0x20).
const RANDOM_CASE_SHARE: u64 = 30;
/// Queries for a part of an address, in percent, as QNAME minimisation asks (RFC 9156).
const PART_SHARE: u64 = 1;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Share of queries about listed subjects, 0 to 1.
    pub hit_ratio: f64,
    /// Exponent of Zipf's law; 0 is uniform.
    pub exponent: f64,
}

/// What an answer must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// At least one record in the answer section.
    Records,
    /// None.
    Nothing,
    /// Servers differ, and may.
    Anything,
}

/// Encoded queries, one after the other.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Their octets.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
    /// What the answer to each must have.
    expected: Vec<Expected>,
}

impl Traffic {
    /// `n` queries about a list; the same seed gives the same.
    pub fn new(entries: &Entries, mix: Mix, n: usize, seed: u64) -> Self {
        let mut traffic = Self::default();
        let mut rng = Rng::new(seed);
        let zipf = Zipf::new(entries.len(), mix.exponent);
        while traffic.len() < n {
            let rank = zipf.draw(|| uniform(&mut rng));
            let hit = uniform(&mut rng) < mix.hit_ratio;
            let Some(subject) = (if hit { Some(entries.hit(rank, &mut rng)) } else { entries.miss(rank) }) else {
                continue;
            };
            let mut labels: Vec<String> = match &subject {
                Subject::Address(address) => address.to_le_bytes().iter().map(u8::to_string).collect(),
                Subject::Name(name) => name.split('.').map(str::to_owned).collect(),
            };
            let mut qtype = rng.pick_share(&TYPES);
            let mut expected = if hit && qtype != AAAA { Expected::Records } else { Expected::Nothing };
            if rng.below(100) < PART_SHARE && labels.len() > 1 {
                labels.remove(0);
                (qtype, expected) = (A, Expected::Anything);
            }
            labels.extend(ZONE.split('.').map(str::to_owned));
            let case = rng.below(100) < RANDOM_CASE_SHARE;
            let edns = rng.below(100) < EDNS_SHARE;
            traffic.push(&labels, qtype, edns, case.then_some(&mut rng), expected);
        }
        traffic
    }

    /// One query about a subject, without EDNS.
    pub fn one(subject: &Subject) -> Vec<u8> {
        let mut traffic = Self::default();
        let mut labels: Vec<String> = match subject {
            Subject::Address(address) => address.to_le_bytes().iter().map(u8::to_string).collect(),
            Subject::Name(name) => name.split('.').map(str::to_owned).collect(),
        };
        labels.extend(ZONE.split('.').map(str::to_owned));
        traffic.push(&labels, A, false, None, Expected::Anything);
        traffic.bytes
    }

    /// Append one (RFC 1035 section 4.1; OPT with 1232 octets, RFC 6891 section 6.1).
    fn push(&mut self, labels: &[String], qtype: u16, edns: bool, mut case: Option<&mut Rng>, expected: Expected) {
        self.bytes.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
        for label in labels {
            self.bytes.push(label.len() as u8);
            for &octet in label.as_bytes() {
                let upper = case.as_mut().is_some_and(|rng| rng.below(2) == 0);
                self.bytes.push(if upper { octet.to_ascii_uppercase() } else { octet });
            }
        }
        self.bytes.push(0);
        self.bytes.extend_from_slice(&qtype.to_be_bytes());
        self.bytes.extend_from_slice(&[0, 1]);
        if edns {
            self.bytes.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        }
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or_else(|_| fail("too many queries")));
        self.expected.push(expected);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Query number `i`, counted round.
    pub fn query(&self, i: usize) -> &[u8] {
        let i = i % self.ends.len();
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[start..self.ends[i] as usize]
    }

    /// Whether an answer to query number `i` is wrong.
    pub fn is_wrong(&self, i: usize, answer: &[u8]) -> bool {
        let Some(&[high, low]) = answer.get(6..8) else { return true };
        match self.expected[i % self.ends.len()] {
            Expected::Records => (high, low) == (0, 0),
            Expected::Nothing => (high, low) != (0, 0),
            Expected::Anything => false,
        }
    }

    /// The queries as `dnsperf` reads them: name and type.
    pub fn to_dnsperf(&self, n: usize) -> String {
        let mut text = String::new();
        for i in 0..n.min(self.len()) {
            let mut rest = &self.query(i)[12..];
            while let Some((&len, labels)) = rest.split_first() {
                let (label, behind) = labels.split_at(usize::from(len).min(labels.len()));
                rest = behind;
                if len == 0 {
                    break;
                }
                text.push_str(&String::from_utf8_lossy(label));
                text.push('.');
            }
            let qtype = rest.get(..2).map_or(A, |octets| u16::from_be_bytes([octets[0], octets[1]]));
            text.push_str(match qtype {
                TXT => " TXT\n",
                AAAA => " AAAA\n",
                _ => " A\n",
            });
        }
        text
    }
}

/// A number from 0 to 1.
pub fn uniform(rng: &mut Rng) -> f64 {
    (rng.bits() >> 11) as f64 / (1u64 << 53) as f64
}
