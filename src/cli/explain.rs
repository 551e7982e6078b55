//! `tollgate explain`: how a request would be judged, and why, by the code that judges requests.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode};

use super::ConfigFile;
use super::token_inspect::escape_control_chars;
use crate::clock::{monotonic_now, now};
use crate::config::{Config, Mode, Policy, ServerAddress, load};
use crate::exit::{self, Failure};
use crate::gate::{
    AddressLimiters, AdmittedLogin, Authorizer, Decision, Denial, Explanation, Grant, Head, RequestPermits, TokenCache,
    wire,
};
use crate::ops::fetch_keys;
use crate::proxy::preview_headers;
use crate::store::{StoreError, load_revocations, open_read_only};
use crate::token::{IssuerKeys, Revocations};

/// Say which rule decides about a request, and why. Nothing is sent, and nothing is counted
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The request's method
    // No value_parser, here and below: clap's error would repeat a key or token that stands there.
    #[arg(value_name = "METHOD")]
    method: String,
    /// What is asked for: https://HOST/PATH?QUERY, http://…, or /PATH alone, at the first address that the gate listens on
    #[arg(value_name = "URL")]
    url: String,
    /// A header of the request; may be given several times. What it carries is not shown
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Who connects
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,
}

impl Args {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Check)?;
        let asked = Asked::read(self, &config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (revoked, unknown) = match runtime.block_on(revocations(&config)) {
            Ok(revoked) => (revoked, None),
            Err(why) => (Revocations::new(), Some(why)),
        };
        let trace = Explanation::default();
        let fetch = |keys: &Arc<IssuerKeys>| runtime.block_on(fetch_keys(&config.policy, keys));
        let (verdict, unfetched) = asked.judge(&config, &revoked, &trace, fetch);

        let mut lines = Vec::new();
        for finding in trace.findings() {
            lines.push((finding.step, finding.found));
        }
        if let Some(error) = unfetched {
            lines.push(("keys", error));
        }
        if let Some(why) = unknown {
            lines.push(("revoked", format!("not looked at: {why}")));
        }
        lines.extend(decision(&asked, &verdict, &config.policy));
        for (step, found) in lines {
            writeln!(out, "{step:<11} {}", escape_control_chars(&found))?;
        }
        Ok(())
    }
}

/// A request, as a client would send it over HTTP/1.1.
struct Asked {
    method: Method,
    target: String,
    headers: HeaderMap,
    tls: bool,
    from: IpAddr,
}

impl Asked {
    fn read(args: &Args, config: &Config) -> Result<Self, Failure> {
        let usage = |message: &str| Failure::new(exit::USAGE, message);
        let method = Method::from_bytes(args.method.as_bytes())
            .map_err(|_| usage("the METHOD is none: write it as GET, in capitals"))?;
        if method == Method::CONNECT {
            return Err(usage("CONNECT is answered with a bare 405 before anything is judged"));
        }
        let mut headers = HeaderMap::new();
        for (number, header) in args.headers.iter().enumerate() {
            let wrong = || usage(&format!("header {} is none: write it as 'Name: value'", number + 1));
            let (name, value) = header.split_once(':').ok_or_else(wrong)?;
            let name = name.parse::<HeaderName>().map_err(|_| wrong())?;
            headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?);
        }
        let (tls, rest) = match args.url.split_once("://") {
            _ if args.url.starts_with('/') => (config.server.tls(), args.url.as_str()),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => return Err(usage("the URL is none: write it as https://gate.example.com/path, or as /path alone")),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // No client sends what follows a '#'.
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        if !headers.contains_key(HOST) {
            let listens = || config.server.listen().first().map(ToString::to_string).unwrap_or_default();
            let host = if authority.is_empty() { listens() } else { authority.to_owned() };
            let host =
                HeaderValue::from_str(&host).map_err(|_| usage("the host of the URL can't stand in a header"))?;
            headers.insert(HOST, host);
        }
        Ok(Self { method, target, headers, tls, from: args.from })
    }

    fn judge(
        &self,
        config: &Config,
        revoked: &Revocations,
        trace: &Explanation,
        fetch: impl Fn(&Arc<IssuerKeys>) -> Result<(), String>,
    ) -> (Decision, Option<String>) {
        let (known, usage) = (TokenCache::new(0), AddressLimiters::new());
        let head = Head {
            method: &self.method,
            target: self.target.as_bytes(),
            authority: None,
            headers: &self.headers,
            size: self.size(),
            ambiguous_length: self.headers.contains_key(CONTENT_LENGTH) && self.headers.contains_key(TRANSFER_ENCODING),
            has_body: wire::has_body(&self.headers),
            upgrade: wire::asks_for_websocket(&self.headers),
            peer: self.from,
            tls: self.tls,
        };
        let gate = |may_wait| Authorizer {
            policy: &config.policy,
            revoked,
            proxies: config.server.proxies(),
            known: &known,
            usage: &usage,
            uptime: monotonic_now(Instant::now()),
            generation: 1,
            may_wait,
            trace: Some(trace),
        };
        let mut permits = RequestPermits::default();
        match gate(true).decide(&head, now(), &mut permits) {
            Decision::Wait(keys) => {
                let failed = fetch(&keys).err();
                trace.clear();
                (gate(false).decide(&head, now(), &mut permits), failed)
            }
            verdict => (verdict, None),
        }
    }

    /// In bytes, on the wire.
    fn size(&self) -> usize {
        let line = self.method.as_str().len() + self.target.len() + "  HTTP/1.1\r\n".len();
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
        line + headers.sum::<usize>() + "\r\n".len()
    }
}

/// What the gate would refuse, though it was signed well, as the store has it. Nothing is written.
async fn revocations(config: &Config) -> Result<Revocations, StoreError> {
    let store = open_read_only(&config.store).await?;
    let revoked = Revocations::new();
    let learnt = load_revocations(&*store, &revoked, 0, now()).await;
    store.close().await;
    learnt.map(|_| revoked)
}

type Line = (&'static str, String);

fn decision(asked: &Asked, verdict: &Decision, policy: &Policy) -> Vec<Line> {
    match verdict {
        Decision::Grant(grant) => forwarded(asked, grant, policy),
        Decision::Login(admitted) => login(admitted),
        Decision::Preflight(preflight) => {
            let method = preflight.method.to_str().unwrap_or_default();
            vec![("decision", format!("204: the gate answers the preflight, and lets the page send {method}"))]
        }
        Decision::Jwks(_) => vec![("decision", "200: the gate answers with public keys".into())],
        Decision::Refusal(refusal) => vec![("decision", refused(refusal))],
        Decision::Wait(_) => Vec::new(),
    }
}

fn refused(refusal: &Denial) -> String {
    let (status, row) = (refusal.status(), refusal.deny.response());
    format!("{} {}: {}", status.as_u16(), row.reason, refusal.detail())
}

fn login(admitted: &AdmittedLogin) -> Vec<Line> {
    let mut lines = Vec::new();
    match &admitted.token {
        _ if admitted.master => lines.push(("token", "none needed: the master key is good".into())),
        Ok(claims) => lines.push(("token", format!("good: subject {:?}", claims.subject))),
        Err(deny) if deny.response().status == StatusCode::UNAUTHORIZED && admitted.tokens.is_empty() => {
            lines.push(("token", format!("{}, where one is needed", deny.response().reason)));
        }
        Err(_) => {}
    }
    for accepted in &admitted.tokens {
        lines.push(("token", format!("good: subject {:?}", accepted.claims.subject)));
    }
    lines.push(("decision", "the gate answers it: what, depends on the body".into()));
    lines
}

fn forwarded(asked: &Asked, grant: &Grant, policy: &Policy) -> Vec<Line> {
    let server = |server: &ServerAddress| {
        let place = server.address().map_or_else(|| server.authority().to_owned(), |address| address.to_string());
        match server.name() {
            Some(name) => format!("{place} over TLS as {name}"),
            None => place,
        }
    };
    let servers: Vec<_> = grant.route().upstream().servers().iter().map(server).collect();
    let mut lines = vec![
        ("decision", format!("forwarded to {}", servers.join(" or "))),
        ("request", format!("{} {}", asked.method, without_values(&String::from_utf8_lossy(grant.target())))),
    ];
    let Some(headers) = preview_headers(&asked.headers, grant, policy) else { return lines };
    let values = |map: &HeaderMap, name: &HeaderName| map.get_all(name).iter().cloned().collect::<Vec<_>>();
    for name in headers.keys().filter(|name| values(&headers, name) != values(&asked.headers, name)) {
        let value = match (name, name.as_str()) {
            (&COOKIE, _) => "as it came, less the cookies of realms".into(),
            (_, "x-auth-assertion") => "a token that says all this, signed by the realm".into(),
            (_, "x-request-id") => "an id of its own".into(),
            _ => headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .unwrap_or_default(),
        };
        lines.push(("set", format!("{name}: {value}")));
    }
    for name in asked.headers.keys().filter(|name| !headers.contains_key(*name)) {
        lines.push(("removed", name.to_string()));
    }
    for name in removed_members(asked.target.as_bytes(), grant.target()) {
        lines.push(("removed", format!("{name}, a member of the query")));
    }
    if let Some(most) = grant.body_size() {
        lines.push(("body", format!("up to {most} bytes")));
    }
    lines
}

/// The names of the members that `kept` lacks of those that `came` has; what is left stands there in the same order.
fn removed_members(came: &[u8], kept: &[u8]) -> Vec<String> {
    let members = |target: &[u8]| -> Vec<Vec<u8>> {
        let query = target.splitn(2, |byte| *byte == b'?').nth(1);
        query.into_iter().flat_map(|query| query.split(|byte| *byte == b'&')).map(<[u8]>::to_vec).collect()
    };
    let mut kept = members(kept).into_iter().peekable();
    let removed = members(came).into_iter().filter(|member| kept.next_if_eq(member).is_none());
    removed
        .map(|member| {
            String::from_utf8_lossy(member.split(|byte| *byte == b'=').next().unwrap_or_default()).into_owned()
        })
        .collect()
}

/// The target without what its query says: it may be a secret of the app's.
fn without_values(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.into() };
    let names = query.split('&').map(|member| match member.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".into(),
    });
    format!("{path}?{}", names.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:8080\"]\ntrusted_proxies = [\"192.0.2.1\"]\n\
        [store]\nurl = \"sqlite://none.db\"\n[limits]\nrate = 10\nburst = 5\nhead_size = \"1KiB\"\n\
        [[realm]]\nname = \"main\"\nissuer = \"https://gate.example\"\norigins = [\"https://app.example\"]\ncookie = \"t\"\nrequire_key = true\n\
        [[realm.key]]\nid = \"web\"\nsecret = \"hunter2hunter2hunter2\"\nconcurrent = 3\n\
        [[login]]\ndialect = \"project\"\npath = \"/auth\"\nrealm = \"main\"\n\
        [[route]]\nhost = \"app.example\"\npath = \"/notes\"\nrealm = \"main\"\naccess = \"key\"\nupstream = [\"http://127.0.0.1:3000\", \"http://127.0.0.1:3001\"]\n\
        body_size = \"1KiB\"\n[[route]]\npath = \"/admin\"\nrealm = \"main\"\naccess = \"user\"\nroles = [\"admin\"]\nupstream = [\"http://127.0.0.1:3000\"]\n";

    fn explain(line: &str, headers: &[&str]) -> Result<String, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, CONFIG).unwrap();
        let (method, url) = line.split_once(' ').unwrap();
        let args = Args {
            config: ConfigFile { path },
            method: method.into(),
            url: url.into(),
            headers: headers.iter().map(|header| (*header).to_owned()).collect(),
            from: "192.0.2.1".parse().unwrap(),
        };
        let mut out = Vec::new();
        args.run(&mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_step_in_its_order_and_no_secret() {
        let told = explain(
            "GET http://app.example/notes/1?a=hunter2&key=hunter2hunter2hunter2#x",
            &[
                "Authorization: Bearer hunter2.hunter2",
                "X-Forwarded-For: 203.0.113.9",
                "X-Auth-Subject: hunter2",
                "Cookie: t=hunter2; other=hunter2",
            ],
        )
        .unwrap();
        let lines: Vec<_> = told.lines().filter(|line| !line.starts_with("revoked")).collect();
        assert_eq!(
            lines,
            [
                "path        /notes/1, in its canonical form",
                "path_rules  strict, since the route does not decide about a whole host",
                "rule        route[0], host app.example, path /notes, access key, realm main",
                "client      203.0.113.9, without TLS",
                "limits      10 a second and 5 at once on top",
                "key         \"web\", good; its limit: 3 at once",
                "origin      none: no browser says where it comes from",
                "credential  the realm's cookie; the Authorization header is the app's",
                "token       token_malformed, and none is needed: it goes on without an identity",
                "decision    forwarded to 127.0.0.1:3000 or 127.0.0.1:3001",
                "request     GET /notes/1?a=…",
                "set         cookie: as it came, less the cookies of realms",
                "set         x-auth-realm: main",
                "set         x-auth-key-id: web",
                "set         x-request-id: an id of its own",
                "set         x-forwarded-for: 203.0.113.9, 192.0.2.1",
                "set         x-forwarded-proto: http",
                "set         x-forwarded-host: app.example",
                "removed     x-auth-subject",
                "removed     key, a member of the query",
                "body        up to 1024 bytes",
            ]
        );
        assert!(told.contains("revoked     not looked at: ") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn what_is_refused_says_why_and_what_is_answered_here_says_so() {
        for (line, headers, last) in [
            ("GET https://app.example/notes//1", &[][..], "400 target_invalid"),
            ("GET https://app.example/", &[], "404 route_not_found"),
            ("GET https://app.example/notes", &["Host: other.example"], "404 route_not_found"),
            ("GET /admin", &[], "403 key_missing"),
            ("GET /admin", &["X-API-Key: guess"], "400 key_unknown"),
            ("GET /admin?key=hunter2hunter2hunter2", &["Origin: https://evil.example"], "403 origin_denied"),
            ("GET /admin?key=hunter2hunter2hunter2", &[], "401 token_missing"),
            ("POST /admin?key=hunter2hunter2hunter2", &["Cookie: t=x"], "403 origin_missing"),
            (
                "POST https://app.example/notes?key=hunter2hunter2hunter2",
                &["Content-Length: 2000"],
                "413 body_too_large",
            ),
            ("GET /admin", &["Content-Length: 1", "Transfer-Encoding: chunked"], "400 framing_invalid"),
            ("GET /.well-known/jwks.json", &[], "200: the gate answers with public keys"),
            ("POST /auth?key=hunter2hunter2hunter2&login=true", &[], "the gate answers it"),
            (
                "OPTIONS /admin",
                &["Origin: https://app.example", "Access-Control-Request-Method: GET"],
                "204: the gate answers the preflight, and lets the page send GET",
            ),
        ] {
            let told = explain(line, headers).unwrap();
            let decision = told.lines().find_map(|line| line.strip_prefix("decision    ")).unwrap();
            assert!(decision.starts_with(last), "{line}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        let long = format!("X-Long: {}", "a".repeat(1000));
        assert!(explain("GET /admin", &[&long]).unwrap().contains("431 head_too_large"));
    }

    #[test]
    fn what_is_no_request_is_a_usage_error_that_quotes_nothing() {
        for (line, headers) in [
            ("G(T /", &[][..]),
            ("CONNECT /hunter2", &[]),
            ("GET hunter2", &[]),
            ("GET ftp://hunter2/", &[]),
            ("GET http://hunter2\n/", &[]),
            ("GET /", &["Authorization hunter2"]),
            ("GET /", &["A b: hunter2"]),
            ("GET /", &["A: hunter2\u{0}"]),
        ] {
            let failure = explain(line, headers).unwrap_err();
            assert_eq!(failure.code, exit::USAGE, "{line}");
            assert!(!failure.lines.concat().contains("hunter2"), "{failure:?}");
        }
    }

    #[test]
    fn values_of_a_query_are_not_shown() {
        assert_eq!(without_values("/a?b=c&d&e=f=g"), "/a?b=…&…&e=…");
        assert_eq!(without_values("/a"), "/a");
    }
}
