mod guesses;
mod names;
mod registration;
mod sessions;
mod updates;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::super::allowance::Allowances;
use super::super::password::HashPool;
use super::super::throttle::Throttle;
use super::*;
use crate::config::{Database, Dialect, Login, NO_PROXIES, Realm, SameSite};
use crate::gate::{AdmittedLogin, ClientInfo};
use crate::store::{self, LoginName, RevocationEntry};
use crate::token::{Revocations, TokenError};

/// The share in which the tests hash.
const SHARE: super::super::password::Share<'_> =
    super::super::password::Share { realm: "examples", client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

/// A realm with its services, and a replacement of `gate`.
struct Gate {
    realm: Arc<Realm>,
    services: LoginServices,
    _directory: tempfile::TempDir,
}

/// A call as a client would make it.
#[derive(Clone)]
struct Call<'a> {
    method: Method,
    query: &'a str,
    body: String,
    content_type: Option<&'static str>,
    bearer: Option<String>,
    cookie: Option<String>,
    client: &'static str,
    now_ms: i64,
    master: bool,
}

impl Gate {
    async fn open() -> Self {
        Self::with_realm(Realm::for_tests(true, SameSite::None, false)).await
    }

    async fn with_realm(realm: Realm) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = store::open(&Database::Sqlite(directory.path().join("store.db"))).await.unwrap();
        let services = LoginServices {
            store,
            passwords: HashPool::new(2, 256).unwrap(),
            throttle: Throttle::new(),
            allowances: Allowances::new(),
            revocations: Arc::new(Revocations::new()),
            started_ms: 0,
        };
        Self { realm: Arc::new(realm), services, _directory: directory }
    }

    async fn call(&self, call: Call<'_>) -> Result<LoginResponse, LoginError> {
        let pairs = call.query.split('&').filter(|pair| !pair.is_empty());
        let query: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        let query: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut headers = HeaderMap::new();
        if let Some(value) = call.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
        }
        if let Some(token) = &call.cookie {
            let cookie = format!("other=1; {}={token}", self.realm.cookie.name);
            headers.insert(header::COOKIE, cookie.try_into().unwrap());
        }
        let tokens: Vec<_> = call.bearer.iter().chain(&call.cookie).cloned().collect();
        let token = tokens.first().ok_or(DenyReason::TokenMissing).and_then(|token| self.verify(token, call.now_ms));
        let login = Arc::new(Login::new(0, Dialect::Project(ProjectLogin), None, "/auth".into(), self.realm.clone()));
        let client = call.client.parse::<IpAddr>().unwrap();
        let admitted = AdmittedLogin {
            login: login.endpoint("/auth", &call.method).unwrap(),
            realms: Vec::new(),
            query,
            master: call.master,
            token,
            tokens: tokens
                .iter()
                .filter_map(|token| self.realm.tokens.verify(token, call.now_ms / 1000).ok())
                .collect(),
            client: ClientInfo::from_request(client, true, &headers, &NO_PROXIES),
            cors: None,
        };
        let request = LoginRequest {
            admitted: &admitted,
            method: &call.method,
            headers: &headers,
            body: call.body.clone().into(),
            now_ms: call.now_ms,
            event: &super::super::LoginEventRecorder::default(),
        };
        ProjectLogin.handle(request, &self.services).await
    }

    fn verify(&self, token: &str, now_ms: i64) -> Result<Claims, DenyReason> {
        let accepted = self.realm.tokens.verify_own(token, now_ms / 1000).map_err(DenyReason::Token)?;
        let revoked = self.services.revocations.contains(&accepted.marks);
        if revoked { Err(DenyReason::Token(TokenError::Revoked)) } else { Ok(accepted.claims) }
    }

    /// Registers, and returns the record.
    async fn register(&self, username: &str, password: &str) -> Value {
        body(&self.call(post("", &credentials(username, password))).await.unwrap())
    }

    /// Logs in, and returns the token.
    async fn log_in(&self, username: &str, password: &str) -> String {
        let answer = self.call(post("login=true&noATCookie=true", &credentials(username, password))).await.unwrap();
        bearer(&answer)
    }

    async fn stored(&self, username: &str) -> User {
        let name = LoginName::username(username).unwrap();
        self.services.store.user_by_name(&self.realm.name, &name).await.unwrap().unwrap()
    }
}

fn call(method: Method, query: &str) -> Call<'_> {
    Call {
        method,
        query,
        body: String::new(),
        content_type: None,
        bearer: None,
        cookie: None,
        client: "192.0.2.1",
        now_ms: NOW_MS,
        master: false,
    }
}

fn post<'a>(query: &'a str, body: &Value) -> Call<'a> {
    Call { body: body.to_string(), content_type: Some("application/json"), ..call(Method::POST, query) }
}

fn get(token: &str) -> Call<'static> {
    Call { bearer: Some(token.into()), ..call(Method::GET, "") }
}

fn put<'a>(query: &'a str, token: &str, body: &Value) -> Call<'a> {
    Call { method: Method::PUT, bearer: Some(token.into()), ..post(query, body) }
}

fn credentials(username: &str, password: &str) -> Value {
    json!({"username": username, "password": password})
}

fn body(answer: &LoginResponse) -> Value {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    serde_json::from_slice(answer.body()).unwrap()
}

fn bearer(answer: &LoginResponse) -> String {
    assert!(!answer.headers().contains_key(header::SET_COOKIE), "never both");
    let value = answer.headers()[header::AUTHORIZATION].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

fn set_cookie(answer: &LoginResponse) -> &str {
    assert!(!answer.headers().contains_key(header::AUTHORIZATION), "never both");
    answer.headers()[header::SET_COOKIE].to_str().unwrap()
}

fn id(record: &Value) -> &str {
    record["uniqueId"].as_str().unwrap()
}

fn deny(result: Result<LoginResponse, LoginError>) -> DenyReason {
    result.unwrap_err().deny
}

#[tokio::test]
async fn bodies_are_json_objects_that_say_so() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    let good = credentials("alice", PASSWORD).to_string();
    let with = |content_type, body: &str| Call { content_type, body: body.into(), ..call(Method::POST, "login=true") };
    for content_type in
        ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x"]
    {
        assert!(gate.call(with(Some(content_type), &good)).await.is_ok(), "{content_type}");
    }
    for content_type in [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/jsonx"),
        Some("text/json"),
        Some("application/json, text/plain"),
    ] {
        assert_eq!(deny(gate.call(with(content_type, &good)).await), DenyReason::ContentType, "{content_type:?}");
    }
    for body in ["", "[]", "null", "\"a\"", "{", r#"{"username":"alice","password":"x","password":"secret"}"#] {
        assert_eq!(deny(gate.call(with(Some("application/json"), body)).await), DenyReason::Body, "{body}");
    }
}

#[tokio::test]
async fn flags_count_once_and_as_true() {
    let gate = Gate::open().await;
    for query in [
        "login=false",
        "login=1",
        "login",
        "login=TRUE",
        "login=true&login=true",
        "logout=yes",
        "dataOnly=",
        "noATCookie=no",
        "login=true&logout=true",
    ] {
        assert_eq!(deny(gate.call(post(query, &credentials("a", PASSWORD))).await), DenyReason::Flag, "{query}");
    }
    assert_eq!(deny(gate.call(call(Method::GET, "dataOnly=1")).await), DenyReason::Flag);
    gate.call(post("unknown=1&unknown=2&Login=true", &credentials("a", PASSWORD))).await.unwrap();
}

#[tokio::test]
async fn a_store_that_fails_is_told_as_such() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    let token = gate.log_in("alice", PASSWORD).await;
    gate.services.store.close().await;
    assert_eq!(deny(gate.call(get(&token)).await), DenyReason::Store);
    assert_eq!(deny(gate.call(post("login=true", &credentials("alice", PASSWORD))).await), DenyReason::Store);
    let logout = Call { bearer: Some(token), ..call(Method::POST, "logout=true") };
    assert_eq!(deny(gate.call(logout).await), DenyReason::Store, "not logged out, and not said so");
}

/// All at once, on this thread.
async fn futures_join<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

const PASSWORD: &str = "a secret of theirs";
/// 2027-01-15T08:00:00.123Z
const NOW_MS: i64 = 1_800_000_000_123;
