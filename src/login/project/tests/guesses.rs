//! Wrong guesses at passwords: how many, and from where.

use super::*;
use crate::store::{Guess, NetworkId};

const HOME: &str = "192.0.2.1";
const AWAY: &str = "198.51.100.1";
const HOUR_MS: i64 = 3_600_000;

impl Gate {
    async fn try_at(
        &self,
        client: &'static str,
        username: &str,
        password: &str,
        now_ms: i64,
    ) -> Result<(), DenyReason> {
        let request = post("login=true&noATCookie=true", &credentials(username, password));
        self.call(Call { client, now_ms, ..request }).await.map(drop).map_err(|refusal| refusal.deny)
    }

    /// This many consecutive wrong guesses, at any process.
    async fn guessed(&self, username: &str, client: &str, times: u32) {
        let (user, network) = (self.stored(username).await, NetworkId::from_address(client.parse().unwrap()));
        for _ in 0..times {
            self.services.store.count_guess(&user.realm, &user.id, network, Guess::Password, 1).await.unwrap();
        }
    }
}

#[tokio::test]
async fn r65_after_a_hundred_wrong_guesses_the_right_one_is_wrong_too() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    gate.guessed("alice", AWAY, 98).await;
    assert_eq!(gate.try_at(AWAY, "alice", "wrong", NOW_MS).await, Err(DenyReason::Credentials));
    assert_eq!(gate.try_at(AWAY, "ALICE", PASSWORD, NOW_MS).await, Ok(()), "the hundredth would have been too many");
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Ok(()));

    gate.guessed("alice", "203.0.113.1", 99).await;
    assert_eq!(gate.try_at("203.0.113.2", "alice", "wrong", NOW_MS).await, Err(DenyReason::Credentials));
    let nobody = gate.try_at("203.0.113.3", "nobody", PASSWORD, NOW_MS).await;
    for (hours, client) in [(0, "203.0.113.4"), (1, "203.0.113.5"), (10_000, "203.0.113.6")] {
        let told = gate.try_at(client, "alice", PASSWORD, NOW_MS + hours * HOUR_MS).await;
        assert_eq!((told, told), (nobody, Err(DenyReason::Credentials)), "{hours}");
    }
    // At the user's usual network others can't lock the user out, and the lock elsewhere stays.
    let later = NOW_MS + 20_000 * HOUR_MS;
    for client in [HOME, AWAY] {
        assert_eq!(gate.try_at(client, "alice", PASSWORD, later).await, Ok(()), "{client}");
    }
    assert_eq!(gate.try_at("203.0.113.7", "alice", PASSWORD, later).await, Err(DenyReason::Credentials));
    // The operator ends it, and the wait in memory as well.
    for _ in 0..10 {
        let _ = gate.try_at("203.0.113.8", "alice", "wrong", later).await;
    }
    let user = gate.stored("alice").await;
    gate.services.store.reset_guesses(&user.realm, &user.id, later + 1).await.unwrap();
    assert_eq!(gate.try_at("203.0.113.7", "alice", PASSWORD, later + 2).await, Ok(()));
}

#[tokio::test]
async fn r65_a_known_network_has_a_hundred_guesses_of_its_own() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Ok(()));
    gate.guessed("alice", HOME, 100).await;
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Err(DenyReason::Credentials));
    assert_eq!(gate.try_at(AWAY, "alice", PASSWORD, NOW_MS).await, Ok(()), "but no other network waits for it");
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Err(DenyReason::Credentials));
}

#[tokio::test]
async fn r63_guesses_from_elsewhere_make_no_one_wait_at_home() {
    let gate = Gate::open().await;
    for name in ["alice", "bob"] {
        gate.register(name, PASSWORD).await;
    }
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Ok(()));
    for _ in 0..5 {
        assert_eq!(gate.try_at(AWAY, "alice", "wrong", NOW_MS).await, Err(DenyReason::Credentials));
        assert_eq!(gate.try_at(AWAY, "nobody", "wrong", NOW_MS).await, Err(DenyReason::Credentials));
    }
    assert_eq!(gate.try_at(AWAY, "alice", PASSWORD, NOW_MS).await, Err(DenyReason::Throttled(1)));
    // At a known network only the correct password of its own user makes a difference: a client does not learn which
    // users exist or log in there.
    for name in ["alice", "nobody"] {
        assert_eq!(gate.try_at(HOME, name, "wrong", NOW_MS).await, Err(DenyReason::Throttled(1)), "{name}");
    }
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Ok(()));
    // Guesses there count there.
    for _ in 0..5 {
        assert_eq!(gate.try_at(HOME, "alice", "wrong", NOW_MS).await, Err(DenyReason::Credentials));
    }
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Err(DenyReason::Throttled(1)));
    assert_eq!(
        gate.try_at(AWAY, "alice", PASSWORD, NOW_MS).await,
        Err(DenyReason::Throttled(1)),
        "which is not known yet"
    );
    assert_eq!(gate.try_at(AWAY, "bob", PASSWORD, NOW_MS).await, Ok(()));
}

#[tokio::test]
async fn r63_one_client_behind_an_address_does_not_lock_out_the_others() {
    let gate = Gate::open().await;
    for name in ["alice", "bob"] {
        gate.register(name, PASSWORD).await;
    }
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Ok(()));
    for number in 0..50 {
        let told = gate.try_at(HOME, &format!("guess{number}"), "wrong", NOW_MS).await;
        assert_eq!(told, Err(DenyReason::Credentials), "{number}");
    }
    for name in ["alice", "bob", "nobody"] {
        assert_eq!(gate.try_at(HOME, name, "wrong", NOW_MS).await, Err(DenyReason::Throttled(1)), "{name}");
    }
    assert_eq!(
        gate.try_at(HOME, "bob", PASSWORD, NOW_MS).await,
        Err(DenyReason::Throttled(1)),
        "it never signed in there"
    );
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS).await, Ok(()));
}

#[tokio::test]
async fn a_good_login_from_a_known_network_writes_nothing_about_guesses() {
    let gate = Gate::open().await;
    gate.register("alice", PASSWORD).await;
    let user = gate.stored("alice").await;
    let network = NetworkId::from_address(HOME.parse().unwrap());
    for (hours, used) in [(0, 0), (1, 0), (23, 0), (25, 25)] {
        assert_eq!(gate.try_at(HOME, "alice", PASSWORD, NOW_MS + hours * HOUR_MS).await, Ok(()));
        let guesses = gate.services.store.guesses(&user.realm, &user.id, network).await.unwrap();
        assert_eq!((guesses.known, guesses.used_at), (true, NOW_MS + used * HOUR_MS), "{hours}");
    }
    // A reset takes effect at once.
    let later = NOW_MS + 26 * HOUR_MS;
    assert_eq!(gate.try_at(HOME, "alice", "wrong", later).await, Err(DenyReason::Credentials));
    assert_eq!(gate.services.store.guesses(&user.realm, &user.id, network).await.unwrap().passwords, 1);
    assert_eq!(gate.try_at(HOME, "alice", PASSWORD, later).await, Ok(()));
    assert_eq!(gate.services.store.guesses(&user.realm, &user.id, network).await.unwrap().passwords, 0);
}
