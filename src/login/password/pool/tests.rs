use std::time::{Duration, Instant};

use super::*;
use crate::login::password::needs_rehash;

fn password(text: &str) -> Password {
    Password::new(text.into())
}

const HERE: Share<'_> = Share { realm: "a", client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

#[tokio::test]
async fn r31_nobody_has_a_password_and_costs_as_much_as_somebody() {
    let pool = HashPool::new(1, 8).unwrap();
    assert!(!needs_rehash(&pool.unknown_user), "the same parameters");
    assert_eq!(pool.verify(HERE, &password(""), None).await, Ok(false), "not even the one that its hash is of");
    let stored = pool.hash(HERE, &password("secret")).await.unwrap();
    assert_eq!(pool.verify(HERE, &password("secret"), Some(&stored)).await, Ok(true));
    assert_eq!(pool.verify(HERE, &password("wrong"), Some(&stored)).await, Ok(false));
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..10 {
        for (time, stored) in fastest.iter_mut().zip([Some(&stored), None]) {
            let start = Instant::now();
            pool.verify(HERE, &password("wrong"), stored).await.unwrap();
            *time = start.elapsed().min(*time);
        }
    }
    let [somebody, nobody] = fastest;
    // Other tests run beside this one: it distinguishes work from no work, and tests/ compare the times of a whole
    // login.
    assert!(nobody > somebody / 10, "{nobody:?} for nobody, {somebody:?} for somebody");
}

#[tokio::test]
async fn r42_a_full_queue_is_told_at_once() {
    let pool = HashPool::new(1, 1).unwrap();
    let (open, closed) = std::sync::mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    let mut blocked = Box::pin(pool.run(HERE, move || {
        let _ = started.send(());
        let _ = closed.recv();
    }));
    tokio::select! {
        _ = &mut blocked => panic!("it waits"),
        _ = running => {}
    }
    let a = password("a");
    let queued = pool.verify(HERE, &a, None);
    tokio::pin!(queued);
    tokio::select! {
        biased;
        _ = &mut queued => panic!("it is behind the other"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(pool.verify(HERE, &password("a"), None).await, Err(HashUnavailable));
    assert_eq!(pool.hash(HERE, &password("a")).await, Err(HashUnavailable));
    drop(open);
    blocked.await.unwrap();
    assert_eq!(queued.await, Ok(false));
    assert_eq!(pool.verify(HERE, &password("a"), None).await, Ok(false), "room again");
}

#[tokio::test]
async fn r64_a_flood_of_one_network_turns_no_other_away() {
    let pool = Arc::new(HashPool::new(1, 4).unwrap());
    let (open, closed) = std::sync::mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    let ask = |last: u8, work: Box<dyn FnOnce() + Send>| {
        let pool = Arc::clone(&pool);
        let client = std::net::Ipv4Addr::new(192, 0, 2, last).into();
        tokio::spawn(async move { pool.run(Share { client, ..HERE }, work).await })
    };
    let blocked = ask(
        1,
        Box::new(move || {
            let _ = started.send(());
            let _ = closed.recv();
        }),
    );
    running.await.unwrap();
    let flood: Vec<_> = (0..20).map(|_| ask(1, Box::new(|| ()))).collect();
    while pool.load().rejected() < 16 {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (2..5).map(|last| ask(last, Box::new(|| ()))).collect();
    while pool.load().rejected() < 19 {
        tokio::task::yield_now().await;
    }
    drop(open);
    blocked.await.unwrap().unwrap();
    for other in others {
        assert_eq!(other.await.unwrap(), Ok(()));
    }
    let mut hashed = 0;
    for login in flood {
        hashed += usize::from(login.await.unwrap().is_ok());
    }
    assert_eq!((hashed, pool.load().waiting()), (1, 0));
}

#[tokio::test]
async fn a_panic_costs_one_answer_and_no_thread() {
    let pool = HashPool::new(1, 4).unwrap();
    for _ in 0..3 {
        assert_eq!(pool.run(HERE, || panic!("on purpose")).await, Err::<(), _>(HashUnavailable));
    }
    assert_eq!(pool.run(HERE, || 7).await, Ok(7));
}
