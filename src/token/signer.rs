//! The private halves of keys: made, read from the members of a JWK (RFC 7517, 7518, 8037), and signing.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::signing_key::KeyError;

/// A private key of one of the four algorithms that a realm signs with.
pub(super) enum PrivateKey {
    Hmac(Box<hmac::Key>),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// The members of a JWK that are the key itself, by name.
pub(super) type JwkMembers = Vec<(&'static str, Zeroizing<String>)>;

impl PrivateKey {
    /// Creates a key, as the members of its JWK.
    ///
    /// # Errors
    /// The random source failed, or realms do not sign with this algorithm.
    pub(super) fn generate(algorithm: Algorithm) -> Result<JwkMembers, KeyError> {
        let failed = |Unspecified| KeyError::Random;
        match algorithm {
            Algorithm::HS256 => {
                let mut secret = Zeroizing::new([0; SECRET_BYTES]);
                rand::fill(&mut *secret).map_err(failed)?;
                Ok(vec![encoded("k", &*secret)])
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
                let private = pair.private_key().as_be_bytes().map_err(failed)?;
                // SEC 1, 2.3.3: 4 for "not compressed", then both coordinates.
                let [_, point @ ..] = pair.public_key().as_ref() else { return Err(KeyError::Random) };
                let (x, y) = point.split_at(point.len() / 2);
                Ok(vec![encoded("x", x), encoded("y", y), encoded("d", private.as_ref())])
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
                Ok(vec![encoded("x", pair.public_key().as_ref()), encoded("d", seed.as_ref())])
            }
            Algorithm::RS256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let document = pair.as_der().map_err(failed)?;
                let info = pkcs8::PrivateKeyInfoRef::try_from(document.as_ref()).map_err(|_| KeyError::Random)?;
                let parts =
                    pkcs1::RsaPrivateKey::try_from(info.private_key.as_bytes()).map_err(|_| KeyError::Random)?;
                let members: [(_, pkcs1::UintRef<'_>); 8] = [
                    ("n", parts.modulus),
                    ("e", parts.public_exponent),
                    ("d", parts.private_exponent),
                    ("p", parts.prime1),
                    ("q", parts.prime2),
                    ("dp", parts.exponent1),
                    ("dq", parts.exponent2),
                    ("qi", parts.coefficient),
                ];
                Ok(members.iter().map(|(name, number)| encoded(name, number.as_bytes())).collect())
            }
            _ => Err(KeyError::Malformed(NO_SIGNING_ALGORITHM)),
        }
    }

    /// Reads both halves from the members of a JWK.
    ///
    /// # Errors
    /// [`KeyError::Malformed`]: a member is missing or wrong, or the halves are not of one key.
    pub(super) fn read<'a>(
        algorithm: Algorithm,
        member: &impl Fn(&str) -> Option<&'a str>,
    ) -> Result<(Self, DecodingKey), KeyError> {
        let public = |name, wrong| member(name).ok_or(KeyError::Malformed(wrong));
        let bytes = |name, wrong| decoded(member(name)).ok_or(KeyError::Malformed(wrong));
        let wrong_point = |_| KeyError::Malformed(EC_POINT);
        match algorithm {
            Algorithm::HS256 => {
                let secret = bytes("k", "\"k\" is missing or not base64url")?;
                if secret.len() < SECRET_BYTES {
                    return Err(KeyError::Malformed("\"k\" has fewer than 256 bits (RFC 7518, 3.2)"));
                }
                let key = Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret));
                Ok((Self::Hmac(key), DecodingKey::from_secret(&secret)))
            }
            Algorithm::ES256 => {
                let (x, y) = (bytes("x", EC_POINT)?, bytes("y", EC_POINT)?);
                let d = bytes("d", PRIVATE)?;
                if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
                    return Err(KeyError::Malformed(EC_POINT));
                }
                if d.len() != COORDINATE_BYTES {
                    return Err(KeyError::Malformed(PRIVATE));
                }
                let point = [&[4], &x[..], &y[..]].concat();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &d, &point);
                let pair = pair.map_err(|_| KeyError::Malformed("\"d\" is not the private half of \"x\" and \"y\""))?;
                let verifying = DecodingKey::from_ec_components(public("x", EC_POINT)?, public("y", EC_POINT)?);
                Ok((Self::Ecdsa(pair), verifying.map_err(wrong_point)?))
            }
            Algorithm::EdDSA => {
                let (x, d) = (bytes("x", ED_PUBLIC)?, bytes("d", PRIVATE)?);
                let pair = Ed25519KeyPair::from_seed_and_public_key(&d, &x);
                let pair = pair.map_err(|_| {
                    KeyError::Malformed("\"d\" is not the private half of \"x\", or one of them is not 32 bytes")
                })?;
                let verifying = DecodingKey::from_ed_components(public("x", ED_PUBLIC)?);
                Ok((Self::Ed25519(pair), verifying.map_err(|_| KeyError::Malformed(ED_PUBLIC))?))
            }
            Algorithm::RS256 => {
                let (n, e) = (bytes("n", RSA)?, bytes("e", RSA)?);
                // A byte of zero in front is not how a JWK writes a number (RFC 7518, 2).
                if n.len() < MODULUS_BYTES || n[0] == 0 || (n.len() == MODULUS_BYTES && n[0] < 0x80) {
                    return Err(KeyError::Malformed("\"n\" has fewer than 2048 bits (RFC 7518, 3.3)"));
                }
                let pair = RsaKeyPair::from_components(&KeyPairComponents {
                    public_key: PublicKeyComponents { n: &n[..], e: &e[..] },
                    d: &bytes("d", RSA)?[..],
                    p: &bytes("p", RSA)?[..],
                    q: &bytes("q", RSA)?[..],
                    dP: &bytes("dp", RSA)?[..],
                    dQ: &bytes("dq", RSA)?[..],
                    qInv: &bytes("qi", RSA)?[..],
                });
                let pair = pair.map_err(|_| {
                    KeyError::Malformed("its RSA numbers are not those of one key of 2048 bits or more")
                })?;
                Ok((Self::Rsa(pair), DecodingKey::from_rsa_raw_components(&n, &e)))
            }
            _ => Err(KeyError::Malformed(NO_SIGNING_ALGORITHM)),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        Ok(match self {
            Self::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.try_sign(message)?.as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                signature
            }
        })
    }
}

fn encoded(name: &'static str, bytes: &[u8]) -> (&'static str, Zeroizing<String>) {
    (name, Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)))
}

fn decoded(text: Option<&str>) -> Option<Zeroizing<Vec<u8>>> {
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).map(Zeroizing::new)
}

/// RFC 7518, 3.2: a key of the hash's size or larger.
const SECRET_BYTES: usize = 32;
const COORDINATE_BYTES: usize = 32;
/// RFC 7518, 3.3.
const MODULUS_BYTES: usize = 256;
pub(super) const NO_SIGNING_ALGORITHM: &str = "\"alg\" is not \"HS256\", \"ES256\", \"EdDSA\" or \"RS256\"";
const EC_POINT: &str = "\"x\" or \"y\" is missing, or not 32 bytes in base64url";
const PRIVATE: &str = "\"d\" is missing, or not 32 bytes in base64url";
const ED_PUBLIC: &str = "\"x\" is missing, or not 32 bytes in base64url";
const RSA: &str = "one of \"n\", \"e\", \"d\", \"p\", \"q\", \"dp\", \"dq\" and \"qi\" is missing or not base64url";

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the fault of a new key in which one member has other bytes.
    fn wrong(algorithm: Algorithm, name: &str, change: impl Fn(&mut Vec<u8>)) -> String {
        let mut material = PrivateKey::generate(algorithm).unwrap();
        for (_, value) in material.iter_mut().filter(|(member, _)| *member == name) {
            let mut bytes = URL_SAFE_NO_PAD.decode(&**value).unwrap();
            change(&mut bytes);
            *value = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
        }
        let member = |name: &str| material.iter().find(|(member, _)| *member == name).map(|(_, value)| value.as_str());
        PrivateKey::read(algorithm, &member).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn numbers_of_the_wrong_size_are_told_as_such() {
        for name in ["x", "y"] {
            assert!(wrong(Algorithm::ES256, name, |bytes| bytes.truncate(31)).contains(EC_POINT), "{name}");
            assert!(wrong(Algorithm::ES256, name, |bytes| bytes.push(1)).contains(EC_POINT), "{name}");
        }
        assert!(wrong(Algorithm::ES256, "d", |bytes| bytes.push(1)).contains(PRIVATE));
        let modulus = |change: &dyn Fn(&mut Vec<u8>)| wrong(Algorithm::RS256, "n", change);
        let first = |byte| move |n: &mut Vec<u8>| n[0] = byte;
        let before = |byte| move |n: &mut Vec<u8>| n.insert(0, byte);
        for error in [modulus(&first(0)), modulus(&first(0x7f)), modulus(&before(0)), modulus(&|n| n.truncate(255))] {
            assert!(error.contains("fewer than 2048 bits"), "{error}");
        }
        for error in [modulus(&first(0x80)), modulus(&before(0x7f)), modulus(&|n| n.push(1))] {
            assert!(error.contains("not those of one key"), "long enough: {error}");
        }
    }
}
