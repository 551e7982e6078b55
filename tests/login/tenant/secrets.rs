//! R7 at the tenant login: no refresh token, session, password or code is in the log, however much is logged.

use serde_json::json;

use super::codes::Factor;
use super::*;

#[test]
fn r07_no_secret_of_a_tenant_login_is_in_the_log_at_its_loudest() {
    let app = App::start();
    for format in ["text", "json"] {
        let mut gate = conf(&app, "refresh_grace = \"1m\"")
            .log("level", "\"trace\"")
            .log("access", "\"all\"")
            .log("audit", "\"./audit.log\"")
            .log("format", &format!("\"{format}\""))
            .start();
        let (first, chosen, wrong) =
            ("a very secret first password", "a very secret chosen one", "a secret but wrong one");
        gate.user_command(&["add", "--temporary", "alice"], &format!("{first}\n")).ok();
        let factor = Factor::enable(&gate, "alice");
        let mut secrets: Vec<String> = [first, chosen, wrong, "$argon2"].map(str::to_owned).into();
        // The whole way in, with a wrong turn at every step.
        let log_in = |password: &str| gate.send(&log_in_at(TENANT, "alice", password));
        let prove = |session: &str, code: &str| {
            gate.send(&respond("SOFTWARE_TOKEN_MFA", session, &json!({"SOFTWARE_TOKEN_MFA_CODE": code})))
        };
        let choose = |session: &str, password: &str| {
            gate.send(&respond("NEW_PASSWORD_REQUIRED", session, &json!({"NEW_PASSWORD": password})))
        };
        log_in(wrong).expect(401);
        gate.send(&log_in_at(wrong, wrong, wrong)).expect(401);
        let asked = challenged(log_in(first), "NEW_PASSWORD_REQUIRED");
        choose(&asked, first).expect(400);
        choose(&format!("{asked}x"), chosen).expect(401);
        let again = challenged(choose(&asked, chosen), "SOFTWARE_TOKEN_MFA");
        let (code, wrong_code) = (factor.code(), factor.wrong_code());
        prove(&again, &wrong_code).expect(400);
        prove(&again, wrong).expect(400);
        let tokens = Tokens::of(prove(&again, &code));
        prove(&again, &code).expect(401);
        let third = challenged(log_in(chosen), "SOFTWARE_TOKEN_MFA");
        prove(&third, &code).expect(400);
        let recovered = Tokens::of(prove(&third, &factor.recovery[0]));
        gate.send(&refresh(&format!("{}x", tokens.refresh))).expect(401);
        let second = gate.refreshed(&tokens.refresh);
        let next = gate.refreshed(&second.refresh);
        // Broken bodies, wrong places, another method, and what a confused client sends.
        for token in [&tokens.refresh, &tokens.id, &asked] {
            gate.send(&get("/app/x").bearer(token)).expect(401);
            gate.send(&get("/app/x").cookie(token)).expect(401);
            gate.send(
                &post("/Login/Refresh")
                    .header("Content-Type", "application/json")
                    .body(format!("{{\"RefreshToken\":\"{token}\"")),
            )
            .expect(400);
            gate.send(&put("/Login/Refresh").json(&json!({"RefreshToken": token}))).expect(405);
            gate.send(&post("/Login/Refresh/x").json(&json!({"RefreshToken": token}))).expect(400);
            gate.send(&post("/Login/Refresh").json(&json!({"RefreshToken": [token]}))).expect(400);
        }
        gate.send(&refresh(&tokens.refresh)).expect(401);
        gate.send(&log_out(&recovered.access).json(&json!({"RefreshToken": recovered.refresh}))).expect(200);
        gate.visit(&recovered.access).expect(401);
        for tokens in [&tokens, &second, &next, &recovered] {
            secrets.push(tokens.refresh.clone());
            for token in [&tokens.access, &tokens.id] {
                secrets.extend(token.split('.').skip(1).map(str::to_owned));
            }
        }
        for session in [&asked, &again, &third] {
            secrets.extend(session.split('.').skip(1).map(str::to_owned));
        }
        secrets.extend(factor.recovery.iter().flat_map(|code| [code.clone(), code.replace('-', "")]));
        secrets.push(factor.base32().to_owned());
        gate.stop();
        let log = gate.stderr();
        assert!(log.lines().count() > 50, "trace says much more than that: {log}");
        for secret in &secrets {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{secret:?} is in the log: {line:?}");
        }
        // There a name is as it was typed, which may be whatever.
        let audit = std::fs::read_to_string(gate.dir.path().join("audit.log")).unwrap();
        assert!(audit.lines().count() > 20, "{audit}");
        for secret in secrets.iter().filter(|secret| *secret != wrong) {
            assert!(!audit.contains(secret.as_str()), "{secret:?} is in the audit stream");
        }
        // Six digits may stand in a time or an id by chance, but not alone.
        let is_code = |word: &str| word == code || word == wrong_code;
        let words = |line: &str| line.split(|char: char| !char.is_ascii_alphanumeric() && char != '.').any(is_code);
        assert!(!log.lines().chain(audit.lines()).any(words), "a code is in the log");
    }
}
