//! The application behind Tollgate: a raw-socket server that keeps the exact bytes of every request, and answers by the
//! last segment of the path:
//!
//! `fixed` 5 bytes · `chunked` three chunks · `big-N` N bytes · `status-N` · `until-close` · `cors` with headers of its
//! own · `stream`, `sse` and, with a length, `held` in two parts, the second after [`App::release`] · `slow` after
//! [`App::release`] · `hang` never · `reset` RST instead of an answer · `close` closes instead · `close-reused` too,
//! unless it is the connection's first request · `partial` breaks off · `reset-body` by RST · `no-http` · `early`
//! without reading the body · `ws` 101, then every byte back, `ws-slow` after [`App::release`] · `health` whatever
//! [`App::set_health`] says · anything else: JSON of what came.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

/// A running app. Dropping it ends its threads and connections.
pub struct App {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    released: (Mutex<bool>, Condvar),
    stopping: AtomicBool,
    connections: AtomicUsize,
    ended: AtomicUsize,
    /// The status of `health`, if it is not 200.
    health: AtomicU16,
    /// How every request but those to `health` is answered, whatever its path.
    manner: Mutex<Option<&'static str>>,
    open: Mutex<Vec<TcpStream>>,
}

/// One request, as it came.
#[derive(Clone)]
pub struct Seen {
    /// Everything up to and with the empty line.
    pub head: Vec<u8>,
    /// Which connection brought it, from 0.
    pub connection: usize,
    body: Arc<Mutex<Vec<u8>>>,
}

impl App {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener)
    }

    pub fn on(listener: TcpListener) -> Self {
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let with_acceptor = shared.clone();
        let acceptor = std::thread::spawn(move || accept(&listener, &with_acceptor));
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    /// As the config wants it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every request so far, in the order in which their heads came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them have ended.
    pub fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// The one request since the last call of [`App::forget`].
    #[track_caller]
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{:?}", seen.iter().map(Seen::line).collect::<Vec<_>>());
        seen[0].clone()
    }

    #[track_caller]
    pub fn saw_nothing(&self) {
        let seen = self.seen();
        assert!(seen.is_empty(), "the app saw {:?}", seen.iter().map(Seen::line).collect::<Vec<_>>());
    }

    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// From now on every request is answered as if its path ended with this; `None`: as its own path says.
    pub fn behave(&self, manner: Option<&'static str>) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// The status of `health` from now on.
    pub fn set_health(&self, status: u16) {
        self.shared.health.store(status, Ordering::SeqCst);
    }

    /// Has answers wait for [`App::release`] anew.
    pub fn hold(&self) {
        *self.shared.released.0.lock().unwrap() = false;
    }

    /// Lets the answers go on that wait for it; for good, unless [`App::hold`] says so.
    pub fn release(&self) {
        *self.shared.released.0.lock().unwrap() = true;
        self.shared.released.1.notify_all();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.release();
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    pub fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    pub fn method(&self) -> String {
        self.line().split(' ').next().unwrap_or_default().to_owned()
    }

    pub fn target(&self) -> String {
        self.line().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// As it came, whatever bytes it has.
    pub fn raw_target(&self) -> Vec<u8> {
        self.head.split(|byte| *byte == b' ').nth(1).unwrap_or_default().to_vec()
    }

    pub fn headers(&self) -> Vec<(String, String)> {
        let text = self.text();
        let lines = text.split("\r\n").skip(1).filter(|line| !line.is_empty());
        lines
            .map(|line| line.split_once(':').unwrap_or((line, "")))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers().into_iter().filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "several {name}: {all:?}");
        all.pop()
    }

    /// Header values by folded name: what an application sees that takes `_` and `.` for `-` (WSGI, PHP).
    pub fn folded(&self, name: &str) -> Vec<String> {
        let fold = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
        self.headers().into_iter().filter(|(of, _)| fold(of) == fold(name)).map(|(_, value)| value).collect()
    }

    /// The body so far, without its chunks' framing.
    pub fn body(&self) -> Vec<u8> {
        self.body.lock().unwrap().clone()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        // Else the second part of an answer waits until the first is acknowledged, some 40 ms.
        let _ = stream.set_nodelay(true);
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(clone) = stream.try_clone() {
            shared.open.lock().unwrap().push(clone);
        }
        let shared = shared.clone();
        std::thread::spawn(move || {
            let mut connection = Connection { stream, buffered: Vec::new(), number, served: 0, shared, aborted: false };
            // However a connection ends: the test looks at what was seen and answered.
            while matches!(connection.serve_one(), Ok(true)) {}
            if !connection.aborted {
                let _ = connection.stream.shutdown(Shutdown::Both);
            }
            connection.shared.ended.fetch_add(1, Ordering::SeqCst);
        });
    }
}

struct Connection {
    stream: TcpStream,
    buffered: Vec<u8>,
    number: usize,
    served: usize,
    shared: Arc<Shared>,
    aborted: bool,
}

impl Connection {
    /// Whether another request may follow.
    fn serve_one(&mut self) -> io::Result<bool> {
        let end = loop {
            if let Some(at) = self.buffered.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill()? {
                return Ok(false);
            }
        };
        let head = self.buffered.drain(..end).collect();
        let seen = Seen { head, connection: self.number, body: Arc::default() };
        self.shared.seen.lock().unwrap().push(seen.clone());
        let target = seen.target();
        let path = target.split('?').next().unwrap_or_default();
        let mut last = path.rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(manner) = self.shared.manner.lock().unwrap().filter(|_| last != "health") {
            last = manner.to_owned();
        }
        self.served += 1;
        if last == "early" {
            self.stream.write_all(b"HTTP/1.1 413 Too Much\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly")?;
            return Ok(false);
        }
        self.read_body(&seen)?;
        self.answer(&seen, &last)
    }

    fn answer(&mut self, seen: &Seen, last: &str) -> io::Result<bool> {
        match last {
            "fixed" => self.fixed(seen, 200, b"hello")?,
            "chunked" => {
                self.stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                self.stream.write_all(b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")?;
            }
            "stream" | "sse" => {
                let kind = if last == "sse" { "text/event-stream" } else { "application/octet-stream" };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
                self.stream.write_all(head.as_bytes())?;
                self.stream.write_all(b"d\r\ndata: first\n\n\r\n")?;
                self.wait_for_release();
                self.stream.write_all(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")?;
            }
            "held" => {
                self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst ")?;
                self.wait_for_release();
                self.stream.write_all(b"second")?;
            }
            "slow" => {
                self.wait_for_release();
                self.fixed(seen, 200, b"late")?;
            }
            "hang" => {
                while self.fill()? {}
                return Ok(false);
            }
            "reset" => return self.reset(),
            "close" => return Ok(false),
            "close-reused" if self.served > 1 => return Ok(false),
            "reset-body" => {
                self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")?;
                return self.reset();
            }
            "no-http" => {
                self.stream.write_all(b"220 mail.example.com ESMTP\r\n\r\n")?;
                return Ok(false);
            }
            "health" => match self.shared.health.load(Ordering::SeqCst) {
                0 => self.fixed(seen, 200, b"well")?,
                status => self.fixed(seen, status, b"unwell")?,
            },
            "partial" => {
                self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")?;
                return Ok(false);
            }
            "until-close" => {
                self.stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end")?;
                return Ok(false);
            }
            "cors" => {
                let head = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: false\r\n\
                     Access-Control-Expose-Headers: X-App\r\nVary: Accept-Encoding\r\nSet-Cookie: app=1; Path=/\r\n\
                     X-App: yes\r\nContent-Length: 2\r\n\r\nok";
                self.stream.write_all(head.as_bytes())?;
            }
            "ws" => return self.echo_bytes(seen, false),
            "ws-slow" => return self.echo_bytes(seen, true),
            _ => {
                if let Some(size) = last.strip_prefix("big-").and_then(|size| size.parse().ok()) {
                    self.fixed(seen, 200, &pattern(size))?;
                } else if let Some(status) = last.strip_prefix("status-").and_then(|status| status.parse().ok()) {
                    self.fixed(seen, status, b"as you wish")?;
                } else {
                    let body = json!({
                        "method": seen.method(), "target": seen.target(), "headers": seen.headers(),
                        "length": seen.body().len(), "connection": seen.connection,
                    });
                    self.fixed(seen, 200, body.to_string().as_bytes())?;
                }
            }
        }
        Ok(true)
    }

    fn reset(&mut self) -> io::Result<bool> {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))?;
        // Without a shutdown, and with the clone gone that Drop would use, closing sends the RST.
        self.aborted = true;
        let own = self.stream.peer_addr()?;
        self.shared.open.lock().unwrap().retain(|open| open.peer_addr().ok() != Some(own));
        Ok(false)
    }

    fn fixed(&mut self, seen: &Seen, status: u16, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        self.stream.write_all(head.as_bytes())?;
        if seen.method() == "HEAD" { Ok(()) } else { self.stream.write_all(body) }
    }

    fn echo_bytes(&mut self, seen: &Seen, waits: bool) -> io::Result<bool> {
        let accept = seen.header("sec-websocket-key").map(|key| accept_key(&key)).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes())?;
        loop {
            let bytes = std::mem::take(&mut self.buffered);
            if waits && !bytes.is_empty() {
                self.wait_for_release();
            }
            self.stream.write_all(&bytes)?;
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    fn read_body(&mut self, seen: &Seen) -> io::Result<()> {
        if seen.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
                self.take(size, &seen.body)?;
                self.line()?;
                if size == 0 {
                    return Ok(());
                }
            }
        }
        let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        self.take(length, &seen.body)
    }

    fn take(&mut self, mut length: usize, into: &Mutex<Vec<u8>>) -> io::Result<()> {
        while length > 0 {
            if self.buffered.is_empty() && !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = length.min(self.buffered.len());
            into.lock().unwrap().extend(self.buffered.drain(..count));
            length -= count;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(at) = self.buffered.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let line: Vec<u8> = self.buffered.drain(..end + 2).collect();
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer)?;
        self.buffered.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    fn wait_for_release(&self) {
        let (released, changed) = &self.shared.released;
        let guard = released.lock().unwrap();
        let _ = changed.wait_timeout_while(guard, super::PATIENCE, |released| !*released);
    }
}

/// Bytes that a cut or a swap would show in.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at / 251 + at) % 251).unwrap_or_default()).collect()
}

/// RFC 6455, 4.2.2.
pub fn accept_key(key: &str) -> String {
    use base64::Engine as _;
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest.as_ref())
}

/// The tests believe what the application and the client say, so these two are tested against each other, without a
/// process.
#[test]
fn the_app_and_the_client_agree() {
    use super::{Conn, get, post, request};
    let app = App::start();
    let mut conn = Conn::open(app.addr);
    let told = conn.ask(&post("/x?y=1").header("A_b", "1").body("body")).expect(200).json();
    assert_eq!((told["method"].as_str(), told["target"].as_str()), (Some("POST"), Some("/x?y=1")));
    let seen = app.only();
    let host = app.addr;
    assert_eq!(seen.text(), format!("POST /x?y=1 HTTP/1.1\r\nHost: {host}\r\nA_b: 1\r\nContent-Length: 4\r\n\r\n"));
    assert_eq!((seen.body(), seen.folded("a-B")), (b"body".to_vec(), vec!["1".to_owned()]));
    assert_eq!(conn.ask(&post("/fixed").chunks(&[b"a", b"bc"])).body, b"hello");
    assert_eq!(app.seen()[1].body(), b"abc");
    assert_eq!(conn.ask(&get("/chunked")).body, b"onetwothree");
    assert!(conn.ask(&request("HEAD", "/fixed")).body.is_empty());
    assert_eq!(conn.ask(&get("/status-418")).status, 418);
    assert_eq!(conn.ask(&get("/big-70000")).body, pattern(70_000));
    assert_eq!(app.connections(), 1);
    let reset = get("/reset").try_send(app.addr).unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(get("/until-close").send(app.addr).body, b"to the end");
    assert_eq!(get("/partial").try_send(app.addr).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let mut conn = Conn::open(app.addr);
    conn.write("GET /ws HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly");
    assert_eq!(conn.read().header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(conn.read_exactly(5), b"early");
    let mut conn = Conn::open(app.addr);
    conn.write("GET /sse HTTP/1.1\r\n\r\n");
    assert_eq!(conn.read_head().status, 200);
    assert_eq!(conn.try_read_chunk().unwrap().unwrap(), b"data: first\n\n");
    app.release();
    assert_eq!(conn.try_read_chunk().unwrap().unwrap(), b"data: second\n\n");
    assert_eq!(conn.try_read_chunk().unwrap(), None);
}
