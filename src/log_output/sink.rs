//! A thread that writes lines, and the queue to it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::file::{LineFile, Rotated, Rotation, write_all};

/// The counters of one stream.
#[derive(Debug, Default)]
pub struct StreamCounters {
    written: AtomicU64,
    dropped: AtomicU64,
    fails: AtomicBool,
    rotations: AtomicU64,
    rotation_failures: AtomicU64,
}

impl StreamCounters {
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that were not: the queue was full, or writing failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The last write failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }

    /// Rotations of the file since the start.
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.rotations.load(Ordering::Relaxed)
    }

    /// Failed rotations. The file continues to grow, and a rotation is tried again after a minute.
    #[must_use]
    pub fn rotation_failures(&self) -> u64 {
        self.rotation_failures.load(Ordering::Relaxed)
    }
}

/// A queue of lines with a thread. Dropping it ends the thread after the queued lines.
#[derive(Debug)]
pub(super) struct LineQueue {
    queue: Sender<Message>,
    queued: Arc<AtomicUsize>,
    counts: Arc<StreamCounters>,
}

enum Message {
    Line(Vec<u8>),
    /// Check whether the open file still has its name.
    Reopen,
    /// Change the rotation settings.
    Rotation(Option<Rotation>),
    /// Everything before it was written, or dropped.
    Written(SyncSender<()>),
}

impl LineQueue {
    pub(super) fn stderr(counts: Arc<StreamCounters>) -> io::Result<Self> {
        Self::start("log", Target::Stderr, counts)
    }

    /// Appends to the file at `path`, and creates it if it does not exist. If the file is renamed or removed, a new one
    /// is created.
    ///
    /// # Errors
    /// The file can't be opened.
    pub(super) fn file(path: &Path, rotation: Option<Rotation>, counts: Arc<StreamCounters>) -> io::Result<Self> {
        Self::start("audit", Target::File(LineFile::open(path, rotation)?), counts)
    }

    fn start(name: &str, target: Target, counts: Arc<StreamCounters>) -> io::Result<Self> {
        let (queue, messages) = channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let writer = Writer { target, queued: queued.clone(), counts: counts.clone(), rotation_fails: false };
        thread::Builder::new().name(name.into()).spawn(move || writer.run(&messages))?;
        Ok(Self { queue, queued, counts })
    }

    /// Never blocks.
    pub(super) fn write(&self, line: Vec<u8>) {
        let bytes = line.len();
        let fits = self.queued.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_QUEUED_BYTES;
        // The thread ends only with the program.
        if !fits || self.queue.send(Message::Line(line)).is_err() {
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Checks whether the open file still has its name.
    pub(super) fn reopen(&self) {
        let _ = self.queue.send(Message::Reopen);
    }

    /// Changes the rotation settings from the next line on.
    pub(super) fn set_rotation(&self, rotation: Option<Rotation>) {
        let _ = self.queue.send(Message::Rotation(rotation));
    }

    /// Waits until the queued lines are written, for at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let (written, wait) = sync_channel(1);
        if self.queue.send(Message::Written(written)).is_ok() {
            let _ = wait.recv_timeout(patience);
        }
    }
}

enum Target {
    Stderr,
    File(LineFile),
}

struct Writer {
    target: Target,
    queued: Arc<AtomicUsize>,
    counts: Arc<StreamCounters>,
    rotation_fails: bool,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut batch = Vec::new();
        while let Ok(mut message) = messages.recv() {
            batch.clear();
            // Write the lines that arrived meanwhile together with it.
            let last = loop {
                match message {
                    Message::Line(line) => batch.extend_from_slice(&line),
                    other => break Some(other),
                }
                if batch.len() >= BATCH_BYTES {
                    break None;
                }
                match messages.try_recv() {
                    Ok(next) => message = next,
                    Err(_) => break None,
                }
            };
            if !batch.is_empty() {
                self.write(&batch);
                // Subtracted only now: lines that the reader does not take count as queued.
                self.queued.fetch_sub(batch.len(), Ordering::Relaxed);
            }
            match last {
                Some(Message::Reopen) => self.target.reopen(),
                Some(Message::Rotation(rotation)) => self.target.set_rotation(rotation),
                Some(Message::Written(told)) => drop(told.send(())),
                Some(Message::Line(_)) | None => {}
            }
        }
    }

    fn write(&mut self, batch: &[u8]) {
        self.make_room(batch);
        let (result, written) = self.target.write(batch);
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let (written, lost) = (lines(&batch[..written]), lines(&batch[written..]));
        self.counts.written.fetch_add(written, Ordering::Relaxed);
        self.counts.dropped.fetch_add(lost, Ordering::Relaxed);
        let failed = self.counts.fails.swap(result.is_err(), Ordering::Relaxed);
        // An error of stderr can't be logged.
        if let Target::File(file) = &self.target {
            let path = file.path().display();
            match result {
                Err(error) if !failed => tracing::error!("{path}: audit lines can't be written, and are lost: {error}"),
                Ok(()) if failed => tracing::warn!("{path}: audit lines are written again; some were lost"),
                _ => {}
            }
        }
    }

    /// Rotates a full file.
    fn make_room(&mut self, batch: &[u8]) {
        let Target::File(file) = &mut self.target else { return };
        match file.make_room(batch) {
            Rotated::No => {}
            Rotated::Yes => {
                self.counts.rotations.fetch_add(1, Ordering::Relaxed);
                if std::mem::take(&mut self.rotation_fails) {
                    tracing::warn!("{}: the audit file is rotated again", file.path().display());
                }
            }
            Rotated::Failed(error) => {
                self.counts.rotation_failures.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut self.rotation_fails, true) {
                    let path = file.path().display();
                    tracing::error!(
                        "{path}: the audit file can't be rotated, and grows beyond log.audit_size: {error}"
                    );
                }
            }
        }
    }
}

impl Target {
    /// Returns how many bytes were written beside, if not all.
    fn write(&mut self, batch: &[u8]) -> (io::Result<()>, usize) {
        match self {
            Self::Stderr => write_all(&mut io::stderr(), batch),
            Self::File(file) => file.write(batch),
        }
    }

    fn reopen(&mut self) {
        if let Self::File(file) = self {
            file.reopen();
        }
    }

    fn set_rotation(&mut self, rotation: Option<Rotation>) {
        if let Self::File(file) = self {
            file.set_rotation(rotation);
        }
    }
}

/// Some twenty thousand lines.
const MAX_QUEUED_BYTES: usize = 4 << 20;
const BATCH_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::log_output::open;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_that_is_renamed_gets_a_successor() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("audit"), dir.path().join("audit.1"));
        let counts = Arc::new(StreamCounters::default());
        let sink = LineQueue::file(&path, None, counts.clone()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        sink.write(b"one\n".to_vec());
        sink.flush(PATIENCE);
        std::fs::rename(&path, &old).unwrap();
        sink.write(b"two\n".to_vec());
        sink.flush(PATIENCE);
        assert_eq!((read(&old).as_str(), read(&path).as_str()), ("one\n", "two\n"));
        std::fs::remove_file(&path).unwrap();
        sink.reopen();
        sink.flush(PATIENCE);
        assert_eq!(read(&path), "");
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::rename(&path, dir.path().join("a/b")).unwrap();
        std::fs::create_dir(&path).unwrap();
        sink.write(b"three\n".to_vec());
        sink.flush(PATIENCE);
        assert_eq!(read(&dir.path().join("a/b")), "three\n", "where it was");
        assert_eq!((counts.written(), counts.dropped()), (3, 0));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        // Open at both ends, without a reader.
        let pipe = File::options().read(true).write(true).open(&path).unwrap();
        let counts = Arc::new(StreamCounters::default());
        assert!(LineQueue::file(&path, None, counts.clone()).is_err());
        let target = Target::File(LineFile::of(path, pipe.try_clone().unwrap(), false));
        let sink = LineQueue::start("log", target, counts.clone()).unwrap();
        for _ in 0..20_000 {
            sink.write(vec![b'\n'; 1024]);
        }
        assert!(counts.dropped() > 10_000, "{counts:?}");
        drop(pipe);
    }

    #[test]
    fn a_full_disk_is_told_and_tears_no_line() {
        let counts = Arc::new(StreamCounters::default());
        let full = Target::File(LineFile::open(Path::new("/dev/full"), None).unwrap());
        let mut writer = Writer { target: full, queued: Arc::default(), counts: counts.clone(), rotation_fails: false };
        writer.write(b"one\ntwo\n");
        assert_eq!((counts.written(), counts.dropped(), counts.is_failing()), (0, 2, true));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        writer.target = Target::File(LineFile::of(path.clone(), open(&path).unwrap(), true));
        writer.write(b"three\n");
        assert_eq!(read(&path), "\nthree\n", "what was torn stands on a line of its own");
        writer.write(b"four\n");
        assert_eq!(read(&path), "\nthree\nfour\n");
        assert_eq!((counts.written(), counts.dropped(), counts.is_failing()), (2, 2, false));
    }

    #[test]
    fn r69_a_stream_of_lines_takes_bounded_room_and_failures_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let counts = Arc::new(StreamCounters::default());
        let sink = LineQueue::file(&path, None, counts.clone()).unwrap();
        sink.write(b"before\n".to_vec());
        sink.set_rotation(Some(Rotation { size: 200_000, keep: 2 }));
        for number in 0..10_000 {
            sink.write(format!("{number:099}\n").into_bytes());
        }
        sink.flush(PATIENCE);
        let files: Vec<_> = ["audit.2", "audit.1", "audit"].iter().map(|name| read(&dir.path().join(name))).collect();
        assert!(
            files.iter().all(|text| text.len() <= 200_000),
            "{:?}",
            files.iter().map(String::len).collect::<Vec<_>>()
        );
        let numbers: Vec<u32> = files.concat().lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers.len() > 2_600 && numbers.last() == Some(&9_999), "{}", numbers.len());
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no line is lost or split");
        assert!((5..=10).contains(&counts.rotations()), "{counts:?}");
        assert_eq!((counts.written(), counts.dropped(), counts.rotation_failures()), (10_001, 0, 0));
        std::fs::remove_file(dir.path().join("audit.1")).unwrap();
        std::fs::create_dir_all(dir.path().join("audit.1/x")).unwrap();
        sink.set_rotation(Some(Rotation { size: 100, keep: 1 }));
        for _ in 0..100 {
            sink.write(b"more\n".to_vec());
            sink.flush(PATIENCE);
        }
        assert!(read(&path).ends_with("more\nmore\n"));
        assert_eq!((counts.dropped(), counts.rotation_failures()), (0, 1));
    }
}
