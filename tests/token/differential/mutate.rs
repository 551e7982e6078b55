//! Changes to tokens: of their text, of what is in them, and of how it is written. Most are signed again, since what a
//! broken signature hides is not tested. Reproducible: the seed decides, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{AUD, ISS};
use crate::harness::*;

/// The kinds of change, as [`Mutant::change`] begins with them.
pub(super) const KINDS: [&str; 7] = ["text", "parts", "signature", "header", "claims", "json", "encoding"];

pub(super) struct Mutant {
    pub(super) token: String,
    pub(super) change: String,
}

pub(super) struct Mutator<'a> {
    random: Random,
    signers: &'a [Signer],
    /// Algorithm and token.
    honest: Vec<(String, String)>,
    attacker: &'a Signer,
    now: i64,
}

impl<'a> Mutator<'a> {
    /// `now`: Unix seconds, for changed times. `attacker`: an untrusted key.
    pub(super) fn new(
        seed: u64,
        now: i64,
        signers: &'a [Signer],
        attacker: &'a Signer,
        honest: Vec<(String, String)>,
    ) -> Self {
        Self { random: Random(seed), signers, honest, attacker, now }
    }

    pub(super) fn next(&mut self) -> Mutant {
        let at = self.random.below(self.honest.len());
        let (alg, token) = self.honest[at].clone();
        let signer = self.signers.iter().find(|signer| signer.alg == alg).unwrap();
        let (change, token) = match self.random.below(14) {
            0 => self.text(&token),
            1 => self.parts(&token),
            2 => self.signature(&token, signer),
            3..6 => self.header(&token, signer),
            6..9 => self.claims(&token, signer),
            9..12 => self.json(&token, signer),
            _ => self.encoding(&token, signer),
        };
        Mutant { token, change: format!("{change} ({alg})") }
    }

    fn text(&mut self, token: &str) -> (String, String) {
        let mut bytes = token.as_bytes().to_vec();
        let at = self.random.below(bytes.len());
        let change = match self.random.below(7) {
            0 => {
                bytes[at] = self.flipped(bytes[at]);
                "a flipped bit"
            }
            1 => {
                bytes[at] = self.digit();
                "another digit"
            }
            2 => {
                bytes.remove(at);
                "a character less"
            }
            3 => {
                bytes.insert(at, self.digit());
                "a character more"
            }
            4 => {
                bytes.truncate(at);
                "cut"
            }
            5 => {
                bytes.extend(self.random.one(&["=", "==", "A", ".", "..", ".e30", ",", "~"]).bytes());
                "something after it"
            }
            _ => {
                let other = self.random.below(bytes.len());
                bytes.swap(at, other);
                "two characters changed places"
            }
        };
        (format!("text: {change} at {at}"), String::from_utf8(bytes).unwrap())
    }

    fn parts(&mut self, token: &str) -> (String, String) {
        let other = self.honest[self.random.below(self.honest.len())].1.clone();
        let (own, other): (Vec<_>, Vec<_>) = (token.split('.').collect(), other.split('.').collect());
        let which = self.random.below(8);
        let token = match which {
            0 => [other[0], own[1], own[2]],
            1 => [own[0], other[1], own[2]],
            2 => [own[0], own[1], other[2]],
            3 => [own[1], own[0], own[2]],
            4 => [own[0], own[2], own[1]],
            5 => ["", own[1], own[2]],
            6 => [own[0], "", own[2]],
            _ => [own[0], own[1], ""],
        };
        (format!("parts: swap {which}"), token.join("."))
    }

    fn signature(&mut self, token: &str, signer: &Signer) -> (String, String) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let half = bytes.len() / 2;
        let zeros = |count: usize| vec![0_u8; count];
        let der = |bytes: &[u8]| {
            // As X.509 writes it, and JOSE does not.
            let part = |part: &[u8]| [&[2, u8::try_from(part.len() + 1).unwrap_or(0), 0], part].concat();
            let body = [part(&bytes[..half]), part(&bytes[half..])].concat();
            [&[0x30, u8::try_from(body.len()).unwrap_or(0)], &body[..]].concat()
        };
        let which = self.random.below(12);
        let forged = match which {
            0 => zeros(bytes.len()),
            1 => [zeros(1), bytes].concat(),
            2 => bytes[1..].to_vec(),
            3 => [bytes, zeros(1)].concat(),
            4 => [zeros(half), bytes[half..].to_vec()].concat(),
            5 => [bytes[..half].to_vec(), zeros(half)].concat(),
            6 => [bytes[half..].to_vec(), bytes[..half].to_vec()].concat(),
            7 if bytes.len() == 64 => der(&bytes),
            8 => vec![255; bytes.len()],
            9 => self.attacker.signature(signed.as_bytes()),
            10 => {
                let other = &self.signers[self.random.below(self.signers.len())];
                other.signature(signed.as_bytes())
            }
            // Another honest one: a randomised signature differs, a deterministic one does not.
            _ => signer.signature(signed.as_bytes()),
        };
        (format!("signature: {which}"), format!("{signed}.{}", encoded(&forged)))
    }

    /// A changed header, signed again by its key or by an unknown one.
    fn header(&mut self, token: &str, signer: &Signer) -> (String, String) {
        let (mut header, claims) = (part(token, 0), part(token, 1));
        let jwk = self.attacker.jwk();
        let other = &self.signers[self.random.below(self.signers.len())];
        let changes = [
            json!({"alg": "none"}),
            json!({"alg": "HS256"}),
            json!({"alg": "hs256"}),
            json!({"alg": header["alg"].as_str().unwrap().to_lowercase()}),
            json!({"alg": other.alg}),
            json!({"alg": other.alg, "kid": other.kid}),
            json!({"kid": other.kid}),
            json!({"alg": ["RS256"]}),
            json!({"alg": 256}),
            json!({"alg": ""}),
            json!({"alg": "RSA-OAEP", "enc": "A256GCM"}),
            json!({"alg": "Ed25519"}),
            json!({"alg": null}),
            json!({"kid": null}),
            json!({"kid": ""}),
            json!({"kid": "unknown"}),
            json!({"kid": 1}),
            json!({"kid": [signer.kid]}),
            json!({"kid": format!("{} ", signer.kid)}),
            json!({"kid": signer.kid.to_uppercase()}),
            json!({"typ": null}),
            json!({"typ": "JWT"}),
            json!({"typ": "at+jwt"}),
            json!({"typ": "id+jwt"}),
            json!({"typ": 1}),
            json!({"crit": ["exp"]}),
            json!({"crit": []}),
            json!({"crit": "exp"}),
            json!({"crit": ["b64"], "b64": true}),
            json!({"crit": ["b64"], "b64": false}),
            json!({"b64": false}),
            json!({"zip": "DEF"}),
            json!({"cty": "JWT"}),
            json!({"jwk": jwk}),
            json!({"jwk": jwk, "kid": null}),
            json!({"jku": "http://127.0.0.1:9/jwks.json"}),
            json!({"x5u": "http://127.0.0.1:9/cert.pem"}),
            json!({"x5c": ["AAAA"]}),
            json!({"x5t": "AAAA", "more": {"a": [1]}}),
            json!({"p2c": 1_000_000, "p2s": "AAAA"}),
        ];
        let change = self.random.one(&changes).clone();
        header = edited(header, &change);
        let (header, claims) = (header.to_string(), claims.to_string());
        let (by, token) = match self.random.below(4) {
            0 => ("nobody", self.attacker.sign_text(&header, &claims)),
            1 => ("its public key as a secret", {
                let jwk = signer.jwk();
                let secret = ["n", "x"].into_iter().find_map(|name| jwk[name].as_str()).unwrap();
                sign(&header, &claims, &URL_SAFE_NO_PAD.decode(secret).unwrap())
            }),
            _ => ("its key", signer.sign_text(&header, &claims)),
        };
        (format!("header: {change}, signed by {by}"), token)
    }

    fn claims(&mut self, token: &str, signer: &Signer) -> (String, String) {
        let (header, mut claims) = (part(token, 0), part(token, 1));
        let now = self.now;
        let name = *self.random.one(&["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "scope"]);
        let of_times = [
            json!(now - 1000),
            json!(now + 1000),
            json!(now as f64 + 500.5),
            json!((now + 500).to_string()),
            json!(format!("{}.0", now + 500)),
            json!(0),
            json!(-1),
            json!(1e300),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(253_402_300_800_i64),
            json!(253_402_300_799_i64),
        ];
        let of_texts = [
            json!(ISS),
            json!(AUD),
            json!([AUD]),
            json!(["other", AUD]),
            json!([AUD, 1]),
            json!([[AUD]]),
            json!([]),
            json!({AUD: true}),
            json!(format!("{AUD}/")),
            json!(AUD.to_uppercase()),
            json!(ISS.trim_end_matches('/')),
            json!([ISS]),
            json!("x"),
            json!(format!("{AUD} other")),
        ];
        let of_anything =
            [json!(null), json!(true), json!(false), json!(""), json!("a"), json!([]), json!({}), json!(1), json!(1.5)];
        let value = match self.random.below(5) {
            0 | 1 if matches!(name, "exp" | "nbf" | "iat") => self.random.one(&of_times).clone(),
            0 | 1 => self.random.one(&of_texts).clone(),
            2 => self.random.one(&of_anything).clone(),
            3 => {
                claims.as_object_mut().unwrap().shift_remove(name);
                return (format!("claims: no {name}"), signer.sign(&header, &claims));
            }
            _ => self.random.one(if matches!(name, "exp" | "nbf" | "iat") { &of_texts } else { &of_times }).clone(),
        };
        claims[name] = value.clone();
        (format!("claims: {name} = {value}"), signer.sign(&header, &claims))
    }

    /// JSON that says the same, or nearly, in other bytes.
    fn json(&mut self, token: &str, signer: &Signer) -> (String, String) {
        let in_header = self.random.below(3) == 0;
        let text = part(token, usize::from(!in_header)).to_string();
        let names: &[&str] = if in_header { &["alg", "kid", "typ"] } else { &["exp", "sub", "aud", "iss", "iat"] };
        let name = *self.random.one(names);
        let (quoted, first) = (format!("\"{name}\""), name.chars().next().unwrap());
        let escaped = format!("\"\\u{:04x}{}\"", u32::from(first), &name[1..]);
        let value = part(token, usize::from(!in_header))[name].to_string();
        let replaced = |with: &str| text.replacen(&format!("{quoted}:{value}"), &format!("{quoted}:{with}"), 1);
        let which = self.random.below(30);
        let new = match which {
            0 => format!(" \t\r\n{text}\n "),
            1 => text.replace(':', " : ").replace(',', " ,\n"),
            2 => text.replacen(&quoted, &escaped, 1),
            3 => text.replacen(&quoted, &format!("{quoted}:1,{quoted}"), 1),
            4 => text.replacen(&quoted, &format!("{escaped}:1,{quoted}"), 1),
            5 => text.replacen(&quoted, &format!("{quoted}:{value},{quoted}"), 1),
            6 => text.replacen('}', &format!(",{quoted}:{value}}}"), 1),
            7 => text.replacen(&quoted, &quoted.to_uppercase(), 1),
            8 => text.replacen(&quoted, &format!("\" {name}\""), 1),
            9 => text.replacen(&quoted, &format!("\"{name}\\u0000\""), 1),
            10 => format!("\u{feff}{text}"),
            11 => format!("{text}x"),
            12 => format!("{text}{text}"),
            13 => format!("{text}\0"),
            14 => format!("[{text}]"),
            15 => text.replacen('}', ",}", 1),
            16 => text.replace('"', "'"),
            17 => text.replacen('{', "{/* */", 1),
            18 => replaced("NaN"),
            19 => replaced("Infinity"),
            20 => replaced("1e10"),
            21 => replaced("1E400"),
            22 => replaced("-0"),
            23 => replaced("99999999999999999999999999"),
            24 => replaced("\"\\ud800\""),
            25 => replaced(&format!("{}1{}", "[".repeat(300), "]".repeat(300))),
            26 => replaced(&format!("0{value}")),
            27 => replaced(&format!("{value}.0")),
            28 => text.replacen('{', "{\"__proto__\":{\"admin\":true},\"constructor\":1,", 1),
            _ => text.replacen('{', "{\"\":1,", 1),
        };
        let (header, payload) =
            if in_header { (new, part(token, 1).to_string()) } else { (part(token, 0).to_string(), new) };
        (format!("json: {which} of {name}"), signer.sign_text(&header, &payload))
    }

    /// The same JSON in other base64, or other characters, signed as it stands.
    fn encoding(&mut self, token: &str, signer: &Signer) -> (String, String) {
        let parts: Vec<_> = token.split('.').collect();
        let (header, payload) = (part(token, 0).to_string(), part(token, 1).to_string());
        let stray = |text: &str| {
            // The next digit: the same bytes if the last one has bits to spare, other bytes if not.
            let last = text.as_bytes()[text.len() - 1];
            let at = DIGITS.iter().position(|digit| *digit == last).unwrap();
            format!("{}{}", &text[..text.len() - 1], char::from(DIGITS[(at + 1) % 64]))
        };
        let which = self.random.below(14);
        let token = match which {
            0 => signer.seal(&format!("{}=.{}", parts[0], parts[1])),
            1 => signer.seal(&format!("{}.{}=", parts[0], parts[1])),
            2 => signer.seal(&format!("{}==.{}==", parts[0], parts[1])),
            3 => signer.seal(&format!("{}.{}", stray(parts[0]), parts[1])),
            4 => signer.seal(&format!("{}.{}", parts[0], stray(parts[1]))),
            5 => format!("{}.{}.{}", parts[0], parts[1], stray(parts[2])),
            6 => signer.seal(&format!(
                "{}.{}",
                STANDARD_NO_PAD.encode(header.replacen('{', "{\"a\":\"~~~???\",", 1)),
                STANDARD_NO_PAD.encode(payload.replacen('{', "{\"a\":\"~~~???\",", 1))
            )),
            7 => {
                let wide: Vec<u8> = payload.encode_utf16().flat_map(u16::to_le_bytes).collect();
                signer.sign_bytes(header.as_bytes(), &wide)
            }
            8 => {
                let mut bytes = payload.into_bytes();
                let at = bytes.iter().position(|byte| *byte == b'u').unwrap_or(1);
                bytes.insert(at, 0xff);
                signer.sign_bytes(header.as_bytes(), &bytes)
            }
            9 => signer.sign_bytes(header.as_bytes(), b""),
            10 => signer.sign_bytes(b"", payload.as_bytes()),
            11 => signer.seal(&format!("{}.{}", parts[0], payload.replace(['.', ' '], ""))),
            12 => signer.sign_bytes(header.as_bytes(), parts[1].as_bytes()),
            _ => signer.seal(&format!("{}..{}", parts[0], parts[1])),
        };
        let token = token.replace(|char: char| !char.is_ascii_graphic(), "!");
        (format!("encoding: {which}"), token)
    }

    fn digit(&mut self) -> u8 {
        *self.random.one(DIGITS)
    }

    /// With one bit the other way, among what may stand in a header.
    fn flipped(&mut self, byte: u8) -> u8 {
        let other = byte ^ (1 << self.random.below(7));
        if other.is_ascii_graphic() { other } else { byte ^ 1 }
    }
}

fn part(token: &str, at: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `splitmix64`: small, and good enough to choose with.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % limit as u64).unwrap()
    }

    fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}
