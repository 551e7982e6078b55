//! Routes, and the table that finds the route of a request.
//!
//! The most specific route applies: a route with `host` before a route without it, then the longest path. Paths match by whole
//! segments. The cost of a lookup grows with the number of segments in the request's path, not with the number of routes.

pub(in crate::config) mod read;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::Method;

use crate::config::host::Host;
use crate::config::login::{Endpoint, Login, LoginMatch};
use crate::config::realm::Realm;
use crate::config::sealed::Sealed;
use crate::config::upstream::Upstream;

#[derive(Debug)]
pub struct Route {
    /// Position in the file, from 0.
    pub index: usize,
    /// `None`: every host.
    pub host: Option<Host>,
    pub path: String,
    /// Returns the methods, or `None` for every method.
    pub methods: Option<Vec<Method>>,
    pub realm: Arc<Realm>,
    pub access: Access,
    pub authorization: Authorization,
    /// Whether a client can send an API key as the password of `Authorization: Basic`.
    pub basic: bool,
    /// The token must have at least one of these roles. Empty: no role is required.
    pub roles: Vec<String>,
    /// Whether the token must prove a second factor.
    pub require_mfa: bool,
    pub upstream: Upstream,
    /// Whether the application receives the `Authorization` header of Tollgate.
    pub forward_token: bool,
    /// Audience of `X-Auth-Assertion`. `None`: no assertion.
    pub assertion: Option<Arc<str>>,
    pub(in crate::config) path_rules: PathRules,
    pub encoded_slash: EncodedSlash,
    pub cors: CorsBy,
    /// Maximum bytes of a request body. `None`: no limit.
    pub body_size: Option<u64>,
    pub(in crate::config) _sealed: Sealed,
}

/// Required credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A valid token.
    User,
    /// A valid API key.
    Key,
    /// A valid token or a valid API key.
    UserOrKey,
    /// None, but an API key if the realm requires one.
    Public,
}

impl Access {
    /// Returns whether an API key is sufficient.
    #[must_use]
    pub const fn takes_key(self) -> bool {
        matches!(self, Self::Key | Self::UserOrKey)
    }

    /// Returns whether the token of a user is sufficient.
    #[must_use]
    pub const fn takes_user(self) -> bool {
        matches!(self, Self::User | Self::UserOrKey)
    }

    /// Returns the value in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Key => "key",
            Self::UserOrKey => "user or key",
            Self::Public => "public",
        }
    }
}

/// Owner of the `Authorization` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// Tollgate, if the header is a token of an issuer of the realm, or the request lacks the realm's cookie. Otherwise the
    /// application.
    #[default]
    Auto,
    /// Tollgate. If the header is there, the cookie is ignored.
    Gate,
    /// The application, which receives it unchanged.
    App,
}

/// Required form of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRules {
    /// [`Self::Opaque`] if the route receives every request to a host, else [`Self::Strict`].
    Auto,
    /// The canonical form, which every program interprets in the same way.
    Strict,
    /// Any form that no program interprets as a path outside of the route: without dot segments and control characters in any
    /// encoding.
    Opaque,
}

/// Component that answers CORS preflight requests (Fetch standard, 3.2.2) and writes the CORS headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsBy {
    /// Tollgate, with the origins of the realm.
    Gate,
    /// The application, which receives the preflight requests.
    App,
}

/// Treatment of `%2f` in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedSlash {
    /// 400, because an application can interpret it as a slash.
    Reject,
    /// Forwarded unchanged.
    Pass,
}

impl Route {
    /// Returns whether a request without an API key is denied.
    #[must_use]
    pub fn requires_key(&self) -> bool {
        self.access == Access::Key || self.realm.require_key
    }

    /// Returns whether the route has a list of methods.
    #[must_use]
    pub const fn restricts_methods(&self) -> bool {
        self.methods.is_some()
    }

    /// Returns whether the route matches this method. GET includes HEAD (SECURITY.md R50).
    #[must_use]
    pub fn allows_method(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| {
            methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET))
        })
    }
}

/// Logins by their path, and routes by host and path.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// Logins with equal paths have different hosts.
    by_login_path: HashMap<String, Vec<Arc<Login>>, RandomState>,
    /// Logins with several paths, or with paths in any letter case. They are few, and searched one after the other.
    with_several_paths: Vec<Arc<Login>>,
    /// Whether some endpoint has a path of this length: most paths of routes need no other look-up in these two.
    login_path_lengths: Vec<bool>,
    any_host: Paths,
    by_host: HashMap<Host, Paths, RandomState>,
    /// Maximum number of slashes in a path of these tables. Longer prefixes are not looked up.
    depth: usize,
    /// Number of routes for each host.
    naming: HashMap<Host, usize, RandomState>,
    /// Number of routes without a host.
    naming_none: usize,
    pub logins: Vec<Arc<Login>>,
    pub routes: Vec<Arc<Route>>,
    pub(in crate::config) _sealed: Sealed,
}

type Paths = HashMap<String, Vec<Arc<Route>>, RandomState>;

/// The login or route that decides about a request.
#[derive(Clone, Debug)]
pub enum RouteMatch {
    Login(LoginMatch),
    Route(Arc<Route>),
    /// A path below the path of a login, without a route: the login API has no such endpoint. Contains the first endpoint.
    UnknownEndpoint(LoginMatch),
}

/// The reason that there is no login and no route for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// None for the path and method.
    Path,
    /// Every route names a host, and none names this one.
    Host,
}

impl RouteMatch {
    #[must_use]
    pub fn realm(&self) -> &Arc<Realm> {
        match self {
            Self::Login(found) | Self::UnknownEndpoint(found) => &found.login.realm,
            Self::Route(route) => &route.realm,
        }
    }

    /// Returns whether a request without an API key is denied.
    #[must_use]
    pub fn requires_key(&self) -> bool {
        match self {
            Self::Login(found) | Self::UnknownEndpoint(found) => {
                found.endpoint().needs_key && found.login.realm.require_key
            }
            Self::Route(route) => route.requires_key(),
        }
    }

    /// Returns the one that answers preflights.
    #[must_use]
    pub fn cors(&self) -> CorsBy {
        match self {
            Self::Login(_) | Self::UnknownEndpoint(_) => CorsBy::Gate,
            Self::Route(route) => route.cors,
        }
    }
}

impl RouteTable {
    /// Makes the table. `reserved`: the paths that Tollgate answers itself at every host.
    ///
    /// # Errors
    /// All conflicts, so that the operator sees them at once.
    pub(in crate::config) fn new(
        logins: Vec<Arc<Login>>,
        routes: Vec<Arc<Route>>,
        reserved: &[String],
    ) -> Result<Self, Vec<RouteConflict>> {
        let mut table = Self::default();
        let mut clashes = Vec::new();
        for (later, login) in logins.iter().enumerate() {
            if let Some(earlier) = logins[..later].iter().position(|other| answers_too(other, login)) {
                clashes.push(RouteConflict::Login { earlier, later });
            }
            if let Some(path) = reserved.iter().find(|path| login.endpoints_at(path).next().is_some()) {
                clashes.push(RouteConflict::Reserved { login: later, path: path.clone() });
            }
            if login.has_one_path() {
                table.by_login_path.entry(login.path.to_owned()).or_default().push(login.clone());
            } else {
                let mut paths: Vec<_> =
                    login.endpoints().iter().map(|endpoint| endpoint.path.to_ascii_lowercase()).collect();
                let written = paths.len();
                paths.sort();
                paths.dedup();
                if paths.len() < written {
                    clashes.push(RouteConflict::Own(later));
                }
                table.with_several_paths.push(login.clone());
            }
        }
        for (later, route) in routes.iter().enumerate() {
            let (paths, count) = match &route.host {
                Some(host) => {
                    (table.by_host.entry(host.clone()).or_default(), table.naming.entry(host.clone()).or_default())
                }
                None => (&mut table.any_host, &mut table.naming_none),
            };
            *count += 1;
            let same_path = paths.entry(route.path.clone()).or_default();
            if let Some(other) = same_path.iter().find(|other| overlap(other, route)) {
                let earlier = routes.iter().position(|earlier| Arc::ptr_eq(earlier, other)).unwrap_or_default();
                clashes.push(RouteConflict::Route { earlier, later });
            }
            same_path.push(route.clone());
            for (index, login) in logins.iter().enumerate() {
                // The login would answer, so that no request to its path reaches the application.
                if login.endpoints_at(&route.path).any(|endpoint| share_host(login, endpoint, route)) {
                    clashes.push(RouteConflict::RouteOfLogin { route: later, login: index });
                }
            }
            if route.path_rules == PathRules::Opaque {
                clashes.extend(
                    below(route, &logins, &routes, reserved).map(|rule| RouteConflict::Opaque { route: later, rule }),
                );
            }
        }
        let paths = table.by_host.values().chain([&table.any_host]).flat_map(HashMap::keys);
        table.depth = paths.chain(table.by_login_path.keys()).map(|path| slashes(path)).max().unwrap_or_default();
        let lengths = || logins.iter().flat_map(|login| login.endpoints()).map(|endpoint| endpoint.path.len());
        table.login_path_lengths = vec![false; lengths().max().map_or(0, |longest| longest + 1)];
        lengths().for_each(|length| table.login_path_lengths[length] = true);
        table.logins = logins;
        table.routes = routes;
        if clashes.is_empty() { Ok(table) } else { Err(clashes) }
    }

    /// Returns the endpoint of a login for a request. `path` is canonical. A login with a host precedes one without.
    #[must_use]
    pub fn login_at(&self, host: &Host, path: &str, method: &Method) -> Option<LoginMatch> {
        if !self.login_path_lengths.get(path.len()).is_some_and(|has_one| *has_one) {
            return None;
        }
        let one_path = self.by_login_path.get(path).into_iter().flatten();
        let mut of_every_host = None;
        for found in one_path.chain(&self.with_several_paths).filter_map(|login| login.endpoint(path, method)) {
            let login = &found.login;
            if login.host.is_none() {
                of_every_host.get_or_insert(found);
            } else if login.hosts(found.endpoint()).any(|own| own == Some(host)) {
                return Some(found);
            }
        }
        of_every_host
    }

    /// Returns the path rules for a request to this route at this host, and the reason. Never [`PathRules::Auto`].
    #[must_use]
    pub fn path_rules(&self, host: &Host, route: &Route) -> (PathRules, &'static str) {
        match route.path_rules {
            PathRules::Strict => (PathRules::Strict, "as path_rules says"),
            PathRules::Opaque => (PathRules::Opaque, "as path_rules says, and nothing else lies below the route"),
            PathRules::Auto if route.path != "/" || route.restricts_methods() => {
                (PathRules::Strict, "since the route does not decide about a whole host")
            }
            PathRules::Auto if !self.is_alone(host) => {
                (PathRules::Strict, "since another route or login may take requests to this host")
            }
            PathRules::Auto => (PathRules::Opaque, "since the route decides about every request to this host"),
        }
    }

    /// Returns the route for `method` and a path that is not canonical, compared byte for byte. Returns `None` if another
    /// interpretation of the path could match another rule. The path has no dot segments and no control characters in any
    /// interpretation (see `gate::target`).
    #[must_use]
    pub fn find_opaque(&self, host: &Host, path: &[u8], method: &Method) -> Option<Arc<Route>> {
        // A path of a route contains no invalid UTF-8.
        let path = String::from_utf8_lossy(path);
        let mut tables = self.by_host.get(host).into_iter().chain([&self.any_host]);
        let routes = tables.find_map(|paths| prefixes(&path, self.depth).find_map(|prefix| paths.get(prefix)))?;
        let route = routes.iter().find(|route| route.allows_method(method))?;
        (self.path_rules(host, route).0 == PathRules::Opaque).then(|| route.clone())
    }

    /// Returns whether at most one route and no login can match a request to this host.
    fn is_alone(&self, host: &Host) -> bool {
        let routes = self.naming_none + self.naming.get(host).copied().unwrap_or_default();
        routes <= 1 && !self.logins.iter().any(|login| login.serves(host))
    }

    /// Finds the login or route for `method` on `path` of `host`. `path` is canonical (see `gate::target`).
    ///
    /// # Errors
    /// The reason that there is none.
    pub fn find(&self, host: &Host, path: &str, method: &Method) -> Result<RouteMatch, NoMatch> {
        if let Some(found) = self.login_at(host, path, method) {
            return Ok(RouteMatch::Login(found));
        }
        // The first table with the path decides, and in it the longest path. A method that this path does not match is not
        // tried with a shorter path, which can have weaker requirements.
        for paths in self.by_host.get(host).into_iter().chain([&self.any_host]) {
            if let Some(routes) = prefixes(path, self.depth).find_map(|prefix| paths.get(prefix)) {
                let route = routes.iter().find(|route| route.allows_method(method));
                return route.map(|route| RouteMatch::Route(route.clone())).ok_or(NoMatch::Path);
            }
        }
        let has_host = |login: &&Arc<Login>| login.host.as_ref().is_none_or(|own| own == host);
        let project =
            prefixes(path, self.depth).find_map(|prefix| self.by_login_path.get(prefix)?.iter().find(has_host));
        let mut others = self.with_several_paths.iter().filter(has_host);
        if let Some(login) = project.or_else(|| others.find(|login| login.contains_path(path))) {
            return Ok(RouteMatch::UnknownEndpoint(LoginMatch::first(login)));
        }
        let serves_every_host = self.by_host.is_empty() || !self.any_host.is_empty();
        let is_known = self.by_host.contains_key(host)
            || self.logins.iter().any(|login| login.host.is_some() && login.serves(host));
        Err(if serves_every_host || is_known { NoMatch::Path } else { NoMatch::Host })
    }
}

/// Two rules for the same requests, as indexes into the arguments of [`RouteTable::new`].
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum RouteConflict {
    Login {
        earlier: usize,
        later: usize,
    },
    /// A login with two equal paths.
    Own(usize),
    Route {
        earlier: usize,
        later: usize,
    },
    /// A route with a path of a login.
    RouteOfLogin {
        route: usize,
        login: usize,
    },
    /// A login at a reserved path.
    Reserved {
        login: usize,
        path: String,
    },
    /// A route with `path_rules = "opaque"` and another rule below its path.
    Opaque {
        route: usize,
        rule: Rule,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum Rule {
    Route(usize),
    Login(usize),
    Reserved(String),
}

fn answers_too(one: &Login, other: &Login) -> bool {
    let share = |one: &Login, other: &Login| {
        one.endpoints().iter().any(|own| {
            let mut hosts = other.endpoints_at(&own.path).flat_map(|endpoint| other.hosts(endpoint));
            hosts.any(|host| one.hosts(own).any(|own| own == host))
        })
    };
    share(one, other) || share(other, one)
}

/// Returns whether a request can match the hosts of both.
fn share_host(login: &Login, endpoint: &Endpoint, route: &Route) -> bool {
    let mut hosts = login.hosts(endpoint);
    route.host.is_none() || hosts.any(|own| own.is_none() || own == route.host.as_ref())
}

/// Returns the rules below the path of a route at its hosts. Reserved paths are included only for a route with a path other than
/// `/`: a route for the whole host rejects each path that another program could interpret as a reserved path.
fn below<'a>(
    route: &'a Route,
    logins: &'a [Arc<Login>],
    routes: &'a [Arc<Route>],
    reserved: &'a [String],
) -> impl Iterator<Item = Rule> + 'a {
    let lies_below = |path: &str| {
        let start = route.path.trim_end_matches('/');
        let (head, tail) = path.split_at_checked(start.len()).unwrap_or_default();
        // A tenant login matches in any letter case.
        head.eq_ignore_ascii_case(start) && tail.len() > 1 && tail.starts_with('/')
    };
    // A route with a host precedes a route without one, independent of their paths.
    let routes = routes
        .iter()
        .enumerate()
        .filter(move |(_, other)| (route.host.is_none() || route.host == other.host) && lies_below(&other.path));
    let logins = logins.iter().enumerate().filter(move |(_, login)| {
        let endpoints = login.endpoints().iter();
        let mut below = endpoints.filter(|endpoint| lies_below(&endpoint.path) || endpoint.path == route.path);
        below.any(|endpoint| share_host(login, endpoint, route))
    });
    let reserved = reserved.iter().filter(move |path| route.path != "/" && lies_below(path));
    routes
        .map(|(index, _)| Rule::Route(index))
        .chain(logins.map(|(index, _)| Rule::Login(index)))
        .chain(reserved.map(|path| Rule::Reserved(path.clone())))
}

fn overlap(a: &Route, b: &Route) -> bool {
    match (&a.methods, &b.methods) {
        (Some(a), Some(b)) => a.iter().any(|method| b.contains(method)),
        // One route matches every method, the other one some: the result would depend on the order in the file. Both must list
        // their methods.
        _ => true,
    }
}

/// Returns `/a/b/c`, `/a/b`, `/a`, `/`: all prefixes of `path` with whole segments, the longest first, except those with more
/// slashes than `depth`. TRAP: the lookup of all prefixes of a path of slashes takes quadratic time, and the client chooses the
/// length of the path.
fn prefixes(path: &str, depth: usize) -> impl Iterator<Item = &str> {
    // By bytes: a search for a `char` in a string has a cost that paths are too short for.
    let end = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').nth(depth).map_or(path.len(), |(at, _)| at);
    let mut rest = Some(&path[..end]);
    std::iter::from_fn(move || {
        let prefix = rest?;
        rest = match prefix.bytes().rposition(|byte| byte == b'/') {
            Some(0) if prefix.len() > 1 => Some("/"),
            Some(slash) if slash > 0 => Some(&prefix[..slash]),
            _ => None,
        };
        Some(prefix)
    })
}

fn slashes(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_whole_segments() {
        let of = |path| prefixes(path, usize::MAX).collect::<Vec<_>>();
        assert_eq!(of("/a/b/c"), ["/a/b/c", "/a/b", "/a", "/"]);
        assert_eq!(of("/a/b/"), ["/a/b/", "/a/b", "/a", "/"]);
        assert_eq!(of("/"), ["/"]);
        assert_eq!(of("*"), ["*"]);
        let within = |path, depth| prefixes(path, depth).collect::<Vec<_>>();
        assert_eq!(within("/a/b/c", 3), ["/a/b/c", "/a/b", "/a", "/"]);
        assert_eq!(within("/a/b/c", 2), ["/a/b", "/a", "/"]);
        assert_eq!(within("/a/b/c", 1), ["/a", "/"]);
        assert_eq!(within("/a/b/", 2), ["/a/b", "/a", "/"]);
        assert_eq!(within("/a/b/", 3), ["/a/b/", "/a/b", "/a", "/"]);
    }
}
