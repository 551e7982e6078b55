//! Tests that every backend must pass.

mod accounts;
mod epochs;
mod flows;
mod guesses;
mod refresh;
mod revocation;
mod sessions;
mod sign_ins;

use std::future::Future;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::*;
use crate::token::{AccountId, TokenId};
use epochs::*;
use refresh::*;
use revocation::*;
use sessions::*;
pub(super) use {epochs::epoch, sign_ins::sign_in};

/// Runs the suite. `open` opens the same, at first empty store every time.
pub(super) async fn run<F: Future<Output = Arc<dyn Store>>>(open: impl Fn() -> F) {
    let store = open().await;
    users_are_stored_whole(&*store).await;
    names_are_unique_in_every_spelling(&*store).await;
    r60_who_chooses_a_name_gets_none_that_looks_like_another(&*store).await;
    r61_names_that_were_given_up_are_counted_while_a_session_lives(&*store).await;
    nameless_users_are_refused(&*store).await;
    many_users_are_added_together_or_not_at_all(&*store).await;
    updates_need_the_version_that_was_read(&*store).await;
    listing_pages_through_one_realm(&*store).await;
    sessions_need_the_version_that_was_checked(&*store).await;
    ended_sessions_are_revoked(&*store).await;
    a_revoked_token_changes_nothing(&*store).await;
    a_name_in_a_living_token_is_taken(&*store).await;
    an_id_is_nobody_elses_name(&*store).await;
    revocations_come_in_order_and_once(&*store).await;
    a_revocation_is_kept_as_long_as_its_session_would_have_lived(&*store).await;
    cut_offs_move_on_and_never_back(&*store).await;
    revocations_of_both_kinds_come_in_pages(&*store).await;
    a_refresh_token_is_used_once_and_a_lost_answer_is_forgiven(&*store).await;
    a_session_that_ends_takes_its_refresh_token_along(&*store).await;
    a_name_in_a_refreshed_token_is_taken(&*store).await;
    of_many_who_present_it_at_once_one_rotates(&store).await;
    what_may_open_one_session_opens_one(&store).await;
    guesses::wrong_guesses_are_counted(&store).await;
    an_epoch_follows_issuer_audience_and_keys(&*store).await;
    a_new_epoch_ends_what_can_be_refreshed_and_no_more(&*store).await;
    the_end_of_a_realm_is_that_of_all_its_sessions_and_of_no_other(&*store).await;
    of_many_gates_that_see_the_same_reason_one_begins_an_epoch(&store).await;
    sessions_are_listed_until_they_expire(&*store).await;
    sign_ins::a_sign_in_session_is_stored_whole(&*store).await;
    sign_ins::a_sign_in_needs_the_version_and_the_epoch_of_its_proof(&*store).await;
    sign_ins::a_check_knows_when_a_session_has_ended(&*store).await;
    sign_ins::a_check_writes_the_time_of_the_last_request(&*store).await;
    sign_ins::a_sign_in_session_ends_as_every_session(&*store).await;
    sign_ins::a_family_ends_together(&*store).await;
    sign_ins::a_user_has_a_limited_number_of_sign_in_sessions(&*store).await;
    sign_ins::a_provider_logs_its_sessions_out_once(&*store).await;
    sign_ins::a_sign_in_session_reserves_no_name_but_at_a_rename(&*store).await;
    sign_ins::no_sign_in_of_many_outlives_its_family(&store).await;
    flows::a_flow_is_stored_whole_and_taken_once(&*store).await;
    flows::flows_are_limited_and_the_oldest_go(&*store).await;
    flows::a_ticket_continues_the_flow_of_its_browser_once(&*store).await;
    flows::a_ticket_needs_a_flow_and_a_session_that_live(&*store).await;
    flows::of_many_who_present_a_ticket_at_once_one_continues(&store).await;
    flows::a_flood_of_flows_stays_within_the_limit(&store, &open().await).await;
    accounts::an_account_belongs_to_one_user(&*store).await;
    accounts::a_revoked_session_links_no_account(&*store).await;
    accounts::a_user_is_created_with_its_account_or_not_at_all(&store).await;
    sign_ins::purging_deletes_idle_sessions_after_a_while(&*store).await;
    flows::purging_deletes_expired_flows(&*store).await;
    who_polls_misses_no_revocation_of_many_writers(&store, &open().await).await;
    purging_forgets_only_what_has_expired(&*store).await;
    one_of_many_registrations_wins(&store).await;
    one_of_many_updates_wins(&store).await;
    store.ping().await.unwrap();
    another_process_sees_everything(&*store, &*open().await).await;
    after_it_was_put_back_nothing_counts_that_was_there(&*store).await;
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Failed(_))));
    assert!(matches!(store.purge_expired(0).await, Err(StoreError::Failed(_))));
    everything_is_there_after_a_restart(&*open().await).await;
}

/// A user of this username that has never been stored.
pub(crate) fn user(realm: &str, username: &str) -> User {
    let mut data = Map::new();
    data.insert("username".into(), username.into());
    User {
        username: Some(username.into()),
        password: PasswordHash("$argon2id$…".into()),
        data,
        ..User::new(realm, 1_609_066_725_000)
    }
}

/// A session of this user that has never been stored.
pub(crate) fn session(realm: &str, user_id: &str) -> Session {
    Session {
        realm: realm.into(),
        user_id: user_id.into(),
        token: TokenId::random(),
        created_at: 1_609_066_725,
        expires_at: EXPIRY,
        refresh: None,
        epoch: None,
    }
}

async fn stored(store: &dyn Store, realm: &str, username: &str) -> User {
    let user = user(realm, username);
    store.create_user(&user).await.unwrap();
    user
}

async fn logged_in(store: &dyn Store, user: &User) -> Session {
    let session = session(&user.realm, &user.id);
    store.create_session(&session, user.version).await.unwrap();
    session
}

fn tokens(revoked: &[Revocation]) -> Vec<TokenId> {
    let mut tokens: Vec<_> = revoked.iter().map(|revocation| revocation.token).collect();
    tokens.sort_unstable();
    tokens
}

/// The revocations of tokens after this sequence.
async fn ids_after(store: &dyn Store, after: i64, now: i64) -> Vec<Revocation> {
    let all = store.revocations_after(after, now, u32::MAX).await.unwrap();
    let ids = all.into_iter().filter_map(|revoked| match revoked {
        RevocationEntry::Id(revocation) => Some(revocation),
        RevocationEntry::Account(_) => None,
    });
    ids.collect()
}

fn sorted<const N: usize>(sessions: [&Session; N]) -> Vec<TokenId> {
    let mut tokens = sessions.map(|session| session.token).to_vec();
    tokens.sort_unstable();
    tokens
}

fn username(written: &str) -> LoginName {
    LoginName::username(written).unwrap()
}

async fn users_are_stored_whole(store: &dyn Store) {
    let mut written = user("whole", "Zoë 李雷 🦀'\";--");
    written.email = Some("Zoe@Example.com".into());
    written.roles = vec!["admin".into(), "a\"b".into()];
    (written.disabled, written.temporary, written.vouched, written.email_verified) = (true, true, true, true);
    written.second_factor = Some(SecondFactor { secret: vec![0, 255, 3], used: -1, recovery: vec![[7; 32], [8; 32]] });
    written.updated_at += 1;
    written.data.insert("z".into(), json!({"b": [1, null, 1.5, "\u{0}\u{10ffff}"], "a": {}}));
    written.data.insert("a".into(), json!(9_007_199_254_740_993_i64));
    store.create_user(&written).await.unwrap();
    assert_eq!(store.user("whole", &written.id).await.unwrap(), Some(written.clone()));
    let by_name = store.user_by_name("whole", &username("ZOË 李雷 🦀'\";--")).await.unwrap().unwrap();
    assert_eq!(by_name, written);
    assert_eq!(by_name.data.keys().collect::<Vec<_>>(), ["username", "z", "a"], "members keep their order");
    let email = LoginName::email("zoe@example.com").unwrap();
    assert_eq!(store.user_by_name("whole", &email).await.unwrap(), Some(written.clone()));
    assert_eq!(store.user_by_name("other", &email).await.unwrap(), None, "realms are apart");
    assert_eq!(store.user("other", &written.id).await.unwrap(), None);
    assert_eq!(
        store.user_by_name("whole", &username("zoe@example.com")).await.unwrap(),
        None,
        "an email is no username"
    );
    for id in ["", "\u{0}", "a\u{0}b"] {
        assert_eq!(store.user("whole", id).await.unwrap(), None);
    }
}

async fn names_are_unique_in_every_spelling(store: &dyn Store) {
    let mut first = user("unique", "Müller");
    first.email = Some("m@example.com".into());
    store.create_user(&first).await.unwrap();
    for spelling in ["Müller", "MÜLLER", "mu\u{308}ller", "ｍüller"] {
        let again = store.create_user(&user("unique", spelling)).await;
        assert!(matches!(again, Err(StoreError::NameTaken)), "{spelling}");
    }
    let same_email = User { email: Some("M@EXAMPLE.com".into()), ..user("unique", "other") };
    assert!(matches!(store.create_user(&same_email).await, Err(StoreError::NameTaken)));
    let only_email = User { username: None, ..same_email };
    assert!(matches!(store.create_user(&only_email).await, Err(StoreError::NameTaken)));
    assert!(matches!(store.create_user(&first).await, Err(StoreError::NameTaken)), "the id too");
    // Users without an email do not collide on having none, nor do realms.
    store.create_user(&user("unique", "muller")).await.unwrap();
    store.create_user(&user("unique-too", "Müller")).await.unwrap();
    assert_eq!(store.users("unique", None, 10).await.unwrap().len(), 2, "a refused one leaves nothing");
}

async fn r60_who_chooses_a_name_gets_none_that_looks_like_another(store: &dyn Store) {
    let mut alice = user("looks", "Alice");
    alice.email = Some("ceo@corp.example".into());
    store.create_user(&alice).await.unwrap();
    for look_alike in ["\u{430}lice", "aIice", "a1ice", "ceo@corp.exarnple"] {
        let refused = store.register(&user("looks", look_alike)).await;
        assert!(matches!(refused, Err(StoreError::NameTaken)), "{look_alike}");
    }
    let only_email = |written: &str| User { username: None, email: Some(written.into()), ..user("looks", "x") };
    store.register(&only_email("ce0@corp.example")).await.unwrap();
    let bob = user("looks", "bob");
    store.register(&bob).await.unwrap();
    let session = logged_in(store, &bob).await;
    let renamed = User { username: Some("A1ice".into()), ..bob.clone() };
    let refused = store.update_user(&renamed, SessionsToEnd::Nothing, Some(session.token)).await;
    assert!(matches!(refused, Err(StoreError::NameTaken)));
    // Another spelling of one's own name is not another user's name.
    let own = User { username: Some("BOB".into()), ..bob };
    let (own, _) = store.update_user(&own, SessionsToEnd::Nothing, Some(session.token)).await.unwrap();
    let (own, _) = store
        .update_user(&User { username: Some("robert".into()), ..own }, SessionsToEnd::Nothing, None)
        .await
        .unwrap();
    // The operator can use both names. The skeleton of a name is deleted with the name, and with its user.
    store.create_user(&user("looks", "a1ice")).await.unwrap();
    store.register(&user("looks", "B0b")).await.unwrap();
    assert!(matches!(store.register(&user("looks", "r0bert")).await, Err(StoreError::NameTaken)));
    store.delete_user("looks", &own.id, None).await.unwrap().unwrap();
    store.register(&user("looks", "r0bert")).await.unwrap();
    store.register(&user("looks-too", "a1ice")).await.unwrap();
}

async fn r61_names_that_were_given_up_are_counted_while_a_session_lives(store: &dyn Store) {
    let mut alice = user("held", "alice");
    store.create_user(&alice).await.unwrap();
    let mut sessions = Vec::new();
    for (count, name) in (0..).zip(["alice 1", "alice 2", "alice 3"]) {
        sessions.push(logged_in(store, &alice).await);
        sessions.push(logged_in(store, &alice).await);
        assert_eq!(store.names_held("held", &alice.id).await.unwrap(), count);
        let renamed = User { username: Some(name.into()), ..alice };
        alice = store.update_user(&renamed, SessionsToEnd::Nothing, None).await.unwrap().0;
    }
    assert_eq!(store.names_held("held", &alice.id).await.unwrap(), 3);
    for session in &sessions[..2] {
        store.revoke(session.token, TokenExpiry::At(EXPIRY)).await.unwrap();
    }
    assert_eq!(store.names_held("held", &alice.id).await.unwrap(), 2);
    assert_eq!(store.names_held("held-too", &alice.id).await.unwrap(), 0);
}

async fn nameless_users_are_refused(store: &dyn Store) {
    let good = user("nameless", "a");
    for bad in [
        User { username: None, ..good.clone() },
        User { username: Some(String::new()), ..good.clone() },
        User { username: Some("a\u{200b}".into()), ..good.clone() },
        User { email: Some("a@b@c".into()), ..good.clone() },
    ] {
        assert!(matches!(store.create_user(&bad).await, Err(StoreError::MissingName)));
    }
    store.create_user(&good).await.unwrap();
    let nameless = User { username: None, ..good };
    assert!(matches!(store.update_user(&nameless, SessionsToEnd::Nothing, None).await, Err(StoreError::MissingName)));
}

async fn many_users_are_added_together_or_not_at_all(store: &dyn Store) {
    let mut many: Vec<_> = (0..50).map(|n| user("many", &format!("user{n}"))).collect();
    many.push(user("many", "USER7"));
    assert!(matches!(store.create_users(&many).await, Err(StoreError::NameTaken)));
    assert_eq!(store.users("many", None, 1).await.unwrap(), []);
    many.pop();
    store.create_users(&many).await.unwrap();
    assert_eq!(store.users("many", None, 100).await.unwrap().len(), 50);
    store.create_users(&[]).await.unwrap();
}

async fn updates_need_the_version_that_was_read(store: &dyn Store) {
    let read = stored(store, "update", "alice").await;
    stored(store, "update", "bob").await;
    let mut change = read.clone();
    change.username = Some("Alice Liddell".into());
    change.email = Some("alice@example.com".into());
    change.password = PasswordHash("other".into());
    change.data.insert("n".into(), json!(1));
    change.roles = vec!["reader".into()];
    change.updated_at += 5;
    change.created_at = 0;
    (change.temporary, change.vouched, change.email_verified) = (true, true, true);
    change.second_factor = Some(SecondFactor { secret: vec![1; 20], used: 5, recovery: Vec::new() });
    let (now, revoked) = store.update_user(&change, SessionsToEnd::Nothing, None).await.unwrap();
    assert_eq!(revoked, []);
    assert!(now.version > read.version);
    assert_eq!(now, User { version: now.version, created_at: read.created_at, ..change.clone() });
    assert_eq!(store.user("update", &read.id).await.unwrap(), Some(now.clone()));
    // The old name is free, the new one is not, and a user's own name is no conflict.
    store.create_user(&user("update", "Alice")).await.unwrap();
    assert!(matches!(store.create_user(&user("update", "ALICE LIDDELL")).await, Err(StoreError::NameTaken)));
    let without = User { temporary: false, vouched: false, email_verified: false, second_factor: None, ..now };
    let (now, _) = store.update_user(&without, SessionsToEnd::Nothing, None).await.unwrap();
    assert_eq!(now, User { version: now.version, ..without });

    assert!(matches!(store.update_user(&read, SessionsToEnd::All, None).await, Err(StoreError::VersionConflict)));
    let taken = User { username: Some("BOB".into()), ..now.clone() };
    assert!(matches!(store.update_user(&taken, SessionsToEnd::All, None).await, Err(StoreError::NameTaken)));
    let elsewhere = User { realm: "update-too".into(), ..now.clone() };
    assert!(matches!(store.update_user(&elsewhere, SessionsToEnd::All, None).await, Err(StoreError::VersionConflict)));
    assert_eq!(store.user("update", &read.id).await.unwrap(), Some(now.clone()));

    let (deleted, revoked) = store.delete_user("update", &read.id, None).await.unwrap().unwrap();
    assert_eq!((deleted, revoked), (now.clone(), Vec::new()));
    assert!(matches!(store.update_user(&now, SessionsToEnd::Nothing, None).await, Err(StoreError::VersionConflict)));
    assert_eq!(store.delete_user("update", &read.id, None).await.unwrap(), None);
    assert_eq!(store.user("update", &read.id).await.unwrap(), None);
}

async fn listing_pages_through_one_realm(store: &dyn Store) {
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(stored(store, "list", &format!("user{n}")).await.id);
    }
    ids.sort();
    stored(store, "list-too", "user").await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.users("list", after.as_deref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.into_iter().map(|user| user.id));
    }
    assert_eq!(seen, ids);
}

async fn a_name_in_a_living_token_is_taken(store: &dyn Store) {
    let mut alice = user("renamed", "alice");
    alice.email = Some("alice@example.com".into());
    store.create_user(&alice).await.unwrap();
    let session = logged_in(store, &alice).await;
    let renamed = User { username: Some("lewis".into()), email: None, ..alice };
    let (renamed, _) = store.update_user(&renamed, SessionsToEnd::Nothing, Some(session.token)).await.unwrap();
    let bob = stored(store, "renamed", "bob").await;
    for impostor in
        [user("renamed", "ALICE"), User { email: Some("Alice@example.com".into()), ..user("renamed", "carol") }]
    {
        assert!(matches!(store.create_user(&impostor).await, Err(StoreError::NameTaken)));
    }
    let impostor = User { username: Some("alice".into()), ..bob.clone() };
    assert!(matches!(store.update_user(&impostor, SessionsToEnd::Nothing, None).await, Err(StoreError::NameTaken)));
    // The same user can have the name back. When the session is gone, the name is free.
    let back = User { username: Some("Alice".into()), ..renamed };
    let (back, _) = store.update_user(&back, SessionsToEnd::Nothing, None).await.unwrap();
    let away = User { username: Some("lewis".into()), ..back };
    store.update_user(&away, SessionsToEnd::Nothing, None).await.unwrap();
    store.revoke(session.token, TokenExpiry::At(session.expires_at)).await.unwrap();
    store.update_user(&impostor, SessionsToEnd::Nothing, None).await.unwrap();
}

async fn an_id_is_nobody_elses_name(store: &dyn Store) {
    let (alice, bob) = (stored(store, "ids", "alice").await, stored(store, "ids", "bob").await);
    let impostor = user("ids", &alice.id.to_ascii_uppercase());
    assert!(matches!(store.create_user(&impostor).await, Err(StoreError::NameTaken)));
    let impostor = User { username: Some(alice.id.clone()), ..bob };
    assert!(matches!(store.update_user(&impostor, SessionsToEnd::Nothing, None).await, Err(StoreError::NameTaken)));
    let own = User { username: Some(alice.id.clone()), ..alice.clone() };
    store.update_user(&own, SessionsToEnd::Nothing, None).await.unwrap();
    stored(store, "other-ids", &alice.id).await;
}

async fn one_of_many_registrations_wins(store: &Arc<dyn Store>) {
    let spellings = ["alice", "Alice", "ALICE", "ａｌｉｃｅ"];
    let registrations: Vec<_> = (0..100)
        .map(|n| {
            let (store, user) = (Arc::clone(store), user("race", spellings[n % spellings.len()]));
            tokio::spawn(async move { (store.create_user(&user).await, user) })
        })
        .collect();
    let mut winner = None;
    for registration in registrations {
        match registration.await.unwrap() {
            (Ok(()), user) => assert_eq!(winner.replace(user), None, "two won"),
            (Err(StoreError::NameTaken), _) => {}
            (Err(error), _) => panic!("{error}"),
        }
    }
    assert_eq!(store.users("race", None, 10).await.unwrap(), [winner.unwrap()]);
}

async fn one_of_many_updates_wins(store: &Arc<dyn Store>) {
    let user = stored(&**store, "update-race", "alice").await;
    let updates: Vec<_> = (0..50)
        .map(|n| {
            let (store, mut user) = (Arc::clone(store), user.clone());
            user.data.insert("n".into(), n.into());
            tokio::spawn(async move { store.update_user(&user, SessionsToEnd::All, None).await })
        })
        .collect();
    let mut winner = None;
    for update in updates {
        match update.await.unwrap() {
            Ok((user, _)) => assert_eq!(winner.replace(user), None, "two won"),
            Err(StoreError::VersionConflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(store.user("update-race", &user.id).await.unwrap(), winner);
}

async fn another_process_sees_everything(one: &dyn Store, other: &dyn Store) {
    let user = stored(one, "two", "alice").await;
    let session = logged_in(one, &user).await;
    assert_eq!(other.user("two", &user.id).await.unwrap(), Some(user.clone()));
    let (_, revoked) =
        other.update_user(&User { disabled: true, ..user.clone() }, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(tokens(&revoked), sorted([&session]));
    let cut_off = other.revoke_subject(AccountId::new("two", "alice"), 77, EXPIRY).await.unwrap();
    let seen = one.revocations_after(cut_off.sequence - 1, 0, 10).await.unwrap();
    assert_eq!(seen, [RevocationEntry::Account(cut_off)]);
    let seen = ids_after(one, revoked[0].sequence - 1, 0).await;
    assert_eq!(seen, revoked);
    let bob = stored(one, "two", "bob").await;
    let once = OneTimeId { id: TokenId(77), expires_at: EXPIRY };
    assert!(one.create_session_once(once, &self::session("two", &bob.id), bob.version).await.unwrap());
    assert!(!other.create_session_once(once, &self::session("two", &bob.id), bob.version).await.unwrap());
    assert!(one.user("two", &user.id).await.unwrap().unwrap().disabled);
    guesses::another_process_counts_on(one, other, &bob.id).await;
}

async fn everything_is_there_after_a_restart(store: &dyn Store) {
    let user = store.user_by_name("two", &username("ALICE")).await.unwrap().unwrap();
    assert_eq!((user.disabled, user.data.get("username")), (true, Some(&Value::from("alice"))));
    assert_eq!(ids_after(store, 0, 0).await.len(), 2, "one after the purge, one from the other process");
    let all = store.revocations_after(0, 0, 10).await.unwrap();
    let account = AccountId::new("two", "alice");
    let kept = |revoked: &RevocationEntry| matches!(revoked, RevocationEntry::Account(cut) if (cut.account, cut.until) == (account, 77));
    assert!(all.iter().any(kept), "{all:?}");
    let bob = store.user_by_name("two", &username("bob")).await.unwrap().unwrap();
    assert_eq!(store.guesses("two", &bob.id, NetworkId([7; 16])).await.unwrap().passwords, 2);
    let once = OneTimeId { id: TokenId(77), expires_at: EXPIRY };
    assert!(!store.create_session_once(once, &session("two", &bob.id), bob.version).await.unwrap());
    let next = store.revoke(TokenId::random(), TokenExpiry::At(EXPIRY)).await.unwrap();
    assert!(ids_after(store, 0, 0).await.iter().all(|before| before.sequence <= next.sequence));
}

const EXPIRY: i64 = 1_900_000_000;
