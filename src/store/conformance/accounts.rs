//! Tests of accounts at providers.

use std::sync::Arc;

use super::super::*;
use super::{AT, logged_in, stored, user};

fn account(user: &User, subject: &str) -> ProviderAccount {
    ProviderAccount {
        realm: user.realm.clone(),
        user_id: user.id.clone(),
        provider: "company".into(),
        issuer: "https://idp.example".into(),
        subject: subject.into(),
        linked_at: AT * 1000,
    }
}

async fn owner(store: &dyn Store, account: &ProviderAccount) -> Option<User> {
    store.user_of_account(&account.realm, &account.issuer, &account.subject).await.unwrap()
}

pub(super) async fn an_account_belongs_to_one_user(store: &dyn Store) {
    let (alice, bob) = (stored(store, "account", "alice").await, stored(store, "account", "bob").await);
    let first = account(&alice, "1");
    assert_eq!(owner(store, &first).await, None);
    store.link_account(&first, None).await.unwrap();
    assert_eq!(owner(store, &first).await, Some(alice.clone()));
    let taken = store.link_account(&account(&bob, "1"), None).await;
    assert!(matches!(taken, Err(StoreError::AccountTaken)), "{taken:?}");
    assert_eq!(owner(store, &first).await, Some(alice.clone()));
    let absent = ProviderAccount { user_id: "nobody".into(), ..account(&alice, "9") };
    assert!(matches!(store.link_account(&absent, None).await, Err(StoreError::VersionConflict)));
    // Another issuer, subject in another case, and realm are other accounts.
    let elsewhere = stored(store, "account-too", "alice").await;
    let second = ProviderAccount { linked_at: AT * 1000 + 1, issuer: "https://other.example".into(), ..first.clone() };
    store.link_account(&second, None).await.unwrap();
    for other in [account(&elsewhere, "1"), account(&bob, "a"), account(&alice, "A")] {
        assert_eq!(owner(store, &other).await, None, "{other:?}");
        store.link_account(&other, None).await.unwrap();
    }
    // The provider has another id in the configuration now.
    let renamed = ProviderAccount { provider: "corp".into(), linked_at: 0, ..first.clone() };
    store.link_account(&renamed, None).await.unwrap();
    let first = ProviderAccount { provider: "corp".into(), ..first };
    let all = [first.clone(), account(&alice, "A"), second.clone()];
    assert_eq!(store.accounts("account", &alice.id).await.unwrap(), all);

    assert!(!store.unlink_account(&account(&bob, "1"), None).await.unwrap(), "another user's");
    assert!(store.unlink_account(&first, None).await.unwrap());
    assert!(!store.unlink_account(&first, None).await.unwrap());
    assert_eq!(owner(store, &first).await, None);
    store.delete_user("account", &alice.id, None).await.unwrap().unwrap();
    assert_eq!(owner(store, &second).await, None);
    store.link_account(&account(&bob, "A"), None).await.unwrap();
    assert_eq!(store.accounts("account", &bob.id).await.unwrap().len(), 2);
}

pub(super) async fn a_revoked_session_links_no_account(store: &dyn Store) {
    let (alice, bob) = (stored(store, "account-by", "alice").await, stored(store, "account-by", "bob").await);
    let (own, ended, foreign) =
        (logged_in(store, &alice).await, logged_in(store, &alice).await, logged_in(store, &bob).await);
    store.revoke(ended.token, TokenExpiry::At(AT)).await.unwrap();
    for by in [ended.token, foreign.token] {
        let linked = store.link_account(&account(&alice, "1"), Some(by)).await;
        assert!(matches!(linked, Err(StoreError::Revoked)), "{linked:?}");
    }
    store.link_account(&account(&alice, "1"), Some(own.token)).await.unwrap();
    for by in [ended.token, foreign.token] {
        let unlinked = store.unlink_account(&account(&alice, "1"), Some(by)).await;
        assert!(matches!(unlinked, Err(StoreError::Revoked)), "{unlinked:?}");
    }
    assert!(store.unlink_account(&account(&alice, "1"), Some(own.token)).await.unwrap());
}

pub(super) async fn a_user_is_created_with_its_account_or_not_at_all(store: &Arc<dyn Store>) {
    let alice = user("account-new", "alice");
    store.create_linked_user(&alice, &account(&alice, "1")).await.unwrap();
    assert_eq!(owner(&**store, &account(&alice, "1")).await, Some(alice.clone()));
    for look_alike in ["alice", "a1ice"] {
        let impostor = user("account-new", look_alike);
        let refused = store.create_linked_user(&impostor, &account(&impostor, "2")).await;
        assert!(matches!(refused, Err(StoreError::NameTaken)), "{refused:?}");
        assert_eq!(owner(&**store, &account(&impostor, "2")).await, None);
    }
    let bob = user("account-new", "bob");
    let taken = store.create_linked_user(&bob, &account(&bob, "1")).await;
    assert!(matches!(taken, Err(StoreError::AccountTaken)), "{taken:?}");
    assert_eq!(store.user("account-new", &bob.id).await.unwrap(), None);
    // The same person in two tabs.
    let first_sign_ins = (0..20).map(|_| {
        let (store, carol) = (store.clone(), user("account-new", "carol"));
        tokio::spawn(async move { store.create_linked_user(&carol, &account(&carol, "3")).await })
    });
    let mut created = 0;
    for sign_in in first_sign_ins.collect::<Vec<_>>() {
        match sign_in.await.unwrap() {
            Ok(()) => created += 1,
            other => assert!(matches!(other, Err(StoreError::AccountTaken)), "{other:?}"),
        }
    }
    assert_eq!(created, 1);
}
