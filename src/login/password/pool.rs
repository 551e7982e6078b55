//! The threads that hash passwords.
//!
//! Hashing is slow and takes memory on purpose, so a flood of logins must not slow down the proxy (SECURITY.md R42): it
//! runs on a fixed number of threads with a lower priority than the proxy's, behind a queue of a fixed length. The
//! queue is shared fairly (R64). A job without room is rejected at once.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::{HashUnavailable, Password, Share, hash, verify};
use crate::login::fair_queue::FairQueue;
use crate::store::PasswordHash;

/// The hashing threads. Dropping the pool ends them after the work that is queued.
pub struct HashPool {
    shared: Arc<Shared>,
    threads: usize,
    /// The hash that is verified for a user that does not exist.
    unknown_user: PasswordHash,
}

/// The load of the threads.
#[derive(Debug, Default)]
pub struct HashPoolLoad {
    waiting: AtomicUsize,
    busy: AtomicUsize,
    done: AtomicU64,
    rejected: AtomicU64,
}

impl HashPoolLoad {
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Logins that were rejected because the queue was full.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

/// Shared by the threads and the waiting callers.
struct Shared {
    work: Mutex<Work>,
    /// A job was queued, or the pool is closed.
    changed: Condvar,
    load: HashPoolLoad,
    /// Maximum number of queued jobs.
    queue: usize,
}

struct Work {
    jobs: FairQueue<Job>,
    /// Threads that wait for a job.
    idle: usize,
    ended: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl HashPool {
    /// Starts `threads` threads (at least one), for which up to `queue` passwords may wait.
    ///
    /// # Errors
    /// The system gave no thread or no random bytes.
    pub fn new(threads: usize, queue: usize) -> io::Result<Self> {
        let unknown_user = hash(&Password::new(String::new())).map_err(io::Error::other)?;
        let work = Mutex::new(Work { jobs: FairQueue::new(), idle: 0, ended: false });
        let shared = Arc::new(Shared { work, changed: Condvar::new(), load: HashPoolLoad::default(), queue });
        // Before the first thread, so that those that were started end if another can't be.
        let pool = Self { shared, threads: threads.max(1), unknown_user };
        for _ in 0..pool.threads {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new().name("password".into()).spawn(move || shared.run())?;
        }
        Ok(pool)
    }

    /// Number of threads.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// Their load.
    #[must_use]
    pub fn load(&self) -> &HashPoolLoad {
        &self.shared.load
    }

    /// Returns whether this is the password of `stored`. Without a stored hash it returns false, after the same work as
    /// for a hash of this version (SECURITY.md R31).
    ///
    /// # Errors
    /// [`HashUnavailable`], before any work was done.
    pub async fn verify(
        &self,
        share: Share<'_>,
        password: &Password,
        stored: Option<&PasswordHash>,
    ) -> Result<bool, HashUnavailable> {
        let known = stored.is_some();
        let (password, stored) = (password.clone(), stored.unwrap_or(&self.unknown_user).clone());
        // Not `known && …`: the hash is computed first, whether its result is used or not.
        self.run(share, move || verify(&password, &stored)).await.map(|verified| verified && known)
    }

    /// A new hash of this password.
    ///
    /// # Errors
    /// [`HashUnavailable`].
    pub async fn hash(&self, share: Share<'_>, password: &Password) -> Result<PasswordHash, HashUnavailable> {
        let password = password.clone();
        self.run(share, move || hash(&password)).await?
    }

    async fn run<T: Send + 'static>(
        &self,
        share: Share<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashUnavailable> {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let job = move || {
            // The caller may have been cancelled while the job was queued.
            if !answer.is_closed() {
                let working = Working::begin(&shared.load);
                let result = work();
                // Before the result: these threads run at a low priority, and an answered login must have been counted.
                drop(working);
                let _ = answer.send(result);
            }
        };
        self.shared.push(share, Box::new(job));
        // No answer comes of a job that lost its place in the queue, or panicked.
        answered.await.map_err(|_| HashUnavailable)
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job. A job without room is dropped, which its caller notices.
    fn push(&self, share: Share<'_>, job: Job) {
        let mut work = self.lock();
        // A job for which there is a thread does not wait.
        let most = self.queue.saturating_add(work.idle);
        let displaced = work.jobs.push(share, job, most);
        self.load.waiting.store(work.jobs.len(), Ordering::Relaxed);
        drop(work);
        self.changed.notify_one();
        if displaced.is_some() {
            self.load.rejected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The work of one thread.
    fn run(&self) {
        // On Linux this is a thread's own priority, elsewhere the whole process's. Without it, logins only compete more
        // with requests.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(NICE);
        while let Some(job) = self.next() {
            // A panic in a library must not end a thread: without threads, no login would succeed.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("hashing a password panicked");
            }
        }
    }

    /// Waits for the next job. `None` when there will be none.
    fn next(&self) -> Option<Job> {
        let mut work = self.lock();
        loop {
            if let Some(job) = work.jobs.pop() {
                self.load.waiting.store(work.jobs.len(), Ordering::Relaxed);
                return Some(job);
            }
            if work.ended {
                return None;
            }
            work.idle += 1;
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.idle -= 1;
        }
    }
}

/// Ends when it is dropped, however its work ended.
struct Working<'a>(&'a HashPoolLoad);

impl<'a> Working<'a> {
    fn begin(load: &'a HashPoolLoad) -> Self {
        load.busy.fetch_add(1, Ordering::Relaxed);
        Self(load)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for HashPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
const NICE: i32 = 10;

#[cfg(test)]
mod tests;
