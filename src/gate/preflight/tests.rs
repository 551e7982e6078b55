//! Preflights.

use crate::gate::fixture::*;
use crate::gate::*;

#[test]
fn r50_only_a_preflight_that_may_be_answered_is() {
    let bench = Bench::new();
    let listed = ("origin", "https://app.example");
    let asks = ("access-control-request-method", "PUT");
    let line = "OPTIONS /user";
    assert_eq!(bench.outcome(line, &[listed, asks]), Ok("preflight".into()), "without key and token");
    assert_eq!(bench.outcome("OPTIONS /auth", &[listed, asks]), Ok("preflight".into()));
    assert_eq!(bench.outcome(line, &[("origin", "https://evil.example"), asks]), Err(DenyReason::OriginDenied));
    assert_eq!(bench.outcome(line, &[listed]), Err(DenyReason::KeyMissing));
    assert_eq!(bench.outcome(line, &[asks]), Err(DenyReason::KeyMissing));
    assert_eq!(bench.outcome("GET /user", &[listed, asks]), Err(DenyReason::KeyMissing));
    assert_eq!(bench.outcome("OPTIONS /nowhere", &[listed, asks]), Err(DenyReason::NotFound));
    assert_eq!(bench.outcome("OPTIONS /read", &[listed, asks]), Err(DenyReason::NotFound), "it does not take PUT");
    let Decision::Grant(_) = bench.ask("OPTIONS /public", &[]) else { panic!("no preflight, so judged as any") };
}
