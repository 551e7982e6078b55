//! The size of a request's head.

use super::*;

/// Bytes on the wire with a header that fills them up.
fn of_size(size: usize) -> Vec<u8> {
    let with = |filling: usize| get("/open/fixed").key().header("X-Filling", "a".repeat(filling)).bytes("gate");
    let bare = with(0).len();
    with(size - bare)
}

#[test]
fn a_head_of_the_largest_size_passes_and_one_byte_more_does_not() {
    let app = App::start();
    let gate = Conf::new(&app).limits("head_size", "\"8KiB\"").start();
    let send = |bytes: &[u8]| {
        let mut conn = gate.conn();
        conn.write(bytes);
        conn.read()
    };
    send(&of_size(8192)).expect(200);
    app.forget();
    send(&of_size(8193)).refused(431, "head_too_large");
    send(&of_size(30_000)).refused(431, "head_too_large");
    // Before anything else that is wrong with it.
    let many = (0..200).fold(get("/app//x"), |request, at| request.header(&format!("X-{at}"), "a".repeat(50)));
    gate.send(&many).refused(431, "head_too_large");
    gate.send(&get(format!("/open/{}", "a".repeat(9000)))).refused(431, "head_too_large");
    app.saw_nothing();
}

#[test]
fn over_http2_it_is_what_the_client_counts_too() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").limits("head_size", "\"2KiB\"").start();
    let status = |size: usize| {
        let uri = format!("http://{}/open/fixed", gate.addr);
        let authority = gate.addr.to_string();
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", &authority), (":path", "/open/fixed")];
        let counted =
            |fields: &[(&str, &str)]| fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>();
        let used = counted(&fields) + counted(&[("x-api-key", KEY), ("x-filling", "")]);
        let request = http::Request::get(uri).header("x-api-key", KEY).header("x-filling", "a".repeat(size - used));
        h2c(gate.addr, request.body(()).unwrap(), b"").unwrap().status
    };
    assert_eq!((status(2048), status(2049)), (200, 431));
}

#[test]
fn the_default_takes_what_browsers_send() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    gate.send(&get("/open/x").key().header("Cookie", format!("a={}", "b".repeat(16_000)))).expect(200);
    gate.send(&get("/open/x").key().header("Cookie", format!("a={}", "b".repeat(66_000))))
        .refused(431, "head_too_large");
}
