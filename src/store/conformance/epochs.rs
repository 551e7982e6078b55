//! Tests of session epochs.

use super::super::*;
use super::{AT, EXPIRY, ids_after, last_sequence, logged_in, presented, refreshable, session, stored};
use crate::token::{AccountId, Seal, TokenId};

pub(in crate::store) fn epoch(realm: &str, issued_for: u128, keys: &[&str]) -> Epoch {
    Epoch {
        realm: realm.into(),
        id: EpochId(TokenId::random().0),
        seal: Seal::random().unwrap(),
        issued_for: AccountId(issued_for),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        since: AT,
    }
}

pub(super) async fn an_epoch_follows_issuer_audience_and_keys(store: &dyn Store) {
    let present = async || store.epoch("epochs").await.unwrap();
    assert_eq!(present().await, None);
    let first = epoch("epochs", 1, &["a", "b"]);
    assert_eq!(store.follow_epoch(&first).await.unwrap(), Followed::First);
    assert_eq!(present().await.as_ref(), Some(&first));
    assert_eq!(store.follow_epoch(&epoch("epochs", 1, &["a", "b"])).await.unwrap(), Followed::Same);
    assert_eq!(present().await.as_ref(), Some(&first));
    assert_eq!(store.follow_epoch(&epoch("epochs", 1, &["b", "c"])).await.unwrap(), Followed::OtherKeys);
    assert_eq!(present().await, Some(Epoch { keys: vec!["b".into(), "c".into()], ..first }));
    for (next, followed) in [
        (epoch("epochs", 1, &["a", "d"]), Followed::KeysGone),
        (epoch("epochs", 2, &["a", "d"]), Followed::IssuerChanged),
        (epoch("epochs", 1, &["a", "d"]), Followed::IssuerChanged),
    ] {
        assert_eq!(store.follow_epoch(&next).await.unwrap(), followed);
        assert_eq!(present().await, Some(next));
    }
    let other = epoch("epochs-too", 1, &["a", "d"]);
    store.begin_epoch(&other).await.unwrap();
    let both = store.epochs().await.unwrap().into_iter().filter(|epoch| epoch.realm.starts_with("epochs"));
    assert_eq!(both.map(|epoch| epoch.id).collect::<Vec<_>>(), [present().await.unwrap().id, other.id]);
}

pub(super) async fn a_new_epoch_ends_what_can_be_refreshed_and_no_more(store: &dyn Store) {
    let alice = stored(store, "epoch-ends", "alice").await;
    let (old, plain) = (refreshable(store, &alice).await, logged_in(store, &alice).await);
    let before = store.epoch("epoch-ends").await.unwrap().unwrap();
    let next = epoch("epoch-ends", 1, &["a"]);
    store.begin_epoch(&next).await.unwrap();
    let of = store.refreshable_session(old.token, AT).await.unwrap().unwrap();
    assert!(!of.is_current, "it can be ended still");
    assert_eq!(store.rotate_refresh_token(&presented(&old, 0, AT * 1000)).await.unwrap(), RefreshResult::Unknown);
    // The proven factors are kept, too.
    for (epoch, opens) in [(None, true), (Some(before.id), false), (Some(next.id), true)] {
        let late = Session { epoch, ..session("epoch-ends", &alice.id) };
        let created = store.create_session(&late, alice.version).await;
        assert!(if opens { created.is_ok() } else { matches!(created, Err(StoreError::VersionConflict)) }, "{epoch:?}");
        let once = OneTimeId { id: TokenId::random(), expires_at: EXPIRY };
        let late = Session { token: TokenId::random(), ..late };
        let created = store.create_session_once(once, &late, alice.version).await;
        assert!(
            if opens { created.unwrap() } else { matches!(created, Err(StoreError::VersionConflict)) },
            "{epoch:?}"
        );
    }
    let new = refreshable(store, &alice).await;
    assert_eq!(store.rotate_refresh_token(&presented(&new, 0, AT * 1000)).await.unwrap(), RefreshResult::Next);
    // Tokens of other keys stay valid, and so do their sessions.
    let (_, ended) = store.update_user(&alice, SessionsToEnd::Nothing, Some(plain.token)).await.unwrap();
    assert_eq!(ended, []);
    let bob = stored(store, "epoch-less", "bob").await;
    let without = Session { refresh: new.refresh.clone(), ..session("epoch-less", &bob.id) };
    store.create_session(&without, bob.version).await.unwrap();
    assert!(!store.refreshable_session(without.token, AT).await.unwrap().unwrap().is_current, "its realm has none");
}

pub(super) async fn the_end_of_a_realm_is_that_of_all_its_sessions_and_of_no_other(store: &dyn Store) {
    let (alice, bob) = (stored(store, "ended", "alice").await, stored(store, "not-ended", "bob").await);
    let old = logged_in(store, &alice).await;
    let late = Session { created_at: AT + 1, ..session("ended", &alice.id) };
    store.create_session(&late, alice.version).await.unwrap();
    let (refreshed, foreign) = (refreshable(store, &alice).await, refreshable(store, &bob).await);
    store.rotate_refresh_token(&presented(&refreshed, 0, AT * 1000 + 1)).await.unwrap();
    let last = last_sequence(store).await;
    let next = epoch("ended", 1, &["a"]);
    store.end_realm(&next, AT, EXPIRY).await.unwrap();
    assert_eq!(store.epoch("ended").await.unwrap(), Some(next));
    let all = store.revocations_after(last, 0, 10).await.unwrap();
    let of_everyone = |revoked: &&RevocationEntry| matches!(revoked, RevocationEntry::Account(cut) if (cut.account, cut.until, cut.expires_at) == (AccountId(1), AT, EXPIRY));
    assert_eq!(all.iter().filter(of_everyone).count(), 1, "{all:?}");
    let mut ids: Vec<_> = ids_after(store, last, 0).await.iter().map(|revocation| revocation.token).collect();
    ids.sort_unstable();
    assert_eq!(ids, super::sorted([&late, &refreshed]), "what may have a later token");
    assert_eq!(store.cut_off_of(AccountId(1)).await.unwrap(), Some(AT));
    assert_eq!(store.cut_off_of(AccountId(old.token.0)).await.unwrap(), None);
    assert!(store.refreshable_session(refreshed.token, AT).await.unwrap().is_none());
    assert_eq!(store.rotate_refresh_token(&presented(&foreign, 0, AT * 1000)).await.unwrap(), RefreshResult::Next);
    // In the same second.
    let new = refreshable(store, &alice).await;
    assert_eq!(store.rotate_refresh_token(&presented(&new, 0, AT * 1000)).await.unwrap(), RefreshResult::Next);
}

pub(super) async fn of_many_gates_that_see_the_same_reason_one_begins_an_epoch(store: &Arc<dyn Store>) {
    let gates = (0..50).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.follow_epoch(&epoch("epoch-race", 1, &["a"])).await.unwrap() })
    });
    let mut firsts = 0;
    for gate in gates.collect::<Vec<_>>() {
        match gate.await.unwrap() {
            Followed::First => firsts += 1,
            other => assert_eq!(other, Followed::Same),
        }
    }
    assert_eq!(firsts, 1);
}

pub(super) async fn after_it_was_put_back_nothing_counts_that_was_there(store: &dyn Store) {
    let alice = stored(store, "restored", "alice").await;
    let (old, last) = (refreshable(store, &alice).await, last_sequence(store).await);
    let before = store.epochs().await.unwrap();
    let next = [epoch("restored", 2, &["a"]), epoch("restored-new", 3, &["a"])];
    // Long after the last session began.
    let until = AT + 100_000;
    store.restored(&next, until, EXPIRY).await.unwrap();
    let after = store.epochs().await.unwrap();
    assert_eq!(after.len(), before.len() + 1);
    assert!(next.iter().all(|epoch| after.contains(epoch)));
    for epoch in &after {
        let (id, seal) = (epoch.id, &epoch.seal);
        assert!(before.iter().all(|before| before.id != id && before.seal != *seal), "of every realm");
        assert!(store.cut_off_of(epoch.issued_for).await.unwrap() >= Some(until), "{}", epoch.realm);
    }
    assert_eq!(store.rotate_refresh_token(&presented(&old, 0, AT * 1000)).await.unwrap(), RefreshResult::Unknown);
    // A process that read entries from after the backup, which are lost, reads the new entries.
    let first = store.revocations_after(last + 1_000_000, 0, 1).await.unwrap();
    assert_eq!(first.len(), 1);
}
