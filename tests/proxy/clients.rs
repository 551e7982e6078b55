//! Third-party clients and servers: curl with a cookie jar, Node's fetch as rested.dev documents it, PyJWT, and as
//! applications aiohttp and Node's http server.

use std::fs;

use serde_json::{Value, json};

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

// === curl ===

#[test]
fn curl_logs_in_with_a_cookie_jar_and_out_again() {
    let (app, gate) = gate();
    gate.register("alice");
    let jar = gate.dir.path().join("jar");
    let jar = jar.to_str().unwrap();
    let body = json!({"username": "alice", "password": PASSWORD}).to_string();
    let url = |path: &str| format!("http://{}{path}", gate.addr);
    let json = "Content-Type: application/json";
    // curl keeps Secure cookies of 127.0.0.1 over http: it counts as a secure context there, as in browsers.
    curl(&["-f", "-c", jar, "-H", json, "-d", &body, &url(&auth("login=true"))]).ok();
    let kept = fs::read_to_string(jar).unwrap();
    let line = kept.lines().find(|line| line.contains(COOKIE)).expect("the cookie in the jar");
    let fields: Vec<_> = line.split('\t').collect();
    assert!(fields[0].starts_with("#HttpOnly_"), "{line}");
    assert_eq!((fields[2], fields[3]), ("/", "TRUE"), "path and secure: {line}");
    let expires: i64 = fields[4].parse().unwrap();
    assert!((expires - now() - 2_592_000).abs() < 120, "{line}");

    let page = curl(&["-f", "-b", jar, "-H", &format!("X-API-Key: {KEY}"), &url("/app/x")]).ok();
    assert!(page.stdout.contains("\"X-Auth-Username\"") || page.stdout.to_lowercase().contains("x-auth-username"));
    let me: Value = serde_json::from_str(&curl(&["-f", "-b", jar, &url(&auth("dataOnly=true"))]).ok().stdout).unwrap();
    assert_eq!(me, json!({"username": "alice"}));
    curl(&["-f", "-b", jar, "-c", jar, "-X", "POST", &url(&auth("logout=true"))]).ok();
    assert!(!fs::read_to_string(jar).unwrap().contains(COOKIE), "the cookie left the jar");
    let refused = curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        &format!("X-API-Key: {KEY}"),
        "-H",
        &format!("Cookie: {COOKIE}={}", fields[6]),
        &url("/app/x"),
    ]);
    assert_eq!(refused.ok().stdout, "401");
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn curl_speaks_http_2_by_prior_knowledge_where_it_is_on() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    let ran = curl(&[
        "--http2-prior-knowledge",
        "-w",
        "%{http_version} %{http_code}",
        "-H",
        &format!("X-API-Key: {KEY}"),
        &format!("http://{}/open/fixed", gate.addr),
    ])
    .ok();
    assert_eq!(ran.stdout, "hello2 200");
}

#[test]
fn curl_uploads_and_downloads_with_expect_and_chunks() {
    let (app, gate) = gate();
    let big = gate.dir.path().join("big");
    fs::write(&big, vec![7_u8; 3 << 20]).unwrap();
    let file = format!("@{}", big.display());
    let url = format!("http://{}/open/x?key={KEY}", gate.addr);
    for extra in [vec![], vec!["-H", "Expect: 100-continue"], vec!["-H", "Transfer-Encoding: chunked"]] {
        let mut arguments = vec!["-f", "--data-binary", &file, &url];
        arguments.extend(extra);
        let answer: Value = serde_json::from_str(&curl(&arguments).ok().stdout).unwrap();
        assert_eq!(answer["length"], 3 << 20);
    }
    assert_eq!(app.seen().len(), 3);
}

// === Node ===

#[test]
fn node_fetch_does_what_rested_dev_documents() {
    let (_app, gate) = gate();
    let script = r"
        const [base, key, auth] = process.argv.slice(2);
        const url = (query) => `${base}${auth}?key=${key}${query}`;
        const json = { 'Content-Type': 'application/json' };
        const assert = (good, what) => { if (!good) throw new Error(what); };
        let answer = await fetch(url(''), { method: 'POST', headers: json,
            body: JSON.stringify({ username: 'jane', password: 'hidden from the world', city: 'Bern' }) });
        assert(answer.status === 200, `register ${answer.status}`);
        const record = await answer.json();
        assert(record.data.city === 'Bern' && !('password' in record.data), JSON.stringify(record));

        answer = await fetch(url('&login=true&noATCookie=true'), { method: 'POST', headers: json,
            body: JSON.stringify({ username: 'jane', password: 'hidden from the world' }) });
        assert(answer.status === 200, `login ${answer.status}`);
        const token = answer.headers.get('authorization');
        assert(token !== null && answer.headers.get('set-cookie') === null, 'the token, and only in the header');

        const me = await fetch(url(''), { headers: { Authorization: token }, credentials: 'include' });
        assert(me.status === 200 && (await me.json()).uniqueId === record.uniqueId, `who am I ${me.status}`);
        const page = await fetch(`${base}/app/data?key=${key}`, { headers: { Authorization: token }, credentials: 'include' });
        assert(page.status === 200, `app ${page.status}`);
        const seen = Object.fromEntries((await page.json()).headers.map(([name, value]) => [name.toLowerCase(), value]));
        assert(seen['x-auth-username'] === 'jane' && !('authorization' in seen), JSON.stringify(seen));

        answer = await fetch(url(`&uniqueId=${record.uniqueId}&strategy=merge`), { method: 'PUT',
            headers: { ...json, Authorization: token }, body: JSON.stringify({ city: 'Basel' }) });
        assert(answer.status === 200 && (await answer.json()).data.city === 'Basel', `update ${answer.status}`);
        answer = await fetch(url('&logout=true'), { method: 'POST', headers: { Authorization: token } });
        assert(answer.status === 200, `logout ${answer.status}`);
        const after = await fetch(`${base}/app/data?key=${key}`, { headers: { Authorization: token } });
        assert(after.status === 401 && (await after.json()).reason === 'token_revoked', `after ${after.status}`);
        console.log('done');
    ";
    let ran = node(script, &[&format!("http://{}", gate.addr), KEY, AUTH]).ok();
    assert_eq!(ran.stdout.trim(), "done", "{}", ran.stderr);
}

// === PyJWT ===

#[test]
fn pyjwt_decodes_what_we_issue() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let token = gate.log_in("alice");
    let script = r#"
import base64, json, sys
import jwt
path, token = sys.argv[1:]
key = jwt.PyJWK.from_dict(json.load(open(path)))
header = jwt.get_unverified_header(token)
assert header == {"alg": "HS256", "typ": "at+jwt", "kid": key.key_id}, header
claims = jwt.decode(token, key.key, algorithms=["HS256"], audience="examples", issuer="https://gate.example.com",
                    options={"require": ["exp", "nbf", "iat", "iss", "aud", "sub", "jti"], "strict_aud": True})
print(json.dumps(claims))
"#;
    let key = gate.key_files()[0].to_str().unwrap().to_owned();
    let ran = python(script, &[&key, &token]).ok();
    let decoded: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(decoded["sub"], record["uniqueId"]);
    assert_eq!(decoded, claims(&token));
}

#[test]
fn pyjwt_forges_what_we_refuse() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let script = r#"
import json, sys, time
import jwt
path, token = sys.argv[1:]
jwk = json.load(open(path))
key = jwt.PyJWK.from_dict(jwk).key
good = jwt.decode(token, options={"verify_signature": False})
headers = {"typ": "at+jwt", "kid": jwk["kid"]}
now = int(time.time())
def make(claims=None, key=key, algorithm="HS256", drop=(), **header):
    claims = {name: value for name, value in {**good, **(claims or {})}.items() if name not in drop}
    return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm, {**headers, **header})
tokens = {"good": make()}
tokens["alg none"] = make(algorithm="none", key=None)
tokens["another key"] = make(key=b"another key, of thirty-two bytes")
tokens["empty key id"] = make(kid="")
tokens["HS384"] = make(algorithm="HS384")
tokens["HS512"] = make(algorithm="HS512")
tokens["typ JWT"] = make(typ="JWT")
tokens["another kid"] = make(kid="other")
tokens["expired"] = make({"exp": now - 60})
tokens["not yet"] = make({"nbf": now + 600})
tokens["iss"] = make({"iss": "https://evil.example.net"})
tokens["aud"] = make({"aud": "others"})
tokens["aud list"] = make({"aud": ["examples"]})
for name in ["exp", "nbf", "iat", "iss", "aud", "sub", "jti"]:
    tokens["no " + name] = make(drop=[name])
for name in ["exp", "nbf", "iat"]:
    for value in [str(now + 600), now + 600.5, 1e300, -1, 2 ** 70, None, [now + 600], True, {}, float("inf")]:
        tokens[f"{name} {value!r}"] = make({name: value})
tokens["HMAC with k as it is written"] = make(key=jwk["k"].encode())
tokens["detached"] = token.split(".")[0] + ".." + token.split(".")[2]
print(json.dumps(tokens))
"#;
    let key = gate.key_files()[0].to_str().unwrap().to_owned();
    let ran = python(script, &[&key, &token]).ok();
    let tokens: Value = serde_json::from_str(&ran.stdout).unwrap();
    let tokens = tokens.as_object().unwrap();
    assert!(tokens.len() > 40, "{}", tokens.len());
    for (what, token) in tokens {
        let answer = gate.visit(token.as_str().unwrap());
        let expected = if what == "good" { 200 } else { 401 };
        assert_eq!(answer.status, expected, "{what}: {}", answer.text());
        if expected == 401 {
            assert!(answer.reason().starts_with("token_"), "{what}: {}", answer.text());
        }
    }
    assert_eq!(app.seen().len(), 1, "the good one");
}

// === real servers behind Tollgate ===

const AIOHTTP: &str = r#"
import asyncio, hashlib
from aiohttp import web, WSMsgType

async def upload(request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_chunked(65536):
        digest.update(chunk)
        size += len(chunk)
    return web.json_response({"size": size, "sha256": digest.hexdigest(), "user": request.headers.get("X-Auth-Username")})

async def download(request):
    size = int(request.query["size"])
    response = web.StreamResponse()
    if request.query.get("length"):
        response.content_length = size
    await response.prepare(request)
    piece = bytes(range(256)) * 256
    while size > 0:
        await response.write(piece[:size])
        size -= len(piece)
    await response.write_eof()
    return response

async def form(request):
    posted = await request.post()
    return web.json_response({name: value if isinstance(value, str) else value.file.read().decode() for name, value in posted.items()})

async def socket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await ws.send_str("hello " + request.headers["X-Auth-Username"])
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data.upper())
        elif message.type == WSMsgType.BINARY:
            await ws.send_bytes(message.data[::-1])
    return ws

async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(5):
        await response.write(f"data: {number}\n\n".encode())
        await asyncio.sleep(0)
    return response

app = web.Application(client_max_size=1 << 30)
app.add_routes([web.post("/app/upload", upload), web.get("/app/download", download), web.post("/app/form", form),
                web.get("/app/socket", socket), web.get("/app/events", events)])

async def main():
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"#;

#[test]
fn aiohttp_behind_the_gate_with_an_aiohttp_client() {
    let server = python_server(AIOHTTP);
    let gate = Conf::with_upstream(&format!("[\"http://127.0.0.1:{}\"]", server.port)).start();
    let token = gate.user("alice");
    let client = r#"
import asyncio, hashlib, sys
import aiohttp
base, key, token = sys.argv[1:]
headers = {"X-API-Key": key, "Authorization": "Bearer " + token}
big = bytes(range(256)) * 4096 * 50

async def pieces():
    for at in range(0, len(big), 1 << 20):
        yield big[at:at + (1 << 20)]

async def main():
    async with aiohttp.ClientSession(headers=headers) as session:
        for body in [b"", b"x", big, pieces()]:
            async with session.post(base + "/app/upload", data=body) as answer:
                assert answer.status == 200, answer.status
                told = await answer.json()
                sent = body if isinstance(body, bytes) else big
                assert told == {"size": len(sent), "sha256": hashlib.sha256(sent).hexdigest(), "user": "alice"}, told
        for length in ["", "1"]:
            async with session.get(base + "/app/download", params={"size": len(big), "length": length}) as answer:
                got = await answer.read()
                assert got == big, len(got)
        data = aiohttp.FormData({"a": "b"})
        data.add_field("file", b"of bytes", filename="f", content_type="text/plain")
        async with session.post(base + "/app/form", data=data) as answer:
            assert await answer.json() == {"a": "b", "file": "of bytes"}
        async with session.ws_connect(base + "/app/socket") as ws:
            assert await ws.receive_str() == "hello alice"
            for round in range(50):
                await ws.send_str(f"text {round}")
                assert await ws.receive_str() == f"TEXT {round}"
            blob = big[:1 << 20]
            await ws.send_bytes(blob)
            assert await ws.receive_bytes() == blob[::-1]
            await ws.ping()
        async with session.get(base + "/app/events", headers={"Accept": "text/event-stream"}) as answer:
            assert answer.content_type == "text/event-stream"
            assert await answer.text() == "".join(f"data: {number}\n\n" for number in range(5))
        # Many at once, over connections that are kept.
        async def one(number):
            async with session.post(base + "/app/upload", data=str(number).encode() * 1000) as answer:
                return (await answer.json())["size"]
        sizes = await asyncio.gather(*(one(number) for number in range(200)))
        assert sizes == [1000 * len(str(number)) for number in range(200)]
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as session:
        try:
            await session.ws_connect(base + "/app/socket")
            raise AssertionError("a socket without a token")
        except aiohttp.WSServerHandshakeError as error:
            assert error.status == 401, error
    print("done")

asyncio.run(main())
"#;
    let ran = python(client, &[&format!("http://{}", gate.addr), KEY, &token]).ok();
    assert_eq!(ran.stdout.trim(), "done", "{}", ran.stderr);
}

#[test]
fn nodes_http_server_behind_the_gate() {
    let server = node_server(
        r"
        import http from 'node:http';
        import crypto from 'node:crypto';
        const sockets = new Set();
        const server = http.createServer((request, answer) => {
            sockets.add(request.socket);
            if (request.url.startsWith('/app/sockets')) return answer.end(String(sockets.size));
            if (request.url.startsWith('/app/chunks')) {
                for (let at = 0; at < 100; at += 1) answer.write(`${at},`);
                return answer.end();
            }
            const hash = crypto.createHash('sha256');
            let size = 0;
            request.on('data', (part) => { hash.update(part); size += part.length; });
            request.on('end', () => {
                answer.setHeader('Content-Type', 'application/json');
                answer.end(JSON.stringify({ method: request.method, url: request.url, size, sha256: hash.digest('hex'),
                    user: request.headers['x-auth-username'] ?? null, cookie: request.headers.cookie ?? null }));
            });
        });
        server.keepAliveTimeout = 60000;
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    ",
    );
    let gate = Conf::with_upstream(&format!("[\"http://127.0.0.1:{}\"]", server.port)).start();
    let token = gate.user("alice");
    let mut conn = gate.conn();
    for size in [0, 1, 65_535, 65_536, 5 << 20] {
        let body: Vec<u8> = (0..size).map(|at: usize| u8::try_from(at % 251).unwrap()).collect();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let middle = body.len() / 2;
        for request in [
            put(format!("/app/x?key={KEY}&size={size}")).body(&body),
            put(format!("/app/x?key={KEY}&size={size}")).chunks(&body.chunks(middle.max(1)).collect::<Vec<_>>()),
        ] {
            let told = conn.ask(&request.bearer(&token).header("Cookie", "a=1")).expect(200).json();
            let expected = json!({"method": "PUT", "url": format!("/app/x?size={size}"), "size": size, "sha256": hex, "user": "alice", "cookie": "a=1"});
            assert_eq!(told, expected);
        }
    }
    let chunks = conn.ask(&get("/app/chunks").key().bearer(&token)).expect(200).text();
    assert_eq!(chunks, (0..100).map(|number| format!("{number},")).collect::<String>());
    let sockets: usize = conn.ask(&get("/app/sockets").key().bearer(&token)).expect(200).text().parse().unwrap();
    assert!(sockets <= 3, "{sockets} connections for a dozen requests in a row");
}
