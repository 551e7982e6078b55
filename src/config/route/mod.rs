//! Routes, and the table that finds the one for a request.
//!
//! The most specific wins: a route that names the host before one that does not, then the longest path. Paths match by
//! whole segments. The cost of a look-up grows with the number of segments in the request's path, not with the number of
//! routes.

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

/// `[[route]]`: what is forwarded, to whom, and who may.
#[derive(Debug)]
pub struct Route {
    /// Its place in the file, from 0.
    pub index: usize,
    /// The one host that it takes, if it does not take every one.
    pub host: Option<Host>,
    pub path: String,
    /// The methods that it takes, if it does not take every one.
    pub methods: Option<Vec<Method>>,
    pub realm: Arc<Realm>,
    pub access: Access,
    /// Whose the Authorization header is.
    pub authorization: Authorization,
    /// Whether an API key may come as `Authorization: Basic`.
    pub basic: bool,
    /// Roles of which the token must carry one; empty: none needed.
    pub roles: Vec<String>,
    /// Whether the token must say that a second factor was proven.
    pub require_mfa: bool,
    pub upstream: Upstream,
    /// Whether `Authorization` reaches the app.
    pub forward_token: bool,
    /// The audience of `X-Auth-Assertion`, if the app gets one.
    pub assertion: Option<Arc<str>>,
    pub(in crate::config) path_rules: PathRules,
    pub encoded_slash: EncodedSlash,
    pub cors: CorsBy,
    /// The largest body of a request in bytes, if there is a limit.
    pub body_size: Option<u64>,
    pub(in crate::config) _sealed: Sealed,
}

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever carries a token that verifies.
    User,
    /// An API key.
    Key,
    /// Whoever has the one or the other.
    UserOrKey,
    /// Everyone; with an API key where the realm requires one.
    Public,
}

impl Access {
    /// Whether an API key alone opens it.
    #[must_use]
    pub const fn takes_key(self) -> bool {
        matches!(self, Self::Key | Self::UserOrKey)
    }

    /// Whether a user's token alone opens it.
    #[must_use]
    pub const fn takes_user(self) -> bool {
        matches!(self, Self::User | Self::UserOrKey)
    }

    /// As the configuration has it.
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

/// Whose the Authorization header of a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// The gate's, if it names an issuer of the realm or comes without the realm's cookie; else the app's.
    #[default]
    Auto,
    /// The gate's: beside it, the cookie is not read.
    Gate,
    /// The app's, which gets it as it came.
    App,
}

/// How a path must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRules {
    /// [`Self::Opaque`] where the route decides about every request to a host, else [`Self::Strict`].
    Auto,
    /// In the one form that every reader reads alike.
    Strict,
    /// In any form in which no reader finds a way out of the route: no dot segments and no control characters, in whatever
    /// encoding.
    Opaque,
}

/// Who answers preflights (Fetch standard, 3.2.2), and tells browsers which pages may read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsBy {
    /// The gate, by the realm's origins.
    Gate,
    /// The app. Preflights reach it.
    App,
}

/// What becomes of `%2f` in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedSlash {
    /// 400, since an app may read it as a slash.
    Reject,
    /// Forwarded as it came.
    Pass,
}

impl Route {
    /// Returns whether a request without an API key is denied.
    #[must_use]
    pub fn requires_key(&self) -> bool {
        self.access == Access::Key || self.realm.require_key
    }

    /// Whether it is limited to some methods.
    #[must_use]
    pub const fn restricts_methods(&self) -> bool {
        self.methods.is_some()
    }

    /// Whether it takes this method. One that takes GET takes HEAD too (SECURITY.md R50).
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
    /// Several of one path are for different hosts.
    by_login_path: HashMap<String, Vec<Arc<Login>>, RandomState>,
    /// Those with several paths, or whose paths match without regard to case: few, and looked at one after the other.
    with_several_paths: Vec<Arc<Login>>,
    /// Whether some endpoint has a path of this length: most paths of routes need no other look-up in these two.
    login_path_lengths: Vec<bool>,
    any_host: Paths,
    by_host: HashMap<Host, Paths, RandomState>,
    /// How many slashes the path in these tables has that has most: no longer one is looked for.
    depth: usize,
    /// How many routes name each host.
    naming: HashMap<Host, usize, RandomState>,
    /// How many name none.
    naming_none: usize,
    /// All logins, in the order of the file.
    pub logins: Vec<Arc<Login>>,
    /// All routes, in the order of the file.
    pub routes: Vec<Arc<Route>>,
    pub(in crate::config) _sealed: Sealed,
}

type Paths = HashMap<String, Vec<Arc<Route>>, RandomState>;

/// The login or route that decides about a request.
#[derive(Clone, Debug)]
pub enum RouteMatch {
    Login(LoginMatch),
    Route(Arc<Route>),
    /// A path below that of a login, which no route has: the login API has no such endpoint. The first endpoint stands for it.
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
    /// Makes the table. `reserved`: the paths at which the gate itself answers at every host.
    ///
    /// # Errors
    /// What takes the requests of something else: all of it, so that the operator sees it at once.
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
                // The login answers, so that the app never sees its own path.
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

    /// Returns the endpoint of a login for a request. `path` is canonical. A login that names the host comes before one that names
    /// none.
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

    /// The path rules that are in force for a request to this route at this host, and why. Never [`PathRules::Auto`].
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

    /// The route that takes `method` on a path of `host` that is not canonical, as its bytes stand there, and `None` where
    /// another reading of the path could lead elsewhere. The path has no dot segments and no control characters in whatever
    /// reading (see `gate::target`).
    #[must_use]
    pub fn find_opaque(&self, host: &Host, path: &[u8], method: &Method) -> Option<Arc<Route>> {
        // A byte that is no text is in no route's path.
        let path = String::from_utf8_lossy(path);
        let mut tables = self.by_host.get(host).into_iter().chain([&self.any_host]);
        let routes = tables.find_map(|paths| prefixes(&path, self.depth).find_map(|prefix| paths.get(prefix)))?;
        let route = routes.iter().find(|route| route.allows_method(method))?;
        (self.path_rules(host, route).0 == PathRules::Opaque).then(|| route.clone())
    }

    /// Whether no more than one route, and no login, can take a request to this host.
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
        // The first table that has the path decides, and so does the longest path in it: a method that this one does
        // not take is not offered to a wider route, which may ask for less.
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

/// Two entries that answer the same requests, as indexes into what [`RouteTable::new`] was given.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum RouteConflict {
    Login {
        earlier: usize,
        later: usize,
    },
    /// One login, of which two paths are the same.
    Own(usize),
    Route {
        earlier: usize,
        later: usize,
    },
    /// A route whose own path is a login's.
    RouteOfLogin {
        route: usize,
        login: usize,
    },
    /// A login at a path where the gate answers itself.
    Reserved {
        login: usize,
        path: String,
    },
    /// A route with `path_rules = "opaque"`, below whose path another rule decides.
    Opaque {
        route: usize,
        rule: Rule,
    },
}

/// What decides about requests.
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

/// Whether some request is for the host of both.
fn share_host(login: &Login, endpoint: &Endpoint, route: &Route) -> bool {
    let mut hosts = login.hosts(endpoint);
    route.host.is_none() || hosts.any(|own| own.is_none() || own == route.host.as_ref())
}

/// What decides below the path of a route, at its hosts. Of the paths at which the gate itself answers at every host only
/// those count that lie below a route which is not for the whole host: with the whole host, a path that some reader takes for
/// one of them is refused when it comes.
fn below<'a>(
    route: &'a Route,
    logins: &'a [Arc<Login>],
    routes: &'a [Arc<Route>],
    reserved: &'a [String],
) -> impl Iterator<Item = Rule> + 'a {
    let lies_below = |path: &str| {
        let start = route.path.trim_end_matches('/');
        let (head, tail) = path.split_at_checked(start.len()).unwrap_or_default();
        // A tenant login is found in any letter case.
        head.eq_ignore_ascii_case(start) && tail.len() > 1 && tail.starts_with('/')
    };
    // A route that names the host goes before one that does not, whatever their paths.
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
        // One of them takes every method, the other some: the narrower is found only if it comes first, which is
        // an order that nobody sees. Both must be explicit.
        _ => true,
    }
}

/// `/a/b/c`, `/a/b`, `/a`, `/`: every path whose whole segments begin `path`, the longest first, without those that have more
/// slashes than `depth`. TRAP: to look all of them up takes the square of the length of a path that is all slashes, and it is the
/// client who says how long that is.
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
