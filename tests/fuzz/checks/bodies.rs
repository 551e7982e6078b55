//! Any bytes as a request to a login, head and body: through Tollgate to the answer of the dialect.

use std::sync::LazyLock;

use http::StatusCode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, LOCATION, SET_COOKIE};
use tollgate::config::{Dialect, LoginOperation};
use tollgate::gate::{AdmittedLogin, Decision, Explanation};
use tollgate::login::{LoginError, LoginEventRecorder, LoginRequest, LoginResponse, dialect};
use tollgate::store::User;

use super::fixture::{ALICE, NOW, PASSWORD, SETUP, expand};
use super::memory::{Memory, REFRESHABLE, at_once, code, with_desk};
use super::request::{self, Read, callers};

/// Beside those of `fixture`: a refresh token, and a one-time code.
static WORDS: LazyLock<Vec<(u8, String)>> = LazyLock::new(|| vec![(0x0e, REFRESHABLE.1.clone()), (0x11, code())]);

/// Whether it got what it asked for.
pub fn check(data: &[u8]) -> bool {
    let Some(read) = request::read(&expand(data, &WORDS)) else { return false };
    // So much and no more is read.
    if read.body.len() > 64 << 10 {
        return false;
    }
    let told = ask(&read);
    let again = ask(&read);
    assert_eq!(told.as_ref().map(|told| told.0), again.as_ref().map(|told| told.0), "asked twice");
    told.is_some_and(|(_, granted)| granted)
}

/// The status, and whether it is a success. `None`: it is no login's.
fn ask(read: &Read) -> Option<(StatusCode, bool)> {
    let Decision::Login(admitted) = request::judge(read, callers()[0], false, &Explanation::default()) else {
        return None;
    };
    with_desk(&REFRESHABLE.0, |services, memory| {
        let before = memory.users();
        let event = LoginEventRecorder::default();
        let (login, operation) = (&admitted.login.login, admitted.endpoint().operation);
        let asked = Asked::of(read, &admitted);
        let request = LoginRequest {
            admitted: &admitted,
            method: &read.header.method,
            headers: &read.header.headers,
            body: read.body.clone().into(),
            now_ms: NOW * 1000,
            event: &event,
        };
        let answer = at_once(dialect(login).handle(request, services));
        let noted = format!("{:?}", event.into_noted());
        assert!(!noted.contains(PASSWORD) || asked.names_the_password, "{noted}");
        Some(match answer {
            Ok(answer) => {
                answered(&asked, &login.dialect, operation, &answer, (&before, memory));
                (answer.status(), true)
            }
            Err(refusal) => {
                refused(&refusal, &before, &memory.users());
                (refusal.deny.response().status, false)
            }
        })
    })
}

/// The credentials in a request, by a simple search.
struct Asked {
    body: String,
    target: String,
    headers: String,
    master: bool,
    names_the_password: bool,
}

impl Asked {
    fn of(read: &Read, admitted: &AdmittedLogin) -> Self {
        let body = String::from_utf8_lossy(&read.body).into_owned();
        let target = String::from_utf8_lossy(read.header.raw_path()).into_owned();
        let headers =
            format!("{:?}", read.header.headers.iter().map(|(_, value)| value.as_bytes().to_vec()).collect::<Vec<_>>());
        // As a name, that is not what is forbidden.
        let names_the_password = body.contains(PASSWORD) || target.contains(PASSWORD);
        Self { body, target, headers, master: admitted.master, names_the_password }
    }

    fn brings(&self, byte: u8) -> bool {
        let word = SETUP.words.iter().chain(&*WORDS).find(|(stands, _)| *stands == byte).expect("a word");
        let text = &word.1;
        let bytes = format!("{:?}", text.as_bytes());
        // Letters may be escaped in JSON, and in a query.
        let unescaped =
            serde_json::from_str::<serde_json::Value>(&self.body).map(|body| body.to_string()).unwrap_or_default();
        self.body.contains(text)
            || unescaped.contains(text.as_str())
            || String::from_utf8_lossy(&request::decoded(&self.target)).contains(text)
            || self.headers.contains(bytes.trim_matches(['[', ']']))
    }
}

/// Nothing changes for other users.
fn refused(refusal: &LoginError, before: &[User], after: &[User]) {
    assert_eq!(before, after, "refused, and changed all the same");
    if let Some(cookie) = &refusal.set_cookie {
        assert!(
            cookie.to_str().is_ok_and(|cookie| cookie.contains("=;") && cookie.contains("Max-Age=0")),
            "{cookie:?}"
        );
    }
}

fn answered(
    asked: &Asked,
    dialect: &Dialect,
    operation: LoginOperation,
    answer: &LoginResponse,
    (before, memory): (&[User], &Memory),
) {
    let body = String::from_utf8(answer.body().to_vec()).expect("UTF-8");
    assert_eq!(answer.headers().get(CACHE_CONTROL).map(http::HeaderValue::as_bytes), Some(&b"no-store"[..]));
    for secret in ["$argon2id$", "12345678901234567890"] {
        assert!(!body.contains(secret) || asked.body.contains(secret), "{body}");
    }
    assert!(!body.contains("correct horse") || asked.body.contains("correct horse"), "{body}");
    let cookies: Vec<_> = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    for cookie in &cookies {
        for attribute in ["Secure", "HttpOnly", "Path=/", "SameSite=Lax"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
        }
    }
    let given = cookies.iter().any(|cookie| !cookie.contains("=;")) || answer.headers().contains_key(AUTHORIZATION);
    let (users, changed) = (memory.users(), memory.users() != before);
    match (dialect, operation) {
        (Dialect::Project(_), _) => {
            // No password is hashed here, so there is no login and no registration.
            assert!(!given, "a token for nothing");
            assert!(users.len() <= before.len());
            let own = asked.brings(0x01) || asked.brings(0x03) || asked.brings(0x17) || asked.master;
            assert!(!changed || own, "changed by nobody");
            assert!(own || body == "{}", "shown to nobody: {body}");
            // Roles: a user can't change its own, and only a permitted user is changed.
            for user in &users {
                let old =
                    before.iter().find(|old| (&old.realm, &old.id) == (&user.realm, &user.id)).expect("no new user");
                assert_eq!((&old.roles, old.disabled, &old.password), (&user.roles, user.disabled, &user.password));
                assert!(old == user || asked.master || user.id == ALICE, "somebody else's record");
            }
        }
        (Dialect::Tenant(_), LoginOperation::Login) => panic!("no password is right: {body}"),
        (Dialect::Tenant(_), LoginOperation::Challenge) => {
            assert!(asked.brings(0x0f) && asked.body.bytes().filter(u8::is_ascii_digit).count() >= 6, "{}", asked.body);
            assert!(body.contains("AccessToken"));
        }
        (Dialect::Tenant(_), LoginOperation::Refresh) => assert!(asked.brings(0x0e) && body.contains("AccessToken")),
        (Dialect::Tenant(_), _) => assert_eq!(body, "{}"),
        (Dialect::Exchange(_), LoginOperation::Exchange) => {
            assert!(asked.brings(0x04), "without the other issuer's token");
            assert!(body.contains("https://app.example/site/callback?token="));
        }
        (Dialect::Exchange(_), LoginOperation::Callback) => {
            let to = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).expect("somewhere");
            assert!(["/", "https://app.example/welcome"].contains(&to), "{to}");
            assert!(!given || asked.brings(0x08));
        }
        (Dialect::Exchange(_), _) => assert!(asked.brings(0x08) && body.contains("\"token\":"), "{body}"),
    }
}
