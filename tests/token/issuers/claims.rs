//! What becomes of a foreign token's claims: the identity that the application sees, its roles, and what an issuer's
//! section demands.

use serde_json::{Value, json};

use super::*;

/// The header's value, as the application saw it.
#[track_caller]
fn seen(trusted: &Trusted, token: &str, header: &str) -> Option<String> {
    trusted.passes(token).header(header)
}

#[test]
fn the_app_sees_who_it_is() {
    let trusted = Trusted::with("");
    let claims = claims_with(&json!({"username": "alice", "email": "alice@example.com", "jti": "a-token"}));
    let first = trusted.passes(&KEY_A.token(&claims));
    assert_eq!(first.header("x-auth-subject").as_deref(), claims["sub"].as_str());
    assert_eq!(first.header("x-auth-username").as_deref(), Some("alice"));
    assert_eq!(first.header("x-auth-email").as_deref(), Some("alice@example.com"));
    assert_eq!(first.header("x-auth-realm").as_deref(), Some("examples"));
    assert_eq!(first.header("x-auth-roles"), None);
    assert_eq!(first.header("authorization"), None);
    let id = first.header("x-auth-token-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");

    // It follows the issuer's id of the token, and without one the token.
    let again = KEY_A.token(&edited(claims.clone(), &json!({"exp": now() + 1000})));
    assert_eq!(seen(&trusted, &again, "x-auth-token-id").as_deref(), Some(id.as_str()));
    let other = KEY_A.token(&edited(claims.clone(), &json!({"jti": "another"})));
    assert_ne!(seen(&trusted, &other, "x-auth-token-id").as_deref(), Some(id.as_str()));
    let nameless = edited(claims, &json!({"jti": null}));
    let (one, two) = (KEY_A.token(&nameless), KEY_A.token(&edited(nameless, &json!({"more": 1}))));
    assert_eq!(seen(&trusted, &one, "x-auth-token-id"), seen(&trusted, &one, "x-auth-token-id"));
    assert_ne!(seen(&trusted, &one, "x-auth-token-id"), seen(&trusted, &two, "x-auth-token-id"));
}

#[test]
fn names_come_from_the_claims_that_the_section_names() {
    let more = "username_claim = \"cognito:username\"\nemail_claim = \"\"\n";
    let trusted = Trusted::with(more);
    let token = KEY_A.token(&claims_with(&json!({
        "username": "wrong", "cognito:username": "right", "email": "alice@example.com",
    })));
    let request = trusted.passes(&token);
    assert_eq!(request.header("x-auth-username").as_deref(), Some("right"));
    assert_eq!(request.header("x-auth-email"), None);
    assert_eq!(seen(&trusted, &KEY_A.token(&claims()), "x-auth-username"), None);
}

#[test]
fn an_address_that_the_issuer_has_not_verified_is_not_passed_on() {
    let trusted = Trusted::with("");
    for (verified, email) in
        [(json!(true), Some("alice@example.com")), (json!(null), Some("alice@example.com")), (json!(false), None)]
    {
        let token = KEY_A.token(&claims_with(&json!({"email": "alice@example.com", "email_verified": verified})));
        assert_eq!(seen(&trusted, &token, "x-auth-email").as_deref(), email, "{verified}");
    }
}

#[test]
fn r12_a_claim_that_no_header_can_carry_lets_nobody_in() {
    let trusted = Trusted::with("roles_claims = [\"roles\"]");
    for change in [
        json!({"sub": "a\r\nX-Auth-Roles: admin"}),
        json!({"sub": "a\u{0}b"}),
        json!({"username": "a\nb"}),
        json!({"email": "a\r\n\r\nGET /admin HTTP/1.1"}),
        json!({"username": 1}),
        json!({"email": ["alice@example.com"]}),
        json!({"roles": ["a\r\nb"]}),
        json!({"roles": ["a,admin"]}),
    ] {
        trusted.app.forget();
        let answer = trusted.gate.visit(&KEY_A.token(&claims_with(&change)));
        // Refused, or the claim left out: never passed on as something else.
        for request in trusted.app.seen() {
            let text = request.text();
            assert!(!text.contains("admin") && !text.contains('\u{0}'), "{change}: {text}");
            assert_eq!(request.all("x-auth-subject").len(), 1, "{text}");
        }
        assert!(answer.status == 401 || answer.status == 200, "{change}: {}", answer.status);
        assert!(answer.status == 401 || change.get("sub").is_none(), "{change}");
    }
}

#[test]
fn roles_come_from_the_claims_that_are_named_and_no_others() {
    for (claim, value, roles) in [
        ("scope", json!("read:all write:all"), Some("read:all,write:all")),
        ("scope", json!("  read:all   write:all "), Some("read:all,write:all")),
        ("scope", json!(""), None),
        ("permissions", json!(["read", "admin"]), Some("read,admin")),
        ("permissions", json!([]), None),
        ("cognito:groups", json!(["staff"]), Some("staff")),
        ("groups", json!("one"), Some("one")),
        ("https://example.com/roles", json!(["editor"]), Some("editor")),
        ("urn:zitadel:iam:org:project:roles", json!({"admin": {"1": "x"}, "user": {"1": "x"}}), Some("admin,user")),
    ] {
        let trusted = Trusted::with(&format!("roles_claims = [\"{claim}\"]"));
        let mut claims = claims_with(&json!({"roles": ["wrong"], "role": "wrong", "scp": "wrong"}));
        claims[claim] = value.clone();
        assert_eq!(seen(&trusted, &KEY_A.token(&claims), "x-auth-roles").as_deref(), roles, "{claim}: {value}");
    }
}

#[test]
fn roles_in_an_object_are_found_by_their_path() {
    let trusted = Trusted::with("roles_claims = [\"realm_access.roles\", \"resource_access.my.web.roles\"]");
    let keycloak = json!({"realm_access": {"roles": ["admin"]}, "resource_access": {"my.web": {"roles": ["editor"]}}});
    let token = KEY_A.token(&claims_with(&keycloak));
    assert_eq!(seen(&trusted, &token, "x-auth-roles").as_deref(), Some("admin,editor"));
    trusted.gate.send(&get("/admin/x").key().bearer(&token)).expect(200);
    let token = KEY_A.token(&claims_with(&json!({"realm_access": {"role": ["admin"]}})));
    trusted.gate.send(&get("/admin/x").key().bearer(&token)).refused(403, "role_missing");
}

#[test]
fn a_token_with_many_groups_is_taken_up_to_the_size_of_its_issuer() {
    let groups = |count: usize| KEY_A.token(&claims_with(&json!({"groups": vec!["0".repeat(36); count]})));
    let trusted = Trusted::with("");
    trusted.passes(&groups(200));
    trusted.refuses(&groups(700), "token_too_long");
    Trusted::with("token_size = \"64KiB\"").passes(&groups(700));
    Trusted::with("token_size = \"8KiB\"").refuses(&groups(200), "token_too_long");
}

#[test]
fn a_prefix_keeps_the_names_of_an_issuer_apart_from_local_ones() {
    let trusted = Trusted::with("username_prefix = \"corp:\"");
    let token = KEY_A.token(&claims_with(&json!({"username": "alice"})));
    assert_eq!(seen(&trusted, &token, "x-auth-username").as_deref(), Some("corp:alice"));
}

#[test]
fn roles_of_several_claims_are_put_together_each_once() {
    let trusted = Trusted::with("roles_claims = [\"scope\", \"permissions\"]");
    let token = KEY_A.token(&claims_with(&json!({"scope": "a b", "permissions": ["b", "c"]})));
    let roles = seen(&trusted, &token, "x-auth-roles").unwrap();
    let mut roles: Vec<_> = roles.split(',').collect();
    roles.sort_unstable();
    roles.dedup();
    assert_eq!(roles, ["a", "b", "c"]);
}

#[test]
fn a_role_opens_a_route_only_through_a_claim_that_is_mapped() {
    let admin = |gate: &Gate, claims: &Value| gate.send(&get("/admin/x").key().bearer(&KEY_A.token(claims)));
    let trusted = Trusted::with("roles_claims = [\"permissions\"]");
    admin(&trusted.gate, &claims_with(&json!({"permissions": ["admin"]}))).expect(200);
    for change in [
        json!({}),
        json!({"permissions": []}),
        json!({"permissions": ["Admin"]}),
        json!({"permissions": ["administrator"]}),
        json!({"permissions": ["not admin"]}),
        json!({"roles": ["admin"]}),
        json!({"scope": "admin"}),
    ] {
        admin(&trusted.gate, &claims_with(&change)).refused(403, "role_missing");
    }
    // Of the wrong type: no role, or no token; never the role.
    for wrong in
        [json!({"admin": false}), json!({"admin": null}), json!([["admin"]]), json!([{"name": "admin"}]), json!(1)]
    {
        let answer = admin(&trusted.gate, &claims_with(&json!({"permissions": wrong})));
        assert!([401, 403].contains(&answer.status), "{wrong}: {}", answer.status);
    }
    // Nothing is mapped unless it is said.
    let trusted = Trusted::with("");
    let all = json!({"permissions": ["admin"], "roles": ["admin"], "scope": "admin", "groups": ["admin"]});
    admin(&trusted.gate, &claims_with(&all)).refused(403, "role_missing");
}

#[test]
fn claims_that_the_section_requires_must_be_there() {
    let trusted = Trusted::with("required_claims = [\"scope\", \"azp\"]");
    trusted.passes(&KEY_A.token(&claims_with(&json!({"scope": "a", "azp": "app"}))));
    for change in [json!({}), json!({"scope": "a"}), json!({"azp": "app"}), json!({"Scope": "a", "azp": "app"})] {
        trusted.refuses(&KEY_A.token(&claims_with(&change)), "token_claims");
    }
}

#[test]
fn claims_whose_value_the_section_gives_must_have_exactly_that() {
    let trusted = Trusted::with("claims = { tenant = \"acme\", verified = true, level = 2 }");
    let right = json!({"tenant": "acme", "verified": true, "level": 2});
    trusted.passes(&KEY_A.token(&claims_with(&right)));
    for change in [
        json!({"tenant": null}),
        json!({"tenant": "Acme"}),
        json!({"tenant": "acme "}),
        json!({"tenant": ["acme"]}),
        json!({"tenant": ""}),
        json!({"verified": "true"}),
        json!({"verified": 1}),
        json!({"verified": false}),
        json!({"level": "2"}),
        json!({"level": 3}),
    ] {
        trusted.refuses(&KEY_A.token(&edited(claims_with(&right), &change)), "token_claims");
    }
}

#[test]
fn a_cognito_access_token_names_its_client_instead_of_an_audience() {
    let iss = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example";
    let more = "client_ids = [\"7abc\", \"8def\"]\ntypes = [\"absent\"]\nclaims = { token_use = \"access\" }\n\
                roles_claims = [\"cognito:groups\"]\n";
    let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
    let gate = Conf::new(&app).add_realm_tables(&section(iss, &issuer.url(JWKS), more)).start();
    let trusted = Trusted { app, issuer, gate };
    let now = now();
    // As the pool's documentation shows one.
    let claims = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["staff"], "iss": iss, "version": 2,
        "client_id": "7abc", "origin_jti": "a", "token_use": "access", "scope": "aws.cognito.signin.user.admin",
        "auth_time": now, "exp": now + 3600, "iat": now, "jti": "b", "username": "alice",
    });
    let token = |change: &Value| KEY_A.token_with(&json!({"typ": null}), &edited(claims.clone(), change));
    let request = trusted.passes(&token(&json!({})));
    assert_eq!(request.header("x-auth-username").as_deref(), Some("alice"));
    assert_eq!(request.header("x-auth-roles").as_deref(), Some("staff"));
    trusted.passes(&token(&json!({"client_id": "8def"})));
    // Of other providers, which write one of three names, and any audience or none.
    trusted.passes(&token(&json!({"aud": []})));
    trusted.passes(&token(&json!({"aud": "account", "client_id": null, "azp": "7abc"})));
    trusted.passes(&token(&json!({"aud": ["a", "b"], "client_id": null, "cid": "8def"})));
    for (change, reason) in [
        (json!({"client_id": "other"}), "token_audience"),
        (json!({"client_id": null}), "token_audience"),
        (json!({"client_id": ["7abc"]}), "token_audience"),
        (json!({"client_id": ""}), "token_audience"),
        (json!({"azp": "other"}), "token_audience"),
        (json!({"aud": 1}), "token_audience"),
        // The pool's ID token: its audience is the client.
        (json!({"token_use": "id", "client_id": null, "aud": "7abc"}), "token_type"),
        (json!({"token_use": "id"}), "token_type"),
        (json!({"token_use": null}), "token_claims"),
    ] {
        trusted.refuses(&token(&change), reason);
    }
}
