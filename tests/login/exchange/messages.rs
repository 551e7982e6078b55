//! One test for every message of the table, and the documented line as it is printed.

use std::process::Command;

use super::*;

#[test]
fn the_documented_line_works_as_printed_but_for_the_host() {
    let exchange = Exchange::start();
    let page = include_str!("../../../docs/logins.md");
    let (_, section) = page.split_once("## Exchange login").expect("its section");
    // The lines of the first block that begin with this, with those that they are continued on.
    let line = |start: &str| {
        let mut lines = section.lines().map(str::trim).skip_while(|line| !line.starts_with(start));
        let mut text = String::new();
        for line in &mut lines {
            match line.strip_suffix('\\') {
                Some(part) => text.push_str(part),
                None => return text + line,
            }
        }
        panic!("no {start}");
    };
    let add = line("tollgate user add");
    let add = add.replace("exchange.toml", &exchange.gate.config_arg()).replace("--realm app", "--realm examples");
    let words: Vec<_> = add.split_whitespace().skip(1).collect();
    tollgate(&words, &format!("{PASSWORD}\n")).ok();
    let curl = line("curl -X POST");
    assert!(curl.contains("https://gate.example.com/api/login") && curl.contains("dXNlckBleGFtcGxlLmNvbQ=="), "{curl}");
    let curl = curl.replace("https://gate.example.com", &format!("http://{}", exchange.gate.addr));
    let ran = run(Command::new("sh").args(["-c", &curl.replace("<access token>", &machine())]), b"").ok();
    let token =
        ran.stdout.strip_prefix(&format!("{{\"status\":\"success\",\"url\":\"{URL}")).expect("the documented answer");
    let token = token.strip_suffix("\",\"message\":\"User logged in\"}").expect("the documented answer");
    assert_eq!(exchange.visit_callback(token).status, 303);
    // And as the documentation has it, without a token that counts.
    let ran = run(Command::new("sh").args(["-c", &curl]), b"").ok();
    assert_eq!(ran.stdout, "{\"status\":\"error\",\"message\":\"Unauthorized or invalid token\"}");
}

#[test]
fn success() {
    let exchange = Exchange::with_user("");
    let answer = exchange.ask(&machine(), "user@example.com");
    let token = token_of(&answer);
    assert_eq!(
        answer.text(),
        format!("{{\"status\":\"success\",\"url\":\"{URL}{token}\",\"message\":\"User logged in\"}}")
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!((answer.all("set-cookie"), answer.all("location")), (vec![], vec![]));
    exchange.app.saw_nothing();
}

#[test]
fn unauthorized_or_invalid_token() {
    let exchange = Exchange::with_user("");
    let answer = exchange.gate.send(&login("user@example.com"));
    says(&answer, 401, "Unauthorized or invalid token");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"examples\""));
    let answer = exchange.ask("rubbish", "user@example.com");
    says(&answer, 401, "Unauthorized or invalid token");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"examples\", error=\"invalid_token\""));
}

#[test]
fn email_is_required() {
    let exchange = Exchange::with_user("");
    let answer = exchange.gate.send(&post(LOGIN).json(&json!({})).bearer(&machine()));
    says(&answer, 400, "Email is required");
}

#[test]
fn username_invalid_as_it_is_no_address() {
    let exchange = Exchange::with_user("");
    let answer = exchange.gate.send(&post(LOGIN).json(&json!({"email": "user@example.com"})).bearer(&machine()));
    says(&answer, 400, "Username invalid");
}

#[test]
fn username_invalid_as_there_is_no_such_user() {
    let exchange = Exchange::with_user("");
    says(&exchange.ask(&machine(), "nobody@example.com"), 403, "Username invalid");
}

#[test]
fn user_without_a_licence() {
    let exchange = Exchange::start();
    exchange.import(&[person_with("user@example.com", &json!({"profile": "main"}))]);
    says(&exchange.ask(&machine(), "user@example.com"), 403, "User doesn't have any licence");
}

#[test]
fn user_without_a_profile() {
    let exchange = Exchange::start();
    exchange.import(&[person_with("user@example.com", &json!({"licence": "pro"}))]);
    says(&exchange.ask(&machine(), "user@example.com"), 403, "User doesn't have a profile");
}

#[test]
fn unknown_error() {
    // Its keys were never there.
    let (app, mut issuer) = (App::start(), Issuer::start());
    issuer.stop();
    let gate = conf(&app, &issuer.url(JWKS), "").start_unready();
    let answer = gate.send(&login("user@example.com").bearer(&machine()));
    says(&answer, 500, "Unknown error");
    assert!(answer.header("retry-after").is_some(), "it is worth trying again");
    assert_eq!(answer.header("www-authenticate"), None, "another token would not help");
    gate.says(ISS);
}

#[test]
fn unknown_error_of_the_store() {
    let exchange = Exchange::with_user("");
    let token = exchange.callback_token("user@example.com");
    let script = "import sqlite3, sys\nsqlite3.connect(sys.argv[1], timeout=30).executescript(\"ALTER TABLE users RENAME TO gone; DROP TABLE used_once\")";
    python(script, &[exchange.gate.database().to_str().unwrap()]).ok();
    for answer in
        [exchange.ask(&machine(), "user@example.com"), exchange.visit_callback(&token), exchange.redeem(&token)]
    {
        says(&answer, 500, "Unknown error");
    }
}
