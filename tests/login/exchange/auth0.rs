//! With a real OpenID provider in Auth0's place, `oidc-provider` from npm, which issues tokens of Auth0's two profiles.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;

struct Auth0 {
    exchange: Gate,
    _app: App,
    server: Running,
}

impl Auth0 {
    /// `keys`: of the login. Its issuer looks for new keys every second, and waits for them for no longer.
    fn start(keys: &str, issuer: &str) -> Self {
        let server = node_server(include_str!("auth0.mjs"));
        let iss = format!("http://127.0.0.1:{}/", server.port);
        let app = App::start();
        let trusted = format!(
            "[[realm.trusted_issuer]]\nissuer = \"{iss}\"\naudience = [\"{AUD}\"]\njwks_url = \"{iss}jwks\"\n\
             insecure_http = true\n{issuer}\n"
        );
        let login = section(LOGIN, "examples", &format!("{keys}\nallowed_clients = [\"backend\"]"));
        let gate = Conf::new(&app).realm("require_key", "false").add_realm_tables(&trusted).more(&login).start();
        let line = person("user@example.com").to_string() + "\n";
        tollgate(&["user", "import", "-c", &gate.config_arg(), "--realm", "examples"], &line).ok();
        Self { exchange: gate, _app: app, server }
    }

    fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.server.port))
    }

    /// An access token. `query`: its profile; `form`: its client.
    fn token(&self, client: &str, query: &str, form: &str) -> String {
        let credentials = STANDARD.encode(format!("{client}:made%20up%20for%20this%20test"));
        let request = post(format!("/token?{query}"))
            .header("Authorization", format!("Basic {credentials}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = request.send(self.addr()).expect(200).json();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    fn machine(&self, query: &str) -> String {
        self.token("backend", query, "grant_type=client_credentials&scope=login:users")
    }

    fn user(&self, query: &str) -> String {
        self.token("backend", query, "grant_type=password&username=user%40example.com&password=x")
    }

    fn ask(&self, token: &str) -> Response {
        self.exchange.send(&login("user@example.com").bearer(token))
    }

    fn tell(&self, path: &str) {
        post(path).body("").send(self.addr()).expect(200);
    }

    /// What /status says is wrong with the keys.
    fn error(&self) -> Option<String> {
        self.exchange.status()["issuers"][0]["error"].as_str().map(str::to_owned)
    }
}

/// Header and payload.
fn parts(token: &str) -> [Value; 2] {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut parts = token.split('.').map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).ok());
    [parts.next().flatten().unwrap(), parts.next().flatten().unwrap()]
}

#[test]
fn tokens_of_both_profiles_log_in() {
    let auth0 = Auth0::start("", "");
    for query in ["profile=auth0", "profile=auth0&aud=array", "profile=rfc9068", "profile=rfc9068&aud=array"] {
        let (machine, user) = (auth0.machine(query), auth0.user(query));
        // They are what they are meant to be.
        for token in [&machine, &user] {
            let [header, claims] = parts(token);
            let of_auth0 = query.contains("auth0");
            assert_eq!(header["typ"], if of_auth0 { "JWT" } else { "at+jwt" });
            assert_eq!(claims[if of_auth0 { "azp" } else { "client_id" }], "backend");
            assert!(claims.get(if of_auth0 { "client_id" } else { "azp" }).is_none(), "{claims}");
            assert_eq!(claims["aud"].is_array(), query.contains("array"), "{claims}");
            assert!(claims["iss"].as_str().unwrap().ends_with('/'), "{claims}");
        }
        assert_eq!(parts(&machine)[1].get("gty").is_some(), query.contains("auth0"));
        assert_eq!(parts(&user)[1]["email"], "user@example.com");
        for token in [&machine, &user] {
            eprintln!("{}", parts(token)[1]);
            let callback = token_of(&auth0.ask(token));
            let answer = auth0.exchange.send(&get(format!("{CALLBACK}?token={callback}"))).expect(303);
            let session = answer.set_cookie(COOKIE).unwrap().0;
            assert_eq!(claims(&session)["act"], json!({"sub": "backend"}));
            auth0.exchange.send(&get("/app/x").cookie(&session)).expect(200);
        }
        let other = auth0.token("other", query, "grant_type=client_credentials&scope=login:users");
        says(&auth0.ask(&other), 401, UNAUTHORIZED);
        let stranger = auth0.token("backend", query, "grant_type=password&username=other%40example.com&password=x");
        says(&auth0.ask(&stranger), 403, USERNAME);
        says(&auth0.ask(&auth0.user(&format!("{query}&verified=no"))), 403, USERNAME);
    }
}

#[test]
fn permissions_of_both_profiles() {
    let auth0 = Auth0::start("required_permission = \"login:users\"", "");
    for profile in ["auth0", "rfc9068"] {
        let query = format!("profile={profile}");
        // The scope that it was asked for, and was given, is no permission.
        assert_eq!(parts(&auth0.machine(&query))[1]["scope"], "login:users");
        says(&auth0.ask(&auth0.machine(&query)), 401, UNAUTHORIZED);
        says(&auth0.ask(&auth0.user(&query)), 401, UNAUTHORIZED);
        token_of(&auth0.ask(&auth0.machine(&format!("{query}&permissions=read+login:users"))));
        token_of(&auth0.ask(&auth0.user(&format!("{query}&permissions=login:users"))));
    }
}

/// No login fails while the keys change, neither with a token of the old key nor with the first of the new one.
#[test]
fn keys_change_while_logins_run() {
    let auth0 = Auth0::start("", "refresh = \"2s\"");
    let first = auth0.machine("profile=auth0");
    token_of(&auth0.ask(&first));
    let old = parts(&first)[0]["kid"].clone();
    let (stop, logins, of_new) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for profile in ["profile=auth0", "profile=rfc9068", "profile=auth0&aud=array"] {
            let (auth0, first, old, stop, logins, of_new) = (&auth0, &first, &old, &stop, &logins, &of_new);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let token = auth0.machine(profile);
                    for token in [&token, first] {
                        let callback = token_of(&auth0.ask(token));
                        auth0.exchange.send(&get(format!("{CALLBACK}?token={callback}"))).expect(303);
                        logins.fetch_add(1, Ordering::SeqCst);
                    }
                    of_new.fetch_add(usize::from(parts(&token)[0]["kid"] != *old), Ordering::SeqCst);
                }
            });
        }
        // A thread that failed has said why, and its test fails at the end of the scope.
        let enough = |of: &AtomicUsize, count| {
            let end = Instant::now() + PATIENCE;
            while of.load(Ordering::SeqCst) < count && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        enough(&logins, 20);
        auth0.tell("/rotate");
        enough(&of_new, 10);
        stop.store(true, Ordering::SeqCst);
    });
    assert!(logins.load(Ordering::SeqCst) >= 40 && of_new.load(Ordering::SeqCst) >= 10);
}

/// While the keys can't be had, logins with known keys go on, and those with an unknown one are refused as documented.
#[test]
fn keys_that_are_away_slow_or_lies() {
    let auth0 = Auth0::start("", "refresh = \"1s\"\ntimeout = \"1s\"");
    let known = auth0.machine("profile=auth0");
    token_of(&auth0.ask(&known));
    for (mode, word) in [("down", ""), ("slow", "no answer within"), ("html", "JWK Set")] {
        eprintln!("{mode}");
        auth0.tell(&format!("/keys?{mode}"));
        auth0.tell("/rotate");
        let unknown = auth0.machine("profile=auth0");
        until_true(PATIENCE, "/status says so", || auth0.error().is_some_and(|error| error.contains(word)));
        says(&auth0.ask(&unknown), 401, UNAUTHORIZED);
        token_of(&auth0.ask(&known));
        auth0.tell("/keys?good");
        // Until then, nothing but the documented refusal.
        until_true(Duration::from_secs(60), "the new key is known", || {
            let answer = auth0.ask(&unknown);
            if answer.status != 200 {
                says(&answer, 401, UNAUTHORIZED);
            }
            answer.status == 200
        });
        token_of(&auth0.ask(&known));
    }
    // Other keys under the signer's ids: the issuer has replaced its keys. No login succeeds until it publishes the
    // right ones.
    auth0.tell("/keys?wrong");
    until_true(PATIENCE, "the keys are others", || {
        let answer = auth0.ask(&known);
        if answer.status != 200 {
            says(&answer, 401, UNAUTHORIZED);
        }
        answer.status == 401
    });
    auth0.tell("/keys?good");
    until_true(Duration::from_secs(60), "the keys are right again", || {
        let answer = auth0.ask(&known);
        if answer.status != 200 {
            says(&answer, 401, UNAUTHORIZED);
        }
        answer.status == 200
    });
}

/// A gate that has never had a key says that it is its own fault, and recovers by itself.
#[test]
fn keys_that_were_never_there() {
    for how in [
        Serve::Hang,
        Serve::body("text/html", "<html></html>"),
        Serve::answer("500 Internal Server Error", "", "{}"),
        Serve::keys(&[]),
    ] {
        let (app, issuer) = (App::start(), Issuer::start());
        issuer.serve(JWKS, how.clone());
        let keys = conf(&app, &issuer.url(JWKS), "");
        let gate = keys.clone().start_unready();
        let line = person("user@example.com").to_string() + "\n";
        tollgate(&["user", "import", "-c", &gate.config_arg(), "--realm", "examples"], &line).ok();
        let ask = || gate.send(&login("user@example.com").bearer(&machine()));
        says(&ask(), 500, UNKNOWN);
        issuer.serve(JWKS, Serve::keys(&[KEY_A.jwk()]));
        until_true(Duration::from_secs(60), "the keys are there", || {
            let answer = ask();
            if answer.status != 200 {
                says(&answer, 500, UNKNOWN);
            }
            answer.status == 200
        });
    }
}

/// R30: who makes up key ids has the keys fetched once.
#[test]
fn r30_made_up_key_ids_have_nothing_fetched() {
    let exchange = Exchange::with_user("");
    token_of(&exchange.ask(&machine(), "user@example.com"));
    let before = exchange.issuer.fetched(JWKS);
    for at in 0..40 {
        let token = KEY_B.token_with(&json!({"kid": format!("made-up-{at}")}), &machine_claims());
        says(&exchange.ask(&token, "user@example.com"), 401, UNAUTHORIZED);
    }
    let fetched = exchange.issuer.fetched(JWKS) - before;
    assert!(fetched <= 2, "{fetched}");
}
