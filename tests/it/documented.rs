//! `docs/coming-from-rbldnsd.md` tells every difference from rbldnsd that the tests allow or show, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use crate::differences::DIFFERENCES;

/// The page.
const PAGE: &str = include_str!("../../docs/coming-from-rbldnsd.md");

/// The differences that no answer to a question shows, each with a test that does: file and function.
const SHOWN: &[(&str, &str, &str)] = &[
    ("failed reload", "src/load/tests/files.rs", "bad_files_keep_the_last_good_copy"),
    ("a rewrite within one second", "src/load/tests/files.rs", "same_size_and_time_but_another_file"),
    ("the serial", "src/load/tests/life.rs", "serials"),
    ("reloading", "tests/it/reload.rs", "a_large_file_is_read_unnoticed"),
    ("a warning's words", "tests/it/rbldnsd_mode/dump.rs", "every_zone_is_written_whole"),
    ("an access list that can not be read", "src/load/tests/access.rs", "a_zones_list"),
    ("clients with mapped addresses", "tests/it/access.rs", "clients_of_each_kind"),
    ("TCP", "tests/it/rbldnsd_mode/life.rs", "tcp_is_served_on_the_same_address"),
    ("OPT in replies", "tests/it/edns.rs", "d20_opt_on_every_code"),
    ("`-b ::`", "src/rbldnsd/sockets.rs", "what_addresses_mean"),
    ("`-x` and `-X`", "tests/it/rbldnsd_mode/usage.rs", "extensions_are_refused"),
    ("`-d`", "tests/it/rbldnsd_mode/dump.rs", "every_zone_is_written_whole"),
    ("`-h`", "tests/it/rbldnsd_mode/upstream.rs", "help_knows_ipv6"),
];

/// The rows of the table below a heading.
fn rows(heading: &str) -> BTreeSet<&'static str> {
    let (_, part) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`"));
    let part = part.split("\n## ").next().unwrap_or_default();
    part.lines().filter(|line| line.starts_with('|')).skip(2).collect()
}

#[test]
fn every_difference_in_answers_stands_on_the_page_and_none_else() {
    let wanted: BTreeSet<String> = DIFFERENCES
        .iter()
        .filter(|row| row.command_line)
        .map(|row| format!("| {} | {} | {} | {} |", row.name, row.rbldnsd, row.dnsbld, row.why))
        .collect();
    let seen: BTreeSet<String> = rows("What differs in answers").into_iter().map(str::to_owned).collect();
    let missing: Vec<&String> = wanted.difference(&seen).collect();
    let gone: Vec<&String> = seen.difference(&wanted).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not on the page: {missing:#?}\nnot in the tests: {gone:#?}");
}

#[test]
fn every_other_difference_is_shown_by_a_test() {
    let names = rows("What differs otherwise").into_iter().map(|line| line.split('|').nth(1).unwrap().trim());
    assert_eq!(names.collect::<BTreeSet<_>>(), SHOWN.iter().map(|(name, ..)| *name).collect());
    for (name, file, function) in SHOWN {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let mut lines = text.lines().map(str::trim_start);
        let shown = lines.any(|line| line == "#[test]") && text.contains(&format!("fn {function}() {{"));
        assert!(shown, "`{name}`: {file} has no test `{function}`");
    }
}
