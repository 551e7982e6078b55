//! Wrong guesses, and the networks from which accounts have signed in.

use std::sync::Arc;

use super::{stored, username};
use crate::store::{Guess, Guesses, LoginName, NetworkId, Store};

fn network(number: u8) -> NetworkId {
    NetworkId::from_address([192, 0, 2, number].into())
}

async fn at(store: &dyn Store, id: &str, number: u8) -> (bool, u32, u32) {
    let Guesses { known, passwords, codes, .. } = store.guesses("guessed", id, network(number)).await.unwrap();
    (known, passwords, codes)
}

pub(super) async fn wrong_guesses_are_counted(store: &Arc<dyn Store>) {
    wrong_guesses_count_apart_at_networks_that_are_known(&**store).await;
    no_guess_of_many_at_once_is_lost(store).await;
    ten_networks_are_known_of_an_account(&**store).await;
    guesses_at_a_user_who_is_gone_are_forgotten(&**store).await;
    guesses_at_names_of_a_user_pool_are_purged(&**store).await;
}

pub(super) async fn another_process_counts_on(one: &dyn Store, other: &dyn Store, id: &str) {
    let network = NetworkId([7; 16]);
    assert_eq!(one.count_guess("two", id, network, Guess::Password, 1).await.unwrap(), 1);
    assert_eq!(other.count_guess("two", id, network, Guess::Password, 1).await.unwrap(), 2);
    assert_eq!(one.guesses("two", id, network).await.unwrap().passwords, 2);
}

async fn wrong_guesses_count_apart_at_networks_that_are_known(store: &dyn Store) {
    let alice = stored(store, "guessed", "alice").await;
    let (id, home, away) = (&*alice.id, network(1), network(2));
    assert_eq!(store.guesses("guessed", id, home).await.unwrap(), Guesses::default());
    assert!(!store.is_known(home).await.unwrap());
    for count in 1..4 {
        let counted = store.count_guess("guessed", id, network(count), Guess::Password, 1).await.unwrap();
        assert_eq!(counted, u32::from(count));
    }
    assert_eq!(store.count_guess("guessed", id, away, Guess::Code, 1).await.unwrap(), 1);
    assert_eq!((at(store, id, 1).await, at(store, id, 9).await), ((false, 3, 1), (false, 3, 1)));

    // A success from a network without its own count resets the common count.
    store.signed_in("guessed", id, home, 5000).await.unwrap();
    let guesses = store.guesses("guessed", id, home).await.unwrap();
    assert_eq!(guesses, Guesses { known: true, used_at: 5000, ..Guesses::default() });
    assert_eq!(at(store, id, 2).await, (false, 0, 0));
    assert!(store.is_known(home).await.unwrap() && !store.is_known(away).await.unwrap());

    // From now on they are apart, and a success forgets those of its network only.
    for count in 1..=2 {
        assert_eq!(store.count_guess("guessed", id, away, Guess::Password, 1).await.unwrap(), count);
    }
    assert_eq!(store.count_guess("guessed", id, home, Guess::Password, 1).await.unwrap(), 1);
    assert_eq!(store.count_guess("guessed", id, home, Guess::Code, 1).await.unwrap(), 1);
    assert_eq!((at(store, id, 1).await, at(store, id, 2).await), ((true, 1, 1), (false, 2, 0)));
    store.signed_in("guessed", id, home, 6000).await.unwrap();
    assert_eq!((at(store, id, 1).await, at(store, id, 2).await), ((true, 0, 0), (false, 2, 0)));

    assert_eq!(store.guessed_at("guessed", 3).await.unwrap(), [""; 0]);
    assert_eq!(store.guessed_at("guessed", 2).await.unwrap(), [id]);
    assert_eq!(store.guessed_at("elsewhere", 2).await.unwrap(), [""; 0]);

    // The operator forgets all of them, and no network.
    store.count_guess("guessed", id, home, Guess::Password, 1).await.unwrap();
    store.reset_guesses("guessed", id, 7000).await.unwrap();
    let guesses = store.guesses("guessed", id, home).await.unwrap();
    assert_eq!(guesses, Guesses { known: true, used_at: 6000, reset_at: 7000, ..Guesses::default() });
    assert_eq!(at(store, id, 2).await, (false, 0, 0));
    assert_eq!(store.count_guess("guessed", id, away, Guess::Password, 1).await.unwrap(), 1);
    assert_eq!(store.guesses("guessed", id, away).await.unwrap().reset_at, 7000);

    // Another account, another realm, and no one.
    let bob = stored(store, "guessed", "bob").await;
    assert_eq!(at(store, &bob.id, 1).await, (false, 0, 0));
    assert_eq!(store.guesses("elsewhere", id, home).await.unwrap(), Guesses::default());
    for count in 1..=2 {
        assert_eq!(store.count_guess("guessed", "-7f", home, Guess::Password, 1).await.unwrap(), count);
    }
    assert_eq!(at(store, "-7f", 1).await, (false, 2, 0));
    assert_eq!(store.guessed_at("guessed", 2).await.unwrap(), [""; 0], "who is no user is not listed");
    store.signed_in("guessed", "-7f", away, 1).await.unwrap();
    assert_eq!(at(store, "-7f", 2).await, (false, 0, 0), "no one signs in");
}

/// Accounts of a user pool, which have no rows of users in the store.
async fn guesses_at_names_of_a_user_pool_are_purged(store: &dyn Store) {
    let (day, now) = (24 * 3600_i64, 1_800_000_000_i64);
    let id = |name: &str| username(name).pool_account();
    assert_ne!(id("alice"), LoginName::email("alice@example.com").unwrap().pool_account());
    let (alice, bob) = (id("alice"), id("bob"));
    for (count, id) in [(1, &alice), (2, &alice), (1, &bob)] {
        assert_eq!(store.count_guess("guessed", id, network(1), Guess::Password, now * 1000).await.unwrap(), count);
    }
    assert_eq!(store.guesses("guessed", &alice, network(1)).await.unwrap().reset_at, 0, "the time is the guess's");
    store.signed_in("guessed", &alice, network(1), now * 1000).await.unwrap();
    assert_eq!(at(store, &alice, 1).await, (true, 0, 0));
    for _ in 0..100 {
        store.count_guess("guessed", &alice, network(2), Guess::Password, now * 1000).await.unwrap();
    }
    store.purge_expired(now + 89 * day).await.unwrap();
    assert_eq!(at(store, &bob, 1).await, (false, 1, 0));
    store.purge_expired(now + 91 * day).await.unwrap();
    assert_eq!((at(store, &bob, 1).await, at(store, &alice, 1).await), ((false, 0, 0), (true, 0, 0)));
    store.purge_expired(now + 401 * day).await.unwrap();
    assert_eq!(at(store, &alice, 1).await, (false, 100, 0), "locked still");
    store.reset_guesses("guessed", &alice, now * 1000 + 1).await.unwrap();
    let reset = store.guesses("guessed", &alice, network(1)).await.unwrap();
    assert_eq!((reset.passwords, reset.reset_at), (0, now * 1000 + 1));
}

async fn no_guess_of_many_at_once_is_lost(store: &Arc<dyn Store>) {
    let carol = stored(&**store, "guessed", "carol").await;
    store.signed_in("guessed", &carol.id, network(1), 1).await.unwrap();
    let guesses: Vec<_> = (0..40)
        .map(|number| {
            let (store, id) = (Arc::clone(store), carol.id.clone());
            tokio::spawn(
                async move { store.count_guess("guessed", &id, network(number % 2), Guess::Password, 1).await },
            )
        })
        .collect();
    let mut counts = Vec::new();
    for guess in guesses {
        counts.push(guess.await.unwrap().unwrap());
    }
    counts.sort_unstable();
    let each: Vec<_> = (1..=20).flat_map(|count| [count, count]).collect();
    assert_eq!(counts, each, "every number once at each of the two");
}

async fn ten_networks_are_known_of_an_account(store: &dyn Store) {
    let dave = stored(store, "guessed", "dave").await;
    for number in 1..=10 {
        store.signed_in("guessed", &dave.id, network(number), number.into()).await.unwrap();
    }
    store.count_guess("guessed", &dave.id, network(2), Guess::Password, 1).await.unwrap();
    store.count_guess("guessed", &dave.id, network(99), Guess::Password, 1).await.unwrap();
    // The first is used again, so that the second is the oldest.
    store.signed_in("guessed", &dave.id, network(1), 11).await.unwrap();
    assert_eq!((at(store, &dave.id, 2).await, at(store, &dave.id, 99).await), ((true, 1, 0), (false, 1, 0)));
    store.signed_in("guessed", &dave.id, network(11), 12).await.unwrap();
    for number in 1..=11 {
        assert_eq!(at(store, &dave.id, number).await, (number != 2, 0, 0), "{number}");
    }
}

async fn guesses_at_a_user_who_is_gone_are_forgotten(store: &dyn Store) {
    let erin = stored(store, "guessed", "erin").await;
    store.signed_in("guessed", &erin.id, network(200), 1).await.unwrap();
    store.count_guess("guessed", &erin.id, network(201), Guess::Password, 1).await.unwrap();
    assert!(store.is_known(network(200)).await.unwrap());
    store.delete_user("guessed", &erin.id, None).await.unwrap().unwrap();
    assert!(!store.is_known(network(200)).await.unwrap());
    assert_eq!(at(store, &erin.id, 201).await, (false, 0, 0));
    // A guess that was in progress while the user was deleted leaves no row.
    store.signed_in("guessed", &erin.id, network(200), 1).await.unwrap();
    store.reset_guesses("guessed", &erin.id, 1).await.unwrap();
    assert!(!store.is_known(network(200)).await.unwrap());
    assert!(store.user_by_name("guessed", &username("erin")).await.unwrap().is_none());
}
