//! Tests of sign-in sessions: how they begin, are checked, and end.

use std::sync::Arc;

use super::super::*;
use super::{AT, EXPIRY, epoch, ids_after, last_sequence, logged_in, session, stored, tokens, user};
use crate::token::{MAX_LEEWAY, TokenId};

/// A sign-in session of a family of its own, open for an hour, or 10 minutes without a request.
pub(in crate::store) fn sign_in(user: &User) -> SignIn {
    let session = TokenId::random();
    SignIn {
        session,
        family: session,
        realm: user.realm.clone(),
        user_id: user.id.clone(),
        host: "app.example".into(),
        agent: "Browser/1.0".into(),
        address: [192, 0, 2, 1].into(),
        created_at: AT,
        last_seen: AT,
        ends_at: AT + 3600,
        idle: 600,
        remember: false,
        amr: vec!["pwd".into(), "otp".into()],
        auth_time: AT - 1,
        provider: None,
    }
}

fn provider_session(subject: &str, sid: Option<&str>) -> Option<ProviderSession> {
    Some(ProviderSession {
        provider: "company".into(),
        issuer: "https://idp.example".into(),
        subject: subject.into(),
        sid: sid.map(Into::into),
        sealed_token: Some(vec![0, 255, 7]),
    })
}

async fn open_up_to(
    store: &dyn Store,
    user: &User,
    sign_in: &SignIn,
    limit: u32,
) -> Result<Vec<Revocation>, StoreError> {
    let epoch = store.epoch(&user.realm).await.unwrap().unwrap().id;
    store.open_sign_in(&NewSignIn { sign_in: sign_in.clone(), epoch, limit }, user.version).await
}

async fn open(store: &dyn Store, user: &User, sign_in: SignIn) -> SignIn {
    assert_eq!(open_up_to(store, user, &sign_in, 100).await.unwrap(), []);
    sign_in
}

/// A user of a realm with an epoch.
async fn person(store: &dyn Store, realm: &str, name: &str) -> User {
    store.follow_epoch(&epoch(realm, 1, &["a"])).await.unwrap();
    stored(store, realm, name).await
}

fn at(session: &SignIn, now: i64) -> SignInCheck {
    SignInCheck { session: session.session, now, seen: None, touch: false }
}

async fn lives(store: &dyn Store, session: &SignIn, now: i64) -> bool {
    store.check_sign_in(&at(session, now)).await.unwrap().is_some()
}

pub(super) async fn a_sign_in_session_is_stored_whole(store: &dyn Store) {
    let alice = person(store, "sign-in", "alice").await;
    let plain = open(store, &alice, sign_in(&alice)).await;
    let full = SignIn {
        family: plain.session,
        host: "other.example".into(),
        address: "2001:db8::7".parse().unwrap(),
        idle: 0,
        remember: true,
        amr: Vec::new(),
        last_seen: AT + 1,
        provider: provider_session("248289761001", Some("08a5019c")),
        ..sign_in(&alice)
    };
    let full = open(store, &alice, full).await;
    for session in [&plain, &full] {
        let checked = store.check_sign_in(&at(session, AT + 1)).await.unwrap().unwrap();
        assert_eq!(checked, CheckedSignIn { sign_in: session.clone(), user: alice.clone() });
    }
    let bounded = SignIn { agent: format!("a\0\n{}", "é".repeat(200)), last_seen: AT - 1, ..sign_in(&alice) };
    let bounded = open(store, &alice, bounded).await;
    let agent = format!("a{}", "é".repeat(127));
    let listed = store.sign_ins("sign-in", &alice.id, AT).await.unwrap();
    assert_eq!(listed, [full, plain, SignIn { agent, ..bounded }], "the latest request first");
    assert_eq!(store.sign_ins("sign-in-too", &alice.id, AT).await.unwrap(), []);
    let unknown = SignInCheck { session: TokenId::random(), now: AT, seen: None, touch: true };
    assert_eq!(store.check_sign_in(&unknown).await.unwrap(), None);
}

pub(super) async fn a_sign_in_needs_the_version_and_the_epoch_of_its_proof(store: &dyn Store) {
    let alice = person(store, "sign-in-version", "alice").await;
    let conflict = |opened| assert!(matches!(opened, Err(StoreError::VersionConflict)), "{opened:?}");
    let stale = User { version: alice.version + 1, ..alice.clone() };
    conflict(open_up_to(store, &stale, &sign_in(&alice), 100).await);
    conflict(open_up_to(store, &alice, &SignIn { user_id: "nobody".into(), ..sign_in(&alice) }, 100).await);
    let before = store.epoch("sign-in-version").await.unwrap().unwrap().id;
    store.begin_epoch(&epoch("sign-in-version", 1, &["a"])).await.unwrap();
    let of_before = NewSignIn { sign_in: sign_in(&alice), epoch: before, limit: 100 };
    conflict(store.open_sign_in(&of_before, alice.version).await);
    let disabled = User { disabled: true, ..alice.clone() };
    let (disabled, _) = store.update_user(&disabled, SessionsToEnd::All, None).await.unwrap();
    conflict(open_up_to(store, &disabled, &sign_in(&disabled), 100).await);
    assert_eq!(store.sign_ins("sign-in-version", &alice.id, AT).await.unwrap(), []);
    assert_eq!(store.sessions("sign-in-version", &alice.id, AT).await.unwrap(), [], "no half of one");
}

pub(super) async fn a_check_knows_when_a_session_has_ended(store: &dyn Store) {
    let alice = person(store, "sign-in-ends", "alice").await;
    let session = open(store, &alice, sign_in(&alice)).await;
    assert!(lives(store, &session, AT + 600).await);
    assert!(!lives(store, &session, AT + 601).await, "idle");
    let seen = |seen, now| SignInCheck { seen: Some(seen), ..at(&session, now) };
    assert!(store.check_sign_in(&seen(AT + 2, AT + 602)).await.unwrap().is_some(), "the caller knows of a request");
    assert!(store.check_sign_in(&seen(AT + 2, AT + 603)).await.unwrap().is_none());
    assert!(store.check_sign_in(&seen(AT + 3599, AT + 3600)).await.unwrap().is_none(), "at the latest");
    let remembered = open(store, &alice, SignIn { idle: 0, ..sign_in(&alice) }).await;
    assert!(lives(store, &remembered, AT + 3599).await);
    assert!(!lives(store, &remembered, AT + 3600).await);
    // Both lists know it too.
    let listed = async |now| store.sign_ins("sign-in-ends", &alice.id, now).await.unwrap().len();
    assert_eq!([listed(AT + 600).await, listed(AT + 601).await, listed(AT + 3600).await], [2, 1, 0]);
    let listed = async |now| store.sessions("sign-in-ends", &alice.id, now).await.unwrap().len();
    assert_eq!([listed(AT + 600).await, listed(AT + 601).await, listed(AT + 3600).await], [2, 1, 0]);
    // Even if its session was not ended.
    let disabled = User { disabled: true, ..alice.clone() };
    let (alice, _) = store.update_user(&disabled, SessionsToEnd::Nothing, None).await.unwrap();
    assert!(!lives(store, &session, AT).await);
    assert_eq!(store.sign_ins("sign-in-ends", &alice.id, AT).await.unwrap(), []);
    let enabled = User { disabled: false, ..alice };
    let (alice, _) = store.update_user(&enabled, SessionsToEnd::Nothing, None).await.unwrap();
    assert!(lives(store, &session, AT).await);
    store.begin_epoch(&epoch("sign-in-ends", 1, &["a"])).await.unwrap();
    assert!(!lives(store, &session, AT).await, "its epoch has ended");
    assert_eq!(store.sign_ins("sign-in-ends", &alice.id, AT).await.unwrap(), []);
    assert_eq!(store.sessions("sign-in-ends", &alice.id, AT).await.unwrap(), []);
}

pub(super) async fn a_check_writes_the_time_of_the_last_request(store: &dyn Store) {
    let alice = person(store, "sign-in-touch", "alice").await;
    let root = open(store, &alice, sign_in(&alice)).await;
    let child = |idle| SignIn { family: root.session, idle, ..sign_in(&alice) };
    let (first, second) = (open(store, &alice, child(600)).await, open(store, &alice, child(60)).await);
    let last_seen = async |session: &SignIn| {
        let checked = SignInCheck { seen: Some(AT + 3000), ..at(session, AT + 3000) };
        store.check_sign_in(&checked).await.unwrap().unwrap().sign_in.last_seen
    };
    assert_eq!(last_seen(&first).await, AT, "a check without touch writes nothing");
    let touch = async |session: &SignIn, now, seen| {
        store.check_sign_in(&SignInCheck { touch: true, seen, ..at(session, now) }).await.unwrap()
    };
    assert_eq!(touch(&first, AT + 500, None).await.unwrap().sign_in.last_seen, AT, "as it was");
    assert_eq!([last_seen(&first).await, last_seen(&root).await, last_seen(&second).await], [AT + 500, AT + 500, AT]);
    touch(&first, AT + 400, None).await.unwrap();
    assert_eq!(last_seen(&first).await, AT + 500, "never back");
    // A session that has ended moves nothing, not even its root.
    assert_eq!(touch(&second, AT + 550, None).await, None);
    assert_eq!([last_seen(&root).await, last_seen(&second).await], [AT + 500, AT]);
    assert!(touch(&second, AT + 620, Some(AT + 570)).await.is_some());
    assert_eq!([last_seen(&root).await, last_seen(&second).await], [AT + 620, AT + 620]);
    assert!(touch(&first, AT + 1100, None).await.is_some());
    // The root is idle since, and stays so.
    let idle_root = open(store, &alice, SignIn { idle: 10, ..sign_in(&alice) }).await;
    let busy = SignIn { family: idle_root.session, ..sign_in(&alice) };
    let busy = open(store, &alice, busy).await;
    touch(&busy, AT + 100, None).await.unwrap();
    assert!(lives(store, &busy, AT + 700).await);
    assert!(!lives(store, &idle_root, AT + 100).await);
    store.revoke(root.session, TokenExpiry::At(EXPIRY)).await.unwrap();
    touch(&first, AT + 1200, None).await.unwrap();
    assert_eq!(last_seen(&first).await, AT + 1200, "without its root");
}

pub(super) async fn a_sign_in_session_ends_as_every_session(store: &dyn Store) {
    let alice = person(store, "sign-in-revoked", "alice").await;
    let one = open(store, &alice, sign_in(&alice)).await;
    let revocation = store.revoke(one.session, TokenExpiry::At(0)).await.unwrap();
    let expiry = one.ends_at + i64::try_from(MAX_LEEWAY.as_secs()).unwrap();
    assert_eq!((revocation.token, revocation.expires_at), (one.session, expiry), "as long as its cookie");
    assert!(!lives(store, &one, AT).await);

    let (root, other) = (open(store, &alice, sign_in(&alice)).await, open(store, &alice, sign_in(&alice)).await);
    let child = open(store, &alice, SignIn { family: root.session, ..sign_in(&alice) }).await;
    let token = logged_in(store, &alice).await;
    let kept = SessionsToEnd::AllBut(child.session);
    let (alice, revoked) = store.update_user(&alice, kept, Some(child.session)).await.unwrap();
    assert_eq!(tokens(&revoked), ids([&other.session, &token.token]), "its family stays");
    assert!(lives(store, &root, AT).await && lives(store, &child, AT).await && !lives(store, &other, AT).await);
    let (alice, revoked) = store.update_user(&alice, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(tokens(&revoked), ids([&root.session, &child.session]));
    let refused = store.update_user(&alice, SessionsToEnd::Nothing, Some(child.session)).await;
    assert!(matches!(refused, Err(StoreError::Revoked)));

    let last = open(store, &alice, sign_in(&alice)).await;
    let start = last_sequence(store).await;
    store.end_realm(&epoch("sign-in-revoked", 1, &["a"]), AT - 1, EXPIRY).await.unwrap();
    let ended: Vec<_> = ids_after(store, start, 0).await.iter().map(|revocation| revocation.token).collect();
    assert_eq!(ended, [last.session], "it began after the cut-off");
    let last = open(store, &alice, sign_in(&alice)).await;
    let (_, revoked) = store.delete_user("sign-in-revoked", &alice.id, None).await.unwrap().unwrap();
    assert_eq!(tokens(&revoked), [last.session]);
    assert!(!lives(store, &last, AT).await);
}

fn ids<const N: usize>(sessions: [&TokenId; N]) -> Vec<TokenId> {
    let mut ids = sessions.map(|id| *id).to_vec();
    ids.sort_unstable();
    ids
}

pub(super) async fn a_family_ends_together(store: &dyn Store) {
    let (alice, bob) = (person(store, "family", "alice").await, stored(store, "family", "bob").await);
    let (root, other) = (open(store, &alice, sign_in(&alice)).await, open(store, &alice, sign_in(&alice)).await);
    let of_root = || SignIn { family: root.session, ..sign_in(&alice) };
    let (first, second) = (open(store, &alice, of_root()).await, open(store, &alice, of_root()).await);
    for (user, family) in [(&bob, root.session), (&alice, first.session), (&alice, TokenId::random())] {
        let foreign = open_up_to(store, user, &SignIn { family, ..sign_in(user) }, 100).await;
        assert!(matches!(foreign, Err(StoreError::Revoked)), "{foreign:?}");
    }
    let revoked = store.end_sign_ins(SignInsToEnd::Family(first.session)).await.unwrap();
    assert_eq!(tokens(&revoked), ids([&root.session, &first.session, &second.session]));
    assert!(revoked.is_sorted_by_key(|revocation| revocation.sequence));
    assert!(lives(store, &other, AT).await);
    let late = open_up_to(store, &alice, &of_root(), 100).await;
    assert!(matches!(late, Err(StoreError::Revoked)), "nothing begins in a family that has ended");
    assert_eq!(store.end_sign_ins(SignInsToEnd::Family(first.session)).await.unwrap(), []);

    let (token, foreign) = (logged_in(store, &alice).await, open(store, &bob, sign_in(&bob)).await);
    let own = open(store, &alice, sign_in(&alice)).await;
    let child = open(store, &alice, SignIn { family: own.session, ..sign_in(&alice) }).await;
    let revoked = store.end_sign_ins(SignInsToEnd::AllBut(child.session)).await.unwrap();
    assert_eq!(tokens(&revoked), ids([&other.session, &token.token]));
    assert!(lives(store, &own, AT).await && lives(store, &child, AT).await && lives(store, &foreign, AT).await);
    let ended = store.end_sign_ins(SignInsToEnd::AllBut(other.session)).await;
    assert!(matches!(ended, Err(StoreError::Revoked)));
}

pub(super) async fn a_user_has_a_limited_number_of_sign_in_sessions(store: &dyn Store) {
    let (alice, bob) = (person(store, "sign-in-limit", "alice").await, stored(store, "sign-in-limit", "bob").await);
    let (token, foreign) = (logged_in(store, &alice).await, open(store, &bob, sign_in(&bob)).await);
    let begun = |second| SignIn { created_at: AT + second, last_seen: AT + second, ..sign_in(&alice) };
    let (first, second) = (open(store, &alice, begun(1)).await, open(store, &alice, begun(2)).await);
    let third = begun(3);
    assert_eq!(open_up_to(store, &alice, &third, 3).await.unwrap(), []);
    let revoked = open_up_to(store, &alice, &begun(4), 3).await.unwrap();
    assert_eq!(tokens(&revoked), [first.session], "the oldest");
    // Those that are idle end before those that are older.
    let late = SignIn { idle: 0, ..begun(2000) };
    store.check_sign_in(&SignInCheck { touch: true, seen: Some(AT + 1990), ..at(&second, AT + 1990) }).await.unwrap();
    let revoked = open_up_to(store, &alice, &late, 3).await.unwrap();
    assert_eq!(tokens(&revoked), [third.session], "idle, but not the oldest");
    let conflict = open_up_to(store, &User { version: 77, ..alice.clone() }, &begun(2001), 1).await;
    assert!(matches!(conflict, Err(StoreError::VersionConflict)));
    assert!(lives(store, &second, AT + 2001).await, "a session that does not begin ends none");
    let last = begun(2001);
    assert_eq!(open_up_to(store, &alice, &last, 0).await.unwrap().len(), 3, "a lower limit than before, at least 1");
    assert!(lives(store, &last, AT + 2001).await && lives(store, &foreign, AT).await);
    assert_eq!(store.session(token.token).await.unwrap().map(|session| session.token), Some(token.token));
}

pub(super) async fn a_provider_logs_its_sessions_out_once(store: &dyn Store) {
    let alice = person(store, "provider", "alice").await;
    let with =
        |subject: &str, sid: Option<&str>| SignIn { provider: provider_session(subject, sid), ..sign_in(&alice) };
    let root = open(store, &alice, with("a", Some("1"))).await;
    let child = open(store, &alice, SignIn { family: root.session, ..sign_in(&alice) }).await;
    let (second, other) =
        (open(store, &alice, with("a", Some("2"))).await, open(store, &alice, with("b", Some("2"))).await);
    let without = open(store, &alice, with("a", None)).await;
    let elsewhere = person(store, "provider-too", "alice").await;
    let foreign =
        open(store, &elsewhere, SignIn { provider: provider_session("a", Some("1")), ..sign_in(&elsewhere) }).await;
    let logout = |issuer: &str, ended: ProviderSessions| ProviderLogout {
        realm: "provider".into(),
        issuer: issuer.into(),
        ended,
        once: OneTimeId { id: TokenId::random(), expires_at: EXPIRY },
    };
    let one =
        |sid: &str, subject: Option<&str>| ProviderSessions::One { sid: sid.into(), subject: subject.map(Into::into) };
    let idp = "https://idp.example";
    let log_out =
        async |logout: &ProviderLogout| store.provider_logout(logout).await.unwrap().map(|revoked| tokens(&revoked));
    assert_eq!(log_out(&logout("https://other.example", one("1", None))).await, Some(Vec::new()));
    assert_eq!(log_out(&logout(idp, one("2", Some("c")))).await, Some(Vec::new()));
    let of_one = logout(idp, one("1", None));
    assert_eq!(log_out(&of_one).await, Some(ids([&root.session, &child.session])), "the family");
    let again = open(store, &alice, with("a", Some("1"))).await;
    assert_eq!(log_out(&of_one).await, None, "a logout token is valid once");
    assert!(lives(store, &again, AT).await);
    assert_eq!(log_out(&logout(idp, one("2", Some("b")))).await, Some(ids([&other.session])));
    let all = ids([&second.session, &without.session, &again.session]);
    assert_eq!(log_out(&logout(idp, ProviderSessions::Of("a".into()))).await, Some(all));
    assert!(lives(store, &foreign, AT).await, "realms are apart");
}

pub(super) async fn a_sign_in_session_reserves_no_name_but_at_a_rename(store: &dyn Store) {
    let alice = person(store, "sign-in-names", "alice").await;
    let rename = async |user: User, name: &str| {
        let renamed = User { username: Some(name.into()), updated_at: AT * 1000, ..user };
        store.update_user(&renamed, SessionsToEnd::Nothing, None).await.unwrap().0
    };
    let alice = rename(alice, "lewis").await;
    stored(store, "sign-in-names", "alice").await;
    let long = SignIn { idle: 0, ends_at: AT + 30 * 86_400, ..sign_in(&alice) };
    let session = open(store, &alice, long).await;
    assert_eq!(store.names_held("sign-in-names", &alice.id).await.unwrap(), 0);
    let alice = rename(alice, "carroll").await;
    let checked = store.check_sign_in(&at(&session, AT)).await.unwrap().unwrap();
    assert_eq!(checked.user.username.as_deref(), Some("carroll"), "the check knows it at once");
    let impostor = user("sign-in-names", "lewis");
    assert!(matches!(store.create_user(&impostor).await, Err(StoreError::NameTaken)), "a process knows the old name");
    assert_eq!(store.names_held("sign-in-names", &alice.id).await.unwrap(), 1);
    let day = 86_400 + i64::try_from(MAX_LEEWAY.as_secs()).unwrap();
    store.purge_expired(AT + day + 1).await.unwrap();
    store.create_user(&impostor).await.unwrap();
    assert!(lives(store, &session, AT + day + 1).await);
}

pub(super) async fn purging_deletes_idle_sessions_after_a_while(store: &dyn Store) {
    let alice = person(store, "sign-in-purge", "alice").await;
    let (idle, remembered) =
        (open(store, &alice, sign_in(&alice)).await, open(store, &alice, SignIn { idle: 0, ..sign_in(&alice) }).await);
    let start = last_sequence(store).await;
    store.purge_expired(AT + 600 + 600).await.unwrap();
    assert!(lives(store, &idle, AT).await, "a process with another clock may use it");
    store.purge_expired(AT + 600 + 601).await.unwrap();
    assert!(!lives(store, &idle, AT).await && store.session(idle.session).await.unwrap().is_none());
    assert!(lives(store, &remembered, AT).await);
    store.purge_expired(remembered.ends_at + i64::try_from(MAX_LEEWAY.as_secs()).unwrap() + 1).await.unwrap();
    assert!(!lives(store, &remembered, AT).await);
    assert_eq!(ids_after(store, start, 0).await, [], "both have ended by themselves");
}

pub(super) async fn no_sign_in_of_many_outlives_its_family(store: &Arc<dyn Store>) {
    let alice = person(&**store, "family-race", "alice").await;
    let root = open(&**store, &alice, sign_in(&alice)).await;
    let epoch = store.epoch("family-race").await.unwrap().unwrap().id;
    let opening = (0..40).map(|n| {
        let (store, version) = (store.clone(), alice.version);
        let sign_in = SignIn { family: root.session, ..sign_in(&alice) };
        tokio::spawn(async move {
            if n == 20 {
                store.end_sign_ins(SignInsToEnd::Family(sign_in.family)).await.unwrap();
                return;
            }
            let opened = store.open_sign_in(&NewSignIn { sign_in, epoch, limit: 100 }, version).await;
            assert!(matches!(opened, Ok(_) | Err(StoreError::Revoked)), "{opened:?}");
        })
    });
    for one in opening.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert_eq!(store.sign_ins("family-race", &alice.id, AT).await.unwrap(), []);
    // Sessions of tokens are not concerned.
    store.create_session(&session("family-race", &alice.id), alice.version).await.unwrap();
}
