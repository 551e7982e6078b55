//! Registration.

use super::*;

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
