//! Routes, and the table that finds the one for a request.
//!
//! The most specific wins: a route that names the host before one that does not, then the longest path. Paths match by
//! whole segments. The cost of a look-up grows with the number of segments in the request's path, not with the number of
//! routes.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::Method;

use super::host::Host;
use super::login::{Dialect, Endpoint, Login};
use super::policy::Realm;
use super::upstream::Upstream;

/// `[[route]]`: what is forwarded, to whom, and who may.
#[derive(Debug)]
pub struct Route {
    pub(super) index: usize,
    pub(super) host: Option<Host>,
    pub(super) path: String,
    pub(super) methods: Option<Vec<Method>>,
    pub(super) realm: Arc<Realm>,
    pub(super) access: Access,
    pub(super) roles: Vec<String>,
    pub(super) require_mfa: bool,
    pub(super) upstream: Upstream,
    pub(super) forward_token: bool,
    pub(super) assertion: Option<Arc<str>>,
    pub(super) encoded_slash: EncodedSlash,
    pub(super) body_size: Option<u64>,
}

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever carries a token that verifies.
    User,
    /// Whoever has an API key.
    Key,
    /// Everyone; with an API key where the realm requires one.
    Public,
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
    /// Its place in the file, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The one host that it takes, if it does not take every one.
    #[must_use]
    pub const fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The methods that it takes, if it does not take every one.
    #[must_use]
    pub fn methods(&self) -> Option<&[Method]> {
        self.methods.as_deref()
    }

    /// Its realm.
    #[must_use]
    pub const fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }

    /// Who may pass.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Roles of which the token must carry one; empty: none needed.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Whether the token must say that a second factor was proven.
    #[must_use]
    pub const fn requires_mfa(&self) -> bool {
        self.require_mfa
    }

    /// Where it leads.
    #[must_use]
    pub const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Whether `Authorization` reaches the app.
    #[must_use]
    pub const fn forwards_token(&self) -> bool {
        self.forward_token
    }

    /// The audience of `X-Auth-Assertion`, if the app gets one.
    #[must_use]
    pub const fn assertion(&self) -> Option<&Arc<str>> {
        self.assertion.as_ref()
    }

    /// What becomes of `%2f`.
    #[must_use]
    pub const fn encoded_slash(&self) -> EncodedSlash {
        self.encoded_slash
    }

    /// The largest body of a request in bytes, if there is a limit.
    #[must_use]
    pub const fn body_size(&self) -> Option<u64> {
        self.body_size
    }

    /// Whether it is limited to some methods.
    #[must_use]
    pub const fn limits_methods(&self) -> bool {
        self.methods.is_some()
    }

    /// Whether it takes this method. One that takes GET takes HEAD too (`threats.md` R50).
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| {
            methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET))
        })
    }
}

/// Logins by their path, and routes by host and path.
#[derive(Debug, Default)]
pub struct Routing {
    by_login_path: HashMap<String, Arc<Login>, RandomState>,
    /// Those with several paths, or whose paths match without regard to case: few, and looked at one after the other.
    with_several_paths: Vec<Arc<Login>>,
    any_host: Paths,
    by_host: HashMap<Host, Paths, RandomState>,
    /// How many slashes the path in these tables has that has most: no longer one is looked for.
    depth: usize,
    logins: Vec<Arc<Login>>,
    routes: Vec<Arc<Route>>,
}

type Paths = HashMap<String, Vec<Arc<Route>>, RandomState>;

/// What answers a request.
#[derive(Clone, Debug)]
pub enum Found {
    /// The gate itself.
    Login(Arc<Login>, Endpoint),
    /// An app.
    Route(Arc<Route>),
    /// A path below a login's that is no route's: an endpoint that the login API does not have.
    BelowLogin(Arc<Login>),
    /// Nobody.
    Nothing,
    /// Nobody, and the host is none of those that routes name.
    WrongHost,
}

impl Routing {
    /// Makes the table.
    ///
    /// # Errors
    /// Two logins of one path, or two routes of one host and path that take the same method: all such pairs, so that
    /// the operator sees them at once.
    pub(super) fn new(logins: Vec<Arc<Login>>, routes: Vec<Arc<Route>>) -> Result<Self, Vec<Clash>> {
        let mut table = Self::default();
        let mut clashes = Vec::new();
        for (later, login) in logins.iter().enumerate() {
            let earlier = match login.dialect() {
                Dialect::Project => {
                    let same = table.by_login_path.insert(login.path.clone(), login.clone());
                    same.or_else(|| table.with_several_paths.iter().find(|other| answers_too(other, login)).cloned())
                }
                Dialect::Tenant(_) | Dialect::Exchange(_) => {
                    logins[..later].iter().find(|other| answers_too(other, login)).cloned()
                }
            };
            if let Some(other) = earlier {
                let earlier = logins.iter().position(|earlier| Arc::ptr_eq(earlier, &other)).unwrap_or_default();
                clashes.push(Clash::Login { earlier, later });
            }
            if !matches!(login.dialect(), Dialect::Project) {
                let mut paths: Vec<_> = login.paths().iter().map(|path| path.to_ascii_lowercase()).collect();
                let written = paths.len();
                paths.sort();
                paths.dedup();
                if paths.len() < written {
                    clashes.push(Clash::Own(later));
                }
                table.with_several_paths.push(login.clone());
            }
        }
        for (later, route) in routes.iter().enumerate() {
            let paths = match &route.host {
                Some(host) => table.by_host.entry(host.clone()).or_default(),
                None => &mut table.any_host,
            };
            let same_path = paths.entry(route.path.clone()).or_default();
            if let Some(other) = same_path.iter().find(|other| overlap(other, route)) {
                let earlier = routes.iter().position(|earlier| Arc::ptr_eq(earlier, other)).unwrap_or_default();
                clashes.push(Clash::Route { earlier, later });
            }
            same_path.push(route.clone());
        }
        let paths = table.by_host.values().chain([&table.any_host]).flat_map(HashMap::keys);
        table.depth = paths.chain(table.by_login_path.keys()).map(|path| slashes(path)).max().unwrap_or_default();
        table.logins = logins;
        table.routes = routes;
        if clashes.is_empty() { Ok(table) } else { Err(clashes) }
    }

    /// All logins, in the order of the file.
    #[must_use]
    pub fn logins(&self) -> &[Arc<Login>] {
        &self.logins
    }

    /// All routes, in the order of the file.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The login that has this path, which is canonical, and what is asked there.
    #[must_use]
    pub fn login_at(&self, path: &str) -> Option<(&Arc<Login>, Endpoint)> {
        if let Some(login) = self.by_login_path.get(path) {
            return Some((login, Endpoint::Login));
        }
        self.with_several_paths.iter().find_map(|login| Some((login, login.endpoint(path)?)))
    }

    /// What answers `method` on `path` of `host`. `path` is canonical (see `gate::target`).
    #[must_use]
    pub fn find(&self, host: &Host, path: &str, method: &Method) -> Found {
        if let Some((login, endpoint)) = self.login_at(path) {
            return Found::Login(login.clone(), endpoint);
        }
        // The first table that has the path decides, and so does the longest path in it: a method that this one does
        // not take is not offered to a wider route, which may ask for less.
        for paths in self.by_host.get(host).into_iter().chain([&self.any_host]) {
            if let Some(routes) = prefixes(path, self.depth).find_map(|prefix| paths.get(prefix)) {
                let route = routes.iter().find(|route| route.takes(method));
                return route.map_or(Found::Nothing, |route| Found::Route(route.clone()));
            }
        }
        let project = prefixes(path, self.depth).find_map(|prefix| self.by_login_path.get(prefix));
        let mut others = self.with_several_paths.iter();
        if let Some(login) = project.or_else(|| others.find(|login| login.has_below(path))) {
            return Found::BelowLogin(login.clone());
        }
        let serves_every_host = self.by_host.is_empty() || !self.any_host.is_empty();
        if serves_every_host || self.by_host.contains_key(host) { Found::Nothing } else { Found::WrongHost }
    }
}

/// Two entries that answer the same requests, as indexes into what [`Routing::new`] was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Clash {
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
}

fn answers_too(one: &Login, other: &Login) -> bool {
    one.paths().iter().any(|path| other.endpoint(path).is_some())
        || other.paths().iter().any(|path| one.endpoint(path).is_some())
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
/// slashes than `depth`. ☠ To look all of them up takes the square of the length of a path that is all slashes, and it is the
/// client who says how long that is.
fn prefixes(path: &str, depth: usize) -> impl Iterator<Item = &str> {
    let end = path.match_indices('/').nth(depth).map_or(path.len(), |(at, _)| at);
    let mut rest = Some(&path[..end]);
    std::iter::from_fn(move || {
        let prefix = rest?;
        rest = match prefix.rfind('/') {
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
