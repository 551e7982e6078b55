//! One-time codes as an authenticator app makes them (RFC 6238), without Tollgate's code.

use aws_lc_rs::hmac;

use super::*;

/// A second factor as `tollgate user mfa enable` printed it.
pub(super) struct Factor {
    secret: Vec<u8>,
    text: String,
    pub(super) recovery: Vec<String>,
}

impl Factor {
    /// Gives a user a second factor.
    #[track_caller]
    pub(super) fn enable(gate: &Gate, user: &str) -> Self {
        let config = gate.config_arg();
        let printed = tollgate(&["user", "mfa", "enable", "-c", &config, "--realm", "examples", user], "").ok().stdout;
        let secret = printed.split("?secret=").nth(1).unwrap().split('&').next().unwrap();
        let is_code = |line: &&str| line.len() == 19 && line.split('-').all(|group| group.len() == 4);
        let recovery: Vec<_> = printed.lines().filter(is_code).map(str::to_owned).collect();
        assert_eq!(recovery.len(), 10, "{printed}");
        Self { secret: base32(secret), text: secret.to_owned(), recovery }
    }

    /// The secret as it was printed.
    pub(super) fn base32(&self) -> &str {
        &self.text
    }

    fn at(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[19] & 15);
        let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }

    /// Of this moment.
    pub(super) fn code(&self) -> String {
        self.at(now() / 30)
    }

    /// Of the step after this one, which counts already.
    pub(super) fn next_code(&self) -> String {
        self.at(now() / 30 + 1)
    }

    /// Of another time, and of none that counts while a test runs.
    pub(super) fn wrong_code(&self) -> String {
        let step = now() / 30;
        let near: Vec<_> = (step - 3..step + 10).map(|step| self.at(step)).collect();
        (20..).map(|ago| self.at(step - ago)).find(|code| !near.contains(code)).unwrap()
    }
}

fn base32(text: &str) -> Vec<u8> {
    let mut bits = text.bytes().flat_map(|letter| {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => panic!("{text}"),
        };
        (0..5).rev().map(move |bit| value >> bit & 1)
    });
    (0..text.len() * 5 / 8).map(|_| (0..8).fold(0, |byte, _| byte << 1 | bits.next().unwrap())).collect()
}

/// The tests believe these codes, so they are compared with those of the Python package cryptography.
#[test]
fn the_codes_are_those_of_another_implementation() {
    let script = r#"
import sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.totp import TOTP
totp = TOTP(bytes.fromhex(sys.argv[1]), 6, hashes.SHA1(), 30)
print(*(totp.generate(int(step) * 30).decode() for step in sys.argv[2:]))
"#;
    let text = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let factor = Factor { secret: base32(text), text: text.into(), recovery: Vec::new() };
    assert_eq!(factor.secret, b"12345678901234567890");
    let steps = [0, 1, 37_037_037, now() / 30, 666_666_666];
    let hex: String = factor.secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let texts: Vec<_> = std::iter::once(hex).chain(steps.iter().map(ToString::to_string)).collect();
    let ran = python(script, &texts.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let made: Vec<_> = ran.stdout.split_whitespace().map(str::to_owned).collect();
    assert_eq!(made, steps.map(|step| factor.at(step)));
    assert_eq!(factor.at(1), "287082", "RFC 6238, appendix B");
}
