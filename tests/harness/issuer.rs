//! An identity provider: a raw-socket server of key sets and discovery documents that counts fetches, and misbehaves in
//! every way that a test requires.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::free_port;

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Serve {
    /// These bytes, head and body, and the end of the connection.
    Raw(Vec<u8>),
    /// This head, and then a chunk again and again until the other side has had enough.
    Endless(Vec<u8>),
    /// Nothing, until the other side gives up.
    Hang,
    /// The answer, after [`Issuer::release`].
    Held(Box<Self>),
}

impl Serve {
    /// 200 and this JSON.
    pub fn json(value: &Value) -> Self {
        Self::body("application/json", value.to_string())
    }

    /// A key set of these keys.
    pub fn keys(keys: &[Value]) -> Self {
        Self::json(&json!({"keys": keys}))
    }

    /// 200 with a body of this type.
    pub fn body(kind: &str, body: impl AsRef<[u8]>) -> Self {
        Self::answer("200 OK", &format!("Content-Type: {kind}\r\n"), body)
    }

    /// A status, header lines, and a body with its length.
    pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        Self::Raw(bytes)
    }

    /// 302 to there.
    pub fn redirect(to: &str) -> Self {
        Self::answer("302 Found", &format!("Location: {to}\r\n"), "")
    }

    /// The same, after [`Issuer::release`].
    pub fn held(self) -> Self {
        Self::Held(Box::new(self))
    }
}

/// A running one. Dropping it ends its threads and connections.
pub struct Issuer {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Serve>>,
    fetched: Mutex<HashMap<String, usize>>,
    requests: Mutex<Vec<String>>,
    released: (Mutex<bool>, Condvar),
    stopping: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// Where the tests' issuers have their keys.
pub const JWKS: &str = "/jwks.json";
/// OpenID Connect Discovery 1.0, 4.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Issuer {
    /// One that answers 404 to everything yet.
    pub fn start() -> Self {
        // Reserved: it must still be free when the issuer comes back.
        let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut issuer = Self { addr, shared: Arc::default(), acceptor: None };
        issuer.accept(listener);
        issuer
    }

    /// An issuer with its key set at [`JWKS`].
    pub fn with_keys(keys: &[Value]) -> Self {
        let issuer = Self::start();
        issuer.serve(JWKS, Serve::keys(keys));
        issuer
    }

    /// `path` answers so from now on.
    pub fn serve(&self, path: &str, how: Serve) {
        self.shared.pages.lock().unwrap().insert(path.into(), how);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// How often `path` was asked for.
    pub fn fetched(&self, path: &str) -> usize {
        self.shared.fetched.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Lets the held answers go; for good.
    pub fn release(&self) {
        *self.shared.released.0.lock().unwrap() = true;
        self.shared.released.1.notify_all();
    }

    /// From now on its port refuses connections.
    pub fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }

    /// Listens again, where it did before.
    pub fn come_back(&mut self) {
        self.shared.stopping.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(self.addr).unwrap();
        self.accept(listener);
    }

    fn accept(&mut self, listener: TcpListener) {
        let shared = self.shared.clone();
        self.acceptor = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(clone) = stream.try_clone() {
                    shared.open.lock().unwrap().push(clone);
                }
                let shared = shared.clone();
                std::thread::spawn(move || {
                    // However it ends: the test looks at what was fetched, and at what Tollgate made of it.
                    let _ = answer(&stream, &shared);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        }));
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.release();
        self.stop();
    }
}

fn answer(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(super::PATIENCE))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    shared.requests.lock().unwrap().push(head);
    *shared.fetched.lock().unwrap().entry(target.clone()).or_default() += 1;
    let page = shared.pages.lock().unwrap().get(&target).cloned();
    let mut page = page.unwrap_or_else(|| Serve::answer("404 Not Found", "", "nothing here"));
    while let Serve::Held(inner) = page {
        let (released, changed) = &shared.released;
        let guard = released.lock().unwrap();
        drop(changed.wait_timeout_while(guard, super::PATIENCE, |released| !*released));
        page = *inner;
    }
    match page {
        Serve::Raw(bytes) => stream.write_all(&bytes),
        Serve::Endless(head) => {
            stream.write_all(&head)?;
            let chunk = [b"1000\r\n".as_slice(), &[b' '; 0x1000], b"\r\n"].concat();
            let end = Instant::now() + super::PATIENCE;
            while Instant::now() < end {
                stream.write_all(&chunk)?;
            }
            Ok(())
        }
        Serve::Hang | Serve::Held(_) => {
            while stream.read(&mut byte)? > 0 {}
            Ok(())
        }
    }
}

/// A gzip stream (RFC 1952) of `text` and then this many spaces: a small answer that unpacks to a huge one. The spaces
/// are runs of 258 in the fixed code of RFC 1951, 3.2.6.
pub fn gzip_bomb(text: &[u8], spaces: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let length = u16::try_from(text.len()).unwrap();
    out.push(0);
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend_from_slice(text);
    let mut bits: Vec<bool> = vec![true, true, false];
    let code = |bits: &mut Vec<bool>, value: u16, width: u32| {
        bits.extend((0..width).rev().map(|at| value >> at & 1 == 1));
    };
    // A space, then "258 bytes from one back": length code 285, distance code 0.
    code(&mut bits, 0x30 + 0x20, 8);
    for _ in 0..spaces / 258 {
        code(&mut bits, 0b1100_0101, 8);
        code(&mut bits, 0, 5);
    }
    code(&mut bits, 0, 7);
    out.extend(
        bits.chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0_u8, |packed, (at, bit)| packed | u8::from(*bit) << at)),
    );
    // The check sum and the length, which a reader that stops in time does not read.
    out.extend([0; 8]);
    out
}

/// The tests believe it, so it is tested without a process.
#[test]
fn the_issuer_counts_stops_and_comes_back() {
    use super::get;
    let mut issuer = Issuer::with_keys(&[json!({"kid": "a"})]);
    let ask = |path: &str| get(path).try_send(issuer.addr);
    assert_eq!(ask(JWKS).unwrap().expect(200).json(), json!({"keys": [{"kid": "a"}]}));
    ask("/other").unwrap().expect(404);
    assert_eq!((issuer.fetched(JWKS), issuer.fetched("/other"), issuer.fetched("/")), (1, 1, 0));
    issuer.serve("/to", Serve::redirect("/there"));
    assert_eq!(ask("/to").unwrap().expect(302).header("location"), Some("/there"));
    issuer.serve("/slow", Serve::body("text/plain", "late").held());
    let addr = issuer.addr;
    let waiting = std::thread::spawn(move || get("/slow").send(addr).text());
    super::until_true(Duration::from_secs(5), "it asks", || issuer.fetched("/slow") == 1);
    issuer.release();
    assert_eq!(waiting.join().unwrap(), "late");
    issuer.stop();
    assert!(get(JWKS).try_send(addr).is_err());
    issuer.come_back();
    get(JWKS).send(addr).expect(200);
    let unpacked = super::python(
        "import base64, sys, zlib\nprint(zlib.decompressobj(-15).decompress(base64.b64decode(sys.argv[1])[10:]) == b'{}' + b' ' * (1 + 258 * 3))",
        &[&base64::Engine::encode(&base64::engine::general_purpose::STANDARD, gzip_bomb(b"{}", 258 * 3))],
    );
    assert_eq!(unpacked.ok().stdout.trim(), "True");
}
