//! A raw HTTP/1.1 client: it sends exactly the bytes that a test wants, and reads answers strictly.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A request to be. Nothing in it is checked or corrected.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    host: Option<String>,
    without_host: bool,
    body: Vec<u8>,
}

/// A request with this method and target.
pub fn request(method: &str, target: impl Into<String>) -> Request {
    Request {
        method: method.into(),
        target: target.into(),
        headers: Vec::new(),
        host: None,
        without_host: false,
        body: Vec::new(),
    }
}

pub fn get(target: impl Into<String>) -> Request {
    request("GET", target)
}

pub fn post(target: impl Into<String>) -> Request {
    request("POST", target)
}

pub fn put(target: impl Into<String>) -> Request {
    request("PUT", target)
}

pub fn delete(target: impl Into<String>) -> Request {
    request("DELETE", target)
}

impl Request {
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }

    pub fn without_host(mut self) -> Self {
        self.without_host = true;
        self
    }

    /// `X-API-Key` with the standard key.
    pub fn key(self) -> Self {
        self.header("X-API-Key", super::KEY)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// The standard realm's cookie.
    pub fn cookie(self, token: &str) -> Self {
        self.header("Cookie", format!("{}={token}", super::COOKIE))
    }

    pub fn origin(self, origin: &str) -> Self {
        self.header("Origin", origin)
    }

    /// A body with `Content-Length`.
    pub fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body = bytes.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", length)
    }

    /// A JSON body, with its Content-Type.
    pub fn json(self, value: &Value) -> Self {
        self.header("Content-Type", "application/json").body(value.to_string())
    }

    /// A chunked body.
    pub fn chunks(mut self, chunks: &[&[u8]]) -> Self {
        for chunk in chunks {
            self.body.extend(format!("{:x}\r\n", chunk.len()).bytes());
            self.body.extend_from_slice(chunk);
            self.body.extend(b"\r\n");
        }
        self.body.extend(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    /// The bytes on the wire.
    pub fn bytes(&self, default_host: &str) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.without_host {
            out.extend(format!("Host: {}\r\n", self.host.as_deref().unwrap_or(default_host)).bytes());
        }
        for (name, value) in &self.headers {
            out.extend(name.bytes());
            out.extend(b": ");
            out.extend(value);
            out.extend(b"\r\n");
        }
        out.extend(b"\r\n");
        out.extend(&self.body);
        out
    }

    /// Sends it over a connection of its own and reads the answer.
    pub fn send(&self, to: SocketAddr) -> Response {
        Conn::open(to).ask(self)
    }

    /// As [`Request::send`], where a broken connection is an answer too.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Response> {
        Conn::try_open(to)?.try_ask(self)
    }
}

/// One connection.
pub struct Conn {
    stream: TcpStream,
    host: String,
    buffered: Vec<u8>,
}

impl Conn {
    pub fn open(to: SocketAddr) -> Self {
        Self::try_open(to).unwrap_or_else(|error| panic!("connect to {to}: {error}"))
    }

    pub fn try_open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, super::PATIENCE)?;
        Self::over(stream, to)
    }

    /// A connection from another loopback address, for what Tollgate counts per address.
    pub fn open_from(from: Ipv4Addr, to: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
        // Not for children: a process that another test starts would keep the connection open.
        let fd = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&fd, &SocketAddr::from((from, 0))).unwrap();
        connect(&fd, &to).unwrap();
        Self::over(TcpStream::from(fd), to).unwrap()
    }

    fn over(stream: TcpStream, to: SocketAddr) -> io::Result<Self> {
        stream.set_read_timeout(Some(super::PATIENCE))?;
        stream.set_write_timeout(Some(super::PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: to.to_string(), buffered: Vec::new() })
    }

    pub fn set_read_timeout(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("write to the gate");
    }

    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// No more will be sent.
    pub fn finish_writing(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Goes with a reset.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    pub fn ask(&mut self, request: &Request) -> Response {
        self.try_ask(request)
            .unwrap_or_else(|error| panic!("no answer to {} {}: {error}", request.method, request.target))
    }

    pub fn try_ask(&mut self, request: &Request) -> io::Result<Response> {
        // A gate that answers early and closes makes the rest of a long body fail: its answer counts.
        let sent = self.stream.write_all(&request.bytes(&self.host));
        match self.try_read(request.method == "HEAD") {
            Ok(answer) => Ok(answer),
            Err(error) => sent.and(Err(error)),
        }
    }

    pub fn read(&mut self) -> Response {
        self.try_read(false).expect("an answer")
    }

    pub fn try_read(&mut self, head_only: bool) -> io::Result<Response> {
        let mut response = self.try_read_head()?;
        let none = head_only || response.status == 101 || response.status == 204 || response.status == 304;
        response.body = if none {
            Vec::new()
        } else if response.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            while let Some(chunk) = self.try_read_chunk()? {
                body.extend(chunk);
            }
            body
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(|_| bad("content-length"))?;
            self.try_read_exactly(length)?
        } else {
            self.try_read_to_end()?
        };
        Ok(response)
    }

    /// The head alone, of the first answer that is not a 100.
    pub fn read_head(&mut self) -> Response {
        self.try_read_head().expect("the head of an answer")
    }

    pub fn try_read_head(&mut self) -> io::Result<Response> {
        loop {
            let end = loop {
                if let Some(at) = self.buffered.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                self.fill()?;
            };
            let head: Vec<u8> = self.buffered.drain(..end).collect();
            let response = Response::parse(&head).ok_or_else(|| bad("head of an answer"))?;
            if !(100..=199).contains(&response.status) || response.status == 101 {
                return Ok(response);
            }
        }
    }

    /// One chunk of a chunked body; `None` after the last.
    pub fn try_read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.try_read_line()?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|_| bad("chunk size"))?;
        if size == 0 {
            while !self.try_read_line()?.is_empty() {}
            return Ok(None);
        }
        let chunk = self.try_read_exactly(size)?;
        if self.try_read_exactly(2)? != b"\r\n" {
            return Err(bad("end of a chunk"));
        }
        Ok(Some(chunk))
    }

    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        self.try_read_exactly(length).expect("bytes")
    }

    pub fn try_read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffered.len() < length {
            self.fill()?;
        }
        Ok(self.buffered.drain(..length).collect())
    }

    pub fn try_read_to_end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffered));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the other side closes (or resets) within `limit`, whatever it sends before.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        let end = std::time::Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            self.set_read_timeout(left);
            match self.fill() {
                Ok(()) => {}
                Err(error) => {
                    return !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                }
            }
        }
    }

    fn try_read_line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(at) = self.buffered.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            self.fill()?;
        };
        let line: Vec<u8> = self.buffered.drain(..end + 2).collect();
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        self.buffered.extend_from_slice(&buffer[..count]);
        Ok(())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    fn parse(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let first = lines.next()?;
        let status = first.strip_prefix("HTTP/1.1 ").or_else(|| first.strip_prefix("HTTP/1.0 "))?;
        let status = status.get(..3)?.parse().ok()?;
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Self { status, headers, body: Vec::new() })
    }

    /// The answer that these bytes are, once all of it is there. It must have a Content-Length.
    pub fn complete(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let mut response = Self::parse(&bytes[..end])?;
        let length: usize = response.header("content-length").unwrap_or("0").parse().ok()?;
        response.body = bytes.get(end..end + length)?.to_vec();
        Some(response)
    }

    /// The one value of this header. Panics if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "several {name}: {all:?}");
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The members of a header that is a list.
    pub fn list(&self, name: &str) -> Vec<String> {
        let all = self.all(name);
        all.iter().flat_map(|value| value.split(',')).map(|item| item.trim().to_ascii_lowercase()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} with a body that is no JSON ({error}): {}", self.status, self.text()))
    }

    /// The reason code of a problem answer; "" if it has none.
    pub fn reason(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| body.get("reason").and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_default()
    }

    /// Asserts the status, and says the body where it differs.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// Asserts a refusal: the status, the reason code, and the form of docs/errors.md.
    #[track_caller]
    pub fn refused(self, status: u16, reason: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.reason(), reason, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let body = answer.json();
        assert_eq!(body["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body}");
        }
        assert_eq!(body.as_object().unwrap().len(), 5, "{body}");
        answer
    }

    /// The value of the standard cookie in `Set-Cookie`, and its attributes in lower case.
    pub fn set_cookie(&self, name: &str) -> Option<(String, Vec<String>)> {
        let prefix = format!("{name}=");
        let ours: Vec<_> = self.all("set-cookie").into_iter().filter(|value| value.starts_with(&prefix)).collect();
        assert!(ours.len() < 2, "{ours:?}");
        let mut parts = ours.first()?.split(';').map(str::trim);
        let value = parts.next()?.strip_prefix(&prefix)?.to_owned();
        let mut attributes: Vec<_> = parts.map(str::to_ascii_lowercase).collect();
        attributes.sort();
        Some((value, attributes))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}
