//! Tests of sessions: how they begin, and how they are listed.

use super::super::*;
use super::{AT, EXPIRY, epoch, logged_in, presented, refreshable, session, stored, tokens};
use crate::token::TokenId;

pub(super) async fn sessions_need_the_version_that_was_checked(store: &dyn Store) {
    let user = stored(store, "session", "alice").await;
    let attempt = session("session", &user.id);
    let (changed, _) = store.update_user(&user, SessionsToEnd::All, None).await.unwrap();
    assert!(matches!(store.create_session(&attempt, user.version).await, Err(StoreError::VersionConflict)));
    let (disabled, _) = store.update_user(&User { disabled: true, ..changed }, SessionsToEnd::All, None).await.unwrap();
    assert!(matches!(store.create_session(&attempt, disabled.version).await, Err(StoreError::VersionConflict)));
    let (enabled, _) =
        store.update_user(&User { disabled: false, ..disabled }, SessionsToEnd::All, None).await.unwrap();
    for (realm, id) in [("session", "nobody"), ("session-too", &*user.id)] {
        let foreign = session(realm, id);
        assert!(matches!(store.create_session(&foreign, enabled.version).await, Err(StoreError::VersionConflict)));
    }
    store.create_session(&attempt, enabled.version).await.unwrap();
    store.delete_user("session", &user.id, None).await.unwrap().unwrap();
    let late = session("session", &user.id);
    assert!(matches!(store.create_session(&late, enabled.version).await, Err(StoreError::VersionConflict)));
}

pub(super) async fn what_may_open_one_session_opens_one(store: &Arc<dyn Store>) {
    let alice = stored(&**store, "once", "alice").await;
    let once = OneTimeId { id: TokenId::random(), expires_at: 1000 };
    let stale = store.create_session_once(once, &session("once", &alice.id), alice.version + 1).await;
    assert!(matches!(stale, Err(StoreError::VersionConflict)), "and was not used");
    let attempts = (0..100).map(|_| {
        let (store, session, version) = (store.clone(), session("once", &alice.id), alice.version);
        tokio::spawn(async move { (store.create_session_once(once, &session, version).await.unwrap(), session.token) })
    });
    let mut opened = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        let (first, token) = attempt.await.unwrap();
        opened.extend(first.then_some(token));
    }
    assert_eq!(opened.len(), 1);
    let (_, ended) = store.update_user(&alice, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(tokens(&ended), opened, "the others opened none");
    let alice = store.user("once", &alice.id).await.unwrap().unwrap();
    let again = async |expected: bool, why: &str| {
        let session = session("once", &alice.id);
        assert_eq!(store.create_session_once(once, &session, alice.version).await.unwrap(), expected, "{why}");
    };
    store.purge_expired(1000).await.unwrap();
    again(false, "in its last second").await;
    store.purge_expired(1001).await.unwrap();
    again(true, "forgotten").await;
    store.purge_expired(1001).await.unwrap();
}

pub(super) async fn sessions_are_listed_until_they_expire(store: &dyn Store) {
    let alice = stored(store, "listed", "alice").await;
    let (plain, refreshed) = (logged_in(store, &alice).await, refreshable(store, &alice).await);
    logged_in(store, &stored(store, "listed", "bob").await).await;
    store.rotate_refresh_token(&presented(&refreshed, 0, AT * 1000 + 5)).await.unwrap();
    // It keeps a name, and is not listed as a session.
    let renamed = User { username: Some("lewis".into()), ..alice.clone() };
    store.update_user(&renamed, SessionsToEnd::Nothing, None).await.unwrap();
    let listed = |session: &Session, refresh| Listed {
        token: session.token,
        realm: "listed".into(),
        user_id: alice.id.clone(),
        created_at: session.created_at,
        expires_at: session.expires_at,
        refresh,
    };
    let refresh = ListedRefresh { used_at: AT * 1000 + 5, expires_at: AT + 1000, mfa: true, is_current: true };
    let both = [listed(&plain, None), listed(&refreshed, Some(refresh))];
    assert_eq!(store.sessions("listed", &alice.id, AT + 2000).await.unwrap(), both);
    assert_eq!(store.session(refreshed.token).await.unwrap().as_ref(), Some(&both[1]));
    assert_eq!(store.sessions("listed", &alice.id, AT + 2001).await.unwrap(), both[..1], "expired");
    store.begin_epoch(&epoch("listed", 1, &["a"])).await.unwrap();
    let now = store.session(refreshed.token).await.unwrap().unwrap();
    assert_eq!(now.refresh, Some(ListedRefresh { is_current: false, ..refresh }));
    store.revoke(plain.token, TokenExpiry::At(EXPIRY)).await.unwrap();
    assert_eq!(store.session(plain.token).await.unwrap(), None);
    assert_eq!(store.sessions("other", &alice.id, AT).await.unwrap(), []);
}
