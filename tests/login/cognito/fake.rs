//! A pool that says what a test wants, and keeps what it was asked: for all that moto does not do. It signs as Cognito does:
//! two keys, and no `typ`.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;

use super::*;

/// The keys of access tokens and of ID tokens.
static ACCESS_KEY: LazyLock<Signer> = LazyLock::new(|| Signer::new("RS256", "access"));
static ID_KEY: LazyLock<Signer> = LazyLock::new(|| Signer::new("RS256", "id"));

pub const POOL: &str = "eu-west-1_AbCdEf123";
pub const ISS: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123";
pub const CLIENT: &str = "1example23456789";
/// What no client may read.
pub const TELLTALE: &str = "telltale-of-the-pool";

pub struct Fake {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// What is answered, call by call; when there is none left, nothing is.
    answers: Mutex<VecDeque<Vec<u8>>>,
    calls: Mutex<Vec<(String, Value)>>,
    stopping: AtomicBool,
    keys: Mutex<Vec<Value>>,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let of_thread = shared.clone();
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let shared = of_thread.clone();
                // However it ends: the test looks at what Tollgate made of it.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &shared)));
            }
        });
        let fake = Self { addr, shared, acceptor: Some(acceptor) };
        fake.reset_keys();
        fake
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn gate(&self, app: &App, login: &str, cognito: &str) -> Gate {
        Conf::new(app).log("level", "\"trace\"").more(&section(POOL, CLIENT, &self.url(), login, cognito)).start()
    }

    pub fn will_answer(&self, bytes: impl Into<Vec<u8>>) {
        self.shared.answers.lock().unwrap().push_back(bytes.into());
    }

    pub fn will_say(&self, value: &Value) {
        self.will_answer(http("200 OK", "", value.to_string()));
    }

    pub fn will_refuse(&self, kind: &str) {
        let body = json!({"__type": kind, "message": format!("{TELLTALE} about it")});
        self.will_answer(http("400 Bad Request", "", body.to_string()));
    }

    pub fn has_keys(&self, keys: &[Value]) {
        *self.shared.keys.lock().unwrap() = keys.to_vec();
    }

    /// Those that sign its tokens.
    pub fn reset_keys(&self) {
        self.has_keys(&[ACCESS_KEY.jwk(), ID_KEY.jwk()]);
    }

    /// The calls since the last time this was asked: operation and body.
    pub fn calls(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.shared.calls.lock().unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut writer) = (String::new(), stream);
    loop {
        head.clear();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (of, value) = line.split_once(':')?;
                of.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body)?;
        if head.starts_with("GET ") {
            assert!(head.starts_with(&format!("GET /{POOL}/.well-known/jwks.json ")), "{head}");
            let keys = json!({"keys": *shared.keys.lock().unwrap()});
            writer.write_all(&http("200 OK", "", keys.to_string()))?;
            continue;
        }
        assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
        assert_eq!(header("content-type").as_deref(), Some("application/x-amz-json-1.1"));
        let target = header("x-amz-target").unwrap();
        let operation = target.strip_prefix("AWSCognitoIdentityProviderService.").unwrap().to_owned();
        shared.calls.lock().unwrap().push((operation, serde_json::from_slice(&body).unwrap()));
        let answer = shared.answers.lock().unwrap().pop_front();
        match answer {
            Some(bytes) if bytes.is_empty() => return Ok(()),
            Some(bytes) => writer.write_all(&bytes)?,
            // It hangs, until the other side has had enough.
            None => drop(reader.read(&mut [0])?),
        }
    }
}

pub fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// The claims of an access token, changed: `null` takes one out.
pub fn access(changes: &Value) -> String {
    let now = now();
    let claims = json!({
        "sub": "6b1b6495-5875-4654-8c29-392786dd5ce2", "iss": ISS, "client_id": CLIENT, "origin_jti": "family-1",
        "token_use": "access", "scope": "aws.cognito.signin.user.admin", "auth_time": now, "exp": now + 3600, "iat": now,
        "jti": format!("{now}-{:?}", std::time::Instant::now()), "username": "alice",
    });
    ACCESS_KEY.token_with(&json!({"typ": null}), &edited(claims, changes))
}

pub fn id(changes: &Value) -> String {
    let now = now();
    let claims = json!({
        "sub": "6b1b6495-5875-4654-8c29-392786dd5ce2", "iss": ISS, "aud": CLIENT, "origin_jti": "family-1",
        "token_use": "id", "auth_time": now, "exp": now + 3600, "iat": now, "cognito:username": "alice",
        "email": "alice@example.com", "email_verified": true,
    });
    ID_KEY.token_with(&json!({"typ": null}), &edited(claims, changes))
}

/// Cognito's response to correct credentials; without a refresh token, unless there is one.
pub fn result(access: &str, id: &str, refresh: Option<&str>) -> Value {
    let mut result = json!({"AccessToken": access, "ExpiresIn": 3600, "TokenType": "Bearer", "IdToken": id});
    if let Some(refresh) = refresh {
        result["RefreshToken"] = refresh.into();
    }
    json!({"AuthenticationResult": result, "ChallengeParameters": {}})
}

pub fn good() -> Value {
    result(&access(&json!({})), &id(&json!({})), Some("refresh.1"))
}
