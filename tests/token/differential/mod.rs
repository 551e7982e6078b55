//! Tollgate beside three third-party JOSE libraries: PyJWT, joserfc, and jose for Node. Each makes tokens, and Tollgate
//! accepts all; then they are changed in thousands of ways, and Tollgate accepts none that all three refuse.

mod mutate;

use serde_json::{Value, json};

use crate::harness::*;
use mutate::Mutator;

const ISS: &str = "https://issuer.example.com/";
const AUD: &str = "https://api.example.com";
const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];
/// How many changed tokens are judged; what each is follows from the seed.
const MUTANTS: usize = 4000;
const SEED: u64 = 0x0074_6f6c_6c67_6174;

/// The keys, and the three judges of tokens that are signed with them.
struct Jury {
    dir: tempfile::TempDir,
    signers: Vec<Signer>,
}

impl Jury {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signers: Vec<_> = ALGORITHMS.into_iter().map(|alg| Signer::new(alg, &format!("key-{alg}"))).collect();
        let keys: Vec<_> = signers
            .iter()
            .map(|key| json!({"alg": key.alg, "kid": key.kid, "pem": key.private_pem(), "jwk": key.jwk()}))
            .collect();
        let setup = json!({"keys": keys, "issuer": ISS, "audience": AUD});
        write_file(&dir.path().join("keys.json"), &setup.to_string(), 0o600);
        Self { dir, signers }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Tokens that the libraries make: the maker, the algorithm, the token.
    fn made(&self) -> Vec<(String, String, String)> {
        let keys = self.file("keys.json");
        let by_python = python(PYTHON, &["make", &keys]).ok();
        let by_node = node(NODE, &["make", &keys]).ok();
        let parsed = |ran: &Ran| serde_json::from_str::<Vec<(String, String, String)>>(&ran.stdout).unwrap();
        [parsed(&by_python), parsed(&by_node)].concat()
    }

    /// Which of the libraries accept each token: PyJWT, joserfc, jose.
    fn judge(&self, tokens: &[String]) -> Vec<[bool; 3]> {
        std::fs::write(self.file("tokens.json"), json!(tokens).to_string()).unwrap();
        let (keys, tokens_file) = (self.file("keys.json"), self.file("tokens.json"));
        let by_python = python(PYTHON, &["judge", &keys, &tokens_file]).ok();
        let by_node = node(NODE, &["judge", &keys, &tokens_file]).ok();
        let python: Vec<[bool; 2]> = serde_json::from_str(&by_python.stdout).unwrap();
        let node: Vec<bool> = serde_json::from_str(&by_node.stdout).unwrap();
        assert_eq!((python.len(), node.len()), (tokens.len(), tokens.len()));
        python.into_iter().zip(node).map(|([pyjwt, joserfc], jose)| [pyjwt, joserfc, jose]).collect()
    }
}

/// A gate that trusts these keys, and one connection to it.
struct Judge {
    _app: App,
    _issuer: Issuer,
    gate: Gate,
    conn: Conn,
}

impl Judge {
    fn new(signers: &[Signer]) -> Self {
        let app = App::start();
        let issuer = Issuer::with_keys(&signers.iter().map(Signer::jwk).collect::<Vec<_>>());
        let section = format!(
            "[[realm.trusted_issuer]]\nissuer = \"{ISS}\"\naudience = [\"{AUD}\"]\nalgorithms = {ALGORITHMS:?}\n\
             types = [\"JWT\", \"at+jwt\", \"absent\"]\njwks_url = \"{}\"\ninsecure_http = true\n",
            issuer.url(JWKS)
        );
        let gate = Conf::new(&app).add_realm_tables(&section).start();
        let conn = gate.conn();
        Self { _app: app, _issuer: issuer, gate, conn }
    }

    /// Status and reason.
    fn judge(&mut self, token: &str) -> (u16, String) {
        let request = get("/app/fixed").key().bearer(token);
        let answer = self.conn.try_ask(&request).unwrap_or_else(|_| {
            // A connection does not last for any number of requests.
            self.conn = self.gate.conn();
            self.conn.ask(&request)
        });
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.conn = self.gate.conn();
        }
        (answer.status, answer.reason())
    }
}

#[test]
fn r20_every_token_that_other_libraries_make_is_accepted() {
    let jury = Jury::new();
    let made = jury.made();
    let mut judge = Judge::new(&jury.signers);
    for maker in ["PyJWT", "joserfc", "jose"] {
        for alg in ALGORITHMS {
            assert!(made.iter().any(|(by, with, _)| by == maker && with == alg), "{maker} makes no {alg}");
        }
    }
    for (maker, alg, token) in &made {
        assert_eq!(judge.judge(token), (200, String::new()), "{maker}, {alg}: {token}");
    }
    let tokens: Vec<_> = made.into_iter().map(|(.., token)| token).collect();
    assert!(jury.judge(&tokens).iter().all(|verdicts| *verdicts == [true; 3]), "they accept each other's");
}

#[test]
fn r20_no_changed_token_is_accepted_that_three_libraries_refuse() {
    let jury = Jury::new();
    let made: Vec<_> = jury.made().into_iter().map(|(_, alg, token)| (alg, token)).collect();
    let attacker = Signer::new("EdDSA", "key-EdDSA");
    let mut mutator = Mutator::new(SEED, now(), &jury.signers, &attacker, made);
    let mutants: Vec<_> = (0..MUTANTS).map(|_| mutator.next()).collect();
    let tokens: Vec<_> = mutants.iter().map(|mutant| mutant.token.clone()).collect();
    let verdicts = jury.judge(&tokens);
    let mut judge = Judge::new(&jury.signers);
    let (mut faults, mut accepted, mut alone) = (Vec::new(), 0, 0);
    for (mutant, verdicts) in mutants.iter().zip(&verdicts) {
        let (status, reason) = judge.judge(&mutant.token);
        match status {
            200 if *verdicts == [false; 3] => faults.push(format!("{}: {}", mutant.change, mutant.token)),
            200 => accepted += 1,
            401 if reason.starts_with("token_") => alone += usize::from(*verdicts == [true; 3]),
            _ => faults.push(format!("{status} {reason}: {}: {}", mutant.change, mutant.token)),
        }
    }
    assert!(faults.is_empty(), "seed {SEED:#x}, {} faults:\n{}", faults.len(), faults.join("\n"));
    // Were all of them nonsense, this would say nothing.
    assert!(accepted > MUTANTS / 50, "{accepted} accepted");
    let by_library = |at: usize| verdicts.iter().filter(|verdicts| verdicts[at]).count();
    println!(
        "{MUTANTS} changed tokens: the gate accepts {accepted}, PyJWT {}, joserfc {}, jose {}; all three accept {alone} \
         that the gate refuses",
        by_library(0),
        by_library(1),
        by_library(2)
    );
}

const PYTHON: &str = include_str!("judge.py");
const NODE: &str = include_str!("judge.mjs");

/// What the mutator can do, in one look: every kind of change turns up, and the same seed makes the same changes.
#[test]
fn the_mutator_tries_everything_and_repeats_itself() {
    let signers = [Signer::new("EdDSA", "key-EdDSA"), Signer::new("ES256", "key-ES256")];
    let claims: Value = json!({"iss": ISS, "sub": "user", "aud": AUD, "iat": now(), "exp": now() + 3600});
    let made: Vec<_> = signers.iter().map(|signer| (signer.alg.to_owned(), signer.token(&claims))).collect();
    let (now, attacker) = (now(), Signer::new("EdDSA", "key-EdDSA"));
    let run = || {
        let mut mutator = Mutator::new(1, now, &signers, &attacker, made.clone());
        (0..2000).map(|_| mutator.next()).collect::<Vec<_>>()
    };
    let (first, second) = (run(), run());
    let changes = |mutants: &[mutate::Mutant]| mutants.iter().map(|mutant| mutant.change.clone()).collect::<Vec<_>>();
    assert!(changes(&first) == changes(&second), "the seed does not decide alone");
    for kind in mutate::KINDS {
        assert!(first.iter().any(|mutant| mutant.change.starts_with(kind)), "no {kind}");
    }
    assert!(first.iter().all(|mutant| mutant.token.bytes().all(|byte| byte.is_ascii_graphic())));
}
