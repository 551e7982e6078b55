//! A store that forgets, and login services with busy hashing threads: requests without a password run to the end,
//! others end before hashing, because a fuzzer has no time for that.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use async_trait::async_trait;
use serde_json::{Map, Value};
use tollgate::config::{Host, NO_PROXIES};
use tollgate::gate::{AdmittedLogin, ClientInfo, DenyReason};
use tollgate::login::allowance::Allowances;
use tollgate::login::password::{HashPool, Password, Share};
use tollgate::login::throttle::Throttle;
use tollgate::login::{LoginError, LoginEventRecorder, LoginRequest, LoginResponse, LoginServices, dialect};
use tollgate::store::{
    CheckedSignIn, Epoch, EpochId, EpochStore, Flow, FlowLimits, FlowStore, Followed, Guess, GuessStore, Guesses,
    Listed, LoginName, NetworkId, NewSignIn, NewTicket, OneTimeId, PasswordHash, ProviderAccount, ProviderAccountStore,
    ProviderLogout, RefreshAttempt, RefreshResult, RefreshableSession, Revocation, RevocationEntry, RevocationStore,
    SecondFactor, SecretHash, Session, SessionStore, SessionsToEnd, SignIn, SignInCheck, SignInStore, SignInsToEnd,
    Store, StoreError, SubjectRevocation, TicketUse, TokenExpiry, User, UserStore,
};
use tollgate::token::{AccountId, Revocations, TokenId};

use super::fixture::{ALICE, BOB, CAROL, NOW, SETUP, seal};

/// The secret of RFC 6238, appendix B.
pub const TOTP: &[u8; 20] = b"12345678901234567890";
/// No password has it, and to find that out costs nothing.
const NO_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

#[derive(Clone, Default)]
pub struct Content {
    pub users: Vec<User>,
    sessions: HashMap<TokenId, Kept>,
    once: Vec<TokenId>,
    sequence: i64,
}

#[derive(Clone)]
struct Kept {
    session: Session,
    /// SHA-256 of the refresh token that counts.
    current: [u8; 32],
}

/// In memory, and for one request.
pub struct Memory(Mutex<Content>);

impl Memory {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in it now.
    pub fn users(&self) -> Vec<User> {
        self.content().users.clone()
    }
}

impl Content {
    fn revoke(&mut self, token: TokenId, expires_at: i64) -> Revocation {
        self.sequence += 1;
        self.sessions.remove(&token);
        Revocation { sequence: self.sequence, token, expires_at }
    }

    fn end(&mut self, user: &str, but: Option<TokenId>) -> Vec<Revocation> {
        let ended = self.sessions.values().filter(|kept| kept.session.user_id == user);
        let ended: Vec<_> = ended.map(|kept| kept.session.token).filter(|token| Some(*token) != but).collect();
        ended.into_iter().map(|token| self.revoke(token, NOW + 1)).collect()
    }
}

fn is_named(user: &User, name: &LoginName) -> bool {
    let is = |own: &Option<String>, parse: fn(&str) -> Option<LoginName>| {
        own.as_deref().and_then(parse).as_ref() == Some(name)
    };
    is(&user.username, LoginName::username) || is(&user.email, LoginName::email)
}

#[async_trait]
impl UserStore for Memory {
    async fn create_users(&self, users: &[User]) -> Result<(), StoreError> {
        self.content().users.extend_from_slice(users);
        Ok(())
    }

    async fn register(&self, user: &User) -> Result<(), StoreError> {
        self.create_user(user).await
    }

    async fn names_held(&self, _: &str, _: &str) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn user(&self, realm: &str, id: &str) -> Result<Option<User>, StoreError> {
        Ok(self.content().users.iter().find(|user| user.realm == realm && user.id == id).cloned())
    }

    async fn user_by_name(&self, realm: &str, name: &LoginName) -> Result<Option<User>, StoreError> {
        Ok(self.content().users.iter().find(|user| user.realm == realm && is_named(user, name)).cloned())
    }

    async fn users(&self, realm: &str, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
        let content = self.content();
        let users =
            content.users.iter().filter(|user| user.realm == realm && after.is_none_or(|after| *user.id > *after));
        Ok(users.take(limit as usize).cloned().collect())
    }

    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        _: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError> {
        let mut content = self.content();
        let stored = content.users.iter_mut().find(|stored| stored.realm == user.realm && stored.id == user.id);
        let stored = stored.filter(|stored| stored.version == user.version).ok_or(StoreError::VersionConflict)?;
        *stored = User { version: user.version + 1, ..user.clone() };
        let stored = stored.clone();
        let revoked = match ended {
            SessionsToEnd::Nothing => Vec::new(),
            SessionsToEnd::All => content.end(&user.id, None),
            SessionsToEnd::AllBut(token) => content.end(&user.id, Some(token)),
        };
        Ok((stored, revoked))
    }

    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        _: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        let mut content = self.content();
        let Some(at) = content.users.iter().position(|user| user.realm == realm && user.id == id) else {
            return Ok(None);
        };
        let user = content.users.remove(at);
        let revoked = content.end(id, None);
        Ok(Some((user, revoked)))
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError> {
        let mut content = self.content();
        let is = |user: &&User| user.id == session.user_id && user.version == version && !user.disabled;
        content.users.iter().find(is).ok_or(StoreError::VersionConflict)?;
        let current = session.refresh.as_ref().map(|refresh| refresh.first).unwrap_or_default();
        content.sessions.insert(session.token, Kept { session: session.clone(), current });
        Ok(())
    }

    async fn create_session_once(&self, once: OneTimeId, session: &Session, version: i64) -> Result<bool, StoreError> {
        if self.content().once.contains(&once.id) {
            return Ok(false);
        }
        self.create_session(session, version).await?;
        self.content().once.push(once.id);
        Ok(true)
    }

    async fn refreshable_session(&self, session: TokenId, now: i64) -> Result<Option<RefreshableSession>, StoreError> {
        let content = self.content();
        let Some(Session { realm, user_id, refresh: Some(refresh), .. }) =
            content.sessions.get(&session).map(|kept| &kept.session)
        else {
            return Ok(None);
        };
        let of = RefreshableSession {
            realm: realm.clone(),
            user_id: user_id.clone(),
            key: refresh.key,
            authenticated_at: refresh.authenticated_at,
            mfa: refresh.mfa,
            expires_at: refresh.expires_at,
            issued_for: Some(refresh.issued_for),
            is_current: true,
        };
        Ok(Some(of).filter(|of| now < of.expires_at))
    }

    async fn rotate_refresh_token(&self, presented: &RefreshAttempt) -> Result<RefreshResult, StoreError> {
        let mut content = self.content();
        let Some(kept) = content.sessions.get_mut(&presented.session) else { return Ok(RefreshResult::Unknown) };
        if kept.current == presented.hash {
            kept.current = presented.next;
            return Ok(RefreshResult::Next);
        }
        Ok(RefreshResult::Reused(content.revoke(presented.session, NOW + 1)))
    }

    async fn sessions(&self, _: &str, _: &str, _: i64) -> Result<Vec<Listed>, StoreError> {
        Ok(Vec::new())
    }

    async fn session(&self, _: TokenId) -> Result<Option<Listed>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl EpochStore for Memory {
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        Ok(Vec::new())
    }

    async fn epoch(&self, realm: &str) -> Result<Option<Epoch>, StoreError> {
        let issued_for = AccountId(0);
        Ok(Some(Epoch { realm: realm.into(), id: EpochId(1), seal: seal(), issued_for, keys: Vec::new(), since: 1 }))
    }

    async fn follow_epoch(&self, _: &Epoch) -> Result<Followed, StoreError> {
        Ok(Followed::Same)
    }

    async fn begin_epoch(&self, _: &Epoch) -> Result<(), StoreError> {
        Ok(())
    }

    async fn end_realm(&self, _: &Epoch, _: i64, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn restored(&self, _: &[Epoch], _: i64, _: i64) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl RevocationStore for Memory {
    async fn cut_off_of(&self, _: AccountId) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }

    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError> {
        let (TokenExpiry::At(at) | TokenExpiry::AtMost(at)) = ends;
        Ok(self.content().revoke(token, at))
    }

    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError> {
        Ok(SubjectRevocation { sequence: 1, account, until, expires_at })
    }

    async fn revocations_after(&self, _: i64, _: i64, _: u32) -> Result<Vec<RevocationEntry>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl GuessStore for Memory {
    async fn guesses(&self, _: &str, _: &str, _: NetworkId) -> Result<Guesses, StoreError> {
        Ok(Guesses::default())
    }

    async fn count_guess(&self, _: &str, _: &str, _: NetworkId, _: Guess, _: i64) -> Result<u32, StoreError> {
        Ok(1)
    }

    async fn signed_in(&self, _: &str, _: &str, _: NetworkId, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reset_guesses(&self, _: &str, _: &str, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn guessed_at(&self, _: &str, _: u32) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn is_known(&self, _: NetworkId) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// No login API signs people in.
#[async_trait]
impl SignInStore for Memory {
    async fn open_sign_in(&self, _: &NewSignIn, _: i64) -> Result<Vec<Revocation>, StoreError> {
        Ok(Vec::new())
    }

    async fn check_sign_in(&self, _: &SignInCheck) -> Result<Option<CheckedSignIn>, StoreError> {
        Ok(None)
    }

    async fn sign_ins(&self, _: &str, _: &str, _: i64) -> Result<Vec<SignIn>, StoreError> {
        Ok(Vec::new())
    }

    async fn end_sign_ins(&self, _: SignInsToEnd) -> Result<Vec<Revocation>, StoreError> {
        Ok(Vec::new())
    }

    async fn provider_logout(&self, _: &ProviderLogout) -> Result<Option<Vec<Revocation>>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl FlowStore for Memory {
    async fn begin_flow(&self, _: &Flow, _: FlowLimits) -> Result<(), StoreError> {
        Ok(())
    }

    async fn flow(&self, _: SecretHash, _: i64) -> Result<Option<Flow>, StoreError> {
        Ok(None)
    }

    async fn take_flow(&self, _: SecretHash, _: SecretHash, _: i64) -> Result<Option<Flow>, StoreError> {
        Ok(None)
    }

    async fn issue_ticket(&self, _: &NewTicket) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn redeem_ticket(&self, _: &TicketUse) -> Result<Option<(Flow, TokenId)>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl ProviderAccountStore for Memory {
    async fn link_account(&self, _: &ProviderAccount, _: Option<TokenId>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create_linked_user(&self, user: &User, _: &ProviderAccount) -> Result<(), StoreError> {
        self.create_user(user).await
    }

    async fn unlink_account(&self, _: &ProviderAccount, _: Option<TokenId>) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn user_of_account(&self, _: &str, _: &str, _: &str) -> Result<Option<User>, StoreError> {
        Ok(None)
    }

    async fn accounts(&self, _: &str, _: &str) -> Result<Vec<ProviderAccount>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Store for Memory {
    async fn purge_expired(&self, _: i64) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}

/// What every request finds there.
pub static CONTENT: LazyLock<Content> = LazyLock::new(|| {
    let user = |realm: &str, id: &str, name: &str| {
        let mut data = Map::new();
        data.insert("username".into(), name.into());
        data.insert("licence".into(), true.into());
        data.insert("profile".into(), "p".into());
        User {
            id: id.into(),
            username: Some(name.into()),
            password: PasswordHash(NO_HASH.into()),
            data,
            roles: vec!["reader".into()],
            vouched: true,
            email_verified: true,
            ..User::new(realm, 1)
        }
    };
    let email = |mut user: User, email: &str| {
        user.data.shift_remove("username");
        user.data.insert("email".into(), Value::from(email));
        User { username: None, email: Some(email.into()), ..user }
    };
    let factor = SecondFactor { secret: TOTP.to_vec(), used: -1, recovery: Vec::new() };
    let users = vec![
        user("main", ALICE, "alice"),
        user("main", BOB, "bob"),
        email(user("open", ALICE, "alice"), "alice@example.com"),
        User { second_factor: Some(factor), ..user("open", BOB, "bob") },
        User { temporary: true, ..user("open", CAROL, "carol") },
    ];
    Content { users, ..Content::default() }
});

/// Hashes no password.
static TAKEN: LazyLock<Mutex<Option<HashPool>>> = LazyLock::new(|| {
    let pool = HashPool::new(1, 0).expect("a thread");
    // The task of its result never returns: so its only thread is busy from then on, and the queue has no room.
    let (stuck, waits) = channel();
    let waker = Waker::from(Arc::new(Stuck(Mutex::new(stuck))));
    let nothing = PasswordHash(NO_HASH.into());
    let password = Password::new("p".into());
    let share = Share { realm: "main", client: std::net::Ipv4Addr::LOCALHOST.into() };
    loop {
        let mut answer = pin!(pool.verify(share, &password, Some(&nothing)));
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            // The thread looks for work shortly after its start, or the work was done before the task was registered.
            Poll::Ready(_) => std::thread::yield_now(),
            Poll::Pending => break is_stuck(&waits),
        }
    }
    Mutex::new(Some(pool))
});

struct Stuck(Mutex<Sender<()>>);

impl Wake for Stuck {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(());
        loop {
            std::thread::park();
        }
    }
}

fn is_stuck(waits: &Receiver<()>) {
    waits.recv().expect("the thread");
}

/// The desk, with a store of its own.
pub fn with_desk<T>(content: &Content, ask: impl FnOnce(&LoginServices, &Memory) -> T) -> T {
    let memory = Arc::new(Memory(Mutex::new(content.clone())));
    let mut pool = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let revocations = Arc::new(Revocations::new());
    revocations.extend([(TokenId(9), NOW + 1000)]);
    let services = LoginServices {
        store: memory.clone(),
        passwords: pool.take().expect("the pool"),
        throttle: Throttle::new(),
        allowances: Allowances::new(),
        revocations,
        started_ms: 0,
    };
    let told = ask(&services, &memory);
    *pool = Some(services.passwords);
    told
}

/// Nothing here waits for anything.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(told) => told,
        Poll::Pending => panic!("it waits"),
    }
}

/// A content with a session that can be refreshed, and its refresh token: made once, by a login that proves a code.
pub static REFRESHABLE: LazyLock<(Content, String)> = LazyLock::new(|| {
    let session = SETUP.words.iter().find(|(byte, _)| *byte == 0x0f).expect("a session").1.clone();
    let body = serde_json::json!({
        "ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": session,
        "ChallengeResponses": {"USERNAME": "bob", "SOFTWARE_TOKEN_MFA_CODE": code()},
    });
    with_desk(&CONTENT, |services, memory| {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let answer = at_once(tenant("/Login/Challenge", &headers, &body, services));
        let answer = answer.map_err(|refusal| refusal.deny).expect("a login");
        let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        let token = answer["cognitoToken"]["AuthenticationResult"]["RefreshToken"].as_str().expect("a refresh token");
        let content = memory.content().clone();
        (content, token.to_owned())
    })
});

/// Has the tenant login answer a request that Tollgate admitted for the realm `open`.
pub async fn tenant(
    path: &str,
    headers: &http::HeaderMap,
    body: &Value,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let host = Host::parse("gate.example").expect("a host");
    let found = SETUP.policy.routing.login_at(&host, path, &http::Method::POST).expect("a tenant login");
    let admitted = AdmittedLogin {
        realms: vec![SETUP.policy.realm("open").expect("the realm").clone()],
        query: Vec::new(),
        master: false,
        token: Err(DenyReason::TokenMissing),
        tokens: Vec::new(),
        client: ClientInfo::from_request([192, 0, 2, 7].into(), true, headers, &NO_PROXIES),
        cors: None,
        login: found,
    };
    let request = LoginRequest {
        admitted: &admitted,
        method: &http::Method::POST,
        headers,
        body: body.to_string().into(),
        now_ms: NOW * 1000,
        event: &LoginEventRecorder::default(),
    };
    dialect(&admitted.login.login).handle(request, services).await
}

/// The present one-time code (RFC 6238), by an independent implementation.
pub fn code() -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOTP);
    let tag = aws_lc_rs::hmac::sign(&key, &u64::try_from(NOW / 30).expect("a step").to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let bits = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
    format!("{:06}", bits % 1_000_000)
}
