//! Second factors: the one-time codes of an authenticator app (RFC 6238), and recovery codes. Every code works once.
//!
//! This module does not use the store: a used code returns the factor to store. The caller stores it under the user's
//! version ([`crate::store::UserStore::update_user`]), so that of two concurrent logins with one code one succeeds.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, rand};
use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Builder, Secret};
use zeroize::Zeroizing;

use crate::store::SecondFactor;

/// A new second factor. No `Debug`: it is a credential.
pub struct Enrollment {
    pub factor: SecondFactor,
    /// The recovery codes, which are shown once: only their hashes are stored.
    pub recovery: Vec<Zeroizing<String>>,
}

/// The random source of this machine failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the random source of this machine failed")]
pub struct RandomSourceError;

/// Why a code is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The code is wrong, of another time, or a used recovery code.
    #[error("the code is wrong")]
    Wrong,
    /// A one-time code that is right, but it or a later one was used already.
    #[error("the code was used already")]
    Used,
}

/// A new secret and new recovery codes.
///
/// # Errors
/// [`RandomSourceError`].
pub fn enroll() -> Result<Enrollment, RandomSourceError> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    rand::fill(&mut *secret).map_err(|_| RandomSourceError)?;
    let (mut recovery, mut hashes) = (Vec::with_capacity(RECOVERY_CODES), Vec::with_capacity(RECOVERY_CODES));
    for _ in 0..RECOVERY_CODES {
        let mut bytes = Zeroizing::new([0; RECOVERY_BYTES]);
        rand::fill(&mut *bytes).map_err(|_| RandomSourceError)?;
        let mut text = Zeroizing::new(BASE32_NOPAD.encode(&*bytes));
        text.make_ascii_lowercase();
        hashes.push(sha256(&text));
        recovery.push(Zeroizing::new(format!("{}-{}-{}-{}", &text[..4], &text[4..8], &text[8..12], &text[12..])));
    }
    Ok(Enrollment { factor: SecondFactor { secret: secret.to_vec(), used: NEVER, recovery: hashes }, recovery })
}

/// Returns the URI for a QR code, in the Key URI Format of Google Authenticator: the application shows `issuer` and
/// `account`. Neither is checked; of an `issuer` with a colon, applications read the part before it.
#[must_use]
pub fn uri(secret: &[u8], issuer: &str, account: &str) -> Zeroizing<String> {
    let secret = Zeroizing::new(BASE32_NOPAD.encode(secret));
    let (issuer, account) = (utf8_percent_encode(issuer, ESCAPED), utf8_percent_encode(account, ESCAPED));
    // The last three are defaults; some applications require them.
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
        *secret
    ))
}

/// Uses a code at `now` (Unix seconds): six digits of the present time step, or one step before or after; or a recovery
/// code. White space is ignored, and so are the letter case and hyphens of a recovery code. Returns the factor to
/// store.
///
/// # Errors
/// [`CodeError`]; the factor is unchanged.
pub fn consume_code(factor: &SecondFactor, code: &str, now: i64) -> Result<SecondFactor, CodeError> {
    // Applications show "123 456".
    let code: String = code.chars().filter(|char| !char.is_whitespace()).collect();
    if code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()) {
        use_digits(factor, &code, now)
    } else {
        use_recovery(factor, &code)
    }
}

fn use_digits(factor: &SecondFactor, digits: &str, now: i64) -> Result<SecondFactor, CodeError> {
    let Ok(secret) = <[u8; SECRET_BYTES]>::try_from(&*factor.secret) else {
        tracing::error!("a stored second factor can't be verified");
        return Err(CodeError::Wrong);
    };
    let totp = Builder::new().with_secret(Secret::new_stack(secret)).with_skew(0).build_noncompliant();
    // RFC 6238, 4.2: steps are counted from 1970, and there are none before.
    let fits = |step: i64| u64::try_from(step).is_ok_and(|step| totp.check(digits, step * STEP_SECONDS).is_some());
    let step = now.div_euclid(STEP_SECONDS.cast_signed());
    // All are compared in any case, so that the time reveals nothing. If one code is that of two steps, both are used.
    let fitting = [step - 1, step, step + 1].map(|step| fits(step).then_some(step));
    match fitting.into_iter().flatten().max() {
        None => Err(CodeError::Wrong),
        Some(step) if step <= factor.used => Err(CodeError::Used),
        Some(step) => Ok(SecondFactor { used: step, ..factor.clone() }),
    }
}

fn use_recovery(factor: &SecondFactor, code: &str) -> Result<SecondFactor, CodeError> {
    let hash = sha256(&code.replace('-', "").to_ascii_lowercase());
    let mut left = factor.clone();
    left.recovery.retain(|stored| verify_slices_are_equal(stored, &hash).is_err());
    if left.recovery.len() == factor.recovery.len() { Err(CodeError::Wrong) } else { Ok(left) }
}

/// Fast, because the input is random (SECURITY.md R41).
fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    bytes
}

/// RFC 4226, 4: at least 128 bits, better 160, which is also the size of HMAC-SHA-1.
const SECRET_BYTES: usize = 20;
const DIGITS: usize = 6;
const STEP_SECONDS: u64 = 30;
/// Before the first time step.
const NEVER: i64 = -1;
const RECOVERY_CODES: usize = 10;
/// Whole letters of base32, and enough bits that no slow hash is required.
const RECOVERY_BYTES: usize = 10;
/// All but RFC 3986's unreserved characters, and the `@` of an email address, which the format's own examples leave as it
/// is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn factor() -> SecondFactor {
        SecondFactor { secret: b"12345678901234567890".to_vec(), used: NEVER, recovery: Vec::new() }
    }

    /// The code of a step, from the implementation that the vectors below have tested.
    fn code(secret: &[u8], step: u64) -> String {
        let secret = Secret::new_stack(secret.try_into().unwrap());
        Builder::new().with_secret(secret).build().unwrap().generate(step * STEP_SECONDS).to_string()
    }

    const NOW: i64 = 1_800_000_000;
    const STEP: u64 = 60_000_000;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Eight digits there, of which the last six are the six.
        for (now, digits) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let used = consume_code(&factor(), &digits[2..], now);
            assert_eq!(used.map(|factor| factor.used), Ok(now / 30), "{now}");
            assert_eq!(consume_code(&factor(), digits, now), Err(CodeError::Wrong), "not eight");
        }
    }

    #[test]
    fn a_clock_may_be_off_by_one_step() {
        let factor = factor();
        for (step, accepted) in [(STEP - 2, false), (STEP - 1, true), (STEP, true), (STEP + 1, true), (STEP + 2, false)]
        {
            let code = code(&factor.secret, step);
            for now in [NOW, NOW + 29] {
                let used = consume_code(&factor, &code, now).map(|factor| factor.used);
                assert_eq!(used, if accepted { Ok(step.cast_signed()) } else { Err(CodeError::Wrong) });
            }
        }
    }

    #[test]
    fn a_code_works_once_and_no_earlier_one_after_it() {
        let fresh = factor();
        let [before, this, after] = [STEP - 1, STEP, STEP + 1].map(|step| code(&fresh.secret, step));
        let used = consume_code(&fresh, &this, NOW).unwrap();
        assert_eq!((&used.secret, used.recovery.len()), (&fresh.secret, 0));
        for code in [&this, &before] {
            assert_eq!(consume_code(&used, code, NOW), Err(CodeError::Used));
        }
        assert_eq!(consume_code(&used, &code(&fresh.secret, STEP + 5), NOW), Err(CodeError::Wrong));
        let used = consume_code(&used, &after, NOW).unwrap();
        assert_eq!(consume_code(&used, &after, NOW + 30), Err(CodeError::Used));
        // The next step.
        consume_code(&used, &code(&fresh.secret, STEP + 2), NOW + 60).unwrap();
    }

    #[test]
    fn white_space_does_not_count() {
        let factor = factor();
        let code = code(&factor.secret, STEP);
        for text in [
            format!("{} {}", &code[..3], &code[3..]),
            format!("\t{code}\r\n"),
            format!("{}\u{a0}{}", &code[..3], &code[3..]),
        ] {
            assert!(consume_code(&factor, &text, NOW).is_ok(), "{text:?}");
        }
        assert_eq!(consume_code(&factor, &format!("{}-{}", &code[..3], &code[3..]), NOW), Err(CodeError::Wrong));
    }

    #[test]
    fn no_time_is_too_early_or_too_late() {
        let factor = factor();
        for now in [i64::MIN, -31, -30, -1, i64::MAX - 30, i64::MAX] {
            assert_eq!(consume_code(&factor, "abcdef", now), Err(CodeError::Wrong));
            let _ = consume_code(&factor, "000000", now);
        }
        // The first step, with a clock just before it.
        assert_eq!(consume_code(&factor, &code(&factor.secret, 0), -1).map(|factor| factor.used), Ok(0));
        assert_eq!(consume_code(&factor, &code(&factor.secret, 0), -31), Err(CodeError::Wrong));
    }

    #[test]
    fn recovery_codes_work_once_each_however_they_are_written() {
        let Enrollment { mut factor, recovery } = enroll().unwrap();
        assert_eq!((recovery.len(), factor.recovery.len()), (10, 10));
        for (at, code) in recovery.iter().enumerate() {
            let groups: Vec<_> = code.split('-').collect();
            let letters = |group: &&str| {
                group.len() == 4 && group.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz234567".contains(&byte))
            };
            assert!(groups.len() == 4 && groups.iter().all(letters), "{}", **code);
            let written = match at % 4 {
                0 => code.to_string(),
                1 => code.to_ascii_uppercase(),
                2 => code.replace('-', ""),
                _ => format!("  {}\n", groups.join(" ")),
            };
            let used = consume_code(&factor, &written, NOW).unwrap();
            assert_eq!((used.used, used.recovery.len()), (factor.used, 9 - at));
            assert_eq!(consume_code(&used, code, NOW), Err(CodeError::Wrong));
            factor = used;
        }
        assert_eq!(consume_code(&factor, "", NOW), Err(CodeError::Wrong), "none is left");
        // The application works on.
        consume_code(&factor, &code(&factor.secret, STEP), NOW).unwrap();
    }

    #[test]
    fn what_is_enrolled_is_random_and_its_code_works_at_once() {
        let (one, two) = (enroll().unwrap(), enroll().unwrap());
        assert_eq!(one.factor.secret.len(), 20);
        assert_ne!(one.factor.secret, two.factor.secret);
        let codes: HashSet<_> = one.recovery.iter().chain(&two.recovery).map(|code| code.to_string()).collect();
        assert_eq!(codes.len(), 20);
        assert!(consume_code(&one.factor, &code(&one.factor.secret, STEP), NOW).is_ok());
        assert_eq!(consume_code(&two.factor, &one.recovery[0], NOW), Err(CodeError::Wrong), "another user's");
        // A code of 1970, for a clock in 1970.
        assert!(consume_code(&one.factor, &code(&one.factor.secret, 0), 0).is_ok());
    }

    #[test]
    fn garbage_is_wrong() {
        let Enrollment { factor, recovery } = enroll().unwrap();
        let right = code(&factor.secret, STEP);
        let long = "1".repeat(10_240);
        for text in [
            "",
            " ",
            "-",
            &right[..5],
            &format!("{right}0"),
            &format!("+{}", &right[1..]),
            "１２３４５６",
            "٠١٢٣٤٥",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
            &long,
            &recovery[0][..18],
            &format!("{}a", *recovery[0]),
        ] {
            assert_eq!(consume_code(&factor, text, NOW), Err(CodeError::Wrong), "{text:?}");
        }
        let broken = SecondFactor { secret: vec![1; 19], ..factor };
        assert_eq!(consume_code(&broken, "123456", NOW), Err(CodeError::Wrong));
        assert!(consume_code(&broken, &recovery[0], NOW).is_ok(), "whatever became of the secret");
    }

    #[test]
    fn the_uri_is_that_of_the_key_uri_format() {
        let uri = |issuer, account| uri(b"12345678901234567890", issuer, account).to_string();
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(
            uri("examples", "alice@example.com"),
            format!(
                "otpauth://totp/examples:alice@example.com?secret={secret}&issuer=examples&algorithm=SHA1&digits=6&period=30"
            )
        );
        assert_eq!(
            uri("ACME Co", "Zoë & a:b/c?d#e%+"),
            format!(
                "otpauth://totp/ACME%20Co:Zo%C3%AB%20%26%20a%3Ab%2Fc%3Fd%23e%25%2B?secret={secret}&issuer=ACME%20Co&\
                 algorithm=SHA1&digits=6&period=30"
            )
        );
    }
}
