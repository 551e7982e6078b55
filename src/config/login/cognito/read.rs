//! `[login.cognito]`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::external::ExternalInputs;
use crate::config::login::cognito::UserPool;
use crate::config::login::read::TenantKeys;
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::realm::trusted_issuer::{self, TIMEOUTS, TrustedPool};
use crate::config::schema::kind::{Raw, duration, flag, raw, required, text};
use crate::config::schema::section;
use crate::config::sealed::Sealed;
use crate::outbound;
use crate::token::{JwksLocation, RemoteJwks, check_url};

section! {
    /// A user pool of Amazon Cognito for a tenant login. The realm trusts its access tokens without a
    /// `[[realm.trusted_issuer]]`. `client_id` of the login is the app client.
    CognitoKeys = "[login.cognito]", Reloadable;

    /// Id of the user pool.
    user_pool: Result<String, Reported> = required(text(pool_id, "\"eu-west-1_AbCdEf123\""));

    /// Secret of the app client, if it has one. Write only one of `client_secret` and `client_secret_file`.
    client_secret: Raw = raw("\"1example23456789abcdefgh\""), default "no secret";

    /// File with the secret of the app client. Only its owner can have access to it.
    client_secret_file: Raw = raw("\"secrets/app-client\""), default "no secret";

    /// URL of the Cognito API, without a path.
    endpoint: Raw = raw("\"https://cognito-idp.eu-west-1.amazonaws.com\""), default "the endpoint of the region at AWS";

    /// Whether `endpoint` can use http. An attacker on the network can then read passwords.
    insecure_http: bool = flag(false);

    /// PEM file with CA certificates for the endpoint.
    ca_file: Raw = raw("\"ca.pem\""), default "the CA certificates of the system";

    /// Maximum time for a call.
    timeout: Duration = duration(TIMEOUTS, trusted_issuer::DEFAULT_TIMEOUT);
}

#[derive(Default)]
pub(in crate::config) struct UserPools(Vec<Entry>);

/// The user pool of one login.
struct Entry {
    login: usize,
    /// The name of the realm that trusts it.
    realm: String,
    /// Path of the login in the file, and its line.
    place: String,
    pool: Arc<UserPool>,
}

impl UserPools {
    /// Returns the user pool of the login at position `index`.
    pub(in crate::config) fn of_login(&self, index: usize) -> Option<&Arc<UserPool>> {
        self.0.iter().find(|entry| entry.login == index).map(|entry| &entry.pool)
    }

    /// Returns the user pools of the logins of a realm.
    pub(in crate::config) fn of_realm(&self, name: &str) -> impl Iterator<Item = TrustedPool<'_>> {
        let of_realm = self.0.iter().filter(move |entry| entry.realm == name);
        of_realm.map(|Entry { place, pool, .. }| TrustedPool {
            place,
            issuer: &pool.issuer,
            client_id: &pool.client_id,
            keys: &pool.keys,
        })
    }
}

/// Reads the user pools of all logins. The realms trust them, so they are read before the realms.
pub(in crate::config) fn read_all(logins: &[Section<'_>], external: &ExternalInputs) -> UserPools {
    let mut pools = UserPools::default();
    for (index, login) in logins.iter().enumerate().filter(|(_, login)| crate::config::login::read::is_over_pool(login))
    {
        let realm = login.text("realm").unwrap_or_default();
        let keys = TenantKeys::read(login);
        let Ok(pool) = read(&keys, external) else { continue };
        let other = pools.0.iter().find(|other| other.realm == realm && other.pool.issuer == pool.issuer);
        if let Some(other) = other.filter(|other| other.pool.keys != pool.keys) {
            keys.cognito.error(format!(
                "reaches the user pool of {} in a different way: write the same endpoint, insecure_http, ca_file and timeout",
                other.place
            ));
        }
        let place = format!("{} (line {})", login.path(), login.line());
        pools.0.push(Entry { login: index, realm: realm.into(), place, pool: Arc::new(pool) });
    }
    pools
}

fn read(login: &TenantKeys<'_>, external: &ExternalInputs) -> Result<UserPool, Reported> {
    let client_id = if login.client_id.is_written() {
        login.client_id.value.clone().ok_or_else(|| login.client_id.reported())
    } else {
        Err(login.client_id.missing("is missing: write client_id = \"…\", the app client's id"))
    };
    let Some(section) = login.cognito.as_ref() else {
        let missing = "is missing: write [login.cognito] with user_pool = \"eu-west-1_AbCdEf123\"";
        return Err(if login.cognito.is_written() { login.cognito.reported() } else { login.cognito.missing(missing) });
    };
    let keys = CognitoKeys::read(section);
    let client_secret = secret(&keys, external);
    let insecure_http = *keys.insecure_http;
    let endpoint = keys.endpoint.optional(|text| endpoint(text, insecure_http));
    let roots = trusted_issuer::roots(&keys.ca_file, external);
    let timeout = *keys.timeout;
    let client = roots.and_then(|roots| {
        let client = outbound::client_builder(insecure_http, roots.as_deref()).and_then(|builder| {
            let builder = builder
                // Passwords go to the endpoint, not to a proxy from the environment.
                .no_proxy()
                // Less than the keep-alive time of any server: a call on a connection that is being closed fails, and must
                // not be repeated.
                .pool_idle_timeout(IDLE);
            builder.build().map_err(|error| outbound::root_cause(&error))
        });
        client.map(|client| (client, roots)).map_err(|error| keys.ca_file.error(error))
    });
    let id = keys.user_pool.value?;
    let region = id.split_once('_').map_or("", |(region, _)| region);
    let host = format!("https://cognito-idp.{region}.amazonaws.com");
    let issuer = format!("{host}/{id}");
    let endpoint = endpoint?.unwrap_or(host);
    let (client, roots) = client?;
    Ok(UserPool {
        _sealed: Sealed(()),
        issuer,
        client_id: client_id?,
        client_secret: client_secret?,
        timeout,
        keys: RemoteJwks {
            location: JwksLocation::Jwks(format!("{endpoint}/{id}/.well-known/jwks.json")),
            insecure_http,
            roots,
            refresh: trusted_issuer::DEFAULT_REFRESH,
            max_stale: trusted_issuer::DEFAULT_STALE,
            timeout,
        },
        endpoint,
        client,
        calls: Semaphore::new(MAX_CALLS),
    })
}

/// Parses an id: the region, an underscore, and letters and digits.
fn pool_id(text: &str) -> Result<String, String> {
    let is_region = |region: &str| {
        region.contains('-')
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match text.split_once('_') {
        Some((region, id)) if text.len() <= MAX_POOL_BYTES && is_region(region) && is_id(id) => Ok(text.into()),
        _ => Err(format!("invalid user pool id {}: write it as \"eu-west-1_AbCdEf123\"", quote(text))),
    }
}

/// Parses scheme, host and port.
fn endpoint(text: &str, insecure_http: bool) -> Result<String, String> {
    let base = text.strip_suffix('/').unwrap_or(text);
    let problem = match check_url(base, insecure_http) {
        Err(problem) => problem,
        Ok(()) if base.split("//").nth(1).is_some_and(|rest| rest.contains(['/', '?'])) => {
            "must not have a path or a query: write scheme, host and port only"
        }
        Ok(()) => return Ok(base.into()),
    };
    Err(format!("{} {problem}", quote(text)))
}

fn secret(keys: &CognitoKeys<'_>, external: &ExternalInputs) -> Result<Option<Zeroizing<String>>, Reported> {
    let in_file = keys.client_secret_file.is_written();
    if keys.client_secret.is_written() && in_file {
        return Err(keys.client_secret_file.error("can't be combined with client_secret: write only one of the two"));
    }
    if in_file {
        return keys.client_secret_file.optional(|path| {
            let secret = external.secret(path)?;
            check_secret(&secret).map_err(|problem| format!("{}: its text {problem}", quote(path)))?;
            Ok(secret)
        });
    }
    keys.client_secret.optional(|text| check_secret(text).map(|()| text.to_owned().into()).map_err(str::to_owned))
}

/// No message quotes the secret, not even in part.
fn check_secret(text: &str) -> Result<(), &'static str> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("is not a valid secret of an app client: copy it from Cognito, without spaces")
    }
}

/// The limit of Cognito.
const MAX_POOL_BYTES: usize = 55;
const IDLE: Duration = Duration::from_secs(10);
/// Maximum number of concurrent calls. Further calls get 503 at once, in case the user pool does not respond.
const MAX_CALLS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dialect;
    use crate::config::fixture::{REALM, SERVER, assert_error, check, with};
    use crate::token::{Algorithm, Audience, KeySource, TokenType, TrustedIssuer};

    const LOGIN: &str = "[[login]]\ndialect = \"tenant\"\nbackend = \"cognito\"\npath = \"/Login\"\nrealm = \"a\"\n\
                         client_id = \"app\"\n";
    const COGNITO: &str = "[login.cognito]\nuser_pool = \"eu-west-1_AbCdEf123\"\n";
    const ISSUER: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123";

    fn text(login: &str, cognito: &str) -> String {
        format!("{SERVER}{REALM}{}{}", with(LOGIN, login), with(COGNITO, cognito))
    }

    #[test]
    fn a_pool_is_trusted_only_by_its_realm() {
        let two = with(REALM, "name = \"b\"\nissuer = \"https://b.example\"");
        let aliases = "tenants = { Acme = \"a\" }\nrefresh_ttl = \"10d\"";
        let config = check(&format!("{}{two}", text(aliases, ""))).unwrap();
        let login = &config.policy.routing.logins[0];
        let Dialect::Tenant(tenant) = &login.dialect else { panic!() };
        let pool = tenant.user_pool.as_deref().unwrap();
        assert_eq!((pool.issuer.as_str(), pool.client_id.as_str(), pool.client_secret()), (ISSUER, "app", None));
        assert_eq!(pool.url(), "https://cognito-idp.eu-west-1.amazonaws.com/");
        assert_eq!(pool.timeout, Duration::from_secs(5));
        let of = |name: &str| tenant.realm(name).map(|realm| realm.name.as_str());
        assert_eq!([of("a"), of("Acme"), of("b")], [Some("a"), Some("a"), None]);
        let trusted = |realm: &str| &config.policy.realm(realm).unwrap().tokens.trusted;
        assert!(trusted("b").is_empty());
        let [TrustedIssuer { name, audience, algorithms, types, exact, mapping, keys, .. }] = &trusted("a")[..] else {
            panic!()
        };
        assert_eq!((&**name, audience), (ISSUER, &Audience { any_of: Vec::new(), clients: vec!["app".into()] }));
        assert_eq!((&algorithms[..], &types[..]), (&[Algorithm::RS256][..], &[TokenType::Absent, TokenType::Jwt][..]));
        assert_eq!(exact, &[("token_use".into(), "access".into())]);
        assert_eq!((mapping.username.as_deref(), &mapping.email), (Some("username"), &None));
        assert_eq!(mapping.roles, ["cognito:groups"]);
        let KeySource::Remote(remote) = keys.source() else { panic!() };
        assert_eq!(remote.location, JwksLocation::Jwks(format!("{ISSUER}/.well-known/jwks.json")));
        assert!(config.policy.realm("a").unwrap().tokens.id_keys.is_none(), "the pool signs them");
    }

    #[test]
    fn two_logins_of_a_realm_can_share_a_pool() {
        let other = text("path = \"/v2/Login\"\nclient_id = \"web\"\nshape = \"flat\"", "").replace(SERVER, "");
        let other = other.replace(REALM, "");
        let config = check(&format!("{}{other}", text("", ""))).unwrap();
        let [issuer] = &config.policy.realm("a").unwrap().tokens.trusted[..] else { panic!() };
        assert_eq!(issuer.audience, Audience { any_of: Vec::new(), clients: vec!["app".into(), "web".into()] });
        let elsewhere = other.replace("[login.cognito]", "[login.cognito]\nendpoint = \"https://pool.example\"");
        assert_error(&format!("{}{elsewhere}", text("", "")), "login[1].cognito: reaches the user pool of login[0]");
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (cognito, expected) in [
            ("user_pool = \"AbCdEf123\"", "login[0].cognito.user_pool: invalid user pool id \"AbCdEf123\""),
            ("user_pool = \"eu-west-1_a/b\"", "invalid user pool id"),
            ("user_pool = \"evil.example#-_a\"", "invalid user pool id"),
            ("endpoint = \"http://127.0.0.1:5000\"", "cognito.endpoint: \"http://127.0.0.1:5000\" must use https"),
            ("endpoint = \"https://a.example/x\"", "must not have a path or a query"),
            ("endpoint = \"https://u:p@a.example\"", "no user and no fragment"),
            ("client_secret = \"hunter2 \"", "cognito.client_secret: is not a valid secret of an app client"),
            ("client_secret = \"\"", "is not a valid secret of an app client"),
            ("client_secret_file = \"/nonexistent/s\"", "client_secret_file: can't read"),
            ("client_secret = \"a\"\nclient_secret_file = \"b\"", "can't be combined with client_secret"),
            ("timeout = \"2m\"", "out of range"),
            ("ca_file = \"/dev/null\"", "not a regular file"),
            ("path = \"/x\"", "belongs to [[login]] but follows [login.cognito]"),
            ("pool = \"x\"", "pool: unknown key"),
        ] {
            assert_error(&text("", cognito), expected);
        }
        for (login, expected) in [
            ("access_ttl = \"1h\"", "login[0].access_ttl: applies only to backend = \"local\""),
            ("refresh_grace = \"1s\"", "login[0].refresh_grace: applies only to backend = \"local\""),
            ("tenants = { b = \"b\" }", "there is no realm \"b\""),
            ("backend = \"azure\"", "must be \"local\" or \"cognito\""),
            ("backend = \"local\"", "login[0].cognito: applies only to backend = \"cognito\""),
        ] {
            assert_error(&text(login, ""), expected);
        }
        assert_error(&text("", "").replace("client_id = \"app\"\n", ""), "login[0].client_id: is missing");
        assert_error(&text("", "").replace(COGNITO.trim(), ""), "login[0].cognito: is missing");
        assert_error(&text("", "").replace("user_pool", "#"), "cognito.user_pool: is missing");
        let two = with(REALM, "name = \"b\"\nissuer = \"https://b.example\"");
        let alias = text("tenants = { Acme = \"b\" }", "");
        assert_error(&format!("{alias}{two}"), "login[0].tenants: \"Acme\" names another realm");
        let own = text("", "").replace("https://a.example", ISSUER);
        assert_error(&own, "realm.a.issuer: duplicates the issuer of the user pool of login[0] (line");
        let declared = format!(
            "{REALM}[[realm.trusted_issuer]]\nissuer = \"{ISSUER}\"\nclient_ids = [\"app\"]\njwks_url = \"{ISSUER}/x\"\n"
        );
        let declared = text("", "").replace(REALM, &declared);
        assert_error(&declared, "trusted_issuer[0].issuer: is the user pool of login[0] (line");
    }

    #[test]
    fn a_secret_is_read_and_not_printed() {
        let config = check(&text("", "client_secret = \"hunter2hunter2\"")).unwrap();
        let login = &config.policy.routing.logins[0];
        let Dialect::Tenant(tenant) = &login.dialect else { panic!() };
        assert_eq!(tenant.user_pool.as_deref().unwrap().client_secret(), Some("hunter2hunter2"));
        assert!(!format!("{:?}", config.policy).contains("hunter2"));
    }
}
