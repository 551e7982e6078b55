//! Any bytes as what a request shows of itself, put together from the parts of tokens that count: only a whole one does.
//!
//! A line is a header: `a` Authorization, `k` X-API-Key, `c` Cookie, `q` a query member, `o` Origin. In it, bytes from 128
//! on stand for the header, the payload and the signature of each token, three after three, since no fuzzer could guess
//! one; others stand for whole tokens (`fixture`).

use super::fixture::{SETUP, expand};
use super::request;

/// Whether the request passed.
pub fn check(data: &[u8]) -> bool {
    let (mut query, mut headers) = (String::new(), Vec::new());
    for line in data.split(|byte| *byte == b'\n').take(32) {
        let Some((kind, value)) = line.split_first() else { continue };
        let mut value: Vec<u8> = value.iter().flat_map(|byte| part(*byte).unwrap_or_else(|| vec![*byte])).collect();
        value = expand(&value, &[]);
        let name = match kind {
            b'a' => "Authorization: ",
            b'k' => "X-API-Key: ",
            b'c' => "Cookie: ",
            b'o' => "Origin: ",
            b'q' => {
                query.push_str(&String::from_utf8_lossy(&value));
                query.push('&');
                continue;
            }
            _ => return false,
        };
        headers.extend([name.as_bytes(), &value, b"\r\n"].concat());
    }
    let mut granted = false;
    for line in ["GET /user", "POST /user", "GET /admin", "PUT /strict", "GET /key", "DELETE /public"] {
        let mut bytes = format!("{line}?{query} HTTP/1.1\r\nHost: gate.example\r\n").into_bytes();
        bytes.extend(&headers);
        bytes.extend(b"\r\n");
        granted |= request::read(&bytes).is_some_and(|read| request::check(&read));
    }
    granted
}

/// What a byte from 128 on stands for.
fn part(byte: u8) -> Option<Vec<u8>> {
    let at = usize::from(byte.checked_sub(128)?);
    let tokens = SETUP.words.iter().map(|(_, word)| word).filter(|word| word.split('.').count() == 3);
    let text = tokens.flat_map(|token| token.split('.')).nth(at)?;
    Some(text.as_bytes().to_vec())
}
