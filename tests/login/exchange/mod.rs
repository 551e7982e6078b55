//! The exchange login (docs/logins.md); SECURITY.md R29, R34, R37, R40. Most tests sign Auth0's tokens themselves;
//! `auth0.rs` uses a real OpenID provider.

mod answers;
mod auth0;
mod bodies;
mod callback;
mod messages;
mod redirects;
mod tokens;
mod users;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::*;

/// Where the login answers.
const LOGIN: &str = "/api/login";
/// Where Tollgate turns a callback token into a cookie.
const CALLBACK: &str = "/site/callback";
/// What the answer's URL begins with.
const URL: &str = "https://app.example.com/site/callback?token=";
/// `iss` of the tokens, with Auth0's slash.
const ISS: &str = "https://tenant.eu.auth0.com/";
/// The audience that Tollgate is for it, without one.
const AUD: &str = "https://api.example.com";
/// The client that may log users in.
const BACKEND: &str = "7Hq2backend";

const UNAUTHORIZED: &str = "Unauthorized or invalid token";
const EMAIL: &str = "Email is required";
const USERNAME: &str = "Username invalid";
const LICENCE: &str = "User doesn't have any licence";
const PROFILE: &str = "User doesn't have a profile";
const UNKNOWN: &str = "Unknown error";

/// The issuer's key, and an unknown one. Made once: making an RSA key takes a while.
static KEY_A: LazyLock<Signer> = LazyLock::new(|| Signer::new("RS256", "key-a"));
static KEY_B: LazyLock<Signer> = LazyLock::new(|| Signer::new("RS256", "key-b"));
/// A hash that is quick to make. These tests use no password.
static HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash(PASSWORD, 4).unwrap());

/// An application, an issuer with [`KEY_A`], and a process with an exchange login.
struct Exchange {
    app: App,
    issuer: Issuer,
    gate: Gate,
}

impl Exchange {
    fn start() -> Self {
        Self::with("")
    }

    /// `keys`: lines of the login's section, in place of its defaults.
    fn with(keys: &str) -> Self {
        Self::of(keys, |conf| conf)
    }

    fn of(keys: &str, change: impl FnOnce(Conf) -> Conf) -> Self {
        let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
        let gate = change(conf(&app, &issuer.url(JWKS), keys)).start();
        Self { app, issuer, gate }
    }

    /// One with a user who lacks nothing, `user@example.com`.
    fn with_user(keys: &str) -> Self {
        let exchange = Self::with(keys);
        exchange.user("user");
        exchange
    }

    /// Adds `NAME@example.com`, who lacks nothing.
    #[track_caller]
    fn user(&self, name: &str) {
        self.import(&[person(&email(name))]);
    }

    /// Adds these, in the form of `tollgate user import`.
    #[track_caller]
    fn import(&self, users: &[Value]) {
        let lines: String = users.iter().map(|user| format!("{user}\n")).collect();
        tollgate(&["user", "import", "-c", &self.gate.config_arg(), "--realm", "examples"], &lines).ok();
    }

    /// `tollgate user COMMAND NAME`
    #[track_caller]
    fn tell(&self, command: &str, name: &str) {
        tollgate(&["user", command, "-c", &self.gate.config_arg(), "--realm", "examples", name], "").ok();
    }

    /// The answer to the backend that names this user with this token.
    fn ask(&self, token: &str, email: &str) -> Response {
        self.gate.send(&login(email).bearer(token))
    }

    /// A callback token for this user, by the backend's own token.
    #[track_caller]
    fn callback_token(&self, email: &str) -> String {
        token_of(&self.ask(&machine(), email))
    }

    fn visit_callback(&self, token: &str) -> Response {
        self.gate.send(&callback(token))
    }

    fn redeem(&self, token: &str) -> Response {
        self.gate.send(&redeem(token))
    }

    /// Follows the callback, and returns the cookie's value.
    #[track_caller]
    fn log_in(&self, email: &str) -> String {
        let answer = self.visit_callback(&self.callback_token(email)).expect(303);
        answer.set_cookie(COOKIE).expect("the cookie").0
    }

    /// The id of the user of this address.
    #[track_caller]
    fn id(&self, email: &str) -> String {
        let list = ["user", "list", "--json", "-c", &self.gate.config_arg(), "--realm", "examples"];
        let lines = tollgate(&list, "").ok().stdout;
        let mut users = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let user = users.find(|user| user["email"] == email).unwrap_or_else(|| panic!("no {email} in {lines}"));
        user["id"].as_str().expect("an id").to_owned()
    }
}

/// The standard config with the issuer and the login. No API key is needed, as in the documented line.
fn conf(app: &App, jwks: &str, keys: &str) -> Conf {
    let issuer = format!(
        "[[realm.trusted_issuer]]\nissuer = \"{ISS}\"\naudience = [\"{AUD}\"]\njwks_url = \"{jwks}\"\n\
         insecure_http = true\n"
    );
    Conf::new(app).realm("require_key", "false").add_realm_tables(&issuer).more(&section(LOGIN, "examples", keys))
}

/// A `[[login]]` with `keys`; what these don't set is as usual.
fn section(path: &str, realm: &str, keys: &str) -> String {
    let sets = |key: &str| keys.lines().any(|line| line.trim_start().starts_with(&format!("{key} ")));
    let mut text = format!("[[login]]\ndialect = \"exchange\"\npath = \"{path}\"\nrealm = \"{realm}\"\n");
    if !sets("allowed_clients") && !sets("required_permission") {
        text.push_str(&format!("allowed_clients = [\"{BACKEND}\"]\n"));
    }
    if !sets("callback_url") {
        text.push_str("callback_url = \"https://app.example.com/site/callback\"\n");
    }
    text + keys + "\n"
}

fn email(name: &str) -> String {
    format!("{name}@example.com")
}

/// A line of `tollgate user import`.
fn person(email: &str) -> Value {
    person_with(email, &json!({"licence": "pro", "profile": "main"}))
}

fn person_with(email: &str, data: &Value) -> Value {
    json!({"email": email, "password_hash": *HASH, "data": data})
}

/// The documented request, without its token.
fn login(email: &str) -> Request {
    post(LOGIN).json(&json!({"email": STANDARD.encode(email)}))
}

fn callback(token: &str) -> Request {
    get(format!("{CALLBACK}?token={token}"))
}

fn redeem(token: &str) -> Request {
    post(format!("{LOGIN}/redeem")).json(&json!({"token": token}))
}

/// The token in the URL of a response whose other bytes are as documented.
#[track_caller]
fn token_of(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let url = body["url"].as_str().unwrap_or_else(|| panic!("no url: {body}"));
    let token = url.strip_prefix(URL).unwrap_or_else(|| panic!("another url: {url}"));
    token.split('&').next().unwrap_or_default().to_owned()
}

/// What Auth0 says of a client that got a token for itself (`typ` is JWT).
fn machine_claims() -> Value {
    let now = now();
    json!({
        "iss": ISS, "sub": format!("{BACKEND}@clients"), "aud": AUD, "iat": now, "exp": now + 3600, "azp": BACKEND,
        "gty": "client-credentials", "scope": "login:users", "permissions": ["login:users"],
    })
}

fn machine_with(changes: &Value) -> String {
    KEY_A.token(&edited(machine_claims(), changes))
}

fn machine() -> String {
    machine_with(&json!({}))
}

/// What it says of a user, who came by the same application.
fn user_claims(email: &str) -> Value {
    let now = now();
    json!({
        "iss": ISS, "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": [AUD, format!("{ISS}userinfo")], "iat": now,
        "exp": now + 3600, "azp": BACKEND, "scope": "openid profile email", "email": email, "email_verified": true,
    })
}

fn user_with(email: &str, changes: &Value) -> String {
    KEY_A.token(&edited(user_claims(email), changes))
}

/// Asserts a refusal: the status, and a body of these very bytes.
#[track_caller]
fn says(answer: &Response, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{:?}\n{}", answer.headers, answer.text());
    assert_eq!(answer.text(), format!("{{\"status\":\"error\",\"message\":\"{message}\"}}"), "{status}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    for name in ["set-cookie", "location", "authorization"] {
        assert_eq!(answer.all(name), [""; 0], "{name}");
    }
}
