use super::format::complete_phc;
use super::*;

fn password(text: &str) -> Password {
    Password::new(text.into())
}

fn verifies(text: &str, stored: &str) -> bool {
    verify(&password(text), &PasswordHash(stored.into()))
}

#[test]
fn our_hashes_have_the_documented_strength() {
    let hash = hash(&password("correct horse")).unwrap();
    assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
    let phc = complete_phc(&hash.0).unwrap();
    assert_eq!((phc.salt.unwrap().len(), phc.hash.unwrap().len()), (16, 32));
    assert!(!needs_rehash(&hash));
    assert!(verifies("correct horse", &hash.0));
    assert!(!verifies("correct horsf", &hash.0));
    assert!(!verifies("", &hash.0));
    assert_ne!(super::hash(&password("correct horse")).unwrap(), hash, "salted");
    assert_eq!(import(&hash.0), Ok(hash));
}

#[test]
fn hashes_of_other_systems_verify_and_are_replaced() {
    for (text, stored) in [
        // Argon2's own specification and test vectors of its reference implementation.
        ("password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"),
        ("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
        ("password", "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ"),
        // Passlib's documentation.
        ("password", "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"),
        // Openwall's crypt_blowfish test vectors.
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ] {
        let imported = import(stored).unwrap();
        assert!(verify(&password(text), &imported), "{stored}");
        assert!(!verify(&password("passwort"), &imported), "{stored}");
        assert!(needs_rehash(&imported));
    }
}

#[test]
fn hashes_that_cannot_or_must_not_be_verified_are_not_imported() {
    let (salt, hash) = ("c29tZXNhbHRzYWx0", "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA");
    let bcrypt = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    for (text, error) in [
        (String::new(), Unsupported::Kind),
        ("password".into(), Unsupported::Kind),
        ("5f4dcc3b5aa765d61d8327deb882cf99".into(), Unsupported::Kind),
        ("$1$salt$hash".into(), Unsupported::Kind),
        ("$6$salt$hash".into(), Unsupported::Kind),
        (bcrypt.replace("2b", "2x"), Unsupported::Kind),
        (bcrypt.replace("$05$", "$16$"), Unsupported::Cost("bcrypt")),
        (bcrypt.replace("$05$", "$03$"), Unsupported::Cost("bcrypt")),
        (bcrypt.replace("$05$", "$99$"), Unsupported::Cost("bcrypt")),
        (bcrypt.replace("CCC", "C!C"), Unsupported::Malformed("bcrypt")),
        (bcrypt[..59].into(), Unsupported::Malformed("bcrypt")),
        ("$argon2id$".into(), Unsupported::Malformed("argon2")),
        (format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"), Unsupported::Malformed("argon2")),
        (format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$c2hvcnRlcjEyMw"), Unsupported::Malformed("argon2")),
        (format!("$argon2id$v=18$m=19456,t=2,p=1${salt}${hash}"), Unsupported::Malformed("argon2")),
        (format!("$argon2id$v=19$m=19456,t=2,p=1,keyid=AAAA${salt}${hash}"), Unsupported::Malformed("argon2")),
        (format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}${hash}"), Unsupported::Cost("argon2")),
        (format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1${salt}${hash}"), Unsupported::Cost("argon2")),
        (format!("$argon2id$v=19$m=19456,t=200000,p=1${salt}${hash}"), Unsupported::Cost("argon2")),
        (format!("$argon2id$v=19$m=19456,t=1,p=255${salt}${hash}"), Unsupported::Cost("argon2")),
        (format!("$scrypt$ln=16,r=8${salt}${hash}"), Unsupported::Malformed("scrypt")),
        (format!("$scrypt$ln=30,r=8,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
        (format!("$scrypt$ln=63,r=8,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
        (format!("$scrypt$ln=64,r=8,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
        (format!("$scrypt$ln=16,r=4294967295,p=1${salt}${hash}"), Unsupported::Cost("scrypt")),
        (format!("$scrypt$ln=16,r=65536,p=65536${salt}${hash}"), Unsupported::Cost("scrypt")),
        (format!("$scrypt$ln=0,r=8,p=1${salt}${hash}"), Unsupported::Malformed("scrypt")),
    ] {
        assert_eq!(import(&text), Err(error), "{text}");
        assert!(!verifies("password", &text), "{text}");
    }
}

#[test]
fn debug_hides_passwords() {
    assert!(!format!("{:?} {:?}", password("hunter2"), PasswordHash("hunter2".into())).contains("hunter2"));
}
