//! R37: many users at once, each of whom gets its own identity only.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use serde_json::json;

use super::*;

const USERS: usize = 1000;

fn name(number: usize) -> String {
    format!("user-{number:04}")
}

fn password(number: usize) -> String {
    format!("password of kind {}", number % 8)
}

/// Users with hashes of the present parameters, a few of which are made once for all of them: nothing is hashed again.
fn import(gate: &Gate) {
    let params = Params::new(19_456, 2, 1, None).unwrap();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hashes: Vec<_> = (0..8)
        .map(|number| {
            let hash: PasswordHash = argon.hash_password(password(number).as_bytes()).unwrap();
            hash.to_string()
        })
        .collect();
    let lines: String = (0..USERS)
        .map(|number| {
            let name = name(number);
            let line = json!({
                "username": name, "email": format!("{name}@example.com"), "password_hash": hashes[number % 8],
                "data": {"number": number.to_string()}, "roles": [format!("role-{number}")],
            });
            format!("{line}\n")
        })
        .collect();
    gate.user_command(&["import", "-"], &lines).ok();
}

#[test]
fn r37_a_thousand_users_at_once_get_their_own_tokens() {
    let app = App::start();
    let gate = conf(&app, "").server("hash_queue", "2000").server("threads", "2").start();
    import(&gate);
    let barrier = Barrier::new(USERS);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..USERS)
            .map(|number| {
                let (gate, barrier) = (&gate, &barrier);
                let client = std::thread::Builder::new().stack_size(256 << 10);
                client
                    .spawn_scoped(scope, move || {
                        let mut conn = gate.conn();
                        // The last of them waits for all the others' hashes.
                        conn.set_read_timeout(Duration::from_secs(120));
                        barrier.wait();
                        let by = if number % 2 == 0 { name(number) } else { format!("{}@example.com", name(number)) };
                        let tokens = Tokens::of(conn.ask(&log_in_at(TENANT, &by, &password(number))));
                        // At once, while the others log in: refreshed, and seen by the application.
                        let next = Tokens::of(conn.ask(&refresh(&tokens.refresh)));
                        let told = conn.ask(&get("/app/x").bearer(&next.access)).expect(200).json();
                        (tokens, next, told)
                    })
                    .unwrap()
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let mut different = BTreeSet::new();
    for (number, (first, next, told)) in answers.iter().enumerate() {
        let name = name(number);
        let subject = claims(&first.access)["sub"].clone();
        for tokens in [first, next] {
            let (access, id) = (claims(&tokens.access), claims(&tokens.id));
            assert_eq!((&access["username"], &access["roles"]), (&json!(name), &json!([format!("role-{number}")])));
            assert_eq!((&id["cognito:username"], &id["custom:number"]), (&json!(name), &json!(number.to_string())));
            assert_eq!((&access["sub"], &id["sub"]), (&subject, &subject));
            assert_eq!(access["origin_jti"], id["origin_jti"]);
            assert!(different.insert(tokens.refresh.clone()) && different.insert(access["jti"].to_string()));
        }
        assert!(different.insert(subject.to_string()), "two of one subject");
        assert!(different.insert(claims(&first.access)["origin_jti"].to_string()), "two of one session");
        let headers = told["headers"].as_array().unwrap();
        let header = |wanted: &str| {
            let pair = headers.iter().find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(wanted));
            pair.map(|pair| pair[1].clone()).unwrap_or_default()
        };
        assert_eq!((header("x-auth-username"), header("x-auth-subject")), (json!(name), subject));
    }
}
