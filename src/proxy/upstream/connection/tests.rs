use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;

/// Returns what is read of a response: statuses, body, trailers, or the error; and whether the connection can be used
/// again.
type Read = (String, bool);

/// Reads an answer to a request of this method that comes in pieces of so many bytes, and then the connection's end.
async fn read(method: &Method, answer: &[u8], size: usize) -> Read {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let answer = answer.to_vec();
    let request_length = format!("{method} / HTTP/1.1\r\n\r\n").len();
    let app = tokio::spawn(async move {
        // Unread bytes turn the end of the connection into a reset.
        theirs.read_exact(&mut vec![0; request_length]).await.unwrap();
        for piece in answer.chunks(size) {
            // The other end may have closed, since it has read enough.
            if theirs.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut connection = Connection::new(Box::new(ours));
    let mut request = RequestHeader::build(method.clone(), b"/", None).unwrap();
    request.set_version(Version::HTTP_11);
    let patience = Duration::from_secs(60);
    connection.begin((&request, request.raw_path()), Sending::Done, false, patience).await.unwrap();
    let mut all = String::new();
    while !connection.has_answered() {
        match connection.event(patience, patience).await {
            Ok(Event::Sent) => {}
            Ok(Event::Head(head)) => all += &format!("{} ", head.status.as_u16()),
            Ok(Event::Body(piece)) => all += std::str::from_utf8(&piece).unwrap(),
            Ok(Event::Trailers(trailers)) => all += &format!(" and {} trailers", trailers.len()),
            Ok(Event::End) => all += ".",
            Err(error) => {
                all += &format!(" {}", error.etype().as_str());
                break;
            }
        }
    }
    // Nothing after it may have arrived yet.
    let ended = connection.has_answered();
    app.abort();
    (all, ended)
}

#[tokio::test]
async fn an_answer_is_the_same_however_it_comes() {
    let get = Method::GET;
    for (method, answer, expected) in [
        (&get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ("200 hello", true)),
        (&get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ("200 ", true)),
        (&Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ("200 ", true)),
        (&get, "HTTP/1.1 200 OK\r\n\r\nhello", ("200 hello.", true)),
        (&get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ("200 .", true)),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n02;a=\"b\"\r\nlo\r\n00\r\n\r\n",
            ("200 hello.", true),
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
            ("200 hello and 2 trailers", true),
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSet-Cookie: a\r\n\r\n",
            ("200 hello.", true),
        ),
        (
            &get,
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            ("103 100 204 ", true),
        ),
        (&get, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", ("200 hello ConnectionClosed", false)),
        (&get, "HTTP/1.1 200 OK\r\nContent-Le", (" ConnectionClosed", false)),
        (&get, "HTTP/1.1 103 Early Hints\r\n\r\n", ("103  ConnectionClosed", false)),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            ("200 hello ConnectionClosed", false),
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
            ("200 hello a chunk that is longer than it says", false),
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5 5\r\n\r\n",
            ("200 hello a malformed size of a chunk", false),
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
            ("200  a malformed size of a chunk", false),
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA b\r\n\r\n",
            ("200  malformed trailers", false),
        ),
        (&get, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", (" a Content-Length that is not a number", false)),
    ] {
        for size in [1, 2, 3, 7, 1000] {
            let (read, ended) = read(method, answer.as_bytes(), size).await;
            assert_eq!((read.as_str(), ended), expected, "{size}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_is_sent_as_its_head_says() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut connection = Connection::new(Box::new(ours));
    let mut request = RequestHeader::build(Method::POST, b"/", None).unwrap();
    request.set_version(Version::HTTP_11);
    let patience = Duration::from_secs(60);
    for (sending, pieces, expected) in [
        (Sending::Bytes(5), &["hel", "", "lo"][..], "hello"),
        (Sending::Chunks, &["hel", "", "lo"], "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        (Sending::Chunks, &[], "0\r\n\r\n"),
        (Sending::Done, &[], ""),
    ] {
        connection.begin((&request, request.raw_path()), sending, false, patience).await.unwrap();
        for piece in pieces {
            connection.send(Bytes::from_static(piece.as_bytes())).unwrap();
        }
        connection.finish().unwrap();
        while connection.is_sending() {
            assert!(matches!(connection.event(patience, patience).await, Ok(Event::Sent)));
        }
        let mut sent = vec![0; "POST / HTTP/1.1\r\n\r\n".len() + expected.len()];
        theirs.read_exact(&mut sent).await.unwrap();
        assert_eq!(String::from_utf8(sent).unwrap(), format!("POST / HTTP/1.1\r\n\r\n{expected}"));
    }
    // A body of another length would be another request, or a part of the next.
    connection.begin((&request, request.raw_path()), Sending::Bytes(5), false, patience).await.unwrap();
    assert!(connection.send(Bytes::from_static(b"hello!")).is_err());
    assert!(connection.finish().is_err());
    assert!(matches!(connection.finished(), Afterwards::Closed(_)));
}
