//! Logins, logouts and who am I.

use super::*;

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
