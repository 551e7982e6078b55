//! The errors of `tollgate check` for a section that would trust too much, or nothing.

use super::*;

#[test]
fn sections_that_trust_too_much_or_nobody_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys.json");
    write_file(&keys, &serde_json::json!({"keys": [KEY_A.jwk()]}).to_string(), 0o644);
    let url = "https://issuer.example.com/jwks.json";
    let own = |iss: &str, more: &str| section_without_keys(iss, more);
    let by_url = |more: &str| own(ISS, &format!("jwks_url = \"{url}\"\n{more}"));
    let check = |tables: &str| {
        let file = dir.path().join("tollgate.toml");
        let text = Conf::with_upstream("[\"http://127.0.0.1:9\"]").add_realm_tables(tables).text(8080, 9080);
        write_file(&file, &text, 0o600);
        tollgate(&["check", "-c", file.to_str().unwrap()], "")
    };
    // What is refused below is refused for its one fault.
    check(&by_url("")).ok();
    check(&own(ISS, &format!("jwks_file = \"{}\"", keys.display()))).ok();
    check(&own(ISS, "discovery = true")).ok();
    check(&by_url("client_ids = [\"a\"]")).ok();
    check(&by_url("audience = [\"a\"]\nclient_ids = [\"b\"]")).ok();
    check(&by_url("token_size = \"64KiB\"")).ok();
    for (tables, word) in [
        (own(ISS, "jwks_url = \"http://issuer.example.com/jwks.json\""), "insecure_http"),
        (own("http://issuer.example.com/", "discovery = true"), "insecure_http"),
        (own(ISS, "jwks_url = \"ftp://issuer.example.com/jwks.json\""), "jwks_url"),
        (own(ISS, "jwks_url = \"jwks.json\""), "jwks_url"),
        (own(ISS, "jwks_url = \"https://user:secret-x@issuer.example.com/\""), "jwks_url"),
        (own(ISS, ""), "jwks_url"),
        (by_url("discovery = true"), "discovery"),
        (by_url(&format!("jwks_file = \"{}\"", keys.display())), "jwks_file"),
        (own(ISS, "jwks_file = \"nowhere.json\""), "nowhere.json"),
        (by_url("audience = []"), "audience"),
        (by_url("audience = [\"\"]"), "audience"),
        (by_url("client_ids = []"), "client_ids"),
        (by_url("token_size = \"65KiB\""), "token_size"),
        (by_url("token_size = 0"), "token_size"),
        (by_url("algorithms = []"), "algorithms"),
        (by_url("algorithms = [\"HS256\"]"), "HS256"),
        (by_url("algorithms = [\"RS256\", \"none\"]"), "none"),
        (by_url("algorithms = [\"RS265\"]"), "RS265"),
        (by_url("types = []"), "types"),
        (by_url("refresh = \"0s\""), "refresh"),
        (by_url("timeout = \"0s\""), "timeout"),
        (by_url("leeway = \"1h\""), "leeway"),
        (by_url("claims = { a = [1] }"), "claims"),
        (by_url("claim = { a = 1 }"), "claim"),
        (by_url("ca_file = \"nowhere.pem\""), "nowhere.pem"),
        (format!("{}{}", by_url(""), by_url("")), "issuer: duplicates another"),
        (own("https://gate.example.com", &format!("jwks_url = \"{url}\"")), "issuer"),
        (own("", &format!("jwks_url = \"{url}\"")), "issuer"),
    ] {
        let ran = check(&tables).failed(78);
        assert!(ran.stderr.contains(word), "{tables}\n{}", ran.stderr);
        assert!(!ran.stderr.contains("secret-x"), "{}", ran.stderr);
    }
}
