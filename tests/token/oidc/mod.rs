//! A real OpenID provider as the issuer: `oidc-provider` from npm, found by discovery.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::*;

/// A JWT access token, as the provider's client gets one.
fn access_token(provider: SocketAddr) -> String {
    let request = post("/token")
        .header("Authorization", "Basic YXBwOm1hZGUlMjB1cCUyMGZvciUyMHRoaXMlMjB0ZXN0")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials&scope=read%20write");
    let answer = request.send(provider).expect(200).json();
    answer["access_token"].as_str().expect("a token").to_owned()
}

fn kid(token: &str) -> String {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
    serde_json::from_slice::<serde_json::Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[test]
fn tokens_of_a_real_provider_pass_while_its_keys_change_and_after_it_is_gone() {
    let provider = node_server(include_str!("provider.mjs"));
    let addr = SocketAddr::from(([127, 0, 0, 1], provider.port));
    let iss = format!("http://{addr}");
    let section = format!(
        "[[realm.trusted_issuer]]\nissuer = \"{iss}\"\naudience = [\"https://api.example.com\"]\ntypes = [\"at+jwt\"]\n\
         discovery = true\ninsecure_http = true\nroles_claims = [\"scope\"]\nusername_claim = \"client_id\"\n\
         refresh = \"2s\"\n"
    );
    let app = App::start();
    let gate = Conf::new(&app).add_realm_tables(&section).start();
    let first = access_token(addr);
    gate.visit(&first).expect(200);
    let seen = app.only();
    assert_eq!(seen.header("x-auth-subject").as_deref(), Some("app"));
    assert_eq!(seen.header("x-auth-username").as_deref(), Some("app"));
    assert_eq!(seen.header("x-auth-roles").as_deref(), Some("read,write"));

    // Its keys change while tokens come and go. None fails, neither an old one nor the first of the new ones.
    let (stop, asked, of_new) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let token = access_token(addr);
                    let mut conn = gate.conn();
                    for token in [&token, &first, &token] {
                        conn.ask(&get("/app/fixed").key().bearer(token)).expect(200);
                        asked.fetch_add(1, Ordering::SeqCst);
                    }
                    of_new.fetch_add(usize::from(kid(&token) != kid(&first)), Ordering::SeqCst);
                }
            });
        }
        // A thread that failed has said why, and its test fails at the end of the scope.
        let enough = |of: &AtomicUsize, count| {
            let end = std::time::Instant::now() + PATIENCE;
            while of.load(Ordering::SeqCst) < count && std::time::Instant::now() < end {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        };
        enough(&asked, 30);
        post("/rotate").body("").send(addr).expect(200);
        enough(&of_new, 10);
        stop.store(true, Ordering::SeqCst);
    });
    assert!(asked.load(Ordering::SeqCst) >= 60 && of_new.load(Ordering::SeqCst) >= 10);

    // It goes away: what is known goes on, and is not forgotten by a reload.
    let second = access_token(addr);
    assert_ne!(kid(&second), kid(&first));
    drop(provider);
    for token in [&first, &second] {
        gate.visit(token).expect(200);
    }
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf().add_route("/more", "user", ""));
    until_true(PATIENCE, "the new policy is in force", || gate.generation() > before);
    for token in [&first, &second] {
        gate.send(&get("/more").key().bearer(token)).expect(200);
    }
    get("/readyz").send(gate.admin).expect(200);
    let status = until(PATIENCE, "/status says that it is away", || {
        let status = gate.status()["issuers"][0].clone();
        status["error"].is_string().then_some(status)
    });
    assert_eq!((&status["issuer"], &status["keys"]), (&json!(iss), &json!(["key-1", "key-0"])));
    let warned = || gate.stderr().lines().any(|line| line.contains(&iss) && line.contains("WARN"));
    until_true(PATIENCE, "the log says so, too", warned);
}
