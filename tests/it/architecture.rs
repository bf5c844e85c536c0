//! The invariants of `ARCHITECTURE.md` that can be read off the sources: each is something that is absent somewhere.

use std::fs;
use std::path::{Path, PathBuf};

/// All source files below a folder of the project.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// A source file's code: without its tests, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tests].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// No file but `except` may have any of these words in its code.
fn absent(files: &[PathBuf], except: &[&str], words: &[&str]) {
    for file in files.iter().filter(|file| !except.iter().any(|name| file.ends_with(name))) {
        let code = code(file);
        for word in words {
            assert!(!code.contains(word), "{} has `{word}`, which ARCHITECTURE.md rules out", file.display());
        }
    }
}

#[test]
fn answering_does_no_io_takes_no_lock_allocates_nothing_logs_nothing() {
    let answer = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/answer.rs");
    let context = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/context.rs");
    let extras = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/extras.rs");
    let resolve = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/zone/resolve.rs");
    let words = [
        "std::fs",
        "std::io",
        "std::net::Udp",
        "tokio",
        "Mutex",
        "RwLock",
        "tracing::",
        "Vec::",
        "vec!",
        "Box::new",
        "String::",
        "format!",
        ".to_vec()",
        ".to_string()",
        ".to_owned()",
        ".collect(",
        "unwrap()",
        "expect(",
        "panic!",
    ];
    absent(&[answer, context, extras, resolve], &[], &words);
    // Names are owned by settings and zone data, which are not on the way of a query.
    absent(
        &sources("src/wire"),
        &["wire/name.rs", "wire/cookie_tests.rs"],
        &["std::fs", "std::io", "tokio", "Mutex", "tracing::", "Vec::", "vec!", "format!", "unwrap()"],
    );
}

#[test]
fn unsafe_lives_in_one_file() {
    let files = sources("src");
    absent(&files, &["sys/ffi.rs"], &["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"]);
}

#[test]
fn only_app_reads_the_settings() {
    let files: Vec<PathBuf> =
        sources("src").into_iter().filter(|file| !file.components().any(|part| part.as_os_str() == "config")).collect();
    absent(
        &files,
        &[
            "src/app.rs",
            "app/serve.rs",
            "app/answers.rs",
            "app/encrypted.rs",
            "app/feed.rs",
            "app/load.rs",
            "app/listing.rs",
            "app/public.rs",
            "app/relation.rs",
            "app/secrets.rs",
        ],
        &["crate::config", "config::Settings"],
    );
}

#[test]
fn time_comes_from_one_place() {
    let files = sources("src");
    // The start of the process and the pace of the log are no part of any decision about data.
    absent(&files, &["sys/clock.rs", "app/serve.rs", "http/routes.rs", "http/metrics.rs"], &["SystemTime::now"]);
}

#[test]
fn data_knows_neither_files_nor_packets() {
    absent(
        &sources("src/dataset"),
        &[],
        &[
            "std::fs",
            "std::io",
            "crate::zone",
            "crate::zonefile",
            "crate::serve",
            "crate::load",
            "wire::query",
            "wire::reply",
        ],
    );
    absent(&sources("src/zone"), &[], &["std::fs", "crate::zonefile", "crate::serve", "crate::load"]);
    absent(
        &sources("src/export"),
        &["export/tests.rs"],
        &["std::fs", "crate::zonefile", "crate::serve", "crate::load"],
    );
    absent(&sources("src/serve"), &[], &["crate::zonefile", "crate::load", "crate::http"]);
}

#[test]
fn the_feeder_knows_neither_the_server_nor_its_data() {
    let files: Vec<PathBuf> =
        sources("src/feed").into_iter().filter(|file| !file.to_string_lossy().ends_with("tests.rs")).collect();
    absent(
        &files,
        &[],
        &[
            "crate::serve",
            "crate::load",
            "crate::zone:",
            "crate::zonefile",
            "crate::dataset",
            "crate::http",
            "crate::app",
        ],
    );
}

#[test]
fn judging_is_a_pure_function() {
    let files: Vec<PathBuf> =
        sources("src/feed/policy").into_iter().filter(|file| !file.to_string_lossy().ends_with("tests.rs")).collect();
    let words = ["std::fs", "std::net::Tcp", "rusqlite", "Mutex", "RwLock", "clock::now", "tracing::", "feed::store"];
    absent(&files, &[], &words);
    absent(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("src/feed/policy.rs")], &[], &words);
}
