//! Independent keys and tokens. Made with aws-lc-rs alone, without Tollgate's code.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A key pair with its one algorithm and its id.
pub struct Signer {
    pub kid: String,
    pub alg: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    /// Every algorithm that a trusted issuer may be allowed, and that this can sign with.
    pub const ALGORITHMS: [&'static str; 9] =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

    /// A new key.
    pub fn new(alg: &'static str, kid: &str) -> Self {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pair = match alg {
            "RS256" => Pair::Rsa(rsa(), &signature::RSA_PKCS1_SHA256),
            "RS384" => Pair::Rsa(rsa(), &signature::RSA_PKCS1_SHA384),
            "RS512" => Pair::Rsa(rsa(), &signature::RSA_PKCS1_SHA512),
            "PS256" => Pair::Rsa(rsa(), &signature::RSA_PSS_SHA256),
            "PS384" => Pair::Rsa(rsa(), &signature::RSA_PSS_SHA384),
            "PS512" => Pair::Rsa(rsa(), &signature::RSA_PSS_SHA512),
            "ES256" => Pair::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            "ES384" => Pair::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            "EdDSA" => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            other => panic!("no {other} here"),
        };
        Self { kid: kid.into(), alg, pair }
    }

    /// The public half: `kty`, `use`, `alg`, `kid`, and what the kind needs.
    pub fn jwk(&self) -> Value {
        let mut jwk = json!({"use": "sig", "alg": self.alg, "kid": self.kid});
        for (name, value) in self.numbers() {
            jwk[name] = value.into();
        }
        jwk
    }

    /// As [`Signer::jwk`], changed: `null` takes a member out.
    pub fn jwk_with(&self, changes: &Value) -> Value {
        edited(self.jwk(), changes)
    }

    fn numbers(&self) -> Vec<(&'static str, String)> {
        let curve = |crv: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            vec![("kty", "EC".into()), ("crv", crv.into()), ("x", encoded(x)), ("y", encoded(y))]
        };
        match &self.pair {
            Pair::Rsa(pair, _) => {
                let public = pair.public_key();
                let n = encoded(public.modulus().big_endian_without_leading_zero());
                let e = encoded(public.exponent().big_endian_without_leading_zero());
                vec![("kty", "RSA".into()), ("n", n), ("e", e)]
            }
            Pair::Ec(pair) => curve(if self.alg == "ES256" { "P-256" } else { "P-384" }, pair.public_key().as_ref()),
            Pair::Ed(pair) => {
                vec![("kty", "OKP".into()), ("crv", "Ed25519".into()), ("x", encoded(pair.public_key().as_ref()))]
            }
        }
    }

    pub fn header(&self) -> Value {
        json!({"alg": self.alg, "typ": "JWT", "kid": self.kid})
    }

    /// A token of these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A token of these claims with a changed header: `null` removes a member.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.sign(&edited(self.header(), header), claims)
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The three parts of a token, signed with this key whatever the header says.
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        self.sign_bytes(header.as_bytes(), payload.as_bytes())
    }

    pub fn sign_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        self.seal(&format!("{}.{}", encoded(header), encoded(payload)))
    }

    /// `signed`, and its signature after it.
    pub fn seal(&self, signed: &str) -> String {
        format!("{signed}.{}", encoded(&self.signature(signed.as_bytes())))
    }

    /// The private half, for another program to sign with.
    pub fn private_pem(&self) -> String {
        let der = match &self.pair {
            Pair::Rsa(pair, _) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).unwrap().as_ref().to_vec(),
            Pair::Ec(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
        };
        pem("PRIVATE KEY", &der)
    }

    /// The bytes of a signature.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// What an attacker could take for an HMAC secret: every usual way to write this RSA key's public half.
    pub fn public_forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let Pair::Rsa(pair, _) = &self.pair else { panic!("an RSA key") };
        let public = pair.public_key();
        let spki = public.as_der().unwrap().as_ref().to_vec();
        let pkcs1 = public.as_ref().to_vec();
        let jwk = self.jwk();
        let n = jwk["n"].as_str().unwrap().to_owned();
        let pem = pem("PUBLIC KEY", &spki);
        vec![
            ("PEM", pem.clone().into_bytes()),
            ("PEM without its last newline", pem.trim_end().into()),
            ("PKCS#1 PEM", pem_of_pkcs1(&pkcs1)),
            ("SPKI DER", spki),
            ("PKCS#1 DER", pkcs1),
            ("JWK", jwk.to_string().into_bytes()),
            ("JWK, pretty", format!("{jwk:#}").into_bytes()),
            ("n as text", n.clone().into_bytes()),
            ("n as bytes", URL_SAFE_NO_PAD.decode(n).unwrap()),
            ("nothing", Vec::new()),
        ]
    }
}

/// `base` with the members of `changes` set; `null` takes one out.
pub fn edited(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.shift_remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}

/// base64url without padding.
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pem_of_pkcs1(der: &[u8]) -> Vec<u8> {
    pem("RSA PUBLIC KEY", der).into_bytes()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The tests believe these signatures, so they are verified here by aws-lc-rs once, from what the JWK says.
#[test]
fn a_signer_signs_what_its_jwk_verifies() {
    use aws_lc_rs::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
    let bytes = |jwk: &Value, name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    for alg in Signer::ALGORITHMS {
        let signer = Signer::new(alg, "k");
        let (jwk, signature) = (signer.jwk(), signer.signature(b"message"));
        match jwk["kty"].as_str().unwrap() {
            "RSA" => {
                let parameters = match alg {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
                    _ => &signature::RSA_PSS_2048_8192_SHA512,
                };
                let public = RsaPublicKeyComponents { n: bytes(&jwk, "n"), e: bytes(&jwk, "e") };
                public.verify(parameters, b"message", &signature).unwrap();
            }
            "EC" => {
                let fixed = if alg == "ES256" {
                    &signature::ECDSA_P256_SHA256_FIXED
                } else {
                    &signature::ECDSA_P384_SHA384_FIXED
                };
                let point = [vec![4], bytes(&jwk, "x"), bytes(&jwk, "y")].concat();
                UnparsedPublicKey::new(fixed, point).verify(b"message", &signature).unwrap();
            }
            _ => UnparsedPublicKey::new(&signature::ED25519, bytes(&jwk, "x")).verify(b"message", &signature).unwrap(),
        }
    }
}
