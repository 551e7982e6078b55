//! The newer answer, what the session's token says, and many logins at once.

use std::sync::Barrier;

use super::*;

#[test]
fn the_answer_of_2024_has_the_token_and_its_absolute_end() {
    let exchange = Exchange::with_user("answer = \"2024\"\nredirect_urls = [\"https://app.example.com/failed\"]");
    let before = now();
    let answer = exchange.ask(&machine(), "user@example.com");
    let token = token_of(&answer);
    let expires = claims(&token)["exp"].as_i64().unwrap();
    assert!((before + 60..=now() + 60).contains(&expires), "{expires}");
    assert_eq!(
        answer.text(),
        format!(
            "{{\"status\":\"success\",\"url\":\"{URL}{token}\",\"message\":\"User logged in\",\"token\":\"{token}\",\
             \"expires_in\":{expires}}}"
        )
    );
    let body = json!({"email": "dXNlckBleGFtcGxlLmNvbQ==", "redirect_url": "https://app.example.com/failed"});
    let answer = exchange.gate.send(&post(LOGIN).bearer(&machine()).json(&body)).expect(200).json();
    let token = answer["token"].as_str().unwrap();
    let query = "redirect_url=https%3A%2F%2Fapp%2Eexample%2Ecom%2Ffailed";
    assert_eq!(answer["url"], format!("{URL}{token}&{query}"));
    // It goes through as it stands there.
    let target = format!("{CALLBACK}?token={token}&{query}");
    assert_eq!(exchange.gate.send(&get(&target)).expect(303).header("location"), Some("/"));
    let again = exchange.gate.send(&get(&target)).expect(303);
    assert_eq!(again.header("location"), Some("https://app.example.com/failed"));
}

#[test]
fn redemption_gives_the_session_and_its_token_says_who_acted() {
    let exchange = Exchange::of("", |conf| conf.realm("token_ttl", "\"2h\""));
    exchange.user("user");
    let answer = exchange.redeem(&exchange.callback_token("user@example.com"));
    let body = answer.clone().expect(200).json();
    let token = body["token"].as_str().expect("a token").to_owned();
    assert_eq!(
        answer.text(),
        format!("{{\"status\":\"success\",\"token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":7200}}")
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.set_cookie(COOKIE), None);
    let by_cookie = exchange.log_in("user@example.com");
    for token in [&token, &by_cookie] {
        let claims = claims(token);
        assert_eq!(claims["act"], json!({"sub": BACKEND}));
        assert_eq!((claims["aud"].as_str(), claims["email"].as_str()), (Some("examples"), Some("user@example.com")));
        assert_eq!(claims["sub"], exchange.id("user@example.com"));
        assert!(claims.get("amr").is_none_or(|amr| !amr.to_string().contains("mfa")), "{claims}");
        exchange.app.forget();
        exchange.gate.send(&get("/app/x").bearer(token)).expect(200);
        assert_eq!(exchange.app.only().header("x-auth-email").as_deref(), Some("user@example.com"));
        exchange.gate.send(&post(auth("logout=true")).bearer(token)).expect(200);
        exchange.gate.send(&get("/app/x").bearer(token)).refused(401, "token_revoked");
    }
}

#[test]
fn a_second_factor_counts_if_the_user_proved_it_to_the_issuer() {
    let exchange = Exchange::of("", |conf| conf.add_route("/strong", "user", "require_mfa = true"));
    exchange.user("user");
    let amr = json!({"amr": ["mfa"]});
    for (token, opens) in [
        (user_with("user@example.com", &amr), true),
        (user_with("user@example.com", &json!({"amr": ["pwd", "otp", "mfa"]})), true),
        (user_with("user@example.com", &json!({"amr": ["pwd"]})), false),
        (user_with("user@example.com", &json!({"amr": "mfa"})), false),
        (user_with("user@example.com", &json!({"mfa": true})), false),
        (user_with("user@example.com", &json!({})), false),
        // A client-credentials token has no second factor of the named user.
        (machine_with(&amr), false),
        (machine_with(&json!({"amr": ["mfa"], "gty": null})), false),
    ] {
        for by_browser in [true, false] {
            let callback = token_of(&exchange.ask(&token, "user@example.com"));
            let session = if by_browser {
                exchange.visit_callback(&callback).expect(303).set_cookie(COOKIE).unwrap().0
            } else {
                exchange.redeem(&callback).expect(200).json()["token"].as_str().unwrap().to_owned()
            };
            exchange.gate.send(&get("/app/x").bearer(&session)).expect(200);
            let answer = exchange.gate.send(&get("/strong/x").bearer(&session));
            if opens {
                answer.expect(200);
            } else {
                answer.refused(403, "mfa_required");
            }
        }
    }
}

/// R37: 200 exchanges at the same instant, of 200 users, and then their callbacks; each gets its own session.
#[test]
fn r37_everybody_gets_their_own_session() {
    const USERS: usize = 200;
    /// Each callback waits for the disk, in line: with all of them at once, a slow one would be what is tested.
    const AT_ONCE: usize = 20;
    let exchange = Exchange::start();
    let emails: Vec<_> = (0..USERS).map(|at| email(&format!("user{at}"))).collect();
    exchange.import(&emails.iter().map(|email| person(email)).collect::<Vec<_>>());
    let (together, token) = (Barrier::new(USERS), machine());
    let callbacks: Vec<_> = std::thread::scope(|scope| {
        let thread = |(at, email): (usize, &String)| {
            let own = user_with(email, &json!({"sub": format!("auth0|{at}")}));
            let request = login(email).bearer(if at % 2 == 0 { &token } else { &own });
            let (exchange, together) = (&exchange, &together);
            scope.spawn(move || {
                let mut conn = exchange.gate.conn();
                together.wait();
                token_of(&conn.ask(&request))
            })
        };
        let threads: Vec<_> = emails.iter().enumerate().map(thread).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let log_in = |callback: &String, by_app: bool| {
        let session = if by_app {
            exchange.redeem(callback).expect(200).json()["token"].as_str().unwrap().to_owned()
        } else {
            exchange.visit_callback(callback).expect(303).set_cookie(COOKIE).unwrap().0
        };
        let seen = exchange.gate.send(&get("/app/x").cookie(&session)).expect(200).json();
        (callback.clone(), session, seen)
    };
    let mut sessions = Vec::new();
    for some in callbacks.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let log_in = &log_in;
            let threads: Vec<_> = some
                .iter()
                .enumerate()
                .map(|(at, callback)| scope.spawn(move || log_in(callback, at % 3 == 0)))
                .collect();
            sessions.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
        });
    }
    let mut ids = std::collections::BTreeSet::new();
    for ((callback, session, seen), email) in sessions.iter().zip(&emails) {
        let session = claims(session);
        assert_eq!(session["email"], **email);
        assert_eq!(claims(callback)["sub"], session["sub"]);
        let headers = seen["headers"].as_array().unwrap();
        let said = headers.iter().find(|header| header[0].as_str().unwrap().eq_ignore_ascii_case("x-auth-email"));
        assert_eq!(said.expect("an email")[1], **email);
        ids.insert(session["sub"].to_string());
        ids.insert(session["jti"].to_string());
        ids.insert(claims(callback)["jti"].to_string());
    }
    assert_eq!(sessions.len(), USERS);
    assert_eq!(ids.len(), 3 * USERS, "no two of them have anything in common");
}
