//! Tests of flows and tickets.

use std::sync::Arc;

use super::super::*;
use super::{AT, EXPIRY, epoch, logged_in, stored};
use crate::token::TokenId;

const MANY: FlowLimits = FlowLimits { per_cookie: 100, per_realm: 1000 };

fn hash() -> SecretHash {
    SecretHash::of(&TokenId::random().0.to_be_bytes())
}

fn flow(realm: &str) -> Flow {
    Flow {
        id: hash(),
        cookie: hash(),
        realm: realm.into(),
        host: "app.example".into(),
        target: "/path?a=%00&b=é".into(),
        created_at: AT * 1000,
        expires_at: AT + 900,
        tries: 0,
        parent: None,
        provider: None,
    }
}

async fn begun(store: &dyn Store, flow: Flow) -> Flow {
    store.begin_flow(&flow, MANY).await.unwrap();
    flow
}

/// The session of a person at the portal.
async fn portal(store: &dyn Store, realm: &str) -> TokenId {
    store.follow_epoch(&epoch(realm, 1, &["a"])).await.unwrap();
    let user = stored(store, realm, "alice").await;
    let session = TokenId::random();
    let sign_in = SignIn {
        session,
        family: session,
        realm: realm.into(),
        user_id: user.id.clone(),
        host: "login.example".into(),
        agent: String::new(),
        address: [192, 0, 2, 1].into(),
        created_at: AT,
        last_seen: AT,
        ends_at: AT + 3600,
        idle: 0,
        remember: false,
        amr: Vec::new(),
        auth_time: AT,
        provider: None,
    };
    let epoch = store.epoch(realm).await.unwrap().unwrap().id;
    store.open_sign_in(&NewSignIn { sign_in, epoch, limit: 9 }, user.version).await.unwrap();
    session
}

fn ticket(flow: &Flow, session: TokenId) -> NewTicket {
    NewTicket { ticket: hash(), flow: flow.id, session, now: AT, expires_at: AT + 60 }
}

fn presented<'a>(ticket: &NewTicket, flow: &'a Flow) -> TicketUse<'a> {
    TicketUse { ticket: ticket.ticket, cookie: flow.cookie, realm: &flow.realm, host: &flow.host, now: AT + 1 }
}

pub(super) async fn a_flow_is_stored_whole_and_taken_once(store: &dyn Store) {
    let plain = begun(store, flow("flow")).await;
    let request = ProviderRequest { provider: "company".into(), nonce: hash(), sealed_verifier: vec![0, 255, 7] };
    let full = Flow { tries: 2, parent: Some(plain.id), provider: Some(request), ..flow("flow") };
    let full = begun(store, full).await;
    for flow in [&plain, &full] {
        assert_eq!(store.flow(flow.id, AT + 899).await.unwrap().as_ref(), Some(flow));
        assert_eq!(store.flow(flow.id, AT + 900).await.unwrap(), None, "expired");
        assert_eq!(store.take_flow(flow.id, hash(), AT).await.unwrap(), None, "another browser's");
        assert_eq!(store.take_flow(flow.id, flow.cookie, AT + 900).await.unwrap(), None, "expired");
        assert_eq!(store.take_flow(flow.id, flow.cookie, AT + 899).await.unwrap().as_ref(), Some(flow));
        assert_eq!(store.take_flow(flow.id, flow.cookie, AT).await.unwrap(), None, "once");
        assert_eq!(store.flow(flow.id, AT).await.unwrap(), None);
    }
    let long = Flow { target: "/".repeat(MAX_TARGET + 1), ..flow("flow") };
    assert!(matches!(store.begin_flow(&long, MANY).await, Err(StoreError::Failed(_))));
    begun(store, Flow { target: "/".repeat(MAX_TARGET), ..long }).await;
}

pub(super) async fn flows_are_limited_and_the_oldest_go(store: &dyn Store) {
    let other = begun(store, flow("flow-limit-too")).await;
    let limits = FlowLimits { per_cookie: 3, per_realm: 5 };
    let at = |second: i64, cookie| Flow { created_at: AT * 1000 + second, cookie, ..flow("flow-limit") };
    let (one, two) = (hash(), hash());
    let mut flows = Vec::new();
    let alive = async |flows: &[Flow]| {
        let mut alive = Vec::new();
        for (number, flow) in flows.iter().enumerate() {
            if store.flow(flow.id, AT).await.unwrap().is_some() {
                alive.push(number);
            }
        }
        alive
    };
    for (second, cookie) in (0..).zip([one, one, one, one]) {
        flows.push(at(second, cookie));
        store.begin_flow(flows.last().unwrap(), limits).await.unwrap();
    }
    assert_eq!(alive(&flows).await, [1, 2, 3], "of the cookie");
    for (second, cookie) in (4..).zip([two, two, two]) {
        flows.push(at(second, cookie));
        store.begin_flow(flows.last().unwrap(), limits).await.unwrap();
    }
    assert_eq!(alive(&flows).await, [2, 3, 4, 5, 6], "of the realm");
    assert!(store.flow(other.id, AT).await.unwrap().is_some(), "realms are apart");
}

pub(super) async fn a_ticket_continues_the_flow_of_its_browser_once(store: &dyn Store) {
    let session = portal(store, "ticket").await;
    let flow_ = begun(store, flow("ticket")).await;
    let first = ticket(&flow_, session);
    assert!(store.issue_ticket(&first).await.unwrap());
    let good = presented(&first, &flow_);
    for (bad, why) in [
        (TicketUse { cookie: hash(), ..good }, "another browser"),
        (TicketUse { host: "other.example", ..good }, "another host"),
        (TicketUse { realm: "ticket-too", ..good }, "another realm"),
        (TicketUse { ticket: hash(), ..good }, "no ticket"),
        (TicketUse { now: AT + 60, ..good }, "too late"),
    ] {
        assert_eq!(store.redeem_ticket(&bad).await.unwrap(), None, "{why}");
    }
    assert_eq!(store.redeem_ticket(&good).await.unwrap(), Some((flow_.clone(), session)));
    assert_eq!(store.redeem_ticket(&good).await.unwrap(), None, "once");
    assert_eq!(store.flow(flow_.id, AT).await.unwrap(), None, "the flow is done");
    assert!(!store.issue_ticket(&ticket(&flow_, session)).await.unwrap());

    let again = begun(store, flow("ticket")).await;
    let (first, second) = (ticket(&again, session), ticket(&again, session));
    assert!(store.issue_ticket(&first).await.unwrap() && store.issue_ticket(&second).await.unwrap());
    assert_eq!(store.redeem_ticket(&presented(&first, &again)).await.unwrap(), None, "a later one took its place");
    assert!(store.redeem_ticket(&presented(&second, &again)).await.unwrap().is_some());
}

pub(super) async fn a_ticket_needs_a_flow_and_a_session_that_live(store: &dyn Store) {
    let (session, elsewhere) = (portal(store, "no-ticket").await, portal(store, "no-ticket-too").await);
    let flow_ = begun(store, flow("no-ticket")).await;
    let good = ticket(&flow_, session);
    let user = store.user_by_name("no-ticket", &LoginName::username("alice").unwrap()).await.unwrap().unwrap();
    let of_token = logged_in(store, &user).await.token;
    for (bad, why) in [
        (NewTicket { flow: hash(), ..good }, "no flow"),
        (NewTicket { session: TokenId::random(), ..good }, "no session"),
        (NewTicket { session: elsewhere, ..good }, "another realm"),
        (NewTicket { session: of_token, ..good }, "a session of a token"),
        (NewTicket { now: AT + 900, ..good }, "the flow has expired"),
    ] {
        assert!(!store.issue_ticket(&bad).await.unwrap(), "{why}");
    }
    assert!(store.issue_ticket(&good).await.unwrap());
    store.end_sign_ins(SignInsToEnd::Family(session)).await.unwrap();
    assert_eq!(store.redeem_ticket(&presented(&good, &flow_)).await.unwrap(), None, "signed out at the portal");
    assert!(store.flow(flow_.id, AT).await.unwrap().is_some(), "the person can sign in again");
    assert!(!store.issue_ticket(&good).await.unwrap());
}

pub(super) async fn of_many_who_present_a_ticket_at_once_one_continues(store: &Arc<dyn Store>) {
    let session = portal(&**store, "ticket-race").await;
    let flow_ = begun(&**store, flow("ticket-race")).await;
    let ticket = ticket(&flow_, session);
    assert!(store.issue_ticket(&ticket).await.unwrap());
    let attempts = (0..50).map(|_| {
        let (store, flow) = (store.clone(), flow_.clone());
        tokio::spawn(async move { store.redeem_ticket(&presented(&ticket, &flow)).await.unwrap().is_some() })
    });
    let mut redeemed = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        redeemed += usize::from(attempt.await.unwrap());
    }
    assert_eq!(redeemed, 1);
    let flow_ = begun(&**store, flow("ticket-race")).await;
    let attempts = (0..50).map(|_| {
        let (store, flow) = (store.clone(), flow_.clone());
        tokio::spawn(async move { store.take_flow(flow.id, flow.cookie, AT).await.unwrap().is_some() })
    });
    let mut taken = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        taken += usize::from(attempt.await.unwrap());
    }
    assert_eq!(taken, 1);
}

/// Browsers of two processes, which all begin at once at the limit.
pub(super) async fn a_flood_of_flows_stays_within_the_limit(one: &Arc<dyn Store>, two: &Arc<dyn Store>) {
    let limits = FlowLimits { per_cookie: 3, per_realm: 10 };
    let beginning = (0..100_i64).map(|n| {
        let store = if n % 2 == 0 { one.clone() } else { two.clone() };
        let flow = Flow { created_at: AT * 1000 + n, ..flow("flood") };
        tokio::spawn(async move {
            store.begin_flow(&flow, limits).await.unwrap();
            flow.id
        })
    });
    let mut ids = Vec::new();
    for begin in beginning.collect::<Vec<_>>() {
        ids.push(begin.await.unwrap());
    }
    // The next one deletes what concurrent ones left.
    let last = Flow { created_at: AT * 1000 + 100, ..flow("flood") };
    one.begin_flow(&last, limits).await.unwrap();
    let mut alive = 0;
    for id in ids {
        alive += usize::from(two.flow(id, AT).await.unwrap().is_some());
    }
    assert_eq!(alive, 9);
}

pub(super) async fn purging_deletes_expired_flows(store: &dyn Store) {
    let session = portal(store, "flow-purge").await;
    let flow_ = begun(store, flow("flow-purge")).await;
    let ticket = NewTicket { expires_at: EXPIRY, ..ticket(&flow_, session) };
    assert!(store.issue_ticket(&ticket).await.unwrap());
    store.purge_expired(AT + 900).await.unwrap();
    assert!(store.flow(flow_.id, AT).await.unwrap().is_some());
    store.purge_expired(AT + 901).await.unwrap();
    assert_eq!(store.flow(flow_.id, AT).await.unwrap(), None);
    assert_eq!(store.redeem_ticket(&presented(&ticket, &flow_)).await.unwrap(), None);
}
