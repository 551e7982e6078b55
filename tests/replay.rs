//! What fuzzing found worth keeping, on a stable compiler: every file of `tests/fuzz/corpus` goes through the check of its
//! fuzz target, as it is and cut off everywhere. CONTRIBUTING.md says how to look for more.

use std::fs;
use std::path::Path;

#[path = "fuzz/checks/cookie.rs"]
mod cookie;
#[path = "fuzz/checks/jwks.rs"]
mod jwks;
#[path = "fuzz/checks/token.rs"]
mod token;

fn replay(target: &str, check: impl Fn(&[u8]) -> bool) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} holds next to nothing", dir.display());
    let mut accepted = 0;
    for file in files {
        // The last line printed names the file that a failed check stumbled over.
        eprintln!("{}", file.display());
        let bytes = fs::read(&file).unwrap();
        accepted += usize::from(check(&bytes));
        for end in 0..bytes.len().min(600) {
            check(&bytes[..end]);
        }
    }
    // Where nothing gets in, nothing that gets in is checked.
    assert!(accepted >= 5, "{accepted} of {} accepted", dir.display());
}

#[test]
fn r25_tokens() {
    replay("token", token::check);
}

#[test]
fn r25_key_sets() {
    replay("jwks", jwks::check);
}

#[test]
fn r25_credentials() {
    replay("cookie", cookie::check);
}
