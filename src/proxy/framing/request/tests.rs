use super::*;

/// Returns the state after `bytes`, split in any way, and how many of them belong to the request.
fn read(bytes: &[u8]) -> Result<(At, usize), FramingError> {
    let mut whole = Framing::default();
    let outcome = whole.read(bytes).map(|count| (whole.at, count));
    for size in [1, 2, 7] {
        let mut pieces = Framing::default();
        let in_pieces = bytes.chunks(size).try_fold(0, |sum, piece| pieces.read(piece).map(|count| sum + count));
        let in_pieces = in_pieces.map(|count| (pieces.at, count));
        assert_eq!(in_pieces, outcome, "{size}: {}", bytes.escape_ascii());
    }
    outcome
}

fn over(bytes: &str) -> Result<(At, usize), FramingError> {
    Ok((At::Over, bytes.len()))
}

#[test]
fn a_request_line_has_two_spaces_and_nothing_that_is_repaired() {
    for plain in [
        "GET / HTTP/1.1\r\n\r\n",
        "\r\n\r\nGET /a?b%20c HTTP/1.1\r\nA: b\r\n\r\n",
        "GET /\u{e4}?{\"<a>\":1} HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(read(plain.as_bytes()), over(plain), "{plain}");
    }
    for other in [
        "GET /a b HTTP/1.1\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET /  HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        " GET / HTTP/1.1\r\n",
        "\rGET / HTTP/1.1\r\n",
        "\r\n\r\rGET / HTTP/1.1\r\n",
        "GET\t/ HTTP/1.1\r\n",
        "GET /\0 HTTP/1.1\r\n",
        "GET /\x0b HTTP/1.1\r\n",
        "GET /\x7f HTTP/1.1\r\n",
        "GET /\r\n",
        "GET /\r/ HTTP/1.1\r\n",
    ] {
        assert_eq!(read(other.as_bytes()), Err(FramingError::RequestLine), "{other:?}");
    }
}

#[test]
fn a_request_ends_where_its_length_says() {
    for (head, body) in [
        ("", ""),
        ("X-Content-Length: 3\r\n", ""),
        ("Content-Lengths: 3\r\nContent-Lengt: 4\r\n", ""),
        ("X-Transfer-Encoding: chunked\r\n", ""),
        ("Transfer-Encodings: chunked\r\n", ""),
        ("Content-Length: 0\r\n", ""),
        ("Content-Length: 3\r\nC: d\r\n", "abc"),
        ("cONTENT-lENGTH:  \t0012 \t \r\n", "0123456789ab"),
        ("Content-Length:3\n", "abc"),
    ] {
        let request = format!("POST / HTTP/1.1\r\n{head}\r\n{body}");
        assert_eq!(read(request.as_bytes()), over(&request), "{head}");
        let two = format!("{request}GET <other> HTTP/1.1\r\n\r\n");
        assert_eq!(read(two.as_bytes()), over(&request), "{head}");
    }
    let short = "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nabc";
    assert_eq!(read(short.as_bytes()), Ok((At::Body { left: 27 }, short.len())));
    assert_eq!(read(b"GET / HTTP/1.1\nA: b\n\nx"), Ok((At::Over, 21)), "line feeds alone are the parser's business");
}

#[test]
fn the_end_is_unclear_where_readers_could_differ() {
    for head in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length:\r\n",
        "Content-Length: a\r\n",
        "Content-Length: 18446744073709551616\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\n{head}\r\nabcGET / HTTP/1.1\r\n\r\n");
        assert_eq!(read(request.as_bytes()), Ok((At::Unclear, request.len())), "{head}");
    }
}

#[test]
fn a_head_has_so_many_fields() {
    let request = |fields| format!("GET / HTTP/1.1\r\n{}\r\n", "C: d\r\n".repeat(fields));
    let most = request(MAX_FIELDS);
    assert_eq!(read(most.as_bytes()), over(&most));
    assert_eq!(read(request(MAX_FIELDS + 1).as_bytes()), Err(FramingError::Fields));
}

#[test]
fn empty_lines_before_a_request_are_told() {
    let framing = Framing::default();
    assert_eq!((framing.blank(b"\r\n\nGET"), framing.blank(b"GET\r\n")), (3, 0));
    assert_eq!((framing.blank(b"\n\rGET"), framing.blank(b"\r\n\r")), (1, 2));
    let mut begun = framing;
    begun.read(b"GET").unwrap();
    assert_eq!(begun.blank(b"\r\n"), 0);
}

#[test]
fn chunks_are_as_the_rfc_has_them() {
    let body = |chunks: &str| {
        ["Transfer-Encoding: chunked", "A: b\r\ntRANSFER-eNCODING:x", "Transfer-Encoding:\r\nContent-Length: 2"].map(
            |fields| {
                let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
                read(format!("{head}{chunks}").as_bytes()).map(|(at, count)| (at, count - head.len()))
            },
        )
    };
    for plain in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "00005;a=b;c=\"d e\"\r\nhello\r\n0;last\r\nA: b\r\nC: d\r\n\r\n",
        "5 ;a\r\n\r\n\0\r\n\r\n0\r\n\r\n",
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
    ] {
        assert_eq!(body(plain), [over(plain), over(plain), over(plain)], "{plain:?}");
        assert_eq!(body(&format!("{plain}GET <anything>"))[0], over(plain), "{plain:?}");
    }
    assert_eq!(body("fffffffffffffff\r\nx")[0], Ok((At::Data { left: (1 << 60) - 2 }, 18)));
    for other in [
        "\r\nhello",
        ";a\r\n",
        " 5\r\n",
        "+5\r\n",
        "0x5\r\n",
        "5\nhello",
        "5\rhello",
        "5;a\nhello",
        "5;\0\r\n",
        "5;a\rb\r\n",
        "5x\r\n",
        "1000000000000000\r\n",
        "5\r\nhelloworld",
        "5\r\nhello\n",
        "5\r\nhello\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n\rx",
        "0\r\n\n",
        "0\r\nA\0\r\n\r\n",
    ] {
        assert_eq!(body(other), [Err(FramingError::Chunk); 3], "{other:?}");
    }
}
