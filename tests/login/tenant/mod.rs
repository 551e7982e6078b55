//! The tenant dialect, with local users (docs/logins.md). Details that its documentation omits are as in Amazon
//! Cognito.

mod bad_input;
mod challenges;
mod codes;
mod epochs;
mod guessing;
mod identities;
mod login;
mod logout;
mod origins;
mod refresh;
mod refresh_crashes;
mod refresh_ends;
mod secrets;
mod throttling;
mod tokens;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;
pub use epochs::all_sessions_end;
pub use refresh::gates_know_one_family;

/// What the standard realm is called as a tenant, beside its own name.
const TENANT: &str = "Acme Inc";
/// What another process did is known here.
const SOON: Duration = Duration::from_secs(1);

/// The standard realm with a tenant login at /Login, and these keys of it. Clients need no API key.
fn conf(app: &App, keys: &str) -> Conf {
    Conf::new(app).realm("require_key", "false").more(&format!(
        "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\n\
         tenants = {{ \"{TENANT}\" = \"examples\" }}\n{keys}\n"
    ))
}

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = conf(&app, "").start();
    (app, gate)
}

fn log_in_at(tenant: &str, name: &str, password: &str) -> Request {
    post("/Login").json(&json!({"UserName": name, "TenantName": tenant, "Password": password}))
}

fn log_in(name: &str) -> Request {
    log_in_at(TENANT, name, PASSWORD)
}

fn refresh(token: &str) -> Request {
    post("/Login/Refresh").json(&json!({"RefreshToken": token}))
}

/// Logs out with an access token, and nothing in the body.
fn log_out(token: &str) -> Request {
    post("/Logout").bearer(token)
}

fn respond(name: &str, session: &str, responses: &Value) -> Request {
    post("/Login/Challenge").json(&json!({"ChallengeName": name, "Session": session, "ChallengeResponses": responses}))
}

/// What a login or a refresh gives out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tokens {
    access: String,
    id: String,
    refresh: String,
}

impl Tokens {
    /// Of a nested response, whose form is checked in full.
    #[track_caller]
    fn of(answer: Response) -> Self {
        let answer = answer.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(members(&body), ["cognitoToken"]);
        let token = &body["cognitoToken"];
        assert_eq!(members(token), ["AuthenticationResult", "ChallengeParameters"], "no question is left: {body}");
        assert_eq!(token["ChallengeParameters"], json!({}));
        let result = &token["AuthenticationResult"];
        assert_eq!(members(result), ["AccessToken", "ExpiresIn", "IdToken", "RefreshToken", "TokenType"]);
        assert_eq!(result["TokenType"], "Bearer");
        assert!(result["ExpiresIn"].is_u64(), "{body}");
        Self::from(result)
    }

    fn from(result: &Value) -> Self {
        let text = |name: &str| {
            let text = result[name].as_str().unwrap_or_else(|| panic!("{name}: {result}"));
            assert!(!text.is_empty());
            text.to_owned()
        };
        Self { access: text("AccessToken"), id: text("IdToken"), refresh: text("RefreshToken") }
    }
}

/// The session of a response with this challenge, whose form is checked in full.
#[track_caller]
fn challenged(answer: Response, name: &str) -> String {
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(members(&body), ["cognitoToken"]);
    let token = &body["cognitoToken"];
    assert_eq!(members(token), ["ChallengeName", "ChallengeParameters", "Session"], "{body}");
    assert_eq!(token["ChallengeName"], name, "{body}");
    let parameters = token["ChallengeParameters"].as_object().unwrap();
    assert!(parameters.values().all(Value::is_string), "{body}");
    token["Session"].as_str().expect("a session").to_owned()
}

/// Sorted.
#[track_caller]
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A refusal as Cognito writes one: `__type`, `message`, and nothing else.
#[track_caller]
fn refused(answer: Response, status: u16, kind: &str) -> Response {
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(members(&body), ["__type", "message"], "{body}");
    assert_eq!(body["__type"], kind, "{body}");
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    answer
}

/// The seconds in `Retry-After` of a 429.
#[track_caller]
fn throttled(answer: Response) -> u32 {
    let answer = refused(answer, 429, "TooManyRequestsException");
    answer.header("retry-after").expect("Retry-After").parse().unwrap()
}

/// All that a client sees of an answer, but for what differs in every one of them.
fn seen(answer: &Response) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
    headers.sort();
    (answer.status, headers, answer.text())
}

impl Gate {
    /// `tollgate user`, for the standard realm.
    fn user_command(&self, arguments: &[&str], stdin: &str) -> Ran {
        let config = self.config_arg();
        let mut all = vec!["user", arguments[0], "-c", &config, "--realm", "examples"];
        all.extend(&arguments[1..]);
        tollgate(&all, stdin)
    }

    /// Adds a user with the standard password, and `rest` of the command line.
    #[track_caller]
    fn add_user(&self, name: &str, rest: &[&str]) {
        let arguments = [&["add", name][..], rest].concat();
        self.user_command(&arguments, &format!("{PASSWORD}\n")).ok();
    }

    #[track_caller]
    fn tokens(&self, name: &str) -> Tokens {
        Tokens::of(self.send(&log_in(name)))
    }

    #[track_caller]
    fn refreshed(&self, token: &str) -> Tokens {
        Tokens::of(self.send(&refresh(token)))
    }

    /// Does this to the store's file, behind Tollgate's back. `?` stands for these values; answers the rows.
    #[track_caller]
    fn sql(&self, statement: &str, values: &Value) -> Value {
        let script = r#"
import json, sqlite3, sys
path, statement, values = sys.argv[1:]
values = [bytes.fromhex(value[1:]) if isinstance(value, str) and value[:1] == "x" else value for value in json.loads(values)]
with sqlite3.connect(path, timeout=20) as connection:
    rows = connection.execute(statement, values).fetchall()
connection.close()
print(json.dumps([[value.hex() if isinstance(value, bytes) else value for value in row] for row in rows]))
"#;
        let path = self.database();
        let ran = python(script, &[path.to_str().unwrap(), statement, &values.to_string()]).ok();
        serde_json::from_str(&ran.stdout).unwrap()
    }
}
