//! The password hashes that can be verified at a bounded cost.

use argon2::{Params, Version};
use scrypt::phc::PasswordHash as Phc;

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

/// A hash that can be verified at a bounded cost.
pub(super) enum Stored<'a> {
    Argon2(Phc),
    Scrypt(Phc),
    Bcrypt(&'a str),
}

impl<'a> Stored<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Unsupported> {
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
pub(super) fn complete_phc(text: &str) -> Option<Phc> {
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

const MIN_HASH_BYTES: usize = 16;
/// Memory of one verification, in KiB.
const MAX_KIB: u64 = 256 << 10;
/// KiB written in one verification: about two seconds.
const MAX_KIB_PASSES: u64 = 2 << 20;
const MAX_LANES: u32 = 16;
const MAX_LOG_N: u32 = 24;
/// 2^15 rounds: about two seconds.
const MAX_BCRYPT_COST: u32 = 15;
