use super::table::Failures;
use super::*;

const NOW: i64 = 1_800_000_000_000;
const ALICE: ThrottleKey<'_> = ThrottleKey::User("realm", "alice");

fn fail_times(throttle: &Throttle, subject: ThrottleKey<'_>, times: usize, now: i64) {
    for _ in 0..times {
        assert_eq!(throttle.record_failure(&[subject], now), Ok(()));
    }
}

/// After so many failures, each in its time.
fn failed(throttle: &Throttle, subject: ThrottleKey<'_>, count: u32, last: i64) {
    throttle.table(&subject).lock().insert(subject.key(), Failures { count, last, shared: 0 });
}

fn address(text: &str) -> ThrottleKey<'static> {
    ThrottleKey::Address("realm", text.parse().unwrap())
}

fn at_home() -> ThrottleKey<'static> {
    ThrottleKey::UserAt("realm", "alice", "192.0.2.1".parse().unwrap())
}

#[test]
fn five_failures_are_free_and_then_the_wait_doubles() {
    let throttle = Throttle::new();
    for _ in 0..5 {
        assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
        assert_eq!(throttle.record_failure(&[ALICE], NOW), Ok(()));
    }
    let mut now = NOW;
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
        assert_eq!(throttle.check(&[ALICE], now), Err(RetryAfter(seconds)));
        now += i64::from(seconds) * SECOND;
        assert_eq!(throttle.check(&[ALICE], now - SECOND), Err(RetryAfter(1)));
        assert_eq!(throttle.check(&[ALICE], now - 1), Err(RetryAfter(1)));
        assert_eq!(throttle.record_failure(&[ALICE], now), Ok(()), "its time has come");
    }
    for _ in 0..100 {
        assert_eq!(throttle.record_failure(&[ALICE], now), Err(RetryAfter(900)));
    }
    assert_eq!(throttle.check(&[ALICE], now + 899 * SECOND), Err(RetryAfter(1)));
    assert_eq!(throttle.check(&[ALICE], now + 900 * SECOND), Ok(()));
    assert_eq!(throttle.record_failure(&[ALICE], now + 900 * SECOND), Ok(()));
    assert_eq!(throttle.check(&[ALICE], now + 900 * SECOND), Ok(()), "forgotten after quiet minutes");
}

#[test]
fn guesses_at_codes_are_remembered_for_a_day() {
    let (throttle, code) = (Throttle::new(), ThrottleKey::Code("realm", "alice"));
    let mut now = NOW;
    for _ in 0..40 {
        while let Err(RetryAfter(seconds)) = throttle.check(&[code], now) {
            now += i64::from(seconds) * SECOND;
        }
        assert_eq!(throttle.record_failure(&[code], now), Ok(()));
    }
    assert_eq!(throttle.check(&[code], now), Err(RetryAfter(3600)));
    assert!(now - NOW > 23 * 3600 * SECOND, "40 guesses take about a day");
    assert_eq!(throttle.check(&[ALICE], now), Ok(()), "the password is another matter");
    assert_eq!(throttle.record_success(&[code], &[], now + 3600 * SECOND), Ok(()));
    assert_eq!(throttle.check(&[code], now + 3600 * SECOND), Ok(()));
}

#[test]
fn attempts_that_wait_do_not_prolong_it() {
    let throttle = Throttle::new();
    failed(&throttle, ALICE, 8, NOW);
    for now in (NOW..NOW + 8 * SECOND).step_by(100) {
        assert!(throttle.check(&[ALICE], now).is_err());
    }
    assert_eq!(throttle.check(&[ALICE], NOW + 8 * SECOND), Ok(()));
}

#[test]
fn r32_parallel_guesses_learn_no_more_than_guesses_in_a_row() {
    let throttle = Throttle::new();
    for _ in 0..100 {
        assert_eq!(throttle.check(&[ALICE], NOW), Ok(()), "all of them are on their way before the first fails");
    }
    let told = (0..99).filter(|_| throttle.record_failure(&[ALICE], NOW).is_ok()).count();
    assert_eq!(told, 5);
    assert_eq!(
        throttle.record_success(&[ALICE], &[], NOW),
        Err(RetryAfter(1)),
        "the right guess among them is not told"
    );
    assert_eq!(throttle.check(&[ALICE], NOW), Err(RetryAfter(1)), "and opens nothing");
    assert_eq!(throttle.record_success(&[ALICE], &[], NOW + SECOND), Ok(()), "but locks nobody out for longer");

    // The same for one guess at each of many accounts.
    let (client, ids) = (address("192.0.2.1"), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    let told =
        ids.iter().filter(|id| throttle.record_failure(&[ThrottleKey::User("realm", id), client], NOW).is_ok()).count();
    assert_eq!(told, 50);
    assert_eq!(throttle.record_success(&[ThrottleKey::User("realm", "bob"), client], &[], NOW), Err(RetryAfter(1)));
}

#[test]
fn a_success_forgets_the_account_and_not_the_address() {
    let (throttle, client) = (Throttle::new(), address("192.0.2.1"));
    for _ in 0..10 {
        for _ in 0..4 {
            assert_eq!(throttle.record_failure(&[ALICE, client], NOW), Ok(()));
        }
        assert_eq!(throttle.record_success(&[ALICE, client], &[], NOW), Ok(()));
    }
    fail_times(&throttle, client, 9, NOW);
    assert_eq!(throttle.check(&[client], NOW), Ok(()));
    fail_times(&throttle, client, 1, NOW);
    assert_eq!(throttle.check(&[client], NOW), Err(RetryAfter(1)));
    assert_eq!(throttle.check(&[ALICE, client], NOW), Err(RetryAfter(1)));
    assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
}

#[test]
fn r63_at_an_address_of_its_own_a_user_waits_for_its_own_failures_only() {
    let (throttle, home, at) = (Throttle::new(), address("192.0.2.1"), [at_home()]);
    failed(&throttle, ALICE, 60, NOW);
    failed(&throttle, home, 60, NOW);
    assert_eq!(
        throttle.record_success(&[ALICE, home], &at, NOW),
        Err(RetryAfter(900)),
        "elsewhere, and at a new address"
    );
    for _ in 0..4 {
        assert_eq!(throttle.fail_at(&at, false, NOW), Ok(()));
    }
    assert_eq!(throttle.record_success_at(&[ALICE, home], &at, NOW), Ok(()));
    assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
    assert_eq!(throttle.check(&[home], NOW), Err(RetryAfter(900)), "what others at the address did stays");
    for _ in 0..5 {
        assert_eq!(throttle.fail_at(&at, false, NOW), Ok(()));
    }
    assert_eq!(throttle.fail_at(&at, false, NOW), Err(RetryAfter(1)));
    assert_eq!(throttle.record_success_at(&[ALICE, home], &at, NOW), Err(RetryAfter(1)), "but its own count there too");
    assert_eq!(throttle.check(&[ThrottleKey::UserAt("realm", "alice", "192.0.2.2".parse().unwrap())], NOW), Ok(()));
}

#[test]
fn who_mistypes_and_then_signs_in_makes_no_one_else_wait() {
    let (throttle, office, at) = (Throttle::new(), address("192.0.2.1"), [at_home()]);
    for known in [false, true].into_iter().cycle().take(100) {
        for _ in 0..3 {
            let told = throttle.record_failure(&[ALICE, office], NOW).is_ok();
            assert_eq!((told, throttle.fail_at(&at, told, NOW)), (true, Ok(())));
        }
        let succeed = if known { Throttle::record_success_at } else { Throttle::record_success };
        assert_eq!(succeed(&throttle, &[ALICE, office], &at, NOW), Ok(()));
    }
    assert!(throttle.addresses.lock().is_empty() && throttle.users.lock().is_empty());
    // A failure that was not counted for the address is not taken back from it.
    failed(&throttle, office, 53, NOW);
    for _ in 0..4 {
        assert_eq!(throttle.fail_at(&at, throttle.record_failure(&[office], NOW).is_ok(), NOW), Ok(()));
    }
    assert_eq!(throttle.record_success_at(&[ALICE, office], &at, NOW), Ok(()));
    assert_eq!(throttle.addresses.lock()[&office.key()].count, 53);
}

#[test]
fn what_the_operator_reset_is_forgotten_and_what_came_later_is_not() {
    let throttle = Throttle::new();
    failed(&throttle, ALICE, 20, NOW);
    throttle.forget_until(&[ALICE], NOW - 1);
    assert_eq!(throttle.check(&[ALICE], NOW), Err(RetryAfter(900)));
    throttle.forget_until(&[ALICE], NOW);
    assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
}

#[test]
fn subjects_are_apart_and_spellings_are_not() {
    let name = |written: &str| LoginName::username(written).unwrap();
    let (alice, same, email) = (name("alice"), name("ＡLICE"), LoginName::email("alice@a").unwrap());
    let written = name("alice@a");
    let subjects = [
        ALICE,
        ThrottleKey::User("realma", "lice"),
        ThrottleKey::Name("realm", &alice),
        ThrottleKey::Name("realm2", &alice),
        ThrottleKey::Name("realm", &email),
        ThrottleKey::Name("realm", &written),
        ThrottleKey::Stranger("realm", "realm", &alice),
        ThrottleKey::Stranger("realm", "realm2", &alice),
        at_home(),
        ThrottleKey::CodeAt("realm", "alice", "192.0.2.1".parse().unwrap()),
        ThrottleKey::UserAt("realm", "alice", "192.0.2.2".parse().unwrap()),
        address("192.0.2.1"),
        ThrottleKey::Address("realm2", "192.0.2.1".parse().unwrap()),
        address("192.0.2.2"),
        address("2001:db8::1"),
        address("2001:db8:0:1::1"),
    ];
    for subject in subjects {
        let throttle = Throttle::new();
        failed(&throttle, subject, 60, NOW);
        for other in subjects {
            let same = format!("{other:?}") == format!("{subject:?}");
            assert_eq!(throttle.check(&[other], NOW).is_err(), same, "{subject:?} and {other:?}");
        }
    }
    for (one, other) in [
        (ThrottleKey::Name("realm", &alice), ThrottleKey::Name("realm", &same)),
        (address("2001:db8::1"), address("2001:db8::ffff:1:2:3")),
        (address("192.0.2.1"), address("::ffff:192.0.2.1")),
    ] {
        assert_eq!(one.key(), other.key());
    }
}

#[test]
fn memory_is_bounded_and_the_oldest_go_first() {
    let throttle = Throttle::with_capacity(100);
    let ids: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    for (at, id) in ids.iter().enumerate() {
        let now = NOW + i64::try_from(at).unwrap() * SECOND / 10;
        fail_times(&throttle, ThrottleKey::User("realm", id), 5, now);
        assert!(throttle.users.lock().len() <= 100);
        assert!(throttle.check(&[ThrottleKey::User("realm", id)], now).is_err());
    }
    let now = NOW + 99 * SECOND;
    assert!(throttle.check(&[ThrottleKey::User("realm", &ids[950])], now).is_ok(), "its second is over");
    fail_times(&throttle, ThrottleKey::User("realm", &ids[950]), 1, now);
    assert_eq!(
        throttle.check(&[ThrottleKey::User("realm", &ids[950])], now),
        Err(RetryAfter(2)),
        "but it was remembered"
    );
    // Names that an attacker makes up do not push out a user's failures.
    for id in &ids {
        let name = LoginName::username(id).unwrap();
        fail_times(&throttle, ThrottleKey::Name("realm", &name), 5, now);
    }
    assert_eq!(throttle.check(&[ThrottleKey::User("realm", &ids[950])], now), Err(RetryAfter(2)));
    // Quiet ones make room at once.
    fail_times(&throttle, ALICE, 5, now + 10_000 * SECOND);
    assert!(throttle.names.lock().len() <= 100);
}

#[test]
fn a_clock_that_is_set_back_neither_opens_nor_closes_for_good() {
    let throttle = Throttle::new();
    failed(&throttle, ALICE, 7, NOW);
    assert_eq!(throttle.check(&[ALICE], NOW - 86_400 * SECOND), Err(RetryAfter(4)));
    assert_eq!(throttle.check(&[ALICE], NOW - (86_400 - 4) * SECOND), Ok(()));
    assert_eq!(throttle.check(&[ALICE], i64::MAX), Ok(()));
    fail_times(&throttle, ALICE, 1, i64::MIN);
    assert_eq!(throttle.check(&[ALICE], i64::MIN), Ok(()));
}
