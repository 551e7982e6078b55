//! An application of which a test says every byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A running app. Dropping it ends its connections.
pub struct RawApp {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    heads: Mutex<Vec<(usize, String)>>,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    ended: AtomicUsize,
    stopping: AtomicBool,
}

/// One connection to it.
pub struct RawConnection {
    /// From 0.
    pub number: usize,
    stream: TcpStream,
    came: Vec<u8>,
    shared: Arc<Shared>,
}

impl RawApp {
    /// Has each connection served by `serve`.
    pub fn start(serve: impl Fn(&mut RawConnection) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (serve, for_all) = (Arc::new(serve), shared.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_all.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                for_all.open.lock().unwrap().extend(stream.try_clone());
                let number = for_all.connections.fetch_add(1, Ordering::SeqCst);
                let (serve, shared) = (serve.clone(), for_all.clone());
                std::thread::spawn(move || {
                    let mut connection = RawConnection { number, stream, came: Vec::new(), shared };
                    // However it ends: the test looks at what was seen and answered.
                    let _ = serve(&mut connection);
                    let _ = connection.stream.shutdown(Shutdown::Both);
                    connection.shared.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { addr, shared }
    }

    /// Answers every request with these bytes, and keeps its connections.
    pub fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |connection| {
            while connection.request()?.is_some() {
                connection.write(&answer)?;
            }
            Ok(())
        })
    }

    /// Answers the first request of a connection with these bytes, and closes it.
    pub fn saying_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |connection| {
            if connection.request()?.is_some() {
                connection.write(&answer)?;
            }
            Ok(())
        })
    }

    /// As the configuration wants it.
    pub fn upstream(&self) -> String {
        format!("[\"http://{}\"]", self.addr)
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them have ended.
    pub fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// The heads of the requests so far, each with the number of its connection.
    pub fn heads(&self) -> Vec<(usize, String)> {
        self.shared.heads.lock().unwrap().clone()
    }
}

impl Drop for RawApp {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.addr);
    }
}

impl RawConnection {
    /// The head of the next request; its body, if it has a length, is read and dropped. `None`: the connection has ended.
    pub fn request(&mut self) -> io::Result<Option<String>> {
        let head = self.head()?;
        let Some(head) = head else { return Ok(None) };
        let lower = head.to_ascii_lowercase();
        let length =
            lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        while self.came.len() < length {
            if !self.fill()? {
                return Ok(None);
            }
        }
        self.came.drain(..length);
        Ok(Some(head))
    }

    /// The head of the next request, without its body.
    pub fn head(&mut self) -> io::Result<Option<String>> {
        let end = loop {
            if let Some(at) = self.came.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill()? {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.came.drain(..end).collect::<Vec<_>>()).into_owned();
        self.shared.heads.lock().unwrap().push((self.number, head.clone()));
        Ok(Some(head))
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads so many bytes of a request's body.
    pub fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.came.len() < count {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.came.drain(..count).collect())
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer)?;
        self.came.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}
