//! Updates and deletions of a record.

use super::*;

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
