mod guesses;
mod names;

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
            let cookie = format!("other=1; {}={token}", self.realm.cookie().name());
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
                .filter_map(|token| self.realm.tokens().verify(token, call.now_ms / 1000).ok())
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
        let accepted = self.realm.tokens().verify_own(token, now_ms / 1000).map_err(DenyReason::Token)?;
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
        self.services.store.user_by_name(self.realm.name(), &name).await.unwrap().unwrap()
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
async fn registration_makes_a_record_and_no_session() {
    let gate = Gate::open().await;
    let sent = json!({"city": "Köln", "password": PASSWORD, "username": "Alice", "n": {"b": 1, "a": [null]}});
    let answer = gate.call(post("key=x", &sent)).await.unwrap();
    assert!(
        !answer.headers().contains_key(header::SET_COOKIE) && !answer.headers().contains_key(header::AUTHORIZATION)
    );
    let record = body(&answer);
    assert_eq!(record.as_object().unwrap().keys().collect::<Vec<_>>(), ["uniqueId", "data", "createdAt", "updatedAt"]);
    let unique = id(&record);
    assert!(unique.len() == 32 && unique.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{unique}");
    assert_eq!(record["data"].to_string(), r#"{"city":"Köln","username":"Alice","n":{"b":1,"a":[null]}}"#);
    assert_eq!(
        (&record["createdAt"], &record["updatedAt"]),
        (&json!("2027-01-15T08:00:00.123Z"), &json!("2027-01-15T08:00:00.123Z"))
    );
    let stored = gate.stored("alice").await;
    assert!(stored.password.0.starts_with("$argon2id$") && stored.roles.is_empty());

    let roles = json!({"email": "Bob@example.com", "password": PASSWORD, "roles": ["admin"], "disabled": true});
    let data = body(&gate.call(post("dataOnly=true", &roles)).await.unwrap());
    assert_eq!(data, json!({"email": "Bob@example.com", "roles": ["admin"], "disabled": true}));
    let email = LoginName::email("bob@example.com").unwrap();
    let stored = gate.services.store.user_by_name("examples", &email).await.unwrap().unwrap();
    assert!(stored.roles.is_empty() && !stored.disabled, "what a user says of itself is only data");
}

#[tokio::test]
async fn registration_refuses_taken_and_unusable_names() {
    let gate = Gate::open().await;
    gate.register("Alice", PASSWORD).await;
    for (body, expected) in [
        (json!({"username": "ALICE", "password": PASSWORD}), DenyReason::UserExists),
        (json!({"username": "ａlice", "password": PASSWORD}), DenyReason::UserExists),
        (json!({"username": "a\u{200b}lice", "password": PASSWORD}), DenyReason::NameInvalid),
        (json!({"email": "a@b@c", "password": PASSWORD}), DenyReason::NameInvalid),
        (json!({"username": "b", "email": "a@b", "password": PASSWORD}), DenyReason::LoginName),
        (json!({"username": "b"}), DenyReason::Password),
    ] {
        assert_eq!(deny(gate.call(post("", &body)).await), expected, "{body}");
    }
    assert_eq!(gate.services.store.users("examples", None, 10).await.unwrap().len(), 1);
    let closed = Gate::with_realm(Realm::for_tests(false, SameSite::None, false)).await;
    assert_eq!(deny(closed.call(post("", &credentials("alice", PASSWORD))).await), DenyReason::RegistrationClosed);
}

#[tokio::test]
async fn names_can_not_be_asked_for_at_will() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    let from = |client| Call { client, ..post("", &credentials("alice", PASSWORD)) };
    for _ in 0..50 {
        assert_eq!(deny(gate.call(from("198.51.100.7")).await), DenyReason::UserExists);
    }
    assert_eq!(deny(gate.call(from("198.51.100.7")).await), DenyReason::Throttled(1));
    let later = Call { now_ms: NOW_MS + 2000, ..from("198.51.100.7") };
    assert_eq!(deny(gate.call(later).await), DenyReason::RateLimited(70));
    assert_eq!(deny(gate.call(from("198.51.100.8")).await), DenyReason::UserExists);
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
async fn login_hands_out_a_cookie_or_a_header() {
    let gate = Gate::open().await;
    let registered = gate.register("Alice", PASSWORD).await;
    let answer = gate.call(post("login=true", &credentials("ALICE", PASSWORD))).await.unwrap();
    assert_eq!(body(&answer), registered);
    let cookie = set_cookie(&answer);
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let token = pair.strip_prefix("__Host-examples=").unwrap();
    let attributes: HashSet<_> = attributes.split("; ").collect();
    assert_eq!(attributes, HashSet::from(["Path=/", "Secure", "HttpOnly", "SameSite=None", "Max-Age=2592000"]));
    let claims = gate.verify(token, NOW_MS).unwrap();
    assert_eq!((&*claims.subject, claims.username.as_deref(), claims.email), (id(&registered), Some("Alice"), None));
    assert_eq!((claims.issued_at, claims.expires_at), (NOW_MS / 1000, NOW_MS / 1000 + 2_592_000));

    let query = "login=true&noATCookie=true&dataOnly=true";
    let answer = gate.call(post(query, &credentials("alice", PASSWORD))).await.unwrap();
    assert_eq!(body(&answer), json!({"username": "Alice"}));
    assert_ne!(gate.verify(&bearer(&answer), NOW_MS).unwrap().token_id, claims.token_id, "R33: fresh every time");
    for token in [token, &bearer(&answer)] {
        let cookie = Call { cookie: Some(token.into()), ..call(Method::GET, "") };
        assert_eq!(body(&gate.call(cookie).await.unwrap()), registered);
    }
    let head = Call { method: Method::HEAD, ..get(token) };
    assert_eq!(body(&gate.call(head).await.unwrap()), registered);
}

#[tokio::test]
async fn r31_r33_failed_logins_are_all_alike() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    gate.register("gone", PASSWORD).await;
    let disabled = User { disabled: true, ..gate.stored("gone").await };
    gate.services.store.update_user(&disabled, SessionsToEnd::All, None).await.unwrap();
    for (username, password) in [
        ("alice", "wrong"),
        ("alice", &*format!("{PASSWORD} ")),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("a\u{0}", "x"),
    ] {
        let refusal = gate.call(post("login=true", &credentials(username, password))).await.unwrap_err();
        assert_eq!(refusal, LoginError { deny: DenyReason::Credentials, set_cookie: None }, "{username:?}");
        let stale = Call { cookie: Some("stale".into()), ..post("login=true", &credentials(username, password)) };
        let refusal = gate.call(stale).await.unwrap_err();
        assert_eq!(refusal.deny, DenyReason::Credentials);
        let cleared = refusal.set_cookie.unwrap();
        assert!(cleared.to_str().unwrap().starts_with("__Host-examples=; "));
        assert!(cleared.to_str().unwrap().contains("Max-Age=0"));
    }
    let email = json!({"email": "alice", "password": PASSWORD});
    assert_eq!(deny(gate.call(post("login=true", &email)).await), DenyReason::Credentials, "a username is no email");
}

#[tokio::test]
async fn r32_guesses_are_throttled_whatever_the_spelling_and_the_user() {
    let gate = Gate::open().await;
    gate.register("Alice", PASSWORD).await;
    for names in [["alice", "ALICE", "ａlice", "aLice", "alicE"], ["nobody", "NOBODY", "ｎobody", "noBody", "nobodY"]]
    {
        let guess = |name| Call { client: "2001:db8::1", ..post("login=true", &credentials(name, "wrong")) };
        for name in names {
            assert_eq!(deny(gate.call(guess(name)).await), DenyReason::Credentials);
        }
        assert_eq!(deny(gate.call(guess(names[0])).await), DenyReason::Throttled(1));
        let right = Call { client: "203.0.113.9", ..post("login=true", &credentials(names[1], PASSWORD)) };
        assert_eq!(
            deny(gate.call(right.clone()).await),
            DenyReason::Throttled(1),
            "the right password too, from anywhere"
        );
        let later = gate.call(Call { now_ms: NOW_MS + 1000, ..right }).await;
        assert_eq!(later.is_ok(), names[0] == "alice");
    }
    for n in 0..40 {
        let guess = Call { client: "2001:db8::ffff", ..post("login=true", &credentials(&format!("user{n}"), "wrong")) };
        assert_eq!(deny(gate.call(guess).await), DenyReason::Credentials);
    }
    let spray = Call { client: "2001:db8:0:0:1::", ..post("login=true", &credentials("alice", PASSWORD)) };
    assert_eq!(deny(gate.call(spray).await), DenyReason::Throttled(1), "one network, fifty failures");
}

#[tokio::test]
async fn r32_parallel_guesses_do_not_slip_past_the_limit() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    let guesses = (0..40).map(|n| gate.call(post("login=true", &credentials("alice", &format!("guess {n}")))));
    let told = futures_join(guesses).await.into_iter().filter(|result| deny(result.clone()) == DenyReason::Credentials);
    assert_eq!(told.count(), 5);
}

#[tokio::test]
async fn r37_everyone_gets_their_own_identity() {
    let gate = Gate::open().await;
    let names: Vec<_> = (0..20).map(|n| format!("user{n}")).collect();
    futures_join(names.iter().map(|name| gate.register(name, PASSWORD))).await;
    let tokens = futures_join(names.iter().cycle().take(60).map(|name| gate.log_in(name, PASSWORD))).await;
    let mut ids = HashSet::new();
    for (name, token) in names.iter().cycle().zip(&tokens) {
        let claims = gate.verify(token, NOW_MS).unwrap();
        assert_eq!(claims.username.as_deref(), Some(&**name));
        assert!(ids.insert(claims.token_id));
        assert_eq!(body(&gate.call(get(token)).await.unwrap())["data"]["username"], **name);
    }
}

#[tokio::test]
async fn logout_revokes_everything_it_carries_and_always_succeeds() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    let (one, two, other) = (
        gate.log_in("alice", PASSWORD).await,
        gate.log_in("alice", PASSWORD).await,
        gate.log_in("alice", PASSWORD).await,
    );
    let logout = Call { bearer: Some(one.clone()), cookie: Some(two.clone()), ..call(Method::POST, "logout=true") };
    for call in [
        logout.clone(),
        logout,
        call(Method::POST, "logout=true"),
        Call { body: "{\"withCredentials\":true".into(), ..call(Method::POST, "logout=true&dataOnly=true") },
        Call { bearer: Some("garbage".into()), ..call(Method::POST, "logout=true") },
    ] {
        let answer = gate.call(call).await.unwrap();
        assert_eq!(body(&answer), json!({}));
        let cookie: HashSet<_> = set_cookie(&answer).split("; ").collect();
        let cleared = ["__Host-examples=", "Path=/", "Secure", "HttpOnly", "SameSite=None", "Max-Age=0"];
        assert_eq!(cookie, HashSet::from(cleared));
    }
    for token in [&one, &two] {
        assert_eq!(deny(gate.call(get(token)).await), DenyReason::Token(TokenError::Revoked));
    }
    gate.call(get(&other)).await.unwrap();
    let kept = gate.services.store.revocations_after(0, 0, 100).await.unwrap();
    assert_eq!(kept.len(), 2);
    let latest = NOW_MS / 1000 + 2_592_000 + 300;
    let lasts =
        |kept: &RevocationEntry| matches!(kept, RevocationEntry::Id(revocation) if revocation.expires_at == latest);
    assert!(kept.iter().all(lasts), "for as long as any leeway may last");
}

#[tokio::test]
async fn who_am_i_needs_a_token_and_its_user() {
    let gate = Gate::open().await;
    let registered = gate.register("alice", PASSWORD).await;
    let token = gate.log_in("alice", PASSWORD).await;
    assert_eq!(body(&gate.call(get(&token)).await.unwrap()), registered);
    let data = gate.call(Call { query: "dataOnly=true", ..get(&token) }).await.unwrap();
    assert_eq!(body(&data), json!({"username": "alice"}));
    assert_eq!(deny(gate.call(call(Method::GET, "")).await), DenyReason::TokenMissing);
    let late = Call { now_ms: NOW_MS + 2_592_005_000, ..get(&token) };
    assert_eq!(deny(gate.call(late).await), DenyReason::Token(TokenError::Expired));

    let user = gate.stored("alice").await;
    let disabled = User { disabled: true, ..user.clone() };
    let (disabled, _) = gate.services.store.update_user(&disabled, SessionsToEnd::Nothing, None).await.unwrap();
    assert_eq!(deny(gate.call(get(&token)).await), DenyReason::UserGone, "R45");
    let unique = format!("uniqueId={}", user.id);
    let body = credentials("alice", "another secret");
    assert_eq!(deny(gate.call(put(&unique, &token, &body)).await), DenyReason::UserGone);
    assert_eq!(
        deny(gate.call(Call { method: Method::DELETE, query: &unique, ..get(&token) }).await),
        DenyReason::UserGone
    );
    gate.services.store.delete_user("examples", &disabled.id, None).await.unwrap();
    assert_eq!(deny(gate.call(get(&token)).await), DenyReason::UserGone);
}

#[tokio::test]
async fn an_update_is_its_owners_and_in_its_shape() {
    let gate = Gate::open().await;
    let (alice, bob) = (gate.register("alice", PASSWORD).await, gate.register("bob", PASSWORD).await);
    let token = gate.log_in("alice", PASSWORD).await;
    let (own, others) = (format!("uniqueId={}", id(&alice)), format!("uniqueId={}", id(&bob)));
    let (twice, bad) = (format!("{own}&{own}"), format!("{own}&strategy=append"));
    let sent = credentials("alice", PASSWORD);
    for (query, expected) in [
        ("", DenyReason::RecordUnknown),
        ("uniqueId=", DenyReason::RecordUnknown),
        (&twice, DenyReason::RecordUnknown),
        (&bad, DenyReason::Strategy),
        (&others, DenyReason::NotOwner),
        ("uniqueId=00000000000000000000000000000000", DenyReason::NotOwner),
    ] {
        assert_eq!(deny(gate.call(put(query, &token, &sent)).await), expected, "{query}");
    }
    for (wrong, expected) in [
        (json!({"username": "alice"}), DenyReason::Password),
        (json!({"password": PASSWORD}), DenyReason::LoginName),
        (credentials("BOB", PASSWORD), DenyReason::RenameForbidden),
        (credentials("a\u{7}", PASSWORD), DenyReason::NameInvalid),
    ] {
        assert_eq!(deny(gate.call(put(&own, &token, &wrong)).await), expected, "{wrong}");
    }
    assert_eq!(deny(gate.call(Call { bearer: None, ..put(&own, "", &sent) }).await), DenyReason::TokenMissing);
    assert_eq!(
        deny(gate.call(Call { content_type: None, bearer: None, ..put(&own, "", &sent) }).await),
        DenyReason::ContentType
    );
    assert_eq!(body(&gate.call(get(&token)).await.unwrap()), alice, "nothing has changed");
}

#[tokio::test]
async fn updates_change_the_record_by_strategy() {
    let gate = Gate::with_realm(Realm::for_tests(true, SameSite::None, false).with_self_rename()).await;
    let record = body(
        &gate.call(post("", &json!({"username": "alice", "password": PASSWORD, "n": 1, "o": {"a": 1}}))).await.unwrap(),
    );
    let token = gate.log_in("alice", PASSWORD).await;
    let own = format!("uniqueId={}", id(&record));
    let put_at = |query: String, seconds: i64, sent: Value| {
        let (gate, token) = (&gate, &token);
        async move {
            let call = Call { now_ms: NOW_MS + seconds * 1000, ..put(&query, token, &sent) };
            gate.call(call).await.map(|answer| body(&answer))
        }
    };
    let merged = put_at(format!("{own}&strategy=merge"), 1, json!({"n": null, "o": {"b": 2}})).await.unwrap();
    assert_eq!(merged["data"].to_string(), r#"{"username":"alice","o":{"a":1,"b":2}}"#);
    assert_eq!(
        (&merged["createdAt"], &merged["updatedAt"]),
        (&record["createdAt"], &json!("2027-01-15T08:00:01.123Z"))
    );
    let wrong = json!({"username": "alice", "password": PASSWORD, "o": "text"});
    let mismatch = put_at(format!("{own}&strategy=replace"), 2, wrong.clone()).await;
    assert_eq!(mismatch.unwrap_err().deny, DenyReason::TypeMismatch);
    let forced = put_at(format!("{own}&strategy=force&dataOnly=true"), 3, wrong).await.unwrap();
    assert_eq!(forced, json!({"username": "alice", "o": "text"}));
    // The name can change, the session stays, and the next login is by the new name.
    let renamed = put_at(own, 4, json!({"email": "Alice@example.com", "password": PASSWORD})).await.unwrap();
    assert_eq!(renamed["data"], json!({"email": "Alice@example.com"}));
    assert_eq!(body(&gate.call(get(&token)).await.unwrap()), renamed);
    assert_eq!(deny(gate.call(post("login=true", &credentials("alice", PASSWORD))).await), DenyReason::Credentials);
    let email = json!({"email": "alice@EXAMPLE.com", "password": PASSWORD});
    gate.call(post("login=true", &email)).await.unwrap();
    assert_eq!(
        deny(gate.call(post("", &credentials("alice", PASSWORD))).await),
        DenyReason::UserExists,
        "a living token says so"
    );
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let gate = Gate::open().await;
    let record = gate.register("alice", PASSWORD).await;
    let (own, other) = (gate.log_in("alice", PASSWORD).await, gate.log_in("alice", PASSWORD).await);
    let query = format!("uniqueId={}", id(&record));
    gate.call(put(&query, &own, &credentials("alice", PASSWORD))).await.unwrap();
    gate.call(get(&other)).await.unwrap();
    gate.call(put(&query, &own, &credentials("alice", "a new secret"))).await.unwrap();
    assert_eq!(deny(gate.call(get(&other)).await), DenyReason::Token(TokenError::Revoked));
    gate.call(get(&own)).await.unwrap();
    assert_eq!(deny(gate.call(post("login=true", &credentials("alice", PASSWORD))).await), DenyReason::Credentials);
    gate.log_in("alice", "a new secret").await;
    assert_eq!(
        gate.services.store.revocations_after(0, 0, 100).await.unwrap().len(),
        1,
        "in the store, not only in memory"
    );
}

#[tokio::test]
async fn a_request_that_its_revocation_overtook_changes_nothing() {
    let gate = Gate::open().await;
    let record = gate.register("alice", PASSWORD).await;
    let (own, stolen) = (gate.log_in("alice", PASSWORD).await, gate.log_in("alice", PASSWORD).await);
    // `gate` has accepted it already: meanwhile another process that shares the store ends the session.
    let claims = gate.verify(&own, NOW_MS).unwrap();
    let user = gate.stored("alice").await;
    gate.services
        .store
        .update_user(&user, SessionsToEnd::AllBut(claims.token_id), Some(claims.token_id))
        .await
        .unwrap();
    let query = format!("uniqueId={}", id(&record));
    let change = put(&query, &stolen, &credentials("alice", "a stolen one"));
    assert_eq!(deny(gate.call(change).await), DenyReason::Token(TokenError::Revoked));
    let delete = Call { method: Method::DELETE, query: &query, ..get(&stolen) };
    assert_eq!(deny(gate.call(delete).await), DenyReason::Token(TokenError::Revoked));
    gate.log_in("alice", PASSWORD).await;
}

#[tokio::test]
async fn deletion_ends_every_session_and_clears_the_cookie() {
    let gate = Gate::open().await;
    let (alice, bob) = (gate.register("alice", PASSWORD).await, gate.register("bob", PASSWORD).await);
    let (one, two) = (gate.log_in("alice", PASSWORD).await, gate.log_in("alice", PASSWORD).await);
    let delete = |query| Call { method: Method::DELETE, query, ..get(&one) };
    let (own, others) = (format!("uniqueId={}", id(&alice)), format!("uniqueId={}", id(&bob)));
    assert_eq!(deny(gate.call(delete("")).await), DenyReason::RecordUnknown);
    assert_eq!(deny(gate.call(delete(&others)).await), DenyReason::NotOwner);
    assert_eq!(deny(gate.call(Call { bearer: None, ..delete(&own) }).await), DenyReason::TokenMissing);
    let answer = gate.call(delete(&own)).await.unwrap();
    assert_eq!(body(&answer), alice);
    assert!(set_cookie(&answer).contains("Max-Age=0"));
    for token in [&one, &two] {
        assert_eq!(deny(gate.call(get(token)).await), DenyReason::Token(TokenError::Revoked));
    }
    assert_eq!(deny(gate.call(post("login=true", &credentials("alice", PASSWORD))).await), DenyReason::Credentials);
    assert_ne!(id(&gate.register("alice", PASSWORD).await), id(&alice), "free again, under another id");
}

#[tokio::test]
async fn the_master_key_stands_in_for_every_owner() {
    let gate = Gate::open().await;
    let (alice, bob) = (gate.register("alice", PASSWORD).await, gate.register("bob", PASSWORD).await);
    let token = gate.log_in("alice", PASSWORD).await;
    let own = format!("uniqueId={}", id(&alice));
    let master = |method, query| Call { method, master: true, ..call(Method::GET, query) };
    assert_eq!(body(&gate.call(master(Method::GET, &own)).await.unwrap()), alice);
    let mut all = body(&gate.call(master(Method::GET, "")).await.unwrap()).as_array().unwrap().clone();
    all.sort_by_key(|record| record["data"]["username"].to_string());
    assert_eq!(all, [alice.clone(), bob]);
    assert_eq!(body(&gate.call(master(Method::GET, "dataOnly=true")).await.unwrap()).as_array().unwrap().len(), 2);
    for (method, query) in
        [(Method::GET, "uniqueId=0"), (Method::GET, "uniqueId="), (Method::DELETE, ""), (Method::DELETE, "uniqueId=0")]
    {
        assert_eq!(deny(gate.call(master(method, query)).await), DenyReason::RecordUnknown, "{query}");
    }
    let change = Call { master: true, bearer: None, ..put(&own, "", &credentials("alice", "set by the operator")) };
    assert_eq!(deny(gate.call(Call { query: "uniqueId=0", ..change.clone() }).await), DenyReason::RecordUnknown);
    gate.call(change).await.unwrap();
    assert_eq!(deny(gate.call(get(&token)).await), DenyReason::Token(TokenError::Revoked), "every session ends");
    gate.log_in("alice", "set by the operator").await;
    let answer = gate.call(master(Method::DELETE, &own)).await.unwrap();
    assert_eq!(body(&answer)["data"], alice["data"]);
    assert!(!answer.headers().contains_key(header::SET_COOKIE), "whoever holds the master key deleted somebody else");
    // It has no effect on other operations.
    assert_eq!(
        deny(gate.call(Call { master: true, ..post("login=true", &credentials("bob", "x")) }).await),
        DenyReason::Credentials
    );
}

#[tokio::test]
async fn imported_hashes_are_replaced_at_login_even_at_many_at_once() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    let bcrypt = PasswordHash("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".into());
    let imported = User { password: bcrypt.clone(), ..gate.stored("alice").await };
    gate.services.store.update_user(&imported, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(deny(gate.call(post("login=true", &credentials("alice", PASSWORD))).await), DenyReason::Credentials);
    assert_eq!(gate.stored("alice").await.password, bcrypt, "not with the wrong password");
    let tokens = futures_join((0..30).map(|_| gate.log_in("alice", "U*U"))).await;
    assert!(tokens.iter().all(|token| gate.verify(token, NOW_MS).is_ok()));
    let user = gate.stored("alice").await;
    assert!(!needs_rehash(&user.password));
    assert_eq!(user.updated_at, NOW_MS, "which is no change of the user's");
    gate.log_in("alice", "U*U").await;
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
