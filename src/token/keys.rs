//! The keys that sign and verify a realm's tokens, and the form in which they are kept: one JWK (RFC 7517) a file.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::algorithm::{Algorithm, VerifyingKey};
use super::parts::seconds;
use super::signer::{NO_SIGNING_ALGORITHM, PrivateKey};
use crate::json;

/// One key of ours, both halves. It carries its one algorithm, so that a token cannot choose another (`threats.md` R20).
pub struct SigningKey {
    /// Shared with each token of its that is remembered.
    pub(super) kid: Arc<str>,
    made_at: i64,
    signs_from: i64,
    token_ttl: i64,
    signs_until: i64,
    signer: PrivateKey,
    verifying: VerifyingKey,
    jwk: Jwk,
}

/// Why a key file can't be used. Holds nothing of the key itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a key that we could sign with: what is missing or wrong.
    #[error("not a JSON Web Key (RFC 7517) to sign with: {0}")]
    Malformed(&'static str),
    /// There is no randomness to make a key of.
    #[error("the random source of this machine failed")]
    Random,
}

impl SigningKey {
    /// Makes a key with a random id, which signs from the Unix second `signs_from` on: an HS256 key of 256 random bits,
    /// an ES256 key, an `EdDSA` key (Ed25519), or an RS256 key of 2048 bits.
    ///
    /// # Errors
    /// The system's random source failed, or `algorithm` is none of these four.
    pub fn generate(algorithm: Algorithm, made_at: i64, signs_from: i64) -> Result<Self, KeyError> {
        let material = PrivateKey::generate(algorithm)?;
        let form = Form::from_algorithm(algorithm).ok_or(KeyError::Malformed(NO_SIGNING_ALGORITHM))?;
        let mut members = Map::new();
        members.insert("kty".into(), form.kty.into());
        members.insert("use".into(), "sig".into());
        members.insert("alg".into(), algorithm.name().into());
        members.insert("kid".into(), uuid::Uuid::new_v4().simple().to_string().into());
        members.insert("iat".into(), made_at.into());
        members.insert("nbf".into(), signs_from.into());
        if let Some(curve) = form.curve {
            members.insert("crv".into(), curve.into());
        }
        for (name, value) in &material {
            members.insert((*name).into(), value.as_str().into());
        }
        Self::from_jwk_members(Jwk(members))
    }

    /// Reads a key from the text of its file, and proves that it verifies what it signs.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] names what is missing or wrong.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let members = json::object(text.as_bytes()).map_err(|_| KeyError::Malformed("it is not one JSON object"))?;
        Self::from_jwk_members(Jwk(members))
    }

    fn from_jwk_members(jwk: Jwk) -> Result<Self, KeyError> {
        let text = |name: &str| jwk.0.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(Algorithm::from_name).ok_or(KeyError::Malformed(NO_SIGNING_ALGORITHM))?;
        let form = Form::from_algorithm(algorithm).ok_or(KeyError::Malformed(NO_SIGNING_ALGORITHM))?;
        if text("kty") != Some(form.kty) {
            return Err(KeyError::Malformed(form.wrong_kty));
        }
        if text("crv") != form.curve {
            return Err(KeyError::Malformed(
                "\"crv\" is not that of \"alg\": \"P-256\" for ES256, \"Ed25519\" for EdDSA",
            ));
        }
        if jwk.0.get("use").is_some_and(|usage| usage != "sig") {
            return Err(KeyError::Malformed("\"use\" is not \"sig\""));
        }
        let plain = |kid: &&str| !kid.is_empty() && kid.len() <= MAX_KID_BYTES && !kid.chars().any(char::is_control);
        let kid = text("kid").filter(plain);
        let kid = kid.ok_or(KeyError::Malformed("\"kid\" is missing, empty, too long or no plain text"))?.into();
        let made_at = time(&jwk.0, "iat")?;
        let made_at = made_at.ok_or(KeyError::Malformed("\"iat\" (Unix seconds of its making) is missing"))?;
        let signs_from = time(&jwk.0, "nbf")?.unwrap_or(made_at);
        let token_ttl = time(&jwk.0, TOKEN_TTL)?.unwrap_or(0);
        let signs_until = time(&jwk.0, SIGNS_UNTIL)?.unwrap_or(0);
        let (signer, verifying) = PrivateKey::read(algorithm, &text)?;
        let verifying = VerifyingKey::new(algorithm, verifying);
        let key = Self { kid, made_at, signs_from, token_ttl, signs_until, signer, verifying, jwk };
        // Better now than at a login. ☠ So also that jsonwebtoken panics at its first use if its crypto backend was not
        // chosen at build time.
        let proven = key.sign(PROOF).is_ok_and(|signature| key.verifying.verifies(PROOF, &signature));
        if proven { Ok(key) } else { Err(KeyError::Malformed("it does not verify what it signs")) }
    }

    /// The text of the file that keeps this key. Secret: mode 0600, never logged.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        self.jwk.text()
    }

    /// The text of its file, if that does not say yet that it signs tokens which live for `token_ttl` seconds, or, where
    /// one is given, that it signs until `signs_until` though another key would have its turn.
    #[must_use]
    pub fn with_lifetime(&self, token_ttl: i64, signs_until: Option<i64>) -> Option<Zeroizing<String>> {
        let signs_until = signs_until.unwrap_or(0);
        if token_ttl <= self.token_ttl && signs_until <= self.signs_until {
            return None;
        }
        let mut jwk = Jwk(self.jwk.0.clone());
        for (name, old, new) in [(TOKEN_TTL, self.token_ttl, token_ttl), (SIGNS_UNTIL, self.signs_until, signs_until)] {
            if new > old {
                jwk.0.insert(name.into(), new.into());
            }
        }
        Some(jwk.text())
    }

    /// What others need to verify with it (RFC 7517), and no more. `None` for a secret that the two sides share.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Value> {
        let public = Form::from_algorithm(self.algorithm())?.public;
        if public.is_empty() {
            return None;
        }
        let mut published = Map::new();
        published.insert("kty".into(), self.jwk.0.get("kty")?.clone());
        published.insert("use".into(), "sig".into());
        for name in ["alg", "kid"].iter().chain(public) {
            published.insert((*name).into(), self.jwk.0.get(*name)?.clone());
        }
        Some(Value::Object(published))
    }

    /// The key id, `kid` in a token's header.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm that it signs and verifies with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// When it was made, in Unix seconds.
    #[must_use]
    pub const fn created_at(&self) -> i64 {
        self.made_at
    }

    /// From when on it signs, in Unix seconds, if no later one has its turn.
    #[must_use]
    pub const fn active_from(&self) -> i64 {
        self.signs_from
    }

    /// Until when it has been promised to sign though a later key has its turn, in Unix seconds; 0: no such thing.
    #[must_use]
    pub const fn active_until(&self) -> i64 {
        self.signs_until
    }

    pub(super) const fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The signature of `message`, base64url.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        self.signer.sign(message).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| KeyError::Random)
    }

    /// Keys have their turns in this order.
    fn turn(&self) -> (i64, &str) {
        (self.signs_from, &self.kid)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The members of a key's file.
struct Jwk(Map<String, Value>);

impl Jwk {
    fn text(&self) -> Zeroizing<String> {
        let text = Zeroizing::new(serde_json::to_string_pretty(&self.0).unwrap_or_default());
        Zeroizing::new(format!("{}\n", *text))
    }
}

impl Drop for Jwk {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

/// How the JWK of an algorithm looks.
struct Form {
    kty: &'static str,
    wrong_kty: &'static str,
    curve: Option<&'static str>,
    public: &'static [&'static str],
}

impl Form {
    /// `None` for an algorithm that we don't sign with.
    const fn from_algorithm(algorithm: Algorithm) -> Option<Self> {
        Some(match algorithm {
            Algorithm::HS256 => {
                Self { kty: "oct", wrong_kty: "\"kty\" is not \"oct\", as HS256 needs", curve: None, public: &[] }
            }
            Algorithm::ES256 => Self {
                kty: "EC",
                wrong_kty: "\"kty\" is not \"EC\", as ES256 needs",
                curve: Some("P-256"),
                public: &["crv", "x", "y"],
            },
            Algorithm::EdDSA => Self {
                kty: "OKP",
                wrong_kty: "\"kty\" is not \"OKP\", as EdDSA needs",
                curve: Some("Ed25519"),
                public: &["crv", "x"],
            },
            Algorithm::RS256 => Self {
                kty: "RSA",
                wrong_kty: "\"kty\" is not \"RSA\", as RS256 needs",
                curve: None,
                public: &["n", "e"],
            },
            _ => return None,
        })
    }
}

fn time(members: &Map<String, Value>, name: &str) -> Result<Option<i64>, KeyError> {
    let Some(value) = members.get(name) else { return Ok(None) };
    seconds(value.as_i64())
        .map(Some)
        .ok_or(KeyError::Malformed("\"iat\", \"nbf\", \"ttl\" or \"until\" is not a whole number of seconds"))
}

/// A realm's keys: at least one that signs, no two of the same id.
#[derive(Debug)]
pub struct SigningKeys {
    algorithm: Algorithm,
    keys: Vec<SigningKey>,
}

impl SigningKeys {
    /// Those of `algorithm` sign in turn, every one verifies.
    ///
    /// # Errors
    /// There is no key of `algorithm`, or two have the same id.
    pub fn new(algorithm: Algorithm, mut keys: Vec<SigningKey>) -> Result<Self, KeyError> {
        keys.sort_by(|a, b| b.turn().cmp(&a.turn()));
        if signing(&keys, algorithm, 0).is_none() {
            return Err(KeyError::Malformed("there is no key of the realm's algorithm"));
        }
        let mut kids: Vec<_> = keys.iter().map(SigningKey::kid).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(KeyError::Malformed("two keys have the same \"kid\""));
        }
        Ok(Self { algorithm, keys })
    }

    /// Every key; who has the last turn comes first.
    #[must_use]
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// The key that signs at `at` (Unix seconds).
    #[must_use]
    pub fn active_key(&self, at: i64) -> &SigningKey {
        // `new` has found one.
        signing(&self.keys, self.algorithm, at).unwrap_or(&self.keys[0])
    }

    pub(super) fn by_id(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| *key.kid == *kid)
    }
}

/// The one of `keys` that signs with `algorithm` at `at` (Unix seconds): whose turn began last. Before the first turn it
/// is the one whose turn comes first: to sign nothing would lock everybody out.
pub fn signing<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    algorithm: Algorithm,
    at: i64,
) -> Option<&'a SigningKey> {
    let (begun, waiting): (Vec<_>, Vec<_>) =
        keys.into_iter().filter(|key| key.algorithm() == algorithm).partition(|key| key.signs_from <= at);
    begun.into_iter().max_by_key(|key| key.turn()).or_else(|| waiting.into_iter().min_by_key(|key| key.turn()))
}

/// The Unix second after which no token counts any more that `key`, one of `keys`, has signed, given that it signs no
/// more, that tokens live for up to `token_ttl` seconds, and that their `exp` may be missed by `leeway`. `None` as long
/// as no later key's turn has begun at `at`.
pub fn verification_end<'a>(
    key: &SigningKey,
    keys: impl IntoIterator<Item = &'a SigningKey>,
    token_ttl: i64,
    leeway: i64,
    at: i64,
) -> Option<i64> {
    let later = keys.into_iter().filter(|other| other.turn() > key.turn() && other.signs_from <= at);
    let replaced = later.map(|other| other.signs_from).min()?;
    // A `token_ttl` that was lowered must not end the tokens of before.
    let token_ttl = key.token_ttl.max(token_ttl);
    Some(replaced.max(key.signs_until).saturating_add(token_ttl).saturating_add(leeway))
}

const MAX_KID_BYTES: usize = 128;
const PROOF: &[u8] = b"a key verifies what it signs";
/// Members of ours: the longest life of a token that it may have signed, and [`SigningKey::active_until`]; both in seconds.
const TOKEN_TTL: &str = "ttl";
const SIGNS_UNTIL: &str = "until";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SIGN: [Algorithm; 4] = [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];
    /// Every private member of every kind of JWK.
    const PRIVATE: [&str; 8] = ["k", "d", "p", "q", "dp", "dq", "qi", "oth"];

    fn edited(key: &SigningKey, edit: impl FnOnce(&mut Map<String, Value>)) -> Result<SigningKey, KeyError> {
        let mut members = json::object(key.to_jwk().as_bytes()).unwrap();
        edit(&mut members);
        SigningKey::from_jwk(&Value::Object(members).to_string())
    }

    #[test]
    fn a_key_file_round_trips_and_debug_hides_it() {
        for algorithm in SIGN {
            let key = SigningKey::generate(algorithm, 1_700_000_000, 1_700_000_600).unwrap();
            let read = SigningKey::from_jwk(&key.to_jwk()).unwrap();
            assert_eq!((read.kid(), read.created_at(), read.active_from()), (key.kid(), 1_700_000_000, 1_700_000_600));
            assert_eq!((read.algorithm(), read.to_jwk()), (algorithm, key.to_jwk()));
            assert!(read.verifying().verifies(b"message", &key.sign(b"message").unwrap()));
            assert!(!read.verifying().verifies(b"another", &key.sign(b"message").unwrap()));
            let members = json::object(key.to_jwk().as_bytes()).unwrap();
            let secrets = PRIVATE.iter().filter_map(|name| members.get(*name)).map(|secret| secret.as_str().unwrap());
            let secrets: Vec<_> = secrets.collect();
            assert_eq!(secrets.len(), if algorithm == Algorithm::RS256 { 6 } else { 1 });
            assert!(secrets.iter().all(|secret| !format!("{key:?}").contains(secret)));
            assert!(edited(&key, |members| drop(members.shift_remove("nbf"))).unwrap().active_from() == 1_700_000_000);
            assert_ne!(SigningKey::generate(algorithm, 1, 1).unwrap().kid(), key.kid());
        }
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !SIGN.contains(algorithm)) {
            assert!(SigningKey::generate(algorithm, 1, 1).is_err(), "{algorithm:?}");
        }
    }

    #[test]
    fn what_is_published_is_public() {
        for algorithm in SIGN {
            let key = SigningKey::generate(algorithm, 1, 1).unwrap();
            let Some(public) = key.public_jwk() else {
                assert_eq!(algorithm, Algorithm::HS256);
                continue;
            };
            let names: Vec<_> = public.as_object().unwrap().keys().map(String::as_str).collect();
            let own: &[&str] = match algorithm {
                Algorithm::ES256 => &["crv", "x", "y"],
                Algorithm::EdDSA => &["crv", "x"],
                _ => &["n", "e"],
            };
            assert_eq!(names, [&["kty", "use", "alg", "kid"], own].concat());
            assert_eq!(public["alg"], algorithm.name());
        }
    }

    #[test]
    fn bad_key_files_say_what_is_wrong() {
        for algorithm in SIGN {
            let good = SigningKey::generate(algorithm, 1, 1).unwrap();
            let says = |name: &str, value: Value, expected: &str| {
                let error = edited(&good, |members| drop(members.insert(name.into(), value.clone())));
                let error = error.unwrap_err().to_string();
                assert!(error.contains(expected), "{algorithm:?} {name} = {value}: {error}");
            };
            for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                let expected = if SIGN.contains(&other) { "kty" } else { "alg" };
                says("alg", other.name().into(), expected);
            }
            says("alg", "none".into(), "alg");
            says("kty", "octet".into(), "kty");
            says("crv", "P-384".into(), "crv");
            says("use", "enc".into(), "use");
            for kid in ["".into(), "a\nb".into(), "x".repeat(129).into(), json!(7)] {
                says("kid", kid, "kid");
            }
            for name in ["iat", "nbf", "ttl", "until"] {
                for wrong in [json!("1"), json!(1.5), json!(-1), json!(1e300), Value::Null] {
                    says(name, wrong, name);
                }
            }
            let members = json::object(good.to_jwk().as_bytes()).unwrap();
            for name in ["alg", "kty", "kid", "iat", "crv", "k", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi"] {
                let Some(value) = members.get(name) else { continue };
                assert!(edited(&good, |members| drop(members.shift_remove(name))).is_err(), "without {name}");
                if name.len() > 2 {
                    continue;
                }
                let value = value.as_str().unwrap();
                let mut shorter = URL_SAFE_NO_PAD.decode(value).unwrap();
                shorter.pop();
                let mut other = URL_SAFE_NO_PAD.decode(value).unwrap();
                other[0] ^= 1;
                for wrong in [format!("{value}="), format!("{value} "), "\u{e9}".into(), String::new()] {
                    assert!(
                        edited(&good, |members| drop(members.insert(name.into(), wrong.into()))).is_err(),
                        "{name}"
                    );
                }
                for wrong in [shorter, other] {
                    let wrong = URL_SAFE_NO_PAD.encode(wrong);
                    let read = edited(&good, |members| drop(members.insert(name.into(), wrong.into())));
                    // Another secret is another key; its halves can't differ.
                    assert!(read.is_err() || name == "k", "{algorithm:?} {name}");
                }
            }
        }
        let short = r#"{"kty":"oct","alg":"HS256","kid":"a","iat":1,"k":"c2hvcnQ"}"#;
        assert!(SigningKey::from_jwk(short).unwrap_err().to_string().contains("256 bits"));
        assert!(SigningKey::from_jwk("secret").is_err());
        assert!(SigningKey::from_jwk(r#"{"kty":"oct","kty":"oct"}"#).is_err());
    }

    /// RFC 7517 A.2, RFC 8037 A.1: their keys, with our members.
    #[test]
    fn keys_that_others_made() {
        let elliptic = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
            "use":"sig","alg":"ES256","kid":"1","iat":1}"#;
        assert_eq!(SigningKey::from_jwk(elliptic).unwrap().algorithm(), Algorithm::ES256);
        let edwards = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA","kid":"2","iat":1}"#;
        // RFC 8037 A.4: the signature of its example.
        let signature =
            SigningKey::from_jwk(edwards).unwrap().sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
        assert_eq!(
            signature.unwrap(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn keys_sign_in_turn() {
        use Algorithm::{ES256, HS256};
        let key = |algorithm, from| SigningKey::generate(algorithm, 1, from).unwrap();
        let (first, second, third, other) = (key(HS256, 10), key(HS256, 20), key(HS256, 30), key(ES256, 40));
        let kids = [&first, &second, &third].map(|key| key.kid().to_owned());
        let other_kid = other.kid().to_owned();
        let keys = SigningKeys::new(HS256, vec![third, other, first, second]).unwrap();
        for (at, turn) in [(0, 0), (9, 0), (10, 0), (19, 0), (20, 1), (29, 1), (30, 2), (1000, 2)] {
            assert_eq!(keys.active_key(at).kid(), kids[turn], "at {at}");
        }
        assert!(kids.iter().chain([&other_kid]).all(|kid| keys.by_id(kid).is_some()), "every one verifies");
        assert!(keys.by_id("other").is_none());
        let text = key(HS256, 1).to_jwk();
        let twice = || vec![SigningKey::from_jwk(&text).unwrap(), SigningKey::from_jwk(&text).unwrap()];
        assert!(SigningKeys::new(HS256, twice()).is_err());
        assert!(SigningKeys::new(HS256, Vec::new()).is_err());
        assert!(SigningKeys::new(HS256, vec![key(ES256, 1)]).is_err());
    }

    #[test]
    fn of_two_keys_of_one_second_the_kid_decides_and_always_the_same() {
        let keys: Vec<_> = (0..5).map(|_| SigningKey::generate(Algorithm::EdDSA, 1, 1).unwrap().to_jwk()).collect();
        let read = |text: &Zeroizing<String>| SigningKey::from_jwk(text).unwrap();
        let forward = SigningKeys::new(Algorithm::EdDSA, keys.iter().map(read).collect()).unwrap();
        let backward = SigningKeys::new(Algorithm::EdDSA, keys.iter().rev().map(read).collect()).unwrap();
        assert_eq!(forward.active_key(5).kid(), backward.active_key(5).kid());
        assert_eq!(Some(forward.active_key(5).kid()), forward.keys().iter().map(SigningKey::kid).max());
    }

    #[test]
    fn a_key_ends_when_its_last_token_has() {
        use Algorithm::{ES256, HS256};
        let (ttl, leeway) = (100, 5);
        let key = |algorithm, from| SigningKey::generate(algorithm, 1, from).unwrap();
        let keys = [key(HS256, 10), key(HS256, 1000), key(HS256, 2000)];
        assert_eq!(verification_end(&keys[0], &keys, ttl, leeway, 999), None, "its successor does not sign yet");
        assert_eq!(verification_end(&keys[0], &keys, ttl, leeway, 1000), Some(1105));
        assert_eq!(verification_end(&keys[0], &keys, ttl, leeway, 5000), Some(1105), "the first successor counts");
        assert_eq!(verification_end(&keys[1], &keys, ttl, leeway, 5000), Some(2105));
        assert_eq!(verification_end(&keys[2], &keys, ttl, leeway, 5000), None, "nothing came after it");
        let longer = SigningKey::from_jwk(&keys[0].with_lifetime(500, None).unwrap()).unwrap();
        assert_eq!(
            verification_end(&longer, &keys, ttl, leeway, 5000),
            Some(1505),
            "it signed when tokens lived longer"
        );
        let switched = [key(HS256, 10), key(ES256, 1000)];
        assert_eq!(verification_end(&switched[0], &switched, ttl, leeway, 5000), Some(1105), "of whatever algorithm");
        let back = SigningKey::from_jwk(&switched[0].with_lifetime(ttl, Some(3000)).unwrap()).unwrap();
        assert_eq!(verification_end(&back, &switched, ttl, leeway, 5000), Some(3105), "it went on signing after that");
    }

    #[test]
    fn marks_only_grow_and_keep_the_rest() {
        let key = SigningKey::generate(Algorithm::ES256, 1, 2).unwrap();
        assert!(key.with_lifetime(0, None).is_none());
        let marked = SigningKey::from_jwk(&key.with_lifetime(60, Some(7)).unwrap()).unwrap();
        assert_eq!((marked.kid(), marked.active_from(), marked.active_until()), (key.kid(), 2, 7));
        assert!(marked.with_lifetime(60, None).is_none() && marked.with_lifetime(59, Some(6)).is_none());
        let more = SigningKey::from_jwk(&marked.with_lifetime(1, Some(9)).unwrap()).unwrap();
        assert_eq!((more.token_ttl, more.signs_until), (60, 9));
        assert!(more.public_jwk() == key.public_jwk());
    }

    #[test]
    fn a_mark_that_is_not_needed_is_not_written() {
        let key = SigningKey::generate(Algorithm::ES256, 1, 2).unwrap();
        let (lives, signs) = (key.with_lifetime(60, None).unwrap(), key.with_lifetime(0, Some(9)).unwrap());
        let names = |text: &str, name: &str| json::object(text.as_bytes()).unwrap().contains_key(name);
        assert!(names(&lives, TOKEN_TTL) && !names(&lives, SIGNS_UNTIL));
        assert!(names(&signs, SIGNS_UNTIL) && !names(&signs, TOKEN_TTL));
    }
}
