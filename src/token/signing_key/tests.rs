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
                assert!(edited(&good, |members| drop(members.insert(name.into(), wrong.into()))).is_err(), "{name}");
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

/// The keys of RFC 7517 A.2 and RFC 8037 A.1, with Tollgate's members.
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
