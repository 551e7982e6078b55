//! Tests of refresh tokens.

use super::*;

pub(super) const AT: i64 = 1_700_000_000;

pub(super) fn presented(session: &Session, generation: u8, now_ms: i64) -> RefreshAttempt {
    let generation_of = i64::from(generation);
    RefreshAttempt {
        session: session.token,
        generation: generation_of,
        hash: [generation; 32],
        next: [generation + 1; 32],
        now_ms,
        grace_ms: 10_000,
        started_ms: 0,
    }
}

pub(super) async fn refreshable(store: &dyn Store, user: &User) -> Session {
    store.follow_epoch(&epoch(&user.realm, 1, &["a"])).await.unwrap();
    let refresh = NewRefreshState {
        key: [9; 32],
        first: [0; 32],
        authenticated_at: AT,
        mfa: true,
        expires_at: AT + 1000,
        issued_for: AccountId(1),
    };
    let session =
        Session { refresh: Some(refresh), created_at: AT, expires_at: AT + 2000, ..session(&user.realm, &user.id) };
    store.create_session(&session, user.version).await.unwrap();
    session
}

pub(super) async fn a_refresh_token_is_used_once_and_a_lost_answer_is_forgiven(store: &dyn Store) {
    let alice = stored(store, "refresh", "alice").await;
    let session = refreshable(store, &alice).await;
    let of = store.refreshable_session(session.token, AT).await.unwrap().unwrap();
    assert_eq!((of.realm.as_str(), of.user_id.as_str(), of.key), ("refresh", alice.id.as_str(), [9; 32]));
    assert_eq!((of.authenticated_at, of.mfa, of.expires_at), (AT, true, AT + 1000));
    assert_eq!((of.issued_for, of.is_current), (Some(AccountId(1)), true));
    let rotate = |generation, second: i64| {
        let presented = presented(&session, generation, (AT + second) * 1000);
        async move { store.rotate_refresh_token(&presented).await.unwrap() }
    };
    assert_eq!(rotate(0, 5).await, RefreshResult::Next);
    assert_eq!(rotate(0, 15).await, RefreshResult::Again, "within ten seconds");
    assert_eq!(rotate(1, 20).await, RefreshResult::Next);
    assert_eq!(rotate(1, 20).await, RefreshResult::Again);
    let RefreshResult::Reused(revocation) = rotate(0, 21).await else { panic!("two uses ago") };
    assert_eq!((revocation.token, revocation.expires_at), (session.token, AT + 2000));
    assert_eq!(rotate(2, 21).await, RefreshResult::Unknown, "the one that counted counts no more either");
    assert!(store.refreshable_session(session.token, AT).await.unwrap().is_none());

    let late = refreshable(store, &alice).await;
    let rotate = |generation, ms: i64| {
        let presented = presented(&late, generation, ms);
        async move { store.rotate_refresh_token(&presented).await.unwrap() }
    };
    assert_eq!(rotate(0, AT * 1000).await, RefreshResult::Next);
    assert!(
        matches!(rotate(0, AT * 1000 + 10_001).await, RefreshResult::Reused(_)),
        "after ten seconds it was no accident"
    );

    let lost = refreshable(store, &alice).await;
    let rotate = |generation, second: i64, started: i64| {
        let at = presented(&lost, generation, (AT + second) * 1000);
        async move { store.rotate_refresh_token(&RefreshAttempt { started_ms: (AT + started) * 1000, ..at }).await.unwrap() }
    };
    assert_eq!(rotate(0, 0, -1000).await, RefreshResult::Next);
    assert_eq!(
        rotate(0, 70, 60).await,
        RefreshResult::Again,
        "the gate was away for a minute, and its answer got lost"
    );
    assert_eq!(rotate(0, -1, -1000).await, RefreshResult::Again, "used by a gate whose clock is ahead");
    assert!(matches!(rotate(0, 71, 60).await, RefreshResult::Reused(_)), "but not for ever");
    let future = refreshable(store, &alice).await;
    assert_eq!(
        store.rotate_refresh_token(&presented(&future, 0, (AT + 900) * 1000)).await.unwrap(),
        RefreshResult::Next
    );
    let back = store.rotate_refresh_token(&presented(&future, 0, AT * 1000)).await.unwrap();
    assert!(matches!(back, RefreshResult::Reused(_)), "the clock was set back by a quarter of an hour");

    let expired = refreshable(store, &alice).await;
    assert_eq!(
        store.rotate_refresh_token(&presented(&expired, 0, (AT + 1000) * 1000)).await.unwrap(),
        RefreshResult::Unknown
    );
    assert!(store.refreshable_session(expired.token, AT + 1000).await.unwrap().is_none());
    let ahead = refreshable(store, &alice).await;
    let from_nowhere = store.rotate_refresh_token(&presented(&ahead, 7, AT * 1000)).await.unwrap();
    assert!(matches!(from_nowhere, RefreshResult::Reused(_)), "nobody was given such a one");
    let plain = logged_in(store, &alice).await;
    assert_eq!(store.rotate_refresh_token(&presented(&plain, 0, AT * 1000)).await.unwrap(), RefreshResult::Unknown);
}

pub(super) async fn a_session_that_ends_takes_its_refresh_token_along(store: &dyn Store) {
    let alice = stored(store, "refresh-ends", "alice").await;
    let (first, second) = (refreshable(store, &alice).await, refreshable(store, &alice).await);
    store.revoke(first.token, TokenExpiry::At(first.expires_at)).await.unwrap();
    assert_eq!(store.rotate_refresh_token(&presented(&first, 0, AT * 1000)).await.unwrap(), RefreshResult::Unknown);
    let (_, ended) = store.update_user(&alice, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(tokens(&ended), [second.token]);
    assert_eq!(store.rotate_refresh_token(&presented(&second, 0, AT * 1000)).await.unwrap(), RefreshResult::Unknown);
}

pub(super) async fn a_name_in_a_refreshed_token_is_taken(store: &dyn Store) {
    let alice = stored(store, "refresh-renamed", "alice").await;
    let session = refreshable(store, &alice).await;
    let rename = |user: User, name: &str, ended| {
        let renamed = User { username: Some(name.into()), updated_at: AT * 1000, ..user };
        async move { store.update_user(&renamed, ended, None).await.unwrap() }
    };
    let (user, _) = rename(alice, "lewis", SessionsToEnd::Nothing).await;
    // A token that is refreshed here has the name lewis.
    let (user, _) = rename(user, "carroll", SessionsToEnd::AllBut(session.token)).await;
    for name in ["alice", "LEWIS"] {
        let impostor = self::user("refresh-renamed", name);
        assert!(matches!(store.create_user(&impostor).await, Err(StoreError::NameTaken)), "{name}");
    }
    let (user, _) = rename(user, "Lewis", SessionsToEnd::Nothing).await;
    let (user, ended) = rename(user, "dodgson", SessionsToEnd::All).await;
    assert!(tokens(&ended).contains(&session.token));
    // Tokens of that time are refused.
    for name in ["alice", "lewis", "carroll"] {
        stored(store, "refresh-renamed", name).await;
    }
    let (_, ended) = rename(user, "charles", SessionsToEnd::Nothing).await;
    assert_eq!(ended, []);
    stored(store, "refresh-renamed", "dodgson").await;
}

pub(super) async fn of_many_who_present_it_at_once_one_rotates(store: &Arc<dyn Store>) {
    let alice = stored(&**store, "refresh-race", "alice").await;
    let session = refreshable(&**store, &alice).await;
    let attempts = (0..100).map(|_| {
        let (store, presented) = (store.clone(), presented(&session, 0, AT * 1000));
        tokio::spawn(async move { store.rotate_refresh_token(&presented).await.unwrap() })
    });
    let mut nexts = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            RefreshResult::Next => nexts += 1,
            other => assert_eq!(other, RefreshResult::Again),
        }
    }
    assert_eq!(nexts, 1);
}
