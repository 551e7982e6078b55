//! Tokens made by hand, to see which Tollgate takes. Signed here with the realm's own key, without Tollgate's code.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Gate, ISSUER, edited, python};

/// A realm's key, read from its file.
pub struct Jwk {
    pub kid: String,
    pub secret: Vec<u8>,
    /// `k` as it stands in the file.
    pub encoded: String,
}

impl Jwk {
    pub fn of(gate: &Gate) -> Self {
        let files = gate.key_files();
        assert_eq!(files.len(), 1, "{files:?}");
        let jwk: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
        assert_eq!((jwk["kty"].as_str(), jwk["alg"].as_str()), (Some("oct"), Some("HS256")));
        let encoded = jwk["k"].as_str().unwrap().to_owned();
        let secret = URL_SAFE_NO_PAD.decode(&encoded).unwrap();
        Self { kid: jwk["kid"].as_str().unwrap().to_owned(), secret, encoded }
    }

    pub fn header(&self) -> Value {
        json!({"alg": "HS256", "typ": "at+jwt", "kid": self.kid})
    }

    /// A token of these claims, as Tollgate itself would sign it.
    pub fn token(&self, claims: &Value) -> String {
        sign(&self.header().to_string(), &claims.to_string(), &self.secret)
    }
}

/// The secret with which what stands between two steps of a login is marked, from the store's file.
pub struct Seal(Vec<u8>);

impl Seal {
    pub fn of(gate: &Gate) -> Self {
        let script = "import sqlite3, sys\n\
                      database = sqlite3.connect(sys.argv[1], timeout=20)\n\
                      print(database.execute(\"SELECT hex(secret) FROM epochs WHERE realm = 'examples'\").fetchone()[0])\n";
        let hex = python(script, &[gate.database().to_str().unwrap()]).ok().stdout;
        let digits = hex.trim().as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        Self(digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect())
    }

    /// These claims, with the mark of a token of this kind.
    pub fn mark(&self, kind: &str, claims: &Value) -> Value {
        let claims = edited(claims.clone(), &json!({"seal": null}));
        let says = format!("{kind}\0{claims}");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), says.as_bytes());
        edited(claims, &json!({"seal": URL_SAFE_NO_PAD.encode(tag.as_ref())}))
    }
}

/// The three parts of a token, signed with HMAC-SHA256 whatever the header says.
pub fn sign(header: &str, payload: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

/// The claims in a token, unverified.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["iss"], ISSUER);
    claims
}

/// Unix seconds.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// JSON values that are no time, though they may look like `later`.
pub fn not_times(later: i64) -> [Value; 12] {
    [
        json!(later.to_string()),
        json!(later as f64 + 0.5),
        json!(1e300),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        Value::Null,
        json!([later]),
        json!({"at": later}),
        json!(true),
        json!(""),
        json!("never"),
    ]
}

/// Such values, and some that are not even JSON, as texts, since a JSON library may not write them.
pub const NOT_TIMES: [&str; 7] =
    ["1e10", "1e400", "99999999999999999999999", "0x7fffffff", "Infinity", "4102444800.0", "-0"];
