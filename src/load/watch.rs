//! File events, as a hint that it is worth looking at the files.
//!
//! Directories are watched, not files: a file that is renamed into place is a new file, and a watch on the old one
//! would see nothing. Where a path leads through symbolic links, the directories of the links and of the real file
//! are watched too, as replacing a link is a way to change many files at once. Events are lost on network mounts,
//! on overflow and when limits are reached; the poll finds what they missed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::handle::{Event, Touched};

/// The watched directories; without a watcher it does nothing.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The system's watcher, if it could be had.
    watcher: Option<RecommendedWatcher>,
    /// The paths whose events matter, shared with the watcher's thread.
    wanted: Arc<Mutex<HashSet<PathBuf>>>,
    /// Directories wanted, with whether a failure to watch them has been logged.
    directories: BTreeMap<PathBuf, bool>,
}

impl Watch {
    /// Start the system's watcher; without one, say why and leave it to the poll.
    pub(super) fn start(events: Sender<Event>, touched: Touched) -> Self {
        let wanted = Arc::new(Mutex::new(HashSet::new()));
        let shared = Arc::clone(&wanted);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let matters = match &event {
                Ok(event) => event.need_rescan() || (changes(event.kind) && any_wanted(&shared, &event.paths)),
                Err(_) => true,
            };
            // One message at a time: a burst of events must not pile up while the loader reads.
            if matters && touched.set() {
                // Without a receiver the loader is gone, and nobody wants to know.
                let _ = events.send(Event::Touched);
            }
        });
        let watcher = watcher
            .inspect_err(|why| tracing::warn!("no file events: {why}; changes are found by polling and on request"))
            .ok();
        Self { watcher, wanted, directories: BTreeMap::new() }
    }

    /// Watch these files and no others. Called at each poll: a directory that was replaced is watched anew.
    pub(super) fn set<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.watcher else { return };
        let paths: HashSet<PathBuf> = files.flat_map(paths_of_interest).collect();
        let directories: BTreeSet<PathBuf> = paths.iter().filter_map(|path| Some(path.parent()?.to_owned())).collect();
        *self.wanted.lock().unwrap_or_else(|e| e.into_inner()) = paths;
        self.directories.retain(|directory, _| {
            let keep = directories.contains(directory);
            if !keep {
                // A directory that is gone can not be unwatched; that is as good.
                let _ = watcher.unwatch(directory);
            }
            keep
        });
        for directory in directories {
            let failed = watcher.watch(&directory, RecursiveMode::NonRecursive);
            let told = self.directories.entry(directory).or_insert(false);
            if let Err(why) = &failed
                && !*told
            {
                tracing::warn!("no file events: {why}; changes there are found by polling and on request");
            }
            *told = failed.is_err();
        }
    }
}

/// Whether an event can mean that a file has other content. Opening and reading, which we do too, can not.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Whether one of the paths matters; an event without a path may be about any.
fn any_wanted(wanted: &Mutex<HashSet<PathBuf>>, paths: &[PathBuf]) -> bool {
    let wanted = wanted.lock().unwrap_or_else(|e| e.into_inner());
    paths.is_empty() || paths.iter().any(|path| wanted.contains(path))
}

/// The paths at which something can happen that changes what `file` reads as: itself, each symbolic link on the way
/// to it, and the real file.
fn paths_of_interest(file: &Path) -> Vec<PathBuf> {
    let Ok(file) = std::path::absolute(file) else { return Vec::new() };
    let links = file.ancestors().skip(1).filter(|path| path.is_symlink()).map(Path::to_owned);
    let mut paths: Vec<PathBuf> = links.collect();
    if let Ok(real) = file.canonicalize()
        && real != file
    {
        paths.push(real);
    }
    paths.push(file);
    paths
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;
    use std::time::Duration;

    use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind};

    use super::*;

    #[test]
    fn what_changes_content() {
        for (kind, expected) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (EventKind::Access(AccessKind::Read), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), true),
            (EventKind::Remove(RemoveKind::File), true),
        ] {
            assert_eq!(changes(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn links_on_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("release-1")).unwrap();
        std::fs::write(root.join("release-1/bl.zone"), "").unwrap();
        symlink("release-1", root.join("current")).unwrap();
        let paths: BTreeSet<PathBuf> = paths_of_interest(&root.join("current/bl.zone")).into_iter().collect();
        let expected = ["current", "current/bl.zone", "release-1/bl.zone"].map(|path| root.join(path));
        assert_eq!(paths, expected.into_iter().collect());
        assert_eq!(paths_of_interest(&root.join("missing")), [root.join("missing")]);
    }

    #[test]
    fn an_event_arrives_once_until_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("bl.zone"), directory.path().join("other"));
        let (sender, events) = mpsc::channel();
        let touched = Touched::default();
        let mut watch = Watch::start(sender, touched.clone());
        assert!(watch.watcher.is_some(), "no watcher: is the limit on inotify instances reached?");
        watch.set([file.as_path()].into_iter());
        std::fs::write(&other, "not ours").unwrap();
        std::fs::write(&file, "192.0.2.1\n").unwrap();
        std::fs::write(&file, "192.0.2.2\n").unwrap();
        let wait = Duration::from_secs(30);
        assert!(matches!(events.recv_timeout(wait), Ok(Event::Touched)));
        touched.clear();
        std::fs::rename(&other, &file).unwrap();
        assert!(matches!(events.recv_timeout(wait), Ok(Event::Touched)));
    }
}
