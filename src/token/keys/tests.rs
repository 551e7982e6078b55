use zeroize::Zeroizing;

use super::*;

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
    assert_eq!(verification_end(&longer, &keys, ttl, leeway, 5000), Some(1505), "it signed when tokens lived longer");
    let switched = [key(HS256, 10), key(ES256, 1000)];
    assert_eq!(verification_end(&switched[0], &switched, ttl, leeway, 5000), Some(1105), "of whatever algorithm");
    let back = SigningKey::from_jwk(&switched[0].with_lifetime(ttl, Some(3000)).unwrap()).unwrap();
    assert_eq!(verification_end(&back, &switched, ttl, leeway, 5000), Some(3105), "it went on signing after that");
}
