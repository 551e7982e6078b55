use std::net::IpAddr;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::super::closing::{LINGERING, LINGERING_SILENCE};
use super::super::websocket;
use super::tunnel::{TUNNEL_HALF_CLOSED, TUNNEL_LINGERING};
use super::*;
use crate::config::Limits;

struct Nowhere;

impl ListenerPolicy for Nowhere {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        None
    }

    fn trusts(&self, _: IpAddr) -> bool {
        false
    }

    fn write_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Makes a stream in this phase, and its client.
fn connected(phase: Phase) -> (ClientStream<UnixStream>, Arc<ConnectionState>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let connection = Arc::new(ConnectionState::default());
    connection.set(phase);
    (ClientStream::new(ours, connection.clone(), Arc::new(Nowhere)), connection, theirs)
}

/// Makes a stream in the body of a request.
async fn uploading() -> (ClientStream<UnixStream>, Arc<ConnectionState>, UnixStream) {
    let (mut stream, connection, mut client) = connected(Phase::Head);
    let head = b"POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n";
    client.write_all(head).await.unwrap();
    stream.read_exact(&mut [0; 44]).await.unwrap();
    connection.set(Phase::Body);
    (stream, connection, client)
}

/// Reads until an error. The paused clock advances when all tasks wait.
async fn read(stream: &mut ClientStream<UnixStream>) -> (usize, io::ErrorKind) {
    let mut bytes = [0; 1 << 16];
    let mut count = 0;
    let error = loop {
        match stream.read(&mut bytes).await {
            Ok(0) => break io::ErrorKind::UnexpectedEof,
            Ok(some) => count += some,
            Err(error) => break error.kind(),
        }
    };
    (count, error)
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_from_the_first_byte_on() {
    let (mut stream, connection, mut client) = connected(Phase::Head);
    let start = Instant::now();
    assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err(), "idle is not slow");
    client.write_all(b"GET /").await.unwrap();
    let begun = Instant::now();
    assert_eq!(read(&mut stream).await, (5, io::ErrorKind::TimedOut));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?} of {:?}", start.elapsed());
    let mut said = [0; 12];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 408");
    // The next request has a time of its own.
    let (mut stream, _, mut client) = connected(Phase::Head);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 18]).await.unwrap();
    connection.set(Phase::Served);
    stream.connection.set(Phase::Served);
    stream.connection.set(Phase::Head);
    assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_has_to_keep_its_rate() {
    // Twenty seconds, and two more for a thousand bytes.
    let (mut stream, connection, mut client) = uploading().await;
    client.write_all(&[0; 1000]).await.unwrap();
    let start = Instant::now();
    assert_eq!(read(&mut stream).await, (1000, io::ErrorKind::TimedOut));
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(22) && took < Duration::from_secs(23), "{took:?}");
    assert_eq!(connection.clone().serve(async { ConnectionState::body_fault() }).await, Some(DenyReason::BodyTimeout));
    // A client that has ended causes no timeout: the application can take its time.
    let (mut stream, connection, mut client) = uploading().await;
    client.write_all(&[0; 1000]).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    connection.serve(async { ConnectionState::body_ended() }).await;
    assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
    // And of a tunnel nothing has to come.
    let (mut stream, connection, _client) = connected(Phase::Tunnel);
    connection.clone().serve(async { ConnectionState::body_ended() }).await;
    assert_eq!(connection.phase().0, Phase::Tunnel);
    assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_given_up() {
    let (mut stream, _, client) = connected(Phase::Served);
    // More than the buffers of the socket and of the stream hold.
    while timeout(Duration::from_secs(1), async {
        stream.write_all(&[0; 100]).await.unwrap();
        stream.flush().await.unwrap();
    })
    .await
    .is_ok()
    {}
    assert_eq!(stream.flush().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let start = Instant::now();
    assert_eq!(AsyncWriteExt::shutdown(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(61));
    drop(client);
    // A client that reads a little now and then is only slow.
    let (mut stream, _, mut client) = connected(Phase::Served);
    let reading = tokio::spawn(async move {
        let mut bytes = vec![0; 1 << 20];
        while client.read(&mut bytes).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_secs(50)).await;
        }
    });
    stream.write_all(&[0; 1 << 21]).await.unwrap();
    AsyncWriteExt::shutdown(&mut stream).await.unwrap();
    drop(stream);
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_preface_has_to_come() {
    let (mut stream, _, mut client) = connected(Phase::Opening);
    client.write_all(b"PRI * HTTP").await.unwrap();
    assert_eq!(read(&mut stream).await, (10, io::ErrorKind::TimedOut));
    let (mut stream, _, mut client) = connected(Phase::Opening);
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 24]).await.unwrap();
    assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
}

#[tokio::test]
async fn a_refused_client_can_read_the_reason() {
    let (mut stream, connection, mut client) = connected(Phase::Head);
    let limit = usize::try_from(Limits::default().head_size).unwrap();
    let sending = tokio::spawn(async move {
        let _ = client.write_all(&vec![b'x'; 4 * limit]).await;
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        String::from_utf8(said).unwrap()
    });
    let (count, error) = read(&mut stream).await;
    assert!(count >= limit && error == io::ErrorKind::TimedOut, "{count} {error}");
    drop(stream);
    connection.closing().unwrap().await;
    assert!(sending.await.unwrap().starts_with("HTTP/1.1 431 "));
}

/// Returns the result of this future within an hour, in one piece; none if it is still pending.
async fn part(stream: &mut ClientStream<UnixStream>) -> Option<String> {
    let mut bytes = [0; 4096];
    let read = timeout(Duration::from_secs(3600), stream.read(&mut bytes)).await.ok()?;
    Some(String::from_utf8(bytes[..read.unwrap()].to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn requests_are_read_one_by_one() {
    let (mut stream, connection, mut client) = connected(Phase::Head);
    let requests = ["POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "GET /b HTTP/1.1\r\n\r\n"];
    client.write_all(format!("{0}\r\n\r\n{1}{1}", requests[0], requests[1]).as_bytes()).await.unwrap();
    for request in [requests[0], requests[1], requests[1]] {
        connection.set(Phase::Head);
        assert_eq!(part(&mut stream).await.as_deref(), Some(request));
        connection.set(Phase::Served);
        assert_eq!(part(&mut stream).await, None, "what follows waits");
    }
    // Bytes that arrive while a request is served belong to the next one.
    let reading = tokio::spawn(async move { (timeout(Duration::from_secs(9), read(&mut stream)).await, stream) });
    tokio::task::yield_now().await;
    client.write_all(requests[1].as_bytes()).await.unwrap();
    let (waited, mut stream) = reading.await.unwrap();
    assert!(waited.is_err());
    connection.set(Phase::Head);
    let mut came = String::new();
    while came.len() < requests[1].len() {
        came += &part(&mut stream).await.unwrap();
    }
    assert_eq!(came, requests[1]);
    // Faults are found in each of them.
    client.write_all(b"GET / HTTP/1.1\r\n\r\nGET <> HTTP/1.1\r\n\r\n").await.unwrap();
    connection.set(Phase::Served);
    connection.set(Phase::Head);
    assert!(part(&mut stream).await.is_some());
    connection.set(Phase::Served);
    connection.set(Phase::Head);
    assert_eq!(read(&mut stream).await.1, io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_half_is_no_end_of_a_request() {
    let (mut stream, connection, mut client) = connected(Phase::Head);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    assert_eq!(part(&mut stream).await.map(|head| head.len()), Some(18));
    connection.set(Phase::Served);
    assert_eq!(part(&mut stream).await, None);
    stream.write_all(b"answer").await.unwrap();
    connection.set(Phase::Head);
    assert_eq!(part(&mut stream).await.as_deref(), Some(""), "no other request comes");
    drop(stream);
    connection.closing().unwrap().await;
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "answer");
    // Within a body it is one.
    let (mut stream, connection, mut client) = connected(Phase::Head);
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    assert!(part(&mut stream).await.is_some());
    connection.set(Phase::Body);
    assert_eq!(part(&mut stream).await.as_deref(), Some(""));
    // The end of a tunnel is delayed, and starts again with each write of the application.
    let (mut stream, _, mut client) = connected(Phase::Tunnel);
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    let start = Instant::now();
    assert!(timeout(TUNNEL_HALF_CLOSED / 2, read(&mut stream)).await.is_err());
    stream.write_all(b"more").await.unwrap();
    assert_eq!(part(&mut stream).await.as_deref(), Some(""));
    assert!(start.elapsed() > TUNNEL_HALF_CLOSED && start.elapsed() < TUNNEL_HALF_CLOSED * 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_written_goes_out_before_anything_is_waited_for() {
    let (mut stream, connection, mut client) = connected(Phase::Head);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(part(&mut stream).await.is_some());
    connection.set(Phase::Served);
    stream.write_all(b"the head of an answer").await.unwrap();
    let mut said = [0; 21];
    assert!(timeout(Duration::from_secs(1), client.read_exact(&mut said)).await.is_err(), "not at once");
    assert_eq!(part(&mut stream).await, None);
    client.read_exact(&mut said).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_lingers() {
    let served = async || {
        let (mut stream, connection, mut client) = connected(Phase::Head);
        client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\nabc").await.unwrap();
        assert!(part(&mut stream).await.is_some());
        connection.set(Phase::Body);
        stream.write_all(b"answer").await.unwrap();
        drop(stream);
        (connection.closing().unwrap(), client)
    };
    // As long as the client goes on,
    let (closing, mut client) = served().await;
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            client.write_all(&[0; 100_000]).await.unwrap();
        }
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "answer");
    });
    closing.await;
    sending.await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(15));
    // but neither without data nor without end.
    let (closing, _client) = served().await;
    let start = Instant::now();
    closing.await;
    assert!(start.elapsed() >= LINGERING_SILENCE && start.elapsed() < LINGERING_SILENCE * 2);
    let (closing, mut client) = served().await;
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        while client.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    closing.await;
    assert!(start.elapsed() >= LINGERING && start.elapsed() < LINGERING * 2);
    sending.await.unwrap();
    // An idle or closed connection has no lingering.
    let (stream, connection, _client) = connected(Phase::Head);
    drop(stream);
    let start = Instant::now();
    connection.closing().unwrap().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_on_a_websocket_gets_the_close_frame() {
    let (mut stream, connection, mut client) = connected(Phase::Tunnel);
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    client.read_exact(&mut [0; 36]).await.unwrap();
    connection.request_close(websocket::GOING_AWAY);
    let talking = tokio::spawn(async move {
        let mut heard = Vec::new();
        for _ in 0..10 {
            client.write_all(b"\x81\x80mask").await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let start = Instant::now();
    assert_eq!(read(&mut stream).await, (0, io::ErrorKind::UnexpectedEof), "the app hears nothing any more");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    stream.write_all(b"\x81\x01x").await.unwrap();
    drop(stream);
    assert_eq!(talking.await.unwrap(), websocket::close(websocket::GOING_AWAY));

    // A client that does not close is cut off.
    let (mut stream, connection, mut client) = connected(Phase::Tunnel);
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
    connection.request_close(websocket::GOING_AWAY);
    let start = Instant::now();
    assert_eq!(read(&mut stream).await, (0, io::ErrorKind::UnexpectedEof));
    let took = start.elapsed();
    assert!(took >= TUNNEL_LINGERING && took < TUNNEL_LINGERING * 2, "{took:?}");
    client.write_all(b"\x81\x80mask").await.unwrap();
}
