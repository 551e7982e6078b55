use super::*;

const SET: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn remote() -> IssuerKeys {
    let remote = RemoteJwks {
        location: JwksLocation::Jwks("https://idp.example/jwks".into()),
        insecure_http: false,
        roots: None,
        refresh: Duration::from_secs(600),
        max_stale: Duration::from_secs(3600),
        timeout: Duration::from_secs(5),
    };
    IssuerKeys::new(KeySource::Remote(remote), vec![Algorithm::EdDSA])
}

#[test]
fn keys_count_until_they_are_stale_and_the_same_ones_are_the_same() {
    let keys = remote();
    assert!(keys.current_at(0).is_none());
    keys.install(SET, 1000).unwrap();
    let first = keys.current_at(1000).unwrap();
    keys.install(SET, 2000).unwrap();
    assert!(keys.still_has(&first, 2000), "nothing that was verified with them is verified again");
    assert!(keys.install(b"<html>", 3000).is_err());
    assert!(keys.still_has(&first, 5599));
    assert!(!keys.still_has(&first, 5600) && keys.current_at(5600).is_none(), "an hour without a good answer");
    let other = String::from_utf8(SET.to_vec()).unwrap().replace("\"a\"", "\"b\"");
    keys.install(other.as_bytes(), 6000).unwrap();
    assert!(!keys.still_has(&first, 6000));
    assert_eq!(keys.current_at(6000).unwrap().kids(), ["b"]);
}

#[test]
fn keys_are_inherited_with_their_age() {
    let old = remote();
    let with = |max_stale, algorithm| {
        let KeySource::Remote(remote) = old.source().clone() else { panic!() };
        let source = KeySource::Remote(RemoteJwks { max_stale: Duration::from_secs(max_stale), ..remote });
        let new = IssuerKeys::new(source, vec![algorithm]);
        new.copy_from(&old);
        new
    };
    assert!(with(3600, Algorithm::EdDSA).current_at(0).is_none(), "there are none");
    old.install(SET, 1000).unwrap();
    let longer = with(7200, Algorithm::EdDSA);
    assert_eq!(longer.current_at(8199).unwrap().kids(), ["a"]);
    assert!(
        longer.current_at(8200).is_none() && old.current_at(4600).is_none(),
        "they were fetched when they were fetched"
    );
    assert!(with(3600, Algorithm::RS256).current_at(1000).is_none(), "and are for what they are for");
}

#[tokio::test]
async fn r30_a_flood_of_unknown_kids_asks_once() {
    let keys = Arc::new(remote());
    assert!(keys.request_refresh(100));
    assert!(keys.request_refresh(100) && keys.request_refresh(101), "the one that is under way is worth waiting for");
    keys.refresh_requested().await;
    let waiting = tokio::spawn({
        let keys = keys.clone();
        async move { keys.fetch_ended().await }
    });
    keys.fetch_begins();
    keys.install(SET, 101).unwrap();
    keys.fetch_succeeded();
    waiting.await.unwrap();
    assert!(!keys.request_refresh(101) && !keys.request_refresh(129) && !keys.request_refresh(100));
    assert!(keys.request_refresh(99), "the clock was set back");
    keys.fetch_succeeded();
    assert!(!keys.request_refresh(100));
    assert!(keys.request_refresh(130));
    assert!(keys.fetch_failed("gone".into()));
    assert!(!keys.fetch_failed("gone".into()), "the same again");
    assert!(keys.fetch_failed("slow".into()) && keys.fetch_failed("gone".into()));
    assert_eq!(keys.last_fetch(), LastFetch { at: Some(101), error: Some("gone".into()) });
}

#[test]
fn nobody_fetches_a_file() {
    let keys = IssuerKeys::new(KeySource::File("jwks.json".into()), vec![Algorithm::EdDSA]);
    keys.install(SET, 5).unwrap();
    assert!(!keys.request_refresh(1000));
    assert!(keys.current_at(i64::MAX - 1).is_some());
}

#[test]
fn the_same_place_is_where_and_how_and_not_how_often() {
    let of = |change: fn(&mut RemoteJwks)| {
        let KeySource::Remote(mut remote) = remote().source else { panic!() };
        change(&mut remote);
        KeySource::Remote(remote)
    };
    let here = of(|_| ());
    assert!(here.is_same_place(&of(|remote| remote.refresh = Duration::ZERO)));
    for other in [
        of(|remote| remote.location = JwksLocation::Discovery("https://idp.example/jwks".into())),
        of(|remote| remote.insecure_http = true),
        of(|remote| remote.roots = Some(Vec::new())),
        KeySource::File("jwks.json".into()),
    ] {
        assert!(!here.is_same_place(&other) && !other.is_same_place(&here), "{other:?}");
    }
    let file = KeySource::File("jwks.json".into());
    assert!(!file.is_same_place(&file), "what is in it may be another thing by now");
    let (keys, eddsa) = (remote(), [Algorithm::EdDSA]);
    assert!(keys.matches(&here, &eddsa));
    assert!(!keys.matches(&here, &[]) && !keys.matches(&of(|remote| remote.refresh = Duration::ZERO), &eddsa));
}

#[test]
fn fetches_are_counted_and_an_error_is_forgotten_with_the_next_success() {
    let keys = remote();
    keys.fetch_failed("gone".into());
    keys.fetch_succeeded();
    keys.fetch_succeeded();
    assert_eq!(keys.fetches(), (2, 1));
    assert_eq!(keys.install(SET, 7), Ok(true));
    assert_eq!(keys.install(SET, 8), Ok(false), "the same again");
    assert_eq!(keys.last_fetch(), LastFetch { at: Some(8), error: None });
}

#[test]
fn whoever_finds_a_thousand_waiting_does_not_join_them() {
    let keys = Arc::new(remote());
    keys.fetch_begins();
    assert!(keys.request_refresh(0), "there is one to wait for");
    let mut ended: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(keys.fetch_ended())).collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(ended.iter_mut().all(|ended| ended.as_mut().poll(&mut context).is_pending()));
    assert!(Box::pin(keys.fetch_ended()).as_mut().poll(&mut context).is_ready());
    keys.fetch_succeeded();
    assert!(ended.iter_mut().all(|ended| ended.as_mut().poll(&mut context).is_ready()));
}

#[test]
fn a_fetcher_waits_until_it_is_asked() {
    let keys = remote();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut wanted = Box::pin(keys.refresh_requested());
    assert!(wanted.as_mut().poll(&mut context).is_pending());
    assert!(keys.request_refresh(100));
    assert!(wanted.as_mut().poll(&mut context).is_ready());
    assert!(Box::pin(keys.refresh_requested()).as_mut().poll(&mut context).is_pending(), "once for all who ask");
}

#[test]
fn keys_are_fetched_from_hosts_that_prove_who_they_are() {
    assert!(check_url("http://idp.example", false).unwrap_err().contains("insecure_http = true"), "what to do");
    assert_eq!(check_url("ftp://idp.example", true), Err("must be an https URL"));
    for (url, secure, insecure) in [
        ("https://idp.example/jwks", true, true),
        ("https://idp.example:8443", true, true),
        ("http://idp.example/jwks", false, true),
        ("ftp://idp.example/jwks", false, false),
        ("https://user@idp.example/jwks", false, false),
        ("https://idp.example/jwks#x", false, false),
        ("https:///jwks", false, false),
        ("https://:443/jwks", false, false),
        ("/jwks", false, false),
        ("idp.example", false, false),
        ("", false, false),
    ] {
        assert_eq!((check_url(url, false).is_ok(), check_url(url, true).is_ok()), (secure, insecure), "{url}");
    }
}
