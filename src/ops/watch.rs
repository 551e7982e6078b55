//! Detects changes of the configuration file and of the files that it names.
//!
//! The operating system reports events of the directories. (Editors write a new file and rename it, and Kubernetes swaps a symbolic
//! link two levels up, so a watch of the file itself would lose it.) An event is a hint to look: only a different [`Input`] is a
//! change. Without events (network file systems, a full event queue), a look every [`LOOK_EVERY`] finds it.

mod directories;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::config::Input;
use directories::directories;

/// Watches a set of files and directories, until it is dropped.
#[derive(Debug)]
pub(super) struct FileWatcher {
    orders: Sender<WatchCommand>,
    changed: Arc<Notify>,
}

enum WatchCommand {
    /// An event in one of the directories.
    Look,
    Follow(Vec<Input>),
    Stop,
}

impl FileWatcher {
    /// Starts to watch `inputs`. A difference from their recorded state counts as a change.
    ///
    /// # Errors
    /// The system has no more threads, or no more watches to give (on Linux, `fs.inotify.max_user_instances`).
    pub(super) fn start(inputs: &[Input]) -> io::Result<Self> {
        let (orders, inbox) = channel();
        let hints = orders.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !is_reading(event.kind)) {
                let _ = hints.send(WatchCommand::Look);
            }
        });
        let watcher = watcher.map_err(io::Error::other)?;
        let changed = Arc::new(Notify::new());
        let mut follower =
            Follower { watcher, watched: BTreeMap::new(), inputs: inputs.into(), changed: changed.clone() };
        follower.watch_directories();
        std::thread::Builder::new().name("config-watch".into()).spawn(move || follower.run(&inbox))?;
        Ok(Self { orders, changed })
    }

    /// Watches these inputs instead: those of the last attempt to load the configuration, successful or not.
    pub(super) fn set_inputs(&self, inputs: &[Input]) {
        let _ = self.orders.send(WatchCommand::Follow(inputs.into()));
    }

    /// Waits for a change since the last call returned. Several changes at once count as one. No change is lost if the future is
    /// dropped, or if the change comes before the call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for FileWatcher {
    fn drop(&mut self) {
        let _ = self.orders.send(WatchCommand::Stop);
    }
}

/// The thread behind a [`FileWatcher`].
struct Follower {
    watcher: RecommendedWatcher,
    /// The watched directories, with device and inode.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    inputs: Vec<Input>,
    changed: Arc<Notify>,
}

impl Follower {
    fn run(mut self, inbox: &Receiver<WatchCommand>) {
        loop {
            // After a change, the paths can lead through other directories. Another look finds what changed in those before they
            // were watched.
            loop {
                if !self.settle(inbox) {
                    return;
                }
                if !self.look() {
                    break;
                }
            }
            match inbox.recv_timeout(LOOK_EVERY) {
                Ok(WatchCommand::Follow(inputs)) => self.inputs = inputs,
                Ok(WatchCommand::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(WatchCommand::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits until there was no event for [`SETTLE`], so that a file written in pieces is looked at once, but at most
    /// [`SETTLE_AT_MOST`]. Returns whether to go on.
    fn settle(&mut self, inbox: &Receiver<WatchCommand>) -> bool {
        let deadline = Instant::now() + SETTLE_AT_MOST;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match inbox.recv_timeout(SETTLE.min(left)) {
                Ok(WatchCommand::Look) => {}
                Ok(WatchCommand::Follow(inputs)) => self.inputs = inputs,
                Err(RecvTimeoutError::Timeout) => break,
                Ok(WatchCommand::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// Returns whether an input differs from the last look.
    fn look(&mut self) -> bool {
        self.watch_directories();
        let differs = self.inputs.iter_mut().fold(false, |differs, input| input.has_changed() | differs);
        if differs {
            self.changed.notify_one();
        }
        differs
    }

    fn watch_directories(&mut self) {
        let mut wanted = BTreeMap::new();
        for directory in self.inputs.iter().flat_map(|input| directories(input.path())) {
            if let Ok(metadata) = fs::metadata(&directory) {
                wanted.insert(directory, (metadata.dev(), metadata.ino()));
            }
        }
        for (directory, identity) in &self.watched {
            if wanted.get(directory) != Some(identity) {
                // Fails if the directory is gone, which needs no watch.
                let _ = self.watcher.unwatch(directory);
            }
        }
        for directory in wanted.keys() {
            // Even if it is watched: a new directory can have the inode of a deleted one, whose watch ended with it. A second
            // watch has no effect.
            if let Err(error) = self.watcher.watch(directory, RecursiveMode::NonRecursive) {
                // The periodic look still finds changes.
                tracing::debug!(directory = %directory.display(), %error, "can't watch");
            }
        }
        self.watched = wanted;
    }
}

/// Returns whether an event is a read. The look itself reads directories, so its own events would never end.
const fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if !matches!(access, AccessKind::Close(AccessMode::Write)))
}

/// Time without an event before a look.
const SETTLE: Duration = Duration::from_millis(50);
/// Maximum time until a look, for a file that is written all the time.
const SETTLE_AT_MOST: Duration = Duration::from_millis(500);
/// Interval of looks without an event.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    struct Scene {
        dir: tempfile::TempDir,
        watch: FileWatcher,
    }

    impl Scene {
        /// Watches `inputs` in a directory with a file `a`.
        fn new(inputs: &[&str], prepare: impl Fn(&Path)) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("a"), "1").unwrap();
            prepare(dir.path());
            let inputs: Vec<_> = inputs.iter().map(|input| Input::stat(&dir.path().join(input))).collect();
            // Longer than the tick of the clock that stamps files.
            std::thread::sleep(Duration::from_millis(20));
            let watch = FileWatcher::start(&inputs).unwrap();
            Self { dir, watch }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// Expects a report well before the periodic check.
        async fn sees(&self, what: &str) {
            let told = tokio::time::timeout(LOOK_EVERY / 2, self.watch.changed()).await;
            assert!(told.is_ok(), "did not see: {what}");
        }

        async fn sees_nothing(&self, what: &str) {
            let told = tokio::time::timeout(Duration::from_millis(300), self.watch.changed()).await;
            assert!(told.is_err(), "saw: {what}");
        }
    }

    #[tokio::test]
    async fn ways_to_write_a_file() {
        let scene = Scene::new(&["a"], |_| ());
        scene.sees_nothing("the start").await;
        fs::write(scene.path("a"), "2").unwrap();
        scene.sees("written in place").await;
        scene.sees_nothing("it told once").await;
        fs::write(scene.path("a.new"), "3").unwrap();
        scene.sees_nothing("another file").await;
        fs::rename(scene.path("a.new"), scene.path("a")).unwrap();
        scene.sees("renamed over").await;
        fs::write(scene.path("a"), "4").unwrap();
        scene.sees("written in place after the rename").await;
        fs::remove_file(scene.path("a")).unwrap();
        scene.sees("deleted").await;
        fs::write(scene.path("a"), "5").unwrap();
        scene.sees("made again").await;
        fs::set_permissions(scene.path("a"), fs::Permissions::from_mode(0o600)).unwrap();
        scene.sees("its mode changed").await;
        let _ = fs::read(scene.path("a")).unwrap();
        scene.sees_nothing("it was read").await;
    }

    #[tokio::test]
    async fn a_burst_is_not_told_write_by_write() {
        let scene = Scene::new(&["a"], |_| ());
        for text in 0..20 {
            fs::write(scene.path("a"), text.to_string()).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        scene.sees("twenty writes").await;
        // On a quiet machine there is nothing more. On a busy one a write can come late, and is reported then.
        let mut more = 0;
        while tokio::time::timeout(Duration::from_millis(300), scene.watch.changed()).await.is_ok() {
            more += 1;
        }
        assert!(more < 5, "{more}");
    }

    /// The layout of a Kubernetes ConfigMap: `mount/a -> ..data/a`, `..data -> ..1`, and the latter is swapped.
    #[tokio::test]
    async fn a_symlink_swapped_two_levels_up() {
        let scene = Scene::new(&["mount/a"], |dir| {
            fs::create_dir_all(dir.join("mount/..1")).unwrap();
            fs::create_dir_all(dir.join("mount/..2")).unwrap();
            fs::write(dir.join("mount/..1/a"), "1").unwrap();
            fs::write(dir.join("mount/..2/a"), "2").unwrap();
            symlink("..1", dir.join("mount/..data")).unwrap();
            symlink("..data/a", dir.join("mount/a")).unwrap();
        });
        symlink("..2", scene.path("mount/..tmp")).unwrap();
        fs::rename(scene.path("mount/..tmp"), scene.path("mount/..data")).unwrap();
        fs::remove_dir_all(scene.path("mount/..1")).unwrap();
        scene.sees("swapped").await;
        fs::write(scene.path("mount/..2/a"), "3").unwrap();
        scene.sees("written where the link leads now").await;
    }

    #[tokio::test]
    async fn a_link_to_another_directory() {
        let scene = Scene::new(&["conf/current/a"], |dir| {
            for release in ["releases/1", "releases/2"] {
                fs::create_dir_all(dir.join(release)).unwrap();
                fs::write(dir.join(release).join("a"), release).unwrap();
            }
            fs::create_dir(dir.join("conf")).unwrap();
            symlink(dir.join("releases/1"), dir.join("conf/current")).unwrap();
        });
        fs::write(scene.path("releases/1/a"), "more").unwrap();
        scene.sees("the link's target was written").await;
        fs::remove_file(scene.path("conf/current")).unwrap();
        symlink("../releases/2", scene.path("conf/current")).unwrap();
        scene.sees("the link leads elsewhere").await;
        fs::write(scene.path("releases/2/a"), "more").unwrap();
        scene.sees("its new target was written").await;
    }

    #[tokio::test]
    async fn files_in_a_directory_even_one_that_comes_later() {
        let scene = Scene::new(&["x/keys"], |_| ());
        fs::create_dir(scene.path("x")).unwrap();
        scene.sees_nothing("a directory on the way").await;
        fs::create_dir(scene.path("x/keys")).unwrap();
        scene.sees("made").await;
        fs::write(scene.path("x/keys/k.jwk"), "k").unwrap();
        scene.sees("a file came").await;
        fs::write(scene.path("x/keys/k.jwk"), "kk").unwrap();
        scene.sees("a file was written").await;
        fs::remove_dir_all(scene.path("x")).unwrap();
        scene.sees("gone").await;
        fs::create_dir_all(scene.path("x/keys")).unwrap();
        scene.sees("made again").await;
        fs::write(scene.path("x/keys/k.jwk"), "k").unwrap();
        scene.sees("a file came into the new one").await;
    }

    #[tokio::test]
    async fn other_inputs_after_a_reload() {
        let scene = Scene::new(&["a"], |dir| fs::write(dir.join("b"), "1").unwrap());
        fs::write(scene.path("b"), "2").unwrap();
        scene.sees_nothing("b, which is not followed yet").await;
        scene.watch.set_inputs(&[Input::stat(&scene.path("b"))]);
        scene.sees_nothing("to follow b").await;
        fs::write(scene.path("b"), "3").unwrap();
        scene.sees("b").await;
        fs::write(scene.path("a"), "2").unwrap();
        scene.sees_nothing("a, which is not followed any more").await;
        let inputs = [Input::stat(&scene.path("b")), Input::stat(&scene.path("c"))];
        fs::write(scene.path("c"), "1").unwrap();
        scene.watch.set_inputs(&inputs);
        scene.sees("c, which changed while the configuration was read").await;
    }

    #[tokio::test]
    async fn a_change_before_the_watch_began() {
        let dir = tempfile::tempdir().unwrap();
        let input = Input::stat(&dir.path().join("a"));
        fs::write(dir.path().join("a"), "1").unwrap();
        let watch = FileWatcher::start(&[input]).unwrap();
        let told = tokio::time::timeout(LOOK_EVERY / 2, watch.changed()).await;
        assert!(told.is_ok());
    }

    #[tokio::test]
    async fn links_in_a_circle_are_nothing() {
        let scene = Scene::new(&["loop"], |dir| symlink("loop", dir.join("loop")).unwrap());
        scene.sees_nothing("a circle").await;
        fs::remove_file(scene.path("loop")).unwrap();
        fs::write(scene.path("loop"), "1").unwrap();
        scene.sees("a file in its place").await;
    }
}
