//! `tollgate demo`: Tollgate with a sample application, a user and a key, and the curl commands to try them. All data
//! is in a temporary directory, which is removed at the end.

use std::fmt::Write as _;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Map, Value, json};

use crate::exit::{self, Failure};
use crate::ops::{self, Dumps};
use crate::proxy::{BoundListeners, DefaultListenerPolicy};
use crate::token::{Algorithm, Claims, SigningKey, SigningKeys, TokenId, TokenSettings};

/// Start Tollgate with a sample application, a user and a key, and print curl commands to try. Ctrl-C removes all of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Listen address; a free port is used if it is in use
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

impl Args {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        run(self.listen, out)
    }
}

fn run(listen: SocketAddr, out: &mut dyn Write) -> Result<(), Failure> {
    let home = tempfile::Builder::new().prefix("tollgate-demo-").tempdir().map_err(failed)?;
    let echo = BoundListeners::new(vec![TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?]);
    let upstream = echo.addresses().next().ok_or_else(|| failed("no address for the echo app"))?;
    std::thread::Builder::new().name("echo".into()).spawn(|| serve_echo(echo)).map_err(failed)?;

    let key = uuid::Uuid::new_v4().simple().to_string();
    let file = home.path().join("tollgate.toml");
    let jar = home.path().join("cookies.txt");
    let foreign = other_issuer(home.path())?;
    std::fs::write(&file, configuration(free(listen), free(ADMIN), upstream, &key)).map_err(failed)?;
    let attributes = [("licence", "demo"), ("profile", "main")];
    super::user::add_user(&file, REALM, (USERNAME, EMAIL), &attributes, PASSWORD)?;
    let mut attempts = 0..ATTEMPTS;
    loop {
        let ended = ops::serve(&file, Dumps::Never, |addresses| {
            let Some(gate) = addresses.first() else { return };
            // If stdout is closed, the process goes on.
            let _ = out.write_all(lines(*gate, (&key, &foreign), &jar, &file).as_bytes()).and_then(|()| out.flush());
        });
        match ended {
            // Another process took the port after it was free: another demo that starts.
            Err(failure) if failure.code == exit::UNAVAILABLE && attempts.next().is_some() => {
                std::fs::write(&file, configuration(free(listen), free(ADMIN), upstream, &key)).map_err(failed)?;
            }
            ended => return ended,
        }
    }
}

fn configuration(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr, key: &str) -> String {
    format!(
        r#"# Made by `tollgate demo`. Change it while the demo runs: it is in force within a second.
[server]
listen = ["{listen}"]
admin = "{admin}"

[log]
level = "warn"

[store]
url = "sqlite://tollgate.db"

[[realm]]
name = "{REALM}"
issuer = "http://{listen}"
registration = "open"
require_key = true

[[realm.key]]
id = "demo"
secret = "{key}"

# The demo stands in for Auth0, too: it made this key, and signed a token with it.
[[realm.trusted_issuer]]
issuer = "{OTHER_ISSUER}"
audience = ["https://api.example.com"]
jwks_file = "other-issuer.json"
username_claim = ""

[[login]]
dialect = "exchange"
path = "/api/login"
realm = "{REALM}"
allowed_clients = ["{OTHER_CLIENT}"]
callback_url = "http://{listen}/site/callback"
after_login = "/closed?key={key}"

[[login]]
dialect = "project"
path = "/auth"
realm = "{REALM}"

[[login]]
dialect = "tenant"
path = "/Login"
realm = "{REALM}"
tenants = {{ "Demo Inc." = "{REALM}" }}

[[route]]
path = "/"
realm = "{REALM}"
access = "user"
upstream = ["http://{upstream}"]

[[route]]
path = "/open"
realm = "{REALM}"
access = "public"
upstream = ["http://{upstream}"]
"#
    )
}

/// Creates the key of a trusted issuer, writes its public half to the file of the configuration, and returns a
/// client-credentials token of the issuer.
fn other_issuer(home: &Path) -> Result<String, Failure> {
    let now = crate::clock::now();
    let key = SigningKey::generate(Algorithm::RS256, now, now).map_err(failed)?;
    std::fs::write(home.join("other-issuer.json"), json!({"keys": [key.public_jwk()]}).to_string()).map_err(failed)?;
    let rules = TokenSettings {
        issuer: OTHER_ISSUER.into(),
        audience: "https://api.example.com".into(),
        leeway: 0,
        keys: SigningKeys::new(Algorithm::RS256, vec![key]).map_err(failed)?,
        id_keys: None,
        trusted: Vec::new(),
    };
    let claims = Claims {
        token_id: TokenId::random(),
        subject: OTHER_CLIENT.into(),
        username: None,
        email: None,
        roles: Vec::new(),
        session: None,
        mfa: false,
        issued_at: now,
        expires_at: now + DAY_SECONDS,
    };
    let mut more = Map::new();
    more.insert("client_id".into(), OTHER_CLIENT.into());
    rules.mint_with(&claims, more).map_err(failed)
}

fn lines(gate: SocketAddr, (key, foreign): (&str, &str), jar: &Path, file: &Path) -> String {
    let (auth, jar) = (format!("http://{gate}/auth?key={key}"), jar.display());
    let (open, closed) = (format!("http://{gate}/open?key={key}"), format!("http://{gate}/closed?key={key}"));
    let json = "-H 'Content-Type: application/json'";
    let alice = format!(r#"'{{"username":"{USERNAME}","password":"{PASSWORD}"}}'"#);
    let (login, logout) = (format!("http://{gate}/Login?key={key}"), format!("http://{gate}/Logout?key={key}"));
    let refresh = format!("http://{gate}/Login/Refresh?key={key}");
    let tenant = format!(r#"'{{"UserName":"{USERNAME}","TenantName":"Demo Inc.","Password":"{PASSWORD}"}}'"#);
    let exchange = format!("http://{gate}/api/login?key={key}");
    let email = format!(r#"'{{"email":"{}"}}'"#, STANDARD.encode(EMAIL));
    let member = |name: &str| format!(r#"$(printf %s "$LOGIN" | sed 's/.*"{name}":"\([^"]*\).*/\1/')"#);
    let steps = [
        ("An open door: the app behind it shows what it was sent.", format!("curl -s '{open}'")),
        ("A closed one: 401, reason token_missing.", format!("curl -si '{closed}'")),
        (
            "Register a user.",
            format!(r#"curl -s {json} -d '{{"username":"bob","password":"a good long one","plan":"pro"}}' '{auth}'"#),
        ),
        ("Log in as alice, with a cookie jar.", format!("curl -s -c '{jar}' {json} -d {alice} '{auth}&login=true'")),
        ("The closed door again, with the cookie: look for X-Auth-Username.", format!("curl -s -b '{jar}' '{closed}'")),
        (
            "Log in without a cookie (noATCookie): the token comes in the Authorization header.",
            format!(
                "TOKEN=$(curl -s -o /dev/null -D - {json} -d {alice} '{auth}&login=true&noATCookie=true' \
                 | sed -n 's/^authorization: //Ip' | tr -d '\\r')"
            ),
        ),
        ("Send it back as it came.", format!("curl -s -H \"Authorization: $TOKEN\" '{closed}'")),
        ("Log out.", format!("curl -s -X POST -H \"Authorization: $TOKEN\" '{auth}&logout=true'")),
        (
            "The same token is refused at once: 401, reason token_revoked.",
            format!("curl -si -H \"Authorization: $TOKEN\" '{closed}'"),
        ),
        (
            "The other login speaks as Amazon Cognito does: log in to a tenant.",
            format!("LOGIN=$(curl -s {json} -d {tenant} '{login}'); echo \"$LOGIN\""),
        ),
        (
            "The closed door, with the access token: look for X-Auth-Username.",
            format!("ACCESS={}; curl -s -H \"Authorization: Bearer $ACCESS\" '{closed}'", member("AccessToken")),
        ),
        (
            "New tokens for the refresh token, which is another one after each use.",
            format!(r#"curl -s {json} -d '{{"RefreshToken":"'"{}"'"}}' '{refresh}'"#, member("RefreshToken")),
        ),
        (
            "End the session: every token of it is refused from now on.",
            format!("curl -s -X POST -H \"Authorization: Bearer $ACCESS\" '{logout}'"),
        ),
        (
            "As this one is: 401, reason token_revoked.",
            format!("curl -si -H \"Authorization: Bearer $ACCESS\" '{closed}'"),
        ),
        (
            "The third login is for a backend with an access token of Auth0, as which the demo stands in.",
            format!(
                "AUTH0={foreign}; ANSWER=$(curl -s -H \"Authorization: Bearer $AUTH0\" {json} -d {email} '{exchange}'); echo \"$ANSWER\""
            ),
        ),
        (
            "It gets a URL for its user's browser, which comes out logged in: look for X-Auth-Username.",
            format!(r#"curl -s -L -c '{jar}' -b '{jar}' "$(printf %s "$ANSWER" | sed 's/.*"url":"\([^"]*\).*/\1/')""#),
        ),
        (
            "The URL is good for one login. A second time it is 401.",
            r#"curl -si "$(printf %s "$ANSWER" | sed 's/.*"url":"\([^"]*\).*/\1/')""#.to_owned(),
        ),
    ];
    let mut text = format!(
        "Tollgate is listening on http://{gate} and guards a small app that echoes requests.\n\
         Paste these into another terminal, one after the other:\n"
    );
    for (number, (what, line)) in steps.iter().enumerate() {
        // Writing to a String does not fail.
        let _ = write!(text, "\n# {}. {what}\n{line}\n", number + 1);
    }
    let _ = write!(
        text,
        "\nIts configuration is {}: change it, and the change is in force within a second.\n\
         Ctrl-C ends the demo and leaves nothing behind.\n",
        file.display()
    );
    text
}

/// Returns the address, or one with a free port if it is in use.
fn free(address: SocketAddr) -> SocketAddr {
    let any = SocketAddr::new(address.ip(), 0);
    let listener = TcpListener::bind(address).or_else(|_| TcpListener::bind(any));
    listener.and_then(|listener| listener.local_addr()).unwrap_or(address)
}

fn serve_echo(bound: BoundListeners) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let _listening = bound.serve(Echo, Arc::new(DefaultListenerPolicy), Arc::default(), false);
        std::future::pending::<()>().await;
    });
}

/// An application without authentication: it shows the request that Tollgate forwarded.
struct Echo;

#[async_trait]
impl ServeHttp for Echo {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let mut body = Vec::new();
        while let Ok(Some(part)) = session.read_request_body().await {
            let room = MAX_ECHOED_BYTES.saturating_sub(body.len());
            body.extend_from_slice(&part[..part.len().min(room)]);
        }
        let head = session.req_header();
        let mut headers = Map::new();
        for (name, value) in &head.headers {
            headers.insert(name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())));
        }
        let echoed = json!({
            "app": "this is the app behind the gate, and what it was sent",
            "method": head.method.as_str(),
            "path": String::from_utf8_lossy(head.raw_path()),
            "headers": headers,
            "body": String::from_utf8_lossy(&body),
        });
        let body = format!("{echoed:#}\n").into_bytes();
        let length = body.len();
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        response
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(exit::OS, format!("the demo can't start: {error}"))
}

const REALM: &str = "demo";
const USERNAME: &str = "alice";
const EMAIL: &str = "alice@example.com";
const PASSWORD: &str = "open sesame, please";
const OTHER_ISSUER: &str = "https://tenant.auth0.example/";
const OTHER_CLIENT: &str = "backend";
const DAY_SECONDS: i64 = 86_400;
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);
/// Number of attempts to find a free port.
const ATTEMPTS: usize = 5;
const MAX_ECHOED_BYTES: usize = 64 << 10;
