use super::*;

/// Returns the result of these fields of an HTTP/1.1 response 200 to GET.
fn read(fields: &[(&str, &str)]) -> Result<(HeaderMap, Framing), Ambiguous> {
    read_as(StatusCode::OK, Version::HTTP_11, &Method::GET, fields)
}

fn read_as(
    status: StatusCode,
    version: Version,
    method: &Method,
    fields: &[(&str, &str)],
) -> Result<(HeaderMap, Framing), Ambiguous> {
    let mut collected = Fields::with_capacity(fields.len());
    for (name, value) in fields {
        collected.add(name.parse().unwrap(), HeaderValue::from_str(value).unwrap(), false);
    }
    collected.finish(status, version, method)
}

fn length(fields: &[(&str, &str)]) -> Length {
    read(fields).unwrap().1.length
}

#[test]
fn r56_one_length_is_taken() {
    assert_eq!(length(&[("content-length", "5")]), Length::Bytes(5));
    assert_eq!(length(&[("content-length", "005")]), Length::Bytes(5));
    assert_eq!(length(&[("content-length", "18446744073709551615")]), Length::Bytes(u64::MAX));
    assert_eq!(length(&[("transfer-encoding", "Chunked")]), Length::Chunks);
    assert_eq!(length(&[]), Length::UntilClose);
}

#[test]
fn r56_what_can_be_read_in_two_ways_is_not() {
    for fields in [
        &[("content-length", "5"), ("content-length", "6")][..],
        &[("content-length", "5"), ("content-length", "5")],
        &[("content-length", "5, 5")],
        &[("content-length", "5, 6")],
        &[("content-length", "")],
        &[("content-length", "+5")],
        &[("content-length", "-5")],
        &[("content-length", "0x5")],
        &[("content-length", "5 5")],
        &[("content-length", "18446744073709551616")],
        &[("content-length", "5"), ("transfer-encoding", "chunked")],
        &[("transfer-encoding", "chunked"), ("content-length", "0")],
        &[("transfer-encoding", "identity")],
        &[("transfer-encoding", "identity"), ("content-length", "5")],
        &[("transfer-encoding", "gzip")],
        &[("transfer-encoding", "gzip, chunked")],
        &[("transfer-encoding", "chunked, gzip")],
        &[("transfer-encoding", "chunked, chunked")],
        &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        &[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")],
        &[("transfer-encoding", "")],
        &[("transfer-encoding", "\"chunked\"")],
        &[("transfer-encoding", "chunked;a=b")],
    ] {
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::NOT_MODIFIED] {
            for method in [Method::GET, Method::HEAD] {
                let read = read_as(status, Version::HTTP_11, &method, fields);
                assert!(read.is_err(), "{method} {status}: {fields:?}");
            }
        }
    }
    let chunked = [("transfer-encoding", "chunked")];
    assert!(read_as(StatusCode::OK, Version::HTTP_10, &Method::GET, &chunked).is_err());
    let mut folded = Fields::default();
    folded.add(CONTENT_LENGTH, HeaderValue::from_static("5"), true);
    assert!(folded.finish(StatusCode::OK, Version::HTTP_11, &Method::GET).is_err());
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    let long = [("content-length", "5")];
    let chunked = [("transfer-encoding", "chunked")];
    for (status, method, fields, persistent) in [
        (StatusCode::NO_CONTENT, Method::GET, &[][..], true),
        (StatusCode::NO_CONTENT, Method::GET, &[("content-length", "0")], true),
        (StatusCode::NO_CONTENT, Method::GET, &long, false),
        (StatusCode::NO_CONTENT, Method::GET, &chunked, false),
        (StatusCode::NO_CONTENT, Method::GET, &[("transfer-encoding", "gzip")], false),
        (StatusCode::NOT_MODIFIED, Method::GET, &long, true),
        (StatusCode::NOT_MODIFIED, Method::GET, &chunked, false),
        (StatusCode::OK, Method::HEAD, &long, true),
        (StatusCode::OK, Method::HEAD, &chunked, false),
        (StatusCode::CONTINUE, Method::POST, &[], true),
        (StatusCode::EARLY_HINTS, Method::GET, &long, false),
        (StatusCode::EARLY_HINTS, Method::GET, &chunked, false),
    ] {
        let (_, framing) = read_as(status, Version::HTTP_11, &method, fields).unwrap();
        assert_eq!((framing.length, framing.persistent), (Length::Nothing, persistent), "{method} {status} {fields:?}");
    }
}

#[test]
fn fields_of_the_connection_stay_on_it() {
    let (headers, framing) = read(&[
        ("connection", "keep-alive, X-Internal"),
        ("x-internal", "1"),
        ("keep-alive", "timeout=300"),
        ("upgrade", "h2,h2c"),
        ("te", "trailers"),
        ("proxy-connection", "keep-alive"),
        ("connection", "x-other, not a name, content-type"),
        ("x-other", "1"),
        ("content-type", "text/plain"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("trailer", "X-Sum"),
        ("content-length", "5"),
    ])
    .unwrap();
    let names: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(names, [("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    assert!(framing.persistent);
    for (version, connection, persistent) in [
        (Version::HTTP_11, "close", false),
        (Version::HTTP_11, "keep-alive, Close", false),
        (Version::HTTP_11, "x", true),
        (Version::HTTP_10, "x", false),
        (Version::HTTP_10, "Keep-Alive", true),
        (Version::HTTP_10, "keep-alive, close", false),
    ] {
        let fields = [("connection", connection), ("content-length", "5")];
        let (_, framing) = read_as(StatusCode::OK, version, &Method::GET, &fields).unwrap();
        assert_eq!(framing.persistent, persistent, "{version:?} {connection}");
    }
    assert!(!read(&[]).unwrap().1.persistent, "its end is that of the connection");
}

#[test]
fn a_client_gets_one_framing() {
    let fields = [("transfer-encoding", "chunked"), ("trailer", "X-Sum")];
    let (status, get, head) = (StatusCode::OK, Method::GET, Method::HEAD);
    for (method, fields, client, expected, closes) in [
        (&get, &fields[..], Version::HTTP_11, "trailer: X-Sum, transfer-encoding: chunked", false),
        (&get, &fields, Version::HTTP_2, "trailer: X-Sum", false),
        (&get, &fields, Version::HTTP_10, "", true),
        (&head, &fields, Version::HTTP_11, "", false),
        (&get, &[("trailer", "X-Sum")], Version::HTTP_11, "transfer-encoding: chunked", false),
        (&get, &[], Version::HTTP_2, "", false),
        (&get, &[], Version::HTTP_10, "", true),
        (&get, &[("content-length", "005")], Version::HTTP_11, "content-length: 5", false),
        (&get, &[("content-length", "5")], Version::HTTP_2, "content-length: 5", false),
        (&get, &[("content-length", "5")], Version::HTTP_10, "content-length: 5", false),
        (&head, &[("content-length", "5")], Version::HTTP_10, "content-length: 5", false),
    ] {
        let (mut headers, framing) = read_as(status, Version::HTTP_11, method, fields).unwrap();
        let closed = framing.write(&mut headers, status, method, client);
        let mut said: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        said.sort();
        assert_eq!((said.join(", ").as_str(), closed), (expected, closes), "{method} {client:?} {fields:?}");
    }
    for (status, says) in [(StatusCode::NO_CONTENT, false), (StatusCode::NOT_MODIFIED, true)] {
        for method in [&get, &head] {
            let (mut headers, framing) = read_as(status, Version::HTTP_11, method, &[("content-length", "5")]).unwrap();
            assert!(!framing.write(&mut headers, status, method, Version::HTTP_11));
            assert_eq!(headers.contains_key(CONTENT_LENGTH), says, "{status}");
        }
    }
}

#[test]
fn what_a_trailer_may_not_say_is_dropped() {
    for name in ["x-sum", "grpc-status", "server-timing", "etag", "digest"] {
        assert!(is_trailer(&name.parse().unwrap()), "{name}");
    }
    for name in [
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "host",
        "set-cookie",
        "www-authenticate",
        "access-control-allow-origin",
        "content-encoding",
        "cache-control",
    ] {
        assert!(!is_trailer(&name.parse().unwrap()), "{name}");
    }
}
