//! Refresh tokens: opaque to the client, and each derived from the one before it.
//!
//! A token contains its session, its number, and a secret. The store keeps a hash. A tag, made with a key of the
//! session, distinguishes a genuine token from an invented one: only a genuine token that is used twice ends a session.
//! The secret of the next token is derived from this secret and the same key, so that a client that lost a response
//! gets the same token again, from any process.

use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::token::TokenId;

#[derive(Clone, Copy)]
pub(super) struct RefreshToken {
    pub(super) session: TokenId,
    /// The number of refresh tokens before it.
    pub(super) generation: u32,
    secret: [u8; SECRET_BYTES],
    tag: [u8; TAG_BYTES],
}

impl RefreshToken {
    /// The first one of a session, and the session's key for the others. `None` if the system's random source failed.
    pub(super) fn first(session: TokenId) -> Option<(Self, [u8; SECRET_BYTES])> {
        let (mut secret, mut key) = ([0; SECRET_BYTES], [0; SECRET_BYTES]);
        rand::fill(&mut secret).ok()?;
        rand::fill(&mut key).ok()?;
        Some((Self::make(session, 0, secret, &key), key))
    }

    pub(super) fn next(&self, key: &[u8; SECRET_BYTES]) -> Self {
        let generation = self.generation.saturating_add(1);
        let secret = mac(key, b"next", &[&generation.to_be_bytes(), &self.secret]);
        Self::make(self.session, generation, secret, key)
    }

    /// Parses a token. `None` if it is malformed. Its tag is not checked.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (session, rest) = bytes.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (secret, tag) = rest.split_first_chunk()?;
        Some(Self {
            session: TokenId(u128::from_be_bytes(*session)),
            generation: u32::from_be_bytes(*generation),
            secret: *secret,
            tag: tag.try_into().ok()?,
        })
    }

    /// Returns whether it was made with this key.
    pub(super) fn is_genuine(&self, key: &[u8; SECRET_BYTES]) -> bool {
        let made = Self::make(self.session, self.generation, self.secret, key);
        constant_time::verify_slices_are_equal(&made.tag, &self.tag).is_ok()
    }

    /// The form for the client.
    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([&self.head()[..], &self.secret, &self.tag].concat())
    }

    /// The form in the store.
    pub(super) fn hash(&self) -> [u8; SECRET_BYTES] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.head());
        context.update(&self.secret);
        let mut hash = [0; SECRET_BYTES];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }

    fn make(session: TokenId, generation: u32, secret: [u8; SECRET_BYTES], key: &[u8; SECRET_BYTES]) -> Self {
        let mut token = Self { session, generation, secret, tag: [0; TAG_BYTES] };
        let tag = mac(key, b"tag", &[&token.hash()]);
        token.tag.copy_from_slice(&tag[..TAG_BYTES]);
        token
    }

    fn head(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..16].copy_from_slice(&self.session.0.to_be_bytes());
        head[16..].copy_from_slice(&self.generation.to_be_bytes());
        head
    }
}

/// HMAC-SHA256 over parts of fixed lengths, for one purpose.
fn mac(key: &[u8; SECRET_BYTES], purpose: &[u8], parts: &[&[u8]]) -> [u8; SECRET_BYTES] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(purpose);
    parts.iter().for_each(|part| context.update(part));
    let mut tag = [0; SECRET_BYTES];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

const SECRET_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 20;
/// In base64url.
const TEXT_BYTES: usize = ((HEAD_BYTES + SECRET_BYTES + TAG_BYTES) * 4).div_ceil(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_writes_and_the_next_one_is_always_the_same() {
        let session = TokenId::random();
        let (first, key) = RefreshToken::first(session).unwrap();
        let read = RefreshToken::parse(&first.text()).unwrap();
        assert!(read.session == session && read.generation == 0 && read.is_genuine(&key));
        assert_eq!(read.hash(), first.hash());
        let next = read.next(&key);
        assert_eq!(next.text(), first.next(&key).text());
        assert!(next.generation == 1 && next.is_genuine(&key) && next.hash() != first.hash());
        assert_ne!(next.next(&key).text(), next.text());
        assert_ne!(RefreshToken::first(session).unwrap().0.text(), first.text());
    }

    #[test]
    fn whatever_is_changed_in_it_shows() {
        let (token, key) = RefreshToken::first(TokenId::random()).unwrap();
        assert!(!token.is_genuine(&RefreshToken::first(token.session).unwrap().1), "another session's key");
        let bytes = URL_SAFE_NO_PAD.decode(token.text()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = RefreshToken::parse(&URL_SAFE_NO_PAD.encode(changed)).unwrap();
            assert!(!changed.is_genuine(&key), "{bit}");
        }
        let text = token.text();
        for wrong in ["", "a", &text[1..], &format!("{text}A"), &format!("{text}="), &"é".repeat(45), &" ".repeat(91)]
        {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
    }
}
