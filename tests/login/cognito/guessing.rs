//! Guessing at users of a pool: rows R63 and R65 of SECURITY.md.

use std::net::Ipv4Addr;

use super::fake::*;
use super::*;

const CODE: &str = "SOFTWARE_TOKEN_MFA";

fn from(gate: &Gate, client: [u8; 4], path: &str, body: &Value) -> Response {
    Conn::open_from(Ipv4Addr::from(client), gate.addr).ask(&post(path).key().json(body))
}

fn log_in_from(gate: &Gate, client: [u8; 4], user: &str) -> Response {
    from(gate, client, "/Login", &json!({"UserName": user, "TenantName": "Acme", "Password": PASSWORD}))
}

fn code_from(gate: &Gate, client: [u8; 4], user: &str) -> Response {
    let responses = json!({"USERNAME": user, "SOFTWARE_TOKEN_MFA_CODE": "123456"});
    let body = json!({"ChallengeName": CODE, "Session": "session-of-the-pool", "ChallengeResponses": responses});
    from(gate, client, "/Login/Challenge", &body)
}

fn wrong(pool: &Fake, gate: &Gate, client: [u8; 4], user: &str) {
    pool.will_refuse("NotAuthorizedException");
    refused(log_in_from(gate, client, user), 401, "NotAuthorizedException");
}

/// Statements for Tollgate's database, and what the last of them says.
fn sql(gate: &Gate, statement: &str) -> String {
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1], timeout=10)\n\
                  with db:\n    print(*(value for row in db.execute(sys.argv[2]).fetchall() for value in row))\n";
    python(script, &[gate.database().to_str().unwrap(), statement]).ok().stdout.trim().to_owned()
}

fn unlock(gate: &Gate, user: &str) {
    let config = gate.config_arg();
    let said = tollgate(&["user", "unlock", "-c", &config, "--realm", "examples", user], "").ok().stdout;
    assert_eq!(said, format!("{user} unlocked\n"));
}

#[test]
fn r63_guesses_from_elsewhere_do_not_lock_a_user_of_a_pool_out() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    let home = [127, 0, 7, 1];
    pool.will_say(&good());
    tokens(log_in_from(&gate, home, "alice"));
    for last in 1..=5 {
        wrong(&pool, &gate, [127, 0, 8, last], "alice");
    }
    pool.calls();
    refused(log_in_from(&gate, [127, 0, 8, 9], "alice"), 429, "TooManyRequestsException");
    assert_eq!(pool.calls(), [], "the pool is not asked");
    // At a network from which a user logs in, all names get the same response, and the pool is not asked for existing
    // users.
    for last in 1..=5 {
        wrong(&pool, &gate, [127, 0, 8, last], "bob");
    }
    pool.calls();
    pool.will_refuse("UserNotFoundException");
    refused(log_in_from(&gate, home, "bob"), 429, "TooManyRequestsException");
    assert!(!pool.calls()[0].1.to_string().contains("bob"));
    pool.will_refuse("NotAuthorizedException");
    refused(log_in_from(&gate, home, "alice"), 429, "TooManyRequestsException");
    pool.will_say(&good());
    tokens(log_in_from(&gate, home, "ALICE"));
    for _ in 0..5 {
        pool.will_refuse("CodeMismatchException");
        refused(code_from(&gate, [127, 0, 8, 30], "carol"), 400, "CodeMismatchException");
    }
    refused(code_from(&gate, [127, 0, 8, 31], "carol"), 429, "TooManyRequestsException");
}

#[test]
fn r65_a_hundred_wrong_guesses_lock_a_user_of_a_pool_across_restarts() {
    let (app, pool) = (App::start(), Fake::start());
    let mut gate = pool.gate(&app, "", "");
    let home = [127, 0, 7, 1];
    pool.will_say(&good());
    tokens(log_in_from(&gate, home, "alice"));
    let of_others = "WHERE user_id LIKE '@%' AND network = x''";
    wrong(&pool, &gate, [127, 0, 8, 1], "alice");
    wrong(&pool, &gate, [127, 0, 8, 2], "Alice");
    gate.crash_and_restart();
    assert_eq!(sql(&gate, &format!("SELECT passwords, codes FROM sign_in_networks {of_others}")), "2 0");
    // In real time the waits would make a day of it.
    sql(&gate, &format!("UPDATE sign_in_networks SET passwords = 99 {of_others}"));
    wrong(&pool, &gate, [127, 0, 8, 3], "alice");
    gate.says("user unlock");
    pool.calls();
    // The pool is asked for a user that does not exist, so that the response takes the same time.
    wrong(&pool, &gate, [127, 0, 8, 4], "alice");
    let sent = pool.calls()[0].1.to_string();
    assert!(!sent.contains("alice") && !sent.contains(PASSWORD), "{sent}");
    gate.crash_and_restart();
    wrong(&pool, &gate, [127, 0, 8, 5], "alice");
    pool.will_say(&good());
    tokens(log_in_from(&gate, home, "alice"));
    wrong(&pool, &gate, [127, 0, 8, 6], "alice");
    unlock(&gate, "ALICE");
    pool.will_say(&good());
    tokens(log_in_from(&gate, [127, 0, 8, 7], "alice"));

    // Codes likewise; a session that the pool does not know is no guess.
    for last in 10..13 {
        pool.will_refuse("NotAuthorizedException");
        refused(code_from(&gate, [127, 0, 8, last], "alice"), 401, "NotAuthorizedException");
    }
    assert_eq!(sql(&gate, &format!("SELECT codes FROM sign_in_networks {of_others}")), "0");
    unlock(&gate, "alice");
    pool.will_refuse("CodeMismatchException");
    refused(code_from(&gate, [127, 0, 8, 13], "alice"), 400, "CodeMismatchException");
    sql(&gate, &format!("UPDATE sign_in_networks SET codes = 100 {of_others}"));
    pool.will_say(&good());
    refused(code_from(&gate, [127, 0, 8, 14], "alice"), 400, "CodeMismatchException");
    unlock(&gate, "alice");
    pool.will_say(&good());
    tokens(code_from(&gate, [127, 0, 8, 15], "alice"));
}
