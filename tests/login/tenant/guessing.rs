//! Guesses at codes, and networks that are known, at the tenant login: rows R63 and R65 of SECURITY.md.

use std::net::Ipv4Addr;

use super::codes::Factor;
use super::*;

fn from(gate: &Gate, last: u8, request: &Request) -> Response {
    Conn::open_from(Ipv4Addr::new(127, 0, 6, last), gate.addr).ask(request)
}

fn answer(session: &str, code: &str) -> Request {
    respond("SOFTWARE_TOKEN_MFA", session, &json!({"USERNAME": "alice", "SOFTWARE_TOKEN_MFA_CODE": code}))
}

fn set_codes(gate: &Gate, count: u32) {
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1], timeout=10)\n\
                  with db:\n    assert db.execute(\"UPDATE sign_in_networks SET codes = ? WHERE network = x'' AND user_id NOT LIKE '-%'\", [sys.argv[2]]).rowcount == 1\n";
    python(script, &[gate.database().to_str().unwrap(), &count.to_string()]).ok();
}

#[test]
fn r65_a_hundred_wrong_codes_lock_the_second_factor() {
    let (_app, gate) = gate();
    gate.register("alice");
    let factor = Factor::enable(&gate, "alice");
    let ask = |last: u8| challenged(from(&gate, last, &log_in("alice")), "SOFTWARE_TOKEN_MFA");
    Tokens::of(from(&gate, 1, &answer(&ask(1), &factor.recovery[0])));
    refused(from(&gate, 2, &answer(&ask(2), &factor.wrong_code())), 400, "CodeMismatchException");
    set_codes(&gate, 99);
    refused(from(&gate, 3, &answer(&ask(3), &factor.wrong_code())), 400, "CodeMismatchException");
    for (last, code) in (4..).zip([&factor.code(), &factor.recovery[1], &factor.recovery[0]]) {
        refused(from(&gate, last, &answer(&ask(last), code)), 400, "CodeMismatchException");
    }
    // Where the user has signed in, all of it, others lock no one out.
    Tokens::of(from(&gate, 1, &answer(&ask(1), &factor.recovery[1])));
    tollgate(&["user", "unlock", "-c", &gate.config_arg(), "--realm", "examples", "alice"], "").ok();
    Tokens::of(from(&gate, 9, &answer(&ask(9), &factor.recovery[2])));
}

#[test]
fn r63_guesses_at_codes_from_elsewhere_make_no_one_wait_at_home() {
    let (_app, gate) = gate();
    gate.register("alice");
    let factor = Factor::enable(&gate, "alice");
    let ask = |last: u8| challenged(from(&gate, last, &log_in("alice")), "SOFTWARE_TOKEN_MFA");
    Tokens::of(from(&gate, 1, &answer(&ask(1), &factor.recovery[0])));
    let session = ask(2);
    for _ in 0..5 {
        refused(from(&gate, 2, &answer(&session, &factor.wrong_code())), 400, "CodeMismatchException");
    }
    throttled(from(&gate, 2, &answer(&session, &factor.recovery[1])));
    throttled(from(&gate, 3, &log_in("alice")));
    Tokens::of(from(&gate, 1, &answer(&ask(1), &factor.recovery[1])));
}
