//! Password hashes, and the threads that compute them.
//!
//! New hashes are argon2id with the parameters of the OWASP cheat sheet (19 MiB, 2 passes, 1 lane). Imported argon2,
//! scrypt and bcrypt hashes verify, and are replaced at the next login.
//!
//! Hashing is slow and takes memory on purpose, so a flood of logins must not slow down the proxy (SECURITY.md R42): it
//! runs on a fixed number of threads with a lower priority than the proxy's, behind a queue of a fixed length. The
//! queue is shared fairly (R64). A job without room is rejected at once.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use argon2::{Algorithm, Argon2, Block, Params, PasswordVerifier as _, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use scrypt::Scrypt;
use scrypt::phc::PasswordHash as Phc;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::fair_queue::FairQueue;
pub use super::fair_queue::Share;
use crate::store::PasswordHash;

/// A password as the user typed it. `Debug` hides it, and its memory is overwritten when the last clone is dropped.
#[derive(Clone)]
pub struct Password(Arc<Zeroizing<String>>);

impl Password {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// Every hashing thread has work and the queue is full, or the random source of this machine failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no password can be hashed at the moment")]
pub struct HashUnavailable;

/// The hashing threads. Dropping the pool ends them after the work that is queued.
pub struct HashPool {
    shared: Arc<Shared>,
    threads: usize,
    /// The hash that is verified for a user that does not exist.
    nobody: PasswordHash,
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
        let nobody = hash(&Password::new(String::new())).map_err(io::Error::other)?;
        let work = Mutex::new(Work { jobs: FairQueue::new(), idle: 0, ended: false });
        let shared = Arc::new(Shared { work, changed: Condvar::new(), load: HashPoolLoad::default(), queue });
        // Before the first thread, so that those that were started end if another can't be.
        let pool = Self { shared, threads: threads.max(1), nobody };
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
        let (password, stored) = (password.clone(), stored.unwrap_or(&self.nobody).clone());
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

/// A hash that this version does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Not a supported kind of hash.
    #[error("not an argon2, scrypt or bcrypt hash")]
    Kind,
    /// A supported kind, but malformed.
    #[error("not a well-formed {0} hash")]
    Malformed(&'static str),
    /// One login with it would take more than 256 MiB, or seconds.
    #[error("the cost of this {0} hash is out of bounds")]
    Cost(&'static str),
}

/// Accepts a hash of another system.
///
/// # Errors
/// A login could not verify it, or only at a cost that would block all other logins.
pub fn import(text: &str) -> Result<PasswordHash, Unsupported> {
    Stored::parse(text).map(|_| PasswordHash(text.to_owned()))
}

/// Returns whether this differs from a hash by [`hash`]. Stronger hashes differ, too: a login that takes longer than
/// that of an unknown user reveals that its user exists.
#[must_use]
pub fn needs_rehash(stored: &PasswordHash) -> bool {
    !stored.0.starts_with(OURS)
}

/// Hashes on this thread, for a program that has nothing else to do.
///
/// # Errors
/// [`HashUnavailable`] if the random source failed.
pub fn hash(password: &Password) -> Result<PasswordHash, HashUnavailable> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| HashUnavailable)?;
    let mut hash = [0; Params::DEFAULT_OUTPUT_LEN];
    // Argon2's defaults, which a test compares with the documented numbers.
    hash_into(&Params::DEFAULT, password, &salt, &mut hash).ok_or(HashUnavailable)?;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(PasswordHash(format!("{OURS}{salt}${hash}")))
}

/// Argon2id with Tollgate's parameters, in memory that this thread keeps. Memory that is allocated for every login
/// would exist twice for a while, and the system would have to clear every page.
fn hash_into(params: &Params, password: &Password, salt: &[u8], hash: &mut [u8]) -> Option<()> {
    thread_local! {
        static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    MEMORY.with_borrow_mut(|memory| {
        memory.resize(params.block_count(), Block::default());
        argon2.hash_password_into_with_memory(password.0.as_bytes(), salt, hash, memory).ok()
    })
}

/// Returns whether this is the password of a hash by [`hash`].
fn is_ours(password: &Password, phc: &Phc) -> Option<bool> {
    let (params, salt, hash) = (Params::try_from(phc).ok()?, phc.salt.as_ref()?, phc.hash.as_ref()?);
    let mut made = vec![0; hash.len()];
    hash_into(&params, password, salt.as_ref(), &mut made)?;
    Some(verify_slices_are_equal(&made, hash.as_bytes()).is_ok())
}

/// A hash that can be verified at a bounded cost.
enum Stored<'a> {
    Argon2(Phc),
    Scrypt(Phc),
    Bcrypt(&'a str),
}

impl<'a> Stored<'a> {
    fn parse(text: &'a str) -> Result<Self, Unsupported> {
        match text.split('$').nth(1) {
            Some("argon2id" | "argon2i" | "argon2d") => argon2_phc(text).map(Self::Argon2),
            Some("scrypt") => scrypt_phc(text).map(Self::Scrypt),
            // `2x` marks the hashes of a faulty implementation, which the library would verify as if they were right.
            Some("2a" | "2b" | "2y") => bcrypt_text(text).map(Self::Bcrypt),
            _ => Err(Unsupported::Kind),
        }
    }
}

fn argon2_phc(text: &str) -> Result<Phc, Unsupported> {
    let (phc, malformed) = (complete_phc(text), Unsupported::Malformed("argon2"));
    let mut phc = phc.ok_or(malformed)?;
    // The reference implementation writes the version from the second one on; without a version, the library assumes
    // it.
    phc.version.get_or_insert(Version::V0x10 as u32);
    let params = Params::try_from(&phc).map_err(|_| malformed)?;
    let version = phc.version.is_none_or(|version| Version::try_from(version).is_ok());
    // A key id names a secret that Tollgate does not have.
    if !version || !params.keyid().is_empty() {
        return Err(malformed);
    }
    let memory_passes = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if u64::from(params.m_cost()) > MAX_KIB || memory_passes > MAX_KIB_PASSES || params.p_cost() > MAX_LANES {
        return Err(Unsupported::Cost("argon2"));
    }
    Ok(phc)
}

fn scrypt_phc(text: &str) -> Result<Phc, Unsupported> {
    let malformed = Unsupported::Malformed("scrypt");
    let phc = complete_phc(text).filter(|phc| phc.version.is_none()).ok_or(malformed)?;
    let parameter = |name: &str| phc.params.get_decimal(name).filter(|value| *value > 0).ok_or(malformed);
    let (log_n, r, p) = (parameter("ln")?, parameter("r")?, parameter("p")?);
    // RFC 7914, 2: 128 * N * r bytes of memory, filled and read once for each of p. Bounds first: the library
    // multiplies r and p in 32 bits.
    let kib = 1_u64.checked_shl(log_n).map_or(u64::MAX, |n| n.saturating_mul(u64::from(r)) / 8);
    if log_n > MAX_LOG_N || p > MAX_LANES || kib > MAX_KIB || kib.saturating_mul(u64::from(p)) > MAX_KIB_PASSES {
        return Err(Unsupported::Cost("scrypt"));
    }
    scrypt::Params::try_from(&phc).map_err(|_| malformed)?;
    Ok(phc)
}

/// A PHC string with a salt, and a hash that is too long to hit by chance.
fn complete_phc(text: &str) -> Option<Phc> {
    let phc = Phc::new(text).ok()?;
    (phc.salt.is_some() && phc.hash.as_ref()?.len() >= MIN_HASH_BYTES).then_some(phc)
}

fn bcrypt_text(text: &str) -> Result<&str, Unsupported> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| Unsupported::Malformed("bcrypt"))?;
    match parts.get_cost() {
        4..=MAX_BCRYPT_COST => Ok(text),
        _ => Err(Unsupported::Cost("bcrypt")),
    }
}

fn verify(password: &Password, stored: &PasswordHash) -> bool {
    let typed = password;
    let password = password.0.as_bytes();
    match Stored::parse(&stored.0) {
        Ok(Stored::Argon2(phc)) if stored.0.starts_with(OURS) => is_ours(typed, &phc).unwrap_or(false),
        Ok(Stored::Argon2(phc)) => Argon2::default().verify_password(password, &phc).is_ok(),
        Ok(Stored::Scrypt(phc)) => Scrypt::new().verify_password(password, &phc).is_ok(),
        // Only the first 72 bytes count, as when the hash was made.
        Ok(Stored::Bcrypt(text)) => bcrypt::verify(password, text).unwrap_or(false),
        Err(error) => {
            tracing::error!(%error, "a stored password hash can't be verified");
            false
        }
    }
}

/// The prefix of every hash by Tollgate.
const OURS: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
const SALT_BYTES: usize = 16;
const MIN_HASH_BYTES: usize = 16;
/// Memory of one verification, in KiB.
const MAX_KIB: u64 = 256 << 10;
/// KiB written in one verification: about two seconds.
const MAX_KIB_PASSES: u64 = 2 << 20;
const MAX_LANES: u32 = 16;
const MAX_LOG_N: u32 = 24;
/// 2^15 rounds: about two seconds.
const MAX_BCRYPT_COST: u32 = 15;
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.into())
    }

    const HERE: Share<'_> = Share { realm: "a", client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

    fn verifies(text: &str, stored: &str) -> bool {
        verify(&password(text), &PasswordHash(stored.into()))
    }

    #[test]
    fn our_hashes_have_the_documented_strength() {
        let hash = hash(&password("correct horse")).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        let phc = complete_phc(&hash.0).unwrap();
        assert_eq!((phc.salt.unwrap().len(), phc.hash.unwrap().len()), (16, 32));
        assert!(!needs_rehash(&hash));
        assert!(verifies("correct horse", &hash.0));
        assert!(!verifies("correct horsf", &hash.0));
        assert!(!verifies("", &hash.0));
        assert_ne!(super::hash(&password("correct horse")).unwrap(), hash, "salted");
        assert_eq!(import(&hash.0), Ok(hash));
    }

    #[test]
    fn hashes_of_other_systems_verify_and_are_replaced() {
        for (text, stored) in [
            // Argon2's own specification and test vectors of its reference implementation.
            ("password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"),
            ("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
            ("password", "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ"),
            // Passlib's documentation.
            ("password", "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"),
            // Openwall's crypt_blowfish test vectors.
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ] {
            let imported = import(stored).unwrap();
            assert!(verify(&password(text), &imported), "{stored}");
            assert!(!verify(&password("passwort"), &imported), "{stored}");
            assert!(needs_rehash(&imported));
        }
    }

    #[test]
    fn hashes_that_cannot_or_must_not_be_verified_are_not_imported() {
        let (salt, hash) = ("c29tZXNhbHRzYWx0", "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA");
        let bcrypt = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        for (text, error) in [
            (String::new(), Unsupported::Kind),
            ("password".into(), Unsupported::Kind),
            ("5f4dcc3b5aa765d61d8327deb882cf99".into(), Unsupported::Kind),
            ("$1$salt$hash".into(), Unsupported::Kind),
            ("$6$salt$hash".into(), Unsupported::Kind),
            (bcrypt.replace("2b", "2x"), Unsupported::Kind),
            (bcrypt.replace("$05$", "$16$"), Unsupported::Cost("bcrypt")),
            (bcrypt.replace("$05$", "$03$"), Unsupported::Cost("bcrypt")),
            (bcrypt.replace("$05$", "$99$"), Unsupported::Cost("bcrypt")),
            (bcrypt.replace("CCC", "C!C"), Unsupported::Malformed("bcrypt")),
            (bcrypt[..59].into(), Unsupported::Malformed("bcrypt")),
            ("$argon2id$".into(), Unsupported::Malformed("argon2")),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"), Unsupported::Malformed("argon2")),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$c2hvcnRlcjEyMw"), Unsupported::Malformed("argon2")),
            (format!("$argon2id$v=18$m=19456,t=2,p=1${salt}${hash}"), Unsupported::Malformed("argon2")),
            (format!("$argon2id$v=19$m=19456,t=2,p=1,keyid=AAAA${salt}${hash}"), Unsupported::Malformed("argon2")),
            (format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}${hash}"), Unsupported::Cost("argon2")),
            (format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1${salt}${hash}"), Unsupported::Cost("argon2")),
            (format!("$argon2id$v=19$m=19456,t=200000,p=1${salt}${hash}"), Unsupported::Cost("argon2")),
            (format!("$argon2id$v=19$m=19456,t=1,p=255${salt}${hash}"), Unsupported::Cost("argon2")),
            (format!("$scrypt$ln=16,r=8${salt}${hash}"), Unsupported::Malformed("scrypt")),
            (format!("$scrypt$ln=30,r=8,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
            (format!("$scrypt$ln=63,r=8,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
            (format!("$scrypt$ln=64,r=8,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
            (format!("$scrypt$ln=16,r=4294967295,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
            (format!("$scrypt$ln=16,r=65536,p=65536${salt}${hash}"), Unsupported::Cost("scrypt")),
            (format!("$scrypt$ln=0,r=8,p=1${salt}${hash}"), Unsupported::Malformed("scrypt")),
        ] {
            assert_eq!(import(&text), Err(error), "{text}");
            assert!(!verifies("password", &text), "{text}");
        }
    }

    #[tokio::test]
    async fn r31_nobody_has_a_password_and_costs_as_much_as_somebody() {
        let pool = HashPool::new(1, 8).unwrap();
        assert!(!needs_rehash(&pool.nobody), "the same parameters");
        assert_eq!(pool.verify(HERE, &password(""), None).await, Ok(false), "not even the one that its hash is of");
        let stored = pool.hash(HERE, &password("secret")).await.unwrap();
        assert_eq!(pool.verify(HERE, &password("secret"), Some(&stored)).await, Ok(true));
        assert_eq!(pool.verify(HERE, &password("wrong"), Some(&stored)).await, Ok(false));
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..10 {
            for (time, stored) in fastest.iter_mut().zip([Some(&stored), None]) {
                let start = Instant::now();
                pool.verify(HERE, &password("wrong"), stored).await.unwrap();
                *time = start.elapsed().min(*time);
            }
        }
        let [somebody, nobody] = fastest;
        // Other tests run beside this one: it distinguishes work from no work, and tests/ compare the times of a whole
        // login.
        assert!(nobody > somebody / 10, "{nobody:?} for nobody, {somebody:?} for somebody");
    }

    #[tokio::test]
    async fn r42_a_full_queue_is_told_at_once() {
        let pool = HashPool::new(1, 1).unwrap();
        let (open, closed) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let mut blocked = Box::pin(pool.run(HERE, move || {
            let _ = started.send(());
            let _ = closed.recv();
        }));
        tokio::select! {
            _ = &mut blocked => panic!("it waits"),
            _ = running => {}
        }
        let a = password("a");
        let queued = pool.verify(HERE, &a, None);
        tokio::pin!(queued);
        tokio::select! {
            biased;
            _ = &mut queued => panic!("it is behind the other"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(pool.verify(HERE, &password("a"), None).await, Err(HashUnavailable));
        assert_eq!(pool.hash(HERE, &password("a")).await, Err(HashUnavailable));
        drop(open);
        blocked.await.unwrap();
        assert_eq!(queued.await, Ok(false));
        assert_eq!(pool.verify(HERE, &password("a"), None).await, Ok(false), "room again");
    }

    #[tokio::test]
    async fn r64_a_flood_of_one_network_turns_no_other_away() {
        let pool = Arc::new(HashPool::new(1, 4).unwrap());
        let (open, closed) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let ask = |last: u8, work: Box<dyn FnOnce() + Send>| {
            let pool = Arc::clone(&pool);
            let client = std::net::Ipv4Addr::new(192, 0, 2, last).into();
            tokio::spawn(async move { pool.run(Share { client, ..HERE }, work).await })
        };
        let blocked = ask(
            1,
            Box::new(move || {
                let _ = started.send(());
                let _ = closed.recv();
            }),
        );
        running.await.unwrap();
        let flood: Vec<_> = (0..20).map(|_| ask(1, Box::new(|| ()))).collect();
        while pool.load().rejected() < 16 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..5).map(|last| ask(last, Box::new(|| ()))).collect();
        while pool.load().rejected() < 19 {
            tokio::task::yield_now().await;
        }
        drop(open);
        blocked.await.unwrap().unwrap();
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(()));
        }
        let mut hashed = 0;
        for login in flood {
            hashed += usize::from(login.await.unwrap().is_ok());
        }
        assert_eq!((hashed, pool.load().waiting()), (1, 0));
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_thread() {
        let pool = HashPool::new(1, 4).unwrap();
        for _ in 0..3 {
            assert_eq!(pool.run(HERE, || panic!("on purpose")).await, Err::<(), _>(HashUnavailable));
        }
        assert_eq!(pool.run(HERE, || 7).await, Ok(7));
    }

    #[test]
    fn debug_hides_passwords() {
        assert!(!format!("{:?} {:?}", password("hunter2"), PasswordHash("hunter2".into())).contains("hunter2"));
    }
}
