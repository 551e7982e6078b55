//! Signing keys (docs/credentials.md): each algorithm, rotation while requests run, publication, and invalid files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::*;
use crate::proxy::forwarding::open_tunnel;

const ALGORITHMS: [&str; 4] = ["HS256", "ES256", "EdDSA", "RS256"];
const KEY_SET: &str = "/.well-known/jwks.json";

fn start(app: &App, algorithm: &str) -> Gate {
    with_algorithm(Conf::new(app), algorithm).start()
}

fn with_algorithm(conf: Conf, algorithm: &str) -> Conf {
    conf.realm("algorithm", &format!("\"{algorithm}\""))
}

/// The header of a token, unverified.
fn header(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

/// The ids of the keys that are published.
fn published(gate: &Gate) -> BTreeSet<String> {
    let set = gate.send(&get(KEY_SET)).expect(200).json();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn rotate(gate: &Gate, rest: &[&str]) -> Ran {
    let config = gate.config_arg();
    tollgate(&[&["key", "rotate", "-c", &config, "--realm", "examples"], rest].concat(), "")
}

fn file_of(gate: &Gate, kid: &str) -> std::path::PathBuf {
    gate.dir.path().join("keys/examples").join(format!("{kid}.jwk"))
}

fn edit_jwk(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut jwk: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut jwk);
    // As one step, as an operator should: half a file would be an error of its own.
    let new = path.with_extension("new");
    write_file(&new, &jwk.to_string(), 0o600);
    std::fs::rename(new, path).unwrap();
}

// === algorithms ===

#[test]
fn pyjwt_verifies_every_algorithm_with_the_published_keys() {
    let script = r#"
import json, sys
import jwt
algorithm, keys, token = sys.argv[1:]
key = jwt.PyJWKSet.from_dict(json.loads(keys))[jwt.get_unverified_header(token)["kid"]]
assert key.algorithm_name == algorithm and key.public_key_use == "sig", key
claims = jwt.decode(token, key, algorithms=[algorithm], audience="examples", issuer="https://gate.example.com",
                    options={"require": ["exp", "nbf", "iat", "iss", "aud", "sub", "jti"], "strict_aud": True})
try:
    jwt.decode(token[:-8] + "AAAAAAAA", key, algorithms=[algorithm], audience="examples")
    raise SystemExit("another signature passed")
except jwt.InvalidSignatureError:
    print(json.dumps(claims))
"#;
    let app = App::start();
    for algorithm in ALGORITHMS {
        let mut gate = start(&app, algorithm);
        let record = gate.register("alice");
        let token = gate.log_in("alice");
        assert_eq!(header(&token), json!({"alg": algorithm, "typ": "at+jwt", "kid": kid(&token)}));
        gate.visit(&token).expect(200);
        gate.who(&token).expect(200);
        let files = gate.key_files();
        assert_eq!(files, [file_of(&gate, &kid(&token))]);
        let keys = gate.send(&get(KEY_SET)).expect(200).text();
        if algorithm == "HS256" {
            assert_eq!(keys, r#"{"keys":[]}"#);
        } else {
            let ran = python(script, &[algorithm, &keys, &token]).ok();
            let claims: Value = serde_json::from_str(&ran.stdout).unwrap();
            assert_eq!(claims["sub"], record["uniqueId"]);
        }
        // The same key after a restart.
        gate.crash_and_restart();
        assert_eq!(gate.key_files(), files);
        gate.visit(&token).expect(200);
        assert_eq!(kid(&gate.log_in("alice")), kid(&token));
        // A signature of another algorithm's shape, or of none, is no signature.
        for other in ALGORITHMS.into_iter().chain(["none", "PS256"]).filter(|other| *other != algorithm) {
            let mut header = header(&token);
            header["alg"] = other.into();
            let (_, rest) = token.split_once('.').unwrap();
            let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
            gate.visit(&forged).refused(401, "token_algorithm");
        }
    }
}

/// The oldest attack on JWT: the public key as an HMAC secret.
#[test]
fn r20_a_public_key_is_no_secret() {
    let app = App::start();
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let gate = start(&app, algorithm);
        let token = gate.user("alice");
        let key = gate.send(&get(KEY_SET)).expect(200).json()["keys"][0].clone();
        for secret in [key.to_string(), key["x"].to_string(), key["n"].to_string()] {
            for alg in ["HS256", algorithm] {
                let header = json!({"alg": alg, "typ": "at+jwt", "kid": key["kid"]}).to_string();
                let forged = sign(&header, &claims(&token).to_string(), secret.as_bytes());
                let reason = if alg == algorithm { "token_signature" } else { "token_algorithm" };
                gate.visit(&forged).refused(401, reason);
            }
        }
    }
}

#[test]
fn a_new_algorithm_is_in_force_at_once_and_ends_no_token() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let mut tokens = vec![gate.user("alice")];
    for algorithm in ["ES256", "RS256", "EdDSA", "HS256", "ES256"] {
        gate.edit_by_rename(&with_algorithm(gate.conf(), algorithm));
        // A new generation alone can be the reload that follows from the last new key file.
        let token = until(PATIENCE, "the new algorithm signs", || {
            let token = gate.log_in("alice");
            (header(&token)["alg"] == algorithm).then_some(token)
        });
        tokens.push(token);
        for token in &tokens {
            gate.visit(token).expect(200);
        }
    }
    assert_eq!(gate.key_files().len(), 4, "one an algorithm");
    assert_eq!(published(&gate).len(), 3);
    assert_eq!(kid(&tokens[0]), kid(&tokens[4]), "back to the key that there is");
    assert_eq!(kid(&tokens[1]), kid(&tokens[5]));
}

// === what is published ===

#[test]
fn the_key_sets_are_public_and_hold_public_keys_only() {
    let app = App::start();
    let second = "[[realm]]\nname = \"second\"\nissuer = \"https://second.example.com\"\nalgorithm = \"EdDSA\"\nrequire_key = false\n\
                  [[realm]]\nname = \"third\"\nissuer = \"https://third.example.com\"\nrequire_key = false\n\
                  [[realm]]\nname = \"twin\"\nissuer = \"https://twin.example.com\"\nalgorithm = \"EdDSA\"\nrequire_key = false\nkeys_dir = \"keys/second\"\n";
    let gate = with_algorithm(Conf::new(&app), "RS256").realm("require_origin", "true").more(second).start();
    let mut secrets = Vec::new();
    for realm in ["examples", "second", "third"] {
        for entry in std::fs::read_dir(gate.dir.path().join("keys").join(realm)).unwrap() {
            let jwk: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
            let private = ["k", "d", "p", "q", "dp", "dq", "qi"].iter().filter_map(|name| jwk[name].as_str());
            secrets.extend(private.map(str::to_owned));
        }
    }
    assert_eq!(secrets.len(), 6 + 1 + 1);
    let set = |path: &str| {
        let answer = gate.send(&get(path).host("nobody.example").origin(FOREIGN)).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let text = answer.text();
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        for key in &keys {
            let names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            let own: &[&str] = if key["kty"] == "RSA" { &["n", "e"] } else { &["crv", "x"] };
            assert_eq!(names, [&["kty", "use", "alg", "kid"], own].concat());
        }
        keys.iter().map(|key| key["alg"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(set(KEY_SET), ["RS256", "EdDSA"], "the one that two realms share is there once");
    assert_eq!(set("/examples/.well-known/jwks.json"), ["RS256"]);
    assert_eq!(set("/second/.well-known/jwks.json"), ["EdDSA"]);
    assert_eq!(set("/twin/.well-known/jwks.json?x=y"), ["EdDSA"]);
    assert!(set("/third/.well-known/jwks.json").is_empty());
    gate.send(&get("/nobody/.well-known/jwks.json").origin(ORIGIN).key()).refused(404, "route_not_found");
    let length = gate.send(&get(KEY_SET)).expect(200).body.len();
    let head = gate.send(&request("HEAD", KEY_SET)).expect(200);
    assert!(head.body.is_empty() && head.header("content-length") == Some(&length.to_string()));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = gate.send(&request(method, KEY_SET)).refused(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    gate.send(&get("/x/../.well-known/jwks.json")).refused(400, "target_invalid");
    app.saw_nothing();
}

#[test]
fn a_key_set_shadows_a_route() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/", "public", "").start();
    assert_eq!(gate.send(&get(KEY_SET).key()).expect(200).text(), r#"{"keys":[]}"#);
    app.saw_nothing();
    gate.send(&get("/.well-known/other").key()).expect(200);
    gate.send(&get("/nobody/.well-known/jwks.json").key()).expect(200);
    assert_eq!(app.seen().len(), 2);
}

// === turns ===

/// The main claim about rotation: while clients log in and use their tokens, old and new, keys change by command, and
/// no request fails; and no token is signed with a key that was not published before.
#[test]
fn a_rotation_under_requests_loses_nobody() {
    let app = App::start();
    for algorithm in ["ES256", "HS256"] {
        let conf = Conf::new(&app).server("threads", "2").realm("publish_ahead", "\"2s\"");
        let gate = with_algorithm(conf, algorithm).start();
        let first = gate.user("alice");
        let stop = AtomicBool::new(false);
        let count = AtomicUsize::new(0);
        let wrong = Mutex::new(Vec::new());
        let kids = Mutex::new(vec![kid(&first)]);
        let mut expected = vec![kid(&first)];
        std::thread::scope(|scope| {
            for client in 0..2 {
                let (gate, stop, count, wrong, kids, first) = (&gate, &stop, &count, &wrong, &kids, &first);
                scope.spawn(move || {
                    let mut tokens = vec![first.clone()];
                    let mut at = client;
                    while !stop.load(Ordering::Relaxed) {
                        at += 1;
                        if at % 20 == 0 {
                            // Fetched before the login: what a token needs must have been there by then.
                            let known = (algorithm != "HS256").then(|| published(gate));
                            let token = gate.log_in("alice");
                            if known.is_some_and(|known| !known.contains(&kid(&token))) {
                                wrong.lock().unwrap().push(format!("{} was not published", kid(&token)));
                            }
                            kids.lock().unwrap().push(kid(&token));
                            tokens.push(token);
                        }
                        let answer = gate.visit(&tokens[at % tokens.len()]);
                        count.fetch_add(1, Ordering::Relaxed);
                        if answer.status != 200 {
                            wrong.lock().unwrap().push(format!("{}: {}", answer.status, answer.text()));
                        }
                    }
                });
            }
            // So that a failed assertion in here ends the clients too.
            struct Stop<'a>(&'a AtomicBool);
            impl Drop for Stop<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            let _stop = Stop(&stop);
            for _ in 0..3 {
                let out = rotate(&gate, &[]).ok().stdout;
                let new = out.split_whitespace().nth(4).unwrap().to_owned();
                assert!(out.contains("It signs from 20") && file_of(&gate, &new).exists(), "{out}");
                if algorithm != "HS256" {
                    until_true(PATIENCE, "the next key is published", || published(&gate).contains(&new));
                }
                until_true(PATIENCE, "it signs", || kids.lock().unwrap().contains(&new));
                expected.push(new);
            }
        });
        let wrong = wrong.into_inner().unwrap();
        let count = count.into_inner();
        assert!(wrong.is_empty(), "{} of {count}: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
        assert!(count > 100, "only {count} requests were made");
        let mut kids = kids.into_inner().unwrap();
        kids.dedup();
        kids.sort();
        kids.dedup();
        expected.sort();
        assert_eq!(kids, expected, "no other key signed");
        gate.visit(&first).expect(200);
        assert_eq!(gate.key_files().len(), 4, "they all verify for 30 days");
    }
}

#[test]
fn a_rotation_that_waits_is_not_made_again_and_one_at_once_is_at_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let app = App::start();
    let gate = start(&app, "EdDSA");
    let first = gate.user("alice");
    let made = rotate(&gate, &[]).ok().stdout;
    assert!(made.starts_with("Made the EdDSA key ") && made.contains("It signs from "), "{made}");
    let waits = rotate(&gate, &[]).ok().stdout;
    assert!(waits.starts_with("Nothing to do: key "), "{waits}");
    assert_eq!(gate.key_files().len(), 2);
    until_true(PATIENCE, "it is published", || published(&gate).len() == 2);
    assert_eq!(kid(&gate.log_in("alice")), kid(&first), "ten minutes are not over");
    let list = tollgate(&["key", "list", "-c", &gate.config_arg()], "").ok().stdout;
    let line =
        |kid: &str| list.lines().find(|line| line.starts_with(kid)).unwrap_or_else(|| panic!("{list}")).to_owned();
    assert!(line(&kid(&first)).ends_with("  signs"), "{list}");
    assert_eq!(list.lines().filter(|line| line.contains("signs from 20")).count(), 1, "{list}");

    let waiting = made.split_whitespace().nth(4).unwrap();
    let at_once = rotate(&gate, &["--now"]).ok().stdout;
    assert!(
        at_once.contains(&format!("Dropped the EdDSA key {waiting}, which would have signed from 20")),
        "{at_once}"
    );
    assert_eq!(gate.key_files().len(), 2, "its turn would have undone it");
    until_true(PATIENCE, "it signs", || kid(&gate.log_in("alice")) != kid(&first));
    gate.visit(&first).expect(200);
    let list = tollgate(&["key", "list", "-c", &gate.config_arg(), "--realm", "examples"], "").ok().stdout;
    assert!(list.lines().any(|line| line.starts_with(&kid(&first)) && line.contains("verifies until 20")), "{list}");
    for file in gate.key_files() {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let jwk: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert!(!list.contains(jwk["d"].as_str().unwrap()) && !gate.stderr().contains(jwk["d"].as_str().unwrap()));
    }
}

#[test]
fn a_rotation_that_can_t_be_is_refused() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let files = gate.key_files();
    let config = gate.config_arg();
    let unknown = tollgate(&["key", "rotate", "-c", &config, "--realm", "nobody"], "").failed(64);
    assert!(unknown.stderr.contains("only examples"), "{}", unknown.stderr);
    tollgate(&["key", "rotate", "-c", &config], "").failed(64);
    assert_eq!(gate.key_files(), files);
    // Not even root makes a file there.
    let file = gate.dir.path().join("other.toml");
    write_file(&file, &gate.conf().realm("keys_dir", "\"/proc/self\"").text(1, 2), 0o600);
    let refused = tollgate(&["key", "rotate", "-c", file.to_str().unwrap(), "--realm", "examples"], "").failed(73);
    assert!(refused.stderr.contains("can't write to the signing keys in /proc/self: "), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().count(), 1);
}

#[test]
fn a_stolen_key_that_is_taken_away_ends_tunnels_too() {
    let app = App::start();
    let gate = start(&app, "ES256");
    let old = gate.user("alice");
    let mut tunnel = open_tunnel(&gate, &old);
    rotate(&gate, &["--now"]).ok();
    let new = until(PATIENCE, "another key signs", || Some(gate.log_in("alice")).filter(|new| kid(new) != kid(&old)));
    let mut lasting = open_tunnel(&gate, &new);
    std::fs::remove_file(file_of(&gate, &kid(&old))).unwrap();
    until_true(PATIENCE, "its tokens end", || gate.visit(&old).status == 401);
    assert!(tunnel.closes_within(A_SECOND), "whoever has the stolen key is still connected");
    lasting.write("ping");
    assert_eq!(lasting.read_exactly(4), b"ping", "of another key");
}

#[test]
fn two_gates_that_share_a_directory_rotate_once_on_schedule() {
    let app = App::start();
    let conf = with_algorithm(Conf::new(&app), "ES256").realm("publish_ahead", "\"1s\"");
    let one = conf.clone().start();
    let keys = format!("\"{}\"", one.dir.path().join("keys/examples").display());
    let other = conf.realm("keys_dir", &keys).start();
    let (first, second) = (one.user("alice"), other.user("bob"));
    assert_eq!(kid(&first), kid(&second));
    // The key is two hours old: both are late, and hear of it at the same time.
    edit_jwk(&file_of(&one, &kid(&first)), |jwk| {
        jwk["iat"] = (now() - 7200).into();
        jwk["nbf"] = (now() - 7200).into();
    });
    for gate in [&one, &other] {
        gate.edit_by_rename(&gate.conf().realm("rotate_every", "\"1h\""));
    }
    let signs = |gate: &Gate, user: &str| {
        until(PATIENCE, "the next key signs", || Some(gate.log_in(user)).filter(|token| kid(token) != kid(&first)))
    };
    let (third, fourth) = (signs(&one, "alice"), signs(&other, "bob"));
    assert_eq!(kid(&third), kid(&fourth));
    assert_eq!(one.key_files().len(), 2, "one key between them");
    let lines = format!("{}{}", one.stderr(), other.stderr());
    assert_eq!(lines.matches("created the next signing key").count(), 1, "{lines}");
    for gate in [&one, &other] {
        for token in [&first, &second, &third, &fourth] {
            gate.visit(token).expect(200);
        }
        assert_eq!(published(gate), [kid(&first), kid(&third)].into());
    }
}

#[test]
fn a_key_whose_last_token_has_expired_goes_while_requests_run() {
    let app = App::start();
    let gate = with_algorithm(Conf::new(&app), "ES256").realm("token_ttl", "\"2s\"").start();
    let first = gate.user("alice");
    rotate(&gate, &["--now"]).ok();
    let second =
        until(PATIENCE, "the next key signs", || Some(gate.log_in("alice")).filter(|token| kid(token) != kid(&first)));
    assert_eq!(published(&gate).len(), 2);
    // As if an hour had passed. The older one first, so that it never is the one that signs.
    edit_jwk(&file_of(&gate, &kid(&first)), |jwk| jwk["nbf"] = (now() - 7200).into());
    edit_jwk(&file_of(&gate, &kid(&second)), |jwk| jwk["nbf"] = (now() - 3600).into());
    until_true(PATIENCE, "its file is taken away", || gate.key_files() == [file_of(&gate, &kid(&second))]);
    until_true(PATIENCE, "it is published no more", || published(&gate) == [kid(&second)].into());
    until_true(PATIENCE, "the log says so", || {
        gate.stderr().lines().any(|line| line.contains("deleted a signing key") && line.contains(&kid(&first)))
    });
    gate.visit(&first).refused(401, "token_key_unknown");
    let third = gate.log_in("alice");
    assert_eq!(kid(&third), kid(&second));
    gate.visit(&third).expect(200);
}

// === bad files ===

#[test]
fn r43_a_bad_key_file_keeps_the_old_policy_and_the_log_says_what_to_do() {
    let app = App::start();
    let gate = start(&app, "ES256");
    let token = gate.user("alice");
    let good: Value = serde_json::from_slice(&std::fs::read(&gate.key_files()[0]).unwrap()).unwrap();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk["kid"] = "bad".into();
        jwk[name] = value;
        jwk.to_string()
    };
    let secret = good["d"].as_str().unwrap();
    let before = published(&gate);
    for (text, mode, says) in [
        (String::new(), 0o600, "one JSON object"),
        ("{".to_owned(), 0o600, "one JSON object"),
        (with("alg", "none".into()), 0o600, "\"alg\" is not"),
        (with("alg", "ES384".into()), 0o600, "\"alg\" is not"),
        (with("alg", "RS256".into()), 0o600, "\"kty\" is not \"RSA\""),
        (with("crv", "secp256k1".into()), 0o600, "\"crv\""),
        (with("use", "enc".into()), 0o600, "\"use\" is not \"sig\""),
        (with("iat", "today".into()), 0o600, "whole number of seconds"),
        (with("d", "AAAA".into()), 0o600, "\"d\" is missing"),
        (with("d", format!("{secret}=").into()), 0o600, "\"d\" is missing"),
        (with("d", "A".repeat(42).into()), 0o600, "\"d\" is missing"),
        (with("x", good["y"].clone()), 0o600, "private half"),
        (with("kid", good["kid"].clone()), 0o600, "two keys have the same"),
        (with("kid", "bad".into()), 0o644, "chmod 600"),
    ] {
        let generation = gate.generation();
        let bad = gate.dir.path().join("keys/examples/bad.jwk");
        let new = bad.with_extension("new");
        write_file(&new, &text, mode);
        std::fs::rename(&new, &bad).unwrap();
        until_true(PATIENCE, says, || gate.status()["last_reload"]["ok"] == false);
        let errors = gate.status()["last_reload"]["errors"].to_string();
        let says = json!(says).to_string();
        assert!(errors.contains(says.trim_matches('"')), "{errors}");
        assert!(errors.contains("bad.jwk") || errors.contains("keys/examples"), "{errors}");
        assert!(!errors.contains(secret), "{errors}");
        assert_eq!((gate.generation(), published(&gate)), (generation, before.clone()));
        gate.visit(&token).expect(200);
        gate.visit(&gate.log_in("alice")).expect(200);
        std::fs::remove_file(&bad).unwrap();
        until_true(PATIENCE, "all is well again", || gate.status()["last_reload"]["ok"] == true);
    }
    let log = gate.stderr();
    assert!(log.lines().any(|line| line.contains("bad.jwk") && line.contains("delete the file")), "{log}");
    assert!(!log.contains(secret));
    // The bad file may stand there before the start, too.
    write_file(&gate.dir.path().join("keys/examples/bad.jwk"), "{}", 0o600);
    assert!(tollgate(&["check", "-c", &gate.config_arg()], "").failed(78).stderr.contains("bad.jwk"));
}
