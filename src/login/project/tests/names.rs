//! Usernames, email addresses and new passwords.

use super::*;

async fn renaming() -> Gate {
    Gate::with_realm(Realm::for_tests(true, SameSite::None, false).with_self_rename()).await
}

impl Gate {
    /// Returns a user of the operator with these names, and its token.
    async fn made(&self, username: Option<&str>, email: Option<&str>) -> (User, String) {
        let data = json!({"username": username, "email": email, "n": 1});
        let mut data = data.as_object().unwrap().clone();
        data.retain(|_, value| !value.is_null());
        let blank = User { username: username.map(str::to_owned), email: email.map(str::to_owned), ..user(data) };
        let password = self.services.passwords.hash(SHARE, &Password::new(PASSWORD.into())).await.unwrap();
        let user = User { password, email_verified: email.is_some(), ..blank };
        self.services.store.create_user(&user).await.unwrap();
        let name = if username.is_some() { json!({"username": username}) } else { json!({"email": email}) };
        (user, self.log_in_as(&name).await)
    }

    async fn log_in_as(&self, name: &Value) -> String {
        let mut sent = name.clone();
        sent["password"] = PASSWORD.into();
        bearer(&self.call(post("login=true&noATCookie=true", &sent)).await.unwrap())
    }

    async fn change(
        &self,
        user: &User,
        token: &str,
        strategy: &str,
        sent: &Value,
    ) -> Result<LoginResponse, LoginError> {
        self.call(put(&format!("uniqueId={}&strategy={strategy}", user.id), token, sent)).await
    }
}

fn user(data: Map<String, Value>) -> User {
    User { data, ..User::new("examples", NOW_MS) }
}

#[tokio::test]
async fn r60_names_are_the_operators_to_change() {
    let gate = Gate::open().await;
    let (alice, alices) = gate.made(Some("alice"), None).await;
    let (carol, carols) = gate.made(None, Some("carol@example.com")).await;
    let (dave, daves) = gate.made(Some("dave"), Some("dave@example.com")).await;
    for (user, token, sent) in [
        (&alice, &alices, json!({"username": "admin"})),
        (&alice, &alices, json!({"username": "ALICE"})),
        (&alice, &alices, json!({"email": "ceo@corp.example"})),
        (&carol, &carols, json!({"username": "admin"})),
        (&carol, &carols, json!({"email": "ceo@corp.example"})),
        (&carol, &carols, json!({"email": "Carol@example.com"})),
        (&dave, &daves, json!({"email": "dave@example.com"})),
        (&dave, &daves, json!({"username": "dave"})),
    ] {
        for strategy in ["force", "replace", "merge"] {
            let mut sent = sent.clone();
            if strategy == "merge" {
                // A merge that does not mention the other name keeps it.
                if user.id == dave.id {
                    let other = if sent.get("email").is_some() { "username" } else { "email" };
                    sent[other] = Value::Null;
                }
            } else {
                sent["password"] = PASSWORD.into();
            }
            let refused = deny(gate.change(user, token, strategy, &sent).await);
            assert_eq!(refused, DenyReason::RenameForbidden, "{strategy} {sent}");
        }
    }
    for sent in [json!({"username": null}), json!({"email": null})] {
        assert_eq!(deny(gate.change(&dave, &daves, "merge", &sent).await), DenyReason::RenameForbidden, "{sent}");
    }
    // An update that keeps the names changes the rest.
    for (user, token, strategy, sent) in [
        (&alice, &alices, "force", json!({"username": "alice", "password": PASSWORD, "n": 2})),
        (&alice, &alices, "replace", json!({"username": "alice", "password": PASSWORD, "n": 2})),
        (&alice, &alices, "merge", json!({"username": "alice", "n": 2})),
        (&alice, &alices, "merge", json!({"email": null, "n": 2})),
        (&carol, &carols, "force", json!({"email": "carol@example.com", "password": PASSWORD, "n": 2})),
        (&dave, &daves, "merge", json!({"n": 2})),
        (&dave, &daves, "merge", json!({"email": "dave@example.com", "n": 2})),
    ] {
        let answer = gate.change(user, token, strategy, &sent).await.unwrap();
        assert_eq!(body(&answer)["data"]["n"], 2, "{strategy} {sent}");
    }
    // It does not reveal whether a name is taken or valid.
    let taken = json!({"username": "dave"});
    assert_eq!(deny(gate.change(&alice, &alices, "merge", &taken).await), DenyReason::RenameForbidden);
    // A request with the master key is the operator's.
    let query = format!("uniqueId={}&strategy=merge", alice.id);
    let master = Call { master: true, bearer: None, ..put(&query, "", &json!({"username": "Alice L."})) };
    assert_eq!(body(&gate.call(master).await.unwrap())["data"]["username"], "Alice L.");
}

#[tokio::test]
async fn r60_an_address_counts_when_the_operator_gave_it() {
    let gate = renaming().await;
    let told = |token: &str| gate.verify(token, NOW_MS).unwrap().email;
    let sent = json!({"email": "ceo@corp.example", "password": PASSWORD});
    gate.call(post("", &sent)).await.unwrap();
    let own = json!({"email": "ceo@corp.example"});
    assert_eq!(told(&gate.log_in_as(&own).await), None, "anybody can say so");

    let (dave, token) = gate.made(Some("dave"), Some("dave@example.com")).await;
    assert_eq!(told(&token).as_deref(), Some("dave@example.com"));
    let by_name = json!({"username": "dave"});
    gate.change(&dave, &token, "merge", &json!({"n": 2})).await.unwrap();
    assert_eq!(told(&gate.log_in_as(&by_name).await).as_deref(), Some("dave@example.com"), "it is still the same");
    for address in ["DAVE@example.com", "dave@example.com", "boss@example.com"] {
        gate.change(&dave, &token, "merge", &json!({"email": address})).await.unwrap();
        assert_eq!(told(&gate.log_in_as(&by_name).await), None, "{address}");
    }
    let query = format!("uniqueId={}&strategy=merge", dave.id);
    let master = |sent: &Value| Call { master: true, bearer: None, ..put(&query, "", sent) };
    gate.call(master(&json!({"email": "boss@example.com", "n": 3}))).await.unwrap();
    assert_eq!(told(&gate.log_in_as(&by_name).await), None, "which says nothing of it");
    gate.call(master(&json!({"email": "d@example.com"}))).await.unwrap();
    assert_eq!(told(&gate.log_in_as(&by_name).await).as_deref(), Some("d@example.com"));
    gate.call(master(&json!({"email": null}))).await.unwrap();
    assert!(!gate.stored("dave").await.email_verified, "without one, none is");
}

#[tokio::test]
async fn r60_a_name_that_looks_like_anothers_is_taken() {
    let gate = renaming().await;
    gate.made(Some("Alice"), Some("ceo@corp.example")).await;
    for name in ["\u{430}lice", "aIice", "a1ice", "ceo@corp.example", "\u{441}eo@corp.example"] {
        assert_eq!(deny(gate.call(post("", &credentials(name, PASSWORD))).await), DenyReason::UserExists, "{name}");
    }
    let (bob, token) = gate.made(Some("bob"), None).await;
    let sent = json!({"username": "\u{410}lice"});
    assert_eq!(deny(gate.change(&bob, &token, "merge", &sent).await), DenyReason::UserExists);
    gate.change(&bob, &token, "merge", &json!({"username": "B0b"})).await.unwrap();
}

#[tokio::test]
async fn r61_registrations_and_renames_of_an_address_are_counted_together() {
    let gate = renaming().await;
    let (alice, token) = gate.made(Some("alice"), None).await;
    let from = |client, call: Call<'static>| Call { client, ..call };
    for number in 0..48 {
        let sent = json!({"username": format!("user {number}"), "password": "short"});
        assert_eq!(
            deny(gate.call(from("198.51.100.7", post("", &sent))).await),
            DenyReason::PasswordTooShort,
            "counts nothing"
        );
        let taken = post("", &credentials("alice", PASSWORD));
        assert_eq!(deny(gate.call(from("198.51.100.7", taken)).await), DenyReason::UserExists);
    }
    let query = format!("uniqueId={}&strategy=merge", alice.id);
    let rename = |name: &str| Call { client: "198.51.100.7", ..put(&query, &token, &json!({"username": name})) };
    gate.call(rename("Alice L.")).await.unwrap();
    gate.call(rename("alice")).await.unwrap();
    assert_eq!(deny(gate.call(rename("Alice M.")).await), DenyReason::RateLimited(72));
    let sent = credentials("user", PASSWORD);
    assert_eq!(deny(gate.call(from("198.51.100.7", post("", &sent))).await), DenyReason::RateLimited(72));
    gate.call(from("198.51.100.8", post("", &sent))).await.unwrap();
    let unchanged = Call { client: "198.51.100.7", ..put(&query, &token, &json!({"username": "alice"})) };
    gate.call(unchanged).await.unwrap();
}

#[tokio::test]
async fn r61_a_user_takes_few_names_and_keeps_fewer() {
    let gate = renaming().await;
    let (alice, token) = gate.made(Some("alice"), None).await;
    let rename = |name: String| {
        let (gate, alice, token) = (&gate, &alice, &token);
        async move { gate.change(alice, token, "merge", &json!({"username": name})).await }
    };
    for number in 0..5 {
        rename(format!("alice {number}")).await.unwrap();
    }
    assert_eq!(deny(rename("alice 5".into()).await), DenyReason::RateLimited(17_280));
    // Names that no session began under are free again, and every session that did keeps one.
    gate.call(post("", &credentials("alice 0", PASSWORD))).await.unwrap();

    let (bob, token) = gate.made(Some("bob"), None).await;
    let mut held = Vec::new();
    for number in 0..3 {
        let name = format!("bob {number}");
        gate.change(&bob, &token, "merge", &json!({"username": name})).await.unwrap();
        held.push(gate.log_in_as(&json!({"username": name})).await);
    }
    let refused = gate.change(&bob, &token, "merge", &json!({"username": "bob 3"})).await;
    assert_eq!(deny(refused), DenyReason::NamesHeld);
    gate.call(Call { bearer: Some(held[0].clone()), ..call(Method::POST, "logout=true") }).await.unwrap();
    gate.change(&bob, &token, "merge", &json!({"username": "bob 3"})).await.unwrap();
}

#[tokio::test]
async fn r66_weak_passwords_are_chosen_by_nobody() {
    let gate = renaming().await;
    let long = "x y".repeat(86);
    let weak = [
        ("hunter2", DenyReason::PasswordTooShort),
        (&long, DenyReason::PasswordTooLong),
        ("Password1", DenyReason::PasswordCommon),
        ("Theodora!", DenyReason::PasswordIsName),
        ("examples", DenyReason::PasswordIsName),
    ];
    for (password, expected) in weak {
        let sent = credentials("theodora", password);
        assert_eq!(deny(gate.call(post("", &sent)).await), expected, "{password}");
    }
    let by_email = json!({"email": "theodora@example.com", "password": "theodora"});
    assert_eq!(deny(gate.call(post("", &by_email)).await), DenyReason::PasswordIsName);
    let record = gate.register("theodora", PASSWORD).await;
    let token = gate.log_in("theodora", PASSWORD).await;
    let query = format!("uniqueId={}", id(&record));
    for (password, expected) in weak {
        let sent = credentials("theodora", password);
        assert_eq!(deny(gate.call(put(&query, &token, &sent)).await), expected, "{password}");
        let master = Call { master: true, bearer: None, ..put(&query, "", &sent) };
        assert_eq!(deny(gate.call(master).await), expected, "{password}, whoever asks for it");
    }
    let renamed = json!({"username": "a secret of", "password": "a secret of!"});
    assert_eq!(deny(gate.call(put(&query, &token, &renamed)).await), DenyReason::PasswordIsName, "of the new name");
    gate.log_in("theodora", PASSWORD).await;
}

#[tokio::test]
async fn passwords_from_before_the_rules_still_open() {
    let gate = Gate::open().await;
    let record = gate.register("alice", PASSWORD).await;
    let password = gate.services.passwords.hash(SHARE, &Password::new("p".into())).await.unwrap();
    let old = User { password, ..gate.stored("alice").await };
    gate.services.store.update_user(&old, SessionsToEnd::All, None).await.unwrap();
    let token = gate.log_in("alice", "p").await;
    // The dialect sends it along with every change.
    let query = format!("uniqueId={}", id(&record));
    let sent = json!({"username": "alice", "password": "p", "n": 1});
    assert_eq!(body(&gate.call(put(&query, &token, &sent)).await.unwrap())["data"]["n"], 1);
    assert_eq!(deny(gate.call(put(&query, &token, &credentials("alice", "q"))).await), DenyReason::PasswordTooShort);
}

#[tokio::test]
async fn flags_of_post_are_no_flags_of_other_methods() {
    let gate = Gate::open().await;
    let record = gate.register("alice", PASSWORD).await;
    let token = gate.log_in("alice", PASSWORD).await;
    let own = format!("uniqueId={}", id(&record));
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        for flag in ["login=true", "logout=true"] {
            let query = format!("{flag}&{own}&dataOnly=true");
            let call = Call { method: method.clone(), ..put(&query, &token, &credentials("alice", PASSWORD)) };
            assert_eq!(deny(gate.call(call).await), DenyReason::FlagMethod, "{method} {flag}");
        }
        let call = Call { method: method.clone(), ..put("logout=false", &token, &credentials("alice", PASSWORD)) };
        assert_eq!(deny(gate.call(call).await), DenyReason::Flag, "{method}");
    }
    gate.call(get(&token)).await.unwrap();
}
