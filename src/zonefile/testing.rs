//! Datasets out of texts, for the tests of other modules.

use std::sync::Arc;

use super::Source;
use crate::dataset::{Dataset, Kind};

/// A dataset of each text, read as a zone file is, at the time 0.
pub fn datasets<T: AsRef<str>>(texts: &[(Kind, T)]) -> Vec<Arc<Dataset>> {
    let dir = tempfile::tempdir().unwrap();
    let read = |(n, (kind, text)): (usize, &(Kind, T))| {
        let path = dir.path().join(n.to_string());
        std::fs::write(&path, text.as_ref()).unwrap();
        let source = Source { kind: *kind, files: vec![path], options: Default::default() };
        Arc::new(super::read(&source, 0, &mut |_| {}).unwrap().dataset)
    };
    texts.iter().enumerate().map(read).collect()
}
