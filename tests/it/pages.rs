//! Documentation that tests load: the blocks of a page, and the files that `docs/using-a-list.md` shows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file of the project.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A page of `docs`.
fn page(name: &str) -> String {
    std::fs::read_to_string(file("docs").join(name)).unwrap()
}

/// The fenced blocks below a heading (written with its `#`s) of a page, up to the next heading of its level or a higher one.
pub fn blocks(name: &str, heading: &str) -> Vec<String> {
    let text = page(name);
    let level = heading.split(' ').next().unwrap().len();
    let (mut inside, mut open, mut found) = (false, false, Vec::<String>::new());
    for line in text.lines() {
        if line.starts_with("```") {
            open = !open;
            if inside && open {
                found.push(String::new());
            }
        } else if open {
            if inside {
                let block = found.last_mut().unwrap();
                *block += line;
                block.push('\n');
            }
        } else if line.starts_with('#') {
            let other = line.split(' ').next().unwrap().len();
            inside = line == heading || inside && other > level;
        }
    }
    assert!(!found.is_empty(), "docs/{name} has no block below `{heading}`");
    found
}

/// A file that `docs/using-a-list.md` shows.
pub fn shown(name: &str) -> String {
    std::fs::read_to_string(file("docs/using-a-list").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_page_shows_the_files_that_the_tests_load() {
    // A line that links to a file, then the block with what it has.
    let text = page("using-a-list.md");
    let (mut lines, mut seen) = (text.lines(), BTreeSet::new());
    while let Some(line) = lines.next() {
        let Some((_, rest)) = line.split_once("](using-a-list/") else { continue };
        let (name, _) = rest.split_once(')').unwrap();
        assert!(
            lines.next().unwrap().is_empty() && lines.next().unwrap().starts_with("```"),
            "{name}: no block follows"
        );
        let block: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect();
        assert_eq!(block, shown(name), "{name}");
        assert!(seen.insert(name.to_owned()), "{name} is shown twice");
    }
    let mut there = BTreeSet::new();
    for directory in std::fs::read_dir(file("docs/using-a-list")).unwrap().flatten() {
        for entry in std::fs::read_dir(directory.path()).unwrap().flatten() {
            let name = [directory.file_name(), entry.file_name()].map(|name| name.into_string().unwrap());
            there.insert(name.join("/"));
        }
    }
    assert_eq!(seen, there);
}
