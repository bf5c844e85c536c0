//! A difference made small: fewer zones, datasets and lines, as long as it stays; and told.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::ask::{Answer, Record};
use super::generate::{Question, SetUp};
use super::{Difference, compare};

/// The part of a set-up that some zones need, and the questions about them.
fn part(set_up: &SetUp, zones: &[usize], questions: &[Question]) -> (SetUp, Vec<Question>) {
    let mut part = SetUp { zones: Vec::new(), files: Vec::new(), sources: Vec::new(), ..set_up.clone() };
    for &zone in zones {
        let mut zone = set_up.zones[zone].clone();
        for source in &mut zone.sources {
            let mut copy = set_up.sources[*source].clone();
            for file in &mut copy.files {
                part.files.push(set_up.files[*file].clone());
                *file = part.files.len() - 1;
            }
            part.sources.push(copy);
            *source = part.sources.len() - 1;
        }
        part.zones.push(zone);
    }
    let number = |zone| zones.iter().position(|&kept| kept == zone);
    let moved = |question: &Question| Some(Question { zone: number(question.zone)?, ..question.clone() });
    (part, questions.iter().filter_map(moved).collect())
}

/// The difference that a question shows, if it still does.
fn differs(set_up: &SetUp, questions: &[Question], failing: &Question) -> Option<Difference> {
    let same = |question: &Question| {
        (&question.name, question.qtype, question.edns) == (&failing.name, failing.qtype, failing.edns)
    };
    compare(set_up, questions)?.differences.into_iter().find(|difference| same(&difference.question))
}

/// Take zones, datasets, and lines out of a set-up as long as a question's answers still differ.
pub fn minimise(set_up: &SetUp, questions: &[Question], first: &Difference) -> (SetUp, Option<Difference>) {
    let failing = first.question.clone();
    let (mut best, mut asked) = part(set_up, &[failing.zone], questions);
    let mut difference = differs(&best, &asked, &failing);
    if difference.is_none() {
        // Another zone has a part in it.
        (best, asked) = (set_up.clone(), questions.to_vec());
        let mut at = 0;
        while at < best.zones.len() {
            let others: Vec<usize> = (0..best.zones.len()).filter(|&zone| zone != at).collect();
            let (candidate, fewer) = part(&best, &others, &asked);
            match differs(&candidate, &fewer, &failing) {
                Some(still) => (best, asked, difference) = (candidate, fewer, Some(still)),
                None => at += 1,
            }
        }
    }
    for zone in 0..best.zones.len() {
        for source in (0..best.zones[zone].sources.len()).rev() {
            let mut candidate = best.clone();
            candidate.zones[zone].sources.remove(source);
            if candidate.zones[zone].sources.is_empty() {
                continue;
            }
            let all: Vec<usize> = (0..candidate.zones.len()).collect();
            let candidate = part(&candidate, &all, &[]).0;
            if let Some(still) = differs(&candidate, &asked, &failing) {
                (best, difference) = (candidate, Some(still));
            }
        }
    }
    for file in 0..best.files.len() {
        let mut step = best.files[file].lines.len().max(1);
        while step > 0 {
            let mut at = 0;
            while at < best.files[file].lines.len() {
                let mut candidate = best.clone();
                let end = (at + step).min(candidate.files[file].lines.len());
                candidate.files[file].lines.drain(at..end);
                match differs(&candidate, &asked, &failing) {
                    Some(still) => (best, difference) = (candidate, Some(still)),
                    None => at += step,
                }
            }
            step /= 2;
        }
    }
    (best, difference)
}

/// A difference, told so that it can be made again.
pub fn report(seed: &str, set_up: &SetUp, difference: &Difference) -> String {
    let mut text = format!("{seed}, {}", difference.what);
    let options = set_up.options;
    writeln!(text, "; -e {}, -t {:?}, full {}", options.mask_host_bits, options.ttl, options.full).unwrap();
    for zone in &set_up.zones {
        for source in zone.sources.iter().map(|&source| &set_up.sources[source]) {
            for file in source.files.iter().map(|&file| &set_up.files[file]) {
                writeln!(
                    text,
                    "  {}:{} bom {} end {} {:?} at {}",
                    zone.spelt, source.kind, file.bom, file.ends, file.state, file.mtime
                )
                .unwrap();
                for line in &file.lines {
                    let line = if line.len() > 400 { &line[..400] } else { line };
                    writeln!(text, "    | {}", line.escape_ascii()).unwrap();
                }
            }
        }
    }
    let name: Vec<String> = difference.question.name.iter().map(|label| label.escape_ascii().to_string()).collect();
    writeln!(text, "  {} type {} edns {:?}", name.join("."), difference.question.qtype, difference.question.edns)
        .unwrap();
    writeln!(text, "    rbldnsd  {}", tell(&difference.theirs)).unwrap();
    writeln!(text, "    expected {} {:?}", tell(&difference.expected), difference.classes).unwrap();
    writeln!(text, "    ours     {}", tell(&difference.ours)).unwrap();
    text
}

/// An answer in one line.
fn tell(answer: &Answer) -> String {
    let record = |(rtype, ttl, data): &Record| {
        let data = if *rtype == 1 { format!("{data:?}") } else { data.escape_ascii().to_string() };
        format!("{rtype}/{ttl} {data}")
    };
    let list = |records: &BTreeSet<Record>| records.iter().map(record).collect::<Vec<_>>().join(", ");
    format!(
        "rcode {} aa {} tc {} octets {} [{}] authority [{}] additional {:?}",
        answer.rcode,
        answer.aa,
        answer.tc,
        answer.octets,
        list(&answer.records),
        list(&answer.authority),
        answer.additional
    )
}
