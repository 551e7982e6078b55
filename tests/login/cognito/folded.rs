//! What is sent to a pool, what is made of its tokens and challenges, and what of its exceptions.

use super::fake::*;
use super::*;

const REFUSALS: [&str; 4] =
    ["NotAuthorizedException", "UserNotFoundException", "UserNotConfirmedException", "PasswordResetRequiredException"];

/// Password, code and refresh token at once.
const SECRET: &str = "secret-of-a-client";

/// What a client answers to a second factor.
fn code(gate: &Gate, user: &str) -> Response {
    code_is(gate, user, "123456")
}

fn code_is(gate: &Gate, user: &str, code: &str) -> Response {
    let responses = json!({"USERNAME": user, "SOFTWARE_TOKEN_MFA_CODE": code});
    challenge(gate, "SOFTWARE_TOKEN_MFA", "session-of-the-pool", &responses)
}

#[test]
fn calls_are_those_of_cognito_s_api_and_nothing_more() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    pool.will_say(&good());
    let first = tokens(log_in(&gate, "Alice", "Acme", PASSWORD));
    assert_eq!(first.refresh, "refresh.1");
    let auth = json!({"USERNAME": "Alice", "PASSWORD": PASSWORD});
    let initiate = |flow: &str, auth: &Value| {
        ("InitiateAuth".to_owned(), json!({"AuthFlow": flow, "ClientId": CLIENT, "AuthParameters": auth}))
    };
    assert_eq!(pool.calls(), [initiate("USER_PASSWORD_AUTH", &auth)]);
    pool.will_say(&result(&access(&json!({})), &id(&json!({})), None));
    assert_eq!(tokens(refresh(&gate, "refresh.1")).refresh, "refresh.1");
    assert_eq!(pool.calls(), [initiate("REFRESH_TOKEN_AUTH", &json!({"REFRESH_TOKEN": "refresh.1"}))]);
    pool.will_say(&good());
    let attributes =
        json!({"USERNAME": "alice", "NEW_PASSWORD": "n", "userAttributes.name": "A", "SECRET_HASH": "x", "X": "y"});
    tokens(challenge(&gate, "NEW_PASSWORD_REQUIRED", "session", &attributes));
    let sent = json!({
        "ClientId": CLIENT, "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "session",
        "ChallengeResponses": {"USERNAME": "alice", "NEW_PASSWORD": "n", "userAttributes.name": "A"},
    });
    assert_eq!(pool.calls(), [("RespondToAuthChallenge".to_owned(), sent)]);
    pool.will_say(&json!({}));
    let out = post("/Logout").key().bearer(&first.access).json(&json!({"RefreshToken": "refresh.1"}));
    assert_eq!(gate.send(&out).expect(200).json(), json!({}));
    assert_eq!(pool.calls(), [("RevokeToken".to_owned(), json!({"ClientId": CLIENT, "Token": "refresh.1"}))]);
    gate.visit(&first.access).refused(401, "token_revoked");
    // An unknown tenant costs a call, without any text of the client.
    pool.will_refuse("UserNotFoundException");
    refused(log_in(&gate, "alice", "nowhere", PASSWORD), 401, "NotAuthorizedException");
    let [(operation, call)] = &pool.calls()[..] else { panic!() };
    let sent = call.to_string();
    assert!(operation == "InitiateAuth" && !sent.contains("alice") && !sent.contains(PASSWORD), "{sent}");
    for body in [
        json!({}),
        json!({"UserName": "a", "TenantName": "Acme"}),
        json!({"UserName": 1, "TenantName": "a", "Password": "b"}),
    ] {
        refused(gate.send(&post("/Login").key().json(&body)), 400, "InvalidParameterException");
    }
    for (name, responses) in [
        ("SOFTWARE_TOKEN_MFA", json!({"SOFTWARE_TOKEN_MFA_CODE": "1"})),
        ("SOFTWARE_TOKEN_MFA", json!({"USERNAME": "alice"})),
        ("SOFTWARE_TOKEN_MFA", json!({"USERNAME": "alice", "SOFTWARE_TOKEN_MFA_CODE": 123_456})),
        ("SOFTWARE_TOKEN_MFA", json!({"USERNAME": "alice", "SMS_MFA_CODE": "1"})),
        ("SOFTWARE_TOKEN_MFA", json!([])),
        ("CUSTOM_CHALLENGE", json!({"USERNAME": "alice", "ANSWER": "x"})),
        ("PASSWORD_VERIFIER", json!({"USERNAME": "alice"})),
    ] {
        refused(challenge(&gate, name, "session", &responses), 400, "InvalidParameterException");
    }
    assert_eq!(pool.calls(), []);
}

#[test]
fn an_app_client_with_a_secret_proves_it() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "client_secret = \"Jefe\"");
    // HMAC-SHA256, by Python.
    let hash = |name: &str| {
        let script = "import base64, hashlib, hmac, sys\nprint(base64.b64encode(hmac.new(b'Jefe', ''.join(sys.argv[1:]).encode(), hashlib.sha256).digest()).decode())";
        python(script, &[name, CLIENT]).ok().stdout.trim().to_owned()
    };
    pool.will_say(&good());
    let first = tokens(log_in(&gate, "alice@example.com", "Acme", PASSWORD));
    assert_eq!(pool.calls()[0].1["AuthParameters"]["SECRET_HASH"], hash("alice@example.com"));
    // The name that the access token says, whatever was typed.
    assert_eq!(first.refresh, "YWxpY2U.refresh.1");
    pool.will_say(&result(&access(&json!({})), &id(&json!({})), Some("refresh.2")));
    assert_eq!(tokens(refresh(&gate, &first.refresh)).refresh, "YWxpY2U.refresh.2");
    assert_eq!(
        pool.calls()[0].1["AuthParameters"],
        json!({"REFRESH_TOKEN": "refresh.1", "SECRET_HASH": hash("alice")})
    );
    pool.will_say(&good());
    tokens(code(&gate, "alice"));
    assert_eq!(pool.calls()[0].1["ChallengeResponses"]["SECRET_HASH"], hash("alice"));
    pool.will_say(&json!({}));
    gate.send(&post("/Logout").key().json(&json!({"RefreshToken": first.refresh}))).expect(200);
    let revoke = json!({"ClientId": CLIENT, "Token": "refresh.1", "ClientSecret": "Jefe"});
    assert_eq!(pool.calls()[0].1, revoke);
    assert!(!gate.stderr().contains("Jefe") && !gate.stderr().contains(PASSWORD));
}

#[test]
fn challenges_go_through_as_they_are_and_failures_are_remembered_until_they_are_met() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    let asked = json!({
        "ChallengeName": "EMAIL_OTP", "Session": "session-of-the-pool",
        "ChallengeParameters": {"CODE_DELIVERY_DESTINATION": "a***@e***", "USER_ID_FOR_SRP": "alice"},
    });
    for _ in 0..4 {
        pool.will_refuse("NotAuthorizedException");
        refused(log_in(&gate, "alice", "Acme", PASSWORD), 401, "NotAuthorizedException");
    }
    pool.will_say(&asked);
    assert_eq!(log_in(&gate, "alice", "Acme", PASSWORD).expect(200).json(), json!({"cognitoToken": asked}));
    // The fifth failure, of a code this time.
    pool.will_refuse("CodeMismatchException");
    refused(code(&gate, "Alice"), 400, "CodeMismatchException");
    pool.calls();
    refused(code(&gate, "alice"), 429, "TooManyRequestsException");
    refused(log_in(&gate, "alice", "Acme", PASSWORD), 429, "TooManyRequestsException");
    assert_eq!(pool.calls(), [], "the pool is not asked");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    pool.will_say(&good());
    tokens(code(&gate, "alice"));
    pool.will_refuse("NotAuthorizedException");
    refused(log_in(&gate, "alice", "Acme", PASSWORD), 401, "NotAuthorizedException");
}

#[test]
fn every_exception_has_one_answer_whatever_its_status_and_none_of_its_text() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    let mut user = 0;
    let mut told = Vec::new();
    // Another user each time, so that none is throttled; addresses are not before fifty.
    let mut ask = |step: usize, bytes: Vec<u8>| {
        user += 1;
        let name = format!("user{user}");
        pool.will_answer(bytes);
        let answer = match step {
            0 => log_in(&gate, &name, "Acme", SECRET),
            1 => code_is(&gate, &name, SECRET),
            _ => refresh(&gate, SECRET),
        };
        assert!(!answer.text().contains(TELLTALE) && !format!("{:?}", answer.headers).contains(TELLTALE));
        told.push(answer.text());
        answer
    };
    // Cognito quotes parameters that it does not like.
    let message = format!("{TELLTALE}:\n'{SECRET}' at 'password' failed");
    let body = |kind: &str| json!({"__type": kind, "message": message}).to_string();
    let plain = |kind: &str| http("400 Bad Request", "", body(kind));
    for kind in REFUSALS {
        for step in 0..3 {
            refused(ask(step, plain(kind)), 401, "NotAuthorizedException");
        }
    }
    let namespaced = http("403 Forbidden", "", body("com.amazonaws.cognito.identityprovider#NotAuthorizedException"));
    refused(ask(0, namespaced), 401, "NotAuthorizedException");
    for in_header in ["UserNotFoundException:http://internal.amazon.com/", "x#UserNotFoundException"] {
        let header = format!("x-amzn-ErrorType: {in_header}\r\n");
        refused(
            ask(0, http("500 Error", &header, format!("{{\"message\":\"{TELLTALE}\"}}"))),
            401,
            "NotAuthorizedException",
        );
    }
    refused(ask(0, http("200 OK", "", body("NotAuthorizedException"))), 401, "NotAuthorizedException");
    refused(ask(0, plain("InvalidParameterException")), 401, "NotAuthorizedException");
    for (step, kind, status, ours) in [
        (1, "InvalidParameterException", 400, "InvalidParameterException"),
        (2, "InvalidParameterException", 400, "InvalidParameterException"),
        (1, "CodeMismatchException", 400, "CodeMismatchException"),
        (1, "ExpiredCodeException", 400, "ExpiredCodeException"),
        (1, "InvalidPasswordException", 400, "InvalidPasswordException"),
        (1, "PasswordHistoryPolicyViolationException", 400, "InvalidPasswordException"),
        (1, "SoftwareTokenMFANotFoundException", 401, "NotAuthorizedException"),
        (1, "AliasExistsException", 400, "InvalidParameterException"),
        (2, "RefreshTokenReuseException", 401, "RefreshTokenReuseException"),
    ] {
        refused(ask(step, plain(kind)), status, ours);
    }
    for kind in ["TooManyRequestsException", "LimitExceededException", "TooManyFailedAttemptsException"] {
        for step in 0..3 {
            let answer = refused(ask(step, plain(kind)), 429, "TooManyRequestsException");
            assert_eq!(answer.header("retry-after"), Some("5"));
        }
    }
    for kind in [
        "ForbiddenException",
        "InternalErrorException",
        "InvalidLambdaResponseException",
        "InvalidUserPoolConfigurationException",
        "ResourceNotFoundException",
        "UnexpectedLambdaException",
        "UserLambdaValidationException",
        "UnsupportedOperationException",
        "telltale-of-the-pool",
    ] {
        for step in 0..3 {
            refused(ask(step, plain(kind)), 502, "InternalErrorException");
        }
    }
    let log = gate.stderr();
    assert!(log.contains("ResourceNotFoundException") && log.contains(TELLTALE), "the operator reads what it said");
    assert!(!log.contains(SECRET));
    assert!(log.contains("\\n'…' at 'password' failed"), "in one line, and without what we sent");
}

#[test]
fn at_logout_what_the_pool_does_not_know_is_logged_out_and_what_it_can_t_say_is_not() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    let out = |refused_with: &str| {
        let token = access(&json!({"origin_jti": refused_with}));
        gate.visit(&token).expect(200);
        pool.will_refuse(refused_with);
        let answer = gate.send(&post("/Logout").key().bearer(&token).json(&json!({"RefreshToken": "refresh.1"})));
        gate.visit(&token).refused(401, "token_revoked");
        answer
    };
    for kind in ["NotAuthorizedException", "InvalidParameterException", "UnsupportedTokenTypeException"] {
        out(kind).expect(200);
    }
    for kind in ["UnsupportedOperationException", "UnauthorizedException", "InternalErrorException"] {
        refused(out(kind), 502, "InternalErrorException");
    }
    refused(out("TooManyRequestsException"), 429, "TooManyRequestsException");
    pool.calls();
    // A malformed token is not sent; an unknown token, or none, is logged out already.
    for token in ["", "a b", "é"] {
        gate.send(&post("/Logout").key().json(&json!({"RefreshToken": token}))).expect(200);
    }
    gate.send(&post("/Logout").key().bearer("nonsense")).expect(200);
    gate.send(&post("/Logout").key()).expect(200);
    assert_eq!(pool.calls(), []);
}

#[test]
fn a_token_that_has_expired_ends_its_family_too() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    let other = access(&json!({}));
    gate.visit(&other).expect(200);
    // Too old for its refresh token to be one still.
    let old = now() - 40 * 86_400;
    gate.send(&post("/Logout").key().bearer(&access(&json!({"iat": old, "exp": old + 3600})))).expect(200);
    gate.visit(&other).expect(200);
    let expired = access(&json!({"iat": now() - 7200, "exp": now() - 3600}));
    gate.visit(&expired).refused(401, "token_expired");
    gate.send(&post("/Logout").key().bearer(&expired)).expect(200);
    gate.visit(&other).refused(401, "token_revoked");
    // A pool that does not name families: this token, and no other.
    let (one, two) = (access(&json!({"origin_jti": null})), access(&json!({"origin_jti": null, "n": 2})));
    gate.send(&post("/Logout").key().bearer(&one)).expect(200);
    gate.visit(&one).refused(401, "token_revoked");
    gate.visit(&two).expect(200);
    // An ID token ends nothing.
    let third = access(&json!({"origin_jti": "family-3"}));
    gate.send(&post("/Logout").key().bearer(&id(&json!({"origin_jti": "family-3"})))).expect(200);
    gate.visit(&third).expect(200);
}

#[test]
fn tokens_that_the_guard_would_not_take_are_not_handed_on() {
    let (app, pool, key) = (App::start(), Fake::start(), Signer::new("RS256", "elsewhere"));
    let issuer = Issuer::with_keys(&[key.jwk()]);
    let trusted = format!(
        "[[realm.trusted_issuer]]\nissuer = \"https://other.example\"\nclient_ids = [\"{CLIENT}\"]\n\
         jwks_url = \"{}\"\ninsecure_http = true\n",
        issuer.url(JWKS)
    );
    let conf = Conf::new(&app).add_realm_tables(&trusted).log("level", "\"trace\"");
    let gate = conf.more(&section(POOL, CLIENT, &pool.url(), "", "")).start();
    let (good_access, good_id) = (access(&json!({})), id(&json!({})));
    let forged = Signer::new("RS256", "access");
    let forged = forged.token_with(&json!({"typ": null}), &peek(&good_access));
    // The realm takes it, and the pool has no business to give it out.
    let of_another = key.token(&edited(peek(&good_access), &json!({"iss": "https://other.example"})));
    gate.visit(&of_another).expect(200);
    for (access, id) in [
        (of_another, good_id.clone()),
        (access(&json!({"client_id": "another"})), good_id.clone()),
        (access(&json!({"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other"})), good_id.clone()),
        (access(&json!({"iss": ISSUER})), good_id.clone()),
        (access(&json!({"token_use": "id"})), good_id.clone()),
        (access(&json!({"exp": now() - 60})), good_id.clone()),
        (access(&json!({"sub": "somebody-else"})), good_id.clone()),
        (forged, good_id.clone()),
        (good_id.clone(), good_id.clone()),
        (good_access.clone(), good_access.clone()),
        (good_access.clone(), id(&json!({"aud": "another"}))),
        (good_access.clone(), id(&json!({"iss": "https://other.example"}))),
        (good_access.clone(), id(&json!({"exp": now() - 60}))),
        (good_access.clone(), "nonsense".into()),
        ("nonsense".into(), good_id),
    ] {
        pool.will_say(&result(&access, &id, Some("refresh.1")));
        refused(log_in(&gate, "alice", "Acme", PASSWORD), 502, "InternalErrorException");
    }
    for odd in [
        json!({}),
        json!({"AuthenticationResult": {}}),
        json!({"AuthenticationResult": null, "ChallengeName": null}),
        json!({"ChallengeName": "SMS_MFA"}),
        json!({"ChallengeName": "SMS_MFA", "Session": "s", "ChallengeParameters": []}),
        result(&good_access, &id(&json!({})), None),
    ] {
        pool.will_say(&odd);
        refused(log_in(&gate, "alice", "Acme", PASSWORD), 502, "InternalErrorException");
    }
    assert!(!gate.stderr().contains(&good_access));
}

#[test]
fn a_family_that_was_logged_out_is_refreshed_no_more() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    pool.will_say(&good());
    let first = tokens(log_in(&gate, "alice", "Acme", PASSWORD));
    gate.send(&post("/Logout").key().bearer(&first.access)).expect(200);
    pool.will_say(&result(&access(&json!({})), &id(&json!({})), None));
    refused(refresh(&gate, &first.refresh), 401, "NotAuthorizedException");
    // Another login is another family.
    let other = json!({"origin_jti": "family-2"});
    pool.will_say(&result(&access(&other), &id(&other), Some("refresh.2")));
    gate.visit(&tokens(log_in(&gate, "alice", "Acme", PASSWORD)).access).expect(200);
}

#[test]
fn what_was_revoked_of_an_account_is_refreshed_no_more() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    let login = now() - 100;
    let answer = |issued: i64| {
        let times = json!({"auth_time": login, "iat": issued, "exp": issued + 3600});
        result(&access(&times), &id(&times), Some("refresh.1"))
    };
    pool.will_say(&answer(login));
    let first = tokens(log_in(&gate, "alice", "Acme", PASSWORD));
    gate.visit(&first.access).expect(200);
    let before = jiff::Timestamp::from_second(login + 50).unwrap().to_string();
    let (config, subject) = (gate.config_arg(), peek(&first.access)["sub"].as_str().unwrap().to_owned());
    let account = ["--issuer", ISS, "--subject", &subject, "--before", &before];
    tollgate(&[&["token", "revoke", "-c", &config][..], &account].concat(), "").ok();
    until_true(PATIENCE, "the gate hears of it", || gate.visit(&first.access).status == 401);
    // A new token, and the login of before.
    pool.will_say(&answer(now()));
    refused(refresh(&gate, "refresh.1"), 401, "NotAuthorizedException");
    pool.will_say(&good());
    gate.visit(&tokens(log_in(&gate, "alice", "Acme", PASSWORD)).access).expect(200);
}

#[test]
fn tokens_that_are_made_up_do_not_use_up_the_pool_s_quota() {
    let (app, pool) = (App::start(), Fake::start());
    for is_refresh in [true, false] {
        let gate = pool.gate(&app, "", "");
        let ask = || {
            let path = if is_refresh { "/Login/Refresh" } else { "/Logout" };
            gate.send(&post(path).key().json(&json!({"RefreshToken": "made.up"})))
        };
        for _ in 0..50 {
            pool.will_refuse("NotAuthorizedException");
            assert_eq!(ask().status, if is_refresh { 401 } else { 200 });
        }
        assert_eq!(pool.calls().len(), 50);
        refused(ask(), 429, "TooManyRequestsException");
        assert_eq!(pool.calls(), []);
    }
}
