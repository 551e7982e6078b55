//! Tests of revocations, and that none is missed.

use super::super::*;
use super::{EXPIRY, ids_after, logged_in, session, sorted, stored, tokens};
use crate::token::{AccountId, TokenId};

pub(super) async fn ended_sessions_are_revoked(store: &dyn Store) {
    let alice = stored(store, "end", "alice").await;
    let bob = stored(store, "end", "bob").await;
    let (one, two, three) =
        (logged_in(store, &alice).await, logged_in(store, &alice).await, logged_in(store, &alice).await);
    let foreign = logged_in(store, &bob).await;
    store.revoke(three.token, TokenExpiry::At(three.expires_at)).await.unwrap();

    let (alice, revoked) = store.update_user(&alice, SessionsToEnd::AllBut(one.token), Some(one.token)).await.unwrap();
    assert_eq!(tokens(&revoked), sorted([&two]), "the other one that still lived");
    assert_eq!(revoked[0].expires_at, EXPIRY);
    let (alice, revoked) = store.update_user(&alice, SessionsToEnd::Nothing, Some(one.token)).await.unwrap();
    assert_eq!(revoked, []);
    let four = logged_in(store, &alice).await;
    let (alice, revoked) = store.update_user(&alice, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(tokens(&revoked), sorted([&one, &four]));
    assert!(revoked.is_sorted_by_key(|revocation| revocation.sequence));

    let five = logged_in(store, &alice).await;
    let (_, revoked) = store.delete_user("end", &alice.id, Some(five.token)).await.unwrap().unwrap();
    assert_eq!(tokens(&revoked), sorted([&five]));
    let all = ids_after(store, 0, 0).await;
    for session in [&one, &two, &three, &four, &five] {
        assert!(all.iter().any(|revocation| revocation.token == session.token), "{session:?}");
    }
    assert!(all.iter().all(|revocation| revocation.token != foreign.token), "another user's is left alone");
    let (_, revoked) = store.update_user(&bob, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(tokens(&revoked), sorted([&foreign]));
}

pub(super) async fn a_revoked_token_changes_nothing(store: &dyn Store) {
    let user = stored(store, "revoked", "alice").await;
    let (stolen, own) = (logged_in(store, &user).await, logged_in(store, &user).await);
    let (user, _) = store.update_user(&user, SessionsToEnd::AllBut(own.token), Some(own.token)).await.unwrap();
    let change = User { password: PasswordHash("stolen".into()), ..user.clone() };
    let refused = store.update_user(&change, SessionsToEnd::AllBut(stolen.token), Some(stolen.token)).await;
    assert!(matches!(refused, Err(StoreError::Revoked)));
    assert!(matches!(store.delete_user("revoked", &user.id, Some(stolen.token)).await, Err(StoreError::Revoked)));
    assert_eq!(store.user("revoked", &user.id).await.unwrap(), Some(user.clone()));
    store.update_user(&user, SessionsToEnd::Nothing, Some(own.token)).await.unwrap();
}

pub(super) async fn revocations_come_in_order_and_once(store: &dyn Store) {
    let last = last_sequence(store).await;
    let (one, two) = (session("revoke", "nobody"), session("revoke", "nobody"));
    let first = store.revoke(one.token, TokenExpiry::At(one.expires_at)).await.unwrap();
    let second = store.revoke(two.token, TokenExpiry::At(two.expires_at)).await.unwrap();
    assert_eq!((first.token, first.expires_at), (one.token, one.expires_at));
    assert!(last < first.sequence && first.sequence < second.sequence);
    for sooner in [EXPIRY, EXPIRY - 1] {
        assert_eq!(store.revoke(one.token, TokenExpiry::At(sooner)).await.unwrap(), first, "left as it is");
    }
    assert_eq!(ids_after(store, last, 0).await, [first, second]);
    assert_eq!(ids_after(store, first.sequence, 0).await, [second]);
    assert_eq!(ids_after(store, second.sequence, 0).await, []);
    assert_eq!(ids_after(store, last, EXPIRY).await, [first, second], "in their last second");
    assert_eq!(ids_after(store, last, EXPIRY + 1).await, [], "of no use any more");

    let short = store.revoke(TokenId::random(), TokenExpiry::At(EXPIRY - 2)).await.unwrap();
    assert_eq!(store.revoke(short.token, TokenExpiry::AtMost(EXPIRY)).await.unwrap(), short, "known better");
    let longer = store.revoke(short.token, TokenExpiry::At(EXPIRY - 1)).await.unwrap();
    assert_eq!((longer.token, longer.expires_at), (short.token, EXPIRY - 1));
    assert_eq!(ids_after(store, second.sequence, 0).await, [longer], "who has seen the first sees this");
}

pub(super) async fn a_revocation_is_kept_as_long_as_its_session_would_have_lived(store: &dyn Store) {
    let alice = stored(store, "kept", "alice").await;
    let session = logged_in(store, &alice).await;
    let revocation = store.revoke(session.token, TokenExpiry::At(EXPIRY + 1000)).await.unwrap();
    assert_eq!((revocation.token, revocation.expires_at), (session.token, EXPIRY));
    let (_, revoked) = store.update_user(&alice, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(revoked, [], "it has ended");
}

pub(super) async fn cut_offs_move_on_and_never_back(store: &dyn Store) {
    let (one, two) = (AccountId::new("issuer", "one"), AccountId::new("issuer", "two"));
    let last = last_sequence(store).await;
    let first = store.revoke_subject(one, 1000, EXPIRY).await.unwrap();
    assert_eq!((first.account, first.until, first.expires_at), (one, 1000, EXPIRY));
    let other = store.revoke_subject(two, 5000, EXPIRY).await.unwrap();
    let token = store.revoke(TokenId::random(), TokenExpiry::At(EXPIRY)).await.unwrap();
    assert!(last < first.sequence && first.sequence < other.sequence && other.sequence < token.sequence);
    let after = |sequence| store.revocations_after(sequence, 0, 10);
    let all = [RevocationEntry::Account(first), RevocationEntry::Account(other), RevocationEntry::Id(token)];
    assert_eq!(after(last).await.unwrap(), all, "one order for both kinds");

    let later = store.revoke_subject(one, 2000, EXPIRY - 10).await.unwrap();
    assert_eq!((later.until, later.expires_at), (2000, EXPIRY), "each the later of both");
    assert_eq!(
        after(token.sequence).await.unwrap(),
        [RevocationEntry::Account(later)],
        "who has seen the first sees this"
    );
    let earlier = store.revoke_subject(one, 1500, EXPIRY + 10).await.unwrap();
    assert_eq!((earlier.until, earlier.expires_at), (2000, EXPIRY + 10));
    let before_all = store.revoke_subject(AccountId::new("issuer", "three"), -5, EXPIRY).await.unwrap();
    assert_eq!(before_all.until, -5);
    assert_eq!(
        after(last).await.unwrap(),
        [all[1], all[2], RevocationEntry::Account(earlier), RevocationEntry::Account(before_all)],
        "one an account"
    );
}

pub(super) async fn revocations_of_both_kinds_come_in_pages(store: &dyn Store) {
    let last = last_sequence(store).await;
    let mut written = Vec::new();
    for n in 0..7 {
        // Some that are of no use any more are no reason for a short page.
        store.revoke(TokenId::random(), TokenExpiry::At(10)).await.unwrap();
        written.push(if n % 2 == 0 {
            RevocationEntry::Id(store.revoke(TokenId::random(), TokenExpiry::At(EXPIRY)).await.unwrap())
        } else {
            RevocationEntry::Account(
                store.revoke_subject(AccountId::new("pages", &n.to_string()), n, EXPIRY).await.unwrap(),
            )
        });
    }
    let (mut read, mut sequence) = (Vec::new(), last);
    for expected in [3, 3, 1, 0] {
        let page = store.revocations_after(sequence, 11, 3).await.unwrap();
        assert_eq!(page.len(), expected);
        sequence = page.last().map_or(sequence, RevocationEntry::sequence);
        read.extend(page);
    }
    assert_eq!(read, written);
}

/// Runs writers of every kind of revocation in two processes, and a reader that polls meanwhile.
pub(super) async fn who_polls_misses_no_revocation_of_many_writers(one: &Arc<dyn Store>, two: &Arc<dyn Store>) {
    let mut last = last_sequence(&**one).await;
    let writers = (0..8_i64).map(|writer| {
        let store = if writer % 2 == 0 { one.clone() } else { two.clone() };
        tokio::spawn(async move {
            let mut written = Vec::new();
            let mut user = stored(&*store, "polled", &format!("user{writer}")).await;
            for n in 0..12 {
                logged_in(&*store, &user).await;
                let (updated, ended) = store.update_user(&user, SessionsToEnd::All, None).await.unwrap();
                user = updated;
                written.extend(ended.into_iter().map(|revocation| revocation.sequence));
                written.push(store.revoke(TokenId::random(), TokenExpiry::At(EXPIRY)).await.unwrap().sequence);
                let account = AccountId::new("polled", &format!("{writer} {n}"));
                written.push(store.revoke_subject(account, n, EXPIRY).await.unwrap().sequence);
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut seen = Vec::new();
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let page = two.revocations_after(last, 0, 5).await.unwrap();
        last = page.last().map_or(last, RevocationEntry::sequence);
        let empty = page.is_empty();
        seen.extend(page.iter().map(RevocationEntry::sequence));
        if done && empty {
            break;
        }
    }
    assert!(seen.is_sorted());
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    written.sort_unstable();
    assert_eq!((written.len(), seen), (8 * 12 * 3, written));
}

pub(super) async fn last_sequence(store: &dyn Store) -> i64 {
    store.revocations_after(0, 0, u32::MAX).await.unwrap().last().map_or(0, RevocationEntry::sequence)
}

pub(super) async fn purging_forgets_only_what_has_expired(store: &dyn Store) {
    let alice = stored(store, "purge", "alice").await;
    let short = Session { expires_at: 1000, ..session("purge", &alice.id) };
    let (gone, long) = (Session { token: TokenId::random(), ..short.clone() }, session("purge", &alice.id));
    for session in [&short, &gone, &long] {
        store.create_session(session, alice.version).await.unwrap();
    }
    let revoked = store.revoke(gone.token, TokenExpiry::At(gone.expires_at)).await.unwrap();
    store.purge_expired(1000).await.unwrap();
    assert!(ids_after(store, 0, 0).await.contains(&revoked), "in its last second");
    let short_cut = store.revoke_subject(AccountId::new("purge", "alice"), 10, 1000).await.unwrap();
    let last = last_sequence(store).await;
    assert_eq!(last, short_cut.sequence);
    assert_eq!(store.purge_expired(1001).await.unwrap(), 3);
    assert_eq!(store.purge_expired(1001).await.unwrap(), 0);
    assert!(!ids_after(store, 0, 0).await.contains(&revoked));
    let (_, revoked) = store.update_user(&alice, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(tokens(&revoked), sorted([&long]));
    // The highest sequence is not used again after its row is deleted.
    store.purge_expired(EXPIRY + 1).await.unwrap();
    assert_eq!(ids_after(store, 0, 0).await, []);
    store.purge_expired(EXPIRY + 11).await.unwrap();
    assert_eq!(store.revocations_after(0, 0, 1).await.unwrap(), []);
    assert!(store.revoke(TokenId::random(), TokenExpiry::At(EXPIRY)).await.unwrap().sequence > last);
}
