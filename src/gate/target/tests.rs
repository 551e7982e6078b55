use super::*;

#[test]
fn r08_what_two_readers_read_differently_is_refused() {
    for bad in [
        "",
        "*",
        "a",
        "http://h/a",
        "/.",
        "/..",
        "/./a",
        "/../a",
        "/a/.",
        "/a/..",
        "/a/../b",
        "/a/./b",
        "/%2e",
        "/%2E%2e/a",
        "/.%2e/a",
        "/a/%2e%2e/b",
        "/a\\b",
        "/..\\a",
        "/a%00",
        "/a%0a",
        "/a%0D",
        "/a%7f",
        "/a%1fb",
        "/%252e%252e/a",
        "/%25%32%65",
        "/%c0%ae",
        "/a#b",
        "/a\"b",
        "/<a>",
        "/#",
        "/a?b#c",
        "/a b",
        "/a\tb",
        "/a\u{0}b",
        "/a\u{7f}b",
        "/a?b\u{7f}",
        "/a?b c",
        "/..;/a",
        "/.;x/a",
        "/%2e%2e;/a",
        "/a/..%3b/b",
        "/a/..%3fb",
        "/a/.%23",
        "/a/..%20/b",
        "/%C2%85",
    ] {
        assert!(Target::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn r59_what_is_read_differently_is_told_from_what_is_not() {
    for other in [
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/a%2eb",
        "/a%5cb",
        "/a%5Cb",
        "/a%252fb",
        "/a%2520b",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%+1",
        "/%c0%af",
        "/%ff",
        "/%ed%a0%80",
        "/caf\u{e9}",
        "/;/a",
        "/a/;x/b",
        "/a/..b//%2e%2ec/...",
        "/%u00e9",
    ] {
        let target = Target::parse(other.as_bytes()).unwrap();
        assert!(matches!(target.path, Path::Other(_)), "{other}");
        assert_eq!(target.wire_path, other.as_bytes());
    }
    assert!(matches!(Target::parse(b"/a\xff").unwrap().path, Path::Other(_)));
}

#[test]
fn r59_dot_segments_are_found_in_every_reading() {
    // Up to the next slash, and up to a sign at which a segment may be cut off.
    const WHOLE: [&str; 17] = [
        "..",
        ".",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "%25%32%65.",
        "%%32e%%32e",
        "%c0%ae.",
        "%c0%ae%c0%ae",
        "%e0%80%ae.",
        "%f0%80%80%ae.",
        "%f8%80%80%80%ae.",
        "%fc%80%80%80%80%ae.",
        "%u002e%u002e",
        "%25u002e.",
        ".%u00%32e",
    ];
    const CUT: [&str; 10] = [";", ";a=b", "%3b", "%253bx", "%2500", "%250a", "%3f", "%253fx", "%23", "%20"];
    const SLASHES: [&str; 13] =
        ["/", "//", "%2f", "%2F", "%5c", "%5C", "%252f", "%255c", "%25%35%63", "%c0%af", "%c1%9c", "%u002f", "%u005c"];
    let is_refused = |target: &str| {
        assert_eq!(innermost(target.as_bytes()), Err(DenyReason::Target), "{target}");
        // Strict rules know of no escapes of Unicode, which are plain text to them once the percent sign is decoded.
        assert!(target.contains("%25u") || Target::parse(target.as_bytes()).is_err(), "{target}");
    };
    for dots in WHOLE {
        for before in SLASHES {
            for after in SLASHES {
                is_refused(&format!("/a{before}{dots}{after}b"));
                is_refused(&format!("//{before}{dots}{after}"));
            }
            is_refused(&format!("/a//b{before}{dots}"));
            for cut in CUT {
                is_refused(&format!("/a//b{before}{dots}{cut}"));
                is_refused(&format!("/a//b{before}{dots}{cut}/c"));
            }
        }
    }
}

#[test]
fn a_path_of_escapes_of_escapes_takes_no_time() {
    let path = format!("/%{}2f", "25".repeat(30_000));
    let target = Target::parse(path.as_bytes()).unwrap();
    assert_eq!(target.path, Path::Other(b"//".to_vec()));
}

#[test]
fn what_everybody_reads_alike_passes_and_is_forwarded_as_it_came() {
    for (wire, path) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/", "/a/"),
        ("/a.b/c..d/...", "/a.b/c..d/..."),
        ("/%61dmin", "/admin"),
        ("/caf%C3%A9", "/café"),
        ("/100%25", "/100%"),
        ("/100%25x", "/100%x"),
        ("/a%20b", "/a b"),
        ("/a%3Fb%23", "/a?b#"),
        ("/a:b@c,d|{e}[f]", "/a:b@c,d|{e}[f]"),
    ] {
        let target = Target::parse(wire.as_bytes()).unwrap();
        assert_eq!(target.wire_path, wire.as_bytes());
        let canonical = target.canonical().unwrap();
        assert_eq!(canonical.path, path);
        assert_eq!((canonical.has_encoded_slash, &*canonical.other_readings), (false, &[][..]));
    }
    let target = Target::parse(b"/a?b=c?d&e").unwrap();
    assert_eq!((target.wire_path, target.query), (&b"/a"[..], Some(&b"b=c?d&e"[..])));
    assert_eq!(Target::parse(b"/a?").unwrap().query, Some(&b""[..]));
    for query in [&b"q=%FC&%u00e9&100%"[..], "q=ü".as_bytes(), b"q=\xfc", b"q={\"a\":[1]}<>^`|"] {
        assert_eq!(Target::parse(&[b"/a?", query].concat()).unwrap().query, Some(query));
    }
}

#[test]
fn what_depends_on_the_app_is_marked() {
    for bad in
        ["/..%2fa", "/a/%2e%2e%2f", "/a%2f..", "/%2f../a", "/%2f/./a", "/a;%2f..;%2fb", "/a/b;%2f..", "/a/b%2f..;"]
    {
        assert!(Target::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    for (wire, path, has_encoded_slash, readings) in [
        ("/a%2Fb", "/a\0b", true, &["/a/b"][..]),
        ("/a/%2f/b", "/a/\0/b", true, &["/a/b", "/a///b"]),
        ("/a/%2f", "/a/\0", true, &["/a/", "/a//"]),
        ("/%2fa/b", "/\0a/b", true, &["/a/b", "//a/b", "/b"]),
        ("/%2Fa", "/\0a", true, &["/a", "//a", "/"]),
        ("/%2fx%2f%2fa/b", "/\0x\0\0a/b", true, &["/x/a/b", "//x//a/b", "/a/b", "//a/b", "/b"]),
        ("/a%2f%2fb", "/a\0\0b", true, &["/a/b", "/a//b"]),
        ("/https:%2F%2Fb/c", "/https:\0\0b/c", true, &["/https:/b/c", "/https://b/c"]),
        ("/admin;a=1/b%3bc", "/admin;a=1/b;c", false, &["/admin/b"]),
        ("/a;x%2Fb/c", "/a;x\0b/c", true, &["/a/c", "/a/b/c", "/a;x/b/c"]),
        ("/a%2fb;x/c", "/a\0b;x/c", true, &["/a\0b/c", "/a/b/c", "/a/b;x/c"]),
    ] {
        let target = Target::parse(wire.as_bytes()).unwrap();
        let canonical = target.canonical().unwrap_or_else(|| panic!("{wire}"));
        assert_eq!((&*canonical.path, canonical.has_encoded_slash), (path, has_encoded_slash), "{wire}");
        assert_eq!(canonical.other_readings, readings, "{wire}");
    }
    // Some cut the segments off first, and then there is an empty one.
    for other in ["/;%2fa/b", "/a%2f;x%2fb", "/%2f%3b%23/x/b"] {
        assert_eq!(Target::parse(other.as_bytes()).unwrap().canonical(), None, "{other}");
    }
}
