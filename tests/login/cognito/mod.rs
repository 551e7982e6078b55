//! A tenant login with an Amazon Cognito user pool: with moto's server, with users that boto3 made, and with a pool
//! that returns whatever a test requires.

mod away;
mod fake;
mod folded;
mod guessing;
mod moto;

use serde_json::{Value, json};

use crate::harness::*;

/// The standard realm's login over a pool, and more lines for `[[login]]` and `[login.cognito]`.
fn section(pool: &str, client: &str, endpoint: &str, login: &str, cognito: &str) -> String {
    format!(
        "[[login]]\ndialect = \"tenant\"\nbackend = \"cognito\"\npath = \"/Login\"\nrealm = \"examples\"\n\
         tenants = {{ Acme = \"examples\" }}\nclient_id = \"{client}\"\n{login}\n\
         [login.cognito]\nuser_pool = \"{pool}\"\nendpoint = \"{endpoint}\"\ninsecure_http = true\n{cognito}\n"
    )
}

fn log_in(gate: &Gate, user: &str, tenant: &str, password: &str) -> Response {
    let body = json!({"UserName": user, "TenantName": tenant, "Password": password});
    gate.send(&post("/Login").key().json(&body))
}

fn challenge(gate: &Gate, name: &str, session: &str, responses: &Value) -> Response {
    let body = json!({"ChallengeName": name, "Session": session, "ChallengeResponses": responses});
    gate.send(&post("/Login/Challenge").key().json(&body))
}

fn refresh(gate: &Gate, token: &str) -> Response {
    gate.send(&post("/Login/Refresh").key().json(&json!({"RefreshToken": token})))
}

/// The tokens of a response in the nested shape, whose other members are checked.
#[track_caller]
fn tokens(answer: Response) -> Tokens {
    let answer = answer.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["cognitoToken"]["ChallengeParameters"], json!({}));
    let result = &body["cognitoToken"]["AuthenticationResult"];
    assert_eq!((&result["TokenType"], result.as_object().unwrap().len()), (&json!("Bearer"), 5), "{body}");
    assert!(result["ExpiresIn"].as_u64().is_some_and(|seconds| seconds > 0), "{body}");
    let text = |name: &str| result[name].as_str().unwrap_or_else(|| panic!("no {name}: {body}")).to_owned();
    Tokens { access: text("AccessToken"), id: text("IdToken"), refresh: text("RefreshToken") }
}

struct Tokens {
    access: String,
    id: String,
    refresh: String,
}

/// Asserts a refusal in Cognito's form, which says no more than it must.
#[track_caller]
fn refused(answer: Response, status: u16, kind: &str) -> Response {
    let answer = answer.expect(status);
    let body = answer.json();
    assert_eq!((body.as_object().unwrap().len(), body["__type"].as_str()), (2, Some(kind)), "{body}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    answer
}

/// Claims of a token, unverified.
fn peek(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
