//! The suite of hostile input in `tests/hostile/`, which can be held against any proxy: here against the built gate, with nginx,
//! Apache and HAProxy as second opinions. What it asks, and how it judges, stands in docs/security-tests.md.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

use crate::harness::*;

/// Checks that do not apply to the naive proxy: it has no HTTP/2 and no redirects.
const NOT_SHOWN_TO_FAIL: [u8; 4] = [18, 34, 57, 58];

/// Runs the suite with these arguments.
fn suite(args: &[&str]) -> Ran {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = ["tests", "benches/service"].map(|path| root.join(path).to_str().unwrap().to_owned());
    let script = "import runpy, sys\n\
                  sys.dont_write_bytecode = True\n\
                  sys.path[:0] = sys.argv[1:3]\n\
                  del sys.argv[1:3]\n\
                  runpy.run_module('hostile', run_name='__main__')\n";
    let [tests, service] = paths;
    python(script, &[&[tests.as_str(), service.as_str()], args].concat())
}

/// Runs the checks whose names match this pattern against Tollgate.
#[track_caller]
fn passes(part: &str, pattern: &str) {
    let gate = env!("CARGO_BIN_EXE_tollgate");
    let ran = suite(&["--quiet", "--tollgate", gate, "--part", part, "--only", pattern]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let sum = ran.stdout.lines().last().unwrap_or_default();
    assert!(sum.contains(" 0 fail"), "{sum}");
    // All checks apply to Tollgate, except those of an auth service, which it does not have.
    assert!(sum.contains(" 0 not applicable") || sum.contains(" 1 not applicable"), "{sum}");
}

#[test]
fn r01_to_r12_headers_and_paths() {
    passes("checks", "r0[1-9]_|r1[0-2]_");
}

#[test]
fn r13_to_r30_framing_and_tokens() {
    passes("checks", "r1[3-9]_|r2[0-9]_|r30_");
}

#[test]
fn r31_to_r42_logins() {
    passes("checks", "r3[1-9]_|r4[0-2]_|r07_");
}

#[test]
fn r43_to_r50_configurations_and_other_sites() {
    passes("checks", "r4[3-9]_|r50_");
}

#[test]
fn r55_to_r57_headers_of_cgi_and_answers_of_apps() {
    passes("checks", "r5[5-7]_");
}

#[test]
fn r54_r59_r68_forwarded_hosts_readings_and_names_of_the_admin_listener() {
    passes("checks", "r54_|r59_|r68_");
}

#[test]
fn r51_to_r53_cookies_and_authorization() {
    passes("checks", "r5[123]_");
}

#[test]
fn r60_r61_r66_names_and_passwords() {
    passes("checks", "r60_|r61_|r66_");
}

#[test]
fn r62_to_r65_stolen_keys_and_guessing() {
    passes("checks", "r6[2-5]_");
}

#[test]
fn r58_memory_over_http_2() {
    passes("checks", "r58_");
}

#[test]
fn mutations_of_http_1() {
    passes("framing", "mutations_of_(transfer|content|chunks|request|targets|hosts|fields$|pipelines|upgrades)|early");
}

#[test]
fn mutations_of_http_2() {
    passes("framing", "mutations_of_(pseudo|paths|fields_of|bodies|frames)|over_tls");
}

#[test]
fn floods() {
    passes("framing", "floods");
}

#[test]
fn a_naive_proxy_fails_mutations() {
    let ran =
        suite(&["--quiet", "--naive", "--alone", "--part", "framing", "--only", "mutations_of_(hosts|pipelines)"]);
    assert!(ran.stdout.contains(": 0 pass, 2 fail, 0 not applicable"), "{}\n{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("the check runs to its end"), "{}", ran.stdout);
}

#[test]
fn a_naive_proxy_fails_r01_to_r19() {
    naive_fails("r(0[1-6]|0[89]|1[0-9])_", &[1..=6, 8..=19]);
}

#[test]
fn a_naive_proxy_fails_r07_and_r20_and_up() {
    naive_fails("r(07|[2-9][0-9])_", &[7..=7, 20..=50]);
}

/// A check that can't fail shows nothing: a proxy that has the faults of the field fails each number that it can be asked about,
/// `numbers` among them.
#[track_caller]
fn naive_fails(pattern: &str, numbers: &[RangeInclusive<u8>]) {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let ran = suite(&[
        "--quiet",
        "--naive",
        "--alone",
        "--part",
        "checks",
        "--only",
        pattern,
        "--json",
        report.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let (mut asked, mut failed) = (BTreeSet::new(), BTreeSet::new());
    for check in report[0]["results"].as_array().unwrap() {
        let faults = check["faults"].as_array().unwrap();
        // One that broke off, or asked nothing, has shown nothing.
        let nothing = ["the check runs to its end", "the check expects something"];
        let broke_off = faults.iter().any(|fault| nothing.iter().any(|expected| fault["expected"] == *expected));
        assert!(!broke_off, "{check:#}");
        let number = check["number"].as_str().unwrap().to_owned();
        if check["outcome"] == "fail" {
            failed.insert(number.clone());
        }
        if check["outcome"] != "not applicable" {
            asked.insert(number);
        }
    }
    let shown = |number: &u8| !NOT_SHOWN_TO_FAIL.contains(number);
    asked.retain(|number| shown(&number[1..].parse().unwrap()));
    asked.extend(numbers.iter().cloned().flatten().filter(shown).map(|number| format!("R{number}")));
    assert_eq!(failed, asked);
}
