//! From the bytes of a request's head to what the application gets of it, and what must be true of that.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::Cursor;
use std::net::IpAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, TRANSFER_ENCODING};
use http::{Method, Request};
use ipnet::IpNet;
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::server::HttpSession;
use tollgate::config::{Access, CorsBy, ForwardedFamily, Host, Proxies, RouteMatch};
use tollgate::gate::{Authorizer, ClientInfo, Decision, Explanation, Grant, Head, RequestPermits, cookies, wire};
use tollgate::proxy::preview_headers;

use super::fixture::{Good, KEY, NOW, SETUP, is_free_of_secrets};

/// A request as pingora read it.
pub struct Read {
    pub header: RequestHeader,
    /// Request line and headers, as they came.
    pub raw: Vec<u8>,
    /// What came after.
    pub body: Vec<u8>,
}

/// Reads a head as Tollgate does, with pingora's parser.
pub fn read(bytes: &[u8]) -> Option<Read> {
    thread_local! {
        static RUNTIME: OnceCell<tokio::runtime::Runtime> = const { OnceCell::new() };
    }
    let mut session = HttpSession::new(Box::new(Cursor::new(bytes.to_vec())));
    let done = RUNTIME.with(|runtime| {
        let new = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.get_or_init(new).block_on(session.read_request())
    });
    done.ok()??;
    let raw = session.get_headers_raw_bytes().to_vec();
    let body = bytes.strip_prefix(&*raw).unwrap_or_default().to_vec();
    Some(Read { header: session.req_header().clone(), raw, body })
}

/// A client and what the connection knows of it.
#[derive(Clone, Copy)]
pub struct From {
    pub peer: IpAddr,
    pub tls: bool,
}

/// From nowhere in particular, and from a proxy that is believed.
pub fn callers() -> [From; 2] {
    [From { peer: [192, 0, 2, 7].into(), tls: true }, From { peer: [10, 0, 0, 1].into(), tls: false }]
}

fn trusted() -> Proxies {
    let network = IpNet::new([10, 0, 0, 0].into(), 8).expect("a network");
    Proxies::new(vec![network], ForwardedFamily::XForwarded, true)
}

/// Has Tollgate judge it, with the tokens that were seen before remembered or not. `findings` is what it wrote down.
pub fn judge(read: &Read, from: From, remembered: bool, findings: &Explanation) -> Decision {
    let (header, setup) = (&read.header, &*SETUP);
    let has_body = wire::has_body(&header.headers);
    let both = header.headers.contains_key(TRANSFER_ENCODING) && wire::names_content_length(&read.raw);
    let head = Head {
        method: &header.method,
        target: wire::target(&read.raw).unwrap_or_default(),
        authority: header.uri.authority().map(http::uri::Authority::as_str),
        headers: &header.headers,
        size: read.raw.len(),
        ambiguous_length: has_body && both,
        has_body,
        upgrade: wire::asks_for_websocket(&header.headers),
        peer: from.peer,
        tls: from.tls,
    };
    let gate = Authorizer {
        policy: &setup.policy,
        revoked: &setup.revoked,
        proxies: &trusted(),
        known: if remembered { &setup.known } else { &setup.unknown },
        usage: &setup.usage,
        uptime: Duration::ZERO,
        generation: 1,
        may_wait: false,
        trace: Some(findings),
    };
    gate.decide(&head, NOW, &mut RequestPermits::default())
}

/// Judges it in every way, and holds what comes of it against what must be true. Whether the application gets it.
pub fn check(read: &Read) -> bool {
    let mut granted = false;
    for from in callers() {
        let findings = Explanation::default();
        let first = judge(read, from, false, &findings);
        says_no_secret(read, &findings);
        let again = judge(read, from, true, &Explanation::default());
        assert_eq!(told(&first), told(&again), "a token that is known changes nothing");
        assert_eq!(told(&again), told(&judge(read, from, true, &Explanation::default())), "judged twice");
        match first {
            Decision::Grant(grant) => {
                rightly(read, from, &grant);
                granted = true;
            }
            Decision::Refusal(refusal) => {
                let row = refusal.deny.response();
                assert!(row.status.is_client_error() || row.status.is_server_error());
                let told = format!("{:?} {row:?} {:?}", refusal.deny, refusal.set_cookie);
                assert!(is_free_of_secrets(&told), "{told}");
            }
            Decision::Preflight(asked) => {
                assert_eq!(read.header.method, Method::OPTIONS);
                assert_eq!(read.header.headers.get_all(ORIGIN).iter().count(), 1);
                assert!(read.header.headers.contains_key(ORIGIN) && asked.cors.origin != "*");
            }
            Decision::Jwks(_) => assert!(matches!(read.header.method, Method::GET | Method::HEAD)),
            Decision::Login(_) => {}
            Decision::Wait(_) => panic!("nobody waits here"),
        }
    }
    granted
}

/// A verdict in words, without what is random in it.
pub fn told(verdict: &Decision) -> String {
    match verdict {
        Decision::Grant(grant) => format!(
            "{} {} {:?} {:?} {:?} {} {:?}",
            grant.route().index,
            grant.target().escape_ascii(),
            grant.authority(),
            grant.client(),
            grant.identity(),
            grant.assertion().is_some(),
            grant.cors()
        ),
        Decision::Login(to) => format!(
            "{} {:?} {} {:?} {} {:?} {:?} {:?} {:?}",
            to.login.login.index,
            to.endpoint().operation,
            to.realms.len(),
            to.query,
            to.master,
            to.token,
            to.tokens.iter().map(|accepted| accepted.marks).collect::<Vec<_>>(),
            to.client,
            to.cors
        ),
        Decision::Preflight(asked) => format!("{asked:?}"),
        Decision::Jwks(keys) => format!("{} bytes", keys.len()),
        Decision::Refusal(refusal) => {
            let operation = refusal.login.as_ref().map(|found| found.endpoint().operation);
            format!("{:?} {:?} {operation:?} {:?}", refusal.deny, refusal.place, refusal.cors)
        }
        Decision::Wait(_) => "wait".into(),
    }
}

/// What `tollgate explain` shows holds a secret only where the client wrote one into what is none.
fn says_no_secret(read: &Read, findings: &Explanation) {
    let path = wire::target(&read.raw).unwrap_or_default().split(|byte| *byte == b'?').next().unwrap_or_default();
    let shown = [HOST, ORIGIN].map(|name| read.header.headers.get_all(name).iter().cloned().collect::<Vec<_>>());
    let shown: Vec<u8> =
        shown.iter().flatten().flat_map(|value| value.as_bytes().to_vec()).chain(decoded_bytes(path)).collect();
    if is_free_of_secrets(&String::from_utf8_lossy(&shown)) {
        let found = format!("{:?}", findings.findings());
        assert!(is_free_of_secrets(&found), "{found}");
    }
}

/// What must be true of every request that an application gets.
fn rightly(read: &Read, from: From, grant: &Grant) {
    let headers = &read.header.headers;
    let target = wire::target(&read.raw).expect("a target");
    let (path, query) = split(target);

    // R5: the path that was judged, byte for byte; of the query all but what is Tollgate's.
    let (to_path, to_query) = split(grant.target());
    assert_eq!(to_path, path);
    assert_eq!(
        to_query.map(<[u8]>::to_vec),
        query.and_then(|query| without_ours(query, grant)),
        "{}",
        target.escape_ascii()
    );
    let path = std::str::from_utf8(path).expect("text");
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let authority = read.header.uri.authority().map(|authority| authority.as_str().as_bytes());
    assert_eq!(Some(grant.authority().as_bytes()), host.or(authority));

    // R8, R9: whatever an application makes of the path, it is no other route's.
    let name = grant.authority().to_str().expect("a host").to_ascii_lowercase();
    let name = name.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = name.map_or_else(|| grant.authority().to_str().unwrap_or_default(), |(host, _)| host);
    let host = Host::parse(host).expect("a host");
    // A preflight that is the application's to answer goes where what it asks about would.
    let asked = read.header.headers.get("access-control-request-method").filter(|_| {
        read.header.method == Method::OPTIONS && headers.contains_key(ORIGIN) && grant.route().cors == CorsBy::App
    });
    let method = asked.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let method = method.as_ref().unwrap_or(&read.header.method);
    for reading in readings(path) {
        match SETUP.policy.routing.find(&host, &reading, method) {
            Ok(RouteMatch::Route(route)) if route.index == grant.route().index => {}
            other => panic!("{path} is {reading} to some, and {other:?}"),
        }
    }

    entitled(read, from, grant);
    forwarded(read, from, grant);
}

/// Path and query.
fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = target.iter().position(|byte| *byte == b'?');
    end.map_or((target, None), |end| (&target[..end], Some(&target[end + 1..])))
}

/// Members of a query but `key`, under whatever spelling, in a realm that has keys, which needs one here. In the others
/// the whole query is the application's.
fn without_ours(query: &[u8], grant: &Grant) -> Option<Vec<u8>> {
    if !grant.route().realm.has_api_keys() {
        return Some(query.to_vec());
    }
    let ours = |member: &&[u8]| {
        let name = member.split(|byte| *byte == b'=').next().unwrap_or_default();
        let spaced: Vec<u8> = name.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        let name = decoded_bytes(&spaced);
        name == b"key"
    };
    let split = || query.split(|byte| *byte == b'&');
    let kept: Vec<_> = split().filter(|member| !ours(member)).collect();
    let all = kept.len() == split().count();
    if kept.is_empty() && !all { None } else { Some(kept.join(&b"&"[..])) }
}

/// Every escape decoded, as the laxest reader does.
pub fn decoded(text: &str) -> Vec<u8> {
    decoded_bytes(text.as_bytes())
}

fn decoded_bytes(bytes: &[u8]) -> Vec<u8> {
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let escape = escape.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// The path as applications read it: those that decode once or twice, resolve dot segments, merge slashes, cut
/// parameters off, before or after, take a back-slash for a slash, or end it at a NUL.
fn readings(path: &str) -> Vec<String> {
    let decode = |path: &str| String::from_utf8(decoded(path)).expect("UTF-8");
    let once = decode(path);
    let twice = decode(&once);
    let bare = |path: &str| -> String {
        let segments: Vec<_> = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
        segments.join("/")
    };
    let cut = |path: &str| path.split('\0').next().unwrap_or_default().to_owned();
    let all = [
        once.clone(),
        twice,
        bare(&once),
        decode(&bare(path)),
        cut(&once),
        once.replace('\\', "/"),
        bare(&once.replace('\\', "/")),
    ];
    all.iter().flat_map(|path| [path.clone(), resolved(path)]).collect()
}

/// RFC 3986, 5.2.4, and no empty segment but the last.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        match *segment {
            ".." => drop(kept.pop()),
            "." => {}
            "" if at + 1 < segments.len() => {}
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// The credentials that the route asks for stand in the request, whole, and once or always the same.
fn entitled(read: &Read, from: From, grant: &Grant) {
    let (headers, route) = (&read.header.headers, grant.route());
    let realm = &route.realm;
    let principal = grant.principal();
    assert!(route.access != Access::User || principal.is_some(), "nobody got in");
    let mut keys: Vec<Vec<u8>> = headers.get_all("x-api-key").iter().map(|value| value.as_bytes().to_vec()).collect();
    let query = read.raw.split(|byte| *byte == b' ').nth(1).map(String::from_utf8_lossy).unwrap_or_default();
    let query = query.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
    for member in query.split('&') {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        if decoded(&name.replace('+', " ")) == b"key" {
            keys.push(decoded(&value.replace('+', " ")));
        }
    }
    keys.retain(|key| !key.is_empty());
    if realm.require_key || route.access == Access::Key {
        assert!(!keys.is_empty() && keys.iter().all(|key| key == KEY.as_bytes()), "{keys:?}");
    }

    let roles = principal.map(|principal| principal.claims().roles.clone()).unwrap_or_default();
    assert!(route.roles.is_empty() || route.roles.iter().any(|role| roles.contains(role)));
    assert!(!route.require_mfa || principal.is_some_and(|principal| principal.claims().mfa));
    let Some(principal) = principal else {
        let said = grant.identity().map(|identity| identity.headers().len()).unwrap_or_default();
        assert!(said == 0 || (said == 1 && route.access == Access::Key), "an identity of nobody's");
        return;
    };
    let is = |good: &&Good| good.realm == realm.name && good.subject == principal.claims().subject;
    let is_whole = |value: &[u8]| {
        SETUP.good.iter().filter(is).any(|good| {
            let right = good.text.as_bytes() == value;
            assert!(!right || (good.mfa == principal.claims().mfa && good.roles == principal.claims().roles));
            right
        })
    };
    let is_bearer = |one: &HeaderValue| {
        let pair = one.as_bytes().trim_ascii().split_at_checked(7);
        pair.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && is_whole(token.trim_ascii_start())
        })
    };
    let authorizations: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
    match authorizations[..] {
        [one] if is_bearer(one) => {}
        // There is none, or the application has them as they came.
        _ => {
            assert!(authorizations.is_empty() || grant.keeps_authorization(), "{headers:?}");
            let ours = |(name, _): &(&[u8], &[u8])| *name == realm.cookie.name.as_bytes();
            let values: Vec<_> = cookies(headers).filter(ours).map(|(_, value)| value).collect();
            let first = values.first().expect("a cookie");
            assert!(values.iter().all(|value| value == first) && is_whole(first), "{headers:?}");
            assert!(is_from_here(read, from, grant), "another site's doing: {headers:?}");
        }
    }
}

/// R47 to R49: what a browser sends by itself counts only where no other site can have made it do so.
fn is_from_here(read: &Read, from: From, grant: &Grant) -> bool {
    let headers = &read.header.headers;
    let safe = matches!(read.header.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let changes = !safe || wire::asks_for_websocket(headers);
    let origins: Vec<_> = headers.get_all(ORIGIN).iter().map(|value| value.as_bytes().to_ascii_lowercase()).collect();
    let sites: Vec<_> = headers.get_all("sec-fetch-site").iter().collect();
    let is_own = matches!(sites[..], [site] if site == "same-origin");
    match &origins[..] {
        [] => !grant.route().realm.require_origin && (!changes || is_own),
        // Of its own page, which sends no referrer: no page can write Sec-Fetch-Site.
        [origin] if origin == b"null" && is_own => true,
        [origin] => {
            let origin = String::from_utf8_lossy(origin).into_owned();
            let listed = match grant.route().realm.name.as_str() {
                "main" => origin == "null" || is_at(&origin, "https://app.example", "443"),
                "strict" => is_at(&origin, "https://app.example", "443"),
                _ => false,
            };
            let secure = ClientInfo::from_request(from.peer, from.tls, headers, &trusted()).secure;
            let (scheme, port) = if secure { ("https", "443") } else { ("http", "80") };
            let host = grant.authority().to_str().expect("a host").to_ascii_lowercase();
            let host = host.strip_suffix(&format!(":{port}")).unwrap_or(&host).to_owned();
            listed || is_at(&origin, &format!("{scheme}://{host}"), port) || is_same_host(&origin, &host, scheme, port)
        }
        _ => false,
    }
}

fn is_at(origin: &str, allowed: &str, port: &str) -> bool {
    origin == allowed || origin.strip_suffix(&format!(":{port}")).is_some_and(|origin| origin == allowed)
}

/// The same in another spelling: a dot at the end, leading zeros, another form of an IPv6 address.
fn is_same_host(origin: &str, host: &str, scheme: &str, port: &str) -> bool {
    let parts = |text: &str| {
        let (host, port_of) = match text.rsplit_once(':') {
            Some((host, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, digits.parse::<u16>().ok())
            }
            _ => (text, port.parse().ok()),
        };
        Some((Host::parse(host)?, port_of?))
    };
    let origin = origin.strip_prefix(&format!("{scheme}://")).and_then(parts);
    origin.is_some() && origin == parts(host)
}

/// The forwarded request: no header that folds to an identity header, Tollgate's headers once, and no cookie of a
/// realm.
fn forwarded(read: &Read, from: From, grant: &Grant) {
    let came = &read.header.headers;
    let mut named = came.clone();
    // R3: pingora removes the headers that the client's Connection names, before Tollgate's are set.
    for option in came.get_all("connection").iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')) {
        if let Ok(name) = option.trim().parse::<HeaderName>() {
            named.remove(name);
        }
    }
    for came in [came, &named] {
        let sent = preview_headers(came, grant, &SETUP.policy).expect("headers");
        let client = ClientInfo::from_request(from.peer, from.tls, &read.header.headers, &trusted());
        let mut ours: HashMap<String, Vec<u8>> = HashMap::new();
        for (name, value) in grant.identity().map(|identity| identity.headers()).unwrap_or_default() {
            ours.insert(folded(name), value.as_bytes().to_vec());
        }
        let proto = if client.secure { "https" } else { "http" };
        ours.insert("x-forwarded-proto".into(), proto.into());
        ours.insert("x-forwarded-for".into(), client.forwarded_for.clone().into_bytes());
        let host = client.forwarded_host.as_ref().unwrap_or_else(|| grant.authority());
        ours.insert("x-forwarded-host".into(), host.as_bytes().to_vec());
        if let Some(key) = grant.key() {
            ours.insert("x-auth-key-id".into(), key.id.clone().into());
        }
        if let Some(assertion) = grant.assertion() {
            ours.insert("x-auth-assertion".into(), assertion.as_bytes().to_vec());
        }
        ours.insert("x-request-id".into(), Vec::new());
        assert_eq!(client.address.to_canonical(), client.address);
        for hop in client.forwarded_for.split(", ") {
            assert!(hop.parse::<IpAddr>().is_ok(), "{hop}");
        }
        for (name, value) in &ours {
            assert_eq!(sent.get(name.as_str()).map(HeaderValue::as_bytes), Some(value.as_slice()), "{name}");
        }
        for (name, value) in &sent {
            let folded = folded(name);
            assert!(folded != "x-api-key" || !grant.route().realm.has_api_keys(), "a key got through");
            if is_ours(&folded) {
                assert_eq!(ours.get(&folded).map(Vec::as_slice), Some(value.as_bytes()), "{name}: {value:?}");
                assert_eq!(name.as_str(), folded, "an alias got through");
                assert_eq!(sent.get_all(name).iter().count(), 1, "{name}");
            }
        }
        assert_eq!(sent.get_all(HOST).iter().collect::<Vec<_>>(), [grant.authority()]);
        assert_eq!(sent.contains_key(AUTHORIZATION), grant.keeps_authorization() && came.contains_key(AUTHORIZATION));
        assert!(sent.get_all(COOKIE).iter().count() <= 1);
        let own = &SETUP.policy.cookie_names;
        assert!(cookies(&sent).all(|(name, _)| own.iter().all(|own| own.as_bytes() != name)), "{sent:?}");
        as_sent(read, grant, &sent);
    }
}

fn folded(name: &HeaderName) -> String {
    name.as_str().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect()
}

fn is_ours(folded: &str) -> bool {
    const OURS: [&str; 15] = [
        "x-auth-subject",
        "x-auth-username",
        "x-auth-email",
        "x-auth-roles",
        "x-auth-realm",
        "x-auth-token-id",
        "x-auth-issuer",
        "x-auth-assertion",
        "x-auth-client-cert",
        "x-request-id",
        "x-auth-key-id",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "forwarded",
    ];
    OURS.contains(&folded) || folded.starts_with("x-forwarded-")
}

/// Written down and read again it is the same request, and judged again it goes the same way.
fn as_sent(read: &Read, grant: &Grant, sent: &HeaderMap) {
    let method = &read.header.method;
    let mut bytes = [method.as_str().as_bytes(), b" ", grant.target(), b" HTTP/1.1\r\n"].concat();
    for (name, value) in sent {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    if bytes.len() > 16 << 10 || sent.len() > 100 {
        // With Tollgate's headers there can be too many for one.
        return;
    }
    let again = self::read(&bytes).expect("what an app can read");
    assert_eq!(again.raw.len(), bytes.len(), "an app reads two requests");
    assert_eq!(again.header.method, *method);
    assert_eq!(wire::target(&again.raw), Some(grant.target()));
    if !(sent.contains_key("content-length") && sent.contains_key(TRANSFER_ENCODING)) {
        let trimmed = |headers: &HeaderMap| -> Vec<(String, Vec<u8>)> {
            let pairs = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().trim_ascii().to_vec()));
            pairs.collect()
        };
        let (mut one, mut other) = (trimmed(&again.header.headers), trimmed(sent));
        one.sort();
        other.sort();
        assert_eq!(one, other);
    }
    // What pingora would send: the same bytes.
    let mut header = RequestHeader::from(Request::new(()).into_parts().0);
    header.set_method(method.clone());
    header.set_raw_path(grant.target()).expect("a target");
    assert_eq!(header.raw_path(), grant.target());
    let mut credentials = again.header.headers.clone();
    for name in [AUTHORIZATION, COOKIE, ORIGIN] {
        credentials.remove(&name);
        for value in read.header.headers.get_all(&name) {
            credentials.append(&name, value.clone());
        }
    }
    credentials.insert("x-api-key", HeaderValue::from_static(KEY));
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"] {
        credentials.remove(name);
    }
    let mut header = again.header.clone();
    header.set_version(http::Version::HTTP_11);
    let names: Vec<_> = header.headers.keys().cloned().collect();
    names.iter().for_each(|name| drop(header.remove_header(name)));
    for (name, value) in &credentials {
        header.append_header(name.clone(), value.clone()).expect("a header");
    }
    let again = Read { header, raw: again.raw, body: Vec::new() };
    let from = From { peer: [192, 0, 2, 7].into(), tls: grant.client().secure };
    match judge(&again, from, true, &Explanation::default()) {
        Decision::Grant(second) => {
            assert_eq!((second.target(), second.route().index), (grant.target(), grant.route().index));
            assert_eq!(format!("{:?}", second.identity()), format!("{:?}", grant.identity()));
        }
        other => panic!("what was forwarded is refused: {}", told(&other)),
    }
}
