//! `[login.cognito]`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{login, plain, trusted_issuer};
use crate::config::outside::Outside;
use crate::config::reader::{Keys, Section};
use crate::config::spelling::quote;
use crate::config::user_pool::UserPool;
use crate::outbound;
use crate::token::{Location, Remote, check_url};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[login.cognito]",
    known: &["user_pool", "client_secret", "client_secret_file", "endpoint", "insecure_http", "ca_file", "timeout"],
    later: &[],
    parent: Some(&login::KEYS),
};

/// The user pools of the file.
#[derive(Default)]
pub(in crate::config) struct Pools(Vec<Entry>);

/// What one login says of its user pool.
struct Entry {
    login: usize,
    /// The name of the realm that trusts it.
    realm: String,
    /// The login's path in the file, and its line.
    place: String,
    pool: Arc<UserPool>,
}

impl Pools {
    /// That of the login at this place in the file.
    pub(in crate::config) fn of_login(&self, index: usize) -> Option<&Arc<UserPool>> {
        self.0.iter().find(|entry| entry.login == index).map(|entry| &entry.pool)
    }

    /// Those of the logins of a realm, each with the place of its login.
    pub(super) fn of_realm(&self, name: &str) -> impl Iterator<Item = (&str, &UserPool)> {
        self.0.iter().filter(move |entry| entry.realm == name).map(|entry| (entry.place.as_str(), &*entry.pool))
    }
}

/// The pools of the logins that have one. They are read before the realms, which trust them.
pub(in crate::config) fn read_all(logins: &[Section<'_>], outside: &Outside) -> Pools {
    let mut pools = Pools::default();
    for (index, login) in logins.iter().enumerate().filter(|(_, login)| login::is_over_pool(login)) {
        let realm = login.optional("realm", Ok).unwrap_or_default();
        let Some(pool) = read(login, outside) else { continue };
        let other = pools.0.iter().find(|other| other.realm == realm && other.pool.issuer == pool.issuer);
        if let Some(other) = other.filter(|other| other.pool.keys != pool.keys) {
            login.error(
                "cognito",
                format!(
                    "reaches the user pool of {} in another way: write the same endpoint, insecure_http, ca_file and timeout",
                    other.place
                ),
            );
        }
        let place = format!("{} (line {})", login.path(), login.line());
        pools.0.push(Entry { login: index, realm: realm.into(), place, pool: Arc::new(pool) });
    }
    pools
}

fn read(login: &Section<'_>, outside: &Outside) -> Option<UserPool> {
    let client_id = login.required("client_id", "\"…\", the app client's id", plain);
    if !login.has("cognito") {
        login.missing("cognito", "is missing: write [login.cognito] with user_pool = \"eu-west-1_AbCdEf123\"");
    }
    let section = login.table("cognito", &KEYS)?;
    let id = section.required("user_pool", "\"eu-west-1_AbCdEf123\"", pool_id);
    let client_secret = secret(&section, outside);
    let insecure_http = section.flag("insecure_http", false);
    let endpoint = section.optional("endpoint", |text| endpoint(text, insecure_http));
    let endpoint_is_bad = section.has("endpoint") && endpoint.is_none();
    let roots = trusted_issuer::roots(&section, outside);
    let timeout = section.duration("timeout", trusted_issuer::TIMEOUTS, trusted_issuer::DEFAULT_TIMEOUT);
    let client = outbound::builder(insecure_http, roots.as_deref()).and_then(|builder| {
        let builder = builder
            // Passwords go to the endpoint, and not where the environment says.
            .no_proxy()
            // Less than any server keeps them for: a call on a connection that is being closed fails, and may not be
            // repeated.
            .pool_idle_timeout(IDLE);
        builder.build().map_err(|error| outbound::reason(&error))
    });
    let client = client.map_err(|error| section.error("ca_file", error)).ok();
    let (id, (region, _)) = id.and_then(|id| Some((id, id.split_once('_')?)))?;
    let host = format!("https://cognito-idp.{region}.amazonaws.com");
    let issuer = format!("{host}/{id}");
    let endpoint = endpoint.unwrap_or(host);
    let keys = Remote {
        location: Location::Jwks(format!("{endpoint}/{id}/.well-known/jwks.json")),
        insecure_http,
        roots,
        refresh: trusted_issuer::DEFAULT_REFRESH,
        max_stale: trusted_issuer::DEFAULT_STALE,
        timeout,
    };
    if endpoint_is_bad {
        return None;
    }
    Some(UserPool {
        issuer,
        client_id: client_id?,
        client_secret: client_secret.ok()?,
        endpoint,
        timeout,
        keys,
        client: client?,
        calls: Semaphore::new(MAX_CALLS),
    })
}

/// The region, an underscore, and letters and digits.
fn pool_id(text: &str) -> Result<&str, String> {
    let is_region = |region: &str| {
        region.contains('-')
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match text.split_once('_') {
        Some((region, id)) if text.len() <= MAX_POOL_BYTES && is_region(region) && is_id(id) => Ok(text),
        _ => Err(format!("{} is no id of a user pool: write it as \"eu-west-1_AbCdEf123\"", quote(text))),
    }
}

/// Scheme, host and port.
fn endpoint(text: &str, insecure_http: bool) -> Result<String, String> {
    let base = text.strip_suffix('/').unwrap_or(text);
    let problem = match check_url(base, insecure_http) {
        Err(problem) => problem,
        Ok(()) if base.split("//").nth(1).is_some_and(|rest| rest.contains(['/', '?'])) => {
            "has a path or a query: write scheme, host and port only"
        }
        Ok(()) => return Ok(base.into()),
    };
    Err(format!("{} {problem}", quote(text)))
}

/// `Err(())` was reported.
fn secret(section: &Section<'_>, outside: &Outside) -> Result<Option<Zeroizing<String>>, ()> {
    let (written, in_file) = (section.has("client_secret"), section.has("client_secret_file"));
    if written && in_file {
        section.error("client_secret_file", "excludes client_secret: write only one of the two");
        return Err(());
    }
    let secret = if in_file {
        section.optional("client_secret_file", |path| {
            let secret = outside.secret(path)?;
            check_secret(&secret).map_err(|problem| format!("{}: its text {problem}", quote(path)))?;
            Ok(secret)
        })
    } else {
        section.optional("client_secret", |text| {
            check_secret(text).map(|()| text.to_owned().into()).map_err(str::to_owned)
        })
    };
    if (written || in_file) && secret.is_none() { Err(()) } else { Ok(secret) }
}

/// Never quoted, not even in part.
fn check_secret(text: &str) -> Result<(), &'static str> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("is no secret of an app client: copy it as Cognito shows it, in one word")
    }
}

/// As in Cognito.
const MAX_POOL_BYTES: usize = 55;
const IDLE: Duration = Duration::from_secs(10);
/// While a pool hangs, whoever comes with one more is told 503 at once.
const MAX_CALLS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dialect;
    use crate::config::sections::fixture::{REALM, SERVER, assert_error, check, with};
    use crate::token::{Algorithm, Audience, Issuer, Source, Type};

    const LOGIN: &str = "[[login]]\ndialect = \"tenant\"\nbackend = \"cognito\"\npath = \"/Login\"\nrealm = \"a\"\n\
                         client_id = \"app\"\n";
    const COGNITO: &str = "[login.cognito]\nuser_pool = \"eu-west-1_AbCdEf123\"\n";
    const ISSUER: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123";

    fn text(login: &str, cognito: &str) -> String {
        format!("{SERVER}{REALM}{}{}", with(LOGIN, login), with(COGNITO, cognito))
    }

    #[test]
    fn a_pool_is_trusted_by_its_realm_and_by_no_other() {
        let two = with(REALM, "name = \"b\"\nissuer = \"https://b.example\"");
        let aliases = "tenants = { Acme = \"a\" }\nrefresh_ttl = \"10d\"";
        let config = check(&format!("{}{two}", text(aliases, ""))).unwrap();
        let login = &config.policy.routing().logins()[0];
        let Dialect::Tenant(tenant) = login.dialect() else { panic!() };
        let pool = tenant.user_pool().unwrap();
        assert_eq!((pool.issuer(), pool.client_id(), pool.client_secret()), (ISSUER, "app", None));
        assert_eq!(pool.url(), "https://cognito-idp.eu-west-1.amazonaws.com/");
        assert_eq!(pool.timeout(), Duration::from_secs(5));
        let of = |name: &str| tenant.realm(name).map(|realm| realm.name());
        assert_eq!([of("a"), of("Acme"), of("b")], [Some("a"), Some("a"), None]);
        let trusted = |realm: &str| &config.policy.realm(realm).unwrap().tokens().trusted;
        assert!(trusted("b").is_empty());
        let [Issuer { name, audience, algorithms, types, exact, mapping, keys, .. }] = &trusted("a")[..] else {
            panic!()
        };
        assert_eq!((&**name, audience), (ISSUER, &Audience { any_of: Vec::new(), clients: vec!["app".into()] }));
        assert_eq!((&algorithms[..], &types[..]), (&[Algorithm::RS256][..], &[Type::Absent, Type::Jwt][..]));
        assert_eq!(exact, &[("token_use".into(), "access".into())]);
        assert_eq!((mapping.username.as_deref(), &mapping.email), (Some("username"), &None));
        assert_eq!(mapping.roles, ["cognito:groups"]);
        let Source::Remote(remote) = keys.source() else { panic!() };
        assert_eq!(remote.location, Location::Jwks(format!("{ISSUER}/.well-known/jwks.json")));
        assert!(config.policy.realm("a").unwrap().tokens().id_keys.is_none(), "the pool signs them");
    }

    #[test]
    fn two_logins_of_a_realm_may_share_a_pool() {
        let other = text("path = \"/v2/Login\"\nclient_id = \"web\"\nshape = \"flat\"", "").replace(SERVER, "");
        let other = other.replace(REALM, "");
        let config = check(&format!("{}{other}", text("", ""))).unwrap();
        let [issuer] = &config.policy.realm("a").unwrap().tokens().trusted[..] else { panic!() };
        assert_eq!(issuer.audience, Audience { any_of: Vec::new(), clients: vec!["app".into(), "web".into()] });
        let elsewhere = other.replace("[login.cognito]", "[login.cognito]\nendpoint = \"https://pool.example\"");
        assert_error(&format!("{}{elsewhere}", text("", "")), "login[1].cognito: reaches the user pool of login[0]");
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (cognito, expected) in [
            ("user_pool = \"AbCdEf123\"", "login[0].cognito.user_pool: \"AbCdEf123\" is no id of a user pool"),
            ("user_pool = \"eu-west-1_a/b\"", "is no id of a user pool"),
            ("user_pool = \"evil.example#-_a\"", "is no id of a user pool"),
            ("endpoint = \"http://127.0.0.1:5000\"", "cognito.endpoint: \"http://127.0.0.1:5000\" lets whoever"),
            ("endpoint = \"https://a.example/x\"", "has a path or a query"),
            ("endpoint = \"https://u:p@a.example\"", "no user and no fragment"),
            ("client_secret = \"hunter2 \"", "cognito.client_secret: is no secret of an app client"),
            ("client_secret = \"\"", "is no secret of an app client"),
            ("client_secret_file = \"/nonexistent/s\"", "client_secret_file: can't read"),
            ("client_secret = \"a\"\nclient_secret_file = \"b\"", "excludes client_secret"),
            ("timeout = \"2m\"", "out of range"),
            ("ca_file = \"/dev/null\"", "not a regular file"),
            ("path = \"/x\"", "belongs to [[login]] but follows [login.cognito]"),
            ("pool = \"x\"", "pool: unknown key"),
        ] {
            assert_error(&text("", cognito), expected);
        }
        for (login, expected) in [
            ("access_ttl = \"1h\"", "login[0].access_ttl: is for backend = \"local\""),
            ("refresh_grace = \"1s\"", "login[0].refresh_grace: is for backend = \"local\""),
            ("tenants = { b = \"b\" }", "there is no realm \"b\""),
            ("backend = \"azure\"", "must be \"local\" or \"cognito\""),
            ("backend = \"local\"", "login[0].cognito: is for backend = \"cognito\""),
        ] {
            assert_error(&text(login, ""), expected);
        }
        assert_error(&text("", "").replace("client_id = \"app\"\n", ""), "login[0].client_id: is missing");
        assert_error(&text("", "").replace(COGNITO.trim(), ""), "login[0].cognito: is missing");
        assert_error(&text("", "").replace("user_pool", "#"), "cognito.user_pool: is missing");
        let two = with(REALM, "name = \"b\"\nissuer = \"https://b.example\"");
        let alias = text("tenants = { Acme = \"b\" }", "");
        assert_error(&format!("{alias}{two}"), "login[0].tenants: \"Acme\" is of another realm than the login");
        let own = text("", "").replace("https://a.example", ISSUER);
        assert_error(&own, "realm.a.issuer: is that of the user pool of login[0] (line");
        let declared = format!(
            "{REALM}[[realm.trusted_issuer]]\nissuer = \"{ISSUER}\"\nclient_ids = [\"app\"]\njwks_url = \"{ISSUER}/x\"\n"
        );
        let declared = text("", "").replace(REALM, &declared);
        assert_error(&declared, "trusted_issuer[0].issuer: is the user pool of login[0] (line");
    }

    #[test]
    fn a_secret_is_kept_and_shown_to_nobody() {
        let config = check(&text("", "client_secret = \"hunter2hunter2\"")).unwrap();
        let login = &config.policy.routing().logins()[0];
        let Dialect::Tenant(tenant) = login.dialect() else { panic!() };
        assert_eq!(tenant.user_pool().unwrap().client_secret(), Some("hunter2hunter2"));
        assert!(!format!("{:?}", config.policy).contains("hunter2"));
    }
}
