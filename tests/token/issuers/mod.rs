//! Tokens of trusted issuers; SECURITY.md R20–R30. Tollgate fetches the keys from [`harness::Issuer`]; the tokens are
//! signed here.

mod claims;
mod config;
mod fetching;
mod forged;
mod judged;
mod key_sets;
mod outages;
mod tls;
mod users;

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::harness::*;

/// `iss` of the tokens of the standard issuer.
const ISS: &str = "https://issuer.example.com/";
/// The audience that Tollgate is for it.
const AUD: &str = "https://api.example.com";

/// The standard issuer's key, RS256. Made once: making an RSA key takes a while.
static KEY_A: LazyLock<Signer> = LazyLock::new(|| Signer::new("RS256", "key-a"));
/// Another RS256 key, unknown until a test publishes it.
static KEY_B: LazyLock<Signer> = LazyLock::new(|| Signer::new("RS256", "key-b"));

/// An application, an issuer with [`KEY_A`], and a process that trusts it.
struct Trusted {
    app: App,
    issuer: Issuer,
    gate: Gate,
}

impl Trusted {
    /// `more`: further lines of the section.
    fn with(more: &str) -> Self {
        Self::with_keys(&[KEY_A.jwk()], more)
    }

    fn with_keys(keys: &[Value], more: &str) -> Self {
        let (app, issuer) = (App::start(), Issuer::with_keys(keys));
        let gate = Conf::new(&app).large_heads().add_realm_tables(&section(ISS, &issuer.url(JWKS), more)).start();
        Self { app, issuer, gate }
    }

    /// Asserts that the token opens the application, and returns what the application saw.
    #[track_caller]
    fn passes(&self, token: &str) -> Seen {
        self.app.forget();
        self.gate.visit(token).expect(200);
        self.app.only()
    }

    /// Asserts that it does not, neither as Bearer nor as the cookie.
    #[track_caller]
    fn refuses(&self, token: &str, reason: &str) {
        self.app.forget();
        for request in [get("/app/x").key().bearer(token), get("/app/x").key().cookie(token)] {
            let answer = self.gate.send(&request).refused(401, reason);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"examples\", error=\"invalid_token\""));
        }
        self.app.saw_nothing();
    }

    /// What /status says of the issuer.
    fn status(&self) -> Value {
        status_of(&self.gate, ISS)
    }
}

/// What /status says of this issuer.
fn status_of(gate: &Gate, iss: &str) -> Value {
    let status = gate.status();
    let all = status["issuers"].as_array().unwrap_or_else(|| panic!("no issuers in {status}"));
    all.iter().find(|one| one["issuer"] == iss).cloned().unwrap_or_else(|| panic!("no {iss} in {status}"))
}

/// The section of an issuer with a key set at `url`. What `more` sets (a line each) is not set again.
fn section(iss: &str, url: &str, more: &str) -> String {
    section_without_keys(iss, &format!("jwks_url = \"{url}\"\ninsecure_http = true\n{more}"))
}

/// The section of an issuer that gets its keys as `more` says.
fn section_without_keys(iss: &str, more: &str) -> String {
    let sets = |key: &str| more.lines().any(|line| line.trim_start().starts_with(&format!("{key} ")));
    let mut text = format!("[[realm.trusted_issuer]]\nissuer = \"{iss}\"\n");
    if !sets("audience") && !sets("client_ids") {
        text.push_str(&format!("audience = [\"{AUD}\"]\n"));
    }
    text.push_str(more);
    text.push('\n');
    text
}

/// What the standard issuer says of a user, for an hour.
fn claims() -> Value {
    claims_of(ISS)
}

fn claims_of(iss: &str) -> Value {
    let now = now();
    json!({"iss": iss, "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": AUD, "iat": now, "exp": now + 3600})
}

/// As [`claims`], changed: `null` takes a claim out.
fn claims_with(changes: &Value) -> Value {
    edited(claims(), changes)
}
