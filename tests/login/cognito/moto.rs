//! With moto's Cognito (third-party). It has no `RevokeToken`, accepts a `Session` with another user's name, checks
//! `SECRET_HASH` at refresh and second factors only, and signs for all of its pools with one key: other tests use
//! [`super::fake`].

use std::cell::OnceCell;

use super::*;

/// moto's server, and beside it, at a port of its own, boto3: an HTTP server that makes the calls it is sent.
const SERVER: &str = r#"
import http.server, json, os
os.environ.setdefault("MOTO_COGNITO_IDP_USER_POOL_ENABLE_TOTP", "true")
from moto.server import ThreadedMotoServer
moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
port = moto.get_host_and_port()[1]
import boto3
client = boto3.client("cognito-idp", endpoint_url=f"http://127.0.0.1:{port}", region_name="eu-west-1",
    aws_access_key_id="test", aws_secret_access_key="test")
class Calls(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try: status, answer = 200, getattr(client, call["call"])(**call["with"])
        except Exception as error: status, answer = 500, str(error)
        body = json.dumps(answer, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
calls = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Calls)
print(f"{port}\n{calls.server_address[1]}", flush=True)
calls.serve_forever()
"#;

struct Moto {
    running: Running,
    calls: OnceCell<std::net::SocketAddr>,
}

/// An app client of a pool.
struct Client {
    pool: String,
    id: String,
    secret: Option<String>,
}

impl Moto {
    fn start() -> Self {
        Self { running: python_server(SERVER), calls: OnceCell::new() }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.running.port)
    }

    /// What boto3 returns.
    #[track_caller]
    fn call(&self, name: &str, with: &Value) -> Value {
        let port = || self.running.output().lines().nth(1).and_then(|line| line.parse::<u16>().ok());
        let calls = self.calls.get_or_init(|| ([127, 0, 0, 1], until(PATIENCE, "the second port", port)).into());
        post("/").json(&json!({"call": name, "with": with})).send(*calls).expect(200).json()
    }

    fn client(&self, with_secret: bool) -> Client {
        let pool = self.call("create_user_pool", &json!({"PoolName": "acme"}))["UserPool"]["Id"].clone();
        let client = self.client_of(pool.as_str().unwrap(), with_secret);
        self.call("create_group", &json!({"UserPoolId": pool, "GroupName": "admin"}));
        client
    }

    fn client_of(&self, pool: &str, with_secret: bool) -> Client {
        let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
        let client = self.call(
            "create_user_pool_client",
            &json!({"UserPoolId": pool, "ClientName": "gate", "GenerateSecret": with_secret, "ExplicitAuthFlows": flows}),
        );
        let client = &client["UserPoolClient"];
        let secret = client["ClientSecret"].as_str().map(str::to_owned);
        Client { pool: pool.to_owned(), id: client["ClientId"].as_str().unwrap().to_owned(), secret }
    }

    fn user(&self, client: &Client, name: &str, password: &str, permanent: bool) {
        let pool = &client.pool;
        self.call(
            "admin_create_user",
            &json!({"UserPoolId": pool, "Username": name, "TemporaryPassword": password, "MessageAction": "SUPPRESS"}),
        );
        if permanent {
            let set = json!({"UserPoolId": pool, "Username": name, "Password": password, "Permanent": true});
            self.call("admin_set_user_password", &set);
        }
    }

    fn conf(&self, app: &App, client: &Client, login: &str, cognito: &str) -> Conf {
        let secret = client.secret.as_ref().map(|secret| format!("client_secret = \"{secret}\"\n")).unwrap_or_default();
        let cognito = format!("{secret}{cognito}");
        Conf::new(app).more(&section(&client.pool, &client.id, &self.url(), login, &cognito))
    }
}

const RIGHT: &str = "Right-Passw0rd";

/// An application, a pool with alice in it, and a process between them.
fn standing() -> (App, Moto, Client, Gate) {
    let (app, moto) = (App::start(), Moto::start());
    let client = moto.client(false);
    moto.user(&client, "alice", RIGHT, true);
    let gate = moto.conf(&app, &client, "", "").start();
    (app, moto, client, gate)
}

#[test]
fn a_user_of_the_pool_logs_in_and_its_access_token_opens_routes() {
    let (app, moto, client, gate) = standing();
    moto.call(
        "admin_add_user_to_group",
        &json!({"UserPoolId": client.pool, "Username": "alice", "GroupName": "admin"}),
    );
    let tokens = tokens(log_in(&gate, "alice", "Acme", RIGHT));
    let iss = format!("https://cognito-idp.eu-west-1.amazonaws.com/{}", client.pool);
    gate.visit(&tokens.access).expect(200);
    let seen = app.only();
    let sub = peek(&tokens.access)["sub"].as_str().unwrap().to_owned();
    for (header, value) in [
        ("x-auth-subject", sub.as_str()),
        ("x-auth-username", "alice"),
        ("x-auth-roles", "admin"),
        ("x-auth-issuer", iss.as_str()),
        ("x-auth-realm", "examples"),
    ] {
        assert_eq!(seen.header(header).as_deref(), Some(value), "{header}");
    }
    gate.send(&get("/admin/x").key().bearer(&tokens.access)).expect(200);
    gate.visit(&tokens.id).refused(401, "token_type");
    gate.visit(&tokens.refresh).refused(401, "token_malformed");
    // As a client would check them that trusts the pool and nothing else.
    let script = r#"
import sys, jwt
url, iss, client, access, id = sys.argv[1:]
keys = jwt.PyJWKClient(url)
check = lambda token, **more: jwt.decode(token, keys.get_signing_key_from_jwt(token), algorithms=["RS256"], issuer=iss, **more)
one, other = check(access), check(id, audience=client)
assert (one["token_use"], one["client_id"], one["username"]) == ("access", client, "alice"), one
assert (other["token_use"], other["cognito:username"], other["sub"]) == ("id", "alice", one["sub"]), other
"#;
    let jwks = format!("{}/{}/.well-known/jwks.json", moto.url(), client.pool);
    python(script, &[&jwks, &iss, &client.id, &tokens.access, &tokens.id]).ok();
    // Another client of the same pool, and another pool with the same key: neither is accepted.
    let others = [moto.client_of(&client.pool, false), moto.client(false)];
    moto.user(&others[1], "alice", RIGHT, true);
    for (other, reason) in others.iter().zip(["token_audience", "token_issuer"]) {
        let auth = json!({"USERNAME": "alice", "PASSWORD": RIGHT});
        let with = json!({"ClientId": other.id, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": auth});
        let answer = moto.call("initiate_auth", &with);
        gate.visit(answer["AuthenticationResult"]["AccessToken"].as_str().unwrap()).refused(401, reason);
    }
    let status = gate.status();
    assert_eq!((&status["issuers"][0]["issuer"], &status["issuers"][0]["keys"]), (&json!(iss), &json!(["dummy"])));
}

#[test]
fn refreshing_gives_new_tokens_and_a_logout_ends_the_family() {
    let (_app, _moto, _client, mut gate) = standing();
    let first = tokens(log_in(&gate, "alice", "examples", RIGHT));
    let second = tokens(refresh(&gate, &first.refresh));
    assert_eq!(second.refresh, first.refresh, "moto does not rotate them");
    assert_ne!(second.access, first.access);
    let other = tokens(log_in(&gate, "alice", "Acme", RIGHT));
    for token in [&first.access, &second.access, &other.access] {
        gate.visit(token).expect(200);
    }
    let out = |token: &str| gate.send(&post("/logout").key().bearer(token)).expect(200);
    assert_eq!(out(&second.access).json(), json!({}));
    for token in [&first.access, &second.access] {
        gate.visit(token).refused(401, "token_revoked");
    }
    // The pool would still refresh it: it was not told, and moto can't be.
    refused(refresh(&gate, &first.refresh), 401, "NotAuthorizedException");
    gate.visit(&other.access).expect(200);
    out(&second.access);
    out("nonsense");
    gate.crash_and_restart();
    gate.visit(&first.access).refused(401, "token_revoked");
    refused(refresh(&gate, &first.refresh), 401, "NotAuthorizedException");
    tokens(refresh(&gate, &other.refresh));
    refused(refresh(&gate, "nonsense"), 401, "NotAuthorizedException");
    refused(refresh(&gate, "non sense"), 401, "NotAuthorizedException");
    refused(gate.send(&post("/Login/Refresh").key().json(&json!({}))), 400, "InvalidParameterException");
}

#[test]
fn the_pool_is_asked_to_revoke_and_what_moto_has_not_is_told() {
    let (_app, _moto, _client, gate) = standing();
    let first = tokens(log_in(&gate, "alice", "Acme", RIGHT));
    let body = json!({"RefreshToken": first.refresh});
    let answer = gate.send(&post("/Logout").key().bearer(&first.access).json(&body));
    // moto answers 500 with a page of HTML. The session is ended here all the same.
    let answer = refused(answer, 502, "InternalErrorException");
    assert!(!answer.text().contains("html"), "{}", answer.text());
    gate.visit(&first.access).refused(401, "token_revoked");
    refused(refresh(&gate, &first.refresh), 401, "NotAuthorizedException");
}

#[test]
fn a_temporary_password_is_good_for_choosing_another() {
    let (app, moto) = (App::start(), Moto::start());
    let client = moto.client(false);
    moto.user(&client, "bob", "Temp-0rary", false);
    let gate = moto.conf(&app, &client, "shape = \"flat\"", "").start();
    let asked = log_in(&gate, "bob", "Acme", "Temp-0rary").expect(200).json();
    let asked = &asked["cognitoToken"];
    assert_eq!((&asked["ChallengeName"], asked.as_object().unwrap().len()), (&json!("NEW_PASSWORD_REQUIRED"), 3));
    let session = asked["Session"].as_str().unwrap();
    let answer = |password: &str| {
        challenge(&gate, "NEW_PASSWORD_REQUIRED", session, &json!({"USERNAME": "bob", "NEW_PASSWORD": password}))
    };
    refused(answer("short"), 400, "InvalidPasswordException");
    let done = answer("New-Passw0rd").expect(200).json();
    let access = done["cognitoToken"]["AccessToken"].as_str().unwrap();
    gate.visit(access).expect(200);
    let user = json!({"OloID": peek(access)["sub"], "TenantID": "examples", "TenantName": "Acme"});
    assert_eq!((&done["user"], done["cognitoToken"].as_object().unwrap().len()), (&user, 4));
    refused(log_in(&gate, "bob", "Acme", "Temp-0rary"), 401, "NotAuthorizedException");
    log_in(&gate, "bob", "Acme", "New-Passw0rd").expect(200);
    gate.visit(session).refused(401, "token_malformed");
}

#[test]
fn r31_unknown_users_wrong_passwords_and_unknown_tenants_are_one_answer() {
    let (_app, moto, client, gate) = standing();
    moto.user(&client, "carol", RIGHT, true);
    moto.call("admin_disable_user", &json!({"UserPoolId": client.pool, "Username": "carol"}));
    let wrong = refused(log_in(&gate, "alice", "Acme", "Wrong-Passw0rd"), 401, "NotAuthorizedException");
    assert_eq!(wrong.json()["message"], "Incorrect username or password.");
    let plain = |answer: &Response| {
        let headers = answer.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"));
        (answer.status, headers.cloned().collect::<Vec<_>>(), answer.text())
    };
    for (user, tenant) in [
        ("nobody", "Acme"),
        ("carol", "Acme"),
        ("alice", "acme"),
        ("alice", "nowhere"),
        ("nobody", "nowhere"),
        (" alice", "Acme"),
        ("alice\u{200b}", "Acme"),
        (&"a".repeat(5000), "Acme"),
        ("alice", &"a".repeat(5000)),
    ] {
        let answer = log_in(&gate, user, tenant, RIGHT);
        assert_eq!(plain(&answer), plain(&wrong), "{user} at {tenant}");
    }
    tokens(log_in(&gate, "alice", "Acme", RIGHT));
}

#[test]
fn r32_failures_of_one_name_are_counted_whatever_its_spelling() {
    let (_app, _moto, _client, gate) = standing();
    for (user, tenant) in
        [("alice", "Acme"), ("ALICE", "examples"), ("ａlice", "Acme"), ("Alice", "Acme"), ("alicE", "examples")]
    {
        refused(log_in(&gate, user, tenant, "Wrong-Passw0rd"), 401, "NotAuthorizedException");
    }
    let answer = refused(log_in(&gate, "alice", "Acme", RIGHT), 429, "TooManyRequestsException");
    assert_eq!(answer.header("retry-after"), Some("1"));
    until_true(PATIENCE, "its second is over", || log_in(&gate, "alice", "Acme", RIGHT).status == 200);
    refused(log_in(&gate, "alice", "Acme", "Wrong-Passw0rd"), 401, "NotAuthorizedException");
}

#[test]
fn an_app_client_with_a_secret_hashes_names_and_says_whose_its_refresh_tokens_are() {
    let (app, moto) = (App::start(), Moto::start());
    let client = moto.client(true);
    moto.user(&client, "alice", RIGHT, true);
    let gate = moto.conf(&app, &client, "", "").start();
    let first = tokens(log_in(&gate, "alice", "Acme", RIGHT));
    gate.visit(&first.access).expect(200);
    assert!(first.refresh.starts_with("YWxpY2U."), "{}", first.refresh);
    // moto looks at the hash here.
    let second = tokens(refresh(&gate, &first.refresh));
    assert_eq!(second.refresh, first.refresh);
    let (_, inner) = first.refresh.split_once('.').unwrap();
    for wrong in [inner.to_owned(), format!("Ym9i.{inner}"), format!(".{inner}")] {
        refused(refresh(&gate, &wrong), 401, "NotAuthorizedException");
    }
    // With a wrong secret the pool refuses, and says so.
    let wrong = Client { secret: Some("wrongsecret".into()), ..client };
    let gate = moto.conf(&app, &wrong, "", "").start();
    refused(refresh(&gate, &first.refresh), 401, "NotAuthorizedException");
    assert!(!gate.stderr().contains("wrongsecret"));
}

#[test]
fn one_time_codes_are_asked_and_answered() {
    let (app, moto) = (App::start(), Moto::start());
    let client = moto.client(true);
    moto.user(&client, "alice", RIGHT, true);
    let gate = moto.conf(&app, &client, "", "").start();
    let access = tokens(log_in(&gate, "alice", "Acme", RIGHT)).access;
    // moto has one secret for all users, and accepts a code repeatedly.
    let script = "import time\nfrom moto.cognitoidp import models as m\nprint(m.cognito_totp(m.COGNITO_TOTP_MFA_SECRET).generate(time.time()).decode())";
    let code = python(script, &[]).ok().stdout.trim().to_owned();
    moto.call("verify_software_token", &json!({"AccessToken": access, "UserCode": code}));
    let totp = json!({"Enabled": true, "PreferredMfa": true});
    moto.call("set_user_mfa_preference", &json!({"AccessToken": access, "SoftwareTokenMfaSettings": totp}));
    let asked = log_in(&gate, "alice", "Acme", RIGHT).expect(200).json();
    assert_eq!(asked["cognitoToken"]["ChallengeName"], "SOFTWARE_TOKEN_MFA");
    let session = asked["cognitoToken"]["Session"].as_str().unwrap();
    let answer = |code: &str| {
        let responses = json!({"USERNAME": "alice", "SOFTWARE_TOKEN_MFA_CODE": code, "SECRET_HASH": "mine"});
        challenge(&gate, "SOFTWARE_TOKEN_MFA", session, &responses)
    };
    refused(answer("000000"), 400, "CodeMismatchException");
    // moto signs tokens for the user that USERNAME names, and checks the hash of that name.
    gate.visit(&tokens(answer(&code)).access).expect(200);
}

#[test]
fn fifty_at_once_each_get_their_own_identity() {
    let (app, moto, client, gate) = standing();
    let names: Vec<_> = (0..50).map(|number| format!("user{number}")).collect();
    for name in &names {
        moto.user(&client, name, &format!("{name}-Passw0rd"), true);
    }
    std::thread::scope(|scope| {
        for name in &names {
            let gate = &gate;
            scope.spawn(move || {
                let tokens = tokens(log_in(gate, name, "Acme", &format!("{name}-Passw0rd")));
                assert_eq!(peek(&tokens.access)["username"], *name);
                assert_eq!(peek(&tokens.id)["cognito:username"], *name);
                gate.send(&get(format!("/app/{name}")).key().bearer(&tokens.access)).expect(200);
            });
        }
    });
    let seen = app.seen();
    assert_eq!(seen.len(), 50);
    for seen in seen {
        assert_eq!(Some(seen.target()), seen.header("x-auth-username").map(|name| format!("/app/{name}")));
    }
}

#[test]
fn a_pool_that_was_killed_is_502_and_known_tokens_go_on() {
    let (_app, moto, _client, gate) = standing();
    let first = tokens(log_in(&gate, "alice", "Acme", RIGHT));
    drop(moto);
    let start = std::time::Instant::now();
    refused(log_in(&gate, "alice", "Acme", RIGHT), 502, "InternalErrorException");
    refused(log_in(&gate, "alice", "nowhere", RIGHT), 502, "InternalErrorException");
    refused(refresh(&gate, &first.refresh), 502, "InternalErrorException");
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
    gate.visit(&first.access).expect(200);
    gate.send(&post("/Logout").key().bearer(&first.access)).expect(200);
    gate.visit(&first.access).refused(401, "token_revoked");
}
