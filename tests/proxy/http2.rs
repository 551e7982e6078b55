//! HTTP/2 with clients that no library would be: raw frames (RFC 9113), with heads as HPACK has them (RFC 7541).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A string as it is (RFC 7541, 5.2), of less than 127 bytes.
fn string(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// The pseudo-headers of a GET, none of which gets into the table.
fn get_head(gate: &Gate, path: &str) -> Vec<u8> {
    // :method GET, :scheme http, :path and :authority by the names of the static table.
    [&[0x82, 0x86, 0x04][..], &string(path), &[0x01], &string(&gate.addr.to_string())].concat()
}

/// A field that gets into the table, where it is 62 then.
fn entry(name: &str, value: &str) -> Vec<u8> {
    [&[0x40][..], &string(name), &string(value)].concat()
}

/// References to it, a byte each.
fn references(count: usize) -> Vec<u8> {
    vec![0x80 | 62; count]
}

/// A client with an initial stream window of zero.
struct Client {
    stream: TcpStream,
    next: u32,
}

impl Client {
    fn open(gate: &Gate, window: u32) -> Self {
        let mut stream = TcpStream::connect(gate.addr).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let window = [&[0, 4][..], &window.to_be_bytes()].concat();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &window)].concat()).unwrap();
        Self { stream, next: 1 }
    }

    fn send(&mut self, bytes: &[u8]) {
        // Tollgate may have had enough.
        let _ = self.stream.write_all(bytes);
    }

    fn request(&mut self, head: &[u8], ends: bool) -> u32 {
        let number = self.next;
        self.next += 2;
        self.send(&frame(HEADERS, END_HEADERS | if ends { END_STREAM } else { 0 }, number, head));
        number
    }

    /// The next frame, its kind, flags, stream and payload; `None` at the end of the connection.
    fn next_frame(&mut self, limit: Duration) -> Option<(u8, u8, u32, Vec<u8>)> {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if head[3] == SETTINGS && head[4] == 0 {
            self.send(&frame(SETTINGS, 1, 0, b""));
        }
        Some((head[3], head[4], stream, payload))
    }

    /// Reads on, whatever comes, and tells whether Tollgate has ended the connection until then.
    fn is_ended_at(&mut self, end: Instant) -> bool {
        let mut scrap = [0; 1 << 16];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut scrap) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// Resident memory of Tollgate, in MiB.
fn memory(gate: &Gate) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

/// Opens so many connections, each with 100 streams with this head, and holds them for as long as they last, which is
/// 40 seconds at the most. Returns by how many MiB Tollgate grew.
fn attack(gate: &Gate, connections: usize, first: &[u8], others: &[u8]) -> usize {
    gate.send(&get("/open/fixed").key()).expect(200);
    let before = memory(gate);
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let mut client = Client::open(gate, 0);
            client.request(first, true);
            for _ in 1..100 {
                client.request(others, true);
            }
            client
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(40);
    let holding: Vec<_> =
        clients.into_iter().map(|mut client| std::thread::spawn(move || client.is_ended_at(end))).collect();
    let mut most = 0;
    while holding.iter().any(|one| !one.is_finished()) {
        most = most.max(memory(gate));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(holding.into_iter().all(|one| one.join().unwrap()), "a connection is still open");
    // Meanwhile, and after it, others are served.
    gate.send(&get("/open/fixed").key()).expect(200);
    most.saturating_sub(before)
}

#[test]
fn r58_answers_that_nobody_takes_hold_neither_memory_nor_connections() {
    let app = App::start();
    let gate = || Conf::new(&app).server("h2c", "true").start();
    let attacks = [(2_000, "/app/x"), (250, "/app/x"), (250, "/nowhere"), (2_000, "/open/x")].map(|(count, path)| {
        let gate = gate();
        std::thread::spawn(move || {
            let first = [get_head(&gate, path), entry("abcdefgh", "ijklmnop"), references(count)].concat();
            let others = [get_head(&gate, path), references(count)].concat();
            let grown = attack(&gate, 40, &first, &others);
            assert!(grown <= 100, "{count} references at {path}: {grown} MiB");
        })
    });
    for attack in attacks {
        attack.join().unwrap();
    }
}

#[test]
fn r58_answers_of_an_app_that_nobody_takes_are_bounded_too() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").limits("streams_per_address", "300").start();
    gate.send(&get("/open/fixed").key()).expect(200);
    let before = memory(&gate);
    let head = [get_head(&gate, "/open/big-200000"), entry("x-api-key", KEY)].concat();
    let mut clients: Vec<_> = (0..4).map(|_| Client::open(&gate, 0)).collect();
    for client in &mut clients {
        for _ in 0..100 {
            client.request(&head, true);
        }
    }
    // Of the four hundred a hundred are refused, so that they may be sent again.
    let mut counted = [0; 2];
    for client in &mut clients {
        for _ in 0..100 {
            let (kind, _, _, payload) = std::iter::from_fn(|| client.next_frame(PATIENCE))
                .find(|(kind, ..)| matches!(*kind, HEADERS | RST_STREAM))
                .expect("an answer or a refusal");
            if kind == RST_STREAM {
                assert_eq!(payload, [0, 0, 0, 7], "REFUSED_STREAM");
            }
            counted[usize::from(kind == RST_STREAM)] += 1;
        }
    }
    assert_eq!(counted, [300, 100]);
    let grown = memory(&gate).saturating_sub(before);
    assert!(grown <= 60, "{grown} MiB");
    // Another address has its own.
    assert!(
        h2c(
            gate.addr,
            http::Request::get(format!("http://{}/open/fixed", gate.addr)).header("x-api-key", KEY).body(()).unwrap(),
            b""
        )
        .is_err()
    );
    Conn::open_from([127, 0, 0, 2].into(), gate.addr).ask(&get("/open/fixed").key()).expect(200);
    drop(clients);
    until_true(PATIENCE, "they count no more", || {
        h2c(
            gate.addr,
            http::Request::get(format!("http://{}/open/fixed", gate.addr)).header("x-api-key", KEY).body(()).unwrap(),
            b"",
        )
        .is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn r58_a_head_has_256_fields_and_32_kib() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    let mut client = Client::open(&gate, 65_535);
    let told =
        std::iter::from_fn(|| client.next_frame(PATIENCE)).find(|(kind, flags, ..)| *kind == SETTINGS && *flags == 0);
    let settings = told.unwrap().3;
    assert!(
        settings.chunks(6).any(|setting| setting == [0, 6, 0, 0, 0x80, 0]),
        "SETTINGS_MAX_HEADER_LIST_SIZE: {settings:?}"
    );
    let key = entry("x-api-key", KEY);
    let mut answer = |head: &[u8]| {
        let stream = client.request(head, true);
        let (_, _, _, head) = std::iter::from_fn(|| client.next_frame(PATIENCE))
            .find(|(kind, _, of, _)| *kind == HEADERS && *of == stream)
            .expect("an answer");
        head
    };
    let is_ok = |head: &[u8]| head.first() == Some(&0x88);
    // The key, and the field that the others refer to, are two.
    let most =
        |more: usize| [get_head(&gate, "/open/fixed"), key.clone(), entry("a", "b"), references(254 + more)].concat();
    assert!(is_ok(&answer(&most(0))));
    assert_eq!(app.seen().last().unwrap().all("a").len(), 255);
    assert!(!is_ok(&answer(&most(1))));
    // Each reference counts as what it stands for.
    let large = entry("a", &"b".repeat(120));
    let of_size =
        |count: usize| [get_head(&gate, "/open/fixed"), key.clone(), large.clone(), references(count)].concat();
    assert!(is_ok(&answer(&of_size(200))));
    assert!(!is_ok(&answer(&of_size(220))));
    assert_eq!(app.seen().len(), 2);
    let request = |count: usize| (0..count).fold(get("/open/fixed").key(), |request, _| request.header("A", "b"));
    gate.send(&request(254)).expect(200);
    gate.send(&request(255)).refused(431, "head_too_large");
}

#[test]
fn an_upload_that_is_answered_early_is_told_so_and_reset_without_an_error() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").route("body_size", "\"100KiB\"").start();
    for (path, length, status) in [("/app/x", "5000000", "401"), ("/open/x", "5000000", "413")] {
        let mut client = Client::open(&gate, 65_535);
        let head = [
            &[0x83, 0x86, 0x04][..],
            &string(path),
            &[0x01],
            &string(&gate.addr.to_string()),
            &entry("x-api-key", KEY),
            &entry("content-length", length),
        ]
        .concat();
        let stream = client.request(&head, false);
        client.send(&frame(DATA, 0, stream, &[b'x'; 10_000]));
        let mut seen = (String::new(), Vec::new(), None);
        while seen.2.is_none() {
            let (kind, flags, of, payload) = client.next_frame(PATIENCE).expect("a reset at the end");
            match kind {
                HEADERS if of == stream => seen.0 = format!("{}", payload.escape_ascii()),
                DATA if of == stream => {
                    seen.1.extend(payload);
                    assert!(seen.1.is_empty() || flags & END_STREAM != 0 || seen.2.is_none());
                }
                RST_STREAM if of == stream => seen.2 = Some(payload),
                GOAWAY => panic!("{}", payload.escape_ascii()),
                _ => {}
            }
        }
        let body = String::from_utf8(seen.1).unwrap();
        assert!(body.contains(&format!("\"status\":{status}")) && body.ends_with('}'), "{body}");
        assert_eq!(seen.2.unwrap(), [0, 0, 0, 0], "NO_ERROR");
        // The connection goes on.
        let head = [get_head(&gate, "/open/fixed"), entry("x-api-key", KEY)].concat();
        let stream = client.request(&head, true);
        client.send(&frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]));
        assert!(
            std::iter::from_fn(|| client.next_frame(PATIENCE)).any(|(kind, _, of, _)| kind == DATA && of == stream)
        );
    }
}

#[test]
fn an_idle_connection_is_told_to_end() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").limits("keepalive", "\"1s\"").start();
    let mut client = Client::open(&gate, 65_535);
    let head = [get_head(&gate, "/open/fixed"), entry("x-api-key", KEY)].concat();
    client.request(&head, true);
    let start = Instant::now();
    let frames: Vec<_> = std::iter::from_fn(|| client.next_frame(Duration::from_secs(40))).collect();
    assert!(frames.iter().any(|(kind, ..)| *kind == DATA), "it was answered");
    assert!(frames.iter().any(|(kind, ..)| *kind == GOAWAY), "and told");
    assert!(start.elapsed() < Duration::from_secs(35));
}

#[test]
fn r09_a_fragment_in_a_path_is_refused() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    let mut client = Client::open(&gate, 65_535);
    let key = entry("x-api-key", KEY);
    // The path by its name in the static table, which gets into the dynamic one.
    let head =
        |path: &str| [&[0x82, 0x86, 0x44][..], &string(path), &[0x01], &string(&gate.addr.to_string()), &key].concat();
    let mut status = |head: &[u8]| {
        let stream = client.request(head, true);
        let (_, _, _, head) = std::iter::from_fn(|| client.next_frame(PATIENCE))
            .find(|(kind, _, of, _)| *kind == HEADERS && *of == stream)
            .expect("an answer");
        head[0]
    };
    // Of the static table: 200, and 400.
    assert_eq!(status(&head("/open/fixed")), 0x88);
    assert_eq!(status(&head("/open/fixed#")), 0x8c);
    assert_eq!(status(&head("/open/fixed?a#b")), 0x8c);
    assert_eq!(status(&head("/open/fixed?a=%23")), 0x88);
    // The table now holds, the newest first: key, path, key, path with a fragment, …
    let again = |path: u8| [&[0x82, 0x86, path, 0x01][..], &string(&gate.addr.to_string()), &[0xbe]].concat();
    assert_eq!(status(&again(0xbf)), 0x88);
    assert_eq!(status(&again(0xc1)), 0x8c);
    assert_eq!(status(&again(0xc3)), 0x8c);
    assert_eq!(status(&again(0xc5)), 0x88);
    assert_eq!(app.seen().len(), 4);
    // A block that can't be followed ends the connection.
    let stream = client.request(&[0x82, 0x86, 0x04, 0x81, 0xff, 0x01], true);
    assert!(client.is_ended_at(Instant::now() + PATIENCE), "{stream}");
    assert_eq!(app.seen().len(), 4);
}
