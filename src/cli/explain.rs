//! `tollgate explain`: the decision about a request and its reason, by the code that judges requests.

use std::io::Write;
use std::net::IpAddr;
use std::time::Instant;

use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::ConfigFile;
use super::token_inspect::escape_control_chars;
use crate::clock::{monotonic_now, now};
use crate::config::{Config, Mode, Policy, ServerAddress, load};
use crate::exit::{self, Failure};
use crate::gate::{
    AddressLimiters, AdmittedLogin, Authorizer, Decision, Denial, Explanation, Grant, Pending, RequestPermits,
    TokenCache, wire,
};
use crate::ops::fetch_keys;
use crate::proxy::judge::{Arrival, Loader, Protocol, decide};
use crate::proxy::{preview_headers, refusal_status};
use crate::store::{StoreError, load_revocations, open_read_only};
use crate::token::Revocations;

/// Print the decision about a request, and the reason. Nothing is sent, and nothing is counted
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// HTTP method of the request
    // No value_parser, here and below: clap's error would repeat a key or token in the value.
    #[arg(value_name = "METHOD")]
    method: String,
    /// https://HOST/PATH?QUERY, http://…, or /PATH alone, which is sent to the first listen address
    #[arg(value_name = "URL")]
    url: String,
    /// A header of the request; can be repeated. Its credentials are not printed
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// IP address of the client
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,
}

impl Args {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Start)?;
        let asked = Asked::read(self, &config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (revoked, unknown) = match runtime.block_on(revocations(&config)) {
            Ok(revoked) => (revoked, None),
            Err(why) => (Revocations::new(), Some(why)),
        };
        let trace = Explanation::default();
        let mut fetch = Fetch { policy: &config.policy, error: None };
        let verdict = runtime.block_on(asked.decide(&config, &revoked, &trace, &mut fetch));

        let mut lines = Vec::new();
        for finding in trace.findings() {
            lines.push((finding.step, finding.found));
        }
        if let Some(error) = fetch.error {
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
            .map_err(|_| usage("invalid METHOD: write an HTTP method in upper case, such as GET"))?;
        if method == Method::CONNECT {
            return Err(usage("CONNECT is answered with a bare 405 before anything is judged"));
        }
        let mut headers = HeaderMap::new();
        for (number, header) in args.headers.iter().enumerate() {
            let wrong = || usage(&format!("invalid header {}: write it as 'Name: value'", number + 1));
            let (name, value) = header.split_once(':').ok_or_else(wrong)?;
            let name = name.parse::<HeaderName>().map_err(|_| wrong())?;
            headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?);
        }
        let (tls, rest) = match args.url.split_once("://") {
            _ if args.url.starts_with('/') => (config.server.tls, args.url.as_str()),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => return Err(usage("invalid URL: write it as https://gate.example.com/path, or as /path alone")),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Clients do not send the part after a '#'.
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        if !headers.contains_key(HOST) {
            let listens = || config.server.listen.first().map(ToString::to_string).unwrap_or_default();
            let host = if authority.is_empty() { listens() } else { authority.to_owned() };
            let host =
                HeaderValue::from_str(&host).map_err(|_| usage("the host of the URL is not valid in a header"))?;
            headers.insert(HOST, host);
        }
        Ok(Self { method, target, headers, tls, from: args.from })
    }

    async fn decide(
        &self,
        config: &Config,
        revoked: &Revocations,
        trace: &Explanation,
        fetch: &mut Fetch<'_>,
    ) -> Decision {
        let (known, usage) = (TokenCache::new(0), AddressLimiters::new());
        let raw = self.head();
        let arrival = Arrival {
            method: &self.method,
            headers: &self.headers,
            protocol: Protocol::Http1 { raw: &raw, target: None, authority: None },
            has_body: wire::has_body(&self.headers),
            upgrade: wire::asks_for_websocket(&self.headers),
            peer: Some(self.from),
            tls: self.tls,
        };
        let authorizer = Authorizer {
            policy: &config.policy,
            revoked,
            proxies: &config.server.proxies,
            known: &known,
            usage: &usage,
            uptime: monotonic_now(Instant::now()),
            generation: 1,
            may_wait: true,
            trace: Some(trace),
        };
        decide(authorizer, &arrival, &mut RequestPermits::default(), fetch).await
    }

    /// Returns the bytes of the head.
    fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        head
    }
}

/// Fetches keys, in place of the task that fetches them in the background.
struct Fetch<'a> {
    policy: &'a Policy,
    error: Option<String>,
}

impl Loader for Fetch<'_> {
    async fn load(&mut self, Pending::Keys(keys): &Pending) {
        self.error = fetch_keys(self.policy, keys).await.err();
    }
}

/// Loads the revocations of the store. Writes nothing.
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
    let (status, row) = (refusal_status(refusal), refusal.deny.response());
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
        let place = server.address().map_or_else(|| server.authority.to_owned(), |address| address.to_string());
        match server.name.as_ref() {
            Some(name) => format!("{place} over TLS as {name}"),
            None => place,
        }
    };
    let servers: Vec<_> = grant.route().upstream.servers.iter().map(server).collect();
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

/// Returns the names of the members of `came` that `kept` lacks. Both are in the same order.
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

/// Returns the target without the values of the query, which can be secrets of the application.
fn without_values(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.into() };
    let names = query.split('&').map(|member| match member.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".into(),
    });
    format!("{path}?{}", names.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests;
